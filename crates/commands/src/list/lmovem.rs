//! LMOVEM and BLMOVEM, as in Redis 8.10: several elements move from an end of a list to an end of another.

use rivulet_keyspace::{Key, List, Type};
use rivulet_resp::OwnedArgs;

use super::ends::{End, parse_end};
use crate::collections;
use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::{Fail, SYNTAX};
use crate::parse;
use crate::waiting;

/// How the elements come to lie at their target.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// As if they were moved one by one.
    OneByOne,
    /// As they lay in the source.
    Bulk,
}

/// What is to be moved.
#[derive(Clone, Copy)]
struct Move {
    from: End,
    to: End,
    count: usize,
    /// All of them or none.
    exactly: bool,
    order: Order,
}

impl Move {
    /// The ends stand at 3 and 4; from `at` on may stand how many.
    fn parse(ctx: &Ctx<'_>, at: usize) -> Result<Move, Fail> {
        const COUNT: Fail = Fail::new("ERR count should be greater than 0");
        let args = ctx.args;
        let (from, to) = (parse_end(ctx, 3)?, parse_end(ctx, 4)?);
        if args.len() == at {
            return Ok(Move { from, to, count: 1, exactly: false, order: Order::OneByOne });
        }
        if args.len() != at + 3 {
            return Err(SYNTAX);
        }
        let exactly = args.is(at, "exactly");
        if !exactly && !args.is(at, "count") {
            return Err(SYNTAX);
        }
        let count = parse::int(args.at(at + 1)).ok().and_then(|n| usize::try_from(n).ok());
        let count = count.filter(|n| *n > 0).ok_or(COUNT)?;
        let order = match args {
            _ if args.is(at + 2, "obo") => Order::OneByOne,
            _ if args.is(at + 2, "bulk") => Order::Bulk,
            _ => return Err(SYNTAX),
        };
        Ok(Move { from, to, count, exactly, order })
    }

    /// How many of a list's elements it moves.
    fn takes(self, len: usize) -> usize {
        if self.exactly && len < self.count { 0 } else { self.count.min(len) }
    }

    /// What is popped one after the other, in the order in which it is pushed.
    fn pushed(self, mut popped: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        // From the same end as to which it goes, what is pushed one by one turns round.
        if self.order == Order::Bulk && self.from == self.to {
            popped.reverse();
        }
        popped
    }
}

pub(super) fn lmovem(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let order = Move::parse(ctx, 5)?;
    if !move_elements(ctx, order)? {
        match order.exactly {
            true => ctx.reply.null(),
            false => ctx.reply.array(0),
        }
    }
    Ok(())
}

pub(super) fn blmovem(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let order = Move::parse(ctx, 6)?;
    let timeout_ms = waiting::timeout(ctx, 5)?;
    if !move_elements(ctx, order)? {
        if ctx.db.call.deny_blocking {
            ctx.reply.null();
        } else {
            let source = ctx.args.at(1);
            waiting::wait(ctx, std::iter::once(source), Type::List, timeout_ms);
        }
    }
    Ok(())
}

/// Moves elements and answers them as they lie at the target; answers whether there were enough.
fn move_elements(ctx: &mut Ctx<'_>, order: Move) -> Result<bool, Fail> {
    let (source, target) = (ctx.key(1), ctx.key(2));
    let len = collections::write(&mut ctx.db, source, |list: Option<&mut List>| list.map_or(0, |list| list.len()))?;
    let takes = order.takes(len);
    if takes == 0 {
        return Ok(false);
    }
    collections::write(&mut ctx.db, target, |_: Option<&mut List>| ())?;
    let popped = collections::write(&mut ctx.db, source, |list: Option<&mut List>| {
        let Some(list) = list else { return Vec::new() };
        (0..takes).map_while(|_| order.from.pop_with(list, |elem| elem.to_vec())).collect()
    })?;
    let moved = order.pushed(popped);
    // Where both are the same list it may be found empty here, and so is not made anew.
    let limits = &ctx.db.settings.limits;
    collections::write_or_create(&mut ctx.db, target, |list: &mut List| {
        moved.iter().for_each(|value| order.to.push(list, value, limits));
        Ok(())
    })?;
    ctx.db.changed(target.bytes, class::LIST, order.to.push_event());
    ctx.reply.array(moved.len());
    match order.to {
        End::Left => moved.iter().rev().for_each(|value| ctx.reply.bulk(value)),
        End::Right => moved.iter().for_each(|value| ctx.reply.bulk(value)),
    }
    if ctx.db.call.propagates {
        propagate(ctx, order, &moved, takes == len);
    }
    let emptied = takes == len && source.bytes != target.bytes;
    collections::removed(ctx, source, takes, emptied, class::LIST, order.from.pop_event());
    Ok(true)
}

/// Replicas may not know the command: they get a pop and a push, and the deadline that a list has lost which was empty in between.
fn propagate(ctx: &mut Ctx<'_>, order: Move, moved: &[Vec<u8>], all: bool) {
    let (source, target) = (ctx.key(1), ctx.key(2));
    let words = |end: End, left: &'static [u8], right: &'static [u8]| if end == End::Left { left } else { right };
    let count = moved.len().to_string();
    let pop = [words(order.from, b"LPOP", b"RPOP"), source.bytes, count.as_bytes()];
    let mut push: Vec<&[u8]> = vec![words(order.to, b"LPUSH", b"RPUSH"), target.bytes];
    push.extend(moved.iter().map(Vec::as_slice));
    let mut commands = vec![OwnedArgs::from_slices(&pop), OwnedArgs::from_slices(&push)];
    if all && source.bytes == target.bytes {
        commands.extend(deadline_again(ctx, target));
    }
    ctx.propagate_all(commands);
}

fn deadline_again(ctx: &Ctx<'_>, key: Key<'_>) -> Option<OwnedArgs> {
    let deadline = ctx.db.get(key)?.deadline()?.to_string();
    Some(OwnedArgs::from_slices(&[b"PEXPIREAT", key.bytes, deadline.as_bytes()]))
}
