//! Mappings of files whose pages may go away.
//!
//! A store to a page that the file system can't give is a SIGBUS. For a mapping that is guarded its handler maps memory of the process instead, all
//! over, and notes that; the store is then carried out there. Any other SIGBUS is what it was.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

/// So many mappings can be guarded at one time.
const PLACES: usize = 64;

struct Place {
    /// 0: nobody's.
    start: AtomicUsize,
    len: AtomicUsize,
    broken: AtomicBool,
}

static GUARDED: [Place; PLACES] =
    [const { Place { start: AtomicUsize::new(0), len: AtomicUsize::new(0), broken: AtomicBool::new(false) } }; PLACES];

/// What a SIGBUS did before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// A mapping that is guarded as long as this lives.
#[derive(Debug)]
pub struct Guard {
    place: usize,
}

impl Guard {
    pub fn new(start: usize, len: usize) -> io::Result<Guard> {
        install()?;
        let free = GUARDED
            .iter()
            .position(|place| place.start.compare_exchange(0, usize::MAX, Ordering::AcqRel, Ordering::Relaxed).is_ok());
        let place = free.ok_or_else(|| io::Error::other("too many files are mapped"))?;
        GUARDED[place].broken.store(false, Ordering::Relaxed);
        GUARDED[place].len.store(len, Ordering::Relaxed);
        GUARDED[place].start.store(start, Ordering::Release);
        Ok(Guard { place })
    }

    /// Memory of the process has taken the file's place.
    pub fn is_broken(&self) -> bool {
        GUARDED[self.place].broken.load(Ordering::Relaxed)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        GUARDED[self.place].start.store(0, Ordering::Release);
    }
}

fn install() -> io::Result<()> {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: a `sigaction` is numbers and pointers, for which zeros are good; all that is read of it later is set by the system.
        let (mut ours, mut before): (libc::sigaction, libc::sigaction) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        ours.sa_sigaction = bus_error as *const () as usize;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: both point to whole values. What was there before is kept first, as the handler may run at once.
        let done = unsafe { libc::sigaction(libc::SIGBUS, std::ptr::null(), &mut before) == 0 }
            && BEFORE.set(before).is_ok()
            // SAFETY: as above; the handler does only what a handler may do.
            && unsafe { libc::sigaction(libc::SIGBUS, &ours, std::ptr::null_mut()) == 0 };
        debug_assert!(done, "SIGBUS can be handled");
    });
    match BEFORE.get() {
        Some(_) => Ok(()),
        None => Err(io::Error::other("SIGBUS can't be handled")),
    }
}

/// Atomics and system calls only: whatever was interrupted, this does not meet it.
extern "C" fn bus_error(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the system gives the handler of a SIGBUS a whole `siginfo_t` with the address.
    let at = unsafe { (*info).si_addr() } as usize;
    let guarded = GUARDED.iter().find(|place| {
        let start = place.start.load(Ordering::Acquire);
        start != 0 && start != usize::MAX && at >= start && at - start < place.len.load(Ordering::Relaxed)
    });
    if let Some(place) = guarded {
        place.broken.store(true, Ordering::Relaxed);
        if replace(place.start.load(Ordering::Relaxed), place.len.load(Ordering::Relaxed)) {
            return;
        }
    }
    // What stored comes here again, and finds what would have been without this.
    // SAFETY: what was there before, or zeros: the system's own action.
    unsafe {
        let system: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGBUS, BEFORE.get().unwrap_or(&system), std::ptr::null_mut());
    }
}

fn replace(start: usize, len: usize) -> bool {
    let (protection, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED);
    // SAFETY: `errno` is this thread's. The mapping is one that is guarded: its owner goes on with the same addresses.
    unsafe {
        let errno = *libc::__errno_location();
        let mapped = libc::mmap(start as *mut libc::c_void, len, protection, flags, -1, 0);
        *libc::__errno_location() = errno;
        mapped != libc::MAP_FAILED
    }
}
