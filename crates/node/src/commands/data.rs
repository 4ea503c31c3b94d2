//! Commands on whole databases, and on what is on disk: FLUSHALL, FLUSHDB, SWAPDB, SAVE, BGSAVE.

use rivulet_commands::fail::{Fail, SYNTAX};
use rivulet_engine::asker::{Asker, Origin};
use rivulet_resp::Args;

use crate::node::Node;
use crate::persist::saving::{Purpose, Running};

impl Node {
    fn flush_is_lazy(&self, args: Args<'_>) -> Result<bool, Fail> {
        match args.len() {
            1 => Ok(self.config.lazyfree_lazy_user_flush),
            2 if args.is(1, "sync") => Ok(false),
            2 if args.is(1, "async") => Ok(true),
            _ => Err(SYNTAX),
        }
    }

    pub fn flushall(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let lazy = self.flush_is_lazy(args)?;
        let keys = self.engine.keyspace.len() as u64;
        // Replicas that are being sent what goes now would only empty it again: they start over with what is left.
        self.restart_socket_snapshot();
        self.empty_all(lazy);
        self.engine.blocking.note_lost(&(0..self.engine.keyspace.databases()).collect::<Vec<_>>());
        self.engine.effects.dirty += keys.max(1);
        self.engine.keys.own_expiring.clear();
        self.save_emptied();
        by.reply.ok();
        Ok(())
    }

    /// A save that runs is of what is gone: it ends, also if replicas wait for it, as it would take the place of the next one, which follows at once with
    /// save points.
    fn save_emptied(&mut self) {
        if self.persist.saving.is_saving() {
            self.cancel_snapshot();
        }
        // What is replayed goes on, and the file is not of a part of it.
        self.persist.saving.saves_emptied = !self.config.save.is_empty() && !self.is_loading();
    }

    pub fn flushdb(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let id = by.id;
        let lazy = self.flush_is_lazy(args)?;
        let db = self.clients.at(id).session.db;
        let keys = self.engine.keyspace.db(db).len() as u64;
        self.break_watches_of_db(db, None);
        self.invalidate_all();
        let trash = self.engine.keyspace.flush(db);
        if lazy {
            self.free_later(trash);
        }
        self.engine.blocking.note_lost(&[db]);
        self.engine.effects.dirty += keys.max(1);
        by.reply.ok();
        Ok(())
    }

    pub fn swapdb(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        // Both are read before either is looked for.
        let number = |i: usize, text: &'static str| {
            rivulet_commands::parse::int(args.at(i)).ok().and_then(|n| i32::try_from(n).ok()).ok_or(Fail::new(text))
        };
        let a = number(1, "ERR invalid first DB index")?;
        let b = number(2, "ERR invalid second DB index")?;
        let index = |n: i32| {
            usize::try_from(n)
                .ok()
                .filter(|&n| n < self.engine.keyspace.databases())
                .ok_or(rivulet_commands::fail::DB_OUT_OF_RANGE)
        };
        let (a, b) = (index(a)?, index(b)?);
        if a != b {
            self.break_watches_of_db(a, Some(b));
            self.break_watches_of_db(b, Some(a));
            self.invalidate_all();
            self.engine.keyspace.swap(a, b);
            self.engine.blocking.note_swapped(&[a, b]);
        }
        self.engine.effects.dirty += 1;
        by.reply.ok();
        Ok(())
    }

    pub fn save(&mut self, by: &mut Asker<'_>) -> Result<(), Fail> {
        if self.persist.saving.is_saving() {
            return Err(Fail::new("ERR Background save already in progress"));
        }
        match self.save_now() {
            Ok(()) => {
                by.reply.ok();
                Ok(())
            }
            Err(reason) => Err(Fail::text(format!("ERR {reason}"))),
        }
    }

    pub fn bgsave(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let schedule = match args.len() {
            1 => false,
            2 if args.is(1, "schedule") => true,
            _ => return Err(SYNTAX),
        };
        if self.persist.saving.is_saving() {
            return Err(Fail::new("ERR Background save already in progress"));
        }
        if by.origin != Origin::Client {
            // What the transaction has done is not in the stream yet: a file of it would belong to no position.
            self.persist.saving.begins_after_unit = true;
            by.reply.simple("Background saving scheduled");
            return Ok(());
        }
        if self.persist.saving.running.is_some() {
            // A digest is short, and nobody asked this client whether it may run.
            let digest = matches!(self.persist.saving.running, Some(Running { purpose: Purpose::Verify, .. }));
            if !schedule && !digest {
                return Err(Fail::new(
                    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.",
                ));
            }
            self.persist.saving.scheduled = true;
            by.reply.simple("Background saving scheduled");
            return Ok(());
        }
        self.begin_save(Purpose::Save)?;
        by.reply.simple("Background saving started");
        Ok(())
    }
}
