//! A table of byte strings: the large form of hashes and sets.
//!
//! A tree in the order of the items' hashes. Of a hash's 64 bits the upper 48 are an item's place, which is also what a scan's cursor is; the
//! lower 16 are the tag that is searched for in a leaf, whose records are in no order. It knows nothing of when to use it.

use super::Word;
use super::hash_bytes;
use super::pack::Pack;
use super::tree::{ByKey, ByRank, Cursor, Leaf, Tree};

/// Items of `PIECES` byte strings: 1 for a set, 2 for a hash. The first piece is what an item is found by.
#[derive(Clone)]
pub struct Table<const PIECES: usize>(Tree<Records<PIECES>>);

/// A leaf of a table.
#[derive(Clone)]
pub struct Records<const PIECES: usize>(Pack<2, PIECES>);

/// An item's place and tag.
#[inline]
fn place(bytes: &[u8]) -> (u64, u16) {
    let hash = hash_bytes(bytes);
    (hash >> 16, hash as u16)
}

impl<const PIECES: usize> Records<PIECES> {
    #[inline]
    fn find(&self, tag: u16, wanted: &[u8]) -> Option<usize> {
        let mut from = 0;
        while let Some(i) = self.0.find_tag(tag, from) {
            if self.0.first_piece(i) == wanted {
                return Some(i);
            }
            from = i + 1;
        }
        None
    }
}

impl<const PIECES: usize> Leaf for Records<PIECES> {
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

    /// Items of one place stay together.
    fn split(&mut self) -> Option<(u64, Self)> {
        let mut order: Vec<(u64, usize)> = (0..self.0.len()).map(|i| (place(self.0.first_piece(i)).0, i)).collect();
        order.sort_unstable();
        let half = self.0.half(order.iter().map(|o| o.1));
        let differs = |&at: &usize| order[at - 1].0 != order[at].0;
        let at = (half..order.len()).find(differs).or_else(|| (1..half).rev().find(differs))?;
        let right = self.0.select(order[at..].iter().map(|o| o.1));
        self.0 = self.0.select(order[..at].iter().map(|o| o.1));
        Some((order[at].0, Records(right)))
    }

    fn absorb(&mut self, right: &Self, _: ()) -> bool {
        if !self.0.may_join(&right.0) {
            return false;
        }
        (0..right.0.len()).for_each(|i| self.0.push_from(&right.0, i));
        true
    }
}

impl<const PIECES: usize> crate::value::Sealed for Records<PIECES> {}

impl<const PIECES: usize> Word for Records<PIECES> {
    const KINDS: u8 = 1;

    fn into_word(self) -> (u8, u64) {
        self.0.into_word()
    }

    unsafe fn from_word(form: u8, word: u64) -> Self {
        // SAFETY: the caller's promise is the same.
        Records(unsafe { Pack::from_word(form, word) })
    }
}

impl<const PIECES: usize> Table<PIECES> {
    pub fn new() -> Self {
        Table(Tree::new(Records(Pack::new())))
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }

    #[inline]
    pub fn get(&self, wanted: &[u8]) -> Option<[&[u8]; PIECES]> {
        let (place, tag) = place(wanted);
        let leaf = self.0.find(&mut ByKey(|key: &u64| *key <= place));
        leaf.find(tag, wanted).map(|i| leaf.0.pieces(i))
    }

    #[inline]
    pub fn contains(&self, wanted: &[u8]) -> bool {
        let (place, tag) = place(wanted);
        self.0.find(&mut ByKey(|key: &u64| *key <= place)).find(tag, wanted).is_some()
    }

    /// Adds an item, or gives it another last piece if it is there; answers whether it is new.
    pub fn set(&mut self, pieces: [&[u8]; PIECES]) -> bool {
        let (place, tag) = place(pieces[0]);
        self.0.edit(ByKey(|key: &u64| *key <= place), (), |leaf, _| match leaf.find(tag, pieces[0]) {
            Some(i) => {
                if PIECES > 1 {
                    leaf.0.set_last_piece(i, pieces[PIECES - 1]);
                }
                false
            }
            None => {
                leaf.0.insert(leaf.0.len(), tag.to_le_bytes(), pieces);
                true
            }
        })
    }

    /// Takes an item out; answers whether it was there.
    pub fn remove(&mut self, wanted: &[u8]) -> bool {
        let (place, tag) = place(wanted);
        // Looked for first, so that a miss copies nothing.
        let Some(i) = self.0.find(&mut ByKey(|key: &u64| *key <= place)).find(tag, wanted) else { return false };
        self.0.edit(ByKey(|key: &u64| *key <= place), (), |leaf, _| leaf.0.remove(i));
        true
    }

    /// The item with `rank` others before it, in no meaningful order.
    pub fn nth(&self, rank: usize) -> Option<[&[u8]; PIECES]> {
        let mut way = ByRank(rank);
        let leaf = self.0.find(&mut way);
        (way.0 < leaf.0.len()).then(|| leaf.0.pieces(way.0))
    }

    /// Calls `each` for items from `cursor` on, for at least `count` if there are as many, and answers where to go on; 0 at the end.
    pub fn scan(&self, cursor: u64, count: usize, mut each: impl FnMut([&[u8]; PIECES])) -> u64 {
        let mut leaves = self.0.cursor(&mut ByKey(|key: &u64| *key <= cursor));
        let mut done = 0;
        loop {
            let leaf = leaves.leaf();
            (0..leaf.0.len()).for_each(|i| each(leaf.0.pieces(i)));
            done += leaf.0.len();
            if leaves.move_next().is_none() {
                return 0;
            }
            if done >= count {
                return leaves.key();
            }
        }
    }

    /// All items.
    pub fn iter(&self) -> Iter<'_, PIECES> {
        let cursor = self.0.cursor(&mut ByRank(0));
        Iter { leaf: cursor.leaf(), cursor, next: 0, left: self.len() }
    }

    /// About how many allocations freeing the table gives back.
    pub fn free_effort(&self) -> usize {
        self.heap_bytes() / 4096 + 1
    }
}

impl<const PIECES: usize> Default for Table<PIECES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const PIECES: usize> crate::value::Sealed for Table<PIECES> {}

impl<const PIECES: usize> Word for Table<PIECES> {
    const KINDS: u8 = 1;

    fn into_word(self) -> (u8, u64) {
        self.0.into_word()
    }

    unsafe fn from_word(form: u8, word: u64) -> Self {
        // SAFETY: the caller's promise is the same.
        Table(unsafe { Tree::from_word(form, word) })
    }
}

/// All items of a table.
pub struct Iter<'a, const PIECES: usize> {
    cursor: Cursor<'a, Records<PIECES>>,
    leaf: &'a Records<PIECES>,
    next: usize,
    left: usize,
}

impl<'a, const PIECES: usize> Iterator for Iter<'a, PIECES> {
    type Item = [&'a [u8]; PIECES];

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.leaf.0.len() {
            self.leaf = self.cursor.move_next()?;
            self.next = 0;
            if self.leaf.0.is_empty() {
                return None;
            }
        }
        self.next += 1;
        self.left -= 1;
        Some(self.leaf.0.pieces(self.next - 1))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<const PIECES: usize> ExactSizeIterator for Iter<'_, PIECES> {}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use fastrand::Rng;
    use proptest::prelude::*;

    use super::*;

    type Model = HashMap<Vec<u8>, Vec<u8>>;

    fn check(table: &Table<2>, model: &Model) {
        assert_eq!(table.len(), model.len());
        let items: Model = table.iter().map(|[k, v]| (k.to_vec(), v.to_vec())).collect();
        assert_eq!(table.iter().count(), model.len());
        assert!(items == *model);
        table.0.check(|leaf, low, high| {
            assert!(!leaf.is_over(()));
            for i in 0..leaf.len() {
                let (place, tag) = place(leaf.0.first_piece(i));
                assert!(place >= *low && high.is_none_or(|high| place < *high));
                assert_eq!(leaf.0.extra(i), tag.to_le_bytes());
            }
        });
    }

    fn bytes(rng: &mut Rng) -> Vec<u8> {
        let len = match rng.u8(..50) {
            0 => rng.usize(1020..1030),
            1 => 5000,
            2..6 => rng.usize(60..70),
            _ => rng.usize(..20),
        };
        vec![rng.alphanumeric() as u8; len]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn edits_equal_a_hash_map_s(seed: u64, keys in prop::sample::select(vec![10u32, 200, 3000])) {
            let mut rng = Rng::with_seed(seed);
            let (mut table, mut model) = (Table::<2>::new(), Model::new());
            let mut kept: Option<(Table<2>, Model)> = None;
            for step in 0..4000 {
                let mut key = format!("key:{}", rng.u32(..keys)).into_bytes();
                if key.ends_with(b"77") {
                    key.resize(2000, b'k');
                } else if key.ends_with(b"5") && key.len() < 7 {
                    key.splice(..0, *b"collides");
                }
                let remove = if step < 2500 { 4 } else { 12 };
                if rng.u8(..16) < remove {
                    assert_eq!(table.remove(&key), model.remove(&key).is_some());
                } else {
                    let value = bytes(&mut rng);
                    assert_eq!(table.set([&key, &value]), model.insert(key.clone(), value).is_none());
                }
                assert_eq!(table.get(&key).map(|[_, v]| v), model.get(&key).map(|v| &v[..]));
                assert_eq!(table.contains(&key), model.contains_key(&key));
                if step % 401 == 0 {
                    if let Some((table, model)) = kept.replace((table.clone(), model.clone())) {
                        check(&table, &model);
                    }
                    check(&table, &model);
                }
            }
            let ranked: HashSet<_> = (0..table.len()).map(|i| table.nth(i).expect("in range")[0].to_vec()).collect();
            assert!(ranked.len() == model.len() && table.nth(model.len()).is_none());
            for key in model.keys() {
                assert!(table.remove(key));
            }
            check(&table, &Model::new());
        }

        #[test]
        fn a_scan_misses_nothing_that_stays(seed: u64, count in 1usize..300) {
            let mut rng = Rng::with_seed(seed);
            let mut table = Table::<1>::new();
            let stays: HashSet<Vec<u8>> = (0..500).map(|i| format!("stays:{i}").into_bytes()).collect();
            stays.iter().for_each(|key| { table.set([key]); });
            let (mut seen, mut cursor, mut come, mut gone) = (HashSet::new(), 0, 0, 0);
            let growing = rng.bool();
            (0..3000).for_each(|i| { table.set([format!("x:{i}").as_bytes()]); });
            loop {
                cursor = table.scan(cursor, count, |[key]| { seen.insert(key.to_vec()); });
                if cursor == 0 {
                    break;
                }
                assert!(cursor < 1 << 48);
                for _ in 0..200 {
                    if growing {
                        table.set([format!("y:{come}").as_bytes()]);
                        come += 1;
                    } else {
                        table.remove(format!("x:{gone}").as_bytes());
                        gone += 1;
                    }
                }
            }
            assert!(stays.is_subset(&seen));
        }
    }
}
