//! A reply of a command as a script's value.
//!
//! ```text
//! RESP2                                   RESP3, after setresp(3)
//! :7          7                           _            nil
//! $2 hi       "hi"                        #t           true
//! $-1, *-1    false                       ,1.5         {double = 1.5}
//! +OK         {ok = "OK"}                 (123         {big_number = "123"}
//! -ERR x      {err = "ERR x", …}          =6 txt:hi    {verbatim_string = {format = "txt", string = "hi"}}
//! *2 …        {…, …}                      %1 k v       {map = {k = v}}       ~1 e   {set = {e = true}}
//! ```

use crate::lua::{Lua, Raise};

/// Replies nest no deeper; the deepest of a command has five levels.
const DEPTH_MAX: u32 = 500;

/// Pushes the value of one whole reply.
///
/// # Errors
/// The reply is none, which a host never gives.
pub(crate) fn push(lua: &mut Lua<'_>, reply: &[u8]) -> Result<(), Raise> {
    let mut rest = Rest(reply);
    match push_value(lua, &mut rest, DEPTH_MAX) {
        Ok(()) if rest.0.is_empty() => Ok(()),
        Ok(()) | Err(Problem::Malformed) => Err(lua.raise("ERR a command's reply is malformed")),
        Err(Problem::Raised(raise)) => Err(raise),
    }
}

enum Problem {
    Malformed,
    Raised(Raise),
}

impl From<Raise> for Problem {
    fn from(raise: Raise) -> Problem {
        Problem::Raised(raise)
    }
}

/// What is left of a reply.
struct Rest<'r>(&'r [u8]);

impl<'r> Rest<'r> {
    /// A line without its end.
    fn line(&mut self) -> Result<&'r [u8], Problem> {
        let end = self.0.iter().position(|&c| c == b'\r').ok_or(Problem::Malformed)?;
        let (line, rest) = self.0.split_at(end);
        self.0 = rest.strip_prefix(b"\r\n").ok_or(Problem::Malformed)?;
        Ok(line)
    }

    /// The number that is a line.
    fn number(&mut self) -> Result<i64, Problem> {
        match self.0 {
            // Most are short.
            [d @ b'0'..=b'9', b'\r', b'\n', rest @ ..] => {
                self.0 = rest;
                Ok(i64::from(d - b'0'))
            }
            _ => parse(self.line()?),
        }
    }

    fn len(&mut self) -> Result<Option<usize>, Problem> {
        match self.number()? {
            -1 => Ok(None),
            len => usize::try_from(len).map(Some).map_err(|_| Problem::Malformed),
        }
    }

    /// A string of so many bytes, and the line's end behind it.
    fn string(&mut self, len: usize) -> Result<&'r [u8], Problem> {
        let (string, rest) = self.0.split_at_checked(len).ok_or(Problem::Malformed)?;
        self.0 = rest.strip_prefix(b"\r\n").ok_or(Problem::Malformed)?;
        Ok(string)
    }
}

fn parse<T: std::str::FromStr>(text: &[u8]) -> Result<T, Problem> {
    std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).ok_or(Problem::Malformed)
}

fn push_value(lua: &mut Lua<'_>, rest: &mut Rest<'_>, depth: u32) -> Result<(), Problem> {
    let depth = depth.checked_sub(1).ok_or(Problem::Malformed)?;
    lua.reserve(5)?;
    lua.check_memory()?;
    let (&kind, tail) = rest.0.split_first().ok_or(Problem::Malformed)?;
    rest.0 = tail;
    match kind {
        b':' => lua.push_number(rest.number()? as f64),
        b'$' => match rest.len()? {
            Some(len) => lua.push_bytes(rest.string(len)?),
            None => lua.push_bool(false),
        },
        b'*' | b'>' => push_list(lua, rest, depth)?,
        b'+' => push_text(lua, "ok", rest.line()?),
        b'-' => push_error(lua, rest.line()?),
        _ => push_resp3(lua, kind, rest, depth)?,
    }
    Ok(())
}

fn push_resp3(lua: &mut Lua<'_>, kind: u8, rest: &mut Rest<'_>, depth: u32) -> Result<(), Problem> {
    match kind {
        b'_' => {
            rest.line()?;
            lua.push_nil();
        }
        b'#' => lua.push_bool(rest.line()? == b"t"),
        b'%' => push_map(lua, rest, depth)?,
        b'~' => push_set(lua, rest, depth)?,
        b',' => {
            let value = rivulet_resp::double::parse(rest.line()?).ok_or(Problem::Malformed)?;
            lua.push_table(0, 0);
            lua.push_number(value);
            lua.raw_set_field(-2, b"double");
        }
        b'(' => push_text(lua, "big_number", rest.line()?),
        b'=' => push_verbatim(lua, rest)?,
        b'|' => {
            // A script does not see attributes.
            for _ in 0..rest.len()?.unwrap_or(0).saturating_mul(2) {
                push_value(lua, rest, depth)?;
                lua.pop(1);
            }
            push_value(lua, rest, depth)?;
        }
        _ => return Err(Problem::Malformed),
    }
    Ok(())
}

fn push_text(lua: &mut Lua<'_>, field: &str, text: &[u8]) {
    lua.push_table(0, 0);
    lua.push_bytes(text);
    lua.raw_set_field(-2, field.as_bytes());
}

/// An error that the server has counted already.
fn push_error(lua: &mut Lua<'_>, line: &[u8]) {
    let debugger = &lua.context().debugger;
    if debugger.steps() {
        debugger.show_error(&[b"-", line].concat());
    }
    push_text(lua, "err", line);
    lua.push_bool(true);
    lua.raw_set_field(-2, b"ignore_error_stats_update");
}

fn push_list(lua: &mut Lua<'_>, rest: &mut Rest<'_>, depth: u32) -> Result<(), Problem> {
    let Some(len) = rest.len()? else {
        lua.push_bool(false);
        return Ok(());
    };
    lua.push_table(len.min(rest.0.len()), 0);
    for i in 1..=len {
        push_value(lua, rest, depth)?;
        lua.raw_set_index(-2, i as i32);
    }
    Ok(())
}

fn push_map(lua: &mut Lua<'_>, rest: &mut Rest<'_>, depth: u32) -> Result<(), Problem> {
    let len = rest.len()?.unwrap_or(0);
    lua.push_table(0, 0);
    lua.push_table(0, len.min(rest.0.len()));
    for _ in 0..len {
        push_value(lua, rest, depth)?;
        push_value(lua, rest, depth)?;
        lua.raw_set(-3);
    }
    lua.raw_set_field(-2, b"map");
    Ok(())
}

fn push_set(lua: &mut Lua<'_>, rest: &mut Rest<'_>, depth: u32) -> Result<(), Problem> {
    let len = rest.len()?.unwrap_or(0);
    lua.push_table(0, 0);
    lua.push_table(0, len.min(rest.0.len()));
    for _ in 0..len {
        push_value(lua, rest, depth)?;
        lua.push_bool(true);
        lua.raw_set(-3);
    }
    lua.raw_set_field(-2, b"set");
    Ok(())
}

fn push_verbatim(lua: &mut Lua<'_>, rest: &mut Rest<'_>) -> Result<(), Problem> {
    let len = rest.len()?.unwrap_or(0);
    let whole = rest.string(len)?;
    let (format, text) = whole.split_at_checked(4).ok_or(Problem::Malformed)?;
    lua.push_table(0, 0);
    lua.push_table(0, 0);
    lua.push_bytes(text);
    lua.raw_set_field(-2, b"string");
    lua.push_bytes(&format[..3]);
    lua.raw_set_field(-2, b"format");
    lua.raw_set_field(-2, b"verbatim_string");
    Ok(())
}
