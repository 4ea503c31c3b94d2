//! A server to compare with.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A server of Redis 7.0 with a socket of its own.
pub(super) struct Peer {
    process: Child,
    stream: BufReader<UnixStream>,
    directory: PathBuf,
}

impl Peer {
    /// Nothing where there is no redis-server 7.0; then the test is skipped.
    pub(super) fn start(name: &str) -> Option<Peer> {
        let version = Command::new("redis-server").arg("--version").output().ok()?;
        if !String::from_utf8_lossy(&version.stdout).contains(" v=7.0.") {
            return None;
        }
        let directory = std::env::temp_dir().join(format!("rivulet-scripting-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let socket = directory.join("socket");
        let mut process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(&socket)
            .current_dir(&directory)
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let lines = BufReader::new(process.stdout.take()?).lines();
        let ready = lines.map_while(Result::ok).any(|l| l.contains("ready to accept connections at"));
        assert!(ready, "the peer starts");
        let stream = BufReader::new(UnixStream::connect(&socket).expect("the peer listens"));
        Some(Peer { process, stream, directory })
    }

    pub(super) fn eval(&mut self, script: &str) -> String {
        String::from_utf8_lossy(&self.command(&[b"EVAL", script.as_bytes(), b"0"])).into_owned()
    }

    /// The whole reply of a command.
    pub(super) fn command(&mut self, words: &[&[u8]]) -> Vec<u8> {
        let mut command = Vec::new();
        rivulet_resp::append_command(&mut command, words.iter().copied());
        self.stream.get_mut().write_all(&command).expect("the peer lives");
        let mut reply = Vec::new();
        self.read(&mut reply);
        assert!(!reply.is_empty(), "the peer lives after {}", String::from_utf8_lossy(&command));
        reply
    }

    /// Reads one reply with all that it holds.
    fn read(&mut self, reply: &mut Vec<u8>) {
        let start = reply.len();
        self.stream.read_until(b'\n', reply).expect("the peer lives");
        let line = String::from_utf8_lossy(&reply[start..]).into_owned();
        let (kind, number) = line.split_at_checked(1).unwrap_or_default();
        match (kind, number.trim_end().parse::<i64>()) {
            ("$" | "=", Ok(len @ 0..)) => {
                let begin = reply.len();
                reply.resize(begin + len as usize + 2, 0);
                self.stream.read_exact(&mut reply[begin..]).expect("the peer lives");
            }
            ("*" | "~", Ok(len @ 0..)) => (0..len).for_each(|_| self.read(reply)),
            ("%", Ok(len @ 0..)) => (0..2 * len).for_each(|_| self.read(reply)),
            _ => {}
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
