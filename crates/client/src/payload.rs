//! A snapshot on its way: `$<bytes>` and then so many, or `$EOF:<mark>` and then all bytes up to the mark.

use crate::{ClientError, Connection, Failure, Reply};

/// A mark has so many characters.
const MARK_LEN: usize = 40;
const READ_BYTES: usize = 64 * 1024;
/// A master that begins late sends newlines to be heard; no more than so many days of them.
const NEWLINES_MAX: usize = 1 << 20;

/// The bytes of a snapshot, read piece by piece from the connection that they come on.
pub struct Payload<'a> {
    connection: &'a mut Connection,
    framing: Framing,
    /// Bytes that have come and were not handed out: they may be the mark's beginning.
    held: Vec<u8>,
    taken: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Mark([u8; MARK_LEN]),
}

impl<'a> Payload<'a> {
    pub(crate) fn begin(connection: &'a mut Connection) -> Result<Payload<'a>, ClientError> {
        let line = header(connection)?;
        if let [b'-', words @ ..] = line.as_slice() {
            let reply = Box::new(Reply::Error(words.to_vec()));
            return Err(connection.error(Failure::Refused { command: "the snapshot", reply }));
        }
        let framing = framing(&line).ok_or_else(|| {
            connection.error(Failure::Protocol(format!("'{}' stands where a snapshot begins", line.escape_ascii())))
        })?;
        Ok(Payload { connection, framing, held: Vec::new(), taken: 0 })
    }

    /// How many bytes it has, if the master has said so.
    pub fn len(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(len) => Some(len),
            Framing::Mark(_) => None,
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// The next piece of it; nothing when all has been read.
    ///
    /// # Errors
    /// The connection fails before its end.
    pub fn next_piece(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        match self.framing {
            Framing::Length(len) => self.next_of(len),
            Framing::Mark(mark) => self.next_before(&mark),
        }
    }

    fn next_of(&mut self, len: u64) -> Result<Option<Vec<u8>>, ClientError> {
        let missing = len - self.taken;
        if missing == 0 {
            return Ok(None);
        }
        let mut piece = vec![0; READ_BYTES.min(usize::try_from(missing).unwrap_or(READ_BYTES))];
        let n = self.read(&mut piece)?;
        piece.truncate(n);
        self.taken += n as u64;
        Ok(Some(piece))
    }

    fn next_before(&mut self, mark: &[u8; MARK_LEN]) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            // What follows the mark is the stream, which a master begins only when it was acknowledged: the mark ends what has come.
            if self.held.ends_with(mark) {
                self.held.truncate(self.held.len() - MARK_LEN);
                self.framing = Framing::Length(self.taken + self.held.len() as u64);
            }
            let is_whole = matches!(self.framing, Framing::Length(_));
            let ready = if is_whole { self.held.len() } else { self.held.len().saturating_sub(MARK_LEN) };
            if ready > 0 || is_whole {
                let rest = self.held.split_off(ready);
                let piece = std::mem::replace(&mut self.held, rest);
                self.taken += piece.len() as u64;
                return Ok((!piece.is_empty()).then_some(piece));
            }
            let mut more = vec![0; READ_BYTES];
            let n = self.read(&mut more)?;
            self.held.extend_from_slice(&more[..n]);
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ClientError> {
        match self.connection.read_raw(buffer)? {
            0 => Err(self.connection.error(Failure::Closed)),
            n => Ok(n),
        }
    }
}

/// The line before the snapshot, without its end. Newlines that come first mean that it is being made.
fn header(connection: &mut Connection) -> Result<Vec<u8>, ClientError> {
    const LINE_LEN_MAX: usize = 4096;
    let (mut line, mut newlines) = (Vec::new(), 0);
    loop {
        let mut byte = [0];
        if connection.read_raw(&mut byte)? == 0 {
            return Err(connection.error(Failure::Closed));
        }
        match byte[0] {
            b'\n' if line.is_empty() && newlines < NEWLINES_MAX => newlines += 1,
            b'\n' => break,
            byte if line.len() < LINE_LEN_MAX => line.push(byte),
            _ => return Err(connection.error(Failure::Protocol("a line is too long".into()))),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}

fn framing(line: &[u8]) -> Option<Framing> {
    let text = line.strip_prefix(b"$")?;
    if let Some(mark) = text.strip_prefix(b"EOF:") {
        return mark.try_into().ok().map(Framing::Mark);
    }
    std::str::from_utf8(text).ok()?.parse().ok().map(Framing::Length)
}
