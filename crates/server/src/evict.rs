//! Keeping within `maxmemory`: what is evicted, by sampling.

use rivulet_commands::ctx::{lfu_decayed, lru_clock};
use rivulet_commands::effects::class;
use rivulet_commands::settings::ClockUse;
use rivulet_resp::OwnedArgs;

use crate::config::MaxmemoryPolicy as Policy;
use crate::memory;
use crate::node::Node;

/// Keys evicted before memory is looked at again.
const KEYS_BETWEEN_LOOKS: usize = 16;

impl Node {
    /// Memory that counts against `maxmemory`: not what replicas wait for.
    pub fn counted_memory(&self) -> usize {
        memory::used().saturating_sub(self.memory_not_counted())
    }

    /// Bytes of the replication log beyond `repl-backlog-size`.
    pub fn memory_not_counted(&self) -> usize {
        let log = &self.replication.log;
        log.memory_bytes().saturating_sub(log.size() as usize)
    }

    /// Makes room at the border of a unit of execution; answers whether memory is within `maxmemory` now, or nothing may be evicted because the data
    /// must stand still: while they load, in a pause, and on a replica, whose master decides.
    pub fn make_room(&mut self) -> bool {
        let must_stand_still = self.is_loading()
            || self.is_paused()
            || !self.replication.failover.is_idle()
            || (self.is_replica() && self.config.replica_ignore_maxmemory);
        must_stand_still || self.evict_to_limit()
    }

    /// Evicts until memory is within the limit; answers whether it is.
    pub fn evict_to_limit(&mut self) -> bool {
        let limit = self.config.maxmemory as usize;
        if limit == 0 || (self.is_replica() && self.config.replica_ignore_maxmemory) || self.counted_memory() <= limit {
            return true;
        }
        if self.config.maxmemory_policy == Policy::NoEviction || self.is_replica() {
            return false;
        }
        loop {
            for _ in 0..KEYS_BETWEEN_LOOKS {
                let Some((db, key)) = self.worst_key() else { return self.counted_memory() <= limit };
                self.evict(db, &key);
            }
            self.after_unit();
            if self.counted_memory() <= limit {
                return true;
            }
        }
    }

    fn evict(&mut self, db: usize, key: &[u8]) {
        let lazy = self.config.lazyfree_lazy_eviction;
        self.with_data(db, |data| {
            let key = data.key(key);
            if let Some(removed) = data.db_mut().remove(key) {
                data.effects.free(removed.value, lazy);
                let word: &[u8] = if lazy { b"UNLINK" } else { b"DEL" };
                data.effects.before.push((db, OwnedArgs::from_slices(&[word, key.bytes])));
                data.touch(key.bytes);
                data.notify(class::EVICTED, "evicted", key.bytes);
            }
        });
        self.unit_no_multi = true;
        self.stats.evicted += 1;
    }

    /// The best key to evict among some that are drawn at random.
    fn worst_key(&mut self) -> Option<(usize, Box<[u8]>)> {
        let policy = self.config.maxmemory_policy;
        let samples = self.config.maxmemory_samples.max(1) as usize;
        let volatile = policy.is_volatile();
        let now_ms = self.unix_ms();
        let clock = self.settings.clock;
        let mut best: Option<(u64, usize, Box<[u8]>)> = None;
        for index in 0..self.keyspace.databases() {
            let db = self.keyspace.db(index);
            let candidates = if volatile { db.expires_len() } else { db.len() };
            if candidates == 0 {
                continue;
            }
            let mut seen = 0;
            // Where few keys have a deadline, more must be drawn to find some.
            for _ in 0..samples * if volatile { 1 + 16 * db.len() / candidates } else { 1 } {
                let Some(entry) = db.random_entry(|| self.rng.u64(..)) else { break };
                if volatile && entry.deadline().is_none() {
                    continue;
                }
                let score = match policy {
                    Policy::AllkeysLru | Policy::VolatileLru => {
                        u64::from(lru_clock(now_ms).wrapping_sub(entry.clock()) & 0xff_ffff)
                    }
                    Policy::AllkeysLfu | Policy::VolatileLfu => {
                        let decay = if let ClockUse::Lfu { decay_minutes, .. } = clock { decay_minutes } else { 1 };
                        u64::from(255 - lfu_decayed(entry.clock(), now_ms, decay))
                    }
                    Policy::VolatileTtl => u64::MAX - entry.deadline().unwrap_or(u64::MAX),
                    Policy::AllkeysRandom | Policy::VolatileRandom | Policy::NoEviction => self.rng.u64(..),
                };
                if best.as_ref().is_none_or(|(worst, ..)| score > *worst) {
                    best = Some((score, index, entry.key().into()));
                }
                seen += 1;
                if seen >= samples {
                    break;
                }
            }
        }
        best.map(|(_, db, key)| (db, key))
    }
}
