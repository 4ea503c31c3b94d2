//! INCREX, as in Redis 8.8: a counter with bounds and a time to live.

use rivulet_keyspace::{Deadline, Elem, Key};
use rivulet_resp::Args;

use super::{Expiry, deadline_of};
use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::{Fail, NOT_FLOAT, NOT_INTEGER, OVERFLOW, SYNTAX, WRONG_TYPE};
use crate::keys::with_write;
use crate::long_double::LongDouble;
use crate::parse;

const NOT_FINITE: Fail = Fail::new("ERR increment would produce NaN or Infinity");
const BOUNDS: Fail = Fail::new("ERR LBOUND must be less than or equal to UBOUND");

/// What becomes of the time to live.
#[derive(Clone, Copy)]
enum Ttl<'a> {
    Keep,
    Persist,
    Set(Expiry, &'a [u8]),
}

/// The options, none of them read as a number yet.
struct Options<'a> {
    by: &'a [u8],
    is_float: bool,
    low: Option<&'a [u8]>,
    high: Option<&'a [u8]>,
    saturate: bool,
    ttl: Ttl<'a>,
    /// Only a key without a time to live is given one.
    only_if_none: bool,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>) -> Result<Options<'a>, Fail> {
        const DEADLINES: [(&str, Expiry); 4] =
            [("ex", Expiry::Ex), ("px", Expiry::Px), ("exat", Expiry::Exat), ("pxat", Expiry::Pxat)];
        let (mut by, mut low, mut high, mut ttl) = (None, None, None, None);
        let (mut saturate, mut only_if_none) = (false, false);
        let mut at = 2;
        while at < args.len() {
            let value = args.get(at + 1);
            let mut words = 2;
            if args.is(at, "byint") || args.is(at, "byfloat") {
                set_once(&mut by, (value.ok_or(SYNTAX)?, args.is(at, "byfloat")))?;
            } else if args.is(at, "lbound") {
                set_once(&mut low, value.ok_or(SYNTAX)?)?;
            } else if args.is(at, "ubound") {
                set_once(&mut high, value.ok_or(SYNTAX)?)?;
            } else if let Some((_, kind)) = DEADLINES.iter().find(|(word, _)| args.is(at, word)) {
                set_once(&mut ttl, Ttl::Set(*kind, value.ok_or(SYNTAX)?))?;
            } else {
                words = 1;
                match () {
                    () if args.is(at, "persist") => set_once(&mut ttl, Ttl::Persist)?,
                    () if args.is(at, "saturate") => saturate = true,
                    () if args.is(at, "enx") => only_if_none = true,
                    () => return Err(SYNTAX),
                }
            }
            at += words;
        }
        let ttl = ttl.unwrap_or(Ttl::Keep);
        if only_if_none && !matches!(ttl, Ttl::Set(..)) {
            return Err(SYNTAX);
        }
        let (by, is_float) = by.unwrap_or((b"1", false));
        Ok(Options { by, is_float, low, high, saturate, ttl, only_if_none })
    }
}

fn set_once<T>(slot: &mut Option<T>, value: T) -> Result<(), Fail> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(SYNTAX),
    }
}

/// What an increment makes of a value.
enum Step<T> {
    /// The result is out of bounds, and so the value stays.
    Skipped(T),
    Stored {
        value: T,
        /// What was added in truth.
        added: T,
    },
}

pub(super) fn increx(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let options = Options::parse(ctx.args)?;
    let until = match options.ttl {
        Ttl::Set(kind, text) => Some(deadline_of(kind, text, ctx.db.now_ms(), "increx")?),
        Ttl::Keep | Ttl::Persist => None,
    };
    if options.is_float { by_float(ctx, &options, until) } else { by_integer(ctx, &options, until) }
}

fn by_integer(ctx: &mut Ctx<'_>, options: &Options<'_>, until: Option<u64>) -> Result<(), Fail> {
    let bound =
        |text: Option<&[u8]>, none: i64| text.map_or(Ok(none), |text| parse::int(text).map_err(|_| NOT_INTEGER));
    let by = parse::int(options.by).map_err(|_| NOT_INTEGER)?;
    let (low, high) = (bound(options.low, i64::MIN)?, bound(options.high, i64::MAX)?);
    if low > high {
        return Err(BOUNDS);
    }
    let key = ctx.key(1);
    let value = with_write(&mut ctx.db, key, |slot| match slot {
        None => Ok(0),
        Some(slot) => match slot.as_ref().string().ok_or(WRONG_TYPE)? {
            Elem::Int(n) => Ok(n),
            Elem::Bytes(text) => parse::int(text),
        },
    })?;
    let step = add_within(value, by, (low, high), options.saturate)?;
    ctx.reply.array(2);
    match step {
        Step::Skipped(value) => {
            ctx.reply.int(value);
            ctx.reply.int(0);
        }
        Step::Stored { value, added } => {
            ctx.reply.int(value);
            ctx.reply.int(added);
            store(ctx, key, itoa::Buffer::new().format(value).as_bytes(), options, until, "incrby");
        }
    }
    Ok(())
}

/// Adds within bounds, which are themselves allowed.
fn add_within(value: i64, by: i64, (low, high): (i64, i64), saturate: bool) -> Result<Step<i64>, Fail> {
    let sum = i128::from(value) + i128::from(by);
    let within = sum.clamp(i128::from(low), i128::from(high));
    if within != sum && !saturate {
        return Ok(Step::Skipped(value));
    }
    let added = i64::try_from(within - i128::from(value)).map_err(|_| OVERFLOW)?;
    // It is between two numbers of its size.
    let value = i64::try_from(within).map_err(|_| OVERFLOW)?;
    Ok(Step::Stored { value, added })
}

fn by_float(ctx: &mut Ctx<'_>, options: &Options<'_>, until: Option<u64>) -> Result<(), Fail> {
    let number = |text: &[u8]| LongDouble::parse(text).ok_or(NOT_FLOAT);
    let by = number(options.by)?;
    let low = options.low.map_or(Ok(LongDouble::MAX.negated()), number)?;
    let high = options.high.map_or(Ok(LongDouble::MAX), number)?;
    if high.is_less_than(low) {
        return Err(BOUNDS);
    }
    let key = ctx.key(1);
    let value = with_write(&mut ctx.db, key, |slot| match slot {
        None => Ok(LongDouble::ZERO),
        Some(slot) => match slot.as_ref().string().ok_or(WRONG_TYPE)? {
            Elem::Int(n) => Ok(LongDouble::from(n)),
            Elem::Bytes(text) => LongDouble::parse(text).ok_or(NOT_FLOAT),
        },
    })?;
    if !by.is_finite() || !value.is_finite() {
        return Err(NOT_FINITE);
    }
    let step = add_floats_within(value, by, (low, high), options.saturate)?;
    ctx.reply.array(2);
    match step {
        Step::Skipped(value) => {
            reply_float(ctx, &value.format_human());
            reply_float(ctx, "0");
        }
        Step::Stored { value, added } => {
            let text = value.format_human();
            reply_float(ctx, &text);
            reply_float(ctx, &added.format_human());
            store(ctx, key, text.as_bytes(), options, until, "incrbyfloat");
        }
    }
    Ok(())
}

fn add_floats_within(
    value: LongDouble,
    by: LongDouble,
    (low, high): (LongDouble, LongDouble),
    saturate: bool,
) -> Result<Step<LongDouble>, Fail> {
    let sum = value.add(by);
    let within = match () {
        () if sum.is_less_than(low) => low,
        () if high.is_less_than(sum) => high,
        () => return if sum.is_finite() { Ok(Step::Stored { value: sum, added: by }) } else { Err(NOT_FINITE) },
    };
    if !saturate {
        return Ok(Step::Skipped(value));
    }
    let added = within.add(value.negated());
    if !within.is_finite() || !added.is_finite() {
        return Err(NOT_FINITE);
    }
    Ok(Step::Stored { value: within, added })
}

/// A bulk string, or RESP3's double.
fn reply_float(ctx: &mut Ctx<'_>, text: &str) {
    if ctx.reply.is_resp3() {
        ctx.reply.raw(format!(",{text}\r\n").as_bytes());
    } else {
        ctx.reply.bulk(text.as_bytes());
    }
}

/// Stores the result. Replicas get the result itself: they may not know the command, and none computes it in another way.
fn store(ctx: &mut Ctx<'_>, key: Key<'_>, text: &[u8], options: &Options<'_>, until: Option<u64>, event: &'static str) {
    let there = ctx.db.get(key);
    let had = there.as_ref().and_then(|entry| entry.deadline());
    let is_there = there.is_some();
    let until = until.filter(|_| !(options.only_if_none && had.is_some()));
    let persists = matches!(options.ttl, Ttl::Persist);
    let deadline = match until {
        Some(until) => Deadline::Set(Some(until)),
        None if is_there && !persists => Deadline::Keep,
        None => Deadline::Set(None),
    };
    ctx.db.put_string(key, text, deadline);
    ctx.db.changed(key.bytes, class::STRING, event);
    if until.is_some() {
        ctx.db.notify(class::GENERIC, "expire", key.bytes);
    } else if persists && had.is_some() {
        ctx.db.notify(class::GENERIC, "persist", key.bytes);
    }
    ctx.db.dirty(1);
    let mut buffer = itoa::Buffer::new();
    match until {
        Some(until) => ctx.propagate(&[b"SET", key.bytes, text, b"PXAT", buffer.format(until).as_bytes()]),
        None if persists => ctx.propagate(&[b"SET", key.bytes, text]),
        None => ctx.propagate(&[b"SET", key.bytes, text, b"KEEPTTL"]),
    }
}

#[cfg(test)]
mod tests {
    use crate::string::COMMANDS;
    use crate::testing::Bench;

    /// What a line answers, with blanks for line ends.
    fn said(b: &mut Bench, line: &str) -> String {
        b.run(line).replace("\r\n", " ").trim().to_string()
    }

    #[test]
    fn integers_stay_within_bounds() {
        let mut b = Bench::new(&[COMMANDS]);
        for (line, want, propagated) in [
            ("INCREX n", "*2 :1 :1", Some("SET n 1 KEEPTTL")),
            ("INCREX n BYINT 9", "*2 :10 :9", Some("SET n 10 KEEPTTL")),
            ("INCREX n BYINT 1 UBOUND 10", "*2 :10 :0", None),
            ("INCREX n BYINT 1 UBOUND 11", "*2 :11 :1", Some("SET n 11 KEEPTTL")),
            ("INCREX n BYINT 5 UBOUND 12 SATURATE", "*2 :12 :1", Some("SET n 12 KEEPTTL")),
            ("INCREX n BYINT -5 LBOUND 8", "*2 :12 :0", None),
            ("INCREX n SATURATE lbound 8 BYINT -5", "*2 :8 :-4", Some("SET n 8 KEEPTTL")),
            // What is out of bounds already comes back to them.
            ("INCREX n BYINT 1 UBOUND 5 SATURATE", "*2 :5 :-3", Some("SET n 5 KEEPTTL")),
            ("INCREX n BYINT 9223372036854775807", "*2 :5 :0", None),
            (
                "INCREX n BYINT 9223372036854775807 SATURATE",
                "*2 :9223372036854775807 :9223372036854775802",
                Some("SET n 9223372036854775807 KEEPTTL"),
            ),
            (
                "INCREX n BYINT -1 UBOUND -9223372036854775808 SATURATE",
                "-ERR increment or decrement would overflow",
                None,
            ),
            ("INCREX none BYINT 5 UBOUND 3", "*2 :0 :0", None),
            ("STRLEN none", ":0", None),
            ("INCREX none BYINT 5 UBOUND 3 SATURATE", "*2 :3 :3", Some("SET none 3 KEEPTTL")),
        ] {
            assert_eq!(said(&mut b, line), want, "{line}");
            assert_eq!(b.effects().propagated, Vec::from_iter(propagated), "{line}");
        }
    }

    #[test]
    fn floats_stay_within_bounds() {
        let mut b = Bench::new(&[COMMANDS]);
        b.run("SET f 1.5");
        for (line, want) in [
            ("INCREX f BYFLOAT 0.25", "*2 $4 1.75 $4 0.25"),
            ("INCREX f BYFLOAT 0.5 UBOUND 2", "*2 $4 1.75 $1 0"),
            ("INCREX f BYFLOAT 0.5 UBOUND 2 SATURATE", "*2 $1 2 $4 0.25"),
            ("INCREX f BYFLOAT -5 LBOUND -1e0 SATURATE", "*2 $2 -1 $2 -3"),
            ("INCREX i BYFLOAT 3", "*2 $1 3 $1 3"),
            ("INCREX i", "*2 :4 :1"),
            ("INCREX f BYFLOAT inf", "-ERR increment would produce NaN or Infinity"),
            ("INCREX f BYFLOAT 1e4932 SATURATE UBOUND 1e4931 LBOUND 1e4931", "*2"),
        ] {
            assert!(said(&mut b, line).starts_with(want), "{line}: {}", said(&mut b, line));
        }
        b.resp3 = true;
        b.run("SET f 1.5");
        assert_eq!(said(&mut b, "INCREX f BYFLOAT 0.25"), "*2 ,1.75 ,0.25");
    }

    #[test]
    fn time_to_live() {
        let mut b = Bench::new(&[COMMANDS]);
        let ms = b.call.now_ms + 10_000;
        for (line, propagated, events) in [
            ("INCREX n EX 10 ENX", format!("SET n 1 PXAT {ms}"), "incrby n, expire n"),
            ("INCREX n PX 1 ENX", "SET n 2 KEEPTTL".to_string(), "incrby n"),
            ("INCREX n", "SET n 3 KEEPTTL".to_string(), "incrby n"),
            ("INCREX n PXAT 4000000500000", "SET n 4 PXAT 4000000500000".to_string(), "incrby n, expire n"),
            ("INCREX n PERSIST", "SET n 5".to_string(), "incrby n, persist n"),
            ("INCREX n PERSIST", "SET n 6".to_string(), "incrby n"),
        ] {
            b.run(line);
            let done = b.effects();
            assert_eq!((done.propagated, done.events.join(", ")), (vec![propagated], events.to_string()), "{line}");
        }
        // What is skipped leaves the time to live.
        b.run("INCREX n UBOUND 1 EX 10");
        assert_eq!(b.effects().dirty, 0);
    }

    #[test]
    fn refusals() {
        let mut b = Bench::new(&[COMMANDS]);
        b.run("SET text x");
        b.run("SET half 0.5");
        for (line, want) in [
            ("INCREX n BYINT", "-ERR syntax error"),
            ("INCREX n BYINT 1 BYFLOAT 1", "-ERR syntax error"),
            ("INCREX n EX 1 PX 1", "-ERR syntax error"),
            ("INCREX n EX 1 PERSIST", "-ERR syntax error"),
            ("INCREX n PERSIST ENX", "-ERR syntax error"),
            ("INCREX n ENX", "-ERR syntax error"),
            ("INCREX n LBOUND 1 LBOUND 1", "-ERR syntax error"),
            ("INCREX n OTHER", "-ERR syntax error"),
            ("INCREX n BYINT 1.5", "-ERR value is not an integer or out of range"),
            ("INCREX n LBOUND 1.5", "-ERR value is not an integer or out of range"),
            ("INCREX n BYFLOAT x", "-ERR value is not a valid float"),
            ("INCREX n LBOUND 2 UBOUND 1", "-ERR LBOUND must be less than or equal to UBOUND"),
            ("INCREX n BYFLOAT 1 LBOUND 2 UBOUND 1.5", "-ERR LBOUND must be less than or equal to UBOUND"),
            ("INCREX n EX 0", "-ERR invalid expire time in 'increx' command"),
            ("INCREX text", "-ERR value is not an integer or out of range"),
            ("INCREX half", "-ERR value is not an integer or out of range"),
            ("INCREX text BYFLOAT 1", "-ERR value is not a valid float"),
        ] {
            assert_eq!(said(&mut b, line), want, "{line}");
            assert_eq!(b.effects().dirty, 0, "{line}");
        }
        assert_eq!(said(&mut b, "STRLEN n"), ":0");
    }
}
