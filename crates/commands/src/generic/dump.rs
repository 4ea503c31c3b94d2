//! DUMP and RESTORE: a value as bytes.

use rivulet_rdb::{DumpError, Version, Writer};

use crate::ctx::{Ctx, lru_clock};
use crate::effects::class;
use crate::fail::{Fail, SYNTAX};
use crate::keys::{delete_instead, has_passed, with_read};
use crate::parse;
use crate::settings::ClockUse;

pub(super) fn dump(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(1);
    with_read(&mut ctx.db, key, |entry| match entry {
        None => ctx.reply.null(),
        Some(entry) => {
            let mut payload = Vec::new();
            rivulet_rdb::dump(&mut Writer::new(Version::DEFAULT, true), entry.value().as_ref(), &mut payload);
            ctx.reply.bulk(&payload);
        }
    });
    Ok(())
}

#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_seconds: Option<i64>,
    frequency: Option<u32>,
}

impl Options {
    /// From argument 4 on.
    fn parse(ctx: &Ctx<'_>) -> Result<Options, Fail> {
        let args = ctx.args;
        let mut options = Options::default();
        let mut i = 4;
        while i < args.len() {
            let value = args.get(i + 1);
            if args.is(i, "replace") {
                options.replace = true;
            } else if args.is(i, "absttl") {
                options.absolute = true;
            } else if let (true, Some(value), None) = (args.is(i, "idletime"), value, options.frequency) {
                let seconds = parse::int(value)?;
                if seconds < 0 {
                    return Err(Fail::new("ERR Invalid IDLETIME value, must be >= 0"));
                }
                options.idle_seconds = Some(seconds);
                i += 1;
            } else if let (true, Some(value), None) = (args.is(i, "freq"), value, options.idle_seconds) {
                let frequency = u8::try_from(parse::int(value)?);
                let invalid = Fail::new("ERR Invalid FREQ value, must be >= 0 and <= 255");
                options.frequency = Some(u32::from(frequency.map_err(|_| invalid)?));
                i += 1;
            } else {
                return Err(SYNTAX);
            }
            i += 1;
        }
        Ok(options)
    }

    /// The clock bits that they ask for.
    fn clock(&self, clock_use: ClockUse, now_ms: u64) -> Option<u32> {
        match (clock_use.touched(), self.frequency, self.idle_seconds) {
            (ClockUse::Lfu { .. }, Some(frequency), _) => Some(((now_ms / 60_000) as u32) << 8 | frequency),
            (ClockUse::Lru, _, Some(idle)) => Some(lru_clock(now_ms).wrapping_sub(idle as u32)),
            _ => None,
        }
    }
}

pub(super) fn restore(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let options = Options::parse(ctx)?;
    let key = ctx.key(1);
    if !options.replace {
        ctx.db.expire_if_due(key);
        if ctx.db.get(key).is_some() {
            return Err(Fail::new("BUSYKEY Target key name already exists."));
        }
    }
    let ttl = ctx.int(2)?;
    if ttl < 0 {
        return Err(Fail::new("ERR Invalid TTL value, must be >= 0"));
    }
    let settings = ctx.db.settings;
    let restore = if settings.skips_checksums { rivulet_rdb::restore_unsummed } else { rivulet_rdb::restore };
    let value = match restore(ctx.args.at(3), &settings.limits) {
        Ok(value) => value,
        Err(error) => {
            if let DumpError::BadFormat(why) = &error {
                let key = String::from_utf8_lossy(key.bytes);
                ctx.db.effects.complaint =
                    Some(format!("RESTORE of '{key}' is refused: the payload's integrity check failed: {why}"));
            }
            return Err(Fail::text(format!("ERR {error}")));
        }
    };
    let now_ms = ctx.db.now_ms();
    let until = match ttl {
        0 => None,
        _ if options.absolute => Some(ttl),
        _ => Some(ttl.saturating_add(now_ms as i64)),
    };
    ctx.reply.ok();
    if until.is_some_and(|ms| has_passed(&ctx.db, ms)) {
        let lazy = ctx.db.settings.lazyfree_lazy_server_del;
        if options.replace && delete_instead(ctx, key, lazy) {
            // Redis says DEL here whatever the setting.
            ctx.propagate(&[b"DEL", key.bytes]);
        }
        return Ok(());
    }
    ctx.db.add(key, value, until.map(|ms| ms as u64));
    if let Some(clock) = options.clock(ctx.db.settings.clock, now_ms)
        && let Some(entry) = ctx.db.db().find(key)
    {
        entry.set_clock(clock);
    }
    if let Some(until) = until.filter(|_| !options.absolute) {
        let mut buffer = itoa::Buffer::new();
        let mut words: Vec<&[u8]> = ctx.args.iter().collect();
        words[2] = buffer.format(until).as_bytes();
        words.push(b"ABSTTL");
        ctx.propagate(&words);
    }
    ctx.db.changed(key.bytes, class::GENERIC, "restore");
    ctx.db.dirty(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::generic;
    use crate::string;
    use crate::testing::Bench;

    /// `SET k 10; DUMP k` of Redis 7.0.
    const TEN: &[u8] = b"\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb";

    fn bench() -> Bench {
        Bench::new(&[generic::COMMANDS, string::COMMANDS])
    }

    #[test]
    fn a_value_goes_out_and_in() {
        let mut b = bench();
        b.run("SET k 10");
        assert_eq!(b.run_bytes(&[b"DUMP", b"k"]), [b"$13\r\n".as_slice(), TEN, b"\r\n"].concat());
        assert_eq!(b.run("DUMP none"), "$-1\r\n");
        assert_eq!(b.run_args(&[b"RESTORE", b"r", b"0", TEN]), "+OK\r\n");
        assert_eq!(b.effects().events, ["restore r"]);
        assert_eq!(b.run("GET r"), "$2\r\n10\r\n");
        assert_eq!(b.run_args(&[b"RESTORE", b"r", b"0", TEN]), "-BUSYKEY Target key name already exists.\r\n");
        assert_eq!(b.run_args(&[b"RESTORE", b"r", b"5000", TEN, b"REPLACE"]), "+OK\r\n");
        let line = b.effects().propagated.concat();
        assert!(line.starts_with("RESTORE r 1700000005000 ") && line.ends_with(" REPLACE ABSTTL"), "{line}");
        assert_eq!(b.run_args(&[b"RESTORE", b"r", b"1", TEN, b"REPLACE", b"ABSTTL"]), "+OK\r\n");
        assert_eq!(b.effects().propagated, ["DEL r"]);
        assert_eq!(b.run_args(&[b"RESTORE", b"r", b"0", TEN, b"IDLETIME", b"1000"]), "+OK\r\n");
        assert_eq!(b.run("OBJECT IDLETIME r"), ":1000\r\n");
    }

    #[test]
    fn what_is_refused() {
        let mut b = bench();
        let wrong = "-ERR DUMP payload version or checksum are wrong\r\n";
        assert_eq!(b.run("RESTORE k 0 nonsense"), wrong);
        let mut damaged = TEN.to_vec();
        damaged[2] ^= 1;
        assert_eq!(b.run_args(&[b"RESTORE", b"k", b"0", &damaged]), wrong);
        for (line, want) in [
            ("RESTORE k -1 x", "-ERR Invalid TTL value, must be >= 0\r\n"),
            ("RESTORE k 0 x IDLETIME -1", "-ERR Invalid IDLETIME value, must be >= 0\r\n"),
            ("RESTORE k 0 x FREQ 256", "-ERR Invalid FREQ value, must be >= 0 and <= 255\r\n"),
            ("RESTORE k 0 x FREQ 1 IDLETIME 1", "-ERR syntax error\r\n"),
            ("RESTORE k x x", "-ERR value is not an integer or out of range\r\n"),
        ] {
            assert_eq!(b.run(line), want, "{line}");
        }
    }
}
