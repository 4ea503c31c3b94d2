//! Child processes by fork: the same memory from now on twice, of which nobody but the child sees what it writes to its own.
//!
//! A child has one thread, the one that forked. What other threads had locked at that moment stays locked in it for ever, so it must only do what takes
//! no lock that they take; the caller of [`fork`] holds the locks that the child needs while it forks. It has all descriptors of its parent, and shares
//! with it what they stand for: [`keep_only`] takes them away. It ends by [`leave`] alone, so that nothing of its parent is ended, written or removed.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use rustix::process::{Pid, Signal, WaitOptions};

use crate::world;

/// Which process a caller of [`fork`] is now.
#[derive(Debug)]
pub enum Side {
    Parent(Child),
    Child,
}

/// A child that was not waited for.
#[derive(Debug, PartialEq, Eq)]
pub struct Child(Pid);

/// Makes a child. It is killed when the thread that forked ends.
///
/// # Errors
/// The system has no process to give. A simulated machine has none at all.
pub fn fork() -> io::Result<Side> {
    if world::is_simulated() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "there are no processes on this machine"));
    }
    // SAFETY: a fork itself changes nothing of this process. In the child only this thread goes on. The allocator's locks are taken before and set free
    // on both sides by what it gave to `pthread_atfork`, and those of the C library by itself; about all others see above, the caller answers for them.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // Without it the child would serve on alone.
            let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
            Ok(Side::Child)
        }
        pid => Ok(Side::Parent(Child(Pid::from_raw(pid).ok_or_else(|| io::Error::other("a child without an id"))?))),
    }
}

impl Child {
    pub fn id(&self) -> i32 {
        self.0.as_raw_nonzero().get()
    }

    /// Whether it has ended; then its id is given back to the system, and this must not be used any more.
    pub fn has_ended(&self) -> bool {
        !matches!(rustix::process::waitpid(Some(self.0), WaitOptions::NOHANG), Ok(None))
    }

    /// Ends it at once.
    pub fn kill(&self) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(self.0, Signal::KILL);
        let _ = rustix::process::waitpid(Some(self.0), WaitOptions::empty());
    }
}

/// For a child: what it shares with its parent is `/dev/null` to it from now on, but for the standard streams and one descriptor. The numbers stay taken,
/// so that nothing that is opened later gets one by which the parent's structures know something else.
///
/// # Errors
/// The system does not say which descriptors there are, or has no `/dev/null`.
pub fn keep_only(kept: RawFd) -> io::Result<()> {
    let nothing = fs::File::options().read(true).write(true).open("/dev/null")?;
    let mut open = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    for descriptor in open.into_iter().filter(|fd| *fd > 2 && *fd != kept && *fd != nothing.as_raw_fd()) {
        // SAFETY: both are numbers, and a descriptor that is none is an error. What had this one before is never used for what it was: this process only
        // ends by `leave`, and its owner finds `/dev/null`.
        unsafe { libc::dup3(nothing.as_raw_fd(), descriptor, libc::O_CLOEXEC) };
    }
    Ok(())
}

/// For a child: signals that are meant for the server do not concern it.
pub fn ignore_signals() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // SAFETY: no handler is given.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Ends a child: no destructor runs and no buffer is written that belongs to its parent.
pub fn leave(status: i32) -> ! {
    // SAFETY: it takes no memory and returns never.
    unsafe { libc::_exit(status) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A child that answers by a socket, and finds nothing behind another one.
    #[test]
    fn a_child_keeps_one_descriptor() {
        let (mut own, mut its) = UnixStream::pair().expect("a pair");
        let (mut other, lost) = UnixStream::pair().expect("a pair");
        match fork().expect("a process") {
            Side::Child => {
                let is_kept = keep_only(its.as_raw_fd()).is_ok();
                let is_lost = rustix::io::write(&lost, b"x") == Ok(1) && rustix::io::read(&lost, &mut [0]) == Ok(0);
                let _ = its.write_all(&[u8::from(is_kept && is_lost)]);
                leave(0)
            }
            Side::Parent(child) => {
                drop((its, lost));
                let mut answer = [0];
                own.read_exact(&mut answer).expect("its answer");
                assert_eq!(answer, [1]);
                assert_eq!(other.read(&mut [0]).expect("nobody has the other end"), 0);
                while !child.has_ended() {
                    std::thread::yield_now();
                }
            }
        }
    }

    #[test]
    fn a_child_is_killed() {
        match fork().expect("a process") {
            Side::Child => loop {
                std::hint::spin_loop();
            },
            Side::Parent(child) => {
                assert!(!child.has_ended());
                child.kill();
                assert!(rustix::process::test_kill_process(child.0).is_err());
            }
        }
    }
}
