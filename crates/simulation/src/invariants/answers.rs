//! Nobody waits for ever: what is asked of a server that runs and can be reached is answered, or the connection ends.

use super::Broken;
use crate::client::Client;

/// Longer than any pause, stop and time-out of a run.
const PATIENCE_US: u64 = 60_000_000;

pub fn check(client: &Client, now_us: u64) -> Result<(), Broken> {
    if client.outstanding == 0 || now_us < client.asked_us + PATIENCE_US {
        return Ok(());
    }
    Err(format!("server {} has not answered for {} s", client.server, (now_us - client.asked_us) / 1_000_000))
}
