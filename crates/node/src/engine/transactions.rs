//! MULTI, EXEC, DISCARD, WATCH and UNWATCH.

use std::sync::Arc;

use rivulet_acl::Context;
use rivulet_commands::Command;
use rivulet_commands::effects::Touched;
use rivulet_commands::fail::Fail;
use rivulet_commands::spec::flag;
use rivulet_resp::Args;

use crate::engine::asker::{Asker, Origin};
use crate::engine::client_set::ClientSet;
use crate::engine::session::{Multi, Watched, WatchedKey};
use crate::front::client_id::ClientId;
use crate::node::Node;
use crate::scripts::effective_flags;

impl Node {
    pub fn multi(&mut self, by: &mut Asker<'_>) -> Result<(), Fail> {
        let id = by.id;
        let client = self.clients.at(id);
        if client.session.multi.is_some() {
            return Err(Fail::new("ERR MULTI calls can not be nested"));
        }
        client.session.multi = Some(Multi::default());
        by.reply.ok();
        Ok(())
    }

    pub fn queue_in_multi(&mut self, by: &mut Asker<'_>, command: &'static Command, args: Args<'_>) {
        let flags = effective_flags(self, command, args);
        let has = |flag: u32| flags & flag != 0;
        let client = self.clients.at(by.id);
        let broken = client.session.watches.broken;
        if let Some(multi) = &mut client.session.multi {
            // What can't succeed any more need not be kept.
            if !broken && !multi.broken {
                let args = args.to_owned();
                multi.memory_bytes += args.memory_bytes();
                multi.writes |= has(flag::WRITE);
                multi.may_replicate |= has(flag::WRITE) || has(flag::MAY_REPLICATE);
                multi.reads |= has(flag::READONLY) || has(flag::NO_MANDATORY_KEYS);
                multi.denies_oom |= has(flag::DENYOOM);
                multi.denies_stale |= !has(flag::STALE);
                multi.denies_loading |= !has(flag::LOADING);
                multi.denies_async_loading |= has(flag::NO_ASYNC_LOADING);
                multi.queued.push((command, args));
            }
        }
        by.reply.simple("QUEUED");
    }

    pub fn discard(&mut self, by: &mut Asker<'_>) -> Result<(), Fail> {
        let id = by.id;
        if self.clients.at(id).session.multi.is_none() {
            return Err(Fail::new("ERR DISCARD without MULTI"));
        }
        self.discard_multi(id);
        by.reply.ok();
        Ok(())
    }

    /// Ends a transaction without running it.
    pub fn discard_multi(&mut self, id: ClientId) {
        self.clients.at(id).session.multi = None;
        self.unwatch_all(id);
    }

    pub fn exec(&mut self, by: &mut Asker<'_>) -> Result<(), Fail> {
        let id = by.id;
        self.expire_watched(id);
        let client = self.clients.at(id);
        let Some(multi) = client.session.multi.take() else {
            return Err(Fail::new("ERR EXEC without MULTI"));
        };
        let touched = client.session.watches.broken;
        self.unwatch_all(id);
        if multi.broken {
            return Err(Fail::new("EXECABORT Transaction discarded because of previous errors."));
        }
        if touched {
            by.reply.null_array();
            return Ok(());
        }
        // What others did before is not to wait for a script in it.
        self.save_if_emptied();
        by.reply.array(multi.queued.len());
        self.engine.unit.is_open = true;
        by.origin = Origin::Exec;
        for (command, args) in &multi.queued {
            if self.clients.get(id).is_none_or(|c| c.connection.closing) {
                break;
            }
            match self.check_user(id, command, args.as_args()) {
                Ok(()) => {
                    self.call(by, command, args.as_args(), None);
                    self.remember_keys(id, command, args.as_args());
                }
                Err(denied) => {
                    self.note_denied(id, denied, command, args.as_args(), Context::Multi);
                    self.reply_error(by, &denied.in_exec().0);
                }
            }
        }
        by.origin = Origin::Client;
        self.engine.unit.is_open = false;
        self.release_pushes();
        Ok(())
    }

    pub fn watch(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let id = by.id;
        if self.clients.at(id).session.multi.is_some() {
            return Err(Fail::new("ERR WATCH inside MULTI is not allowed"));
        }
        let client = self.clients.at(id);
        // A transaction that can't succeed any more needs no further keys.
        if !client.session.watches.broken {
            let db = client.session.db;
            for key in args.iter().skip(1) {
                let expired = self.is_logically_expired(db, key);
                let db_key: WatchedKey = (db, key.into());
                let client = self.clients.at(id);
                if !client.session.watches.keys.contains_key(&db_key) {
                    client.session.watches.keys.insert(db_key.clone(), Watched { expired });
                    self.engine.watched.entry(db_key).or_insert(ClientSet::One(id)).insert(id);
                }
            }
            self.look_at_interest();
        }
        by.reply.ok();
        Ok(())
    }

    pub fn unwatch(&mut self, by: &mut Asker<'_>) -> Result<(), Fail> {
        let id = by.id;
        self.unwatch_all(id);
        by.reply.ok();
        Ok(())
    }

    pub fn unwatch_all(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        client.session.watches.broken = false;
        let keys = std::mem::take(&mut client.session.watches.keys);
        if keys.is_empty() {
            return;
        }
        for key in keys.into_keys() {
            if self.engine.watched.get_mut(&key).is_some_and(|watchers| watchers.remove(id)) {
                self.engine.watched.remove(&key);
            }
        }
        self.look_at_interest();
    }

    fn is_logically_expired(&self, db: usize, key: &[u8]) -> bool {
        let db = self.engine.keyspace.db(db);
        db.find(db.key(key)).and_then(|e| e.deadline()).is_some_and(|ms| self.unix_ms() > ms)
    }

    /// A watched key whose deadline has passed since counts as changed.
    fn expire_watched(&mut self, id: ClientId) {
        let Some(client) = self.clients.get(id) else { return };
        if client.session.watches.keys.iter().any(|((db, key), w)| !w.expired && self.is_logically_expired(*db, key)) {
            self.clients.at(id).session.watches.broken = true;
        }
    }

    /// Keys changed: the transactions that watch them fail.
    pub fn break_watches(&mut self, touched: Vec<Touched>) {
        if self.engine.watched.is_empty() {
            return;
        }
        for Touched { db, key, .. } in touched {
            let db_key: WatchedKey = (db, key.into());
            let Some(watchers) = self.engine.watched.get(&db_key) else { continue };
            let gone = {
                let db = self.engine.keyspace.db(db);
                db.find(db.key(&db_key.1)).is_none()
            };
            for id in watchers.iter() {
                let Some(client) = self.clients.get_mut(id) else { continue };
                match client.session.watches.keys.get_mut(&db_key) {
                    // It was expired already, and now it is deleted: nothing has changed.
                    Some(watched) if watched.expired && gone => watched.expired = false,
                    _ => client.session.watches.broken = true,
                }
            }
        }
    }

    /// Database `db` is emptied, or exchanged for `other`: watchers of keys fail if those are there, or come to be there, unless what was
    /// expired stays so.
    pub fn break_watches_of_db(&mut self, db: usize, other: Option<usize>) {
        self.migrate.leaving.note_all_changed(db);
        let there = |node: &Node, db: usize, key: &[u8]| {
            let db = node.engine.keyspace.db(db);
            db.find(db.key(key)).is_some()
        };
        let from_here = (db, Arc::from(&b""[..]))..(db + 1, Arc::from(&b""[..]));
        let watched: Vec<(Arc<[u8]>, Vec<ClientId>)> =
            self.engine.watched.range(from_here).map(|((_, key), ids)| (key.clone(), ids.iter().collect())).collect();
        for (key, ids) in watched {
            let is_there = there(self, db, &key);
            let comes = other.is_some_and(|o| there(self, o, &key));
            if !is_there && !comes {
                continue;
            }
            let comes_expired = other.is_some_and(|o| self.is_logically_expired(o, &key));
            for id in ids {
                let Some(client) = self.clients.get_mut(id) else { continue };
                let Some(watched) = client.session.watches.keys.get_mut(&(db, key.clone())) else { continue };
                if watched.expired {
                    if !comes {
                        watched.expired = false;
                        continue;
                    }
                    if comes_expired {
                        continue;
                    }
                } else if !is_there && comes_expired {
                    watched.expired = true;
                    continue;
                }
                client.session.watches.broken = true;
            }
        }
    }
}
