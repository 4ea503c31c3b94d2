//! How far a full sync is: a line in the log every few seconds at both ends, and what INFO shows of it on a replica.

use crate::log;
use crate::node::Node;
use crate::persist::load::LoadWhy;
use crate::persist::saving::Purpose;

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

impl Node {
    pub fn receiving(&self) -> Option<Receiving> {
        let now = self.now_ms();
        let sync = self.replication.link.as_ref()?.state.sync_progress(now)?;
        let load = self.persist.loading.load.as_ref().filter(|load| load.why == LoadWhy::FullSync);
        let (done, all) = match (sync.total_bytes, load) {
            (Some(total), _) => (sync.read_bytes, total),
            (None, Some(load)) => (load.loader.keys_loaded, load.keys_promised),
            (None, None) => (0, 0),
        };
        let percent = (all > 0).then(|| (done as f64 * 100.0 / all as f64).min(100.0));
        let per_second = self.replication.observed.progress.receiving.rate(sync.read_bytes, now);
        let seconds_left = percent.filter(|&percent| percent > 0.0 && per_second > 0).map(|percent| {
            let left = sync.read_bytes as f64 * (100.0 - percent) / percent;
            (left / per_second as f64).round() as u64
        });
        Some(Receiving { bytes: sync.read_bytes, percent, per_second, seconds_left })
    }

    /// Says how far full syncs are, when it is time to.
    pub fn report_progress(&mut self) {
        let now = self.now_ms();
        let receiving = self.receiving();
        let progress = &mut self.replication.observed.progress;
        match receiving {
            Some(sync) if progress.receiving.sample(sync.bytes, now) => {
                let left = sync.seconds_left.map_or(String::new(), |s| format!(", about {s} s left"));
                log::notice!(
                    "MASTER <-> REPLICA sync: {} received{}, {}/s{left}",
                    megabytes(sync.bytes),
                    percent_text(sync.percent),
                    megabytes(progress.receiving.per_second)
                );
            }
            Some(_) => {}
            None => progress.receiving = Meter::default(),
        }
        let running = self.persist.saving.running.as_ref().filter(|r| matches!(r.purpose, Purpose::ReplicasSockets));
        let Some(payload) = self.persist.saving.payloads().next() else {
            progress.sending = Meter::default();
            return;
        };
        let (bytes, reach) = (payload.made_bytes(), payload.fastest());
        if progress.sending.sample(reach, now) {
            let keys = running.map_or((1, 1), |r| (r.snapshot.keys_done(), r.snapshot.keys_total));
            let percent = (keys.1 > 0).then(|| (keys.0 as f64 * 100.0 / keys.1 as f64).min(100.0));
            log::notice!(
                "Diskless rdb transfer: {} made{}, {} sent to the replica that is ahead, {}/s",
                megabytes(bytes),
                percent_text(percent),
                megabytes(reach),
                megabytes(progress.sending.per_second)
            );
        }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn percent_text(percent: Option<f64>) -> String {
    percent.map_or(String::new(), |percent| format!(" ({percent:.0}%)"))
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
