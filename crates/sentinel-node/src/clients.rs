//! Clients: their sockets, what they have sent, and what they are to be sent.

use std::time::Duration;

use rivulet_config::Level;
use rivulet_net::{Interest, Poll, Stream};
use rivulet_node::{descriptors, log, system::os_error};
use rivulet_resp::decode::{Batch, Decoder, Limits};
use rivulet_resp::{OwnedArgs, Reply};

use crate::listeners::Listening;
use crate::program::Program;
use crate::subscriptions::Subscriptions;

/// As much may wait for a client that does not read.
const OUTPUT_MAX: usize = 32 << 20;
/// And as much for a stranger, who has not shown the password that is needed.
const STRANGER_OUTPUT_MAX: usize = 16 << 10;
/// Input and output of all strangers.
const STRANGERS_BYTES_MAX: usize = 4 << 20;
/// A stranger's buffer with no more room than that is left as it is.
const STRANGER_SPARE_BYTES: usize = 2 << 10;
const READ_MAX: usize = 64 << 10;
const COMMANDS_MAX: usize = 16;
const ACCEPTS_MAX: usize = 100;
/// How long nobody is accepted when the system has no room.
const REST_MS: u64 = 1000;

/// What strangers are told who come in protected mode.
pub const PROTECTED: &[u8] = b"-DENIED This Sentinel is in protected mode: no password is set, so only local connections are taken. Set a password, or protected-mode no, or bind addresses that only trusted clients reach.\r\n";

/// Whether a client's replies are sent (CLIENT REPLY).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyMode {
    On,
    Off,
    /// Not that of the next command.
    SkipNext,
    Skip,
}

pub struct Client {
    pub id: u64,
    pub stream: Stream,
    pub address: String,
    pub local_address: String,
    pub is_unix: bool,
    /// It is the page's own connection.
    pub is_internal: bool,
    pub input: Vec<u8>,
    decoder: Decoder,
    pub output: Vec<u8>,
    watches_writes: bool,
    pub name: Vec<u8>,
    /// As whom it acts; nothing before it has shown a password.
    pub user: Option<Vec<u8>>,
    pub is_resp3: bool,
    pub subscriptions: Subscriptions,
    pub reply_mode: ReplyMode,
    /// The name that its command waits for, and the command.
    pub waits_for: Option<(String, OwnedArgs)>,
    pub created_ms: u64,
    pub active_ms: u64,
    pub last_command: String,
    pub no_evict: bool,
    /// It goes when what is to be sent was sent.
    pub closes_after_reply: bool,
    /// It goes at the end of the turn.
    pub is_closing: bool,
}

/// The token of a client; those of connections to instances are odd, and small ones are taken.
pub fn token(id: u64) -> u64 {
    (id << 1) + (1 << 32)
}

/// The client of a token.
pub fn of_token(token: u64) -> u64 {
    token.saturating_sub(1 << 32) >> 1
}

impl Program {
    /// Takes the connections that wait at a listener.
    pub fn accept(&mut self, listener: usize) {
        for _ in 0..ACCEPTS_MAX {
            let Some(Listening { socket, is_tls }) = self.listeners.get(listener) else { return };
            let is_tls = *is_tls;
            // Those that can't be shaken hands with now wait where they are.
            if is_tls && !self.handshakes.budget.has_time() {
                return;
            }
            match socket.accept() {
                Ok(Some(stream)) => self.add_client(stream, is_tls),
                Ok(None) => return,
                Err(error) => return self.rest_accepting(&error),
            }
        }
    }

    /// No connection can be had now: a listener that nobody accepts from would wake the loop for ever.
    fn rest_accepting(&mut self, error: &std::io::Error) {
        log::write(Level::Warning, format_args!("Accepting client connection: accept: {}", os_error(error)));
        self.accepts_again_ms = Some(self.now_ms + REST_MS);
        self.watch_listeners(Interest::NONE);
    }

    /// Accepts again when its time has come.
    pub fn accept_again_if_due(&mut self) {
        if self.accepts_again_ms.is_some_and(|at| self.now_ms >= at) {
            self.accepts_again_ms = None;
            self.watch_listeners(Interest::READ);
        }
    }

    /// Clients that there is room for. What the links to instances need, and what the page may take, is not for strangers to take: without it all would seem to be
    /// down.
    fn clients_max(&self) -> u64 {
        let links = 2 * self.core.links() as u64;
        let room = descriptors::for_clients(self.config.http_port != 0).saturating_sub(links);
        self.config.maxclients.min(room)
    }

    /// Clients without those that are the page's own.
    pub fn served(&self) -> usize {
        self.clients.len() - self.internal_clients
    }

    /// Whether there is room for one more client.
    pub fn has_room(&self) -> bool {
        (self.served() as u64) < self.clients_max()
    }

    fn add_client(&mut self, mut stream: Stream, is_tls: bool) {
        let peer = stream.peer_address();
        let is_local = peer.is_none_or(|address| address.ip().to_canonical().is_loopback());
        let refusal: Option<&[u8]> = if !self.has_room() {
            Some(b"-ERR max number of clients reached\r\n")
        } else if !is_tls && self.config.protected_mode && !is_local && self.default_is_open() {
            Some(PROTECTED)
        } else {
            None
        };
        if let Some(text) = refusal {
            if !is_tls {
                // The connection is closed whether or not this arrives.
                let _ = stream.write(text);
            }
            self.stats.rejected += 1;
            return;
        }
        let Some(stream) = self.with_tls(stream, is_tls) else { return };
        // Options that a socket refuses do not make it useless.
        let _ = stream.set_nodelay(true);
        if self.config.tcp_keepalive > 0 {
            let _ = stream.set_keepalive(Duration::from_secs(self.config.tcp_keepalive));
        }
        self.stats.connections += 1;
        let Some(id) = self.register(stream) else { return };
        if is_tls {
            self.begin_handshake(id);
        }
    }

    /// A connection is watched from now on, and its commands are executed; answers whose they are.
    pub fn register(&mut self, stream: Stream) -> Option<u64> {
        self.last_client += 1;
        let id = self.last_client;
        if let Err(error) = self.poll.add(&stream, token(id), Interest::READ) {
            log::write(Level::Warning, format_args!("Error registering fd event for the new client: {error}"));
            return None;
        }
        let client = self.new_client(id, stream);
        self.clients.insert(id, client);
        Some(id)
    }

    /// Puts TLS on a connection, if that is wanted.
    fn with_tls(&self, stream: Stream, is_tls: bool) -> Option<Stream> {
        if !is_tls {
            return Some(stream);
        }
        match stream.into_tls_server(self.tls.as_ref()?, self.config.client_auth()) {
            Ok(stream) => Some(stream),
            Err(error) => {
                log::write(Level::Warning, format_args!("Error accepting a client connection: {error}"));
                None
            }
        }
    }

    fn new_client(&self, id: u64, stream: Stream) -> Client {
        let shown = |address: Option<std::net::SocketAddr>| match address {
            Some(address) => address.to_string(),
            None => format!("{}:0", self.config.unixsocket),
        };
        Client {
            id,
            address: shown(stream.peer_address()),
            local_address: shown(stream.local_address()),
            is_unix: stream.peer_address().is_none(),
            is_internal: false,
            stream,
            input: Vec::new(),
            decoder: Decoder::default(),
            output: Vec::new(),
            watches_writes: false,
            name: Vec::new(),
            user: self.newcomer(),
            is_resp3: false,
            subscriptions: Subscriptions::default(),
            reply_mode: ReplyMode::On,
            waits_for: None,
            created_ms: self.now_ms,
            active_ms: self.now_ms,
            last_command: "NULL".into(),
            no_evict: false,
            closes_after_reply: false,
            is_closing: false,
        }
    }

    /// A client's socket has bytes.
    pub fn read_client(&mut self, id: u64) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if client.stream.is_handshaking() {
            return self.go_on_with_handshake(id);
        }
        match client.stream.read_into(&mut client.input, READ_MAX) {
            Ok(count) => {
                self.stats.input_bytes += count.unwrap_or(0) as u64;
                client.active_ms = self.now_ms;
            }
            Err(_) => {
                client.is_closing = true;
                return;
            }
        }
        self.serve_client(id);
        let limit = self.config.client_query_buffer_limit as usize;
        if let Some(client) = self.clients.get_mut(&id).filter(|client| client.input.len() > limit) {
            client.is_closing = true;
        }
    }

    /// Executes what a client has sent, until a command has to wait.
    pub fn serve_client(&mut self, id: u64) {
        loop {
            let Some(client) = self.clients.get_mut(&id) else { return };
            if client.waits_for.is_some() || client.is_closing || client.closes_after_reply {
                return;
            }
            // Who asks for more than it reads goes before it has asked for all.
            if client.output.len() > client.output_max() {
                client.is_closing = true;
                return;
            }
            let mut batch = Batch::default();
            let limits = Limits {
                bulk_len_max: self.config.proto_max_bulk_len,
                authenticated: !client.is_stranger(),
                arrays_only: false,
            };
            let input = std::mem::take(&mut client.input);
            let decoded = client.decoder.decode(&input, &mut batch, COMMANDS_MAX, limits);
            let mut done = 0;
            for i in 0..batch.len() {
                self.execute(id, batch.args(i, &input));
                done = batch.wire_end(i);
                let goes_on = self.clients.get(&id).is_some_and(|c| c.waits_for.is_none() && !c.closes_after_reply);
                if !goes_on {
                    break;
                }
            }
            let Some(client) = self.clients.get_mut(&id) else { return };
            let is_whole = batch.is_empty() || done == batch.wire_end(batch.len() - 1);
            client.keep_rest(input, if is_whole { None } else { Some(done) });
            if let Err(error) = decoded {
                let text = format!("ERR Protocol error: {error}");
                Reply::new(&mut client.output, false).error(text.as_bytes());
                client.closes_after_reply = true;
                return;
            }
            if batch.is_empty() {
                return;
            }
        }
    }

    /// Sends what is to be sent, and lets those go who are to go.
    pub fn flush_clients(&mut self) {
        for (id, client) in &mut self.clients {
            if client.is_closing || !client.flush(&mut self.poll, &mut self.stats.output_bytes) {
                client.is_closing = true;
            } else if !client.stream.is_handshaking() && client.stream.has_more() {
                self.unread.insert(token(*id));
            }
        }
        self.bound_strangers();
        let gone: Vec<u64> = self.clients.iter().filter(|(_, client)| client.is_closing).map(|(id, _)| *id).collect();
        for id in gone {
            if let Some(client) = self.clients.remove(&id) {
                self.handshakes.under_way -= usize::from(client.stream.is_handshaking());
                self.internal_clients -= usize::from(client.is_internal);
                // A socket that is about to be closed leaves the poll in any case.
                let _ = self.poll.remove(&client.stream);
            }
        }
    }

    /// Closes those strangers for whom most is kept, until half of what may be is left.
    fn bound_strangers(&mut self) {
        let mut total = 0;
        for client in self.clients.values_mut().filter(|client| client.is_stranger() && !client.is_closing) {
            client.give_back();
            total += client.kept_bytes();
        }
        if total <= STRANGERS_BYTES_MAX {
            return;
        }
        log::write(
            Level::Warning,
            format_args!(
                "Clients that have not authenticated hold more than {STRANGERS_BYTES_MAX} bytes of memory: closing those with most"
            ),
        );
        let strangers = self.clients.values_mut().filter(|client| client.is_stranger() && !client.is_closing);
        let mut strangers: Vec<&mut Client> = strangers.collect();
        strangers.sort_unstable_by_key(|client| std::cmp::Reverse(client.kept_bytes()));
        for client in strangers {
            if total <= STRANGERS_BYTES_MAX / 2 {
                return;
            }
            total -= client.kept_bytes();
            client.is_closing = true;
        }
    }

    /// Lets idle clients go (`timeout`).
    pub fn close_idle(&mut self) {
        let limit_ms = self.config.timeout.saturating_mul(1000);
        let now_ms = self.now_ms;
        if limit_ms == 0 {
            return;
        }
        for client in self.clients.values_mut().filter(|client| !client.is_internal) {
            let idle_ms = now_ms.saturating_sub(client.active_ms);
            client.is_closing |= client.subscriptions.len() == 0 && idle_ms > limit_ms;
        }
    }
}

impl Client {
    /// It has not shown the password that is needed.
    fn is_stranger(&self) -> bool {
        self.user.is_none() && !self.is_internal
    }

    /// So much may wait for it.
    fn output_max(&self) -> usize {
        if self.is_stranger() { STRANGER_OUTPUT_MAX } else { OUTPUT_MAX }
    }

    /// What is in memory of its input and output.
    fn kept_bytes(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    /// Gives the room back that its buffers have and do not need.
    fn give_back(&mut self) {
        for buffer in [&mut self.input, &mut self.output] {
            if buffer.capacity() > 2 * buffer.len() + STRANGER_SPARE_BYTES {
                buffer.shrink_to_fit();
            }
        }
    }

    /// The bytes that were not executed; `from`: where they begin, if the decoder is to begin there anew.
    fn keep_rest(&mut self, mut input: Vec<u8>, from: Option<usize>) {
        match from {
            None => {
                let consumed = self.decoder.consumed();
                input.drain(..consumed);
                self.decoder.rebase();
            }
            Some(from) => {
                input.drain(..from);
                self.decoder = Decoder::default();
            }
        }
        self.input = input;
    }

    fn flush(&mut self, poll: &mut Poll, count: &mut u64) -> bool {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(0) => break,
                Ok(written) => {
                    *count += written as u64;
                    self.output.drain(..written);
                }
                Err(_) => return false,
            }
        }
        if self.stream.flush().is_err() {
            return false;
        }
        let wants = !self.output.is_empty() || self.stream.has_unsent();
        if !wants && self.closes_after_reply {
            return false;
        }
        if wants != self.watches_writes {
            self.watches_writes = wants;
            let interest = if wants { Interest::BOTH } else { Interest::READ };
            if poll.change(&self.stream, token(self.id), interest).is_err() {
                return false;
            }
        }
        self.output.len() <= self.output_max()
    }
}
