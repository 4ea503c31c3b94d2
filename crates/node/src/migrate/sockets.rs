//! Connections to other servers that are kept for the next MIGRATE, as in Redis: so many, and for so long.

use super::errand::{Connection, Target};

/// Connections that are kept at most.
const KEPT_MAX: usize = 64;
/// A connection that nobody has used for so long is closed.
const IDLE_MS_MAX: u64 = 10_000;

/// A connection that nobody uses now.
struct Kept {
    target: Target,
    connection: Connection,
    /// On the machine's clock.
    used_ms: u64,
}

/// Connections that nobody uses now, one a target: the one that was used last comes last.
#[derive(Default)]
pub struct Sockets(Vec<Kept>);

impl Sockets {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The connection to a target, if one is kept.
    pub fn take(&mut self, target: &Target) -> Option<Connection> {
        let at = self.0.iter().position(|kept| kept.target.is_same(target))?;
        Some(self.0.remove(at).connection)
    }

    /// Keeps a connection; another one to the same target is closed, and the oldest if there are too many.
    pub fn keep(&mut self, target: Target, connection: Connection, now_ms: u64) {
        self.take(&target);
        if self.0.len() >= KEPT_MAX {
            self.0.remove(0);
        }
        self.0.push(Kept { target, connection, used_ms: now_ms });
    }

    /// Closes those that nobody has used for long.
    pub fn close_idle(&mut self, now_ms: u64) {
        self.0.retain(|kept| now_ms.saturating_sub(kept.used_ms) <= IDLE_MS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn target(port: u16, login: &[&[u8]]) -> Target {
        Target { host: "h".into(), port, login: login.iter().map(|word| word.to_vec()).collect(), tls: None }
    }

    #[test]
    fn few_are_kept_and_not_for_long() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let connection = || Connection::Plain(TcpStream::connect(address).expect("it is listened to"));
        let mut sockets = Sockets::default();
        for port in 0..=KEPT_MAX as u16 {
            sockets.keep(target(port, &[]), connection(), u64::from(port));
        }
        sockets.keep(target(9, &[]), connection(), 100);
        assert_eq!(sockets.len(), KEPT_MAX);
        assert!(sockets.take(&target(0, &[])).is_none(), "the oldest had to go");
        assert!(sockets.take(&target(5, &[b"secret"])).is_none(), "who logs in gets no other's connection");
        assert!(sockets.take(&target(5, &[])).is_some() && sockets.take(&target(5, &[])).is_none());
        sockets.close_idle(IDLE_MS_MAX + 64);
        assert_eq!(sockets.len(), 2);
        assert!(sockets.take(&target(9, &[])).is_some() && sockets.take(&target(64, &[])).is_some());
    }
}
