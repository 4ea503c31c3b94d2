//! A client that tracks: in which mode, and who gets its messages.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::client_id::ClientId;

/// About what a prefix takes, here and in the list of those who have named it.
const PREFIX_BYTES: usize = 96;

/// Which keys a client is told of.
#[derive(Debug, PartialEq, Eq)]
pub enum Mode {
    /// Those that it reads.
    All,
    /// Those that it reads after CLIENT CACHING YES.
    OptIn,
    /// Those that it reads, but after CLIENT CACHING NO.
    OptOut,
    /// Those that begin with one of these, whoever reads them.
    Broadcast(BTreeSet<Arc<[u8]>>),
}

/// How a client tracks.
#[derive(Debug, PartialEq, Eq)]
pub struct Tracker {
    pub mode: Mode,
    /// It is not told of what it changes itself.
    pub no_loop: bool,
    /// Who gets its messages in its place.
    pub redirect: Option<ClientId>,
    /// That one was gone when there was something to tell.
    pub is_redirect_broken: bool,
    /// CLIENT CACHING was said for the next command or transaction.
    pub caching_said: bool,
}

impl Tracker {
    /// Where a tracker's messages go, as clients are shown it: an id, 0 for itself, -1 when it does not track.
    pub fn redirect_shown(tracker: Option<&Tracker>) -> i64 {
        tracker.map_or(-1, |tracker| tracker.redirect.map_or(0, |id| id as i64))
    }

    pub fn is_broadcast(&self) -> bool {
        matches!(self.mode, Mode::Broadcast(_))
    }

    /// Whether the keys that it reads now are remembered for it.
    pub fn remembers(&self) -> bool {
        match self.mode {
            Mode::All => true,
            Mode::OptIn => self.caching_said,
            Mode::OptOut => !self.caching_said,
            Mode::Broadcast(_) => false,
        }
    }

    /// Bytes of what it asked the server to keep.
    pub fn memory_bytes(&self) -> usize {
        let prefixes = match &self.mode {
            Mode::Broadcast(prefixes) => prefixes.iter().map(|prefix| prefix.len() + PREFIX_BYTES).sum(),
            _ => 0,
        };
        size_of::<Tracker>() + prefixes
    }
}
