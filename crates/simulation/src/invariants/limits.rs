//! What waits for a slow disk and what is held for slow replicas stays within its limits.

use super::Broken;
use crate::observer::Sight;
use crate::plan::{HOLD_LIMIT, QUEUE_LIMIT};

/// What one turn of an event loop may add before it looks: the output buffers of a few replicas, what clients send, and of what had to wait a part.
const TURN: u64 = 2 << 20;

/// `before` is what the same process was seen to hold last. Of replicas that hold too much one goes a turn: who holds too much has just cut one off, or does so
/// next, if it was within its limit when it was seen before.
pub fn check(sight: &Sight, before: Option<&Sight>) -> Result<(), Broken> {
    let cuts_off = sight.cut_off > before.map_or(0, |before| before.cut_off);
    let was_within = before.is_none_or(|before| before.held <= HOLD_LIMIT + TURN);
    let queued = ("the append-only file", sight.queued, QUEUE_LIMIT, false);
    let held = ("slow replicas", sight.held, HOLD_LIMIT, cuts_off || was_within);
    for (whom, bytes, limit, sinks) in [queued, held] {
        if bytes > limit + TURN && !sinks {
            return Err(format!("server {} keeps {bytes} bytes for {whom}, and the limit is {limit}", sight.server));
        }
    }
    Ok(())
}
