//! Visitors of the page are taken in.

use rivulet_engine::session::Login;
use rivulet_net::{Door, Interest, Stream, Visitor, Visitors};

use crate::log;
use crate::node::Node;

/// What CLIENT LIST shows as the address of a person on the page.
const ADDRESS: &str = "page:0";

impl Node {
    /// Opens the door through which the page comes.
    pub fn open_door(&mut self) -> Door {
        let (door, visitors) = Door::new(&self.front.waker);
        self.front.visitors = Some(visitors);
        door
    }

    /// Takes in those who wait at the door.
    pub fn admit_visitors(&mut self) {
        while let Some((stream, visitor)) = self.front.visitors.as_ref().and_then(Visitors::next) {
            self.admit_visitor(stream, visitor);
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
