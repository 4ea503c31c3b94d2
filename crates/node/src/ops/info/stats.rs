//! INFO's section of counters.

use std::fmt::Write;

use crate::node::Node;

pub fn section(node: &Node, out: &mut String) {
    traffic(node, out);
    syncs(node, out);
    expiry_and_eviction(node, out);
    lookups(node, out);
    absent(out);
    tracking(node, out);
    errors_and_calls(node, out);
    denied(node, out);
}

fn traffic(node: &Node, out: &mut String) {
    let s = &node.ops.stats;
    field!(out, "total_connections_received", s.connections.accepted);
    field!(out, "total_commands_processed", s.commands);
    field!(out, "eventloop_cycles", s.turns.count);
    field!(out, "eventloop_duration_sum", s.turns.total_us);
    field!(out, "eventloop_duration_max", s.turns.longest_us);
    field!(out, "eventloop_duration_cmd_sum", s.commands_us());
    let turns = s.rates.turns.per_second();
    field!(out, "instantaneous_eventloop_cycles_per_sec", turns);
    field!(out, "instantaneous_eventloop_duration_usec", s.rates.turn_us.per_second().checked_div(turns).unwrap_or(0));
    field!(out, "instantaneous_ops_per_sec", s.rates.commands.per_second());
    field!(out, "total_net_input_bytes", s.traffic.input_bytes);
    field!(out, "total_net_output_bytes", s.traffic.output_bytes);
    field!(out, "total_net_repl_input_bytes", s.traffic.repl_input_bytes);
    field!(out, "total_net_repl_output_bytes", s.traffic.repl_output_bytes);
    let kbps = |rate: u64| format!("{:.2}", rate as f64 / 1024.0);
    field!(out, "instantaneous_input_kbps", kbps(s.rates.input.per_second()));
    field!(out, "instantaneous_output_kbps", kbps(s.rates.output.per_second()));
    field!(out, "instantaneous_input_repl_kbps", kbps(s.rates.repl_input.per_second()));
    field!(out, "instantaneous_output_repl_kbps", kbps(s.rates.repl_output.per_second()));
    field!(out, "rejected_connections", s.connections.rejected);
    if node.front.tls.is_some() {
        field!(out, "tls_handshakes_failed", s.connections.handshakes_failed);
        field!(out, "tls_handshakes_given_up", s.connections.handshakes_given_up);
    }
}

fn syncs(node: &Node, out: &mut String) {
    let syncs = node.replication.master.counters();
    field!(out, "sync_full", syncs.full);
    field!(out, "sync_partial_ok", syncs.partial_ok);
    field!(out, "sync_partial_err", syncs.partial_err);
    for (word, count) in node.replication.observed.syncs.full_by_reason() {
        field!(out, format_args!("sync_full_reason_{}", word.replace('-', "_")), count);
    }
}

fn expiry_and_eviction(node: &Node, out: &mut String) {
    let s = &node.ops.stats;
    field!(out, "expired_keys", s.keys.expired);
    // A field of Redis 7.4.
    field!(out, "expired_subkeys", s.keys.expired_fields);
    field!(out, "expired_stale_perc", "0.00");
    field!(out, "expired_time_cap_reached_count", node.engine.keys.expiry.time_cap_reached);
    field!(out, "expire_cycle_cpu_milliseconds", node.engine.keys.expiry.spent_us / 1000);
    field!(out, "evicted_keys", s.keys.evicted);
    field!(out, "evicted_scripts", node.scripts.figures().scripts_evicted);
    field!(out, "evicted_clients", s.connections.evicted);
    // Fields of Redis 7.2.
    field!(out, "client_query_buffer_limit_disconnections", s.connections.query_limit);
    field!(out, "client_output_buffer_limit_disconnections", s.connections.output_limit);
    field!(out, "total_eviction_exceeded_time", node.engine.keys.eviction.exceeded_ms(node.clock.now_us));
    field!(out, "current_eviction_exceeded_time", node.engine.keys.eviction.exceeding_ms(node.clock.now_us));
}

fn lookups(node: &Node, out: &mut String) {
    let s = &node.ops.stats;
    field!(out, "keyspace_hits", s.keys.hits);
    field!(out, "keyspace_misses", s.keys.misses);
    field!(out, "pubsub_channels", node.engine.pubsub.channel_count());
    field!(out, "pubsub_patterns", node.engine.pubsub.pattern_count());
    field!(out, "pubsubshard_channels", node.engine.pubsub.shard_channel_count());
    field!(out, "latest_fork_usec", s.latest_fork_us);
    field!(out, "total_forks", s.snapshots + s.sessions);
    field!(out, "migrate_cached_sockets", node.migrate.sockets.len());
    field!(out, "slave_expires_tracked_keys", node.engine.keys.own_expiring.len());
}

/// What this server does not have.
fn absent(out: &mut String) {
    for name in [
        "active_defrag_hits",
        "active_defrag_misses",
        "active_defrag_key_hits",
        "active_defrag_key_misses",
        "total_active_defrag_time",
        "current_active_defrag_time",
    ] {
        field!(out, name, 0);
    }
}

fn tracking(node: &Node, out: &mut String) {
    field!(out, "tracking_total_keys", node.engine.tracking.keys_len());
    field!(out, "tracking_total_items", node.engine.tracking.items_len());
    field!(out, "tracking_total_prefixes", node.engine.tracking.prefixes_len());
}

/// Fields of Redis 7.2.
fn denied(node: &Node, out: &mut String) {
    let denied = &node.ops.stats.denied;
    field!(out, "acl_access_denied_auth", denied.logins);
    field!(out, "acl_access_denied_cmd", denied.commands);
    field!(out, "acl_access_denied_key", denied.keys);
    field!(out, "acl_access_denied_channel", denied.channels);
    if node.front.tls.is_some() {
        field!(out, "acl_access_denied_tls_cert", denied.certificates);
    }
}

fn errors_and_calls(node: &Node, out: &mut String) {
    let s = &node.ops.stats;
    field!(out, "unexpected_error_replies", s.errors.unexpected);
    field!(out, "total_error_replies", s.errors.replies);
    field!(out, "dump_payload_sanitizations", s.dump_payload_sanitizations);
    field!(out, "total_reads_processed", s.traffic.reads);
    field!(out, "total_writes_processed", s.traffic.writes);
    field!(out, "io_threaded_reads_processed", 0);
    field!(out, "io_threaded_writes_processed", 0);
    field!(out, "reply_buffer_shrinks", 0);
    field!(out, "reply_buffer_expands", 0);
}
