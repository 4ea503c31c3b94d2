//! What is shown while the servers run: on a terminal a table and the last events, drawn over and over in one place; elsewhere lines.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, Write};

use super::node::Node;

const EVENTS_MAX: usize = 6;
/// Longer lines could wrap, and the table would wander down the terminal.
const LINE_LEN_MAX: usize = 79;

pub struct Screen {
    is_terminal: bool,
    /// Lines that the last drawing took.
    drawn: usize,
    events: VecDeque<String>,
    /// The last news of each node, without its time: what is repeated each second is told once.
    last: Vec<(String, String)>,
}

impl Screen {
    pub fn new(is_terminal: bool) -> Screen {
        Screen { is_terminal, drawn: 0, events: VecDeque::new(), last: Vec::new() }
    }

    /// Something happened to a node.
    pub fn event(&mut self, name: &str, text: &str) -> io::Result<()> {
        let what = text.split_once("  ").map_or(text, |(_, what)| what);
        match self.last.iter_mut().find(|(n, _)| n == name) {
            Some((_, last)) if last == what => return Ok(()),
            Some((_, last)) => *last = what.to_string(),
            None => self.last.push((name.to_string(), what.to_string())),
        }
        let line = format!("{:<10} {text}", format!("[{name}]"));
        if !self.is_terminal {
            return writeln!(io::stdout(), "{line}");
        }
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(line);
        Ok(())
    }

    pub fn draw(&mut self, nodes: &[Node], seconds: u64) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if !self.is_terminal {
            return writeln!(out, "{}", summary(nodes, seconds));
        }
        let mut lines = table(nodes, seconds);
        lines.push(String::new());
        lines.extend(self.events.iter().cloned());
        let mut text = String::new();
        if self.drawn > 0 {
            let _ = write!(text, "\x1b[{}A\r\x1b[J", self.drawn);
        }
        for line in &lines {
            text.extend(line.chars().take(LINE_LEN_MAX));
            text.push('\n');
        }
        self.drawn = lines.len();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

/// A row of the table, as text.
struct Row {
    role: &'static str,
    state: String,
    offset: String,
    behind: String,
    lag: String,
    keys: String,
}

impl Row {
    fn of(node: &Node, nodes: &[Node]) -> Row {
        let none = || "-".to_string();
        let Some(state) = node.state else {
            let state = if node.is_gone() { "ended" } else { "no answer" };
            return Row { role: "-", state: state.into(), offset: none(), behind: none(), lag: none(), keys: none() };
        };
        let mut row = Row {
            role: if state.is_master { "master" } else { "replica" },
            state: "serving".into(),
            offset: grouped(state.offset),
            behind: none(),
            lag: none(),
            keys: grouped(state.keys),
        };
        if state.is_master {
            return row;
        }
        row.state = if state.link_up {
            "link up".into()
        } else if state.is_syncing {
            let left = state.sync_seconds_left.map_or(String::new(), |s| format!(", {s} s left"));
            state.sync_percent.map_or("full sync".into(), |percent| format!("sync {percent:.0}%{left}"))
        } else {
            state.down_seconds.map_or("link down".into(), |s| format!("down {s} s"))
        };
        if let Some(top) = nodes.first().and_then(|n| n.state).filter(|top| top.is_master) {
            row.behind = bytes_text(top.offset.saturating_sub(state.offset));
        }
        let seen = nodes.iter().flat_map(|n| &n.replicas).find(|(port, _)| *port == node.place.port);
        if let Some((_, lag)) = seen {
            row.lag = format!("{lag} s");
        }
        row
    }
}

fn table(nodes: &[Node], seconds: u64) -> Vec<String> {
    let line = |name: &str, row: &[&str; 7]| {
        let [role, port, state, offset, behind, lag, keys] = row;
        format!("{name:<12} {role:<8} {port:<6} {state:<10} {offset:>12} {behind:>9} {lag:>6} {keys:>8}")
    };
    let mut lines = vec![line("NODE", &["ROLE", "PORT", "STATE", "OFFSET", "BEHIND", "LAG", "KEYS"])];
    let depths: Vec<Option<usize>> = nodes.iter().map(|n| n.place.upstream.map(|_| n.place.depth)).collect();
    for (i, node) in nodes.iter().enumerate() {
        let row = Row::of(node, nodes);
        let name = branch(&depths, i) + &node.place.name;
        let port = node.place.port.to_string();
        lines.push(line(&name, &[row.role, &port, &row.state, &row.offset, &row.behind, &row.lag, &row.keys]));
    }
    lines.push(format!("running {} (Ctrl-C ends it)", clock_text(seconds)));
    lines
}

/// The branches of the tree before the name of node `i`. `depths` are those of all nodes, from top to bottom; a node without one is a root.
fn branch(depths: &[Option<usize>], i: usize) -> String {
    let Some(own) = depths[i] else { return String::new() };
    // Whether another branch begins further down at the same place.
    let goes_on = |depth: usize| {
        let below = depths[i + 1..].iter().find(|d| d.is_none_or(|d| d <= depth));
        below == Some(&Some(depth))
    };
    let mut text: String = (0..own).map(|depth| if goes_on(depth) { "│ " } else { "  " }).collect();
    text.push_str(if goes_on(own) { "├ " } else { "└ " });
    text
}

fn summary(nodes: &[Node], seconds: u64) -> String {
    let mut text = clock_text(seconds);
    for node in nodes {
        let row = Row::of(node, nodes);
        let _ = write!(text, " | {} {}: {}, offset {}", node.place.name, node.place.port, row.state, row.offset);
        if row.behind != "-" {
            let _ = write!(text, ", behind {}, lag {}", row.behind, row.lag);
        }
        let _ = write!(text, ", keys {}", row.keys);
    }
    text
}

fn clock_text(seconds: u64) -> String {
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}

/// `1,234,567`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `512 B`, `2.1 MB`.
pub fn bytes_text(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_branch_ends_the_line() {
        let drawn = |depths: &[Option<usize>]| (0..depths.len()).map(|i| branch(depths, i)).collect::<Vec<_>>();
        assert_eq!(drawn(&[None, Some(0), Some(1)]), ["", "└ ", "  └ "]);
        assert_eq!(drawn(&[None, Some(0), Some(1), Some(0), Some(0)]), ["", "├ ", "│ └ ", "├ ", "└ "]);
        assert_eq!(drawn(&[None, Some(0), Some(1), Some(1), None, Some(0)]), ["", "└ ", "  ├ ", "  └ ", "", "└ "]);
    }

    #[test]
    fn numbers() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(n), text);
        }
        for (n, text) in [(0, "0 B"), (999, "999 B"), (2_090_000, "2.1 MB"), (3_000_000_000, "3.0 GB")] {
            assert_eq!(bytes_text(n), text);
        }
        assert_eq!(clock_text(754), "12:34");
    }
}
