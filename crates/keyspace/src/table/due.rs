//! The marks of expiry: for each bucket of a segment that has deadlines, a tick that is not after the earliest of them.
//!
//! A mark may be too early, as keys go and deadlines move without it; whoever looks at the bucket sets it right. Segments with marks are listed, so that
//! keys with deadlines are found among many that have none.

use super::Table;
use super::slot::{LOCAL_BITS, local};
use crate::entry::EntryRef;

/// No deadline in a bucket.
pub(crate) const NEVER: u32 = u32::MAX;
/// The place of a segment that is not in the list.
pub(super) const NOT_LISTED: u32 = u32::MAX;
/// Buckets that are tried at random before the next one with a mark is taken.
const TRIES: usize = 4;

/// What a look at a marked bucket found out.
pub(crate) struct Marked {
    /// The first position of its segment.
    pub segment: u64,
    /// Whether it had no deadline any more; its mark is gone, and that of the segment may be a later one now.
    pub outdated: bool,
}

impl Table {
    /// Notes that a key at `hash` is due at `tick`; answers the segment's first position if it is to be queued with this tick.
    pub(crate) fn note_due(&mut self, hash: u64, tick: u32) -> Option<u64> {
        let d = *self.directory_entry(hash);
        let home = d.buckets.home(local(hash, d.depth));
        if self.segment(d.segment).due.is_none() {
            self.segment_mut(d.segment).due = Some(vec![NEVER; d.buckets.count as usize].into());
            self.list_if_due(d.segment);
        }
        let segment = self.segment_mut(d.segment);
        let due = segment.due.as_mut()?;
        due[home] = due[home].min(tick);
        if tick >= segment.queued {
            return None;
        }
        segment.queued = tick;
        Some(self.segment_range(hash).0)
    }

    /// Whether the segment of `position` is to be queued, with its earliest tick and its first position.
    pub(crate) fn enqueue(&mut self, position: u64) -> Option<(u32, u64)> {
        let tick = self.segment_due(position);
        let index = self.directory_entry(position).segment;
        let segment = self.segment_mut(index);
        if tick >= segment.queued {
            return None;
        }
        segment.queued = tick;
        Some((tick, self.segment_range(position).0))
    }

    /// What was queued has been taken out of the queue.
    pub(crate) fn unqueued(&mut self, tick: u32, position: u64) {
        let index = self.directory_entry(position).segment;
        let segment = self.segment_mut(index);
        if segment.queued == tick {
            segment.queued = NEVER;
        }
    }

    /// The earliest tick noted in the segment of `position`.
    pub(crate) fn segment_due(&self, position: u64) -> u32 {
        let due = &self.segment(self.directory_entry(position).segment).due;
        due.as_ref().and_then(|due| due.iter().min().copied()).unwrap_or(NEVER)
    }

    /// Positions of the segment's buckets that are due before `tick`.
    pub(crate) fn due_buckets(&self, position: u64, tick: u32) -> Vec<u64> {
        let index = self.directory_entry(position).segment;
        let Some(due) = &self.segment(index).due else { return Vec::new() };
        due.iter().enumerate().filter(|&(_, &t)| t < tick).map(|(home, _)| self.position_of(index, home)).collect()
    }

    /// The position of the bucket of this segment that has the earliest tick.
    pub(crate) fn earliest_bucket(&self, position: u64) -> u64 {
        let index = self.directory_entry(position).segment;
        let due = self.segment(index).due.iter().flat_map(|due| due.iter().enumerate());
        self.position_of(index, due.min_by_key(|&(_, &tick)| tick).map_or(0, |(home, _)| home))
    }

    /// Sets the tick of the bucket of `position`, once its entries have been looked at.
    pub(crate) fn set_bucket_due(&mut self, position: u64, tick: u32) {
        let d = *self.directory_entry(position);
        let home = d.buckets.home(local(position, d.depth));
        if let Some(due) = &mut self.segment_mut(d.segment).due {
            due[home] = tick;
        }
    }

    /// Visits the entries with deadlines of a bucket that `random` chooses among those that are marked.
    pub(crate) fn visit_marked(
        &mut self,
        mut random: impl FnMut() -> u64,
        mut visit: impl FnMut(EntryRef<'_>),
    ) -> Option<Marked> {
        let (index, home) = self.marked_bucket(&mut random)?;
        let segment = self.position_of(index, 0);
        let position = self.position_of(index, home);
        let mut found = false;
        self.visit_bucket(position, |entry| {
            if entry.deadline().is_some() {
                found = true;
                visit(entry);
            }
        });
        if !found {
            self.set_bucket_due(position, NEVER);
        }
        Some(Marked { segment, outdated: !found })
    }

    /// A bucket with a mark. Segments that turn out to have none leave the list.
    fn marked_bucket(&mut self, random: &mut impl FnMut() -> u64) -> Option<(u32, usize)> {
        for _ in 0..TRIES {
            let (index, home) = self.listed_bucket(random())?;
            if self.segment(index).due.as_ref().is_some_and(|due| due[home] != NEVER) {
                return Some((index, home));
            }
        }
        loop {
            let (index, from) = self.listed_bucket(random())?;
            let due = self.segment(index).due.as_ref()?;
            let count = due.len();
            if let Some(home) = (0..count).map(|i| (from + i) % count).find(|&home| due[home] != NEVER) {
                return Some((index, home));
            }
            let segment = self.segment_mut(index);
            segment.due = None;
            // What waits for it in the queue is passed over there, or is gone when all that is listed is queued anew. The next deadline is queued.
            segment.queued = NEVER;
            self.take_from_list(index);
        }
    }

    /// Any bucket of a listed segment.
    fn listed_bucket(&self, random: u64) -> Option<(u32, usize)> {
        let segments = self.with_deadlines.len();
        let index = *self.with_deadlines.get((random as u32 as usize).checked_rem(segments)?)?;
        Some((index, (random >> 32) as usize % self.segment(index).buckets.count as usize))
    }

    /// The first position of a segment's bucket.
    fn position_of(&self, index: u32, home: usize) -> u64 {
        let s = self.segment(index);
        let depth = u32::from(s.depth);
        let start = if depth == 0 { 0 } else { s.prefix << (64 - depth) };
        let first_local = ((home as u64) << LOCAL_BITS).div_ceil(u64::from(s.buckets.count));
        start | (first_local << (64 - LOCAL_BITS - depth))
    }

    /// Moves all marks to ticks that count from another beginning.
    pub(crate) fn move_marks(&mut self, to: impl Fn(u32) -> u32) {
        for i in 0..self.with_deadlines.len() {
            let index = self.with_deadlines[i];
            let due = self.segment_mut(index).due.iter_mut().flat_map(|due| due.iter_mut());
            due.filter(|tick| **tick != NEVER).for_each(|tick| *tick = to(*tick));
        }
    }

    /// Segments with marks.
    pub(crate) fn marked_segments(&self) -> usize {
        self.with_deadlines.len()
    }

    /// (tick, first position) of each segment with marks, all of which are queued then, once.
    pub(crate) fn queue_all(&mut self) -> Vec<(u32, u64)> {
        let mut queue = Vec::with_capacity(self.with_deadlines.len());
        for i in 0..self.with_deadlines.len() {
            let index = self.with_deadlines[i];
            self.segment_mut(index).queued = NEVER;
            queue.extend(self.enqueue(self.position_of(index, 0)));
        }
        queue
    }

    /// A segment may have got marks.
    pub(super) fn list_if_due(&mut self, index: u32) {
        let at = self.with_deadlines.len() as u32;
        let segment = self.segment_mut(index);
        if segment.due.is_some() && segment.due_at == NOT_LISTED {
            segment.due_at = at;
            self.with_deadlines.push(index);
        }
    }

    /// A segment ends, or has no marks any more.
    pub(super) fn take_from_list(&mut self, index: u32) {
        let at = std::mem::replace(&mut self.segment_mut(index).due_at, NOT_LISTED);
        if at == NOT_LISTED {
            return;
        }
        self.with_deadlines.swap_remove(at as usize);
        if let Some(&moved) = self.with_deadlines.get(at as usize) {
            self.segment_mut(moved).due_at = at;
        }
    }
}

/// A segment's ticks, or that it has none.
pub(super) fn part_of_due(due: &Option<Box<[u32]>>, count: u32) -> Box<[u32]> {
    due.clone().unwrap_or_else(|| vec![NEVER; count as usize].into())
}

/// Ticks of `due.len()` buckets brought to `count` buckets over the same positions: never later than before.
pub(super) fn spread_due(due: &[u32], count: usize) -> Box<[u32]> {
    (0..count)
        .map(|new| {
            let from = new * due.len() / count;
            let to = ((new + 1) * due.len()).div_ceil(count);
            due[from..to].iter().copied().min().unwrap_or(NEVER)
        })
        .collect()
}
