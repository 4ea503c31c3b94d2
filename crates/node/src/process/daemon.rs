//! `daemonize yes`: a child goes on in the background.
//!
//! It must be done before any thread starts: a child has only the thread that forked, and what others hold stays locked in it for ever.

use std::fs::File;
use std::io;

/// Which process a caller is after [`begin`].
#[derive(Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that was started; it is to end now.
    Parent,
    /// The one that serves: in a session of its own, with no terminal, its standard streams at `/dev/null`.
    Child,
}

/// Forks.
///
/// # Errors
/// There are other threads, or the system has no process to give; everything is as it was.
pub fn begin() -> io::Result<Side> {
    if std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() > 1) {
        return Err(io::Error::other("there are threads already"));
    }
    // SAFETY: this is the only thread, so the child has all that the parent had, and no lock is held.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            leave_terminal();
            Ok(Side::Child)
        }
        _ => Ok(Side::Parent),
    }
}

fn leave_terminal() {
    // A child leads no group yet, so it can always begin a session.
    let _ = rustix::process::setsid();
    // Without the device the streams stay where they are, as with Redis.
    if let Ok(nothing) = File::options().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&nothing);
        let _ = rustix::stdio::dup2_stdout(&nothing);
        let _ = rustix::stdio::dup2_stderr(&nothing);
    }
}
