//! Connections are accepted: how many, from whom, and when not.

use std::net::SocketAddr;
use std::time::Duration;

use rivulet_net::{Interest, Stream};

use super::PROTECTED_MODE_TEXT;
use crate::front::listeners::Listening;
use crate::log;
use crate::node::Node;

/// Connections accepted at one time, so that those that are open get their turn.
const ACCEPTS_MAX: usize = 1000;

/// How long nobody is accepted when the system has no room, unless a client goes before.
const REST_MS: u64 = 1000;

impl Node {
    pub fn accept(&mut self, listener: usize) {
        for _ in 0..ACCEPTS_MAX {
            let Some(Listening { socket, is_tls }) = self.front.listeners.get(listener) else { return };
            let is_tls = *is_tls;
            // Those that can't be shaken hands with now wait where they are.
            if is_tls && !self.front.handshakes.has_time(self.clock.now_us) {
                return;
            }
            match socket.accept() {
                Ok(Some(stream)) => {
                    self.front.accepting.told = false;
                    self.add_connection(stream, is_tls);
                }
                Ok(None) => return,
                Err(error) => return self.rest_accepting(&error),
            }
        }
    }

    /// No connection can be had now: descriptors or memory are lacking. Those that wait stay in the system's queue.
    fn rest_accepting(&mut self, error: &std::io::Error) {
        if !std::mem::replace(&mut self.front.accepting.told, true) {
            log::warning!("Accepting client connection: accept: {}", crate::system::os_error(error));
        }
        self.front.accepting.rests_until_ms = Some(self.now_ms() + REST_MS);
        self.watch_listeners(Interest::NONE);
    }

    /// Accepts again when its time has come.
    pub fn accept_again_if_due(&mut self) {
        if self.front.accepting.rests_until_ms.is_some_and(|until| self.now_ms() >= until) {
            self.accept_again();
        }
    }

    /// A client has gone, so there may be room.
    pub fn accept_again(&mut self) {
        if self.front.accepting.rests_until_ms.take().is_some() {
            self.watch_listeners(Interest::READ);
        }
    }

    fn watch_listeners(&mut self, interest: Interest) {
        for (i, listener) in self.front.listeners.iter().enumerate() {
            if let Err(error) =
                self.front.poll.change(&listener.socket, crate::front::tokens::listener_token(i), interest)
            {
                log::warning!("Watching a listening socket failed: {error}");
            }
        }
    }

    /// Whether protected mode keeps clients from this address out.
    pub fn is_refused(&self, address: SocketAddr) -> bool {
        let is_open = self.config.protected_mode && self.acl.users.default_user().nopass;
        is_open && !address.ip().to_canonical().is_loopback()
    }

    /// Puts TLS on a connection, if that is wanted.
    fn with_tls(&mut self, stream: Stream, is_tls: bool) -> Option<Stream> {
        if !is_tls {
            return Some(stream);
        }
        let auth = self.config.client_auth();
        match stream.into_tls_server(self.front.tls.as_ref()?, auth) {
            Ok(stream) => Some(stream),
            Err(error) => {
                log::warning!("Error accepting a client connection: {error}");
                None
            }
        }
    }

    fn add_connection(&mut self, mut stream: Stream, is_tls: bool) {
        let refusal = match self.clients.served() >= self.config.maxclients as usize
            || self.front.accepting.is_reserved(&stream)
        {
            true => Some(&b"-ERR max number of clients reached\r\n"[..]),
            // Who comes with TLS is told when it can read it.
            false if is_tls => None,
            false => stream.peer_address().filter(|address| self.is_refused(*address)).map(|_| PROTECTED_MODE_TEXT),
        };
        if let Some(text) = refusal {
            if !is_tls {
                // The connection is closed whether or not the error arrives.
                let _ = stream.write(text);
            }
            self.ops.stats.connections.rejected += 1;
            return;
        }
        let Some(stream) = self.with_tls(stream, is_tls) else { return };
        let peer = stream.peer_address();
        // Options that a socket refuses do not make it useless.
        let _ = stream.set_nodelay(true);
        if self.config.tcp_keepalive > 0 {
            let _ = stream.set_keepalive(Duration::from_secs(self.config.tcp_keepalive));
        }
        let now_ms = self.now_ms();
        let local = stream.local_address();
        let login = self.login_of_newcomers();
        let client = self.clients.add(None, now_ms);
        let id = client.id;
        client.session.login = login;
        match peer {
            Some(address) => {
                client.connection.peer.address = address.to_string();
                client.connection.peer.local_address = local.map_or_else(String::new, |a| a.to_string());
            }
            None => {
                client.connection.peer.is_unix = true;
                client.connection.peer.address = format!("{}:0", self.config.unixsocket);
                client.connection.peer.local_address = client.connection.peer.address.clone();
            }
        }
        client.connection.watching.read = true;
        if let Err(e) = self.front.poll.add(&stream, id, Interest::READ) {
            log::warning!("Error registering fd event for the new client: {e}");
            self.clients.remove(id);
            return;
        }
        self.clients.at(id).connection.stream = Some(stream);
        if is_tls {
            self.begin_handshake(id);
        }
        self.count_client_memory(id);
        self.ops.stats.connections.accepted += 1;
    }
}
