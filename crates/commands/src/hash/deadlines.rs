//! Deadlines of fields: HEXPIRE and its kin. Where Redis 8 and Valkey 9 differ it is as in Redis.

use rivulet_keyspace::value::hash::FIELD_DEADLINE_MAX;
use rivulet_keyspace::{Hash, Key};

use super::expired::{Expired, moment};
use crate::collections;
use crate::ctx::{Call, Ctx};
use crate::effects::class;
use crate::fail::Fail;
use crate::keys;

/// The latest deadline of a field that a client may set, as in Redis: a quarter of what 48 bits of milliseconds can tell.
const DEADLINE_MAX: i64 = (1 << 46) - 1;

/// What a field is answered with.
pub(super) const NO_FIELD: i64 = -2;
const NO_DEADLINE: i64 = -1;
const NOT_MET: i64 = 0;
const DONE: i64 = 1;
const GONE: i64 = 2;

/// `FIELDS n field …` from argument `at` to the end; answers where the fields begin.
pub(super) fn fields_from(ctx: &Ctx<'_>, at: usize, no_count: Fail) -> Result<usize, Fail> {
    const MISSING: Fail = Fail::new("ERR Mandatory argument FIELDS is missing or not at the right position");
    const MISMATCH: Fail = Fail::new("ERR The `numfields` parameter must match the number of arguments");
    if at + 1 >= ctx.args.len() || !ctx.args.is(at, "fields") {
        return Err(MISSING);
    }
    let count = ctx.int(at + 1).ok().filter(|&n| n > 0).ok_or(no_count)?;
    if (ctx.args.len() - at - 2) as u64 == count as u64 { Ok(at + 2) } else { Err(MISMATCH) }
}

pub(super) const NO_POSITIVE_COUNT: Fail = Fail::new("ERR Number of fields must be a positive integer");

/// The Unix ms that a time of a client means, counted from `base_ms`.
pub(super) fn moment_of(call: &Call, text: &[u8], unit_ms: i64, base_ms: u64, name: &str) -> Result<u64, Fail> {
    // What a master has, perhaps out of a file of Valkey's, is taken.
    let latest = if call.from_master { FIELD_DEADLINE_MAX as i64 } else { DEADLINE_MAX };
    let value = crate::parse::int(text)?;
    if value < 0 {
        return Err(Fail::new("ERR invalid expire time, must be >= 0"));
    }
    let ms = value.checked_mul(unit_ms).and_then(|ms| ms.checked_add(base_ms as i64));
    match ms {
        Some(ms) if ms <= latest => Ok(ms as u64),
        _ => Err(Fail::text(format!("ERR invalid expire time in '{name}' command"))),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    Nx,
    Xx,
    Gt,
    Lt,
}

impl Condition {
    fn parse(ctx: &Ctx<'_>, at: usize) -> Condition {
        let words = [("nx", Condition::Nx), ("xx", Condition::Xx), ("gt", Condition::Gt), ("lt", Condition::Lt)];
        let found = words.into_iter().find(|&(word, _)| at < ctx.args.len() && ctx.args.is(at, word));
        found.map_or(Condition::Always, |(_, condition)| condition)
    }

    /// A field without a deadline stays for ever.
    fn allows(self, new: u64, present: Option<u64>) -> bool {
        match self {
            Condition::Always => true,
            Condition::Nx => present.is_none(),
            Condition::Xx => present.is_some(),
            Condition::Gt => present.is_some_and(|ms| new > ms),
            Condition::Lt => present.is_none_or(|ms| new < ms),
        }
    }
}

/// What HEXPIRE and its kin are to do.
struct Plan {
    deadline: u64,
    condition: Condition,
    /// Where the fields begin.
    fields: usize,
}

impl Plan {
    fn parse(ctx: &Ctx<'_>, name: &str, unit_ms: i64, base_ms: u64) -> Result<Plan, Fail> {
        const NO_COUNT: Fail = Fail::new("ERR Parameter `numFields` should be greater than 0");
        let deadline = moment_of(&ctx.db.call, ctx.args.at(2), unit_ms, base_ms, name)?;
        let condition = Condition::parse(ctx, 3);
        let at = if condition == Condition::Always { 3 } else { 4 };
        Ok(Plan { deadline, condition, fields: fields_from(ctx, at, NO_COUNT)? })
    }
}

pub(super) fn hexpire(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let now_ms = ctx.db.now_ms();
    set_deadline(ctx, "hexpire", 1000, now_ms)
}

pub(super) fn hpexpire(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let now_ms = ctx.db.now_ms();
    set_deadline(ctx, "hpexpire", 1, now_ms)
}

pub(super) fn hexpireat(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    set_deadline(ctx, "hexpireat", 1000, 0)
}

pub(super) fn hpexpireat(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    set_deadline(ctx, "hpexpireat", 1, 0)
}

fn set_deadline(ctx: &mut Ctx<'_>, name: &str, unit_ms: i64, base_ms: u64) -> Result<(), Fail> {
    let plan = Plan::parse(ctx, name, unit_ms, base_ms);
    let (key, args) = (ctx.key(1), ctx.args);
    let limits = &ctx.db.settings.limits;
    let mut expired = Expired::new(&ctx.db.call);
    let mut done: Vec<&[u8]> = Vec::new();
    // A type that is wrong is told before arguments that are.
    let deadline = plan.as_ref().map_or(0, |plan| plan.deadline);
    let passed = keys::has_passed(&ctx.db, deadline as i64);
    let mut is_due_earlier = false;
    let (codes, emptied) = collections::write(&mut ctx.db, key, |hash: Option<&mut Hash>| {
        let plan = plan?;
        let fields = args.iter().skip(plan.fields);
        let Some(hash) = hash else { return Ok((fields.map(|_| NO_FIELD).collect::<Vec<i64>>(), false)) };
        let mut code = |field| {
            if !expired.is_there(hash, field) {
                return NO_FIELD;
            }
            if !plan.condition.allows(deadline, hash.deadline(field).flatten()) {
                return NOT_MET;
            }
            done.push(field);
            if passed {
                hash.remove(field);
                return GONE;
            }
            hash.set_deadline(field, Some(deadline), limits);
            DONE
        };
        let codes = fields.map(&mut code).collect();
        is_due_earlier = hash.is_due_earlier();
        Ok((codes, hash.is_empty()))
    })??;
    if is_due_earlier {
        ctx.db.db_mut().fields_changed(key);
    }
    expired.tell(&mut ctx.db, key, emptied && done.is_empty());
    if passed {
        delete_fields(ctx, key, &done, emptied);
    } else if !done.is_empty() {
        deadlines_set(ctx, key, &done, deadline);
    }
    ctx.reply.array(codes.len());
    codes.into_iter().for_each(|code| ctx.reply.int(code));
    Ok(())
}

/// What follows when fields got a deadline, besides that the database knows when they are due.
pub(super) fn deadlines_set(ctx: &mut Ctx<'_>, key: Key<'_>, fields: &[&[u8]], deadline: u64) {
    ctx.db.changed(key.bytes, class::HASH, "hexpire");
    ctx.db.dirty(fields.len() as u64);
    if !ctx.db.call.propagates {
        return;
    }
    let (mut when, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
    let mut words: Vec<&[u8]> = vec![
        b"HPEXPIREAT",
        key.bytes,
        when.format(deadline).as_bytes(),
        b"FIELDS",
        count.format(fields.len()).as_bytes(),
    ];
    words.extend(fields);
    ctx.propagate(&words);
}

/// What follows when fields went because of their deadline, or because they were asked for and taken out.
pub(super) fn delete_fields(ctx: &mut Ctx<'_>, key: Key<'_>, fields: &[&[u8]], emptied: bool) {
    if fields.is_empty() {
        return;
    }
    let words: Vec<&[u8]> = [b"HDEL", key.bytes].into_iter().chain(fields.iter().copied()).collect();
    ctx.propagate(&words);
    collections::removed(ctx, key, fields.len(), emptied, class::HASH, "hdel");
}

pub(super) fn hpersist(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let fields = fields_from(ctx, 2, NO_POSITIVE_COUNT);
    let (key, args) = (ctx.key(1), ctx.args);
    let limits = &ctx.db.settings.limits;
    let mut expired = Expired::new(&ctx.db.call);
    let mut changed = 0;
    let (codes, emptied) = collections::write(&mut ctx.db, key, |hash: Option<&mut Hash>| {
        let fields = args.iter().skip(fields?);
        let Some(hash) = hash else { return Ok((fields.map(|_| NO_FIELD).collect::<Vec<i64>>(), false)) };
        let mut code = |field| {
            if !expired.is_there(hash, field) {
                return NO_FIELD;
            }
            if hash.deadline(field).flatten().is_none() {
                return NO_DEADLINE;
            }
            hash.set_deadline(field, None, limits);
            changed += 1;
            DONE
        };
        let codes = fields.map(&mut code).collect();
        Ok((codes, hash.is_empty()))
    })??;
    expired.tell(&mut ctx.db, key, emptied);
    if changed > 0 {
        ctx.db.changed(key.bytes, class::HASH, "hpersist");
        ctx.db.dirty(changed);
    }
    ctx.reply.array(codes.len());
    codes.into_iter().for_each(|code| ctx.reply.int(code));
    Ok(())
}

pub(super) fn httl(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let now_ms = ctx.db.now_ms();
    reply_deadlines(ctx, 1000, now_ms)
}

pub(super) fn hpttl(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let now_ms = ctx.db.now_ms();
    reply_deadlines(ctx, 1, now_ms)
}

pub(super) fn hexpiretime(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    reply_deadlines(ctx, 1000, 0)
}

pub(super) fn hpexpiretime(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    reply_deadlines(ctx, 1, 0)
}

/// Replies with the deadlines counted from `base_ms`, in units that are rounded up.
fn reply_deadlines(ctx: &mut Ctx<'_>, unit_ms: u64, base_ms: u64) -> Result<(), Fail> {
    let fields = fields_from(ctx, 2, NO_POSITIVE_COUNT);
    let (key, args) = (ctx.key(1), ctx.args);
    let now_ms = moment(&ctx.db.call);
    let reply = &mut ctx.reply;
    collections::read(&mut ctx.db, key, |hash: Option<&Hash>| {
        let fields = fields?;
        reply.array(args.len() - fields);
        for field in args.iter().skip(fields) {
            reply.int(match hash.and_then(|hash| hash.live(now_ms).deadline(field)) {
                None => NO_FIELD,
                Some(None) => NO_DEADLINE,
                Some(Some(ms)) => ms.saturating_sub(base_ms).div_ceil(unit_ms) as i64,
            });
        }
        Ok(())
    })?
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    fn bench() -> Bench {
        Bench::new(&[super::super::COMMANDS])
    }

    #[test]
    fn a_command_that_writes_takes_out_what_has_expired_first() {
        let mut b = bench();
        b.run("HSET h a 1 b 2 c 3");
        b.effects();
        assert_eq!(b.run("HPEXPIRE h 100 FIELDS 3 a b none"), "*3\r\n:1\r\n:1\r\n:-2\r\n");
        let done = b.effects();
        assert_eq!((done.dirty, done.events), (2, vec!["hexpire h".into()]));
        assert!(done.propagated[0].starts_with("HPEXPIREAT h ") && done.propagated[0].ends_with(" FIELDS 2 a b"));
        b.advance_ms(101);
        assert_eq!(b.run("HMGET h a b c"), "*3\r\n$-1\r\n$-1\r\n$1\r\n3\r\n");
        assert_eq!(b.run("HLEN h"), ":3\r\n");
        assert_eq!(b.run("HINCRBY h a 5"), ":5\r\n");
        let done = b.effects();
        assert_eq!(done.propagated, ["HDEL h a", "HINCRBY h a 5"]);
        assert_eq!(done.events, ["hexpired h", "hincrby h"]);
        assert_eq!(b.run("HTTL h FIELDS 2 a b"), "*2\r\n:-1\r\n:-2\r\n");
        assert_eq!(b.run("HGETEX h EX 5 FIELDS 1 b"), "*1\r\n$-1\r\n");
        assert_eq!(b.run("HLEN h"), ":2\r\n");
    }

    #[test]
    fn a_hash_goes_with_its_last_field() {
        for command in
            ["HPERSIST h FIELDS 1 a", "HGETDEL h FIELDS 1 a", "HGETEX h EX 5 FIELDS 1 a", "HEXPIRE h 5 FIELDS 1 a"]
        {
            let mut b = bench();
            b.run("HSET h a 1");
            b.run("HPEXPIRE h 10 FIELDS 1 a");
            b.advance_ms(11);
            b.effects();
            b.run(command);
            let done = b.effects();
            assert_eq!(done.propagated, ["HDEL h a"], "{command}");
            assert_eq!(done.events, ["hexpired h", "del h"], "{command}");
            assert!(b.keyspace.is_empty(), "{command}");
        }
    }

    #[test]
    fn a_moment_that_has_passed_removes() {
        let mut b = bench();
        b.run("HSET h a 1 b 2");
        b.effects();
        assert_eq!(b.run("HPEXPIREAT h 1 FIELDS 2 a a"), "*2\r\n:2\r\n:-2\r\n");
        let done = b.effects();
        assert_eq!((done.propagated, done.events), (vec!["HDEL h a".into()], vec!["hdel h".into()]));
        assert_eq!(b.run("HSETEX h PXAT 1 FIELDS 1 b 3"), ":1\r\n");
        assert!(b.keyspace.is_empty());
    }

    #[test]
    fn a_sum_keeps_the_deadline() {
        let mut b = bench();
        b.run("HSET h a 1");
        b.run("HPEXPIREAT h 4000000000000 FIELDS 1 a");
        b.effects();
        b.run("HINCRBYFLOAT h a 0.5");
        assert_eq!(b.effects().propagated, ["HSET h a 1.5", "HPEXPIREAT h 4000000000000 FIELDS 1 a"]);
        assert_eq!(b.run("HPEXPIRETIME h FIELDS 1 a"), "*1\r\n:4000000000000\r\n");
        b.run("HSET h a 2");
        assert_eq!(b.run("HPEXPIRETIME h FIELDS 1 a"), "*1\r\n:-1\r\n");
    }
}
