//! What a client is to the commands that it sends: who it is, what it speaks, what it watches, listens to and waits for.
//! It knows nothing of sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use rivulet_acl::User;
use rivulet_commands::Command;
use rivulet_commands::spec::flag;
use rivulet_resp::{Args, OwnedArgs};

use crate::blocked::Blocked;
use crate::channel::ChannelKind;
use crate::tracking::tracker::Tracker;

/// What kind of peer speaks, for limits and CLIENT KILL TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Normal,
    Pubsub,
    Replica,
    Master,
}

/// Where the scripts of a client run that it debugs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugMode {
    /// In a child process: what they change is gone with it.
    Apart,
    /// In the server, which serves nobody else meanwhile.
    Here,
}

/// Which replies a client wants (CLIENT REPLY).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyMode {
    On,
    Off,
    /// Not this one, nor that of CLIENT REPLY SKIP itself.
    SkipNext,
    Skip,
}

/// A transaction that is being queued.
#[derive(Default)]
pub struct Multi {
    pub queued: Vec<(&'static Command, OwnedArgs)>,
    /// A command was refused while it was queued: EXEC fails.
    pub broken: bool,
    pub memory_bytes: usize,
    /// One of the queued commands writes.
    pub writes: bool,
    /// One of the commands writes, or goes to the replicas though it does not.
    pub may_replicate: bool,
    /// One of them may tell what is in the keys.
    pub reads: bool,
    pub denies_oom: bool,
    /// One of them may not run while the link to the master is down.
    pub denies_stale: bool,
    /// One of them may not run while data is loaded.
    pub denies_loading: bool,
    pub denies_async_loading: bool,
}

impl Multi {
    /// A command waits for EXEC; the flags are those that it has with these arguments.
    pub fn queue(&mut self, command: &'static Command, args: Args<'_>, flags: u32) {
        let has = |flag: u32| flags & flag != 0;
        let args = args.to_owned();
        self.memory_bytes += args.memory_bytes();
        self.writes |= has(flag::WRITE);
        self.may_replicate |= has(flag::WRITE) || has(flag::MAY_REPLICATE);
        self.reads |= has(flag::READONLY) || has(flag::NO_MANDATORY_KEYS);
        self.denies_oom |= has(flag::DENYOOM);
        self.denies_stale |= !has(flag::STALE);
        self.denies_loading |= !has(flag::LOADING);
        self.denies_async_loading |= has(flag::NO_ASYNC_LOADING);
        self.queued.push((command, args));
    }
}

/// A key that clients watch: (database, key).
pub type WatchedKey = (usize, Arc<[u8]>);

/// What is kept of a key that a client watches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    /// Its deadline had passed when the watch began, and it is still there: when it goes nothing has changed.
    pub expired: bool,
}

/// About what a watched key takes, here and in the list of those who watch it.
const WATCHED_BYTES: usize = size_of::<(WatchedKey, Watched)>() + 32;
/// About what a subscription takes, here and in the channel's list.
const SUBSCRIPTION_BYTES: usize = 64;

/// Keys that a session watches, and whether one of them has changed.
#[derive(Default)]
pub struct Watches {
    pub keys: BTreeMap<WatchedKey, Watched>,
    pub broken: bool,
}

/// What a session listens to.
#[derive(Default)]
pub struct Subscriptions {
    pub channels: BTreeSet<Arc<[u8]>>,
    pub patterns: BTreeSet<Arc<[u8]>>,
    pub shard_channels: BTreeSet<Arc<[u8]>>,
}

impl Subscriptions {
    /// Those of a kind.
    pub fn of(&self, kind: ChannelKind) -> &BTreeSet<Arc<[u8]>> {
        match kind {
            ChannelKind::Plain => &self.channels,
            ChannelKind::Pattern => &self.patterns,
            ChannelKind::Shard => &self.shard_channels,
        }
    }

    /// Those of a kind, to be changed.
    pub(crate) fn of_mut(&mut self, kind: ChannelKind) -> &mut BTreeSet<Arc<[u8]>> {
        match kind {
            ChannelKind::Plain => &mut self.channels,
            ChannelKind::Pattern => &mut self.patterns,
            ChannelKind::Shard => &mut self.shard_channels,
        }
    }

    /// How many a client is told that it has: shard channels count apart.
    pub fn shown_len(&self, kind: ChannelKind) -> usize {
        match kind {
            ChannelKind::Shard => self.shard_channels.len(),
            _ => self.channels.len() + self.patterns.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Channels and patterns.
    pub fn len(&self) -> usize {
        self.channels.len() + self.patterns.len() + self.shard_channels.len()
    }
}

/// Who a session is, and what follows from that for its commands.
pub struct Login {
    /// As it is now: who changes a user renews the logins.
    pub user: Arc<User>,
    /// It has given a password, or needed none when it came.
    pub proven: bool,
    /// It is proven, or nobody needs a password now.
    pub authenticated: bool,
    /// It is authenticated as a user that may do all: its commands need no look.
    pub is_free: bool,
    /// The command that runs may read keys that it does not name. It is always so for who is free; else it is found out for each such command.
    pub reads_any_key: bool,
    /// It is free and wishes nothing: what is asked before each command.
    pub is_plain: bool,
    wishes: Wishes,
}

/// What a session asks for that holds for all its commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Its commands leave no mark on when keys were used (CLIENT NO-TOUCH).
    pub no_touch: bool,
    /// It knows how to go to the master when a replica tells it to (CLIENT CAPA redirect).
    pub redirect: bool,
    /// What it reads it may read from a replica, though that could tell it where the master is (READONLY).
    pub reads_here: bool,
    /// The keys that its commands read are remembered for it, in some mode but the broadcasting one (CLIENT TRACKING).
    pub tracking: bool,
}

/// The library that a client says it uses (CLIENT SETINFO).
#[derive(Clone, Debug, Default)]
pub struct Library {
    pub name: Vec<u8>,
    pub version: Vec<u8>,
}

/// Who may do all and is no user: the master, and files that are replayed.
static SUPERUSER: LazyLock<Arc<User>> = LazyLock::new(|| Arc::new(User::first(b"(superuser)")));

impl Login {
    /// A session of a user; `is_open` says that the default user needs no password.
    pub fn of(user: Arc<User>, proven: bool, is_open: bool) -> Login {
        let authenticated = proven || is_open;
        let is_free = authenticated && user.allows_all();
        let wishes = Wishes::default();
        Login { user, proven, authenticated, is_free, reads_any_key: is_free, is_plain: is_free, wishes }
    }

    /// Who is asked for no password, and refused nothing.
    pub fn superuser() -> Login {
        Login::of(SUPERUSER.clone(), true, false)
    }

    /// A connection that has not been greeted: it may do nothing.
    fn nobody() -> Login {
        Login::of(SUPERUSER.clone(), false, false)
    }
}

/// What of its replies a session is sent.
pub struct Replies {
    pub mode: ReplyMode,
    /// What was written since the last reply goes out though replies are off: it tells of subscriptions.
    pub pushed: bool,
}

/// The state of one client's conversation.
pub struct Session {
    pub kind: Kind,
    /// The server itself asks, for its page: it is not among the clients that are shown or counted, and waits for no pause.
    pub is_internal: bool,
    pub db: usize,
    pub resp3: bool,
    pub name: Vec<u8>,
    pub login: Login,
    pub library: Option<Box<Library>>,
    pub replies: Replies,
    pub monitor: bool,
    pub multi: Option<Multi>,
    pub watches: Watches,
    pub subscriptions: Subscriptions,
    /// How it tracks keys, if it does.
    pub tracking: Option<Box<Tracker>>,
    pub blocked: Option<Box<Blocked>>,
    /// Where its scripts are debugged, if it wants that (SCRIPT DEBUG).
    pub debugs: Option<DebugMode>,
    /// Offset of the log after its last write, for WAIT.
    pub written_offset: u64,
    pub last_command: Option<&'static Command>,
}

impl Session {
    #[inline]
    pub fn is_master(&self) -> bool {
        self.kind == Kind::Master
    }

    #[inline]
    pub fn is_replica(&self) -> bool {
        self.kind == Kind::Replica
    }

    /// The session is another user's, or its user has changed; what it wishes stays.
    pub fn log_in(&mut self, login: Login) {
        let wishes = self.login.wishes;
        self.login = login;
        self.set_wishes(wishes);
    }

    pub fn wishes(&self) -> Wishes {
        self.login.wishes
    }

    pub fn set_wishes(&mut self, wishes: Wishes) {
        self.login.wishes = wishes;
        self.login.is_plain = self.login.is_free && wishes == Wishes::default();
    }
}

impl Default for Session {
    fn default() -> Session {
        Session {
            kind: Kind::Normal,
            is_internal: false,
            db: 0,
            resp3: false,
            name: Vec::new(),
            login: Login::nobody(),
            library: None,
            replies: Replies { mode: ReplyMode::On, pushed: false },
            monitor: false,
            multi: None,
            watches: Watches::default(),
            subscriptions: Subscriptions::default(),
            tracking: None,
            blocked: None,
            debugs: None,
            written_offset: 0,
            last_command: None,
        }
    }
}

impl Session {
    /// Bytes of what it asked the server to keep.
    pub fn memory_bytes(&self) -> usize {
        self.multi.as_ref().map_or(0, |m| m.memory_bytes)
            + self.name.capacity()
            + self.watches.keys.len() * WATCHED_BYTES
            + self.subscriptions.len() * SUBSCRIPTION_BYTES
            + self.tracking.as_ref().map_or(0, |tracker| tracker.memory_bytes())
    }
}
