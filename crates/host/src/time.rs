//! The clocks. Nothing else reads them.

#![allow(clippy::disallowed_methods, reason = "the edge reads the clock")]

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::world;

/// Microseconds of Unix time: the wall clock, which may leap.
#[inline]
pub fn unix_us() -> u64 {
    world::with(|world| world.unix_us()).unwrap_or_else(system_unix_us)
}

fn system_unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}

/// Milliseconds of Unix time.
pub fn unix_ms() -> u64 {
    unix_us() / 1000
}

/// Microseconds that never go back or leap, whatever is done to the system's clock: the Unix time of the first call, and what has passed since. So
/// a moment of it can be shown to people by adding how far the wall clock is ahead.
#[inline]
pub fn machine_us() -> u64 {
    if let Some(us) = world::with(|world| world.machine_us()) {
        return us;
    }
    static ANCHOR: OnceLock<(Instant, u64)> = OnceLock::new();
    let (start, unix_us) = ANCHOR.get_or_init(|| (Instant::now(), system_unix_us()));
    let passed = start.elapsed();
    unix_us + passed.as_secs() * 1_000_000 + u64::from(passed.subsec_micros())
}

/// Nanoseconds since the first call: never goes back.
#[inline]
pub fn monotonic_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    world::with(|world| world.machine_us() * 1000)
        .unwrap_or_else(|| START.get_or_init(Instant::now).elapsed().as_nanos() as u64)
}

/// Milliseconds since the first call of [`monotonic_ns`].
pub fn monotonic_ms() -> u64 {
    monotonic_ns() / 1_000_000
}

/// Microseconds since the first call of [`monotonic_ns`].
pub fn monotonic_us() -> u64 {
    monotonic_ns() / 1000
}

/// Sleeps; only helper threads, the executor's rests and DEBUG SLEEP do.
pub fn sleep(time: Duration) {
    match world::with(|world| world.machine_us()) {
        Some(now_us) => world::sleep_until(now_us + time.as_micros() as u64),
        None => std::thread::sleep(time),
    }
}
