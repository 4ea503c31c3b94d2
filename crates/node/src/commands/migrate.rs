//! MIGRATE: keys go to another server by DUMP and RESTORE.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use rivulet_commands::fail::{Fail, SYNTAX};
use rivulet_net::BlockingTls;
use rivulet_rdb::dump;
use rivulet_rdb::write::{Version, Writer};
use rivulet_resp::{Args, OwnedArgs, append_command};

use crate::engine::asker::Asker;
use crate::node::Node;

struct Options {
    copy: bool,
    replace: bool,
    auth: Vec<Vec<u8>>,
    keys: Vec<Vec<u8>>,
}

fn options(args: Args<'_>) -> Result<Options, Fail> {
    let mut o = Options { copy: false, replace: false, auth: Vec::new(), keys: vec![args.at(3).to_vec()] };
    let mut at = 6;
    while at < args.len() {
        let left = args.len() - at - 1;
        if args.is(at, "copy") {
            o.copy = true;
        } else if args.is(at, "replace") {
            o.replace = true;
        } else if args.is(at, "auth") && left >= 1 {
            o.auth = vec![args.at(at + 1).to_vec()];
            at += 1;
        } else if args.is(at, "auth2") && left >= 2 {
            o.auth = vec![args.at(at + 1).to_vec(), args.at(at + 2).to_vec()];
            at += 2;
        } else if args.is(at, "keys") {
            if !args.at(3).is_empty() {
                return Err(Fail::new(
                    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                ));
            }
            o.keys = args.iter().skip(at + 1).map(<[u8]>::to_vec).collect();
            break;
        } else {
            return Err(SYNTAX);
        }
        at += 1;
    }
    Ok(o)
}

/// What is sent to the other server.
struct Request {
    bytes: Vec<u8>,
    /// So many commands come before those of the keys.
    before: usize,
    /// The keys, in the order of their commands.
    keys: Vec<Vec<u8>>,
}

impl Request {
    fn begin(auth: &[Vec<u8>], db: i64) -> Request {
        let mut request = Request { bytes: Vec::new(), before: 0, keys: Vec::new() };
        if !auth.is_empty() {
            let words: Vec<&[u8]> = [b"AUTH".as_slice()].into_iter().chain(auth.iter().map(Vec::as_slice)).collect();
            append_command(&mut request.bytes, words.into_iter());
            request.before += 1;
        }
        append_command(&mut request.bytes, [b"SELECT".as_slice(), db.to_string().as_bytes()].into_iter());
        request.before += 1;
        request
    }

    /// The keys that the other server has taken, by its answers, and the first error among these.
    fn moved(self, answers: Vec<Vec<u8>>) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
        let mut first_error = None;
        let mut moved = Vec::new();
        for (i, line) in answers.into_iter().enumerate() {
            if line.first() == Some(&b'-') {
                first_error.get_or_insert(line);
                if i < self.before {
                    break;
                }
            } else if i >= self.before {
                moved.push(self.keys[i - self.before].clone());
            }
        }
        (moved, first_error)
    }
}

impl Node {
    /// Like Redis, this waits for the other server, at most for the time-out.
    pub fn migrate(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let o = options(args)?;
        let timeout = rivulet_commands::parse::int(args.at(5))?;
        let db = rivulet_commands::parse::int(args.at(4))?;
        let timeout = Duration::from_millis(if timeout <= 0 { 1000 } else { timeout as u64 });
        let index = self.clients.at(by.id).session.db;
        let mut request = Request::begin(&o.auth, db);
        self.add_keys(&mut request, index, &o);
        if request.keys.is_empty() {
            by.reply.simple("NOKEY");
            return Ok(());
        }
        // What is no port is one that nobody listens on, as in Redis.
        let port = rivulet_commands::parse::int(args.at(2)).ok().and_then(|port| u16::try_from(port).ok());
        let target = (String::from_utf8_lossy(args.at(1)).into_owned(), port.unwrap_or(0));
        let replies = request.before + request.keys.len();
        let answers = self
            .connect_to_target(&target, timeout)
            .and_then(|mut connection| exchange(&mut connection, &request.bytes, replies))
            .map_err(|e| Fail::text(format!("IOERR error or timeout {e}")))?;
        let (moved, first_error) = request.moved(answers);
        if !o.copy && !moved.is_empty() {
            self.delete_moved(index, &moved);
        }
        if let Some(line) = first_error {
            let text = String::from_utf8_lossy(&line[1..]);
            return Err(Fail::text(format!("ERR Target instance replied with error: {text}")));
        }
        by.reply.ok();
        Ok(())
    }

    /// A connection to the other server: with TLS, if servers speak that among each other.
    fn connect_to_target(&self, target: &(String, u16), timeout: Duration) -> Result<Connection, &'static str> {
        let address =
            (target.0.as_str(), target.1).to_socket_addrs().ok().and_then(|mut a| a.next()).ok_or(CONNECTING)?;
        // Redis, which does not wait for the connection, finds at the first write that there is none.
        let stream = TcpStream::connect_timeout(&address, timeout).map_err(|_| WRITING)?;
        stream
            .set_read_timeout(Some(timeout))
            .and_then(|()| stream.set_write_timeout(Some(timeout)))
            .map_err(|_| CONNECTING)?;
        if !self.config.tls_cluster {
            return Ok(Connection::Plain(stream));
        }
        let context = self.front.tls.as_ref().ok_or(CONNECTING)?;
        context.blocking_client(stream, address.ip()).map(|tls| Connection::Tls(Box::new(tls))).map_err(|_| CONNECTING)
    }

    /// Adds a RESTORE for each key that is there.
    fn add_keys(&self, request: &mut Request, index: usize, o: &Options) {
        let now_ms = self.unix_ms();
        let source = self.engine.keyspace.db(index);
        for name in &o.keys {
            let Some(entry) = source.find(source.key(name)) else { continue };
            let ttl = match entry.deadline() {
                Some(at) if at <= now_ms => continue,
                Some(at) => at - now_ms,
                None => 0,
            };
            let mut payload = Vec::new();
            dump::dump(
                &mut Writer::new(Version::DEFAULT, self.config.rdbcompression),
                entry.value().as_ref(),
                &mut payload,
            );
            let ttl = ttl.to_string();
            let mut words: Vec<&[u8]> = vec![b"RESTORE", name, ttl.as_bytes(), &payload];
            if o.replace {
                words.push(b"REPLACE");
            }
            append_command(&mut request.bytes, words.into_iter());
            request.keys.push(name.clone());
        }
    }

    /// Deletes what the other server has now.
    fn delete_moved(&mut self, index: usize, moved: &[Vec<u8>]) {
        self.with_data(index, |data| {
            for name in moved {
                let key = data.key(name);
                data.delete(key, false);
                data.changed(name, rivulet_commands::effects::class::GENERIC, "del");
            }
        });
        let words: Vec<&[u8]> = [b"DEL".as_slice()].into_iter().chain(moved.iter().map(Vec::as_slice)).collect();
        self.persist.saving.dirty += moved.len() as u64;
        self.engine.unit.commands.push((index, OwnedArgs::from_slices(&words)));
    }
}

const CONNECTING: &str = "connecting to the client";
const WRITING: &str = "writing to target instance";
const READING: &str = "reading to target instance";

/// A connection that is waited for.
enum Connection {
    Plain(TcpStream),
    Tls(Box<BlockingTls>),
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

/// Sends all, and reads so many one-line replies.
fn exchange(stream: &mut Connection, bytes: &[u8], replies: usize) -> Result<Vec<Vec<u8>>, &'static str> {
    stream.write_all(bytes).and_then(|()| stream.flush()).map_err(|_| WRITING)?;
    let (mut lines, mut line, mut buffer) = (Vec::new(), Vec::new(), [0u8; 4096]);
    while lines.len() < replies {
        let n = stream.read(&mut buffer).map_err(|_| READING)?;
        if n == 0 {
            return Err(READING);
        }
        for &c in &buffer[..n] {
            if c == b'\n' {
                line.pop();
                lines.push(std::mem::take(&mut line));
            } else {
                line.push(c);
            }
        }
    }
    Ok(lines)
}
