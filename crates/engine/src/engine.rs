//! The engine's whole state.

use rivulet_commands::{Effects, Settings};
use rivulet_keyspace::{KeyHasher, Keyspace};

use crate::blocking::Blocking;
use crate::eviction::Eviction;
use crate::expiry::Expiry;
use crate::own_expiring::OwnExpiring;
use crate::pubsub::PubSub;
use crate::renames::Renames;
use crate::tracking::Tracking;
use crate::unit::{Speaker, Unit};
use crate::watches::WatchedKeys;

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
    pub watched: WatchedKeys,
    /// Clients that keep copies of values, and of which keys.
    pub tracking: Tracking,
    /// Somebody wants to hear which keys change: commands say which those are.
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
    pub fn new(databases: usize, settings: Settings, hash_seed: [u64; 2], rng: fastrand::Rng) -> Engine {
        Engine {
            keyspace: Keyspace::new(databases, KeyHasher::new(hash_seed)),
            effects: Effects::default(),
            settings,
            rng,
            renames: Renames::default(),
            unit: Unit::default(),
            speaker: Speaker::default(),
            watched: WatchedKeys::default(),
            tracking: Tracking::default(),
            note_touched: false,
            blocking: Blocking::default(),
            pubsub: PubSub::default(),
            keys: KeyKeeping::default(),
        }
    }
}
