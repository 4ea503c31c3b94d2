//! Clients that wait: for keys, for acknowledgements of replicas, for the end of a pause.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use rivulet_commands::effects::OnTimeout;
use rivulet_commands::fail::Fail;
use rivulet_keyspace::Type;

use crate::engine::ack_waits::AckWaits;
use crate::engine::blocked::{Blocked, BlockedOn, Ticket};
use crate::front::client_id::ClientId;
use crate::node::Node;

/// (database, key).
type DbKey = (usize, Box<[u8]>);

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
    pub fn waited_for_in(&self, dbs: &[usize]) -> Vec<DbKey> {
        let first = |db: usize| (db, Box::default());
        dbs.iter().flat_map(|&db| self.by_key.range(first(db)..first(db + 1))).map(|(key, _)| key.clone()).collect()
    }

    /// The next who waits for a key after the one with this ticket.
    fn next_waiting(&self, key: &DbKey, after: Ticket) -> Option<(Ticket, ClientId)> {
        let (ticket, id) = self.by_key.get(key)?.range((Bound::Excluded(after), Bound::Unbounded)).next()?;
        Some((*ticket, *id))
    }

    /// Keys that somebody waits for and that are there, after the data was replaced.
    pub fn ready_after_load(&self, keyspace: &rivulet_keyspace::Keyspace) -> Vec<DbKey> {
        let there = |(db, key): &&DbKey| {
            let db = keyspace.db(*db);
            db.find(db.key(key)).is_some()
        };
        self.by_key.keys().filter(there).cloned().collect()
    }

    /// Ms on the machine's clock.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}

impl Node {
    /// When a wait ends whose time-out in ms is an argument, if it ever does.
    pub fn deadline_of(&self, timeout: &[u8]) -> Result<Option<u64>, Fail> {
        let timeout_ms = rivulet_commands::parse::timeout_ms(timeout, self.now_ms())?;
        Ok(timeout_ms.map(|ms| self.now_ms() + ms))
    }

    /// Makes a client wait; its further input stays where it is.
    pub fn block(&mut self, id: ClientId, reason: BlockedOn, deadline_ms: Option<u64>) {
        self.engine.blocking.last_ticket += 1;
        let ticket = self.engine.blocking.last_ticket;
        match &reason {
            BlockedOn::Keys { db, block, .. } => {
                self.engine.blocking.ending_with_keys += usize::from(block.ends_with_key);
                for key in &block.keys {
                    self.engine.blocking.by_key.entry((*db, key.clone())).or_default().insert(ticket, id);
                }
            }
            BlockedOn::Acks { wish, offset } => self.engine.blocking.acks.insert(*wish, *offset, id),
            BlockedOn::Pause { .. } => _ = self.engine.blocking.paused.insert(ticket, id),
            BlockedOn::Migrate | BlockedOn::Shutdown | BlockedOn::Verify => {}
        }
        self.engine.blocking.blocked += 1;
        if let Some(deadline) = deadline_ms {
            self.engine.blocking.deadlines.insert((deadline, id));
        }
        self.clients.at(id).session.blocked = Some(Box::new(Blocked { reason, deadline_ms, ticket }));
    }

    /// Takes a client that no longer waits out of all lists; it goes on with its input.
    pub fn forget_blocked(&mut self, id: ClientId, blocked: &Blocked) {
        if let Some(deadline) = blocked.deadline_ms {
            self.engine.blocking.deadlines.remove(&(deadline, id));
        }
        match &blocked.reason {
            BlockedOn::Keys { db, block, .. } => {
                self.engine.blocking.ending_with_keys -= usize::from(block.ends_with_key);
                for key in &block.keys {
                    let db_key = (*db, key.clone());
                    if let Some(waiting) = self.engine.blocking.by_key.get_mut(&db_key) {
                        waiting.remove(&blocked.ticket);
                        if waiting.is_empty() {
                            self.engine.blocking.by_key.remove(&db_key);
                        }
                    }
                }
            }
            BlockedOn::Acks { wish, offset } => self.engine.blocking.acks.remove(*wish, *offset, id),
            BlockedOn::Pause { .. } => _ = self.engine.blocking.paused.remove(&blocked.ticket),
            BlockedOn::Migrate => self.forget_migrating_client(id),
            BlockedOn::Shutdown | BlockedOn::Verify => {}
        }
        self.engine.blocking.blocked -= 1;
        if !matches!(blocked.reason, BlockedOn::Pause { .. }) {
            self.end_caching_choice(id, None);
        }
        self.process_soon(id);
    }

    /// Ends a wait without a reply (the client goes away).
    pub fn unblock_silently(&mut self, id: ClientId) {
        if let Some(blocked) = self.clients.get_mut(id).and_then(|c| c.session.blocked.take()) {
            self.forget_blocked(id, &blocked);
        }
    }

    /// Ends a wait with an error.
    pub fn unblock_with_error(&mut self, id: ClientId, text: &[u8]) {
        self.unblock_silently(id);
        let Some(client) = self.clients.get(id) else { return };
        if let Some(command) = client.session.last_command {
            let stats = self.ops.stats.of(command);
            (stats.calls, stats.failed) = (stats.calls + 1, stats.failed + 1);
        }
        self.send_error(id, text);
    }

    /// Ends a wait as its time-out does.
    pub fn unblock_as_timed_out(&mut self, id: ClientId) {
        let Some(blocked) = self.clients.get_mut(id).and_then(|c| c.session.blocked.take()) else { return };
        match &blocked.reason {
            BlockedOn::Keys { block, .. } => {
                let outbox = &mut self.clients.at(id).connection.outbox;
                outbox.hold.forget_pushes();
                let start = outbox.output.end();
                match block.on_timeout {
                    OnTimeout::NullArray => self.reply(id).null_array(),
                    OnTimeout::Null => self.reply(id).null(),
                }
                self.mark_nothing_found(id, start);
            }
            BlockedOn::Acks { wish, offset } => self.reply_acks(id, *wish, *offset),
            BlockedOn::Verify => self.reply_verify(id),
            BlockedOn::Migrate | BlockedOn::Pause { .. } | BlockedOn::Shutdown => {}
        }
        self.clients.queue_write(id);
        self.forget_blocked(id, &blocked);
        if let Some(command) = self.clients.get(id).and_then(|client| client.session.last_command) {
            self.ops.stats.of(command).calls += 1;
        }
    }

    pub fn time_out_blocked(&mut self) {
        while let Some(&(deadline, id)) = self.engine.blocking.deadlines.first()
            && deadline <= self.now_ms()
        {
            self.engine.blocking.deadlines.pop_first();
            self.unblock_as_timed_out(id);
        }
    }

    /// Serves those who wait for keys that got a value, first come first served, until nothing is ready any more.
    pub fn serve_ready_keys(&mut self) {
        while !self.engine.blocking.ready.is_empty() {
            for (db, key) in std::mem::take(&mut self.engine.blocking.ready) {
                let db_key = (db, key);
                let mut last = 0;
                while let Some((ticket, id)) = self.engine.blocking.next_waiting(&db_key, last) {
                    last = ticket;
                    let db = self.engine.keyspace.db(db);
                    let found = db.find(db.key(&db_key.1)).map(|e| e.value_type());
                    if found.is_none() && self.engine.blocking.ending_with_keys == 0 {
                        break;
                    }
                    if self.wakes(id, found) {
                        self.retry_blocked(id, &db_key.1);
                    }
                }
            }
        }
    }

    /// Whether a client that waits for a key has to look at it, when that is what it holds.
    fn wakes(&self, id: ClientId, found: Option<Type>) -> bool {
        match self.clients.get(id).and_then(|c| c.session.blocked.as_deref()) {
            Some(Blocked { reason: BlockedOn::Keys { block, .. }, .. }) => {
                block.ends_with_key || found == Some(block.value_type)
            }
            _ => false,
        }
    }

    /// All keys of these databases have gone: whose wait ends with them is told.
    pub fn wake_lost(&mut self, dbs: &[usize]) {
        if self.engine.blocking.ending_with_keys > 0 {
            let lost = self.engine.blocking.waited_for_in(dbs);
            self.engine.blocking.ready.extend(lost);
        }
    }
}
