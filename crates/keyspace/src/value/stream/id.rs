//! The id of an entry: a time in ms and a number within it.

use std::fmt;

/// An entry's id. Ids of a stream only grow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Id {
    /// Unix ms, or whatever the client counts in.
    pub ms: u64,
    pub seq: u64,
}

/// The longest text of an id: two integers of 20 digits and a dash.
pub const TEXT_LEN_MAX: usize = 41;

impl Id {
    pub const MIN: Id = Id { ms: 0, seq: 0 };
    pub const MAX: Id = Id { ms: u64::MAX, seq: u64::MAX };

    pub fn new(ms: u64, seq: u64) -> Id {
        Id { ms, seq }
    }

    /// The smallest id above this one.
    pub fn next(self) -> Option<Id> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => self.ms.checked_add(1).map(|ms| Id { ms, seq: 0 }),
        }
    }

    /// The greatest id below this one.
    pub fn prev(self) -> Option<Id> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => self.ms.checked_sub(1).map(|ms| Id { ms, seq: u64::MAX }),
        }
    }

    /// Calls `f` with the id's text, which is formatted on the stack.
    #[inline]
    pub fn with_text<R>(self, f: impl FnOnce(&[u8]) -> R) -> R {
        let mut text = [0; TEXT_LEN_MAX];
        let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (ms, seq) = (ms.format(self.ms).as_bytes(), seq.format(self.seq).as_bytes());
        text[..ms.len()].copy_from_slice(ms);
        text[ms.len()] = b'-';
        let len = ms.len() + 1 + seq.len();
        text[ms.len() + 1..len].copy_from_slice(seq);
        f(&text[..len])
    }

    /// The 16 bytes that RDB files have: they sort as the ids do.
    pub fn to_bytes(self) -> [u8; 16] {
        ((u128::from(self.ms) << 64) | u128::from(self.seq)).to_be_bytes()
    }

    /// Takes back what [`to_bytes`](Id::to_bytes) gave.
    pub fn from_bytes(bytes: [u8; 16]) -> Id {
        let both = u128::from_be_bytes(bytes);
        Id { ms: (both >> 64) as u64, seq: both as u64 }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_at_the_borders() {
        let id = Id::new;
        assert_eq!(id(5, 7).next(), Some(id(5, 8)));
        assert_eq!(id(5, u64::MAX).next(), Some(id(6, 0)));
        assert_eq!(Id::MAX.next(), None);
        assert_eq!(id(5, 7).prev(), Some(id(5, 6)));
        assert_eq!(id(5, 0).prev(), Some(id(4, u64::MAX)));
        assert_eq!(Id::MIN.prev(), None);
        assert!(id(1, u64::MAX) < id(2, 0) && id(2, 0) < id(2, 1));
    }

    #[test]
    fn texts_and_bytes() {
        for id in [Id::MIN, Id::MAX, Id::new(1_700_000_000_000, 3)] {
            id.with_text(|text| assert_eq!(text, id.to_string().as_bytes()));
            assert_eq!(Id::from_bytes(id.to_bytes()), id);
        }
        assert!(Id::new(1, 2).to_bytes() < Id::new(2, 1).to_bytes());
    }
}
