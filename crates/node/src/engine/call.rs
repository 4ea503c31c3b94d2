//! The call of a command, and what follows from its effects: what is propagated, counted and told, who is woken, what is freed.

use std::collections::HashSet;

use rivulet_acl::Context;
use rivulet_commands::ctx::{Call, Ctx, Data};
use rivulet_commands::effects::Again;
use rivulet_commands::fail::Fail;
use rivulet_commands::places::keys_of;
use rivulet_commands::spec::{Begin, Find, Handler, flag};
use rivulet_commands::{Command, Propagation};
use rivulet_resp::{Args, OwnedArgs, Reply};

use crate::engine::asker::{Asker, Origin};
use crate::engine::blocked::BlockedOn;
use crate::front::client_id::ClientId;
use crate::front::clients::Client;
use crate::log;
use crate::node::Node;

impl Node {
    /// Facts about an execution for the client.
    pub fn call_facts(&self, client: &Client, origin: Origin) -> Call {
        Call {
            now_ms: self.unix_ms(),
            from_master: client.is_master(),
            is_replica: self.is_replica(),
            keeps_expired: self.keeps_expired(),
            deny_blocking: origin != Origin::Client || client.is_master(),
            in_script: origin == Origin::Script,
            reads_any_key: client.session.login.reads_any_key,
            note_touched: self.engine.note_touched,
            note_ready: !self.engine.blocking.is_empty(),
            propagates: self.wants_stream() || self.is_replica(),
        }
    }

    /// Keys whose time is over are hidden and stay: the master says when they go, and nothing goes in a pause.
    #[inline]
    fn keeps_expired(&self) -> bool {
        self.is_replica() || self.is_paused()
    }

    /// Runs a command, counts it, and gathers what it has to propagate.
    pub fn call(&mut self, by: &mut Asker<'_>, command: &'static Command, args: Args<'_>, hint: Option<(usize, u64)>) {
        let (started_us, mark) = (self.clock.now_us, by.reply.written());
        let id = by.id;
        let db = self.clients.at(id).session.db;
        let result = match command.handler {
            Handler::Data(run) => self.call_data(by, run, args, hint),
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
            Handler::Data(run) => self.call_data(by, run, args, None),
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
        run: fn(&mut Ctx<'_>) -> Result<(), Fail>,
        args: Args<'_>,
        hint: Option<(usize, u64)>,
    ) -> Result<(), Fail> {
        let mark = by.reply.written();
        let Some(client) = self.clients.get(by.id) else { return Ok(()) };
        let index = client.session.db;
        let call = self.call_facts(client, by.origin);
        let engine = &mut self.engine;
        let mut ctx = Ctx {
            args,
            reply: by.reply.again(),
            db: Data {
                keyspace: &mut engine.keyspace,
                index,
                effects: &mut engine.effects,
                call,
                settings: &engine.settings,
                rng: &mut engine.rng,
            },
            first_key: hint,
        };
        let result = run(&mut ctx);
        if result.is_err() {
            by.reply.truncate(mark);
        }
        result
    }

    /// Runs a command of an append-only file.
    pub fn replay_one(&mut self, id: ClientId, command: &'static Command, args: Args<'_>, hint: Option<(usize, u64)>) {
        let Handler::Data(run) = command.handler else { return };
        let db = self.clients.at(id).session.db;
        // A reply is for nobody. What failed when a master first executed it was not written; a replica has what failed there alone.
        let mut out = std::mem::take(&mut self.clients.at(id).connection.outbox.output.bytes);
        let mut by = Asker { id, origin: Origin::Client, reply: Reply::new(&mut out, false) };
        self.persist.aof.replay_failed |= self.call_data(&mut by, run, args, hint).is_err();
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
        let call = Call {
            now_ms: self.unix_ms(),
            from_master: false,
            is_replica: self.is_replica(),
            keeps_expired: self.keeps_expired(),
            deny_blocking: true,
            in_script: false,
            reads_any_key: true,
            note_touched: self.engine.note_touched,
            note_ready: !self.engine.blocking.is_empty(),
            propagates: self.wants_stream() || self.is_replica(),
        };
        let result = f(&mut Data {
            keyspace: &mut self.engine.keyspace,
            index,
            effects: &mut self.engine.effects,
            call,
            settings: &self.engine.settings,
            rng: &mut self.engine.rng,
        });
        self.apply_effects();
        result
    }

    /// Deals with the effects of a command.
    #[inline]
    fn finish_call(&mut self, id: ClientId, origin: Origin, db: usize, command: &'static Command, args: Args<'_>) {
        let effects = &mut self.engine.effects;
        if let Some(block) = effects.block.take() {
            let deadline_ms = block.timeout_ms.map(|ms| self.now_ms().saturating_add(ms));
            let waits = BlockedOn::Keys { db, command, args: args.to_owned(), block };
            self.block(id, waits, deadline_ms);
        }
        let effects = &mut self.engine.effects;
        let dirty = std::mem::take(&mut effects.dirty);
        let propagation = std::mem::take(&mut effects.propagation);
        let no_multi = std::mem::take(&mut effects.no_multi);
        if !effects.before.is_empty() {
            // Within a transaction or a script all is one unit.
            self.engine.unit.no_multi |= no_multi && origin == Origin::Client;
            let before = std::mem::take(&mut self.engine.effects.before);
            self.persist.saving.dirty += before.len() as u64;
            self.engine.unit.commands.extend(before);
        }
        if dirty > 0 {
            self.persist.saving.dirty += dirty;
            if self.is_replica() {
                self.note_write_on_replica(id, db, command, args, propagation);
            } else if self.wants_stream() {
                match propagation {
                    Propagation::Nothing => {}
                    Propagation::AsIs if origin == Origin::Client && self.engine.unit.commands.is_empty() => {
                        self.propagate_now(db, args)
                    }
                    Propagation::AsIs => self.engine.unit.commands.push((db, args.to_owned())),
                    Propagation::Instead(commands) => {
                        self.engine.unit.commands.extend(commands.into_iter().map(|c| (db, c)))
                    }
                }
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
        match self.config.replica_read_only {
            // Only a transaction that has made a replica of this server comes here.
            true => self.note_role_changed_within(),
            false => self.note_diverged(|| "clients write to this replica".to_string()),
        }
        self.note_own_expiring(db, command, args);
        match propagation {
            Propagation::Nothing => {}
            Propagation::AsIs => self.note_own_write(db, &[args.to_owned()]),
            Propagation::Instead(commands) => self.note_own_write(db, &commands),
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
            let before = std::mem::take(&mut effects.before);
            self.persist.saving.dirty += before.len() as u64;
            self.engine.unit.commands.extend(before);
        }
        if !self.engine.effects.trash.is_empty() {
            let trash = std::mem::take(&mut self.engine.effects.trash);
            self.free_later(trash);
        }
        if !self.engine.effects.touched.is_empty() {
            let touched = std::mem::take(&mut self.engine.effects.touched);
            self.keys_changed(touched);
        }
        if !self.engine.effects.ready.is_empty() {
            let ready = std::mem::take(&mut self.engine.effects.ready);
            self.engine.blocking.ready.extend(ready);
        }
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
        let args = match &block.again {
            Again::WithReadyKey => only_key(command, args, ready),
            Again::Command(args) => args.clone(),
        };
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
        let result = self.call_data(&mut by, run, args.as_args(), None);
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

/// The command with `key` as the only one of those that it may take from.
fn only_key(command: &Command, args: &OwnedArgs, key: &[u8]) -> OwnedArgs {
    let several = |spec: &rivulet_commands::spec::KeySpec| !matches!(spec.find, Find::Range { last: 0, .. });
    let Some(spec) = command.keys.first().filter(|s| several(s)) else { return args.clone() };
    let line = args.as_args();
    let keys = keys_of(command, line);
    let Some((kept, _)) = keys.iter().find(|(at, _)| line.at(*at) == key) else { return args.clone() };
    let count_at = match (spec.begin, spec.find) {
        (Begin::Index(first), Find::Count { at, .. }) => Some((first + at) as usize),
        _ => None,
    };
    let places: HashSet<usize> = keys.iter().map(|(at, _)| at).collect();
    let words: Vec<&[u8]> = line
        .iter()
        .enumerate()
        .filter(|(at, _)| *at == kept || !places.contains(at))
        .map(|(at, word)| if Some(at) == count_at { b"1".as_slice() } else { word })
        .collect();
    OwnedArgs::from_slices(&words)
}
