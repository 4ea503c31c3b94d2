//! Kinds of channels.

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
