//! The parts of a certificate (RFC 5280) that are looked at here, and certificates of version 1.
//!
//! `rustls` takes certificates of version 3 alone. OpenSSL 3.0 makes such of version 1 when it is not told of any extension, as in Redis's own
//! instructions (`utils/gen-test-certs.sh`), so many an installation has them. They say nothing of what they are for, so they are taken only where
//! nothing has to be said: from whoever an authority that is trusted has signed directly, without constraints.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{CertificateError, Error, RootCertStore, SignatureScheme};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
/// UTF-8, printable, teletex and IA5: strings whose characters are bytes.
const TEXTS: &[u8] = &[0x0c, 0x13, 0x14, 0x16];
/// 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The parts of a certificate, as bytes of its own.
pub struct Certificate<'a> {
    pub is_version_1: bool,
    /// What is signed, and by which algorithm, without the tag of its sequence.
    signed: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    /// Without the tag of its sequence.
    issuer: &'a [u8],
    subject: &'a [u8],
    /// Seconds since 1970.
    not_before: u64,
    not_after: u64,
    /// With its tag.
    pub public_key: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Nothing if the bytes are no certificate.
    pub fn parse(bytes: &'a [u8]) -> Option<Certificate<'a>> {
        let mut outer = Der(bytes).expect(SEQUENCE)?;
        let (signed, body) = outer.next_of(SEQUENCE)?;
        let algorithm = outer.expect(SEQUENCE)?.0;
        let signature = bits(outer.expect(BIT_STRING)?.0)?;
        let mut body = Der(body);
        let is_version_1 = body.0.first() == Some(&INTEGER);
        if !is_version_1 {
            body.expect(VERSION)?;
        }
        body.expect(INTEGER)?;
        if body.expect(SEQUENCE)?.0 != algorithm {
            return None;
        }
        let issuer = body.expect(SEQUENCE)?.0;
        let mut validity = body.expect(SEQUENCE)?;
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        let subject = body.expect(SEQUENCE)?.0;
        let (public_key, _) = body.next_of(SEQUENCE)?;
        Some(Certificate {
            is_version_1,
            signed,
            algorithm,
            signature,
            issuer,
            subject,
            not_before,
            not_after,
            public_key,
        })
    }

    /// Whether an authority has signed it, and it is in force.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(
        &self,
        roots: &RootCertStore,
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), Error> {
        self.check_time(now)?;
        let is_issuer = |root: &&rustls::pki_types::TrustAnchor<'_>| {
            root.subject.as_ref() == self.issuer && root.name_constraints.is_none()
        };
        let mut error = CertificateError::UnknownIssuer;
        for root in roots.roots.iter().filter(is_issuer) {
            let by = |algorithm: &&&dyn SignatureVerificationAlgorithm| {
                algorithm.signature_alg_id().as_ref() == self.algorithm
            };
            for algorithm in algorithms.all.iter().filter(by) {
                match is_signed(*algorithm, root.subject_public_key_info.as_ref(), self.signed, self.signature) {
                    true => return Ok(()),
                    false => error = CertificateError::BadSignature,
                }
            }
        }
        Err(Error::InvalidCertificate(error))
    }

    /// Whether it is in force.
    ///
    /// # Errors
    /// It is not yet, or no longer.
    pub fn check_time(&self, now: UnixTime) -> Result<(), Error> {
        match now.as_secs() {
            now if now < self.not_before => Err(Error::InvalidCertificate(CertificateError::NotValidYet)),
            now if now > self.not_after => Err(Error::InvalidCertificate(CertificateError::Expired)),
            _ => Ok(()),
        }
    }

    /// Whether it names itself as the one that has signed it.
    pub fn is_its_own_issuer(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether its key made a signature of TLS 1.2.
    pub fn has_signed(
        &self,
        message: &[u8],
        signature: &[u8],
        scheme: SignatureScheme,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> bool {
        let Some(key) = Der(self.public_key).expect(SEQUENCE) else { return false };
        let of_scheme = algorithms.mapping.iter().filter(|(known, _)| *known == scheme).flat_map(|(_, all)| all.iter());
        of_scheme.into_iter().any(|algorithm| is_signed(*algorithm, key.0, message, signature))
    }

    /// The first common name of its subject, in the bytes in which it stands there.
    pub fn common_name(&self) -> Option<&'a [u8]> {
        let mut names = Der(self.subject);
        while let Some((SET, _, content)) = names.next() {
            let mut parts = Der(content);
            while let Some(mut part) = parts.expect(SEQUENCE) {
                if part.expect(OBJECT_IDENTIFIER)?.0 == COMMON_NAME {
                    let (kind, _, name) = part.next()?;
                    // Nobody's name ends at a zero: it would be taken for another's.
                    return TEXTS.contains(&kind).then_some(name).filter(|name| !name.contains(&0));
                }
            }
        }
        None
    }

    pub fn public_key(&self) -> SubjectPublicKeyInfoDer<'a> {
        SubjectPublicKeyInfoDer::from(self.public_key)
    }
}

/// Whether a signature is right. The key is one with its algorithm, without the tag of its sequence.
fn is_signed(algorithm: &dyn SignatureVerificationAlgorithm, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let mut key = Der(key);
    let Some(of_key) = key.expect(SEQUENCE) else { return false };
    let Some(key) = key.expect(BIT_STRING).and_then(|key| bits(key.0)) else { return false };
    algorithm.public_key_alg_id().as_ref() == of_key.0 && algorithm.verify_signature(key, message, signature).is_ok()
}

/// The bytes of a bit string that has whole ones.
fn bits(content: &[u8]) -> Option<&[u8]> {
    content.split_first().filter(|(unused, _)| **unused == 0).map(|(_, bytes)| bytes)
}

/// Values that follow each other (X.690), each a tag, a length and its content.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value: its tag, all of it, and its content.
    fn next(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, after) = rest.split_at_checked(len)?;
        let whole = &self.0[..self.0.len() - after.len()];
        self.0 = after;
        Some((tag, whole, content))
    }

    /// The next value, with and without its tag, if it has this one.
    fn next_of(&mut self, tag: u8) -> Option<(&'a [u8], &'a [u8])> {
        self.next().filter(|(found, ..)| *found == tag).map(|(_, whole, content)| (whole, content))
    }

    /// What is in the next value, if it has this tag.
    fn expect(&mut self, tag: u8) -> Option<Der<'a>> {
        self.next_of(tag).map(|(_, content)| Der(content))
    }

    /// The next value as a time.
    fn time(&mut self) -> Option<u64> {
        let (tag, _, content) = self.next()?;
        let digits = content.strip_suffix(b"Z")?;
        let (century, digits) = match (tag, digits.len()) {
            (UTC_TIME, 12) => (if digits[0] < b'5' { 20 } else { 19 }, digits),
            (GENERALIZED_TIME, 14) => (two_digits(digits)?, &digits[2..]),
            _ => return None,
        };
        let mut fields = [0; 6];
        for (field, digits) in fields.iter_mut().zip(digits.chunks(2)) {
            *field = two_digits(digits)?;
        }
        let [year, month, day, hour, minute, second] = fields;
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let days = days_from_1970(century * 100 + year, month, day)?;
        Some(days * 86_400 + hour * 3600 + minute * 60 + second)
    }
}

fn two_digits(digits: &[u8]) -> Option<u64> {
    match digits {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', ..] => Some(u64::from(a - b'0') * 10 + u64::from(b - b'0')),
        _ => None,
    }
}

/// Days from 1970 to a date of the Gregorian calendar; nothing before.
fn days_from_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    const BEFORE_MONTH: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap_days_before = |year: u64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    let years = year.checked_sub(1970)?;
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let leap_days = leap_days_before(year) - leap_days_before(1970) + u64::from(is_leap && month > 2);
    Some(years * 365 + leap_days + BEFORE_MONTH[month as usize - 1] + day - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(tag: u8, text: &str) -> Option<u64> {
        let value: Vec<u8> = [&[tag, text.len() as u8][..], text.as_bytes()].concat();
        Der(&value).time()
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(time(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, "240229120000Z"), Some(1_709_208_000));
        assert_eq!(time(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(time(GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000));
        assert_eq!(time(GENERALIZED_TIME, "21000301000000Z"), Some(4_107_542_400), "2100 is no leap year");
        assert_eq!(time(GENERALIZED_TIME, "00000101000000Z"), None);
        for bad in ["241301000000Z", "240100000000Z", "2401010000Z", "240101000000", "24010100000xZ"] {
            assert_eq!(time(UTC_TIME, bad), None, "{bad}");
        }
        assert_eq!(time(SEQUENCE, "700101000000Z"), None);
    }

    #[test]
    fn no_bytes_can_break_it() {
        let mut rng = fastrand::Rng::with_seed(7);
        let sample = [SEQUENCE, 0x82, 0x01, 0x10, SEQUENCE, 0x81, 0x90, INTEGER, 1, 5, SEQUENCE, 2, 5, 0];
        for _ in 0..20_000 {
            let mut bytes = sample.to_vec();
            let more = rng.usize(..300);
            bytes.extend(std::iter::repeat_with(|| rng.u8(..)).take(more));
            let at = rng.usize(..bytes.len());
            bytes[at] = rng.u8(..);
            if let Some(found) = Certificate::parse(&bytes) {
                assert!(
                    !found.public_key.is_empty() && found.common_name().is_none_or(|name| name.len() < bytes.len())
                );
            }
        }
    }
}
