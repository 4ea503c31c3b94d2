//! Decoding of requests: arrays of bulk strings, and inline lines.
//!
//! A [`Decoder`] remembers where it stopped, so that a large command that arrives in pieces is read once. Limits and error texts are those of
//! Redis 7.0 (`processMultibulkBuffer`, `processInlineBuffer` in networking.c).

use std::fmt;

use crate::args::{Args, Span};
use crate::inline::split_words;

/// The longest line: an inline command, or a count.
const LINE_LEN_MAX: usize = 64 * 1024;

/// The longest argument, whatever `proto-max-bulk-len` says: spans count bytes in 32 bits.
const ARG_LEN_MAX: usize = (2 << 30) - 1;

/// Where the last argument of a command ends at most, for the same reason.
const ARGS_END_MAX: usize = u32::MAX as usize;

/// Why a connection must be closed. Its text follows `-ERR Protocol error: `.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProtocolError {
    InlineTooBig,
    UnbalancedQuotes,
    CountTooBig,
    InvalidCount,
    UnauthenticatedCount,
    BulkLenTooBig,
    InvalidBulkLen,
    UnauthenticatedBulkLen,
    ExpectedDollar(u8),
    /// A master sends arrays and nothing else: we do not stand where it thinks that we do.
    InlineFromMaster,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProtocolError::InlineTooBig => "too big inline request",
            ProtocolError::UnbalancedQuotes => "unbalanced quotes in request",
            ProtocolError::CountTooBig => "too big mbulk count string",
            ProtocolError::InvalidCount => "invalid multibulk length",
            ProtocolError::UnauthenticatedCount => "unauthenticated multibulk length",
            ProtocolError::BulkLenTooBig => "too big bulk count string",
            ProtocolError::InvalidBulkLen => "invalid bulk length",
            ProtocolError::UnauthenticatedBulkLen => "unauthenticated bulk length",
            ProtocolError::InlineFromMaster => "Master using the inline protocol. Desync?",
            ProtocolError::ExpectedDollar(c) => return write!(f, "expected '$', got '{}'", *c as char),
        })
    }
}

impl std::error::Error for ProtocolError {}

/// What a connection may send.
#[derive(Clone, Copy)]
pub struct Limits {
    /// `proto-max-bulk-len`, bytes.
    pub bulk_len_max: u64,
    /// A client that has not authenticated may send 10 arguments of 16 KiB.
    pub authenticated: bool,
    /// Only arrays with arguments are taken, as on a master's link: no inline lines, no empty ones.
    pub arrays_only: bool,
}

/// One decoded command of a batch.
#[derive(Clone, Copy)]
struct Command {
    /// Where its bytes are: in the connection's buffer, or in the batch's own (inline commands).
    start: usize,
    end: usize,
    stored: bool,
    /// Where the next command begins in the connection's buffer.
    wire_end: usize,
    canonical: bool,
    first_span: usize,
    spans: usize,
}

/// Commands that were decoded together.
#[derive(Default)]
pub struct Batch {
    commands: Vec<Command>,
    spans: Vec<Span>,
    stored: Vec<u8>,
}

impl Batch {
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Command `i`, whose bytes are in `buffer` unless it was an inline one.
    #[inline]
    pub fn args<'a>(&'a self, i: usize, buffer: &'a [u8]) -> Args<'a> {
        let c = self.commands[i];
        let bytes = if c.stored { &self.stored[c.start..c.end] } else { &buffer[c.start..c.end] };
        Args::new(bytes, &self.spans[c.first_span..c.first_span + c.spans], c.canonical)
    }

    /// Bytes of `buffer` that command `i` and those before it take.
    pub fn wire_end(&self, i: usize) -> usize {
        self.commands[i].wire_end
    }

    /// Forgets the commands, and gives back what those of many arguments have left.
    pub fn give_back(&mut self) {
        self.clear();
        self.spans.shrink_to(SPANS_KEPT);
        self.stored.shrink_to(STORED_KEPT);
    }

    /// What is in memory for the commands.
    pub fn memory_bytes(&self) -> usize {
        self.commands.capacity() * size_of::<Command>()
            + self.spans.capacity() * size_of::<Span>()
            + self.stored.capacity()
    }

    /// Forgets the commands, keeping the memory.
    pub fn clear(&mut self) {
        self.commands.clear();
        self.spans.clear();
        self.stored.clear();
    }
}

/// Memory for so many arguments, and for so many bytes of inline commands, is kept for what comes next.
const SPANS_KEPT: usize = 1024;
const STORED_KEPT: usize = 64 * 1024;

/// Where decoding of a connection's bytes stands.
#[derive(Default)]
pub struct Decoder {
    /// The next byte to look at.
    at: usize,
    /// Where the present command began.
    start: usize,
    /// Arguments that the present command still lacks.
    missing: usize,
    /// Length of the argument that is being read.
    bulk_len: Option<usize>,
    /// Spans of the present command so far.
    spans: Vec<Span>,
    sloppy: bool,
}

impl Decoder {
    /// Decodes up to `max` complete commands of `buffer` into `batch`. After they have been executed, the caller drops the first
    /// [`Decoder::consumed`] bytes of the buffer and calls [`Decoder::rebase`].
    pub fn decode(
        &mut self,
        buffer: &[u8],
        batch: &mut Batch,
        max: usize,
        limits: Limits,
    ) -> Result<(), ProtocolError> {
        while batch.len() < max && self.at < buffer.len() {
            let complete = if self.missing > 0 {
                self.arguments(buffer, limits)?
            } else if buffer[self.at] == b'*' {
                self.count(buffer, limits)? && (self.missing == 0 || self.arguments(buffer, limits)?)
            } else if limits.arrays_only {
                return Err(ProtocolError::InlineFromMaster);
            } else {
                match self.inline(buffer, batch)? {
                    true => continue,
                    false => return Ok(()),
                }
            };
            if !complete {
                return Ok(());
            }
            if !self.spans.is_empty() {
                batch.commands.push(Command {
                    start: self.start,
                    end: self.at,
                    stored: false,
                    wire_end: self.at,
                    canonical: !self.sloppy,
                    first_span: batch.spans.len(),
                    spans: self.spans.len(),
                });
                batch.spans.append(&mut self.spans);
            }
            self.start = self.at;
        }
        Ok(())
    }

    /// Bytes of the buffer that belong to complete commands.
    pub fn consumed(&self) -> usize {
        self.start
    }

    /// Bytes of the buffer that are decoded, of complete commands or not.
    pub fn decoded(&self) -> usize {
        self.at
    }

    /// Bytes of the arguments of the present command that are there.
    pub fn arguments_len(&self) -> usize {
        self.spans.iter().map(|span| span.len as usize).sum()
    }

    /// What is in memory for the arguments of the present command.
    pub fn memory_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Span>()
    }

    /// Gives back what a command of many arguments has left, unless one has begun.
    pub fn give_back(&mut self) {
        if self.missing == 0 && self.spans.capacity() > SPANS_KEPT {
            self.spans = Vec::new();
        }
    }

    /// Bytes that the argument which is being read still lacks, given the buffer's length.
    pub fn wanted(&self, buffered: usize) -> usize {
        self.bulk_len.map_or(0, |len| (self.at + len + 2).saturating_sub(buffered))
    }

    /// The first [`Decoder::consumed`] bytes were dropped.
    pub fn rebase(&mut self) {
        self.at -= self.start;
        self.start = 0;
    }

    /// Decoding will begin anew, at the start of the buffer: commands that were decoded are to be decoded again.
    pub fn rewind(&mut self) {
        *self = Decoder::default();
    }

    /// Reads `*<count>`; answers whether it is there.
    fn count(&mut self, buffer: &[u8], limits: Limits) -> Result<bool, ProtocolError> {
        let Some((line, next)) = self.line(buffer) else {
            return if buffer.len() - self.at > LINE_LEN_MAX { Err(ProtocolError::CountTooBig) } else { Ok(false) };
        };
        let count = integer(&line[1..]).filter(|&n| n <= i64::from(i32::MAX)).ok_or(ProtocolError::InvalidCount)?;
        if count > 10 && !limits.authenticated {
            return Err(ProtocolError::UnauthenticatedCount);
        }
        if count <= 0 && limits.arrays_only {
            return Err(ProtocolError::InvalidCount);
        }
        self.sloppy = buffer[next - 1] != b'\n';
        self.at = next;
        self.missing = usize::try_from(count).unwrap_or(0);
        if self.missing == 0 {
            self.start = next;
        }
        Ok(true)
    }

    /// Reads arguments until none is missing; answers whether all are there.
    fn arguments(&mut self, buffer: &[u8], limits: Limits) -> Result<bool, ProtocolError> {
        while self.missing > 0 {
            let len = match self.bulk_len {
                Some(len) => len,
                None => {
                    let Some((line, next)) = self.line(buffer) else {
                        return if buffer.len() - self.at > LINE_LEN_MAX {
                            Err(ProtocolError::BulkLenTooBig)
                        } else {
                            Ok(false)
                        };
                    };
                    if line.first() != Some(&b'$') {
                        return Err(ProtocolError::ExpectedDollar(line.first().copied().unwrap_or(b'\r')));
                    }
                    let len = integer(&line[1..])
                        .and_then(|n| usize::try_from(n).ok())
                        .filter(|&n| n as u64 <= limits.bulk_len_max && n <= ARG_LEN_MAX)
                        .ok_or(ProtocolError::InvalidBulkLen)?;
                    if len > 16384 && !limits.authenticated {
                        return Err(ProtocolError::UnauthenticatedBulkLen);
                    }
                    if next + len - self.start > ARGS_END_MAX {
                        return Err(ProtocolError::InvalidBulkLen);
                    }
                    self.sloppy |= buffer[next - 1] != b'\n';
                    self.at = next;
                    len
                }
            };
            if buffer.len() - self.at < len + 2 {
                self.bulk_len = Some(len);
                return Ok(false);
            }
            self.bulk_len = None;
            self.spans.push(Span { start: (self.at - self.start) as u32, len: len as u32 });
            self.sloppy |= &buffer[self.at + len..self.at + len + 2] != b"\r\n";
            self.at += len + 2;
            self.missing -= 1;
        }
        Ok(true)
    }

    /// Reads an inline command; answers whether its line is there.
    fn inline(&mut self, buffer: &[u8], batch: &mut Batch) -> Result<bool, ProtocolError> {
        let Some(newline) = memchr::memchr(b'\n', &buffer[self.at..]) else {
            return if buffer.len() - self.at > LINE_LEN_MAX { Err(ProtocolError::InlineTooBig) } else { Ok(false) };
        };
        if newline > LINE_LEN_MAX {
            return Err(ProtocolError::InlineTooBig);
        }
        let line = &buffer[self.at..self.at + newline];
        let words = split_words(line.strip_suffix(b"\r").unwrap_or(line)).ok_or(ProtocolError::UnbalancedQuotes)?;
        self.at += newline + 1;
        self.start = self.at;
        if !words.is_empty() {
            let start = batch.stored.len();
            let first_span = batch.spans.len();
            for word in &words {
                batch.spans.push(Span { start: (batch.stored.len() - start) as u32, len: word.len() as u32 });
                batch.stored.extend_from_slice(word);
            }
            batch.commands.push(Command {
                start,
                end: batch.stored.len(),
                stored: true,
                wire_end: self.at,
                canonical: false,
                first_span,
                spans: words.len(),
            });
        }
        Ok(true)
    }

    /// The line at the present place, without its end, and where the next one begins.
    #[inline]
    fn line<'a>(&self, buffer: &'a [u8]) -> Option<(&'a [u8], usize)> {
        let rest = &buffer[self.at..];
        // Counts are short: look at the next few bytes before calling for a search.
        let end = rest.iter().take(16).position(|&c| c == b'\r').or_else(|| memchr::memchr(b'\r', rest))?;
        (rest.len() > end + 1).then(|| (&rest[..end], self.at + end + 2))
    }
}

/// A number as counts are written: without a sign but for `-`, without leading zeros, as in Redis (`string2ll`). So that a count has one form only, and
/// what came is what is passed on.
fn integer(text: &[u8]) -> Option<i64> {
    match text {
        [b'0'] => Some(0),
        [b'1'..=b'9', rest @ ..] if rest.len() < 18 => {
            let mut n = i64::from(text[0] - b'0');
            for d in rest {
                n = n * 10 + i64::from(d.checked_sub(b'0').filter(|d| *d < 10)?);
            }
            Some(n)
        }
        [b'1'..=b'9', ..] | [b'-', b'1'..=b'9', ..] => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Limits = Limits { bulk_len_max: 512 << 20, authenticated: true, arrays_only: false };

    fn all(bytes: &[u8], limits: Limits) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        let mut batch = Batch::default();
        Decoder::default().decode(bytes, &mut batch, usize::MAX, limits)?;
        Ok((0..batch.len()).map(|i| batch.args(i, bytes).iter().map(<[u8]>::to_vec).collect()).collect())
    }

    #[test]
    fn pipelined_commands_and_inline_lines() {
        let bytes = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING 'x y'\r\n\r\n*0\r\n*-1\r\n*-9223372036854775808\r\n*1\r\n$4\r\nQUIT\r\n*1\r\n$4\r\nQU";
        let commands = all(bytes, OPEN).expect("valid");
        assert_eq!(
            commands,
            [vec![b"GET".to_vec(), b"a".to_vec()], vec![b"PING".to_vec(), b"x y".to_vec()], vec![b"QUIT".to_vec()]]
        );
    }

    #[test]
    fn no_argument_is_longer_than_its_span_can_say() {
        let open = Limits { bulk_len_max: u64::MAX, authenticated: true, arrays_only: false };
        let error = all(b"*1\r\n$2147483648\r\n", open).expect_err("too long");
        assert_eq!(error, ProtocolError::InvalidBulkLen);
        assert_eq!(all(b"*1\r\n$2147483647\r\n", open).expect("may be"), Vec::<Vec<Vec<u8>>>::new());
    }

    #[test]
    fn no_argument_ends_where_no_span_can_say() {
        let open = Limits { bulk_len_max: u64::MAX, authenticated: true, arrays_only: false };
        let longest = (2 << 30) - 1;
        let head = b"*2\r\n$2147483647\r\n";
        let after_first = head.len() + longest + 2;
        // The header of the second one is 13 bytes.
        for (second, is_taken) in [(ARGS_END_MAX - after_first - 13, true), (ARGS_END_MAX - after_first - 12, false)] {
            // The system gives pages that nobody writes to no memory.
            let mut buffer = vec![0; after_first + 13];
            buffer[..head.len()].copy_from_slice(head);
            buffer[after_first - 2..].copy_from_slice(format!("\r\n${second}\r\n").as_bytes());
            let decoded = Decoder::default().decode(&buffer, &mut Batch::default(), 1, open);
            assert_eq!(decoded.is_ok(), is_taken, "{second}");
        }
    }

    #[test]
    fn any_split_gives_the_same_commands() {
        let bytes = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\na\r\nb!\r\nECHO hi\n*1\r\n$4\rxPING\rx";
        for step in 1..bytes.len() {
            let mut decoder = Decoder::default();
            let (mut buffer, mut seen) = (Vec::new(), Vec::new());
            for chunk in bytes.chunks(step) {
                buffer.extend_from_slice(chunk);
                loop {
                    let mut batch = Batch::default();
                    decoder.decode(&buffer, &mut batch, 2, OPEN).expect("valid");
                    for i in 0..batch.len() {
                        let mut command = Vec::new();
                        batch.args(i, &buffer).append_to(&mut command);
                        seen.push(command);
                    }
                    buffer.drain(..decoder.consumed());
                    decoder.rebase();
                    if batch.is_empty() {
                        break;
                    }
                }
            }
            let want: [&[u8]; 3] = [
                b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\na\r\nb!\r\n",
                b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n",
                b"*1\r\n$4\r\nPING\r\n",
            ];
            assert_eq!(seen, want, "step {step}");
        }
    }

    #[test]
    fn limits_and_errors_are_those_of_redis() {
        let closed = Limits { authenticated: false, ..OPEN };
        let arrays = Limits { arrays_only: true, ..OPEN };
        for (bytes, limits, text) in [
            (&b"*x\r\n"[..], OPEN, "invalid multibulk length"),
            (b"*2147483648\r\n", OPEN, "invalid multibulk length"),
            (b"*\r\n", OPEN, "invalid multibulk length"),
            (b"*04\r\n", OPEN, "invalid multibulk length"),
            (b"*-0\r\n", OPEN, "invalid multibulk length"),
            (b"*+1\r\n", OPEN, "invalid multibulk length"),
            (b"*1\r\n$\r\n", OPEN, "invalid bulk length"),
            (b"*1\r\n$04\r\n", OPEN, "invalid bulk length"),
            (b"*1\r\n$-0\r\n", OPEN, "invalid bulk length"),
            (b"*1\r\n$+4\r\n", OPEN, "invalid bulk length"),
            (b"*11\r\n", closed, "unauthenticated multibulk length"),
            (b"PING\r\n", arrays, "Master using the inline protocol. Desync?"),
            (b"\n", arrays, "Master using the inline protocol. Desync?"),
            (b"*0\r\n", arrays, "invalid multibulk length"),
            (b"*1\r\n:1\r\n", OPEN, "expected '$', got ':'"),
            (b"*1\r\n$-1\r\n", OPEN, "invalid bulk length"),
            (b"*1\r\n$536870913\r\n", OPEN, "invalid bulk length"),
            (b"*1\r\n$16385\r\n", closed, "unauthenticated bulk length"),
            (b"SET \"a\r\n", OPEN, "unbalanced quotes in request"),
            (&[b'x'; 70_000], OPEN, "too big inline request"),
            (&[b'*'; 70_000], OPEN, "too big mbulk count string"),
        ] {
            assert_eq!(all(bytes, limits).expect_err("an error").to_string(), text);
        }
    }
}
