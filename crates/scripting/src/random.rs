//! `math.random` of scripts: a generator with 48 bits of state, the same numbers on each machine.
//!
//! It is not seeded for each script: as in Redis 7 it goes on from script to script.

/// The generator of `lrand48`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random(u64);

impl Default for Random {
    fn default() -> Random {
        Random(0x1234_abcd_330e)
    }
}

impl Random {
    /// The generator after `srand48`.
    pub(crate) fn seeded(seed: i32) -> Random {
        Random(u64::from(seed as u32) << 16 | 0x330e)
    }

    /// The next number, of 31 bits.
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb) & 0xffff_ffff_ffff;
        (self.0 >> 17) as u32
    }

    /// A number from 0 up to, but without, 1.
    pub(crate) fn unit(&mut self) -> f64 {
        const MAX: u32 = i32::MAX as u32;
        f64::from(self.next() % MAX) / f64::from(MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_redis() {
        let text = |r: &mut Random| format!("{:.14}", r.unit());
        let mut random = Random::default();
        assert_eq!(text(&mut random), "0.39646477363839");
        assert_eq!(text(&mut random), "0.84048536971234");
        assert_eq!(text(&mut random), "0.35333609737146");
        assert_eq!(text(&mut Random::seeded(0)), "0.17082803611217");
    }
}
