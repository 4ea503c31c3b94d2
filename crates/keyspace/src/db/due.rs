//! Which keys are due: deadlines as ticks in the table's segments, and a heap that says which segment is next.

use std::cmp::Reverse;

use super::Db;
use crate::hash::HashKeys;
use crate::table::NEVER;

/// Deadlines are indexed in ticks of this many milliseconds, rounded down.
const TICK_SHIFT: u32 = 5;
const TICK_MS: u64 = 1 << TICK_SHIFT;
/// Ticks count from so long before the first deadline: nearly all others are later than that.
const BEFORE_FIRST_MS: u64 = (365 * 86_400_000) / TICK_MS * TICK_MS;
/// When the present is this many ticks from where they count from, which is three years, they are counted anew: they have 32 bits.
const TICKS_MAX: u32 = 3 << 30;
/// Entries that the heap may have beyond four for each segment with deadlines.
const HEAP_SPARE: usize = 1024;
/// The most marks that are set right in a search for the key that is due first.
const OUTDATED_MAX: usize = 64;

/// What [`Db::expired_keys`] found.
#[derive(Debug, Default)]
pub struct Expired {
    /// Keys whose deadline has passed. They stay until they are removed, and are found again if they are not.
    pub keys: Vec<Vec<u8>>,
    /// There may be more.
    pub more: bool,
}

impl<H: HashKeys> Db<H> {
    fn tick_of(base: u64, ms: u64) -> u32 {
        u32::try_from(ms.saturating_sub(base) >> TICK_SHIFT).map_or(NEVER - 1, |t| t.min(NEVER - 1))
    }

    pub(super) fn note_due(&mut self, hash: u64, ms: u64) {
        let base = *self.tick_base.get_or_insert(ms.saturating_sub(BEFORE_FIRST_MS));
        let tick = Self::tick_of(base, ms);
        if let Some(position) = self.table.note_due(hash, tick) {
            self.push_due((tick, position));
        }
    }

    /// Queues the segments around `hash` again after their borders changed.
    pub(super) fn requeue_due(&mut self, hash: u64) {
        if self.table.marked_segments() == 0 {
            return;
        }
        let (here, buddy) = self.table.buddies(hash);
        for position in [Some(here), buddy].into_iter().flatten() {
            self.queue(position);
        }
    }

    /// Queues the segment of `position`, if it has marks and does not wait with as early a one.
    pub(super) fn queue(&mut self, position: u64) {
        if let Some(entry) = self.table.enqueue(position) {
            self.push_due(entry);
        }
    }

    fn push_due(&mut self, entry: (u32, u64)) {
        self.due.push(Reverse(entry));
        // Segments that were joined to others leave theirs behind, and so does one whose earliest deadline comes nearer.
        if self.due.len() > HEAP_SPARE + 4 * self.table.marked_segments() {
            self.due = self.table.queue_all().into_iter().map(Reverse).collect();
        }
    }

    /// The segment with the earliest mark. Entries of the heap that are no longer true go.
    fn first_due(&mut self) -> Option<(u32, u64)> {
        while let Some(&Reverse((tick, position))) = self.due.peek() {
            let is_first = self.table.segment_range(position).0 == position;
            if is_first && self.table.segment_due(position) == tick {
                return Some((tick, position));
            }
            self.due.pop();
            if is_first {
                self.table.unqueued(tick, position);
                self.queue(position);
            }
        }
        None
    }

    /// Takes the first out of the queue. It is queued again once it was looked at.
    fn pop_due(&mut self) {
        if let Some(Reverse((tick, position))) = self.due.pop() {
            self.table.unqueued(tick, position);
        }
    }

    /// Counts ticks from elsewhere if the present is before where they count from, or long after. All marks are looked at; that is for a clock that
    /// was set, a first deadline in more than a year, and once in two years.
    fn settle_base(&mut self, base: u64, now_ms: u64) -> u64 {
        if now_ms >= base && Self::tick_of(base, now_ms) < TICKS_MAX {
            return base;
        }
        // The present is a year on.
        let wanted = now_ms.saturating_sub(BEFORE_FIRST_MS);
        let to = if wanted >= base {
            wanted - (wanted - base) % TICK_MS
        } else {
            base.saturating_sub((base - wanted).next_multiple_of(TICK_MS))
        };
        if to >= base {
            let ticks = u32::try_from((to - base) >> TICK_SHIFT).unwrap_or(NEVER);
            self.table.move_marks(|tick| tick.saturating_sub(ticks));
        } else {
            let ticks = u32::try_from((base - to) >> TICK_SHIFT).unwrap_or(NEVER);
            // What was before the old beginning may be anywhere.
            self.table.move_marks(|tick| if tick == 0 { 0 } else { tick.saturating_add(ticks).min(NEVER - 1) });
        }
        self.due = self.table.queue_all().into_iter().map(Reverse).collect();
        self.tick_base = Some(to);
        to
    }

    /// Keys whose deadline passed at least a tick (32 ms) before `now_ms`, after at most `limit` steps: a step is a key or a bucket.
    pub fn expired_keys(&mut self, now_ms: u64, limit: usize) -> Expired {
        let mut expired = Expired::default();
        let Some(base) = self.tick_base else { return expired };
        let base = self.settle_base(base, now_ms);
        let now_tick = Self::tick_of(base, now_ms);
        let mut steps = 0;
        while let Some((tick, position)) = self.first_due()
            && tick < now_tick
        {
            if steps >= limit {
                expired.more = true;
                break;
            }
            self.pop_due();
            for bucket in self.table.due_buckets(position, now_tick) {
                if steps >= limit {
                    break;
                }
                steps += 1;
                let mut earliest = NEVER;
                self.table.visit_bucket(bucket, |entry| {
                    let Some(ms) = entry.deadline() else { return };
                    let tick = Self::tick_of(base, ms);
                    if now_ms > ms && tick < now_tick {
                        steps += 1;
                        expired.keys.push(entry.key().to_vec());
                    }
                    earliest = earliest.min(tick);
                });
                self.table.set_bucket_due(bucket, earliest);
            }
            // What was handed out is still due here, until it is removed.
            if !expired.keys.is_empty() {
                expired.more = true;
                self.queue(position);
                break;
            }
            self.queue(position);
        }
        expired
    }

    /// When [`Db::expired_keys`] may find something next, in Unix ms; that may be over.
    pub fn next_due_ms(&self) -> Option<u64> {
        let &Reverse((tick, _)) = self.due.peek()?;
        Some(self.tick_base? + (u64::from(tick) + 1) * TICK_MS)
    }

    /// The deadline and the hash of a key that is due first, to a tick.
    pub fn soonest(&mut self) -> Option<(u64, u64)> {
        let base = self.tick_base?;
        let mut best: Option<(u64, u64)> = None;
        for _ in 0..OUTDATED_MAX {
            let (tick, position) = self.first_due()?;
            let bucket = self.table.earliest_bucket(position);
            let mut here: Option<(u64, u64)> = None;
            self.table.visit_bucket(bucket, |entry| {
                if let Some(ms) = entry.deadline()
                    && here.is_none_or(|(first, _)| ms < first)
                {
                    here = Some((ms, self.hasher.hash(entry.key())));
                }
            });
            if here.is_some_and(|(ms, _)| Self::tick_of(base, ms) <= tick) {
                return here;
            }
            best = best.into_iter().chain(here).min();
            self.pop_due();
            self.table.set_bucket_due(bucket, here.map_or(NEVER, |(ms, _)| Self::tick_of(base, ms)));
            self.queue(position);
        }
        best
    }
}
