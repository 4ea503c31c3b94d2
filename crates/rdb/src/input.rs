//! Where the bytes of a file come from: a buffer over `std::io::Read` that counts, feeds the checksum, and never trusts a length.

use std::io::Read;

use crate::crc64::Digest;
use crate::error::Problem;
use crate::format::{ENCODING_INT8, ENCODING_INT16, ENCODING_INT32, ENCODING_LZF};
use crate::lzf;

const BUFFER: usize = 256 * 1024;
/// What is reserved for a string before its bytes arrive; from there on it grows with them.
const RESERVE_MAX: usize = 1 << 20;

pub struct Input<R> {
    source: R,
    buffer: Vec<u8>,
    /// The unread bytes are `buffer[at..end]`.
    at: usize,
    end: usize,
    /// Offset in the file of `buffer[0]`.
    base: u64,
    digest: Option<Digest>,
    /// The digest has seen everything before this place in the buffer.
    digested: usize,
    compressed: Vec<u8>,
    /// Where a string began that didn't come whole.
    cut_at: Option<u64>,
}

/// A length, or the announcement of a string of another form.
pub enum Len {
    Plain(u64),
    Encoded(u8),
}

impl<R: Read> Input<R> {
    pub fn new(source: R, checksum: bool) -> Input<R> {
        Input::over(source, vec![0; BUFFER], 0, checksum)
    }

    fn over(source: R, buffer: Vec<u8>, end: usize, checksum: bool) -> Input<R> {
        let digest = checksum.then(Digest::new);
        Input { source, buffer, at: 0, end, base: 0, digest, digested: 0, compressed: Vec::new(), cut_at: None }
    }

    /// How many bytes have been taken; a string that is cut is not.
    pub fn offset(&self) -> u64 {
        self.cut_at.unwrap_or(self.base + self.at as u64)
    }

    /// The source, and what was read from it but not taken.
    pub fn into_rest(self) -> (R, Vec<u8>) {
        let mut buffer = self.buffer;
        buffer.truncate(self.end);
        buffer.drain(..self.at);
        (self.source, buffer)
    }

    /// The checksum of all that was taken, or none if none is kept.
    pub fn checksum(&mut self) -> Option<u64> {
        self.digest_taken();
        self.digest.as_ref().map(Digest::value)
    }

    fn digest_taken(&mut self) {
        if let Some(digest) = &mut self.digest {
            digest.update(&self.buffer[self.digested..self.at]);
        }
        self.digested = self.at;
    }

    /// Has at least `wanted` unread bytes in the buffer, which must be able to hold them.
    #[cold]
    fn fill(&mut self, wanted: usize) -> Result<(), Problem> {
        self.make_room();
        while self.end < wanted {
            let got = read_some(&mut self.source, &mut self.buffer[self.end..])?;
            self.end += got;
        }
        Ok(())
    }

    /// Forgets what was taken.
    fn make_room(&mut self) {
        self.digest_taken();
        self.buffer.copy_within(self.at..self.end, 0);
        self.base += self.at as u64;
        self.end -= self.at;
        (self.at, self.digested) = (0, 0);
    }

    /// What is in the buffer and not taken yet.
    #[inline]
    pub fn present(&self) -> &[u8] {
        &self.buffer[self.at..self.end]
    }

    /// Takes as many of the bytes that are present as `look` says, if it says so.
    #[inline]
    pub fn take_if<'a, T>(&'a mut self, look: impl FnOnce(&'a [u8]) -> Option<(usize, T)>) -> Option<T> {
        let (len, found) = look(&self.buffer[self.at..self.end])?;
        self.at += len;
        Some(found)
    }

    /// Reads once into what is free of the buffer; answers whether anything came. An error comes again when the bytes are needed.
    pub fn top_up(&mut self) -> bool {
        self.make_room();
        match read_some(&mut self.source, &mut self.buffer[self.end..]) {
            Ok(got) => self.end += got,
            Err(_) => return false,
        }
        true
    }

    /// Takes so many bytes that are present.
    pub fn skip_present(&mut self, len: usize) {
        self.at += len;
    }

    /// Puts so many bytes that are present into `out`.
    pub fn take_present(&mut self, len: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.buffer[self.at..self.at + len]);
        self.at += len;
    }

    #[inline]
    pub fn byte(&mut self) -> Result<u8, Problem> {
        if self.at == self.end {
            self.fill(1)?;
        }
        let byte = self.buffer[self.at];
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        if self.end - self.at < N {
            self.fill(N)?;
        }
        let bytes = self.buffer[self.at..self.at + N].try_into().expect("the slice has this length");
        self.at += N;
        Ok(bytes)
    }

    /// Appends the next `len` bytes to `out`, which grows only as they arrive.
    #[inline]
    pub fn bytes(&mut self, len: u64, out: &mut Vec<u8>) -> Result<(), Problem> {
        if len <= (self.end - self.at) as u64 {
            let to = self.at + len as usize;
            out.extend_from_slice(&self.buffer[self.at..to]);
            self.at = to;
            return Ok(());
        }
        self.bytes_slowly(len, out)
    }

    #[cold]
    fn bytes_slowly(&mut self, len: u64, out: &mut Vec<u8>) -> Result<(), Problem> {
        out.reserve(len.min(RESERVE_MAX as u64) as usize);
        self.pieces(len, |piece| out.extend_from_slice(piece))
    }

    pub fn skip(&mut self, len: u64) -> Result<(), Problem> {
        self.pieces(len, |_| ())
    }

    fn pieces(&mut self, len: u64, mut each: impl FnMut(&[u8])) -> Result<(), Problem> {
        let start = self.offset();
        let mut left = len;
        while left > 0 {
            if self.at == self.end
                && let Err(problem) = self.fill(1)
            {
                self.cut_at = Some(start);
                return Err(problem);
            }
            let piece = left.min((self.end - self.at) as u64);
            each(&self.buffer[self.at..self.at + piece as usize]);
            self.at += piece as usize;
            left -= piece;
        }
        Ok(())
    }

    #[inline]
    pub fn len_or_encoding(&mut self) -> Result<Len, Problem> {
        let first = self.byte()?;
        Ok(match first >> 6 {
            0 => Len::Plain(u64::from(first)),
            1 => Len::Plain(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            3 => Len::Encoded(first & 0x3f),
            _ => match first {
                0x80 => Len::Plain(u64::from(u32::from_be_bytes(self.array()?))),
                0x81 => Len::Plain(u64::from_be_bytes(self.array()?)),
                _ => return Err(Problem::Corrupt("unknown length encoding")),
            },
        })
    }

    /// A length where no encoded string can be.
    #[inline]
    pub fn len(&mut self) -> Result<u64, Problem> {
        match self.len_or_encoding()? {
            Len::Plain(len) => Ok(len),
            Len::Encoded(_) => Err(Problem::Corrupt("a string's encoding where a length has to be")),
        }
    }

    fn int(&mut self, encoding: u8) -> Result<i64, Problem> {
        Ok(match encoding {
            ENCODING_INT8 => i64::from(i8::from_le_bytes(self.array()?)),
            ENCODING_INT16 => i64::from(i16::from_le_bytes(self.array()?)),
            ENCODING_INT32 => i64::from(i32::from_le_bytes(self.array()?)),
            _ => return Err(Problem::Corrupt("unknown string encoding")),
        })
    }

    /// Puts the next string into `out`, or says that it is an integer and leaves `out` empty.
    #[inline]
    pub fn string_or_int(&mut self, out: &mut Vec<u8>) -> Result<Option<i64>, Problem> {
        out.clear();
        match self.len_or_encoding()? {
            Len::Plain(len) => self.bytes(len, out)?,
            Len::Encoded(ENCODING_LZF) => self.lzf(out)?,
            Len::Encoded(encoding) => return self.int(encoding).map(Some),
        }
        Ok(None)
    }

    /// Puts the next string into `out`, integers as their text.
    #[inline]
    pub fn string(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        if let Some(n) = self.string_or_int(out)? {
            out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
        }
        Ok(())
    }

    fn lzf(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        let from = self.len()?;
        let to = self.len()?;
        let mut compressed = std::mem::take(&mut self.compressed);
        compressed.clear();
        self.bytes(from, &mut compressed)?;
        lzf::decompress(&compressed, to, out).map_err(|_| Problem::Corrupt("Invalid LZF compressed string"))?;
        if compressed.capacity() <= RESERVE_MAX {
            self.compressed = compressed;
        }
        Ok(())
    }

    pub fn skip_string(&mut self) -> Result<(), Problem> {
        self.pass_string().map(drop)
    }

    /// Passes over a string; answers how long it is, or says it is: of a compressed one that is not checked.
    #[inline]
    pub fn pass_string(&mut self) -> Result<u64, Problem> {
        match self.len_or_encoding()? {
            Len::Plain(len) => self.skip(len).map(|()| len),
            Len::Encoded(ENCODING_LZF) => {
                let from = self.len()?;
                let to = self.len()?;
                self.skip(from).map(|()| to)
            }
            Len::Encoded(encoding) => self.int(encoding).map(|n| itoa::Buffer::new().format(n).len() as u64),
        }
    }
}

impl Input<std::io::Empty> {
    /// An input that has all its bytes at once, and keeps no checksum.
    pub fn of(bytes: &[u8]) -> Input<std::io::Empty> {
        // One byte of room, so that reading past the end asks the empty source.
        let mut buffer = Vec::with_capacity(bytes.len() + 16);
        buffer.extend_from_slice(bytes);
        buffer.resize(bytes.len() + 16, 0);
        Input::over(std::io::empty(), buffer, bytes.len(), false)
    }

    /// Goes on with other bytes, which begin at `base` of the file.
    pub fn replace(&mut self, bytes: Vec<u8>, base: u64) {
        (self.at, self.end, self.digested, self.base) = (0, bytes.len(), 0, base);
        self.cut_at = None;
        self.buffer = bytes;
    }
}

fn read_some(source: &mut impl Read, into: &mut [u8]) -> Result<usize, Problem> {
    loop {
        match source.read(into) {
            Ok(0) => return Err(Problem::Eof),
            Ok(got) => return Ok(got),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Problem::Io(error.kind(), error.to_string())),
        }
    }
}
