//! The configuration file, where the state is: it is replaced as a whole, and on the disk before anything else is done.

use rivulet_config::{Config, RewriteWith};
use rivulet_sentinel::Sentinel;

/// After a failure, the next try comes after so long, ms, unless a client waits for one.
pub const RETRY_MS: u64 = 1000;

/// Writes the configuration. `Ok` means that it is on the disk.
pub fn save(config: &Config, core: &Sentinel, users: Option<Vec<Vec<u8>>>) -> Result<(), String> {
    let sentinel = core.lines();
    let with = RewriteWith { users, sentinel, ..RewriteWith::default() };
    config.rewrite(&with).map_err(|e| e.to_string())
}
