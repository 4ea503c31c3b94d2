//! The values of keys, one file a noun.

pub mod blob;
pub mod elem;
pub mod intset;
pub mod listpack;
mod raw;

pub use blob::Blob;
pub use elem::Elem;
pub use intset::IntSet;
pub use listpack::ListPack;

/// A form of a value that fits one machine word, so that an entry can store it beside a few bits that name the form.
///
/// `KINDS` counts the forms of the type; `into_word` answers which one this is (`0..KINDS`) and its word.
pub trait Word: Sized {
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

/// Where a value changes from its packed to its chunked form; the names are those of Redis's directives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Positive: elements in a list's chunk; negative: -1 to -5 for 4 to 64 KiB a chunk.
    pub list_max_listpack_size: i64,
    pub hash_max_listpack_entries: usize,
    pub hash_max_listpack_value: usize,
    pub set_max_intset_entries: usize,
    /// Not a directive of Redis 7.0: small sets of strings are packed here, though OBJECT ENCODING says `hashtable` as Redis 7.0 does.
    pub set_max_listpack_entries: usize,
    pub set_max_listpack_value: usize,
    pub zset_max_listpack_entries: usize,
    pub zset_max_listpack_value: usize,
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
        }
    }
}
