//! A connection: commands go out, replies come in.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rivulet_net::ClientTls;
use rivulet_resp::append_command;

use crate::decode::ReplyDecoder;
use crate::stream::Stream;
use crate::{Address, ClientError, Failure, Payload, Reply};

const READ_BYTES: usize = 64 * 1024;
/// Pushes that nobody has taken, at most: the oldest are dropped.
const PUSHES_MAX: usize = 10_000;

/// How long is waited; `None` is without end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeouts {
    /// For each address of the host, and for the handshake of TLS.
    pub connect: Option<Duration>,
    /// For each piece that is read.
    pub read: Option<Duration>,
    /// For each piece that is written.
    pub write: Option<Duration>,
    /// Of a host with both kinds of addresses, those of IPv6 are tried first.
    pub prefers_ipv6: bool,
}

impl Timeouts {
    /// The same time for everything.
    pub fn all(timeout: Duration) -> Timeouts {
        Timeouts { connect: Some(timeout), read: Some(timeout), write: Some(timeout), prefers_ipv6: false }
    }
}

/// What each reply is held to, as a whole: for peers that are not trusted to end theirs.
#[derive(Clone, Copy, Debug)]
pub struct ReplyBounds {
    /// Bytes of it, with the pushes before it.
    pub bytes_max: usize,
    /// From the time at which it is waited for to its end.
    pub patience: Duration,
    /// Ms of a clock that never goes back.
    pub now_ms: fn() -> u64,
}

/// The protocol of the replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

/// What a connection begins with.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// Without one it is `default`.
    pub user: Option<Vec<u8>>,
    pub password: Option<Vec<u8>>,
    pub protocol: Protocol,
    pub database: i64,
}

/// A connection to a server. After an error it is of no use, but after [`Failure::TimedOut`] of a read it goes on.
pub struct Connection {
    address: Address,
    stream: Stream,
    decoder: ReplyDecoder,
    pushes: VecDeque<Reply>,
    scratch: Vec<u8>,
    bounds: Option<ReplyBounds>,
}

impl Connection {
    /// Connects, without a word to the server.
    ///
    /// # Errors
    /// The host has no address, nobody listens there, or TLS failed.
    pub fn connect(address: &Address, tls: Option<&ClientTls>, timeouts: &Timeouts) -> Result<Connection, ClientError> {
        let stream = Stream::connect(address, tls, timeouts).map_err(|failure| at(address, failure))?;
        let timed = stream.set_read_timeout(timeouts.read).and_then(|()| stream.set_write_timeout(timeouts.write));
        timed.map_err(|error| at(address, Failure::Connect(error)))?;
        let (decoder, pushes) = (ReplyDecoder::default(), VecDeque::new());
        Ok(Connection { address: address.clone(), stream, decoder, pushes, scratch: vec![0; READ_BYTES], bounds: None })
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// Those of [`Connection::connect`] and [`Connection::log_in`].
    pub fn open(
        address: &Address,
        tls: Option<&ClientTls>,
        timeouts: &Timeouts,
        login: &Login,
    ) -> Result<Connection, ClientError> {
        let mut connection = Connection::connect(address, tls, timeouts)?;
        connection.log_in(login)?;
        Ok(connection)
    }

    /// Says who speaks, in which protocol, and to which database; says nothing of what is as servers have it by themselves.
    ///
    /// # Errors
    /// The server refuses, or the connection fails.
    pub fn log_in(&mut self, login: &Login) -> Result<(), ClientError> {
        let user = login.user.as_deref();
        if let Some(password) = &login.password {
            let mut auth: Vec<&[u8]> = vec![b"AUTH"];
            auth.extend(user);
            auth.push(password);
            self.must("AUTH", &auth)?;
        }
        if login.protocol == Protocol::Resp3 {
            self.must("HELLO", &[b"HELLO", b"3"])?;
        }
        if login.database != 0 {
            self.must("SELECT", &[b"SELECT", login.database.to_string().as_bytes()])?;
        }
        Ok(())
    }

    fn must(&mut self, command: &'static str, args: &[&[u8]]) -> Result<(), ClientError> {
        let reply = self.ask(args)?;
        if reply.is_error() { Err(self.error(Failure::Refused { command, reply: Box::new(reply) })) } else { Ok(()) }
    }

    /// Bounds each reply from now on. Pushes between replies are not kept any more, as nothing would bound those. The read time-out is what is left of
    /// the time.
    pub fn bound_replies(&mut self, bounds: ReplyBounds) {
        self.bounds = Some(bounds);
        self.pushes.clear();
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sends a command and reads its reply.
    ///
    /// # Errors
    /// The connection fails. An error that the server replies is a reply.
    pub fn ask<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Reply, ClientError> {
        self.send(args)?;
        self.reply()
    }

    /// Sends several commands at once and reads their replies. Together with their replies they must fit into the sockets' buffers, or the server must
    /// read on while it is not read, as all do.
    ///
    /// # Errors
    /// As [`Connection::ask`].
    pub fn ask_all<C: AsRef<[A]>, A: AsRef<[u8]>>(&mut self, commands: &[C]) -> Result<Vec<Reply>, ClientError> {
        let mut bytes = Vec::new();
        for args in commands {
            append_command(&mut bytes, args.as_ref().iter().map(AsRef::as_ref));
        }
        self.send_raw(&bytes)?;
        commands.iter().map(|_| self.reply()).collect()
    }

    /// Sends a command.
    ///
    /// # Errors
    /// The connection fails.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<(), ClientError> {
        let mut bytes = Vec::new();
        append_command(&mut bytes, args.iter().map(AsRef::as_ref));
        self.send_raw(&bytes)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection fails.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        let sent = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
        sent.map_err(|error| self.error(if is_timeout(&error) { Failure::TimedOut } else { Failure::Write(error) }))
    }

    /// The next reply. Pushes that come before it are kept for [`Connection::take_push`].
    ///
    /// # Errors
    /// The connection fails, nothing comes in time, or the reply exceeds its bounds.
    pub fn reply(&mut self) -> Result<Reply, ClientError> {
        if let Some(bounds) = self.bounds {
            return self.bounded_reply(bounds);
        }
        loop {
            match self.receive()? {
                push @ Reply::Push(_) => self.keep_push(push),
                reply => return Ok(reply),
            }
        }
    }

    fn bounded_reply(&mut self, bounds: ReplyBounds) -> Result<Reply, ClientError> {
        let begun_ms = (bounds.now_ms)();
        let mut bytes = self.decoder.rest().len();
        loop {
            match self.decoded()? {
                Some(Reply::Push(_)) => {}
                Some(reply) => return Ok(reply),
                None if bytes > bounds.bytes_max => return Err(self.error(Failure::TooLarge(bounds.bytes_max))),
                None => bytes += self.fill_until(begun_ms, bounds)?,
            }
        }
    }

    /// Reads what comes in what is left of the time; answers how many bytes those were.
    fn fill_until(&mut self, begun_ms: u64, bounds: ReplyBounds) -> Result<usize, ClientError> {
        let taken = Duration::from_millis((bounds.now_ms)().saturating_sub(begun_ms));
        let left = bounds.patience.checked_sub(taken).filter(|left| !left.is_zero());
        let left = left.ok_or_else(|| self.error(Failure::TimedOut))?;
        self.stream.set_read_timeout(Some(left)).map_err(|error| self.error(Failure::Read(error)))?;
        let n = self.read()?;
        self.decoder.feed(&self.scratch[..n]);
        Ok(n)
    }

    /// What comes next, a reply or a push.
    ///
    /// # Errors
    /// As [`Connection::reply`].
    pub fn receive(&mut self) -> Result<Reply, ClientError> {
        loop {
            if let Some(reply) = self.decoded()? {
                return Ok(reply);
            }
            self.fill()?;
        }
    }

    /// What comes next of that which was read before; reads nothing.
    ///
    /// # Errors
    /// What was read is no reply.
    pub fn decoded(&mut self) -> Result<Option<Reply>, ClientError> {
        self.decoder.decode().map_err(|what| at(&self.address, Failure::Protocol(what)))
    }

    /// The oldest push that came between replies. Of 10,000 that nobody takes the oldest are lost.
    pub fn take_push(&mut self) -> Option<Reply> {
        self.pushes.pop_front()
    }

    /// Waits for bytes and keeps them for what decodes them.
    ///
    /// # Errors
    /// The connection fails; nothing comes in time, or at once on a socket that does not block.
    pub fn fill(&mut self) -> Result<(), ClientError> {
        let n = self.read()?;
        self.decoder.feed(&self.scratch[..n]);
        Ok(())
    }

    /// Bytes as they come, those first that were read before; 0 when the server has closed the connection.
    ///
    /// # Errors
    /// As [`Connection::fill`].
    pub fn read_raw(&mut self, buffer: &mut [u8]) -> Result<usize, ClientError> {
        let buffered = self.decoder.rest();
        if !buffered.is_empty() {
            let n = buffered.len().min(buffer.len());
            buffer[..n].copy_from_slice(&buffered[..n]);
            self.decoder.skip(n);
            return Ok(n);
        }
        match self.read() {
            Ok(n) if n <= buffer.len() => {
                buffer[..n].copy_from_slice(&self.scratch[..n]);
                Ok(n)
            }
            Ok(n) => {
                self.decoder.feed(&self.scratch[..n]);
                self.read_raw(buffer)
            }
            Err(ClientError { failure: Failure::Closed, .. }) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// The snapshot that follows the reply to PSYNC or SYNC.
    ///
    /// # Errors
    /// The connection fails, or what follows is no snapshot.
    pub fn payload(&mut self) -> Result<Payload<'_>, ClientError> {
        Payload::begin(self)
    }

    /// How long a read waits; `None` is without end.
    ///
    /// # Errors
    /// The time is zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    /// Whether reads and writes wait at all. Without, [`Connection::fill`] and [`Connection::write_some`] are what to use.
    ///
    /// # Errors
    /// The system refuses.
    pub fn set_nonblocking(&self, is_nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(is_nonblocking)
    }

    /// Sends what the socket takes at once, and answers how many bytes that were. No bytes push out what TLS has kept.
    ///
    /// # Errors
    /// The connection fails.
    pub fn write_some(&mut self, bytes: &[u8]) -> Result<usize, ClientError> {
        let written = match bytes {
            [] => self.stream.flush().map(|()| 0),
            bytes => self.stream.write(bytes),
        };
        match written {
            Ok(n) => Ok(n),
            Err(error) if is_timeout(&error) || error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(self.error(Failure::Write(error))),
        }
    }

    fn read(&mut self) -> Result<usize, ClientError> {
        loop {
            match self.stream.read(&mut self.scratch) {
                Ok(0) => return Err(self.error(Failure::Closed)),
                Ok(n) => return Ok(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(self.error(Failure::TimedOut)),
                // A server that ends without TLS's own farewell has closed all the same.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(self.error(Failure::Closed)),
                Err(error) => return Err(self.error(Failure::Read(error))),
            }
        }
    }

    fn keep_push(&mut self, push: Reply) {
        if self.pushes.len() == PUSHES_MAX {
            self.pushes.pop_front();
        }
        self.pushes.push_back(push);
    }

    pub(crate) fn error(&self, failure: Failure) -> ClientError {
        at(&self.address, failure)
    }
}

/// For those who wait for several things at once. Bytes may be there though the socket is silent: read until nothing comes first.
impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn at(address: &Address, failure: Failure) -> ClientError {
    ClientError { address: address.clone(), failure }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests;
