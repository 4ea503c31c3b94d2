//! A hash: field and value pairs in a listpack while it is small, else in a table; see [`timed`] for one whose fields have deadlines.
//!
//! It changes form where Redis does, and never back.

use std::fmt;

use super::listpack::{self, Pos};
use super::table::{self, Table};
use super::{Elem, Limits, ListPack, Word, distinct};

pub mod live;
pub mod timed;

pub use live::Live;
pub use timed::{FIELD_DEADLINE_MAX, NEVER, Rows, TimedHash};

/// Fields and values, in the order of the fields' hashes.
pub type HashTree = Table<2>;

/// A hash in one of its forms.
#[derive(Clone)]
pub enum Hash {
    Packed(ListPack),
    Table(HashTree),
    /// Fields have, or had, deadlines.
    Timed(Box<TimedHash>),
}

/// A listpack that is valid, but not of field and value pairs with different fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadHash;

impl fmt::Display for BadHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not pairs with different fields")
    }
}

impl std::error::Error for BadHash {}

impl Hash {
    pub fn new() -> Self {
        Hash::Packed(ListPack::new())
    }

    /// An empty hash in its large form, for one that will not stay small.
    pub fn new_large() -> Self {
        Hash::Table(HashTree::new())
    }

    /// Takes a listpack of pairs, as RDB has them.
    pub fn from_listpack(pack: ListPack, limits: &Limits) -> Result<Self, BadHash> {
        let len = pack.len();
        if !len.is_multiple_of(2) || !distinct(pack.iter().step_by(2)) {
            return Err(BadHash);
        }
        let mut hash = Hash::Packed(pack);
        if len / 2 > limits.hash_max_listpack_entries {
            hash.make_table();
        }
        Ok(hash)
    }

    /// Fields, including those that expired but are still there.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Hash::Packed(pack) => pack.len() / 2,
            Hash::Table(table) => table.len(),
            Hash::Timed(timed) => timed.len(),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        match self {
            Hash::Packed(pack) => pack.is_empty(),
            Hash::Table(table) => table.is_empty(),
            Hash::Timed(timed) => timed.len() == 0,
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match self {
            Hash::Packed(_) => "listpack",
            Hash::Timed(timed) if timed.is_packed() => "listpackex",
            Hash::Table(_) | Hash::Timed(_) => "hashtable",
        }
    }

    /// The listpack of a small hash whose fields have no deadlines.
    pub fn packed(&self) -> Option<&ListPack> {
        match self {
            Hash::Packed(pack) => Some(pack),
            Hash::Table(_) | Hash::Timed(_) => None,
        }
    }

    /// Whether it lies in a listpack, with deadlines or without.
    pub fn is_small(&self) -> bool {
        match self {
            Hash::Packed(_) => true,
            Hash::Table(_) => false,
            Hash::Timed(timed) => timed.is_packed(),
        }
    }

    /// What is there of it at `now_ms` (Unix ms): fields whose deadline has passed are not, though they may still be kept.
    #[inline]
    pub fn live(&self, now_ms: u64) -> Live<'_> {
        Live::new(self, now_ms)
    }

    pub fn get(&self, field: &[u8]) -> Option<Elem<'_>> {
        match self {
            Hash::Packed(pack) => value_pos(pack, field).map(|at| pack.at(at)),
            Hash::Table(table) => table.get(field).map(|[_, value]| Elem::Bytes(value)),
            Hash::Timed(timed) => timed.get(field).map(|(value, _)| value),
        }
    }

    pub fn contains(&self, field: &[u8]) -> bool {
        match self {
            Hash::Packed(pack) => pack.find(field, 1).is_some(),
            Hash::Table(table) => table.contains(field),
            Hash::Timed(timed) => timed.get(field).is_some(),
        }
    }

    /// Sets a field, which loses its deadline; answers whether it is new.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> bool {
        self.set_or_keep(field, value, false, limits)
    }

    /// Sets a field, which keeps its deadline; answers whether it is new.
    pub fn set_keeping_deadline(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> bool {
        self.set_or_keep(field, value, true, limits)
    }

    #[inline]
    fn set_or_keep(&mut self, field: &[u8], value: &[u8], keeps: bool, limits: &Limits) -> bool {
        let longest = field.len().max(value.len());
        if let Hash::Packed(pack) = self
            && (longest > limits.hash_max_listpack_value || !pack.has_room(field.len() + value.len() + 20))
        {
            self.make_table();
        }
        match self {
            Hash::Packed(pack) => {
                if let Some(at) = value_pos(pack, field) {
                    pack.replace(at, value);
                    return false;
                }
                pack.push_back(field);
                pack.push_back(value);
                if pack.len() / 2 > limits.hash_max_listpack_entries {
                    self.make_table();
                }
                true
            }
            Hash::Table(table) => table.set([field, value]),
            Hash::Timed(timed) => timed.set(field, value, keeps, limits),
        }
    }

    /// Takes a field out; answers whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self {
            Hash::Packed(pack) => {
                let found = pack.find(field, 1);
                if let Some(at) = found {
                    pack.remove_at(at, 2);
                }
                found.is_some()
            }
            Hash::Table(table) => table.remove(field),
            Hash::Timed(timed) => timed.remove(field),
        }
    }

    /// A field's deadline in Unix ms; nothing inside if it has none, nothing at all if there is no such field.
    pub fn deadline(&self, field: &[u8]) -> Option<Option<u64>> {
        match self {
            Hash::Timed(timed) => timed.get(field).map(|(_, deadline)| deadline),
            _ => self.contains(field).then_some(None),
        }
    }

    /// Sets a field's deadline in Unix ms (at most [`FIELD_DEADLINE_MAX`]) or takes it away; answers whether the field is there. The database must be
    /// told by [`Db::fields_changed`](crate::Db::fields_changed).
    pub fn set_deadline(&mut self, field: &[u8], deadline: Option<u64>, limits: &Limits) -> bool {
        match self {
            Hash::Timed(timed) => timed.set_deadline(field, deadline, limits),
            _ if !self.contains(field) => false,
            _ => deadline.is_none_or(|ms| self.make_timed(ms).set_deadline(field, deadline, limits)),
        }
    }

    fn make_timed(&mut self, base: u64) -> &mut TimedHash {
        let timed = match std::mem::take(self) {
            Hash::Packed(pack) => Box::new(TimedHash::packed(&pack, base.min(FIELD_DEADLINE_MAX))),
            Hash::Table(table) => Box::new(TimedHash::table(table)),
            Hash::Timed(timed) => timed,
        };
        *self = Hash::Timed(timed);
        match self {
            Hash::Timed(timed) => timed,
            _ => unreachable!("it was just made so"),
        }
    }

    /// Takes up to `limit` fields out whose deadline is before `now_ms`; `each` is told of them.
    pub fn take_expired(&mut self, now_ms: u64, limit: usize, each: impl FnMut(&[u8])) {
        if let Hash::Timed(timed) = self {
            timed.take_expired(now_ms, limit, each);
        }
    }

    /// Whether the database has to be told that fields are due earlier than it knows: see [`Db::fields_changed`](crate::Db::fields_changed).
    #[inline]
    pub fn is_due_earlier(&self) -> bool {
        match self {
            Hash::Packed(_) | Hash::Table(_) => false,
            Hash::Timed(timed) => timed.soonest() < timed.queued,
        }
    }

    /// Not after the earliest deadline of a field, which may have gone since; [`NEVER`] if there was none.
    #[inline]
    pub fn soonest(&self) -> u64 {
        match self {
            Hash::Packed(_) | Hash::Table(_) => NEVER,
            Hash::Timed(timed) => timed.soonest(),
        }
    }

    /// Whether any field has a deadline.
    #[inline]
    pub fn has_deadlines(&self) -> bool {
        match self {
            Hash::Packed(_) | Hash::Table(_) => false,
            Hash::Timed(timed) => timed.has_deadlines(),
        }
    }

    /// All fields with values and deadlines.
    pub fn rows(&self) -> Rows<'_> {
        match self {
            Hash::Packed(pack) => Rows::Packed2(pack.iter()),
            Hash::Table(table) => Rows::Table2(table.iter()),
            Hash::Timed(timed) => timed.rows(),
        }
    }

    fn make_table(&mut self) {
        if let Hash::Packed(_) = self {
            let mut table = HashTree::new();
            for (field, value) in self.iter() {
                field.with(|field| value.with(|value| table.set([field, value])));
            }
            *self = Hash::Table(table);
        }
    }

    /// All fields with their values.
    pub fn iter(&self) -> Iter<'_> {
        match self {
            Hash::Packed(pack) => Iter::Packed(pack.iter()),
            Hash::Table(table) => Iter::Table(table.iter()),
            Hash::Timed(timed) => Iter::Timed(timed.rows()),
        }
    }

    /// The pair with `rank` others before it: a uniform rank gives a uniform pair.
    pub fn nth(&self, rank: usize) -> Option<(Elem<'_>, Elem<'_>)> {
        match self {
            Hash::Packed(pack) => {
                let at = pack.seek(rank.checked_mul(2)?)?;
                Some((pack.at(at), pack.at(pack.next(at)?)))
            }
            Hash::Table(table) => table.nth(rank).map(pair),
            Hash::Timed(timed) => timed.nth(rank).map(|(field, value, _)| (field, value)),
        }
    }

    /// Calls `each` for pairs from `cursor` on and answers the next cursor, 0 at the end. A pair that is there from the first call to the last
    /// is given at least once.
    pub fn scan(&self, cursor: u64, count: usize, mut each: impl FnMut(Elem<'_>, Elem<'_>)) -> u64 {
        match self {
            Hash::Packed(_) => {
                self.iter().for_each(|(field, value)| each(field, value));
                0
            }
            Hash::Table(table) => {
                table.scan(cursor, count, |[field, value]| each(Elem::Bytes(field), Elem::Bytes(value)))
            }
            Hash::Timed(timed) => timed.scan(cursor, count, |field, value, _| each(field, value)),
        }
    }

    /// About how many allocations freeing the hash gives back.
    pub fn free_effort(&self) -> usize {
        match self {
            Hash::Packed(_) => 1,
            Hash::Table(table) => table.free_effort(),
            Hash::Timed(timed) => timed.free_effort(),
        }
    }

    /// Sizes of all allocations.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Hash::Packed(pack) => pack.heap_bytes(),
            Hash::Table(table) => table.heap_bytes(),
            Hash::Timed(timed) => timed.heap_bytes(),
        }
    }
}

fn value_pos(pack: &ListPack, field: &[u8]) -> Option<Pos> {
    pack.find(field, 1).and_then(|at| pack.next(at))
}

fn pair<'a>([field, value]: [&'a [u8]; 2]) -> (Elem<'a>, Elem<'a>) {
    (Elem::Bytes(field), Elem::Bytes(value))
}

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl crate::value::Sealed for Hash {}

impl Word for Hash {
    const KINDS: u8 = 3;

    fn into_word(self) -> (u8, u64) {
        match self {
            Hash::Packed(pack) => (0, pack.into_word().1),
            Hash::Table(table) => (1, table.into_word().1),
            Hash::Timed(timed) => (2, Box::into_raw(timed).expose_provenance() as u64),
        }
    }

    unsafe fn from_word(form: u8, word: u64) -> Self {
        // SAFETY: the form says which of them gave the word.
        unsafe {
            match form {
                0 => Hash::Packed(ListPack::from_word(0, word)),
                1 => Hash::Table(Table::from_word(0, word)),
                _ => Hash::Timed(Box::from_raw(std::ptr::with_exposed_provenance_mut(word as usize))),
            }
        }
    }
}

/// All pairs of a hash.
pub enum Iter<'a> {
    Packed(listpack::Iter<'a>),
    Table(table::Iter<'a, 2>),
    Timed(Rows<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Elem<'a>, Elem<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Iter::Packed(iter) => Some((iter.next()?, iter.next()?)),
            Iter::Table(iter) => iter.next().map(pair),
            Iter::Timed(rows) => rows.next().map(|(field, value, _)| (field, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn limits(entries: usize, value: usize) -> Limits {
        Limits { hash_max_listpack_entries: entries, hash_max_listpack_value: value, ..Limits::default() }
    }

    #[test]
    fn it_changes_form_where_redis_does() {
        let limits = limits(3, 5);
        let mut hash = Hash::new();
        for i in 0..3 {
            assert!(hash.set(&[b'a' + i], b"12345", &limits));
        }
        assert!(!hash.set(b"a", b"54321", &limits));
        assert_eq!(hash.encoding(), "listpack");
        hash.set(b"d", b"", &limits);
        assert_eq!(hash.encoding(), "hashtable");
        (0..3).for_each(|i| assert!(hash.remove(&[b'a' + i])));
        assert_eq!(hash.encoding(), "hashtable");
        for (field, value) in [("f", "123456"), ("123456", "v")] {
            let mut hash = Hash::new();
            hash.set(b"a", b"1", &limits);
            hash.set(field.as_bytes(), value.as_bytes(), &limits);
            assert_eq!((hash.encoding(), hash.len()), ("hashtable", 2));
        }
    }

    #[test]
    fn only_pairs_with_different_fields_are_taken() {
        let limits = limits(2, 64);
        let pack = |items: &[&str]| -> ListPack { items.iter().collect() };
        assert_eq!(Hash::from_listpack(pack(&["a"]), &limits).err(), Some(BadHash));
        assert_eq!(Hash::from_listpack(pack(&["a", "1", "a", "2"]), &limits).err(), Some(BadHash));
        let hash = Hash::from_listpack(pack(&["a", "1", "1", "a"]), &limits).expect("pairs");
        assert_eq!((hash.len(), hash.encoding()), (2, "listpack"));
        let hash = Hash::from_listpack(pack(&["a", "1", "1", "a", "c", "a"]), &limits).expect("pairs");
        assert_eq!((hash.len(), hash.encoding()), (3, "hashtable"));
        assert_eq!(hash.get(b"1"), Some(Elem::Bytes(b"a")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn edits_equal_a_map_s(
            ops in prop::collection::vec((0u8..4, 0u16..30, prop_oneof!["[a-z]{0,12}", "-?[0-9]{1,8}"]), 1..150), entries in 1usize..40
        ) {
            let limits = limits(entries, 9);
            let (mut hash, mut model) = (Hash::new(), BTreeMap::<Vec<u8>, Vec<u8>>::new());
            let mut kept = Vec::new();
            for (i, (op, field, value)) in ops.into_iter().enumerate() {
                let field = if field % 2 == 0 { field.to_string() } else { format!("f{field}") }.into_bytes();
                if op == 0 {
                    assert_eq!(hash.remove(&field), model.remove(&field).is_some());
                } else {
                    let value = value.into_bytes();
                    assert_eq!(hash.set(&field, &value, &limits), model.insert(field.clone(), value).is_none());
                }
                assert_eq!(hash.get(&field).map(|v| v.to_vec()), model.get(&field).cloned());
                assert_eq!(hash.contains(&field), model.contains_key(&field));
                if i % 16 == 0 {
                    kept.push((hash.clone(), model.clone()));
                }
            }
            kept.push((hash, model));
            for (hash, model) in kept {
                assert_eq!((hash.len(), hash.is_empty()), (model.len(), model.is_empty()));
                let mut pairs: Vec<_> = hash.iter().map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
                let ranked: Vec<_> = (0..hash.len()).filter_map(|i| hash.nth(i)).map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
                assert_eq!(pairs, ranked);
                assert!(hash.nth(hash.len()).is_none());
                pairs.sort();
                assert!(pairs.into_iter().eq(model));
            }
        }
    }
}
