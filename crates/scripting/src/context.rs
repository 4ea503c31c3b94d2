//! What the native functions of one Lua state remember between calls. All of it is in cells: a function only ever has it shared.

use std::cell::Cell;

use rivulet_resp::args::Span;

use crate::cjson::Settings;
use crate::debugger;
use crate::libraries::Registration;
use crate::lua::Lent;
use crate::random::Random;

/// The names that a server gives itself in scripts.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The version of Redis that the server answers as, `REDIS_VERSION`: three numbers with dots.
    pub redis_version: &'static str,
}

impl Identity {
    /// The version as one number, `REDIS_VERSION_NUM`: a byte for each part.
    pub(crate) fn version_number(&self) -> u32 {
        let mut parts = self.redis_version.split('.').map(|p| p.parse::<u32>().unwrap_or(0) & 0xff);
        let mut part = || parts.next().unwrap_or(0);
        part() << 16 | part() << 8 | part()
    }
}

/// One state's memory.
pub(crate) struct Context {
    pub(crate) host: Lent,
    pub(crate) debugger: debugger::Place,
    /// What `redis.setresp` chose for this run.
    pub(crate) resp3: Cell<bool>,
    /// Whether this is a run (and not a load), in which commands may be called.
    pub(crate) random: Cell<Random>,
    pub(crate) json: Cell<Settings>,
    /// A library that is being loaded.
    pub(crate) registration: Cell<Option<Box<Registration>>>,
    /// Errors that were written into the reply.
    pub(crate) errors: Cell<Vec<RepliedError>>,
    /// Buffers that keep their room from call to call.
    pub(crate) buffers: Cell<Buffers>,
}

/// An error in a script's reply.
pub(crate) struct RepliedError {
    pub(crate) text: Vec<u8>,
    /// A command replied it, and it was counted then.
    pub(crate) is_counted: bool,
}

/// What a call of a command is put together in, and its reply.
#[derive(Default)]
pub(crate) struct Buffers {
    pub(crate) command: Vec<u8>,
    pub(crate) spans: Vec<Span>,
    pub(crate) reply: Vec<u8>,
}

impl Context {
    pub(crate) fn new() -> Context {
        Context {
            host: Lent::default(),
            debugger: debugger::Place::default(),
            resp3: Cell::new(false),
            random: Cell::new(Random::default()),
            json: Cell::new(Settings::default()),
            registration: Cell::new(None),
            errors: Cell::default(),
            buffers: Cell::new(Buffers::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_number_too() {
        for (version, number) in [("7.0.15", 458_767), ("7.2.4", 459_268), ("8.0.6", 524_294), ("9", 589_824)] {
            assert_eq!(Identity { redis_version: version }.version_number(), number);
        }
    }
}
