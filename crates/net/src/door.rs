//! A loop's own visitors: another thread of the process becomes a client, by one end of a pair of Unix sockets of which the loop takes the other.
//!
//! [`Door`] is what that thread has: it asks for a connection, and the loop takes it in at its next turn ([`Visitors`]). What a visitor may do is the loop's affair.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rivulet_host::sync::{Receiver, Sender, channel};

use crate::stream::Stream;
use crate::wake::Waker;

/// Connections that wait to be taken in: a loop that is stuck for minutes is not given more and more of them.
const WAITING_MAX: usize = 64;

/// For whom a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visitor {
    /// The page, which looks at this process on everybody's behalf.
    Page,
    /// Somebody who is to log in.
    Person,
}

/// Lets visitors in. It may be used on any thread.
#[derive(Clone)]
pub struct Door {
    to: Sender<(UnixStream, Visitor)>,
    waiting: Arc<AtomicUsize>,
    waker: Waker,
}

impl Door {
    /// A door to the loop that this wakes, and the loop's side of it.
    pub fn new(waker: &Waker) -> (Door, Visitors) {
        let (to, visitors) = channel();
        let waiting = Arc::<AtomicUsize>::default();
        (Door { to, waiting: waiting.clone(), waker: waker.clone() }, Visitors { visitors, waiting })
    }

    /// A connection to the loop. Its peer comes in the loop's next turn; what is written before waits in the socket.
    ///
    /// # Errors
    /// There are no descriptors, the loop has been too busy to take in those who wait, or it has ended.
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

/// The loop's side of a door.
pub struct Visitors {
    visitors: Receiver<(UnixStream, Visitor)>,
    /// How many there are.
    waiting: Arc<AtomicUsize>,
}

impl Visitors {
    /// The next who waits.
    pub fn next(&self) -> Option<(Stream, Visitor)> {
        let (socket, visitor) = self.visitors.try_recv().ok()?;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Some((Stream::from_unix(socket), visitor))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::{Interest, Poll};

    #[test]
    fn visitors_come_in_their_order_and_wake_the_loop() {
        let mut poll = Poll::new().expect("a poll");
        let waker = Waker::new().expect("a waker");
        poll.add(&waker, 7, Interest::READ).expect("it is watched");
        let (door, visitors) = Door::new(&waker);
        assert!(visitors.next().is_none());
        let mut page = door.open(Visitor::Page).expect("it is open");
        let _person = door.clone().open(Visitor::Person).expect("so is a copy of it");
        page.write_all(b"PING").expect("it waits in the socket");
        let mut ready = Vec::new();
        poll.wait(Some(std::time::Duration::from_secs(5)), &mut ready).expect("it waits");
        assert_eq!(ready.iter().map(|ready| ready.token).collect::<Vec<_>>(), [7]);
        let (mut stream, visitor) = visitors.next().expect("the first");
        let mut bytes = Vec::new();
        stream.read_into(&mut bytes, 64).expect("it reads");
        assert_eq!((visitor, bytes.as_slice()), (Visitor::Page, b"PING".as_slice()));
        assert_eq!(visitors.next().map(|(_, visitor)| visitor), Some(Visitor::Person));
        assert!(visitors.next().is_none());
    }

    #[test]
    fn a_loop_that_takes_nobody_in_is_given_a_bounded_number() {
        let (door, visitors) = Door::new(&Waker::new().expect("a waker"));
        let waiting: Vec<_> = (0..WAITING_MAX).map(|_| door.open(Visitor::Page).expect("there is room")).collect();
        assert!(door.open(Visitor::Page).is_err());
        assert!(visitors.next().is_some());
        assert!(door.open(Visitor::Page).is_ok());
        drop(waiting);
    }

    #[test]
    fn a_loop_that_has_ended_takes_nobody_in() {
        let (door, visitors) = Door::new(&Waker::new().expect("a waker"));
        drop(visitors);
        let refused = door.open(Visitor::Person).expect_err("nobody is there");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
