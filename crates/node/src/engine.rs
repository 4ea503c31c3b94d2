//! The engine: the data, and what executing commands on them needs. It knows no sockets, no files and no replicas.

pub mod ack_waits;
pub mod admit;
pub mod asker;
pub mod blocked;
pub mod blocking;
pub mod call;
pub mod client_set;
pub mod evict;
pub mod execute;
pub mod expire;
pub mod messages;
pub mod pubsub;
pub mod renames;
pub mod session;
pub mod transactions;

use std::collections::BTreeMap;
use std::sync::Arc;

use rivulet_commands::{Effects, Settings};
use rivulet_config::Config;
use rivulet_keyspace::{KeyHasher, Keyspace};
use rivulet_resp::OwnedArgs;

use crate::engine::blocking::Blocking;
use crate::engine::client_set::ClientSet;
use crate::engine::evict::Eviction;
use crate::engine::expire::{Expiry, OwnExpiring};
use crate::engine::pubsub::PubSub;
use crate::engine::renames::Renames;
use crate::front::client_id::ClientId;

/// What is executed as one: a command, a transaction, a step of expiry or of eviction.
#[derive(Default)]
pub struct Unit {
    /// What it has to propagate: (database, command).
    pub commands: Vec<(usize, OwnedArgs)>,
    /// Its writes go out one by one, not in MULTI.
    pub no_multi: bool,
    /// A transaction runs: more is to come before it is propagated.
    pub is_open: bool,
}

/// Whose commands run now.
#[derive(Default)]
pub struct Speaker {
    /// The client whose batch runs, 0 for none.
    pub executing: ClientId,
    /// What it has caused itself to be told, which follows its reply.
    pub own_pushes: Vec<u8>,
}

/// The data, and what executing commands on them needs.
pub struct Engine {
    pub keyspace: Keyspace,
    pub effects: Effects,
    /// What commands on data see of the configuration.
    pub settings: Settings,
    pub rng: fastrand::Rng,
    pub renames: Renames,
    pub unit: Unit,
    pub speaker: Speaker,
    /// Who watches a key: (database, key).
    pub watched: BTreeMap<(usize, Arc<[u8]>), ClientSet>,
    /// Somebody watches or tracks keys: commands say which they change.
    pub note_touched: bool,
    pub blocking: Blocking,
    pub pubsub: PubSub,
    pub keys: KeyKeeping,
}

/// Keys that go by themselves.
#[derive(Default)]
pub struct KeyKeeping {
    pub expiry: Expiry,
    /// Keys that were given a deadline on this replica by its own clients.
    pub own_expiring: OwnExpiring,
    pub eviction: Eviction,
}

impl Engine {
    pub fn new(config: &Config, hash_seed: [u64; 2], rng: fastrand::Rng) -> Engine {
        Engine {
            keyspace: Keyspace::new(config.databases as usize, KeyHasher::new(hash_seed)),
            effects: Effects::default(),
            settings: config.settings(),
            rng,
            renames: Renames::default(),
            unit: Unit::default(),
            speaker: Speaker::default(),
            watched: BTreeMap::new(),
            note_touched: false,
            blocking: Blocking::default(),
            pubsub: PubSub::default(),
            keys: KeyKeeping::default(),
        }
    }
}
