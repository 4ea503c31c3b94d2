//! Handshakes are begun, worked at, and given up.

use std::io;

use rivulet_engine::client_id::ClientId;

use crate::clock;
use crate::front::accept::PROTECTED_MODE_TEXT;
use crate::log;
use crate::node::Node;

/// Handshakes under way, if that is not more than half of all clients.
const UNDER_WAY_MAX: usize = 1000;

/// How long one may take.
const TIME_MS_MAX: u64 = 10_000;

impl Node {
    /// A client's handshake begins.
    pub fn begin_handshake(&mut self, id: ClientId) {
        let until = self.now_ms() + TIME_MS_MAX;
        self.front.handshakes.begun.push_back((until, id));
        self.front.handshakes.under_way += 1;
        if self.front.handshakes.under_way > UNDER_WAY_MAX.min(self.config.maxclients as usize / 2) {
            while let Some((_, id)) = self.front.handshakes.begun.pop_front() {
                if self.give_up_handshake(id) {
                    break;
                }
            }
        }
    }

    /// Gives up those that have taken too long.
    pub fn end_late_handshakes(&mut self) {
        let now_ms = self.now_ms();
        while let Some(&(until, id)) = self.front.handshakes.begun.front()
            && until <= now_ms
        {
            self.front.handshakes.begun.pop_front();
            self.give_up_handshake(id);
        }
    }

    /// Closes a client whose handshake is not done; answers whether it had to.
    fn give_up_handshake(&mut self, id: ClientId) -> bool {
        let is_under_way = self.clients.get(id).is_some_and(|client| {
            let stream = client.connection.stream.as_ref();
            !client.connection.closing && stream.is_some_and(|stream| stream.is_handshaking())
        });
        if is_under_way {
            self.ops.stats.connections.handshakes_given_up += 1;
            self.clients.close_soon(id);
        }
        is_under_way
    }

    /// The socket of a client whose handshake is under way is ready.
    #[cold]
    pub fn go_on_with_handshake(&mut self, id: ClientId) {
        if !self.front.handshakes.has_time(self.clock.now_us) {
            return;
        }
        let Some(stream) = self.clients.get_mut(id).and_then(|client| client.connection.stream.as_mut()) else {
            return;
        };
        let began_us = clock::monotonic_us();
        let result = stream.handshake();
        if !stream.is_handshaking() {
            self.front.handshakes.under_way -= 1;
        }
        self.front.handshakes.spent_us += clock::monotonic_us() - began_us;
        match result {
            Ok(true) => self.handshake_done(id),
            Ok(false) => self.note_more(id),
            Err(error) => {
                self.ops.stats.connections.handshakes_failed += 1;
                self.tell_of_failed_handshake(id, &error);
                self.clients.close_soon(id);
            }
        }
    }

    fn handshake_done(&mut self, id: ClientId) {
        let Some(stream) = &self.clients.at(id).connection.stream else { return };
        if stream.peer_address().is_some_and(|address| self.is_refused(address)) {
            self.refuse_stranger(id);
            return;
        }
        self.log_in_by_certificate(id);
        self.note_more(id);
    }

    /// Tells a client that protected mode keeps it out.
    fn refuse_stranger(&mut self, id: ClientId) {
        if let Some(stream) = &mut self.clients.at(id).connection.stream {
            // The connection is closed whether or not the error arrives.
            let _ = stream.write(PROTECTED_MODE_TEXT);
        }
        self.ops.stats.connections.rejected += 1;
        self.clients.close_soon(id);
    }

    fn tell_of_failed_handshake(&mut self, id: ClientId, error: &io::Error) {
        let now_ms = self.now_ms();
        let peer = &self.clients.at(id).connection.peer;
        let (address, local) = (&peer.address, &peer.local_address);
        if error.kind() == io::ErrorKind::UnexpectedEof {
            log::verbose!("Client closed connection during the TLS handshake (addr={address} laddr={local})");
        } else if self.front.handshakes.tells(now_ms) {
            let reason = crate::system::os_error(error);
            log::warning!("Error accepting a client connection: {reason} (addr={address} laddr={local})");
        }
    }

    /// A client's stream may have something to tell, or to send, that its socket doesn't tell of.
    pub fn note_more(&mut self, id: ClientId) {
        let Some(stream) = self.clients.get(id).and_then(|client| client.connection.stream.as_ref()) else { return };
        let has_unsent = stream.has_unsent();
        if stream.has_more() {
            self.front.unread.push(id);
        }
        if has_unsent {
            self.watch_write(id, true);
        }
    }

    /// Reads what streams have though their sockets are silent.
    pub fn read_unread(&mut self) {
        for id in std::mem::take(&mut self.front.unread) {
            match self.clients.get(id) {
                Some(client) if client.connection.watching.read && !self.runs_script_of(id) => self.read_client(id),
                // Whose script runs is heard when that has ended.
                Some(_) => self.front.unread.push(id),
                None => {}
            }
        }
    }
}
