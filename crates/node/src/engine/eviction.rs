//! Keeping within `maxmemory`: how much memory counts, when room is made, and in slices of how long.

use rivulet_config::MaxmemoryPolicy;
use rivulet_engine::eviction::{Order, Policy, Slice, has_candidates};
use rivulet_memory as memory;

use crate::node::Node;

/// Keys evicted between two looks at the clock.
const KEYS_PER_STEP: usize = 16;

/// Which keys may go, if any.
fn policy(word: MaxmemoryPolicy) -> Option<Policy> {
    let order = match word {
        MaxmemoryPolicy::VolatileLru | MaxmemoryPolicy::AllkeysLru => Order::Lru,
        MaxmemoryPolicy::VolatileLfu | MaxmemoryPolicy::AllkeysLfu => Order::Lfu,
        MaxmemoryPolicy::VolatileRandom | MaxmemoryPolicy::AllkeysRandom => Order::Random,
        MaxmemoryPolicy::VolatileTtl => Order::Ttl,
        MaxmemoryPolicy::NoEviction => return None,
    };
    Some(Policy { order, is_volatile: word.is_volatile() })
}

impl Node {
    /// Memory that counts against `maxmemory`: not what replicas wait for.
    pub fn counted_memory(&self) -> usize {
        memory::used().saturating_sub(self.memory_not_counted())
    }

    /// Bytes of the replication log beyond `repl-backlog-size`, and of messages for clients that track.
    pub fn memory_not_counted(&self) -> usize {
        let log = &self.replication.log;
        log.memory_bytes().saturating_sub(log.size() as usize) + self.engine.tracking.unsent_bytes()
    }

    /// Makes room at the border of a unit of execution; answers whether a command may use memory: it is within `maxmemory`, or eviction is at work, or
    /// nothing may be evicted because the data must stand still: while they load, in a pause, in the middle of a script, and on a replica, whose master
    /// decides.
    pub fn make_room(&mut self) -> bool {
        let has_room = self.try_to_make_room();
        self.engine.keys.eviction.is_short = !has_room;
        has_room
    }

    /// Whether there was no room when the present unit began.
    pub fn is_short_of_memory(&self) -> bool {
        self.config.maxmemory > 0 && self.engine.keys.eviction.is_short
    }

    fn try_to_make_room(&mut self) -> bool {
        // A script is one unit, and others ask for commands while it is busy.
        let must_stand_still = self.scripts.running.is_some()
            || self.is_loading()
            || self.is_paused()
            || !self.replication.failover.is_idle()
            || (self.is_replica() && self.config.replica_ignore_maxmemory);
        must_stand_still || self.evict_to_limit()
    }

    /// What commands left over goes on.
    #[inline]
    pub fn evict_in_background(&mut self) {
        if self.engine.keys.eviction.take_running() {
            self.make_room();
        }
    }

    /// Evicts for a slice; answers whether memory is within the limit or will soon be.
    pub fn evict_to_limit(&mut self) -> bool {
        let limit = self.config.maxmemory as usize;
        let used = self.counted_memory();
        if limit == 0 || (self.is_replica() && self.config.replica_ignore_maxmemory) || used <= limit {
            self.engine.keys.eviction.is_within(self.clock.now_us);
            return true;
        }
        self.engine.keys.eviction.is_beyond(self.clock.now_us);
        let Some(policy) = policy(self.config.maxmemory_policy).filter(|_| !self.is_replica()) else { return false };
        let started_us = self.clock.read_us();
        let tenacity = self.config.maxmemory_eviction_tenacity;
        let until_us = self.engine.keys.eviction.begin(tenacity, started_us, used - limit);
        let outcome = self.evict_until(limit, policy, until_us);
        self.engine.keys.eviction.end(outcome, started_us, self.clock.read_us());
        outcome != Slice::Nothing
    }

    fn evict_until(&mut self, limit: usize, policy: Policy, until_us: u64) -> Slice {
        self.engine.keys.eviction.count_candidates(&self.engine.keyspace, policy);
        loop {
            let outcome = self.evict_some(limit, policy);
            self.after_each_by_itself();
            if let Some(outcome) = outcome {
                return outcome;
            }
            if self.clock.read_us() >= until_us {
                return Slice::Running;
            }
        }
    }

    /// A step of a slice; answers how that ended, if it did.
    fn evict_some(&mut self, limit: usize, policy: Policy) -> Option<Slice> {
        let samples = self.config.maxmemory_samples.clamp(1, 1 << 16) as usize;
        for _ in 0..KEYS_PER_STEP {
            let now_ms = self.unix_ms();
            let Some((db, key)) = self.engine.worst_key(policy, samples, now_ms) else {
                return Some(self.nothing_found(limit, policy));
            };
            self.engine.evict(db, &key, self.config.lazyfree_lazy_eviction, self.moment());
            self.apply_effects();
            self.ops.stats.keys.evicted += 1;
            if self.counted_memory() <= limit {
                return Some(Slice::Done);
            }
            // What a helper is to free counts until it has.
            if self.persist.reaper.pending() > 0 {
                return Some(Slice::Running);
            }
        }
        None
    }

    fn nothing_found(&self, limit: usize, policy: Policy) -> Slice {
        if self.counted_memory() <= limit {
            Slice::Done
        } else if self.persist.reaper.pending() > 0 || has_candidates(&self.engine.keyspace, policy) {
            Slice::Running
        } else {
            Slice::Nothing
        }
    }
}
