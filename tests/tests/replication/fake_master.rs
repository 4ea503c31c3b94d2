//! A master that sends what a test wants it to.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What it sends after `+FULLRESYNC`: all of a payload, and what follows it.
type Sent = Arc<Mutex<Vec<u8>>>;

/// It answers each PSYNC with a full sync.
pub struct FakeMaster {
    pub port: u16,
    sent: Sent,
    syncs: Arc<AtomicUsize>,
}

pub const REPLID: &str = "1234567890123456789012345678901234567890";

impl FakeMaster {
    pub fn start(sent: Vec<u8>) -> FakeMaster {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let (sent, syncs) = (Arc::new(Mutex::new(sent)), Arc::new(AtomicUsize::new(0)));
        let (sends, counts) = (sent.clone(), syncs.clone());
        // They end with the connections, or with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (sends, counts) = (sends.clone(), counts.clone());
                thread::spawn(move || serve(stream, &sends, &counts));
            }
        });
        FakeMaster { port, sent, syncs }
    }

    /// What it sends from now on.
    pub fn send(&self, sent: Vec<u8>) {
        *self.sent.lock().expect("nobody panicked") = sent;
    }

    /// How many full syncs it has granted.
    pub fn syncs(&self) -> usize {
        self.syncs.load(Ordering::Relaxed)
    }
}

/// Serves one replica until it goes away.
fn serve(stream: TcpStream, sent: &Sent, syncs: &AtomicUsize) -> Option<()> {
    let mut input = BufReader::new(stream.try_clone().ok()?);
    let mut output = stream;
    loop {
        let command = read_command(&mut input)?;
        let reply = match command[0].to_ascii_uppercase().as_str() {
            "PING" => "+PONG\r\n".to_string(),
            "REPLCONF" if command[1].eq_ignore_ascii_case("ack") => continue,
            "PSYNC" => {
                syncs.fetch_add(1, Ordering::Relaxed);
                output.write_all(format!("+FULLRESYNC {REPLID} 0\r\n").as_bytes()).ok()?;
                let bytes = sent.lock().expect("nobody panicked").clone();
                output.write_all(&bytes).ok()?;
                continue;
            }
            _ => "+OK\r\n".to_string(),
        };
        output.write_all(reply.as_bytes()).ok()?;
    }
}

fn read_command(input: &mut impl BufRead) -> Option<Vec<String>> {
    let mut line = String::new();
    // A replica that loads sends bare newlines.
    while line.trim().is_empty() {
        line.clear();
        (input.read_line(&mut line).ok()? > 0).then_some(())?;
    }
    let count: usize = line.trim().strip_prefix('*')?.parse().ok()?;
    let mut words = Vec::new();
    for _ in 0..count {
        line.clear();
        input.read_line(&mut line).ok()?;
        let len: usize = line.trim().strip_prefix('$')?.parse().ok()?;
        let mut word = vec![0; len + 2];
        input.read_exact(&mut word).ok()?;
        words.push(String::from_utf8_lossy(&word[..len]).into_owned());
    }
    Some(words)
}
