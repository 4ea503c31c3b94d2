//! Connections to instances. What is sent before one stands waits for it.

use std::net::{IpAddr, SocketAddr};

use rivulet_net::{Interest, Poll, Stream, connect};
use rivulet_sentinel::ConnId;

/// As much may wait for an instance that does not read.
const OUTPUT_MAX: usize = 16 << 20;
const READ_MAX: usize = 64 << 10;

pub struct Outgoing {
    stream: Stream,
    output: Vec<u8>,
    is_connected: bool,
    watches_writes: bool,
}

/// The token of a connection; those of clients are even.
pub fn token(connection: ConnId) -> u64 {
    connection.0 << 1 | 1
}

impl Outgoing {
    /// Begins to connect.
    pub fn open(
        poll: &mut Poll,
        id: ConnId,
        ip: IpAddr,
        port: u16,
        source: Option<IpAddr>,
    ) -> std::io::Result<Outgoing> {
        let stream = connect(SocketAddr::new(ip, port), source)?;
        // A socket that refuses this is not useless.
        let _ = stream.set_nodelay(true);
        poll.add(&stream, token(id), Interest::BOTH)?;
        Ok(Outgoing { stream, output: Vec::new(), is_connected: false, watches_writes: true })
    }

    /// This end's address.
    pub fn local_ip(&self) -> Option<IpAddr> {
        self.stream.local_address().map(|address| address.ip().to_canonical())
    }

    /// Adds bytes to what is to be sent; false if too many wait already.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        self.output.extend_from_slice(bytes);
        self.output.len() <= OUTPUT_MAX
    }

    /// The socket takes bytes: also how it tells that it is connected.
    pub fn flush(&mut self, poll: &mut Poll, id: ConnId, is_writable: bool) -> std::io::Result<()> {
        if !self.is_connected {
            if !is_writable {
                return Ok(());
            }
            self.stream.take_error()?;
            self.is_connected = true;
        }
        while !self.output.is_empty() {
            match self.stream.write(&self.output)? {
                0 => break,
                count => _ = self.output.drain(..count),
            }
        }
        let wants = !self.output.is_empty();
        if wants != self.watches_writes {
            self.watches_writes = wants;
            poll.change(&self.stream, token(id), if wants { Interest::BOTH } else { Interest::READ })?;
        }
        Ok(())
    }

    /// Ends the connection. What was said last is sent, if the socket takes it now.
    pub fn close(mut self) {
        if self.is_connected && !self.output.is_empty() {
            // It is closed whether or not this arrives.
            let _ = self.stream.write(&self.output);
        }
    }

    /// What has arrived.
    pub fn read(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if self.is_connected {
            self.stream.read_into(&mut bytes, READ_MAX)?;
        }
        Ok(bytes)
    }
}
