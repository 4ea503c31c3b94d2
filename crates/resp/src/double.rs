//! Doubles as text: the forms that Redis shows, and the texts that it takes.

/// The fewest digits that are read back as the same double, as replies have since Redis 7.2: without an exponent where that is not much longer.
pub fn format(value: f64) -> String {
    /// Beyond, Redis does not look whether a double is a whole number.
    const WHOLE_MAX: f64 = (1i64 << 62) as f64;
    if !value.is_finite() || value == 0.0 {
        return format_g17(value);
    }
    if value.trunc() == value && value.abs() <= WHOLE_MAX {
        return itoa::Buffer::new().format(value as i64).to_string();
    }
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    let digits = mantissa.replace('.', "");
    let len = digits.len() as i32;
    // The power of ten of the last digit.
    let last = exponent - (len - 1);
    let sign = if value < 0.0 { "-" } else { "" };
    if last >= 0 && exponent < len + 7 {
        return format!("{sign}{digits}{}", "0".repeat(last as usize));
    }
    if last < 0 && (last > -7 || exponent.abs() < 4) {
        let (whole, fraction) = match exponent {
            0.. => digits.split_at(exponent as usize + 1),
            _ => ("0", &*digits),
        };
        return format!("{sign}{whole}.{}{fraction}", "0".repeat((-exponent - 1).max(0) as usize));
    }
    let point = if len > 1 { "." } else { "" };
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{}{point}{}e{exponent_sign}{}", &digits[..1], &digits[1..], exponent.abs())
}

/// `%.17g`, as replies had until Redis 7.0, and digests and rewritten commands still have.
pub fn format_g17(value: f64) -> String {
    if value.is_nan() {
        return if value.is_sign_negative() { "-nan" } else { "nan" }.into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    // Whole numbers are common and simple; -0 keeps its sign below.
    if value.trunc() == value && value.abs() < 1e15 && (value != 0.0 || value.is_sign_positive()) {
        return itoa::Buffer::new().format(value as i64).to_string();
    }
    let scientific = format!("{value:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    if (-4..17).contains(&exponent) {
        let decimals = (16 - exponent) as usize;
        trim_zeros(format!("{value:.decimals$}"))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim_zeros(mantissa.to_string()), exponent.abs())
    }
}

fn trim_zeros(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// The double that `text` is all of: decimal, `inf`, `infinity` or `nan` in any case, or C's hexadecimal form; no white space around it.
pub fn parse(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let (sign, magnitude) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if magnitude.starts_with(['+', '-']) {
        return None;
    }
    match magnitude.get(..2) {
        Some("0x" | "0X") => Some(sign * parse_hex(&magnitude[2..])?),
        _ => magnitude.parse::<f64>().ok().map(|v| sign * v),
    }
}

fn parse_hex(text: &str) -> Option<f64> {
    let (digits, exponent) = match text.find(['p', 'P']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0;
    for c in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(c.to_digit(16)?);
    }
    Some(value * f64::from(exponent - 4 * fraction.len() as i32).exp2())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g17_is_that_of_c() {
        for (value, text) in [
            (0.1, "0.10000000000000001"),
            (1.0, "1"),
            (-0.0, "-0"),
            (3.5, "3.5"),
            (1e17, "1e+17"),
            (1e16, "10000000000000000"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (1e-4, "0.0001"),
            (1e-5, "1.0000000000000001e-05"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "4.9406564584124654e-324"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(format_g17(value), text);
        }
    }

    #[test]
    fn the_shortest_text_is_that_of_redis_since_7_2() {
        for (value, text) in [
            (0.1, "0.1"),
            (-0.0, "-0"),
            (3.5, "3.5"),
            (-4.35, "-4.35"),
            (123456789012345678.0, "123456789012345680"),
            (1234567890123456789012.0, "1234567890123456800000"),
            (1e18, "1000000000000000000"),
            (1e19, "1e+19"),
            (1.2e19, "1.2e+19"),
            (1e20, "1e+20"),
            (1.5e30, "1.5e+30"),
            (1e100, "1e+100"),
            (1e-5, "0.00001"),
            (1e-6, "0.000001"),
            (1.1e-5, "0.000011"),
            (1.5e-7, "1.5e-7"),
            (1e-7, "1e-7"),
            (0.0012345678, "0.0012345678"),
            (0.00012345678, "1.2345678e-4"),
            (1.25e-10, "1.25e-10"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(format(value), text);
        }
    }

    #[test]
    fn texts_that_strtod_takes() {
        for (text, value) in [
            ("1.5", 1.5),
            ("-1e3", -1000.0),
            ("+2", 2.0),
            ("0x10", 16.0),
            ("0x1.8p1", 3.0),
            ("INF", f64::INFINITY),
            ("-infinity", f64::NEG_INFINITY),
            (".5", 0.5),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["", " 1", "1 ", "1x", "--1", "+-1", "0x", "e5", "."] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert!(parse(b"nan").is_some_and(f64::is_nan));
    }
}
