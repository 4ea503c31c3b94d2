//! Replies that wait: what they tell of is not safe on this disk yet (`appendfsync`), or not on as many replicas as must have it
//! (`synchronous-replicas`). A reply leaves when its offset is released, in the order of its connection; docs/failover.md has the rules.
//!
//! Where only the disk is waited for, what a turn has written to a client is looked at once, at its end. With synchronous replicas each command that
//! has something to wait for leaves a mark, so that its reply, and no other, can be replaced when the time is over.

mod driver;

use rivulet_engine::client_id::ClientId;

/// Whose replies wait.
pub struct Held {
    /// Nothing waits for anything: what all go by who ask for nothing of this.
    pub lets_all: bool,
    /// Commands leave marks.
    pub marks: bool,
    /// What is published now tells of a write.
    pub announces: bool,
    /// Clients with replies that wait.
    clients: Vec<ClientId>,
    /// No wait is over before, ms on the machine's clock.
    next_end_ms: u64,
}

impl Default for Held {
    fn default() -> Held {
        Held { lets_all: true, marks: false, announces: false, clients: Vec::new(), next_end_ms: u64::MAX }
    }
}

impl Held {
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// How many clients have replies that wait.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// When the next wait is over, ms on the machine's clock.
    pub fn next_end_ms(&self) -> u64 {
        self.next_end_ms
    }
}

/// Where a client stood before a command.
pub struct Before {
    start: u64,
    written: u64,
    reads: bool,
}
