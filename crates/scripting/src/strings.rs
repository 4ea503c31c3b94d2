//! The functions of the library `string` that take patterns.

use crate::lua::{Failure, Kind, Lua, Outcome, Raise};
use crate::number::to_integer;
use crate::pattern::Matcher;

/// Puts the functions into the library's table at `string`.
pub(crate) fn install(lua: &mut Lua<'_>, string: i32) {
    lua.push_function(find);
    lua.raw_set_field(string, b"find");
    lua.push_function(first_match);
    lua.raw_set_field(string, b"match");
    for name in ["gmatch", "gfind"] {
        lua.push_function(all_matches);
        lua.raw_set_field(string, name.as_bytes());
    }
    lua.push_function(replace);
    lua.raw_set_field(string, b"gsub");
}

/// Where the search begins: the third argument, from the end if it is negative.
fn first_place(lua: &mut Lua<'_>, len: usize) -> Result<usize, Raise> {
    let place = match lua.kind(3) {
        Kind::None | Kind::Nil => 1,
        _ => to_integer(lua.check_number(3)?),
    };
    let place = if place < 0 { place.saturating_add(len as i64 + 1).max(0) } else { place };
    Ok((place as usize).saturating_sub(1).min(len))
}

fn find(lua: &mut Lua<'_>) -> Outcome {
    let (text, pattern) = (lua.check_bytes(1)?, lua.check_bytes(2)?);
    let from = first_place(lua, text.len())?;
    let until_zero = pattern.split(|&c| c == 0).next().unwrap_or_default();
    let is_plain = lua.to_bool(4) || !until_zero.iter().any(|c| b"^$*+?.([%-".contains(c));
    if !is_plain {
        return search(lua, text, pattern, from, true);
    }
    match memchr::memmem::find(&text[from..], pattern) {
        Some(at) => {
            lua.push_number((from + at + 1) as f64);
            lua.push_number((from + at + pattern.len()) as f64);
            Ok(2)
        }
        None => {
            lua.push_nil();
            Ok(1)
        }
    }
}

fn first_match(lua: &mut Lua<'_>) -> Outcome {
    let (text, pattern) = (lua.check_bytes(1)?, lua.check_bytes(2)?);
    let from = first_place(lua, text.len())?;
    search(lua, text, pattern, from, false)
}

fn search(lua: &mut Lua<'_>, text: &[u8], pattern: &[u8], from: usize, with_place: bool) -> Outcome {
    let mut matcher = Matcher::new(text, pattern);
    let is_anchored = matcher.take_anchor();
    let mut next = Some(from);
    while let Some(at) = next.and_then(|at| if is_anchored { Some(at) } else { matcher.candidate(at) }) {
        if let Some(end) = matcher.match_at(lua, at)? {
            if !with_place {
                return matcher.push_captures(lua, at, end, true);
            }
            lua.push_number((at + 1) as f64);
            lua.push_number(end as f64);
            return Ok(2 + matcher.push_captures(lua, at, end, false)?);
        }
        next = if is_anchored { None } else { Some(at + 1) };
    }
    lua.push_nil();
    Ok(1)
}

fn all_matches(lua: &mut Lua<'_>) -> Outcome {
    lua.check_bytes(1)?;
    lua.check_bytes(2)?;
    lua.push_copy(1);
    lua.push_copy(2);
    lua.push_number(0.0);
    lua.push_iterator(next_match);
    Ok(1)
}

fn next_match(lua: &mut Lua<'_>) -> Outcome {
    let (text, pattern, from) = lua.iterator();
    let mut matcher = Matcher::new(text, pattern);
    let mut next = from;
    while let Some(at) = matcher.candidate(next) {
        next = at + 1;
        if let Some(end) = matcher.match_at(lua, at)? {
            // Behind an empty match the search goes on one further.
            lua.set_iterator(if end == at { end + 1 } else { end });
            return matcher.push_captures(lua, at, end, true);
        }
    }
    Ok(0)
}

fn replace(lua: &mut Lua<'_>) -> Outcome {
    let (text, pattern) = (lua.check_bytes(1)?, lua.check_bytes(2)?);
    let count_max = match lua.kind(4) {
        Kind::None | Kind::Nil => text.len() as i64 + 1,
        _ => i64::from(to_integer(lua.check_number(4)?) as i32),
    };
    if !matches!(lua.kind(3), Kind::Number | Kind::String | Kind::Function | Kind::Table) {
        return Err(lua.raise_argument(3, "string/function/table expected"));
    }
    let mut matcher = Matcher::new(text, pattern);
    let is_anchored = matcher.take_anchor();
    let mut out = Vec::with_capacity(text.len());
    let (mut at, mut count) = (0, 0);
    while count < count_max {
        let end = matcher.match_at(lua, at)?;
        if let Some(end) = end {
            count += 1;
            push_replacement(lua, &matcher, text, (at, end), &mut out)?;
            lua.check_text(out.len())?;
        }
        match end {
            Some(end) if end > at => at = end,
            _ if at < text.len() => {
                out.push(text[at]);
                at += 1;
            }
            _ => break,
        }
        if is_anchored {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
    lua.check_text(out.len())?;
    lua.push_bytes(&out);
    lua.push_number(count as f64);
    Ok(2)
}

/// Appends what the third argument makes of a match.
fn push_replacement(
    lua: &mut Lua<'_>,
    matcher: &Matcher<'_>,
    text: &[u8],
    (start, end): (usize, usize),
    out: &mut Vec<u8>,
) -> Result<(), Raise> {
    let top = lua.top();
    match lua.kind(3) {
        Kind::Function => {
            lua.reserve(1)?;
            lua.push_copy(3);
            let arguments = matcher.push_captures(lua, start, end, true)?;
            call(lua, arguments)?;
        }
        Kind::Table => {
            lua.reserve(3)?;
            lua.push_index_function();
            lua.push_copy(3);
            matcher.push_capture(lua, 0, start, end)?;
            call(lua, 2)?;
        }
        _ => return push_template(lua, matcher, text, (start, end), out),
    }
    if !lua.to_bool(-1) {
        out.extend_from_slice(&text[start..end]);
    } else if let Some(bytes) = lua.bytes(-1) {
        out.extend_from_slice(bytes);
    } else {
        let text = format!("invalid replacement value (a {})", lua.kind_name(-1));
        return Err(lua.raise_here(text));
    }
    lua.set_top(top);
    Ok(())
}

fn call(lua: &mut Lua<'_>, arguments: i32) -> Result<(), Raise> {
    match lua.call(arguments, 1, None) {
        Ok(()) => Ok(()),
        Err(Failure::Error | Failure::Memory) => Err(lua.raise_top()),
    }
}

/// Appends the text that is the third argument, in which `%0` is the match and `%1` a capture.
fn push_template(
    lua: &mut Lua<'_>,
    matcher: &Matcher<'_>,
    text: &[u8],
    (start, end): (usize, usize),
    out: &mut Vec<u8>,
) -> Result<(), Raise> {
    let template = lua.check_bytes(3)?;
    let mut at = 0;
    while let Some(&c) = template.get(at) {
        at += 1;
        if c != b'%' {
            out.push(c);
            continue;
        }
        // Behind a last `%` C finds the zero byte that ends the text.
        let next = template.get(at).copied().unwrap_or(0);
        at += 1;
        match next {
            b'0' => out.extend_from_slice(&text[start..end]),
            b'1'..=b'9' => {
                lua.reserve(1)?;
                matcher.push_capture(lua, usize::from(next - b'1'), start, end)?;
                out.extend_from_slice(lua.bytes(-1).unwrap_or_default());
                lua.pop(1);
            }
            _ => out.push(next),
        }
    }
    Ok(())
}
