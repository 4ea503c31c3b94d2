//! A persistent sorted map: what a stream's groups, their consumers and what is pending are kept in.
//!
//! It is a [`Tree`] of runs of items in the order of their keys: a clone takes O(1), an edit copies one run and the nodes above it. It knows
//! nothing of what the items own.

use std::cmp::Ordering;
use std::fmt;

use triomphe::Arc;

use crate::size_class::size_class;
use crate::value::tree::{ByKey, ByRank, Cursor, Last, Leaf, Tree};

/// What a run of more than one item may take.
const RUN_BYTES_MAX: usize = 4096;
/// What a vector's own allocation takes behind the counted pointer: the counter, pointer, length and capacity.
const RUN_OVERHEAD: usize = size_of::<usize>() * 4;

/// What is kept in order.
pub trait Item: Clone {
    type Key: Ord + Clone;

    /// A key that is not above any other.
    fn key_min() -> Self::Key;
    fn key(&self) -> Self::Key;
    /// The order of the item's key and another.
    fn compare(&self, key: &Self::Key) -> Ordering;
}

/// Items in order, shared until they are edited. Nothing is allocated for none.
#[derive(Clone)]
struct Run<T>(Option<Arc<Vec<T>>>);

impl<T: Item> Run<T> {
    const ITEMS_MAX: usize = if RUN_BYTES_MAX / size_of::<T>() > 8 { RUN_BYTES_MAX / size_of::<T>() } else { 8 };

    fn items(&self) -> &[T] {
        self.0.as_ref().map_or(&[], |items| items)
    }

    fn edit(&mut self) -> &mut Vec<T> {
        let items = Arc::make_mut(self.0.get_or_insert_with(|| Arc::new(Vec::new())));
        // An allocation is as large as it costs anyway, and given back when it could be much smaller.
        if items.len() == items.capacity() {
            let wanted = size_class((items.len() + 1) * size_of::<T>()) / size_of::<T>();
            items.reserve_exact(wanted - items.len());
        }
        items
    }

    fn shrink(&mut self) {
        match self.0.as_ref().map(|items| (items.len(), items.capacity())) {
            Some((0, _)) => self.0 = None,
            Some((len, capacity)) if capacity > len * 2 + 2 => self.edit().shrink_to(len + 1),
            _ => {}
        }
    }
}

impl<T: Item> Leaf for Run<T> {
    type Key = T::Key;
    type Limit = ();

    fn key_min() -> T::Key {
        T::key_min()
    }

    fn len(&self) -> usize {
        self.items().len()
    }

    fn heap_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |items| RUN_OVERHEAD + size_class(items.capacity() * size_of::<T>()))
    }

    fn is_over(&self, _limit: ()) -> bool {
        self.len() > Self::ITEMS_MAX
    }

    fn is_under(&self) -> bool {
        self.len() < Self::ITEMS_MAX / 4
    }

    fn split(&mut self) -> Option<(T::Key, Self)> {
        let half = self.len() / 2;
        let right: Vec<T> = self.edit().drain(half..).collect();
        self.edit().shrink_to_fit();
        let key = right.first()?.key();
        Some((key, Run(Some(Arc::new(right)))))
    }

    fn absorb(&mut self, right: &Self, _limit: ()) -> bool {
        if self.len() + right.len() > Self::ITEMS_MAX * 3 / 4 {
            return false;
        }
        self.edit().extend_from_slice(right.items());
        true
    }
}

/// Items in the order of their keys, each key once.
#[derive(Clone)]
pub struct Sorted<T: Item>(Tree<Run<T>>);

impl<T: Item> Default for Sorted<T> {
    fn default() -> Self {
        Sorted(Tree::new(Run(None)))
    }
}

impl<T: Item + fmt::Debug> fmt::Debug for Sorted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Item> Sorted<T> {
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sizes of the allocations, without what the items own.
    pub fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }

    /// About how many allocations there are, without what the items own.
    pub fn free_effort(&self) -> usize {
        1 + self.0.heap_bytes() / RUN_BYTES_MAX
    }

    fn way(key: &T::Key) -> ByKey<impl FnMut(&T::Key) -> bool> {
        ByKey(move |low: &T::Key| low <= key)
    }

    #[inline]
    pub fn get(&self, key: &T::Key) -> Option<&T> {
        let items = self.0.find(&mut Self::way(key)).items();
        items.binary_search_by(|item| item.compare(key)).ok().map(|i| &items[i])
    }

    /// The item with `rank` others before it.
    pub fn nth(&self, rank: usize) -> Option<&T> {
        let mut way = ByRank(rank);
        let items = self.0.find(&mut way).items();
        items.get(way.0)
    }

    pub fn last(&self) -> Option<&T> {
        self.0.find(&mut Last).items().last()
    }

    /// Changes the item with this key, if it is there. The change must leave the key as it is.
    pub fn change<R>(&mut self, key: &T::Key, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.get(key)?;
        self.0.edit(Self::way(key), (), |run, _| {
            let i = run.items().binary_search_by(|item| item.compare(key)).ok()?;
            Some(change(&mut run.edit()[i]))
        })
    }

    /// Puts an item in, in place of the one with its key, which is answered.
    pub fn insert(&mut self, item: T) -> Option<T> {
        let key = item.key();
        // Those that come in order leave full runs behind.
        let end = self.0.find(&mut Last).items();
        if end.len() >= Run::<T>::ITEMS_MAX && end.last().is_some_and(|last| last.compare(&key).is_lt()) {
            self.0.push_back_leaf(key, Run(Some(Arc::new(vec![item]))));
            return None;
        }
        self.0.edit(Self::way(&key), (), |run, _| match run.items().binary_search_by(|item| item.compare(&key)) {
            Ok(i) => Some(std::mem::replace(&mut run.edit()[i], item)),
            Err(i) => {
                run.edit().insert(i, item);
                None
            }
        })
    }

    /// Takes the item with this key out.
    pub fn remove(&mut self, key: &T::Key) -> Option<T> {
        self.get(key)?;
        self.0.edit(Self::way(key), (), |run, _| {
            let i = run.items().binary_search_by(|item| item.compare(key)).ok()?;
            let removed = run.edit().remove(i);
            run.shrink();
            Some(removed)
        })
    }

    /// All items in order.
    pub fn iter(&self) -> Iter<'_, T> {
        self.iter_from(&T::key_min())
    }

    /// The items from a key on.
    pub fn iter_from(&self, key: &T::Key) -> Iter<'_, T> {
        let cursor = self.0.cursor(&mut Self::way(key));
        let items = cursor.leaf().items();
        let from = items.partition_point(|item| item.compare(key).is_lt());
        Iter { cursor, items: items[from..].iter() }
    }
}

/// Items in order.
pub struct Iter<'a, T: Item> {
    cursor: Cursor<'a, Run<T>>,
    items: std::slice::Iter<'a, T>,
}

impl<'a, T: Item> Iterator for Iter<'a, T> {
    type Item = &'a T;

    #[inline]
    fn next(&mut self) -> Option<&'a T> {
        loop {
            if let Some(item) = self.items.next() {
                return Some(item);
            }
            self.items = self.cursor.move_next()?.items().iter();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Pair(u64, String);

    impl Item for Pair {
        type Key = u64;

        fn key_min() -> u64 {
            0
        }

        fn key(&self) -> u64 {
            self.0
        }

        fn compare(&self, key: &u64) -> Ordering {
            self.0.cmp(key)
        }
    }

    fn check(sorted: &Sorted<Pair>, model: &BTreeMap<u64, String>) {
        assert_eq!((sorted.len(), sorted.is_empty()), (model.len(), model.is_empty()));
        assert!(sorted.iter().map(|p| (&p.0, &p.1)).eq(model));
        sorted.0.check(|run, low, high| {
            assert!(run.items().iter().all(|p| p.0 >= *low && high.is_none_or(|high| p.0 < *high)));
            assert!(run.len() <= Run::<Pair>::ITEMS_MAX);
        });
    }

    #[test]
    fn edits_equal_a_map_s() {
        for seed in 0..12 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (mut sorted, mut model) = (Sorted::<Pair>::default(), BTreeMap::new());
            let mut kept = (sorted.clone(), model.clone());
            for step in 0..3000u64 {
                let key = if seed % 2 == 0 { step } else { rng.u64(..1000) };
                match rng.u8(..if step < 2000 { 6 } else { 14 }) {
                    0..4 => assert_eq!(
                        sorted.insert(Pair(key, step.to_string())).map(|p| p.1),
                        model.insert(key, step.to_string())
                    ),
                    4 => {
                        let changed = sorted.change(&key, |pair| pair.1.push('x'));
                        assert_eq!(changed, model.get_mut(&key).map(|text| text.push('x')));
                    }
                    _ => {
                        let key = rng.u64(..1000.max(step / 2));
                        assert_eq!(sorted.remove(&key).map(|p| p.1), model.remove(&key));
                    }
                }
                let probe = rng.u64(..3000);
                assert_eq!(sorted.get(&probe).map(|p| &p.1), model.get(&probe));
                assert_eq!(sorted.last().map(|p| p.0), model.keys().last().copied());
                if step % 100 == 0 {
                    check(&sorted, &model);
                    assert!(sorted.iter_from(&probe).map(|p| p.0).eq(model.range(probe..).map(|p| *p.0)));
                    let rank = rng.usize(..=model.len());
                    assert_eq!(sorted.nth(rank).map(|p| p.0), model.keys().nth(rank).copied());
                    check(&kept.0, &kept.1);
                    kept = (sorted.clone(), model.clone());
                }
            }
            check(&sorted, &model);
            for key in model.keys() {
                sorted.remove(key);
            }
            assert_eq!((sorted.len(), sorted.heap_bytes()), (0, 0));
        }
    }

    #[test]
    fn what_comes_in_order_fills_its_runs() {
        let mut sorted = Sorted::<Pair>::default();
        for key in 0..10_000 {
            sorted.insert(Pair(key, String::new()));
        }
        let needed = 10_000 * size_of::<Pair>();
        assert!(sorted.heap_bytes() < needed * 105 / 100, "{} of {needed}", sorted.heap_bytes());
    }
}
