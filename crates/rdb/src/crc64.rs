//! Redis's CRC-64: the reflected polynomial 0xad93d23594c935a9, start value 0, no final xor.
//!
//! It closes every RDB file and DUMP payload. The arithmetic is `crc-fast`'s; this module only names the variant.

use crc_fast::{CrcAlgorithm, checksum as crc_fast_checksum};

/// A checksum that grows with the bytes that are fed to it.
#[derive(Clone, Debug)]
pub struct Digest(crc_fast::Digest);

impl Digest {
    pub fn new() -> Digest {
        Digest(crc_fast::Digest::new(CrcAlgorithm::Crc64Redis))
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all bytes so far; more may follow.
    pub fn value(&self) -> u64 {
        self.0.finalize()
    }
}

impl Default for Digest {
    fn default() -> Digest {
        Digest::new()
    }
}

/// The checksum of `bytes`.
pub fn checksum(bytes: &[u8]) -> u64 {
    crc_fast_checksum(CrcAlgorithm::Crc64Redis, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_values() {
        assert_eq!(checksum(b""), 0);
        assert_eq!(checksum(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn pieces_give_the_same_as_the_whole() {
        let bytes: Vec<u8> = (0..5000u32).map(|i| (i * 7 + i / 13) as u8).collect();
        for cut in [0, 1, 7, 8, 63, 64, 65, 127, 128, 1000, 4999, 5000] {
            let mut digest = Digest::new();
            digest.update(&bytes[..cut]);
            digest.update(&bytes[cut..]);
            assert_eq!(digest.value(), checksum(&bytes), "cut at {cut}");
        }
    }
}
