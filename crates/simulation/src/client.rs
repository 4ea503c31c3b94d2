//! A client: it speaks to a server over the simulated network, and sees nothing else of it.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::machine::Shared;
use crate::network::{HostId, ip};

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Simple(String),
    Error(String),
    Int(i64),
    Bulk(Vec<u8>),
    Nil,
    Array(Vec<Reply>),
}

impl Reply {
    /// A text, whatever kind it has.
    pub fn text(&self) -> String {
        match self {
            Reply::Simple(text) | Reply::Error(text) => text.clone(),
            Reply::Int(n) => n.to_string(),
            Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Reply::Nil => String::new(),
            Reply::Array(all) => all.iter().map(Reply::text).collect::<Vec<_>>().join(" "),
        }
    }

    pub fn is_error(&self) -> bool {
        matches!(self, Reply::Error(_))
    }

    /// The first reply in the bytes, and how many of them it takes.
    fn parse(bytes: &[u8]) -> Option<(Reply, usize)> {
        let end = bytes.iter().position(|byte| *byte == b'\r').filter(|end| end + 1 < bytes.len())?;
        let line = String::from_utf8_lossy(&bytes[1..end]).into_owned();
        let mut used = end + 2;
        let count = || line.parse::<i64>().unwrap_or(-1);
        let reply = match bytes[0] {
            b'+' => Reply::Simple(line),
            b'-' => Reply::Error(line),
            b':' => Reply::Int(count()),
            b'$' if count() < 0 => Reply::Nil,
            b'$' => {
                let len = count() as usize;
                let text = bytes.get(used..used + len)?.to_vec();
                bytes.get(used + len + 1)?;
                used += len + 2;
                Reply::Bulk(text)
            }
            b'*' if count() < 0 => Reply::Nil,
            b'*' => {
                let mut all = Vec::new();
                for _ in 0..count() {
                    let (reply, more) = Reply::parse(bytes.get(used..).filter(|rest| !rest.is_empty())?)?;
                    all.push(reply);
                    used += more;
                }
                Reply::Array(all)
            }
            other => panic!("a reply begins with {:?}: {line}", other as char),
        };
        Some((reply, used))
    }
}

/// A connection to one server.
pub struct Client {
    host: HostId,
    pub server: HostId,
    socket: Option<u64>,
    to_send: VecDeque<u8>,
    input: Vec<u8>,
    /// Commands that were sent and have no reply.
    pub outstanding: usize,
    /// When the oldest of them was sent.
    pub asked_us: u64,
}

/// The port that all servers listen on.
pub const PORT: u16 = 6379;

impl Client {
    pub fn new(host: HostId, server: HostId) -> Client {
        Client { host, server, socket: None, to_send: VecDeque::new(), input: Vec::new(), outstanding: 0, asked_us: 0 }
    }

    /// Goes to another server, or comes anew to the same.
    pub fn go_to(&mut self, server: HostId, shared: &Shared) {
        self.hang_up(shared);
        self.server = server;
    }

    pub fn hang_up(&mut self, shared: &Shared) {
        if let Some(socket) = self.socket.take() {
            shared.network.borrow_mut().close(socket, shared.now_us.get());
        }
        self.to_send.clear();
        self.input.clear();
        self.outstanding = 0;
    }

    pub fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// Sends a command.
    pub fn ask<S: AsRef<[u8]>>(&mut self, words: &[S], shared: &Shared) {
        let now_us = shared.now_us.get();
        if self.socket.is_none() {
            let address = SocketAddr::from((ip(self.server), PORT));
            self.socket = Some(shared.network.borrow_mut().connect(self.host, address, now_us));
        }
        if self.outstanding == 0 {
            self.asked_us = now_us;
        }
        self.outstanding += 1;
        let mut bytes = Vec::new();
        rivulet_resp::append_command(&mut bytes, words.iter().map(AsRef::as_ref));
        self.to_send.extend(bytes);
    }

    /// Sends what the network takes and answers what has come; an error when the connection is gone, with what was asked.
    pub fn poll(&mut self, shared: &Shared) -> Result<Vec<Reply>, String> {
        let (replies, gone) = self.poll_to_the_end(shared);
        gone.map_or(Ok(replies), Err)
    }

    /// As [`Client::poll`], with the replies that came before the connection was gone.
    pub fn poll_to_the_end(&mut self, shared: &Shared) -> (Vec<Reply>, Option<String>) {
        let gone = self.exchange(shared).err();
        (self.replies(shared.now_us.get()), gone)
    }

    /// Sends and receives.
    fn exchange(&mut self, shared: &Shared) -> Result<(), String> {
        let Some(socket) = self.socket else { return Ok(()) };
        let mut network = shared.network.borrow_mut();
        let now_us = shared.now_us.get();
        let mut gone = None;
        match network.state(socket) {
            Err(e) => gone = Some(e.to_string()),
            Ok(false) => return Ok(()),
            Ok(true) => {}
        }
        while !self.to_send.is_empty() && gone.is_none() {
            let (first, _) = self.to_send.as_slices();
            match network.write(socket, first, now_us) {
                Ok(0) => break,
                Ok(count) => drop(self.to_send.drain(..count)),
                Err(e) => gone = Some(e.to_string()),
            }
        }
        loop {
            let len = self.input.len();
            self.input.resize(len + network.unread(socket).max(1), 0);
            let read = network.read(socket, &mut self.input[len..]);
            self.input.truncate(len + read.as_ref().map_or(0, |read| read.unwrap_or(0)));
            match read {
                Ok(Some(0)) => return Err("closed".into()),
                Ok(Some(_)) => {}
                Ok(None) => return gone.map_or(Ok(()), Err),
                Err(e) => return Err(e.to_string()),
            }
        }
    }

    /// What has arrived as a whole.
    fn replies(&mut self, now_us: u64) -> Vec<Reply> {
        let mut replies = Vec::new();
        let mut used = 0;
        while used < self.input.len()
            && let Some((reply, more)) = Reply::parse(&self.input[used..])
        {
            used += more;
            self.outstanding = self.outstanding.saturating_sub(1);
            self.asked_us = now_us;
            replies.push(reply);
        }
        self.input.drain(..used);
        replies
    }
}
