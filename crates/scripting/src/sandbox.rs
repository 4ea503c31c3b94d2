//! What a script finds: global variables that it can't change, and libraries without a way out.
//!
//! Something read-only is an empty table whose metatable leads reads to the real one and refuses writes:
//!
//! ```text
//!   string ──► {}   metatable: { __index = ──► { byte = …, char = …, … } (the real table),
//!                                __newindex = refuses,
//!                                1 = the real table, 2 = what getmetatable shows, 3 = a mark that no script has }
//! ```
//!
//! Functions that pass by metatables know the mark (`lua::guards`, and [`getmetatable`] here), so that a script sees a table with the right
//! fields. No script gets hold of a real one.

use crate::api::{self, Part};
use crate::context::Identity;
use crate::lua::{self, Failure, Kind, Lua, MARK, METATABLE, Outcome, READ_ONLY, REAL, Ref};
use crate::random::Random;
use crate::{bit, cjson, cmsgpack, strings, structure};

/// The tables behind the global variables.
pub(crate) struct Globals {
    /// What runs see; KEYS and ARGV are put here.
    pub(crate) real: Ref,
    /// The strings `KEYS` and `ARGV`.
    pub(crate) keys: Ref,
    pub(crate) argv: Ref,
    /// The metatable whose `__index` chooses between what runs and what loads see.
    pub(crate) metatable: Ref,
    /// What a library sees while it is loaded.
    pub(crate) load: Option<Ref>,
    /// What makes an error of a run a table with its place.
    pub(crate) handler: Ref,
}

/// For whom a state is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Scripts,
    Functions,
}

/// Global functions that reach files or code that is not text, or change whose globals a function has.
const REMOVED: &[&str] = &["dofile", "loadfile", "print", "newproxy", "getfenv", "setfenv"];

/// Makes a new state's globals what scripts may have.
pub(crate) fn build(lua: &mut Lua<'_>, purpose: Purpose, identity: &Identity) -> Globals {
    lua::install_guards(lua);
    lua.push_globals();
    let globals = lua.top();
    for name in REMOVED {
        lua.push_nil();
        lua.raw_set_field(globals, name.as_bytes());
    }
    replace_functions(lua, globals);
    add_libraries(lua, globals);
    protect_strings(lua, globals);
    let handler = add_api(lua, purpose, identity, globals);
    for name in ["string", "table", "math", "coroutine", "os", "bit", "cjson", "cmsgpack", "struct", "redis"] {
        lua.raw_get_field(globals, name.as_bytes());
        push_read_only(lua, None);
        lua.raw_set_field(globals, name.as_bytes());
    }
    lua.raw_get_field(globals, b"redis");
    lua.raw_set_field(globals, b"server");
    let load = (purpose == Purpose::Functions).then(|| load_globals(lua, identity));
    let (real, metatable) = protect_globals(lua, globals);
    let mut name = |text: &[u8]| {
        lua.push_bytes(text);
        lua.take_ref()
    };
    Globals { real, keys: name(b"KEYS"), argv: name(b"ARGV"), metatable, load, handler }
}

fn set<F: Fn(&mut Lua<'_>) -> Outcome + Copy + 'static>(lua: &mut Lua<'_>, table: i32, name: &str, function: F) {
    lua.push_function(function);
    lua.raw_set_field(table, name.as_bytes());
}

fn replace_functions(lua: &mut Lua<'_>, globals: i32) {
    set(lua, globals, "getmetatable", getmetatable);
    set(lua, globals, "unpack", unpack);
    set(lua, globals, "load", load);
    set(lua, globals, "loadstring", load_string);
    lua.raw_get_field(globals, b"string");
    strings::install(lua, lua.top());
    lua.pop(1);
    lua.raw_get_field(globals, b"math");
    let math = lua.top();
    set(lua, math, "random", random);
    set(lua, math, "randomseed", random_seed);
    lua.pop(1);
    lua.push_table(0, 1);
    let os = lua.top();
    set(lua, os, "clock", |lua| {
        let seconds = lua.context().host.with(|host| host.cpu_seconds()).unwrap_or(0.0);
        lua.push_number(seconds);
        Ok(1)
    });
    lua.raw_set_field(globals, b"os");
}

fn add_libraries(lua: &mut Lua<'_>, globals: i32) {
    for (name, push) in [
        ("bit", bit::push as fn(&mut Lua<'_>)),
        ("cjson", cjson::push),
        ("cmsgpack", cmsgpack::push),
        ("struct", structure::push),
    ] {
        push(lua);
        lua.raw_set_field(globals, name.as_bytes());
    }
}

/// Pushes `redis` and what belongs to it into the globals.
fn add_api(lua: &mut Lua<'_>, purpose: Purpose, identity: &Identity, globals: i32) -> Ref {
    let part = if purpose == Purpose::Scripts { Part::Script } else { Part::Function };
    api::push(lua, part, identity);
    lua.raw_set_field(globals, b"redis");
    lua.push_function(error_handler);
    if purpose == Purpose::Scripts {
        lua.push_copy(-1);
        lua.raw_set_field(globals, b"__redis__err__handler");
    }
    lua.take_ref()
}

/// Replaces the table on top by something read-only that leads to it. `metatable` is where the table is that `getmetatable` shows.
pub(crate) fn push_read_only(lua: &mut Lua<'_>, metatable: Option<i32>) {
    let real = lua.top();
    lua.push_table(0, 0);
    lua.push_table(MARK as usize, 2);
    lua.push_copy(real);
    lua.raw_set_field(-2, b"__index");
    set(lua, real + 2, "__newindex", |lua| Err(lua.raise_here(READ_ONLY)));
    lua.push_copy(real);
    lua.raw_set_index(-2, REAL);
    if let Some(metatable) = metatable {
        lua.push_copy(metatable);
        lua.raw_set_index(-2, METATABLE);
    }
    lua.push_mark();
    lua.raw_set_index(-2, MARK);
    lua.set_metatable(real + 1);
    lua.remove(real);
}

/// Whether the value is read-only; then its metatable was pushed.
fn push_if_read_only(lua: &mut Lua<'_>, index: i32) -> bool {
    if lua.kind(index) != Kind::Table || !lua.push_metatable(index) {
        return false;
    }
    lua.raw_get_index(-1, MARK);
    let marked = lua.is_mark(-1);
    lua.pop(if marked { 1 } else { 2 });
    marked
}

/// Pushes what the read-only table on top stands for, or the table on top once more.
pub(crate) fn resolve_read_only(lua: &mut Lua<'_>) {
    if push_if_read_only(lua, -1) {
        lua.raw_get_index(-1, REAL);
        lua.remove(-2);
    } else {
        lua.push_copy(-1);
    }
}

/// The metatable of strings leads to the real table of their functions; scripts see one that leads to the read-only one.
fn protect_strings(lua: &mut Lua<'_>, globals: i32) {
    lua.push_bytes(b"");
    let has_metatable = lua.push_metatable(-1);
    assert!(has_metatable, "the library of strings was opened");
    let metatable = lua.top();
    lua.push_table(0, 1);
    lua.raw_get_field(globals, b"string");
    push_read_only(lua, None);
    lua.raw_set_field(-2, b"__index");
    push_read_only(lua, None);
    lua.raw_set_field(metatable, SHOWN);
    lua.pop(2);
}

/// Where the metatable of strings has what `getmetatable` shows.
const SHOWN: &[u8] = b"rivulet_shown";

/// Pushes a metatable that refuses to read what is not there.
fn push_strict(lua: &mut Lua<'_>) {
    lua.push_table(0, 1);
    let metatable = lua.top();
    set(lua, metatable, "__index", |lua| match lua.arg_bytes(2) {
        Some(name) => {
            let text = [b"Script attempted to access nonexistent global variable '", c_text(name), b"'"].concat();
            Err(lua.raise_here(text))
        }
        None => Err(lua.raise_here("Second argument to luaProtectedTableError must be a string or number")),
    });
}

fn c_text(bytes: &[u8]) -> &[u8] {
    bytes.split(|&c| c == 0).next().unwrap_or_default()
}

/// Takes the table on top, and gives it a metatable that refuses what is not there.
fn load_globals(lua: &mut Lua<'_>, identity: &Identity) -> Ref {
    lua.push_table(0, 2);
    let globals = lua.top();
    api::push(lua, Part::Load, identity);
    push_strict(lua);
    lua.set_metatable(globals + 1);
    push_read_only(lua, None);
    lua.push_copy(-1);
    lua.raw_set_field(globals, b"redis");
    lua.raw_set_field(globals, b"server");
    push_strict(lua);
    lua.set_metatable(globals);
    lua.take_ref()
}

/// Puts something read-only in the place of the globals.
fn protect_globals(lua: &mut Lua<'_>, globals: i32) -> (Ref, Ref) {
    push_strict(lua);
    // What scripts see of it is a copy.
    lua.push_table(0, 1);
    lua.raw_get_field(-2, b"__index");
    lua.raw_set_field(-2, b"__index");
    push_read_only(lua, None);
    let shown = lua.top();
    lua.push_copy(globals);
    push_read_only(lua, Some(shown));
    lua.push_copy(-1);
    lua.raw_set_field(globals, b"_G");
    let _ = lua.push_metatable(-1);
    let metatable = lua.take_ref();
    lua.set_globals();
    lua.pop(1);
    lua.set_metatable(globals);
    lua.push_copy(globals);
    (lua.take_ref(), metatable)
}

/// Makes a text, or whatever was raised, a table with the text and its place.
fn error_handler(lua: &mut Lua<'_>) -> Outcome {
    lua.push_copy(1);
    if lua.kind(-1) != Kind::Table || push_if_read_only(lua, -1) {
        let text = [b"ERR ", error_text(lua).as_slice()].concat();
        lua.push_table(0, 3);
        lua.push_bytes(&text);
        lua.raw_set_field(-2, b"err");
    }
    let caller = lua.place(1);
    let place = if caller.as_ref().is_some_and(|p| p.is_native) { lua.place(2) } else { caller };
    if let Some(place) = place {
        lua.push_bytes(&place.source);
        lua.raw_set_field(-2, b"source");
        lua.push_number(f64::from(place.line));
        lua.raw_set_field(-2, b"line");
    }
    Ok(1)
}

fn error_text(lua: &mut Lua<'_>) -> Vec<u8> {
    match lua.kind(1) {
        Kind::None | Kind::Nil => b"nil".to_vec(),
        Kind::Boolean => lua.to_bool(1).to_string().into_bytes(),
        Kind::String | Kind::Number => lua.arg_bytes(1).unwrap_or_default().to_vec(),
        _ => format!("{}: {:#x}", lua.kind_name(1), lua.address(1)).into_bytes(),
    }
}

fn getmetatable(lua: &mut Lua<'_>) -> Outcome {
    lua.check_any(1)?;
    if push_if_read_only(lua, 1) {
        lua.raw_get_index(-1, METATABLE);
        return Ok(1);
    }
    if !lua.push_metatable(1) {
        lua.push_nil();
        return Ok(1);
    }
    let field: &[u8] = if lua.kind(1) == Kind::String { SHOWN } else { b"__metatable" };
    lua.raw_get_field(-1, field);
    if lua.kind(-1) == Kind::Nil {
        lua.pop(1);
    }
    Ok(1)
}

/// `unpack`, whose count can't overflow.
fn unpack(lua: &mut Lua<'_>) -> Outcome {
    lua.check_table(1)?;
    let first = optional_integer(lua, 2, 1)?;
    let last = optional_integer(lua, 3, lua.raw_len(1) as i64)?;
    if first > last {
        return Ok(0);
    }
    // As C's: indexes are of 32 bits.
    let count = last - first + 1;
    match i32::try_from(count) {
        Ok(count) if lua.has_just_room(count) => {
            for i in first..=last {
                lua.raw_get_index(1, i as i32);
            }
            Ok(count)
        }
        _ => Err(lua.raise_here("too many results to unpack")),
    }
}

/// An integer as C's `luaL_checkint` takes it: 32 bits of the number.
fn optional_integer(lua: &mut Lua<'_>, argument: i32, default: i64) -> Result<i64, lua::Raise> {
    match lua.kind(argument) {
        Kind::None | Kind::Nil => Ok(default),
        _ => Ok(i64::from(crate::number::to_integer(lua.check_number(argument)?) as i32)),
    }
}

/// Compiles the text and answers its function, or nil and a message.
fn compiled(lua: &mut Lua<'_>, text: &[u8], name: &[u8]) -> Outcome {
    let name = std::ffi::CString::new(c_text(name)).unwrap_or_default();
    match lua.compile(text, &name) {
        Ok(()) => Ok(1),
        Err(_) => nil_and_top(lua),
    }
}

fn nil_and_top(lua: &mut Lua<'_>) -> Outcome {
    lua.push_nil();
    lua.insert(-2);
    Ok(2)
}

fn load_string(lua: &mut Lua<'_>) -> Outcome {
    let text = lua.check_bytes(1)?;
    let name = match lua.kind(2) {
        Kind::None | Kind::Nil => text,
        _ => lua.check_bytes(2)?,
    };
    compiled(lua, text, name)
}

/// `load`: all pieces are there before the parser begins, so that no code runs while it works.
fn load(lua: &mut Lua<'_>) -> Outcome {
    if lua.kind(1) != Kind::Function {
        let why = format!("function expected, got {}", lua.kind_name(1));
        return Err(lua.raise_argument(1, &why));
    }
    let name = match lua.kind(2) {
        Kind::None | Kind::Nil => b"=(load)",
        _ => lua.check_bytes(2)?,
    };
    let mut text = Vec::new();
    loop {
        lua.push_copy(1);
        if lua.call(0, 1, None).is_err() {
            if lua.shared().killed.get() {
                return Err(lua.raise_top());
            }
            return nil_and_top(lua);
        }
        match lua.kind(-1) {
            Kind::Nil => return compiled(lua, &text, name),
            Kind::String | Kind::Number => {
                let piece = lua.bytes(-1).unwrap_or_default();
                if piece.is_empty() {
                    return compiled(lua, &text, name);
                }
                text.extend_from_slice(piece);
                lua.pop(1);
            }
            _ => {
                lua.push_bytes(b"reader function must return a string");
                return nil_and_top(lua);
            }
        }
        lua.check_text(text.len())?;
    }
}

fn random(lua: &mut Lua<'_>) -> Outcome {
    let mut random = lua.context().random.get();
    let unit = random.unit();
    lua.context().random.set(random);
    let integer = |lua: &mut Lua<'_>, argument| optional_integer(lua, argument, 0);
    let value = match lua.top() {
        0 => unit,
        1 => {
            let high = lua.check_number(1).and_then(|_| integer(lua, 1))?;
            if high < 1 {
                return Err(lua.raise_argument(1, "interval is empty"));
            }
            (unit * high as f64).floor() + 1.0
        }
        2 => {
            let low = lua.check_number(1).and_then(|_| integer(lua, 1))?;
            let high = lua.check_number(2).and_then(|_| integer(lua, 2))?;
            if low > high {
                return Err(lua.raise_argument(2, "interval is empty"));
            }
            // C's difference has 32 bits.
            (unit * f64::from((high - low + 1) as i32)).floor() + low as f64
        }
        _ => return Err(lua.raise_here("wrong number of arguments")),
    };
    lua.push_number(value);
    Ok(1)
}

fn random_seed(lua: &mut Lua<'_>) -> Outcome {
    let seed = crate::number::to_integer(lua.check_number(1)?) as i32;
    lua.context().random.set(Random::seeded(seed));
    Ok(0)
}

/// Why a run failed: a failure of memory has a text, all others are what [`error_handler`] made of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) text: Vec<u8>,
    /// Source and line.
    pub(crate) place: Option<(Vec<u8>, Vec<u8>)>,
    /// The server has counted this error when a command replied it.
    pub(crate) is_counted: bool,
}

/// What the error on top says.
pub(crate) fn failed(lua: &mut Lua<'_>, failure: Failure) -> Failed {
    if failure == Failure::Memory || lua.kind(-1) != Kind::Table {
        let text = lua.bytes(-1).unwrap_or(b"unknown error");
        return Failed { text: [b"ERR ", text].concat(), place: None, is_counted: false };
    }
    let mut field = |name: &[u8]| {
        lua.raw_get_field(-1, name);
        let text = lua.bytes(-1).map(<[u8]>::to_vec);
        lua.pop(1);
        text
    };
    let text = field(b"err").unwrap_or_else(|| b"ERR unknown error".to_vec());
    let place = field(b"source").zip(field(b"line"));
    lua.raw_get_field(-1, b"ignore_error_stats_update");
    let is_counted = lua.to_bool(-1);
    lua.pop(1);
    Failed { text, place, is_counted }
}
