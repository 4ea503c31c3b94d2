//! The tail: the last bytes of the log, in memory that outlives the process.
//!
//! A ring in a file that is mapped and shared. The executor puts bytes into it, the log writer takes them out and appends them to the segment. A
//! process that is killed leaves the ring with the system, and [`recover`] adds to the segment what the writer had not come to. So a reply
//! may leave when its write is in the ring, and the writer may write seldom and much. A loss of power is not what it is for: what is durable says
//! fsync alone.
//!
//! ```text
//!      0  RIVTAIL1, the boot of the system (16 bytes), device and inode of this file: a copy or a file of an earlier boot is nothing
//!     40  1 if what follows holds
//!     48  the counter at which the segment's bytes begin in the ring, and the bytes that the segment had then
//!     64  counter of bytes taken out
//!    128  counter of bytes put in
//!    192  length of the segment's name, and the name
//!   4096  the ring: the byte with counter n is at n modulo its size
//! ```
//! Numbers are 64 bits, as the machine has them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Bytes that the ring holds: what the writer may be behind without holding up replies.
pub const RING_BYTES: usize = 4 << 20;
const HEAD_BYTES: usize = 4096;
const FILE_BYTES: usize = HEAD_BYTES + RING_BYTES;
const MAGIC: &[u8; 8] = b"RIVTAIL1";
const WHOSE_BYTES: usize = 40;
const VALID: usize = 40;
const FIRST: usize = 48;
const FILE_LEN: usize = 56;
const TAKEN: usize = 64;
const PUT: usize = 128;
const NAME_LEN: usize = 192;
const NAME: usize = 200;
const NAME_BYTES_MAX: usize = HEAD_BYTES - NAME;
/// More at once are refused, so that a put that was cut short by a kill spoils nothing of what is compared.
const PUT_BYTES_MAX: usize = RING_BYTES / 2;
/// So much of what the segment has already is compared with the ring before anything is added to it.
const COMPARED_BYTES_MAX: u64 = (RING_BYTES - PUT_BYTES_MAX) as u64;

/// The end that bytes are put into.
#[derive(Debug)]
pub struct Intake {
    ring: Arc<Ring>,
}

/// The end that bytes are taken from, in the order in which they came. It says which file they belong to.
#[derive(Debug)]
pub struct Outlet {
    ring: Arc<Ring>,
    path: PathBuf,
}

/// The name of the file.
pub fn file_name(filename: &str) -> String {
    format!("{filename}.tail")
}

/// Makes an empty tail, in place of one that is there.
pub fn create(path: &Path) -> io::Result<(Intake, Outlet)> {
    remove(path)?;
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    // The pages are there before they are mapped: a full disk is an error here and no signal later.
    let page = [0; HEAD_BYTES];
    for _ in 0..FILE_BYTES / HEAD_BYTES {
        file.write_all(&page)?;
    }
    let ring = Arc::new(Ring::map(&file)?);
    ring.sign(&whose(&file)?);
    Ok((Intake { ring: Arc::clone(&ring) }, Outlet { ring, path: path.to_path_buf() }))
}

impl Intake {
    /// Puts all of `bytes` in, or says that they have no room, are too many, or that no file is named.
    pub fn put(&mut self, bytes: &[u8]) -> bool {
        let ring = &*self.ring;
        let (put, taken) = (ring.number(PUT).load(Ordering::Relaxed), ring.number(TAKEN).load(Ordering::Acquire));
        let room = RING_BYTES - (put - taken) as usize;
        if bytes.len() > room.min(PUT_BYTES_MAX) || ring.number(VALID).load(Ordering::Relaxed) != 1 {
            return false;
        }
        let at = put as usize % RING_BYTES;
        let (first, second) = bytes.split_at(bytes.len().min(RING_BYTES - at));
        // SAFETY: the bytes between `put` and `taken + RING_BYTES` are this end's alone, and there is one intake (`&mut self`).
        unsafe {
            std::ptr::copy_nonoverlapping(first.as_ptr(), ring.bytes().add(at), first.len());
            std::ptr::copy_nonoverlapping(second.as_ptr(), ring.bytes(), second.len());
        }
        ring.number(PUT).store(put + bytes.len() as u64, Ordering::Release);
        true
    }

    /// Bytes that were not taken out.
    pub fn pending(&self) -> usize {
        self.ring.pending()
    }
}

impl Outlet {
    /// The bytes to take, in up to two pieces.
    pub fn pieces(&self) -> [&[u8]; 2] {
        let ring = &*self.ring;
        let (put, taken) = (ring.number(PUT).load(Ordering::Acquire), ring.number(TAKEN).load(Ordering::Relaxed));
        let (count, at) = ((put - taken) as usize, taken as usize % RING_BYTES);
        let first = count.min(RING_BYTES - at);
        // SAFETY: the bytes between `taken` and `put` are this end's until `taken` is moved, which needs `&mut self`.
        unsafe {
            [
                std::slice::from_raw_parts(ring.bytes().add(at), first),
                std::slice::from_raw_parts(ring.bytes(), count - first),
            ]
        }
    }

    /// So many bytes are in the file now.
    pub fn taken(&mut self, count: usize) {
        let taken = self.ring.number(TAKEN);
        taken.store(taken.load(Ordering::Relaxed) + count as u64, Ordering::Release);
    }

    /// What is put in from now on belongs to this file, which has `len` bytes. The ring must be empty and nothing be put in meanwhile.
    pub fn belongs_to(&mut self, path: &Path, len: u64) {
        self.belongs_to_none();
        let name = path.file_name().map(|name| name.as_encoded_bytes()).unwrap_or_default();
        if path.parent() != self.path.parent() || name.len() > NAME_BYTES_MAX || self.ring.pending() > 0 {
            return;
        }
        let ring = &*self.ring;
        ring.number(NAME_LEN).store(name.len() as u64, Ordering::Relaxed);
        // SAFETY: the name has room in the head, and only this end writes there.
        unsafe { std::ptr::copy_nonoverlapping(name.as_ptr(), ring.start.add(NAME), name.len()) };
        ring.number(FILE_LEN).store(len, Ordering::Relaxed);
        ring.number(FIRST).store(ring.number(PUT).load(Ordering::Relaxed), Ordering::Relaxed);
        ring.number(VALID).store(1, Ordering::Release);
    }

    /// Nothing can be put in until a file is named.
    pub fn belongs_to_none(&mut self) {
        self.ring.number(VALID).store(0, Ordering::Release);
    }

    /// The file goes: everything is where it belongs. What fails to be removed holds nothing.
    pub fn remove(mut self) {
        self.belongs_to_none();
        let _ = remove(&self.path);
    }
}

/// Adds to the file `last` of the directory what a process that was killed had put into the tail and not written; then the tail goes. Answers
/// how many bytes were added.
pub fn recover(directory: &Path, filename: &str, last: &str) -> io::Result<u64> {
    let path = directory.join(file_name(filename));
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        file => file?,
    };
    let mut bytes = Vec::new();
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
}

impl<'a> Left<'a> {
    fn parse(bytes: &'a [u8], whose: &[u8; WHOSE_BYTES]) -> Option<Left<'a>> {
        let number = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        if bytes.len() != FILE_BYTES || bytes[..WHOSE_BYTES] != whose[..] || number(VALID)? != 1 {
            return None;
        }
        let name = bytes[NAME..HEAD_BYTES].get(..usize::try_from(number(NAME_LEN)?).ok()?)?;
        let (first, file_len, put) = (number(FIRST)?, number(FILE_LEN)?, number(PUT)?);
        (first <= put).then_some(Left { name, ring: &bytes[HEAD_BYTES..], first, file_len, put })
    }

    /// Adds what the file lacks. A file that is not as the ring says is left alone: somebody else has written to it.
    fn add_to(&self, path: &Path) -> io::Result<u64> {
        let mut file = OpenOptions::new().read(true).append(true).open(path)?;
        let len = file.metadata()?.len();
        // The counter of the byte that would come next.
        let Some(next) = len.checked_sub(self.file_len).and_then(|more| self.first.checked_add(more)) else {
            return Ok(0);
        };
        let oldest = self.put.saturating_sub(RING_BYTES as u64);
        if next >= self.put || next < oldest {
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

/// The mapped file.
#[derive(Debug)]
struct Ring {
    start: *mut u8,
}

// SAFETY: the numbers are atomic, and each byte of the ring is accessed by one end at a time, as the numbers say.
unsafe impl Send for Ring {}
// SAFETY: as above.
unsafe impl Sync for Ring {}

impl Ring {
    fn map(file: &File) -> io::Result<Ring> {
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: a new mapping anywhere, of a file that has this length and that nobody else is asked to write to.
        let start =
            unsafe { mmap(std::ptr::null_mut(), FILE_BYTES, ProtFlags::READ | ProtFlags::WRITE, flags, file, 0)? };
        Ok(Ring { start: start.cast() })
    }

    /// Says whose file it is. Nobody else has the ring yet.
    fn sign(&self, whose: &[u8; WHOSE_BYTES]) {
        // SAFETY: the head has room for it, and the other fields lie behind.
        unsafe { std::ptr::copy_nonoverlapping(whose.as_ptr(), self.start, WHOSE_BYTES) };
    }

    fn number(&self, at: usize) -> &AtomicU64 {
        // SAFETY: within the mapping and aligned; these places are accessed as atomics only.
        unsafe { AtomicU64::from_ptr(self.start.add(at).cast()) }
    }

    fn bytes(&self) -> *mut u8 {
        // SAFETY: the mapping is longer than its head.
        unsafe { self.start.add(HEAD_BYTES) }
    }

    fn pending(&self) -> usize {
        (self.number(PUT).load(Ordering::Acquire) - self.number(TAKEN).load(Ordering::Acquire)) as usize
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: what `map` made, and no end is left.
        let _ = unsafe { munmap(self.start.cast(), FILE_BYTES) };
    }
}

/// The head's first bytes for this file, in this run of the system.
fn whose(file: &File) -> io::Result<[u8; WHOSE_BYTES]> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let boot = u128::from_str_radix(&boot.trim().replace('-', ""), 16).map_err(io::Error::other)?;
    let metadata = file.metadata()?;
    let mut whose = [0; WHOSE_BYTES];
    whose[..8].copy_from_slice(MAGIC);
    whose[8..24].copy_from_slice(&boot.to_ne_bytes());
    whose[24..32].copy_from_slice(&metadata.dev().to_ne_bytes());
    whose[32..].copy_from_slice(&metadata.ino().to_ne_bytes());
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
    use super::*;

    struct Bench {
        directory: tempfile::TempDir,
        intake: Intake,
        outlet: Outlet,
    }

    impl Bench {
        /// A segment that has three bytes already.
        fn new() -> Bench {
            let directory = tempfile::tempdir().unwrap();
            let (intake, mut outlet) = create(&directory.path().join("a.tail")).unwrap();
            fs::write(directory.path().join("segment"), b"old").unwrap();
            outlet.belongs_to(&directory.path().join("segment"), 3);
            Bench { directory, intake, outlet }
        }

        fn write(&mut self, count: usize) {
            let bytes: Vec<u8> = self.outlet.pieces().concat();
            self.append(&bytes[..count]);
            self.outlet.taken(count);
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
                if bench.intake.put(&bytes) {
                    all.extend_from_slice(&bytes);
                } else {
                    assert!(bench.intake.pending() + bytes.len() > RING_BYTES, "seed {seed}");
                }
                if rng.bool() {
                    let pending = bench.intake.pending();
                    bench.write(rng.usize(0..=pending));
                }
            }
            // Killed between the write and the note of it.
            let unnoted = bench.outlet.pieces().concat();
            bench.append(&unnoted[..rng.usize(0..=unnoted.len())]);
            assert!(bench.restart() == all, "seed {seed}");
        }
    }

    #[test]
    fn another_file_is_left_alone() {
        let mut bench = Bench::new();
        assert!(bench.intake.put(b"new bytes"));
        bench.write(4);
        // Somebody else has gone on with the file.
        bench.append(b"xyz");
        assert_eq!(bench.restart(), b"oldnew xyz");

        let mut bench = Bench::new();
        assert!(bench.intake.put(b"new"));
        assert_eq!(recover(bench.directory.path(), "a", "another").unwrap(), 0);
        assert_eq!(bench.restart(), b"old", "the tail is gone with the first recovery");
    }

    #[test]
    fn a_copy_of_a_tail_is_nothing() {
        let mut bench = Bench::new();
        assert!(bench.intake.put(b"new"));
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
        assert!(bench.intake.put(b"one"));
        bench.write(3);
        bench.outlet.belongs_to_none();
        assert!(!bench.intake.put(b"lost"));
        fs::write(bench.directory.path().join("next"), b"").unwrap();
        bench.outlet.belongs_to(&bench.directory.path().join("next"), 0);
        assert!(bench.intake.put(b"two"));
        assert_eq!(recover(bench.directory.path(), "a", "next").unwrap(), 3);
        assert_eq!(fs::read(bench.directory.path().join("next")).unwrap(), b"two");
        bench.outlet.belongs_to(Path::new("/elsewhere/next"), 0);
        assert!(!bench.intake.put(b"x"), "a file of another directory has no tail");
    }
}
