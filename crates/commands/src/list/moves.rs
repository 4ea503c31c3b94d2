//! LMOVE, RPOPLPUSH and their blocking forms.

use rivulet_keyspace::{List, Type};

use super::ends::{End, parse_end};
use crate::collections;
use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::Fail;
use crate::waiting;

pub(super) fn lmove(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (from, to) = (parse_end(ctx, 3)?, parse_end(ctx, 4)?);
    if !move_element(ctx, from, to)? {
        ctx.reply.null();
    }
    Ok(())
}

pub(super) fn rpoplpush(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    if !move_element(ctx, End::Right, End::Left)? {
        ctx.reply.null();
    }
    Ok(())
}

pub(super) fn blmove(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (from, to) = (parse_end(ctx, 3)?, parse_end(ctx, 4)?);
    let timeout = waiting::timeout(ctx, 5)?;
    if move_element(ctx, from, to)? {
        let args = ctx.args;
        ctx.propagate(&[b"LMOVE", args.at(1), args.at(2), args.at(3), args.at(4)]);
    } else {
        wait(ctx, timeout);
    }
    Ok(())
}

pub(super) fn brpoplpush(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let timeout = waiting::timeout(ctx, 3)?;
    if move_element(ctx, End::Right, End::Left)? {
        ctx.propagate(&[b"RPOPLPUSH", ctx.args.at(1), ctx.args.at(2)]);
    } else {
        wait(ctx, timeout);
    }
    Ok(())
}

/// Waits for the source. One that can't wait gets a null, though at the deadline it would get a null array.
fn wait(ctx: &mut Ctx<'_>, timeout_ms: Option<u64>) {
    if ctx.db.call.deny_blocking {
        ctx.reply.null();
    } else {
        let source = ctx.args.at(1);
        waiting::wait(ctx, std::iter::once(source), Type::List, timeout_ms);
    }
}

/// Moves an element and answers it; answers whether the source is there.
fn move_element(ctx: &mut Ctx<'_>, from: End, to: End) -> Result<bool, Fail> {
    let (source, target) = (ctx.key(1), ctx.key(2));
    if !collections::write(&mut ctx.db, source, |list: Option<&mut List>| list.is_some())? {
        return Ok(false);
    }
    collections::write(&mut ctx.db, target, |_: Option<&mut List>| ())?;
    let popped = collections::write(&mut ctx.db, source, |list: Option<&mut List>| {
        let list = list?;
        let value = from.pop_with(list, |elem| elem.to_vec())?;
        Some((value, list.is_empty()))
    })?;
    let Some((value, emptied)) = popped else { return Ok(false) };
    // Where both are the same list it is found empty here, and so is not made anew.
    let limits = &ctx.db.settings.limits;
    collections::write_or_create(&mut ctx.db, target, |list: &mut List| {
        to.push(list, &value, limits);
        Ok(())
    })?;
    ctx.db.changed(target.bytes, class::LIST, to.push_event());
    ctx.reply.bulk(&value);
    let emptied = emptied && source.bytes != target.bytes;
    collections::removed(ctx, source, 1, emptied, class::LIST, from.pop_event());
    Ok(true)
}
