//! A byte string that is shared until it is edited.
//!
//! It exists so that a large string can be kept by a snapshot, or by several structures, without a copy. It is not for small strings: it
//! costs two allocations.

use std::fmt;
use std::ops::Deref;
use std::sync::LazyLock;

use triomphe::Arc;

use super::Word;
use crate::size_class::size_class;

/// A shared byte string, one pointer wide.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blob(Arc<Vec<u8>>);

impl Blob {
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        Blob(Arc::new(bytes))
    }

    pub fn from_slice(bytes: &[u8]) -> Self {
        Self::from_vec(bytes.to_vec())
    }

    /// The empty string, which allocates nothing.
    pub fn empty() -> Self {
        static EMPTY: LazyLock<Blob> = LazyLock::new(|| Blob(Arc::new(Vec::new())));
        EMPTY.clone()
    }

    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes to change; copies them first when someone else holds them too.
    pub fn edit(&mut self) -> &mut Vec<u8> {
        Arc::make_mut(&mut self.0)
    }

    /// The bytes, copied only when someone else holds them too.
    pub fn into_vec(self) -> Vec<u8> {
        Arc::try_unwrap(self.0).unwrap_or_else(|shared| shared.to_vec())
    }

    /// Whether someone else holds the bytes too.
    pub fn is_shared(&self) -> bool {
        !Arc::is_unique(&self.0)
    }

    /// Sizes of the allocations.
    pub fn heap_bytes(&self) -> usize {
        let bytes = if self.0.capacity() == 0 { 0 } else { size_class(self.0.capacity()) };
        bytes + size_class(size_of::<usize>() + size_of::<Vec<u8>>())
    }

    /// Gives up the blob as one word.
    pub fn into_raw(self) -> u64 {
        Arc::into_raw(self.0).expose_provenance() as u64
    }

    /// Takes back what [`Blob::into_raw`] gave.
    ///
    /// # Safety
    /// As for [`Word::from_word`].
    pub unsafe fn from_raw(word: u64) -> Self {
        // SAFETY: by the caller's word this is the pointer that `into_raw` gave.
        Blob(unsafe { Arc::from_raw(std::ptr::with_exposed_provenance(word as usize)) })
    }
}

impl Default for Blob {
    fn default() -> Self {
        Self::empty()
    }
}

impl Deref for Blob {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from_vec(bytes)
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

impl crate::value::Sealed for Blob {}

impl Word for Blob {
    const KINDS: u8 = 1;

    fn into_word(self) -> (u8, u64) {
        (0, self.into_raw())
    }

    unsafe fn from_word(_form: u8, word: u64) -> Self {
        // SAFETY: the caller's promise is the same.
        unsafe { Blob::from_raw(word) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_never_changes_a_clone() {
        let mut blob = Blob::from_slice(b"abc");
        let address = blob.as_bytes().as_ptr();
        blob.edit()[0] = b'x';
        assert_eq!(blob.as_bytes().as_ptr(), address, "not shared: edited in place");
        let clone = blob.clone();
        assert!(blob.is_shared());
        blob.edit().push(b'd');
        assert_eq!((blob.as_bytes(), clone.as_bytes()), (&b"xbcd"[..], &b"xbc"[..]));
        assert!(!clone.is_shared());
    }

    #[test]
    fn words_give_the_blob_back() {
        let blob = Blob::from_slice(b"abc");
        let word = blob.clone().into_raw();
        // SAFETY: the word was just given, and is taken back once.
        let back = unsafe { Blob::from_raw(word) };
        assert_eq!(back, blob);
        drop(back);
        assert!(!blob.is_shared());
    }
}
