//! Ziplists: how Redis before 7.0 packed small lists, hashes and sorted sets. Read only; nothing here writes one.
//!
//! ```text
//! total bytes: u32 | offset of the last entry: u32 | entries: u16, 65535 = count them | entry ... | 0xFF
//! entry: length of the entry before (u8, or 0xFE and u32) | encoding | data
//! encoding: 00pppppp            string of p bytes
//!           01pppppp q          string of pq bytes, big-endian
//!           10000000 qqqq       string of q bytes, big-endian
//!           C0 D0 E0 F0 FE      integer of 16, 32, 64, 24 or 8 bits, little-endian
//!           F1 to FD            the integer 0 to 12
//! ```

use rivulet_keyspace::value::Elem;

const HEADER: usize = 10;
const END: u8 = 0xff;

/// Calls `each` with every element, in order. `None` for bytes that are not a whole and consistent ziplist, and as soon as `each` says `None`;
/// elements before the flaw have been handed out by then.
pub fn decode(bytes: &[u8], mut each: impl FnMut(Elem<'_>) -> Option<()>) -> Option<()> {
    let (&end, body) = bytes.split_last()?;
    let header = body.get(..HEADER)?;
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
    let count = u16::from_le_bytes([header[8], header[9]]);
    if end != END || word(0) != bytes.len() {
        return None;
    }
    let mut at = HEADER;
    let mut previous = 0; // length of the entry before
    let mut seen = 0usize;
    while at < body.len() {
        let (before, encoding_at) = match body[at] {
            END => return None,
            0xfe => (u32::from_le_bytes(field(body, at + 1)?) as usize, at + 5),
            short => (short as usize, at + 1),
        };
        if before != previous {
            return None;
        }
        let (elem, next) = element(body, encoding_at)?;
        each(elem)?;
        previous = next - at;
        at = next;
        seen += 1;
    }
    let last = at - previous;
    (seen == 0 || last == word(4)).then_some(())?;
    (count == u16::MAX || usize::from(count) == seen).then_some(())
}

fn field<const N: usize>(body: &[u8], at: usize) -> Option<[u8; N]> {
    body.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The element whose encoding is at `at`, and where it ends.
fn element(body: &[u8], at: usize) -> Option<(Elem<'_>, usize)> {
    let string = |from: usize, len: usize| {
        let to = from.checked_add(len)?;
        Some((Elem::Bytes(body.get(from..to)?), to))
    };
    let int = |n: i64, bytes: usize| Some((Elem::Int(n), at + 1 + bytes));
    match *body.get(at)? {
        b @ 0x00..=0x3f => string(at + 1, b as usize),
        b @ 0x40..=0x7f => string(at + 2, (b as usize & 0x3f) << 8 | *body.get(at + 1)? as usize),
        0x80 => string(at + 5, u32::from_be_bytes(field(body, at + 1)?) as usize),
        0xc0 => int(i64::from(i16::from_le_bytes(field(body, at + 1)?)), 2),
        0xd0 => int(i64::from(i32::from_le_bytes(field(body, at + 1)?)), 4),
        0xe0 => int(i64::from_le_bytes(field(body, at + 1)?), 8),
        0xf0 => {
            let b: [u8; 3] = field(body, at + 1)?;
            int(i64::from(i32::from_le_bytes([0, b[0], b[1], b[2]]) >> 8), 3)
        }
        0xfe => int(i64::from(i8::from_le_bytes(field(body, at + 1)?)), 1),
        b @ 0xf1..=0xfd => int(i64::from(b) - 0xf1, 0),
        _ => None,
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A ziplist of entries whose encoding and data are given.
    pub fn ziplist(entries: &[&[u8]]) -> Vec<u8> {
        let mut body = Vec::new();
        let (mut previous, mut tail) = (0usize, HEADER);
        for entry in entries {
            tail = HEADER + body.len();
            let start = body.len();
            if previous < 254 {
                body.push(previous as u8);
            } else {
                body.push(0xfe);
                body.extend_from_slice(&(previous as u32).to_le_bytes());
            }
            body.extend_from_slice(entry);
            previous = body.len() - start;
        }
        let mut out = Vec::new();
        out.extend_from_slice(&((HEADER + body.len() + 1) as u32).to_le_bytes());
        out.extend_from_slice(&(tail as u32).to_le_bytes());
        out.extend_from_slice(&(entries.len() as u16).to_le_bytes());
        out.extend_from_slice(&body);
        out.push(END);
        out
    }

    fn all(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut out = Vec::new();
        decode(bytes, |elem| {
            out.push(elem.to_vec());
            Some(())
        })?;
        Some(out)
    }

    #[test]
    fn every_encoding() {
        let long = [&[0x41, 0x00][..], &[b'm'; 256]].concat();
        let huge = [&[0x80, 0, 0, 0x40, 0][..], &[b'h'; 16384]].concat();
        let bytes = ziplist(&[
            b"\x02ab",
            &long,
            &huge,
            b"\xc0\xff\x7f",
            b"\xd0\x00\x00\x00\x80",
            b"\xe0\x01\x00\x00\x00\x00\x00\x00\x80",
            b"\xf0\x00\x00\x80",
            b"\xfe\x80",
            b"\xf1",
            b"\xfd",
            b"\x00",
        ]);
        let expected: Vec<Vec<u8>> = vec![
            b"ab".to_vec(),
            vec![b'm'; 256],
            vec![b'h'; 16384],
            b"32767".to_vec(),
            b"-2147483648".to_vec(),
            b"-9223372036854775807".to_vec(),
            b"-8388608".to_vec(),
            b"-128".to_vec(),
            b"0".to_vec(),
            b"12".to_vec(),
            Vec::new(),
        ];
        assert_eq!(all(&bytes), Some(expected));
    }

    #[test]
    fn damage_is_found() {
        // The example in the description of the format: "2" and "5".
        let good = [0x0f, 0, 0, 0, 0x0c, 0, 0, 0, 2, 0, 0, 0xf3, 2, 0xf6, 0xff];
        assert_eq!(all(&good), Some(vec![b"2".to_vec(), b"5".to_vec()]));
        for cut in 0..good.len() {
            assert_eq!(all(&good[..cut]), None, "cut at {cut}");
        }
        for (at, byte) in [(0, 14), (4, 10), (8, 3), (10, 1), (11, 0xff), (11, 0x02), (12, 3), (13, 0x01), (14, 0xfe)] {
            let mut bad = good;
            bad[at] = byte;
            assert_eq!(all(&bad), None, "byte {at} is {byte:x}");
        }
    }
}
