//! INFO's section about memory.

use std::fmt::Write;

use rivulet_memory as memory;

use crate::node::Node;
use crate::ops::memory::ClientMemory;

pub fn section(node: &Node, out: &mut String) {
    let used = memory::used();
    let rss = resident();
    let clients = node.client_memory();
    usage(node, used, rss, &clients, out);
    let allocator = memory::allocator_stats();
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
    fragmentation(used, rss, &allocator, out);
    parts(node, &clients, out);
    field!(out, "mem_allocator", "jemalloc-5.3.1");
    field!(out, "active_defrag_running", 0);
    field!(out, "lazyfree_pending_objects", node.persist.reaper.pending());
    field!(out, "lazyfreed_objects", node.persist.reaper.freed());
}

fn usage(node: &Node, used: usize, rss: usize, clients: &ClientMemory, out: &mut String) {
    let peak = memory::peak().max(used);
    let overhead = node.overhead_memory(*clients);
    let dataset = used.saturating_sub(overhead);
    let net = used.saturating_sub(node.ops.startup_memory).max(1);
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
}

fn fragmentation(used: usize, rss: usize, allocator: &memory::AllocatorStats, out: &mut String) {
    let ratio = |a: usize, b: usize| a as f64 / b.max(1) as f64;
    field!(out, "allocator_frag_ratio", format_args!("{:.2}", ratio(allocator.active, allocator.allocated)));
    field!(out, "allocator_frag_bytes", allocator.active.saturating_sub(allocator.allocated));
    field!(out, "allocator_rss_ratio", format_args!("{:.2}", ratio(allocator.resident, allocator.active)));
    field!(out, "allocator_rss_bytes", allocator.resident.saturating_sub(allocator.active));
    field!(out, "rss_overhead_ratio", format_args!("{:.2}", ratio(rss, allocator.resident)));
    field!(out, "rss_overhead_bytes", rss as i64 - allocator.resident as i64);
    field!(out, "mem_fragmentation_ratio", format_args!("{:.2}", ratio(rss, used)));
    field!(out, "mem_fragmentation_bytes", rss as i64 - used as i64);
}

/// What takes memory beside the data.
fn parts(node: &Node, clients: &ClientMemory, out: &mut String) {
    let log_bytes = node.replication.log.memory_bytes();
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
    let pages = rivulet_host::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|s| s.split(' ').nth(1)?.parse::<usize>().ok());
    pages.unwrap_or(0) * memory::page_bytes()
}

fn total_system_memory() -> usize {
    let info = rustix::system::sysinfo();
    info.totalram as usize * info.mem_unit.max(1) as usize
}
