//! A set with synchronous replicas and the Sentinels that watch it: nodes and Sentinels as they are, on machines where everything fails, and clients that look
//! for the master as applications do. Whatever happens, there is one master for each configuration epoch; what clients have seen of each key is possible in one order
//! that has nothing of what was acknowledged missing; and in the end all agree.

mod caller;
pub mod history;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fastrand::Rng;
use rivulet_host::world::{File as _, Open};

use self::caller::Caller;
use self::history::{History, NONE, Operation};
use crate::client::{Client, Reply};
use crate::invariants::Broken;
use crate::network::{HostId, ip};
use crate::schedule::{Loss, Schedule};
use crate::watch::Watch;

/// What Sentinels call the set.
const NAME: &str = "m";
const KEYS: usize = 4;
const CALLERS: usize = 3;
const TICK_US: u64 = 2_000;
/// What must come about comes within this time.
const PATIENCE_US: u64 = 180_000_000;
/// A reply comes within this time.
const REPLY_US: u64 = 1_000_000;
/// Troubles of a run.
const TROUBLES: std::ops::Range<usize> = 2..6;

/// What a run has come to.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// Masters that Sentinels have made.
    pub failovers: u64,
    pub acked: u64,
    /// Writes of which nobody knows whether they were done.
    pub unknown: u64,
    pub reads: u64,
    pub trace: u64,
}

/// How large a set is, and on what its servers rely.
#[derive(Clone, Copy, Debug)]
struct Shape {
    nodes: usize,
    sentinels: usize,
    /// So many replicas acknowledge each write.
    replicas: usize,
    /// So many Sentinels must see that the master is down.
    quorum: usize,
    down_after_ms: u64,
    failover_timeout_ms: u64,
    timeout_ms: u64,
    has_files: bool,
    /// What Sentinels tell and ask each ten seconds by default, they do each second.
    is_quick: bool,
    /// Reads wait, too.
    reads: bool,
    /// Who is gone for so long is forgotten; 0 for Sentinels that forget nobody within a run.
    forget_after_ms: u64,
}

impl Shape {
    fn any(rng: &mut Rng) -> Shape {
        let (nodes, replicas) = *rng.choice(&[(3, 1), (3, 1), (4, 2), (5, 2)]).unwrap_or(&(3, 1));
        let sentinels = if rng.u8(..3) == 0 { 5 } else { 3 };
        Shape {
            nodes,
            sentinels,
            replicas,
            quorum: rng.usize(2..=sentinels / 2 + 1),
            down_after_ms: rng.u64(300..1_500),
            failover_timeout_ms: if rng.u8(..4) == 0 { 180_000 } else { rng.u64(2_000..6_000) },
            timeout_ms: if rng.bool() { rng.u64(300..3_000) } else { 0 },
            has_files: rng.bool(),
            is_quick: rng.u8(..4) > 0,
            reads: rng.u8(..3) > 0,
            forget_after_ms: if rng.u8(..3) == 0 { rng.u64(3_000..12_000) } else { 0 },
        }
    }

    fn hosts(&self) -> usize {
        self.nodes + self.sentinels
    }
}

/// Values that are written, each once.
pub struct Values {
    last: u64,
    /// What is read is noted, too.
    reads: bool,
}

impl Values {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

struct Set {
    shape: Shape,
    schedule: Schedule,
    rng: Rng,
    callers: Vec<Caller>,
    watch: Watch,
    histories: Vec<History>,
    values: Values,
    /// Who asks each machine how it is.
    askers: Vec<Client>,
    /// Servers that have lost data since the set was whole last.
    lossy: BTreeSet<HostId>,
    /// Whether one was forgotten since the set was last whole. Another one that comes back as somebody else may then be one of just so many as acknowledge a write, and
    /// a master that was started again would wait for its word for ever.
    is_short: bool,
    /// Which master each configuration epoch has.
    masters: BTreeMap<u64, HostId>,
}

/// Runs a seed.
///
/// # Errors
/// What was broken.
pub fn run(seed: u64, shows_logs: bool) -> Result<Report, Broken> {
    let mut rng = Rng::with_seed(seed);
    let shape = Shape::any(&mut rng);
    let hosts = shape.hosts();
    let mut set = Set {
        shape,
        schedule: Schedule::new(seed, hosts, shows_logs),
        rng,
        watch: Watch::new(hosts + 1 + CALLERS, shape.nodes),
        callers: (0..CALLERS).map(|i| Caller::new(i, hosts + 1 + i)).collect(),
        histories: vec![History::default(); KEYS],
        values: Values { last: NONE, reads: shape.reads },
        askers: (0..hosts).map(|host| Client::new(hosts, host)).collect(),
        lossy: BTreeSet::new(),
        is_short: false,
        masters: BTreeMap::new(),
    };
    set.run()?;
    Ok(Report {
        failovers: set.masters.len().saturating_sub(1) as u64,
        acked: set.callers.iter().map(|caller| caller.acked).sum(),
        unknown: set.callers.iter().map(|caller| caller.unknown).sum(),
        reads: set.callers.iter().map(|caller| caller.reads).sum(),
        trace: set.schedule.shared.trace(),
    })
}

impl Set {
    fn run(&mut self) -> Result<(), Broken> {
        for host in 0..self.shape.nodes {
            let text = self.server_file((host != 0).then_some(0));
            self.write_file(host, "/data/redis.conf", &text);
            self.start(host);
        }
        for host in self.sentinels() {
            let text = self.sentinel_file();
            self.write_file(host, "/data/sentinel.conf", &text);
            self.start(host);
        }
        self.callers.iter_mut().for_each(|caller| caller.rests = true);
        self.wait_until_whole()?;
        self.callers.iter_mut().for_each(|caller| caller.rests = false);
        for _ in 0..self.rng.usize(TROUBLES) {
            let for_us = self.rng.u64(200_000..2_000_000);
            self.pass(for_us);
            self.trouble()?;
            self.look_at_epochs()?;
            self.watch.check()?;
            if self.rng.bool() {
                self.wait_until_whole()?;
                // Where clients read nothing that counts, what was lost must be seen before it is written over.
                if !self.shape.reads {
                    self.settle()?;
                    self.callers.iter_mut().for_each(|caller| caller.rests = false);
                }
            }
        }
        self.end()
    }

    /// Everything is at rest; what clients have seen is looked at.
    fn end(&mut self) -> Result<(), Broken> {
        let master = self.settle()?;
        for (key, history) in self.histories.iter().enumerate() {
            history.check().map_err(|why| format!("k{key}: {why} (set {:?})", self.shape))?;
        }
        self.compare(master)?;
        self.watch.check()?;
        self.forget_nothing()
    }

    /// All Sentinels lose power at once: each knows the master of the latest epoch from its own file.
    fn forget_nothing(&mut self) -> Result<(), Broken> {
        let views: Vec<_> = self.sentinels().map(|sentinel| (sentinel, self.view(sentinel))).collect();
        self.sentinels().for_each(|sentinel| self.schedule.stop(sentinel, Loss::Power));
        self.sentinels().for_each(|sentinel| self.start(sentinel));
        for (sentinel, before) in views {
            let until_us = self.schedule.now_us() + PATIENCE_US;
            let mut now = None;
            while before.is_some() && now.is_none() && self.schedule.now_us() < until_us {
                now = self.view(sentinel);
            }
            let is_same =
                |(epoch, master): (u64, HostId)| now.is_some_and(|now| now.0 > epoch || now == (epoch, master));
            if !before.is_none_or(is_same) {
                return Err(format!("Sentinel {sentinel} knew {before:?}, and after a restart {now:?}"));
            }
        }
        Ok(())
    }

    /// Clients come to rest, and what is in the master is read.
    fn settle(&mut self) -> Result<HostId, Broken> {
        self.callers.iter_mut().for_each(|caller| caller.rests = true);
        let until_us = self.schedule.now_us() + PATIENCE_US;
        while self.schedule.now_us() < until_us && !self.callers.iter().all(Caller::is_done) {
            self.tick();
        }
        self.callers.iter_mut().for_each(|caller| caller.give_up(&mut self.histories));
        self.read_all()
    }

    /// What is in the master is a read of each key. A Sentinel may end what was left half done, and make another one the master meanwhile.
    fn read_all(&mut self) -> Result<HostId, Broken> {
        let until_us = self.schedule.now_us() + PATIENCE_US;
        while self.schedule.now_us() < until_us {
            let master = self.wait_until_whole()?;
            if (0..KEYS).all(|key| self.read(master, key)) {
                return Ok(master);
            }
        }
        Err("the master does not answer".into())
    }

    fn read(&mut self, master: HostId, key: usize) -> bool {
        let called_us = self.schedule.now_us();
        let reply = self.ask(master, &["GET", &format!("k{key}")], 10 * REPLY_US);
        let Some(value @ (Reply::Bulk(_) | Reply::Nil)) = reply else { return false };
        let (value, returned_us) = (value.text().parse().unwrap_or(NONE), Some(self.schedule.now_us()));
        self.histories[key].add(Operation { is_write: false, value, called_us, returned_us });
        true
    }

    /// All servers hold the same.
    fn compare(&mut self, master: HostId) -> Result<(), Broken> {
        let until_us = self.schedule.now_us() + PATIENCE_US;
        loop {
            let digests: Vec<Option<String>> = (0..self.shape.nodes)
                .map(|host| self.ask(host, &["DEBUG", "DIGEST"], REPLY_US).map(|reply| reply.text()))
                .collect();
            if digests.iter().all(|digest| *digest == digests[master] && digest.is_some()) {
                return Ok(());
            }
            if self.schedule.now_us() > until_us {
                return Err(format!("servers hold different things: {digests:?}"));
            }
            self.pass(200_000);
        }
    }

    fn sentinels(&self) -> std::ops::Range<HostId> {
        self.shape.nodes..self.shape.hosts()
    }

    fn server_file(&self, follows: Option<HostId>) -> String {
        let Shape { replicas, timeout_ms, has_files, reads, .. } = self.shape;
        let yes_no = |on| if on { "yes" } else { "no" };
        let mut text = format!(
            "port 6379\nbind 0.0.0.0\nprotected-mode no\ndir /data\nsave \"\"\nappendonly {}\nrepl-diskless-sync-delay 0\nrepl-timeout 6\n\
             repl-ping-replica-period 1\n\
             enable-debug-command yes\nsynchronous-replicas {replicas}\nsynchronous-timeout {timeout_ms}\nsynchronous-reads {}\n",
            yes_no(has_files),
            yes_no(reads)
        );
        if let Some(master) = follows {
            text += &format!("replicaof {} 6379\n", ip(master));
        }
        text
    }

    fn sentinel_file(&self) -> String {
        let Shape { quorum, down_after_ms, failover_timeout_ms, forget_after_ms, .. } = self.shape;
        let forgets = match forget_after_ms {
            0 => String::new(),
            ms => format!("sentinel forget-after {NAME} {ms}\n"),
        };
        format!(
            "port 6379\nbind 0.0.0.0\nprotected-mode no\ndir /data\nsentinel monitor {NAME} {} 6379 {quorum}\n\
             sentinel down-after-milliseconds {NAME} {down_after_ms}\nsentinel failover-timeout {NAME} {failover_timeout_ms}\n{forgets}",
            ip(0)
        )
    }

    fn write_file(&self, host: HostId, path: &str, text: &str) {
        let disk = &self.schedule.host(host).disk;
        let how = Open { write: true, create: true, ..Open::default() };
        let file = disk.open(Path::new(path), &how).expect("the disk is empty and whole");
        file.write_at(text.as_bytes(), 0).and_then(|_| file.sync()).expect("the disk is whole");
        disk.sync_directory().expect("the disk is whole");
    }

    /// Starts a server or a Sentinel with its own file.
    fn start(&mut self, host: HostId) {
        if host < self.shape.nodes {
            return self.schedule.start(host, &["/data/redis.conf".into()]);
        }
        self.schedule.start(host, &["/data/sentinel.conf".into(), "--sentinel".into()]);
        if !self.shape.is_quick {
            return;
        }
        let periods = ["INFO-PERIOD", "1000", "PUBLISH-PERIOD", "500", "TILT-PERIOD", "3000"];
        let words = ["SENTINEL", "DEBUG"].iter().chain(&periods).copied().collect::<Vec<_>>();
        // It does not listen at once.
        for _ in 0..10 {
            if self.ask(host, &words, REPLY_US).is_some() {
                return;
            }
            self.tick();
        }
    }

    fn tick(&mut self) {
        let until_us = self.schedule.now_us() + TICK_US;
        while !self.schedule.advance(until_us) {}
        let sentinels = self.sentinels();
        for caller in &mut self.callers {
            caller.tick(sentinels.clone(), &mut self.histories, &mut self.values, &self.schedule, &mut self.rng);
        }
        self.watch.tick(&mut self.schedule);
    }

    fn pass(&mut self, us: u64) {
        let until_us = self.schedule.now_us() + us;
        while self.schedule.now_us() < until_us {
            self.tick();
        }
    }

    /// Asks a machine, and waits for at most so long; nothing if it did not answer.
    fn ask(&mut self, host: HostId, words: &[&str], patience_us: u64) -> Option<Reply> {
        self.askers[host].hang_up(&self.schedule.shared);
        self.askers[host].ask(words, &self.schedule.shared);
        let until_us = self.schedule.now_us() + patience_us;
        while self.schedule.now_us() < until_us {
            self.tick();
            match self.askers[host].poll(&self.schedule.shared) {
                Ok(mut replies) if !replies.is_empty() => return Some(replies.remove(0)),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// What a Sentinel takes for the master, and in which epoch; nothing of one that replaces it just now: it has the epoch before the address.
    fn view(&mut self, sentinel: HostId) -> Option<(u64, HostId)> {
        let Some(Reply::Array(items)) = self.ask(sentinel, &["SENTINEL", "MASTER", NAME], REPLY_US) else {
            return None;
        };
        let field = |name: &str| items.chunks(2).find(|pair| pair[0].text() == name).map(|pair| pair[1].text());
        if field("flags")?.contains("failover_in_progress") {
            return None;
        }
        let host = crate::network::host_at(&field("ip")?)?;
        Some((field("config-epoch")?.parse().ok()?, host))
    }

    /// All Sentinels that answer have one master for each epoch.
    fn look_at_epochs(&mut self) -> Result<Vec<Option<HostId>>, Broken> {
        let mut seen = Vec::new();
        for sentinel in self.sentinels() {
            let view = self.view(sentinel);
            if let Some((epoch, host)) = view {
                let master = *self.masters.entry(epoch).or_insert(host);
                if master != host {
                    return Err(format!("epoch {epoch} has two masters: {master} and {host}"));
                }
            }
            seen.push(view.map(|(_, host)| host));
        }
        Ok(seen)
    }

    /// All goes well again: all Sentinels name one master, which knows its members, has proven itself, has all replicas, and takes writes.
    fn wait_until_whole(&mut self) -> Result<HostId, Broken> {
        self.heal();
        let until_us = self.schedule.now_us() + PATIENCE_US + 2_000 * self.shape.failover_timeout_ms;
        let mut last = (Vec::new(), String::new());
        while self.schedule.now_us() < until_us {
            let views = self.look_at_epochs()?;
            let first = views.first().copied().flatten();
            let info = match first {
                Some(master) if views.iter().all(|view| *view == first) => self.replication_of(master),
                _ => String::new(),
            };
            if let Some(master) = first.filter(|_| self.is_whole(&info))
                && self.are_members(&info)
                && self.takes_a_write(master)
            {
                self.lossy.clear();
                self.is_short = false;
                return Ok(master);
            }
            last = (views, info);
            self.pass(100_000);
        }
        Err(format!("the set is not whole again ({:?}): {:?}", self.shape, last))
    }

    /// All know one settled list of the servers that there are: one that has lost its name with its disk is another member than before, and who has not heard that the
    /// former one is gone still counts it.
    fn are_members(&mut self, info: &str) -> bool {
        let Some(members) = field(info, "members").map(|ids| ids.split(',').map(str::to_string).collect::<Vec<_>>())
        else {
            return false;
        };
        (0..self.shape.nodes).all(|host| {
            let own = self.replication_of(host);
            has_settled(&own, members.len())
                && field(&own, "node_id").is_some_and(|own| members.iter().any(|id| id == own))
        })
    }

    /// A key that is in no history.
    fn takes_a_write(&mut self, master: HostId) -> bool {
        matches!(self.ask(master, &["SET", "whole", "yes"], 10 * REPLY_US), Some(Reply::Simple(_)))
    }

    fn is_whole(&self, info: &str) -> bool {
        let members =
            field(info, "members").map_or(0, |members| members.split(',').filter(|id| !id.is_empty()).count());
        field(info, "role") == Some("master")
            && info.matches("state=online").count() + 1 == self.shape.nodes
            && members == self.shape.nodes
            && field(info, "stale_master") == Some("0")
            && field(info, "synchronous_unproven") == Some("0")
    }

    /// A server's INFO of replication; nothing if it does not answer.
    fn replication_of(&mut self, host: HostId) -> String {
        self.ask(host, &["INFO", "replication"], REPLY_US).map_or(String::new(), |reply| reply.text())
    }
}

/// A line of INFO.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

/// Whether who tells this knows a list of so many members that is settled.
fn has_settled(info: &str, members: usize) -> bool {
    let count = field(info, "members").map_or(0, |ids| ids.split(',').count());
    count == members && field(info, "members_list").is_some_and(|list| !list.contains(','))
}
