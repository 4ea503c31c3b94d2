//! Why a command was refused: the text of its error reply, code first.

use std::borrow::Cow;

/// An error reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fail(pub Cow<'static, [u8]>);

impl Fail {
    pub const fn new(text: &'static str) -> Fail {
        Fail(Cow::Borrowed(text.as_bytes()))
    }

    pub fn text(text: String) -> Fail {
        Fail(Cow::Owned(text.into_bytes()))
    }

    pub fn bytes(text: Vec<u8>) -> Fail {
        Fail(Cow::Owned(text))
    }

    /// `ERR wrong number of arguments for 'name' command`.
    pub fn arity(name: &str) -> Fail {
        Fail::text(format!("ERR wrong number of arguments for '{name}' command"))
    }
}

pub const WRONG_TYPE: Fail = Fail::new("WRONGTYPE Operation against a key holding the wrong kind of value");
pub const SYNTAX: Fail = Fail::new("ERR syntax error");
pub const NOT_INTEGER: Fail = Fail::new("ERR value is not an integer or out of range");
pub const NOT_FLOAT: Fail = Fail::new("ERR value is not a valid float");
pub const OUT_OF_RANGE: Fail = Fail::new("ERR index out of range");
pub const NO_SUCH_KEY: Fail = Fail::new("ERR no such key");
pub const OVERFLOW: Fail = Fail::new("ERR increment or decrement would overflow");
pub const DB_OUT_OF_RANGE: Fail = Fail::new("ERR DB index is out of range");
