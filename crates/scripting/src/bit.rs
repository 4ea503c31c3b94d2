//! The library `bit`: operations on numbers of 32 bits.

use crate::lua::{Lua, Outcome, Raise};

/// Pushes the library's table.
pub(crate) fn push(lua: &mut Lua<'_>) {
    lua.push_table(0, 12);
    let mut add = |name: &str, function: fn(&mut Lua<'_>)| {
        function(lua);
        lua.raw_set_field(-2, name.as_bytes());
    };
    add("tobit", |lua| lua.push_function(|lua| map(lua, |b| b)));
    add("bnot", |lua| lua.push_function(|lua| map(lua, |b| !b)));
    add("bswap", |lua| lua.push_function(|lua| map(lua, u32::swap_bytes)));
    add("band", |lua| lua.push_function(|lua| fold(lua, |a, b| a & b)));
    add("bor", |lua| lua.push_function(|lua| fold(lua, |a, b| a | b)));
    add("bxor", |lua| lua.push_function(|lua| fold(lua, |a, b| a ^ b)));
    add("lshift", |lua| lua.push_function(|lua| shift(lua, |b, n| b << n)));
    add("rshift", |lua| lua.push_function(|lua| shift(lua, |b, n| b >> n)));
    add("arshift", |lua| lua.push_function(|lua| shift(lua, |b, n| (b as i32 >> n) as u32)));
    add("rol", |lua| lua.push_function(|lua| shift(lua, u32::rotate_left)));
    add("ror", |lua| lua.push_function(|lua| shift(lua, u32::rotate_right)));
    add("tohex", |lua| lua.push_function(to_hex));
}

/// The low 32 bits of the number, rounded to nearest.
fn argument(lua: &mut Lua<'_>, index: i32) -> Result<u32, Raise> {
    /// Added to a double, it leaves a whole number in the low bits of the mantissa.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    let bits = (lua.check_number(index)? + SHIFT).to_bits();
    Ok(bits as u32)
}

fn push_bits(lua: &mut Lua<'_>, bits: u32) -> Outcome {
    lua.push_number(f64::from(bits as i32));
    Ok(1)
}

fn map(lua: &mut Lua<'_>, f: impl Fn(u32) -> u32) -> Outcome {
    let bits = argument(lua, 1)?;
    push_bits(lua, f(bits))
}

fn fold(lua: &mut Lua<'_>, f: impl Fn(u32, u32) -> u32) -> Outcome {
    let mut bits = argument(lua, 1)?;
    // From the last one on, as C's: the first wrong argument that is met is the one that is named.
    for index in (2..=lua.top()).rev() {
        bits = f(bits, argument(lua, index)?);
    }
    push_bits(lua, bits)
}

fn shift(lua: &mut Lua<'_>, f: impl Fn(u32, u32) -> u32) -> Outcome {
    let bits = argument(lua, 1)?;
    let by = argument(lua, 2)? & 31;
    push_bits(lua, f(bits, by))
}

fn to_hex(lua: &mut Lua<'_>) -> Outcome {
    let bits = argument(lua, 1)?;
    let digits = if lua.top() < 2 { 8 } else { argument(lua, 2)? as i32 };
    let count = digits.unsigned_abs().min(8) as usize;
    let text = if digits < 0 { format!("{bits:08X}") } else { format!("{bits:08x}") };
    lua.push_bytes(&text.as_bytes()[8 - count..]);
    Ok(1)
}
