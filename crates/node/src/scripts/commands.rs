//! SCRIPT and FUNCTION, as far as they are the server's.

use rivulet_commands::fail::Fail;
use rivulet_engine::asker::Asker;
use rivulet_rdb::Writer;
use rivulet_rdb::write::Version;
use rivulet_resp::Args;
use rivulet_scripting::function_command::{self, Answer};
use rivulet_scripting::{Engine, script_command};

use super::host::LoadHost;
use super::{Running, Scripts};
use crate::front::clients::Client;
use crate::helpers;
use crate::node::Node;

const BUSY_SCRIPT: Fail =
    Fail::new("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.");
const BUSY_FUNCTION: Fail =
    Fail::new("BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.");

impl Running {
    /// How others are answered.
    pub fn busy(&self) -> Fail {
        if self.is_function { BUSY_FUNCTION } else { BUSY_SCRIPT }
    }
}

impl Scripts {
    fn stats_of_running(&self, now_us: u64) -> Option<function_command::Running> {
        let running = self.running.as_ref()?;
        let shown = running.busy.as_deref()?;
        Some(function_command::Running {
            name: shown.name.clone(),
            command: shown.command.clone(),
            duration_ms: now_us.saturating_sub(running.started_us) / 1000,
        })
    }
}

impl Node {
    pub fn script_command(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        if args.is(1, "kill") {
            return self.kill_script(by, false);
        }
        if args.is(1, "debug") {
            return self.script_debug(by, args);
        }
        let mark = by.reply.written();
        let mut engine = self.scripts.take();
        let answer = script_command::run(engine.scripts(), args, &mut by.reply);
        self.answered(by, mark, false, engine, answer)
    }

    pub fn function_command(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        if args.is(1, "kill") {
            return self.kill_script(by, true);
        }
        if args.is(1, "stats") {
            let running = self.scripts.stats_of_running(crate::clock::machine_us());
            let figures = self.scripts.figures();
            function_command::write_stats(figures.libraries, figures.functions, running.as_ref(), &mut by.reply);
            return Ok(());
        }
        let mark = by.reply.written();
        let mut engine = self.scripts.take();
        let mut writer = Writer::new(Version::DEFAULT, self.config.rdbcompression);
        let is_masters = self.clients.get(by.id).is_some_and(Client::is_master);
        let mut host = if is_masters { LoadHost::for_data() } else { LoadHost::for_client() };
        let answer = function_command::run(engine.libraries(), args, None, &mut writer, &mut host, &mut by.reply);
        self.answered(by, mark, true, engine, answer)
    }

    /// A command on scripts or functions has ended.
    fn answered(
        &mut self,
        by: &mut Asker<'_>,
        mark: usize,
        is_function: bool,
        engine: Box<Engine>,
        answer: Answer,
    ) -> Result<(), Fail> {
        self.scripts.put_back(engine);
        match answer {
            Answer::Replied | Answer::Kill => {}
            Answer::Changed => self.engine.effects.dirty += 1,
            Answer::Flushed { remains, asynchronous } => {
                // Only libraries are part of the data.
                if is_function {
                    self.engine.effects.dirty += 1;
                }
                if asynchronous.unwrap_or(self.config.lazyfree_lazy_user_flush) {
                    helpers::start("lazy free", move || drop(remains));
                }
            }
        }
        // The reply is written; an error is counted as that of any command.
        self.settle(by, mark, rivulet_scripting::Ended::Returned)
    }

    fn kill_script(&mut self, by: &mut Asker<'_>, is_function: bool) -> Result<(), Fail> {
        let Some(running) = &mut self.scripts.running else {
            return Err(Fail::new("NOTBUSY No scripts in execution right now."));
        };
        if self.clients.get(running.client).is_some_and(Client::is_master) {
            return Err(Fail::new(
                "UNKILLABLE The busy script was sent by a master instance in the context of replication and cannot be killed.",
            ));
        }
        // A session that waits for its client need not: its script runs on, and can be waited for.
        if let Some(debugging) = self.scripts.debugging.as_mut().filter(|_| running.has_written && !is_function)
            && debugging.waits
        {
            debugging.is_let_go = true;
            by.reply.ok();
            return Ok(());
        }
        if running.has_written {
            return Err(Fail::new(
                "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
            ));
        }
        if running.is_function != is_function {
            return Err(running.busy());
        }
        running.is_killed = true;
        by.reply.ok();
        Ok(())
    }
}
