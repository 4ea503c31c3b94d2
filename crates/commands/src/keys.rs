//! Lookups of keys for the commands that are run most: over several keys with their memory asked for together, and with a single search.
//!
//! The rules of expiry are those of [`Data`]; this only takes the short way where they ask for nothing.

use rivulet_keyspace::{EntryRef, Key, SlotMut};

use crate::ctx::{Ctx, Data, lru_clock};
use crate::effects::class;
use crate::fail::{DB_OUT_OF_RANGE, Fail};
use crate::settings::ClockUse;

/// Keys whose memory is asked for together.
const AHEAD: usize = 16;

/// Calls `f` with the index of every `step`th argument from `first` on, and its key, in order.
pub(crate) fn for_each<'a>(
    ctx: &mut Ctx<'a>,
    first: usize,
    step: usize,
    mut f: impl FnMut(&mut Ctx<'a>, usize, Key<'a>),
) {
    let args = ctx.args;
    let mut at = first;
    while at < args.len() {
        let mut keys = [Key { bytes: &[], hash: 0 }; AHEAD];
        let count = (args.len() - at).div_ceil(step).min(AHEAD);
        for (i, key) in keys[..count].iter_mut().enumerate() {
            *key = ctx.key(at + i * step);
        }
        let keys = &keys[..count];
        if count > 1 {
            keys.iter().for_each(|key| ctx.db.db().prefetch_bucket(key.hash));
            keys.iter().for_each(|key| ctx.db.db().prefetch_entry(key.hash));
        }
        for (i, &key) in keys.iter().enumerate() {
            f(ctx, at + i * step, key);
        }
        at += count * step;
    }
}

/// [`Data::read`] whose result is used at once.
#[inline]
pub(crate) fn with_read<R>(data: &mut Data<'_>, key: Key<'_>, f: impl FnOnce(Option<EntryRef<'_>>) -> R) -> R {
    if data.settings.clock == ClockUse::Lru
        && let Some(entry) = data.keyspace.db(data.index).find(key)
        && entry.deadline().is_none()
    {
        mark_lru(entry, data.call.now_ms);
        data.effects.hits += 1;
        return f(Some(entry));
    }
    f(data.read(key))
}

/// [`Data::write`] whose result is used at once.
#[inline]
pub(crate) fn with_write<R>(data: &mut Data<'_>, key: Key<'_>, f: impl FnOnce(Option<SlotMut<'_>>) -> R) -> R {
    if data.settings.clock == ClockUse::Lru
        && let Some(slot) = data.keyspace.db_mut(data.index).find_mut(key)
        && slot.as_ref().deadline().is_none()
    {
        mark_lru(slot.as_ref(), data.call.now_ms);
        return f(Some(slot));
    }
    f(data.write(key))
}

/// Marks the access; a line of memory that need not change is left clean.
#[inline]
fn mark_lru(entry: EntryRef<'_>, now_ms: u64) {
    let clock = lru_clock(now_ms);
    if entry.clock() != clock {
        entry.set_clock(clock);
    }
}

/// A lookup that marks no access, as EXISTS and TYPE do: expires, and counts a hit or miss.
pub(crate) fn peek<'d>(data: &'d mut Data<'_>, key: Key<'_>) -> Option<EntryRef<'d>> {
    data.expire_if_due(key);
    if data.get(key).is_none() {
        data.effects.misses += 1;
        data.notify(class::KEY_MISS, "keymiss", key.bytes);
        return None;
    }
    data.effects.hits += 1;
    data.get(key)
}

/// The number of a database that exists, from argument `i`.
pub(crate) fn db_index(ctx: &Ctx<'_>, i: usize) -> Result<usize, Fail> {
    const NO_C_INT: Fail = Fail::new("ERR value is out of range, value must between -2147483648 and 2147483647");
    let number = i32::try_from(ctx.int(i)?).map_err(|_| NO_C_INT)?;
    usize::try_from(number).ok().filter(|&n| n < ctx.db.keyspace.databases()).ok_or(DB_OUT_OF_RANGE)
}

/// Whether a time given by a client has passed, so that a key with it is deleted at once. A replica leaves that to its master.
pub(crate) fn has_passed(data: &Data<'_>, unix_ms: i64) -> bool {
    unix_ms <= data.now_ms() as i64 && !data.call.is_replica && !data.call.from_master
}

/// Deletes a key because its new deadline has passed; the replicas get the deletion instead of the command.
pub(crate) fn delete_instead(ctx: &mut Ctx<'_>, key: Key<'_>, lazy: bool) -> bool {
    let deleted = ctx.db.delete(key, lazy);
    if deleted {
        ctx.propagate(&[if lazy { b"UNLINK" } else { b"DEL" }, key.bytes]);
        ctx.db.changed(key.bytes, class::GENERIC, "del");
        ctx.db.dirty(1);
    }
    deleted
}
