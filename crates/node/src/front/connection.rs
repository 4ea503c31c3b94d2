//! A connection: the socket, what has come from it and is not executed yet, and what waits to be sent. It knows nothing of what the bytes mean.

use rivulet_net::{Interest, Stream};
use rivulet_resp::Decoder;

use crate::front::hold::Hold;
use crate::front::output::Output;

/// Who is at the other end.
#[derive(Default)]
pub struct Peer {
    pub address: String,
    pub local_address: String,
    pub is_unix: bool,
}

/// What was received and is not done with.
#[derive(Default)]
pub struct Input {
    pub bytes: Vec<u8>,
    pub decoder: Decoder,
    /// Most bytes that were buffered lately.
    pub peak: usize,
    /// Bytes of the command that it executes, as they came, and of its arguments. Only CLIENT, which shows them, sets them.
    pub executing_bytes: usize,
    pub args_memory: usize,
    /// Bytes at the beginning of `bytes` that are done with: fewer than those that are not.
    pub done: usize,
    /// Is in `Clients::to_process`.
    pub is_queued: bool,
}

impl Input {
    /// Bytes that are not done with.
    pub fn waiting_bytes(&self) -> usize {
        self.executing_bytes + self.bytes.len().saturating_sub(self.done + self.decoder.decoded())
    }

    /// What is in memory for it. An argument counts as soon as its length is known.
    fn memory_bytes(&self) -> usize {
        let announced = self.bytes.len() + self.decoder.wanted(self.bytes.len() - self.done);
        self.bytes.capacity().max(announced) + self.decoder.memory_bytes() + self.args_memory
    }
}

/// Replies on their way out.
#[derive(Default)]
pub struct Outbox {
    pub output: Output,
    pub hold: Hold,
    /// Registered in `Clients::to_write`.
    pub queued: bool,
    /// Since when the output has been over its soft limit, ms on the machine's clock.
    pub over_soft_since_ms: Option<u64>,
}

impl Outbox {
    /// The reply to the present command ends at `len` of the buffer: what follows is pushed.
    pub fn note_pushes_behind(&mut self, len: usize) {
        self.hold.pushed_from = Some(self.output.place_at(len));
    }

    /// Notes whether so many bytes are over the soft limit (0 for none); answers for how many ms they have been, if they are.
    pub fn is_over_soft_limit(&mut self, counted: u64, soft: u64, now_ms: u64) -> Option<u64> {
        let is_over = soft > 0 && counted > soft;
        self.over_soft_since_ms = is_over.then(|| self.over_soft_since_ms.unwrap_or(now_ms));
        self.over_soft_since_ms.map(|since| now_ms.saturating_sub(since))
    }
}

/// One end of a socket.
pub struct Connection {
    /// Absent for the pseudo client that executes the master's stream.
    pub stream: Option<Stream>,
    pub peer: Peer,
    pub input: Input,
    pub outbox: Outbox,
    /// What the poll tells of.
    pub watching: Interest,
    pub close_after_reply: bool,
    /// To be freed at the next safe moment.
    pub closing: bool,
    /// Both in ms on the machine's clock.
    pub created_ms: u64,
    pub last_active_ms: u64,
}

impl Connection {
    pub fn new(stream: Option<Stream>, now_ms: u64) -> Connection {
        Connection {
            stream,
            peer: Peer::default(),
            input: Input::default(),
            outbox: Outbox::default(),
            watching: Interest { read: false, write: false },
            close_after_reply: false,
            closing: false,
            created_ms: now_ms,
            last_active_ms: now_ms,
        }
    }

    /// What is in memory for it.
    pub fn memory_bytes(&self) -> usize {
        self.input.memory_bytes() + self.outbox.output.memory_bytes() + self.outbox.hold.memory_bytes()
    }
}
