//! A listpack: a short sequence of integers and strings in one piece of memory, in exactly the bytes that RDB files carry.
//!
//! ```text
//! total bytes: u32 | elements: u16, 65535 = count them | element ... | 0xFF
//! element: encoding and data | length of that, 7 bits a byte, to be read backwards
//! ```
//!
//! It exists because small collections are nearly all collections, and in this form they cost little and are saved as they are. It knows
//! nothing of pairs, orders or limits: the collections do.

use std::fmt;
use std::ptr::NonNull;
use std::slice;

use super::elem::parse_int;
use super::{Elem, Word, raw};
use crate::size_class::size_class;

const HEADER: usize = 6;
const END: u8 = 0xFF;
const COUNT_UNKNOWN: u16 = u16::MAX;
/// The header of a text of no bytes; those up to 63 bytes add their length.
const SHORT_TEXT: u8 = 0x80;
/// The longest header of an element with its integer or without its string.
const ENCODING_MAX: usize = 9;

/// A listpack: one pointer to its bytes, before which whoever owns it may keep some of its own.
pub struct ListPack<const PREFIX: usize = 0> {
    /// The allocation: the prefix, then the listpack.
    pointer: NonNull<u8>,
}

/// The place of an element. It is good until the listpack is edited before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Pos(u32);

/// Bytes that are not a listpack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadListPack;

impl fmt::Display for BadListPack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a valid listpack")
    }
}

impl std::error::Error for BadListPack {}

// SAFETY: the pointer is the only one to its allocation, as a Box's is.
unsafe impl<const PREFIX: usize> Send for ListPack<PREFIX> {}
// SAFETY: without `&mut` the bytes are only read.
unsafe impl<const PREFIX: usize> Sync for ListPack<PREFIX> {}

impl ListPack {
    pub fn new() -> Self {
        Self::empty()
    }

    /// Copies bytes that came from elsewhere, after checking all of them.
    pub fn from_bytes(bytes: impl AsRef<[u8]>) -> Result<Self, BadListPack> {
        let bytes = bytes.as_ref();
        validate(bytes).ok_or(BadListPack)?;
        Ok(ListPack { pointer: raw::from_slice(bytes) })
    }

    /// How many bytes a listpack grows by when `value` is put into it.
    pub fn entry_bytes(value: &[u8]) -> usize {
        let (_, header, text) = encode(value);
        let data = header + text.len();
        data + backlen_size(data)
    }

    /// An upper bound of [`entry_bytes`](Self::entry_bytes) that needs no look at the value.
    pub fn entry_bytes_max(len: usize) -> usize {
        len + if len < 64 { 2 } else { 10 }
    }
}

impl<const PREFIX: usize> ListPack<PREFIX> {
    /// A listpack without elements; its prefix is zero.
    pub(super) fn empty() -> Self {
        Self::prefixed(&[HEADER as u8 + 1, 0, 0, 0, 0, 0, END])
    }

    /// A copy of a listpack's bytes with a prefix of zeros.
    fn prefixed(bytes: &[u8]) -> Self {
        ListPack { pointer: raw::from_slice_after(PREFIX, bytes) }
    }

    /// A copy for another owner; its prefix is zero.
    pub(super) fn copied<const OTHER: usize>(&self) -> ListPack<OTHER> {
        ListPack::prefixed(self.as_bytes())
    }

    /// The allocation, which starts with the prefix.
    pub(super) fn pointer(&self) -> NonNull<u8> {
        self.pointer
    }

    /// Takes the allocation that [`pointer`](Self::pointer) gave.
    ///
    /// # Safety
    /// Only one of the listpacks of that allocation may be used to edit or dropped.
    pub(super) unsafe fn from_pointer(pointer: NonNull<u8>) -> Self {
        ListPack { pointer }
    }

    /// Where the listpack's own bytes are.
    #[inline]
    fn start(&self) -> NonNull<u8> {
        // SAFETY: the allocation is longer than its prefix.
        unsafe { self.pointer.add(PREFIX) }
    }

    /// The bytes as RDB has them.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: a listpack starts with its length in bytes, and all of these are initialised.
        unsafe { slice::from_raw_parts(self.start().as_ptr(), self.bytes_len()) }
    }

    #[inline]
    fn as_bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_bytes`; the pointer is the only one to its allocation.
        unsafe { slice::from_raw_parts_mut(self.start().as_ptr(), self.bytes_len()) }
    }

    /// Length of [`as_bytes`](Self::as_bytes).
    #[inline]
    pub fn bytes_len(&self) -> usize {
        // SAFETY: a listpack starts with four initialised bytes; the allocation is aligned to eight, and so is the prefix.
        u32::from_le(unsafe { self.start().cast::<u32>().read() }) as usize
    }

    /// Size of the allocation.
    pub fn heap_bytes(&self) -> usize {
        size_class(PREFIX + self.bytes_len())
    }

    /// How many elements there are. Counts them when there are 65535 or more.
    #[inline]
    pub fn len(&self) -> usize {
        match self.count() {
            COUNT_UNKNOWN => self.iter().count(),
            n => usize::from(n),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes_len() == HEADER + 1
    }

    fn count(&self) -> u16 {
        let b = self.as_bytes();
        u16::from_le_bytes([b[4], b[5]])
    }

    /// Changes the stored count; once it is unknown it stays so, as in Redis.
    fn add_count(&mut self, added: isize) {
        let count = self.count();
        if count != COUNT_UNKNOWN {
            let count = (count as isize + added).clamp(0, COUNT_UNKNOWN as isize) as u16;
            self.as_bytes_mut()[4..6].copy_from_slice(&count.to_le_bytes());
        }
    }

    /// The first element's place.
    #[inline]
    pub fn first(&self) -> Option<Pos> {
        self.here(HEADER)
    }

    /// The last element's place.
    #[inline]
    pub fn last(&self) -> Option<Pos> {
        self.prev(Pos((self.bytes_len() - 1) as u32))
    }

    #[inline]
    fn here(&self, at: usize) -> Option<Pos> {
        (self.as_bytes()[at] != END).then_some(Pos(at as u32))
    }

    #[inline]
    pub fn next(&self, at: Pos) -> Option<Pos> {
        self.here(self.end_of(at))
    }

    #[inline]
    pub fn prev(&self, at: Pos) -> Option<Pos> {
        let at = at.0 as usize;
        if at == HEADER {
            return None;
        }
        let data = read_backlen(&self.as_bytes()[..at]);
        Some(Pos((at - data - backlen_size(data)) as u32))
    }

    #[inline]
    pub fn at(&self, at: Pos) -> Elem<'_> {
        decode(&self.as_bytes()[at.0 as usize..]).0
    }

    #[inline]
    fn end_of(&self, at: Pos) -> usize {
        at.0 as usize + entry_size(&self.as_bytes()[at.0 as usize..])
    }

    /// The place of the element at `index`, reached from the nearer end.
    pub fn seek(&self, index: usize) -> Option<Pos> {
        let count = self.count();
        if count != COUNT_UNKNOWN {
            let count = usize::from(count);
            if index >= count {
                return None;
            }
            if index > count / 2 {
                let mut at = self.last()?;
                for _ in index + 1..count {
                    at = self.prev(at)?;
                }
                return Some(at);
            }
        }
        let mut at = self.first()?;
        for _ in 0..index {
            at = self.next(at)?;
        }
        Some(at)
    }

    pub fn get(&self, index: usize) -> Option<Elem<'_>> {
        self.seek(index).map(|at| self.at(at))
    }

    /// All elements, from both ends.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter { bytes: self.as_bytes(), front: HEADER, back: self.bytes_len() - 1 }
    }

    /// The elements from a place on.
    pub fn iter_from(&self, at: Pos) -> Iter<'_> {
        Iter { front: at.0 as usize, ..self.iter() }
    }

    /// The elements up to and with the one at a place; use it from its back.
    pub fn iter_to(&self, at: Pos) -> Iter<'_> {
        Iter { back: self.end_of(at), ..self.iter() }
    }

    /// The first element that equals `wanted`, looking at one of every `skip + 1`.
    pub fn find(&self, wanted: &[u8], skip: usize) -> Option<Pos> {
        self.first().and_then(|at| self.find_from(at, wanted, skip))
    }

    /// As [`find`](Self::find), from a place on.
    pub fn find_from(&self, at: Pos, wanted: &[u8], skip: usize) -> Option<Pos> {
        let bytes = self.as_bytes();
        let number = parse_int(wanted);
        // The last byte of an element that is equal; of one without text, that is its header.
        let last = wanted.last().copied().unwrap_or(SHORT_TEXT);
        let mut at = at.0 as usize;
        while bytes[at] != END {
            let (equal, next) = match bytes[at] {
                // The commonest form. Neighbours tend to be of one length and to differ at their ends.
                header @ SHORT_TEXT..0xC0 => {
                    let len = usize::from(header & 0x3F);
                    let end = at + 1 + len;
                    (len == wanted.len() && bytes[end - 1] == last && bytes[at + 1..end] == *wanted, end + 1)
                }
                _ => {
                    let (elem, size) = decode(&bytes[at..]);
                    let equal = match (elem, number) {
                        (Elem::Int(n), Some(m)) => n == m,
                        (Elem::Int(_), None) => false,
                        // Redis writes integers as such, but a listpack from elsewhere may hold their text.
                        (Elem::Bytes(text), _) => text == wanted,
                    };
                    (equal, at + size + backlen_size(size))
                }
            };
            if equal {
                return Some(Pos(at as u32));
            }
            at = next;
            for _ in 0..skip {
                if bytes[at] == END {
                    return None;
                }
                at += entry_size(&bytes[at..]);
            }
        }
        None
    }

    pub fn push_back(&mut self, value: &[u8]) {
        self.write(self.bytes_len() - 1, 0, value);
        self.add_count(1);
    }

    pub fn push_front(&mut self, value: &[u8]) {
        self.write(HEADER, 0, value);
        self.add_count(1);
    }

    /// Puts an element before the one at `at`, and answers its place.
    pub fn insert_before(&mut self, at: Pos, value: &[u8]) -> Pos {
        self.write(at.0 as usize, 0, value);
        self.add_count(1);
        at
    }

    /// Puts an element after the one at `at`, and answers its place.
    pub fn insert_after(&mut self, at: Pos, value: &[u8]) -> Pos {
        let end = self.end_of(at);
        self.insert_before(Pos(end as u32), value)
    }

    /// Puts another element in the place of the one at `at`.
    pub fn replace(&mut self, at: Pos, value: &[u8]) -> Pos {
        let old = self.end_of(at) - at.0 as usize;
        self.write(at.0 as usize, old, value);
        at
    }

    /// Takes an element out, and answers the place of the one that followed it.
    pub fn remove(&mut self, at: Pos) -> Option<Pos> {
        let old = self.end_of(at) - at.0 as usize;
        self.splice(at.0 as usize, old, 0);
        self.add_count(-1);
        self.here(at.0 as usize)
    }

    /// Takes `count` elements out, from a place on, and answers the place of the one that followed them.
    pub fn remove_at(&mut self, at: Pos, count: usize) -> Option<Pos> {
        let start = at.0 as usize;
        let (mut end, mut removed) = (start, 0);
        while removed < count && self.as_bytes()[end] != END {
            end = self.end_of(Pos(end as u32));
            removed += 1;
        }
        self.splice(start, end - start, 0);
        self.add_count(-(removed as isize));
        self.here(start)
    }

    /// Takes out up to `count` elements, from an index on.
    pub fn remove_range(&mut self, index: usize, count: usize) {
        if let Some(at) = self.seek(index) {
            self.remove_at(at, count);
        }
    }

    /// Keeps the elements before `index` and answers the others.
    pub fn split_off(&mut self, index: usize) -> Self {
        let mut rest = Self::empty();
        if let Some(at) = self.seek(index) {
            let start = at.0 as usize;
            let end = self.bytes_len() - 1;
            let count = self.len();
            rest.splice(HEADER, 0, end - start).copy_from_slice(&self.as_bytes()[start..end]);
            rest.add_count((count - index) as isize);
            self.splice(start, end - start, 0);
            // A known count comes back when what is left is small enough.
            let left = index.min(COUNT_UNKNOWN as usize) as u16;
            self.as_bytes_mut()[4..6].copy_from_slice(&left.to_le_bytes());
        }
        rest
    }

    /// Appends all elements of another listpack.
    pub fn append(&mut self, other: &Self) {
        let count = other.len();
        let body = &other.as_bytes()[HEADER..other.bytes_len() - 1];
        let end = self.bytes_len() - 1;
        self.splice(end, 0, body.len()).copy_from_slice(body);
        self.add_count(count.min(COUNT_UNKNOWN as usize) as isize);
    }

    /// Whether `more` bytes can be added; a listpack's length is a u32, and Redis stops at 1 GiB.
    pub fn has_room(&self, more: usize) -> bool {
        self.bytes_len() + more <= 1 << 30
    }

    fn write(&mut self, at: usize, old: usize, value: &[u8]) {
        let (encoding, header, text) = encode(value);
        let data = header + text.len();
        let gap = self.splice(at, old, data + backlen_size(data));
        gap[..header].copy_from_slice(&encoding[..header]);
        gap[header..data].copy_from_slice(text);
        write_backlen(&mut gap[data..], data);
    }

    /// Replaces `old` bytes at `at` by `new` that the caller must write.
    fn splice(&mut self, at: usize, old: usize, new: usize) -> &mut [u8] {
        let before = self.bytes_len();
        let after = before - old + new;
        let header = u32::try_from(after).expect("callers keep listpacks under 4 GiB");
        if new > old {
            // SAFETY: the allocation was made or last sized for the prefix and `before` bytes.
            self.pointer = unsafe { raw::resize(self.pointer, PREFIX + before, PREFIX + after) };
            // SAFETY: all ranges lie in the allocation, which now holds `after` bytes; what was never written is set to zero first.
            unsafe {
                let base = self.start().as_ptr();
                base.add(before).write_bytes(0, after - before);
                base.add(at + old).copy_to(base.add(at + new), before - at - old);
            }
        } else if new < old {
            self.as_bytes_mut().copy_within(at + old..before, at + new);
            // SAFETY: the allocation was made or last sized for the prefix and `before` bytes.
            self.pointer = unsafe { raw::resize(self.pointer, PREFIX + before, PREFIX + after) };
        }
        // SAFETY: a listpack is at least four bytes long and aligned to eight.
        unsafe { self.start().cast::<u32>().write(header.to_le()) };
        &mut self.as_bytes_mut()[at..at + new]
    }
}

impl Default for ListPack {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for ListPack {
    fn clone(&self) -> Self {
        self.copied()
    }
}

impl<const PREFIX: usize> Drop for ListPack<PREFIX> {
    fn drop(&mut self) {
        // SAFETY: the allocation was last sized for this many bytes, and nothing else points to it.
        unsafe { raw::free(self.pointer, PREFIX + self.bytes_len()) };
    }
}

impl PartialEq for ListPack {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for ListPack {}

impl fmt::Debug for ListPack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for ListPack {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut list = ListPack::new();
        for item in items {
            list.push_back(item.as_ref());
        }
        list
    }
}

/// Makes a listpack of elements as they come. Its buffer serves one after the other; a listpack takes what it needs.
#[derive(Default)]
pub struct Builder {
    bytes: Vec<u8>,
    count: usize,
}

impl Builder {
    pub fn push(&mut self, value: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(&[0; HEADER]);
        }
        let (encoding, header, text) = encode(value);
        let data = header + text.len();
        self.bytes.extend_from_slice(&encoding[..header]);
        self.bytes.extend_from_slice(text);
        if data <= BACKLEN_SHORT_MAX {
            self.bytes.push(data as u8);
        } else {
            let at = self.bytes.len();
            self.bytes.resize(at + backlen_size(data), 0);
            write_backlen(&mut self.bytes[at..], data);
        }
        self.count += 1;
    }

    /// As [`ListPack::has_room`].
    pub fn has_room(&self, more: usize) -> bool {
        self.bytes.len() + more <= 1 << 30
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The listpack of all that came since the last one.
    pub fn finish(&mut self) -> ListPack {
        let count = std::mem::take(&mut self.count);
        if count == 0 {
            return ListPack::new();
        }
        self.bytes.push(END);
        let total = u32::try_from(self.bytes.len()).expect("callers keep listpacks under 4 GiB");
        self.bytes[..4].copy_from_slice(&total.to_le_bytes());
        self.bytes[4..HEADER].copy_from_slice(&(count.min(COUNT_UNKNOWN as usize) as u16).to_le_bytes());
        let pack = ListPack { pointer: raw::from_slice(&self.bytes) };
        self.forget();
        pack
    }

    /// Drops what came, and a buffer that was for something very large.
    pub fn forget(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(BUILDER_BYTES_MAX);
        self.count = 0;
    }
}

/// What a builder keeps between listpacks.
const BUILDER_BYTES_MAX: usize = 1 << 20;

impl crate::value::Sealed for ListPack {}

impl Word for ListPack {
    const KINDS: u8 = 1;

    fn into_word(self) -> (u8, u64) {
        let word = self.pointer.as_ptr().expose_provenance() as u64;
        std::mem::forget(self);
        (0, word)
    }

    unsafe fn from_word(_form: u8, word: u64) -> Self {
        let pointer = std::ptr::with_exposed_provenance_mut(word as usize);
        ListPack { pointer: NonNull::new(pointer).expect("into_word gave a pointer") }
    }
}

/// The elements of a listpack, from both ends.
#[derive(Clone)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    front: usize,
    back: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Elem<'a>;

    #[inline]
    fn next(&mut self) -> Option<Elem<'a>> {
        if self.front >= self.back {
            return None;
        }
        let (elem, size) = decode(&self.bytes[self.front..]);
        self.front += size + backlen_size(size);
        Some(elem)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        let size = read_backlen(&self.bytes[..self.back]);
        self.back -= size + backlen_size(size);
        Some(decode(&self.bytes[self.back..]).0)
    }
}

impl std::iter::FusedIterator for Iter<'_> {}

/// What an element of so many bytes takes with its length behind it.
#[inline]
pub(super) fn with_backlen(data: usize) -> usize {
    data + backlen_size(data)
}

/// What an integer takes as an element.
#[inline]
pub(super) fn int_bytes(n: i64) -> usize {
    with_backlen(match n {
        0..=127 => 1,
        -4096..=4095 => 2,
        -0x8000..=0x7FFF => 3,
        -0x80_0000..=0x7F_FFFF => 4,
        -0x8000_0000..=0x7FFF_FFFF => 5,
        _ => 9,
    })
}

/// How `value` is stored: the bytes of its header, how many there are, and the text that follows them.
pub(super) fn encode(value: &[u8]) -> ([u8; ENCODING_MAX], usize, &[u8]) {
    let mut out = [0; ENCODING_MAX];
    if value.len() <= 20
        && let Some(n) = parse_int(value)
    {
        let size = match n {
            0..=127 => {
                out[0] = n as u8;
                1
            }
            -4096..=4095 => {
                let bits = (n as u16) & 0x1FFF;
                out[0] = 0xC0 | (bits >> 8) as u8;
                out[1] = bits as u8;
                2
            }
            _ => {
                let (code, width) = match n {
                    -0x8000..=0x7FFF => (0xF1, 2),
                    -0x80_0000..=0x7F_FFFF => (0xF2, 3),
                    -0x8000_0000..=0x7FFF_FFFF => (0xF3, 4),
                    _ => (0xF4, 8),
                };
                out[0] = code;
                out[1..=width].copy_from_slice(&n.to_le_bytes()[..width]);
                1 + width
            }
        };
        return (out, size, &[]);
    }
    let len = value.len();
    let size = match len {
        0..64 => {
            out[0] = 0x80 | len as u8;
            1
        }
        64..4096 => {
            out[0] = 0xE0 | (len >> 8) as u8;
            out[1] = len as u8;
            2
        }
        _ => {
            out[0] = 0xF0;
            out[1..5].copy_from_slice(&(len as u32).to_le_bytes());
            5
        }
    };
    (out, size, value)
}

/// Where an element's data starts and how long it is, from its first bytes.
#[inline]
fn layout(entry: &[u8]) -> (usize, usize) {
    match entry[0] {
        0..0x80 => (1, 0),
        b @ 0x80..0xC0 => (1, usize::from(b & 0x3F)),
        0xC0..0xE0 => (2, 0),
        b @ 0xE0..0xF0 => (2, usize::from(b & 0x0F) << 8 | usize::from(entry[1])),
        0xF0 => (5, u32::from_le_bytes([entry[1], entry[2], entry[3], entry[4]]) as usize),
        0xF1 => (3, 0),
        0xF2 => (4, 0),
        0xF3 => (5, 0),
        0xF4 => (9, 0),
        b => unreachable!("a listpack was validated when it was read, yet has the encoding {b:#x}"),
    }
}

/// An element, and the size of its encoding and data.
#[inline]
pub(super) fn decode(entry: &[u8]) -> (Elem<'_>, usize) {
    let (header, len) = layout(entry);
    let elem = match entry[0] {
        b @ 0..0x80 => Elem::Int(i64::from(b)),
        b @ 0xC0..0xE0 => {
            let bits = i16::from(b & 0x1F) << 8 | i16::from(entry[1]);
            // Thirteen bits, of which the topmost is the sign.
            Elem::Int(i64::from((bits << 3) >> 3))
        }
        0xF1 => Elem::Int(i64::from(i16::from_le_bytes([entry[1], entry[2]]))),
        0xF2 => Elem::Int(i64::from(i32::from_le_bytes([0, entry[1], entry[2], entry[3]]) >> 8)),
        0xF3 => Elem::Int(i64::from(i32::from_le_bytes([entry[1], entry[2], entry[3], entry[4]]))),
        0xF4 => Elem::Int(i64::from_le_bytes(entry[1..9].try_into().expect("eight bytes"))),
        _ => Elem::Bytes(&entry[header..header + len]),
    };
    (elem, header + len)
}

/// The whole size of an element.
#[inline]
fn entry_size(entry: &[u8]) -> usize {
    let (header, len) = layout(entry);
    header + len + backlen_size(header + len)
}

/// A length up to this is a byte that reads the same in both directions.
const BACKLEN_SHORT_MAX: usize = 127;

/// The bounds are Redis's own, one short of what would fit.
#[inline]
fn backlen_size(data: usize) -> usize {
    match data {
        0..=BACKLEN_SHORT_MAX => 1,
        128..16383 => 2,
        16383..2097151 => 3,
        2097151..268435455 => 4,
        _ => 5,
    }
}

fn write_backlen(out: &mut [u8], data: usize) {
    let size = backlen_size(data);
    for (i, byte) in out[..size].iter_mut().rev().enumerate() {
        *byte = (data >> (7 * i)) as u8 & 127 | 128;
    }
    out[0] &= 127;
}

/// The size that the last bytes of `before` spell backwards.
#[inline]
fn read_backlen(before: &[u8]) -> usize {
    let mut size = 0;
    for (i, &byte) in before.iter().rev().take(5).enumerate() {
        size |= usize::from(byte & 127) << (7 * i);
        if byte & 128 == 0 {
            break;
        }
    }
    size
}

/// Whether every byte of `bytes` is what a listpack would have there.
fn validate(bytes: &[u8]) -> Option<()> {
    if bytes.len() < HEADER + 1 {
        return None;
    }
    let total = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    if total != bytes.len() || bytes[total - 1] != END {
        return None;
    }
    let body = &bytes[..total - 1];
    let (mut at, mut count) = (HEADER, 0usize);
    while at < body.len() {
        let rest = &body[at..];
        let known = match rest[0] {
            0xE0..0xF0 => 2,
            0xF0 => 5,
            0xF5.. => return None,
            _ => 1,
        };
        if rest.len() < known {
            return None;
        }
        let (header, len) = layout(rest);
        let data = header.checked_add(len)?;
        let size = data.checked_add(backlen_size(data))?;
        if rest.len() < size {
            return None;
        }
        if data <= BACKLEN_SHORT_MAX {
            if usize::from(rest[data]) != data {
                return None;
            }
        } else {
            let mut backlen = [0; 5];
            write_backlen(&mut backlen, data);
            if rest[data..size] != backlen[..size - data] {
                return None;
            }
        }
        at += size;
        count += 1;
    }
    let stored = u16::from_le_bytes([bytes[4], bytes[5]]);
    (stored == COUNT_UNKNOWN || usize::from(stored) == count).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(list: &ListPack) -> Vec<Vec<u8>> {
        list.iter().map(|e| e.to_vec()).collect()
    }

    fn check(list: &ListPack, model: &[Vec<u8>]) {
        assert_eq!(texts(list), model);
        assert_eq!(list.len(), model.len());
        assert_eq!(list.is_empty(), model.is_empty());
        let mut back: Vec<_> = list.iter().rev().map(|e| e.to_vec()).collect();
        back.reverse();
        assert_eq!(back, model);
        assert_eq!(ListPack::from_bytes(list.as_bytes()).expect("valid").as_bytes(), list.as_bytes());
    }

    #[test]
    fn the_bytes_are_redis_s() {
        let list: ListPack = ["0", "127", "128", "-1", "-4096", "4095", "4096"].into_iter().collect();
        assert_eq!(
            list.as_bytes(),
            [
                27, 0, 0, 0, 7, 0, 0, 1, 127, 1, 0xC0, 0x80, 2, 0xDF, 0xFF, 2, 0xD0, 0, 2, 0xCF, 0xFF, 2, 0xF1, 0, 16,
                3, 0xFF
            ]
        );
        let list: ListPack = ["8388607", "8388608", "-2147483649", "a"].into_iter().collect();
        assert_eq!(
            list.as_bytes()[6..],
            [
                0xF2, 0xFF, 0xFF, 0x7F, 4, 0xF3, 0, 0, 0x80, 0, 5, 0xF4, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF,
                0xFF, 9, 0x81, b'a', 2, 0xFF
            ]
        );
        let list: ListPack = [vec![b'x'; 64], vec![b'y'; 4096]].into_iter().collect();
        let bytes = list.as_bytes();
        assert_eq!(bytes[6..9], [0xE0, 64, b'x']);
        assert_eq!(bytes[72..73], [66]);
        assert_eq!(bytes[73..79], [0xF0, 0, 16, 0, 0, b'y']);
        // 4101 is 32 * 128 + 5.
        assert_eq!(bytes[bytes.len() - 3..], [32, 5 | 128, 0xFF]);
    }

    #[test]
    fn every_width_round_trips() {
        let mut model = Vec::new();
        for bits in 0..64 {
            for n in [
                1i64 << bits,
                (1i64 << bits).wrapping_sub(1),
                (1i64 << bits).wrapping_neg(),
                -(1i64 << bits).wrapping_add(1),
            ] {
                model.push(n.to_string().into_bytes());
            }
        }
        for len in [0, 1, 63, 64, 126, 127, 128, 4095, 4096, 16376, 16377, 16378, 16379, 2097141, 2097147] {
            model.push(vec![b'z'; len]);
        }
        for text in &model {
            if let Some(n) = parse_int(text) {
                assert_eq!(int_bytes(n), ListPack::entry_bytes(text), "{n}");
            }
        }
        let list: ListPack = model.iter().collect();
        check(&list, &model);
        for (i, value) in model.iter().enumerate() {
            assert_eq!(list.get(i).expect("in range").to_vec(), *value);
            let found = list.find(value, 0).expect("is there");
            assert_eq!(list.at(found).to_vec(), *value);
        }
        assert!(list.get(model.len()).is_none());
    }

    #[test]
    fn a_builder_makes_what_pushes_make() {
        let mut builder = Builder::default();
        let long = vec![b'x'; 5000];
        for values in [vec![], vec![&b"a"[..], b"-7", b"", &long, b"123456789012"], vec![&b"1"[..]; 70_000]] {
            assert!(builder.is_empty());
            values.iter().for_each(|value| builder.push(value));
            assert_eq!(builder.finish(), values.iter().collect::<ListPack>());
        }
        builder.push(b"gone");
        builder.forget();
        assert!(builder.finish().is_empty());
    }

    #[test]
    fn more_than_the_count_can_say() {
        let mut list = ListPack::new();
        for i in 0..65534 {
            list.push_back(if i % 2 == 0 { b"1" } else { b"2" });
        }
        assert_eq!(list.as_bytes()[4..6], [0xFE, 0xFF]);
        list.push_back(b"x");
        list.push_back(b"y");
        assert_eq!(list.as_bytes()[4..6], [0xFF, 0xFF]);
        assert_eq!(list.len(), 65536);
        assert_eq!(list.get(65535), Some(Elem::Bytes(b"y")));
        let rest = list.split_off(10);
        assert_eq!((list.len(), rest.len()), (10, 65526));
        list.append(&rest);
        assert_eq!(list.len(), 65536);
        assert!(ListPack::from_bytes(list.as_bytes()).is_ok());
    }

    fn value() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            any::<i64>().prop_map(|n| n.to_string().into_bytes()),
            (-5000i64..5000).prop_map(|n| n.to_string().into_bytes()),
            prop::collection::vec(any::<u8>(), 0..80),
            (0usize..3).prop_map(|n| vec![b'q'; 100 + n * 60]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn edits_equal_a_vector_s(ops in prop::collection::vec((0u8..9, 0usize..60, value()), 1..80)) {
            let mut list = ListPack::new();
            let mut model: Vec<Vec<u8>> = Vec::new();
            for (op, index, value) in ops {
                let index = if model.is_empty() { 0 } else { index % model.len() };
                let at = list.seek(index);
                assert_eq!(at.is_some(), !model.is_empty());
                match (op, at) {
                    (0, _) => { list.push_front(&value); model.insert(0, value); }
                    (1 | 2, _) | (_, None) => {
                        let before = list.bytes_len();
                        list.push_back(&value);
                        assert_eq!(list.bytes_len() - before, ListPack::entry_bytes(&value));
                        model.push(value);
                    }
                    (3, Some(at)) => {
                        let at = list.insert_before(at, &value);
                        assert!(list.at(at).eq_bytes(&value));
                        model.insert(index, value);
                    }
                    (4, Some(at)) => {
                        let at = list.insert_after(at, &value);
                        assert!(list.at(at).eq_bytes(&value));
                        model.insert(index + 1, value);
                    }
                    (5, Some(at)) => { list.replace(at, &value); model[index] = value; }
                    (6, Some(at)) => {
                        let next = list.remove(at).map(|at| list.at(at).to_vec());
                        model.remove(index);
                        assert_eq!(next, model.get(index).cloned());
                    }
                    (7, Some(_)) => {
                        let count = value.len() % 5;
                        list.remove_range(index, count);
                        model.drain(index..model.len().min(index + count));
                    }
                    (_, Some(_)) => {
                        let rest = list.split_off(index);
                        let tail = model.split_off(index);
                        check(&list, &model);
                        check(&rest, &tail);
                        list.append(&rest);
                        model.extend(tail);
                    }
                }
                check(&list, &model);
            }
        }

        #[test]
        fn find_skips(values in prop::collection::vec(value(), 0..20), skip in 0usize..3) {
            let list: ListPack = values.iter().collect();
            for wanted in &values {
                let expected = values.iter().step_by(skip + 1).position(|v| v == wanted).map(|i| i * (skip + 1));
                let found = list.find(wanted, skip);
                assert_eq!(found, expected.and_then(|i| list.seek(i)));
            }
            assert_eq!(list.find(b"not there", skip), None);
        }

        #[test]
        fn corrupt_bytes_are_refused_or_harmless(
            values in prop::collection::vec(value(), 0..10), hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in 0usize..4
        ) {
            let list: ListPack = values.iter().collect();
            let mut bytes = list.as_bytes().to_vec();
            for (at, byte) in hits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(bytes.len() - cut);
            if let Ok(list) = ListPack::from_bytes(&bytes) {
                let forward: Vec<_> = list.iter().map(|e| e.to_vec()).collect();
                let mut backward: Vec<_> = list.iter().rev().map(|e| e.to_vec()).collect();
                backward.reverse();
                assert_eq!(forward, backward);
                assert_eq!(forward.len(), list.len());
            }
        }

        #[test]
        fn noise_is_refused_or_harmless(mut bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let len = bytes.len() as u32;
            if len >= 7 {
                bytes[..4].copy_from_slice(&len.to_le_bytes());
                bytes[4..6].copy_from_slice(&[255, 255]);
                *bytes.last_mut().expect("not empty") = 255;
            }
            if let Ok(list) = ListPack::from_bytes(&bytes) {
                list.iter().for_each(drop);
            }
        }
    }
}
