//! REPLICATION HISTORY, and what feeds it: the syncs that this node granted or made, their durations as latency events, and the measurements
//! of replicas that go and come.

mod driver;

use rivulet_replication::position::Position;

/// What this node, as a replica, does about its own sync.
#[derive(Default)]
pub struct OwnSync {
    /// When the link was last asked to connect, and where the data stood.
    asked: Option<(u64, Option<Position>)>,
    /// The stream flows since then, from this offset; it is looked at with the next tick.
    up_from: Option<u64>,
    /// Unix ms when the stream was lost.
    lost_at: Option<u64>,
    /// What the link said last that sounds like a reason.
    complaint: String,
}
