//! Pushing and popping at the ends, also with waiting.

use rivulet_keyspace::value::{Elem, Limits};
use rivulet_keyspace::{Key, List, Type};
use rivulet_resp::Reply;

use crate::collections;
use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::Fail;
use crate::waiting::{self, MultiPop};

/// An end of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Left,
    Right,
}

impl End {
    pub fn push_event(self) -> &'static str {
        match self {
            End::Left => "lpush",
            End::Right => "rpush",
        }
    }

    pub fn pop_event(self) -> &'static str {
        match self {
            End::Left => "lpop",
            End::Right => "rpop",
        }
    }

    /// The command that replicas get for the forms that look for a key.
    fn pop_word(self) -> &'static [u8] {
        match self {
            End::Left => b"LPOP",
            End::Right => b"RPOP",
        }
    }

    #[inline]
    pub fn push(self, list: &mut List, value: &[u8], limits: &Limits) {
        match self {
            End::Left => list.push_front(value, limits),
            End::Right => list.push_back(value, limits),
        }
    }

    #[inline]
    pub fn pop_with<R>(self, list: &mut List, f: impl FnOnce(Elem<'_>) -> R) -> Option<R> {
        match self {
            End::Left => list.pop_front_with(f),
            End::Right => list.pop_back_with(f),
        }
    }
}

// ---- pushing ----

pub(super) fn lpush(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    push(ctx, End::Left)
}

pub(super) fn rpush(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    push(ctx, End::Right)
}

fn push(ctx: &mut Ctx<'_>, end: End) -> Result<(), Fail> {
    let (key, args) = (ctx.key(1), ctx.args);
    let limits = &ctx.db.settings.limits;
    let len = collections::write_or_create(&mut ctx.db, key, |list: &mut List| {
        args.iter().skip(2).for_each(|value| end.push(list, value, limits));
        Ok(list.len())
    })?;
    pushed(ctx, key, end, len);
    Ok(())
}

pub(super) fn lpushx(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    push_if_there(ctx, End::Left)
}

pub(super) fn rpushx(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    push_if_there(ctx, End::Right)
}

fn push_if_there(ctx: &mut Ctx<'_>, end: End) -> Result<(), Fail> {
    let (key, args) = (ctx.key(1), ctx.args);
    let limits = &ctx.db.settings.limits;
    let len = collections::write(&mut ctx.db, key, |list: Option<&mut List>| {
        let list = list?;
        args.iter().skip(2).for_each(|value| end.push(list, value, limits));
        Some(list.len())
    })?;
    match len {
        Some(len) => pushed(ctx, key, end, len),
        None => ctx.reply.int(0),
    }
    Ok(())
}

fn pushed(ctx: &mut Ctx<'_>, key: Key<'_>, end: End, len: usize) {
    ctx.db.dirty(ctx.args.len() as u64 - 2);
    ctx.db.changed(key.bytes, class::LIST, end.push_event());
    ctx.reply.int(len as i64);
}

// ---- popping ----

pub(super) fn lpop(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    pop(ctx, End::Left, "lpop")
}

pub(super) fn rpop(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    pop(ctx, End::Right, "rpop")
}

fn pop(ctx: &mut Ctx<'_>, end: End, name: &str) -> Result<(), Fail> {
    let key = ctx.key(1);
    match ctx.args.len() {
        2 => {
            if !pop_one(ctx, key, end, |_| ())? {
                ctx.reply.null();
            }
        }
        3 => {
            let count = crate::parse::count(ctx.args.at(2))?;
            if pop_several(ctx, key, end, count, |_| ())?.is_none() {
                ctx.reply.null_array();
            }
        }
        _ => return Err(Fail::arity(name)),
    }
    Ok(())
}

/// Takes an element out and answers it behind what `before` answers. Answers whether the key is there.
fn pop_one(ctx: &mut Ctx<'_>, key: Key<'_>, end: End, before: impl FnOnce(&mut Reply<'_>)) -> Result<bool, Fail> {
    let reply = &mut ctx.reply;
    let emptied = collections::write(&mut ctx.db, key, |list: Option<&mut List>| {
        let list = list?;
        before(reply);
        end.pop_with(list, |elem| elem.with(|text| reply.bulk(text)))?;
        Some(list.is_empty())
    })?;
    let Some(emptied) = emptied else { return Ok(false) };
    collections::removed(ctx, key, 1, emptied, class::LIST, end.pop_event());
    Ok(true)
}

/// Takes up to `count` elements out and answers them behind what `before` answers. Answers how many, or none when the key is not there.
fn pop_several(
    ctx: &mut Ctx<'_>,
    key: Key<'_>,
    end: End,
    count: usize,
    before: impl FnOnce(&mut Reply<'_>),
) -> Result<Option<usize>, Fail> {
    let reply = &mut ctx.reply;
    let popped = collections::write(&mut ctx.db, key, |list: Option<&mut List>| {
        let list = list?;
        let len = list.len();
        let count = count.min(len);
        before(reply);
        reply.array(count);
        let push = |elem: Elem<'_>| elem.with(|text| reply.bulk(text));
        match end {
            _ if count == 0 => {}
            End::Left => {
                list.iter().take(count).for_each(push);
                list.remove_range(0, count);
            }
            End::Right => {
                list.iter_rev_from(len - 1).take(count).for_each(push);
                list.remove_range(len - count, count);
            }
        }
        Some((count, count == len))
    })?;
    let Some((count, emptied)) = popped else { return Ok(None) };
    collections::removed(ctx, key, count, emptied, class::LIST, end.pop_event());
    Ok(Some(count))
}

/// Pops from the first key that is there; answers whether there was one.
fn pop_first_of(ctx: &mut Ctx<'_>, asked: &MultiPop, end: End) -> Result<bool, Fail> {
    for i in asked.keys.clone() {
        let key = ctx.key(i);
        let popped = pop_several(ctx, key, end, asked.count, |reply| {
            reply.array(2);
            reply.bulk(key.bytes);
        })?;
        if let Some(count) = popped {
            ctx.propagate(&[end.pop_word(), key.bytes, itoa::Buffer::new().format(count).as_bytes()]);
            return Ok(true);
        }
    }
    Ok(false)
}

const ENDS: [(&str, End); 2] = [("left", End::Left), ("right", End::Right)];

/// The end that argument `i` names.
pub(super) fn parse_end(ctx: &Ctx<'_>, i: usize) -> Result<End, Fail> {
    ENDS.iter().find(|(word, _)| ctx.args.is(i, word)).map(|&(_, end)| end).ok_or(crate::fail::SYNTAX)
}

pub(super) fn lmpop(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (asked, end) = MultiPop::parse(ctx, 1, ENDS)?;
    if !pop_first_of(ctx, &asked, end)? {
        ctx.reply.null_array();
    }
    Ok(())
}

pub(super) fn blmpop(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (asked, end) = MultiPop::parse(ctx, 2, ENDS)?;
    let timeout = waiting::timeout(ctx, 1)?;
    if !pop_first_of(ctx, &asked, end)? {
        let args = ctx.args;
        waiting::wait(ctx, asked.keys.map(|i| args.at(i)), Type::List, timeout);
    }
    Ok(())
}

pub(super) fn blpop(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    blocking_pop(ctx, End::Left)
}

pub(super) fn brpop(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    blocking_pop(ctx, End::Right)
}

fn blocking_pop(ctx: &mut Ctx<'_>, end: End) -> Result<(), Fail> {
    let last = ctx.args.len() - 1;
    let timeout = waiting::timeout(ctx, last)?;
    for i in 1..last {
        let key = ctx.key(i);
        let popped = pop_one(ctx, key, end, |reply| {
            reply.array(2);
            reply.bulk(key.bytes);
        })?;
        if popped {
            ctx.propagate(&[end.pop_word(), key.bytes]);
            return Ok(());
        }
    }
    let keys = ctx.args.iter().take(last).skip(1);
    waiting::wait(ctx, keys, Type::List, timeout);
    Ok(())
}
