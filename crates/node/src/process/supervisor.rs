//! Who supervises the process (`supervised`), and what it is told: systemd hears over the socket that `NOTIFY_SOCKET` names, upstart sees the
//! process stop itself.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rivulet_host::world;

use crate::log;

pub const LOADING: &str = "STATUS=Redis is loading...\n";
pub const READY: &str = "READY=1\n";
pub const STOPPING: &str = "STOPPING=1\n";
pub const SERVES: &str = "STATUS=Ready to accept connections\n";
pub const SERVES_READS: &str =
    "STATUS=Ready to accept connections in read-only mode. Waiting for MASTER <-> REPLICA sync\n";
pub const SAVES: &str = "STATUS=Saving the final RDB snapshot\n";
pub const SAVE_FAILED: &str = "STATUS=Error trying to save the DB, can't exit.\n";
pub const SYNCED: &str =
    "STATUS=MASTER <-> REPLICA sync: Finished with success. Ready to accept connections in read-write mode.\n";
pub const CONTINUED: &str = "STATUS=MASTER <-> REPLICA sync: Partial Resynchronization accepted. Ready to accept connections in read-write mode.\n";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Supervisor {
    #[default]
    Nobody,
    Upstart,
    /// The socket that hears, as `NOTIFY_SOCKET` named it.
    Systemd(OsString),
}

impl Supervisor {
    /// Finds the one that the directive names, and tells it that loading begins. `setting` is a value of `supervised`.
    pub fn find(setting: &str) -> Supervisor {
        if world::is_simulated() {
            return Supervisor::Nobody;
        }
        let (job, socket) = (std::env::var_os("UPSTART_JOB"), std::env::var_os("NOTIFY_SOCKET"));
        match setting {
            "upstart" => upstart(job),
            "systemd" => systemd(socket),
            "auto" if job.is_some() => {
                log::verbose!("Upstart supervision detected.");
                upstart(job)
            }
            "auto" if socket.is_some() => {
                log::verbose!("Systemd supervision detected.");
                systemd(socket)
            }
            _ => Supervisor::Nobody,
        }
    }

    /// As INFO names it.
    pub fn name(&self) -> &'static str {
        match self {
            Supervisor::Nobody => "no",
            Supervisor::Upstart => "upstart",
            Supervisor::Systemd(_) => "systemd",
        }
    }

    /// Tells systemd, if it listens.
    pub fn tell(&self, text: &str) {
        if let Supervisor::Systemd(socket) = self
            && let Err(error) = send(socket, text)
        {
            log::warning!("systemd supervision error: sd_notify: {}", -error.raw_os_error().unwrap_or(0));
        }
    }
}

fn upstart(job: Option<OsString>) -> Supervisor {
    if job.is_none() {
        log::warning!("upstart supervision requested, but UPSTART_JOB not found!");
        return Supervisor::Nobody;
    }
    log::notice!("supervised by upstart, will stop to signal readiness.");
    // Upstart sees it, and lets the process go on.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
    Supervisor::Upstart
}

fn systemd(socket: Option<OsString>) -> Supervisor {
    let Some(socket) = socket.filter(|socket| !socket.is_empty()) else {
        log::warning!("systemd supervision error: NOTIFY_SOCKET not found!");
        return Supervisor::Nobody;
    };
    if let Err(error) = send(&socket, LOADING) {
        log::warning!("systemd supervision error: sd_notify: {}", -error.raw_os_error().unwrap_or(0));
        return Supervisor::Nobody;
    }
    log::notice!(
        "Supervised by systemd. Please make sure you set appropriate values for TimeoutStartSec and TimeoutStopSec in your service unit."
    );
    Supervisor::Systemd(socket)
}

/// A datagram of its own each time, as messages are few; a listener that is stuck holds nobody up.
fn send(socket: &OsStr, text: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    sender.send_to_addr(text.as_bytes(), &address).map(|_| ())
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
    fn systemd_hears_over_a_path_and_over_a_name() {
        let pid = std::process::id();
        let path = std::env::temp_dir().join(format!("rivulet-notify-{pid}"));
        let name = format!("rivulet-notify-{pid}");
        let address = SocketAddr::from_abstract_name(&name).expect("a short name");
        let by_path = UnixDatagram::bind(&path).expect("a socket");
        let by_name = UnixDatagram::bind_addr(&address).expect("a socket");
        for (listener, socket) in [(by_path, path.clone().into_os_string()), (by_name, format!("@{name}").into())] {
            let supervisor = systemd(Some(socket));
            assert_eq!((supervisor.name(), heard(&listener).as_str()), ("systemd", LOADING));
            supervisor.tell(READY);
            assert_eq!(heard(&listener), READY);
        }
        let _ = std::fs::remove_file(path);
    }

    #[test]
    fn nobody_who_does_not_listen_supervises() {
        for socket in [None, Some(OsString::new()), Some("/nowhere/at/all".into()), Some("x".repeat(200).into())] {
            assert_eq!(systemd(socket), Supervisor::Nobody);
        }
        assert_eq!(upstart(None).name(), "no");
        assert_eq!(Supervisor::find("no"), Supervisor::Nobody);
    }
}
