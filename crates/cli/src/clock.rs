//! Time: the program's edge, where the clock is read and waited for.

#![expect(clippy::disallowed_methods, reason = "a terminal's tool waits and measures")]

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rivulet_topology::Now;

pub fn now() -> Instant {
    Instant::now()
}

pub fn sleep(time: Duration) {
    std::thread::sleep(time);
}

/// Unix time in ms.
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Both clocks, as [`rivulet_topology`] has them.
pub fn both() -> Now {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    let since = BEGUN.get_or_init(Instant::now).elapsed();
    Now { ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX), unix_ms: wall_ms() }
}

/// A seed that nobody else has.
pub fn seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64 ^ u64::from(std::process::id()) << 40
}
