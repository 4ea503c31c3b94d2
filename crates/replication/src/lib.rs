//! Replication without IO: positions, the log, the decision on PSYNC, both ends of a link.
//!
//! Everything here is a value that is told what happened (bytes came, time passed, a load ended) and says what to
//! do about it. Sockets, files, threads, clocks and randomness are the driver's. The modules in reading order:
//!
//! 1. [`position`], [`history`], [`log`]: where a node stands, whose bytes it has, and the bytes themselves;
//! 2. [`stream`]: how a unit of execution becomes bytes of the stream; [`apply`]: how received bytes become applied;
//! 3. [`messages`], [`psync`]: what the two ends say to each other, and the one decision that matters;
//! 4. [`transfer`], [`rdb_channel`], [`replica`]: the replica's end of a link;
//! 5. [`session`], [`master`]: the master's end, one replica and all of them; [`failover`]: handing over on request;
//! 6. [`measure`], [`syncs`], [`doctor`]: what is measured, each sync with its reason, and what to set;
//! 7. [`verify`]: the proof that replicas are equal at one offset;
//! 8. [`report`]: lines for the server's log.

pub mod apply;
pub mod doctor;
pub mod failover;
pub mod history;
pub mod log;
pub mod master;
pub mod measure;
pub mod messages;
pub mod position;
pub mod promises;
pub mod psync;
pub mod rdb_channel;
pub mod replica;
pub mod report;
pub mod session;
mod sessions;
pub mod stream;
pub mod syncs;
pub mod transfer;
pub mod verify;

/// A point in time in milliseconds, on whatever clock the driver keeps; only differences are used.
pub type Millis = u64;

/// The time since then in whole seconds, as INFO shows it.
pub(crate) fn whole_seconds(since: Millis, now: Millis) -> u64 {
    now.saturating_sub(since) / 1000
}
