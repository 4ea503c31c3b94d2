//! Loading a snapshot: decoded on the loader's thread, inserted by the executor, which goes on answering meanwhile.
//!
//! The bytes come from a file or from a master's socket. Decoded entries arrive in batches over a bounded queue, so that neither side runs far
//! ahead of the other.

mod append_only;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender, TryRecvError};
use std::time::Duration;

use rivulet_commands::ctx::lru_clock;
use rivulet_commands::settings::ClockUse;
use rivulet_keyspace::entry::EMBEDDED_LEN_MAX;
use rivulet_keyspace::value::StrBuf;
use rivulet_keyspace::{HashKeys, KeyHasher, NewEntry, Room, Value};
use rivulet_net::Waker;
use rivulet_rdb::read::{Entry, Event, Options, Reader};

use crate::clock;
use crate::memory::Counted;
pub use append_only::{AppendOnlyFile, AppendOnlyFiles, FileEnd};

/// Entries in one batch: with their buckets they fit into a core's cache.
const BATCH_ENTRIES: usize = 512;
/// Batches that may wait for the executor.
const BATCHES_MAX: usize = 32;
/// The fewest bytes that an entry takes in a file: its type, an empty key, an empty value.
const ENTRY_BYTES_MIN: u64 = 3;
/// Room for so many keys is made on the word of a stream whose length is not known. More find room as they come.
const ROOM_MAX: u64 = 16 << 20;
/// The socket is not read while more bytes than this wait for the loader.
const QUEUED_BYTES_MAX: usize = 32 << 20;

/// What the loader tells the executor.
pub enum Loaded {
    /// What follows belongs to this database.
    Database {
        db: u64,
    },
    /// Room for that many.
    Room {
        keys: u64,
        room: Room,
    },
    Entries(Vec<Decoded>),
    Aux(Vec<u8>, Vec<u8>),
    /// Whole commands, as bytes of the stream.
    Commands(Vec<u8>),
    /// An append-only file begins, or is through.
    FileBegins,
    FileEnd(FileEnd),
    /// Something that the log should tell.
    Note(String),
    Warning(String),
    /// All is loaded, or why not.
    End(Result<Summary, String>),
}

/// An entry, ready to be put into a database.
pub struct Decoded {
    pub hash: u64,
    pub deadline_ms: Option<u64>,
    pub entry: NewEntry,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    pub empty_keys: u64,
}

/// Where the bytes come from.
pub enum Source {
    File(PathBuf),
    AppendOnly(AppendOnlyFiles),
    /// Bytes pushed with [`Loader::push`] are decoded as they come.
    Stream,
    /// Bytes pushed are stored in this file; when all have come, that is loaded.
    Stored {
        path: PathBuf,
        remove: bool,
    },
}

/// A load that goes on.
pub struct Loader {
    from: Receiver<Loaded>,
    bytes_to: Option<Sender<Vec<u8>>>,
    /// Bytes are decoded as they come.
    decodes_at_once: bool,
    queued: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    /// Bytes decoded.
    pub read: Arc<AtomicU64>,
    /// Bytes in all, if that is known.
    pub total: u64,
    pub started_ms: u64,
    pub keys_loaded: u64,
    pub keys_expired: u64,
    /// Batches that arrived while nobody wanted them.
    waiting: Option<Loaded>,
}

impl Loader {
    pub fn start(
        source: Source,
        options: Options,
        hasher: KeyHasher,
        clock_use: ClockUse,
        key_delay: Arc<AtomicI64>,
        waker: Waker,
        now_ms: u64,
    ) -> io::Result<Loader> {
        let (to, from) = mpsc::sync_channel(BATCHES_MAX);
        let (queued, stop, read) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let total = match &source {
            Source::File(path) => std::fs::metadata(path)?.len(),
            Source::AppendOnly(files) => files.total,
            _ => 0,
        };
        let (bytes_to, bytes_from) = mpsc::channel();
        let decodes_at_once = matches!(source, Source::Stream);
        let bytes_to = if matches!(source, Source::File(_) | Source::AppendOnly(_)) { None } else { Some(bytes_to) };
        let bytes = Bytes { from: bytes_from, present: Vec::new(), at: 0, queued: queued.clone(), stop: stop.clone() };
        let worker = Worker { to, hasher, clock_use, key_delay, waker, stop: stop.clone(), read: read.clone() };
        std::thread::Builder::new().name("loader".into()).spawn(move || {
            let _counted = Counted::register();
            worker.run(source, bytes, options);
        })?;
        Ok(Loader {
            from,
            bytes_to,
            decodes_at_once,
            queued,
            stop,
            read,
            total,
            started_ms: now_ms,
            keys_loaded: 0,
            keys_expired: 0,
            waiting: None,
        })
    }

    /// Bytes that came from the master.
    pub fn push(&mut self, bytes: Vec<u8>) {
        if let Some(to) = &self.bytes_to {
            self.queued.fetch_add(bytes.len(), Ordering::Relaxed);
            // A loader that failed has ended; its result tells why.
            let _ = to.send(bytes);
        }
    }

    /// All bytes have been pushed. What is stored first is not loaded yet.
    pub fn end_of_stream(&mut self) {
        if self.decodes_at_once {
            self.end_of_bytes();
        }
    }

    /// All bytes have been pushed, and are to be loaded.
    pub fn end_of_bytes(&mut self) {
        self.bytes_to = None;
    }

    /// Whether the socket should be read.
    pub fn wants_bytes(&self) -> bool {
        self.queued.load(Ordering::Relaxed) < QUEUED_BYTES_MAX
    }

    /// Waits for what the loader has next.
    pub fn wait(&mut self) -> Loaded {
        self.waiting
            .take()
            .unwrap_or_else(|| self.from.recv().unwrap_or_else(|_| Loaded::End(Err("the loader ended".into()))))
    }

    /// What the loader has ready, if anything.
    pub fn poll(&mut self) -> Option<Loaded> {
        if let Some(loaded) = self.waiting.take() {
            return Some(loaded);
        }
        match self.from.try_recv() {
            Ok(loaded) => Some(loaded),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Loaded::End(Err("the loader ended".into()))),
        }
    }

    /// Whether something is ready; it is kept for [`Loader::poll`].
    pub fn has_ready(&mut self) -> bool {
        if self.waiting.is_none() {
            self.waiting = self.from.try_recv().ok();
        }
        self.waiting.is_some()
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The bytes of a stream as a reader, which waits for them.
struct Bytes {
    from: Receiver<Vec<u8>>,
    present: Vec<u8>,
    at: usize,
    queued: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.present.len() {
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::Error::other("the load was given up"));
            }
            match self.from.recv() {
                Ok(bytes) => {
                    self.queued.fetch_sub(bytes.len(), Ordering::Relaxed);
                    (self.present, self.at) = (bytes, 0);
                }
                Err(_) => return Ok(0),
            }
        }
        let count = buffer.len().min(self.present.len() - self.at);
        buffer[..count].copy_from_slice(&self.present[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// So many keys can follow in a file of this length, of which some is read. A damaged one may say anything.
fn keys_max(len: Option<u64>, read: u64) -> u64 {
    len.map_or(ROOM_MAX, |len| len.saturating_sub(read) / ENTRY_BYTES_MIN)
}

/// The 24 bits that say when or how often a key was used.
fn clock_bits(clock_use: ClockUse, now_ms: u64, idle_s: Option<u64>, freq: Option<u8>) -> u32 {
    let lfu = |count: u8| (((now_ms / 60_000) & 0xffff) as u32) << 8 | u32::from(count);
    match clock_use {
        ClockUse::Lru => lru_clock(now_ms.saturating_sub(idle_s.unwrap_or(0).saturating_mul(1000))),
        ClockUse::Lfu { .. } => lfu(freq.unwrap_or(LFU_NEW)),
    }
}

/// How often a key counts as used that nothing is known of.
const LFU_NEW: u8 = 5;

struct Worker {
    to: SyncSender<Loaded>,
    hasher: KeyHasher,
    clock_use: ClockUse,
    key_delay: Arc<AtomicI64>,
    waker: Waker,
    stop: Arc<AtomicBool>,
    read: Arc<AtomicU64>,
}

impl Worker {
    fn run(&self, source: Source, mut bytes: Bytes, options: Options) {
        let result = match source {
            Source::File(path) => self.load_file(&path, options),
            Source::AppendOnly(files) => self.load_append_only(files, options),
            // The end is told when the transfer has ended too, which may be a moment after the last entry.
            Source::Stream => self.load(&mut bytes, None, options).and_then(|summary| {
                io::copy(&mut bytes, &mut io::sink()).map_err(|e| e.to_string())?;
                Ok(summary)
            }),
            Source::Stored { path, remove } => {
                let stored = self.store(&mut bytes, &path);
                let result = stored.and_then(|()| self.load_file(&path, options));
                if remove {
                    // A file that can't be removed is overwritten by the next.
                    let _ = std::fs::remove_file(&path);
                }
                result
            }
        };
        self.tell(Loaded::End(result));
    }

    /// Writes what comes to a file, until it ends.
    fn store(&self, bytes: &mut Bytes, path: &PathBuf) -> Result<(), String> {
        let temporary = path.with_file_name(format!("temp-{}.{}.rdb", clock::unix_ms() / 1000, std::process::id()));
        let write = |bytes: &mut Bytes| -> io::Result<()> {
            let mut file = File::create(&temporary)?;
            io::copy(bytes, &mut file)?;
            file.flush()?;
            file.sync_all()?;
            std::fs::rename(&temporary, path)?;
            crate::snapshot::sync_directory(path)
        };
        write(bytes).map_err(|e| {
            // As above.
            let _ = std::fs::remove_file(&temporary);
            format!("can't store the snapshot: {e}")
        })
    }

    fn load(&self, from: impl Read, len: Option<u64>, options: Options) -> Result<Summary, String> {
        self.load_counted(from, len, options).map(|(summary, _)| summary)
    }

    /// A file from its beginning.
    fn load_file(&self, path: &Path, options: Options) -> Result<Summary, String> {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (len, file) = opened.map_err(|e| e.to_string())?;
        self.load(file, Some(len), options)
    }

    /// Loads a snapshot of at most `len` bytes, after which more may follow; says how long it was.
    fn load_counted(&self, from: impl Read, len: Option<u64>, options: Options) -> Result<(Summary, u64), String> {
        let mut reader = Reader::new(from, options);
        let mut db = 0;
        let mut batch = Vec::with_capacity(BATCH_ENTRIES);
        let mut summary = Summary::default();
        let mut keys = 0u64;
        let mut now_ms = clock::unix_ms();
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err("the load was given up".into());
            }
            let event = reader.next().map_err(|e| e.to_string())?;
            match event {
                Event::Entry(entry) => {
                    batch.push(self.make(entry, now_ms, &mut reader));
                    keys += 1;
                    let delay = self.key_delay.load(Ordering::Relaxed);
                    if delay != 0 {
                        self.delay(delay, keys);
                    }
                    if batch.len() >= BATCH_ENTRIES || delay > 0 {
                        self.read.store(reader.offset(), Ordering::Relaxed);
                        self.tell(Loaded::Entries(std::mem::replace(&mut batch, Vec::with_capacity(BATCH_ENTRIES))));
                        now_ms = clock::unix_ms();
                    }
                    continue;
                }
                Event::SelectDb(n) => db = n,
                _ => {}
            }
            self.read.store(reader.offset(), Ordering::Relaxed);
            if !batch.is_empty() {
                self.tell(Loaded::Entries(std::mem::take(&mut batch)));
            }
            match event {
                Event::SelectDb(_) => self.tell(Loaded::Database { db }),
                Event::ResizeDb { keys, .. } if keys <= keys_max(len, reader.offset()) => {
                    self.tell(Loaded::Room { keys, room: Room::for_keys(keys as usize) });
                }
                Event::Aux(name, value) => self.tell(Loaded::Aux(name, value)),
                Event::EmptyKey(key) => {
                    summary.empty_keys += 1;
                    if summary.empty_keys <= 10 {
                        self.tell(Loaded::Note(format!(
                            "rdbLoadObject skipping empty key: {}",
                            String::from_utf8_lossy(&key)
                        )));
                    }
                }
                Event::Function(_) => return Err("the file holds functions, which this server can't load yet".into()),
                Event::Skipped { key, value_type, .. } => self.tell(Loaded::Note(format!(
                    "skipped key '{}' of type {value_type}, which this server does not know",
                    String::from_utf8_lossy(&key)
                ))),
                Event::ModuleAux { module, .. } => {
                    self.tell(Loaded::Note(format!("skipped data of the module '{module}'")))
                }
                Event::Eof(_) => return Ok((summary, reader.offset())),
                _ => {}
            }
        }
    }

    fn make<R: Read>(&self, entry: Entry, now_ms: u64, reader: &mut Reader<R>) -> Decoded {
        let Entry { key, value, deadline_ms, idle_s, freq, .. } = entry;
        let hash = self.hasher.hash(&key);
        let clock = clock_bits(self.clock_use, now_ms, idle_s, freq);
        let (entry, string) = match value {
            Value::Str(StrBuf::Bytes(bytes)) if bytes.len() <= EMBEDDED_LEN_MAX => {
                (NewEntry::with_string(&key, &bytes, deadline_ms, clock), bytes)
            }
            value => (NewEntry::new(&key, value, deadline_ms, clock), Vec::new()),
        };
        reader.give_back(key, string);
        Decoded { hash, deadline_ms, entry }
    }

    fn tell(&self, loaded: Loaded) {
        // Nobody listens any more when the load was given up.
        let _ = self.to.send(loaded);
        self.waker.wake();
    }

    /// Waits as `key-load-delay` asks: us for each key, or (negative) a us for so many keys.
    fn delay(&self, delay: i64, keys: u64) {
        if delay > 0 {
            clock::sleep(Duration::from_micros(delay as u64));
        } else if keys.is_multiple_of(delay.unsigned_abs()) {
            clock::sleep(Duration::from_micros(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use rivulet_rdb::write::{Aux, Meta, Version, Writer};

    use super::*;

    /// What a loader says of a file that promises so many keys and has one.
    fn load_one_that_promises(keys: u64) -> Vec<Loaded> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(Version::DEFAULT, false);
        let aux = Aux { redis_version: "7.0.15", ctime_s: 0, used_memory: 0, replication: None, aof_base: false };
        writer.header(&mut bytes, &aux);
        writer.select_db(&mut bytes, 0);
        writer.resize_db(&mut bytes, keys, 0);
        writer.entry(&mut bytes, b"key", &Value::Str(StrBuf::Int(7)).as_ref(), &Meta::default());
        writer.eof(&mut bytes);
        bytes.extend_from_slice(&[0; 8]);
        let path = std::env::temp_dir().join(format!("rivulet-promise-{}-{keys}.rdb", std::process::id()));
        std::fs::write(&path, bytes).expect("the file is written");
        let waker = Waker::new().expect("an eventfd");
        let (hasher, options) = (KeyHasher::new([1, 2]), Options::default());
        let source = Source::File(path.clone());
        let mut loader =
            Loader::start(source, options, hasher, ClockUse::Lru, Arc::default(), waker, 0).expect("it starts");
        let mut all = Vec::new();
        while !matches!(all.last(), Some(Loaded::End(_))) {
            all.push(loader.wait());
        }
        std::fs::remove_file(path).expect("the file is removed");
        all
    }

    #[test]
    fn room_is_made_only_for_keys_that_can_come() {
        for (promised, made) in [(1, true), (u64::MAX, false), (1000, false)] {
            let all = load_one_that_promises(promised);
            assert_eq!(all.iter().any(|l| matches!(l, Loaded::Room { .. })), made, "{promised} keys were promised");
            assert!(all.iter().any(|l| matches!(l, Loaded::Entries(entries) if entries.len() == 1)));
            assert!(matches!(all.last(), Some(Loaded::End(Ok(_)))));
        }
        assert_eq!(keys_max(Some(100), 91), 3);
        assert_eq!(keys_max(Some(1), 2), 0);
        assert_eq!(keys_max(None, 2), ROOM_MAX);
    }

    #[test]
    fn clocks_say_when_a_key_was_used() {
        let hour = 3_600_000;
        assert_eq!(clock_bits(ClockUse::Lru, 10 * hour, Some(3600), Some(9)), lru_clock(9 * hour));
        assert_eq!(clock_bits(ClockUse::Lru, hour, Some(u64::MAX), None), lru_clock(0));
    }
}
