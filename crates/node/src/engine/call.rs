//! The call of a command, and what follows from its effects: what is propagated, counted and told, who is woken, what is freed.

use rivulet_acl::Context;
use rivulet_commands::ctx::Data;
use rivulet_commands::fail::Fail;
use rivulet_commands::spec::{Handler, flag};
use rivulet_commands::{Command, Propagation};
use rivulet_engine::asker::{Asker, Origin};
use rivulet_engine::blocked::{BlockedOn, again};
use rivulet_engine::call::{Moment, Run};
use rivulet_engine::client_id::ClientId;
use rivulet_resp::{Args, Reply};

use crate::front::clients::Client;
use crate::log;
use crate::node::Node;

impl Node {
    /// What is the case for whatever runs now and may change the data: what it finds expired goes, and replicas are told, unless a master does that.
    #[inline]
    pub fn moment(&self) -> Moment {
        let is_replica = self.is_replica();
        Moment {
            now_ms: self.unix_ms(),
            is_replica,
            keeps_expired: is_replica,
            propagates: is_replica || self.wants_stream(),
        }
    }

    /// The same for a command. One that only reads changes nothing in a pause. What writes is executed all the same if the pause began within its
    /// transaction or script, and must not write to a key that has expired here and not on the replicas.
    #[inline]
    fn moment_of(&self, command: &Command) -> Moment {
        let mut moment = self.moment();
        moment.keeps_expired |= self.is_paused() && !command.is(flag::WRITE);
        moment
    }

    /// Runs a command, counts it, and gathers what it has to propagate.
    pub fn call(&mut self, by: &mut Asker<'_>, command: &'static Command, args: Args<'_>, hint: Option<(usize, u64)>) {
        let (started_us, mark) = (self.clock.now_us, by.reply.written());
        let id = by.id;
        let db = self.clients.at(id).session.db;
        let result = match command.handler {
            Handler::Data(run) => self.call_data(by, command, run, args, hint),
            Handler::Node(which) => {
                let result = self.run_node(by, which, command, args);
                self.look_at_standing();
                result
            }
            Handler::Container => Err(Fail::arity(command.name)),
        };
        if let Err(fail) = &result {
            self.call_failed(by, command, fail);
        }
        self.finish_call(id, by.origin, db, command, args);
        if !self.ops.monitors.is_empty() && !command.is(flag::SKIP_MONITOR) && !command.is(flag::ADMIN) {
            self.feed_monitors(id, by.origin, args);
        }
        let ended_us = self.clock.go_on();
        // Errors of a transaction's commands are not EXEC's.
        let reply_bytes = by.reply.written().saturating_sub(mark);
        self.count_call((id, command, args), ended_us.saturating_sub(started_us), reply_bytes, result.is_err());
    }

    /// Runs a command that leaves no mark on when keys were used.
    pub fn call_untouched(
        &mut self,
        by: &mut Asker<'_>,
        command: &'static Command,
        args: Args<'_>,
        hint: Option<(usize, u64)>,
    ) {
        let clock = self.engine.settings.clock;
        self.engine.settings.clock = clock.untouched();
        self.call(by, command, args, hint);
        // The command may have chosen another use.
        let clock = self.engine.settings.clock;
        self.engine.settings.clock = clock.touched();
    }

    /// Runs a command of a script, whose time stands.
    pub fn call_within(&mut self, by: &mut Asker<'_>, command: &'static Command, args: Args<'_>) {
        let (id, mark, started_us) = (by.id, by.reply.written(), self.clock.read_us());
        let Some(client) = self.clients.get(id) else { return };
        let db = client.session.db;
        let result = match command.handler {
            Handler::Data(run) => self.call_data(by, command, run, args, None),
            Handler::Node(which) => self.run_node(by, which, command, args),
            Handler::Container => Err(Fail::arity(command.name)),
        };
        if let Err(fail) = &result {
            self.call_failed(by, command, fail);
        }
        self.finish_call(id, by.origin, db, command, args);
        if !self.ops.monitors.is_empty() && !command.is(flag::SKIP_MONITOR) && !command.is(flag::ADMIN) {
            self.feed_monitors(id, by.origin, args);
        }
        let took_us = self.clock.read_us().saturating_sub(started_us);
        let reply_bytes = by.reply.written().saturating_sub(mark);
        self.count_call((id, command, args), took_us, reply_bytes, result.is_err());
    }

    #[cold]
    fn call_failed(&mut self, by: &mut Asker<'_>, command: &'static Command, fail: &Fail) {
        if let Some(client) = self.clients.get_mut(by.id) {
            client.session.last_command = Some(command);
        }
        if let Some(text) = self.engine.effects.complaint.take() {
            log::warning!("{text}");
        }
        self.reply_error(by, &fail.0);
    }

    #[inline]
    fn call_data(
        &mut self,
        by: &mut Asker<'_>,
        command: &'static Command,
        run: Run,
        args: Args<'_>,
        hint: Option<(usize, u64)>,
    ) -> Result<(), Fail> {
        let moment = self.moment_of(command);
        let Some(client) = self.clients.get(by.id) else { return Ok(()) };
        self.engine.run(by, &client.session, moment, run, args, hint)
    }

    /// Runs a command of an append-only file.
    pub fn replay_one(&mut self, id: ClientId, command: &'static Command, args: Args<'_>, hint: Option<(usize, u64)>) {
        let Handler::Data(run) = command.handler else { return };
        let db = self.clients.at(id).session.db;
        // A reply is for nobody. What failed when a master first executed it was not written; a replica has what failed there alone.
        let mut out = std::mem::take(&mut self.clients.at(id).connection.outbox.output.bytes);
        let mut by = Asker { id, origin: Origin::Client, reply: Reply::new(&mut out, false) };
        self.persist.aof.replay_failed |= self.call_data(&mut by, command, run, args, hint).is_err();
        self.finish_call(id, Origin::Client, db, command, args);
        out.clear();
        if let Some(client) = self.clients.get_mut(id) {
            client.connection.outbox.output.bytes = out;
        }
        if !self.engine.unit.commands.is_empty() {
            self.engine.unit.commands.clear();
        }
    }

    /// Runs `f` on the data, as an execution of nobody: the effects are applied as after a command.
    pub fn with_data<R>(&mut self, index: usize, f: impl FnOnce(&mut Data<'_>) -> R) -> R {
        let result = self.engine.with_data(index, self.moment(), f);
        self.apply_effects();
        result
    }

    /// Deals with the effects of a command.
    #[inline]
    fn finish_call(&mut self, id: ClientId, origin: Origin, db: usize, command: &'static Command, args: Args<'_>) {
        if let Some(block) = self.engine.effects.block.take() {
            let deadline_ms = block.timeout_ms.map(|ms| self.now_ms().saturating_add(ms));
            let waits = BlockedOn::Keys { db, command, args: args.to_owned(), block };
            self.block(id, waits, deadline_ms);
        }
        let writes = self.engine.take_writes(origin);
        self.persist.saving.dirty += writes.ahead;
        if writes.dirty > 0 {
            self.persist.saving.dirty += writes.dirty;
            if self.is_replica() {
                self.note_write_on_replica(id, db, command, args, writes.propagation);
            } else if self.wants_stream() && self.engine.propagate(origin, db, args, writes.propagation) {
                self.propagate_now(db, args);
            }
            let offset = self.replication.offset();
            if let Some(client) = self.clients.get_mut(id) {
                client.session.written_offset = offset;
            }
        }
        self.apply_effects();
    }

    /// A write on a replica: unless it is the master's, it is the replica's own affair.
    fn note_write_on_replica(
        &mut self,
        id: ClientId,
        db: usize,
        command: &'static Command,
        args: Args<'_>,
        propagation: Propagation,
    ) {
        if self.clients.get(id).is_none_or(Client::is_master) {
            return;
        }
        self.note_own_change();
        self.engine.keys.own_expiring.note_call(&self.engine.keyspace, db, command, args);
        match propagation {
            Propagation::Nothing => {}
            Propagation::AsIs => self.note_own_write(db, &[args.to_owned()]),
            Propagation::Instead(commands) => self.note_own_write(db, &commands),
        }
    }

    /// The data of this replica are not its master's any more.
    pub fn note_own_change(&mut self) {
        match self.config.replica_read_only {
            // Only a transaction that has made a replica of this server comes here.
            true => self.note_role_changed_within(),
            false => self.note_diverged(|| "clients write to this replica".to_string()),
        }
    }

    /// Counters, watchers, events, waiting clients and freed values.
    #[inline]
    pub fn apply_effects(&mut self) {
        let effects = &mut self.engine.effects;
        self.ops.stats.keys.hits += std::mem::take(&mut effects.hits);
        self.ops.stats.keys.misses += std::mem::take(&mut effects.misses);
        if effects.expired | effects.expired_fields > 0 {
            self.ops.stats.keys.expired += std::mem::take(&mut effects.expired);
            self.ops.stats.keys.expired_fields += std::mem::take(&mut effects.expired_fields);
        }
        if !effects.before.is_empty() {
            self.persist.saving.dirty += self.engine.take_what_goes_ahead();
        }
        if !self.engine.effects.trash.is_empty() {
            let trash = std::mem::take(&mut self.engine.effects.trash);
            self.free_later(trash);
        }
        if !self.engine.effects.touched.is_empty() {
            let touched = std::mem::take(&mut self.engine.effects.touched);
            self.keys_changed(touched);
        }
        self.engine.take_ready();
        if !self.engine.effects.events.is_empty() {
            let events = std::mem::take(&mut self.engine.effects.events);
            self.publish_events(events);
        }
    }

    /// A transaction or a script runs: what it has done so far is in the data and not in the stream.
    pub fn is_within_unit(&self) -> bool {
        self.engine.unit.is_open || self.scripts.running.is_some()
    }

    /// What was done by itself goes to the stream: keys whose time was over, keys that made room. Together they are no transaction.
    pub fn after_each_by_itself(&mut self) {
        // Of the next unit nothing is said.
        self.engine.unit.no_multi = !self.engine.unit.commands.is_empty();
        self.after_unit();
    }

    /// A unit of execution has ended: its writes go to the stream, and those who waited for its keys get their turn.
    #[inline]
    pub fn after_unit(&mut self) {
        if !self.engine.unit.commands.is_empty() {
            self.propagate_unit();
        }
        if !self.engine.blocking.ready.is_empty() {
            self.serve_ready_keys();
        }
    }

    /// Counts a call that has ended, and notes it in the logs if it is to be noted.
    pub fn count_call(
        &mut self,
        (id, command, args): (ClientId, &'static Command, Args<'_>),
        us: u64,
        reply_bytes: usize,
        failed: bool,
    ) {
        if let Some(client) = self.clients.get_mut(id) {
            client.session.last_command = Some(command);
            // Who waits is counted when the wait ends, as in Redis.
            if client.session.blocked.is_some() {
                return;
            }
        }
        let tracking = self.config.latency_tracking;
        let stats = self.ops.stats.of(command);
        stats.calls += 1;
        stats.usec += us;
        stats.failed += u64::from(failed);
        if tracking {
            stats.histogram.get_or_insert_default().record(us * 1000);
        }
        if self.ops.commandlog.notable.may_note(us, reply_bytes as u64) && !command.is(flag::SKIP_SLOWLOG) {
            self.note_command(id, args, us, reply_bytes as u64);
        }
        self.note_latency(if command.is(flag::FAST) { "fast-command" } else { "command" }, us / 1000);
    }

    /// Runs a blocked client's command again for the key that has become ready; answers whether the client still waits.
    pub fn retry_blocked(&mut self, id: ClientId, ready: &[u8]) -> bool {
        self.speaking_for(id, |node| node.run_again(id, ready))
    }

    fn run_again(&mut self, id: ClientId, ready: &[u8]) -> bool {
        let Some(client) = self.clients.get_mut(id) else { return false };
        let Some(blocked) = client.session.blocked.take() else { return false };
        let BlockedOn::Keys { db, command, args, block } = &blocked.reason else {
            client.session.blocked = Some(blocked);
            return true;
        };
        let (db, command) = (*db, *command);
        let args = again(command, args, block, ready);
        let Handler::Data(run) = command.handler else { return false };
        // What it may do can have changed since it began to wait.
        if let Err(denied) = self.check_user(id, command, args.as_args()) {
            self.forget_blocked(id, &blocked);
            self.note_denied(id, denied, command, args.as_args(), Context::TopLevel);
            self.ops.stats.of(command).rejected += 1;
            self.send_error(id, &denied.to_client(command).0);
            return false;
        }
        let started_us = self.clock.read_us();
        let Some(client) = self.clients.get_mut(id) else { return false };
        let selected = std::mem::replace(&mut client.session.db, db);
        client.connection.outbox.hold.forget_pushes();
        let start = client.connection.outbox.output.end();
        let mut out = std::mem::take(&mut client.connection.outbox.output.bytes);
        let mark = out.len();
        let reply = Reply::new(&mut out, client.session.resp3);
        let mut by = Asker { id, origin: Origin::Client, reply };
        let result = self.call_data(&mut by, command, run, args.as_args(), None);
        let client = self.clients.at(id);
        client.session.db = selected;
        if self.engine.effects.block.take().is_some() {
            client.session.blocked = Some(blocked);
            client.connection.outbox.output.bytes = out;
            // It may have changed something all the same: a consumer was seen.
            self.finish_call(id, Origin::Client, db, command, args.as_args());
            return true;
        }
        if let Err(fail) = &result {
            self.reply_error(&mut by, &fail.0);
        }
        self.finish_call(id, Origin::Client, db, command, args.as_args());
        self.remember_keys(id, command, args.as_args());
        self.forget_blocked(id, &blocked);
        let took_us = self.clock.go_on().saturating_sub(started_us);
        let reply_bytes = out.len().saturating_sub(mark);
        self.count_call((id, command, args.as_args()), took_us, reply_bytes, result.is_err());
        self.finish_reply(id, out, mark);
        if !self.engine.unit.commands.is_empty() {
            self.propagate_unit();
        }
        if self.front.held.marks {
            self.mark_served(id, start);
        }
        false
    }
}
