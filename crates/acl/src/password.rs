//! Passwords, of which only the SHA-256 is kept.

use std::fmt;

use sha2::{Digest, Sha256};

/// The SHA-256 of a password.
#[derive(Clone, Copy)]
pub struct PasswordHash([u8; 32]);

impl PasswordHash {
    pub fn of(clear: &[u8]) -> PasswordHash {
        PasswordHash(Sha256::digest(clear).into())
    }

    /// From 64 hexadecimal digits in lower case; nothing else is one.
    pub fn parse(digits: &[u8]) -> Option<PasswordHash> {
        let digits: &[u8; 64] = digits.try_into().ok()?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(PasswordHash(bytes))
    }
}

fn digit(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    }
}

/// It takes as long for a wrong password as for the right one.
impl PartialEq for PasswordHash {
    fn eq(&self, other: &PasswordHash) -> bool {
        let difference = self.0.iter().zip(&other.0).fold(0, |all, (a, b)| all | (a ^ b));
        // Else the compiler may find out that one byte is enough to say no.
        std::hint::black_box(difference) == 0
    }
}

impl Eq for PasswordHash {}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The digits are a secret nearly as good as the password.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_PASS: &str = "d74ff0ee8da3b9806b18c877dbf29bbde50b5bd8e4dad7a3a725000feb82e8f1";

    #[test]
    fn a_hash_is_64_digits_in_lower_case() {
        assert_eq!(PasswordHash::of(b"pass").to_string(), OF_PASS);
        assert_eq!(PasswordHash::parse(OF_PASS.as_bytes()), Some(PasswordHash::of(b"pass")));
        assert_ne!(PasswordHash::of(b"pass"), PasswordHash::of(b"pasS"));
        for wrong in [&OF_PASS[1..], &OF_PASS.to_uppercase(), &OF_PASS.replace('d', "g"), "", &[OF_PASS, "0"].concat()]
        {
            assert_eq!(PasswordHash::parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert!(!format!("{:?}", PasswordHash::of(b"pass")).contains("d74f"));
    }
}
