//! What the system's scheduler is told of our threads, so that clients wait for little where there are fewer cores than threads.
//!
//! It is advice: a system that does not take it runs the threads as before.

/// The executor's time slice: who else wants its core need not wait longer, and it gets the core sooner when a client's bytes come. Linux 6.12
/// and later heed it; the usual slice is about 3 ms.
const EXECUTOR_SLICE_NS: u64 = 200_000;
/// How much a thread for bulk work gives way to the executor: it gets a tenth of a core that both want.
const BACKGROUND_NICE: i32 = 10;

/// For the executor's thread.
pub fn be_prompt() {
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: nice(),
        sched_priority: 0,
        sched_runtime: EXECUTOR_SLICE_NS,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the structure is whole and says its size; 0 is the calling thread.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}

/// For a thread whose work is much and can wait.
pub fn give_way() {
    // Zero is the calling thread. More than the lowest priority becomes the lowest.
    let _ = rustix::process::setpriority_process(None, nice() + BACKGROUND_NICE);
}

/// The priority that the process was started with.
fn nice() -> i32 {
    rustix::process::getpriority_process(None).unwrap_or(0)
}
