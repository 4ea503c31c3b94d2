//! XRANGE, XREVRANGE and XLEN.

use rivulet_keyspace::Stream;

use super::ids;
use crate::collections;
use crate::ctx::Ctx;
use crate::fail::{Fail, SYNTAX};

pub(super) fn xrange(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    range(ctx, false)
}

pub(super) fn xrevrange(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    range(ctx, true)
}

fn range(ctx: &mut Ctx<'_>, reversed: bool) -> Result<(), Fail> {
    let (start_at, end_at) = if reversed { (3, 2) } else { (2, 3) };
    let (start, end) = (ids::start(ctx.args.at(start_at))?, ids::end(ctx.args.at(end_at))?);
    let count = count(ctx)?;
    let (key, reply) = (ctx.key(1), &mut ctx.reply);
    collections::read(&mut ctx.db, key, |stream: Option<&Stream>| match (stream, count) {
        (None, _) => reply.array(0),
        (Some(_), Some(0)) => reply.null_array(),
        (Some(stream), count) if reversed => {
            ids::reply_entries(reply, stream.entries().rev_range(start, end), count.unwrap_or(0));
        }
        (Some(stream), count) => ids::reply_entries(reply, stream.entries().range(start, end), count.unwrap_or(0)),
    })
}

/// The last of the COUNTs, if there are any.
fn count(ctx: &Ctx<'_>) -> Result<Option<usize>, Fail> {
    let (mut count, mut at) = (None, 4);
    while at < ctx.args.len() {
        if !ctx.args.is(at, "count") || at + 1 == ctx.args.len() {
            return Err(SYNTAX);
        }
        count = Some(usize::try_from(ctx.int(at + 1)?).unwrap_or(0));
        at += 2;
    }
    Ok(count)
}

pub(super) fn xlen(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(1);
    let len = collections::read(&mut ctx.db, key, |stream: Option<&Stream>| stream.map_or(0, Stream::len))?;
    ctx.reply.int(len as i64);
    Ok(())
}
