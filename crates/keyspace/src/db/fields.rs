//! Which hashes have fields that are due: a heap by time, beside the index of the keys' own deadlines.
//!
//! Each hash whose fields have deadlines is queued with a time not after the earliest of them. What is queued may be outdated: who comes to its time
//! looks at the hash.

use std::cmp::Reverse;

use super::Db;
use crate::entry::EntryRef;
use crate::hash::{HashKeys, Key};
use crate::value::Hash;
use crate::value::hash::NEVER;

/// Outdated entries that the heap may have beside twice what it had when it was last looked at.
const HEAP_SPARE: usize = 1024;
/// Entries that tell whether most of the heap is outdated.
const SAMPLES: usize = 64;

/// Entries of the heap that are looked at to tell whether any is true.
const LOOKS: usize = 4096;

/// When a hash is looked at, and its key's hash.
pub(super) type Queued = Reverse<(u64, u64)>;

impl<H: HashKeys> Db<H> {
    /// To be called when a hash's fields were given deadlines, so that they are found when they are due.
    pub fn fields_changed(&mut self, key: Key<'_>) {
        self.queue_fields(key, false);
    }

    /// Queues the hash at a key, if it has fields with deadlines that are earlier than what it is queued for. `fresh` says that it is in no queue,
    /// whatever it thinks.
    pub(super) fn queue_fields(&mut self, key: Key<'_>, fresh: bool) {
        let Some(found) = self.table.find(key) else { return };
        // When it is queued is no part of a snapshot.
        let Some(mut hash) = self.table.get_mut(found).collection::<Hash>() else { return };
        let Hash::Timed(timed) = &mut *hash else { return };
        if fresh {
            timed.queued = NEVER;
        }
        if timed.soonest() >= timed.queued {
            return;
        }
        timed.queued = timed.soonest();
        let queued = Reverse((timed.queued, key.hash));
        drop(hash);
        if self.fields.len() == self.fields.capacity() {
            // By a part, not to twice as much: this is memory for each such hash.
            self.fields.reserve_exact(self.fields.len() / 8 + 16);
        }
        self.fields.push(queued);
        self.shrink_fields();
    }

    /// Takes what is outdated out of the heap once that is the most of it.
    fn shrink_fields(&mut self) {
        let len = self.fields.len();
        if len <= self.fields_kept * 2 + HEAP_SPARE {
            return;
        }
        // To go through millions that are true would only keep everybody waiting.
        let samples = self.fields.as_slice().iter().step_by(len / SAMPLES).take(SAMPLES);
        if samples.filter(|queued| self.is_true(queued)).count() * 2 > SAMPLES {
            self.fields_kept = len;
            return;
        }
        let mut fields = std::mem::take(&mut self.fields).into_vec();
        fields.retain(|queued| self.is_true(queued));
        fields.sort_unstable();
        fields.dedup();
        self.fields_kept = fields.len();
        self.fields = fields.into();
    }

    /// The key of a hash that has fields whose deadline is before `now_ms`, after at most `steps` outdated ones, which are counted down. It is found
    /// again until they are taken out.
    pub fn due_fields(&mut self, now_ms: u64, steps: &mut usize) -> Option<Vec<u8>> {
        while let Some(&Reverse((ms, hash))) = self.fields.peek()
            && now_ms > ms
            && *steps > 0
        {
            let entry = self.find_hash(hash).filter(|&entry| queued_of(entry) == ms);
            if let Some(entry) = entry
                && soonest_of(entry) < now_ms
            {
                return Some(entry.key().to_vec());
            }
            let key = entry.map(|entry| entry.key().to_vec());
            self.fields.pop();
            *steps -= 1;
            if let Some(bytes) = key {
                self.queue_fields(Key { bytes: &bytes, hash }, true);
            }
        }
        None
    }

    /// When [`Db::due_fields`] may find something next, in Unix ms; that may be over.
    pub fn next_fields_due_ms(&self) -> Option<u64> {
        self.fields.peek().map(|&Reverse((ms, _))| ms + 1)
    }

    /// Whether fields may have deadlines here: false is certain. What is outdated does not count, as far as few looks tell.
    pub fn may_have_field_deadlines(&self) -> bool {
        self.fields.len() > LOOKS || self.fields.iter().any(|queued| self.is_true(queued))
    }

    /// Whether there is a hash that is queued for this time.
    fn is_true(&self, &Reverse((ms, hash)): &Queued) -> bool {
        self.find_hash(hash).is_some_and(|entry| queued_of(entry) == ms)
    }
}

/// When the hash of an entry is looked at; [`NEVER`] for what is none.
fn queued_of(entry: EntryRef<'_>) -> u64 {
    entry.collection::<Hash>().map_or(NEVER, |hash| match &*hash {
        Hash::Timed(timed) => timed.queued,
        _ => NEVER,
    })
}

fn soonest_of(entry: EntryRef<'_>) -> u64 {
    entry.collection::<Hash>().map_or(NEVER, |hash| hash.soonest())
}
