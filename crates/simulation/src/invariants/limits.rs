//! What waits for a slow disk and what is held for slow replicas stays within its limits.

use super::Broken;
use crate::observer::Sight;
use crate::plan::{HOLD_LIMIT, QUEUE_LIMIT};

/// What one turn of an event loop may add before it looks: the output buffers of a few replicas, and what clients have sent.
const TURN: u64 = 1 << 20;

/// `asked` bytes of clients are under way, or answered only just now.
pub fn check(sight: &Sight, asked: u64) -> Result<(), Broken> {
    let all = [("the append-only file", sight.queued, QUEUE_LIMIT), ("slow replicas", sight.held, HOLD_LIMIT)];
    for (whom, bytes, limit) in all {
        if bytes > limit + TURN + asked {
            return Err(format!("server {} keeps {bytes} bytes for {whom}, and the limit is {limit}", sight.server));
        }
    }
    Ok(())
}
