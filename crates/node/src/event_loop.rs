//! The loop of the executor thread: wait, read, execute, write, and the periodic tasks between.

use std::io;
use std::time::Duration;

use rivulet_net::{Interest, Ready};

use crate::front::clients::{Client, ClientId};
use crate::front::unauthenticated;
use crate::lifecycle::scheduling::{self, Rests, Turns};
use crate::node::{Node, TOKEN_LISTENER_LAST, TOKEN_MASTER, TOKEN_RDB_CHANNEL, TOKEN_WAKER};
use crate::{clock, log};

/// Bytes that one read asks for.
pub const READ_BYTES: usize = 64 * 1024;
/// A client that has sent no more than this of a command has no buffer with room for more.
const SMALL_INPUT_BYTES: usize = 2 * 1024;
/// The most that a buffer grows by at once for a large argument, unless it is larger than that already.
const GROWTH_BYTES: usize = 1 << 20;
/// Bytes written to one connection before others get their turn.
const WRITE_BYTES_MAX: usize = 1 << 20;

impl Node {
    /// Runs until the server is to end; answers its exit status.
    pub fn run(&mut self) -> i32 {
        scheduling::be_prompt();
        let mut ready = Vec::new();
        let mut rests = Rests::default();
        let mut turns = Turns::default();
        let mut turn_us = clock::monotonic_us();
        loop {
            self.before_sleep();
            if let Some(status) = self.life.exit {
                // Nothing is executed any more: what others wrote in the turn of a SHUTDOWN is in the log by now.
                self.end_log_files();
                return status;
            }
            let ended_us = clock::monotonic_us();
            self.ops.stats.turn_ended(ended_us - turn_us);
            let timeout = if turns.helpers_wait() { Duration::ZERO } else { self.sleep_time() };
            if self.persist.data.running.is_some() {
                rests.rest_if_due(ended_us);
            }
            if let Err(error) = self.front.poll.wait(Some(timeout), &mut ready) {
                log::warning!("Waiting for sockets failed: {error}");
                return 1;
            }
            self.clock.look();
            turn_us = clock::monotonic_us();
            rests.polled(ended_us, turn_us);
            let commands = self.ops.stats.commands;
            for event in &ready {
                self.dispatch(*event);
                // The disk works while the next clients are served.
                self.hand_over_if_much();
            }
            self.process_waiting_input();
            if self.has_helpers() {
                // What clients asked for in this turn does not wait for the helpers' work.
                self.log_before_sleep();
                self.replication_before_sleep();
                self.send_replies();
                if turns.is_for_helpers(self.ops.stats.commands != commands, turn_us) {
                    self.run_helpers();
                }
            } else {
                turns = Turns::default();
            }
            if self.now_ms() >= self.life.next_cron_ms {
                self.cron();
            }
        }
    }

    /// How long nothing has to be done.
    fn sleep_time(&self) -> Duration {
        if self.has_background_work() || !self.clients.to_process.is_empty() {
            return Duration::ZERO;
        }
        let mut until = self.life.next_cron_ms;
        if let Some(deadline) = self.engine.blocking.next_deadline_ms() {
            until = until.min(deadline);
        }
        if let Some(end) = self.life.pauses.next_end_ms() {
            until = until.min(end);
        }
        if let Some(at_us) = self.data_work_at_us() {
            if at_us <= self.clock.now_us {
                return Duration::ZERO;
            }
            until = until.min(at_us / 1000);
        }
        // A deadline of the same millisecond has not passed yet: do not spin on it.
        Duration::from_millis(until.saturating_sub(self.now_ms()).max(1))
    }

    fn dispatch(&mut self, event: Ready) {
        match event.token {
            TOKEN_WAKER => {
                self.front.waker.clear();
                self.handle_signals();
            }
            TOKEN_MASTER => self.master_link_ready(event),
            TOKEN_RDB_CHANNEL => self.rdb_channel_ready(event),
            token if token > TOKEN_LISTENER_LAST - 64 => self.accept((TOKEN_LISTENER_LAST - token) as usize),
            id => {
                if event.read {
                    self.read_client(id);
                }
                match self.clients.get(id) {
                    Some(client) if !event.write || !client.connection.watching.write => {}
                    Some(client) if client.is_replica() => self.flush_replica(id),
                    _ => self.clients.queue_write(id),
                }
            }
        }
    }

    fn read_client(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.connection.closing {
            return;
        }
        let mut buffer = std::mem::take(&mut client.connection.input.bytes);
        let wanted = client.connection.input.decoder.wanted(buffer.len());
        if buffer.len() <= SMALL_INPUT_BYTES && wanted < READ_BYTES {
            // Who has sent little, or nothing, shares the buffer that all read into.
            let kept = std::mem::replace(&mut buffer, std::mem::take(&mut self.front.spare_input));
            if !kept.is_empty() {
                buffer.extend_from_slice(&kept);
            }
        }
        let room = make_room(&mut buffer, wanted);
        let Some(stream) = &mut client.connection.stream else { return };
        match stream.read_into(&mut buffer, room) {
            Ok(None) => self.keep_input(id, buffer, 0),
            Ok(Some(read)) => {
                self.ops.stats.net_input_bytes += read as u64;
                self.ops.stats.reads += 1;
                client.connection.last_active_ms = self.clock.now_us / 1000;
                if client.is_replica() {
                    self.ops.stats.repl_input_bytes += read as u64;
                    // A replica that loads sends newlines, and nothing else may come of it for long.
                    let now = self.clock.now_us / 1000;
                    if let Some(session) = self.replication.master.get_mut(id) {
                        session.newline(now);
                    }
                }
                let limit = self.config.client_query_buffer_limit.min(unauthenticated::INPUT_BYTES_MAX);
                if buffer.len() as u64 > limit && self.is_over_input_limit(id, &buffer) {
                    return;
                }
                self.process_input(id, buffer);
            }
            Err(e) => {
                if e.kind() == io::ErrorKind::UnexpectedEof {
                    log::verbose!("Client closed connection {}", self.client_line(id));
                } else {
                    log::verbose!("Reading from client: {}", crate::node::os_error(&e));
                }
                self.clients.close_soon(id);
                self.give_input_back(buffer);
            }
        }
    }

    /// Closes a client for which more input waits than may; answers whether it did.
    #[cold]
    fn is_over_input_limit(&mut self, id: ClientId, buffer: &[u8]) -> bool {
        let Some(client) = self.clients.get(id) else { return false };
        if client.session.authenticated && buffer.len() as u64 <= self.config.client_query_buffer_limit {
            return false;
        }
        log::warning!(
            "Closing client that reached max query buffer length: {} (qbuf initial bytes: {:?})",
            self.client_line(id),
            String::from_utf8_lossy(&buffer[..buffer.len().min(64)])
        );
        self.ops.stats.query_limit_disconnections += 1;
        self.clients.close_soon(id);
        true
    }

    /// Keeps input from `done` on for a client: in a buffer of its own that has room for little more than what was sent, whatever the sender says of
    /// what is to follow.
    pub fn keep_input(&mut self, id: ClientId, mut buffer: Vec<u8>, done: usize) {
        let rest = buffer.len() - done;
        if rest == 0 {
            return self.give_input_back(buffer);
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        if buffer.capacity() > 4 * rest + SMALL_INPUT_BYTES {
            client.connection.input.bytes = buffer[done..].to_vec();
            self.give_input_back(buffer);
        } else {
            buffer.drain(..done);
            client.connection.input.bytes = buffer;
        }
        if !self.clients.at(id).session.authenticated {
            self.count_unauthenticated(id);
        }
    }

    /// A buffer serves the next read of whichever client.
    #[inline]
    pub fn give_input_back(&mut self, mut buffer: Vec<u8>) {
        // Who takes a large one over would have it counted as its own.
        let is_large = buffer.capacity() > READ_BYTES && self.limits_client_memory();
        if buffer.capacity() > self.front.spare_input.capacity() && !is_large {
            buffer.clear();
            self.front.spare_input = buffer;
        }
    }

    /// Clients that may go on with what they had sent before they were stopped.
    fn process_waiting_input(&mut self) {
        for _ in 0..self.clients.to_process.len() {
            let Some(id) = self.clients.to_process.pop_front() else { return };
            let Some(client) = self.clients.get_mut(id) else { continue };
            client.connection.input.has_more = false;
            let buffer = std::mem::take(&mut client.connection.input.bytes);
            self.process_input(id, buffer);
        }
    }

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
        if client.connection.closing || self.withholds_ids(id) {
            return;
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        // Replies to writes wait for the append-only file.
        let limit = if self.persist.log.safe == u64::MAX { u64::MAX } else { client.connection.outbox.hold.sendable };
        let end = limit.min(client.connection.outbox.output.end());
        let Some(stream) = &mut client.connection.stream else { return client.connection.outbox.output.clear() };
        match client.connection.outbox.output.send(stream, end, WRITE_BYTES_MAX) {
            Ok(written) => self.ops.stats.net_output_bytes += written as u64,
            Err(e) => {
                log::verbose!("Error writing to client: {}", crate::node::os_error(&e));
                self.clients.close_soon(id);
                return;
            }
        }
        self.ops.stats.writes += 1;
        let done = client.connection.outbox.output.sent_to() >= end;
        if client.connection.outbox.output.pending() > 0 {
            self.count_unsent(id);
        } else if client.connection.close_after_reply {
            self.clients.close_soon(id);
            return;
        }
        self.count_client_memory(id);
        let replica_wants = self.write_replica(id);
        self.watch_write(id, !done || replica_wants);
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

    /// What must be done before the loop waits. Replies are sent after everything that may write some.
    fn before_sleep(&mut self) {
        self.end_pauses_if_due();
        self.expire_due_keys();
        self.evict_in_background();
        self.after_unit();
        self.time_out_blocked();
        self.log_before_sleep();
        self.replication_before_sleep();
        self.send_replies();
        self.close_clients();
        self.evict_clients(None);
    }

    /// Sends the replies of this turn. A client over its limit gets none of them. The stream was offered to the replicas' sockets before: what a client
    /// is told of reaches them though this process is killed then.
    fn send_replies(&mut self) {
        self.check_output_limits();
        for id in self.release_replies() {
            self.write_client(id);
        }
        while !self.clients.to_write.is_empty() {
            for id in std::mem::take(&mut self.clients.to_write) {
                if !self.hold_reply(id) {
                    self.write_client(id);
                }
            }
        }
    }

    fn close_clients(&mut self) {
        while let Some(id) = self.clients.to_close.pop() {
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
        self.ops.monitors.remove(&id);
        self.replica_gone(id);
        if let Some(client) = self.clients.remove(id)
            && let Some(stream) = &client.connection.stream
        {
            // Closing the socket takes it out in any case.
            let _ = self.front.poll.remove(stream);
        }
        self.accept_again();
    }
}

/// Makes room for the next read, and answers how much. A large argument gets what it still wants and no more, so that a client's memory does
/// not depend on the pieces in which it arrives; but by and by, as its length may be a lie. What else is incomplete gets as much as is there.
fn make_room(buffer: &mut Vec<u8>, wanted: usize) -> usize {
    let spare = buffer.capacity() - buffer.len();
    let more = match wanted {
        0 if buffer.len() <= SMALL_INPUT_BYTES => READ_BYTES,
        0 => buffer.len().min(READ_BYTES),
        wanted => wanted.min(buffer.len().max(GROWTH_BYTES)),
    };
    if spare < more.min(READ_BYTES / 2) {
        buffer.reserve_exact(more);
    }
    buffer.capacity() - buffer.len()
}
