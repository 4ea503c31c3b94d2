//! Where a connection's replies wait to be sent.
//!
//! A command writes to one buffer. What a socket does not take is put aside in pieces, so that what has left is freed piece by piece while more comes:
//! a client that never quite drains costs what waits for it, not what went through it. Nothing is copied for that.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use rivulet_net::Stream;

/// So few bytes of replies may wait for any client: with more, limits count them all (`PROTO_REPLY_CHUNK_BYTES` of Redis). A buffer with as many is put
/// aside.
pub const UNCOUNTED_BYTES: usize = 16 * 1024;
/// A buffer with more room is not kept when it is empty.
const KEPT_BYTES: usize = 64 * 1024;
/// Pieces that one system call sends.
const SLICES_MAX: usize = 64;

/// The replies of one connection, oldest first.
#[derive(Default)]
pub struct Output {
    /// What commands append to: the latest bytes. Nothing but their end may be taken back.
    pub bytes: Vec<u8>,
    /// Pieces that were put aside, before `bytes`.
    aside: VecDeque<Vec<u8>>,
    aside_bytes: usize,
    /// So many bytes of the oldest piece, or of `bytes` when none is aside, are sent.
    sent: usize,
    /// Where the oldest byte that is here stands in all that was ever written.
    start: u64,
}

impl Output {
    pub fn pending(&self) -> usize {
        // While a command has the buffer that it writes to, what was sent of that is counted alone.
        self.held().saturating_sub(self.sent)
    }

    /// Bytes that are here, sent or not: a piece goes as a whole.
    fn held(&self) -> usize {
        self.aside_bytes + self.bytes.len()
    }

    /// What is in memory for them.
    pub fn memory_bytes(&self) -> usize {
        self.aside_bytes + self.aside.capacity() * size_of::<Vec<u8>>() + self.bytes.capacity()
    }

    /// The place after the last byte, in all that was ever written.
    pub fn end(&self) -> u64 {
        self.start + self.held() as u64
    }

    /// The place of what stands at `len` of [`Output::bytes`], also while a command has them.
    pub fn place_at(&self, len: usize) -> u64 {
        self.start + (self.aside_bytes + len) as u64
    }

    /// The place of the first byte that is not sent.
    pub fn sent_to(&self) -> u64 {
        self.start + self.sent as u64
    }

    /// What waits, as CLIENT LIST shows it: bytes that are not counted (`obl`), or blocks of Redis (`oll`) and bytes (`omem`) that are. Those are the
    /// bytes that are held for it.
    pub fn shape(&self) -> (usize, usize, usize) {
        match self.pending() {
            few if few <= UNCOUNTED_BYTES => (few, 0, 0),
            _ => (0, self.held().div_ceil(UNCOUNTED_BYTES), self.held()),
        }
    }

    /// Sends what the socket takes of the bytes before the place `until`, about `max` of them; answers how many it took.
    #[inline]
    pub fn send(&mut self, stream: &mut Stream, until: u64, max: usize) -> io::Result<usize> {
        // What nearly every reply is: few bytes, all of which leave at once.
        if self.held() == self.bytes.len() && self.sent == 0 && until >= self.end() && !self.bytes.is_empty() {
            let taken = stream.write(&self.bytes)?;
            if taken == self.bytes.len() && self.bytes.capacity() <= KEPT_BYTES {
                self.start += taken as u64;
                self.bytes.clear();
                return Ok(taken);
            }
            self.sent = taken;
            self.drop_sent();
            // A socket that has taken nothing is not asked again.
            let max = if taken == 0 { 0 } else { max };
            return self.send_rest(stream, until, max, taken);
        }
        self.send_rest(stream, until, max, 0)
    }

    /// Sends more after so many bytes were written.
    fn send_rest(&mut self, stream: &mut Stream, until: u64, max: usize, mut written: usize) -> io::Result<usize> {
        while written < max {
            let taken = if self.aside.is_empty() {
                let end = self.index_of(until).min(self.bytes.len());
                if self.sent >= end {
                    break;
                }
                stream.write(&self.bytes[self.sent..end])?
            } else {
                self.send_aside(stream, until, max - written)?
            };
            if taken == 0 {
                break;
            }
            written += taken;
            self.sent += taken;
            self.drop_sent();
        }
        if self.bytes.len() >= UNCOUNTED_BYTES {
            self.put_aside();
        }
        Ok(written)
    }

    /// Where a place is from the oldest byte that is here.
    fn index_of(&self, place: u64) -> usize {
        usize::try_from(place.saturating_sub(self.start)).unwrap_or(usize::MAX)
    }

    fn send_aside(&self, stream: &mut Stream, until: u64, max: usize) -> io::Result<usize> {
        let mut slices = Vec::with_capacity(self.aside.len().min(SLICES_MAX));
        let mut skip = self.sent;
        let mut left = self.index_of(until).saturating_sub(skip).min(max);
        for piece in self.aside.iter().chain([&self.bytes]).take(SLICES_MAX) {
            let slice = &piece[skip..];
            let slice = &slice[..slice.len().min(left)];
            skip = 0;
            left -= slice.len();
            slices.push(IoSlice::new(slice));
            if left == 0 {
                break;
            }
        }
        if slices.iter().all(|slice| slice.is_empty()) { Ok(0) } else { stream.write_vectored(&slices) }
    }

    /// Frees pieces that are sent as a whole.
    fn drop_sent(&mut self) {
        while let Some(oldest) = self.aside.front()
            && self.sent >= oldest.len()
        {
            let len = oldest.len();
            self.sent -= len;
            self.start += len as u64;
            self.aside_bytes -= len;
            self.aside.pop_front();
        }
        if self.aside.is_empty() && self.sent == self.bytes.len() {
            self.clear();
        }
    }

    /// Takes all bytes from the place `from` on out, none of which was sent.
    pub fn take_from(&mut self, from: u64) -> Vec<u8> {
        let mut kept = self.index_of(from);
        let mut taken = Vec::with_capacity(self.held().saturating_sub(kept));
        let mut aside = std::mem::take(&mut self.aside);
        for mut piece in aside.drain(..) {
            taken.extend_from_slice(&piece[kept.min(piece.len())..]);
            piece.truncate(kept);
            kept -= piece.len();
            if piece.is_empty() {
                continue;
            }
            self.aside.push_back(piece);
        }
        taken.extend_from_slice(&self.bytes[kept.min(self.bytes.len())..]);
        self.bytes.truncate(kept);
        self.aside_bytes = self.aside.iter().map(Vec::len).sum();
        taken
    }

    fn put_aside(&mut self) {
        let mut piece = std::mem::take(&mut self.bytes);
        if piece.capacity() > piece.len() + piece.len() / 4 {
            piece.shrink_to_fit();
        }
        self.aside_bytes += piece.len();
        self.aside.push_back(piece);
    }

    /// Forgets all that waits. A small buffer is kept for the next reply.
    pub fn clear(&mut self) {
        self.start = self.end();
        self.sent = 0;
        self.bytes.clear();
        if self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
        if self.aside.capacity() > 0 {
            self.aside = VecDeque::new();
            self.aside_bytes = 0;
        }
    }

    /// Gives the buffer of a connection that is quiet back.
    pub fn give_back(&mut self) {
        if self.pending() == 0 && self.bytes.capacity() > 0 {
            self.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair() -> (Stream, UnixStream) {
        let (near, far) = UnixStream::pair().expect("a pair of sockets");
        near.set_nonblocking(true).expect("it can be set");
        far.set_nonblocking(true).expect("it can be set");
        (Stream::from_unix(near), far)
    }

    /// Reads at most `max` bytes of what has arrived.
    fn take(far: &mut UnixStream, max: usize, into: &mut Vec<u8>) -> usize {
        let mut buffer = vec![0; max];
        let n = far.read(&mut buffer).unwrap_or(0);
        into.extend_from_slice(&buffer[..n]);
        n
    }

    /// What `i`th reply of a test is: such that any confusion shows.
    fn reply(i: usize, len: usize) -> impl Iterator<Item = u8> {
        (0..len).map(move |at| (i * 7 + at * 13) as u8)
    }

    #[test]
    fn what_went_through_a_connection_that_never_drains_is_not_kept() {
        let (mut near, mut far) = pair();
        let mut output = Output::default();
        let (mut wanted, mut got) = (Vec::new(), Vec::new());
        let mut most = 0;
        // The reader is always 1 MiB behind, or more.
        for i in 0..4000 {
            let before = output.bytes.len();
            output.bytes.extend(reply(i, 10_000));
            wanted.extend_from_slice(&output.bytes[before..]);
            output.send(&mut near, u64::MAX, 1 << 20).expect("it is open");
            if output.pending() > 1 << 20 {
                assert!(output.shape().2 >= output.pending(), "limits see what waits");
                take(&mut far, 10_000, &mut got);
            }
            most = most.max(output.memory_bytes().saturating_sub(output.pending()));
        }
        assert!(most < 256 << 10, "{most} bytes beyond what waits");
        let (waits, total) = (output.pending(), wanted.len());
        assert!(waits > 500 << 10 && total > 30 << 20, "{waits} of {total}");
        while got.len() < wanted.len() {
            output.send(&mut near, u64::MAX, 1 << 20).expect("it is open");
            take(&mut far, 1 << 20, &mut got);
        }
        assert!(got == wanted, "the bytes are those that were written, in order");
        assert_eq!((output.pending(), output.memory_bytes()), (0, output.bytes.capacity()));
        assert_eq!(output.end(), total as u64);
    }

    #[test]
    fn nothing_beyond_the_place_leaves() {
        let (mut near, mut far) = pair();
        let mut output = Output::default();
        let mut got = Vec::new();
        let mut wanted = Vec::new();
        for i in 0..200 {
            let before = output.bytes.len();
            output.bytes.extend(reply(i, 700 * (1 + i % 40)));
            wanted.extend_from_slice(&output.bytes[before..]);
            let until = output.end() - (i as u64 * 31) % 5000;
            for _ in 0..3 {
                output.send(&mut near, until, 1 << 20).expect("it is open");
                while take(&mut far, 1 << 20, &mut got) > 0 {}
                assert!(got.len() as u64 <= until.max(output.sent_to()));
                assert_eq!(got.len() as u64, output.sent_to());
            }
            assert!(output.sent_to() >= until, "all before it leaves");
        }
        assert!(wanted.starts_with(&got));
        output.clear();
        assert_eq!((output.pending(), output.end()), (0, wanted.len() as u64));
    }

    #[test]
    fn what_is_taken_out_is_the_end() {
        let (mut near, _far) = pair();
        let all: Vec<u8> = reply(3, 600_000).collect();
        for from in [0, 1, 16_383, 16_384, 299_999, 300_000, 300_001, 599_999, 600_000] {
            let mut output = Output::default();
            for piece in all.chunks(100_000) {
                output.bytes.extend_from_slice(piece);
                output.send(&mut near, 0, 1 << 20).expect("it is open");
            }
            assert_eq!(output.take_from(from as u64), all[from..], "from {from}");
            assert_eq!((output.end(), output.pending()), (from as u64, from));
            output.bytes.extend_from_slice(&all[from..]);
            assert_eq!(output.take_from(0), all);
        }
    }

    #[test]
    fn few_bytes_are_not_counted_and_stay_in_one_buffer() {
        let (mut near, _far) = pair();
        let mut output = Output::default();
        output.bytes.extend_from_slice(b"+OK\r\n");
        assert_eq!(output.shape(), (5, 0, 0));
        assert_eq!(output.send(&mut near, u64::MAX, 1 << 20).expect("it is open"), 5);
        assert_eq!((output.shape(), output.end(), output.sent_to()), ((0, 0, 0), 5, 5));
        assert!(output.bytes.capacity() > 0, "the buffer is used again");
        output.give_back();
        assert_eq!(output.memory_bytes(), 0);
        output.bytes.resize(16_385, b'x');
        assert_eq!(output.shape(), (0, 2, 16_385));
    }
}
