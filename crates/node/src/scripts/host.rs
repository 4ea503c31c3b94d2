//! The server as a script sees it.

use rivulet_acl::Context;
use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_commands::spec::{Handler, flag};
use rivulet_engine::asker::{Asker, Origin};
use rivulet_engine::client_id::ClientId;
use rivulet_resp::{Args, Reply};
use rivulet_scripting::{Console, Host, Interrupt, LOAD_TIMEOUT, LogLevel, Replication};

use super::Task;
use super::permits::Permits;
use crate::node::Node;
use crate::{clock, log};

/// A client's library has so long to register its functions.
const LOAD_US: u64 = 500_000;

/// The server, for the time of one run.
pub struct ScriptHost<'a> {
    pub(super) node: &'a mut Node,
    pub(super) id: ClientId,
    permits: Permits,
    pub(super) task: &'a Task<'a>,
    /// Effects go to the stream.
    replicates: bool,
    /// The last command was not executed.
    pub(super) was_refused: bool,
    /// Its reply has an error that was not counted before.
    has_failed: bool,
}

impl<'a> ScriptHost<'a> {
    pub fn new(node: &'a mut Node, id: ClientId, permits: Permits, task: &'a Task<'a>) -> ScriptHost<'a> {
        ScriptHost { node, id, permits, task, replicates: true, was_refused: false, has_failed: false }
    }

    /// The command, if this run may call it.
    fn permitted(&mut self, args: Args<'_>) -> Result<&'static Command, Fail> {
        let command = find(self.node, args)?;
        let checked = self.check(command, args);
        if checked.is_err() {
            self.node.ops.stats.of(command).rejected += 1;
        }
        checked.map(|()| command)
    }

    fn check(&mut self, command: &'static Command, args: Args<'_>) -> Result<(), Fail> {
        self.node.check_called(self.permits, command)?;
        // A script is its caller.
        if let Err(denied) = self.node.check_user(self.id, command, args) {
            self.node.note_denied(self.id, denied, command, args, Context::Script);
            return Err(denied.in_script());
        }
        let has_written = self.node.scripts.running.as_ref().is_some_and(|running| running.has_written);
        self.node.check_within(self.permits, has_written, command)
    }
}

const UNKNOWN: Fail = Fail::new("ERR Unknown Redis command called from script");

/// The command of a call.
fn find(node: &Node, args: Args<'_>) -> Result<&'static Command, Fail> {
    const ARITY: Fail = Fail::new("ERR Wrong number of args calling Redis command from script");
    let command = node.find_with_subcommand(args).ok_or(UNKNOWN)?;
    let is_container = matches!(command.handler, Handler::Container);
    if command.arity_fits(args.len()) && !is_container { Ok(command) } else { Err(ARITY) }
}

impl Host for ScriptHost<'_> {
    fn call(&mut self, args: Args<'_>, resp3: bool, out: &mut Vec<u8>) {
        let mut by = Asker { id: self.id, origin: Origin::Script, reply: Reply::new(out, resp3) };
        let permitted = self.permitted(args);
        self.was_refused = permitted.is_err();
        let command = match permitted {
            Ok(command) => command,
            Err(fail) => return self.node.reply_error(&mut by, &fail.0),
        };
        if command.is(flag::WRITE)
            && let Some(running) = &mut self.node.scripts.running
        {
            running.has_written = true;
        }
        let before = self.node.engine.unit.commands.len();
        self.node.engine.unit.went_ahead = 0;
        self.node.call_within(&mut by, command, args);
        self.node.remember_keys_of_script(self.id, (command, args), (self.task.command, self.task.args));
        if !self.replicates {
            // What it found expired has gone here, whatever the script says of its own writes.
            let unit = &mut self.node.engine.unit;
            unit.commands.truncate(before + unit.went_ahead);
        }
    }

    fn may_run(&mut self, args: Args<'_>) -> Option<bool> {
        let command = self.node.find_with_subcommand(args)?;
        let client = self.node.clients.get(self.id)?;
        Some(client.session.login.user.check(command, args).is_ok())
    }

    fn log(&mut self, level: LogLevel, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        let level = match level {
            LogLevel::Debug => log::Level::Debug,
            LogLevel::Verbose => log::Level::Verbose,
            LogLevel::Notice => log::Level::Notice,
            LogLevel::Warning => log::Level::Warning,
        };
        log::write(level, format_args!("{text}"));
    }

    /// The append-only file is the stream: what goes to one of them goes to both.
    fn set_replication(&mut self, to: Replication) {
        self.replicates = to.to_aof || to.to_replicas;
    }

    fn interrupt(&mut self) -> Interrupt {
        self.node.interrupt_script(self.task)
    }

    fn cpu_seconds(&mut self) -> f64 {
        clock::monotonic_us() as f64 / 1e6
    }

    /// As in Redis a call fails once for all errors that are its own, and once more for each that a command has replied.
    fn replied_error(&mut self, text: &[u8], is_counted: bool) {
        let stats = &mut self.node.ops.stats;
        if is_counted || !self.has_failed {
            stats.of(self.task.command).failed += 1;
        }
        if !is_counted {
            self.has_failed = true;
            stats.error(text);
        }
    }

    fn console(&mut self) -> Option<&mut dyn Console> {
        self.node.scripts.is_debugged().then_some(self)
    }
}

/// For code that only registers functions: it can call nothing.
pub struct LoadHost {
    /// When its time is over.
    until_us: Option<u64>,
}

impl LoadHost {
    /// For a client's library.
    pub fn for_client() -> LoadHost {
        LoadHost { until_us: Some(clock::monotonic_us() + LOAD_US) }
    }

    /// For one that is among the data by now: it is the master's, or a file's, and takes the time that it takes.
    pub fn for_data() -> LoadHost {
        LoadHost { until_us: None }
    }
}

impl Host for LoadHost {
    fn call(&mut self, _: Args<'_>, resp3: bool, out: &mut Vec<u8>) {
        Reply::new(out, resp3).error(b"ERR redis.call can only be called inside a script invocation");
    }

    fn may_run(&mut self, _: Args<'_>) -> Option<bool> {
        None
    }

    fn log(&mut self, _: LogLevel, text: &[u8]) {
        log::notice!("{}", String::from_utf8_lossy(text));
    }

    fn set_replication(&mut self, _: Replication) {}

    fn interrupt(&mut self) -> Interrupt {
        let is_over = self.until_us.is_some_and(|until_us| clock::monotonic_us() > until_us);
        if is_over { Interrupt::End(LOAD_TIMEOUT) } else { Interrupt::Continue }
    }

    fn cpu_seconds(&mut self) -> f64 {
        clock::monotonic_us() as f64 / 1e6
    }
}
