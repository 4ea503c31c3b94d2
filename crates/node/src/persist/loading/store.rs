//! A master's snapshot on its way into a file.
//!
//! What is decoded as it comes is not read back, so its bytes go past the system's cache where the file system allows that: they are not copied,
//! and drive nothing out.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rivulet_host::fs::{self, File, OpenOptions};
use rivulet_host::sync::{self, Receiver, SyncSender};

use crate::persist::snapshot::sync_directory;
use crate::{clock, helpers};

/// Bytes written at one time.
const WRITE_BYTES: usize = 1 << 20;
/// Where a write past the cache may begin and end, in the file and in memory: no device has larger blocks.
const ALIGNMENT: usize = 4096;
/// Pieces that may wait for the disk.
const PIECES_MAX: usize = 64;

/// What a file is called until it is whole. One that is given up and the next may overlap, and each removes what is not whole of its own.
pub fn temporary_name(path: &Path, number: u64) -> PathBuf {
    let seconds = clock::unix_ms() / 1000;
    path.with_file_name(format!("temp-{seconds}.{}.{number}.rdb", std::process::id()))
}

/// A file that takes its name when it is whole.
pub struct Store {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    /// Writes go past the cache.
    direct: bool,
    /// What is not written yet stands from `first` on, which is where memory is aligned.
    buffer: Vec<u8>,
    first: usize,
    filled: usize,
    written: u64,
    has_its_name: bool,
}

impl Store {
    /// A file that will be `path`. Its bytes stay in the cache if it is to be read soon.
    pub fn create(temporary: PathBuf, path: &Path, read_soon: bool) -> io::Result<Store> {
        let open = OpenOptions::new().write(true).create(true).truncate(true);
        let direct = if read_soon { None } else { open.direct(true).open(&temporary).ok() };
        let (file, direct) = match direct {
            Some(file) => (file, true),
            None => (open.open(&temporary)?, false),
        };
        let buffer = vec![0; WRITE_BYTES + ALIGNMENT];
        let first = buffer.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Ok(Store {
            file,
            temporary,
            path: path.to_owned(),
            direct,
            buffer,
            first,
            filled: 0,
            written: 0,
            has_its_name: false,
        })
    }

    fn write_out(&mut self) -> io::Result<()> {
        let bytes = &self.buffer[self.first..self.first + self.filled];
        let whole_blocks = bytes.len().is_multiple_of(ALIGNMENT);
        let mut result = if self.direct && whole_blocks {
            self.file.write_all_at(bytes, self.written)
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        };
        // The last bytes are no whole block; and some file systems take the flag but no such writes.
        if result.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::InvalidInput) {
            if self.direct {
                self.file.end_direct()?;
                self.direct = false;
            }
            result = self.file.write_all_at(bytes, self.written);
        }
        result?;
        self.written += self.filled as u64;
        self.filled = 0;
        Ok(())
    }

    /// Makes it durable under its name. Answers the file, to be read.
    pub fn finish(mut self) -> io::Result<File> {
        self.write_out()?;
        self.file.sync_all()?;
        let file = File::open(&self.temporary)?;
        fs::rename(&self.temporary, &self.path)?;
        self.has_its_name = true;
        sync_directory(&self.path)?;
        Ok(file)
    }
}

impl Write for Store {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(WRITE_BYTES - self.filled);
        let at = self.first + self.filled;
        self.buffer[at..at + count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        if self.filled == WRITE_BYTES {
            self.write_out()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if !self.has_its_name {
            // Why it is not whole is told elsewhere; a file that can't be removed is overwritten by the next.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// What an error of storing is called.
pub fn failure(e: &io::Error) -> String {
    format!("can't store the snapshot: {e}")
}

/// A thread that stores what is decoded at the same time.
pub struct Storing {
    to: SyncSender<Arc<Vec<u8>>>,
    ended: Receiver<io::Result<Store>>,
}

impl Storing {
    pub fn start(temporary: PathBuf, path: &Path) -> io::Result<Storing> {
        let store = Store::create(temporary, path, false)?;
        let (to, from) = sync::sync_channel(PIECES_MAX);
        let (ends, ended) = sync::channel();
        helpers::start("store", move || {
            // Who gave the load up does not wait for it.
            let _ = ends.send(store_all(store, from));
        });
        Ok(Storing { to, ended })
    }

    /// Passes bytes on; waits for the disk if it lags far behind. Answers whether the thread still takes them.
    pub fn push(&self, bytes: Arc<Vec<u8>>) -> bool {
        self.to.send(bytes).is_ok()
    }

    /// All has been passed on, or nothing more will be: ends the thread. The file has its name when the answer is good and `whole` was said.
    pub fn end(self, whole: bool) -> io::Result<()> {
        drop(self.to);
        let store = self.ended.recv().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))?;
        if whole { store.finish().map(|_| ()) } else { Ok(()) }
    }
}

fn store_all(mut store: Store, from: Receiver<Arc<Vec<u8>>>) -> io::Result<Store> {
    for bytes in from {
        store.write_all(&bytes)?;
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("rivulet-store-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        path
    }

    #[test]
    fn a_file_is_what_was_written() {
        let directory = directory("whole");
        let path = directory.join("dump.rdb");
        let bytes: Vec<u8> = (0..3 * WRITE_BYTES + 4097).map(|i| (i % 251) as u8).collect();
        for read_soon in [false, true] {
            for len in [0, 1, ALIGNMENT, WRITE_BYTES, WRITE_BYTES + 1, bytes.len()] {
                let mut store = Store::create(temporary_name(&path, 0), &path, read_soon).expect("a file");
                for piece in bytes[..len].chunks(100_001) {
                    store.write_all(piece).expect("it is written");
                }
                store.finish().expect("it is durable");
                assert!(std::fs::read(&path).expect("it is read") == bytes[..len], "{len} bytes");
            }
        }
        std::fs::remove_dir_all(directory).expect("it is removed");
    }

    #[test]
    fn what_is_not_whole_leaves_nothing() {
        let directory = directory("part");
        let path = directory.join("dump.rdb");
        let storing = Storing::start(temporary_name(&path, 0), &path).expect("a thread");
        assert!(storing.push(Arc::new(vec![7; 10_000])));
        storing.end(false).expect("nothing failed");
        std::fs::remove_dir(directory).expect("it is empty");
    }
}
