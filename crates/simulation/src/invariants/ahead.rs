//! Nobody goes on with a master that has less of their history (rule 3): it would be told nothing of what comes in its place.

use std::collections::BTreeMap;

use super::Broken;
use crate::network::HostId;
use crate::observer::Sight;

/// A replica that has lost its master's connection, or must begin anew, knows it after so long.
const KNOWN_US: u64 = 1_000_000;

/// What was seen of a replica still holds.
const RECENT_US: u64 = 400_000;

/// Since when a replica was ahead of its master whenever the two were seen.
#[derive(Default)]
pub struct Ahead(BTreeMap<HostId, u64>);

impl Ahead {
    /// This replica may not know yet what has become of its master.
    pub fn forget(&mut self, replica: HostId) {
        self.0.remove(&replica);
    }

    /// A replica and its master were seen, that one later.
    pub fn saw(&mut self, replica: &Sight, master: &Sight) -> Result<(), Broken> {
        let is_ahead = replica.link_up
            && !replica.loads
            && !master.loads
            && (replica.at_us..replica.at_us + RECENT_US).contains(&master.asked_us)
            && master.id == replica.id
            && master.offset < replica.offset;
        if !is_ahead {
            self.0.remove(&replica.server);
            return Ok(());
        }
        let since_us = *self.0.entry(replica.server).or_insert(master.at_us);
        if master.at_us < since_us + KNOWN_US {
            return Ok(());
        }
        Err(format!(
            "server {} goes on at offset {} of {} with server {}, which is at {}",
            replica.server, replica.offset, replica.id, master.server, master.offset
        ))
    }
}
