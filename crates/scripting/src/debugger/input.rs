//! The commands of a session as its client sends them: arrays of strings. What Redis takes and refuses is taken and refused here.

/// More arguments, and longer ones, are refused.
const COUNT_MAX: i64 = 1024;
const LEN_MAX: i64 = 1024;

/// What stands at the beginning of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A command, and how many bytes it takes.
    Command(Vec<Vec<u8>>, usize),
    Incomplete,
    Malformed,
}

/// Takes a command off the beginning; what stands before its star is skipped.
pub(super) fn parse(input: &[u8]) -> Parsed {
    if input.is_empty() {
        return Parsed::Incomplete;
    }
    let Some(star) = input.iter().take_while(|byte| **byte != 0).position(|byte| *byte == b'*') else {
        return Parsed::Malformed;
    };
    let mut at = star + 1;
    let Some(count) = number(input, &mut at) else { return Parsed::Incomplete };
    if !(1..=COUNT_MAX).contains(&count) {
        return Parsed::Malformed;
    }
    let mut words = Vec::new();
    for _ in 0..count {
        match input.get(at) {
            None => return Parsed::Incomplete,
            Some(b'$') => at += 1,
            Some(_) => return Parsed::Malformed,
        }
        let Some(len) = number(input, &mut at) else { return Parsed::Incomplete };
        if !(1..=LEN_MAX).contains(&len) {
            return Parsed::Malformed;
        }
        let end = at + len as usize;
        match input.get(end..end + 2) {
            None => return Parsed::Incomplete,
            Some(b"\r\n") => words.push(input[at..end].to_vec()),
            Some(_) => return Parsed::Malformed,
        }
        at = end + 2;
    }
    Parsed::Command(words, at)
}

/// The number of a line, whose end is passed.
fn number(input: &[u8], at: &mut usize) -> Option<i64> {
    let rest = &input[*at..];
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    *at += end + 2;
    Some(leading_number(&rest[..end]))
}

/// The number that a text begins with, or 0, as C's `atoi` reads it.
pub(super) fn leading_number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (is_negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let value = digits.fold(0i64, |value, digit| value.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    let value = value.min(i64::from(i32::MAX));
    if is_negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str], len: usize) -> Parsed {
        Parsed::Command(words.iter().map(|word| word.as_bytes().to_vec()).collect(), len)
    }

    #[test]
    fn what_is_a_command() {
        let long = format!("*1\r\n$1024\r\n{}\r\n", "x".repeat(1024));
        let too_long = long.replace("$1024", "$1025").replace("x\r\n", "xx\r\n");
        for (input, expected) in [
            ("", Parsed::Incomplete),
            ("*1\r\n$1\r\ns\r\n", command(&["s"], 11)),
            ("junk*1\r\n$1\r\ns\r\n*1\r\n", command(&["s"], 15)),
            ("*2\r\n$1\r\nb\r\n$2\r\n10\r\n", command(&["b", "10"], 19)),
            ("*1x\r\n$1y\r\ns\r\n", command(&["s"], 13)),
            ("junk", Parsed::Malformed),
            ("\0*1\r\n$1\r\ns\r\n", Parsed::Malformed),
            ("*0\r\n", Parsed::Malformed),
            ("*1025\r\n", Parsed::Malformed),
            ("*1024\r\n", Parsed::Incomplete),
            ("*-1\r\n", Parsed::Malformed),
            ("*1\r\nx", Parsed::Malformed),
            ("*1\r\n$0\r\n\r\n", Parsed::Malformed),
            ("*1\r\n$1\r\nsXX", Parsed::Malformed),
            (&long, command(&[&"x".repeat(1024)], long.len())),
            (&too_long, Parsed::Malformed),
        ] {
            assert_eq!(parse(input.as_bytes()), expected, "{input:?}");
        }
    }

    #[test]
    fn pieces_are_waited_for() {
        let whole = b"*2\r\n$1\r\nb\r\n$2\r\n10\r\n";
        for len in 0..whole.len() {
            assert_eq!(parse(&whole[..len]), Parsed::Incomplete, "{len} bytes");
        }
    }

    #[test]
    fn numbers_as_c_reads_them() {
        for (text, value) in
            [("12", 12), (" -3x", -3), ("+4", 4), ("x", 0), ("", 0), ("99999999999999999999", i64::from(i32::MAX))]
        {
            assert_eq!(leading_number(text.as_bytes()), value, "{text}");
        }
    }
}
