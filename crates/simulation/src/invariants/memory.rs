//! A process keeps no more memory than its data, its buffers and what its limits allow: the most that a fleet's data come to, and what clients have
//! sent that is not answered yet.

use super::Broken;
use crate::network::HostId;

/// Keys of two writers, and copies of them that a full sync, a rewrite and replicas' buffers need for a while.
const MOST: u64 = 20 << 20;
/// A backlog that finds its own size: more than bursts come to in a run.
const AUTO_BACKLOG: u64 = 100 << 20;

/// `asked` bytes are under way to some server, or wait there: buffers that grow have up to twice as much room.
pub fn check(server: HostId, bytes: u64, asked: u64, has_auto_backlog: bool) -> Result<(), Broken> {
    let most = MOST + 3 * asked + if has_auto_backlog { AUTO_BACKLOG } else { 0 };
    if bytes <= most {
        return Ok(());
    }
    Err(format!(
        "server {server} has {bytes} bytes of memory in use, and a fleet's data and limits need at most {most}"
    ))
}
