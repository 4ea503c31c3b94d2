//! Channels, patterns and shard channels with their subscribers. It keeps who listens to what; the server writes the messages.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::client_set::ClientSet;
use crate::front::client_id::ClientId;

/// One kind of channel, with the words that its replies use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    Plain,
    Pattern,
    Shard,
}

impl ChannelKind {
    pub fn subscribe_word(self) -> &'static str {
        match self {
            ChannelKind::Plain => "subscribe",
            ChannelKind::Pattern => "psubscribe",
            ChannelKind::Shard => "ssubscribe",
        }
    }

    pub fn unsubscribe_word(self) -> &'static str {
        match self {
            ChannelKind::Plain => "unsubscribe",
            ChannelKind::Pattern => "punsubscribe",
            ChannelKind::Shard => "sunsubscribe",
        }
    }
}

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
    pub fn subscribe(&mut self, kind: ChannelKind, name: &Arc<[u8]>, client: ClientId) {
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

    pub fn unsubscribe(&mut self, kind: ChannelKind, name: &[u8], client: ClientId) {
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

    pub fn patterns(&self) -> impl Iterator<Item = (&Arc<[u8]>, &ClientSet)> {
        self.patterns.iter()
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
