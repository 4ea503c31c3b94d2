//! A link to an instance: a connection for commands, and one for its messages, which other Sentinels don't need.
//!
//! All masters that have a Sentinel in common share the link to it. What is written before a connection stands waits in the driver; a connection
//! that can't be made is one that is lost.

use std::collections::VecDeque;

use crate::answer::AnswerReader;

/// Names a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Names a connection; none is ever used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Who is meant: a master, or somebody of its set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    pub master: String,
    pub who: Who,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Master,
    /// By its label, `host:port`.
    Replica(String),
    /// Another Sentinel, by its id.
    Peer(String),
    /// A replica that was forgotten, by the label that it had.
    Forgotten(String),
}

impl At {
    pub fn master(name: &str) -> At {
        At { master: name.to_string(), who: Who::Master }
    }

    pub fn replica(name: &str, label: &str) -> At {
        At { master: name.to_string(), who: Who::Replica(label.to_string()) }
    }

    pub fn peer(name: &str, id: &str) -> At {
        At { master: name.to_string(), who: Who::Peer(id.to_string()) }
    }

    pub fn forgotten(name: &str, label: &str) -> At {
        At { master: name.to_string(), who: Who::Forgotten(label.to_string()) }
    }
}

/// What a reply will answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Nobody looks at the reply.
    Nothing,
    Ping,
    Info,
    Hello,
    /// Whether the master is down, and whom the other one votes for.
    IsDown,
    /// A new role was told: INFO will show it.
    Role,
    /// CLIENT PAUSE.
    Pause,
    /// INFO of a master that is paused: where it stands.
    Standing,
    /// REPLICATION FENCE.
    Fence,
    /// SUBSCRIBE: without it the connection is of no use.
    Subscribe,
}

/// A question that has not been answered.
#[derive(Clone, Debug)]
pub struct Asked {
    pub question: Question,
    pub at: At,
}

/// A connection that stands or is being made.
#[derive(Debug)]
pub struct Connection {
    pub id: ConnId,
    pub since_ms: u64,
    pub reader: AnswerReader,
    pub asked: VecDeque<Asked>,
    /// When the last message came.
    pub active_ms: u64,
    /// Our end's address, as others may reach us.
    pub local_ip: Option<String>,
}

impl Connection {
    pub fn new(id: ConnId, now_ms: u64) -> Connection {
        Connection {
            id,
            since_ms: now_ms,
            reader: AnswerReader::default(),
            asked: VecDeque::new(),
            // As in Redis: nothing was ever heard on it.
            active_ms: 0,
            local_ip: None,
        }
    }
}

/// Both connections, and what the pings tell.
#[derive(Debug)]
pub struct Link {
    /// How many instances use it.
    pub users: u32,
    pub commands: Option<Connection>,
    pub messages: Option<Connection>,
    /// One of the connections that are needed is missing.
    pub is_disconnected: bool,
    pub tried_ms: Option<u64>,
    /// Since when a ping has had no good answer. A link begins with one, so that who can't be reached is found to be down.
    pub ping_since_ms: Option<u64>,
    pub last_ping_ms: Option<u64>,
    /// The last good answer to a ping, and the last one at all.
    pub last_ok_ms: u64,
    pub last_pong_ms: u64,
}

impl Link {
    pub fn new(now_ms: u64) -> Link {
        Link {
            users: 1,
            commands: None,
            messages: None,
            is_disconnected: true,
            tried_ms: None,
            ping_since_ms: Some(now_ms),
            last_ping_ms: None,
            last_ok_ms: now_ms,
            last_pong_ms: now_ms,
        }
    }

    /// Questions without an answer.
    pub fn pending(&self) -> usize {
        self.commands.as_ref().map_or(0, |connection| connection.asked.len())
    }

    /// Whether such a question of this instance waits for its answer.
    pub fn has_asked(&self, question: Question, at: &At) -> bool {
        let asked = self.commands.iter().flat_map(|connection| &connection.asked);
        asked.into_iter().any(|asked| asked.question == question && asked.at == *at)
    }

    /// For how long nothing good was heard, as it counts for being down.
    pub fn silent_ms(&self, now_ms: u64) -> u64 {
        match self.ping_since_ms {
            Some(since) => now_ms.saturating_sub(since),
            None if self.is_disconnected => now_ms.saturating_sub(self.last_ok_ms),
            None => 0,
        }
    }

    /// Forgets what was learnt: the instance is looked at anew.
    pub fn start_over(&mut self, now_ms: u64) {
        self.ping_since_ms = Some(now_ms);
        self.last_ping_ms = None;
        self.last_ok_ms = now_ms;
        self.last_pong_ms = now_ms;
    }
}
