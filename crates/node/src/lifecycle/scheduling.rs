//! What the system's scheduler is told of our threads, so that clients wait for little where there are fewer cores than threads.
//!
//! It is advice: a system that does not take it runs the threads as before.

use std::num::NonZeroU64;
use std::time::Duration;

use rivulet_host::world;

use crate::clock;

/// The executor's time slice: who else wants its core need not wait longer, and it gets the core sooner when a client's bytes come. Linux 6.12
/// and later heed it; the usual slice is about 3 ms.
const EXECUTOR_SLICE_NS: u64 = 200_000;
/// How much a thread for bulk work gives way to the executor: it gets a tenth of a core that both want.
const BACKGROUND_NICE: i32 = 10;

/// The executor works no longer than this without a wait while there is more for it to do than clients want.
const WORK_US: u64 = 200;
/// A look at the sockets that does not wait takes less.
const WAIT_US_MIN: u64 = 10;
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
    /// The executor has looked at its sockets. If it took this long, others had the core.
    pub fn polled(&mut self, from_us: u64, to_us: u64) {
        if to_us.saturating_sub(from_us) >= WAIT_US_MIN {
            self.woke_us = to_us;
        }
    }

    /// The executor would go on without a wait.
    pub fn rest_if_due(&mut self, now_us: u64) {
        if now_us.saturating_sub(self.woke_us) >= WORK_US {
            clock::sleep(REST);
            self.woke_us = clock::machine_us();
        }
    }
}

/// Helpers' work is put off no longer while clients send commands.
const PUT_OFF_US: u64 = 300;

/// Whose turn it is. Clients that sent commands may have more on the way, and a client's command that came meanwhile would wait for the helpers' work
/// as well as for the other clients'.
#[derive(Default)]
pub struct Turns {
    helped_us: u64,
    put_off: bool,
}

impl Turns {
    /// Answers whether helpers get this turn. `clients_came` says that commands were executed in it.
    pub fn is_for_helpers(&mut self, clients_came: bool, now_us: u64) -> bool {
        self.put_off = clients_came && now_us.saturating_sub(self.helped_us) < PUT_OFF_US;
        if !self.put_off {
            self.helped_us = now_us;
        }
        !self.put_off
    }

    /// Whether the next turn is to begin without a wait, as there may be something for helpers to do.
    pub fn helpers_wait(&self) -> bool {
        self.put_off
    }
}

/// For the executor's thread.
pub fn be_prompt() {
    if world::is_simulated() {
        return;
    }
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
    if world::is_simulated() {
        return;
    }
    // Zero is the calling thread. More than the lowest priority becomes the lowest.
    let _ = rustix::process::setpriority_process(None, nice() + BACKGROUND_NICE);
}

/// The priority that the process was started with.
fn nice() -> i32 {
    rustix::process::getpriority_process(None).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_go_first_but_not_for_ever() {
        let mut turns = Turns::default();
        assert!(turns.is_for_helpers(true, 1000));
        assert!(!turns.helpers_wait());
        assert!(!turns.is_for_helpers(true, 1000 + PUT_OFF_US - 1));
        assert!(turns.helpers_wait());
        assert!(turns.is_for_helpers(true, 1000 + PUT_OFF_US));
        assert!(!turns.is_for_helpers(true, 1001 + PUT_OFF_US));
        assert!(turns.is_for_helpers(false, 1002 + PUT_OFF_US), "no client came");
        assert!(!turns.helpers_wait());
    }

    #[test]
    fn a_rest_is_due_only_after_work_without_a_wait() {
        let mut rests = Rests { woke_us: 0 };
        rests.polled(0, WAIT_US_MIN - 1);
        assert_eq!(rests.woke_us, 0, "that was no wait");
        rests.polled(0, WAIT_US_MIN);
        assert_eq!(rests.woke_us, WAIT_US_MIN);
        rests.rest_if_due(WAIT_US_MIN + WORK_US - 1);
        assert_eq!(rests.woke_us, WAIT_US_MIN);
        rests.rest_if_due(WAIT_US_MIN + WORK_US);
        assert_ne!(rests.woke_us, WAIT_US_MIN);
    }
}
