//! What a command did besides its reply: what the server must propagate, announce, wake and free.

use rivulet_keyspace::value::stream::Removed;
use rivulet_keyspace::{Trash, Type, Value};
use rivulet_resp::OwnedArgs;

/// What goes to the replicas for a command that changed something.
#[derive(Default)]
pub enum Propagation {
    /// The command as it came.
    #[default]
    AsIs,
    /// These commands, in order.
    Instead(Vec<OwnedArgs>),
    /// Nothing.
    Nothing,
}

/// Classes of keyspace events; the letters are those of `notify-keyspace-events`.
pub mod class {
    pub const KEYSPACE: u32 = 1 << 0; // K
    pub const KEYEVENT: u32 = 1 << 1; // E
    pub const GENERIC: u32 = 1 << 2; // g
    pub const STRING: u32 = 1 << 3; // $
    pub const LIST: u32 = 1 << 4; // l
    pub const SET: u32 = 1 << 5; // s
    pub const HASH: u32 = 1 << 6; // h
    pub const ZSET: u32 = 1 << 7; // z
    pub const EXPIRED: u32 = 1 << 8; // x
    pub const EVICTED: u32 = 1 << 9; // e
    pub const STREAM: u32 = 1 << 10; // t
    pub const KEY_MISS: u32 = 1 << 11; // m, not part of A
    pub const MODULE: u32 = 1 << 13; // d
    pub const NEW: u32 = 1 << 14; // n, not part of A
    /// `A`.
    pub const ALL: u32 = GENERIC | STRING | LIST | SET | HASH | ZSET | EXPIRED | EVICTED | STREAM | MODULE;
}

/// A keyspace event to publish.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    pub db: usize,
    pub class: u32,
    pub name: &'static str,
    pub key: Box<[u8]>,
}

/// A key that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    pub db: usize,
    pub key: Box<[u8]>,
    /// No command asked for it: its time was over, or it made room.
    pub by_itself: bool,
}

/// Why a client waits.
#[derive(Clone)]
pub struct Block {
    /// Keys of which one must get a value; the command then runs again.
    pub keys: Vec<Box<[u8]>>,
    /// Of this type must that value be.
    pub value_type: Type,
    /// The wait also ends when one of the keys goes or gets a value of another type: the command runs again, and tells its client so.
    pub ends_with_key: bool,
    /// What runs then.
    pub again: Again,
    /// After how many ms it gives up. The server counts them on a clock that nobody sets.
    pub timeout_ms: Option<u64>,
    /// What it gets then.
    pub on_timeout: OnTimeout,
}

/// The command of a client that waited.
#[derive(Clone)]
pub enum Again {
    /// As it came, with the key that is ready as the only one of those that it may take from.
    WithReadyKey,
    /// These arguments, whichever key is ready: what was to be told from the present is told as it was then.
    Command(OwnedArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTimeout {
    NullArray,
    Null,
}

/// What a command leaves to be done. The server empties it after each command.
#[derive(Default)]
pub struct Effects {
    /// Changes made; with 0 nothing is propagated.
    pub dirty: u64,
    pub propagation: Propagation,
    /// Commands that go to the stream before the command itself: keys that were found expired.
    pub before: Vec<(usize, OwnedArgs)>,
    pub events: Vec<Event>,
    /// Keys that changed, when somebody watches or tracks keys.
    pub touched: Vec<Touched>,
    /// Keys that came to hold a value on which clients may wait, when somebody does.
    pub ready: Vec<(usize, Box<[u8]>)>,
    pub block: Option<Block>,
    /// Values to be freed on another thread.
    pub trash: Vec<Trash>,
    pub hits: u64,
    pub misses: u64,
    pub expired: u64,
    /// Fields of hashes that expired.
    pub expired_fields: u64,
    /// What the log is told of a command that failed.
    pub complaint: Option<String>,
    /// The command may not be wrapped in MULTI with what stands in `before` (SCAN, RANDOMKEY).
    pub no_multi: bool,
}

/// Values with at least this effort are freed on another thread when lazy freeing is on.
const LAZY_EFFORT: usize = 64;

impl Effects {
    /// Frees a value: here when that is quick or `lazy` is off.
    pub fn free(&mut self, value: Value, lazy: bool) {
        if lazy && value.free_effort() > LAZY_EFFORT {
            self.trash.push(value.into());
        }
    }

    /// Frees a part of a stream: here when that is quick.
    pub fn free_part(&mut self, removed: Removed) {
        if removed.free_effort() > LAZY_EFFORT {
            self.trash.push(removed.into());
        }
    }
}
