//! A sorted set: member and score pairs in a listpack while it is small, else a tree in their order with an index.
//!
//! The order is by score, then by the member's bytes; -0 equals 0, and NaN never gets here. It changes form where Redis 7.0 does, and never
//! back.

use std::cmp::Ordering;
use std::fmt;

use super::listpack::{self, Pos};
use super::score::{self, ScoreText};
use super::score_tree::{ScoreTree, Walk, order};
use super::{Elem, Limits, ListPack, Word, distinct};

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

    /// An empty sorted set in its large form, for one that will not stay small.
    pub fn new_large() -> Self {
        ZSet::Tree(ScoreTree::default())
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
            ZSet::Tree(tree) => tree.insert_new(member, score),
        }
    }

    fn make_tree(&mut self) {
        let mut tree = ScoreTree::default();
        for (member, score) in self.iter() {
            member.with(|member| tree.insert_new(member, score));
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
            ZSet::Tree(tree) => tree.nth(rank),
        }
    }

    /// Members and scores upwards from a rank.
    pub fn iter_from(&self, rank: usize) -> Iter<'_> {
        match self {
            ZSet::Packed(pack) => {
                let at = rank.checked_mul(2).and_then(|index| pack.seek(index));
                Iter::Packed(at.map(|at| pack.iter_from(at)))
            }
            ZSet::Tree(tree) => Iter::Tree(tree.walk(rank)),
        }
    }

    /// Members and scores downwards from a rank.
    pub fn iter_rev_from(&self, rank: usize) -> RevIter<'_> {
        match self {
            ZSet::Packed(pack) => {
                let at = rank.checked_mul(2).and_then(|index| pack.seek(index + 1));
                RevIter::Packed(at.map(|at| pack.iter_to(at)))
            }
            ZSet::Tree(tree) => RevIter::Tree(tree.walk(rank)),
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
            ZSet::Tree(tree) => tree.count_by_score(before),
        }
    }

    /// How many members are below `member` by their bytes, or up to it if `exclusive`. Meant for sets whose scores are all the same.
    pub fn lower_bound_lex(&self, member: &[u8], exclusive: bool) -> usize {
        let before = |m: &[u8]| m < member || (exclusive && m == member);
        match self {
            ZSet::Packed(_) => self.iter().take_while(|item| item.0.with(before)).count(),
            ZSet::Tree(tree) => tree.count_by_member(before),
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
                tree.remove(&member);
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
            ZSet::Tree(tree) => tree.scan(cursor, count, each),
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
            ZSet::Tree(tree) => tree.heap_bytes(),
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

impl crate::value::Sealed for ZSet {}

impl Word for ZSet {
    const KINDS: u8 = 2;

    fn into_word(self) -> (u8, u64) {
        match self {
            ZSet::Packed(pack) => (0, pack.into_word().1),
            ZSet::Tree(tree) => (1, tree.into_word().1),
        }
    }

    unsafe fn from_word(form: u8, word: u64) -> Self {
        // SAFETY: the form says which of the two gave the word.
        unsafe {
            match form {
                0 => ZSet::Packed(ListPack::from_word(0, word)),
                _ => ZSet::Tree(ScoreTree::from_word(0, word)),
            }
        }
    }
}

fn order_elem(a_score: f64, a: Elem<'_>, b_score: f64, b: Elem<'_>) -> Ordering {
    if a_score < b_score {
        return Ordering::Less;
    }
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
            tree.check();
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
            } else if member.ends_with(b"4") && member.len() < 4 {
                member.splice(..0, *b"collides");
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
