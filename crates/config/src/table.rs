//! The table of all directives: one row is one directive, and adding one is adding its row.
//!
//! A row gives the name and its old name, the field of [`Config`] with type and default, what values it takes, flags, and a sentence for the
//! documentation. The struct, its defaults and [`DIRECTIVES`] come from the rows. Names and defaults are those of Redis 7.0.15.

use std::path::PathBuf;

use super::directive::{Apply, Directive, Kind::*};
use super::directive::{DENY_LOADING, HIDDEN, IMMUTABLE, MULTI_ARG, NO_MEANING, PROTECTED, SENSITIVE, VOLATILE};
use super::values::*;
use super::{check, current_dir};
use crate::Level;

const INT_MAX: i128 = i32::MAX as i128;
const INT_MIN: i128 = i32::MIN as i128;
const UINT_MAX: i128 = u32::MAX as i128;
const LONG_MAX: i128 = i64::MAX as i128;
const ULONG_MAX: i128 = u64::MAX as i128;

const YES_NO_LOCAL: &[&str] = &["no", "yes", "local"];
const FACILITIES: &[&str] = &["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"];

/// Where a server listens that isn't told: on all addresses, of which IPv6 may be missing.
pub(super) const BIND_DEFAULT: [&str; 2] = ["*", "-::*"];

macro_rules! apply {
    () => {
        Apply::Nothing
    };
    ($apply:ident) => {
        Apply::$apply
    };
}

macro_rules! directives {
    ($($name:literal $(| $alias:literal)? => $field:ident: $type:ty = $default:expr, $kind:expr, $flags:expr $(=> $apply:ident)?, $doc:literal;)*) => {
        /// The configuration: the value of each directive, under its name with underscores.
        #[derive(Clone, PartialEq)]
        pub struct Config {
            $(#[doc = $doc] pub $field: $type,)*
            /// `bind` says what it says by default.
            pub bind_is_default: bool,
            /// It was given, so it is waited for.
            pub repl_diskless_sync_delay_is_set: bool,
            /// The file that was read, as an absolute path; CONFIG REWRITE writes it.
            pub file: Option<PathBuf>,
        }

        impl Default for Config {
            fn default() -> Self {
                Config { $($field: $default,)* bind_is_default: true, repl_diskless_sync_delay_is_set: false, file: None }
            }
        }

        /// All directives that CONFIG GET and CONFIG SET know.
        pub static DIRECTIVES: &[Directive] = &[$(Directive {
            name: $name,
            aliases: &[$($alias)?],
            kind: $kind,
            flags: $flags,
            apply: apply!($($apply)?),
            doc: $doc,
            field: |c| &c.$field,
            field_mut: |c| &mut c.$field,
        },)*];
    };
}

directives! {
    // Network.
    "port" => port: u16 = 6379, Integer(0, 65535), 0 => Listen, "TCP port; 0 listens on none.";
    "bind" => bind: Vec<String> = BIND_DEFAULT.map(String::from).to_vec(), Bind, MULTI_ARG => Bind, "Addresses to listen on; one with a leading `-` may be missing, `*` is all of IPv4, `::*` all of IPv6.";
    "bind-source-addr" => bind_source_addr: String = String::new(), OptionalText(check::any), 0, "Address that connections to a master leave from.";
    "unixsocket" => unixsocket: String = String::new(), OptionalText(check::any), IMMUTABLE, "Path of a Unix socket to listen on.";
    "unixsocketperm" => unixsocketperm: u32 = 0, Octal(0o777), IMMUTABLE, "Permissions of the Unix socket, octal; 0 leaves them to the umask.";
    "tcp-backlog" => tcp_backlog: u32 = 511, Integer(0, INT_MAX), IMMUTABLE, "Connections that may wait to be accepted.";
    "tcp-keepalive" => tcp_keepalive: u64 = 300, Integer(0, INT_MAX), 0, "Seconds between probes of silent connections; 0 sends none.";
    "timeout" => timeout: u64 = 0, Integer(0, INT_MAX), 0, "Seconds after which an idle client is closed; 0 is never.";
    "maxclients" => maxclients: u64 = 10000, Integer(1, UINT_MAX), 0 => MaxClients, "Clients that may be connected at once.";
    "protected-mode" => protected_mode: bool = true, Bool, 0, "Without a password, serve local clients only.";
    "socket-mark-id" => socket_mark_id: u32 = 0, Integer(0, UINT_MAX), IMMUTABLE | NO_MEANING, "Mark for the listening sockets' packets.";
    "client-output-buffer-limit" => client_output_buffer_limit: [(u64, u64, u64); 3] = OUTPUT_LIMITS_DEFAULT, BufferLimits, MULTI_ARG => Replication, "Per class (normal, replica, pubsub): hard limit, soft limit and the seconds that the soft one may be passed; 0 is no limit.";
    "client-query-buffer-limit" => client_query_buffer_limit: u64 = 1 << 30, Memory(1 << 20, LONG_MAX), 0, "Bytes that a client may send without completing a command.";
    "proto-max-bulk-len" => proto_max_bulk_len: u64 = 512 << 20, Memory(1 << 20, LONG_MAX), 0, "Length of the longest argument, and of the longest string.";
    "io-threads" => io_threads: u64 = 1, Integer(1, 128), IMMUTABLE | NO_MEANING, "Threads that serve sockets.";
    "io-threads-do-reads" => io_threads_do_reads: bool = false, Bool, IMMUTABLE | NO_MEANING, "The threads that serve sockets read, too.";

    // The page.
    "http-port" => http_port: u16 = 0, Integer(0, 65535), IMMUTABLE, "Port of the page that shows the replication, and of what is for monitoring (docs/page.md); 0 is none.";
    "http-bind" => http_bind: String = "127.0.0.1".into(), Text(check::addresses), IMMUTABLE, "Addresses of the page, between blanks. To look at it needs no password.";
    "http-ready-max-lag-bytes" => http_ready_max_lag_bytes: u64 = 0, Memory(0, LONG_MAX), 0, "`/readyz` says no for a replica that is further behind; 0 is no bound.";
    "http-ready-max-lag-seconds" => http_ready_max_lag_seconds: u64 = 0, Integer(0, INT_MAX), 0, "The same in seconds.";

    // General.
    "daemonize" => daemonize: bool = false, Bool, IMMUTABLE, "Run in the background.";
    "supervised" => supervised: String = "no".into(), Word(&["upstart", "systemd", "auto", "no"]), IMMUTABLE, "Who supervises the process, and is told when it is ready: systemd over the socket that `NOTIFY_SOCKET` names.";
    "pidfile" => pidfile: String = String::new(), OptionalText(check::any), IMMUTABLE, "File that holds the process id; in the background it is /var/run/redis.pid if not set.";
    "loglevel" => loglevel: Level = Level::Notice, Choice, 0 => LogLevel, "Least level of lines that are logged.";
    "logfile" => logfile: String = String::new(), Text(check::any), IMMUTABLE, "The log's file; empty is standard output.";
    "log-format" => log_format: LogFormat = LogFormat::Legacy, Choice, 0 => LogFormat, "Form of the log's lines; logfmt is pairs of names and values, json an object a line.";
    "log-timestamp-format" => log_timestamp_format: LogTime = LogTime::Legacy, Choice, 0 => LogFormat, "Form of the time in the log's lines.";
    "syslog-enabled" => syslog_enabled: bool = false, Bool, IMMUTABLE, "Log to the system's log, too (`/dev/log`).";
    "syslog-ident" => syslog_ident: String = "redis".into(), Text(check::any), IMMUTABLE, "Name in the system's log.";
    "syslog-facility" => syslog_facility: String = "local0".into(), Word(FACILITIES), IMMUTABLE, "Facility in the system's log.";
    "databases" => databases: u64 = 16, Integer(1, INT_MAX), IMMUTABLE, "Number of databases.";
    "always-show-logo" => always_show_logo: bool = false, Bool, IMMUTABLE, "Write the banner also when the log is not a terminal.";
    "set-proc-title" => set_proc_title: bool = true, Bool, IMMUTABLE, "Show the server's addresses in the list of processes.";
    "proc-title-template" => proc_title_template: String = "{title} {listen-addr} {server-mode}".into(), Text(check::proc_title), 0 => ProcTitle, "What the list of processes shows.";
    "hz" => hz: u64 = 10, Integer(0, INT_MAX), 0, "Runs of the periodic tasks per second, from 1 to 500.";
    "dynamic-hz" => dynamic_hz: bool = true, Bool, 0, "With many clients, run the periodic tasks more often.";
    "enable-protected-configs" => enable_protected_configs: String = "no".into(), Word(YES_NO_LOCAL), IMMUTABLE, "Who may change protected directives with CONFIG SET.";
    "enable-debug-command" => enable_debug_command: String = "no".into(), Word(YES_NO_LOCAL), IMMUTABLE, "Who may use DEBUG.";
    "enable-module-command" => enable_module_command: String = "no".into(), Word(YES_NO_LOCAL), IMMUTABLE, "Who may use MODULE.";
    "crash-log-enabled" => crash_log_enabled: bool = true, Bool, 0 => CrashLog, "Log a report when the process crashes.";
    "crash-memcheck-enabled" => crash_memcheck_enabled: bool = true, Bool, NO_MEANING, "Check the memory in a crash.";
    "use-exit-on-panic" => use_exit_on_panic: bool = false, Bool, HIDDEN => CrashLog, "End with an exit status instead of a signal when something is wrong inside.";
    "disable-thp" => disable_thp: bool = true, Bool, IMMUTABLE | NO_MEANING, "Keep the process from using transparent huge pages.";
    "ignore-warnings" => ignore_warnings: String = String::new(), Text(check::any), NO_MEANING, "Warnings about the system that don't stop the start.";
    "oom-score-adj" => oom_score_adj: OomScoreAdj = OomScoreAdj::No, Choice, 0 => OomScore, "Tell the kernel which process to kill first when memory runs out.";
    "oom-score-adj-values" => oom_score_adj_values: [i32; 3] = [0, 200, 800], OomValues, MULTI_ARG => OomScore, "The scores for master, replica and background work.";
    "server-cpulist" | "server_cpulist" => server_cpulist: String = String::new(), OptionalText(check::any), IMMUTABLE | NO_MEANING, "Processors for the main thread.";
    "bio-cpulist" | "bio_cpulist" => bio_cpulist: String = String::new(), OptionalText(check::any), IMMUTABLE | NO_MEANING, "Processors for the helper threads.";
    "aof-rewrite-cpulist" | "aof_rewrite_cpulist" => aof_rewrite_cpulist: String = String::new(), OptionalText(check::any), IMMUTABLE | NO_MEANING, "Processors for the rewrite of the append-only file.";
    "bgsave-cpulist" | "bgsave_cpulist" => bgsave_cpulist: String = String::new(), OptionalText(check::any), IMMUTABLE | NO_MEANING, "Processors for snapshots.";
    "watchdog-period" => watchdog_period: u64 = 0, Integer(0, INT_MAX), HIDDEN => Watchdog, "Milliseconds that one command may take before the log says where it is; 0 is off.";

    // Security.
    "requirepass" => requirepass: Vec<u8> = Vec::new(), OptionalText(check::any), SENSITIVE => DefaultPassword, "Password of the default user; empty is none.";
    "aclfile" => aclfile: String = String::new(), Text(check::any), IMMUTABLE, "File of the users.";
    "acl-pubsub-default" => acl_pubsub_default: String = "resetchannels".into(), Word(&["allchannels", "resetchannels"]), 0, "Channels that a new user may use.";
    "acllog-max-len" => acllog_max_len: u64 = 128, Integer(0, LONG_MAX), 0, "Entries of ACL LOG.";

    // Snapshots.
    "save" => save: Vec<(u64, u64)> = SAVE_DEFAULT.to_vec(), Save, MULTI_ARG, "Save a snapshot after so many seconds if there were so many changes; several pairs; `\"\"` is never.";
    "dir" => dir: String = current_dir(), Dir, PROTECTED | DENY_LOADING => Directory, "Directory of all files; the process runs in it.";
    "dbfilename" => dbfilename: String = "dump.rdb".into(), Text(check::db_file_name), PROTECTED, "Name of the snapshot.";
    "rdbcompression" => rdbcompression: bool = true, Bool, 0, "Compress strings in snapshots.";
    "rdbchecksum" => rdbchecksum: bool = true, Bool, IMMUTABLE, "Snapshots end with a checksum, and it is checked.";
    "rdb-del-sync-files" => rdb_del_sync_files: bool = false, Bool, 0, "Without other persistence, remove the files of full syncs.";
    "rdb-save-incremental-fsync" => rdb_save_incremental_fsync: bool = true, Bool, NO_MEANING, "Sync a snapshot to disk while it is written.";
    "stop-writes-on-bgsave-error" => stop_writes_on_bgsave_error: bool = true, Bool, 0, "Refuse writes after a snapshot failed.";
    "sanitize-dump-payload" => sanitize_dump_payload: String = "no".into(), Word(&["no", "yes", "clients"]), 0, "Check every byte of values that are loaded or restored.";
    "rdb-key-save-delay" => rdb_key_save_delay: i64 = 0, Integer(INT_MIN, INT_MAX), HIDDEN => Delays, "For tests: microseconds to wait per key that is saved; negative is keys per microsecond.";
    "key-load-delay" => key_load_delay: i64 = 0, Integer(INT_MIN, INT_MAX), HIDDEN => Delays, "For tests: microseconds to wait per key that is loaded; negative is keys per microsecond.";
    "loading-process-events-interval-bytes" => loading_process_events_interval_bytes: u64 = 2 << 20, Integer(1024, INT_MAX), HIDDEN, "Bytes that are loaded between two looks at the clients.";

    // Replication.
    "replicaof" | "slaveof" => replicaof: Option<(String, u16)> = None, ReplicaOf, IMMUTABLE | MULTI_ARG, "Host and port of the master; `no one` is none.";
    "masteruser" => masteruser: Vec<u8> = Vec::new(), OptionalText(check::any), SENSITIVE => Replication, "User to log in to the master as.";
    "masterauth" => masterauth: Vec<u8> = Vec::new(), OptionalText(check::any), SENSITIVE => Replication, "Password for the master.";
    "replica-announce-ip" | "slave-announce-ip" => replica_announce_ip: String = String::new(), OptionalText(check::any), 0 => Replication, "Address that the master is told.";
    "replica-announce-port" | "slave-announce-port" => replica_announce_port: u16 = 0, Integer(0, 65535), 0 => Replication, "Port that the master is told; 0 is the one listened on.";
    "replica-announced" => replica_announced: bool = true, Bool, 0 => Replication, "Sentinel shows this replica to clients.";
    "replica-priority" | "slave-priority" => replica_priority: u64 = 100, Integer(0, INT_MAX), 0 => Replication, "Lower is promoted sooner; 0 is never.";
    "replica-serve-stale-data" | "slave-serve-stale-data" => replica_serve_stale_data: bool = true, Bool, 0 => Replication, "Serve reads while the link to the master is down or syncs.";
    "replica-read-only" | "slave-read-only" => replica_read_only: bool = true, Bool, 0 => Replication, "A replica refuses writes.";
    "replica-ignore-maxmemory" | "slave-ignore-maxmemory" => replica_ignore_maxmemory: bool = true, Bool, 0 => Replication, "A replica leaves eviction to its master.";
    "replica-ignore-disk-write-errors" => replica_ignore_disk_write_errors: bool = false, Bool, 0 => Replication, "A replica goes on when it can't write to disk.";
    "replica-lazy-flush" | "slave-lazy-flush" => replica_lazy_flush: bool = false, Bool, 0 => Replication, "Free the old data in the background when a full sync replaces it.";
    "repl-diskless-sync" => repl_diskless_sync: bool = true, Bool, 0 => Replication, "Send snapshots to replicas without a file.";
    "repl-diskless-sync-delay" => repl_diskless_sync_delay: u64 = 5, Integer(0, INT_MAX), 0 => Replication, "Seconds to wait for more replicas before a snapshot starts. While it is not set, nobody waits: replicas that come a little later join.";
    "repl-diskless-sync-max-replicas" => repl_diskless_sync_max_replicas: u64 = 0, Integer(0, INT_MAX), 0 => Replication, "Replicas for which the wait ends early; 0 is no number.";
    "repl-diskless-load" => repl_diskless_load: DisklessLoad = DisklessLoad::Disabled, Choice, DENY_LOADING => Replication, "Load what the master sends while it arrives.";
    "dual-channel-replication-enabled" => dual_channel_replication_enabled: bool = false, Bool, 0 => Replication, "Full syncs over two connections as Valkey does them: the snapshot on its own, the stream beside it. Both ends must say so, and the master must not store snapshots first.";
    "repl-rdb-channel" => repl_rdb_channel: bool = false, Bool, 0 => Replication, "The same, as Redis 8 does it.";
    "replica-full-sync-buffer-limit" => replica_full_sync_buffer_limit: u64 = 0, Memory(0, LONG_MAX), 0 => Replication, "Bytes of the stream that a replica keeps during a full sync, before it leaves the rest to the master; 0 is the hard limit of `client-output-buffer-limit replica`.";
    "repl-ping-replica-period" | "repl-ping-slave-period" => repl_ping_replica_period: u64 = 10, Integer(1, INT_MAX), 0 => Replication, "Seconds between the master's pings.";
    "repl-timeout" => repl_timeout: u64 = 60, Integer(1, INT_MAX), 0 => Replication, "Seconds of silence after which a link is dropped; take 5 to 10 times the ping period.";
    "repl-disable-tcp-nodelay" => repl_disable_tcp_nodelay: bool = false, Bool, 0 => Replication, "Let the kernel gather small packets for replicas.";
    "repl-require-data" => repl_require_data: bool = true, Bool, 0 => Replication, "A replica keeps its data when the master that it had them from comes back without any; `no` makes it as empty as its master.";
    "repl-backlog-size" => repl_backlog_size: BytesOrAuto = BytesOrAuto::Bytes(1 << 20), MemoryOrAuto(1, LONG_MAX), 0 => Replication, "Bytes of the stream that are kept for replicas that come back; `auto` takes twice what is written while a replica is away, as measured, from 1 MiB to 256 MiB.";
    "snapshot-queue-limit" => snapshot_queue_limit: u64 = 8 << 20, Memory(1 << 20, LONG_MAX), 0, "Bytes of a snapshot that are captured and not yet written or sent; the walker waits beyond that.";
    "snapshot-limbo-limit" => snapshot_limbo_limit: u64 = 256 << 20, Memory(1 << 20, LONG_MAX), 0, "A snapshot fails, and is tried again, when so many bytes wait to be written because writes overtake it.";
    "log-queue-limit" => log_queue_limit: u64 = 256 << 20, Memory(1 << 20, LONG_MAX), 0, "Writes wait while so many bytes wait to be written to the append-only file.";
    "repl-sync-window" => repl_sync_window: u64 = 64 << 20, Memory(0, LONG_MAX), 0 => Replication, "Bytes of a snapshot without a file that wait in memory for slow replicas, at least `snapshot-queue-limit`; more wait on disk.";
    "repl-hold-limit" => repl_hold_limit: u64 = 0, Memory(0, LONG_MAX), 0 => Replication, "Bytes that may be held for slow replicas, all together: of the stream beyond the backlog, and of full syncs on disk. Beyond that, or when the disk is full, the slowest is cut off. 0 is what the data take in memory, at least the hard limit of `client-output-buffer-limit replica`.";
    "repl-backlog-disk-size" => repl_backlog_disk_size: u64 = 1 << 30, Memory(0, LONG_MAX), 0 => Replication, "Bytes of the stream that are kept on disk behind the backlog in memory; 0 keeps none.";
    "repl-backlog-ttl" => repl_backlog_ttl: u64 = 3600, Integer(0, LONG_MAX), 0 => Replication, "Seconds without replicas after which the backlog is freed; 0 is never.";
    "min-replicas-to-write" | "min-slaves-to-write" => min_replicas_to_write: u64 = 0, Integer(0, INT_MAX), 0 => Replication, "Good replicas that a write needs; 0 is off.";
    "min-replicas-max-lag" | "min-slaves-max-lag" => min_replicas_max_lag: u64 = 10, Integer(0, INT_MAX), 0 => Replication, "Seconds since its last acknowledgement for which a replica is good; 0 turns the check off.";
    "synchronous-replicas" => synchronous_replicas: u64 = 0, Integer(0, 1000), 0 => Replication, "Replicas that must have acknowledged a write before its reply leaves; 0 is off.";
    "synchronous-commit" => synchronous_commit: SynchronousCommit = SynchronousCommit::Applied, Choice, 0 => Replication, "What such a replica has done with it: received, applied, or fsynced to its append-only files.";
    "synchronous-timeout" => synchronous_timeout: u64 = 0, Integer(0, UINT_MAX), 0 => Replication, "Milliseconds after which the reply is -UNSYNCED instead; 0 waits.";
    "synchronous-reads" => synchronous_reads: bool = false, Bool, 0 => Replication, "Replies to reads wait, too, for what was written and to hear who is the master.";
    "propagation-error-behavior" => propagation_error_behavior: PropagationError = PropagationError::Resync, Choice, 0, "What to do when a command of the master fails here: fetch the data again where that can help (resync), say so and go on (ignore), or end (panic, panic-on-replicas).";
    "shutdown-timeout" => shutdown_timeout: u64 = 10, Integer(0, INT_MAX), 0, "Seconds that a shutdown waits for replicas.";
    "shutdown-on-sigint" => shutdown_on_sigint: ShutdownOn = ShutdownOn::default(), Flags, MULTI_ARG, "How SIGINT shuts down: default, save, nosave, now, force.";
    "shutdown-on-sigterm" => shutdown_on_sigterm: ShutdownOn = ShutdownOn::default(), Flags, MULTI_ARG, "How SIGTERM shuts down: default, save, nosave, now, force.";

    // Memory.
    "maxmemory" => maxmemory: u64 = 0, Memory(0, ULONG_MAX), 0 => Maxmemory, "Bytes of memory to use at most; 0 is no limit.";
    "maxmemory-policy" => maxmemory_policy: MaxmemoryPolicy = MaxmemoryPolicy::NoEviction, Choice, 0, "What is evicted when the limit is reached.";
    "maxmemory-samples" => maxmemory_samples: u64 = 5, Integer(1, INT_MAX), 0, "Keys that are compared to find one to evict.";
    "maxmemory-eviction-tenacity" => maxmemory_eviction_tenacity: u64 = 10, Integer(0, 100), 0, "How long a command may wait for evictions, from 0 to 100.";
    "maxmemory-clients" => maxmemory_clients: BytesOrPercent = BytesOrPercent::Bytes(0), MemoryOrPercent(LONG_MAX), 0 => ClientMemory, "Memory of all clients together, in bytes or as a part of maxmemory; 0 is no limit.";
    "lfu-log-factor" => lfu_log_factor: u32 = 10, Integer(0, INT_MAX), 0, "How slowly the counter of accesses grows.";
    "lfu-decay-time" => lfu_decay_time: u32 = 1, Integer(0, INT_MAX), 0, "Minutes after which the counter of accesses falls by one.";
    "lazyfree-lazy-eviction" => lazyfree_lazy_eviction: bool = false, Bool, 0, "Free evicted values in the background.";
    "lazyfree-lazy-expire" => lazyfree_lazy_expire: bool = false, Bool, 0, "Free expired values in the background.";
    "lazyfree-lazy-server-del" => lazyfree_lazy_server_del: bool = false, Bool, 0, "Free values that are overwritten in the background.";
    "lazyfree-lazy-user-del" => lazyfree_lazy_user_del: bool = false, Bool, 0, "DEL frees in the background, as UNLINK does.";
    "lazyfree-lazy-user-flush" => lazyfree_lazy_user_flush: bool = false, Bool, 0, "FLUSHALL and the like free in the background unless told otherwise.";
    "active-expire-effort" => active_expire_effort: u64 = 1, Integer(1, 10), 0, "How much is done to find expired keys, from 1 to 10.";
    "activerehashing" => activerehashing: bool = true, Bool, NO_MEANING, "Resize tables while idle; here no table is ever resized as a whole.";
    "jemalloc-bg-thread" => jemalloc_bg_thread: bool = true, Bool, 0 => AllocatorThread, "The allocator returns memory in a thread of its own, also while nothing happens.";
    "activedefrag" => activedefrag: bool = false, BoolIf(check::no_defrag), 0, "Move values to leave fewer holes in memory; here it can't be turned on.";
    "active-defrag-cycle-min" => active_defrag_cycle_min: u64 = 1, Integer(1, 99), NO_MEANING, "Least part of a processor for defragmentation.";
    "active-defrag-cycle-max" => active_defrag_cycle_max: u64 = 25, Integer(1, 99), NO_MEANING, "Most part of a processor for defragmentation.";
    "active-defrag-threshold-lower" => active_defrag_threshold_lower: u64 = 10, Integer(0, 1000), NO_MEANING, "Fragmentation at which defragmentation starts.";
    "active-defrag-threshold-upper" => active_defrag_threshold_upper: u64 = 100, Integer(0, 1000), NO_MEANING, "Fragmentation at which defragmentation does its most.";
    "active-defrag-ignore-bytes" => active_defrag_ignore_bytes: u64 = 100 << 20, Memory(1, LONG_MAX), NO_MEANING, "Wasted bytes below which nothing is defragmented.";
    "active-defrag-max-scan-fields" => active_defrag_max_scan_fields: u64 = 1000, Integer(1, LONG_MAX), NO_MEANING, "Elements of the largest value that is defragmented at once.";

    // Encodings of values.
    "list-max-listpack-size" | "list-max-ziplist-size" => list_max_listpack_size: i64 = -2, Integer(INT_MIN, INT_MAX), 0, "Elements of a list's chunk, or -1 to -5 for 4 to 64 KiB.";
    "list-compress-depth" => list_compress_depth: u64 = 0, Integer(0, INT_MAX), NO_MEANING, "Chunks at each end of a list that are not compressed.";
    "hash-max-listpack-entries" | "hash-max-ziplist-entries" => hash_max_listpack_entries: u64 = 512, Integer(0, LONG_MAX), 0, "Fields up to which a hash is packed.";
    "hash-max-listpack-value" | "hash-max-ziplist-value" => hash_max_listpack_value: u64 = 64, Memory(0, LONG_MAX), 0, "Bytes of an element up to which a hash is packed.";
    "set-max-listpack-entries" => set_max_listpack_entries: u64 = 128, Integer(0, LONG_MAX), 0, "Members up to which a set is packed.";
    "set-max-listpack-value" => set_max_listpack_value: u64 = 64, Integer(0, LONG_MAX), 0, "Bytes of a member up to which a set is packed.";
    "set-max-intset-entries" => set_max_intset_entries: u64 = 512, Integer(0, LONG_MAX), 0, "Members up to which a set of integers is packed.";
    "zset-max-listpack-entries" | "zset-max-ziplist-entries" => zset_max_listpack_entries: u64 = 128, Integer(0, LONG_MAX), 0, "Members up to which a sorted set is packed.";
    "zset-max-listpack-value" | "zset-max-ziplist-value" => zset_max_listpack_value: u64 = 64, Memory(0, LONG_MAX), 0, "Bytes of a member up to which a sorted set is packed.";
    "stream-node-max-bytes" => stream_node_max_bytes: u64 = 4096, Memory(0, LONG_MAX), 0, "Bytes of a stream's node; 0 is no limit.";
    "stream-node-max-entries" => stream_node_max_entries: u64 = 100, Integer(0, LONG_MAX), 0, "Entries of a stream's node; 0 is no limit.";
    "hll-sparse-max-bytes" => hll_sparse_max_bytes: u64 = 3000, Memory(0, LONG_MAX), 0, "Bytes up to which a HyperLogLog is sparse.";

    // Watching.
    "slowlog-log-slower-than" | "commandlog-execution-slower-than" => slowlog_log_slower_than: i64 = 10000, Integer(-1, LONG_MAX), 0, "Microseconds from which a command is in the slow log; -1 is off.";
    "slowlog-max-len" | "commandlog-slow-execution-max-len" => slowlog_max_len: u64 = 128, Integer(0, LONG_MAX), 0, "Entries of the slow log.";
    "commandlog-request-larger-than" => commandlog_request_larger_than: i64 = 1 << 20, Integer(-1, LONG_MAX), 0, "Bytes from which a command's request is in the log of large ones (Valkey 9); -1 is off.";
    "commandlog-large-request-max-len" => commandlog_large_request_max_len: u64 = 128, Integer(0, LONG_MAX), 0, "Entries of the log of large requests.";
    "commandlog-reply-larger-than" => commandlog_reply_larger_than: i64 = 1 << 20, Integer(-1, LONG_MAX), 0, "Bytes from which a command's reply is in the log of large ones (Valkey 9); -1 is off.";
    "commandlog-large-reply-max-len" => commandlog_large_reply_max_len: u64 = 128, Integer(0, LONG_MAX), 0, "Entries of the log of large replies.";
    "latency-monitor-threshold" => latency_monitor_threshold: u64 = 0, Integer(0, LONG_MAX), 0, "Milliseconds from which an event is in LATENCY; 0 is off.";
    "latency-tracking" => latency_tracking: bool = true, Bool, 0 => LatencyTracking, "Keep a histogram of each command's time.";
    "latency-tracking-info-percentiles" => latency_tracking_info_percentiles: Vec<f64> = vec![50.0, 99.0, 99.9], Percentiles, MULTI_ARG, "Percentiles that INFO latencystats shows.";
    "notify-keyspace-events" => notify_keyspace_events: u32 = 0, Events, 0, "Classes of events that are published.";
    "tracking-table-max-keys" => tracking_table_max_keys: u64 = 1000000, Integer(0, LONG_MAX), 0, "Keys that are remembered for clients that cache; 0 is no limit.";
    "busy-reply-threshold" | "lua-time-limit" => busy_reply_threshold: u64 = 5000, Integer(0, LONG_MAX), 0, "Milliseconds after which a script lets other clients be answered with BUSY.";

    "lua-enable-deprecated-api" => lua_enable_deprecated_api: bool = false, Bool, IMMUTABLE | HIDDEN | NO_MEANING, "Scripts see functions that Redis removed.";

    // The append-only file.
    "appendonly" => appendonly: bool = false, Bool, DENY_LOADING => AppendOnly, "Log every write to disk.";
    "appendfilename" => appendfilename: String = "appendonly.aof".into(), Text(check::append_file_name), IMMUTABLE, "First part of the names of the append-only file's parts.";
    "appenddirname" => appenddirname: String = "appendonlydir".into(), Text(check::append_dir_name), IMMUTABLE, "Directory of the append-only file.";
    "appendfsync" => appendfsync: AppendFsync = AppendFsync::EverySec, Choice, 0 => AppendFsync, "When the append-only file is synced to disk.";
    "no-appendfsync-on-rewrite" => no_appendfsync_on_rewrite: bool = false, Bool, 0, "Don't sync to disk during a rewrite.";
    "auto-aof-rewrite-percentage" => auto_aof_rewrite_percentage: u64 = 100, Integer(0, INT_MAX), 0, "Growth at which the append-only file is rewritten; 0 is never.";
    "auto-aof-rewrite-min-size" => auto_aof_rewrite_min_size: u64 = 64 << 20, Memory(0, LONG_MAX), 0, "Bytes below which it is not rewritten.";
    "aof-load-truncated" => aof_load_truncated: bool = true, Bool, 0, "Load an append-only file whose end is cut.";
    "aof-use-rdb-preamble" => aof_use_rdb_preamble: bool = true, Bool, 0, "A rewrite writes a snapshot.";
    "aof-timestamp-enabled" => aof_timestamp_enabled: bool = false, Bool, 0, "Note the time in the append-only file.";
    "aof-rewrite-incremental-fsync" => aof_rewrite_incremental_fsync: bool = true, Bool, NO_MEANING, "Sync a rewrite to disk while it is written.";
    "aof-disable-auto-gc" => aof_disable_auto_gc: bool = false, Bool, 0 => AppendOnlyHistory, "Keep old parts of the append-only file.";

    // Cluster.
    "cluster-enabled" => cluster_enabled: bool = false, Bool, IMMUTABLE | NO_MEANING, "Be a node of a cluster.";
    "cluster-config-file" => cluster_config_file: String = "nodes.conf".into(), Text(check::any), IMMUTABLE | NO_MEANING, "File of the cluster's state.";
    "cluster-node-timeout" => cluster_node_timeout: u64 = 15000, Integer(0, LONG_MAX), NO_MEANING, "Milliseconds after which a node is thought to have failed.";
    "cluster-port" => cluster_port: u16 = 0, Integer(0, 65535), IMMUTABLE | NO_MEANING, "Port of the cluster's bus; 0 is the port and 10000.";
    "cluster-replica-no-failover" | "cluster-slave-no-failover" => cluster_replica_no_failover: bool = false, Bool, NO_MEANING, "Never promote this replica by itself.";
    "cluster-replica-validity-factor" | "cluster-slave-validity-factor" => cluster_replica_validity_factor: u64 = 10, Integer(0, INT_MAX), NO_MEANING, "How old a replica's data may be for a promotion.";
    "cluster-migration-barrier" => cluster_migration_barrier: u64 = 1, Integer(0, INT_MAX), NO_MEANING, "Replicas that a master keeps when one moves away.";
    "cluster-allow-replica-migration" => cluster_allow_replica_migration: bool = true, Bool, NO_MEANING, "Replicas may move to a master without any.";
    "cluster-require-full-coverage" => cluster_require_full_coverage: bool = true, Bool, NO_MEANING, "Answer only if all slots are covered.";
    "cluster-allow-reads-when-down" => cluster_allow_reads_when_down: bool = false, Bool, NO_MEANING, "Answer reads when the cluster is down.";
    "cluster-allow-pubsubshard-when-down" => cluster_allow_pubsubshard_when_down: bool = true, Bool, NO_MEANING, "Serve shard channels when the cluster is down.";
    "cluster-link-sendbuf-limit" => cluster_link_sendbuf_limit: u64 = 0, Memory(0, ULONG_MAX), NO_MEANING, "Bytes that may wait for one node; 0 is no limit.";
    "cluster-announce-ip" => cluster_announce_ip: String = String::new(), OptionalText(check::any), NO_MEANING, "Address that other nodes are told.";
    "cluster-announce-human-nodename" => cluster_announce_human_nodename: String = String::new(), OptionalText(check::any), NO_MEANING, "Name of the node that logs have.";
    "locale-collate" => locale_collate: String = String::new(), Text(check::any), NO_MEANING, "Order of letters that SORT ALPHA goes by.";
    "cluster-announce-hostname" => cluster_announce_hostname: String = String::new(), OptionalText(check::host_name), NO_MEANING, "Host name that clients are told.";
    "cluster-announce-port" => cluster_announce_port: u16 = 0, Integer(0, 65535), NO_MEANING, "Port that other nodes are told.";
    "cluster-announce-tls-port" => cluster_announce_tls_port: u16 = 0, Integer(0, 65535), NO_MEANING, "TLS port that other nodes are told.";
    "cluster-announce-bus-port" => cluster_announce_bus_port: u16 = 0, Integer(0, 65535), NO_MEANING, "Port of the bus that other nodes are told.";
    "cluster-preferred-endpoint-type" => cluster_preferred_endpoint_type: String = "ip".into(), Word(&["ip", "hostname", "unknown-endpoint"]), NO_MEANING, "How clients are told of a node.";

    // TLS.
    "tls-port" => tls_port: u16 = 0, Integer(0, 65535), 0 => ListenTls, "Port for TLS, which needs a certificate and its key; 0 listens on none.";
    "tls-cert-file" => tls_cert_file: String = String::new(), OptionalText(check::any), VOLATILE => Tls, "The server's certificate, and those between it and the authority, in PEM. It is read again whenever this is set.";
    "tls-key-file" => tls_key_file: String = String::new(), OptionalText(check::any), VOLATILE => Tls, "The certificate's key in PEM: PKCS #8, also encrypted, or the older forms without encryption.";
    "tls-key-file-pass" => tls_key_file_pass: String = String::new(), OptionalText(check::any), SENSITIVE => Tls, "Password of the key.";
    "tls-client-cert-file" => tls_client_cert_file: String = String::new(), OptionalText(check::any), VOLATILE => Tls, "Certificate for connections to other servers; without it and its key that of `tls-cert-file` is shown.";
    "tls-client-key-file" => tls_client_key_file: String = String::new(), OptionalText(check::any), VOLATILE => Tls, "That certificate's key.";
    "tls-client-key-file-pass" => tls_client_key_file_pass: String = String::new(), OptionalText(check::any), SENSITIVE => Tls, "Password of that key.";
    "tls-dh-params-file" => tls_dh_params_file: String = String::new(), OptionalText(check::any), NO_MEANING, "Diffie-Hellman parameters: ciphers that need them are not supported, all others exchange keys by elliptic curves.";
    "tls-ca-cert-file" => tls_ca_cert_file: String = String::new(), OptionalText(check::any), VOLATILE => Tls, "Certificates of the authorities that are trusted.";
    "tls-ca-cert-dir" => tls_ca_cert_dir: String = String::new(), OptionalText(check::any), VOLATILE => Tls, "Directory of such certificates: all files that hold any.";
    "tls-auth-clients" => tls_auth_clients: String = "yes".into(), Word(&["no", "yes", "optional"]), 0, "Whether clients need a certificate of one of the authorities; with `optional` they may come without, but not with a bad one.";
    "tls-auth-clients-user" => tls_auth_clients_user: String = "off".into(), Word(&["off", "CN"]), 0, "Log clients in as the user whose name is the common name of their certificate; whose certificate names nobody stays who it was.";
    "tls-replication" => tls_replication: bool = false, Bool, 0 => Tls, "Reach the master over TLS.";
    "tls-cluster" => tls_cluster: bool = false, Bool, 0 => Tls, "The cluster's bus runs over TLS, and MIGRATE reaches other servers by it.";
    "tls-protocols" => tls_protocols: String = String::new(), OptionalText(check::any), 0 => Tls, "Versions of TLS between spaces, `TLSv1.2` and `TLSv1.3`; empty is both.";
    "tls-ciphers" => tls_ciphers: String = String::new(), OptionalText(check::any), 0 => Tls, "Ciphers of TLS 1.2 as OpenSSL names and selects them; those without forward secrecy and those of CBC are not supported.";
    "tls-ciphersuites" => tls_ciphersuites: String = String::new(), OptionalText(check::any), 0 => Tls, "Ciphers of TLS 1.3 by name, between colons.";
    "tls-prefer-server-ciphers" => tls_prefer_server_ciphers: bool = false, Bool, 0 => Tls, "The server's order of ciphers counts.";
    "tls-session-caching" => tls_session_caching: bool = true, Bool, 0 => Tls, "Keep sessions for clients that return.";
    "tls-session-cache-size" => tls_session_cache_size: u64 = 20480, Integer(0, INT_MAX), 0 => Tls, "Sessions that are kept; 0 is any number.";
    "tls-session-cache-timeout" => tls_session_cache_timeout: u64 = 300, Integer(0, INT_MAX), 0 => Tls, "Seconds for which they are kept.";
}
