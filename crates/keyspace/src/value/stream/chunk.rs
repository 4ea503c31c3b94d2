//! A chunk of a stream: entries in one shared allocation, which is copied when it is edited while someone else holds it.
//!
//! ```text
//! count: varint | name ... | entry | entry ...
//! entry: size of what follows: varint | head: u8 | ms | seq | field ...
//! head:  1 deleted | 2 ends a node | 4 has names of its own | 8 has a seq | bytes of the ms << 4
//! ms:    distance from that of the chunk's base, little-endian       seq: varint, a distance from the base's if the ms are equal
//! field: value, or with names of its own    count: varint | name value ...
//! ```
//!
//! Names and values are encoded as a listpack's elements without their lengths backwards. The names in front are those of most entries.
//!
//! A *node* is what Redis keeps in one listpack. Streams are trimmed approximately by whole nodes, so where they end is kept, and a deleted
//! entry that ends one leaves its id. A node with entries in a chunk has the chunk's names as its own first ones: whoever appends sees to it.

use smallvec::SmallVec;
use triomphe::ThinArc;

use super::Id;
use crate::size_class::size_class;
use crate::value::tree::Leaf;
use crate::value::{Elem, Word, listpack};

/// What a chunk with more than one entry may have in use.
pub const ALLOCATION_BYTES_MAX: usize = 4096;
/// A chunk below this joins a neighbour.
const BYTES_MIN: usize = 1024;
/// Joined chunks stay below this.
const JOINED_BYTES_MAX: usize = 3072;

const DEAD: u8 = 1;
const ENDS_NODE: u8 = 2;
const OWN_NAMES: u8 = 4;
const HAS_SEQ: u8 = 8;
const MS_SHIFT: u32 = 4;

/// A chunk; `M` is what a stream of one chunk keeps in the same allocation.
pub struct Chunk<M: Copy = ()>(ThinArc<Head<M>, u8>);

#[derive(Clone, Copy)]
struct Head<M> {
    /// What ids are told from.
    base: Id,
    /// Bytes in use.
    used: u32,
    /// Entries that are not deleted.
    live: u32,
    /// Where the last entry begins; 0 when there is none.
    last: u32,
    /// Where the first entry begins.
    first: u32,
    meta: M,
}

impl<M: Copy> Clone for Chunk<M> {
    fn clone(&self) -> Self {
        Chunk(self.0.clone())
    }
}

/// The names and values of a new entry.
pub trait Fields {
    /// How many pairs.
    fn count(&self) -> usize;
    /// Pair `i`.
    fn pair(&self, i: usize) -> (Elem<'_>, Elem<'_>);
}

impl Fields for [(Elem<'_>, Elem<'_>)] {
    fn count(&self) -> usize {
        self.len()
    }

    #[inline]
    fn pair(&self, i: usize) -> (Elem<'_>, Elem<'_>) {
        self[i]
    }
}

/// An entry as it lies in a chunk.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    pub id: Id,
    /// Where it begins, and where the next one does.
    at: usize,
    end: usize,
    head: u8,
    /// The chunk's names, with their count.
    names: &'a [u8],
    /// What follows the id.
    fields: &'a [u8],
}

impl<'a> Entry<'a> {
    pub fn is_dead(&self) -> bool {
        self.head & DEAD != 0
    }

    /// Whether it is the last one of its node.
    pub fn ends_node(&self) -> bool {
        self.head & ENDS_NODE != 0
    }

    /// Whether its names are those that most entries of the chunk have.
    pub fn has_common_names(&self) -> bool {
        self.head & OWN_NAMES == 0
    }

    /// The names that most entries of the chunk have; those of the first entry of its node.
    pub fn common_names(&self) -> impl ExactSizeIterator<Item = Elem<'a>> + use<'a> {
        let (count, mut names) = read_varint(self.names);
        (0..count as usize).map(move |_| read_elem(&mut names))
    }

    /// Its names and values.
    #[inline]
    pub fn fields(&self) -> FieldIter<'a> {
        if self.has_common_names() {
            let (left, names) = read_varint(self.names);
            FieldIter { left: left as usize, names: Some(names), rest: self.fields }
        } else {
            let (left, rest) = read_varint(self.fields);
            FieldIter { left: left as usize, names: None, rest }
        }
    }
}

/// Names and values of an entry.
#[derive(Clone)]
pub struct FieldIter<'a> {
    left: usize,
    /// Where the next name is, if not before its value.
    names: Option<&'a [u8]>,
    rest: &'a [u8],
}

impl<'a> Iterator for FieldIter<'a> {
    type Item = (Elem<'a>, Elem<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = read_elem(match &mut self.names {
            Some(names) => names,
            None => &mut self.rest,
        });
        Some((name, read_elem(&mut self.rest)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for FieldIter<'_> {}

#[inline]
fn read_elem<'a>(rest: &mut &'a [u8]) -> Elem<'a> {
    let (elem, size) = listpack::decode(rest);
    *rest = &rest[size..];
    elem
}

/// Bytes that are about to be written to a chunk.
type Draft = SmallVec<[u8; 256]>;

/// Answers how many bytes the element takes in a listpack.
#[inline]
fn push_elem(out: &mut Draft, elem: Elem<'_>) -> usize {
    elem.with(|text| {
        let (encoding, header, text) = listpack::encode(text);
        out.extend_from_slice(&encoding[..header]);
        out.extend_from_slice(text);
        listpack::with_backlen(header + text.len())
    })
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

fn push_varint(out: &mut Draft, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// The first `width` bytes as a number.
#[inline]
fn read_ms(bytes: &[u8], width: u32) -> u64 {
    if let Some(whole) = bytes.first_chunk::<8>() {
        return u64::from_le_bytes(*whole) & u64::MAX.checked_shr(64 - 8 * width).unwrap_or(0);
    }
    let mut whole = [0; 8];
    whole[..width as usize].copy_from_slice(&bytes[..width as usize]);
    u64::from_le_bytes(whole)
}

/// The entries of a chunk, also the deleted ones.
#[derive(Clone)]
pub struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    base: Id,
    names: &'a [u8],
}

impl<'a> Walk<'a> {
    /// Entries of nothing.
    pub fn empty() -> Walk<'a> {
        Walk { bytes: &[], at: 0, base: Id::MIN, names: &[] }
    }

    #[inline]
    fn parse(&self, at: usize) -> Entry<'a> {
        let bytes: &'a [u8] = self.bytes;
        let (size, rest) = read_varint(&bytes[at..]);
        let end = bytes.len() - rest.len() + size as usize;
        let head = rest[0];
        let width = usize::from(head >> MS_SHIFT);
        let ms = read_ms(&rest[1..], width as u32);
        let fields = &rest[1 + width..size as usize];
        let (seq, fields) = if head & HAS_SEQ != 0 { read_varint(fields) } else { (0, fields) };
        let seq = if ms == 0 { self.base.seq.wrapping_add(seq) } else { seq };
        let id = Id { ms: self.base.ms.wrapping_add(ms), seq };
        Entry { id, at, end, head, names: self.names, fields }
    }

    /// Goes on at the first entry whose id is not below `id`.
    #[inline]
    pub fn seek(&mut self, id: Id) {
        let Some(wanted) = id.ms.checked_sub(self.base.ms) else { return };
        while self.at < self.bytes.len() {
            let (size, rest) = read_varint(&self.bytes[self.at..]);
            // Nearly always the ms decide.
            let ms = read_ms(&rest[1..], u32::from(rest[0] >> MS_SHIFT));
            if ms > wanted || (ms == wanted && self.parse(self.at).id >= id) {
                return;
            }
            self.at = self.bytes.len() - rest.len() + size as usize;
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let entry = self.parse(self.at);
        self.at = entry.end;
        Some(entry)
    }
}

/// The fields of a new entry as a chunk has them.
pub struct Body {
    bytes: Draft,
    has_common_names: bool,
    /// What they take in a listpack beside the id.
    pub listpack_bytes: usize,
}

impl Body {
    #[inline]
    fn new(fields: &(impl Fields + ?Sized), has_common_names: bool) -> Body {
        let mut body = Body { bytes: Draft::new(), has_common_names, listpack_bytes: 0 };
        let count = fields.count();
        if !has_common_names {
            push_varint(&mut body.bytes, count as u64);
            body.listpack_bytes += listpack::int_bytes(count as i64);
        }
        for i in 0..count {
            let (name, value) = fields.pair(i);
            if !has_common_names {
                body.listpack_bytes += push_elem(&mut body.bytes, name);
            }
            body.listpack_bytes += push_elem(&mut body.bytes, value);
        }
        // Flags, and at the end how many elements there are.
        let elements = if has_common_names { count + 3 } else { 2 * count + 4 };
        body.listpack_bytes += listpack::int_bytes(0) + listpack::int_bytes(elements as i64);
        body
    }

    /// An upper bound of what the entry takes in a chunk.
    pub fn entry_bytes_max(&self) -> usize {
        // Sizes of the size, the head, the ms and the seq.
        self.bytes.len() + 5 + 1 + 8 + 10
    }
}

/// How large an allocation an edit leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// As it is, unless it is too small or much too large.
    Loose,
    /// That of a full chunk: more will come.
    Whole,
    /// As small as it can be: nothing more will come.
    Exact,
}

/// An entry without its fields.
struct Front {
    bytes: [u8; FRONT_MAX],
    len: usize,
}

/// A size of at most five bytes, the head, eight bytes of ms and ten of a seq.
const FRONT_MAX: usize = 24;

impl Front {
    /// As it is told from `base`; fields of so many bytes follow.
    #[inline]
    fn new(base: Id, id: Id, flags: u8, fields_len: usize) -> Front {
        let ms = id.ms.wrapping_sub(base.ms);
        let seq = if ms == 0 { id.seq.wrapping_sub(base.seq) } else { id.seq };
        let width = (64 - ms.leading_zeros()).div_ceil(8) as usize;
        let (mut seq_bytes, mut seq_len) = ([0; 10], 0);
        if seq != 0 {
            seq_len = write_varint(&mut seq_bytes, seq);
        }
        let mut bytes = [0; FRONT_MAX];
        let mut len = write_varint(&mut bytes, (1 + width + seq_len + fields_len) as u64);
        bytes[len] = (width as u8) << MS_SHIFT | if seq == 0 { 0 } else { HAS_SEQ } | flags;
        len += 1;
        bytes[len..len + 8].copy_from_slice(&ms.to_le_bytes());
        len += width;
        bytes[len..len + seq_len].copy_from_slice(&seq_bytes[..seq_len]);
        Front { bytes, len: len + seq_len }
    }
}

impl std::ops::Deref for Front {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Answers how many bytes it took.
#[inline]
fn write_varint(out: &mut [u8], mut n: u64) -> usize {
    let mut len = 0;
    while n >= 0x80 {
        out[len] = n as u8 | 0x80;
        n >>= 7;
        len += 1;
    }
    out[len] = n as u8;
    len + 1
}

impl<M: Copy> Chunk<M> {
    /// What the allocation has before the bytes.
    const OVERHEAD: usize = size_of::<usize>() * 2 + size_of::<Head<M>>();

    /// A chunk without entries, whose names are in `names` as a chunk has them.
    fn with_names(base: Id, names: &[u8], meta: M) -> Self {
        let used = names.len();
        let mut bytes = names.to_vec();
        bytes.resize(size_class(Self::OVERHEAD + used) - Self::OVERHEAD, 0);
        let head = Head { base, used: used as u32, live: 0, last: 0, first: used as u32, meta };
        Chunk(ThinArc::from_header_and_slice(head, &bytes))
    }

    /// A chunk without entries for such as have these names.
    pub fn new(base: Id, fields: &(impl Fields + ?Sized), meta: M) -> Self {
        let mut names = Draft::new();
        push_varint(&mut names, fields.count() as u64);
        (0..fields.count()).for_each(|i| _ = push_elem(&mut names, fields.pair(i).0));
        Self::with_names(base, &names, meta)
    }

    /// A chunk without entries and without names.
    pub fn empty(meta: M) -> Self {
        Self::with_names(Id::MIN, &[0], meta)
    }

    /// A chunk without entries with the names of this one.
    pub fn followed_from(&self, base: Id) -> Chunk {
        Chunk::with_names(base, self.names(), ())
    }

    /// The same entries with another `meta`.
    pub fn with_meta<N: Copy>(&self, meta: N) -> Chunk<N> {
        let Head { base, used, live, last, first, .. } = *self.head();
        let mut bytes = self.bytes().to_vec();
        bytes.resize(size_class(Chunk::<N>::OVERHEAD + bytes.len()) - Chunk::<N>::OVERHEAD, 0);
        Chunk(ThinArc::from_header_and_slice(Head { base, used, live, last, first, meta }, &bytes))
    }

    #[inline]
    fn head(&self) -> &Head<M> {
        &self.0.header.header
    }

    #[inline]
    pub fn meta(&self) -> &M {
        &self.head().meta
    }

    pub fn set_meta(&mut self, meta: M) {
        self.edit(0, Fit::Loose, |head, _| head.meta = meta);
    }

    /// Entries that are not deleted.
    #[inline]
    pub fn live(&self) -> usize {
        self.head().live as usize
    }

    /// Size of the allocation.
    pub fn heap_bytes(&self) -> usize {
        Self::OVERHEAD + self.0.slice.len()
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.0.slice[..self.head().used as usize]
    }

    /// The names in front, with their count.
    #[inline]
    fn names(&self) -> &[u8] {
        &self.0.slice[..self.head().first as usize]
    }

    #[inline]
    fn bytes_used(&self) -> usize {
        Self::OVERHEAD + self.head().used as usize
    }

    /// Whether it has neither entries nor ids of deleted ones.
    pub fn is_void(&self) -> bool {
        self.head().used == self.head().first
    }

    /// Whether an entry with this body may come, or has to come into a chunk of its own.
    #[inline]
    pub fn has_room(&self, body: &Body) -> bool {
        self.is_void() || self.bytes_used() + body.entry_bytes_max() <= ALLOCATION_BYTES_MAX
    }

    /// All entries, also the deleted ones.
    #[inline]
    pub fn walk(&self) -> Walk<'_> {
        let first = self.head().first as usize;
        Walk { bytes: self.bytes(), at: first, base: self.head().base, names: self.names() }
    }

    /// The last entry, deleted or not.
    #[inline]
    pub fn last(&self) -> Option<Entry<'_>> {
        let last = self.head().last as usize;
        (last > 0).then(|| self.walk().parse(last))
    }

    /// Whether these are the names in front.
    #[inline]
    pub fn has_names(&self, fields: &(impl Fields + ?Sized)) -> bool {
        let (count, mut names) = read_varint(self.names());
        count == fields.count() as u64 && (0..fields.count()).all(|i| read_elem(&mut names) == fields.pair(i).0)
    }

    /// What the names in front take in a listpack.
    pub fn names_listpack_bytes(&self) -> usize {
        let (count, mut names) = read_varint(self.names());
        let names = (0..count).map(|_| read_elem(&mut names).with(listpack::ListPack::<0>::entry_bytes));
        names.sum::<usize>() + listpack::int_bytes(count as i64)
    }

    /// Encodes an entry's fields for this chunk.
    #[inline]
    pub fn body(&self, fields: &(impl Fields + ?Sized)) -> Body {
        Body::new(fields, self.has_names(fields))
    }

    /// Makes the allocation ours alone with room for `more` bytes, then edits head and bytes.
    #[inline]
    fn edit<R>(&mut self, more: usize, fit: Fit, edit: impl FnOnce(&mut Head<M>, &mut [u8]) -> R) -> R {
        let capacity = self.0.slice.len();
        let fitting = size_class(self.bytes_used() + more) - Self::OVERHEAD;
        let wanted = match fit {
            Fit::Exact => fitting,
            Fit::Whole if fitting > capacity => fitting.max(ALLOCATION_BYTES_MAX - Self::OVERHEAD),
            Fit::Whole => capacity,
            Fit::Loose if fitting > capacity || fitting + fitting / 2 < capacity => fitting,
            Fit::Loose => capacity,
        };
        if wanted != capacity || ThinArc::strong_count(&self.0) != 1 {
            self.reallocate(wanted);
        }
        self.0.with_arc_mut(|arc| {
            let inner = triomphe::Arc::get_mut(arc).expect("it was made ours alone");
            let mut head = *inner.header();
            let out = edit(&mut head, inner.slice_mut());
            *inner.header_mut() = head;
            out
        })
    }

    #[cold]
    fn reallocate(&mut self, capacity: usize) {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.extend_from_slice(self.bytes());
        bytes.resize(capacity, 0);
        self.0 = ThinArc::from_header_and_slice(*self.head(), &bytes);
    }

    /// Appends an entry whose id is above all others. `meta` is what the chunk keeps from now on.
    #[inline]
    pub fn append(&mut self, id: Id, body: &Body, fit: Fit, meta: M) {
        let flags = if body.has_common_names { 0 } else { OWN_NAMES };
        let front = Front::new(self.head().base, id, flags, body.bytes.len());
        self.edit(front.len() + body.bytes.len(), fit, |head, bytes| {
            let start = head.used as usize;
            let fields = start + front.len();
            let end = fields + body.bytes.len();
            bytes[start..fields].copy_from_slice(&front);
            bytes[fields..end].copy_from_slice(&body.bytes);
            (head.last, head.used, head.meta) = (start as u32, end as u32, meta);
            head.live += 1;
        });
    }

    /// What comes next belongs to another node than the last entry, or the last entry ended none and is deleted: nobody need know its id then.
    pub fn prepare_append(&mut self, ends_node: bool) {
        let Some(last) = self.last() else { return };
        let (at, end) = (last.at, last.end);
        if ends_node {
            self.mark(at, ENDS_NODE);
        } else if last.is_dead() && !last.ends_node() {
            self.splice(at, end, &[], 0);
        }
    }

    /// Nothing comes behind the last entry any more.
    pub fn close(&mut self) {
        self.edit(0, Fit::Exact, |_, _| ());
    }

    fn mark(&mut self, at: usize, flag: u8) {
        let head_at = self.bytes().len() - read_varint(&self.bytes()[at..]).1.len();
        self.edit(0, Fit::Whole, |_, bytes| bytes[head_at] |= flag);
    }

    /// Puts `new` in place of the entry at `at`, which then has `lost` entries fewer that are not deleted.
    fn splice(&mut self, at: usize, end: usize, new: &[u8], lost: u32) {
        let before = self.before(at);
        self.edit(0, Fit::Loose, |head, bytes| {
            bytes.copy_within(end..head.used as usize, at + new.len());
            bytes[at..at + new.len()].copy_from_slice(new);
            let shorter = (end - at - new.len()) as u32;
            head.used -= shorter;
            head.live -= lost;
            if head.last as usize > at {
                head.last -= shorter;
            } else if head.last as usize == at && new.is_empty() {
                head.last = before;
            }
        });
    }

    /// Where the entry begins before the one at `at`, or 0.
    fn before(&self, at: usize) -> u32 {
        if self.head().last as usize != at {
            return 0;
        }
        self.walk().take_while(|entry| entry.at < at).last().map_or(0, |entry| entry.at as u32)
    }

    /// Deletes an entry; answers whether it was there. With `keeps_last` the id of the very last entry is kept.
    pub fn remove(&mut self, id: Id, keeps_last: bool) -> bool {
        let mut walk = self.walk();
        walk.seek(id);
        let Some(entry) = walk.next().filter(|entry| entry.id == id && !entry.is_dead()) else { return false };
        let (at, end) = (entry.at, entry.end);
        let is_last = at == self.head().last as usize;
        if entry.ends_node() || (keeps_last && is_last) {
            let flags = DEAD | (entry.head & ENDS_NODE);
            let rest = Front::new(self.head().base, id, flags, 0);
            self.splice(at, end, &rest, 1);
        } else {
            self.splice(at, end, &[], 1);
        }
        true
    }

    /// Takes the first `count` entries out that are not deleted, and the ids of deleted ones before the next.
    pub fn cut_front(&mut self, count: usize) {
        let mut left = count;
        let mut walk = self.walk();
        let next = walk.find(|entry| {
            let stays = left == 0 && !entry.is_dead();
            left -= usize::from(left > 0 && !entry.is_dead());
            stays
        });
        let Some(from) = next.map(|entry| entry.at) else { return self.clear() };
        self.edit(0, Fit::Loose, |head, bytes| {
            let gone = from - head.first as usize;
            bytes.copy_within(from..head.used as usize, head.first as usize);
            head.used -= gone as u32;
            head.last -= gone as u32;
            head.live -= count as u32;
        });
    }

    fn clear(&mut self) {
        self.edit(0, Fit::Loose, |head, _| (head.used, head.last, head.live) = (head.first, 0, 0));
    }

    /// How many entries that are not deleted are in nodes that end here with at most `most` of them.
    pub fn node_end_by_rank(&self, most: usize) -> Option<usize> {
        let (bytes, mut at) = (self.bytes(), self.head().first as usize);
        let (mut count, mut end) = (0, None);
        // Only the heads are looked at.
        while at < bytes.len() {
            let (size, rest) = read_varint(&bytes[at..]);
            at = bytes.len() - rest.len() + size as usize;
            count += usize::from(rest[0] & DEAD == 0);
            if count > most {
                break;
            }
            if rest[0] & ENDS_NODE != 0 {
                end = Some(count);
            }
        }
        end
    }

    /// How many entries that are not deleted are in nodes that end here before this id.
    pub fn node_end_by_id(&self, below: Id) -> Option<usize> {
        let (mut count, mut end) = (0, None);
        for entry in self.walk().take_while(|entry| entry.id < below) {
            count += usize::from(!entry.is_dead());
            if entry.ends_node() {
                end = Some(count);
            }
        }
        end
    }

    /// How many entries that are not deleted have a lower id.
    pub fn count_below(&self, id: Id) -> usize {
        self.walk().take_while(|entry| entry.id < id).filter(|entry| !entry.is_dead()).count()
    }

    /// Whether the entry is there.
    pub fn contains(&self, id: Id) -> bool {
        let mut walk = self.walk();
        walk.seek(id);
        walk.next().is_some_and(|entry| entry.id == id && !entry.is_dead())
    }
}

impl Chunk {
    /// The entries of both, told from this one's base.
    fn joined(&self, right: &Chunk) -> Chunk {
        let mut bytes = self.bytes().to_vec();
        let mut head = *self.head();
        for entry in right.walk() {
            head.last = bytes.len() as u32;
            head.live += u32::from(!entry.is_dead());
            let flags = entry.head & (DEAD | ENDS_NODE | OWN_NAMES);
            bytes.extend_from_slice(&Front::new(head.base, entry.id, flags, entry.fields.len()));
            bytes.extend_from_slice(entry.fields);
        }
        head.used = bytes.len() as u32;
        bytes.resize(size_class(Self::OVERHEAD + bytes.len()) - Self::OVERHEAD, 0);
        Chunk(ThinArc::from_header_and_slice(head, &bytes))
    }
}

impl Leaf for Chunk {
    type Key = Id;
    type Limit = ();

    fn key_min() -> Id {
        Id::MIN
    }

    fn len(&self) -> usize {
        self.live()
    }

    fn heap_bytes(&self) -> usize {
        Chunk::heap_bytes(self)
    }

    fn is_over(&self, _limit: ()) -> bool {
        // Whoever appends begins another one.
        false
    }

    fn is_under(&self) -> bool {
        self.bytes_used() < BYTES_MIN
    }

    fn split(&mut self) -> Option<(Id, Self)> {
        None
    }

    fn absorb(&mut self, right: &Self, _limit: ()) -> bool {
        let joined_max = self.bytes_used() + right.bytes_used() + 8 * right.live();
        if joined_max > JOINED_BYTES_MAX || self.names() != right.names() {
            return false;
        }
        *self = self.joined(right);
        true
    }
}

impl<M: Copy> crate::value::Sealed for Chunk<M> {}

impl<M: Copy> Word for Chunk<M> {
    const KINDS: u8 = 1;

    fn into_word(self) -> (u8, u64) {
        (0, ThinArc::into_raw(self.0).expose_provenance() as u64)
    }

    unsafe fn from_word(_form: u8, word: u64) -> Self {
        let pointer = std::ptr::with_exposed_provenance(word as usize);
        // SAFETY: by the caller's word this is the pointer that `into_raw` gave.
        Chunk(unsafe { ThinArc::from_raw(pointer) })
    }
}
