//! Zipmaps: how Redis before 2.6 packed small hashes. Read only.
//!
//! ```text
//! pairs: u8, 254 = count them | pair ... | 0xFF
//! pair: length | field | length | free: u8 | value | as many unused bytes as `free` says
//! length: u8 up to 253, or 0xFE and u32
//! ```

const END: u8 = 0xff;
const BIG: u8 = 0xfe;

/// Calls `each` with every field and value, in order. `None` for bytes that are not a whole and consistent zipmap, or that hold no pair, and as
/// soon as `each` says `None`; pairs before the flaw have been handed out by then.
pub fn decode(bytes: &[u8], mut each: impl FnMut(&[u8], &[u8]) -> Option<()>) -> Option<()> {
    let (&end, body) = bytes.split_last()?;
    let (&count, mut rest) = body.split_first()?;
    if end != END {
        return None;
    }
    let mut seen = 0usize;
    while !rest.is_empty() {
        let (len, tail) = length(rest)?;
        let (field, tail) = tail.split_at_checked(len)?;
        let (len, tail) = length(tail)?;
        let (&free, tail) = tail.split_first()?;
        let (value, tail) = tail.split_at_checked(len)?;
        rest = tail.get(free as usize..)?;
        each(field, value)?;
        seen += 1;
    }
    (seen > 0 && (count >= BIG || usize::from(count) == seen)).then_some(())
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    match first {
        END => None,
        BIG => {
            let (len, rest) = rest.split_first_chunk::<4>()?;
            Some((u32::from_le_bytes(*len) as usize, rest))
        }
        len => Some((len as usize, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut out = Vec::new();
        decode(bytes, |field, value| {
            out.push((field.to_vec(), value.to_vec()));
            Some(())
        })?;
        Some(out)
    }

    #[test]
    fn pairs_with_free_bytes_and_big_lengths() {
        let mut bytes = b"\x03\x03foo\x02\x01hi.\x05hello\x05\x00world\x01b\xfe".to_vec();
        bytes.extend_from_slice(&300u32.to_le_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&[b'x'; 300]);
        bytes.push(END);
        let pairs = all(&bytes).unwrap();
        assert_eq!(pairs[0], (b"foo".to_vec(), b"hi".to_vec()));
        assert_eq!(pairs[1], (b"hello".to_vec(), b"world".to_vec()));
        assert_eq!(pairs[2], (b"b".to_vec(), vec![b'x'; 300]));
        for cut in 0..bytes.len() {
            assert_eq!(all(&bytes[..cut]), None, "cut at {cut}");
        }
        bytes[0] = 254;
        assert_eq!(all(&bytes).unwrap().len(), 3);
        bytes[0] = 4;
        assert_eq!(all(&bytes), None);
        assert_eq!(all(b"\x00\xff"), None);
    }
}
