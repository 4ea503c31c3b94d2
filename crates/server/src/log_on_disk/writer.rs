//! The log writer: a thread that writes the stream to its files and does to them what the executor decides, in one order.
//!
//! The executor never waits for it. It reads how far the bytes are written and synced, and asks to be woken when that changes. What the disk
//! refuses is tried again each second, and stays in memory until then. A second thread syncs each second, so that bytes are written meanwhile.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rivulet_aof::disk::SystemDisk;
use rivulet_aof::op::{Change, Disk};
use rivulet_net::Waker;

use crate::config::AppendFsync;
use crate::memory::Counted;
use crate::node::os_error;
use crate::{clock, log};

/// The executor's end.
pub struct LogWriter {
    shared: Arc<Shared>,
    generation: u64,
}

/// The executor's name for a change whose end it wants to know.
pub type Token = u64;

enum Job {
    /// Bytes for the current file, and the offset of the stream after them.
    Append {
        bytes: Vec<u8>,
        end: u64,
    },
    Change {
        change: Change,
        token: Option<Token>,
    },
    /// The stream begins anew at this offset.
    Rebase {
        end: u64,
        generation: u64,
    },
}

struct Shared {
    queue: Mutex<Queue>,
    /// Something was queued.
    queued: Condvar,
    /// Something was done: only those wait for it who must (the end of the process).
    done: Condvar,
    queued_bytes: AtomicUsize,
    /// How often the stream has begun anew. `written` and `fsynced` are of this beginning.
    generation: AtomicU64,
    written: AtomicU64,
    fsynced: AtomicU64,
    policy: AtomicU8,
    /// Nothing is synced each second while this is set.
    hold_sync: AtomicBool,
    failing: AtomicBool,
    /// The executor wants to know when `written` or `fsynced` has moved.
    watched: AtomicBool,
    sync_pending: AtomicBool,
    delayed_syncs: AtomicU64,
    /// For tests: us to sleep before each write.
    sleep_us: AtomicU64,
    results: Mutex<Vec<(Token, Result<(), String>)>>,
    last_error: Mutex<String>,
    waker: Waker,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    busy: bool,
}

/// What the disk refused is tried again after so long.
const RETRY: Duration = Duration::from_secs(1);
const SYNC_PERIOD_MS: u64 = 1000;
const NO_POLICY: u8 = 0;
const EVERY_SECOND: u8 = 1;
const ALWAYS: u8 = 2;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LogWriter {
    /// A writer whose files end at `end`.
    pub fn start(end: u64, waker: Waker) -> io::Result<LogWriter> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            queued: Condvar::new(),
            done: Condvar::new(),
            queued_bytes: AtomicUsize::new(0),
            generation: AtomicU64::new(0),
            written: AtomicU64::new(end),
            fsynced: AtomicU64::new(end),
            policy: AtomicU8::new(EVERY_SECOND),
            hold_sync: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            sync_pending: AtomicBool::new(false),
            delayed_syncs: AtomicU64::new(0),
            sleep_us: AtomicU64::new(0),
            results: Mutex::default(),
            last_error: Mutex::default(),
            waker,
        });
        let syncer = Syncer::start(Arc::clone(&shared))?;
        let thread = Thread { shared: Arc::clone(&shared), disk: SystemDisk::default(), syncer, unsynced: false };
        std::thread::Builder::new().name("log-writer".into()).spawn(move || thread.run())?;
        Ok(LogWriter { shared, generation: 0 })
    }

    pub fn set_policy(&self, policy: AppendFsync) {
        let policy = match policy {
            AppendFsync::No => NO_POLICY,
            AppendFsync::EverySec => EVERY_SECOND,
            AppendFsync::Always => ALWAYS,
        };
        self.shared.policy.store(policy, Ordering::Relaxed);
    }

    /// `no-appendfsync-on-rewrite`, while a snapshot is written.
    pub fn hold_sync(&self, hold: bool) {
        self.shared.hold_sync.store(hold, Ordering::Relaxed);
    }

    pub fn set_sleep(&self, us: u64) {
        self.shared.sleep_us.store(us, Ordering::Relaxed);
    }

    /// Bytes for the current file; the stream is at `end` after them.
    pub fn append<'a>(&self, slices: impl Iterator<Item = &'a [u8]>, end: u64) {
        let mut queue = lock(&self.shared.queue);
        if !matches!(queue.jobs.back(), Some(Job::Append { .. })) {
            queue.jobs.push_back(Job::Append { bytes: Vec::new(), end });
        }
        if let Some(Job::Append { bytes, end: until }) = queue.jobs.back_mut() {
            let before = bytes.len();
            slices.for_each(|slice| bytes.extend_from_slice(slice));
            self.shared.queued_bytes.fetch_add(bytes.len() - before, Ordering::Relaxed);
            *until = end;
        }
        self.shared.wake(queue);
    }

    /// Steps on files, after everything that was queued before. With a token the result is told by [`LogWriter::results`].
    pub fn change(&self, change: Change, token: Option<Token>) {
        if change.ops.is_empty() && token.is_none() {
            return;
        }
        let mut queue = lock(&self.shared.queue);
        queue.jobs.push_back(Job::Change { change, token });
        self.shared.wake(queue);
    }

    /// Changes that have ended since the last call.
    pub fn results(&self) -> Vec<(Token, Result<(), String>)> {
        std::mem::take(&mut *lock(&self.shared.results))
    }

    /// The offset up to which bytes are in a file; `None` until the writer has come to the stream's last beginning.
    pub fn written(&self) -> Option<u64> {
        self.is_current().then(|| self.shared.written.load(Ordering::Acquire))
    }

    /// The offset up to which bytes are durable.
    pub fn fsynced(&self) -> Option<u64> {
        self.is_current().then(|| self.shared.fsynced.load(Ordering::Acquire))
    }

    fn is_current(&self) -> bool {
        self.shared.generation.load(Ordering::Acquire) == self.generation
    }

    /// The stream begins anew at `end`: what was queued before is of the old one.
    pub fn rebase(&mut self, end: u64) {
        self.generation += 1;
        let mut queue = lock(&self.shared.queue);
        queue.jobs.push_back(Job::Rebase { end, generation: self.generation });
        self.shared.wake(queue);
    }

    /// Bytes that wait to be written.
    pub fn queued_bytes(&self) -> usize {
        self.shared.queued_bytes.load(Ordering::Relaxed)
    }

    /// Why the last write failed, while it does.
    pub fn failure(&self) -> Option<String> {
        self.shared.failing.load(Ordering::Relaxed).then(|| lock(&self.shared.last_error).clone())
    }

    /// Syncs that were put off because one was still going on.
    pub fn delayed_syncs(&self) -> u64 {
        self.shared.delayed_syncs.load(Ordering::Relaxed)
    }

    pub fn sync_pending(&self) -> bool {
        self.shared.sync_pending.load(Ordering::Relaxed)
    }

    /// The executor's waker is called once, when bytes are written or synced.
    pub fn watch(&self) {
        self.shared.watched.store(true, Ordering::Release);
    }

    /// Waits until all that was queued is done, or the disk refuses it. For the beginning and the end of the process, and for DEBUG.
    pub fn wait_until_idle(&self) {
        let mut queue = lock(&self.shared.queue);
        while (queue.busy || !queue.jobs.is_empty()) && !self.shared.failing.load(Ordering::Relaxed) {
            let waited = self.shared.done.wait_timeout(queue, Duration::from_millis(100));
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn wake(&self, queue: MutexGuard<'_, Queue>) {
        let idle = !queue.busy;
        drop(queue);
        if idle {
            self.queued.notify_one();
        }
    }

    fn tell_progress(&self) {
        if self.watched.swap(false, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    fn tell_synced(&self, end: u64) {
        self.fsynced.fetch_max(end, Ordering::AcqRel);
        self.tell_progress();
    }

    fn failed(&self, what: &str, error: &io::Error) {
        let text = os_error(error);
        *lock(&self.last_error) = text.clone();
        if !self.failing.swap(true, Ordering::AcqRel) {
            log::warning!("{what}: {text}");
            self.waker.wake();
        }
    }

    fn works(&self) {
        if self.failing.swap(false, Ordering::AcqRel) {
            log::warning!("AOF write error looks solved. The server can write again.");
            self.waker.wake();
        }
    }
}

struct Thread {
    shared: Arc<Shared>,
    disk: SystemDisk,
    syncer: Syncer,
    /// Bytes were written since the last sync began.
    unsynced: bool,
}

impl Thread {
    fn run(mut self) {
        let _counted = Counted::register();
        let mut synced_ms = clock::monotonic_ms();
        loop {
            let jobs = self.next_jobs(synced_ms + SYNC_PERIOD_MS);
            for job in jobs {
                match job {
                    Job::Append { bytes, end } => self.append(&bytes, end),
                    Job::Change { change, token } => self.change(&change, token),
                    Job::Rebase { end, generation } => self.rebase(end, generation),
                }
            }
            match self.shared.policy.load(Ordering::Relaxed) {
                ALWAYS if self.unsynced => self.sync_now(),
                EVERY_SECOND if self.unsynced && clock::monotonic_ms() >= synced_ms + SYNC_PERIOD_MS => {
                    synced_ms = clock::monotonic_ms();
                    self.sync_elsewhere();
                }
                _ => {}
            }
        }
    }

    /// What was queued; nothing when it is time to sync.
    fn next_jobs(&mut self, sync_at_ms: u64) -> VecDeque<Job> {
        let mut queue = lock(&self.shared.queue);
        queue.busy = false;
        if queue.jobs.is_empty() {
            self.shared.done.notify_all();
        }
        while queue.jobs.is_empty() {
            if !self.unsynced || self.shared.policy.load(Ordering::Relaxed) == NO_POLICY {
                queue = self.shared.queued.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let left = sync_at_ms.saturating_sub(clock::monotonic_ms());
            if left == 0 {
                break;
            }
            let waited = self.shared.queued.wait_timeout(queue, Duration::from_millis(left));
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.busy = true;
        std::mem::take(&mut queue.jobs)
    }

    fn append(&mut self, bytes: &[u8], end: u64) {
        let sleep_us = self.shared.sleep_us.load(Ordering::Relaxed);
        if sleep_us > 0 {
            clock::sleep(Duration::from_micros(sleep_us));
        }
        while let Err(error) = self.disk.append(bytes) {
            self.shared.failed("Error writing to the AOF file", &error);
            clock::sleep(RETRY);
        }
        self.shared.works();
        self.shared.queued_bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
        self.unsynced = true;
        self.shared.written.store(end, Ordering::Release);
        // With `always` it is the sync that is waited for.
        if self.shared.policy.load(Ordering::Relaxed) != ALWAYS {
            self.shared.tell_progress();
        }
    }

    fn change(&mut self, change: &Change, token: Option<Token>) {
        let mut result = change.carry_out(&mut self.disk);
        while let (true, Err((_, error))) = (change.must, &result) {
            self.shared.failed("Error changing the files of the log", error);
            clock::sleep(RETRY);
            result = change.carry_out(&mut self.disk);
        }
        if change.must {
            self.shared.works();
        }
        if result.is_ok() && change.ops.contains(&rivulet_aof::op::FileOp::Sync) {
            self.shared.tell_synced(self.shared.written.load(Ordering::Relaxed));
        }
        if let Some(token) = token {
            let result = result.map_err(|(_, error)| os_error(&error));
            lock(&self.shared.results).push((token, result));
            self.shared.waker.wake();
        }
    }

    fn rebase(&mut self, end: u64, generation: u64) {
        // The syncer may still be about to tell an offset of the old stream.
        while self.shared.sync_pending.load(Ordering::Acquire) {
            clock::sleep(Duration::from_millis(1));
        }
        self.shared.written.store(end, Ordering::Release);
        self.shared.fsynced.store(end, Ordering::Release);
        self.shared.generation.store(generation, Ordering::Release);
        self.shared.tell_progress();
    }

    fn sync_now(&mut self) {
        while let Err(error) = self.disk.sync() {
            self.shared.failed("Can't persist AOF for fsync error when the AOF fsync policy is 'always'", &error);
            clock::sleep(RETRY);
        }
        self.shared.works();
        self.unsynced = false;
        self.shared.tell_synced(self.shared.written.load(Ordering::Relaxed));
    }

    fn sync_elsewhere(&mut self) {
        if self.shared.hold_sync.load(Ordering::Relaxed) {
            return;
        }
        let Some(file) = self.disk.current() else { return };
        if self.syncer.begin(file, self.shared.written.load(Ordering::Relaxed)) {
            self.unsynced = false;
        } else {
            self.shared.delayed_syncs.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The thread that syncs each second.
struct Syncer {
    shared: Arc<Shared>,
    to: std::sync::mpsc::Sender<(Arc<File>, u64)>,
}

impl Syncer {
    fn start(shared: Arc<Shared>) -> io::Result<Syncer> {
        let (to, from) = std::sync::mpsc::channel::<(Arc<File>, u64)>();
        let own = Arc::clone(&shared);
        std::thread::Builder::new().name("log-syncer".into()).spawn(move || {
            for (file, end) in from {
                match file.sync_data() {
                    Ok(()) => own.tell_synced(end),
                    Err(error) => log::warning!("Fail to fsync the AOF file: {}", os_error(&error)),
                }
                own.sync_pending.store(false, Ordering::Release);
            }
        })?;
        Ok(Syncer { shared, to })
    }

    /// Begins to sync, unless the last one still goes on.
    fn begin(&self, file: Arc<File>, end: u64) -> bool {
        if self.shared.sync_pending.swap(true, Ordering::AcqRel) {
            return false;
        }
        // The thread ends with this end of the channel only.
        self.to.send((file, end)).is_ok()
    }
}
