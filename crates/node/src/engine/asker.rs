//! Who asks for a command, and where its reply goes.

use rivulet_resp::Reply;

use crate::front::client_id::ClientId;
use crate::node::Node;

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

impl Node {
    /// Runs `f` while what was answered so far stands where it will be sent from: for what looks at a client's outbox, or sends from it at once.
    pub fn with_whole_outbox<R>(&mut self, by: &mut Asker<'_>, f: impl FnOnce(&mut Node, ClientId) -> R) -> R {
        let exchange = |node: &mut Node, by: &mut Asker<'_>| {
            if let Some(client) = node.clients.get_mut(by.id) {
                by.reply.swap(&mut client.connection.outbox.output.bytes);
            }
        };
        exchange(self, by);
        let result = f(self, by.id);
        exchange(self, by);
        result
    }
}
