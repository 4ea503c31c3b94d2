//! Keys drawn at random.

use super::Db;
use crate::entry::EntryRef;
use crate::hash::HashKeys;

/// Probes before a key is looked for otherwise.
const PROBES_MAX: usize = 256;
/// Buckets that one sample looks at for each key that it wants.
const BUCKETS_PER_KEY: usize = 4;
/// And at least so many.
const BUCKETS_MIN: usize = 16;

impl<H: HashKeys> Db<H> {
    /// An entry chosen at random, each with nearly the same chance. `random` gives random words.
    pub fn random_entry(&self, mut random: impl FnMut() -> u64) -> Option<EntryRef<'_>> {
        if self.is_empty() {
            return None;
        }
        for _ in 0..PROBES_MAX {
            if let Some(entry) = self.table.probe(random(), random() as usize) {
                return Some(entry);
            }
        }
        self.table.any_entry(random())
    }

    /// Visits at least `count` entries of neighbouring buckets, from one chosen by `random` on: fewer where there are hardly any. As keys lie where their
    /// hashes say, neighbours have nothing in common. What is visited is the entry with its hash.
    pub fn sample(&self, random: u64, count: usize, mut visit: impl FnMut(u64, EntryRef<'_>)) {
        if self.is_empty() {
            return;
        }
        let (mut position, mut seen) = (random, 0);
        for _ in 0..BUCKETS_MIN.max(count * BUCKETS_PER_KEY) {
            self.table.prefetch_home(position);
            position = self.table.visit_bucket(position, |entry| {
                seen += 1;
                visit(self.hasher.hash(entry.key()), entry);
            });
            if seen >= count {
                return;
            }
        }
        if seen == 0
            && let Some(entry) = self.table.any_entry(random)
        {
            visit(self.hasher.hash(entry.key()), entry);
        }
    }

    /// The same among the keys that have a deadline. What others there are costs nothing.
    pub fn sample_volatile(
        &mut self,
        mut random: impl FnMut() -> u64,
        count: usize,
        mut visit: impl FnMut(u64, EntryRef<'_>),
    ) {
        let hasher = self.hasher;
        let mut seen = 0;
        for _ in 0..BUCKETS_MIN.max(count * BUCKETS_PER_KEY) {
            let marked = self.table.visit_marked(&mut random, |entry| {
                seen += 1;
                visit(hasher.hash(entry.key()), entry);
            });
            let Some(marked) = marked else { return };
            if marked.outdated {
                self.queue(marked.segment);
            }
            if seen >= count {
                return;
            }
        }
    }

    /// The entry of a key that is known by its hash, as one from a sample.
    pub fn find_hash(&self, hash: u64) -> Option<EntryRef<'_>> {
        let same = |entry: crate::entry::Entry| self.hasher.hash(entry.key()) == hash;
        self.table.find_where(hash, same).map(|found| self.table.get(found))
    }

    /// The mean time to live of keys that have a deadline, estimated from some of them, in ms.
    pub fn average_ttl_ms(&self, now_ms: u64) -> u64 {
        const KEYS: usize = 32;
        if self.expires == 0 {
            return 0;
        }
        let (mut sum, mut count, mut looked_at) = (0, 0, 0);
        let mut position = 0;
        loop {
            position = self.table.visit_bucket(position, |entry| {
                looked_at += 1;
                if let Some(ms) = entry.deadline() {
                    sum += ms.saturating_sub(now_ms);
                    count += 1;
                }
            });
            if position == 0 || count >= KEYS || looked_at >= 100 * KEYS {
                return sum.checked_div(count as u64).unwrap_or(0);
            }
        }
    }
}
