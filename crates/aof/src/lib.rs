//! The log on disk, as docs/log.md draws it: append-only files, their manifest and identity, and the backlog behind them.
//!
//! What files should exist is decided here, without IO; what is done about it is a list of [`op::Change`]s that a thread carries out in order. In
//! reading order:
//!
//! 1. [`mod@manifest`]: which files make up the data; [`scan`]: what is in one; [`annotation`]: lines that are not the stream's;
//! 2. [`identity`]: whose stream it is;
//! 3. [`op`]: what is done to files;
//! 4. [`files`]: the segments, and what happens to them;
//! 5. [`disk`]: carrying it out; [`sums`] and [`summed`]: checksums of what was written, and what a failed fsync puts in doubt;
//! 6. [`tail`]: the last bytes, which a killed process leaves in memory;
//! 7. [`recover`]: what a restart makes of it;
//! 8. [`rewrite`]: a value as commands, for a base that is no RDB file;
//! 9. [`check`]: what `rivulet-check-aof` does.

pub mod annotation;
pub mod check;
pub mod disk;
pub mod files;
pub mod identity;
pub mod manifest;
pub mod op;
pub mod recover;
pub mod rewrite;
pub mod scan;
pub mod summed;
pub mod sums;
pub mod tail;
