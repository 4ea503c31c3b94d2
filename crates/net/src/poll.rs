//! Waiting for sockets to become ready.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rivulet_host::world;
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

/// What can be watched.
pub trait Source {
    fn watched(&self) -> Watched<'_>;
}

/// What a machine watches.
#[derive(Clone, Copy, Debug)]
pub enum Watched<'a> {
    System(BorrowedFd<'a>),
    /// A socket of a simulated machine.
    Socket(u64),
    /// A wake-up of a simulated machine: it is ready to be read when this is set.
    Flag(&'a Arc<AtomicBool>),
}

/// Watches sockets. Level-triggered: what is not dealt with is told again.
pub struct Poll(Watching);

enum Watching {
    Epoll { fd: OwnedFd, events: Vec<epoll::Event> },
    Simulated { sockets: BTreeMap<u64, (u64, Interest)>, flags: Vec<(Arc<AtomicBool>, u64)> },
}

/// As many sockets are told at once.
const EVENTS_MAX: usize = 1024;

impl Poll {
    pub fn new() -> io::Result<Poll> {
        Ok(Poll(match world::is_simulated() {
            true => Watching::Simulated { sockets: BTreeMap::new(), flags: Vec::new() },
            false => {
                Watching::Epoll { fd: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(EVENTS_MAX) }
            }
        }))
    }

    pub fn add(&mut self, source: &impl Source, token: u64, interest: Interest) -> io::Result<()> {
        match (&mut self.0, source.watched()) {
            (Watching::Epoll { fd, .. }, Watched::System(socket)) => {
                Ok(epoll::add(fd, socket, EventData::new_u64(token), flags(interest))?)
            }
            (Watching::Simulated { sockets, .. }, Watched::Socket(socket)) => {
                sockets.insert(socket, (token, interest));
                Ok(())
            }
            (Watching::Simulated { flags, .. }, Watched::Flag(flag)) => {
                flags.push((flag.clone(), token));
                Ok(())
            }
            _ => Err(of_another_machine()),
        }
    }

    pub fn change(&mut self, source: &impl Source, token: u64, interest: Interest) -> io::Result<()> {
        match (&mut self.0, source.watched()) {
            (Watching::Epoll { fd, .. }, Watched::System(socket)) => {
                Ok(epoll::modify(fd, socket, EventData::new_u64(token), flags(interest))?)
            }
            (Watching::Simulated { sockets, .. }, Watched::Socket(socket)) => {
                sockets.insert(socket, (token, interest));
                Ok(())
            }
            _ => Err(of_another_machine()),
        }
    }

    pub fn remove(&mut self, source: &impl Source) -> io::Result<()> {
        match (&mut self.0, source.watched()) {
            (Watching::Epoll { fd, .. }, Watched::System(socket)) => Ok(epoll::delete(fd, socket)?),
            (Watching::Simulated { sockets, .. }, Watched::Socket(socket)) => {
                sockets.remove(&socket);
                Ok(())
            }
            _ => Err(of_another_machine()),
        }
    }

    /// Waits until something is ready or `timeout` is over (none: for ever), and puts what is ready into `ready`.
    pub fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.clear();
        match &mut self.0 {
            Watching::Epoll { fd, events } => wait_for_events(fd, events, timeout, ready),
            Watching::Simulated { sockets, flags } => {
                wait_for_world(sockets, flags, timeout, ready);
                Ok(())
            }
        }
    }
}

fn of_another_machine() -> io::Error {
    io::Error::other("a socket of another machine")
}

fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, interest.read);
    flags.set(EventFlags::OUT, interest.write);
    flags
}

fn wait_for_events(
    fd: &OwnedFd,
    events: &mut Vec<epoll::Event>,
    timeout: Option<Duration>,
    ready: &mut Vec<Ready>,
) -> io::Result<()> {
    events.clear();
    let timeout = timeout.map(|t| Timespec { tv_sec: t.as_secs() as i64, tv_nsec: i64::from(t.subsec_nanos()) });
    match epoll::wait(fd, rustix::buffer::spare_capacity(events), timeout.as_ref()) {
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return Ok(()),
        Err(e) => return Err(e.into()),
    }
    ready.extend(events.iter().map(|event| {
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

fn wait_for_world(
    sockets: &mut BTreeMap<u64, (u64, Interest)>,
    flags: &[(Arc<AtomicBool>, u64)],
    timeout: Option<Duration>,
    ready: &mut Vec<Ready>,
) {
    let now_us = || world::with(|world| world.machine_us()).unwrap_or(0);
    let until_us = timeout.map(|timeout| now_us() + timeout.as_micros() as u64);
    loop {
        let woken = flags.iter().filter(|(flag, _)| flag.load(Ordering::Relaxed));
        ready.extend(woken.map(|(_, token)| Ready { token: *token, read: true, write: false }));
        // A socket that is closed is watched no more, as with epoll.
        sockets.retain(|&socket, &mut (token, interest)| {
            let Some(is) = world::with(|world| world.readiness(socket)).flatten() else { return false };
            let (read, write) = (is.broken || is.read && interest.read, is.broken || is.write && interest.write);
            if read || write {
                ready.push(Ready { token, read, write });
            }
            true
        });
        if !ready.is_empty() || until_us.is_some_and(|until| now_us() >= until) {
            return;
        }
        world::park(world::Awaits::ThreadsAndSockets, until_us);
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
        let far = crate::Stream::from_unix(far);
        let mut poll = Poll::new().expect("a poll");
        let mut ready = Vec::new();
        poll.add(&far, 7, Interest::READ).expect("add");
        poll.wait(Some(Duration::ZERO), &mut ready).expect("wait");
        assert_eq!(ready, []);
        near.write_all(b"x").expect("write");
        poll.wait(None, &mut ready).expect("wait");
        assert_eq!(ready, [Ready { token: 7, read: true, write: false }]);
        poll.change(&far, 8, Interest::BOTH).expect("change");
        poll.wait(None, &mut ready).expect("wait");
        assert_eq!(ready, [Ready { token: 8, read: true, write: true }]);
        poll.remove(&far).expect("remove");
        poll.wait(Some(Duration::ZERO), &mut ready).expect("wait");
        assert_eq!(ready, []);
    }
}
