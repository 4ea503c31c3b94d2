//! What a script asks of the server: the engine itself has no keys, no sockets and no clock.

use rivulet_resp::Args;

use crate::debugger::Console;

/// The server, for the time of one run. A script's calls come in their order, one at a time.
pub trait Host {
    /// Runs a command of the script, checks included, and appends its whole reply, in RESP3 when `resp3`.
    ///
    /// An error reply (`-CODE text`) is what `redis.call` raises and `redis.pcall` gives. The command has at least a name; it has not the form in
    /// which a client sends one ([`Args::wire`]).
    fn call(&mut self, command: Args<'_>, resp3: bool, reply: &mut Vec<u8>);

    /// Whether the user may run this command. `None` says that there is no such command.
    fn may_run(&mut self, command: Args<'_>) -> Option<bool>;

    /// A line for the server's log.
    fn log(&mut self, level: LogLevel, text: &[u8]);

    /// Where the effects of the calls that follow go.
    fn set_replication(&mut self, to: Replication);

    /// Asked every 100,000 instructions of the script: after a time the server looks after its links here, and ends the script when it was
    /// told to.
    fn interrupt(&mut self) -> Interrupt;

    /// What `os.clock` shows: the processor's time, in seconds.
    fn cpu_seconds(&mut self) -> f64;

    /// A value within the script's reply is an error; `is_counted` says that a command replied it, and that it was counted then.
    fn replied_error(&mut self, _text: &[u8], _is_counted: bool) {}

    /// Who debugs this run ([`crate::Engine::debug`]).
    fn console(&mut self) -> Option<&mut dyn Console> {
        None
    }
}

/// The levels of `redis.log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Debug,
    Verbose,
    Notice,
    Warning,
}

/// What `redis.set_repl` chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replication {
    pub to_aof: bool,
    pub to_replicas: bool,
}

/// Whether a script goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    Continue,
    /// The script ends with this error, whatever it does; a code `ERR` comes before it.
    End(&'static str),
}

/// Why a script ends after SCRIPT KILL or FUNCTION KILL, to the byte.
pub const KILLED: &str = "Script killed by user with SCRIPT KILL...";

/// Why a library's load ends that takes too long (Redis gives it half a second).
pub const LOAD_TIMEOUT: &str = "FUNCTION LOAD timeout";
