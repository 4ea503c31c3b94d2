//! What a debugger needs of Lua: a stop at each line, the variables and the calls that are open there, and code that runs while the script stands
//! still.

use std::ffi::{CStr, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use mlua_sys as ffi;

use super::state::{self, INTERRUPT_INSTRUCTIONS, State, interrupt};
use super::{Failure, Kind, Lua, Shared, shared_of};
use crate::debugger::{self, Moment};

/// A call that is open.
pub(crate) struct Frame {
    /// What its caller calls it, if that has a name.
    pub(crate) name: Option<Vec<u8>>,
    /// The chunk's name for messages.
    pub(crate) short_source: Vec<u8>,
    pub(crate) line: i32,
}

impl State {
    /// The debugger is asked at each line from now on, or no longer.
    pub(crate) fn watch_lines(&mut self, on: bool) {
        let (hook, mask): (ffi::lua_Hook, c_int) = match on {
            true => (at_line, ffi::LUA_MASKLINE | ffi::LUA_MASKCOUNT),
            false => (interrupt, ffi::LUA_MASKCOUNT),
        };
        self.enter(|lua| {
            // SAFETY: the state is alive; coroutines take over the hook of who makes them.
            unsafe { ffi::lua_sethook(lua.raw, Some(hook), mask, INTERRUPT_INSTRUCTIONS) };
        });
    }
}

impl Lua<'_> {
    /// Pushes a local variable of an open call, and answers its name; 0 is the innermost call, 1 the first variable.
    pub(crate) fn push_local(&mut self, level: i32, variable: i32) -> Option<Vec<u8>> {
        let debug = state::level(self.raw, level, c"")?;
        // SAFETY: the level is there; `room` made place, and a value is pushed with a name only, which Lua keeps.
        unsafe {
            let name = ffi::lua_getlocal(self.room(), &raw const debug, variable);
            (!name.is_null()).then(|| CStr::from_ptr(name).to_bytes().to_vec())
        }
    }

    /// An open call; 0 is the innermost.
    pub(crate) fn frame(&self, level: i32) -> Option<Frame> {
        let debug = state::level(self.raw, level, c"Snl")?;
        // SAFETY: Lua set both to strings that live as long as the level, or the name to null.
        unsafe {
            Some(Frame {
                name: (!debug.name.is_null()).then(|| CStr::from_ptr(debug.name).to_bytes().to_vec()),
                short_source: CStr::from_ptr(debug.short_src.as_ptr()).to_bytes().to_vec(),
                line: debug.currentline,
            })
        }
    }

    /// Calls the function on top, protected, on a thread of Lua's of its own: where the script stands still, no hook could end what takes long. It is
    /// replaced by its result.
    ///
    /// # Errors
    /// The call raised an error, whose value is on top.
    pub(crate) fn call_apart(&mut self) -> Result<(), Failure> {
        assert!(self.kind(-1) == Kind::Function && self.top() > self.floor, "a function lies above the arguments");
        let raw = self.room();
        let heap = &self.shared.heap;
        // SAFETY: `room` made place for the thread, which stays on the stack while it is used and has room of its own. The call is protected; one value
        // comes back in each case, to the place that the function left.
        let status = unsafe {
            let thread = ffi::lua_newthread(raw);
            ffi::lua_sethook(thread, Some(interrupt), ffi::LUA_MASKCOUNT, INTERRUPT_INSTRUCTIONS);
            ffi::lua_insert(raw, -2);
            ffi::lua_xmove(raw, thread, 1);
            let lenient = heap.set_lenient(false);
            let status = ffi::lua_pcall(thread, 0, 1, 0);
            heap.set_lenient(lenient);
            ffi::lua_xmove(thread, raw, 1);
            ffi::lua_remove(raw, -2);
            status
        };
        match status {
            ffi::LUA_OK => Ok(()),
            ffi::LUA_ERRMEM => Err(Failure::Memory),
            _ => Err(Failure::Error),
        }
    }
}

/// Asks the debugger at each line, and every so many instructions.
unsafe extern "C-unwind" fn at_line(raw: *mut ffi::lua_State, event: *mut ffi::lua_Debug) {
    // SAFETY: Lua calls this with its live state, and says why.
    let (shared, moment) = unsafe {
        let is_line = (*event).event == ffi::LUA_HOOKLINE;
        (shared_of(raw), if is_line { Moment::Line } else { Moment::Count })
    };
    let lenient = shared.heap.set_lenient(true);
    let ends = stops(raw, shared, moment);
    shared.heap.set_lenient(lenient);
    if ends {
        // SAFETY: the reason is on top, and this frame owns nothing.
        unsafe { ffi::lua_error(raw) };
    }
}

/// Whether the script is to end; then the reason was pushed. A panic becomes a kill.
fn stops(raw: *mut ffi::lua_State, shared: &Shared, moment: Moment) -> bool {
    // SAFETY: the registers of the function that runs are below the floor and stay as they are, the heap is lenient, and a hook has the room of a
    // native function.
    let mut lua = unsafe { Lua::new(raw, ffi::lua_gettop(raw), false) };
    match catch_unwind(AssertUnwindSafe(|| debugger::reached(&mut lua, moment))) {
        Ok(Ok(())) => {
            lua.set_top(lua.floor);
            false
        }
        Ok(Err(_)) => true,
        Err(panic) => {
            shared.panic.set(Some(panic));
            shared.killed.set(true);
            lua.push_nil();
            true
        }
    }
}
