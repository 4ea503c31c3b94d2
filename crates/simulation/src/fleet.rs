//! A run: nodes with writers and observers, trouble, and at the end peace.

mod peace;
mod trouble;

use std::collections::BTreeMap;

use fastrand::Rng;

use crate::client::{Client, PORT};
use crate::invariants::ahead::Ahead;
use crate::invariants::durable::Promise;
use crate::invariants::histories::Histories;
use crate::invariants::offered::Offered;
use crate::invariants::position::Positions;
use crate::invariants::resumes::Resumes;
use crate::invariants::still::Pauses;
use crate::invariants::{Broken, answers, disk, garbled, limits, memory};
use crate::network::{HostId, ip};
use crate::observer::{Observer, Sight};
use crate::plan::{LONG, Plan, Trouble};
use crate::reader::Reader;
use crate::schedule::Schedule;
use crate::writer::{Register, Writer};

/// The clients do something this often.
const TICK_US: u64 = 2_000;
const OBSERVED_US: u64 = 150_000;
/// So long after a cut or a start everybody knows which connections are gone.
const FOUND_OUT_US: u64 = 1_500_000;

pub struct Fleet {
    pub schedule: Schedule,
    rng: Rng,
    pub plan: Plan,
    following: Vec<Option<HostId>>,
    writers: Vec<Writer>,
    observers: Vec<Observer>,
    readers: Vec<Reader>,
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
    /// Until then a master may hand over that was told to.
    hands_over_until_us: u64,
    offered: Vec<Offered>,
    resumes: Resumes,
    histories: Histories,
    ahead: Ahead,
    /// Per node: when something happened last from which its replicas have to find out that their connections are gone.
    last_cut_us: Vec<u64>,
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
    Burst,
    SpeedUp,
    Reunite(HostId),
    Follow(HostId, HostId),
    Crash(HostId),
    Promote(HostId),
    Rewrite(HostId),
    AppendOnly(HostId, bool),
}

/// What a run has come to.
#[derive(Debug, PartialEq)]
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
            readers: Vec::new(),
            operator: (0..nodes).map(|i| Client::new(nodes + writers + 1, i)).collect(),
            positions: Positions::default(),
            promise: Promise::default(),
            excused: Vec::new(),
            pauses: Pauses::default(),
            pause_asked: vec![None; nodes],
            paused_until_us: vec![0; nodes],
            hands_over_until_us: 0,
            offered: Vec::new(),
            resumes: Resumes::default(),
            histories: Histories::default(),
            ahead: Ahead::default(),
            last_cut_us: vec![0; nodes],
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
        let now_us = self.schedule.now_us();
        self.last_cut_us[host] = now_us;
        self.histories.started(host, now_us);
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
                let mut trouble = Trouble::any(&mut self.rng);
                while self.plan.is_steady && trouble.may_lose_writes() {
                    trouble = Trouble::any(&mut self.rng);
                }
                self.make(trouble);
                self.last_trouble_us = self.schedule.now_us();
                let rest_us = if self.resumes.is_empty() { 2_500_000 } else { 9_000_000 };
                next_trouble_us = self.schedule.now_us() + self.rng.u64(20_000..rest_us);
            }
        }
        self.make_peace();
        self.converge()?;
        self.look_at_what_was_written()?;
        self.rest()?;
        // A failover may have ended only now: what was seen before tells of the time before.
        self.last_sights.clear();
        self.converge()?;
        self.pause_at_rest()?;
        self.fail_to_sync()?;
        self.fall_behind()
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
        self.readers.retain_mut(|reader| reader.tick(&shared));
        self.look_at_offered()?;
        self.look_at_machines()?;
        garbled::check(shared.garbled.take(), self.troubles.contains_key("Garbage"))?;
        if let Some(broken) = self.schedule.broken.take() {
            return Err(broken);
        }
        for i in 0..self.observers.len() {
            if let Some(sight) = self.observers[i].tick(&shared, OBSERVED_US) {
                self.positions.saw(&sight)?;
                self.pauses.saw(&sight)?;
                self.resumes.saw(&sight)?;
                self.histories.saw(&sight)?;
                self.look_at_replicas_of(&sight)?;
                limits::check(&sight, self.last_sights.get(&i))?;
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

    /// Whether those that go on with this server have no more than it.
    fn look_at_replicas_of(&mut self, master: &Sight) -> Result<(), Broken> {
        let now_us = self.schedule.now_us();
        if !self.schedule.shared.network.borrow().takes_from(master.server, now_us) {
            self.last_cut_us[master.server] = now_us;
        }
        let knows = now_us >= self.last_cut_us[master.server] + FOUND_OUT_US;
        for replica in self.last_sights.values().filter(|sight| sight.master == Some(master.server)) {
            match knows {
                true => self.ahead.saw(replica, master)?,
                false => self.ahead.forget(replica.server),
            }
        }
        Ok(())
    }

    /// What writers have asked for and have no reply to is at most so much.
    fn asked_bytes_max(&self) -> u64 {
        self.writers.iter().map(Writer::asked_bytes_max).sum()
    }

    /// What processes and files take of their machines.
    fn look_at_machines(&mut self) -> Result<(), Broken> {
        let asked = self.asked_bytes_max();
        for host in 0..self.plan.nodes {
            let has = |value: &str| self.plan.args[host].iter().any(|arg| arg == value);
            let allowed = memory::Allowed {
                asked,
                has_auto_backlog: has("auto"),
                has_refused_backlog: self.plan.appendfsync[host].is_none() && has(LONG) && self.disks_failed(),
            };
            memory::check(host, self.schedule.memory(host), allowed)?;
            disk::check(host, self.schedule.host(host).disk.lock().used())?;
        }
        Ok(())
    }

    /// A disk has refused something, or was slow.
    fn disks_failed(&self) -> bool {
        ["DiskFull", "SyncFails", "DiskSlow", "Flood"].iter().any(|name| self.troubles.contains_key(*name))
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
                if self.rng.u8(..3) == 0 {
                    // It takes its time to load, in which keys expire.
                    self.schedule.host(host).disk.lock().faults.read_us = self.rng.u64(10_000..200_000);
                    self.undo_in(500, 1_500, Later::HealDisk(host));
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
            Later::Burst => self.burst(),
            Later::Crash(host) => self.crash_behind(host),
            Later::Promote(host) if !self.schedule.is_up(host) => self.promote(host),
            Later::Promote(_) => {}
            Later::Rewrite(host) => self.order(host, &["BGREWRITEAOF"]),
            Later::AppendOnly(host, on) => {
                self.order(host, &["CONFIG", "SET", "appendonly", if on { "yes" } else { "no" }]);
            }
            Later::Reunite(host) => self.reunite(host),
            Later::Follow(host, master) => self.follow_another(host, master),
            Later::SpeedUp => self.schedule.shared.network.borrow_mut().speed_up_all(),
            Later::Unblock => self.schedule.shared.network.borrow_mut().unblock_all(now_us),
            Later::HealDisk(host) => self.schedule.host(host).disk.lock().faults = Default::default(),
            Later::Work => {
                self.writers.iter_mut().for_each(|writer| writer.rests = false);
            }
        }
    }
}
