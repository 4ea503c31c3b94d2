//! `cjson.decode`.

use super::{DEPTH_MAX, Settings, settings};
use crate::lua::{Lua, Outcome, Raise};

pub(super) fn decode(lua: &mut Lua<'_>) -> Outcome {
    if lua.top() != 1 {
        return Err(lua.raise_argument(1, "expected 1 argument"));
    }
    let text = lua.check_bytes(1)?;
    if let [0, _, ..] | [_, 0, ..] = text {
        return Err(lua.raise_here("JSON parser does not support UTF-16 or UTF-32"));
    }
    let mut parser = Parser { text, at: 0, settings: settings(lua), depth: 0, string: Vec::new() };
    let token = parser.next();
    parser.push_value(lua, token)?;
    match parser.next() {
        (Token::End, _) => Ok(1),
        other => Err(parser.expected(lua, "the end", other)),
    }
}

/// What the text is made of. A string's bytes are in [`Parser::string`].
#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

impl Token {
    /// How messages call it.
    fn name(self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::String => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Error(text) => text,
        }
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    settings: Settings,
    depth: i32,
    string: Vec<u8>,
}

impl Parser<'_> {
    /// The byte so far ahead; 0 behind the end, as C's strings have it.
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn expected(&self, lua: &mut Lua<'_>, what: &str, (token, at): (Token, usize)) -> Raise {
        lua.raise_here(format!("Expected {what} but found {} at character {}", token.name(), at + 1))
    }

    /// The next token and where it begins.
    fn next(&mut self) -> (Token, usize) {
        while matches!(self.peek(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        let at = self.at;
        let single = match self.peek(0) {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b':' => Token::Colon,
            b',' => Token::Comma,
            0 => return (Token::End, at),
            b'"' => return self.string(at),
            b'-' | b'0'..=b'9' if self.settings.decode_invalid == 0 && self.is_invalid_number() => {
                return (Token::Error("invalid number"), at);
            }
            b'-' | b'0'..=b'9' => return (self.number(), at),
            b'+' | b'I' | b'N' | b'f' | b'i' | b'n' | b't' => return (self.word(), at),
            _ => return (Token::Error("invalid token"), at),
        };
        self.at += 1;
        (single, at)
    }

    fn word(&mut self) -> Token {
        let rest = &self.text[self.at..];
        for (word, token) in [("true", Token::Boolean(true)), ("false", Token::Boolean(false)), ("null", Token::Null)] {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return token;
            }
        }
        if self.settings.decode_invalid != 0 && self.is_invalid_number() {
            return self.number();
        }
        Token::Error("invalid token")
    }

    /// Whether C would read a number here that JSON does not have.
    fn is_invalid_number(&self) -> bool {
        if self.peek(0) == b'+' {
            return true;
        }
        let sign = usize::from(self.peek(0) == b'-');
        match (self.peek(sign), self.peek(sign + 1)) {
            (b'0', next) => next | 0x20 == b'x' || next.is_ascii_digit(),
            // C compares with a sign: bytes from 128 on are below.
            (c, _) if c as i8 <= b'9' as i8 => false,
            _ => {
                let word = self.text.get(self.at + sign..self.at + sign + 3).unwrap_or_default();
                word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")
            }
        }
    }

    fn number(&mut self) -> Token {
        match number_prefix(&self.text[self.at..]) {
            Some((value, len)) => {
                self.at += len;
                Token::Number(value)
            }
            None => Token::Error("invalid number"),
        }
    }

    fn string(&mut self, begin: usize) -> (Token, usize) {
        self.at += 1;
        self.string.clear();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.iter().position(|c| matches!(c, b'"' | b'\\' | 0)).unwrap_or(rest.len());
            self.string.extend_from_slice(&rest[..plain]);
            self.at += plain;
            match self.peek(0) {
                b'"' => {
                    self.at += 1;
                    return (Token::String, begin);
                }
                0 => return (Token::Error("unexpected end of string"), self.at),
                _ => {
                    if let Err(why) = self.escape() {
                        return (Token::Error(why), self.at);
                    }
                }
            }
        }
    }

    fn escape(&mut self) -> Result<(), &'static str> {
        let byte = match self.peek(1) {
            c @ (b'"' | b'\\' | b'/') => c,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 12,
            b'r' => b'\r',
            b'u' => return self.unicode().ok_or("invalid unicode escape code"),
            _ => return Err("invalid escape code"),
        };
        self.string.push(byte);
        self.at += 2;
        Ok(())
    }

    fn unicode(&mut self) -> Option<()> {
        let first = self.hex4(2)?;
        let mut len = 6;
        let point = match first {
            0xd800..=0xdbff => {
                if (self.peek(6), self.peek(7)) != (b'\\', b'u') {
                    return None;
                }
                let low = self.hex4(8).filter(|low| low & 0xfc00 == 0xdc00)?;
                len = 12;
                0x10000 + ((first & 0x3ff) << 10 | (low & 0x3ff))
            }
            0xdc00..=0xdfff => return None,
            point => point,
        };
        let c = char::from_u32(point)?;
        self.string.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        self.at += len;
        Some(())
    }

    fn hex4(&self, ahead: usize) -> Option<u32> {
        (0..4).try_fold(0, |n, i| Some(n << 4 | char::from(self.peek(ahead + i)).to_digit(16)?))
    }

    fn push_value(&mut self, lua: &mut Lua<'_>, token: (Token, usize)) -> Result<(), Raise> {
        match token.0 {
            Token::String => lua.push_bytes(&self.string),
            Token::Number(value) => lua.push_number(value),
            Token::Boolean(value) => lua.push_bool(value),
            Token::Null => lua.push_null(),
            Token::ObjectBegin => self.push_object(lua)?,
            Token::ArrayBegin => self.push_array(lua)?,
            _ => return Err(self.expected(lua, "value", token)),
        }
        Ok(())
    }

    fn descend(&mut self, lua: &mut Lua<'_>) -> Result<(), Raise> {
        self.depth += 1;
        if self.depth <= self.settings.decode_depth_max.min(DEPTH_MAX) && lua.has_room(4) {
            return Ok(());
        }
        Err(lua.raise_here(format!("Found too many nested data structures ({}) at character {}", self.depth, self.at)))
    }

    fn push_object(&mut self, lua: &mut Lua<'_>) -> Result<(), Raise> {
        self.descend(lua)?;
        lua.push_table(0, 0);
        let mut token = self.next();
        if token.0 != Token::ObjectEnd {
            loop {
                self.push_member(lua, token)?;
                token = self.next();
                match token.0 {
                    Token::ObjectEnd => break,
                    Token::Comma => token = self.next(),
                    _ => return Err(self.expected(lua, "comma or object end", token)),
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads a key, which begins with `token`, and its value into the table on top.
    fn push_member(&mut self, lua: &mut Lua<'_>, token: (Token, usize)) -> Result<(), Raise> {
        if token.0 != Token::String {
            return Err(self.expected(lua, "object key string", token));
        }
        lua.push_bytes(&self.string);
        let colon = self.next();
        if colon.0 != Token::Colon {
            return Err(self.expected(lua, "colon", colon));
        }
        let value = self.next();
        self.push_value(lua, value)?;
        lua.raw_set(-3);
        lua.check_memory()
    }

    fn push_array(&mut self, lua: &mut Lua<'_>) -> Result<(), Raise> {
        self.descend(lua)?;
        lua.push_table(0, 0);
        let mut token = self.next();
        let mut i = 0;
        if token.0 != Token::ArrayEnd {
            loop {
                i += 1;
                self.push_value(lua, token)?;
                lua.raw_set_index(-2, i);
                lua.check_memory()?;
                token = self.next();
                match token.0 {
                    Token::ArrayEnd => break,
                    Token::Comma => token = self.next(),
                    _ => return Err(self.expected(lua, "comma or array end", token)),
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }
}

/// The longest beginning that C's `strtod` reads, and its length.
fn number_prefix(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let magnitude = &text[sign..];
    let word = |word: &[u8]| magnitude.get(..word.len()).is_some_and(|m| m.eq_ignore_ascii_case(word));
    let len = if word(b"infinity") {
        8
    } else if word(b"inf") {
        3
    } else if word(b"nan") {
        let value = if text.first() == Some(&b'-') { -f64::NAN.abs() } else { f64::NAN.abs() };
        return Some((value, sign + 3 + nan_suffix_len(&magnitude[3..])));
    } else {
        match hexadecimal_len(magnitude) {
            Some(len) => len,
            None => decimal_len(magnitude)?,
        }
    };
    let len = sign + len;
    Some((rivulet_resp::double::parse(&text[..len])?, len))
}

/// What C reads behind `nan`: letters, digits and `_` in parentheses.
fn nan_suffix_len(text: &[u8]) -> usize {
    let Some(inner) = text.strip_prefix(b"(") else { return 0 };
    let len = inner.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == b'_').count();
    if inner.get(len) == Some(&b')') { len + 2 } else { 0 }
}

fn digits_len(text: &[u8], is_digit: fn(&u8) -> bool) -> usize {
    text.iter().take_while(|c| is_digit(c)).count()
}

/// Digits with at most one point among them; at least one digit.
fn mantissa_len(text: &[u8], is_digit: fn(&u8) -> bool) -> Option<usize> {
    let whole = digits_len(text, is_digit);
    let fraction = match text.get(whole) {
        Some(b'.') => Some(digits_len(&text[whole + 1..], is_digit)),
        _ => None,
    };
    match (whole, fraction) {
        (0, None | Some(0)) => None,
        (_, None) => Some(whole),
        (_, Some(fraction)) => Some(whole + 1 + fraction),
    }
}

fn exponent_len(text: &[u8], letter: u8) -> usize {
    let Some((&first, rest)) = text.split_first() else { return 0 };
    if first | 0x20 != letter {
        return 0;
    }
    let sign = usize::from(matches!(rest.first(), Some(b'-' | b'+')));
    match digits_len(&rest[sign..], u8::is_ascii_digit) {
        0 => 0,
        digits => 1 + sign + digits,
    }
}

fn decimal_len(text: &[u8]) -> Option<usize> {
    let mantissa = mantissa_len(text, u8::is_ascii_digit)?;
    Some(mantissa + exponent_len(&text[mantissa..], b'e'))
}

fn hexadecimal_len(text: &[u8]) -> Option<usize> {
    let digits = match text {
        [b'0', b'x' | b'X', digits @ ..] => digits,
        _ => return None,
    };
    let mantissa = mantissa_len(digits, u8::is_ascii_hexdigit)?;
    Some(2 + mantissa + exponent_len(&digits[mantissa..], b'p'))
}
