//! Whom to speak to: an address, or a URI with all that it says.

use std::fmt;
use std::path::PathBuf;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp { host: String, port: u16 },
    Unix { path: PathBuf },
}

impl Address {
    /// A host, by name or by number, and a port.
    pub fn tcp(host: impl Into<String>, port: u16) -> Address {
        Address::Tcp { host: host.into(), port }
    }

    /// A socket of this machine.
    pub fn unix(path: impl Into<PathBuf>) -> Address {
        Address::Unix { path: path.into() }
    }
}

/// As Redis writes addresses: an IPv6 number stands in brackets.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
            Address::Unix { path } => write!(f, "{}", path.display()),
        }
    }
}

/// What a URI says. What it leaves out is the caller's to fill in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    pub has_tls: bool,
    pub host: Option<String>,
    pub port: Option<u16>,
    /// The socket of a `unix://` URI.
    pub path: Option<PathBuf>,
    pub user: Option<Vec<u8>>,
    pub password: Option<Vec<u8>>,
    pub database: Option<i64>,
}

/// Why a text is no URI of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriError {
    Scheme,
    /// A `%` without two digits behind it.
    Incomplete,
    /// A `%` with something else than hexadecimal digits behind it.
    Digits,
    /// A port that is none.
    Port,
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UriError::Scheme => "Invalid URI scheme",
            UriError::Incomplete => "Incomplete URI encoding",
            UriError::Digits => "Illegal character in URI encoding",
            UriError::Port => "Invalid port in URI",
        })
    }
}

impl std::error::Error for UriError {}

impl Target {
    /// Takes `redis://[[user:]password@][host[:port]][/database]` apart, `rediss://` for TLS, and `unix://[[user:]password@]/path[?db=N]`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(uri: &str) -> Result<Target, UriError> {
        let (scheme, rest) = uri.split_once("://").ok_or(UriError::Scheme)?;
        let mut target = Target::default();
        match scheme.to_ascii_lowercase().as_str() {
            "redis" => {}
            "rediss" => target.has_tls = true,
            "unix" => return target.with_socket(rest),
            _ => return Err(UriError::Scheme),
        }
        let rest = target.take_login(rest)?;
        let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
        if !place.is_empty() {
            target.take_place(place)?;
        }
        if !database.is_empty() {
            target.database = Some(leading_number(database));
        }
        Ok(target)
    }

    fn with_socket(mut self, rest: &str) -> Result<Target, UriError> {
        let rest = self.take_login(rest)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        self.path = Some(PathBuf::from(path));
        self.database = query.split('&').find_map(|part| part.strip_prefix("db=")).map(leading_number);
        Ok(self)
    }

    /// Takes user and password, and answers what follows them.
    fn take_login<'a>(&mut self, rest: &'a str) -> Result<&'a str, UriError> {
        let Some((login, rest)) = rest.split_once('@') else { return Ok(rest) };
        let password = match login.split_once(':') {
            Some((user, password)) => {
                self.user = Some(decoded(user)?);
                password
            }
            None => login,
        };
        self.password = Some(decoded(password)?);
        Ok(rest)
    }

    fn take_place(&mut self, place: &str) -> Result<(), UriError> {
        // The port follows the brackets of an IPv6 number.
        let (host, port) = match place.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((host, after)) => (host, after.strip_prefix(':')),
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        self.host = Some(host.to_string());
        if let Some(port) = port {
            self.port = Some(port.parse().map_err(|_| UriError::Port)?);
        }
        Ok(())
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, UriError> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let [high, low, after @ ..] = rest else { return Err(UriError::Incomplete) };
        let digit = |c: u8| (c as char).to_digit(16).ok_or(UriError::Digits);
        out.push((digit(*high)? * 16 + digit(*low)?) as u8);
        rest = after;
    }
    Ok(out)
}

/// The number that a text begins with, or 0, as C's `atoi` has it.
fn leading_number(text: &str) -> i64 {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris() {
        let none = Target::default;
        for (uri, expected) in [
            ("redis://", none()),
            ("redis://h", Target { host: Some("h".into()), ..none() }),
            (
                "REDISS://h:1/3",
                Target { has_tls: true, host: Some("h".into()), port: Some(1), database: Some(3), ..none() },
            ),
            ("redis://pw@h", Target { host: Some("h".into()), password: Some(b"pw".to_vec()), ..none() }),
            (
                "redis://u%40:p%3a@[::1]:7/",
                Target {
                    host: Some("::1".into()),
                    port: Some(7),
                    user: Some(b"u@".to_vec()),
                    password: Some(b"p:".to_vec()),
                    ..none()
                },
            ),
            ("redis:///5", Target { database: Some(5), ..none() }),
            ("unix:///run/r.sock?db=2", Target { path: Some("/run/r.sock".into()), database: Some(2), ..none() }),
        ] {
            assert_eq!(Target::parse(uri), Ok(expected), "{uri}");
        }
        for (uri, error) in [
            ("http://h", UriError::Scheme),
            ("h:1", UriError::Scheme),
            ("redis://%4@h", UriError::Incomplete),
            ("redis://%zz@h", UriError::Digits),
            ("redis://h:port", UriError::Port),
            ("redis://h:65536", UriError::Port),
        ] {
            assert_eq!(Target::parse(uri), Err(error), "{uri}");
        }
    }

    #[test]
    fn addresses_are_shown_as_in_redis() {
        assert_eq!(Address::tcp("::1", 6379).to_string(), "[::1]:6379");
        assert_eq!(Address::tcp("localhost", 1).to_string(), "localhost:1");
        assert_eq!(Address::unix("/a/b").to_string(), "/a/b");
    }
}
