//! The tail: the last bytes of the log, in memory that outlives the process.
//!
//! A ring in a file that is mapped and shared. Beside giving bytes to the log writer, the executor puts them there; when they are in the segment
//! the ring has room for others. A process that is killed leaves the ring with the system, and [`recover`] adds to the segment what the writer had
//! not come to. So a reply may leave when its write is in the ring, and the writer may write seldom and much. A loss of power is not what it is for:
//! what is durable says fsync alone.
//!
//! ```text
//!      0  RIVTAIL1, the boot of the system (16 bytes), device and inode of this file: a copy or a file of an earlier boot is nothing
//!     40  1 if what follows holds
//!     48  the counter at which the segment's bytes begin in the ring, and the bytes that the segment had then
//!    128  counter of bytes put in
//!    136  the counter up to which they were in the segment at least
//!    192  length of the segment's name, and the name
//!   4096  the ring: the byte with counter n is at n modulo its size
//! ```
//! Numbers are 64 bits, as the machine has them.
//!
//! No disk is sure to take what is stored into a mapping: a copy-on-write file system that is full has no room for another copy of a page, and
//! somebody may cut the file short. The system says so by SIGBUS at the store. Then `guard` puts memory of the process in the mapping's place:
//! the store goes there, the tail is broken from then on and takes nothing more, and replies wait for the segment. Nothing is ever read from the
//! mapping, so nothing is lost with it.

use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, compiler_fence};

use rivulet_host::fs::{self, File, OpenOptions};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

mod guard;

use crate::disk;
use guard::Guard;

/// Bytes that the ring holds: what the writer may be behind without holding up replies.
pub const RING_BYTES: usize = 4 << 20;
const HEAD_BYTES: usize = 4096;
const FILE_BYTES: usize = HEAD_BYTES + RING_BYTES;
const MAGIC: &[u8; 8] = b"RIVTAIL1";
const WHOSE_BYTES: usize = 40;
const VALID: usize = 40;
const FIRST: usize = 48;
const FILE_LEN: usize = 56;
const PUT: usize = 128;
const TAKEN: usize = 136;
const NAME_LEN: usize = 192;
const NAME: usize = 200;
const NAME_BYTES_MAX: usize = HEAD_BYTES - NAME;
/// More at once are refused, so that a put that was cut short by a kill spoils nothing of what is compared.
const PUT_BYTES_MAX: usize = RING_BYTES / 2;
/// So much of what the segment has already is compared with the ring before anything is added to it.
const COMPARED_BYTES_MAX: u64 = (RING_BYTES - PUT_BYTES_MAX) as u64;

/// A tail that is written.
#[derive(Debug)]
pub struct Tail {
    ring: Arc<Ring>,
    path: PathBuf,
    /// A file is named.
    valid: bool,
    /// Counters of bytes put in, and of those that are in their file.
    put: u64,
    taken: u64,
}

/// The pages of a tail, for a thread that may wait for the disk.
#[derive(Debug)]
pub struct Pages {
    ring: Arc<Ring>,
    /// Bytes that had been put in when this was called last.
    put: u64,
}

impl Pages {
    /// Sees to it that the next stores find their pages, for twice as many bytes as came since the last call. The system takes pages back when it
    /// has written them to the disk; a store that asks for one again may have to wait for the file system. What can't be given breaks the tail at
    /// the next store.
    pub fn prepare(&mut self) {
        let put = self.ring.put.load(Ordering::Relaxed);
        let ahead = (2 * (put - self.put)).min(RING_BYTES as u64) as usize;
        self.put = put;
        if ahead == 0 {
            return;
        }
        let at = put as usize % RING_BYTES;
        let first = ahead.min(RING_BYTES - at);
        self.ring.populate(0, HEAD_BYTES);
        self.ring.populate(HEAD_BYTES + at, first);
        self.ring.populate(HEAD_BYTES, ahead - first);
    }
}

/// The name of the file.
pub fn file_name(filename: &str) -> String {
    format!("{filename}.tail")
}

impl Tail {
    /// Makes an empty tail, in place of one that is there.
    pub fn create(path: &Path) -> io::Result<Tail> {
        remove(path)?;
        Tail::fill(path).inspect_err(|_| {
            // What was made of it takes room that others need. What can't be removed now is when it is tried again.
            let _ = remove(path);
        })
    }

    fn fill(path: &Path) -> io::Result<Tail> {
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        // The pages are there before they are mapped: a disk that is full says so here.
        let page = [0; HEAD_BYTES];
        for _ in 0..FILE_BYTES / HEAD_BYTES {
            file.write_all(&page)?;
        }
        let whose = whose(&file)?;
        let ring = Arc::new(Ring::of(file)?);
        ring.store(0, &whose);
        Ok(Tail { ring, path: path.to_path_buf(), valid: false, put: 0, taken: 0 })
    }

    /// Puts all bytes in, or says that they have no room, are too many, that no file is named, or that the tail is broken.
    pub fn put<'a>(&mut self, slices: impl Iterator<Item = &'a [u8]> + Clone) -> bool {
        let count: usize = slices.clone().map(<[u8]>::len).sum();
        let room = RING_BYTES - self.pending();
        if !self.valid || count > room.min(PUT_BYTES_MAX) {
            return false;
        }
        let mut put = self.put;
        for bytes in slices {
            let at = put as usize % RING_BYTES;
            let (first, second) = bytes.split_at(bytes.len().min(RING_BYTES - at));
            self.ring.store(HEAD_BYTES + at, first);
            self.ring.store(HEAD_BYTES, second);
            put += bytes.len() as u64;
        }
        self.ring.store_number(PUT, put, Ordering::Release);
        // What of this was stored in the file's pages is not known.
        if self.is_broken() {
            self.valid = false;
            return false;
        }
        self.put = put;
        self.ring.put.store(put, Ordering::Relaxed);
        true
    }

    pub fn pages(&self) -> Pages {
        Pages { ring: Arc::clone(&self.ring), put: self.put }
    }

    /// Bytes that are not in their file yet.
    pub fn pending(&self) -> usize {
        (self.put - self.taken) as usize
    }

    /// So many bytes are in the file now.
    pub fn taken(&mut self, count: usize) {
        self.taken += count as u64;
        self.ring.store_number(TAKEN, self.taken, Ordering::Relaxed);
    }

    /// The system has taken the file's pages away.
    pub fn is_broken(&self) -> bool {
        compiler_fence(Ordering::SeqCst);
        self.ring.is_broken()
    }

    /// What is put in from now on belongs to this file, which has `len` bytes. Everything is in a file now.
    pub fn belongs_to(&mut self, path: &Path, len: u64) {
        self.belongs_to_none();
        let name = path.file_name().map(|name| name.as_encoded_bytes()).unwrap_or_default();
        if path.parent() != self.path.parent() || name.len() > NAME_BYTES_MAX || self.pending() > 0 {
            return;
        }
        self.ring.store_number(NAME_LEN, name.len() as u64, Ordering::Relaxed);
        self.ring.store(NAME, name);
        self.ring.store_number(FILE_LEN, len, Ordering::Relaxed);
        self.ring.store_number(FIRST, self.put, Ordering::Relaxed);
        self.ring.store_number(PUT, self.put, Ordering::Relaxed);
        self.ring.store_number(TAKEN, self.taken, Ordering::Relaxed);
        self.ring.store_number(VALID, 1, Ordering::Release);
        self.valid = !self.is_broken();
    }

    /// Nothing can be put in until a file is named.
    pub fn belongs_to_none(&mut self) {
        self.valid = false;
        self.ring.store_number(VALID, 0, Ordering::Release);
    }

    /// The file goes: everything is where it belongs. What fails to be removed holds nothing.
    pub fn remove(mut self) {
        self.belongs_to_none();
        let _ = remove(&self.path);
    }
}

/// What a process has left there is nothing any more: it is of files that are not gone on with.
pub fn discard(directory: &Path, filename: &str) -> io::Result<()> {
    remove(&directory.join(file_name(filename)))
}

/// Adds to the file `last` of the directory what a process that was killed had put into the tail and not written; then the tail goes. Answers
/// how many bytes were added.
pub fn recover(directory: &Path, filename: &str, last: &str) -> io::Result<u64> {
    let path = directory.join(file_name(filename));
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        file => file?,
    };
    let mut bytes = Vec::with_capacity(FILE_BYTES + 1);
    (&mut file).take(FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    let added = match Left::parse(&bytes, &whose(&file)?) {
        Some(left) if left.name == last.as_bytes() => left.add_to(&directory.join(last))?,
        _ => 0,
    };
    remove(&path)?;
    Ok(added)
}

/// What a process left.
struct Left<'a> {
    name: &'a [u8],
    ring: &'a [u8],
    /// The counter of the segment's first byte in the ring, and how many bytes the segment had before it.
    first: u64,
    file_len: u64,
    put: u64,
    /// So far the segment went at least; 0 if an earlier version has written this.
    taken: u64,
}

impl<'a> Left<'a> {
    fn parse(bytes: &'a [u8], whose: &[u8; WHOSE_BYTES]) -> Option<Left<'a>> {
        let number = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        if bytes.len() != FILE_BYTES || bytes[..WHOSE_BYTES] != whose[..] || number(VALID)? != 1 {
            return None;
        }
        let name = bytes[NAME..HEAD_BYTES].get(..usize::try_from(number(NAME_LEN)?).ok()?)?;
        let (first, file_len, put, taken) = (number(FIRST)?, number(FILE_LEN)?, number(PUT)?, number(TAKEN)?);
        (first <= put).then_some(Left { name, ring: &bytes[HEAD_BYTES..], first, file_len, put, taken })
    }

    /// Adds what the file lacks. A file that is not as the ring says is left alone: somebody else has written to it, or has cut it, and wants it so.
    fn add_to(&self, path: &Path) -> io::Result<u64> {
        let mut file = OpenOptions::new().read(true).append(true).open(path)?;
        let len = file.metadata()?.len;
        // The counter of the byte that would come next.
        let Some(next) = len.checked_sub(self.file_len).and_then(|more| self.first.checked_add(more)) else {
            return Ok(0);
        };
        let oldest = self.put.saturating_sub(RING_BYTES as u64);
        if next >= self.put || next < oldest || next < self.taken {
            return Ok(0);
        }
        let compared_from = self.first.max(self.put.saturating_sub(COMPARED_BYTES_MAX)).min(next);
        let mut there = vec![0; (next - compared_from) as usize];
        file.seek(io::SeekFrom::Start(len - there.len() as u64))?;
        file.read_exact(&mut there)?;
        if self.bytes(compared_from, next) != there {
            return Ok(0);
        }
        file.write_all(&self.bytes(next, self.put))?;
        file.sync_all()?;
        Ok(self.put - next)
    }

    fn bytes(&self, from: u64, until: u64) -> Vec<u8> {
        let at = from as usize % RING_BYTES;
        let count = (until - from) as usize;
        let first = count.min(RING_BYTES - at);
        [&self.ring[at..at + first], &self.ring[..count - first]].concat()
    }
}

/// The file, as what is stored to it gets there.
#[derive(Debug)]
struct Ring {
    place: Place,
    /// The counter of bytes put in, for who must not read the mapping.
    put: AtomicU64,
}

#[derive(Debug)]
enum Place {
    Mapped(Mapping),
    /// On a simulated machine nothing is mapped. What is written is with the system at once, too.
    File {
        file: File,
        broken: AtomicBool,
    },
}

impl Ring {
    fn of(file: File) -> io::Result<Ring> {
        let place = match file.system() {
            Some(system) => Place::Mapped(Mapping::new(system)?),
            None => Place::File { file, broken: AtomicBool::new(false) },
        };
        Ok(Ring { place, put: AtomicU64::new(0) })
    }

    #[inline]
    fn store(&self, at: usize, bytes: &[u8]) {
        match &self.place {
            Place::Mapped(mapping) => mapping.store(at, bytes),
            Place::File { file, broken } => {
                if file.store_at(bytes, at as u64).is_err() {
                    broken.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    fn store_number(&self, at: usize, number: u64, order: Ordering) {
        match &self.place {
            Place::Mapped(mapping) => mapping.number(at).store(number, order),
            Place::File { .. } => self.store(at, &number.to_ne_bytes()),
        }
    }

    fn populate(&self, at: usize, count: usize) {
        if let Place::Mapped(mapping) = &self.place {
            mapping.populate(at, count);
        }
    }

    fn is_broken(&self) -> bool {
        match &self.place {
            Place::Mapped(mapping) => mapping.guard.as_ref().is_none_or(Guard::is_broken),
            Place::File { broken, .. } => broken.load(Ordering::Relaxed),
        }
    }
}

/// The mapped file.
#[derive(Debug)]
struct Mapping {
    start: *mut u8,
    /// There until the mapping goes.
    guard: Option<Guard>,
}

// SAFETY: the mapping stays where it is whichever thread has it.
unsafe impl Send for Mapping {}
// SAFETY: only a `Tail` stores to it, and there is one; `Pages` touch no byte.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(file: &std::fs::File) -> io::Result<Mapping> {
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: a new mapping anywhere, of a file that has this length and that nobody else is asked to write to.
        let start =
            unsafe { mmap(std::ptr::null_mut(), FILE_BYTES, ProtFlags::READ | ProtFlags::WRITE, flags, file, 0)? };
        match Guard::new(start as usize, FILE_BYTES) {
            Ok(guard) => Ok(Mapping { start: start.cast(), guard: Some(guard) }),
            Err(error) => {
                // SAFETY: what was just mapped, and nobody else has it.
                let _ = unsafe { munmap(start, FILE_BYTES) };
                Err(error)
            }
        }
    }

    fn store(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= FILE_BYTES, "within the mapping");
        // SAFETY: within the mapping, which nobody reads or writes but the owner of this; a page that the file can't give is replaced by the guard.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.add(at), bytes.len()) };
    }

    /// Has the system give the pages of these bytes. One that is too old to do so gives them as they are stored to.
    fn populate(&self, at: usize, count: usize) {
        let (from, until) = (at / HEAD_BYTES * HEAD_BYTES, (at + count).next_multiple_of(HEAD_BYTES).min(FILE_BYTES));
        if count > 0 {
            // SAFETY: whole pages within the mapping, whose bytes stay what they are.
            let _ = unsafe { madvise(self.start.add(from).cast(), until - from, Advice::LinuxPopulateWrite) };
        }
    }

    fn number(&self, at: usize) -> &AtomicU64 {
        // SAFETY: within the mapping and aligned; these places are accessed as atomics only.
        unsafe { AtomicU64::from_ptr(self.start.add(at).cast()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // Another mapping may have the same addresses then.
        self.guard = None;
        // SAFETY: what `map` made, and its owner goes.
        let _ = unsafe { munmap(self.start.cast(), FILE_BYTES) };
    }
}

/// The head's first bytes for this file, in this run of the system.
fn whose(file: &File) -> io::Result<[u8; WHOSE_BYTES]> {
    let boot = disk::boot()?;
    let metadata = file.metadata()?;
    let mut whose = [0; WHOSE_BYTES];
    whose[..8].copy_from_slice(MAGIC);
    whose[8..24].copy_from_slice(&boot.to_ne_bytes());
    whose[24..32].copy_from_slice(&metadata.device.to_ne_bytes());
    whose[32..].copy_from_slice(&metadata.inode.to_ne_bytes());
    Ok(whose)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::*;

    struct Bench {
        directory: tempfile::TempDir,
        tail: Tail,
        /// What was put in and is not written.
        waiting: Vec<u8>,
    }

    impl Bench {
        /// A segment that has three bytes already.
        fn new() -> Bench {
            let directory = tempfile::tempdir().unwrap();
            let mut tail = Tail::create(&directory.path().join("a.tail")).unwrap();
            fs::write(directory.path().join("segment"), b"old").unwrap();
            tail.belongs_to(&directory.path().join("segment"), 3);
            Bench { directory, tail, waiting: Vec::new() }
        }

        fn put(&mut self, bytes: &[u8]) -> bool {
            let (first, second) = bytes.split_at(bytes.len() / 3);
            let done = self.tail.put([first, second].into_iter());
            if done {
                self.waiting.extend_from_slice(bytes);
            }
            done
        }

        fn write(&mut self, count: usize) {
            let bytes: Vec<u8> = self.waiting.drain(..count).collect();
            self.append(&bytes);
            self.tail.taken(count);
        }

        fn append(&self, bytes: &[u8]) {
            let path = self.directory.path().join("segment");
            OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
        }

        /// What a restart finds in the segment.
        fn restart(&self) -> Vec<u8> {
            recover(self.directory.path(), "a", "segment").unwrap();
            assert!(!self.directory.path().join("a.tail").exists());
            fs::read(self.directory.path().join("segment")).unwrap()
        }
    }

    #[test]
    fn what_was_put_in_is_there_after_a_kill() {
        let seed = fastrand::u64(..);
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..20 {
            let mut bench = Bench::new();
            let mut all = b"old".to_vec();
            for _ in 0..rng.usize(0..60) {
                let bytes: Vec<u8> = (0..rng.usize(1..600_000)).map(|_| rng.u8(..)).collect();
                if bench.put(&bytes) {
                    all.extend_from_slice(&bytes);
                } else {
                    assert!(bench.tail.pending() + bytes.len() > RING_BYTES, "seed {seed}");
                }
                if rng.bool() {
                    let pending = bench.tail.pending();
                    bench.write(rng.usize(0..=pending));
                }
            }
            // Killed between the write and the note of it.
            let unnoted = bench.waiting.clone();
            bench.append(&unnoted[..rng.usize(0..=unnoted.len())]);
            assert!(bench.restart() == all, "seed {seed}");
        }
    }

    #[test]
    fn another_file_is_left_alone() {
        let mut bench = Bench::new();
        assert!(bench.put(b"new bytes"));
        bench.write(4);
        // Somebody else has gone on with the file.
        bench.append(b"xyz");
        assert_eq!(bench.restart(), b"oldnew xyz");

        let mut bench = Bench::new();
        assert!(bench.put(b"what is cut, and what was not written"));
        bench.write(11);
        // The end of it was cut off: nobody wants that back.
        let segment = OpenOptions::new().write(true).open(bench.directory.path().join("segment")).unwrap();
        segment.set_len(8).unwrap();
        assert_eq!(bench.restart(), b"oldwhat ");

        let mut bench = Bench::new();
        assert!(bench.put(b"new"));
        assert_eq!(recover(bench.directory.path(), "a", "another").unwrap(), 0);
        assert_eq!(bench.restart(), b"old", "the tail is gone with the first recovery");
    }

    #[test]
    fn a_copy_of_a_tail_is_nothing() {
        let mut bench = Bench::new();
        assert!(bench.put(b"new"));
        let path = bench.directory.path().join("a.tail");
        let bytes = fs::read(&path).unwrap();
        fs::rename(&path, bench.directory.path().join("kept")).unwrap();
        fs::write(&path, &bytes).unwrap();
        assert_eq!(bench.restart(), b"old");
        for len in [0, 7, 4095, bytes.len() - 1] {
            fs::write(&path, &bytes[..len]).unwrap();
            assert_eq!(bench.restart(), b"old");
        }
    }

    #[test]
    fn bytes_are_of_the_file_that_is_named() {
        let mut bench = Bench::new();
        assert!(bench.put(b"one"));
        bench.write(3);
        bench.tail.belongs_to_none();
        assert!(!bench.put(b"lost"));
        fs::write(bench.directory.path().join("next"), b"").unwrap();
        bench.tail.belongs_to(&bench.directory.path().join("next"), 0);
        assert!(bench.put(b"two"));
        assert_eq!(recover(bench.directory.path(), "a", "next").unwrap(), 3);
        assert_eq!(fs::read(bench.directory.path().join("next")).unwrap(), b"two");
        bench.tail.belongs_to(Path::new("/elsewhere/next"), 0);
        assert!(!bench.put(b"x"), "a file of another directory has no tail");
    }

    /// The pages of a file that was cut short are gone, as are those that a full disk can't give.
    #[test]
    fn a_file_that_is_taken_away_breaks_the_tail_and_nothing_else() {
        let cut = |bench: &Bench, len| {
            OpenOptions::new().write(true).open(bench.directory.path().join("a.tail")).unwrap().set_len(len).unwrap()
        };
        for len in [0, HEAD_BYTES as u64, 3 * HEAD_BYTES as u64 + 1] {
            let (mut bench, mut other) = (Bench::new(), Bench::new());
            let mut pages = bench.tail.pages();
            assert!(bench.put(b"before"));
            pages.prepare();
            assert!(bench.put(b"before too"));
            cut(&bench, len);
            // No signal comes of this, and nothing is known of it yet.
            pages.prepare();
            assert!(!bench.tail.is_broken());
            let piece = [7; 1000];
            assert!((0..1000).any(|_| !bench.put(&piece)), "cut to {len}");
            assert!(bench.tail.is_broken() && !bench.put(b"x"));
            let segment = bench.directory.path().join("segment");
            bench.write(bench.waiting.len());
            bench.tail.belongs_to(&segment, 3);
            assert!(!bench.put(b"x"), "it stays broken");
            assert!(other.put(b"new") && !other.tail.is_broken(), "another one is as it was");
            let written = fs::read(&segment).unwrap();
            assert_eq!(bench.restart(), written);
            assert_eq!(other.restart(), b"oldnew");
        }
    }
}
