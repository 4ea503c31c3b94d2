//! Replicas, the link to the master, syncs by their reasons, Sentinels, and the last proof.

use rivulet_topology::{Info, Node};

use super::Sources;
use super::exposition::{Exposition, Kind};
use Kind::{Counter, Gauge};

/// Adds all of it.
pub fn add(out: &mut Exposition, sources: &Sources) {
    let node = Node::of(&sources.info);
    replicas(out, &node);
    if let Some(up) = &node.upstream {
        let (host, port) = (up.address.host.clone(), up.address.port.to_string());
        master(out, &sources.info, [("master_host", host), ("master_port", port)]);
        own_lag(out, sources);
    }
    for (reason, count) in sources.info.with_prefix("sync_full_reason_") {
        if let Ok(count) = count.parse() {
            let labels = [("reason", reason.replace('_', "-"))];
            out.add(
                "rivulet_sync_full_total",
                Counter,
                "Full syncs granted, by why no partial one was.",
                &labels,
                count,
            );
        }
    }
    if let Some(partial) = sources.info.float("sync_partial_ok") {
        out.add("rivulet_sync_partial_total", Counter, "Partial syncs granted.", &[], partial);
    }
    if let Some(sentinels) = sources.sentinels {
        let help = "Sentinels that watch this server, by their connections for its messages.";
        out.add("rivulet_sentinels", Gauge, help, &[], sentinels as f64);
    }
    verified(out, sources);
}

fn replicas(out: &mut Exposition, node: &Node) {
    for follower in &node.followers {
        let (ip, port) = (follower.address.host.clone(), follower.address.port.to_string());
        let labels = [("slave_ip", ip.clone()), ("slave_port", port.clone()), ("slave_state", follower.state.clone())];
        let offset = follower.offset as f64;
        out.add(
            "redis_connected_slave_offset_bytes",
            Gauge,
            "Offset that a replica has acknowledged.",
            &labels,
            offset,
        );
        if let Some(lag) = follower.lag_seconds {
            let help = "Seconds since a replica acknowledged something.";
            out.add("redis_connected_slave_lag_seconds", Gauge, help, &labels, lag as f64);
        }
        let labels = [("replica_ip", ip), ("replica_port", port)];
        let behind = node.offset.saturating_sub(follower.offset) as f64;
        out.add("rivulet_replica_lag_bytes", Gauge, "Bytes that a replica has not acknowledged.", &labels, behind);
    }
}

fn master(out: &mut Exposition, info: &Info, labels: [(&str, String); 2]) {
    let up = f64::from(u8::from(info.text("master_link_status") == Some("up")));
    out.add("redis_master_link_up", Gauge, "Whether the link to the master is up.", &labels, up);
    for (field, name, help) in [
        (
            "master_last_io_seconds_ago",
            "redis_master_last_io_seconds_ago",
            "Seconds since something came from the master.",
        ),
        ("master_sync_in_progress", "redis_master_sync_in_progress", "Whether a full sync goes on."),
        ("slave_repl_offset", "redis_slave_repl_offset", "Offset up to which the master's stream was executed."),
        ("master_sync_read_bytes", "rivulet_full_sync_read_bytes", "Bytes of the full sync that goes on."),
        ("master_sync_perc", "rivulet_full_sync_percentage", "How far it is."),
        ("master_sync_failures", "rivulet_full_sync_failures", "Full syncs in a row that could not be loaded."),
    ] {
        if let Some(value) = info.float(field) {
            out.add(name, Gauge, help, &labels, value);
        }
    }
    let [host, port] = labels;
    let read_only = ("read_only", info.text("slave_read_only").unwrap_or_default().to_string());
    out.add("redis_slave_info", Gauge, "Whom it follows; always 1.", &[host, port, read_only], 1.0);
}

/// How far this node is behind, for which its master was asked.
fn own_lag(out: &mut Exposition, sources: &Sources) {
    let Some(link) = &sources.link else { return };
    if let Some(bytes) = link.behind_bytes {
        out.add(
            "rivulet_lag_bytes",
            Gauge,
            "Bytes of the master's stream that were not executed here.",
            &[],
            bytes as f64,
        );
    }
    if let Some(seconds) = link.behind_seconds {
        let help = "How long ago this node stood where its master stands.";
        out.add("rivulet_lag_seconds", Gauge, help, &[], seconds);
    }
}

fn verified(out: &mut Exposition, sources: &Sources) {
    let Some(verified) = &sources.verified else { return };
    let help = "Unix time of the last proof made from the page.";
    out.add("rivulet_verify_timestamp_seconds", Gauge, help, &[], verified.unix_ms as f64 / 1e3);
    for word in ["yes", "no", "unverifiable", "timeout"] {
        let count = verified.replicas.get(word).copied().unwrap_or(0) as f64;
        let help = "Replicas that the last proof found equal or not.";
        out.add("rivulet_verify_replicas", Gauge, help, &[("equal", word.to_string())], count);
    }
}
