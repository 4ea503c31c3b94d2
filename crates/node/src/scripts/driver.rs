//! EVAL and FCALL on this node: a run begins, and its effects are one unit.

use rivulet_commands::{Command, fail::Fail};
use rivulet_engine::asker::Asker;
use rivulet_engine::client_id::ClientId;
use rivulet_resp::{Args, Reply};
use rivulet_scripting::{Ended, Engine, Host, Input};

use super::host::ScriptHost;
use super::{Running, Task};
use crate::node::Node;

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

    pub(super) fn eval_now(
        &mut self,
        by: &mut Asker<'_>,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<(), Fail> {
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
    pub(super) fn settle(&mut self, by: &mut Asker<'_>, mark: usize, ended: Ended) -> Result<(), Fail> {
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
