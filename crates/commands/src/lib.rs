//! The command table and the commands that touch only data.
//!
//! [`spec`] says what a command is; each family has a file with its rows, its handlers and their tests; [`table`] joins the rows. A handler gets
//! a [`Ctx`] and leaves [`Effects`]; the server propagates, publishes and wakes. This crate knows no connection and no replica.

pub mod bitmap;
pub mod cluster;
mod collections;
pub mod connection;
pub mod ctx;
pub mod docs;
pub mod effects;
pub mod fail;
pub mod generic;
pub mod geo;
pub mod glob;
pub mod hash;
pub mod hyperloglog;
pub(crate) mod keys;
pub mod list;
pub mod long_double;
pub mod parse;
pub mod places;
pub mod pubsub;
pub(crate) mod sample;
pub(crate) mod scan_page;
pub mod scripting;
pub mod server;
pub mod set;
pub mod settings;
pub mod spec;
pub mod stream;
pub mod string;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
pub mod transactions;
pub(crate) mod waiting;
pub mod zset;

pub use ctx::{Call, Ctx, Data};
pub use effects::{Effects, Propagation};
pub use fail::Fail;
pub use settings::Settings;
pub use spec::Command;
