//! Connections to instances. What is sent before one stands waits for it.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rivulet_net::{Interest, Poll, Stream, TlsContext, connect};
use rivulet_sentinel::ConnId;

use crate::handshakes::Budget;

/// As much may wait for an instance that does not read.
const OUTPUT_MAX: usize = 16 << 20;
const READ_MAX: usize = 64 << 10;

/// Connecting → Handshaking (with TLS) → Standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Handshaking { since_ms: u64, has_begun: bool },
    Standing,
}

/// A connection to an instance.
pub struct Outgoing {
    stream: Stream,
    pub address: SocketAddr,
    output: Vec<u8>,
    state: State,
    watches_writes: bool,
}

/// How connections to instances are made.
#[derive(Default)]
pub struct Maker {
    /// From where; the system chooses without it.
    pub source: Option<IpAddr>,
    /// With it they are made by TLS.
    pub tls: Option<TlsContext>,
}

/// The token of a connection; those of clients are even.
pub fn token(connection: ConnId) -> u64 {
    connection.0 << 1 | 1
}

impl Outgoing {
    /// Begins to connect.
    pub fn open(poll: &mut Poll, id: ConnId, address: SocketAddr, maker: &Maker) -> io::Result<Outgoing> {
        let mut stream = connect(address, maker.source)?;
        if let Some(context) = &maker.tls {
            stream = stream.into_tls_client(context, address.ip())?;
        }
        // A socket that refuses this is not useless.
        let _ = stream.set_nodelay(true);
        poll.add(&stream, token(id), Interest::BOTH)?;
        Ok(Outgoing { stream, address, output: Vec::new(), state: State::Connecting, watches_writes: true })
    }

    /// This end's address.
    pub fn local_ip(&self) -> Option<IpAddr> {
        self.stream.local_address().map(|address| address.ip().to_canonical())
    }

    /// Since when a handshake is under way, if one is.
    pub fn handshakes_since_ms(&self) -> Option<u64> {
        match self.state {
            State::Handshaking { since_ms, .. } => Some(since_ms),
            State::Connecting | State::Standing => None,
        }
    }

    /// Adds bytes to what is to be sent; false if too many wait already.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        self.output.extend_from_slice(bytes);
        self.output.len() <= OUTPUT_MAX
    }

    /// The socket is ready: also how it tells that it is connected.
    pub fn go_on(&mut self, is_writable: bool, budget: &mut Budget, now_ms: u64) -> io::Result<()> {
        if self.state == State::Connecting && is_writable {
            self.stream.take_error()?;
            self.state = match self.stream.is_tls() {
                true => State::Handshaking { since_ms: now_ms, has_begun: false },
                false => State::Standing,
            };
        }
        if let State::Handshaking { since_ms, .. } = self.state
            && budget.has_time()
        {
            self.state = match budget.spend(|| self.stream.handshake())? {
                true => State::Standing,
                false => State::Handshaking { since_ms, has_begun: true },
            };
        }
        Ok(())
    }

    /// Sends what waits, as far as the socket takes it.
    pub fn flush(&mut self, poll: &mut Poll, id: ConnId) -> io::Result<()> {
        if self.state == State::Connecting {
            return Ok(());
        }
        while self.state == State::Standing && !self.output.is_empty() {
            match self.stream.write(&self.output)? {
                0 => break,
                count => _ = self.output.drain(..count),
            }
        }
        self.stream.flush()?;
        let wants = self.stream.has_unsent()
            || match self.state {
                State::Connecting => true,
                // The poll tells again of one that had to wait for its turn.
                State::Handshaking { has_begun, .. } => !has_begun,
                State::Standing => !self.output.is_empty(),
            };
        if wants != self.watches_writes {
            self.watches_writes = wants;
            poll.change(&self.stream, token(id), if wants { Interest::BOTH } else { Interest::READ })?;
        }
        Ok(())
    }

    /// Whether a read has something to tell though the socket may be silent.
    pub fn has_more(&self) -> bool {
        self.state == State::Standing && self.stream.has_more()
    }

    /// Ends the connection. What was said last is sent, if the socket takes it now.
    pub fn close(mut self) {
        if self.state == State::Standing && !self.output.is_empty() {
            // It is closed whether or not this arrives.
            let _ = self.stream.write(&self.output);
        }
    }

    /// What has arrived.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if self.state == State::Standing {
            self.stream.read_into(&mut bytes, READ_MAX)?;
        }
        Ok(bytes)
    }
}
