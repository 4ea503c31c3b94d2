//! From bytes of a client to an executed command: decoding, the checks that may refuse it, the call, and what follows from its effects.
//!
//! The order of the checks is that of Redis 7.0 (`processCommand` in server.c), as clients see it in which error they get.

use rivulet_acl::Context;
use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_commands::spec::Handler;
use rivulet_engine::admit::{self, Verdict};
use rivulet_engine::asker::{Asker, Origin};
use rivulet_engine::client_id::ClientId;
use rivulet_engine::look_up::LookedUp;
use rivulet_engine::session::{Kind, ReplyMode};
use rivulet_engine::unit::Speaker;
use rivulet_keyspace::KEY_LEN_MAX;
use rivulet_resp::{Args, Batch, OwnedArgs, Reply};

use crate::front::clients::Client;
use crate::log;
use crate::node::Node;
use crate::ops::commandlog::Notable;
use crate::ops::crash;

impl Node {
    /// Runs the commands of a batch in order; answers how many bytes of `buffer` are done with.
    pub fn run_batch(&mut self, id: ClientId, batch: &Batch, buffer: &[u8]) -> usize {
        let db = self.clients.at(id).session.db;
        let looked_up = self.engine.look_up(db, batch, buffer);
        if buffer.len() > KEY_LEN_MAX && looked_up.has_long_key(batch, buffer) {
            self.protocol_error(id, "invalid bulk length");
            return buffer.len();
        }
        self.clock.go_on();
        self.look_at_standing();
        self.ops.commandlog.notable = Notable::of(&self.config, buffer.len());
        self.engine.speaker.executing = id;
        crash::note_batch(batch, buffer, self.ops.stats.commands);
        let done = match self.front.held.marks {
            true => self.run_commands::<true>(id, batch, buffer, &looked_up),
            false => self.run_commands::<false>(id, batch, buffer, &looked_up),
        };
        crash::forget_batch();
        self.release_rest_of_pushes();
        self.engine.speaker.executing = 0;
        done
    }

    /// `MARKS`: replies may have to wait for replicas. Where they need not, nothing is asked for each command.
    #[inline]
    fn run_commands<const MARKS: bool>(
        &mut self,
        id: ClientId,
        batch: &Batch,
        buffer: &[u8],
        looked_up: &LookedUp,
    ) -> usize {
        for i in 0..batch.len() {
            let before = if MARKS { self.before_reply(id, looked_up.commands[i]) } else { None };
            self.execute(id, looked_up.commands[i], batch.args(i, buffer), looked_up.hints[i]);
            if MARKS {
                self.mark_reply(id, before);
            }
            let Some(client) = self.clients.get_mut(id) else { return batch.wire_end(i) };
            let connection = &client.connection;
            let stops = client.session.blocked.is_some()
                || connection.closing
                || connection.close_after_reply
                || self.life.exit.is_some();
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
        match client.session.replies.mode {
            ReplyMode::SkipNext => client.session.replies.mode = ReplyMode::Skip,
            ReplyMode::Skip => client.session.replies.mode = ReplyMode::On,
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
        let out_of_memory = self.config.maxmemory > 0 && !self.make_room_for(by);
        let client = self.clients.at(id);
        let is_free = admit::is_plain(&client.session) && self.life.standing.lets(command) && !out_of_memory;
        if is_free || admit::is_masters(&client.session) {
            return self.call(by, command, args, hint);
        }
        self.execute_if_admitted(by, command, args, hint, out_of_memory);
        self.end_caching_choice(id, Some(command));
    }

    /// Makes room before a command. What its client is told of the keys that go stands before the reply.
    fn make_room_for(&mut self, by: &mut Asker<'_>) -> bool {
        let evicted = self.ops.stats.keys.evicted;
        let has_room = self.make_room();
        if self.ops.stats.keys.evicted != evicted {
            self.put_pushes_first(by);
        }
        has_room
    }

    #[cold]
    fn put_pushes_first(&mut self, by: &mut Asker<'_>) {
        let client = self.clients.at(by.id);
        // While replies are off it follows what is thrown away.
        if client.session.replies.mode == ReplyMode::On && !client.connection.outbox.output.bytes.is_empty() {
            let outbox = &mut client.connection.outbox;
            by.reply.raw(&outbox.output.bytes);
            outbox.output.bytes.clear();
            outbox.hold.pushed_to = Some(outbox.output.place_at(by.reply.written()));
            outbox.hold.tells_of_writes |= self.front.held.marks;
            client.session.replies.pushed = true;
        }
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
        match self.admit(client, command, args, out_of_memory) {
            Verdict::Run => {
                let untouched = client.session.wishes().no_touch && command.name != "touch";
                self.find_reach(id, command, args);
                match untouched {
                    true => self.call_untouched(by, command, args, hint),
                    false => self.call(by, command, args, hint),
                }
                self.remember_keys(id, command, args);
            }
            Verdict::Queue => return self.queue_in_multi(by, command, args),
            Verdict::Pause => return self.block_for_pause(id, args),
            Verdict::Refuse(fail) => return self.refuse(by, Some(command), fail),
            Verdict::Deny(denied) => {
                self.note_denied(id, denied, command, args, Context::TopLevel);
                return self.refuse(by, Some(command), denied.to_client(command));
            }
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
        if sub.arity_fits(args.len()) { Ok(sub) } else { Err(Fail::arity(sub.full_name)) }
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
            self.ops.stats.of(command).rejected += 1;
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
        if client.session.kind != Kind::Normal {
            client.session.last_command = command;
        }
        self.reply_error(by, &fail.0);
        self.end_caching_choice(by.id, command);
        if let Some(command) = command.filter(|_| self.clients.get(by.id).is_some_and(Client::is_replica)) {
            self.cut_talking_replica(by, command, mark);
        }
    }

    /// Answers a command with an error, and counts it.
    pub fn reply_error(&mut self, by: &mut Asker<'_>, text: &[u8]) {
        self.ops.stats.error(text);
        by.reply.error(text);
        self.note_error_to_peer(by.id, text);
    }

    /// Tells a client of an error that is no reply to a command which runs, and counts it.
    pub fn send_error(&mut self, id: ClientId, text: &[u8]) {
        self.ops.stats.error(text);
        self.reply_late(id, |reply| reply.error(text));
        self.note_error_to_peer(id, text);
    }

    /// Answers a command that has waited, unless its client wants no answer (CLIENT REPLY).
    pub fn reply_late(&mut self, id: ClientId, write: impl FnOnce(&mut Reply<'_>)) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.session.replies.mode == ReplyMode::On {
            write(&mut Reply::new(&mut client.connection.outbox.output.bytes, client.session.resp3));
        }
        self.clients.queue_write(id);
    }

    /// A command has ended that wrote to `out` after `mark`: that is sent, or thrown away as the client asked.
    #[inline]
    pub fn finish_reply(&mut self, id: ClientId, mut out: Vec<u8>, mark: usize) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.session.replies.mode != ReplyMode::On {
            if !std::mem::take(&mut client.session.replies.pushed) {
                out.truncate(mark);
            }
            client.connection.outbox.note_pushes_behind(out.len());
            if self.engine.speaker.executing == id {
                out.append(&mut self.engine.speaker.own_pushes);
            }
        }
        let outbox = &mut client.connection.outbox;
        // What came to it from elsewhere while the command ran follows.
        if !outbox.output.bytes.is_empty() {
            if client.session.replies.mode == ReplyMode::On {
                outbox.note_pushes_behind(out.len());
            }
            out.append(&mut outbox.output.bytes);
        }
        // Also what was there before: the loop may have turned, in a small way, while it was away.
        let has_output = !out.is_empty();
        outbox.output.bytes = out;
        if client.session.kind == Kind::Master {
            outbox.output.bytes.clear();
        } else if has_output && !outbox.queued {
            outbox.queued = true;
            self.clients.to_write.push(id);
        }
    }

    /// A replica's link carries the stream and nothing else: one that asks for replies is disconnected.
    fn cut_talking_replica(&mut self, by: &mut Asker<'_>, command: &'static Command, mark: usize) {
        by.reply.truncate(mark);
        log::warning!(
            "Replica generated a reply to command '{}', disconnecting it: {}",
            command.full_name,
            self.client_line(by.id)
        );
        self.clients.close_soon(by.id);
    }

    /// Runs a command for a client that is no connection's turn (queued by MULTI, or after a pause).
    pub fn execute_owned(&mut self, id: ClientId, args: &OwnedArgs) {
        let args = args.as_args();
        let command = self.find_command(args.at(0));
        self.look_at_standing();
        self.speaking_for(id, |node| {
            let before = if node.front.held.marks { node.before_reply(id, command) } else { None };
            node.execute(id, command, args, None);
            node.mark_reply(id, before);
        });
    }

    /// Runs `f` while a client's command runs, in the place of the one whose commands run now.
    pub fn speaking_for<R>(&mut self, id: ClientId, f: impl FnOnce(&mut Node) -> R) -> R {
        let others = std::mem::replace(&mut self.engine.speaker, Speaker { executing: id, own_pushes: Vec::new() });
        let result = f(self);
        self.release_rest_of_pushes();
        self.engine.speaker = others;
        result
    }
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
