//! TILT: a Sentinel that was not run for a while does not act on what it believes, as all of it is old.
//!
//! It is found by the machine's clock, which nobody sets: a wall clock that leaps changes nothing here.

use crate::periods::Periods;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tilt {
    /// When it began.
    pub since_ms: Option<u64>,
    last_ms: Option<u64>,
}

/// What a look at the clock has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TiltChange {
    Entered,
    Left,
}

impl Tilt {
    pub fn is_on(&self) -> bool {
        self.since_ms.is_some()
    }

    /// To be called whenever the time is told, and at each tick.
    pub fn look(&mut self, now_ms: u64, periods: &Periods) -> Option<TiltChange> {
        let last = self.last_ms.replace(now_ms).unwrap_or(now_ms);
        if now_ms < last || now_ms - last > periods.tilt_trigger_ms {
            self.since_ms = Some(now_ms);
            return Some(TiltChange::Entered);
        }
        match self.since_ms {
            Some(since) if now_ms - since >= periods.tilt_ms => {
                self.since_ms = None;
                Some(TiltChange::Left)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_noticed_and_waited_out() {
        let periods = Periods::default();
        let mut tilt = Tilt::default();
        assert_eq!(tilt.look(1_000_000, &periods), None, "nothing is known before the first look");
        assert_eq!(tilt.look(1_002_000, &periods), None);
        assert_eq!(tilt.look(1_004_001, &periods), Some(TiltChange::Entered));
        for at in (1_005_000..1_034_000).step_by(1000) {
            assert_eq!(tilt.look(at, &periods), None);
            assert!(tilt.is_on());
        }
        assert_eq!(tilt.look(1_034_001, &periods), Some(TiltChange::Left));
        assert!(!tilt.is_on());
    }
}
