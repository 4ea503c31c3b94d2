//! How many elements registers tell of: Otmar Ertl's improved estimator ("New cardinality estimation algorithms for HyperLogLog sketches", 2017).

use super::element::RANK_BITS;
use super::header::REGISTERS;

/// How many registers have each rank.
pub(super) type Histogram = [u32; 64];

/// The estimated number of elements.
pub(super) fn cardinality(histogram: &Histogram) -> u64 {
    /// 1 / (2 ln 2).
    const ALPHA: f64 = 0.721_347_520_444_481_7;
    let registers = REGISTERS as f64;
    let full = RANK_BITS as usize + 1;
    let mut z = registers * tau((registers - f64::from(histogram[full])) / registers);
    for rank in (1..full).rev() {
        z = (z + f64::from(histogram[rank])) * 0.5;
    }
    z += registers * sigma(f64::from(histogram[0]) / registers);
    (ALPHA * registers * registers / z).round() as u64
}

/// What registers that can't rise further stand for.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut z, mut y) = (1.0 - x, 1.0);
    loop {
        x = x.sqrt();
        y *= 0.5;
        let before = z;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// What registers without an element stand for.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut z, mut y) = (x, 1.0);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_finite() {
        let all_at = |rank: usize| {
            let mut histogram = [0; 64];
            histogram[rank] = REGISTERS as u32;
            cardinality(&histogram)
        };
        assert_eq!(all_at(0), 0);
        assert!(all_at(1) > REGISTERS as u64);
        assert_eq!(all_at(RANK_BITS as usize + 1), u64::MAX, "as if without end");
        assert_eq!(all_at(63), u64::MAX, "a rank that no hash gives");
    }
}
