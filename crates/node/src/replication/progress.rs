//! How far a full sync is: a line in the log every few seconds at both ends, and what INFO shows of it on a replica.

mod driver;

/// Between two lines.
const PERIOD_MS: u64 = 5000;

/// Measures how fast something that grows does so.
#[derive(Default)]
pub struct Meter {
    at_ms: u64,
    bytes: u64,
    per_second: u64,
}

impl Meter {
    /// Answers whether a period has passed.
    fn sample(&mut self, bytes: u64, now_ms: u64) -> bool {
        if self.at_ms == 0 || bytes < self.bytes {
            *self = Meter { at_ms: now_ms, bytes, per_second: 0 };
        }
        let elapsed = now_ms.saturating_sub(self.at_ms);
        if elapsed < PERIOD_MS {
            return false;
        }
        *self = Meter { at_ms: now_ms, bytes, per_second: (bytes - self.bytes).saturating_mul(1000) / elapsed };
        true
    }

    /// Over the last period, or since the begin.
    fn rate(&self, bytes: u64, now_ms: u64) -> u64 {
        let since = now_ms.saturating_sub(self.at_ms).max(1);
        let fresh = bytes.saturating_sub(self.bytes).saturating_mul(1000) / since;
        if self.per_second > 0 { self.per_second } else { fresh }
    }
}

/// The meters of the node's two ends.
#[derive(Default)]
pub struct Progress {
    sending: Meter,
    receiving: Meter,
}

/// What a replica knows of the full sync that goes on.
pub struct Receiving {
    pub bytes: u64,
    /// Of the bytes, or of the keys where only their number is known.
    pub percent: Option<f64>,
    pub per_second: u64,
    pub seconds_left: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_answers_once_a_period_and_begins_anew_with_less() {
        let mut meter = Meter::default();
        assert!(!meter.sample(1000, 10_000));
        assert_eq!(meter.rate(3000, 11_000), 2000);
        assert!(!meter.sample(9000, 14_999));
        assert!(meter.sample(11_000, 15_000));
        assert_eq!((meter.per_second, meter.rate(50_000, 15_001)), (2000, 2000));
        assert!(!meter.sample(10, 30_000));
        assert_eq!(meter.rate(20, 31_000), 10);
    }
}
