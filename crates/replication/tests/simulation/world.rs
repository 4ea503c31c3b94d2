//! The nodes, the network between them, and what goes wrong.

use rivulet_replication::Millis;
use std::collections::HashMap;

use crate::data::Data;
use crate::disk::{Disk, Kind};
use crate::invariants::{
    Truth, ack_is_never_ahead, continue_leaves_no_gap, everything_is_equal, fsynced_is_never_ahead,
    full_sync_has_a_reason, logs_agree, no_full_sync_after_a_kill,
};
use crate::network::{ConnId, Event, Network, Side};
use crate::node::{Effect, End, Node};

pub struct World {
    /// All nodes keep append-only files, and only happens what must never cost a full sync.
    durable: bool,
    rng: fastrand::Rng,
    now: Millis,
    nodes: Vec<Node>,
    network: Network,
    truth: Truth,
    /// The partial resyncs that masters granted: from where, and what data they had there.
    granted: HashMap<ConnId, (u64, Option<Data>)>,
    seen: Seen,
    trace: bool,
    /// Whom each node is meant to follow.
    parents: Vec<Option<usize>>,
    /// A node that has a new id is killed then.
    ends_soon: Option<(Millis, usize)>,
}

/// What happened, to be sure that enough did.
#[derive(Debug, Default)]
pub struct Seen {
    pub full: u64,
    pub partial: u64,
    pub refused: u64,
    pub new_ids: u64,
    pub failed_loads: u64,
    pub cut_in_multi: u64,
    pub loops: u64,
    pub two_channels: u64,
    /// Of these, Valkey's way.
    pub beside: u64,
    pub clean_ends: u64,
    pub kills: u64,
    pub power_losses: u64,
    pub failovers: u64,
    pub returns: u64,
    pub from_disk: u64,
    pub durable_worlds: u64,
}

impl Seen {
    pub fn add(&mut self, other: &Seen) {
        self.full += other.full;
        self.partial += other.partial;
        self.refused += other.refused;
        self.new_ids += other.new_ids;
        self.failed_loads += other.failed_loads;
        self.cut_in_multi += other.cut_in_multi;
        self.loops += other.loops;
        self.two_channels += other.two_channels;
        self.beside += other.beside;
        self.clean_ends += other.clean_ends;
        self.kills += other.kills;
        self.power_losses += other.power_losses;
        self.failovers += other.failovers;
        self.returns += other.returns;
        self.from_disk += other.from_disk;
        self.durable_worlds += other.durable_worlds;
    }
}

const STEP: Millis = 50;
const TROUBLE: Millis = 20_000;
const PATIENCE: Millis = 60_000;

impl World {
    pub fn new(seed: u64) -> World {
        let mut rng = fastrand::Rng::with_seed(seed);
        let count = rng.usize(3..=7);
        let now = 1_000_000;
        let durable = rng.u8(0..3) == 0;
        let nodes = (0..count)
            .map(|index| {
                let kind = match rng.u8(0..4) {
                    sort if durable || sort < 2 => Some(Kind::AppendOnly { always: rng.bool() }),
                    2 => Some(Kind::Backlog),
                    _ => None,
                };
                Node::with_disk(index, rng.fork(), now, kind)
            })
            .collect();
        let mut world = World {
            durable,
            rng,
            now,
            nodes,
            network: Network::default(),
            truth: Truth::default(),
            granted: HashMap::new(),
            seen: Seen { durable_worlds: u64::from(durable), ..Seen::default() },
            trace: std::env::var_os("RIVULET_TRACE").is_some(),
            parents: vec![None; count],
            ends_soon: None,
        };
        for index in 1..count {
            let parent = world.rng.usize(0..index);
            world.follow(index, parent);
        }
        world.nodes[0].belongs = true;
        world
    }

    pub fn run(mut self) -> Seen {
        let end_of_trouble = self.now + TROUBLE;
        while self.now < end_of_trouble {
            if self.rng.u8(0..4) == 0 {
                self.write();
            }
            if self.rng.u8(0..12) == 0 {
                self.trouble();
            }
            if let Some((_, index)) = self.ends_soon.take_if(|(at, _)| *at <= self.now) {
                self.end_without_cost(index);
            }
            self.step();
        }
        let deadline = self.now + PATIENCE;
        while self.durable && self.is_failing_over() {
            assert!(self.now < deadline, "a hand-over does not end");
            self.step();
        }
        for index in 0..self.nodes.len() {
            self.act(index, |node, now, out| node.abort_failover(now, out));
            self.nodes[index].ping_rarely();
        }
        let deadline = self.now + PATIENCE;
        loop {
            // A hand-over that was given up may reach its target all the same.
            self.make_one_tree();
            self.step();
            match everything_is_equal(&self.nodes) {
                Ok(()) => break,
                Err(why) => assert!(self.now < deadline, "no convergence: {why}"),
            }
        }
        for node in &self.nodes {
            logs_agree(node, &self.nodes[0]);
        }
        self.seen.cut_in_multi = self.nodes.iter().map(|node| node.cuts_in_multi).sum();
        self.seen
    }

    fn act(&mut self, index: usize, act: impl FnOnce(&mut Node, Millis, &mut Vec<Effect>)) {
        let mut effects = Vec::new();
        act(&mut self.nodes[index], self.now, &mut effects);
        self.settle(index, effects);
    }

    fn step(&mut self) {
        self.now += STEP;
        let mut effects = Vec::new();
        for (conn, node, event) in self.network.events(&mut self.rng, self.now) {
            let now = self.now;
            match event {
                Event::Connected => {
                    if let Some(server) = self.network.get(conn).map(|conn| conn.server) {
                        self.nodes[server].accept(conn);
                        self.nodes[node].connected(conn, now, &mut effects);
                    }
                }
                Event::Refused => {
                    let node = self.nodes.iter().position(|node| [node.upstream, node.channel].contains(&Some(conn)));
                    let Some(index) = node else { continue };
                    self.nodes[index].closed(conn, Side::Client, now, &mut effects);
                    self.settle(index, std::mem::take(&mut effects));
                    continue;
                }
                Event::Bytes(side, bytes) => self.nodes[node].received(conn, side, &bytes, now, &mut effects),
                Event::Closed(side) => self.nodes[node].closed(conn, side, now, &mut effects),
            }
            self.settle(node, std::mem::take(&mut effects));
        }
        for index in 0..self.nodes.len() {
            self.nodes[index].tick(self.now, &mut effects);
            self.settle(index, std::mem::take(&mut effects));
        }
    }

    /// Does what a node wants, and checks what it claims.
    fn settle(&mut self, index: usize, effects: Vec<Effect>) {
        for effect in effects {
            let delay = self.rng.u64(0..300);
            match effect {
                Effect::Open { port } => self.nodes[index].upstream = Some(self.open(index, port, delay)),
                Effect::OpenChannel { port } => self.nodes[index].channel = Some(self.open(index, port, delay)),
                Effect::Send(conn, side, bytes) => self.network.send(conn, side, &bytes, self.now + delay),
                Effect::Close(conn, side) => self.network.close(conn, side, self.now + delay),
                Effect::Granted { conn, from, data, beside } => {
                    self.seen.beside += u64::from(beside);
                    // Not if it asks for what follows a snapshot, and holds other data still.
                    let asks_from_own = |client: &usize| !beside && self.nodes[*client].log.end_offset() == from;
                    if let Some(client) = self.client_of(conn).filter(asks_from_own) {
                        logs_agree(&self.nodes[client], &self.nodes[index]);
                    }
                    self.granted.insert(conn, (from, data));
                }
                Effect::Continued { conn, from, at, data } => {
                    self.seen.partial += 1;
                    continue_leaves_no_gap(index, (from, at, data), self.granted[&conn]);
                }
                Effect::MustSync { conn, asked } => {
                    if let Some(client) = self.client_of(conn) {
                        self.say(|| format!("{client} must have all from {index}, asked {asked:?}"));
                        full_sync_has_a_reason(asked, &self.nodes[client], &self.nodes[index]);
                        if self.durable {
                            no_full_sync_after_a_kill(asked, &self.nodes[client], &self.nodes[index]);
                            self.nodes[client].belongs = false;
                        }
                    }
                }
                Effect::Acked { conn, offset, fsynced } => {
                    if let Some(client) = self.client_of(conn) {
                        ack_is_never_ahead(offset, &self.nodes[client], &self.nodes[index]);
                        fsynced.into_iter().for_each(|fsynced| fsynced_is_never_ahead(fsynced, &self.nodes[client]));
                    }
                }
                Effect::HandedOver(port) => {
                    self.seen.failovers += 1;
                    // Whoever was sent below the old master meanwhile closes a loop, which somebody must open.
                    match self.is_above(index, usize::from(port)) {
                        true => self.promote(index),
                        false => self.parents[index] = Some(usize::from(port)),
                    }
                }
                Effect::TookOver => self.parents[index] = None,
                Effect::FromDisk => self.seen.from_disk += 1,
                Effect::Applied(position, data) => self.truth.applied_is_a_prefix(index, position, data),
                Effect::Full => self.seen.full += 1,
                Effect::Refused => self.seen.refused += 1,
                Effect::NewId => self.seen.new_ids += 1,
                Effect::LoadFailed => self.seen.failed_loads += 1,
                Effect::Log(text) => {
                    self.seen.two_channels += u64::from(text.contains("two channels"));
                    self.seen.loops += u64::from(text.contains("loop"));
                    self.say(|| format!("node {index}: {text}"));
                }
            }
        }
    }

    fn open(&mut self, index: usize, port: u16, delay: Millis) -> ConnId {
        let server = (self.rng.u8(0..20) > 0).then_some(usize::from(port));
        self.network.open(index, server, self.now + delay)
    }

    /// The replica at the other end, if it still is there.
    fn client_of(&self, conn: ConnId) -> Option<usize> {
        let client = self.network.get(conn)?.client;
        (self.nodes[client].upstream == Some(conn)).then_some(client)
    }

    fn say(&self, text: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>7} {}", self.now, text());
        }
    }

    fn write(&mut self) {
        let index = self.rng.usize(0..self.nodes.len());
        for _ in 0..self.rng.usize(1..12) {
            let mut effects = Vec::new();
            self.nodes[index].write(&mut effects);
            self.settle(index, effects);
        }
    }

    fn trouble(&mut self) {
        let index = self.rng.usize(0..self.nodes.len());
        let other = self.rng.usize(0..self.nodes.len());
        if self.durable {
            return self.trouble_that_costs_nothing(index);
        }
        match self.rng.u8(0..15) {
            0..3 => self.cut(),
            3..5 => self.stall(),
            5..7 => self.restart(index),
            7 => self.nodes[index].saved = self.nodes[index].state(),
            8 => self.promote(index),
            9 => self.rewrite(index),
            10 => {
                let until = self.now + self.rng.u64(100..3_000);
                if let Some(disk) = &mut self.nodes[index].disk {
                    disk.refuse_until(until);
                }
            }
            11 => self.failover(index),
            12 => self.nodes[index].trim_disk(self.now),
            _ if !self.is_above(index, other) => self.follow(index, other),
            _ => {}
        }
    }

    /// What a node may go through that keeps append-only files, without anybody needing a full sync.
    fn trouble_that_costs_nothing(&mut self, index: usize) {
        // A hand-over that is cut makes two masters, and one of them is ahead.
        if self.is_failing_over() {
            return;
        }
        match self.rng.u8(0..12) {
            0..3 => self.cut(),
            3 => self.stall(),
            4..9 => self.end_without_cost(index),
            9 => self.rewrite(index),
            10 => self.failover(index),
            _ => self.there_and_back(index),
        }
    }

    /// Until the data of a full sync are in the files, an end costs another.
    fn end_without_cost(&mut self, index: usize) {
        if self.is_failing_over() || !self.nodes[index].disk.as_ref().is_some_and(Disk::is_settled) {
            return;
        }
        let end = if self.rng.u8(0..4) == 0 { End::Clean } else { End::Killed };
        let port = self.nodes[index].link.as_ref().map(|link| link.config().port);
        self.end(index, end, port);
    }

    /// A replica becomes a master and, before it has written a byte, a replica again.
    fn there_and_back(&mut self, index: usize) {
        if let Some(parent) = self.parents[index] {
            self.seen.returns += 1;
            self.promote(index);
            self.follow(index, parent);
            let at = self.now + self.rng.u64(0..4_000);
            self.ends_soon = self.rng.bool().then_some((at, index));
        }
    }

    fn is_failing_over(&self) -> bool {
        self.nodes.iter().any(|node| !node.failover.is_idle())
    }

    fn cut(&mut self) {
        let conns = self.network.ids();
        if let Some(conn) = self.pick(&conns) {
            self.say(|| format!("cut {conn}"));
            self.network.cut(conn, &mut self.rng, self.now);
        }
    }

    fn stall(&mut self) {
        let conns = self.network.ids();
        if let Some(conn) = self.pick(&conns) {
            let until = self.now + self.rng.u64(100..9_000);
            self.say(|| format!("stall {conn} until {until}"));
            self.network.stall(conn, until);
        }
    }

    fn rewrite(&mut self, index: usize) {
        let now = self.now;
        self.nodes[index].rewrite(now);
    }

    fn failover(&mut self, index: usize) {
        self.say(|| format!("failover from {index}"));
        self.act(index, |node, now, out| node.start_failover(now, out));
    }

    fn pick(&mut self, conns: &[ConnId]) -> Option<ConnId> {
        (!conns.is_empty()).then(|| conns[self.rng.usize(0..conns.len())])
    }

    /// In any way, and now and then in the other role.
    fn restart(&mut self, index: usize) {
        let end = match self.rng.u8(0..8) {
            0 => End::DiskLost,
            1..4 => End::Clean,
            4..6 => End::Killed,
            _ => End::PowerLost,
        };
        let node = &self.nodes[index];
        // A hand-over that was not answered is not in the configuration yet.
        let port = node.link.as_ref().filter(|_| node.failover.is_idle()).map(|link| link.config().port);
        let port = port.filter(|_| self.rng.u8(0..8) > 0);
        self.parents[index] = port.map(usize::from);
        self.end(index, end, port);
    }

    fn end(&mut self, index: usize, end: End, port: Option<u16>) {
        self.say(|| format!("{index} ends: {end:?}, and starts with the master {port:?}"));
        match end {
            End::Clean => self.seen.clean_ends += 1,
            End::Killed => self.seen.kills += 1,
            End::PowerLost => self.seen.power_losses += 1,
            End::DiskLost => {}
        }
        self.act(index, |node, now, out| node.restart(end, port, now, out));
        self.say(|| format!("{index} starts at {}", self.nodes[index].position()));
    }

    fn promote(&mut self, index: usize) {
        if self.nodes[index].failover.is_idle() {
            self.say(|| format!("promote {index}"));
            self.parents[index] = None;
            self.act(index, |node, now, out| node.promote(now, out));
        }
    }

    fn follow(&mut self, index: usize, parent: usize) {
        if self.nodes[index].failover.is_idle() {
            self.say(|| format!("{index} follows {parent}"));
            self.parents[index] = Some(parent);
            self.act(index, |node, now, out| node.follow(parent as u16, now, out));
        }
    }

    /// Whether `above` is `below` or a master of it, directly or not.
    fn is_above(&self, above: usize, below: usize) -> bool {
        let mut at = Some(below);
        while let Some(node) = at {
            if node == above {
                return true;
            }
            at = self.parents[node];
        }
        false
    }

    /// Peace: one master stays, the other masters follow somebody of its tree.
    fn make_one_tree(&mut self) {
        let roots: Vec<usize> = (0..self.nodes.len()).filter(|index| self.parents[*index].is_none()).collect();
        for pair in roots.windows(2) {
            let mut parent = pair[0];
            if self.rng.bool() {
                let below: Vec<usize> = (0..self.nodes.len()).filter(|index| self.is_above(pair[0], *index)).collect();
                parent = below[self.rng.usize(0..below.len())];
            }
            self.follow(pair[1], parent);
        }
    }
}
