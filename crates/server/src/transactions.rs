//! MULTI, EXEC, DISCARD, WATCH and UNWATCH.

use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_commands::spec::{Handler, flag};
use rivulet_resp::Args;

use crate::clients::{ClientId, Multi};
use crate::node::Node;

impl Node {
    pub fn multi(&mut self, id: ClientId) -> Result<(), Fail> {
        let client = self.clients.at(id);
        if client.multi.is_some() {
            return Err(Fail::new("ERR MULTI calls can not be nested"));
        }
        client.multi = Some(Multi::default());
        self.reply(id).ok();
        Ok(())
    }

    pub fn queue_in_multi(&mut self, id: ClientId, command: &'static Command, args: Args<'_>) {
        let client = self.clients.at(id);
        let broken = client.watch_broken;
        if let Some(multi) = &mut client.multi {
            // What can't succeed any more need not be kept.
            if !broken && !multi.broken {
                let args = args.to_owned();
                multi.memory_bytes += args.memory_bytes();
                multi.writes |= command.is(flag::WRITE);
                multi.denies_oom |= command.is(flag::DENYOOM);
                multi.queued.push((command, args));
            }
        }
        self.reply(id).simple("QUEUED");
    }

    pub fn discard(&mut self, id: ClientId) -> Result<(), Fail> {
        if self.clients.at(id).multi.is_none() {
            return Err(Fail::new("ERR DISCARD without MULTI"));
        }
        self.discard_multi(id);
        self.reply(id).ok();
        Ok(())
    }

    /// Ends a transaction without running it.
    pub fn discard_multi(&mut self, id: ClientId) {
        self.clients.at(id).multi = None;
        self.unwatch_all(id);
    }

    pub fn exec(&mut self, id: ClientId) -> Result<(), Fail> {
        self.expire_watched(id);
        let client = self.clients.at(id);
        let Some(multi) = client.multi.take() else {
            return Err(Fail::new("ERR EXEC without MULTI"));
        };
        let touched = client.watch_broken;
        self.unwatch_all(id);
        if multi.broken {
            return Err(Fail::new("EXECABORT Transaction discarded because of previous errors."));
        }
        if touched {
            self.reply(id).null_array();
            return Ok(());
        }
        self.reply(id).array(multi.queued.len());
        self.depth += 1;
        for (command, args) in &multi.queued {
            if self.clients.get(id).is_none_or(|c| c.closing) {
                break;
            }
            let mark = self.clients.at(id).output.bytes.len();
            self.call(id, command, args.as_args(), None);
            // A command that has no reply of its own (a pause, a full sync) leaves its place to nothing.
            let _ = mark;
        }
        self.depth -= 1;
        Ok(())
    }

    pub fn watch(&mut self, id: ClientId, args: Args<'_>) -> Result<(), Fail> {
        if self.clients.at(id).multi.is_some() {
            return Err(Fail::new("ERR WATCH inside MULTI is not allowed"));
        }
        let client = self.clients.at(id);
        // A transaction that can't succeed any more needs no further keys.
        if !client.watch_broken {
            let db = client.db;
            for key in args.iter().skip(1) {
                let db_key: (usize, Box<[u8]>) = (db, key.into());
                let client = self.clients.at(id);
                if !client.watched.contains(&db_key) {
                    client.watched.push(db_key.clone());
                    self.watched.entry(db_key).or_default().push(id);
                }
            }
            // A key that has expired already does not count as touched when it is deleted.
            self.note_expired_when_watched(id);
        }
        self.reply(id).ok();
        Ok(())
    }

    pub fn unwatch(&mut self, id: ClientId) -> Result<(), Fail> {
        self.unwatch_all(id);
        self.reply(id).ok();
        Ok(())
    }

    pub fn unwatch_all(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        client.watch_broken = false;
        for key in std::mem::take(&mut client.watched) {
            if let Some(watchers) = self.watched.get_mut(&key) {
                watchers.retain(|&c| c != id);
                if watchers.is_empty() {
                    self.watched.remove(&key);
                }
            }
        }
    }

    /// Keys that were expired when the client began to watch them are deleted now, before it can be blamed for that.
    fn note_expired_when_watched(&mut self, id: ClientId) {
        if self.is_replica() {
            return;
        }
        let keys = self.clients.at(id).watched.clone();
        let others: Vec<_> = keys.iter().filter_map(|k| self.watched.remove(k).map(|w| (k.clone(), w))).collect();
        for (db, key) in &keys {
            self.with_data(*db, |data| {
                let key = data.key(key);
                data.expire_if_due(key);
            });
        }
        self.watched.extend(others);
    }

    /// A watched key whose deadline has passed counts as changed.
    fn expire_watched(&mut self, id: ClientId) {
        let now_ms = self.now_ms();
        let expired = self.clients.at(id).watched.clone().iter().any(|(db, key)| {
            let db = self.keyspace.db(*db);
            db.find(db.key(key)).and_then(|e| e.deadline()).is_some_and(|ms| now_ms > ms)
        });
        if expired {
            self.clients.at(id).watch_broken = true;
        }
    }

    /// Keys changed: the transactions that watch them fail.
    pub fn break_watches(&mut self, touched: Vec<(usize, Box<[u8]>)>) {
        for key in touched {
            for id in self.watched.get(&key).cloned().unwrap_or_default() {
                if let Some(client) = self.clients.get_mut(id) {
                    client.watch_broken = true;
                }
            }
        }
    }

    /// A database is emptied or exchanged: watchers of the keys in it fail if the key is there, or comes to be there.
    pub fn break_watches_of_db(&mut self, db: usize, other: Option<usize>) {
        let there = |node: &Node, db: usize, key: &[u8]| {
            let db = node.keyspace.db(db);
            db.find(db.key(key)).is_some()
        };
        let touched: Vec<_> = self
            .watched
            .keys()
            .filter(|(watched_db, key)| {
                *watched_db == db && (there(self, db, key) || other.is_some_and(|o| there(self, o, key)))
            })
            .cloned()
            .collect();
        self.break_watches(touched);
    }
}

/// Whether a command is EXEC.
pub fn is_exec(command: &Command) -> bool {
    matches!(command.handler, Handler::Node(rivulet_commands::spec::Node::Exec))
}
