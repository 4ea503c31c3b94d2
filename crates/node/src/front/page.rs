//! The page's connections: one end of a pair of sockets each, as the page is a client of its own server.
//!
//! [`Door`] is what the page's thread has: it asks for a connection, and the executor takes the other end at its next turn. What the page itself asks with
//! is internal: it may do all, and is in no count and no list of clients. A person who logs in on the page is a client as any other.

mod driver;

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rivulet_host::sync::{Receiver, Sender};
use rivulet_net::Waker;

/// Connections that wait to be taken in: a server that is stuck in a command for minutes is not given more and more of them.
const WAITING_MAX: usize = 64;

/// For whom a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visitor {
    /// The page, which looks at this server on everybody's behalf.
    Page,
    /// Somebody who is to log in.
    Person,
}

/// Lets the page in. It may be used on any thread.
#[derive(Clone)]
pub struct Door {
    to: Sender<(UnixStream, Visitor)>,
    waiting: Arc<AtomicUsize>,
    waker: Waker,
}

impl Door {
    /// A connection to this server. Its peer comes at the end of the executor's present turn; what is written before waits in the socket.
    ///
    /// # Errors
    /// There are no descriptors, the server has been too busy to take in those who wait, or it has ended.
    pub fn open(&self, visitor: Visitor) -> io::Result<UnixStream> {
        if self.waiting.load(Ordering::Relaxed) >= WAITING_MAX {
            return Err(io::Error::other("the server is busy"));
        }
        let (ours, theirs) = UnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.to.send((theirs, visitor)).map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        self.waker.wake();
        Ok(ours)
    }
}

/// The executor's side of the door.
pub struct Visitors {
    visitors: Receiver<(UnixStream, Visitor)>,
    /// How many there are.
    waiting: Arc<AtomicUsize>,
}

impl Visitors {
    fn next(&self) -> Option<(UnixStream, Visitor)> {
        let next = self.visitors.try_recv().ok()?;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Some(next)
    }
}
