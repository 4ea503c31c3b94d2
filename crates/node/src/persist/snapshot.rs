//! A snapshot that runs: captured on the executor, made into a file or a payload on the serializer's thread.
//!
//! The executor encodes what is small at the moment of its capture and passes the bytes on; of what is big it passes a clone of the root. The
//! serializer encodes the big values, computes the checksum, and writes the file or hands blocks back for the replicas' sockets. The walker waits
//! while too many bytes are under way (`snapshot-queue-limit`). What is overwritten must be captured whoever waits; if that becomes too much
//! (`snapshot-limbo-limit`), the snapshot fails. So memory stays bounded by these two and by the window of a payload.

mod form;
mod summing;

use std::cell::RefCell;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rivulet_host::fs::{self, File};
use rivulet_host::sync::{self, Receiver, Sender};
use rivulet_keyspace::{EntryRef, Keyspace, Sink, Value, View};
use rivulet_net::Waker;
use rivulet_rdb::crc64::Digest;
use rivulet_rdb::write::Meta;
use rivulet_replication::verify::{Findings, Marker};

pub use form::{Encoder, Form};
use summing::Summing;

use crate::helpers::{self, Helper};
use crate::persist::payload::{Pace, Payload};
use crate::system::os_error;
use crate::{clock, log};

/// Captured bytes are passed on in pieces of about this size.
const PIECE_BYTES: usize = 128 << 10;
/// So much room they have: the last entry may go beyond.
const PIECE_ROOM: usize = PIECE_BYTES + (PIECE_BYTES >> 3);
/// The serializer keeps so many empty pieces ready for the executor.
const SPARES: usize = 8;
/// A string longer than this is passed on by reference.
const COPIED_LEN_MAX: usize = 16 << 10;
/// The walker hands over so many entries before it looks at the clock again.
const WALK_STEP: usize = 64;

/// How LRU or LFU bits become part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessInfo {
    None,
    Idle { clock_s: u32 },
    Freq,
}

/// What goes from the executor to the serializer.
enum Piece {
    /// Encoded bytes, with the keys in them.
    Bytes(Vec<u8>, u64),
    /// A big value.
    Value {
        key: Box<[u8]>,
        value: Value,
        meta: Meta,
    },
    End,
}

/// Empty pieces for the executor. The serializer makes them: where memory has to be mapped for them, that would keep the executor waiting for
/// whoever looks at the process's mappings.
struct Spares {
    from: Receiver<Vec<u8>>,
    count: Arc<AtomicUsize>,
}

/// The serializer's end of them.
struct SparesMaker {
    to: Sender<Vec<u8>>,
    count: Arc<AtomicUsize>,
}

impl Spares {
    fn new() -> (Spares, SparesMaker) {
        let (to, from) = sync::channel();
        let count = Arc::new(AtomicUsize::new(0));
        (Spares { from, count: count.clone() }, SparesMaker { to, count })
    }

    /// There are none before the serializer has begun.
    fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    fn take(&self) -> Vec<u8> {
        let Ok(spare) = self.from.try_recv() else { return Vec::with_capacity(PIECE_ROOM) };
        self.count.fetch_sub(1, Ordering::Relaxed);
        spare
    }
}

impl SparesMaker {
    fn fill_up(&self) {
        while self.count.load(Ordering::Relaxed) < SPARES {
            self.count.fetch_add(1, Ordering::Relaxed);
            // The executor wants no more of them when the snapshot is given up; that is told elsewhere.
            let _ = self.to.send(Vec::with_capacity(PIECE_ROOM));
        }
    }
}

/// Gathers captured entries.
struct Capture {
    writer: Encoder,
    buffer: Vec<u8>,
    spares: Spares,
    keys: u64,
    /// Pass pieces on after so many keys.
    keys_max: u64,
    db: Option<usize>,
    access: AccessInfo,
    to: Sender<Piece>,
    under_way: Arc<AtomicUsize>,
    keys_done: u64,
    /// Databases and functions are left out (`rdb-filter-only`).
    exclude_data: bool,
}

impl Capture {
    /// Takes the head's bytes, which are the first that are passed on.
    fn new(head: &mut Head, spares: Spares, to: Sender<Piece>, under_way: Arc<AtomicUsize>) -> Capture {
        let delay = head.key_delay.load(Ordering::Relaxed);
        Capture {
            writer: head.writer.clone(),
            buffer: std::mem::take(&mut head.bytes),
            spares,
            keys: 0,
            keys_max: if delay == 0 { u64::MAX } else { (1000 / delay.max(1)).clamp(1, 100) as u64 },
            db: None,
            access: head.access,
            to,
            under_way,
            keys_done: 0,
            exclude_data: head.exclude_data,
        }
    }

    fn pass_on(&mut self) {
        if !self.buffer.is_empty() {
            // Limits count bytes, not the room that they have: what is far from full goes without its own.
            let bytes = if self.buffer.len() < PIECE_BYTES / 2 {
                let bytes = self.buffer.as_slice().to_vec();
                self.buffer.clear();
                bytes
            } else {
                std::mem::replace(&mut self.buffer, self.spares.take())
            };
            self.under_way.fetch_add(bytes.len(), Ordering::Relaxed);
            // A serializer that failed has ended; its result tells why.
            let _ = self.to.send(Piece::Bytes(bytes, std::mem::take(&mut self.keys)));
        }
    }

    fn meta(&self, entry: EntryRef<'_>) -> Meta {
        let (mut idle_s, mut freq) = (None, None);
        match self.access {
            AccessInfo::None => {}
            AccessInfo::Idle { clock_s } => idle_s = Some(u64::from(clock_s.wrapping_sub(entry.clock()) & 0xff_ffff)),
            AccessInfo::Freq => freq = Some((entry.clock() & 0xff) as u8),
        }
        Meta { deadline_ms: entry.deadline(), idle_s, freq }
    }
}

impl Sink for Capture {
    fn capture(&mut self, db: usize, entry: EntryRef<'_>) {
        if self.exclude_data {
            return;
        }
        if self.db != Some(db) {
            self.db = Some(db);
            self.writer.select_db(&mut self.buffer, db as u64);
        }
        self.keys_done += 1;
        let meta = self.meta(entry);
        let view = entry.value();
        if is_big(&view) {
            self.pass_on();
            let value = entry.clone_value();
            self.under_way.fetch_add(COPIED_LEN_MAX, Ordering::Relaxed);
            // As in `pass_on`.
            let _ = self.to.send(Piece::Value { key: entry.key().into(), value, meta });
            return;
        }
        self.writer.entry(&mut self.buffer, entry.key(), &view.as_ref(), &meta);
        self.keys += 1;
        if self.buffer.len() >= PIECE_BYTES || self.keys >= self.keys_max {
            self.pass_on();
        }
    }
}

/// Whether a value is encoded by the serializer.
fn is_big(view: &View<'_>) -> bool {
    match view {
        View::Str(v) => matches!(v, rivulet_keyspace::Elem::Bytes(b) if b.len() > COPIED_LEN_MAX),
        View::List(v) => v.free_effort() > 1,
        View::Set(v) => v.free_effort() > 1,
        View::ZSet(v) => v.free_effort() > 1,
        View::Hash(v) => v.free_effort() > 1,
        View::Stream(v) => v.free_effort() > 1,
    }
}

/// What a snapshot begins with.
pub struct Head {
    pub writer: Encoder,
    /// Header and aux fields.
    pub bytes: Vec<u8>,
    pub access: AccessInfo,
    pub exclude_data: bool,
    pub checksum: bool,
    /// us per key (negative: keys per us), for tests (`rdb-key-save-delay`).
    pub key_delay: Arc<AtomicI64>,
    /// The walker waits while more bytes are captured and not yet written or sent.
    pub queue_limit: u64,
}

impl Head {
    /// Adds how large the databases are, which comes before the first of them; answers how many keys there are.
    fn add_databases(&mut self, keyspace: &Keyspace) -> u64 {
        let mut keys = 0;
        if !self.exclude_data {
            for (i, db) in keyspace.iter().enumerate().filter(|(_, db)| !db.is_empty()) {
                self.writer.database(&mut self.bytes, i as u64, db.len() as u64, db.expires_len() as u64);
                keys += db.len() as u64;
            }
        }
        keys
    }

    /// What follows the header where there are no data at all.
    pub fn end(mut self, out: &mut Vec<u8>) {
        if self.writer.end(out) {
            let checksum = if self.checksum { rivulet_rdb::crc64::checksum(out) } else { 0 };
            out.extend_from_slice(&checksum.to_le_bytes());
        }
    }
}

/// Where it goes.
pub enum Destination {
    /// A file, written elsewhere and renamed if that is another name. No other snapshot may have the first of these names while this one runs.
    File { temporary: PathBuf, path: PathBuf },
    /// Blocks for the sockets of replicas; so many bytes of them stay in memory for those who are slow.
    Sockets { mark: [u8; 40], window: u64 },
    /// Nowhere: what a marker asks for is found in it.
    Digest { marker: Marker, to: Sender<Findings> },
}

impl Destination {
    /// Opens it for the serializer, and for the executor what it sends to sockets. Fails where the file can't be created.
    fn open(self, head: &Head, waker: &Waker) -> io::Result<(Output, Option<Payload>)> {
        Ok(match self {
            Destination::File { temporary, path } => {
                let file = File::create(&temporary)?;
                (Output::File { file: BufWriter::with_capacity(1 << 20, file), temporary, path, unsynced: 0 }, None)
            }
            Destination::Sockets { mark, window } => {
                let (blocks_to, blocks_from) = sync::channel();
                let pace = Arc::new(Pace::new(window, head.queue_limit));
                let output = Output::Blocks { to: blocks_to, pace: pace.clone(), waker: waker.clone() };
                let head = pace.head(rivulet_memory::used() as u64);
                (output, Some(Payload::new(blocks_from, pace, waker.clone(), mark, head)))
            }
            Destination::Digest { marker, to } => {
                (Output::Digest { summing: Some(Box::new(Summing::new(&marker))), to }, None)
            }
        })
    }
}

/// A snapshot that runs.
pub struct Snapshot {
    capture: Rc<RefCell<Capture>>,
    under_way: Arc<AtomicUsize>,
    cancelled: Arc<AtomicBool>,
    serializer: Option<Helper<io::Result<u64>>>,
    /// Its names until it is whole and then, if it goes to a file.
    names: Option<(PathBuf, PathBuf)>,
    walking: bool,
    queue_limit: u64,
    /// The most bytes that were under way.
    pub peak: usize,
    /// Too much was overwritten: nothing is captured any more.
    given_up: bool,
    pub payload: Option<Payload>,
    /// Whom it is for, when it goes to sockets.
    pub receivers: Vec<rivulet_engine::client_id::ClientId>,
    pub started_ms: u64,
    pub keys_total: u64,
}

impl Snapshot {
    /// Begins a snapshot of the present state of `keyspace`.
    pub fn begin(
        keyspace: &mut Keyspace,
        mut head: Head,
        destination: Destination,
        waker: Waker,
        now_ms: u64,
    ) -> io::Result<Snapshot> {
        let (to, from) = sync::channel();
        let under_way = Arc::new(AtomicUsize::new(0));
        let cancelled = Arc::new(AtomicBool::new(false));
        let written = Arc::new(AtomicU64::new(0));
        let keys_total = head.add_databases(keyspace);
        let names = match &destination {
            Destination::File { temporary, path } => Some((temporary.clone(), path.clone())),
            Destination::Sockets { .. } | Destination::Digest { .. } => None,
        };
        let (output, payload) = destination.open(&head, &waker)?;
        let (spares, spares_maker) = Spares::new();
        let capture = Capture::new(&mut head, spares, to, under_way.clone());
        let serializer = Serializer {
            from,
            writer: head.writer,
            digest: head.checksum.then(Digest::new),
            output,
            under_way: under_way.clone(),
            cancelled: cancelled.clone(),
            written,
            key_delay: head.key_delay,
            spares: spares_maker,
            waker: waker.clone(),
        };
        let serializer = helpers::ask("serializer", waker, move || serializer.run());
        let capture = Rc::new(RefCell::new(capture));
        keyspace.begin_snapshot(capture.clone());
        Ok(Snapshot {
            capture,
            under_way,
            cancelled,
            serializer: Some(serializer),
            names,
            walking: true,
            queue_limit: head.queue_limit,
            peak: 0,
            given_up: false,
            payload,
            receivers: Vec::new(),
            started_ms: now_ms,
            keys_total,
        })
    }

    /// Whether the walker has something to do now.
    pub fn can_walk(&self) -> bool {
        let room = self.payload.as_ref().map_or(self.queue_limit, Payload::room) as usize;
        self.walking && !self.given_up && self.under_way.load(Ordering::Relaxed) < room && self.has_begun()
    }

    /// The serializer is there: it has made spares. Later ones are made while the walker works.
    fn has_begun(&self) -> bool {
        let capture = self.capture.borrow();
        capture.keys_done > 0 || !capture.spares.is_empty()
    }

    /// Bytes captured and not yet written, sent or given to a file.
    pub fn bytes_under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed) + self.payload.as_ref().map_or(0, |p| p.held_bytes() as usize)
    }

    /// What writes capture waits for the serializer, whatever the queue's limit: with `limit` bytes beyond that the snapshot is given up. Answers
    /// whether it is now.
    pub fn give_up_beyond(&mut self, limit: u64) -> bool {
        let under_way = self.under_way.load(Ordering::Relaxed);
        self.peak = self.peak.max(under_way);
        if under_way as u64 <= self.queue_limit + limit || self.given_up {
            return false;
        }
        self.given_up = true;
        self.capture.borrow_mut().exclude_data = true;
        self.cancelled.store(true, Ordering::Relaxed);
        true
    }

    pub fn keys_done(&self) -> u64 {
        self.capture.borrow().keys_done
    }

    /// Walks for about `slice_us` microseconds.
    pub fn walk(&mut self, keyspace: &mut Keyspace, slice_us: u64) -> Vec<rivulet_keyspace::Trash> {
        let until = clock::monotonic_ns() + slice_us * 1000;
        let mut trash = Vec::new();
        while self.can_walk() {
            let (freed, done) = keyspace.walk_snapshot(WALK_STEP);
            trash.extend(freed);
            if done {
                self.walking = false;
                let mut capture = self.capture.borrow_mut();
                capture.pass_on();
                // As in `pass_on`.
                let _ = capture.to.send(Piece::End);
            }
            if clock::monotonic_ns() >= until {
                break;
            }
        }
        trash
    }

    /// The file that it makes, if it makes one.
    pub fn path(&self) -> Option<&Path> {
        self.names.as_ref().map(|(_, path)| path.as_path())
    }

    /// The result, when the serializer has ended: bytes written.
    pub fn poll_end(&mut self) -> Option<io::Result<u64>> {
        let result = self.serializer.as_ref()?.poll()?;
        self.serializer = None;
        Some(result.flatten())
    }

    /// Ends a snapshot that nobody wants any more, or one that has ended. The file of one that has not ended is removed, here and by the serializer
    /// when it sees that it is cancelled: whoever comes last finds all that was made, and the file takes its name from now on no more.
    pub fn cancel(self, keyspace: &mut Keyspace) -> Vec<rivulet_keyspace::Trash> {
        self.cancelled.store(true, Ordering::SeqCst);
        if let (Some(_), Some((temporary, _))) = (&self.serializer, &self.names) {
            remove_unfinished(temporary);
        }
        let trash = if self.walking { keyspace.abort_snapshot() } else { Vec::new() };
        // Its channel ends with the capture, and so does the serializer.
        drop(self.capture);
        trash
    }
}

/// Removes what was made of a file, with its checksums. What can't be removed stays; no other snapshot has its name.
fn remove_unfinished(temporary: &Path) {
    let _ = fs::remove_file(temporary);
    let _ = fs::remove_file(rivulet_aof::sums::path_of(temporary));
}

enum Output {
    File {
        file: BufWriter<File>,
        temporary: PathBuf,
        path: PathBuf,
        unsynced: usize,
    },
    Blocks {
        to: Sender<Arc<Vec<u8>>>,
        pace: Arc<Pace>,
        waker: Waker,
    },
    /// `None` when it has told what was found.
    Digest {
        summing: Option<Box<Summing>>,
        to: Sender<Findings>,
    },
}

/// Dirty pages are written back after so many bytes, so that the fsync at the end is short.
const SYNC_BYTES: usize = 32 << 20;

struct Serializer {
    from: Receiver<Piece>,
    writer: Encoder,
    digest: Option<Digest>,
    output: Output,
    under_way: Arc<AtomicUsize>,
    cancelled: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    key_delay: Arc<AtomicI64>,
    spares: SparesMaker,
    waker: Waker,
}

impl Serializer {
    fn run(mut self) -> io::Result<u64> {
        self.spares.fill_up();
        self.waker.wake();
        crate::lifecycle::scheduling::give_way();
        let result = self.serialize();
        if let Output::File { temporary, .. } = &self.output
            && (result.is_err() || self.cancelled.load(Ordering::SeqCst))
        {
            remove_unfinished(temporary);
        }
        result
    }

    fn serialize(&mut self) -> io::Result<u64> {
        loop {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "cancelled"));
            }
            match self.from.recv() {
                Ok(Piece::Bytes(bytes, keys)) => {
                    self.under_way.fetch_sub(bytes.len(), Ordering::Relaxed);
                    self.spares.fill_up();
                    self.delay(keys);
                    self.put(bytes)?;
                }
                Ok(Piece::Value { key, value, meta }) => {
                    self.under_way.fetch_sub(COPIED_LEN_MAX, Ordering::Relaxed);
                    self.delay(1);
                    if let Output::Digest { summing: Some(summing), .. } = &mut self.output {
                        summing.entry(&key, &value.as_ref(), meta.deadline_ms);
                        continue;
                    }
                    let writer = self.writer.clone();
                    let mut out = Vec::with_capacity(PIECE_BYTES);
                    writer.clone().entry_in_pieces(
                        &mut out,
                        &key,
                        &value.as_ref(),
                        &meta,
                        &mut |full: &mut Vec<u8>| self.put(std::mem::take(full)),
                    )?;
                    self.put(out)?;
                }
                Ok(Piece::End) => break,
                Err(_) => return Err(io::Error::new(io::ErrorKind::Interrupted, "cancelled")),
            }
        }
        let mut end = Vec::new();
        if self.writer.end(&mut end) {
            if let Some(digest) = &mut self.digest {
                digest.update(&end);
            }
            let checksum = self.digest.as_ref().map_or(0, Digest::value);
            end.extend_from_slice(&checksum.to_le_bytes());
        }
        self.digest = None;
        self.put(end)?;
        self.finish()?;
        Ok(self.written.load(Ordering::Relaxed))
    }

    fn put(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        // A block of nothing would look like a socket that takes nothing. A big value's last piece may be one.
        if bytes.is_empty() {
            return Ok(());
        }
        if let Some(digest) = &mut self.digest {
            digest.update(&bytes);
        }
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        match &mut self.output {
            Output::File { file, unsynced, .. } => {
                file.write_all(&bytes)?;
                *unsynced += bytes.len();
                if *unsynced >= SYNC_BYTES {
                    *unsynced = 0;
                    file.flush()?;
                    file.get_ref().sync_data()?;
                }
            }
            Output::Blocks { to, pace, waker } => {
                // The walker waits by itself; this is for big values, which are encoded here.
                while pace.is_full() && !self.cancelled.load(Ordering::Relaxed) {
                    clock::sleep(Duration::from_millis(1));
                }
                pace.add(bytes.len());
                to.send(Arc::new(without_slack(bytes)))
                    .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody wants the snapshot"))?;
                waker.wake();
            }
            Output::Digest { summing, .. } => {
                if let Some(summing) = summing {
                    summing.records(&bytes);
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        match &mut self.output {
            Output::File { file, temporary, path, .. } => {
                file.flush()?;
                file.get_ref().sync_all()?;
                if temporary != path {
                    fs::rename(&*temporary, &*path)?;
                }
                // An RDB file has a checksum of its own.
                if matches!(self.writer, Encoder::Commands)
                    && let Err(e) = rivulet_aof::sums::make(path)
                {
                    log::warning!("Can't keep checksums of {}: {}", path.display(), os_error(&e));
                }
                sync_directory(path)
            }
            Output::Blocks { pace, .. } => {
                pace.complete.store(true, Ordering::Release);
                Ok(())
            }
            Output::Digest { summing, to } => {
                if let Some(summing) = summing.take() {
                    // Who asked may want it no more.
                    let _ = to.send(summing.findings());
                }
                Ok(())
            }
        }
    }

    /// Waits as `rdb-key-save-delay` asks for so many keys.
    fn delay(&self, keys: u64) {
        let mut left_us = match self.key_delay.load(Ordering::Relaxed) {
            0 => return,
            us if us > 0 => us as u64 * keys,
            parts => keys / parts.unsigned_abs(),
        };
        while left_us > 0 && !self.cancelled.load(Ordering::Relaxed) {
            let now = left_us.min(10_000);
            clock::sleep(Duration::from_micros(now));
            left_us -= now;
        }
    }
}

/// A block that may wait for long takes little more memory than it has bytes.
fn without_slack(mut block: Vec<u8>) -> Vec<u8> {
    if block.capacity() - block.len() > block.len() / 4 {
        block.shrink_to_fit();
    }
    block
}

/// Makes the new name of a file durable.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    fs::sync_directory_of(path)
}

#[cfg(test)]
mod tests {
    use rivulet_rdb::write::{Version, Writer};

    use super::*;

    #[test]
    fn pieces_and_blocks_take_the_memory_that_they_are_counted_with() {
        let (spares, maker) = Spares::new();
        maker.fill_up();
        let (to, from) = sync::channel();
        let mut capture = Capture {
            writer: Encoder::Rdb(Writer::new(Version::DEFAULT, false)),
            buffer: Vec::with_capacity(PIECE_ROOM),
            spares,
            keys: 0,
            keys_max: 1,
            db: None,
            access: AccessInfo::None,
            to,
            under_way: Arc::default(),
            keys_done: 0,
            exclude_data: false,
        };
        // With a delay for each key, and before each big value, a piece has one key.
        for len in [1, 100, PIECE_BYTES / 2 - 1, PIECE_BYTES / 2, PIECE_BYTES] {
            capture.buffer.resize(len, b'x');
            capture.pass_on();
            let Ok(Piece::Bytes(bytes, _)) = from.try_recv() else { panic!("a piece of {len} bytes") };
            assert_eq!(bytes.len(), len);
            assert!(bytes.capacity() <= len * 5 / 2, "{len} bytes take {}", bytes.capacity());
            let mut block = Vec::with_capacity(PIECE_ROOM);
            block.extend_from_slice(&bytes);
            let block = without_slack(block);
            assert!(block.capacity() <= len * 5 / 4, "{len} bytes take {}", block.capacity());
            assert_eq!(block, bytes);
        }
    }
}
