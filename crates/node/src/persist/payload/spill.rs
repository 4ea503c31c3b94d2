//! What a slow replica has not taken yet of a payload, in a file without a name: written and read by a thread of its own.
//!
//! A byte of the payload has the same place in the file, which has holes where all replicas were sent the bytes from memory.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rivulet_engine::client_id::ClientId;
use rivulet_host::fs::{self, File, OpenOptions};
use rivulet_host::sync::{Receiver, Sender, channel};
use rivulet_net::Waker;

use crate::helpers;

/// Bytes read for one replica at one time.
pub const PIECE_BYTES: u64 = 256 << 10;

enum Task {
    Write { offset: u64, bytes: Arc<Vec<u8>> },
    Read { client: ClientId, offset: u64, len: u64 },
}

/// What the thread has done.
pub enum Done {
    /// Bytes that a replica needs.
    Piece { client: ClientId, offset: u64, bytes: io::Result<Vec<u8>> },
    /// The file takes no more.
    Full(io::Error),
}

/// The executor's end. The thread and the file go with it.
pub struct Spill {
    to: Sender<Task>,
    from: Receiver<Done>,
    /// All that was handed over before this place of the payload is in the file.
    written_to: Arc<AtomicU64>,
    /// Bytes in the file.
    bytes: Arc<AtomicU64>,
}

impl Spill {
    pub fn start(waker: Waker) -> Spill {
        let (to, tasks) = channel();
        let (done, from) = channel();
        let (written_to, bytes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let worker = Worker { done, written_to: written_to.clone(), bytes: bytes.clone(), waker, file: None };
        helpers::start("spill", move || worker.run(tasks));
        Spill { to, from, written_to, bytes }
    }

    pub fn write(&self, offset: u64, bytes: Arc<Vec<u8>>) {
        // The thread ends with this end of the channel only.
        let _ = self.to.send(Task::Write { offset, bytes });
    }

    pub fn read(&self, client: ClientId, offset: u64, len: u64) {
        // As above.
        let _ = self.to.send(Task::Read { client, offset, len: len.min(PIECE_BYTES) });
    }

    pub fn poll(&self) -> Option<Done> {
        self.from.try_recv().ok()
    }

    pub fn written_to(&self) -> u64 {
        self.written_to.load(Ordering::Acquire)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

struct Worker {
    done: Sender<Done>,
    written_to: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
    waker: Waker,
    file: Option<File>,
}

impl Worker {
    fn run(mut self, tasks: Receiver<Task>) {
        let mut is_full = false;
        for task in tasks {
            let done = match task {
                // What stands after a gap is of no use.
                Task::Write { .. } if is_full => continue,
                Task::Write { offset, bytes } => match self.write(offset, &bytes) {
                    Ok(()) => {
                        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                        self.written_to.store(offset + bytes.len() as u64, Ordering::Release);
                        None
                    }
                    Err(error) => {
                        is_full = true;
                        Some(Done::Full(error))
                    }
                },
                Task::Read { client, offset, len } => {
                    Some(Done::Piece { client, offset, bytes: self.read(offset, len) })
                }
            };
            if let Some(done) = done {
                // Nobody wants it when the snapshot is over.
                let _ = self.done.send(done);
            }
            self.waker.wake();
        }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(nameless_file()?),
        };
        file.write_all_at(bytes, offset)
    }

    fn read(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

/// A file in the working directory that is gone when it is closed.
fn nameless_file() -> io::Result<File> {
    // Those of two snapshots may be made at the same time, and each removes its own name. All names are as long, whatever was made before: a simulation is to use as
    // much memory each time.
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = PathBuf::from(format!("temp-sync-{}.{count:08}.spill", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}
