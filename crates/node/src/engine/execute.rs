//! From bytes of a client to an executed command: decoding, the checks that may refuse it, the call, and what follows from its effects.
//!
//! The order of the checks is that of Redis 7.0 (`processCommand` in server.c), as clients see it in which error they get.

use std::collections::HashSet;

use rivulet_commands::ctx::{Call, Ctx, Data};
use rivulet_commands::fail::Fail;
use rivulet_commands::spec::{Begin, Find, Handler, flag};
use rivulet_commands::{Command, Propagation, table};
use rivulet_keyspace::KEY_LEN_MAX;
use rivulet_resp::decode::Limits;
use rivulet_resp::{Args, Batch, OwnedArgs, Reply};

use crate::engine::admit::{self, Verdict};
use crate::engine::asker::{Asker, Origin};
use crate::engine::session::{BlockedOn, ReplyMode};
use crate::front::clients::{Client, ClientId, Kind};
use crate::front::output::UNCOUNTED_BYTES;
use crate::node::Node;
use crate::{clock, log};

/// Commands whose memory is asked for together.
pub const BATCH_COMMANDS: usize = 16;

/// The commands of a batch, and of each the place and the hash of its first key.
pub struct LookedUp {
    pub commands: [Option<&'static Command>; BATCH_COMMANDS],
    pub hints: [Option<(usize, u64)>; BATCH_COMMANDS],
}

/// The place and the text of a command's first key, where that is the same for all its forms.
#[inline]
pub fn first_key<'a>(command: &Command, args: Args<'a>) -> Option<(usize, &'a [u8])> {
    let Begin::Index(at) = command.keys.first()?.begin else { return None };
    Some((at as usize, args.get(at as usize)?))
}

/// Whether a command has a key that is longer than entries can have. Only with a `proto-max-bulk-len` that was raised far can it come here.
#[cold]
fn has_long_key(looked_up: &LookedUp, batch: &Batch, buffer: &[u8]) -> bool {
    (0..batch.len()).any(|i| {
        let args = batch.args(i, buffer);
        let keys = looked_up.commands[i].and_then(|command| table::keys_of(command, args).ok()).unwrap_or_default();
        keys.iter().any(|&(at, _)| args.at(at).len() > KEY_LEN_MAX)
    })
}

impl Node {
    /// Runs what is complete in the client's input.
    pub fn process_input(&mut self, id: ClientId, mut buffer: Vec<u8>) {
        let mut batch = std::mem::take(&mut self.front.batch);
        let mut done = 0;
        loop {
            // What the last commands, of whichever client, made too much is cleared away before the next.
            self.evict_clients(Some(id));
            let Some(client) = self.clients.get_mut(id) else { break };
            if client.connection.closing || client.connection.close_after_reply || client.session.blocked.is_some() {
                break;
            }
            // Who asks for more than it reads is closed before it has asked for all.
            let client = if client.connection.outbox.output.bytes.len() <= UNCOUNTED_BYTES {
                client
            } else if self.close_if_over_limit(id) {
                break;
            } else {
                self.clients.at(id)
            };
            batch.clear();
            let limits = Limits {
                bulk_len_max: self.engine.settings.bulk_len_max,
                authenticated: client.session.authenticated,
                arrays_only: false,
            };
            let decoded = client.connection.input.decoder.decode(&buffer[done..], &mut batch, BATCH_COMMANDS, limits);
            if let Err(error) = decoded
                && batch.is_empty()
            {
                self.protocol_error(id, &error.to_string());
                buffer.clear();
                done = 0;
                break;
            }
            if batch.is_empty() {
                break;
            }
            done += self.run_batch(id, &batch, &buffer[done..]);
            self.count_client_memory(id);
        }
        self.front.batch = batch;
        let Some(client) = self.clients.get_mut(id) else { return self.give_input_back(buffer) };
        let rest = buffer.len() - done;
        client.connection.input.has_more = rest > 0 && client.session.blocked.is_some();
        client.connection.input.peak = client.connection.input.peak.max(rest);
        if rest == 0 {
            self.give_input_back(buffer);
        } else {
            self.keep_input(id, buffer, done);
        }
        self.count_client_memory(id);
    }

    fn protocol_error(&mut self, id: ClientId, text: &str) {
        let client = self.clients.at(id);
        log::verbose!("Protocol error ({text}) from client: id={} addr={}", client.id, client.connection.peer.address);
        client.connection.close_after_reply = true;
        self.send_error(id, format!("ERR Protocol error: {text}").as_bytes());
    }

    /// Runs the commands of a batch in order; answers how many bytes of `buffer` are done with.
    fn run_batch(&mut self, id: ClientId, batch: &Batch, buffer: &[u8]) -> usize {
        let looked_up = self.look_up(id, batch, buffer);
        if buffer.len() > KEY_LEN_MAX && has_long_key(&looked_up, batch, buffer) {
            self.protocol_error(id, "invalid bulk length");
            return buffer.len();
        }
        self.clock.now_us = clock::machine_us();
        self.look_at_standing();
        self.engine.speaker.executing = id;
        let done = self.run_commands(id, batch, buffer, &looked_up);
        self.engine.speaker.executing = 0;
        self.engine.speaker.own_pushes.clear();
        done
    }

    #[inline]
    fn run_commands(&mut self, id: ClientId, batch: &Batch, buffer: &[u8], looked_up: &LookedUp) -> usize {
        for i in 0..batch.len() {
            self.execute(id, looked_up.commands[i], batch.args(i, buffer), looked_up.hints[i]);
            let Some(client) = self.clients.get_mut(id) else { return batch.wire_end(i) };
            let stops =
                client.session.blocked.is_some() || client.connection.closing || client.connection.close_after_reply;
            // What a pause or a full sync of this connection leaves is decoded again later.
            if stops && i + 1 < batch.len() {
                client.connection.input.decoder.rewind();
                return batch.wire_end(i);
            }
        }
        let Some(client) = self.clients.get_mut(id) else { return buffer.len() };
        let done = client.connection.input.decoder.consumed();
        client.connection.input.decoder.rebase();
        done
    }

    /// Finds the commands of a batch, and asks the memory for the entries of their first keys.
    pub fn look_up(&mut self, id: ClientId, batch: &Batch, buffer: &[u8]) -> LookedUp {
        let mut commands = [None; BATCH_COMMANDS];
        let mut hints = [None; BATCH_COMMANDS];
        let db_index = self.clients.at(id).session.db;
        let db = self.engine.keyspace.db(db_index);
        for i in 0..batch.len() {
            let args = batch.args(i, buffer);
            commands[i] = self.find_command(args.at(0));
            if let Some(command) = commands[i]
                && let Some((at, key)) = first_key(command, args)
            {
                let hash = db.key(key).hash;
                db.prefetch_bucket(hash);
                hints[i] = Some((at, hash));
            }
        }
        if batch.len() > 1 {
            for (_, hash) in hints[..batch.len()].iter().flatten() {
                db.prefetch_entry(*hash);
            }
        }
        LookedUp { commands, hints }
    }

    /// Checks a command and runs it, queues it, or refuses it.
    pub fn execute(
        &mut self,
        id: ClientId,
        found: Option<&'static Command>,
        args: Args<'_>,
        hint: Option<(usize, u64)>,
    ) {
        self.ops.stats.commands += 1;
        let now_ms = self.clock.now_ms();
        let client = self.clients.at(id);
        client.connection.last_active_ms = now_ms;
        match client.session.reply {
            ReplyMode::SkipNext => client.session.reply = ReplyMode::Skip,
            ReplyMode::Skip => client.session.reply = ReplyMode::On,
            _ => {}
        }
        let mut out = std::mem::take(&mut client.connection.outbox.output.bytes);
        let mark = out.len();
        let reply = Reply::new(&mut out, client.session.resp3);
        self.execute_for(&mut Asker { id, origin: Origin::Client, reply }, found, args, hint);
        self.finish_reply(id, out, mark);
        let wrote = !self.engine.unit.commands.is_empty();
        self.after_unit();
        if wrote {
            let offset = self.replication.offset();
            if let Some(client) = self.clients.get_mut(id) {
                client.session.written_offset = offset;
            }
        }
    }

    #[inline]
    fn execute_for(
        &mut self,
        by: &mut Asker<'_>,
        found: Option<&'static Command>,
        args: Args<'_>,
        hint: Option<(usize, u64)>,
    ) {
        let id = by.id;
        let command = match self.resolve(found, args) {
            Ok(command) => command,
            Err(_) if found.is_none() && is_http(args.at(0)) && !self.clients.at(id).is_master() => {
                return self.abort_http(id);
            }
            Err(fail) => return self.refuse(by, found.filter(|c| c.subcommands.is_empty()), fail),
        };
        let out_of_memory = self.config.maxmemory > 0 && !self.make_room();
        let client = self.clients.at(id);
        let is_free = admit::is_plain(client) && self.life.standing.lets(command) && !out_of_memory;
        if is_free || admit::is_masters(client) {
            return self.call(by, command, args, hint);
        }
        self.execute_if_admitted(by, command, args, hint, out_of_memory);
    }

    /// Something may stand in the way of a command: it runs, or waits, or is refused.
    fn execute_if_admitted(
        &mut self,
        by: &mut Asker<'_>,
        command: &'static Command,
        args: Args<'_>,
        hint: Option<(usize, u64)>,
        out_of_memory: bool,
    ) {
        let (id, mark) = (by.id, by.reply.written());
        let Some(client) = self.clients.get(id) else { return };
        match self.admit(client, command, out_of_memory) {
            Verdict::Run => self.call(by, command, args, hint),
            Verdict::Queue => return self.queue_in_multi(by, command, args),
            Verdict::Pause => return self.block_for_pause(id, args),
            Verdict::Refuse(fail) => return self.refuse(by, Some(command), fail),
        }
        let is_replica = self.clients.get(id).is_some_and(Client::is_replica);
        if is_replica && by.reply.written() > mark && !asks_for_sync(command) {
            self.cut_talking_replica(by, command, mark);
        }
    }

    fn resolve(&self, found: Option<&'static Command>, args: Args<'_>) -> Result<&'static Command, Fail> {
        let Some(command) = found else {
            return Err(unknown_command(args));
        };
        if command.subcommands.is_empty() || (args.len() == 1 && !matches!(command.handler, Handler::Container)) {
            return if command.arity_fits(args.len()) { Ok(command) } else { Err(Fail::arity(command.name)) };
        }
        if args.len() == 1 {
            return Err(Fail::arity(command.name));
        }
        let word = args.at(1);
        let Some(sub) = command.subcommands.iter().find(|s| s.name.as_bytes().eq_ignore_ascii_case(word)) else {
            let mut text = b"ERR unknown subcommand '".to_vec();
            text.extend(&word[..word.len().min(128)]);
            text.extend(format!("'. Try {} HELP.", command.name.to_uppercase()).bytes());
            return Err(Fail::bytes(text));
        };
        if sub.arity_fits(args.len()) { Ok(sub) } else { Err(Fail::arity(&table::full_name(sub))) }
    }

    /// A web page makes its reader's browser talk to this server: nothing of it is executed.
    #[cold]
    fn abort_http(&mut self, id: ClientId) {
        let now_ms = self.now_ms();
        if self.front.attack_told_ms.is_none_or(|told| now_ms.saturating_sub(told) > ATTACK_PERIOD_MS) {
            self.front.attack_told_ms = Some(now_ms);
            log::warning!(
                "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis instance. Connection aborted."
            );
        }
        self.clients.close_soon(id);
    }

    /// Whether a client is on this machine.
    pub fn is_local(&self, id: ClientId) -> bool {
        self.clients.get(id).is_some_and(|c| {
            c.connection.peer.is_unix
                || c.connection.peer.address.starts_with("127.0.0.1:")
                || c.connection.peer.address.starts_with("[::1]:")
        })
    }

    /// Refuses a command: the reply, the counters, and the transaction that it would have been part of.
    fn refuse(&mut self, by: &mut Asker<'_>, command: Option<&'static Command>, fail: Fail) {
        let mark = by.reply.written();
        if let Some(command) = command {
            self.ops.stats.of(command, || table::full_name(command)).rejected += 1;
        }
        if command.is_some_and(|c| matches!(c.handler, Handler::Node(rivulet_commands::spec::Node::Exec))) {
            // A refused EXEC ends the transaction, if there is one, and says why.
            self.discard_multi(by.id);
            let mut text = b"EXECABORT Transaction discarded because of: ".to_vec();
            text.extend(strip_err(&fail.0));
            return self.reply_error(by, &text);
        }
        let client = self.clients.at(by.id);
        if let Some(multi) = &mut client.session.multi {
            multi.broken = true;
        }
        if client.kind != Kind::Normal {
            client.session.last_command = command;
        }
        self.reply_error(by, &fail.0);
        if let Some(command) = command.filter(|_| self.clients.get(by.id).is_some_and(Client::is_replica)) {
            self.cut_talking_replica(by, command, mark);
        }
    }

    /// Answers a command with an error, and counts it.
    fn reply_error(&mut self, by: &mut Asker<'_>, text: &[u8]) {
        self.ops.stats.error(text);
        by.reply.error(text);
        self.note_error_to_peer(by.id, text);
    }

    /// Tells a client of an error that is no reply to a command which runs, and counts it.
    pub fn send_error(&mut self, id: ClientId, text: &[u8]) {
        self.ops.stats.error(text);
        self.reply(id).error(text);
        self.clients.queue_write(id);
        self.note_error_to_peer(id, text);
    }

    /// A command has ended that wrote to `out` after `mark`: that is sent, or thrown away as the client asked.
    #[inline]
    fn finish_reply(&mut self, id: ClientId, mut out: Vec<u8>, mark: usize) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.session.reply != ReplyMode::On {
            if !std::mem::take(&mut client.session.pushed) {
                out.truncate(mark);
            }
            if self.engine.speaker.executing == id {
                out.append(&mut self.engine.speaker.own_pushes);
            }
        }
        let outbox = &mut client.connection.outbox;
        // What came to it from elsewhere while the command ran follows.
        if !outbox.output.bytes.is_empty() {
            out.append(&mut outbox.output.bytes);
        }
        let wrote = out.len() > mark;
        outbox.output.bytes = out;
        if client.kind == Kind::Master {
            outbox.output.bytes.clear();
        } else if wrote && !outbox.queued {
            outbox.queued = true;
            self.clients.to_write.push(id);
        }
    }

    /// A replica's link carries the stream and nothing else: one that asks for replies is disconnected.
    fn cut_talking_replica(&mut self, by: &mut Asker<'_>, command: &'static Command, mark: usize) {
        by.reply.truncate(mark);
        log::warning!(
            "Replica generated a reply to command '{}', disconnecting it: {}",
            table::full_name(command),
            self.client_line(by.id)
        );
        self.clients.close_soon(by.id);
    }

    /// Facts about an execution for the client.
    pub fn call_facts(&self, client: &Client, origin: Origin) -> Call {
        Call {
            now_ms: self.unix_ms(),
            from_master: client.is_master(),
            is_replica: self.is_replica(),
            keeps_expired: self.keeps_expired(),
            deny_blocking: origin == Origin::Exec || client.is_master(),
            note_touched: !self.engine.watched.is_empty(),
            note_ready: !self.engine.blocking.is_empty(),
        }
    }

    /// Keys whose time is over are hidden and stay: the master says when they go, and nothing goes in a pause.
    #[inline]
    fn keeps_expired(&self) -> bool {
        self.is_replica() || self.is_paused()
    }

    /// Runs a command, counts it, and gathers what it has to propagate.
    pub fn call(&mut self, by: &mut Asker<'_>, command: &'static Command, args: Args<'_>, hint: Option<(usize, u64)>) {
        let started_us = self.clock.now_us;
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
        if self.persist.data.saves_emptied {
            self.persist.data.saves_emptied = false;
            // The failure is logged, and the save points try again.
            let _ = self.save_now();
        }
        if !self.ops.monitors.is_empty() && !command.is(flag::SKIP_MONITOR) && !command.is(flag::ADMIN) {
            self.feed_monitors(id, args);
        }
        let ended_us = clock::machine_us();
        self.clock.now_us = ended_us;
        // Errors of a transaction's commands are not EXEC's.
        self.count_call(id, command, args, ended_us.saturating_sub(started_us), result.is_err());
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
            note_touched: !self.engine.watched.is_empty(),
            note_ready: !self.engine.blocking.is_empty(),
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
            let waits =
                BlockedOn::Keys { db, keys: block.keys, command, args: args.to_owned(), on_timeout: block.on_timeout };
            let deadline_ms = block.timeout_ms.map(|ms| self.now_ms().saturating_add(ms));
            self.block(id, waits, deadline_ms);
        }
        let effects = &mut self.engine.effects;
        let dirty = std::mem::take(&mut effects.dirty);
        let propagation = std::mem::take(&mut effects.propagation);
        let no_multi = std::mem::take(&mut effects.no_multi);
        if !effects.before.is_empty() {
            self.engine.unit.no_multi |= no_multi;
            let before = std::mem::take(&mut self.engine.effects.before);
            self.persist.data.dirty += before.len() as u64;
            self.engine.unit.commands.extend(before);
        }
        if dirty > 0 {
            self.persist.data.dirty += dirty;
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
        self.ops.stats.hits += std::mem::take(&mut effects.hits);
        self.ops.stats.misses += std::mem::take(&mut effects.misses);
        if effects.expired > 0 {
            self.ops.stats.expired += std::mem::take(&mut effects.expired);
        }
        if !effects.before.is_empty() {
            let before = std::mem::take(&mut effects.before);
            self.persist.data.dirty += before.len() as u64;
            self.engine.unit.commands.extend(before);
        }
        if !self.engine.effects.trash.is_empty() {
            let trash = std::mem::take(&mut self.engine.effects.trash);
            self.free_later(trash);
        }
        if !self.engine.effects.touched.is_empty() {
            let touched = std::mem::take(&mut self.engine.effects.touched);
            self.break_watches(touched);
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

    fn count_call(&mut self, id: ClientId, command: &'static Command, args: Args<'_>, us: u64, failed: bool) {
        let tracking = self.config.latency_tracking;
        let stats = self.ops.stats.of(command, || table::full_name(command));
        stats.calls += 1;
        stats.usec += us;
        stats.failed += u64::from(failed);
        if tracking {
            stats.histogram.get_or_insert_default().record(us * 1000);
        }
        if let Some(client) = self.clients.get_mut(id) {
            client.session.last_command = Some(command);
        }
        let slow = self.config.slowlog_log_slower_than;
        if slow >= 0 && us >= slow as u64 && !command.is(flag::SKIP_SLOWLOG) {
            self.note_slow(id, args, us);
        }
        self.note_latency(if command.is(flag::FAST) { "fast-command" } else { "command" }, us / 1000);
    }

    /// Runs a blocked client's command again for the key that has become ready; answers whether the client still waits.
    pub fn retry_blocked(&mut self, id: ClientId, ready: &[u8]) -> bool {
        let Some(client) = self.clients.get_mut(id) else { return false };
        let Some(blocked) = client.session.blocked.take() else { return false };
        let BlockedOn::Keys { db, command, args, .. } = &blocked.reason else {
            client.session.blocked = Some(blocked);
            return true;
        };
        let (db, command) = (*db, *command);
        let args = only_key(command, args, ready);
        let Handler::Data(run) = command.handler else { return false };
        let selected = std::mem::replace(&mut client.session.db, db);
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
            self.apply_effects();
            return true;
        }
        let waited_us = self.clock.now_us.saturating_sub(blocked.since_us);
        self.forget_blocked(id, &blocked);
        if let Err(fail) = &result {
            self.reply_error(&mut by, &fail.0);
        }
        self.finish_call(id, Origin::Client, db, command, args.as_args());
        self.clock.now_us = clock::machine_us();
        self.count_call(id, command, args.as_args(), waited_us, result.is_err());
        self.finish_reply(id, out, mark);
        if !self.engine.unit.commands.is_empty() {
            self.propagate_unit();
        }
        false
    }

    /// Runs a command for a client that is no connection's turn (queued by MULTI, or after a pause).
    pub fn execute_owned(&mut self, id: ClientId, args: &OwnedArgs) {
        let args = args.as_args();
        let command = self.find_command(args.at(0));
        self.look_at_standing();
        let others = (
            std::mem::replace(&mut self.engine.speaker.executing, id),
            std::mem::take(&mut self.engine.speaker.own_pushes),
        );
        self.execute(id, command, args, None);
        (self.engine.speaker.executing, self.engine.speaker.own_pushes) = others;
    }
}

/// The command with `key` as the only one of those that it may take from.
fn only_key(command: &Command, args: &OwnedArgs, key: &[u8]) -> OwnedArgs {
    let several = |spec: &rivulet_commands::spec::KeySpec| !matches!(spec.find, Find::Range { last: 0, .. });
    let Some(spec) = command.keys.first().filter(|s| several(s)) else { return args.clone() };
    let line = args.as_args();
    let Ok(keys) = table::keys_of(command, line) else { return args.clone() };
    let Some(&(kept, _)) = keys.iter().find(|(at, _)| line.at(*at) == key) else { return args.clone() };
    let count_at = match (spec.begin, spec.find) {
        (Begin::Index(first), Find::Count { at, .. }) => Some((first + at) as usize),
        _ => None,
    };
    let places: HashSet<usize> = keys.iter().map(|(at, _)| *at).collect();
    let words: Vec<&[u8]> = line
        .iter()
        .enumerate()
        .filter(|(at, _)| *at == kept || !places.contains(at))
        .map(|(at, word)| if Some(at) == count_at { b"1".as_slice() } else { word })
        .collect();
    OwnedArgs::from_slices(&words)
}

/// The log is told of attacks no more often than this.
const ATTACK_PERIOD_MS: u64 = 60_000;

/// Whether a line is one of HTTP that no command begins with.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

fn asks_for_sync(command: &Command) -> bool {
    use rivulet_commands::spec::Node::*;
    matches!(command.handler, Handler::Node(Sync | Psync))
}

fn strip_err(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"ERR ").unwrap_or(text)
}

fn unknown_command(args: Args<'_>) -> Fail {
    let mut text = b"ERR unknown command '".to_vec();
    let name = args.at(0);
    text.extend(&name[..name.len().min(128)]);
    text.extend(b"', with args beginning with: ");
    let mut shown = Vec::new();
    for arg in args.iter().skip(1) {
        if shown.len() >= 128 {
            break;
        }
        let room = 128 - shown.len();
        shown.push(b'\'');
        shown.extend(&arg[..arg.len().min(room)]);
        shown.extend(b"' ");
    }
    text.extend(shown);
    Fail::bytes(text)
}
