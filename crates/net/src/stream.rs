//! Connections.

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rivulet_host::world;
use rustix::event::{self, PollFd, PollFlags};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use rustls::pki_types::ServerName;

use crate::poll::{Interest, Source, Watched};
use crate::tls::{ClientAuth, TlsContext, TlsStream};

/// A connection, non-blocking.
pub struct Stream(Kind);

enum Kind {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream>),
    Simulated(Box<dyn world::Stream>),
}

impl Stream {
    pub(crate) fn from_tcp(stream: TcpStream) -> Stream {
        Stream(Kind::Tcp(stream))
    }

    /// A Unix socket, which is to be non-blocking.
    pub fn from_unix(stream: UnixStream) -> Stream {
        Stream(Kind::Unix(stream))
    }

    pub(crate) fn simulated(stream: Box<dyn world::Stream>) -> Stream {
        Stream(Kind::Simulated(stream))
    }

    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match &self.0 {
            Kind::Tcp(s) => s.set_nonblocking(true),
            Kind::Unix(s) => s.set_nonblocking(true),
            Kind::Tls(s) => s.socket().set_nonblocking(true),
            Kind::Simulated(_) => Ok(()),
        }
    }

    /// Appends to `buffer` what has arrived, at most `max` bytes. Answers how many there were; nothing when none are there yet. The end of
    /// the stream is an error of kind `UnexpectedEof`.
    pub fn read_into(&mut self, buffer: &mut Vec<u8>, max: usize) -> io::Result<Option<usize>> {
        buffer.reserve(max);
        let read = match &mut self.0 {
            Kind::Tcp(s) => rustix::io::read(&*s, rustix::buffer::spare_capacity(buffer)),
            Kind::Unix(s) => rustix::io::read(&*s, rustix::buffer::spare_capacity(buffer)),
            Kind::Tls(s) => return s.read_into(buffer, max),
            Kind::Simulated(s) => {
                let len = buffer.len();
                buffer.resize(len + max.min(s.unread().max(1)), 0);
                let read = arrived(s.read(&mut buffer[len..]));
                buffer.truncate(len + read.as_ref().map_or(0, |read| read.unwrap_or(0)));
                return read;
            }
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
        let read = match &mut self.0 {
            Kind::Tcp(s) => s.read(buffer),
            Kind::Unix(s) => s.read(buffer),
            Kind::Tls(s) => return s.read(buffer),
            Kind::Simulated(s) => return arrived(s.read(buffer)),
        };
        match read {
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            other => arrived(other.map(Some)),
        }
    }

    /// Writes what the socket takes; 0 when it takes nothing now.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        taken(match &mut self.0 {
            Kind::Tcp(s) => s.write(bytes),
            Kind::Unix(s) => s.write(bytes),
            Kind::Tls(s) => return s.write(bytes),
            Kind::Simulated(s) => s.write(bytes),
        })
    }

    /// Writes what the socket takes of several slices; 0 when it takes nothing now.
    pub fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        taken(match &mut self.0 {
            Kind::Tcp(s) => s.write_vectored(slices),
            Kind::Unix(s) => s.write_vectored(slices),
            Kind::Tls(s) => return s.write_vectored(slices),
            Kind::Simulated(s) => {
                let mut count = 0;
                for slice in slices {
                    let taken = s.write(slice)?;
                    count += taken;
                    if taken < slice.len() {
                        break;
                    }
                }
                Ok(count)
            }
        })
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match &self.0 {
            Kind::Tcp(s) => Some(s),
            Kind::Tls(s) => Some(s.socket()),
            Kind::Unix(_) | Kind::Simulated(_) => None,
        }
    }

    /// The server's end of TLS on an accepted TCP connection, on which nothing was read or written yet.
    ///
    /// # Errors
    /// It is no TCP connection, or the context allows no handshake.
    pub fn into_tls_server(self, context: &TlsContext, auth: ClientAuth) -> io::Result<Stream> {
        let Kind::Tcp(socket) = self.0 else { return Err(no_tls()) };
        Ok(Stream(Kind::Tls(Box::new(TlsStream::server(socket, context.server(auth))?))))
    }

    /// The client's end of TLS on a TCP connection to an address, made or being made.
    ///
    /// # Errors
    /// As above.
    pub fn into_tls_client(self, context: &TlsContext, address: IpAddr) -> io::Result<Stream> {
        let Kind::Tcp(socket) = self.0 else { return Err(no_tls()) };
        let name = ServerName::IpAddress(address.into());
        Ok(Stream(Kind::Tls(Box::new(TlsStream::client(socket, context.client.clone(), name)?))))
    }

    /// Whether there is TLS on it.
    #[inline]
    pub fn is_tls(&self) -> bool {
        matches!(self.0, Kind::Tls(_))
    }

    /// Whether a handshake has to be done before there is anything to read or to write.
    #[inline]
    pub fn is_handshaking(&self) -> bool {
        match &self.0 {
            Kind::Tls(s) => s.is_handshaking(),
            _ => false,
        }
    }

    /// Goes on with the handshake as far as the socket lets it; answers whether it is done. To be called when the socket is ready, for reading or,
    /// with something unsent, for writing.
    ///
    /// # Errors
    /// It failed. `UnexpectedEof` if the other end has gone.
    pub fn handshake(&mut self) -> io::Result<bool> {
        match &mut self.0 {
            Kind::Tls(s) => s.handshake(),
            _ => Ok(true),
        }
    }

    /// The common name (CN) of the certificate that the other end has shown, if it had to prove that it is good.
    pub fn peer_name(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Tls(s) => s.peer_name(),
            _ => None,
        }
    }

    /// Whether a read has something to tell though the socket may be silent: bytes, or that nothing more comes.
    #[inline]
    pub fn has_more(&self) -> bool {
        match &self.0 {
            Kind::Tls(s) => s.has_more(),
            _ => false,
        }
    }

    /// Whether it has something to send beside what it was given to write, or a part of that: the socket is to be watched, and
    /// [`Stream::flush`] called.
    #[inline]
    pub fn has_unsent(&self) -> bool {
        match &self.0 {
            Kind::Tls(s) => s.has_unsent(),
            _ => false,
        }
    }

    /// Sends what the socket takes of that.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Tls(s) => s.flush().map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Waits until it can be read, or written to, or has an error. On a simulated machine it never waits.
    ///
    /// # Errors
    /// The system can't wait.
    pub fn wait(&self, interest: Interest) -> io::Result<()> {
        let Watched::System(socket) = self.watched() else { return Ok(()) };
        let mut events = PollFlags::empty();
        events.set(PollFlags::IN, interest.read);
        events.set(PollFlags::OUT, interest.write);
        match event::poll(&mut [PollFd::from_borrowed_fd(socket, events)], None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Nothing is sent any more, nor said at the end: another process goes on with the connection.
    pub fn forget(&mut self) {
        if let Kind::Tls(s) = &mut self.0 {
            s.forget();
        }
    }

    /// Sends small writes at once.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        let Some(s) = self.tcp() else { return Ok(()) };
        s.set_nodelay(on)
    }

    /// Probes an idle connection after `interval`, three times within another.
    pub fn set_keepalive(&self, interval: Duration) -> io::Result<()> {
        let Some(s) = self.tcp() else { return Ok(()) };
        net::sockopt::set_socket_keepalive(s, true)?;
        net::sockopt::set_tcp_keepidle(s, interval)?;
        net::sockopt::set_tcp_keepintvl(s, (interval / 3).max(Duration::from_secs(1)))?;
        net::sockopt::set_tcp_keepcnt(s, 3)?;
        Ok(())
    }

    /// The error that waits on the socket, such as that of a connect.
    pub fn take_error(&self) -> io::Result<()> {
        let error = match &self.0 {
            Kind::Tcp(s) => s.take_error()?,
            Kind::Unix(s) => s.take_error()?,
            Kind::Tls(s) => s.socket().take_error()?,
            Kind::Simulated(s) => return s.take_error(),
        };
        error.map_or(Ok(()), Err)
    }

    /// The other end, for TCP.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp(s) => s.peer_addr().ok(),
            Kind::Tls(s) => s.socket().peer_addr().ok(),
            Kind::Unix(_) => None,
            Kind::Simulated(s) => Some(s.peer()),
        }
    }

    /// This end, for TCP.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp(s) => s.local_addr().ok(),
            Kind::Tls(s) => s.socket().local_addr().ok(),
            Kind::Unix(_) => None,
            Kind::Simulated(s) => Some(s.local()),
        }
    }

    /// The number by which the system knows the socket, if it does.
    pub fn descriptor(&self) -> Option<u32> {
        match self.watched() {
            Watched::System(fd) => u32::try_from(fd.as_raw_fd()).ok(),
            _ => None,
        }
    }
}

fn no_tls() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "TLS is for TCP connections")
}

/// No bytes at all are the end of the stream.
fn arrived(read: io::Result<Option<usize>>) -> io::Result<Option<usize>> {
    match read {
        Ok(Some(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
        other => other,
    }
}

fn taken(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
        other => other,
    }
}

impl Source for Stream {
    fn watched(&self) -> Watched<'_> {
        match &self.0 {
            Kind::Tcp(s) => Watched::System(s.as_fd()),
            Kind::Unix(s) => Watched::System(s.as_fd()),
            Kind::Tls(s) => Watched::System(s.socket().as_fd()),
            Kind::Simulated(s) => Watched::Socket(s.socket()),
        }
    }
}

/// Begins to connect. When the socket becomes writable, [`Stream::take_error`] tells how it went.
pub fn connect(address: SocketAddr, source: Option<IpAddr>) -> io::Result<Stream> {
    if let Some(stream) = world::with(|world| world.connect(address)) {
        return stream.map(Stream::simulated);
    }
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if let Some(source) = source {
        net::bind(&socket, &SocketAddr::new(source, 0))?;
    }
    match net::connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(Stream::from_tcp(TcpStream::from(socket))),
        Err(e) => Err(e.into()),
    }
}
