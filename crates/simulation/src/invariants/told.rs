//! A replication id is told when it is on disk: what a kill takes from a master must not be what a replica goes on from (rule 41).

use std::collections::BTreeSet;
use std::path::Path;

use super::Broken;
use crate::disk::Disk;
use crate::network::{HostId, IdTold};

/// Where a node with an append-only file keeps whose stream that is.
const IDENTITY: &str = "/data/appendonlydir/appendonly.aof.identity";

/// Ids that came with data: the files that have these are written while replicas are served already, and a kill takes data and id together.
#[derive(Default)]
pub struct Told(BTreeSet<(HostId, String)>);

impl Told {
    pub fn note(&mut self, told: IdTold) {
        if told.with_data {
            self.0.insert((told.to, told.id));
        }
    }

    /// What a server that keeps its log in files on this disk has just told a replica.
    pub fn check(&self, told: &IdTold, disk: &Disk) -> Result<(), Broken> {
        let IdTold { from, id, .. } = told;
        let names_it = |bytes: Vec<u8>| bytes.windows(id.len()).any(|window| window == id.as_bytes());
        if self.0.contains(&(*from, id.clone())) || disk.contents(Path::new(IDENTITY)).is_some_and(names_it) {
            return Ok(());
        }
        Err(format!("server {from} told a replica of {id}, which no file of it names"))
    }
}
