//! How often the log is told of logins that fail: who guesses passwords must not fill the disk.

/// So many are told in a period.
const TOLD_MAX: u32 = 5;
const PERIOD_MS: u64 = 1000;

/// Logins that failed in the present period.
#[derive(Default)]
pub struct Failures {
    began_ms: u64,
    told: u32,
    untold: u64,
}

impl Failures {
    /// A login failed. Says whether the log is told of it, and of how many before it that was not done.
    pub fn note(&mut self, now_ms: u64) -> Option<u64> {
        if now_ms.saturating_sub(self.began_ms) >= PERIOD_MS {
            (self.began_ms, self.told) = (now_ms, 0);
        }
        if self.told == TOLD_MAX {
            self.untold += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_a_second_are_told() {
        let mut failures = Failures::default();
        let mut told = |now_ms: u64| failures.note(now_ms);
        assert!((0..5).all(|i| told(5_000 + i) == Some(0)));
        assert!((5..999).all(|i| told(5_000 + i).is_none()));
        assert_eq!(told(6_000), Some(994));
        assert_eq!(told(6_001), Some(0));
    }
}
