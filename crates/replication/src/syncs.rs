//! The history of synchronizations: each full and partial sync that this node granted or made, with its reason.
//!
//! It is told what happens; it decides nothing. `REPLICATION HISTORY` and INFO show it, and the doctor reads it.

use std::collections::VecDeque;

use crate::Millis;
use crate::log::Window;
use crate::master::ReplicaKey;
use crate::messages::{AskedId, PsyncRequest, asked_words};
use crate::position::{Position, ReplId};
use crate::psync::{Decision, FullReason};
use crate::session::{Session, State};

/// The last synchronizations, and how many full ones had which reason.
#[derive(Debug, Default)]
pub struct SyncHistory {
    /// Oldest first.
    records: VecDeque<SyncRecord>,
    begun: u64,
    full_by_reason: [u64; FULL_REASONS.len()],
}

/// One synchronization.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncRecord {
    /// Counts from 1.
    pub number: u64,
    /// Unix time.
    pub began_at: Millis,
    pub end: End,
    pub kind: Kind,
    /// The id and the byte number that the replica asked for; neither in the old SYNC.
    pub asked: Option<(String, i64)>,
    /// Who the other end is, and how this node stood.
    pub at: Beginning,
    pub why: Why,
    /// Payload and stream, sent or received.
    pub bytes: u64,
    pub took: Millis,
    pub outcome: Outcome,
    progress: Progress,
}

/// Why a sync was of its kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Why {
    /// A word for tools.
    pub reason: &'static str,
    pub sentence: String,
    /// So many bytes of the log were wanting for a partial sync.
    pub bytes_missing: Option<u64>,
}

/// Which end of the link this node was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Master,
    Replica,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Full,
    Partial,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Running,
    Done,
    Failed(String),
}

/// How a running one is followed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Progress {
    /// At the master's end: the replica, the connection that fetches the snapshot if it is another one, the bytes of
    /// payload sent, where its stream began, and where it has caught up.
    Granted { key: ReplicaKey, channel: Option<ReplicaKey>, payload: u64, from: u64, target: Option<u64> },
    /// At the replica's end: the bytes of payload that came.
    Made { payload: u64 },
}

/// What is known when a sync begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Beginning {
    pub peer: String,
    pub id: ReplId,
    pub second: ReplId,
    pub window: Option<Window>,
    pub offset: u64,
}

/// The words for the reasons of full syncs that a master grants.
pub const FULL_REASONS: [&str; 8] =
    ["requested", "old-sync", "unproven", "stranger", "past-fork", "no-log", "behind", "ahead"];

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Kind::Full => "full",
            Kind::Partial => "partial",
        }
    }
}

impl End {
    pub fn word(self) -> &'static str {
        match self {
            End::Master => "master",
            End::Replica => "replica",
        }
    }
}

impl Outcome {
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Running => "running",
            Outcome::Done => "done",
            Outcome::Failed(_) => "failed",
        }
    }
}

/// A sync that has ended, for those who count and measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    pub kind: Kind,
    pub took: Millis,
}

impl SyncHistory {
    /// So many are kept.
    pub const RECORDS_MAX: usize = 128;

    /// A replica was granted a sync: `decision` is the answer to its PSYNC, `None` where there was nothing to decide.
    pub fn granted(
        &mut self,
        key: ReplicaKey,
        request: Option<&PsyncRequest>,
        decision: Option<&Decision>,
        at: Beginning,
        now: Millis,
    ) {
        let peer = at.peer.clone();
        if self.goes_on_beside(key, decision) {
            return;
        }
        for record in self.running().filter(|record| record.end == End::Master && record.at.peer == peer) {
            record.finish(Outcome::Failed("the replica asked again".to_string()), now);
        }
        let (kind, reason, sentence, missing, from) = match decision {
            Some(Decision::Continue { from, bytes }) => {
                let sentence =
                    format!("It goes on after byte {from}: {bytes} bytes of the backlog bring it up to date.");
                (Kind::Partial, "continued", sentence, None, *from)
            }
            Some(Decision::Full(reason)) => {
                let missing = bytes_missing(reason);
                (Kind::Full, reason.word(), reason.sentence(&peer), missing, at.offset)
            }
            None if request.is_none() => {
                let sentence = "It came with the old SYNC, which knows no partial resync.".to_string();
                (Kind::Full, "old-sync", sentence, None, at.offset)
            }
            None => {
                let sentence = "This node's own data was not whole, so nothing could be proven equal.".to_string();
                (Kind::Full, "unproven", sentence, None, at.offset)
            }
        };
        if let (Kind::Full, Some(i)) = (kind, FULL_REASONS.iter().position(|word| *word == reason)) {
            self.full_by_reason[i] += 1;
        }
        let asked = request.map(|request| (asked_text(&request.id), request.asked));
        let target = (kind == Kind::Partial).then_some(at.offset);
        let progress = Progress::Granted { key, channel: None, payload: 0, from, target };
        self.begin(SyncRecord {
            number: 0,
            began_at: now,
            end: End::Master,
            kind,
            asked,
            at,
            why: Why { reason, sentence, bytes_missing: missing },
            bytes: 0,
            took: 0,
            outcome: Outcome::Running,
            progress,
        });
    }

    /// A full sync over two channels is one sync: the PSYNC for the stream beside the snapshot begins no other.
    fn goes_on_beside(&mut self, key: ReplicaKey, decision: Option<&Decision>) -> bool {
        let continues = matches!(decision, Some(Decision::Continue { .. }));
        continues && self.running().any(|record| record.kind == Kind::Full && record.is_of(key))
    }

    /// A replica that was granted a full sync fetches the snapshot over this connection. Says whether there is one.
    pub fn fetched_over(&mut self, peer: &str, connection: ReplicaKey) -> bool {
        let mut granted = self.running().filter(|record| record.kind == Kind::Full && record.at.peer == peer);
        let Some(record) = granted.find(|record| record.end == End::Master) else { return false };
        if let Progress::Granted { channel, .. } = &mut record.progress {
            *channel = Some(connection);
        }
        true
    }

    /// This replica's master answered a PSYNC that asked for what follows `asked`.
    pub fn made(&mut self, kind: Kind, asked: Option<Position>, old_sync: bool, at: Beginning, began_at: Millis) {
        let (reason, sentence) = match (kind, asked) {
            (Kind::Partial, _) => ("continued", "The master sends what was missed.".to_string()),
            (Kind::Full, _) if old_sync => ("old-sync", "The master knows no PSYNC.".to_string()),
            (Kind::Full, None) => ("requested", "This node had no position to go on from.".to_string()),
            (Kind::Full, Some(asked)) => (
                "not-continued",
                format!("The master would not go on after byte {}: its own history says why.", asked.offset),
            ),
        };
        let (id, offset) = asked_words(asked);
        // What `asked_words` writes is a number.
        let asked = (!old_sync).then(|| (id, offset.parse().unwrap_or(-1)));
        self.begin(SyncRecord {
            number: 0,
            began_at,
            end: End::Replica,
            kind,
            asked,
            at,
            why: Why { reason, sentence, bytes_missing: None },
            bytes: 0,
            took: 0,
            outcome: Outcome::Running,
            progress: Progress::Made { payload: 0 },
        });
    }

    fn begin(&mut self, record: SyncRecord) {
        if self.records.len() == Self::RECORDS_MAX {
            self.records.pop_front();
        }
        self.begun += 1;
        self.records.push_back(SyncRecord { number: self.begun, ..record });
    }

    /// Bytes of a payload went to a replica.
    pub fn payload_sent(&mut self, to: ReplicaKey, bytes: u64) {
        for record in self.running() {
            if let Progress::Granted { key, channel, payload, .. } = &mut record.progress
                && channel.unwrap_or(*key) == to
            {
                *payload += bytes;
                record.bytes += bytes;
            }
        }
    }

    /// Bytes of a payload came from the master.
    pub fn payload_received(&mut self, bytes: u64) {
        for record in self.running() {
            if let Progress::Made { payload } = &mut record.progress {
                *payload += bytes;
                record.bytes += bytes;
            }
        }
    }

    /// Looks how far a replica that was granted a sync has come; `end` is the log's. Answers the sync if it is done: all
    /// that was written until its payload was sent is acknowledged.
    pub fn look_at(&mut self, replica: ReplicaKey, session: &Session, end: u64, now: Millis) -> Option<Ended> {
        let record = self.running().find(|record| record.is_of(replica))?;
        let Progress::Granted { payload, from, target, .. } = &mut record.progress else { return None };
        if !matches!(session.state(), State::Online { awaiting_ack: false }) {
            return None;
        }
        let target = *target.get_or_insert(end);
        record.bytes = *payload + session.cursor().saturating_sub(*from);
        // One that came with the old SYNC never acknowledges.
        let reached = if record.why.reason == "old-sync" { session.cursor() } else { session.ack_offset() };
        if reached < target {
            return None;
        }
        Some(record.finish(Outcome::Done, now))
    }

    /// The snapshot for a replica began at this offset: its stream is counted from there.
    pub fn snapshot_began(&mut self, replica: ReplicaKey, offset: u64) {
        for record in self.running() {
            if let Progress::Granted { key, channel, from, .. } = &mut record.progress
                && channel.unwrap_or(*key) == replica
            {
                *from = offset;
            }
        }
    }

    /// A replica that wanted a snapshot only has it.
    pub fn snapshot_fetched(&mut self, replica: ReplicaKey, now: Millis) {
        if let Some(record) = self.running().find(|record| record.is_of(replica)) {
            record.finish(Outcome::Done, now);
        }
    }

    /// The connection of a replica is gone, or the one over which it fetches a snapshot that is not all sent.
    pub fn replica_gone(&mut self, replica: ReplicaKey, why: &str, now: Millis) {
        let concerned = |record: &&mut SyncRecord| match record.progress {
            Progress::Granted { key, channel, .. } => key == replica || channel == Some(replica),
            Progress::Made { .. } => false,
        };
        if let Some(record) = self.running().find(concerned) {
            record.finish(Outcome::Failed(why.to_string()), now);
        }
    }

    /// The stream flows at this replica's end, with `stream` bytes of it come so far.
    pub fn made_done(&mut self, stream: u64, now: Millis) -> Option<Ended> {
        let record = self.running().find(|record| record.end == End::Replica)?;
        record.bytes += stream;
        Some(record.finish(Outcome::Done, now))
    }

    /// This replica's link was cut before it was in step.
    pub fn made_failed(&mut self, why: &str, now: Millis) {
        for record in self.running().filter(|record| record.end == End::Replica) {
            record.finish(Outcome::Failed(why.to_string()), now);
        }
    }

    /// Newest first.
    pub fn newest(&self) -> impl Iterator<Item = &SyncRecord> {
        self.records.iter().rev()
    }

    /// How many full syncs were granted, by the word of the reason.
    pub fn full_by_reason(&self) -> impl Iterator<Item = (&'static str, u64)> {
        FULL_REASONS.into_iter().zip(self.full_by_reason)
    }

    /// CONFIG RESETSTAT: the counters, not the history.
    pub fn reset_counters(&mut self) {
        self.full_by_reason = Default::default();
    }

    /// The youngest are likely the ones that run.
    fn running(&mut self) -> impl Iterator<Item = &mut SyncRecord> {
        self.records.iter_mut().rev().filter(|record| record.outcome == Outcome::Running)
    }
}

impl SyncRecord {
    /// How long it took, or takes so far.
    pub fn duration(&self, now: Millis) -> Millis {
        match self.outcome {
            Outcome::Running => now.saturating_sub(self.began_at),
            _ => self.took,
        }
    }

    fn is_of(&self, replica: ReplicaKey) -> bool {
        matches!(self.progress, Progress::Granted { key, .. } if key == replica)
    }

    fn finish(&mut self, outcome: Outcome, now: Millis) -> Ended {
        self.outcome = outcome;
        self.took = now.saturating_sub(self.began_at);
        Ended { kind: self.kind, took: self.took }
    }
}

fn asked_text(id: &AskedId) -> String {
    match id {
        AskedId::Any => "?".to_string(),
        AskedId::Id(id) => id.to_string(),
        AskedId::Other(text) => text.clone(),
    }
}

/// How many bytes before the log's begin a replica would have needed.
fn bytes_missing(reason: &FullReason) -> Option<u64> {
    match reason {
        FullReason::Behind { asked, window } => {
            let has = u64::try_from(*asked).ok()?.checked_sub(1)?;
            Some(window.end.saturating_sub(has))
        }
        FullReason::NoLog { asked, end } => {
            let has = u64::try_from(*asked).ok()?.checked_sub(1)?;
            end.checked_sub(has)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Announced, Target};

    fn id(n: u8) -> ReplId {
        ReplId::from_random(&[n; 20])
    }

    fn beginning(offset: u64) -> Beginning {
        let window = Some(Window { first: 100, end: offset });
        Beginning { peer: "h:1".to_string(), id: id(1), second: ReplId::ZERO, window, offset }
    }

    fn request(asked: i64) -> PsyncRequest {
        PsyncRequest { id: AskedId::Id(id(1)), asked, failover: false }
    }

    fn behind(asked: i64, end: u64) -> Decision {
        Decision::Full(FullReason::Behind { asked, window: Window { first: 100, end } })
    }

    #[test]
    fn a_full_sync_from_its_reason_to_its_end() {
        let mut syncs = SyncHistory::default();
        syncs.granted(7, Some(&request(51)), Some(&behind(51, 500)), beginning(500), 1000);
        let mut session = Session::waiting(Announced::default(), "h".to_string(), false, 1000);
        assert_eq!(syncs.look_at(7, &session, 500, 1100), None);
        session.snapshot_started(Position { id: id(1), offset: 600 }, Target::Sockets, 1200);
        syncs.snapshot_began(7, 600);
        syncs.payload_sent(7, 300);
        syncs.payload_sent(8, 1);
        session.payload_sent(1300);
        assert_eq!(syncs.look_at(7, &session, 700, 1300), None);
        session.acked(600, None, 1400);
        assert_eq!(syncs.look_at(7, &session, 700, 1400), None, "the stream up to here is not acknowledged");
        session.sent(100);
        session.acked(700, None, 1500);
        assert_eq!(syncs.look_at(7, &session, 900, 1500), Some(Ended { kind: Kind::Full, took: 500 }));
        let record = syncs.newest().next().unwrap();
        assert_eq!((record.why.reason, record.bytes, record.why.bytes_missing), ("behind", 400, Some(450)));
        assert_eq!((record.outcome.clone(), record.duration(9999)), (Outcome::Done, 500));
        assert_eq!(record.asked, Some((id(1).to_string(), 51)));
        assert_eq!(syncs.full_by_reason().find(|(word, _)| *word == "behind"), Some(("behind", 1)));
        assert_eq!(syncs.look_at(7, &session, 900, 1600), None, "it ends once");
    }

    #[test]
    fn two_channels_are_one_sync() {
        let mut syncs = SyncHistory::default();
        let full = Decision::Full(FullReason::Requested);
        syncs.granted(7, Some(&request(-1)), Some(&full), beginning(500), 1000);
        assert!(syncs.fetched_over("h:1", 8) && !syncs.fetched_over("h:2", 9));
        syncs.snapshot_began(8, 500);
        syncs.payload_sent(8, 30);
        syncs.payload_sent(7, 1);
        let go = Decision::Continue { from: 500, bytes: 0 };
        syncs.granted(7, Some(&request(501)), Some(&go), beginning(500), 1100);
        let mut session = Session::continuing(Announced::default(), "h".to_string(), 500, 1100);
        session.sent(20);
        session.acked(520, None, 1200);
        assert_eq!(syncs.look_at(7, &session, 520, 1200), Some(Ended { kind: Kind::Full, took: 200 }));
        assert_eq!(syncs.newest().map(|record| record.bytes).collect::<Vec<_>>(), [50]);
        // Asked again before the first is done.
        syncs.granted(9, Some(&request(-1)), Some(&full), beginning(500), 2000);
        syncs.granted(10, Some(&request(-1)), Some(&full), beginning(500), 2100);
        assert_eq!(syncs.newest().map(|r| r.outcome.word()).collect::<Vec<_>>(), ["running", "failed", "done"]);
    }

    #[test]
    fn a_partial_sync_ends_with_its_backlog_acknowledged() {
        let mut syncs = SyncHistory::default();
        let go = Decision::Continue { from: 400, bytes: 100 };
        syncs.granted(7, Some(&request(401)), Some(&go), beginning(500), 0);
        let mut session = Session::continuing(Announced::default(), "h".to_string(), 400, 0);
        session.sent(100);
        session.acked(499, None, 10);
        assert_eq!(syncs.look_at(7, &session, 800, 10), None);
        session.acked(500, None, 20);
        assert_eq!(syncs.look_at(7, &session, 800, 20), Some(Ended { kind: Kind::Partial, took: 20 }));
        assert_eq!(syncs.newest().next().unwrap().bytes, 100);
    }

    #[test]
    fn a_lost_connection_is_a_failure_with_its_reason() {
        let mut syncs = SyncHistory::default();
        syncs.granted(7, None, None, beginning(500), 0);
        let other = Beginning { peer: "h:2".to_string(), ..beginning(500) };
        syncs.granted(8, Some(&request(1)), None, other, 0);
        syncs.replica_gone(7, "the connection was lost", 30);
        let newest: Vec<_> = syncs.newest().map(|r| (r.why.reason, r.outcome.word(), r.duration(50))).collect();
        assert_eq!(newest, [("unproven", "running", 50), ("old-sync", "failed", 30)]);
    }

    #[test]
    fn the_replicas_end() {
        let mut syncs = SyncHistory::default();
        let had = Some(Position { id: id(3), offset: 9 });
        syncs.made(Kind::Full, had, false, beginning(9), 100);
        syncs.payload_received(50);
        syncs.made_failed("cut", 200);
        syncs.made(Kind::Full, None, false, beginning(9), 300);
        syncs.payload_received(70);
        assert_eq!(syncs.made_done(5, 400), Some(Ended { kind: Kind::Full, took: 100 }));
        assert_eq!(syncs.made_done(5, 400), None);
        let newest: Vec<_> =
            syncs.newest().map(|r| (r.why.reason, r.bytes, r.outcome.clone(), r.asked.clone())).collect();
        assert_eq!(newest[0], ("requested", 75, Outcome::Done, Some(("?".to_string(), -1))));
        let failed = Outcome::Failed("cut".to_string());
        assert_eq!(newest[1], ("not-continued", 50, failed, Some((id(3).to_string(), 10))));
    }

    #[test]
    fn the_ring_is_bounded() {
        let mut syncs = SyncHistory::default();
        for _ in 0..SyncHistory::RECORDS_MAX + 5 {
            syncs.granted(7, None, None, beginning(500), 0);
        }
        assert_eq!(syncs.newest().count(), SyncHistory::RECORDS_MAX);
        assert_eq!(syncs.newest().next().unwrap().number, 133);
    }

    #[test]
    fn each_reason_has_a_counter() {
        let window = Window { first: 1, end: 2 };
        let reasons = [
            FullReason::Requested,
            FullReason::Stranger { asked: String::new(), id: id(1), second: id(2) },
            FullReason::PastFork { asked: 1, asked_max: 1 },
            FullReason::NoLog { asked: 1, end: 1 },
            FullReason::Behind { asked: 1, window },
            FullReason::Ahead { asked: 1, window },
        ];
        for reason in reasons {
            assert!(FULL_REASONS.contains(&reason.word()), "{reason:?}");
        }
    }
}
