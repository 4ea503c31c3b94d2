//! The engine: the data, and what executing commands on them needs.
//!
//! It is told the time and what is the case, changes the data, and leaves what is to be done about that to whoever asked: what goes to the stream is in the
//! [unit](mod@unit), who is to be told or to go on is answered. It knows no sockets, no files, no replicas and no clock; sessions it is given
//! ([`sessions::Sessions`]).

pub mod channel;
pub mod client_id;
pub mod client_set;
pub mod id_hash;

pub mod asker;
pub mod blocked;
pub mod session;
pub mod sessions;

pub mod admit;
pub mod call;
pub mod look_up;

pub mod unit;

pub mod ack_waits;
pub mod blocking;
pub mod pubsub;
pub mod renames;
pub mod tracking;
pub mod watches;

pub mod by_itself;
pub mod eviction;
pub mod expiry;
pub mod own_expiring;

mod engine;

pub use engine::{Engine, KeyKeeping};
