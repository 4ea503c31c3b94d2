//! The process as the system sees it: in the background or not, who supervises it, its title, its score when memory runs out, and what it tells when it
//! crashes or a turn takes too long.
//!
//! A Sentinel is a process, too, so nothing here knows what a node is; a simulated machine has no processes, so nothing here is done on one.

use rivulet_config::Config;
use rivulet_host::world;

use crate::log;
use crate::process::daemon::Side;
use crate::process::supervisor::Supervisor;

pub mod alternate_stack;
pub mod crash;
pub mod daemon;
pub mod oom_score;
pub mod pid_file;
pub mod report;
pub mod stack;
pub mod supervisor;
pub mod symbols;
pub mod syslog;
pub mod title;
pub mod watchdog;

/// What this process is to be after [`enter`].
pub enum Entered {
    /// It serves.
    AsServer(Supervisor),
    /// A child serves: this one has nothing left to do.
    AsParent,
}

/// Finds the supervisor, or goes to the background: whom somebody supervises must stay where it was started. No thread may have been started.
///
/// # Errors
/// The process can't go to the background; the text is for who has started it.
pub fn enter(config: &mut Config) -> Result<Entered, String> {
    let supervisor = Supervisor::find(&config.supervised);
    if !config.daemonize || supervisor != Supervisor::Nobody || world::is_simulated() {
        crash::begin(config, false);
        return Ok(Entered::AsServer(supervisor));
    }
    match daemon::begin().map_err(|e| format!("Can't go to the background: {e}"))? {
        Side::Parent => Ok(Entered::AsParent),
        Side::Child => {
            log::pid_changed();
            pid_file::choose(config);
            crash::begin(config, true);
            Ok(Entered::AsServer(supervisor))
        }
    }
}
