//! The log on disk, as the executor drives it: what is given to the writer and when, what of it may be sent, and pieces for replicas that are
//! behind the memory window. docs/log.md is the design; `rivulet_aof::files` decides which files there are; [`crate::persist::aof`] is append-only
//! persistence as users see it.

mod driver;
mod reader;
mod writer;

use std::path::{Path, PathBuf};

use rivulet_aof::files::{Directory, LogFiles, lock_name};
use rivulet_aof::identity::Role;
use rivulet_aof::op::{Change, FileOp};
use rivulet_config::Config;
use rivulet_engine::client_id::ClientId;
use rivulet_host::fs::{self, File};
use rivulet_replication::history::History;

use crate::helpers;
use crate::system::os_error;
use reader::LogReader;

pub use writer::{LogWriter, Token};

/// The executor's part of the log on disk.
pub struct LogOnDisk {
    pub files: LogFiles,
    /// Started when something is to be written.
    pub writer: Option<LogWriter>,
    reader: Option<LogReader>,
    /// The stream was given to the writer up to here.
    handed: u64,
    /// Replies may tell of writes up to here.
    pub safe: u64,
    /// Identity files with new ids that are not written yet.
    ids_due: usize,
    /// Replicas that are told of these when they are.
    untold: Vec<ClientId>,
    /// The lock of the backlog directory, while this server writes there.
    backlog_lock: Option<BacklogLock>,
    /// The locks of append-only files that are, or were, this server's, with their paths.
    pub append_only_locks: Vec<(PathBuf, File)>,
    /// The disk refused the backlog; it is tried again then.
    backlog_retry_ms: u64,
    /// Pieces read for replicas so far, in bytes.
    pub read_bytes: u64,
}

/// A backlog directory that is this server's.
struct BacklogLock {
    directory: Directory,
    /// The lock is given up with the file.
    _file: File,
}

/// A segment is a quarter of `repl-backlog-disk-size`, within these.
const SEGMENT_BYTES_MIN: u64 = 1 << 20;

const SEGMENT_BYTES_MAX: u64 = 64 << 20;

/// So many bytes has a segment.
pub fn segment_bytes(config: &Config) -> u64 {
    (config.repl_backlog_disk_size / 4).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)
}

impl LogOnDisk {
    pub fn new(config: &Config, history: History) -> LogOnDisk {
        LogOnDisk {
            files: LogFiles::new(history, Role::Master, segment_bytes(config)),
            writer: None,
            reader: None,
            handed: 0,
            safe: u64::MAX,
            ids_due: 0,
            untold: Vec::new(),
            backlog_lock: None,
            append_only_locks: Vec::new(),
            backlog_retry_ms: 0,
            read_bytes: 0,
        }
    }

    pub fn change(&self, change: Change, token: Option<Token>) {
        if let Some(writer) = &self.writer {
            writer.change(change, token);
        }
    }

    /// A writer that waits for room on the disk does not come to the files that go: they go at once. What is not there under its name yet goes when
    /// it comes to them.
    fn make_room(&self, change: &Change) {
        if self.failure().is_none() {
            return;
        }
        let removed = |op: &FileOp| if let FileOp::Remove { path } = op { Some(path.clone()) } else { None };
        let paths: Vec<_> = change.ops.iter().filter_map(removed).collect();
        if !paths.is_empty() {
            helpers::start("room-maker", move || {
                for path in paths {
                    // As said: the writer tries again.
                    let _ = fs::remove_file(path);
                }
            });
        }
    }

    /// Files that could not be begun are dropped: the bytes that were meant for them are nowhere.
    fn tell_lost_is_known(&self) {
        if let Some(writer) = self.writer.as_ref().filter(|_| self.files.is_open()) {
            writer.lost_is_known(self.handed);
        }
    }

    /// Whether the append-only files of this name in a directory are this server's: until it ends, no other server gets them. Also those that are data
    /// no more may serve its replicas.
    ///
    /// # Errors
    /// Another server has them, or that can't be told.
    pub fn lock_append_only(&mut self, directory: &Path, filename: &str) -> Result<(), String> {
        let path = fs::canonicalize(directory).map_err(|e| os_error(&e))?.join(lock_name(filename));
        if self.append_only_locks.iter().any(|(locked, _)| *locked == path) {
            return Ok(());
        }
        let locked = File::create(&path).and_then(|file| file.lock().map(|()| file));
        let file = locked.map_err(|e| match e.kind() {
            std::io::ErrorKind::WouldBlock => "another server uses them".to_string(),
            _ => format!("{} can't be locked: {}", path.display(), os_error(&e)),
        })?;
        self.append_only_locks.push((path, file));
        Ok(())
    }

    /// The first file of a rewrite could not be made.
    pub fn first_file_failed(&mut self, number: u64) {
        let change = self.files.first_file_failed(number);
        self.change(change, None);
        self.tell_lost_is_known();
    }

    /// A file that was not found under this name may have been about to get it.
    fn may_have_come(&self, path: &Path) -> bool {
        self.writer.as_ref().is_some_and(LogWriter::is_renaming) || fs::metadata(path).is_ok()
    }

    /// The ids of this node are not on disk yet. A disk that refuses is not waited for.
    fn lacks_ids(&self) -> bool {
        self.ids_due > 0 && self.failure().is_none()
    }

    /// Why the disk does not take the log, while it does not.
    pub fn failure(&self) -> Option<String> {
        self.writer.as_ref()?.failure()
    }

    /// So much waits to be written that writes must wait (`log-queue-limit`).
    pub fn is_congested(&self, limit: u64) -> bool {
        self.queued_bytes() > limit
    }

    /// Bytes of the stream that wait to be written, given to the writer or not.
    pub fn unwritten_bytes(&self, end: u64) -> u64 {
        self.queued_bytes() + end.saturating_sub(self.handed)
    }

    /// Bytes that wait to be written.
    pub fn queued_bytes(&self) -> u64 {
        self.writer.as_ref().map_or(0, |writer| writer.queued_bytes() as u64)
    }
}
