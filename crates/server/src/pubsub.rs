//! Channels, patterns and shard channels with their subscribers. It keeps who listens to what; the server writes the messages.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use crate::clients::ClientId;

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
    channels: HashMap<Arc<[u8]>, Vec<ClientId>>,
    shard_channels: HashMap<Arc<[u8]>, Vec<ClientId>>,
    /// Ordered, so that a message reaches patterns in the same order each time.
    patterns: BTreeMap<Arc<[u8]>, Vec<ClientId>>,
}

impl PubSub {
    pub fn subscribe(&mut self, kind: ChannelKind, name: &Arc<[u8]>, client: ClientId) {
        let listeners = match kind {
            ChannelKind::Plain => self.channels.entry(name.clone()).or_default(),
            ChannelKind::Shard => self.shard_channels.entry(name.clone()).or_default(),
            ChannelKind::Pattern => self.patterns.entry(name.clone()).or_default(),
        };
        listeners.push(client);
    }

    pub fn unsubscribe(&mut self, kind: ChannelKind, name: &[u8], client: ClientId) {
        let leave = |listeners: &mut Vec<ClientId>| {
            listeners.retain(|&c| c != client);
            listeners.is_empty()
        };
        match kind {
            ChannelKind::Plain | ChannelKind::Shard => {
                let map = if kind == ChannelKind::Plain { &mut self.channels } else { &mut self.shard_channels };
                if map.get_mut(name).is_some_and(leave) {
                    map.remove(name);
                }
            }
            ChannelKind::Pattern => {
                if self.patterns.get_mut(name).is_some_and(leave) {
                    self.patterns.remove(name);
                }
            }
        }
    }

    pub fn listeners(&self, kind: ChannelKind, name: &[u8]) -> &[ClientId] {
        let found = match kind {
            ChannelKind::Plain => self.channels.get(name),
            ChannelKind::Shard => self.shard_channels.get(name),
            ChannelKind::Pattern => self.patterns.get(name),
        };
        found.map_or(&[], Vec::as_slice)
    }

    pub fn patterns(&self) -> impl Iterator<Item = (&Arc<[u8]>, &[ClientId])> {
        self.patterns.iter().map(|(name, listeners)| (name, listeners.as_slice()))
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

    /// Whether nobody listens to anything.
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty() && self.shard_channels.is_empty()
    }
}
