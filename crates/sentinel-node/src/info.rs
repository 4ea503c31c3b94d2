//! INFO: the sections that a Sentinel has.

use std::fmt::Write;

use rivulet_node::REDIS_VERSION;

use crate::program::Program;

type Section = fn(&Program, &mut String);

/// Sections in their order; those of the Sentinel itself follow.
const SECTIONS: [(&str, &str, Section); 4] =
    [("server", "Server", server), ("clients", "Clients", clients), ("stats", "Stats", stats), ("cpu", "CPU", cpu)];

macro_rules! field {
    ($out:expr, $name:expr, $value:expr) => {{
        // Writing to a string can't fail.
        let _ = write!($out, "{}:{}\r\n", $name, $value);
    }};
}

/// What this process has done so far.
#[derive(Default)]
pub struct Stats {
    pub connections: u64,
    pub commands: u64,
    pub input_bytes: u64,
    pub output_bytes: u64,
    pub rejected: u64,
    pub errors: u64,
}

impl Program {
    /// The sections of these names, in small letters; all that Redis has when there are none.
    pub fn info(&self, names: &[String]) -> String {
        let has = |word: &str| names.iter().any(|name| name == word);
        let all = names.is_empty() || has("all") || has("everything") || has("default");
        let mut parts = Vec::new();
        for (name, title, section) in SECTIONS {
            if all || has(name) {
                let mut text = format!("# {title}\r\n");
                section(self, &mut text);
                parts.push(text);
            }
        }
        if all || has("sentinel") {
            parts.push(self.core.info_section());
        }
        if has("failover") || has("all") || has("everything") {
            parts.push(self.core.failover_section());
        }
        parts.join("\r\n")
    }
}

fn server(program: &Program, out: &mut String) {
    let uptime = program.now_ms.saturating_sub(program.started_ms) / 1000;
    field!(out, "redis_version", REDIS_VERSION);
    field!(out, "rivulet_version", env!("CARGO_PKG_VERSION"));
    field!(out, "redis_git_sha1", "00000000");
    field!(out, "redis_git_dirty", 0);
    field!(out, "redis_build_id", "0");
    field!(out, "redis_mode", "sentinel");
    let system = rustix::system::uname();
    let [name, release, machine] = [system.sysname(), system.release(), system.machine()].map(|s| s.to_string_lossy());
    field!(out, "os", format_args!("{name} {release} {machine}"));
    field!(out, "arch_bits", usize::BITS);
    field!(out, "monotonic_clock", "POSIX clock_gettime");
    field!(out, "multiplexing_api", "epoll");
    field!(out, "process_id", std::process::id());
    field!(out, "process_supervised", program.supervisor.name());
    field!(out, "run_id", program.run_id);
    field!(out, "tcp_port", program.config.main_port());
    field!(out, "server_time_usec", rivulet_host::time::unix_us());
    field!(out, "uptime_in_seconds", uptime);
    field!(out, "uptime_in_days", uptime / 86_400);
    field!(out, "hz", program.config.hz);
    field!(out, "configured_hz", program.config.hz);
    field!(out, "lru_clock", program.unix_ms / 1000 % (1 << 24));
    field!(out, "executable", std::env::current_exe().unwrap_or_default().display());
    field!(out, "config_file", program.config.file.as_deref().map_or_else(String::new, |f| f.display().to_string()));
    field!(out, "io_threads_active", 0);
}

fn clients(program: &Program, out: &mut String) {
    let clients = program.clients.values().filter(|client| !client.is_internal);
    field!(out, "connected_clients", program.served());
    field!(out, "cluster_connections", 0);
    field!(out, "maxclients", program.config.maxclients);
    field!(out, "client_recent_max_input_buffer", clients.clone().map(|c| c.input.len()).max().unwrap_or(0));
    field!(out, "client_recent_max_output_buffer", clients.clone().map(|c| c.output.len()).max().unwrap_or(0));
    field!(out, "blocked_clients", clients.filter(|client| client.waits_for.is_some()).count());
    field!(out, "tracking_clients", 0);
    field!(out, "clients_in_timeout_table", 0);
}

fn stats(program: &Program, out: &mut String) {
    let stats = &program.stats;
    let channels: std::collections::BTreeSet<_> =
        program.clients.values().flat_map(|client| &client.subscriptions.channels).collect();
    let patterns: std::collections::BTreeSet<_> =
        program.clients.values().flat_map(|client| &client.subscriptions.patterns).collect();
    field!(out, "total_connections_received", stats.connections);
    field!(out, "total_commands_processed", stats.commands);
    field!(out, "total_net_input_bytes", stats.input_bytes);
    field!(out, "total_net_output_bytes", stats.output_bytes);
    field!(out, "rejected_connections", stats.rejected);
    field!(out, "pubsub_channels", channels.len());
    field!(out, "pubsub_patterns", patterns.len());
    field!(out, "total_error_replies", stats.errors);
    field!(out, "tls_handshakes_failed", program.handshakes.failed);
    field!(out, "tls_handshakes_given_up", program.handshakes.given_up);
}

fn cpu(_: &Program, out: &mut String) {
    // User and system ticks, as /proc tells them.
    let stat = rivulet_host::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let seconds = |i: usize| fields.get(i).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0) / 100.0;
    for (name, i) in [("sys", 12), ("user", 11), ("sys_children", 14), ("user_children", 13)] {
        field!(out, format_args!("used_cpu_{name}"), format_args!("{:.6}", seconds(i)));
    }
}
