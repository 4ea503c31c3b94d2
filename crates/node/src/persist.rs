//! What is on disk: snapshots, the log and its append-only files; and the thread that frees what is large.

use rivulet_config::Config;

use crate::aof::Aof;
use crate::log_on_disk::LogOnDisk;
use crate::persistence::Persistence;
use crate::reaper::Reaper;
use crate::replication::Replication;

pub struct Persist {
    /// Snapshots, and what loads.
    pub data: Persistence,
    /// The bytes of the stream on disk.
    pub log: LogOnDisk,
    pub aof: Aof,
    /// Frees what is large.
    pub reaper: Reaper,
}

impl Persist {
    pub fn new(config: &Config, replication: &Replication, now_ms: u64) -> Persist {
        Persist {
            data: Persistence::new(now_ms),
            log: LogOnDisk::new(config, replication.history.clone()),
            aof: Aof::default(),
            reaper: Reaper::start(),
        }
    }
}
