//! The page's connections: one end of a pair of sockets each, as the page is a client of its own server.
//!
//! [`Door`] is what the page's thread has: it asks for a connection, and the executor takes the other end at its next turn. What the page itself asks with
//! is internal: it may do all, and is in no count and no list of clients. A person who logs in on the page is a client as any other.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rivulet_host::sync::{self, Receiver, Sender};
use rivulet_net::{Interest, Stream, Waker};

use crate::engine::session::Login;
use crate::log;
use crate::node::Node;

/// What CLIENT LIST shows as the address of a person on the page.
const ADDRESS: &str = "page:0";

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

impl Node {
    /// Opens the door through which the page comes.
    pub fn open_door(&mut self) -> Door {
        let (to, visitors) = sync::channel();
        let waiting = Arc::<AtomicUsize>::default();
        self.front.visitors = Some(Visitors { visitors, waiting: waiting.clone() });
        Door { to, waiting, waker: self.front.waker.clone() }
    }

    /// Takes in those who wait at the door.
    pub fn admit_visitors(&mut self) {
        while let Some((socket, visitor)) = self.front.visitors.as_ref().and_then(Visitors::next) {
            self.admit_visitor(Stream::from_unix(socket), visitor);
        }
    }

    fn admit_visitor(&mut self, stream: Stream, visitor: Visitor) {
        let is_internal = visitor == Visitor::Page;
        if !is_internal && self.clients.served() >= self.config.maxclients as usize {
            self.ops.stats.connections.rejected += 1;
            return;
        }
        let login = if is_internal { Login::superuser() } else { self.login_of_newcomers() };
        let now_ms = self.now_ms();
        let client = self.clients.add(None, now_ms);
        let id = client.id;
        client.session.login = login;
        client.connection.peer.is_unix = true;
        client.connection.peer.address = ADDRESS.into();
        client.connection.peer.local_address = ADDRESS.into();
        client.connection.watching.read = true;
        if is_internal {
            self.clients.make_internal(id);
        } else {
            self.ops.stats.connections.accepted += 1;
        }
        if let Err(error) = self.front.poll.add(&stream, id, Interest::READ) {
            log::warning!("Watching a connection of the page failed: {error}");
            self.clients.remove(id);
            return;
        }
        self.clients.at(id).connection.stream = Some(stream);
        self.count_client_memory(id);
    }
}
