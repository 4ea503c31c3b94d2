//! A list: one listpack, or a tree of them.
//!
//! An element that is larger than a chunk has a chunk of its own. Chunks of other servers' lists are kept as they come, until they are edited.
//! `list-compress-depth` has no meaning here.

use std::fmt;

use super::chunk::{ALLOCATION_BYTES_MAX, Chunk, Full};
use super::listpack;
use super::tree::{ByRank, Cursor, First, Last, Leaves, Tree};
use super::{Elem, Limits, ListPack, Word};

/// A list in one of its two forms.
#[derive(Clone)]
pub enum List {
    Packed(ListPack),
    Chunked(Tree<Chunk>),
}

impl List {
    pub fn new() -> Self {
        List::Packed(ListPack::new())
    }

    /// Builds a list from the listpacks of a file, which are kept as they are.
    pub fn from_listpacks(packs: impl IntoIterator<Item = ListPack>) -> Self {
        let mut list = List::new();
        for pack in packs {
            if pack.is_empty() {
                continue;
            }
            match &mut list {
                List::Packed(first) if first.is_empty() => *first = pack,
                _ => list.chunked().push_back_leaf((), Chunk::new(&pack)),
            }
        }
        list
    }

    pub fn len(&self) -> usize {
        match self {
            List::Packed(pack) => pack.len(),
            List::Chunked(tree) => tree.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        match self {
            List::Packed(pack) => pack.is_empty(),
            List::Chunked(tree) => tree.is_empty(),
        }
    }

    /// What OBJECT ENCODING says; Redis 7.0 knows no other form.
    pub fn encoding(&self) -> &'static str {
        "quicklist"
    }

    /// The tree, made from the packed form if need be.
    fn chunked(&mut self) -> &mut Tree<Chunk> {
        if let List::Packed(pack) = self {
            *self = List::Chunked(Tree::new(Chunk::new(pack)));
        }
        match self {
            List::Chunked(tree) => tree,
            List::Packed(_) => unreachable!("it was just made a tree"),
        }
    }

    /// The tree, after the packed form grew past what it may.
    fn settle(&mut self, full: Full) {
        if let List::Packed(pack) = self
            && full.exceeded_by(pack)
            && pack.len() > 1
        {
            self.chunked().edit(First, full, |_, _| ());
        }
    }

    pub fn push_back(&mut self, value: &[u8], limits: &Limits) {
        self.push(value, Full::of(limits), false);
    }

    pub fn push_front(&mut self, value: &[u8], limits: &Limits) {
        self.push(value, Full::of(limits), true);
    }

    fn push(&mut self, value: &[u8], full: Full, front: bool) {
        match self {
            List::Packed(pack) if full.has_room(pack, value.len()) => return push(pack, value, front),
            List::Packed(_) => {}
            List::Chunked(tree) => {
                let end = if front { tree.find(&mut First) } else { tree.find(&mut Last) };
                if full.has_room(end, value.len()) {
                    // An end that came with a file may be over: the push that finds room is never the one to split it.
                    return if front {
                        tree.edit(First, full, |chunk, _| push(chunk.edit(), value, front))
                    } else {
                        tree.edit(Last, full, |chunk, _| push(chunk.edit(), value, front))
                    };
                }
            }
        }
        let mut chunk = Chunk::empty();
        chunk.edit().push_back(value);
        let tree = self.chunked();
        if front {
            tree.push_front_leaf(chunk);
        } else {
            tree.push_back_leaf((), chunk);
        }
    }

    pub fn pop_front(&mut self) -> Option<Vec<u8>> {
        self.pop_front_with(|elem| elem.to_vec())
    }

    pub fn pop_back(&mut self) -> Option<Vec<u8>> {
        self.pop_back_with(|elem| elem.to_vec())
    }

    /// Takes the first element out after `f` has seen it.
    pub fn pop_front_with<R>(&mut self, f: impl FnOnce(Elem<'_>) -> R) -> Option<R> {
        match self {
            List::Packed(pack) => take(pack, true, f),
            List::Chunked(tree) => tree.edit(First, Full::ANY, |chunk, _| take(chunk.edit(), true, f)),
        }
    }

    /// Takes the last element out after `f` has seen it.
    pub fn pop_back_with<R>(&mut self, f: impl FnOnce(Elem<'_>) -> R) -> Option<R> {
        match self {
            List::Packed(pack) => take(pack, false, f),
            List::Chunked(tree) => tree.edit(Last, Full::ANY, |chunk, _| take(chunk.edit(), false, f)),
        }
    }

    pub fn get(&self, index: usize) -> Option<Elem<'_>> {
        match self {
            List::Packed(pack) => pack.get(index),
            List::Chunked(tree) => {
                let mut way = ByRank(index);
                tree.find(&mut way).get(way.0)
            }
        }
    }

    /// Changes the element at `index`; answers whether there is one.
    pub fn set(&mut self, index: usize, value: &[u8], limits: &Limits) -> bool {
        if index >= self.len() {
            return false;
        }
        let full = Full::of(limits);
        match self {
            List::Packed(pack) => set(pack, index, value),
            List::Chunked(tree) => tree.edit(ByRank(index), full, |chunk, index| set(chunk.edit(), index, value)),
        }
        self.settle(full);
        true
    }

    /// Puts an element before the one at `index`, or at the end if `index` is the length.
    ///
    /// # Panics
    /// When `index` is above the length.
    pub fn insert(&mut self, index: usize, value: &[u8], limits: &Limits) {
        let len = self.len();
        assert!(index <= len, "index {index} of a list of {len}");
        if index == len {
            return self.push_back(value, limits);
        }
        if index == 0 {
            return self.push_front(value, limits);
        }
        let full = Full::of(limits);
        match self {
            List::Packed(pack) => insert(pack, index, value),
            List::Chunked(tree) => tree.edit(ByRank(index), full, |chunk, index| insert(chunk.edit(), index, value)),
        }
        self.settle(full);
    }

    /// Takes out up to `count` elements from `start` on.
    pub fn remove_range(&mut self, start: usize, count: usize) {
        let len = self.len();
        if start >= len {
            return;
        }
        let count = count.min(len - start);
        match self {
            List::Packed(pack) => pack.remove_range(start, count),
            List::Chunked(_) if count == len => *self = List::new(),
            List::Chunked(tree) => {
                let mut left = count;
                while left > 0 {
                    left -= tree.edit(ByRank(start), Full::ANY, |chunk, offset| {
                        let here = (chunk.len() - offset).min(left);
                        if here == chunk.len() {
                            *chunk = Chunk::empty();
                        } else {
                            chunk.edit().remove_range(offset, here);
                        }
                        here
                    });
                }
            }
        }
    }

    /// Takes out elements that equal `value`: the first `count`, the last `-count`, or all when it is 0. Answers how many (LREM).
    pub fn retain_remove(&mut self, value: &[u8], count: i64) -> usize {
        let most = match usize::try_from(count.unsigned_abs()) {
            Ok(n) if n > 0 => n,
            _ => usize::MAX,
        };
        match self {
            List::Packed(pack) if count >= 0 => remove_forward(pack, 0, value, most),
            List::Packed(pack) => remove_backward(pack, usize::MAX, value, most),
            List::Chunked(tree) if count >= 0 => {
                let (mut removed, mut from) = (0, 0);
                while from < tree.len() && removed < most {
                    let mut way = ByRank(from);
                    let pack = tree.find(&mut way);
                    let (offset, len) = (way.0, pack.len());
                    let found = pack.seek(offset).and_then(|at| pack.find_from(at, value, 0)).is_some();
                    let here = if found {
                        tree.edit(ByRank(from), Full::ANY, |chunk, offset| {
                            remove_forward(chunk.edit(), offset, value, most - removed)
                        })
                    } else {
                        0
                    };
                    removed += here;
                    from += len - offset - here;
                }
                removed
            }
            List::Chunked(tree) => {
                let (mut removed, mut to) = (0, tree.len());
                while to > 0 && removed < most {
                    let mut way = ByRank(to - 1);
                    let pack = tree.find(&mut way);
                    let offset = way.0;
                    if pack.find(value, 0).is_some() {
                        removed += tree.edit(ByRank(to - 1), Full::ANY, |chunk, offset| {
                            remove_backward(chunk.edit(), offset, value, most - removed)
                        });
                    }
                    to -= offset + 1;
                }
                removed
            }
        }
    }

    /// The elements from `index` to the end.
    pub fn iter_from(&self, index: usize) -> Iter<'_> {
        let left = self.len().saturating_sub(index);
        let mut way = ByRank(index);
        match self {
            List::Packed(pack) => Iter { cursor: None, pack: iter_from(pack, index), left },
            List::Chunked(tree) => {
                let cursor = tree.cursor(&mut way);
                let pack = iter_from(cursor.leaf(), way.0);
                Iter { cursor: Some(cursor), pack, left }
            }
        }
    }

    /// The elements from `index` back to the first.
    pub fn iter_rev_from(&self, index: usize) -> RevIter<'_> {
        let left = if index < self.len() { index + 1 } else { 0 };
        let mut way = ByRank(index);
        match self {
            List::Packed(pack) => RevIter { cursor: None, pack: iter_to(pack, index), left },
            List::Chunked(tree) => {
                let cursor = tree.cursor(&mut way);
                let pack = iter_to(cursor.leaf(), way.0);
                RevIter { cursor: Some(cursor), pack, left }
            }
        }
    }

    pub fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    /// The bytes of each listpack, as RDB's `quicklist2` has them.
    pub fn nodes(&self) -> Nodes<'_> {
        match self {
            List::Packed(pack) => Nodes::Packed(Some(pack)),
            List::Chunked(tree) => Nodes::Chunked(tree.leaves()),
        }
    }

    /// About how many allocations freeing the list gives back.
    pub fn free_effort(&self) -> usize {
        match self {
            List::Packed(_) => 1,
            List::Chunked(tree) => tree.heap_bytes() / ALLOCATION_BYTES_MAX + 1,
        }
    }

    /// Sizes of all allocations.
    pub fn heap_bytes(&self) -> usize {
        match self {
            List::Packed(pack) => pack.heap_bytes(),
            List::Chunked(tree) => tree.heap_bytes(),
        }
    }
}

fn push<const PREFIX: usize>(pack: &mut ListPack<PREFIX>, value: &[u8], front: bool) {
    if front { pack.push_front(value) } else { pack.push_back(value) }
}

/// Takes the first or the last element out after `f` has seen it.
fn take<const PREFIX: usize, R>(pack: &mut ListPack<PREFIX>, front: bool, f: impl FnOnce(Elem<'_>) -> R) -> Option<R> {
    let at = if front { pack.first() } else { pack.last() }?;
    let result = f(pack.at(at));
    pack.remove(at);
    Some(result)
}

fn set<const PREFIX: usize>(pack: &mut ListPack<PREFIX>, index: usize, value: &[u8]) {
    if let Some(at) = pack.seek(index) {
        pack.replace(at, value);
    }
}

fn insert<const PREFIX: usize>(pack: &mut ListPack<PREFIX>, index: usize, value: &[u8]) {
    if let Some(at) = pack.seek(index) {
        pack.insert_before(at, value);
    }
}

fn iter_from<const PREFIX: usize>(pack: &ListPack<PREFIX>, index: usize) -> listpack::Iter<'_> {
    pack.seek(index).map_or_else(|| pack.iter(), |at| pack.iter_from(at))
}

fn iter_to<const PREFIX: usize>(pack: &ListPack<PREFIX>, index: usize) -> listpack::Iter<'_> {
    pack.seek(index).map_or_else(|| pack.iter(), |at| pack.iter_to(at))
}

fn remove_forward<const PREFIX: usize>(pack: &mut ListPack<PREFIX>, from: usize, value: &[u8], most: usize) -> usize {
    let mut removed = 0;
    let mut at = pack.seek(from);
    while removed < most
        && let Some(found) = at.and_then(|at| pack.find_from(at, value, 0))
    {
        at = pack.remove(found);
        removed += 1;
    }
    removed
}

/// Looks at the elements from index `to` down.
fn remove_backward<const PREFIX: usize>(pack: &mut ListPack<PREFIX>, to: usize, value: &[u8], most: usize) -> usize {
    let mut removed = 0;
    let mut at = pack.seek(to).or_else(|| pack.last());
    while removed < most
        && let Some(here) = at
    {
        at = pack.prev(here);
        if pack.at(here).eq_bytes(value) {
            pack.remove(here);
            removed += 1;
        }
    }
    removed
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl crate::value::Sealed for List {}

impl Word for List {
    const KINDS: u8 = 2;

    fn into_word(self) -> (u8, u64) {
        match self {
            List::Packed(pack) => (0, pack.into_word().1),
            List::Chunked(tree) => (1, tree.into_word().1),
        }
    }

    unsafe fn from_word(form: u8, word: u64) -> Self {
        // SAFETY: the form says which of the two gave the word.
        unsafe {
            match form {
                0 => List::Packed(ListPack::from_word(0, word)),
                _ => List::Chunked(Tree::from_word(0, word)),
            }
        }
    }
}

/// Elements towards the end.
pub struct Iter<'a> {
    cursor: Option<Cursor<'a, Chunk>>,
    pack: listpack::Iter<'a>,
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Elem<'a>;

    #[inline]
    fn next(&mut self) -> Option<Elem<'a>> {
        self.left = self.left.checked_sub(1)?;
        loop {
            if let Some(elem) = self.pack.next() {
                return Some(elem);
            }
            self.pack = self.cursor.as_mut()?.move_next()?.iter();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// Elements towards the beginning.
pub struct RevIter<'a> {
    cursor: Option<Cursor<'a, Chunk>>,
    pack: listpack::Iter<'a>,
    left: usize,
}

impl<'a> Iterator for RevIter<'a> {
    type Item = Elem<'a>;

    #[inline]
    fn next(&mut self) -> Option<Elem<'a>> {
        self.left = self.left.checked_sub(1)?;
        loop {
            if let Some(elem) = self.pack.next_back() {
                return Some(elem);
            }
            self.pack = self.cursor.as_mut()?.move_prev()?.iter();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for RevIter<'_> {}

/// The bytes of each listpack of a list.
pub enum Nodes<'a> {
    Packed(Option<&'a ListPack>),
    Chunked(Leaves<'a, Chunk>),
}

impl<'a> Iterator for Nodes<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match self {
            Nodes::Packed(pack) => pack.take().map(ListPack::as_bytes),
            Nodes::Chunked(leaves) => leaves.next().map(|chunk| chunk.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use proptest::prelude::*;

    use super::*;

    fn limits(size: i64) -> Limits {
        Limits { list_max_listpack_size: size, ..Limits::default() }
    }

    fn check(list: &List, model: &[Vec<u8>]) {
        assert_eq!(list.len(), model.len());
        assert_eq!(list.is_empty(), model.is_empty());
        assert!(list.iter().map(|e| e.to_vec()).eq(model.iter().cloned()), "{list:?}");
        let packs: Vec<_> = list.nodes().map(|bytes| ListPack::from_bytes(bytes).expect("valid")).collect();
        assert!(packs.iter().flat_map(|p| p.iter()).map(|e| e.to_vec()).eq(model.iter().cloned()));
        if let List::Chunked(tree) = list {
            tree.check(|chunk, _, _| assert!(model.is_empty() || !chunk.is_empty()));
        }
    }

    fn value(rng: &mut Rng) -> Vec<u8> {
        match rng.u8(..100) {
            0 => vec![b'B'; 5000],
            1..20 => vec![b'l'; rng.usize(100..1500)],
            20..60 => rng.i64(-3..3).to_string().into_bytes(),
            60..70 => rng.i64(..).to_string().into_bytes(),
            _ => vec![b's'; rng.usize(..30)],
        }
    }

    fn run(seed: u64, size: i64, steps: usize) {
        let mut rng = Rng::with_seed(seed);
        let limits = limits(size);
        let (mut list, mut model) = (List::new(), Vec::<Vec<u8>>::new());
        let mut kept: Option<(List, Vec<Vec<u8>>)> = None;
        // Grows for a while, then shrinks.
        for step in 0..steps {
            let growing = step < steps * 2 / 3;
            let len = model.len();
            let index = rng.usize(..=len);
            match rng.u8(..if growing { 8 } else { 16 }) {
                0..3 => {
                    let v = value(&mut rng);
                    list.push_back(&v, &limits);
                    model.push(v);
                }
                3 => {
                    let v = value(&mut rng);
                    list.push_front(&v, &limits);
                    model.insert(0, v);
                }
                4..6 => {
                    let v = value(&mut rng);
                    list.insert(index, &v, &limits);
                    model.insert(index, v);
                }
                6 => {
                    let v = value(&mut rng);
                    assert_eq!(list.set(index, &v, &limits), index < len);
                    if index < len {
                        model[index] = v;
                    }
                }
                7 => {
                    let wanted = value(&mut rng);
                    let count = rng.i64(-3..3);
                    let mut left = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
                    let before = model.len();
                    let mut keep = |v: &Vec<u8>| {
                        let hit = left > 0 && *v == wanted;
                        left -= usize::from(hit);
                        !hit
                    };
                    if count >= 0 {
                        model.retain(&mut keep);
                    } else {
                        model.reverse();
                        model.retain(&mut keep);
                        model.reverse();
                    }
                    assert_eq!(list.retain_remove(&wanted, count), before - model.len());
                }
                8..11 => assert_eq!(list.pop_front(), (!model.is_empty()).then(|| model.remove(0))),
                11..14 => assert_eq!(list.pop_back(), model.pop()),
                _ => {
                    let count = rng.usize(..20);
                    list.remove_range(index, count);
                    model.drain(index..len.min(index + count));
                }
            }
            if step % 37 == 0 {
                if let Some((list, model)) = kept.replace((list.clone(), model.clone())) {
                    check(&list, &model);
                }
                check(&list, &model);
                let index = rng.usize(..=model.len());
                assert_eq!(list.get(index).map(|e| e.to_vec()), model.get(index).cloned());
                assert!(list.iter_from(index).map(|e| e.to_vec()).eq(model[index..].iter().cloned()));
                if index < model.len() {
                    assert!(list.iter_rev_from(index).map(|e| e.to_vec()).eq(model[..=index].iter().rev().cloned()));
                }
            }
        }
        check(&list, &model);
        let packs: Vec<_> = list.nodes().map(|bytes| ListPack::from_bytes(bytes).expect("valid")).collect();
        check(&List::from_listpacks(packs), &model);
        list.remove_range(0, usize::MAX);
        check(&list, &[]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn edits_equal_a_vector_s(seed: u64, size in prop::sample::select(vec![-5, -2, -1, 1, 3, 128])) {
            run(seed, size, 700);
        }
    }

    #[test]
    fn a_deep_tree_equals_a_vector() {
        run(1, 2, 5000);
    }

    #[test]
    fn chunks_are_no_larger_than_asked() {
        for (size, count, bytes) in [(-2, usize::MAX, 4096), (1, 1, 4096), (5, 5, 4096), (0, 1, 4096)] {
            let mut list = List::new();
            for i in 0..2000 {
                list.insert(list.len() / 2, format!("element {i}").as_bytes(), &limits(size));
                list.push_back(b"tail", &limits(size));
            }
            for pack in list.nodes().map(|bytes| ListPack::from_bytes(bytes).expect("valid")) {
                assert!(pack.len() <= count && pack.bytes_len() <= bytes);
            }
        }
    }

    #[test]
    fn a_large_element_has_its_own_chunk() {
        let mut list = List::new();
        for i in 0..10 {
            list.push_back(i.to_string().as_bytes(), &limits(-2));
        }
        list.insert(5, &vec![b'x'; 100_000], &limits(-2));
        assert_eq!(list.nodes().map(<[u8]>::len).filter(|&n| n > 4096).count(), 1);
        assert_eq!(list.nodes().count(), 3);
        list.push_back(b"end", &limits(-2));
        assert_eq!(list.len(), 12);
    }

    #[test]
    fn a_change_of_the_limit_reaches_what_is_edited() {
        let mut list = List::new();
        for i in 0..1000 {
            list.push_back(i.to_string().as_bytes(), &limits(-2));
        }
        for i in 0..1000 {
            list.set(i, i.to_string().as_bytes(), &limits(2));
        }
        let model: Vec<_> = (0..1000).map(|i| i.to_string().into_bytes()).collect();
        check(&list, &model);
        assert!(list.nodes().all(|bytes| ListPack::from_bytes(bytes).expect("valid").len() <= 2));
    }

    #[test]
    fn words_give_the_list_back() {
        for len in [1, 3000] {
            let mut list = List::new();
            (0..len).for_each(|i| list.push_back(i.to_string().as_bytes(), &limits(-2)));
            let clone = list.clone();
            let (form, word) = list.into_word();
            // SAFETY: the word was just given, and is taken back once.
            let list = unsafe { List::from_word(form, word) };
            assert!(list.iter().eq(clone.iter()) && list.len() == len);
        }
    }
}
