//! Where an instance is: the name or number by which it was told of, and the number that this stands for now.

use std::fmt;
use std::net::IpAddr;

/// An address. The number is not known while a name has not been looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// As it was told: a name, or a number.
    pub host: String,
    pub ip: Option<IpAddr>,
    /// 0 is no address at all.
    pub port: u16,
}

impl Address {
    /// Whether INFO means this address when it names a host and a port.
    pub fn is_named(&self, host: &str, port: u16) -> bool {
        let is_here = self.ip.is_some_and(|ip| ip.to_string() == host) || self.host.eq_ignore_ascii_case(host);
        is_here && self.port == port
    }

    /// An address whose host is a number, or a name that is looked up later.
    pub fn new(host: &str, port: u16) -> Address {
        Address { host: host.to_string(), ip: host.parse().ok(), port }
    }

    /// What others are told: the name if they are to be told names, or else the number. A name without a number stands for itself.
    pub fn announced(&self, names: bool) -> String {
        match self.ip {
            Some(ip) if !names => ip.to_string(),
            _ => self.host.clone(),
        }
    }

    /// `host:port` as it names a replica; IPv6 numbers stand in brackets.
    pub fn label(&self, names: bool) -> String {
        let host = self.announced(names);
        if host.contains(':') { format!("[{host}]:{}", self.port) } else { format!("{host}:{}", self.port) }
    }

    /// Whether both are the same place, by number or by name.
    pub fn is_same(&self, other: &Address) -> bool {
        self.port == other.port
            && ((self.ip.is_some() && self.ip == other.ip) || self.host.eq_ignore_ascii_case(&other.host))
    }

    /// Whether the host is a name.
    pub fn is_name(&self) -> bool {
        self.host.parse::<IpAddr>().is_err()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_place_by_number_or_by_name() {
        let number = Address::new("127.0.0.1", 1);
        let name = Address { host: "here".into(), ip: Some("127.0.0.1".parse().expect("a number")), port: 1 };
        let unknown = Address::new("HERE", 1);
        assert!(number.is_same(&name) && name.is_same(&unknown));
        assert!(!number.is_same(&unknown), "nobody knows yet");
        assert!(!number.is_same(&Address::new("127.0.0.1", 2)));
        assert!(!unknown.is_same(&Address::new("there", 1)), "two unknown names are two");
        assert_eq!(Address::new("::1", 5).label(false), "[::1]:5");
        assert_eq!((name.announced(true), name.announced(false)), ("here".into(), "127.0.0.1".into()));
    }
}
