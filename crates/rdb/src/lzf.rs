//! LZF, the compression of strings in RDB files, compatible with liblzf in both directions.
//!
//! A compressed string is a sequence of
//!
//! ```text
//! 000LLLLL <L+1 bytes>                   literal run of 1 to 32 bytes
//! LLLooooo oooooooo                      copy of L+2 bytes (L from 1 to 6) from o+1 bytes back
//! 111ooooo LLLLLLLL oooooooo             copy of L+9 bytes from o+1 bytes back
//! ```
//!
//! The compressor picks the same matches as the build of liblzf inside Redis (the latest position with the same hash of three bytes, a table of
//! 65,536 slots), so that files can be compared byte by byte. It has no levels and no streaming form.

const HASH_BITS: u32 = 16;
const RUN_MAX: usize = 32;
const DISTANCE_MAX: usize = 1 << 13;
const COPY_MAX: usize = (1 << 8) + (1 << 3);
/// A copy of the greatest length takes three bytes: nothing expands more.
const EXPANSION_MAX: u64 = (COPY_MAX as u64).div_ceil(3);

/// Compresses; keeps its table of positions between calls.
#[derive(Clone)]
pub struct Compressor {
    /// Positions by hash, counted from `base` of the call that wrote them. What is not above `base` is left from an earlier call.
    table: Box<[u32]>,
    base: u32,
}

impl Compressor {
    pub fn new() -> Compressor {
        Compressor { table: vec![0; 1 << HASH_BITS].into_boxed_slice(), base: 0 }
    }

    /// Appends the compressed form of `input` to `out` and says `true` if that saves at least four bytes; else leaves `out` alone.
    pub fn compress(&mut self, input: &[u8], out: &mut Vec<u8>) -> bool {
        if input.len() <= 4 || input.len() >= (u32::MAX / 2) as usize {
            return false;
        }
        let start = out.len();
        let fits = self.compress_into(input, out, input.len() - 4);
        if !fits {
            out.truncate(start);
        }
        self.base += input.len() as u32;
        if self.base >= u32::MAX / 2 {
            self.base = 0;
            self.table.fill(0);
        }
        fits
    }

    fn compress_into(&mut self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> bool {
        let start = out.len();
        let base = self.base;
        let table: &mut [u32; 1 << HASH_BITS] =
            (&mut *self.table).try_into().expect("the table is made with this length");
        let last = input.len() - 2;
        let mut run = 0; // where the literals that are not yet written begin
        let mut at = 0;
        while at < last {
            let three = three_at(input, at);
            let slot = &mut table[hash(three)];
            let candidate = *slot;
            *slot = base + at as u32;
            // Position 0 is never a match: liblzf takes it for an empty slot.
            if candidate <= base {
                at += 1;
                continue;
            }
            let from = (candidate - base) as usize;
            let distance = at - from - 1;
            if distance >= DISTANCE_MAX || three_at(input, from) != three {
                at += 1;
                continue;
            }
            let literals = &input[run..at];
            // liblzf's own test of room, which gives up a little early.
            if out.len() - start + literals.len() + literals.len().div_ceil(RUN_MAX) + 4 >= limit {
                return false;
            }
            push_literals(out, literals);
            let length = match_length(input, from, at);
            let code = length - 2;
            if code < 7 {
                out.extend_from_slice(&[((code << 5) | (distance >> 8)) as u8, distance as u8]);
            } else {
                out.extend_from_slice(&[(7 << 5) | (distance >> 8) as u8, (code - 7) as u8, distance as u8]);
            }
            at += length;
            run = at;
            if at >= last {
                break;
            }
            for inside in [at - 2, at - 1] {
                table[hash(three_at(input, inside))] = base + inside as u32;
            }
        }
        let searched = at.min(input.len()) - run;
        if out.len() - start + searched + searched / RUN_MAX + 1 + 3 > limit {
            return false;
        }
        push_literals(out, &input[run..]);
        true
    }
}

impl Default for Compressor {
    fn default() -> Compressor {
        Compressor::new()
    }
}

#[inline]
fn three_at(input: &[u8], at: usize) -> u32 {
    let b: [u8; 3] = input[at..at + 3].try_into().expect("three bytes");
    u32::from_be_bytes([0, b[0], b[1], b[2]])
}

#[inline]
fn hash(three: u32) -> usize {
    ((three >> (24 - HASH_BITS)).wrapping_sub(three.wrapping_mul(5)) & ((1 << HASH_BITS) - 1)) as usize
}

/// How many bytes at `from` and `at` are equal, three of which are known to be. The cap is liblzf's, odd cases included.
#[inline]
fn match_length(input: &[u8], from: usize, at: usize) -> usize {
    let room = (input.len() - at - 2).min(COPY_MAX);
    let cap = if room > 16 { room.max(19) } else { room.max(3) };
    let mut length = 3;
    while length + 8 <= cap {
        let a: [u8; 8] = input[from + length..from + length + 8].try_into().expect("eight bytes");
        let b: [u8; 8] = input[at + length..at + length + 8].try_into().expect("eight bytes");
        let difference = u64::from_le_bytes(a) ^ u64::from_le_bytes(b);
        if difference != 0 {
            return length + difference.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    while length < cap && input[from + length] == input[at + length] {
        length += 1;
    }
    length
}

fn push_literals(out: &mut Vec<u8>, literals: &[u8]) {
    for run in literals.chunks(RUN_MAX) {
        out.push((run.len() - 1) as u8);
        out.extend_from_slice(run);
    }
}

/// Compressed bytes that are cut short, point before their start, don't give the length that was announced, or give more than there is memory for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid;

/// Appends to `out` the `length` bytes that `input` stands for.
pub fn decompress(input: &[u8], length: u64, out: &mut Vec<u8>) -> Result<(), Invalid> {
    // Nothing is reserved that this input couldn't fill.
    if length > input.len() as u64 * EXPANSION_MAX {
        return Err(Invalid);
    }
    let start = out.len();
    let end = start + usize::try_from(length).map_err(|_| Invalid)?;
    // However much that is, the process does not end for it.
    out.try_reserve(end - start).map_err(|_| Invalid)?;
    let mut rest = input;
    while let Some((&control, tail)) = rest.split_first() {
        rest = tail;
        let control = control as usize;
        if control < RUN_MAX {
            let (run, tail) = rest.split_at_checked(control + 1).ok_or(Invalid)?;
            if out.len() + run.len() > end {
                return Err(Invalid);
            }
            out.extend_from_slice(run);
            rest = tail;
            continue;
        }
        let mut length = control >> 5;
        if length == 7 {
            let (&more, tail) = rest.split_first().ok_or(Invalid)?;
            length += more as usize;
            rest = tail;
        }
        let (&low, tail) = rest.split_first().ok_or(Invalid)?;
        rest = tail;
        let distance = ((control & 0x1f) << 8) + low as usize + 1;
        length += 2;
        if distance > out.len() - start || out.len() + length > end {
            return Err(Invalid);
        }
        // An overlapping copy repeats what lies between: each round copies what is there by now.
        let from = out.len() - distance;
        while length > 0 {
            let piece = length.min(out.len() - from);
            out.extend_from_within(from..from + piece);
            length -= piece;
        }
    }
    if out.len() == end { Ok(()) } else { Err(Invalid) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(compressor: &mut Compressor, input: &[u8]) {
        let mut packed = b"kept".to_vec();
        if compressor.compress(input, &mut packed) {
            assert!(packed.len() - 4 <= input.len() - 4);
            let mut plain = b"kept too".to_vec();
            decompress(&packed[4..], input.len() as u64, &mut plain).unwrap();
            assert_eq!(&plain[8..], input);
        }
        assert_eq!(&packed[..4], b"kept");
    }

    #[test]
    fn what_redis_makes_of_it() {
        // `SET k aaa…` (40 times) saved by Redis 7.0: c3 09 28, then these bytes.
        let mut packed = Vec::new();
        assert!(Compressor::new().compress(&[b'a'; 40], &mut packed));
        assert_eq!(packed, [0x01, b'a', b'a', 0xe0, 0x1b, 0x00, 0x01, b'a', b'a']);
    }

    #[test]
    fn long_and_far_matches() {
        let mut compressor = Compressor::new();
        for gap in [0usize, 1, 2, 3, 16, 17, 18, 19, 20, 100, 8189, 8190, 8191, 8192, 8193, 20000] {
            for length in [3usize, 4, 8, 9, 17, 18, 19, 20, 21, 263, 264, 265, 300, 600] {
                let noise = |seed: u32, n: usize| -> Vec<u8> {
                    let mut x = seed;
                    (0..n)
                        .map(|_| {
                            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                            (x >> 24) as u8
                        })
                        .collect()
                };
                let mut input = b"xyz".to_vec();
                let pattern = noise(7, length);
                input.extend(&pattern);
                input.extend(noise(9, gap));
                input.extend(&pattern);
                round_trip(&mut compressor, &input);
            }
        }
    }

    #[test]
    fn bad_input_is_refused() {
        let mut out = Vec::new();
        for (input, length) in [
            (&[0x05u8, 1, 2][..], 6u64), // a run that is cut
            (&[0x20, 0x00], 3),          // copies from before the start
            (&[0x00, 1, 0xe0], 20),      // a copy without its length
            (&[0x00, 1, 0xe0, 1], 20),   // a copy without its distance
            (&[0x00, 1, 0x20], 20),      // a copy without its distance
            (&[0x00, 1], 2),             // too little
            (&[0x01, 1, 2], 1),          // too much
            (&[0x00, 1, 0x20, 0], 3),    // a copy too much
            (&[0x00, 1], u64::MAX),      // an absurd length
            (&[], 1),
        ] {
            out.clear();
            assert_eq!(decompress(input, length, &mut out), Err(Invalid), "{input:?}");
            assert!(out.capacity() < 1000);
        }
        assert_eq!(decompress(&[], 0, &mut out), Ok(()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn round_trips(inputs in prop::collection::vec(prop::collection::vec(0u8..4, 0..600), 1..4)) {
            let mut compressor = Compressor::new();
            for input in &inputs {
                round_trip(&mut compressor, input);
            }
        }

        #[test]
        fn any_bytes_never_panic(input in prop::collection::vec(any::<u8>(), 0..200), length in 0u64..2000) {
            let mut out = Vec::new();
            let _ = decompress(&input, length, &mut out);
            prop_assert!(out.len() as u64 <= length);
        }
    }
}
