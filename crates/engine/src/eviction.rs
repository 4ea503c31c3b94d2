//! Eviction: which keys go to make room, by sampling, and for how long that may take. Slices are cut by the node, which has a clock and knows how much memory
//! is in use.
//!
//! A command that finds memory beyond the limit evicts for as long as `maxmemory-eviction-tenacity` says. What is left then goes on between the clients'
//! turns, and the command is executed: only when nothing can be evicted is it refused.

mod pool;

use rivulet_commands::settings::ClockUse;
use rivulet_keyspace::{Db, EntryRef, Keyspace};

use pool::{Candidate, Pool, Scale};

/// Samples that are drawn in search of one key before that is put off.
const ROUNDS_MAX: usize = 8;
/// Commands may evict for the limit once in this many times the limit.
const WINDOW: u64 = 2;

/// By what keys are chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Those that were used longest ago go first.
    Lru,
    /// Those that are used least often.
    Lfu,
    /// Those whose deadline is next.
    Ttl,
    Random,
}

/// Which keys go: what `maxmemory-policy` says, if it lets any go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    pub order: Order,
    /// Only keys with a deadline go.
    pub is_volatile: bool,
}

/// What keys are chosen from, and how.
pub struct Keys<'a> {
    pub keyspace: &'a mut Keyspace,
    pub rng: &'a mut fastrand::Rng,
    pub policy: Policy,
    /// How many are looked at for each that goes.
    pub samples: usize,
    /// Unix ms.
    pub now_ms: u64,
    pub clock: ClockUse,
}

/// Where eviction stands.
#[derive(Default)]
pub struct Eviction {
    pool: Pool,
    /// Databases with keys to evict, each with their number up to it.
    sizes: Vec<(usize, usize)>,
    /// It goes on between the clients' turns.
    running: bool,
    /// Nothing could be evicted when room was wanted last.
    pub is_short: bool,
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
pub enum Slice {
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

    /// What commands left over is to go on now; answers whether there is something.
    #[inline]
    pub fn take_running(&mut self) -> bool {
        std::mem::take(&mut self.running)
    }

    /// Memory is within the limit.
    pub fn is_within(&mut self, now_us: u64) {
        self.running = false;
        if let Some(since) = self.exceeding_since_us.take() {
            self.exceeded_us += now_us.saturating_sub(since);
        }
    }

    /// Memory is beyond the limit.
    pub fn is_beyond(&mut self, now_us: u64) {
        self.exceeding_since_us.get_or_insert(now_us);
    }

    /// Until when the slice that begins may evict, with this `maxmemory-eviction-tenacity` and so much memory beyond the limit.
    pub fn begin(&mut self, tenacity: u64, started_us: u64, excess: usize) -> u64 {
        started_us.saturating_add(self.budget_us(time_limit_us(tenacity), started_us, excess))
    }

    /// A slice has ended.
    pub fn end(&mut self, slice: Slice, started_us: u64, ended_us: u64) {
        self.spent_us += ended_us.saturating_sub(started_us);
        if slice == Slice::Done {
            self.is_within(ended_us);
        }
        self.running = slice == Slice::Running;
    }

    /// How long the next slice may be. Many clients may come in one turn: together they get one limit, unless they bring more than is evicted.
    fn budget_us(&mut self, limit_us: u64, now_us: u64, excess: usize) -> u64 {
        if limit_us == u64::MAX || excess > self.excess || now_us.saturating_sub(self.window_us) >= limit_us * WINDOW {
            (self.window_us, self.spent_us, self.excess) = (now_us, 0, excess);
        }
        limit_us.saturating_sub(self.spent_us)
    }

    /// The best key to evict among some that are drawn at random, now and before.
    pub fn worst_key(&mut self, from: &mut Keys<'_>) -> Option<(usize, Box<[u8]>)> {
        let policy = from.policy;
        if policy.order == Order::Random {
            return self.any_key(from);
        }
        let scale = Scale { policy, now_ms: from.now_ms, clock: from.clock };
        self.pool.begin(policy);
        for _ in 0..ROUNDS_MAX {
            self.draw(&scale, from)?;
            while let Some(candidate) = self.pool.pop() {
                let db = from.keyspace.db(candidate.db);
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
    fn draw(&mut self, scale: &Scale, from: &mut Keys<'_>) -> Option<()> {
        let (policy, samples) = (scale.policy, from.samples);
        let index = self.database_by_size(from.rng)?;
        let (pool, rng, keyspace) = (&mut self.pool, &mut *from.rng, &mut *from.keyspace);
        let mut add = |hash: u64, entry: EntryRef<'_>| {
            if let Some(score) = scale.score(entry) {
                pool.offer(Candidate { score, db: index, hash });
            }
        };
        if policy.order == Order::Ttl {
            let (_, hash) = keyspace.db_mut(index).soonest()?;
            add(hash, keyspace.db(index).find_hash(hash)?);
        } else if policy.is_volatile {
            keyspace.db_mut(index).sample_volatile(|| rng.u64(..), samples, add);
        } else {
            keyspace.db(index).sample(rng.u64(..), samples, add);
        }
        Some(())
    }

    /// A key chosen at random.
    fn any_key(&self, from: &mut Keys<'_>) -> Option<(usize, Box<[u8]>)> {
        let index = self.database_by_size(from.rng)?;
        let rng = &mut *from.rng;
        if !from.policy.is_volatile {
            let entry = from.keyspace.db(index).random_entry(|| rng.u64(..));
            return entry.map(|entry| (index, entry.key().into()));
        }
        let (mut chosen, mut seen, mut coin) = (None, 0, rng.fork());
        from.keyspace.db_mut(index).sample_volatile(
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
    fn database_by_size(&self, rng: &mut fastrand::Rng) -> Option<usize> {
        let sizes = &self.sizes;
        let &(_, total) = sizes.last()?;
        let at = rng.usize(..total);
        sizes.get(sizes.partition_point(|&(_, upto)| upto <= at)).map(|&(index, _)| index)
    }

    /// A slice begins: what the databases have for eviction is counted.
    pub fn count_candidates(&mut self, keyspace: &Keyspace, policy: Policy) {
        let sizes = &mut self.sizes;
        sizes.clear();
        let mut upto = 0;
        for (index, db) in keyspace.iter().enumerate() {
            let here = candidates(db, policy.is_volatile);
            if here > 0 {
                upto += here;
                sizes.push((index, upto));
            }
        }
    }
}

/// Whether a database has something to evict.
pub fn has_candidates(keyspace: &Keyspace, policy: Policy) -> bool {
    keyspace.iter().any(|db| candidates(db, policy.is_volatile) > 0)
}

fn candidates(db: &Db, is_volatile: bool) -> usize {
    if is_volatile { db.expires_len() } else { db.len() }
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
