//! Scripts and functions: what the server is to them. The language is in the crate `rivulet_scripting`; here is who may run what, what a script's
//! commands may do, what becomes of their effects, and who is looked after while a script runs for long.
//!
//! A run is one unit of execution: its commands see one time, and their effects go to the stream together when it has ended.

mod busy;
mod commands;
mod debug;
mod host;
mod permits;
mod persist;

use rivulet_commands::{Command, fail::Fail};
use rivulet_host::child::Child;
use rivulet_resp::{Args, OwnedArgs, Reply};
use rivulet_scripting::scripts::digits_of;
use rivulet_scripting::{Ended, Engine, Flags, Host, Identity, Input, Libraries};

use crate::REDIS_VERSION;
use crate::engine::asker::Asker;
use crate::front::client_id::ClientId;
use crate::node::Node;
use debug::Debugging;
use host::ScriptHost;

pub use debug::DebugMode;
pub use permits::effective_flags;

/// Bytes that scripts, and that functions, may hold; a run that wants more ends with an error.
const LIMIT_BYTES: usize = 1 << 30;

/// The scripts and functions of a server.
#[derive(Default)]
pub struct Scripts {
    /// Made when it is needed, and taken out while something of it runs.
    engine: Option<Box<Engine>>,
    /// What was in it when it was taken out.
    last: Figures,
    pub running: Option<Running>,
    /// What runs is debugged.
    debugging: Option<Box<Debugging>>,
    /// Sessions of the debugger in children.
    sessions: Vec<Child>,
    /// What a full sync brings.
    loading: Option<Libraries>,
}

/// What INFO shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub scripts: usize,
    pub scripts_evicted: u64,
    pub scripts_vm_bytes: usize,
    pub scripts_cache_bytes: usize,
    pub libraries: usize,
    pub functions: usize,
    pub functions_vm_bytes: usize,
    pub functions_cache_bytes: usize,
}

/// A script or function that runs.
pub struct Running {
    pub client: ClientId,
    pub is_function: bool,
    pub started_us: u64,
    /// It has changed data, or tried to: it can't be ended any more.
    pub has_written: bool,
    pub is_killed: bool,
    /// It has run for so long that others are answered with BUSY: what they are shown of it.
    pub busy: Option<Box<Shown>>,
}

/// What is shown of a script that runs.
pub struct Shown {
    /// A function's name, or a script's SHA-1.
    pub name: Vec<u8>,
    pub command: OwnedArgs,
}

impl Scripts {
    /// Takes the engine out, to run something of it or to change it; [`Scripts::put_back`] must follow.
    fn take(&mut self) -> Box<Engine> {
        self.last = self.figures();
        let made = || Box::new(Engine::new(Identity { redis_version: REDIS_VERSION }, LIMIT_BYTES));
        self.engine.take().unwrap_or_else(made)
    }

    fn put_back(&mut self, engine: Box<Engine>) {
        self.engine = Some(engine);
    }

    /// What INFO shows; while something runs, what it was before.
    pub fn figures(&self) -> Figures {
        let Some(engine) = &self.engine else { return self.last };
        let (scripts, functions) = (engine.cached(), engine.loaded());
        Figures {
            scripts: scripts.len(),
            scripts_evicted: scripts.evicted(),
            scripts_vm_bytes: scripts.vm_bytes(),
            scripts_cache_bytes: scripts.cache_bytes(),
            libraries: functions.len(),
            functions: functions.functions_len(),
            functions_vm_bytes: functions.vm_bytes(),
            functions_cache_bytes: functions.cache_bytes(),
        }
    }
}

/// What is to be run.
pub struct Task<'a> {
    /// What runs it.
    command: &'static Command,
    is_function: bool,
    /// What it says of itself, if it does.
    flags: Option<Flags>,
    /// By EVAL_RO and its kin.
    is_read_only: bool,
    args: Args<'a>,
}

impl Task<'_> {
    fn shown(&self) -> Shown {
        let name = match (self.is_function, self.args.at(0).len()) {
            (true, _) => self.args.at(1).to_vec(),
            // EVAL and EVAL_RO have the text, EVALSHA and EVALSHA_RO its digits.
            (false, 4 | 7) => digits_of(self.args.at(1)),
            (false, _) => self.args.at(1).to_ascii_lowercase(),
        };
        Shown { name, command: self.args.to_owned() }
    }
}

impl Node {
    /// EVAL, EVALSHA and their read-only forms.
    pub fn eval(&mut self, by: &mut Asker<'_>, command: &'static Command, args: Args<'_>) -> Result<(), Fail> {
        // What others did before is not to wait for the end of it.
        self.save_if_emptied();
        match self.clients.get(by.id).and_then(|client| client.session.debugs) {
            None => self.eval_now(by, command, args),
            Some(mode) => self.eval_debugged(by, command, args, mode),
        }
    }

    fn eval_now(&mut self, by: &mut Asker<'_>, command: &'static Command, args: Args<'_>) -> Result<(), Fail> {
        let input = Input::of_script(args)?;
        let mut engine = self.scripts.take();
        let found = match command.name {
            "evalsha" | "evalsha_ro" => engine.scripts().by_sha(args.at(1)),
            _ => engine.scripts().evaluated(args.at(1)),
        };
        let id = match found {
            Ok(id) => id,
            Err(fail) => {
                self.scripts.put_back(engine);
                return Err(fail);
            }
        };
        let task = Task {
            command,
            is_function: false,
            flags: engine.cached().flags(id),
            is_read_only: command.is(rivulet_commands::spec::flag::READONLY),
            args,
        };
        if self.scripts.debugging.is_none() {
            return self.run_task(by, engine, &task, |engine, host, reply| engine.eval(id, &input, host, reply));
        }
        let mut farewell = None;
        let result = self.run_task(by, engine, &task, |engine, host, reply| {
            let (ended, last) = engine.debug(id, &input, host, reply);
            farewell = Some(last);
            ended
        });
        if let Some(debugging) = &mut self.scripts.debugging {
            debugging.farewell = farewell;
        }
        result
    }

    /// FCALL and FCALL_RO.
    pub fn fcall(&mut self, by: &mut Asker<'_>, command: &'static Command, args: Args<'_>) -> Result<(), Fail> {
        // What others did before is not to wait for the end of it.
        self.save_if_emptied();
        let engine = self.scripts.take();
        let found = engine.loaded().find(args.at(1)).and_then(|id| Ok((id, Input::of_function(args)?)));
        let (id, input) = match found {
            Ok(found) => found,
            Err(fail) => {
                self.scripts.put_back(engine);
                return Err(fail);
            }
        };
        let function = engine.loaded().function(id);
        let task = Task {
            command,
            is_function: true,
            flags: function.map(|function| function.flags()),
            is_read_only: command.is(rivulet_commands::spec::flag::READONLY),
            args,
        };
        self.run_task(by, engine, &task, |engine, host, reply| engine.fcall(id, &input, host, reply))
    }

    /// Runs something, if it may run now.
    fn run_task(
        &mut self,
        by: &mut Asker<'_>,
        mut engine: Box<Engine>,
        task: &Task<'_>,
        run: impl FnOnce(&mut Engine, &mut dyn Host, &mut Reply<'_>) -> Ended,
    ) -> Result<(), Fail> {
        let permits = match self.permits(by.id, task) {
            Ok(permits) => permits,
            Err(fail) => {
                self.scripts.put_back(engine);
                return Err(fail);
            }
        };
        if !self.ops.monitors.is_empty() {
            // Its commands are shown after it.
            self.feed_monitors(by.id, by.origin, task.args);
        }
        let mark = by.reply.written();
        let outer = self.begin_run(by.id, task);
        let mut host = ScriptHost::new(self, by.id, permits, task);
        let ended = run(&mut engine, &mut host, &mut by.reply);
        self.end_run(by.id, outer);
        self.scripts.put_back(engine);
        self.release_pushes();
        if matches!(ended, Ended::Failed { is_counted: true }) {
            // The error is counted, the call is not.
            self.ops.stats.of(task.command).failed += 1;
        }
        self.settle(by, mark, ended)
    }

    /// An error that a command of the script has not been counted for is counted as the script's.
    fn settle(&mut self, by: &mut Asker<'_>, mark: usize, ended: Ended) -> Result<(), Fail> {
        let is_counted = matches!(ended, Ended::Failed { is_counted: true });
        let Some(text) = by.reply.since(mark).strip_prefix(b"-").filter(|_| !is_counted) else { return Ok(()) };
        let fail = Fail::bytes(text.strip_suffix(b"\r\n").unwrap_or(text).to_vec());
        by.reply.truncate(mark);
        Err(fail)
    }

    /// A unit begins, if none is open; answers what was before.
    fn begin_run(&mut self, id: ClientId, task: &Task<'_>) -> Outer {
        self.scripts.running = Some(Running {
            client: id,
            is_function: task.is_function,
            started_us: self.clock.now_us,
            has_written: false,
            is_killed: false,
            busy: None,
        });
        let unit = &mut self.engine.unit;
        Outer { was_open: std::mem::replace(&mut unit.is_open, true), db: self.clients.at(id).session.db }
    }

    fn end_run(&mut self, id: ClientId, outer: Outer) {
        self.end_busy();
        self.scripts.running = None;
        self.engine.unit.is_open = outer.was_open;
        if let Some(client) = self.clients.get_mut(id) {
            client.session.db = outer.db;
        }
    }
}

/// What a run found, and leaves as it was.
struct Outer {
    was_open: bool,
    db: usize,
}
