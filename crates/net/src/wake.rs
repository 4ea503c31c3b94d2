//! Waking the loop from another thread.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rivulet_host::world;
use rustix::event::{EventfdFlags, eventfd};

use crate::poll::{Source, Watched};

/// Wakes a loop that watches it. Clones wake the same loop.
#[derive(Clone)]
pub struct Waker(Kind);

#[derive(Clone)]
enum Kind {
    System(Arc<OwnedFd>),
    Simulated(Arc<AtomicBool>),
}

impl Waker {
    pub fn new() -> io::Result<Waker> {
        Ok(Waker(match world::is_simulated() {
            true => Kind::Simulated(Arc::default()),
            false => Kind::System(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)),
        }))
    }

    /// Makes the loop's next wait return at once.
    pub fn wake(&self) {
        match &self.0 {
            // The only failure is a full counter, and then the loop is awake.
            Kind::System(fd) => _ = rustix::io::write(&**fd, &1u64.to_ne_bytes()),
            Kind::Simulated(flag) => {
                flag.store(true, Ordering::Relaxed);
                world::note_progress();
            }
        }
    }

    /// To be called by the loop when it has been woken.
    pub fn clear(&self) {
        match &self.0 {
            // The only failure is that nobody has called since.
            Kind::System(fd) => _ = rustix::io::read(&**fd, &mut [0u8; 8]),
            Kind::Simulated(flag) => flag.store(false, Ordering::Relaxed),
        }
    }
}

impl Source for Waker {
    fn watched(&self) -> Watched<'_> {
        match &self.0 {
            Kind::System(fd) => Watched::System(fd.as_fd()),
            Kind::Simulated(flag) => Watched::Flag(flag),
        }
    }
}
