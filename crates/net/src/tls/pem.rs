//! PEM: sections of base64 between lines that name them (RFC 7468).

/// One section of a file.
pub struct Section<'a> {
    /// `CERTIFICATE`, `PRIVATE KEY` …
    pub label: &'a str,
    pub content: Vec<u8>,
    /// It has headers of its own: a key in the way of RFC 1421, as OpenSSL once encrypted them.
    pub has_headers: bool,
}

/// All sections. What stands between them is for people.
///
/// # Errors
/// A section does not end, or is no base64.
pub fn sections(text: &[u8]) -> Result<Vec<Section<'_>>, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not in PEM format")?;
    let mut sections = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) else {
            continue;
        };
        let (mut encoded, mut has_headers) = (String::new(), false);
        loop {
            let line = lines.next().ok_or("a section of it has no end")?;
            match line {
                _ if line.starts_with("-----END ") => break,
                _ if line.contains(':') => has_headers = true,
                // A long header goes on, and what is in the section can't be read in any case.
                _ if has_headers => {}
                _ => encoded.push_str(line),
            }
        }
        let content = if has_headers { Vec::new() } else { base64(&encoded).ok_or("a section of it is no base64")? };
        sections.push(Section { label, content, has_headers });
    }
    Ok(sections)
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.chunks(4) {
        let mut bits = 0u32;
        for &c in group {
            bits = bits << 6 | u32::from(value(c)?);
        }
        bits <<= 6 * (4 - group.len());
        // A lone character has not the bits of a byte.
        let len = group.len().checked_sub(1).filter(|len| *len > 0)?;
        bytes.extend_from_slice(&bits.to_be_bytes()[1..][..len]);
    }
    Some(bytes)
}

fn value(c: u8) -> Option<u8> {
    Some(match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_found_among_other_text() {
        let text = b"subject=/CN=x\n-----BEGIN A B-----\r\nAAEC\r\n/v8=\r\n-----END A B-----\nmore\n-----BEGIN C-----\n-----END C-----\n";
        let found = sections(text).expect("it is well formed");
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].label, &found[0].content[..]), ("A B", &[0, 1, 2, 254, 255][..]));
        assert_eq!((found[1].label, &found[1].content[..]), ("C", &[][..]));
        assert!(!found[0].has_headers);
    }

    #[test]
    fn what_is_broken_is_refused() {
        assert_eq!(sections(b"no PEM").expect("nothing is wrong").len(), 0);
        assert!(sections(b"\xff\xfe").is_err());
        assert!(sections(b"-----BEGIN A-----\nAAEC\n").is_err());
        for bad in ["A", "AAEC A", "AA*C", "AAECA"] {
            assert!(sections(format!("-----BEGIN A-----\n{bad}\n-----END A-----\n").as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_are_noticed() {
        let text = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAEC\n-----END RSA PRIVATE KEY-----\n";
        assert!(sections(text).expect("it is well formed")[0].has_headers);
    }
}
