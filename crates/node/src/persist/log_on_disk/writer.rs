//! The log writer: a thread that writes the stream to its files and does to them what the executor decides, in one order.
//!
//! The executor never waits for it. It reads how far the bytes are written and synced, and asks to be woken when that changes. What the disk
//! refuses is tried again each second, and stays in memory until then. A second thread syncs each second, so that bytes are written meanwhile.
//!
//! With a tail bytes survive a kill of the process from the moment they are appended, so nobody waits for a write, and the
//! writer lingers to write much at once. Bytes are put into the tail while nothing else is queued; with a step on files before them, or when they
//! are more than the tail holds, they are in memory only, and what comes behind them too.
//!
//! What a failed fsync covered is not durable before it was written again and synced ([`Summed`]); until then `failure` says so. If it can't be
//! read back, the executor is told to begin the files anew from the data.
//!
//! A file that the disk refuses can be given up: what was not written by then goes nowhere, and nothing is tried again before the file is closed.

mod tail;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rivulet_aof::disk::SystemDisk;
use rivulet_aof::op::{Change, Disk, FileOp};
use rivulet_aof::summed::Summed;
use rivulet_aof::tail::{Pages, Tail};
use rivulet_config::AppendFsync;
use rivulet_host::fs::File;
use rivulet_host::sync::{self, Condvar};
use rivulet_net::Waker;
use rivulet_replication::log::SharedBytes;

use crate::helpers;
use crate::system::os_error;
use crate::{clock, log};

/// The executor's end.
pub struct LogWriter {
    shared: Arc<Shared>,
    generation: u64,
    /// Where the stream begins that this generation writes.
    began: u64,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// Of files that only serve replicas.
    Backlog,
    /// An identity file with new ids.
    Ids,
    /// The first incremental file of a rewrite, with its number ([`rivulet_aof::files::FirstFile`]).
    FirstFile { number: u64 },
    /// The end of a rewrite of append-only files, with its number.
    Rewrite { number: u64 },
    /// What rewrites have made history goes.
    History,
}

enum Job {
    /// The tail is this file from now on.
    OpenTail(PathBuf),
    /// There is no tail any more.
    CloseTail,
    /// Bytes for the current file, and the offset of the stream after them.
    Append {
        bytes: Vec<u8>,
        end: u64,
        /// They are in the tail too.
        in_tail: bool,
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
    /// The executor knows which bytes are nowhere. Those before this offset that it counts on are written.
    LostIsKnown {
        end: u64,
    },
}

struct Shared {
    queue: Mutex<Queue>,
    /// Something was queued.
    queued: Condvar,
    /// Something was done: only those wait for it who must (the end of the process).
    done: Condvar,
    queued_bytes: AtomicUsize,
    /// Changes that give files other names, and have not ended.
    renames: AtomicUsize,
    /// How often the stream has begun anew. `written` and `fsynced` are of this beginning.
    generation: AtomicU64,
    written: AtomicU64,
    fsynced: AtomicU64,
    policy: AtomicU8,
    /// Nothing is synced each second while this is set.
    hold_sync: AtomicBool,
    /// What does not work: bits of [`Failing`].
    failing: AtomicU8,
    /// The writer tries again and again, and comes to nothing else.
    stuck: AtomicBool,
    /// Changes that begin or close the file which is written: so many were queued, and so many have ended. The latter is the file's number.
    files_queued: AtomicU64,
    files_ended: AtomicU64,
    /// Before so many have ended nothing that the disk refuses is tried again.
    given_up: AtomicU64,
    /// What a failed fsync covered can't be brought to the disk, in the file of this number: the files must be begun anew.
    lost: AtomicU64,
    /// The executor wants to know when `written` or `fsynced` has moved.
    watched: AtomicBool,
    sync_pending: AtomicBool,
    /// The sync that ended last, until the writer has looked at it.
    sync_ended: Mutex<Option<SyncEnd>>,
    delayed_syncs: AtomicU64,
    /// For tests: us to sleep before each write.
    sleep_us: AtomicU64,
    results: Mutex<Vec<(Token, Result<(), String>)>>,
    last_error: Mutex<String>,
    waker: Waker,
}

/// What may not work.
#[derive(Clone, Copy)]
enum Failing {
    Writing = 1,
    Syncing = 2,
    /// The executor says that the files are not whole.
    Files = 4,
}

/// How a sync in the background ended.
struct SyncEnd {
    /// Of the file that was synced, so many bytes were covered.
    mark: u64,
    result: io::Result<()>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Jobs that are not in the tail, and have not ended.
    others: usize,
    tail: Option<Tail>,
    /// Bytes in the tail that no writer has taken.
    in_tail: usize,
    /// A buffer that was written, for the next bytes.
    spare: Vec<u8>,
    writer: Activity,
    /// Somebody waits until all is done.
    hurry: bool,
    /// The policy has changed, or a sync has ended.
    attention: bool,
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
const RETRY_MS: u64 = 1000;
/// Whether it is given up instead is looked at so often.
const REST: Duration = Duration::from_millis(50);
const SYNC_PERIOD_MS: u64 = 1000;
/// A larger buffer is not kept.
const SPARE_BYTES_MAX: usize = 1 << 20;
/// After a write the next one is put off so long, unless so much has come together.
const LINGER_US: u64 = 2_000;
const LINGER_BYTES: usize = 1 << 20;
const NOT_LOST: u64 = u64::MAX;
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
            renames: AtomicUsize::new(0),
            generation: AtomicU64::new(0),
            written: AtomicU64::new(end),
            fsynced: AtomicU64::new(end),
            policy: AtomicU8::new(EVERY_SECOND),
            hold_sync: AtomicBool::new(false),
            failing: AtomicU8::new(0),
            stuck: AtomicBool::new(false),
            files_queued: AtomicU64::new(0),
            files_ended: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            lost: AtomicU64::new(NOT_LOST),
            watched: AtomicBool::new(false),
            sync_pending: AtomicBool::new(false),
            sync_ended: Mutex::default(),
            delayed_syncs: AtomicU64::new(0),
            sleep_us: AtomicU64::new(0),
            results: Mutex::default(),
            last_error: Mutex::default(),
            waker,
        });
        let syncer = Syncer::start(Arc::clone(&shared));
        let thread = Thread {
            shared: Arc::clone(&shared),
            disk: Summed::new(SystemDisk::default()),
            tail_wanted: None,
            tail_retry_ms: 0,
            pages: None,
            prepared_ms: 0,
            syncer,
            unsynced: false,
            closed_unsynced: false,
            lacks_bytes: false,
            refused: false,
            policy: EVERY_SECOND,
        };
        helpers::start("log-writer", move || thread.run());
        LogWriter { shared, generation: 0, began: end, tailed_end: end, kept: end, tailed: true, appended_us: 0 }
    }

    pub fn set_policy(&mut self, policy: AppendFsync) {
        let policy = match policy {
            AppendFsync::No => NO_POLICY,
            AppendFsync::EverySec => EVERY_SECOND,
            AppendFsync::Always => ALWAYS,
        };
        // With `always` nobody goes by what survives a kill.
        self.tailed = policy != ALWAYS;
        let mut queue = lock(&self.shared.queue);
        self.shared.policy.store(policy, Ordering::Relaxed);
        // It may sleep while something waits for a sync that was nobody's business before.
        queue.attention = true;
        self.shared.wake(queue);
    }

    /// The files are not whole for this reason, or are again: [`LogWriter::failure`] tells.
    pub fn set_files_failing(&self, why: Option<&str>) {
        match why {
            Some(why) => self.shared.fails(Failing::Files, why.to_string()),
            None => self.shared.works(Failing::Files),
        };
    }

    /// What a failed fsync covered can't be brought to the disk. Told once, and of no file that is to be closed already.
    pub fn take_lost(&self) -> bool {
        let number = self.shared.files_queued.load(Ordering::Relaxed);
        self.shared.lost.compare_exchange(number, NOT_LOST, Ordering::AcqRel, Ordering::Relaxed).is_ok()
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
    pub fn append<'a>(&mut self, slices: impl Iterator<Item = &'a [u8]> + Clone, end: u64) {
        let now_us = clock::monotonic_us();
        let is_lone = now_us - self.appended_us > LINGER_US;
        self.appended_us = now_us;
        let mut queue = lock(&self.shared.queue);
        let in_tail =
            self.tailed && queue.others == 0 && queue.tail.as_mut().is_some_and(|tail| tail.put(slices.clone()));
        let count = slices.clone().map(<[u8]>::len).sum();
        queue.append(slices, count, end, in_tail);
        self.shared.queued_bytes.fetch_add(count, Ordering::Relaxed);
        if in_tail {
            self.tailed_end = end;
            // Who writes now and then finds in the file what was acknowledged, as with Redis, if the disk is quick.
            if !is_lone {
                self.kept = end;
            }
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
        if renames(&change) {
            self.shared.renames.fetch_add(1, Ordering::AcqRel);
        }
        if ends_file(&change) {
            self.shared.files_queued.fetch_add(1, Ordering::AcqRel);
        }
        self.shared.push(lock(&self.shared.queue), Job::Change { change, token });
    }

    /// As [`LogWriter::change`], for one that closes the file and what is still to be written to it: what the disk refuses is not tried again before
    /// that. It does not count as written, and the stream must begin anew.
    pub fn give_up(&self, change: Change) {
        debug_assert!(ends_file(&change), "nothing else ends what is given up");
        self.change(change, None);
        self.shared.given_up.store(self.shared.files_queued.load(Ordering::Acquire), Ordering::Release);
    }

    /// A file may not have the name that it is to have.
    pub fn is_renaming(&self) -> bool {
        self.shared.renames.load(Ordering::Acquire) > 0
    }

    /// What was meant for a file that could not be begun is nowhere, and the executor counts on it no more. What it has given so far ends at `end`.
    pub fn lost_is_known(&self, end: u64) {
        self.shared.push(lock(&self.shared.queue), Job::LostIsKnown { end });
    }

    /// Changes that have ended since the last call.
    pub fn results(&self) -> Vec<(Token, Result<(), String>)> {
        std::mem::take(&mut *lock(&self.shared.results))
    }

    /// The offset up to which bytes are in a file; `None` until the writer has come to the stream's last beginning.
    pub fn written(&self) -> Option<u64> {
        self.is_current().then(|| self.shared.written.load(Ordering::Acquire))
    }

    /// The offset up to which bytes are in a file, also while the writer has yet to come to the stream's last beginning: then what is queued before
    /// it counts as far as it is written, and nothing after it.
    pub fn written_before(&self) -> u64 {
        self.written().unwrap_or_else(|| self.shared.written.load(Ordering::Acquire).min(self.began))
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

    /// How often the stream has begun anew.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    fn is_current(&self) -> bool {
        self.shared.generation.load(Ordering::Acquire) == self.generation
    }

    /// The stream begins anew at `end`: what was queued before is of the old one.
    pub fn rebase(&mut self, end: u64) {
        self.generation += 1;
        self.began = end;
        (self.tailed_end, self.kept) = (0, 0);
        self.shared.push(lock(&self.shared.queue), Job::Rebase { end, generation: self.generation });
    }

    /// Bytes that wait to be written.
    pub fn queued_bytes(&self) -> usize {
        self.shared.queued_bytes.load(Ordering::Relaxed)
    }

    /// Why the last write failed, while it does.
    pub fn failure(&self) -> Option<String> {
        (self.shared.failing.load(Ordering::Relaxed) != 0).then(|| lock(&self.shared.last_error).clone())
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

    /// Waits until all that was queued is done, or the disk refuses it: answers which. For the beginning and the end of the process and of append-only
    /// files, and for DEBUG.
    pub fn wait_until_idle(&self) -> bool {
        let mut queue = lock(&self.shared.queue);
        while !queue.is_idle() && (!self.shared.stuck.load(Ordering::Relaxed) || self.shared.gives_up()) {
            queue.hurry = true;
            self.shared.queued.notify_one();
            let waited = self.shared.done.wait_timeout(&self.shared.queue, queue, Duration::from_millis(100));
            queue = waited.unwrap_or_else(PoisonError::into_inner);
        }
        queue.is_idle()
    }
}

fn renames(change: &Change) -> bool {
    change.ops.iter().any(|op| matches!(op, FileOp::Rename { .. }))
}

fn ends_file(change: &Change) -> bool {
    change.ops.iter().any(|op| matches!(op, FileOp::Begin { .. } | FileOp::Resume { .. } | FileOp::Close))
}

impl Queue {
    fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.writer != Activity::Writes
    }

    /// What is there should be written without waiting for more.
    fn presses(&self) -> bool {
        self.others > 0 || self.hurry || self.attention || self.in_tail >= LINGER_BYTES
    }

    fn append<'a>(&mut self, slices: impl Iterator<Item = &'a [u8]>, count: usize, end: u64, in_tail: bool) {
        if !matches!(self.jobs.back(), Some(Job::Append { in_tail: before, .. }) if *before == in_tail) {
            self.others += usize::from(!in_tail);
            let bytes = std::mem::take(&mut self.spare);
            self.jobs.push_back(Job::Append { bytes, end, in_tail });
        }
        self.in_tail += if in_tail { count } else { 0 };
        if let Some(Job::Append { bytes, end: until, .. }) = self.jobs.back_mut() {
            bytes.reserve(count);
            slices.for_each(|slice| bytes.extend_from_slice(slice));
            *until = end;
        }
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

    /// What the disk refuses now is not tried again.
    fn gives_up(&self) -> bool {
        self.files_ended.load(Ordering::Acquire) < self.given_up.load(Ordering::Acquire)
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

    /// Says that something does not work; answers whether that is new.
    fn fails(&self, what: Failing, text: String) -> bool {
        *lock(&self.last_error) = text;
        let is_new = self.failing.fetch_or(what as u8, Ordering::AcqRel) & what as u8 == 0;
        if is_new {
            self.waker.wake();
        }
        is_new
    }

    fn failed(&self, what: Failing, line: &str, error: &io::Error) {
        let text = os_error(error);
        if self.fails(what, text.clone()) {
            log::warning!("{line}: {text}");
        }
    }

    /// Answers whether it did not before.
    fn works(&self, what: Failing) -> bool {
        if self.failing.load(Ordering::Relaxed) & what as u8 == 0 {
            return false;
        }
        self.failing.fetch_and(!(what as u8), Ordering::AcqRel);
        self.waker.wake();
        true
    }

    fn can_write(&self) {
        if self.works(Failing::Writing) {
            log::warning!("AOF write error looks solved. The server can write again.");
        }
    }

    fn can_sync(&self) {
        if self.works(Failing::Syncing) {
            log::warning!("The AOF file is synced again, with what the failed fsync covered.");
        }
    }
}

struct Thread {
    shared: Arc<Shared>,
    disk: Summed<SystemDisk>,
    /// Where there should be a tail, and when one that is not there is tried again.
    tail_wanted: Option<PathBuf>,
    tail_retry_ms: u64,
    /// The pages of one that is there, and when they were prepared last.
    pages: Option<Pages>,
    prepared_ms: u64,
    syncer: Syncer,
    /// Bytes were written since the last sync began.
    unsynced: bool,
    /// Bytes were in a file when it was closed that no sync has covered: nothing is durable before a file, or the stream, begins anew.
    closed_unsynced: bool,
    /// There was no file for bytes of the stream: what follows them does not count as written before the executor knows.
    lacks_bytes: bool,
    /// The disk has refused what is given up: nothing more is done before that is closed, so that nothing has a gap.
    refused: bool,
    /// What it was when last looked at.
    policy: u8,
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
            self.look_at_sync();
            self.look_at_policy();
            let is_time = clock::monotonic_ms() >= synced_ms + SYNC_PERIOD_MS;
            match self.policy {
                ALWAYS if self.unsynced => {
                    if is_time {
                        synced_ms = clock::monotonic_ms();
                        self.disk.mark();
                    }
                    self.sync_now();
                }
                _ if self.disk.is_in_doubt() && is_time => {
                    synced_ms = clock::monotonic_ms();
                    self.sync_again();
                }
                EVERY_SECOND if self.unsynced && is_time && !self.disk.is_in_doubt() => {
                    synced_ms = clock::monotonic_ms();
                    self.sync_elsewhere();
                }
                NO_POLICY => self.disk.note_full(),
                _ => {}
            }
            if let Some(error) = self.disk.take_trouble() {
                log::warning!("Can't keep checksums of the log's files: {}", os_error(&error));
            }
            self.mend_tail();
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
            let left_us = if queue.attention {
                0
            } else if queue.jobs.is_empty() {
                queue.writer = Activity::Waits;
                if !self.waits_for_sync() {
                    queue = self.shared.queued.wait(&self.shared.queue, queue).unwrap_or_else(PoisonError::into_inner);
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
            let waited = self.shared.queued.wait_timeout(&self.shared.queue, queue, Duration::from_micros(left_us));
            queue = waited.unwrap_or_else(PoisonError::into_inner);
        }
        queue.writer = Activity::Writes;
        queue.attention = false;
        queue.in_tail = 0;
        std::mem::take(&mut queue.jobs)
    }

    /// There is something to sync when its time comes.
    fn waits_for_sync(&self) -> bool {
        self.disk.is_in_doubt() || self.unsynced && self.policy != NO_POLICY
    }

    fn carry_out(&mut self, job: Job) {
        match job {
            Job::Append { bytes, end, in_tail } => {
                self.append(bytes, end, in_tail);
                if in_tail {
                    return;
                }
            }
            Job::Share { parts, end } => self.append_shared(parts, end),
            Job::Change { change, token } => self.change(&change, token),
            Job::Rebase { end, generation } => self.rebase(end, generation),
            Job::LostIsKnown { end } => {
                if !self.refused && std::mem::take(&mut self.lacks_bytes) {
                    self.tell_written(end);
                }
            }
            Job::OpenTail(path) => self.open_tail(path),
            Job::CloseTail => {
                self.tail_wanted = None;
                self.remove_tail();
            }
        }
        // Nothing is put into the tail while such a job is there, so all of it is written now.
        let mut queue = lock(&self.shared.queue);
        if let Some(tail) = &mut queue.tail {
            match self.disk.disk().end() {
                Some((path, len)) => tail.belongs_to(path, len),
                None => tail.belongs_to_none(),
            }
        }
        queue.others -= 1;
    }

    fn append(&mut self, mut bytes: Vec<u8>, end: u64, in_tail: bool) {
        let is_written = self.write(&bytes);
        let count = bytes.len();
        bytes.clear();
        let mut queue = lock(&self.shared.queue);
        if in_tail
            && !self.refused
            && let Some(tail) = &mut queue.tail
        {
            tail.taken(count);
        }
        if bytes.capacity() <= SPARE_BYTES_MAX {
            queue.spare = bytes;
        }
        drop(queue);
        if in_tail && self.refused {
            self.leave_tail();
        }
        self.shared.queued_bytes.fetch_sub(count, Ordering::Relaxed);
        self.passed(end, is_written);
    }

    fn append_shared(&mut self, parts: Vec<SharedBytes>, end: u64) {
        let count = parts.iter().map(|part| part.len()).sum();
        let mut is_written = true;
        for part in parts {
            is_written &= self.write(&part);
        }
        // Who hears that the bytes are written may want the blocks.
        self.shared.queued_bytes.fetch_sub(count, Ordering::Relaxed);
        self.passed(end, is_written);
    }

    /// The stream's bytes up to `end` are written, or there was no file for them.
    fn passed(&mut self, end: u64, is_written: bool) {
        self.lacks_bytes |= !is_written && end > self.shared.written.load(Ordering::Relaxed);
        if is_written && !self.lacks_bytes {
            self.tell_written(end);
        }
    }

    /// Answers whether there is a file for it: one that could not be begun was told of, and what was meant for it goes nowhere.
    fn write(&mut self, bytes: &[u8]) -> bool {
        if self.disk.disk().end().is_none() || self.refused {
            return false;
        }
        let sleep_us = self.shared.sleep_us.load(Ordering::Relaxed);
        if sleep_us > 0 {
            clock::sleep(Duration::from_micros(sleep_us));
        }
        while let Err(error) = self.disk.append(bytes) {
            if self.shared.gives_up() {
                self.refused = true;
                self.goes_on();
                return false;
            }
            self.shared.failed(Failing::Writing, "Error writing to the AOF file", &error);
            self.rest();
        }
        self.goes_on();
        self.shared.can_write();
        self.unsynced = true;
        true
    }

    /// Waits before something is tried again.
    fn rest(&self) {
        self.shared.stuck.store(true, Ordering::Relaxed);
        self.shared.done.notify_all();
        let until_ms = clock::monotonic_ms() + RETRY_MS;
        while clock::monotonic_ms() < until_ms && !self.shared.gives_up() {
            clock::sleep(REST);
        }
    }

    fn goes_on(&self) {
        self.shared.stuck.store(false, Ordering::Relaxed);
    }

    fn tell_written(&self, end: u64) {
        self.shared.written.fetch_max(end, Ordering::AcqRel);
        // With `always` it is the sync that is waited for.
        if self.shared.policy.load(Ordering::Relaxed) != ALWAYS {
            self.shared.tell_progress();
        }
    }

    fn change(&mut self, change: &Change, token: Option<Token>) {
        use FileOp::{Begin, Close, Resume, Sync};
        // What a sync in the background finds is of the file that is current now.
        if change.ops.iter().any(|op| matches!(op, Sync | Begin { .. } | Resume { .. } | Close)) {
            self.wait_for_sync();
        }
        let in_doubt = self.disk.is_in_doubt();
        self.look_whether_all_is_given_up(change);
        let mut result = match self.refused {
            true => Err((0, io::Error::other("the file before it was given up"))),
            false => change.carry_out(&mut self.disk),
        };
        while let (true, false, Err((_, error))) = (change.must, self.disk.is_lost() || self.refused, &result) {
            if self.shared.gives_up() {
                self.refused = true;
                break;
            }
            self.shared.failed(Failing::Writing, "Error changing the files of the log", error);
            self.rest();
            result = change.carry_out(&mut self.disk);
        }
        self.goes_on();
        match &result {
            Ok(()) if change.must => self.shared.can_write(),
            Ok(()) => {}
            Err((step, error)) if token.is_none() => {
                log::warning!("Error changing the files of the log ({:?}): {}", change.ops[*step], os_error(error));
            }
            Err(_) => {}
        }
        let done = result.as_ref().map_or_else(|(step, _)| *step, |()| change.ops.len());
        self.look_what_was_synced(&change.ops[..done], in_doubt);
        if ends_file(change) {
            self.shared.files_ended.fetch_add(1, Ordering::AcqRel);
        }
        self.tell_doubt();
        if renames(change) {
            self.shared.renames.fetch_sub(1, Ordering::AcqRel);
        }
        if let Some(token) = token {
            let result = result.map_err(|(_, error)| os_error(&error));
            lock(&self.shared.results).push((token, result));
            self.shared.waker.wake();
        }
    }

    /// With this change what was refused is closed: what comes behind it is tried as ever.
    fn look_whether_all_is_given_up(&mut self, change: &Change) {
        let ended = self.shared.files_ended.load(Ordering::Acquire);
        if self.refused && ends_file(change) && ended + 1 >= self.shared.given_up.load(Ordering::Acquire) {
            self.refused = false;
            self.shared.works(Failing::Writing);
        }
    }

    /// These steps were done. `in_doubt`: before them a sync had failed.
    fn look_what_was_synced(&mut self, done: &[FileOp], in_doubt: bool) {
        let mut unsynced = self.unsynced || in_doubt;
        for op in done {
            match op {
                FileOp::Sync => {
                    unsynced = false;
                    self.tell_synced();
                }
                FileOp::Close => {
                    self.closed_unsynced |= unsynced;
                    (self.unsynced, unsynced) = (false, false);
                }
                FileOp::Begin { .. } | FileOp::Resume { .. } => self.closed_unsynced = false,
                _ => {}
            }
        }
    }

    fn rebase(&mut self, end: u64, generation: u64) {
        // The syncer may still be about to tell an offset of the old stream.
        self.wait_for_sync();
        (self.lacks_bytes, self.closed_unsynced) = (false, false);
        self.shared.written.store(end, Ordering::Release);
        self.shared.fsynced.store(end, Ordering::Release);
        self.shared.generation.store(generation, Ordering::Release);
        self.shared.tell_progress();
    }

    // ---- syncing ----

    /// The policy has changed: what waited for a write may wait for a sync now, and the other way round.
    fn look_at_policy(&mut self) {
        let policy = self.shared.policy.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.policy, policy) != policy {
            self.shared.tell_progress();
        }
    }

    /// A sync in the background has ended, well or not.
    fn look_at_sync(&mut self) {
        let Some(SyncEnd { mark, result }) = lock(&self.shared.sync_ended).take() else { return };
        match result {
            Ok(()) => self.disk.synced(mark),
            Err(error) => {
                self.disk.doubt();
                self.shared.failed(Failing::Syncing, "Fail to fsync the AOF file", &error);
            }
        }
    }

    fn wait_for_sync(&mut self) {
        while self.shared.sync_pending.load(Ordering::Acquire) {
            clock::sleep(Duration::from_millis(1));
        }
        self.look_at_sync();
    }

    fn sync_now(&mut self) {
        self.wait_for_sync();
        while let Err(error) = self.disk.sync_written() {
            let line = "Can't persist AOF for fsync error when the AOF fsync policy is 'always'";
            self.shared.failed(Failing::Syncing, line, &error);
            if self.disk.is_lost() {
                return self.tell_doubt();
            }
            if self.shared.gives_up() {
                return self.goes_on();
            }
            self.rest();
        }
        self.goes_on();
        self.synced();
    }

    /// After a failed sync: what it covered is written again, and synced here.
    fn sync_again(&mut self) {
        self.disk.mark();
        match self.disk.sync_written() {
            Ok(()) => self.synced(),
            Err(error) => self.shared.failed(Failing::Syncing, "Fail to fsync the AOF file", &error),
        }
        self.tell_doubt();
    }

    fn synced(&mut self) {
        self.unsynced = false;
        self.shared.can_sync();
        self.tell_synced();
    }

    /// All that was written is durable, if no file was closed before a sync had covered what is in it.
    fn tell_synced(&self) {
        if !self.closed_unsynced {
            self.shared.tell_synced(self.shared.written.load(Ordering::Relaxed));
        }
    }

    /// Another file may have been begun, or the bytes of this one can't be had.
    fn tell_doubt(&self) {
        if !self.disk.is_in_doubt() {
            // With a file that was closed meanwhile nothing fails any more, but it was not synced, either.
            match self.closed_unsynced {
                true => _ = self.shared.works(Failing::Syncing),
                false => self.shared.can_sync(),
            }
        } else if self.disk.is_lost() {
            let number = self.shared.files_ended.load(Ordering::Acquire);
            if self.shared.lost.swap(number, Ordering::AcqRel) != number {
                self.shared.waker.wake();
            }
        }
    }

    fn sync_elsewhere(&mut self) {
        if self.shared.hold_sync.load(Ordering::Relaxed) {
            return;
        }
        let Some(file) = self.disk.disk().current() else { return };
        if self.shared.sync_pending.load(Ordering::Acquire) {
            self.shared.delayed_syncs.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mark = self.disk.mark();
        self.unsynced = false;
        self.syncer.begin(file, mark, self.shared.written.load(Ordering::Relaxed));
    }
}

/// The thread that syncs each second.
struct Syncer {
    shared: Arc<Shared>,
    to: sync::Sender<(Arc<File>, u64, u64)>,
}

impl Syncer {
    fn start(shared: Arc<Shared>) -> Syncer {
        let (to, from) = sync::channel::<(Arc<File>, u64, u64)>();
        let own = Arc::clone(&shared);
        helpers::start("log-syncer", move || {
            for (file, mark, end) in from {
                let result = SystemDisk::sync_file(&file);
                if result.is_ok() {
                    own.tell_synced(end);
                }
                *lock(&own.sync_ended) = Some(SyncEnd { mark, result });
                own.sync_pending.store(false, Ordering::Release);
                let mut queue = lock(&own.queue);
                queue.attention = true;
                own.wake(queue);
            }
        });
        Syncer { shared, to }
    }

    /// Begins to sync a file; no other sync goes on.
    fn begin(&self, file: Arc<File>, mark: u64, end: u64) {
        self.shared.sync_pending.store(true, Ordering::Release);
        // The thread ends with this end of the channel only.
        let _ = self.to.send((file, mark, end));
    }
}

#[cfg(test)]
mod tests;
