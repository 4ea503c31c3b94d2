//! The table: an extendible-hash directory of small segments, each an array of 64-byte buckets.
//!
//! It maps keys to entries and owns the entries. It never moves more than one segment at a time, and it reads an entry's memory only to compare
//! keys or when a segment's tags run out of bits. Snapshots and expiry keep their marks in its segments. The layout is drawn in `docs/keyspace.md`.
//!
//! A *position* is a key's hash read as a fraction of the whole: segments and buckets divide the positions among them in order.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

use crate::entry::{Collection, CollectionMut, Entry, EntryMut, EntryRef};
use crate::hash::{HashKeys, Key};

mod due;
mod slot;
#[cfg(test)]
mod tests;

pub(crate) use due::NEVER;
use due::{NOT_LISTED, part_of_due, spread_due};
pub(crate) use slot::with_entry;
use slot::{ADDRESS, LOCAL_BITS, SPILLED, TAG_SHIFT, WINDOW_STEP, entry_of_slot, local, local_of_slot, slot_of, tag};

const SLOTS: usize = 8;

const BUCKETS_MIN: usize = 8;
const BUCKETS_MAX: usize = 128;
/// What a split leaves each half with.
const BUCKETS_AFTER_SPLIT: usize = 80;
/// A mark says that an entry went on to the next bucket for want of room, and stays when there is room again. With so many of them in a row, which each
/// search for a key that is not there has to pass, a segment is rebuilt without them.
const OUTDATED_MARKS_MAX: usize = 4;

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Bucket([u64; SLOTS]);

/// A segment's buckets: raw, because directory entries point at them too.
#[derive(Clone, Copy)]
struct Buckets {
    first: *mut Bucket,
    count: u32,
}

impl Buckets {
    fn new(count: usize) -> Buckets {
        let layout = Layout::array::<Bucket>(count).expect("a segment is small");
        // SAFETY: `count` is never 0.
        let first = unsafe { alloc_zeroed(layout) }.cast::<Bucket>();
        if first.is_null() {
            handle_alloc_error(layout);
        }
        Buckets { first, count: count as u32 }
    }

    fn free(self) {
        let layout = Layout::array::<Bucket>(self.count as usize).expect("a segment is small");
        // SAFETY: allocated in `new` with this layout; the caller gives it up.
        unsafe { dealloc(self.first.cast(), layout) }
    }

    #[inline]
    fn slot(&self, at: SlotAt) -> *mut u64 {
        debug_assert!(at.bucket < self.count as usize && at.slot < SLOTS);
        // SAFETY: both indices lie inside the allocation.
        unsafe { (*self.first.add(at.bucket)).0.as_mut_ptr().add(at.slot) }
    }

    #[inline]
    fn get(&self, at: SlotAt) -> u64 {
        // SAFETY: the slot is inside the allocation, and only one thread uses a table.
        unsafe { *self.slot(at) }
    }

    #[inline]
    fn set(&self, at: SlotAt, value: u64) {
        // SAFETY: as for `get`.
        unsafe { *self.slot(at) = value }
    }

    #[inline]
    fn bucket(&self, index: usize) -> [u64; SLOTS] {
        debug_assert!(index < self.count as usize);
        // SAFETY: the index lies inside the allocation.
        unsafe { (*self.first.add(index)).0 }
    }

    #[inline]
    fn home(&self, local: u64) -> usize {
        ((local * u64::from(self.count)) >> LOCAL_BITS) as usize
    }

    #[inline]
    fn right_of(&self, bucket: usize) -> usize {
        if bucket + 1 == self.count as usize { 0 } else { bucket + 1 }
    }

    /// Puts a slot where it belongs; there must be room.
    fn place(&self, local: u64, slot: u64) {
        let (at, _) = self.room_from(self.home(local));
        self.set(at, slot | (self.get(at) & SPILLED));
    }

    /// The first free slot from `home` on, and whether its bucket is marked, though it has room; the full ones before it are marked from now on. There
    /// must be one.
    #[inline]
    fn room_from(&self, home: usize) -> (SlotAt, bool) {
        let mut bucket = home;
        loop {
            let slots = self.bucket(bucket);
            if let Some(slot) = slots.iter().position(|s| s & ADDRESS == 0) {
                return (SlotAt { bucket, slot }, slots[0] & SPILLED != 0);
            }
            self.set(SlotAt { bucket, slot: 0 }, slots[0] | SPILLED);
            bucket = self.right_of(bucket);
        }
    }

    /// How many of the buckets that a search from `home` on goes through are marked though they have room.
    #[cold]
    fn outdated_marks_from(&self, home: usize) -> usize {
        let (mut bucket, mut count) = (home, 0);
        for _ in 0..self.count {
            let slots = self.bucket(bucket);
            if slots[0] & SPILLED == 0 {
                break;
            }
            count += usize::from(slots.iter().any(|s| s & ADDRESS == 0));
            bucket = self.right_of(bucket);
        }
        count
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct SlotAt {
    bucket: usize,
    slot: usize,
}

#[derive(Clone, Copy)]
struct DirEntry {
    buckets: Buckets,
    segment: u32,
    depth: u8,
}

/// A segment: its buckets, and what snapshots and expiry note about them.
struct Segment {
    buckets: Buckets,
    depth: u8,
    /// The top `depth` bits that all its hashes share.
    prefix: u64,
    len: usize,
    /// The snapshot that `captured` speaks of.
    epoch: u32,
    /// One bit a bucket: already handed to the snapshot.
    captured: u128,
    /// For each bucket a tick not after its earliest deadline; absent while no key has one.
    due: Option<Box<[u32]>>,
    /// Its place in the list of segments with deadlines.
    due_at: u32,
    /// The earliest tick with which it waits in the database's heap.
    queued: u32,
}

/// The buckets that a segment of `len` entries should have.
fn buckets_for(len: usize) -> usize {
    let wanted = len.div_ceil(5);
    [8, 16, 32, 64, 80, 96, 112].into_iter().find(|&n| n >= wanted).unwrap_or(BUCKETS_MAX)
}

/// The entries that nearly no segment exceeds when each has so many on average: hashes spread them like a Poisson distribution.
fn most_in_one(average: usize) -> usize {
    average + average.isqrt()
}

/// The fewest buckets that so many entries fill to 7/8.
fn buckets_with_room(len: usize) -> usize {
    [8, 16, 32, 64, 80, 96, 112].into_iter().find(|&n| n * SLOTS * 7 / 8 >= len).unwrap_or(BUCKETS_MAX)
}

fn buckets_after(count: usize) -> usize {
    if count < 64 { count * 2 } else { count + 16 }
}

/// A set of keys with their entries.
pub(crate) struct Table {
    directory: Vec<DirEntry>,
    /// The directory has `1 << depth` entries.
    depth: u8,
    segments: Vec<Option<Segment>>,
    free_segments: Vec<u32>,
    /// Segments that have `due`, in no order.
    with_deadlines: Vec<u32>,
    len: usize,
}

// SAFETY: the table owns its buckets and entries alone; entries are Send.
unsafe impl Send for Table {}

/// Where an entry is, until the table changes.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    segment: u32,
    at: SlotAt,
}

impl Table {
    pub(crate) fn new() -> Table {
        let buckets = Buckets::new(BUCKETS_MIN);
        let segment = Segment {
            buckets,
            depth: 0,
            prefix: 0,
            len: 0,
            epoch: 0,
            captured: 0,
            due: None,
            due_at: NOT_LISTED,
            queued: NEVER,
        };
        Table {
            directory: vec![DirEntry { buckets, segment: 0, depth: 0 }],
            depth: 0,
            segments: vec![Some(segment)],
            free_segments: Vec::new(),
            with_deadlines: Vec::new(),
            len: 0,
        }
    }

    /// An empty table in which so many keys have room: hardly a segment has to grow for them.
    pub(crate) fn with_room(keys: usize) -> Table {
        let full = BUCKETS_MAX * SLOTS * 7 / 8;
        let depth = (0..u8::MAX).find(|&depth| most_in_one(keys >> depth) <= full).expect("the keys become fewer");
        let buckets = buckets_with_room(most_in_one(keys >> depth));
        let (directory, segments) = (Vec::new(), Vec::new());
        let (free_segments, with_deadlines) = (Vec::new(), Vec::new());
        let mut table = Table { directory, depth, segments, free_segments, with_deadlines, len: 0 };
        let count = 1usize << depth;
        table.directory.reserve_exact(count);
        table.segments.reserve_exact(count);
        for prefix in 0..count {
            let buckets = Buckets::new(buckets);
            table.directory.push(DirEntry { buckets, segment: prefix as u32, depth });
            let segment = Segment {
                buckets,
                depth,
                prefix: prefix as u64,
                len: 0,
                epoch: 0,
                captured: 0,
                due: None,
                due_at: NOT_LISTED,
                queued: NEVER,
            };
            table.segments.push(Some(segment));
        }
        table
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn directory_index(&self, hash: u64) -> usize {
        if self.depth == 0 { 0 } else { (hash >> (64 - u32::from(self.depth))) as usize }
    }

    #[inline]
    fn directory_entry(&self, hash: u64) -> &DirEntry {
        &self.directory[self.directory_index(hash)]
    }

    fn segment(&self, index: u32) -> &Segment {
        self.segments[index as usize].as_ref().expect("the directory names live segments only")
    }

    fn segment_mut(&mut self, index: u32) -> &mut Segment {
        self.segments[index as usize].as_mut().expect("the directory names live segments only")
    }

    /// Asks the memory for the bucket of `hash`.
    #[inline]
    pub(crate) fn prefetch_bucket(&self, hash: u64) {
        let d = self.directory_entry(hash);
        prefetch(d.buckets.first.wrapping_add(d.buckets.home(local(hash, d.depth))).cast());
    }

    /// Asks the memory for all that an insertion at `hash` changes.
    #[inline]
    pub(crate) fn prefetch_insertion(&self, hash: u64) {
        self.prefetch_bucket(hash);
        let index = self.directory_entry(hash).segment as usize;
        let segment: *const u8 = self.segments.as_ptr().wrapping_add(index).cast();
        prefetch(segment);
        prefetch(segment.wrapping_add(size_of::<Segment>() / 2));
    }

    /// Asks the memory for the entry of `hash`, whose bucket should have arrived.
    #[inline]
    pub(crate) fn prefetch_entry(&self, hash: u64) {
        let d = self.directory_entry(hash);
        let wanted = tag(hash, d.depth);
        for slot in d.buckets.bucket(d.buckets.home(local(hash, d.depth))) {
            if slot >> TAG_SHIFT == wanted && slot & ADDRESS != 0 {
                let entry: *const u8 = std::ptr::with_exposed_provenance(((slot & ADDRESS) << 3) as usize);
                prefetch(entry);
                // Its key may reach into the next line.
                prefetch(entry.wrapping_add(40));
            }
        }
    }

    /// Asks the memory for the value that the entry of `hash` points to. The entry should have arrived.
    #[inline]
    pub(crate) fn prefetch_value(&self, hash: u64) {
        let d = self.directory_entry(hash);
        let wanted = tag(hash, d.depth);
        for slot in d.buckets.bucket(d.buckets.home(local(hash, d.depth))) {
            if slot >> TAG_SHIFT == wanted && slot & ADDRESS != 0 {
                entry_of_slot(slot).prefetch_value();
            }
        }
    }

    #[inline]
    pub(crate) fn find(&self, key: Key<'_>) -> Option<Found> {
        self.find_where(key.hash, |entry| entry.key() == key.bytes)
    }

    /// The entry of this hash that `is_it` agrees to. Others are hardly ever looked at.
    #[inline]
    pub(crate) fn find_where(&self, hash: u64, is_it: impl Fn(Entry) -> bool) -> Option<Found> {
        let d = self.directory_entry(hash);
        let wanted = tag(hash, d.depth);
        let mut bucket = d.buckets.home(local(hash, d.depth));
        for _ in 0..d.buckets.count {
            let slots = d.buckets.bucket(bucket);
            for (i, &slot) in slots.iter().enumerate() {
                if slot >> TAG_SHIFT == wanted && slot & ADDRESS != 0 && is_it(entry_of_slot(slot)) {
                    return Some(Found { segment: d.segment, at: SlotAt { bucket, slot: i } });
                }
            }
            if slots[0] & SPILLED == 0 {
                return None;
            }
            bucket = d.buckets.right_of(bucket);
        }
        None
    }

    #[inline]
    pub(crate) fn get(&self, found: Found) -> EntryRef<'_> {
        EntryRef::new(entry_of_slot(self.segment(found.segment).buckets.get(found.at)))
    }

    /// The entry for change.
    pub(crate) fn get_mut(&mut self, found: Found) -> SlotMut<'_> {
        let buckets = self.segment(found.segment).buckets;
        // SAFETY: the slot is inside the segment, which lives as long as the borrow of the table.
        SlotMut { slot: unsafe { &mut *buckets.slot(found.at) } }
    }

    /// Adds an entry whose key is not in the table.
    pub(crate) fn insert(&mut self, hash: u64, entry: Entry, hasher: &impl HashKeys) -> Found {
        loop {
            let d = *self.directory_entry(hash);
            let segment = self.segment_mut(d.segment);
            if (segment.len + 1) * 8 > d.buckets.count as usize * SLOTS * 7 {
                self.grow(d.segment, hasher);
                continue;
            }
            let buckets = d.buckets;
            let home = buckets.home(local(hash, d.depth));
            let (at, is_marked) = buckets.room_from(home);
            if is_marked && buckets.outdated_marks_from(home) >= OUTDATED_MARKS_MAX {
                // Homes stay as they are, and with them what is captured and what is due.
                self.rebuild(d.segment, buckets.count as usize);
                continue;
            }
            let segment = self.segment_mut(d.segment);
            segment.len += 1;
            self.len += 1;
            buckets.set(at, slot_of(entry, hash, d.depth) | (buckets.get(at) & SPILLED));
            return Found { segment: d.segment, at };
        }
    }

    /// Whether adding or removing an entry at `hash` would rebuild its segment.
    pub(crate) fn will_grow(&self, hash: u64) -> bool {
        let d = self.directory_entry(hash);
        (self.segment(d.segment).len + 1) * 8 > d.buckets.count as usize * SLOTS * 7
    }

    /// Takes an entry out. The table shrinks only in [`Table::shrink`].
    pub(crate) fn remove(&mut self, found: Found) -> Entry {
        let segment = self.segment_mut(found.segment);
        let slot = segment.buckets.get(found.at);
        segment.buckets.set(found.at, slot & if found.at.slot == 0 { SPILLED } else { 0 });
        segment.len -= 1;
        self.len -= 1;
        entry_of_slot(slot)
    }

    /// Whether [`Table::shrink`] would do something at `hash`.
    #[inline]
    pub(crate) fn can_shrink(&self, hash: u64) -> bool {
        let d = self.directory_entry(hash);
        let segment = self.segment(d.segment);
        segment.len * 4 < d.buckets.count as usize * SLOTS && (d.buckets.count as usize > BUCKETS_MIN || d.depth > 0)
    }

    /// Gives memory back around `hash`: fewer buckets, or one segment where there were two.
    pub(crate) fn shrink(&mut self, hash: u64, hasher: &impl HashKeys) {
        let d = *self.directory_entry(hash);
        let wanted = buckets_for(self.segment(d.segment).len);
        if wanted >= BUCKETS_AFTER_SPLIT / 2 || d.depth == 0 {
            if wanted < d.buckets.count as usize {
                self.rebuild(d.segment, wanted);
            }
            return;
        }
        let buddy_hash = hash ^ (1 << (64 - u32::from(d.depth)));
        let buddy = *self.directory_entry(buddy_hash);
        if buddy.depth == d.depth
            && self.segment(buddy.segment).len + self.segment(d.segment).len <= BUCKETS_AFTER_SPLIT * 4
        {
            self.merge(d.segment, buddy.segment, hasher);
        } else if wanted < d.buckets.count as usize {
            self.rebuild(d.segment, wanted);
        }
    }

    /// The segment that `hash` lies in, and the one that a shrink may merge it with.
    pub(crate) fn buddies(&self, hash: u64) -> (u64, Option<u64>) {
        let d = self.directory_entry(hash);
        (hash, (d.depth > 0).then(|| hash ^ (1 << (64 - u32::from(d.depth)))))
    }

    fn grow(&mut self, index: u32, hasher: &impl HashKeys) {
        let count = self.segment(index).buckets.count as usize;
        if count < BUCKETS_MAX {
            self.rebuild(index, buckets_after(count));
        } else {
            self.split(index, hasher);
        }
    }

    /// Gives a segment another number of buckets. Only slots are read.
    fn rebuild(&mut self, index: u32, count: usize) {
        let segment = self.segment_mut(index);
        let (old, depth) = (segment.buckets, segment.depth);
        let new = Buckets::new(count);
        for bucket in 0..old.count as usize {
            for slot in old.bucket(bucket) {
                if slot & ADDRESS != 0 {
                    new.place(local_of_slot(slot, depth), slot & !SPILLED);
                }
            }
        }
        segment.due = segment.due.take().map(|due| spread_due(&due, count));
        segment.buckets = new;
        old.free();
        self.point_directory_at(index);
    }

    fn split(&mut self, index: u32, hasher: &impl HashKeys) {
        let (old, depth, prefix) = {
            let s = self.segment(index);
            (s.buckets, s.depth, s.prefix)
        };
        if depth == self.depth {
            self.directory = self.directory.iter().flat_map(|d| [*d, *d]).collect();
            self.depth += 1;
        }
        let new_depth = depth + 1;
        let halves = [Buckets::new(BUCKETS_AFTER_SPLIT), Buckets::new(BUCKETS_AFTER_SPLIT)];
        let mut lens = [0, 0];
        // A half that gets more than it can hold is rebuilt larger before it is filled.
        let bit_of = |slot: u64| (local_of_slot(slot, depth) >> (LOCAL_BITS - 1)) as usize;
        for_each_slot(&old, |slot| lens[bit_of(slot)] += 1);
        let halves: [Buckets; 2] = std::array::from_fn(|i| {
            if lens[i] * 8 <= BUCKETS_AFTER_SPLIT * SLOTS * 7 {
                return halves[i];
            }
            halves[i].free();
            Buckets::new(BUCKETS_MAX)
        });
        if u32::from(new_depth).is_multiple_of(WINDOW_STEP) {
            rehash(&old, hasher, |slot, hash| {
                halves[bit_of(slot)].place(local(hash, new_depth), slot_of(entry_of_slot(slot), hash, new_depth));
            });
        } else {
            for_each_slot(&old, |slot| halves[bit_of(slot)].place(local_of_slot(slot, new_depth), slot & !SPILLED));
        }
        let (epoch, captured, due, due_at, queued) = {
            let s = self.segment_mut(index);
            (s.epoch, s.captured, s.due.take(), s.due_at, s.queued)
        };
        old.free();
        let middle = old.count as usize / 2;
        for i in [0, 1] {
            let due = due
                .as_ref()
                .map(|due| spread_due(if i == 0 { &due[..middle] } else { &due[middle..] }, halves[i].count as usize));
            let segment = Segment {
                buckets: halves[i],
                depth: new_depth,
                prefix: (prefix << 1) | i as u64,
                len: lens[i],
                epoch,
                captured,
                due,
                due_at: if i == 0 { due_at } else { NOT_LISTED },
                queued: if i == 0 { queued } else { NEVER },
            };
            let at = if i == 0 { index } else { self.free_segments.pop().unwrap_or(self.segments.len() as u32) };
            if at as usize == self.segments.len() {
                self.segments.push(Some(segment));
            } else {
                self.segments[at as usize] = Some(segment);
            }
            self.list_if_due(at);
            self.point_directory_at(at);
        }
    }

    fn merge(&mut self, a: u32, b: u32, hasher: &impl HashKeys) {
        let (low, high) = if self.segment(a).prefix & 1 == 0 { (a, b) } else { (b, a) };
        self.take_from_list(high);
        let upper = self.segments[high as usize].take().expect("a buddy is live");
        self.free_segments.push(high);
        let lower = self.segment(low);
        let (len, depth) = (lower.len + upper.len, lower.depth);
        let (new_depth, prefix) = (depth - 1, lower.prefix >> 1);
        let new = Buckets::new(buckets_for(len));
        for old in [lower.buckets, upper.buckets] {
            rehash(&old, hasher, |slot, hash| {
                new.place(local(hash, new_depth), slot_of(entry_of_slot(slot), hash, new_depth));
            });
        }
        let lower = self.segment_mut(low);
        lower.buckets.free();
        upper.buckets.free();
        let due = (lower.due.is_some() || upper.due.is_some()).then(|| {
            let mut all = part_of_due(&lower.due, lower.buckets.count).into_vec();
            // Both halves are brought to one scale before they are joined.
            let right = part_of_due(&upper.due, upper.buckets.count);
            let scale = all.len().max(right.len());
            all = spread_due(&all, scale).into_vec();
            all.extend_from_slice(&spread_due(&right, scale));
            spread_due(&all, new.count as usize)
        });
        lower.due = due;
        (lower.buckets, lower.depth, lower.prefix, lower.len) = (new, new_depth, prefix, len);
        self.list_if_due(low);
        self.point_directory_at(low);
    }

    fn point_directory_at(&mut self, index: u32) {
        let s = self.segment(index);
        let entry = DirEntry { buckets: s.buckets, segment: index, depth: s.depth };
        let spread = self.depth - s.depth;
        let first = (s.prefix << spread) as usize;
        self.directory[first..first + (1 << spread)].fill(entry);
    }

    // ---- by position ----

    /// Calls `visit` with each entry whose home is the bucket of `position`, and answers the position after that bucket; 0 is the end.
    pub(crate) fn visit_bucket(&self, position: u64, mut visit: impl FnMut(EntryRef<'_>)) -> u64 {
        let d = self.directory_entry(position);
        let home = d.buckets.home(local(position, d.depth));
        self.for_each_at_home(d, home, |slot| visit(EntryRef::new(entry_of_slot(slot))));
        self.position_after(d.segment, home)
    }

    /// The position after the bucket of `position`; 0 is the end.
    pub(crate) fn next_position(&self, position: u64) -> u64 {
        let d = self.directory_entry(position);
        self.position_after(d.segment, d.buckets.home(local(position, d.depth)))
    }

    fn position_after(&self, segment: u32, home: usize) -> u64 {
        let s = self.segment(segment);
        let next_local = ((home as u64 + 1) << LOCAL_BITS).div_ceil(u64::from(s.buckets.count));
        let (depth, start) = (u32::from(s.depth), if s.depth == 0 { 0 } else { s.prefix << (64 - u32::from(s.depth)) });
        if next_local == 1 << LOCAL_BITS {
            if depth == 0 { 0 } else { start.wrapping_add(1 << (64 - depth)) }
        } else {
            start | (next_local << (64 - LOCAL_BITS - depth))
        }
    }

    fn for_each_at_home(&self, d: &DirEntry, home: usize, mut f: impl FnMut(u64)) {
        let mut bucket = home;
        for _ in 0..d.buckets.count {
            let slots = d.buckets.bucket(bucket);
            for slot in slots {
                if slot & ADDRESS != 0 && d.buckets.home(local_of_slot(slot, d.depth)) == home {
                    f(slot);
                }
            }
            if slots[0] & SPILLED == 0 {
                return;
            }
            bucket = d.buckets.right_of(bucket);
        }
    }

    /// The bucket of `position` is asked for, with the entries in it when it is already here.
    pub(crate) fn prefetch_home(&self, position: u64) {
        let d = self.directory_entry(position);
        self.for_each_at_home(d, d.buckets.home(local(position, d.depth)), |slot| {
            prefetch(std::ptr::with_exposed_provenance(((slot & ADDRESS) << 3) as usize));
        });
    }

    /// Asks the memory for what else there is of the entries of `position`, whose beginnings should have arrived.
    pub(crate) fn prefetch_rest_of_home(&self, position: u64) {
        let d = self.directory_entry(position);
        self.for_each_at_home(d, d.buckets.home(local(position, d.depth)), |slot| entry_of_slot(slot).prefetch_rest());
    }

    /// A slot chosen by `random`: an entry, or nothing when it is empty.
    pub(crate) fn probe(&self, random: u64, slot: usize) -> Option<EntryRef<'_>> {
        let d = self.directory_entry(random);
        let slot = d.buckets.get(SlotAt { bucket: d.buckets.home(local(random, d.depth)), slot: slot % SLOTS });
        (slot & ADDRESS != 0).then(|| EntryRef::new(entry_of_slot(slot)))
    }

    /// An entry of the first segment that has some, from one chosen by `random` on. For tables in which probes find nothing.
    pub(crate) fn any_entry(&self, random: u64) -> Option<EntryRef<'_>> {
        let count = self.segments.len();
        let start = random as usize % count;
        let segments = (0..count).filter_map(|i| self.segments[(start + i) % count].as_ref());
        let segment = segments.into_iter().find(|segment| segment.len > 0)?;
        let mut left = (random >> 32) as usize % segment.len;
        let mut chosen = None;
        for_each_slot(&segment.buckets, |slot| {
            if left == 0 && chosen.is_none() {
                chosen = Some(EntryRef::new(entry_of_slot(slot)));
            }
            left = left.saturating_sub(1);
        });
        chosen
    }

    /// All entries, in no particular order.
    pub(crate) fn for_each(&self, mut f: impl FnMut(EntryRef<'_>)) {
        for segment in self.segments.iter().flatten() {
            for_each_slot(&segment.buckets, |slot| f(EntryRef::new(entry_of_slot(slot))));
        }
    }

    // ---- marks of snapshots ----

    /// Marks the bucket of `position` as captured by snapshot `epoch`; answers whether it was not before.
    pub(crate) fn mark_captured(&mut self, position: u64, epoch: u32) -> bool {
        let d = *self.directory_entry(position);
        let bit = 1u128 << d.buckets.home(local(position, d.depth));
        let segment = self.segment_mut(d.segment);
        if segment.epoch != epoch {
            (segment.epoch, segment.captured) = (epoch, 0);
        }
        let fresh = segment.captured & bit == 0;
        segment.captured |= bit;
        fresh
    }

    /// Marks all buckets of a segment as captured.
    pub(crate) fn mark_segment_captured(&mut self, position: u64, epoch: u32) {
        let index = self.directory_entry(position).segment;
        let segment = self.segment_mut(index);
        (segment.epoch, segment.captured) = (epoch, u128::MAX);
    }

    /// The positions where the segment of `position` begins and where the next one does (0 at the end).
    pub(crate) fn segment_range(&self, position: u64) -> (u64, u64) {
        let depth = u32::from(self.directory_entry(position).depth);
        if depth == 0 {
            return (0, 0);
        }
        let start = position >> (64 - depth) << (64 - depth);
        (start, start.wrapping_add(1 << (64 - depth)))
    }

    /// Bytes of the directory and the segments, without the entries.
    pub(crate) fn overhead_bytes(&self) -> usize {
        let segments: usize = self
            .segments
            .iter()
            .flatten()
            .map(|s| s.buckets.count as usize * 64 + s.due.as_ref().map_or(0, |due| due.len() * 4))
            .sum();
        segments
            + self.segments.capacity() * size_of::<Option<Segment>>()
            + self.directory.capacity() * size_of::<DirEntry>()
    }

    /// Slots in the table, for DEBUG HTSTATS.
    pub(crate) fn slots(&self) -> usize {
        self.segments.iter().flatten().map(|s| s.buckets.count as usize * SLOTS).sum()
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        for segment in self.segments.iter().flatten() {
            for_each_slot(&segment.buckets, |slot| entry_of_slot(slot).free());
            segment.buckets.free();
        }
    }
}

/// An entry lent for change. Whoever moves it says so in its slot at once, so that nothing depends on how the guard goes.
pub struct SlotMut<'a> {
    slot: &'a mut u64,
}

impl<'a> SlotMut<'a> {
    pub fn entry(&mut self) -> EntryMut<'_> {
        // SAFETY: the slot is that of an entry, and is lent with it.
        unsafe { EntryMut::new(self.slot) }
    }

    pub fn as_ref(&self) -> EntryRef<'_> {
        EntryRef::new(entry_of_slot(*self.slot))
    }

    /// The collection of type `T`, or nothing when the value is of another type.
    pub fn collection<T: Collection>(self) -> Option<CollectionMut<'a, T>> {
        // SAFETY: as above; the entry does not move while its collection is lent.
        unsafe { EntryMut::new(self.slot) }.into_collection()
    }
}

/// The entry in a slot that has one.
pub(crate) fn entry_in(slot: u64) -> Entry {
    entry_of_slot(slot)
}

fn for_each_slot(buckets: &Buckets, mut f: impl FnMut(u64)) {
    for bucket in 0..buckets.count as usize {
        for slot in buckets.bucket(bucket) {
            if slot & ADDRESS != 0 {
                f(slot);
            }
        }
    }
}

/// Hashes the keys of all entries again, with the memory asked for ahead.
fn rehash(buckets: &Buckets, hasher: &impl HashKeys, mut f: impl FnMut(u64, u64)) {
    const AHEAD: usize = 2;
    let count = buckets.count as usize;
    let ask = |bucket: usize| {
        for slot in buckets.bucket(bucket) {
            prefetch(std::ptr::with_exposed_provenance(((slot & ADDRESS) << 3) as usize));
        }
    };
    (0..AHEAD.min(count)).for_each(ask);
    for bucket in 0..count {
        if bucket + AHEAD < count {
            ask(bucket + AHEAD);
        }
        for slot in buckets.bucket(bucket) {
            if slot & ADDRESS != 0 {
                f(slot, hasher.hash(entry_of_slot(slot).key()));
            }
        }
    }
}

/// Asks the memory for what lies at an address.
#[inline]
pub(crate) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, readonly, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}
