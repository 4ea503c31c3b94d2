//! Fields that are read or set and given a deadline at once, or read and taken out: HGETEX, HSETEX, HGETDEL.

use rivulet_keyspace::{Hash, Key};
use rivulet_resp::OwnedArgs;

use super::deadlines::{NO_POSITIVE_COUNT, deadlines_set, delete_fields, fields_from, moment_of};
use super::expired::{Expired, moment};
use super::reply_value;
use crate::collections;
use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::Fail;
use crate::keys;

/// `EX`, `PX`, `EXAT` or `PXAT` at argument `at`, with the time after it: the deadline in Unix ms.
fn deadline_at(ctx: &Ctx<'_>, at: usize, name: &str) -> Option<Result<u64, Fail>> {
    let now_ms = ctx.db.now_ms();
    let words = [("ex", 1000, now_ms), ("px", 1, now_ms), ("exat", 1000, 0), ("pxat", 1, 0)];
    let (_, unit_ms, base_ms) = words.into_iter().find(|(word, ..)| ctx.args.is(at, word))?;
    let missing = || Fail::arity(name);
    Some(
        ctx.args.get(at + 1).ok_or_else(missing).and_then(|text| moment_of(&ctx.db.call, text, unit_ms, base_ms, name)),
    )
}

/// What happens to the deadlines of fields that are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Nothing,
    Persist,
    Deadline(u64),
}

impl Then {
    /// Answers also where the fields begin.
    fn parse(ctx: &Ctx<'_>) -> Result<(Then, usize), Fail> {
        let (then, at) = match deadline_at(ctx, 2, "hgetex") {
            Some(deadline) => (Then::Deadline(deadline?), 4),
            None if ctx.args.is(2, "persist") => (Then::Persist, 3),
            None => (Then::Nothing, 2),
        };
        Ok((then, fields_from(ctx, at, NO_POSITIVE_COUNT)?))
    }
}

pub(super) fn hgetex(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let plan = Then::parse(ctx);
    let (key, args) = (ctx.key(1), ctx.args);
    if let Ok((Then::Nothing, fields)) = plan {
        return reply_values(ctx, key, fields);
    }
    let deadline = if let Ok((Then::Deadline(ms), _)) = plan { Some(ms) } else { None };
    let passed = deadline.is_some_and(|ms| keys::has_passed(&ctx.db, ms as i64));
    let limits = &ctx.db.settings.limits;
    let reply = &mut ctx.reply;
    let mut expired = Expired::new(&ctx.db.call);
    let mut done: Vec<&[u8]> = Vec::new();
    let mut is_due_earlier = false;
    let emptied = collections::write(&mut ctx.db, key, |hash: Option<&mut Hash>| {
        let (_, fields) = plan?;
        reply.array(args.len() - fields);
        let Some(hash) = hash else {
            (fields..args.len()).for_each(|_| reply.null());
            return Ok(false);
        };
        for field in args.iter().skip(fields) {
            if !expired.is_there(hash, field) {
                reply.null();
                continue;
            }
            reply_value(reply, hash.get(field));
            if deadline.is_none() && hash.deadline(field).flatten().is_none() {
                continue;
            }
            done.push(field);
            if passed {
                hash.remove(field);
            } else {
                hash.set_deadline(field, deadline, limits);
            }
        }
        is_due_earlier = hash.is_due_earlier();
        Ok(hash.is_empty())
    })??;
    if is_due_earlier {
        ctx.db.db_mut().fields_changed(key);
    }
    expired.tell(&mut ctx.db, key, emptied && done.is_empty());
    match deadline {
        _ if done.is_empty() => {}
        Some(_) if passed => delete_fields(ctx, key, &done, emptied),
        Some(ms) => deadlines_set(ctx, key, &done, ms),
        None => persisted(ctx, key, &done),
    }
    Ok(())
}

fn reply_values(ctx: &mut Ctx<'_>, key: Key<'_>, fields: usize) -> Result<(), Fail> {
    let args = ctx.args;
    let now_ms = moment(&ctx.db.call);
    let reply = &mut ctx.reply;
    collections::read(&mut ctx.db, key, |hash: Option<&Hash>| {
        reply.array(args.len() - fields);
        for field in args.iter().skip(fields) {
            reply_value(reply, hash.and_then(|hash| hash.live(now_ms).get(field)));
        }
    })
}

/// What follows when fields lost their deadlines.
fn persisted(ctx: &mut Ctx<'_>, key: Key<'_>, fields: &[&[u8]]) {
    ctx.db.changed(key.bytes, class::HASH, "hpersist");
    ctx.db.dirty(fields.len() as u64);
    let mut count = itoa::Buffer::new();
    let mut words: Vec<&[u8]> = vec![b"HPERSIST", key.bytes, b"FIELDS", count.format(fields.len()).as_bytes()];
    words.extend(fields);
    ctx.propagate(&words);
}

pub(super) fn hgetdel(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let fields = fields_from(ctx, 2, NO_POSITIVE_COUNT);
    let (key, args) = (ctx.key(1), ctx.args);
    let reply = &mut ctx.reply;
    let mut expired = Expired::new(&ctx.db.call);
    let mut done: Vec<&[u8]> = Vec::new();
    let emptied = collections::write(&mut ctx.db, key, |hash: Option<&mut Hash>| {
        let fields = fields?;
        reply.array(args.len() - fields);
        let Some(hash) = hash else {
            (fields..args.len()).for_each(|_| reply.null());
            return Ok(false);
        };
        for field in args.iter().skip(fields) {
            if expired.is_there(hash, field) {
                reply_value(reply, hash.get(field));
                hash.remove(field);
                done.push(field);
            } else {
                reply.null();
            }
        }
        Ok(hash.is_empty())
    })??;
    expired.tell(&mut ctx.db, key, emptied && done.is_empty());
    delete_fields(ctx, key, &done, emptied);
    Ok(())
}

/// When HSETEX sets anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Only {
    Always,
    IfNone,
    IfAll,
}

/// What HSETEX is to do.
struct Setting {
    only: Only,
    deadline: Option<u64>,
    keeps: bool,
    /// Where fields and values begin.
    pairs: usize,
}

impl Setting {
    fn parse(ctx: &Ctx<'_>) -> Result<Setting, Fail> {
        const TWO_CONDITIONS: Fail = Fail::new("ERR Only one of FXX or FNX arguments can be specified");
        const TWO_TIMES: Fail = Fail::new("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
        let mut setting = Setting { only: Only::Always, deadline: None, keeps: false, pairs: 0 };
        let mut at = 2;
        while let Some(word) = ctx.args.get(at) {
            let has_time = setting.keeps || setting.deadline.is_some();
            let is_time = ["ex", "px", "exat", "pxat", "keepttl"].into_iter().any(|word| ctx.args.is(at, word));
            if ctx.args.is(at, "fields") {
                setting.pairs = pairs_from(ctx, at)?;
                return Ok(setting);
            } else if ctx.args.is(at, "fnx") || ctx.args.is(at, "fxx") {
                if setting.only != Only::Always {
                    return Err(TWO_CONDITIONS);
                }
                setting.only = if ctx.args.is(at, "fnx") { Only::IfNone } else { Only::IfAll };
            } else if is_time && has_time {
                return Err(TWO_TIMES);
            } else if let Some(deadline) = deadline_at(ctx, at, "hsetex") {
                setting.deadline = Some(deadline?);
                at += 1;
            } else if is_time {
                setting.keeps = true;
            } else {
                return Err(Fail::bytes([b"ERR unknown argument: ", word].concat()));
            }
            at += 1;
        }
        Err(Fail::arity("hsetex"))
    }
}

/// `FIELDS n field value …` from argument `at` to the end; answers where the pairs begin.
fn pairs_from(ctx: &Ctx<'_>, at: usize) -> Result<usize, Fail> {
    let Some(count) = ctx.args.get(at + 1) else { return Err(Fail::arity("hsetex")) };
    let count = crate::parse::int(count).ok().filter(|n| (1..=i64::from(i32::MAX)).contains(n));
    let count = count.ok_or(Fail::new("ERR invalid number of fields"))?;
    if (ctx.args.len() - at - 2) as i64 == count * 2 { Ok(at + 2) } else { Err(Fail::arity("hsetex")) }
}

pub(super) fn hsetex(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let setting = Setting::parse(ctx)?;
    let (key, args) = (ctx.key(1), ctx.args);
    let fields: Vec<&[u8]> = args.iter().skip(setting.pairs).step_by(2).collect();
    let passed = setting.deadline.is_some_and(|ms| keys::has_passed(&ctx.db, ms as i64));
    let mut expired = Expired::new(&ctx.db.call);
    let (allowed, emptied) = collections::write(&mut ctx.db, key, |hash: Option<&mut Hash>| {
        let mut nothing = Hash::new();
        let hash = hash.unwrap_or(&mut nothing);
        let mut there = fields.iter().map(|field| expired.is_there(hash, field));
        let allowed = match setting.only {
            Only::Always => true,
            Only::IfNone => !there.any(|there| there),
            Only::IfAll => there.all(|there| there),
        };
        if allowed && passed {
            fields.iter().for_each(|field| _ = hash.remove(field));
        }
        (allowed, hash.is_empty())
    })?;
    ctx.reply.int(i64::from(allowed));
    if !allowed {
        expired.tell(&mut ctx.db, key, emptied);
    } else if passed {
        expired.tell(&mut ctx.db, key, false);
        ctx.db.changed(key.bytes, class::HASH, "hset");
        let there = ctx.db.get(key).is_some();
        delete_fields(ctx, key, &fields, emptied && there);
    } else {
        set_pairs(ctx, key, &setting, expired)?;
    }
    Ok(())
}

fn set_pairs(ctx: &mut Ctx<'_>, key: Key<'_>, setting: &Setting, mut expired: Expired) -> Result<(), Fail> {
    let args = ctx.args;
    let limits = &ctx.db.settings.limits;
    let is_due_earlier = collections::write_or_create(&mut ctx.db, key, |hash: &mut Hash| {
        for at in (setting.pairs..args.len()).step_by(2) {
            let (field, value) = (args.at(at), args.at(at + 1));
            expired.make_way(hash, field);
            if setting.keeps {
                hash.set_keeping_deadline(field, value, limits);
            } else {
                hash.set(field, value, limits);
            }
            if setting.deadline.is_some() {
                hash.set_deadline(field, setting.deadline, limits);
            }
        }
        Ok(hash.is_due_earlier())
    })?;
    if is_due_earlier {
        ctx.db.db_mut().fields_changed(key);
    }
    expired.tell(&mut ctx.db, key, false);
    ctx.db.changed(key.bytes, class::HASH, "hset");
    if setting.deadline.is_some() {
        ctx.db.notify(class::HASH, "hexpire", key.bytes);
    }
    ctx.db.dirty(((args.len() - setting.pairs) / 2) as u64);
    if !ctx.db.call.propagates {
        return Ok(());
    }
    if setting.keeps {
        let words = [b"HSETEX", key.bytes, b"KEEPTTL"].into_iter().chain(args.iter().skip(setting.pairs - 2));
        ctx.propagate(&words.collect::<Vec<_>>());
        return Ok(());
    }
    // In words that Redis 7.4 knows, too; older ones have the values at least.
    let set: Vec<&[u8]> = [b"HSET", key.bytes].into_iter().chain(args.iter().skip(setting.pairs)).collect();
    let mut commands = vec![OwnedArgs::from_slices(&set)];
    if let Some(ms) = setting.deadline {
        let fields = args.iter().skip(setting.pairs).step_by(2);
        let (mut when, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
        let head: [&[u8]; 5] =
            [b"HPEXPIREAT", key.bytes, when.format(ms).as_bytes(), b"FIELDS", count.format(fields.len()).as_bytes()];
        commands.push(OwnedArgs::from_slices(&head.into_iter().chain(fields).collect::<Vec<_>>()));
    }
    ctx.propagate_all(commands);
    Ok(())
}
