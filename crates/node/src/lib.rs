//! The node: everything that the executor thread owns, and what it does. [`start::serve`] is its whole life.
//!
//! What it asks of the machine goes through `rivulet-host`, `rivulet-net` and `rivulet-memory`, so that it also runs on a simulated one.

mod accept;
mod ack_waits;
mod admit;
mod aof;
mod asker;
mod blocking;
mod client_command;
mod client_eviction;
mod client_set;
mod clients;
mod clock;
mod command_command;
mod config_command;
mod connection;
mod connection_commands;
mod cron;
mod data_commands;
mod debug;
mod descriptors;
mod digest;
mod dispatch;
mod engine;
mod event_loop;
mod evict;
mod execute;
mod expire;
mod front;
mod helpers;
mod id_hash;
mod info;
mod latency;
mod lifecycle;
mod loading;
mod log;
mod log_on_disk;
mod memory_command;
mod messages;
mod migrate;
mod node;
mod ops;
mod output;
mod pause;
mod payload;
mod persist;
mod persistence;
mod pubsub;
mod reaper;
mod renames;
mod replay;
mod replication;
mod scheduling;
mod session;
mod shutdown;
mod signals;
mod slowlog;
mod snapshot;
pub mod start;
mod stats;
mod transactions;
mod unauthenticated;

/// The level of Redis whose behaviour this server has, as INFO announces it.
pub const REDIS_VERSION: &str = "7.0.15";
