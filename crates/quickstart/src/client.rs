//! A small client: sends commands to a server on this machine and reads the simple kinds of replies.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use rivulet_resp::append_command;

/// A server that does not answer for so long is shown as silent.
const TIMEOUT: Duration = Duration::from_millis(400);
/// INFO is a few kilobytes.
const BULK_LEN_MAX: usize = 1 << 20;

pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(port: u16) -> io::Result<Client> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Client { stream: BufReader::new(stream) })
    }

    /// Sends a command and reads its reply. An error reply is an error.
    pub fn ask(&mut self, args: &[&str]) -> io::Result<String> {
        self.ask_all(&[args])?.pop().ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    /// Sends several commands at once and reads their replies.
    pub fn ask_all<A: AsRef<[S]>, S: AsRef<str>>(&mut self, commands: &[A]) -> io::Result<Vec<String>> {
        let mut bytes = Vec::new();
        for args in commands {
            append_command(&mut bytes, args.as_ref().iter().map(|a| a.as_ref().as_bytes()));
        }
        self.stream.get_mut().write_all(&bytes)?;
        commands.iter().map(|_| self.reply()).collect()
    }

    fn reply(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        (&mut self.stream).take(64 * 1024).read_until(b'\n', &mut line)?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let Some(line) = line.strip_suffix("\r\n") else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        let unexpected = || io::Error::other(format!("unexpected reply '{line}'"));
        match line.split_at_checked(1).ok_or_else(unexpected)? {
            ("+" | ":", text) => Ok(text.to_string()),
            ("-", text) => Err(io::Error::other(text.to_string())),
            ("$", "-1") => Ok(String::new()),
            ("$", len) => {
                let len = len.parse().ok().filter(|&len: &usize| len <= BULK_LEN_MAX).ok_or_else(unexpected)?;
                let mut bulk = vec![0; len + 2];
                self.stream.read_exact(&mut bulk)?;
                bulk.truncate(len);
                Ok(String::from_utf8_lossy(&bulk).into_owned())
            }
            _ => Err(unexpected()),
        }
    }
}
