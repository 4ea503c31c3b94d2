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

/// How many ms from now a time-out in ms lasts, if it ever ends. It must end within the years that the clock can tell, as since Redis 7.2.
pub fn timeout_ms(text: &[u8], now_ms: u64) -> Result<Option<u64>, Fail> {
    let ms = int(text).map_err(|_| Fail::new("ERR timeout is not an integer or out of range"))?;
    within_years(ms, now_ms)
}

/// The same in seconds, which may be a fraction.
pub fn timeout_seconds(text: &[u8], now_ms: u64) -> Result<Option<u64>, Fail> {
    const NOT_FLOAT: Fail = Fail::new("ERR timeout is not a float or out of range");
    let seconds = rivulet_resp::double::parse(text).filter(|s| !s.is_nan()).ok_or(NOT_FLOAT)?;
    // What an integer can't hold becomes the highest, or the lowest.
    within_years((seconds * 1000.0).ceil() as i64, now_ms)
}

fn within_years(ms: i64, now_ms: u64) -> Result<Option<u64>, Fail> {
    let ms = u64::try_from(ms).map_err(|_| Fail::new("ERR timeout is negative"))?;
    if ms > (i64::MAX as u64).saturating_sub(now_ms) {
        return Err(Fail::new("ERR timeout is out of range"));
    }
    Ok((ms > 0).then_some(ms))
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
    fn a_wait_ends_within_the_years_that_a_clock_can_tell() {
        let now = 1_700_000_000_000;
        let longest = i64::MAX as u64 - now;
        for (text, want) in [
            ("0".to_string(), Ok(None)),
            ("5".to_string(), Ok(Some(5))),
            (longest.to_string(), Ok(Some(longest))),
            ((longest + 1).to_string(), Err("ERR timeout is out of range")),
            (i64::MAX.to_string(), Err("ERR timeout is out of range")),
            ("-1".to_string(), Err("ERR timeout is negative")),
            ("99999999999999999999".to_string(), Err("ERR timeout is not an integer or out of range")),
            ("x".to_string(), Err("ERR timeout is not an integer or out of range")),
        ] {
            assert_eq!(timeout_ms(text.as_bytes(), now), want.map_err(Fail::new), "{text}");
        }
        for (text, want) in [
            ("0", Ok(None)),
            ("0.0001", Ok(Some(1))),
            ("1.5", Ok(Some(1500))),
            ("9223370000000000", Ok(Some(9_223_370_000_000_000_000))),
            ("9223372036854774", Err("ERR timeout is out of range")),
            ("1e300", Err("ERR timeout is out of range")),
            ("inf", Err("ERR timeout is out of range")),
            ("-1e300", Err("ERR timeout is negative")),
            ("-1", Err("ERR timeout is negative")),
            ("nan", Err("ERR timeout is not a float or out of range")),
        ] {
            assert_eq!(timeout_seconds(text.as_bytes(), now), want.map_err(Fail::new), "{text}");
        }
    }

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
