//! Commands on hashes.

mod deadlines;
mod expired;
mod together;

pub use expired::expire_fields;
pub(crate) use expired::moment;

use expired::Expired;
use rivulet_keyspace::Hash;
use rivulet_keyspace::value::Elem;
use rivulet_keyspace::value::elem::parse_int;
use rivulet_keyspace::value::hash::Live;
use rivulet_resp::{OwnedArgs, Reply};

use crate::collections;
use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::{Fail, NOT_FLOAT, OVERFLOW};
use crate::generic::scan::parse_cursor;
use crate::long_double::LongDouble;
use crate::sample::{self, RandomCount};
use crate::scan_page::ScanPage;
use crate::spec::{Begin, Command, Find, Group, Handler, KeySpec, acl, flag::*, key};

pub const COMMANDS: &[Command] = &[
    Command::new("hset", -4, WRITE | DENYOOM | FAST, Group::Hash, Handler::Data(hset))
        .since("2.0.0")
        .complexity("O(1) a field")
        .summary("Sets fields, and counts the new ones")
        .acl(acl::HASH)
        .keys(KEY_UPDATE),
    Command::new("hsetnx", 4, WRITE | DENYOOM | FAST, Group::Hash, Handler::Data(hsetnx))
        .since("2.0.0")
        .complexity("O(1)")
        .summary("Sets a field that is not there")
        .acl(acl::HASH)
        .keys(KEY_INSERT),
    Command::new("hmset", -4, WRITE | DENYOOM | FAST, Group::Hash, Handler::Data(hmset))
        .since("2.0.0")
        .complexity("O(1) a field")
        .summary("Sets fields")
        .acl(acl::HASH)
        .keys(KEY_UPDATE),
    Command::new("hget", 3, READONLY | FAST, Group::Hash, Handler::Data(hget))
        .since("2.0.0")
        .complexity("O(1)")
        .summary("Answers the value of a field")
        .acl(acl::HASH)
        .keys(KEY_READ),
    Command::new("hmget", -3, READONLY | FAST, Group::Hash, Handler::Data(hmget))
        .since("2.0.0")
        .complexity("O(N) for N fields asked for")
        .summary("Answers the values of fields")
        .acl(acl::HASH)
        .keys(KEY_READ),
    Command::new("hdel", -3, WRITE | FAST, Group::Hash, Handler::Data(hdel))
        .since("2.0.0")
        .complexity("O(N) for N fields removed")
        .summary("Removes fields")
        .acl(acl::HASH)
        .keys(KEY_DELETE),
    Command::new("hexists", 3, READONLY | FAST, Group::Hash, Handler::Data(hexists))
        .since("2.0.0")
        .complexity("O(1)")
        .summary("Tells whether a field is there")
        .acl(acl::HASH)
        .keys(KEY_LOOK),
    Command::new("hlen", 2, READONLY | FAST, Group::Hash, Handler::Data(hlen))
        .since("2.0.0")
        .complexity("O(1)")
        .summary("Counts the fields")
        .acl(acl::HASH)
        .keys(KEY_LOOK),
    Command::new("hstrlen", 3, READONLY | FAST, Group::Hash, Handler::Data(hstrlen))
        .since("3.2.0")
        .complexity("O(1)")
        .summary("Answers the length of a field's value")
        .acl(acl::HASH)
        .keys(KEY_LOOK),
    Command::new("hincrby", 4, WRITE | DENYOOM | FAST, Group::Hash, Handler::Data(hincrby))
        .since("2.0.0")
        .complexity("O(1)")
        .summary("Adds an integer to the value of a field")
        .acl(acl::HASH)
        .keys(KEY_ACCESS_UPDATE),
    Command::new("hincrbyfloat", 4, WRITE | DENYOOM | FAST, Group::Hash, Handler::Data(hincrbyfloat))
        .since("2.6.0")
        .complexity("O(1)")
        .summary("Adds a number to the value of a field")
        .acl(acl::HASH)
        .keys(KEY_ACCESS_UPDATE),
    Command::new("hgetall", 2, READONLY, Group::Hash, Handler::Data(hgetall))
        .since("2.0.0")
        .complexity("O(N)")
        .summary("Answers all fields with their values")
        .acl(acl::HASH)
        .tips(&["nondeterministic_output_order"])
        .keys(KEY_READ),
    Command::new("hkeys", 2, READONLY, Group::Hash, Handler::Data(hkeys))
        .since("2.0.0")
        .complexity("O(N)")
        .summary("Answers all fields")
        .acl(acl::HASH)
        .tips(&["nondeterministic_output_order"])
        .keys(KEY_READ),
    Command::new("hvals", 2, READONLY, Group::Hash, Handler::Data(hvals))
        .since("2.0.0")
        .complexity("O(N)")
        .summary("Answers all values")
        .acl(acl::HASH)
        .tips(&["nondeterministic_output_order"])
        .keys(KEY_READ),
    Command::new("hrandfield", -2, READONLY, Group::Hash, Handler::Data(hrandfield))
        .since("6.2.0")
        .complexity("O(N) for N fields answered")
        .summary("Answers fields chosen at random")
        .acl(acl::HASH)
        .tips(&["nondeterministic_output"])
        .keys(KEY_READ),
    Command::new("hscan", -3, READONLY, Group::Hash, Handler::Data(hscan))
        .since("2.8.0")
        .complexity("O(1) a call, O(N) for all fields")
        .summary("Answers a part of the fields with values, and the cursor to go on with")
        .acl(acl::HASH)
        .tips(&["nondeterministic_output"])
        .keys(KEY_READ),
    Command::new("hexpire", -6, WRITE | FAST, Group::Hash, Handler::Data(deadlines::hexpire))
        .since("7.4.0")
        .complexity("O(N) for N fields")
        .summary("Sets how many seconds fields live")
        .acl(acl::HASH)
        .keys(KEY_UPDATE),
    Command::new("hpexpire", -6, WRITE | FAST, Group::Hash, Handler::Data(deadlines::hpexpire))
        .since("7.4.0")
        .complexity("O(N) for N fields")
        .summary("Sets how many milliseconds fields live")
        .acl(acl::HASH)
        .keys(KEY_UPDATE),
    Command::new("hexpireat", -6, WRITE | FAST, Group::Hash, Handler::Data(deadlines::hexpireat))
        .since("7.4.0")
        .complexity("O(N) for N fields")
        .summary("Sets when fields expire, in Unix seconds")
        .acl(acl::HASH)
        .keys(KEY_UPDATE),
    Command::new("hpexpireat", -6, WRITE | FAST, Group::Hash, Handler::Data(deadlines::hpexpireat))
        .since("7.4.0")
        .complexity("O(N) for N fields")
        .summary("Sets when fields expire, in Unix milliseconds")
        .acl(acl::HASH)
        .keys(KEY_UPDATE),
    Command::new("hpersist", -5, WRITE | FAST, Group::Hash, Handler::Data(deadlines::hpersist))
        .since("7.4.0")
        .complexity("O(N) for N fields")
        .summary("Takes the deadlines of fields away")
        .acl(acl::HASH)
        .keys(KEY_UPDATE),
    Command::new("httl", -5, READONLY | FAST, Group::Hash, Handler::Data(deadlines::httl))
        .since("7.4.0")
        .complexity("O(N) for N fields")
        .summary("Answers how many seconds fields still live")
        .acl(acl::HASH)
        .tips(&["nondeterministic_output"])
        .keys(KEY_READ),
    Command::new("hpttl", -5, READONLY | FAST, Group::Hash, Handler::Data(deadlines::hpttl))
        .since("7.4.0")
        .complexity("O(N) for N fields")
        .summary("Answers how many milliseconds fields still live")
        .acl(acl::HASH)
        .tips(&["nondeterministic_output"])
        .keys(KEY_READ),
    Command::new("hexpiretime", -5, READONLY | FAST, Group::Hash, Handler::Data(deadlines::hexpiretime))
        .since("7.4.0")
        .complexity("O(N) for N fields")
        .summary("Answers when fields expire, in Unix seconds")
        .acl(acl::HASH)
        .keys(KEY_READ),
    Command::new("hpexpiretime", -5, READONLY | FAST, Group::Hash, Handler::Data(deadlines::hpexpiretime))
        .since("7.4.0")
        .complexity("O(N) for N fields")
        .summary("Answers when fields expire, in Unix milliseconds")
        .acl(acl::HASH)
        .keys(KEY_READ),
    Command::new("hgetex", -5, WRITE | FAST, Group::Hash, Handler::Data(together::hgetex))
        .since("8.0.0")
        .complexity("O(N) for N fields")
        .summary("Answers the values of fields, and sets when these expire or that they do not")
        .acl(acl::HASH)
        .keys(KEY_ACCESS_UPDATE),
    Command::new("hsetex", -6, WRITE | DENYOOM | FAST, Group::Hash, Handler::Data(together::hsetex))
        .since("8.0.0")
        .complexity("O(N) for N fields")
        .summary("Sets fields and when they expire")
        .acl(acl::HASH)
        .keys(KEY_UPDATE),
    Command::new("hgetdel", -5, WRITE | FAST, Group::Hash, Handler::Data(together::hgetdel))
        .since("8.0.0")
        .complexity("O(N) for N fields")
        .summary("Answers the values of fields, and removes these")
        .acl(acl::HASH)
        .keys(KEY_ACCESS_DELETE),
];

const KEY_UPDATE: &[KeySpec] =
    &[KeySpec::new(key::RW | key::UPDATE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_INSERT: &[KeySpec] =
    &[KeySpec::new(key::RW | key::INSERT, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_READ: &[KeySpec] =
    &[KeySpec::new(key::RO | key::ACCESS, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_DELETE: &[KeySpec] =
    &[KeySpec::new(key::RW | key::DELETE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_LOOK: &[KeySpec] = &[KeySpec::new(key::RO, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_ACCESS_UPDATE: &[KeySpec] =
    &[KeySpec::new(key::RW | key::ACCESS | key::UPDATE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_ACCESS_DELETE: &[KeySpec] =
    &[KeySpec::new(key::RW | key::ACCESS | key::DELETE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];

// ---- writing ----

fn hset(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let created = set_fields(ctx, "hset")?;
    ctx.reply.int(created);
    Ok(())
}

fn hmset(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    set_fields(ctx, "hmset")?;
    ctx.reply.ok();
    Ok(())
}

/// Answers how many fields are new.
fn set_fields(ctx: &mut Ctx<'_>, name: &str) -> Result<i64, Fail> {
    let args = ctx.args;
    if !args.len().is_multiple_of(2) {
        return Err(Fail::arity(name));
    }
    let key = ctx.key(1);
    let limits = &ctx.db.settings.limits;
    let mut expired = Expired::new(&ctx.db.call);
    let created = collections::write_or_create(&mut ctx.db, key, |hash: &mut Hash| {
        let set = |&i: &usize| {
            expired.make_way(hash, args.at(i));
            hash.set(args.at(i), args.at(i + 1), limits)
        };
        Ok((2..args.len()).step_by(2).filter(set).count())
    })?;
    expired.tell(&mut ctx.db, key, false);
    ctx.db.changed(key.bytes, class::HASH, "hset");
    ctx.db.dirty((args.len() as u64 - 2) / 2);
    Ok(created as i64)
}

fn hsetnx(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, field, value) = (ctx.key(1), ctx.args.at(2), ctx.args.at(3));
    let limits = &ctx.db.settings.limits;
    let mut expired = Expired::new(&ctx.db.call);
    let is_new = collections::write_or_create(&mut ctx.db, key, |hash: &mut Hash| {
        expired.make_way(hash, field);
        Ok(!hash.contains(field) && hash.set(field, value, limits))
    })?;
    expired.tell(&mut ctx.db, key, false);
    if is_new {
        ctx.db.changed(key.bytes, class::HASH, "hset");
        ctx.db.dirty(1);
    }
    ctx.reply.int(i64::from(is_new));
    Ok(())
}

fn hdel(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(1);
    let args = ctx.args;
    let (removed, emptied) = collections::write(&mut ctx.db, key, |hash: Option<&mut Hash>| {
        let Some(hash) = hash else { return (0, false) };
        let mut removed = 0;
        for field in args.iter().skip(2) {
            if hash.remove(field) {
                removed += 1;
                if hash.is_empty() {
                    return (removed, true);
                }
            }
        }
        (removed, false)
    })?;
    collections::removed(ctx, key, removed, emptied, class::HASH, "hdel");
    ctx.reply.int(removed as i64);
    Ok(())
}

fn hincrby(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let increment = ctx.int(3)?;
    let (key, field) = (ctx.key(1), ctx.args.at(2));
    let limits = &ctx.db.settings.limits;
    let mut expired = Expired::new(&ctx.db.call);
    let sum = collections::write_or_create(&mut ctx.db, key, |hash: &mut Hash| {
        expired.make_way(hash, field);
        let value = match hash.get(field) {
            None => 0,
            Some(Elem::Int(n)) => n,
            Some(Elem::Bytes(text)) => parse_int(text).ok_or(Fail::new("ERR hash value is not an integer"))?,
        };
        let sum = value.checked_add(increment).ok_or(OVERFLOW)?;
        hash.set_keeping_deadline(field, itoa::Buffer::new().format(sum).as_bytes(), limits);
        Ok(sum)
    })?;
    expired.tell(&mut ctx.db, key, false);
    ctx.db.changed(key.bytes, class::HASH, "hincrby");
    ctx.db.dirty(1);
    ctx.reply.int(sum);
    Ok(())
}

fn hincrbyfloat(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let increment = LongDouble::parse(ctx.args.at(3)).ok_or(NOT_FLOAT)?;
    if !increment.is_finite() {
        return Err(Fail::new("ERR value is NaN or Infinity"));
    }
    let (key, field) = (ctx.key(1), ctx.args.at(2));
    let limits = &ctx.db.settings.limits;
    let mut expired = Expired::new(&ctx.db.call);
    let (text, deadline) = collections::write_or_create(&mut ctx.db, key, |hash: &mut Hash| {
        expired.make_way(hash, field);
        let value = match hash.get(field) {
            None => LongDouble::ZERO,
            Some(Elem::Int(n)) => LongDouble::from(n),
            Some(Elem::Bytes(text)) => LongDouble::parse(text).ok_or(Fail::new("ERR hash value is not a float"))?,
        };
        let sum = value.add(increment);
        if !sum.is_finite() {
            return Err(Fail::new("ERR increment would produce NaN or Infinity"));
        }
        let text = sum.format_human();
        hash.set_keeping_deadline(field, text.as_bytes(), limits);
        Ok((text, hash.deadline(field).flatten()))
    })?;
    expired.tell(&mut ctx.db, key, false);
    ctx.db.changed(key.bytes, class::HASH, "hincrbyfloat");
    ctx.db.dirty(1);
    ctx.reply.bulk(text.as_bytes());
    // The result itself, so that no replica computes it in another way.
    let set = [b"HSET", key.bytes, field, text.as_bytes()];
    match deadline {
        None => ctx.propagate(&set),
        // HSET takes the deadline away.
        Some(ms) => {
            let mut when = itoa::Buffer::new();
            let again = [b"HPEXPIREAT", key.bytes, when.format(ms).as_bytes(), b"FIELDS", b"1", field];
            ctx.propagate_all(vec![OwnedArgs::from_slices(&set), OwnedArgs::from_slices(&again)]);
        }
    }
    Ok(())
}

// ---- reading ----

fn reply_elem(reply: &mut Reply<'_>, elem: Elem<'_>) {
    elem.with(|text| reply.bulk(text));
}

fn reply_value(reply: &mut Reply<'_>, value: Option<Elem<'_>>) {
    match value {
        Some(value) => reply_elem(reply, value),
        None => reply.null(),
    }
}

fn hget(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, field) = (ctx.key(1), ctx.args.at(2));
    let now_ms = moment(&ctx.db.call);
    let reply = &mut ctx.reply;
    collections::read(&mut ctx.db, key, |hash: Option<&Hash>| {
        reply_value(reply, hash.and_then(|hash| hash.live(now_ms).get(field)));
    })
}

fn hmget(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, args) = (ctx.key(1), ctx.args);
    let now_ms = moment(&ctx.db.call);
    let reply = &mut ctx.reply;
    collections::read(&mut ctx.db, key, |hash: Option<&Hash>| {
        reply.array(args.len() - 2);
        for field in args.iter().skip(2) {
            reply_value(reply, hash.and_then(|hash| hash.live(now_ms).get(field)));
        }
    })
}

fn hexists(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, field) = (ctx.key(1), ctx.args.at(2));
    let now_ms = moment(&ctx.db.call);
    let found = collections::read(&mut ctx.db, key, |hash: Option<&Hash>| {
        hash.is_some_and(|hash| hash.live(now_ms).contains(field))
    })?;
    ctx.reply.int(i64::from(found));
    Ok(())
}

fn hlen(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(1);
    let len = collections::read(&mut ctx.db, key, |hash: Option<&Hash>| hash.map_or(0, Hash::len))?;
    ctx.reply.int(len as i64);
    Ok(())
}

fn hstrlen(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, field) = (ctx.key(1), ctx.args.at(2));
    let now_ms = moment(&ctx.db.call);
    let len = collections::read(&mut ctx.db, key, |hash: Option<&Hash>| {
        hash?.live(now_ms).get(field).map(|value| value.len())
    })?;
    ctx.reply.int(len.unwrap_or(0) as i64);
    Ok(())
}

fn hgetall(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(1);
    let now_ms = moment(&ctx.db.call);
    let reply = &mut ctx.reply;
    collections::read(&mut ctx.db, key, |hash: Option<&Hash>| {
        let live = hash.map(|hash| hash.live(now_ms));
        reply.map(live.map_or(0, |live| live.len()));
        for (field, value) in live.iter().flat_map(Live::iter) {
            reply_elem(reply, field);
            reply_elem(reply, value);
        }
    })
}

fn hkeys(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    reply_all(ctx, |(field, _)| field)
}

fn hvals(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    reply_all(ctx, |(_, value)| value)
}

fn reply_all(ctx: &mut Ctx<'_>, part: for<'e> fn((Elem<'e>, Elem<'e>)) -> Elem<'e>) -> Result<(), Fail> {
    let key = ctx.key(1);
    let now_ms = moment(&ctx.db.call);
    let reply = &mut ctx.reply;
    collections::read(&mut ctx.db, key, |hash: Option<&Hash>| {
        let live = hash.map(|hash| hash.live(now_ms));
        reply.array(live.map_or(0, |live| live.len()));
        live.iter().flat_map(Live::iter).for_each(|pair| reply_elem(reply, part(pair)));
    })
}

fn hrandfield(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let mut rng = ctx.db.rng.fork();
    let key = ctx.key(1);
    let now_ms = moment(&ctx.db.call);
    if ctx.args.len() == 2 {
        let reply = &mut ctx.reply;
        return collections::read(&mut ctx.db, key, |hash: Option<&Hash>| {
            let chosen = hash.and_then(|hash| hash.live(now_ms).choose(|len| rng.usize(..len)));
            reply_value(reply, chosen.map(|(field, _)| field));
        });
    }
    let (count, with_values) = RandomCount::parse(ctx, "withvalues")?;
    let Some(hash) = ctx.db.read_as::<Hash>(key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let live = hash.live(now_ms);
    let reply = &mut ctx.reply;
    let pairs = with_values && reply.is_resp3();
    let len = live.len();
    let answered = if len == 0 { 0 } else { count.answered(len) };
    reply.array(if with_values && !pairs { answered * 2 } else { answered });
    let push = |(field, value): (Elem<'_>, Elem<'_>)| {
        if pairs {
            reply.array(2);
        }
        reply_elem(reply, field);
        if with_values {
            reply_elem(reply, value);
        }
    };
    match count {
        _ if len == 0 => {}
        RandomCount::Distinct(count) if count >= len => live.iter().for_each(push),
        RandomCount::Distinct(count) => {
            let ranks = sample::distinct_ranks(&mut rng, len, count);
            // Ranks are those among what is there.
            if hash.is_small() || live.hides() || sample::is_dense(len, count) {
                sample::at_ranks(live.iter(), &ranks).for_each(push);
            } else {
                ranks.iter().filter_map(|&rank| hash.nth(rank)).for_each(push);
            }
        }
        RandomCount::Repeating(count) if hash.is_small() || live.hides() => {
            // A listpack is gone through once, not once for each.
            let all: Vec<(Elem<'_>, Elem<'_>)> = live.iter().collect();
            (0..count).map(|_| all[rng.usize(..len)]).for_each(push);
        }
        RandomCount::Repeating(count) => (0..count).filter_map(|_| hash.nth(rng.usize(..len))).for_each(push),
    }
    Ok(())
}

fn hscan(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let cursor = parse_cursor(ctx.args.at(2))?;
    let now_ms = moment(&ctx.db.call);
    let Some(hash) = ctx.db.read_as::<Hash>(ctx.key(1))? else {
        ScanPage::reply_missing(&mut ctx.reply);
        return Ok(());
    };
    let mut page = ScanPage::new(ctx.args)?;
    let next = hash.live(now_ms).scan(cursor, page.options.count, |field, value| {
        page.push_pair(field, |page| value.with(|value| page.push(value)));
    });
    page.reply(&mut ctx.reply, next);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    fn bench() -> Bench {
        Bench::new(&[COMMANDS])
    }

    #[test]
    fn both_forms_answer_the_same() {
        let mut small = bench();
        let mut large = bench();
        large.settings.limits.hash_max_listpack_entries = 0;
        for (line, want) in [
            ("HSET h a 1 b 22", ":2\r\n"),
            ("HSET h a 333 c x a 5", ":1\r\n"),
            ("HMSET h d 0", "+OK\r\n"),
            ("HSETNX h a 9", ":0\r\n"),
            ("HSETNX h e 9", ":1\r\n"),
            ("HGET h a", "$1\r\n5\r\n"),
            ("HGET h none", "$-1\r\n"),
            ("HMGET h b none", "*2\r\n$2\r\n22\r\n$-1\r\n"),
            ("HMGET none b", "*1\r\n$-1\r\n"),
            ("HEXISTS h b", ":1\r\n"),
            ("HLEN h", ":5\r\n"),
            ("HSTRLEN h b", ":2\r\n"),
            ("HINCRBY h a -7", ":-2\r\n"),
            ("HINCRBY h new 9223372036854775807", ":9223372036854775807\r\n"),
            ("HINCRBY h new 1", "-ERR increment or decrement would overflow\r\n"),
            ("HINCRBY h c 1", "-ERR hash value is not an integer\r\n"),
            ("HINCRBY h a x", "-ERR value is not an integer or out of range\r\n"),
            ("HINCRBYFLOAT h f 0.1", "$3\r\n0.1\r\n"),
            ("HINCRBYFLOAT h f 0.2", "$3\r\n0.3\r\n"),
            ("HINCRBYFLOAT h c 1", "-ERR hash value is not a float\r\n"),
            ("HINCRBYFLOAT h f inf", "-ERR value is NaN or Infinity\r\n"),
            ("HINCRBYFLOAT h f nan", "-ERR value is not a valid float\r\n"),
            ("HDEL h a b new none f d", ":5\r\n"),
            ("HSCAN h 0 MATCH [c]", "*2\r\n$1\r\n0\r\n*2\r\n$1\r\nc\r\n$1\r\nx\r\n"),
            ("HSCAN none 0 COUNT x", "*2\r\n$1\r\n0\r\n*0\r\n"),
            ("HDEL h e", ":1\r\n"),
            ("HGETALL h", "*2\r\n$1\r\nc\r\n$1\r\nx\r\n"),
            ("HKEYS h", "*1\r\n$1\r\nc\r\n"),
            ("HVALS h", "*1\r\n$1\r\nx\r\n"),
            ("HRANDFIELD h", "$1\r\nc\r\n"),
            ("HRANDFIELD h -2 WITHVALUES", "*4\r\n$1\r\nc\r\n$1\r\nx\r\n$1\r\nc\r\n$1\r\nx\r\n"),
            ("HDEL h c", ":1\r\n"),
            ("HRANDFIELD h", "$-1\r\n"),
            ("HGETALL h", "*0\r\n"),
        ] {
            assert_eq!(small.run(line), want, "{line}");
            assert_eq!(large.run(line), want, "{line}");
        }
        assert_eq!(small.effects(), Default::default());
        assert!(small.keyspace.is_empty());
    }

    #[test]
    fn what_a_change_leaves_behind() {
        let mut b = bench();
        b.run("HSET h a 1 b 2");
        let done = b.effects();
        assert_eq!(
            (done.dirty, done.propagated, done.events),
            (2, vec!["HSET h a 1 b 2".into()], vec!["hset h".into()])
        );
        b.run("HINCRBYFLOAT h a 1.50");
        assert_eq!(b.effects().propagated, ["HSET h a 2.5"]);
        b.run("HDEL h a b c");
        let done = b.effects();
        assert_eq!((done.dirty, done.events), (2, vec!["hdel h".into(), "del h".into()]));
        assert_eq!(b.run("HINCRBY h a x"), "-ERR value is not an integer or out of range\r\n");
        assert!(b.keyspace.is_empty());
        assert_eq!(b.run("HSET h a 1 b"), "-ERR wrong number of arguments for 'hset' command\r\n");
    }

    #[test]
    fn resp3_has_maps_and_pairs() {
        let mut b = bench();
        b.resp3 = true;
        b.run("HSET h a 1");
        assert_eq!(b.run("HGETALL h"), "%1\r\n$1\r\na\r\n$1\r\n1\r\n");
        assert_eq!(b.run("HGETALL none"), "%0\r\n");
        assert_eq!(b.run("HRANDFIELD h 5 WITHVALUES"), "*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n");
        assert_eq!(b.run("HRANDFIELD h 5 VALUES"), "-ERR syntax error\r\n");
    }

    #[test]
    fn random_fields_are_distinct() {
        let mut b = bench();
        for i in 0..1000 {
            b.run(&format!("HSET h f{i} {i}"));
        }
        for count in [1, 10, 700] {
            let got = b.run(&format!("HRANDFIELD h {count}"));
            let mut fields: Vec<&str> = got.split("\r\n").filter(|word| word.starts_with('f')).collect();
            fields.sort_unstable();
            fields.dedup();
            assert_eq!(fields.len(), count);
        }
    }
}
