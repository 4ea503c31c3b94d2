//! Functions of the standard libraries with something put before or behind: what C's own would do to the server.
//!
//! They call script code or C's originals unprotected, so that an error may jump over them: they own nothing, and are short.
//!
//! - Protected calls (`pcall`, `xpcall`, `coroutine.resume`) can't hold up the end of a killed script.
//! - What is read-only (`crate::sandbox`) is looked into, and not written to, by functions that ignore metatables.
//! - `string.rep` knows before it begins when there is not enough memory.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};

use mlua_sys as ffi;

use super::state::Data;
use super::{Lua, Shared, heap, shared_of};

/// What assigning to something read-only says.
pub(crate) const READ_ONLY: &str = "Attempt to modify a readonly table";

/// C's functions, by [`Original`].
#[derive(Default)]
pub(super) struct Originals([Cell<Option<ffi::lua_CFunction>>; Original::COUNT]);

#[derive(Clone, Copy)]
#[repr(usize)]
enum Original {
    Xpcall,
    Resume,
    Next,
    Rawget,
    Rawset,
    Setmetatable,
    Insert,
    Foreach,
    Rep,
}

impl Original {
    const COUNT: usize = Original::Rep as usize + 1;
}

/// Puts the guards in the place of what they guard. The tables are those of a new state.
pub(crate) fn install(lua: &mut Lua<'_>) {
    for (library, name, guard, original) in [
        ("", "xpcall", xpcall as ffi::lua_CFunction, Original::Xpcall),
        ("coroutine", "resume", resume, Original::Resume),
        ("", "next", next, Original::Next),
        ("", "rawget", rawget, Original::Rawget),
        ("", "rawset", rawset, Original::Rawset),
        ("", "setmetatable", setmetatable, Original::Setmetatable),
        ("table", "insert", insert, Original::Insert),
        ("table", "foreach", foreach, Original::Foreach),
        ("string", "rep", rep, Original::Rep),
    ] {
        push_library(lua, library);
        lua.raw_get_field(-1, name.as_bytes());
        // SAFETY: the function is on top; `room` made place.
        let function = unsafe { ffi::lua_tocfunction(lua.raw, -1) };
        lua.shared.originals.0[original as usize].set(function);
        lua.pop(1);
        push_guard(lua, guard, 0);
        lua.raw_set_field(-2, name.as_bytes());
        lua.pop(1);
    }
    lua.push_globals();
    push_guard(lua, pcall, 0);
    lua.raw_set_field(-2, b"pcall");
    // Loops over other tables shall not pay for the guard of `next`.
    lua.raw_get_field(-1, b"next");
    // SAFETY: `pairs` was opened with C's `next` as its upvalue; both values are read.
    let raw_next = lua.shared.originals.0[Original::Next as usize].get().expect("it was found above");
    push_guard(lua, raw_next, 0);
    push_guard(lua, pairs, 2);
    lua.raw_set_field(-2, b"pairs");
    lua.pop(1);
}

fn push_library(lua: &mut Lua<'_>, library: &str) {
    lua.push_globals();
    if !library.is_empty() {
        lua.raw_get_field(-1, library.as_bytes());
        lua.remove(-2);
    }
}

/// Pushes a function that takes the topmost `upvalues` values.
fn push_guard(lua: &mut Lua<'_>, guard: ffi::lua_CFunction, upvalues: c_int) {
    assert!(lua.top() >= upvalues, "the upvalues are on the stack");
    // SAFETY: `room` made place; the upvalues are on top.
    unsafe { ffi::lua_pushcclosure(lua.room(), guard, upvalues) }
}

/// Where a read-only table's metatable has what it protects, and what marks it.
pub(crate) const REAL: i32 = 1;
pub(crate) const METATABLE: i32 = 2;
pub(crate) const MARK: i32 = 3;

static MARK_ADDRESS: u8 = 0;

impl Lua<'_> {
    /// A value that no script can have.
    pub(crate) fn push_mark(&mut self) {
        // SAFETY: `room` made place; nobody writes through the pointer.
        unsafe { ffi::lua_pushlightuserdata(self.room(), mark()) }
    }

    /// Pushes a function of a table and a key, which gives the value as a script would see it.
    pub(crate) fn push_index_function(&mut self) {
        push_guard(self, index, 0);
    }

    pub(crate) fn is_mark(&self, index: i32) -> bool {
        // SAFETY: the index is within the stack.
        unsafe { ffi::lua_touserdata(self.raw, self.index(index)) == mark() }
    }
}

fn mark() -> Data {
    (&raw const MARK_ADDRESS).cast_mut().cast()
}

/// Pushes what a read-only table protects.
///
/// # Safety
/// The index is within the stack of a live state, with room for three more values.
unsafe fn push_real(raw: *mut ffi::lua_State, index: c_int) -> bool {
    // SAFETY: the caller's promise; a marked metatable has a table at `REAL`.
    unsafe {
        if ffi::lua_type(raw, index) != ffi::LUA_TTABLE || ffi::lua_getmetatable(raw, index) == 0 {
            return false;
        }
        ffi::lua_rawgeti_(raw, -1, MARK);
        let marked = ffi::lua_touserdata(raw, -1) == mark();
        ffi::lua_settop(raw, -2);
        if marked {
            ffi::lua_rawgeti_(raw, -1, REAL);
            ffi::lua_remove(raw, -2);
        } else {
            ffi::lua_settop(raw, -2);
        }
        marked
    }
}

unsafe fn call_original(raw: *mut ffi::lua_State, original: Original) -> c_int {
    // SAFETY: a guard is called by Lua, with the arguments of the original; `install` kept a function of C.
    unsafe {
        match shared_of(raw).originals.0[original as usize].get() {
            Some(function) => function(raw),
            None => 0,
        }
    }
}

unsafe fn fail(raw: *mut ffi::lua_State, text: &'static str) -> c_int {
    // SAFETY: a guard has the room of a native function, and owns nothing that a jump would skip.
    unsafe {
        ffi::lua_pushlstring_(raw, text.as_ptr().cast(), text.len());
        ffi::lua_error(raw)
    }
}

/// Defines a guard that looks into what is read-only.
macro_rules! reader {
    ($name:ident, $original:expr) => {
        unsafe extern "C-unwind" fn $name(raw: *mut ffi::lua_State) -> c_int {
            // SAFETY: Lua calls this; the first argument's slot may be replaced.
            unsafe {
                if push_real(raw, 1) {
                    ffi::lua_replace(raw, 1);
                }
                call_original(raw, $original)
            }
        }
    };
}

/// Defines a guard that refuses to write to what is read-only.
macro_rules! writer {
    ($name:ident, $original:expr) => {
        unsafe extern "C-unwind" fn $name(raw: *mut ffi::lua_State) -> c_int {
            // SAFETY: Lua calls this.
            unsafe { if push_real(raw, 1) { fail(raw, READ_ONLY) } else { call_original(raw, $original) } }
        }
    };
}

reader!(next, Original::Next);
reader!(rawget, Original::Rawget);
reader!(foreach, Original::Foreach);
writer!(rawset, Original::Rawset);
writer!(setmetatable, Original::Setmetatable);
writer!(insert, Original::Insert);
/// `string.rep`, which would count to two billion for an empty string, and fill the memory before it finds that there is not enough.
unsafe extern "C-unwind" fn rep(raw: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this.
    unsafe {
        if ffi::lua_isstring(raw, 1) != 0 && ffi::lua_isnumber(raw, 2) != 0 {
            let times = ffi::lua_tonumber(raw, 2).max(0.0);
            if ffi::lua_type(raw, 1) == ffi::LUA_TSTRING {
                let bytes = ffi::lua_objlen(raw, 1);
                if bytes == 0 {
                    ffi::lua_settop(raw, 1);
                    return 1;
                }
                if !heap::of(raw).may_grow((bytes as f64 * times.min(f64::from(c_int::MAX))) as usize) {
                    return fail(raw, "not enough memory");
                }
            }
        }
        call_original(raw, Original::Rep)
    }
}

/// `pairs`: C's iteration for common tables, the guarded one for what is read-only.
unsafe extern "C-unwind" fn pairs(raw: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this; the closure has two upvalues, the guarded `next` and C's own.
    unsafe {
        ffi::luaL_checktype(raw, 1, ffi::LUA_TTABLE);
        let next = if push_real(raw, 1) { 1 } else { 2 };
        ffi::lua_pushvalue(raw, ffi::lua_upvalueindex(next));
        ffi::lua_pushvalue(raw, 1);
        ffi::lua_pushnil(raw);
    }
    3
}

/// `pcall`, which gives the text of an error that is a table with a field `err`.
unsafe extern "C-unwind" fn pcall(raw: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this; the function and its arguments are all of the stack.
    unsafe {
        ffi::luaL_checkany(raw, 1);
        let status = ffi::lua_pcall(raw, ffi::lua_gettop(raw) - 1, ffi::LUA_MULTRET, 0);
        if status != ffi::LUA_OK {
            end_if_killed(raw);
            if ffi::lua_type(raw, -1) == ffi::LUA_TTABLE {
                ffi::lua_getfield_(raw, -1, c"err".as_ptr());
                if ffi::lua_isstring(raw, -1) != 0 {
                    ffi::lua_replace(raw, -2);
                } else {
                    ffi::lua_settop(raw, -2);
                }
            }
        }
        // The results may have filled the stack.
        if ffi::lua_checkstack(raw, 1) == 0 {
            return fail(raw, "stack overflow");
        }
        ffi::lua_pushboolean(raw, c_int::from(status == ffi::LUA_OK));
        ffi::lua_insert(raw, 1);
        ffi::lua_gettop(raw)
    }
}

/// Raises the error on top again when it is the script's end.
///
/// # Safety
/// Called by a guard, with an error's value on top.
unsafe fn end_if_killed(raw: *mut ffi::lua_State) {
    // SAFETY: the caller's promise.
    unsafe {
        if shared_of(raw).killed.get() {
            ffi::lua_error(raw);
        }
    }
}

/// `xpcall`, whose handler does not run for a script that is being ended: hooks are off in it.
unsafe extern "C-unwind" fn xpcall(raw: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this.
    unsafe {
        ffi::luaL_checkany(raw, 2);
        ffi::lua_settop(raw, 2);
        ffi::lua_pushcclosure(raw, handler, 1);
        let results = call_original(raw, Original::Xpcall);
        if ffi::lua_toboolean(raw, 1) == 0 {
            end_if_killed(raw);
        }
        results
    }
}

/// What stands before the handler of an `xpcall`.
unsafe extern "C-unwind" fn handler(raw: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this with the error's value; the upvalue is the script's handler.
    unsafe {
        if !shared_of(raw).killed.get() {
            ffi::lua_settop(raw, 1);
            ffi::lua_pushvalue(raw, ffi::lua_upvalueindex(1));
            ffi::lua_insert(raw, 1);
            ffi::lua_call(raw, 1, 1);
        }
        1
    }
}

unsafe extern "C-unwind" fn resume(raw: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this. The original leaves `false` and the error on top when there was one.
    unsafe {
        let results = call_original(raw, Original::Resume);
        if results == 2 && ffi::lua_toboolean(raw, -2) == 0 {
            end_if_killed(raw);
        }
        results
    }
}

/// Reads a field of a table, metamethods included: for calls from Rust, protected.
unsafe extern "C-unwind" fn index(raw: *mut ffi::lua_State) -> c_int {
    // SAFETY: `Lua::push_index_function`'s caller passes a table and a key.
    unsafe {
        ffi::lua_settop(raw, 2);
        ffi::lua_gettable_(raw, 1);
    }
    1
}

/// The text of a chunk, in two pieces.
struct Text<'a> {
    pieces: [&'a [u8]; 2],
    given: usize,
}

unsafe extern "C-unwind" fn read_text(_: *mut ffi::lua_State, data: Data, len: *mut usize) -> *const c_char {
    // SAFETY: `compile` passes a `Text` that outlives the call.
    unsafe {
        let text = &mut *data.cast::<Text<'_>>();
        let piece = text.pieces.get(text.given).copied().unwrap_or_default();
        text.given += 1;
        *len = piece.len();
        piece.as_ptr().cast()
    }
}

/// Compiles a text, protected, and pushes its function or the error.
///
/// # Safety
/// The state is alive and has room for a value.
pub(super) unsafe fn compile(raw: *mut ffi::lua_State, text: &[u8], name: &CStr) -> Result<(), super::Failure> {
    // SAFETY: the caller's promise.
    let shared: &Shared = unsafe { shared_of(raw) };
    // Behind a space the first byte of compiled code is only a character that no text has.
    let mut text = Text { pieces: [b" ", text], given: 0 };
    let lenient = shared.heap.set_lenient(false);
    // SAFETY: loading is protected, the text outlives it. The parser does not tie the chunk's name to anything: nothing may be collected meanwhile.
    let status = unsafe {
        ffi::lua_gc(raw, ffi::LUA_GCSTOP, 0);
        let status = ffi::lua_load(raw, read_text, (&raw mut text).cast(), name.as_ptr());
        ffi::lua_gc(raw, ffi::LUA_GCRESTART, 0);
        status
    };
    shared.heap.set_lenient(lenient);
    match status {
        ffi::LUA_OK => Ok(()),
        ffi::LUA_ERRMEM => Err(super::Failure::Memory),
        _ => Err(super::Failure::Error),
    }
}
