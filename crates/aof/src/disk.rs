//! The files of the system.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rivulet_host::fs::{self, File, OpenOptions};

use crate::identity::Place;
use crate::op::{Disk, Medium};

/// The system's files. It knows nothing of the log: it does what it is told.
#[derive(Debug, Default)]
pub struct SystemDisk {
    current: Option<Current>,
}

/// The file that bytes are appended to.
#[derive(Debug)]
struct Current {
    path: PathBuf,
    file: Arc<File>,
    len: u64,
    /// Room on the disk is reserved up to here; `None` where the file system can't.
    reserved: Option<u64>,
}

/// A file reserves as much room ahead as it is long, within these: what is written into room that is there costs the system a fraction of the work.
/// Short files reserve nothing.
const RESERVE_BYTES_MIN: u64 = 1 << 20;
const RESERVE_BYTES_MAX: u64 = 16 << 20;

/// Bytes written at one time. The system takes memory in blocks of that size then: larger ones may have to be fetched from the host of a virtual
/// machine, which took four times as long, and smaller ones cost more each.
const WRITE_BYTES: usize = 128 << 10;

impl Current {
    fn new(path: &Path, file: File, len: u64) -> Current {
        Current { path: path.to_path_buf(), file: Arc::new(file), len, reserved: Some(len) }
    }

    /// Sees to it that there is room for `bytes` more. The file's length stays what it is.
    fn reserve(&mut self, bytes: u64) {
        let Some(reserved) = self.reserved else { return };
        let needed = self.len + bytes;
        if needed <= reserved || needed < RESERVE_BYTES_MIN {
            return;
        }
        let ahead = needed.clamp(RESERVE_BYTES_MIN, RESERVE_BYTES_MAX);
        let until = (needed + ahead).next_multiple_of(RESERVE_BYTES_MIN);
        let done = self.file.reserve(self.len, until - self.len);
        // A disk that is nearly full, or can't do this, gets the bytes as they come.
        self.reserved = done.is_ok().then_some(until);
    }
}

impl Drop for Current {
    /// Gives room back that is not needed. What another program has added stays.
    fn drop(&mut self) {
        let is_ours = || self.file.metadata().is_ok_and(|file| file.len == self.len);
        if self.reserved.is_some_and(|reserved| reserved > self.len) && is_ours() {
            // What can't be given back now is when the file is resumed or removed.
            let _ = self.file.set_len(self.len);
        }
    }
}

impl SystemDisk {
    /// The file that is appended to, for a thread that syncs it.
    pub fn current(&self) -> Option<Arc<File>> {
        self.current.as_ref().map(|current| Arc::clone(&current.file))
    }

    /// Makes what is in a file durable. One that is nothing on a disk has nothing to be synced.
    pub fn sync_file(file: &File) -> io::Result<()> {
        file.sync_data().or_else(|error| if error.kind() == io::ErrorKind::InvalidInput { Ok(()) } else { Err(error) })
    }

    /// Its path and length.
    pub fn end(&self) -> Option<(&Path, u64)> {
        self.current.as_ref().map(|current| (current.path.as_path(), current.len))
    }
}

impl Disk for SystemDisk {
    fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let beside = beside(path);
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        sync_directory(path)
    }

    fn begin(&mut self, path: &Path) -> io::Result<()> {
        // What follows is not for the file before, whatever becomes of this one.
        self.current = None;
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        sync_directory(path)?;
        self.current = Some(Current::new(path, file, 0));
        Ok(())
    }

    fn resume(&mut self, path: &Path, len: u64) -> io::Result<()> {
        self.current = None;
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(len)?;
        file.sync_all()?;
        self.current = Some(Current::new(path, file, len));
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(current) = &mut self.current else { return Err(io::Error::other("no file is open")) };
        current.reserve(bytes.len() as u64);
        let mut at = current.len;
        for piece in bytes.chunks(WRITE_BYTES) {
            if let Err(error) = current.file.write_all_at(piece, at) {
                current.reserved = None;
                // What a full disk took of them should not be there after a crash. The next attempt writes in the same place.
                let _ = current.file.set_len(current.len);
                return Err(error);
            }
            at += piece.len() as u64;
        }
        current.len = at;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.current.as_ref().map_or(Ok(()), |current| SystemDisk::sync_file(&current.file))
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        if let Some(current) = self.current.as_mut().filter(|current| current.path == from) {
            current.path = to.to_path_buf();
        }
        sync_directory(to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn close(&mut self) {
        self.current = None;
    }
}

impl Medium for SystemDisk {
    fn note(&mut self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(at == 0).open(path)?;
        file.write_all_at(bytes, at)
    }

    fn sync_note(&mut self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_data()
    }

    fn rename_note(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn len(&mut self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len)
    }

    fn read(&mut self, path: &Path, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        File::open(path)?.read_exact_at(bytes, at)
    }

    fn overwrite(&mut self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new().write(true).open(path)?.write_all_at(bytes, at)
    }
}

/// Where a file is written before it takes its name.
pub fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("temp-{name}"))
}

/// Makes the names in the directory of `path` durable.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    fs::sync_directory_of(path)
}

/// Which run of the system this is.
pub fn boot() -> io::Result<u128> {
    let text = String::from_utf8(fs::read("/proc/sys/kernel/random/boot_id")?).map_err(io::Error::other)?;
    u128::from_str_radix(&text.trim().replace('-', ""), 16).map_err(io::Error::other)
}

/// Where a directory is, to tell it from a copy of it.
pub fn place(directory: &Path) -> io::Result<Place> {
    let metadata = fs::metadata(directory)?;
    Ok(Place { device: metadata.device, inode: metadata.inode })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::*;
    use crate::op::{Change, FileOp};

    #[test]
    fn room_is_reserved_for_long_files_and_given_back() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let on_disk = || fs::metadata(&path).map(|file| (file.len(), file.blocks() * 512)).unwrap();
        let mut disk = SystemDisk::default();
        disk.begin(&path).unwrap();
        disk.append(b"short").unwrap();
        assert!(on_disk().1 < RESERVE_BYTES_MIN);
        let piece = vec![7; 3 << 20];
        disk.append(&piece).unwrap();
        disk.append(&piece).unwrap();
        let len = 5 + 2 * piece.len() as u64;
        let reserved = disk.current.as_ref().unwrap().reserved;
        if let Some(reserved) = reserved {
            assert!(reserved > len && on_disk().1 >= reserved, "{reserved} {:?}", on_disk());
        }
        assert_eq!(on_disk().0, len, "the length is that of what was appended");
        disk.close();
        assert!(on_disk().1 < len + RESERVE_BYTES_MIN, "{:?}", on_disk());
        disk.resume(&path, len).unwrap();
        disk.append(&piece).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"not ours").unwrap();
        disk.close();
        assert_eq!(on_disk().0, len + piece.len() as u64 + 8, "what another program has added stays");
        disk.resume(&path, 4).unwrap();
        disk.append(b"!").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"shor!");
    }

    #[test]
    fn steps_become_files() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let mut disk = SystemDisk::default();
        disk.begin(&at("a")).unwrap();
        disk.append(b"one").unwrap();
        disk.append(b"two").unwrap();
        let ops = vec![
            FileOp::Sync,
            FileOp::Rename { from: at("a"), to: at("b") },
            FileOp::Replace { path: at("manifest"), bytes: b"x".to_vec() },
            FileOp::Remove { path: at("never there") },
        ];
        Change { ops, must: false }.carry_out(&mut disk).unwrap();
        disk.append(b"three").unwrap();
        assert_eq!(fs::read(at("b")).unwrap(), b"onetwothree", "a name may change while the file is open");
        assert!(disk.begin(&at("no such directory/c")).is_err());
        assert!(disk.append(b"lost").is_err(), "what follows is not for the file before");
        assert_eq!(fs::read(at("b")).unwrap(), b"onetwothree");
        disk.resume(&at("b"), 3).unwrap();
        disk.append(b"!").unwrap();
        assert_eq!(fs::read(at("b")).unwrap(), b"one!");
        let failing = Change { ops: vec![FileOp::Sync, FileOp::Rename { from: at("no"), to: at("x") }], must: false };
        assert_eq!(failing.carry_out(&mut disk).unwrap_err().0, 1);
        let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}
