//! The event loop: sockets and wake-ups. It knows nothing of the protocol.
//!
//! [`Poll`] is what the server's loop stands on: Linux's epoll. [`listen`] and [`stream`] make the sockets that it watches, all of them
//! non-blocking; [`tls`] is one more kind of stream. Timers are the caller's: it passes how long to wait. On a simulated machine (`rivulet-host`) all of them are that machine's.

pub mod listen;
pub mod poll;
pub mod stream;
pub mod tls;
pub mod wake;

pub use listen::{Listener, bind_tcp, bind_unix};
pub use poll::{Interest, Poll, Ready, Source};
pub use stream::{Stream, connect};
pub use tls::{BlockingTls, ClientAuth, ClientTls, ClientTlsSettings, Credentials, TlsContext, TlsError, TlsSettings};
pub use wake::Waker;
