//! Patterns of keys, with what may be done to the keys that match.

use rivulet_commands::glob;
use rivulet_commands::spec::key;

/// What is done, or may be done, to a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// What it holds is returned, copied or looked at.
    pub reads: bool,
    /// What it holds changes.
    pub writes: bool,
}

impl Access {
    pub const ALL: Access = Access { reads: true, writes: true };
    pub const READ: Access = Access { reads: true, writes: false };

    /// What a command does to a key that has these flags. It may be neither: EXISTS only says that there is one.
    pub fn of(flags: u32) -> Access {
        Access { reads: flags & key::ACCESS != 0, writes: flags & (key::INSERT | key::UPDATE | key::DELETE) != 0 }
    }

    /// What may be done covers what is done.
    pub fn covers(self, done: Access) -> bool {
        (self.reads || !done.reads) && (self.writes || !done.writes)
    }

    pub(crate) fn and(self, more: Access) -> Access {
        Access { reads: self.reads || more.reads, writes: self.writes || more.writes }
    }
}

/// Keys by a glob pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    pub glob: Box<[u8]>,
    pub access: Access,
}

impl KeyPattern {
    pub fn lets(&self, key: &[u8], done: Access) -> bool {
        self.access.covers(done) && glob::matches(&self.glob, key)
    }

    /// Whether it is the same as all keys.
    pub fn is_all(&self) -> bool {
        self.access == Access::ALL && *self.glob == *b"*"
    }

    /// The rule that makes this pattern.
    pub fn push_text(&self, out: &mut Vec<u8>) {
        out.extend(match self.access {
            Access { reads: true, writes: false } => b"%R~".as_slice(),
            Access { reads: false, writes: true } => b"%W~",
            _ => b"~",
        });
        out.extend_from_slice(&self.glob);
    }
}
