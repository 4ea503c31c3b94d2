//! Questions to a server on this machine whose answers are simple: an error that it replies is an error here.

use std::io;
use std::time::Duration;

use rivulet_client::{Address, Connection, Reply, Timeouts};

/// A server that does not answer for so long is shown as silent.
const TIMEOUT: Duration = Duration::from_millis(400);

pub struct Client(Connection);

impl Client {
    pub fn connect(port: u16) -> io::Result<Client> {
        Ok(Client(Connection::connect(&Address::tcp("127.0.0.1", port), None, &Timeouts::all(TIMEOUT))?))
    }

    /// Sends a command and reads its reply. An error reply is an error.
    pub fn ask(&mut self, args: &[&str]) -> io::Result<String> {
        text(self.0.ask(args)?)
    }

    /// Sends a command whose reply is a list of texts.
    pub fn ask_list(&mut self, args: &[&str]) -> io::Result<Vec<String>> {
        let reply = self.0.ask(args)?;
        match reply.items() {
            Some(items) => Ok(items.iter().map(|item| item.text().into_owned()).collect()),
            None => Err(io::Error::other(reply.text().into_owned())),
        }
    }

    /// Sends several commands at once and reads their replies.
    pub fn ask_all<A: AsRef<[S]>, S: AsRef<str>>(&mut self, commands: &[A]) -> io::Result<Vec<String>> {
        let commands: Vec<Vec<&[u8]>> =
            commands.iter().map(|args| args.as_ref().iter().map(|arg| arg.as_ref().as_bytes()).collect()).collect();
        self.0.ask_all(&commands)?.into_iter().map(text).collect()
    }
}

fn text(reply: Reply) -> io::Result<String> {
    if reply.is_error() { Err(io::Error::other(reply.text().into_owned())) } else { Ok(reply.text().into_owned()) }
}
