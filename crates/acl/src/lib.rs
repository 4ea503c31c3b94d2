//! Users and what they may do.
//!
//! In reading order: rules, which are words, change a [`User`], which has a root [`Selector`] and maybe others; each is a set of commands (bits by the ids of
//! the command table), patterns of keys and patterns of channels. [`User::check`] says whether a command may run, and if not, why ([`Denied`]).
//! [`Users`] are all of them, by name; [`mod@file`] reads and writes them as lines; [`Log`] keeps what was denied.
//!
//! Rules, texts and errors are those of Redis 7.0 to the byte, with what 7.2 added to the log. Nothing here does IO, reads a clock or knows a
//! connection: who a client is, and what becomes of it when its user changes, is the server's affair.

mod check;
mod command_set;
mod describe;
pub mod file;
mod log;
mod password;
mod pattern;
pub mod reply;
mod rule;
mod selector;
mod user;
mod users;

pub use check::Denied;
pub use command_set::CommandSet;
pub use log::{Context, Entry, Event, Log, OBJECT_LEN_MAX, Reason};
pub use password::PasswordHash;
pub use pattern::{Access, KeyPattern};
pub use rule::{RuleError, has_blanks, merge_selectors};
pub use selector::Selector;
pub use user::{Sanitize, User, reads_unnamed_keys};
pub use users::{DEFAULT, Deleted, SetError, Users};
