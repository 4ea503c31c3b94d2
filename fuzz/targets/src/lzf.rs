//! LZF: any bytes decompress or are refused, and what is compressed comes back.

use rivulet_rdb::lzf::{Compressor, decompress};

/// No announced length is larger than this here: the reader's own bound is a factor of the input.
const LENGTH_MAX: u64 = 1 << 16;

pub fn run(bytes: &[u8]) {
    // The input as a compressed string, whose length its first two bytes announce.
    if let [low, high, body @ ..] = bytes {
        let length = u64::from(u16::from_le_bytes([*low, *high])).min(LENGTH_MAX);
        let mut out = b"before".to_vec();
        if decompress(body, length, &mut out).is_ok() {
            assert_eq!(out.len() as u64, length + 6, "not the length that was announced");
        }
        assert!(out.starts_with(b"before"), "what was there is gone");
    }
    // The input as a string to compress, twice with one table.
    let mut compressor = Compressor::new();
    for _ in 0..2 {
        let mut packed = Vec::new();
        if compressor.compress(bytes, &mut packed) {
            assert!(packed.len() + 4 <= bytes.len(), "nothing was saved");
            let mut out = Vec::new();
            assert_eq!(decompress(&packed, bytes.len() as u64, &mut out), Ok(()));
            assert_eq!(out, bytes);
        } else {
            assert!(packed.is_empty());
        }
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![b"abcabcabcabcabcabcabc".to_vec(), vec![b'a'; 300], (0..=255).collect()];
    // Compressed ones, with their lengths before them.
    for text in [vec![b'a'; 300], b"hello world, ".repeat(20)] {
        let mut packed = (text.len() as u16).to_le_bytes().to_vec();
        if Compressor::new().compress(&text, &mut packed) {
            seeds.push(packed);
        }
    }
    seeds
}
