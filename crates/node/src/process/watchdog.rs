//! `watchdog-period`: when the executor does not come to its periodic tasks for so long, the log says where it is.
//!
//! A timer of the system runs, which the periodic tasks wind up again and again. Its signal is handled with the others (`crash.rs`).

use rivulet_host::world;

use crate::process::report::Report;
use crate::process::stack;

/// Milliseconds that the timer must run at least, with `hz` runs of the periodic tasks a second: twice what lies between two.
pub fn period_ms_min(hz: u64) -> u64 {
    1000 / hz.clamp(1, 500) * 2
}

/// Winds the timer up; 0 stops it.
pub fn wind(period_ms: u64) {
    if world::is_simulated() {
        return;
    }
    let value = libc::timeval {
        tv_sec: (period_ms / 1000) as libc::time_t,
        tv_usec: (period_ms % 1000 * 1000) as libc::suseconds_t,
    };
    let once = libc::itimerval { it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 }, it_value: value };
    // SAFETY: it reads a whole value. The signal has a handler since the start.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &once, std::ptr::null_mut()) };
}

/// On the executor's thread, in the handler; `place` is where that was.
pub fn write_report(place: stack::Place) {
    let mut report = Report::begin();
    report.signal_line("\n--- WATCHDOG TIMER EXPIRED ---");
    stack::write(&mut report, place);
    report.signal_line("--------\n");
}
