//! Scripts and functions: what the server is to them. The language is in the crate `rivulet_scripting`; here is who may run what, what a script's
//! commands may do, what becomes of their effects, and who is looked after while a script runs for long.
//!
//! A run is one unit of execution: its commands see one time, and their effects go to the stream together when it has ended.

mod busy;
mod commands;
mod debug;
mod driver;
mod host;
pub mod permits;
mod persist;

use rivulet_commands::Command;
use rivulet_engine::client_id::ClientId;
use rivulet_host::child::Child;
use rivulet_resp::{Args, OwnedArgs};
use rivulet_scripting::scripts::digits_of;
use rivulet_scripting::{Engine, Flags, Identity, Libraries};

use crate::REDIS_VERSION;
use debug::Debugging;

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

    fn is_debugged(&self) -> bool {
        self.debugging.is_some()
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
