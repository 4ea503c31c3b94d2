//! What failed, and at which address.

use std::{fmt, io};

use crate::{Address, Reply};

/// An error of a connection. What the server replies is a [`Reply`], also when it is an error.
#[derive(Debug)]
pub struct ClientError {
    pub address: Address,
    pub failure: Failure,
}

/// What failed.
#[derive(Debug)]
pub enum Failure {
    /// The name of the host has no address.
    Resolve(io::Error),
    Connect(io::Error),
    /// The handshake of TLS.
    Tls(io::Error),
    Write(io::Error),
    Read(io::Error),
    /// Nothing came within the read time-out, or nothing was taken within that for writing.
    TimedOut,
    /// The other end closed the connection.
    Closed,
    /// What came is no reply.
    Protocol(String),
    /// A reply has more bytes than so many, which are all that it may have.
    TooLarge(usize),
    /// The server refused what a connection begins with: which command, and its words.
    Refused {
        command: &'static str,
        reply: Box<Reply>,
    },
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = &self.address;
        match &self.failure {
            Failure::Resolve(error) => write!(f, "cannot look up {address}: {}", plain(error)),
            Failure::Connect(error) => write!(f, "cannot connect to {address}: {}", plain(error)),
            Failure::Tls(error) => write!(f, "no TLS with {address}: {}", plain(error)),
            Failure::Write(error) => write!(f, "cannot send to {address}: {}", plain(error)),
            Failure::Read(error) => write!(f, "cannot read from {address}: {}", plain(error)),
            Failure::TimedOut => write!(f, "{address} does not answer in time"),
            Failure::Closed => write!(f, "{address} closed the connection"),
            Failure::TooLarge(bytes) => write!(f, "{address} sends a reply of more than {bytes} bytes"),
            Failure::Protocol(what) => write!(f, "{address} speaks another protocol: {what}"),
            Failure::Refused { command, reply } => write!(f, "{address} refused {command}: {}", reply.text()),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<ClientError> for io::Error {
    fn from(error: ClientError) -> io::Error {
        let kind = match &error.failure {
            Failure::TimedOut => io::ErrorKind::TimedOut,
            Failure::Closed => io::ErrorKind::UnexpectedEof,
            Failure::Resolve(e) | Failure::Connect(e) | Failure::Tls(e) | Failure::Write(e) | Failure::Read(e) => {
                e.kind()
            }
            Failure::Protocol(_) | Failure::TooLarge(_) | Failure::Refused { .. } => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// An error of the system in its own words, as C's `strerror` has them.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}
