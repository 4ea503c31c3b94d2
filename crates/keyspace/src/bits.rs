//! Bits of long strings, with the widest instructions that the machine turns out to have.
//!
//! The functions are plain loops that the compiler turns into vector instructions. They are compiled twice: for what every machine has, and for more.

/// How many bits are set.
#[inline]
pub fn count_ones(bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if is_wide() {
        // SAFETY: the machine has these instructions.
        return unsafe { wide::count_ones(bytes) };
    }
    plain::count_ones(bytes)
}

/// The place of the first byte that is not `value`.
#[inline]
pub fn first_other(bytes: &[u8], value: u8) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    if is_wide() {
        // SAFETY: the machine has these instructions.
        return unsafe { wide::first_other(bytes, value) };
    }
    plain::first_other(bytes, value)
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn is_wide() -> bool {
    // It is asked once; later this is a load and a test.
    std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("popcnt")
}

#[cfg(target_arch = "x86_64")]
mod wide {
    #[target_feature(enable = "avx2,popcnt")]
    pub(super) fn count_ones(bytes: &[u8]) -> u64 {
        super::plain::count_ones(bytes)
    }

    #[target_feature(enable = "avx2,popcnt")]
    pub(super) fn first_other(bytes: &[u8], value: u8) -> Option<usize> {
        super::plain::first_other(bytes, value)
    }
}

mod plain {
    /// Bytes that are compared before a look at what came out.
    const BLOCK: usize = 256;

    #[inline(always)]
    pub(super) fn count_ones(bytes: &[u8]) -> u64 {
        let (words, rest) = bytes.as_chunks::<8>();
        let count: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
        count + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
    }

    #[inline(always)]
    pub(super) fn first_other(bytes: &[u8], value: u8) -> Option<usize> {
        let (blocks, _) = bytes.as_chunks::<BLOCK>();
        let same = |block: &&[u8; BLOCK]| block.iter().fold(0, |found, byte| found | (byte ^ value)) == 0;
        let skipped = blocks.iter().take_while(same).count() * BLOCK;
        bytes[skipped..].iter().position(|&byte| byte != value).map(|at| skipped + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_agree_at_each_length_and_place() {
        let mut rng = fastrand::Rng::with_seed(3);
        let short = if cfg!(miri) { 10 } else { 70 };
        for len in (0..short).chain([255, 256, 257, 511, 512, 513]) {
            let bytes: Vec<u8> = (0..len).map(|_| rng.u8(..)).collect();
            let slow: u64 = bytes.iter().map(|b| u64::from(b.count_ones())).sum();
            assert_eq!((count_ones(&bytes), plain::count_ones(&bytes)), (slow, slow));
            for value in [0, 0xff] {
                let mut same = vec![value; len];
                assert_eq!((first_other(&same, value), plain::first_other(&same, value)), (None, None));
                for at in [0, 1, len / 2, len.saturating_sub(1)].into_iter().filter(|&at| at < len) {
                    same.fill(value);
                    same[at] ^= 1 << (at % 8);
                    same[len - 1] ^= 0x10;
                    let want = same.iter().position(|&b| b != value);
                    assert_eq!((first_other(&same, value), plain::first_other(&same, value)), (want, want));
                }
            }
        }
    }
}
