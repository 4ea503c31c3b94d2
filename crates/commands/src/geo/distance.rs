//! Distances on a sphere of the size of the earth, in meters, and the units in which people give them.

use rivulet_resp::{Args, Reply};

use super::cell::Point;
use crate::fail::Fail;

/// Meters.
pub(super) const EARTH_RADIUS: f64 = 6_372_797.560_856;

/// Between two places, by the haversine formula.
pub(super) fn between(a: Point, b: Point) -> f64 {
    Origin::new(a).to(b)
}

/// A place from which several distances are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    place: Point,
    longitude: f64,
    latitude: f64,
    latitude_cos: f64,
}

impl Origin {
    pub fn new(place: Point) -> Origin {
        let (longitude, latitude) = (radians(place.longitude), radians(place.latitude));
        Origin { place, longitude, latitude, latitude_cos: latitude.cos() }
    }

    /// Meters to another place.
    pub fn to(&self, other: Point) -> f64 {
        let v = ((radians(other.longitude) - self.longitude) / 2.0).sin();
        if v == 0.0 {
            return between_latitudes(self.place.latitude, other.latitude);
        }
        let to = radians(other.latitude);
        let u = ((to - self.latitude) / 2.0).sin();
        2.0 * EARTH_RADIUS * (u * u + self.latitude_cos * to.cos() * v * v).sqrt().asin()
    }
}

/// Between two places of the same longitude.
pub(super) fn between_latitudes(a: f64, b: f64) -> f64 {
    EARTH_RADIUS * (radians(b) - radians(a)).abs()
}

pub(super) fn radians(degrees: f64) -> f64 {
    degrees * (std::f64::consts::PI / 180.0)
}

pub(super) fn degrees(radians: f64) -> f64 {
    radians / (std::f64::consts::PI / 180.0)
}

/// The meters of the unit that an argument names.
pub(super) fn unit(args: Args<'_>, i: usize) -> Result<f64, Fail> {
    const UNITS: [(&str, f64); 4] = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    let named = UNITS.iter().find(|(name, _)| args.is(i, name));
    named.map(|(_, meters)| *meters).ok_or(Fail::new("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

/// A distance with four decimals.
pub(super) fn reply(reply: &mut Reply<'_>, distance: f64) {
    let scaled = (distance * 10_000.0).round_ties_even();
    if scaled.is_nan() {
        return reply.bulk(b"nan");
    }
    // No distance on the earth is below 0, or above 1e8 meters.
    let scaled = scaled as u64;
    reply.bulk(format!("{}.{:04}", scaled / 10_000, scaled % 10_000).as_bytes());
}
