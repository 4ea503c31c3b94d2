//! Where sessions are kept is not the engine's affair: it asks for them by the ids of their clients.

use crate::client_id::ClientId;
use crate::session::Session;

/// All sessions.
pub trait Sessions {
    /// The session of a client, if that is there.
    fn session(&self, id: ClientId) -> Option<&Session>;

    /// The same, to be changed.
    fn session_mut(&mut self, id: ClientId) -> Option<&mut Session>;
}
