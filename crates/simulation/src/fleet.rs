//! A run: nodes with writers and observers, trouble, and at the end peace, in which everything must come to be the same.

use std::collections::BTreeMap;
use std::sync::Once;

use fastrand::Rng;
use rivulet_aof::sums;

use crate::client::{Client, PORT};
use crate::invariants::durable::Promise;
use crate::invariants::offered::Offered;
use crate::invariants::position::Positions;
use crate::invariants::resumes::Resumes;
use crate::invariants::still::Pauses;
use crate::invariants::{Broken, answers, limits};
use crate::network::{HostId, ip};
use crate::observer::{Observer, Sight};
use crate::plan::{Plan, Trouble};
use crate::schedule::{Loss, Schedule};
use crate::writer::{Register, Writer};

/// The clients do something this often.
const TICK_US: u64 = 2_000;
const OBSERVED_US: u64 = 150_000;
/// A server that has nothing else to do answers within this time.
const REST_US: u64 = 800_000;
/// So long a shutdown or a failover may take that was asked for late.
const LATE_ORDERS_US: u64 = 15_000_000;
/// All must be the same within this time of peace.
const PEACE_US: u64 = 180_000_000;

pub struct Fleet {
    pub schedule: Schedule,
    rng: Rng,
    pub plan: Plan,
    following: Vec<Option<HostId>>,
    writers: Vec<Writer>,
    observers: Vec<Observer>,
    /// Commands of the operator.
    operator: Vec<Client>,
    positions: Positions,
    promise: Promise,
    /// The registers of each writer when acknowledged writes could be lost last.
    excused: Vec<BTreeMap<usize, Register>>,
    pauses: Pauses,
    /// A pause that was asked for, when, and for how many ms.
    pause_asked: Vec<Option<(u64, u64)>>,
    /// Until when each may be paused, whatever became of it since.
    paused_until_us: Vec<u64>,
    offered: Vec<Offered>,
    resumes: Resumes,
    last_trouble_us: u64,
    /// A server that was stopped has commands of the operator before it, which it executes when it goes on.
    told_while_stopped: bool,
    /// A byte of its files changes before it starts again.
    rots: Vec<bool>,
    last_sights: BTreeMap<HostId, Sight>,
    /// What is to be undone, and when.
    later: Vec<(u64, Later)>,
    pub troubles: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug)]
enum Later {
    Start(HostId),
    GoOn(HostId),
    Unblock,
    HealDisk(HostId),
    LosePower(HostId),
    Work,
    Arrange,
    Garbage(HostId),
    Limit(HostId),
}

/// What a run has come to.
#[derive(Debug)]
pub struct Report {
    pub steps: u64,
    pub trace: u64,
    pub positions: usize,
    pub acked: u64,
    pub troubles: BTreeMap<String, u64>,
    pub replies: BTreeMap<String, u64>,
    /// Whether acknowledged writes had to be there.
    pub promised: bool,
}

/// Runs a seed.
///
/// # Errors
/// What was broken. What the servers log goes to standard output if `shows_logs` is set.
pub fn run(seed: u64, shows_logs: bool) -> Result<Report, Broken> {
    // What is made once in a process, and stays, is made here: it would be the memory of whoever needs it first.
    static WARM_UP: Once = Once::new();
    WARM_UP.call_once(|| _ = run_cold(0, false));
    run_cold(seed, shows_logs)
}

fn run_cold(seed: u64, shows_logs: bool) -> Result<Report, Broken> {
    let mut rng = Rng::with_seed(seed);
    let plan = Plan::new(&mut rng);
    let mut fleet = Fleet::new(seed, plan, rng, shows_logs);
    fleet.run().map(|()| fleet.report())
}

impl Fleet {
    fn new(seed: u64, plan: Plan, rng: Rng, shows_logs: bool) -> Fleet {
        let Plan { nodes, writers, .. } = plan;
        let mut schedule = Schedule::new(seed, nodes, shows_logs);
        schedule.keeps_ids = plan.appendfsync.iter().map(Option::is_some).collect();
        Fleet {
            schedule,
            rng,
            following: plan.following.clone(),
            writers: (0..writers).map(|i| Writer::new(i, nodes + i, 0)).collect(),
            observers: (0..nodes).map(|i| Observer::new(nodes + writers, i)).collect(),
            operator: (0..nodes).map(|i| Client::new(nodes + writers + 1, i)).collect(),
            positions: Positions::default(),
            promise: Promise::default(),
            excused: Vec::new(),
            pauses: Pauses::default(),
            pause_asked: vec![None; nodes],
            paused_until_us: vec![0; nodes],
            offered: Vec::new(),
            resumes: Resumes::default(),
            last_trouble_us: 0,
            told_while_stopped: false,
            rots: vec![false; nodes],
            last_sights: BTreeMap::new(),
            later: Vec::new(),
            troubles: BTreeMap::new(),
            plan,
        }
    }

    /// From now on acknowledged writes may be lost, and those until now may have been.
    fn end_promise(&mut self, why: &'static str) {
        self.promise.end(why);
        self.excused = self.writers.iter().map(|writer| writer.registers.clone()).collect();
    }

    fn report(&self) -> Report {
        let mut replies = BTreeMap::new();
        for (word, count) in self.writers.iter().flat_map(|w| &w.replies) {
            *replies.entry(word.clone()).or_default() += count;
        }
        Report {
            steps: self.schedule.steps_taken,
            trace: self.schedule.shared.trace(),
            positions: self.positions.len(),
            acked: self.writers.iter().flat_map(|w| w.registers.values()).map(|r| r.acked).sum(),
            troubles: self.troubles.clone(),
            replies,
            promised: self.promise.holds(),
        }
    }

    fn master(&self) -> HostId {
        self.following.iter().position(Option::is_none).unwrap_or(0)
    }

    fn start(&mut self, host: HostId) {
        self.expect_nothing_of(host);
        self.last_sights.remove(&host);
        let mut args = self.plan.args[host].clone();
        if let Some(master) = self.following[host] {
            args.extend(["--replicaof".into(), ip(master).to_string(), PORT.to_string()]);
        }
        self.schedule.shared.say(|| format!("* {host} starts"));
        self.schedule.start(host, &args);
    }

    fn run(&mut self) -> Result<(), Broken> {
        if self.plan.evicts {
            self.end_promise("keys are evicted");
        }
        (0..self.plan.nodes).for_each(|host| self.start(host));
        let end_us = self.schedule.now_us() + self.plan.trouble_us;
        let mut next_trouble_us = self.schedule.now_us() + 500_000;
        while self.schedule.now_us() < end_us {
            self.tick()?;
            if self.schedule.now_us() >= next_trouble_us {
                let trouble = Trouble::any(&mut self.rng);
                self.make(trouble);
                self.last_trouble_us = self.schedule.now_us();
                let rest_us = if self.resumes.is_empty() { 2_500_000 } else { 9_000_000 };
                next_trouble_us = self.schedule.now_us() + self.rng.u64(20_000..rest_us);
            }
        }
        self.make_peace();
        self.converge()?;
        self.look_at_registers()?;
        self.rest()
    }

    /// Time passes, and clients do what they do.
    fn tick(&mut self) -> Result<(), Broken> {
        let until_us = self.schedule.now_us() + TICK_US;
        while !self.schedule.advance(until_us) {}
        let shared = self.schedule.shared.clone();
        let now_us = shared.now_us.get();
        for writer in &mut self.writers {
            writer.tick(&shared, &mut self.rng);
            answers::check(&writer.client, now_us)?;
        }
        for (server, operator) in self.operator.iter_mut().enumerate() {
            let told = operator.poll(&shared);
            if let Some((asked_us, ms)) = self.pause_asked[server]
                && let Ok(replies) = &told
                && operator.outstanding == 0
            {
                self.pause_asked[server] = None;
                self.paused_until_us[server] = now_us + ms * 1000;
                if replies.last().is_some_and(|reply| !reply.is_error()) {
                    self.pauses.begun(server, asked_us, now_us, ms);
                }
            }
            if told.is_err() {
                self.pause_asked[server] = None;
                operator.hang_up(&shared);
            }
        }
        self.look_at_offered()?;
        if let Some(broken) = self.schedule.broken.take() {
            return Err(broken);
        }
        for i in 0..self.observers.len() {
            if let Some(sight) = self.observers[i].tick(&shared, OBSERVED_US) {
                self.positions.saw(&sight)?;
                self.pauses.saw(&sight)?;
                self.resumes.saw(&sight)?;
                limits::check(&sight)?;
                self.last_sights.insert(i, sight);
            }
        }
        let due: Vec<_> = self.later.extract_if(.., |(at, _)| *at <= now_us).collect();
        if !due.is_empty() {
            // What was seen before is not what is there now.
            self.last_trouble_us = now_us;
        }
        due.into_iter().for_each(|(_, later)| self.undo(later));
        Ok(())
    }

    fn order(&mut self, host: HostId, words: &[&str]) {
        let shared = self.schedule.shared.clone();
        shared.say(|| format!("* {host} is told {words:?}"));
        self.told_while_stopped |= self.schedule.is_paused(host);
        self.operator[host].ask(words, &shared);
    }

    fn undo_in(&mut self, least_ms: u64, most_ms: u64, later: Later) {
        let at_us = self.schedule.now_us() + self.rng.u64(least_ms..=most_ms) * 1000;
        self.later.push((at_us, later));
    }

    fn undo(&mut self, later: Later) {
        let now_us = self.schedule.now_us();
        match later {
            Later::Start(host) if !self.schedule.is_up(host) => {
                if std::mem::take(&mut self.rots[host]) {
                    self.resumes.forget();
                    self.rot(host);
                }
                self.start(host);
            }
            Later::Start(_) => {}
            Later::GoOn(host) => self.schedule.pause(host, false),
            Later::Arrange => self.arrange(),
            Later::LosePower(host) if self.schedule.is_up(host) => self.crash(host, Trouble::PowerLoss),
            Later::LosePower(_) => {}
            Later::Garbage(host) => self.send_garbage(host),
            Later::Limit(host) => {
                let bytes = self.rng.u32(300_000..600_000).to_string();
                self.order(host, &["CONFIG", "SET", "maxmemory", &bytes]);
            }
            Later::Unblock => self.schedule.shared.network.borrow_mut().unblock_all(now_us),
            Later::HealDisk(host) => self.schedule.host(host).disk.lock().faults = Default::default(),
            Later::Work => {
                self.writers.iter_mut().for_each(|writer| writer.rests = false);
            }
        }
    }

    // ---- trouble ----

    fn make(&mut self, trouble: Trouble) {
        let host = self.rng.usize(..self.plan.nodes);
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
            Trouble::Burst => {
                let shared = self.schedule.shared.clone();
                self.writers.iter_mut().for_each(|writer| writer.burst(&shared));
            }
            Trouble::Quiet => {
                self.rest_writers();
                self.undo_in(300, 1_500, Later::Work);
            }
        }
    }

    fn rest_writers(&mut self) {
        self.writers.iter_mut().for_each(|writer| writer.rests = true);
    }

    fn end_cleanly(&mut self, host: HostId) {
        self.expect_nothing_of(host);
        self.order(host, &["SHUTDOWN"]);
        self.rots[host] = self.rng.u8(..4) == 0;
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

    fn crash(&mut self, host: HostId, how: Trouble) {
        let is_master = self.master() == host;
        let loss = if how == Trouble::Kill { Loss::Process } else { Loss::Power };
        if is_master && loss == Loss::Power && self.plan.appendfsync[host] != Some("always") {
            self.end_promise("power was lost, and not each write was synced");
        }
        if is_master && loss == Loss::Process {
            self.expect_what_was_offered(host);
        }
        self.schedule.stop(host, loss);
        self.rots[host] = self.rng.u8(..6) == 0;
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
            && self.schedule.shared.network.borrow().is_open();
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
                Trouble::Kill => has_files,
                Trouble::CleanEnd => has_files && self.following[host].is_some(),
                Trouble::Cut | Trouble::Block | Trouble::Stop => true,
                _ => false,
            };
        let disks_failed = ["DiskFull", "SyncFails", "DiskSlow"].iter().any(|name| self.troubles.contains_key(*name));
        let is_calm = self.later.is_empty() && now_us > self.last_trouble_us + 600_000;
        if !happens || !is_calm || disks_failed || !self.schedule.shared.network.borrow().is_open() {
            return;
        }
        for replica in 0..self.plan.nodes {
            let Some(master) = self.following[replica] else { continue };
            let keeps_up =
                |sight: &&Sight| sight.link_up && !sight.loads && !sight.diverged && sight.at_us + 400_000 > now_us;
            let is_told = replica == host || master == host;
            if is_told
                && self.plan.keeps_log[master]
                && self.schedule.is_up(master)
                && let Some(sight) = self.last_sights.get(&replica).filter(keeps_up)
            {
                self.resumes.expect(sight, now_us);
            }
        }
    }

    fn look_at_offered(&mut self) -> Result<(), Broken> {
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
    fn expect_nothing_of(&mut self, host: HostId) {
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
        self.order(master, &["FAILOVER", "TO", &to, &port, "TIMEOUT", "2000"]);
        // Whatever comes of it, later it is made so.
        self.undo_in(2_500, 4_000, Later::Arrange);
    }

    /// A line that is no array comes on the link of a master, in a time in which nothing else does.
    fn send_garbage(&mut self, host: HostId) {
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
        (0..self.plan.nodes).for_each(|i| self.expect_nothing_of(i));
        let other = (host + 1) % self.plan.nodes;
        let (to, port) = (ip(other).to_string(), PORT.to_string());
        let follow = ["REPLICAOF", &to, &port];
        let (write, alone) = (["SET", "w0:k0", "odd"], ["REPLICAOF", "NO", "ONE"]);
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
    fn arrange(&mut self) {
        for host in 0..self.plan.nodes {
            self.expect_nothing_of(host);
            match self.following[host] {
                Some(master) => self.follow(host, master),
                None => self.order(host, &["REPLICAOF", "NO", "ONE"]),
            }
        }
    }

    fn promote(&mut self, host: HostId) {
        if !self.schedule.is_up(host) || self.master() == host {
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

    fn follow(&mut self, host: HostId, master: HostId) {
        self.following[host] = Some(master);
        self.order(host, &["REPLICAOF", &ip(master).to_string(), &PORT.to_string()]);
    }

    /// A digit of a value in an append-only file changes.
    fn rot(&mut self, host: HostId) {
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
                disk.rot(&path, place + 5);
                drop(disk);
                self.end_promise("a file changed on the disk");
                self.schedule.shared.say(|| format!("* a byte of {} of {host} changes", path.display()));
                return;
            }
        }
    }

    fn spoil_disk(&mut self, host: HostId, how: impl Fn(&mut crate::disk::Faults)) {
        how(&mut self.schedule.host(host).disk.lock().faults);
        // From here on its log may be given up, and its ids with it.
        self.schedule.keeps_ids[host] = false;
        self.undo_in(100, 6_000, Later::HealDisk(host));
    }

    // ---- peace ----

    fn make_peace(&mut self) {
        self.schedule.shared.say(|| "* peace".into());
        self.later.clear();
        (0..self.plan.nodes).for_each(|host| self.expect_nothing_of(host));
        self.resumes.forget();
        let now_us = self.schedule.now_us();
        self.schedule.shared.network.borrow_mut().unblock_all(now_us);
        let shared = self.schedule.shared.clone();
        for host in 0..self.plan.nodes {
            self.schedule.host(host).disk.lock().faults = Default::default();
            self.schedule.pause(host, false);
            self.operator[host].hang_up(&shared);
            if self.schedule.is_up(host) {
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

    fn converge(&mut self) -> Result<(), Broken> {
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
        self.last_sights.len() == self.plan.nodes
            && self.writers.iter().all(|writer| writer.client.outstanding == 0)
            && self.last_sights.values().all(|sight| {
                let is_right = sight.is_master == (sight.server == self.master()) && (sight.is_master || sight.link_up);
                let is_same = (&sight.id, sight.offset, &sight.digest) == (&master.id, master.offset, &master.digest);
                let is_new = sight.at_us + 2 * OBSERVED_US > now_us;
                is_new && is_right && is_same && !sight.loads
            })
    }

    /// Nobody writes any more, and nothing comes by itself: what each is told now it answers by itself, too.
    fn rest(&mut self) -> Result<(), Broken> {
        let no_pause_us = self.paused_until_us.iter().max().map_or(0, |us| us + 1_000_000);
        while self.schedule.now_us() < no_pause_us {
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
            let until_us = self.schedule.now_us() + waits_ms * 1000;
            while self.schedule.now_us() < until_us {
                self.tick()?;
            }
        }
        Ok(())
    }

    fn look_at_registers(&mut self) -> Result<(), Broken> {
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
        let mut values = Vec::new();
        let end_us = self.schedule.now_us() + PEACE_US;
        while values.len() < asked.len() {
            if self.schedule.now_us() > end_us {
                return Err("the registers can't be read".into());
            }
            self.tick()?;
            values.extend(client.poll(&shared)?);
        }
        for ((number, key, register), value) in asked.into_iter().zip(values) {
            self.promise.check(number, key, register, value.text().parse().unwrap_or(0))?;
        }
        Ok(())
    }
}
