//! Reading arguments.

use rivulet_keyspace::value::elem::parse_int;

use crate::fail::{Fail, NOT_FLOAT, NOT_INTEGER};

/// An integer in canonical decimal form, as Redis takes it.
#[inline]
pub fn int(text: &[u8]) -> Result<i64, Fail> {
    parse_int(text).ok_or(NOT_INTEGER)
}

/// A double; NaN is refused, and what is too large or too small for one. Infinities that are named are not.
pub fn float(text: &[u8]) -> Result<f64, Fail> {
    let value = rivulet_resp::double::parse(text).ok_or(NOT_FLOAT)?;
    if value.is_nan() || ((value == 0.0 || value.is_infinite()) && is_out_of_range(text, value)) {
        return Err(NOT_FLOAT);
    }
    Ok(value)
}

/// LIMIT of SINTERCARD and ZINTERCARD; 0 is no limit.
pub fn limit(text: &[u8]) -> Result<usize, Fail> {
    match int(text).map(usize::try_from) {
        Ok(Ok(0)) => Ok(usize::MAX),
        Ok(Ok(limit)) => Ok(limit),
        _ => Err(Fail::new("ERR LIMIT can't be negative")),
    }
}

/// The count of the commands that pop.
pub fn count(text: &[u8]) -> Result<usize, Fail> {
    const NEGATIVE: Fail = Fail::new("ERR value is out of range, must be positive");
    int(text).ok().and_then(|n| usize::try_from(n).ok()).ok_or(NEGATIVE)
}

/// Whether digits became 0 or an infinity.
fn is_out_of_range(text: &[u8], value: f64) -> bool {
    if value.is_infinite() {
        return text.iter().any(u8::is_ascii_digit);
    }
    let is_hex = text.iter().any(|c| c.eq_ignore_ascii_case(&b'x'));
    let exponent = if is_hex { b'p' } else { b'e' };
    let digits = text.iter().take_while(|c| !c.eq_ignore_ascii_case(&exponent));
    digits.into_iter().any(|c| c.is_ascii_hexdigit() && *c != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_stay_in_range() {
        for (text, want) in [("0e5", 0.0), ("-0", 0.0), ("0x0p3", 0.0), ("inf", f64::INFINITY), ("1e-310", 1e-310)] {
            assert_eq!(float(text.as_bytes()), Ok(want), "{text}");
        }
        for text in ["1e400", "-1e400", "1e-400", "0.1e-400", "nan", "", "0x1p-2000"] {
            assert_eq!(float(text.as_bytes()), Err(NOT_FLOAT), "{text}");
        }
    }
}
