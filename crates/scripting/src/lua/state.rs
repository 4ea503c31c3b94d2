//! A whole Lua state, and what its levels of calls are.

use std::any::Any;
use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mlua_sys as ffi;

use super::{Heap, Lua, Place, Shared, guards, heap, shared_of};
use crate::context::Context;
use crate::host::Interrupt;

/// After how many instructions of a script the host is asked whether it may go on.
pub(super) const INTERRUPT_INSTRUCTIONS: c_int = 100_000;

/// A script that makes so much has its garbage collected as soon as Lua's own settings say.
const LARGE_BYTES: usize = 16 << 20;

/// The collector's pause, in percent, that a state begins with.
pub(crate) const PAUSE_PERCENT: usize = 200;

/// A Lua state with the standard libraries that need no file, process or debugger.
pub(crate) struct State {
    raw: *mut ffi::lua_State,
    /// Made by `Box::into_raw`; the allocator uses it until the state is closed.
    shared: *mut Shared,
}

// SAFETY: the state and what it shares belong to this value alone, and are used through it alone; no thread is remembered in them.
unsafe impl Send for State {}

impl State {
    /// A state whose script code may hold `limit_bytes`.
    pub(crate) fn new(limit_bytes: usize, context: Context) -> State {
        let shared = Box::into_raw(Box::new(Shared {
            heap: Heap::new(limit_bytes),
            killed: Cell::new(false),
            panic: Cell::new(None),
            originals: guards::Originals::default(),
            context,
        }));
        // SAFETY: the allocator gets the data that it expects, and is lenient. The libraries' openers raise no error when memory is given.
        let raw = unsafe {
            let raw = ffi::lua_newstate(heap::allocate, shared.cast());
            assert!(!raw.is_null(), "a lenient heap always gives");
            for (name, open) in [
                (c"", ffi::luaopen_base as ffi::lua_CFunction),
                (c"table", ffi::luaopen_table),
                (c"string", ffi::luaopen_string),
                (c"math", ffi::luaopen_math),
            ] {
                ffi::lua_pushcclosure(raw, open, 0);
                ffi::lua_pushstring_(raw, name.as_ptr());
                ffi::lua_call(raw, 1, 0);
            }
            // Coroutines take over the hook of who makes them.
            ffi::lua_sethook(raw, Some(interrupt), ffi::LUA_MASKCOUNT, INTERRUPT_INSTRUCTIONS);
            raw
        };
        State { raw, shared }
    }

    pub(crate) fn shared(&self) -> &Shared {
        // SAFETY: it lives as long as `self`; all in it is changed through cells.
        unsafe { &*self.shared }
    }

    /// Uses the stack, which is empty before and after.
    pub(crate) fn enter<R>(&mut self, f: impl FnOnce(&mut Lua<'_>) -> R) -> R {
        // SAFETY: the state is alive, nothing else uses it while `self` is borrowed, and outside of calls its heap is lenient.
        let mut lua = unsafe { Lua::new(self.raw, 0, false) };
        let result = f(&mut lua);
        lua.set_top(0);
        self.resume_panic();
        result
    }

    /// Lets a panic of a native function go on, now that Lua has returned.
    pub(crate) fn resume_panic(&mut self) {
        if let Some(panic) = self.shared().panic.take() {
            resume_unwind(panic);
        }
    }

    /// Collects all garbage, also when a script had stopped the collector.
    pub(crate) fn collect(&mut self) {
        loop {
            let before = self.shared().heap.used_bytes();
            // SAFETY: the state is alive and no finalizer exists.
            unsafe { ffi::lua_gc(self.raw, ffi::LUA_GCCOLLECT, 0) };
            // Buffers of Lua's own shrink by half each time.
            if self.shared().heap.used_bytes() > before - before / 8 {
                break;
            }
        }
    }

    /// A step of the collector, also when a script had stopped it; answers whether it has been through all.
    pub(crate) fn collect_some(&mut self) -> bool {
        const STEP_KB: c_int = 50;
        // SAFETY: as in `collect`.
        unsafe { ffi::lua_gc(self.raw, ffi::LUA_GCSTEP, STEP_KB) != 0 }
    }

    /// When it has been through all, the collector rests until so many percent of what was left are held.
    pub(crate) fn set_pause(&mut self, percent: usize) {
        let percent = c_int::try_from(percent).unwrap_or(c_int::MAX);
        // SAFETY: the state is alive; a number is set.
        unsafe { ffi::lua_gc(self.raw, ffi::LUA_GCSETPAUSE, percent) };
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // SAFETY: both were made in `new` and are used no more; closing frees all blocks before the allocator's data go.
        unsafe {
            ffi::lua_close(self.raw);
            drop(Box::from_raw(self.shared));
        }
    }
}

/// Asks the host every so many instructions.
pub(super) unsafe extern "C-unwind" fn interrupt(raw: *mut ffi::lua_State, _: *mut ffi::lua_Debug) {
    // SAFETY: Lua calls this with its live state.
    let shared = unsafe { shared_of(raw) };
    if shared.heap.used_bytes() > LARGE_BYTES {
        // SAFETY: the state is alive; a number is set.
        unsafe { ffi::lua_gc(raw, ffi::LUA_GCSETPAUSE, PAUSE_PERCENT as c_int) };
    }
    if !ends(raw, shared) {
        return;
    }
    // SAFETY: the reason is on top, and this frame owns nothing.
    unsafe { ffi::lua_error(raw) };
}

/// Whether the script is to end; then the reason was pushed.
pub(super) fn ends(raw: *mut ffi::lua_State, shared: &Shared) -> bool {
    let lenient = shared.heap.set_lenient(true);
    let asked: Result<Option<Interrupt>, Box<dyn Any + Send>> =
        catch_unwind(AssertUnwindSafe(|| shared.context.host.with(|host| host.interrupt())));
    let reason = match asked {
        _ if shared.killed.get() => Some(""),
        Ok(Some(Interrupt::End(reason))) => Some(reason),
        Ok(_) => None,
        Err(panic) => {
            shared.panic.set(Some(panic));
            Some("")
        }
    };
    if let Some(reason) = reason {
        shared.killed.set(true);
        // SAFETY: a hook has the room of a native function, `Lua::check_interrupt` made some, and the heap is lenient.
        unsafe { ffi::lua_pushlstring_(raw, reason.as_ptr().cast(), reason.len()) };
    }
    shared.heap.set_lenient(lenient);
    reason.is_some()
}

/// What the running native function was called as.
#[derive(Default)]
pub(super) struct Called {
    pub(super) name: Option<Vec<u8>>,
    pub(super) is_method: bool,
}

pub(super) fn called(raw: *mut ffi::lua_State) -> Called {
    let Some(debug) = level(raw, 0, c"n") else { return Called::default() };
    // SAFETY: Lua set both to strings that live as long as the level, or to null.
    unsafe {
        let is_method = !debug.namewhat.is_null() && CStr::from_ptr(debug.namewhat) == c"method";
        let name = (!debug.name.is_null()).then(|| CStr::from_ptr(debug.name).to_bytes().to_vec());
        Called { name, is_method }
    }
}

pub(super) fn place(raw: *mut ffi::lua_State, at: c_int) -> Option<Place> {
    let debug = level(raw, at, c"Sl")?;
    // SAFETY: Lua set all of them to strings that end with 0.
    unsafe {
        Some(Place {
            source: CStr::from_ptr(debug.source).to_bytes().to_vec(),
            short_source: CStr::from_ptr(debug.short_src.as_ptr()).to_bytes().to_vec(),
            line: debug.currentline,
            is_native: CStr::from_ptr(debug.what) == c"C",
        })
    }
}

pub(super) fn level(raw: *mut ffi::lua_State, at: c_int, what: &CStr) -> Option<ffi::lua_Debug> {
    let mut debug = MaybeUninit::<ffi::lua_Debug>::zeroed();
    // SAFETY: the state is alive; zeros are a valid `lua_Debug`, and Lua fills in what was asked for when the level exists.
    unsafe {
        (ffi::lua_getstack(raw, at, debug.as_mut_ptr()) != 0).then(|| {
            ffi::lua_getinfo(raw, what.as_ptr(), debug.as_mut_ptr());
            debug.assume_init()
        })
    }
}

/// A raw pointer that says nothing, for the closures of C.
pub(super) type Data = *mut c_void;
