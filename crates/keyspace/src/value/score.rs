//! The text of a score in a listpack: exactly what Redis 7.0 writes there, so that the bytes of both servers are the same.

use super::Elem;

/// A score's text: an integer where the double is one, else C's `%.17g`.
pub struct ScoreText(String);

impl ScoreText {
    pub fn of(score: f64) -> Self {
        // Redis stops at half the range of an i64; zero of either sign is the integer.
        const EXACT: f64 = (1i64 << 62) as f64;
        let n = score as i64;
        if score.abs() <= EXACT && n as f64 == score {
            return ScoreText(itoa::Buffer::new().format(n).to_owned());
        }
        ScoreText(if score.is_finite() { seventeen_digits(score) } else { score.to_string() })
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// `%.17g`: seventeen significant digits without trailing zeros, with an exponent where that is shorter.
fn seventeen_digits(score: f64) -> String {
    let scientific = format!("{score:.16e}");
    let (digits, exponent) = scientific.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a small integer");
    if (-4..17).contains(&exponent) {
        let decimals = usize::try_from(16 - exponent).expect("the exponent is below 17");
        return trim(&format!("{score:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(digits), exponent.unsigned_abs())
}

fn trim(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

/// The score that an element of a listpack stands for. NaN is none.
#[inline]
pub fn read(elem: Elem<'_>) -> Option<f64> {
    match elem {
        Elem::Int(n) => Some(n as f64),
        Elem::Bytes(text) => std::str::from_utf8(text).ok()?.parse().ok().filter(|score: &f64| !score.is_nan()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_is_redis_s() {
        for (score, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (3.0, "3"),
            (-17.0, "-17"),
            (1.5, "1.5"),
            (0.1, "0.10000000000000001"),
            (3.3, "3.2999999999999998"),
            (1e-4, "0.0001"),
            (1e-5, "1.0000000000000001e-05"),
            (1e18, "1000000000000000000"),
            (4611686018427387904.0, "4611686018427387904"),
            (4611686018427388928.0, "4.6116860184273889e+18"),
            (1e20, "1e+20"),
            (1e300, "1.0000000000000001e+300"),
            (-2.5e-300, "-2.5e-300"),
            (123456789012345.67, "123456789012345.67"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(std::str::from_utf8(ScoreText::of(score).as_bytes()), Ok(text));
        }
    }

    proptest! {
        #[test]
        fn a_score_comes_back(bits in any::<u64>()) {
            let score = f64::from_bits(bits);
            prop_assume!(!score.is_nan());
            assert_eq!(read(Elem::Bytes(ScoreText::of(score).as_bytes())), Some(score));
        }
    }
}
