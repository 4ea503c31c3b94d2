//! A collection at a key, looked up once.
//!
//! What [`crate::keys`] is for entries: the rules of expiry are those of [`Data`].

use rivulet_keyspace::{Collection, Key, Value};

use crate::ctx::Data;
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
