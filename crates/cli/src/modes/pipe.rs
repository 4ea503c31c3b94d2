//! `--pipe`: standard input goes to the server as it is, and replies are counted.
//!
//! Both directions run at once, so that neither waits for the other. At the end of the input an ECHO of random letters is sent: when it comes back,
//! all before it was answered.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rivulet_client::{ClientError, Connection, Failure, Reply};
use rivulet_progress::Progress;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::clock;
use crate::out::{self, Fatal, say, system_words};
use crate::session::Session;

const MARK_LEN: usize = 20;
const PIECE_BYTES: usize = 16 * 1024;
/// Bytes that are written before replies are read again.
const TURN_BYTES: usize = 128 * 1024;

struct Pipe {
    output: Vec<u8>,
    /// Bytes of `output` that the server has.
    sent: usize,
    /// Set at the end of the input.
    mark: Option<[u8; MARK_LEN]>,
    has_seen_mark: bool,
    errors: u64,
    replies: u64,
    /// Bytes of the input that were sent.
    done: u64,
    heard: Instant,
}

/// Sends standard input and counts the replies.
///
/// # Errors
/// The link is lost, the input can't be read, or a reply was an error.
pub fn run(session: &mut Session) -> Result<(), Fatal> {
    let timeout_s = session.options.pipe_timeout_s;
    let connection = session.connection.as_mut().ok_or("\nI/O error")?;
    let blocked = connection.set_nonblocking(true);
    blocked.map_err(|e| Fatal(format!("Can't set the socket in non blocking mode: {}", system_words(&e))))?;
    let total = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(|e| Fatal(system_words(&e)))?)
        .metadata()
        .ok()
        .filter(std::fs::Metadata::is_file)
        .map(|metadata| metadata.len());
    let mut progress = Progress::new("pipe", total, clock::now());
    let mut pipe = Pipe {
        output: Vec::new(),
        sent: 0,
        mark: None,
        has_seen_mark: false,
        errors: 0,
        replies: 0,
        done: 0,
        heard: clock::now(),
    };
    while !pipe.has_seen_mark {
        let has_output = pipe.mark.is_none() || pipe.sent < pipe.output.len();
        wait(connection, has_output)?;
        pipe.read_replies(connection)?;
        if has_output {
            pipe.write(connection)?;
            progress.set(pipe.done, clock::now());
        }
        let silent = clock::now().duration_since(pipe.heard);
        if pipe.mark.is_some() && timeout_s > 0 && silent > Duration::from_secs(timeout_s.unsigned_abs()) {
            eprintln!("No replies for {timeout_s} seconds: exiting.");
            pipe.errors += 1;
            break;
        }
    }
    drop(progress);
    say!("errors: {}, replies: {}\n", pipe.errors, pipe.replies);
    if pipe.errors > 0 { Err(Fatal::said()) } else { Ok(()) }
}

/// Waits until the server has something, or takes something; for a second at most.
fn wait(connection: &Connection, has_output: bool) -> Result<(), Fatal> {
    let mut flags = PollFlags::IN;
    if has_output {
        flags |= PollFlags::OUT;
    }
    let mut fds = [PollFd::new(connection, flags)];
    match poll(&mut fds, Some(&Timespec { tv_sec: 1, tv_nsec: 0 })) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(Fatal(format!("Can't wait for the server: {error}"))),
    }
}

impl Pipe {
    fn read_replies(&mut self, connection: &mut Connection) -> Result<(), Fatal> {
        loop {
            let filled = connection.fill();
            loop {
                match connection.decoded() {
                    Ok(Some(reply)) => self.take(&reply),
                    Ok(None) => break,
                    Err(_) => return Err("Error reading replies from server".into()),
                }
            }
            match filled {
                Ok(()) => {}
                Err(ClientError { failure: Failure::TimedOut, .. }) => return Ok(()),
                // The mark may have come with the end.
                Err(_) if self.has_seen_mark => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take(&mut self, reply: &Reply) {
        self.heard = clock::now();
        match reply {
            Reply::Push(_) => return,
            Reply::Error(text) => {
                out::complain(text);
                self.errors += 1;
            }
            Reply::Bulk(text) if self.mark.is_some_and(|mark| mark == text.as_slice()) => {
                say!("Last reply received from server.\n");
                self.has_seen_mark = true;
                return;
            }
            _ => {}
        }
        self.replies += 1;
    }

    /// Writes what the server takes, and reads on where all was taken.
    fn write(&mut self, connection: &mut Connection) -> Result<(), Fatal> {
        let mut turn = 0;
        while turn < TURN_BYTES {
            if self.sent == self.output.len() {
                if self.mark.is_some() {
                    break;
                }
                self.read_input()?;
            }
            let written = connection.write_some(&self.output[self.sent..]);
            let n = written.map_err(|error| Fatal(format!("Error writing to the server: {}", out::words(&error))))?;
            self.sent += n;
            turn += n;
            if self.mark.is_none() {
                self.done += n as u64;
            }
            if n == 0 {
                break;
            }
        }
        // TLS keeps records that the socket has not taken.
        connection.write_some(&[]).map(|_| ()).map_err(|error| Fatal(out::words(&error)))
    }

    fn read_input(&mut self) -> Result<(), Fatal> {
        self.output.resize(PIECE_BYTES, 0);
        self.sent = 0;
        let n = loop {
            match io::stdin().lock().read(&mut self.output) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(|e| Fatal(format!("Error reading from stdin: {}", system_words(&e))))?,
            }
        };
        self.output.truncate(n);
        if n == 0 {
            let mut rng = fastrand::Rng::with_seed(clock::seed());
            let mark = std::array::from_fn(|_| rng.alphanumeric() as u8);
            // What the input left open is ended by the empty line, so that the ECHO is one.
            self.output = b"\r\n*2\r\n$4\r\nECHO\r\n$20\r\n".to_vec();
            self.output.extend_from_slice(&mark);
            self.output.extend_from_slice(b"\r\n");
            self.mark = Some(mark);
            self.heard = clock::now();
            say!("All data transferred. Waiting for the last reply...\n");
        }
        Ok(())
    }
}
