//! A client that looks at a server: where it stands, and what it holds there.

use crate::client::{Client, Reply};
use crate::machine::Shared;
use crate::network::{HostId, host_at};

/// What a server says of itself at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    pub at_us: u64,
    /// Whoever looks asked then.
    pub asked_us: u64,
    pub server: HostId,
    pub digest: String,
    pub id: String,
    pub offset: u64,
    pub is_master: bool,
    /// Whom it follows.
    pub master: Option<HostId>,
    /// So many bytes it shares with those that go on with its former id.
    pub shared: Option<u64>,
    /// A replica whose master is there, and which has caught up with the snapshot.
    pub link_up: bool,
    /// What it holds is not what its position says: it is between two states.
    pub loads: bool,
    /// It knows that what it holds is not what its position says.
    pub diverged: bool,
    /// Bytes that wait for the append-only file, and that are held for slow replicas.
    pub queued: u64,
    pub held: u64,
    /// So many replicas it has cut off because too much was held for them.
    pub cut_off: u64,
    /// What its last synchronization was, with the bytes and the time that it took, which tell it from the one before.
    pub last_sync: String,
}

pub struct Observer {
    pub client: Client,
    replies: Vec<Reply>,
    next_us: u64,
    asked_us: u64,
}

/// Replies of one look.
const REPLIES: usize = 3;
/// Who has not answered for so long is asked anew.
const PATIENCE_US: u64 = 10_000_000;

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

impl Observer {
    pub fn new(host: HostId, server: HostId) -> Observer {
        Observer { client: Client::new(host, server), replies: Vec::new(), next_us: 0, asked_us: 0 }
    }

    /// What was seen, if a look has ended well.
    pub fn tick(&mut self, shared: &Shared, period_us: u64) -> Option<Sight> {
        let now_us = shared.now_us.get();
        match self.client.poll(shared) {
            Ok(more) => self.replies.extend(more),
            Err(_) => {
                self.client.hang_up(shared);
                self.replies.clear();
                self.next_us = now_us + 50_000;
            }
        }
        let mut sight = None;
        if self.replies.len() >= REPLIES {
            sight = self.sight(now_us);
            self.replies.clear();
            self.next_us = now_us + period_us;
        }
        if self.client.outstanding > 0 && now_us > self.client.asked_us + PATIENCE_US {
            self.client.hang_up(shared);
            self.replies.clear();
        }
        if self.client.outstanding == 0 && now_us >= self.next_us {
            self.asked_us = now_us;
            // What these sections show does not depend on the real machine.
            self.client.ask(&["INFO", "replication", "persistence", "stats"], shared);
            self.client.ask(&["DEBUG", "DIGEST"], shared);
            self.client.ask(&["INFO", "replication"], shared);
        }
        sight
    }

    fn sight(&self, at_us: u64) -> Option<Sight> {
        let [before, digest, after] = self.replies.as_slice() else { return None };
        if self.replies.iter().any(Reply::is_error) {
            return None;
        }
        let (info, after) = (before.text(), after.text());
        let is_still = |name: &str| field(&info, name) == field(&after, name);
        if !["role", "master_replid", "master_repl_offset"].into_iter().all(is_still) {
            return None;
        }
        let is_master = field(&info, "role") == Some("master");
        let syncs = field(&info, "master_sync_in_progress").is_some_and(|n| n != "0");
        let loads = ["loading", "async_loading"].iter().any(|name| field(&info, name).is_some_and(|n| n != "0"));
        Some(Sight {
            at_us,
            asked_us: self.asked_us,
            server: self.client.server,
            digest: digest.text(),
            id: field(&info, "master_replid")?.to_string(),
            offset: field(&info, "master_repl_offset")?.parse().ok()?,
            is_master,
            master: field(&info, "master_host").and_then(host_at),
            shared: field(&info, "second_repl_offset").and_then(|n| n.parse::<u64>().ok()?.checked_sub(1)),
            link_up: field(&info, "master_link_status") == Some("up"),
            // Who has no backlog gives nobody a position to go on from.
            loads: loads || syncs || is_master && field(&info, "repl_backlog_active") != Some("1"),
            diverged: field(&info, "diverged").is_some_and(|n| n != "0"),
            last_sync: field(&info, "last_sync").unwrap_or_default().to_string(),
            queued: field(&info, "aof_buffer_length").map_or(Some(0), |n| n.parse().ok())?,
            held: field(&info, "repl_hold_bytes")?.parse().ok()?,
            cut_off: field(&info, "repl_hold_disconnections")?.parse().ok()?,
        })
    }
}
