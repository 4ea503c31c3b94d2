//! What the system's scheduler is told of our threads, so that clients wait for little where there are fewer cores than threads.
//!
//! It is advice: a system that does not take it runs the threads as before.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::clock;

/// The executor's time slice: who else wants its core need not wait longer, and it gets the core sooner when a client's bytes come. Linux 6.12
/// and later heed it; the usual slice is about 3 ms.
const EXECUTOR_SLICE_NS: u64 = 200_000;
/// How much a thread for bulk work gives way to the executor: it gets a tenth of a core that both want.
const BACKGROUND_NICE: i32 = 10;

/// The executor works no longer than this without a wait while there is more for it to do than clients want.
const WORK_US: u64 = 200;
/// So long it waits then.
const REST: Duration = Duration::from_micros(30);
/// Waits end no later than so many nanoseconds after their time. Usually it is 50 us.
const TIMER_SLACK_NS: u64 = 1000;

/// When the executor has worked for long, it rests.
///
/// A system looks at who should have a core when a thread begins or ends to wait, and otherwise a few hundred times a second. A thread that works
/// without a wait keeps its core for longer than its share, then another keeps it as long: for milliseconds in which clients wait. After a short
/// rest it comes back at once. It costs nothing where the snapshot waits for its receiver.
#[derive(Default)]
pub struct Rests {
    /// The last wait ended then.
    woke_us: u64,
}

impl Rests {
    /// The executor has waited for sockets.
    pub fn woke(&mut self, now_us: u64) {
        self.woke_us = now_us;
    }

    /// The executor would go on without a wait.
    pub fn rest_if_due(&mut self, now_us: u64) {
        if now_us.saturating_sub(self.woke_us) >= WORK_US {
            clock::sleep(REST);
            self.woke_us = clock::monotonic_us();
        }
    }
}

/// For the executor's thread.
pub fn be_prompt() {
    // A system that refuses waits a little longer.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(TIMER_SLACK_NS));
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
