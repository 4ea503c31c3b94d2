//! A server keeps no more on its disk than its files, the log that it was told to keep, and what its limits allow.

use super::Broken;
use crate::network::HostId;

/// What all the writers of a run send, in a base, in files that go back to its beginning, and in a snapshot that is being made.
const MOST: u64 = 64 << 20;

pub fn check(server: HostId, bytes: u64) -> Result<(), Broken> {
    if bytes <= MOST {
        return Ok(());
    }
    Err(format!("server {server} has {bytes} bytes on its disk, and a run's files need at most {MOST}"))
}
