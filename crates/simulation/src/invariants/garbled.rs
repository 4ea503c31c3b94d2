//! What masters send is commands, from wherever a replica goes on: nobody finds anything else in its stream, unless it was put there.

use super::Broken;
use crate::network::HostId;

/// What a server logs that can't read its master's stream.
const UNREADABLE: &[u8] = b"Protocol error from MASTER";

/// Whether a line of a log says so.
pub fn is_told(line: &[u8]) -> bool {
    line.windows(UNREADABLE.len()).any(|window| window == UNREADABLE)
}

/// This server said so; lines were put into streams, or not.
pub fn check(server: Option<HostId>, with_garbage: bool) -> Result<(), Broken> {
    match server {
        Some(server) if !with_garbage => Err(format!("server {server} can't read what its master sends")),
        _ => Ok(()),
    }
}
