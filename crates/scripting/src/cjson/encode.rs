//! `cjson.encode`.

use super::{DEPTH_MAX, Settings, settings};
use crate::lua::{Kind, Lua, Outcome, Raise};
use crate::number::push_general;

pub(super) fn encode(lua: &mut Lua<'_>) -> Outcome {
    if lua.top() != 1 {
        return Err(lua.raise_argument(1, "expected 1 argument"));
    }
    let settings = settings(lua);
    let mut out = Vec::with_capacity(128);
    lua.push_copy(1);
    push_value(lua, &settings, 0, &mut out)?;
    lua.push_bytes(&out);
    Ok(1)
}

/// Appends the value on top, which stays.
fn push_value(lua: &mut Lua<'_>, settings: &Settings, depth: i32, out: &mut Vec<u8>) -> Result<(), Raise> {
    match lua.kind(-1) {
        Kind::String => push_string(out, lua.string(-1).unwrap_or_default()),
        Kind::Number => push_number(lua, settings, -1, out)?,
        Kind::Boolean => out.extend_from_slice(if lua.to_bool(-1) { b"true" } else { b"false" }),
        Kind::Nil => out.extend_from_slice(b"null"),
        Kind::LightUserdata if lua.is_null(-1) => out.extend_from_slice(b"null"),
        Kind::Table => push_table(lua, settings, depth + 1, out)?,
        _ => return Err(raise(lua, -1, "type not supported")),
    }
    // The text is not Lua's memory, so that it is bounded here.
    lua.check_text(out.len())
}

fn raise(lua: &mut Lua<'_>, index: i32, reason: &str) -> Raise {
    let text = format!("Cannot serialise {}: {reason}", lua.kind_name(index));
    lua.raise_here(text)
}

fn push_number(lua: &mut Lua<'_>, settings: &Settings, index: i32, out: &mut Vec<u8>) -> Result<(), Raise> {
    let value = lua.to_number(index).unwrap_or_default();
    match settings.encode_invalid {
        _ if value.is_finite() => {}
        0 => return Err(raise(lua, index, "must not be NaN or Inf")),
        1 if value.is_nan() => {
            out.extend_from_slice(b"nan");
            return Ok(());
        }
        1 => {}
        _ => {
            out.extend_from_slice(b"null");
            return Ok(());
        }
    }
    push_general(out, value, settings.precision as usize);
    Ok(())
}

fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    for run in text.split_inclusive(|c| needs_escape(*c)) {
        let Some((&last, plain)) = run.split_last() else { continue };
        if !needs_escape(last) {
            out.extend_from_slice(run);
            continue;
        }
        out.extend_from_slice(plain);
        match last {
            b'"' | b'\\' | b'/' => out.extend_from_slice(&[b'\\', last]),
            8 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            12 => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ => out.extend_from_slice(format!("\\u{last:04x}").as_bytes()),
        }
    }
    out.push(b'"');
}

fn needs_escape(c: u8) -> bool {
    c < 32 || matches!(c, b'"' | b'\\' | b'/' | 127)
}

fn push_table(lua: &mut Lua<'_>, settings: &Settings, depth: i32, out: &mut Vec<u8>) -> Result<(), Raise> {
    if depth > settings.encode_depth_max.min(DEPTH_MAX) || !lua.has_room(4) {
        return Err(lua.raise_here(format!("Cannot serialise, excessive nesting ({depth})")));
    }
    match list_len(lua, settings)? {
        len @ 1.. => push_list(lua, settings, depth, len, out),
        _ => push_object(lua, settings, depth, out),
    }
}

/// The length when the table on top is a list: all its keys are whole numbers from 1 on, and not too few. Otherwise something below 1.
fn list_len(lua: &mut Lua<'_>, settings: &Settings) -> Result<i32, Raise> {
    let (mut max, mut items) = (0i32, 0i32);
    lua.push_nil();
    while lua.next(-2) {
        let key = if lua.kind(-2) == Kind::Number { lua.to_number(-2) } else { None };
        lua.pop(1);
        match key {
            Some(k) if k >= 1.0 && k.floor() == k => {
                if k > f64::from(max) {
                    // As the processor converts it: what does not fit is the least number.
                    max = if k <= f64::from(i32::MAX) { k as i32 } else { i32::MIN };
                }
                items += 1;
            }
            _ => {
                lua.pop(1);
                return Ok(-1);
            }
        }
    }
    let ratio = settings.sparse_ratio;
    if ratio > 0 && max > items.wrapping_mul(ratio) && max > settings.sparse_safe {
        if settings.sparse_convert == 0 {
            return Err(raise(lua, -1, "excessively sparse array"));
        }
        return Ok(-1);
    }
    Ok(max)
}

fn push_list(lua: &mut Lua<'_>, settings: &Settings, depth: i32, len: i32, out: &mut Vec<u8>) -> Result<(), Raise> {
    out.push(b'[');
    for i in 1..=len {
        if i > 1 {
            out.push(b',');
        }
        // A list of two elements may have two billion places.
        if i % 100_000 == 0 {
            lua.check_interrupt()?;
        }
        lua.raw_get_index(-1, i);
        push_value(lua, settings, depth, out)?;
        lua.pop(1);
    }
    out.push(b']');
    Ok(())
}

fn push_object(lua: &mut Lua<'_>, settings: &Settings, depth: i32, out: &mut Vec<u8>) -> Result<(), Raise> {
    out.push(b'{');
    let mut is_first = true;
    lua.push_nil();
    while lua.next(-2) {
        if !is_first {
            out.push(b',');
        }
        is_first = false;
        match lua.kind(-2) {
            Kind::String => push_string(out, lua.string(-2).unwrap_or_default()),
            Kind::Number => {
                out.push(b'"');
                push_number(lua, settings, -2, out)?;
                out.push(b'"');
            }
            _ => return Err(raise(lua, -2, "table key must be a number or string")),
        }
        out.push(b':');
        push_value(lua, settings, depth, out)?;
        lua.pop(1);
    }
    out.push(b'}');
    Ok(())
}
