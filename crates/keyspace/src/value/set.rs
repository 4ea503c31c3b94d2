//! A set: an intset while all members are integers, a listpack while it is small, else a table.

use std::fmt;

use super::elem::parse_int;
use super::listpack;
use super::table::{self, Table};
use super::{Elem, IntSet, Limits, ListPack, Word, distinct};

/// A listpack has no longer members, whatever `set-max-listpack-value` allows: its places are counted in 32 bits.
const LISTPACK_MEMBER_MAX: usize = 1 << 29;

/// A set in one of its three forms.
#[derive(Clone)]
pub enum Set {
    Ints(IntSet),
    Packed(ListPack),
    Table(Table<1>),
}

impl Set {
    pub fn new() -> Self {
        Set::Ints(IntSet::new())
    }

    /// An empty set in its large form, for one that will not stay small.
    pub fn new_large() -> Self {
        Set::Table(Table::new())
    }

    /// Takes a listpack of members, unless one is there twice.
    pub fn from_listpack(pack: ListPack, limits: &Limits) -> Option<Self> {
        if !distinct(pack.iter()) {
            return None;
        }
        let fits = pack.len() <= limits.set_max_listpack_entries
            && pack.iter().all(|member| member.len() <= limits.set_max_listpack_value);
        if fits && pack.iter().any(|member| matches!(member, Elem::Bytes(_))) {
            return Some(Set::Packed(pack));
        }
        let mut set = Set::new();
        for member in pack.iter() {
            member.with(|member| set.add(member, limits));
        }
        Some(set)
    }

    /// Takes an intset, as RDB has it.
    pub fn from_intset(ints: IntSet, limits: &Limits) -> Self {
        let mut set = Set::Ints(ints);
        set.leave_full_intset(limits);
        set
    }

    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Set::Ints(ints) => ints.len(),
            Set::Packed(pack) => pack.len(),
            Set::Table(table) => table.len(),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match self {
            Set::Ints(_) => "intset",
            Set::Packed(_) => "listpack",
            Set::Table(_) => "hashtable",
        }
    }

    /// The intset of a set of few integers.
    pub fn intset(&self) -> Option<&IntSet> {
        match self {
            Set::Ints(ints) => Some(ints),
            _ => None,
        }
    }

    /// The listpack of a small set.
    pub fn packed(&self) -> Option<&ListPack> {
        match self {
            Set::Packed(pack) => Some(pack),
            _ => None,
        }
    }

    pub fn contains(&self, member: &[u8]) -> bool {
        match self {
            Set::Ints(ints) => parse_int(member).is_some_and(|n| ints.contains(n)),
            Set::Packed(pack) => pack.find(member, 0).is_some(),
            Set::Table(table) => table.contains(member),
        }
    }

    /// Adds a member; answers whether it is new.
    pub fn add(&mut self, member: &[u8], limits: &Limits) -> bool {
        match self {
            Set::Ints(ints) => {
                if let Some(n) = parse_int(member) {
                    let new = ints.insert(n);
                    self.leave_full_intset(limits);
                    return new;
                }
                self.leave_intset(1, member.len(), limits);
            }
            Set::Packed(pack) => {
                if pack.find(member, 0).is_some() {
                    return false;
                }
                let is_full = pack.len() >= limits.set_max_listpack_entries || !pack.has_room(member.len() + 16);
                if is_full || member.len() > limits.set_max_listpack_value {
                    self.make_table();
                }
            }
            Set::Table(_) => {}
        }
        match self {
            Set::Packed(pack) => {
                pack.push_back(member);
                true
            }
            Set::Table(table) => table.set([member]),
            Set::Ints(_) => unreachable!("a member that is no integer has just changed the form"),
        }
    }

    /// Takes a member out; answers whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self {
            Set::Ints(ints) => parse_int(member).is_some_and(|n| ints.remove(n)),
            Set::Packed(pack) => match pack.find(member, 0) {
                Some(at) => {
                    pack.remove(at);
                    true
                }
                None => false,
            },
            Set::Table(table) => table.remove(member),
        }
    }

    fn leave_full_intset(&mut self, limits: &Limits) {
        // Redis caps the directive so that an intset stays below 1 GiB.
        if let Set::Ints(ints) = self
            && ints.len() > limits.set_max_intset_entries.min(1 << 30)
        {
            self.leave_intset(0, 0, limits);
        }
    }

    /// Leaves the intset for the form that has room for all integers and `more` members of `longest` bytes.
    fn leave_intset(&mut self, more: usize, longest: usize, limits: &Limits) {
        // Integers are in order: the longest text is that of the first or of the last.
        let ends = self.nth(0).into_iter().chain(self.nth(self.len().saturating_sub(1)));
        let longest = ends.map(|member| member.len()).fold(longest, usize::max);
        let longest_max = limits.set_max_listpack_value.min(LISTPACK_MEMBER_MAX);
        if self.len() + more <= limits.set_max_listpack_entries && longest <= longest_max {
            let mut pack = ListPack::new();
            self.iter().for_each(|member| member.with(|member| pack.push_back(member)));
            *self = Set::Packed(pack);
        } else {
            self.make_table();
        }
    }

    fn make_table(&mut self) {
        let mut table = Table::new();
        for member in self.iter() {
            member.with(|member| table.set([member]));
        }
        *self = Set::Table(table);
    }

    /// All members.
    pub fn iter(&self) -> Iter<'_> {
        match self {
            Set::Ints(ints) => Iter::Ints(ints, 0),
            Set::Packed(pack) => Iter::Packed(pack.iter()),
            Set::Table(table) => Iter::Table(table.iter()),
        }
    }

    /// The member with `rank` others before it: a uniform rank gives a uniform member.
    pub fn nth(&self, rank: usize) -> Option<Elem<'_>> {
        match self {
            Set::Ints(ints) => ints.get(rank).map(Elem::Int),
            Set::Packed(pack) => pack.get(rank),
            Set::Table(table) => table.nth(rank).map(|[member]| Elem::Bytes(member)),
        }
    }

    /// Calls `each` for members from `cursor` on and answers the next cursor, 0 at the end. A member that is there from the first call to the
    /// last is given at least once.
    pub fn scan(&self, cursor: u64, count: usize, mut each: impl FnMut(Elem<'_>)) -> u64 {
        match self {
            Set::Ints(_) | Set::Packed(_) => {
                self.iter().for_each(each);
                0
            }
            Set::Table(table) => table.scan(cursor, count, |[member]| each(Elem::Bytes(member))),
        }
    }

    /// About how many allocations freeing the set gives back.
    pub fn free_effort(&self) -> usize {
        match self {
            Set::Ints(_) | Set::Packed(_) => 1,
            Set::Table(table) => table.free_effort(),
        }
    }

    /// Sizes of all allocations.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Set::Ints(ints) => ints.heap_bytes(),
            Set::Packed(pack) => pack.heap_bytes(),
            Set::Table(table) => table.heap_bytes(),
        }
    }
}

impl Default for Set {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl crate::value::Sealed for Set {}

impl Word for Set {
    const KINDS: u8 = 3;

    fn into_word(self) -> (u8, u64) {
        match self {
            Set::Ints(ints) => (0, ints.into_word().1),
            Set::Packed(pack) => (1, pack.into_word().1),
            Set::Table(table) => (2, table.into_word().1),
        }
    }

    unsafe fn from_word(form: u8, word: u64) -> Self {
        // SAFETY: the form says which of the three gave the word.
        unsafe {
            match form {
                0 => Set::Ints(IntSet::from_word(0, word)),
                1 => Set::Packed(ListPack::from_word(0, word)),
                _ => Set::Table(Table::from_word(0, word)),
            }
        }
    }
}

/// All members of a set.
pub enum Iter<'a> {
    Ints(&'a IntSet, usize),
    Packed(listpack::Iter<'a>),
    Table(table::Iter<'a, 1>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Elem<'a>;

    #[inline]
    fn next(&mut self) -> Option<Elem<'a>> {
        match self {
            Iter::Ints(ints, next) => {
                let n = ints.get(*next)?;
                *next += 1;
                Some(Elem::Int(n))
            }
            Iter::Packed(iter) => iter.next(),
            Iter::Table(iter) => iter.next().map(|[member]| Elem::Bytes(member)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn limits(ints: usize, entries: usize) -> Limits {
        Limits {
            set_max_intset_entries: ints,
            set_max_listpack_entries: entries,
            set_max_listpack_value: 30,
            ..Limits::default()
        }
    }

    #[test]
    fn it_changes_form_where_redis_does() {
        let limits = limits(3, 5);
        let mut set = Set::new();
        ["1", "2", "3"].iter().for_each(|m| assert!(set.add(m.as_bytes(), &limits)));
        assert_eq!(set.encoding(), "intset");
        assert!(!set.add(b"3", &limits) && set.add(b"4", &limits));
        assert_eq!((set.encoding(), set.len()), ("listpack", 4));
        assert!(set.add(b"x", &limits));
        assert!(set.packed().is_some() && !set.add(b"x", &limits));
        assert!(set.add(b"y", &limits));
        assert!(set.packed().is_none() && set.len() == 6 && set.contains(b"4"));

        let mut set = Set::new();
        set.add(b"01", &limits);
        assert!(set.intset().is_none() && set.packed().is_some());
        set.add(&[b'z'; 31], &limits);
        assert!(set.packed().is_none() && set.contains(b"01"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn edits_equal_a_tree_s(
            ops in prop::collection::vec((0u8..4, 0i16..40), 1..150), ints in 0usize..30, entries in 0usize..30, strings in 0u8..3
        ) {
            let limits = limits(ints, entries);
            let (mut set, mut model) = (Set::new(), BTreeSet::<Vec<u8>>::new());
            let mut kept = Vec::new();
            for (i, (op, n)) in ops.into_iter().enumerate() {
                let member = if n % 16 < i16::from(strings) { format!("m{n}") } else { n.to_string() }.into_bytes();
                if op == 0 {
                    assert_eq!(set.remove(&member), model.remove(&member));
                } else {
                    assert_eq!(set.add(&member, &limits), model.insert(member.clone()));
                }
                assert_eq!(set.contains(&member), model.contains(&member));
                if i % 16 == 0 {
                    kept.push((set.clone(), model.clone()));
                }
            }
            kept.push((set, model));
            for (set, model) in kept {
                assert_eq!((set.len(), set.is_empty()), (model.len(), model.is_empty()));
                let mut members: Vec<_> = set.iter().map(|m| m.to_vec()).collect();
                assert!(members.iter().cloned().eq((0..set.len()).filter_map(|i| set.nth(i)).map(|m| m.to_vec())));
                assert!(set.nth(set.len()).is_none());
                members.sort();
                assert!(members.into_iter().eq(model));
            }
        }
    }
}
