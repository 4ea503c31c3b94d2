//! A disk that keeps checksums beside the segments that it writes, and that knows which bytes a failed fsync may have cost.
//!
//! A block of a segment ends when it is full, and where a sync begins (with `appendfsync always` once a second: a record for each would
//! cost a write for each). It is noted when the sync that covers it has succeeded, so that a loss of power does not make it look damaged; with
//! `appendfsync no`, which waits for nothing, when it is full. Noting never fails the log: what can't be noted now is noted later, and until then is
//! not compared at a restart.
//!
//! After a failed fsync the system may have dropped the bytes and call them clean: another fsync that succeeds says nothing about them. So before
//! the next one they are read back, compared with their checksums, and written again. Bytes that can't be read back are lost to this file; only
//! what is in memory can bring them to a disk then ([`Summed::is_lost`]).

use std::io;
use std::path::{Path, PathBuf};

use rivulet_rdb::crc64::{self, Digest};

use crate::op::{Disk, Medium};
use crate::sums::{self, BLOCK_BYTES_MAX, Block, Records};

/// A sync ends a block that has so many bytes: fewer are not worth a record.
const MARK_BYTES_MIN: u64 = 4 << 10;

/// A disk with checksums.
#[derive(Debug)]
pub struct Summed<D> {
    disk: D,
    current: Option<Current>,
    mark_bytes_min: u64,
    trouble: Option<io::Error>,
}

/// The segment that is written.
#[derive(Debug)]
struct Current {
    path: PathBuf,
    /// Bytes before it are durable, and noted.
    safe: u64,
    /// The blocks behind, oldest first.
    blocks: Vec<Block>,
    /// So many of them are noted.
    noted: usize,
    /// The block that has not ended: where it begins, and its bytes.
    start: u64,
    digest: Digest,
    len: u64,
    records: Records,
    sums_len: u64,
    /// A sync failed since the bytes behind `safe` were written.
    in_doubt: bool,
    lost: bool,
}

impl Current {
    fn new(path: &Path) -> Current {
        Current {
            path: path.to_path_buf(),
            safe: 0,
            blocks: Vec::new(),
            noted: 0,
            start: 0,
            digest: Digest::new(),
            len: 0,
            records: Records::default(),
            sums_len: 0,
            in_doubt: false,
            lost: false,
        }
    }

    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = BLOCK_BYTES_MAX - (self.len - self.start);
            let (now, rest) = bytes.split_at(bytes.len().min(room as usize));
            self.digest.update(now);
            self.len += now.len() as u64;
            if self.len - self.start == BLOCK_BYTES_MAX {
                self.end_block();
            }
            bytes = rest;
        }
    }

    fn end_block(&mut self) {
        let digest = std::mem::take(&mut self.digest);
        if self.len > self.start {
            self.blocks.push(Block { end: self.len, sum: digest.value() });
            self.start = self.len;
        }
    }

    /// Blocks that end at or before `until` and are not noted.
    fn due(&self, until: u64) -> &[Block] {
        let rest = &self.blocks[self.noted..];
        &rest[..rest.partition_point(|block| block.end <= until)]
    }
}

impl<D: Medium> Summed<D> {
    pub fn new(disk: D) -> Summed<D> {
        Summed::marking_from(disk, MARK_BYTES_MIN)
    }

    /// A sync ends a block of so many bytes.
    pub fn marking_from(disk: D, mark_bytes_min: u64) -> Summed<D> {
        Summed { disk, current: None, mark_bytes_min, trouble: None }
    }

    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// Why checksums could not be noted since the last call.
    pub fn take_trouble(&mut self) -> Option<io::Error> {
        self.trouble.take()
    }

    /// A sync begins: ends the block, if it is worth it, and answers up to where in the file the sync will have made bytes durable.
    pub fn mark(&mut self) -> u64 {
        let Some(current) = &mut self.current else { return 0 };
        if current.len - current.start >= self.mark_bytes_min {
            current.end_block();
        }
        current.len
    }

    /// A sync of the current file that began at a mark has succeeded.
    pub fn synced(&mut self, mark: u64) {
        self.note(mark);
        let Some(current) = &mut self.current else { return };
        let count = current.blocks[..current.noted].partition_point(|block| block.end <= mark);
        if let Some(last) = current.blocks[..count].last() {
            current.safe = last.end;
        }
        current.blocks.drain(..count);
        current.noted -= count;
    }

    /// A sync of the current file has failed.
    pub fn doubt(&mut self) {
        if let Some(current) = &mut self.current {
            current.in_doubt = true;
        }
    }

    /// What was written may not be what is on the disk, though the system says so.
    pub fn is_in_doubt(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.in_doubt)
    }

    /// The bytes of a failed sync could not be read back.
    pub fn is_lost(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.lost)
    }

    /// Notes blocks that are full, where nobody syncs.
    pub fn note_full(&mut self) {
        if self.current.as_ref().is_some_and(|current| current.blocks.len() > current.noted) {
            self.note(u64::MAX);
        }
    }

    /// What was appended is durable, as far as the system says so and no earlier sync has failed. Ends no block: who syncs many times a second
    /// marks once a second.
    pub fn sync_written(&mut self) -> io::Result<()> {
        self.write_again()?;
        let mark = self.current.as_ref().map_or(0, |current| current.len);
        if let Err(error) = self.disk.sync() {
            self.doubt();
            return Err(error);
        }
        self.synced(mark);
        Ok(())
    }

    fn note(&mut self, until: u64) {
        let Some(current) = &mut self.current else { return };
        let count = current.due(until).len();
        if count == 0 {
            return;
        }
        let (mut records, mut bytes) = (current.records.clone(), Vec::new());
        if current.sums_len == 0 {
            bytes.extend_from_slice(Records::head());
        }
        current.due(until).iter().for_each(|block| records.append(*block, &mut bytes));
        match self.disk.note(&sums::path_of(&current.path), current.sums_len, &bytes) {
            Ok(()) => {
                current.sums_len += bytes.len() as u64;
                current.records = records;
                current.noted += count;
            }
            Err(error) => self.trouble = Some(error),
        }
    }

    /// Bytes that a failed sync covered are written again, if that is what there is to do.
    fn write_again(&mut self) -> io::Result<()> {
        let Some(current) = self.current.as_mut().filter(|current| current.in_doubt) else { return Ok(()) };
        let open = Block { end: current.len, sum: current.digest.value() };
        let mut start = current.safe;
        let mut bytes = Vec::new();
        for block in current.blocks.iter().copied().chain((current.len > current.start).then_some(open)) {
            bytes.resize((block.end - start) as usize, 0);
            let read = self.disk.read(&current.path, start, &mut bytes);
            if read.is_err() || crc64::checksum(&bytes) != block.sum {
                current.lost = true;
                return Err(io::Error::other("what a failed fsync covered can't be read back"));
            }
            self.disk.overwrite(&current.path, start, &bytes)?;
            start = block.end;
        }
        (current.in_doubt, current.lost) = (false, false);
        Ok(())
    }

    /// Bytes that an earlier process wrote and did not note were not synced, or that failed: what is read of them may be in memory only, and called
    /// clean there.
    fn write_end_again(&mut self, path: &Path, len: u64) -> io::Result<()> {
        let sums = sums::path_of(path);
        let Ok(sums_len) = self.disk.len(&sums) else { return Ok(()) };
        let mut notes = vec![0; sums_len as usize];
        if self.disk.read(&sums, 0, &mut notes).is_err() {
            return Ok(());
        }
        let mut at = sums::parse(&notes).last().map_or(0, |last| last.end);
        let mut bytes = vec![0; BLOCK_BYTES_MAX as usize];
        while at < len {
            let now = BLOCK_BYTES_MAX.min(len - at) as usize;
            self.disk.read(path, at, &mut bytes[..now])?;
            self.disk.overwrite(path, at, &bytes[..now])?;
            at += now as u64;
        }
        self.disk.sync()
    }

    /// Sums up what is in a file.
    fn sum_up(&mut self, path: &Path, len: u64) -> io::Result<Current> {
        let mut current = Current::new(path);
        let mut bytes = vec![0; BLOCK_BYTES_MAX as usize];
        while current.len < len {
            let now = BLOCK_BYTES_MAX.min(len - current.len) as usize;
            self.disk.read(path, current.len, &mut bytes[..now])?;
            current.add(&bytes[..now]);
        }
        current.end_block();
        Ok(current)
    }

    /// Checksums of what is in a file, which is durable, take the place of those that were.
    fn sum_anew(&mut self, path: &Path, len: u64) -> io::Result<()> {
        let mut summed = self.sum_up(path, len)?;
        // In the file that is there: a new one's name is not durable yet, and without checksums nobody knows what a sync has covered.
        match self.disk.note(&sums::path_of(path), 0, Records::head()) {
            Ok(()) => summed.sums_len = Records::head().len() as u64,
            Err(error) => self.trouble = Some(error),
        }
        self.current = Some(summed);
        self.synced(u64::MAX);
        Ok(())
    }
}

impl<D: Medium> Disk for Summed<D> {
    fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.disk.replace(path, bytes)
    }

    fn begin(&mut self, path: &Path) -> io::Result<()> {
        let sums = sums::path_of(path);
        let mut current = Current::new(path);
        // The name is made durable with the segment's.
        match self.disk.remove(&sums).and_then(|()| self.disk.note(&sums, 0, Records::head())) {
            Ok(()) => current.sums_len = Records::head().len() as u64,
            Err(error) => self.trouble = Some(error),
        }
        self.current = None;
        self.disk.begin(path)?;
        self.current = Some(current);
        Ok(())
    }

    fn resume(&mut self, path: &Path, len: u64) -> io::Result<()> {
        self.current = None;
        self.disk.resume(path, len)?;
        self.write_end_again(path, len)?;
        self.sum_anew(path, len)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.append(bytes)?;
        if let Some(current) = &mut self.current {
            current.add(bytes);
        }
        Ok(())
    }

    /// Also the last block is noted, and the notes are durable.
    fn sync(&mut self) -> io::Result<()> {
        if let Some(current) = &mut self.current {
            current.end_block();
        }
        self.sync_written()?;
        if let Some(current) = self.current.as_ref().filter(|current| current.sums_len > 0)
            && let Err(error) = self.disk.sync_note(&sums::path_of(&current.path))
        {
            self.trouble = Some(error);
        }
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        // With the segment's name this one becomes durable. Not every file has checksums.
        if let Err(error) = self.disk.rename_note(&sums::path_of(from), &sums::path_of(to))
            && error.kind() != io::ErrorKind::NotFound
        {
            self.trouble = Some(error);
        }
        self.disk.rename(from, to)?;
        if let Some(current) = self.current.as_mut().filter(|current| current.path == from) {
            current.path = to.to_path_buf();
        }
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)?;
        self.disk.remove(&sums::path_of(path))
    }

    fn close(&mut self) {
        self.current = None;
        self.disk.close();
    }

    fn sum(&mut self, path: &Path) -> io::Result<()> {
        let current = self.current.take();
        let summed = self.disk.len(path).and_then(|len| self.sum_anew(path, len));
        self.current = current;
        // A file without checksums is not compared at the next start.
        self.trouble = summed.err().or(self.trouble.take());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::disk::SystemDisk;
    use crate::op::FileOp;
    use crate::sums::Damage;

    /// A disk whose syncs fail while they are told to, and drop what they covered.
    #[derive(Debug, Default)]
    struct Failing {
        disk: SystemDisk,
        fails: bool,
        overwritten: Vec<(u64, usize)>,
    }

    impl Disk for Failing {
        fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
            self.disk.replace(path, bytes)
        }

        fn begin(&mut self, path: &Path) -> io::Result<()> {
            self.disk.begin(path)
        }

        fn resume(&mut self, path: &Path, len: u64) -> io::Result<()> {
            self.disk.resume(path, len)
        }

        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.disk.append(bytes)
        }

        fn sync(&mut self) -> io::Result<()> {
            if self.fails { Err(io::Error::other("EIO")) } else { self.disk.sync() }
        }

        fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
            self.disk.rename(from, to)
        }

        fn remove(&mut self, path: &Path) -> io::Result<()> {
            self.disk.remove(path)
        }

        fn close(&mut self) {
            self.disk.close();
        }
    }

    impl Medium for Failing {
        fn note(&mut self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
            self.disk.note(path, at, bytes)
        }

        fn sync_note(&mut self, path: &Path) -> io::Result<()> {
            self.disk.sync_note(path)
        }

        fn rename_note(&mut self, from: &Path, to: &Path) -> io::Result<()> {
            self.disk.rename_note(from, to)
        }

        fn len(&mut self, path: &Path) -> io::Result<u64> {
            self.disk.len(path)
        }

        fn read(&mut self, path: &Path, at: u64, bytes: &mut [u8]) -> io::Result<()> {
            self.disk.read(path, at, bytes)
        }

        fn overwrite(&mut self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
            self.overwritten.push((at, bytes.len()));
            self.disk.overwrite(path, at, bytes)
        }
    }

    struct Bench {
        directory: tempfile::TempDir,
        disk: Summed<Failing>,
    }

    impl Bench {
        fn new() -> Bench {
            let directory = tempfile::tempdir().unwrap();
            let mut disk = Summed::new(Failing::default());
            disk.begin(&directory.path().join("a")).unwrap();
            Bench { directory, disk }
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("a")
        }

        /// Where blocks end that are noted.
        fn noted(&self) -> Vec<u64> {
            sums::read(&self.path()).unwrap_or_default().iter().map(|block| block.end).collect()
        }

        fn change(&self, at: usize) {
            let mut bytes = fs::read(self.path()).unwrap();
            bytes[at] ^= 1;
            fs::write(self.path(), bytes).unwrap();
        }
    }

    const FULL: u64 = BLOCK_BYTES_MAX;

    #[test]
    fn blocks_are_noted_when_they_are_synced() {
        let mut bench = Bench::new();
        bench.disk.append(&[1; 100]).unwrap();
        bench.disk.mark();
        bench.disk.sync_written().unwrap();
        assert_eq!(bench.noted(), [], "few bytes are not worth a record");
        bench.disk.append(&vec![2; 5000]).unwrap();
        let mark = bench.disk.mark();
        bench.disk.append(&vec![3; 2 * FULL as usize]).unwrap();
        assert_eq!((mark, bench.noted()), (5100, vec![]));
        bench.disk.synced(mark);
        assert_eq!(bench.noted(), [5100], "what came later is not covered");
        bench.disk.note_full();
        assert_eq!(bench.noted(), [5100, 5100 + FULL, 5100 + 2 * FULL]);
        bench.disk.append(b"end").unwrap();
        bench.disk.sync().unwrap();
        assert_eq!(bench.noted().last(), Some(&(5103 + 2 * FULL)), "a whole sync leaves nothing out");
        bench.disk.close();
        assert_eq!(sums::compare(&bench.path()).unwrap(), None);
        bench.change(5099);
        assert!(matches!(sums::compare(&bench.path()).unwrap(), Some(Damage { bytes, .. }) if bytes == (0..5100)));
    }

    #[test]
    fn checksums_go_with_their_segment() {
        let mut bench = Bench::new();
        let (to, sums) = (bench.directory.path().join("b"), |name: &str| bench.directory.path().join(name).exists());
        bench.disk.append(b"one").unwrap();
        bench.disk.sync().unwrap();
        FileOp::Rename { from: bench.path(), to: to.clone() }.carry_out(&mut bench.disk).unwrap();
        assert!(sums("b.sums") && !sums("a.sums"));
        bench.disk.append(b"two").unwrap();
        bench.disk.sync().unwrap();
        assert_eq!(sums::read(&to).map(|blocks| blocks.len()), Some(2), "it is gone on with under its new name");
        bench.disk.remove(&to).unwrap();
        assert!(!sums("b.sums") && !sums("b"));
    }

    #[test]
    fn a_resumed_segment_is_summed_anew() {
        let mut bench = Bench::new();
        bench.disk.append(b"onetwo").unwrap();
        bench.disk.sync().unwrap();
        bench.change(1);
        fs::OpenOptions::new()
            .append(true)
            .open(bench.path())
            .map(|mut f| io::Write::write_all(&mut f, b"xyz"))
            .unwrap()
            .unwrap();
        bench.disk.resume(&bench.path(), 8).unwrap();
        assert_eq!(bench.disk.disk.overwritten, [(6, 2)], "what was not noted may have failed to be synced");
        assert_eq!((bench.noted(), sums::compare(&bench.path()).unwrap()), (vec![8], None));
        bench.disk.append(b"three").unwrap();
        bench.disk.sync().unwrap();
        assert_eq!((bench.noted(), sums::compare(&bench.path()).unwrap()), (vec![8, 13], None));
    }

    #[test]
    fn after_a_failed_sync_bytes_are_written_again() {
        let mut bench = Bench::new();
        bench.disk.append(&vec![1; 6000]).unwrap();
        bench.disk.sync_written().unwrap();
        assert_eq!(bench.noted(), [], "a sync ends no block");
        bench.disk.mark();
        bench.disk.sync_written().unwrap();
        assert_eq!(bench.noted(), [6000]);
        bench.disk.append(&vec![2; FULL as usize]).unwrap();
        bench.disk.append(b"rest").unwrap();
        bench.disk.disk.fails = true;
        assert!(bench.disk.sync_written().is_err() && bench.disk.is_in_doubt());
        assert!(bench.disk.sync().is_err(), "whichever sync comes next");
        bench.disk.append(b" and more").unwrap();
        (bench.disk.disk.fails, bench.disk.disk.overwritten) = (false, Vec::new());
        bench.disk.sync_written().unwrap();
        let total: usize = bench.disk.disk.overwritten.iter().map(|(_, len)| len).sum();
        assert_eq!((bench.disk.disk.overwritten[0].0, total), (6000, FULL as usize + 13));
        assert!(!bench.disk.is_in_doubt() && !bench.disk.is_lost());
        assert_eq!(fs::read(bench.path()).unwrap().len(), 6013 + FULL as usize);
        bench.disk.sync().unwrap();
        assert_eq!(sums::compare(&bench.path()).unwrap(), None);
    }

    #[test]
    fn what_can_not_be_read_back_is_lost() {
        let mut bench = Bench::new();
        bench.disk.append(&vec![1; 6000]).unwrap();
        bench.disk.disk.fails = true;
        assert!(bench.disk.sync_written().is_err());
        bench.disk.disk.fails = false;
        bench.change(17);
        assert!(bench.disk.sync_written().is_err() && bench.disk.is_lost(), "a sync that succeeds says nothing");
        assert!(bench.disk.sync().is_err());
        assert_eq!(bench.noted(), []);
        bench.disk.begin(&bench.directory.path().join("b")).unwrap();
        assert!(!bench.disk.is_in_doubt(), "another file is not in doubt");
    }
}
