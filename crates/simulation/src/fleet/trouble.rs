//! What happens to a fleet, and what it is then expected to do.

use rivulet_aof::sums;

use super::peace::HELD_US_PER_KIB;
use super::{Fleet, Later};
use crate::client::PORT;
use crate::disk::Faults;
use crate::invariants::Broken;
use crate::invariants::offered::Offered;
use crate::network::{HostId, ip};
use crate::observer::Sight;
use crate::plan::Trouble;
use crate::reader::Reader;
use crate::schedule::Loss;
use crate::writer::BURST;

/// A master gives up to hand over after so long.
const HAND_OVER_MS: u64 = 2000;
/// Large writes that are held for a replica.
pub(super) const HELD_WRITES: usize = 35;

impl Fleet {
    pub(super) fn make(&mut self, trouble: Trouble) {
        let mut host = self.rng.usize(..self.plan.nodes);
        if trouble == Trouble::EndBehind && self.rng.bool() {
            host = self.master();
        }
        if !matches!(trouble, Trouble::ClientPause | Trouble::Bgsave | Trouble::Quiet | Trouble::Maxmemory) {
            self.offered.retain(|offered| offered.replica() != host);
        }
        self.expect_to_resume(host, trouble);
        *self.troubles.entry(format!("{trouble:?}")).or_default() += 1;
        self.schedule.shared.say(|| format!("* {trouble:?} {host}"));
        match trouble {
            Trouble::Kill | Trouble::PowerLoss if self.schedule.is_up(host) => self.crash(host, trouble),
            Trouble::Kill | Trouble::PowerLoss => {}
            Trouble::CleanEnd => self.end_cleanly(host),
            Trouble::Cut => {
                let other = self.following[host].unwrap_or(0);
                let sockets = self.schedule.shared.network.borrow().between(host, other);
                sockets.into_iter().for_each(|socket| self.schedule.shared.network.borrow_mut().cut(socket));
            }
            Trouble::Block => self.block(host),
            Trouble::Stop => {
                self.schedule.pause(host, true);
                self.undo_in(50, 9_000, Later::GoOn(host));
            }
            Trouble::Promote => self.promote(host),
            Trouble::Split => self.split(host),
            Trouble::Rehang => self.rehang(host),
            Trouble::ClientPause => self.pause_clients(host),
            Trouble::Failover => self.fail_over(host),
            Trouble::Garbage => {
                // It comes between two commands when there are none.
                self.rest_writers();
                self.undo_in(300, 600, Later::Garbage(host));
                self.undo_in(1_500, 2_500, Later::Work);
            }
            Trouble::OddTransaction => self.odd_transaction(host),
            Trouble::Maxmemory => self.limit_memory(host),
            Trouble::Policy => self.change_policy(host),
            Trouble::Bgsave => self.order(host, &["BGSAVE"]),
            Trouble::Rewrite => self.order(host, &["BGREWRITEAOF"]),
            Trouble::DiskFull => self.spoil_disk(host, |faults| faults.capacity = Some(0)),
            Trouble::SyncFails => {
                self.spoil_disk(host, |faults| faults.fails_syncs = true);
                // What such a disk calls clean is lost when the power goes.
                if self.rng.bool() {
                    self.undo_in(20, 1_500, Later::LosePower(host));
                }
            }
            Trouble::DiskSlow => self.spoil_disk(host, |faults| (faults.write_us, faults.sync_us) = (2_000, 300_000)),
            Trouble::ClockStep => {
                let step = self.rng.i64(-3_600_000_000..3_600_000_000);
                let ahead = &self.schedule.host(host).wall_ahead_us;
                ahead.set(ahead.get() + step);
            }
            Trouble::Burst => self.burst(),
            Trouble::Loop => self.make_loop(),
            Trouble::WrongMark => self.misend(host),
            Trouble::Trickle => self.trickle(host),
            Trouble::Flood => self.flood(host),
            Trouble::EndBehind => self.end_behind(host),
            Trouble::HeldBehind => self.hold_behind(host),
            Trouble::SlowReader => {
                let until_us = self.schedule.now_us() + self.rng.u64(200..2_000) * 1000;
                self.readers.push(Reader::new(self.plan.nodes + self.plan.writers + 4, host, until_us));
            }
            Trouble::Quiet => {
                self.rest_writers();
                self.undo_in(300, 1_500, Later::Work);
            }
        }
    }

    pub(super) fn burst(&mut self) {
        let shared = self.schedule.shared.clone();
        self.writers.iter_mut().for_each(|writer| writer.burst(BURST, &shared));
    }

    /// A lot is written, again and again.
    fn burst_often(&mut self) {
        (0..6).for_each(|i| self.undo_in(100 * i, 200 * i + 1, Later::Burst));
    }

    /// What a replica is sent comes as slowly as can be, while a lot is written.
    fn trickle(&mut self, host: HostId) {
        let Some(master) = self.following[host] else { return };
        let us_per_kib = self.rng.u64(20_000..100_000);
        self.schedule.shared.network.borrow_mut().slow_down(master, host, us_per_kib);
        if self.rng.bool() {
            self.sync_anew(host);
        }
        self.burst_often();
        self.undo_in(1_500, 8_000, Later::SpeedUp);
    }

    /// A server ends whose disk has yet to take what others could have been sent.
    fn end_behind(&mut self, host: HostId) {
        let mut disk = self.schedule.host(host).disk.lock();
        (disk.faults.write_us, disk.faults.sync_us) = (20_000, 50_000);
        drop(disk);
        self.undo_in(50, 500, Later::Crash(host));
    }

    /// It loses its power, if it syncs all that it acknowledges, or its process is killed.
    pub(super) fn crash_behind(&mut self, host: HostId) {
        if self.schedule.is_up(host) {
            let syncs = self.plan.appendfsync[host] == Some("always");
            self.crash(host, if syncs { Trouble::PowerLoss } else { Trouble::Kill });
        }
        self.schedule.host(host).disk.lock().faults = Faults::default();
    }

    /// What is written while a replica is sent next to nothing is more than the network takes and the backlog, and less than may be held for it.
    fn hold_behind(&mut self, host: HostId) {
        let Some(master) = self.following[host] else { return };
        let shared = self.schedule.shared.clone();
        shared.network.borrow_mut().slow_down(master, host, HELD_US_PER_KIB);
        if let Some(writer) = self.writers.first_mut() {
            writer.burst(HELD_WRITES, &shared);
        }
        // Files that begin only now hold nothing of what it lacks.
        if self.plan.appendfsync[master].is_none() {
            self.undo_in(100, 400, Later::AppendOnly(master, true));
            self.undo_in(3_000, 5_000, Later::AppendOnly(master, false));
        } else {
            self.undo_in(100, 400, Later::Rewrite(master));
        }
        self.undo_in(1_000, 2_000, Later::SpeedUp);
    }

    /// A replica's disk is full while a lot is written.
    fn flood(&mut self, host: HostId) {
        if self.following[host].is_none() {
            return;
        }
        self.spoil_disk(host, |faults| faults.capacity = Some(0));
        self.burst_often();
    }

    /// A master follows one of its own replicas, which is refused, and is a master again.
    fn make_loop(&mut self) {
        let master = self.master();
        let below: Vec<HostId> = (0..self.plan.nodes).filter(|i| self.following[*i].is_some()).collect();
        let Some(&other) = self.rng.choice(&below) else { return };
        self.end_promise("a master followed another node");
        (0..self.plan.nodes).for_each(|i| self.expect_nothing_of(i));
        self.order(master, &["REPLICAOF", &ip(other).to_string(), &PORT.to_string()]);
        self.undo_in(1_000, 5_000, Later::Arrange);
    }

    /// A replica that needs all of its master's data is sent a snapshot that ends with a wrong mark.
    fn misend(&mut self, host: HostId) {
        let Some(master) = self.following[host] else { return };
        // One that is sent from a file has a length and no mark.
        self.order(master, &["CONFIG", "SET", "repl-diskless-sync", "yes"]);
        self.schedule.shared.network.borrow_mut().misend(master, true);
        self.sync_anew(host);
    }

    /// A replica writes something of its own, so that it needs all of its master's data.
    fn sync_anew(&mut self, host: HostId) {
        let Some(master) = self.following[host] else { return };
        (0..self.plan.nodes).for_each(|i| self.expect_nothing_of(i));
        self.order(host, &["REPLICAOF", "NO", "ONE"]);
        self.order(host, &["SET", "own", "1"]);
        self.follow(host, master);
    }

    fn rest_writers(&mut self) {
        self.writers.iter_mut().for_each(|writer| writer.rests = true);
    }

    fn end_cleanly(&mut self, host: HostId) {
        self.expect_nothing_of(host);
        self.order(host, &["SHUTDOWN"]);
        self.rots[host] = self.rng.u8(..4) == 0;
        if self.following[host].is_some() && self.rng.u8(..4) == 0 {
            // It starts as the master.
            self.undo_in(2_000, 3_900, Later::Promote(host));
        }
        self.undo_in(4_000, 8_000, Later::Start(host));
    }

    /// One way of a network's path is closed for a while.
    fn block(&mut self, host: HostId) {
        let other = self.following[host].unwrap_or_else(|| self.rng.usize(..self.plan.nodes));
        let (from, to) = if self.rng.bool() { (host, other) } else { (other, host) };
        self.schedule.shared.network.borrow_mut().block(from, to);
        self.undo_in(100, 12_000, Later::Unblock);
    }

    fn pause_clients(&mut self, host: HostId) {
        let ms = self.rng.u64(50..3_000);
        let mode = if self.rng.u8(..3) > 0 { "WRITE" } else { "ALL" };
        self.paused_until_us[host] = self.schedule.now_us() + (ms + 1_000) * 1000;
        if self.operator[host].outstanding == 0 {
            self.pause_asked[host] = Some((self.schedule.now_us(), ms));
        }
        self.order(host, &["CLIENT", "PAUSE", &ms.to_string(), mode]);
        if self.plan.evicts && self.rng.bool() {
            self.undo_in(100, 600, Later::Limit(host));
        }
    }

    fn limit_memory(&mut self, host: HostId) {
        self.end_promise("keys were evicted");
        let bytes = self.rng.choice([0, 0, 700_000, 1_000_000, 2_000_000]).unwrap_or(0).to_string();
        self.order(host, &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
        self.order(host, &["CONFIG", "SET", "maxmemory", &bytes]);
    }

    fn change_policy(&mut self, host: HostId) {
        let policy = self.rng.choice(["no", "everysec", "always"]).unwrap_or("no");
        if policy != "always" && self.plan.appendfsync[host].is_some() {
            self.plan.appendfsync[host] = Some("everysec");
        }
        self.order(host, &["CONFIG", "SET", "appendfsync", policy]);
    }

    pub(super) fn crash(&mut self, host: HostId, how: Trouble) {
        let is_master = self.master() == host;
        let loss = if how == Trouble::Kill { Loss::Process } else { Loss::Power };
        if is_master && loss == Loss::Power && self.plan.appendfsync[host] != Some("always") {
            self.end_promise("power was lost, and not each write was synced");
        }
        if is_master && loss == Loss::Process {
            self.expect_what_was_offered(host);
        }
        self.histories.killed(host);
        self.schedule.stop(host, loss);
        self.rots[host] = self.rng.u8(..6) == 0 && !self.plan.is_steady;
        self.expect_nothing_of(host);
        if loss == Loss::Power {
            // Nobody tells who waits for a machine that is gone: people see that, and come anew.
            self.hang_up_on(host);
        }
        self.undo_in(10, 4_000, Later::Start(host));
    }

    fn hang_up_on(&mut self, host: HostId) {
        let shared = self.schedule.shared.clone();
        for writer in self.writers.iter_mut().filter(|writer| writer.client.server == host) {
            writer.go_to(host, &shared);
        }
        self.operator[host].hang_up(&shared);
        self.observers[host].client.hang_up(&shared);
    }

    /// A master that is killed in calm times has offered what it acknowledged to the replicas that keep up.
    fn expect_what_was_offered(&mut self, master: HostId) {
        let now_us = self.schedule.now_us();
        let is_calm = !self.plan.evicts
            && !self.troubles.contains_key("Maxmemory")
            && now_us > self.last_trouble_us + 600_000
            && self.later.is_empty()
            && self.schedule.shared.network.borrow().is_open(now_us);
        if !is_calm {
            return;
        }
        for replica in (0..self.plan.nodes).filter(|i| self.following[*i] == Some(master)) {
            let keeps_up = |sight: &Sight| sight.link_up && !sight.loads && sight.at_us + 400_000 > now_us;
            let may_pause = self.pause_asked[replica].is_some() || now_us < self.paused_until_us[replica] + 200_000;
            if self.schedule.is_up(replica) && !may_pause && self.last_sights.get(&replica).is_some_and(keeps_up) {
                let client = self.plan.nodes + self.plan.writers + 3;
                self.offered.push(Offered::new(client, (master, replica), now_us, &self.writers, &self.excused));
            }
        }
    }

    /// Who has kept up in calm times does not begin anew for this.
    fn expect_to_resume(&mut self, host: HostId, trouble: Trouble) {
        if matches!(trouble, Trouble::Quiet | Trouble::Bgsave) {
            return;
        }
        self.resumes.forget();
        let now_us = self.schedule.now_us();
        let has_files = self.plan.appendfsync[host].is_some();
        let happens = self.schedule.is_up(host)
            && match trouble {
                Trouble::Kill | Trouble::EndBehind => has_files,
                Trouble::HeldBehind => self.following[host].is_some(),
                // No replica has what such a master has not synced.
                Trouble::PowerLoss => self.plan.appendfsync[host] == Some("always"),
                Trouble::CleanEnd => has_files && self.following[host].is_some(),
                Trouble::Cut | Trouble::Block | Trouble::Stop => true,
                _ => false,
            };
        let is_calm = self.later.is_empty() && now_us > self.last_trouble_us + 600_000;
        if !happens || !is_calm || self.disks_failed() || !self.schedule.shared.network.borrow().is_open(now_us) {
            return;
        }
        for replica in 0..self.plan.nodes {
            let Some(master) = self.following[replica] else { continue };
            let is_told = replica == host || master == host;
            let is_held = trouble == Trouble::HeldBehind && replica == host;
            if (is_held || is_told && trouble != Trouble::HeldBehind && self.plan.keeps_log[master])
                && self.schedule.is_up(master)
                && self.keeps_up(replica, now_us)
                && let Some(sight) = self.last_sights.get(&replica)
            {
                self.resumes.expect(sight, now_us);
            }
        }
    }

    /// A replica that was seen a moment ago to hold what its position says, and so was each between it and the master: one above that has yet
    /// to resume may need all of the data, and so do those below it then.
    fn keeps_up(&self, replica: HostId, now_us: u64) -> bool {
        let keeps_up =
            |sight: &Sight| sight.link_up && !sight.loads && !sight.diverged && sight.at_us + 400_000 > now_us;
        let mut next = replica;
        // A loop of masters has no end.
        for _ in 0..self.plan.nodes {
            let Some(master) = self.following[next] else { return true };
            if !self.last_sights.get(&next).is_some_and(keeps_up) {
                return false;
            }
            next = master;
        }
        false
    }

    pub(super) fn look_at_offered(&mut self) -> Result<(), Broken> {
        let shared = self.schedule.shared.clone();
        let mut kept = Vec::new();
        for mut offered in std::mem::take(&mut self.offered) {
            if !offered.tick(&shared)? {
                kept.push(offered);
            }
        }
        self.offered = kept;
        Ok(())
    }

    /// What was expected of a server is so no more: something has happened to it.
    pub(super) fn expect_nothing_of(&mut self, host: HostId) {
        self.pauses.ended(host);
        self.pause_asked[host] = None;
        self.offered.retain(|offered| offered.replica() != host);
    }

    /// The master hands over to one of its replicas, if all goes well.
    fn fail_over(&mut self, host: HostId) {
        let master = self.master();
        if self.following[host] != Some(master) {
            return;
        }
        self.end_promise("another node may become the master");
        (0..self.plan.nodes).for_each(|i| self.expect_nothing_of(i));
        let (to, port) = (ip(host).to_string(), PORT.to_string());
        self.order(master, &["FAILOVER", "TO", &to, &port, "TIMEOUT", &HAND_OVER_MS.to_string()]);
        self.hands_over_until_us = self.schedule.now_us() + HAND_OVER_MS * 1000 + 1_000_000;
        // Whatever comes of it, later it is made so.
        self.undo_in(2_500, 4_000, Later::Arrange);
    }

    /// A line that is no array comes on the link of a master, in a time in which nothing else does.
    pub(super) fn send_garbage(&mut self, host: HostId) {
        let Some(master) = self.following[host] else { return };
        let now_us = self.schedule.now_us();
        let garbage: &[u8] = self
            .rng
            .choice([
                &b"SET w0:k0 garbage\r\n"[..],
                b"SET w0:k1 x\r\n",
                b"PING\r\n",
                b"*04\r\n",
                b"x",
                b"$3\r\nfoo\r\n",
            ])
            .unwrap_or(b"x");
        self.schedule.shared.network.borrow_mut().inject(host, master, garbage, 60_000, now_us);
    }

    /// A transaction that writes while it changes the role.
    fn odd_transaction(&mut self, host: HostId) {
        self.end_promise("a server wrote for itself");
        let host = if self.rng.bool() { self.master() } else { host };
        (0..self.plan.nodes).for_each(|i| self.expect_nothing_of(i));
        let other = (host + 1) % self.plan.nodes;
        let (to, port) = (ip(other).to_string(), PORT.to_string());
        let follow = ["REPLICAOF", &to, &port];
        let value = self.schedule.now_us().to_string();
        let (write, alone) = (["SET", "odd", &value], ["REPLICAOF", "NO", "ONE"]);
        let commands: [&[&str]; 3] = match self.rng.u8(..4) {
            0 => [&follow, &write, &alone],
            1 => [&alone, &write, &follow],
            2 => [&write, &follow, &alone],
            _ => [&alone, &follow, &write],
        };
        self.order(host, &["MULTI"]);
        commands.into_iter().for_each(|words| self.order(host, words));
        self.order(host, &["EXEC"]);
        self.undo_in(50, 1_500, Later::Arrange);
    }

    /// Each server is told whom it follows.
    pub(super) fn arrange(&mut self) {
        for host in 0..self.plan.nodes {
            self.expect_nothing_of(host);
            match self.following[host] {
                Some(master) => self.follow(host, master),
                None => self.order(host, &["REPLICAOF", "NO", "ONE"]),
            }
        }
    }

    pub(super) fn promote(&mut self, host: HostId) {
        // One that does not run will be started as the master.
        if self.master() == host {
            return;
        }
        self.end_promise("another node became the master");
        (0..self.plan.nodes).for_each(|i| self.expect_nothing_of(i));
        self.following[host] = None;
        self.order(host, &["REPLICAOF", "NO", "ONE"]);
        for other in 0..self.plan.nodes {
            if other != host && self.following[other].is_none_or(|_| self.rng.bool()) {
                self.follow(other, host);
            }
        }
        // Nobody follows in a circle.
        for other in 0..self.plan.nodes {
            let mut above = other;
            let reaches = (0..=self.plan.nodes).any(|_| match self.following[above] {
                Some(next) => {
                    above = next;
                    false
                }
                None => true,
            });
            if !reaches {
                self.follow(other, host);
            }
        }
        let shared = self.schedule.shared.clone();
        self.writers.iter_mut().for_each(|writer| writer.go_to(host, &shared));
    }

    /// A replica is cut off from its master and becomes one itself, while both are written to.
    fn split(&mut self, host: HostId) {
        let Some(master) = self.following[host] else { return };
        self.end_promise("two nodes were masters");
        (0..self.plan.nodes).for_each(|i| self.expect_nothing_of(i));
        let shared = self.schedule.shared.clone();
        let mut network = shared.network.borrow_mut();
        network.block(host, master);
        network.block(master, host);
        network.between(host, master).into_iter().for_each(|socket| network.cut(socket));
        drop(network);
        self.undo_in(100, 1_500, Later::Reunite(host));
        self.order(host, &["REPLICAOF", "NO", "ONE"]);
        // With two writers there is one on each side, or all write to the old one for now.
        if self.rng.u8(..3) > 0
            && let Some(writer) = self.writers.last_mut()
        {
            writer.go_to(host, &shared);
        }
    }

    /// One of the two is the master of all from here on.
    pub(super) fn reunite(&mut self, host: HostId) {
        let shared = self.schedule.shared.clone();
        shared.network.borrow_mut().unblock_all(self.schedule.now_us());
        if self.rng.bool() {
            self.promote(host);
        } else {
            let master = self.master();
            self.writers.iter_mut().for_each(|writer| writer.go_to(master, &shared));
            self.arrange();
        }
    }

    /// What a replica is sent comes so slowly that it falls behind, and another one, which has more, is told to follow it.
    fn rehang(&mut self, host: HostId) {
        let Some(master) = self.following[host] else { return };
        let others: Vec<HostId> = (0..self.plan.nodes).filter(|other| self.may_follow(*other, host)).collect();
        let Some(&other) = self.rng.choice(&others) else { return };
        self.schedule.shared.network.borrow_mut().slow_down(master, host, 100_000);
        self.undo_in(300, 1_000, Later::Follow(other, host));
        self.undo_in(3_000, 5_000, Later::SpeedUp);
    }

    /// Whether a replica follows another than this node, and is not above it.
    fn may_follow(&self, host: HostId, master: HostId) -> bool {
        let above = |i: HostId| self.following[i];
        let is_above = std::iter::successors(Some(master), |i| above(*i)).take(self.plan.nodes).any(|i| i == host);
        above(host).is_some_and(|other| other != master) && !is_above
    }

    pub(super) fn follow_another(&mut self, host: HostId, master: HostId) {
        if self.may_follow(host, master) {
            (0..self.plan.nodes).for_each(|i| self.expect_nothing_of(i));
            self.resumes.forget();
            self.follow(host, master);
        }
    }

    pub(super) fn follow(&mut self, host: HostId, master: HostId) {
        self.following[host] = Some(master);
        self.order(host, &["REPLICAOF", &ip(master).to_string(), &PORT.to_string()]);
    }

    /// A digit of a value in an append-only file changes.
    pub(super) fn rot(&mut self, host: HostId) {
        let mut disk = self.schedule.host(host).disk.lock();
        for (path, _) in disk.list() {
            let is_incr = path.to_str().is_some_and(|name| name.ends_with(".incr.aof"));
            let Some(bytes) = is_incr.then(|| disk.contents(&path)).flatten() else { continue };
            // What no sync has covered has no checksum.
            let notes = disk.contents(&sums::path_of(&path)).unwrap_or_default();
            let noted = sums::parse(&notes).last().map_or(0, |block| block.end as usize).min(bytes.len());
            let places: Vec<usize> = (0..noted.saturating_sub(10))
                .filter(|&i| bytes[i] == b'\n' && bytes[i + 1..i + 9].iter().all(u8::is_ascii_digit))
                .collect();
            if let Some(&place) = self.rng.choice(&places) {
                // A checksum that a loss of power takes tells nobody of a byte.
                disk.write_back(&sums::path_of(&path));
                disk.rot(&path, place + 5);
                drop(disk);
                self.end_promise("a file changed on the disk");
                self.schedule.shared.say(|| format!("* a byte of {} of {host} changes", path.display()));
                return;
            }
        }
    }

    fn spoil_disk(&mut self, host: HostId, how: impl Fn(&mut Faults)) {
        how(&mut self.schedule.host(host).disk.lock().faults);
        // From here on its log may be given up, and its ids with it.
        self.schedule.keeps_ids[host] = false;
        self.undo_in(100, 6_000, Later::HealDisk(host));
    }
}
