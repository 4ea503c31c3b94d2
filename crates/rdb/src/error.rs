//! Why a file or a payload can't be read: where, in which key, doing what, and what was expected.

use std::fmt;
use std::io;

use crate::format;

/// What was being read when it failed; the checker prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Start,
    ReadType,
    ReadExpire,
    ReadKey,
    ReadValue,
    CheckSum,
    ReadLen,
    ReadAux,
    ReadModuleAux,
    ReadFunctions,
}

impl Doing {
    pub fn name(self) -> &'static str {
        match self {
            Doing::Start => "start",
            Doing::ReadType => "read-type",
            Doing::ReadExpire => "read-expire",
            Doing::ReadKey => "read-key",
            Doing::ReadValue => "read-object-value",
            Doing::CheckSum => "check-sum",
            Doing::ReadLen => "read-len",
            Doing::ReadAux => "read-aux",
            Doing::ReadModuleAux => "read-module-aux",
            Doing::ReadFunctions => "read-functions",
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The source failed.
    Io(io::ErrorKind, String),
    /// The source ended where more had to follow.
    Eof,
    /// The file begins with something else than `REDIS` or `VALKEY`.
    Signature,
    /// A version that this reader doesn't know.
    Version(u32),
    /// The byte at the place of a type is none.
    UnknownType(u8),
    /// The value of a known type that this server doesn't have.
    Unsupported(u8),
    /// The bytes contradict the format or themselves.
    Corrupt(&'static str),
    /// A count of nothing, where an empty value can't be.
    EmptyValue,
    /// The file's checksum is another than that of its bytes.
    Checksum { expected: u64, found: u64 },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Io(_, text) => write!(f, "read error: {text}"),
            Problem::Eof => f.write_str("Unexpected EOF reading RDB file"),
            Problem::Signature => f.write_str("Wrong signature trying to load DB from file"),
            Problem::Version(version) => write!(f, "Can't handle RDB format version {version}"),
            Problem::UnknownType(byte) => write!(f, "Invalid object type: {byte}"),
            Problem::Unsupported(byte) => {
                write!(f, "{} (type {byte}), which this server can't load", format::type_noun(*byte))
            }
            Problem::Corrupt(text) => f.write_str(text),
            Problem::EmptyValue => f.write_str("an empty value"),
            Problem::Checksum { expected, found } => {
                write!(f, "RDB CRC error: the bytes give {expected:x}, but the file says {found:x}")
            }
        }
    }
}

/// Why reading ended: the file is not to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// How many bytes had been read.
    pub offset: u64,
    pub doing: Doing,
    /// The key, once it has been read.
    pub key: Option<Vec<u8>>,
    /// The type of its value.
    pub value_type: Option<u8>,
    pub problem: Problem,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Error { offset, doing, key, value_type, problem } = self;
        if let (Problem::Unsupported(_), Some(key)) = (problem, key) {
            return write!(f, "key '{}' holds {problem}, at offset {offset}", key.escape_ascii());
        }
        write!(f, "{problem} (at offset {offset}, doing {}", doing.name())?;
        if let Some(key) = key {
            write!(f, ", key '{}'", key.escape_ascii())?;
        }
        if let Some(byte) = value_type {
            write!(f, ", type {byte} {}", format::type_name(*byte))?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let kind = match &error.problem {
            Problem::Io(kind, _) => *kind,
            Problem::Eof => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}
