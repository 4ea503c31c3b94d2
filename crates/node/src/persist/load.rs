//! Data that are loaded: at the start, from a master, and as DEBUG asks. What the loader's thread has decoded is put into the databases.

mod driver;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use rivulet_engine::client_id::ClientId;
use rivulet_keyspace::{Keyspace, Room};

use crate::persist::loading::Loader;

/// What is loaded, and what came of the last load.
#[derive(Default)]
pub struct Loading {
    pub load: Option<Load>,
    /// So many have begun: what one stores has a name of its own until it is whole.
    loads_begun: u64,
    /// The pseudo client that replays an append-only file: nothing that it does goes to the stream.
    pub replayer: Option<ClientId>,
    /// Loaded beside the data and whole: it takes its place with the link's next action.
    pub loaded_beside: Option<Keyspace>,
    pub last: LastLoad,
    /// us per key, shared with the loader.
    pub delay: Arc<AtomicI64>,
}

/// Keys of the last load.
#[derive(Default)]
pub struct LastLoad {
    pub loaded: u64,
    pub expired: u64,
}

/// A load that goes on.
pub struct Load {
    pub loader: Loader,
    pub why: LoadWhy,
    /// Loaded beside the data, which it replaces later.
    pub beside: Option<Keyspace>,
    place: Place,
    /// The databases were emptied for it: until then what comes is only stored, and the old data is served.
    pub replaces: bool,
    /// They will be when the first entry comes.
    pub replaces_with_first: bool,
    /// It is stored first, and not all of it has been gone through.
    pub is_unchecked: bool,
    /// The databases will be emptied when it has been.
    pub replaces_when_checked: bool,
    /// Entries replace those of the same key.
    pub merges: bool,
    db: usize,
    /// Room for the keys of databases, taken when the first of them comes.
    rooms: BTreeMap<usize, Room>,
    /// Keys of all databases that were told of so far.
    pub keys_promised: u64,
    /// Position in the file's aux fields: (repl-id, repl-offset, repl-stream-db).
    pub identity: Identity,
    identity_adopted: bool,
    /// From append-only files, where keys do not expire by themselves and the position is known from elsewhere.
    from_aof: bool,
    file_started_ms: u64,
    files_ended: usize,
}

#[derive(Default, Clone)]
pub struct Identity {
    pub id: Option<String>,
    pub offset: Option<u64>,
    pub stream_db: Option<u32>,
    /// The data are not what the stream says.
    pub diverged: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadWhy {
    Startup,
    FullSync,
    /// DEBUG LOADAOF and DEBUG RELOAD.
    Debug,
}

/// Where loaded data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Into the databases, which are empty.
    Databases,
    /// Beside the old data, which is refused meanwhile and comes back if the load fails.
    HidingOld,
    /// Beside the old data, which is served meanwhile: it is of the same history.
    ServingOld,
    /// Beside the databases, which are empty, until all has been received. As for clients the load begins only then.
    Early,
}
