//! The pauses that last, each for a reason of its own: the end of one ends no other (`pauseClients` in Redis 7.0).

/// Why it is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseWhy {
    /// CLIENT PAUSE.
    Client,
    Shutdown,
    Failover,
    /// The disk can't keep up with the log.
    Congestion,
}

/// One pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pause {
    /// On the machine's clock.
    until_ms: u64,
    /// Only commands that may write wait.
    writes_only: bool,
}

/// The pauses that last.
#[derive(Debug, Default)]
pub struct Pauses {
    by_reason: [Option<Pause>; 4],
    /// There is one; kept beside, as each command asks.
    any: bool,
    /// One was ended: who waited goes on when the turn ends, as what others do is no part of what a command, a transaction or a link does.
    pub(super) ended: bool,
}

impl Pauses {
    #[inline]
    pub fn any(&self) -> bool {
        self.any
    }

    /// Begins a pause, or makes the one that lasts for this reason longer and stricter.
    pub fn begin(&mut self, why: PauseWhy, until_ms: u64, writes_only: bool) {
        let slot = &mut self.by_reason[why as usize];
        *slot = Some(Pause {
            until_ms: slot.map_or(until_ms, |p| p.until_ms.max(until_ms)),
            writes_only: writes_only && slot.is_none_or(|p| p.writes_only),
        });
        self.any = true;
    }

    /// Ends the pause that lasts for this reason.
    pub fn end(&mut self, why: PauseWhy) {
        self.by_reason[why as usize] = None;
        self.ended = true;
        self.any = self.by_reason.iter().any(Option::is_some);
    }

    /// Who waits as if it were paused may have nothing to wait for any more.
    pub fn look_again(&mut self) {
        self.ended = true;
    }

    /// Ends those whose time is over; answers whether there were any.
    pub(super) fn end_due(&mut self, now_ms: u64) -> bool {
        let before = self.by_reason;
        for slot in &mut self.by_reason {
            slot.take_if(|pause| now_ms >= pause.until_ms);
        }
        self.any = self.by_reason.iter().any(Option::is_some);
        self.by_reason != before
    }

    /// When the next of them ends by itself; at once if one was ended, for who waited for it.
    pub fn next_end_ms(&self) -> Option<u64> {
        if self.ended {
            return Some(0);
        }
        self.by_reason.iter().flatten().map(|pause| pause.until_ms).min()
    }

    /// All commands wait, not only those that may write.
    fn stops_all(&self) -> bool {
        self.by_reason.iter().flatten().any(|pause| !pause.writes_only)
    }

    /// Whether a command waits that may write, or only reads.
    pub fn stops(&self, may_write: bool) -> bool {
        self.any && (may_write || self.stops_all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_one_pause_ends_no_other() {
        let mut pauses = Pauses::default();
        assert!(!pauses.any() && !pauses.stops(true));
        pauses.begin(PauseWhy::Client, 100, false);
        pauses.begin(PauseWhy::Failover, u64::MAX, true);
        assert!(pauses.stops(false) && pauses.stops(true));
        assert_eq!(pauses.next_end_ms(), Some(100));
        assert!(!pauses.end_due(99));
        assert!(pauses.end_due(100));
        assert!(!pauses.stops(false) && pauses.stops(true));
        pauses.end(PauseWhy::Client);
        assert!(pauses.any());
        pauses.end(PauseWhy::Failover);
        assert!(!pauses.any());
    }

    #[test]
    fn a_pause_is_made_longer_and_stricter_never_less() {
        let mut pauses = Pauses::default();
        pauses.begin(PauseWhy::Client, 100, true);
        pauses.begin(PauseWhy::Client, 50, false);
        pauses.begin(PauseWhy::Client, 60, true);
        assert!(pauses.stops(false));
        assert!(!pauses.end_due(99) && pauses.end_due(100));
    }
}
