//! CLIENT: who is connected, and who is to go.

use rivulet_commands::parse;
use rivulet_resp::{Args, Reply};

use crate::clients::{Client, ReplyMode};
use crate::commands::{Answered, checked_name};
use crate::program::Program;

const SYNTAX: &str = "ERR syntax error";
const NOT_HERE: &str = "ERR a Sentinel has no data, so this is not supported here";

const HELP: [(&str, &str); 12] = [
    ("GETNAME", "The name of this connection."),
    ("GETREDIR", "Where invalidations go; nowhere, at a Sentinel."),
    ("ID", "The id of this connection."),
    ("INFO", "Facts about this connection."),
    ("KILL <ip:port>", "Close the connection of that address."),
    ("KILL <option> <value> [<option> <value> [...]]", "Close connections: ADDR, LADDR, TYPE, USER, ID, SKIPME."),
    ("LIST [TYPE (NORMAL|PUBSUB|MASTER|REPLICA)] [ID <id> ...]", "Facts about connections."),
    ("NO-EVICT (ON|OFF)", "Taken; a Sentinel evicts nobody."),
    ("REPLY (ON|OFF|SKIP)", "Whether replies are sent."),
    ("SETINFO <option> <value>", "Taken."),
    ("SETNAME <name>", "Give this connection a name."),
    ("HELP", "Print this help."),
];

/// Which clients CLIENT KILL means.
#[derive(Default)]
struct Filter {
    id: Option<u64>,
    address: Option<String>,
    local_address: Option<String>,
    kind: Option<&'static str>,
    user: Option<Vec<u8>>,
    skips_me: bool,
}

impl Filter {
    fn parse(program: &Program, args: Args<'_>) -> Result<Filter, String> {
        let mut filter = Filter { skips_me: true, ..Filter::default() };
        let mut at = 2;
        while at < args.len() {
            let value = args.get(at + 1).ok_or(SYNTAX)?;
            let text = String::from_utf8_lossy(value).into_owned();
            if args.is(at, "id") {
                let id = parse::int(value).ok().and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0);
                filter.id = Some(id.ok_or("ERR client-id should be greater than 0")?);
            } else if args.is(at, "addr") {
                filter.address = Some(text);
            } else if args.is(at, "laddr") {
                filter.local_address = Some(text);
            } else if args.is(at, "user") {
                if program.users.get(value).is_none() {
                    return Err(format!("ERR No such user '{text}'"));
                }
                filter.user = Some(value.to_vec());
            } else if args.is(at, "type") {
                filter.kind = Some(kind(value)?);
            } else if args.is(at, "skipme") {
                filter.skips_me = match text.to_ascii_lowercase().as_str() {
                    "yes" => true,
                    "no" => false,
                    _ => return Err(SYNTAX.into()),
                };
            } else {
                return Err(SYNTAX.into());
            }
            at += 2;
        }
        Ok(filter)
    }

    fn fits(&self, client: &Client, me: u64) -> bool {
        !client.is_internal
            && self.id.is_none_or(|id| id == client.id)
            && self.address.as_ref().is_none_or(|address| *address == client.address)
            && self.local_address.as_ref().is_none_or(|address| *address == client.local_address)
            && self.kind.is_none_or(|kind| kind == kind_of(client))
            && self.user.as_ref().is_none_or(|user| client.user.as_ref() == Some(user))
            && !(self.skips_me && client.id == me)
    }
}

fn kind(word: &[u8]) -> Result<&'static str, String> {
    match word.to_ascii_lowercase().as_slice() {
        b"normal" => Ok("normal"),
        b"pubsub" => Ok("pubsub"),
        b"slave" | b"replica" => Ok("replica"),
        b"master" => Ok("master"),
        _ => Err(format!("ERR Unknown client type '{}'", String::from_utf8_lossy(word))),
    }
}

fn kind_of(client: &Client) -> &'static str {
    if client.subscriptions.len() > 0 { "pubsub" } else { "normal" }
}

impl Program {
    pub fn client_command(&mut self, id: u64, args: Args<'_>, reply: &mut Reply<'_>) -> Answered {
        let now_ms = self.now_ms;
        let Some(client) = self.clients.get_mut(&id) else { return Ok(()) };
        let sub = String::from_utf8_lossy(args.at(1)).to_ascii_lowercase();
        match (sub.as_str(), args.len()) {
            ("id", 2) => reply.int(id as i64),
            ("getname", 2) if client.name.is_empty() => reply.null(),
            ("getname", 2) => reply.bulk(&client.name),
            ("setname", 3) => {
                client.name = checked_name(args.at(2))?;
                reply.ok();
            }
            ("info", 2) => reply.verbatim("txt", (client.line(now_ms) + "\n").as_bytes()),
            ("list", _) => reply.verbatim("txt", self.client_list(args)?.as_bytes()),
            ("kill", count) if count >= 3 => self.client_kill(id, args, reply)?,
            ("reply", 3) => client.set_reply_mode(args, reply)?,
            ("no-evict" | "no-touch", 3) => {
                client.no_evict = match args.at(2).to_ascii_lowercase().as_slice() {
                    b"on" => true,
                    b"off" => false,
                    _ => return Err(SYNTAX.into()),
                };
                reply.ok();
            }
            ("setinfo", 4) => reply.ok(),
            ("getredir", 2) => reply.int(-1),
            ("unblock", 3 | 4) => reply.int(0),
            ("tracking" | "caching" | "trackinginfo" | "pause" | "unpause", _) => return Err(NOT_HERE.into()),
            ("help", 2) => help(reply),
            (
                "id" | "getname" | "setname" | "info" | "kill" | "reply" | "no-evict" | "setinfo" | "getredir"
                | "unblock",
                _,
            ) => {
                return Err(format!("ERR wrong number of arguments for 'client|{sub}' command"));
            }
            _ => {
                let name: String = String::from_utf8_lossy(args.at(1)).chars().take(128).collect();
                return Err(format!("ERR unknown subcommand '{name}'. Try CLIENT HELP."));
            }
        }
        Ok(())
    }

    fn client_list(&self, args: Args<'_>) -> Result<String, String> {
        let all = self.clients.values().filter(|client| !client.is_internal);
        let chosen: Vec<&Client> = if args.len() == 4 && args.is(2, "type") {
            let kind = kind(args.at(3))?;
            all.filter(|client| kind_of(client) == kind).collect()
        } else if args.len() > 3 && args.is(2, "id") {
            let ids: Result<Vec<i64>, _> = args.iter().skip(3).map(parse::int).collect();
            let ids = ids.map_err(|_| "ERR Invalid client ID")?;
            all.filter(|client| ids.contains(&(client.id as i64))).collect()
        } else if args.len() == 2 {
            all.collect()
        } else {
            return Err(SYNTAX.into());
        };
        Ok(chosen.into_iter().map(|client| client.line(self.now_ms) + "\n").collect())
    }

    fn client_kill(&mut self, id: u64, args: Args<'_>, reply: &mut Reply<'_>) -> Answered {
        let is_old_form = args.len() == 3;
        let filter = if is_old_form {
            Filter { address: Some(String::from_utf8_lossy(args.at(2)).into_owned()), ..Filter::default() }
        } else {
            Filter::parse(self, args)?
        };
        let mut count = 0;
        for client in self.clients.values_mut().filter(|client| filter.fits(client, id) && !client.is_closing) {
            count += 1;
            if client.id == id { client.closes_after_reply = true } else { client.is_closing = true }
        }
        match (is_old_form, count) {
            (true, 0) => return Err("ERR No such client".into()),
            (true, _) => reply.ok(),
            (false, _) => reply.int(count),
        }
        Ok(())
    }
}

impl Client {
    /// CLIENT LIST's line, in the form of Redis 7.0.
    pub fn line(&self, now_ms: u64) -> String {
        let client = self;
        let seconds = |since: u64| now_ms.saturating_sub(since) / 1000;
        let fd = client.stream.descriptor().map_or(-1, i64::from);
        let subscriptions = &client.subscriptions;
        let mut flags = String::new();
        for (is_set, flag) in [
            (subscriptions.len() > 0, 'P'),
            (client.waits_for.is_some(), 'b'),
            (client.closes_after_reply, 'c'),
            (client.is_closing, 'A'),
            (client.is_unix, 'U'),
            (client.no_evict, 'e'),
        ] {
            flags.extend(is_set.then_some(flag));
        }
        if flags.is_empty() {
            flags.push('N');
        }
        format!(
            "id={} addr={} laddr={} fd={fd} name={} age={} idle={} flags={flags} db=0 sub={} psub={} ssub=0 multi=-1 qbuf={} qbuf-free={} argv-mem=0 multi-mem=0 rbs={} rbp=0 obl={} oll=0 omem=0 tot-mem={} events={} cmd={} user={} redir=-1 resp={}",
            client.id,
            client.address,
            client.local_address,
            String::from_utf8_lossy(&client.name),
            seconds(client.created_ms),
            seconds(client.active_ms),
            subscriptions.channels.len(),
            subscriptions.patterns.len(),
            client.input.len(),
            client.input.capacity() - client.input.len(),
            client.output.capacity(),
            client.output.len(),
            client.input.capacity() + client.output.capacity(),
            if client.output.is_empty() { "r" } else { "rw" },
            client.last_command,
            client.user.as_deref().map_or("(none)".into(), String::from_utf8_lossy),
            if client.is_resp3 { 3 } else { 2 },
        )
    }

    fn set_reply_mode(&mut self, args: Args<'_>, reply: &mut Reply<'_>) -> Answered {
        if args.is(2, "on") {
            self.reply_mode = ReplyMode::On;
            reply.ok();
        } else if args.is(2, "off") {
            self.reply_mode = ReplyMode::Off;
        } else if args.is(2, "skip") {
            // Nothing is sent for this command either.
            if self.reply_mode != ReplyMode::Off {
                self.reply_mode = ReplyMode::SkipNext;
            }
        } else {
            return Err(SYNTAX.into());
        }
        Ok(())
    }
}

fn help(reply: &mut Reply<'_>) {
    reply.array(1 + HELP.len() * 2);
    reply.simple("CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for (usage, text) in HELP {
        reply.simple(usage);
        reply.simple(&format!("    {text}"));
    }
}
