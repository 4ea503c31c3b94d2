//! From a socket to commands: what clients send is read, decoded and executed as it comes.

use std::io;

use rivulet_engine::client_id::ClientId;
use rivulet_engine::look_up::BATCH_COMMANDS;
use rivulet_engine::session::ReplyMode;
use rivulet_net::Stream;
use rivulet_resp::decode::Limits;

use crate::front::output::UNCOUNTED_BYTES;
use crate::front::unauthenticated;
use crate::log;
use crate::node::Node;

/// Bytes that one read asks for.
pub const READ_BYTES: usize = 64 * 1024;
/// A client that has sent no more than this of a command has no buffer with room for more.
const SMALL_INPUT_BYTES: usize = 2 * 1024;
/// The most that a buffer grows by at once for a large argument, unless it is larger than that already.
const GROWTH_BYTES: usize = 1 << 20;
/// What had to wait, in a pause or behind a command that blocks, may be a lot: so many bytes of one client are executed in a turn, and then what
/// they lead to is looked at, and others have their turn.
const SLICE_BYTES: usize = 256 * 1024;
/// So many of all clients that had to wait.
const WAITING_BYTES_PER_TURN: usize = 1 << 20;

impl Node {
    pub fn read_client(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.connection.closing {
            return;
        }
        if client.connection.input.is_queued {
            // What it has sent comes first, and the end of its stream after that.
            return self.note_more(id);
        }
        if client.connection.stream.as_ref().is_some_and(Stream::is_handshaking) {
            return self.go_on_with_handshake(id);
        }
        let mut buffer = std::mem::take(&mut client.connection.input.bytes);
        let done = std::mem::take(&mut client.connection.input.done);
        let wanted = client.connection.input.decoder.wanted(buffer.len() - done);
        if buffer.len() <= SMALL_INPUT_BYTES && wanted < READ_BYTES {
            // Who has sent little, or nothing, shares the buffer that all read into.
            let kept = std::mem::replace(&mut buffer, std::mem::take(&mut self.front.spare_input));
            if !kept.is_empty() {
                buffer.extend_from_slice(&kept);
            }
        }
        let room = make_room(&mut buffer, wanted);
        let Some(stream) = &mut client.connection.stream else { return };
        let read = stream.read_into(&mut buffer, room);
        let has_more = stream.has_more() || stream.has_unsent();
        match read {
            Ok(None) => self.keep_input(id, buffer, done),
            Ok(Some(read)) => {
                self.ops.stats.traffic.input_bytes += read as u64;
                self.ops.stats.traffic.reads += 1;
                client.connection.last_active_ms = self.clock.now_us / 1000;
                if client.is_replica() {
                    self.ops.stats.traffic.repl_input_bytes += read as u64;
                    // A replica that loads sends newlines, and nothing else may come of it for long.
                    let now = self.clock.now_us / 1000;
                    if let Some(session) = self.replication.master.get_mut(id) {
                        session.newline(now);
                    }
                }
                let limit = self.config.client_query_buffer_limit.min(unauthenticated::INPUT_BYTES_MAX);
                if (buffer.len() - done) as u64 > limit && self.is_over_input_limit(id, &buffer[done..]) {
                    return;
                }
                self.process_input(id, buffer, done);
            }
            Err(e) => {
                if e.kind() == io::ErrorKind::UnexpectedEof {
                    log::verbose!("Client closed connection {}", self.client_line(id));
                } else {
                    log::verbose!("Reading from client: {}", crate::system::os_error(&e));
                }
                self.clients.close_soon(id);
                self.give_input_back(buffer);
            }
        }
        if has_more {
            self.note_more(id);
        }
    }

    /// Closes a client for which more input waits than may; answers whether it did.
    #[cold]
    fn is_over_input_limit(&mut self, id: ClientId, buffer: &[u8]) -> bool {
        let Some(client) = self.clients.get(id) else { return false };
        if client.session.login.authenticated && buffer.len() as u64 <= self.config.client_query_buffer_limit {
            return false;
        }
        log::warning!(
            "Closing client that reached max query buffer length: {} (qbuf initial bytes: {:?})",
            self.client_line(id),
            String::from_utf8_lossy(&buffer[..buffer.len().min(64)])
        );
        self.ops.stats.connections.query_limit += 1;
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
            // Moving what is left is paid by what has gone.
            if done >= rest {
                buffer.drain(..done);
            } else {
                client.connection.input.done = done;
            }
            client.connection.input.bytes = buffer;
        }
        if !self.clients.at(id).session.login.authenticated {
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
    pub fn process_waiting_input(&mut self) {
        let mut bytes = 0;
        for _ in 0..self.clients.to_process.len() {
            if bytes >= WAITING_BYTES_PER_TURN || self.life.exit.is_some() {
                return;
            }
            let Some(id) = self.clients.to_process.pop_front() else { return };
            let Some(client) = self.clients.get_mut(id) else { continue };
            client.connection.input.is_queued = false;
            let buffer = std::mem::take(&mut client.connection.input.bytes);
            let done = std::mem::take(&mut client.connection.input.done);
            bytes += self.process_input(id, buffer, done);
        }
    }

    /// A client goes on with what it has sent in this turn or the next.
    pub fn process_soon(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id)
            && !client.connection.input.bytes.is_empty()
            && !std::mem::replace(&mut client.connection.input.is_queued, true)
        {
            self.clients.to_process.push_back(id);
        }
    }

    /// Runs what is complete in the client's input, of which `begin` bytes are done with; not much more than a slice of it. Answers how many bytes.
    pub fn process_input(&mut self, id: ClientId, mut buffer: Vec<u8>, begin: usize) -> usize {
        let mut batch = std::mem::take(&mut self.front.batch);
        let mut done = begin;
        let goes_on = loop {
            if done - begin >= SLICE_BYTES {
                break done < buffer.len();
            }
            // What stands behind a SHUTDOWN would be in no file.
            if self.life.exit.is_some() {
                break false;
            }
            // What the last commands, of whichever client, made too much is cleared away before the next.
            self.evict_clients(Some(id));
            let Some(client) = self.clients.get_mut(id) else { break false };
            if client.connection.closing || client.connection.close_after_reply || client.session.blocked.is_some() {
                break false;
            }
            // Who asks for more than it reads is closed before it has asked for all.
            let client = if client.connection.outbox.output.bytes.len() <= UNCOUNTED_BYTES {
                client
            } else if self.close_if_over_limit(id, 0) {
                break false;
            } else {
                self.clients.at(id)
            };
            batch.clear();
            let limits = Limits {
                bulk_len_max: self.engine.settings.bulk_len_max,
                authenticated: client.session.login.authenticated,
                arrays_only: false,
            };
            let decoded = client.connection.input.decoder.decode(&buffer[done..], &mut batch, BATCH_COMMANDS, limits);
            if let Err(error) = decoded
                && batch.is_empty()
            {
                self.protocol_error(id, &error.to_string());
                buffer.clear();
                done = 0;
                break false;
            }
            if batch.is_empty() {
                break false;
            }
            done += self.run_batch(id, &batch, &buffer[done..]);
            self.count_client_memory(id);
        };
        self.front.batch = batch;
        let executed = done.saturating_sub(begin);
        let Some(client) = self.clients.get_mut(id) else {
            self.give_input_back(buffer);
            return executed;
        };
        let rest = buffer.len() - done;
        client.connection.input.peak = client.connection.input.peak.max(rest);
        if rest == 0 {
            self.give_input_back(buffer);
        } else {
            self.keep_input(id, buffer, done);
        }
        if goes_on {
            self.process_soon(id);
        }
        self.count_client_memory(id);
        executed
    }

    pub fn protocol_error(&mut self, id: ClientId, text: &str) {
        let client = self.clients.at(id);
        log::verbose!("Protocol error ({text}) from client: id={} addr={}", client.id, client.connection.peer.address);
        client.connection.close_after_reply = true;
        // The one to be skipped was skipped.
        if client.session.replies.mode == ReplyMode::Skip {
            client.session.replies.mode = ReplyMode::On;
        }
        self.send_error(id, format!("ERR Protocol error: {text}").as_bytes());
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
