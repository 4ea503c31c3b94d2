//! The log writer: a thread that writes the stream to its files and does to them what the executor decides, in one order.
//!
//! The executor never waits for it. It reads how far the bytes are written and synced, and asks to be woken when that changes. What the disk
//! refuses is tried again each second, and stays in memory until then. A second thread syncs each second, so that bytes are written meanwhile.
//!
//! With a [tail] bytes survive a kill of the process from the moment they are appended, so nobody waits for a write, and the
//! writer lingers to write much at once. Bytes go through the tail while nothing else is queued; a step on files, or more than the tail
//! holds, takes the way through memory, and what comes behind it too.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rivulet_aof::disk::SystemDisk;
use rivulet_aof::op::{Change, Disk};
use rivulet_aof::tail::{self, Intake, Outlet};
use rivulet_net::Waker;
use rivulet_replication::log::SharedBytes;

use crate::config::AppendFsync;
use crate::helpers;
use crate::node::os_error;
use crate::{clock, log};

/// The executor's end.
pub struct LogWriter {
    shared: Arc<Shared>,
    generation: u64,
    /// The stream is in a file or in the tail up to here.
    tailed_end: u64,
    /// Of that, replies may tell up to here at once.
    kept: u64,
    /// Bytes may go through the tail.
    tailed: bool,
    /// When bytes were appended last.
    appended_us: u64,
}

/// The executor's name for a change whose end it wants to know.
pub type Token = u64;

enum Job {
    /// What is in the tail.
    Tail,
    /// The tail is this file from now on.
    OpenTail(PathBuf),
    /// There is no tail any more.
    CloseTail,
    /// Bytes for the current file, and the offset of the stream after them.
    Append {
        bytes: Vec<u8>,
        end: u64,
    },
    /// The same, as parts of the log's own blocks.
    Share {
        parts: Vec<SharedBytes>,
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
    /// Jobs that are not the tail's, and have not ended.
    others: usize,
    tail: Option<Intake>,
    /// The offset of the stream after what is in the tail.
    tail_end: u64,
    writer: Activity,
    /// Somebody waits until all is done.
    hurry: bool,
}

/// What the writer does.
#[derive(Debug, Default, PartialEq, Eq)]
enum Activity {
    #[default]
    Waits,
    /// There is something to write, but more may come.
    Lingers,
    Writes,
}

/// What the disk refused is tried again after so long.
const RETRY: Duration = Duration::from_secs(1);
const SYNC_PERIOD_MS: u64 = 1000;
/// After a write the next one is put off so long, unless so much has come together.
const LINGER_US: u64 = 2_000;
const LINGER_BYTES: usize = 1 << 20;
const NO_POLICY: u8 = 0;
const EVERY_SECOND: u8 = 1;
const ALWAYS: u8 = 2;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LogWriter {
    /// A writer whose files end at `end`.
    pub fn start(end: u64, waker: Waker) -> LogWriter {
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
        let syncer = Syncer::start(Arc::clone(&shared));
        let thread =
            Thread { shared: Arc::clone(&shared), disk: SystemDisk::default(), tail: None, syncer, unsynced: false };
        helpers::start("log-writer", move || thread.run());
        LogWriter { shared, generation: 0, tailed_end: end, kept: end, tailed: true, appended_us: 0 }
    }

    pub fn set_policy(&mut self, policy: AppendFsync) {
        let policy = match policy {
            AppendFsync::No => NO_POLICY,
            AppendFsync::EverySec => EVERY_SECOND,
            AppendFsync::Always => ALWAYS,
        };
        self.shared.policy.store(policy, Ordering::Relaxed);
        // With `always` nobody goes by what survives a kill.
        self.tailed = policy != ALWAYS;
    }

    /// Bytes for files beside it may go through the tail at `path`.
    pub fn open_tail(&self, path: PathBuf) {
        self.shared.push(lock(&self.shared.queue), Job::OpenTail(path));
    }

    /// There is no tail any more; what is in it is written first.
    pub fn close_tail(&self) {
        self.shared.push(lock(&self.shared.queue), Job::CloseTail);
    }

    /// `no-appendfsync-on-rewrite`, while a snapshot is written.
    pub fn hold_sync(&self, hold: bool) {
        self.shared.hold_sync.store(hold, Ordering::Relaxed);
    }

    pub fn set_sleep(&self, us: u64) {
        self.shared.sleep_us.store(us, Ordering::Relaxed);
    }

    /// Bytes for the current file; the stream is at `end` after them.
    pub fn append<'a>(&mut self, mut slices: impl Iterator<Item = &'a [u8]> + Clone, end: u64) {
        let now_us = clock::monotonic_us();
        let is_lone = now_us - self.appended_us > LINGER_US;
        self.appended_us = now_us;
        let mut queue = lock(&self.shared.queue);
        let rest = if self.tailed && queue.others == 0 {
            let Queue { tail, jobs, .. } = &mut *queue;
            let mut put = 0;
            let rest = slices.find(|slice| {
                let fits = tail.as_mut().is_some_and(|tail| tail.put(slice));
                put += if fits { slice.len() } else { 0 };
                !fits
            });
            if put > 0 {
                self.shared.queued_bytes.fetch_add(put, Ordering::Relaxed);
                if jobs.is_empty() {
                    jobs.push_back(Job::Tail);
                }
            }
            rest
        } else {
            slices.next()
        };
        match rest {
            None => {
                (queue.tail_end, self.tailed_end) = (end, end);
                // Who writes now and then finds in the file what was acknowledged, as with Redis, if the disk is quick.
                if !is_lone {
                    self.kept = end;
                }
                self.shared.wake(queue);
            }
            Some(first) => self.append_in_memory(queue, std::iter::once(first).chain(slices), end),
        }
    }

    fn append_in_memory<'a>(
        &self,
        mut queue: MutexGuard<'_, Queue>,
        slices: impl Iterator<Item = &'a [u8]> + Clone,
        end: u64,
    ) {
        if !matches!(queue.jobs.back(), Some(Job::Append { .. })) {
            queue.others += 1;
            queue.jobs.push_back(Job::Append { bytes: Vec::new(), end });
        }
        if let Some(Job::Append { bytes, end: until }) = queue.jobs.back_mut() {
            let count = slices.clone().map(<[u8]>::len).sum();
            bytes.reserve(count);
            slices.for_each(|slice| bytes.extend_from_slice(slice));
            self.shared.queued_bytes.fetch_add(count, Ordering::Relaxed);
            *until = end;
        }
        self.shared.wake(queue);
    }

    /// As [`LogWriter::append`], for bytes that nobody copies: replies don't wait for them.
    pub fn share(&self, parts: Vec<SharedBytes>, end: u64) {
        self.shared.queued_bytes.fetch_add(parts.iter().map(|part| part.len()).sum(), Ordering::Relaxed);
        self.shared.push(lock(&self.shared.queue), Job::Share { parts, end });
    }

    /// Steps on files, after everything that was queued before. With a token the result is told by [`LogWriter::results`].
    pub fn change(&self, change: Change, token: Option<Token>) {
        if change.ops.is_empty() && token.is_none() {
            return;
        }
        self.shared.push(lock(&self.shared.queue), Job::Change { change, token });
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

    /// The offset up to which bytes survive the end of the process, however it comes.
    pub fn kept(&self) -> Option<u64> {
        let waits = self.kept < self.tailed_end && clock::monotonic_us() - self.appended_us <= LINGER_US;
        let kept = if waits { self.kept } else { self.tailed_end };
        self.written().map(|written| written.max(kept))
    }

    fn is_current(&self) -> bool {
        self.shared.generation.load(Ordering::Acquire) == self.generation
    }

    /// The stream begins anew at `end`: what was queued before is of the old one.
    pub fn rebase(&mut self, end: u64) {
        self.generation += 1;
        (self.tailed_end, self.kept) = (0, 0);
        let mut queue = lock(&self.shared.queue);
        queue.tail_end = end;
        self.shared.push(queue, Job::Rebase { end, generation: self.generation });
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
        while !queue.is_idle() && !self.shared.failing.load(Ordering::Relaxed) {
            queue.hurry = true;
            self.shared.queued.notify_one();
            let waited = self.shared.done.wait_timeout(queue, Duration::from_millis(100));
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Queue {
    fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.writer != Activity::Writes
    }

    /// What is there should be written without waiting for more.
    fn presses(&self) -> bool {
        self.others > 0 || self.hurry || self.tail.as_ref().is_some_and(|tail| tail.pending() >= LINGER_BYTES)
    }
}

impl Shared {
    fn push(&self, mut queue: MutexGuard<'_, Queue>, job: Job) {
        queue.others += 1;
        queue.jobs.push_back(job);
        self.wake(queue);
    }

    fn wake(&self, queue: MutexGuard<'_, Queue>) {
        let wanted = match queue.writer {
            Activity::Waits => true,
            Activity::Lingers => queue.presses(),
            Activity::Writes => false,
        };
        drop(queue);
        if wanted {
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
    tail: Option<Outlet>,
    syncer: Syncer,
    /// Bytes were written since the last sync began.
    unsynced: bool,
}

impl Thread {
    fn run(mut self) {
        let mut synced_ms = clock::monotonic_ms();
        let mut wrote_us = 0;
        loop {
            let jobs = self.next_jobs(synced_ms + SYNC_PERIOD_MS, wrote_us + LINGER_US);
            if !jobs.is_empty() {
                wrote_us = clock::monotonic_us();
            }
            jobs.into_iter().for_each(|job| self.carry_out(job));
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
    fn next_jobs(&mut self, sync_at_ms: u64, linger_until_us: u64) -> VecDeque<Job> {
        let mut queue = lock(&self.shared.queue);
        queue.writer = Activity::Waits;
        if queue.jobs.is_empty() {
            queue.hurry = false;
            self.shared.done.notify_all();
        }
        loop {
            let now_us = clock::monotonic_us();
            let left_us = if queue.jobs.is_empty() {
                queue.writer = Activity::Waits;
                if !self.unsynced || self.shared.policy.load(Ordering::Relaxed) == NO_POLICY {
                    queue = self.shared.queued.wait(queue).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                (sync_at_ms * 1000).saturating_sub(now_us)
            } else {
                queue.writer = Activity::Lingers;
                if queue.presses() { 0 } else { linger_until_us.saturating_sub(now_us) }
            };
            if left_us == 0 {
                break;
            }
            let waited = self.shared.queued.wait_timeout(queue, Duration::from_micros(left_us));
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.writer = Activity::Writes;
        std::mem::take(&mut queue.jobs)
    }

    fn carry_out(&mut self, job: Job) {
        match job {
            Job::Tail => return self.append_tail(),
            Job::Append { bytes, end } => {
                self.append(&bytes, end);
                self.shared.queued_bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
            }
            Job::Share { parts, end } => self.append_shared(parts, end),
            Job::Change { change, token } => self.change(&change, token),
            Job::Rebase { end, generation } => self.rebase(end, generation),
            Job::OpenTail(path) => self.open_tail(path),
            Job::CloseTail => {
                lock(&self.shared.queue).tail = None;
                if let Some(tail) = self.tail.take() {
                    tail.remove();
                }
            }
        }
        // Nothing goes through the tail while such a job is there, so it is empty now.
        if let Some(tail) = &mut self.tail {
            match self.disk.end() {
                Some((path, len)) => tail.belongs_to(path, len),
                None => tail.belongs_to_none(),
            }
        }
        lock(&self.shared.queue).others -= 1;
    }

    fn open_tail(&mut self, path: PathBuf) {
        match tail::create(&path) {
            Ok((intake, outlet)) => {
                lock(&self.shared.queue).tail = Some(intake);
                self.tail = Some(outlet);
            }
            // Replies wait for the file then.
            Err(e) => log::warning!("Can't make {}: {}", path.display(), os_error(&e)),
        }
    }

    fn append_tail(&mut self) {
        let Some(mut tail) = self.tail.take() else { return };
        let end = lock(&self.shared.queue).tail_end;
        let pieces = tail.pieces();
        let count = pieces.iter().map(|piece| piece.len()).sum();
        pieces.iter().filter(|piece| !piece.is_empty()).for_each(|piece| self.write(piece));
        tail.taken(count);
        self.tail = Some(tail);
        self.shared.queued_bytes.fetch_sub(count, Ordering::Relaxed);
        self.tell_written(end);
    }

    fn append(&mut self, bytes: &[u8], end: u64) {
        self.write(bytes);
        self.tell_written(end);
    }

    fn append_shared(&mut self, parts: Vec<SharedBytes>, end: u64) {
        let count = parts.iter().map(|part| part.len()).sum();
        for part in parts {
            self.write(&part);
        }
        // Who hears that the bytes are written may want the blocks.
        self.shared.queued_bytes.fetch_sub(count, Ordering::Relaxed);
        self.tell_written(end);
    }

    fn write(&mut self, bytes: &[u8]) {
        let sleep_us = self.shared.sleep_us.load(Ordering::Relaxed);
        if sleep_us > 0 {
            clock::sleep(Duration::from_micros(sleep_us));
        }
        while let Err(error) = self.disk.append(bytes) {
            self.shared.failed("Error writing to the AOF file", &error);
            clock::sleep(RETRY);
        }
        self.shared.works();
        self.unsynced = true;
    }

    fn tell_written(&self, end: u64) {
        self.shared.written.fetch_max(end, Ordering::AcqRel);
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
    fn start(shared: Arc<Shared>) -> Syncer {
        let (to, from) = std::sync::mpsc::channel::<(Arc<File>, u64)>();
        let own = Arc::clone(&shared);
        helpers::start("log-syncer", move || {
            for (file, end) in from {
                match file.sync_data() {
                    Ok(()) => own.tell_synced(end),
                    Err(error) => log::warning!("Fail to fsync the AOF file: {}", os_error(&error)),
                }
                own.sync_pending.store(false, Ordering::Release);
            }
        });
        Syncer { shared, to }
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
