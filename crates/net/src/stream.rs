//! Connections.

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{self, AddressFamily, SocketFlags, SocketType};

/// A connection, non-blocking.
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(s) => s.set_nonblocking(true),
            Stream::Unix(s) => s.set_nonblocking(true),
        }
    }

    /// Appends to `buffer` what has arrived, at most `max` bytes. Answers how many there were; nothing when none are there yet. The end of
    /// the stream is an error of kind `UnexpectedEof`.
    pub fn read_into(&mut self, buffer: &mut Vec<u8>, max: usize) -> io::Result<Option<usize>> {
        buffer.reserve(max);
        let spare = rustix::buffer::spare_capacity(buffer);
        let read = match self {
            Stream::Tcp(s) => rustix::io::read(&*s, spare),
            Stream::Unix(s) => rustix::io::read(&*s, spare),
        };
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => Ok(Some(n)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Reads into a slice; nothing when no bytes are there yet. The end of the stream is an error of kind `UnexpectedEof`.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let read = match self {
            Stream::Tcp(s) => s.read(buffer),
            Stream::Unix(s) => s.read(buffer),
        };
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => Ok(Some(n)),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes what the socket takes; 0 when it takes nothing now.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        taken(match self {
            Stream::Tcp(s) => s.write(bytes),
            Stream::Unix(s) => s.write(bytes),
        })
    }

    /// Writes what the socket takes of several slices; 0 when it takes nothing now.
    pub fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        taken(match self {
            Stream::Tcp(s) => s.write_vectored(slices),
            Stream::Unix(s) => s.write_vectored(slices),
        })
    }

    /// Sends small writes at once.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        match self {
            Stream::Tcp(s) => s.set_nodelay(on),
            Stream::Unix(_) => Ok(()),
        }
    }

    /// Probes an idle connection after `interval`, three times within another.
    pub fn set_keepalive(&self, interval: Duration) -> io::Result<()> {
        let Stream::Tcp(s) = self else { return Ok(()) };
        net::sockopt::set_socket_keepalive(s, true)?;
        net::sockopt::set_tcp_keepidle(s, interval)?;
        net::sockopt::set_tcp_keepintvl(s, (interval / 3).max(Duration::from_secs(1)))?;
        net::sockopt::set_tcp_keepcnt(s, 3)?;
        Ok(())
    }

    /// The error that waits on the socket, such as that of a connect.
    pub fn take_error(&self) -> io::Result<()> {
        let error = match self {
            Stream::Tcp(s) => s.take_error()?,
            Stream::Unix(s) => s.take_error()?,
        };
        error.map_or(Ok(()), Err)
    }

    /// The other end, for TCP.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(s) => s.peer_addr().ok(),
            Stream::Unix(_) => None,
        }
    }

    /// This end, for TCP.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(s) => s.local_addr().ok(),
            Stream::Unix(_) => None,
        }
    }
}

fn taken(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
        other => other,
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(s) => s.as_fd(),
            Stream::Unix(s) => s.as_fd(),
        }
    }
}

/// Begins to connect. When the socket becomes writable, [`Stream::take_error`] tells how it went.
pub fn connect(address: SocketAddr, source: Option<IpAddr>) -> io::Result<Stream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if let Some(source) = source {
        net::bind(&socket, &SocketAddr::new(source, 0))?;
    }
    match net::connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(Stream::Tcp(TcpStream::from(socket))),
        Err(e) => Err(e.into()),
    }
}
