//! Byte allocations behind one thin pointer, for values whose own bytes say how long they are.
//!
//! The size of such an allocation is `size_class` of the bytes in use, so nothing beside the pointer is kept. This file knows no format.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ptr::NonNull;

use crate::size_class::size_class;

/// Entries keep a pointer's upper bits only: everything is aligned to eight bytes.
fn layout(used: usize) -> Layout {
    Layout::from_size_align(size_class(used), 8).expect("a value is smaller than the address space")
}

/// A new allocation that starts with `bytes`, which must not be empty.
pub(super) fn from_slice(bytes: &[u8]) -> NonNull<u8> {
    from_slice_after(0, bytes)
}

/// A new allocation that starts with so many zeros, then `bytes`; not both may be empty.
pub(super) fn from_slice_after(zeros: usize, bytes: &[u8]) -> NonNull<u8> {
    let layout = layout(zeros + bytes.len());
    // SAFETY: a size class is never zero.
    let raw = unsafe { alloc(layout) };
    let Some(pointer) = NonNull::new(raw) else { handle_alloc_error(layout) };
    // SAFETY: the allocation is new and at least as long as the zeros and `bytes`.
    unsafe {
        pointer.as_ptr().write_bytes(0, zeros);
        pointer.add(zeros).as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
    }
    pointer
}

/// Up to here an allocation of another class is always another one. To ask the allocator costs it a look at what it has noted of the old one.
const SLAB_BYTES_MAX: usize = 8 << 10;

/// Makes room for `new` bytes where `old` were in use, or gives back what is too much. The first `min(old, new)` bytes are kept.
///
/// # Safety
/// `pointer` came from this module and was last sized for `old` bytes.
pub(super) unsafe fn resize(pointer: NonNull<u8>, old: usize, new: usize) -> NonNull<u8> {
    let (from, to) = (layout(old), layout(new));
    if from.size() == to.size() {
        return pointer;
    }
    if from.size().max(to.size()) <= SLAB_BYTES_MAX {
        // SAFETY: `free` and the copy find `old` bytes in use, of which the smaller number is copied; the new allocation is another one.
        return unsafe {
            let Some(moved) = NonNull::new(alloc(to)) else { handle_alloc_error(to) };
            moved.as_ptr().copy_from_nonoverlapping(pointer.as_ptr(), old.min(new));
            dealloc(pointer.as_ptr(), from);
            moved
        };
    }
    // SAFETY: by the caller's word the allocation has the layout `from`, and a size class is never zero.
    let raw = unsafe { realloc(pointer.as_ptr(), from, to.size()) };
    NonNull::new(raw).unwrap_or_else(|| handle_alloc_error(to))
}

/// Frees the allocation.
///
/// # Safety
/// `pointer` came from this module, was last sized for `used` bytes, and isn't used again.
pub(super) unsafe fn free(pointer: NonNull<u8>, used: usize) {
    // SAFETY: by the caller's word the allocation has this layout.
    unsafe { dealloc(pointer.as_ptr(), layout(used)) };
}
