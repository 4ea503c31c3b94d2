//! A script's value as a reply to its client.
//!
//! ```text
//! number            integer, without its fraction       {ok = text}                a status
//! string            bulk string                         {err = text}               an error
//! true              1, or true after setresp(3)         {double = number}          a double
//! false, nil, …     null; false after setresp(3)        {map = table}, {set = …}   a map, a set
//! list              array, up to the first nil          {big_number = text}        a big number
//!                                                       {verbatim_string = {string = …, format = …}}
//! ```

use rivulet_resp::Reply;

use crate::context::RepliedError;
use crate::lua::{Kind, Lua, View};
use crate::number::to_integer;

/// Writes the value on top, and takes it. `resp3` is what the script chose; the client's own protocol is the reply's.
pub(crate) fn write(lua: &mut Lua<'_>, reply: &mut Reply<'_>, resp3: bool) {
    // What nests deeper than Lua's stack is cut off with an error in its place.
    if !lua.has_room(4) {
        const TOO_DEEP: &[u8] = b"ERR reached lua stack limit";
        reply.error(TOO_DEEP);
        note_error(lua, TOO_DEEP.to_vec(), false);
        return lua.pop(1);
    }
    match lua.view(-1) {
        View::String(bytes) => reply.bulk(bytes),
        View::Number(number) => reply.int(to_integer(number)),
        View::Other(Kind::Boolean) if resp3 => reply.boolean(lua.to_bool(-1)),
        View::Other(Kind::Boolean) if lua.to_bool(-1) => reply.int(1),
        View::Other(Kind::Table) => write_table(lua, reply, resp3),
        View::Other(_) => reply.null(),
    }
    lua.pop(1);
}

/// The value on top is an error that a command has replied and that was counted then (`redis.pcall`).
pub(crate) fn is_counted_error(lua: &mut Lua<'_>) -> bool {
    if lua.kind(-1) != Kind::Table || !lua.has_room(2) {
        return false;
    }
    lua.raw_get_field(-1, b"err");
    lua.raw_get_field(-2, b"ignore_error_stats_update");
    let is_counted = lua.kind(-2) == Kind::String && lua.kind(-1) == Kind::Boolean && lua.to_bool(-1);
    lua.pop(2);
    is_counted
}

fn write_table(lua: &mut Lua<'_>, reply: &mut Reply<'_>, resp3: bool) {
    let before = lua.top();
    for (name, kind, write) in FORMS {
        lua.raw_get_field(before, name);
        let is_written = lua.kind(-1) == *kind && write(lua, reply, resp3);
        lua.set_top(before);
        if is_written {
            return;
        }
    }
    let len = list_len(lua);
    reply.array(len);
    for i in 1..=len {
        lua.raw_get_index(before, i as i32);
        write(lua, reply, resp3);
    }
}

/// How many elements there are before the first nil.
fn list_len(lua: &mut Lua<'_>) -> usize {
    // Mostly the table's length is the answer; with holes it may be more.
    let len = lua.raw_len(-1);
    for i in 1..=len {
        lua.raw_get_index(-1, i as i32);
        let ends = lua.kind(-1) == Kind::Nil;
        lua.pop(1);
        if ends {
            return i - 1;
        }
    }
    len
}

/// Writes the field that is on top; `false`, with nothing written, when it has not what it must have.
type Write = fn(&mut Lua<'_>, &mut Reply<'_>, bool) -> bool;

/// The fields that make a table something else than a list, in the order in which they are looked for.
const FORMS: &[(&[u8], Kind, Write)] = &[
    (b"err", Kind::String, write_error),
    (b"ok", Kind::String, write_status),
    (b"double", Kind::Number, write_double),
    (b"map", Kind::Table, write_map),
    (b"set", Kind::Table, write_set),
    (b"big_number", Kind::String, write_big_number),
    (b"verbatim_string", Kind::Table, write_verbatim),
];

fn write_error(lua: &mut Lua<'_>, reply: &mut Reply<'_>, _: bool) -> bool {
    let text = c_text(lua.string(-1).unwrap_or_default());
    // Line breaks at the end go, others become spaces.
    let len = text.iter().rposition(|c| !matches!(c, b'\r' | b'\n')).map_or(0, |last| last + 1);
    let text = text[..len].to_vec();
    reply.error(&text);
    lua.raw_get_field(-2, b"ignore_error_stats_update");
    let is_counted = lua.to_bool(-1);
    lua.pop(1);
    note_error(lua, text, is_counted);
    true
}

fn note_error(lua: &Lua<'_>, text: Vec<u8>, is_counted: bool) {
    let cell = &lua.context().errors;
    let mut errors = cell.take();
    errors.push(RepliedError { text, is_counted });
    cell.set(errors);
}

fn write_double(lua: &mut Lua<'_>, reply: &mut Reply<'_>, _: bool) -> bool {
    reply.double(lua.to_number(-1).unwrap_or_default());
    true
}

fn write_status(lua: &mut Lua<'_>, reply: &mut Reply<'_>, _: bool) -> bool {
    let text = one_line(c_text(lua.string(-1).unwrap_or_default()));
    reply.raw(b"+");
    reply.raw(&text);
    reply.raw(b"\r\n");
    true
}

/// What C takes for the text: all before the first zero byte.
fn c_text(bytes: &[u8]) -> &[u8] {
    bytes.split(|&c| c == 0).next().unwrap_or_default()
}

fn one_line(text: &[u8]) -> Vec<u8> {
    text.iter().map(|&c| if c == b'\r' || c == b'\n' { b' ' } else { c }).collect()
}

fn count(lua: &mut Lua<'_>) -> usize {
    let table = lua.top();
    let mut count = 0;
    lua.push_nil();
    while lua.next(table) {
        count += 1;
        lua.pop(1);
    }
    count
}

fn write_map(lua: &mut Lua<'_>, reply: &mut Reply<'_>, resp3: bool) -> bool {
    let table = lua.top();
    reply.map(count(lua));
    lua.push_nil();
    while lua.next(table) {
        // The key is written from a copy, as the iteration goes on from it.
        lua.push_copy(-2);
        write(lua, reply, resp3);
        write(lua, reply, resp3);
    }
    true
}

fn write_set(lua: &mut Lua<'_>, reply: &mut Reply<'_>, resp3: bool) -> bool {
    let table = lua.top();
    reply.set(count(lua));
    lua.push_nil();
    while lua.next(table) {
        lua.pop(1);
        lua.push_copy(-1);
        write(lua, reply, resp3);
    }
    true
}

fn write_big_number(lua: &mut Lua<'_>, reply: &mut Reply<'_>, _: bool) -> bool {
    let digits = one_line(lua.string(-1).unwrap_or_default());
    if reply.is_resp3() {
        reply.raw(b"(");
        reply.raw(&digits);
        reply.raw(b"\r\n");
    } else {
        reply.bulk(&digits);
    }
    true
}

fn write_verbatim(lua: &mut Lua<'_>, reply: &mut Reply<'_>, _: bool) -> bool {
    let table = lua.top();
    lua.raw_get_field(table, b"format");
    lua.raw_get_field(table, b"string");
    let (Some(format), Some(text)) = (lua.string(-2), lua.string(-1)) else {
        return false;
    };
    if !reply.is_resp3() {
        reply.bulk(text);
        return true;
    }
    // The format has three letters; Redis cuts it or fills it with spaces.
    let mut letters = [b' '; 3];
    letters.iter_mut().zip(c_text(format)).for_each(|(to, &from)| *to = from);
    reply.raw(b"=");
    reply.raw(itoa::Buffer::new().format(text.len() + 4).as_bytes());
    reply.raw(b"\r\n");
    reply.raw(&letters);
    reply.raw(b":");
    reply.raw(text);
    reply.raw(b"\r\n");
    true
}
