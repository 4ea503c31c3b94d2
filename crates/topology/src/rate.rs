//! How fast an offset grows, from samples of it.

use std::collections::VecDeque;

/// Samples older than this are forgotten.
const WINDOW_MS: u64 = 3000;
const SAMPLES_MAX: usize = 32;

/// Samples of an offset over the last seconds.
#[derive(Clone, Debug, Default)]
pub struct Rate(VecDeque<(u64, u64)>);

impl Rate {
    /// Notes an offset at a time in ms. One that is smaller than the last begins anew: it is another history's.
    pub fn sample(&mut self, at_ms: u64, offset: u64) {
        if self.0.back().is_some_and(|&(last_ms, last)| offset < last || at_ms < last_ms) {
            self.0.clear();
        }
        self.0.push_back((at_ms, offset));
        let is_old = |&(ms, _): &(u64, u64)| at_ms - ms > WINDOW_MS;
        while self.0.len() > SAMPLES_MAX || self.0.len() > 2 && self.0.front().is_some_and(is_old) {
            self.0.pop_front();
        }
    }

    /// Bytes per second over the window; `None` before two samples at different times.
    pub fn per_second(&self) -> Option<u64> {
        let (&(from_ms, from), &(to_ms, to)) = (self.0.front()?, self.0.back()?);
        let per_second = (u128::from(to - from) * 1000).checked_div(u128::from(to_ms - from_ms))?;
        Some(u64::try_from(per_second).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_measured_over_the_last_seconds() {
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(), None);
        rate.sample(1000, 500);
        assert_eq!(rate.per_second(), None);
        rate.sample(1500, 1500);
        assert_eq!(rate.per_second(), Some(2000));
        for ms in (2000..20_000).step_by(250) {
            rate.sample(ms, 1500);
        }
        assert_eq!(rate.per_second(), Some(0));
        rate.sample(20_000, 10);
        assert_eq!(rate.per_second(), None);
        rate.sample(30_000, 20);
        assert_eq!(rate.per_second(), Some(1));
        rate.sample(31_000, u64::MAX);
        assert!(rate.per_second().is_some());
    }
}
