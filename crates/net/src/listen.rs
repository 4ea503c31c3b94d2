//! Sockets that accept connections.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rivulet_host::world;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::poll::{Source, Watched};
use crate::stream::Stream;

/// A listening socket.
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
    Simulated(Box<dyn world::Listener>),
}

impl Listener {
    /// The next connection that waits, if one does.
    pub fn accept(&self) -> io::Result<Option<Stream>> {
        let accepted = match self {
            Listener::Tcp(l) => l.accept().map(|(s, _)| Stream::from_tcp(s)),
            Listener::Unix(l, _) => l.accept().map(|(s, _)| Stream::from_unix(s)),
            Listener::Simulated(l) => return Ok(l.accept()?.map(Stream::simulated)),
        };
        match accepted {
            Ok(stream) => {
                stream.set_nonblocking()?;
                Ok(Some(stream))
            }
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                ) =>
            {
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }
}

impl Source for Listener {
    fn watched(&self) -> Watched<'_> {
        match self {
            Listener::Tcp(l) => Watched::System(l.as_fd()),
            Listener::Unix(l, _) => Watched::System(l.as_fd()),
            Listener::Simulated(l) => Watched::Socket(l.socket()),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            // Whoever else removed it did what was wanted.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Listens on `port` of `address`. IPv6 sockets take IPv6 connections only, so that both families can be bound.
pub fn bind_tcp(address: IpAddr, port: u16, backlog: u32) -> io::Result<Listener> {
    let address = SocketAddr::new(address, port);
    if let Some(listener) = world::with(|world| world.listen(address)) {
        return listener.map(Listener::Simulated);
    }
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if address.is_ipv6() {
        net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    net::sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, backlog.min(i32::MAX as u32) as i32)?;
    Ok(Listener::Tcp(TcpListener::from(socket)))
}

/// Listens on a path; a socket that lies there is replaced. `mode` is the file's permissions, if not the default ones.
pub fn bind_unix(path: &Path, mode: Option<u32>, backlog: u32) -> io::Result<Listener> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let socket = bound_unix(path, mode)?;
    let listens = net::listen(&socket, backlog.min(i32::MAX as u32) as i32);
    // From here on the file goes when the value does.
    let listener = Listener::Unix(UnixListener::from(socket), path.to_owned());
    listens?;
    Ok(listener)
}

/// A socket that has its path and its permissions, and that nobody can connect to yet: so nobody gets in before they are set.
fn bound_unix(path: &Path, mode: Option<u32>) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    if let Some(mode) = mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).inspect_err(|_| {
            // The error is what counts.
            let _ = std::fs::remove_file(path);
        })?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn path(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("rivulet-net-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    #[test]
    fn nobody_connects_before_the_permissions_are_set() {
        let path = path("permissions");
        let socket = bound_unix(&path, Some(0o600)).expect("it is bound");
        let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let refused = UnixStream::connect(&path).expect_err("it does not listen");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        net::listen(&socket, 1).expect("it listens");
        UnixStream::connect(&path).expect("now it does");
        std::fs::remove_file(&path).expect("it is there");
    }

    #[test]
    fn so_many_wait_as_the_backlog_says() {
        let path = path("backlog");
        let listener = bind_unix(&path, None, 3).expect("it listens");
        let connect = || -> rustix::io::Result<OwnedFd> {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            net::connect(&socket, &SocketAddrUnix::new(&path)?)?;
            Ok(socket)
        };
        let waiting: Vec<OwnedFd> = (0..10).map_while(|_| connect().ok()).collect();
        // Linux lets one more wait.
        assert_eq!(waiting.len(), 4);
        assert!(listener.accept().expect("no error").is_some());
        connect().expect("there is room again");
        drop(listener);
        assert!(!path.exists());
    }
}
