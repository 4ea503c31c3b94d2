//! The library `cjson`: JSON of values and values of JSON, with the settings that scripts can change.
//!
//! The settings of the global table live on from script to script, as in Redis; `cjson.new()` gives a table with its own.

mod decode;
mod encode;

use crate::lua::{Kind, Lua, Outcome, Raise};
use crate::number::to_integer;

/// What a script may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    sparse_convert: i32,
    sparse_ratio: i32,
    sparse_safe: i32,
    encode_depth_max: i32,
    decode_depth_max: i32,
    /// 0: refuse, 1: write them as they are, 2: write null.
    encode_invalid: i32,
    decode_invalid: i32,
    /// Answered, but without a meaning here.
    keep_buffer: i32,
    precision: i32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            sparse_convert: 0,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth_max: 1000,
            decode_depth_max: 1000,
            encode_invalid: 0,
            decode_invalid: 1,
            keep_buffer: 1,
            precision: 14,
        }
    }
}

/// Whatever a script sets, values nest no deeper: each level takes a place on the thread's stack.
const DEPTH_MAX: i32 = 4000;

type Field = fn(&mut Settings) -> &mut i32;

const FIELDS: [Field; 9] = [
    |s| &mut s.sparse_convert,
    |s| &mut s.sparse_ratio,
    |s| &mut s.sparse_safe,
    |s| &mut s.encode_depth_max,
    |s| &mut s.decode_depth_max,
    |s| &mut s.encode_invalid,
    |s| &mut s.decode_invalid,
    |s| &mut s.keep_buffer,
    |s| &mut s.precision,
];

/// Pushes the library's global table.
pub(crate) fn push(lua: &mut Lua<'_>) {
    lua.push_nil();
    push_module(lua);
}

/// Replaces the value on top, which says where the settings are, by the library's table: nil means those of the state, a table has its own.
fn push_module(lua: &mut Lua<'_>) {
    let settings = lua.top();
    lua.push_table(0, 13);
    let module = lua.top();
    fn add<F: Fn(&mut Lua<'_>) -> Outcome + Copy + 'static>(lua: &mut Lua<'_>, module: i32, name: &str, function: F) {
        lua.push_copy(module - 1);
        lua.push_function_with(function);
        lua.raw_set_field(module, name.as_bytes());
    }
    add(lua, module, "encode", encode::encode);
    add(lua, module, "decode", decode::decode);
    add(lua, module, "new", |lua| {
        lua.push_table(FIELDS.len(), 0);
        store(lua, -1, Settings::default());
        push_module(lua);
        Ok(1)
    });
    add(lua, module, "encode_sparse_array", |lua| {
        change(lua, 3, |lua, s| {
            choice(lua, 1, &mut s.sparse_convert, OFF_ON)?;
            integer(lua, 2, &mut s.sparse_ratio, 0, i32::MAX)?;
            integer(lua, 3, &mut s.sparse_safe, 0, i32::MAX)
        })
    });
    add(lua, module, "encode_max_depth", |lua| {
        change(lua, 1, |lua, s| integer(lua, 1, &mut s.encode_depth_max, 1, i32::MAX))
    });
    add(lua, module, "decode_max_depth", |lua| {
        change(lua, 1, |lua, s| integer(lua, 1, &mut s.decode_depth_max, 1, i32::MAX))
    });
    add(lua, module, "encode_number_precision", |lua| {
        change(lua, 1, |lua, s| integer(lua, 1, &mut s.precision, 1, 14))
    });
    add(lua, module, "encode_keep_buffer", |lua| change(lua, 1, |lua, s| choice(lua, 1, &mut s.keep_buffer, OFF_ON)));
    add(lua, module, "encode_invalid_numbers", |lua| {
        change(lua, 1, |lua, s| choice(lua, 1, &mut s.encode_invalid, &["off", "on", "null"]))
    });
    add(lua, module, "decode_invalid_numbers", |lua| {
        change(lua, 1, |lua, s| choice(lua, 1, &mut s.decode_invalid, OFF_ON))
    });
    lua.push_null();
    lua.raw_set_field(module, b"null");
    for (name, text) in [("_NAME", "cjson"), ("_VERSION", "2.1.0")] {
        lua.push_bytes(text.as_bytes());
        lua.raw_set_field(module, name.as_bytes());
    }
    lua.remove(settings);
}

const OFF_ON: &[&str] = &["off", "on"];

/// The settings of the table whose function runs.
fn settings(lua: &mut Lua<'_>) -> Settings {
    lua.push_upvalue();
    let mut settings = lua.context().json.get();
    if lua.kind(-1) == Kind::Table {
        for (i, field) in (1..).zip(FIELDS) {
            lua.raw_get_index(-1, i);
            *field(&mut settings) = lua.to_number(-1).unwrap_or_default() as i32;
            lua.pop(1);
        }
    }
    lua.pop(1);
    settings
}

fn store(lua: &mut Lua<'_>, table: i32, mut settings: Settings) {
    lua.push_copy(table);
    for (i, field) in (1..).zip(FIELDS) {
        lua.push_number(f64::from(*field(&mut settings)));
        lua.raw_set_index(-2, i);
    }
    lua.pop(1);
}

/// Changes settings by up to `count` arguments, and answers what they are then.
fn change(lua: &mut Lua<'_>, count: i32, f: fn(&mut Lua<'_>, &mut Settings) -> Result<(), Raise>) -> Outcome {
    if lua.top() > count {
        return Err(lua.raise_argument(count + 1, "found too many arguments"));
    }
    let mut changed = settings(lua);
    let first_result = lua.top() + 1;
    let result = f(lua, &mut changed);
    // What was set before an argument was found wrong stays, as in C.
    lua.push_upvalue();
    if lua.kind(-1) == Kind::Table {
        store(lua, -1, changed);
    } else {
        lua.context().json.set(changed);
    }
    lua.pop(1);
    result?;
    Ok(lua.top() + 1 - first_result)
}

fn is_given(lua: &Lua<'_>, argument: i32) -> bool {
    !matches!(lua.kind(argument), Kind::Nil | Kind::None)
}

/// Sets an integer by an argument, if it is given, and pushes it.
fn integer(lua: &mut Lua<'_>, argument: i32, setting: &mut i32, min: i32, max: i32) -> Result<(), Raise> {
    // Earlier results are on the stack, above the arguments.
    if argument <= lua.arguments() && is_given(lua, argument) {
        let value = to_integer(lua.check_number(argument)?) as i32;
        if !(min..=max).contains(&value) {
            return Err(lua.raise_argument(1, &format!("expected integer between {min} and {max}")));
        }
        *setting = value;
    }
    lua.push_number(f64::from(*setting));
    Ok(())
}

/// Sets one of several words by an argument, if it is given, and pushes what it is: a boolean for the first two.
fn choice(lua: &mut Lua<'_>, argument: i32, setting: &mut i32, words: &[&str]) -> Result<(), Raise> {
    if argument <= lua.arguments() && is_given(lua, argument) {
        if lua.kind(argument) == Kind::Boolean {
            *setting = i32::from(lua.to_bool(argument));
        } else {
            let word = lua.check_bytes(argument)?;
            let word = word.split(|&c| c == 0).next().unwrap_or_default();
            match words.iter().position(|w| w.as_bytes() == word) {
                Some(at) => *setting = at as i32,
                None => {
                    let why = [b"invalid option '".as_slice(), word, b"'"].concat();
                    return Err(lua.raise_argument_bytes(argument, &why));
                }
            }
        }
    }
    match *setting {
        0 | 1 => lua.push_bool(*setting == 1),
        at => lua.push_bytes(words[at as usize].as_bytes()),
    }
    Ok(())
}
