//! What a server holds: databases, entries, values, expiry, and snapshots of them.
//!
//! The tour is in `docs/keyspace.md`. This crate knows no protocol, no file format, no clock and no socket.

pub mod bits;
pub mod db;
pub mod entry;
pub mod hash;
pub mod keyspace;
pub mod size_class;
mod table;
pub mod value;

pub use db::{Db, Deadline, Expired, Removed, Room, Sink, StringSet, Trash};
pub use entry::{Collection, CollectionMut, EntryMut, EntryRef, KEY_LEN_MAX, NewEntry, Ref, Type, View};
pub use hash::{HashKeys, Key, KeyHasher};
pub use keyspace::Keyspace;
pub use table::SlotMut;
pub use value::{Elem, Hash, Limits, List, Set, Stream, Value, ZSet};
