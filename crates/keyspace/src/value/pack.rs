//! The leaf of hashes, sets and sorted sets: many small records in one allocation, with an index.
//!
//! ```text
//! head | entry 0, entry 1 ...  -> free <-  ... record record
//! entry: distance of the record's start from the end u16, then EXTRA bytes         record: piece ...
//! piece: varint of 2 * length, bytes    or, for large ones    varint of 2 * length + 1, u32 number of a blob
//! ```
//!
//! It exists to make an item cost few bytes beyond its own, and to be found with few cache misses. The order of the entries, and what their
//! extra bytes mean, is the collection's business. A large piece is kept as a [`Blob`], so that an edit beside it does not copy it.

use triomphe::ThinArc;

use super::{Blob, Word};
use crate::size_class::size_class;

/// What a leaf may have in use before it is split.
const BYTES_MAX: usize = 4096;
/// A leaf below this joins a neighbour.
const BYTES_MIN: usize = 1024;
/// Joined leaves stay below this.
const JOINED_BYTES_MAX: usize = 2816;
/// A longer piece is kept as a blob.
const INLINE_MAX: usize = 1024;
/// What the allocation has before the records: the counter, the head, and the length.
const OVERHEAD: usize = size_of::<usize>() * 2 + size_of::<Head>();
/// Records of `PIECES` byte strings each, with `EXTRA` bytes in each index entry.
pub struct Pack<const EXTRA: usize, const PIECES: usize>(ThinArc<Head, u8>);

#[derive(Clone, Default)]
struct Head {
    /// Records.
    count: u32,
    /// Bytes of all records.
    used: u32,
    blobs: Option<Box<Blobs>>,
}

/// The large pieces of a leaf.
#[derive(Clone, Default)]
struct Blobs {
    /// A freed place is used again.
    places: Vec<Option<Blob>>,
    heap_bytes: usize,
}

impl<const EXTRA: usize, const PIECES: usize> Clone for Pack<EXTRA, PIECES> {
    fn clone(&self) -> Self {
        Pack(self.0.clone())
    }
}

/// A piece as it lies in a record.
enum Piece<'a> {
    Inline(&'a [u8]),
    /// The number of a blob, and its length.
    Large(u32, usize),
}

impl Piece<'_> {
    fn len(&self) -> usize {
        match self {
            Piece::Inline(bytes) => bytes.len(),
            Piece::Large(_, len) => *len,
        }
    }

    fn prefix(&self) -> u64 {
        (self.len() as u64) << 1 | u64::from(matches!(self, Piece::Large(..)))
    }

    fn size(&self) -> usize {
        varint_size(self.prefix())
            + match self {
                Piece::Inline(bytes) => bytes.len(),
                Piece::Large(..) => 4,
            }
    }

    /// Writes the piece to the start of `out` and answers the rest.
    fn write<'o>(&self, out: &'o mut [u8]) -> &'o mut [u8] {
        let out = write_varint(out, self.prefix());
        match self {
            Piece::Inline(bytes) => {
                let (to, rest) = out.split_at_mut(bytes.len());
                to.copy_from_slice(bytes);
                rest
            }
            Piece::Large(number, _) => {
                let (to, rest) = out.split_at_mut(4);
                to.copy_from_slice(&number.to_le_bytes());
                rest
            }
        }
    }
}

fn varint_size(n: u64) -> usize {
    if n < 0x80 { 1 } else { (70 - n.leading_zeros() as usize) / 7 }
}

fn write_varint(mut out: &mut [u8], mut n: u64) -> &mut [u8] {
    loop {
        let (byte, rest) = out.split_first_mut().expect("room was made for the record");
        if n < 0x80 {
            *byte = n as u8;
            return rest;
        }
        *byte = n as u8 | 0x80;
        n >>= 7;
        out = rest;
    }
}

#[inline]
fn read_varint(bytes: &[u8]) -> (u64, &[u8]) {
    let first = bytes[0];
    if first < 0x80 {
        return (u64::from(first), &bytes[1..]);
    }
    let (mut n, mut at) = (u64::from(first & 0x7F), 1);
    loop {
        let byte = bytes[at];
        n |= u64::from(byte & 0x7F) << (7 * at);
        at += 1;
        if byte < 0x80 {
            return (n, &bytes[at..]);
        }
    }
}

/// Splits the first piece off a record.
#[inline]
fn read_piece(record: &[u8]) -> (Piece<'_>, &[u8]) {
    let (prefix, rest) = read_varint(record);
    let len = (prefix >> 1) as usize;
    if prefix & 1 == 0 {
        let (bytes, rest) = rest.split_at(len);
        (Piece::Inline(bytes), rest)
    } else {
        let (number, rest) = rest.split_first_chunk::<4>().expect("a blob's number follows");
        (Piece::Large(u32::from_le_bytes(*number), len), rest)
    }
}

impl<const EXTRA: usize, const PIECES: usize> Pack<EXTRA, PIECES> {
    /// Bytes of an entry's offset; without pieces there are no records to point to.
    const OFFSET: usize = if PIECES == 0 { 0 } else { 2 };
    const ENTRY: usize = Self::OFFSET + EXTRA;

    pub fn new() -> Self {
        Pack(ThinArc::from_header_and_slice(Head::default(), &[0; size_class(OVERHEAD + 32) - OVERHEAD]))
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.0.header.header.count as usize
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sizes of the allocations.
    pub fn heap_bytes(&self) -> usize {
        let blobs = self.0.header.header.blobs.as_ref();
        let blobs =
            blobs.map_or(0, |blobs| blobs.heap_bytes + size_class(blobs.places.capacity() * 8) + size_of::<Blobs>());
        OVERHEAD + self.0.slice.len() + blobs
    }

    fn bytes_used(&self) -> usize {
        OVERHEAD + self.0.header.header.used as usize + Self::ENTRY * self.len()
    }

    pub fn is_over(&self) -> bool {
        self.bytes_used() > BYTES_MAX
    }

    pub fn is_under(&self) -> bool {
        self.bytes_used() < BYTES_MIN
    }

    pub fn may_join(&self, other: &Self) -> bool {
        self.bytes_used() + other.bytes_used() <= JOINED_BYTES_MAX
    }

    #[inline]
    fn entries(&self) -> &[u8] {
        &self.0.slice[..Self::ENTRY * self.len()]
    }

    #[inline]
    fn entry(&self, i: usize) -> &[u8] {
        &self.0.slice[Self::ENTRY * i..][..Self::ENTRY]
    }

    /// The extra bytes of entry `i`.
    #[inline]
    pub fn extra(&self, i: usize) -> [u8; EXTRA] {
        self.entry(i)[Self::OFFSET..].try_into().expect("an entry has this many extra bytes")
    }

    /// How far from the end record `i` starts.
    #[inline]
    fn offset(&self, i: usize) -> usize {
        if PIECES == 0 {
            return 0;
        }
        let entry = self.entry(i);
        usize::from(u16::from_le_bytes([entry[0], entry[1]]))
    }

    /// The bytes from the start of record `i` on.
    #[inline]
    fn record(&self, i: usize) -> &[u8] {
        let bytes = &self.0.slice;
        &bytes[bytes.len() - self.offset(i)..]
    }

    /// The pieces of record `i`.
    #[inline]
    pub fn pieces(&self, i: usize) -> [&[u8]; PIECES] {
        let mut record = self.record(i);
        std::array::from_fn(|_| {
            let (piece, rest) = read_piece(record);
            record = rest;
            self.resolve(piece)
        })
    }

    /// The first piece of record `i`.
    #[inline]
    pub fn first_piece(&self, i: usize) -> &[u8] {
        self.resolve(read_piece(self.record(i)).0)
    }

    #[inline]
    fn resolve<'a>(&'a self, piece: Piece<'a>) -> &'a [u8] {
        match piece {
            Piece::Inline(bytes) => bytes,
            Piece::Large(number, _) => self.blob(number),
        }
    }

    fn blob(&self, number: u32) -> &Blob {
        let blobs = self.0.header.header.blobs.as_deref();
        blobs.and_then(|b| b.places.get(number as usize)?.as_ref()).expect("a large piece has its blob")
    }

    fn record_size(&self, i: usize) -> usize {
        let start = self.record(i);
        let mut rest = start;
        for _ in 0..PIECES {
            rest = read_piece(rest).1;
        }
        start.len() - rest.len()
    }

    /// The first entry from `from` on whose extra bytes are `tag`, of an index of tags.
    #[inline]
    pub fn find_tag(&self, tag: u16, from: usize) -> Option<usize> {
        const { assert!(EXTRA == 2) };
        const LANES: usize = 16;
        let wanted = u32::from(tag) << 16;
        let is_it = |c: &[u8]| (u32::from_le_bytes([c[0], c[1], c[2], c[3]]) & 0xFFFF_0000) == wanted;
        let mut rest = &self.entries()[4 * from..];
        let mut skipped = from;
        while let Some((block, after)) = rest.split_first_chunk::<{ 4 * LANES }>() {
            // Without an early exit the compiler compares many at once.
            let mut any = false;
            for c in block.chunks_exact(4) {
                any |= is_it(c);
            }
            if any {
                break;
            }
            rest = after;
            skipped += LANES;
        }
        rest.chunks_exact(4).position(is_it).map(|i| skipped + i)
    }

    /// Reads a byte of each cache line of the index, all at once, so that a search in it need not wait for one after the other.
    #[inline]
    pub fn warm(&self) {
        const LINE: usize = 64;
        std::hint::black_box(self.entries().iter().step_by(LINE).fold(0, |all, byte| all ^ byte));
    }

    /// The first entry that `before` rejects, of an index in which it accepts all before some place.
    #[inline]
    pub fn partition_point(&self, mut before: impl FnMut(usize) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if before(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Makes the bytes ours alone and of a fitting size with room for `more`, then edits them.
    fn edit<R>(&mut self, more: usize, edit: impl FnOnce(&mut [u8]) -> R) -> R {
        let fitting = size_class(self.bytes_used() + more) - OVERHEAD;
        let capacity = self.0.slice.len();
        // An allocation is given back when it could be two classes smaller, so that an item that comes and goes doesn't move all others.
        let too_large = || size_class(fitting + OVERHEAD + fitting / 4) - OVERHEAD < capacity;
        if fitting > capacity || too_large() || ThinArc::strong_count(&self.0) != 1 {
            let used = self.0.header.header.used as usize;
            let index = self.entries();
            let mut bytes = Vec::with_capacity(fitting);
            bytes.extend_from_slice(index);
            bytes.resize(fitting - used, 0);
            bytes.extend_from_slice(&self.0.slice[capacity - used..]);
            self.0 = ThinArc::from_header_and_slice(self.0.header.header.clone(), &bytes);
        }
        self.0.with_arc_mut(|arc| {
            let inner = triomphe::Arc::get_mut(arc).expect("it was made ours alone");
            edit(inner.slice_mut())
        })
    }

    /// The head to change; the bytes must be ours alone.
    fn head(&mut self, change: impl FnOnce(&mut Head)) {
        self.0.with_arc_mut(|arc| {
            change(triomphe::Arc::get_mut(arc).expect("an edit made it ours alone").header_mut());
        });
    }

    /// Stores a piece outside if it is large.
    fn store<'a>(&mut self, piece: &'a [u8]) -> Piece<'a> {
        if piece.len() <= INLINE_MAX {
            return Piece::Inline(piece);
        }
        Piece::Large(self.add_blob(Blob::from_slice(piece)), piece.len())
    }

    fn add_blob(&mut self, blob: Blob) -> u32 {
        let mut number = 0;
        self.edit(0, |_| ());
        self.head(|head| {
            let blobs = head.blobs.get_or_insert_default();
            let places = &mut blobs.places;
            number = places.iter().position(Option::is_none).unwrap_or(places.len());
            if number == places.len() {
                places.push(None);
            }
            blobs.heap_bytes += blob.heap_bytes();
            places[number] = Some(blob);
        });
        number as u32
    }

    fn remove_blob(&mut self, number: u32) {
        self.head(|head| {
            if let Some(blobs) = &mut head.blobs {
                let removed = blobs.places[number as usize].take();
                blobs.heap_bytes -= removed.map_or(0, |blob| blob.heap_bytes());
                if blobs.places.iter().all(Option::is_none) {
                    head.blobs = None;
                }
            }
        });
    }

    /// Puts a record in, as number `i`.
    pub fn insert(&mut self, i: usize, extra: [u8; EXTRA], pieces: [&[u8]; PIECES]) {
        let pieces = pieces.map(|piece| self.store(piece));
        let size = pieces.iter().map(Piece::size).sum();
        self.insert_record(i, extra, size, |mut out| {
            for piece in &pieces {
                out = piece.write(out);
            }
        });
    }

    fn insert_record(&mut self, i: usize, extra: [u8; EXTRA], size: usize, write: impl FnOnce(&mut [u8])) {
        let (count, used) = (self.len(), self.0.header.header.used as usize);
        let offset = u16::try_from(used + size).expect("a leaf is split long before it has 64 KiB");
        self.edit(size + Self::ENTRY, |bytes| {
            let end = bytes.len() - used;
            write(&mut bytes[end - size..end]);
            let at = Self::ENTRY * i;
            bytes.copy_within(at..Self::ENTRY * count, at + Self::ENTRY);
            let entry = &mut bytes[at..][..Self::ENTRY];
            entry[..Self::OFFSET].copy_from_slice(&offset.to_le_bytes()[..Self::OFFSET]);
            entry[Self::OFFSET..].copy_from_slice(&extra);
        });
        self.head(|head| {
            head.count += 1;
            head.used += size as u32;
        });
    }

    /// Takes record `i` out.
    pub fn remove(&mut self, i: usize) {
        let (count, used) = (self.len(), self.0.header.header.used as usize);
        let (offset, size) = (self.offset(i), self.record_size(i));
        let large = self.large_pieces(i);
        self.edit(0, |bytes| {
            let end = bytes.len();
            bytes.copy_within(end - used..end - offset, end - used + size);
            let at = Self::ENTRY * i;
            bytes.copy_within(at + Self::ENTRY..Self::ENTRY * count, at);
            Self::shift(&mut bytes[..Self::ENTRY * (count - 1)], offset, -(size as isize));
        });
        self.head(|head| {
            head.count -= 1;
            head.used -= size as u32;
        });
        large.into_iter().flatten().for_each(|number| self.remove_blob(number));
    }

    fn large_pieces(&self, i: usize) -> [Option<u32>; PIECES] {
        let mut record = self.record(i);
        std::array::from_fn(|_| {
            let (piece, rest) = read_piece(record);
            record = rest;
            match piece {
                Piece::Large(number, _) => Some(number),
                Piece::Inline(_) => None,
            }
        })
    }

    /// Changes the offsets of the records that lie before the one at `offset`.
    fn shift(entries: &mut [u8], offset: usize, by: isize) {
        if PIECES == 0 {
            return;
        }
        for entry in entries.chunks_exact_mut(Self::ENTRY) {
            let old = u16::from_le_bytes([entry[0], entry[1]]);
            let moved = if usize::from(old) > offset { old.wrapping_add(by as u16) } else { old };
            entry[..Self::OFFSET].copy_from_slice(&moved.to_le_bytes());
        }
    }

    /// Changes the extra bytes of entry `i`.
    pub fn set_extra(&mut self, i: usize, extra: [u8; EXTRA]) {
        self.edit(0, |bytes| {
            bytes[Self::ENTRY * i + Self::OFFSET..][..EXTRA].copy_from_slice(&extra);
        });
    }

    /// Puts another last piece in record `i`; in place when the sizes are the same.
    pub fn set_last_piece(&mut self, i: usize, value: &[u8]) {
        let (count, used, start) = (self.len(), self.0.header.header.used as usize, self.offset(i));
        let mut rest = self.record(i);
        for _ in 1..PIECES {
            rest = read_piece(rest).1;
        }
        let before = start - rest.len();
        let (old, after) = read_piece(rest);
        let old_size = rest.len() - after.len();
        let large = match old {
            Piece::Large(number, _) => Some(number),
            Piece::Inline(_) => None,
        };
        if let Some(number) = large {
            self.edit(0, |_| ());
            self.remove_blob(number);
        }
        let piece = self.store(value);
        let size = piece.size();
        self.edit(size.saturating_sub(old_size), |bytes| {
            let end = bytes.len();
            // The end of the record stays; its start and all records before move.
            let place = end - start + before + old_size - size;
            if size != old_size {
                let moved = end - used..end - start + before;
                bytes.copy_within(moved.clone(), moved.start + old_size - size);
                Self::shift(&mut bytes[..Self::ENTRY * count], start - 1, size as isize - old_size as isize);
            }
            piece.write(&mut bytes[place..]);
        });
        self.head(|head| head.used = head.used - old_size as u32 + size as u32);
    }

    /// Takes `count` records out, from number `start` on.
    pub fn remove_range(&mut self, start: usize, count: usize) {
        match count {
            0 => {}
            1 => self.remove(start),
            _ => *self = self.select((0..start).chain(start + count..self.len())),
        }
    }

    /// A new leaf of some of the records, in the order given.
    pub fn select(&self, records: impl Iterator<Item = usize> + Clone) -> Self {
        let (mut count, mut used) = (0, 0);
        for i in records.clone() {
            (count, used) = (count + 1, used + self.record_size(i));
        }
        let capacity = size_class(OVERHEAD + used + Self::ENTRY * count) - OVERHEAD;
        let mut bytes = vec![0; capacity];
        if self.0.header.header.blobs.is_some() {
            let mut chosen = Pack(ThinArc::from_header_and_slice(Head::default(), &bytes));
            records.for_each(|i| chosen.push_from(self, i));
            return chosen;
        }
        let mut start = capacity;
        for (to, i) in records.enumerate() {
            let size = self.record_size(i);
            start -= size;
            bytes[start..start + size].copy_from_slice(&self.record(i)[..size]);
            let entry = &mut bytes[Self::ENTRY * to..][..Self::ENTRY];
            entry.copy_from_slice(self.entry(i));
            let offset = ((capacity - start) as u16).to_le_bytes();
            entry[..Self::OFFSET].copy_from_slice(&offset[..Self::OFFSET]);
        }
        let head = Head { count: count as u32, used: used as u32, blobs: None };
        Pack(ThinArc::from_header_and_slice(head, &bytes))
    }

    /// Appends record `i` of another leaf; large pieces are shared with it.
    pub fn push_from(&mut self, other: &Self, i: usize) {
        let size = other.record_size(i);
        let record = &other.record(i)[..size];
        let count = self.len();
        if other.0.header.header.blobs.is_none() {
            return self.insert_record(count, other.extra(i), size, |out| out.copy_from_slice(record));
        }
        let mut rest = record;
        let pieces: [Piece<'_>; PIECES] = std::array::from_fn(|_| {
            let (piece, after) = read_piece(rest);
            rest = after;
            match piece {
                Piece::Large(number, len) => Piece::Large(self.add_blob(other.blob(number).clone()), len),
                inline => inline,
            }
        });
        self.insert_record(count, other.extra(i), size, |mut out| {
            for piece in &pieces {
                out = piece.write(out);
            }
        });
    }

    /// The number of records whose bytes make about half of the leaf, taking them in the order given; at least one stays out.
    pub fn half(&self, records: impl Iterator<Item = usize>) -> usize {
        let half = (self.bytes_used() - OVERHEAD) / 2;
        let mut bytes = 0;
        let mut number = 0;
        for i in records {
            bytes += self.record_size(i) + Self::ENTRY;
            if bytes > half {
                break;
            }
            number += 1;
        }
        number.clamp(1, self.len().max(2) - 1)
    }
}

impl<const EXTRA: usize, const PIECES: usize> crate::value::Sealed for Pack<EXTRA, PIECES> {}

impl<const EXTRA: usize, const PIECES: usize> Word for Pack<EXTRA, PIECES> {
    const KINDS: u8 = 1;

    fn into_word(self) -> (u8, u64) {
        (0, self.0.into_raw().expose_provenance() as u64)
    }

    unsafe fn from_word(_form: u8, word: u64) -> Self {
        // SAFETY: by the caller's word this is the pointer that `into_raw` gave.
        Pack(unsafe { ThinArc::from_raw(std::ptr::with_exposed_provenance(word as usize)) })
    }
}
