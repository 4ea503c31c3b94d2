//! Clients that have not authenticated: what they may make this server keep, each of them and all together.
//!
//! Their requests are bounded by the decoder, as in Redis (10 arguments of 16 KiB). What is kept of their input and of their output is counted where
//! some is kept, which is no path of a client that is served.

use rivulet_engine::client_id::ClientId;

use crate::log;
use crate::node::Node;

/// Input of one client: the largest command that it may send, and a line.
pub const INPUT_BYTES_MAX: u64 = 256 * 1024;
/// Input and output of all of them.
const ALL_BYTES_MAX: usize = 4 << 20;

impl Node {
    /// Input of this client was kept, or output.
    #[cold]
    pub fn count_unauthenticated(&mut self, id: ClientId) {
        self.clients.count_unauthenticated(id);
        if self.clients.unauthenticated_bytes() > ALL_BYTES_MAX {
            self.close_unauthenticated();
        }
    }

    /// Output of this client could not be sent.
    pub fn count_unsent(&mut self, id: ClientId) {
        if self.clients.get(id).is_some_and(|c| !c.session.login.authenticated) {
            self.count_unauthenticated(id);
        }
    }

    /// Closes those with most of what is kept, until half of what may be is left: so that the next look at all of them is some MiB away.
    fn close_unauthenticated(&mut self) {
        let mut sizes = self.clients.recount_unauthenticated();
        sizes.sort_unstable();
        let mut closed = 0;
        while self.clients.unauthenticated_bytes() > ALL_BYTES_MAX / 2
            && let Some((bytes, id)) = sizes.pop()
        {
            if closed == 0 {
                log::warning!(
                    "Clients that have not authenticated hold more than {ALL_BYTES_MAX} bytes of memory: closing those with most, first the one with {bytes}: {}",
                    self.client_line(id)
                );
            }
            closed += 1;
            self.clients.close_soon(id);
        }
    }
}
