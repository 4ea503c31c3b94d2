//! The log of what was denied (ACL LOG).
//!
//! Events that are alike and close in time are one entry that counts. It knows no clock: times are unix ms that are passed in.

use std::collections::VecDeque;

/// Why something was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Command,
    Key,
    Channel,
    /// A login failed.
    Auth,
    /// A certificate names nobody who can log in.
    Certificate,
}

impl Reason {
    pub fn name(self) -> &'static str {
        match self {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
            Reason::Auth => "auth",
            Reason::Certificate => "tls-cert",
        }
    }
}

/// Where it was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    TopLevel,
    Multi,
    Script,
}

impl Context {
    pub fn name(self) -> &'static str {
        match self {
            Context::TopLevel => "toplevel",
            Context::Multi => "multi",
            Context::Script => "lua",
        }
    }
}

/// Something that was denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub reason: Reason,
    pub context: Context,
    /// The command, key or channel; for a login the command that tried it. Of a long one the beginning is kept.
    pub object: Vec<u8>,
    pub user: Vec<u8>,
    /// The client, as CLIENT LIST shows it.
    pub client: String,
}

/// Events that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Entries are numbered from 0 on, also over a reset.
    pub id: u64,
    pub count: u64,
    pub created_ms: u64,
    pub updated_ms: u64,
    /// The last of them.
    pub event: Event,
}

/// The latest entries, the newest first.
#[derive(Clone, Debug, Default)]
pub struct Log {
    entries: VecDeque<Entry>,
    next_id: u64,
}

/// Bytes that are kept of an object's name: a key may be as long as a client can send.
pub const OBJECT_LEN_MAX: usize = 1024;
/// Events further apart than this are not one entry.
const GROUPING_MS: u64 = 60_000;
/// So many entries are looked at for one that is alike.
const LOOKED_AT: usize = 10;

impl Log {
    /// Adds an event at a time, and keeps at most `len_max` entries.
    pub fn add(&mut self, mut event: Event, now_ms: u64, len_max: usize) {
        event.object.truncate(OBJECT_LEN_MAX);
        let is_like = |entry: &Entry| {
            let of = |e: &Event| (e.reason, e.context);
            of(&entry.event) == of(&event)
                && entry.updated_ms.abs_diff(now_ms) <= GROUPING_MS
                && entry.event.object == event.object
                && entry.event.user == event.user
        };
        let like = self.entries.iter().take(LOOKED_AT).position(is_like);
        if let Some(mut entry) = like.and_then(|at| self.entries.remove(at)) {
            entry.count += 1;
            (entry.updated_ms, entry.event.client) = (now_ms, event.client);
            self.entries.push_front(entry);
            return;
        }
        self.entries.push_front(Entry { id: self.next_id, count: 1, created_ms: now_ms, updated_ms: now_ms, event });
        self.next_id += 1;
        self.entries.truncate(len_max);
    }

    pub fn reset(&mut self) {
        self.entries.clear();
    }

    /// The newest entries first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(object: &str) -> Event {
        Event {
            reason: Reason::Key,
            context: Context::TopLevel,
            object: object.into(),
            user: b"u".to_vec(),
            client: "id=1".into(),
        }
    }

    fn shown(log: &Log) -> Vec<(u64, u64, u64, u64)> {
        log.iter().map(|e| (e.id, e.count, e.created_ms, e.updated_ms)).collect()
    }

    #[test]
    fn events_that_are_alike_are_counted() {
        let mut log = Log::default();
        log.add(event("a"), 1_000, 128);
        log.add(event("b"), 2_000, 128);
        log.add(event("a"), 61_000, 128);
        assert_eq!(shown(&log), [(0, 2, 1_000, 61_000), (1, 1, 2_000, 2_000)]);
        // A minute is counted from the last one.
        log.add(event("a"), 121_000, 128);
        log.add(event("a"), 181_001, 128);
        assert_eq!(shown(&log)[..2], [(2, 1, 181_001, 181_001), (0, 3, 1_000, 121_000)]);
        for different in [
            Event { context: Context::Multi, ..event("a") },
            Event { reason: Reason::Channel, ..event("a") },
            Event { user: b"v".to_vec(), ..event("a") },
        ] {
            let before = log.iter().len();
            log.add(different, 181_002, 128);
            assert_eq!(log.iter().len(), before + 1);
        }
    }

    #[test]
    fn old_entries_go() {
        let mut log = Log::default();
        (0..20).for_each(|i| log.add(event(&i.to_string()), i, 12));
        assert_eq!(log.iter().len(), 12);
        assert_eq!(log.iter().next().map(|e| e.id), Some(19));
        // Only the newest are looked at.
        log.add(event("10"), 20, 12);
        assert_eq!(shown(&log)[0], (10, 2, 10, 20));
        log.add(event("9"), 21, 12);
        assert_eq!(shown(&log)[0], (20, 1, 21, 21));
        log.add(event("x"), 22, 0);
        assert_eq!(log.iter().len(), 0);
        let long = "k".repeat(5_000);
        log.add(event(&long), 23, 1);
        assert_eq!(log.iter().next().map(|e| e.event.object.len()), Some(1024));
        log.reset();
        log.add(event("y"), 24, 1);
        assert_eq!(shown(&log), [(23, 1, 24, 24)]);
    }
}
