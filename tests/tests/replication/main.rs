//! Rivulet as master and as replica of Redis 7.0, Redis 8 and Valkey 9, and of itself.

mod bounds;
mod clock;
mod effects;
mod fields;
mod full_sync;
mod links;
mod log;
mod order;
mod persistence;
mod positions;
mod reasons;
mod roles;
mod service;
mod standstill;
mod stream;
mod streams;
mod synchronous;
mod two_channels;
mod verify;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use rivulet_tests::random::Rng;
use rivulet_tests::{Kind, Server, Words, data, wait};

/// The others that are installed.
fn peers() -> impl Iterator<Item = Kind> {
    [Kind::Redis7, Kind::Redis8, Kind::Valkey9].into_iter().filter(|k| k.is_there())
}

/// Rivulet and the others.
fn everyone() -> impl Iterator<Item = Kind> {
    std::iter::once(Kind::Rivulet).chain(peers())
}

/// Waits until the replica has applied all that the master has, then compares the data.
#[track_caller]
fn assert_in_step(master: &mut Server, replica: &mut Server) {
    wait_in_step(master, replica);
    assert_equal(master, replica);
}

#[track_caller]
fn wait_in_step(master: &mut Server, replica: &mut Server) {
    replica.wait_for_link();
    let offset = master.count("master_repl_offset");
    if !wait::within(wait::PATIENCE, || replica.count("master_repl_offset") >= offset) {
        let (kind, at) = (replica.kind, replica.count("master_repl_offset"));
        panic!("{kind:?} is at {at}, its master at {offset}\n{}", replica.log());
    }
}

/// Equal by digest where both compute the same one, else key by key.
#[track_caller]
fn assert_equal(a: &mut Server, b: &mut Server) {
    let same_digests = [a.kind, b.kind].iter().all(|k| matches!(k, Kind::Rivulet | Kind::Redis7));
    if !same_digests || a.must("DEBUG DIGEST") != b.must("DEBUG DIGEST") {
        data::assert_same_data(a, b, 16);
        assert!(!same_digests, "the same data have two digests");
    }
}

/// Writes of every kind on a master, from a thread, until it is stopped.
struct Traffic {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Traffic {
    fn start(master: &Server, seed: u64) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counter) = (stop.clone(), written.clone());
        let mut client = master.client();
        let thread = std::thread::spawn(move || {
            let (mut rng, mut words) = (Rng::with_seed(seed), Words::new(true));
            while !stopped.load(Ordering::Relaxed) {
                let batch: Vec<_> =
                    std::iter::repeat_with(|| words.command(&mut rng)).filter(|c| is_fit(c)).take(50).collect();
                client.pipeline(&batch);
                counter.fetch_add(50, Ordering::Relaxed);
            }
        });
        Self { stop, written, thread: Some(thread) }
    }

    /// Waits until so many more commands were sent.
    fn goes_on(&self, count: u64) {
        let target = self.written.load(Ordering::Relaxed) + count;
        wait::until("the master takes writes", || self.written.load(Ordering::Relaxed) >= target);
    }

    fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it runs").join().expect("the writer goes well");
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Commands that leave the bulk of the data, do not wait, and are promised to do the same everywhere.
fn is_fit(command: &[Vec<u8>]) -> bool {
    let name = command[0].to_ascii_uppercase();
    !name.starts_with(b"FLUSH")
        && !name.starts_with(b"B")
        && !matches!(name.as_slice(), b"SWAPDB" | b"KEYS" | b"SCAN" | b"HELLO")
        // Redis takes ` 1` for a score, and Valkey 9 does not.
        && command.iter().all(|word| !word.starts_with(b" "))
        && !is_read_differently(&name, command)
}

/// Newer peers cut an index to 32 bits here and there (`LSET list 9223372036854775807 x` sets the last element), and take a negative
/// offset of a LIMIT for none; they don't read hexadecimal scores, nor such elements in a SORT. What a range by text is over members of different scores is left open, even between two of a kind.
fn is_read_differently(name: &[u8], command: &[Vec<u8>]) -> bool {
    let number = |word: &Vec<u8>| std::str::from_utf8(word).ok().and_then(|t| t.parse::<i128>().ok());
    match name {
        b"SORT" => true,
        b"LSET" | b"LTRIM" | b"LREM" | b"ZREMRANGEBYRANK" => {
            command.iter().any(|w| number(w).is_some_and(|n| n.abs() >= 1 << 31))
        }
        _ if name.starts_with(b"Z") && command.iter().any(|w| w.windows(2).any(|pair| pair == b"0x")) => true,
        b"ZRANGESTORE" => command.iter().skip(5).any(|w| number(w).is_some_and(|n| !(0..1 << 31).contains(&n))),
        b"ZREMRANGEBYLEX" => !command.get(1).is_some_and(|key| key.starts_with(b"x")),
        _ => false,
    }
}
