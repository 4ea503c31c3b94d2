//! Whole servers under writes of all kinds, while nodes are killed, ended, stopped, cut off and hand their role over.
//!
//! A master with append-only files, replicas in a tree, and a Redis among them. At the end all data are equal, and after the first sync of each
//! of our nodes none needed another (rule 41): bytes reach a replica only when the master's files have them. The seed decides the order of events;
//! how much is written between two is decided by the machine. `RIVULET_SOAK_SECONDS` says for how long, `RIVULET_SEED` what.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rivulet_tests::random::{self, Rng};
use rivulet_tests::{Client, Kind, Server, Words, wait};

const SECONDS: u64 = 40;
const PAUSE_MS: std::ops::Range<u64> = 100..900;

/// The servers, and who follows whom.
struct Fleet {
    nodes: Vec<Server>,
    /// The index of each one's master; the root has none.
    above: Vec<Option<usize>>,
    /// Full syncs that each has granted before its last start.
    counted: Vec<i64>,
    root_port: Arc<AtomicU16>,
    /// Full syncs that Redis asked for, which remembers nothing after a kill.
    excused: i64,
    rng: Rng,
}

#[test]
fn soak() {
    let seconds = random::number("RIVULET_SOAK_SECONDS").unwrap_or(SECONDS);
    let seed = random::seed("soak");
    let mut fleet = Fleet::start(Rng::with_seed(seed));
    let writer = Writer::start(fleet.root_port.clone(), seed);
    let first_syncs = fleet.full_syncs();
    let end = wait::unix_ms() + seconds * 1000;
    while wait::unix_ms() < end {
        fleet.event();
        wait::pause(Duration::from_millis(fleet.rng.u64(PAUSE_MS)));
    }
    writer.stop();
    fleet.assert_equal();
    let root = fleet.root();
    assert!(fleet.nodes[root].count("master_repl_offset") > 100_000, "a soak without writes proves nothing");
    let full = fleet.full_syncs() - first_syncs;
    assert!(full <= fleet.excused, "{full} full syncs, and only {} had a reason", fleet.excused);
    println!("soak: {full} full syncs by Redis, none by others");
}

impl Fleet {
    /// A master, two replicas, one below the first of them, and a Redis.
    fn start(rng: Rng) -> Fleet {
        let aof = ["--appendonly", "yes", "--repl-backlog-size", "64kb", "--repl-timeout", "10"];
        let mut nodes: Vec<Server> = (0..4).map(|_| Server::start(Kind::Rivulet, &aof)).collect();
        let mut above = vec![None, Some(0), Some(0), Some(1)];
        if Kind::Redis7.is_there() {
            nodes.push(Server::start(Kind::Redis7, &["--repl-timeout", "10"]));
            above.push(Some(0));
        }
        let root_port = Arc::new(AtomicU16::new(nodes[0].port));
        let counted = vec![0; nodes.len()];
        let mut fleet = Fleet { nodes, above, counted, root_port, excused: 0, rng };
        for index in 1..fleet.nodes.len() {
            fleet.attach(index);
            // A kill before a replica's files hold its master's data may cost a full sync.
            fleet.wait_for_files(index);
        }
        fleet
    }

    fn attach(&mut self, index: usize) {
        let above = self.above[index].expect("it has a master");
        let port = self.nodes[above].port;
        self.nodes[index].must(&format!("REPLICAOF 127.0.0.1 {port}"));
        self.nodes[index].wait_for_link();
    }

    fn wait_for_files(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if node.kind == Kind::Rivulet {
            wait::until("the files hold the data", || {
                node.info("aof_rewrite_in_progress") == "0" && node.info("aof_rewrite_scheduled") == "0"
            });
        }
    }

    fn event(&mut self) {
        let ours = self.nodes.iter().filter(|node| node.kind == Kind::Rivulet).count();
        let index = self.rng.usize(0..self.nodes.len());
        let own = self.rng.usize(0..ours);
        match self.rng.u8(0..10) {
            0..3 => self.end(own, false),
            3 => self.end(own, true),
            4 => self.stop(index),
            5..7 => {
                let side = if self.rng.bool() { "replica" } else { "master" };
                self.say(index, &format!("cuts the links to its {side}s"));
                self.nodes[index].must(&format!("CLIENT KILL TYPE {side}"));
            }
            7 => {
                self.say(own, "rewrites its files");
                // One may be under way.
                self.nodes[own].call("BGREWRITEAOF");
            }
            8 => self.fail_over(),
            _ => self.move_below(own),
        }
    }

    fn say(&self, index: usize, what: &str) {
        println!("soak: {:?} {index} {what}", self.nodes[index].kind);
    }

    /// A node is killed, or ends well, and starts again in the role that it had.
    fn end(&mut self, index: usize, clean: bool) {
        self.say(index, if clean { "ends and starts" } else { "is killed and starts" });
        self.counted[index] += self.nodes[index].count("sync_full");
        if clean {
            self.nodes[index].shutdown("");
        } else {
            self.nodes[index].kill();
        }
        let master = self.above[index].map(|above| self.nodes[above].port.to_string());
        match &master {
            Some(port) => self.nodes[index].launch_with(&["--replicaof", "127.0.0.1", port]),
            None => self.nodes[index].launch(),
        }
    }

    /// A node stands still for a while, as a machine that swaps.
    fn stop(&mut self, index: usize) {
        self.say(index, "stands still");
        let pid = self.nodes[index].pid().to_string();
        let signal = |name: &str| rivulet_tests::process::run("kill", &[name, &pid]);
        signal("-STOP");
        wait::pause(Duration::from_millis(self.rng.u64(200..2_500)));
        signal("-CONT");
    }

    /// The root hands its role over to one of our replicas right below it.
    fn fail_over(&mut self) {
        let root = self.root();
        let ours = |index: &usize| self.above[*index] == Some(root) && self.nodes[*index].kind == Kind::Rivulet;
        let below: Vec<usize> = (0..self.nodes.len()).filter(ours).collect();
        let Some(target) = below.get(self.rng.usize(0..below.len().max(1))).copied() else { return };
        self.say(root, &format!("hands its role to {target}"));
        self.nodes[target].wait_for_link();
        let port = self.nodes[target].port;
        let reply = self.nodes[root].call(&format!("FAILOVER TO 127.0.0.1 {port} TIMEOUT 5000"));
        if reply.is_error() {
            return self.say(root, &format!("does not: {reply:?}"));
        }
        wait::until("the hand-over ends", || self.nodes[root].info("master_failover_state") == "no-failover");
        if self.nodes[root].info("role") == "slave" {
            (self.above[root], self.above[target]) = (Some(target), None);
            self.root_port.store(port, Ordering::Relaxed);
        }
    }

    /// A replica without replicas goes below another node.
    fn move_below(&mut self, index: usize) {
        if self.above[index].is_none() || self.above.contains(&Some(index)) {
            return;
        }
        let other = self.root();
        self.say(index, &format!("goes below {other}"));
        self.above[index] = Some(other);
        let port = self.nodes[other].port;
        self.nodes[index].must(&format!("REPLICAOF 127.0.0.1 {port}"));
    }

    fn root(&self) -> usize {
        self.above.iter().position(Option::is_none).expect("one is the master")
    }

    fn full_syncs(&mut self) -> i64 {
        (0..self.nodes.len()).map(|index| self.counted[index] + self.nodes[index].count("sync_full")).sum()
    }

    /// Waits until all have what the root has, then compares.
    fn assert_equal(&mut self) {
        let root = self.root();
        for index in (0..self.nodes.len()).filter(|index| *index != root) {
            self.nodes[index].wait_for_link();
            let same = wait::within(wait::PATIENCE, || {
                let at = self.nodes[index].count("master_repl_offset");
                at >= self.nodes[root].count("master_repl_offset")
            });
            assert!(same, "node {index} does not catch up\n{}", self.nodes[index].log());
        }
        let digest = self.nodes[root].must("DEBUG DIGEST").text();
        for index in 0..self.nodes.len() {
            assert_eq!(self.nodes[index].must("DEBUG DIGEST").text(), digest, "node {index} has other data");
        }
    }
}

/// Writes of all kinds to whoever is the master.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Writer {
    fn start(port: Arc<AtomicU16>, seed: u64) -> Writer {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let (mut rng, mut words) = (Rng::with_seed(seed), Words::new(true));
            let mut client = None;
            let mut at = 0;
            while !stopped.load(Ordering::Relaxed) {
                let now_at = port.load(Ordering::Relaxed);
                if now_at != at {
                    (client, at) = (None, now_at);
                }
                client = client.or_else(|| Client::connect(at).ok());
                let command = words.command(&mut rng);
                // It may be gone, be starting, or be no master just now.
                if let Some(open) = &mut client
                    && is_fit(&command)
                    && open.try_call(&command).is_err()
                {
                    client = None;
                }
                if client.is_none() {
                    wait::pause(Duration::from_millis(20));
                }
            }
        });
        Writer { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the writer goes well");
    }
}

/// Commands that leave the bulk of the data and do not wait.
fn is_fit(command: &[Vec<u8>]) -> bool {
    let name = command[0].to_ascii_uppercase();
    let empties = name.starts_with(b"FLUSH") || name == b"SWAPDB";
    !empties && !name.starts_with(b"B") && name != b"HELLO"
}
