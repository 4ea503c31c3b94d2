//! What is brought to another server: it owns all that it needs, waits for each byte, and so runs on a thread of its own, or where everybody may wait.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use rivulet_net::{BlockingTls, TlsContext};

/// How the parts of an errand are named to the client when they fail.
pub const CONNECTING: &str = "connecting to the client";
const WRITING: &str = "writing to target instance";
const READING: &str = "reading to target instance";
/// No server has more to say about a key; what does is none.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Another server, and who is logged in there.
#[derive(Clone)]
pub struct Target {
    pub host: String,
    pub port: u16,
    /// AUTH's arguments, if there are any.
    pub login: Vec<Vec<u8>>,
    /// By what it is spoken to, if servers speak TLS among each other.
    pub tls: Option<TlsContext>,
}

impl Target {
    /// Whether a connection to one is as good as to the other.
    pub fn is_same(&self, other: &Target) -> bool {
        (&self.host, self.port, &self.login, self.tls.is_some())
            == (&other.host, other.port, &other.login, other.tls.is_some())
    }
}

/// What is brought to another server.
pub struct Errand {
    pub target: Target,
    /// How long the other server may be silent, each time it is waited for.
    pub timeout: Duration,
    pub bytes: Vec<u8>,
    /// So many lines come back.
    pub replies: usize,
    /// A connection that was used before.
    pub kept: Option<Connection>,
}

/// What came of it.
pub struct Outcome {
    /// Replies without their line ends, as many as came.
    pub replies: Vec<Vec<u8>>,
    /// Why there are no more of them.
    pub failed: Option<&'static str>,
    /// The connection, if it can be used again.
    pub connection: Option<Connection>,
}

impl Outcome {
    /// Of an errand whose end is not known.
    pub fn lost() -> Outcome {
        Outcome::failed(READING)
    }

    fn failed(text: &'static str) -> Outcome {
        Outcome { replies: Vec::new(), failed: Some(text), connection: None }
    }
}

/// A connection that is waited for.
pub enum Connection {
    Plain(TcpStream),
    Tls(Box<BlockingTls>),
}

impl Errand {
    /// Brings it there, and waits for the replies.
    pub fn run(mut self) -> Outcome {
        if let Some(kept) = self.kept.take() {
            let (outcome, error) = self.exchange(kept);
            // The other server may have closed it long ago. One that is merely silent is not asked twice.
            let is_stale = error.is_some_and(|kind| !is_timeout(kind)) && outcome.replies.is_empty();
            if !is_stale {
                return outcome;
            }
        }
        match connect(&self.target, self.timeout) {
            Ok(connection) => self.exchange(connection).0,
            Err(text) => Outcome::failed(text),
        }
    }

    /// Sends all, and reads the replies; answers also how the connection failed, if it did.
    fn exchange(&self, mut connection: Connection) -> (Outcome, Option<io::ErrorKind>) {
        let mut lines = Lines::default();
        let sent = connection
            .set_timeout(self.timeout)
            .and_then(|()| connection.write_all(&self.bytes))
            .and_then(|()| connection.flush());
        let result = match sent {
            Ok(()) => lines.read(&mut connection, self.replies).map_err(|e| (READING, e.kind())),
            Err(e) => Err((WRITING, e.kind())),
        };
        let (failed, kind) = result.err().unzip();
        let is_clean = failed.is_none() && lines.is_at_end;
        let connection = is_clean.then_some(connection);
        (Outcome { replies: lines.whole, failed, connection }, kind)
    }
}

fn is_timeout(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A connection to another server.
fn connect(target: &Target, timeout: Duration) -> Result<Connection, &'static str> {
    let mut addresses = (target.host.as_str(), target.port).to_socket_addrs().map_err(|_| CONNECTING)?;
    let address = addresses.next().ok_or(CONNECTING)?;
    // Redis, which does not wait for the connection, finds at the first write that there is none.
    let stream = TcpStream::connect_timeout(&address, timeout).map_err(|_| WRITING)?;
    let _ = stream.set_nodelay(true);
    let Some(context) = &target.tls else { return Ok(Connection::Plain(stream)) };
    let tls = context.blocking_client(stream, address.ip()).map_err(|_| CONNECTING)?;
    Ok(Connection::Tls(Box::new(tls)))
}

/// One-line replies.
#[derive(Default)]
struct Lines {
    whole: Vec<Vec<u8>>,
    begun: Vec<u8>,
    /// Nothing was said beyond what was asked.
    is_at_end: bool,
}

impl Lines {
    /// Reads so many.
    fn read(&mut self, from: &mut impl Read, count: usize) -> io::Result<()> {
        let mut buffer = [0u8; 4096];
        while self.whole.len() < count {
            let n = from.read(&mut buffer)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut bytes = &buffer[..n];
            while let Some(end) = bytes.iter().position(|c| *c == b'\n').filter(|_| self.whole.len() < count) {
                let mut line = std::mem::take(&mut self.begun);
                line.extend_from_slice(&bytes[..end]);
                line.pop_if(|last| *last == b'\r');
                self.whole.push(line);
                bytes = &bytes[end + 1..];
            }
            self.begun.extend_from_slice(bytes);
            if self.begun.len() > LINE_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        self.is_at_end = self.begun.is_empty();
        Ok(())
    }
}

impl Connection {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        let socket = match self {
            Connection::Plain(stream) => stream,
            Connection::Tls(stream) => stream.get_ref(),
        };
        socket.set_read_timeout(Some(timeout))?;
        socket.set_write_timeout(Some(timeout))
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Connection::Plain(stream) => stream.read(buffer),
            Connection::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Connection::Plain(stream) => stream.write(bytes),
            Connection::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Connection::Plain(stream) => stream.flush(),
            Connection::Tls(stream) => stream.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Bytes that come one at a time.
    struct Slowly(Cursor<Vec<u8>>);

    impl Read for Slowly {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(&mut buffer[..1])
        }
    }

    #[test]
    fn so_many_lines_are_read_as_were_asked_for() {
        let said = b"+OK\r\n-ERR no\n\r\n+more\r\n".to_vec();
        for slowly in [true, false] {
            for count in 0..=4 {
                let mut lines = Lines::default();
                let result = match slowly {
                    true => lines.read(&mut Slowly(Cursor::new(said.clone())), count),
                    false => lines.read(&mut Cursor::new(said.clone()), count),
                };
                result.expect("there are as many");
                let all: [&[u8]; 4] = [b"+OK", b"-ERR no", b"", b"+more"];
                assert_eq!(lines.whole, all[..count]);
                assert_eq!(lines.is_at_end, slowly || count == 4 || count == 0, "{count}");
            }
        }
        let mut lines = Lines::default();
        let error = lines.read(&mut Cursor::new(said), 5).expect_err("there are fewer");
        assert_eq!((error.kind(), lines.whole.len()), (io::ErrorKind::UnexpectedEof, 4));
    }

    #[test]
    fn a_line_without_an_end_is_no_reply() {
        let mut lines = Lines::default();
        let error = lines.read(&mut io::repeat(b'x'), 1).expect_err("it has no end");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(lines.begun.len() <= LINE_BYTES_MAX + 4096);
    }
}
