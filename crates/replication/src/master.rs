//! All replicas of a node, and what is due for them: heartbeats, time-outs, snapshots, acknowledgements.
//!
//! It decides; the driver writes to sockets, makes snapshots, and owns the history and the log. A replica with
//! replicas of its own uses it too: then it writes no PING, because it forwards its master's.

use std::collections::{BTreeSet, HashSet};

use crate::Millis;
use crate::history::History;
use crate::log::ReplLog;
use crate::messages::{EndOffset, PsyncRequest, TwoChannels, continue_reply, two_channels_reply};
use crate::position::{Position, ReplId};
use crate::psync::{Decision, NodeFacts, Refusal, continue_report, decide};
use crate::report::Report;
pub use crate::session::ReplicaKey;
use crate::session::{Announced, Capa, Filter, Session, State, Target};
use crate::sessions::Sessions;

/// The replicas of this node, in the order in which they came. The driver names them by its own keys.
#[derive(Debug)]
pub struct Master {
    sessions: Sessions,
    config: MasterConfig,
    counters: SyncCounters,
    /// When the last PING was due.
    pinged_at: Millis,
    newline_at: Millis,
    no_replicas_since: Millis,
    /// There were replicas, or may have been before a restart: they may come back.
    had_replicas: bool,
    acks_wanted: bool,
    /// Who was told to try later, and who is below them: they will be back.
    turned_away: Vec<(Millis, Vec<ReplId>)>,
    promised: Vec<Promise>,
    decided: Option<Decision>,
    /// The stream was offered up to here.
    offered: Option<u64>,
}

/// Who needs the oldest bytes of the log, and from which offset on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slowest {
    pub from: u64,
    /// `None` if it is one that has its snapshot, and is still to ask for the stream that follows.
    pub replica: Option<ReplicaKey>,
}

/// A snapshot went over its own connection, which is gone, and the replica has yet to ask for the stream that follows: until
/// then it is kept (Valkey's way).
#[derive(Debug)]
struct Promise {
    snapshot: ReplicaKey,
    from: u64,
    until: Millis,
}

/// A connection that asks to be a replica.
#[derive(Debug)]
pub struct Applicant<'a> {
    pub key: ReplicaKey,
    /// What it said with REPLCONF so far.
    pub announced: Announced,
    /// Where it comes from.
    pub peer_ip: String,
    /// `None` for the old SYNC.
    pub request: Option<&'a PsyncRequest>,
}

/// What the configuration says; it may change at any time.
#[derive(Debug, Clone)]
pub struct MasterConfig {
    /// `repl-timeout`.
    pub timeout: Millis,
    /// `repl-ping-replica-period`.
    pub ping_period: Millis,
    /// `repl-backlog-ttl`; 0 keeps the log for ever.
    pub backlog_ttl: Millis,
    /// `repl-diskless-sync` and how long and for how many replicas its start waits (0: only the time counts).
    pub diskless: bool,
    pub diskless_delay: Millis,
    pub diskless_replicas_max: usize,
    /// `dual-channel-replication-enabled` and `repl-rdb-channel`: full syncs over two channels, where snapshots are not stored.
    pub dual_channel: bool,
    pub rdb_channel: bool,
    /// `min-replicas-to-write` and `min-replicas-max-lag`; 0 in either turns the check off.
    pub good_replicas_min: usize,
    pub good_lag_seconds_max: u64,
}

/// INFO's `sync_full`, `sync_partial_ok` and `sync_partial_err`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SyncCounters {
    pub full: u64,
    pub partial_ok: u64,
    pub partial_err: u64,
}

/// How a SYNC or PSYNC was answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Send the reply; the stream follows from the session's cursor.
    Continue { reply: Vec<u8> },
    /// It waits for a snapshot: see `place`.
    Full { log: LogNeed },
    /// A full sync whose snapshot is to be fetched over a second connection: send the reply.
    TwoChannels { reply: Vec<u8> },
    /// It is no replica: reply this error. The connection that it wants to fetch a snapshot for waits for none.
    NoMain { error: String },
    /// It is no replica: reply this error. The link of this node is down, and until it is up again there is nothing
    /// here that would be worth a full sync (rule 27).
    TryLater { error: String },
}

/// What a full sync needs of the log before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogNeed {
    Nothing,
    /// A replica's log: `ReplLog::create`, the id stays.
    Create,
    /// A master's log (rule 8): its past is in no log, so a new id with `History::adopt`, then `ReplLog::create`, and
    /// `backlog_created_report`.
    CreateWithNewId,
}

/// A snapshot that is being made for replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunningSnapshot {
    pub position: Position,
    pub target: Target,
    /// It can be had from its beginning: always when it is stored, and for a while when it is sent as it is made.
    pub from_start: bool,
    pub capa: Capa,
    pub filter: Filter,
    pub rdb_version: u32,
}

/// The replicas that one new snapshot serves, and what they have in common. Make the snapshot, force a SELECT in the
/// stream, and send each `Session::snapshot_started`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotGroup {
    pub replicas: Vec<ReplicaKey>,
    pub target: Target,
    pub capa: Capa,
    pub filter: Filter,
    pub rdb_version: u32,
}

/// What a tick needs to know of the node.
#[derive(Debug, Clone, Copy, Default)]
pub struct TickFacts {
    pub is_replica: bool,
    /// Writes are paused for a failover: no PING may move the offset.
    pub writes_paused: bool,
    /// A snapshot is being made, for whomever: no other may begin.
    pub snapshot_running: bool,
    pub log_active: bool,
    /// The log is also the append-only log, and must not end.
    pub log_is_kept: bool,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub enum MasterAction {
    /// Append `stream::PING` to the log.
    AppendPing,
    /// Send a bare newline to a replica that waits.
    SendNewline(ReplicaKey),
    /// Close the connection and `detach`.
    Disconnect(ReplicaKey, Report),
    /// A new id with `History::adopt`, and `ReplLog::free` (rule 9).
    FreeLog(Report),
    StartSnapshot(SnapshotGroup),
}

/// A connection that is closed.
#[derive(Debug, PartialEq, Eq)]
pub struct Detached {
    /// For the log.
    pub report: Report,
    /// The other connection of a full sync over two channels, which is of no use any more: close it.
    pub partner: Option<ReplicaKey>,
}

const NEWLINE_PERIOD: Millis = 1000;
/// A replica that has a snapshot must ask for the stream that follows within this time.
const PROMISE_PERIOD: Millis = 60_000;
/// Who was told to try later counts as below for so long: twice the time after which a replica tries again.
const TURNED_AWAY_FOR: Millis = 2000;

impl Master {
    pub fn new(config: MasterConfig, now: Millis) -> Master {
        Master {
            sessions: Sessions::default(),
            config,
            counters: SyncCounters::default(),
            pinged_at: now,
            newline_at: now,
            no_replicas_since: now,
            had_replicas: false,
            acks_wanted: false,
            turned_away: Vec::new(),
            promised: Vec::new(),
            decided: None,
            offered: None,
        }
    }

    /// A SYNC or PSYNC that was not refused (see `psync::refusal`): the connection is a replica from now on. The reports
    /// are for the log. Afterwards tell the log what to `hold`.
    pub fn answer(
        &mut self,
        applicant: Applicant<'_>,
        history: &History,
        log: &ReplLog,
        node: &NodeFacts,
        now: Millis,
    ) -> (Answer, Vec<Report>) {
        let Applicant { key, mut announced, peer_ip, request } = applicant;
        let name = announced.name(&peer_ip);
        let mut reports = vec![Report::notice(format!("Replica {name} asks for synchronization"))];
        let link_down = node.is_replica && !node.link_up;
        let mut fork = None;
        self.decided = None;
        if let Some(request) = request.filter(|_| !link_down || node.has_whole_data) {
            match self.decided.insert(decide(history, log.window(), log.end_offset(), request)).clone() {
                Decision::Continue { from, bytes } => {
                    self.counters.partial_ok += 1;
                    reports.push(continue_report(&name, from, bytes));
                    let is_rivulet = announced.run_id.is_some();
                    let reply = continue_reply(history, from + 1, announced.capa.psync2, is_rivulet);
                    let session = match announced.rdb_client.and_then(|snapshot| self.keep_promise(snapshot)) {
                        Some(snapshot) => Session::beside(announced, peer_ip, from, snapshot, now),
                        None => Session::continuing(announced, peer_ip, from, now),
                    };
                    self.sessions.push(key, session);
                    return (Answer::Continue { reply }, reports);
                }
                Decision::Full(reason) => {
                    fork = reason.fork();
                    self.counters.partial_err += u64::from(reason.counts_as_failed_partial() && !link_down);
                    reports.extend(reason.reports(&name));
                }
            }
        }
        if link_down {
            self.turned_away.push((now, announced.run_id.into_iter().chain(announced.below).collect()));
            return (Answer::TryLater { error: Refusal::NoMasterLink.reply() }, reports);
        }
        if request.is_some()
            && let Some(how) = self.two_channels(key, &announced)
        {
            let (capable, channel) = match how {
                TwoChannels::DualChannel => ("dual channel", "RDB channel"),
                TwoChannels::RdbChannel { .. } => ("rdb channel", "rdb channel"),
            };
            reports.push(Report::notice(format!(
                "Replica {name} is capable of {capable} synchronization, and partial sync isn't possible. Full sync will \
                 continue with dedicated {channel}."
            )));
            if let TwoChannels::RdbChannel { .. } = how {
                self.sessions.push(key, Session::waiting_for_channel(announced, peer_ip, now));
            }
            return (Answer::TwoChannels { reply: two_channels_reply(how) }, reports);
        }
        if let Some(main) = announced.main_client.filter(|_| announced.rdb_channel) {
            match self.get(main).map(|main| (main.state(), main.announced())) {
                Some((State::WaitChannel { .. }, said)) => announced.version = said.version,
                _ => {
                    let error = format!("ERR No replica waits for an RDB channel under the id {main}");
                    return (Answer::NoMain { error }, reports);
                }
            }
        }
        self.counters.full += 1;
        let mut session = Session::waiting(announced, peer_ip, request.is_none(), now);
        session.set_fork(fork);
        self.sessions.push(key, session);
        let log = match log.is_active() {
            true => LogNeed::Nothing,
            false if node.is_replica => LogNeed::Create,
            false => LogNeed::CreateWithNewId,
        };
        (Answer::Full { log }, reports)
    }

    /// Whether its full sync goes over two channels, and how that is spoken of.
    fn two_channels(&self, key: ReplicaKey, announced: &Announced) -> Option<TwoChannels> {
        let capa = announced.capa;
        if !self.config.diskless || !capa.eof || announced.rdb_only {
            None
        } else if self.config.rdb_channel && capa.rdb_channel {
            Some(TwoChannels::RdbChannel { main_client: key })
        } else if self.config.dual_channel && capa.dual_channel {
            Some(TwoChannels::DualChannel)
        } else {
            None
        }
    }

    /// A replica asked for the stream that follows the snapshot on this connection: says whether that is still being
    /// sent. `None` if there was no such promise.
    fn keep_promise(&mut self, snapshot: ReplicaKey) -> Option<Option<ReplicaKey>> {
        if let Some(at) = self.promised.iter().position(|promise| promise.snapshot == snapshot) {
            self.promised.remove(at);
            return Some(None);
        }
        let session = self.get(snapshot).filter(|session| session.promises_from().is_some())?;
        Some((session.state() != State::Sent).then_some(snapshot))
    }

    /// A snapshot for this replica has begun at this position, where the stream has this database selected. Returns what
    /// to send it first.
    pub fn snapshot_started(
        &mut self,
        key: ReplicaKey,
        position: Position,
        stream_db: Option<u32>,
        target: Target,
        now: Millis,
    ) -> Vec<u8> {
        let Some(session) = self.get_mut(key) else { return Vec::new() };
        let reply = session.snapshot_started(position, target, now);
        if !session.announced().rdb_channel {
            return reply;
        }
        match session.announced().main_client {
            None => EndOffset { position, stream_db, rdb_client: key }.line(),
            Some(main) => {
                if let Some(main) = self.get_mut(main) {
                    main.snapshot_began_beside(position.offset, key);
                }
                reply
            }
        }
    }

    /// The payload is sent, as `Session::payload_sent` says; the stream beside it, if there is one, is told.
    pub fn payload_sent(&mut self, key: ReplicaKey, now: Millis) -> Option<(bool, Report)> {
        let sent = self.get_mut(key)?.payload_sent(now);
        if let Some(main) = self.main_of(key).and_then(|main| self.get_mut(main)) {
            main.snapshot_sent_beside(now);
        }
        Some(sent)
    }

    /// The connection whose stream goes beside the snapshot on this one.
    fn main_of(&self, rdb: ReplicaKey) -> Option<ReplicaKey> {
        let announced = self.get(rdb)?.announced();
        if !announced.rdb_channel {
            return None;
        }
        let named = announced.main_client.filter(|main| self.get(*main).is_some());
        let beside =
            |session: &Session| matches!(session.state(), State::Beside { snapshot, .. } if snapshot == Some(rdb));
        named.or_else(|| self.sessions.iter().find(|(_, session)| beside(session)).map(|(key, _)| key))
    }

    /// The connection with the snapshot that belongs to the stream on this one, as long as that is not all sent.
    fn rdb_of(&self, main: ReplicaKey) -> Option<ReplicaKey> {
        match self.get(main)?.state() {
            State::Beside { snapshot, .. } => snapshot.filter(|rdb| self.get(*rdb).is_some()),
            State::WaitChannel { .. } => {
                let serves = |session: &Session| {
                    session.announced().rdb_channel && session.announced().main_client == Some(main)
                };
                self.sessions.iter().find(|(_, session)| serves(session)).map(|(key, _)| key)
            }
            _ => None,
        }
    }

    /// Puts a replica that waits into the snapshot that is being made, if it fits (rule 26); the reply to its PSYNC is
    /// returned then, and it is sent the payload as the others are. Otherwise the next snapshot serves it: call `tick`
    /// right away, which begins one if nothing stands against it.
    pub fn place(
        &mut self,
        key: ReplicaKey,
        running: Option<&RunningSnapshot>,
        history: &History,
        log: &ReplLog,
        now: Millis,
    ) -> (Option<Vec<u8>>, Option<Report>) {
        let delays = self.config.diskless && self.config.diskless_delay > 0;
        let Some(session) = self.get_mut(key) else { return (None, None) };
        let report = match running {
            None if delays && session.announced().capa.eof => "Delay next BGSAVE for diskless SYNC",
            None => return (None, None),
            Some(RunningSnapshot { target: Target::Sockets, from_start: false, .. }) => {
                "Current BGSAVE has socket target. Waiting for next BGSAVE for SYNC"
            }
            Some(running) => {
                let held = log.window().is_some_and(|window| window.first <= running.position.offset);
                let same_past = running.position.id == history.id();
                if held && same_past && session.can_share(running.capa, running.filter, running.rdb_version) {
                    let reply = session.snapshot_started(running.position, running.target, now);
                    let text = match running.target {
                        Target::Stored => "Waiting for end of BGSAVE for SYNC",
                        Target::Sockets => "Joining the BGSAVE for SYNC that has just begun",
                    };
                    return (Some(reply), Some(Report::notice(text)));
                }
                "Can't attach the replica to the current BGSAVE. Waiting for next BGSAVE for SYNC"
            }
        };
        (None, Some(Report::notice(report)))
    }

    /// The connection of a replica is closed. Tell the log what to `hold`.
    pub fn detach(&mut self, key: ReplicaKey, now: Millis) -> Option<Detached> {
        let partner = self.rdb_of(key).or_else(|| self.main_of(key));
        let session = self.sessions.remove(key)?;
        self.had_replicas = true;
        if self.sessions.is_empty() {
            self.no_replicas_since = now;
        }
        let name = session.name();
        if session.state() != State::Sent {
            return Some(Detached {
                report: Report::warning(format!("Connection with replica {name} lost.")),
                partner,
            });
        }
        let asked = self.sessions.iter().any(|(_, other)| other.announced().rdb_client == Some(key));
        if let Some(from) = session.promises_from().filter(|_| !asked) {
            self.promised.push(Promise { snapshot: key, from, until: now + PROMISE_PERIOD });
        }
        Some(Detached {
            report: Report::notice(format!("The RDB channel of replica {name} is closed.")),
            partner: None,
        })
    }

    /// The replicas are dropped because the history or the data changes: what was promised is not kept.
    pub fn forget_promises(&mut self) {
        self.promised.clear();
    }

    /// This node became a master or was started again: replicas may come, and the life of a log without them counts from
    /// here (rule 5).
    pub fn replicas_may_come(&mut self, now: Millis) {
        self.had_replicas = true;
        self.no_replicas_since = now;
    }

    /// Whether there are replicas, or some may come back: their backlog is worth keeping.
    pub fn expects_replicas(&self, now: Millis) -> bool {
        let ttl = self.config.backlog_ttl;
        let recent = ttl == 0 || now.saturating_sub(self.no_replicas_since) <= ttl;
        !self.sessions.is_empty() || self.had_replicas && recent
    }

    /// Time passed; what is due goes to `out`. To be called about every 100 ms.
    pub fn tick(&mut self, now: Millis, facts: TickFacts, out: &mut Vec<MasterAction>) {
        if !self.sessions.is_empty()
            && now >= self.pinged_at + self.config.ping_period
            && !facts.is_replica
            && !facts.writes_paused
        {
            self.pinged_at = now;
            out.push(MasterAction::AppendPing);
        }
        if now >= self.newline_at {
            self.newline_at = now + NEWLINE_PERIOD;
            let waiting = self.sessions.iter().filter(|(_, session)| session.wants_newline());
            out.extend(waiting.map(|(key, _)| MasterAction::SendNewline(key)));
        }
        for (key, session) in self.sessions.iter() {
            if let Some(report) = session.timed_out(self.config.timeout, now) {
                out.push(MasterAction::Disconnect(key, report));
            } else if let State::WaitChannel { since } = session.state()
                && now.saturating_sub(since) > self.config.timeout
                && self.rdb_of(key).is_none()
            {
                let text = format!("Replica {} opened no RDB channel in time: disconnecting it", session.name());
                out.push(MasterAction::Disconnect(key, Report::warning(text)));
            }
        }
        self.promised.retain(|promise| now < promise.until);
        let ttl = self.config.backlog_ttl;
        let unused = self.sessions.is_empty() && now.saturating_sub(self.no_replicas_since) > ttl;
        if unused && ttl != 0 && facts.log_active && !facts.is_replica && !facts.log_is_kept {
            let seconds = ttl / 1000;
            let text = format!("Replication backlog freed after {seconds} seconds without connected replicas.");
            out.push(MasterAction::FreeLog(Report::notice(text)));
        }
        if !facts.snapshot_running
            && let Some(group) = self.due_group(now)
        {
            out.push(MasterAction::StartSnapshot(group));
        }
    }

    /// The replicas that a snapshot should be begun for now, if any: those that wait and want the same as the first.
    /// One that is sent as it is made is delayed, so that more replicas can come.
    pub fn due_group(&self, now: Millis) -> Option<SnapshotGroup> {
        let waiting = || {
            self.sessions.iter().filter_map(|(key, session)| match session.state() {
                State::WaitSnapshotStart { since } => Some((key, since, session.announced())),
                _ => None,
            })
        };
        let filter = waiting().next()?.2.filter;
        // A snapshot on a connection of its own can't be a stored one: it leaves those behind who need that.
        let alone = waiting().any(|(_, _, announced)| announced.filter == filter && announced.rdb_channel);
        let group =
            || waiting().filter(|(_, _, announced)| announced.filter == filter && (!alone || announced.capa.eof));
        let all = |has: fn(Capa) -> bool| group().all(|(_, _, announced)| has(announced.capa));
        let capa = Capa { eof: all(|capa| capa.eof), psync2: all(|capa| capa.psync2), ..Capa::default() };
        let to_sockets = (self.config.diskless || filter.is_set() || alone) && capa.eof;
        let target = if to_sockets { Target::Sockets } else { Target::Stored };
        let oldest = group().map(|(_, since, _)| now.saturating_sub(since)).max()?;
        let enough = self.config.diskless_replicas_max;
        let crowd = enough > 0 && group().count() >= enough;
        // A replica that can't have a snapshot as it is made does not wait, and takes the others along.
        if self.config.diskless && capa.eof && !crowd && oldest < self.config.diskless_delay {
            return None;
        }
        let rdb_version = group().map(|(_, _, announced)| announced.rdb_version()).min()?;
        let replicas = group().map(|(key, _, _)| key).collect();
        Some(SnapshotGroup { replicas, target, capa, filter, rdb_version })
    }

    /// A client waits for acknowledgements: a GETACK is due.
    pub fn want_acks(&mut self) {
        self.acks_wanted = true;
    }

    /// To be asked once per loop, while writes are not paused: whether to append `stream::GETACK` (rule 33).
    pub fn take_getack(&mut self) -> bool {
        std::mem::take(&mut self.acks_wanted) && !self.sessions.is_empty()
    }

    /// The offset up to which `replicas` of those that count have the stream, applied or (`fsynced`) durable; `None` if fewer count.
    pub fn quorum(&self, replicas: usize, fsynced: bool, counts: impl Fn(&Session) -> bool) -> Option<u64> {
        let of = |session: &Session| if fsynced { session.fsynced_offset() } else { Some(session.ack_offset()) };
        let counting = self.sessions.iter().map(|(_, session)| session).filter(|s| s.is_online() && counts(s));
        let mut offsets: Vec<(u64, Option<ReplId>)> =
            counting.filter_map(|s| Some((of(s)?, s.announced().node()))).collect();
        offsets.sort_unstable_by_key(|&(offset, _)| std::cmp::Reverse(offset));
        // One that has come again while its old connection is not yet known to be gone is one.
        let mut seen = HashSet::new();
        let mut distinct = offsets.into_iter().filter(|(_, node)| node.is_none_or(|node| seen.insert(node)));
        replicas.checked_sub(1).and_then(|last| distinct.nth(last)).map(|(offset, _)| offset)
    }

    /// WAIT and WAITAOF: what each replica that is online has acknowledged, and what it has on disk, the highest offset first.
    pub fn acked_offsets(&self) -> (Vec<u64>, Vec<u64>) {
        let online = || self.sessions.iter().map(|(_, session)| session).filter(|session| session.is_online());
        let mut acked: Vec<u64> = online().map(Session::ack_offset).collect();
        let mut fsynced: Vec<u64> = online().filter_map(Session::fsynced_offset).collect();
        acked.sort_unstable_by(|a, b| b.cmp(a));
        fsynced.sort_unstable_by(|a, b| b.cmp(a));
        (acked, fsynced)
    }

    /// The replicas that are to be offered the stream up to `send_before`: all that have not been sent so far, if it was not offered before. A turn
    /// that adds nothing to the stream looks at nobody.
    pub fn offer(&mut self, send_before: u64) -> impl Iterator<Item = ReplicaKey> {
        let is_new = self.offered.replace(send_before) != Some(send_before);
        let takes = move |(_, session): &(ReplicaKey, &Session)| session.takes(send_before);
        self.sessions.iter().take(if is_new { usize::MAX } else { 0 }).filter(takes).map(|(key, _)| key)
    }

    /// The next time the stream is offered to all, whether or not it has grown.
    pub fn offer_again(&mut self) {
        self.offered = None;
    }

    /// INFO's `min_slaves_good_slaves`; `None` when the check is off.
    pub fn good_replicas(&self, now: Millis) -> Option<usize> {
        self.first_good_replicas(usize::MAX, now)
    }

    /// Whether enough good replicas are there for a write on a master; otherwise it is refused with NOREPLICAS.
    pub fn may_write(&self, now: Millis) -> bool {
        let wanted = self.config.good_replicas_min;
        self.first_good_replicas(wanted, now).is_none_or(|good| good >= wanted)
    }

    /// The same, counted up to a number.
    fn first_good_replicas(&self, most: usize, now: Millis) -> Option<usize> {
        let (min, lag_max) = (self.config.good_replicas_min, self.config.good_lag_seconds_max);
        let good = || self.sessions.iter().filter(|(_, session)| session.is_good(lag_max, now));
        (min > 0 && lag_max > 0).then(|| good().take(most).count())
    }

    /// What `ReplLog::hold` must be told.
    pub fn log_hold(&self) -> Option<u64> {
        self.slowest().map(|slowest| slowest.from)
    }

    /// Who needs the oldest bytes of the log.
    pub fn slowest(&self) -> Option<Slowest> {
        let asked = self.asked_for();
        let sessions = self.sessions.iter().filter_map(|(key, session)| {
            let from = match session.promises_from() {
                Some(from) => (!asked.contains(&key)).then_some(from),
                None => session.needs_from(),
            }?;
            Some(Slowest { from, replica: Some(key) })
        });
        let promised = self.promised.iter().map(|promise| Slowest { from: promise.from, replica: None });
        sessions.chain(promised).min_by_key(|slowest| slowest.from)
    }

    /// The connections of snapshots whose replicas have asked for the stream that follows.
    fn asked_for(&self) -> BTreeSet<ReplicaKey> {
        self.sessions.iter().filter_map(|(_, session)| session.announced().rdb_client).collect()
    }

    /// What was promised from this offset on, or from before it, is not kept.
    pub fn forget_promises_to(&mut self, offset: u64) {
        self.promised.retain(|promise| promise.from > offset);
    }

    /// Those who were turned away and did not come back are forgotten; answers whether there were any, so that `below` has changed.
    pub fn forget_turned_away(&mut self, now: Millis) -> bool {
        let before = self.turned_away.len();
        self.turned_away.retain(|(at, _)| now < at + TURNED_AWAY_FOR);
        self.turned_away.len() != before
    }

    /// The run ids of all nodes below this one or about to be, for `ReplicaLink::set_below`, in order.
    pub fn below(&mut self, now: Millis) -> Vec<ReplId> {
        self.forget_turned_away(now);
        let turned_away = self.turned_away.iter().flat_map(|(_, ids)| ids);
        let sessions = self.sessions.iter().map(|(_, session)| session.announced());
        let mut ids: Vec<ReplId> =
            sessions.flat_map(|said| said.run_id.iter().chain(&said.below)).chain(turned_away).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// SHUTDOWN (rule 39): the replicas that have not acknowledged everything, with how far they lag.
    pub fn lagging(&self, end: u64, now: Millis) -> Vec<Report> {
        let sessions = self.sessions.iter().map(|(_, session)| session);
        let lagging = sessions.filter(|session| !session.announced().rdb_channel && session.ack_offset() != end);
        let line = |session: &Session| {
            Report::warning(format!(
                "Lagging replica {} reported offset {} behind master, lag={}, state={}.",
                session.name(),
                end.saturating_sub(session.ack_offset()),
                session.lag_seconds(now),
                session.state_name()
            ))
        };
        lagging.map(line).collect()
    }

    pub fn get(&self, key: ReplicaKey) -> Option<&Session> {
        self.sessions.get(key)
    }

    pub fn get_mut(&mut self, key: ReplicaKey) -> Option<&mut Session> {
        self.sessions.get_mut(key)
    }

    /// All replicas, in the order in which they came.
    pub fn sessions(&self) -> impl Iterator<Item = (ReplicaKey, &Session)> {
        self.sessions.iter()
    }

    pub fn sessions_mut(&mut self) -> impl Iterator<Item = (ReplicaKey, &mut Session)> {
        self.sessions.iter_mut()
    }

    /// `connected_slaves`.
    pub fn len(&self) -> usize {
        self.count(|session| !session.is_shown_by_other())
    }

    /// Replicas that have or are being sent a snapshot and did not ask for the stream that follows yet: Valkey's
    /// `replicas_waiting_psync`.
    pub fn waiting_psync(&self) -> usize {
        let asked = self.asked_for();
        let waits = |(key, session): &(ReplicaKey, &Session)| session.promises_from().is_some() && !asked.contains(key);
        self.promised.len() + self.sessions.iter().filter(waits).count()
    }

    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// What was decided on the last PSYNC that was answered; `None` where there was nothing to decide.
    pub fn decided(&self) -> Option<&Decision> {
        self.decided.as_ref()
    }

    pub fn counters(&self) -> SyncCounters {
        self.counters
    }

    /// CONFIG RESETSTAT.
    pub fn reset_counters(&mut self) {
        self.counters = SyncCounters::default();
    }

    pub fn config(&self) -> &MasterConfig {
        &self.config
    }

    /// CONFIG SET.
    pub fn set_config(&mut self, config: MasterConfig) {
        self.config = config;
    }

    fn count(&self, wanted: impl Fn(&Session) -> bool) -> usize {
        self.sessions.iter().filter(|(_, session)| wanted(session)).count()
    }
}

/// The line for the log when a master begins a log and a history.
pub fn backlog_created_report(history: &History) -> Report {
    let (id, second) = (history.id(), history.second_id());
    Report::notice(format!("Replication backlog created, my new replication IDs are '{id}' and '{second}'"))
}

/// The line for the log when a replica was promoted.
pub fn promoted_report(history: &History) -> Report {
    Report::warning(format!(
        "Setting secondary replication ID to {}, valid up to offset: {}. New replication ID is {}",
        history.second_id(),
        history.second_offset(),
        history.id()
    ))
}

#[cfg(test)]
mod tests;
