//! Sessions of the debugger: they begin here or in a child, and talk with their client.

use std::io;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_engine::asker::{Asker, Origin};
use rivulet_engine::client_id::ClientId;
use rivulet_engine::session::DebugMode;
use rivulet_host::child::{self, Side};
use rivulet_net::Interest;
use rivulet_resp::{Args, Reply};
use rivulet_scripting::{Console, KILLED, Received, debugger};

use super::super::busy::{SHUT_DOWN, TICK};
use super::super::host::ScriptHost;
use super::{Debugging, LONG_MS};
use crate::node::Node;
use crate::persist::reaper::Reaper;
use crate::process::crash;
use crate::system::os_error;
use crate::{clock, log};

/// Bytes read from the client at once.
const READ_BYTES: usize = 1024;

/// A client that sends more while a piece of Lua runs is not read until that has ended.
const AHEAD_BYTES_MAX: usize = 1 << 20;

/// A client that has not read so much of what it was told is not heard.
const UNREAD_BYTES_MAX: usize = 1 << 20;

/// More child processes are not made.
const SESSIONS_MAX: usize = 64;

const IN_PIPELINE: Fail = Fail::new("ERR A script can't be debugged within a pipeline or a transaction");

/// What a wait has brought.
enum Talk {
    Bytes,
    Nothing,
    Gone,
}

impl Node {
    /// SCRIPT DEBUG.
    ///
    /// # Errors
    /// It is another word, or the client has not read what came before.
    pub fn script_debug(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        if self.has_unsent(by) {
            return Err(Fail::new("ERR SCRIPT DEBUG must be called outside a pipeline"));
        }
        let mode = match args.get(2).unwrap_or_default().to_ascii_lowercase().as_slice() {
            b"no" => None,
            b"yes" => Some(DebugMode::Apart),
            b"sync" => Some(DebugMode::Here),
            _ => return Err(Fail::new("ERR Use SCRIPT DEBUG YES/SYNC/NO")),
        };
        self.clients.at(by.id).session.debugs = mode;
        by.reply.ok();
        Ok(())
    }

    fn has_unsent(&mut self, by: &Asker<'_>) -> bool {
        by.reply.written() > 0 || self.clients.at(by.id).connection.outbox.output.pending() > 0
    }

    /// A script of a client that debugs.
    ///
    /// # Errors
    /// Those of EVAL; EVALSHA is not debugged.
    pub fn eval_debugged(
        &mut self,
        by: &mut Asker<'_>,
        command: &'static Command,
        args: Args<'_>,
        mode: DebugMode,
    ) -> Result<(), Fail> {
        const DIGITS_LEN: usize = 40;
        if command.name.starts_with("evalsha") {
            return Err(match args.at(1).len() {
                DIGITS_LEN => Fail::new("ERR Please use EVAL instead of EVALSHA for debugging"),
                _ => Fail::new("NOSCRIPT No matching script. Please use EVAL."),
            });
        }
        // The debugger writes to the socket itself.
        if by.origin != Origin::Client || self.has_unsent(by) {
            return Err(IN_PIPELINE);
        }
        match mode {
            DebugMode::Apart => self.debug_apart(by, command, args),
            DebugMode::Here => {
                log::warning!("Redis synchronous debugging eval session started");
                let result = self.debug_here(by, command, args, mode);
                log::warning!("Redis synchronous debugging eval session ended");
                // By that the client knows that the session has ended.
                if let Some(client) = self.clients.get_mut(by.id) {
                    client.connection.close_after_reply = true;
                }
                result
            }
        }
    }

    /// Debugs a script in this process. The reply is what was not sent of the session, and the script's.
    fn debug_here(
        &mut self,
        by: &mut Asker<'_>,
        command: &'static Command,
        args: Args<'_>,
        mode: DebugMode,
    ) -> Result<(), Fail> {
        self.scripts.debugging = Some(Box::new(Debugging::of(mode)));
        let mut out = Vec::new();
        let reply = Reply::new(&mut out, by.reply.is_resp3());
        let result = self.eval_now(&mut Asker { id: by.id, origin: by.origin, reply }, command, args);
        let ended = self.scripts.debugging.take();
        by.reply.raw(ended.as_ref().map_or(&[], |debugging| &debugging.unsent));
        by.reply.raw(&ended.and_then(|debugging| debugging.farewell).unwrap_or_else(debugger::farewell));
        by.reply.raw(&out);
        result
    }

    /// Debugs a script in a child process, which has the client from then on.
    fn debug_apart(&mut self, by: &mut Asker<'_>, command: &'static Command, args: Args<'_>) -> Result<(), Fail> {
        self.reap_sessions();
        if self.scripts.sessions.len() >= SESSIONS_MAX {
            return Err(Fail::text(format!("ERR There are {SESSIONS_MAX} debugging sessions already")));
        }
        let begun_us = clock::machine_us();
        // Of all that other threads lock the child needs these two.
        let held = (log::hold(), rivulet_memory::hold());
        let side = child::fork();
        drop(held);
        match side {
            Err(error) => {
                let why = os_error(&error);
                Err(Fail::text(format!("ERR Fork() failed: can't run EVAL in debugging mode: {why}")))
            }
            Ok(Side::Child) => self.serve_session(by, command, args),
            Ok(Side::Parent(child)) => {
                self.ops.stats.sessions += 1;
                self.ops.stats.latest_fork_us = clock::machine_us().saturating_sub(begun_us);
                self.scripts.sessions.push(child);
                if let Some(stream) = &mut self.clients.at(by.id).connection.stream {
                    stream.forget();
                }
                self.clients.close_soon(by.id);
                Ok(())
            }
        }
    }

    /// The child's whole life. It takes no lock that another thread may have had when it was made, and ends by itself alone.
    fn serve_session(&mut self, by: &mut Asker<'_>, command: &'static Command, args: Args<'_>) -> ! {
        let served = catch_unwind(AssertUnwindSafe(|| self.serve_client(by, command, args)));
        child::leave(match served {
            Ok(Ok(())) => 0,
            Ok(Err(_)) | Err(_) => 1,
        })
    }

    fn serve_client(&mut self, by: &mut Asker<'_>, command: &'static Command, args: Args<'_>) -> io::Result<()> {
        log::pid_changed();
        log::set_role(b'C');
        child::ignore_signals();
        crash::begin_child();
        let stream = self.clients.at(by.id).connection.stream.as_ref();
        let descriptor = stream.and_then(rivulet_net::Stream::descriptor).and_then(|fd| RawFd::try_from(fd).ok());
        child::keep_only(descriptor.ok_or(io::ErrorKind::NotConnected)?)?;
        self.leave_to_parent();
        log::warning!("Redis forked for debugging eval");
        if let Err(fail) = self.debug_here(by, command, args, DebugMode::Apart) {
            self.reply_error(by, &fail.0);
        }
        self.send_all(by.id, by.reply.since(0))?;
        log::warning!("Lua debugging session child exiting");
        Ok(())
    }

    /// What is shared with other threads is no affair of the child: nothing is handed to them, or taken from them.
    fn leave_to_parent(&mut self) {
        std::mem::forget(self.engine.keyspace.abort_snapshot());
        std::mem::forget(self.persist.saving.running.take());
        std::mem::forget(std::mem::replace(&mut self.persist.reaper, Reaper::none()));
        std::mem::forget(std::mem::take(&mut self.migrate.sockets));
    }

    /// Sends all, however long the client takes.
    fn send_all(&mut self, id: ClientId, bytes: &[u8]) -> io::Result<()> {
        let Some(stream) = &mut self.clients.at(id).connection.stream else { return Ok(()) };
        let mut sent = 0;
        while sent < bytes.len() || stream.has_unsent() {
            sent += stream.write(&bytes[sent..])?;
            stream.flush()?;
            if sent < bytes.len() || stream.has_unsent() {
                stream.wait(Interest::WRITE)?;
            }
        }
        Ok(())
    }

    /// Sends and reads what the client's socket takes and has. Bytes are appended to `input`.
    fn talk(&mut self, id: ClientId, input: &mut Vec<u8>) -> Talk {
        let Some(debugging) = &mut self.scripts.debugging else { return Talk::Gone };
        let Some(client) = self.clients.get_mut(id).filter(|client| !client.connection.closing) else {
            return Talk::Gone;
        };
        let Some(stream) = &mut client.connection.stream else { return Talk::Gone };
        let unsent = &mut debugging.unsent;
        while !unsent.is_empty() {
            match stream.write(unsent) {
                Ok(0) => break,
                Ok(written) => drop(unsent.drain(..written)),
                Err(_) => return Talk::Gone,
            }
        }
        if stream.flush().is_err() {
            return Talk::Gone;
        }
        if unsent.len() > UNREAD_BYTES_MAX {
            return Talk::Nothing;
        }
        match stream.read_into(input, READ_BYTES) {
            Ok(Some(_)) => Talk::Bytes,
            Ok(None) => Talk::Nothing,
            Err(_) => Talk::Gone,
        }
    }

    /// Waits for the client; answers that the wait is over for another reason.
    fn wait_for_client(&mut self, id: ClientId) -> Option<Received> {
        let Some(debugging) = &self.scripts.debugging else { return Some(Received::Gone) };
        let (mode, unsent) = (debugging.mode, debugging.unsent.len());
        let Some(stream) = self.clients.get(id).and_then(|client| client.connection.stream.as_ref()) else {
            return Some(Received::Gone);
        };
        let interest = Interest { read: unsent <= UNREAD_BYTES_MAX, write: unsent > 0 || stream.has_unsent() };
        if mode == DebugMode::Apart {
            return stream.wait(interest).err().map(|_| Received::Gone);
        }
        self.watch_running(id, interest);
        self.turn_meanwhile(TICK)
    }

    /// The loop goes on in a small way; answers that the session's wait is over for another reason than its client.
    fn turn_meanwhile(&mut self, wait: Duration) -> Option<Received> {
        self.small_turn(wait);
        if let Some(debugging) = &mut self.scripts.debugging {
            debugging.turned_us = clock::machine_us();
        }
        if self.life.exit.is_some() {
            return Some(Received::End(SHUT_DOWN));
        }
        if self.scripts.running.as_ref().is_some_and(|running| running.is_killed) {
            log::notice!("Lua script killed by user with SCRIPT KILL.");
            return Some(Received::End(KILLED));
        }
        // A signal waits for the script, which is not to wait for its client then.
        let is_let_go = self.scripts.debugging.as_ref().is_some_and(|debugging| debugging.is_let_go);
        (is_let_go || self.front.signals.is_pending()).then_some(Received::Gone)
    }

    /// A client that always has something to say keeps nobody else waiting.
    fn turn_if_due(&mut self) -> Option<Received> {
        let debugging = self.scripts.debugging.as_ref().filter(|debugging| debugging.mode == DebugMode::Here)?;
        let since_us = clock::machine_us().saturating_sub(debugging.turned_us);
        if u128::from(since_us) < TICK.as_micros() { None } else { self.turn_meanwhile(Duration::ZERO) }
    }

    /// A piece of Lua that the client of a child's session runs takes long: answers whether the client is still there.
    pub fn hears_client_of_session(&mut self, id: ClientId) -> bool {
        let Some(debugging) = &mut self.scripts.debugging else { return true };
        if debugging.ahead.len() > AHEAD_BYTES_MAX {
            return true;
        }
        let mut ahead = std::mem::take(&mut debugging.ahead);
        let talk = self.talk(id, &mut ahead);
        if let Some(debugging) = &mut self.scripts.debugging {
            debugging.ahead = ahead;
        }
        !matches!(talk, Talk::Gone)
    }

    /// Whether a script is debugged in this process, which is a child.
    pub fn is_session_apart(&self) -> bool {
        self.scripts.debugging.as_ref().is_some_and(|debugging| debugging.mode == DebugMode::Apart)
    }

    /// Gives back to the system what children have ended.
    pub fn reap_sessions(&mut self) {
        self.scripts.sessions.retain(|child| !child.has_ended());
    }

    /// The server ends, and its children do.
    pub fn kill_sessions(&mut self) {
        for child in self.scripts.sessions.drain(..) {
            log::warning!("Killing debugging session {}", child.id());
            child.kill();
        }
    }
}

impl Console for ScriptHost<'_> {
    fn send(&mut self, bytes: &[u8]) {
        if let Some(debugging) = &mut self.node.scripts.debugging {
            debugging.unsent.extend_from_slice(bytes);
        }
    }

    fn receive(&mut self, input: &mut Vec<u8>) -> Received {
        let (node, id) = (&mut *self.node, self.id);
        if node.scripts.debugging.as_ref().is_some_and(|debugging| debugging.mode == DebugMode::Here) {
            node.begin_busy(self.task);
        }
        let had = input.len();
        if let Some(debugging) = &mut node.scripts.debugging {
            input.append(&mut debugging.ahead);
            debugging.waits = true;
        }
        let received = loop {
            match node.talk(id, input) {
                Talk::Gone => break Received::Gone,
                _ if input.len() > had => break node.turn_if_due().unwrap_or(Received::Bytes),
                Talk::Bytes | Talk::Nothing => {}
            }
            if let Some(over) = node.wait_for_client(id) {
                break over;
            }
        };
        if let Some(debugging) = &mut node.scripts.debugging {
            debugging.waits = false;
            debugging.is_let_go = false;
        }
        received
    }

    fn has_run_long(&mut self) -> bool {
        let limit_ms = match self.node.config.busy_reply_threshold {
            0 => LONG_MS,
            limit_ms => limit_ms,
        };
        let begun_us = self.node.scripts.running.as_ref().map_or(0, |running| running.started_us);
        clock::machine_us().saturating_sub(begun_us) / 1000 >= limit_ms
    }

    fn resumed(&mut self) {
        self.node.clock.look();
        if let Some(running) = &mut self.node.scripts.running {
            running.started_us = clock::machine_us();
        }
    }

    fn was_refused(&self) -> bool {
        self.was_refused
    }
}
