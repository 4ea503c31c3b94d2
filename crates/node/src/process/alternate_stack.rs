//! Stacks for handlers of signals: a thread whose own has run over can still report it, and what a report does needs more than the runtime's few
//! kilobytes.

use std::ffi::c_void;

use rivulet_host::world;

/// The executor's part of a report formats the whole of INFO.
const EXECUTOR_BYTES: usize = 512 << 10;
const HELPER_BYTES: usize = 64 << 10;

/// A thread's stack for handlers, as long as this lives.
pub struct AlternateStack {
    start: *mut c_void,
    len: usize,
    before: libc::stack_t,
}

impl AlternateStack {
    /// For a thread that is not the executor's. Without memory for it the thread has what it had.
    pub fn for_helper() -> Option<AlternateStack> {
        if world::is_simulated() { None } else { AlternateStack::new(HELPER_BYTES) }
    }

    fn new(len: usize) -> Option<AlternateStack> {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
        // SAFETY: the memory is new and has the length that is told; it stays mapped until the thread has another stack. Zeros are a good `stack_t`.
        unsafe {
            let start = libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0);
            if start == libc::MAP_FAILED {
                return None;
            }
            let ours = libc::stack_t { ss_sp: start, ss_flags: 0, ss_size: len };
            let mut before: libc::stack_t = std::mem::zeroed();
            if libc::sigaltstack(&ours, &mut before) != 0 {
                libc::munmap(start, len);
                return None;
            }
            Some(AlternateStack { start, len, before })
        }
    }
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        // SAFETY: what was there before is given back first, so nothing uses the memory, which is this value's.
        unsafe {
            if libc::sigaltstack(&self.before, std::ptr::null_mut()) == 0 {
                libc::munmap(self.start, self.len);
            }
        }
    }
}

/// The executor has its own as long as the process lives.
pub fn keep_for_executor() {
    std::mem::forget(AlternateStack::new(EXECUTOR_BYTES));
}
