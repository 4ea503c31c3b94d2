//! Bounds of a range of scores (`1.5`, `(1.5`, `-inf`) or of members (`[a`, `(a`, `-`, `+`), and the ranks that they mean.

use rivulet_keyspace::value::ZSet;

use crate::fail::Fail;

/// Ranks `start..end`; none when `end` is not above `start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ranks {
    pub start: usize,
    pub end: usize,
}

impl Ranks {
    /// Those that Redis's `start` and `stop` mean, each counted from the end when it is negative.
    pub fn from_indexes(start: i64, stop: i64, len: usize) -> Ranks {
        let len_signed = len as i64;
        let from_end = |i: i64| if i < 0 { i + len_signed } else { i };
        let start = from_end(start).max(0);
        let stop = from_end(stop).min(len_signed - 1);
        if start > stop { Ranks { start: 0, end: 0 } } else { Ranks { start: start as usize, end: stop as usize + 1 } }
    }

    pub fn count(&self) -> usize {
        self.end.saturating_sub(self.start)
    }
}

/// A range by score.
#[derive(Clone, Copy)]
pub(crate) struct ScoreRange {
    min: f64,
    min_exclusive: bool,
    max: f64,
    max_exclusive: bool,
}

impl ScoreRange {
    pub fn parse(min: &[u8], max: &[u8]) -> Result<ScoreRange, Fail> {
        const INVALID: Fail = Fail::new("ERR min or max is not a float");
        let (min, min_exclusive) = parse_score(min).ok_or(INVALID)?;
        let (max, max_exclusive) = parse_score(max).ok_or(INVALID)?;
        Ok(ScoreRange { min, min_exclusive, max, max_exclusive })
    }

    pub fn ranks(&self, zset: &ZSet) -> Ranks {
        if self.min > self.max {
            return Ranks { start: 0, end: 0 };
        }
        let start = if self.min == f64::NEG_INFINITY && !self.min_exclusive {
            0
        } else {
            zset.lower_bound(self.min, self.min_exclusive)
        };
        let end = if self.max == f64::INFINITY && !self.max_exclusive {
            zset.len()
        } else {
            zset.lower_bound(self.max, !self.max_exclusive)
        };
        Ranks { start, end }
    }
}

/// As C's `strtod` takes it, which Redis calls here without further checks: blanks may stand before it, and nothing at all is 0.
fn parse_score(text: &[u8]) -> Option<(f64, bool)> {
    let text = text.split(|&c| c == 0).next().unwrap_or_default();
    let (text, exclusive) = match text {
        [b'(', rest @ ..] => (rest, true),
        _ => (text, false),
    };
    if text.is_empty() {
        return Some((0.0, exclusive));
    }
    let blanks = text.iter().take_while(|&&c| c.is_ascii_whitespace() || c == 0x0b).count();
    let score = rivulet_resp::double::parse(&text[blanks..])?;
    (!score.is_nan()).then_some((score, exclusive))
}

/// A bound by the bytes of members.
#[derive(Clone, Copy)]
enum LexBound<'a> {
    Lowest,
    Highest,
    Inclusive(&'a [u8]),
    Exclusive(&'a [u8]),
}

impl<'a> LexBound<'a> {
    fn parse(text: &'a [u8]) -> Option<LexBound<'a>> {
        match text {
            b"-" => Some(LexBound::Lowest),
            b"+" => Some(LexBound::Highest),
            [b'[', member @ ..] => Some(LexBound::Inclusive(member)),
            [b'(', member @ ..] => Some(LexBound::Exclusive(member)),
            _ => None,
        }
    }
}

/// A range by the bytes of members.
#[derive(Clone, Copy)]
pub(crate) struct LexRange<'a> {
    min: LexBound<'a>,
    max: LexBound<'a>,
}

impl<'a> LexRange<'a> {
    pub fn parse(min: &'a [u8], max: &'a [u8]) -> Result<LexRange<'a>, Fail> {
        const INVALID: Fail = Fail::new("ERR min or max not valid string range item");
        Ok(LexRange { min: LexBound::parse(min).ok_or(INVALID)?, max: LexBound::parse(max).ok_or(INVALID)? })
    }

    pub fn ranks(&self, zset: &ZSet) -> Ranks {
        let start = match self.min {
            LexBound::Lowest => 0,
            LexBound::Highest => zset.len(),
            LexBound::Inclusive(member) => zset.lower_bound_lex(member, false),
            LexBound::Exclusive(member) => zset.lower_bound_lex(member, true),
        };
        let end = match self.max {
            LexBound::Lowest => 0,
            LexBound::Highest => zset.len(),
            LexBound::Inclusive(member) => zset.lower_bound_lex(member, true),
            LexBound::Exclusive(member) => zset.lower_bound_lex(member, false),
        };
        Ranks { start, end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes() {
        for (start, stop, want) in [
            (0, -1, (0, 5)),
            (-100, 100, (0, 5)),
            (-2, -1, (3, 5)),
            (3, 1, (0, 0)),
            (5, 9, (0, 0)),
            (i64::MIN, i64::MIN, (0, 0)),
        ] {
            assert_eq!(Ranks::from_indexes(start, stop, 5), Ranks { start: want.0, end: want.1 }, "{start} {stop}");
        }
    }

    #[test]
    fn scores_are_those_of_strtod() {
        for (text, want) in [
            ("", (0.0, false)),
            ("(", (0.0, true)),
            (" 1", (1.0, false)),
            ("( 1", (1.0, true)),
            ("(-inf", (f64::NEG_INFINITY, true)),
        ] {
            assert_eq!(parse_score(text.as_bytes()), Some(want), "{text}");
        }
        for text in [" ", "1 ", "nan", "((1", "[1", "a"] {
            assert_eq!(parse_score(text.as_bytes()), None, "{text}");
        }
    }
}
