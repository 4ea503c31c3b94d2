//! What a search covers, and the cells in which its members may lie.

use super::cell::{Borders, Cell, Point, STEP_MAX};
use super::distance::{EARTH_RADIUS, Origin, between, between_latitudes, degrees, radians};

/// The form of an area, in meters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
}

/// A shape around a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub center: Point,
    pub shape: Shape,
}

/// An area of which many places are asked whether they lie within.
pub(super) struct Within {
    area: Area,
    origin: Origin,
    /// No place of the area lies beyond these; `None` where that can't be said.
    outer: Option<Borders>,
}

impl Within {
    pub fn new(area: Area) -> Within {
        Within { area, origin: Origin::new(area.center), outer: area.outer_borders() }
    }

    /// How far from the center a place is, in meters, if it lies within.
    pub fn distance(&self, point: Point) -> Option<f64> {
        if self.outer.is_some_and(|outer| !outer.have(point)) {
            return None;
        }
        match self.area.shape {
            Shape::Circle { radius } => Some(self.origin.to(point)).filter(|distance| is_within(*distance, radius)),
            Shape::Box { width, height } => {
                let center = self.area.center;
                let beside = Point { longitude: center.longitude, latitude: point.latitude };
                let is_inside = is_within(between_latitudes(point.latitude, center.latitude), height / 2.0)
                    && is_within(between(point, beside), width / 2.0);
                is_inside.then(|| self.origin.to(point))
            }
        }
    }
}

impl Area {
    /// Borders beyond which no place of a circle lies: a look at these takes a tenth of the time of a distance.
    ///
    /// A circle of `r` (an angle) around latitude `f` reaches no further aside than `atan(sin r / √(cos(f+r) cos(f-r)))`, which is no more than the
    /// `r / cos(|f|+r)` of [`Area::bounds`], as long as it does not reach the pole.
    fn outer_borders(&self) -> Option<Borders> {
        /// Degrees: more than all errors of rounding, which are small where a distance is no large part of the way around the earth.
        const MARGIN: f64 = 1e-6;
        const RADIUS_MAX: f64 = EARTH_RADIUS / 2.0;
        const EDGE_MAX: f64 = 89.0;
        let Shape::Circle { radius } = self.shape else { return None };
        let Borders { west, east, south, north } = self.bounds();
        let is_simple = radius < RADIUS_MAX && south > -EDGE_MAX && north < EDGE_MAX && west > -179.0 && east < 179.0;
        is_simple.then_some(Borders {
            west: west - MARGIN,
            east: east + MARGIN,
            south: south - MARGIN,
            north: north + MARGIN,
        })
    }

    /// The cells to search, in order: that of the center, then those around it that the area reaches. No two that follow each other are the same.
    pub fn cells(&self) -> impl Iterator<Item = Cell> {
        const AROUND: [(i32, i32); 8] = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let bounds = self.bounds();
        let mut cell = Cell::of(self.center, self.step());
        if cell.step > 1 && neighbors_end_within(cell, bounds) {
            cell = Cell::of(self.center, cell.step - 1);
        }
        let here = cell.borders();
        let is_needed = move |(east, north): (i32, i32)| {
            cell.step < 2
                || !((north < 0 && here.south < bounds.south)
                    || (north > 0 && here.north > bounds.north)
                    || (east < 0 && here.west < bounds.west)
                    || (east > 0 && here.east > bounds.east))
        };
        let around = AROUND.into_iter().filter(move |at| is_needed(*at));
        let mut last = None;
        let around = around.map(move |(east, north)| cell.neighbor(east, north)).filter(move |next| {
            // With a huge area, neighbors that follow each other can be the same cell.
            last.replace(*next) != Some(*next)
        });
        std::iter::once(cell).chain(around)
    }

    /// The lowest and highest coordinates that the area can have.
    fn bounds(&self) -> Borders {
        let (width, height) = match self.shape {
            Shape::Circle { radius } => (radius, radius),
            Shape::Box { width, height } => (width / 2.0, height / 2.0),
        };
        let Point { longitude, latitude } = self.center;
        let up = degrees(height / EARTH_RADIUS);
        // Towards the pole the same width is more degrees.
        let edge = if latitude < 0.0 { latitude - up } else { latitude + up };
        let aside = degrees(width / EARTH_RADIUS / radians(edge).cos());
        Borders { west: longitude - aside, east: longitude + aside, south: latitude - up, north: latitude + up }
    }

    /// The step at which a cell and its eight neighbors cover the area nearly always.
    fn step(&self) -> u32 {
        /// Half the equator on Mercator's map, in meters.
        const HALF_MAP: f64 = 20_037_726.37;
        let mut reach = match self.shape {
            Shape::Circle { radius } => radius,
            Shape::Box { width, height } => (width / 2.0 * (width / 2.0) + height / 2.0 * (height / 2.0)).sqrt(),
        };
        if reach == 0.0 {
            return STEP_MAX;
        }
        let mut step = 1;
        while reach < HALF_MAP && step < 64 {
            reach *= 2.0;
            step += 1;
        }
        step -= 2;
        // Cells are narrow near the poles.
        step -= i32::from(self.center.latitude.abs() > 66.0) + i32::from(self.center.latitude.abs() > 80.0);
        step.clamp(1, STEP_MAX as i32) as u32
    }
}

/// The distance of opposite ends of the earth may be no number, by an error in the last digit; it counts as within all.
fn is_within(distance: f64, reach: f64) -> bool {
    distance.is_nan() || distance <= reach
}

/// Whether one of the cells around this one ends before the bounds do.
fn neighbors_end_within(cell: Cell, bounds: Borders) -> bool {
    let borders = |east: i32, north: i32| cell.neighbor(east, north).borders();
    borders(0, 1).north < bounds.north
        || borders(0, -1).south > bounds.south
        || borders(1, 0).east < bounds.east
        || borders(-1, 0).west > bounds.west
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cells_cover_the_area() {
        let mut rng = fastrand::Rng::with_seed(4);
        for _ in 0..20_000 {
            let point = |rng: &mut fastrand::Rng| Point {
                longitude: rng.f64() * 360.0 - 180.0,
                // Nearer to the poles, cells are so narrow that Redis misses some, too.
                latitude: rng.f64() * 120.0 - 60.0,
            };
            let center = point(&mut rng);
            let reach = 10f64.powf(rng.f64() * 5.0 + 1.0);
            let shape = match rng.bool() {
                true => Shape::Circle { radius: reach },
                false => Shape::Box { width: reach, height: rng.f64() * reach },
            };
            let area = Area { center, shape };
            let cells: Vec<Cell> = area.cells().collect();
            assert!(cells.len() <= 9);
            let near = Point {
                longitude: center.longitude + (rng.f64() - 0.5) * reach / 50_000.0,
                latitude: (center.latitude + (rng.f64() - 0.5) * reach / 100_000.0).clamp(-80.0, 80.0),
            };
            if near.longitude.abs() < 180.0 && Within::new(area).distance(near).is_some() {
                let (score, _) = Cell::of(near, STEP_MAX).scores();
                let is_covered = cells.iter().any(|cell| (cell.scores().0..cell.scores().1).contains(&score));
                assert!(is_covered, "{area:?}: {near:?}");
            }
        }
    }

    #[test]
    fn borders_leave_nothing_out() {
        let mut rng = fastrand::Rng::with_seed(6);
        let (mut looked, mut edge) = (0, 0);
        for _ in 0..200_000 {
            let center = Point { longitude: rng.f64() * 360.0 - 180.0, latitude: rng.f64() * 170.0 - 85.0 };
            let radius = 10f64.powf(rng.f64() * 7.0);
            let area = Area { center, shape: Shape::Circle { radius } };
            let Some(outer) = area.outer_borders() else { continue };
            // Most lie close to the borders, within and beyond.
            let at = |rng: &mut fastrand::Rng, low: f64, high: f64| low + (high - low) * (rng.f64() * 1.2 - 0.1);
            let point = Point {
                longitude: at(&mut rng, outer.west, outer.east),
                latitude: at(&mut rng, outer.south, outer.north),
            };
            let plain = Some(between(center, point)).filter(|distance| is_within(*distance, radius));
            assert_eq!(Within::new(area).distance(point), plain, "{area:?} {point:?}");
            looked += 1;
            edge += u32::from(!outer.have(point));
        }
        assert!(looked > 100_000 && edge > 10_000, "{looked} {edge}");
    }

    #[test]
    fn an_area_without_bounds_has_cells() {
        for reach in [0.0, 1e-300, 1e7, 1e300, f64::INFINITY] {
            for latitude in [0.0, 85.0, -85.05] {
                let center = Point { longitude: 180.0, latitude };
                for shape in [Shape::Circle { radius: reach }, Shape::Box { width: reach, height: 1.0 }] {
                    let count = Area { center, shape }.cells().count();
                    assert!((1..=9).contains(&count), "{reach} {latitude}");
                }
            }
        }
    }
}
