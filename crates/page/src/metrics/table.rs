//! Fields of INFO that are metrics by themselves, one row each.

use rivulet_topology::Info;

use super::exposition::{Exposition, Kind};
use Kind::{Counter, Gauge, Untyped};

/// How a field's text is a number.
#[derive(Clone, Copy)]
enum As {
    Number,
    /// Divided by so much.
    Of(f64),
    /// `ok` is 1, all else is 0.
    Ok,
}
use As::{Number, Of, Ok};

type Row = (&'static str, &'static str, Kind, As, &'static str);

/// INFO's field, the metric's name, what it is, how it is read, and what it tells.
const ROWS: &[Row] = &[
    ("uptime_in_seconds", "redis_uptime_in_seconds", Gauge, Number, "Seconds since the start."),
    ("process_id", "redis_process_id", Gauge, Number, "Id of the process."),
    ("io_threads_active", "redis_io_threads_active", Gauge, Number, "Whether threads serve sockets."),
    // Clients.
    ("connected_clients", "redis_connected_clients", Gauge, Number, "Clients, without replicas and masters."),
    ("cluster_connections", "redis_cluster_connections", Gauge, Number, "Connections of a cluster."),
    ("maxclients", "redis_max_clients", Gauge, Number, "Clients that may be connected at once."),
    (
        "client_recent_max_input_buffer",
        "redis_client_recent_max_input_buffer_bytes",
        Gauge,
        Number,
        "Largest input buffer of a client lately.",
    ),
    (
        "client_recent_max_output_buffer",
        "redis_client_recent_max_output_buffer_bytes",
        Gauge,
        Number,
        "Largest output buffer of a client lately.",
    ),
    ("blocked_clients", "redis_blocked_clients", Gauge, Number, "Clients that wait in a command."),
    ("tracking_clients", "redis_tracking_clients", Gauge, Number, "Clients that cache."),
    ("clients_in_timeout_table", "redis_clients_in_timeout_table", Gauge, Number, "Clients that wait with a time-out."),
    ("pubsub_clients", "redis_pubsub_clients", Gauge, Number, "Clients that listen to channels."),
    ("watching_clients", "redis_watching_clients", Gauge, Number, "Clients that watch keys."),
    ("total_watched_keys", "redis_total_watched_keys", Gauge, Number, "Keys that are watched."),
    ("total_blocking_keys", "redis_total_blocking_keys", Gauge, Number, "Keys that clients wait for."),
    // Memory.
    ("allocator_active", "redis_allocator_active_bytes", Gauge, Number, "Bytes in the allocator's pages."),
    (
        "allocator_allocated",
        "redis_allocator_allocated_bytes",
        Gauge,
        Number,
        "Bytes that the allocator has given out.",
    ),
    ("allocator_resident", "redis_allocator_resident_bytes", Gauge, Number, "Bytes of the allocator in memory."),
    ("allocator_frag_ratio", "redis_allocator_frag_ratio", Gauge, Number, "Active by allocated bytes."),
    ("allocator_frag_bytes", "redis_allocator_frag_bytes", Gauge, Number, "Active less allocated bytes."),
    ("allocator_rss_ratio", "redis_allocator_rss_ratio", Gauge, Number, "Resident by active bytes."),
    ("allocator_rss_bytes", "redis_allocator_rss_bytes", Gauge, Number, "Resident less active bytes."),
    ("used_memory", "redis_memory_used_bytes", Gauge, Number, "Bytes in use."),
    ("used_memory_rss", "redis_memory_used_rss_bytes", Gauge, Number, "Bytes of the process in memory."),
    ("used_memory_peak", "redis_memory_used_peak_bytes", Gauge, Number, "Most bytes in use since the start."),
    ("used_memory_lua", "redis_memory_used_lua_bytes", Gauge, Number, "Bytes of scripts that run."),
    ("used_memory_overhead", "redis_memory_used_overhead_bytes", Gauge, Number, "Bytes beside the data."),
    ("used_memory_startup", "redis_memory_used_startup_bytes", Gauge, Number, "Bytes in use after the start."),
    ("used_memory_dataset", "redis_memory_used_dataset_bytes", Gauge, Number, "Bytes of the data."),
    ("used_memory_scripts", "redis_memory_used_scripts_bytes", Gauge, Number, "Bytes of scripts that are kept."),
    ("number_of_cached_scripts", "redis_number_of_cached_scripts", Gauge, Number, "Scripts that are kept."),
    ("maxmemory", "redis_memory_max_bytes", Gauge, Number, "Bytes that may be in use; 0 is no limit."),
    (
        "mem_fragmentation_ratio",
        "redis_mem_fragmentation_ratio",
        Gauge,
        Number,
        "Memory of the process by bytes in use.",
    ),
    (
        "mem_fragmentation_bytes",
        "redis_mem_fragmentation_bytes",
        Gauge,
        Number,
        "Memory of the process less bytes in use.",
    ),
    ("mem_clients_slaves", "redis_mem_clients_slaves", Gauge, Number, "Bytes of replicas' connections."),
    ("mem_clients_normal", "redis_mem_clients_normal", Gauge, Number, "Bytes of clients' connections."),
    (
        "mem_not_counted_for_evict",
        "redis_mem_not_counted_for_eviction_bytes",
        Gauge,
        Number,
        "Bytes that are not evicted for.",
    ),
    ("active_defrag_running", "redis_active_defrag_running", Gauge, Number, "Whether memory is being moved together."),
    ("lazyfree_pending_objects", "redis_lazyfree_pending_objects", Gauge, Number, "Values that are to be freed."),
    ("active_defrag_hits", "redis_defrag_hits", Gauge, Number, "Values moved."),
    ("active_defrag_misses", "redis_defrag_misses", Gauge, Number, "Values not moved."),
    ("active_defrag_key_hits", "redis_defrag_key_hits", Gauge, Number, "Keys moved."),
    ("active_defrag_key_misses", "redis_defrag_key_misses", Gauge, Number, "Keys not moved."),
    // Persistence.
    ("loading", "redis_loading_dump_file", Gauge, Number, "Whether data are being loaded."),
    (
        "rdb_changes_since_last_save",
        "redis_rdb_changes_since_last_save",
        Gauge,
        Number,
        "Changes that no snapshot has.",
    ),
    ("rdb_bgsave_in_progress", "redis_rdb_bgsave_in_progress", Gauge, Number, "Whether a snapshot is being made."),
    ("rdb_last_save_time", "redis_rdb_last_save_timestamp_seconds", Gauge, Number, "Unix time of the last snapshot."),
    ("rdb_last_bgsave_status", "redis_rdb_last_bgsave_status", Gauge, Ok, "Whether the last snapshot succeeded."),
    (
        "rdb_last_bgsave_time_sec",
        "rivulet_snapshot_last_duration_seconds",
        Gauge,
        Number,
        "How long the last snapshot took; -1 if there was none.",
    ),
    (
        "rdb_current_bgsave_time_sec",
        "rivulet_snapshot_running_duration_seconds",
        Gauge,
        Number,
        "For how long a snapshot has been running; -1 if none is.",
    ),
    ("rdb_last_cow_size", "redis_rdb_last_cow_size_bytes", Gauge, Number, "Bytes copied for the last snapshot."),
    ("aof_enabled", "redis_aof_enabled", Gauge, Number, "Whether there are append-only files."),
    ("aof_rewrite_in_progress", "redis_aof_rewrite_in_progress", Gauge, Number, "Whether they are being rewritten."),
    ("aof_rewrite_scheduled", "redis_aof_rewrite_scheduled", Gauge, Number, "Whether a rewrite waits."),
    (
        "aof_last_rewrite_time_sec",
        "rivulet_rewrite_last_duration_seconds",
        Gauge,
        Number,
        "How long the last rewrite took; -1 if there was none.",
    ),
    (
        "aof_current_rewrite_time_sec",
        "rivulet_rewrite_running_duration_seconds",
        Gauge,
        Number,
        "For how long a rewrite has been running; -1 if none is.",
    ),
    ("aof_last_cow_size", "redis_aof_last_cow_size_bytes", Gauge, Number, "Bytes copied for the last rewrite."),
    ("aof_current_size", "redis_aof_current_size_bytes", Gauge, Number, "Bytes of the append-only files."),
    ("aof_base_size", "redis_aof_base_size_bytes", Gauge, Number, "Bytes of them after the last rewrite."),
    ("aof_pending_rewrite", "redis_aof_pending_rewrite", Gauge, Number, "Whether a rewrite waits for a snapshot."),
    ("aof_buffer_length", "redis_aof_buffer_length", Gauge, Number, "Bytes that wait to be written."),
    (
        "aof_rewrite_buffer_length",
        "redis_aof_rewrite_buffer_length",
        Gauge,
        Number,
        "Bytes that a rewrite still needs.",
    ),
    ("aof_pending_bio_fsync", "redis_aof_pending_bio_fsync", Gauge, Number, "Syncs to disk that wait."),
    ("aof_delayed_fsync", "redis_aof_delayed_fsync", Gauge, Number, "Syncs to disk that were late."),
    ("aof_last_bgrewrite_status", "redis_aof_last_bgrewrite_status", Gauge, Ok, "Whether the last rewrite succeeded."),
    ("aof_last_write_status", "redis_aof_last_write_status", Gauge, Ok, "Whether the last write succeeded."),
    ("module_fork_in_progress", "redis_module_fork_in_progress", Gauge, Number, "Whether a module has forked."),
    (
        "module_fork_last_cow_size",
        "redis_module_fork_last_cow_size",
        Gauge,
        Number,
        "Bytes copied for a module's fork.",
    ),
    // Work.
    ("total_connections_received", "redis_connections_received_total", Counter, Number, "Connections accepted."),
    ("total_commands_processed", "redis_commands_processed_total", Counter, Number, "Commands executed."),
    ("rejected_connections", "redis_rejected_connections_total", Counter, Number, "Connections refused."),
    ("total_net_input_bytes", "redis_net_input_bytes_total", Counter, Number, "Bytes received."),
    ("total_net_output_bytes", "redis_net_output_bytes_total", Counter, Number, "Bytes sent."),
    ("expired_keys", "redis_expired_keys_total", Counter, Number, "Keys that have expired."),
    (
        "expired_stale_perc",
        "redis_expired_stale_percentage",
        Gauge,
        Number,
        "Keys that are expired and still there, estimated.",
    ),
    (
        "expired_time_cap_reached_count",
        "redis_expired_time_cap_reached_total",
        Counter,
        Number,
        "Times that expiry has used up its time.",
    ),
    ("evicted_keys", "redis_evicted_keys_total", Counter, Number, "Keys evicted."),
    ("keyspace_hits", "redis_keyspace_hits_total", Counter, Number, "Reads of keys that were there."),
    ("keyspace_misses", "redis_keyspace_misses_total", Counter, Number, "Reads of keys that were not there."),
    ("pubsub_channels", "redis_pubsub_channels", Gauge, Number, "Channels that somebody listens to."),
    ("pubsub_patterns", "redis_pubsub_patterns", Gauge, Number, "Patterns that somebody listens to."),
    ("latest_fork_usec", "redis_latest_fork_seconds", Gauge, Of(1e6), "How long the last fork took."),
    ("migrate_cached_sockets", "redis_migrate_cached_sockets_total", Counter, Number, "Sockets kept for MIGRATE."),
    (
        "slave_expires_tracked_keys",
        "redis_slave_expires_tracked_keys",
        Gauge,
        Number,
        "Own keys of a replica with a deadline.",
    ),
    ("tracking_total_keys", "redis_tracking_total_keys", Gauge, Number, "Keys that clients cache."),
    (
        "tracking_total_items",
        "redis_tracking_total_items",
        Gauge,
        Number,
        "Pairs of a key and a client that caches it.",
    ),
    ("tracking_total_prefixes", "redis_tracking_total_prefixes", Gauge, Number, "Prefixes that clients cache by."),
    ("unexpected_error_replies", "redis_unexpected_error_replies", Untyped, Number, "Errors that should not be."),
    ("total_error_replies", "redis_total_error_replies", Untyped, Number, "Errors replied."),
    (
        "dump_payload_sanitizations",
        "redis_dump_payload_sanitizations",
        Untyped,
        Number,
        "Values looked through byte by byte.",
    ),
    ("total_reads_processed", "redis_total_reads_processed", Untyped, Number, "Reads from sockets."),
    ("total_writes_processed", "redis_total_writes_processed", Untyped, Number, "Writes to sockets."),
    (
        "io_threaded_reads_processed",
        "redis_io_threaded_reads_processed",
        Untyped,
        Number,
        "Reads by threads that serve sockets.",
    ),
    ("io_threaded_writes_processed", "redis_io_threaded_writes_processed", Untyped, Number, "Writes by them."),
    ("used_cpu_sys", "redis_cpu_sys_seconds_total", Counter, Number, "Processor time in the system."),
    ("used_cpu_user", "redis_cpu_user_seconds_total", Counter, Number, "Processor time in the program."),
    (
        "used_cpu_sys_children",
        "redis_cpu_sys_children_seconds_total",
        Counter,
        Number,
        "Processor time of children in the system.",
    ),
    ("used_cpu_user_children", "redis_cpu_user_children_seconds_total", Counter, Number, "Processor time of children."),
    (
        "used_cpu_sys_main_thread",
        "redis_cpu_sys_main_thread_seconds_total",
        Counter,
        Number,
        "Processor time of the main thread in the system.",
    ),
    (
        "used_cpu_user_main_thread",
        "redis_cpu_user_main_thread_seconds_total",
        Counter,
        Number,
        "Processor time of the main thread.",
    ),
    ("cluster_enabled", "redis_cluster_enabled", Gauge, Number, "Whether it is part of a cluster."),
    // Replication, as redis_exporter has it.
    ("connected_slaves", "redis_connected_slaves", Gauge, Number, "Replicas."),
    ("repl_backlog_size", "redis_replication_backlog_bytes", Gauge, Number, "Size of the backlog."),
    ("repl_backlog_active", "redis_repl_backlog_is_active", Gauge, Number, "Whether there is a backlog."),
    (
        "repl_backlog_first_byte_offset",
        "redis_repl_backlog_first_byte_offset",
        Gauge,
        Number,
        "Number of its first byte.",
    ),
    ("repl_backlog_histlen", "redis_repl_backlog_history_bytes", Gauge, Number, "Bytes in it."),
    ("master_repl_offset", "redis_master_repl_offset", Gauge, Number, "Offset of the stream."),
    ("second_repl_offset", "redis_second_repl_offset", Gauge, Number, "Offset up to which the second id holds."),
    ("sync_full", "redis_replica_resyncs_full", Gauge, Number, "Full syncs granted."),
    ("sync_partial_ok", "redis_replica_partial_resync_accepted", Gauge, Number, "Partial syncs granted."),
    (
        "sync_partial_err",
        "redis_replica_partial_resync_denied",
        Gauge,
        Number,
        "Partial syncs that could not be granted.",
    ),
    ("slave_priority", "redis_slave_priority", Gauge, Number, "Lower is promoted sooner."),
    // What only this server has.
    (
        "total_net_repl_input_bytes",
        "rivulet_replication_input_bytes_total",
        Counter,
        Number,
        "Bytes received from the master.",
    ),
    (
        "total_net_repl_output_bytes",
        "rivulet_replication_output_bytes_total",
        Counter,
        Number,
        "Bytes sent to replicas.",
    ),
    ("repl_backlog_disk_bytes", "rivulet_backlog_disk_bytes", Gauge, Number, "Bytes of the stream on disk."),
    (
        "repl_backlog_disk_read_bytes",
        "rivulet_backlog_disk_read_bytes_total",
        Counter,
        Number,
        "Bytes of the stream read from disk for replicas.",
    ),
    (
        "repl_backlog_bytes_per_second",
        "rivulet_stream_bytes_per_second",
        Gauge,
        Number,
        "How fast the stream grows, as the backlog is sized by.",
    ),
    ("repl_hold_bytes", "rivulet_hold_bytes", Gauge, Number, "Bytes kept for replicas that are slow."),
    ("repl_hold_limit", "rivulet_hold_limit_bytes", Gauge, Number, "How many may be kept."),
    (
        "repl_hold_disconnections",
        "rivulet_hold_disconnections_total",
        Counter,
        Number,
        "Replicas cut off since they were too slow.",
    ),
    ("repl_sync_window_bytes", "rivulet_sync_window_bytes", Gauge, Number, "Bytes of full syncs in memory."),
    ("repl_sync_spill_bytes", "rivulet_sync_spill_bytes", Gauge, Number, "Bytes of full syncs on disk."),
    (
        "repl_sync_spill_peak_bytes",
        "rivulet_sync_spill_peak_bytes",
        Gauge,
        Number,
        "Most bytes of full syncs on disk since the start.",
    ),
    ("diverged", "rivulet_diverged", Gauge, Number, "Whether the data are others than their position says."),
    ("failover_epoch", "rivulet_failover_epoch", Gauge, Number, "Epoch of the last promotion that is known."),
    ("stale_master", "rivulet_stale_master", Gauge, Number, "Whether another node was made master."),
    ("synchronous_replicas", "rivulet_synchronous_replicas", Gauge, Number, "Replicas that a reply waits for."),
    ("synchronous_replicas_there", "rivulet_synchronous_replicas_there", Gauge, Number, "How many there are."),
    ("synchronous_lag_bytes", "rivulet_synchronous_lag_bytes", Gauge, Number, "Bytes that not enough replicas have."),
    (
        "synchronous_held_clients",
        "rivulet_synchronous_held_clients",
        Gauge,
        Number,
        "Clients whose replies wait for replicas.",
    ),
    ("synchronous_timeouts", "rivulet_synchronous_timeouts_total", Counter, Number, "Replies that waited too long."),
];

/// Adds the fields that INFO has.
pub fn add(out: &mut Exposition, info: &Info) {
    for (field, name, kind, read, help) in ROWS {
        let Some(text) = info.text(field) else { continue };
        let number = text.trim_end_matches('%').parse::<f64>().ok();
        let value = match read {
            Number => number,
            Of(divisor) => number.map(|n| n / divisor),
            Ok => Some(f64::from(u8::from(text == "ok"))),
        };
        if let Some(value) = value {
            out.add(name, *kind, help, &[], value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rows_have_names_of_their_own_that_say_what_they_are() {
        let names: BTreeSet<&str> = ROWS.iter().map(|row| row.1).collect();
        assert_eq!(names.len(), ROWS.len());
        for (_, name, kind, _, help) in ROWS {
            assert!(name.starts_with("redis_") || name.starts_with("rivulet_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Counter, "{name}");
            assert!(help.ends_with('.') && !help.contains('\n') && !help.contains('\\'), "{name}");
        }
    }

    #[test]
    fn texts_become_numbers() {
        let mut out = Exposition::default();
        let text = "rdb_last_bgsave_status:ok\naof_last_write_status:err\nlatest_fork_usec:1500000\nexpired_stale_perc:0.50%\nmaxclients:x\nsecond_repl_offset:-1";
        add(&mut out, &Info::parse(text));
        let out = out.text();
        for line in [
            "redis_rdb_last_bgsave_status 1\n",
            "redis_aof_last_write_status 0\n",
            "redis_latest_fork_seconds 1.5\n",
            "redis_expired_stale_percentage 0.5\n",
            "redis_second_repl_offset -1\n",
        ] {
            assert!(out.contains(line), "{line}");
        }
        assert!(!out.contains("max_clients"));
    }
}
