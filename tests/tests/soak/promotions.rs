//! REPLICAOF NO ONE: a new master, with the old one dead, silent, or writing on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rivulet_tests::{Kind, wait};

use crate::fleet::{Fleet, PING_SECONDS};

impl Fleet {
    /// The master is killed under load. Who has most of its stream takes over, as Sentinel decides; the old one comes back as a replica.
    /// What it had beyond the fork is lost, and only who has such bytes may need a full sync.
    pub fn promote_after_a_crash(&mut self) {
        if !self.all_of_ours_settle() {
            return;
        }
        let root = self.root();
        self.write_to(None);
        self.nodes[root].server.kill();
        self.writers.route.losses.fetch_add(1, Ordering::SeqCst);
        for index in (0..self.nodes.len()).filter(|index| *index != root) {
            if self.nodes[index].above == Some(root) {
                let server = &mut self.nodes[index].server;
                wait::until("the link is down", || server.info("master_link_status") == "down");
            }
        }
        let others: Vec<usize> = self.ours().into_iter().filter(|index| *index != root).collect();
        let offsets: Vec<i64> =
            others.iter().map(|index| self.nodes[*index].server.count("master_repl_offset")).collect();
        let most = offsets.iter().max().expect("there are replicas");
        let best: Vec<usize> =
            others.iter().zip(&offsets).filter(|(_, at)| *at == most).map(|(index, _)| *index).collect();
        let target = self.pick(&best).expect("one has most");
        let fork = self.promote(target);
        self.say("takes over after a crash", target, format_args!("of {root}, at {fork}"));
        assert_eq!(fork as i64, *most, "a replica without a master has grown");
        self.excuse_beyond(root, fork);
        if let Some(redis) = self.nodes.iter().position(|node| node.server.kind == Kind::Redis7) {
            self.excuse_beyond(redis, fork);
        }
        self.send_below(root, target);
        self.start_below(root, target);
        self.go_on_with(target);
    }

    /// The master is silenced, a replica that has all takes over, the old one follows it. With `split` the old one is written to
    /// meanwhile: then it has a past of its own, and it alone needs a full sync.
    pub fn switch(&mut self, split: bool) {
        let root = self.root();
        let others: Vec<usize> = self.ours().into_iter().filter(|index| *index != root).collect();
        let Some(target) = self.pick(&others).filter(|_| self.all_of_ours_settle()) else { return };
        self.write_to(None);
        let master = &mut self.nodes[root].server;
        // Its heartbeats would be bytes that nobody else has.
        master.must("CONFIG SET repl-ping-replica-period 3600");
        master.must("CLIENT PAUSE 60000 WRITE");
        // Whoever asked for acknowledgements before is asked for now.
        wait::pause(Duration::from_millis(100));
        let silent_at = master.count("master_repl_offset");
        for index in others {
            let server = &mut self.nodes[index].server;
            wait::until("all have what the master has", || server.count("master_repl_offset") >= silent_at);
        }
        let fork = self.promote(target);
        self.say(
            if split { "takes over too early" } else { "takes over" },
            target,
            format_args!("from {root}, at {fork}"),
        );
        self.send_below(root, target);
        let master = &mut self.nodes[root].server;
        if split {
            master.must("CLIENT UNPAUSE");
            (0..20).for_each(|n| _ = master.must(&format!("SET lost:{n} {fork}")));
            // Whoever still waited to write has written where it is lost.
            self.writers.route.losses.fetch_add(1, Ordering::SeqCst);
        }
        // Or a WAIT put a GETACK into the stream, which nobody else has.
        if master.count("master_repl_offset") > fork as i64 {
            self.excuse_beyond(root, fork);
        }
        self.follow(root, target);
        let master = &mut self.nodes[root].server;
        master.must("CLIENT UNPAUSE");
        master.must(&format!("CONFIG SET repl-ping-replica-period {PING_SECONDS}"));
        self.go_on_with(target);
    }

    /// REPLICAOF NO ONE; answers the offset up to which its stream is shared.
    fn promote(&mut self, target: usize) -> u64 {
        let server = &mut self.nodes[target].server;
        let id = server.info("master_replid");
        server.must("REPLICAOF NO ONE");
        assert_eq!(server.info("master_replid2"), id, "the former id is the one that it had");
        let fork = server.count("second_repl_offset") - 1;
        self.has_no_master(target);
        fork as u64
    }

    fn excuse_beyond(&mut self, index: usize, fork: u64) {
        let excuse = self.nodes[index].excuse.get_or_insert_default();
        excuse.fork = Some(excuse.fork.map_or(fork, |earlier| earlier.min(fork)));
    }

    /// Who was right below the old master goes below the new one.
    fn send_below(&mut self, root: usize, target: usize) {
        for index in 0..self.nodes.len() {
            if self.nodes[index].above == Some(root) {
                self.follow(index, target);
            }
        }
    }

    /// The writers go to the new master, which may be killed right away.
    fn go_on_with(&mut self, target: usize) {
        self.write_to(Some(target));
        if self.rng.u8(..3) == 0 {
            self.end_node(target, false);
        }
    }
}
