//! The Sentinel's program: one loop that watches sockets, tells the [`Sentinel`](rivulet_sentinel::Sentinel) what they bring, and does what it asks
//! for. Before anything of a turn leaves, the configuration is on the disk.
//!
//! In reading order: `start`, `program` (the loop), `turn` (what is done at its end), `outgoing` (connections to instances), `clients`, `commands`,
//! `page`.

mod client_command;
mod clients;
mod command_table;
mod commands;
mod handshakes;
mod info;
mod listeners;
mod names;
mod outgoing;
mod page;
mod program;
mod scripts;
mod start;
mod store;
mod subscriptions;
mod turn;
mod users;

pub use page::OpenPage;
pub use start::serve;
