//! Replies out of bytes that come in pieces.
//!
//! Nothing is reserved on the word of a length: a text is kept when all of it is there, and a collection grows by what has come. The place is
//! remembered, so that a large reply is read once.

use std::ops::Range;

use crate::Reply;

/// Collections within each other, at most.
const DEPTH_MAX: usize = 128;
/// A line is a status, an error, a number or a length.
const LINE_LEN_MAX: usize = 1 << 20;
/// Bytes that were decoded are dropped when they are at least so many.
const DROP_BYTES_MIN: usize = 64 * 1024;
/// A text may have so many bytes: far more than any server's `proto-max-bulk-len`.
const TEXT_LEN_MAX: u64 = 1 << 40;

/// Decodes replies. An error is for good: where the next reply begins is not known.
#[derive(Debug, Default)]
pub struct ReplyDecoder {
    buffer: Vec<u8>,
    /// Where what is not decoded begins.
    at: usize,
    /// Bytes from `at` in which there is no end of a line.
    searched: usize,
    /// The collections that are not complete, the outermost first.
    open: Vec<Open>,
}

/// A collection of which elements are missing.
#[derive(Debug)]
struct Open {
    kind: Kind,
    /// Elements that are missing: a pair is two.
    missing: u64,
    items: Vec<Reply>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Array,
    Set,
    Map,
    Push,
    /// The reply that it is about follows, and counts as its last element.
    Attribute,
}

/// What stands at a place of the buffer.
enum Item {
    Whole(Reply),
    Begins(Kind, u64),
}

impl ReplyDecoder {
    /// Adds what has come.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.at >= DROP_BYTES_MIN && self.at * 2 >= self.buffer.len() {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next reply, or nothing if its end has not come.
    ///
    /// # Errors
    /// What came is no reply, said in words.
    pub fn decode(&mut self) -> Result<Option<Reply>, String> {
        while let Some(item) = self.item()? {
            let done = match item {
                Item::Whole(reply) => self.add(reply),
                Item::Begins(kind, count) => self.begin(kind, count)?,
            };
            if done.is_some() {
                return Ok(done);
            }
        }
        Ok(None)
    }

    /// The bytes that were fed and not decoded: what follows a reply may be no reply.
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Takes so many of these bytes away.
    ///
    /// # Panics
    /// There are fewer.
    pub fn skip(&mut self, bytes: usize) {
        assert!(bytes <= self.rest().len(), "more bytes are skipped than there are");
        self.at += bytes;
        self.searched = 0;
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        }
    }

    /// Whether a reply has begun and not ended.
    pub fn is_within_reply(&self) -> bool {
        !self.open.is_empty() || !self.rest().is_empty()
    }

    fn begin(&mut self, kind: Kind, count: u64) -> Result<Option<Reply>, String> {
        if self.open.len() == DEPTH_MAX {
            return Err(format!("collections are nested more than {DEPTH_MAX} deep"));
        }
        let missing = match kind {
            Kind::Map => count.checked_mul(2),
            Kind::Attribute => count.checked_mul(2).and_then(|n| n.checked_add(1)),
            _ => Some(count),
        };
        let missing = missing.ok_or("a length is out of range")?;
        let open = Open { kind, missing, items: Vec::new() };
        if missing == 0 {
            return Ok(self.add(open.close()));
        }
        self.open.push(open);
        Ok(None)
    }

    /// Puts a reply into the collection that waits for it, and that into the next if it is complete.
    fn add(&mut self, mut reply: Reply) -> Option<Reply> {
        while let Some(mut open) = self.open.pop() {
            open.items.push(reply);
            open.missing -= 1;
            if open.missing > 0 {
                self.open.push(open);
                return None;
            }
            reply = open.close();
        }
        Some(reply)
    }

    fn item(&mut self) -> Result<Option<Item>, String> {
        let Some(line) = self.line()? else { return Ok(None) };
        let kind = self.buffer[self.at];
        let text = &self.buffer[line.clone()];
        let end = line.end + 2;
        let item = match kind {
            b'$' | b'=' | b'!' => return self.text(kind, line),
            b'+' => Item::Whole(Reply::Status(text.to_vec())),
            b'-' => Item::Whole(Reply::Error(text.to_vec())),
            b':' => Item::Whole(Reply::Integer(integer(text)?)),
            b'_' => Item::Whole(Reply::Null),
            b',' => Item::Whole(Reply::Double(text.to_vec())),
            b'(' => Item::Whole(Reply::BigNumber(text.to_vec())),
            b'#' if text == b"t" || text == b"f" => Item::Whole(Reply::Boolean(text == b"t")),
            b'*' => collection(Kind::Array, text)?,
            b'~' => collection(Kind::Set, text)?,
            b'%' => collection(Kind::Map, text)?,
            b'>' => collection(Kind::Push, text)?,
            b'|' => collection(Kind::Attribute, text)?,
            other => return Err(format!("a reply begins with '{}'", (other as char).escape_default())),
        };
        self.skip(end - self.at);
        Ok(Some(item))
    }

    /// A text with its length before it.
    fn text(&mut self, kind: u8, line: Range<usize>) -> Result<Option<Item>, String> {
        let len = integer(&self.buffer[line.clone()])?;
        let begin = line.end + 2;
        if len == -1 {
            self.skip(begin - self.at);
            return Ok(Some(Item::Whole(Reply::Null)));
        }
        let len =
            u64::try_from(len).ok().filter(|&len| len <= TEXT_LEN_MAX).ok_or("a length is out of range")? as usize;
        let Some(text) = self.buffer.get(begin..begin + len + 2) else {
            // The line is found again when more has come, at its place.
            self.searched = line.end - self.at;
            return Ok(None);
        };
        let text = text.strip_suffix(b"\r\n").ok_or("a text does not end where its length says")?;
        let reply = match (kind, text) {
            (b'!', _) => Reply::Error(text.to_vec()),
            (b'=', [a, b, c, b':', text @ ..]) => Reply::Verbatim { format: [*a, *b, *c], text: text.to_vec() },
            (b'=', _) => return Err("a verbatim text has no format".into()),
            _ => Reply::Bulk(text.to_vec()),
        };
        self.skip(begin + len + 2 - self.at);
        Ok(Some(Item::Whole(reply)))
    }

    /// Where the line at the place stands, without its first byte and its end; nothing if its end has not come.
    fn line(&mut self) -> Result<Option<Range<usize>>, String> {
        let from = self.at + self.searched;
        let rest = &self.buffer[from..];
        let Some(found) = rest.windows(2).position(|two| two == b"\r\n") else {
            let waiting = self.buffer.len() - self.at;
            self.searched = waiting.saturating_sub(1);
            return if waiting > LINE_LEN_MAX { Err("a line is too long".into()) } else { Ok(None) };
        };
        if from + found == self.at {
            return Err("an empty line stands where a reply should begin".into());
        }
        Ok(Some(self.at + 1..from + found))
    }
}

impl Open {
    fn close(mut self) -> Reply {
        match self.kind {
            Kind::Array => Reply::Array(self.items),
            Kind::Set => Reply::Set(self.items),
            Kind::Push => Reply::Push(self.items),
            Kind::Map => Reply::Map(paired(self.items)),
            Kind::Attribute => {
                let reply = self.items.pop().unwrap_or(Reply::Null);
                Reply::Attributed { attributes: paired(self.items), reply: Box::new(reply) }
            }
        }
    }
}

fn paired(items: Vec<Reply>) -> Vec<(Reply, Reply)> {
    let mut items = items.into_iter();
    let mut pairs = Vec::with_capacity(items.len() / 2);
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        pairs.push((key, value));
    }
    pairs
}

fn collection(kind: Kind, text: &[u8]) -> Result<Item, String> {
    match integer(text)? {
        -1 => Ok(Item::Whole(Reply::Null)),
        count => Ok(Item::Begins(kind, u64::try_from(count).map_err(|_| "a length is out of range")?)),
    }
}

fn integer(text: &[u8]) -> Result<i64, String> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("'{}' is no number", text.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(text.as_bytes().to_vec())
    }

    /// All replies of `bytes`, which come in pieces of `step`.
    fn decode(bytes: &[u8], step: usize) -> Result<Vec<Reply>, String> {
        let (mut decoder, mut replies) = (ReplyDecoder::default(), Vec::new());
        for piece in bytes.chunks(step) {
            decoder.feed(piece);
            while let Some(reply) = decoder.decode()? {
                replies.push(reply);
            }
        }
        Ok(replies)
    }

    #[test]
    fn every_kind_in_pieces_of_every_size() {
        let wire = b"+OK\r\n-ERR no\r\n:-7\r\n$3\r\na\rb\r\n$-1\r\n*-1\r\n_\r\n,1.50\r\n#t\r\n(123456789012345678901\r\n=7\r\ntxt:abc\r\n\
            *2\r\n$0\r\n\r\n*1\r\n:1\r\n~1\r\n+x\r\n%1\r\n+k\r\n*0\r\n>2\r\n+message\r\n+m\r\n|1\r\n+a\r\n:1\r\n:2\r\n%0\r\n!3\r\nbad\r\n";
        let expected = vec![
            Reply::Status(b"OK".to_vec()),
            Reply::Error(b"ERR no".to_vec()),
            Reply::Integer(-7),
            bulk("a\rb"),
            Reply::Null,
            Reply::Null,
            Reply::Null,
            Reply::Double(b"1.50".to_vec()),
            Reply::Boolean(true),
            Reply::BigNumber(b"123456789012345678901".to_vec()),
            Reply::Verbatim { format: *b"txt", text: b"abc".to_vec() },
            Reply::Array(vec![bulk(""), Reply::Array(vec![Reply::Integer(1)])]),
            Reply::Set(vec![Reply::Status(b"x".to_vec())]),
            Reply::Map(vec![(Reply::Status(b"k".to_vec()), Reply::Array(vec![]))]),
            Reply::Push(vec![Reply::Status(b"message".to_vec()), Reply::Status(b"m".to_vec())]),
            Reply::Attributed {
                attributes: vec![(Reply::Status(b"a".to_vec()), Reply::Integer(1))],
                reply: Box::new(Reply::Integer(2)),
            },
            Reply::Map(vec![]),
            Reply::Error(b"bad".to_vec()),
        ];
        for step in 1..=wire.len() {
            assert_eq!(decode(wire, step), Ok(expected.clone()), "pieces of {step}");
        }
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for wire in [
            "hello\r\n",
            "\r\n",
            ":x\r\n",
            ":\r\n",
            "$-2\r\n",
            "*-2\r\n",
            "$3\r\nabcde\r\n",
            "=3\r\nabc\r\n",
            "#x\r\n",
            "$99999999999999999999\r\n",
            "%9223372036854775807\r\n:1\r\n%9223372036854775808\r\n",
            "$9000000000000000000\r\n",
        ] {
            assert!(decode(wire.as_bytes(), 1).is_err(), "{wire:?}");
            assert!(decode(wire.as_bytes(), wire.len()).is_err(), "{wire:?}");
        }
        assert!(decode(&vec![b'+'; LINE_LEN_MAX + 2], 4096).is_err(), "a line without an end");
    }

    #[test]
    fn a_length_reserves_nothing_and_depth_is_bounded() {
        assert_eq!(decode(b"*9223372036854775807\r\n%4611686018427387903\r\n$1000000000000\r\n", 7), Ok(vec![]));
        assert!(decode(&b"*1\r\n".repeat(DEPTH_MAX), 5).is_ok());
        assert!(decode(&b"*1\r\n".repeat(DEPTH_MAX + 1), 5).is_err());
    }

    #[test]
    fn what_follows_a_reply_is_there_as_it_came() {
        let mut decoder = ReplyDecoder::default();
        decoder.feed(b"+FULLRESYNC x 1\r\n$EOF:");
        assert_eq!(decoder.decode(), Ok(Some(Reply::Status(b"FULLRESYNC x 1".to_vec()))));
        assert_eq!(decoder.rest(), b"$EOF:");
        decoder.skip(5);
        assert!(!decoder.is_within_reply());
    }
}
