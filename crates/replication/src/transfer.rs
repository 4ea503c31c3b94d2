//! The framing of a snapshot on the wire: `$<length>` and that many bytes, or `$EOF:<mark>`, bytes, and the mark
//! again. Newlines before it only keep the link alive.
//!
//! ```text
//! \n \n $1234\r\n ……… 1234 bytes ………
//! \n \n $EOF:<40 bytes>\r\n ……… bytes ……… <the same 40 bytes>
//! ```
//!
//! What the bytes mean is the RDB reader's business.

use std::borrow::Cow;
use std::fmt;

use crate::messages::LineBuffer;

/// Takes a snapshot out of the received bytes, however they are cut.
#[derive(Debug)]
pub struct PayloadReader {
    state: State,
}

/// `Header → Counted → Done`, or `Header → Marked → Done`.
#[derive(Debug)]
enum State {
    Header(LineBuffer),
    Counted { left: u64 },
    Marked(MarkSearch),
    Done,
}

/// What the next bytes were.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A newline before the payload: the master is there, the snapshot is not.
    KeepAlive,
    /// The payload starts; its length, if the master knows it.
    Begin {
        len: Option<u64>,
    },
    Data(Cow<'a, [u8]>),
    /// The payload is whole. What is left of the input is the stream.
    End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferError {
    /// The master could not make the snapshot.
    Aborted(String),
    /// Not a payload at all.
    BadHeader(String),
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransferError::Aborted(text) => write!(f, "MASTER aborted replication with an error: {text}"),
            TransferError::BadHeader(text) => write!(
                f,
                "Bad protocol from MASTER, the first byte is not '$' (we received '{text}'), are you sure the host \
                 and port are right?"
            ),
        }
    }
}

impl Default for PayloadReader {
    fn default() -> PayloadReader {
        PayloadReader { state: State::Header(LineBuffer::default()) }
    }
}

impl PayloadReader {
    /// Takes the next item off the input; `None` needs more input, or the payload has ended.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Item<'a>>, TransferError> {
        match &mut self.state {
            State::Header(lines) => {
                let too_long = |_| TransferError::BadHeader("a line without an end".to_string());
                let Some(line) = lines.next(input).map_err(too_long)? else { return Ok(None) };
                self.header(&line).map(Some)
            }
            State::Counted { left: 0 } => {
                self.state = State::Done;
                Ok(Some(Item::End))
            }
            State::Counted { left } => {
                let taken = (*left).min(input.len() as u64) as usize;
                let (data, rest) = input.split_at(taken);
                *input = rest;
                *left -= taken as u64;
                Ok((taken > 0).then_some(Item::Data(data.into())))
            }
            State::Marked(search) => match search.next(input) {
                Step::Data(data) => Ok(Some(Item::Data(data.into()))),
                Step::GivenUp(bytes) => Ok(Some(Item::Data(search.mark[..bytes].to_vec().into()))),
                Step::Found => {
                    self.state = State::Done;
                    Ok(Some(Item::End))
                }
                Step::NeedMore => Ok(None),
            },
            State::Done => Ok(None),
        }
    }

    fn header(&mut self, line: &[u8]) -> Result<Item<'static>, TransferError> {
        let text = || String::from_utf8_lossy(line).into_owned();
        match line {
            [] => Ok(Item::KeepAlive),
            [b'-', error @ ..] => Err(TransferError::Aborted(String::from_utf8_lossy(error).into_owned())),
            [b'$', b'E', b'O', b'F', b':', mark @ ..] => {
                let mark = mark.first_chunk().ok_or_else(|| TransferError::BadHeader(text()))?;
                self.state = State::Marked(MarkSearch::new(*mark));
                Ok(Item::Begin { len: None })
            }
            [b'$', digits @ ..] => {
                let len = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
                let left = len.ok_or_else(|| TransferError::BadHeader(text()))?;
                self.state = State::Counted { left };
                Ok(Item::Begin { len: Some(left) })
            }
            _ => Err(TransferError::BadHeader(text())),
        }
    }
}

pub const MARK_LEN: usize = 40;

/// Finds the mark in bytes that come in pieces. What is held back is always a beginning of the mark, so a count is
/// enough to keep it.
#[derive(Debug)]
struct MarkSearch {
    mark: [u8; MARK_LEN],
    /// So many bytes of the mark have been seen and not handed out.
    matched: usize,
    /// For each number of matched bytes, how many still match when the next one does not.
    fallback: [u8; MARK_LEN + 1],
}

enum Step<'a> {
    Data(&'a [u8]),
    /// So many bytes of the mark were held back and turned out to be data.
    GivenUp(usize),
    Found,
    NeedMore,
}

impl MarkSearch {
    fn new(mark: [u8; MARK_LEN]) -> MarkSearch {
        let mut fallback = [0u8; MARK_LEN + 1];
        let mut length = 0;
        for i in 1..MARK_LEN {
            while length > 0 && mark[i] != mark[length] {
                length = usize::from(fallback[length]);
            }
            length += usize::from(mark[i] == mark[length]);
            fallback[i + 1] = length as u8;
        }
        MarkSearch { mark, matched: 0, fallback }
    }

    fn next<'a>(&mut self, input: &mut &'a [u8]) -> Step<'a> {
        if self.matched == 0 {
            let data = self.skip_to_mark(input);
            if !data.is_empty() {
                return Step::Data(data);
            }
        }
        while self.matched < MARK_LEN {
            let Some((byte, rest)) = input.split_first() else { return Step::NeedMore };
            if *byte == self.mark[self.matched] {
                self.matched += 1;
                *input = rest;
            } else if self.matched > 0 {
                let kept = usize::from(self.fallback[self.matched]);
                return Step::GivenUp(std::mem::replace(&mut self.matched, kept) - kept);
            } else {
                return Step::Data(self.skip_to_mark(input));
            }
        }
        Step::Found
    }

    /// Takes the input up to the mark, or to what may be its beginning, at the speed of memory.
    fn skip_to_mark<'a>(&mut self, input: &mut &'a [u8]) -> &'a [u8] {
        let all = *input;
        let start = memchr::memmem::find(all, &self.mark).unwrap_or_else(|| {
            let tail = all.len().saturating_sub(MARK_LEN - 1);
            (tail..all.len()).find(|&at| self.mark.starts_with(&all[at..])).unwrap_or(all.len())
        });
        self.matched = (all.len() - start).min(MARK_LEN);
        *input = &all[start + self.matched..];
        &all[..start]
    }
}

/// The master's side: what goes before a payload of known length.
pub fn counted_header(len: u64) -> Vec<u8> {
    format!("${len}\r\n").into_bytes()
}

/// The master's side: what goes before a payload that ends with `mark`, forty random bytes without a line end.
pub fn marked_header(mark: &[u8; MARK_LEN]) -> Vec<u8> {
    [b"$EOF:", &mark[..], b"\r\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads pieces and gives the keep-alives, the length, the payload and what follows it.
    fn read_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (usize, Option<Option<u64>>, Vec<u8>, Vec<u8>) {
        let mut reader = PayloadReader::default();
        let (mut alive, mut begun, mut data, mut rest) = (0, None, Vec::new(), Vec::new());
        let mut ended = false;
        for mut piece in pieces {
            while let Some(item) = reader.next(&mut piece).unwrap() {
                match item {
                    Item::KeepAlive => alive += 1,
                    Item::Begin { len } => begun = Some(len),
                    Item::Data(bytes) => data.extend_from_slice(&bytes),
                    Item::End => ended = true,
                }
            }
            assert!(ended || piece.is_empty());
            rest.extend_from_slice(piece);
        }
        assert!(ended, "the payload did not end");
        (alive, begun, data, rest)
    }

    const MARK: &[u8; MARK_LEN] = b"aabaabaabaabaabaabaabaabaabaabaabaabaabc";

    /// A payload full of false beginnings of the mark.
    fn tricky() -> Vec<u8> {
        [b"RDB", &MARK[..39], &MARK[..1], &MARK[..20], b"x", &MARK[..38], b"aab", &MARK[3..39], b"\r\n$"].concat()
    }

    #[test]
    fn every_split_of_both_framings() {
        let payload = tricky();
        let marked = [b"\n\r\n", &marked_header(MARK)[..], &payload, MARK, b"*1\r\n"].concat();
        let counted = [b"\n\r\n", &counted_header(payload.len() as u64)[..], &payload, b"*1\r\n"].concat();
        for (whole, len) in [(marked, None), (counted, Some(payload.len() as u64))] {
            let expected = (2, Some(len), payload.clone(), b"*1\r\n".to_vec());
            for a in 0..=whole.len() {
                assert_eq!(read_pieces([&whole[..a], &whole[a..]]), expected, "split at {a}");
            }
            for size in 1..60 {
                assert_eq!(read_pieces(whole.chunks(size)), expected, "pieces of {size}");
            }
        }
    }

    #[test]
    fn an_empty_payload_ends_at_once() {
        assert_eq!(read_pieces([&b"$0\r\n"[..]]).2, b"");
        assert_eq!(read_pieces([&[&marked_header(MARK)[..], MARK].concat()[..]]).2, b"");
    }

    #[test]
    fn what_is_not_a_payload_is_named() {
        let error = |bytes: &[u8]| PayloadReader::default().next(&mut &bytes[..]).unwrap_err().to_string();
        assert_eq!(error(b"-ERR no\r\n"), "MASTER aborted replication with an error: ERR no");
        assert!(error(b"HTTP/1.1 400\r\n").contains("we received 'HTTP/1.1 400'"));
        assert!(error(b"$-1\r\n").starts_with("Bad protocol"));
        assert!(error(b"$EOF:short\r\n").starts_with("Bad protocol"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn any_mark_any_payload_any_pieces(
            mark in proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b')], MARK_LEN),
            payload in proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b')], 0..300),
            size in 1..100usize,
        ) {
            let mark: [u8; MARK_LEN] = mark.try_into().unwrap();
            let whole = [&payload[..], &mark].concat();
            let end = memchr::memmem::find(&whole, &mark).unwrap();
            let wire = [&marked_header(&mark)[..], &whole].concat();
            let (_, _, data, rest) = read_pieces(wire.chunks(size));
            prop_assert_eq!(data, &whole[..end]);
            prop_assert_eq!(rest, &whole[end + MARK_LEN..]);
        }
    }
}
