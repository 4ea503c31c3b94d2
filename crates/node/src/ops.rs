//! What is counted and told, for those who operate the server: statistics, the command logs, latency, monitors, and what DEBUG switches.

pub mod commandlog;
pub mod crash;
pub mod debug;
pub mod digest;
pub mod info;
pub mod latency;
pub mod memory;
pub mod stats;

use std::collections::BTreeSet;

use rivulet_engine::client_id::ClientId;

use crate::ops::commandlog::CommandLog;
use crate::ops::latency::Latency;
use crate::ops::stats::Stats;

#[derive(Default)]
pub struct Ops {
    pub stats: Stats,
    pub commandlog: CommandLog,
    pub latency: Latency,
    pub monitors: BTreeSet<ClientId>,
    /// Bytes in use before there was data.
    pub startup_memory: usize,
    pub debug: DebugSwitches,
}

/// What DEBUG switches.
pub struct DebugSwitches {
    pub active_expire: bool,
    pub pause_cron: bool,
    pub skip_checksum: bool,
    pub reply_buffer_resizing: bool,
    /// Scripts may call what they may not.
    pub scripts_may_all: bool,
    pub repl_pause: Option<ReplPause>,
}

impl Default for DebugSwitches {
    fn default() -> DebugSwitches {
        DebugSwitches {
            active_expire: true,
            pause_cron: false,
            skip_checksum: false,
            reply_buffer_resizing: true,
            scripts_may_all: false,
            repl_pause: None,
        }
    }
}

/// Where in a full sync the process stops itself (DEBUG REPL-PAUSE).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplPause {
    /// A snapshot for replicas has begun.
    AfterFork,
    BeforeRdbChannel,
    OnStreamingReplBuf,
}
