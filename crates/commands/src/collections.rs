//! A collection at a key: looked up once, and what follows when it lost elements or was made by a command.
//!
//! What [`crate::keys`] is for entries: the rules of expiry are those of [`Data`].

use rivulet_keyspace::{Collection, Key, Value};

use crate::ctx::{Ctx, Data};
use crate::effects::class;
use crate::fail::{Fail, WRONG_TYPE};
use crate::keys;

/// A lookup by a command that reads.
#[inline]
pub(crate) fn read<T: Collection, R>(
    data: &mut Data<'_>,
    key: Key<'_>,
    f: impl FnOnce(Option<&T>) -> R,
) -> Result<R, Fail> {
    keys::with_read(data, key, |entry| match entry {
        None => Ok(f(None)),
        Some(entry) => entry.collection::<T>().map(|value| f(Some(&value))).ok_or(WRONG_TYPE),
    })
}

/// A lookup by a command that writes.
#[inline]
pub(crate) fn write<T: Collection, R>(
    data: &mut Data<'_>,
    key: Key<'_>,
    f: impl FnOnce(Option<&mut T>) -> R,
) -> Result<R, Fail> {
    keys::with_write(data, key, |slot| match slot {
        None => Ok(f(None)),
        Some(slot) => slot.collection::<T>().map(|mut value| f(Some(&mut value))).ok_or(WRONG_TYPE),
    })
}

/// A lookup by a command that adds: a key that is not there gets what `f` puts into an empty collection, unless `f` fails.
#[inline]
pub(crate) fn write_or_create<T: Collection + Default + Into<Value>, R>(
    data: &mut Data<'_>,
    key: Key<'_>,
    f: impl FnOnce(&mut T) -> Result<R, Fail>,
) -> Result<R, Fail> {
    let found = keys::with_write(data, key, |slot| match slot {
        None => Err(f),
        Some(slot) => Ok(slot.collection::<T>().ok_or(WRONG_TYPE).and_then(|mut value| f(&mut value))),
    });
    match found {
        Ok(result) => result,
        Err(f) => {
            let mut value = T::default();
            let result = f(&mut value)?;
            data.add(key, value.into(), None);
            Ok(result)
        }
    }
}

/// What follows when elements were removed; the key goes with the last of them.
pub(crate) fn removed(ctx: &mut Ctx<'_>, key: Key<'_>, count: usize, emptied: bool, class: u32, event: &'static str) {
    if count == 0 {
        return;
    }
    ctx.db.dirty(count as u64);
    ctx.db.changed(key.bytes, class, event);
    if emptied {
        ctx.db.delete(key, false);
        ctx.db.notify(class::GENERIC, "del", key.bytes);
    }
}

/// Puts a result at a key and answers how many elements it has; an empty result removes the key.
pub(crate) fn store(ctx: &mut Ctx<'_>, key: Key<'_>, result: Value, len: usize, class: u32, event: &'static str) {
    if len > 0 {
        ctx.db.put(key, result, None);
        ctx.db.changed(key.bytes, class, event);
        ctx.db.dirty(1);
    } else if ctx.db.delete(key, ctx.db.settings.lazyfree_lazy_server_del) {
        ctx.db.changed(key.bytes, class::GENERIC, "del");
        ctx.db.dirty(1);
    }
    ctx.reply.int(len as i64);
}
