//! The system's log (`syslog-enabled`): lines as datagrams to `/dev/log`, by RFC 3164.
//!
//! Who listens there may be restarted, or stuck. The server waits for neither: a line that can't be given away is lost there, and stands in the log file.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use rivulet_config::Level;

use crate::clock::LocalTime;

const SOCKET: &str = "/dev/log";

pub struct Syslog {
    path: PathBuf,
    ident: String,
    /// A facility's number, shifted to its place.
    facility: u8,
    /// Nobody is there without one.
    socket: Option<UnixDatagram>,
}

impl Syslog {
    /// `facility` is a value of `syslog-facility`.
    pub fn open(ident: &str, facility: &str) -> Syslog {
        Syslog::at(Path::new(SOCKET), ident, facility)
    }

    fn at(path: &Path, ident: &str, facility: &str) -> Syslog {
        let number = match facility.strip_prefix("local").and_then(|digit| digit.parse::<u8>().ok()) {
            Some(local) => 16 + local.min(7),
            None => 1,
        };
        Syslog { path: path.into(), ident: ident.into(), facility: number << 3, socket: connect(path).ok() }
    }

    /// Gives a line away. Whoever listened may have gone and come back: then it is tried once more.
    pub fn send(&mut self, level: Level, pid: u32, text: &str) {
        let line = self.line(level, pid, &LocalTime::now(), text);
        if self.socket.as_ref().is_some_and(|socket| !is_gone(&socket.send(line.as_bytes()))) {
            return;
        }
        self.socket = connect(&self.path).ok();
        if let Some(socket) = &self.socket {
            let _ = socket.send(line.as_bytes());
        }
    }

    fn line(&self, level: Level, pid: u32, now: &LocalTime, text: &str) -> String {
        let severity = match level {
            Level::Debug => 7,
            Level::Verbose => 6,
            Level::Notice => 5,
            Level::Warning => 4,
        };
        format!("<{}>{} {}[{pid}]: {text}", self.facility | severity, now.syslog_format(), self.ident)
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

/// A full queue is not a listener that has gone.
fn is_gone(sent: &io::Result<usize>) -> bool {
    sent.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(listener: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let len = listener.recv(&mut bytes).expect("a datagram");
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    }

    #[test]
    fn lines_arrive_also_after_the_listener_came_back() {
        let path = std::env::temp_dir().join(format!("rivulet-syslog-{}", std::process::id()));
        let mut syslog = Syslog::at(&path, "some-name", "local3");
        syslog.send(Level::Warning, 7, "for nobody");
        for level in [(Level::Warning, 19 * 8 + 4), (Level::Notice, 19 * 8 + 5)] {
            let listener = UnixDatagram::bind(&path).expect("a socket");
            syslog.send(level.0, 7, "a line");
            let line = heard(&listener);
            assert!(line.starts_with(&format!("<{}>", level.1)), "{line}");
            assert!(line.ends_with(" some-name[7]: a line"), "{line}");
            drop(listener);
            let _ = std::fs::remove_file(&path);
        }
    }

    #[test]
    fn facilities_have_their_numbers() {
        for (facility, number) in [("user", 1), ("local0", 16), ("local7", 23)] {
            assert_eq!(Syslog::at(Path::new("/nowhere"), "", facility).facility, number * 8);
        }
    }
}
