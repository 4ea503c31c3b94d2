//! Clients that wait: for keys, for acknowledgements of replicas, for the end of a pause.

use std::collections::{BTreeSet, HashMap, VecDeque};

use rivulet_commands::effects::OnTimeout;
use rivulet_commands::spec::Group;
use rivulet_commands::table;
use rivulet_keyspace::Type;

use crate::clients::{Blocked, BlockedOn, ClientId};
use crate::node::Node;

/// (database, key).
type DbKey = (usize, Box<[u8]>);

/// Who waits for what.
#[derive(Default)]
pub struct Blocking {
    /// In the order in which they came.
    by_key: HashMap<DbKey, VecDeque<ClientId>>,
    /// Keys that came to hold a value since the last look.
    pub ready: Vec<DbKey>,
    deadlines: BTreeSet<(u64, ClientId)>,
    /// Clients in WAIT.
    pub acks: Vec<ClientId>,
    /// Clients stopped by CLIENT PAUSE.
    pub paused: VecDeque<ClientId>,
    blocked: usize,
}

impl Blocking {
    /// Whether nobody waits for keys.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Clients that wait, but for those that are only paused.
    pub fn len(&self) -> usize {
        self.blocked
    }

    /// Keys of these databases that somebody waits for.
    pub fn waited_for_in(&self, dbs: &[usize]) -> Vec<DbKey> {
        self.by_key.keys().filter(|(db, _)| dbs.contains(db)).cloned().collect()
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
    /// Makes a client wait; its further input stays where it is.
    pub fn block(&mut self, id: ClientId, reason: BlockedOn, deadline_ms: Option<u64>) {
        let since_us = self.now_us;
        match &reason {
            BlockedOn::Keys { db, keys, .. } => {
                for key in keys {
                    let waiting = self.blocking.by_key.entry((*db, key.clone())).or_default();
                    if !waiting.contains(&id) {
                        waiting.push_back(id);
                    }
                }
            }
            BlockedOn::Acks { .. } | BlockedOn::Durable { .. } => self.blocking.acks.push(id),
            BlockedOn::Pause { .. } => self.blocking.paused.push_back(id),
            BlockedOn::Shutdown | BlockedOn::Verify => {}
        }
        if !matches!(reason, BlockedOn::Pause { .. }) {
            self.blocking.blocked += 1;
        }
        if let Some(deadline) = deadline_ms {
            self.blocking.deadlines.insert((deadline, id));
        }
        self.clients.at(id).blocked = Some(Box::new(Blocked { reason, deadline_ms, since_us }));
    }

    /// Takes a client that no longer waits out of all lists; it goes on with its input.
    pub fn forget_blocked(&mut self, id: ClientId, blocked: &Blocked) {
        if let Some(deadline) = blocked.deadline_ms {
            self.blocking.deadlines.remove(&(deadline, id));
        }
        match &blocked.reason {
            BlockedOn::Keys { db, keys, .. } => {
                for key in keys {
                    let db_key = (*db, key.clone());
                    if let Some(waiting) = self.blocking.by_key.get_mut(&db_key) {
                        waiting.retain(|&c| c != id);
                        if waiting.is_empty() {
                            self.blocking.by_key.remove(&db_key);
                        }
                    }
                }
            }
            BlockedOn::Acks { .. } | BlockedOn::Durable { .. } => self.blocking.acks.retain(|&c| c != id),
            BlockedOn::Pause { .. } => self.blocking.paused.retain(|&c| c != id),
            BlockedOn::Shutdown | BlockedOn::Verify => {}
        }
        if !matches!(blocked.reason, BlockedOn::Pause { .. }) {
            self.blocking.blocked -= 1;
        }
        if self.clients.get(id).is_some_and(|c| !c.input.is_empty()) {
            self.clients.to_process.push_back(id);
        }
    }

    /// Ends a wait without a reply (the client goes away).
    pub fn unblock_silently(&mut self, id: ClientId) {
        if let Some(blocked) = self.clients.get_mut(id).and_then(|c| c.blocked.take()) {
            self.forget_blocked(id, &blocked);
        }
    }

    /// Ends a wait with an error.
    pub fn unblock_with_error(&mut self, id: ClientId, text: &[u8]) {
        self.unblock_silently(id);
        let Some(client) = self.clients.get(id) else { return };
        if let Some(command) = client.last_command {
            self.stats.of(command, || table::full_name(command)).failed += 1;
        }
        self.error_reply(id, text);
    }

    /// Ends a wait as its time-out does.
    pub fn unblock_as_timed_out(&mut self, id: ClientId) {
        let Some(blocked) = self.clients.get_mut(id).and_then(|c| c.blocked.take()) else { return };
        match &blocked.reason {
            BlockedOn::Keys { on_timeout: OnTimeout::NullArray, .. } => self.reply(id).null_array(),
            BlockedOn::Keys { on_timeout: OnTimeout::Null, .. } => self.reply(id).null(),
            BlockedOn::Acks { offset, .. } => {
                let count = self.replicas_with_ack(*offset);
                self.reply(id).int(count as i64);
            }
            BlockedOn::Durable { offset, .. } => self.reply_waitaof(id, *offset),
            BlockedOn::Verify => self.reply_verify(id),
            BlockedOn::Pause { .. } | BlockedOn::Shutdown => {}
        }
        self.clients.queue_write(id);
        self.forget_blocked(id, &blocked);
    }

    pub fn time_out_blocked(&mut self) {
        while let Some(&(deadline, id)) = self.blocking.deadlines.first()
            && deadline <= self.now_ms()
        {
            self.blocking.deadlines.pop_first();
            self.unblock_as_timed_out(id);
        }
    }

    /// Serves those who wait for keys that got a value, first come first served, until nothing is ready any more.
    pub fn serve_ready_keys(&mut self) {
        while !self.blocking.ready.is_empty() {
            for (db, key) in std::mem::take(&mut self.blocking.ready) {
                let db_key = (db, key);
                let Some(waiting) = self.blocking.by_key.get(&db_key) else { continue };
                for id in waiting.clone() {
                    let db = self.keyspace.db(db);
                    let Some(found) = db.find(db.key(&db_key.1)).map(|e| e.value_type()) else { break };
                    if self.waits_for_type(id, found) {
                        self.retry_blocked(id, &db_key.1);
                    }
                }
            }
        }
    }

    /// Whether the command that a client waits with takes from values of this type.
    fn waits_for_type(&self, id: ClientId, found: Type) -> bool {
        let Some(Blocked { reason: BlockedOn::Keys { command, .. }, .. }) =
            self.clients.get(id).and_then(|c| c.blocked.as_deref())
        else {
            return false;
        };
        match command.group {
            Group::List => found == Type::List,
            Group::SortedSet => found == Type::ZSet,
            _ => true,
        }
    }

    /// Clients in WAIT and WAITAOF whose offset is where they want it.
    pub fn serve_acks(&mut self) {
        for id in self.blocking.acks.clone() {
            match self.clients.get(id).and_then(|c| c.blocked.as_deref()).map(|blocked| &blocked.reason) {
                Some(&BlockedOn::Acks { replicas, offset }) => {
                    let count = self.replicas_with_ack(offset);
                    if count >= replicas {
                        self.unblock_silently(id);
                        self.reply(id).int(count as i64);
                        self.clients.queue_write(id);
                    }
                }
                Some(&BlockedOn::Durable { local, replicas, offset }) => {
                    let (have_local, have) = self.durable_counts(offset);
                    if have_local >= i64::from(local) && have as usize >= replicas {
                        self.unblock_silently(id);
                        self.reply_waitaof(id, offset);
                        self.clients.queue_write(id);
                    }
                }
                _ => {}
            }
        }
    }
}
