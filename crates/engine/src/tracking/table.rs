//! Keys that were read by clients that track, each with those clients.
//!
//! It is cut into parts by the keys' hashes, so that none takes long to grow or to be freed.

use std::collections::BTreeSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use indexmap::{Equivalent, IndexMap};
use rivulet_keyspace::Key;

use crate::client_id::ClientId;
use crate::client_set::ClientSet;
use crate::id_hash::IdHasher;

/// Parts of the table: with the default limit of a million keys each has some 4,000.
const PARTS: usize = 256;
/// A key's list of clients may have so many that are gone besides as many as track.
const GONE_MAX: usize = 16;

/// A key, with the hash that it has in the databases.
struct Name {
    bytes: Box<[u8]>,
    hash: u64,
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Name {}

/// A key that is looked for.
struct Wanted<'a>(Key<'a>);

impl Hash for Wanted<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl Equivalent<Name> for Wanted<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        *self.0.bytes == *name.bytes
    }
}

type Part = IndexMap<Name, ClientSet, BuildHasherDefault<IdHasher>>;

/// Which clients have read a key since it changed last.
#[derive(Default)]
pub struct Table {
    /// None before the first key.
    parts: Vec<Part>,
    len: usize,
    items: usize,
    /// What was forgotten and is still in memory.
    retired: Vec<Part>,
}

impl Table {
    /// Keys.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Pairs of a key and a client.
    pub fn items_len(&self) -> usize {
        self.items
    }

    fn part_of(hash: u64) -> usize {
        (hash >> 32) as usize % PARTS
    }

    /// A client has read a key. The list of a key that is read often and never changes is freed of clients that are not among the `live`.
    pub fn note(&mut self, key: Key<'_>, id: ClientId, live: &BTreeSet<ClientId>) {
        if self.parts.is_empty() {
            self.parts.resize_with(PARTS, Part::default);
        }
        let part = &mut self.parts[Table::part_of(key.hash)];
        let Some(ids) = part.get_mut(&Wanted(key)) else {
            part.insert(Name { bytes: key.bytes.into(), hash: key.hash }, ClientSet::One(id));
            self.len += 1;
            self.items += 1;
            return;
        };
        self.items += usize::from(ids.insert(id));
        // At least half of them are gone then, so that this costs no more than the inserts did.
        if ids.count() > 2 * live.len() + GONE_MAX {
            let before = ids.count();
            ids.retain(|id| live.contains(&id));
            self.items -= before - ids.count();
        }
    }

    /// A key has changed: it is forgotten, and those who have read it are answered.
    pub fn take(&mut self, key: Key<'_>) -> Option<ClientSet> {
        let ids = self.parts.get_mut(Table::part_of(key.hash))?.swap_remove(&Wanted(key))?;
        self.len -= 1;
        self.items -= ids.count();
        Some(ids)
    }

    /// A key at random, which is forgotten.
    pub fn take_any(&mut self, rng: &mut fastrand::Rng) -> Option<(Box<[u8]>, ClientSet)> {
        if self.len == 0 {
            return None;
        }
        let first = rng.usize(..PARTS);
        let at = (first..first + PARTS).map(|at| at % PARTS).find(|at| !self.parts[*at].is_empty())?;
        let part = &mut self.parts[at];
        let (name, ids) = part.swap_remove_index(rng.usize(..part.len()))?;
        self.len -= 1;
        self.items -= ids.count();
        Some((name.bytes, ids))
    }

    /// Forgets everything; the memory comes back little by little ([`Table::free_some`]).
    pub fn clear(&mut self) {
        self.retired.extend(std::mem::take(&mut self.parts).into_iter().filter(|part| part.capacity() > 0));
        (self.len, self.items) = (0, 0);
    }

    /// Whether something that was forgotten is still in memory.
    pub fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// Frees a part of what was forgotten.
    pub fn free_some(&mut self) {
        self.retired.pop();
        if self.retired.is_empty() {
            self.retired = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use rivulet_keyspace::{KeyHasher, Keyspace};

    use super::*;

    fn keyspace() -> Keyspace {
        Keyspace::new(1, KeyHasher::new([3, 4]))
    }

    #[test]
    fn keys_and_pairs_are_counted_through_all_changes() {
        let (keyspace, mut table) = (keyspace(), Table::default());
        let mut rng = fastrand::Rng::with_seed(5);
        let live: BTreeSet<ClientId> = (1..=9).collect();
        let mut model = std::collections::BTreeMap::<String, BTreeSet<ClientId>>::new();
        for step in 0..20_000 {
            let name = format!("key{}", rng.usize(..500));
            let key = keyspace.key(name.as_bytes());
            match rng.usize(..10) {
                0..6 => {
                    let id = rng.u64(1..10);
                    table.note(key, id, &live);
                    model.entry(name).or_default().insert(id);
                }
                6..9 => {
                    let ids = table.take(key).map(|ids| ids.iter().collect::<BTreeSet<_>>());
                    assert_eq!(ids, model.remove(&name), "step {step}");
                }
                _ if rng.usize(..50) == 0 => {
                    table.clear();
                    model.clear();
                }
                _ => {
                    let taken = table.take_any(&mut rng);
                    assert_eq!(taken.is_none(), model.is_empty());
                    let Some((name, ids)) = taken else { continue };
                    let name = String::from_utf8(name.into()).expect("it was a text");
                    assert_eq!(model.remove(&name), Some(ids.iter().collect()), "step {step}");
                }
            }
            let items = model.values().map(BTreeSet::len).sum::<usize>();
            assert_eq!((table.len(), table.items_len()), (model.len(), items), "step {step}");
        }
    }

    #[test]
    fn clients_that_have_gone_do_not_fill_a_key_that_never_changes() {
        let (keyspace, mut table) = (keyspace(), Table::default());
        for id in 1..10_000u64 {
            // Nobody stays but the last ten.
            let live: BTreeSet<ClientId> = (id.saturating_sub(9)..=id).collect();
            table.note(keyspace.key(b"hot"), id, &live);
            assert!(table.items_len() <= 2 * live.len() + GONE_MAX, "{} after {id}", table.items_len());
        }
        let ids = table.take(keyspace.key(b"hot")).expect("it was read");
        assert!((9_990..10_000).all(|id| ids.iter().any(|other| other == id)), "who is there was not forgotten");
    }

    #[test]
    fn what_is_forgotten_is_freed_in_parts() {
        let (keyspace, mut table) = (keyspace(), Table::default());
        for i in 0..10_000 {
            table.note(keyspace.key(format!("key{i}").as_bytes()), 1, &BTreeSet::new());
        }
        table.clear();
        assert!(table.is_empty() && table.has_retired());
        assert!(table.retired.iter().all(|part| part.len() < 120), "none of them is large");
        table.note(keyspace.key(b"key1"), 2, &BTreeSet::new());
        let steps = std::iter::from_fn(|| table.has_retired().then(|| table.free_some())).count();
        assert_eq!((steps, table.len()), (PARTS, 1));
    }

    #[test]
    fn any_key_may_be_the_one_that_goes() {
        let (keyspace, mut rng) = (keyspace(), fastrand::Rng::with_seed(1));
        let mut counts = [0; 10];
        for _ in 0..10_000 {
            let mut table = Table::default();
            for i in 0..10u8 {
                table.note(keyspace.key(&[b'0' + i]), 1, &BTreeSet::new());
            }
            let (name, _) = table.take_any(&mut rng).expect("there are ten");
            counts[usize::from(name[0] - b'0')] += 1;
        }
        assert!(counts.iter().all(|&n| n > 20), "{counts:?}");
    }
}
