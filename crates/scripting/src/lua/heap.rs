//! The memory of a Lua state: counted, and bounded while script code runs.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::cell::Cell;
use std::ffi::c_void;

use super::{Shared, shared_of};

/// No limit may be higher: Lua counts a table's slots with 26 bits, and lengths in messages with an `int`.
pub(crate) const LIMIT_BYTES_MAX: usize = 2 << 30;

/// What is held, and how much may be.
pub(crate) struct Heap {
    used_bytes: Cell<usize>,
    limit_bytes: Cell<usize>,
    /// Rust code runs: what is asked for is given, whatever the limit is.
    lenient: Cell<bool>,
}

impl Heap {
    pub(super) fn new(limit_bytes: usize) -> Heap {
        Heap {
            used_bytes: Cell::new(0),
            limit_bytes: Cell::new(limit_bytes.min(LIMIT_BYTES_MAX)),
            lenient: Cell::new(true),
        }
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes.get()
    }

    pub(crate) fn limit_bytes(&self) -> usize {
        self.limit_bytes.get()
    }

    /// Sets how many bytes there may be, at most [`LIMIT_BYTES_MAX`].
    pub(crate) fn set_limit(&self, limit_bytes: usize) {
        self.limit_bytes.set(limit_bytes.min(LIMIT_BYTES_MAX));
    }

    pub(crate) fn is_exceeded(&self) -> bool {
        self.used_bytes.get() > self.limit_bytes.get()
    }

    /// Says who runs, and answers who did.
    pub(super) fn set_lenient(&self, lenient: bool) -> bool {
        self.lenient.replace(lenient)
    }

    pub(super) fn may_grow(&self, by_bytes: usize) -> bool {
        self.lenient.get() || self.used_bytes.get().saturating_add(by_bytes) <= self.limit_bytes.get()
    }

    fn count(&self, old_bytes: usize, new_bytes: usize) {
        self.used_bytes.set(self.used_bytes.get() - old_bytes + new_bytes);
    }
}

/// Lua puts nothing into a block that needs a greater alignment than a number or a pointer (`LUAI_USER_ALIGNMENT_T`).
const ALIGNMENT: usize = 8;

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes, ALIGNMENT).ok()
}

/// Lua's allocator: gives, moves and frees. Null means that there is not enough, which Lua expects only when a block grows.
pub(super) unsafe extern "C" fn allocate(data: *mut c_void, block: *mut c_void, old: usize, new: usize) -> *mut c_void {
    // SAFETY: `State::new` gave the state a `Shared` that lives longer; it is changed through cells alone.
    let heap = unsafe { &(*data.cast::<Shared>()).heap };
    let old = if block.is_null() { 0 } else { old };
    if new > old && !heap.may_grow(new - old) {
        return std::ptr::null_mut();
    }
    let Some(new_layout) = layout(new) else { return std::ptr::null_mut() };
    // Lua asks for no block of no bytes, and a block's old layout was valid when it was made.
    let old_layout = layout(old).unwrap_or(new_layout);
    // SAFETY: `block` was made here with `old` bytes, as Lua promises; no call has a size of 0.
    let moved = unsafe {
        match (old, new) {
            (0, 0) => return std::ptr::null_mut(),
            (0, _) => alloc(new_layout),
            (_, 0) => {
                dealloc(block.cast(), old_layout);
                heap.count(old, 0);
                return std::ptr::null_mut();
            }
            _ => realloc(block.cast(), old_layout, new),
        }
    };
    if moved.is_null() {
        handle_alloc_error(new_layout);
    }
    heap.count(old, new);
    moved.cast()
}

/// The heap of a running state.
///
/// # Safety
/// `raw` is a live state of this crate.
pub(super) unsafe fn of<'a>(raw: *mut mlua_sys::lua_State) -> &'a Heap {
    // SAFETY: the caller's promise.
    unsafe { &shared_of(raw).heap }
}
