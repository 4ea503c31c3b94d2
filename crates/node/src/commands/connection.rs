//! The connection's own commands: PING, SELECT, AUTH, HELLO, RESET, MONITOR.

use rivulet_commands::Command;
use rivulet_commands::fail::{DB_OUT_OF_RANGE, Fail};
use rivulet_config::is_sensitive;
use rivulet_engine::asker::{Asker, Origin};
use rivulet_engine::client_id::ClientId;
use rivulet_engine::session::{Kind, ReplyMode, Wishes};
use rivulet_replication::verify::Marker;
use rivulet_resp::{Args, Reply};

use crate::front::output::UNCOUNTED_BYTES;
use crate::node::Node;
use crate::{REDIS_VERSION, clock};

const HELLO_WITHOUT_AUTH: Fail = Fail::new(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
);

fn asks_for_resp3(version: &[u8]) -> Result<bool, Fail> {
    let version = rivulet_commands::parse::int(version)
        .map_err(|_| Fail::new("ERR Protocol version is not an integer or out of range"))?;
    match version {
        2 => Ok(false),
        3 => Ok(true),
        _ => Err(Fail::new("NOPROTO unsupported protocol version")),
    }
}

impl Node {
    pub fn ping(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let id = by.id;
        if args.len() > 2 {
            return Err(Fail::arity("ping"));
        }
        if let Some(marker) = args.get(1).and_then(Marker::parse)
            && self.replication.link.as_ref().is_some_and(|link| link.incoming.client == id)
        {
            self.marker_came(&marker);
        }
        let client = self.clients.at(id);
        if !client.session.subscriptions.is_empty() && !client.session.resp3 {
            let reply = &mut by.reply;
            reply.array(2);
            reply.bulk(b"pong");
            reply.bulk(args.get(1).unwrap_or(b""));
        } else {
            match args.get(1) {
                Some(text) => by.reply.bulk(text),
                None => by.reply.simple("PONG"),
            }
        }
        Ok(())
    }

    pub fn select(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let id = by.id;
        const NO_C_INT: Fail = Fail::new("ERR value is out of range, value must between -2147483648 and 2147483647");
        let db = i32::try_from(rivulet_commands::parse::int(args.at(1))?).map_err(|_| NO_C_INT)?;
        let db = usize::try_from(db).ok().filter(|&db| db < self.engine.keyspace.databases()).ok_or(DB_OUT_OF_RANGE)?;
        self.clients.at(id).session.db = db;
        by.reply.ok();
        Ok(())
    }

    pub fn hello(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let id = by.id;
        let was_resp3 = self.clients.at(id).session.resp3;
        let resp3 = match args.get(1) {
            Some(version) => asks_for_resp3(version)?,
            None => was_resp3,
        };
        let name = self.hello_options(by, args)?;
        if !self.clients.at(id).session.login.proven {
            return Err(HELLO_WITHOUT_AUTH);
        }
        let client = self.clients.at(id);
        client.session.resp3 = resp3;
        by.reply.set_resp3(resp3);
        if let Some(name) = name {
            client.session.name = name;
        }
        let role: &[u8] = if self.is_replica() { b"replica" } else { b"master" };
        let reply = &mut by.reply;
        reply.map(7);
        let mut pair = |name: &[u8], value: &dyn Fn(&mut Reply<'_>)| {
            reply.bulk(name);
            value(reply);
        };
        pair(b"server", &|r| r.bulk(b"redis"));
        pair(b"version", &|r| r.bulk(REDIS_VERSION.as_bytes()));
        pair(b"proto", &|r| r.int(if resp3 { 3 } else { 2 }));
        pair(b"id", &|r| r.int(id as i64));
        pair(b"mode", &|r| r.bulk(b"standalone"));
        pair(b"role", &|r| r.bulk(role));
        pair(b"modules", &|r| r.array(0));
        Ok(())
    }

    /// The options of HELLO: logs in, and answers the client's name.
    fn hello_options(&mut self, by: &Asker<'_>, args: Args<'_>) -> Result<Option<Vec<u8>>, Fail> {
        let mut name = None;
        let mut at = 2;
        while at < args.len() {
            if args.is(at, "auth") && at + 2 < args.len() {
                self.log_in(by, args, args.at(at + 1), args.at(at + 2))?;
                at += 3;
            } else if args.is(at, "setname") && at + 1 < args.len() {
                check_client_name(args.at(at + 1))?;
                name = Some(args.at(at + 1).to_vec());
                at += 2;
            } else {
                let mut text = b"ERR Syntax error in HELLO option '".to_vec();
                text.extend(args.at(at));
                text.push(b'\'');
                return Err(Fail::bytes(text));
            }
        }
        Ok(name)
    }

    /// RESET: the connection is as if it were new.
    pub fn reset_client(&mut self, by: &mut Asker<'_>) -> Result<(), Fail> {
        let id = by.id;
        let client = self.clients.at(id);
        if !matches!(client.session.kind, Kind::Normal | Kind::Pubsub) {
            return Err(Fail::new("ERR can only reset normal client connections"));
        }
        client.session.multi = None;
        self.unwatch_all(id);
        self.unsubscribe_all(id);
        self.stop_tracking(id);
        self.ops.monitors.remove(&id);
        let login = self.login_of_newcomers();
        self.clients.set_login(id, login);
        let client = self.clients.at(id);
        client.session.monitor = false;
        client.session.kind = Kind::Normal;
        client.session.db = 0;
        client.session.resp3 = false;
        by.reply.set_resp3(false);
        client.session.name = Vec::new();
        client.no_evict = false;
        client.session.set_wishes(Wishes::default());
        client.session.replies.mode = ReplyMode::On;
        by.reply.simple("RESET");
        Ok(())
    }

    pub fn time(&mut self, by: &mut Asker<'_>) -> Result<(), Fail> {
        let us = self.unix_us();
        let reply = &mut by.reply;
        reply.array(2);
        reply.bulk_int((us / 1_000_000) as i64);
        // Redis answers both as strings.
        reply.bulk_int((us % 1_000_000) as i64);
        Ok(())
    }

    pub fn monitor(&mut self, by: &mut Asker<'_>) -> Result<(), Fail> {
        let id = by.id;
        if by.origin == Origin::Exec {
            return Err(Fail::new("ERR MONITOR isn't allowed for DENY BLOCKING client"));
        }
        let client = self.clients.at(id);
        // A replica's link shows nothing but the stream.
        if !client.is_replica() {
            if !client.session.monitor {
                client.session.monitor = true;
                self.ops.monitors.insert(id);
            }
            by.reply.ok();
        }
        Ok(())
    }

    /// Shows a command, and the database that its client is in now, to those who monitor.
    pub fn feed_monitors(&mut self, id: ClientId, origin: Origin, args: Args<'_>) {
        let us = clock::unix_us();
        let Some(client) = self.clients.get(id) else { return };
        let from = if origin == Origin::Script {
            "lua".to_string()
        } else if client.connection.peer.is_unix {
            format!("unix:{}", self.config.unixsocket)
        } else {
            client.connection.peer.address.clone()
        };
        let mut line = format!("{}.{:06} [{} {from}]", us / 1_000_000, us % 1_000_000, client.session.db).into_bytes();
        let command = args.get(0).and_then(|name| self.find_command(name));
        for (i, arg) in args.iter().enumerate() {
            line.push(b' ');
            line.extend(rivulet_resp::inline::quote(if is_secret(command, args, i) { b"(redacted)" } else { arg }));
        }
        let monitors = std::mem::take(&mut self.ops.monitors);
        for &monitor in &monitors {
            if self.clients.get(monitor).is_some_and(|c| !c.connection.closing) {
                let mut reply = self.reply(monitor);
                reply.raw(b"+");
                reply.raw(&line);
                reply.raw(b"\r\n");
                let is_much = reply.written() > UNCOUNTED_BYTES;
                self.clients.queue_write(monitor);
                if is_much {
                    self.bound_pushes(monitor);
                }
            }
        }
        self.ops.monitors = monitors;
    }
}

/// Whether argument `i` is a password, or a name that goes with one: MONITOR and SLOWLOG do not show it. `command` is what the first word says here
/// (`rename-command`).
pub fn is_secret(command: Option<&Command>, args: Args<'_>, i: usize) -> bool {
    let follows = |word: &str, from: usize, places: usize| (1..=places).any(|n| i >= from + n && args.is(i - n, word));
    match command.map_or("", |command| command.name) {
        _ if i == 0 => false,
        "auth" => true,
        "acl" => i >= 2 && args.is(1, "setuser"),
        "hello" => follows("auth", 1, 2),
        "migrate" => follows("auth", MIGRATE_OPTIONS, 1) || follows("auth2", MIGRATE_OPTIONS, 2),
        "config" => args.is(1, "set") && i >= 3 && i % 2 == 1 && is_sensitive(args.at(i - 1)),
        _ => false,
    }
}

/// Where the options of MIGRATE begin.
const MIGRATE_OPTIONS: usize = 6;

/// A subcommand that exists has a form that does not.
pub fn wrong_subcommand(args: Args<'_>) -> Fail {
    let (container, word) = (args.at(0).to_ascii_uppercase(), args.at(1));
    let mut text = b"ERR unknown subcommand or wrong number of arguments for '".to_vec();
    text.extend(&word[..word.len().min(128)]);
    text.extend(b"'. Try ");
    text.extend(container);
    text.extend(b" HELP.");
    Fail::bytes(text)
}

/// A client's name has no spaces, newlines or unprintable characters.
pub fn check_client_name(name: &[u8]) -> Result<(), Fail> {
    if name.iter().all(|c| (b'!'..=b'~').contains(c)) {
        Ok(())
    } else {
        Err(Fail::new("ERR Client names cannot contain spaces, newlines or special characters."))
    }
}
