//! A chunk of a long list: a listpack that is shared until it is edited.
//!
//! ```text
//! holders: usize | listpack
//! ```
//!
//! It exists so that a list clones in O(1) and an edit copies one chunk. The counter lies in the listpack's own allocation, so that a full
//! chunk fills one size class of the allocator and nothing beside it.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use super::tree::Leaf;
use super::{Limits, ListPack, Word};

/// The largest allocation of a chunk with more than one element: what an edit may have to copy.
pub const ALLOCATION_BYTES_MAX: usize = 4096;
/// The listpack of such a chunk.
const CHUNK_BYTES_MAX: usize = ALLOCATION_BYTES_MAX - COUNTER;
/// A chunk below this joins a neighbour.
const CHUNK_BYTES_MIN: usize = 1024;
/// Joined chunks stay below this.
const JOINED_BYTES_MAX: usize = 3072;
/// Bytes of the counter.
const COUNTER: usize = size_of::<AtomicUsize>();
/// So many holders are a bug: the counter must not come round to zero.
const HOLDERS_MAX: usize = usize::MAX / 2;

/// A listpack that is copied when it is edited while someone else holds it.
pub struct Chunk(ManuallyDrop<ListPack<COUNTER>>);

impl Chunk {
    pub fn new(pack: &ListPack) -> Self {
        Self::own(pack.copied())
    }

    /// A chunk without elements.
    pub fn empty() -> Self {
        Self::own(ListPack::empty())
    }

    /// Makes a listpack of which there is no other holder a chunk.
    fn own(pack: ListPack<COUNTER>) -> Self {
        let chunk = Chunk(ManuallyDrop::new(pack));
        chunk.holders().store(1, Ordering::Relaxed);
        chunk
    }

    fn holders(&self) -> &AtomicUsize {
        // SAFETY: the allocation starts with the counter, is aligned to eight, and lives as long as this holder. The counter is only used as an
        // atomic while there may be others.
        unsafe { self.0.pointer().cast::<AtomicUsize>().as_ref() }
    }

    /// The listpack to change; copied first when someone else holds it too.
    pub fn edit(&mut self) -> &mut ListPack<COUNTER> {
        // What the other holders read before they let go happened before what is written now.
        if self.holders().load(Ordering::Acquire) != 1 {
            *self = Self::own(self.copied());
        }
        &mut self.0
    }
}

impl Deref for Chunk {
    type Target = ListPack<COUNTER>;

    #[inline]
    fn deref(&self) -> &ListPack<COUNTER> {
        &self.0
    }
}

impl Clone for Chunk {
    fn clone(&self) -> Self {
        let before = self.holders().fetch_add(1, Ordering::Relaxed);
        assert!(before < HOLDERS_MAX, "a chunk has {before} holders");
        // SAFETY: the counter lets one holder edit only when it is alone, and only the last one drops.
        Chunk(ManuallyDrop::new(unsafe { ListPack::from_pointer(self.0.pointer()) }))
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if self.holders().fetch_sub(1, Ordering::Release) == 1 {
            // What the other holders read before they let go happened before the bytes go.
            fence(Ordering::Acquire);
            // SAFETY: this was the last holder, and it is not used again.
            unsafe { ManuallyDrop::drop(&mut self.0) };
        }
    }
}

impl crate::value::Sealed for Chunk {}

impl Word for Chunk {
    const KINDS: u8 = 1;

    fn into_word(self) -> (u8, u64) {
        let chunk = ManuallyDrop::new(self);
        (0, chunk.0.pointer().as_ptr().expose_provenance() as u64)
    }

    unsafe fn from_word(_form: u8, word: u64) -> Self {
        let pointer = std::ptr::with_exposed_provenance_mut(word as usize);
        let pointer = NonNull::new(pointer).expect("into_word gave a pointer");
        // SAFETY: by the caller's word this is the pointer of a holder that was given up.
        Chunk(ManuallyDrop::new(unsafe { ListPack::from_pointer(pointer) }))
    }
}

/// How full a chunk may be.
#[derive(Clone, Copy)]
pub struct Full {
    bytes: usize,
    count: usize,
}

impl Full {
    pub fn of(limits: &Limits) -> Self {
        let count = match limits.list_max_listpack_size {
            n if n < 0 => usize::MAX,
            n => usize::try_from(n).unwrap_or(usize::MAX).max(1),
        };
        Full { count, ..Self::ANY }
    }

    /// For what never makes chunks larger.
    pub const ANY: Full = Full { bytes: CHUNK_BYTES_MAX, count: usize::MAX };

    pub fn exceeded_by<const PREFIX: usize>(self, pack: &ListPack<PREFIX>) -> bool {
        pack.bytes_len() > self.bytes || (self.count < usize::MAX && pack.len() > self.count)
    }

    /// Whether an element of so many bytes fits as well.
    pub fn has_room<const PREFIX: usize>(self, pack: &ListPack<PREFIX>, value_len: usize) -> bool {
        let entry = ListPack::entry_bytes_max(value_len);
        pack.is_empty()
            || (pack.bytes_len() + entry <= self.bytes && (self.count == usize::MAX || pack.len() < self.count))
    }
}

impl Leaf for Chunk {
    type Key = ();
    type Limit = Full;

    fn key_min() {}

    fn len(&self) -> usize {
        self.0.len()
    }

    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }

    fn is_over(&self, limit: Full) -> bool {
        limit.exceeded_by(&self.0)
    }

    fn is_under(&self) -> bool {
        self.0.bytes_len() < CHUNK_BYTES_MIN
    }

    /// Splits where the bytes are halved, or around an element that is larger than that.
    fn split(&mut self) -> Option<((), Self)> {
        let half = self.0.bytes_len() / 2;
        let (mut bytes, mut at) = (0, 0);
        for elem in self.0.iter() {
            bytes += elem.with(ListPack::entry_bytes);
            if bytes > half {
                break;
            }
            at += 1;
        }
        let at = at.clamp(1, Leaf::len(self).max(2) - 1);
        let rest = self.edit().split_off(at);
        (!rest.is_empty()).then(|| ((), Chunk::own(rest)))
    }

    fn absorb(&mut self, right: &Self, limit: Full) -> bool {
        if self.0.bytes_len() + right.0.bytes_len() > JOINED_BYTES_MAX || self.0.len() + right.0.len() > limit.count {
            return false;
        }
        self.edit().append(&right.0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size_class::size_class;

    fn chunk(elements: usize) -> Chunk {
        let mut pack = ListPack::new();
        (0..elements).for_each(|i| pack.push_back(i.to_string().as_bytes()));
        Chunk::new(&pack)
    }

    fn replace_first(chunk: &mut Chunk) {
        let pack = chunk.edit();
        let at = pack.first().expect("it has some");
        pack.replace(at, b"9");
    }

    #[test]
    fn an_edit_never_changes_a_clone() {
        let mut one = chunk(3);
        let address = one.as_bytes().as_ptr();
        replace_first(&mut one);
        assert_eq!(one.as_bytes().as_ptr(), address, "not shared: edited in place");
        let two = one.clone();
        one.edit().push_back(b"x");
        assert_eq!((one.0.len(), two.0.len()), (4, 3));
        let address = two.as_bytes().as_ptr();
        let mut two = two;
        replace_first(&mut two);
        assert_eq!(two.as_bytes().as_ptr(), address, "alone again");
    }

    #[test]
    fn holders_in_many_threads_leave_the_bytes_to_the_last() {
        let first = chunk(500);
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let mut mine = first.clone();
                std::thread::spawn(move || {
                    for _ in 0..200 {
                        let other = mine.clone();
                        mine.edit().push_back(b"more");
                        assert_eq!(mine.0.len(), other.0.len() + 1);
                    }
                    (thread, mine.0.len())
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().expect("no panic").1, 700);
        }
        assert_eq!(first.holders().load(Ordering::Relaxed), 1);
        assert_eq!(first.0.len(), 500);
    }

    #[test]
    fn a_full_chunk_fills_one_size_class() {
        let mut full = chunk(0);
        while Full::ANY.has_room(&full, 15) {
            full.edit().push_back(b"item:0123456789");
        }
        assert_eq!(Leaf::heap_bytes(&full), ALLOCATION_BYTES_MAX);
        assert_eq!(size_class(ALLOCATION_BYTES_MAX), ALLOCATION_BYTES_MAX);
        assert_eq!(full.0.len(), 240);
    }
}
