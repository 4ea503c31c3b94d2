//! SPOP and SRANDMEMBER.

use rivulet_keyspace::Set;
use rivulet_keyspace::value::{Elem, Limits};
use rivulet_resp::{OwnedArgs, Reply};

use crate::collections;
use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::{Fail, SYNTAX};
use crate::sample::{self, RandomCount};

fn reply_member(reply: &mut Reply<'_>, member: Elem<'_>) {
    member.with(|member| reply.bulk(member));
}

/// The removal of a member, as replicas get it. It also keeps the member while the set changes.
fn removal_of(key: &[u8], member: Elem<'_>) -> OwnedArgs {
    member.with(|member| OwnedArgs::from_slices(&[b"SREM", key, member]))
}

fn member_of(removal: &OwnedArgs) -> &[u8] {
    removal.as_args().at(2)
}

pub(super) fn spop(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    match ctx.args.len() {
        2 => pop_one(ctx),
        3 => pop_several(ctx),
        _ => Err(SYNTAX),
    }
}

fn pop_one(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(1);
    let word = ctx.db.rng.u64(..);
    let popped = collections::write(&mut ctx.db, key, |set: Option<&mut Set>| {
        let set = set?;
        let removal = removal_of(key.bytes, set.nth(below(word, set.len()))?);
        set.remove(member_of(&removal));
        Some((removal, set.is_empty()))
    })?;
    let Some((removal, emptied)) = popped else {
        ctx.reply.null();
        return Ok(());
    };
    ctx.reply.bulk(member_of(&removal));
    ctx.propagate_all(vec![removal]);
    collections::removed(ctx, key, 1, emptied, class::SET, "spop");
    Ok(())
}

/// A number below `limit` from a random word.
fn below(word: u64, limit: usize) -> usize {
    ((u128::from(word) * limit as u128) >> 64) as usize
}

fn pop_several(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let count = crate::parse::count(ctx.args.at(2))?;
    let key = ctx.key(1);
    let len = collections::write(&mut ctx.db, key, |set: Option<&mut Set>| set.map_or(0, |set| set.len()))?;
    if len == 0 || count == 0 {
        ctx.reply.set(0);
        return Ok(());
    }
    if count >= len {
        return pop_all(ctx, len);
    }
    let ranks = sample::distinct_ranks(ctx.db.rng, len, count);
    let limits = &ctx.db.settings.limits;
    let removals = collections::write(&mut ctx.db, key, |set: Option<&mut Set>| {
        set.map_or_else(Vec::new, |set| remove_ranks(set, key.bytes, &ranks, limits))
    })?;
    ctx.reply.set(removals.len());
    removals.iter().for_each(|removal| ctx.reply.bulk(member_of(removal)));
    collections::removed(ctx, key, removals.len(), false, class::SET, "spop");
    ctx.propagate_all(removals);
    Ok(())
}

fn pop_all(ctx: &mut Ctx<'_>, len: usize) -> Result<(), Fail> {
    let key = ctx.key(1);
    super::members::smembers(ctx)?;
    ctx.db.dirty(len as u64);
    ctx.db.changed(key.bytes, class::SET, "spop");
    ctx.db.delete(key, ctx.db.settings.lazyfree_lazy_server_del);
    ctx.db.notify(class::GENERIC, "del", key.bytes);
    ctx.propagate(&[b"DEL", key.bytes]);
    Ok(())
}

/// Takes out the members with these ranks; when few stay, a new set is made of those.
fn remove_ranks(set: &mut Set, key: &[u8], ranks: &[usize], limits: &Limits) -> Vec<OwnedArgs> {
    const FEW: usize = 5;
    let mut removals = Vec::with_capacity(ranks.len());
    if (set.len() - ranks.len()) * FEW > ranks.len() {
        if sample::is_dense(set.len(), ranks.len()) || set.packed().is_some() {
            removals.extend(sample::at_ranks(set.iter(), ranks).map(|member| removal_of(key, member)));
        } else {
            removals.extend(ranks.iter().filter_map(|&rank| set.nth(rank)).map(|member| removal_of(key, member)));
        }
        for removal in &removals {
            set.remove(member_of(removal));
        }
        return removals;
    }
    let mut rest = Set::new();
    let mut ranks = ranks.iter().peekable();
    for (rank, member) in set.iter().enumerate() {
        if ranks.next_if(|&&chosen| chosen == rank).is_some() {
            removals.push(removal_of(key, member));
        } else {
            member.with(|member| rest.add(member, limits));
        }
    }
    *set = rest;
    removals
}

pub(super) fn srandmember(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let mut rng = ctx.db.rng.fork();
    let key = ctx.key(1);
    let count = match ctx.args.len() {
        2 => {
            let reply = &mut ctx.reply;
            return collections::read(&mut ctx.db, key, |set: Option<&Set>| {
                match set.and_then(|set| set.nth(rng.usize(..set.len()))) {
                    Some(member) => reply_member(reply, member),
                    None => reply.null(),
                }
            });
        }
        3 => RandomCount::from_int(ctx.int(2)?)?,
        _ => return Err(SYNTAX),
    };
    let Some(set) = ctx.db.read_as::<Set>(key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let len = set.len();
    let reply = &mut ctx.reply;
    reply.array(count.answered(len));
    let push = |member: Elem<'_>| reply_member(reply, member);
    match count {
        RandomCount::Distinct(count) if count >= len => set.iter().for_each(push),
        RandomCount::Distinct(count) => {
            let ranks = sample::distinct_ranks(&mut rng, len, count);
            if set.packed().is_some() || sample::is_dense(len, count) {
                sample::at_ranks(set.iter(), &ranks).for_each(push);
            } else {
                ranks.iter().filter_map(|&rank| set.nth(rank)).for_each(push);
            }
        }
        RandomCount::Repeating(count) if set.packed().is_some() => {
            // A listpack is gone through once, not once for each.
            let all: Vec<Elem<'_>> = set.iter().collect();
            (0..count).map(|_| all[rng.usize(..len)]).for_each(push);
        }
        RandomCount::Repeating(count) => (0..count).filter_map(|_| set.nth(rng.usize(..len))).for_each(push),
    }
    Ok(())
}
