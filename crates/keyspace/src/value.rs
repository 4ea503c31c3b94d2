//! The values of keys, one file a noun.

use std::sync::OnceLock;

use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

pub mod blob;
mod chunk;
pub mod elem;
pub mod hash;
pub mod intset;
pub mod list;
pub mod listpack;
mod pack;
mod raw;
mod score;
mod score_tree;
pub mod set;
pub mod stream;
mod table;
pub mod tree;
pub mod zset;

pub use blob::Blob;
pub use elem::Elem;
pub use hash::Hash;
pub use intset::IntSet;
pub use list::List;
pub use listpack::ListPack;
pub use set::Set;
pub use stream::Stream;
pub use zset::ZSet;

/// A value that belongs to no key: what one is built from, and what is left when a key goes.
#[derive(Clone, Debug)]
pub enum Value {
    Str(StrBuf),
    List(List),
    Set(Set),
    ZSet(ZSet),
    Hash(Hash),
    Stream(Stream),
}

/// An owned string value.
#[derive(Clone, Debug)]
pub enum StrBuf {
    Int(i64),
    Bytes(Vec<u8>),
    /// Bytes that an edit made; they count as `raw` however few they are.
    Raw(Vec<u8>),
    /// A large string, perhaps still held by others.
    Blob(Blob),
}

impl StrBuf {
    /// The value as commands see it.
    pub fn as_elem(&self) -> Elem<'_> {
        match self {
            StrBuf::Int(n) => Elem::Int(*n),
            StrBuf::Bytes(bytes) | StrBuf::Raw(bytes) => Elem::Bytes(bytes),
            StrBuf::Blob(blob) => Elem::Bytes(blob),
        }
    }
}

impl From<Vec<u8>> for StrBuf {
    fn from(bytes: Vec<u8>) -> Self {
        StrBuf::Bytes(bytes)
    }
}

/// A value that is looked at.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    Str(Elem<'a>),
    List(&'a List),
    Set(&'a Set),
    ZSet(&'a ZSet),
    Hash(&'a Hash),
    Stream(&'a Stream),
}

impl Value {
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::Str(v) => ValueRef::Str(v.as_elem()),
            Value::List(v) => ValueRef::List(v),
            Value::Set(v) => ValueRef::Set(v),
            Value::ZSet(v) => ValueRef::ZSet(v),
            Value::Hash(v) => ValueRef::Hash(v),
            Value::Stream(v) => ValueRef::Stream(v),
        }
    }

    /// About how many allocations freeing the value gives back.
    pub fn free_effort(&self) -> usize {
        match self {
            Value::Str(_) => 1,
            Value::List(v) => v.free_effort(),
            Value::Set(v) => v.free_effort(),
            Value::ZSet(v) => v.free_effort(),
            Value::Hash(v) => v.free_effort(),
            Value::Stream(v) => v.free_effort(),
        }
    }
}

/// A form of a value that fits one machine word, so that an entry can store it beside a few bits that name the form.
///
/// `KINDS` counts the forms of the type; `into_word` answers which one this is (`0..KINDS`) and its word.
pub trait Word: Sized + sealed::Sealed {
    /// How many forms the type has.
    const KINDS: u8;
    /// Gives up the value as its form and one word.
    fn into_word(self) -> (u8, u64);
    /// Takes back what [`Word::into_word`] gave.
    ///
    /// # Safety
    /// `form` and `word` come from one call of `into_word` of the same type, and each such pair is turned back into an owned value at most once
    /// (a second copy must never be dropped nor mutated while the first is in use).
    unsafe fn from_word(form: u8, word: u64) -> Self;
}

/// Entries take a word back as what its kind says, so which types have words is decided here alone.
mod sealed {
    pub trait Sealed {}
}
pub(crate) use sealed::Sealed;

/// Where a value changes from its packed to its chunked form; the names are those of Redis's directives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Positive: elements in a list's chunk; negative: -1 to -5 for 4 to 64 KiB a chunk.
    pub list_max_listpack_size: i64,
    pub hash_max_listpack_entries: usize,
    pub hash_max_listpack_value: usize,
    pub set_max_intset_entries: usize,
    pub set_max_listpack_entries: usize,
    pub set_max_listpack_value: usize,
    pub zset_max_listpack_entries: usize,
    pub zset_max_listpack_value: usize,
    /// What a node of a stream may have in bytes; 0 is no limit. Approximate trimming takes whole nodes.
    pub stream_node_max_bytes: usize,
    /// What a node of a stream may have in entries; 0 is no limit.
    pub stream_node_max_entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            list_max_listpack_size: -2,
            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
        }
    }
}

/// The key of the hash that large collections are ordered by.
static HASH: OnceLock<SipHasher13> = OnceLock::new();

/// Chooses the order of large collections; a server does so once, with good randomness, before it makes any. Later calls change nothing.
pub fn set_hash_seed(seed: u128) {
    let _ = HASH.set(SipHasher13::new_with_keys(seed as u64, (seed >> 64) as u64));
}

#[inline]
fn hash_bytes(bytes: &[u8]) -> u64 {
    // Nobody can find items that collide, so tests make some.
    if cfg!(test) && bytes.starts_with(b"collides") {
        return 0x7123_4567_89AB_CDEF;
    }
    HASH.get_or_init(SipHasher13::new).hash(bytes)
}

/// Whether all elements differ in their text.
fn distinct<'a>(elems: impl Iterator<Item = Elem<'a>> + Clone) -> bool {
    let mut hashes: SmallVec<[u64; 128]> = elems.clone().map(|elem| elem.with(quick_hash)).collect();
    hashes.sort_unstable();
    if hashes.windows(2).all(|pair| pair[0] != pair[1]) {
        return true;
    }
    let mut texts: Vec<Vec<u8>> = elems.map(|elem| elem.to_vec()).collect();
    texts.sort_unstable();
    texts.windows(2).all(|pair| pair[0] != pair[1])
}

/// A hash for which others can find collisions, so these may only cost time.
#[inline]
fn quick_hash(bytes: &[u8]) -> u64 {
    if cfg!(test) && bytes.starts_with(b"collides") {
        return 0;
    }
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * u128::from(FACTOR);
        product as u64 ^ (product >> 64) as u64
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let hash = words.iter().fold(FACTOR ^ bytes.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    mix(hash, u64::from_le_bytes(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_twice_is_found() {
        let pack: ListPack = ["a", "longer than a word", "7", "b", "70"].into_iter().collect();
        assert!(distinct(pack.iter()));
        assert!(!distinct(pack.iter().chain([Elem::Bytes(b"longer than a word")])));
        assert!(!distinct(pack.iter().chain([Elem::Bytes(b"7")])), "an integer's text is the integer");
        // Equal hashes are not yet equal texts.
        assert_eq!(quick_hash(b"collides 1"), quick_hash(b"collides 2"));
        assert!(distinct([Elem::Bytes(b"collides 1"), Elem::Bytes(b"collides 2")].into_iter()));
        assert!(!distinct([Elem::Bytes(b"collides 1"), Elem::Bytes(b"x"), Elem::Bytes(b"collides 1")].into_iter()));
    }

    #[test]
    fn values_go_from_thread_to_thread_and_forms_are_one_word() {
        fn shared<T: Send + Sync>() {}
        shared::<Value>();
        assert_eq!(size_of::<(Blob, ListPack, IntSet)>(), 24);
        assert_eq!(List::KINDS + Set::KINDS + ZSet::KINDS + Hash::KINDS + Stream::KINDS, 12);
    }

    /// Through its word and back; a second look at the word, as an entry takes one, must see the same.
    fn through<T: Word>(value: T, look: impl Fn(&T)) {
        let (form, word) = value.into_word();
        assert!(form < T::KINDS);
        // SAFETY: this copy is only looked at, and never dropped.
        let peek = std::mem::ManuallyDrop::new(unsafe { T::from_word(form, word) });
        look(&peek);
        // SAFETY: the one copy that is dropped.
        look(&unsafe { T::from_word(form, word) });
    }

    #[test]
    fn words_give_values_back() {
        let limits = Limits {
            hash_max_listpack_entries: 20,
            set_max_intset_entries: 10,
            set_max_listpack_entries: 20,
            zset_max_listpack_entries: 20,
            ..Limits::default()
        };
        // One of each form, and a tree of many leaves where that doesn't take minutes.
        for len in [1, 12, 30, if cfg!(miri) { 30 } else { 1000 }] {
            let texts: Vec<Vec<u8>> = (0..len).map(|i: u32| i.to_string().into_bytes()).collect();
            let (mut hash, mut set, mut zset) = (Hash::new(), Set::new(), ZSet::new());
            for (i, text) in texts.iter().enumerate() {
                hash.set(text, text, &limits);
                set.add(text, &limits);
                zset.insert(text, i as f64, &limits);
            }
            let clones = (hash.clone(), set.clone(), zset.clone());
            through(hash, |v| assert!(texts.iter().all(|t| v.get(t).is_some_and(|e| e.eq_bytes(t)))));
            through(set, |v| assert!(texts.iter().all(|t| v.contains(t))));
            through(zset, |v| assert!(texts.iter().enumerate().all(|(i, t)| v.rank(t) == Some(i))));
            assert_eq!((clones.0.len(), clones.1.len(), clones.2.len()), (texts.len(), texts.len(), texts.len()));
        }
    }
}
