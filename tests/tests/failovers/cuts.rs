//! A master that is cut off, one way or both ways, and lives on: nothing that was acknowledged is lost, and with `synchronous-reads` nobody is told what
//! is older than that, not even a client who can still talk to the old master.
//!
//! Writer w pushes the numbers 1, 2, 3, … to the list `w<w>`. So the highest number that a reader is told shows how old the read is. A request that was given
//! up may arrive late: so a reader looks at the last numbers, not at the last one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rivulet_tests::{Client, Kind, Server, wait};

use crate::gate::Gate;
use crate::{Group, PATIENCE, PORTS, is_whole, master_port};

const WRITERS: usize = 2;
/// Numbers that a reader looks at.
const TAIL: usize = 64;

/// What is known to everybody, and what all are told.
#[derive(Default)]
struct Shared {
    ends: AtomicBool,
    rests: AtomicBool,
    /// By writer: the highest number that was acknowledged, and the highest that anybody has read.
    acknowledged: [AtomicU64; WRITERS],
    seen: [AtomicU64; WRITERS],
    reads: AtomicU64,
    stale: AtomicU64,
}

impl Shared {
    fn ends(&self) -> bool {
        self.ends.load(Ordering::SeqCst)
    }

    fn count(&self) -> u64 {
        self.acknowledged.iter().map(|n| n.load(Ordering::SeqCst)).sum()
    }
}

/// Pushes numbers wherever the Sentinels say that the master is; answers which were acknowledged.
fn write(number: usize, sentinels: &[u16], shared: &Shared) -> Vec<u64> {
    let (mut next, mut acknowledged) = (1, Vec::new());
    while !shared.ends() {
        wait::pause(Duration::from_millis(10));
        let client = master_port(sentinels).and_then(|port| Client::connect(port).ok());
        let Some(mut client) = client.filter(|_| !shared.rests.load(Ordering::SeqCst)) else { continue };
        client.socket().set_read_timeout(Some(PATIENCE)).expect("it can be set");
        while !shared.ends() && !shared.rests.load(Ordering::SeqCst) {
            let pushed = client.try_call(&format!("RPUSH w{number} {next}"));
            let is_well = pushed.is_ok_and(|reply| !reply.is_error());
            if is_well {
                acknowledged.push(next);
                shared.acknowledged[number].store(next, Ordering::SeqCst);
            }
            next += 1;
            if !is_well {
                break;
            }
            wait::pause(Duration::from_millis(1));
        }
    }
    acknowledged
}

/// Reads at whatever port `find` tells, for as long as that answers, and counts what is older than what somebody knew before.
fn read(find: impl Fn() -> Option<u16>, patience: Duration, shared: &Shared) {
    while !shared.ends() {
        wait::pause(Duration::from_millis(10));
        let Some(mut client) = find().and_then(|port| Client::connect(port).ok()) else { continue };
        client.socket().set_read_timeout(Some(patience)).expect("it can be set");
        while !shared.ends() && (0..WRITERS).all(|writer| look(&mut client, writer, shared)) {
            wait::pause(Duration::from_millis(1));
        }
    }
}

/// Answers whether the server has answered.
fn look(client: &mut Client, writer: usize, shared: &Shared) -> bool {
    let acknowledged = shared.acknowledged[writer].load(Ordering::SeqCst);
    let known = shared.seen[writer].load(Ordering::SeqCst).max(acknowledged);
    let Ok(reply) = client.try_call(&format!("LRANGE w{writer} -{TAIL} -1")) else { return false };
    if reply.is_error() {
        return false;
    }
    let highest = reply.items().iter().filter_map(|item| item.text().parse().ok()).max().unwrap_or(0);
    shared.reads.fetch_add(1, Ordering::SeqCst);
    if highest < known {
        shared.stale.fetch_add(1, Ordering::SeqCst);
    }
    shared.seen[writer].fetch_max(highest, Ordering::SeqCst);
    true
}

/// A master, two replicas, and the gates through which everybody but the reader beside the master talks to them.
fn start() -> (Vec<Server>, Vec<Gate>) {
    let args = ["--synchronous-replicas", "1", "--synchronous-reads", "yes", "--save", ""];
    let mut servers: Vec<Server> = (0..3).map(|_| Server::prepare(Kind::Rivulet, &args)).collect();
    let gates: Vec<Gate> = servers.iter().map(|server| Gate::to(server.port)).collect();
    for (number, (server, gate)) in servers.iter_mut().zip(&gates).enumerate() {
        server.launch_with(&["--replica-announce-port", &gate.port.to_string()]);
        if number > 0 {
            server.must(&format!("REPLICAOF 127.0.0.1 {}", gates[0].port));
            server.wait_for_link();
        }
    }
    (servers, gates)
}

/// Who is cut off does not hear (the first word) or is not heard (the second), in a moment without writes: so nothing of its own keeps it from answering
/// reads.
fn cut_off(gates: &[Gate], cut: (bool, bool), sentinels: &[u16], shared: &Shared) {
    let port = master_port(sentinels).expect("there is a master");
    let gate = gates.iter().find(|gate| gate.port == port).expect("it is one of the three");
    let before = shared.count();
    wait::until("they write", || shared.count() > before + 200);
    shared.rests.store(true, Ordering::SeqCst);
    wait::pause(Duration::from_millis(100));
    gate.set(cut.0, cut.1);
    shared.rests.store(false, Ordering::SeqCst);
    wait::until("another one is the master", || master_port(sentinels).is_some_and(|now| now != port));
    let before = shared.count();
    wait::until("it takes writes", || shared.count() > before + 200);
    gate.set(false, false);
    wait::until("the set is whole again", || is_whole(sentinels));
}

#[test]
fn a_master_that_is_cut_off_loses_nothing_and_tells_nothing_old() {
    let _ports = PORTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (servers, gates) = start();
    let group = Group::start(gates[0].port);
    let sentinels = group.ports();
    wait::until("the set is whole", || is_whole(&sentinels));
    let shared = Arc::new(Shared::default());
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let (sentinels, shared) = (sentinels.clone(), shared.clone());
            std::thread::spawn(move || write(number, &sentinels, &shared))
        })
        .collect();
    let direct: Vec<(u16, u16)> = gates.iter().zip(&servers).map(|(gate, server)| (gate.port, server.port)).collect();
    let readers = [(PATIENCE, vec![]), (Duration::from_secs(10), direct)].map(|(patience, direct)| {
        let (sentinels, shared) = (sentinels.clone(), shared.clone());
        let beside = move |port: u16| direct.iter().find(|(gate, _)| *gate == port).map_or(port, |(_, own)| *own);
        std::thread::spawn(move || read(|| master_port(&sentinels).map(&beside), patience, &shared))
    });
    for cut in [(true, true), (true, false), (false, true)] {
        cut_off(&gates, cut, &sentinels, &shared);
    }
    shared.ends.store(true, Ordering::SeqCst);
    let acknowledged: Vec<Vec<u64>> = writers.into_iter().map(|w| w.join().expect("a writer ends well")).collect();
    readers.into_iter().for_each(|reader| reader.join().expect("a reader ends well"));
    let port = master_port(&sentinels).expect("there is a master");
    let mut client = Client::connect(port).expect("it is up");
    for (number, numbers) in acknowledged.iter().enumerate() {
        let kept = client.must(&format!("LRANGE w{number} 0 -1"));
        let kept: std::collections::BTreeSet<u64> =
            kept.items().iter().filter_map(|item| item.text().parse().ok()).collect();
        let lost = numbers.iter().filter(|n| !kept.contains(n)).count();
        assert_eq!(lost, 0, "of {} acknowledged writes of writer {number}", numbers.len());
    }
    let (reads, stale) = (shared.reads.load(Ordering::SeqCst), shared.stale.load(Ordering::SeqCst));
    println!("{} acknowledged writes, {reads} reads, {stale} stale", shared.count());
    assert!(reads > 500, "{reads} reads");
    assert_eq!(stale, 0, "of {reads} reads");
}
