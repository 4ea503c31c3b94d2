//! The replication log in memory: the last bytes of the stream, each with its offset.
//!
//! ```text
//!        blocks (sealed, shared)                 tail (grows)
//!  base ├─────────┼─────────┼─────────┤├──────┄┄┄┄┤
//!            ▲ first                            ▲ end = master_repl_offset
//! ```
//!
//! Blocks have one size, so the block of an offset is found by division. An append copies bytes into the tail and
//! looks at nobody: replicas are cursors that the driver reads from with [`ReplLog::read`]. The window is
//! `repl-backlog-size` bytes. What leaves it may still be on disk, as the driver says with [`ReplLog::set_on_disk`]; then
//! only bytes that are not written yet are kept longer. Those that no file has are kept as long as an attached replica
//! needs them, which the driver says with [`ReplLog::hold`]; cutting off one that holds too much is its decision.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of the stream, addressed by offset.
#[derive(Debug)]
pub struct ReplLog {
    size: u64,
    end: u64,
    /// The offset from which on this log has kept bytes.
    began: u64,
    held: Option<Held>,
    hold: Option<u64>,
    disk: Option<OnDisk>,
    /// A block that left the window, kept for the next tail.
    spare: Option<Vec<u8>>,
}

/// What an active log holds.
#[derive(Debug)]
struct Held {
    /// The first offset that counted when blocks were last let go: it is brought forward with whole blocks. Some bytes before it may still lie in
    /// the first one.
    first: u64,
    /// The offset at which the first block starts.
    base: u64,
    sealed: VecDeque<Arc<Vec<u8>>>,
    tail: Vec<u8>,
}

/// The offsets that can be served: a cursor may stand at any from `first` to `end`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub first: u64,
    pub end: u64,
}

/// What segment files hold of the stream: all bytes from `first` to `written`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnDisk {
    pub first: u64,
    pub written: u64,
    /// Bytes from here on may not leave this node yet: rule 41 wants them in a file first. `None` where that is not asked.
    pub send_before: Option<u64>,
}

/// Why nothing can be read at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// The bytes have left the memory and are in a segment file.
    OnDisk,
    /// The bytes have left the window, which now starts at `first` (there is none if the log is not active).
    Trimmed { first: Option<u64> },
    /// The log ends before.
    Ahead { end: u64 },
}

impl ReplLog {
    pub const BLOCK_BYTES: usize = 64 * 1024;
    /// The smallest window, whatever `repl-backlog-size` says.
    pub const SIZE_MIN: u64 = 16 * 1024;
    /// No more blocks than this are freed at a time, so that a replica's end never costs one command much.
    const TRIM_BLOCKS_MAX: usize = 64;

    /// A log that is not active and stands at offset 0.
    pub fn new(size: u64) -> ReplLog {
        ReplLog { size: size.max(Self::SIZE_MIN), end: 0, began: 0, held: None, hold: None, disk: None, spare: None }
    }

    /// Starts to keep bytes, from the present offset on. An active log stays as it is.
    pub fn create(&mut self) {
        if self.held.is_none() {
            self.began = self.end;
            self.held = Some(Held::starting_at(self.end));
        }
    }

    /// Forgets all bytes and stops counting. The offset stays.
    pub fn free(&mut self) {
        self.held = None;
        self.hold = None;
        self.disk = None;
        self.spare = None;
    }

    /// Starts anew at `offset`, active and empty: a full sync or a saved position says where the stream is.
    pub fn reset_to(&mut self, offset: u64) {
        self.free();
        self.end = offset;
        self.create();
    }

    /// Adds bytes of the stream and returns the new end. While the log is not active nothing is kept or counted.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> u64 {
        let Some(held) = &mut self.held else { return self.end };
        self.end += bytes.len() as u64;
        if held.tail.len() + bytes.len() < held.tail.capacity().min(Self::BLOCK_BYTES) {
            held.tail.extend_from_slice(bytes);
        } else {
            self.fill_blocks(bytes);
        }
        self.end
    }

    /// Adds bytes with which the tail may become full.
    fn fill_blocks(&mut self, mut bytes: &[u8]) {
        let Some(held) = &mut self.held else { return };
        while !bytes.is_empty() {
            if held.tail.capacity() == 0 {
                held.tail = self.spare.take().unwrap_or_else(|| Vec::with_capacity(Self::BLOCK_BYTES));
            }
            let taken = bytes.len().min(Self::BLOCK_BYTES - held.tail.len());
            held.tail.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if held.tail.len() == Self::BLOCK_BYTES {
                held.sealed.push_back(Arc::new(std::mem::take(&mut held.tail)));
            }
        }
        self.trim();
    }

    /// What is on disk now; `None` when nothing is to be relied on there.
    pub fn set_on_disk(&mut self, disk: Option<OnDisk>) {
        self.disk = disk;
        self.trim();
    }

    /// The lowest offset that an attached replica still needs; `None` when there is none. To be told again whenever a
    /// replica is attached or gone, and now and then as they read on.
    pub fn hold(&mut self, lowest: Option<u64>) {
        self.hold = lowest;
        self.trim();
    }

    /// What `hold` was told.
    pub fn held_from(&self) -> Option<u64> {
        self.hold
    }

    /// A replica is attached that needs the bytes from here on: as `hold`, for one more.
    pub fn hold_from(&mut self, offset: u64) {
        self.hold = Some(self.hold.map_or(offset, |hold| hold.min(offset)));
    }

    /// `repl-backlog-size` was set.
    pub fn resize(&mut self, size: u64) {
        self.trim();
        self.size = size.max(Self::SIZE_MIN);
        self.trim();
    }

    /// What is before this offset has left the window, and nobody needs it here.
    fn left_before(&self) -> u64 {
        let written = self.disk.map_or(u64::MAX, |disk| disk.written);
        // What the files begin after is nowhere else.
        let held_here = self.hold.filter(|hold| self.disk.is_none_or(|disk| *hold < disk.first));
        let needed = written.min(held_here.unwrap_or(u64::MAX));
        self.end.saturating_sub(self.size).min(needed)
    }

    /// Blocks go that are behind the window.
    fn trim(&mut self) {
        let left_before = self.left_before();
        let Some(held) = &mut self.held else { return };
        held.first = held.first.max(left_before);
        for _ in 0..Self::TRIM_BLOCKS_MAX {
            let next_base = held.base + Self::BLOCK_BYTES as u64;
            if held.first < next_base {
                break;
            }
            let Some(block) = held.sealed.pop_front() else { break };
            held.base = next_base;
            // Who was given it may still have it.
            if let Some(mut block) = Arc::into_inner(block) {
                block.clear();
                self.spare = Some(block);
            }
        }
    }

    /// `repl_backlog_active`.
    pub fn is_active(&self) -> bool {
        self.held.is_some()
    }

    /// The offset after the last byte: `master_repl_offset`.
    pub fn end_offset(&self) -> u64 {
        self.end
    }

    /// The lowest offset that a cursor can stand at in memory.
    pub fn first_offset(&self) -> Option<u64> {
        self.held.as_ref().map(|held| held.first.max(self.left_before()))
    }

    /// The lowest offset that a cursor can stand at, in memory or on disk.
    pub fn first_served(&self) -> Option<u64> {
        let first = self.first_offset()?;
        Some(self.disk.filter(|disk| disk.written >= first).map_or(first, |disk| disk.first.min(first)))
    }

    /// What can be served; `None` when the log is not active.
    pub fn window(&self) -> Option<Window> {
        self.first_served().map(|first| Window { first, end: self.end })
    }

    /// What leaves the memory is on disk.
    pub fn is_on_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// The offset up to which bytes may be sent.
    pub fn send_before(&self) -> u64 {
        self.disk.and_then(|disk| disk.send_before).map_or(self.end, |before| before.min(self.end))
    }

    /// INFO's `repl_backlog_first_byte_offset`: the *number* of the first byte that can be served, 0 when not active. As in
    /// Redis it is not before the place where this process began, though the disk may have more.
    pub fn first_byte_offset(&self) -> u64 {
        self.first_shown().map_or(0, |first| first + 1)
    }

    /// INFO's `repl_backlog_histlen`: bytes from there on, in memory and on disk.
    pub fn histlen(&self) -> u64 {
        self.first_shown().map_or(0, |first| self.end - first)
    }

    fn first_shown(&self) -> Option<u64> {
        self.first_served().map(|first| first.max(self.began))
    }

    /// INFO's `repl_backlog_size`: what was set, or the minimum.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What the log costs in memory: whole blocks.
    pub fn memory_bytes(&self) -> usize {
        let spare = self.spare.as_ref().map_or(0, Vec::capacity);
        self.held
            .as_ref()
            .map_or(0, |held| held.sealed.len() * (Self::BLOCK_BYTES + size_of::<Vec<u8>>()) + held.tail.capacity())
            + spare
    }

    /// The bytes from `from` to `until`, not copied; `None` unless all of them are in blocks that are full.
    pub fn share(&self, from: u64, until: u64) -> Option<Vec<SharedBytes>> {
        let held = self.held.as_ref().filter(|held| from >= held.first)?;
        let block_bytes = Self::BLOCK_BYTES as u64;
        let mut parts = Vec::with_capacity(((until - from) / block_bytes) as usize + 2);
        let mut at = from;
        while at < until {
            let distance = at - held.base;
            let block = held.sealed.get(held.block_of(distance))?;
            let start = distance % block_bytes;
            let end = block_bytes.min(start + (until - at));
            parts.push(SharedBytes { block: Arc::clone(block), range: start as usize..end as usize });
            at += end - start;
        }
        Some(parts)
    }

    /// The bytes from `from` on, at most `bytes_max` of them, as slices fit for `writev` (use `take` to limit their
    /// number). Empty at the end of the log.
    pub fn read(&self, from: u64, bytes_max: usize) -> Result<Slices<'_>, ReadError> {
        if from > self.end {
            return Err(ReadError::Ahead { end: self.end });
        }
        match &self.held {
            Some(held) if from >= held.first => Ok(Slices { held, at: from, left: bytes_max }),
            _ => match self.first_served() {
                Some(first) if from >= first => Err(ReadError::OnDisk),
                first => Err(ReadError::Trimmed { first }),
            },
        }
    }
}

/// A part of a block that will not change, for another thread.
#[derive(Debug, Clone)]
pub struct SharedBytes {
    block: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl std::ops::Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.block[self.range.clone()]
    }
}

impl Held {
    fn starting_at(offset: u64) -> Held {
        Held { first: offset, base: offset, sealed: VecDeque::new(), tail: Vec::new() }
    }

    fn block_of(&self, distance: u64) -> usize {
        (distance / ReplLog::BLOCK_BYTES as u64) as usize
    }

    /// The rest of the block that covers `offset`; empty at the end of the log.
    fn rest_of_block(&self, offset: u64) -> &[u8] {
        let distance = offset - self.base;
        let start = (distance % ReplLog::BLOCK_BYTES as u64) as usize;
        match self.sealed.get(self.block_of(distance)) {
            Some(block) => &block[start..],
            None => &self.tail[start..],
        }
    }
}

/// The slices of a read, in order.
#[derive(Debug, Clone)]
pub struct Slices<'a> {
    held: &'a Held,
    at: u64,
    left: usize,
}

impl<'a> Iterator for Slices<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.held.rest_of_block(self.at);
        let slice = &rest[..rest.len().min(self.left)];
        self.at += slice.len() as u64;
        self.left -= slice.len();
        (!slice.is_empty()).then_some(slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCK: u64 = ReplLog::BLOCK_BYTES as u64;

    /// The stream's byte at an offset, so that a read can be checked without keeping what was written.
    fn byte_at(offset: u64) -> u8 {
        (offset ^ (offset >> 8) ^ (offset >> 16)) as u8
    }

    fn bytes(from: u64, len: u64) -> Vec<u8> {
        (from..from + len).map(byte_at).collect()
    }

    fn grow(log: &mut ReplLog, len: u64) {
        let from = log.end_offset();
        log.append(&bytes(from, len));
    }

    fn check_all(log: &ReplLog) {
        let first = log.first_offset().unwrap();
        let read: Vec<u8> = log.read(first, usize::MAX).unwrap().flatten().copied().collect();
        assert_eq!(read.len() as u64, log.end_offset() - first);
        assert!(read == bytes(first, log.end_offset() - first), "the log's bytes at {first} are not what was written");
    }

    #[test]
    fn a_log_that_is_not_active_stands_still() {
        let mut log = ReplLog::new(1);
        assert_eq!(log.append(b"lost"), 0);
        assert_eq!((log.first_byte_offset(), log.histlen(), log.size()), (0, 0, ReplLog::SIZE_MIN));
        log.create();
        assert_eq!(log.append(b"kept"), 4);
        assert_eq!((log.first_byte_offset(), log.histlen()), (1, 4));
        log.free();
        assert_eq!((log.end_offset(), log.is_active(), log.memory_bytes()), (4, false, 0));
        assert_eq!(log.read(4, 9).err(), Some(ReadError::Trimmed { first: None }));
    }

    #[test]
    fn the_window_is_exact_and_memory_goes_by_blocks() {
        let mut log = ReplLog::new(BLOCK + 10);
        log.reset_to(1_000_000);
        grow(&mut log, BLOCK + 10);
        assert_eq!(log.first_offset(), Some(1_000_000));
        grow(&mut log, 1);
        assert_eq!((log.first_offset(), log.histlen()), (Some(1_000_001), BLOCK + 10));
        grow(&mut log, 5 * BLOCK);
        assert_eq!(log.histlen(), BLOCK + 10);
        assert!(log.memory_bytes() <= 4 * BLOCK as usize, "{}", log.memory_bytes());
        check_all(&log);
        assert_eq!(log.read(1_000_000, 1).err(), Some(ReadError::Trimmed { first: log.first_offset() }));
        assert_eq!(log.read(log.end_offset() + 1, 1).err(), Some(ReadError::Ahead { end: log.end_offset() }));
        assert_eq!(log.read(log.end_offset(), 1).unwrap().count(), 0);
    }

    #[test]
    fn a_slow_replica_keeps_its_bytes() {
        let mut log = ReplLog::new(0);
        log.create();
        grow(&mut log, 100);
        log.hold(Some(60));
        grow(&mut log, 300 * BLOCK);
        assert_eq!(log.first_offset(), Some(60));
        check_all(&log);
        log.hold(None);
        assert_eq!(log.histlen(), ReplLog::SIZE_MIN);
        let before = log.memory_bytes();
        for _ in 0..10 {
            grow(&mut log, 1);
            log.set_on_disk(None);
        }
        assert!(
            log.memory_bytes() < 4 * BLOCK as usize && before > log.memory_bytes(),
            "blocks are freed step by step"
        );
        check_all(&log);
    }

    #[test]
    fn growing_the_window_brings_nothing_back() {
        let mut log = ReplLog::new(0);
        log.create();
        grow(&mut log, 3 * BLOCK);
        let first = log.first_offset();
        log.resize(10 * BLOCK);
        grow(&mut log, 5);
        assert_eq!(log.first_offset(), first);
        log.resize(0);
        assert_eq!(log.histlen(), ReplLog::SIZE_MIN);
        check_all(&log);
    }

    #[test]
    fn what_is_on_disk_leaves_the_memory() {
        let mut log = ReplLog::new(0);
        log.create();
        log.hold(Some(0));
        let disk = |written, send_before| Some(OnDisk { first: 0, written, send_before });
        log.set_on_disk(disk(0, Some(0)));
        grow(&mut log, 10 * BLOCK);
        assert_eq!((log.first_offset(), log.send_before()), (Some(0), 0), "nothing is written yet");
        log.set_on_disk(disk(7 * BLOCK, Some(6 * BLOCK)));
        assert_eq!((log.first_offset(), log.send_before()), (Some(7 * BLOCK), 6 * BLOCK));
        assert_eq!(log.window(), Some(Window { first: 0, end: 10 * BLOCK }));
        assert_eq!(log.read(5, 1).err(), Some(ReadError::OnDisk));
        check_all(&log);
        log.set_on_disk(disk(10 * BLOCK, None));
        let in_memory = log.end_offset() - log.first_offset().unwrap();
        assert_eq!((in_memory, log.send_before()), (ReplLog::SIZE_MIN, log.end_offset()));
        assert_eq!((log.histlen(), log.first_byte_offset()), (10 * BLOCK, 1));
        log.set_on_disk(None);
        assert_eq!(log.read(5, 1).err(), Some(ReadError::Trimmed { first: log.first_offset() }));
    }

    #[test]
    fn what_no_file_has_stays_while_a_replica_needs_it() {
        let mut log = ReplLog::new(0);
        log.create();
        log.hold(Some(5));
        grow(&mut log, 3 * BLOCK);
        let disk = |first| Some(OnDisk { first, written: 3 * BLOCK, send_before: None });
        log.set_on_disk(disk(2 * BLOCK));
        assert_eq!(log.first_offset(), Some(5), "the files begin later");
        check_all(&log);
        log.set_on_disk(disk(5));
        assert_eq!(log.first_offset(), Some(log.end_offset() - ReplLog::SIZE_MIN));
    }

    #[test]
    fn full_blocks_are_shared() {
        let mut log = ReplLog::new(0);
        log.reset_to(100);
        grow(&mut log, 3 * BLOCK + 5);
        log.hold(Some(100));
        let first = log.first_offset().unwrap();
        assert!(log.share(first, log.end_offset()).is_none(), "the last block still grows");
        assert!(log.share(first - 1, first).is_none(), "it is not there");
        let until = 100 + 3 * BLOCK;
        let shared = log.share(first, until).unwrap();
        assert!(shared.iter().flat_map(|part| part.iter().copied()).eq((first..until).map(byte_at)));
        assert_eq!(log.share(until, until).map(|parts| parts.len()), Some(0));
        log.hold(None);
        grow(&mut log, 5 * BLOCK);
        assert!(
            shared.iter().flat_map(|part| part.iter().copied()).eq((first..until).map(byte_at)),
            "they outlive the window"
        );
        check_all(&log);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_read_gives_what_was_written(
            size in 0..3 * BLOCK,
            steps in proptest::collection::vec((0..2 * BLOCK, proptest::option::of(0..BLOCK)), 1..12),
            max in 1..200_000usize,
        ) {
            let mut log = ReplLog::new(size);
            log.reset_to(77);
            for (len, lag) in steps {
                grow(&mut log, len);
                log.hold(lag.map(|lag| log.end_offset().saturating_sub(lag).max(log.first_offset().unwrap())));
                check_all(&log);
                let from = log.first_offset().unwrap() + log.histlen() / 2;
                let read: Vec<u8> = log.read(from, max).unwrap().flatten().copied().collect();
                prop_assert_eq!(read.len() as u64, (max as u64).min(log.end_offset() - from));
                prop_assert!(read == bytes(from, read.len() as u64));
            }
        }
    }
}
