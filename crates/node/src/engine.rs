//! The engine's driver: from a client's batch to the engine's functions, and from what those answer to what the node has to do.
//!
//! The data, and what executing commands on them needs, are in the crate `rivulet_engine`.

pub mod ack_waits;
pub mod admission;
pub mod blocking;
pub mod call;
pub mod eviction;
pub mod execute;
pub mod expiry;
pub mod messages;
pub mod transactions;
