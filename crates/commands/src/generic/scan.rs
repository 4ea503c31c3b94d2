//! KEYS, SCAN and RANDOMKEY, and what SSCAN, HSCAN and ZSCAN share with SCAN: cursors and options.

use rivulet_keyspace::EntryRef;
use rivulet_resp::{Args, Reply};

use crate::ctx::{Ctx, Data};
use crate::fail::{Fail, SYNTAX};
use crate::{glob, parse};

/// MATCH, COUNT and TYPE.
pub(crate) struct ScanOptions<'a> {
    /// Elements to look at.
    pub count: usize,
    /// Absent when everything matches.
    pub pattern: Option<&'a [u8]>,
    pub type_name: Option<&'a [u8]>,
}

impl ScanOptions<'_> {
    /// Whether an element passes MATCH.
    #[inline]
    pub fn matches(&self, text: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, text))
    }
}

/// A cursor as C's `strtoul` takes it: a sign, and nothing at all, are allowed.
pub(crate) fn parse_cursor(text: &[u8]) -> Result<u64, Fail> {
    const INVALID: Fail = Fail::new("ERR invalid cursor");
    let text = text.split(|&c| c == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Ok(0);
    }
    let (digits, negative) = match text {
        [b'-', digits @ ..] => (digits, true),
        [b'+', digits @ ..] => (digits, false),
        digits => (digits, false),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(INVALID);
    }
    let mut value: u64 = 0;
    for &digit in digits {
        value = value.checked_mul(10).and_then(|v| v.checked_add(u64::from(digit - b'0'))).ok_or(INVALID)?;
    }
    Ok(if negative { value.wrapping_neg() } else { value })
}

/// The options from argument `first` on. Only SCAN itself has TYPE.
pub(crate) fn parse_scan_options(args: Args<'_>, first: usize, with_type: bool) -> Result<ScanOptions<'_>, Fail> {
    let mut options = ScanOptions { count: 10, pattern: None, type_name: None };
    let mut i = first;
    while i < args.len() {
        let Some(value) = args.get(i + 1) else { return Err(SYNTAX) };
        if args.is(i, "count") {
            let count = parse::int(value)?;
            options.count = usize::try_from(count).ok().filter(|&n| n > 0).ok_or(SYNTAX)?;
        } else if args.is(i, "match") {
            options.pattern = (value != b"*").then_some(value);
        } else if with_type && args.is(i, "type") {
            options.type_name = Some(value);
        } else {
            return Err(SYNTAX);
        }
        i += 2;
    }
    Ok(options)
}

/// Whether the entry counts as gone.
fn is_expired(data: &Data<'_>, entry: EntryRef<'_>) -> bool {
    !data.call.from_master && entry.deadline().is_some_and(|ms| data.now_ms() > ms)
}

/// Deletes keys that were found expired, unless that is the master's affair.
fn delete_expired(data: &mut Data<'_>, keys: Vec<Vec<u8>>) {
    if !data.call.keeps_expired {
        for bytes in keys {
            data.delete_expired(data.key(&bytes));
        }
    }
}

pub(super) fn scan(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let cursor = parse_cursor(ctx.args.at(1))?;
    let options = parse_scan_options(ctx.args, 2, true)?;
    let mut bytes = Vec::new();
    let mut keys = Reply::new(&mut bytes, false);
    let (mut found, mut expired, mut typed) = (0, Vec::new(), 0);
    let data = &ctx.db;
    let next = data.db().scan(cursor, options.count, |entry| {
        if !options.matches(entry.key()) {
            return;
        }
        if is_expired(data, entry) {
            expired.push(entry.key().to_vec());
            return;
        }
        if let Some(name) = options.type_name {
            typed += 1;
            if !entry.value_type().name().as_bytes().eq_ignore_ascii_case(name) {
                return;
            }
        }
        keys.bulk(entry.key());
        found += 1;
    });
    ctx.db.effects.hits += typed;
    ctx.db.effects.no_multi = true;
    delete_expired(&mut ctx.db, expired);
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    ctx.reply.array(found);
    ctx.reply.raw(&bytes);
    Ok(())
}

pub(super) fn keys(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let pattern = ctx.args.at(1);
    let everything = pattern == b"*";
    let data = &ctx.db;
    let reply = &mut ctx.reply;
    let mark = reply.begin();
    let mut found = 0;
    data.db().for_each(|entry| {
        if (everything || glob::matches(pattern, entry.key())) && !is_expired(data, entry) {
            reply.bulk(entry.key());
            found += 1;
        }
    });
    reply.end(mark, found);
    Ok(())
}

pub(super) fn randomkey(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    /// A replica deletes nothing, and may hold nothing but expired keys: then one of those is answered. What it tries costs time for nothing, while on a
    /// master each try deletes a key that had to be deleted.
    const TRIES_ON_REPLICA: usize = 100;
    /// The same where some keys have no deadline, of which one should be found.
    const TRIES_FOR_OTHERS: usize = 10_000;
    ctx.db.effects.no_multi = true;
    let mut tries = 0;
    loop {
        let data = &mut ctx.db;
        let db = data.keyspace.db(data.index);
        let Some(entry) = db.random_entry(|| data.rng.u64(..)) else {
            ctx.reply.null();
            return Ok(());
        };
        tries += 1;
        let gone = !data.call.from_master && entry.deadline().is_some_and(|ms| data.call.now_ms > ms);
        let tries_max = if db.len() == db.expires_len() { TRIES_ON_REPLICA } else { TRIES_FOR_OTHERS };
        let give_up = data.call.keeps_expired && tries >= tries_max;
        if !gone || give_up {
            ctx.reply.bulk(entry.key());
            return Ok(());
        }
        let key = entry.key().to_vec();
        delete_expired(data, vec![key]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::testing::Bench;

    fn scanned(b: &mut Bench, options: &str) -> HashSet<String> {
        let mut found = HashSet::new();
        let mut cursor = "0".to_string();
        loop {
            let reply = b.run(&format!("SCAN {cursor} {options}"));
            let lines: Vec<&str> = reply.split("\r\n").collect();
            cursor = lines[2].to_string();
            found.extend(lines[4..].iter().skip(1).step_by(2).map(|k| k.to_string()));
            if cursor == "0" {
                return found;
            }
        }
    }

    #[test]
    fn a_scan_finds_all_keys() {
        let mut b = Bench::new(&[crate::generic::COMMANDS, crate::string::COMMANDS]);
        for i in 0..1000 {
            b.run(&format!("SET key:{i} v"));
        }
        assert_eq!(scanned(&mut b, "").len(), 1000);
        assert_eq!(scanned(&mut b, "MATCH key:1?? COUNT 100").len(), 100);
        assert_eq!(scanned(&mut b, "TYPE String").len(), 1000);
        assert!(scanned(&mut b, "TYPE zset").is_empty());
        assert_eq!(b.run("SCAN 0 COUNT 0"), "-ERR syntax error\r\n");
        assert_eq!(b.run("SCAN x"), "-ERR invalid cursor\r\n");
        assert!(b.run("KEYS key:99?").starts_with("*10\r\n"));
        assert!(b.run("RANDOMKEY").contains("key:"));
    }

    #[test]
    fn keys_that_have_expired_are_met() {
        let mut b = Bench::new(&[crate::generic::COMMANDS, crate::string::COMMANDS]);
        b.run("SET k v PX 10");
        b.advance_ms(11);
        assert_eq!(b.run("KEYS *"), "*0\r\n");
        b.call.keeps_expired = true;
        assert_eq!(b.run("SCAN 0"), "*2\r\n$1\r\n0\r\n*0\r\n");
        assert_eq!(b.run("RANDOMKEY"), "$1\r\nk\r\n");
        b.call.keeps_expired = false;
        assert_eq!(b.run("SCAN 0"), "*2\r\n$1\r\n0\r\n*0\r\n");
        assert_eq!(b.effects().propagated, ["DEL k"]);
        assert!(b.raw_effects().no_multi);
        assert_eq!(b.run("RANDOMKEY"), "$-1\r\n");
    }

    #[test]
    fn cursors_are_those_of_strtoul() {
        for (text, want) in [("0", 0), ("", 0), ("+7", 7), ("-1", u64::MAX), ("18446744073709551615", u64::MAX)] {
            assert_eq!(parse_cursor(text.as_bytes()), Ok(want), "{text}");
        }
        for text in [" 1", "1 ", "x", "+", "-", "+-1", "18446744073709551616"] {
            assert!(parse_cursor(text.as_bytes()).is_err(), "{text}");
        }
    }
}
