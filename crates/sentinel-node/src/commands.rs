//! What clients may call. SENTINEL is the core's; the rest is here.

use rivulet_acl::{DEFAULT, Reason};
use rivulet_commands::spec::flag;
use rivulet_commands::{Command, glob};
use rivulet_config::Level;
use rivulet_node::{REDIS_VERSION, log};
use rivulet_resp::{Args, Reply};
use rivulet_sentinel::{Done, hello::CHANNEL};

use crate::clients::ReplyMode;
use crate::command_table;
use crate::program::Program;
use crate::turn::Promise;

/// An error's text has its code.
pub type Answered = Result<(), String>;

const SYNTAX: &str = "ERR syntax error";
const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const HELLO_WITHOUT_AUTH: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";
const ONLY_HELLO: &str = "ERR Only HELLO messages are accepted by Sentinel instances.";

/// No subcommand has a longer name.
const SUBCOMMAND_LEN_MAX: usize = 32;
/// Commands of a RESP2 client that has subscribed.
const WHILE_SUBSCRIBED: [&str; 6] = ["subscribe", "psubscribe", "unsubscribe", "punsubscribe", "ping", "quit"];

impl Program {
    /// Executes one command of a client; the reply goes to its output.
    pub fn execute(&mut self, id: u64, args: Args<'_>) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if client.reply_mode == ReplyMode::SkipNext {
            client.reply_mode = ReplyMode::Skip;
        }
        let (mut out, is_resp3) = (Vec::new(), client.is_resp3);
        self.stats.commands += 1;
        let is_pages = self.visitors.is_some() && self.answer_page(id, args, &mut out);
        let answered = if is_pages { Ok(false) } else { self.dispatch(id, args, &mut out, false) };
        let is_promise = match answered {
            Ok(is_promise) => is_promise,
            Err(text) => {
                self.stats.errors += 1;
                out.clear();
                Reply::new(&mut out, is_resp3).error(text.as_bytes());
                false
            }
        };
        self.reply(id, &out, is_promise);
    }

    fn reply(&mut self, id: u64, out: &[u8], is_promise: bool) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        match client.reply_mode {
            ReplyMode::On | ReplyMode::SkipNext => {
                let start = client.output.len();
                client.output.extend_from_slice(out);
                if is_promise {
                    self.promises.push(Promise { client: id, at: start..start + out.len() });
                }
            }
            ReplyMode::Off => {}
            ReplyMode::Skip => client.reply_mode = ReplyMode::On,
        }
    }

    /// Executes a command; whether its reply is a promise.
    fn dispatch(&mut self, id: u64, args: Args<'_>, out: &mut Vec<u8>, is_again: bool) -> Result<bool, String> {
        let name = String::from_utf8_lossy(args.get(0).unwrap_or_default()).to_ascii_lowercase();
        let command = command_table::find(args).ok_or_else(|| unknown(args))?;
        let whole = command_table::table().find(name.as_bytes()).ok_or_else(|| unknown(args))?;
        command_table::check_arity(whole, args)?;
        self.admit(id, &name, command, args)?;
        if let Some(client) = self.clients.get_mut(&id) {
            // What is no name of a subcommand is not kept, nor shown in CLIENT LIST.
            let is_name = |sub: &&[u8]| sub.len() <= SUBCOMMAND_LEN_MAX && sub.iter().all(u8::is_ascii_graphic);
            let sub = args.get(1).filter(|_| command_table::is_container(whole)).filter(is_name);
            let sub = sub.map(|sub| format!("|{}", String::from_utf8_lossy(sub).to_ascii_lowercase()));
            client.last_command = format!("{name}{}", sub.unwrap_or_default());
        }
        let is_resp3 = self.clients.get(&id).is_some_and(|client| client.is_resp3);
        let mut reply = Reply::new(out, is_resp3);
        match name.as_str() {
            "sentinel" => {
                return match self.core.command(args, &mut reply, is_again)? {
                    Done::Replied => Ok(false),
                    Done::Promised => Ok(true),
                    Done::Waits(host) => {
                        if let Some(client) = self.clients.get_mut(&id) {
                            client.waits_for = Some((host, args.to_owned()));
                        }
                        Ok(false)
                    }
                };
            }
            "ping" => self.ping(id, args, &mut reply)?,
            "quit" => {
                reply.ok();
                if let Some(client) = self.clients.get_mut(&id) {
                    client.closes_after_reply = true;
                }
            }
            "role" => self.core.role(&mut reply),
            "info" => {
                let names: Vec<String> =
                    args.iter().skip(1).map(|name| String::from_utf8_lossy(name).to_ascii_lowercase()).collect();
                reply.verbatim("txt", self.info(&names).as_bytes());
            }
            "publish" if args.at(1) != CHANNEL.as_bytes() => return Err(ONLY_HELLO.into()),
            "publish" => {
                self.core.hear(args.at(2));
                reply.int(1);
            }
            "auth" => self.auth(id, args, &mut reply)?,
            "hello" => self.hello(id, args, &mut reply)?,
            "client" => self.client_command(id, args, &mut reply)?,
            "acl" => return self.acl(id, command, args, &mut reply),
            "command" => command_table::command(args, &mut reply)?,
            "subscribe" | "psubscribe" | "unsubscribe" | "punsubscribe" => self.subscribe(id, args, out)?,
            "shutdown" => {
                self.shutdown(args)?;
                if let Some(client) = self.clients.get_mut(&id) {
                    client.is_closing = true;
                }
            }
            _ => return Err(unknown(args)),
        }
        Ok(false)
    }

    /// Whether the client may call it now.
    fn admit(&mut self, id: u64, name: &str, command: &'static Command, args: Args<'_>) -> Answered {
        if self.clients.get(&id).is_some_and(|client| client.is_internal) {
            return Ok(());
        }
        // A subcommand that there is not is nobody's to allow.
        let is_unknown = command_table::is_container(command) && args.len() > 1;
        let is_logged_in = self.clients.get(&id).is_some_and(|client| client.user.is_some());
        let is_free = command.is(flag::NO_AUTH) || (is_unknown && is_logged_in);
        if !is_free {
            self.check_user(id, command, args)?;
        }
        let Some(client) = self.clients.get(&id) else { return Err(SYNTAX.into()) };
        if client.subscriptions.len() > 0 && !client.is_resp3 && !WHILE_SUBSCRIBED.contains(&name) {
            return Err(format!(
                "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
            ));
        }
        Ok(())
    }

    fn ping(&mut self, id: u64, args: Args<'_>, reply: &mut Reply<'_>) -> Answered {
        if args.len() > 2 {
            return Err("ERR wrong number of arguments for 'ping' command".into());
        }
        let is_subscribed = self.clients.get(&id).is_some_and(|c| c.subscriptions.len() > 0 && !c.is_resp3);
        match args.get(1) {
            text if is_subscribed => {
                reply.array(2);
                reply.bulk(b"pong");
                reply.bulk(text.unwrap_or_default());
            }
            Some(text) => reply.bulk(text),
            None => reply.simple("PONG"),
        }
        Ok(())
    }

    fn auth(&mut self, id: u64, args: Args<'_>, reply: &mut Reply<'_>) -> Answered {
        let (user, password): (&[u8], &[u8]) = match args.len() {
            2 if self.users.default_user().nopass => {
                return Err("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?".into());
            }
            2 => (DEFAULT, args.at(1)),
            3 => (args.at(1), args.at(2)),
            _ => return Err(SYNTAX.into()),
        };
        let user = self.authenticate(id, args.at(0), user, password)?;
        if let Some(client) = self.clients.get_mut(&id) {
            client.user = Some(user);
        }
        reply.ok();
        Ok(())
    }

    fn authenticate(&mut self, id: u64, by: &[u8], name: &[u8], password: &[u8]) -> Result<Vec<u8>, String> {
        match self.users.log_in(name, password) {
            Some(user) => Ok(user.name.to_vec()),
            None => {
                self.note_denial(id, Reason::Auth, by, name);
                Err(WRONG_PASSWORD.to_string())
            }
        }
    }

    fn hello(&mut self, id: u64, args: Args<'_>, reply: &mut Reply<'_>) -> Answered {
        let Some(client) = self.clients.get(&id) else { return Ok(()) };
        let (mut user, mut name, mut is_resp3) = (client.user.clone(), None, client.is_resp3);
        if let Some(version) = args.get(1) {
            is_resp3 = match rivulet_commands::parse::int(version) {
                Ok(2) => false,
                Ok(3) => true,
                Ok(_) => return Err("NOPROTO unsupported protocol version".into()),
                Err(_) => return Err("ERR Protocol version is not an integer or out of range".into()),
            };
        }
        let mut at = 2;
        while at < args.len() {
            if args.is(at, "auth") && at + 2 < args.len() {
                user = Some(self.authenticate(id, args.at(0), args.at(at + 1), args.at(at + 2))?);
                at += 3;
            } else if args.is(at, "setname") && at + 1 < args.len() {
                name = Some(checked_name(args.at(at + 1))?);
                at += 2;
            } else {
                return Err(format!("ERR Syntax error in HELLO option '{}'", String::from_utf8_lossy(args.at(at))));
            }
        }
        if user.is_none() {
            return Err(HELLO_WITHOUT_AUTH.into());
        }
        let Some(client) = self.clients.get_mut(&id) else { return Ok(()) };
        client.user = user;
        client.name = name.unwrap_or(std::mem::take(&mut client.name));
        client.is_resp3 = is_resp3;
        reply.set_resp3(is_resp3);
        reply.map(6);
        for (field, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
            reply.bulk(field.as_bytes());
            reply.bulk(value.as_bytes());
        }
        reply.bulk(b"proto");
        reply.int(if is_resp3 { 3 } else { 2 });
        reply.bulk(b"id");
        reply.int(id as i64);
        reply.bulk(b"mode");
        reply.bulk(b"sentinel");
        reply.bulk(b"modules");
        reply.array(0);
        Ok(())
    }

    fn shutdown(&mut self, args: Args<'_>) -> Answered {
        const OPTIONS: [&str; 5] = ["nosave", "save", "now", "force", "abort"];
        let is_option = |arg: &[u8]| OPTIONS.iter().any(|option| arg.eq_ignore_ascii_case(option.as_bytes()));
        if args.iter().skip(1).any(|arg| !is_option(arg)) {
            return Err(SYNTAX.into());
        }
        if args.iter().skip(1).any(|arg| arg.eq_ignore_ascii_case(b"abort")) {
            return Err("ERR No shutdown in progress.".into());
        }
        self.shut_down();
        Ok(())
    }

    /// A name was looked up: the commands that waited for it are executed.
    pub fn go_on_after_name(&mut self, host: &str) {
        let waits = |client: &crate::clients::Client| {
            client.waits_for.as_ref().is_some_and(|(name, _)| name.eq_ignore_ascii_case(host))
        };
        let ids: Vec<u64> = self.clients.values().filter(|client| waits(client)).map(|client| client.id).collect();
        for id in ids {
            let waited = self.clients.get_mut(&id).and_then(|client| client.waits_for.take());
            let Some((_, args)) = waited else { continue };
            let is_resp3 = self.clients.get(&id).is_some_and(|client| client.is_resp3);
            let mut out = Vec::new();
            let is_promise = self.dispatch(id, args.as_args(), &mut out, true).unwrap_or_else(|text| {
                out.clear();
                Reply::new(&mut out, is_resp3).error(text.as_bytes());
                false
            });
            self.reply(id, &out, is_promise);
            self.serve_client(id);
        }
    }

    /// What is logged may have been changed by a command.
    pub fn follow_log_level(&mut self) {
        let level = match self.core.globals.log_level.as_str() {
            "debug" => Level::Debug,
            "verbose" => Level::Verbose,
            "notice" => Level::Notice,
            _ => Level::Warning,
        };
        if level != self.config.loglevel {
            self.config.loglevel = level;
            log::set_level(level);
        }
    }
}

/// A name for a client: printable, without spaces.
pub fn checked_name(name: &[u8]) -> Result<Vec<u8>, String> {
    if name.iter().all(u8::is_ascii_graphic) {
        Ok(name.to_vec())
    } else {
        Err("ERR Client names cannot contain spaces, newlines or special characters.".into())
    }
}

fn unknown(args: Args<'_>) -> String {
    let shown = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(128)]).into_owned();
    let mut text =
        format!("ERR unknown command '{}', with args beginning with: ", shown(args.get(0).unwrap_or_default()));
    for arg in args.iter().skip(1) {
        if text.len() >= 128 + 64 {
            break;
        }
        text += &format!("'{}' ", shown(arg));
    }
    text
}

/// Whether a text matches a pattern.
pub fn matches(pattern: &[u8], text: &str) -> bool {
    glob::matches_nocase(pattern, text.as_bytes())
}
