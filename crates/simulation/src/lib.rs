//! Real nodes on simulated machines.
//!
//! [`disk`], [`network`] and [`machine`] are what a node sees of the world; [`schedule`] runs nodes on such machines, one step at a time; [`client`]
//! speaks to them. Everything that is decided by chance is decided by a seed, so a run can be repeated to the byte.

pub mod client;
pub mod content;
pub mod disk;
pub mod failover;
pub mod fleet;
pub mod invariants;
pub mod link;
pub mod machine;
pub mod memory;
pub mod network;
pub mod observer;
pub mod plan;
pub mod reader;
pub mod schedule;
pub mod seeds;
pub mod synchronous;
pub mod watch;
pub mod writer;
