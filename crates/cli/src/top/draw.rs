//! The picture as lines: for a terminal of some size, or for a script.

use rivulet_progress::bytes;
use rivulet_topology::{Node, Topology};

use super::line::{Line, Style, wrapped};
use super::tree::{self, Branches};
use super::view::{Page, View};
use super::words::{age, event, findings, name, name_of, seconds, whole};

/// Columns of a picture without a terminal.
const PLAIN_WIDTH: usize = 100;
/// Events that such a picture has.
const PLAIN_EVENTS: usize = 10;
/// Columns of an event's age.
const AGE: usize = 6;

/// Columns of a key's name.
const KEY_WIDTH: usize = 18;

const HELP: &[(&str, &str)] = &[
    ("up, down, k, j", "choose a node"),
    ("Enter, l", "follow the log of the chosen node's events"),
    ("v", "verify that the replicas of the chosen node's master are equal to it"),
    ("f", "fail over to the chosen replica, or from the chosen master; asks first"),
    ("?, h", "this page"),
    ("Esc", "back to the tree"),
    ("q, Ctrl-C", "end; Ctrl-Z stops for a while"),
    ("", ""),
    ("BEHIND", "bytes of the stream that a replica has not executed; red when more than the backlog keeps"),
    ("LAG", "how long ago the replica stood where its master stands"),
    ("RATE", "bytes of the stream, or of the snapshot, in a second"),
];

/// What the terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canvas {
    pub width: usize,
    pub height: usize,
    pub branches: Branches,
}

/// The screen: as many lines as it has, or less.
pub fn screen(topology: &Topology, view: &View, busy: Option<(&str, f64)>, canvas: Canvas) -> Vec<Line> {
    let body = canvas.height.saturating_sub(2);
    let mut lines = vec![title(topology, canvas.width)];
    lines.extend(match &view.page {
        Page::Map => map(topology, view, canvas, body),
        Page::Log { from } => log(topology, view, *from, canvas.width, body),
        Page::Help => help(canvas.width),
        Page::Answer { title, lines, from } => answer(title, lines, *from, canvas.width, body),
    });
    lines.truncate(canvas.height.saturating_sub(1));
    lines.resize(canvas.height.saturating_sub(1), Line::default());
    lines.push(footer(view, busy));
    lines.truncate(canvas.height);
    lines.into_iter().map(|line| line.clipped(canvas.width)).collect()
}

fn title(topology: &Topology, width: usize) -> Line {
    let silent = topology.nodes.iter().filter(|node| node.silent.is_some()).count();
    let syncing = topology.links.iter().filter(|link| link.sync.is_some()).count();
    let mut line = Line::new(Style::Title, "rivulet-cli top").with(Style::Plain, &format!("  {}", counted(topology)));
    if syncing > 0 {
        line = line.with(Style::Warning, &format!("  {syncing} syncing"));
    }
    if silent > 0 {
        line = line.with(Style::Bad, &format!("  {silent} silent"));
    }
    if topology.left_out > 0 {
        line = line.with(Style::Warning, &format!("  {} not shown", topology.left_out));
    }
    const KEYS: &str = "? help  q quit";
    line.padded(width.saturating_sub(KEYS.len())).with(Style::Faint, KEYS)
}

fn counted(topology: &Topology) -> String {
    let s = |n: usize| if n == 1 { "" } else { "s" };
    let (nodes, links) = (topology.nodes.len(), topology.links.len());
    format!("{nodes} node{}, {links} link{}", s(nodes), s(links))
}

fn footer(view: &View, busy: Option<(&str, f64)>) -> Line {
    if let Some(action) = &view.asked {
        return Line::new(Style::Warning, &format!("{}? (y/n)", action.what));
    }
    if !view.message.is_empty() {
        return Line::new(Style::Title, &view.message);
    }
    if let Some((what, taken)) = busy {
        return Line::new(Style::Warning, &format!("{what}: {}", seconds(taken)));
    }
    let keys = match view.page {
        Page::Map => "up/down choose  Enter log  v verify  f fail over",
        Page::Log { .. } | Page::Answer { .. } => "up/down move  Esc back",
        Page::Help => "any key goes back",
    };
    Line::new(Style::Faint, keys)
}

/// The tree, what is to be told of the chosen node, findings, events: each has a share of the height and leaves what it does not need.
fn map(topology: &Topology, view: &View, canvas: Canvas, height: usize) -> Vec<Line> {
    let chosen = view.chosen(topology);
    let rows = tree::rows(topology, chosen, canvas.branches, canvas.width);
    let at = topology.nodes.iter().position(|node| Some(node.id.as_str()) == chosen).unwrap_or(0);
    let mut lines = vec![tree::head(canvas.width)];
    lines.extend(around(rows, at, (height * 2 / 5).max(3)));
    lines.push(Line::default());
    if let Some(node) = topology.nodes.iter().find(|node| Some(node.id.as_str()) == chosen) {
        lines.extend(details(node));
    }
    let found = findings_lines(topology, canvas.width);
    if !found.is_empty() {
        let room = height.saturating_sub(lines.len() + 4) / 2;
        lines.push(heading("Findings", ""));
        lines.extend(cut(found, room.max(2)));
    }
    lines.push(heading("Events", ""));
    let room = height.saturating_sub(lines.len());
    lines.extend(event_lines(topology, None, canvas.width).into_iter().take(room));
    lines
}

fn heading(text: &str, more: &str) -> Line {
    Line::new(Style::Title, text).with(Style::Faint, more)
}

/// So many of the rows that the one at `at` is among them.
fn around(rows: Vec<Line>, at: usize, room: usize) -> Vec<Line> {
    let from = (at + 1).saturating_sub(room.max(1));
    rows.into_iter().skip(from).take(room).collect()
}

/// The first lines, and how many are left out if there is no room for all.
fn cut(mut lines: Vec<Line>, room: usize) -> Vec<Line> {
    if lines.len() > room {
        let left_out = lines.len() + 1 - room;
        lines.truncate(room - 1);
        lines.push(Line::new(Style::Faint, &format!("  ... {left_out} more lines")));
    }
    lines
}

/// Two lines on a node.
fn details(node: &Node) -> [Line; 2] {
    let (load, software) = (&node.load, &node.software);
    let what = format!(
        "  {} {}, up {}, {} keys, {}, {} clients, {} cmd/s",
        software.name,
        software.version,
        whole(load.uptime_seconds),
        load.keys,
        bytes(load.memory_bytes),
        load.clients,
        load.commands_per_second
    );
    let first = Line::new(Style::Title, &name(node)).with(Style::Plain, &what);
    let second = match (&node.silent, &node.backlog) {
        (Some(why), _) => Line::new(Style::Bad, &format!("  silent: {why}")),
        (None, Some(backlog)) => {
            let disk =
                if backlog.disk_bytes > 0 { format!(", {} on disk", bytes(backlog.disk_bytes)) } else { "".into() };
            let text = format!("  backlog {} from {} to {}{disk}", bytes(backlog.size), backlog.from, backlog.to);
            Line::new(Style::Faint, &text)
        }
        (None, None) => Line::new(Style::Faint, "  no backlog"),
    };
    [first, second]
}

fn findings_lines(topology: &Topology, width: usize) -> Vec<Line> {
    let indented = |(style, text): (Style, String)| {
        let parts = wrapped(&text, width.saturating_sub(4));
        let lines = parts.into_iter().enumerate();
        lines.map(move |(i, part)| Line::new(style, &format!("{}{part}", if i == 0 { "  " } else { "    " })))
    };
    findings(topology).into_iter().flat_map(indented).collect()
}

/// Events newest first, of one node or of all, each with its age; the text goes on in further lines.
fn event_lines(topology: &Topology, of: Option<&str>, width: usize) -> Vec<Line> {
    let concerns = |node: &str, peer: &str| of.is_none_or(|id| node == id || peer == id);
    let events = topology.events.iter().filter(|event| concerns(&event.node, &event.peer));
    let mut lines = Vec::new();
    for one in events {
        let (style, text) = event(topology, one);
        let when = age(topology.time_ms, one.time_ms);
        for (i, part) in wrapped(&text, width.saturating_sub(AGE + 3)).iter().enumerate() {
            let when = if i == 0 { when.as_str() } else { "" };
            lines.push(Line::new(Style::Faint, &format!("{when:>AGE$}  ")).with(style, part));
        }
    }
    lines
}

fn log(topology: &Topology, view: &View, from: usize, width: usize, height: usize) -> Vec<Line> {
    let chosen = view.chosen(topology).unwrap_or_default();
    let events = event_lines(topology, Some(chosen), width);
    let from = from.min(events.len().saturating_sub(1));
    let mut lines = vec![heading(&format!("Events of {}", name_of(topology, chosen)), ", newest first")];
    if events.is_empty() {
        lines.push(Line::new(Style::Faint, "  nothing yet"));
    }
    lines.extend(events.into_iter().skip(from).take(height.saturating_sub(1)));
    lines
}

fn help(width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for (key, what) in HELP {
        for (i, part) in wrapped(what, width.saturating_sub(KEY_WIDTH)).iter().enumerate() {
            let key = if i == 0 { *key } else { "" };
            lines.push(Line::new(Style::Title, &format!("  {key:<0$}", KEY_WIDTH - 2)).with(Style::Plain, part));
        }
    }
    lines
}

fn answer(title: &str, text: &[String], from: usize, width: usize, height: usize) -> Vec<Line> {
    let parts: Vec<String> = text.iter().flat_map(|line| wrapped(line, width.saturating_sub(2))).collect();
    let from = from.min(parts.len().saturating_sub(1));
    let shown = parts.iter().skip(from).take(height.saturating_sub(1));
    std::iter::once(heading(title, "")).chain(shown.map(|part| Line::new(Style::Plain, &format!("  {part}")))).collect()
}

/// The picture as text, without colour: the tree, all findings, the last events.
pub fn plain(topology: &Topology, branches: Branches) -> String {
    let mut lines = vec![tree::head(PLAIN_WIDTH)];
    lines.extend(tree::rows(topology, None, branches, PLAIN_WIDTH));
    if topology.left_out > 0 {
        let text = format!("  {} more were named and are not asked or shown: there are too many", topology.left_out);
        lines.push(Line::new(Style::Warning, &text));
    }
    let found = findings_lines(topology, PLAIN_WIDTH);
    if !found.is_empty() {
        lines.extend([Line::default(), heading("Findings", "")]);
        lines.extend(found);
    }
    let last = Topology { events: topology.events.iter().take(PLAIN_EVENTS).cloned().collect(), ..topology.clone() };
    let events = event_lines(&last, None, PLAIN_WIDTH);
    if !events.is_empty() {
        lines.extend([Line::default(), heading("Events", "")]);
        lines.extend(events);
    }
    lines.iter().map(|line| line.text() + "\n").collect()
}

#[cfg(test)]
mod tests;
