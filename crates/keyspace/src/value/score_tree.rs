//! The large form of a sorted set: its items in a tree, in their order, and an index.
//!
//! Each member is kept once. The index only knows from the hash of a member what its score is, and with both the member is found among the
//! items; that also tells members of one hash apart. A scan follows the index, whose order doesn't change when scores do.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use smallvec::SmallVec;

use super::pack::Pack;
use super::tree::{ByKey, ByRank, Cursor, Leaf, Tree, Way};
use super::{Blob, Elem, Word, hash_bytes};

/// The large form: the items in order, and the index.
#[derive(Clone)]
pub struct ScoreTree(Box<Trees>);

#[derive(Clone)]
struct Trees {
    items: Tree<Items>,
    index: Tree<Scores>,
}

impl Default for ScoreTree {
    fn default() -> Self {
        ScoreTree(Box::new(Trees { items: Tree::new(Items(Pack::new())), index: Tree::new(Scores(Pack::new())) }))
    }
}

/// The order of items.
pub(super) fn order(a_score: f64, a: &[u8], b_score: f64, b: &[u8]) -> Ordering {
    a_score.partial_cmp(&b_score).unwrap_or(Ordering::Equal).then_with(|| a.cmp(b))
}

/// Where a member was found.
pub(super) struct Found {
    hash: u64,
    pub score: f64,
    pub rank: usize,
    /// Its number in its leaf.
    offset: usize,
}

/// The 48 bits of a member's hash that the index is ordered by.
#[inline]
fn hash_of(member: &[u8]) -> u64 {
    hash_bytes(member) >> 16
}

/// To the leaf that has, or would have, an item.
fn to_item<'a>(score: f64, member: &'a [u8]) -> ByKey<impl FnMut(&Key) -> bool + 'a> {
    ByKey(move |key: &Key| order(key.score, &key.member, score, member) != Ordering::Greater)
}

fn to_hash(hash: u64) -> ByKey<impl FnMut(&u64) -> bool> {
    ByKey(move |key: &u64| *key <= hash)
}

impl ScoreTree {
    pub(super) fn len(&self) -> usize {
        self.0.items.len()
    }

    /// Sizes of all allocations.
    pub(super) fn heap_bytes(&self) -> usize {
        self.0.items.heap_bytes() + self.0.index.heap_bytes() + size_of::<Trees>()
    }

    /// The item with `rank` others before it.
    pub(super) fn nth(&self, rank: usize) -> Option<(Elem<'_>, f64)> {
        let mut way = ByRank(rank);
        let leaf = self.0.items.find(&mut way);
        (way.0 < leaf.len()).then(|| leaf.item(way.0))
    }

    /// How many items there are before the first whose score `before` rejects.
    pub(super) fn count_by_score(&self, before: impl Fn(f64) -> bool) -> usize {
        let (leaf, rank) = self.0.items.find_with_rank(&mut ByKey(|key: &Key| before(key.score)));
        rank + leaf.0.partition_point(|i| before(leaf.score(i)))
    }

    /// How many items there are before the first whose member `before` rejects, when all scores are the same.
    pub(super) fn count_by_member(&self, before: impl Fn(&[u8]) -> bool) -> usize {
        let (leaf, rank) = self.0.items.find_with_rank(&mut ByKey(|key: &Key| before(&key.member)));
        rank + leaf.0.partition_point(|i| before(leaf.0.first_piece(i)))
    }

    pub(super) fn locate(&self, member: &[u8]) -> Option<Found> {
        let hash = hash_of(member);
        let scores = self.0.index.find(&mut to_hash(hash));
        let first = scores.first_of(hash);
        (first..scores.0.len()).take_while(|&i| scores.hash(i) == hash).find_map(|i| {
            let score = scores.score(i);
            let (leaf, rank) = self.0.items.find_with_rank(&mut to_item(score, member));
            let offset = leaf.search(score, member).ok()?;
            Some(Found { hash, score, rank: rank + offset, offset })
        })
    }

    pub(super) fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        let Some(found) = self.locate(member) else {
            self.insert_new(member, score);
            return None;
        };
        let old = found.score;
        if old == score {
            return Some(old);
        }
        let i = found.offset;
        let moved = self.0.items.edit(to_item(old, member), (), |leaf, _| {
            // Between the same two neighbours only the score changes.
            let stays = i > 0
                && i + 1 < leaf.len()
                && order(leaf.score(i - 1), leaf.0.first_piece(i - 1), score, member) == Ordering::Less
                && order(score, member, leaf.score(i + 1), leaf.0.first_piece(i + 1)) == Ordering::Less;
            if stays {
                leaf.0.set_extra(i, score.to_le_bytes());
            } else {
                leaf.0.remove(i);
            }
            !stays
        });
        if moved {
            self.insert_item(member, score);
        }
        self.0.index.edit(to_hash(found.hash), (), |scores, _| {
            if let Some(i) = scores.find(found.hash, old) {
                scores.0.set_extra(i, scores_entry(found.hash, score));
            }
        });
        Some(old)
    }

    /// Puts in a member that isn't there.
    pub(super) fn insert_new(&mut self, member: &[u8], score: f64) {
        let hash = hash_of(member);
        self.insert_item(member, score);
        self.0.index.edit(to_hash(hash), (), |scores, _| {
            let i = scores.first_of(hash);
            scores.0.insert(i, scores_entry(hash, score), []);
        });
    }

    fn insert_item(&mut self, member: &[u8], score: f64) {
        self.0.items.edit(to_item(score, member), (), |leaf, _| {
            let (Ok(i) | Err(i)) = leaf.search(score, member);
            leaf.0.insert(i, score.to_le_bytes(), [member]);
        });
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let found = self.locate(member)?;
        self.0.items.edit(to_item(found.score, member), (), |leaf, _| leaf.0.remove(found.offset));
        self.forget(found.hash, found.score);
        Some(found.score)
    }

    /// Takes a member out of the index.
    fn forget(&mut self, hash: u64, score: f64) {
        self.0.index.edit(to_hash(hash), (), |scores, _| {
            if let Some(i) = scores.find(hash, score) {
                scores.0.remove(i);
            }
        });
    }

    pub(super) fn remove_range(&mut self, start: usize, count: usize) {
        let mut left = count;
        while left > 0 {
            let mut gone: SmallVec<[(u64, f64); 128]> = SmallVec::new();
            self.0.items.edit(ByRank(start), (), |leaf, offset| {
                let here = (leaf.len() - offset).min(left);
                gone.extend((offset..offset + here).map(|i| (hash_of(leaf.0.first_piece(i)), leaf.score(i))));
                leaf.0.remove_range(offset, here);
            });
            left -= gone.len();
            gone.into_iter().for_each(|(hash, score)| self.forget(hash, score));
        }
    }

    /// A walk from the item with `rank` others before it.
    pub(super) fn walk(&self, rank: usize) -> Walk<'_> {
        let mut way = ByRank(rank);
        let cursor = self.0.items.cursor(&mut way);
        let leaf = cursor.leaf();
        let at = Way::<Items>::offset(&way);
        Walk { cursor, leaf, at: (at < leaf.len()).then_some(at) }
    }

    /// Calls `each` for items from `cursor` on in the order of their members' hashes, and answers where to go on; 0 at the end.
    pub(super) fn scan(&self, cursor: u64, count: usize, mut each: impl FnMut(Elem<'_>, f64)) -> u64 {
        let (found, next) = self.entries_from(cursor, count);
        let end = if next == 0 { u64::MAX } else { next };
        for (first, run) in found {
            let mut walk = self.walk(first);
            for (member, score) in std::iter::from_fn(|| walk.up()).take(run) {
                // A member that is alone with its score is the one that the index meant.
                if run == 1 || (cursor..end).contains(&member.with(hash_of)) {
                    each(member, score);
                }
            }
        }
        next
    }

    /// For the scores of members in the order of hashes, from `cursor` on: the rank of the first member that has the score, and the number of
    /// those, once each; and where to go on.
    ///
    /// To find a member from its hash, all that have its score must be looked at. Where many have the same, more of them are taken at once, so
    /// that a whole scan passes over no member more than some dozens of times.
    fn entries_from(&self, cursor: u64, count: usize) -> (Vec<(usize, usize)>, u64) {
        const PASSES: usize = 64;
        let mut leaves = self.0.index.cursor(&mut to_hash(cursor));
        let mut scores = leaves.leaf();
        let mut i = scores.0.partition_point(|i| scores.hash(i) < cursor);
        let mut found = Vec::new();
        let (mut taken, mut last, mut work, mut seen) = (0, None, 0, BTreeSet::new());
        loop {
            if i == scores.0.len() {
                match leaves.move_next() {
                    Some(next) => (scores, i) = (next, 0),
                    None => return (found, 0),
                }
                continue;
            }
            let (hash, score) = (scores.hash(i), scores.score(i));
            if taken >= count.max(1) && taken * PASSES >= work && last != Some(hash) {
                return (found, hash);
            }
            // Zero of either sign is one score.
            if seen.insert((score + 0.0).to_bits()) {
                let first = self.count_by_score(|s| s < score);
                let run = self.count_by_score(|s| s <= score) - first;
                work += run;
                found.push((first, run));
            }
            (taken, last, i) = (taken + 1, Some(hash), i + 1);
        }
    }
}

#[cfg(test)]
impl ScoreTree {
    pub(super) fn check(&self) {
        self.0.items.check(|leaf, low, high| {
            assert!(!leaf.is_over(()));
            for i in 0..leaf.len() {
                let (score, member) = (leaf.score(i), leaf.0.first_piece(i));
                assert_ne!(order(score, member, low.score, &low.member), Ordering::Less);
                assert!(high.is_none_or(|h| order(score, member, h.score, &h.member) == Ordering::Less));
            }
        });
        self.0.index.check(|leaf, low, high| {
            for i in 0..leaf.0.len() {
                let hash = leaf.hash(i);
                assert!(hash >= *low && high.is_none_or(|h| hash < *h));
                assert!(i == 0 || leaf.hash(i - 1) <= hash);
            }
        });
        assert_eq!(self.0.index.len(), self.0.items.len());
    }
}

impl crate::value::Sealed for ScoreTree {}

impl Word for ScoreTree {
    const KINDS: u8 = 1;

    fn into_word(self) -> (u8, u64) {
        (0, Box::into_raw(self.0).expose_provenance() as u64)
    }

    unsafe fn from_word(_form: u8, word: u64) -> Self {
        // SAFETY: by the caller's word this is the pointer that `into_raw` gave.
        ScoreTree(unsafe { Box::from_raw(std::ptr::with_exposed_provenance_mut(word as usize)) })
    }
}

/// The lower bound of a leaf's items.
#[derive(Clone)]
pub struct Key {
    score: f64,
    /// As few bytes as tell the leaf from the one before.
    member: Blob,
}

/// A leaf of items in order.
#[derive(Clone)]
struct Items(Pack<8, 1>);

impl Items {
    #[inline]
    fn score(&self, i: usize) -> f64 {
        f64::from_le_bytes(self.0.extra(i))
    }

    #[inline]
    fn item(&self, i: usize) -> (Elem<'_>, f64) {
        (Elem::Bytes(self.0.first_piece(i)), self.score(i))
    }

    /// The number of an item, or the one that it would get.
    fn search(&self, score: f64, member: &[u8]) -> Result<usize, usize> {
        self.0.warm();
        let i = self.0.partition_point(|i| {
            let here = self.score(i);
            here < score || (here == score && self.0.first_piece(i) < member)
        });
        let same = i < self.len() && self.score(i) == score && self.0.first_piece(i) == member;
        if same { Ok(i) } else { Err(i) }
    }

    /// The shortest key that is above item `i - 1` and not above item `i`.
    fn key_between(&self, i: usize) -> Key {
        let score = self.score(i);
        if self.score(i - 1) < score {
            return Key { score, member: Blob::empty() };
        }
        let (before, member) = (self.0.first_piece(i - 1), self.0.first_piece(i));
        let same = before.iter().zip(member).take_while(|(a, b)| a == b).count();
        Key { score, member: Blob::from_slice(&member[..(same + 1).min(member.len())]) }
    }
}

impl Leaf for Items {
    type Key = Key;
    type Limit = ();

    fn key_min() -> Key {
        Key { score: f64::NEG_INFINITY, member: Blob::empty() }
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }

    fn is_over(&self, _: ()) -> bool {
        self.0.is_over()
    }

    fn is_under(&self) -> bool {
        self.0.is_under()
    }

    fn split(&mut self) -> Option<(Key, Self)> {
        let len = self.len();
        if len < 2 {
            return None;
        }
        let at = self.0.half(0..len);
        let key = self.key_between(at);
        let right = self.0.select(at..len);
        self.0 = self.0.select(0..at);
        Some((key, Items(right)))
    }

    fn absorb(&mut self, right: &Self, _: ()) -> bool {
        if !self.0.may_join(&right.0) {
            return false;
        }
        (0..right.len()).for_each(|i| self.0.push_from(&right.0, i));
        true
    }
}

impl crate::value::Sealed for Items {}

impl Word for Items {
    const KINDS: u8 = 1;

    fn into_word(self) -> (u8, u64) {
        self.0.into_word()
    }

    unsafe fn from_word(form: u8, word: u64) -> Self {
        // SAFETY: the caller's promise is the same.
        Items(unsafe { Pack::from_word(form, word) })
    }
}

/// A leaf of the index: six bytes of a hash and a score each, in the order of hashes.
#[derive(Clone)]
struct Scores(Pack<14, 0>);

fn scores_entry(hash: u64, score: f64) -> [u8; 14] {
    let mut entry = [0; 14];
    entry[..6].copy_from_slice(&hash.to_le_bytes()[..6]);
    entry[6..].copy_from_slice(&score.to_le_bytes());
    entry
}

impl Scores {
    #[inline]
    fn hash(&self, i: usize) -> u64 {
        let entry = self.0.extra(i);
        u64::from_le_bytes(*entry.first_chunk().expect("there are fourteen bytes")) & 0xFFFF_FFFF_FFFF
    }

    #[inline]
    fn score(&self, i: usize) -> f64 {
        f64::from_le_bytes(*self.0.extra(i).last_chunk().expect("there are fourteen bytes"))
    }

    /// The number of the first entry that is not below `hash`. As hashes are spread evenly, it is close to where a straight line says.
    fn first_of(&self, hash: u64) -> usize {
        let len = self.0.len();
        if len < 8 {
            return self.0.partition_point(|i| self.hash(i) < hash);
        }
        let (low, high) = (self.hash(0), self.hash(len - 1));
        if hash <= low {
            return 0;
        }
        let part = (hash - low) as f64 / (high - low).max(1) as f64;
        let mut i = ((part * (len - 1) as f64) as usize).min(len);
        while i > 0 && self.hash(i - 1) >= hash {
            i -= 1;
        }
        while i < len && self.hash(i) < hash {
            i += 1;
        }
        i
    }

    fn find(&self, hash: u64, score: f64) -> Option<usize> {
        let first = self.first_of(hash);
        (first..self.0.len()).take_while(|&i| self.hash(i) == hash).find(|&i| self.score(i) == score)
    }
}

impl Leaf for Scores {
    type Key = u64;
    type Limit = ();

    fn key_min() -> u64 {
        0
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }

    fn is_over(&self, _: ()) -> bool {
        self.0.is_over()
    }

    fn is_under(&self) -> bool {
        self.0.is_under()
    }

    /// Entries of one hash stay together.
    fn split(&mut self) -> Option<(u64, Self)> {
        let len = self.0.len();
        let differs = |&at: &usize| self.hash(at - 1) != self.hash(at);
        let at = (len / 2..len).find(differs).or_else(|| (1..len / 2).rev().find(differs))?;
        let key = self.hash(at);
        let right = self.0.select(at..len);
        self.0 = self.0.select(0..at);
        Some((key, Scores(right)))
    }

    fn absorb(&mut self, right: &Self, _: ()) -> bool {
        if !self.0.may_join(&right.0) {
            return false;
        }
        (0..right.0.len()).for_each(|i| self.0.push_from(&right.0, i));
        true
    }
}

impl crate::value::Sealed for Scores {}

impl Word for Scores {
    const KINDS: u8 = 1;

    fn into_word(self) -> (u8, u64) {
        self.0.into_word()
    }

    unsafe fn from_word(form: u8, word: u64) -> Self {
        // SAFETY: the caller's promise is the same.
        Scores(unsafe { Pack::from_word(form, word) })
    }
}

/// A place among the items of a tree.
pub struct Walk<'a> {
    cursor: Cursor<'a, Items>,
    leaf: &'a Items,
    /// The number of the item in its leaf; none once the walk has left the tree.
    at: Option<usize>,
}

impl<'a> Walk<'a> {
    #[inline]
    pub(super) fn up(&mut self) -> Option<(Elem<'a>, f64)> {
        let at = self.at?;
        let item = self.leaf.item(at);
        self.at = if at + 1 < self.leaf.len() {
            Some(at + 1)
        } else {
            self.cursor.move_next().map(|leaf| {
                self.leaf = leaf;
                0
            })
        };
        Some(item)
    }

    #[inline]
    pub(super) fn down(&mut self) -> Option<(Elem<'a>, f64)> {
        let at = self.at?;
        let item = self.leaf.item(at);
        self.at = if at > 0 {
            Some(at - 1)
        } else {
            self.cursor.move_prev().map(|leaf| {
                self.leaf = leaf;
                leaf.len() - 1
            })
        };
        Some(item)
    }
}
