//! The replication that a server is part of, made from what servers answer: who follows whom, how far behind, which syncs are under way and which
//! there were, and why.
//!
//! [`Survey`] is told answers and the time, and draws a [`Topology`]; it says whom to ask next. It opens no socket and reads no clock. [`Watcher`] is what
//! asks. Both the page and a terminal's view stand on this; how things are shown is theirs.
//!
//! Redis and Valkey answer, too; they tell less, and what they don't tell is absent and never guessed.

pub mod address;
pub mod doctor;
pub mod event;
pub mod info;
pub mod link;
pub mod node;
pub mod rate;
pub mod survey;
pub mod sync;
pub mod watcher;

pub use address::Address;
pub use info::Info;
pub use link::{Link, LinkState};
pub use node::{Node, Role};
pub use survey::{Now, Survey, Topology};
pub use watcher::{Ask, AskError, Connect, Watcher};
