//! Fields that have expired, as commands meet them: hidden from those who read, and taken out by those who write to them.

use rivulet_keyspace::{Hash, Key};
use rivulet_resp::OwnedArgs;

use crate::ctx::{Call, Data};
use crate::effects::class;

/// The moment that decides which fields are there. A command of the master sees all: when they go is the master's affair.
#[inline]
pub(crate) fn moment(call: &Call) -> u64 {
    if call.from_master { 0 } else { call.now_ms }
}

/// What a command that writes to some fields finds expired.
pub(super) struct Expired {
    now_ms: u64,
    /// Whether this server decides that they go.
    decides: bool,
    gone: Vec<Vec<u8>>,
}

impl Expired {
    pub(super) fn new(call: &Call) -> Expired {
        Expired { now_ms: moment(call), decides: !call.keeps_expired, gone: Vec::new() }
    }

    /// Whether a field is there. One that has expired is taken out, if this server decides that.
    #[inline]
    pub(super) fn is_there(&mut self, hash: &mut Hash, field: &[u8]) -> bool {
        if self.decides {
            self.make_way(hash, field);
            return hash.contains(field);
        }
        hash.live(self.now_ms).contains(field)
    }

    /// A field that has expired goes before it is written to: it is a new one then.
    #[inline]
    pub(super) fn make_way(&mut self, hash: &mut Hash, field: &[u8]) {
        if hash.live(self.now_ms).hides() {
            self.take(hash, field);
        }
    }

    #[cold]
    fn take(&mut self, hash: &mut Hash, field: &[u8]) {
        if hash.contains(field) && !hash.live(self.now_ms).contains(field) {
            hash.remove(field);
            if self.decides {
                self.gone.push(field.to_vec());
            }
        }
    }

    /// Tells the replicas, and everybody else, of what went. `emptied` says that nothing is left, so that the key goes, too.
    #[inline]
    pub(super) fn tell(self, data: &mut Data<'_>, key: Key<'_>, emptied: bool) {
        if !self.gone.is_empty() {
            tell_expired(data, key, &self.gone, emptied);
        }
    }
}

#[cold]
fn tell_expired(data: &mut Data<'_>, key: Key<'_>, fields: &[Vec<u8>], emptied: bool) {
    let mut words: Vec<&[u8]> = vec![b"HDEL", key.bytes];
    words.extend(fields.iter().map(Vec::as_slice));
    data.effects.before.push((data.index, OwnedArgs::from_slices(&words)));
    data.effects.expired_fields += fields.len() as u64;
    data.touch_by_itself(key.bytes);
    data.notify(class::HASH, "hexpired", key.bytes);
    if emptied {
        data.delete(key, false);
        data.notify(class::GENERIC, "del", key.bytes);
    }
}

/// Takes up to `limit` expired fields out of the hash at a key, which goes with its last one, and tells the replicas. This server must be the one that
/// decides it.
pub fn expire_fields(data: &mut Data<'_>, key: Key<'_>, limit: usize) {
    let now_ms = data.now_ms();
    let mut gone = Vec::new();
    let emptied = {
        let Some(slot) = data.db_mut().find_mut(key) else { return };
        let Some(mut hash) = slot.collection::<Hash>() else { return };
        hash.take_expired(now_ms, limit, |field| gone.push(field.to_vec()));
        hash.is_empty()
    };
    if !gone.is_empty() {
        tell_expired(data, key, &gone, emptied);
    }
}
