//! Channels, patterns and shard channels with their subscribers. It keeps who listens to what; the node writes the messages.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use rivulet_commands::glob;

use crate::channel::ChannelKind;
use crate::client_id::ClientId;
use crate::client_set::ClientSet;
use crate::session::{Kind, Session};

/// Who listens to what.
#[derive(Default)]
pub struct PubSub {
    channels: HashMap<Arc<[u8]>, ClientSet>,
    shard_channels: HashMap<Arc<[u8]>, ClientSet>,
    /// Ordered, so that a message reaches patterns in the same order each time.
    patterns: BTreeMap<Arc<[u8]>, ClientSet>,
}

/// A map with room for so many channels gives room back when few are left.
const KEPT_CHANNELS: usize = 1024;

impl PubSub {
    /// A client listens from now on.
    pub fn subscribe(&mut self, (id, session): (ClientId, &mut Session), kind: ChannelKind, name: &[u8]) {
        let own = session.subscriptions.of_mut(kind);
        if !own.contains(name) {
            let name: Arc<[u8]> = name.into();
            own.insert(name.clone());
            self.add(kind, &name, id);
        }
        if session.kind == Kind::Normal {
            session.kind = Kind::Pubsub;
        }
    }

    /// A client listens no longer.
    pub fn unsubscribe(&mut self, (id, session): (ClientId, &mut Session), kind: ChannelKind, name: &[u8]) {
        if session.subscriptions.of_mut(kind).remove(name) {
            self.remove(kind, name, id);
        }
    }

    /// A client listens to nothing any more.
    pub fn unsubscribe_all(&mut self, id: ClientId, session: &mut Session) {
        for kind in [ChannelKind::Plain, ChannelKind::Pattern, ChannelKind::Shard] {
            for name in std::mem::take(session.subscriptions.of_mut(kind)) {
                self.remove(kind, &name, id);
            }
        }
    }

    fn add(&mut self, kind: ChannelKind, name: &Arc<[u8]>, client: ClientId) {
        let mut is_new = false;
        let first = || {
            is_new = true;
            ClientSet::One(client)
        };
        let listeners = match kind {
            ChannelKind::Plain => self.channels.entry(name.clone()).or_insert_with(first),
            ChannelKind::Shard => self.shard_channels.entry(name.clone()).or_insert_with(first),
            ChannelKind::Pattern => self.patterns.entry(name.clone()).or_insert_with(first),
        };
        if !is_new {
            listeners.insert(client);
        }
    }

    fn remove(&mut self, kind: ChannelKind, name: &[u8], client: ClientId) {
        match kind {
            ChannelKind::Plain | ChannelKind::Shard => {
                let map = if kind == ChannelKind::Plain { &mut self.channels } else { &mut self.shard_channels };
                if map.get_mut(name).is_some_and(|listeners| listeners.remove(client)) {
                    map.remove(name);
                    if map.capacity() > KEPT_CHANNELS && map.len() < map.capacity() / 8 {
                        map.shrink_to(map.len() * 2);
                    }
                }
            }
            ChannelKind::Pattern => {
                if self.patterns.get_mut(name).is_some_and(|listeners| listeners.remove(client)) {
                    self.patterns.remove(name);
                }
            }
        }
    }

    /// Who listens to a channel, or to just this pattern.
    pub fn listeners(&self, kind: ChannelKind, name: &[u8]) -> Option<&ClientSet> {
        match kind {
            ChannelKind::Plain => self.channels.get(name),
            ChannelKind::Shard => self.shard_channels.get(name),
            ChannelKind::Pattern => self.patterns.get(name),
        }
    }

    /// Who listens to patterns that a channel matches, each with the pattern.
    pub fn matching(&self, channel: &[u8]) -> Vec<(Arc<[u8]>, ClientId)> {
        let matching = self.patterns.iter().filter(|(pattern, _)| glob::matches(pattern, channel));
        matching.flat_map(|(pattern, listeners)| listeners.iter().map(|id| (pattern.clone(), id))).collect()
    }

    pub fn pattern_count(&self) -> usize {
        self.patterns.len()
    }

    /// Channels (or shard channels) that somebody listens to.
    pub fn names(&self, kind: ChannelKind) -> Vec<&Arc<[u8]>> {
        match kind {
            ChannelKind::Plain => self.channels.keys().collect(),
            ChannelKind::Shard => self.shard_channels.keys().collect(),
            ChannelKind::Pattern => self.patterns.keys().collect(),
        }
    }

    pub fn channel_count(&self) -> usize {
        self.channels.len()
    }

    pub fn shard_channel_count(&self) -> usize {
        self.shard_channels.len()
    }

    /// Whether nobody listens to anything.
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty() && self.shard_channels.is_empty()
    }
}
