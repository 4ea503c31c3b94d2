//! Files.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FallocateFlags, FlockOperation, OFlags, fallocate, flock};

use crate::world::{self, Metadata, Open};

/// An open file.
#[derive(Debug)]
pub struct File(Handle);

#[derive(Debug)]
enum Handle {
    System(std::fs::File),
    Simulated { file: Box<dyn world::File>, appends: bool, at: AtomicU64 },
}

/// How a file is to be opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions {
    open: Open,
    direct: bool,
    mode: Option<u32>,
}

impl OpenOptions {
    pub fn new() -> OpenOptions {
        OpenOptions::default()
    }

    pub fn read(mut self, on: bool) -> OpenOptions {
        self.open.read = on;
        self
    }

    pub fn write(mut self, on: bool) -> OpenOptions {
        self.open.write = on;
        self
    }

    pub fn append(mut self, on: bool) -> OpenOptions {
        self.open.append = on;
        self
    }

    pub fn truncate(mut self, on: bool) -> OpenOptions {
        self.open.truncate = on;
        self
    }

    pub fn create(mut self, on: bool) -> OpenOptions {
        self.open.create = on;
        self
    }

    pub fn create_new(mut self, on: bool) -> OpenOptions {
        self.open.create_new = on;
        self
    }

    /// Writes go past the system's cache: whole blocks from aligned memory.
    pub fn direct(mut self, on: bool) -> OpenOptions {
        self.direct = on;
        self
    }

    /// Who may do what with a file that is made; nobody asks for it on a simulated machine.
    pub fn mode(mut self, mode: u32) -> OpenOptions {
        self.mode = Some(mode);
        self
    }

    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let (path, open) = (path.as_ref(), self.open);
        if let Some(file) = world::with(|world| world.open(path, &open)) {
            if self.direct {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            return Ok(File(Handle::Simulated { file: file?, appends: open.append, at: AtomicU64::new(0) }));
        }
        let mut options = std::fs::File::options();
        options.read(open.read).write(open.write).append(open.append);
        options.truncate(open.truncate).create(open.create).create_new(open.create_new);
        if self.direct {
            options.custom_flags(OFlags::DIRECT.bits() as i32);
        }
        if let Some(mode) = self.mode {
            options.mode(mode);
        }
        Ok(File(Handle::System(options.open(path)?)))
    }
}

impl File {
    pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().read(true).open(path)
    }

    /// An empty file to write to, in place of one that is there.
    pub fn create(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }

    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    pub fn metadata(&self) -> io::Result<Metadata> {
        match &self.0 {
            Handle::System(file) => file.metadata().map(|found| shown(&found)),
            Handle::Simulated { file, .. } => file.look_at(),
        }
    }

    pub fn set_len(&self, len: u64) -> io::Result<()> {
        match &self.0 {
            Handle::System(file) => file.set_len(len),
            Handle::Simulated { file, .. } => file.set_len(len),
        }
    }

    /// What was written is durable, and all that is known of the file.
    pub fn sync_all(&self) -> io::Result<()> {
        match &self.0 {
            Handle::System(file) => file.sync_all(),
            Handle::Simulated { file, .. } => file.sync(),
        }
    }

    /// What was written is durable.
    pub fn sync_data(&self) -> io::Result<()> {
        match &self.0 {
            Handle::System(file) => file.sync_data(),
            Handle::Simulated { file, .. } => file.sync(),
        }
    }

    /// Reads what fits; 0 at the end of the file.
    pub fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        match &self.0 {
            Handle::System(file) => file.read_at(bytes, at),
            Handle::Simulated { file, .. } => file.read_at(bytes, at),
        }
    }

    /// Appends to `bytes` what fits into the room that it has; 0 at the end of the file.
    pub fn read_into_room(&self, bytes: &mut Vec<u8>, at: u64) -> io::Result<usize> {
        match &self.0 {
            Handle::System(file) => Ok(rustix::io::pread(file, rustix::buffer::spare_capacity(bytes), at)?),
            Handle::Simulated { file, .. } => {
                let len = bytes.len();
                bytes.resize(bytes.capacity(), 0);
                let read = file.read_at(&mut bytes[len..], at);
                bytes.truncate(len + *read.as_ref().unwrap_or(&0));
                read
            }
        }
    }

    pub fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let Handle::Simulated { file, .. } = &self.0 else {
            let Handle::System(file) = &self.0 else { unreachable!("there are two kinds") };
            return file.read_exact_at(bytes, at);
        };
        let mut done = 0;
        while done < bytes.len() {
            match file.read_at(&mut bytes[done..], at + done as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => done += count,
            }
        }
        Ok(())
    }

    pub fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let Handle::Simulated { file, .. } = &self.0 else {
            let Handle::System(file) = &self.0 else { unreachable!("there are two kinds") };
            return file.write_all_at(bytes, at);
        };
        let mut done = 0;
        while done < bytes.len() {
            match file.write_at(&bytes[done..], at + done as u64)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => done += count,
            }
        }
        Ok(())
    }

    /// On a simulated machine: what a store to a mapping of the file does.
    ///
    /// # Errors
    /// The disk takes no more, or the file is a system's, which is to be mapped.
    pub fn store_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        match &self.0 {
            Handle::System(_) => Err(io::ErrorKind::Unsupported.into()),
            Handle::Simulated { file, .. } => file.store_at(bytes, at),
        }
    }

    /// Room on the disk for these bytes; the file's length stays what it is.
    ///
    /// # Errors
    /// The disk is full, or its file system can't do this.
    pub fn reserve(&self, at: u64, count: u64) -> io::Result<()> {
        match &self.0 {
            Handle::System(file) => Ok(fallocate(file, FallocateFlags::KEEP_SIZE, at, count)?),
            Handle::Simulated { .. } => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Writes go through the system's cache again.
    pub fn end_direct(&self) -> io::Result<()> {
        if let Handle::System(file) = &self.0 {
            rustix::fs::fcntl_setfl(file, rustix::fs::fcntl_getfl(file)? - OFlags::DIRECT)?;
        }
        Ok(())
    }

    /// Nobody else may lock the file while this is open.
    ///
    /// # Errors
    /// Somebody has locked it.
    pub fn lock(&self) -> io::Result<()> {
        match &self.0 {
            Handle::System(file) => Ok(flock(file, FlockOperation::NonBlockingLockExclusive)?),
            Handle::Simulated { file, .. } => file.lock(),
        }
    }

    /// Lets those read and write it who may do so with the file at `path`, if there is one.
    pub fn take_permissions_of(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let Handle::System(file) = &self.0 else { return Ok(()) };
        match std::fs::metadata(path) {
            Ok(found) => file.set_permissions(found.permissions()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The system's file, where there is one: for what only it can do.
    pub fn system(&self) -> Option<&std::fs::File> {
        match &self.0 {
            Handle::System(file) => Some(file),
            Handle::Simulated { .. } => None,
        }
    }
}

impl Read for &File {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match &self.0 {
            Handle::System(file) => (&mut &*file).read(bytes),
            Handle::Simulated { file, at, .. } => {
                let count = file.read_at(bytes, at.load(Ordering::Relaxed))?;
                at.fetch_add(count as u64, Ordering::Relaxed);
                Ok(count)
            }
        }
    }
}

impl Write for &File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Handle::System(file) => (&mut &*file).write(bytes),
            Handle::Simulated { file, appends, at } => {
                let from = if *appends { file.look_at()?.len } else { at.load(Ordering::Relaxed) };
                let count = file.write_at(bytes, from)?;
                at.store(from + count as u64, Ordering::Relaxed);
                Ok(count)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for &File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &self.0 {
            Handle::System(file) => (&mut &*file).seek(to),
            Handle::Simulated { file, at, .. } => {
                let place = match to {
                    SeekFrom::Start(place) => Some(place),
                    SeekFrom::End(more) => file.look_at()?.len.checked_add_signed(more),
                    SeekFrom::Current(more) => at.load(Ordering::Relaxed).checked_add_signed(more),
                };
                let place = place.ok_or(io::ErrorKind::InvalidInput)?;
                at.store(place, Ordering::Relaxed);
                Ok(place)
            }
        }
    }
}

impl Read for File {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        (&*self).read(bytes)
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&*self).seek(to)
    }
}

fn shown(found: &std::fs::Metadata) -> Metadata {
    Metadata { len: found.len(), device: found.dev(), inode: found.ino(), is_directory: found.is_dir() }
}

pub fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = path.as_ref();
    world::with(|world| world.look_at(path)).unwrap_or_else(|| std::fs::metadata(path).map(|found| shown(&found)))
}

pub fn is_directory(path: impl AsRef<Path>) -> bool {
    metadata(path).is_ok_and(|found| found.is_directory)
}

/// All bytes of a file.
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// All of a file, which is text.
pub fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// A file with these bytes, in place of one that is there.
pub fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    File::create(path)?.write_all(bytes.as_ref())
}

pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (from.as_ref(), to.as_ref());
    world::with(|world| world.rename(from, to)).unwrap_or_else(|| std::fs::rename(from, to))
}

pub fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    world::with(|world| world.remove(path)).unwrap_or_else(|| std::fs::remove_file(path))
}

pub fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    world::with(|world| world.create_directory(path)).unwrap_or_else(|| std::fs::create_dir(path))
}

pub fn canonicalize(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref();
    world::with(|world| world.canonical(path)).unwrap_or_else(|| std::fs::canonicalize(path))
}

/// The paths in a directory.
pub fn list(path: impl AsRef<Path>) -> io::Result<Vec<PathBuf>> {
    let path = path.as_ref();
    world::with(|world| world.list(path))
        .unwrap_or_else(|| Ok(std::fs::read_dir(path)?.flatten().map(|entry| entry.path()).collect()))
}

/// Makes the names in the directory of `path` durable.
pub fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    world::with(|world| world.sync_directory(directory)).unwrap_or_else(|| std::fs::File::open(directory)?.sync_all())
}

/// Relative paths are of this directory from now on.
pub fn set_current_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    world::with(|world| world.change_directory(path)).unwrap_or_else(|| std::env::set_current_dir(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_those_of_the_system() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        let mut file = File::create(at("a")).expect("it is made");
        file.write_all(b"one two").expect("it is written");
        file.write_all_at(b"2", 4).expect("it is written");
        file.sync_all().expect("it is synced");
        assert_eq!(read(at("a")).expect("it is read"), b"one 2wo");
        let mode = |name: &str| std::fs::metadata(at(name)).expect("it is there").permissions().mode() & 0o777;
        std::fs::set_permissions(at("a"), std::fs::Permissions::from_mode(0o600)).expect("it is ours");
        let other = File::create(at("other")).expect("it is made");
        other.take_permissions_of(at("none")).expect("nothing to do");
        other.take_permissions_of(at("a")).expect("it is ours");
        assert_eq!(mode("other"), 0o600);
        remove_file(at("other")).expect("it is removed");
        let mut file = OpenOptions::new().read(true).append(true).open(at("a")).expect("it is opened");
        file.write_all(b"!").expect("it is written");
        file.seek(SeekFrom::End(-2)).expect("a place in it");
        let mut end = String::new();
        file.read_to_string(&mut end).expect("it is read");
        assert_eq!((end.as_str(), file.metadata().expect("it is there").len), ("o!", 8));
        rename(at("a"), at("b")).expect("it is renamed");
        sync_directory_of(&at("b")).expect("it is synced");
        assert_eq!(list(directory.path()).expect("names"), [at("b")]);
        let locked = File::open(at("b")).and_then(|f| f.lock().map(|()| f)).expect("nobody has locked it");
        assert!(File::open(at("b")).expect("it is opened").lock().is_err());
        drop(locked);
        remove_file(at("b")).expect("it is removed");
        assert_eq!(metadata(at("b")).expect_err("it is gone").kind(), io::ErrorKind::NotFound);
        assert!(is_directory(directory.path()) && !is_directory(at("b")));
    }
}
