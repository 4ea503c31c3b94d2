//! How far a full sync is, as it is told.

use super::{Meter, Receiving};
use crate::log;
use crate::node::Node;
use crate::persist::load::LoadWhy;
use crate::persist::saving::Purpose;

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
