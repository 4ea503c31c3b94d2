//! A safe surface over Lua 5.1's C interface: the only place of this crate with `unsafe` code.
//!
//! Why not a ready-made binding: a script sees the difference. Errors of the libraries must be strings with the script's line, as C's are, a
//! call of a command must cost a tenth of a microsecond, and what is read-only must look like the table that it protects.
//!
//! # What makes it sound
//!
//! Lua raises errors with `longjmp`, which must not pass over a Rust frame that has something to drop. It can't, for three reasons:
//!
//! 1. Rust functions are called by `entry`, which alone calls `lua_error`, after the function has returned.
//! 2. What a [`Lua`] does can raise only for want of memory or by a metamethod. It uses the raw accesses alone, and the allocator
//!    ([`heap`]) gives all that is asked for while Rust runs (`Heap::lenient`): the limit is looked at between the steps.
//! 3. Functions that call script code unprotected ([`guards`]) own nothing.
//!
//! A panic does not pass over C frames: `entry` keeps it, ends the script like a kill, and [`State::resume_panic`] lets it go on.
//!
//! Nothing has a finalizer (`newproxy` is not there, this crate makes no full userdata), so that the collector never runs code.

#[cfg(all(test, feature = "faults"))]
mod faults;
mod guards;
mod heap;
mod lent;
mod lines;
mod state;

use std::any::Any;
use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use mlua_sys as ffi;

pub(crate) use guards::{MARK, METATABLE, READ_ONLY, REAL, install as install_guards};
pub(crate) use heap::{Heap, LIMIT_BYTES_MAX};
pub(crate) use lent::Lent;
pub(crate) use state::{PAUSE_PERCENT, State};

use crate::context::Context;

/// Longer texts are not compiled: the lexer counts with an `int`.
const CHUNK_BYTES_MAX: usize = 1 << 30;

/// What a native function gives: how many results it left on top of the stack.
pub(crate) type Outcome = Result<i32, Raise>;

/// An error is to be raised; its value is on top of the stack.
#[must_use]
#[derive(Debug)]
pub(crate) struct Raise(());

/// Why a protected call ended early; the error's value is on top of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Error,
    Memory,
}

/// Lua gives each native function at least 20 slots above its arguments. These are used without asking; the rest is for what Lua does itself.
const OWN_ROOM: c_int = 16;

/// What all calls of one Lua state share.
pub(crate) struct Shared {
    pub(crate) heap: Heap,
    /// The script is being ended: nothing may hold that up.
    pub(crate) killed: Cell<bool>,
    panic: Cell<Option<Box<dyn Any + Send>>>,
    originals: guards::Originals,
    pub(crate) context: Context,
}

/// A kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    None,
    Nil,
    Boolean,
    LightUserdata,
    Number,
    String,
    Table,
    Function,
    Other,
}

/// What a value that commands take is.
pub(crate) enum View<'v> {
    String(&'v [u8]),
    Number(f64),
    Other(Kind),
}

/// The stack of a running Lua thread, for one native call.
///
/// Indexes are Lua's: from 1 on, or from the top with -1 downwards. Each is checked. The arguments of a native function stay where they are
/// until it returns, so that [`Lua::arg_bytes`] can lend them for the whole call.
pub(crate) struct Lua<'a> {
    raw: *mut ffi::lua_State,
    shared: &'a Shared,
    /// The slots from 1 to this belong to the caller.
    floor: c_int,
    in_function: bool,
    /// How many values can be pushed for sure: not less than there is room for.
    credit: c_int,
}

impl<'a> Lua<'a> {
    /// # Safety
    /// `raw` is alive for `'a` and its allocator's data is a [`Shared`]; nothing else uses its stack above `floor` meanwhile, the allocator is
    /// lenient, and the values up to `floor` stay there for `'a`. `in_function` only when Lua called a native function.
    unsafe fn new(raw: *mut ffi::lua_State, floor: c_int, in_function: bool) -> Lua<'a> {
        // SAFETY: the allocator's data of each state is its `Shared` (`State::new`), which lives longer than the state.
        let shared = unsafe { shared_of(raw) };
        Lua { raw, shared, floor, in_function, credit: OWN_ROOM }
    }

    pub(crate) fn shared(&self) -> &'a Shared {
        self.shared
    }

    pub(crate) fn context(&self) -> &'a Context {
        &self.shared.context
    }

    /// How many values are on the stack.
    pub(crate) fn top(&self) -> i32 {
        // SAFETY: reads a field of the live state.
        unsafe { ffi::lua_gettop(self.raw) }
    }

    #[inline]
    fn index(&self, index: i32) -> c_int {
        // The arguments are always there.
        if index > 0 && index <= self.floor {
            return index;
        }
        let top = self.top();
        assert!(index != 0 && index.abs() <= top, "an index within the stack");
        if index < 0 { top + 1 + index } else { index }
    }

    /// Makes sure that `slots` more values can be pushed. Functions that push a fixed few need not ask.
    ///
    /// # Errors
    /// The stack of one function has at most 8,000 slots.
    pub(crate) fn reserve(&mut self, slots: i32) -> Result<(), Raise> {
        if self.has_room(slots) || self.has_own_room() { Ok(()) } else { Err(self.raise("stack overflow")) }
    }

    /// Whether `slots` more values can be pushed; makes the room.
    pub(crate) fn has_room(&mut self, slots: i32) -> bool {
        // SAFETY: it may move the stack, of which nobody holds a place, and can raise only for want of memory. Ten more are kept for an error.
        unsafe { ffi::lua_checkstack(self.raw, slots.saturating_add(10).min(100_000)) != 0 }
    }

    /// [`Lua::has_room`] without a reserve for an error: to raise one, make room first.
    pub(crate) fn has_just_room(&mut self, slots: i32) -> bool {
        // SAFETY: as in `has_room`.
        unsafe { ffi::lua_checkstack(self.raw, slots.min(100_000)) != 0 }
    }

    /// Makes place for one value.
    #[inline]
    fn room(&mut self) -> *mut ffi::lua_State {
        if self.credit == 0 {
            self.make_room();
        }
        self.credit -= 1;
        self.raw
    }

    #[cold]
    fn make_room(&mut self) {
        // Lua's count of what a function may hold is from its first slot on; taking values off leaves more room than the credit says.
        self.credit = [OWN_ROOM, 1].into_iter().find(|n| self.has_just_room(*n)).unwrap_or(0);
        if self.credit == 0 {
            assert!(self.has_own_room(), "the room was reserved");
            self.credit = 1;
        }
    }

    /// Whether the top lies within the 20 slots that each native function has above its arguments, however many those are.
    fn has_own_room(&self) -> bool {
        self.in_function && self.top() < self.floor + OWN_ROOM
    }

    pub(crate) fn push_nil(&mut self) {
        // SAFETY: `room` made place.
        unsafe { ffi::lua_pushnil(self.room()) }
    }

    pub(crate) fn push_bool(&mut self, value: bool) {
        // SAFETY: `room` made place.
        unsafe { ffi::lua_pushboolean(self.room(), c_int::from(value)) }
    }

    pub(crate) fn push_number(&mut self, value: f64) {
        // SAFETY: `room` made place.
        unsafe { ffi::lua_pushnumber(self.room(), value) }
    }

    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) {
        // SAFETY: `room` made place; the bytes are copied.
        unsafe { ffi::lua_pushlstring_(self.room(), bytes.as_ptr().cast(), bytes.len()) }
    }

    /// A new table with a list of strings.
    pub(crate) fn push_list<'i>(&mut self, items: impl ExactSizeIterator<Item = &'i [u8]>) {
        self.push_table(items.len(), 0);
        let raw = self.room();
        for (at, item) in (1..).zip(items) {
            // SAFETY: `room` made place for one value above the table, which takes it each time; the bytes are copied.
            unsafe {
                ffi::lua_pushlstring_(raw, item.as_ptr().cast(), item.len());
                ffi::lua_rawseti_(raw, -2, at);
            }
        }
    }

    /// The null of JSON: a light userdata whose address is 0.
    pub(crate) fn push_null(&mut self) {
        // SAFETY: `room` made place; nobody reads what the pointer points to.
        unsafe { ffi::lua_pushlightuserdata(self.room(), std::ptr::null_mut()) }
    }

    pub(crate) fn is_null(&self, index: i32) -> bool {
        // SAFETY: the index is within the stack.
        self.kind(index) == Kind::LightUserdata && unsafe { ffi::lua_touserdata(self.raw, self.index(index)) }.is_null()
    }

    /// A new table with room for `array` and `hash` elements, which must not come unchecked from outside.
    pub(crate) fn push_table(&mut self, array: usize, hash: usize) {
        const ROOM_MAX: usize = 1 << 20;
        let (array, hash) = (array.min(ROOM_MAX) as c_int, hash.min(ROOM_MAX) as c_int);
        // SAFETY: `room` made place; the sizes are below where Lua would raise an overflow.
        unsafe { ffi::lua_createtable(self.room(), array, hash) }
    }

    /// A native function. `F` must be a function item or a closure that captures nothing.
    pub(crate) fn push_function<F: Fn(&mut Lua<'_>) -> Outcome + Copy + 'static>(&mut self, _function: F) {
        const { assert!(size_of::<F>() == 0, "a native function captures nothing") };
        // SAFETY: `room` made place.
        unsafe { ffi::lua_pushcclosure(self.room(), entry::<F>, 0) }
    }

    /// A native function that has the value on top with it, which it takes; see [`Lua::push_upvalue`].
    pub(crate) fn push_function_with<F: Fn(&mut Lua<'_>) -> Outcome + Copy + 'static>(&mut self, _function: F) {
        const { assert!(size_of::<F>() == 0, "a native function captures nothing") };
        assert!(self.top() > self.floor, "a value lies above the arguments");
        // SAFETY: a value is on top, whose place the function takes.
        unsafe { ffi::lua_pushcclosure(self.raw, entry::<F>, 1) }
    }

    /// Pushes what was given to [`Lua::push_function_with`], or nil.
    pub(crate) fn push_upvalue(&mut self) {
        assert!(self.in_function, "a native function runs");
        // SAFETY: `room` made place; a native function runs, and Lua gives nil for an upvalue that it does not have.
        unsafe { ffi::lua_pushvalue(self.room(), ffi::lua_upvalueindex(1)) }
    }

    /// A native function with a text, a pattern and a number, which are on top, and which it takes; see [`Lua::iterator`].
    pub(crate) fn push_iterator<F: Fn(&mut Lua<'_>) -> Outcome + Copy + 'static>(&mut self, _function: F) {
        const { assert!(size_of::<F>() == 0, "a native function captures nothing") };
        assert!(self.top() >= self.floor + 3, "three values lie above the arguments");
        // SAFETY: the values are on top, whose places the function takes.
        unsafe { ffi::lua_pushcclosure(self.raw, entry::<F>, 3) }
    }

    /// What was given to [`Lua::push_iterator`]; the texts are there for the whole call.
    pub(crate) fn iterator(&mut self) -> (&'a [u8], &'a [u8], usize) {
        assert!(self.in_function, "a native function runs");
        // SAFETY: Lua keeps the running function, and that its first two upvalues, which nothing replaces. Where there are none, nil is read.
        unsafe {
            let text = bytes_at(self.raw, ffi::lua_upvalueindex(1)).unwrap_or_default();
            let pattern = bytes_at(self.raw, ffi::lua_upvalueindex(2)).unwrap_or_default();
            (text, pattern, ffi::lua_tonumber(self.raw, ffi::lua_upvalueindex(3)) as usize)
        }
    }

    /// Changes the number of an iterator.
    pub(crate) fn set_iterator(&mut self, number: usize) {
        self.push_number(number as f64);
        assert!(self.iterator_is_running(), "an iterator runs");
        // SAFETY: the function has three upvalues; a number is on top.
        unsafe { ffi::lua_replace(self.raw, ffi::lua_upvalueindex(3)) }
    }

    fn iterator_is_running(&self) -> bool {
        // SAFETY: as in `push_upvalue`; the third upvalue is a number in an iterator alone.
        self.in_function && unsafe { ffi::lua_type(self.raw, ffi::lua_upvalueindex(3)) } == ffi::LUA_TNUMBER
    }

    /// How many arguments the native function has.
    pub(crate) fn arguments(&self) -> i32 {
        self.floor
    }

    pub(crate) fn push_copy(&mut self, index: i32) {
        let index = self.index(index);
        // SAFETY: `room` made place; the index is within the stack.
        unsafe { ffi::lua_pushvalue(self.room(), index) }
    }

    /// The table of global variables of this thread.
    pub(crate) fn push_globals(&mut self) {
        // SAFETY: `room` made place; the pseudo-index always names a table.
        unsafe { ffi::lua_pushvalue(self.room(), ffi::LUA_GLOBALSINDEX) }
    }

    /// Makes the table on top the globals of this thread and of what is compiled from now on, and takes it.
    pub(crate) fn set_globals(&mut self) {
        assert_eq!(self.kind(-1), Kind::Table, "globals are a table");
        assert!(self.top() > self.floor, "it lies above the arguments");
        // SAFETY: a table is on top.
        unsafe { ffi::lua_replace(self.raw, ffi::LUA_GLOBALSINDEX) }
    }

    /// Drops the topmost `count` values.
    pub(crate) fn pop(&mut self, count: i32) {
        self.set_top(self.top() - count);
    }

    /// Drops all values above `top`.
    pub(crate) fn set_top(&mut self, top: i32) {
        assert!((self.floor..=self.top()).contains(&top), "what is dropped lies above the arguments");
        // SAFETY: the new top is within the stack.
        unsafe { ffi::lua_settop(self.raw, top) }
    }

    /// Takes the value at `index` out; those above move down.
    pub(crate) fn remove(&mut self, index: i32) {
        let index = self.above_floor(index);
        // SAFETY: the index is within the stack.
        unsafe { ffi::lua_remove(self.raw, index) }
    }

    /// Moves the topmost value to `index`; those from there on move up.
    pub(crate) fn insert(&mut self, index: i32) {
        let index = self.above_floor(index);
        // SAFETY: the index is within the stack.
        unsafe { ffi::lua_insert(self.raw, index) }
    }

    fn above_floor(&self, index: i32) -> c_int {
        let index = self.index(index);
        assert!(index > self.floor, "the arguments stay where they are");
        index
    }

    pub(crate) fn kind(&self, index: i32) -> Kind {
        if !self.is_there(index) {
            return Kind::None;
        }
        kind_of(self.type_at(self.index(index)))
    }

    /// Lua's number for the kind of the value at an index that was checked.
    #[inline]
    fn type_at(&self, index: c_int) -> c_int {
        // SAFETY: the index is within the stack.
        unsafe { ffi::lua_type(self.raw, index) }
    }

    /// The value of a string or a number, or the kind of another. No number is converted.
    #[inline]
    pub(crate) fn view(&self, index: i32) -> View<'_> {
        if !self.is_there(index) {
            return View::Other(Kind::None);
        }
        let index = self.index(index);
        match self.type_at(index) {
            // SAFETY: the index is within the stack, and nothing can take the string off or collect it while `self` is borrowed.
            ffi::LUA_TSTRING => View::String(unsafe { bytes_at(self.raw, index) }.unwrap_or_default()),
            // SAFETY: the index is within the stack.
            ffi::LUA_TNUMBER => View::Number(unsafe { ffi::lua_tonumber(self.raw, index) }),
            other => View::Other(kind_of(other)),
        }
    }

    /// Whether there is such a value; a negative index must be one.
    #[inline]
    fn is_there(&self, index: i32) -> bool {
        index <= self.floor || index <= self.top()
    }

    /// The kind's name in messages.
    pub(crate) fn kind_name(&self, index: i32) -> &'static str {
        if index > self.top() {
            return "no value";
        }
        // SAFETY: the index is within the stack; the names are constants of ASCII.
        let name = unsafe { CStr::from_ptr(ffi::lua_typename(self.raw, ffi::lua_type(self.raw, self.index(index)))) };
        name.to_str().unwrap_or("value")
    }

    pub(crate) fn to_bool(&self, index: i32) -> bool {
        // SAFETY: the index is within the stack.
        index <= self.top() && unsafe { ffi::lua_toboolean(self.raw, self.index(index)) != 0 }
    }

    /// A number, or a string that is one.
    pub(crate) fn to_number(&self, index: i32) -> Option<f64> {
        if !self.is_there(index) {
            return None;
        }
        let index = self.index(index);
        // SAFETY: the index is within the stack. What is no number reads as 0.
        unsafe {
            let value = ffi::lua_tonumber(self.raw, index);
            (value != 0.0 || ffi::lua_isnumber(self.raw, index) != 0).then_some(value)
        }
    }

    /// The bytes of a string, or of a number, which becomes a string where it lies (so never ask it of a key while iterating).
    pub(crate) fn bytes(&mut self, index: i32) -> Option<&[u8]> {
        if index > self.top() {
            return None;
        }
        let index = self.index(index);
        // SAFETY: the string is on the stack, and nothing can take it off or collect it while `self` is borrowed.
        unsafe { bytes_at(self.raw, index) }
    }

    /// The bytes of a string alone.
    pub(crate) fn string(&self, index: i32) -> Option<&[u8]> {
        // SAFETY: as in `bytes`; no number is converted.
        if self.kind(index) == Kind::String { unsafe { bytes_at(self.raw, self.index(index)) } } else { None }
    }

    /// [`Lua::bytes`] of an argument, for the time of the whole call.
    pub(crate) fn arg_bytes(&mut self, arg: i32) -> Option<&'a [u8]> {
        assert!(arg > 0, "arguments are counted from 1");
        // SAFETY: the slots up to `floor` can't be changed before the call returns (`set_top`, `remove`, `insert`), and they keep the string.
        if arg <= self.floor { unsafe { bytes_at(self.raw, arg) } } else { None }
    }

    /// Where an object lies, to tell it from others.
    pub(crate) fn address(&self, index: i32) -> usize {
        // SAFETY: the index is within the stack; the pointer is only compared.
        unsafe { ffi::lua_topointer(self.raw, self.index(index)) as usize }
    }

    fn table(&self, index: i32) -> c_int {
        let index = self.index(index);
        // SAFETY: the index is within the stack.
        let kind = unsafe { ffi::lua_type(self.raw, index) };
        assert_eq!(kind, ffi::LUA_TTABLE, "the value is a table");
        index
    }

    /// The length of a string or of a table's list, without metamethods.
    pub(crate) fn raw_len(&self, index: i32) -> usize {
        // SAFETY: the index is within the stack.
        unsafe { ffi::lua_objlen(self.raw, self.index(index)) }
    }

    /// Replaces the key on top by its value in the table, without metamethods.
    pub(crate) fn raw_get(&mut self, table: i32) {
        let table = self.table(table);
        // SAFETY: the index is a table's, and a key is on top.
        unsafe { ffi::lua_rawget_(self.raw, table) }
    }

    /// Pushes the value of a field, without metamethods.
    pub(crate) fn raw_get_field(&mut self, table: i32, name: &[u8]) {
        let table = self.table(table);
        self.push_bytes(name);
        self.raw_get(table);
    }

    pub(crate) fn raw_get_index(&mut self, table: i32, index: i32) {
        let table = self.table(table);
        // SAFETY: `room` made place, and the index is a table's.
        unsafe { ffi::lua_rawgeti_(self.room(), table, index) }
    }

    /// Sets the key below the top to the value on top, and takes both. A key that is nil or not a number (NaN) sets nothing.
    pub(crate) fn raw_set(&mut self, table: i32) {
        let table = self.table(table);
        assert!(self.top() - 2 >= self.floor.max(table), "a key and a value lie above the table");
        let bad_key = match self.kind(-2) {
            Kind::Nil => true,
            Kind::Number => self.to_number(-2).is_none_or(f64::is_nan),
            _ => false,
        };
        if bad_key {
            return self.pop(2);
        }
        // SAFETY: the index is a table's, a key that Lua takes and a value are on top.
        unsafe { ffi::lua_rawset(self.raw, table) }
    }

    /// Sets a field to the value on top, and takes that.
    pub(crate) fn raw_set_field(&mut self, table: i32, name: &[u8]) {
        let table = self.table(table);
        self.push_bytes(name);
        self.insert(-2);
        self.raw_set(table);
    }

    /// [`Lua::raw_set`] for a key that is a string.
    pub(crate) fn raw_set_named(&mut self, table: i32) {
        let table = self.table(table);
        assert!(self.top() - 2 >= self.floor.max(table), "a key and a value lie above the table");
        assert_eq!(self.type_at(self.index(-2)), ffi::LUA_TSTRING, "the key is a string");
        // SAFETY: the index is a table's, a key that Lua takes and a value are on top.
        unsafe { ffi::lua_rawset(self.raw, table) }
    }

    /// Sets an element to the value on top, and takes that.
    pub(crate) fn raw_set_index(&mut self, table: i32, index: i32) {
        let table = self.table(table);
        assert!(self.top() > self.floor.max(table), "a value lies above the table");
        // SAFETY: the index is a table's, and a value is on top.
        unsafe { ffi::lua_rawseti_(self.raw, table, index) }
    }

    /// Replaces the key on top by the next key and its value; at the end takes the key and answers `false`. Begin with nil, and leave the key
    /// as it is.
    pub(crate) fn next(&mut self, table: i32) -> bool {
        let table = self.table(table);
        self.room();
        // SAFETY: the index is a table's, and the key on top is nil or came from the last call: callers change neither table nor key between.
        unsafe { ffi::lua_next(self.raw, table) != 0 }
    }

    /// Pushes the metatable, if there is one.
    pub(crate) fn push_metatable(&mut self, index: i32) -> bool {
        let index = self.index(index);
        // SAFETY: `room` made place; the index is within the stack.
        unsafe { ffi::lua_getmetatable(self.room(), index) != 0 }
    }

    /// Makes the table on top the metatable of a table, and takes it.
    pub(crate) fn set_metatable(&mut self, table: i32) {
        let table = self.table(table);
        assert_eq!(self.kind(-1), Kind::Table, "a metatable is a table");
        assert!(self.top() > self.floor.max(table), "it lies above the table");
        // SAFETY: the index is a table's, and a table is on top.
        unsafe { ffi::lua_setmetatable(self.raw, table) };
    }

    /// Takes the value on top into the registry; the number finds it again.
    pub(crate) fn take_ref(&mut self) -> Ref {
        assert!(self.top() > self.floor, "a value lies above the arguments");
        // SAFETY: a value is on top.
        Ref(unsafe { ffi::luaL_ref(self.raw, ffi::LUA_REGISTRYINDEX) })
    }

    pub(crate) fn push_ref(&mut self, reference: &Ref) {
        // SAFETY: `room` made place; the registry is a table.
        unsafe { ffi::lua_rawgeti_(self.room(), ffi::LUA_REGISTRYINDEX, reference.0) }
    }

    pub(crate) fn release(&mut self, reference: Ref) {
        // SAFETY: a `Ref` comes from `take_ref` alone, and ends here.
        unsafe { ffi::luaL_unref(self.raw, ffi::LUA_REGISTRYINDEX, reference.0) }
    }

    /// Whether the limit of memory is exceeded: asked by what builds large things, once a step.
    ///
    /// # Errors
    /// It is.
    pub(crate) fn check_memory(&mut self) -> Result<(), Raise> {
        if self.shared.heap.is_exceeded() { Err(self.raise("not enough memory")) } else { Ok(()) }
    }

    /// [`Lua::check_memory`] for a text of so many bytes that is to become a string.
    ///
    /// # Errors
    /// It would exceed the limit.
    pub(crate) fn check_text(&mut self, len_bytes: usize) -> Result<(), Raise> {
        let heap = &self.shared.heap;
        let exceeds = heap.used_bytes().saturating_add(len_bytes) > heap.limit_bytes();
        if exceeds { Err(self.raise("not enough memory")) } else { Ok(()) }
    }

    /// Asks the host whether to go on: for loops in Rust that can be long.
    ///
    /// # Errors
    /// The script ends.
    pub(crate) fn check_interrupt(&mut self) -> Result<(), Raise> {
        self.reserve(1)?;
        if state::ends(self.raw, self.shared) { Err(Raise(())) } else { Ok(()) }
    }

    /// An error with a text, as it is.
    pub(crate) fn raise(&mut self, text: impl AsRef<[u8]>) -> Raise {
        if self.credit == 0 && !self.has_just_room(1) && !self.has_own_room() {
            self.set_top(self.floor);
        }
        self.push_bytes(text.as_ref());
        Raise(())
    }

    /// The error whose value is on top.
    pub(crate) fn raise_top(&mut self) -> Raise {
        assert!(self.top() > 0, "an error's value is on the stack");
        Raise(())
    }

    /// An error with a text behind the place of the native function's caller, as C's `luaL_error` has it.
    pub(crate) fn raise_here(&mut self, text: impl AsRef<[u8]>) -> Raise {
        let mut whole = match self.place(1) {
            Some(p) if p.line > 0 => [p.short_source.as_slice(), b":", p.line.to_string().as_bytes(), b": "].concat(),
            _ => Vec::new(),
        };
        whole.extend_from_slice(text.as_ref());
        self.raise(whole)
    }

    /// An error that says which argument is wrong, and why.
    pub(crate) fn raise_argument(&mut self, argument: i32, why: &str) -> Raise {
        self.raise_argument_bytes(argument, why.as_bytes())
    }

    /// [`Lua::raise_argument`] for a reason that is not UTF-8.
    pub(crate) fn raise_argument_bytes(&mut self, argument: i32, why: &[u8]) -> Raise {
        let called = self.called();
        let name = called.name.as_deref().unwrap_or(b"?");
        let argument = if called.is_method { argument - 1 } else { argument };
        let what = if called.is_method && argument == 0 {
            [b"calling '", name, b"' on bad self ("].concat()
        } else {
            [b"bad argument #", argument.to_string().as_bytes(), b" to '", name, b"' ("].concat()
        };
        self.raise_here([&what, why, b")"].concat())
    }

    fn raise_kind(&mut self, argument: i32, expected: &str) -> Raise {
        let why = format!("{expected} expected, got {}", self.kind_name(argument));
        self.raise_argument(argument, &why)
    }

    /// The bytes of an argument that must be a string or a number.
    ///
    /// # Errors
    /// It is neither.
    pub(crate) fn check_bytes(&mut self, argument: i32) -> Result<&'a [u8], Raise> {
        match self.arg_bytes(argument) {
            Some(bytes) => Ok(bytes),
            None => Err(self.raise_kind(argument, "string")),
        }
    }

    /// # Errors
    /// The argument is no number.
    pub(crate) fn check_number(&mut self, argument: i32) -> Result<f64, Raise> {
        self.to_number(argument).ok_or(()).map_err(|()| self.raise_kind(argument, "number"))
    }

    /// # Errors
    /// The argument is no table.
    pub(crate) fn check_table(&mut self, argument: i32) -> Result<(), Raise> {
        if self.kind(argument) == Kind::Table { Ok(()) } else { Err(self.raise_kind(argument, "table")) }
    }

    /// # Errors
    /// There is no such argument.
    pub(crate) fn check_any(&mut self, argument: i32) -> Result<(), Raise> {
        if argument <= self.top() { Ok(()) } else { Err(self.raise_argument(argument, "value expected")) }
    }

    /// Calls the function below its `arguments`, protected; both are replaced by `results` values. `handler` is where a function lies that
    /// turns the error's value into another one.
    ///
    /// # Errors
    /// The call raised an error.
    pub(crate) fn call(&mut self, arguments: i32, results: i32, handler: Option<i32>) -> Result<(), Failure> {
        assert!(self.top() - arguments > self.floor, "a function and its arguments lie above");
        assert!(arguments >= 0 && results >= 0, "counts are not negative");
        let handler = handler.map_or(0, |h| self.index(h));
        let heap = &self.shared.heap;
        let lenient = heap.set_lenient(false);
        // SAFETY: the function and its arguments are on the stack. It is protected: no error passes over this frame.
        let status = unsafe { ffi::lua_pcall(self.raw, arguments, results, handler) };
        heap.set_lenient(lenient);
        match status {
            ffi::LUA_OK => Ok(()),
            ffi::LUA_ERRMEM => Err(Failure::Memory),
            _ => Err(Failure::Error),
        }
    }

    /// Compiles a text and pushes its function. Compiled code is refused: its first byte is taken as text.
    ///
    /// # Errors
    /// The text is no chunk; the message is on top.
    pub(crate) fn compile(&mut self, text: &[u8], chunk_name: &CStr) -> Result<(), Failure> {
        if text.len() > CHUNK_BYTES_MAX {
            self.push_bytes(b"chunk too long");
            return Err(Failure::Error);
        }
        self.room();
        // SAFETY: `room` made place, and `compile` is protected.
        unsafe { guards::compile(self.raw, text, chunk_name) }
    }

    /// The bytecode of the function at `index`; `None` for one that is not Lua's, or larger than [`DUMP_BYTES_MAX`].
    pub(crate) fn dump(&mut self, index: i32) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.push_copy(index);
        // SAFETY: `keep_dump` gets the vector, which outlives the call; a dump makes no objects, so that nothing is raised.
        let status = unsafe { ffi::lua_dump_(self.raw, keep_dump, (&raw mut bytes).cast()) };
        self.pop(1);
        (status == 0).then_some(bytes)
    }

    /// The Lua function at `index` finds its global variables in the table on top, which is taken; and so do functions that it makes.
    pub(crate) fn set_environment(&mut self, index: i32) {
        let index = self.index(index);
        assert_eq!(self.type_at(index), ffi::LUA_TFUNCTION, "a function has global variables");
        assert_eq!(self.kind(-1), Kind::Table, "global variables are in a table");
        assert!(self.top() > self.floor, "it lies above the arguments");
        // SAFETY: a function is at the index, and a table on top.
        unsafe { ffi::lua_setfenv(self.raw, index) };
    }

    /// Where the code of a call level is: 0 is the running native function, 1 its caller.
    pub(crate) fn place(&mut self, level: i32) -> Option<Place> {
        state::place(self.raw, level)
    }

    fn called(&mut self) -> state::Called {
        state::called(self.raw)
    }
}

/// No larger dump is made: it is no part of what a state may hold.
const DUMP_BYTES_MAX: usize = 256 << 10;

/// Adds a piece of a dump to the vector that `to` points to.
unsafe extern "C-unwind" fn keep_dump(
    _: *mut ffi::lua_State,
    piece: *const c_void,
    len: usize,
    to: *mut c_void,
) -> c_int {
    // SAFETY: Lua gives as many bytes as it says; `to` is what `dump` gave it.
    let (piece, to) = unsafe { (std::slice::from_raw_parts(piece.cast::<u8>(), len), &mut *to.cast::<Vec<u8>>()) };
    if to.len() + len > DUMP_BYTES_MAX {
        return 1;
    }
    to.extend_from_slice(piece);
    0
}

/// A value in Lua's registry.
#[derive(Debug)]
pub(crate) struct Ref(c_int);

/// Where code is.
pub(crate) struct Place {
    /// The chunk's name as it was given: `@user_script`, or the text of a chunk without a name.
    pub(crate) source: Vec<u8>,
    /// The chunk's name for messages.
    pub(crate) short_source: Vec<u8>,
    /// The current line; 0 or less where there is none.
    pub(crate) line: i32,
    pub(crate) is_native: bool,
}

fn kind_of(number: c_int) -> Kind {
    match number {
        ffi::LUA_TNIL => Kind::Nil,
        ffi::LUA_TBOOLEAN => Kind::Boolean,
        ffi::LUA_TLIGHTUSERDATA => Kind::LightUserdata,
        ffi::LUA_TNUMBER => Kind::Number,
        ffi::LUA_TSTRING => Kind::String,
        ffi::LUA_TTABLE => Kind::Table,
        ffi::LUA_TFUNCTION => Kind::Function,
        _ => Kind::Other,
    }
}

/// # Safety
/// `raw` is a live state that [`State::new`] made, or a thread of one.
unsafe fn shared_of<'a>(raw: *mut ffi::lua_State) -> &'a Shared {
    let mut data: *mut c_void = std::ptr::null_mut();
    // SAFETY: the caller's promise; all that is in `Shared` is changed through cells alone.
    unsafe {
        ffi::lua_getallocf(raw, &mut data);
        &*data.cast::<Shared>()
    }
}

/// # Safety
/// The index is within the stack, and the string stays alive for `'b`.
unsafe fn bytes_at<'b>(raw: *mut ffi::lua_State, index: c_int) -> Option<&'b [u8]> {
    let mut len = 0;
    // SAFETY: the caller's promise. To convert a number allocates, which a lenient heap always can.
    unsafe {
        let start = NonNull::new(ffi::lua_tolstring(raw, index, &mut len).cast_mut())?;
        Some(std::slice::from_raw_parts(start.as_ptr().cast(), len))
    }
}

/// What Lua calls for a native function.
unsafe extern "C-unwind" fn entry<F: Fn(&mut Lua<'_>) -> Outcome + Copy>(raw: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this with its live state.
    let shared = unsafe { shared_of(raw) };
    let lenient = shared.heap.set_lenient(true);
    let results = run::<F>(raw, shared);
    // From here on this frame owns nothing that a jump would skip.
    shared.heap.set_lenient(lenient);
    match results {
        Some(results) => results,
        // SAFETY: the error's value is on top.
        None => unsafe { ffi::lua_error(raw) },
    }
}

/// Runs a native function; `None` means an error whose value is on top. A panic becomes a kill.
fn run<F: Fn(&mut Lua<'_>) -> Outcome + Copy>(raw: *mut ffi::lua_State, shared: &Shared) -> Option<c_int> {
    // SAFETY: `push_function` made sure that F has no size; one was given there, so that F has a value.
    let function = unsafe { NonNull::<F>::dangling().as_ref() };
    // SAFETY: `entry` was called with a live state whose arguments are all that is on its stack, and made the heap lenient.
    let mut lua = unsafe { Lua::new(raw, ffi::lua_gettop(raw), true) };
    let result = catch_unwind(AssertUnwindSafe(|| function(&mut lua).and_then(|n| lua.check_memory().map(|()| n))));
    match result {
        Ok(Ok(results)) => {
            assert!((0..=lua.top()).contains(&results), "the results are on the stack");
            Some(results)
        }
        Ok(Err(Raise(()))) => None,
        Err(panic) => {
            shared.panic.set(Some(panic));
            shared.killed.set(true);
            lua.push_nil();
            None
        }
    }
}
