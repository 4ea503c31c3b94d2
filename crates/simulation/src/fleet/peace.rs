//! The end of a run: nothing goes wrong any more, everything must come to be the same, and what is asked for at rest must hold at once.

use super::trouble::HELD_WRITES;
use super::{Fleet, OBSERVED_US};
use crate::client::{Client, Reply};
use crate::invariants::Broken;
use crate::network::HostId;
use crate::writer::{BURST_BYTES, Writer};

/// A server that has nothing else to do answers within this time.
const REST_US: u64 = 800_000;
/// So long a shutdown or a failover may take that was asked for late.
const LATE_ORDERS_US: u64 = 15_000_000;
/// All must be the same within this time of peace.
const PEACE_US: u64 = 180_000_000;
/// A pause in which nothing may move, and when it is told to evict keys: it was looked at before, and is again.
const PAUSE_MS: u64 = 2_000;
const EVICTS_AFTER_US: u64 = 700_000;
const EVICTS_FOR_US: u64 = 700_000;
/// A sync is due within this time, and one that fails was tried.
const SYNC_MS: &str = "2500";
/// A disk that failed is tried anew within this time.
const SYNC_TRIED_US: u64 = 2_500_000;
/// A disk that works again has taken all within this time: a rewrite that has failed again and again waits for a minute or two.
const HEALED_MS: &str = "250000";
const HEALED_US: u64 = 260_000_000;
/// A replica that is told to follow another one has left its master within this time.
const LINKED_US: u64 = 1_000_000;
/// How slowly a replica is sent what is held for it, and for how long. What the network takes at once arrives before a link times out.
pub(super) const HELD_US_PER_KIB: u64 = 30_000;
const HELD_US: u64 = 1_500_000;

impl Fleet {
    pub(super) fn make_peace(&mut self) {
        self.schedule.shared.say(|| "* peace".into());
        self.later.clear();
        (0..self.plan.nodes).for_each(|host| self.expect_nothing_of(host));
        self.resumes.forget();
        let now_us = self.schedule.now_us();
        let shared = self.schedule.shared.clone();
        shared.network.borrow_mut().unblock_all(now_us);
        shared.network.borrow_mut().speed_up_all();
        for host in 0..self.plan.nodes {
            shared.network.borrow_mut().misend(host, false);
            self.schedule.host(host).disk.lock().faults = Default::default();
            self.schedule.pause(host, false);
            self.operator[host].hang_up(&shared);
            if self.schedule.is_up(host) {
                // One that waits for its replicas to end would end when all have come to be the same.
                self.order(host, &["SHUTDOWN", "ABORT"]);
                match self.following[host] {
                    Some(master) => self.follow(host, master),
                    None => self.order(host, &["REPLICAOF", "NO", "ONE"]),
                }
            } else {
                self.start(host);
            }
        }
        self.writers.iter_mut().for_each(|writer| writer.rests = true);
    }

    pub(super) fn converge(&mut self) -> Result<(), Broken> {
        let end_us = self.schedule.now_us() + PEACE_US;
        let mut arranged_us = self.schedule.now_us();
        // With `appendfsync always` a disk that refused just now ends a server; it starts again.
        let mut starts = vec![2; self.plan.nodes];
        // Servers that were told to end, or to hand over, while they were stopped do so only now.
        let waits_us = if self.told_while_stopped { LATE_ORDERS_US } else { 0 };
        let from_us = self.schedule.now_us() + waits_us;
        while self.schedule.now_us() < from_us || !self.is_one() {
            // During a failover they obey nobody.
            if self.schedule.now_us() > arranged_us + 8_000_000 {
                arranged_us = self.schedule.now_us();
                self.arrange();
            }
            if self.schedule.now_us() > end_us {
                return Err(format!("after {} s of peace: {:#?}", PEACE_US / 1_000_000, self.last_sights));
            }
            self.tick()?;
            for (host, left) in starts.iter_mut().enumerate() {
                if !self.schedule.is_up(host) {
                    if self.schedule.statuses[host] != 0 {
                        if *left == 0 {
                            return Err(format!("server {host} does not start"));
                        }
                        *left -= 1;
                    }
                    self.start(host);
                }
            }
        }
        Ok(())
    }

    /// Whether all stand at the same place, lately.
    fn is_one(&self) -> bool {
        let now_us = self.schedule.now_us();
        let Some(master) = self.last_sights.get(&self.master()) else { return false };
        (0..self.plan.nodes).all(|host| self.schedule.is_up(host) && self.last_sights.contains_key(&host))
            && self.writers.iter().all(|writer| writer.client.outstanding == 0)
            && self.last_sights.values().all(|sight| {
                let is_right = sight.is_master == (sight.server == self.master()) && (sight.is_master || sight.link_up);
                // Who says that what it holds is something else need not hold the same.
                let is_same = (&sight.id, sight.offset) == (&master.id, master.offset)
                    && (sight.diverged || sight.digest == master.digest);
                let is_new = sight.at_us + 2 * OBSERVED_US > now_us;
                is_new && is_right && is_same && !sight.loads
            })
    }

    /// Nobody writes any more, and nothing comes by itself: what each is told now it answers by itself, too.
    pub(super) fn rest(&mut self) -> Result<(), Broken> {
        let no_pause_us = self.paused_until_us.iter().max().map_or(0, |us| us + 1_000_000);
        while self.schedule.now_us() < no_pause_us.max(self.hands_over_until_us) {
            self.tick()?;
        }
        for (policy, waits_ms) in [("no", 50), ("always", 0), ("everysec", 50), ("always", 0)] {
            for host in 0..self.plan.nodes {
                self.order(host, &["CONFIG", "SET", "repl-ping-replica-period", "100000"]);
                self.order(host, &["CONFIG", "SET", "appendfsync", policy]);
            }
            let end_us = self.schedule.now_us() + REST_US;
            while self.operator.iter().any(|operator| operator.outstanding > 0) {
                if self.schedule.now_us() > end_us {
                    return Err(format!("a server at rest does not answer to CONFIG SET appendfsync {policy}"));
                }
                self.tick()?;
            }
            let master = self.master();
            if waits_ms > 0 {
                self.order(master, &["SET", "w0:rest", policy]);
            }
            self.pass(waits_ms * 1000)?;
        }
        Ok(())
    }

    pub(super) fn look_at_what_was_written(&mut self) -> Result<(), Broken> {
        let shared = self.schedule.shared.clone();
        let master = self.master();
        let mut asked = Vec::new();
        let mut client = Client::new(self.plan.nodes + self.plan.writers + 2, master);
        for (number, writer) in self.writers.iter().enumerate() {
            for (key, register) in &writer.registers {
                client.ask(&["GET", &Writer::register(number, *key)], &shared);
                asked.push((number, *key, *register));
            }
        }
        let values = self.replies_at_rest(&mut client, asked.len(), PEACE_US)?;
        for ((number, key, register), value) in asked.into_iter().zip(values) {
            self.promise.check(number, key, register, value.text().parse().unwrap_or(0))?;
        }
        for number in 0..self.writers.len() {
            let reply = self.ask_at_rest(master, &["SMEMBERS", &Writer::ledger_name(number)], PEACE_US)?;
            let held = reply.text().split_whitespace().filter_map(|member| member.parse().ok()).collect();
            self.promise.check_ledger(number, &self.writers[number].ledger, &held)?;
        }
        Ok(())
    }

    /// Nothing is evicted while writes are paused, however little memory there may be used.
    pub(super) fn pause_at_rest(&mut self) -> Result<(), Broken> {
        let master = self.master();
        self.ask_at_rest(master, &["CONFIG", "SET", "maxmemory-policy", "allkeys-random"], REST_US)?;
        let asked_us = self.schedule.now_us();
        self.ask_at_rest(master, &["CLIENT", "PAUSE", &PAUSE_MS.to_string(), "WRITE"], REST_US)?;
        self.pauses.begun(master, asked_us, self.schedule.now_us(), PAUSE_MS);
        self.pass(EVICTS_AFTER_US)?;
        self.ask_at_rest(master, &["CONFIG", "SET", "maxmemory", "1"], REST_US)?;
        self.pass(EVICTS_FOR_US)?;
        self.ask_at_rest(master, &["CONFIG", "SET", "maxmemory", "0"], REST_US)?;
        self.pauses.ended(master);
        self.ask_at_rest(master, &["CLIENT", "UNPAUSE"], REST_US).map(drop)
    }

    /// What a sync did not make durable is not called so before it was written again.
    pub(super) fn fail_to_sync(&mut self) -> Result<(), Broken> {
        let master = self.master();
        if self.plan.appendfsync[master].is_none() {
            return Ok(());
        }
        self.ask_at_rest(master, &["CONFIG", "SET", "appendfsync", "everysec"], REST_US)?;
        self.schedule.host(master).disk.lock().faults.fails_syncs = true;
        let mut client = Client::new(self.plan.nodes + self.plan.writers + 2, master);
        for (fails, patience_ms) in [(true, SYNC_MS), (false, HEALED_MS)] {
            client.ask(&["SET", "w0:rest", if fails { "lost?" } else { "kept" }], &self.schedule.shared);
            client.ask(&["WAITAOF", "1", "0", patience_ms], &self.schedule.shared);
            let replies = self.replies_at_rest(&mut client, 2, HEALED_US)?;
            let is_durable = match &replies[1] {
                Reply::Array(counts) => counts.first() == Some(&Reply::Int(1)),
                other => return Err(format!("WAITAOF is answered by {other:?}")),
            };
            // A sync that failed before this write has it refused, so that there is nothing to wait for.
            let is_refused = fails && replies[0].is_error();
            if !is_refused && (replies[0].is_error() || is_durable == fails) {
                return Err(format!(
                    "syncs fail: {fails}, SET is answered by {:?}, and WAITAOF by {:?}",
                    replies[0], replies[1]
                ));
            }
            self.schedule.host(master).disk.lock().faults.fails_syncs = false;
            // It is noticed when it is tried.
            self.pass(SYNC_TRIED_US)?;
        }
        Ok(())
    }

    /// A replica that is slow, but within its limits, misses nothing: what it needs is held for it, though it has left the backlog and is in no file.
    pub(super) fn fall_behind(&mut self) -> Result<(), Broken> {
        let (holder, replica) = self.without_files();
        for host in 0..self.plan.nodes {
            self.ask_at_rest(host, &["CONFIG", "SET", "repl-ping-replica-period", "1"], REST_US)?;
        }
        self.ask_at_rest(holder, &["CONFIG", "SET", "repl-backlog-size", "16kb"], REST_US)?;
        // What was seen before may be of the links before.
        self.pass(LINKED_US)?;
        self.converge()?;
        let (shared, now_us) = (self.schedule.shared.clone(), self.schedule.now_us());
        if let Some(sight) = self.last_sights.get(&replica) {
            self.resumes.expect(sight, now_us);
        }
        shared.network.borrow_mut().slow_down(holder, replica, HELD_US_PER_KIB);
        let mut client = Client::new(self.plan.nodes + self.plan.writers + 2, self.master());
        for _ in 0..HELD_WRITES {
            client.ask(&["SET", "w0:rest", &"x".repeat(BURST_BYTES)], &shared);
        }
        self.replies_at_rest(&mut client, HELD_WRITES, REST_US)?;
        // Files that begin only now hold nothing of what it lacks.
        self.ask_at_rest(holder, &["CONFIG", "SET", "appendonly", "yes"], REST_US)?;
        self.pass(HELD_US)?;
        shared.network.borrow_mut().speed_up_all();
        self.converge()
    }

    /// A node that never had its log on disk, if there is one, and one that follows it from now on.
    fn without_files(&mut self) -> (HostId, HostId) {
        let master = self.master();
        let has_none = |host: HostId| {
            let words = &self.plan.args[host];
            self.plan.appendfsync[host].is_none() && words.windows(2).any(|w| w == ["--repl-backlog-disk-size", "0"])
        };
        let holder = (0..self.plan.nodes).find(|host| has_none(*host)).unwrap_or(master);
        let replica = (0..self.plan.nodes).find(|host| *host != master && *host != holder).unwrap_or(master);
        if holder != master {
            self.follow_another(holder, master);
        }
        self.follow_another(replica, holder);
        (holder, replica)
    }

    fn ask_at_rest(&mut self, host: HostId, words: &[&str], patience_us: u64) -> Result<Reply, Broken> {
        let mut client = Client::new(self.plan.nodes + self.plan.writers + 2, host);
        client.ask(words, &self.schedule.shared);
        let reply = self.replies_at_rest(&mut client, 1, patience_us)?.swap_remove(0);
        client.hang_up(&self.schedule.shared);
        match reply {
            Reply::Error(text) => Err(format!("{words:?} is answered by {text}")),
            reply => Ok(reply),
        }
    }

    fn replies_at_rest(&mut self, client: &mut Client, count: usize, patience_us: u64) -> Result<Vec<Reply>, Broken> {
        let mut replies = Vec::new();
        let end_us = self.schedule.now_us() + patience_us;
        while replies.len() < count {
            if self.schedule.now_us() > end_us {
                return Err(format!("server {} does not answer at rest", client.server));
            }
            self.tick()?;
            replies.extend(client.poll(&self.schedule.shared)?);
        }
        Ok(replies)
    }

    fn pass(&mut self, us: u64) -> Result<(), Broken> {
        let until_us = self.schedule.now_us() + us;
        while self.schedule.now_us() < until_us {
            self.tick()?;
        }
        Ok(())
    }
}
