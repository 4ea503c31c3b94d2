//! A connection to the own server.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rivulet_client::{Reply, ReplyDecoder};
use rivulet_topology::{Ask, AskError};

/// A question is answered in this time, or the server is busy with something else.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// A reply that is larger is no answer to what the page asks.
const REPLY_BYTES_MAX: usize = 16 << 20;

pub struct Own {
    socket: UnixStream,
    decoder: ReplyDecoder,
}

impl Own {
    /// # Errors
    /// The socket takes no time limits.
    pub fn new(socket: UnixStream) -> io::Result<Own> {
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Own { socket, decoder: ReplyDecoder::default() })
    }

    /// Sends a command and waits for its reply, at most `patience` for each piece of it. An error reply is a reply.
    ///
    /// # Errors
    /// The connection has ended, or what came is no reply: it is of no use any more.
    pub fn ask(&mut self, words: &[&[u8]], patience: Duration) -> Result<Reply, String> {
        let mut bytes = Vec::new();
        rivulet_resp::append_command(&mut bytes, words.iter().copied());
        self.socket.set_read_timeout(Some(patience)).and_then(|()| self.socket.write_all(&bytes)).map_err(said)?;
        let mut piece = [0; 16 << 10];
        let mut read = 0;
        loop {
            if let Some(reply) = self.decoder.decode()? {
                return Ok(reply);
            }
            match self.socket.read(&mut piece).map_err(said)? {
                0 => return Err("the server has closed the connection".into()),
                n => {
                    self.decoder.feed(&piece[..n]);
                    read += n;
                }
            }
            if read > REPLY_BYTES_MAX {
                return Err("the reply is too large".into());
            }
        }
    }
}

fn said(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "the server does not answer in time".into(),
        _ => error.to_string(),
    }
}

/// A reply as a text.
pub fn text_of(reply: &Reply) -> Result<String, AskError> {
    let text = reply.text().into_owned();
    if reply.is_error() { Err(AskError::Refused(text)) } else { Ok(text) }
}

/// A reply as a list of maps of texts; what is no map is left out.
pub fn maps_of(reply: &Reply) -> Result<Vec<BTreeMap<String, String>>, AskError> {
    text_of(reply)?;
    let maps = reply.items().unwrap_or_default().iter().filter_map(Reply::pairs);
    Ok(maps
        .map(|pairs| pairs.into_iter().map(|(k, v)| (k.text().into_owned(), v.text().into_owned())).collect())
        .collect())
}

impl Ask for Own {
    fn text(&mut self, words: &[&str]) -> Result<String, AskError> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        text_of(&self.ask(&words, PATIENCE).map_err(AskError::Lost)?)
    }

    fn maps(&mut self, words: &[&str]) -> Result<Vec<BTreeMap<String, String>>, AskError> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        maps_of(&self.ask(&words, PATIENCE).map_err(AskError::Lost)?)
    }
}
