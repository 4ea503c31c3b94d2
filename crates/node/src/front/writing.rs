//! From outboxes to sockets. Nothing else writes to a client's socket, and replies leave only once the stream of their turn was offered ([`Offered`]).

use rivulet_engine::client_id::ClientId;
use rivulet_net::Interest;

use crate::front::clients::Client;
use crate::log;
use crate::node::Node;
use crate::turn::Offered;

/// Bytes written to one connection before others get their turn.
const WRITE_BYTES_MAX: usize = 1 << 20;

impl Node {
    /// Sends a replica what it is owed: its link has no replies that others would have to wait for.
    pub fn flush_replica(&mut self, id: ClientId) {
        if self.clients.get(id).is_some_and(Client::is_replica) {
            self.write_client(id);
        }
    }

    /// Sends what the socket takes, and asks to be told when it takes more. Nothing else writes to a client's socket, and of replies only
    /// [`Node::send_replies`] makes it send any.
    fn write_client(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        client.connection.outbox.queued = false;
        if client.connection.closing {
            return;
        }
        if self.withholds_ids(id) {
            // Its socket would be ready all the time, and the loop never wait.
            let all_left = self.flush_tls(id);
            return self.watch_write(id, !all_left);
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        let limit = if self.front.held.lets_all { u64::MAX } else { client.connection.outbox.hold.sendable };
        let end = limit.min(client.connection.outbox.output.end());
        let Some(stream) = &mut client.connection.stream else { return client.connection.outbox.output.clear() };
        match client.connection.outbox.output.send(stream, end, WRITE_BYTES_MAX) {
            Ok(written) => self.ops.stats.traffic.output_bytes += written as u64,
            Err(e) => {
                log::verbose!("Error writing to client: {}", crate::system::os_error(&e));
                self.clients.close_soon(id);
                return;
            }
        }
        self.ops.stats.traffic.writes += 1;
        let has_unsent = stream.has_unsent() && !self.flush_tls(id);
        let Some(client) = self.clients.get_mut(id) else { return };
        let done = client.connection.outbox.output.sent_to() >= end && !has_unsent;
        if client.connection.outbox.output.pending() > 0 {
            self.count_unsent(id);
        } else if client.connection.close_after_reply && !has_unsent {
            self.clients.close_soon(id);
            return;
        }
        self.count_client_memory(id);
        let replica_wants = self.write_replica(id);
        self.watch_write(id, !done || replica_wants);
    }

    /// Sends what a stream has to send of its own; answers whether all has left.
    #[cold]
    fn flush_tls(&mut self, id: ClientId) -> bool {
        let Some(stream) = self.clients.get_mut(id).and_then(|client| client.connection.stream.as_mut()) else {
            return true;
        };
        // A socket that is broken is found out by the next read.
        stream.flush().is_err() || !stream.has_unsent()
    }

    fn watches_write(&self, id: ClientId) -> bool {
        self.clients.get(id).is_some_and(|client| client.connection.watching.write)
    }

    /// Asks, or asks no longer, to be told when the client's socket takes more.
    pub fn watch_write(&mut self, id: ClientId, on: bool) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.connection.watching.write == on || client.connection.closing {
            return;
        }
        client.connection.watching.write = on;
        let interest = Interest { read: client.connection.watching.read, write: on };
        let Some(stream) = &client.connection.stream else { return };
        if let Err(e) = self.front.poll.change(stream, id, interest) {
            log::warning!("Watching a client failed: {e}");
            self.clients.close_soon(id);
        }
    }

    /// Sends the replies of this turn. A client over its limit gets none of them. The stream was offered to the replicas' sockets before: what a client
    /// is told of reaches them though this process is killed then.
    pub fn send_replies(&mut self, _: Offered) {
        self.check_output_limits();
        for id in self.release_replies() {
            self.write_client(id);
        }
        while !self.clients.to_write.is_empty() {
            for id in std::mem::take(&mut self.clients.to_write) {
                // A socket of which it is watched whether it takes more is watched no longer when nothing may leave: it would be ready all the time.
                if !self.hold_reply(id) || self.watches_write(id) {
                    self.write_client(id);
                }
            }
        }
    }

    pub fn close_clients(&mut self) {
        let running = self.scripts.running.as_ref().map(|running| running.client);
        while let Some(id) = self.clients.to_close.pop_if(|id| Some(*id) != running) {
            self.free_client(id);
        }
    }

    /// Closes a connection and forgets everything about it.
    pub fn free_client(&mut self, id: ClientId) {
        if self.clients.get(id).is_none() {
            return;
        }
        self.unsubscribe_all(id);
        self.unwatch_all(id);
        self.unblock_silently(id);
        self.forget_tracker(id);
        self.ops.monitors.remove(&id);
        self.replica_gone(id);
        if let Some(client) = self.clients.remove(id)
            && let Some(stream) = &client.connection.stream
        {
            // Closing the socket takes it out in any case.
            let _ = self.front.poll.remove(stream);
            if stream.is_handshaking() {
                self.front.handshakes.gone();
            }
        }
        self.accept_again();
    }

    // ---- limits ----

    /// Closes a client, and answers that it did, if too much output waits for it with `more` bytes that are to come to that.
    #[cold]
    pub fn close_if_over_limit(&mut self, id: ClientId, more: usize) -> bool {
        let now_ms = self.now_ms();
        let limits = self.config.client_output_buffer_limit;
        let is_over = self.clients.get_mut(id).is_some_and(|client| client.is_over_limit_with(more, &limits, now_ms));
        if is_over {
            self.close_over_limit(vec![id]);
        }
        is_over
    }

    /// Closes clients for which too much output waits (`client-output-buffer-limit`) and that are to be written to.
    pub fn check_output_limits(&mut self) {
        let now_ms = self.now_ms();
        let limits = self.config.client_output_buffer_limit;
        let mut over = Vec::new();
        for i in 0..self.clients.to_write.len() {
            let id = self.clients.to_write[i];
            if self.clients.get_mut(id).is_some_and(|client| client.is_over_limit(&limits, now_ms)) {
                over.push(id);
            }
        }
        self.close_over_limit(over);
    }

    pub fn close_over_limit(&mut self, over: Vec<ClientId>) {
        for id in over {
            log::warning!(
                "Client {} scheduled to be closed ASAP for overcoming of output buffer limits.",
                self.client_line(id)
            );
            self.ops.stats.connections.output_limit += 1;
            self.clients.close_soon(id);
            // Nothing of it will be sent, and until the client has gone a script may run for long.
            if let Some(client) = self.clients.get_mut(id) {
                client.connection.outbox.output.clear();
            }
        }
    }
}
