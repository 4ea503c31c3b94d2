//! What is on disk: snapshots, the log and its append-only files; and the thread that frees what is large.

pub mod aof;
pub mod load;
pub mod loading;
pub mod log_on_disk;
pub mod payload;
pub mod reaper;
pub mod replay;
pub mod saving;
pub mod snapshot;

use rivulet_config::Config;

use crate::persist::aof::Aof;
use crate::persist::load::Loading;
use crate::persist::log_on_disk::LogOnDisk;
use crate::persist::reaper::Reaper;
use crate::persist::saving::Saving;
use crate::replication::Replication;

pub struct Persist {
    pub saving: Saving,
    pub loading: Loading,
    /// The bytes of the stream on disk.
    pub log: LogOnDisk,
    pub aof: Aof,
    /// Frees what is large.
    pub reaper: Reaper,
}

impl Persist {
    pub fn new(config: &Config, replication: &Replication, now_ms: u64) -> Persist {
        Persist {
            saving: Saving::new(now_ms),
            loading: Loading::default(),
            log: LogOnDisk::new(config, replication.history.clone()),
            aof: Aof::default(),
            reaper: Reaper::start(),
        }
    }
}
