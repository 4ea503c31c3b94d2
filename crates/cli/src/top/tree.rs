//! The tree: a row for each node, replicas below their masters, with the figures of their links.

use rivulet_progress::bytes;
use rivulet_topology::{Link, LinkState, Node, Role, Topology};

use super::line::{Line, Style};
use super::words::{name, progress, rate, seconds, whole};

/// From here on there is room for more columns.
const WIDE: usize = 100;
const NAME_WIDTH_MIN: usize = 24;
const STATE_WIDTH: usize = 9;

/// How the tree's branches are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branches {
    middle: &'static str,
    last: &'static str,
    past: &'static str,
}

/// For a terminal that has them, and for any.
pub const LINES: Branches = Branches { middle: "├─ ", last: "└─ ", past: "│  " };
pub const ASCII: Branches = Branches { middle: "|- ", last: "`- ", past: "|  " };

/// The title of each column, and its width behind a blank.
fn columns(width: usize) -> Vec<(&'static str, usize)> {
    let mut columns = vec![("OFFSET", 13), ("BEHIND", 8), ("LAG", 6), ("RATE", 10)];
    if width >= WIDE {
        columns.extend([("KEYS", 10), ("MEMORY", 9)]);
    }
    columns
}

/// The column in which a node's state stands.
fn name_width(width: usize) -> usize {
    let others: usize = columns(width).iter().map(|(_, width)| width + 1).sum();
    // One blank is before the first and one behind the name.
    width.saturating_sub(others + STATE_WIDTH + 3).clamp(NAME_WIDTH_MIN, 60)
}

/// The line above the tree.
pub fn head(width: usize) -> Line {
    let mut text = format!("  {:<1$} {2:<STATE_WIDTH$}", "NODE", name_width(width) - 1, "STATE");
    for (title, width) in columns(width) {
        text += &format!(" {title:>width$}");
    }
    Line::new(Style::Faint, &text)
}

/// A line for each node, in the order of the picture, the chosen one with a mark.
pub fn rows(topology: &Topology, chosen: Option<&str>, branches: Branches, width: usize) -> Vec<Line> {
    let guides = guides(topology, branches);
    let nodes = topology.nodes.iter().zip(guides);
    nodes.map(|(node, guide)| row(topology, node, &guide, chosen == Some(&node.id), width)).collect()
}

fn row(topology: &Topology, node: &Node, guide: &str, is_chosen: bool, width: usize) -> Line {
    let link = topology.link_of(&node.id);
    let (style, state) = state(node, link);
    let mark = if is_chosen { "> " } else { "  " };
    let name_style = if is_chosen { Style::Title } else { Style::Plain };
    let line = Line::new(Style::Title, mark).with(Style::Faint, guide).with(name_style, &name(node));
    let line = line.clipped(name_width(width)).padded(name_width(width) + 2).with(style, state);
    let line = line.padded(name_width(width) + 2 + STATE_WIDTH);
    if let Some(text) = instead_of_figures(node, link) {
        return line.with(style, &format!(" {text}"));
    }
    figures(node, link, width).into_iter().fold(line, |line, (style, cell, width)| {
        let gap = " ".repeat((width + 1).saturating_sub(cell.chars().count()));
        line.with(Style::Plain, &gap).with(style, &cell)
    })
}

/// What a node is at the moment, in a word.
pub fn state(node: &Node, link: Option<&Link>) -> (Style, &'static str) {
    if node.silent.is_some() {
        return (Style::Bad, "silent");
    }
    if node.loading.is_some() {
        return (Style::Warning, "loading");
    }
    match (node.role, link.map(|link| link.state)) {
        (Role::Master, _) => (Style::Title, "master"),
        (Role::Sentinel, _) => (Style::Faint, "sentinel"),
        (_, Some(LinkState::Online)) => (Style::Good, "online"),
        (_, Some(LinkState::Syncing)) => (Style::Warning, "syncing"),
        (_, Some(LinkState::Waiting)) => (Style::Warning, "waiting"),
        (_, Some(LinkState::Down)) => (Style::Bad, "down"),
        (Role::Replica, None) => (Style::Bad, "no link"),
        (Role::Unknown, None) => (Style::Faint, "unknown"),
    }
}

/// What matters more than figures.
fn instead_of_figures(node: &Node, link: Option<&Link>) -> Option<String> {
    if let Some(why) = &node.silent {
        return Some(why.clone());
    }
    if let Some(loading) = &node.loading {
        let percent = loading.percent.map(|percent| format!("{percent:.0}% of its data"));
        let left = loading.seconds_left.map(|left| format!("{} left", whole(left)));
        return Some([percent, left].into_iter().flatten().collect::<Vec<_>>().join(", "));
    }
    if node.role == Role::Sentinel {
        let watched: Vec<String> = node.watches.iter().map(ToString::to_string).collect();
        return Some(format!("watches {}", watched.join(", ")));
    }
    let link = link?;
    match (link.state, &link.sync) {
        (LinkState::Syncing, Some(sync)) => Some(progress(sync)),
        (LinkState::Waiting, _) => Some("for a snapshot to begin".into()),
        _ => None,
    }
}

fn figures(node: &Node, link: Option<&Link>, width: usize) -> Vec<(Style, String, usize)> {
    let behind = link.and_then(|link| link.behind_bytes);
    // Falling out of the backlog makes the next sync a full one.
    let is_lost = link.and_then(|link| link.slack_bytes) == Some(0);
    let behind_style = if is_lost { Style::Bad } else { Style::Plain };
    let lag = link.and_then(|link| link.behind_seconds).map(seconds).unwrap_or_default();
    let per_second = link.map_or(node.bytes_per_second, |link| link.bytes_per_second);
    let cells = [
        (Style::Plain, node.offset.to_string()),
        (behind_style, behind.map(bytes).unwrap_or_default()),
        (Style::Plain, lag),
        (Style::Plain, rate(per_second)),
        (Style::Plain, node.load.keys.to_string()),
        (Style::Plain, bytes(node.load.memory_bytes)),
    ];
    cells.into_iter().zip(columns(width)).map(|((style, cell), (_, width))| (style, cell, width)).collect()
}

/// The nodes above one, the nearest first. Links may form a ring.
pub fn above<'t>(topology: &'t Topology, id: &str) -> Vec<&'t str> {
    let mut path: Vec<&str> = Vec::new();
    let mut at = id;
    while let Some(link) =
        topology.link_of(at).filter(|link| link.master != id && !path.contains(&link.master.as_str()))
    {
        path.push(&link.master);
        at = &link.master;
    }
    path
}

/// What stands before each node's name.
fn guides(topology: &Topology, branches: Branches) -> Vec<String> {
    let place = |id: &str| topology.nodes.iter().position(|node| node.id == id);
    let master = |id: &str| topology.link_of(id).map(|link| link.master.as_str());
    let is_last = |id: &str| {
        let later = topology.nodes.iter().skip(place(id).map_or(0, |place| place + 1));
        !later.into_iter().any(|node| master(&node.id) == master(id))
    };
    let guide = |id: &str| {
        let mut path = above(topology, id);
        // The root has no branch of its own.
        if path.pop().is_none() {
            return String::new();
        }
        let past = path.iter().rev().map(|id| if is_last(id) { "   " } else { branches.past });
        past.chain([if is_last(id) { branches.last } else { branches.middle }]).collect()
    };
    topology.nodes.iter().map(|node| guide(&node.id)).collect()
}
