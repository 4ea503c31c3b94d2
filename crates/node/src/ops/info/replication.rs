//! INFO's section about replication.

use std::fmt::Write;

use rivulet_replication::replica::SyncProgress;

use crate::node::Node;
use crate::replication::Link;

pub fn section(node: &Node, out: &mut String) {
    field!(out, "role", if node.is_replica() { "slave" } else { "master" });
    if let Some(link) = &node.replication.link {
        of_link(node, link, out);
    }
    divergence(node, out);
    replicas(node, out);
    synchronous(node, out);
    history(node, out);
    backlog(node, out);
    last_sync(node, out);
    held(node, out);
}

/// What a replica has of its master.
fn of_link(node: &Node, link: &Link, out: &mut String) {
    let r = &node.replication;
    let now = node.now_ms();
    let state = &link.state;
    field!(out, "master_host", link.host);
    field!(out, "master_port", link.port);
    field!(out, "master_link_status", if state.is_up() { "up" } else { "down" });
    field!(out, "master_last_io_seconds_ago", state.last_io_seconds(now).map_or(-1, |s| s as i64));
    field!(out, "master_sync_in_progress", u8::from(state.is_syncing()));
    let read = if state.is_up() { link.incoming.applied.read() } else { r.offset() };
    field!(out, "slave_read_repl_offset", read);
    field!(out, "slave_repl_offset", r.offset());
    full_sync(node, link, out);
    field!(out, "master_lacks_data", u8::from(state.master_lacks_data()));
    field!(out, "master_link_waits_for_disk", u8::from(link.waits_for_disk));
    if !state.is_up() {
        field!(out, "master_link_down_since_seconds", state.down_since_seconds(now).map_or(-1, |s| s as i64));
    }
    field!(out, "slave_priority", node.config.replica_priority);
    field!(out, "slave_read_only", u8::from(node.config.replica_read_only));
    field!(out, "replica_announced", u8::from(node.config.replica_announced));
}

/// The full sync that is under way, and those that failed before it.
fn full_sync(node: &Node, link: &Link, out: &mut String) {
    let now = node.now_ms();
    let state = &link.state;
    if state.has_channel() || state.kept_bytes() > 0 {
        let (kept, peak) = (state.kept_bytes(), state.kept_bytes_peak());
        field!(out, "replica_full_sync_buffer_size", kept);
        field!(out, "replica_full_sync_buffer_peak", peak);
        field!(out, "replicas_repl_buffer_size", kept);
        field!(out, "replicas_repl_buffer_peak", peak);
    }
    if let Some(progress) = state.sync_progress(now) {
        progress_of(node, &progress, out);
    }
    let unloadable = state.unloadable();
    if unloadable.failures() > 0 {
        field!(out, "master_sync_failures", unloadable.failures());
        field!(out, "master_sync_failure", one_line(unloadable.why()));
        field!(out, "master_sync_retry_seconds", state.retry_in(now).div_ceil(1000));
    }
}

fn progress_of(node: &Node, progress: &SyncProgress, out: &mut String) {
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

fn divergence(node: &Node, out: &mut String) {
    let r = &node.replication;
    field!(out, "diverged", u8::from(r.truth.diverged.is_some()));
    if let Some(diverged) = &r.truth.diverged {
        field!(out, "diverged_offset", diverged.offset);
        field!(out, "diverged_times", diverged.times);
        field!(out, "diverged_reason", one_line(&diverged.why));
    }
}

fn replicas(node: &Node, out: &mut String) {
    let r = &node.replication;
    let now = node.now_ms();
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
}

/// Replies that wait for replicas.
fn synchronous(node: &Node, out: &mut String) {
    let promises = &node.replication.kept.promises;
    field!(out, "node_id", promises.node_id);
    field!(out, "failover_epoch", promises.known());
    field!(out, "stale_master", u8::from(node.is_stale_master()));
    let members: Vec<&str> = promises.members().iter().map(|id| id.as_str()).collect();
    field!(out, "members", members.join(","));
    field!(out, "members_list", promises.list());
    field!(out, "synchronous_replicas", node.config.synchronous_replicas);
    // While data are loaded no reply waits yet, and a Sentinel must know it nevertheless.
    if node.front.held.marks || node.is_unproven() {
        field!(out, "synchronous_unproven", u8::from(node.is_unproven()));
    }
    if !node.front.held.marks {
        return;
    }
    let r = &node.replication;
    field!(out, "synchronous_replicas_there", node.synchronous_replicas_there());
    field!(out, "synchronous_offset", r.synchronous.quorum());
    field!(out, "synchronous_lag_bytes", r.log.content_end().saturating_sub(r.synchronous.quorum()));
    field!(out, "synchronous_held_clients", node.front.held.len());
    field!(out, "synchronous_timeouts", r.synchronous.timeouts);
}

fn history(node: &Node, out: &mut String) {
    let r = &node.replication;
    field!(out, "master_failover_state", r.failover.state_name());
    field!(out, "master_replid", r.history.id());
    field!(out, "master_replid2", r.history.second_id());
    field!(out, "master_repl_offset", r.offset());
    field!(out, "second_repl_offset", r.history.second_offset());
}

fn backlog(node: &Node, out: &mut String) {
    let r = &node.replication;
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
    field!(out, "repl_backlog_mean_reconnect_ms", r.observed.measure.mean_reconnect_ms().unwrap_or(0));
    field!(out, "repl_backlog_bytes_per_second", r.observed.measure.bytes_per_second());
}

fn last_sync(node: &Node, out: &mut String) {
    let Some(sync) = node.replication.observed.syncs.newest().next() else { return };
    field!(
        out,
        "last_sync",
        format_args!(
            "role={},peer={},kind={},reason={},outcome={},bytes={},ms={}",
            sync.end.word(),
            sync.at.peer,
            sync.kind.word(),
            sync.why.reason,
            sync.outcome.word(),
            sync.bytes,
            sync.duration(node.now_ms())
        )
    );
}

/// What is kept for replicas that are slow.
fn held(node: &Node, out: &mut String) {
    let (stream, spilled) = node.held_for_replicas();
    field!(out, "repl_hold_bytes", stream + spilled);
    field!(out, "repl_hold_limit", node.hold_limit());
    field!(out, "repl_hold_disconnections", node.replication.cut_off.by_hold_limit);
    let payloads = || node.persist.saving.payloads();
    field!(out, "repl_sync_window_bytes", payloads().map(|p| p.held_bytes()).sum::<u64>());
    field!(out, "repl_sync_window_peak_bytes", node.ops.stats.peaks.sync_window);
    field!(out, "repl_sync_spill_bytes", payloads().map(|p| p.spilled_bytes()).sum::<u64>());
    field!(out, "repl_sync_spill_peak_bytes", node.ops.stats.peaks.sync_spill);
}

/// A text as the value of a field, which ends with its line.
fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}
