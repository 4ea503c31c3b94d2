//! New connections: who is let in, and what happens when there is no room for more.
//!
//! The last descriptors that the system grants are kept for files, so that this server can still save when clients have taken all others. When it
//! runs out of them nevertheless, it accepts nobody for a while: a listening socket that nobody accepts from would wake the loop for ever.

mod driver;

use rivulet_net::Stream;

/// Whether connections are accepted.
#[derive(Default)]
pub struct Accepting {
    /// Nobody is accepted until then, or until a client goes.
    rests_until_ms: Option<u64>,
    /// The log has been told, and nobody was accepted since.
    told: bool,
    /// No client has this descriptor or a higher one; 0 for no limit.
    pub reserved_from: u64,
}

impl Accepting {
    fn is_reserved(&self, stream: &Stream) -> bool {
        self.reserved_from > 0 && stream.descriptor().is_some_and(|fd| u64::from(fd) >= self.reserved_from)
    }
}

/// What they are told.
pub const PROTECTED_MODE_TEXT: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface. Set a password with requirepass, bind addresses with bind, or turn protected-mode off, to accept connections from elsewhere.\r\n";
