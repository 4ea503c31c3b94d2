//! No full sync that could have been partial: a replica that has kept up goes on where it was after a cut, after a kill or an end of its own, and after a
//! kill of its master.

use super::Broken;
use crate::network::HostId;
use crate::observer::Sight;

/// A replica that is to resume.
struct Expected {
    replica: HostId,
    /// Its last synchronization before.
    last_sync: String,
    since_us: u64,
}

#[derive(Default)]
pub struct Resumes(Vec<Expected>);

impl Resumes {
    /// Something happens now that need not cost the replica, which was seen like this, a full sync.
    pub fn expect(&mut self, sight: &Sight, now_us: u64) {
        // One that has not ended looks otherwise when it has.
        if sight.last_sync.contains("outcome=done") || sight.last_sync.contains("role=master") {
            self.0.push(Expected { replica: sight.server, last_sync: sight.last_sync.clone(), since_us: now_us });
        }
    }

    /// Something else has happened.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn saw(&mut self, sight: &Sight) -> Result<(), Broken> {
        let is_it = |expected: &Expected| {
            expected.replica == sight.server
                && sight.at_us > expected.since_us
                && sight.link_up
                && sight.last_sync.starts_with("role=replica")
                && sight.last_sync != expected.last_sync
        };
        let Some(expected) = self.0.iter_mut().find(|expected| is_it(expected)) else { return Ok(()) };
        // What ends before anything else happens did not go on.
        expected.last_sync.clone_from(&sight.last_sync);
        if sight.last_sync.contains("kind=full") {
            return Err(format!(
                "server {} had a full sync that could have been partial: {}",
                sight.server, sight.last_sync
            ));
        }
        Ok(())
    }
}
