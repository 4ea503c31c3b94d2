//! A process keeps no more memory than its data, its buffers and what its limits allow: the most that a fleet's data come to, and what clients have
//! sent that is not answered yet.

use super::Broken;
use crate::network::HostId;

/// Keys of two writers, and copies of them that a full sync, a rewrite and replicas' buffers need for a while.
const MOST: u64 = 20 << 20;
/// A backlog that finds its own size: more than bursts come to in a run.
const AUTO_BACKLOG: u64 = 100 << 20;
/// Of a backlog in files so much waits for a disk that refuses, before it is given up.
const REFUSED_BACKLOG: u64 = 64 << 20;

/// What else a server may have in memory.
#[derive(Clone, Copy)]
pub struct Allowed {
    /// So many bytes are under way to some server, or wait there: buffers that grow have up to twice as much room.
    pub asked: u64,
    pub has_auto_backlog: bool,
    /// Its backlog goes to files that are not append-only files, and its disk has refused something.
    pub has_refused_backlog: bool,
}

pub fn check(server: HostId, bytes: u64, allowed: Allowed) -> Result<(), Broken> {
    let auto = if allowed.has_auto_backlog { AUTO_BACKLOG } else { 0 };
    let refused = if allowed.has_refused_backlog { REFUSED_BACKLOG } else { 0 };
    let most = MOST + 3 * allowed.asked + auto + refused;
    if bytes <= most {
        return Ok(());
    }
    Err(format!(
        "server {server} has {bytes} bytes of memory in use, and a fleet's data and limits need at most {most}"
    ))
}
