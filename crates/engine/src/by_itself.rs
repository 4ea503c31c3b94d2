//! What goes by itself: steps of expiry and of eviction. When there is one, and how long they may take, the node says.

use rivulet_commands::effects::class;
use rivulet_commands::hash::expire_fields;
use rivulet_resp::OwnedArgs;

use crate::call::Moment;
use crate::engine::Engine;
use crate::eviction::{Keys, Policy};

/// Steps (keys and buckets) between two looks at the clock.
const STEPS: usize = 64;

/// What a step has found in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something went, and more may be due.
    Expired,
    /// Nothing that is due was met yet.
    Looked,
    /// Nothing more is due.
    Done,
}

impl Engine {
    /// Deletes some of the keys that are due in a database.
    pub fn expire_keys(&mut self, index: usize, now_ms: u64, moment: Moment) -> Step {
        let expired = self.keyspace.db_mut(index).expired_keys(now_ms, STEPS);
        self.with_data(index, moment, |data| {
            for key in &expired.keys {
                data.expire_if_due(data.key(key));
            }
        });
        if expired.more { Step::Expired } else { Step::Done }
    }

    /// Takes some of the fields that are due out of a hash.
    pub fn expire_fields(&mut self, index: usize, now_ms: u64, moment: Moment) -> Step {
        let mut steps = STEPS;
        let Some(key) = self.keyspace.db_mut(index).due_fields(now_ms, &mut steps) else {
            return if steps > 0 { Step::Done } else { Step::Looked };
        };
        self.with_data(index, moment, |data| {
            let key = data.key(&key);
            expire_fields(data, key, STEPS);
        });
        Step::Expired
    }

    /// The key that should go next, of `samples` and of what was seen before; `now_ms` is Unix ms.
    pub fn worst_key(&mut self, policy: Policy, samples: usize, now_ms: u64) -> Option<(usize, Box<[u8]>)> {
        let clock = self.settings.clock;
        let mut keys = Keys { keyspace: &mut self.keyspace, rng: &mut self.rng, policy, samples, now_ms, clock };
        self.keys.eviction.worst_key(&mut keys)
    }

    /// Deletes a key to make room; with `lazy` a helper frees what is big.
    pub fn evict(&mut self, db: usize, key: &[u8], lazy: bool, moment: Moment) {
        self.with_data(db, moment, |data| {
            let key = data.key(key);
            if let Some(removed) = data.db_mut().remove(key) {
                data.note_loss(&removed.value, key.bytes);
                data.effects.free(removed.value, lazy);
                let word: &[u8] = if lazy { b"UNLINK" } else { b"DEL" };
                data.effects.before.push((db, OwnedArgs::from_slices(&[word, key.bytes])));
                data.touch_by_itself(key.bytes);
                data.notify(class::EVICTED, "evicted", key.bytes);
            }
        });
    }
}
