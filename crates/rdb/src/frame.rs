//! Where entries end, without looking into them: so a file can be taken apart on one thread and decoded on others.
//!
//! The commonest entry, a short string, it hands out as it lies there.
//!
//! It knows the layouts of the values that [`crate::value`] loads and judges nothing. What is not whole, and whatever is not such an entry, is no
//! frame; the reader deals with it.

use rivulet_keyspace::entry::EMBEDDED_LEN_MAX;
use rivulet_keyspace::value::elem::parse_int;

use crate::format::{self, ENCODING_INT8, ENCODING_INT16, ENCODING_INT32, ENCODING_LZF, opcodes, types};

/// How many bytes the entry takes that `bytes` begin with, if all of it is there.
pub fn entry_len(bytes: &[u8]) -> Option<usize> {
    let mut rest = Rest { bytes, at: 0 };
    rest.entry()?;
    Some(rest.at)
}

/// A string as most are: short, of one piece, and with no more said of it than when it expires.
pub struct ShortString<'a> {
    pub key: &'a [u8],
    /// At most [`EMBEDDED_LEN_MAX`] bytes, which are no integer's text.
    pub value: &'a [u8],
    pub deadline_ms: Option<u64>,
    /// How many bytes the entry takes.
    pub len: usize,
}

/// The entry that `bytes` begin with, if it is such a string.
#[inline]
pub fn short_string(bytes: &[u8]) -> Option<ShortString<'_>> {
    let mut rest = Rest { bytes, at: 0 };
    let (deadline_ms, value_type) = match rest.byte()? {
        opcodes::EXPIRE_MS => (format::deadline(i64::from_le_bytes(rest.array()?)), rest.byte()?),
        value_type => (None, value_type),
    };
    if value_type != types::STRING {
        return None;
    }
    let key = rest.short_bytes()?;
    let value = rest.short_bytes()?;
    let is_short = value.len() <= EMBEDDED_LEN_MAX && parse_int(value).is_none();
    is_short.then_some(ShortString { key, value, deadline_ms, len: rest.at })
}

/// Bytes of a stream's id, and of a time.
const ID_BYTES: u64 = 16;
const TIME_BYTES: u64 = 8;

struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    fn entry(&mut self) -> Option<()> {
        loop {
            match self.byte()? {
                opcodes::EXPIRE_MS => self.skip(8)?,
                opcodes::EXPIRE_S => self.skip(4)?,
                opcodes::IDLE => drop(self.len()?),
                opcodes::FREQ => self.skip(1)?,
                value_type => {
                    self.string()?;
                    return self.value(value_type);
                }
            }
        }
    }

    fn value(&mut self, value_type: u8) -> Option<()> {
        match value_type {
            types::STRING
            | types::HASH_ZIPMAP
            | types::LIST_ZIPLIST
            | types::SET_INTSET
            | types::ZSET_ZIPLIST
            | types::HASH_ZIPLIST
            | types::HASH_LISTPACK
            | types::ZSET_LISTPACK
            | types::SET_LISTPACK => self.string(),
            types::LIST | types::SET | types::LIST_QUICKLIST => self.each(Self::string),
            types::HASH => self.each(|rest| {
                rest.string()?;
                rest.string()
            }),
            types::ZSET => self.each(|rest| {
                rest.string()?;
                match rest.byte()? {
                    253.. => Some(()),
                    text => rest.skip(u64::from(text)),
                }
            }),
            types::ZSET_2 => self.each(|rest| {
                rest.string()?;
                rest.skip(8)
            }),
            types::LIST_QUICKLIST_2 => self.each(|rest| {
                rest.len()?;
                rest.string()
            }),
            types::STREAM_LISTPACKS | types::STREAM_LISTPACKS_2 | types::STREAM_LISTPACKS_3 => self.stream(value_type),
            _ => None,
        }
    }

    fn stream(&mut self, value_type: u8) -> Option<()> {
        let counters = value_type != types::STREAM_LISTPACKS;
        let active = value_type == types::STREAM_LISTPACKS_3;
        self.each(|rest| {
            rest.string()?;
            rest.string()
        })?;
        self.lens(if counters { 8 } else { 3 })?;
        self.each(|rest| {
            rest.string()?;
            rest.lens(if counters { 3 } else { 2 })?;
            rest.each(|rest| {
                rest.skip(ID_BYTES + TIME_BYTES)?;
                rest.lens(1)
            })?;
            rest.each(|rest| {
                rest.string()?;
                rest.skip(if active { 2 * TIME_BYTES } else { TIME_BYTES })?;
                rest.each(|rest| rest.skip(ID_BYTES))
            })
        })
    }

    fn lens(&mut self, count: usize) -> Option<()> {
        for _ in 0..count {
            self.len()?;
        }
        Some(())
    }

    fn each(&mut self, one: impl Fn(&mut Self) -> Option<()>) -> Option<()> {
        for _ in 0..self.len()? {
            one(self)?;
        }
        Some(())
    }

    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn skip(&mut self, len: u64) -> Option<()> {
        if len > (self.bytes.len() - self.at) as u64 {
            return None;
        }
        self.at += len as usize;
        Some(())
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.bytes.get(self.at..self.at + N)?.try_into().ok()?;
        self.at += N;
        Some(bytes)
    }

    /// A length after its first byte.
    #[inline]
    fn plain_len(&mut self, first: u8) -> Option<u64> {
        Some(match first {
            0..0x40 => u64::from(first),
            0x40..0x80 => u64::from(first & 0x3f) << 8 | u64::from(self.byte()?),
            0x80 => u64::from(u32::from_be_bytes(self.array()?)),
            0x81 => u64::from_be_bytes(self.array()?),
            _ => return None,
        })
    }

    #[inline]
    fn len(&mut self) -> Option<u64> {
        let first = self.byte()?;
        self.plain_len(first)
    }

    /// A string of less than 16 KiB in one piece.
    #[inline]
    fn short_bytes(&mut self) -> Option<&'a [u8]> {
        let first = self.byte()?;
        if first >= 0x80 {
            return None;
        }
        let len = self.plain_len(first)?;
        let bytes = self.bytes.get(self.at..self.at + len as usize)?;
        self.at += bytes.len();
        Some(bytes)
    }

    #[inline]
    fn string(&mut self) -> Option<()> {
        let first = self.byte()?;
        let len = if first < 0xc0 {
            self.plain_len(first)?
        } else {
            match first & 0x3f {
                ENCODING_INT8 => 1,
                ENCODING_INT16 => 2,
                ENCODING_INT32 => 4,
                ENCODING_LZF => {
                    let from = self.len()?;
                    self.len()?;
                    from
                }
                _ => return None,
            }
        };
        self.skip(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_when_all_of_it_is_there() {
        let entries: [&[u8]; 11] = [
            b"\x00\x01k\x01v",
            b"\xfc\0\0\0\0\0\0\0\0\xf8\x05\xf9\x07\x00\x01k\xc0\x05",
            b"\xfd\0\0\0\0\x02\x01k\x02\x01a\xc1\0\0",
            b"\x03\x01k\x02\x01a\xff\x01b\x011",
            b"\x04\x01k\x01\x01f\xc3\x02\x10ab",
            b"\x05\x01k\x01\x01m\0\0\0\0\0\0\0\0",
            b"\x12\x01k\x01\x01\x40\x03abc",
            b"\x0f\x01k\x01\x01i\x01l\x01\0\0\x01\x01g\0\0\0\0",
            b"\x13\x01k\0\0\0\0\0\0\0\0\0\x01\x01g\0\0\x05\x010123456789abcdef01234567\x01\x01\x01c01234567\x010123456789abcdef",
            b"\x15\x01k\0\0\0\0\0\0\0\0\0\x01\x01g\0\0\0\0\x01\x01c0123456701234567\0",
            b"\x10\x80\0\0\0\x01k\x81\0\0\0\0\0\0\0\x02ab",
        ];
        for entry in entries {
            for len in 0..entry.len() {
                assert_eq!(entry_len(&entry[..len]), None, "{} of {entry:?}", len);
            }
            assert_eq!(entry_len(entry), Some(entry.len()));
            assert_eq!(entry_len(&[entry, b"\x00\x01"].concat()), Some(entry.len()));
        }
    }

    #[test]
    fn only_short_plain_strings_are_such() {
        let found = short_string(b"\xfc\x07\0\0\0\0\0\0\0\x00\x01k\x02ab\x00").expect("it is one");
        assert_eq!((found.key, found.value, found.deadline_ms, found.len), (&b"k"[..], &b"ab"[..], Some(7), 15));
        let longest = [b"\x00\x01k\x40\xf8".as_slice(), &[b'x'; EMBEDDED_LEN_MAX]].concat();
        assert_eq!(short_string(&longest).map(|found| found.value.len()), Some(EMBEDDED_LEN_MAX));
        assert!(short_string(&longest[..longest.len() - 1]).is_none());
        let longer = [b"\x00\x01k\x40\xf9".as_slice(), &[b'x'; EMBEDDED_LEN_MAX + 1]].concat();
        for other in [
            &longer[..],
            b"\x00\x01k\x0212",
            b"\x00\x01k\xc0\x05",
            b"\xf8\x05\x00\x01k\x01v",
            b"\x02\x01k\x01\x01v",
            b"\xff",
        ] {
            assert!(short_string(other).is_none(), "{other:?}");
            assert!(other == b"\xff" || entry_len(other).is_some());
        }
    }

    #[test]
    fn what_is_no_entry_is_no_frame() {
        for bytes in
            [&b"\xff"[..], b"\xfe\0", b"\xfa\x01a\x01b", b"\x07\x01k\0\0\0\0", b"\x02\x01k\x01\xc9", b"\x00\x82k"]
        {
            assert_eq!(entry_len(&[bytes, &[0; 16]].concat()), None, "{bytes:?}");
        }
        // No count makes it run beyond the bytes.
        assert_eq!(entry_len(b"\x02\x01k\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a"), None);
        assert_eq!(entry_len(b"\x00\x81\xff\xff\xff\xff\xff\xff\xff\xff"), None);
    }
}
