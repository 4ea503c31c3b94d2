//! The decision on PSYNC: does a replica get what it misses, or everything?
//!
//! One pure function, [`decide`]; the reason for a full sync is data, from which come the log line, the counter and
//! what a doctor tells the user. Before it stands [`refusal`]: whether this node can serve anybody at all.

use crate::history::{History, Kinship};
use crate::log::Window;
use crate::messages::{AskedId, LOOP_CODE, PsyncRequest};
use crate::position::ReplId;
use crate::report::Report;

/// What a replica gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The stream from offset `from` on; `bytes` of it are there already.
    Continue {
        from: u64,
        bytes: u64,
    },
    Full(FullReason),
}

/// Why a replica can't go on from where it is. Both sides' numbers are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FullReason {
    /// It wanted a full sync.
    Requested,
    /// Its history is not ours.
    Stranger { asked: String, id: ReplId, second: ReplId },
    /// It went on with our former history after the point where we left it.
    PastFork { asked: i64, asked_max: u64 },
    /// We keep no log.
    NoLog { asked: i64, end: u64 },
    /// What it misses has left the log.
    Behind { asked: i64, window: Window },
    /// It has more of our history than we do.
    Ahead { asked: i64, window: Window },
}

/// Decides on a PSYNC from what this node's data is (`history`), the bytes that it can serve (`window`, `None` without
/// an active log) and its own offset. A driver that also serves bytes from files passes the wider window.
pub fn decide(history: &History, window: Option<Window>, end: u64, request: &PsyncRequest) -> Decision {
    let asked = request.asked;
    let id = match &request.id {
        AskedId::Any => return Decision::Full(FullReason::Requested),
        AskedId::Other(text) => return Decision::Full(stranger(history, text.clone())),
        AskedId::Id(id) => *id,
    };
    match history.kinship(id, asked) {
        Kinship::Shared => {}
        Kinship::PastFork { asked_max } => return Decision::Full(FullReason::PastFork { asked, asked_max }),
        Kinship::Stranger => return Decision::Full(stranger(history, id.to_string())),
    }
    let Some(window) = window else { return Decision::Full(FullReason::NoLog { asked, end }) };
    // The byte number asked for is one more than the bytes that the replica has.
    match u64::try_from(asked).ok().and_then(|asked| asked.checked_sub(1)) {
        Some(from) if from > window.end => Decision::Full(FullReason::Ahead { asked, window }),
        Some(from) if from >= window.first => Decision::Continue { from, bytes: window.end - from },
        _ => Decision::Full(FullReason::Behind { asked, window }),
    }
}

fn stranger(history: &History, asked: String) -> FullReason {
    FullReason::Stranger { asked, id: history.id(), second: history.second_id() }
}

impl FullReason {
    /// The offset up to which the replica's data are part of our history, though it has more; `None` where that is not known.
    pub fn fork(&self) -> Option<u64> {
        match self {
            FullReason::PastFork { asked_max, .. } => Some(asked_max.saturating_sub(1)),
            FullReason::Ahead { window, .. } => Some(window.end),
            _ => None,
        }
    }

    /// Counts in `sync_partial_err`: a replica that asked for a full sync did not fail to get a partial one.
    pub fn counts_as_failed_partial(&self) -> bool {
        *self != FullReason::Requested
    }

    /// A word that stays: counters and the history of syncs use it.
    pub fn word(&self) -> &'static str {
        match self {
            FullReason::Requested => "requested",
            FullReason::Stranger { .. } => "stranger",
            FullReason::PastFork { .. } => "past-fork",
            FullReason::NoLog { .. } => "no-log",
            FullReason::Behind { .. } => "behind",
            FullReason::Ahead { .. } => "ahead",
        }
    }

    /// What the log says of it, in one line.
    pub fn sentence(&self, replica: &str) -> String {
        let lines: Vec<String> = self.reports(replica).into_iter().map(|report| report.text).collect();
        lines.join(" ")
    }

    /// The lines for the log, with both sides' numbers.
    pub fn reports(&self, replica: &str) -> Vec<Report> {
        let lack = |asked: i64, ours: &str| {
            Report::notice(format!(
                "Unable to partial resync with replica {replica} for lack of backlog (Replica request was: {asked}). {ours}"
            ))
        };
        let numbers = |window: &Window| format!("My backlog can serve {} to {}.", window.first + 1, window.end + 1);
        match self {
            FullReason::Requested => vec![Report::notice(format!("Full resync requested by replica {replica}"))],
            FullReason::Stranger { asked, id, second } => vec![Report::notice(format!(
                "Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '{asked}', my \
                 replication IDs are '{id}' and '{second}')"
            ))],
            FullReason::PastFork { asked, asked_max } => vec![Report::notice(format!(
                "Partial resynchronization not accepted: Requested offset for second ID was {asked}, but I can reply \
                 up to {asked_max}"
            ))],
            FullReason::NoLog { asked, end } => {
                let mut lines = vec![lack(*asked, "I have no backlog.")];
                lines.extend((*asked > *end as i64 + 1).then(|| ahead(replica)));
                lines
            }
            FullReason::Behind { asked, window } => vec![lack(*asked, &numbers(window))],
            FullReason::Ahead { asked, window } => vec![lack(*asked, &numbers(window)), ahead(replica)],
        }
    }
}

fn ahead(replica: &str) -> Report {
    Report::warning(format!(
        "Warning: replica {replica} tried to PSYNC with an offset that is greater than the master replication offset."
    ))
}

/// The line for the log when a partial resync is granted.
pub fn continue_report(replica: &str, from: u64, bytes: u64) -> Report {
    Report::notice(format!(
        "Partial resynchronization request from {replica} accepted. Sending {bytes} bytes of backlog starting from \
         offset {}.",
        from + 1
    ))
}

/// What this node is, as far as it matters for whom it can serve: see [`refusal`] and `Master::answer`.
#[derive(Debug, Clone, Copy, Default)]
pub struct NodeFacts {
    pub is_replica: bool,
    /// A replica: its own link is up. While it is down, nobody gets a full sync from here that may turn out a partial one
    /// when it is up again.
    pub link_up: bool,
    /// A replica: its data is whole, from an earlier sync or from disk, though the link may be down.
    pub has_whole_data: bool,
    /// A FAILOVER is going on here.
    pub failing_over: bool,
}

/// What is asked of it, besides the position.
#[derive(Debug, Clone, Copy, Default)]
pub struct SyncFacts<'a> {
    /// The arguments of PSYNC; `None` for the old SYNC.
    pub request: Option<&'a PsyncRequest>,
    pub capa_eof: bool,
    /// It wants a filtered snapshot.
    pub filtered: bool,
    /// Replies to earlier commands still wait in its buffer.
    pub pending_output: bool,
    /// The run id that it named, if any.
    pub run_id: Option<ReplId>,
}

/// Why a node serves nobody, or not this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    FailingOver,
    NoMasterLink,
    PendingOutput,
    FilterNeedsEof,
    FailoverToMaster,
    FailoverOtherId,
    Loop,
}

impl Refusal {
    /// The error to reply, without its leading `-` and its end.
    pub fn reply(self) -> String {
        match self {
            Refusal::FailingOver => "NOMASTERLINK Can't SYNC while failing over",
            Refusal::NoMasterLink => "NOMASTERLINK Can't SYNC while not connected with my master",
            Refusal::PendingOutput => "ERR SYNC and PSYNC are invalid with pending output",
            Refusal::FilterNeedsEof => "ERR Filtered replica requires EOF capability",
            Refusal::FailoverToMaster => "ERR PSYNC FAILOVER can't be sent to a master.",
            Refusal::FailoverOtherId => "ERR PSYNC FAILOVER replid must match my replid.",
            Refusal::Loop => return format!("{LOOP_CODE} A node can't be a replica of its own replica"),
        }
        .to_string()
    }
}

/// Whether SYNC or PSYNC is refused before anything is decided. `Ok(true)` asks this replica to become a master first
/// (`PSYNC … FAILOVER`) and then to go on to `Master::answer`. `own_master` is the run id of the node that this
/// one replicates from, and `own` its own: neither may become its replica (rule 28).
pub fn refusal(
    node: &NodeFacts,
    history: &History,
    own: ReplId,
    own_master: Option<ReplId>,
    sync: &SyncFacts<'_>,
) -> Result<bool, Refusal> {
    let mut promote = false;
    if let Some(request) = sync.request.filter(|request| request.failover) {
        if !node.is_replica {
            return Err(Refusal::FailoverToMaster);
        }
        if request.id != AskedId::Id(history.id()) {
            return Err(Refusal::FailoverOtherId);
        }
        promote = true;
    }
    let refused = if node.failing_over && !promote {
        Refusal::FailingOver
    } else if !promote && sync.run_id.is_some() && (sync.run_id == Some(own) || sync.run_id == own_master) {
        Refusal::Loop
    } else if sync.pending_output {
        Refusal::PendingOutput
    } else if sync.filtered && !sync.capa_eof {
        Refusal::FilterNeedsEof
    } else {
        return Ok(promote);
    };
    Err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> ReplId {
        ReplId::from_random(&[n; 20])
    }

    fn ask(id: ReplId, asked: i64) -> PsyncRequest {
        PsyncRequest { id: AskedId::Id(id), asked, failover: false }
    }

    /// A node that was promoted at offset 120 and holds the bytes after offset 100, up to 150.
    fn promoted() -> (History, Window) {
        (History::recovered(id(1), 120, id(2)), Window { first: 100, end: 150 })
    }

    #[test]
    fn every_boundary() {
        let (history, window) = promoted();
        let go = |from: u64| Decision::Continue { from, bytes: 150 - from };
        let behind = |asked| Decision::Full(FullReason::Behind { asked, window });
        let past = |asked| Decision::Full(FullReason::PastFork { asked, asked_max: 121 });
        let table = [
            (id(2), i64::MIN, behind(i64::MIN)),
            (id(2), -1, behind(-1)),
            (id(2), 0, behind(0)),
            (id(2), 1, behind(1)),
            (id(2), 100, behind(100)),
            (id(2), 101, go(100)),
            (id(2), 102, go(101)),
            (id(2), 150, go(149)),
            (id(2), 151, go(150)),
            (id(2), 152, Decision::Full(FullReason::Ahead { asked: 152, window })),
            (id(2), i64::MAX, Decision::Full(FullReason::Ahead { asked: i64::MAX, window })),
            (id(1), 100, behind(100)),
            (id(1), 101, go(100)),
            (id(1), 120, go(119)),
            (id(1), 121, go(120)),
            (id(1), 122, past(122)),
            (id(1), 151, past(151)),
            (id(3), 121, Decision::Full(stranger(&history, id(3).to_string()))),
            (ReplId::ZERO, 121, Decision::Full(stranger(&history, ReplId::ZERO.to_string()))),
        ];
        for (asked_id, asked, expected) in table {
            assert_eq!(decide(&history, Some(window), 150, &ask(asked_id, asked)), expected, "{asked_id} {asked}");
        }
    }

    #[test]
    fn an_empty_log_serves_only_its_end() {
        let history = History::new(id(1));
        let window = Window { first: 0, end: 0 };
        assert_eq!(decide(&history, Some(window), 0, &ask(id(1), 1)), Decision::Continue { from: 0, bytes: 0 });
        assert_eq!(
            decide(&history, Some(window), 0, &ask(id(1), 0)),
            Decision::Full(FullReason::Behind { asked: 0, window })
        );
        assert_eq!(
            decide(&history, Some(window), 0, &ask(id(1), 2)),
            Decision::Full(FullReason::Ahead { asked: 2, window })
        );
        assert_eq!(decide(&history, None, 7, &ask(id(1), 8)), Decision::Full(FullReason::NoLog { asked: 8, end: 7 }));
    }

    #[test]
    fn reasons_speak_as_redis_does() {
        let (history, window) = promoted();
        let report = |request: PsyncRequest| match decide(&history, Some(window), 150, &request) {
            Decision::Full(reason) => {
                let lines = reason.reports("10.0.0.1:7000");
                (lines.iter().map(Report::to_string).collect::<Vec<_>>().join("\n"), reason.counts_as_failed_partial())
            }
            Decision::Continue { from, bytes } => (continue_report("r:1", from, bytes).text, false),
        };
        assert_eq!(
            report(PsyncRequest { id: AskedId::Any, asked: -1, failover: false }),
            ("Full resync requested by replica 10.0.0.1:7000".to_string(), false)
        );
        assert_eq!(
            report(ask(id(3), 5)),
            (
                format!(
                    "Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '{}', my \
                     replication IDs are '{}' and '{}')",
                    id(3),
                    id(2),
                    id(1)
                ),
                true
            )
        );
        assert_eq!(
            report(ask(id(1), 130)).0,
            "Partial resynchronization not accepted: Requested offset for second ID was 130, but I can reply up to 121"
        );
        assert_eq!(
            report(ask(id(2), 100)).0,
            "Unable to partial resync with replica 10.0.0.1:7000 for lack of backlog (Replica request was: 100). \
             My backlog can serve 101 to 151."
        );
        assert!(report(ask(id(2), 152)).0.contains("greater than the master replication offset"));
        assert_eq!(
            report(ask(id(2), 141)).0,
            "Partial resynchronization request from r:1 accepted. Sending 10 bytes of backlog starting from offset 141."
        );
    }

    #[test]
    fn who_is_served_at_all() {
        let history = History::new(id(1));
        let request = ask(id(1), 1);
        let handover = PsyncRequest { failover: true, ..request.clone() };
        let stranger = PsyncRequest { id: AskedId::Id(id(9)), ..handover.clone() };
        let plain = SyncFacts { request: Some(&request), ..SyncFacts::default() };
        let master = NodeFacts::default();
        let down = NodeFacts { is_replica: true, ..master };
        let check = |node: &NodeFacts, sync: &SyncFacts<'_>| refusal(node, &history, id(7), Some(id(8)), sync);
        assert_eq!(check(&master, &plain), Ok(false));
        assert_eq!(check(&NodeFacts { failing_over: true, ..master }, &plain), Err(Refusal::FailingOver));
        for (run_id, expected) in [(id(7), Err(Refusal::Loop)), (id(8), Err(Refusal::Loop)), (id(6), Ok(false))] {
            assert_eq!(check(&master, &SyncFacts { run_id: Some(run_id), ..plain }), expected);
        }
        assert_eq!(check(&master, &SyncFacts { filtered: true, ..plain }), Err(Refusal::FilterNeedsEof));
        assert_eq!(check(&master, &SyncFacts { pending_output: true, ..plain }), Err(Refusal::PendingOutput));
        let failover = SyncFacts { request: Some(&handover), run_id: Some(id(8)), ..plain };
        assert_eq!(check(&master, &failover), Err(Refusal::FailoverToMaster));
        assert_eq!(check(&down, &failover), Ok(true));
        assert_eq!(check(&down, &SyncFacts { request: Some(&stranger), ..plain }), Err(Refusal::FailoverOtherId));
    }
}
