//! Who waits: for keys, for acknowledgements of replicas, for the end of a pause. What those who wait no longer are told, the node says.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use rivulet_keyspace::{Keyspace, Type};

use crate::ack_waits::AckWaits;
use crate::blocked::{Blocked, BlockedOn, Ticket};
use crate::client_id::ClientId;
use crate::sessions::Sessions;

/// (database, key).
pub type DbKey = (usize, Box<[u8]>);

/// Who waits for what.
#[derive(Default)]
pub struct Blocking {
    /// By ticket: in the order in which they came.
    by_key: BTreeMap<DbKey, BTreeMap<Ticket, ClientId>>,
    /// Keys that came to hold a value since the last look.
    pub ready: Vec<DbKey>,
    deadlines: BTreeSet<(u64, ClientId)>,
    /// Clients in WAIT and WAITAOF.
    pub acks: AckWaits,
    /// Clients stopped by CLIENT PAUSE.
    pub paused: BTreeMap<Ticket, ClientId>,
    blocked: usize,
    /// Clients whose wait ends with their keys.
    ending_with_keys: usize,
    last_ticket: Ticket,
}

impl Blocking {
    /// Whether nobody waits for keys.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Keys that somebody waits for.
    pub fn keys_len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether somebody's wait ends when a key goes.
    pub fn has_ending_with_keys(&self) -> bool {
        self.ending_with_keys > 0
    }

    /// Clients that wait, those that are paused among them.
    pub fn len(&self) -> usize {
        self.blocked
    }

    /// Keys of these databases that somebody waits for.
    fn waited_for_in(&self, dbs: &[usize]) -> Vec<DbKey> {
        let first = |db: usize| (db, Box::default());
        dbs.iter().flat_map(|&db| self.by_key.range(first(db)..first(db + 1))).map(|(key, _)| key.clone()).collect()
    }

    /// The next who is to look at a key that is ready, after the one whose ticket was `last`: first come, first served.
    pub fn next_woken(
        &self,
        keyspace: &Keyspace,
        key: &DbKey,
        last: &mut Ticket,
        sessions: &impl Sessions,
    ) -> Option<ClientId> {
        while let Some((ticket, id)) = self.next_waiting(key, *last) {
            *last = ticket;
            let db = keyspace.db(key.0);
            let found = db.find(db.key(&key.1)).map(|entry| entry.value_type());
            if found.is_none() && !self.has_ending_with_keys() {
                return None;
            }
            let waits = sessions.session(id).and_then(|session| session.blocked.as_deref());
            if waits.is_some_and(|blocked| wakes(blocked, found)) {
                return Some(id);
            }
        }
        None
    }

    /// The next who waits for a key after the one with this ticket.
    fn next_waiting(&self, key: &DbKey, after: Ticket) -> Option<(Ticket, ClientId)> {
        let (ticket, id) = self.by_key.get(key)?.range((Bound::Excluded(after), Bound::Unbounded)).next()?;
        Some((*ticket, *id))
    }

    /// A client waits from now on: what its session keeps of it.
    pub fn add(&mut self, id: ClientId, reason: BlockedOn, deadline_ms: Option<u64>) -> Box<Blocked> {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        match &reason {
            BlockedOn::Keys { db, block, .. } => {
                self.ending_with_keys += usize::from(block.ends_with_key);
                for key in &block.keys {
                    self.by_key.entry((*db, key.clone())).or_default().insert(ticket, id);
                }
            }
            BlockedOn::Acks { wish, offset } => self.acks.insert(*wish, *offset, id),
            BlockedOn::Pause { .. } => _ = self.paused.insert(ticket, id),
            BlockedOn::Migrate | BlockedOn::Shutdown | BlockedOn::Verify => {}
        }
        self.blocked += 1;
        if let Some(deadline) = deadline_ms {
            self.deadlines.insert((deadline, id));
        }
        Box::new(Blocked { reason, deadline_ms, ticket })
    }

    /// A client waits no longer.
    pub fn remove(&mut self, id: ClientId, blocked: &Blocked) {
        if let Some(deadline) = blocked.deadline_ms {
            self.deadlines.remove(&(deadline, id));
        }
        match &blocked.reason {
            BlockedOn::Keys { db, block, .. } => {
                self.ending_with_keys -= usize::from(block.ends_with_key);
                for key in &block.keys {
                    let db_key = (*db, key.clone());
                    if let Some(waiting) = self.by_key.get_mut(&db_key) {
                        waiting.remove(&blocked.ticket);
                        if waiting.is_empty() {
                            self.by_key.remove(&db_key);
                        }
                    }
                }
            }
            BlockedOn::Acks { wish, offset } => self.acks.remove(*wish, *offset, id),
            BlockedOn::Pause { .. } => _ = self.paused.remove(&blocked.ticket),
            BlockedOn::Migrate | BlockedOn::Shutdown | BlockedOn::Verify => {}
        }
        self.blocked -= 1;
    }

    /// A client whose time is over, by the machine's clock. It still waits.
    pub fn take_due(&mut self, now_ms: u64) -> Option<ClientId> {
        let &(_, id) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now_ms)?;
        self.deadlines.pop_first();
        Some(id)
    }

    /// All keys of these databases have gone: whose wait ends with them is to look.
    pub fn note_lost(&mut self, dbs: &[usize]) {
        if self.ending_with_keys > 0 {
            let lost = self.waited_for_in(dbs);
            self.ready.extend(lost);
        }
    }

    /// Databases were exchanged: who waits for keys of theirs is to look.
    pub fn note_swapped(&mut self, dbs: &[usize]) {
        let ready = self.waited_for_in(dbs);
        self.ready.extend(ready);
    }

    /// The data were replaced: who waits for keys that are there now is to look.
    pub fn note_replaced(&mut self, keyspace: &Keyspace) {
        let there = |(db, key): &&DbKey| {
            let db = keyspace.db(*db);
            db.find(db.key(key)).is_some()
        };
        let ready: Vec<DbKey> = self.by_key.keys().filter(there).cloned().collect();
        self.ready.extend(ready);
    }

    /// Ms on the machine's clock.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}

/// Whether who waits for a key has to look at it, when that is what it holds.
fn wakes(blocked: &Blocked, found: Option<Type>) -> bool {
    match &blocked.reason {
        BlockedOn::Keys { block, .. } => block.ends_with_key || found == Some(block.value_type),
        _ => false,
    }
}
