//! Real nodes on simulated machines.
//!
//! [`disk`], [`network`] and [`machine`] are what a node sees of the world; [`schedule`] runs nodes on such machines, one step at a time; [`client`]
//! speaks to them. Everything that is decided by chance is decided by a seed, so a run can be repeated to the byte.

pub mod client;
pub mod disk;
pub mod machine;
pub mod network;
pub mod schedule;
