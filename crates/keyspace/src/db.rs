//! A database: a table of entries with what expiry and snapshots need.
//!
//! Every function that changes an entry captures its bucket for a running snapshot first; there is no other way to a mutable entry.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use crate::entry::{Entry, EntryRef, NewEntry};
use crate::hash::{HashKeys, Key, KeyHasher};
use crate::table::{SlotMut, Table};
use crate::value::Value;
use crate::value::stream::Removed as RemovedEntries;

mod due;
mod fields;
mod sample;

pub use due::Expired;

/// Receives the entries of a snapshot, each once, in the state in which it was when the snapshot began.
pub trait Sink {
    /// `db` is the number that the entry's database had when the snapshot began.
    fn capture(&mut self, db: usize, entry: EntryRef<'_>);
}

/// What a database must know while a snapshot runs over it.
struct Capturing {
    sink: Rc<RefCell<dyn Sink>>,
    db: usize,
    epoch: u32,
    /// Entries before this position have been handed over.
    walked_to: u64,
}

/// What a removal leaves to be freed, here or on another thread.
pub struct Trash(#[expect(dead_code, reason = "held only to be dropped")] TrashKind);

#[expect(dead_code, reason = "held only to be dropped")]
enum TrashKind {
    Table(Table),
    Value(Value),
    Entries(RemovedEntries),
}

impl From<Value> for Trash {
    fn from(value: Value) -> Trash {
        Trash(TrashKind::Value(value))
    }
}

impl From<RemovedEntries> for Trash {
    fn from(entries: RemovedEntries) -> Trash {
        Trash(TrashKind::Entries(entries))
    }
}

/// Room for keys that are to come to an empty database. It can be made on any thread, so that only that one touches the fresh memory.
pub struct Room(Table);

impl Room {
    pub fn for_keys(keys: usize) -> Room {
        Room(Table::with_room(keys))
    }
}

/// A removed key's value.
pub struct Removed {
    pub value: Value,
    pub deadline: Option<u64>,
}

/// What a plain SET did.
pub struct StringSet {
    /// Whether the key was there.
    pub existed: bool,
    /// What the key held, when that was more than a small string.
    pub old: Option<Value>,
}

/// What SET does with the deadline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    Keep,
    Set(Option<u64>),
}

/// One of the numbered databases.
pub struct Db<H = KeyHasher> {
    table: Table,
    hasher: H,
    capturing: Option<Capturing>,
    expires: usize,
    /// Where ticks count from; the first deadline decides.
    tick_base: Option<u64>,
    /// (tick, first position) of each segment's earliest deadline, and some outdated ones.
    due: BinaryHeap<Reverse<(u32, u64)>>,
    /// Hashes whose fields have deadlines.
    fields: BinaryHeap<fields::Queued>,
    /// How many of those were true when they were last gone through.
    fields_kept: usize,
}

impl<H: HashKeys> Db<H> {
    pub(crate) fn new(hasher: H) -> Self {
        Db {
            table: Table::new(),
            hasher,
            capturing: None,
            expires: 0,
            tick_base: None,
            due: BinaryHeap::new(),
            fields: BinaryHeap::new(),
            fields_kept: 0,
        }
    }

    /// Keys, including those that expired but are still there.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys with a deadline.
    pub fn expires_len(&self) -> usize {
        self.expires
    }

    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        Key { bytes, hash: self.hasher.hash(bytes) }
    }

    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        self.table.prefetch_bucket(hash);
    }

    /// For a key that [`insert_new`](Self::insert_new) will soon add.
    #[inline]
    pub fn prefetch_insertion(&self, hash: u64) {
        self.table.prefetch_insertion(hash);
    }

    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        self.table.prefetch_entry(hash);
    }

    /// For a key that will be needed soon, after [`prefetch_bucket`](Self::prefetch_bucket) and [`prefetch_entry`](Self::prefetch_entry).
    #[inline]
    pub fn prefetch_value(&self, hash: u64) {
        self.table.prefetch_value(hash);
    }

    #[inline]
    pub fn find(&self, key: Key<'_>) -> Option<EntryRef<'_>> {
        self.table.find(key).map(|found| self.table.get(found))
    }

    /// The entry for change. Its deadline is changed by [`Db::set_deadline`] only.
    #[inline]
    pub fn find_mut(&mut self, key: Key<'_>) -> Option<SlotMut<'_>> {
        let found = self.table.find(key)?;
        self.capture(key.hash);
        Some(self.table.get_mut(found))
    }

    /// Adds a key that is not there.
    pub fn insert(&mut self, key: Key<'_>, value: Value, deadline: Option<u64>, clock: u32) {
        debug_assert!(self.table.find(key).is_none());
        let entry = Entry::new(key.bytes, value, deadline, clock);
        self.insert_entry(key.hash, entry, deadline);
        if entry.has_timed_fields() {
            self.queue_fields(key, true);
        }
    }

    /// Adds an entry that was made elsewhere, with its key's hash and its deadline. If its key is there, it is given back.
    #[inline]
    pub fn insert_new(&mut self, hash: u64, new: NewEntry, deadline: Option<u64>) -> Result<(), NewEntry> {
        if self.table.find_where(hash, |entry| entry.key() == new.key()).is_some() {
            return Err(new);
        }
        let entry = new.into_entry();
        self.insert_entry(hash, entry, deadline);
        if entry.has_timed_fields() {
            self.queue_fields(Key { bytes: entry.key(), hash }, true);
        }
        Ok(())
    }

    #[inline]
    fn insert_entry(&mut self, hash: u64, entry: Entry, deadline: Option<u64>) {
        let grows = self.table.will_grow(hash);
        if grows {
            self.capture_segment(hash);
        } else {
            self.capture(hash);
        }
        self.table.insert(hash, entry, &self.hasher);
        if grows {
            self.requeue_due(hash);
        }
        if let Some(ms) = deadline {
            self.expires += 1;
            self.note_due(hash, ms);
        }
    }

    /// Takes room for the keys that are to come, unless some are here already.
    pub fn take_room(&mut self, room: Room) {
        if self.is_empty() && self.capturing.is_none() {
            self.table = room.0;
        }
    }

    /// Sets a string whether the key is there or not.
    #[inline]
    pub fn set_string(&mut self, key: Key<'_>, bytes: &[u8], deadline: Deadline, clock: u32) -> StringSet {
        let Some(found) = self.table.find(key) else {
            let deadline = if let Deadline::Set(d) = deadline { d } else { None };
            self.insert_entry(key.hash, Entry::new_string(key.bytes, bytes, deadline, clock), deadline);
            return StringSet { existed: false, old: None };
        };
        self.capture(key.hash);
        let before = self.table.get(found).deadline();
        let after = match deadline {
            Deadline::Keep => before,
            Deadline::Set(d) => d,
        };
        let mut slot = self.table.get_mut(found);
        slot.as_ref().set_clock(clock);
        let old = slot.entry().set_string_and_deadline(bytes, after);
        self.deadline_changed(key.hash, before, after);
        StringSet { existed: true, old }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: Key<'_>) -> Option<Removed> {
        let found = self.table.find(key)?;
        self.capture(key.hash);
        let entry = self.table.remove(found);
        let deadline = entry.deadline();
        let removed = Removed { value: entry.into_value(), deadline };
        if deadline.is_some() {
            self.expires -= 1;
        }
        if self.table.can_shrink(key.hash) {
            let (here, buddy) = self.table.buddies(key.hash);
            self.capture_segment(here);
            if let Some(buddy) = buddy {
                self.capture_segment(buddy);
            }
            self.table.shrink(key.hash, &self.hasher);
            self.requeue_due(key.hash);
        }
        Some(removed)
    }

    /// Sets or removes the deadline (Unix ms); answers whether the key is there.
    pub fn set_deadline(&mut self, key: Key<'_>, deadline: Option<u64>) -> bool {
        let Some(found) = self.table.find(key) else { return false };
        self.capture(key.hash);
        let before = self.table.get(found).deadline();
        self.table.get_mut(found).entry().set_deadline(deadline);
        self.deadline_changed(key.hash, before, deadline);
        true
    }

    fn deadline_changed(&mut self, hash: u64, before: Option<u64>, after: Option<u64>) {
        self.expires = self.expires + usize::from(after.is_some()) - usize::from(before.is_some());
        if let Some(ms) = after
            && before != after
        {
            self.note_due(hash, ms);
        }
    }

    // ---- by position ----

    /// Visits at least `count` entries if there are so many, and answers the cursor to go on with; 0 is the end. A key that is there from the
    /// first call to the last is visited at least once, however the table changes.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(EntryRef<'_>)) -> u64 {
        let mut position = cursor << SCAN_SHIFT;
        let mut seen = 0;
        let mut buckets = 0;
        loop {
            position = self.table.visit_bucket(position, |entry| {
                seen += 1;
                visit(entry);
            });
            buckets += 1;
            if position == 0 || seen >= count || buckets >= count.saturating_mul(10) {
                return position >> SCAN_SHIFT;
            }
        }
    }

    /// All entries, in no particular order.
    pub fn for_each(&self, f: impl FnMut(EntryRef<'_>)) {
        self.table.for_each(f);
    }

    /// Bytes of the table itself, without the entries.
    pub fn overhead_bytes(&self) -> usize {
        self.table.overhead_bytes()
            + self.due.capacity() * size_of::<Reverse<(u32, u64)>>()
            + self.fields.capacity() * size_of::<fields::Queued>()
    }

    /// Slots of the table.
    pub fn slots(&self) -> usize {
        self.table.slots()
    }

    // ---- snapshots ----

    /// Hands the bucket of `hash` to the running snapshot, if that has not had it.
    #[inline]
    fn capture(&mut self, hash: u64) {
        if self.capturing.is_some() {
            self.capture_bucket(hash);
        }
    }

    #[cold]
    fn capture_bucket(&mut self, position: u64) {
        let Some(c) = &self.capturing else { return };
        if position >= c.walked_to && self.table.mark_captured(position, c.epoch) {
            let mut sink = c.sink.borrow_mut();
            self.table.visit_bucket(position, |entry| sink.capture(c.db, entry));
        }
    }

    /// Hands over all of a segment whose borders are about to change.
    fn capture_segment(&mut self, position: u64) {
        let Some(c) = &self.capturing else { return };
        let (start, end) = self.table.segment_range(position);
        let epoch = c.epoch;
        let mut at = start.max(c.walked_to);
        if end != 0 && at >= end {
            // It may become a part of one that reaches beyond the walker.
            return self.table.mark_segment_captured(position, epoch);
        }
        loop {
            self.capture_bucket(at);
            at = self.table.next_position(at);
            if at == 0 || at == end {
                break;
            }
        }
        self.table.mark_segment_captured(position, epoch);
    }

    pub(crate) fn begin_capture(&mut self, sink: Rc<RefCell<dyn Sink>>, db: usize, epoch: u32) {
        self.capturing = Some(Capturing { sink, db, epoch, walked_to: 0 });
    }

    pub(crate) fn end_capture(&mut self) {
        self.capturing = None;
    }

    pub(crate) fn is_capturing(&self) -> bool {
        self.capturing.is_some()
    }

    /// Hands over about `budget` entries; answers how many there were. The capture ends with the last.
    pub(crate) fn walk(&mut self, budget: usize) -> usize {
        let mut seen = 0;
        let Some(c) = &mut self.capturing else { return seen };
        let mut group = Group::at(&self.table, c.walked_to);
        while seen < budget {
            // The beginnings of the next entries come while the rests of these do, and both while these are handed over.
            let next = Group::at(&self.table, group.next);
            group.positions().for_each(|position| self.table.prefetch_rest_of_home(position));
            let mut sink = c.sink.borrow_mut();
            for position in group.positions() {
                if self.table.mark_captured(position, c.epoch) {
                    self.table.visit_bucket(position, |entry| {
                        seen += 1;
                        sink.capture(c.db, entry);
                    });
                }
                seen += 1;
            }
            drop(sink);
            c.walked_to = group.next;
            if group.next == 0 {
                self.capturing = None;
                break;
            }
            group = next;
        }
        seen
    }

    /// Empties the database; what it held is to be dropped wherever that is cheap.
    pub(crate) fn take_all(&mut self) -> Self {
        std::mem::replace(self, Db::new(self.hasher))
    }

    pub(crate) fn into_trash(self) -> Trash {
        Trash(TrashKind::Table(self.table))
    }
}

/// Positions that are walked together.
struct Group {
    positions: [u64; GROUP_MAX],
    len: usize,
    /// The one after them, 0 at the end.
    next: u64,
}

const GROUP_MAX: usize = 4;

impl Group {
    /// The positions from here on. The memory is asked for the beginnings of their entries.
    fn at(table: &Table, position: u64) -> Group {
        let mut group = Group { positions: [0; GROUP_MAX], len: 0, next: position };
        for place in &mut group.positions {
            *place = group.next;
            group.len += 1;
            table.prefetch_home(group.next);
            group.next = table.next_position(group.next);
            if group.next == 0 {
                break;
            }
        }
        group
    }

    fn positions(&self) -> impl Iterator<Item = u64> {
        self.positions[..self.len].iter().copied()
    }
}

/// A cursor has 52 bits, so that it survives clients that keep it as a double.
const SCAN_SHIFT: u32 = 12;
