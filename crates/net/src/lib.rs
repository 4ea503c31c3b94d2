//! The event loop: sockets and wake-ups. It knows nothing of the protocol.
//!
//! [`Poll`] is the small trait that the server's loop stands on, and [`Epoll`] its implementation; [`listen`] and [`stream`] make the sockets
//! that it watches, all of them non-blocking. Timers are the caller's: it passes how long to wait.

pub mod listen;
pub mod poll;
pub mod stream;
pub mod wake;

pub use listen::{Listener, bind_tcp, bind_unix};
pub use poll::{Epoll, Interest, Poll, Ready};
pub use stream::{Stream, connect};
pub use wake::Waker;
