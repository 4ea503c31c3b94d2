//! What is measured of replication: how long replicas stay away, how fast the stream grows, how far replicas lag.
//!
//! Two use it: `repl-backlog-size auto`, which sizes the backlog from it, and the doctor, which says what to set. It
//! decides nothing about a link.

use std::collections::VecDeque;

use crate::Millis;
use crate::position::ReplId;

/// The figures of one node.
#[derive(Debug, Default)]
pub struct Measure {
    /// How long replicas were away that came back, oldest first.
    reconnects: VecDeque<Millis>,
    /// Who is away, and since when.
    away: VecDeque<(Peer, Millis)>,
    rate: Rate,
    lags: Vec<(Peer, VecDeque<Lag>)>,
    lags_at: Millis,
}

/// By what a replica is known again: its run id, or the address and port that it announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub run_id: Option<ReplId>,
    pub address: String,
}

impl Peer {
    /// A replica that was restarted has a new run id and its old address; behind NAT it may be the other way round.
    fn is_same(&self, other: &Peer) -> bool {
        self.run_id.is_some() && self.run_id == other.run_id || self.address == other.address
    }
}

/// How far a replica was behind at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    pub bytes: u64,
    pub seconds: u64,
}

/// Bytes per second, with the weight of the past falling.
#[derive(Debug, Default)]
struct Rate {
    last: Option<(u64, Millis)>,
    bytes_per_second: Option<f64>,
}

impl Rate {
    /// A rise is followed within so many seconds, a fall more slowly: a backlog is for the busy hours.
    const RISE_SECONDS: f64 = 5.0;
    const FALL_SECONDS: f64 = 120.0;

    fn sample(&mut self, end: u64, now: Millis) {
        let Some((last_end, last_at)) = self.last else {
            self.last = Some((end, now));
            return;
        };
        let elapsed = now.saturating_sub(last_at);
        if elapsed < SAMPLE_PERIOD {
            return;
        }
        self.last = Some((end, now));
        // A full sync may set the offset to anything.
        let Some(bytes) = end.checked_sub(last_end) else { return };
        let seconds = elapsed as f64 / 1000.0;
        let rate = bytes as f64 / seconds;
        let before = self.bytes_per_second.unwrap_or(rate);
        let slowness = if rate > before { Self::RISE_SECONDS } else { Self::FALL_SECONDS };
        let weight = 1.0 - (-seconds / slowness).exp();
        self.bytes_per_second = Some(before + weight * (rate - before));
    }
}

/// Reconnect times that are kept; their mean counts.
const RECONNECTS_MAX: usize = 32;
/// Replicas that are away and remembered.
const AWAY_MAX: usize = 64;
/// Who is away for longer was taken out of service: no backlog is for that.
pub const AWAY_MS_MAX: Millis = 3_600_000;
/// Samples of the lag of each replica, one a second.
pub const LAGS_MAX: usize = 60;
const SAMPLE_PERIOD: Millis = 1000;
/// Taken for the mean reconnect time until there is one.
const RECONNECT_MS_ASSUMED: Millis = 5000;

/// The bounds of `repl-backlog-size auto`.
pub const AUTO_SIZE_MIN: u64 = 1 << 20;
pub const AUTO_SIZE_MAX: u64 = 256 << 20;

impl Measure {
    /// The connection of a replica is gone.
    pub fn detached(&mut self, peer: Peer, now: Millis) {
        self.lags.retain(|(other, _)| !other.is_same(&peer));
        self.away.retain(|(other, since)| !other.is_same(&peer) && now.saturating_sub(*since) < AWAY_MS_MAX);
        if self.away.len() == AWAY_MAX {
            self.away.pop_front();
        }
        self.away.push_back((peer, now));
    }

    /// A replica asks for synchronization. Answers how long it was away, if it was.
    pub fn attached(&mut self, peer: &Peer, now: Millis) -> Option<Millis> {
        let at = self.away.iter().position(|(other, _)| other.is_same(peer))?;
        let (_, since) = self.away.remove(at)?;
        let away = now.saturating_sub(since);
        if away >= AWAY_MS_MAX {
            return None;
        }
        if self.reconnects.len() == RECONNECTS_MAX {
            self.reconnects.pop_front();
        }
        self.reconnects.push_back(away);
        Some(away)
    }

    /// Time passed, and the stream ends at `end`. To be called about every 100 ms.
    pub fn sample_stream(&mut self, end: u64, now: Millis) {
        self.rate.sample(end, now);
    }

    /// Whether the lag of the replicas is to be told now: once a second.
    pub fn lags_are_due(&mut self, now: Millis) -> bool {
        let due = now >= self.lags_at + SAMPLE_PERIOD;
        if due {
            self.lags_at = now;
        }
        due
    }

    /// How far an online replica is behind.
    pub fn sample_lag(&mut self, peer: Peer, lag: Lag) {
        let at = match self.lags.iter().position(|(other, _)| other.is_same(&peer)) {
            Some(at) => at,
            None => {
                self.lags.push((peer, VecDeque::new()));
                self.lags.len() - 1
            }
        };
        let samples = &mut self.lags[at].1;
        if samples.len() == LAGS_MAX {
            samples.pop_front();
        }
        samples.push_back(lag);
    }

    /// The last samples of each replica, oldest first.
    pub fn lags(&self) -> impl Iterator<Item = (&str, &VecDeque<Lag>)> {
        self.lags.iter().map(|(peer, samples)| (peer.address.as_str(), samples))
    }

    /// How many replicas came back, of those that count in the mean.
    pub fn reconnects(&self) -> usize {
        self.reconnects.len()
    }

    /// `repl_backlog_mean_reconnect_ms`; `None` until a replica came back.
    pub fn mean_reconnect_ms(&self) -> Option<Millis> {
        let sum: Millis = self.reconnects.iter().sum();
        sum.checked_div(self.reconnects.len() as u64)
    }

    pub fn longest_reconnect_ms(&self) -> Option<Millis> {
        self.reconnects.iter().max().copied()
    }

    /// `repl_backlog_bytes_per_second`.
    pub fn bytes_per_second(&self) -> u64 {
        self.rate.bytes_per_second.map_or(0, |rate| rate.round() as u64)
    }

    /// Twice what is written while a replica is away, on average.
    pub fn backlog_bytes_wanted(&self) -> u64 {
        let away = self.mean_reconnect_ms().unwrap_or(RECONNECT_MS_ASSUMED);
        bytes_written_in(self.bytes_per_second(), away).saturating_mul(2)
    }

    /// What `repl-backlog-size auto` means now, when it means `present` so far. It grows at once, by eighths at least; it
    /// shrinks to less than half only, and not while somebody is away who may need it.
    pub fn auto_size(&self, present: u64, now: Millis) -> u64 {
        let wanted = self.backlog_bytes_wanted().clamp(AUTO_SIZE_MIN, AUTO_SIZE_MAX);
        let grows = wanted > present && (wanted - present > present / 8 || wanted == AUTO_SIZE_MAX);
        let missed = self.away.iter().any(|(_, since)| now.saturating_sub(*since) < AWAY_MS_MAX);
        let shrinks = wanted < present / 2 && !missed || present > AUTO_SIZE_MAX;
        if grows || shrinks { wanted } else { present.max(AUTO_SIZE_MIN) }
    }
}

/// So many bytes are written in that time.
pub fn bytes_written_in(bytes_per_second: u64, ms: Millis) -> u64 {
    (u128::from(bytes_per_second) * u128::from(ms) / 1000).min(u128::from(u64::MAX)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8, address: &str) -> Peer {
        Peer { run_id: (n > 0).then(|| ReplId::from_random(&[n; 20])), address: address.to_string() }
    }

    #[test]
    fn a_replica_is_known_again_by_run_id_or_address() {
        let mut measure = Measure::default();
        measure.detached(peer(1, "a:1"), 1000);
        measure.detached(peer(0, "b:1"), 1000);
        assert_eq!(measure.attached(&peer(2, "c:1"), 1500), None);
        assert_eq!(measure.attached(&peer(0, "c:2"), 1500), None);
        assert_eq!(measure.attached(&peer(1, "moved:1"), 1500), Some(500));
        assert_eq!(measure.attached(&peer(9, "b:1"), 2500), Some(1500));
        assert_eq!(measure.attached(&peer(9, "b:1"), 2500), None, "it counts once");
        assert_eq!((measure.mean_reconnect_ms(), measure.longest_reconnect_ms()), (Some(1000), Some(1500)));
    }

    #[test]
    fn who_was_out_of_service_does_not_count() {
        let mut measure = Measure::default();
        measure.detached(peer(1, "a:1"), 0);
        assert_eq!(measure.attached(&peer(1, "a:1"), AWAY_MS_MAX), None);
        assert_eq!(measure.mean_reconnect_ms(), None);
    }

    #[test]
    fn the_rate_rises_fast_and_falls_slowly() {
        let mut measure = Measure::default();
        let mut end = 0;
        let mut now = 0;
        let mut run = |measure: &mut Measure, seconds: u64, rate: u64| {
            for _ in 0..seconds {
                measure.sample_stream(end, now);
                (end, now) = (end + rate, now + 1000);
            }
            measure.sample_stream(end, now);
            measure.bytes_per_second()
        };
        assert_eq!(run(&mut measure, 10, 1000), 1000);
        let risen = run(&mut measure, 10, 100_000);
        assert!((80_000..100_000).contains(&risen), "{risen}");
        let fallen = run(&mut measure, 10, 0);
        assert!((risen * 9 / 10..risen).contains(&fallen), "{fallen}");
        assert!(run(&mut measure, 1200, 0) < 100);
    }

    #[test]
    fn an_offset_that_goes_back_is_no_rate() {
        let mut measure = Measure::default();
        for (end, now) in [(1000, 0), (2000, 1000), (5, 2000), (1005, 3000)] {
            measure.sample_stream(end, now);
        }
        assert_eq!(measure.bytes_per_second(), 1000);
    }

    #[test]
    fn the_size_follows_within_its_bounds() {
        let mut measure = Measure::default();
        assert_eq!(measure.auto_size(0, 0), AUTO_SIZE_MIN);
        for second in 0..60 {
            measure.sample_stream(second * 1_000_000, second * 1000);
        }
        measure.detached(peer(1, "a:1"), 60_000);
        measure.attached(&peer(1, "a:1"), 64_000);
        assert_eq!(measure.backlog_bytes_wanted(), 8_000_000);
        assert_eq!(measure.auto_size(AUTO_SIZE_MIN, 64_000), 8_000_000);
        assert_eq!(measure.auto_size(7_900_000, 64_000), 7_900_000, "too little to move for");
        assert_eq!(measure.auto_size(15_000_000, 64_000), 15_000_000);
        assert_eq!(measure.auto_size(17_000_000, 64_000), 8_000_000);
        measure.detached(peer(1, "a:1"), 65_000);
        assert_eq!(measure.auto_size(17_000_000, 66_000), 17_000_000, "somebody may come back for it");
        measure.attached(&peer(1, "a:1"), 3_000_000);
        assert_eq!(measure.auto_size(8_000_000, 3_000_000), AUTO_SIZE_MAX);
        assert_eq!(measure.auto_size(1 << 40, 3_000_000), AUTO_SIZE_MAX);
    }

    #[test]
    fn lags_are_kept_for_those_who_are_there() {
        let mut measure = Measure::default();
        assert!(measure.lags_are_due(1000) && !measure.lags_are_due(1999) && measure.lags_are_due(2000));
        for bytes in 0..100 {
            measure.sample_lag(peer(1, "a:1"), Lag { bytes, seconds: 0 });
        }
        let samples: Vec<u64> = measure.lags().flat_map(|(_, s)| s.iter().map(|lag| lag.bytes)).collect();
        assert_eq!(samples, (40..100).collect::<Vec<_>>());
        measure.detached(peer(1, "a:1"), 0);
        assert_eq!(measure.lags().count(), 0);
    }
}
