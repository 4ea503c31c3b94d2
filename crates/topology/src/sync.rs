//! Syncs: those that nodes remember, and one that is under way.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::info::{Info, brief};

/// One sync of REPLICATION HISTORY, or one that was counted by a server that remembers none.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SyncRecord {
    /// Counts from 1 at its node.
    pub number: u64,
    /// Unix ms at which it began.
    pub time_ms: u64,
    /// At which end its node was: `master` or `replica`.
    pub role: String,
    /// Who was at the other, as `host:port`; empty if that is not known.
    pub peer: String,
    /// `full` or `partial`.
    pub kind: String,
    /// A word that stays (`behind`, `stranger`, …); empty if the server does not say.
    pub reason: String,
    pub sentence: String,
    /// `running`, `done` or `failed`.
    pub outcome: String,
    pub failure: String,
    pub bytes: u64,
    /// How large a backlog would have made it a partial one; 0 if that is no question.
    pub bytes_missing: u64,
    pub duration_ms: u64,
}

impl SyncRecord {
    /// A record from its fields; numbers that are missing or no numbers are 0.
    pub fn from_fields(fields: &BTreeMap<String, String>) -> SyncRecord {
        let text = |name: &str| fields.get(name).map(|value| brief(value)).unwrap_or_default();
        let count = |name: &str| fields.get(name).and_then(|value| value.parse().ok()).unwrap_or(0);
        SyncRecord {
            number: count("number"),
            time_ms: count("time_ms"),
            role: text("role"),
            peer: text("peer"),
            kind: text("kind"),
            reason: text("reason"),
            sentence: text("sentence"),
            outcome: text("outcome"),
            failure: text("failure"),
            bytes: count("bytes"),
            bytes_missing: count("bytes_missing"),
            duration_ms: count("duration_ms"),
        }
    }
}

/// How far a full sync is, as the replica tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// Bytes of the snapshot that have come.
    pub bytes: u64,
    pub total_bytes: Option<u64>,
    /// From 0 to 100, if there is a size to compare with.
    pub percent: Option<f64>,
    pub bytes_per_second: Option<u64>,
    pub seconds_left: Option<u64>,
}

impl Progress {
    /// What INFO of a replica says; `None` if no full sync is under way.
    pub fn of(info: &Info) -> Option<Progress> {
        if !info.is_on("master_sync_in_progress") {
            return None;
        }
        let bytes = info.count("master_sync_read_bytes").unwrap_or(0);
        let total_bytes = info.count("master_sync_total_bytes").filter(|&total| total > 0);
        let computed = total_bytes.map(|total| bytes as f64 * 100.0 / total as f64);
        let percent = info.float("master_sync_perc").filter(|&p| p > 0.0).or(computed);
        Some(Progress {
            bytes,
            total_bytes,
            percent: percent.map(|p| p.clamp(0.0, 100.0)),
            bytes_per_second: info.count("master_sync_bytes_per_second"),
            seconds_left: info.count("master_sync_seconds_left"),
        })
    }
}

/// What a server counted of the syncs that it granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub full: u64,
    pub partial: u64,
}

impl Counters {
    pub fn of(info: &Info) -> Counters {
        let count = |name| info.count(name).unwrap_or(0);
        Counters { full: count("sync_full"), partial: count("sync_partial_ok") }
    }

    /// The syncs since an earlier count, as records without a reason, at most `max`; none after a restart.
    pub fn since(self, before: Counters, unix_ms: u64, max: usize) -> Vec<SyncRecord> {
        let record = |kind: &str| SyncRecord {
            time_ms: unix_ms,
            role: "master".into(),
            kind: kind.into(),
            outcome: "done".into(),
            ..SyncRecord::default()
        };
        let full = (before.full..self.full).map(|_| record("full"));
        full.chain((before.partial..self.partial).map(|_| record("partial"))).take(max).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_under_way() {
        let info = |text| Info::parse(text);
        assert_eq!(Progress::of(&info("master_sync_in_progress:0\r\nmaster_sync_read_bytes:1")), None);
        // A Redis that is told the length.
        let text =
            "master_sync_in_progress:1\nmaster_sync_total_bytes:200\nmaster_sync_read_bytes:50\nmaster_sync_perc:25.00";
        let progress = Progress::of(&info(text)).expect("under way");
        assert_eq!((progress.percent, progress.total_bytes, progress.seconds_left), (Some(25.0), Some(200), None));
        // One that is sent a snapshot as it is made knows no length.
        let text = "master_sync_in_progress:1\nmaster_sync_total_bytes:0\nmaster_sync_read_bytes:50\nmaster_sync_perc:0.00\nmaster_sync_seconds_left:-1";
        let progress = Progress::of(&info(text)).expect("under way");
        assert_eq!((progress.percent, progress.total_bytes, progress.seconds_left), (None, None, None));
        let text = "master_sync_in_progress:1\nmaster_sync_total_bytes:10\nmaster_sync_read_bytes:50";
        assert_eq!(Progress::of(&info(text)).expect("under way").percent, Some(100.0));
    }

    #[test]
    fn counted_syncs_become_records() {
        let before = Counters { full: 1, partial: 4 };
        let kinds = |records: Vec<SyncRecord>| records.into_iter().map(|r| r.kind).collect::<Vec<_>>();
        assert_eq!(kinds(Counters { full: 2, partial: 6 }.since(before, 9, 10)), ["full", "partial", "partial"]);
        assert_eq!(kinds(Counters { full: u64::MAX, partial: 0 }.since(before, 9, 2)), ["full", "full"]);
        assert!(Counters { full: 0, partial: 0 }.since(before, 9, 10).is_empty());
    }
}
