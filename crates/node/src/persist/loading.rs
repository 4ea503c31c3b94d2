//! Loading a snapshot: decoded on the loader's thread, inserted by the executor, which goes on answering meanwhile.
//!
//! The bytes come from a file or from a master's socket. Decoded entries arrive in batches over a bounded queue, so that neither side runs far
//! ahead of the other.

mod append_only;
mod commands;
mod decode;
mod receive;
mod store;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rivulet_commands::ctx::lru_clock;
use rivulet_commands::settings::ClockUse;
use rivulet_host::fs::{self, File};
use rivulet_host::sync::{self, Receiver, Sender, SyncSender, TryRecvError};
use rivulet_keyspace::entry::EMBEDDED_LEN_MAX;
use rivulet_keyspace::value::StrBuf;
use rivulet_keyspace::{HashKeys, KeyHasher, NewEntry, Room, Value};
use rivulet_net::Waker;
use rivulet_rdb::ShortString;
use rivulet_rdb::read::{Entry, Options, Reader};

use crate::{clock, helpers};
use store::Storing;

pub use append_only::{AppendOnlyFile, AppendOnlyFiles, FileEnd};
pub use commands::Commands;

/// Batches that may wait for the executor.
const BATCHES_MAX: usize = 32;
/// The socket is not read while more bytes than this wait for the loader.
const QUEUED_BYTES_MAX: usize = 32 << 20;

/// What the loader tells the executor.
pub enum Loaded {
    /// What follows belongs to this database.
    Database {
        db: u64,
    },
    /// What was stored first can be loaded, as far as could be seen: that begins now.
    Checked,
    /// Room for that many.
    Room {
        keys: u64,
        room: Room,
    },
    Entries(Vec<Decoded>),
    /// A key whose value has no elements was passed over.
    EmptyKey(Vec<u8>),
    Aux(Vec<u8>, Vec<u8>),
    /// A library of functions.
    Function(Vec<u8>),
    Commands(Commands),
    /// An append-only file begins, or is through.
    FileBegins,
    FileEnd(FileEnd),
    /// Something that the log should tell.
    Note(String),
    Warning(String),
    /// All is loaded, or why not.
    End(Result<(), String>),
}

/// What lies in the queue.
enum Sent {
    Now(Loaded),
    /// A part that is being decoded: what it says comes here.
    Later(Receiver<Loaded>),
}

/// An entry, ready to be put into a database.
pub struct Decoded {
    pub hash: u64,
    pub deadline_ms: Option<u64>,
    pub entry: NewEntry,
}

/// Where the bytes come from.
pub enum Source {
    File(PathBuf),
    AppendOnly(AppendOnlyFiles),
    /// Bytes pushed with [`Loader::push`] are decoded as they come.
    Stream {
        framing: Framing,
    },
    /// Bytes pushed are stored in this file, and loaded from it when all have come.
    Stored {
        path: PathBuf,
        remove: bool,
        framing: Framing,
    },
    /// Bytes pushed are decoded as they come, and stored in this file if one is wanted. The end waits until all are wanted, as with `Stored`.
    Early {
        path: Option<PathBuf>,
        framing: Framing,
    },
}

/// How the end of a snapshot was told that a master sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By its length.
    Counted,
    /// By a mark, which stands right behind it.
    Marked,
}

/// A load that goes on.
pub struct Loader {
    from: Receiver<Sent>,
    /// A part whose turn it is, while it may have more.
    part: Option<Receiver<Loaded>>,
    bytes_to: Option<Sender<Vec<u8>>>,
    /// Bytes are decoded as they come.
    decodes_at_once: bool,
    queued: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    /// The name of what is stored until it is whole.
    temporary: Option<PathBuf>,
    /// Bytes decoded.
    pub read: Arc<AtomicU64>,
    /// Bytes in all, if that is known.
    pub total: u64,
    pub started_ms: u64,
    pub keys_loaded: u64,
    pub keys_expired: u64,
    pub empty_keys: u64,
    /// Batches that arrived while nobody wanted them.
    waiting: Option<Loaded>,
}

/// When a load begins, and the how manyth of its server it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beginning {
    pub now_ms: u64,
    pub number: u64,
}

impl Loader {
    pub fn start(
        source: Source,
        options: Options,
        hasher: KeyHasher,
        clock_use: ClockUse,
        key_delay: Arc<AtomicI64>,
        waker: Waker,
        begins: Beginning,
    ) -> io::Result<Loader> {
        let (to, from) = sync::sync_channel(BATCHES_MAX);
        let (queued, stop, read) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let total = match &source {
            Source::File(path) => fs::metadata(path)?.len,
            Source::AppendOnly(files) => files.total,
            _ => 0,
        };
        let (bytes_to, bytes_from) = sync::channel();
        let temporary = match &source {
            Source::Stored { path, .. } | Source::Early { path: Some(path), .. } => {
                Some(store::temporary_name(path, begins.number))
            }
            _ => None,
        };
        let decodes_at_once = matches!(source, Source::Stream { .. });
        let bytes_to = if matches!(source, Source::File(_) | Source::AppendOnly(_)) { None } else { Some(bytes_to) };
        let bytes = Bytes {
            from: bytes_from,
            present: Arc::default(),
            at: 0,
            queued: queued.clone(),
            stop: stop.clone(),
            storing: None,
        };
        let worker = Worker {
            to,
            hasher,
            clock_use,
            key_delay,
            waker,
            stop: stop.clone(),
            temporary: temporary.clone().unwrap_or_default(),
            read: read.clone(),
        };
        helpers::start("loader", move || worker.run(source, bytes, options));
        Ok(Loader {
            from,
            part: None,
            bytes_to,
            decodes_at_once,
            queued,
            stop,
            temporary,
            read,
            total,
            started_ms: begins.now_ms,
            keys_loaded: 0,
            keys_expired: 0,
            empty_keys: 0,
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
        if let Some(loaded) = self.waiting.take() {
            return loaded;
        }
        loop {
            if let Some(part) = &self.part {
                if let Ok(loaded) = part.recv() {
                    return loaded;
                }
                self.part = None;
            }
            match self.from.recv() {
                Ok(Sent::Now(loaded)) => return loaded,
                Ok(Sent::Later(part)) => self.part = Some(part),
                Err(_) => return ended(),
            }
        }
    }

    /// What the loader has ready, if anything.
    pub fn poll(&mut self) -> Option<Loaded> {
        if let Some(loaded) = self.waiting.take() {
            return Some(loaded);
        }
        loop {
            if let Some(part) = &self.part {
                match part.try_recv() {
                    Ok(loaded) => return Some(loaded),
                    Err(TryRecvError::Empty) => return None,
                    Err(TryRecvError::Disconnected) => self.part = None,
                }
            }
            match self.from.try_recv() {
                Ok(Sent::Now(loaded)) => return Some(loaded),
                Ok(Sent::Later(part)) => self.part = Some(part),
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => return Some(ended()),
            }
        }
    }

    /// Whether something is ready; it is kept for [`Loader::poll`].
    pub fn has_ready(&mut self) -> bool {
        if self.waiting.is_none() {
            self.waiting = self.poll();
        }
        self.waiting.is_some()
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // What is not whole by now takes no other file's place any more: either it is here, or not all of its bytes will be read.
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_file(temporary);
        }
    }
}

fn ended() -> Loaded {
    Loaded::End(Err("the loader ended".into()))
}

/// The bytes of a stream as a reader, which waits for them.
struct Bytes {
    from: Receiver<Vec<u8>>,
    present: Arc<Vec<u8>>,
    at: usize,
    queued: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    /// They are stored too.
    storing: Option<Storing>,
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
                    (self.present, self.at) = (Arc::new(bytes), 0);
                    if self.storing.as_ref().is_some_and(|storing| !storing.push(self.present.clone())) {
                        return Err(io::Error::other("can't store the snapshot"));
                    }
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

/// The 24 bits that say when or how often a key was used.
fn clock_bits(clock_use: ClockUse, now_ms: u64, idle_s: Option<u64>, freq: Option<u8>) -> u32 {
    let lfu = |count: u8| (((now_ms / 60_000) & 0xffff) as u32) << 8 | u32::from(count);
    match clock_use {
        ClockUse::Lru | ClockUse::LruUntouched => {
            lru_clock(now_ms.saturating_sub(idle_s.unwrap_or(0).saturating_mul(1000)))
        }
        ClockUse::Lfu { .. } | ClockUse::LfuUntouched { .. } => lfu(freq.unwrap_or(LFU_NEW)),
    }
}

/// How often a key counts as used that nothing is known of.
const LFU_NEW: u8 = 5;

struct Worker {
    to: SyncSender<Sent>,
    hasher: KeyHasher,
    clock_use: ClockUse,
    key_delay: Arc<AtomicI64>,
    waker: Waker,
    stop: Arc<AtomicBool>,
    /// Where is stored what is not whole, if anything is.
    temporary: PathBuf,
    read: Arc<AtomicU64>,
}

impl Worker {
    fn run(&self, source: Source, mut bytes: Bytes, options: Options) {
        let result = match source {
            Source::File(path) => self.load_file(&path, options),
            Source::AppendOnly(files) => self.load_append_only(files, options),
            Source::Stream { framing } | Source::Early { path: None, framing } => {
                self.load_stream(&mut bytes, framing, options)
            }
            Source::Early { path: Some(path), framing } => self.load_and_store(&mut bytes, &path, framing, options),
            Source::Stored { path, remove, framing } => {
                self.store(&mut bytes, &path, framing, options.clone()).and_then(|file| {
                    self.tell(Loaded::Checked);
                    let result = self.load_opened(file, options);
                    if remove {
                        // A file that can't be removed is overwritten by the next.
                        let _ = fs::remove_file(&path);
                    }
                    result
                })
            }
        };
        self.tell(Loaded::End(result));
    }

    /// A file from its beginning.
    fn load_file(&self, path: &Path, options: Options) -> Result<(), String> {
        self.load_opened(File::open(path).map_err(|e| e.to_string())?, options)
    }

    fn load_opened(&self, file: File, options: Options) -> Result<(), String> {
        let len = file.metadata().map_err(|e| e.to_string())?.len;
        self.load_snapshot(file, Some(len), options).map(|_| ())
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

    #[inline]
    fn make_string(&self, string: &ShortString<'_>, now_ms: u64) -> Decoded {
        let &ShortString { key, value, deadline_ms, .. } = string;
        let clock = clock_bits(self.clock_use, now_ms, None, None);
        let entry = NewEntry::with_string(key, value, deadline_ms, clock);
        Decoded { hash: self.hasher.hash(key), deadline_ms, entry }
    }

    fn tell(&self, loaded: Loaded) {
        // Nobody listens any more when the load was given up.
        let _ = self.to.send(Sent::Now(loaded));
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
        let aux = Aux {
            redis_version: "7.0.15",
            ctime_s: 0,
            used_memory: 0,
            replication: None,
            aof_base: false,
            diverged: false,
        };
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
            Loader::start(source, options, hasher, ClockUse::Lru, Arc::default(), waker, Beginning::default())
                .expect("it starts");
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
    }

    #[test]
    fn clocks_say_when_a_key_was_used() {
        let hour = 3_600_000;
        assert_eq!(clock_bits(ClockUse::Lru, 10 * hour, Some(3600), Some(9)), lru_clock(9 * hour));
        assert_eq!(clock_bits(ClockUse::Lru, hour, Some(u64::MAX), None), lru_clock(0));
    }
}
