//! The best candidates for eviction of the last samples, so that many small samples choose as well as a large one.

use rivulet_commands::ctx::{lfu_decayed, lru_clock};
use rivulet_commands::settings::ClockUse;
use rivulet_keyspace::EntryRef;

use super::{Order, Policy};

/// Candidates that are kept.
const CANDIDATES: usize = 16;

/// How the policy compares keys.
pub struct Scale {
    pub policy: Policy,
    pub now_ms: u64,
    pub clock: ClockUse,
}

impl Scale {
    /// How much sooner than others the key should go; nothing when the policy does not evict it.
    pub fn score(&self, entry: EntryRef<'_>) -> Option<u64> {
        let deadline = entry.deadline();
        if self.policy.is_volatile && deadline.is_none() {
            return None;
        }
        Some(match self.policy.order {
            Order::Lru => u64::from(lru_clock(self.now_ms).wrapping_sub(entry.clock()) & 0xff_ffff),
            Order::Lfu => {
                let decay = if let ClockUse::Lfu { decay_minutes, .. } = self.clock { decay_minutes } else { 1 };
                u64::from(255 - lfu_decayed(entry.clock(), self.now_ms, decay))
            }
            Order::Ttl => u64::MAX - deadline.unwrap_or(u64::MAX),
            Order::Random => 0,
        })
    }
}

/// A key that was drawn. Only its hash is kept: it may be long, and gone when its turn comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    pub score: u64,
    pub db: usize,
    pub hash: u64,
}

/// The candidates, the best one last.
#[derive(Default)]
pub struct Pool {
    candidates: Vec<Candidate>,
    policy: Option<Policy>,
}

impl Pool {
    /// Scores of another policy mean nothing.
    pub fn begin(&mut self, policy: Policy) {
        if self.policy != Some(policy) {
            self.policy = Some(policy);
            self.candidates.clear();
        }
    }

    /// Keeps a candidate if it is among the best.
    pub fn offer(&mut self, new: Candidate) {
        if let Some(at) = self.candidates.iter().position(|c| (c.hash, c.db) == (new.hash, new.db)) {
            self.candidates.remove(at);
        }
        if self.candidates.len() == CANDIDATES {
            if self.candidates[0].score >= new.score {
                return;
            }
            self.candidates.remove(0);
        }
        let at = self.candidates.partition_point(|c| c.score <= new.score);
        self.candidates.insert(at, new);
    }

    /// Takes the best out.
    pub fn pop(&mut self) -> Option<Candidate> {
        self.candidates.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_and_each_key_once() {
        let mut pool = Pool::default();
        pool.begin(Policy { order: Order::Lru, is_volatile: false });
        for hash in 0..100 {
            pool.offer(Candidate { score: hash * 7 % 100, db: 0, hash });
        }
        pool.offer(Candidate { score: 3, db: 0, hash: 57 });
        let scores: Vec<u64> = std::iter::from_fn(|| pool.pop()).map(|c| c.score).collect();
        assert_eq!(scores, (84..99).rev().chain([3]).collect::<Vec<_>>(), "57 had the 99 and is at the end now");
        pool.offer(Candidate { score: 1, db: 0, hash: 1 });
        pool.begin(Policy { order: Order::Ttl, is_volatile: true });
        assert_eq!(pool.pop(), None, "another policy begins anew");
    }
}
