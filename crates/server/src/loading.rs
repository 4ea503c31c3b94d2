//! Loading a snapshot: decoded on the loader's thread, inserted by the executor, which goes on answering meanwhile.
//!
//! The bytes come from a file or from a master's socket. Decoded entries arrive in batches over a bounded queue, so that neither side runs far
//! ahead of the other.

mod append_only;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender, TryRecvError};
use std::time::Duration;

use rivulet_keyspace::{HashKeys, KeyHasher};
use rivulet_net::Waker;
use rivulet_rdb::read::{Entry, Event, Options, Reader};

use crate::clock;
use crate::memory::Counted;
pub use append_only::{AppendOnlyFile, AppendOnlyFiles, FileEnd};

/// Entries in one batch.
const BATCH_ENTRIES: usize = 256;
/// Batches that may wait for the executor.
const BATCHES_MAX: usize = 32;
/// The socket is not read while more bytes than this wait for the loader.
const QUEUED_BYTES_MAX: usize = 32 << 20;

/// What the loader tells the executor.
pub enum Loaded {
    /// The database of what follows has about so many keys.
    Database {
        db: u64,
    },
    Entries(Vec<(u64, Entry)>),
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
        let worker = Worker { to, hasher, key_delay, waker, stop: stop.clone(), read: read.clone() };
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

struct Worker {
    to: SyncSender<Loaded>,
    hasher: KeyHasher,
    key_delay: Arc<AtomicI64>,
    waker: Waker,
    stop: Arc<AtomicBool>,
    read: Arc<AtomicU64>,
}

impl Worker {
    fn run(&self, source: Source, mut bytes: Bytes, options: Options) {
        let result = match source {
            Source::File(path) => File::open(path).map_err(|e| e.to_string()).and_then(|file| self.load(file, options)),
            Source::AppendOnly(files) => self.load_append_only(files, options),
            // The end is told when the transfer has ended too, which may be a moment after the last entry.
            Source::Stream => self.load(&mut bytes, options).and_then(|summary| {
                io::copy(&mut bytes, &mut io::sink()).map_err(|e| e.to_string())?;
                Ok(summary)
            }),
            Source::Stored { path, remove } => {
                let stored = self.store(&mut bytes, &path);
                let result = stored
                    .and_then(|()| File::open(&path).map_err(|e| e.to_string()))
                    .and_then(|file| self.load(file, options));
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

    fn load(&self, from: impl Read, options: Options) -> Result<Summary, String> {
        self.load_counted(from, options).map(|(summary, _)| summary)
    }

    /// Loads a snapshot, after which more may follow; says how long it was.
    fn load_counted(&self, from: impl Read, options: Options) -> Result<(Summary, u64), String> {
        let mut reader = Reader::new(from, options);
        let mut db = 0;
        let mut batch = Vec::with_capacity(BATCH_ENTRIES);
        let mut summary = Summary::default();
        let mut keys = 0u64;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err("the load was given up".into());
            }
            let event = reader.next().map_err(|e| e.to_string())?;
            self.read.store(reader.offset(), Ordering::Relaxed);
            match event {
                Event::Entry(entry) => {
                    let hash = self.hasher.hash(&entry.key);
                    batch.push((hash, entry));
                    keys += 1;
                    let delay = self.key_delay.load(Ordering::Relaxed);
                    if delay != 0 {
                        self.delay(delay, keys);
                    }
                    if batch.len() >= BATCH_ENTRIES || delay > 0 {
                        self.tell(Loaded::Entries(std::mem::replace(&mut batch, Vec::with_capacity(BATCH_ENTRIES))));
                    }
                    continue;
                }
                Event::SelectDb(n) => db = n,
                _ => {}
            }
            if !batch.is_empty() {
                self.tell(Loaded::Entries(std::mem::take(&mut batch)));
            }
            match event {
                Event::SelectDb(_) => self.tell(Loaded::Database { db }),
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
