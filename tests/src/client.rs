//! A small client: RESP2 and RESP3, one connection, pipelines.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::tls;

/// One reply, as it stood on the wire.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reply {
    /// A line of kind `+`, `-`, `,`, `#` or `(`.
    Line(u8, Vec<u8>),
    Int(i64),
    /// A string of kind `$`, `=` or `!`.
    Bulk(u8, Vec<u8>),
    /// Nothing, as `$-1`, `*-1` or `_`.
    Nil(u8),
    /// Several replies of kind `*`, `~`, `%` or `>`; a map's keys and values follow each other.
    Many(u8, Vec<Reply>),
}

impl Reply {
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Line(b'-', _))
    }

    pub fn is_ok(&self) -> bool {
        *self == Self::Line(b'+', b"OK".to_vec())
    }

    /// The bytes of a string or line.
    #[track_caller]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Line(_, bytes) | Self::Bulk(_, bytes) => bytes,
            other => panic!("not a string: {other:?}"),
        }
    }

    #[track_caller]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    #[track_caller]
    pub fn int(&self) -> i64 {
        match self {
            Self::Int(value) => *value,
            other => panic!("not an integer: {other:?}"),
        }
    }

    #[track_caller]
    pub fn items(&self) -> &[Reply] {
        match self {
            Self::Many(_, items) => items,
            other => panic!("not several: {other:?}"),
        }
    }

    /// A value of a map, by name.
    pub fn field(&self, name: &str) -> Option<&Reply> {
        self.items().chunks(2).find(|pair| pair[0].text() == name).map(|pair| &pair[1])
    }
}

/// Bytes for people: what is not printable is escaped.
pub fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(300)];
    let more = if cut.len() < bytes.len() { format!("… ({} bytes)", bytes.len()) } else { String::new() };
    format!("\"{}\"{more}", cut.escape_ascii())
}

/// A command line for people, that redis-cli takes as well.
pub fn shown_command(args: &[Vec<u8>]) -> String {
    let plain =
        |a: &[u8]| !a.is_empty() && a.iter().all(|c| c.is_ascii_graphic() && !b"\"'\\".contains(c)) && a.len() < 300;
    let words: Vec<String> =
        args.iter().map(|a| if plain(a) { String::from_utf8_lossy(a).into_owned() } else { shown(a) }).collect();
    words.join(" ")
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(kind, text) => write!(f, "{}{}", char::from(*kind), String::from_utf8_lossy(text)),
            Self::Int(value) => write!(f, ":{value}"),
            Self::Bulk(b'$', bytes) => write!(f, "{}", shown(bytes)),
            Self::Bulk(kind, bytes) => write!(f, "{}{}", char::from(*kind), shown(bytes)),
            Self::Nil(kind) => write!(f, "nil{}", char::from(*kind)),
            Self::Many(kind, items) => {
                write!(f, "{}", char::from(*kind))?;
                f.debug_list().entries(items).finish()
            }
        }
    }
}

/// What a command is made of.
pub trait Words {
    fn words(&self) -> Vec<Vec<u8>>;
}

/// A line; its words are between blanks.
impl Words for str {
    fn words(&self) -> Vec<Vec<u8>> {
        self.split_ascii_whitespace().map(|w| w.as_bytes().to_vec()).collect()
    }
}

impl Words for String {
    fn words(&self) -> Vec<Vec<u8>> {
        self.as_str().words()
    }
}

impl Words for [&[u8]] {
    fn words(&self) -> Vec<Vec<u8>> {
        self.iter().map(|w| w.to_vec()).collect()
    }
}

impl<const N: usize> Words for [&[u8]; N] {
    fn words(&self) -> Vec<Vec<u8>> {
        self.as_slice().words()
    }
}

impl<const N: usize> Words for [&str; N] {
    fn words(&self) -> Vec<Vec<u8>> {
        self.iter().map(|w| w.as_bytes().to_vec()).collect()
    }
}

impl Words for Vec<Vec<u8>> {
    fn words(&self) -> Vec<Vec<u8>> {
        self.clone()
    }
}

/// What a client speaks over.
enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

pub struct Client {
    socket: BufReader<Wire>,
    out: Vec<u8>,
}

impl Client {
    pub fn connect(port: u16) -> std::io::Result<Self> {
        let socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { socket: BufReader::with_capacity(1 << 16, Wire::Plain(socket)), out: Vec::new() })
    }

    /// The same over TLS, with the handshake done.
    pub fn connect_tls(port: u16, config: &Arc<ClientConfig>) -> std::io::Result<Self> {
        let mut client = Self::connect(port)?;
        let socket = client.socket().try_clone()?;
        let mut stream = StreamOwned::new(tls::session(config), socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        client.socket = BufReader::with_capacity(1 << 16, Wire::Tls(Box::new(stream)));
        Ok(client)
    }

    /// The session, of a client over TLS.
    pub fn tls(&mut self) -> &mut ClientConnection {
        match self.socket.get_mut() {
            Wire::Tls(stream) => &mut stream.conn,
            Wire::Plain(_) => panic!("it is no client over TLS"),
        }
    }

    /// Adds a command to those that the next `flush` sends.
    pub fn add(&mut self, command: &(impl Words + ?Sized)) {
        self.add_words(&command.words());
    }

    pub fn add_words(&mut self, words: &[Vec<u8>]) {
        let _ = write!(self.out, "*{}\r\n", words.len());
        for word in words {
            let _ = write!(self.out, "${}\r\n", word.len());
            self.out.extend_from_slice(word);
            self.out.extend_from_slice(b"\r\n");
        }
    }

    pub fn flush(&mut self) -> std::io::Result<()> {
        let wire = self.socket.get_mut();
        let sent = wire.write_all(&self.out).and_then(|()| wire.flush());
        self.out.clear();
        sent
    }

    /// The connection itself, of which nothing may have been read ahead.
    pub fn socket(&mut self) -> &mut TcpStream {
        assert!(self.socket.buffer().is_empty(), "there are bytes that were read ahead");
        match self.socket.get_mut() {
            Wire::Plain(socket) => socket,
            Wire::Tls(stream) => &mut stream.sock,
        }
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let wire = self.socket.get_mut();
        wire.write_all(bytes).and_then(|()| wire.flush())
    }

    /// Sends a command and reads its reply.
    pub fn try_call(&mut self, command: &(impl Words + ?Sized)) -> std::io::Result<Reply> {
        self.add(command);
        self.flush()?;
        self.read()
    }

    #[track_caller]
    pub fn call(&mut self, command: &(impl Words + ?Sized)) -> Reply {
        let words = command.words();
        self.try_call(&words).unwrap_or_else(|e| panic!("{}: {e}", shown_command(&words)))
    }

    /// A command that must not fail.
    #[track_caller]
    pub fn must(&mut self, command: &(impl Words + ?Sized)) -> Reply {
        let reply = self.call(command);
        assert!(!reply.is_error(), "{}: {reply:?}", shown_command(&command.words()));
        reply
    }

    /// Sends all commands in one piece; answers their replies.
    #[track_caller]
    pub fn pipeline(&mut self, commands: &[Vec<Vec<u8>>]) -> Vec<Reply> {
        commands.iter().for_each(|c| self.add_words(c));
        self.flush().expect("the server reads");
        commands.iter().map(|c| self.read().unwrap_or_else(|e| panic!("{}: {e}", shown_command(c)))).collect()
    }

    /// Reads one reply.
    pub fn read(&mut self) -> std::io::Result<Reply> {
        let line = self.line()?;
        let bad = || std::io::Error::other(format!("not a reply: {}", shown(&line)));
        let (&kind, rest) = line.split_first().ok_or_else(bad)?;
        let number = || std::str::from_utf8(rest).ok().and_then(|t| t.parse::<i64>().ok()).ok_or_else(bad);
        Ok(match kind {
            b'+' | b'-' | b',' | b'#' | b'(' => Reply::Line(kind, rest.to_vec()),
            b':' => Reply::Int(number()?),
            b'_' => Reply::Nil(kind),
            b'$' | b'=' | b'!' => match number()? {
                -1 => Reply::Nil(kind),
                len => Reply::Bulk(kind, self.exact(len as usize)?),
            },
            b'*' | b'~' | b'>' | b'%' => match number()? {
                -1 => Reply::Nil(kind),
                len => {
                    let count = if kind == b'%' { len * 2 } else { len };
                    Reply::Many(kind, (0..count).map(|_| self.read()).collect::<Result<_, _>>()?)
                }
            },
            _ => return Err(bad()),
        })
    }

    /// Reads a line without its end.
    pub fn line(&mut self) -> std::io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.socket.read_until(b'\n', &mut line)?;
        match line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n")) {
            Some(text) => Ok(text.to_vec()),
            None => Err(std::io::Error::other("the connection is closed")),
        }
    }

    fn exact(&mut self, len: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; len + 2];
        self.socket.read_exact(&mut bytes)?;
        bytes.truncate(len);
        Ok(bytes)
    }
}
