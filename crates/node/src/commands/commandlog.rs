//! COMMANDLOG and SLOWLOG, and what the logs are told of a command.

use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_engine::asker::Asker;
use rivulet_engine::client_id::ClientId;
use rivulet_resp::{Args, Reply};

use crate::commands::connection::{is_secret, wrong_subcommand};
use crate::node::Node;
use crate::ops::commandlog::{Log, Measured, Noted, NotedFor};

/// Arguments kept of a command, and bytes of each.
const ARGS_MAX: usize = 32;
const ARG_LEN_MAX: usize = 128;
/// How many SLOWLOG GET shows if it is not told.
const SHOWN: usize = 10;

/// The lines of SLOWLOG HELP.
const SLOWLOG_HELP: &[&str] = &[
    "GET [<count>]",
    "    The latest <count> slow commands (10; -1 for all): id, time, microseconds, arguments, address, name.",
    "LEN",
    "    How many slow commands are kept.",
    "RESET",
    "    Forget them.",
];

/// The lines of COMMANDLOG HELP.
const HELP: &[&str] = &[
    "GET <count> <type>",
    "    The latest <count> commands of a type (-1 for all): id, time, microseconds or bytes, arguments, address, name.",
    "    The types are SLOW, LARGE-REQUEST, LARGE-REPLY.",
    "LEN <type>",
    "    How many commands of a type are kept.",
    "RESET <type>",
    "    Forget them.",
];

impl Node {
    /// A command may have taken long, or have had a large request or reply: notes it if so.
    #[cold]
    pub fn note_command(&mut self, id: ClientId, args: Args<'_>, us: u64, reply_bytes: u64) {
        let request_bytes = args.wire().map_or_else(|| args.iter().map(<[u8]>::len).sum(), <[u8]>::len) as u64;
        let measured = Measured { us, request_bytes, reply_bytes };
        let reasons: Vec<_> = measured.reasons(&self.config).collect();
        for reason in reasons {
            let noted = self.noted(id, args);
            self.ops.commandlog.note(reason, measured, noted);
        }
    }

    fn noted(&self, id: ClientId, args: Args<'_>) -> Noted {
        let shown = if args.len() > ARGS_MAX { ARGS_MAX - 1 } else { args.len() };
        let command = args.get(0).and_then(|name| self.find_command(name));
        let mut kept: Vec<Vec<u8>> = (0..shown).map(|i| shown_argument(command, args, i)).collect();
        if shown < args.len() {
            kept.push(format!("... ({} more arguments)", args.len() - shown).into_bytes());
        }
        let (address, name) = self
            .clients
            .get(id)
            .map_or_else(Default::default, |c| (c.connection.peer.address.clone(), c.session.name.clone()));
        Noted { id: 0, unix_s: self.unix_us() / 1_000_000, value: 0, args: kept, address, name }
    }

    pub fn slowlog_command(
        &mut self,
        by: &mut Asker<'_>,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<(), Fail> {
        match command.name {
            "get" => {
                let count = args.get(2).map_or(Ok(SHOWN), parse_count)?;
                if args.len() > 3 {
                    return Err(wrong_subcommand(args));
                }
                reply_log(&mut by.reply, self.ops.commandlog.of(NotedFor::Slow), count);
            }
            "len" => by.reply.int(self.ops.commandlog.of(NotedFor::Slow).len() as i64),
            "reset" => {
                self.ops.commandlog.of_mut(NotedFor::Slow).clear();
                by.reply.ok();
            }
            _ => self.help(by, "SLOWLOG", SLOWLOG_HELP),
        }
        Ok(())
    }

    pub fn commandlog_command(
        &mut self,
        by: &mut Asker<'_>,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<(), Fail> {
        match command.name {
            "get" => {
                let count = parse_count(args.at(2))?;
                reply_log(&mut by.reply, self.ops.commandlog.of(parse_type(args.at(3))?), count);
            }
            "len" => by.reply.int(self.ops.commandlog.of(parse_type(args.at(2))?).len() as i64),
            "reset" => {
                self.ops.commandlog.of_mut(parse_type(args.at(2))?).clear();
                by.reply.ok();
            }
            _ => self.help(by, "COMMANDLOG", HELP),
        }
        Ok(())
    }
}

/// How many entries are wanted; -1 is all of them.
fn parse_count(text: &[u8]) -> Result<usize, Fail> {
    const WRONG: Fail = Fail::new("ERR count should be greater than or equal to -1");
    let n = rivulet_commands::parse::int(text).ok().filter(|n| *n >= -1).ok_or(WRONG)?;
    Ok(usize::try_from(n).unwrap_or(usize::MAX))
}

fn parse_type(word: &[u8]) -> Result<NotedFor, Fail> {
    match word.to_ascii_lowercase().as_slice() {
        b"slow" => Ok(NotedFor::Slow),
        b"large-request" => Ok(NotedFor::LargeRequest),
        b"large-reply" => Ok(NotedFor::LargeReply),
        _ => Err(Fail::new("ERR type should be one of the following: slow, large-request, large-reply")),
    }
}

fn reply_log(reply: &mut Reply<'_>, log: &Log, count: usize) {
    let count = count.min(log.len());
    reply.array(count);
    log.iter().take(count).for_each(|noted| reply_noted(reply, noted));
}

fn reply_noted(reply: &mut Reply<'_>, noted: &Noted) {
    reply.array(6);
    reply.int(noted.id as i64);
    reply.int(noted.unix_s as i64);
    reply.int(noted.value as i64);
    reply.array(noted.args.len());
    noted.args.iter().for_each(|a| reply.bulk(a));
    reply.bulk(noted.address.as_bytes());
    reply.bulk(&noted.name);
}

/// Argument `i` of a command as the logs show it.
pub fn shown_argument(command: Option<&Command>, args: Args<'_>, i: usize) -> Vec<u8> {
    if is_secret(command, args, i) {
        return b"(redacted)".to_vec();
    }
    let arg = args.at(i);
    if arg.len() <= ARG_LEN_MAX {
        return arg.to_vec();
    }
    let mut cut = arg[..ARG_LEN_MAX].to_vec();
    cut.extend(format!("... ({} more bytes)", arg.len() - ARG_LEN_MAX).bytes());
    cut
}
