//! The unit of execution, and whose commands run.

use rivulet_resp::OwnedArgs;

use crate::client_id::ClientId;

/// What is executed as one: a command, a transaction, a step of expiry or of eviction.
#[derive(Default)]
pub struct Unit {
    /// What it has to propagate: (database, command).
    pub commands: Vec<(usize, OwnedArgs)>,
    /// How many of these were nobody's order: what a command found expired. Counted from wherever somebody sets it to 0.
    pub went_ahead: usize,
    /// Its writes go out one by one, not in MULTI.
    pub no_multi: bool,
    /// A transaction runs: more is to come before it is propagated.
    pub is_open: bool,
}

/// Whose commands run now.
#[derive(Default)]
pub struct Speaker {
    /// The client whose batch runs, 0 for none.
    pub executing: ClientId,
    /// What it has caused itself to be told, which follows its reply.
    pub own_pushes: Vec<u8>,
}
