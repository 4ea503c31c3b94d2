//! Figures, times and events in words.

use rivulet_progress::bytes;
use rivulet_topology::event::{Event, EventKind};
use rivulet_topology::sync::{Progress, SyncRecord};
use rivulet_topology::{Node, Topology};

use super::line::Style;

/// Characters of a sync's bar.
const BAR: u64 = 10;

/// What a node is called: the first address that it was found at.
pub fn name(node: &Node) -> String {
    node.addresses.first().map_or_else(|| node.id.clone(), ToString::to_string)
}

/// The same for an id; what is no node's id stands for itself.
pub fn name_of(topology: &Topology, id: &str) -> String {
    topology.nodes.iter().find(|node| node.id == id).map_or_else(|| id.to_string(), name)
}

/// Seconds: `0.2s`, `12s`, `3m`, `5h`, `2d`.
pub fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 0.05 => "0s".into(),
        s if s < 9.95 => format!("{s:.1}s"),
        s if s < 120.0 => format!("{s:.0}s"),
        s if s < 7200.0 => format!("{:.0}m", s / 60.0),
        s if s < 172_800.0 => format!("{:.0}h", s / 3600.0),
        s => format!("{:.0}d", s / 86_400.0),
    }
}

/// Seconds of which parts are not known.
pub fn whole(count: u64) -> String {
    if count < 10 { format!("{count}s") } else { seconds(count as f64) }
}

/// How long ago something was.
pub fn age(now_ms: u64, then_ms: u64) -> String {
    whole(now_ms.saturating_sub(then_ms) / 1000)
}

pub fn rate(per_second: Option<u64>) -> String {
    per_second.map(|n| format!("{}/s", bytes(n))).unwrap_or_default()
}

/// A full sync that goes on: a bar, percent, and what is left; or what has come, where the size is not known.
pub fn progress(progress: &Progress) -> String {
    let mut words = Vec::new();
    match progress.percent {
        Some(percent) => {
            let filled = (percent.clamp(0.0, 100.0) as u64 * BAR / 100) as usize;
            words.push(format!("[{}{}] {percent:.0}%", "#".repeat(filled), ".".repeat(BAR as usize - filled)));
        }
        None => words.push(format!("{} so far", bytes(progress.bytes))),
    }
    // The last ones are cut off first where there is no room.
    words.extend(progress.seconds_left.map(|left| format!("{} left", whole(left))));
    words.extend(progress.bytes_per_second.map(|n| rate(Some(n))));
    words.extend(progress.total_bytes.map(|total| format!("{} in all", bytes(total))));
    words.join(", ")
}

/// What happened, and how it is to be shown.
pub fn event(topology: &Topology, event: &Event) -> (Style, String) {
    let (node, peer) = (name_of(topology, &event.node), name_of(topology, &event.peer));
    match (event.kind, &event.sync) {
        (EventKind::Sync, Some(record)) => (sync_style(record), sync(record, &node, &peer)),
        (EventKind::Sync, None) => (Style::Plain, format!("{node} had a sync")),
        (EventKind::Found, _) => (Style::Plain, format!("{node} was found")),
        (EventKind::Silent, _) => (Style::Bad, format!("{node} does not answer")),
        (EventKind::Answers, _) => (Style::Good, format!("{node} answers again")),
        (EventKind::Restarted, _) => (Style::Warning, format!("{node} has restarted")),
        (EventKind::Promoted, _) => (Style::Warning, format!("{node} is a master now")),
        (EventKind::Demoted, _) => (Style::Warning, format!("{node} is a replica now")),
        (EventKind::Moved, _) => (Style::Plain, format!("{node} follows {peer} now")),
        (EventKind::LinkDown, _) => (Style::Bad, format!("{node} has lost its link to {peer}")),
        (EventKind::LinkUp, _) => (Style::Good, format!("{node} is linked to {peer}")),
        (EventKind::SyncBegan, _) => (Style::Warning, format!("{node} is sent all data by {peer}")),
    }
}

fn sync_style(record: &SyncRecord) -> Style {
    match (record.outcome.as_str(), record.kind.as_str()) {
        ("failed", _) => Style::Bad,
        (_, "full") => Style::Warning,
        _ => Style::Good,
    }
}

/// `127.0.0.1:6380 full sync (behind): …; 12.00M in 1.2s`. The node that has the record may be at either end.
fn sync(record: &SyncRecord, node: &str, peer: &str) -> String {
    let replica = match (record.role.as_str(), peer) {
        ("master", "") => format!("a replica of {node}"),
        ("master", peer) => peer.to_string(),
        _ => node.to_string(),
    };
    let mut text = format!("{replica} {} sync", record.kind);
    if !record.reason.is_empty() {
        text += &format!(" ({})", record.reason);
    }
    if !record.sentence.is_empty() {
        text += &format!(": {}", record.sentence.trim_end_matches('.'));
    }
    match record.outcome.as_str() {
        "running" => text += "; it goes on",
        "failed" => text += &format!("; failed: {}", record.failure),
        _ => {}
    }
    if record.bytes > 0 {
        text += &format!("; {} in {}", bytes(record.bytes), seconds(record.duration_ms as f64 / 1000.0));
    }
    if record.bytes_missing > 0 {
        text += &format!("; {} were missing in the backlog", bytes(record.bytes_missing));
    }
    text
}

/// What should not be so: the doctor's findings and what nodes say of themselves, the node before each.
pub fn findings(topology: &Topology) -> Vec<(Style, String)> {
    let mut found = Vec::new();
    for node in &topology.nodes {
        let name = name(node);
        let mut add = |style, text: &str| found.push((style, format!("{name}: {text}")));
        if let Some(why) = &node.silent {
            add(Style::Bad, &format!("does not answer: {why}"));
            continue;
        }
        if let Some(why) = &node.trouble.diverged {
            add(Style::Bad, &format!("its data are not those of its position: {why}"));
        }
        if node.trouble.is_stale_master {
            add(Style::Bad, "a newer master was promised; its writes are not acknowledged");
        }
        if let Some(state) = &node.trouble.failover {
            add(Style::Warning, &format!("a failover is under way: {state}"));
        }
        if node.trouble.held_clients > 0 {
            add(Style::Warning, &format!("{} clients wait for replicas", node.trouble.held_clients));
        }
        if let Some(up) = node.upstream.as_ref().filter(|up| up.failures > 0) {
            add(Style::Bad, &format!("{} full syncs could not be loaded: {}", up.failures, up.failure));
        }
        for finding in node.doctor.iter().flat_map(|doctor| &doctor.findings) {
            add(Style::Warning, finding);
        }
    }
    found
}
