//! Keeping within `maxmemory`: what is evicted, by sampling, in slices.
//!
//! A command that finds memory beyond the limit evicts for as long as `maxmemory-eviction-tenacity` says. What is left then goes on between the clients'
//! turns, and the command is executed: only when nothing can be evicted is it refused.

mod pool;

use rivulet_commands::effects::class;
use rivulet_keyspace::{Db, EntryRef};
use rivulet_resp::OwnedArgs;

use crate::node::Node;
use pool::{Candidate, Pool, Scale};
use rivulet_config::MaxmemoryPolicy as Policy;
use rivulet_memory as memory;

/// Keys evicted between two looks at the clock.
const KEYS_PER_STEP: usize = 16;
/// Samples that are drawn in search of one key before that is put off.
const ROUNDS_MAX: usize = 8;
/// Commands may evict for the limit once in this many times the limit.
const WINDOW: u64 = 2;

/// Where eviction stands.
#[derive(Default)]
pub struct Eviction {
    pool: Pool,
    /// Databases with keys to evict, each with their number up to it.
    sizes: Vec<(usize, usize)>,
    /// It goes on between the clients' turns.
    running: bool,
    /// Nothing could be evicted when room was wanted last.
    is_short: bool,
    /// When commands began to use up what they may.
    window_us: u64,
    spent_us: u64,
    /// How much memory was beyond the limit then.
    excess: usize,
    /// Since when memory is beyond the limit.
    exceeding_since_us: Option<u64>,
    exceeded_us: u64,
}

/// How a slice ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Slice {
    /// Memory is within the limit.
    Done,
    /// Time is over, or a helper still frees what was evicted.
    Running,
    /// Nothing can be evicted.
    Nothing,
}

/// How long one call may evict: nothing stops the highest tenacity.
fn time_limit_us(tenacity: u64) -> u64 {
    match tenacity {
        0..=10 => 50 * tenacity,
        // Up to about two minutes.
        11..=99 => (500.0 * 1.15f64.powi(tenacity as i32 - 10)) as u64,
        _ => u64::MAX,
    }
}

impl Eviction {
    /// Whether it goes on between the clients' turns.
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// How long memory has been beyond the limit by now, in ms.
    pub fn exceeding_ms(&self, now_us: u64) -> u64 {
        self.exceeding_since_us.map_or(0, |since| now_us.saturating_sub(since) / 1000)
    }

    /// How long it has been so since the start.
    pub fn exceeded_ms(&self, now_us: u64) -> u64 {
        self.exceeded_us / 1000 + self.exceeding_ms(now_us)
    }

    fn is_within(&mut self, now_us: u64) {
        self.running = false;
        if let Some(since) = self.exceeding_since_us.take() {
            self.exceeded_us += now_us.saturating_sub(since);
        }
    }

    /// How long the next slice may be. Many clients may come in one turn: together they get one limit, unless they bring more than is evicted.
    fn budget_us(&mut self, limit_us: u64, now_us: u64, excess: usize) -> u64 {
        if limit_us == u64::MAX || excess > self.excess || now_us.saturating_sub(self.window_us) >= limit_us * WINDOW {
            (self.window_us, self.spent_us, self.excess) = (now_us, 0, excess);
        }
        limit_us.saturating_sub(self.spent_us)
    }
}

impl Node {
    /// Memory that counts against `maxmemory`: not what replicas wait for.
    pub fn counted_memory(&self) -> usize {
        memory::used().saturating_sub(self.memory_not_counted())
    }

    /// Bytes of the replication log beyond `repl-backlog-size`, and of messages for clients that track.
    pub fn memory_not_counted(&self) -> usize {
        let log = &self.replication.log;
        log.memory_bytes().saturating_sub(log.size() as usize) + self.tracking.unsent_bytes()
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
        if self.engine.keys.eviction.running {
            self.engine.keys.eviction.running = false;
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
        self.engine.keys.eviction.exceeding_since_us.get_or_insert(self.clock.now_us);
        if self.config.maxmemory_policy == Policy::NoEviction || self.is_replica() {
            return false;
        }
        let started_us = self.clock.read_us();
        let limit_us = time_limit_us(self.config.maxmemory_eviction_tenacity);
        let budget_us = self.engine.keys.eviction.budget_us(limit_us, started_us, used - limit);
        let outcome = self.evict_until(limit, started_us.saturating_add(budget_us));
        let ended_us = self.clock.read_us();
        self.engine.keys.eviction.spent_us += ended_us.saturating_sub(started_us);
        if outcome == Slice::Done {
            self.engine.keys.eviction.is_within(ended_us);
        }
        self.engine.keys.eviction.running = outcome == Slice::Running;
        outcome != Slice::Nothing
    }

    fn evict_until(&mut self, limit: usize, until_us: u64) -> Slice {
        self.count_candidates();
        loop {
            let outcome = self.evict_some(limit);
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
    fn evict_some(&mut self, limit: usize) -> Option<Slice> {
        for _ in 0..KEYS_PER_STEP {
            let Some((db, key)) = self.worst_key() else { return Some(self.nothing_found(limit)) };
            self.evict(db, &key);
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

    fn nothing_found(&self, limit: usize) -> Slice {
        let volatile = self.config.maxmemory_policy.is_volatile();
        if self.counted_memory() <= limit {
            Slice::Done
        } else if self.persist.reaper.pending() > 0
            || self.engine.keyspace.iter().any(|db| candidates(db, volatile) > 0)
        {
            Slice::Running
        } else {
            Slice::Nothing
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
                data.touch_by_itself(key.bytes);
                data.notify(class::EVICTED, "evicted", key.bytes);
            }
        });
        self.ops.stats.keys.evicted += 1;
    }

    /// The best key to evict among some that are drawn at random, now and before.
    fn worst_key(&mut self) -> Option<(usize, Box<[u8]>)> {
        let policy = self.config.maxmemory_policy;
        if matches!(policy, Policy::AllkeysRandom | Policy::VolatileRandom) {
            return self.any_key(policy.is_volatile());
        }
        let scale = Scale { policy, now_ms: self.unix_ms(), clock: self.engine.settings.clock };
        self.engine.keys.eviction.pool.begin(policy);
        for _ in 0..ROUNDS_MAX {
            self.draw(&scale)?;
            while let Some(candidate) = self.engine.keys.eviction.pool.pop() {
                let db = self.engine.keyspace.db(candidate.db);
                // It may be gone, or was used since it was drawn.
                let still =
                    db.find_hash(candidate.hash).filter(|e| scale.score(*e).is_some_and(|s| s >= candidate.score));
                if let Some(entry) = still {
                    return Some((candidate.db, entry.key().into()));
                }
            }
        }
        None
    }

    /// Adds a sample to the candidates.
    fn draw(&mut self, scale: &Scale) -> Option<()> {
        let samples = self.config.maxmemory_samples.clamp(1, 1 << 16) as usize;
        let volatile = scale.policy.is_volatile();
        let index = self.database_by_size()?;
        let (pool, rng) = (&mut self.engine.keys.eviction.pool, &mut self.engine.rng);
        let mut add = |hash: u64, entry: EntryRef<'_>| {
            if let Some(score) = scale.score(entry) {
                pool.offer(Candidate { score, db: index, hash });
            }
        };
        if scale.policy == Policy::VolatileTtl {
            let (_, hash) = self.engine.keyspace.db_mut(index).soonest()?;
            add(hash, self.engine.keyspace.db(index).find_hash(hash)?);
        } else if volatile {
            self.engine.keyspace.db_mut(index).sample_volatile(|| rng.u64(..), samples, add);
        } else {
            self.engine.keyspace.db(index).sample(rng.u64(..), samples, add);
        }
        Some(())
    }

    /// A key chosen at random.
    fn any_key(&mut self, volatile: bool) -> Option<(usize, Box<[u8]>)> {
        let index = self.database_by_size()?;
        let rng = &mut self.engine.rng;
        if !volatile {
            return self
                .engine
                .keyspace
                .db(index)
                .random_entry(|| rng.u64(..))
                .map(|entry| (index, entry.key().into()));
        }
        let (mut chosen, mut seen, mut coin) = (None, 0, rng.fork());
        self.engine.keyspace.db_mut(index).sample_volatile(
            || rng.u64(..),
            1,
            |_, entry| {
                seen += 1;
                if coin.usize(..seen) == 0 {
                    chosen = Some(entry.key().into());
                }
            },
        );
        chosen.map(|key| (index, key))
    }

    /// A database, each with the chance of the keys that it had for eviction when the slice began.
    fn database_by_size(&mut self) -> Option<usize> {
        let sizes = &self.engine.keys.eviction.sizes;
        let &(_, total) = sizes.last()?;
        let at = self.engine.rng.usize(..total);
        sizes.get(sizes.partition_point(|&(_, upto)| upto <= at)).map(|&(index, _)| index)
    }

    /// Counts what the databases have for eviction.
    fn count_candidates(&mut self) {
        let volatile = self.config.maxmemory_policy.is_volatile();
        let sizes = &mut self.engine.keys.eviction.sizes;
        sizes.clear();
        let mut upto = 0;
        for (index, db) in self.engine.keyspace.iter().enumerate() {
            let here = candidates(db, volatile);
            if here > 0 {
                upto += here;
                sizes.push((index, upto));
            }
        }
    }
}

fn candidates(db: &Db, volatile: bool) -> usize {
    if volatile { db.expires_len() } else { db.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_limit_is_that_of_the_directive() {
        for (tenacity, us) in [(0, 0), (1, 50), (10, 500), (11, 575), (50, 133_931), (100, u64::MAX)] {
            assert_eq!(time_limit_us(tenacity), us, "{tenacity}");
        }
        assert!((100_000_000..150_000_000).contains(&time_limit_us(99)), "about two minutes");
    }

    #[test]
    fn clients_of_one_turn_share_a_limit_unless_they_bring_more() {
        let mut eviction = Eviction::default();
        assert_eq!(eviction.budget_us(500, 10_000, 100), 500);
        eviction.spent_us += 500;
        assert_eq!(eviction.budget_us(500, 10_500, 100), 0);
        assert_eq!(eviction.budget_us(500, 10_600, 101), 500, "more than was evicted came");
        eviction.spent_us += 300;
        assert_eq!(eviction.budget_us(500, 10_900, 90), 200);
        assert_eq!(eviction.budget_us(500, 11_600, 90), 500, "a window has passed");
        assert_eq!(eviction.budget_us(u64::MAX, 11_600, 90), u64::MAX);
    }
}
