//! Which register an element is for, and the rank that it gives it.

use super::header::REGISTERS;

/// Bits of a hash that are left when the register's number is taken off; the rank is at most one more.
pub(super) const RANK_BITS: u32 = 64 - REGISTERS.trailing_zeros();

/// The register (0 to 16383) and the rank (1 to 51): one more than the zeros at the low end of the hash's rest.
#[inline]
pub(super) fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element);
    let register = hash as usize % REGISTERS;
    // The bit above the rest ends the zeros.
    let rest = (hash >> REGISTERS.trailing_zeros()) | 1 << RANK_BITS;
    (register, rest.trailing_zeros() as u8 + 1)
}

/// MurmurHash64A of little-endian words, with the seed that all HyperLogLogs of this format share.
#[inline]
fn murmur64a(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0xadc8_3b19;
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word).wrapping_mul(FACTOR);
        hash = (hash ^ (word ^ word >> SHIFT).wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    }
    hash = (hash ^ hash >> SHIFT).wrapping_mul(FACTOR);
    hash ^ hash >> SHIFT
}
