//! What of a hash is there at a moment: fields that have expired are hidden until somebody takes them out.

use super::super::Elem;
use super::{Hash, Iter, Rows};

/// Ranks that are tried before all fields are looked at.
const TRIES: usize = 16;

/// A hash without the fields that have expired.
#[derive(Clone, Copy)]
pub struct Live<'a> {
    hash: &'a Hash,
    /// The moment, if something may be hidden at it.
    hides_at: Option<u64>,
}

impl<'a> Live<'a> {
    #[inline]
    pub(super) fn new(hash: &'a Hash, now_ms: u64) -> Self {
        Live { hash, hides_at: (now_ms > hash.soonest()).then_some(now_ms) }
    }

    /// Whether fields may be hidden: else it is the hash itself.
    pub fn hides(&self) -> bool {
        self.hides_at.is_some()
    }

    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<Elem<'a>> {
        match (self.hash, self.hides_at) {
            (Hash::Timed(timed), Some(now_ms)) => {
                timed.get(field).filter(|&(_, deadline)| is_there(deadline, now_ms)).map(|(value, _)| value)
            }
            _ => self.hash.get(field),
        }
    }

    pub fn contains(&self, field: &[u8]) -> bool {
        match self.hides_at {
            None => self.hash.contains(field),
            Some(_) => self.get(field).is_some(),
        }
    }

    /// As [`Hash::deadline`].
    pub fn deadline(&self, field: &[u8]) -> Option<Option<u64>> {
        self.hash.deadline(field).filter(|&deadline| self.hides_at.is_none_or(|now_ms| is_there(deadline, now_ms)))
    }

    /// Fields that are there. Small hashes are counted through where some may be hidden.
    pub fn len(&self) -> usize {
        match (self.hash, self.hides_at) {
            (Hash::Timed(timed), Some(now_ms)) => timed.len() - timed.expired_len(now_ms),
            _ => self.hash.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn iter(&self) -> LiveIter<'a> {
        match self.hides_at {
            None => LiveIter::All(self.hash.iter()),
            Some(now_ms) => LiveIter::Some { rows: self.hash.rows(), now_ms },
        }
    }

    /// A field chosen at random with its value; `random` gives numbers below its argument. The chances are even where nothing is hidden, and nearly
    /// so where something is.
    pub fn choose(&self, mut random: impl FnMut(usize) -> usize) -> Option<(Elem<'a>, Elem<'a>)> {
        let len = self.hash.len();
        if len == 0 {
            return None;
        }
        let (Hash::Timed(timed), Some(now_ms)) = (self.hash, self.hides_at) else {
            return self.hash.nth(random(len));
        };
        for _ in 0..TRIES {
            let (field, value, deadline) = timed.nth(random(len))?;
            if is_there(deadline, now_ms) {
                return Some((field, value));
            }
        }
        let live = self.len();
        (live > 0).then(|| random(live)).and_then(|rank| self.iter().nth(rank))
    }

    /// As [`Hash::scan`].
    pub fn scan(&self, cursor: u64, count: usize, mut each: impl FnMut(Elem<'_>, Elem<'_>)) -> u64 {
        match (self.hash, self.hides_at) {
            (Hash::Timed(timed), Some(now_ms)) => timed.scan(cursor, count, |field, value, deadline| {
                if is_there(deadline, now_ms) {
                    each(field, value);
                }
            }),
            _ => self.hash.scan(cursor, count, each),
        }
    }
}

fn is_there(deadline: Option<u64>, now_ms: u64) -> bool {
    deadline.is_none_or(|ms| now_ms <= ms)
}

/// The pairs that are there.
pub enum LiveIter<'a> {
    All(Iter<'a>),
    Some { rows: Rows<'a>, now_ms: u64 },
}

impl<'a> Iterator for LiveIter<'a> {
    type Item = (Elem<'a>, Elem<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            LiveIter::All(iter) => iter.next(),
            LiveIter::Some { rows, now_ms } => {
                rows.find(|&(_, _, deadline)| is_there(deadline, *now_ms)).map(|(field, value, _)| (field, value))
            }
        }
    }
}
