//! The master's view of one replica: what it said of itself, how far it has been sent and has acknowledged.
//!
//! A session is a cursor into the log plus the steps that lead to it. Making the snapshot and writing to the socket
//! are the driver's.

use crate::log::{ReadError, ReplLog, Slices};
use crate::messages::{Replconf, Version, full_resync_reply, replconf_options};
use crate::position::{Position, ReplId};
use crate::promises::TermId;
use crate::report::Report;
use crate::{Millis, whole_seconds};

/// The driver's name for the connection of a replica. On a full sync over two channels it is told to the other end.
pub type ReplicaKey = u64;

/// What a connection said with REPLCONF. It may say so before it is a replica, or never become one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Announced {
    pub port: u16,
    pub ip: Option<String>,
    pub capa: Capa,
    pub version: Option<Version>,
    pub filter: Filter,
    /// It wants a snapshot and no stream.
    pub rdb_only: bool,
    /// This is the second connection of a full sync over two channels.
    pub rdb_channel: bool,
    /// The first one, as Redis 8 names it on the second.
    pub main_client: Option<ReplicaKey>,
    /// The second one, as Valkey names it on the first.
    pub rdb_client: Option<ReplicaKey>,
    pub run_id: Option<ReplId>,
    /// The run ids of the nodes below it.
    pub below: Vec<ReplId>,
    /// Who it is, whatever its address and however often it was started.
    pub node_id: Option<ReplId>,
    /// The term that it was told then, and whether it was told that this is not proven.
    pub told: Option<(Option<TermId>, bool)>,
}

/// What a node tells of itself to those who tell theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnName {
    pub run_id: ReplId,
    pub node_id: ReplId,
    /// The term in which it is a master, 0 if no leader made it one: with its epoch a replica's fence is compared. None of a replica, or of a master that was replaced.
    pub term: Option<TermId>,
    /// The offset at which that began.
    pub began: u64,
    /// Where its stream ends.
    pub end: u64,
    /// Since its start not enough members have come to tell whether it still has all that it acknowledged in that term.
    pub is_unproven: bool,
}

/// How [`OwnName::is_unproven`] is told.
pub const UNPROVEN: &str = " unproven";

/// What a replica understands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capa {
    /// A snapshot whose end is marked.
    pub eof: bool,
    /// `+CONTINUE` with a new id.
    pub psync2: bool,
    /// A full sync over two channels, as Valkey does it.
    pub dual_channel: bool,
    /// The same as Redis 8 does it.
    pub rdb_channel: bool,
    /// It can go on to acknowledge by itself.
    pub acks: bool,
    /// What it has proves nothing: it may have acknowledged more.
    pub uncertain: bool,
}

impl Capa {
    /// What a snapshot needs is understood; over how many connections it goes is no matter.
    fn includes(self, other: Capa) -> bool {
        self.eof >= other.eof && self.psync2 >= other.psync2
    }
}

/// What the snapshot shall leave out (`rdb-filter-only`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    pub exclude_data: bool,
    pub exclude_functions: bool,
}

impl Filter {
    pub fn is_set(self) -> bool {
        self != Filter::default()
    }
}

/// What a REPLCONF leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplconfOutcome {
    /// Reply this status.
    Reply(String),
    /// Reply this error.
    Error(String),
    /// Tell the session, if there is one; no reply.
    Ack { offset: u64, fsynced: Option<u64> },
    /// The nodes below have changed; no reply.
    Below,
    /// A probe has come up: tell `ReplicaLink::probe_came`; no reply.
    Probe(ReplId),
    /// On a replica, from its master: call `ReplicaLink::getack`; no reply.
    GetAck { always: bool },
    /// No reply.
    Silent,
}

impl Announced {
    /// A REPLCONF with these arguments. `own` is told only to those who tell theirs.
    pub fn replconf(&mut self, args: &[&[u8]], own: &OwnName) -> ReplconfOutcome {
        let mut reply = "OK".to_string();
        for option in replconf_options(args) {
            match option {
                Err(error) => return ReplconfOutcome::Error(error),
                Ok(Replconf::Ack { offset, fsynced }) => return ReplconfOutcome::Ack { offset, fsynced },
                Ok(Replconf::BadAck) => return ReplconfOutcome::Silent,
                Ok(Replconf::GetAck { always }) => return ReplconfOutcome::GetAck { always },
                Ok(Replconf::Below(ids)) => {
                    self.below = ids;
                    return ReplconfOutcome::Below;
                }
                Ok(Replconf::Probe(probe)) => return ReplconfOutcome::Probe(probe),
                Ok(Replconf::ListeningPort(port)) => self.port = port,
                Ok(Replconf::IpAddress(ip)) => self.ip = (!ip.is_empty()).then_some(ip),
                Ok(Replconf::CapaEof) => self.capa.eof = true,
                Ok(Replconf::CapaPsync2) => self.capa.psync2 = true,
                Ok(Replconf::CapaDualChannel) => self.capa.dual_channel = true,
                Ok(Replconf::CapaRdbChannel) => self.capa.rdb_channel = true,
                Ok(Replconf::CapaAcks) => self.capa.acks = true,
                Ok(Replconf::CapaUncertain) => self.capa.uncertain = true,
                Ok(Replconf::CapaOther) => {}
                Ok(Replconf::RdbChannel(is)) => {
                    self.rdb_channel = is;
                    self.rdb_only |= is;
                }
                Ok(Replconf::MainClient(key)) => self.main_client = Some(key),
                Ok(Replconf::RdbClient(key)) => self.rdb_client = Some(key),
                Ok(Replconf::Version(version)) => self.version = Some(version),
                Ok(Replconf::RdbOnly(only)) => self.rdb_only = only,
                Ok(Replconf::RdbFilter { functions }) => {
                    self.filter = Filter { exclude_data: true, exclude_functions: !functions };
                }
                Ok(Replconf::RunId(id)) => {
                    self.run_id = Some(id);
                    reply = format!("OK {}", own.run_id);
                }
                Ok(Replconf::NodeId(id)) => {
                    self.node_id = Some(id);
                    self.told = Some((own.term, own.is_unproven));
                    reply = format!(
                        "OK {} {} {} {}{}",
                        own.node_id,
                        own.term.map_or_else(|| "-".to_string(), |term| term.to_string()),
                        own.began,
                        own.end,
                        if own.is_unproven { UNPROVEN } else { "" }
                    );
                }
            }
        }
        ReplconfOutcome::Reply(reply)
    }

    /// The RDB version to write for it at most (rule 31): 10, which every server from 7.0 on reads, unless it says otherwise. Valkey 9 reads 80, the only one
    /// in which it takes fields with deadlines.
    pub fn rdb_version(&self) -> u32 {
        match self.version {
            Some(Version { major: 0..=6, .. }) => 9,
            Some(Version { major: 7, minor: 0..=1, .. }) | None => 10,
            Some(Version { major: 7..=8, .. }) => 11,
            Some(_) => 80,
        }
    }

    /// Which node it is, as far as it has told: under an id that outlives restarts, or under one of this run.
    pub fn node(&self) -> Option<ReplId> {
        self.node_id.or(self.run_id)
    }

    /// It is to have the stream, and not only a snapshot.
    pub fn has_stream(&self) -> bool {
        !self.rdb_only && !self.rdb_channel
    }

    /// How logs name it: the address it announced or comes from, and its port.
    pub fn name(&self, peer_ip: &str) -> String {
        let ip = self.ip.as_deref().unwrap_or(peer_ip);
        match self.port {
            0 => format!("{ip}:<unknown-replica-port>"),
            port if ip.contains(':') => format!("[{ip}]:{port}"),
            port => format!("{ip}:{port}"),
        }
    }
}

/// One replica, from its SYNC or PSYNC on.
#[derive(Debug)]
pub struct Session {
    announced: Announced,
    peer_ip: String,
    /// It came with the old SYNC: it never acknowledges.
    pre_psync: bool,
    /// It has more than what it shares with this node, which ends here.
    fork: Option<u64>,
    state: State,
    /// The next byte of the stream to send.
    cursor: u64,
    acked: u64,
    fsynced: Option<u64>,
    acked_at: Millis,
    /// It was told in the stream to go on to acknowledge by itself.
    acks_by_itself: bool,
    /// The output has been above the soft limit since then.
    over_soft_since: Option<Millis>,
}

/// ```text
/// WaitSnapshotStart → WaitSnapshotEnd → SendBulk → Online         a snapshot of known length
///                     WaitSnapshotEnd ───────────→ Online         one that is sent as it is made
///                                                  Online         a partial resync
///
/// WaitSnapshotStart → WaitSnapshotEnd → Sent                      a snapshot on a connection of its own
/// WaitChannel ──────→ Beside ────────────────────→ Online         and the stream beside it, for Redis 8
///                     Beside ────────────────────→ Online         or for Valkey, which asks for the stream
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    WaitSnapshotStart {
        since: Millis,
    },
    WaitSnapshotEnd {
        target: Target,
        /// When the replica last took bytes of the payload.
        progress_at: Millis,
    },
    SendBulk,
    /// All that it was to have; it is about to be disconnected.
    Sent,
    /// The connection for the snapshot is still to come, or the snapshot has not begun.
    WaitChannel {
        since: Millis,
    },
    /// The stream flows from the snapshot's offset, `from`, while the snapshot goes over another connection.
    Beside {
        from: u64,
        /// That connection, until all is sent.
        snapshot: Option<ReplicaKey>,
    },
    Online {
        /// The stream starts with its first ACK (rule 25).
        awaiting_ack: bool,
    },
}

/// Where a snapshot goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Stored first, so that its length is known and later replicas can have it too.
    Stored,
    /// To the sockets of the replicas that wait, as it is made.
    Sockets,
}

/// `client-output-buffer-limit replica`; zeros mean no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct OutputLimit {
    pub hard_bytes: u64,
    pub soft_bytes: u64,
    pub soft_seconds: u64,
}

impl Session {
    /// A replica that waits for a full sync.
    pub fn waiting(announced: Announced, peer_ip: String, pre_psync: bool, now: Millis) -> Session {
        Session::new(announced, peer_ip, pre_psync, State::WaitSnapshotStart { since: now }, 0, now)
    }

    /// A replica that goes on at `from`.
    pub fn continuing(announced: Announced, peer_ip: String, from: u64, now: Millis) -> Session {
        Session::new(announced, peer_ip, false, State::Online { awaiting_ack: false }, from, now)
    }

    /// A replica that was told to open a second connection for the snapshot (Redis 8).
    pub fn waiting_for_channel(announced: Announced, peer_ip: String, now: Millis) -> Session {
        Session::new(announced, peer_ip, false, State::WaitChannel { since: now }, 0, now)
    }

    /// A replica that asked for the stream that follows the snapshot on its other connection (Valkey).
    pub fn beside(announced: Announced, ip: String, from: u64, snapshot: Option<ReplicaKey>, now: Millis) -> Session {
        Session::new(announced, ip, false, State::Beside { from, snapshot }, from, now)
    }

    fn new(announced: Announced, ip: String, pre_psync: bool, state: State, cursor: u64, now: Millis) -> Session {
        Session {
            announced,
            peer_ip: ip,
            pre_psync,
            fork: None,
            state,
            cursor,
            acked: 0,
            fsynced: None,
            acked_at: now,
            acks_by_itself: false,
            over_soft_since: None,
        }
    }

    /// Up to where its history is this node's. Others than a Rivulet are not told.
    pub fn set_fork(&mut self, fork: Option<u64>) {
        self.fork = fork.filter(|_| self.announced.capa.acks);
    }

    /// A snapshot for it has begun at this position. Returns the reply to its PSYNC, nothing for the old SYNC.
    pub fn snapshot_started(&mut self, position: Position, target: Target, now: Millis) -> Vec<u8> {
        self.cursor = position.offset;
        self.state = State::WaitSnapshotEnd { target, progress_at: now };
        if self.pre_psync { Vec::new() } else { full_resync_reply(position, self.fork) }
    }

    /// The snapshot on its other connection has begun here: the stream flows.
    pub fn snapshot_began_beside(&mut self, from: u64, snapshot: ReplicaKey) {
        self.cursor = from;
        self.state = State::Beside { from, snapshot: Some(snapshot) };
    }

    /// All of the snapshot went over the other connection: from now on signs of life are wanted here.
    pub fn snapshot_sent_beside(&mut self, now: Millis) {
        if let State::Beside { snapshot, .. } = &mut self.state {
            *snapshot = None;
            self.acked_at = now;
        }
    }

    /// The stored snapshot is ready; send `transfer::counted_header` and the payload.
    pub fn snapshot_stored(&mut self) {
        self.state = State::SendBulk;
    }

    /// Bytes of the payload went out.
    pub fn payload_progress(&mut self, now: Millis) {
        if let State::WaitSnapshotEnd { progress_at, .. } = &mut self.state {
            *progress_at = now;
        }
    }

    /// The payload is sent, with its mark if it has one. Says whether the replica stays: one that wanted only the
    /// snapshot is disconnected. The report is for the log.
    pub fn payload_sent(&mut self, now: Millis) -> (bool, Report) {
        let name = self.name();
        if self.announced.rdb_only {
            self.state = State::Sent;
            let text = format!("RDB transfer completed, rdb only replica ({name}) should be disconnected asap");
            return (false, Report::notice(text));
        }
        // After a mark nothing may follow until the replica has found it. One that came with the old SYNC and can read
        // a mark acknowledges, too; others were given a length, and never do.
        let awaiting_ack = matches!(self.state, State::WaitSnapshotEnd { .. });
        self.state = State::Online { awaiting_ack };
        self.acked_at = now;
        let text = if awaiting_ack {
            format!(
                "Streamed RDB transfer with replica {name} succeeded (socket). Waiting for REPLCONF ACK from replica \
                 to enable streaming"
            )
        } else {
            format!("Synchronization with replica {name} succeeded")
        };
        (true, Report::notice(text))
    }

    /// An ACK came. Offsets never go back, and an ACK beyond what was sent is not believed. Says whether the stream
    /// starts now.
    pub fn acked(&mut self, offset: u64, fsynced: Option<u64>, now: Millis) -> bool {
        self.acked = self.acked.max(offset.min(self.cursor));
        self.fsynced = self.fsynced.max(fsynced.map(|fsynced| fsynced.min(self.acked)));
        self.acked_at = now;
        match &mut self.state {
            State::Online { awaiting_ack } => std::mem::take(awaiting_ack),
            // One that still loads may acknowledge less than the snapshot's offset.
            State::Beside { from, snapshot: None } if offset >= *from => {
                self.state = State::Online { awaiting_ack: false };
                true
            }
            _ => false,
        }
    }

    /// A bare newline came: the replica is there.
    pub fn newline(&mut self, now: Millis) {
        self.acked_at = now;
    }

    /// The stream that can be sent now; `None` when it must wait or wants none. After writing call `sent`. What is
    /// `OnDisk` the driver reads there; a replica that needs what is `Trimmed` it cuts off.
    pub fn to_send<'a>(&self, log: &'a ReplLog, bytes_max: usize) -> Option<Result<Slices<'a>, ReadError>> {
        let flows = matches!(self.state, State::Online { awaiting_ack: false } | State::Beside { .. });
        let before = log.send_before();
        let bytes = before.saturating_sub(self.cursor).min(bytes_max as u64) as usize;
        (flows && bytes > 0).then(|| log.read(self.cursor, bytes))
    }

    /// Whether the stream up to `send_before` has something for it. One that is not sent all of its snapshot may have waited for that, too.
    pub fn takes(&self, send_before: u64) -> bool {
        match self.state {
            State::Online { awaiting_ack: false } | State::Beside { .. } => self.cursor < send_before,
            State::WaitSnapshotEnd { .. } | State::SendBulk | State::Sent => true,
            State::Online { awaiting_ack: true } | State::WaitSnapshotStart { .. } | State::WaitChannel { .. } => false,
        }
    }

    /// So many bytes of the stream were written to its socket.
    pub fn sent(&mut self, bytes: u64) {
        self.cursor += bytes;
    }

    /// The offset from which on it needs the log; `None` if it needs none (yet).
    pub fn needs_from(&self) -> Option<u64> {
        let waits = matches!(self.state, State::WaitSnapshotStart { .. } | State::WaitChannel { .. });
        (!waits && !self.announced.rdb_only).then_some(self.cursor)
    }

    /// Bytes of the stream that wait for it.
    pub fn pending_bytes(&self, end: u64) -> u64 {
        self.needs_from().map_or(0, |from| end - from)
    }

    /// Whether so much waits for it that it is to be cut off. A limit below the backlog's size means that size.
    pub fn over_limit(&mut self, pending: u64, limit: OutputLimit, backlog_size: u64, now: Millis) -> bool {
        let hard = limit.hard_bytes != 0 && pending >= limit.hard_bytes.max(backlog_size);
        if limit.soft_bytes == 0 || pending < limit.soft_bytes {
            self.over_soft_since = None;
            return hard;
        }
        let since = *self.over_soft_since.get_or_insert(now);
        hard || whole_seconds(since, now) > limit.soft_seconds
    }

    /// Why it is given up after `timeout` without a sign, if it is. A replica that waits for a stored snapshot holds
    /// nobody up and may wait.
    pub fn timed_out(&self, timeout: Millis, now: Millis) -> Option<Report> {
        let (last, phase) = match self.state {
            State::Online { .. } if !self.pre_psync => (self.acked_at, "streaming sync"),
            // A Valkey gives no sign of life while it loads.
            State::Beside { snapshot: None, .. } if self.announced.rdb_client.is_none() => {
                (self.acked_at, "loading beside the stream")
            }
            State::WaitSnapshotEnd { target: Target::Sockets, progress_at } => (progress_at, "full sync"),
            _ => return None,
        };
        let text = || format!("Disconnecting timedout replica ({phase}): {}", self.name());
        (now.saturating_sub(last) > timeout).then(|| Report::warning(text()))
    }

    /// Wants a newline each second, so that it does not give up (rule 23).
    pub fn wants_newline(&self) -> bool {
        matches!(self.state, State::WaitSnapshotStart { .. } | State::WaitSnapshotEnd { target: Target::Stored, .. })
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// INFO's word for the state.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            State::WaitSnapshotStart { .. }
            | State::WaitSnapshotEnd { .. }
            | State::WaitChannel { .. }
            | State::Sent => "wait_bgsave",
            State::SendBulk => "send_bulk",
            State::Beside { .. } if self.announced.rdb_client.is_some() => "bg_transfer",
            State::Beside { .. } => "send_bulk_and_stream",
            State::Online { .. } => "online",
        }
    }

    /// Which of a replica's two connections this is, as Valkey's INFO says it; `None` where there is one only, or where Redis
    /// 8's says nothing.
    pub fn channel_name(&self) -> Option<&'static str> {
        match self.state {
            State::Beside { .. } if self.announced.rdb_client.is_some() => Some("main-channel"),
            _ if self.announced.rdb_channel && !self.is_shown_by_other() => Some("rdb-channel"),
            _ => None,
        }
    }

    /// INFO and the number of replicas show its main connection (Redis 8), not this one.
    pub fn is_shown_by_other(&self) -> bool {
        self.announced.rdb_channel && self.announced.main_client.is_some()
    }

    /// The main connection that this one carries the snapshot for must ask for the stream that follows (Valkey). Where the
    /// snapshot stands, if it has begun.
    pub(crate) fn promises_from(&self) -> Option<u64> {
        let begun = matches!(self.state, State::WaitSnapshotEnd { .. } | State::Sent);
        (begun && self.announced.rdb_channel && self.announced.main_client.is_none()).then_some(self.cursor)
    }

    pub fn is_online(&self) -> bool {
        matches!(self.state, State::Online { .. })
    }

    /// Online in the sense of `min-replicas-to-write` (rule 34).
    pub fn is_good(&self, lag_seconds_max: u64, now: Millis) -> bool {
        self.is_online() && whole_seconds(self.acked_at, now) <= lag_seconds_max
    }

    /// INFO's `lag`: 0 until it is online.
    pub fn lag_seconds(&self, now: Millis) -> u64 {
        if self.is_online() { whole_seconds(self.acked_at, now) } else { 0 }
    }

    /// It acknowledges what it applies without being asked.
    pub fn acks_by_itself(&self) -> bool {
        self.acks_by_itself
    }

    /// `stream::GETACK_ALWAYS` (or, with `false`, `stream::GETACK`) was put into the stream that it has or will be sent.
    pub fn told_to_ack(&mut self, always: bool) {
        self.acks_by_itself = always && self.announced.capa.acks && self.is_online();
    }

    pub fn ack_offset(&self) -> u64 {
        self.acked
    }

    pub fn fsynced_offset(&self) -> Option<u64> {
        self.fsynced
    }

    /// What has been handed to its socket.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    pub fn announced(&self) -> &Announced {
        &self.announced
    }

    pub fn announced_mut(&mut self) -> &mut Announced {
        &mut self.announced
    }

    /// The address to show: announced, or where it comes from.
    pub fn ip(&self) -> &str {
        self.announced.ip.as_deref().unwrap_or(&self.peer_ip)
    }

    pub fn name(&self) -> String {
        self.announced.name(&self.peer_ip)
    }

    /// Can it be served by a snapshot that was begun for a replica with these needs? (rule 26)
    pub fn can_share(&self, capa: Capa, filter: Filter, rdb_version: u32) -> bool {
        self.announced.capa.includes(capa)
            && self.announced.filter == filter
            && !self.announced.rdb_channel
            && self.announced.rdb_version() >= rdb_version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> ReplId {
        ReplId::from_random(&[n; 20])
    }

    fn replconf(announced: &mut Announced, line: &str) -> ReplconfOutcome {
        let own = OwnName {
            run_id: id(9),
            node_id: id(8),
            term: Some(TermId { epoch: 3, start: 1 }),
            began: 40,
            end: 90,
            is_unproven: false,
        };
        announced.replconf(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>(), &own)
    }

    fn ok() -> ReplconfOutcome {
        ReplconfOutcome::Reply("OK".to_string())
    }

    #[test]
    fn what_a_replica_says_of_itself() {
        let mut said = Announced::default();
        assert_eq!(said.name("10.1.1.1"), "10.1.1.1:<unknown-replica-port>");
        assert_eq!(replconf(&mut said, "listening-port 7000"), ok());
        assert_eq!(replconf(&mut said, "ip-address a.example"), ok());
        assert_eq!(replconf(&mut said, "capa eof capa psync2 capa other"), ok());
        assert_eq!(said.name("10.1.1.1"), "a.example:7000");
        assert!(said.capa.eof && said.capa.psync2);
        assert_eq!(replconf(&mut said, "rdb-filter-only functions"), ok());
        assert_eq!(said.filter, Filter { exclude_data: true, exclude_functions: false });
        assert_eq!(
            replconf(&mut said, &format!("rivulet-runid {}", id(4))),
            ReplconfOutcome::Reply(format!("OK {}", id(9)))
        );
        assert_eq!(
            replconf(&mut said, &format!("node-id {}", id(5))),
            ReplconfOutcome::Reply(format!("OK {} 3.1 40 90", id(8)))
        );
        assert_eq!(said.node_id, Some(id(5)));
        assert!(matches!(replconf(&mut said, "node-id me"), ReplconfOutcome::Error(_)));
        for (line, always) in [("getack *", false), ("getack ALWAYS", true), ("GETACK always", true)] {
            assert_eq!(replconf(&mut said, line), ReplconfOutcome::GetAck { always }, "{line}");
        }
        assert_eq!(replconf(&mut said, "ack 7"), ReplconfOutcome::Ack { offset: 7, fsynced: None });
        assert_eq!(
            replconf(&mut said, "capa eof nonsense 1"),
            ReplconfOutcome::Error("ERR Unrecognized REPLCONF option: nonsense".to_string())
        );
        for (version, expected) in [("6.2.1", 9), ("7.0.15", 10), ("7.2.0", 11), ("8.1.0", 11), ("9.1.2", 80)] {
            replconf(&mut said, &format!("version {version}"));
            assert_eq!(said.rdb_version(), expected, "{version}");
        }
        assert_eq!(Announced::default().rdb_version(), 10);
    }

    #[test]
    fn a_stored_snapshot_leads_to_the_stream() {
        let mut log = ReplLog::new(0);
        log.create();
        log.append(b"before");
        let mut session = Session::waiting(Announced::default(), "h".to_string(), false, 0);
        assert_eq!((session.needs_from(), session.wants_newline()), (None, true));
        let position = Position { id: id(1), offset: log.end_offset() };
        assert_eq!(session.snapshot_started(position, Target::Stored, 5), full_resync_reply(position, None));
        log.append(b"after");
        assert_eq!((session.state_name(), session.needs_from()), ("wait_bgsave", Some(6)));
        assert!(session.to_send(&log, 100).is_none());
        session.snapshot_stored();
        assert_eq!(session.state_name(), "send_bulk");
        assert!(session.payload_sent(9).0);
        let sent: Vec<u8> = session.to_send(&log, 100).unwrap().unwrap().flatten().copied().collect();
        assert_eq!(sent, b"after");
        session.sent(5);
        assert!(session.to_send(&log, 100).is_none());
        assert_eq!(session.pending_bytes(log.end_offset()), 0);
    }

    #[test]
    fn a_streamed_snapshot_waits_for_the_first_ack() {
        let mut log = ReplLog::new(0);
        log.create();
        let mut session = Session::waiting(Announced::default(), "h".to_string(), false, 0);
        session.snapshot_started(Position { id: id(1), offset: 0 }, Target::Sockets, 0);
        log.append(b"after");
        session.payload_sent(10);
        assert_eq!(session.state_name(), "online");
        assert!(session.to_send(&log, 100).is_none());
        assert!(session.acked(0, None, 20));
        assert!(session.to_send(&log, 100).is_some());
        assert!(!session.acked(0, None, 20));
    }

    #[test]
    fn a_stream_beside_its_snapshot() {
        let mut log = ReplLog::new(0);
        log.create();
        log.append(b"before");
        let mut session = Session::waiting_for_channel(Announced::default(), "h".to_string(), 0);
        assert_eq!((session.needs_from(), session.wants_newline()), (None, false));
        session.snapshot_began_beside(6, 77);
        log.append(b"after");
        assert_eq!((session.state_name(), session.is_online()), ("send_bulk_and_stream", false));
        let sent: Vec<u8> = session.to_send(&log, 100).unwrap().unwrap().flatten().copied().collect();
        assert_eq!(sent, b"after");
        session.sent(5);
        assert!(!session.acked(6, None, 10), "the snapshot is not sent yet");
        assert!(session.timed_out(1_000, 9_000).is_none(), "the other connection has its own time-out");
        session.snapshot_sent_beside(10_000);
        assert!(session.timed_out(1_000, 11_000).is_none() && session.timed_out(1_000, 11_001).is_some());
        assert!(!session.acked(0, None, 11_000), "it still loads");
        assert!(session.acked(6, None, 12_000) && session.is_online());
    }

    #[test]
    fn acks_only_grow_and_never_pass_what_was_sent() {
        let mut session = Session::continuing(Announced::default(), "h".to_string(), 100, 0);
        session.sent(50);
        for (offset, expected) in [(120, 120), (110, 120), (151, 150), (150, 150)] {
            session.acked(offset, Some(offset), 1);
            assert_eq!(session.ack_offset(), expected);
        }
        assert_eq!(session.fsynced_offset(), Some(150));
    }

    #[test]
    fn time_outs() {
        let timed_out = |session: &Session, now| session.timed_out(60_000, now).is_some();
        let mut session = Session::waiting(Announced::default(), "h".to_string(), false, 0);
        assert!(!timed_out(&session, 1_000_000));
        session.snapshot_started(Position { id: id(1), offset: 0 }, Target::Sockets, 0);
        assert!(!timed_out(&session, 60_000) && timed_out(&session, 60_001));
        session.payload_progress(10);
        assert!(!timed_out(&session, 60_010));
        session.payload_sent(100);
        assert!(!timed_out(&session, 60_100));
        session.newline(500);
        assert_eq!(
            session.timed_out(60_000, 60_501).unwrap().text,
            "Disconnecting timedout replica (streaming sync): h:<unknown-replica-port>"
        );
        assert!(session.is_good(10, 11_499) && !session.is_good(10, 11_500));
        assert_eq!(session.lag_seconds(3_499), 2);
    }

    #[test]
    fn the_output_limit_is_never_below_the_backlog() {
        let mut session = Session::continuing(Announced::default(), "h".to_string(), 0, 0);
        let limit = OutputLimit { hard_bytes: 100, soft_bytes: 50, soft_seconds: 2 };
        assert!(!session.over_limit(100, limit, 1000, 0));
        assert!(session.over_limit(1000, limit, 1000, 0));
        assert!(!session.over_limit(60, limit, 1000, 2_999));
        assert!(session.over_limit(60, limit, 1000, 3_000));
        assert!(!session.over_limit(49, limit, 1000, 3_001));
        assert!(!session.over_limit(60, limit, 1000, 9_000));
        assert!(!session.over_limit(u64::MAX, OutputLimit::default(), 1000, 9_000));
    }
}
