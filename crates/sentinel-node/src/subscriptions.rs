//! Who has subscribed to what. Messages are the events of this Sentinel.

use std::collections::{BTreeMap, BTreeSet};

use rivulet_commands::glob;
use rivulet_resp::{Args, Reply};

use crate::clients::Client;
use crate::commands::Answered;
use crate::program::Program;

/// A client's subscriptions.
#[derive(Default)]
pub struct Subscriptions {
    pub channels: BTreeSet<Vec<u8>>,
    pub patterns: BTreeSet<Vec<u8>>,
}

impl Subscriptions {
    pub fn len(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }
}

/// As many subscriptions one client may have.
const SUBSCRIPTIONS_MAX: usize = 100_000;

/// Adds a message to the output of all who have asked for it.
pub fn publish(clients: &mut BTreeMap<u64, Client>, channel: &[u8], message: &[u8]) {
    for client in clients.values_mut() {
        let mut reply = Reply::new(&mut client.output, client.is_resp3);
        if client.subscriptions.channels.contains(channel) {
            reply.push(3);
            reply.bulk(b"message");
            reply.bulk(channel);
            reply.bulk(message);
        }
        for pattern in client.subscriptions.patterns.iter().filter(|pattern| glob::matches(pattern, channel)) {
            reply.push(4);
            reply.bulk(b"pmessage");
            reply.bulk(pattern);
            reply.bulk(channel);
            reply.bulk(message);
        }
    }
}

impl Program {
    /// SUBSCRIBE, PSUBSCRIBE, and the reverse.
    pub fn subscribe(&mut self, id: u64, args: Args<'_>, out: &mut Vec<u8>) -> Answered {
        let name = String::from_utf8_lossy(args.at(0)).to_ascii_lowercase();
        let is_pattern = name.starts_with('p');
        let is_on = !name.contains("unsub");
        let Some(client) = self.clients.get_mut(&id) else { return Ok(()) };
        let own = &mut client.subscriptions;
        let set = if is_pattern { &own.patterns } else { &own.channels };
        let mut names: Vec<Vec<u8>> = args.iter().skip(1).map(<[u8]>::to_vec).collect();
        if names.is_empty() {
            names = set.iter().cloned().collect();
        }
        if is_on && own.len() + names.len() > SUBSCRIPTIONS_MAX {
            return Err("ERR too many subscriptions".into());
        }
        let mut reply = Reply::new(out, client.is_resp3);
        if names.is_empty() {
            reply.push(3);
            reply.bulk(name.as_bytes());
            reply.null();
            reply.int(own.len() as i64);
        }
        for channel in names {
            let set = if is_pattern { &mut own.patterns } else { &mut own.channels };
            if is_on {
                _ = set.insert(channel.clone())
            } else {
                _ = set.remove(&channel)
            }
            reply.push(3);
            reply.bulk(name.as_bytes());
            reply.bulk(&channel);
            reply.int(own.len() as i64);
        }
        Ok(())
    }
}
