//! Clients that wait: what becomes of them, and what they are told.

use rivulet_commands::effects::OnTimeout;
use rivulet_commands::fail::Fail;
use rivulet_engine::blocked::{Blocked, BlockedOn};
use rivulet_engine::client_id::ClientId;

use crate::node::Node;

impl Node {
    /// When a wait ends whose time-out in ms is an argument, if it ever does.
    pub fn deadline_of(&self, timeout: &[u8]) -> Result<Option<u64>, Fail> {
        let timeout_ms = rivulet_commands::parse::timeout_ms(timeout, self.now_ms())?;
        Ok(timeout_ms.map(|ms| self.now_ms() + ms))
    }

    /// Makes a client wait; its further input stays where it is.
    pub fn block(&mut self, id: ClientId, reason: BlockedOn, deadline_ms: Option<u64>) {
        let blocked = self.engine.blocking.add(id, reason, deadline_ms);
        self.clients.at(id).session.blocked = Some(blocked);
    }

    /// Takes a client that no longer waits out of all lists; it goes on with its input.
    pub fn forget_blocked(&mut self, id: ClientId, blocked: &Blocked) {
        self.engine.blocking.remove(id, blocked);
        if matches!(blocked.reason, BlockedOn::Migrate) {
            self.forget_migrating_client(id);
        }
        if !matches!(blocked.reason, BlockedOn::Pause { .. }) {
            self.end_caching_choice(id, None);
        }
        self.process_soon(id);
    }

    /// Ends a wait without a reply (the client goes away).
    pub fn unblock_silently(&mut self, id: ClientId) {
        if let Some(blocked) = self.clients.get_mut(id).and_then(|c| c.session.blocked.take()) {
            self.forget_blocked(id, &blocked);
        }
    }

    /// Ends a wait with an error.
    pub fn unblock_with_error(&mut self, id: ClientId, text: &[u8]) {
        self.unblock_silently(id);
        let Some(client) = self.clients.get(id) else { return };
        if let Some(command) = client.session.last_command {
            let stats = self.ops.stats.of(command);
            (stats.calls, stats.failed) = (stats.calls + 1, stats.failed + 1);
        }
        self.send_error(id, text);
    }

    /// Ends a wait as its time-out does.
    pub fn unblock_as_timed_out(&mut self, id: ClientId) {
        let Some(blocked) = self.clients.get_mut(id).and_then(|c| c.session.blocked.take()) else { return };
        match &blocked.reason {
            BlockedOn::Keys { block, .. } => {
                let outbox = &mut self.clients.at(id).connection.outbox;
                outbox.hold.forget_pushes();
                let start = outbox.output.end();
                self.reply_late(id, |reply| match block.on_timeout {
                    OnTimeout::NullArray => reply.null_array(),
                    OnTimeout::Null => reply.null(),
                });
                self.mark_nothing_found(id, start);
            }
            BlockedOn::Acks { wish, offset } => self.reply_acks(id, *wish, *offset),
            BlockedOn::Verify => self.reply_verify(id),
            BlockedOn::Migrate | BlockedOn::Pause { .. } | BlockedOn::Shutdown => {}
        }
        self.clients.queue_write(id);
        self.forget_blocked(id, &blocked);
        if let Some(command) = self.clients.get(id).and_then(|client| client.session.last_command) {
            self.ops.stats.of(command).calls += 1;
        }
    }

    pub fn time_out_blocked(&mut self) {
        while let Some(id) = self.engine.blocking.take_due(self.now_ms()) {
            self.unblock_as_timed_out(id);
        }
    }

    /// Serves those who wait for keys that got a value, first come first served, until nothing is ready any more.
    // Apart, so that who only asks whether there is something to do is small enough to be inlined.
    #[inline(never)]
    pub fn serve_ready_keys(&mut self) {
        while !self.engine.blocking.ready.is_empty() {
            for key in std::mem::take(&mut self.engine.blocking.ready) {
                let mut last = 0;
                let next = |node: &Node, last: &mut u64| {
                    node.engine.blocking.next_woken(&node.engine.keyspace, &key, last, &node.clients)
                };
                while let Some(id) = next(self, &mut last) {
                    self.retry_blocked(id, &key.1);
                }
            }
        }
    }
}
