//! Numbers as text, in the forms that scripts see.

/// Appends C's `%.{precision}g`; the precision is from 1 to 17.
pub(crate) fn push_general(out: &mut Vec<u8>, value: f64, precision: usize) {
    if push_special(out, value) {
        return;
    }
    // Whole numbers are common and simple.
    if value.trunc() == value && value.abs() < 10f64.powi(precision.min(15) as i32) && !is_negative_zero(value) {
        return push_integer(out, value as i64);
    }
    let scientific = format!("{value:.*e}", precision - 1);
    let Some((mantissa, exponent)) = split_exponent(&scientific) else { return };
    if (-4..precision as i32).contains(&exponent) {
        let decimals = (precision as i32 - 1 - exponent).max(0) as usize;
        out.extend_from_slice(without_zeros(&format!("{value:.decimals$}")).as_bytes());
    } else {
        out.extend_from_slice(without_zeros(mantissa).as_bytes());
        let sign = if exponent < 0 { '-' } else { '+' };
        out.extend_from_slice(format!("e{sign}{:02}", exponent.abs()).as_bytes());
    }
}

/// Appends the number as an argument of a command: an integer where it is one, otherwise the shortest text that gives it back.
pub(crate) fn push_argument(out: &mut Vec<u8>, value: f64) {
    /// Half of what an `i64` can hold: only below it Redis looks for an integer.
    const INTEGER_MAX: f64 = (i64::MAX / 2) as f64;
    if push_special(out, value) {
    } else if value.abs() <= INTEGER_MAX && value.trunc() == value {
        push_integer(out, value as i64);
    } else {
        push_shortest(out, value);
    }
}

pub(crate) fn push_integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn push_special(out: &mut Vec<u8>, value: f64) -> bool {
    if value.is_finite() {
        return false;
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    out.extend_from_slice(if value.is_nan() { b"nan" } else { b"inf" });
    true
}

fn is_negative_zero(value: f64) -> bool {
    value == 0.0 && value.is_sign_negative()
}

fn split_exponent(scientific: &str) -> Option<(&str, i32)> {
    let (mantissa, exponent) = scientific.split_once('e')?;
    Some((mantissa, exponent.parse().ok()?))
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// The fewest digits that give the number back. Long tails of zeros, and small numbers, have an exponent, of as few digits as it needs.
fn push_shortest(out: &mut Vec<u8>, value: f64) {
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = split_exponent(&scientific) else { return };
    if mantissa.starts_with('-') {
        out.push(b'-');
    }
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let count = digits.len() as i32;
    let tail = exponent - (count - 1);
    if tail >= 0 && exponent.abs() < count + 7 {
        out.extend_from_slice(&digits);
        out.resize(out.len() + tail as usize, b'0');
    } else if tail < 0 && (tail > -7 || exponent.abs() < 4) {
        push_decimal(out, &digits, count + tail);
    } else {
        out.push(digits[0]);
        if count > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        push_integer(out, i64::from(exponent.abs()));
    }
}

/// Digits with a point behind the first `whole` of them; fewer than none means zeros between the point and the first.
fn push_decimal(out: &mut Vec<u8>, digits: &[u8], whole: i32) {
    if let Ok(whole @ 1..) = usize::try_from(whole) {
        out.extend_from_slice(&digits[..whole]);
        out.push(b'.');
        out.extend_from_slice(&digits[whole..]);
    } else {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + whole.unsigned_abs() as usize, b'0');
        out.extend_from_slice(digits);
    }
}

/// A number as C converts it to a `long long` on x86-64: what does not fit is the least one.
pub(crate) fn to_integer(value: f64) -> i64 {
    const END: f64 = 9_223_372_036_854_775_808.0;
    if (-END..END).contains(&value) { value as i64 } else { i64::MIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn general(value: f64, precision: usize) -> String {
        let mut out = Vec::new();
        push_general(&mut out, value, precision);
        String::from_utf8(out).expect("ascii")
    }

    fn argument(value: f64) -> String {
        let mut out = Vec::new();
        push_argument(&mut out, value);
        String::from_utf8(out).expect("ascii")
    }

    #[test]
    fn general_is_that_of_c() {
        for (value, precision, text) in [
            (0.0, 14, "0"),
            (-0.0, 14, "-0"),
            (0.1, 14, "0.1"),
            (1.0 / 3.0, 14, "0.33333333333333"),
            (1e14, 14, "1e+14"),
            (99_999_999_999_999.0, 14, "99999999999999"),
            (1e15, 14, "1e+15"),
            (123_456.789, 3, "1.23e+05"),
            (0.0001, 14, "0.0001"),
            (0.00001, 14, "1e-05"),
            (5e-324, 14, "4.9406564584125e-324"),
            (f64::INFINITY, 14, "inf"),
            (-f64::NAN.abs(), 14, "-nan"),
            (2.5, 1, "2"),
            (9.5, 1, "1e+01"),
        ] {
            assert_eq!(general(value, precision), text, "{value} {precision}");
        }
    }

    #[test]
    fn arguments_are_those_of_redis_7_2() {
        for (value, text) in [
            (1e17, "100000000000000000"),
            (1e20, "1e+20"),
            (0.1, "0.1"),
            (-0.0, "0"),
            (9_223_372_036_854_775_808.0, "9223372036854776000"),
            (4_611_686_018_427_387_904.0, "4611686018427387904"),
            (1e-7, "1e-7"),
            (0.000_001_5, "1.5e-6"),
            (0.000_15, "0.00015"),
            (-1.5e300, "-1.5e+300"),
            (1e100, "1e+100"),
            (123.456, "123.456"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(argument(value), text);
        }
    }

    #[test]
    fn what_fits_no_integer_is_the_least_one() {
        for (value, integer) in [(1.9, 1), (-1.9, -1), (1e300, i64::MIN), (f64::NAN, i64::MIN), (-1e300, i64::MIN)] {
            assert_eq!(to_integer(value), integer);
        }
    }
}
