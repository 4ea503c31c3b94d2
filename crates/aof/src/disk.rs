//! The files of the system.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::identity::Place;
use crate::op::Disk;

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
}

impl SystemDisk {
    /// The file that is appended to, for a thread that syncs it.
    pub fn current(&self) -> Option<Arc<File>> {
        self.current.as_ref().map(|current| Arc::clone(&current.file))
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
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        sync_directory(path)?;
        self.current = Some(Current { path: path.to_path_buf(), file: Arc::new(file), len: 0 });
        Ok(())
    }

    fn resume(&mut self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().append(true).open(path)?;
        file.set_len(len)?;
        file.sync_all()?;
        self.current = Some(Current { path: path.to_path_buf(), file: Arc::new(file), len });
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(current) = &mut self.current else { return Err(io::Error::other("no file is open")) };
        if let Err(error) = (&*current.file).write_all(bytes) {
            // What a full disk took of them would be there twice after the next attempt.
            current.file.set_len(current.len)?;
            io::Seek::seek(&mut &*current.file, io::SeekFrom::Start(current.len))?;
            return Err(error);
        }
        current.len += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.current.as_ref().map_or(Ok(()), |current| current.file.sync_data())
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

/// Where a file is written before it takes its name.
pub fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("temp-{name}"))
}

/// Makes the names in the directory of `path` durable.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// Where a directory is, to tell it from a copy of it.
pub fn place(directory: &Path) -> io::Result<Place> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(directory)?;
    Ok(Place { device: metadata.dev(), inode: metadata.ino() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Change, FileOp};

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
        disk.close();
        assert!(disk.append(b"x").is_err());
        disk.resume(&at("b"), 3).unwrap();
        disk.append(b"!").unwrap();
        assert_eq!(fs::read(at("b")).unwrap(), b"one!");
        let failing = Change { ops: vec![FileOp::Sync, FileOp::Rename { from: at("no"), to: at("x") }], must: false };
        assert_eq!(failing.carry_out(&mut disk).unwrap_err().0, 1);
        let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}
