//! The second connection of a full sync over two channels: the replica's end of it, from a greeting to the last byte of the
//! snapshot.
//!
//! It says what came; what that means for the link is decided in [`crate::replica`], which also knows the time-outs.

use std::collections::VecDeque;

use crate::messages::{EndOffset, LineBuffer, PsyncReply, TwoChannels, command, psync_command};
use crate::position::Position;
use crate::replica::LinkConfig;
use crate::transfer::{Item, PayloadReader};

/// The connection that a snapshot is fetched over.
#[derive(Debug)]
pub struct RdbChannel {
    how: TwoChannels,
    state: State,
}

/// ```text
/// Connecting ─→ Greeting ─→ Receiving
/// ```
#[derive(Debug)]
enum State {
    Connecting,
    Greeting {
        lines: LineBuffer,
        /// The replies that are still to come, in order.
        expected: VecDeque<Expected>,
    },
    Receiving(PayloadReader),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Auth,
    Replconf,
    /// Where the snapshot stands.
    Position,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The master knows who asks: send it this.
    Ask(Vec<u8>),
    /// The snapshot is exact here. `rdb_client` is this connection's id at the master, where the main connection must name it.
    Target {
        position: Position,
        rdb_client: Option<u64>,
    },
    Item(Item<'a>),
}

impl RdbChannel {
    pub fn new(how: TwoChannels) -> RdbChannel {
        RdbChannel { how, state: State::Connecting }
    }

    /// The connection is open. Returns what to send.
    pub fn connected(&mut self, config: &LinkConfig) -> Vec<u8> {
        let State::Connecting = self.state else { return Vec::new() };
        let (auth, port) = (config.auth_command(), config.shown.port.to_string());
        let mut expected = VecDeque::new();
        expected.extend(auth.as_ref().map(|_| Expected::Auth));
        expected.push_back(Expected::Replconf);
        self.state = State::Greeting { lines: LineBuffer::default(), expected };
        let mut words = vec!["REPLCONF", "capa", "eof", "rdb-only", "1", "rdb-channel", "1"];
        let main = match self.how {
            TwoChannels::DualChannel => None,
            TwoChannels::RdbChannel { main_client } => Some(main_client.to_string()),
        };
        words.extend(main.iter().flat_map(|main| ["main-ch-client-id", main]));
        words.extend(["listening-port", &port]);
        if let (TwoChannels::DualChannel, Some(version)) = (self.how, &config.shown.version) {
            words.extend(["version", version]);
        }
        let mut bytes = auth.unwrap_or_default();
        bytes.extend(command(&words));
        bytes
    }

    pub fn is_connecting(&self) -> bool {
        matches!(self.state, State::Connecting)
    }

    /// Whether the master has said where the snapshot stands.
    pub fn is_receiving(&self) -> bool {
        matches!(self.state, State::Receiving(_))
    }

    /// Takes what came next off the input; `None` needs more. The error is what the log should tell.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, String> {
        loop {
            match &mut self.state {
                State::Connecting => return Ok(None),
                State::Receiving(payload) => {
                    return payload.next(input).map(|item| item.map(Event::Item)).map_err(|error| error.to_string());
                }
                State::Greeting { lines, .. } => {
                    let too_long = |_| "The master sent a line without an end on the RDB channel".to_string();
                    let Some(line) = lines.next(input).map_err(too_long)? else { return Ok(None) };
                    // An empty line says that the master is there and the snapshot is not.
                    if !line.is_empty()
                        && let Some(event) = self.reply(&line)?
                    {
                        return Ok(Some(event));
                    }
                }
            }
        }
    }

    fn reply(&mut self, line: &[u8]) -> Result<Option<Event<'static>>, String> {
        let State::Greeting { expected, .. } = &mut self.state else { return Ok(None) };
        let text = String::from_utf8_lossy(line);
        match expected.pop_front() {
            Some(Expected::Auth | Expected::Replconf) if line.starts_with(b"-") => {
                return Err(format!("The RDB channel is refused by the master: {text}"));
            }
            Some(Expected::Auth | Expected::Replconf) => {}
            Some(Expected::Position) | None => {
                let target = self.target(line).ok_or_else(|| format!("Unexpected reply on the RDB channel: {text}"))?;
                self.state = State::Receiving(PayloadReader::default());
                return Ok(Some(target));
            }
        }
        if !expected.is_empty() {
            return Ok(None);
        }
        expected.push_back(Expected::Position);
        Ok(Some(Event::Ask(match self.how {
            TwoChannels::DualChannel => b"SYNC\r\n".to_vec(),
            TwoChannels::RdbChannel { .. } => psync_command(None, false),
        })))
    }

    fn target(&self, line: &[u8]) -> Option<Event<'static>> {
        match self.how {
            TwoChannels::DualChannel => EndOffset::parse(line)
                .map(|end| Event::Target { position: end.position, rdb_client: Some(end.rdb_client) }),
            TwoChannels::RdbChannel { .. } => match PsyncReply::parse(line) {
                PsyncReply::FullResync(position, _) => Some(Event::Target { position, rdb_client: None }),
                _ => None,
            },
        }
    }
}
