//! What a command is: the one row from which arity checks, flags, keys, ACL categories, COMMAND's answers and the documentation come.

use rivulet_resp::Args;

use crate::ctx::Ctx;
use crate::fail::Fail;
use crate::places::{Channels, Keys};

/// Flags of a command, as Redis names them.
pub mod flag {
    pub const NONE: u32 = 0;
    pub const WRITE: u32 = 1 << 0;
    pub const READONLY: u32 = 1 << 1;
    pub const DENYOOM: u32 = 1 << 2;
    pub const ADMIN: u32 = 1 << 3;
    pub const PUBSUB: u32 = 1 << 4;
    pub const NOSCRIPT: u32 = 1 << 5;
    pub const BLOCKING: u32 = 1 << 6;
    pub const LOADING: u32 = 1 << 7;
    pub const STALE: u32 = 1 << 8;
    pub const SKIP_MONITOR: u32 = 1 << 9;
    pub const SKIP_SLOWLOG: u32 = 1 << 10;
    pub const ASKING: u32 = 1 << 11;
    pub const FAST: u32 = 1 << 12;
    pub const NO_AUTH: u32 = 1 << 13;
    /// It changes no data here, but something elsewhere. COMMAND INFO does not show it.
    pub const MAY_REPLICATE: u32 = 1 << 14;
    pub const NO_ASYNC_LOADING: u32 = 1 << 15;
    pub const NO_MULTI: u32 = 1 << 16;
    pub const ALLOW_BUSY: u32 = 1 << 17;
    pub const NO_MANDATORY_KEYS: u32 = 1 << 18;
    /// May be refused by `enable-debug-command`; COMMAND INFO does not show it.
    pub const PROTECTED: u32 = 1 << 19;
    pub const SENTINEL: u32 = 1 << 20;
    pub const ONLY_SENTINEL: u32 = 1 << 21;

    /// Names in the order in which COMMAND INFO lists them.
    pub const NAMES: &[(u32, &str)] = &[
        (WRITE, "write"),
        (READONLY, "readonly"),
        (DENYOOM, "denyoom"),
        (ADMIN, "admin"),
        (PUBSUB, "pubsub"),
        (NOSCRIPT, "noscript"),
        (BLOCKING, "blocking"),
        (LOADING, "loading"),
        (STALE, "stale"),
        (SKIP_MONITOR, "skip_monitor"),
        (SKIP_SLOWLOG, "skip_slowlog"),
        (ASKING, "asking"),
        (FAST, "fast"),
        (NO_AUTH, "no_auth"),
        (SENTINEL, "sentinel"),
        (ONLY_SENTINEL, "only_sentinel"),
        (NO_MANDATORY_KEYS, "no_mandatory_keys"),
        (NO_ASYNC_LOADING, "no_async_loading"),
        (NO_MULTI, "no_multi"),
        (ALLOW_BUSY, "allow_busy"),
    ];
}

/// ACL categories; read, write, fast, slow, admin, pubsub and blocking follow from the flags.
pub mod acl {
    pub const KEYSPACE: u32 = 1 << 0;
    pub const READ: u32 = 1 << 1;
    pub const WRITE: u32 = 1 << 2;
    pub const SET: u32 = 1 << 3;
    pub const SORTEDSET: u32 = 1 << 4;
    pub const LIST: u32 = 1 << 5;
    pub const HASH: u32 = 1 << 6;
    pub const STRING: u32 = 1 << 7;
    pub const BITMAP: u32 = 1 << 8;
    pub const HYPERLOGLOG: u32 = 1 << 9;
    pub const GEO: u32 = 1 << 10;
    pub const STREAM: u32 = 1 << 11;
    pub const PUBSUB: u32 = 1 << 12;
    pub const ADMIN: u32 = 1 << 13;
    pub const FAST: u32 = 1 << 14;
    pub const SLOW: u32 = 1 << 15;
    pub const BLOCKING: u32 = 1 << 16;
    pub const DANGEROUS: u32 = 1 << 17;
    pub const CONNECTION: u32 = 1 << 18;
    pub const TRANSACTION: u32 = 1 << 19;
    pub const SCRIPTING: u32 = 1 << 20;

    /// Names in the order in which ACL CAT lists them.
    pub const NAMES: &[(u32, &str)] = &[
        (KEYSPACE, "keyspace"),
        (READ, "read"),
        (WRITE, "write"),
        (SET, "set"),
        (SORTEDSET, "sortedset"),
        (LIST, "list"),
        (HASH, "hash"),
        (STRING, "string"),
        (BITMAP, "bitmap"),
        (HYPERLOGLOG, "hyperloglog"),
        (GEO, "geo"),
        (STREAM, "stream"),
        (PUBSUB, "pubsub"),
        (ADMIN, "admin"),
        (FAST, "fast"),
        (SLOW, "slow"),
        (BLOCKING, "blocking"),
        (DANGEROUS, "dangerous"),
        (CONNECTION, "connection"),
        (TRANSACTION, "transaction"),
        (SCRIPTING, "scripting"),
    ];
}

/// Flags of a key specification.
pub mod key {
    pub const RO: u32 = 1 << 0;
    pub const RW: u32 = 1 << 1;
    pub const OW: u32 = 1 << 2;
    pub const RM: u32 = 1 << 3;
    pub const ACCESS: u32 = 1 << 4;
    pub const UPDATE: u32 = 1 << 5;
    pub const INSERT: u32 = 1 << 6;
    pub const DELETE: u32 = 1 << 7;
    pub const NOT_KEY: u32 = 1 << 8;
    pub const INCOMPLETE: u32 = 1 << 9;
    pub const VARIABLE_FLAGS: u32 = 1 << 10;

    pub const NAMES: &[(u32, &str)] = &[
        (RO, "RO"),
        (RW, "RW"),
        (OW, "OW"),
        (RM, "RM"),
        (ACCESS, "access"),
        (UPDATE, "update"),
        (INSERT, "insert"),
        (DELETE, "delete"),
        (NOT_KEY, "not_key"),
        (INCOMPLETE, "incomplete"),
        (VARIABLE_FLAGS, "variable_flags"),
    ];
}

/// The documentation group of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    String,
    Bitmap,
    List,
    Hash,
    Set,
    SortedSet,
    Stream,
    HyperLogLog,
    Geo,
    Generic,
    Connection,
    Transactions,
    Pubsub,
    Scripting,
    Server,
    Cluster,
}

impl Group {
    pub fn name(self) -> &'static str {
        match self {
            Group::String => "string",
            Group::Bitmap => "bitmap",
            Group::List => "list",
            Group::Hash => "hash",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Stream => "stream",
            Group::HyperLogLog => "hyperloglog",
            Group::Geo => "geo",
            Group::Generic => "generic",
            Group::Connection => "connection",
            Group::Transactions => "transactions",
            Group::Pubsub => "pubsub",
            Group::Scripting => "scripting",
            Group::Server => "server",
            Group::Cluster => "cluster",
        }
    }
}

/// Where the keys of a specification begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    Index(i32),
    /// After this word, looked for from an argument on (from the end when negative).
    Keyword(&'static str, i32),
    Unknown,
}

/// Which arguments from there on are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    Range { last: i32, step: i32, limit: i32 },
    Count { at: i32, first: i32, step: i32 },
    Unknown,
}

/// One rule by which keys are found among a command's arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    pub flags: u32,
    pub begin: Begin,
    pub find: Find,
    pub notes: Option<&'static str>,
}

impl KeySpec {
    pub const fn new(flags: u32, begin: Begin, find: Find) -> KeySpec {
        KeySpec { flags, begin, find, notes: None }
    }

    pub const fn notes(mut self, notes: &'static str) -> KeySpec {
        self.notes = Some(notes);
        self
    }
}

/// Who runs a command.
#[derive(Clone, Copy)]
pub enum Handler {
    /// A command that touches only data.
    Data(fn(&mut Ctx<'_>) -> Result<(), Fail>),
    /// A command of the server, named by [`Node`].
    Node(Node),
    /// Has subcommands, one of which runs.
    Container,
}

/// Commands that need more than data: the server runs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    Acl,
    Auth,
    Bgrewriteaof,
    Bgsave,
    Client,
    Command,
    Config,
    Debug,
    Discard,
    Echo,
    Eval,
    Exec,
    Failover,
    Fcall,
    Flushall,
    Flushdb,
    Function,
    Hello,
    Info,
    Lastsave,
    Latency,
    Lolwut,
    Memory,
    Migrate,
    Monitor,
    Multi,
    Ping,
    Psubscribe,
    Psync,
    ReadsHere,
    Publish,
    Pubsub,
    Punsubscribe,
    Quit,
    Replconf,
    Replicaof,
    Replication,
    Reset,
    Role,
    Save,
    Script,
    Select,
    Shutdown,
    Commandlog,
    Slowlog,
    Spublish,
    Ssubscribe,
    Subscribe,
    Sunsubscribe,
    Swapdb,
    Sync,
    Time,
    Unsubscribe,
    Unwatch,
    Wait,
    Waitaof,
    Watch,
}

/// Finds a command's keys among its arguments.
pub type GetKeys = fn(Args<'_>) -> Keys;

/// A command, or a subcommand.
#[derive(Clone, Copy)]
pub struct Command {
    /// In lower case.
    pub name: &'static str,
    /// `container|subcommand`, or just the name. The table knows it.
    pub full_name: &'static str,
    /// The place among all commands and subcommands, which are numbered without gaps. The table gives it.
    pub id: u16,
    /// Arguments with the name; negative: at least so many.
    pub arity: i32,
    pub flags: u32,
    pub group: Group,
    pub handler: Handler,
    pub acl: u32,
    pub since: &'static str,
    pub complexity: &'static str,
    pub summary: &'static str,
    pub tips: &'static [&'static str],
    pub keys: &'static [KeySpec],
    /// Finds the keys, or their flags, where the specifications can't.
    pub get_keys: Option<GetKeys>,
    pub channels: Channels,
    pub subcommands: &'static [Command],
}

impl Command {
    pub const fn new(name: &'static str, arity: i32, flags: u32, group: Group, handler: Handler) -> Command {
        let mut acl = if flags & flag::FAST != 0 { acl::FAST } else { acl::SLOW };
        if flags & flag::WRITE != 0 {
            acl |= acl::WRITE;
        }
        if flags & flag::READONLY != 0 {
            acl |= acl::READ;
        }
        if flags & flag::ADMIN != 0 {
            acl |= acl::ADMIN | acl::DANGEROUS;
        }
        if flags & flag::PUBSUB != 0 {
            acl |= acl::PUBSUB;
        }
        if flags & flag::BLOCKING != 0 {
            acl |= acl::BLOCKING;
        }
        Command {
            name,
            full_name: name,
            id: u16::MAX,
            arity,
            flags,
            group,
            handler,
            acl,
            since: "",
            complexity: "",
            summary: "",
            tips: &[],
            keys: &[],
            get_keys: None,
            channels: Channels::None,
            subcommands: &[],
        }
    }

    pub const fn acl(mut self, categories: u32) -> Command {
        self.acl |= categories;
        self
    }

    /// Not of these categories, though its flags say so.
    pub const fn without_acl(mut self, categories: u32) -> Command {
        self.acl &= !categories;
        self
    }

    pub const fn since(mut self, version: &'static str) -> Command {
        self.since = version;
        self
    }

    pub const fn complexity(mut self, text: &'static str) -> Command {
        self.complexity = text;
        self
    }

    pub const fn summary(mut self, text: &'static str) -> Command {
        self.summary = text;
        self
    }

    pub const fn tips(mut self, tips: &'static [&'static str]) -> Command {
        self.tips = tips;
        self
    }

    pub const fn keys(mut self, keys: &'static [KeySpec]) -> Command {
        self.keys = keys;
        self
    }

    pub const fn get_keys(mut self, find: GetKeys) -> Command {
        self.get_keys = Some(find);
        self
    }

    pub const fn channels(mut self, channels: Channels) -> Command {
        self.channels = channels;
        self
    }

    pub const fn subcommands(mut self, subcommands: &'static [Command]) -> Command {
        self.subcommands = subcommands;
        self
    }

    pub const fn is(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    pub const fn arity_fits(&self, count: usize) -> bool {
        if self.arity < 0 { count >= self.arity.unsigned_abs() as usize } else { count == self.arity as usize }
    }
}
