//! A snapshot on its way to replicas: the bytes that the serializer has made, and how far each replica has been sent.
//!
//! The walker goes at the pace of the replica that is ahead. What the others have not taken yet stays in memory up to a window
//! (`repl-sync-window`), and beyond that in a file, so that a slow replica holds up nobody. The head stays until all have been sent it, and if one
//! is as slow as that, it goes to the file too: who comes late can still be sent the whole (rule 26), and needs no further snapshot and no further
//! file.

mod spill;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rivulet_engine::client_id::ClientId;
use rivulet_host::fs::File;
use rivulet_host::sync::Receiver;
use rivulet_net::Waker;

pub use spill::Done as SpillDone;
use spill::Spill;

/// What the serializer and the payload tell each other.
pub struct Pace {
    /// Bytes that were made.
    made: AtomicU64,
    /// What lies before this place of the payload is no longer in memory.
    start: AtomicU64,
    /// Set by the serializer after the last block.
    pub complete: AtomicBool,
    /// The most that is in memory when there is a file to which more can go.
    window: u64,
    /// The most that the replica that is ahead leaves to be sent.
    queue: u64,
}

impl Pace {
    pub fn new(window: u64, queue: u64) -> Pace {
        let window = window.max(queue);
        Pace { queue, made: AtomicU64::new(0), start: AtomicU64::new(0), complete: AtomicBool::new(false), window }
    }

    /// What is kept of the beginning of data that take `data_bytes` in memory.
    pub fn head(&self, data_bytes: u64) -> u64 {
        (data_bytes / HEAD_SHARE).max(self.queue).max(HEAD_MIN).min(self.window)
    }

    /// The serializer has made so many more bytes.
    pub fn add(&self, bytes: usize) {
        self.made.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes in memory.
    fn held(&self) -> u64 {
        self.made.load(Ordering::Relaxed).saturating_sub(self.start.load(Ordering::Relaxed))
    }

    /// No more should be made for now: not even the file takes what there is.
    pub fn is_full(&self) -> bool {
        self.held() > self.window + self.queue
    }
}

/// The head that is kept is this part of the data. That is no memory worth speaking of, and more time than replicas need that come together.
const HEAD_SHARE: u64 = 64;
/// At least so much: what a socket takes for a replica that reads nothing is less.
const HEAD_MIN: u64 = 8 << 20;

/// Bytes of a snapshot as the serializer makes them, kept until the slowest of its replicas has them.
pub struct Payload {
    from: Receiver<Arc<Vec<u8>>>,
    /// What is in memory, each block with its place in the payload.
    blocks: VecDeque<(u64, Arc<Vec<u8>>)>,
    end: u64,
    /// What lies before was handed over to the file.
    handed_to: u64,
    /// So much from its beginning is kept for replicas that come late.
    head: u64,
    /// How far the replica is that is ahead of the others.
    fastest: u64,
    pub pace: Arc<Pace>,
    spill: Option<Spill>,
    /// The file has the payload from its beginning on.
    spills_all: bool,
    spill_failed: bool,
    waker: Waker,
    /// The last block is here.
    whole: bool,
    pub mark: [u8; 40],
    /// So many replicas have been sent all of it.
    pub sent_to: usize,
}

impl Payload {
    /// A payload whose first `head` bytes are kept as long as there are no more.
    pub fn new(from: Receiver<Arc<Vec<u8>>>, pace: Arc<Pace>, waker: Waker, mark: [u8; 40], head: u64) -> Payload {
        Payload {
            from,
            blocks: VecDeque::new(),
            end: 0,
            handed_to: 0,
            head,
            fastest: 0,
            pace,
            spill: None,
            spills_all: false,
            spill_failed: false,
            waker,
            whole: false,
            mark,
            sent_to: 0,
        }
    }

    /// Takes what the serializer has made. Answers whether there was something.
    pub fn take_blocks(&mut self) -> bool {
        let before = self.end;
        // Asked before the blocks are taken: then none can have come in between.
        self.whole = self.pace.complete.load(Ordering::Acquire);
        for block in self.from.try_iter() {
            let at = self.end;
            self.end += block.len() as u64;
            self.blocks.push_back((at, block));
        }
        self.end > before
    }

    /// The last block has come.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Its beginning is still there.
    pub fn has_head(&self) -> bool {
        self.start() == 0 || self.spills_all
    }

    /// Where the bytes in memory begin.
    fn start(&self) -> u64 {
        self.blocks.front().map_or(self.end, |(at, _)| *at)
    }

    /// Bytes in memory.
    pub fn held_bytes(&self) -> u64 {
        self.pace.held()
    }

    /// Part of it is on disk, for those who are slow.
    pub fn is_spilled(&self) -> bool {
        self.spill.is_some()
    }

    /// Bytes that were made.
    pub fn made_bytes(&self) -> u64 {
        self.pace.made.load(Ordering::Relaxed)
    }

    /// How far the replica is that is ahead.
    pub fn fastest(&self) -> u64 {
        self.fastest
    }

    /// Bytes in the file.
    pub fn spilled_bytes(&self) -> u64 {
        self.spill.as_ref().map_or(0, Spill::bytes)
    }

    /// So many bytes may still be captured by the walker: the replica that is ahead should not wait, and memory has its limit.
    pub fn room(&self) -> u64 {
        let ahead = self.pace.made.load(Ordering::Relaxed).saturating_sub(self.fastest);
        let limit = self.pace.queue;
        limit.saturating_sub(ahead).min((self.pace.window + limit).saturating_sub(self.held_bytes()))
    }

    /// The bytes at `offset` that are together in memory.
    fn at(&self, offset: u64) -> Option<&[u8]> {
        let index = self.blocks.partition_point(|(at, _)| *at <= offset).checked_sub(1)?;
        let (at, block) = self.blocks.get(index)?;
        block.get((offset - at) as usize..).filter(|rest| !rest.is_empty())
    }

    /// Replicas have been sent what lies before `lowest`, and one of them what lies before `fastest`: the memory follows. Answers whether a file
    /// was begun.
    pub fn settle(&mut self, lowest: u64, fastest: u64) -> bool {
        self.fastest = fastest;
        let written_to = self.spill.as_ref().map_or(0, Spill::written_to);
        let gone = if self.spills_all {
            written_to
        } else if lowest < self.head {
            0
        } else {
            lowest.max(written_to)
        };
        while let Some((at, block)) = self.blocks.front()
            && at + block.len() as u64 <= gone
        {
            self.blocks.pop_front();
        }
        self.pace.start.store(self.start(), Ordering::Relaxed);
        self.hand_over()
    }

    fn hand_over(&mut self) -> bool {
        self.handed_to = self.handed_to.max(self.start());
        if self.spill_failed || self.end - self.handed_to <= self.pace.window {
            return false;
        }
        let begins = self.spill.is_none();
        self.spills_all |= begins && self.start() == 0;
        let spill = self.spill.get_or_insert_with(|| Spill::start(self.waker.clone()));
        let first = self.blocks.partition_point(|(at, _)| *at < self.handed_to);
        for (at, block) in self.blocks.range(first..) {
            if self.end - at <= self.pace.window {
                break;
            }
            spill.write(*at, block.clone());
            self.handed_to = at + block.len() as u64;
        }
        begins
    }

    /// Asks for the bytes at `offset`, which are in the file.
    pub fn fetch(&self, client: ClientId, offset: u64) {
        if let Some(spill) = &self.spill {
            spill.read(client, offset, self.start().saturating_sub(offset));
        }
    }

    /// What came of the file, if something did.
    pub fn poll_spill(&mut self) -> Option<SpillDone> {
        let done = self.spill.as_ref()?.poll()?;
        if matches!(done, SpillDone::Full(_)) {
            self.spill_fails();
        }
        Some(done)
    }

    /// The file has no more than it has now. What follows stays in memory until the slowest was sent it, and then it is gone: nobody else can be sent
    /// the whole.
    fn spill_fails(&mut self) {
        self.spill_failed = true;
        self.spills_all = false;
    }
}

/// How far one replica has been sent.
pub enum PayloadCursor {
    /// Of a snapshot that is sent as it is made. The header and the mark at the end are sent from `frame`.
    /// `of` is the payload's mark.
    Made { of: [u8; 40], frame: Vec<u8>, frame_sent: usize, offset: u64, piece: Piece, ended: bool },
    /// Of a file.
    Stored { frame: Vec<u8>, frame_sent: usize, file: File, at: u64, len: u64 },
}

/// What one replica needs of the file.
pub enum Piece {
    None,
    Wanted,
    Here { offset: u64, bytes: Vec<u8> },
}

impl Piece {
    fn at(&self, wanted: u64) -> Option<&[u8]> {
        let Piece::Here { offset, bytes } = self else { return None };
        let from = usize::try_from(wanted.checked_sub(*offset)?).ok()?;
        bytes.get(from..).filter(|rest| !rest.is_empty())
    }
}

/// What to send next.
pub enum Next<'a> {
    Bytes(&'a [u8]),
    /// Bytes read from the file.
    Read(Vec<u8>),
    /// The bytes at this place have to be fetched.
    Fetch(u64),
    /// The serializer has to make more, or what was asked for has to come.
    Wait,
    End,
}

/// Bytes read from a file for one replica at one time.
const READ_BYTES: usize = 128 * 1024;

impl PayloadCursor {
    pub fn made(of: [u8; 40], header: Vec<u8>) -> PayloadCursor {
        PayloadCursor::Made { of, frame: header, frame_sent: 0, offset: 0, piece: Piece::None, ended: false }
    }

    pub fn stored(header: Vec<u8>, file: File, len: u64) -> PayloadCursor {
        PayloadCursor::Stored { frame: header, frame_sent: 0, file, at: 0, len }
    }

    /// The mark of the payload that it is sent, if that is not a file.
    pub fn of(&self) -> Option<[u8; 40]> {
        match self {
            PayloadCursor::Made { of, .. } => Some(*of),
            PayloadCursor::Stored { .. } => None,
        }
    }

    /// How far it is in what the serializer makes, if that is what it is sent.
    pub fn offset(&self) -> Option<u64> {
        match self {
            PayloadCursor::Made { offset, .. } => Some(*offset),
            PayloadCursor::Stored { .. } => None,
        }
    }

    /// Bytes that it asked for have come.
    pub fn take_piece(&mut self, at: u64, bytes: Vec<u8>) {
        if let PayloadCursor::Made { piece, .. } = self {
            *piece = Piece::Here { offset: at, bytes };
        }
    }

    pub fn next<'a>(&'a mut self, payload: Option<&'a Payload>) -> io::Result<Next<'a>> {
        match self {
            PayloadCursor::Made { frame, frame_sent, offset, piece, ended, .. } => {
                if *frame_sent < frame.len() {
                    return Ok(Next::Bytes(&frame[*frame_sent..]));
                }
                if *ended {
                    return Ok(Next::End);
                }
                let Some(payload) = payload else { return Ok(Next::End) };
                if let Some(bytes) = payload.at(*offset) {
                    *piece = Piece::None;
                    return Ok(Next::Bytes(bytes));
                }
                if *offset == payload.end {
                    if !payload.whole {
                        return Ok(Next::Wait);
                    }
                    (*frame, *frame_sent, *ended) = (payload.mark.to_vec(), 0, true);
                    return Ok(Next::Bytes(frame));
                }
                if matches!(piece, Piece::Wanted) {
                    return Ok(Next::Wait);
                }
                if piece.at(*offset).is_none() {
                    *piece = Piece::Wanted;
                    return Ok(Next::Fetch(*offset));
                }
                Ok(piece.at(*offset).map_or(Next::Wait, Next::Bytes))
            }
            PayloadCursor::Stored { frame, frame_sent, file, at, len } => {
                if *frame_sent < frame.len() {
                    return Ok(Next::Bytes(&frame[*frame_sent..]));
                }
                if at == len {
                    return Ok(Next::End);
                }
                let mut bytes = vec![0; READ_BYTES.min((*len - *at) as usize)];
                file.read_exact_at(&mut bytes, *at)?;
                Ok(Next::Read(bytes))
            }
        }
    }

    /// So many of the bytes that `next` gave were sent.
    pub fn sent(&mut self, count: usize) {
        let (frame, frame_sent, at) = match self {
            PayloadCursor::Made { frame, frame_sent, offset, .. } => (frame, frame_sent, offset),
            PayloadCursor::Stored { frame, frame_sent, at, .. } => (frame, frame_sent, at),
        };
        if *frame_sent < frame.len() {
            *frame_sent += count;
        } else {
            *at += count as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use rivulet_host::sync::channel;

    use super::*;
    use crate::clock;

    const BLOCK: usize = 1 << 20;

    fn byte_at(offset: u64) -> u8 {
        (offset / 1000 % 251) as u8
    }

    fn block(number: usize) -> Arc<Vec<u8>> {
        Arc::new((0..BLOCK).map(|i| byte_at((number * BLOCK + i) as u64)).collect())
    }

    /// Gives a cursor all that it can have, up to `most` bytes; checks each and answers how many there were.
    fn take(cursor: &mut PayloadCursor, payload: &Payload, most: usize) -> usize {
        let mut taken = 0;
        while taken < most {
            let before = cursor.offset().expect("it is sent what is made");
            match cursor.next(Some(payload)).expect("nothing fails") {
                Next::Bytes(bytes) => {
                    let count = bytes.len().min(most - taken);
                    assert!(bytes[..count].iter().zip(before..).all(|(byte, at)| *byte == byte_at(at)));
                    cursor.sent(count);
                    taken += count;
                }
                Next::Fetch(offset) => payload.fetch(7, offset),
                Next::Wait => return taken,
                Next::Read(_) | Next::End => panic!("it is not sent a file, and there is no end"),
            }
        }
        taken
    }

    /// Waits for what another thread does, however long it is kept from it.
    fn until(what: &str, mut done: impl FnMut() -> bool) {
        let patience_ms = 120_000;
        let begun_ms = clock::monotonic_ms();
        while !done() {
            assert!(clock::monotonic_ms() - begun_ms < patience_ms, "{what}: not within {patience_ms} ms");
            clock::sleep(std::time::Duration::from_millis(1));
        }
    }

    #[test]
    fn a_slow_replica_is_sent_from_the_file_what_has_left_the_window() {
        let (to, from) = channel();
        let waker = Waker::new().expect("an eventfd");
        let pace = Arc::new(Pace::new(8 << 20, 8 << 20));
        let mut payload = Payload::new(from, pace.clone(), waker, [b'm'; 40], 0);
        let (mut fast, mut slow) = (PayloadCursor::made([0; 40], Vec::new()), PayloadCursor::made([0; 40], Vec::new()));
        for number in 0..40 {
            pace.add(BLOCK);
            to.send(block(number)).expect("it is taken");
            assert!(payload.take_blocks());
            assert_eq!(take(&mut fast, &payload, usize::MAX), BLOCK);
            take(&mut slow, &payload, 10_000);
            let offsets = (slow.offset().expect("an offset"), fast.offset().expect("an offset"));
            payload.settle(offsets.0, offsets.1);
            assert!(payload.room() > 0 || payload.held_bytes() >= 16 << 20);
        }
        until("what has left the window is in the file", || {
            payload.settle(slow.offset().expect("an offset"), 40 << 20);
            payload.held_bytes() <= 9 << 20
        });
        assert!(payload.spilled_bytes() >= 31 << 20);
        let mut left = (40 << 20) - slow.offset().expect("an offset") as usize;
        until("the slow one has all", || {
            left -= take(&mut slow, &payload, usize::MAX);
            match payload.poll_spill() {
                Some(SpillDone::Piece { client: 7, offset, bytes }) => slow.take_piece(offset, bytes.expect("bytes")),
                Some(_) => panic!("nothing else was asked for"),
                None => {}
            }
            left == 0
        });
        payload.settle(40 << 20, 40 << 20);
        assert!(payload.held_bytes() <= 8 << 20, "what is not in the file stays for those who come late");
    }

    #[test]
    fn who_is_slow_from_the_beginning_makes_the_file_whole_and_newcomers_need_no_other() {
        let (to, from) = channel();
        let pace = Arc::new(Pace::new(8 << 20, 4 << 20));
        let head = pace.head(0);
        assert_eq!(head, 8 << 20);
        let mut payload = Payload::new(from, pace.clone(), Waker::new().expect("an eventfd"), [b'm'; 40], head);
        let (mut fast, mut slow) = (PayloadCursor::made([0; 40], Vec::new()), PayloadCursor::made([0; 40], Vec::new()));
        for number in 0..20 {
            pace.add(BLOCK);
            to.send(block(number)).expect("it is taken");
            payload.take_blocks();
            take(&mut fast, &payload, usize::MAX);
            // What a socket takes, and no more.
            let taken = slow.offset().expect("an offset") as usize;
            take(&mut slow, &payload, (3 * BLOCK).saturating_sub(taken));
            payload.settle(slow.offset().expect("an offset"), fast.offset().expect("an offset"));
            assert!(payload.has_head(), "at block {number}");
        }
        until("the file has what has left the window", || {
            payload.settle(3 << 20, 20 << 20);
            payload.held_bytes() <= 9 << 20
        });
        assert!(payload.has_head() && payload.spilled_bytes() <= 20 << 20);
        for mut cursor in [PayloadCursor::made([0; 40], Vec::new()), slow] {
            let mut left = (20 << 20) - cursor.offset().expect("an offset") as usize;
            until("all is sent", || {
                left -= take(&mut cursor, &payload, usize::MAX);
                if let Some(SpillDone::Piece { offset, bytes, .. }) = payload.poll_spill() {
                    cursor.take_piece(offset, bytes.expect("bytes"));
                }
                left == 0
            });
        }
        assert!(payload.spilled_bytes() <= 20 << 20, "the file is no larger than the snapshot");
    }

    #[test]
    fn a_file_that_takes_no_more_leaves_the_slowest_to_be_waited_for_and_no_longer() {
        let (to, from) = channel();
        let pace = Arc::new(Pace::new(8 << 20, 4 << 20));
        let head = pace.head(0);
        let mut payload = Payload::new(from, pace.clone(), Waker::new().expect("an eventfd"), [b'm'; 40], head);
        let mut slow = PayloadCursor::made([0; 40], Vec::new());
        let send = |number| {
            pace.add(BLOCK);
            to.send(block(number)).expect("it is taken");
        };
        (0..14).for_each(send);
        payload.take_blocks();
        until("the file has what is beyond the window", || {
            payload.settle(0, 14 << 20);
            payload.held_bytes() == 8 << 20
        });
        payload.spill_fails();
        assert!(!payload.has_head(), "the rest of it will not be in the file");
        (14..18).for_each(send);
        payload.take_blocks();
        payload.settle(0, 18 << 20);
        assert_eq!(payload.room(), 0, "the slow one holds up the other");
        let mut left = 18 << 20;
        until("the slow one has all that there is", || {
            left -= take(&mut slow, &payload, usize::MAX);
            if let Some(SpillDone::Piece { offset, bytes, .. }) = payload.poll_spill() {
                slow.take_piece(offset, bytes.expect("bytes"));
            }
            left == 0
        });
        payload.settle(18 << 20, 18 << 20);
        assert_eq!((payload.held_bytes(), payload.room()), (0, 4 << 20), "then more is made");
    }

    #[test]
    fn who_is_alone_is_waited_for() {
        let (to, from) = channel();
        let pace = Arc::new(Pace::new(64 << 20, 8 << 20));
        let mut payload = Payload::new(from, pace.clone(), Waker::new().expect("an eventfd"), [b'm'; 40], 0);
        for number in 0..8 {
            assert!(payload.room() > 0);
            pace.add(BLOCK);
            to.send(block(number)).expect("it is taken");
        }
        payload.take_blocks();
        assert_eq!(payload.room(), 0);
        let mut cursor = PayloadCursor::made([0; 40], Vec::new());
        take(&mut cursor, &payload, BLOCK + 5);
        let offset = cursor.offset().expect("an offset");
        payload.settle(offset, offset);
        assert_eq!((payload.room(), payload.held_bytes()), ((BLOCK + 5) as u64, 7 << 20));
        assert_eq!(payload.spilled_bytes(), 0);
    }
}
