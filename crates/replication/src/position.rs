//! Where a node stands in a replication history: an id and a number of bytes.
//!
//! Offsets are byte counts: a node at offset 7 has seven bytes and wants the eighth. On the wire PSYNC names the
//! *number* of the wanted byte, which is one more; [`crate::psync`] is the only place that converts.

use std::fmt;

/// A point in a history: so many bytes of the stream that `id` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    pub id: ReplId,
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.id, self.offset)
    }
}

/// Names a replication history: forty lower-case hexadecimal digits. Run ids have the same shape.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplId([u8; ReplId::LEN]);

impl ReplId {
    pub const LEN: usize = 40;

    /// Stands for "no id" where a field must show one.
    pub const ZERO: ReplId = ReplId([b'0'; ReplId::LEN]);

    /// A new id from twenty random bytes.
    pub fn from_random(bytes: &[u8; 20]) -> ReplId {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut id = [0; ReplId::LEN];
        for (pair, byte) in id.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        ReplId(id)
    }

    /// Forty hexadecimal digits of either case; anything else is no id.
    pub fn parse(text: &[u8]) -> Option<ReplId> {
        let mut id: [u8; ReplId::LEN] = text.try_into().ok()?;
        id.make_ascii_lowercase();
        id.iter().all(u8::is_ascii_hexdigit).then_some(ReplId(id))
    }

    pub fn as_bytes(&self) -> &[u8; ReplId::LEN] {
        &self.0
    }

    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }
}

impl fmt::Display for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_become_digits() {
        let mut bytes = [0; 20];
        bytes[0] = 0xa5;
        bytes[19] = 0x0f;
        assert_eq!(ReplId::from_random(&bytes).as_str(), "a50000000000000000000000000000000000000f");
        assert_eq!(ReplId::from_random(&[0; 20]), ReplId::ZERO);
    }

    #[test]
    fn only_forty_digits_are_an_id() {
        let text = b"A50000000000000000000000000000000000000f";
        assert_eq!(ReplId::parse(text).unwrap().as_bytes(), &text.to_ascii_lowercase()[..]);
        assert_eq!(ReplId::parse(&text[1..]), None);
        assert_eq!(ReplId::parse(b"?"), None);
        let mut bad = *text;
        bad[3] = b'g';
        assert_eq!(ReplId::parse(&bad), None);
    }
}
