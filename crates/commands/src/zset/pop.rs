//! ZPOPMIN, ZPOPMAX, ZMPOP and their blocking forms.

use rivulet_keyspace::value::{Elem, ZSet};
use rivulet_keyspace::{Key, Type};
use rivulet_resp::Reply;

use crate::collections;
use crate::ctx::Ctx;

use crate::fail::{Fail, SYNTAX};
use crate::waiting;

/// The end from which members are taken.
#[derive(Clone, Copy)]
enum End {
    Min,
    Max,
}

/// How the members are answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `member score member score …`
    Flat,
    /// `[member score] [member score] …`
    Pairs,
    /// `key member score`
    KeyFlat,
    /// `key [[member score] …]`
    KeyPairs,
}

impl End {
    fn event(self) -> &'static str {
        match self {
            End::Min => "zpopmin",
            End::Max => "zpopmax",
        }
    }

    /// The command that replicas get for the forms that look for a key.
    fn word(self) -> &'static [u8] {
        match self {
            End::Min => b"ZPOPMIN",
            End::Max => b"ZPOPMAX",
        }
    }
}

/// Takes up to `count` members of one key and answers them. Answers how many; none when the key is not there.
fn pop(ctx: &mut Ctx<'_>, key: Key<'_>, end: End, count: usize, shape: Shape) -> Result<Option<usize>, Fail> {
    let reply = &mut ctx.reply;
    let popped = collections::write(&mut ctx.db, key, |zset: Option<&mut ZSet>| {
        let zset = zset?;
        let len = zset.len();
        let count = count.min(len);
        reply_popped(reply, key, zset, end, count, shape);
        match end {
            End::Min => zset.remove_range(0, count),
            End::Max => zset.remove_range(len - count, count),
        }
        Some((count, count == len))
    })?;
    let Some((count, emptied)) = popped else { return Ok(None) };
    super::removed(ctx, key, count, emptied, end.event());
    Ok(Some(count))
}

fn reply_popped(reply: &mut Reply<'_>, key: Key<'_>, zset: &ZSet, end: End, count: usize, shape: Shape) {
    match shape {
        Shape::Flat => reply.array(count * 2),
        Shape::Pairs => reply.array(count),
        Shape::KeyFlat => {
            reply.array(1 + count * 2);
            reply.bulk(key.bytes);
        }
        Shape::KeyPairs => {
            reply.array(2);
            reply.bulk(key.bytes);
            reply.array(count);
        }
    }
    let pairs = matches!(shape, Shape::Pairs | Shape::KeyPairs);
    let push = |(member, score): (Elem<'_>, f64)| {
        if pairs {
            reply.array(2);
        }
        member.with(|member| reply.bulk(member));
        reply.double(score);
    };
    match end {
        End::Min => zset.iter().take(count).for_each(push),
        End::Max => zset.iter_rev_from(zset.len() - 1).take(count).for_each(push),
    }
}

fn pop_one_key(ctx: &mut Ctx<'_>, end: End) -> Result<(), Fail> {
    let (count, shape) = match ctx.args.len() {
        2 => (1, Shape::Flat),
        3 => {
            let count = crate::parse::count(ctx.args.at(2))?;
            (count, if ctx.reply.is_resp3() { Shape::Pairs } else { Shape::Flat })
        }
        _ => return Err(SYNTAX),
    };
    if pop(ctx, ctx.key(1), end, count, shape)?.is_none() {
        ctx.reply.array(0);
    }
    Ok(())
}

pub(super) fn zpopmin(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    pop_one_key(ctx, End::Min)
}

pub(super) fn zpopmax(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    pop_one_key(ctx, End::Max)
}

fn blocking_pop(ctx: &mut Ctx<'_>, end: End) -> Result<(), Fail> {
    let last = ctx.args.len() - 1;
    let timeout = waiting::timeout(ctx, last)?;
    for i in 1..last {
        let key = ctx.key(i);
        if pop(ctx, key, end, 1, Shape::KeyFlat)?.is_some() {
            ctx.propagate(&[end.word(), key.bytes]);
            return Ok(());
        }
    }
    let keys = ctx.args.iter().take(last).skip(1);
    waiting::wait(ctx, keys, Type::ZSet, timeout);
    Ok(())
}

pub(super) fn bzpopmin(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    blocking_pop(ctx, End::Min)
}

pub(super) fn bzpopmax(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    blocking_pop(ctx, End::Max)
}

/// Pops from the first key that is there; answers whether there was one.
fn pop_first_of(ctx: &mut Ctx<'_>, asked: &waiting::MultiPop, end: End) -> Result<bool, Fail> {
    for i in asked.keys.clone() {
        let key = ctx.key(i);
        if let Some(count) = pop(ctx, key, end, asked.count, Shape::KeyPairs)? {
            ctx.propagate(&[end.word(), key.bytes, itoa::Buffer::new().format(count).as_bytes()]);
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn zmpop(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (asked, end) = waiting::MultiPop::parse(ctx, 1, [("min", End::Min), ("max", End::Max)])?;
    if !pop_first_of(ctx, &asked, end)? {
        ctx.reply.null_array();
    }
    Ok(())
}

pub(super) fn bzmpop(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (asked, end) = waiting::MultiPop::parse(ctx, 2, [("min", End::Min), ("max", End::Max)])?;
    let timeout = waiting::timeout(ctx, 1)?;
    if !pop_first_of(ctx, &asked, end)? {
        let args = ctx.args;
        waiting::wait(ctx, asked.keys.map(|i| args.at(i)), Type::ZSet, timeout);
    }
    Ok(())
}
