//! A replication id is told when it is on disk: what a kill takes from a master must not be what a replica goes on from (rule 41).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Broken;
use crate::disk::Disk;
use crate::network::{HostId, IdTold};

/// Where a node with an append-only file keeps whose stream that is.
const IDENTITY: &str = "/data/appendonlydir/appendonly.aof.identity";
/// So long it may take to write files for data that came from a master.
const WRITING_US: u64 = 5_000_000;

/// When servers were sent other data, or first told on whose these are: their files are written while replicas are served already, and a kill takes data
/// and id together.
#[derive(Default)]
pub struct Told {
    sent_us: BTreeMap<HostId, u64>,
    /// The ids with which data came that were not told on yet: it may take long until all of them are there.
    coming: BTreeSet<(HostId, String)>,
}

impl Told {
    pub fn note(&mut self, told: &IdTold, now_us: u64) {
        if told.with_data {
            self.sent_us.insert(told.to, now_us);
            self.coming.insert((told.to, told.id.clone()));
        }
    }

    /// What a server that keeps its log in files on this disk has just told a replica.
    pub fn check(&mut self, told: &IdTold, disk: &Disk, now_us: u64) -> Result<(), Broken> {
        let IdTold { from, id, .. } = told;
        let names_it = |bytes: Vec<u8>| bytes.windows(id.len()).any(|window| window == id.as_bytes());
        if self.coming.remove(&(*from, id.clone())) {
            self.sent_us.insert(*from, now_us);
        }
        let writes = self.sent_us.get(from).is_some_and(|since_us| now_us < since_us + WRITING_US);
        if writes || disk.contents(Path::new(IDENTITY)).is_some_and(names_it) {
            return Ok(());
        }
        Err(format!("server {from} told a replica of {id}, which no file of it names"))
    }
}
