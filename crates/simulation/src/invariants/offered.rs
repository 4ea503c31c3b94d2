//! No reply before its bytes were offered to the replicas: what was acknowledged is there on a replica that keeps up, though the master is killed.

use std::collections::BTreeMap;

use super::Broken;
use crate::client::{Client, Reply};
use crate::machine::Shared;
use crate::network::HostId;
use crate::writer::{Register, Writer};

/// What is under way has arrived after so long.
const ARRIVES_US: u64 = 400_000;

/// What a replica must hold after its master was killed.
pub struct Offered {
    client: Client,
    due_us: u64,
    wanted: BTreeMap<String, u64>,
    asked: bool,
    replies: Vec<Reply>,
}

impl Offered {
    /// The master of this replica, which has kept up, is killed now. What others have acknowledged, and what was acknowledged before acknowledged
    /// writes could be lost (`excused`), need not be there.
    pub fn new(
        host: HostId,
        (master, replica): (HostId, HostId),
        now_us: u64,
        writers: &[Writer],
        excused: &[BTreeMap<usize, Register>],
    ) -> Offered {
        let registers = writers.iter().enumerate().flat_map(|(number, writer)| {
            let before = move |key| excused.get(number).and_then(|registers| registers.get(key)).map_or(0, |r| r.acked);
            let own = writer.registers.iter().filter(move |(_, register)| register.acked_by == master);
            own.filter(move |(key, register)| register.acked > before(*key))
                .map(move |(key, register)| (Writer::register(number, *key), register.acked))
        });
        Offered {
            client: Client::new(host, replica),
            due_us: now_us + ARRIVES_US,
            wanted: registers.collect(),
            asked: false,
            replies: Vec::new(),
        }
    }

    pub fn replica(&self) -> HostId {
        self.client.server
    }

    /// Whether it has been looked at.
    pub fn tick(&mut self, shared: &Shared) -> Result<bool, Broken> {
        if shared.now_us.get() < self.due_us {
            return Ok(false);
        }
        if !self.asked {
            self.asked = true;
            self.wanted.keys().for_each(|key| self.client.ask(&["GET", key], shared));
        }
        match self.client.poll(shared) {
            Ok(more) => self.replies.extend(more),
            // The replica has gone meanwhile, and tells nothing.
            Err(_) => return Ok(true),
        }
        if self.replies.len() < self.wanted.len() {
            return Ok(false);
        }
        for ((key, acked), reply) in self.wanted.iter().zip(&self.replies) {
            let value: u64 = reply.text().parse().unwrap_or(0);
            if value < *acked && !reply.is_error() {
                return Err(format!(
                    "server {} has {key} at {value}, and its master, which is killed, had acknowledged {acked}",
                    self.client.server
                ));
            }
        }
        self.client.hang_up(shared);
        Ok(true)
    }
}
