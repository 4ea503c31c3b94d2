//! What a directive is: a row of the table, and how its value is read from words and written as text.

use super::Config;
use super::values::Field;

/// CONFIG SET refuses it.
pub const IMMUTABLE: u8 = 1;
/// CONFIG GET shows it only by its exact name.
pub const HIDDEN: u8 = 2;
/// CONFIG SET refuses it unless `enable-protected-configs` allows.
pub const PROTECTED: u8 = 4;
/// Takes several words.
pub const MULTI_ARG: u8 = 8;
/// Its value is kept out of the slow log and of MONITOR.
pub const SENSITIVE: u8 = 16;
/// Accepted and kept, but it changes nothing here: a warning says so when it is not the default.
pub const NO_MEANING: u8 = 32;
/// CONFIG SET applies it also when it has the same value: what it names may have changed.
pub const VOLATILE: u8 = 128;
/// CONFIG SET refuses it while data is loaded.
pub const DENY_LOADING: u8 = 64;

/// Waited for only if it is given, whatever the value.
pub const DISKLESS_SYNC_DELAY: &str = "repl-diskless-sync-delay";

/// A rule for a text beyond its type; the error is the reason.
pub type Check = fn(&str) -> Result<(), &'static str>;

/// What values a directive takes. Bounds are inclusive.
pub enum Kind {
    Bool,
    /// `no`, or `yes` if the check lets it.
    BoolIf(fn() -> Result<(), &'static str>),
    Integer(i128, i128),
    /// Bytes, with units: 1k is 1000, 1kb is 1024.
    Memory(i128, i128),
    /// [`Kind::Memory`], or the word `auto`.
    MemoryOrAuto(i128, i128),
    /// [`Kind::Memory`] from 0, or `N%`.
    MemoryOrPercent(i128),
    Octal(i128),
    Text(Check),
    /// A text for which empty is the same as not set.
    OptionalText(Check),
    /// One of some words, kept as text.
    Word(&'static [&'static str]),
    /// One of some words, kept as an enum.
    Choice,
    /// [`super::ShutdownOn`].
    Flags,
    Save,
    BufferLimits,
    OomValues,
    Events,
    Bind,
    ReplicaOf,
    Percentiles,
    Dir,
}

/// What a change at run time asks of the server, beside the value itself, which is looked at when it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {
    Nothing,
    /// Listens on other addresses, or on another port.
    Bind,
    Listen,
    /// Listens on another port with TLS.
    ListenTls,
    /// Reads certificates and keys, and makes of them what new connections begin with.
    Tls,
    /// Goes to another directory.
    Directory,
    LogLevel,
    /// Writes lines of another form.
    LogFormat,
    /// Shows another title in the list of processes.
    ProcTitle,
    /// Reports crashes or not.
    CrashLog,
    /// Winds up the timer that watches the turns.
    Watchdog,
    /// Tells the kernel another score.
    OomScore,
    /// Starts or ends the allocator's thread.
    AllocatorThread,
    /// Makes room for so many connections.
    MaxClients,
    /// Counts the clients' memory.
    ClientMemory,
    /// Gives the default user its password.
    DefaultPassword,
    /// Makes room in memory.
    Maxmemory,
    /// Tells helpers how slow they are to be.
    Delays,
    /// Begins or ends append-only files.
    AppendOnly,
    AppendFsync,
    /// Removes old parts of append-only files that were kept.
    AppendOnlyHistory,
    LatencyTracking,
    /// Tells the link to the master, the replicas' sessions and the backlog.
    Replication,
}

/// A row of the table.
pub struct Directive {
    pub name: &'static str,
    /// Old names.
    pub aliases: &'static [&'static str],
    pub kind: Kind,
    pub flags: u8,
    pub apply: Apply,
    /// For people: docs/configuration.md is made from it.
    pub doc: &'static str,
    pub(super) field: fn(&Config) -> &dyn Field,
    pub(super) field_mut: fn(&mut Config) -> &mut dyn Field,
}

impl Directive {
    /// The directive of a name or an old name in any case of letters, with that name as the table has it.
    pub fn find(name: &[u8]) -> Option<(&'static Directive, &'static str)> {
        super::DIRECTIVES
            .iter()
            .find_map(|d| d.names().find(|known| name.eq_ignore_ascii_case(known.as_bytes())).map(|known| (d, known)))
    }

    /// The name and the old names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The value as CONFIG GET shows it.
    pub fn text(&self, config: &Config) -> Vec<u8> {
        (self.field)(config).text(&self.kind)
    }

    /// Gives the directive the value that the words say; the error is the reason why they can't.
    pub(super) fn assign(&self, config: &mut Config, words: &[Vec<u8>]) -> Result<(), String> {
        (self.field_mut)(config).set(&self.kind, words)?;
        config.repl_diskless_sync_delay_is_set |= self.name == DISKLESS_SYNC_DELAY;
        config.derive();
        Ok(())
    }

    pub(super) fn is_same(&self, a: &Config, b: &Config) -> bool {
        self.text(a) == self.text(b)
    }
}
