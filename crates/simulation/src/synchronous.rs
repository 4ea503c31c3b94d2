//! A set with synchronous replicas, whose master fails again and again, and a leader that fences the others before it promotes one: nothing that was
//! acknowledged may be missing from the new master, and in every other set no read, from whoever takes itself for the master, may be older than it. The leader does what a Sentinel does that has been elected, and no more.

mod reader;

use fastrand::Rng;

use self::reader::Reader;
use crate::client::{Client, PORT, Reply};
use crate::invariants::Broken;
use crate::network::{HostId, ip};
use crate::schedule::{Loss, Schedule};
use crate::watch::Watch;

const WRITERS: usize = 2;
const READERS: usize = 2;
const KEYS: usize = 4;
/// What nobody acknowledges is asked for so long.
const NOISE_US: u64 = 20_000;
const NOISES: usize = 4;
const TICK_US: u64 = 2_000;
/// What must come about comes within this time.
const PATIENCE_US: u64 = 60_000_000;
const LEADERS: [&str; 2] = ["1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"];

/// What a run has come to.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    pub failovers: u64,
    pub acked: u64,
    /// Writes that may have been lost, as nobody was told that they were not.
    pub unanswered: u64,
    /// Replies to reads that were compared with what had been acknowledged.
    pub reads: u64,
    pub trace: u64,
}

/// How large a set is, and on what its servers rely.
#[derive(Clone, Copy, Debug)]
struct Shape {
    nodes: usize,
    /// So many replicas acknowledge each write.
    replicas: usize,
    /// They have append-only files, of which a loss of power takes the end.
    has_files: bool,
}

impl Shape {
    fn any(rng: &mut Rng) -> Shape {
        let (nodes, replicas) = *rng.choice(&[(3, 1), (3, 1), (4, 2), (5, 2)]).unwrap_or(&(3, 1));
        Shape { nodes, replicas, has_files: rng.bool() }
    }

    /// So many of the members beside the master must be fenced.
    fn enough(&self) -> usize {
        self.nodes - self.replicas
    }
}

/// A client that counts each of its keys up.
struct Writer {
    client: Client,
    number: usize,
    sent: [u64; KEYS],
    acked: [u64; KEYS],
    awaited: std::collections::VecDeque<(usize, u64)>,
    next_us: u64,
    unanswered: u64,
}

struct Set {
    shape: Shape,
    schedule: Schedule,
    rng: Rng,
    writers: Vec<Writer>,
    /// Where reads wait, too.
    readers: Vec<Reader>,
    watch: Watch,
    leader: Vec<Client>,
    master: HostId,
    epoch: u64,
    failovers: u64,
    /// Rarely a replica is as slow as can be.
    timeout_ms: u64,
    reads: bool,
    /// What a reader has seen that must not be.
    broken: Option<Broken>,
}

/// Runs a seed.
///
/// # Errors
/// What was broken.
pub fn run(seed: u64, shows_logs: bool) -> Result<Report, Broken> {
    let mut rng = Rng::with_seed(seed);
    let timeout_ms = if rng.u8(..3) == 0 { rng.u64(50..2_000) } else { 0 };
    let reads = rng.bool();
    let shape = Shape::any(&mut rng);
    let nodes = shape.nodes;
    let mut set = Set {
        shape,
        schedule: Schedule::new(seed, nodes, shows_logs),
        rng,
        writers: (0..WRITERS).map(|number| Writer::new(number, nodes + number, 0)).collect(),
        readers: (0..if reads { READERS } else { 0 }).map(|i| Reader::new(nodes + WRITERS + 1 + i, 0)).collect(),
        watch: Watch::new(nodes + WRITERS + 1 + READERS, nodes),
        leader: (0..nodes).map(|host| Client::new(nodes + WRITERS, host)).collect(),
        master: 0,
        epoch: 0,
        failovers: 0,
        timeout_ms,
        reads,
        broken: None,
    };
    set.run()?;
    Ok(Report {
        failovers: set.failovers,
        acked: set.writers.iter().flat_map(|writer| writer.acked).sum(),
        unanswered: set.writers.iter().map(|writer| writer.unanswered).sum(),
        reads: set.readers.iter().map(|reader| reader.told).sum(),
        trace: set.schedule.shared.trace(),
    })
}

impl Writer {
    fn new(number: usize, host: HostId, server: HostId) -> Writer {
        Writer {
            client: Client::new(host, server),
            number,
            sent: [0; KEYS],
            acked: [0; KEYS],
            awaited: Default::default(),
            next_us: 0,
            unanswered: 0,
        }
    }

    fn name_of(&self, key: usize) -> String {
        format!("w{}:{key}", self.number)
    }

    fn go_to(&mut self, server: HostId, schedule: &Schedule) {
        self.unanswered += self.awaited.len() as u64;
        self.awaited.clear();
        self.client.go_to(server, &schedule.shared);
    }

    fn tick(&mut self, schedule: &Schedule, rng: &mut Rng) {
        let now_us = schedule.now_us();
        match self.client.poll(&schedule.shared) {
            Ok(replies) => {
                for reply in replies {
                    let Some((key, value)) = self.awaited.pop_front() else { continue };
                    if matches!(reply, Reply::Simple(_)) {
                        self.acked[key] = self.acked[key].max(value);
                    }
                }
            }
            Err(_) => {
                self.go_to(self.client.server, schedule);
                self.next_us = now_us + 50_000;
            }
        }
        if now_us < self.next_us || self.client.outstanding >= 8 {
            return;
        }
        self.next_us = now_us + rng.u64(200..4_000);
        for _ in 0..rng.usize(1..4) {
            let key = rng.usize(..KEYS);
            self.sent[key] += 1;
            let value = self.sent[key];
            let words = ["SET".to_string(), self.name_of(key), value.to_string()];
            self.awaited.push_back((key, value));
            self.client.ask(&words, &schedule.shared);
        }
    }
}

impl Set {
    fn run(&mut self) -> Result<(), Broken> {
        (0..self.shape.nodes).for_each(|host| self.start(host));
        self.wait_until_whole()?;
        for _ in 0..self.rng.usize(2..5) {
            let for_us = self.rng.u64(100_000..1_500_000);
            self.pass(for_us);
            if self.shape.has_files && self.rng.u8(..3) == 0 {
                self.fail_replica();
            }
            let old = self.fail_master();
            let pause_us = self.rng.u64(0..300_000);
            self.pass(pause_us);
            self.fail_over(old)?;
            let pause_us = self.rng.u64(0..1_000_000);
            self.pass(pause_us);
            self.check_what_was_seen()?;
            self.bring_back(old);
            self.wait_until_whole()?;
        }
        self.check_what_was_seen()?;
        self.check_writes()
    }

    /// What readers have seen so far, and who looks at the servers.
    fn check_what_was_seen(&mut self) -> Result<(), Broken> {
        self.watch.check()?;
        self.broken.take().map_or(Ok(()), Err)
    }

    fn start(&mut self, host: HostId) {
        let mut args: Vec<String> = ["--dir", "/data", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", ""]
            .into_iter()
            .chain(["--repl-diskless-sync-delay", "0", "--repl-timeout", "6", "--enable-debug-command", "yes"])
            .chain(["--appendonly", if self.shape.has_files { "yes" } else { "no" }])
            .map(String::from)
            .collect();
        args.extend(["--synchronous-replicas".to_string(), self.shape.replicas.to_string()]);
        args.extend(["--synchronous-timeout".to_string(), self.timeout_ms.to_string()]);
        args.extend(["--synchronous-reads".to_string(), if self.reads { "yes" } else { "no" }.to_string()]);
        if host != self.master {
            args.extend(["--replicaof".to_string(), ip(self.master).to_string(), PORT.to_string()]);
        }
        self.schedule.start(host, &args);
    }

    fn tick(&mut self) {
        let until_us = self.schedule.now_us() + TICK_US;
        while !self.schedule.advance(until_us) {}
        for writer in &mut self.writers {
            writer.tick(&self.schedule, &mut self.rng);
        }
        for reader in &mut self.readers {
            if let Err(broken) = reader.tick(&self.writers, &self.schedule, &mut self.rng) {
                self.broken.get_or_insert(broken);
            }
        }
        self.watch.tick(&mut self.schedule);
    }

    fn pass(&mut self, us: u64) {
        let until_us = self.schedule.now_us() + us;
        while self.schedule.now_us() < until_us {
            self.tick();
        }
    }

    /// Asks a node, and waits for at most so long; nothing if it did not answer.
    fn ask(&mut self, host: HostId, words: &[&str], patience_us: u64) -> Option<Reply> {
        self.leader[host].hang_up(&self.schedule.shared);
        self.leader[host].ask(words, &self.schedule.shared);
        let until_us = self.schedule.now_us() + patience_us;
        while self.schedule.now_us() < until_us {
            self.tick();
            match self.leader[host].poll(&self.schedule.shared) {
                Ok(mut replies) if !replies.is_empty() => return Some(replies.remove(0)),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// All replicas are online, and the master knows its members and takes writes.
    fn wait_until_whole(&mut self) -> Result<(), Broken> {
        let until_us = self.schedule.now_us() + PATIENCE_US;
        while self.schedule.now_us() < until_us {
            let info = self.ask(self.master, &["INFO", "replication"], 1_000_000).map(|reply| reply.text());
            let info = info.unwrap_or_default();
            if info.matches("state=online").count() + 1 == self.shape.nodes && info.contains("stale_master:0") {
                self.tell_members()?;
                return self.take_a_write(until_us);
            }
            self.pass(50_000);
        }
        Err(format!("the set of master {} is not whole again", self.master))
    }

    fn take_a_write(&mut self, until_us: u64) -> Result<(), Broken> {
        let mut last = None;
        while self.schedule.now_us() < until_us {
            last = self.ask(self.master, &["SET", "whole", "yes"], PATIENCE_US);
            if matches!(last, Some(Reply::Simple(_))) {
                return Ok(());
            }
            self.pass(50_000);
        }
        Err(format!("the set of master {} is whole, and a write is answered by {last:?}", self.master))
    }

    fn tell_members(&mut self) -> Result<(), Broken> {
        let mut ids = Vec::new();
        for host in 0..self.shape.nodes {
            let info = self.ask(host, &["INFO", "replication"], PATIENCE_US).map(|reply| reply.text());
            let info = info.unwrap_or_default();
            let id = info.lines().find_map(|line| line.strip_prefix("node_id:")).map(str::to_string);
            ids.push(id.ok_or_else(|| format!("node {host} tells no id"))?);
        }
        let epoch = self.epoch.to_string();
        let mut words = vec!["REPLICATION", "MEMBERS", &epoch];
        words.extend(ids.iter().map(String::as_str));
        // The replicas first: none of them may know a shorter list than the master does.
        let master = self.master;
        for host in self.beside(master).into_iter().chain([master]) {
            self.tell_members_to(host, &words)?;
        }
        Ok(())
    }

    /// Who loads a snapshot is told again.
    fn tell_members_to(&mut self, host: HostId, words: &[&str]) -> Result<(), Broken> {
        let give_up = self.schedule.now_us() + PATIENCE_US;
        loop {
            match self.ask(host, words, PATIENCE_US) {
                Some(reply) if !reply.is_error() => return Ok(()),
                Some(Reply::Error(text)) if text.starts_with("LOADING") && self.schedule.now_us() < give_up => {
                    self.pass(10_000);
                }
                other => return Err(format!("members are not taken by {host}: {other:?}")),
            }
        }
    }

    /// The master is killed, stands still, or is cut off on one side or on both; or only the leader does not see it, while the others do: then nothing but
    /// the fence keeps it from being acknowledged. Or it is killed and there again at once, without anything in it: then its replicas must not follow it.
    fn fail_master(&mut self) -> HostId {
        let old = self.master;
        let others = self.beside(old);
        match self.rng.u8(..12) {
            8 | 9 if self.shape.has_files && self.shape.replicas > 1 => self.lose_what_one_has(old),
            10 | 11 if self.shape.has_files => self.lose_what_some_acknowledged(old),
            6.. => {
                self.schedule.stop(old, if self.rng.bool() { Loss::Power } else { Loss::Process });
                let pause_us = self.rng.u64(0..200_000);
                self.pass(pause_us);
                self.start(old);
                let pause_us = self.rng.u64(0..3_000_000);
                self.pass(pause_us);
            }
            0 => self.schedule.stop(old, Loss::Process),
            1 => self.schedule.pause(old, true),
            4 | 5 => {}
            way => {
                let mut network = self.schedule.shared.network.borrow_mut();
                for other in others {
                    network.block(old, other);
                    if way == 2 {
                        network.block(other, old);
                    }
                }
            }
        }
        old
    }

    /// The master loses its power, and with it the end of its files, of which one replica alone has more; and is there again without that one. As long as that
    /// is cut off, the others go on with what nobody else has.
    fn lose_what_one_has(&mut self, old: HostId) {
        let mut others = self.beside(old);
        self.rng.shuffle(&mut others);
        let (alone, others) = others.split_first().map(|(alone, others)| (*alone, others.to_vec())).unwrap_or_default();
        others.iter().for_each(|host| self.cut(old, *host));
        // What they have, the master has on its disk.
        let for_us = self.rng.u64(1_100_000..2_500_000);
        self.pass(for_us);
        // So that it is far ahead of what comes instead.
        self.make_noise(old);
        let for_us = self.rng.u64(0..50_000);
        self.pass(for_us);
        self.lose_power(old, Some(alone));
        if self.rng.bool() {
            // It fails as soon as the others have come, with a part of what it wrote before on its way to them.
            self.make_noise(old);
            let us_per_kib = self.rng.u64(100..3_000);
            let others = self.beside(old);
            let mut network = self.schedule.shared.network.borrow_mut();
            others.into_iter().for_each(|host| network.slow_down(old, host, us_per_kib));
        }
        let for_us = self.rng.u64(900_000..3_000_000);
        self.pass(for_us);
        self.schedule.shared.network.borrow_mut().speed_up_all();
        if self.rng.bool() {
            self.schedule.stop(old, Loss::Process);
        }
    }

    /// The master loses its power, and with it what replicas have acknowledged, of which one was behind them and goes on with what the master writes then.
    fn lose_what_some_acknowledged(&mut self, old: HostId) {
        let mut others = self.beside(old);
        self.rng.shuffle(&mut others);
        let Some(behind) = others.first().copied() else { return };
        self.cut(old, behind);
        let for_us = self.rng.u64(0..1_500_000);
        self.pass(for_us);
        self.lose_power(old, None);
        let for_us = self.rng.u64(0..1_500_000);
        self.pass(for_us);
        self.make_noise(old);
        let for_us = self.rng.u64(0..1_000_000);
        self.pass(for_us);
    }

    /// Some replica loses its power, and may be behind what it has acknowledged when it is there again.
    fn fail_replica(&mut self) {
        let mut others = self.beside(self.master);
        self.rng.shuffle(&mut others);
        let Some(host) = others.first().copied() else { return };
        self.schedule.stop(host, Loss::Power);
        let for_us = self.rng.u64(0..500_000);
        self.pass(for_us);
        self.start(host);
        let for_us = self.rng.u64(0..1_500_000);
        self.pass(for_us);
    }

    /// Two nodes hear nothing of each other any more, and what is under way never arrives.
    fn cut(&self, a: HostId, b: HostId) {
        let mut network = self.schedule.shared.network.borrow_mut();
        network.block(a, b);
        network.block(b, a);
        network.between(a, b).into_iter().for_each(|socket| network.cut(socket));
    }

    /// More is written than writers do who wait for their replies.
    fn make_noise(&mut self, host: HostId) {
        for _ in 0..NOISES {
            let bytes = "x".repeat(self.rng.usize(10..60_000));
            self.ask(host, &["SET", "noise", &bytes], NOISE_US);
        }
    }

    /// The master loses its power and is there again at once, for all but one.
    fn lose_power(&mut self, old: HostId, but_for: Option<HostId>) {
        self.schedule.stop(old, Loss::Power);
        let now_us = self.schedule.now_us();
        self.schedule.shared.network.borrow_mut().unblock_all(now_us);
        if let Some(host) = but_for {
            self.cut(old, host);
        }
        self.start(old);
        // Their connections are dead, and nobody tells them.
        self.writers.iter_mut().for_each(|writer| writer.go_to(old, &self.schedule));
    }

    fn beside(&self, host: HostId) -> Vec<HostId> {
        (0..self.shape.nodes).filter(|other| *other != host).collect()
    }

    /// A leader fences the others and promotes one of them. Now and then it dies then, before anybody has heard of the new master, and another one
    /// begins anew.
    fn fail_over(&mut self, old: HostId) -> Result<(), Broken> {
        let mut fenced = self.promote_another(old)?;
        while self.rng.u8(..4) == 0 {
            let pause_us = self.rng.u64(0..500_000);
            self.pass(pause_us);
            fenced = self.promote_another(old)?;
        }
        self.failovers += 1;
        self.check_writes()?;
        let winner = self.master;
        let address = (ip(winner).to_string(), PORT.to_string());
        for host in fenced.into_iter().filter(|host| *host != winner) {
            self.ask(host, &["REPLICAOF", &address.0, &address.1], PATIENCE_US).ok_or("a replica does not follow")?;
        }
        for writer in &mut self.writers {
            // Some find out late, if ever before the old master tells them.
            if self.rng.u8(..3) > 0 {
                writer.go_to(winner, &self.schedule);
            }
        }
        for reader in &mut self.readers {
            // Whoever reads the old one still must see nothing old.
            if self.rng.u8(..3) == 0 {
                reader.go_to(winner, &self.schedule);
            }
        }
        Ok(())
    }

    /// As a leader does: fences as many as must be, chooses the most advanced of them, promotes it. Answers who was fenced.
    fn promote_another(&mut self, old: HostId) -> Result<Vec<HostId>, Broken> {
        self.epoch += 1;
        let epoch = self.epoch.to_string();
        let leader = LEADERS[self.rng.usize(..LEADERS.len())];
        let mut fenced = Vec::new();
        let mut hosts = self.beside(old);
        self.rng.shuffle(&mut hosts);
        // Who may have lost something in a restart is none of those who must be there, unless nobody is missing.
        let mut certain = 0;
        for host in hosts {
            if certain >= self.shape.enough() && self.rng.bool() {
                continue;
            }
            let reply = self.ask(host, &["REPLICATION", "FENCE", &epoch, leader], PATIENCE_US);
            let field = |name: &str| match &reply {
                Some(Reply::Array(items)) => {
                    let pair = items.chunks(2).find(|pair| pair[0].text() == name)?;
                    pair[1].text().parse::<i64>().ok()
                }
                _ => None,
            };
            let told = field("data_epoch").zip(field("data_start")).zip(field("offset"));
            let (term, offset) = told.ok_or_else(|| format!("no fence: {reply:?}"))?;
            fenced.push((term, offset, host));
            certain += field("certain").unwrap_or(0) as usize;
            // Whatever time passes, the old master may go on to send and to hear.
            let between_us = self.rng.u64(0..200_000);
            self.pass(between_us);
        }
        let (_, _, winner) = fenced.iter().max().copied().ok_or("nobody is fenced")?;
        let promoted = self.ask(winner, &["REPLICATION", "PROMOTE", &epoch, leader], PATIENCE_US);
        if matches!(&promoted, Some(Reply::Error(text)) if text.starts_with("STALEFENCE")) {
            // It got its data anew since it told where it stood: all are asked again.
            return self.promote_another(old);
        }
        if promoted.as_ref().is_none_or(Reply::is_error) {
            return Err(format!("nobody is promoted: {promoted:?}"));
        }
        self.master = winner;
        Ok(fenced.into_iter().map(|(_, _, host)| host).collect())
    }

    fn bring_back(&mut self, old: HostId) {
        let master = self.master;
        // Of a replica nothing is promised.
        self.readers.iter_mut().for_each(|reader| reader.go_to(master, &self.schedule));
        let now_us = self.schedule.now_us();
        self.schedule.shared.network.borrow_mut().unblock_all(now_us);
        if self.schedule.is_up(old) {
            self.schedule.pause(old, false);
            let for_us = self.rng.u64(0..500_000);
            self.pass(for_us);
        } else {
            self.start(old);
        }
        // Those who were not fenced have heard of nothing yet.
        let address = (ip(master).to_string(), PORT.to_string());
        for host in self.beside(master) {
            let _ = self.ask(host, &["REPLICAOF", &address.0, &address.1], PATIENCE_US);
        }
        for writer in &mut self.writers {
            if writer.client.server != master {
                writer.go_to(master, &self.schedule);
            }
        }
    }

    /// What was acknowledged, by whomever, is in the master.
    fn check_writes(&mut self) -> Result<(), Broken> {
        let acked: Vec<(usize, [u64; KEYS])> =
            self.writers.iter().map(|writer| (writer.number, writer.acked)).collect();
        // With `synchronous-reads` what is read here waits for replicas, which this node may not have yet.
        self.ask(self.master, &["CONFIG", "SET", "synchronous-reads", "no"], PATIENCE_US);
        for (number, acked) in acked {
            for (key, acked) in acked.into_iter().enumerate() {
                let name = format!("w{number}:{key}");
                let reply = self.ask(self.master, &["GET", &name], PATIENCE_US).ok_or("the master does not answer")?;
                let has: u64 = reply.text().parse().unwrap_or(0);
                if has < acked {
                    return Err(format!(
                        "{name} is {has} on node {} in epoch {}, and {acked} was acknowledged",
                        self.master, self.epoch
                    ));
                }
            }
        }
        if self.reads {
            self.ask(self.master, &["CONFIG", "SET", "synchronous-reads", "yes"], PATIENCE_US);
        }
        Ok(())
    }
}
