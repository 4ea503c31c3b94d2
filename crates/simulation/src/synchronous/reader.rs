//! A client that reads from what it takes for the master, and remembers what had been acknowledged when it asked.

use std::collections::VecDeque;

use fastrand::Rng;

use super::{KEYS, Writer};
use crate::client::{Client, Reply};
use crate::invariants::Broken;
use crate::network::HostId;
use crate::schedule::Schedule;

/// A key of a writer, and what was acknowledged of it before it was read.
struct Read {
    writer: usize,
    key: usize,
    acked: u64,
}

pub struct Reader {
    pub client: Client,
    awaited: VecDeque<Read>,
    next_us: u64,
    /// Replies that told a value.
    pub told: u64,
}

impl Reader {
    pub fn new(host: HostId, server: HostId) -> Reader {
        Reader { client: Client::new(host, server), awaited: VecDeque::new(), next_us: 0, told: 0 }
    }

    pub fn go_to(&mut self, server: HostId, schedule: &Schedule) {
        self.awaited.clear();
        self.client.go_to(server, &schedule.shared);
    }

    /// Takes the replies that have come, and asks now and then.
    ///
    /// # Errors
    /// A read is older than what was acknowledged before it, to whomever.
    pub fn tick(&mut self, writers: &[Writer], schedule: &Schedule, rng: &mut Rng) -> Result<(), Broken> {
        let now_us = schedule.now_us();
        match self.client.poll(&schedule.shared) {
            Ok(replies) => replies.iter().try_for_each(|reply| self.look_at(reply))?,
            Err(_) => {
                self.go_to(self.client.server, schedule);
                self.next_us = now_us + 50_000;
            }
        }
        if now_us >= self.next_us && self.client.outstanding < 4 {
            self.next_us = now_us + rng.u64(1_000..20_000);
            let (writer, key) = (rng.usize(..writers.len()), rng.usize(..KEYS));
            self.awaited.push_back(Read { writer, key, acked: writers[writer].acked[key] });
            self.client.ask(&["GET".to_string(), writers[writer].name_of(key)], &schedule.shared);
        }
        Ok(())
    }

    fn look_at(&mut self, reply: &Reply) -> Result<(), Broken> {
        let Some(Read { writer, key, acked }) = self.awaited.pop_front() else { return Ok(()) };
        let has = match reply {
            Reply::Bulk(_) => reply.text().parse().unwrap_or(0),
            Reply::Nil => 0,
            _ => return Ok(()),
        };
        self.told += 1;
        if has < acked {
            return Err(format!(
                "node {} shows {has} of w{writer}:{key}, and {acked} was acknowledged before",
                self.client.server
            ));
        }
        Ok(())
    }
}
