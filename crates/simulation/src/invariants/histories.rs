//! Whose stream a history is: a replication id is written to by one process, and by the next one on that machine only if the one before ended cleanly;
//! and what a master says that it shares with a former id is not more than it has (rules 5 and 41).

use std::collections::BTreeMap;

use super::Broken;
use crate::network::HostId;
use crate::observer::Sight;

/// The processes of a machine, one after the other: those that ended cleanly count as one with the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Run {
    number: u32,
    /// What was asked for before is told of the one before.
    since_us: u64,
    /// It was seen with its data. One that is killed while it loads has written nothing, and is as if it had not been.
    was_seen: bool,
    /// It does not end cleanly.
    is_killed: bool,
}

#[derive(Default)]
pub struct Histories {
    runs: BTreeMap<HostId, Run>,
    /// Who was seen as the master of an id.
    masters: BTreeMap<String, (HostId, u32)>,
}

impl Histories {
    pub fn started(&mut self, host: HostId, now_us: u64) {
        let run = self.runs.entry(host).or_default();
        let number = run.number + u32::from(run.is_killed);
        *run = Run { number, since_us: now_us, was_seen: false, is_killed: false };
    }

    pub fn killed(&mut self, host: HostId) {
        let run = self.runs.entry(host).or_default();
        run.is_killed = run.was_seen;
    }

    pub fn saw(&mut self, sight: &Sight) -> Result<(), Broken> {
        let Sight { server, id, offset, shared, .. } = sight;
        let run = self.runs.entry(*server).or_default();
        if sight.loads || sight.asked_us < run.since_us {
            return Ok(());
        }
        run.was_seen = true;
        if !sight.is_master {
            return Ok(());
        }
        if shared.is_some_and(|shared| shared > *offset) {
            return Err(format!("master {server} is at offset {offset}, and shares {shared:?} with its former id"));
        }
        let who = (*server, run.number);
        let first = *self.masters.entry(id.clone()).or_insert(who);
        if first == who {
            return Ok(());
        }
        Err(format!("server {server} writes to {id}, to which another process wrote: {first:?}, and now {who:?}"))
    }
}
