//! Where a node can be asked: a host and a port, as servers write them.

use std::fmt;

use serde::{Serialize, Serializer};

/// The longest name of a host that is taken from an answer.
const HOST_LEN_MAX: usize = 255;

/// A host and a port. Written `host:port`, an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl Address {
    /// `None` for an empty or endless host, one with blanks, or port 0.
    pub fn new(host: &str, port: u16) -> Option<Address> {
        let is_host = !host.is_empty() && host.len() <= HOST_LEN_MAX && host.bytes().all(|b| b.is_ascii_graphic());
        (is_host && port != 0).then(|| Address { host: host.to_string(), port })
    }

    /// Reads `host:port`; the port is behind the last colon, and the brackets of an IPv6 address may be there.
    pub fn parse(text: &str) -> Option<Address> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        Address::new(host, port.parse().ok()?)
    }

    /// Whether the host is the machine that says so.
    pub fn is_loopback(&self) -> bool {
        let is_loopback_ip = self.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
        is_loopback_ip || self.host.eq_ignore_ascii_case("localhost")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["127.0.0.1:6379", "[::1]:6379", "db-1.example:1"] {
            assert_eq!(Address::parse(text).map(|a| a.to_string()).as_deref(), Some(text));
        }
        // As Redis writes it in a list of peers.
        assert_eq!(Address::parse("::1:6379").map(|a| a.to_string()).as_deref(), Some("[::1]:6379"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let endless = format!("{}:1", "a".repeat(256));
        for text in ["", ":", "a", "a:", ":1", "a:0", "a:65536", "a b:1", "a\n:1", &endless] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }

    #[test]
    fn this_machine() {
        for (text, is) in
            [("127.0.0.1:1", true), ("127.9.9.9:1", true), ("[::1]:1", true), ("[::ffff:127.0.0.1]:1", true)]
        {
            assert_eq!(Address::parse(text).expect("an address").is_loopback(), is, "{text}");
        }
        assert!(Address::parse("LocalHost:1").expect("an address").is_loopback());
        assert!(!Address::parse("10.0.0.1:1").expect("an address").is_loopback());
    }
}
