//! The library `cmsgpack`: MessagePack of values.

use crate::lua::{Kind, Lua, Outcome, Raise};
use crate::number::to_integer;

/// Tables that lie deeper are packed as nil.
const DEPTH_MAX: u32 = 16;

/// Pushes the library's table.
pub(crate) fn push(lua: &mut Lua<'_>) {
    lua.push_table(0, 8);
    lua.push_function(pack);
    lua.raw_set_field(-2, b"pack");
    lua.push_function(|lua| unpack(lua, 0, 0));
    lua.raw_set_field(-2, b"unpack");
    lua.push_function(unpack_one);
    lua.raw_set_field(-2, b"unpack_one");
    lua.push_function(unpack_limit);
    lua.raw_set_field(-2, b"unpack_limit");
    for (name, text) in [
        ("_NAME", "cmsgpack"),
        ("_VERSION", "lua-cmsgpack 0.4.0"),
        ("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo"),
        ("_DESCRIPTION", "MessagePack C implementation for Lua"),
    ] {
        lua.push_bytes(text.as_bytes());
        lua.raw_set_field(-2, name.as_bytes());
    }
}

fn pack(lua: &mut Lua<'_>) -> Outcome {
    let count = lua.top();
    if count == 0 {
        return Err(lua.raise_argument(0, "MessagePack pack needs input."));
    }
    let mut out = Vec::new();
    for argument in 1..=count {
        lua.reserve(1)?;
        lua.push_copy(argument);
        encode(lua, &mut out, 0)?;
    }
    lua.push_bytes(&out);
    Ok(1)
}

/// Appends the value on top, and takes it.
fn encode(lua: &mut Lua<'_>, out: &mut Vec<u8>, depth: u32) -> Result<(), Raise> {
    lua.check_text(out.len())?;
    match lua.kind(-1) {
        Kind::String => encode_string(out, lua.string(-1).unwrap_or_default()),
        Kind::Boolean => out.push(if lua.to_bool(-1) { 0xc3 } else { 0xc2 }),
        Kind::Number => encode_number(out, lua.to_number(-1).unwrap_or_default()),
        Kind::Table if depth < DEPTH_MAX => {
            lua.reserve(5)?;
            encode_table(lua, out, depth + 1)?;
        }
        _ => out.push(0xc0),
    }
    lua.pop(1);
    Ok(())
}

/// A code and a length in the fewest bytes: `codes` are those of 1, 2 and 4 bytes, as far as there are such.
fn push_len(out: &mut Vec<u8>, len: usize, codes: [Option<u8>; 3]) {
    match (codes, len) {
        ([Some(code), ..], 0..=0xff) => out.extend_from_slice(&[code, len as u8]),
        ([_, Some(code), _], 0..=0xffff) => {
            out.push(code);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        ([.., code], _) => {
            out.push(code.unwrap_or_default());
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
}

fn encode_string(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        len @ 0..32 => out.push(0xa0 | len as u8),
        len => push_len(out, len, [Some(0xd9), Some(0xda), Some(0xdb)]),
    }
    out.extend_from_slice(text);
}

fn encode_number(out: &mut Vec<u8>, value: f64) {
    let integer = to_integer(value);
    if value.is_finite() && integer as f64 == value {
        return encode_integer(out, integer);
    }
    let single = value as f32;
    if f64::from(single) == value {
        out.push(0xca);
        out.extend_from_slice(&single.to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn encode_integer(out: &mut Vec<u8>, n: i64) {
    let (code, bytes) = match n {
        -32..=127 => return out.push(n as u8),
        128..=0xff => (0xcc, 1),
        0x100..=0xffff => (0xcd, 2),
        0x1_0000..=0xffff_ffff => (0xce, 4),
        0x1_0000_0000.. => (0xcf, 8),
        -128..=-33 => (0xd0, 1),
        -32768..=-129 => (0xd1, 2),
        -2_147_483_648..=-32769 => (0xd2, 4),
        _ => (0xd3, 8),
    };
    out.push(code);
    out.extend_from_slice(&n.to_be_bytes()[8 - bytes..]);
}

fn encode_table(lua: &mut Lua<'_>, out: &mut Vec<u8>, depth: u32) -> Result<(), Raise> {
    let table = lua.top();
    match shape(lua) {
        Shape::List => {
            let len = lua.raw_len(table);
            match len {
                0..=15 => out.push(0x90 | len as u8),
                _ => push_len(out, len, [None, Some(0xdc), Some(0xdd)]),
            }
            for i in 1..=len {
                lua.raw_get_index(table, i as i32);
                encode(lua, out, depth)?;
            }
        }
        Shape::Map(len) => {
            match len {
                0..=15 => out.push(0x80 | len as u8),
                _ => push_len(out, len, [None, Some(0xde), Some(0xdf)]),
            }
            lua.push_nil();
            while lua.next(table) {
                lua.push_copy(-2);
                encode(lua, out, depth)?;
                encode(lua, out, depth)?;
            }
        }
    }
    Ok(())
}

enum Shape {
    List,
    Map(usize),
}

/// What the table on top is: a list when its keys are the numbers from 1 to their count.
fn shape(lua: &mut Lua<'_>) -> Shape {
    let table = lua.top();
    let (mut count, mut max, mut is_list) = (0usize, 0.0f64, true);
    lua.push_nil();
    while lua.next(table) {
        lua.pop(1);
        count += 1;
        let number = if lua.kind(-1) == Kind::Number { lua.to_number(-1) } else { None };
        match number {
            Some(n) if n >= 1.0 && n.trunc() == n && n <= f64::from(i32::MAX) => max = max.max(n),
            _ => is_list = false,
        }
    }
    if is_list && max == count as f64 { Shape::List } else { Shape::Map(count) }
}

fn unpack_one(lua: &mut Lua<'_>) -> Outcome {
    let offset = optional_integer(lua, 2, 0)?;
    unpack(lua, 1, offset)
}

fn unpack_limit(lua: &mut Lua<'_>) -> Outcome {
    let limit = to_integer(lua.check_number(2)?) as i32;
    let offset = optional_integer(lua, 3, 0)?;
    unpack(lua, limit, offset)
}

fn optional_integer(lua: &mut Lua<'_>, argument: i32, default: i32) -> Result<i32, Raise> {
    match lua.kind(argument) {
        Kind::None | Kind::Nil => Ok(default),
        _ => Ok(to_integer(lua.check_number(argument)?) as i32),
    }
}

/// Pushes up to `limit` values from `offset` on, behind the place where the next one begins; with neither, all values alone.
fn unpack(lua: &mut Lua<'_>, limit: i32, offset: i32) -> Outcome {
    let all = limit == 0 && offset == 0;
    let data = lua.check_bytes(1)?;
    let (Ok(start), Ok(count)) = (usize::try_from(offset), usize::try_from(limit)) else {
        let len = data.len();
        let text = format!("Invalid request to unpack with offset of {offset} and limit of {len}.");
        return Err(lua.raise_here(text));
    };
    if start > data.len() {
        let text = format!("Start offset {start} greater than input length {}.", data.len());
        return Err(lua.raise_here(text));
    }
    let base = lua.top();
    let mut input = Input(&data[start..]);
    let mut results = 0;
    while !input.0.is_empty() && (all || results < count) {
        if let Err(problem) = decode(lua, &mut input) {
            return Err(match problem {
                Problem::Missing => lua.raise_here("Missing bytes in input."),
                Problem::Bad => lua.raise_here("Bad data format in input."),
                Problem::Raised(raise) => raise,
                Problem::Stack(why) => {
                    lua.set_top(base);
                    lua.raise_here(format!("stack overflow ({why})"))
                }
            });
        }
        results += 1;
    }
    if !all {
        let next = if input.0.is_empty() { -1.0 } else { (data.len() - input.0.len()) as f64 };
        lua.reserve(1)?;
        lua.push_number(next);
        lua.insert(base + 1);
        results += 1;
    }
    Ok(results as i32)
}

enum Problem {
    Missing,
    Bad,
    Stack(&'static str),
    Raised(Raise),
}

/// What is left of the data.
struct Input<'d>(&'d [u8]);

impl<'d> Input<'d> {
    fn take(&mut self, len: usize) -> Result<&'d [u8], Problem> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Problem::Missing)?;
        self.0 = rest;
        Ok(taken)
    }

    /// An unsigned number of `bytes` bytes.
    fn unsigned(&mut self, bytes: usize) -> Result<u64, Problem> {
        Ok(self.take(bytes)?.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    fn signed(&mut self, bytes: usize) -> Result<f64, Problem> {
        let unused = 64 - 8 * bytes as u32;
        Ok(((self.unsigned(bytes)? << unused) as i64 >> unused) as f64)
    }
}

/// Pushes the next value.
fn decode(lua: &mut Lua<'_>, input: &mut Input<'_>) -> Result<(), Problem> {
    if !lua.has_just_room(1) {
        return Err(Problem::Stack("too many return values at once; use unpack_one or unpack_limit instead."));
    }
    lua.check_memory().map_err(Problem::Raised)?;
    let code = input.take(1)?[0];
    match code {
        0x00..=0x7f => lua.push_number(f64::from(code)),
        0x80..=0x8f => decode_map(lua, input, u64::from(code & 15))?,
        0x90..=0x9f => decode_list(lua, input, u64::from(code & 15))?,
        0xa0..=0xbf => lua.push_bytes(input.take(usize::from(code & 31))?),
        0xc0 => lua.push_nil(),
        0xc2 | 0xc3 => lua.push_bool(code == 0xc3),
        0xca => lua.push_number(f64::from(f32::from_bits(input.unsigned(4)? as u32))),
        0xcb => lua.push_number(f64::from_bits(input.unsigned(8)?)),
        // As in Redis, the upper half of 64 bits is negative.
        0xcc..=0xcf => lua.push_number(input.unsigned(1 << (code - 0xcc))? as i64 as f64),
        0xd0..=0xd3 => lua.push_number(input.signed(1 << (code - 0xd0))?),
        0xd9..=0xdb => push_string(lua, input, 1 << (code - 0xd9))?,
        0xdc | 0xdd => {
            let len = input.unsigned(if code == 0xdc { 2 } else { 4 })?;
            decode_list(lua, input, len)?;
        }
        0xde | 0xdf => {
            let len = input.unsigned(if code == 0xde { 2 } else { 4 })?;
            decode_map(lua, input, len)?;
        }
        0xe0..=0xff => lua.push_number(f64::from(code as i8)),
        _ => return Err(Problem::Bad),
    }
    Ok(())
}

fn push_string(lua: &mut Lua<'_>, input: &mut Input<'_>, len_bytes: usize) -> Result<(), Problem> {
    let len = input.unsigned(len_bytes)? as usize;
    lua.push_bytes(input.take(len)?);
    Ok(())
}

fn decode_list(lua: &mut Lua<'_>, input: &mut Input<'_>, len: u64) -> Result<(), Problem> {
    lua.push_table(0, 0);
    if !lua.has_just_room(1) {
        return Err(Problem::Stack("in function mp_decode_to_lua_array"));
    }
    for i in 1..=len {
        // Two slots a level, as C has it: that decides how deep data may nest.
        lua.push_number(i as f64);
        decode(lua, input)?;
        lua.raw_set(-3);
    }
    Ok(())
}

fn decode_map(lua: &mut Lua<'_>, input: &mut Input<'_>, len: u64) -> Result<(), Problem> {
    lua.push_table(0, 0);
    for _ in 0..len {
        decode(lua, input)?;
        decode(lua, input)?;
        match lua.kind(-2) {
            Kind::Nil => return Err(Problem::Raised(lua.raise("table index is nil"))),
            Kind::Number if lua.to_number(-2).is_none_or(f64::is_nan) => {
                return Err(Problem::Raised(lua.raise("table index is NaN")));
            }
            _ => lua.raw_set(-3),
        }
    }
    Ok(())
}
