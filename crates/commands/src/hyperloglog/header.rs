//! The value of a HyperLogLog as a string: a header of 16 bytes, then registers in one of two encodings.
//!
//! ```text
//! 0      4          5         8                    16
//! | HYLL | encoding | 0 0 0  | cached cardinality | registers …
//! ```
//!
//! The cardinality is a little-endian integer; the highest bit of its last byte says that it is out of date. This file knows nothing of what
//! registers mean.

use crate::fail::Fail;

/// Bytes before the registers.
pub(super) const HEADER_LEN: usize = 16;
/// Registers of every value; each holds 0 to 51.
pub(super) const REGISTERS: usize = 1 << 14;
/// Bytes of a value whose registers have six bits each.
pub(super) const DENSE_LEN: usize = HEADER_LEN + REGISTERS * 6 / 8;

const MAGIC: &[u8] = b"HYLL";
const ENCODING_AT: usize = 4;
const CARDINALITY_AT: usize = 8;
const OUT_OF_DATE: u8 = 0x80;

const NOT_VALID: Fail = Fail::new("WRONGTYPE Key is not a valid HyperLogLog string value.");
/// The registers are not those of any HyperLogLog.
pub(super) const CORRUPT: Fail = Fail::new("INVALIDOBJ Corrupted HLL object detected");

/// How the registers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Six bits each.
    Dense = 0,
    /// Runs of equal registers.
    Sparse = 1,
}

/// The encoding of a string that claims to be a HyperLogLog; the registers are not looked at.
pub(super) fn encoding_of(bytes: &[u8]) -> Result<Encoding, Fail> {
    if bytes.len() < HEADER_LEN || !bytes.starts_with(MAGIC) {
        return Err(NOT_VALID);
    }
    match bytes[ENCODING_AT] {
        0 if bytes.len() == DENSE_LEN => Ok(Encoding::Dense),
        1 => Ok(Encoding::Sparse),
        _ => Err(NOT_VALID),
    }
}

/// The refusal of a string that is an integer, which no HyperLogLog is.
pub(super) fn not_valid() -> Fail {
    NOT_VALID
}

/// A header of this encoding, with the cardinality 0, at the begin of `len` bytes that are 0.
pub(super) fn zeroed(encoding: Encoding, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    bytes[ENCODING_AT] = encoding as u8;
    bytes
}

/// Copies all of the header but the encoding.
pub(super) fn copy_header(from: &[u8], to: &mut [u8]) {
    to[ENCODING_AT + 1..HEADER_LEN].copy_from_slice(&from[ENCODING_AT + 1..HEADER_LEN]);
}

/// The cardinality as it was last computed, if nothing has changed since.
pub(super) fn cached(bytes: &[u8]) -> Option<u64> {
    let (word, _) = bytes[CARDINALITY_AT..].split_first_chunk::<8>()?;
    (word[7] & OUT_OF_DATE == 0).then(|| u64::from_le_bytes(*word))
}

pub(super) fn set_cached(bytes: &mut [u8], cardinality: u64) {
    bytes[CARDINALITY_AT..HEADER_LEN].copy_from_slice(&cardinality.to_le_bytes());
}

pub(super) fn note_changed(bytes: &mut [u8]) {
    bytes[HEADER_LEN - 1] |= OUT_OF_DATE;
}
