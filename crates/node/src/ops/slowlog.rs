//! The slow log: the latest commands that took longer than `slowlog-log-slower-than`.

use std::collections::VecDeque;

/// One slow command.
pub struct Slow {
    /// Counts from 0, also over a reset.
    pub id: u64,
    pub unix_s: u64,
    pub us: u64,
    pub args: Vec<Vec<u8>>,
    /// Of the client, and its name.
    pub address: String,
    pub name: Vec<u8>,
}

/// The latest slow commands, newest first.
#[derive(Default)]
pub struct Slowlog {
    entries: VecDeque<Slow>,
    next_id: u64,
}

impl Slowlog {
    /// Notes a command, whose id is given here; keeps `max` of them.
    pub fn add(&mut self, slow: Slow, max: usize) {
        self.entries.push_front(Slow { id: self.next_id, ..slow });
        self.next_id += 1;
        self.entries.truncate(max);
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Slow> {
        self.entries.iter()
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The name and the duration in us of the slowest command that is kept.
    pub fn slowest(&self) -> Option<(&[u8], u64)> {
        let slowest = self.entries.iter().max_by_key(|slow| slow.us)?;
        Some((slowest.args.first().map_or(b"", Vec::as_slice), slowest.us))
    }
}
