//! A consumer group: how far it has read, its consumers, and what was delivered and not acknowledged.
//!
//! What is pending is found by its id in the group, and by consumer and id. Both are kept by the functions here, so that neither knows of an
//! entry that the other does not.

use std::cmp::Ordering;
use std::fmt;

use triomphe::{Arc, ThinArc};

use super::sorted::{Item, Iter, Sorted};
use super::{Id, Removed};

/// The name of a group or consumer, shared by all who tell of it.
#[derive(Clone)]
pub struct Name(ThinArc<(), u8>);

impl Name {
    pub fn new(bytes: &[u8]) -> Name {
        Name(ThinArc::from_header_and_slice((), bytes))
    }

    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.slice
    }

    /// Size of the allocation.
    fn heap_bytes(&self) -> usize {
        crate::size_class::size_class(2 * size_of::<usize>() + self.as_bytes().len())
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub id: Id,
    /// When it was last delivered, in Unix ms.
    pub delivered_ms: i64,
    /// How often it was delivered.
    pub deliveries: u64,
    /// The consumer who has it.
    pub consumer: Name,
}

impl Item for Pending {
    type Key = Id;

    fn key_min() -> Id {
        Id::MIN
    }

    fn key(&self) -> Id {
        self.id
    }

    fn compare(&self, key: &Id) -> Ordering {
        self.id.cmp(key)
    }
}

impl Item for Id {
    type Key = Id;

    fn key_min() -> Id {
        Id::MIN
    }

    fn key(&self) -> Id {
        *self
    }

    fn compare(&self, key: &Id) -> Ordering {
        self.cmp(key)
    }
}

/// One who reads for a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    pub name: Name,
    /// When it last tried to read or claim, in Unix ms.
    pub seen_ms: i64,
    /// When it last got anything, in Unix ms; -1 when it never did.
    pub active_ms: i64,
    /// The ids that it has and has not acknowledged.
    pending: Sorted<Id>,
}

impl Consumer {
    /// What it has and has not acknowledged.
    pub fn pending(&self) -> &Sorted<Id> {
        &self.pending
    }
}

impl Item for Arc<Consumer> {
    type Key = Name;

    fn key_min() -> Name {
        Name::new(b"")
    }

    fn key(&self) -> Name {
        self.name.clone()
    }

    fn compare(&self, key: &Name) -> Ordering {
        self.name.cmp(key)
    }
}

/// `entries_read` of a group of which it is not known.
pub const READ_UNKNOWN: i64 = -1;

/// A consumer group.
#[derive(Clone, Debug)]
pub struct Group {
    pub name: Name,
    /// The greatest id that was delivered to anyone.
    pub last_id: Id,
    /// How many entries of the stream's were delivered or passed over, or [`READ_UNKNOWN`].
    pub entries_read: i64,
    pending: Sorted<Pending>,
    consumers: Sorted<Arc<Consumer>>,
}

impl Item for Arc<Group> {
    type Key = Name;

    fn key_min() -> Name {
        Name::new(b"")
    }

    fn key(&self) -> Name {
        self.name.clone()
    }

    fn compare(&self, key: &Name) -> Ordering {
        self.name.cmp(key)
    }
}

/// What is pending twice, or with a consumer that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPending;

impl Group {
    pub fn new(name: Name, last_id: Id, entries_read: i64) -> Group {
        Group { name, last_id, entries_read, pending: Sorted::default(), consumers: Sorted::default() }
    }

    /// What is pending, by id.
    pub fn pending(&self) -> &Sorted<Pending> {
        &self.pending
    }

    pub fn consumers_len(&self) -> usize {
        self.consumers.len()
    }

    /// All consumers, in the order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.consumers.iter().map(|consumer| &**consumer)
    }

    pub fn consumer(&self, name: &Name) -> Option<&Consumer> {
        self.consumers.get(name).map(|consumer| &**consumer)
    }

    /// Makes a consumer; answers whether it is new.
    pub fn create_consumer(&mut self, name: &Name, seen_ms: i64) -> bool {
        if self.consumers.get(name).is_some() {
            return false;
        }
        self.add_consumer(name.clone(), seen_ms, -1);
        true
    }

    /// Adds a consumer with nothing pending, as a file tells of it; answers whether its name is new.
    pub fn add_consumer(&mut self, name: Name, seen_ms: i64, active_ms: i64) -> bool {
        let consumer = Consumer { name, seen_ms, active_ms, pending: Sorted::default() };
        if self.consumers.get(&consumer.name).is_some() {
            return false;
        }
        self.consumers.insert(Arc::new(consumer));
        true
    }

    /// Removes a consumer with what it has; answers how much that was, if there is such a consumer.
    pub fn remove_consumer(&mut self, name: &Name) -> Option<usize> {
        let consumer = self.consumers.remove(name)?;
        for id in consumer.pending.iter() {
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }

    /// Notes when a consumer was seen, and if it got something.
    pub fn mark_seen(&mut self, name: &Name, now_ms: i64, active: bool) {
        self.change_consumer(name, |consumer| {
            consumer.seen_ms = now_ms;
            if active {
                consumer.active_ms = now_ms;
            }
        });
    }

    fn change_consumer(&mut self, name: &Name, change: impl FnOnce(&mut Consumer)) {
        self.consumers.change(name, |consumer| change(Arc::make_mut(consumer)));
    }

    /// Notes a delivery. An entry that is pending with someone else goes over.
    pub fn deliver(&mut self, pending: Pending) {
        let (id, consumer) = (pending.id, pending.consumer.clone());
        if let Some(before) = self.pending.insert(pending) {
            if before.consumer == consumer {
                return;
            }
            self.change_consumer(&before.consumer, |consumer| _ = consumer.pending.remove(&id));
        }
        self.change_consumer(&consumer, |consumer| _ = consumer.pending.insert(id));
    }

    /// Notes deliveries of several entries to one consumer.
    pub fn deliver_all(&mut self, consumer: &Name, ids: &[Id], delivered_ms: i64) {
        for &id in ids {
            let pending = Pending { id, delivered_ms, deliveries: 1, consumer: consumer.clone() };
            if let Some(before) = self.pending.insert(pending)
                && before.consumer != *consumer
            {
                self.change_consumer(&before.consumer, |consumer| _ = consumer.pending.remove(&id));
            }
        }
        self.change_consumer(consumer, |consumer| ids.iter().for_each(|id| _ = consumer.pending.insert(*id)));
    }

    /// Changes when and how often an entry was delivered, if it is pending.
    pub fn redeliver(&mut self, id: Id, delivered_ms: i64, deliveries: u64) {
        self.pending.change(&id, |pending| (pending.delivered_ms, pending.deliveries) = (delivered_ms, deliveries));
    }

    /// Takes an entry out of what is pending; answers whether it was.
    pub fn acknowledge(&mut self, id: Id) -> bool {
        let Some(pending) = self.pending.remove(&id) else { return false };
        self.change_consumer(&pending.consumer, |consumer| _ = consumer.pending.remove(&id));
        true
    }

    /// Puts in what is pending as a file tells of it. `consumers` has for each name the ids that it has, and each pending entry must be with
    /// exactly one.
    ///
    /// # Errors
    /// When that is not so, or a name is not a consumer's.
    pub fn restore_pending(
        &mut self,
        consumers: &[(Name, Vec<Id>)],
        pending: Vec<(Id, i64, u64)>,
    ) -> Result<(), BadPending> {
        let mut owners = std::collections::HashMap::with_capacity(pending.len().min(1 << 20));
        for (name, ids) in consumers {
            for id in ids {
                if owners.insert(*id, name).is_some() {
                    return Err(BadPending);
                }
            }
        }
        if owners.len() != pending.len() {
            return Err(BadPending);
        }
        for (id, delivered_ms, deliveries) in pending {
            let consumer = (*owners.get(&id).ok_or(BadPending)?).clone();
            if self.pending.insert(Pending { id, delivered_ms, deliveries, consumer }).is_some() {
                return Err(BadPending);
            }
        }
        for (name, ids) in consumers {
            self.consumers.get(name).ok_or(BadPending)?;
            self.change_consumer(name, |consumer| ids.iter().for_each(|id| _ = consumer.pending.insert(*id)));
        }
        Ok(())
    }

    /// Sizes of all allocations.
    pub(super) fn heap_bytes(&self) -> usize {
        let consumers: usize = self.consumers().map(Consumer::heap_bytes).sum();
        size_of::<Group>()
            + size_of::<usize>()
            + self.name.heap_bytes()
            + self.pending.heap_bytes()
            + self.consumers.heap_bytes()
            + consumers
    }

    pub(super) fn free_effort(&self) -> usize {
        // A consumer's ids are about as many as those of the group that it has.
        1 + 2 * self.pending.free_effort() + self.consumers.len()
    }
}

impl Consumer {
    fn heap_bytes(&self) -> usize {
        size_of::<Consumer>() + size_of::<usize>() + self.name.heap_bytes() + self.pending.heap_bytes()
    }
}

/// The groups of a stream, in the order of their names.
#[derive(Clone, Default)]
pub struct Groups(Sorted<Arc<Group>>);

impl Groups {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sizes of the allocations without the groups themselves.
    pub(super) fn own_bytes(&self) -> usize {
        self.0.heap_bytes()
    }

    pub fn iter(&self) -> GroupIter<'_> {
        GroupIter(self.0.iter())
    }

    pub fn get(&self, name: &Name) -> Option<&Group> {
        self.0.get(name).map(|group| &**group)
    }

    /// Changes the group of this name, if it is there.
    pub fn change<R>(&mut self, name: &Name, change: impl FnOnce(&mut Group) -> R) -> Option<R> {
        self.0.change(name, |group| change(Arc::make_mut(group)))
    }

    /// Adds a group; answers whether its name is new. If not, nothing changes.
    pub fn add(&mut self, group: Group) -> bool {
        if self.0.get(&group.name).is_some() {
            return false;
        }
        self.0.insert(Arc::new(group));
        true
    }

    /// Removes a group with all that it has.
    pub fn remove(&mut self, name: &Name) -> Option<Removed> {
        self.0.remove(name).map(Removed::group)
    }
}

/// The groups of a stream in order.
pub struct GroupIter<'a>(Iter<'a, Arc<Group>>);

impl<'a> Iterator for GroupIter<'a> {
    type Item = &'a Group;

    fn next(&mut self) -> Option<&'a Group> {
        self.0.next().map(|group| &**group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes())
    }

    /// Each index must tell of the same.
    fn check(group: &Group) {
        let mut from_consumers: Vec<_> =
            group.consumers().flat_map(|c| c.pending().iter().map(|id| (*id, c.name.clone()))).collect();
        from_consumers.sort();
        let from_group: Vec<_> = group.pending().iter().map(|p| (p.id, p.consumer.clone())).collect();
        assert_eq!(from_consumers, from_group);
    }

    fn pending(seq: u64, consumer: &str) -> Pending {
        Pending { id: Id::new(1, seq), delivered_ms: 5, deliveries: 1, consumer: name(consumer) }
    }

    #[test]
    fn both_indexes_tell_the_same() {
        let mut group = Group::new(name("g"), Id::MIN, 0);
        assert!(group.create_consumer(&name("a"), 1) && group.create_consumer(&name("b"), 1));
        assert!(!group.create_consumer(&name("a"), 2));
        group.deliver(pending(1, "a"));
        group.deliver_all(&name("b"), &[Id::new(1, 2), Id::new(1, 3)], 5);
        check(&group);
        let kept = group.clone();
        group.deliver(pending(2, "a"));
        group.deliver(pending(2, "a"));
        check(&group);
        group.redeliver(Id::new(1, 2), 9, 4);
        assert_eq!(group.pending().get(&Id::new(1, 2)).map(|p| (p.delivered_ms, p.deliveries)), Some((9, 4)));
        assert!(group.acknowledge(Id::new(1, 3)) && !group.acknowledge(Id::new(1, 3)));
        check(&group);
        assert_eq!(group.remove_consumer(&name("a")), Some(2));
        assert_eq!(group.remove_consumer(&name("a")), None);
        check(&group);
        assert_eq!((group.pending().len(), group.consumers_len()), (0, 1));
        assert_eq!((kept.pending().len(), kept.consumers_len()), (3, 2));
        check(&kept);
    }

    #[test]
    fn only_what_fits_together_is_restored() {
        let id = Id::new(1, 1);
        let group = || {
            let mut group = Group::new(name("g"), Id::MIN, 0);
            group.add_consumer(name("a"), 1, 2);
            group.add_consumer(name("b"), 1, 2);
            group
        };
        let one = vec![(id, 5, 1)];
        let mut good = group();
        assert_eq!(good.restore_pending(&[(name("a"), vec![id])], one.clone()), Ok(()));
        check(&good);
        for (consumers, pending) in [
            (vec![(name("a"), vec![id]), (name("b"), vec![id])], one.clone()),
            (vec![(name("a"), vec![])], one.clone()),
            (vec![(name("a"), vec![Id::new(2, 2)])], one.clone()),
            (vec![(name("c"), vec![id])], one.clone()),
            (vec![(name("a"), vec![id])], vec![(id, 5, 1), (id, 5, 1)]),
        ] {
            assert_eq!(group().restore_pending(&consumers, pending), Err(BadPending));
        }
    }
}
