//! SLOWLOG, and what the slow log is told of a command.

use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_resp::{Args, Reply};

use crate::commands::connection::{is_secret, wrong_subcommand};
use crate::engine::asker::Asker;
use crate::front::client_id::ClientId;
use crate::node::Node;
use crate::ops::slowlog::Slow;

/// Arguments kept of a command, and bytes of each.
const ARGS_MAX: usize = 32;
const ARG_LEN_MAX: usize = 128;

/// The lines of SLOWLOG HELP.
const HELP: &[&str] = &[
    "GET [<count>]",
    "    The latest <count> slow commands (10; -1 for all): id, time, microseconds, arguments, address, name.",
    "LEN",
    "    How many slow commands are kept.",
    "RESET",
    "    Forget them.",
];

impl Node {
    pub fn note_slow(&mut self, id: ClientId, args: Args<'_>, us: u64) {
        let shown = if args.len() > ARGS_MAX { ARGS_MAX - 1 } else { args.len() };
        let mut kept: Vec<Vec<u8>> = (0..shown).map(|i| shown_argument(args, i)).collect();
        if shown < args.len() {
            kept.push(format!("... ({} more arguments)", args.len() - shown).into_bytes());
        }
        let (address, name) = self
            .clients
            .get(id)
            .map_or_else(Default::default, |c| (c.connection.peer.address.clone(), c.session.name.clone()));
        let unix_s = self.unix_us() / 1_000_000;
        let max = self.config.slowlog_max_len as usize;
        self.ops.slowlog.add(Slow { id: 0, unix_s, us, args: kept, address, name }, max);
    }

    pub fn slowlog_command(
        &mut self,
        by: &mut Asker<'_>,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<(), Fail> {
        match command.name {
            "get" => self.slowlog_get(by, args)?,
            "len" => by.reply.int(self.ops.slowlog.len() as i64),
            "reset" => {
                self.ops.slowlog.clear();
                by.reply.ok();
            }
            _ => self.help(by, "SLOWLOG", HELP),
        }
        Ok(())
    }

    fn slowlog_get(&self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let mut count = 10;
        if let Some(text) = args.get(2) {
            const WRONG: Fail = Fail::new("ERR count should be greater than or equal to -1");
            let n = rivulet_commands::parse::int(text).ok().filter(|n| *n >= -1).ok_or(WRONG)?;
            count = usize::try_from(n).unwrap_or(usize::MAX);
        }
        if args.len() > 3 {
            return Err(wrong_subcommand(args));
        }
        let count = count.min(self.ops.slowlog.len());
        by.reply.array(count);
        self.ops.slowlog.iter().take(count).for_each(|slow| reply_slow(&mut by.reply, slow));
        Ok(())
    }
}

fn reply_slow(reply: &mut Reply<'_>, slow: &Slow) {
    reply.array(6);
    reply.int(slow.id as i64);
    reply.int(slow.unix_s as i64);
    reply.int(slow.us as i64);
    reply.array(slow.args.len());
    slow.args.iter().for_each(|a| reply.bulk(a));
    reply.bulk(slow.address.as_bytes());
    reply.bulk(&slow.name);
}

pub fn shown_argument(args: Args<'_>, i: usize) -> Vec<u8> {
    if is_secret(args, i) {
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
