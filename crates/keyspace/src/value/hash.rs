//! A hash: field and value pairs in a listpack while it is small, else in a table.
//!
//! It changes form where Redis 7.0 does, and never back.

use std::fmt;

use super::listpack::{self, Pos};
use super::table::{self, Table};
use super::{Elem, Limits, ListPack, Word, distinct};

/// Fields and values, in the order of the fields' hashes.
pub type HashTree = Table<2>;

/// A hash in one of its two forms.
#[derive(Clone)]
pub enum Hash {
    Packed(ListPack),
    Table(HashTree),
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

    /// Takes a listpack of pairs, as RDB has them.
    pub fn from_listpack(pack: ListPack, limits: &Limits) -> Result<Self, BadHash> {
        let len = pack.len();
        if len % 2 != 0 || !distinct(pack.iter().step_by(2)) {
            return Err(BadHash);
        }
        let mut hash = Hash::Packed(pack);
        if len / 2 > limits.hash_max_listpack_entries {
            hash.make_table();
        }
        Ok(hash)
    }

    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Hash::Packed(pack) => pack.len() / 2,
            Hash::Table(table) => table.len(),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        match self {
            Hash::Packed(pack) => pack.is_empty(),
            Hash::Table(table) => table.is_empty(),
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match self {
            Hash::Packed(_) => "listpack",
            Hash::Table(_) => "hashtable",
        }
    }

    /// The listpack of a small hash.
    pub fn packed(&self) -> Option<&ListPack> {
        match self {
            Hash::Packed(pack) => Some(pack),
            Hash::Table(_) => None,
        }
    }

    pub fn get(&self, field: &[u8]) -> Option<Elem<'_>> {
        match self {
            Hash::Packed(pack) => value_pos(pack, field).map(|at| pack.at(at)),
            Hash::Table(table) => table.get(field).map(|[_, value]| Elem::Bytes(value)),
        }
    }

    pub fn contains(&self, field: &[u8]) -> bool {
        match self {
            Hash::Packed(pack) => pack.find(field, 1).is_some(),
            Hash::Table(table) => table.contains(field),
        }
    }

    /// Sets a field; answers whether it is new.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> bool {
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
        }
    }

    /// About how many allocations freeing the hash gives back.
    pub fn free_effort(&self) -> usize {
        match self {
            Hash::Packed(_) => 1,
            Hash::Table(table) => table.free_effort(),
        }
    }

    /// Sizes of all allocations.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Hash::Packed(pack) => pack.heap_bytes(),
            Hash::Table(table) => table.heap_bytes(),
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

impl Word for Hash {
    const KINDS: u8 = 2;

    fn into_word(self) -> (u8, u64) {
        match self {
            Hash::Packed(pack) => (0, pack.into_word().1),
            Hash::Table(table) => (1, table.into_word().1),
        }
    }

    unsafe fn from_word(form: u8, word: u64) -> Self {
        // SAFETY: the form says which of the two gave the word.
        unsafe {
            match form {
                0 => Hash::Packed(ListPack::from_word(0, word)),
                _ => Hash::Table(Table::from_word(0, word)),
            }
        }
    }
}

/// All pairs of a hash.
pub enum Iter<'a> {
    Packed(listpack::Iter<'a>),
    Table(table::Iter<'a, 2>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Elem<'a>, Elem<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Iter::Packed(iter) => Some((iter.next()?, iter.next()?)),
            Iter::Table(iter) => iter.next().map(pair),
        }
    }
}
