//! The clock of the stories.
#![allow(clippy::disallowed_methods, reason = "tests of real processes live in real time")]

use std::time::{Duration, Instant};

/// How long anything that must happen may take, on a slow machine too.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until the answer is yes. Panics with `what` if it never is.
#[track_caller]
pub fn until(what: &str, mut yes: impl FnMut() -> bool) {
    assert!(within(PATIENCE, &mut yes), "waited in vain until {what}");
}

/// Asks until the answer is yes or the time is over.
pub fn within(limit: Duration, mut yes: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if yes() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Milliseconds that something took.
pub fn timed<T>(f: impl FnOnce() -> T) -> (T, u128) {
    let (value, us) = timed_us(f);
    (value, us / 1000)
}

/// Microseconds that something took.
pub fn timed_us<T>(f: impl FnOnce() -> T) -> (T, u128) {
    let start = Instant::now();
    let value = f();
    (value, start.elapsed().as_micros())
}

/// Milliseconds since 1970.
pub fn unix_ms() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}
