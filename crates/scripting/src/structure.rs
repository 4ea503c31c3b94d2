//! The library `struct`: packed binary data by a format.
//!
//! ```text
//! > < !n    byte order, alignment        f d       floats of 4 and 8 bytes
//! b B h H   integers of 1 and 2 bytes    s         text up to a zero byte
//! l L T     integers of 8 bytes          cn c0     n bytes, or as many as the number before says
//! in In     integers of n bytes          x         a zero byte
//! ```

use crate::lua::{Kind, Lua, Outcome, Raise};
use crate::number::to_integer;

/// No integer is wider, in bytes.
const INTEGER_BYTES_MAX: usize = 32;
/// The alignment of `!` alone.
const ALIGNMENT: usize = 8;

/// Pushes the library's table.
pub(crate) fn push(lua: &mut Lua<'_>) {
    lua.push_table(0, 3);
    lua.push_function(pack);
    lua.raw_set_field(-2, b"pack");
    lua.push_function(unpack);
    lua.raw_set_field(-2, b"unpack");
    lua.push_function(size);
    lua.raw_set_field(-2, b"size");
}

/// How far a format is read, and what it chose.
struct Format<'a> {
    rest: &'a [u8],
    big_endian: bool,
    alignment: usize,
}

impl<'a> Format<'a> {
    /// The format that is the first argument, up to a zero byte.
    fn of(lua: &mut Lua<'a>) -> Result<Format<'a>, Raise> {
        let text = lua.check_bytes(1)?;
        let rest = text.split(|&c| c == 0).next().unwrap_or_default();
        Ok(Format { rest, big_endian: false, alignment: 1 })
    }

    /// The next option and its size in bytes.
    fn next(&mut self, lua: &mut Lua<'_>) -> Result<Option<(u8, usize)>, Raise> {
        let Some((&option, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let size = match option {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => self.number(lua, 1)?,
            b'i' | b'I' => {
                let size = self.number(lua, 4)?;
                if size > INTEGER_BYTES_MAX {
                    let text = format!("integral size {size} is larger than limit of {INTEGER_BYTES_MAX}");
                    return Err(lua.raise_here(text));
                }
                size
            }
            _ => 0,
        };
        Ok(Some((option, size)))
    }

    fn number(&mut self, lua: &mut Lua<'_>, default: usize) -> Result<usize, Raise> {
        let len = self.rest.iter().take_while(|c| c.is_ascii_digit()).count();
        if len == 0 {
            return Ok(default);
        }
        let (digits, rest) = self.rest.split_at(len);
        self.rest = rest;
        let value = digits.iter().try_fold(0i32, |n, d| n.checked_mul(10)?.checked_add(i32::from(d - b'0')));
        match value {
            Some(value) => Ok(value as usize),
            None => Err(lua.raise_here("integral size overflow")),
        }
    }

    /// How many bytes of padding come before a value of `size` bytes at `at`.
    fn padding(&self, at: usize, option: u8, size: usize) -> usize {
        if size == 0 || option == b'c' {
            return 0;
        }
        let size = size.min(self.alignment);
        (size - (at & (size - 1))) & (size - 1)
    }

    /// An option that has no value.
    fn control(&mut self, lua: &mut Lua<'_>, option: u8) -> Result<(), Raise> {
        match option {
            b' ' => {}
            b'>' => self.big_endian = true,
            b'<' => self.big_endian = false,
            b'!' => {
                let alignment = self.number(lua, ALIGNMENT)?;
                if !alignment.is_power_of_two() {
                    return Err(lua.raise_here(format!("alignment {alignment} is not a power of 2")));
                }
                self.alignment = alignment;
            }
            _ => return Err(raise_option(lua, option)),
        }
        Ok(())
    }
}

fn raise_option(lua: &mut Lua<'_>, option: u8) -> Raise {
    let why = [b"invalid format option '".as_slice(), &[option], b"'"].concat();
    lua.raise_argument_bytes(1, &why)
}

/// A number as C converts it to an `unsigned long` on x86-64.
fn to_unsigned(value: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if value >= HALF { (to_integer(value - HALF) as u64) ^ (1 << 63) } else { to_integer(value) as u64 }
}

fn pack(lua: &mut Lua<'_>) -> Outcome {
    let mut format = Format::of(lua)?;
    let mut out = Vec::new();
    // An argument that is missing is called nil.
    lua.push_nil();
    let mut argument = 2;
    while let Some((option, size)) = format.next(lua)? {
        out.resize(out.len() + format.padding(out.len(), option, size), 0);
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let value = to_unsigned(lua.check_number(argument)?);
                argument += 1;
                push_integer(&mut out, value, size, format.big_endian);
            }
            b'x' => out.push(0),
            b'f' | b'd' => {
                let value = lua.check_number(argument)?;
                argument += 1;
                push_float(&mut out, value, size, format.big_endian);
            }
            b'c' | b's' => {
                let text = lua.check_bytes(argument)?;
                argument += 1;
                let len = if size == 0 { text.len() } else { size };
                if text.len() < len {
                    return Err(lua.raise_argument(argument, "string too short"));
                }
                out.extend_from_slice(&text[..len]);
                if option == b's' {
                    out.push(0);
                }
            }
            _ => format.control(lua, option)?,
        }
        lua.check_text(out.len())?;
    }
    lua.push_bytes(&out);
    Ok(1)
}

fn push_integer(out: &mut Vec<u8>, value: u64, size: usize, big_endian: bool) {
    let mut bytes = [0; INTEGER_BYTES_MAX];
    bytes[..8].copy_from_slice(&value.to_le_bytes());
    let bytes = &mut bytes[..size];
    if big_endian {
        bytes.reverse();
    }
    out.extend_from_slice(bytes);
}

fn push_float(out: &mut Vec<u8>, value: f64, size: usize, big_endian: bool) {
    let (single, double) = ((value as f32).to_le_bytes(), value.to_le_bytes());
    let bytes: &[u8] = if size == 4 { &single } else { &double };
    let start = out.len();
    out.extend_from_slice(bytes);
    if big_endian {
        out[start..].reverse();
    }
}

fn unpack(lua: &mut Lua<'_>) -> Outcome {
    let mut format = Format::of(lua)?;
    let data = lua.check_bytes(2)?;
    let first = match lua.kind(3) {
        Kind::None | Kind::Nil => 1,
        _ => to_integer(lua.check_number(3)?),
    };
    // A negative place is a very large one, as C's is.
    let Some(mut at) = (first as usize).checked_sub(1) else {
        return Err(lua.raise_argument(3, "offset must be 1 or greater"));
    };
    let arguments = lua.top();
    while let Some((option, size)) = format.next(lua)? {
        at = at.saturating_add(format.padding(at, option, size));
        let mut value = slice(lua, data, at, size)?;
        if !lua.has_room(2) {
            return Err(lua.raise_here("stack overflow (too many results)"));
        }
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                lua.push_number(integer(value, format.big_endian, option.is_ascii_lowercase()));
            }
            b'f' | b'd' => lua.push_number(float(value, format.big_endian)),
            b'c' => {
                if size == 0 {
                    value = counted(lua, data, at, arguments)?;
                }
                lua.push_bytes(value);
            }
            b's' => {
                let Some(len) = data[at..].iter().position(|&c| c == 0) else {
                    return Err(lua.raise_here("unfinished string in data"));
                };
                value = &data[at..=at + len];
                lua.push_bytes(&value[..len]);
            }
            b'x' => {}
            _ => format.control(lua, option)?,
        }
        at += value.len();
    }
    lua.push_number((at + 1) as f64);
    Ok(lua.top() - arguments)
}

fn slice<'d>(lua: &mut Lua<'_>, data: &'d [u8], at: usize, size: usize) -> Result<&'d [u8], Raise> {
    match data.get(at..).and_then(|d| d.get(..size)) {
        Some(value) => Ok(value),
        None => Err(lua.raise_argument(2, "data string too short")),
    }
}

/// The bytes of `c0`: the number that was read before says how many, and goes.
fn counted<'d>(lua: &mut Lua<'_>, data: &'d [u8], at: usize, arguments: i32) -> Result<&'d [u8], Raise> {
    let count = if lua.top() > arguments { lua.to_number(-1) } else { None };
    let Some(count) = count else {
        return Err(lua.raise_here("format 'c0' needs a previous size"));
    };
    lua.pop(1);
    slice(lua, data, at, to_unsigned(count) as usize)
}

fn integer(bytes: &[u8], big_endian: bool, signed: bool) -> f64 {
    let shift_in = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let value = if big_endian { bytes.iter().fold(0, shift_in) } else { bytes.iter().rev().fold(0, shift_in) };
    if !signed {
        return value as f64;
    }
    // Shifts are modulo 64, as the processor's are, for sizes above 8 and for 0.
    let mask = u64::MAX.wrapping_shl((bytes.len() as u32 * 8).wrapping_sub(1));
    (if value & mask != 0 { value | mask } else { value }) as i64 as f64
}

fn float(bytes: &[u8], big_endian: bool) -> f64 {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    if big_endian {
        wide[..bytes.len()].reverse();
    }
    match bytes.len() {
        4 => f64::from(f32::from_le_bytes([wide[0], wide[1], wide[2], wide[3]])),
        _ => f64::from_le_bytes(wide),
    }
}

fn size(lua: &mut Lua<'_>) -> Outcome {
    let mut format = Format::of(lua)?;
    let mut at = 0usize;
    while let Some((option, size)) = format.next(lua)? {
        at = at.saturating_add(format.padding(at, option, size));
        match option {
            b's' => return Err(lua.raise_argument(1, "option 's' has no fixed size")),
            b'c' if size == 0 => return Err(lua.raise_argument(1, "option 'c0' has no fixed size")),
            _ if !option.is_ascii_alphanumeric() => format.control(lua, option)?,
            _ => {}
        }
        at = at.saturating_add(size);
    }
    lua.push_number(at as f64);
    Ok(1)
}
