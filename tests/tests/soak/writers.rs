//! Who writes meanwhile: commands of all kinds, short deadlines, and counters that tell when a write is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rivulet_tests::client::Words as _;
use rivulet_tests::random::Rng;
use rivulet_tests::{Client, Reply, Words, wait};

/// Where the writers go. Port 0: nowhere.
#[derive(Debug, Default)]
pub struct Route {
    pub port: AtomicU16,
    /// How often a replica was promoted while its master still had more: what no other node had said to have is lost then.
    pub losses: AtomicU64,
    stop: AtomicBool,
    /// Counted up so often; of those, proven to be on two machines so often.
    pub counted: AtomicU64,
    pub proven: AtomicU64,
}

pub struct Writers {
    pub route: Arc<Route>,
    threads: Vec<JoinHandle<()>>,
}

impl Writers {
    pub fn start(port: u16, seed: u64) -> Writers {
        let route = Arc::new(Route::default());
        route.port.store(port, Ordering::Relaxed);
        let kinds: [fn(&Route, u64); 3] = [write_all_kinds, write_deadlines, count];
        let run = |(kind, n): (fn(&Route, u64), u64)| {
            let route = route.clone();
            std::thread::spawn(move || kind(&route, seed + n))
        };
        let threads = kinds.into_iter().zip(0..).map(run).collect();
        Writers { route, threads }
    }

    pub fn none() -> Writers {
        Writers { route: Arc::default(), threads: Vec::new() }
    }

    /// A lost write ends its writer.
    pub fn assert_well(&self) {
        assert!(!self.threads.iter().any(JoinHandle::is_finished), "a writer found something wrong");
    }

    pub fn stop(self) {
        self.route.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a writer found something wrong");
        }
    }
}

/// A connection to whoever is the master.
struct Line<'a> {
    route: &'a Route,
    client: Option<(u16, Client)>,
}

impl<'a> Line<'a> {
    fn to(route: &'a Route) -> Line<'a> {
        Line { route, client: None }
    }

    fn is_wanted(&self) -> bool {
        !self.route.stop.load(Ordering::Relaxed)
    }

    /// The replies; `None` when the master went away or can't be reached: it may be gone, be starting, or be no master just now.
    fn send(&mut self, commands: &[Vec<Vec<u8>>]) -> Option<Vec<Reply>> {
        let port = self.route.port.load(Ordering::Relaxed);
        let open = self.client.take().filter(|(at, _)| *at == port);
        let open = open.or_else(|| Some((port, Client::connect(port).ok()?)));
        let Some((_, mut client)) = open else {
            wait::pause(Duration::from_millis(20));
            return None;
        };
        commands.iter().for_each(|command| client.add_words(command));
        let replies = client.flush().and_then(|()| commands.iter().map(|_| client.read()).collect());
        let replies: Vec<Reply> = replies.ok()?;
        self.client = Some((port, client));
        Some(replies)
    }
}

fn write_all_kinds(route: &Route, seed: u64) {
    let (mut rng, mut words, mut line) = (Rng::with_seed(seed), Words::new(true), Line::to(route));
    while line.is_wanted() {
        // Now and then many at once, so that a replica that is away misses more than the memory holds.
        let many = if rng.u8(..50) == 0 { rng.usize(50..400) } else { 1 };
        let commands: Vec<_> = (0..many).map(|_| words.command(&mut rng)).filter(|c| is_fit(c)).collect();
        line.send(&commands);
    }
}

/// Commands that leave the bulk of the data and do not wait.
fn is_fit(command: &[Vec<u8>]) -> bool {
    let name = command[0].to_ascii_uppercase();
    let empties = name.starts_with(b"FLUSH") || name == b"SWAPDB";
    !empties && !name.starts_with(b"B") && name != b"HELLO"
}

/// The longest that a short deadline is away.
pub const DEADLINE_MS: u32 = 1500;

/// Keys of every type that vanish soon, in three databases.
fn write_deadlines(route: &Route, seed: u64) {
    let (mut rng, mut line) = (Rng::with_seed(seed), Line::to(route));
    while line.is_wanted() {
        let (db, key, ms) = ([0, 5, 11][rng.usize(..3)], rng.u32(..500), rng.u32(1..DEADLINE_MS));
        let (add, expire) = (rng.usize(..5), rng.usize(..3));
        let commands = [
            format!("SELECT {db}"),
            [
                format!("SET soon:{key} {ms} PX {ms}"),
                format!("RPUSH soon:{key} {ms}"),
                format!("HSET soon:{key} field {ms}"),
                format!("SADD soon:{key} {ms}"),
                format!("ZADD soon:{key} {ms} member"),
            ][add]
                .clone(),
            [
                format!("PEXPIRE soon:{key} {ms}"),
                format!("PEXPIREAT soon:{key} {}", wait::unix_ms() + u64::from(ms)),
                format!("EXPIRE soon:{key} 1"),
            ][expire]
                .clone(),
            format!("TYPE soon:{}", rng.u32(..500)),
        ];
        line.send(&commands.map(|text| text.words()));
        wait::pause(Duration::from_millis(1));
    }
}

const COUNTERS: usize = 12;

/// Counters that nobody else writes, each with a twin in another database that is counted up in the same transaction. So the next value says
/// whether one was lost, done twice, or done by half.
fn count(route: &Route, seed: u64) {
    let (mut rng, mut line) = (Rng::with_seed(seed), Line::to(route));
    let (mut sent, mut acknowledged, mut proven) = ([0; COUNTERS], [0; COUNTERS], [0; COUNTERS]);
    let mut losses = 0;
    while line.is_wanted() {
        let now = route.losses.load(Ordering::SeqCst);
        if now != losses {
            // Only what was proven is still certain.
            (acknowledged, losses) = (proven, now);
        }
        let at = rng.usize(..COUNTERS);
        sent[at] += 1;
        let (one, other) = (at % 4, 15 - at % 3);
        let mut commands = vec![
            "MULTI".words(),
            format!("SELECT {one}").words(),
            format!("INCR counter:{at}").words(),
            format!("SELECT {other}").words(),
            format!("INCR twin:{at}").words(),
            "EXEC".words(),
        ];
        if rng.u8(..100) == 0 {
            // One of ours has it on disk then, and whoever is promoted has as much as that one.
            commands.push("WAITAOF 1 1 2000".words());
        }
        let replies = line.send(&commands).unwrap_or_default();
        // What came from a master that is none any more counts for nothing.
        if route.losses.load(Ordering::SeqCst) != losses {
            continue;
        }
        if let Some(Reply::Many(_, replies)) = replies.get(5)
            && let [_, Reply::Int(value), _, twin] = replies.as_slice()
        {
            assert!(*value > acknowledged[at], "counter {at} goes on with {value}, and {} was there", acknowledged[at]);
            assert!(*value <= sent[at], "counter {at} is {value} after {} times", sent[at]);
            assert_eq!(*twin, Reply::Int(*value), "a transaction was done by half");
            acknowledged[at] = *value;
            route.counted.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(Reply::Many(_, counts)) = replies.get(6)
            && counts.iter().all(|count| matches!(count, Reply::Int(1..)))
        {
            proven = acknowledged;
            route.proven.fetch_add(1, Ordering::Relaxed);
        }
    }
}
