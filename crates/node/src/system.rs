//! How the system names things: hosts, paths, and what goes wrong.

use std::net::IpAddr;
use std::path::PathBuf;

use rivulet_host::fs;

/// The first address of a name.
pub fn resolve(name: &str) -> Option<IpAddr> {
    use std::net::ToSocketAddrs;
    name.parse().ok().or_else(|| (name, 0).to_socket_addrs().ok()?.next().map(|a| a.ip()))
}

/// A path that stays what it is when the working directory becomes another.
pub fn from_here(path: PathBuf) -> PathBuf {
    fs::canonicalize(".").map_or(path.clone(), |here| here.join(path))
}

/// What the system calls an error, without Rust's suffix.
pub fn os_error(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_string()
}
