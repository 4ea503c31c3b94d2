//! What a server holds: databases, entries, values, expiry, and snapshots of them.
//!
//! The tour is in `docs/keyspace.md`. This crate knows no protocol, no file format, no clock and no socket.

pub mod value;
