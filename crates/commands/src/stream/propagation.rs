//! What replicas are told of groups: deliveries as XCLAIM, how far a group has read as XGROUP SETID.

use rivulet_keyspace::value::stream::{Group, Id, Pending};
use rivulet_resp::OwnedArgs;

use super::ids;
use crate::ctx::Call;

/// The commands that make a replica's group what this one is.
pub(super) struct Changes<'k> {
    key: &'k [u8],
    /// Nobody gets them.
    idle: bool,
    pub commands: Vec<OwnedArgs>,
}

impl<'k> Changes<'k> {
    pub fn of(key: &'k [u8], call: &Call) -> Self {
        Changes { key, idle: !call.propagates, commands: Vec::new() }
    }

    pub fn consumer_created(&mut self, group: &Group, consumer: &[u8]) {
        if self.idle {
            return;
        }
        let words: [&[u8]; 5] = [b"XGROUP", b"CREATECONSUMER", self.key, group.name.as_bytes(), consumer];
        self.commands.push(OwnedArgs::from_slices(&words));
    }

    pub fn read_up_to(&mut self, group: &Group) {
        if self.idle {
            return;
        }
        let mut read = itoa::Buffer::new();
        let (last_id, read) = (ids::text(group.last_id), read.format(group.entries_read).as_bytes());
        let words: [&[u8]; 7] = [b"XGROUP", b"SETID", self.key, group.name.as_bytes(), &last_id, b"ENTRIESREAD", read];
        self.commands.push(OwnedArgs::from_slices(&words));
    }

    /// These entries, which are pending with one consumer since the same time and were delivered as often, or are not there any more: a replica
    /// then drops what it has pending.
    pub fn claimed(&mut self, group: &Group, like: &Pending, claimed: &[Id]) {
        if self.idle {
            return;
        }
        let texts: Vec<Vec<u8>> = claimed.iter().map(|id| ids::text(*id)).collect();
        let (mut time, mut deliveries) = (itoa::Buffer::new(), itoa::Buffer::new());
        let last_id = ids::text(group.last_id);
        let mut words: Vec<&[u8]> = vec![b"XCLAIM", self.key, group.name.as_bytes(), like.consumer.as_bytes(), b"0"];
        words.extend(texts.iter().map(Vec::as_slice));
        words.extend_from_slice(&[b"TIME", time.format(like.delivered_ms).as_bytes()]);
        words.extend_from_slice(&[b"RETRYCOUNT", deliveries.format(like.deliveries).as_bytes()]);
        words.extend_from_slice(&[b"FORCE", b"JUSTID", b"LASTID", &last_id]);
        self.commands.push(OwnedArgs::from_slices(&words));
    }

    /// The same for entries that may differ in that: as few commands as it takes.
    pub fn all_claimed(&mut self, group: &Group, claimed: &[Pending]) {
        let alike = |a: &Pending, b: &Pending| {
            (a.delivered_ms, a.deliveries) == (b.delivered_ms, b.deliveries) && a.consumer == b.consumer
        };
        for run in claimed.chunk_by(alike) {
            self.claimed(group, &run[0], &run.iter().map(|pending| pending.id).collect::<Vec<_>>());
        }
    }
}
