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

#[cfg(test)]
mod tests {
    use crate::generic;
    use crate::list::COMMANDS;
    use crate::testing::Bench;

    fn bench() -> Bench {
        Bench::new(&[COMMANDS, generic::COMMANDS])
    }

    /// The texts of an answer.
    fn said(b: &mut Bench, line: &str) -> String {
        let answer = b.run(line);
        let is_text = |word: &&str| !word.starts_with(['*', '$']) && !word.is_empty();
        let texts: Vec<&str> = answer.split("\r\n").filter(is_text).collect();
        if texts.is_empty() { answer.trim().to_string() } else { texts.join(" ") }
    }

    #[test]
    fn elements_lie_as_they_were_moved() {
        let orders = [
            ("LEFT LEFT", "OBO", "b a x y", "b a"),
            ("LEFT LEFT", "BULK", "a b x y", "a b"),
            ("LEFT RIGHT", "OBO", "x y a b", "a b"),
            ("LEFT RIGHT", "BULK", "x y a b", "a b"),
            ("RIGHT LEFT", "OBO", "c d x y", "c d"),
            ("RIGHT LEFT", "BULK", "c d x y", "c d"),
            ("RIGHT RIGHT", "OBO", "x y d c", "d c"),
            ("RIGHT RIGHT", "BULK", "x y c d", "c d"),
        ];
        for (ends, order, target, answer) in orders {
            for how_many in ["COUNT", "EXACTLY"] {
                let mut b = bench();
                b.run("RPUSH from a b c d");
                b.run("RPUSH to x y");
                assert_eq!(
                    said(&mut b, &format!("LMOVEM from to {ends} {how_many} 2 {order}")),
                    answer,
                    "{ends} {order}"
                );
                // What replicas get does the same there.
                let mut replica = bench();
                replica.run("RPUSH from a b c d");
                replica.run("RPUSH to x y");
                b.effects().propagated.iter().for_each(|line| _ = replica.run(line));
                for b in [&mut b, &mut replica] {
                    assert_eq!(said(b, "LRANGE to 0 -1"), target, "{ends} {order}");
                    let left = if ends.starts_with("LEFT") { "c d" } else { "a b" };
                    assert_eq!(said(b, "LRANGE from 0 -1"), left, "{ends} {order}");
                }
            }
        }
    }

    #[test]
    fn within_one_list_nothing_is_lost() {
        for (line, left) in [
            ("LMOVEM l l LEFT LEFT EXACTLY 2 OBO", "b a c"),
            ("LMOVEM l l LEFT LEFT EXACTLY 2 BULK", "a b c"),
            ("LMOVEM l l LEFT LEFT COUNT 9 OBO", "c b a"),
            ("LMOVEM l l LEFT RIGHT COUNT 2 OBO", "c a b"),
            ("LMOVEM l l RIGHT RIGHT COUNT 3 BULK", "a b c"),
            ("LMOVEM l l RIGHT LEFT", "c a b"),
        ] {
            let (mut b, mut replica) = (bench(), bench());
            for b in [&mut b, &mut replica] {
                b.run("RPUSH l a b c");
                b.run("PEXPIREAT l 4000000500000");
            }
            b.run(line);
            b.effects().propagated.iter().for_each(|line| _ = replica.run(line));
            for b in [&mut b, &mut replica] {
                assert_eq!(said(b, "LRANGE l 0 -1"), left, "{line}");
                assert_eq!(said(b, "PEXPIRETIME l"), ":4000000500000", "{line}");
            }
        }
    }

    #[test]
    fn too_few_and_too_many() {
        let mut b = bench();
        b.run("RPUSH l a b c");
        for (line, want) in [
            ("LMOVEM none to LEFT LEFT", "*0"),
            ("LMOVEM none to LEFT LEFT COUNT 2 OBO", "*0"),
            ("LMOVEM none to LEFT LEFT EXACTLY 1 OBO", "$-1"),
            ("LMOVEM l to LEFT LEFT EXACTLY 4 BULK", "$-1"),
            ("LMOVEM l to LEFT LEFT", "a"),
            ("LMOVEM l to LEFT RIGHT COUNT 9223372036854775807 bulk", "b c"),
            ("EXISTS l", ":0"),
            ("LMOVEM l to LEFT RIGHT COUNT 0 BULK", "-ERR count should be greater than 0"),
            ("LMOVEM l to LEFT RIGHT COUNT x BULK", "-ERR count should be greater than 0"),
            ("LMOVEM l to LEFT RIGHT COUNT 1", "-ERR syntax error"),
            ("LMOVEM l to LEFT RIGHT COUNT 1 OTHER", "-ERR syntax error"),
            ("LMOVEM l to LEFT RIGHT OTHER 1 OBO", "-ERR syntax error"),
            ("LMOVEM l to LEFT UP", "-ERR syntax error"),
        ] {
            assert_eq!(said(&mut b, line), want, "{line}");
        }
    }

    #[test]
    fn who_waits_waits_for_as_many() {
        let mut b = bench();
        b.run("RPUSH l a b");
        assert_eq!(b.run("BLMOVEM l to LEFT LEFT 1.5 EXACTLY 3 BULK"), "");
        let done = b.effects();
        assert_eq!((done.block.map(|keys| keys.join(" ")), done.block_timeout_ms), (Some("l".to_string()), Some(1500)));
        assert_eq!(said(&mut b, "BLMOVEM l to LEFT LEFT 0 COUNT 3 BULK"), "a b");
        assert_eq!(b.effects().propagated, ["LPOP l 2", "LPUSH to b a"]);
        b.call.deny_blocking = true;
        assert_eq!(b.run("BLMOVEM l to LEFT LEFT 0"), "$-1\r\n");
    }
}
