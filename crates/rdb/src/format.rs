//! The bytes of an RDB file by name, and the codes of lengths, integers and doubles in it.
//!
//! Drawn in `docs/rdb.md`. This module knows nothing of entries or values.

/// The shortest beginning that tells a snapshot from commands.
pub const MAGIC_BYTES: usize = 6;

/// Whether a file that begins so is a snapshot: of Redis, or of Valkey from 9.0 on.
pub fn is_snapshot(head: &[u8]) -> bool {
    head.starts_with(b"REDIS") || head.starts_with(b"VALKEY")
}

/// The byte before an entry says how its value is encoded.
pub mod types {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    /// Scores as decimal text.
    pub const ZSET: u8 = 3;
    pub const HASH: u8 = 4;
    /// Scores as binary doubles.
    pub const ZSET_2: u8 = 5;
    pub const MODULE: u8 = 6;
    pub const MODULE_2: u8 = 7;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    pub const LIST_QUICKLIST: u8 = 14;
    pub const STREAM_LISTPACKS: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    pub const LIST_QUICKLIST_2: u8 = 18;
    pub const STREAM_LISTPACKS_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    pub const STREAM_LISTPACKS_3: u8 = 21;
    /// Fields with deadlines, in Redis 7.4's release candidates.
    pub const HASH_METADATA_PRE_GA: u8 = 22;
    /// With Valkey 9's magic: fields, values and deadlines in Unix ms, of which -1 is none.
    pub const VALKEY_HASH_2: u8 = 22;
    pub const HASH_LISTPACK_EX_PRE_GA: u8 = 23;
    /// The earliest deadline in Unix ms, then of each field the deadline counted from that plus 1, or 0 for none, the field and its value.
    pub const HASH_METADATA: u8 = 24;
    /// The earliest deadline, then a listpack of field, value and deadline in Unix ms, or 0 for none.
    pub const HASH_LISTPACK_EX: u8 = 25;
}

/// The byte where a type could be says that something else than an entry follows.
pub mod opcodes {
    /// Valkey 9: the state of a slot that is being imported.
    pub const SLOT_IMPORT: u8 = 0xf3;
    pub const SLOT_INFO: u8 = 0xf4;
    pub const FUNCTION_2: u8 = 0xf5;
    /// Function libraries of the release candidates of Redis 7.0.
    pub const FUNCTION_PRE_GA: u8 = 0xf6;
    pub const MODULE_AUX: u8 = 0xf7;
    pub const IDLE: u8 = 0xf8;
    pub const FREQ: u8 = 0xf9;
    pub const AUX: u8 = 0xfa;
    pub const RESIZE_DB: u8 = 0xfb;
    pub const EXPIRE_MS: u8 = 0xfc;
    pub const EXPIRE_S: u8 = 0xfd;
    pub const SELECT_DB: u8 = 0xfe;
    pub const EOF: u8 = 0xff;
}

/// What precedes each item of a module's value.
pub mod module_opcodes {
    pub const EOF: u64 = 0;
    pub const SINT: u64 = 1;
    pub const UINT: u64 = 2;
    pub const FLOAT: u64 = 3;
    pub const DOUBLE: u64 = 4;
    pub const STRING: u64 = 5;
}

/// The forms of a quicklist's node.
pub mod containers {
    pub const PLAIN: u64 = 1;
    pub const PACKED: u64 = 2;
}

/// The two top bits `11` of a length announce a string of another form; these are the six low bits.
pub const ENCODING_INT8: u8 = 0;
pub const ENCODING_INT16: u8 = 1;
pub const ENCODING_INT32: u8 = 2;
pub const ENCODING_LZF: u8 = 3;

/// The greatest version of Redis's numbering that is read.
pub const REDIS_VERSION_MAX: u32 = 12;
/// Valkey left Redis's numbering here, and its files begin with `VALKEY` from here on.
pub const VALKEY_VERSION: u32 = 80;

/// A deadline as files have it: -1 means that there is none; other negative times are long past.
#[inline]
pub fn deadline(ms: i64) -> Option<u64> {
    (ms != -1).then(|| ms.try_into().unwrap_or(0))
}

/// Is this the type of a value, known to any version?
pub fn is_value_type(byte: u8) -> bool {
    byte <= types::HASH_LISTPACK_EX && byte != 8
}

/// The name that the checker prints for a type.
pub fn type_name(byte: u8) -> &'static str {
    match byte {
        types::STRING => "string",
        types::LIST => "list-linked",
        types::SET => "set-hashtable",
        types::ZSET => "zset-v1",
        types::HASH => "hash-hashtable",
        types::ZSET_2 => "zset-v2",
        types::MODULE => "module-value",
        types::MODULE_2 => "module-value-v2",
        types::HASH_ZIPMAP => "hash-zipmap",
        types::LIST_ZIPLIST => "list-ziplist",
        types::SET_INTSET => "set-intset",
        types::ZSET_ZIPLIST => "zset-ziplist",
        types::HASH_ZIPLIST => "hash-ziplist",
        types::LIST_QUICKLIST => "quicklist",
        types::STREAM_LISTPACKS => "stream",
        types::HASH_LISTPACK => "hash-listpack",
        types::ZSET_LISTPACK => "zset-listpack",
        types::LIST_QUICKLIST_2 => "quicklist-v2",
        types::STREAM_LISTPACKS_2 => "stream-v2",
        types::SET_LISTPACK => "set-listpack",
        types::STREAM_LISTPACKS_3 => "stream-v3",
        types::HASH_METADATA_PRE_GA => "hash-hashtable-md-pre-release",
        types::HASH_LISTPACK_EX_PRE_GA => "hash-listpack-md-pre-release",
        types::HASH_METADATA => "hash-hashtable-md",
        types::HASH_LISTPACK_EX => "hash-listpack-md",
        _ => "unknown",
    }
}

/// What a type that can't be loaded holds, in a user's words.
pub fn type_noun(byte: u8) -> &'static str {
    match byte {
        types::MODULE | types::MODULE_2 => "a module's value",
        types::HASH_METADATA_PRE_GA | types::HASH_LISTPACK_EX_PRE_GA => {
            "a hash whose fields expire, of a release candidate"
        }
        _ => "a value of an unknown kind",
    }
}

/// Appends a length.
#[inline]
pub fn push_len(out: &mut Vec<u8>, len: u64) {
    if len < 1 << 6 {
        out.push(len as u8);
    } else if len < 1 << 14 {
        out.extend_from_slice(&[0x40 | (len >> 8) as u8, len as u8]);
    } else if let Ok(len) = u32::try_from(len) {
        let b = len.to_be_bytes();
        out.extend_from_slice(&[0x80, b[0], b[1], b[2], b[3]]);
    } else {
        out.push(0x81);
        out.extend_from_slice(&len.to_be_bytes());
    }
}

/// Appends a string that is an integer of at most 32 bits in its short form; says `false` and appends nothing for a greater one.
#[inline]
pub fn push_int(out: &mut Vec<u8>, n: i64) -> bool {
    if let Ok(n) = i8::try_from(n) {
        out.extend_from_slice(&[0xc0 | ENCODING_INT8, n as u8]);
    } else if let Ok(n) = i16::try_from(n) {
        let b = n.to_le_bytes();
        out.extend_from_slice(&[0xc0 | ENCODING_INT16, b[0], b[1]]);
    } else if let Ok(n) = i32::try_from(n) {
        let b = n.to_le_bytes();
        out.extend_from_slice(&[0xc0 | ENCODING_INT32, b[0], b[1], b[2], b[3]]);
    } else {
        return false;
    }
    true
}

/// The double in a score of the old text form; the lengths 253 to 255 (not a number, +inf, -inf) are the reader's business.
pub fn parse_double(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.trim_start().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_at_each_boundary() {
        for (len, bytes) in [
            (0, &[0x00][..]),
            (63, &[0x3f]),
            (64, &[0x40, 0x40]),
            (16383, &[0x7f, 0xff]),
            (16384, &[0x80, 0, 0, 0x40, 0]),
            (0xffff_ffff, &[0x80, 0xff, 0xff, 0xff, 0xff]),
            (0x1_0000_0000, &[0x81, 0, 0, 0, 1, 0, 0, 0, 0]),
        ] {
            let mut out = Vec::new();
            push_len(&mut out, len);
            assert_eq!(out, bytes, "{len}");
        }
    }

    #[test]
    fn integers_at_each_boundary() {
        for (n, bytes) in [
            (127, &[0xc0, 0x7f][..]),
            (-128, &[0xc0, 0x80]),
            (128, &[0xc1, 0x80, 0x00]),
            (-129, &[0xc1, 0x7f, 0xff]),
            (32768, &[0xc2, 0x00, 0x80, 0, 0]),
            (i64::from(i32::MIN), &[0xc2, 0, 0, 0, 0x80]),
            (1 << 31, &[]),
        ] {
            let mut out = Vec::new();
            assert_eq!(push_int(&mut out, n), !bytes.is_empty());
            assert_eq!(out, bytes, "{n}");
        }
    }

    #[test]
    fn doubles_as_text() {
        assert_eq!(parse_double(b"1.5"), Some(1.5));
        assert_eq!(parse_double(b" -2e10"), Some(-2e10));
        assert_eq!(parse_double(b"0.10000000000000001"), Some(0.1));
        assert_eq!(parse_double(b""), None);
        assert_eq!(parse_double(b"1,5"), None);
        assert_eq!(parse_double(b"\xff"), None);
    }
}
