//! What other servers answer: replies of RESP2, from bytes in any pieces.

use std::fmt;

/// A reply, or a message of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Status(Vec<u8>),
    Error(Vec<u8>),
    Int(i64),
    Bulk(Vec<u8>),
    Null,
    Array(Vec<Answer>),
}

impl Answer {
    /// The bytes of a status or an error.
    pub fn line(&self) -> Option<&[u8]> {
        match self {
            Answer::Status(line) | Answer::Error(line) => Some(line),
            _ => None,
        }
    }

    pub fn is_error(&self) -> bool {
        matches!(self, Answer::Error(_))
    }
}

/// Bytes that are no reply that is expected here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadAnswer;

impl fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a reply of RESP2, or one that is too long")
    }
}

impl std::error::Error for BadAnswer {}

/// The longest string: an INFO with very many replicas is shorter.
const BULK_LEN_MAX: usize = 16 << 20;
/// As much of a reply may wait for its rest.
const WAITING_MAX: usize = BULK_LEN_MAX + (1 << 20);
const LINE_LEN_MAX: usize = 64 << 10;
const ITEMS_MAX: usize = 1024;
const DEPTH_MAX: usize = 4;

/// Bytes that have arrived and are not taken apart yet.
#[derive(Debug, Default)]
pub struct AnswerReader {
    buffer: Vec<u8>,
    at: usize,
}

impl AnswerReader {
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next reply that is complete.
    pub fn take(&mut self) -> Result<Option<Answer>, BadAnswer> {
        let mut cursor = Cursor { bytes: &self.buffer, at: self.at };
        match cursor.answer(0)? {
            Some(answer) => {
                self.at = cursor.at;
                Ok(Some(answer))
            }
            None if self.buffer.len() - self.at > WAITING_MAX => Err(BadAnswer),
            None => Ok(None),
        }
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn answer(&mut self, depth: usize) -> Result<Option<Answer>, BadAnswer> {
        let Some(line) = self.line()? else { return Ok(None) };
        let Some((kind, rest)) = line.split_first() else { return Err(BadAnswer) };
        let rest = rest.to_vec();
        Ok(Some(match kind {
            b'+' => Answer::Status(rest),
            b'-' => Answer::Error(rest),
            b':' => Answer::Int(number(&rest)?),
            b'$' => match number(&rest)? {
                -1 => Answer::Null,
                len => match self.bulk(len)? {
                    Some(bytes) => Answer::Bulk(bytes),
                    None => return Ok(None),
                },
            },
            b'*' if depth < DEPTH_MAX => match number(&rest)? {
                -1 => Answer::Null,
                count => match self.items(count, depth)? {
                    Some(items) => Answer::Array(items),
                    None => return Ok(None),
                },
            },
            _ => return Err(BadAnswer),
        }))
    }

    fn line(&mut self) -> Result<Option<&[u8]>, BadAnswer> {
        let rest = &self.bytes[self.at..];
        match rest.iter().take(LINE_LEN_MAX).position(|c| *c == b'\n') {
            Some(end) => {
                self.at += end + 1;
                rest[..end].strip_suffix(b"\r").map(Some).ok_or(BadAnswer)
            }
            None if rest.len() >= LINE_LEN_MAX => Err(BadAnswer),
            None => Ok(None),
        }
    }

    fn bulk(&mut self, len: i64) -> Result<Option<Vec<u8>>, BadAnswer> {
        let len = usize::try_from(len).ok().filter(|len| *len <= BULK_LEN_MAX).ok_or(BadAnswer)?;
        match self.bytes.get(self.at..self.at + len + 2) {
            Some(bytes) if bytes.ends_with(b"\r\n") => {
                self.at += len + 2;
                Ok(Some(bytes[..len].to_vec()))
            }
            Some(_) => Err(BadAnswer),
            None => Ok(None),
        }
    }

    fn items(&mut self, count: i64, depth: usize) -> Result<Option<Vec<Answer>>, BadAnswer> {
        let count = usize::try_from(count).ok().filter(|count| *count <= ITEMS_MAX).ok_or(BadAnswer)?;
        let mut items = Vec::new();
        for _ in 0..count {
            match self.answer(depth + 1)? {
                Some(item) => items.push(item),
                None => return Ok(None),
            }
        }
        Ok(Some(items))
    }
}

fn number(digits: &[u8]) -> Result<i64, BadAnswer> {
    std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(BadAnswer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_in_any_pieces() {
        let wire = b"+PONG\r\n*3\r\n:1\r\n$1\r\n*\r\n:7\r\n$-1\r\n$0\r\n\r\n-ERR no\r\n";
        let whole = [
            Answer::Status(b"PONG".to_vec()),
            Answer::Array(vec![Answer::Int(1), Answer::Bulk(b"*".to_vec()), Answer::Int(7)]),
            Answer::Null,
            Answer::Bulk(Vec::new()),
            Answer::Error(b"ERR no".to_vec()),
        ];
        for cut in 0..=wire.len() {
            let mut reader = AnswerReader::default();
            let mut got = Vec::new();
            for piece in [&wire[..cut], &wire[cut..]] {
                reader.push(piece);
                while let Some(answer) = reader.take().expect("good bytes") {
                    got.push(answer);
                }
            }
            assert_eq!(got, whole, "cut at {cut}");
        }
    }

    #[test]
    fn what_waits_has_a_bound() {
        let bulk = [format!("${BULK_LEN_MAX}\r\n").into_bytes(), vec![b'x'; BULK_LEN_MAX], b"\r\n".to_vec()].concat();
        let mut reader = AnswerReader::default();
        reader.push(&bulk);
        assert!(matches!(reader.take(), Ok(Some(Answer::Bulk(_)))));
        reader.push(b"*3\r\n");
        reader.push(&bulk);
        assert_eq!(reader.take(), Ok(None));
        reader.push(&bulk);
        assert_eq!(reader.take(), Err(BadAnswer), "an array of long strings is too long as a whole");
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        let deep = b"*1\r\n".repeat(10);
        let bad: [&[u8]; 8] =
            [b"PONG\r\n", b"$99999999999\r\n", b"$-2\r\n", b"*100000\r\n", b"$1\r\nxyz", b"+a\n", b"\r\n", &deep];
        for bytes in bad {
            let mut reader = AnswerReader::default();
            reader.push(bytes);
            assert_eq!(reader.take(), Err(BadAnswer), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
