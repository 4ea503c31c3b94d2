//! The writers of a failover's show: each writes numbered keys wherever the Sentinels say that the master is, and remembers which of them were
//! acknowledged. A write without a reply, or with an error, is none: nobody was told that it is kept.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::client::Client;
use super::clock;

const WRITERS: usize = 4;
/// Between two writes of a writer.
const PACE: Duration = Duration::from_millis(1);
/// Between two looks for the master.
const LOOK: Duration = Duration::from_millis(10);
/// Keys of one EXISTS.
const BATCH: usize = 500;
/// The name under which the Sentinels know the set.
pub const SET: &str = "show";

/// What the writers tell while they write.
#[derive(Default)]
struct Shared {
    ends: AtomicBool,
    acknowledged: AtomicU64,
    /// Writes whose fate nobody told.
    unanswered: AtomicU64,
    /// The port of the master that was killed; 0 before.
    killed_port: AtomicU16,
    /// When another one first acknowledged a write, by the monotonic clock; 0 before.
    back_ms: AtomicU64,
}

pub struct Writers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Vec<u64>>>,
}

impl Writers {
    pub fn start(sentinels: &[u16]) -> Writers {
        let shared = Arc::new(Shared::default());
        let one = |writer| {
            let (shared, sentinels) = (shared.clone(), sentinels.to_vec());
            std::thread::spawn(move || write(writer, &sentinels, &shared))
        };
        let threads = (0..WRITERS).map(one).collect();
        Writers { shared, threads }
    }

    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    pub fn unanswered(&self) -> u64 {
        self.shared.unanswered.load(Ordering::Relaxed)
    }

    /// From now on what another server acknowledges is news.
    pub fn note_killed(&self, port: u16) {
        self.shared.killed_port.store(port, Ordering::SeqCst);
    }

    /// When another server than the killed one first acknowledged a write.
    pub fn back_ms(&self) -> Option<u64> {
        Some(self.shared.back_ms.load(Ordering::SeqCst)).filter(|&ms| ms != 0)
    }

    /// Ends them; answers the numbers of the acknowledged keys, per writer.
    pub fn end(mut self) -> Vec<Vec<u64>> {
        self.shared.ends.store(true, Ordering::Relaxed);
        self.threads.drain(..).map(|thread| thread.join().unwrap_or_default()).collect()
    }
}

impl Drop for Writers {
    /// Also when the show stops early nobody goes on to write.
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn key(writer: usize, number: u64) -> String {
    format!("failover:{writer}:{number}")
}

fn write(writer: usize, sentinels: &[u16], shared: &Shared) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    let mut number = 0;
    while !shared.ends.load(Ordering::Relaxed) {
        let master = master_port(sentinels).and_then(|port| Some((port, Client::connect(port).ok()?)));
        let Some((port, mut client)) = master else {
            clock::sleep(LOOK);
            continue;
        };
        while !shared.ends.load(Ordering::Relaxed) {
            number += 1;
            if client.ask(&["SET", &key(writer, number), "1"]).is_err() {
                shared.unanswered.fetch_add(1, Ordering::Relaxed);
                break;
            }
            acknowledged.push(number);
            shared.acknowledged.fetch_add(1, Ordering::Relaxed);
            let killed = shared.killed_port.load(Ordering::SeqCst);
            if killed != 0 && killed != port {
                // Only the first one of all writers stays.
                let now_ms = clock::monotonic_ms();
                let _ = shared.back_ms.compare_exchange(0, now_ms, Ordering::SeqCst, Ordering::SeqCst);
            }
            clock::sleep(PACE);
        }
        clock::sleep(LOOK);
    }
    acknowledged
}

/// Where the first Sentinel that answers says that the master is.
pub fn master_port(sentinels: &[u16]) -> Option<u16> {
    sentinels.iter().find_map(|&port| {
        let mut client = Client::connect(port).ok()?;
        let address = client.ask_list(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SET]).ok()?;
        address.get(1)?.parse().ok()
    })
}

/// How many of the acknowledged keys a server lacks.
pub fn missing(port: u16, acknowledged: &[Vec<u64>]) -> io::Result<u64> {
    let mut client = Client::connect(port)?;
    let mut missing = 0;
    for (writer, numbers) in acknowledged.iter().enumerate() {
        for batch in numbers.chunks(BATCH) {
            let keys: Vec<String> = batch.iter().map(|&number| key(writer, number)).collect();
            let words: Vec<&str> = std::iter::once("EXISTS").chain(keys.iter().map(String::as_str)).collect();
            let there: u64 = client.ask(&words)?.parse().map_err(io::Error::other)?;
            missing += (batch.len() as u64).saturating_sub(there);
        }
    }
    Ok(missing)
}
