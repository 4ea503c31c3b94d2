//! Taking from the first of several keys, or waiting for one: arguments, and what a command does when there is nothing to take.
//!
//! The server keeps the clients that wait, and runs the command again when one of its keys is ready.

use std::ops::Range;

use rivulet_keyspace::Type;

use crate::ctx::Ctx;
use crate::effects::{Again, Block, OnTimeout};
use crate::fail::{Fail, SYNTAX};

/// The last argument of the blocking commands, in seconds: how many ms the wait lasts, or none when it never ends.
pub(crate) fn timeout(ctx: &Ctx<'_>, i: usize) -> Result<Option<u64>, Fail> {
    crate::parse::timeout_seconds(ctx.args.at(i), ctx.db.now_ms())
}

/// Waits for a value of this type at one of the keys, or answers at once what the client would get at the deadline if it can't wait.
pub(crate) fn wait<'k>(
    ctx: &mut Ctx<'_>,
    keys: impl Iterator<Item = &'k [u8]>,
    value_type: Type,
    timeout_ms: Option<u64>,
) {
    if ctx.db.call.deny_blocking {
        ctx.reply.null_array();
    } else {
        let keys = keys.map(Into::into).collect();
        ctx.db.effects.block = Some(Block {
            keys,
            value_type,
            ends_with_key: false,
            again: Again::WithReadyKey,
            timeout_ms,
            on_timeout: OnTimeout::NullArray,
        });
    }
}

/// The arguments of LMPOP, ZMPOP and their blocking forms, from the number of keys on.
pub(crate) struct MultiPop {
    /// Where the keys stand.
    pub keys: Range<usize>,
    pub count: usize,
}

impl MultiPop {
    /// `ends` are the words for the two ends, and what they mean.
    pub fn parse<E: Copy>(ctx: &Ctx<'_>, at: usize, ends: [(&str, E); 2]) -> Result<(MultiPop, E), Fail> {
        let positive = |i: usize| ctx.int(i).ok().and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
        let key_count = positive(at).ok_or(Fail::new("ERR numkeys should be greater than 0"))?;
        let end_at = key_count.checked_add(at + 1).filter(|&i| i < ctx.args.len()).ok_or(SYNTAX)?;
        let end = ends.iter().find(|(word, _)| ctx.args.is(end_at, word)).ok_or(SYNTAX)?.1;
        let count = match ctx.args.len() - end_at - 1 {
            0 => 1,
            // The first count is looked at before what may stand behind it.
            2.. if ctx.args.is(end_at + 1, "count") => {
                let count = positive(end_at + 2).ok_or(Fail::new("ERR count should be greater than 0"))?;
                if ctx.args.len() > end_at + 3 {
                    return Err(SYNTAX);
                }
                count
            }
            _ => return Err(SYNTAX),
        };
        Ok((MultiPop { keys: at + 1..end_at, count }, end))
    }
}
