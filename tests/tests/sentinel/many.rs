//! One Sentinel with 400 masters of two replicas each.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use rivulet_tests::process::{TempDir, free_port, rivulet, tool};
use rivulet_tests::{Client, wait};

use crate::Watcher;
use crate::fleet::{Fleet, address};

const MASTERS: usize = 400;
const DOWN_AFTER_MS: u64 = 3000;
/// For so long it is looked at.
const LOOK: Duration = Duration::from_secs(20);
/// Masters that are gone are replaced within so long.
const PATIENCE: Duration = Duration::from_secs(15);

struct Guard {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl Guard {
    fn start(watcher: Watcher, port: u16) -> Option<Guard> {
        let program = match watcher {
            Watcher::Ours => Some(rivulet("rivulet-server")),
            Watcher::Redis => tool("redis-sentinel"),
        }?;
        let (dir, own) = (TempDir::new(), free_port());
        let mut text = format!("port {own}\nbind 127.0.0.1\ndir {0}\nlogfile {0}/log\n", dir.path().display());
        for i in 0..MASTERS {
            text += &format!(
                "sentinel monitor m{i} {} {port} 1\nsentinel down-after-milliseconds m{i} {DOWN_AFTER_MS}\nsentinel failover-timeout m{i} 30000\n",
                address(i * 3)
            );
        }
        let path = dir.path().join("sentinel.conf");
        std::fs::write(&path, text).expect("a configuration file");
        let mut command = Command::new(program);
        command.arg(&path).arg("--sentinel").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("Sentinel starts");
        Some(Guard { child, port: own, dir })
    }

    fn client(&self) -> Client {
        wait::until("Sentinel answers", || Client::connect(self.port).is_ok_and(|mut c| c.try_call("PING").is_ok()));
        Client::connect(self.port).expect("it just did")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Ms of a processor's time that it has used.
    fn cpu_ms(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let fields: Vec<&str> = text.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        // Hundredths of a second.
        fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number") * 10).sum()
    }

    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs").count()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("---- log of Sentinel\n{}\n----", lines[lines.len().saturating_sub(100)..].join("\n"));
        }
    }
}

/// What it came to: share of a processor while nothing happens, descriptors, how many of 50 masters were replaced within [`PATIENCE`], and in what time.
#[derive(Debug)]
struct Outcome {
    /// A second, for each instance.
    pings: f64,
    infos: f64,
    busy: f64,
    descriptors: usize,
    replaced: usize,
    failovers_ms: u128,
    /// How often somebody was taken to be down.
    down: usize,
    tilts: usize,
}

fn watch(watcher: Watcher) -> Option<Outcome> {
    let port = free_port();
    let fleet = Fleet::start(MASTERS, port);
    let guard = Guard::start(watcher, port)?;
    Some(look_at(&fleet, &guard))
}

fn look_at(fleet: &Fleet, guard: &Guard) -> Outcome {
    let mut client = guard.client();
    wait::until("it knows all replicas", || {
        let text = client.must("INFO sentinel").text();
        text.lines().filter(|line| line.contains("status=ok") && line.contains("slaves=2")).count() == MASTERS
    });
    wait::pause(Duration::from_secs(5));
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let (pings, infos, cpu_ms) = (count(&fleet.shared.pings), count(&fleet.shared.infos), guard.cpu_ms());
    let (_, ms) = wait::timed(|| wait::pause(LOOK));
    let busy = (guard.cpu_ms() - cpu_ms) as f64 / ms as f64;
    let each = |now: u64, before: u64| (now - before) as f64 / (MASTERS * 3) as f64 / (ms as f64 / 1000.0);
    let (pings, infos) = (each(count(&fleet.shared.pings), pings), each(count(&fleet.shared.infos), infos));
    let descriptors = guard.descriptors();

    let gone = || (0..MASTERS).step_by(8).map(|set| set * 3);
    fleet.kill(gone());
    let replaced = || {
        let follows = fleet.shared.follows.lock().expect("nobody panicked");
        gone().filter(|master| follows[master + 1..master + 3].contains(&None)).count()
    };
    let (_, failovers_ms) = wait::timed(|| wait::within(PATIENCE, || replaced() == 50));
    let log = guard.log();
    let (down, tilts) = (log.matches("+sdown").count(), log.matches("+tilt").count());
    Outcome { pings, infos, busy, descriptors, replaced: replaced(), failovers_ms, down, tilts }
}

/// It keeps its periods, does not mistrust its clock, uses a bounded share of the machine, and replaces 50 masters that go at once. What Redis's uses in
/// the same place is told beside it.
#[test]
fn four_hundred_masters_are_watched() {
    let ours = watch(Watcher::Ours).expect("it is built");
    println!("ours: {ours:?}");
    assert!((0.7..=1.3).contains(&ours.pings) && (0.08..=0.13).contains(&ours.infos), "{ours:?}");
    assert_eq!((ours.replaced, ours.down, ours.tilts), (50, 50, 0), "{ours:?}");
    // Two connections to each instance, and a few more.
    assert!(ours.descriptors < MASTERS * 3 * 2 + 50, "{ours:?}");
    assert!(ours.failovers_ms < u128::from(DOWN_AFTER_MS) + 10_000, "{ours:?}");
    assert!(ours.busy < 0.5, "{ours:?}");
    let Some(theirs) = watch(Watcher::Redis) else { return println!("skipped: redis-sentinel is not installed") };
    println!("theirs: {theirs:?}");
    println!("ours uses {:.2} of what theirs does", ours.busy / theirs.busy);
}
