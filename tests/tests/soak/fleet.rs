//! The servers, who follows whom, and what happens to them.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rivulet_tests::random::Rng;
use rivulet_tests::{Kind, Server, wait};

use crate::proxy::Proxy;
use crate::syncs::{Counted, Excuse, Syncs};
use crate::writers::{DEADLINE_MS, Writers};

/// How often a master sends a heartbeat.
pub const PING_SECONDS: &str = "2";

pub struct Node {
    pub server: Server,
    /// The index of its master; the root has none.
    pub above: Option<usize>,
    /// The port that it was told to follow: its master's, or that of a proxy.
    port_above: u16,
    proxy: Option<Proxy>,
    syncs: Syncs,
    /// While it has one it does not stand where the others do.
    pub excuse: Option<Excuse>,
}

pub struct Fleet {
    pub nodes: Vec<Node>,
    pub writers: Writers,
    pub rng: Rng,
    /// The syncs of each node before the first event.
    before: Vec<Counted>,
    happened: BTreeMap<&'static str, u32>,
}

impl Fleet {
    /// A master, two replicas, one below the first of them, and a Redis.
    pub fn start(mut rng: Rng, seed: u64) -> Fleet {
        let mut nodes: Vec<Node> = Vec::new();
        for above in [None, Some(0), Some(0), Some(1)] {
            let fsync = if rng.u8(..3) == 0 { "always" } else { "everysec" };
            let args = ["--appendonly", "yes", "--appendfsync", fsync, "--repl-backlog-size", "64kb"];
            nodes.push(Node::start(Kind::Rivulet, &args, above));
        }
        if Kind::Redis7.is_there() {
            nodes.push(Node::start(Kind::Redis7, &[], Some(0)));
        }
        let writers = Writers::start(nodes[0].server.port, seed);
        let mut fleet = Fleet { nodes, writers, rng, before: Vec::new(), happened: BTreeMap::new() };
        for index in 1..fleet.nodes.len() {
            let above = fleet.nodes[index].above.expect("only the first has no master");
            fleet.follow(index, above);
            fleet.nodes[index].server.wait_for_link();
            wait::until("a new replica stands where the others do", || fleet.settle(index));
            fleet.judge();
        }
        fleet.before = fleet.nodes.iter().map(|node| node.syncs.counted).collect();
        fleet
    }

    pub fn say(&mut self, what: &'static str, index: usize, more: impl std::fmt::Display) {
        *self.happened.entry(what).or_default() += 1;
        println!("soak: {:?} {index} {what} {more}", self.nodes[index].server.kind);
    }

    pub fn root(&self) -> usize {
        self.nodes.iter().position(|node| node.above.is_none()).expect("one is the master")
    }

    /// All that are not Redis.
    pub fn ours(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|index| self.nodes[*index].server.kind == Kind::Rivulet).collect()
    }

    pub fn pick(&mut self, from: &[usize]) -> Option<usize> {
        self.rng.choice(from).copied()
    }

    /// The writers go to this node.
    pub fn write_to(&self, index: Option<usize>) {
        let port = index.map_or(0, |index| self.nodes[index].server.port);
        self.writers.route.port.store(port, Ordering::SeqCst);
    }

    /// Every full sync since the last time had a reason, and no writer has missed something.
    pub fn judge(&mut self) {
        self.writers.assert_well();
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            if let Err(why) = node.syncs.judge(&mut node.excuse) {
                let above = node.above.map_or(String::new(), |above| self.nodes[above].server.log());
                panic!("node {index} had a full sync without a reason: {why}\nits master's log:\n{above}");
            }
        }
    }

    /// A node that has caught up needs no excuse any more: its link is up, its files hold its data, and nobody misses what it does not have.
    pub fn settle(&mut self, index: usize) -> bool {
        if self.nodes[index].excuse.is_some() {
            self.judge();
            let first = self.nodes[index].server.count("repl_backlog_first_byte_offset");
            let node = &mut self.nodes[index];
            let has_files = node.server.kind != Kind::Rivulet
                || node.server.info("aof_rewrite_in_progress") == "0"
                    && node.server.info("aof_rewrite_scheduled") == "0";
            let up = node.above.is_none() || node.server.info("master_link_status") == "up";
            let ours = node.server.kind == Kind::Rivulet;
            // Who has nothing misses nothing.
            let has_some = |other: &usize| !self.nodes[*other].excuse.is_some_and(|excuse| excuse.blank);
            let followers = if ours { self.ours().into_iter().filter(has_some).collect() } else { Vec::new() };
            let reached =
                |fleet: &mut Fleet, other: usize| fleet.nodes[other].server.count("master_repl_offset") >= first;
            if has_files && up && followers.into_iter().all(|other| reached(self, other)) {
                self.nodes[index].excuse = None;
            }
        }
        self.nodes[index].excuse.is_none()
    }

    pub fn all_of_ours_settle(&mut self) -> bool {
        self.ours().into_iter().all(|index| self.settle(index))
    }

    pub fn event(&mut self) {
        let (all, ours): (Vec<usize>, _) = ((0..self.nodes.len()).collect(), self.ours());
        all.iter().for_each(|index| _ = self.settle(*index));
        let (index, own) = (self.rng.usize(0..all.len()), self.rng.usize(0..ours.len()));
        match self.rng.u8(0..32) {
            0..7 => self.end_node(own, false),
            // Who has no files of its new data yet refuses to end, as Redis does.
            7..9 => self.end_node(own, self.nodes[own].excuse.is_none()),
            9..11 => self.stop(index),
            11..14 => self.cut(index),
            14..18 => self.cut_in_the_stream(index),
            18..20 => {
                self.say("rewrites its files", own, "");
                // One may be under way.
                self.nodes[own].server.call("BGREWRITEAOF");
            }
            20..22 => self.fail_over(),
            22 => self.switch(false),
            23 => self.switch(true),
            24..26 => self.promote_after_a_crash(),
            26..28 => self.there_and_back(own),
            28..30 => self.go_elsewhere(index),
            30 => self.verify(),
            _ => self.end_redis(),
        }
    }

    /// Goes below another node, half of the times through a proxy.
    pub fn follow(&mut self, index: usize, above: usize) {
        let port = self.way_to(index, above);
        self.nodes[index].server.must(&format!("REPLICAOF 127.0.0.1 {port}"));
    }

    fn way_to(&mut self, index: usize, above: usize) -> u16 {
        let port = self.nodes[above].server.port;
        let proxy = self.rng.bool().then(|| Proxy::to(port));
        let node = &mut self.nodes[index];
        node.port_above = proxy.as_ref().map_or(port, |proxy| proxy.port);
        (node.above, node.proxy) = (Some(above), proxy);
        node.port_above
    }

    /// A node is killed, or ends well, and starts again in the role that it had.
    pub fn end_node(&mut self, index: usize, clean: bool) {
        self.say(if clean { "ends and starts" } else { "is killed and starts" }, index, "");
        match clean {
            true => self.nodes[index].server.shutdown(""),
            false => self.nodes[index].server.kill(),
        }
        self.start_again(index);
    }

    fn start_again(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        match node.above {
            Some(_) => node.server.launch_with(&["--replicaof", "127.0.0.1", &node.port_above.to_string()]),
            None => node.server.launch(),
        }
    }

    /// Starts a node that is not running, below another.
    pub fn start_below(&mut self, index: usize, above: usize) {
        self.way_to(index, above);
        self.start_again(index);
    }

    /// A Redis that ends well knows where it was; one that is killed, and whose file is gone, knows nothing.
    fn end_redis(&mut self) {
        let Some(index) = self.nodes.iter().position(|node| node.server.kind == Kind::Redis7) else { return };
        let knows = self.nodes[index].excuse.is_none() && self.rng.bool();
        self.say(if knows { "ends and starts" } else { "is killed and starts" }, index, "");
        let node = &mut self.nodes[index];
        if knows {
            node.server.shutdown("SAVE");
        } else {
            node.server.kill();
            let fork = node.excuse.and_then(|excuse| excuse.fork);
            node.excuse = Some(Excuse { blank: true, fork });
            let _ = std::fs::remove_file(node.server.dir.path().join("dump.rdb"));
        }
        self.start_again(index);
    }

    /// A node stands still for a while, as a machine that swaps.
    fn stop(&mut self, index: usize) {
        self.say("stands still", index, "");
        let pid = self.nodes[index].server.pid().to_string();
        let signal = |name: &str| rivulet_tests::process::run("kill", &[name, &pid]);
        signal("-STOP");
        wait::pause(Duration::from_millis(self.rng.u64(200..2_500)));
        signal("-CONT");
    }

    /// The connection ends, at one end.
    fn cut(&mut self, index: usize) {
        let side = if self.rng.bool() { "replica" } else { "master" };
        self.say("cuts its links", index, format_args!("with its {side}"));
        self.nodes[index].server.must(&format!("CLIENT KILL TYPE {side}"));
    }

    /// The connection to its master ends after any byte.
    fn cut_in_the_stream(&mut self, index: usize) {
        let bytes = self.rng.u64(0..3000);
        let Some(proxy) = &self.nodes[index].proxy else { return };
        proxy.cut_after(bytes);
        self.say("is cut off", index, format_args!("after {bytes} bytes"));
    }

    /// The root hands its role over to one of our replicas right below it.
    fn fail_over(&mut self) {
        let root = self.root();
        let below: Vec<usize> =
            self.ours().into_iter().filter(|index| self.nodes[*index].above == Some(root)).collect();
        let Some(target) = self.pick(&below).filter(|_| self.all_of_ours_settle()) else { return };
        self.say("hands its role over", root, format_args!("to {target}"));
        self.nodes[target].server.wait_for_link();
        let port = self.nodes[target].server.port;
        let server = &mut self.nodes[root].server;
        let reply = server.call(&format!("FAILOVER TO 127.0.0.1 {port} TIMEOUT 5000"));
        if reply.is_error() {
            return self.say("does not", root, format_args!("{reply:?}"));
        }
        wait::until("the hand-over ends", || server.info("master_failover_state") == "no-failover");
        if server.info("role") == "slave" {
            let old = &mut self.nodes[root];
            (old.above, old.port_above, old.proxy) = (Some(target), port, None);
            self.has_no_master(target);
            self.write_to(Some(target));
        }
    }

    pub fn has_no_master(&mut self, index: usize) {
        (self.nodes[index].above, self.nodes[index].proxy) = (None, None);
    }

    /// A replica becomes a master for a moment and has written nothing when it is a replica again.
    fn there_and_back(&mut self, index: usize) {
        if self.nodes[index].above.is_none() {
            return;
        }
        self.say("is a master for a moment", index, "");
        let port = self.nodes[index].port_above;
        let commands = ["MULTI", "REPLICAOF NO ONE", &format!("REPLICAOF 127.0.0.1 {port}"), "EXEC"];
        commands.iter().for_each(|command| _ = self.nodes[index].server.must(*command));
    }

    /// A replica without replicas goes below another node that stands where all do.
    fn go_elsewhere(&mut self, index: usize) {
        if self.nodes[index].above.is_none() || self.nodes.iter().any(|node| node.above == Some(index)) {
            return;
        }
        let fits = |other: &usize| *other != index && self.nodes[*other].excuse.is_none();
        let others: Vec<usize> = self.ours().into_iter().filter(fits).collect();
        let Some(other) = self.pick(&others) else { return };
        self.say("goes elsewhere", index, format_args!("below {other}"));
        // Who is ahead of its new master would have to take all from it.
        self.nodes[index].server.must("REPLICAOF 127.0.0.1 1");
        let has = self.nodes[index].server.count("master_repl_offset");
        let server = &mut self.nodes[other].server;
        wait::until("it has as much", || server.count("master_repl_offset") >= has);
        self.follow(index, other);
    }

    /// Whoever can say it has what the root has, while writes go on.
    fn verify(&mut self) {
        let root = self.root();
        let reply = self.nodes[root].server.must("REPLICATION VERIFY ALL TIMEOUT 20000");
        let replicas = reply.field("replicas").map_or(&[][..], |replicas| replicas.items());
        let words: Vec<String> = replicas.iter().filter_map(|node| Some(node.field("equal")?.text())).collect();
        self.say("compares", root, words.join(", "));
        assert!(!words.iter().any(|word| word == "no"), "{reply:?}");
    }

    /// All writers end, all nodes catch up and have the same data.
    pub fn end(mut self) {
        let writers = std::mem::replace(&mut self.writers, Writers::none());
        writers.stop();
        let root = self.root();
        for index in (0..self.nodes.len()).filter(|index| *index != root) {
            self.nodes[index].server.wait_for_link();
        }
        wait::pause(Duration::from_millis(DEADLINE_MS.into()));
        let mut digests = Vec::new();
        let equal = wait::within(wait::PATIENCE, || {
            digests = self.nodes.iter_mut().map(|node| node.server.must("DEBUG DIGEST").text()).collect();
            digests.iter().all(|digest| *digest == digests[0])
        });
        assert!(equal, "the data are not the same: {digests:?}");
        self.judge();
        println!("soak: {:?}", self.happened);
        for (index, (node, before)) in self.nodes.iter().zip(&self.before).enumerate() {
            let (kind, now) = (node.server.kind, node.syncs.counted);
            let (blank, past_fork) = (now.blank - before.blank, now.past_fork - before.past_fork);
            let partial = now.partial - before.partial;
            println!(
                "soak: {kind:?} {index}: {partial} partial syncs; full ones: {past_fork} past a fork, {blank} with nothing"
            );
        }
    }
}

impl Node {
    fn start(kind: Kind, args: &[&str], above: Option<usize>) -> Node {
        let server = Server::start(
            kind,
            &[&["--repl-timeout", "10", "--repl-ping-replica-period", PING_SECONDS], args].concat(),
        );
        let syncs = Syncs::of(server.dir.path().join("log"));
        let excuse = above.map(|_| Excuse { blank: true, fork: None });
        Node { server, above, port_above: 0, proxy: None, syncs, excuse }
    }
}
