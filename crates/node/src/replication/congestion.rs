//! A replica whose disk takes less than its master sends.
//!
//! What is applied waits in memory for the append-only file. With `log-queue-limit` bytes of it the master's stream is read no more: it waits where it
//! is, with the master, which has room for it on disk. Nothing is lost, the link stays and acknowledges what is applied, and when the disk takes
//! the rest the stream goes on. A replica that ignores such errors (`replica-ignore-disk-write-errors`) goes on meanwhile.

use crate::log;
use crate::node::Node;

/// A disk that is only slow makes the stream wait again and again: that is said no more often than this.
const SAYING_PERIOD_MS: u64 = 10_000;

impl Node {
    /// The stream must wait for the disk. It goes on when half of what waited is written, not piece by piece.
    pub(super) fn stream_must_wait(&self) -> bool {
        let disk = &self.persist.log;
        let waits = self.replication.link.as_ref().is_some_and(|link| link.waits_for_disk);
        let limit = if waits { self.config.log_queue_limit / 2 } else { self.config.log_queue_limit };
        !disk.files.is_backlog()
            && disk.unwritten_bytes(self.replication.offset()) > limit
            && !(self.config.replica_ignore_disk_write_errors && disk.failure().is_some())
    }

    /// Stops to read the master's stream, or goes on, as the disk allows.
    pub fn follow_disk(&mut self) {
        if self.replication.link.is_none() {
            return;
        }
        let waits = self.stream_must_wait();
        let now = self.now_ms();
        let Some(link) = &mut self.replication.link else { return };
        let waited = std::mem::replace(&mut link.waits_for_disk, waits);
        if waits && let Some(writer) = &self.persist.log.writer {
            writer.watch();
        }
        match (waited, waits) {
            (false, true) => {
                self.read_master_again();
                if self.replication.waiting_said_ms.is_some_and(|said| now < said + SAYING_PERIOD_MS) {
                    return;
                }
                self.replication.waiting_said_ms = Some(now);
                let (queued, why) =
                    (self.persist.log.unwritten_bytes(self.replication.offset()), self.persist.log.failure());
                let why = why.unwrap_or_else(|| "the disk is too slow".to_string());
                log::warning!(
                    "{queued} bytes of the master's stream wait for the append-only file, more than log-queue-limit: the rest is left to the master until they are written ({why})."
                );
            }
            (true, false) => {
                log::verbose!("The disk takes the append-only file again: the master's stream goes on.");
                self.apply_kept_stream();
                self.read_master_again();
            }
            // The disk has caught up between the two looks at it, and nothing more need come for which the rest would be looked at.
            (false, false) if link.rests_for_disk => self.apply_kept_stream(),
            _ => {}
        }
    }
}
