//! A snapshot on its way to replicas: the bytes that the serializer has made, and how far each replica has been sent.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;

/// Bytes of a snapshot as the serializer makes them, kept until the slowest of its replicas has them.
pub struct Payload {
    from: Receiver<Arc<[u8]>>,
    blocks: VecDeque<Arc<[u8]>>,
    /// Number of the first block in `blocks`.
    first: u64,
    /// Bytes that were made and not yet dropped here: the walker waits when there are too many.
    pub waiting_bytes: Arc<AtomicUsize>,
    /// Set by the serializer after the last block.
    complete: Arc<AtomicBool>,
    /// The last block is here.
    whole: bool,
    pub mark: [u8; 40],
}

impl Payload {
    pub fn new(
        from: Receiver<Arc<[u8]>>,
        waiting_bytes: Arc<AtomicUsize>,
        complete: Arc<AtomicBool>,
        mark: [u8; 40],
    ) -> Payload {
        Payload { from, blocks: VecDeque::new(), first: 0, waiting_bytes, complete, whole: false, mark }
    }

    /// Takes what the serializer has made. Answers whether there was something.
    pub fn take_blocks(&mut self) -> bool {
        let before = self.blocks.len();
        // Asked before the blocks are taken: then none can have come in between.
        self.whole = self.complete.load(Ordering::Acquire);
        self.blocks.extend(self.from.try_iter());
        self.blocks.len() > before
    }

    /// The last block has come.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    fn block(&self, number: u64) -> Option<&Arc<[u8]>> {
        self.blocks.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn end(&self) -> u64 {
        self.first + self.blocks.len() as u64
    }

    /// Drops the blocks that every replica has been sent; `lowest` is the slowest one's.
    pub fn drop_before(&mut self, lowest: u64) {
        while self.first < lowest
            && let Some(block) = self.blocks.pop_front()
        {
            self.waiting_bytes.fetch_sub(block.len(), Ordering::Relaxed);
            self.first += 1;
        }
    }
}

/// How far one replica has been sent.
pub enum PayloadCursor {
    /// Of a snapshot that is sent as it is made. The header and the mark at the end are sent from `frame`.
    Made { frame: Vec<u8>, frame_sent: usize, block: u64, at: usize, ended: bool },
    /// Of a file.
    Stored { frame: Vec<u8>, frame_sent: usize, file: File, at: u64, len: u64 },
}

/// What to send next.
pub enum Next<'a> {
    Bytes(&'a [u8]),
    /// Bytes read from the file.
    Read(Vec<u8>),
    /// The serializer has to make more.
    Wait,
    End,
}

/// Bytes read from a file for one replica at one time.
const READ_BYTES: usize = 128 * 1024;

impl PayloadCursor {
    pub fn made(header: Vec<u8>) -> PayloadCursor {
        PayloadCursor::Made { frame: header, frame_sent: 0, block: 0, at: 0, ended: false }
    }

    pub fn stored(header: Vec<u8>, file: File, len: u64) -> PayloadCursor {
        PayloadCursor::Stored { frame: header, frame_sent: 0, file, at: 0, len }
    }

    /// The number of the block that it needs, if it needs blocks.
    pub fn needs_block(&self) -> Option<u64> {
        match self {
            PayloadCursor::Made { block, .. } => Some(*block),
            PayloadCursor::Stored { .. } => None,
        }
    }

    pub fn next<'a>(&'a mut self, payload: Option<&'a Payload>) -> std::io::Result<Next<'a>> {
        match self {
            PayloadCursor::Made { frame, frame_sent, block, at, ended } => {
                if *frame_sent < frame.len() {
                    return Ok(Next::Bytes(&frame[*frame_sent..]));
                }
                if *ended {
                    return Ok(Next::End);
                }
                let Some(payload) = payload else { return Ok(Next::End) };
                match payload.block(*block) {
                    Some(bytes) => Ok(Next::Bytes(&bytes[*at..])),
                    None if payload.whole && *block == payload.end() => {
                        (*frame, *frame_sent, *ended) = (payload.mark.to_vec(), 0, true);
                        Ok(Next::Bytes(frame))
                    }
                    None => Ok(Next::Wait),
                }
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
    pub fn sent(&mut self, count: usize, payload: Option<&Payload>) {
        match self {
            PayloadCursor::Made { frame, frame_sent, block, at, .. } => {
                if *frame_sent < frame.len() {
                    *frame_sent += count;
                } else if let Some(bytes) = payload.and_then(|p| p.block(*block)) {
                    *at += count;
                    if *at == bytes.len() {
                        (*block, *at) = (*block + 1, 0);
                    }
                }
            }
            PayloadCursor::Stored { frame, frame_sent, at, .. } => {
                if *frame_sent < frame.len() {
                    *frame_sent += count;
                } else {
                    *at += count as u64;
                }
            }
        }
    }
}
