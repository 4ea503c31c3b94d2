//! How a key is hashed: SipHash-1-3 under a key drawn at start-up, so that nobody can choose keys that collide.

use siphasher::sip::SipHasher13;

/// The hash of keys. Two keyspaces share positions only when they share the hasher.
#[derive(Clone, Copy)]
pub struct KeyHasher(SipHasher13);

impl KeyHasher {
    /// `seed` must come from a good source of randomness in a server; tests pass what they like.
    pub fn new(seed: [u64; 2]) -> Self {
        KeyHasher(SipHasher13::new_with_keys(seed[0], seed[1]))
    }

    #[inline]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        self.0.hash(bytes)
    }
}

/// A key with its hash, which is computed once and used for prefetch, lookup and change.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    pub bytes: &'a [u8],
    pub hash: u64,
}
