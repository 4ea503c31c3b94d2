//! How a key is hashed: SipHash-1-3 under a key drawn at start-up, so that nobody can choose keys that collide.
//!
//! Databases take the hash as a type parameter, which is [`KeyHasher`] unless something else is named.

use siphasher::sip::SipHasher13;

/// A hash of keys. All 64 bits must be spread well: the upper ones choose the place, those below tell keys apart without a look at them.
pub trait HashKeys: Copy {
    fn hash(&self, bytes: &[u8]) -> u64;
}

/// The hash of keys in a server. Two keyspaces share positions only when they share the hasher.
#[derive(Clone, Copy)]
pub struct KeyHasher(SipHasher13);

impl KeyHasher {
    /// `seed` must come from a good source of randomness in a server; tests pass what they like.
    pub fn new(seed: [u64; 2]) -> Self {
        KeyHasher(SipHasher13::new_with_keys(seed[0], seed[1]))
    }
}

impl HashKeys for KeyHasher {
    #[inline]
    fn hash(&self, bytes: &[u8]) -> u64 {
        self.0.hash(bytes)
    }
}

/// A key with its hash, which is computed once and used for prefetch, lookup and change.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    pub bytes: &'a [u8],
    pub hash: u64,
}
