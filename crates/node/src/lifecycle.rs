//! From the start to the end: what this run is called, its periodic tasks, its pauses, and how it ends.

pub mod cron;
pub mod pause;
pub mod pauses;
pub mod scheduling;
pub mod shutdown;
pub mod signals;
pub mod start;

use rivulet_engine::admit::Standing;

use crate::lifecycle::pauses::Pauses;
use crate::lifecycle::shutdown::Shutdown;
use crate::process::oom_score::OomScore;
use crate::process::supervisor::Supervisor;

pub struct Lifecycle {
    pub run_id: String,
    /// On the machine's clock.
    pub started_ms: u64,
    pub cron_runs: u64,
    pub next_cron_ms: u64,
    pub pauses: Pauses,
    /// What stands in the way of commands, in short.
    pub standing: Standing,
    pub shutdown: Option<Shutdown>,
    pub supervisor: Supervisor,
    pub oom_score: OomScore,
    /// The status that the process is to end with.
    pub exit: Option<i32>,
}

impl Lifecycle {
    pub fn new(run_id: String, started_ms: u64) -> Lifecycle {
        Lifecycle {
            run_id,
            started_ms,
            cron_runs: 0,
            next_cron_ms: 0,
            pauses: Pauses::default(),
            standing: Standing::default(),
            shutdown: None,
            supervisor: Supervisor::default(),
            oom_score: OomScore::default(),
            exit: None,
        }
    }
}
