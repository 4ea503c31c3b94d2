//! Full syncs that could not be loaded, one after the other: what that was for, and how long the next one waits.
//!
//! A snapshot that this node can't read is the same the next time, and each costs the master a snapshot and both ends the transfer.

use crate::Millis;

/// The failures since the last full sync that was loaded.
#[derive(Debug, Default)]
pub struct Unloadable {
    failures: u32,
    why: String,
}

/// The wait after the first failure; it doubles with each further one.
const WAIT_MIN: Millis = 1000;
const WAIT_MAX: Millis = 60_000;

impl Unloadable {
    /// Another one failed, for this reason; says how long to wait.
    pub(super) fn failed(&mut self, why: &str) -> Millis {
        self.failures = self.failures.saturating_add(1);
        self.why = why.to_string();
        let doublings = (self.failures - 1).min(WAIT_MAX.ilog2());
        (WAIT_MIN << doublings).min(WAIT_MAX)
    }

    /// How many have failed in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Why the last one failed.
    pub fn why(&self) -> &str {
        &self.why
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_minute() {
        let mut unloadable = Unloadable::default();
        let waits: Vec<Millis> = (0..8).map(|_| unloadable.failed("bad")).collect();
        assert_eq!(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!((unloadable.failures(), unloadable.why()), (8, "bad"));
        unloadable.failures = u32::MAX;
        assert_eq!(unloadable.failed("bad"), 60_000);
    }
}
