//! Whose memory is whose: what a step allocates is its process's, but for what the simulation needs for itself.

use std::cell::Cell;

thread_local! {
    /// Bytes that this thread has in use for the simulation.
    static OWN: Cell<i64> = const { Cell::new(0) };
}

/// Does something for the simulation, in whatever step.
pub fn outside<R>(work: impl FnOnce() -> R) -> R {
    let before = rivulet_memory::balance_of_thread();
    let result = work();
    OWN.set(OWN.get() + rivulet_memory::balance_of_thread() - before);
    result
}

/// Bytes that this thread has in use for all processes together.
pub fn of_processes() -> i64 {
    rivulet_memory::balance_of_thread() - OWN.get()
}
