//! TLS, as one more kind of stream: plaintext on the caller's side, records on the socket's.
//!
//! A `TlsStream` keeps the contract of the sockets beside it. What it has read it has decrypted, and hands out at once, so that a silent socket means
//! that nothing waits (but see [`crate::Stream::has_more`]). A write that the socket took in part is taken for unsent: the caller comes again with the
//! same bytes, as after any short write, and is told then. It reads no file and knows no directive: [`TlsContext`] is made of what others read.

mod certificate;
mod ciphers;
mod client;
mod context;
mod keys;
mod pem;
mod sessions;
#[cfg(test)]
mod tests;
mod verify;

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, ReadTraffic, UnbufferedStatus};
use rustls::{ClientConfig, ServerConfig};

pub use client::{ClientTls, ClientTlsSettings};
pub use context::{BlockingTls, ClientAuth, Credentials, TlsContext, TlsError, TlsSettings};

/// Records begin with one of these.
const RECORD_KINDS: std::ops::RangeInclusive<u8> = 20..=23;
/// The most that a record has on the wire (RFC 5246: 2^14 + 2048, and a header).
const RECORD_BYTES_MAX: usize = 5 + (1 << 14) + 2048;
/// Bytes of records that one read asks for, at most.
const READ_BYTES: usize = 128 * 1024;
/// Bytes of records that may wait for their rest: a record, or the pieces of a long message of the handshake.
const INCOMING_BYTES_MAX: usize = 48 * 1024;
/// Bytes that are encrypted before the socket is offered them.
const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes that one write takes, at most: a reader that is as fast as the writer must not keep it.
const WRITE_BYTES_MAX: usize = 1 << 20;

/// A TCP connection with TLS on it, non-blocking.
pub(crate) struct TlsStream {
    socket: TcpStream,
    session: Session,
    /// The beginning of a record, or of a message of the handshake.
    incoming: Vec<u8>,
    /// What was decrypted when nobody asked for it.
    plain: Vec<u8>,
    /// Records that the socket has not taken, and how many of their bytes it has.
    outgoing: Vec<u8>,
    sent: usize,
    /// So many bytes of the caller's are in `outgoing`, or have left from there, and the caller was not told.
    owed: usize,
    end: Option<End>,
}

/// Why nothing more comes.
enum End {
    /// The other end said so, or closed the socket.
    Closed,
    Failed(String),
}

impl End {
    fn error(&self) -> io::Error {
        match self {
            End::Closed => io::ErrorKind::UnexpectedEof.into(),
            End::Failed(text) => io::Error::other(text.clone()),
        }
    }
}

enum Session {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What is to be done with a session beside the records that have come.
#[derive(Clone, Copy)]
enum Wish<'a> {
    Nothing,
    Encrypt(&'a [u8]),
    Close,
}

/// How a session stands after a step.
enum Stand {
    /// There may be more to do.
    Again,
    /// It wants more records.
    Waits,
    /// The other end sends nothing more.
    Closed,
    /// The wish was done.
    Done,
}

/// Records on their way to the socket, in a buffer whose bytes are set once.
#[derive(Default)]
struct Records {
    buffer: Vec<u8>,
    len: usize,
}

impl Records {
    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.len]
    }

    /// Room for so many bytes.
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        if self.buffer.len() < self.len + bytes {
            self.buffer.resize(self.len + bytes, 0);
        }
        &mut self.buffer[self.len..]
    }
}

/// What all streams of a thread use while they are read or written.
#[derive(Default)]
struct Scratch {
    read: Vec<u8>,
    records: Records,
    gathered: Vec<u8>,
}

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

fn with_scratch<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
    let mut scratch = SCRATCH.take();
    let result = work(&mut scratch);
    SCRATCH.set(scratch);
    result
}

impl TlsStream {
    /// The server's end of an accepted connection. The handshake follows ([`TlsStream::handshake`]).
    ///
    /// # Errors
    /// The configuration does not allow any handshake.
    pub(crate) fn server(socket: TcpStream, config: Arc<ServerConfig>) -> io::Result<TlsStream> {
        let session = UnbufferedServerConnection::new(config).map_err(io::Error::other)?;
        Ok(TlsStream::new(socket, Session::Server(session)))
    }

    /// The client's end of a connection to an address, made or being made.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn client(
        socket: TcpStream,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<TlsStream> {
        let session = UnbufferedClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(TlsStream::new(socket, Session::Client(session)))
    }

    fn new(socket: TcpStream, session: Session) -> TlsStream {
        TlsStream {
            socket,
            session,
            incoming: Vec::new(),
            plain: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            owed: 0,
            end: None,
        }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Goes on with the handshake as far as it gets; answers whether it is done.
    ///
    /// # Errors
    /// It failed: the other end was told why, if its socket took that. `UnexpectedEof` if the other end has gone.
    pub(crate) fn handshake(&mut self) -> io::Result<bool> {
        if self.end.is_none() && self.is_handshaking() {
            let mut plain = std::mem::take(&mut self.plain);
            let received = with_scratch(|scratch| self.receive(scratch, &mut plain, READ_BYTES));
            self.plain = plain;
            received?;
        }
        match &self.end {
            Some(end) if self.is_handshaking() => Err(end.error()),
            _ => {
                self.flush()?;
                Ok(!self.is_handshaking())
            }
        }
    }

    /// The common name of the other end's certificate, if it has shown one and that was found good.
    pub(crate) fn peer_name(&self) -> Option<&[u8]> {
        let shown = match &self.session {
            Session::Server(session) => session.peer_certificates(),
            Session::Client(session) => session.peer_certificates(),
        };
        certificate::Certificate::parse(shown?.first()?)?.common_name()
    }

    /// Whether a read has something to tell though the socket may be silent: bytes, or that nothing more comes.
    pub(crate) fn has_more(&self) -> bool {
        !self.plain.is_empty() || self.end.is_some()
    }

    /// As [`crate::Stream::read_into`]; there may be more bytes than `max` by one record.
    pub(crate) fn read_into(&mut self, buffer: &mut Vec<u8>, max: usize) -> io::Result<Option<usize>> {
        if !self.plain.is_empty() {
            buffer.extend_from_slice(&self.plain);
            return Ok(Some(std::mem::take(&mut self.plain).len()));
        }
        let before = buffer.len();
        if self.end.is_none() {
            with_scratch(|scratch| self.receive(scratch, buffer, max))?;
        }
        match (buffer.len() - before, &self.end) {
            (0, Some(end)) => Err(end.error()),
            (0, None) => Ok(None),
            (n, _) => Ok(Some(n)),
        }
    }

    /// As [`crate::Stream::read`].
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        if self.plain.is_empty() {
            let mut plain = Vec::new();
            let read = self.read_into(&mut plain, buffer.len());
            self.plain = plain;
            if !matches!(read, Ok(Some(_))) {
                return read;
            }
        }
        let n = self.plain.len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.plain[..n]);
        self.plain.drain(..n);
        Ok(Some(n))
    }

    /// Reads from the socket once, and goes through all records that are whole.
    fn receive(&mut self, scratch: &mut Scratch, plain: &mut Vec<u8>, max: usize) -> io::Result<()> {
        let kept = self.incoming.len();
        let asked = max.clamp(RECORD_BYTES_MAX, READ_BYTES);
        if scratch.read.len() < kept + asked {
            scratch.read.resize(kept + asked, 0);
        }
        scratch.read[..kept].copy_from_slice(&self.incoming);
        let read = match rustix::io::read(&self.socket, &mut scratch.read[kept..kept + asked]) {
            Ok(0) => {
                self.end = Some(End::Closed);
                return Ok(());
            }
            Ok(n) => n,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => 0,
            Err(e) => return Err(e.into()),
        };
        scratch.records.len = 0;
        let used = self.go_through(&mut scratch.read[..kept + read], plain, &mut scratch.records);
        self.incoming.clear();
        let rest = &scratch.read[used..kept + read];
        if rest.len() > INCOMING_BYTES_MAX && self.end.is_none() {
            self.end = Some(End::Failed("a message of the handshake is too long".to_string()));
        }
        match rest.is_empty() {
            true => self.incoming = Vec::new(),
            false => self.incoming.extend_from_slice(rest),
        }
        self.outgoing.extend_from_slice(scratch.records.bytes());
        // Whoever broke the rules need not take what it is told of that.
        let flushed = self.flush();
        if self.end.is_none() { flushed.map(|_| ()) } else { Ok(()) }
    }

    /// Goes through records; answers how many of their bytes are done with.
    fn go_through(&mut self, bytes: &mut [u8], plain: &mut Vec<u8>, records: &mut Records) -> usize {
        let mut used = 0;
        loop {
            let (discard, stand) = self.session.step(&mut bytes[used..], Wish::Nothing, plain, records);
            used += discard;
            match stand {
                Ok(Stand::Again) => {}
                Ok(Stand::Closed) => self.end = Some(End::Closed),
                Ok(Stand::Waits | Stand::Done) => break,
                Err(text) => {
                    self.end = Some(End::Failed(text));
                    // The alert that tells the other end, if that speaks TLS. Without one a step would go on with what is wrong.
                    if self.session.wants_write() && bytes.get(used).is_none_or(|kind| RECORD_KINDS.contains(kind)) {
                        let _ = self.session.step(&mut bytes[used..], Wish::Nothing, plain, records);
                    }
                    break;
                }
            }
        }
        used
    }

    /// As [`crate::Stream::write`]. Whoever is told of fewer bytes than it gave comes again with the others; they may be in records by then.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        with_scratch(|scratch| self.write_chunks(bytes, &mut scratch.records))
    }

    /// The same for several slices: small ones share a record.
    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [] => Ok(0),
            [only] => self.write(only),
            [first, ..] if first.len() >= CHUNK_BYTES => self.write(first),
            _ => {
                let mut gathered = with_scratch(|scratch| std::mem::take(&mut scratch.gathered));
                gathered.clear();
                for slice in slices {
                    let room = CHUNK_BYTES - gathered.len();
                    gathered.extend_from_slice(&slice[..slice.len().min(room)]);
                }
                let taken = self.write(&gathered);
                with_scratch(|scratch| scratch.gathered = gathered);
                taken
            }
        }
    }

    fn write_chunks(&mut self, bytes: &[u8], records: &mut Records) -> io::Result<usize> {
        if let Some(End::Failed(text)) = &self.end {
            return Err(io::Error::other(text.clone()));
        }
        if self.is_handshaking() || !self.flush()? {
            return Ok(0);
        }
        let mut taken = self.owed.min(bytes.len());
        self.owed -= taken;
        let end = bytes.len().min(WRITE_BYTES_MAX.max(taken));
        while taken < end {
            let chunk = &bytes[taken..end.min(taken + CHUNK_BYTES)];
            records.len = 0;
            self.carry_out(Wish::Encrypt(chunk), records)?;
            let sent = send(&self.socket, records.bytes())?;
            if sent < records.len {
                self.outgoing.extend_from_slice(&records.bytes()[sent..]);
                self.owed = chunk.len();
                break;
            }
            taken += chunk.len();
        }
        Ok(taken)
    }

    /// Makes records of a wish.
    fn carry_out(&mut self, wish: Wish<'_>, records: &mut Records) -> io::Result<()> {
        loop {
            // What has come of a record is shown to the session with each step: it remembers where it stopped in that.
            let (discard, stand) = self.session.step(&mut self.incoming, wish, &mut self.plain, records);
            self.incoming.drain(..discard);
            match stand.map_err(io::Error::other)? {
                Stand::Again => {}
                Stand::Closed => self.end = Some(End::Closed),
                Stand::Done => return Ok(()),
                Stand::Waits => return Err(io::Error::other("the session takes no data")),
            }
        }
    }

    /// Sends records that wait; answers whether all have left.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        if self.outgoing.is_empty() {
            return Ok(true);
        }
        self.sent += send(&self.socket, &self.outgoing[self.sent..])?;
        if self.sent < self.outgoing.len() {
            return Ok(false);
        }
        self.sent = 0;
        self.outgoing = Vec::new();
        Ok(true)
    }

    /// Another process goes on with the connection: nothing is sent by this one, whose records would have the same numbers.
    pub(crate) fn forget(&mut self) {
        self.outgoing = Vec::new();
        self.sent = 0;
        self.end = Some(End::Failed("another process has the connection".to_string()));
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.outgoing.is_empty()
    }
}

impl Drop for TlsStream {
    /// Tells the other end that nothing follows, if the socket takes it now.
    fn drop(&mut self) {
        if self.is_handshaking() || matches!(self.end, Some(End::Failed(_))) || !self.flush().unwrap_or(false) {
            return;
        }
        let mut records = Records::default();
        if self.carry_out(Wish::Close, &mut records).is_ok() {
            // Nobody is left who would send the rest.
            let _ = send(&self.socket, records.bytes());
        }
    }
}

impl Session {
    fn is_handshaking(&self) -> bool {
        match self {
            Session::Server(session) => session.is_handshaking(),
            Session::Client(session) => session.is_handshaking(),
        }
    }

    fn wants_write(&self) -> bool {
        match self {
            Session::Server(session) => session.wants_write(),
            Session::Client(session) => session.wants_write(),
        }
    }

    /// One step. Answers how many bytes it is done with, and where the session stands, or the text of what is wrong.
    fn step(
        &mut self,
        bytes: &mut [u8],
        wish: Wish<'_>,
        plain: &mut Vec<u8>,
        records: &mut Records,
    ) -> (usize, Result<Stand, String>) {
        match self {
            Session::Server(session) => take_step(session.process_tls_records(bytes), wish, plain, records),
            Session::Client(session) => take_step(session.process_tls_records(bytes), wish, plain, records),
        }
    }
}

fn take_step<D>(
    status: UnbufferedStatus<'_, '_, D>,
    wish: Wish<'_>,
    plain: &mut Vec<u8>,
    records: &mut Records,
) -> (usize, Result<Stand, String>) {
    let stand = match status.state {
        Err(error) => Err(error.to_string()),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => take_records(&mut traffic, plain),
        Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, records),
        Ok(ConnectionState::TransmitTlsData(data)) => {
            // They leave in the order in which they were made, whenever the socket takes them.
            data.done();
            Ok(Stand::Again)
        }
        Ok(ConnectionState::WriteTraffic(mut traffic)) => match wish {
            Wish::Nothing => Ok(Stand::Done),
            Wish::Encrypt(bytes) => fit(records, records_len(bytes.len()), |room| traffic.encrypt(bytes, room)),
            Wish::Close => fit(records, records_len(0), |room| traffic.queue_close_notify(room)),
        },
        Ok(ConnectionState::PeerClosed) => Ok(Stand::Closed),
        // Data before the end of the handshake are not offered; what is new in the library is not asked for.
        Ok(_) => Ok(Stand::Waits),
    };
    (status.discard, stand)
}

fn take_records<D>(traffic: &mut ReadTraffic<'_, '_, D>, plain: &mut Vec<u8>) -> Result<Stand, String> {
    while let Some(record) = traffic.next_record() {
        let payload = record.map_err(|error| error.to_string())?.payload;
        if plain.capacity() - plain.len() < payload.len() {
            // The buffer of a large argument has just the room for it.
            plain.reserve_exact(payload.len());
        }
        plain.extend_from_slice(payload);
    }
    Ok(Stand::Again)
}

fn encode<D>(data: &mut EncodeTlsData<'_, D>, records: &mut Records) -> Result<Stand, String> {
    let mut wanted = RECORD_BYTES_MAX;
    for _ in 0..2 {
        match data.encode(records.room(wanted)) {
            Ok(n) => {
                records.len += n;
                break;
            }
            Err(EncodeError::InsufficientSize(error)) => wanted = error.required_size,
            Err(EncodeError::AlreadyEncoded) => break,
        }
    }
    Ok(Stand::Again)
}

/// Room for the records of so many bytes, and for a small one of the session's own.
fn records_len(bytes: usize) -> usize {
    const OVERHEAD_MAX: usize = 64;
    bytes + (bytes / (1 << 14) + 2) * OVERHEAD_MAX
}

/// Makes records where there is room; asks for more room once.
fn fit(
    records: &mut Records,
    bytes: usize,
    mut make: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<Stand, String> {
    let mut made = make(records.room(bytes));
    if let Err(EncryptError::InsufficientSize(error)) = &made {
        made = make(records.room(error.required_size));
    }
    records.len += made.map_err(|error| error.to_string())?;
    Ok(Stand::Done)
}

/// Gives the socket what it takes.
fn send(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match rustix::io::write(socket, &bytes[sent..]) {
            Ok(n) => sent += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => break,
            Err(e) => return Err(e.into()),
        }
    }
    Ok(sent)
}
