//! The node: everything that the executor thread owns, and what it does. [`start::serve`] is its whole life.
//!
//! What it asks of the machine goes through `rivulet-host`, `rivulet-net` and `rivulet-memory`, so that it also runs on a simulated one.

mod acl;
mod clock;
mod commands;
mod engine;

mod front;
mod helpers;
mod lifecycle;
pub mod log;
mod migrate;
mod node;
mod ops;
mod persist;
pub mod process;
mod replication;
mod scripts;
pub mod system;
mod tracking;
mod turn;

pub use acl::start as users;
pub use front::descriptors;
pub use lifecycle::{signals, start};
pub use rivulet_net::{Door, Visitor};

/// The level of Redis whose behaviour this server has, as INFO announces it.
pub const REDIS_VERSION: &str = "7.2.4";
