//! Unions, intersections and differences of sets.
//!
//! Cloning a set costs nothing, so that a result may begin as a clone of the input that it shares most with.

use std::cmp::Reverse;

use rivulet_keyspace::value::{Elem, Limits};
use rivulet_keyspace::{Key, Ref, Set, Type};

use crate::collections;
use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::{Fail, SYNTAX, WRONG_TYPE};

/// The keys among the arguments from `first` up to `end`; each is a set or not there.
fn keys<'a>(ctx: &mut Ctx<'a>, first: usize, end: usize) -> Result<Vec<Key<'a>>, Fail> {
    let keys: Vec<Key<'a>> = (first..end).map(|i| ctx.key(i)).collect();
    for &key in &keys {
        if ctx.db.read(key).is_some_and(|entry| entry.value_type() != Type::Set) {
            return Err(WRONG_TYPE);
        }
    }
    Ok(keys)
}

/// Gives the members that are in all sets, until `each` answers that it has enough.
fn intersect(ctx: &Ctx<'_>, keys: &[Key<'_>], mut each: impl FnMut(Elem<'_>) -> bool) -> Result<(), Fail> {
    let mut sets: Vec<Ref<'_, Set>> = Vec::with_capacity(keys.len());
    for &key in keys {
        match ctx.db.get_as::<Set>(key)? {
            Some(set) => sets.push(set),
            None => return Ok(()),
        }
    }
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else { return Ok(()) };
    for member in smallest.iter() {
        let everywhere = others.is_empty() || member.with(|text| others.iter().all(|set| set.contains(text)));
        if everywhere && !each(member) {
            break;
        }
    }
    Ok(())
}

pub(super) fn sinter(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let keys = keys(ctx, 1, ctx.args.len())?;
    let mut bytes = Vec::new();
    let mut members = rivulet_resp::Reply::new(&mut bytes, false);
    let mut found = 0;
    intersect(ctx, &keys, |member| {
        member.with(|member| members.bulk(member));
        found += 1;
        true
    })?;
    ctx.reply.set(found);
    ctx.reply.raw(&bytes);
    Ok(())
}

pub(super) fn sinterstore(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let keys = keys(ctx, 2, ctx.args.len())?;
    let limits = &ctx.db.settings.limits;
    let mut result = Set::new();
    intersect(ctx, &keys, |member| {
        member.with(|member| result.add(member, limits));
        true
    })?;
    store(ctx, result, "sinterstore");
    Ok(())
}

/// `numkeys key … [LIMIT n]`: the end of the keys, and the limit.
fn counted(ctx: &Ctx<'_>, takes_approx: bool) -> Result<(usize, usize), Fail> {
    const NO_KEYS: Fail = Fail::new("ERR numkeys should be greater than 0");
    const TOO_MANY: Fail = Fail::new("ERR Number of keys can't be greater than number of args");
    let args = ctx.args;
    let key_count = ctx.int(1).ok().and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0).ok_or(NO_KEYS)?;
    if key_count > args.len() - 2 {
        return Err(TOO_MANY);
    }
    let end = 2 + key_count;
    let mut limit = usize::MAX;
    let mut i = end;
    while i < args.len() {
        if takes_approx && args.is(i, "approx") {
            // The exact number is as good.
            i += 1;
        } else if args.is(i, "limit") && i + 1 < args.len() {
            limit = crate::parse::limit(args.at(i + 1))?;
            i += 2;
        } else {
            return Err(SYNTAX);
        }
    }
    Ok((end, limit))
}

pub(super) fn sintercard(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (end, limit) = counted(ctx, false)?;
    let keys = keys(ctx, 2, end)?;
    let mut found = 0;
    intersect(ctx, &keys, |_| {
        found += 1;
        found < limit
    })?;
    ctx.reply.int(found as i64);
    Ok(())
}

pub(super) fn sunioncard(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (end, limit) = counted(ctx, true)?;
    let keys = keys(ctx, 2, end)?;
    let len = union(ctx, &keys)?.len();
    ctx.reply.int(len.min(limit) as i64);
    Ok(())
}

pub(super) fn sdiffcard(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (end, limit) = counted(ctx, false)?;
    let keys = keys(ctx, 2, end)?;
    let len = diff(ctx, &keys)?.len();
    ctx.reply.int(len.min(limit) as i64);
    Ok(())
}

/// A set that is as small as Redis would make one of these members.
fn compact(set: Set, limits: &Limits) -> Set {
    if set.intset().is_some() || set.len() > limits.set_max_intset_entries {
        return set;
    }
    let mut compact = Set::new();
    set.iter().for_each(|member| {
        member.with(|member| compact.add(member, limits));
    });
    compact
}

fn union(ctx: &Ctx<'_>, keys: &[Key<'_>]) -> Result<Set, Fail> {
    let limits = &ctx.db.settings.limits;
    let mut sets: Vec<Ref<'_, Set>> = Vec::with_capacity(keys.len());
    for &key in keys {
        sets.extend(ctx.db.get_as::<Set>(key)?);
    }
    sets.sort_by_key(|set| Reverse(set.len()));
    let Some((largest, others)) = sets.split_first() else { return Ok(Set::new()) };
    let mut result = Set::clone(largest);
    for member in others.iter().flat_map(|set| set.iter()) {
        member.with(|member| result.add(member, limits));
    }
    Ok(compact(result, limits))
}

fn diff(ctx: &Ctx<'_>, keys: &[Key<'_>]) -> Result<Set, Fail> {
    let limits = &ctx.db.settings.limits;
    let Some((&first_key, other_keys)) = keys.split_first() else { return Ok(Set::new()) };
    let Some(first) = ctx.db.get_as::<Set>(first_key)? else { return Ok(Set::new()) };
    if other_keys.iter().any(|key| key.bytes == first_key.bytes) {
        return Ok(Set::new());
    }
    let mut others: Vec<Ref<'_, Set>> = Vec::with_capacity(other_keys.len());
    for &key in other_keys {
        others.extend(ctx.db.get_as::<Set>(key)?);
    }
    let lookups = first.len() * (others.len() + 1) / 2;
    let removals = first.len() + others.iter().map(|set| set.len()).sum::<usize>();
    if lookups > removals {
        let mut result = compact(Set::clone(&first), limits);
        for member in others.iter().flat_map(|set| set.iter()) {
            member.with(|member| result.remove(member));
        }
        return Ok(result);
    }
    // What takes most away is asked first.
    others.sort_by_key(|set| Reverse(set.len()));
    let mut result = Set::new();
    for member in first.iter() {
        member.with(|member| {
            if !others.iter().any(|set| set.contains(member)) {
                result.add(member, limits);
            }
        });
    }
    Ok(result)
}

fn reply(ctx: &mut Ctx<'_>, result: &Set) {
    ctx.reply.set(result.len());
    result.iter().for_each(|member| member.with(|member| ctx.reply.bulk(member)));
}

fn store(ctx: &mut Ctx<'_>, result: Set, event: &'static str) {
    let len = result.len();
    collections::store(ctx, ctx.key(1), result.into(), len, class::SET, event);
}

pub(super) fn sunion(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let keys = keys(ctx, 1, ctx.args.len())?;
    let result = union(ctx, &keys)?;
    reply(ctx, &result);
    Ok(())
}

pub(super) fn sunionstore(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let keys = keys(ctx, 2, ctx.args.len())?;
    let result = union(ctx, &keys)?;
    store(ctx, result, "sunionstore");
    Ok(())
}

pub(super) fn sdiff(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let keys = keys(ctx, 1, ctx.args.len())?;
    let result = diff(ctx, &keys)?;
    reply(ctx, &result);
    Ok(())
}

pub(super) fn sdiffstore(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let keys = keys(ctx, 2, ctx.args.len())?;
    let result = diff(ctx, &keys)?;
    store(ctx, result, "sdiffstore");
    Ok(())
}
