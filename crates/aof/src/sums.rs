//! Checksums of a segment, in a file of its own beside it (docs/log.md).
//!
//! A changed byte within a value is a valid command with another value: nothing in the segment tells. So a restart compares what it reads with what
//! was written. What does not match is loaded as it is, but no replica goes on from behind it ([`crate::recover`]).
//!
//! ```text
//!      0  RIVSUMS1
//!      8  where a block ends in the segment; it begins where the one before it ends
//!     16  CRC-64 of the block
//!     24  CRC-64 of all of these pairs so far
//!     32  the next block
//! ```
//! Numbers are 64 bits, little-endian. A record whose last number is wrong ends the file: what lies behind is not known. This module does no more
//! than format and compare; [`crate::summed`] says when a block ends and is noted.

use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use rivulet_host::fs::{self, File};
use rivulet_rdb::crc64::Digest;

/// A block has no more bytes.
pub const BLOCK_BYTES_MAX: u64 = 256 << 10;
const SUFFIX: &str = ".sums";
const MAGIC: &[u8; 8] = b"RIVSUMS1";
const RECORD_BYTES: usize = 24;

/// Bytes that stand together in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Where it ends in the file.
    pub end: u64,
    pub sum: u64,
}

/// Writes records, one after the other.
#[derive(Debug, Default, Clone)]
pub struct Records {
    chain: Digest,
}

/// Bytes of a segment that are not those which were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The first block that does not match.
    pub bytes: Range<u64>,
    pub expected: u64,
    /// `None`: the file ends before the block does.
    pub found: Option<u64>,
}

/// The name of the file with a segment's checksums.
pub fn path_of(segment: &Path) -> PathBuf {
    let mut name = segment.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}

/// The segment that a file has the checksums of, if it is one.
pub fn segment_of(path: &Path) -> Option<PathBuf> {
    Some(path.to_str()?.strip_suffix(SUFFIX)?.into())
}

impl Records {
    /// What the file begins with.
    pub fn head() -> &'static [u8] {
        MAGIC
    }

    pub fn append(&mut self, block: Block, out: &mut Vec<u8>) {
        let pair = [block.end.to_le_bytes(), block.sum.to_le_bytes()].concat();
        self.chain.update(&pair);
        out.extend_from_slice(&pair);
        out.extend_from_slice(&self.chain.value().to_le_bytes());
    }
}

/// The blocks that a file of checksums tells of, as far as it is whole.
pub fn parse(bytes: &[u8]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut records = Records::default();
    let mut again = Vec::with_capacity(RECORD_BYTES);
    let Some(rest) = bytes.strip_prefix(MAGIC) else { return blocks };
    for record in rest.chunks_exact(RECORD_BYTES) {
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| record[at + i]));
        let block = Block { end: number(0), sum: number(8) };
        again.clear();
        records.append(block, &mut again);
        let start = blocks.last().map_or(0, |last| last.end);
        if again != record || block.end <= start || block.end - start > BLOCK_BYTES_MAX {
            break;
        }
        blocks.push(block);
    }
    blocks
}

/// The blocks of a segment that are known; `None` where nobody keeps checksums of it. The file of checksums is there before the segment has a byte, and
/// its own first bytes may be lost with the segment's.
pub fn read(segment: &Path) -> Option<Vec<Block>> {
    fs::read(path_of(segment)).ok().map(|bytes| parse(&bytes))
}

/// Makes the checksums of a file that is whole.
pub fn make(path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let (mut records, mut notes) = (Records::default(), Records::head().to_vec());
    let (mut end, mut bytes) = (0, Vec::new());
    loop {
        bytes.clear();
        let count = (&mut file).take(BLOCK_BYTES_MAX).read_to_end(&mut bytes)? as u64;
        if count == 0 {
            break;
        }
        end += count;
        records.append(Block { end, sum: rivulet_rdb::crc64::checksum(&bytes) }, &mut notes);
    }
    let mut sums = File::create(path_of(path))?;
    sums.write_all(&notes)?;
    sums.sync_data()
}

/// Compares a segment with its checksums. What was not noted is not compared.
pub fn compare(segment: &Path) -> io::Result<Option<Damage>> {
    let blocks = read(segment).unwrap_or_default();
    if blocks.is_empty() {
        return Ok(None);
    }
    let mut compared = Compared::new(File::open(segment)?, blocks);
    compared.finish()?;
    Ok(compared.damage)
}

/// What is read of a segment, from its beginning on, and compared on the way.
#[derive(Debug)]
pub struct Compared<R> {
    source: R,
    blocks: std::vec::IntoIter<Block>,
    /// The block that is being read, where it begins, and how much of it was read.
    block: Option<Block>,
    start: u64,
    at: u64,
    digest: Digest,
    damage: Option<Damage>,
    holes: Option<Holes>,
}

/// Where bytes may never have come to the disk: a loss of power takes pages of what was not synced, the first as well as the last. Where there was
/// nothing before, such a page ends with zeros.
#[derive(Debug)]
struct Holes {
    at: u64,
    /// So many bytes before that are zeros.
    zeros: u64,
    first: Option<u64>,
}

/// What a system writes to its disk at once.
const PAGE_BYTES: u64 = 4096;
/// Fewer zeros at the end of a page are taken for what was written.
const HOLE_BYTES_MIN: u64 = 8;

impl Holes {
    fn look(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.first.is_none() {
            let to_end = PAGE_BYTES - self.at % PAGE_BYTES;
            let (now, rest) = bytes.split_at(bytes.len().min(to_end as usize));
            let zeros = now.iter().rev().take_while(|byte| **byte == 0).count();
            self.zeros = if zeros == now.len() { self.zeros + zeros as u64 } else { zeros as u64 };
            self.at += now.len() as u64;
            if self.at.is_multiple_of(PAGE_BYTES) && self.zeros >= HOLE_BYTES_MIN {
                self.first = Some(self.at - self.zeros);
            }
            bytes = rest;
        }
    }
}

impl<R: Read> Compared<R> {
    pub fn new(source: R, blocks: Vec<Block>) -> Compared<R> {
        let mut blocks = blocks.into_iter();
        let block = blocks.next();
        Compared { source, blocks, block, start: 0, at: 0, digest: Digest::new(), damage: None, holes: None }
    }

    /// Looks for pages that may never have come to the disk, behind all that is noted: the system has been started anew since the file was written.
    pub fn look_for_holes(&mut self) {
        self.holes = Some(Holes { at: 0, zeros: 0, first: None });
    }

    /// Where the first of these begins.
    pub fn hole(&self) -> Option<u64> {
        self.holes.as_ref()?.first
    }

    /// Bytes before it are those which were written, or nothing is known of them.
    pub fn proven_until(&self) -> u64 {
        let noted = if self.block.is_some() || self.damage.is_some() { self.start } else { u64::MAX };
        noted.min(self.hole().unwrap_or(u64::MAX))
    }

    /// The first block that does not match.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// Reads and compares what is left.
    pub fn finish(&mut self) -> io::Result<()> {
        let mut bytes = vec![0; 64 << 10];
        while self.block.is_some() && self.read(&mut bytes)? > 0 {}
        Ok(())
    }

    fn add(&mut self, mut bytes: &[u8]) {
        while let Some(block) = self.block.filter(|_| !bytes.is_empty()) {
            let (now, rest) = bytes.split_at(bytes.len().min((block.end - self.at) as usize));
            self.digest.update(now);
            self.at += now.len() as u64;
            if self.at == block.end {
                let found = std::mem::take(&mut self.digest).value();
                self.block_ended(block, Some(found));
            }
            bytes = rest;
        }
        if let Some(holes) = &mut self.holes {
            // What is noted has come to the disk.
            holes.at = holes.at.max(self.at);
            holes.look(bytes);
        }
    }

    fn block_ended(&mut self, block: Block, found: Option<u64>) {
        if found == Some(block.sum) {
            self.start = block.end;
            self.block = self.blocks.next();
        } else {
            self.damage = Some(Damage { bytes: self.start..block.end, expected: block.sum, found });
            self.block = None;
        }
    }
}

impl<R: Read> Read for Compared<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.add(&buffer[..count]);
        if let Some(block) = self.block.filter(|_| count == 0) {
            self.block_ended(block, None);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use proptest::prelude::*;

    fn file(blocks: &[Block]) -> Vec<u8> {
        let mut bytes = Records::head().to_vec();
        let mut records = Records::default();
        blocks.iter().for_each(|block| records.append(*block, &mut bytes));
        bytes
    }

    fn sample() -> Vec<Block> {
        [(3, 7), (BLOCK_BYTES_MAX + 3, 0), (BLOCK_BYTES_MAX + 4, u64::MAX)]
            .map(|(end, sum)| Block { end, sum })
            .to_vec()
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(parse(&file(&sample())), sample());
        assert_eq!(parse(&file(&[])), []);
    }

    #[test]
    fn a_file_that_is_cut_or_changed_tells_of_what_comes_before() {
        let bytes = file(&sample());
        for end in 0..bytes.len() {
            let whole = end.saturating_sub(MAGIC.len()) / RECORD_BYTES;
            assert_eq!(parse(&bytes[..end]), sample()[..whole], "cut at {end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 4;
            let whole = at.saturating_sub(MAGIC.len()) / RECORD_BYTES;
            let expected = if at < MAGIC.len() { 0 } else { whole };
            assert_eq!(parse(&changed), sample()[..expected], "changed at {at}");
        }
    }

    /// What is found in a file, read in pieces of `step` bytes, of which the first `noted` have a checksum.
    fn hole(bytes: &[u8], noted: usize, step: usize) -> (Option<u64>, u64) {
        let block = Block { end: noted as u64, sum: rivulet_rdb::crc64::checksum(&bytes[..noted]) };
        let mut compared = Compared::new(bytes, if noted > 0 { vec![block] } else { Vec::new() });
        compared.look_for_holes();
        let mut piece = vec![0; step];
        while compared.read(&mut piece).unwrap() > 0 {}
        assert_eq!(compared.damage(), None);
        (compared.hole(), compared.proven_until())
    }

    #[test]
    fn a_page_that_ends_with_zeros_may_never_have_been_written() {
        let page = PAGE_BYTES as usize;
        for step in [1, 7, 1000, page, 10 * page] {
            let mut bytes = vec![b'x'; 5 * page + 5];
            assert_eq!(hole(&bytes, 10, step), (None, u64::MAX));
            // Zeros within a page, and too few at its end, were written.
            bytes[page + 1..2 * page - 1].fill(0);
            bytes[3 * page - 7..3 * page].fill(0);
            assert_eq!(hole(&bytes, 10, step), (None, u64::MAX));
            // A sync has covered these.
            bytes[..page].fill(0);
            assert_eq!(hole(&bytes, page, step), (None, u64::MAX));
            assert_eq!(hole(&bytes, page - 20, step), (Some(page as u64 - 20), page as u64 - 20));
            bytes[3 * page + 5..4 * page + 9].fill(0);
            let at = 3 * page as u64 + 5;
            assert_eq!(hole(&bytes, page, step), (Some(at), at));
            assert_eq!(hole(&bytes, 4 * page + 9, step), (None, u64::MAX));
        }
    }

    #[test]
    fn a_block_that_is_changed_or_cut_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let segment = directory.path().join("a");
        let sum = rivulet_rdb::crc64::checksum;
        assert_eq!(path_of(&segment), directory.path().join("a.sums"));
        assert_eq!(segment_of(&path_of(&segment)), Some(segment.clone()));
        fs::write(&segment, b"onetwothree").unwrap();
        assert_eq!(compare(&segment).unwrap(), None, "nothing was noted");
        let blocks = [Block { end: 3, sum: sum(b"one") }, Block { end: 6, sum: sum(b"two") }];
        fs::write(path_of(&segment), file(&blocks)).unwrap();
        assert_eq!(compare(&segment).unwrap(), None);
        fs::write(&segment, b"onetwo and what was not noted").unwrap();
        assert_eq!(compare(&segment).unwrap(), None);
        let damage = |found| Some(Damage { bytes: 3..6, expected: sum(b"two"), found });
        fs::write(&segment, b"onetwOthree").unwrap();
        assert_eq!(compare(&segment).unwrap(), damage(Some(sum(b"twO"))));
        fs::write(&segment, b"onetw").unwrap();
        assert_eq!(compare(&segment).unwrap(), damage(None));
        let mut compared = Compared::new(&b"onetwO"[..], blocks.to_vec());
        let mut proven = vec![compared.proven_until()];
        for _ in 0..6 {
            compared.read_exact(&mut [0]).unwrap();
            proven.push(compared.proven_until());
        }
        assert_eq!(proven, [0, 0, 0, 3, 3, 3, 3], "whatever the pieces");
        let mut compared = Compared::new(&b"onetwo and more"[..], blocks.to_vec());
        io::copy(&mut compared, &mut io::sink()).unwrap();
        assert_eq!((compared.proven_until(), compared.damage()), (u64::MAX, None));
        let long = vec![7; 3 * BLOCK_BYTES_MAX as usize / 2];
        fs::write(&segment, &long).unwrap();
        make(&segment).unwrap();
        assert_eq!(
            (read(&segment).and_then(|blocks| blocks.last().map(|last| last.end)), compare(&segment).unwrap()),
            (Some(long.len() as u64), None)
        );
        fs::write(&segment, &long[1..]).unwrap();
        assert_eq!(compare(&segment).unwrap().map(|damage| damage.bytes), Some(BLOCK_BYTES_MAX..long.len() as u64));
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_harm(bytes: Vec<u8>) {
            let file = [MAGIC.as_slice(), &bytes].concat();
            prop_assert_eq!(parse(&file), Vec::new());
        }
    }
}
