//! Replication as the server drives it: the core's state, and what commands and the loop need of it.
//!
//! The rules are in the crate `rivulet_replication`; here is what it must not know: sockets, the keyspace, files. [`serve`] is the master's end,
//! [`follow`] the replica's, and [`progress`] says how far a full sync is; [`sync_history`], [`doctor`] and [`verify`] are what REPLICATION shows and
//! proves.

pub mod apply;
mod congestion;
mod doctor;
mod driver;
mod follow;
mod given_up;
mod held;
mod progress;
pub mod promises;
mod serve;
pub mod stream_log;
mod sync_history;
pub mod synchronous;
mod verify;

use std::net::IpAddr;

use rivulet_config::Config;
use rivulet_engine::client_id::ClientId;
use rivulet_net::Stream;
use rivulet_replication::apply::Applied;
use rivulet_replication::failover::Failover;
use rivulet_replication::history::History;
use rivulet_replication::master::{Master, MasterConfig, RunningSnapshot};
use rivulet_replication::measure::{AUTO_SIZE_MIN, Measure};
use rivulet_replication::position::{Position, ReplId};
use rivulet_replication::replica::ReplicaLink;
use rivulet_replication::report::{Level, Report};
use rivulet_replication::stream::StreamEncoder;
use rivulet_replication::syncs::SyncHistory;
use rivulet_resp::Decoder;

use self::stream_log::{Role, StreamLog};
use crate::helpers::Helper;
use crate::log;

/// Buffers that are used again keep so many bytes.
const KEPT_BYTES: usize = 256 << 10;

/// The node's part in replication.
pub struct Replication {
    pub history: History,
    pub log: StreamLog,
    pub encoder: StreamEncoder,
    pub master: Master,
    pub synchronous: synchronous::Synchronous,
    /// What was promised to leaders of failovers.
    pub kept: promises::Kept,
    pub failover: Failover,
    pub run_id: ReplId,
    /// The link to the master, when this is a replica.
    pub link: Option<Link>,
    pub truth: Truth,
    /// What stood behind its master's history was copied, up to this position.
    given_up: Option<Position>,
    /// All replicas are being disconnected: who is left is not told of.
    dropping_replicas: bool,
    /// The snapshot that replicas wait for or are being sent.
    pub running: Option<RunningSnapshot>,
    pub observed: Observed,
    pub verify: verify::Verify,
    pub cut_off: CutOff,
    /// Replicas have gone: the log may keep less than before.
    hold_changed: bool,
    /// Where the stream ended when it was looked at last whether replicas have fallen too far behind.
    limits_checked_at: u64,
    /// When the log was told last that the stream waits for the disk.
    waiting_said_ms: Option<u64>,
    /// Replicas have acknowledged something in this turn.
    acks_came: bool,
    /// Where the stream goes before it is appended.
    scratch: Vec<u8>,
}

/// Whether the data are what the position says.
#[derive(Default)]
pub struct Truth {
    /// The data came from files that say nothing of their history: a master can't be asked to go on from them.
    pub is_stranger: bool,
    /// The data are not what the position says, and why.
    pub diverged: Option<apply::Diverged>,
    /// The first error of the unit of the stream that is being executed.
    apply_error: Option<apply::ApplyError>,
    healed_at_ms: Option<u64>,
}

/// What REPLICATION shows: each sync with its reason, and what is measured.
#[derive(Default)]
pub struct Observed {
    pub syncs: SyncHistory,
    pub measure: Measure,
    own_sync: sync_history::OwnSync,
    pub progress: progress::Progress,
}

/// How many replicas were cut off for being slow.
#[derive(Default)]
pub struct CutOff {
    /// By `client-output-buffer-limit`.
    pub by_output_limit: u64,
    /// The slowest ones, because too much was held for replicas.
    pub by_hold_limit: u64,
}

/// The replica's end of the link, with what the driver holds for it.
pub struct Link {
    pub state: ReplicaLink,
    /// `master_host` and `master_port`.
    pub host: String,
    pub port: u16,
    pub socket: MasterSocket,
    /// The second connection, while a snapshot is fetched over it.
    pub channel: Option<Channel>,
    pub incoming: Incoming,
    /// The server starts, and what it has on disk is not loaded yet: it asks nobody for anything.
    pub waits_for_data: bool,
    /// The disk takes less than the master sends: its stream is not read.
    pub waits_for_disk: bool,
    /// Commands that are here were left for later, as the disk had to catch up.
    pub rests_for_disk: bool,
    /// The data here came from this master.
    pub has_its_data: bool,
    /// With the next tick the connection is to be made anew.
    pub makes_anew: bool,
}

/// By whose word a node becomes a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promoter {
    User,
    /// The leader of a failover, to whom a term was promised.
    Leader,
    /// Its master, which hands over (FAILOVER).
    Master,
    /// Nobody: it was one, and could not hand over.
    Again,
}

/// The connection that the stream comes over.
pub struct MasterSocket {
    /// The master's name is being looked up.
    pub resolving: Option<Helper<Option<IpAddr>>>,
    pub stream: Option<Stream>,
    /// What the socket has not taken yet.
    pub output: Vec<u8>,
    pub reading: bool,
    pub watching_write: bool,
}

/// The master's stream on its way into the data.
pub struct Incoming {
    /// The pseudo client that executes it.
    pub client: ClientId,
    pub applied: Applied,
    pub decoder: Decoder,
    /// Bytes that are not executed yet, and before them those of an open transaction.
    pub bytes: Vec<u8>,
    /// So many of them are executed and not applied: a transaction is open.
    pub executed: usize,
}

/// The connection that a snapshot is fetched over, beside the stream.
pub struct Channel {
    pub stream: Stream,
    /// What its socket has not taken yet.
    pub output: Vec<u8>,
    pub reading: bool,
    pub watching_write: bool,
}

impl Replication {
    pub fn new(config: &Config, run_id: &str, rng: &mut fastrand::Rng, now_ms: u64) -> Replication {
        let run_id = ReplId::parse(run_id.as_bytes()).unwrap_or(ReplId::ZERO);
        Replication {
            history: History::new(random_id(rng)),
            log: StreamLog::new(
                config.repl_backlog_size.bytes().unwrap_or(AUTO_SIZE_MIN),
                if config.replicaof.is_some() { Role::Replica } else { Role::Master },
            ),
            encoder: StreamEncoder::new(),
            master: Master::new(master_config(config), now_ms),
            synchronous: Default::default(),
            failover: Failover::default(),
            kept: promises::Kept::nothing(run_id),
            run_id,
            link: None,
            truth: Truth::default(),
            given_up: None,
            dropping_replicas: false,
            running: None,
            observed: Observed::default(),
            verify: Default::default(),
            cut_off: CutOff::default(),
            hold_changed: false,
            limits_checked_at: 0,
            waiting_said_ms: None,
            acks_came: false,
            scratch: Vec::new(),
        }
    }

    /// Gives back what one large unit or command left here.
    pub fn give_back(&mut self) {
        self.scratch.clear();
        self.scratch.shrink_to(KEPT_BYTES);
        let Some(link) = &mut self.link else { return };
        // A large command that is still coming would only be moved about.
        if link.incoming.bytes.len() < KEPT_BYTES {
            link.incoming.bytes.shrink_to(KEPT_BYTES);
        }
        link.socket.output.shrink_to(KEPT_BYTES);
        link.incoming.decoder.give_back();
    }

    /// Whether this node follows a master, or is to as soon as its data are loaded.
    #[inline]
    pub fn is_replica(&self) -> bool {
        self.log.role() == Role::Replica
    }

    /// `master_repl_offset`.
    pub fn offset(&self) -> u64 {
        self.log.end_offset()
    }

    /// This replica's data may be older than its master's: the link is down.
    pub fn is_stale(&self) -> bool {
        self.link.as_ref().is_some_and(|l| !l.state.is_up())
    }

    /// What a snapshot says of the position: the offset, and the database that the stream has selected.
    pub fn saved_position(&self) -> Option<(i64, i64)> {
        let db = match &self.link {
            // A replica's stream is the master's, whose selected database its pseudo client has.
            Some(_) => self.encoder.db().map_or(-1, i64::from),
            None if self.log.is_active() => self.encoder.db().map_or(0, i64::from),
            None => return None,
        };
        Some((self.log.end_offset() as i64, db))
    }
}

pub fn random_id(rng: &mut fastrand::Rng) -> ReplId {
    ReplId::from_random(&std::array::from_fn(|_| rng.u8(..)))
}

/// What the core needs to know of the configuration, for the master's end.
pub fn master_config(config: &Config) -> MasterConfig {
    MasterConfig {
        timeout: config.repl_timeout * 1000,
        ping_period: config.repl_ping_replica_period * 1000,
        backlog_ttl: config.repl_backlog_ttl * 1000,
        diskless: config.repl_diskless_sync,
        // Who comes late joins, so nobody waits unless that was asked for.
        diskless_delay: if config.repl_diskless_sync_delay_is_set { config.repl_diskless_sync_delay * 1000 } else { 0 },
        diskless_replicas_max: config.repl_diskless_sync_max_replicas as usize,
        dual_channel: config.dual_channel_replication_enabled,
        rdb_channel: config.repl_rdb_channel,
        good_replicas_min: config.min_replicas_to_write as usize,
        good_lag_seconds_max: config.min_replicas_max_lag,
    }
}

/// Writes what the core reports.
pub fn log_report(report: &Report) {
    match report.level {
        Level::Notice => log::notice!("{}", report.text),
        Level::Warning => log::warning!("{}", report.text),
    }
}
