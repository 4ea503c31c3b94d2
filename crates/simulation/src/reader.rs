//! A client that asks for much and reads slowly: something always waits for it, and it never waits for long.

use std::net::SocketAddr;

use crate::client::PORT;
use crate::machine::Shared;
use crate::network::{HostId, ip};

/// A reply's text, and with what is around it.
const TEXT_BYTES: usize = 60_000;
const REPLY_BYTES: usize = TEXT_BYTES + "$60000\r\n\r\n".len();
/// Bytes that it has asked for and not read.
const OWED_BYTES: usize = 16 * REPLY_BYTES;
/// Bytes that it reads at a time.
const READ_BYTES: usize = 48 << 10;

pub struct Reader {
    host: HostId,
    server: HostId,
    until_us: u64,
    socket: Option<u64>,
    to_send: Vec<u8>,
    owed: usize,
}

impl Reader {
    /// It reads from this server until then.
    pub fn new(host: HostId, server: HostId, until_us: u64) -> Reader {
        Reader { host, server, until_us, socket: None, to_send: Vec::new(), owed: 0 }
    }

    /// Asks, and reads a little. Answers whether it goes on: it ends with its time, and with its connection.
    pub fn tick(&mut self, shared: &Shared) -> bool {
        let now_us = shared.now_us.get();
        let goes_on = now_us < self.until_us && self.go_on(shared, now_us);
        if !goes_on && let Some(socket) = self.socket.take() {
            shared.network.borrow_mut().close(socket, now_us);
        }
        goes_on
    }

    fn go_on(&mut self, shared: &Shared, now_us: u64) -> bool {
        let mut network = shared.network.borrow_mut();
        let address = SocketAddr::from((ip(self.server), PORT));
        let socket = *self.socket.get_or_insert_with(|| network.connect(self.host, address, now_us));
        match network.state(socket) {
            Err(_) => return false,
            Ok(false) => return true,
            Ok(true) => {}
        }
        while self.owed + REPLY_BYTES <= OWED_BYTES {
            let script = format!("return string.rep('x', {TEXT_BYTES})");
            let words = ["EVAL".as_bytes(), script.as_bytes(), b"0"];
            rivulet_resp::append_command(&mut self.to_send, words.into_iter());
            self.owed += REPLY_BYTES;
        }
        let Ok(count) = network.write(socket, &self.to_send, now_us) else { return false };
        self.to_send.drain(..count);
        let mut bytes = [0; READ_BYTES];
        match network.read(socket, &mut bytes) {
            Ok(Some(0)) | Err(_) => false,
            Ok(read) => {
                // Who is told of an error is owed less than that: then it asks for no more.
                self.owed -= read.unwrap_or(0).min(self.owed);
                true
            }
        }
    }
}
