//! INFO: one function a section.

use std::collections::BTreeSet;
use std::fmt::Write;

use rivulet_commands::fail::Fail;
use rivulet_engine::asker::Asker;
use rivulet_engine::blocked::BlockedOn;
use rivulet_engine::session::Kind;
use rivulet_resp::Args;

use crate::REDIS_VERSION;
use crate::node::Node;

macro_rules! field {
    ($out:expr, $name:expr, $value:expr) => {{
        // Writing to a string can't fail.
        let _ = write!($out, "{}:{}\r\n", $name, $value);
    }};
}

mod memory;
mod persistence;
mod replication;
mod stats;

type Section = fn(&Node, &mut String);

/// Sections in their order; those of the first part are shown by default.
const SECTIONS: &[(&str, &str, Section, bool)] = &[
    ("server", "Server", server, true),
    ("clients", "Clients", clients, true),
    ("memory", "Memory", memory::section, true),
    ("persistence", "Persistence", persistence::section, true),
    ("stats", "Stats", stats::section, true),
    ("replication", "Replication", replication::section, true),
    ("cpu", "CPU", cpu, true),
    ("commandstats", "Commandstats", commandstats, false),
    ("errorstats", "Errorstats", errorstats, true),
    ("latencystats", "Latencystats", latencystats, false),
    ("cluster", "Cluster", cluster, true),
    ("keyspace", "Keyspace", keyspace, true),
];

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
    // What compiles C and C's atomics is asked for by tools; there is neither here.
    field!(out, "gcc_version", "0.0.0");
    field!(out, "atomicvar_api", "std");
    field!(out, "monotonic_clock", "POSIX clock_gettime");
    field!(out, "multiplexing_api", "epoll");
    field!(out, "process_id", std::process::id());
    field!(out, "process_supervised", node.life.supervisor.name());
    field!(out, "run_id", node.life.run_id);
    field!(out, "tcp_port", node.config.main_port());
    field!(out, "server_time_usec", node.unix_us());
    field!(out, "uptime_in_seconds", uptime);
    field!(out, "uptime_in_days", uptime / 86400);
    field!(out, "hz", node.config.hz);
    field!(out, "configured_hz", node.config.hz);
    field!(out, "lru_clock", rivulet_commands::ctx::lru_clock(node.unix_ms()));
    field!(out, "executable", std::env::current_exe().unwrap_or_default().display());
    field!(out, "config_file", node.config.file.as_deref().map_or_else(String::new, |f| f.display().to_string()));
    field!(out, "io_threads_active", 0);
    listeners(node, out);
    if let Some(shutdown) = &node.life.shutdown {
        field!(out, "shutdown_in_milliseconds", shutdown.deadline_ms.saturating_sub(node.now_ms()));
    }
}

/// Where connections are taken.
fn listeners(node: &Node, out: &mut String) {
    let config = &node.config;
    let mut count = 0;
    let mut add = |listener: String| {
        field!(out, format_args!("listener{count}"), listener);
        count += 1;
    };
    if config.port != 0 {
        let addresses: String = config.bind.iter().map(|address| format!(",bind={address}")).collect();
        add(format!("name=tcp{addresses},port={}", config.port));
    }
    if !config.unixsocket.is_empty() {
        add(format!("name=unix,bind={}", config.unixsocket));
    }
}

fn clients(node: &Node, out: &mut String) {
    let (mut all, mut input, mut output) = (0, 0, 0);
    let (mut listening, mut watching) = (0, 0);
    for client in node.clients.shown() {
        listening += usize::from(!client.session.subscriptions.is_empty());
        watching += usize::from(!client.session.watches.keys.is_empty());
        all += usize::from(!matches!(client.session.kind, Kind::Replica | Kind::Master));
        input = input.max(client.connection.input.peak.max(client.connection.input.bytes.len()));
        output = output.max(client.connection.outbox.output.pending());
    }
    field!(out, "connected_clients", all);
    field!(out, "cluster_connections", 0);
    field!(out, "maxclients", node.config.maxclients);
    field!(out, "client_recent_max_input_buffer", input);
    field!(out, "client_recent_max_output_buffer", output);
    field!(out, "blocked_clients", node.engine.blocking.len());
    field!(out, "tracking_clients", node.engine.tracking.clients_len());
    field!(out, "pubsub_clients", listening);
    field!(out, "watching_clients", watching);
    field!(out, "clients_in_timeout_table", 0);
    field!(out, "total_watched_keys", node.engine.watched.len());
    field!(out, "total_blocking_keys", node.engine.blocking.keys_len());
    field!(out, "total_blocking_keys_on_nokey", keys_of_waits_that_end_with_them(node));
}

/// Keys that somebody waits for whose wait also ends when the key goes.
fn keys_of_waits_that_end_with_them(node: &Node) -> usize {
    if !node.engine.blocking.has_ending_with_keys() {
        return 0;
    }
    let mut keys = BTreeSet::new();
    for blocked in node.clients.iter().filter_map(|client| client.session.blocked.as_deref()) {
        if let BlockedOn::Keys { db, block, .. } = &blocked.reason
            && block.ends_with_key
        {
            keys.extend(block.keys.iter().map(|key| (*db, key)));
        }
    }
    keys.len()
}

/// User and system seconds, then those of children, of a process or thread as /proc tells them.
fn cpu_seconds(stat: &str) -> [f64; 4] {
    let stat = rivulet_host::fs::read_to_string(stat).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = 100.0;
    [11, 12, 13, 14].map(|i| fields.get(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0) / ticks)
}

fn cpu(_: &Node, out: &mut String) {
    let [user, system, child_user, child_system] = cpu_seconds("/proc/self/stat");
    // The executor asks, so that its own thread is the main one.
    let [main_user, main_system, ..] = cpu_seconds("/proc/thread-self/stat");
    for (name, seconds) in [
        ("used_cpu_sys", system),
        ("used_cpu_user", user),
        ("used_cpu_sys_children", child_system),
        ("used_cpu_user_children", child_user),
        ("used_cpu_sys_main_thread", main_system),
        ("used_cpu_user_main_thread", main_user),
    ] {
        field!(out, name, format_args!("{seconds:.6}"));
    }
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
    for (code, count) in &node.ops.stats.errors.by_code {
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
