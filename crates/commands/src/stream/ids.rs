//! Ids as arguments, and ids and entries as replies.

use rivulet_keyspace::value::stream::{Entry, Id};
use rivulet_resp::{Args, Reply};

use crate::fail::Fail;

const INVALID: Fail = Fail::new("ERR Invalid stream ID specified as stream command argument");
/// A longer text is no id, whatever it says.
const TEXT_LEN_MAX: usize = 127;

/// A part of an id: digits, before which Redis takes blanks, a plus and zeros.
fn part(text: &[u8]) -> Option<u64> {
    let digits = text.trim_ascii_start();
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits.iter().try_fold(0u64, |n, digit| n.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

/// `ms` or `ms-seq`; `seq` is what is taken when none is given.
pub fn strict(text: &[u8], seq: u64) -> Result<Id, Fail> {
    if text.len() > TEXT_LEN_MAX {
        return Err(INVALID);
    }
    let parsed = match text.iter().position(|&c| c == b'-') {
        Some(dash) => part(&text[..dash]).zip(part(&text[dash + 1..])),
        None => part(text).map(|ms| (ms, seq)),
    };
    parsed.map(|(ms, seq)| Id::new(ms, seq)).ok_or(INVALID)
}

/// The id of a new entry as its command gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// `*`
    Nothing,
    /// `ms-*`
    Ms(u64),
    Whole(Id),
}

/// What XADD takes for an id.
pub fn given(text: &[u8]) -> Result<Given, Fail> {
    match text {
        b"*" => Ok(Given::Nothing),
        [ms @ .., b'-', b'*'] if text.len() <= TEXT_LEN_MAX => part(ms).map(Given::Ms).ok_or(INVALID),
        _ => strict(text, 0).map(Given::Whole),
    }
}

/// As [`strict`], or `-` and `+` for the lowest and the highest.
pub fn lenient(text: &[u8], seq: u64) -> Result<Id, Fail> {
    match text {
        b"-" => Ok(Id::MIN),
        b"+" => Ok(Id::MAX),
        _ => strict(text, seq),
    }
}

/// An end of a range: with `(` before it the id itself is left out.
fn bound(text: &[u8], seq: u64) -> Result<(Id, bool), Fail> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => Ok((strict(id, seq)?, true)),
        _ => Ok((lenient(text, seq)?, false)),
    }
}

/// Where a range begins.
pub fn start(text: &[u8]) -> Result<Id, Fail> {
    match bound(text, 0)? {
        (id, false) => Ok(id),
        (id, true) => id.next().ok_or(Fail::new("ERR invalid start ID for the interval")),
    }
}

/// Where a range ends, that id included.
pub fn end(text: &[u8]) -> Result<Id, Fail> {
    match bound(text, u64::MAX)? {
        (id, false) => Ok(id),
        (id, true) => id.prev().ok_or(Fail::new("ERR invalid end ID for the interval")),
    }
}

/// All arguments from `first` on as ids.
pub fn all(args: Args<'_>, first: usize) -> Result<Vec<Id>, Fail> {
    args.iter().skip(first).map(|text| strict(text, 0)).collect()
}

/// An id as an argument of a command.
pub fn text(id: Id) -> Vec<u8> {
    id.with_text(|text| text.to_vec())
}

/// Replies with an id.
#[inline]
pub fn reply_id(reply: &mut Reply<'_>, id: Id) {
    id.with_text(|text| reply.bulk(text));
}

/// Replies with an entry: its id, and its names and values.
#[inline]
pub fn reply_entry(reply: &mut Reply<'_>, entry: &Entry<'_>) {
    reply.array(2);
    reply_id(reply, entry.id);
    let fields = entry.fields();
    reply.array(2 * fields.len());
    for (name, value) in fields {
        name.with(|name| reply.bulk(name));
        value.with(|value| reply.bulk(value));
    }
}

/// Replies with entries, at most `count` of them; 0 is no limit.
pub fn reply_entries<'a>(reply: &mut Reply<'_>, entries: impl Iterator<Item = Entry<'a>>, count: usize) {
    let begin = reply.begin();
    let mut replied = 0;
    for entry in entries.take(if count == 0 { usize::MAX } else { count }) {
        reply_entry(reply, &entry);
        replied += 1;
    }
    reply.end(begin, replied);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_id() {
        for (text, want) in [
            ("5-3", Some(Id::new(5, 3))),
            ("5", Some(Id::new(5, 9))),
            ("007-+1", Some(Id::new(7, 1))),
            ("18446744073709551615-18446744073709551615", Some(Id::MAX)),
            ("18446744073709551616-1", None),
            ("", None),
            ("-", None),
            ("+", None),
            ("5-", None),
            ("-5", None),
            ("5-3-1", None),
            ("a", None),
        ] {
            assert_eq!(strict(text.as_bytes(), 9).ok(), want, "{text}");
        }
        assert!(strict(&[b'0'; 128], 0).is_err() && strict(&[b'0'; 127], 0).is_ok());
    }

    #[test]
    fn ids_of_new_entries() {
        assert_eq!(given(b"*"), Ok(Given::Nothing));
        assert_eq!(given(b"5-*"), Ok(Given::Ms(5)));
        assert_eq!(given(b"5"), Ok(Given::Whole(Id::new(5, 0))));
        for text in ["-*", "*-*", "5-**", "+", "5-*1"] {
            assert!(given(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn ends_of_ranges() {
        assert_eq!((start(b"-"), end(b"+")), (Ok(Id::MIN), Ok(Id::MAX)));
        assert_eq!((start(b"5"), end(b"5")), (Ok(Id::new(5, 0)), Ok(Id::new(5, u64::MAX))));
        assert_eq!((start(b"(5-1"), end(b"(5-0")), (Ok(Id::new(5, 2)), Ok(Id::new(4, u64::MAX))));
        assert!(start(b"(18446744073709551615-18446744073709551615").is_err());
        assert!(end(b"(0-0").is_err() && start(b"(").is_err() && start(b"(-").is_err());
    }
}
