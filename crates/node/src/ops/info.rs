//! INFO: one function a section.

use std::fmt::Write;

use rivulet_commands::fail::Fail;
use rivulet_resp::Args;

use crate::REDIS_VERSION;
use crate::engine::asker::Asker;
use crate::front::clients::Kind;
use crate::node::Node;
use crate::persist::saving::Purpose;
use rivulet_memory as memory;

type Section = fn(&Node, &mut String);

/// Sections in their order; those of the first part are shown by default.
const SECTIONS: &[(&str, &str, Section, bool)] = &[
    ("server", "Server", server, true),
    ("clients", "Clients", clients, true),
    ("memory", "Memory", memory_section, true),
    ("persistence", "Persistence", persistence, true),
    ("stats", "Stats", stats, true),
    ("replication", "Replication", replication, true),
    ("cpu", "CPU", cpu, true),
    ("commandstats", "Commandstats", commandstats, false),
    ("errorstats", "Errorstats", errorstats, true),
    ("latencystats", "Latencystats", latencystats, false),
    ("cluster", "Cluster", cluster, true),
    ("keyspace", "Keyspace", keyspace, true),
];

macro_rules! field {
    ($out:expr, $name:expr, $value:expr) => {{
        // Writing to a string can't fail.
        let _ = write!($out, "{}:{}\r\n", $name, $value);
    }};
}

impl Node {
    pub fn info_command(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let names: Vec<String> = args.iter().skip(1).map(|a| String::from_utf8_lossy(a).to_lowercase()).collect();
        let text = self.info(&names);
        by.reply.verbatim("txt", text.as_bytes());
        Ok(())
    }

    /// The sections of these names; with none the default ones.
    pub fn info(&self, names: &[String]) -> String {
        let has = |word: &str| names.iter().any(|n| n == word);
        let all = has("all") || has("everything");
        let default = names.is_empty() || has("default");
        let mut out = String::with_capacity(4096);
        for (name, title, section, by_default) in SECTIONS {
            let modules_only = *name == "modules";
            if has(name) || (all && !modules_only) || (default && *by_default) {
                if !out.is_empty() {
                    out.push_str("\r\n");
                }
                // As above.
                let _ = write!(out, "# {title}\r\n");
                section(self, &mut out);
            }
        }
        out
    }
}

fn server(node: &Node, out: &mut String) {
    let uptime = (node.now_ms() - node.life.started_ms) / 1000;
    field!(out, "redis_version", REDIS_VERSION);
    field!(out, "rivulet_version", env!("CARGO_PKG_VERSION"));
    field!(out, "redis_git_sha1", "00000000");
    field!(out, "redis_git_dirty", 0);
    field!(out, "redis_build_id", "0");
    field!(out, "redis_mode", "standalone");
    let system = rustix::system::uname();
    field!(
        out,
        "os",
        format_args!(
            "{} {} {}",
            system.sysname().to_string_lossy(),
            system.release().to_string_lossy(),
            system.machine().to_string_lossy()
        )
    );
    field!(out, "arch_bits", usize::BITS);
    field!(out, "monotonic_clock", "POSIX clock_gettime");
    field!(out, "multiplexing_api", "epoll");
    field!(out, "process_id", std::process::id());
    field!(out, "process_supervised", "no");
    field!(out, "run_id", node.life.run_id);
    field!(out, "tcp_port", node.config.port);
    field!(out, "server_time_usec", node.unix_us());
    field!(out, "uptime_in_seconds", uptime);
    field!(out, "uptime_in_days", uptime / 86400);
    field!(out, "hz", node.config.hz);
    field!(out, "configured_hz", node.config.hz);
    field!(out, "lru_clock", rivulet_commands::ctx::lru_clock(node.unix_ms()));
    field!(out, "executable", std::env::current_exe().unwrap_or_default().display());
    field!(out, "config_file", node.config.file.as_deref().map_or_else(String::new, |f| f.display().to_string()));
    field!(out, "io_threads_active", 0);
    if let Some(shutdown) = &node.life.shutdown {
        field!(out, "shutdown_in_milliseconds", shutdown.deadline_ms.saturating_sub(node.now_ms()));
    }
}

fn clients(node: &Node, out: &mut String) {
    let (mut all, mut input, mut output) = (0, 0, 0);
    for client in node.clients.iter() {
        all += usize::from(!matches!(client.kind, Kind::Replica | Kind::Master));
        input = input.max(client.connection.input.peak.max(client.connection.input.bytes.len()));
        output = output.max(client.connection.outbox.output.pending());
    }
    field!(out, "connected_clients", all);
    field!(out, "cluster_connections", 0);
    field!(out, "maxclients", node.config.maxclients);
    field!(out, "client_recent_max_input_buffer", input);
    field!(out, "client_recent_max_output_buffer", output);
    field!(out, "blocked_clients", node.engine.blocking.len());
    field!(out, "tracking_clients", 0);
    field!(out, "clients_in_timeout_table", 0);
}

fn human(bytes: usize) -> String {
    let n = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes}B"),
        1024..1_048_576 => format!("{:.2}K", n / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.2}M", n / 1_048_576.0),
        _ => format!("{:.2}G", n / 1_073_741_824.0),
    }
}

/// Resident pages of this process, in bytes.
fn resident() -> usize {
    let pages =
        std::fs::read_to_string("/proc/self/statm").ok().and_then(|s| s.split(' ').nth(1)?.parse::<usize>().ok());
    pages.unwrap_or(0) * memory::PAGE_BYTES
}

fn memory_section(node: &Node, out: &mut String) {
    let used = memory::used();
    let peak = memory::peak().max(used);
    let rss = resident();
    let allocator = memory::allocator_stats();
    let clients = node.client_memory();
    let overhead = node.overhead_memory(clients);
    let dataset = used.saturating_sub(overhead);
    let net = used.saturating_sub(node.ops.startup_memory).max(1);
    let log_bytes = node.replication.log.memory_bytes();
    field!(out, "used_memory", used);
    field!(out, "used_memory_human", human(used));
    field!(out, "used_memory_rss", rss);
    field!(out, "used_memory_rss_human", human(rss));
    field!(out, "used_memory_peak", peak);
    field!(out, "used_memory_peak_human", human(peak));
    field!(out, "used_memory_peak_perc", format_args!("{:.2}%", used as f64 * 100.0 / peak.max(1) as f64));
    field!(out, "used_memory_overhead", overhead);
    field!(out, "used_memory_startup", node.ops.startup_memory);
    field!(out, "used_memory_dataset", dataset);
    field!(out, "used_memory_dataset_perc", format_args!("{:.2}%", dataset as f64 * 100.0 / net as f64));
    field!(out, "allocator_allocated", allocator.allocated);
    field!(out, "allocator_active", allocator.active);
    field!(out, "allocator_resident", allocator.resident);
    let total = total_system_memory();
    field!(out, "total_system_memory", total);
    field!(out, "total_system_memory_human", human(total));
    scripts(node, out);
    field!(out, "maxmemory", node.config.maxmemory);
    field!(out, "maxmemory_human", human(node.config.maxmemory as usize));
    field!(out, "maxmemory_policy", node.config.maxmemory_policy.word());
    let ratio = |a: usize, b: usize| a as f64 / b.max(1) as f64;
    field!(out, "allocator_frag_ratio", format_args!("{:.2}", ratio(allocator.active, allocator.allocated)));
    field!(out, "allocator_frag_bytes", allocator.active.saturating_sub(allocator.allocated));
    field!(out, "allocator_rss_ratio", format_args!("{:.2}", ratio(allocator.resident, allocator.active)));
    field!(out, "allocator_rss_bytes", allocator.resident.saturating_sub(allocator.active));
    field!(out, "rss_overhead_ratio", format_args!("{:.2}", ratio(rss, allocator.resident)));
    field!(out, "rss_overhead_bytes", rss as i64 - allocator.resident as i64);
    field!(out, "mem_fragmentation_ratio", format_args!("{:.2}", ratio(rss, used)));
    field!(out, "mem_fragmentation_bytes", rss as i64 - used as i64);
    field!(out, "mem_not_counted_for_evict", node.memory_not_counted());
    field!(out, "mem_replication_backlog", log_bytes);
    field!(out, "mem_total_replication_buffers", log_bytes);
    if node.config.repl_rdb_channel || node.config.dual_channel_replication_enabled {
        let kept = node.replication.link.as_ref().map_or(0, |l| l.state.kept_bytes());
        field!(out, "mem_replica_full_sync_buffer", kept);
    }
    field!(out, "mem_clients_slaves", clients.replicas);
    field!(out, "mem_clients_normal", clients.normal);
    field!(out, "mem_cluster_links", 0);
    field!(out, "mem_aof_buffer", node.persist.log.writer.as_ref().map_or(0, |w| w.queued_bytes()));
    field!(out, "mem_allocator", "jemalloc-5.3.1");
    field!(out, "active_defrag_running", 0);
    field!(out, "lazyfree_pending_objects", node.persist.reaper.pending());
    field!(out, "lazyfreed_objects", node.persist.reaper.freed());
}

fn total_system_memory() -> usize {
    let info = rustix::system::sysinfo();
    info.totalram as usize * info.mem_unit.max(1) as usize
}

fn append_only(node: &Node, out: &mut String) {
    let aof = &node.persist.aof;
    let disk = &node.persist.log;
    let running = node.persist.data.running.as_ref().filter(|r| matches!(r.purpose, Purpose::AofRewrite));
    let seconds = running.map_or(-1, |r| (node.now_ms().saturating_sub(r.snapshot.started_ms) / 1000) as i64);
    field!(out, "aof_enabled", u8::from(node.config.appendonly));
    field!(out, "aof_rewrite_in_progress", u8::from(node.is_rewriting()));
    field!(out, "aof_rewrite_scheduled", u8::from(aof.rewrite_scheduled));
    field!(out, "aof_last_rewrite_time_sec", aof.last_rewrite_seconds.map_or(-1, |s| s as i64));
    field!(out, "aof_current_rewrite_time_sec", seconds);
    field!(out, "aof_last_bgrewrite_status", if aof.last_rewrite_failed { "err" } else { "ok" });
    field!(out, "aof_rewrites", aof.rewrites);
    field!(out, "aof_rewrites_consecutive_failures", aof.consecutive_failures);
    field!(out, "aof_last_write_status", if disk.failure().is_some() { "err" } else { "ok" });
    field!(out, "aof_last_cow_size", 0);
}

/// The fields that follow the modules' while append-only is on.
fn append_only_files(node: &Node, out: &mut String) {
    let disk = &node.persist.log;
    let Some(writer) = disk.writer.as_ref().filter(|_| node.config.appendonly) else { return };
    field!(out, "aof_current_size", node.aof_size());
    field!(out, "aof_base_size", node.persist.aof.rewritten_bytes);
    field!(out, "aof_pending_rewrite", u8::from(node.persist.aof.rewrite_scheduled));
    field!(out, "aof_buffer_length", writer.queued_bytes());
    field!(out, "aof_pending_bio_fsync", u8::from(writer.sync_pending()));
    field!(out, "aof_delayed_fsync", writer.delayed_syncs());
}

fn persistence(node: &Node, out: &mut String) {
    let p = &node.persist.data;
    let running = p.running.as_ref().filter(|r| !matches!(r.purpose, Purpose::Verify));
    let saving = running.filter(|r| !matches!(r.purpose, Purpose::ReplicasSockets));
    field!(out, "loading", u8::from(node.is_loading()));
    field!(out, "async_loading", u8::from(node.is_async_loading()));
    field!(out, "current_cow_peak", 0);
    field!(out, "current_cow_size", running.map_or(0, |r| r.snapshot.bytes_under_way()));
    field!(out, "current_cow_size_age", 0);
    let (done, total) = running.map_or((0, 0), |r| (r.snapshot.keys_done(), r.snapshot.keys_total));
    field!(
        out,
        "current_fork_perc",
        format_args!("{:.2}", if total == 0 { 0.0 } else { done as f64 * 100.0 / total as f64 })
    );
    field!(out, "current_save_keys_processed", done);
    field!(out, "current_save_keys_total", total);
    field!(out, "snapshot_queue_bytes", running.map_or(0, |r| r.snapshot.bytes_under_way()));
    field!(out, "snapshot_queue_peak_bytes", node.ops.stats.snapshot_peak);
    field!(out, "log_queue_bytes", node.persist.log.queued_bytes());
    field!(out, "log_queue_peak_bytes", node.ops.stats.log_queue_peak);
    field!(out, "rdb_changes_since_last_save", p.dirty);
    field!(out, "rdb_bgsave_in_progress", u8::from(running.is_some() || !p.sending.is_empty()));
    field!(out, "rdb_last_save_time", node.clock.shown_ms(p.last_save_ms) / 1000);
    field!(out, "rdb_last_bgsave_status", if p.last_status_ok { "ok" } else { "err" });
    field!(out, "rdb_last_bgsave_time_sec", p.last_seconds);
    let seconds = saving.map_or(-1, |r| (node.now_ms().saturating_sub(r.snapshot.started_ms) / 1000) as i64);
    field!(out, "rdb_current_bgsave_time_sec", seconds);
    field!(out, "rdb_saves", p.saves);
    field!(out, "rdb_last_cow_size", 0);
    field!(out, "rdb_last_load_keys_expired", p.last_load_expired);
    field!(out, "rdb_last_load_keys_loaded", p.last_load_keys);
    append_only(node, out);
    field!(out, "module_fork_in_progress", 0);
    field!(out, "module_fork_last_cow_size", 0);
    append_only_files(node, out);
    if let Some(load) = &p.load {
        let read = load.loader.read.load(std::sync::atomic::Ordering::Relaxed);
        let total = load.loader.total;
        field!(out, "loading_start_time", node.clock.shown_ms(load.loader.started_ms) / 1000);
        field!(out, "loading_total_bytes", total);
        field!(out, "loading_rdb_used_mem", 0);
        field!(out, "loading_loaded_bytes", read);
        field!(
            out,
            "loading_loaded_perc",
            format_args!("{:.2}", if total == 0 { 0.0 } else { read as f64 * 100.0 / total as f64 })
        );
        let elapsed = node.now_ms().saturating_sub(load.loader.started_ms);
        let left = (elapsed * total.saturating_sub(read)).checked_div(read).map_or(1, |ms| ms / 1000);
        field!(out, "loading_eta_seconds", left);
    }
}

fn stats(node: &Node, out: &mut String) {
    let s = &node.ops.stats;
    let syncs = node.replication.master.counters();
    field!(out, "total_connections_received", s.connections);
    field!(out, "total_commands_processed", s.commands);
    field!(out, "eventloop_cycles", s.turns);
    field!(out, "eventloop_duration_sum", s.turns_us);
    field!(out, "eventloop_duration_max", s.longest_turn_us);
    field!(out, "instantaneous_ops_per_sec", s.ops_rate.per_second());
    field!(out, "total_net_input_bytes", s.net_input_bytes);
    field!(out, "total_net_output_bytes", s.net_output_bytes);
    field!(out, "total_net_repl_input_bytes", s.repl_input_bytes);
    field!(out, "total_net_repl_output_bytes", s.repl_output_bytes);
    let kbps = |rate: u64| format!("{:.2}", rate as f64 / 1024.0);
    field!(out, "instantaneous_input_kbps", kbps(s.input_rate.per_second()));
    field!(out, "instantaneous_output_kbps", kbps(s.output_rate.per_second()));
    field!(out, "instantaneous_input_repl_kbps", kbps(s.repl_input_rate.per_second()));
    field!(out, "instantaneous_output_repl_kbps", kbps(s.repl_output_rate.per_second()));
    field!(out, "rejected_connections", s.rejected_connections);
    field!(out, "sync_full", syncs.full);
    field!(out, "sync_partial_ok", syncs.partial_ok);
    field!(out, "sync_partial_err", syncs.partial_err);
    for (word, count) in node.replication.syncs.full_by_reason() {
        field!(out, format_args!("sync_full_reason_{}", word.replace('-', "_")), count);
    }
    field!(out, "expired_keys", s.expired);
    field!(out, "expired_stale_perc", "0.00");
    field!(out, "expired_time_cap_reached_count", node.engine.keys.expiry.time_cap_reached);
    field!(out, "expire_cycle_cpu_milliseconds", node.engine.keys.expiry.spent_us / 1000);
    field!(out, "evicted_keys", s.evicted);
    field!(out, "evicted_scripts", node.scripts.figures().scripts_evicted);
    field!(out, "evicted_clients", s.evicted_clients);
    // Fields of Redis 7.2.
    field!(out, "client_query_buffer_limit_disconnections", s.query_limit_disconnections);
    field!(out, "client_output_buffer_limit_disconnections", s.output_limit_disconnections);
    field!(out, "total_eviction_exceeded_time", node.engine.keys.eviction.exceeded_ms(node.clock.now_us));
    field!(out, "current_eviction_exceeded_time", node.engine.keys.eviction.exceeding_ms(node.clock.now_us));
    field!(out, "keyspace_hits", s.hits);
    field!(out, "keyspace_misses", s.misses);
    field!(out, "pubsub_channels", node.engine.pubsub.channel_count());
    field!(out, "pubsub_patterns", node.engine.pubsub.pattern_count());
    field!(out, "pubsubshard_channels", node.engine.pubsub.shard_channel_count());
    field!(out, "latest_fork_usec", 0);
    field!(out, "total_forks", s.snapshots);
    field!(out, "migrate_cached_sockets", 0);
    field!(out, "slave_expires_tracked_keys", node.engine.keys.own_expiring.len());
    for name in [
        "active_defrag_hits",
        "active_defrag_misses",
        "active_defrag_key_hits",
        "active_defrag_key_misses",
        "total_active_defrag_time",
        "current_active_defrag_time",
        "tracking_total_keys",
        "tracking_total_items",
        "tracking_total_prefixes",
    ] {
        field!(out, name, 0);
    }
    field!(out, "unexpected_error_replies", s.unexpected_errors);
    field!(out, "total_error_replies", s.error_replies);
    field!(out, "dump_payload_sanitizations", s.dump_payload_sanitizations);
    field!(out, "total_reads_processed", s.reads);
    field!(out, "total_writes_processed", s.writes);
    field!(out, "io_threaded_reads_processed", 0);
    field!(out, "io_threaded_writes_processed", 0);
    field!(out, "reply_buffer_shrinks", 0);
    field!(out, "reply_buffer_expands", 0);
}

/// A text as the value of a field, which ends with its line.
fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

fn replication(node: &Node, out: &mut String) {
    let r = &node.replication;
    let now = node.now_ms();
    field!(out, "role", if node.is_replica() { "slave" } else { "master" });
    if let Some(link) = &r.link {
        let state = &link.state;
        field!(out, "master_host", link.host);
        field!(out, "master_port", link.port);
        field!(out, "master_link_status", if state.is_up() { "up" } else { "down" });
        field!(out, "master_last_io_seconds_ago", state.last_io_seconds(now).map_or(-1, |s| s as i64));
        field!(out, "master_sync_in_progress", u8::from(state.is_syncing()));
        let read = if state.is_up() { link.applied.read() } else { r.offset() };
        field!(out, "slave_read_repl_offset", read);
        field!(out, "slave_repl_offset", r.offset());
        if state.has_channel() || state.kept_bytes() > 0 {
            let (kept, peak) = (state.kept_bytes(), state.kept_bytes_peak());
            field!(out, "replica_full_sync_buffer_size", kept);
            field!(out, "replica_full_sync_buffer_peak", peak);
            field!(out, "replicas_repl_buffer_size", kept);
            field!(out, "replicas_repl_buffer_peak", peak);
        }
        if let Some(progress) = state.sync_progress(now) {
            let total = progress.total_bytes;
            field!(out, "master_sync_total_bytes", total.map_or(0, |t| t as i64));
            field!(out, "master_sync_read_bytes", progress.read_bytes);
            field!(
                out,
                "master_sync_left_bytes",
                total.map_or(-(progress.read_bytes as i64), |t| t as i64 - progress.read_bytes as i64)
            );
            let receiving = node.receiving();
            let percent = receiving.as_ref().and_then(|r| r.percent).unwrap_or(0.0);
            field!(out, "master_sync_perc", format_args!("{percent:.2}"));
            field!(out, "master_sync_bytes_per_second", receiving.as_ref().map_or(0, |r| r.per_second));
            let left = receiving.and_then(|r| r.seconds_left).map_or(-1, |s| s as i64);
            field!(out, "master_sync_seconds_left", left);
            field!(out, "master_sync_last_io_seconds_ago", progress.last_io_seconds);
        }
        let unloadable = state.unloadable();
        if unloadable.failures() > 0 {
            field!(out, "master_sync_failures", unloadable.failures());
            field!(out, "master_sync_failure", one_line(unloadable.why()));
            field!(out, "master_sync_retry_seconds", state.retry_in(now).div_ceil(1000));
        }
        field!(out, "master_link_waits_for_disk", u8::from(link.waits_for_disk));
        if !state.is_up() {
            field!(out, "master_link_down_since_seconds", state.down_since_seconds(now).map_or(-1, |s| s as i64));
        }
        field!(out, "slave_priority", node.config.replica_priority);
        field!(out, "slave_read_only", u8::from(node.config.replica_read_only));
        field!(out, "replica_announced", u8::from(node.config.replica_announced));
    }
    field!(out, "diverged", u8::from(r.diverged.is_some()));
    if let Some(diverged) = &r.diverged {
        field!(out, "diverged_offset", diverged.offset);
        field!(out, "diverged_times", diverged.times);
        field!(out, "diverged_reason", one_line(&diverged.why));
    }
    field!(out, "connected_slaves", r.master.len());
    if let Some(good) = r.master.good_replicas(now) {
        field!(out, "min_slaves_good_slaves", good);
    }
    if node.config.dual_channel_replication_enabled {
        field!(out, "replicas_waiting_psync", r.master.waiting_psync());
    }
    for (i, (_, session)) in r.master.sessions().filter(|(_, s)| !s.is_shown_by_other()).enumerate() {
        let channel = session.channel_name().map_or(String::new(), |name| format!(",type={name}"));
        field!(
            out,
            format_args!("slave{i}"),
            format_args!(
                "ip={},port={},state={},offset={},lag={}{channel}",
                session.ip(),
                session.announced().port,
                session.state_name(),
                session.ack_offset(),
                session.lag_seconds(now)
            )
        );
    }
    field!(out, "master_failover_state", r.failover.state_name());
    field!(out, "master_replid", r.history.id());
    field!(out, "master_replid2", r.history.second_id());
    field!(out, "master_repl_offset", r.offset());
    field!(out, "second_repl_offset", r.history.second_offset());
    field!(out, "repl_backlog_active", u8::from(r.log.is_active()));
    field!(out, "repl_backlog_size", r.log.size());
    field!(out, "repl_backlog_first_byte_offset", r.log.first_byte_offset());
    field!(out, "repl_backlog_histlen", r.log.histlen());
    field!(
        out,
        "repl_backlog_disk_bytes",
        node.persist.log.files.backlog_bytes() + node.persist.log.files.data_bytes()
    );
    field!(out, "repl_backlog_disk_read_bytes", node.persist.log.read_bytes);
    field!(out, "repl_backlog_auto", u8::from(node.config.repl_backlog_size.bytes().is_none()));
    field!(out, "repl_backlog_mean_reconnect_ms", r.measure.mean_reconnect_ms().unwrap_or(0));
    field!(out, "repl_backlog_bytes_per_second", r.measure.bytes_per_second());
    if let Some(sync) = r.syncs.newest().next() {
        field!(
            out,
            "last_sync",
            format_args!(
                "role={},peer={},kind={},reason={},outcome={},bytes={},ms={}",
                sync.end.word(),
                sync.peer,
                sync.kind.word(),
                sync.reason,
                sync.outcome.word(),
                sync.bytes,
                sync.duration(now)
            )
        );
    }
    let (stream, spilled) = node.held_for_replicas();
    field!(out, "repl_hold_bytes", stream + spilled);
    field!(out, "repl_hold_limit", node.hold_limit());
    field!(out, "repl_hold_disconnections", r.slowest_cut_off);
    let payloads = || node.persist.data.payloads();
    field!(out, "repl_sync_window_bytes", payloads().map(|p| p.held_bytes()).sum::<u64>());
    field!(out, "repl_sync_window_peak_bytes", node.ops.stats.sync_window_peak);
    field!(out, "repl_sync_spill_bytes", payloads().map(|p| p.spilled_bytes()).sum::<u64>());
    field!(out, "repl_sync_spill_peak_bytes", node.ops.stats.sync_spill_peak);
}

fn cpu(_: &Node, out: &mut String) {
    // User and system ticks of this process and of its children (none), as /proc tells them.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = 100.0;
    let seconds = |i: usize| fields.get(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0) / ticks;
    field!(out, "used_cpu_sys", format_args!("{:.6}", seconds(12)));
    field!(out, "used_cpu_user", format_args!("{:.6}", seconds(11)));
    field!(out, "used_cpu_sys_children", format_args!("{:.6}", seconds(14)));
    field!(out, "used_cpu_user_children", format_args!("{:.6}", seconds(13)));
}

/// Memory of scripts and functions, as since Redis 7.0.
fn scripts(node: &Node, out: &mut String) {
    let figures = node.scripts.figures();
    let vm_total = figures.scripts_vm_bytes + figures.functions_vm_bytes;
    let caches = figures.scripts_cache_bytes + figures.functions_cache_bytes;
    field!(out, "used_memory_lua", figures.scripts_vm_bytes);
    field!(out, "used_memory_lua_human", human(figures.scripts_vm_bytes));
    field!(out, "used_memory_vm_eval", figures.scripts_vm_bytes);
    field!(out, "used_memory_scripts_eval", figures.scripts_cache_bytes);
    field!(out, "number_of_cached_scripts", figures.scripts);
    field!(out, "number_of_functions", figures.functions);
    field!(out, "number_of_libraries", figures.libraries);
    field!(out, "used_memory_vm_functions", figures.functions_vm_bytes);
    field!(out, "used_memory_vm_total", vm_total);
    field!(out, "used_memory_vm_total_human", human(vm_total));
    field!(out, "used_memory_functions", figures.functions_cache_bytes);
    field!(out, "used_memory_scripts", caches);
    field!(out, "used_memory_scripts_human", human(caches));
}

fn commandstats(node: &Node, out: &mut String) {
    for (name, s) in node.ops.stats.by_name() {
        let per_call = if s.calls == 0 { 0.0 } else { s.usec as f64 / s.calls as f64 };
        field!(
            out,
            format_args!("cmdstat_{name}"),
            format_args!(
                "calls={},usec={},usec_per_call={per_call:.2},rejected_calls={},failed_calls={}",
                s.calls, s.usec, s.rejected, s.failed
            )
        );
    }
}

fn errorstats(node: &Node, out: &mut String) {
    for (code, count) in &node.ops.stats.errors {
        field!(out, format_args!("errorstat_{code}"), format_args!("count={count}"));
    }
}

fn latencystats(node: &Node, out: &mut String) {
    let rows = node.ops.stats.by_name().into_iter().filter_map(|(name, s)| Some((name, s.histogram.as_ref()?)));
    for (name, histogram) in rows.filter(|(_, h)| h.total() > 0) {
        let percentiles: Vec<String> = node
            .config
            .latency_tracking_info_percentiles
            .iter()
            .map(|p| format!("p{p}={:.3}", histogram.percentile_us(*p)))
            .collect();
        field!(out, format_args!("latency_percentiles_usec_{name}"), percentiles.join(","));
    }
}

fn cluster(_: &Node, out: &mut String) {
    field!(out, "cluster_enabled", 0);
}

fn keyspace(node: &Node, out: &mut String) {
    for (i, db) in node.engine.keyspace.iter().enumerate().filter(|(_, db)| !db.is_empty()) {
        field!(
            out,
            format_args!("db{i}"),
            format_args!(
                "keys={},expires={},avg_ttl={}",
                db.len(),
                db.expires_len(),
                db.average_ttl_ms(node.unix_ms())
            )
        );
    }
}
