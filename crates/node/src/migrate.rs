//! MIGRATE: keys go to another server by DUMP and RESTORE, and nobody but their client waits for that server.
//!
//! The keys are serialized at the call. A helper thread brings them there ([`errand`]) while their client is blocked and everybody else is served. What
//! the other server has taken is deleted here when it has said so. Until then commands that may write to such keys wait as in a pause ([`leaving`]). What
//! changes one by other means, a script that did not name it or a flush, is noticed: that key is kept, as what the other server has is older.
//!
//! In a transaction or a script nobody can be let in between, so there the executor waits, as Redis always does. This knows no sockets of clients.

mod command;
mod errand;
mod leaving;
mod sockets;

use std::collections::{BTreeSet, VecDeque};
use std::io;

use rivulet_commands::Command;
use rivulet_commands::effects::class;
use rivulet_commands::fail::Fail;
use rivulet_commands::places::keys_of;
use rivulet_commands::spec::flag;
use rivulet_resp::{Args, OwnedArgs, Reply};

use crate::engine::admit::is_exec;
use crate::engine::asker::{Asker, Origin};
use crate::engine::blocked::BlockedOn;
use crate::front::client_id::ClientId;
use crate::front::clients::Client;
use crate::helpers::{self, Helper};
use crate::node::Node;
use crate::scripts::effective_flags;
use errand::{Errand, Outcome, Target};
use leaving::Leaving;
use sockets::Sockets;

/// Threads that bring keys to other servers at the same time; further requests wait for one of them.
const ERRANDS_MAX: usize = 16;

/// A request as it was asked.
struct Asked {
    command: &'static Command,
    args: OwnedArgs,
    /// On the machine's clock.
    at_us: u64,
}

/// The keys of one request on their way.
struct Moving {
    /// Who waits for the end; nobody any more if it has gone.
    client: Option<ClientId>,
    db: usize,
    copy: bool,
    /// So many replies come before those of the keys.
    before: usize,
    /// In the order of their replies.
    keys: Vec<Vec<u8>>,
    target: Target,
    /// This server became a replica meanwhile: its keys are its master's to delete.
    is_abandoned: bool,
    /// Others are served meanwhile: its keys are in [`Leaving`].
    lets_others_in: bool,
}

/// Keys on their way to other servers, and the connections to those.
#[derive(Default)]
pub struct Migrate {
    running: Vec<(Moving, Asked, Helper<Outcome>)>,
    waiting: VecDeque<(Moving, Asked, Errand)>,
    pub leaving: Leaving,
    pub sockets: Sockets,
}

impl Migrate {
    fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// A client waits no longer. What has not begun for it never will; what has goes on, so that no key stays at both ends.
    fn forget_client(&mut self, id: ClientId) {
        let is_its = |moving: &Moving| moving.client == Some(id);
        if let Some(at) = self.waiting.iter().position(|(moving, ..)| is_its(moving))
            && let Some((moving, ..)) = self.waiting.remove(at)
        {
            self.release(&moving);
        }
        let running = self.running.iter_mut().find(|(moving, ..)| is_its(moving));
        running.into_iter().for_each(|(moving, ..)| moving.client = None);
    }

    /// Keys of a request that is over, or never began, are no longer on their way.
    fn release(&mut self, moving: &Moving) {
        if !moving.copy && !moving.is_abandoned && moving.lets_others_in {
            moving.keys.iter().for_each(|key| _ = self.leaving.end(moving.db, key));
        }
    }

    /// The next request whose errand has ended.
    fn next_end(&mut self) -> Option<(Moving, Asked, Outcome)> {
        let ended = |(at, (.., helper)): (usize, &(Moving, Asked, Helper<Outcome>))| Some((at, helper.poll()?));
        let (at, outcome) = self.running.iter().enumerate().find_map(ended)?;
        let (moving, asked, _) = self.running.remove(at);
        Some((moving, asked, outcome.unwrap_or_else(|_: io::Error| Outcome::lost())))
    }
}

impl Node {
    /// Sends keys away for a client, who waits from here on.
    fn send_away(&mut self, id: ClientId, moving: Moving, asked: Asked, errand: Errand) {
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
    fn conclude(&mut self, moving: Moving, outcome: Outcome) -> Result<(), Fail> {
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
        self.engine.unit.commands.push((moving.db, OwnedArgs::from_slices(&gone)));
        changed
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
