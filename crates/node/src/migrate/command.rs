//! MIGRATE's words, and what they become: a RESTORE for each key that is there.

use std::time::Duration;

use rivulet_commands::Command;
use rivulet_commands::fail::{Fail, SYNTAX};
use rivulet_commands::parse;
use rivulet_engine::asker::{Asker, Origin};
use rivulet_rdb::dump;
use rivulet_rdb::write::{Version, Writer};
use rivulet_resp::{Args, append_command};

use super::errand::{CONNECTING, Errand, Target};
use super::{Asked, Moving};
use crate::node::Node;

/// How long the other server may be silent if the client does not say, in ms.
const TIMEOUT_MS: u64 = 1000;

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
}

impl Node {
    /// Keys go to another server. The client waits until that has taken them; in a transaction or a script everybody does, as in Redis.
    pub fn migrate(&mut self, by: &mut Asker<'_>, command: &'static Command, args: Args<'_>) -> Result<(), Fail> {
        let o = options(args)?;
        let timeout = parse::int(args.at(5))?;
        let db = parse::int(args.at(4))?;
        let timeout_ms = u64::try_from(timeout).ok().filter(|ms| *ms > 0).unwrap_or(TIMEOUT_MS);
        let client = self.clients.at(by.id);
        let (index, is_master) = (client.session.db, client.is_master());
        let mut request = Request::begin(&o.auth, db);
        self.add_keys(&mut request, index, &o);
        if request.keys.is_empty() {
            by.reply.simple("NOKEY");
            return Ok(());
        }
        let target = self.target(args, o.auth)?;
        let Request { bytes, before, keys } = request;
        let (timeout, replies) = (Duration::from_millis(timeout_ms), before + keys.len());
        let mut errand = Errand { target: target.clone(), timeout, bytes, replies, kept: None };
        let client = Some(by.id);
        let lets_others_in = by.origin == Origin::Client && !is_master;
        let moving =
            Moving { client, db: index, copy: o.copy, before, keys, target, is_abandoned: false, lets_others_in };
        if lets_others_in {
            let asked = Asked { command, args: args.to_owned(), at_us: self.clock.now_us };
            self.send_away(by.id, moving, asked, errand);
            return Ok(());
        }
        errand.kept = self.migrate.sockets.take(&moving.target);
        self.conclude(moving, errand.run())?;
        by.reply.ok();
        Ok(())
    }

    /// The other server: by TLS, if servers speak that among each other.
    fn target(&self, args: Args<'_>, login: Vec<Vec<u8>>) -> Result<Target, Fail> {
        let host = String::from_utf8_lossy(args.at(1)).into_owned();
        // What is no port is one that nobody listens on, as in Redis.
        let port = parse::int(args.at(2)).ok().and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
        let tls = self.config.tls_cluster.then(|| self.front.tls.clone());
        match tls {
            Some(None) => Err(Fail::text(format!("IOERR error or timeout {CONNECTING}"))),
            tls => Ok(Target { host, port, login, tls: tls.flatten() }),
        }
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
}
