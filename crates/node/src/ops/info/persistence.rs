//! INFO's section about persistence.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use crate::node::Node;
use crate::persist::load::Load;
use crate::persist::saving::{Purpose, Running};

pub fn section(node: &Node, out: &mut String) {
    let running = node.persist.saving.running.as_ref().filter(|r| !matches!(r.purpose, Purpose::Verify));
    field!(out, "loading", u8::from(node.is_loading()));
    field!(out, "async_loading", u8::from(node.is_async_loading()));
    snapshot(node, running, out);
    saves(node, running, out);
    append_only(node, out);
    field!(out, "module_fork_in_progress", 0);
    field!(out, "module_fork_last_cow_size", 0);
    append_only_files(node, out);
    if let Some(load) = &node.persist.loading.load {
        loading(node, load, out);
    }
}

/// The snapshot that runs, whatever for.
fn snapshot(node: &Node, running: Option<&Running>, out: &mut String) {
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
    field!(out, "snapshot_queue_peak_bytes", node.ops.stats.peaks.snapshot);
    field!(out, "log_queue_bytes", node.persist.log.queued_bytes());
    field!(out, "log_queue_peak_bytes", node.ops.stats.peaks.log_queue);
}

fn saves(node: &Node, running: Option<&Running>, out: &mut String) {
    let p = &node.persist.saving;
    let saving = running.filter(|r| !matches!(r.purpose, Purpose::ReplicasSockets));
    field!(out, "rdb_changes_since_last_save", p.dirty);
    field!(out, "rdb_bgsave_in_progress", u8::from(running.is_some() || !p.sending.is_empty()));
    field!(out, "rdb_last_save_time", node.clock.shown_ms(p.last.at_ms) / 1000);
    field!(out, "rdb_last_bgsave_status", if p.last.ok { "ok" } else { "err" });
    field!(out, "rdb_last_bgsave_time_sec", p.last.seconds);
    let seconds = saving.map_or(-1, |r| (node.now_ms().saturating_sub(r.snapshot.started_ms) / 1000) as i64);
    field!(out, "rdb_current_bgsave_time_sec", seconds);
    field!(out, "rdb_saves", p.saves);
    field!(out, "rdb_last_cow_size", 0);
    field!(out, "rdb_last_load_keys_expired", node.persist.loading.last.expired);
    field!(out, "rdb_last_load_keys_loaded", node.persist.loading.last.loaded);
}

fn loading(node: &Node, load: &Load, out: &mut String) {
    let read = load.loader.read.load(Ordering::Relaxed);
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

fn append_only(node: &Node, out: &mut String) {
    let aof = &node.persist.aof;
    let disk = &node.persist.log;
    let running = node.persist.saving.running.as_ref().filter(|r| matches!(r.purpose, Purpose::AofRewrite));
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
