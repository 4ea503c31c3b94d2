//! Faults made on purpose, which AddressSanitizer must report: `cargo xtask asan` runs each, and fails if one is not. They are built with the feature `faults` alone.

use std::ffi::c_char;

use super::{Lua, State, ffi};
use crate::context::Context;

const LEN: usize = 100;

/// A state, and where a string lay that the collector has freed.
fn freed_string() -> (State, *const c_char) {
    let mut state = State::new(1 << 20, Context::new());
    let place = state.enter(|lua| {
        lua.push_bytes(&[b'x'; LEN]);
        lua.bytes(-1).map_or(std::ptr::null(), |bytes| bytes.as_ptr().cast())
    });
    state.collect();
    (state, place)
}

#[test]
#[ignore = "AddressSanitizer must end it"]
fn lua_reads_what_was_freed() {
    let (mut state, place) = freed_string();
    // SAFETY: there is none, which is what the sanitizer must say.
    state.enter(|lua: &mut Lua<'_>| unsafe { ffi::lua_pushlstring_(lua.room(), place, LEN) });
}

#[test]
#[ignore = "AddressSanitizer must end it"]
fn rust_reads_what_was_freed() {
    let (_state, place) = freed_string();
    // SAFETY: as above.
    std::hint::black_box(unsafe { place.read_volatile() });
}
