//! The slow log: the latest commands that took longer than `slowlog-log-slower-than`.

use std::collections::VecDeque;

use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_resp::Args;

use crate::commands::connection::{is_secret, wrong_subcommand};
use crate::engine::asker::Asker;
use crate::front::client_id::ClientId;
use crate::node::Node;

/// One slow command.
pub struct Slow {
    id: u64,
    unix_s: u64,
    us: u64,
    args: Vec<Vec<u8>>,
    address: String,
    name: Vec<u8>,
}

/// The latest slow commands, newest first.
#[derive(Default)]
pub struct Slowlog {
    entries: VecDeque<Slow>,
    next_id: u64,
}

/// Arguments kept of a command, and bytes of each.
const ARGS_MAX: usize = 32;
const ARG_LEN_MAX: usize = 128;

impl Slowlog {
    /// The name and the duration in us of the slowest command that is kept.
    pub fn slowest(&self) -> Option<(&[u8], u64)> {
        let slowest = self.entries.iter().max_by_key(|slow| slow.us)?;
        Some((slowest.args.first().map_or(b"", Vec::as_slice), slowest.us))
    }
}

impl Node {
    pub fn note_slow(&mut self, id: ClientId, args: Args<'_>, us: u64) {
        let max = self.config.slowlog_max_len as usize;
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
        let log = &mut self.ops.slowlog;
        log.entries.push_front(Slow { id: log.next_id, unix_s, us, args: kept, address, name });
        log.next_id += 1;
        log.entries.truncate(max);
    }

    pub fn slowlog_command(
        &mut self,
        by: &mut Asker<'_>,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<(), Fail> {
        let id = by.id;
        match command.name {
            "get" => {
                let mut count = 10;
                if let Some(text) = args.get(2) {
                    const WRONG: Fail = Fail::new("ERR count should be greater than or equal to -1");
                    let n = rivulet_commands::parse::int(text).ok().filter(|n| *n >= -1).ok_or(WRONG)?;
                    count = usize::try_from(n).unwrap_or(usize::MAX);
                }
                if args.len() > 3 {
                    return Err(wrong_subcommand(args));
                }
                let count = count.min(self.ops.slowlog.entries.len());
                let client = self.clients.at(id);
                let mut reply = rivulet_resp::Reply::new(&mut client.connection.outbox.output.bytes, client.session.resp3);
                reply.array(count);
                for slow in self.ops.slowlog.entries.iter().take(count) {
                    reply.array(6);
                    reply.int(slow.id as i64);
                    reply.int(slow.unix_s as i64);
                    reply.int(slow.us as i64);
                    reply.array(slow.args.len());
                    slow.args.iter().for_each(|a| reply.bulk(a));
                    reply.bulk(slow.address.as_bytes());
                    reply.bulk(&slow.name);
                }
            }
            "len" => {
                let len = self.ops.slowlog.entries.len();
                by.reply.int(len as i64);
            }
            "reset" => {
                self.ops.slowlog.entries.clear();
                by.reply.ok();
            }
            _ => self.help(
                by,
                "SLOWLOG",
                &[
                    "GET [<count>]",
                    "    The latest <count> slow commands (10; -1 for all): id, time, microseconds, arguments, address, name.",
                    "LEN",
                    "    How many slow commands are kept.",
                    "RESET",
                    "    Forget them.",
                ],
            ),
        }
        Ok(())
    }
}

fn shown_argument(args: Args<'_>, i: usize) -> Vec<u8> {
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
