//! The call of a command on data: what it is given, and what it leaves for the stream.

use rivulet_commands::Propagation;
use rivulet_commands::ctx::{Call, Ctx, Data};
use rivulet_commands::fail::Fail;
use rivulet_resp::Args;

use crate::asker::{Asker, Origin};
use crate::engine::Engine;
use crate::session::Session;

/// What is the case for whatever runs now.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Unix ms.
    pub now_ms: u64,
    /// This server is a replica.
    pub is_replica: bool,
    /// Keys whose time is over are hidden and stay: the master says when they go, and in a pause none goes for who reads it.
    pub keeps_expired: bool,
    /// Somebody gets the stream.
    pub propagates: bool,
}

/// What a command has written.
pub struct Writes {
    /// Commands that go ahead of it, and are in the unit by now: keys that it found expired.
    pub ahead: u64,
    /// Changes that it has made.
    pub dirty: u64,
    /// What of it goes to the stream, if it has made some.
    pub propagation: Propagation,
}

/// The function of a command on data.
pub type Run = fn(&mut Ctx<'_>) -> Result<(), Fail>;

impl Engine {
    /// Facts about an execution for a client.
    #[inline]
    fn facts(&self, session: &Session, origin: Origin, moment: Moment) -> Call {
        Call {
            now_ms: moment.now_ms,
            from_master: session.is_master(),
            is_replica: moment.is_replica,
            keeps_expired: moment.keeps_expired,
            deny_blocking: origin != Origin::Client || session.is_master(),
            in_script: origin == Origin::Script,
            reads_any_key: session.login.reads_any_key,
            note_touched: self.note_touched,
            note_ready: !self.blocking.is_empty(),
            propagates: moment.propagates,
        }
    }

    #[inline]
    fn data(&mut self, index: usize, call: Call) -> Data<'_> {
        Data {
            keyspace: &mut self.keyspace,
            index,
            effects: &mut self.effects,
            call,
            settings: &self.settings,
            rng: &mut self.rng,
        }
    }

    /// Runs a command on the session's database. Of what fails nothing is answered.
    ///
    /// # Errors
    /// The command's own.
    #[inline]
    pub fn run(
        &mut self,
        by: &mut Asker<'_>,
        session: &Session,
        moment: Moment,
        run: Run,
        args: Args<'_>,
        hint: Option<(usize, u64)>,
    ) -> Result<(), Fail> {
        let mark = by.reply.written();
        let call = self.facts(session, by.origin, moment);
        let mut ctx = Ctx { args, reply: by.reply.again(), db: self.data(session.db, call), first_key: hint };
        let result = run(&mut ctx);
        if result.is_err() {
            by.reply.truncate(mark);
        }
        result
    }

    /// Runs `f` on the data, as an execution of nobody.
    pub fn with_data<R>(&mut self, index: usize, moment: Moment, f: impl FnOnce(&mut Data<'_>) -> R) -> R {
        let call = Call {
            now_ms: moment.now_ms,
            from_master: false,
            is_replica: moment.is_replica,
            keeps_expired: moment.keeps_expired,
            deny_blocking: true,
            in_script: false,
            reads_any_key: true,
            note_touched: self.note_touched,
            note_ready: !self.blocking.is_empty(),
            propagates: moment.propagates,
        };
        f(&mut self.data(index, call))
    }

    /// A command has ended: what it has written. What goes ahead of it is added to the unit.
    #[inline]
    pub fn take_writes(&mut self, origin: Origin) -> Writes {
        let dirty = std::mem::take(&mut self.effects.dirty);
        let propagation = std::mem::take(&mut self.effects.propagation);
        let no_multi = std::mem::take(&mut self.effects.no_multi);
        let mut ahead = 0;
        if !self.effects.before.is_empty() {
            // Within a transaction or a script all is one unit.
            self.unit.no_multi |= no_multi && origin == Origin::Client;
            ahead = self.take_what_goes_ahead();
        }
        Writes { ahead, dirty, propagation }
    }

    /// Adds to the unit what goes ahead of a command; answers how many changes that is.
    pub fn take_what_goes_ahead(&mut self) -> u64 {
        let before = std::mem::take(&mut self.effects.before);
        let count = before.len();
        self.unit.went_ahead += count;
        self.unit.commands.extend(before);
        count as u64
    }

    /// Adds a command to the unit; answers true if it is to go to the stream at once instead, as it came: nothing else is of its unit.
    #[inline]
    #[must_use]
    pub fn propagate(&mut self, origin: Origin, db: usize, args: Args<'_>, propagation: Propagation) -> bool {
        match propagation {
            Propagation::Nothing => {}
            Propagation::AsIs if origin == Origin::Client && self.unit.commands.is_empty() => return true,
            Propagation::AsIs => self.unit.commands.push((db, args.to_owned())),
            Propagation::Instead(commands) => self.unit.commands.extend(commands.into_iter().map(|c| (db, c))),
        }
        false
    }

    /// Who waits for keys that hold something now is woken when the unit has ended.
    #[inline]
    pub fn take_ready(&mut self) {
        if !self.effects.ready.is_empty() {
            self.blocking.ready.append(&mut self.effects.ready);
        }
    }
}
