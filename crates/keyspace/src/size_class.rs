//! The allocator's size classes, so that an allocation is as large as it costs anyway and small growth happens in place.

/// The smallest size class that holds `bytes`: 8 apart up to 64, then four a doubling.
#[inline]
pub const fn size_class(bytes: usize) -> usize {
    if bytes <= 64 {
        return if bytes == 0 { 8 } else { bytes.next_multiple_of(8) };
    }
    // The doubling that `bytes` lies in starts above `1 << power`, and its four classes are a quarter of that apart.
    let power = (bytes - 1).ilog2();
    bytes.next_multiple_of(1 << (power - 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_eight_apart_then_four_a_doubling() {
        let mut classes: Vec<usize> = (0..=1024).map(size_class).collect();
        classes.dedup();
        assert_eq!(
            classes,
            [
                8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896,
                1024
            ]
        );
        for n in 1..5000 {
            assert!(size_class(n) >= n && size_class(size_class(n)) == size_class(n));
        }
    }
}
