//! An entry: one allocation that holds a key, its flags, its deadline and its value or the pointer to it.
//!
//! The layout is drawn in `docs/keyspace.md`. This file is the only one that reads or writes it. It does not know where entries are kept.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::size_class::size_class;
use crate::table::{entry_in, prefetch, with_entry};
use crate::value::elem::parse_int;
use crate::value::{Blob, Elem, Hash, List, Set, StrBuf, Stream, Value, ValueRef, Word, ZSet};

/// Strings up to this length lie in the entry itself.
pub const EMBEDDED_LEN_MAX: usize = 248;

/// The longest key. Whoever takes keys from outside refuses longer ones.
pub const KEY_LEN_MAX: usize = u32::MAX as usize;

/// Bits of the addresses that a process is given if it does not ask for more: the table's slots keep so many. It is 47 on x86-64 and 48 on ARM64.
pub(crate) const ADDRESS_BITS: u32 = if cfg!(target_arch = "x86_64") { 47 } else { 48 };

const KIND_INT: u32 = 0;
const KIND_EMBEDDED: u32 = 1;
const KIND_BLOB: u32 = 2;
const KIND_LIST: u32 = 3;
const KIND_SET: u32 = KIND_LIST + List::KINDS as u32;
const KIND_HASH: u32 = KIND_SET + Set::KINDS as u32;
/// The last form of a hash: fields may have deadlines.
const KIND_TIMED: u32 = KIND_ZSET - 1;
const KIND_ZSET: u32 = KIND_HASH + Hash::KINDS as u32;
const KIND_STREAM: u32 = KIND_ZSET + ZSet::KINDS as u32;
const KIND_END: u32 = KIND_STREAM + Stream::KINDS as u32;
const _: () = assert!(KIND_END <= 16, "the kind has four bits");

const CLOCK_MASK: u32 = (1 << 24) - 1;
const KIND_SHIFT: u32 = 24;
const HAS_DEADLINE: u32 = 1 << 28;
const RAW: u32 = 1 << 29;

/// The type of a value, as TYPE names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    String,
    List,
    Set,
    ZSet,
    Hash,
    Stream,
}

impl Type {
    /// The word that TYPE answers.
    pub fn name(self) -> &'static str {
        match self {
            Type::String => "string",
            Type::List => "list",
            Type::Set => "set",
            Type::ZSet => "zset",
            Type::Hash => "hash",
            Type::Stream => "stream",
        }
    }
}

/// Types whose values an entry stores as a word. Others can't be made: the entry's kinds name these.
pub trait Collection: Word {
    const TYPE: Type;
    const FIRST_KIND: u32;
}

impl Collection for List {
    const TYPE: Type = Type::List;
    const FIRST_KIND: u32 = KIND_LIST;
}
impl Collection for Set {
    const TYPE: Type = Type::Set;
    const FIRST_KIND: u32 = KIND_SET;
}
impl Collection for Hash {
    const TYPE: Type = Type::Hash;
    const FIRST_KIND: u32 = KIND_HASH;
}
impl Collection for ZSet {
    const TYPE: Type = Type::ZSet;
    const FIRST_KIND: u32 = KIND_ZSET;
}
impl Collection for Stream {
    const TYPE: Type = Type::Stream;
    const FIRST_KIND: u32 = KIND_STREAM;
}

macro_rules! into_value {
    ($($name:ident),*) => {
        $(impl From<$name> for Value {
            fn from(value: $name) -> Value {
                Value::$name(value)
            }
        })*
    };
}
into_value!(List, Set, Hash, ZSet, Stream);

/// What is stored after the header: bytes in the entry, or a word with its kind.
enum Payload<'a> {
    Embedded(&'a [u8]),
    Word { kind: u32, word: u64 },
}

impl Payload<'_> {
    fn kind(&self) -> u32 {
        match self {
            Payload::Embedded(_) => KIND_EMBEDDED,
            Payload::Word { kind, .. } => *kind,
        }
    }
}

/// An owned entry. It has no `Drop`: the table that owns it frees it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry(NonNull<u8>);

// SAFETY: an entry is plain memory that it owns alone, and every value type in it is Send.
unsafe impl Send for Entry {}

/// An entry that is in no database yet. It can be made on any thread.
pub struct NewEntry(ManuallyDrop<Entry>);

impl NewEntry {
    pub fn new(key: &[u8], value: Value, deadline: Option<u64>, clock: u32) -> NewEntry {
        NewEntry(ManuallyDrop::new(Entry::new(key, value, deadline, clock)))
    }

    /// One with a string of at most [`EMBEDDED_LEN_MAX`] bytes that is no integer's text.
    pub fn with_string(key: &[u8], bytes: &[u8], deadline: Option<u64>, clock: u32) -> NewEntry {
        assert!(bytes.len() <= EMBEDDED_LEN_MAX);
        NewEntry(ManuallyDrop::new(Entry::build(key, &Payload::Embedded(bytes), deadline, clock)))
    }

    pub fn key(&self) -> &[u8] {
        self.0.key()
    }

    pub(crate) fn into_entry(self) -> Entry {
        *ManuallyDrop::new(self).0
    }
}

impl Drop for NewEntry {
    fn drop(&mut self) {
        self.0.free();
    }
}

/// Where the parts of an entry lie.
struct Shape {
    key_len: usize,
    deadline_at: usize,
    word_at: usize,
    key_at: usize,
    value_len: usize,
}

impl Shape {
    fn new(key_len: usize, kind: u32, value_len: usize, has_deadline: bool) -> Shape {
        let embedded = kind == KIND_EMBEDDED;
        let deadline_at = 5 + if key_len < 255 { 0 } else { 4 } + usize::from(embedded);
        let word_at = deadline_at + if has_deadline { 8 } else { 0 };
        let key_at = word_at + if embedded { 0 } else { 8 };
        Shape { key_len, deadline_at, word_at, key_at, value_len }
    }

    fn layout(&self) -> Layout {
        let size = size_class(self.key_at + self.key_len + self.value_len);
        Layout::from_size_align(size, 8).expect("an entry is smaller than the address space")
    }
}

impl Entry {
    pub(crate) fn address(self) -> u64 {
        self.0.as_ptr().expose_provenance() as u64
    }

    /// # Safety
    /// `address` came from [`Entry::address`] of an entry that was not freed since.
    pub(crate) unsafe fn from_address(address: u64) -> Entry {
        let pointer = std::ptr::with_exposed_provenance_mut(address as usize);
        // SAFETY: an entry's address is never null.
        Entry(unsafe { NonNull::new_unchecked(pointer) })
    }

    /// Reads `N` bytes at `at`.
    fn read<const N: usize>(self, at: usize) -> [u8; N] {
        // SAFETY: callers pass places inside the entry, which `Shape` computed for it.
        unsafe { self.0.as_ptr().add(at).cast::<[u8; N]>().read_unaligned() }
    }

    fn write(self, at: usize, bytes: &[u8]) {
        // SAFETY: as for `read`; `bytes` never lies inside an entry that is being written.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.as_ptr().add(at), bytes.len()) }
    }

    fn bytes<'a>(self, at: usize, len: usize) -> &'a [u8] {
        // SAFETY: as for `read`; the lifetime is bounded by the references that hand it out.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(at), len) }
    }

    fn head(self) -> u32 {
        u32::from_ne_bytes(self.read(0))
    }

    fn set_head(self, head: u32) {
        self.write(0, &head.to_ne_bytes());
    }

    fn kind(self) -> u32 {
        (self.head() >> KIND_SHIFT) & 15
    }

    fn shape(self) -> Shape {
        let head = self.head();
        let [short] = self.read::<1>(4);
        let (key_len, value_at) =
            if short < 255 { (short as usize, 5) } else { (u32::from_ne_bytes(self.read(5)) as usize, 9) };
        let kind = (head >> KIND_SHIFT) & 15;
        let value_len = if kind == KIND_EMBEDDED { self.read::<1>(value_at)[0] as usize } else { 0 };
        Shape::new(key_len, kind, value_len, head & HAS_DEADLINE != 0)
    }

    /// A new entry; `flags` are the head's bits besides the kind.
    fn build(key: &[u8], payload: &Payload<'_>, deadline: Option<u64>, flags: u32) -> Entry {
        let value_len = if let Payload::Embedded(bytes) = payload { bytes.len() } else { 0 };
        let shape = Shape::new(key.len(), payload.kind(), value_len, deadline.is_some());
        let layout = shape.layout();
        // SAFETY: the layout is never empty.
        let entry = Entry(checked(unsafe { alloc(layout) }, layout));
        entry.fill(&shape, key, payload, deadline, flags);
        entry
    }

    /// Leaves the integer 0 in place of a value of a word, which is then the caller's alone whatever happens to the caller.
    fn leave_zero(self) {
        self.set_head((self.head() & !(15 << KIND_SHIFT)) | (KIND_INT << KIND_SHIFT));
        self.write(self.shape().word_at, &0u64.to_ne_bytes());
    }

    /// Writes the whole entry; the allocation has the class of `shape`.
    fn fill(self, shape: &Shape, key: &[u8], payload: &Payload<'_>, deadline: Option<u64>, flags: u32) {
        let deadline_bit = if deadline.is_some() { HAS_DEADLINE } else { 0 };
        self.set_head((flags & (CLOCK_MASK | RAW)) | (payload.kind() << KIND_SHIFT) | deadline_bit);
        if key.len() < 255 {
            self.write(4, &[key.len() as u8]);
        } else {
            self.write(4, &[255]);
            self.write(5, &u32::try_from(key.len()).expect("keys are refused that are longer").to_ne_bytes());
        }
        if let Some(ms) = deadline {
            self.write(shape.deadline_at, &ms.to_ne_bytes());
        }
        self.write(shape.key_at, key);
        match payload {
            Payload::Embedded(bytes) => {
                self.write(shape.deadline_at - 1, &[bytes.len() as u8]);
                self.write(shape.key_at + shape.key_len, bytes);
            }
            Payload::Word { word, .. } => self.write(shape.word_at, &word.to_ne_bytes()),
        }
    }

    /// A new entry that owns `value`.
    pub(crate) fn new(key: &[u8], value: Value, deadline: Option<u64>, clock: u32) -> Entry {
        match value {
            Value::Str(StrBuf::Int(n)) => {
                Entry::build(key, &Payload::Word { kind: KIND_INT, word: n as u64 }, deadline, clock)
            }
            Value::Str(StrBuf::Bytes(bytes)) if bytes.len() <= EMBEDDED_LEN_MAX => {
                Entry::build(key, &Payload::Embedded(&bytes), deadline, clock)
            }
            Value::Str(StrBuf::Raw(bytes)) if bytes.len() <= EMBEDDED_LEN_MAX => {
                Entry::build(key, &Payload::Embedded(&bytes), deadline, clock | RAW)
            }
            Value::Str(StrBuf::Bytes(bytes) | StrBuf::Raw(bytes)) => {
                Entry::build(key, &blob(Blob::from_vec(bytes)), deadline, clock)
            }
            Value::Str(StrBuf::Blob(value)) => Entry::build(key, &blob(value), deadline, clock),
            Value::List(v) => Entry::build(key, &word(v), deadline, clock),
            Value::Set(v) => Entry::build(key, &word(v), deadline, clock),
            Value::Hash(v) => Entry::build(key, &word(v), deadline, clock),
            Value::ZSet(v) => Entry::build(key, &word(v), deadline, clock),
            Value::Stream(v) => Entry::build(key, &word(v), deadline, clock),
        }
    }

    /// A new entry with a string; what is the text of an integer is stored as one.
    pub(crate) fn new_string(key: &[u8], bytes: &[u8], deadline: Option<u64>, clock: u32) -> Entry {
        if let Some(n) = string_int(bytes) {
            Entry::build(key, &Payload::Word { kind: KIND_INT, word: n as u64 }, deadline, clock)
        } else if bytes.len() <= EMBEDDED_LEN_MAX {
            Entry::build(key, &Payload::Embedded(bytes), deadline, clock)
        } else {
            Entry::build(key, &blob(Blob::from_slice(bytes)), deadline, clock)
        }
    }

    pub(crate) fn key<'a>(self) -> &'a [u8] {
        let shape = self.shape();
        self.bytes(shape.key_at, shape.key_len)
    }

    pub(crate) fn deadline(self) -> Option<u64> {
        (self.head() & HAS_DEADLINE != 0).then(|| u64::from_ne_bytes(self.read(self.shape().deadline_at)))
    }

    /// Whether it is a hash whose fields may have deadlines.
    pub(crate) fn has_timed_fields(self) -> bool {
        self.kind() == KIND_TIMED
    }

    fn word(self) -> u64 {
        u64::from_ne_bytes(self.read(self.shape().word_at))
    }

    /// Asks the memory for the value, if it lies elsewhere. An entry may begin before the line that has its word: that comes by itself.
    #[inline]
    pub(crate) fn prefetch_value(self) {
        if self.kind() >= KIND_BLOB {
            let value: *const u8 = std::ptr::with_exposed_provenance(self.word() as usize);
            prefetch(value);
            prefetch(value.wrapping_add(64));
        }
    }

    /// Asks the memory for what of the entry lies beyond its first line, and for the value.
    #[inline]
    pub(crate) fn prefetch_rest(self) {
        const LINE: usize = 64;
        let first: *const u8 = self.0.as_ptr();
        let last = self.shape().layout().size() - 1;
        (LINE..last).step_by(LINE).chain([last]).for_each(|at| prefetch(first.wrapping_add(at)));
        self.prefetch_value();
    }

    /// Frees the allocation and what it owns.
    pub(crate) fn free(self) {
        drop(self.into_value());
    }

    /// Frees the allocation and gives up the value.
    pub(crate) fn into_value(self) -> Value {
        let value = self.take_value();
        self.free_memory();
        value
    }

    fn free_memory(self) {
        let layout = self.shape().layout();
        // SAFETY: the entry was allocated with the layout of its shape, and the caller gives it up.
        unsafe { dealloc(self.0.as_ptr(), layout) }
    }

    /// Moves the value out; the entry must then be refilled or freed without touching it again.
    fn take_value(self) -> Value {
        let kind = self.kind();
        match kind {
            KIND_INT => Value::Str(StrBuf::Int(self.word() as i64)),
            KIND_EMBEDDED if self.head() & RAW != 0 => Value::Str(StrBuf::Raw(self.embedded().to_vec())),
            KIND_EMBEDDED => Value::Str(StrBuf::Bytes(self.embedded().to_vec())),
            // SAFETY: the word came from a blob that this entry owns; the caller never uses it again.
            KIND_BLOB => Value::Str(StrBuf::Blob(unsafe { Blob::from_word(0, self.word()) })),
            // SAFETY: in each arm the form and word came from this type; the caller never uses them again.
            KIND_LIST..KIND_SET => Value::List(unsafe { List::from_word((kind - KIND_LIST) as u8, self.word()) }),
            // SAFETY: as above.
            KIND_SET..KIND_HASH => Value::Set(unsafe { Set::from_word((kind - KIND_SET) as u8, self.word()) }),
            // SAFETY: as above.
            KIND_HASH..KIND_ZSET => Value::Hash(unsafe { Hash::from_word((kind - KIND_HASH) as u8, self.word()) }),
            // SAFETY: as above.
            KIND_ZSET..KIND_STREAM => Value::ZSet(unsafe { ZSet::from_word((kind - KIND_ZSET) as u8, self.word()) }),
            // SAFETY: as above.
            _ => Value::Stream(unsafe { Stream::from_word((kind - KIND_STREAM) as u8, self.word()) }),
        }
    }

    fn embedded<'a>(self) -> &'a [u8] {
        let shape = self.shape();
        self.bytes(shape.key_at + shape.key_len, shape.value_len)
    }

    /// Puts `payload` in place of the present one, whose value was taken or needs no drop. Answers the entry, which may have moved.
    fn refill(self, payload: &Payload<'_>, deadline: Option<u64>, raw: bool) -> Entry {
        let old = self.shape();
        let key_len = old.key_len;
        let value_len = if let Payload::Embedded(bytes) = payload { bytes.len() } else { 0 };
        let new = Shape::new(key_len, payload.kind(), value_len, deadline.is_some());
        let flags = (self.head() & CLOCK_MASK) | if raw { RAW } else { 0 };
        // With the key at the same place both kinds are embedded, or both a word.
        if new.key_at == old.key_at && new.layout() == old.layout() {
            // The key stays where it is; only deadline and value change.
            let deadline_bit = if deadline.is_some() { HAS_DEADLINE } else { 0 };
            self.set_head(flags | (payload.kind() << KIND_SHIFT) | deadline_bit);
            if let Some(ms) = deadline {
                self.write(new.deadline_at, &ms.to_ne_bytes());
            }
            match payload {
                Payload::Embedded(bytes) => {
                    self.write(new.deadline_at - 1, &[bytes.len() as u8]);
                    self.write(new.key_at + key_len, bytes);
                }
                Payload::Word { word, .. } => self.write(new.word_at, &word.to_ne_bytes()),
            }
            return self;
        }
        let entry = Entry::build(self.bytes(old.key_at, key_len), payload, deadline, flags);
        self.free_memory();
        entry
    }
}

/// What the allocator gave, if the table's slots can keep it: null and what lies too far up are found by one comparison.
#[inline]
fn checked(pointer: *mut u8, layout: Layout) -> NonNull<u8> {
    if !fits(pointer.addr() as u64) {
        no_place(pointer, layout);
    }
    // SAFETY: null does not fit.
    unsafe { NonNull::new_unchecked(pointer) }
}

/// Whether an address is not null and has no more bits than slots keep.
#[inline]
const fn fits(address: u64) -> bool {
    address.wrapping_sub(1) < (1 << ADDRESS_BITS) - 1
}

#[cold]
fn no_place(pointer: *mut u8, layout: Layout) -> ! {
    if pointer.is_null() {
        handle_alloc_error(layout);
    }
    panic!("the allocator gave {pointer:p}, and the table keeps addresses of {ADDRESS_BITS} bits");
}

/// The integer as which a string value is stored: Redis tries texts of at most 20 characters.
fn string_int(bytes: &[u8]) -> Option<i64> {
    if bytes.len() <= 20 { parse_int(bytes) } else { None }
}

fn blob(value: Blob) -> Payload<'static> {
    Payload::Word { kind: KIND_BLOB, word: value.into_word().1 }
}

fn word<T: Collection>(value: T) -> Payload<'static> {
    let (form, word) = value.into_word();
    Payload::Word { kind: T::FIRST_KIND + u32::from(form), word }
}

/// A collection that an entry owns, lent for reading.
pub struct Ref<'a, T>(ManuallyDrop<T>, PhantomData<&'a T>);

impl<T> Deref for Ref<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// A value lent for reading.
pub enum View<'a> {
    Str(Elem<'a>),
    List(Ref<'a, List>),
    Set(Ref<'a, Set>),
    ZSet(Ref<'a, ZSet>),
    Hash(Ref<'a, Hash>),
    Stream(Ref<'a, Stream>),
}

impl View<'_> {
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            View::Str(v) => ValueRef::Str(*v),
            View::List(v) => ValueRef::List(v),
            View::Set(v) => ValueRef::Set(v),
            View::ZSet(v) => ValueRef::ZSet(v),
            View::Hash(v) => ValueRef::Hash(v),
            View::Stream(v) => ValueRef::Stream(v),
        }
    }
}

/// An entry lent for reading, on the thread that has the table: reads set its clock.
///
/// ```compile_fail
/// fn sent<T: Send>() {}
/// sent::<rivulet_keyspace::EntryRef<'static>>();
/// ```
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    entry: Entry,
    life: PhantomData<(&'a u8, *const ())>,
}

impl<'a> EntryRef<'a> {
    pub(crate) fn new(entry: Entry) -> Self {
        EntryRef { entry, life: PhantomData }
    }

    pub fn key(self) -> &'a [u8] {
        self.entry.key()
    }

    /// When the key expires, in Unix milliseconds.
    pub fn deadline(self) -> Option<u64> {
        self.entry.deadline()
    }

    /// The 24 bits of the LRU clock, or of the LFU counter and its time.
    pub fn clock(self) -> u32 {
        self.entry.head() & CLOCK_MASK
    }

    /// Sets the 24 clock bits. A read may do this: they are no part of a snapshot's meaning.
    pub fn set_clock(self, clock: u32) {
        self.entry.set_head((self.entry.head() & !CLOCK_MASK) | (clock & CLOCK_MASK));
    }

    pub fn value_type(self) -> Type {
        match self.entry.kind() {
            KIND_INT | KIND_EMBEDDED | KIND_BLOB => Type::String,
            KIND_LIST..KIND_SET => Type::List,
            KIND_SET..KIND_HASH => Type::Set,
            KIND_HASH..KIND_ZSET => Type::Hash,
            KIND_ZSET..KIND_STREAM => Type::ZSet,
            _ => Type::Stream,
        }
    }

    /// The word that OBJECT ENCODING answers.
    pub fn encoding(self) -> &'static str {
        match self.value() {
            View::Str(Elem::Int(_)) => "int",
            View::Str(Elem::Bytes(b)) => {
                if self.entry.head() & RAW == 0 && b.len() <= 44 {
                    "embstr"
                } else {
                    "raw"
                }
            }
            View::List(v) => v.encoding(),
            View::Set(v) => v.encoding(),
            View::ZSet(v) => v.encoding(),
            View::Hash(v) => v.encoding(),
            View::Stream(v) => v.encoding(),
        }
    }

    /// The string, or nothing when the value is of another type.
    #[inline]
    pub fn string(self) -> Option<Elem<'a>> {
        match self.entry.kind() {
            KIND_INT => Some(Elem::Int(self.entry.word() as i64)),
            KIND_EMBEDDED => Some(Elem::Bytes(self.entry.embedded())),
            KIND_BLOB => {
                // SAFETY: the word came from a blob that this entry owns; this copy is never dropped.
                let blob = ManuallyDrop::new(unsafe { Blob::from_word(0, self.entry.word()) });
                let bytes = blob.as_bytes();
                // SAFETY: the bytes live as long as the entry's blob, which nothing changes during 'a.
                Some(Elem::Bytes(unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) }))
            }
            _ => None,
        }
    }

    /// A large string as its shared form, for those who keep it beyond the borrow.
    pub fn blob(self) -> Option<Blob> {
        (self.entry.kind() == KIND_BLOB).then(|| {
            // SAFETY: the word came from a blob that this entry owns; this copy is never dropped.
            let blob = ManuallyDrop::new(unsafe { Blob::from_word(0, self.entry.word()) });
            Blob::clone(&blob)
        })
    }

    /// The collection of type `T`, or nothing when the value is of another type.
    pub fn collection<T: Collection>(self) -> Option<Ref<'a, T>> {
        let form = self.entry.kind().wrapping_sub(T::FIRST_KIND);
        (form < u32::from(T::KINDS)).then(|| {
            // SAFETY: the kind names this type, and the copy is never dropped nor changed.
            Ref(ManuallyDrop::new(unsafe { T::from_word(form as u8, self.entry.word()) }), PhantomData)
        })
    }

    pub fn value(self) -> View<'a> {
        const NAMED: &str = "the kind names the type";
        match self.value_type() {
            Type::String => View::Str(self.string().expect(NAMED)),
            Type::List => View::List(self.collection().expect(NAMED)),
            Type::Set => View::Set(self.collection().expect(NAMED)),
            Type::ZSet => View::ZSet(self.collection().expect(NAMED)),
            Type::Hash => View::Hash(self.collection().expect(NAMED)),
            Type::Stream => View::Stream(self.collection().expect(NAMED)),
        }
    }

    /// A copy of the value that shares what is big.
    pub fn clone_value(self) -> Value {
        match self.value() {
            View::Str(Elem::Int(n)) => Value::Str(StrBuf::Int(n)),
            View::Str(Elem::Bytes(b)) => Value::Str(match self.blob() {
                Some(blob) => StrBuf::Blob(blob),
                None if self.entry.head() & RAW != 0 => StrBuf::Raw(b.to_vec()),
                None => StrBuf::Bytes(b.to_vec()),
            }),
            View::List(v) => Value::List(List::clone(&v)),
            View::Set(v) => Value::Set(Set::clone(&v)),
            View::ZSet(v) => Value::ZSet(ZSet::clone(&v)),
            View::Hash(v) => Value::Hash(Hash::clone(&v)),
            View::Stream(v) => Value::Stream(Stream::clone(&v)),
        }
    }

    /// Bytes of the entry's own allocation, without what it points to.
    pub fn entry_bytes(self) -> usize {
        self.entry.shape().layout().size()
    }

    /// Bytes of what the entry points to.
    pub fn heap_bytes(self) -> usize {
        match self.value() {
            View::Str(_) => self.blob().map_or(0, |b| b.heap_bytes()),
            View::List(v) => v.heap_bytes(),
            View::Set(v) => v.heap_bytes(),
            View::ZSet(v) => v.heap_bytes(),
            View::Hash(v) => v.heap_bytes(),
            View::Stream(v) => v.heap_bytes(),
        }
    }

    /// Where the entry lies, for DEBUG OBJECT.
    pub fn address(self) -> u64 {
        self.entry.address()
    }
}

/// An entry lent for change. Only the table's capturing functions hand one out.
///
/// At each moment the slot has the entry and the entry owns its value, also when a caller's function panics or a guard is forgotten.
pub struct EntryMut<'a> {
    /// Where the table keeps the entry.
    slot: &'a mut u64,
}

impl<'a> EntryMut<'a> {
    /// # Safety
    /// The slot has an entry that nobody else uses during `'a`.
    pub(crate) unsafe fn new(slot: &'a mut u64) -> Self {
        EntryMut { slot }
    }

    #[inline]
    fn entry(&self) -> Entry {
        entry_in(*self.slot)
    }

    /// Puts `payload` in place of the present value, which was taken or needs no drop.
    #[inline]
    fn refill(&mut self, payload: &Payload<'_>, deadline: Option<u64>, raw: bool) {
        let entry = self.entry().refill(payload, deadline, raw);
        *self.slot = with_entry(*self.slot, entry);
    }

    pub fn as_ref(&self) -> EntryRef<'_> {
        EntryRef::new(self.entry())
    }

    /// The collection of type `T`, or nothing when the value is of another type.
    pub(crate) fn into_collection<T: Collection>(self) -> Option<CollectionMut<'a, T>> {
        let entry = self.entry();
        let form = entry.kind().wrapping_sub(T::FIRST_KIND);
        (form < u32::from(T::KINDS)).then(|| {
            // SAFETY: the kind names this type, and the entry is given another value at once.
            let value = unsafe { T::from_word(form as u8, entry.word()) };
            entry.leave_zero();
            CollectionMut { entry, value: ManuallyDrop::new(value), life: PhantomData }
        })
    }

    /// Makes the value this string, keeping the deadline. Answers the old value when it was not a small string.
    #[inline]
    pub fn set_string(&mut self, bytes: &[u8]) -> Option<Value> {
        let deadline = self.entry().deadline();
        self.set_string_and_deadline(bytes, deadline)
    }

    pub(crate) fn set_string_and_deadline(&mut self, bytes: &[u8], deadline: Option<u64>) -> Option<Value> {
        let old = self.take_if_heavy();
        if let Some(n) = string_int(bytes) {
            self.refill(&Payload::Word { kind: KIND_INT, word: n as u64 }, deadline, false);
        } else if bytes.len() <= EMBEDDED_LEN_MAX {
            self.refill(&Payload::Embedded(bytes), deadline, false);
        } else {
            self.refill(&blob(Blob::from_slice(bytes)), deadline, false);
        }
        old
    }

    /// Makes the value this integer, keeping the deadline.
    pub fn set_int(&mut self, n: i64) -> Option<Value> {
        let deadline = self.entry().deadline();
        let old = self.take_if_heavy();
        self.refill(&Payload::Word { kind: KIND_INT, word: n as u64 }, deadline, false);
        old
    }

    /// Edits a string in place as bytes; it then counts as `raw`. The value must be a string. If `edit` panics, a large string is lost: the key holds 0.
    pub fn edit_string<R>(&mut self, edit: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let deadline = self.entry().deadline();
        let taken = if self.entry().kind() == KIND_BLOB { self.take_if_heavy() } else { None };
        if let Some(Value::Str(StrBuf::Blob(mut value))) = taken {
            let result = edit(value.edit());
            self.refill(&blob(value), deadline, true);
            return result;
        }
        let mut bytes = self.as_ref().string().expect("the value is a string").to_vec();
        let result = edit(&mut bytes);
        if bytes.len() <= EMBEDDED_LEN_MAX {
            self.refill(&Payload::Embedded(&bytes), deadline, true);
        } else {
            self.refill(&blob(Blob::from_vec(bytes)), deadline, true);
        }
        result
    }

    /// Sets the deadline's place in the entry; the table keeps its own index of them.
    pub(crate) fn set_deadline(&mut self, deadline: Option<u64>) {
        let entry = self.entry();
        let raw = entry.head() & RAW != 0;
        let kind = entry.kind();
        if kind == KIND_EMBEDDED {
            let bytes: smallvec::SmallVec<[u8; 256]> = entry.embedded().into();
            self.refill(&Payload::Embedded(&bytes), deadline, raw);
        } else {
            self.refill(&Payload::Word { kind, word: entry.word() }, deadline, raw);
        }
    }

    /// Takes what must be dropped or handed to the reaper; the entry holds 0 until it is refilled.
    fn take_if_heavy(&mut self) -> Option<Value> {
        let entry = self.entry();
        (entry.kind() > KIND_EMBEDDED).then(|| {
            let value = entry.take_value();
            entry.leave_zero();
            value
        })
    }
}

/// A collection lent for change; it is written back to its entry, which does not move, when the guard goes. Until then the entry holds the integer 0:
/// a guard that is forgotten loses the value, and nothing else.
pub struct CollectionMut<'a, T: Collection> {
    entry: Entry,
    value: ManuallyDrop<T>,
    life: PhantomData<&'a mut Entry>,
}

impl<T: Collection> Deref for CollectionMut<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Collection> DerefMut for CollectionMut<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: Collection> Drop for CollectionMut<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the value is taken once, here, and goes back to the entry.
        let (form, word) = unsafe { ManuallyDrop::take(&mut self.value) }.into_word();
        let head = self.entry.head();
        let kind = T::FIRST_KIND + u32::from(form);
        self.entry.set_head((head & !(15 << KIND_SHIFT)) | (kind << KIND_SHIFT));
        self.entry.write(self.entry.shape().word_at, &word.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_slots_can_not_keep_are_found() {
        for (address, good) in
            [(0, false), (8, true), ((1 << ADDRESS_BITS) - 8, true), (1 << ADDRESS_BITS, false), (u64::MAX - 7, false)]
        {
            assert_eq!(fits(address), good, "{address:x}");
        }
    }
}
