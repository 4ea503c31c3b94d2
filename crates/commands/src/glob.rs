//! Glob patterns of KEYS, SCAN MATCH, PSUBSCRIBE, CONFIG GET and ACL, equal to Redis's to the byte.
//!
//! Each element but `*` takes exactly one byte, so that going back to the last `*` alone is enough: the time is at most the product of the
//! lengths. It knows nothing of characters beyond bytes.

/// Whether `pattern` is all of `text`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    run(pattern, text, false)
}

/// [`matches()`] for ASCII letters of any case.
pub fn matches_nocase(pattern: &[u8], text: &[u8]) -> bool {
    run(pattern, text, true)
}

fn run(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        // Not even `*` matches nothing.
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    // Where to go on when an element fails: behind the last `*`, one byte further.
    let mut last_star = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += pattern[p..].iter().take_while(|&&c| c == b'*').count();
            if p == pattern.len() {
                return true;
            }
            last_star = Some((p, t));
            continue;
        }
        if let Some(next) = element(pattern, p, text[t], nocase) {
            (p, t) = (next, t + 1);
            continue;
        }
        let Some((star_p, star_t)) = last_star else { return false };
        (p, t) = (star_p, star_t + 1);
        last_star = Some((p, t));
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// Whether the element at `p` takes the byte; answers where the next one begins.
#[inline]
fn element(pattern: &[u8], p: usize, byte: u8, nocase: bool) -> Option<usize> {
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => class(pattern, p + 1, byte, nocase),
        b'\\' if p + 1 < pattern.len() => same(pattern[p + 1], byte, nocase).then_some(p + 2),
        c => same(c, byte, nocase).then_some(p + 1),
    }
}

fn same(a: u8, b: u8, nocase: bool) -> bool {
    if nocase { a.eq_ignore_ascii_case(&b) } else { a == b }
}

/// The rest of a class, behind its `[`. It may lack its `]`.
fn class(pattern: &[u8], mut p: usize, byte: u8, nocase: bool) -> Option<usize> {
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut found = false;
    loop {
        match pattern[p.min(pattern.len())..] {
            [] => break,
            // An escaped byte is compared as it is, even where case doesn't matter.
            [b'\\', c, ..] => {
                found |= c == byte;
                p += 2;
            }
            [b']', ..] => {
                p += 1;
                break;
            }
            [from, b'-', to, ..] => {
                let (low, high) = if from as i8 <= to as i8 { (from, to) } else { (to, from) };
                found |= (order(low, nocase)..=order(high, nocase)).contains(&order(byte, nocase));
                p += 3;
            }
            [c, ..] => {
                found |= same(c, byte, nocase);
                p += 1;
            }
        }
    }
    (found != negated).then_some(p)
}

/// Ranges go by C's `char`, which has a sign where Redis mostly runs.
fn order(byte: u8, nocase: bool) -> i32 {
    match byte {
        _ if !nocase => i32::from(byte as i8),
        // C's tolower gives these back without their sign.
        0x80..=0xfe => i32::from(byte),
        _ => i32::from(byte.to_ascii_lowercase() as i8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_redis() {
        for (pattern, text, want) in [
            ("*", "", false),
            ("", "", true),
            ("", "a", false),
            ("*", "a", true),
            ("a*", "a", true),
            ("a**", "a", true),
            ("*a*b*", "xxaxxb", true),
            ("*a*b", "xxaxxbc", false),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("[]", "]", false),
            ("[^]", "x", true),
            ("[a", "a", true),
            ("[^", "a", true),
            ("[", "[", false),
            ("[a-]", "^", true),
            ("[a-]x", "_x", false),
            ("[\\]]", "]", true),
            ("[\\", "\\", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("\\", "\\", true),
            ("a\\", "a\\", true),
            ("A", "a", false),
            ("*foo*", "foofoo", true),
            ("*??", "a", false),
            ("*??", "ab", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), want, "{pattern} {text}");
        }
        assert!(matches_nocase(b"MAX[M-N]*", b"maxmemory"));
        assert!(!matches_nocase(b"[\\A]", b"a"));
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = b"*a".repeat(500);
        let mut text = vec![b'a'; 20_000];
        text.push(b'b');
        assert!(!matches(&pattern, &text));
    }
}
