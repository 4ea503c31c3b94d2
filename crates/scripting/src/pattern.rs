//! Lua's patterns, as Lua 5.1 matches them, with two bounds that C's matcher does not have: the host is asked while a match takes long, and a
//! pattern with many quantifiers is an error before the stack ends.

use crate::lua::{Lua, Raise};

const ESCAPE: u8 = b'%';
/// No pattern captures more.
const CAPTURES_MAX: usize = 32;
/// How deep quantifiers and captures may follow each other: each takes some hundred bytes of the thread's stack.
const DEPTH_MAX: u32 = 1000;
/// After how many steps the host is asked.
const STEPS: u32 = 100_000;

/// What a match captured.
#[derive(Clone, Copy)]
enum Capture {
    /// Its end was not met.
    Open {
        start: usize,
    },
    Text {
        start: usize,
        len: usize,
    },
    /// `()`: a position.
    Position {
        at: usize,
    },
}

/// A text, a pattern, and what the last match captured.
pub(crate) struct Matcher<'a> {
    text: &'a [u8],
    pattern: &'a [u8],
    captures: Vec<Capture>,
    depth: u32,
    steps: u32,
}

/// Where a match ends, if there is one.
type Matched = Result<Option<usize>, Raise>;

impl<'a> Matcher<'a> {
    /// A pattern ends at its first zero byte, as C's does.
    pub(crate) fn new(text: &'a [u8], pattern: &'a [u8]) -> Matcher<'a> {
        let pattern = pattern.split(|&c| c == 0).next().unwrap_or_default();
        Matcher { text, pattern, captures: Vec::new(), depth: 0, steps: 0 }
    }

    /// Takes the `^` that a pattern begins with.
    pub(crate) fn take_anchor(&mut self) -> bool {
        let rest = self.pattern.strip_prefix(b"^");
        self.pattern = rest.unwrap_or(self.pattern);
        rest.is_some()
    }

    /// The next place from `at` on where the pattern may match: most patterns begin with a character that is meant as it is.
    pub(crate) fn candidate(&self, at: usize) -> Option<usize> {
        let first = self.p(0);
        let is_plain = !matches!(first, 0 | b'(' | b')' | b'.' | b'[' | b'$' | ESCAPE);
        if is_plain && !matches!(self.p(1), b'?' | b'*' | b'-') {
            return memchr::memchr(first, self.text.get(at..)?).map(|ahead| at + ahead);
        }
        (at <= self.text.len()).then_some(at)
    }

    /// Matches the pattern at a place of the text.
    ///
    /// # Errors
    /// The pattern is malformed or too complex, or the script ends.
    pub(crate) fn match_at(&mut self, lua: &mut Lua<'_>, at: usize) -> Matched {
        self.captures.clear();
        self.depth = 0;
        self.run(lua, at, 0)
    }

    /// The byte of the pattern there; 0 behind its end.
    fn p(&self, at: usize) -> u8 {
        self.pattern.get(at).copied().unwrap_or(0)
    }

    fn step(&mut self, lua: &mut Lua<'_>, count: usize) -> Result<(), Raise> {
        self.steps = self.steps.saturating_add(count.min(STEPS as usize) as u32);
        if self.steps >= STEPS {
            self.steps = 0;
            lua.check_interrupt()?;
        }
        Ok(())
    }

    /// Matches the rest of the pattern, one level deeper.
    fn deeper(&mut self, lua: &mut Lua<'_>, s: usize, p: usize) -> Matched {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(lua.raise_here("pattern too complex"));
        }
        let matched = self.run(lua, s, p);
        self.depth -= 1;
        matched
    }

    fn run(&mut self, lua: &mut Lua<'_>, mut s: usize, mut p: usize) -> Matched {
        loop {
            self.step(lua, 1)?;
            match (self.p(p), self.p(p + 1)) {
                (b'(', b')') => return self.open_capture(lua, Capture::Position { at: s }, s, p + 2),
                (b'(', _) => return self.open_capture(lua, Capture::Open { start: s }, s, p + 1),
                (b')', _) => return self.close_capture(lua, s, p + 1),
                (0, _) => return Ok(Some(s)),
                (b'$', 0) => return Ok((s == self.text.len()).then_some(s)),
                (ESCAPE, b'b') => match self.balanced(lua, s, p + 2)? {
                    Some(end) => (s, p) = (end, p + 4),
                    None => return Ok(None),
                },
                (ESCAPE, b'f') => match self.frontier(lua, s, p + 2)? {
                    Some(end) => p = end,
                    None => return Ok(None),
                },
                (ESCAPE, digit @ b'0'..=b'9') => match self.captured_again(lua, s, digit)? {
                    Some(end) => (s, p) = (end, p + 2),
                    None => return Ok(None),
                },
                _ => {
                    let end = self.class_end(lua, p)?;
                    match self.p(end) {
                        b'?' => {
                            if self.single(s, p, end)
                                && let Some(found) = self.deeper(lua, s + 1, end + 1)?
                            {
                                return Ok(Some(found));
                            }
                            p = end + 1;
                        }
                        b'*' => return self.longest(lua, s, p, end),
                        b'+' if !self.single(s, p, end) => return Ok(None),
                        b'+' => return self.longest(lua, s + 1, p, end),
                        b'-' => return self.shortest(lua, s, p, end),
                        _ if !self.single(s, p, end) => return Ok(None),
                        _ => (s, p) = (s + 1, end),
                    }
                }
            }
        }
    }

    fn longest(&mut self, lua: &mut Lua<'_>, s: usize, p: usize, end: usize) -> Matched {
        let count = (s..self.text.len()).take_while(|&at| self.single(at, p, end)).count();
        self.step(lua, count)?;
        for at in (s..=s + count).rev() {
            if let Some(found) = self.deeper(lua, at, end + 1)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn shortest(&mut self, lua: &mut Lua<'_>, mut s: usize, p: usize, end: usize) -> Matched {
        loop {
            if let Some(found) = self.deeper(lua, s, end + 1)? {
                return Ok(Some(found));
            }
            if !self.single(s, p, end) {
                return Ok(None);
            }
            s += 1;
        }
    }

    fn open_capture(&mut self, lua: &mut Lua<'_>, capture: Capture, s: usize, p: usize) -> Matched {
        if self.captures.len() >= CAPTURES_MAX {
            return Err(lua.raise_here("too many captures"));
        }
        let level = self.captures.len();
        self.captures.push(capture);
        let matched = self.deeper(lua, s, p)?;
        if matched.is_none() {
            self.captures.truncate(level);
        }
        Ok(matched)
    }

    fn close_capture(&mut self, lua: &mut Lua<'_>, s: usize, p: usize) -> Matched {
        let open = self.captures.iter().enumerate().rev().find_map(|(i, capture)| match capture {
            Capture::Open { start } => Some((i, *start)),
            _ => None,
        });
        let Some((i, start)) = open else { return Err(lua.raise_here("invalid pattern capture")) };
        self.captures[i] = Capture::Text { start, len: s - start };
        let matched = self.deeper(lua, s, p)?;
        if matched.is_none() {
            self.captures[i] = Capture::Open { start };
        }
        Ok(matched)
    }

    /// `%1`: the captured text once more.
    fn captured_again(&mut self, lua: &mut Lua<'_>, s: usize, digit: u8) -> Matched {
        let index = usize::from(digit).checked_sub(usize::from(b'1'));
        match index.and_then(|i| self.captures.get(i)).copied() {
            Some(Capture::Text { start, len }) => {
                self.step(lua, len / 16)?;
                Ok(self.text[s..].starts_with(&self.text[start..start + len]).then_some(s + len))
            }
            Some(Capture::Position { .. }) => Ok(None),
            _ => Err(lua.raise_here("invalid capture index")),
        }
    }

    /// `%bxy`: from an x to its y.
    fn balanced(&mut self, lua: &mut Lua<'_>, s: usize, p: usize) -> Matched {
        let (begin, end) = (self.p(p), self.p(p + 1));
        if begin == 0 || end == 0 {
            return Err(lua.raise_here("unbalanced pattern"));
        }
        if self.text.get(s) != Some(&begin) {
            return Ok(None);
        }
        let mut open = 1u32;
        for (i, &c) in self.text[s + 1..].iter().enumerate() {
            if c == end {
                open -= 1;
                if open == 0 {
                    return Ok(Some(s + 1 + i + 1));
                }
            } else if c == begin {
                open += 1;
            }
        }
        self.step(lua, self.text.len() - s)?;
        Ok(None)
    }

    /// `%f[set]`: a border where the set begins. Answers where the pattern goes on.
    fn frontier(&mut self, lua: &mut Lua<'_>, s: usize, p: usize) -> Matched {
        if self.p(p) != b'[' {
            return Err(lua.raise_here("missing '[' after '%f' in pattern"));
        }
        let end = self.class_end(lua, p)?;
        let before = s.checked_sub(1).map_or(0, |at| self.text[at]);
        let here = self.text.get(s).copied().unwrap_or(0);
        Ok((!self.in_set(before, p, end - 1) && self.in_set(here, p, end - 1)).then_some(end))
    }

    /// Where the single-character class at `p` ends.
    fn class_end(&self, lua: &mut Lua<'_>, p: usize) -> Result<usize, Raise> {
        match self.p(p) {
            ESCAPE if self.p(p + 1) == 0 => Err(lua.raise_here("malformed pattern (ends with '%')")),
            ESCAPE => Ok(p + 2),
            b'[' => {
                let mut at = p + 1;
                if self.p(at) == b'^' {
                    at += 1;
                }
                loop {
                    match self.p(at) {
                        0 => return Err(lua.raise_here("malformed pattern (missing ']')")),
                        ESCAPE if self.p(at + 1) != 0 => at += 2,
                        _ => at += 1,
                    }
                    if self.p(at) == b']' {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    /// Whether the character at `s` is one of the class between `p` and `end`.
    fn single(&self, s: usize, p: usize, end: usize) -> bool {
        let Some(&c) = self.text.get(s) else { return false };
        match self.p(p) {
            b'.' => true,
            ESCAPE => in_class(c, self.p(p + 1)),
            b'[' => self.in_set(c, p, end - 1),
            plain => plain == c,
        }
    }

    /// Whether the set from its `[` to its `]` has the character.
    fn in_set(&self, c: u8, open: usize, close: usize) -> bool {
        let negated = self.p(open + 1) == b'^';
        let mut at = open + 1 + usize::from(negated);
        while at < close {
            let found = match self.p(at) {
                ESCAPE => {
                    at += 1;
                    in_class(c, self.p(at))
                }
                low if self.p(at + 1) == b'-' && at + 2 < close => {
                    at += 2;
                    (low..=self.p(at)).contains(&c)
                }
                plain => plain == c,
            };
            if found {
                return !negated;
            }
            at += 1;
        }
        negated
    }

    /// Pushes capture `i`, or the whole match if there is none and `i` is 0.
    ///
    /// # Errors
    /// There is no such capture, or it has no end.
    pub(crate) fn push_capture(&self, lua: &mut Lua<'_>, i: usize, start: usize, end: usize) -> Result<(), Raise> {
        match self.captures.get(i) {
            Some(Capture::Text { start, len }) => lua.push_bytes(&self.text[*start..start + len]),
            Some(Capture::Position { at }) => lua.push_number((at + 1) as f64),
            Some(Capture::Open { .. }) => return Err(lua.raise_here("unfinished capture")),
            None if i == 0 => lua.push_bytes(&self.text[start..end]),
            None => return Err(lua.raise_here("invalid capture index")),
        }
        Ok(())
    }

    /// Pushes all captures, and the whole match if there are none and it is wanted; answers how many.
    ///
    /// # Errors
    /// A capture has no end, or there is no room.
    pub(crate) fn push_captures(&self, lua: &mut Lua<'_>, start: usize, end: usize, whole: bool) -> Result<i32, Raise> {
        let count = if self.captures.is_empty() && whole { 1 } else { self.captures.len() };
        lua.reserve(count as i32 + 2)?;
        for i in 0..count {
            self.push_capture(lua, i, start, end)?;
        }
        Ok(count as i32)
    }
}

/// Whether a character is of the class of a letter; a large letter means all others. What is no letter of a class means itself.
fn in_class(c: u8, class: u8) -> bool {
    let found = match class.to_ascii_lowercase() {
        b'a' => c.is_ascii_alphabetic(),
        b'c' => c.is_ascii_control(),
        b'd' => c.is_ascii_digit(),
        b'l' => c.is_ascii_lowercase(),
        b'p' => c.is_ascii_punctuation(),
        b's' => c.is_ascii_whitespace() || c == 11,
        b'u' => c.is_ascii_uppercase(),
        b'w' => c.is_ascii_alphanumeric(),
        b'x' => c.is_ascii_hexdigit(),
        b'z' => c == 0,
        _ => return class == c,
    };
    found != class.is_ascii_uppercase()
}
