//! Another Sentinel that watches the same master.

use crate::master::Instance;
use crate::votes::Vote;

#[derive(Debug)]
pub struct Peer {
    pub instance: Instance,
    pub last_hello_ms: u64,
    /// It says that the master is down.
    pub says_down: bool,
    pub asked_ms: Option<u64>,
    pub answered_ms: u64,
    /// Whom it says that it voted for.
    pub vote: Vote,
}

impl Peer {
    pub fn new(instance: Instance, now_ms: u64) -> Peer {
        Peer {
            instance,
            last_hello_ms: now_ms,
            says_down: false,
            asked_ms: None,
            answered_ms: now_ms,
            vote: Vote::default(),
        }
    }
}
