//! From a snapshot's bytes to entries. The loader's thread takes the file apart into blocks of whole entries, other threads decode these, and what
//! they make goes to the executor in the order of the file: each block has its place in the queue before it is decoded.
//!
//! What is no plain entry, or is too large for a block, the loader's thread decodes itself.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rivulet_host::sync::{self, Receiver, Sender};
use rivulet_keyspace::Room;
use rivulet_memory::Counted;
use rivulet_rdb::read::{Block, Event, Options, Reader};

use super::{Loaded, Sent, Worker};
use crate::clock;

/// Entries in one batch: with their buckets they fit into a core's cache.
const BATCH_ENTRIES: usize = 512;
/// Entries in one block.
pub const BLOCK_ENTRIES: usize = 4 * BATCH_ENTRIES;
/// A block is cut when it has this many bytes.
pub const BLOCK_BYTES: usize = 256 << 10;
/// More threads than this decode faster than the executor inserts.
const DECODERS_MAX: usize = 4;

/// The fewest bytes that an entry takes in a file: its type, an empty key, an empty value.
const ENTRY_BYTES_MIN: u64 = 3;
/// Room for so many keys is made on the word of a stream whose length is not known. More find room as they come.
const ROOM_MAX: u64 = 16 << 20;

/// Blocks to be decoded, and the first that couldn't be.
struct Jobs {
    queue: Mutex<Receiver<Job>>,
    has_failed: AtomicBool,
    failure: Mutex<Option<(u64, String)>>,
}

struct Job {
    index: u64,
    block: Block,
    to: Sender<Loaded>,
}

impl Jobs {
    fn next(&self) -> Option<Job> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
    }

    fn fail(&self, index: u64, text: String) {
        self.has_failed.store(true, Ordering::Relaxed);
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.as_ref().is_none_or(|(first, _)| index < *first) {
            *failure = Some((index, text));
        }
    }
}

/// A snapshot's end.
pub struct End {
    /// So many bytes it has.
    pub len: u64,
    /// So many bytes behind it were read with it.
    pub ahead: usize,
}

/// Gives blocks to the decoders.
struct Cutter<'a> {
    jobs: &'a Jobs,
    to: Sender<Job>,
    cut: u64,
}

impl Worker {
    /// Loads a snapshot of at most `len` bytes, after which more may follow; says where it ended.
    pub fn load_snapshot(&self, from: impl Read, len: Option<u64>, options: Options) -> Result<End, String> {
        let (to, queue) = sync::channel();
        let jobs = Jobs { queue: Mutex::new(queue), has_failed: AtomicBool::new(false), failure: Mutex::new(None) };
        let wanted = rivulet_host::thread::scoped_max(DECODERS_MAX);
        let result = thread::scope(|scope| {
            let mut decoders = 0;
            for _ in 0..wanted {
                let (jobs, options) = (&jobs, options.clone());
                let decode = move || {
                    let _counted = Counted::register();
                    self.decode_blocks(jobs, options);
                };
                decoders +=
                    usize::from(thread::Builder::new().name("decoder".into()).spawn_scoped(scope, decode).is_ok());
            }
            let cutter = (decoders > 0).then(|| Cutter { jobs: &jobs, to, cut: 0 });
            self.read_events(Reader::new(from, options), len, cutter)
        });
        // What failed in a block comes before whatever the loader's thread met later.
        match jobs.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some((_, text)) => Err(text),
            None => result,
        }
    }

    fn read_events<R: Read>(
        &self,
        mut reader: Reader<R>,
        len: Option<u64>,
        mut cutter: Option<Cutter<'_>>,
    ) -> Result<End, String> {
        let mut batch = Vec::new();
        let mut keys = 0u64;
        // All databases may promise theirs before the first key comes.
        let mut promised = 0u64;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err("the load was given up".into());
            }
            let delay = self.key_delay.load(Ordering::Relaxed);
            if delay == 0
                && batch.is_empty()
                && let Some(cutter) = &mut cutter
                && let Some(block) = reader.block(BLOCK_ENTRIES, BLOCK_BYTES)
            {
                keys += block.entries as u64;
                self.read.store(reader.offset(), Ordering::Relaxed);
                if !self.pass_block(cutter, block) {
                    return Err("a block can't be decoded".into());
                }
                continue;
            }
            let event = reader.next().map_err(|e| e.to_string())?;
            if let Event::Entry(entry) = event {
                batch.push(self.make(entry, clock::unix_ms(), &mut reader));
                keys += 1;
                if delay != 0 {
                    self.delay(delay, keys);
                }
                if batch.len() >= BATCH_ENTRIES || delay > 0 || (delay == 0 && cutter.is_some()) {
                    self.read.store(reader.offset(), Ordering::Relaxed);
                    self.tell(Loaded::Entries(std::mem::take(&mut batch)));
                }
                continue;
            }
            self.read.store(reader.offset(), Ordering::Relaxed);
            if !batch.is_empty() {
                self.tell(Loaded::Entries(std::mem::take(&mut batch)));
            }
            if let Event::Eof(_) = event {
                return Ok(End { len: reader.offset(), ahead: reader.into_rest().1.len() });
            }
            if let Some(loaded) = said(event, keys_max(len, reader.offset()).saturating_sub(promised))? {
                if let Loaded::Room { keys, .. } = loaded {
                    promised += keys;
                }
                self.tell(loaded);
            }
        }
    }

    /// Puts a block's place into the queue, then the block to the decoders; answers whether to go on.
    fn pass_block(&self, cutter: &mut Cutter<'_>, block: Block) -> bool {
        let (to, from) = sync::channel();
        // As in `tell`.
        let _ = self.to.send(Sent::Later(from));
        let index = cutter.cut;
        cutter.cut += 1;
        cutter.to.send(Job { index, block, to }).is_ok() && !cutter.jobs.has_failed.load(Ordering::Relaxed)
    }

    /// What a decoder's thread does.
    fn decode_blocks(&self, jobs: &Jobs, options: Options) {
        let mut reader = Reader::of_blocks(options);
        while let Some(Job { index, block, to }) = jobs.next() {
            if self.stop.load(Ordering::Relaxed) || jobs.has_failed.load(Ordering::Relaxed) {
                continue;
            }
            let decoded = self.decode_block(&mut reader, block, &to);
            // Its end is known by this, so that must come before the executor looks.
            drop(to);
            self.waker.wake();
            if let Err(text) = decoded {
                jobs.fail(index, text);
                return;
            }
        }
    }

    fn decode_block(
        &self,
        reader: &mut Reader<std::io::Empty>,
        block: Block,
        to: &Sender<Loaded>,
    ) -> Result<(), String> {
        let mut batch = Vec::with_capacity(block.entries.min(BATCH_ENTRIES));
        let now_ms = clock::unix_ms();
        reader.begin_block(block);
        while !reader.block_ended() {
            if batch.len() >= BATCH_ENTRIES {
                let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH_ENTRIES));
                // As in `tell`.
                let _ = to.send(Loaded::Entries(full));
            }
            if let Some(string) = reader.short_string() {
                batch.push(self.make_string(&string, now_ms));
                continue;
            }
            match reader.next().map_err(|e| e.to_string())? {
                Event::Entry(entry) => batch.push(self.make(entry, now_ms, reader)),
                event => {
                    let batch = std::mem::take(&mut batch);
                    let said = said(event, 0)?;
                    for loaded in [Some(Loaded::Entries(batch)), said].into_iter().flatten() {
                        // As in `tell`.
                        let _ = to.send(loaded);
                    }
                }
            }
        }
        // As in `tell`.
        let _ = to.send(Loaded::Entries(batch));
        Ok(())
    }
}

/// What the executor is told of an event that is no entry. Room is made for no more than `keys_max`.
pub fn said(event: Event, keys_max: u64) -> Result<Option<Loaded>, String> {
    Ok(Some(match event {
        Event::SelectDb(db) => Loaded::Database { db },
        Event::ResizeDb { keys, .. } if keys <= keys_max => Loaded::Room { keys, room: Room::for_keys(keys as usize) },
        Event::Aux(name, value) => Loaded::Aux(name, value),
        Event::EmptyKey(key) => Loaded::EmptyKey(key),
        Event::Function(code) => Loaded::Function(code),
        Event::Skipped { key, value_type, .. } => Loaded::Note(format!(
            "skipped key '{}' of type {value_type}, which this server does not know",
            String::from_utf8_lossy(&key)
        )),
        Event::ModuleAux { module, .. } => Loaded::Note(format!("skipped data of the module '{module}'")),
        _ => return Ok(None),
    }))
}

/// So many keys can follow in a file of this length, of which some is read. A damaged one may say anything.
fn keys_max(len: Option<u64>, read: u64) -> u64 {
    len.map_or(ROOM_MAX, |len| len.saturating_sub(read) / ENTRY_BYTES_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_fit_can_follow() {
        assert_eq!(keys_max(Some(100), 91), 3);
        assert_eq!(keys_max(Some(1), 2), 0);
        assert_eq!(keys_max(None, 2), ROOM_MAX);
    }
}
