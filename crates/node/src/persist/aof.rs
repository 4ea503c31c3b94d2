//! Append-only persistence as users see it: `appendonly`, BGREWRITEAOF, the automatic rewrite, WAITAOF, and what a start makes of the files.
//!
//! The bytes and files are those of the log on disk ([`crate::persist::log_on_disk`]); here is when they begin, when they are rewritten, and what is told.

mod driver;
mod found;

use std::path::PathBuf;

use rivulet_aof::recover::{Found, Replayed};

/// The state of append-only persistence.
#[derive(Default)]
pub struct Aof {
    /// A rewrite begins as soon as no other snapshot is made.
    pub rewrite_scheduled: bool,
    pub last_rewrite_seconds: Option<u64>,
    pub last_rewrite_failed: bool,
    pub rewrites: u64,
    /// Also those that could not begin: each writes to a file of its own.
    rewrites_begun: u64,
    pub consecutive_failures: u64,
    /// Bytes of the base and of everything since, when the last rewrite ended.
    pub rewritten_bytes: u64,
    pub base_bytes: u64,
    /// Append-only is on, but its files could not be begun: that is tried again.
    begin_again: bool,
    not_whole: Option<NotWhole>,
    /// What a start found; kept until the files are loaded.
    found: Option<Found>,
    pub replayed: Vec<Replayed>,
    /// A command of the files has failed.
    pub replay_failed: bool,
    /// Where the last rewrite that began writes its base, whatever `dir` is by now. One that was given up may still be writing to another.
    temporary_base: PathBuf,
    /// The snapshot is written, and its file takes its name.
    renaming: Option<Renaming>,
    /// After repeated failures: no automatic rewrite before then, and how long the next pause is.
    limited_until_ms: u64,
    limit_minutes: u64,
    /// No rewrite before then that writes wait for.
    urgent_from_ms: u64,
    /// The second that the file was last told of (`aof-timestamp-enabled`).
    annotated_s: u64,
}

/// Files that a restart would begin with may lack something that was executed: no writes before a rewrite has made them whole.
#[derive(Clone, Copy)]
pub struct NotWhole {
    /// The stream's generation that was written to them. What is written after it proves nothing before the rewrite has ended.
    pub generation: u64,
    /// They were to hold the stream up to here.
    pub end: u64,
    /// What a failed fsync covered is in none of them, and only the data in memory have it.
    pub lacks_data: bool,
}

struct Renaming {
    /// Of the rewrite. The result of one that was given up meanwhile is nobody's.
    number: u64,
    started_ms: u64,
    temporary: PathBuf,
    base: String,
    base_bytes: u64,
    first: bool,
    /// Append-only is off: nothing goes on from this base, which lies in this directory.
    alone_in: Option<PathBuf>,
}

impl Aof {
    pub fn not_whole(&self) -> Option<NotWhole> {
        self.not_whole
    }

    /// Writes are refused until a rewrite has ended, or files could be begun at all.
    fn is_urgent(&self) -> bool {
        self.not_whole.is_some() || self.begin_again
    }

    /// The loader has come to the end of a file.
    pub fn file_loaded(&mut self, replayed: Option<Replayed>, base_damaged: bool) {
        self.replayed.extend(replayed);
        if let Some(found) = &mut self.found {
            found.base_damaged |= base_damaged;
        }
    }
}
