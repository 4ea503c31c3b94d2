//! The event loop: sockets and wake-ups. It knows nothing of the protocol.
//!
//! [`Poll`] is what the server's loop stands on: Linux's epoll. [`listen`] and [`stream`] make the sockets that it watches, all of them
//! non-blocking; [`tls`] is one more kind of stream; [`door`] lets another thread of the process in as a client. Timers are the caller's: it passes how long to wait. On a simulated machine (`rivulet-host`) all of them are that machine's.

pub mod door;
pub mod listen;
pub mod poll;
pub mod stream;
pub mod tls;
pub mod wake;

pub use door::{Door, Visitor, Visitors};
pub use listen::{Listener, bind_tcp, bind_unix};
pub use poll::{Interest, Poll, Ready, Source};
pub use stream::{Stream, connect};
pub use tls::{BlockingTls, ClientAuth, ClientTls, ClientTlsSettings, Credentials, TlsContext, TlsError, TlsSettings};
pub use wake::Waker;
