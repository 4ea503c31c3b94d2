//! A set of integers as one sorted array, in exactly the bytes that RDB files carry.
//!
//! ```text
//! bytes an integer: u32 (2, 4 or 8) | integers: u32 | integer ...
//! ```
//!
//! It exists because sets of ids are common, and this is the smallest form that can be searched. When to leave it is the set's business.

use std::fmt;
use std::ptr::NonNull;
use std::slice;

use super::{Word, raw};
use crate::size_class::size_class;

const HEADER: usize = 8;

/// A sorted set of integers: one pointer to its bytes.
pub struct IntSet {
    pointer: NonNull<u8>,
}

/// Bytes that are not an intset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadIntSet;

impl fmt::Display for BadIntSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a valid intset")
    }
}

impl std::error::Error for BadIntSet {}

// SAFETY: the pointer is the only one to its allocation, as a Box's is.
unsafe impl Send for IntSet {}
// SAFETY: without `&mut` the bytes are only read.
unsafe impl Sync for IntSet {}

impl IntSet {
    pub fn new() -> Self {
        IntSet { pointer: raw::from_slice(&[2, 0, 0, 0, 0, 0, 0, 0]) }
    }

    /// Copies bytes that came from elsewhere, after checking all of them.
    pub fn from_bytes(bytes: impl AsRef<[u8]>) -> Result<Self, BadIntSet> {
        let bytes = bytes.as_ref();
        let header: [u8; HEADER] = bytes.get(..HEADER).and_then(|h| h.try_into().ok()).ok_or(BadIntSet)?;
        let width = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let len = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        if !matches!(width, 2 | 4 | 8) || len.checked_mul(width) != Some(bytes.len() - HEADER) {
            return Err(BadIntSet);
        }
        let sorted = bytes[HEADER..].chunks_exact(width).map(read).is_sorted_by(|a, b| a < b);
        if !sorted {
            return Err(BadIntSet);
        }
        Ok(IntSet { pointer: raw::from_slice(bytes) })
    }

    /// The bytes as RDB has them.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the header says how many bytes of the allocation are in use, and all of these are initialised.
        unsafe { slice::from_raw_parts(self.pointer.as_ptr(), HEADER + self.len() * self.width()) }
    }

    fn as_bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_bytes`; the pointer is the only one to its allocation.
        unsafe { slice::from_raw_parts_mut(self.pointer.as_ptr(), HEADER + self.len() * self.width()) }
    }

    fn header(&self) -> [u32; 2] {
        // SAFETY: the allocation starts with eight initialised bytes and is aligned to eight.
        unsafe { self.pointer.cast::<[u32; 2]>().read() }
    }

    /// Bytes an integer.
    fn width(&self) -> usize {
        u32::from_le(self.header()[0]) as usize
    }

    pub fn len(&self) -> usize {
        u32::from_le(self.header()[1]) as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size of the allocation.
    pub fn heap_bytes(&self) -> usize {
        size_class(self.as_bytes().len())
    }

    pub fn contains(&self, n: i64) -> bool {
        self.search(n).is_ok()
    }

    /// The integer with `rank` smaller ones before it.
    pub fn get(&self, rank: usize) -> Option<i64> {
        (rank < self.len()).then(|| self.at(rank))
    }

    /// All integers, smallest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + Clone + '_ {
        self.as_bytes()[HEADER..].chunks_exact(self.width()).map(read)
    }

    /// Adds `n`; answers whether it is new.
    pub fn insert(&mut self, n: i64) -> bool {
        let width = width_of(n);
        if width > self.width() {
            self.widen(width);
        }
        let Err(rank) = self.search(n) else { return false };
        let (len, width) = (self.len(), self.width());
        self.resize(width, len + 1);
        let body = &mut self.as_bytes_mut()[HEADER..];
        body.copy_within(rank * width..len * width, (rank + 1) * width);
        body[rank * width..][..width].copy_from_slice(&n.to_le_bytes()[..width]);
        true
    }

    /// Takes `n` out; answers whether it was there. The width never shrinks, as in Redis.
    pub fn remove(&mut self, n: i64) -> bool {
        let Ok(rank) = self.search(n) else { return false };
        let (len, width) = (self.len(), self.width());
        self.as_bytes_mut()[HEADER..].copy_within((rank + 1) * width..len * width, rank * width);
        self.resize(width, len - 1);
        true
    }

    fn at(&self, rank: usize) -> i64 {
        let width = self.width();
        read(&self.as_bytes()[HEADER + rank * width..][..width])
    }

    fn search(&self, n: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        // Appending is the commonest insertion.
        if high > 0 && self.at(high - 1) < n {
            return Err(high);
        }
        while low < high {
            let middle = low.midpoint(high);
            match self.at(middle).cmp(&n) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    fn widen(&mut self, width: usize) {
        let integers: Vec<i64> = self.iter().collect();
        self.resize(width, integers.len());
        for (to, n) in self.as_bytes_mut()[HEADER..].chunks_exact_mut(width).zip(integers) {
            to.copy_from_slice(&n.to_le_bytes()[..width]);
        }
    }

    /// Makes room for `len` integers of `width` bytes; new bytes are zero.
    fn resize(&mut self, width: usize, len: usize) {
        let before = self.as_bytes().len();
        let after = HEADER + len * width;
        let len = u32::try_from(len).expect("a set leaves this form long before four billion integers");
        // SAFETY: the allocation was made or last sized for `before` bytes.
        self.pointer = unsafe { raw::resize(self.pointer, before, after) };
        // SAFETY: the allocation holds `after` bytes, of which at least eight; those past `before` were never written.
        unsafe {
            self.pointer.as_ptr().add(before.min(after)).write_bytes(0, after.saturating_sub(before));
            self.pointer.cast::<[u32; 2]>().write([(width as u32).to_le(), len.to_le()]);
        }
    }
}

impl Default for IntSet {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for IntSet {
    fn clone(&self) -> Self {
        IntSet { pointer: raw::from_slice(self.as_bytes()) }
    }
}

impl Drop for IntSet {
    fn drop(&mut self) {
        // SAFETY: the allocation was last sized for this many bytes, and nothing else points to it.
        unsafe { raw::free(self.pointer, self.as_bytes().len()) };
    }
}

impl fmt::Debug for IntSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl crate::value::Sealed for IntSet {}

impl Word for IntSet {
    const KINDS: u8 = 1;

    fn into_word(self) -> (u8, u64) {
        let word = self.pointer.as_ptr().expose_provenance() as u64;
        std::mem::forget(self);
        (0, word)
    }

    unsafe fn from_word(_form: u8, word: u64) -> Self {
        let pointer = std::ptr::with_exposed_provenance_mut(word as usize);
        IntSet { pointer: NonNull::new(pointer).expect("into_word gave a pointer") }
    }
}

fn width_of(n: i64) -> usize {
    if i16::try_from(n).is_ok() {
        2
    } else if i32::try_from(n).is_ok() {
        4
    } else {
        8
    }
}

#[inline]
fn read(bytes: &[u8]) -> i64 {
    match *bytes {
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        _ => i64::from_le_bytes(bytes.try_into().expect("widths are 2, 4 and 8")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bytes_are_redis_s() {
        let mut set = IntSet::new();
        assert!(set.insert(3) && set.insert(-1) && !set.insert(3));
        assert_eq!(set.as_bytes(), [2, 0, 0, 0, 2, 0, 0, 0, 0xFF, 0xFF, 3, 0]);
        assert!(set.insert(32768));
        assert_eq!(set.as_bytes(), [4, 0, 0, 0, 3, 0, 0, 0, 255, 255, 255, 255, 3, 0, 0, 0, 0, 128, 0, 0]);
        assert!(set.insert(i64::MIN));
        assert_eq!(set.as_bytes()[..16], [8, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128]);
    }

    #[test]
    fn bad_bytes_are_refused() {
        for bytes in [
            &[][..],
            &[2, 0, 0, 0, 0, 0, 0],
            &[3, 0, 0, 0, 0, 0, 0, 0],
            &[2, 0, 0, 0, 1, 0, 0, 0],
            &[2, 0, 0, 0, 1, 0, 0, 0, 1],
            &[2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0],
            &[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0],
            &[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0],
            &[8, 0, 0, 0, 255, 255, 255, 255],
        ] {
            assert_eq!(IntSet::from_bytes(bytes).err(), Some(BadIntSet), "{bytes:?}");
        }
        assert!(IntSet::from_bytes([2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 1, 0]).is_ok());
    }

    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![
            8 => -20i64..20, 2 => any::<i16>().prop_map(i64::from), 1 => any::<i32>().prop_map(i64::from), 1 => any::<i64>(),
            1 => prop::sample::select(vec![i64::MIN, i64::MAX, 32767, 32768, -32768, -32769, 1 << 31, (1 << 31) - 1])
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn edits_equal_a_tree_s(ops in prop::collection::vec((any::<bool>(), number()), 1..120)) {
            let mut set = IntSet::new();
            let mut model = BTreeSet::new();
            for (add, n) in ops {
                if add {
                    assert_eq!(set.insert(n), model.insert(n));
                } else {
                    let before = set.clone();
                    let old: Vec<i64> = model.iter().copied().collect();
                    assert_eq!(set.remove(n), model.remove(&n));
                    assert!(before.iter().eq(old));
                }
                assert_eq!(set.contains(n), model.contains(&n));
                assert!(set.iter().eq(model.iter().copied()));
                assert_eq!(set.len(), model.len());
            }
            for (rank, n) in model.iter().enumerate() {
                assert_eq!(set.get(rank), Some(*n));
            }
            assert_eq!(set.get(model.len()), None);
            assert_eq!(IntSet::from_bytes(set.as_bytes()).expect("valid").as_bytes(), set.as_bytes());
        }
    }
}
