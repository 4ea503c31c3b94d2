//! OBJECT: how a value is kept, and when it was used.

use rivulet_keyspace::{Elem, EntryRef, Key};

use crate::ctx::{Ctx, Data, lfu_decayed, lru_clock};
use crate::fail::Fail;
use crate::settings::ClockUse;

/// Integers below this are one shared object in Redis.
const SHARED_INTEGERS: i64 = 10_000;
/// What Redis answers as the count of references of a shared object.
const SHARED_REFERENCES: i64 = i32::MAX as i64;

const LFU_SELECTED: Fail = Fail::new(
    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
);
const LFU_NOT_SELECTED: Fail = Fail::new(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
);

/// A lookup that marks no access and tells nobody of a miss.
fn look<'d>(data: &'d mut Data<'_>, key: Key<'_>) -> Option<EntryRef<'d>> {
    data.expire_if_due(key);
    let found = data.get(key).is_some();
    data.effects.hits += u64::from(found);
    data.effects.misses += u64::from(!found);
    data.get(key)
}

pub(super) fn encoding(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(2);
    match look(&mut ctx.db, key) {
        None => ctx.reply.null(),
        Some(entry) => ctx.reply.bulk(entry.encoding().as_bytes()),
    }
    Ok(())
}

pub(super) fn refcount(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(2);
    let shares = !ctx.db.settings.policy_uses_clock;
    match look(&mut ctx.db, key).map(|entry| entry.string()) {
        None => ctx.reply.null(),
        Some(Some(Elem::Int(0..SHARED_INTEGERS))) if shares => ctx.reply.int(SHARED_REFERENCES),
        Some(_) => ctx.reply.int(1),
    }
    Ok(())
}

pub(super) fn idletime(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, clock_use, now) = (ctx.key(2), ctx.db.settings.clock.touched(), lru_clock(ctx.db.now_ms()));
    match look(&mut ctx.db, key) {
        None => ctx.reply.null(),
        Some(_) if clock_use != ClockUse::Lru => return Err(LFU_SELECTED),
        // The clock wraps at 24 bits.
        Some(entry) => ctx.reply.int(i64::from(now.wrapping_sub(entry.clock()) & 0xff_ffff)),
    }
    Ok(())
}

pub(super) fn freq(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, clock_use, now_ms) = (ctx.key(2), ctx.db.settings.clock, ctx.db.now_ms());
    match (look(&mut ctx.db, key), clock_use) {
        (None, _) => ctx.reply.null(),
        (Some(_), ClockUse::Lru | ClockUse::LruUntouched) => return Err(LFU_NOT_SELECTED),
        (Some(entry), ClockUse::Lfu { decay_minutes, .. } | ClockUse::LfuUntouched { decay_minutes, .. }) => {
            ctx.reply.int(i64::from(lfu_decayed(entry.clock(), now_ms, decay_minutes)));
        }
    }
    Ok(())
}

pub(super) fn help(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    const LINES: &[&str] = &[
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    How the value of the key is kept.",
        "FREQ <key>",
        "    The logarithmic count of accesses to the key; an LFU policy must be on.",
        "IDLETIME <key>",
        "    Seconds since the last access to the key; no LFU policy may be on.",
        "REFCOUNT <key>",
        "    References to the value of the key.",
        "HELP",
        "    This text.",
    ];
    ctx.reply.array(LINES.len());
    LINES.iter().for_each(|line| ctx.reply.simple(line));
    Ok(())
}
