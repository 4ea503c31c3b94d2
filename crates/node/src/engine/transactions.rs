//! MULTI, EXEC, DISCARD, WATCH and UNWATCH.

use rivulet_acl::Context;
use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_engine::asker::{Asker, Origin};
use rivulet_engine::client_id::ClientId;
use rivulet_engine::session::{Multi, ReplyMode};
use rivulet_engine::watches::WatchedKeys;
use rivulet_resp::Args;

use crate::front::output::UNCOUNTED_BYTES;
use crate::node::Node;
use crate::scripts::permits::effective_flags;

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
        let session = &mut self.clients.at(by.id).session;
        let broken = session.watches.broken;
        // What can't succeed any more need not be kept.
        if let Some(multi) = session.multi.as_mut().filter(|multi| !broken && !multi.broken) {
            multi.queue(command, args, flags);
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
        let mark = by.reply.written();
        by.reply.array(multi.queued.len());
        self.engine.unit.is_open = true;
        by.origin = Origin::Exec;
        for (command, args) in &multi.queued {
            // Also for a client that is closed meanwhile: no half of a transaction is executed.
            if self.clients.get(id).is_none() {
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
            if by.reply.written() > UNCOUNTED_BYTES && self.gets_no_replies(by) {
                by.reply.truncate(mark);
            }
        }
        by.origin = Origin::Client;
        self.engine.unit.is_open = false;
        self.release_pushes();
        Ok(())
    }

    /// Whether the client of a transaction gets none of its replies: it wants none, or so much of them waits that it is closed.
    #[cold]
    fn gets_no_replies(&mut self, by: &Asker<'_>) -> bool {
        let Some(client) = self.clients.get(by.id) else { return true };
        let replies = &client.session.replies;
        let are_off = replies.mode != ReplyMode::On && !replies.pushed;
        are_off
            || client.connection.closing
            || self.close_if_over_limit(by.id, by.reply.written() + self.engine.speaker.own_pushes.len())
    }

    pub fn watch(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let id = by.id;
        if self.clients.at(id).session.multi.is_some() {
            return Err(Fail::new("ERR WATCH inside MULTI is not allowed"));
        }
        let now_ms = self.unix_ms();
        let session = &mut self.clients.at(id).session;
        // A transaction that can't succeed any more needs no further keys.
        if !session.watches.broken {
            let keys = args.iter().skip(1);
            self.engine.watched.watch(&self.engine.keyspace, (id, session), keys, now_ms);
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
        if self.engine.watched.unwatch_all(id, &mut client.session) {
            self.look_at_interest();
        }
    }

    /// A watched key whose deadline has passed since counts as changed.
    fn expire_watched(&mut self, id: ClientId) {
        let now_ms = self.unix_ms();
        let session = &mut self.clients.at(id).session;
        if WatchedKeys::has_expired(&self.engine.keyspace, session, now_ms) {
            session.watches.broken = true;
        }
    }

    /// Database `db` is emptied, or exchanged for `other`: watchers of keys fail if those are there, or come to be there, unless what was
    /// expired stays so.
    pub fn break_watches_of_db(&mut self, db: usize, other: Option<usize>) {
        self.migrate.leaving.note_all_changed(db);
        let now_ms = self.unix_ms();
        self.engine.watched.fail_of_db(&self.engine.keyspace, (db, other), now_ms, &mut self.clients);
    }
}
