//! The 80-bit extended numbers of x87, in software: INCRBYFLOAT and HINCRBYFLOAT add and show C's `long double`.
//!
//! Reading rounds correctly from any text that `strtold` takes, adding rounds to nearest even, showing is exact: the same bytes as Redis on
//! x86-64. There is no other arithmetic, and signals and rounding modes don't exist.

/// A number with a mantissa of 64 bits: `mantissa * 2^exponent`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongDouble {
    negative: bool,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// The top bit of the mantissa is set unless the exponent is the least one.
    Finite {
        mantissa: u64,
        exponent: i32,
    },
    Infinite,
    NotANumber,
}

/// The exponent of the largest number's mantissa.
const EXPONENT_MAX: i32 = 16383 - 63;
/// The exponent of the least number's mantissa, which is 1.
const EXPONENT_MIN: i32 = -16445;
/// Redis refuses texts from this length on.
const TEXT_LEN_MAX: usize = 5 * 1024;

impl LongDouble {
    pub const ZERO: LongDouble =
        LongDouble { negative: false, kind: Kind::Finite { mantissa: 0, exponent: EXPONENT_MIN } };

    /// The largest number.
    pub const MAX: LongDouble =
        LongDouble { negative: false, kind: Kind::Finite { mantissa: u64::MAX, exponent: EXPONENT_MAX } };

    /// The number that `text` is all of: decimal, C's hexadecimal form, or an infinity. What is not a number, too large for one, or too small to
    /// differ from 0 though it does, is refused.
    pub fn parse(text: &[u8]) -> Option<LongDouble> {
        if text.is_empty() || text.len() >= TEXT_LEN_MAX {
            return None;
        }
        let (negative, rest) = match text[0] {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") {
            return Some(LongDouble { negative, kind: Kind::Infinite });
        }
        let value = match rest {
            [b'0', b'x' | b'X', digits @ ..] => parse_hexadecimal(digits)?,
            _ => parse_decimal(rest)?,
        };
        value.is_finite().then_some(LongDouble { negative, ..value })
    }

    pub fn is_finite(&self) -> bool {
        matches!(self.kind, Kind::Finite { .. })
    }

    /// The same with the other sign.
    pub fn negated(self) -> LongDouble {
        LongDouble { negative: !self.negative, ..self }
    }

    /// Whether it is less; what is not a number is less than none, and none is less than it.
    pub fn is_less_than(self, other: LongDouble) -> bool {
        // The difference of two that differ is never 0, as small as numbers may be.
        let difference = self.add(other.negated());
        match difference.kind {
            Kind::Finite { mantissa, .. } => mantissa != 0 && difference.negative,
            Kind::Infinite => difference.negative,
            Kind::NotANumber => false,
        }
    }

    /// The sum, rounded to nearest, ties to even.
    #[expect(clippy::should_implement_trait, reason = "an operator would promise a whole arithmetic")]
    pub fn add(self, other: LongDouble) -> LongDouble {
        let (a, b) = match (self.kind, other.kind) {
            (Kind::Finite { mantissa: a, exponent: ea }, Kind::Finite { mantissa: b, exponent: eb }) => {
                ((self.negative, a, ea), (other.negative, b, eb))
            }
            (Kind::NotANumber, _) => return self,
            (Kind::Infinite, Kind::Infinite) if self.negative != other.negative => {
                return LongDouble { negative: true, kind: Kind::NotANumber };
            }
            (Kind::Infinite, Kind::Infinite | Kind::Finite { .. }) => return self,
            _ => return other,
        };
        let (high, low) = if a.2 >= b.2 { (a, b) } else { (b, a) };
        const GUARD: i32 = 63;
        let left = u128::from(high.1) << GUARD;
        let distance = (high.2 - low.2) as u32;
        let wide = u128::from(low.1) << GUARD;
        let right = wide.checked_shr(distance).unwrap_or(0);
        let lost = right.checked_shl(distance) != Some(wide) && wide != 0;
        let exponent = high.2 - GUARD;
        if high.0 == low.0 {
            return LongDouble { negative: high.0, ..rounded(left + right, lost, exponent) };
        }
        if left == right && !lost {
            return LongDouble::ZERO;
        }
        if left >= right {
            // What was lost is taken from the difference, too.
            return LongDouble { negative: high.0, ..rounded(left - right - u128::from(lost), lost, exponent) };
        }
        LongDouble { negative: low.0, ..rounded(right - left, lost, exponent) }
    }

    /// `%.17Lf` without the zeros at the end of its fraction.
    pub fn format_human(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let (mantissa, exponent) = match self.kind {
            Kind::Infinite => return format!("{sign}inf"),
            Kind::NotANumber => return format!("{sign}nan"),
            Kind::Finite { mantissa, exponent } => (mantissa, exponent),
        };
        if exponent >= 0 {
            let mut whole = BigUint::from_u128(u128::from(mantissa));
            whole.shift_left(exponent as usize);
            return format!("{sign}{}", whole.into_decimal());
        }
        const DECIMALS: u32 = 17;
        let shift = exponent.unsigned_abs();
        let (mut whole, part) =
            if shift < 64 { (mantissa >> shift, mantissa & ((1 << shift) - 1)) } else { (0, mantissa) };
        // Below 2^121; beyond 127 bits of shift it rounds to nothing.
        let scaled = u128::from(part) * 10u128.pow(DECIMALS);
        let mut fraction = 0;
        if shift < 128 {
            fraction = scaled >> shift;
            let rest = scaled & ((1 << shift) - 1);
            let half = 1 << (shift - 1);
            fraction += u128::from(rest > half || (rest == half && fraction & 1 == 1));
        }
        if fraction == 10u128.pow(DECIMALS) {
            whole += 1;
            fraction = 0;
        }
        match (whole, fraction) {
            (0, 0) => "0".to_string(),
            (_, 0) => format!("{sign}{whole}"),
            _ => format!("{sign}{whole}.{fraction:017}").trim_end_matches('0').to_string(),
        }
    }
}

impl From<i64> for LongDouble {
    fn from(n: i64) -> LongDouble {
        LongDouble { negative: n < 0, ..rounded(u128::from(n.unsigned_abs()), false, 0) }
    }
}

/// The positive number nearest to `value * 2^exponent`; `more` says that the exact value lies a little above that. `value` then has at least 65 bits.
fn rounded(value: u128, more: bool, exponent: i32) -> LongDouble {
    if value == 0 {
        return LongDouble::ZERO;
    }
    let bits = 128 - value.leading_zeros() as i32;
    let drop = (bits - 64).max(EXPONENT_MIN - exponent);
    let mut exponent = exponent + drop;
    let mut mantissa = if drop <= 0 {
        value << -drop
    } else if drop > 128 {
        0
    } else {
        let kept = value.checked_shr(drop as u32).unwrap_or(0);
        let rest = value ^ kept.checked_shl(drop as u32).unwrap_or(0);
        let half = 1u128 << (drop - 1);
        kept + u128::from(rest > half || (rest == half && (more || kept & 1 == 1)))
    };
    if mantissa == 1 << 64 {
        mantissa >>= 1;
        exponent += 1;
    }
    if mantissa == 0 {
        return LongDouble::ZERO;
    }
    if exponent > EXPONENT_MAX {
        return LongDouble { negative: false, kind: Kind::Infinite };
    }
    LongDouble { negative: false, kind: Kind::Finite { mantissa: mantissa as u64, exponent } }
}

/// Splits an exponent off: the text before its letter, and its value, held within a range far beyond that of the numbers.
fn split_exponent(text: &[u8], letter: u8) -> Option<(&[u8], i64)> {
    let Some(at) = text.iter().position(|c| c.eq_ignore_ascii_case(&letter)) else { return Some((text, 0)) };
    let (negative, digits) = match &text[at + 1..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0i64, |n, d| (n * 10 + i64::from(d - b'0')).min(1_000_000));
    Some((&text[..at], if negative { -value } else { value }))
}

/// The digits without their point, and how many stand behind it.
fn split_point(text: &[u8]) -> Option<(Vec<u8>, i64)> {
    let mut parts = text.splitn(2, |&c| c == b'.');
    let whole = parts.next().unwrap_or_default();
    let fraction = parts.next().unwrap_or_default();
    let digits = [whole, fraction].concat();
    (!digits.is_empty()).then_some((digits, fraction.len() as i64))
}

fn parse_decimal(text: &[u8]) -> Option<LongDouble> {
    let (digits, exponent) = split_exponent(text, b'e')?;
    let (digits, decimals) = split_point(digits)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let Some(first) = digits.iter().position(|&c| c != b'0') else { return Some(LongDouble::ZERO) };
    let last = digits.iter().rposition(|&c| c != b'0')?;
    let power = exponent - decimals + (digits.len() - 1 - last) as i64;
    let digits = &digits[first..=last];
    let magnitude = digits.len() as i64 + power;
    if !(-5000..=5000).contains(&magnitude) {
        // Beyond the largest number, or nearer to 0 than the least.
        return None;
    }
    let value =
        if digits.len() <= 38 && (-18..=0).contains(&power) { small(digits, power) } else { large(digits, power) };
    (value != LongDouble::ZERO).then_some(value)
}

/// `digits * 10^power` where the digits are at most 38 and the power is -18 to 0.
fn small(digits: &[u8], power: i64) -> LongDouble {
    let value = digits.iter().fold(0u128, |n, d| n * 10 + u128::from(d - b'0'));
    let shift = value.leading_zeros();
    let divisor = 10u128.pow(power.unsigned_abs() as u32);
    let wide = value << shift;
    // At least 68 bits, as the divisor has at most 60.
    rounded(wide / divisor, !wide.is_multiple_of(divisor), -(shift as i32))
}

fn large(digits: &[u8], power: i64) -> LongDouble {
    let mut top = BigUint::from_decimal(digits);
    let mut bottom = BigUint::from_u128(1);
    let scaled = if power >= 0 { &mut top } else { &mut bottom };
    scaled.multiply_by_power_of_ten(power.unsigned_abs() as u32);
    // A quotient of 67 or 68 bits.
    let shift = 67 + bottom.bits() as i64 - top.bits() as i64;
    if shift >= 0 {
        top.shift_left(shift as usize);
    } else {
        bottom.shift_left(shift.unsigned_abs() as usize);
    }
    let (quotient, exact) = top.divide_small_quotient(bottom, 68);
    rounded(quotient, !exact, -shift as i32)
}

fn parse_hexadecimal(text: &[u8]) -> Option<LongDouble> {
    let (digits, exponent) = split_exponent(text, b'p')?;
    let (digits, decimals) = split_point(digits)?;
    let mut value: u128 = 0;
    let mut exponent = exponent - 4 * decimals;
    let mut more = false;
    for c in digits {
        let digit = u128::from(char::from(c).to_digit(16)?);
        if value >> 120 == 0 {
            value = value << 4 | digit;
        } else {
            more |= digit != 0;
            exponent += 4;
        }
    }
    if value == 0 {
        return Some(LongDouble::ZERO);
    }
    let exponent = exponent.clamp(-100_000, 100_000) as i32;
    let value = rounded(value, more, exponent);
    (value != LongDouble::ZERO).then_some(value)
}

/// A large natural number; the least significant word first, no zero word at the end.
#[derive(Clone, Debug)]
struct BigUint(Vec<u32>);

impl BigUint {
    fn from_u128(n: u128) -> BigUint {
        let mut number = BigUint((0..4).map(|i| (n >> (32 * i)) as u32).collect());
        number.trim();
        number
    }

    fn from_decimal(digits: &[u8]) -> BigUint {
        let mut number = BigUint(Vec::new());
        for chunk in digits.chunks(9) {
            let value = chunk.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0'));
            number.multiply_add(10u32.pow(chunk.len() as u32), value);
        }
        number
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn bits(&self) -> usize {
        self.0.last().map_or(0, |top| self.0.len() * 32 - top.leading_zeros() as usize)
    }

    fn multiply_add(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for word in &mut self.0 {
            carry += u64::from(*word) * u64::from(factor);
            *word = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    fn multiply_by_power_of_ten(&mut self, power: u32) {
        for _ in 0..power / 9 {
            self.multiply_add(1_000_000_000, 0);
        }
        self.multiply_add(10u32.pow(power % 9), 0);
    }

    fn shift_left(&mut self, count: usize) {
        let bits = count % 32;
        if bits > 0 {
            self.multiply_add(1 << bits, 0);
        }
        if !self.0.is_empty() {
            self.0.splice(0..0, std::iter::repeat_n(0, count / 32));
        }
    }

    fn shift_right_one(&mut self) {
        let mut carry = 0;
        for word in self.0.iter_mut().rev() {
            let low = *word << 31;
            *word = *word >> 1 | carry;
            carry = low;
        }
        self.trim();
    }

    fn is_at_least(&self, other: &BigUint) -> bool {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev())).is_ge()
    }

    /// Takes away what is not larger.
    fn subtract(&mut self, other: &BigUint) {
        let mut borrow = false;
        for (i, word) in self.0.iter_mut().enumerate() {
            let (value, first) = word.overflowing_sub(other.0.get(i).copied().unwrap_or(0));
            let (value, second) = value.overflowing_sub(u32::from(borrow));
            *word = value;
            borrow = first || second;
        }
        self.trim();
    }

    /// The quotient, which has at most `bits` bits, and whether nothing is left.
    fn divide_small_quotient(mut self, mut divisor: BigUint, bits: usize) -> (u128, bool) {
        divisor.shift_left(bits);
        let mut quotient = 0;
        for _ in 0..=bits {
            quotient <<= 1;
            if self.is_at_least(&divisor) {
                self.subtract(&divisor);
                quotient |= 1;
            }
            divisor.shift_right_one();
        }
        (quotient, self.0.is_empty())
    }

    fn into_decimal(mut self) -> String {
        let mut groups = Vec::new();
        while !self.0.is_empty() {
            let mut rest = 0;
            for word in self.0.iter_mut().rev() {
                let value = rest << 32 | u64::from(*word);
                *word = (value / 1_000_000_000) as u32;
                rest = value % 1_000_000_000;
            }
            self.trim();
            groups.push(rest);
        }
        let mut text = groups.pop().unwrap_or(0).to_string();
        for group in groups.iter().rev() {
            text.push_str(&format!("{group:09}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> String {
        let parse = |text: &str| LongDouble::parse(text.as_bytes()).expect("a number");
        parse(a).add(parse(b)).format_human()
    }

    // All literals are what C prints on x86-64.
    #[test]
    fn sums() {
        for (a, b, want) in [
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3", "1.1", "4.1"),
            ("0", "-0", "0"),
            ("-1", "1", "0"),
            ("0.1", "0.2", "0.3"),
            ("1e-18", "0", "0"),
            ("-1e-18", "0", "0"),
            ("99999999999999999999", "1", "100000000000000000000"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("18446744073709551616", "1", "18446744073709551616"),
            ("18446744073709551616", "3", "18446744073709551620"),
            ("0x1.8p1", "0", "3"),
            ("inf", "1", "inf"),
            ("-3.7603878675052e+06", "-4.63160511572046827e+21", "-4631605115720472030464"),
            ("205323399377228011.8828125", "197.969", "205323399377228209.84375"),
            ("952.8709677", "3339554232.538047457463108003139495849609375", "3339555185.40901515749283135"),
            ("6866.481899908524078712801497", "625.54573", "7492.02762990852407832"),
            (
                "-0x58264fe04f233a6d.41202be887e5754cp111",
                "545.990",
                "-16490350980270416470798951961715820826055442278907904",
            ),
        ] {
            assert_eq!(sum(a, b), want, "{a} + {b}");
        }
    }

    #[test]
    fn what_is_refused() {
        for text in [
            "",
            " 1",
            "1 ",
            "1\0",
            "x",
            "nan",
            "-nan",
            "0x",
            "0x.",
            ".",
            "e5",
            "1e",
            "1e+",
            "1x",
            "1e4933",
            "-1e5000",
            "1e-5000",
            "1..2",
            "1e99999999999999999999",
            "0x1p16384",
            "--1",
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(LongDouble::parse(&[b'1'; 5 * 1024]), None);
        assert_eq!(LongDouble::parse(b"0e99999"), Some(LongDouble::ZERO));
        let infinity = LongDouble::parse(b"-Infinity").expect("an infinity");
        assert!(!infinity.is_finite() && !infinity.add(LongDouble::parse(b"inf").expect("an infinity")).is_finite());
    }

    #[test]
    fn the_ends_of_the_range() {
        let largest = LongDouble::parse(b"1.18973149535723176502e4932").expect("in range");
        assert!(largest.is_finite() && largest.format_human().starts_with("118973149535723176502126385303"));
        assert!(!largest.add(largest).is_finite());
        let least = LongDouble::parse(b"3.6451995318824746025e-4951").expect("in range");
        assert_eq!(least.kind, Kind::Finite { mantissa: 1, exponent: EXPONENT_MIN });
        assert_eq!(least.format_human(), "0");
    }

    #[test]
    fn integers_are_exact() {
        for n in [0, 1, -1, i64::MAX, i64::MIN] {
            assert_eq!(LongDouble::from(n).format_human(), n.to_string());
        }
    }
}
