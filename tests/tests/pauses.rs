//! How long the server does nothing for its clients while a full sync or a snapshot is going on, measured from inside (`eventloop_duration_max`)
//! and from outside (a client that asks each millisecond). Big values, which are written to meanwhile, are what could make it pause.
//!
//! `RIVULET_PAUSES_ITEMS` says how many elements each of them has, `RIVULET_PAUSES_MAX_MS` what pause is too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rivulet_tests::client::{Client, Words};
use rivulet_tests::random::{self, Rng};
use rivulet_tests::{Kind, Server, wait};

const ITEMS: u64 = 100_000;
/// Loose: tests run on machines with little to spare.
const MAX_MS: u64 = 300;
/// Elements in a command that fills.
const FILL: u64 = 500;
/// Commands in a command's pipeline.
const PIPELINE: usize = 50;

fn items() -> u64 {
    random::number("RIVULET_PAUSES_ITEMS").unwrap_or(ITEMS)
}

/// Threads that end when this is dropped or stopped.
struct Threads<T> {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<T>>,
}

impl<T: Send + 'static> Threads<T> {
    /// Each runs `step` with a client of its own, again and again, and gives what `new` made and `step` changed.
    fn start(
        server: &Server,
        count: usize,
        mut new: impl FnMut(u64) -> T,
        step: impl Fn(&mut Client, &mut T) + Send + Clone + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..count)
            .map(|n| {
                let (mut client, mut state) = (server.client(), new(n as u64));
                let (stop, step) = (stop.clone(), step.clone());
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        step(&mut client, &mut state);
                    }
                    state
                })
            })
            .collect();
        Threads { stop, threads }
    }

    fn stop(self) -> Vec<T> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().map(|thread| thread.join().expect("it ends well")).collect()
    }
}

fn send(client: &mut Client, commands: impl Iterator<Item = Vec<Vec<u8>>>) {
    let mut count = 0;
    for command in commands {
        client.add(&command);
        count += 1;
    }
    client.flush().expect("the server is there");
    for _ in 0..count {
        let reply = client.read().expect("the server is there");
        assert!(!reply.is_error(), "{reply:?}");
    }
}

fn fill(client: &mut Client, items: u64) {
    let chunks: Vec<u64> = (0..items.div_ceil(FILL)).collect();
    for some in chunks.chunks(PIPELINE) {
        send(
            client,
            some.iter().flat_map(|chunk| {
                let words = |head: &[&str], of: &dyn Fn(u64) -> Vec<String>| {
                    let elements = (chunk * FILL..(chunk + 1) * FILL).flat_map(of);
                    let head = head.iter().map(|word| (*word).to_string());
                    head.chain(elements).map(String::into_bytes).collect::<Vec<_>>()
                };
                [
                    words(&["HSET", "hash"], &|i| vec![format!("field:{i}"), format!("value:{i}")]),
                    words(&["RPUSH", "list"], &|i| vec![format!("item:{i}")]),
                    words(&["ZADD", "zset"], &|i| vec![(i * 7919 % items).to_string(), format!("member:{i}")]),
                    words(&["SADD", "set"], &|i| vec![format!("member:{i}")]),
                ]
            }),
        );
    }
}

/// Edits at places all over the values.
fn edits(rng: &mut Rng, items: u64) -> Vec<Vec<Vec<u8>>> {
    let i = rng.u64(0..items);
    [
        format!("HSET hash field:{i} new:{}", rng.u32(..)),
        format!("HDEL hash field:{}", rng.u64(0..items)),
        format!("LSET list {} changed:{i}", rng.u64(0..items / 2)),
        "RPOPLPUSH list list".to_string(),
        format!("ZINCRBY zset {} member:{i}", rng.u32(0..1000)),
        format!("ZREM zset member:{}", rng.u64(0..items)),
        format!("SADD set new:{i}"),
        format!("SREM set member:{i}"),
    ]
    .iter()
    .map(|line| line.words())
    .collect()
}

/// What a client has waited for, in us, sorted.
struct Waits(Vec<u128>);

impl Waits {
    fn of(threads: Threads<Vec<u128>>) -> Waits {
        let mut all: Vec<u128> = threads.stop().into_iter().flatten().collect();
        all.sort_unstable();
        Waits(all)
    }

    fn at(&self, share: f64) -> f64 {
        let at = (self.0.len() as f64 * share) as usize;
        self.0.get(at.min(self.0.len().saturating_sub(1))).map_or(0.0, |us| *us as f64 / 1000.0)
    }
}

fn prober(server: &Server) -> Threads<Vec<u128>> {
    Threads::start(
        server,
        1,
        |_| Vec::new(),
        |client, waits| {
            let (_, us) = wait::timed_us(|| client.must("GET probe"));
            waits.push(us);
            wait::pause(Duration::from_millis(1));
        },
    )
}

/// The pause that is too long where there are processors to spare.
fn max_ms() -> u64 {
    random::number("RIVULET_PAUSES_MAX_MS").unwrap_or(MAX_MS)
}

/// Something that goes on while a client asks again and again.
struct Phase {
    name: &'static str,
    probes: Threads<Vec<u128>>,
    stolen_ms: u64,
}

impl Phase {
    fn begin(name: &'static str, server: &mut Server) -> Phase {
        server.must("CONFIG RESETSTAT");
        Phase { name, probes: prober(server), stolen_ms: stolen_ms() }
    }

    /// Tells what it was like, and fails if a turn took longer than `max_ms`.
    fn judge(self, server: &mut Server, max_ms: u64) {
        let (name, waits, stolen_ms) = (self.name, Waits::of(self.probes), stolen_ms() - self.stolen_ms);
        let inside = server.count("eventloop_duration_max") as f64 / 1000.0;
        println!(
            "pauses: {name}: longest turn {inside:.1} ms; a client waited p50 {:.2} p99 {:.2} p99.9 {:.2} max {:.1} ms ({} times); \
             the host took {stolen_ms} ms",
            waits.at(0.5),
            waits.at(0.99),
            waits.at(0.999),
            waits.at(1.0),
            waits.0.len()
        );
        assert!(
            inside <= max_ms as f64,
            "{name}: the event loop paused for {inside} ms; of all processors' time the host took {stolen_ms} ms"
        );
    }
}

/// Time that the host of a virtual machine has given to others, of all processors together.
fn stolen_ms() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = text.lines().next().and_then(|line| line.split_whitespace().nth(8)?.parse::<u64>().ok());
    ticks.unwrap_or(0) * 10
}

fn in_step(master: &mut Server, replica: &mut Server) {
    wait::until("the replica has everything", || {
        replica.count("slave_repl_offset") == master.count("master_repl_offset")
    });
}

#[test]
fn big_values_are_snapshots_without_a_pause() {
    let items = items();
    let mut master = Server::start(Kind::Rivulet, &["--client-output-buffer-limit", "replica", "0", "0", "0"]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    master.must("SET probe x");
    fill(master.main(), items);
    let seed = random::seed("pauses");
    let writers = Threads::start(
        &master,
        2,
        |n| Rng::with_seed(seed + n),
        move |client, rng| {
            let commands: Vec<_> = (0..2).flat_map(|_| edits(rng, items)).collect();
            send(client, commands.into_iter());
            wait::pause(Duration::from_millis(2));
        },
    );
    let phase = Phase::begin("writes alone", &mut master);
    wait::pause(Duration::from_secs(1));
    phase.judge(&mut master, max_ms());

    let phase = Phase::begin("full sync", &mut master);
    replica.follow(&master);
    wait::until("the replica is in step", || replica.info("master_link_status") == "up");
    phase.judge(&mut master, max_ms());
    assert_eq!(master.count("sync_full"), 1);

    let phase = Phase::begin("snapshot to a file", &mut master);
    master.must("BGSAVE");
    wait::until("the file is written", || master.info("rdb_bgsave_in_progress") == "0");
    phase.judge(&mut master, max_ms());
    assert_eq!(master.info("rdb_last_bgsave_status"), "ok");
    writers.stop();
    in_step(&mut master, &mut replica);
    assert_eq!(master.must("DEBUG DIGEST"), replica.must("DEBUG DIGEST"), "the snapshot was exact");
}

#[test]
fn a_snapshot_ends_while_everything_is_overwritten() {
    let keys = items();
    let mut master = Server::start(Kind::Rivulet, &["--rdbcompression", "no"]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    master.must("SET probe x");
    for first in (0..keys).step_by(1000) {
        send(master.main(), (first..first + 1000).map(|i| format!("SET key:{i} {:0>200}", i).words()));
    }
    let seed = random::seed("overwritten");
    let writers = Threads::start(
        &master,
        2,
        |n| Rng::with_seed(seed + n),
        move |client, rng| {
            send(client, (0..500).map(|_| format!("SET key:{} {:0>200}", rng.u64(0..keys), rng.u32(..)).words()));
        },
    );
    let phase = Phase::begin("all is overwritten", &mut master);
    master.must("BGSAVE");
    wait::until("the file is written", || master.info("rdb_bgsave_in_progress") == "0");
    replica.follow(&master);
    wait::until("the replica is in step", || replica.info("master_link_status") == "up");
    // Writers that never wait want all processors for themselves.
    phase.judge(&mut master, MAX_MS);
    assert_eq!(master.info("rdb_last_bgsave_status"), "ok");
    assert_eq!(master.count("sync_full"), 1);
    let limbo: i64 = master.must("CONFIG GET snapshot-limbo-limit").items()[1].text().parse().expect("bytes");
    let peak = master.count("snapshot_queue_peak_bytes");
    println!("pauses: at most {} KiB of a snapshot waited", peak >> 10);
    assert!(peak <= limbo + (8 << 20));
    writers.stop();
    in_step(&mut master, &mut replica);
    assert_eq!(master.must("DEBUG DIGEST"), replica.must("DEBUG DIGEST"));
}

/// With a limit that writes soon reach, the snapshot is given up, says so, and the next one can be made.
#[test]
fn a_snapshot_that_writes_overtake_is_given_up() {
    let mut master = Server::start(
        Kind::Rivulet,
        &[
            "--snapshot-limbo-limit",
            "1mb",
            "--snapshot-queue-limit",
            "1mb",
            "--rdb-key-save-delay",
            "500",
            "--rdbcompression",
            "no",
        ],
    );
    for first in (0..20_000).step_by(1000) {
        send(master.main(), (first..first + 1000).map(|i| format!("SET key:{i} {:0>200}", i).words()));
    }
    master.must("BGSAVE");
    for first in (0..20_000).step_by(1000) {
        send(master.main(), (first..first + 1000).map(|i| format!("SET key:{i} {:0>200}", i + 1).words()));
    }
    wait::until("it is given up", || master.info("rdb_last_bgsave_status") == "err");
    assert!(master.log().contains("Writes overtake the snapshot"), "{}", master.log());
    master.must("CONFIG SET rdb-key-save-delay 0 snapshot-limbo-limit 100mb");
    wait::until("the next one is made", || {
        master.call("BGSAVE");
        master.info("rdb_last_bgsave_status") == "ok"
    });
}
