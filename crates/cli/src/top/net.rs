//! How nodes are reached: as the one that was named is, with the same login and the same TLS.

use std::collections::BTreeMap;
use std::time::Duration;

use rivulet_client::{Address, ClientError, ClientTls, Connection, Failure, Login, Reply, ReplyBounds, Timeouts};
use rivulet_topology::watcher::REPLY_BYTES_MAX;
use rivulet_topology::{Ask, AskError, Connect};

use crate::clock;

/// For a connection, and for each answer to a question of the picture.
const PATIENCE: Duration = Duration::from_secs(2);

/// Makes connections.
#[derive(Clone)]
pub struct Net {
    /// The node that was named, under the address by which the picture has it.
    pub first: rivulet_topology::Address,
    /// Where that is, which may be a socket of this machine.
    pub door: Address,
    pub user: Option<Vec<u8>>,
    pub password: Option<Vec<u8>>,
    pub tls: Option<ClientTls>,
    pub prefers_ipv6: bool,
}

impl Net {
    /// Connects and logs in; `patience` is how long each answer may take as a whole.
    ///
    /// # Errors
    /// Nobody listens there, or the login is refused.
    pub fn open(&self, to: &rivulet_topology::Address, patience: Duration) -> Result<Connection, ClientError> {
        let address = if *to == self.first { self.door.clone() } else { Address::tcp(to.host.clone(), to.port) };
        let timeouts = Timeouts {
            connect: Some(PATIENCE),
            read: Some(PATIENCE),
            write: Some(PATIENCE),
            prefers_ipv6: self.prefers_ipv6,
        };
        let login = Login { user: self.user.clone(), password: self.password.clone(), ..Login::default() };
        let mut connection = Connection::connect(&address, self.tls.as_ref(), &timeouts)?;
        let now_ms = || clock::both().ms;
        connection.bound_replies(ReplyBounds { bytes_max: REPLY_BYTES_MAX, patience, now_ms });
        match connection.log_in(&login) {
            // A Sentinel often has no password though its servers have one.
            Err(ClientError { failure: Failure::Refused { reply, .. }, .. }) if has_no_password(&reply) => {
                Ok(connection)
            }
            other => other.map(|()| connection),
        }
    }
}

fn has_no_password(reply: &Reply) -> bool {
    reply.text().contains("without any password configured")
}

impl Connect for Net {
    fn connect(&self, to: &rivulet_topology::Address) -> Result<Box<dyn Ask>, String> {
        Ok(Box::new(Peer(self.open(to, PATIENCE).map_err(|error| error.to_string())?)))
    }
}

struct Peer(Connection);

impl Peer {
    fn ask(&mut self, words: &[&str]) -> Result<Reply, AskError> {
        let reply = self.0.ask(words).map_err(|error| AskError::Lost(error.to_string()))?;
        if reply.is_error() { Err(AskError::Refused(reply.text().into_owned())) } else { Ok(reply) }
    }
}

impl Ask for Peer {
    fn text(&mut self, words: &[&str]) -> Result<String, AskError> {
        Ok(self.ask(words)?.text().into_owned())
    }

    fn maps(&mut self, words: &[&str]) -> Result<Vec<BTreeMap<String, String>>, AskError> {
        let reply = self.ask(words)?;
        let maps = reply.items().unwrap_or_default().iter().filter_map(Reply::pairs);
        let text = |pair: (&Reply, &Reply)| (pair.0.text().into_owned(), pair.1.text().into_owned());
        Ok(maps.map(|pairs| pairs.into_iter().map(text).collect()).collect())
    }
}
