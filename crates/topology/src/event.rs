//! What happened: syncs with their reasons, and what was seen to change between two answers.

use std::collections::VecDeque;

use serde::Serialize;

use crate::node::{Node, Role};
use crate::sync::SyncRecord;

/// Changes that are remembered.
const CHANGES_MAX: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A sync that a node remembers, or that it counted.
    Sync,
    /// A node was found.
    Found,
    /// It does not answer any more, and does again.
    Silent,
    Answers,
    /// The same node, but another process.
    Restarted,
    /// A replica has become a master, and the other way round.
    Promoted,
    Demoted,
    /// A replica follows another master.
    Moved,
    LinkDown,
    LinkUp,
    /// A full sync has begun at a replica.
    SyncBegan,
}

/// An entry of the timeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Unix ms.
    pub time_ms: u64,
    pub kind: EventKind,
    /// The node that it happened to: its id.
    pub node: String,
    /// Another node or address that it has to do with; empty if there is none.
    pub peer: String,
    pub sync: Option<SyncRecord>,
}

impl Event {
    /// One that has only a node.
    pub fn new(kind: EventKind, node: &str, time_ms: u64) -> Event {
        Event { time_ms, kind, node: node.to_string(), peer: String::new(), sync: None }
    }

    fn with_peer(self, peer: String) -> Event {
        Event { peer, ..self }
    }
}

/// The last changes, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Changes(VecDeque<Event>);

impl Changes {
    pub fn add(&mut self, event: Event) {
        if self.0.len() == CHANGES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    /// Notes what differs between two answers of a node.
    pub fn compare(&mut self, before: &Node, now: &Node, time_ms: u64) {
        let event = |kind| Event::new(kind, &now.id, time_ms);
        match (before.role, now.role) {
            (Role::Replica, Role::Master) => self.add(event(EventKind::Promoted)),
            (Role::Master, Role::Replica) => self.add(event(EventKind::Demoted)),
            _ => {}
        }
        let Some(up) = &now.upstream else { return };
        let peer = up.address.to_string();
        let old = before.upstream.as_ref();
        if old.is_some_and(|old| old.address != up.address) {
            self.add(event(EventKind::Moved).with_peer(peer.clone()));
        }
        let was_up = old.is_some_and(|old| old.is_up);
        if was_up && !up.is_up {
            self.add(event(EventKind::LinkDown).with_peer(peer.clone()));
        }
        if up.sync.is_some() && old.is_none_or(|old| old.sync.is_none()) {
            self.add(event(EventKind::SyncBegan).with_peer(peer.clone()));
        }
        if up.is_up && !was_up {
            self.add(event(EventKind::LinkUp).with_peer(peer));
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Event> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::Info;

    fn node(text: &str) -> Node {
        Node { id: "n".into(), ..Node::of(&Info::parse(text)) }
    }

    fn kinds(before: &str, now: &str) -> Vec<EventKind> {
        let mut changes = Changes::default();
        changes.compare(&node(before), &node(now), 5);
        changes.iter().map(|event| event.kind).collect()
    }

    const UP: &str = "role:slave\nmaster_host:a\nmaster_port:1\nmaster_link_status:up";
    const DOWN: &str = "role:slave\nmaster_host:a\nmaster_port:1\nmaster_link_status:down";
    const SYNCS: &str = "role:slave\nmaster_host:a\nmaster_port:1\nmaster_link_status:down\nmaster_sync_in_progress:1";
    const OTHER: &str = "role:slave\nmaster_host:b\nmaster_port:1\nmaster_link_status:down";

    #[test]
    fn changes_between_two_answers() {
        use EventKind::*;
        assert_eq!(kinds(UP, UP), []);
        assert_eq!(kinds(UP, DOWN), [LinkDown]);
        assert_eq!(kinds(DOWN, UP), [LinkUp]);
        assert_eq!(kinds(UP, SYNCS), [LinkDown, SyncBegan]);
        assert_eq!(kinds(SYNCS, SYNCS), []);
        assert_eq!(kinds(DOWN, OTHER), [Moved]);
        assert_eq!(kinds(UP, "role:master"), [Promoted]);
        assert_eq!(kinds("role:master", DOWN), [Demoted]);
    }

    #[test]
    fn only_the_last_are_kept() {
        let mut changes = Changes::default();
        (0..1000).for_each(|ms| changes.add(Event::new(EventKind::Silent, "n", ms)));
        assert_eq!((changes.iter().count(), changes.iter().next().map(|e| e.time_ms)), (CHANGES_MAX, Some(800)));
    }
}
