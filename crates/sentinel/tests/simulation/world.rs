//! A network of Sentinels and of servers with as much of replication as a Sentinel sees, in virtual time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use rivulet_resp::decode::{Batch, Decoder, Limits};
use rivulet_resp::{Args, OwnedArgs, Reply};
use rivulet_sentinel::{Action, ConnId, Done, NOT_SAVED, Sentinel, configuration};

/// Where somebody is: all have the same address, and a port each.
pub type Port = u16;
pub const SERVER: Port = 100;
pub const SENTINEL: Port = 60_000;

pub fn ip() -> IpAddr {
    IpAddr::from([10, 0, 0, 1])
}

/// Chance, from a seed.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// A server with as much of replication as a Sentinel sees.
pub struct Server {
    pub is_up: bool,
    pub run: u64,
    pub master: Option<Port>,
    pub replid: String,
    pub former: Option<(String, u64)>,
    pub offset: u64,
    /// Since when its master can't be reached.
    pub alone_since_ms: Option<u64>,
    pub synced: bool,
    /// Its writers wait until then.
    pub paused_until_ms: u64,
}

/// One connection, from a Sentinel to anybody.
pub struct Wire {
    pub from: usize,
    pub to: Port,
    pub decoder: Decoder,
    pub buffer: Vec<u8>,
    pub client: u64,
    /// What was sent last arrives then, there and back: nothing overtakes it.
    pub arrives_ms: [u64; 2],
}

pub enum Event {
    ToServer(u64, Vec<u8>),
    ToSentinel(u64, Vec<u8>),
    Broken(u64),
}

pub struct Node {
    pub core: Option<Sentinel>,
    pub disk: Vec<String>,
    pub paused_until_ms: u64,
    pub disk_fails: bool,
    pub restarts: u64,
}

/// A master and its replicas, by what they were at the beginning.
pub struct Set {
    pub name: String,
    pub ports: std::ops::Range<Port>,
}

impl Set {
    fn new(set: u16, servers: u16) -> Set {
        let name = if set == 0 { "m".to_string() } else { format!("m{set}") };
        let first = SERVER + set * servers;
        Set { name, ports: first..first + servers }
    }

    /// The lines of a Sentinel's configuration.
    fn lines(&self, quorum: usize) -> [String; 3] {
        let (name, port) = (&self.name, self.ports.start);
        [
            format!("sentinel monitor {name} 10.0.0.1 {port} {quorum}"),
            format!("sentinel down-after-milliseconds {name} 1000"),
            format!("sentinel failover-timeout {name} 5000"),
        ]
    }
}

pub struct World {
    pub now_ms: u64,
    pub chance: Chance,
    pub nodes: Vec<Node>,
    pub servers: BTreeMap<Port, Server>,
    pub wires: BTreeMap<u64, Wire>,
    /// A Sentinel's connection is known by its number and that of the Sentinel's life.
    pub ids: BTreeMap<(usize, u64, ConnId), u64>,
    pub events: BTreeMap<(u64, u64), Event>,
    pub next: u64,
    /// Pairs that can't hear each other, in this direction.
    pub cuts: BTreeSet<(Port, Port)>,
    pub leaders: BTreeMap<(String, u64), BTreeSet<usize>>,
    pub trace: VecDeque<String>,
    pub hears: bool,
    pub sets: Vec<Set>,
    /// How often servers were asked what, by the command's name.
    pub asked: BTreeMap<String, u32>,
    /// Connections that listen to a server's channel.
    pub subscribers: BTreeMap<Port, BTreeSet<u64>>,
}

impl World {
    pub fn new(seed: u64, sentinels: usize, servers: usize, extra: &[&str]) -> World {
        World::of_sets(seed, sentinels, 1, servers, extra)
    }

    /// So many masters, each with its replicas. The first one is `m`, those that follow `m1`, `m2`, …
    pub fn of_sets(seed: u64, sentinels: usize, sets: u16, servers: usize, extra: &[&str]) -> World {
        let mut world = World {
            now_ms: 1_000_000,
            chance: Chance(seed.wrapping_mul(2) | 1),
            nodes: Vec::new(),
            servers: BTreeMap::new(),
            wires: BTreeMap::new(),
            ids: BTreeMap::new(),
            events: BTreeMap::new(),
            next: 0,
            cuts: BTreeSet::new(),
            leaders: BTreeMap::new(),
            trace: VecDeque::new(),
            sets: Vec::new(),
            asked: BTreeMap::new(),
            subscribers: BTreeMap::new(),
            hears: std::env::var("RIVULET_TRACE").is_ok(),
        };
        world.sets = (0..sets).map(|set| Set::new(set, servers as u16)).collect();
        for i in 0..servers as u16 * sets {
            let master = SERVER + i / servers as u16 * servers as u16;
            let server = Server {
                is_up: true,
                run: u64::from(i),
                master: (master != SERVER + i).then_some(master),
                replid: "r0".into(),
                former: None,
                offset: 1000,
                alone_since_ms: None,
                synced: true,
                paused_until_ms: 0,
            };
            world.servers.insert(SERVER + i, server);
        }
        for i in 0..sentinels {
            let quorum = sentinels / 2 + 1;
            let mut disk: Vec<String> = world.sets.iter().flat_map(|set| set.lines(quorum)).collect();
            disk.extend(extra.iter().map(|line| line.to_string()));
            world.nodes.push(Node { core: None, disk, paused_until_ms: 0, disk_fails: false, restarts: 0 });
            world.start(i);
        }
        world
    }

    pub fn note(&mut self, text: String) {
        let line = format!("{:>8} {text}", self.now_ms - 1_000_000);
        if self.hears {
            println!("{line}");
        }
        self.trace.push_back(line);
        if self.trace.len() > 400 {
            self.trace.pop_front();
        }
    }

    /// A Sentinel begins with what is on its disk.
    pub fn start(&mut self, i: usize) {
        let seed = self.chance.next();
        let mut core = Sentinel::new(self.now_ms, self.now_ms, seed);
        let port = SENTINEL + i as u16;
        core.globals.port = port;
        let mut lines: Vec<Vec<Vec<u8>>> = self.nodes[i]
            .disk
            .iter()
            .map(|line| line.split(' ').skip(1).map(|word| word.as_bytes().to_vec()).collect())
            .collect();
        lines.sort_by_key(|words| configuration::stage(&words[0]));
        lines.iter().for_each(|words| core.configure(words).expect("its own lines"));
        core.begin(&format!("{:040}", i));
        self.nodes[i].core = Some(core);
        self.nodes[i].restarts += 1;
        self.note(format!("sentinel {i} starts"));
        self.end_turn(i, Vec::new());
    }

    pub fn kill(&mut self, i: usize) {
        self.note(format!("sentinel {i} is killed"));
        self.nodes[i].core = None;
        let port = SENTINEL + i as u16;
        let gone: Vec<u64> =
            self.wires.iter().filter(|(_, w)| w.from == i || w.to == port).map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|id| self.break_wire(id));
    }

    pub fn break_wire(&mut self, id: u64) {
        let delay = 1 + self.chance.below(3);
        self.push(delay, Event::Broken(id));
    }

    /// Sends bytes over a wire, to its server or back.
    pub fn carry(&mut self, id: u64, is_back: bool, bytes: Vec<u8>) {
        let at_ms = self.now_ms + 1 + self.chance.below(4);
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let arrives_ms = &mut wire.arrives_ms[usize::from(is_back)];
        *arrives_ms = at_ms.max(*arrives_ms);
        let delay_ms = *arrives_ms - self.now_ms;
        self.push(delay_ms, if is_back { Event::ToSentinel(id, bytes) } else { Event::ToServer(id, bytes) });
    }

    pub fn push(&mut self, delay_ms: u64, event: Event) {
        self.next += 1;
        self.events.insert((self.now_ms + delay_ms, self.next), event);
    }

    pub fn is_cut(&self, from: Port, to: Port) -> bool {
        self.cuts.contains(&(from, to))
    }

    pub fn is_reachable(&self, to: Port) -> bool {
        match self.servers.get(&to) {
            Some(server) => server.is_up,
            None => self.nodes.get((to - SENTINEL) as usize).is_some_and(|node| node.core.is_some()),
        }
    }

    /// What a Sentinel wants done is done, after its disk has what it must.
    pub fn end_turn(&mut self, i: usize, mut replies: Vec<(u64, Vec<u8>, bool)>) {
        for _ in 0..8 {
            let now_fails = self.nodes[i].disk_fails;
            let Some(core) = &mut self.nodes[i].core else { return };
            let actions = core.take_actions();
            let mut kept = true;
            if core.is_unsaved() {
                if now_fails {
                    core.saved(Err("the disk is full".into()));
                    kept = false;
                } else {
                    let lines = core.lines();
                    let lines = lines.iter().flat_map(|(_, lines)| lines);
                    self.nodes[i].disk = lines.map(|(line, _)| String::from_utf8_lossy(line).into_owned()).collect();
                    self.nodes[i].core.as_mut().expect("it runs").saved(Ok(()));
                }
            }
            for (wire, bytes, is_promise) in replies.drain(..) {
                let bytes = if is_promise && !kept { format!("-{NOT_SAVED}\r\n").into_bytes() } else { bytes };
                self.answer(wire, bytes);
            }
            if actions.is_empty() {
                return;
            }
            for action in actions {
                self.carry_out(i, action, kept);
            }
        }
    }

    pub fn carry_out(&mut self, i: usize, action: Action, kept: bool) {
        let life = self.nodes[i].restarts;
        match action {
            Action::Connect { connection, port, .. } => {
                self.next += 1;
                let id = self.next;
                self.ids.insert((i, life, connection), id);
                let wire = Wire {
                    from: i,
                    to: port,
                    decoder: Decoder::default(),
                    buffer: Vec::new(),
                    client: connection.0,
                    arrives_ms: [0; 2],
                };
                self.wires.insert(id, wire);
                if let Some(core) = &mut self.nodes[i].core {
                    core.opened(connection, Some(ip()));
                }
                if !self.is_reachable(port) {
                    self.break_wire(id);
                }
            }
            Action::Send { connection, is_promise: true, .. } if !kept => {
                let id = self.ids.get(&(i, life, connection)).copied();
                id.into_iter().for_each(|id| self.break_wire(id));
            }
            Action::Send { connection, bytes, .. } => {
                let Some(&id) = self.ids.get(&(i, life, connection)) else { return };
                let Some(to) = self.wires.get(&id).map(|wire| wire.to) else { return };
                if !self.is_cut(SENTINEL + i as u16, to) {
                    self.carry(id, false, bytes);
                }
            }
            Action::Close { connection } => {
                if let Some(id) = self.ids.remove(&(i, life, connection)) {
                    self.wires.remove(&id);
                }
            }
            Action::Log { text, .. } => self.listen(i, text),
            _ => {}
        }
    }

    pub fn listen(&mut self, i: usize, text: String) {
        if text.starts_with("+elected-leader") {
            let core = self.nodes[i].core.as_ref().expect("it runs");
            for (name, master) in &core.masters {
                if let Some(attempt) = &master.failover {
                    self.leaders.entry((name.clone(), attempt.epoch)).or_default().insert(i);
                }
            }
        }
        self.note(format!("s{i}: {text}"));
    }

    pub fn answer(&mut self, id: u64, bytes: Vec<u8>) {
        let Some(wire) = self.wires.get(&id) else { return };
        if !self.is_cut(wire.to, SENTINEL + wire.from as u16) {
            self.carry(id, true, bytes);
        }
    }

    pub fn happen(&mut self, event: Event) {
        match event {
            Event::Broken(id) => {
                let Some(wire) = self.wires.remove(&id) else { return };
                let connection = ConnId(wire.client);
                let life = self.nodes[wire.from].restarts;
                if self.ids.remove(&(wire.from, life, connection)).is_some()
                    && let Some(core) = &mut self.nodes[wire.from].core
                {
                    core.set_time(self.now_ms, self.now_ms);
                    core.closed(connection);
                    self.end_turn(wire.from, Vec::new());
                }
            }
            Event::ToSentinel(id, bytes) => {
                let Some(wire) = self.wires.get(&id) else { return };
                let (from, connection) = (wire.from, ConnId(wire.client));
                if self.nodes[from].paused_until_ms > self.now_ms {
                    let delay = self.nodes[from].paused_until_ms - self.now_ms + 1;
                    return self.push(delay, Event::ToSentinel(id, bytes));
                }
                if let Some(core) = &mut self.nodes[from].core {
                    core.set_time(self.now_ms, self.now_ms);
                    core.received(connection, &bytes);
                    self.end_turn(from, Vec::new());
                }
            }
            Event::ToServer(id, bytes) => self.arrive(id, bytes),
        }
    }

    pub fn arrive(&mut self, id: u64, bytes: Vec<u8>) {
        let Some(to) = self.wires.get(&id).map(|wire| wire.to) else { return };
        if !self.is_reachable(to) {
            return self.break_wire(id);
        }
        if to >= SENTINEL {
            let paused = self.nodes[(to - SENTINEL) as usize].paused_until_ms;
            if paused > self.now_ms {
                return self.push(paused - self.now_ms + 1, Event::ToServer(id, bytes));
            }
        }
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.buffer.extend(bytes);
        let mut batch = Batch::default();
        let limits = Limits { bulk_len_max: 1 << 20, authenticated: true, arrays_only: true };
        wire.decoder.decode(&wire.buffer, &mut batch, 64, limits).expect("a Sentinel's own words");
        let buffer = std::mem::take(&mut wire.buffer);
        let commands: Vec<OwnedArgs> = (0..batch.len()).map(|i| batch.args(i, &buffer).to_owned()).collect();
        wire.buffer = buffer[wire.decoder.consumed()..].to_vec();
        wire.decoder.rebase();
        for command in commands {
            if to >= SENTINEL {
                self.ask_sentinel(id, to, command.as_args())
            } else {
                self.ask_server(id, to, command.as_args())
            }
        }
    }

    pub fn ask_sentinel(&mut self, id: u64, to: Port, args: Args<'_>) {
        let i = (to - SENTINEL) as usize;
        let Some(core) = &mut self.nodes[i].core else { return };
        core.set_time(self.now_ms, self.now_ms);
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, false);
        let mut is_promise = false;
        if args.is(0, "sentinel") {
            match core.command(args, &mut reply, false) {
                Ok(done) => is_promise = done == Done::Promised,
                Err(text) => reply.error(text.as_bytes()),
            }
        } else if args.is(0, "publish") {
            core.hear(args.at(2));
            reply.int(1);
        } else if args.is(0, "ping") {
            reply.simple("PONG");
        } else {
            reply.ok();
        }
        self.end_turn(i, vec![(id, out, is_promise)]);
    }

    pub fn ask_server(&mut self, id: u64, to: Port, args: Args<'_>) {
        let word = String::from_utf8_lossy(args.at(0)).to_ascii_lowercase();
        *self.asked.entry(word).or_default() += 1;
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, false);
        if args.is(0, "info") {
            let text = self.info(to);
            reply.bulk(text.as_bytes());
        } else if args.is(0, "ping") {
            reply.simple("PONG");
        } else if args.is(0, "subscribe") {
            self.subscribers.entry(to).or_default().insert(id);
            reply.array(3);
            reply.bulk(b"subscribe");
            reply.bulk(args.at(1));
            reply.int(1);
        } else if args.is(0, "publish") {
            let wires = &self.wires;
            let hearers = self.subscribers.entry(to).or_default();
            hearers.retain(|id| wires.contains_key(id));
            let hearers = hearers.clone();
            let mut message = Vec::new();
            let mut told = Reply::new(&mut message, false);
            told.array(3);
            told.bulk(b"message");
            told.bulk(args.at(1));
            told.bulk(args.at(2));
            hearers.into_iter().for_each(|id| self.answer(id, message.clone()));
            reply.int(1);
        } else if args.is(0, "slaveof") {
            let master = String::from_utf8_lossy(args.at(2)).parse().ok();
            self.change_role(to, master);
            reply.simple("QUEUED");
        } else if args.is(0, "client") && args.is(1, "pause") {
            let ms: u64 = String::from_utf8_lossy(args.at(2)).parse().expect("a number");
            self.servers.get_mut(&to).expect("it was asked").paused_until_ms = self.now_ms + ms;
            reply.ok();
        } else if args.is(0, "client") && args.is(1, "unpause") {
            self.servers.get_mut(&to).expect("it was asked").paused_until_ms = 0;
            reply.ok();
        } else if args.is(0, "exec") {
            reply.array(0);
        } else {
            reply.ok();
        }
        self.answer(id, out);
    }

    pub fn change_role(&mut self, port: Port, master: Option<Port>) {
        self.note(format!("server {port} follows {master:?}"));
        let now_ms = self.now_ms;
        self.next += 1;
        let name = format!("r{}", self.next);
        let server = self.servers.get_mut(&port).expect("it was asked");
        if master.is_none() && server.master.is_some() {
            server.former = Some((std::mem::replace(&mut server.replid, name), server.offset + 1));
        }
        if server.master.is_none() && master.is_some() {
            server.paused_until_ms = 0;
        }
        if server.master != master {
            server.synced = false;
            server.alone_since_ms = Some(now_ms);
        }
        server.master = master;
    }

    pub fn info(&self, port: Port) -> String {
        let server = &self.servers[&port];
        let mut text = format!("# Server\r\nrun_id:{:040}\r\nloading:0\r\n# Replication\r\n", server.run);
        match server.master {
            None => {
                text += "role:master\r\n";
                let mine =
                    self.servers.iter().filter(|(_, other)| other.is_up && other.master == Some(port) && other.synced);
                for (i, (other, _)) in mine.enumerate() {
                    text += &format!("slave{i}:ip=10.0.0.1,port={other},state=online\r\n");
                }
            }
            Some(master) => {
                let down_s = server.alone_since_ms.map(|since| (self.now_ms - since) / 1000);
                text += &format!(
                    "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:{master}\r\nslave_repl_offset:{}\r\n",
                    server.offset
                );
                text += &format!(
                    "slave_priority:100\r\nmaster_link_status:{}\r\n",
                    if down_s.is_some() { "down" } else { "up" }
                );
                text += &down_s.map_or(String::new(), |s| format!("master_link_down_since_seconds:{}\r\n", s.max(1)));
            }
        }
        let (former, shared_to) = server.former.clone().map_or((String::new(), -1), |(id, to)| (id, to as i64));
        text += "master_failover_state:no-failover\r\n";
        text + &format!(
            "master_replid:{}\r\nmaster_replid2:{former}\r\nmaster_repl_offset:{}\r\nsecond_repl_offset:{shared_to}\r\n# Keyspace\r\ndb0:keys=1,expires=0\r\n",
            server.replid, server.offset
        )
    }

    /// Masters write, replicas follow.
    pub fn replicate(&mut self) {
        let ports: Vec<Port> = self.servers.keys().copied().collect();
        for port in ports {
            let server = &self.servers[&port];
            if !server.is_up {
                continue;
            }
            let Some(master) = server.master else {
                let server = self.servers.get_mut(&port).expect("there");
                server.offset += if server.paused_until_ms > self.now_ms { 0 } else { 10 };
                continue;
            };
            let reachable = !self.is_cut(master, port) && !self.is_cut(port, master);
            let source = self.servers.get(&master).filter(|source| source.is_up && reachable && master != port);
            let position = source.map(|s| (s.replid.clone(), s.former.clone(), s.offset));
            let now_ms = self.now_ms;
            let server = self.servers.get_mut(&port).expect("there");
            match position {
                Some((replid, former, offset)) => {
                    (server.replid, server.former, server.offset) = (replid, former, offset);
                    (server.alone_since_ms, server.synced) = (None, true);
                }
                None => _ = server.alone_since_ms.get_or_insert(now_ms),
            }
        }
    }

    pub fn run_ms(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            self.now_ms += 1;
            while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= self.now_ms) {
                let event = entry.remove();
                self.happen(event);
            }
            if self.now_ms.is_multiple_of(20) {
                self.replicate();
            }
            for i in 0..self.nodes.len() {
                let node = &mut self.nodes[i];
                if node.paused_until_ms > self.now_ms {
                    continue;
                }
                if let Some(core) = &mut node.core
                    && core.wake_ms() <= self.now_ms
                {
                    core.set_time(self.now_ms, self.now_ms);
                    core.tick();
                    self.end_turn(i, Vec::new());
                }
            }
        }
        self.check_leaders();
    }

    pub fn check_leaders(&self) {
        for (term, leaders) in &self.leaders {
            assert!(leaders.len() == 1, "{term:?} has {leaders:?}\n{}", self.story());
        }
    }

    pub fn story(&self) -> String {
        self.trace.iter().cloned().collect::<Vec<_>>().join("\n")
    }

    /// Everybody's view of a master: port and term.
    pub fn views(&self, name: &str) -> BTreeSet<(Port, u64)> {
        let cores = self.nodes.iter().filter_map(|node| node.core.as_ref());
        cores.map(|core| (core.masters[name].instance.address.port, core.masters[name].config_epoch)).collect()
    }

    pub fn is_settled(&self) -> bool {
        self.sets.iter().all(|set| self.has_settled(set))
    }

    fn has_settled(&self, set: &Set) -> bool {
        let views = self.views(&set.name);
        let Some((port, _)) = views.first().copied().filter(|_| views.len() == 1) else { return false };
        let mut cores = self.nodes.iter().filter_map(|node| node.core.as_ref());
        let idle = cores.all(|core| core.masters[&set.name].failover.is_none());
        let follows = |(own, server): (&Port, &Server)| {
            if *own == port { server.master.is_none() } else { server.master == Some(port) && server.synced }
        };
        idle && self.servers.range(set.ports.clone()).filter(|(_, server)| server.is_up).all(follows)
    }

    pub fn trouble(&mut self) {
        let sentinels = self.nodes.len() as u64;
        let servers: Vec<Port> = self.servers.keys().copied().collect();
        let i = self.chance.below(sentinels) as usize;
        let port = servers[self.chance.below(servers.len() as u64) as usize];
        match self.chance.below(9) {
            0 if self.nodes[i].core.is_some() => self.kill(i),
            0 | 1 if self.nodes[i].core.is_none() => self.start(i),
            1 => {
                self.nodes[i].paused_until_ms = self.now_ms + 200 + self.chance.below(6000);
                self.note(format!("sentinel {i} is paused"));
            }
            2 | 3 => self.turn_server(port),
            4 | 5 => {
                let everybody: Vec<Port> =
                    servers.iter().copied().chain((0..sentinels).map(|i| SENTINEL + i as u16)).collect();
                let other = everybody[self.chance.below(everybody.len() as u64) as usize];
                let own = SENTINEL + i as u16;
                self.cuts.insert((own, other));
                if self.chance.below(2) == 0 {
                    self.cuts.insert((other, own));
                }
                self.note(format!("cut {own} {other}"));
            }
            6 => self.cuts.clear(),
            7 => self.nodes[i].disk_fails = !self.nodes[i].disk_fails,
            _ => {
                let master = self.servers.iter().find(|(_, s)| s.master.is_none() && s.is_up).map(|(port, _)| *port);
                master.into_iter().for_each(|port| self.turn_server(port));
            }
        }
    }

    /// Kills a server, or starts it again with what it had.
    pub fn turn_server(&mut self, port: Port) {
        self.next += 1;
        let run = self.next;
        let server = self.servers.get_mut(&port).expect("there");
        server.is_up = !server.is_up;
        let is_up = server.is_up;
        if is_up {
            server.run = run;
        } else {
            let gone: Vec<u64> = self.wires.iter().filter(|(_, wire)| wire.to == port).map(|(id, _)| *id).collect();
            gone.into_iter().for_each(|id| self.break_wire(id));
        }
        self.note(format!("server {port} is {}", if is_up { "up" } else { "down" }));
    }

    pub fn heal(&mut self) {
        self.cuts.clear();
        for i in 0..self.nodes.len() {
            self.nodes[i].paused_until_ms = 0;
            self.nodes[i].disk_fails = false;
            if self.nodes[i].core.is_none() {
                self.start(i);
            }
        }
        let down: Vec<Port> = self.servers.iter().filter(|(_, s)| !s.is_up).map(|(port, _)| *port).collect();
        down.into_iter().for_each(|port| self.turn_server(port));
    }

    pub fn settle(&mut self, limit_ms: u64) {
        let end = self.now_ms + limit_ms;
        while !self.is_settled() {
            assert!(self.now_ms < end, "they do not agree: {:?}\n{}", self.views("m"), self.story());
            self.run_ms(100);
        }
    }
}
