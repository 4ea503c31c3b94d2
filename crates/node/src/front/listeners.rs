//! The sockets that clients come to.

mod driver;

use rivulet_net::Listener;

/// A socket that clients come to.
pub struct Listening {
    pub socket: Listener,
    /// They come with TLS.
    pub is_tls: bool,
}
