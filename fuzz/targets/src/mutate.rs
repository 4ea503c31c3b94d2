//! Small random changes to an input. Everything follows from the generator that is passed in.

use fastrand::Rng;

/// Inputs don't grow beyond this.
const LEN_MAX: usize = 1 << 16;
/// Bytes and numbers at which formats tend to change their mind.
const INTERESTING: [u64; 16] = [
    0,
    1,
    0x3f,
    0x40,
    0x7f,
    0x80,
    0xc0,
    0xc3,
    0xe0,
    0xff,
    0x100,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 63,
    u64::MAX,
];
const WORDS: [&[u8]; 12] =
    [b"\r\n", b"\n", b"$", b"*", b"-1", b"99999999999999999999", b"$EOF:", b"\"", b"\\x", b" ", b"4294967296", b"\0"];

/// One of the seeds with a few changes, or a seed joined with another.
pub fn mutated(seeds: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut bytes = random.choice(seeds).cloned().unwrap_or_default();
    for _ in 0..1 << random.usize(0..5) {
        change(&mut bytes, seeds, random);
    }
    bytes.truncate(LEN_MAX);
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Rng) {
    let at = random.usize(0..=bytes.len());
    let len = random.usize(0..=(bytes.len() - at).min(32));
    match random.u8(0..9) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.u8(0..8);
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.u8(..);
            }
        }
        2 => {
            bytes.drain(at..at + len);
        }
        3 => {
            let copy = bytes[at..at + len].to_vec();
            let to = random.usize(0..=bytes.len());
            bytes.splice(to..to, copy);
        }
        4 => {
            let number = random.choice(INTERESTING).unwrap_or(0);
            let width = 1 << random.usize(0..4);
            let text = if random.bool() { number.to_le_bytes() } else { number.to_be_bytes() };
            let text = if random.bool() { &text[..width] } else { &text[8 - width..] };
            let end = (at + width).min(bytes.len());
            bytes.splice(at..end, text.iter().copied());
        }
        5 => {
            let word = random.choice(WORDS).unwrap_or_default();
            bytes.splice(at..at, word.iter().copied());
        }
        6 => bytes.truncate(at),
        7 => {
            // The beginning of this one, the end of another.
            let other = random.choice(seeds).map_or(&[][..], Vec::as_slice);
            let from = random.usize(0..=other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        _ => {
            let text: Vec<u8> = (0..random.usize(1..9)).map(|_| random.u8(..)).collect();
            bytes.splice(at..at, text);
        }
    }
}
