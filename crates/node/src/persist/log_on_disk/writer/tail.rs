//! The tail of the file that is written: made, kept ready for the executor, and made again when it breaks.

use std::path::PathBuf;

use rivulet_aof::tail::Tail;

use super::{Job, Thread, lock};
use crate::system::os_error;
use crate::{clock, log};

/// A tail that could not be made, or broke, is made again after so long.
const TAIL_RETRY_MS: u64 = 60_000;

/// The pages of the tail are prepared so often, so that the executor need not wait for them.
const PREPARE_PERIOD_MS: u64 = 100;

impl Thread {
    pub(super) fn open_tail(&mut self, path: PathBuf) {
        // All that is in an earlier one is written, as it comes after that. Its file goes with it, whether there is room for another or not: what is
        // put into a mapping without a name survives nothing.
        self.remove_tail();
        match Tail::create(&path) {
            Ok(tail) => {
                self.pages = Some(tail.pages());
                lock(&self.shared.queue).tail = Some(tail);
            }
            // Replies wait for the file then.
            Err(e) => log::warning!("Can't make {}: {}", path.display(), os_error(&e)),
        }
        self.tail_retry_ms = clock::monotonic_ms() + TAIL_RETRY_MS;
        self.tail_wanted = Some(path);
    }

    pub(super) fn remove_tail(&mut self) {
        self.pages = None;
        let tail = lock(&self.shared.queue).tail.take();
        if let Some(tail) = tail {
            tail.remove();
        }
    }

    /// The file that it belongs to is given up. A restart may begin with that one, and then adds what was acknowledged: the tail stays where it is.
    pub(super) fn leave_tail(&mut self) {
        (self.tail_wanted, self.pages) = (None, None);
        // What is in the pages is the system's, who has the file or not.
        drop(lock(&self.shared.queue).tail.take());
    }

    /// A tail that broke goes, and is made again later.
    pub(super) fn mend_tail(&mut self) {
        let Some(path) = &self.tail_wanted else { return };
        let now_ms = clock::monotonic_ms();
        if let Some(pages) = self.pages.as_mut().filter(|_| now_ms >= self.prepared_ms + PREPARE_PERIOD_MS) {
            pages.prepare();
            self.prepared_ms = now_ms;
        }
        let mut queue = lock(&self.shared.queue);
        // Its pages may be all that has what was acknowledged, so it stays until that is written.
        let broken = queue.tail.take_if(|tail| tail.is_broken() && tail.pending() == 0);
        let is_there = queue.tail.is_some();
        drop(queue);
        if let Some(broken) = broken {
            log::warning!(
                "The disk has taken {} away from the server. Until there is another one, replies wait for the AOF file.",
                path.display()
            );
            self.pages = None;
            broken.remove();
            self.tail_retry_ms = now_ms + TAIL_RETRY_MS;
        } else if !is_there && now_ms >= self.tail_retry_ms {
            self.tail_retry_ms = u64::MAX;
            self.shared.push(lock(&self.shared.queue), Job::OpenTail(path.clone()));
        }
    }
}
