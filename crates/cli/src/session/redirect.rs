//! What a node of a cluster says that has not got the slot: `MOVED 3999 127.0.0.1:6381`, or `ASK`.

use rivulet_client::{Address, Reply};

use super::{Redirect, Session};
use crate::out::say;

impl Session {
    /// Whether the reply sends us to another node; from then on that is the one that is spoken to.
    pub(super) fn take_redirect(&mut self, reply: &Reply) -> bool {
        let Reply::Error(text) = reply.without_attributes() else { return false };
        let Some((has_asking, slot, host, port)) = parse(&String::from_utf8_lossy(text)) else { return false };
        // A node that does not know its own name means the one that was asked.
        let host = match &self.address {
            Address::Tcp { host: asked, .. } if host.is_empty() => asked.clone(),
            _ => host,
        };
        if self.is_interactive {
            say!("-> Redirected to slot [{slot}] located at {host}:{port}\n");
        }
        self.address = Address::tcp(host, port);
        self.redirect = Some(Redirect { has_asking });
        true
    }
}

fn parse(text: &str) -> Option<(bool, u32, String, u16)> {
    let mut words = text.split(' ');
    let has_asking = match words.next()? {
        "MOVED" => false,
        "ASK" => true,
        _ => return None,
    };
    let slot = words.next()?.parse().ok()?;
    let (host, port) = words.next()?.rsplit_once(':')?;
    Some((has_asking, slot, host.to_string(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections() {
        assert_eq!(parse("MOVED 3999 127.0.0.1:6381"), Some((false, 3999, "127.0.0.1".into(), 6381)));
        assert_eq!(parse("ASK 1 ::1:7"), Some((true, 1, "::1".into(), 7)));
        assert_eq!(parse("MOVED 1 :7"), Some((false, 1, String::new(), 7)));
        for text in ["ERR no", "MOVED", "MOVED x h:1", "MOVED 1 h", "MOVED 1 h:x", "MOVED 1 h:70000"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
