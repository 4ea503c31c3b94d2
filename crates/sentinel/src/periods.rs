//! The intervals by which a Sentinel works, which SENTINEL DEBUG shows and sets.

/// Declares the intervals: field, name for SENTINEL DEBUG, default in ms.
macro_rules! periods {
    ($($(#[$doc:meta])* $field:ident, $name:literal, $default:literal;)*) => {
        /// Intervals in ms; each is at least 1.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Periods { $($(#[$doc])* pub $field: u64,)* }

        impl Default for Periods {
            fn default() -> Periods {
                Periods { $($field: $default,)* }
            }
        }

        impl Periods {
            /// Names and values, in the order in which they are shown.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$(($name, self.$field),)*]
            }

            /// The interval of a name, in any case of letters.
            pub fn find_mut(&mut self, name: &[u8]) -> Option<&mut u64> {
                $(if name.eq_ignore_ascii_case($name.as_bytes()) { return Some(&mut self.$field); })*
                None
            }
        }
    };
}

periods! {
    /// Between two INFOs.
    info_ms, "INFO-PERIOD", 10_000;
    /// Between two PINGs.
    ping_ms, "PING-PERIOD", 1_000;
    /// Between two questions to another Sentinel whether a master is down.
    ask_ms, "ASK-PERIOD", 1_000;
    /// Between two hello messages.
    publish_ms, "PUBLISH-PERIOD", 2_000;
    /// `down-after-milliseconds` of a master that is not told one.
    default_down_after_ms, "DEFAULT-DOWN-AFTER", 30_000;
    /// `failover-timeout` of a master that is not told one.
    default_failover_timeout_ms, "DEFAULT-FAILOVER-TIMEOUT", 180_000;
    /// A Sentinel that was not run for longer than this does not trust what it believes.
    tilt_trigger_ms, "TILT-TRIGGER", 2_000;
    /// For so long.
    tilt_ms, "TILT-PERIOD", 30_000;
    /// A replica that was told of its new master has so long to go there.
    reconf_timeout_ms, "SLAVE-RECONF-TIMEOUT", 10_000;
    /// A connection is given so long before it is replaced for being silent.
    reconnect_ms, "MIN-LINK-RECONNECT-PERIOD", 15_000;
    /// An election takes at most so long.
    election_timeout_ms, "ELECTION-TIMEOUT", 10_000;
    /// A script may run so long.
    script_max_ms, "SCRIPT-MAX-RUNTIME", 60_000;
    /// Before a script that failed is run again; twice as long each time.
    script_retry_ms, "SCRIPT-RETRY-DELAY", 30_000;
}
