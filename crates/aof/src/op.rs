//! What is done to files, as data: the executor decides, a thread carries out, a test plays it against a disk that fails.

use std::io;
use std::path::{Path, PathBuf};

/// A step. Steps are carried out in the order in which they were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileOp {
    /// The file holds these bytes, durably, or what it held before: written beside, synced, renamed.
    Replace { path: PathBuf, bytes: Vec<u8> },
    /// An empty file, which appended bytes go to from now on.
    Begin { path: PathBuf },
    /// A file that is there, cut to `len` bytes: appended bytes go to its end from now on.
    Resume { path: PathBuf, len: u64 },
    /// What was appended is durable.
    Sync,
    /// The name changes, durably.
    Rename { from: PathBuf, to: PathBuf },
    /// The file goes, if it is there.
    Remove { path: PathBuf },
    /// Checksums are made of what is in a file that nothing is appended to.
    Sum { path: PathBuf },
    /// Nothing is appended any more.
    Close,
}

/// Steps that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    pub ops: Vec<FileOp>,
    /// What follows relies on it: it is tried again until it succeeds. Otherwise a failure is told and the rest of the steps is left.
    pub must: bool,
}

/// Where files are.
pub trait Disk {
    fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    fn begin(&mut self, path: &Path) -> io::Result<()>;
    fn resume(&mut self, path: &Path, len: u64) -> io::Result<()>;
    /// Appends all bytes or, with an error, none of them.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&mut self, path: &Path) -> io::Result<()>;
    fn close(&mut self);
    /// Makes checksums of a file, where there are any.
    fn sum(&mut self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// What [`crate::summed::Summed`] needs of a disk beside that: files with notes on segments, and what is in segments.
pub trait Medium: Disk {
    /// Bytes of a file of notes, which is made if it is not there, and begun anew at 0.
    fn note(&mut self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()>;
    fn sync_note(&mut self, path: &Path) -> io::Result<()>;
    /// The name changes; it becomes durable with the next name in the directory that does.
    fn rename_note(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    fn len(&mut self, path: &Path) -> io::Result<u64>;
    /// All of `bytes`, or an error.
    fn read(&mut self, path: &Path, at: u64, bytes: &mut [u8]) -> io::Result<()>;
    /// Bytes that were there are written once more.
    fn overwrite(&mut self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()>;
}

impl Change {
    /// Carries out the steps. With an error, says how many of them were done.
    pub fn carry_out(&self, disk: &mut impl Disk) -> Result<(), (usize, io::Error)> {
        self.ops.iter().enumerate().try_for_each(|(i, op)| op.carry_out(disk).map_err(|e| (i, e)))
    }
}

impl FileOp {
    pub fn carry_out(&self, disk: &mut impl Disk) -> io::Result<()> {
        match self {
            FileOp::Replace { path, bytes } => disk.replace(path, bytes),
            FileOp::Begin { path } => disk.begin(path),
            FileOp::Resume { path, len } => disk.resume(path, *len),
            FileOp::Sync => disk.sync(),
            FileOp::Rename { from, to } => disk.rename(from, to),
            FileOp::Remove { path } => disk.remove(path),
            FileOp::Sum { path } => disk.sum(path),
            FileOp::Close => {
                disk.close();
                Ok(())
            }
        }
    }
}
