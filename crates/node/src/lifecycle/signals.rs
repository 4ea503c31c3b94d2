//! Signals: SIGTERM and SIGINT ask for a shutdown; the loop is woken to see it. Some are ignored, as what they tell is an error of a call or of no
//! concern to a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rivulet_host::world;
use rivulet_net::Waker;
use signal_hook::consts::{SIGINT, SIGTERM};

/// Which signal came last; 0 for none.
pub struct Signals {
    last: Arc<AtomicUsize>,
    ints: Arc<AtomicUsize>,
}

impl Signals {
    /// Installs the handlers; each wakes the loop.
    pub fn install(waker: &Waker) -> std::io::Result<Signals> {
        let last = Arc::new(AtomicUsize::new(0));
        let ints = Arc::new(AtomicUsize::new(0));
        if world::is_simulated() {
            return Ok(Signals { last, ints });
        }
        ignore_what_calls_tell();
        // The snapshot that a shutdown is writing has this name.
        let unfinished = std::ffi::CString::new(format!("temp-{}.rdb", std::process::id()))?;
        for signal in [SIGTERM, SIGINT] {
            let (last, ints, waker, unfinished) = (last.clone(), ints.clone(), waker.clone(), unfinished.clone());
            let note = move || {
                // A second SIGINT ends the process at once, whatever it is doing.
                if signal == SIGINT && ints.fetch_add(1, Ordering::Relaxed) >= 1 {
                    rustix::fs::unlink(unfinished.as_c_str()).ok();
                    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).ok();
                }
                last.store(signal as usize, Ordering::Relaxed);
                waker.wake();
            };
            // SAFETY: the handler stores to atomics, writes to an eventfd, and may remove a file and end the process: all are async-signal-safe.
            unsafe { signal_hook::low_level::register(signal, note) }?;
        }
        Ok(Signals { last, ints })
    }

    /// The signal that came since the last call.
    pub fn take(&self) -> Option<i32> {
        match self.last.swap(0, Ordering::Relaxed) {
            0 => None,
            signal => Some(signal as i32),
        }
    }

    /// Whether one has come that nobody has taken.
    pub fn is_pending(&self) -> bool {
        self.last.load(Ordering::Relaxed) != 0
    }

    /// A shutdown was given up: the next SIGINT counts as the first again.
    pub fn forget_interrupts(&self) {
        self.ints.store(0, Ordering::Relaxed);
    }
}

/// A write beyond the limit for files (`ulimit -f`) is an error of that write (EFBIG), and one to a closed socket is, too (EPIPE). A terminal that
/// goes does not end the server, as with Redis.
fn ignore_what_calls_tell() {
    for signal in [libc::SIGXFSZ, libc::SIGPIPE, libc::SIGHUP] {
        // SAFETY: no handler is given, and nobody else in this process handles these.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}
