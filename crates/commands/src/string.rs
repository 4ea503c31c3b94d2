//! Commands on strings, except those on their bits.

mod condition;
mod increx;
mod lcs;
mod msetex;

use rivulet_keyspace::{Deadline, Elem, EntryRef, Key, Type};
use rivulet_resp::{Args, Reply};

use condition::Condition;

use crate::ctx::{Ctx, Data};
use crate::effects::class;
use crate::fail::{Fail, NOT_FLOAT, NOT_INTEGER, OVERFLOW, SYNTAX, WRONG_TYPE};
use crate::keys::{self, with_read, with_write};
use crate::long_double::LongDouble;
use crate::parse;
use crate::places::{KeyRange, Keys};
use crate::spec::{Begin, Command, Find, Group, Handler, KeySpec, acl, flag::*, key};

const fn one_key(flags: u32) -> KeySpec {
    KeySpec::new(flags, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })
}

const KEY_READ: &[KeySpec] = &[one_key(key::RO | key::ACCESS)];
const KEY_UPDATE: &[KeySpec] = &[one_key(key::RW | key::ACCESS | key::UPDATE)];
const KEY_OVERWRITE: &[KeySpec] = &[one_key(key::OW | key::UPDATE)];

const fn row(name: &'static str, arity: i32, flags: u32, run: fn(&mut Ctx<'_>) -> Result<(), Fail>) -> Command {
    Command::new(name, arity, flags, Group::String, Handler::Data(run)).acl(acl::STRING)
}

pub const COMMANDS: &[Command] = &[
    row("append", 3, WRITE | DENYOOM | FAST, append)
        .since("2.0.0")
        .complexity("O(1), amortized over appends")
        .summary("Adds bytes to the end of a string")
        .keys(&[one_key(key::RW | key::INSERT)]),
    row("decr", 2, WRITE | DENYOOM | FAST, decr)
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Takes one from an integer")
        .keys(KEY_UPDATE),
    row("decrby", 3, WRITE | DENYOOM | FAST, decrby)
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Takes a number from an integer")
        .keys(KEY_UPDATE),
    row("delex", -2, WRITE | FAST, condition::delex)
        .since("8.4.0")
        .complexity("O(1) for IFEQ and IFNE, O(N) in the length of the string for IFDEQ and IFDNE")
        .summary("Removes a key if its string, or the string's digest, is as expected")
        .keys(&[one_key(key::RW | key::DELETE | key::VARIABLE_FLAGS)])
        .get_keys(condition::delex_keys),
    row("delifeq", 3, WRITE | FAST, condition::delifeq)
        .since("9.0.0")
        .complexity("O(1)")
        .summary("Removes a key if its string is as expected")
        .keys(&[one_key(key::RM | key::DELETE)]),
    row("digest", 2, READONLY | FAST, condition::digest)
        .since("8.4.0")
        .complexity("O(N) in the length of the string")
        .summary("Answers the XXH3 hash of a string")
        .keys(KEY_READ),
    row("get", 2, READONLY | FAST, get)
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Answers the string at a key")
        .keys(KEY_READ),
    row("getdel", 2, WRITE | FAST, getdel)
        .since("6.2.0")
        .complexity("O(1)")
        .summary("Answers the string at a key and removes the key")
        .keys(&[one_key(key::RW | key::ACCESS | key::DELETE)]),
    row("getex", -2, WRITE | FAST, getex)
        .since("6.2.0")
        .complexity("O(1)")
        .summary("Answers the string at a key and changes when the key expires")
        .keys(&[one_key(key::RW | key::ACCESS | key::UPDATE).notes("RW and UPDATE because it changes the TTL")]),
    row("getrange", 4, READONLY, getrange)
        .since("2.4.0")
        .complexity("O(N) in the length of the answer")
        .summary("Answers a part of a string")
        .keys(KEY_READ),
    row("getset", 3, WRITE | DENYOOM | FAST, getset)
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Sets a string and answers the one before")
        .keys(KEY_UPDATE),
    row("incr", 2, WRITE | DENYOOM | FAST, incr)
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Adds one to an integer")
        .keys(KEY_UPDATE),
    row("incrby", 3, WRITE | DENYOOM | FAST, incrby)
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Adds a number to an integer")
        .keys(KEY_UPDATE),
    row("increx", -2, WRITE | DENYOOM | FAST, increx::increx)
        .since("8.8.0")
        .complexity("O(1)")
        .summary("Adds to a number within bounds, and changes when the key expires")
        .keys(&[one_key(key::RW | key::ACCESS | key::UPDATE)]),
    row("incrbyfloat", 3, WRITE | DENYOOM | FAST, incrbyfloat)
        .since("2.6.0")
        .complexity("O(1)")
        .summary("Adds a number with decimals to a number")
        .keys(KEY_UPDATE),
    row("lcs", -3, READONLY, lcs::lcs)
        .since("7.0.0")
        .complexity("O(N*M) in the two lengths")
        .summary("Finds the longest common subsequence of two strings")
        .keys(&[KeySpec::new(key::RO | key::ACCESS, Begin::Index(1), Find::Range { last: 1, step: 1, limit: 0 })]),
    row("mget", -2, READONLY | FAST, mget)
        .since("1.0.0")
        .complexity("O(N) keys")
        .summary("Answers the strings at several keys")
        .tips(&["request_policy:multi_shard"])
        .keys(&[KeySpec::new(key::RO | key::ACCESS, Begin::Index(1), Find::Range { last: -1, step: 1, limit: 0 })]),
    row("mset", -3, WRITE | DENYOOM, mset)
        .since("1.0.1")
        .complexity("O(N) keys")
        .summary("Sets several strings at once")
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .keys(&[KeySpec::new(key::OW | key::UPDATE, Begin::Index(1), Find::Range { last: -1, step: 2, limit: 0 })]),
    row("msetex", -4, WRITE | DENYOOM, msetex::msetex)
        .since("8.4.0")
        .complexity("O(N) keys")
        .summary("Sets several strings at once, with one time to live")
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .keys(&[KeySpec::new(key::OW | key::UPDATE, Begin::Index(1), Find::Count { at: 0, first: 1, step: 2 })]),
    row("msetnx", -3, WRITE | DENYOOM, msetnx)
        .since("1.0.1")
        .complexity("O(N) keys")
        .summary("Sets several strings at once if none of the keys is there")
        .keys(&[KeySpec::new(key::OW | key::INSERT, Begin::Index(1), Find::Range { last: -1, step: 2, limit: 0 })]),
    row("psetex", 4, WRITE | DENYOOM, psetex)
        .since("2.6.0")
        .complexity("O(1)")
        .summary("Sets a string that expires after milliseconds")
        .keys(KEY_OVERWRITE),
    row("set", -3, WRITE | DENYOOM, set)
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Sets the string at a key, whatever was there")
        .keys(&[one_key(key::RW | key::ACCESS | key::UPDATE | key::VARIABLE_FLAGS)
            .notes("RW and ACCESS due to the optional `GET` argument")])
        .get_keys(set_keys),
    row("setex", 4, WRITE | DENYOOM, setex)
        .since("2.0.0")
        .complexity("O(1)")
        .summary("Sets a string that expires after seconds")
        .keys(KEY_OVERWRITE),
    row("setnx", 3, WRITE | DENYOOM | FAST, setnx)
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Sets a string if the key is not there")
        .keys(&[one_key(key::OW | key::INSERT)]),
    row("setrange", 4, WRITE | DENYOOM, setrange)
        .since("2.2.0")
        .complexity("O(1) for short values, otherwise O(M) in the length of the value")
        .summary("Overwrites a part of a string")
        .keys(&[one_key(key::RW | key::UPDATE)]),
    row("strlen", 2, READONLY | FAST, strlen)
        .since("2.2.0")
        .complexity("O(1)")
        .summary("Answers the length of a string")
        .keys(&[one_key(key::RO)]),
    row("substr", 4, READONLY, getrange)
        .since("1.0.0")
        .complexity("O(N) in the length of the answer")
        .summary("Answers a part of a string; the old name of GETRANGE")
        .keys(KEY_READ),
];

// ---- reading ----

/// Replies with the string of an entry, or null without one.
#[inline]
fn reply_string(reply: &mut Reply<'_>, entry: Option<EntryRef<'_>>) -> Result<(), Fail> {
    let Some(entry) = entry else {
        reply.null();
        return Ok(());
    };
    match entry.string().ok_or(WRONG_TYPE)? {
        Elem::Int(n) => reply.bulk_int(n),
        Elem::Bytes(bytes) => reply.bulk(bytes),
    }
    Ok(())
}

fn get(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(1);
    with_read(&mut ctx.db, key, |entry| reply_string(&mut ctx.reply, entry))
}

fn mget(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    ctx.reply.array(ctx.args.len() - 1);
    keys::for_each(ctx, 1, 1, |ctx, _, key| {
        with_read(&mut ctx.db, key, |entry| {
            let string = entry.filter(|e| e.value_type() == Type::String);
            reply_string(&mut ctx.reply, string).expect("it is a string");
        });
    });
    Ok(())
}

fn strlen(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(1);
    let len = match ctx.db.read(key) {
        None => 0,
        Some(entry) => entry.string().ok_or(WRONG_TYPE)?.len(),
    };
    ctx.reply.int(len as i64);
    Ok(())
}

fn getrange(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (start, end) = (ctx.int(2)?, ctx.int(3)?);
    let key = ctx.key(1);
    let reply = &mut ctx.reply;
    let Some(entry) = ctx.db.read(key) else {
        reply.bulk(b"");
        return Ok(());
    };
    entry.string().ok_or(WRONG_TYPE)?.with(|bytes| reply.bulk(range(bytes, start, end)));
    Ok(())
}

/// The part between two positions, both included; negative ones count from the end.
fn range(bytes: &[u8], start: i64, end: i64) -> &[u8] {
    let len = bytes.len() as i64;
    if start < 0 && end < 0 && start > end {
        return b"";
    }
    let from_start = |at: i64| if at < 0 { (len + at).max(0) } else { at };
    let (start, end) = (from_start(start), from_start(end).min(len - 1));
    if start > end { b"" } else { &bytes[start as usize..=end as usize] }
}

// ---- SET and its kin ----

/// What an expiry option counts in, and from when.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expiry {
    Ex,
    Px,
    Exat,
    Pxat,
}

/// The options of SET, GETEX and MSETEX.
#[derive(Default)]
struct Options<'a> {
    condition: Option<Condition<'a>>,
    get: bool,
    keep_ttl: bool,
    persist: bool,
    expiry: Option<(Expiry, &'a [u8])>,
}

impl<'a> Options<'a> {
    /// Whether an expiry of this kind fits what was given before; the same kind may be given again.
    fn takes(&self, kind: Expiry) -> bool {
        !self.keep_ttl && !self.persist && self.expiry.is_none_or(|(k, _)| k == kind)
    }

    /// Of SET, from argument 3 on.
    fn of_set(args: Args<'a>) -> Result<Options<'a>, Fail> {
        let mut options = Options::default();
        let mut i = 3;
        while i < args.len() {
            if options.takes_condition(args, i) {
            } else if args.is(i, "get") {
                options.get = true;
            } else if args.is(i, "keepttl") && options.expiry.is_none() {
                options.keep_ttl = true;
            } else if options.condition.is_none()
                && let Some(condition) = Condition::comparison(args, i)?
            {
                options.condition = Some(condition);
                i += 1;
            } else {
                options.expiry = Some(options.expiry_at(args, i)?);
                i += 1;
            }
            i += 1;
        }
        Ok(options)
    }

    /// Of MSETEX, from an argument on.
    fn of_msetex(args: Args<'a>, first: usize) -> Result<Options<'a>, Fail> {
        let mut options = Options::default();
        let mut i = first;
        while i < args.len() {
            if options.takes_condition(args, i) {
            } else if args.is(i, "keepttl") && options.expiry.is_none() {
                options.keep_ttl = true;
            } else {
                options.expiry = Some(options.expiry_at(args, i)?);
                i += 1;
            }
            i += 1;
        }
        Ok(options)
    }

    /// Takes NX or XX, unless another condition was given.
    fn takes_condition(&mut self, args: Args<'a>, i: usize) -> bool {
        let condition = match () {
            () if args.is(i, "nx") => Condition::Absent,
            () if args.is(i, "xx") => Condition::Present,
            () => return false,
        };
        let fits = self.condition.is_none_or(|given| given == condition);
        if fits {
            self.condition = Some(condition);
        }
        fits
    }

    /// Of GETEX, from argument 2 on.
    fn of_getex(args: Args<'a>) -> Result<Options<'a>, Fail> {
        let mut options = Options::default();
        let mut i = 2;
        while i < args.len() {
            if args.is(i, "persist") && options.expiry.is_none() {
                options.persist = true;
            } else {
                options.expiry = Some(options.expiry_at(args, i)?);
                i += 1;
            }
            i += 1;
        }
        Ok(options)
    }

    fn expiry_at(&self, args: Args<'a>, i: usize) -> Result<(Expiry, &'a [u8]), Fail> {
        const WORDS: [(&str, Expiry); 4] =
            [("ex", Expiry::Ex), ("px", Expiry::Px), ("exat", Expiry::Exat), ("pxat", Expiry::Pxat)];
        let kind = WORDS.iter().find(|(word, _)| args.is(i, word)).map(|&(_, kind)| kind).ok_or(SYNTAX)?;
        let value = args.get(i + 1).filter(|_| self.takes(kind)).ok_or(SYNTAX)?;
        Ok((kind, value))
    }
}

/// The time of an expiry option in Unix ms.
fn deadline_of(kind: Expiry, text: &[u8], now_ms: u64, command: &str) -> Result<u64, Fail> {
    let value = parse::int(text)?;
    let ms = match kind {
        Expiry::Ex | Expiry::Exat => value.checked_mul(1000),
        Expiry::Px | Expiry::Pxat => Some(value),
    };
    let ms = ms.filter(|&ms| ms > 0).and_then(|ms| match kind {
        Expiry::Ex | Expiry::Px => ms.checked_add(now_ms as i64),
        Expiry::Exat | Expiry::Pxat => Some(ms),
    });
    match ms {
        Some(ms) => Ok(ms as u64),
        None => Err(Fail::text(format!("ERR invalid expire time in '{command}' command"))),
    }
}

fn set(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    if ctx.args.len() > 3 {
        return set_with_options(ctx);
    }
    let key = ctx.key(1);
    let value = ctx.args.at(2);
    put(&mut ctx.db, key, value, Deadline::Set(None));
    ctx.reply.ok();
    Ok(())
}

/// Sets a string whatever was there, with the effects that follow.
#[inline]
fn put(data: &mut Data<'_>, key: Key<'_>, value: &[u8], deadline: Deadline) {
    data.expire_if_due(key);
    data.put_string(key, value, deadline);
    data.changed(key.bytes, class::STRING, "set");
    data.dirty(1);
}

/// [`put`] with a deadline: the replicas get it as a time.
fn put_until(ctx: &mut Ctx<'_>, value: &[u8], deadline_ms: u64) {
    let key = ctx.key(1);
    put(&mut ctx.db, key, value, Deadline::Set(Some(deadline_ms)));
    ctx.db.notify(class::GENERIC, "expire", key.bytes);
    let mut buffer = itoa::Buffer::new();
    ctx.propagate(&[b"SET", key.bytes, value, b"PXAT", buffer.format(deadline_ms).as_bytes()]);
}

fn set_with_options(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let options = Options::of_set(ctx.args)?;
    let until = match options.expiry {
        Some((kind, text)) => Some(deadline_of(kind, text, ctx.db.now_ms(), "set")?),
        None => None,
    };
    let key = ctx.key(1);
    if options.get {
        with_read(&mut ctx.db, key, |entry| reply_string(&mut ctx.reply, entry))?;
    }
    ctx.db.expire_if_due(key);
    let entry = ctx.db.get(key);
    let exists = entry.is_some();
    if let Some(condition) = options.condition
        && !condition.holds(entry)?
    {
        if !options.get {
            ctx.reply.null();
        }
        return Ok(());
    }
    let value = ctx.args.at(2);
    match until {
        Some(ms) => put_until(ctx, value, ms),
        None => {
            let keeps = options.keep_ttl && exists;
            put(&mut ctx.db, key, value, if keeps { Deadline::Keep } else { Deadline::Set(None) });
            if options.condition.is_some_and(Condition::is_comparison) {
                // The comparison has been made, and older replicas don't know it.
                let words: [&[u8]; 4] = [b"SET", key.bytes, value, b"KEEPTTL"];
                ctx.propagate(&words[..if keeps { 4 } else { 3 }]);
            } else if options.get {
                propagate_without_get(ctx);
            }
        }
    }
    if !options.get {
        ctx.reply.ok();
    }
    Ok(())
}

/// The replicas need no reply, and older ones don't know GET.
fn propagate_without_get(ctx: &mut Ctx<'_>) {
    let words: Vec<&[u8]> =
        ctx.args.iter().enumerate().filter(|&(i, _)| i < 3 || !ctx.args.is(i, "get")).map(|(_, word)| word).collect();
    ctx.propagate(&words);
}

fn setnx(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(1);
    ctx.db.expire_if_due(key);
    let absent = ctx.db.get(key).is_none();
    if absent {
        let value = ctx.args.at(2);
        put(&mut ctx.db, key, value, Deadline::Set(None));
    }
    ctx.reply.int(i64::from(absent));
    Ok(())
}

fn setex(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    set_expiring(ctx, Expiry::Ex, "setex")
}

fn psetex(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    set_expiring(ctx, Expiry::Px, "psetex")
}

fn set_expiring(ctx: &mut Ctx<'_>, kind: Expiry, name: &str) -> Result<(), Fail> {
    let until = deadline_of(kind, ctx.args.at(2), ctx.db.now_ms(), name)?;
    let value = ctx.args.at(3);
    put_until(ctx, value, until);
    ctx.reply.ok();
    Ok(())
}

fn getset(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    get(ctx)?;
    let (key, value) = (ctx.key(1), ctx.args.at(2));
    put(&mut ctx.db, key, value, Deadline::Set(None));
    ctx.propagate(&[b"SET", key.bytes, value]);
    Ok(())
}

fn getdel(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    get(ctx)?;
    let key = ctx.key(1);
    let lazy = ctx.db.settings.lazyfree_lazy_user_del;
    keys::delete_instead(ctx, key, lazy);
    Ok(())
}

fn getex(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let options = Options::of_getex(ctx.args)?;
    let key = ctx.key(1);
    // The time is looked at only when there is a string.
    let present = with_read(&mut ctx.db, key, |entry| {
        let present = entry.is_some();
        reply_string(&mut ctx.reply, entry).map(|()| present)
    })?;
    if !present {
        return Ok(());
    }
    let now_ms = ctx.db.now_ms();
    if let Some((kind, text)) = options.expiry {
        let until = deadline_of(kind, text, now_ms, "getex")?;
        let lazy = ctx.db.settings.lazyfree_lazy_expire;
        if matches!(kind, Expiry::Exat | Expiry::Pxat) && keys::has_passed(&ctx.db, until as i64) {
            keys::delete_instead(ctx, key, lazy);
            return Ok(());
        }
        ctx.db.db_mut().set_deadline(key, Some(until));
        let mut buffer = itoa::Buffer::new();
        ctx.propagate(&[b"PEXPIREAT", key.bytes, buffer.format(until).as_bytes()]);
        ctx.db.changed(key.bytes, class::GENERIC, "expire");
        ctx.db.dirty(1);
    } else if options.persist && ctx.db.get(key).is_some_and(|e| e.deadline().is_some()) {
        ctx.db.db_mut().set_deadline(key, None);
        ctx.propagate(&[b"PERSIST", key.bytes]);
        ctx.db.changed(key.bytes, class::GENERIC, "persist");
        ctx.db.dirty(1);
    }
    Ok(())
}

fn mset(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    if ctx.args.len().is_multiple_of(2) {
        return Err(Fail::arity("mset"));
    }
    set_many(ctx);
    ctx.reply.ok();
    Ok(())
}

fn msetnx(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    if ctx.args.len().is_multiple_of(2) {
        return Err(Fail::arity("msetnx"));
    }
    let mut exists = false;
    keys::for_each(ctx, 1, 2, |ctx, _, key| {
        if !exists {
            ctx.db.expire_if_due(key);
            exists = ctx.db.get(key).is_some();
        }
    });
    if !exists {
        set_many(ctx);
    }
    ctx.reply.int(i64::from(!exists));
    Ok(())
}

fn set_many(ctx: &mut Ctx<'_>) {
    keys::for_each(ctx, 1, 2, |ctx, at, key| {
        let value = ctx.args.at(at + 1);
        put(&mut ctx.db, key, value, Deadline::Set(None));
    });
}

// ---- numbers ----

fn incr(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    add(ctx, 1)
}

fn decr(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    add(ctx, -1)
}

fn incrby(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let by = ctx.int(2)?;
    add(ctx, by)
}

fn decrby(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let by = ctx.int(2)?.checked_neg().ok_or(Fail::new("ERR decrement would overflow"))?;
    add(ctx, by)
}

fn add(ctx: &mut Ctx<'_>, by: i64) -> Result<(), Fail> {
    let key = ctx.key(1);
    let sum = with_write(&mut ctx.db, key, |slot| {
        let Some(mut slot) = slot else { return Ok(None) };
        let value = match slot.as_ref().string().ok_or(WRONG_TYPE)? {
            Elem::Int(n) => n,
            Elem::Bytes(text) => parse::int(text)?,
        };
        let sum = value.checked_add(by).ok_or(OVERFLOW)?;
        // An old value that is not small is a string in one allocation: freed here.
        drop(slot.entry().set_int(sum));
        Ok(Some(sum))
    })?;
    let sum = match sum {
        Some(sum) => sum,
        None => {
            ctx.db.put_string(key, itoa::Buffer::new().format(by).as_bytes(), Deadline::Set(None));
            by
        }
    };
    ctx.db.changed(key.bytes, class::STRING, "incrby");
    ctx.db.dirty(1);
    ctx.reply.int(sum);
    Ok(())
}

fn incrbyfloat(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(1);
    let value = match ctx.db.write(key) {
        None => LongDouble::ZERO,
        Some(slot) => match slot.as_ref().string().ok_or(WRONG_TYPE)? {
            Elem::Int(n) => LongDouble::from(n),
            Elem::Bytes(text) => LongDouble::parse(text).ok_or(NOT_FLOAT)?,
        },
    };
    let sum = value.add(LongDouble::parse(ctx.args.at(2)).ok_or(NOT_FLOAT)?);
    if !sum.is_finite() {
        return Err(Fail::new("ERR increment would produce NaN or Infinity"));
    }
    let text = sum.format_human();
    let there = ctx.db.get(key).is_some();
    ctx.db.put_string(key, text.as_bytes(), if there { Deadline::Keep } else { Deadline::Set(None) });
    ctx.db.changed(key.bytes, class::STRING, "incrbyfloat");
    ctx.db.dirty(1);
    ctx.reply.bulk(text.as_bytes());
    // The result itself, so that no replica computes it in another way.
    ctx.propagate(&[b"SET", key.bytes, text.as_bytes(), b"KEEPTTL"]);
    Ok(())
}

// ---- editing ----

/// Refuses a string that would get longer than `proto-max-bulk-len`, unless it comes from the master.
pub(crate) fn check_len(data: &Data<'_>, len: u64, more: u64) -> Result<(), Fail> {
    let total = len.checked_add(more).filter(|&total| total <= data.settings.bulk_len_max.min(i64::MAX as u64));
    if total.is_none() && !data.call.from_master {
        return Err(Fail::new("ERR string exceeds maximum allowed size (proto-max-bulk-len)"));
    }
    Ok(())
}

/// The length of the string at a key that is to be changed, or nothing when the key is not there.
pub(crate) fn len_for_write(data: &mut Data<'_>, key: Key<'_>) -> Result<Option<usize>, Fail> {
    with_write(data, key, |slot| match slot {
        None => Ok(None),
        Some(slot) => slot.as_ref().string().map(|s| Some(s.len())).ok_or(WRONG_TYPE),
    })
}

/// Edits the string at a key, which is made when it is not there.
pub(crate) fn edit<R>(data: &mut Data<'_>, key: Key<'_>, edit: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    data.expire_if_due(key);
    if data.get(key).is_none() {
        data.put_string(key, b"", Deadline::Set(None));
    }
    data.db_mut().find_mut(key).expect("the key was made").entry().edit_string(edit)
}

fn append(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, more) = (ctx.key(1), ctx.args.at(2));
    let len = match len_for_write(&mut ctx.db, key)? {
        None => {
            ctx.db.put_string(key, more, Deadline::Set(None));
            more.len()
        }
        Some(len) => {
            check_len(&ctx.db, len as u64, more.len() as u64)?;
            edit(&mut ctx.db, key, |bytes| {
                bytes.extend_from_slice(more);
                bytes.len()
            })
        }
    };
    ctx.db.changed(key.bytes, class::STRING, "append");
    ctx.db.dirty(1);
    ctx.reply.int(len as i64);
    Ok(())
}

fn setrange(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let offset = u64::try_from(ctx.int(2)?).map_err(|_| Fail::new("ERR offset is out of range"))?;
    let (key, value) = (ctx.key(1), ctx.args.at(3));
    let len = len_for_write(&mut ctx.db, key)?;
    if value.is_empty() {
        ctx.reply.int(len.unwrap_or(0) as i64);
        return Ok(());
    }
    check_len(&ctx.db, offset, value.len() as u64)?;
    let start = usize::try_from(offset).map_err(|_| NOT_INTEGER)?;
    let len = edit(&mut ctx.db, key, |bytes| {
        let end = start + value.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(value);
        bytes.len()
    });
    ctx.db.changed(key.bytes, class::STRING, "setrange");
    ctx.db.dirty(1);
    ctx.reply.int(len as i64);
    Ok(())
}

/// The key of SET, which is read only where GET asks for the old value.
fn set_keys(args: Args<'_>) -> Keys {
    let reads = (3..args.len()).any(|i| args.is(i, "get"));
    let flags = if reads { key::RW | key::ACCESS | key::UPDATE } else { key::OW | key::UPDATE };
    Keys::of(KeyRange::one(1, flags))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    fn bench() -> Bench {
        Bench::new(&[COMMANDS])
    }

    #[test]
    fn set_and_its_options() {
        let mut b = bench();
        assert_eq!(b.run("SET k v"), "+OK\r\n");
        assert_eq!(b.effects().propagated, ["SET k v"]);
        assert_eq!(b.effects().events, ["set k"]);
        assert_eq!(b.run("SET k w GET"), "$1\r\nv\r\n");
        assert_eq!(b.effects().propagated, ["SET k w"]);
        assert_eq!(b.run("SET k x NX GET"), "$1\r\nw\r\n");
        assert_eq!(b.effects().dirty, 0);
        assert_eq!(b.run("SET none x XX"), "$-1\r\n");
        assert_eq!(b.run("set k 7 ex 10 ex 20"), "+OK\r\n");
        assert_eq!(b.effects().propagated, ["SET k 7 PXAT 1700000020000"]);
        assert_eq!(b.effects().events, ["set k", "expire k"]);
        assert_eq!(b.run("SET k 8 KEEPTTL GET"), "$1\r\n7\r\n");
        assert_eq!(b.effects().propagated, ["SET k 8 KEEPTTL"]);
        b.advance_ms(20_001);
        assert_eq!(b.run("SET k 9 KEEPTTL"), "+OK\r\n");
        assert_eq!(b.effects().propagated, ["DEL k", "SET k 9 KEEPTTL"]);
        for line in ["SET k v NX XX", "SET k v EX", "SET k v EX 1 PX 1", "SET k v KEEPTTL EX 1", "SET k v PERSIST"] {
            assert_eq!(b.run(line), "-ERR syntax error\r\n", "{line}");
        }
        for line in ["SET k v EX 0", "SET k v EX -1", "SET k v PX 9223372036854775807", "SET k v EXAT 9223372036854775"]
        {
            let want = if line.contains("EXAT") { "+OK\r\n" } else { "-ERR invalid expire time in 'set' command\r\n" };
            assert_eq!(b.run(line), want, "{line}");
        }
        assert_eq!(b.run("SETEX k 0 v"), "-ERR invalid expire time in 'setex' command\r\n");
        assert_eq!(b.run("PSETEX k x v"), "-ERR value is not an integer or out of range\r\n");
        assert_eq!(b.run("SETNX k v"), ":0\r\n");
        assert_eq!(b.run("GETSET k z"), "$1\r\nv\r\n");
        assert_eq!(b.effects().propagated, ["SET k z"]);
    }

    #[test]
    fn getex_changes_the_deadline_only() {
        let mut b = bench();
        b.run("SET k v");
        assert_eq!(b.run("GETEX k"), "$1\r\nv\r\n");
        assert_eq!(b.effects().dirty, 0);
        assert_eq!(b.run("GETEX none EX nonsense"), "$-1\r\n");
        assert_eq!(b.run("GETEX k EX nonsense"), "-ERR value is not an integer or out of range\r\n");
        b.run("GETEX k PX 5000");
        assert_eq!(b.effects().propagated, ["PEXPIREAT k 1700000005000"]);
        b.run("GETEX k PERSIST");
        assert_eq!(b.effects().propagated, ["PERSIST k"]);
        b.run("GETEX k PERSIST");
        assert_eq!(b.effects().dirty, 0);
        assert_eq!(b.run("GETEX k EXAT 1"), "$1\r\nv\r\n");
        assert_eq!(b.effects().propagated, ["DEL k"]);
        assert_eq!(b.effects().events, ["del k"]);
        assert_eq!(b.run("GETEX k KEEPTTL"), "-ERR syntax error\r\n");
    }

    #[test]
    fn numbers() {
        let mut b = bench();
        assert_eq!(b.run("INCR n"), ":1\r\n");
        assert_eq!(b.effects().events, ["incrby n"]);
        assert_eq!(b.run("DECRBY n 11"), ":-10\r\n");
        assert_eq!(b.run("DECRBY n -9223372036854775808"), "-ERR decrement would overflow\r\n");
        b.run("SET n 9223372036854775807");
        assert_eq!(b.run("INCR n"), "-ERR increment or decrement would overflow\r\n");
        assert_eq!(b.run("SET n 010"), "+OK\r\n");
        assert_eq!(b.run("INCR n"), "-ERR value is not an integer or out of range\r\n");
        assert_eq!(b.run("INCRBYFLOAT n 0.5"), "$4\r\n10.5\r\n");
        assert_eq!(b.effects().propagated, ["SET n 10.5 KEEPTTL"]);
        assert_eq!(b.run("INCRBYFLOAT n inf"), "-ERR increment would produce NaN or Infinity\r\n");
        assert_eq!(b.run("INCRBYFLOAT n x"), "-ERR value is not a valid float\r\n");
        assert_eq!(b.run("INCRBYFLOAT n -10.5"), "$1\r\n0\r\n");
    }

    #[test]
    fn a_counter_keeps_its_deadline() {
        let mut b = bench();
        b.run("SET n 5 PX 1000");
        b.run("INCR n");
        b.run("INCRBYFLOAT n 1");
        b.run("APPEND n 0");
        assert_eq!(b.run("GET n"), "$2\r\n70\r\n");
        b.advance_ms(1001);
        assert_eq!(b.run("INCR n"), ":1\r\n");
        assert_eq!(b.effects().propagated, ["DEL n", "INCR n"]);
        assert_eq!(b.effects().events, ["expired n", "incrby n"]);
    }

    #[test]
    fn parts_of_strings() {
        let mut b = bench();
        b.run("SET k hello");
        for (line, want) in [
            ("GETRANGE k 0 -1", "hello"),
            ("GETRANGE k -3 -1", "llo"),
            ("SUBSTR k 1 2", "el"),
            ("GETRANGE k -1 -3", ""),
            ("GETRANGE k 4 100", "o"),
            ("GETRANGE k 5 100", ""),
            ("GETRANGE k -100 0", "h"),
            ("GETRANGE k 0 -100", "h"),
            ("GETRANGE none 0 1", ""),
        ] {
            assert_eq!(b.run(line), format!("${}\r\n{want}\r\n", want.len()), "{line}");
        }
        assert_eq!(b.run("SETRANGE k 7 x"), ":8\r\n");
        assert_eq!(b.run_bytes(&[b"GET", b"k"]), b"$8\r\nhello\0\0x\r\n");
        assert_eq!(b.run_args(&[b"SETRANGE", b"none", b"7", b""]), ":0\r\n");
        assert_eq!(b.run("SETRANGE k -1 x"), "-ERR offset is out of range\r\n");
        let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
        assert_eq!(b.run("SETRANGE k 536870912 x"), too_long);
        b.settings.bulk_len_max = 10;
        assert_eq!(b.run("APPEND k xyz"), too_long);
        assert_eq!(b.run("APPEND k xy"), ":10\r\n");
    }

    #[test]
    fn several_keys() {
        let mut b = bench();
        let words: Vec<String> = (0..100).flat_map(|i| [format!("k{i}"), format!("v{i}")]).collect();
        let mut line: Vec<&[u8]> = vec![b"MSET"];
        line.extend(words.iter().map(String::as_bytes));
        assert_eq!(b.run_args(&line), "+OK\r\n");
        assert_eq!((b.effects().dirty, b.effects().events.len()), (100, 100));
        assert_eq!(b.run("MGET k0 none k99"), "*3\r\n$2\r\nv0\r\n$-1\r\n$3\r\nv99\r\n");
        assert_eq!(b.run("MSETNX a 1 k50 2"), ":0\r\n");
        assert_eq!(b.run("GET a"), "$-1\r\n");
        assert_eq!(b.run("MSETNX a 1 a 2"), ":1\r\n");
        assert_eq!(b.run("MSET a 1 b"), "-ERR wrong number of arguments for 'mset' command\r\n");
    }

    #[test]
    fn the_longest_common_subsequence() {
        let mut b = bench();
        b.run("MSET a ohmytext b mynewtext");
        assert_eq!(b.run("LCS a b"), "$6\r\nmytext\r\n");
        assert_eq!(b.run("LCS a b LEN"), ":6\r\n");
        assert_eq!(
            b.run("LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN"),
            "*4\r\n$7\r\nmatches\r\n*1\r\n*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n$3\r\nlen\r\n:6\r\n"
        );
        assert_eq!(b.run("LCS a none"), "$0\r\n\r\n");
        assert_eq!(b.run("LCS a b IDX LEN"), "-ERR If you want both the length and indexes, please just use IDX.\r\n");
        b.settings.bulk_len_max = 100;
        assert!(b.run("LCS a b").starts_with("-ERR Insufficient memory"));
    }
}
