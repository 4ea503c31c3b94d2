//! Waiting for sockets to become ready.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

/// What one wants to know of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    pub read: bool,
    pub write: bool,
}

impl Interest {
    pub const READ: Interest = Interest { read: true, write: false };
    pub const WRITE: Interest = Interest { read: false, write: true };
    pub const BOTH: Interest = Interest { read: true, write: true };
    pub const NONE: Interest = Interest { read: false, write: false };
}

/// A socket that is ready. An error or a hang-up counts as both, so that the next call on the socket tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    pub token: u64,
    pub read: bool,
    pub write: bool,
}

/// Watches sockets. Level-triggered: what is not dealt with is told again.
pub trait Poll {
    fn add(&mut self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()>;
    fn change(&mut self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()>;
    fn remove(&mut self, fd: BorrowedFd<'_>) -> io::Result<()>;
    /// Waits until something is ready or `timeout` is over (none: for ever), and puts what is ready into `ready`.
    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()>;
}

/// [`Poll`] over Linux's epoll.
pub struct Epoll {
    fd: OwnedFd,
    events: Vec<epoll::Event>,
}

/// As many sockets are told at once.
const EVENTS_MAX: usize = 1024;

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        Ok(Epoll { fd: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(EVENTS_MAX) })
    }
}

fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, interest.read);
    flags.set(EventFlags::OUT, interest.write);
    flags
}

impl Poll for Epoll {
    fn add(&mut self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.fd, fd.as_fd(), EventData::new_u64(token), flags(interest))?)
    }

    fn change(&mut self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.fd, fd.as_fd(), EventData::new_u64(token), flags(interest))?)
    }

    fn remove(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::delete(&self.fd, fd.as_fd())?)
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.clear();
        self.events.clear();
        let timeout = timeout.map(|t| Timespec { tv_sec: t.as_secs() as i64, tv_nsec: i64::from(t.subsec_nanos()) });
        match epoll::wait(&self.fd, rustix::buffer::spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(e) => return Err(e.into()),
        }
        ready.extend(self.events.iter().map(|event| {
            let (token, flags) = (event.data.u64(), event.flags);
            let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
            Ready {
                token,
                read: broken || flags.contains(EventFlags::IN),
                write: broken || flags.contains(EventFlags::OUT),
            }
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn tells_what_is_ready_and_only_that() {
        let (mut near, far) = UnixStream::pair().expect("a pair of sockets");
        let mut poll = Epoll::new().expect("epoll");
        let mut ready = Vec::new();
        poll.add(far.as_fd(), 7, Interest::READ).expect("add");
        poll.wait(Some(Duration::ZERO), &mut ready).expect("wait");
        assert_eq!(ready, []);
        near.write_all(b"x").expect("write");
        poll.wait(None, &mut ready).expect("wait");
        assert_eq!(ready, [Ready { token: 7, read: true, write: false }]);
        poll.change(far.as_fd(), 8, Interest::BOTH).expect("change");
        poll.wait(None, &mut ready).expect("wait");
        assert_eq!(ready, [Ready { token: 8, read: true, write: true }]);
        poll.remove(far.as_fd()).expect("remove");
        poll.wait(Some(Duration::ZERO), &mut ready).expect("wait");
        assert_eq!(ready, []);
    }
}
