//! MIGRATE: keys go to another server by DUMP and RESTORE.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use rivulet_commands::fail::{Fail, SYNTAX};
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

impl Node {
    /// Like Redis, this waits for the other server, at most for the time-out.
    pub fn migrate(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let id = by.id;
        let o = options(args)?;
        let timeout = rivulet_commands::parse::int(args.at(5))?;
        let db = rivulet_commands::parse::int(args.at(4))?;
        let timeout = Duration::from_millis(if timeout <= 0 { 1000 } else { timeout as u64 });
        let index = self.clients.at(id).session.db;
        let now_ms = self.unix_ms();
        let mut stream = Vec::new();
        let mut replies = 0;
        if !o.auth.is_empty() {
            let words: Vec<&[u8]> = [b"AUTH".as_slice()].into_iter().chain(o.auth.iter().map(Vec::as_slice)).collect();
            append_command(&mut stream, words.into_iter());
            replies += 1;
        }
        append_command(&mut stream, [b"SELECT".as_slice(), db.to_string().as_bytes()].into_iter());
        replies += 1;
        let mut sent = Vec::new();
        for name in &o.keys {
            let source = self.engine.keyspace.db(index);
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
            append_command(&mut stream, words.into_iter());
            sent.push(name.clone());
        }
        if sent.is_empty() {
            by.reply.simple("NOKEY");
            return Ok(());
        }
        // What is no port is one that nobody listens on, as in Redis.
        let port = rivulet_commands::parse::int(args.at(2)).ok().and_then(|port| u16::try_from(port).ok());
        let target = (String::from_utf8_lossy(args.at(1)).into_owned(), port.unwrap_or(0));
        let answers = exchange(&target, &stream, replies + sent.len(), timeout)
            .map_err(|e| Fail::text(format!("IOERR error or timeout {e}")))?;
        let mut first_error = None;
        let mut moved = Vec::new();
        for (i, line) in answers.into_iter().enumerate() {
            if line.first() == Some(&b'-') {
                first_error.get_or_insert(line);
                if i < replies {
                    break;
                }
            } else if i >= replies {
                moved.push(sent[i - replies].clone());
            }
        }
        if !o.copy && !moved.is_empty() {
            self.with_data(index, |data| {
                for name in &moved {
                    let key = data.key(name);
                    data.delete(key, false);
                    data.changed(name, rivulet_commands::effects::class::GENERIC, "del");
                }
            });
            let words: Vec<&[u8]> = [b"DEL".as_slice()].into_iter().chain(moved.iter().map(Vec::as_slice)).collect();
            self.persist.data.dirty += moved.len() as u64;
            self.engine.unit.commands.push((index, OwnedArgs::from_slices(&words)));
        }
        match first_error {
            Some(line) => Err(Fail::text(format!(
                "ERR Target instance replied with error: {}",
                String::from_utf8_lossy(&line[1..])
            ))),
            None => {
                by.reply.ok();
                Ok(())
            }
        }
    }
}

/// Sends all, and reads so many one-line replies.
fn exchange(
    target: &(String, u16),
    bytes: &[u8],
    replies: usize,
    timeout: Duration,
) -> Result<Vec<Vec<u8>>, &'static str> {
    const CONNECTING: &str = "connecting to the client";
    const WRITING: &str = "writing to target instance";
    const READING: &str = "reading to target instance";
    let address = (target.0.as_str(), target.1).to_socket_addrs().ok().and_then(|mut a| a.next()).ok_or(CONNECTING)?;
    // Redis, which does not wait for the connection, finds at the first write that there is none.
    let mut stream = TcpStream::connect_timeout(&address, timeout).map_err(|_| WRITING)?;
    stream
        .set_read_timeout(Some(timeout))
        .and_then(|()| stream.set_write_timeout(Some(timeout)))
        .map_err(|_| CONNECTING)?;
    stream.write_all(bytes).map_err(|_| WRITING)?;
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
