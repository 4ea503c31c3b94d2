//! Cells of the map: a square's coordinates as bits of longitude and latitude in turn, which is the order of a sorted set's scores.
//!
//! A cell of step `n` has `n` bits of each. The finest, of step 26, are what members are stored as; all cells within a larger one have scores that
//! follow each other. The map ends at about 85 degrees of latitude, where Mercator's is square.

/// The finest step.
pub(super) const STEP_MAX: u32 = 26;

pub(super) const LONGITUDE_MAX: f64 = 180.0;
pub(super) const LATITUDE_MAX: f64 = 85.051_128_78;

/// A place in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub longitude: f64,
    pub latitude: f64,
}

/// A square of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// Of the latitude the even, of the longitude the odd ones.
    pub bits: u64,
    /// Bits of each coordinate; 1 to 26.
    pub step: u32,
}

/// The borders of a cell, in degrees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Borders {
    pub west: f64,
    pub east: f64,
    pub south: f64,
    pub north: f64,
}

impl Borders {
    pub fn have(&self, point: Point) -> bool {
        (self.west..=self.east).contains(&point.longitude) && (self.south..=self.north).contains(&point.latitude)
    }
}

impl Cell {
    /// The cell of a place on the map.
    pub fn of(point: Point, step: u32) -> Cell {
        Cell::within(point, LATITUDE_MAX, step)
    }

    /// The cell of a place on a map that ends at this latitude.
    fn within(point: Point, latitude_max: f64, step: u32) -> Cell {
        let part = |at: f64, max: f64| ((at + max) / (max - -max) * (1u64 << step) as f64) as u32;
        let (x, y) = (part(point.longitude, LONGITUDE_MAX), part(point.latitude, latitude_max));
        Cell { bits: spread(y) | spread(x) << 1, step }
    }

    /// The cell of a member with this score. Scores that are no cell's are taken as the machine that Redis is at home on takes them.
    pub fn of_score(score: f64) -> Cell {
        const TOP: f64 = (1u64 << 63) as f64;
        let bits = if score < TOP { score as i64 as u64 } else { (wrapped(score - TOP) as u64) ^ 1 << 63 };
        Cell { bits, step: STEP_MAX }
    }

    pub fn borders(self) -> Borders {
        let (x, y) = (gathered(self.bits >> 1), gathered(self.bits));
        let degrees = |n: u32, max: f64| -max + (f64::from(n) * 1.0 / (1u64 << self.step) as f64) * (max - -max);
        Borders {
            west: degrees(x, LONGITUDE_MAX),
            east: degrees(x.wrapping_add(1), LONGITUDE_MAX),
            south: degrees(y, LATITUDE_MAX),
            north: degrees(y.wrapping_add(1), LATITUDE_MAX),
        }
    }

    /// The middle of the cell.
    pub fn center(self) -> Point {
        let Borders { west, east, south, north } = self.borders();
        Point {
            longitude: ((west + east) / 2.0).clamp(-LONGITUDE_MAX, LONGITUDE_MAX),
            latitude: ((south + north) / 2.0).clamp(-LATITUDE_MAX, LATITUDE_MAX),
        }
    }

    /// The cell so many cells to the east and to the north. The map has no end there.
    pub fn neighbor(self, east: i32, north: i32) -> Cell {
        let mask = u32::MAX >> (32 - self.step);
        let moved = |n: u32, by: i32| n.wrapping_add_signed(by) & mask;
        let (x, y) = (gathered(self.bits >> 1), gathered(self.bits));
        // A coordinate that does not change keeps also what lies beyond the step, at the very end of the map.
        let x = if east == 0 { x } else { moved(x, east) };
        let y = if north == 0 { y } else { moved(y, north) };
        Cell { bits: spread(y) | spread(x) << 1, step: self.step }
    }

    /// The first score of the cell, and the first behind it.
    pub fn scores(self) -> (u64, u64) {
        let shift = 52 - self.step * 2;
        (self.bits << shift, (self.bits + 1) << shift)
    }
}

/// The standard geohash of a place, in 11 characters; for the last of them there are no bits, so that it is always 0.
pub(super) fn text(point: Point) -> [u8; 11] {
    const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    let bits = Cell::within(point, 90.0, STEP_MAX).bits;
    std::array::from_fn(|i| if i == 10 { b'0' } else { ALPHABET[(bits >> (47 - 5 * i) & 31) as usize] })
}

/// As a conversion instruction gives it: what is out of range is the lowest integer.
fn wrapped(value: f64) -> i64 {
    if value < (1u64 << 63) as f64 { value as i64 } else { i64::MIN }
}

/// Puts a zero between any two bits.
fn spread(n: u32) -> u64 {
    let mut bits = u64::from(n);
    bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
    bits = (bits | bits << 8) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | bits << 2) & 0x3333_3333_3333_3333;
    (bits | bits << 1) & 0x5555_5555_5555_5555
}

/// The even bits.
fn gathered(bits: u64) -> u32 {
    let mut n = bits & 0x5555_5555_5555_5555;
    n = (n | n >> 1) & 0x3333_3333_3333_3333;
    n = (n | n >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    n = (n | n >> 4) & 0x00ff_00ff_00ff_00ff;
    n = (n | n >> 8) & 0x0000_ffff_0000_ffff;
    (n | n >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(longitude: f64, latitude: f64) -> Point {
        Point { longitude, latitude }
    }

    #[test]
    fn bits_come_in_turn_and_back() {
        for n in [0, 1, 2, 0xdead_beef, u32::MAX, 1 << 25] {
            assert_eq!(gathered(spread(n)), n);
            assert_eq!(gathered(spread(n) << 1 >> 1), n);
        }
        assert_eq!(spread(0b1011), 0b100_0101);
    }

    #[test]
    fn a_place_is_within_its_cell() {
        let palermo = at(13.361_389, 38.115_556);
        for step in 1..=STEP_MAX {
            let borders = Cell::of(palermo, step).borders();
            assert!((borders.west..borders.east).contains(&palermo.longitude), "{step}");
            assert!((borders.south..borders.north).contains(&palermo.latitude), "{step}");
        }
        let cell = Cell::of(palermo, STEP_MAX);
        assert_eq!(cell.bits, 3_479_099_956_230_698);
        assert_eq!(Cell::of_score(3_479_099_956_230_698.0), cell);
        assert_eq!(text(cell.center()), *b"sqc8b49rny0");
    }

    #[test]
    fn the_map_has_no_end() {
        let cell = Cell { bits: 0, step: 2 };
        assert_eq!(cell.neighbor(-1, 0).bits, 0b1010);
        assert_eq!(cell.neighbor(0, -1).bits, 0b0101);
        assert_eq!(cell.neighbor(-1, -1).neighbor(1, 1), cell);
        assert_eq!(cell.neighbor(1, 1).bits, 0b0011);
    }

    #[test]
    fn any_score_has_a_center_on_the_map() {
        for score in [0.0, -1.0, -0.5, 1e300, -1e300, f64::INFINITY, f64::NEG_INFINITY, 9_223_372_036_854_775_808.0] {
            let center = Cell::of_score(score).center();
            assert!(center.longitude.abs() <= LONGITUDE_MAX && center.latitude.abs() <= LATITUDE_MAX, "{score}");
        }
    }
}
