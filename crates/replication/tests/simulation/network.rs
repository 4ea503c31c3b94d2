//! Connections that keep the order of bytes and nothing else: they delay, split, stall and break.

use rivulet_replication::Millis;
use std::collections::{BTreeMap, VecDeque};

pub type ConnId = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The replica, which opened the connection.
    Client,
    Server,
}

#[derive(Debug)]
pub struct Conn {
    pub client: usize,
    pub server: usize,
    to_server: Pipe,
    to_client: Pipe,
    /// Nothing moves until then, and nobody is told.
    stalled_until: Millis,
}

#[derive(Debug, Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    /// When the bytes written so far arrive.
    arrivals: VecDeque<(Millis, usize)>,
    /// The end that reads will be told that the other is gone, after what was sent before.
    closes_at: Option<Millis>,
}

#[derive(Debug)]
pub enum Event {
    Connected,
    Refused,
    Bytes(Side, Vec<u8>),
    Closed(Side),
}

#[derive(Debug, Default)]
pub struct Network {
    conns: BTreeMap<ConnId, Conn>,
    opening: Vec<(Millis, ConnId, bool)>,
    next: ConnId,
}

impl Network {
    pub fn open(&mut self, client: usize, server: Option<usize>, at: Millis) -> ConnId {
        self.next += 1;
        if let Some(server) = server {
            let conn =
                Conn { client, server, to_server: Pipe::default(), to_client: Pipe::default(), stalled_until: 0 };
            self.conns.insert(self.next, conn);
        }
        self.opening.push((at, self.next, server.is_some()));
        self.next
    }

    pub fn send(&mut self, id: ConnId, from: Side, bytes: &[u8], arrives_at: Millis) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let pipe = match from {
            Side::Client => &mut conn.to_server,
            Side::Server => &mut conn.to_client,
        };
        if pipe.closes_at.is_none() {
            let arrives_at = pipe.arrivals.back().map_or(arrives_at, |(at, _)| arrives_at.max(*at));
            pipe.bytes.extend(bytes);
            pipe.arrivals.push_back((arrives_at, bytes.len()));
        }
    }

    /// One end closes: it hears no more; the other hears what was sent before, and then of the end.
    pub fn close(&mut self, id: ConnId, by: Side, at: Millis) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let (heard, unheard) = match by {
            Side::Client => (&mut conn.to_server, &mut conn.to_client),
            Side::Server => (&mut conn.to_client, &mut conn.to_server),
        };
        heard.closes_at.get_or_insert(at);
        unheard.bytes.clear();
        unheard.arrivals.clear();
        unheard.closes_at = Some(Millis::MAX);
    }

    /// The connection breaks: some of what is on its way arrives, and both ends hear of it in their time.
    pub fn cut(&mut self, id: ConnId, rng: &mut fastrand::Rng, now: Millis) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        for pipe in [&mut conn.to_server, &mut conn.to_client] {
            if pipe.closes_at.is_none() {
                let kept = rng.usize(0..=pipe.bytes.len());
                pipe.bytes.truncate(kept);
                pipe.arrivals = [(now, kept)].into();
                pipe.closes_at = Some(now + rng.u64(0..3_000));
            }
        }
    }

    pub fn stall(&mut self, id: ConnId, until: Millis) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.stalled_until = until;
        }
    }

    pub fn ids(&self) -> Vec<ConnId> {
        self.conns.keys().copied().collect()
    }

    pub fn get(&self, id: ConnId) -> Option<&Conn> {
        self.conns.get(&id)
    }

    /// What has happened on the connections up to now, in pieces of any size.
    pub fn events(&mut self, rng: &mut fastrand::Rng, now: Millis) -> Vec<(ConnId, usize, Event)> {
        let mut events = Vec::new();
        let conns = &self.conns;
        self.opening.retain(|(at, id, accepted)| {
            if *at > now {
                return true;
            }
            let client = conns.get(id).map_or(usize::MAX, |conn| conn.client);
            events.push((*id, client, if *accepted { Event::Connected } else { Event::Refused }));
            false
        });
        let opening: Vec<ConnId> = self.opening.iter().map(|(_, id, _)| *id).collect();
        for (id, conn) in &mut self.conns {
            if conn.stalled_until > now || opening.contains(id) {
                continue;
            }
            for side in [Side::Server, Side::Client] {
                let (pipe, node) = match side {
                    Side::Server => (&mut conn.to_server, conn.server),
                    Side::Client => (&mut conn.to_client, conn.client),
                };
                let mut arrived = pipe.arrived(now);
                while arrived > 0 {
                    let size = if rng.u8(0..4) == 0 { rng.usize(1..=arrived.min(9)) } else { rng.usize(1..=arrived) };
                    events.push((*id, node, Event::Bytes(side, pipe.bytes.drain(..size).collect())));
                    arrived -= size;
                }
                if pipe.bytes.is_empty() && pipe.closes_at.is_some_and(|at| at <= now) {
                    pipe.closes_at = Some(Millis::MAX);
                    events.push((*id, node, Event::Closed(side)));
                }
            }
        }
        let done = |pipe: &Pipe| pipe.closes_at == Some(Millis::MAX);
        self.conns.retain(|_, conn| !(done(&conn.to_server) && done(&conn.to_client)));
        events
    }
}

impl Pipe {
    fn arrived(&mut self, now: Millis) -> usize {
        let mut bytes = 0;
        while let Some((at, len)) = self.arrivals.front().copied()
            && at <= now
        {
            bytes += len;
            self.arrivals.pop_front();
        }
        bytes
    }
}
