//! A sorted set: member and score pairs in a listpack while it is small, else a tree in their order with an index.
//!
//! The order is by score, then by the member's bytes; -0 equals 0, and NaN never gets here. It changes form where Redis 7.0 does, and never
//! back. The tree's form keeps each member once: the index only knows from the hash of a member what its score is, with which the member is
//! found in the tree.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use smallvec::SmallVec;

use super::listpack::{self, Pos};
use super::pack::Pack;
use super::score::{self, ScoreText};
use super::tree::{ByKey, ByRank, Cursor, First, Last, Leaf, Tree, Way};
use super::{Blob, Elem, Limits, ListPack, Word, distinct, hash_bytes};

/// A sorted set in one of its two forms.
#[derive(Clone)]
pub enum ZSet {
    Packed(ListPack),
    Tree(ScoreTree),
}

/// A listpack that is valid, but not of member and score pairs with different members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadZSet;

impl fmt::Display for BadZSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not pairs of different members and their scores")
    }
}

impl std::error::Error for BadZSet {}

impl ZSet {
    pub fn new() -> Self {
        ZSet::Packed(ListPack::new())
    }

    /// Takes a listpack of pairs, as RDB has them. Pairs that are out of order are put in order.
    pub fn from_listpack(pack: ListPack, limits: &Limits) -> Result<Self, BadZSet> {
        let len = pack.len();
        if !len.is_multiple_of(2) || !distinct(pack.iter().step_by(2)) {
            return Err(BadZSet);
        }
        let mut pairs = Vec::with_capacity(len / 2);
        let mut elems = pack.iter();
        while let (Some(member), Some(score)) = (elems.next(), elems.next()) {
            pairs.push((score::read(score).ok_or(BadZSet)?, member));
        }
        let ordered = pairs.windows(2).all(|w| order_elem(w[0].0, w[0].1, w[1].0, w[1].1) == Ordering::Less);
        if pairs.len() <= limits.zset_max_listpack_entries && ordered {
            drop(pairs);
            return Ok(ZSet::Packed(pack));
        }
        let mut zset =
            if pairs.len() > limits.zset_max_listpack_entries { ZSet::Tree(ScoreTree::default()) } else { ZSet::new() };
        for (score, member) in pairs {
            member.with(|member| zset.insert_new(member, score));
        }
        Ok(zset)
    }

    #[inline]
    pub fn len(&self) -> usize {
        match self {
            ZSet::Packed(pack) => pack.len() / 2,
            ZSet::Tree(tree) => tree.len(),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match self {
            ZSet::Packed(_) => "listpack",
            ZSet::Tree(_) => "skiplist",
        }
    }

    /// The listpack of a small sorted set.
    pub fn packed(&self) -> Option<&ListPack> {
        match self {
            ZSet::Packed(pack) => Some(pack),
            ZSet::Tree(_) => None,
        }
    }

    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            ZSet::Packed(pack) => packed_find(pack, member).map(|(_, score)| score),
            ZSet::Tree(tree) => tree.locate(member).map(|found| found.score),
        }
    }

    /// Sets a member's score; answers the one it had.
    pub fn insert(&mut self, member: &[u8], score: f64, limits: &Limits) -> Option<f64> {
        match self {
            ZSet::Packed(pack) => {
                if let Some((at, old)) = packed_find(pack, member) {
                    if old != score {
                        pack.remove_at(at, 2);
                        packed_insert(pack, member, score);
                    }
                    return Some(old);
                }
                let full = pack.len() / 2 >= limits.zset_max_listpack_entries;
                if full || member.len() > limits.zset_max_listpack_value || !pack.has_room(member.len() + 64) {
                    self.make_tree();
                }
                self.insert_new(member, score);
                None
            }
            ZSet::Tree(tree) => tree.insert(member, score),
        }
    }

    /// Puts in a member that isn't there.
    fn insert_new(&mut self, member: &[u8], score: f64) {
        match self {
            ZSet::Packed(pack) => packed_insert(pack, member, score),
            ZSet::Tree(tree) => tree.insert_new(member, hash_of(member), score),
        }
    }

    fn make_tree(&mut self) {
        let mut tree = ScoreTree::default();
        for (member, score) in self.iter() {
            member.with(|member| tree.insert_new(member, hash_of(member), score));
        }
        *self = ZSet::Tree(tree);
    }

    /// Takes a member out; answers its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self {
            ZSet::Packed(pack) => {
                let (at, score) = packed_find(pack, member)?;
                pack.remove_at(at, 2);
                Some(score)
            }
            ZSet::Tree(tree) => tree.remove(member),
        }
    }

    /// How many members are before this one.
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        match self {
            ZSet::Packed(pack) => pack.iter().step_by(2).position(|elem| elem.eq_bytes(member)),
            ZSet::Tree(tree) => tree.locate(member).map(|found| found.rank),
        }
    }

    /// The member with `rank` others before it, and its score.
    pub fn nth(&self, rank: usize) -> Option<(Elem<'_>, f64)> {
        match self {
            ZSet::Packed(pack) => {
                let at = pack.seek(rank.checked_mul(2)?)?;
                Some((pack.at(at), score_at(pack, pack.next(at)?)))
            }
            ZSet::Tree(tree) => {
                let mut way = ByRank(rank);
                let leaf = tree.0.items.find(&mut way);
                (way.0 < leaf.len()).then(|| leaf.item(way.0))
            }
        }
    }

    /// Members and scores upwards from a rank.
    pub fn iter_from(&self, rank: usize) -> Iter<'_> {
        match self {
            ZSet::Packed(pack) => {
                let at = rank.checked_mul(2).and_then(|index| pack.seek(index));
                Iter::Packed(at.map(|at| pack.iter_from(at)))
            }
            ZSet::Tree(tree) => Iter::Tree(Walk::new(tree, rank)),
        }
    }

    /// Members and scores downwards from a rank.
    pub fn iter_rev_from(&self, rank: usize) -> RevIter<'_> {
        match self {
            ZSet::Packed(pack) => {
                let at = rank.checked_mul(2).and_then(|index| pack.seek(index + 1));
                RevIter::Packed(at.map(|at| pack.iter_to(at)))
            }
            ZSet::Tree(tree) => RevIter::Tree(Walk::new(tree, rank)),
        }
    }

    /// All members and scores.
    pub fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    /// How many members have a score below `score`, or up to it if `exclusive`.
    pub fn lower_bound(&self, score: f64, exclusive: bool) -> usize {
        let before = |s: f64| s < score || (exclusive && s == score);
        match self {
            ZSet::Packed(_) => self.iter().take_while(|item| before(item.1)).count(),
            ZSet::Tree(tree) => {
                let (leaf, rank) = tree.0.items.find_with_rank(&mut ByKey(|key: &Key| before(key.score)));
                rank + leaf.0.partition_point(|i| before(leaf.score(i)))
            }
        }
    }

    /// How many members are below `member` by their bytes, or up to it if `exclusive`. Meant for sets whose scores are all the same.
    pub fn lower_bound_lex(&self, member: &[u8], exclusive: bool) -> usize {
        let before = |m: &[u8]| m < member || (exclusive && m == member);
        match self {
            ZSet::Packed(_) => self.iter().take_while(|item| item.0.with(before)).count(),
            ZSet::Tree(tree) => {
                let (leaf, rank) = tree.0.items.find_with_rank(&mut ByKey(|key: &Key| before(&key.member)));
                rank + leaf.0.partition_point(|i| before(leaf.0.first_piece(i)))
            }
        }
    }

    /// Takes out up to `count` members, from a rank on.
    pub fn remove_range(&mut self, start: usize, count: usize) {
        let len = self.len();
        let count = count.min(len.saturating_sub(start));
        match self {
            _ if count == 0 => {}
            ZSet::Packed(pack) => pack.remove_range(start * 2, count * 2),
            ZSet::Tree(tree) if count == len => *tree = ScoreTree::default(),
            ZSet::Tree(tree) => tree.remove_range(start, count),
        }
    }

    pub fn pop_front(&mut self) -> Option<(Vec<u8>, f64)> {
        self.pop(0)
    }

    pub fn pop_back(&mut self) -> Option<(Vec<u8>, f64)> {
        self.pop(self.len().checked_sub(1)?)
    }

    fn pop(&mut self, rank: usize) -> Option<(Vec<u8>, f64)> {
        let (member, score) = self.nth(rank)?;
        let member = member.to_vec();
        match self {
            ZSet::Packed(pack) => pack.remove_range(rank * 2, 2),
            ZSet::Tree(tree) => {
                if rank == 0 {
                    tree.0.items.edit(First, (), |leaf, _| leaf.0.remove(0));
                } else {
                    tree.0.items.edit(Last, (), |leaf, _| leaf.0.remove(leaf.len() - 1));
                }
                tree.forget(hash_of(&member), score);
            }
        }
        Some((member, score))
    }

    /// Calls `each` for members from `cursor` on and answers the next cursor, 0 at the end. A member that is there from the first call to the
    /// last is given at least once, whatever its score does.
    pub fn scan(&self, cursor: u64, count: usize, mut each: impl FnMut(Elem<'_>, f64)) -> u64 {
        match self {
            ZSet::Packed(_) => {
                self.iter().for_each(|(member, score)| each(member, score));
                0
            }
            ZSet::Tree(tree) => {
                let (found, next) = tree.entries_from(cursor, count, |score| {
                    self.lower_bound(score, true) - self.lower_bound(score, false)
                });
                let end = if next == 0 { u64::MAX } else { next };
                for (score, run) in found {
                    let items = self.iter_from(self.lower_bound(score, false)).take(run);
                    for (member, score) in items {
                        // A member that is alone with its score is the one that the index meant.
                        if run == 1 || (cursor..end).contains(&member.with(hash_of)) {
                            each(member, score);
                        }
                    }
                }
                next
            }
        }
    }

    /// About how many allocations freeing the sorted set gives back.
    pub fn free_effort(&self) -> usize {
        match self {
            ZSet::Packed(_) => 1,
            ZSet::Tree(_) => self.heap_bytes() / 4096 + 1,
        }
    }

    /// Sizes of all allocations.
    pub fn heap_bytes(&self) -> usize {
        match self {
            ZSet::Packed(pack) => pack.heap_bytes(),
            ZSet::Tree(tree) => tree.0.items.heap_bytes() + tree.0.index.heap_bytes() + size_of::<Trees>(),
        }
    }
}

impl Default for ZSet {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ZSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Word for ZSet {
    const KINDS: u8 = 2;

    fn into_word(self) -> (u8, u64) {
        match self {
            ZSet::Packed(pack) => (0, pack.into_word().1),
            ZSet::Tree(tree) => (1, Box::into_raw(tree.0).expose_provenance() as u64),
        }
    }

    unsafe fn from_word(form: u8, word: u64) -> Self {
        // SAFETY: the form says which of the two gave the word; the second is the pointer of a box.
        unsafe {
            match form {
                0 => ZSet::Packed(ListPack::from_word(0, word)),
                _ => ZSet::Tree(ScoreTree(Box::from_raw(std::ptr::with_exposed_provenance_mut(word as usize)))),
            }
        }
    }
}

fn order(a_score: f64, a: &[u8], b_score: f64, b: &[u8]) -> Ordering {
    a_score.partial_cmp(&b_score).unwrap_or(Ordering::Equal).then_with(|| a.cmp(b))
}

fn order_elem(a_score: f64, a: Elem<'_>, b_score: f64, b: Elem<'_>) -> Ordering {
    a.with(|a| b.with(|b| order(a_score, a, b_score, b)))
}

fn score_at(pack: &ListPack, at: Pos) -> f64 {
    score::read(pack.at(at)).expect("scores are checked when a listpack comes in")
}

/// A member's place and its score.
fn packed_find(pack: &ListPack, member: &[u8]) -> Option<(Pos, f64)> {
    let at = pack.find(member, 1)?;
    Some((at, score_at(pack, pack.next(at)?)))
}

/// Puts a pair where it belongs.
fn packed_insert(pack: &mut ListPack, member: &[u8], score: f64) {
    let text = ScoreText::of(score);
    let mut next = pack.first();
    while let Some(at) = next
        && let Some(score_pos) = pack.next(at)
    {
        let here = score_at(pack, score_pos);
        if here > score || (here == score && pack.at(at).with(|m| m > member)) {
            let at = pack.insert_before(at, member);
            pack.insert_after(at, text.as_bytes());
            return;
        }
        next = pack.next(score_pos);
    }
    pack.push_back(member);
    pack.push_back(text.as_bytes());
}

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

/// Where a member was found.
struct Found {
    hash: u64,
    score: f64,
    rank: usize,
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
    fn len(&self) -> usize {
        self.0.items.len()
    }

    fn locate(&self, member: &[u8]) -> Option<Found> {
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

    fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        let Some(found) = self.locate(member) else {
            self.insert_new(member, hash_of(member), score);
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

    fn insert_new(&mut self, member: &[u8], hash: u64, score: f64) {
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

    fn remove(&mut self, member: &[u8]) -> Option<f64> {
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

    fn remove_range(&mut self, start: usize, count: usize) {
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

    /// The scores of members in the order of hashes, from `cursor` on, each once and with the number of members that have it; and where to go on.
    ///
    /// To find a member from its hash, all that have its score must be looked at. Where many have the same, more of them are taken at once, so
    /// that a whole scan passes over no member more than some dozens of times.
    fn entries_from(&self, cursor: u64, count: usize, run: impl Fn(f64) -> usize) -> (Vec<(f64, usize)>, u64) {
        const PASSES: usize = 64;
        let mut leaves = self.0.index.cursor(&mut to_hash(cursor));
        let mut scores = leaves.leaf();
        let mut i = scores.0.partition_point(|i| scores.hash(i) < cursor);
        let mut found: Vec<(f64, usize)> = Vec::new();
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
                let members = run(score);
                work += members;
                found.push((score, members));
            }
            (taken, last, i) = (taken + 1, Some(hash), i + 1);
        }
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
    fn new(tree: &'a ScoreTree, rank: usize) -> Self {
        let mut way = ByRank(rank);
        let cursor = tree.0.items.cursor(&mut way);
        let leaf = cursor.leaf();
        let at = Way::<Items>::offset(&way);
        Walk { cursor, leaf, at: (at < leaf.len()).then_some(at) }
    }

    #[inline]
    fn up(&mut self) -> Option<(Elem<'a>, f64)> {
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
    fn down(&mut self) -> Option<(Elem<'a>, f64)> {
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

/// Members and scores upwards.
pub enum Iter<'a> {
    Packed(Option<listpack::Iter<'a>>),
    Tree(Walk<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Elem<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Iter::Packed(iter) => {
                let iter = iter.as_mut()?;
                let member = iter.next()?;
                Some((member, score::read(iter.next()?)?))
            }
            Iter::Tree(walk) => walk.up(),
        }
    }
}

/// Members and scores downwards.
pub enum RevIter<'a> {
    Packed(Option<listpack::Iter<'a>>),
    Tree(Walk<'a>),
}

impl<'a> Iterator for RevIter<'a> {
    type Item = (Elem<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            RevIter::Packed(iter) => {
                let iter = iter.as_mut()?;
                let score = score::read(iter.next_back()?)?;
                Some((iter.next_back()?, score))
            }
            RevIter::Tree(walk) => walk.down(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use fastrand::Rng;
    use proptest::prelude::*;

    use super::*;

    type Model = HashMap<Vec<u8>, f64>;

    fn limits(entries: usize) -> Limits {
        Limits { zset_max_listpack_entries: entries, ..Limits::default() }
    }

    fn ordered(model: &Model) -> Vec<(Vec<u8>, f64)> {
        let mut items: Vec<_> = model.iter().map(|(m, s)| (m.clone(), *s)).collect();
        items.sort_by(|a, b| order(a.1, &a.0, b.1, &b.0));
        items
    }

    fn check(zset: &ZSet, model: &Model) {
        let items = ordered(model);
        assert_eq!((zset.len(), zset.is_empty()), (items.len(), items.is_empty()));
        assert!(zset.iter().map(|(m, s)| (m.to_vec(), s)).eq(items.iter().cloned()));
        if let Some(last) = items.len().checked_sub(1) {
            assert!(zset.iter_rev_from(last).map(|(m, s)| (m.to_vec(), s)).eq(items.iter().rev().cloned()));
        }
        if let ZSet::Tree(tree) = zset {
            tree.0.items.check(|leaf, low, high| {
                assert!(!leaf.is_over(()));
                for i in 0..leaf.len() {
                    let (score, member) = (leaf.score(i), leaf.0.first_piece(i));
                    assert_ne!(order(score, member, low.score, &low.member), Ordering::Less);
                    assert!(high.is_none_or(|h| order(score, member, h.score, &h.member) == Ordering::Less));
                }
            });
            tree.0.index.check(|leaf, low, high| {
                for i in 0..leaf.0.len() {
                    let hash = leaf.hash(i);
                    assert!(hash >= *low && high.is_none_or(|h| hash < *h));
                    assert!(i == 0 || leaf.hash(i - 1) <= hash);
                }
            });
            assert_eq!(tree.0.index.len(), tree.0.items.len());
        }
    }

    fn score(rng: &mut Rng) -> f64 {
        match rng.u8(..20) {
            0 => f64::INFINITY,
            1 => f64::NEG_INFINITY,
            2 => -0.0,
            3..6 => 0.0,
            6..12 => f64::from(rng.i8(..)),
            12..14 => 0.1 + f64::from(rng.u8(..)),
            _ => (rng.f64() - 0.5) * 1e6,
        }
    }

    fn run(seed: u64, entries: usize, members: u32, steps: usize) {
        let mut rng = Rng::with_seed(seed);
        let limits = limits(entries);
        let (mut zset, mut model) = (ZSet::new(), Model::new());
        let mut kept: Option<(ZSet, Model)> = None;
        for step in 0..steps {
            let mut member = format!("m{}", rng.u32(..members)).into_bytes();
            if members > 100 && member.ends_with(b"33") {
                member.splice(..0, vec![b'L'; 1100]);
            }
            match rng.u8(..if step < steps * 2 / 3 { 12 } else { 24 }) {
                0..10 => {
                    let score = score(&mut rng);
                    assert_eq!(zset.insert(&member, score, &limits), model.insert(member.clone(), score));
                }
                10..20 => assert_eq!(zset.remove(&member), model.remove(&member)),
                20 => {
                    let first = ordered(&model).into_iter().next();
                    assert_eq!(zset.pop_front(), first);
                    first.map(|(m, _)| model.remove(&m));
                }
                21 => {
                    let last = ordered(&model).pop();
                    assert_eq!(zset.pop_back(), last);
                    last.map(|(m, _)| model.remove(&m));
                }
                _ => {
                    let (start, count) = (rng.usize(..=model.len()), rng.usize(..15));
                    zset.remove_range(start, count);
                    for (m, _) in ordered(&model).into_iter().skip(start).take(count) {
                        model.remove(&m);
                    }
                }
            }
            assert_eq!(zset.score(&member), model.get(&member).copied());
            if step % 97 == 0 {
                if let Some((zset, model)) = kept.replace((zset.clone(), model.clone())) {
                    check(&zset, &model);
                }
                check(&zset, &model);
                let items = ordered(&model);
                let rank = items.iter().position(|i| i.0 == member);
                assert_eq!(zset.rank(&member), rank);
                if let Some(rank) = rank {
                    assert_eq!(zset.nth(rank).map(|(m, s)| (m.to_vec(), s)), items.get(rank).cloned());
                    assert!(
                        zset.iter_from(rank).map(|(m, _)| m.to_vec()).eq(items[rank..].iter().map(|i| i.0.clone()))
                    );
                }
                assert!(zset.nth(items.len()).is_none());
                let bound = score(&mut rng);
                assert_eq!(zset.lower_bound(bound, false), items.iter().filter(|i| i.1 < bound).count());
                assert_eq!(zset.lower_bound(bound, true), items.iter().filter(|i| i.1 <= bound).count());
            }
        }
        check(&zset, &model);
        let mut seen = Model::new();
        let mut cursor = 0;
        loop {
            cursor = zset.scan(cursor, 7, |m, s| assert!(seen.insert(m.to_vec(), s).is_none()));
            if cursor == 0 {
                break;
            }
        }
        assert!(seen == model);
        zset.remove_range(0, usize::MAX);
        check(&zset, &Model::new());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn edits_equal_a_sorted_map_s(seed: u64, entries in prop::sample::select(vec![0usize, 10, 1000]), members in prop::sample::select(vec![15u32, 150])) {
            run(seed, entries, members, 600);
        }

        #[test]
        fn lexical_bounds_count(seed: u64, entries in prop::sample::select(vec![0usize, 1000])) {
            let mut rng = Rng::with_seed(seed);
            let mut zset = ZSet::new();
            let mut model = Model::new();
            for _ in 0..900 {
                let mut member = format!("{:03}", rng.u16(..400)).into_bytes();
                member.truncate(rng.usize(..4));
                zset.insert(&member, 5.0, &limits(entries));
                model.insert(member, 5.0);
            }
            check(&zset, &model);
            for bound in ["", "1", "10", "199", "1999", "4"] {
                let bound = bound.as_bytes();
                assert_eq!(zset.lower_bound_lex(bound, false), model.keys().filter(|m| m.as_slice() < bound).count());
                assert_eq!(zset.lower_bound_lex(bound, true), model.keys().filter(|m| m.as_slice() <= bound).count());
            }
        }

        #[test]
        fn a_scan_misses_nothing_that_stays(seed: u64, count in 1usize..100, spread in prop::sample::select(vec![1u32, 50, 100_000])) {
            let mut rng = Rng::with_seed(seed);
            let mut zset = ZSet::new();
            for i in 0..2000u32 {
                zset.insert(i.to_string().as_bytes(), f64::from(i % spread), &limits(10));
            }
            let (mut seen, mut cursor, mut gone) = (HashSet::new(), 0, 1000u32);
            loop {
                cursor = zset.scan(cursor, count, |m, _| { seen.insert(m.to_vec()); });
                if cursor == 0 {
                    break;
                }
                // Scores move, members go and others come.
                for _ in 0..20 {
                    zset.insert(rng.u32(..1000).to_string().as_bytes(), f64::from(rng.u32(..spread)), &limits(10));
                    zset.remove(gone.to_string().as_bytes());
                    gone += 1;
                    zset.insert(format!("n{gone}").as_bytes(), 7.0, &limits(10));
                }
            }
            assert!((0..1000).all(|i| seen.contains(i.to_string().as_bytes())));
        }
    }

    #[test]
    fn a_deep_tree_equals_a_sorted_map() {
        run(3, 128, 20_000, 30_000);
    }

    #[test]
    fn it_changes_form_where_redis_does() {
        let limits = Limits { zset_max_listpack_entries: 2, zset_max_listpack_value: 3, ..Limits::default() };
        let mut zset = ZSet::new();
        zset.insert(b"abc", 1.0, &limits);
        zset.insert(b"b", 2.0, &limits);
        assert_eq!(zset.encoding(), "listpack");
        assert_eq!(zset.insert(b"b", 3.0, &limits), Some(2.0));
        assert_eq!(zset.encoding(), "listpack");
        zset.insert(b"c", f64::INFINITY, &limits);
        assert_eq!(zset.encoding(), "skiplist");
        assert_eq!(zset.pop_back(), Some((b"c".to_vec(), f64::INFINITY)));
        let mut zset = ZSet::new();
        zset.insert(b"abcd", 1.0, &limits);
        assert_eq!(zset.encoding(), "skiplist");
    }

    #[test]
    fn listpacks_are_checked() {
        let limits = limits(3);
        let pack = |items: &[&str]| -> ListPack { items.iter().collect() };
        for bad in [&["a"][..], &["a", "1", "a", "2"], &["a", "x"], &["a", "nan"], &["a", ""]] {
            assert_eq!(ZSet::from_listpack(pack(bad), &limits).err(), Some(BadZSet), "{bad:?}");
        }
        let zset = ZSet::from_listpack(pack(&["b", "2.5", "a", "1"]), &limits).expect("pairs");
        assert_eq!((zset.rank(b"a"), zset.rank(b"b"), zset.encoding()), (Some(0), Some(1), "listpack"));
        let zset = ZSet::from_listpack(pack(&["a", "-inf", "b", "0", "c", "1", "d", "inf"]), &limits).expect("pairs");
        assert_eq!((zset.score(b"d"), zset.encoding()), (Some(f64::INFINITY), "skiplist"));
    }
}
