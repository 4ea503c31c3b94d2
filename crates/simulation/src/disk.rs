//! A disk. What is written is in the system's cache until it is synced; a loss of power keeps some of the rest, and the last of it torn.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use rivulet_host::world::{self, Metadata, Open};

use crate::content::Content;
use crate::memory::outside;

/// Writes are torn at multiples of this.
const SECTOR: usize = 512;
/// And kept or lost in pieces of this size.
const PAGE: usize = 4096;
const DEVICE: u64 = 1;

/// What a disk does wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Syncs fail, and what they covered is not durable though the cache calls it clean.
    pub fails_syncs: bool,
    /// No more bytes than this.
    pub capacity: Option<u64>,
    /// Us that a read, a write and a sync take.
    pub read_us: u64,
    pub write_us: u64,
    pub sync_us: u64,
}

#[derive(Debug, Default)]
pub struct Disk {
    files: BTreeMap<u64, Inode>,
    names: BTreeMap<PathBuf, u64>,
    directories: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    /// Changes of names since the directory was synced, oldest first.
    changes: Vec<NameChange>,
    locked: BTreeSet<u64>,
    last_inode: u64,
    pub faults: Faults,
}

#[derive(Debug, Default)]
struct Inode {
    cached: Content,
    durable: Content,
    /// What was done to `cached` since it was the same as `durable`.
    dirty: Vec<Edit>,
    /// Names and open handles.
    users: usize,
}

#[derive(Debug)]
enum Edit {
    Write { at: usize, bytes: Vec<u8> },
    Zeros { at: usize, count: usize },
    SetLen(usize),
}

#[derive(Debug, Clone)]
struct NameChange {
    path: PathBuf,
    to: Option<u64>,
}

impl Edit {
    fn write(at: usize, bytes: &[u8]) -> Edit {
        // In pieces that the machine can compare at once.
        match bytes.chunks(SECTOR).all(|sector| sector.iter().fold(0, |all, byte| all | byte) == 0) {
            true => Edit::Zeros { at, count: bytes.len() },
            false => Edit::Write { at, bytes: bytes.to_vec() },
        }
    }

    fn apply(&self, to: &mut Content) {
        match self {
            Edit::Write { at, bytes } => to.write(*at, bytes),
            Edit::Zeros { at, count } => to.write_zeros(*at, *count),
            Edit::SetLen(len) => to.set_len(*len),
        }
    }

    /// The first `bytes` of what it writes.
    fn torn(&self, rng: &mut Rng) -> Option<Edit> {
        let kept = |len: usize, rng: &mut Rng| rng.usize(..=len) / SECTOR * SECTOR;
        match self {
            Edit::Write { at, bytes } => Some(Edit::Write { at: *at, bytes: bytes[..kept(bytes.len(), rng)].to_vec() }),
            Edit::Zeros { at, count } => Some(Edit::Zeros { at: *at, count: kept(*count, rng) }),
            Edit::SetLen(_) => None,
        }
    }
}

impl Inode {
    fn edit(&mut self, edit: Edit) {
        edit.apply(&mut self.cached);
        match (self.dirty.last_mut(), &edit) {
            (Some(Edit::Zeros { at, count }), Edit::Zeros { at: next, count: more }) if *at + *count == *next => {
                *count += more
            }
            _ => self.dirty.push(edit),
        }
    }

    fn sync(&mut self) {
        // What a failed sync has called clean stays lost, where nobody writes it again.
        self.dirty.drain(..).for_each(|edit| edit.apply(&mut self.durable));
    }

    /// What a loss of power leaves: the first of what was not synced, and of what came next a part. Of the first a page may be missing: into room that
    /// was reserved pages are written in any order, whatever a file system's journal says of the length.
    fn lose_power(&mut self, rng: &mut Rng) {
        let before = self.durable.clone();
        let mut left = std::mem::take(&mut self.durable);
        let mut pages = Vec::new();
        let whole = rng.usize(..=self.dirty.len());
        for (i, edit) in self.dirty.drain(..).enumerate() {
            if i < whole {
                if let Edit::Write { at, bytes } = &edit {
                    pages.extend(at / PAGE..(at + bytes.len()).div_ceil(PAGE));
                }
                edit.apply(&mut left);
            } else if i == whole
                && let Some(torn) = edit.torn(rng)
            {
                torn.apply(&mut left);
            }
        }
        if rng.bool()
            && let Some(page) = rng.choice(pages)
            && page * PAGE < left.len()
        {
            let at = page * PAGE;
            let mut old = vec![0; PAGE.min(left.len() - at)];
            let known = before.len().saturating_sub(at).min(old.len());
            before.read(at, &mut old[..known]);
            left.write(at, &old);
        }
        self.cached.clone_from(&left);
        self.durable = left;
    }
}

fn no_such_file() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// What the system says when no block is free.
fn is_full() -> io::Error {
    io::Error::from_raw_os_error(28)
}

impl Disk {
    /// Bytes of all files as they are read, whether or not they are durable.
    pub fn used(&self) -> u64 {
        self.files.values().map(|inode| inode.cached.len() as u64).sum()
    }

    fn change_name(&mut self, path: &Path, to: Option<u64>) {
        let before = match to {
            Some(inode) => {
                self.files.entry(inode).or_default().users += 1;
                self.names.insert(path.to_path_buf(), inode)
            }
            None => self.names.remove(path),
        };
        self.changes.push(NameChange { path: path.to_path_buf(), to });
        if let Some(inode) = before {
            self.let_go(inode);
        }
    }

    fn let_go(&mut self, inode: u64) {
        let Some(file) = self.files.get_mut(&inode) else { return };
        file.users -= 1;
        let is_named_after_a_crash =
            self.durable_names.values().any(|i| *i == inode) || self.changes.iter().any(|c| c.to == Some(inode));
        if file.users == 0 && !is_named_after_a_crash {
            self.files.remove(&inode);
        }
    }

    /// The machine has lost its power; its processes are gone.
    pub fn lose_power(&mut self, rng: &mut Rng) {
        // Changes of names are made durable in their order.
        let kept = rng.usize(..=self.changes.len());
        self.changes.truncate(kept);
        self.sync_names();
        self.names.clone_from(&self.durable_names);
        self.locked.clear();
        for file in self.files.values_mut() {
            file.lose_power(rng);
            file.users = 0;
        }
        for inode in self.names.values() {
            self.files.entry(*inode).or_default().users += 1;
        }
        self.files.retain(|_, file| file.users > 0);
    }

    fn sync_names(&mut self) {
        for NameChange { path, to } in self.changes.drain(..) {
            match to {
                Some(inode) => self.durable_names.insert(path, inode),
                None => self.durable_names.remove(&path),
            };
        }
    }

    /// A bit of a file changes, which was on the disk as a whole.
    pub fn rot(&mut self, path: &Path, at: usize) {
        self.write_back(path);
        let Some(file) = self.names.get(path).and_then(|inode| self.files.get_mut(inode)) else { return };
        let mut byte = [0];
        file.cached.read(at, &mut byte);
        file.cached.write(at, &[byte[0] ^ 1]);
        file.durable.clone_from(&file.cached);
    }

    /// What was written to a file comes to the disk, as it does after a while though nobody asks for it.
    pub fn write_back(&mut self, path: &Path) {
        if let Some(file) = self.names.get(path).and_then(|inode| self.files.get_mut(inode)) {
            file.sync();
        }
    }

    /// Paths and lengths of all files.
    pub fn list(&self) -> Vec<(PathBuf, usize)> {
        self.names.iter().map(|(path, inode)| (path.clone(), self.files[inode].cached.len())).collect()
    }

    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        Some(self.files[self.names.get(path)?].cached.to_vec())
    }
}

/// A disk, for who uses it.
#[derive(Clone, Debug, Default)]
pub struct Handle(Arc<Mutex<Disk>>);

impl Handle {
    pub fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn open(&self, path: &Path, how: &Open) -> io::Result<OpenFile> {
        outside(|| self.open_file(path, how))
    }

    fn open_file(&self, path: &Path, how: &Open) -> io::Result<OpenFile> {
        let mut disk = self.lock();
        if disk.directories.contains_key(path) || is_root(path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let found = disk.names.get(path).copied();
        let inode = match found {
            Some(_) if how.create_new => return Err(io::ErrorKind::AlreadyExists.into()),
            Some(inode) => inode,
            None if how.create || how.create_new => {
                let parent = path.parent().unwrap_or(Path::new("/"));
                if !is_root(parent) && !disk.directories.contains_key(parent) {
                    return Err(no_such_file());
                }
                disk.last_inode += 1;
                let inode = disk.last_inode;
                disk.change_name(path, Some(inode));
                inode
            }
            None => return Err(no_such_file()),
        };
        let file = disk.files.get_mut(&inode).ok_or_else(no_such_file)?;
        file.users += 1;
        if how.truncate && !file.cached.is_empty() {
            file.edit(Edit::SetLen(0));
        }
        drop(disk);
        Ok(OpenFile { disk: self.clone(), inode, locks: Mutex::new(false) })
    }

    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.lock();
        let inode = *disk.names.get(from).ok_or_else(no_such_file)?;
        disk.change_name(to, Some(inode));
        disk.change_name(from, None);
        Ok(())
    }

    pub fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.lock();
        if !disk.names.contains_key(path) {
            return Err(no_such_file());
        }
        disk.change_name(path, None);
        Ok(())
    }

    pub fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.lock();
        if disk.directories.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.last_inode += 1;
        let inode = disk.last_inode;
        disk.directories.insert(path.to_path_buf(), inode);
        Ok(())
    }

    pub fn look_at(&self, path: &Path) -> io::Result<Metadata> {
        let disk = self.lock();
        let directory = |inode| Metadata { len: 0, device: DEVICE, inode, is_directory: true };
        if is_root(path) {
            return Ok(directory(0));
        }
        if let Some(inode) = disk.directories.get(path) {
            return Ok(directory(*inode));
        }
        let inode = *disk.names.get(path).ok_or_else(no_such_file)?;
        let len = disk.files[&inode].cached.len() as u64;
        Ok(Metadata { len, device: DEVICE, inode, is_directory: false })
    }

    pub fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.lock().names.keys().filter(|name| name.parent() == Some(path)).cloned().collect())
    }

    /// Names are made durable for the whole disk, as a journal does.
    pub fn sync_directory(&self) -> io::Result<()> {
        let mut disk = self.lock();
        if disk.faults.fails_syncs {
            return Err(io::Error::from_raw_os_error(5));
        }
        disk.sync_names();
        Ok(())
    }
}

fn is_root(path: &Path) -> bool {
    path == Path::new("/") || path == Path::new("/data") || path == Path::new("/data/.")
}

/// An open file.
#[derive(Debug)]
pub struct OpenFile {
    disk: Handle,
    inode: u64,
    locks: Mutex<bool>,
}

impl OpenFile {
    fn with<R>(&self, f: impl FnOnce(&mut Inode) -> R) -> io::Result<R> {
        // A loss of power takes files that nobody names.
        outside(|| self.disk.lock().files.get_mut(&self.inode).map(f).ok_or_else(no_such_file))
    }

    fn put(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let room = {
            let disk = self.disk.lock();
            disk.faults.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(disk.used()))
        };
        self.with(|file| {
            let end = at as usize + bytes.len();
            let grows = end.saturating_sub(file.cached.len()) as u64;
            let count = if grows <= room { bytes.len() } else { bytes.len().saturating_sub((grows - room) as usize) };
            if count == 0 && !bytes.is_empty() {
                return Err(is_full());
            }
            file.edit(Edit::write(at as usize, &bytes[..count]));
            Ok(count)
        })?
    }

    fn take_time(&self, us: impl Fn(&Faults) -> u64) {
        let us = us(&self.disk.lock().faults);
        if us > 0 {
            rivulet_host::time::sleep(std::time::Duration::from_micros(us));
        }
    }
}

impl world::File for OpenFile {
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        self.take_time(|faults| faults.read_us);
        self.with(|file| {
            let count = file.cached.len().saturating_sub(at as usize).min(bytes.len());
            file.cached.read(at as usize, &mut bytes[..count]);
            count
        })
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        self.take_time(|faults| faults.write_us);
        self.put(bytes, at)
    }

    fn store_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.put(bytes, at).map(|_| ())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|file| {
            if file.cached.len() != len as usize {
                file.edit(Edit::SetLen(len as usize));
            }
        })
    }

    fn look_at(&self) -> io::Result<Metadata> {
        let len = self.with(|file| file.cached.len() as u64)?;
        Ok(Metadata { len, device: DEVICE, inode: self.inode, is_directory: false })
    }

    fn sync(&self) -> io::Result<()> {
        self.take_time(|faults| faults.sync_us);
        let fails = self.disk.lock().faults.fails_syncs;
        self.with(|file| match fails {
            true => {
                // As Linux does: the pages are clean now, and on no disk.
                file.dirty.clear();
                Err(io::Error::from_raw_os_error(5))
            }
            false => {
                file.sync();
                Ok(())
            }
        })?
    }

    fn lock(&self) -> io::Result<()> {
        if !self.disk.lock().locked.insert(self.inode) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        *self.locks.lock().unwrap_or_else(PoisonError::into_inner) = true;
        Ok(())
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        outside(|| self.closed());
    }
}

impl OpenFile {
    fn closed(&self) {
        let mut disk = self.disk.lock();
        if *self.locks.lock().unwrap_or_else(PoisonError::into_inner) {
            disk.locked.remove(&self.inode);
        }
        // After a loss of power nobody has it open any more; the count began anew.
        if disk.files.get(&self.inode).is_some_and(|file| file.users > 0) {
            disk.let_go(self.inode);
        }
    }
}
