//! Splitting of a line into words with quotes, as inline commands and configuration files use it.

/// The words of a line, or nothing when its quotes are not balanced. In double quotes `\xHH \n \r \t \b \a` and `\c` are understood, in
/// single quotes only `\'`. A closing quote must be followed by a space or the end.
pub fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        while let [b' ' | b'\n' | b'\r' | b'\t' | 0x0b | 0x0c, after @ ..] = rest {
            rest = after;
        }
        // A NUL ends the line, as in C.
        if rest.first().is_none_or(|&c| c == 0) {
            return Some(words);
        }
        let (word, after) = next_word(rest)?;
        words.push(word);
        rest = after;
    }
}

fn next_word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        match rest {
            [] | [0 | b' ' | b'\n' | b'\r' | b'\t' | 0x0b | 0x0c, ..] => return Some((word, rest)),
            [b'"', after @ ..] => {
                rest = double_quoted(after, &mut word)?;
                return ends_word(rest).then_some((word, rest));
            }
            [b'\'', after @ ..] => {
                rest = single_quoted(after, &mut word)?;
                return ends_word(rest).then_some((word, rest));
            }
            [c, after @ ..] => {
                word.push(*c);
                rest = after;
            }
        }
    }
}

fn ends_word(rest: &[u8]) -> bool {
    rest.first().is_none_or(|c| c.is_ascii_whitespace() || matches!(c, 0 | 0x0b))
}

fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'\\', b'x', a, b, after @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                let digit = |c: u8| (c as char).to_digit(16).unwrap_or(0) as u8;
                word.push(digit(*a) << 4 | digit(*b));
                rest = after;
            }
            [b'\\', c, after @ ..] => {
                word.push(match c {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = after;
            }
            [b'"', after @ ..] => return Some(after),
            [c, after @ ..] => {
                word.push(*c);
                rest = after;
            }
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                rest = after;
            }
            [b'\'', after @ ..] => return Some(after),
            [c, after @ ..] => {
                word.push(*c);
                rest = after;
            }
        }
    }
}

/// Writes `bytes` in double quotes, so that [`split_words`] reads them back.
pub fn quote(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for &c in bytes {
        match c {
            b'\\' | b'"' => out.extend([b'\\', c]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            7 => out.extend(b"\\a"),
            8 => out.extend(b"\\b"),
            0x20..=0x7e => out.push(c),
            _ => out.extend(format!("\\x{c:02x}").bytes()),
        }
    }
    out.push(b'"');
    out
}

/// A word as [`split_words`] reads it back: in quotes only where it needs them.
pub fn quote_if_needed(word: &[u8]) -> Vec<u8> {
    let is_itself = split_words(word).is_some_and(|words| words == [word]);
    if is_itself { word.to_vec() } else { quote(word) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_quotes_where_it_needs_them() {
        for word in ["+get", "~a*", "(~x", "\"", "~a\"b", "'", "", "~\x01", "a b"] {
            assert_eq!(split_words(&quote_if_needed(word.as_bytes())), Some(vec![word.as_bytes().to_vec()]), "{word}");
        }
        assert_eq!(quote_if_needed(b"~a*"), b"~a*");
    }

    fn words(line: &str) -> Option<Vec<String>> {
        Some(split_words(line.as_bytes())?.into_iter().map(|w| String::from_utf8(w).expect("ascii")).collect())
    }

    #[test]
    fn quotes_and_escapes() {
        assert_eq!(words("set  a b\r\n"), Some(vec!["set".into(), "a".into(), "b".into()]));
        assert_eq!(
            words(r#"x "a b\x41\n" 'it\'s' "" y"#),
            Some(vec!["x".into(), "a bA\n".into(), "it's".into(), "".into(), "y".into()])
        );
        assert_eq!(words(r#"a"b c"d"#), None, "a quote must end the word");
        assert_eq!(words(r#""open"#), None);
        assert_eq!(words("'open"), None);
        assert_eq!(words(""), Some(vec![]));
        assert_eq!(words("a\x0b\x0cb\x0b"), Some(vec!["a".into(), "b".into()]), "all of C's white space");
    }

    #[test]
    fn what_is_quoted_is_read_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(split_words(&quote(&all)), Some(vec![all]));
    }
}
