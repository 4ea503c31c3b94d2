//! Scripts and functions: Lua 5.1 in a sandbox, its libraries as Redis has them, and the two caches.
//!
//! The crate has no sockets, no keys, no clock and no threads. Whatever a script asks of the server goes through a [`Host`] that is lent for
//! the time of one run; what the run says is written to a [`rivulet_resp::Reply`].
//!
//! ```text
//!   EVAL text numkeys …         engine.scripts().evaluated(text)? → id ── flags(id): may it run? ──► engine.eval(id, &input, &mut host, &mut reply)
//!   EVALSHA sha numkeys …       engine.scripts().by_sha(sha)?    ─┘
//!   FCALL name numkeys …        engine.libraries().find(name)?   → id ── function(id).flags() ─────► engine.fcall(id, &input, &mut host, &mut reply)
//!
//!   in a run:  redis.call(…) → Host::call (checks, execution, propagation are the server's) → its reply becomes a Lua value
//!              every 100,000 instructions → Host::interrupt → go on, or end with a text
//! ```
//!
//! In reading order: [`engine`], [`host`], [`debugger`], [`input`], [`scripts`] and [`libraries`] (the caches), `script_command` and `function_command` (the
//! commands about them); `vm` (a run), `sandbox`, `api` (`redis.*`), `value` and `reply` (the conversions), `cjson`, `cmsgpack`, `structure`
//! (`struct`), `bit`, `strings` with `pattern`, `random`, `number`, `bytecode`; `lua` (the only `unsafe` code).
//!
//! # What it promises
//!
//! - No script makes it panic, loop without the host being asked, or hold more memory than it may; a script's end by the host can't be held up
//!   by `pcall` and its kin. The host is not asked while a C function of Lua's own works (`table.sort` without a function, `table.concat`) and
//!   while a text is compiled: these take time in proportion to what the script made.
//! - After any end of a run the next run finds the sandbox as it was.
//! - The same calls give the same results on each machine: there is no clock and no randomness but the host's.

mod api;
mod bit;
mod bytecode;
mod cjson;
mod cmsgpack;
mod context;
pub mod debugger;
pub mod dump;
pub mod engine;
pub mod function_command;
pub mod host;
pub mod input;
pub mod libraries;
mod lua;
mod number;
mod pattern;
mod random;
mod reply;
mod sandbox;
pub mod script_command;
pub mod scripts;
mod shebang;
mod strings;
mod structure;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod value;
mod vm;

pub use context::Identity;
pub use debugger::{Console, Received};
pub use engine::Engine;
pub use host::{Host, Interrupt, KILLED, LOAD_TIMEOUT, LogLevel, Replication};
pub use input::Input;
pub use libraries::{FunctionId, Libraries, Policy};
pub use scripts::{ScriptId, Scripts};
pub use shebang::{Flag, Flags};
pub use vm::{Ended, Remains};
