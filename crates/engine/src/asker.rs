//! Who asks for a command, and where its reply goes.

use rivulet_resp::Reply;

use crate::client_id::ClientId;

/// Where a call comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client's own command, or one of the master's stream.
    Client,
    /// A transaction: it can't wait, and what it changes goes out with the others of its unit.
    Exec,
    /// A script: as a transaction, and its commands see one time.
    Script,
}

/// Who asks for a command. Replies go here and nowhere else: they are the client's once the command has ended.
pub struct Asker<'a> {
    pub id: ClientId,
    pub origin: Origin,
    pub reply: Reply<'a>,
}
