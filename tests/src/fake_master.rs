//! A master that says what a test wants it to say, byte for byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::wait;

/// A snapshot without a key. Its checksum says that there is none.
pub const EMPTY_SNAPSHOT: &[u8] = b"REDIS0010\xff\0\0\0\0\0\0\0\0";

/// Listens where a replica may connect to.
pub struct FakeMaster {
    listener: TcpListener,
    pub port: u16,
}

/// A replica's connection.
pub struct FakeLink {
    stream: BufReader<TcpStream>,
    /// The id and the offset that the replica asked for.
    pub asked: (String, i64),
}

impl Default for FakeMaster {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeMaster {
    pub fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("a listener may be asked");
        let port = listener.local_addr().expect("it has an address").port();
        Self { listener, port }
    }

    /// Takes the next connection of a replica, and answers all that it says up to its PSYNC.
    #[track_caller]
    pub fn greet(&self) -> FakeLink {
        let mut accepted = None;
        wait::until("a replica connects", || {
            accepted = self.listener.accept().ok();
            accepted.is_some()
        });
        let stream = accepted.expect("somebody connected").0;
        stream.set_nonblocking(false).expect("a socket may wait");
        stream.set_read_timeout(Some(wait::PATIENCE)).expect("a time-out");
        let mut link = FakeLink { stream: BufReader::new(stream), asked: Default::default() };
        loop {
            let command = link.command().expect("the replica goes on");
            match command[0].to_ascii_lowercase().as_str() {
                "ping" => link.send(b"+PONG\r\n"),
                "psync" => {
                    link.asked = (command[1].clone(), command[2].parse().expect("an offset"));
                    return link;
                }
                _ => link.send(b"+OK\r\n"),
            }
        }
    }
}

impl FakeLink {
    pub fn send(&mut self, bytes: &[u8]) {
        // A replica that has closed the link shows in what is read.
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// Sends commands as a master does.
    pub fn send_command(&mut self, words: &[&str]) {
        let mut bytes = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| bytes += &format!("${}\r\n{word}\r\n", word.len()));
        self.send(bytes.as_bytes());
    }

    /// Grants a full sync: a snapshot that stands at this position.
    pub fn full_sync(&mut self, id: &str, offset: u64, snapshot: &[u8]) {
        self.send(format!("+FULLRESYNC {id} {offset}\r\n${}\r\n", snapshot.len()).as_bytes());
        self.send(snapshot);
    }

    /// The next command of the replica; nothing when the connection is closed. Newlines that keep it alive are passed over.
    pub fn command(&mut self) -> Option<Vec<String>> {
        let count = loop {
            let line = self.line()?;
            if !line.is_empty() {
                break line.strip_prefix('*').expect("an array").parse().expect("a count");
            }
        };
        (0..count)
            .map(|_| {
                let len: usize = self.line()?.strip_prefix('$').expect("a string").parse().expect("a length");
                let mut bytes = vec![0; len + 2];
                self.stream.read_exact(&mut bytes).ok()?;
                bytes.truncate(len);
                Some(String::from_utf8_lossy(&bytes).into_owned())
            })
            .collect()
    }

    /// The last offset that the replica acknowledges before it closes the connection.
    pub fn acknowledged_to_the_end(&mut self) -> Option<u64> {
        let mut last = None;
        while let Some(command) = self.command() {
            if command.len() >= 3 && command[1].eq_ignore_ascii_case("ack") {
                last = command[2].parse().ok();
            }
        }
        last
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok().filter(|&read| read > 0)?;
        Some(line.trim_end().to_string())
    }
}
