//! What waits for a slow disk and what is held for slow replicas stays within its limits.

use super::Broken;
use crate::observer::Sight;
use crate::plan::{HOLD_LIMIT, QUEUE_LIMIT};

/// What one turn of an event loop may add before it looks: the output buffers of a few replicas, what clients send, and of what had to wait a part.
const TURN: u64 = 2 << 20;

pub fn check(sight: &Sight) -> Result<(), Broken> {
    let all = [("the append-only file", sight.queued, QUEUE_LIMIT), ("slow replicas", sight.held, HOLD_LIMIT)];
    for (whom, bytes, limit) in all {
        if bytes > limit + TURN {
            return Err(format!("server {} keeps {bytes} bytes for {whom}, and the limit is {limit}", sight.server));
        }
    }
    Ok(())
}
