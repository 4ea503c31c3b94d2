//! Doubles as text: the forms of C's `printf` that Redis 7.0 shows, and the texts that it takes.

/// `%.17g`.
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
