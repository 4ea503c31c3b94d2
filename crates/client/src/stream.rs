//! The byte streams under a connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rivulet_net::{BlockingTls, ClientTls};

use crate::connection::Timeouts;
use crate::{Address, Failure};

/// A silent connection is asked for a sign of life after so many seconds.
const KEEPALIVE_S: Duration = Duration::from_secs(15);

pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<BlockingTls>),
}

impl Stream {
    pub fn connect(address: &Address, tls: Option<&ClientTls>, timeouts: &Timeouts) -> Result<Stream, Failure> {
        let (host, port) = match address {
            Address::Unix { path } => return UnixStream::connect(path).map(Stream::Unix).map_err(Failure::Connect),
            Address::Tcp { host, port } => (host.as_str(), *port),
        };
        let socket = connect_any(resolve(host, port, timeouts.prefers_ipv6)?, timeouts.connect)?;
        let prepared = socket.set_nodelay(true).and_then(|()| keep_alive(&socket));
        prepared.map_err(Failure::Connect)?;
        let Some(tls) = tls else { return Ok(Stream::Tcp(socket)) };
        // The handshake reads and writes: who says nothing keeps nobody.
        let timed = socket.set_read_timeout(timeouts.connect).and_then(|()| socket.set_write_timeout(timeouts.connect));
        timed.map_err(Failure::Connect)?;
        tls.connect(socket).map(|tls| Stream::Tls(Box::new(tls))).map_err(Failure::Tls)
    }

    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Stream::Tcp(socket) => socket.set_read_timeout(timeout),
            Stream::Unix(socket) => socket.set_read_timeout(timeout),
            Stream::Tls(tls) => tls.sock.set_read_timeout(timeout),
        }
    }

    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Stream::Tcp(socket) => socket.set_write_timeout(timeout),
            Stream::Unix(socket) => socket.set_write_timeout(timeout),
            Stream::Tls(tls) => tls.sock.set_write_timeout(timeout),
        }
    }

    pub fn set_nonblocking(&self, is_nonblocking: bool) -> io::Result<()> {
        match self {
            Stream::Tcp(socket) => socket.set_nonblocking(is_nonblocking),
            Stream::Unix(socket) => socket.set_nonblocking(is_nonblocking),
            Stream::Tls(tls) => tls.sock.set_nonblocking(is_nonblocking),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(socket) => socket.read(buffer),
            Stream::Unix(socket) => socket.read(buffer),
            Stream::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(socket) => socket.write(bytes),
            Stream::Unix(socket) => socket.write(bytes),
            Stream::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Tcp(_) | Stream::Unix(_) => Ok(()),
            Stream::Tls(tls) => tls.flush(),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(socket) => socket.as_fd(),
            Stream::Unix(socket) => socket.as_fd(),
            Stream::Tls(tls) => tls.sock.as_fd(),
        }
    }
}

/// The certificates of the authorities that this machine trusts, as the bytes of PEM files are.
///
/// # Errors
/// There are none.
pub fn system_authorities() -> io::Result<Vec<u8>> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map(ToString::to_string).unwrap_or_default();
        return Err(io::Error::other(format!("no authority of this machine's is known {why}")));
    }
    let mut pem = Vec::new();
    for certificate in found.certs {
        append_pem(&mut pem, &certificate);
    }
    Ok(pem)
}

fn append_pem(pem: &mut Vec<u8>, der: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    pem.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
    // 48 bytes are a line of 64 characters.
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let [a, b, c] = [0, 1, 2].map(|i| u32::from(group.get(i).copied().unwrap_or(0)));
            let bits = a << 16 | b << 8 | c;
            for i in 0..4 {
                let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
                pem.push(if i <= group.len() { digit } else { b'=' });
            }
        }
        pem.push(b'\n');
    }
    pem.extend_from_slice(b"-----END CERTIFICATE-----\n");
}

fn resolve(host: &str, port: u16, prefers_ipv6: bool) -> Result<Vec<SocketAddr>, Failure> {
    let mut found: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(Failure::Resolve)?.collect();
    found.sort_by_key(|address| address.is_ipv6() != prefers_ipv6);
    Ok(found)
}

/// The first of these addresses that takes the connection.
fn connect_any(addresses: Vec<SocketAddr>, timeout: Option<Duration>) -> Result<TcpStream, Failure> {
    let mut failure = Failure::Resolve(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    for address in addresses {
        let connected = match timeout {
            Some(timeout) => TcpStream::connect_timeout(&address, timeout),
            None => TcpStream::connect(address),
        };
        match connected {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = Failure::Connect(error),
        }
    }
    Err(failure)
}

fn keep_alive(socket: &TcpStream) -> io::Result<()> {
    rustix::net::sockopt::set_socket_keepalive(socket, true)?;
    rustix::net::sockopt::set_tcp_keepidle(socket, KEEPALIVE_S)?;
    Ok(())
}
