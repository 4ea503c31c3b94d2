//! Both kinds of code that a server has, scripts and functions, with one sequence of random numbers.

use rivulet_commands::fail::Fail;
use rivulet_resp::Reply;

use crate::context::Identity;
use crate::host::Host;
use crate::input::Input;
use crate::libraries::{FunctionId, Libraries};
use crate::scripts::{ScriptId, Scripts};
use crate::vm::Ended;

/// The scripts and the libraries of a server.
pub struct Engine {
    scripts: Scripts,
    libraries: Libraries,
}

impl Engine {
    /// Nothing loaded. Each of the two Lua states may hold `limit_bytes`, at most 2 GiB.
    pub fn new(identity: Identity, limit_bytes: usize) -> Engine {
        Engine {
            scripts: Scripts::new(identity.clone(), limit_bytes),
            libraries: Libraries::new(identity, limit_bytes),
        }
    }

    pub fn scripts(&mut self) -> &mut Scripts {
        &mut self.scripts
    }

    pub fn libraries(&mut self) -> &mut Libraries {
        &mut self.libraries
    }

    /// The libraries to look at.
    pub fn loaded(&self) -> &Libraries {
        &self.libraries
    }

    /// The scripts to look at.
    pub fn cached(&self) -> &Scripts {
        &self.scripts
    }

    /// Runs a script.
    pub fn eval(&mut self, id: ScriptId, input: &Input<'_>, host: &mut dyn Host, reply: &mut Reply<'_>) -> Ended {
        let ended = self.scripts.run(id, input, host, reply);
        self.libraries.set_random(self.scripts.random());
        ended
    }

    /// Runs a script as the client of [`Host::console`] lets it. Answers also what that is sent before the script's reply.
    pub fn debug(
        &mut self,
        id: ScriptId,
        input: &Input<'_>,
        host: &mut dyn Host,
        reply: &mut Reply<'_>,
    ) -> (Ended, Vec<u8>) {
        let result = self.scripts.debug(id, input, host, reply);
        self.libraries.set_random(self.scripts.random());
        result
    }

    /// Runs a function.
    pub fn fcall(&mut self, id: FunctionId, input: &Input<'_>, host: &mut dyn Host, reply: &mut Reply<'_>) -> Ended {
        let ended = self.libraries.run(id, input, host, reply);
        self.scripts.set_random(self.libraries.random());
        ended
    }

    /// Takes over libraries that were loaded apart, as from a master's snapshot. Answers those that were here.
    pub fn replace_libraries(&mut self, libraries: Libraries) -> Libraries {
        std::mem::replace(&mut self.libraries, libraries)
    }

    /// Whether a function may be called by FCALL_RO.
    ///
    /// # Errors
    /// It may write.
    pub fn check_read_only(flags: crate::Flags) -> Result<(), Fail> {
        if flags.has(crate::Flag::NoWrites) {
            return Ok(());
        }
        Err(Fail::new("ERR Can not execute a script with write flag using *_ro command."))
    }
}
