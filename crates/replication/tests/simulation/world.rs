//! The nodes, the network between them, and what goes wrong.

use rivulet_replication::Millis;
use std::collections::HashMap;

use crate::invariants::{Truth, ack_is_never_ahead, continue_leaves_no_gap, everything_is_equal, logs_agree};
use crate::network::{ConnId, Event, Network, Side};
use crate::node::{Data, Effect, Node};

pub struct World {
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
        let nodes = (0..count).map(|index| Node::new(index, rng.fork(), now)).collect();
        let mut world = World {
            rng,
            now,
            nodes,
            network: Network::default(),
            truth: Truth::default(),
            granted: HashMap::new(),
            seen: Seen::default(),
            trace: std::env::var_os("RIVULET_TRACE").is_some(),
            parents: vec![None; count],
        };
        for index in 1..count {
            let parent = world.rng.usize(0..index);
            world.follow(index, parent);
        }
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
            self.step();
        }
        self.make_one_tree();
        let deadline = self.now + PATIENCE;
        loop {
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
                    let client = self.network.get(conn).map(|conn| conn.client).filter(|_| !beside);
                    if let Some(client) = client.filter(|client| self.nodes[*client].upstream == Some(conn)) {
                        logs_agree(&self.nodes[client], &self.nodes[index]);
                    }
                    self.granted.insert(conn, (from, data));
                }
                Effect::Continued { conn, from, at, data } => {
                    self.seen.partial += 1;
                    continue_leaves_no_gap(index, (from, at, data), self.granted[&conn]);
                }
                Effect::Acked { conn, offset } => {
                    let client = self.network.get(conn).map(|conn| conn.client);
                    if let Some(client) = client.filter(|client| self.nodes[*client].upstream == Some(conn)) {
                        ack_is_never_ahead(offset, &self.nodes[client], &self.nodes[index]);
                    }
                }
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
        match self.rng.u8(0..10) {
            0..3 => {
                let conns = self.network.ids();
                if let Some(conn) = self.pick(&conns) {
                    self.say(|| format!("cut {conn}"));
                    self.network.cut(conn, &mut self.rng, self.now);
                }
            }
            3..5 => {
                let conns = self.network.ids();
                if let Some(conn) = self.pick(&conns) {
                    let until = self.now + self.rng.u64(100..9_000);
                    self.say(|| format!("stall {conn} until {until}"));
                    self.network.stall(conn, until);
                }
            }
            5 => self.restart(index),
            6 => self.nodes[index].saved = self.nodes[index].state(),
            7 => self.promote(index),
            _ if !self.is_above(index, other) => self.follow(index, other),
            _ => {}
        }
    }

    fn pick(&mut self, conns: &[ConnId]) -> Option<ConnId> {
        (!conns.is_empty()).then(|| conns[self.rng.usize(0..conns.len())])
    }

    /// From its newest state, from an older one, or from nothing.
    fn restart(&mut self, index: usize) {
        let saved = match self.rng.u8(0..6) {
            0 => None,
            1..3 => self.nodes[index].saved,
            _ => self.nodes[index].state(),
        };
        self.say(|| format!("restart {index} with {saved:?}"));
        let mut effects = Vec::new();
        self.nodes[index].restart(saved, self.now, &mut effects);
        self.settle(index, effects);
    }

    fn promote(&mut self, index: usize) {
        self.say(|| format!("promote {index}"));
        let mut effects = Vec::new();
        self.nodes[index].promote(self.now, &mut effects);
        self.parents[index] = None;
        self.settle(index, effects);
    }

    fn follow(&mut self, index: usize, parent: usize) {
        self.say(|| format!("{index} follows {parent}"));
        let mut effects = Vec::new();
        self.nodes[index].follow(parent as u16, self.now, &mut effects);
        self.parents[index] = Some(parent);
        self.settle(index, effects);
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
