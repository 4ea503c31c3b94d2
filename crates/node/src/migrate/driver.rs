//! Requests on their way: their errands begin and end, and keys that were taken go.

use std::collections::BTreeSet;

use rivulet_commands::Command;
use rivulet_commands::effects::class;
use rivulet_commands::fail::Fail;
use rivulet_commands::places::keys_of;
use rivulet_commands::spec::flag;
use rivulet_engine::admit::is_exec;
use rivulet_engine::asker::{Asker, Origin};
use rivulet_engine::blocked::BlockedOn;
use rivulet_engine::client_id::ClientId;
use rivulet_resp::{Args, OwnedArgs, Reply};

use super::errand::{Errand, Outcome};
use super::leaving::Leaving;
use super::{Asked, Moving};
use crate::front::clients::Client;
use crate::helpers::{self};
use crate::node::Node;
use crate::scripts::permits::effective_flags;

/// Threads that bring keys to other servers at the same time; further requests wait for one of them.
const ERRANDS_MAX: usize = 16;

impl Node {
    /// Sends keys away for a client, who waits from here on.
    pub(super) fn send_away(&mut self, id: ClientId, moving: Moving, asked: Asked, errand: Errand) {
        if !moving.copy {
            moving.keys.iter().for_each(|key| self.migrate.leaving.begin(moving.db, key));
            self.look_at_interest();
        }
        self.migrate.waiting.push_back((moving, asked, errand));
        self.block(id, BlockedOn::Migrate, None);
        self.run_errands();
    }

    /// A client waits no longer. Who waited to write to keys that stay now goes on.
    pub fn forget_migrating_client(&mut self, id: ClientId) {
        self.migrate.forget_client(id);
        self.look_at_interest();
        self.life.pauses.look_again();
    }

    /// Starts what waits for a thread.
    fn run_errands(&mut self) {
        while self.migrate.running.len() < ERRANDS_MAX
            && let Some((moving, asked, mut errand)) = self.migrate.waiting.pop_front()
        {
            errand.kept = self.migrate.sockets.take(&moving.target);
            let helper = helpers::ask("migrate", self.front.waker.clone(), move || errand.run());
            self.migrate.running.push((moving, asked, helper));
        }
    }

    /// Ends the requests whose errands have ended, once a turn. What is paused does not change, so their keys stay until the pause is over.
    #[inline]
    pub fn look_after_migrations(&mut self) {
        if !self.migrate.is_idle() && !self.life.pauses.stops(true) {
            while let Some((moving, asked, outcome)) = self.migrate.next_end() {
                self.end_migration(&asked, moving, outcome);
            }
            self.run_errands();
        }
    }

    fn end_migration(&mut self, asked: &Asked, moving: Moving, outcome: Outcome) {
        let id = moving.client.unwrap_or(0);
        self.speaking_for(id, |node| {
            let result = node.conclude(moving, outcome);
            let wrote = !node.engine.unit.commands.is_empty();
            node.after_unit();
            node.answer(id, asked, result, wrote);
        });
        self.look_at_interest();
        // Whoever waited to write to these keys.
        self.life.pauses.look_again();
    }

    /// Answers a client who has waited.
    fn answer(&mut self, id: ClientId, asked: &Asked, result: Result<(), Fail>, wrote: bool) {
        self.unblock_silently(id);
        let offset = self.replication.offset();
        let Some(client) = self.clients.get_mut(id) else { return };
        if wrote {
            client.session.written_offset = offset;
        }
        client.connection.outbox.hold.forget_pushes();
        let start = client.connection.outbox.output.end();
        let mut out = std::mem::take(&mut client.connection.outbox.output.bytes);
        let mark = out.len();
        let mut by = Asker { id, origin: Origin::Client, reply: Reply::new(&mut out, client.session.resp3) };
        match &result {
            Ok(()) => by.reply.ok(),
            Err(fail) => self.reply_error(&mut by, &fail.0),
        }
        let reply_bytes = out.len() - mark;
        let took_us = self.clock.now_us.saturating_sub(asked.at_us);
        self.count_call((id, asked.command, asked.args.as_args()), took_us, reply_bytes, result.is_err());
        self.finish_reply(id, out, mark);
        if self.front.held.marks {
            self.mark_served(id, start);
        }
    }

    /// Deletes what the other server has now, and keeps the connection.
    ///
    /// # Errors
    /// What the client is told: the first error of the other server, else why there were no more replies, else that a key has changed meanwhile.
    pub(super) fn conclude(&mut self, moving: Moving, outcome: Outcome) -> Result<(), Fail> {
        let Outcome { replies, failed, connection } = outcome;
        let mut first_error = None;
        let mut moved = vec![false; moving.keys.len()];
        for (at, line) in replies.into_iter().enumerate() {
            if line.first() == Some(&b'-') {
                first_error.get_or_insert(line);
                if at < moving.before {
                    // Keys that went on without a login, or to another database, are not where they were to go.
                    break;
                }
            } else if let Some(taken) = at.checked_sub(moving.before).and_then(|at| moved.get_mut(at)) {
                *taken = true;
            }
        }
        let changed = if moving.copy || moving.is_abandoned { 0 } else { self.delete_moved(&moving, &moved) };
        if let Some(connection) = connection {
            self.migrate.sockets.keep(moving.target, connection, self.clock.now_ms());
        }
        if let Some(line) = first_error {
            let text = String::from_utf8_lossy(&line[1..]);
            return Err(Fail::text(format!("ERR Target instance replied with error: {text}")));
        }
        match failed {
            Some(text) => Err(Fail::text(format!("IOERR error or timeout {text}"))),
            None if changed > 0 => Err(Fail::text(format!(
                "ERR {changed} of the keys changed while they were on their way: they are kept here, and the target instance has what they were before"
            ))),
            None => Ok(()),
        }
    }

    /// Deletes the keys that were taken; answers how many of these are kept because they are no longer what was sent.
    fn delete_moved(&mut self, moving: &Moving, moved: &[bool]) -> usize {
        let mut changed = 0;
        let mut gone: Vec<&[u8]> = vec![b"DEL"];
        let mut seen = BTreeSet::new();
        for (name, moved) in moving.keys.iter().zip(moved) {
            if !seen.insert(name) {
                continue;
            }
            // What is on its way no longer was taken by a script's own MIGRATE: what is there now is another value.
            let has_changed = moving.lets_others_in && self.migrate.leaving.end(moving.db, name).unwrap_or(true);
            let db = self.engine.keyspace.db(moving.db);
            match db.find(db.key(name)).is_some() {
                true if *moved && has_changed => changed += 1,
                true if *moved => gone.push(name),
                _ => {}
            }
        }
        if gone.len() == 1 {
            return changed;
        }
        self.with_data(moving.db, |data| {
            for name in &gone[1..] {
                let key = data.key(name);
                data.delete(key, false);
                data.changed(name, class::GENERIC, "del");
            }
        });
        self.persist.saving.dirty += gone.len() as u64 - 1;
        self.tell_moved(moving.db, &gone);
        changed
    }

    /// The deletion of keys that were taken goes to the stream. On a replica it is the replica's own affair, as any write.
    fn tell_moved(&mut self, db: usize, deletion: &[&[u8]]) {
        let command = OwnedArgs::from_slices(deletion);
        if !self.is_replica() {
            return self.engine.unit.commands.push((db, command));
        }
        self.note_own_change();
        deletion[1..].iter().for_each(|key| self.engine.keys.own_expiring.note_gone(db, key));
        self.note_own_write(db, &[command]);
    }

    /// This server follows a master now: what is on its way is a copy, and its clients have been told.
    pub fn abandon_migrations(&mut self) {
        self.migrate.waiting.clear();
        self.migrate.running.iter_mut().for_each(|(moving, ..)| moving.is_abandoned = true);
        self.migrate.leaving = Leaving::default();
        self.look_at_interest();
        self.life.pauses.look_again();
    }

    /// Whether a command, or one of those that an EXEC has queued, may write to a key that is on its way.
    pub fn touches_leaving_keys(&self, client: &Client, command: &'static Command, args: Args<'_>) -> bool {
        let leaving = &self.migrate.leaving;
        if leaving.is_empty() {
            return false;
        }
        let db = client.session.db;
        let touches = |command: &'static Command, args: Args<'_>| {
            let may_write = effective_flags(self, command, args) & (flag::WRITE | flag::MAY_REPLICATE) != 0;
            may_write && keys_of(command, args).iter().any(|(at, _)| leaving.contains(db, args.at(at)))
        };
        match client.session.multi.as_ref().filter(|_| is_exec(command)) {
            Some(multi) => multi.queued.iter().any(|(command, args)| touches(command, args.as_args())),
            None => touches(command, args),
        }
    }
}
