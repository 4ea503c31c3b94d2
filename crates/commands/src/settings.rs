//! The directives that commands on data look at. The server keeps them in step with its configuration.

use rivulet_keyspace::Limits;

/// How the 24 clock bits of an entry are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockUse {
    /// Seconds of the last access.
    Lru,
    /// Minutes of the last decay, and a logarithmic counter of accesses.
    Lfu { log_factor: u32, decay_minutes: u32 },
    /// As [`ClockUse::Lru`], while commands run that leave no mark on the keys that they use.
    LruUntouched,
    /// As [`ClockUse::Lfu`], likewise.
    LfuUntouched { log_factor: u32, decay_minutes: u32 },
}

impl ClockUse {
    /// The same, whether commands leave marks or not.
    pub fn touched(self) -> ClockUse {
        match self {
            ClockUse::LruUntouched => ClockUse::Lru,
            ClockUse::LfuUntouched { log_factor, decay_minutes } => ClockUse::Lfu { log_factor, decay_minutes },
            clock => clock,
        }
    }

    /// The same for commands that leave no mark.
    pub fn untouched(self) -> ClockUse {
        match self {
            ClockUse::Lru => ClockUse::LruUntouched,
            ClockUse::Lfu { log_factor, decay_minutes } => ClockUse::LfuUntouched { log_factor, decay_minutes },
            clock => clock,
        }
    }
}

/// Directives that commands look at.
#[derive(Clone, Debug)]
pub struct Settings {
    pub limits: Limits,
    /// `hll-sparse-max-bytes`: how long a sparse HyperLogLog may become.
    pub hll_sparse_max_bytes: u64,
    /// `proto-max-bulk-len`, bytes.
    pub bulk_len_max: u64,
    pub lazyfree_lazy_expire: bool,
    pub lazyfree_lazy_server_del: bool,
    pub lazyfree_lazy_user_del: bool,
    pub clock: ClockUse,
    /// Classes of `notify-keyspace-events`; 0 is none.
    pub notify: u32,
    /// `maxmemory-policy` evicts by access: integers are not shared then.
    pub policy_uses_clock: bool,
    /// `sanitize-dump-payload`.
    pub sanitize_dump: bool,
    /// RESTORE does not look at checksums (`DEBUG SET-SKIP-CHECKSUM-VALIDATION`).
    pub skips_checksums: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            limits: Limits::default(),
            hll_sparse_max_bytes: 3000,
            bulk_len_max: 512 << 20,
            lazyfree_lazy_expire: false,
            lazyfree_lazy_server_del: false,
            lazyfree_lazy_user_del: false,
            clock: ClockUse::Lru,
            notify: 0,
            policy_uses_clock: false,
            sanitize_dump: false,
            skips_checksums: false,
        }
    }
}
