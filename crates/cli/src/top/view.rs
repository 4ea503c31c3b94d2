//! What the person looks at: which node is chosen, which page is open, what is asked; and what a key makes of it.

use rivulet_topology::Topology;

use super::act::Action;

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    /// Ctrl-C and Ctrl-Z, which a terminal without its own handling sends as keys.
    Interrupt,
    Suspend,
}

/// What is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Page {
    /// The tree with everything around it.
    #[default]
    Map,
    /// One node's events, from a line on.
    Log {
        from: usize,
    },
    Help,
    /// What came of an action, from a line on.
    Answer {
        title: String,
        lines: Vec<String>,
        from: usize,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    Quit,
    Suspend,
    Start(Action),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    pub page: Page,
    /// The id of a node; `None` is the first.
    pub chosen: Option<String>,
    /// What waits for a yes.
    pub asked: Option<Action>,
    /// Said in the last line until the next key.
    pub message: String,
    pub is_busy: bool,
}

/// Lines that a page goes on by.
const PAGE: usize = 10;

impl View {
    /// The node that is chosen; the first one if that has gone.
    pub fn chosen<'t>(&self, topology: &'t Topology) -> Option<&'t str> {
        let mut nodes = topology.nodes.iter();
        let found = nodes.clone().find(|node| Some(&node.id) == self.chosen.as_ref());
        found.or_else(|| nodes.next()).map(|node| node.id.as_str())
    }

    /// Takes a key, and says what is to be done.
    pub fn press(&mut self, key: Key, topology: &Topology) -> Option<Order> {
        match key {
            Key::Interrupt => return Some(Order::Quit),
            Key::Suspend => return Some(Order::Suspend),
            _ => self.message.clear(),
        }
        if let Some(action) = self.asked.take() {
            if key == Key::Char('y') {
                self.is_busy = true;
                return Some(Order::Start(action));
            }
            self.message = "nothing was done".into();
            return None;
        }
        match self.page {
            Page::Map => self.press_on_map(key, topology),
            Page::Help => {
                self.page = Page::Map;
                None
            }
            Page::Log { .. } | Page::Answer { .. } => self.press_on_text(key, topology),
        }
    }

    fn press_on_map(&mut self, key: Key, topology: &Topology) -> Option<Order> {
        match key {
            Key::Up | Key::Char('k') => self.choose(topology, |at, _| at.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.choose(topology, |at, last| (at + 1).min(last)),
            Key::PageUp => self.choose(topology, |at, _| at.saturating_sub(PAGE)),
            Key::PageDown => self.choose(topology, |at, last| (at + PAGE).min(last)),
            Key::Home => self.choose(topology, |_, _| 0),
            Key::End => self.choose(topology, |_, last| last),
            Key::Enter | Key::Char('l') => self.page = Page::Log { from: 0 },
            Key::Char('?' | 'h') => self.page = Page::Help,
            Key::Char('q') => return Some(Order::Quit),
            Key::Char('v') => return self.verify(topology),
            Key::Char('f') => self.ask_failover(topology),
            _ => {}
        }
        None
    }

    /// On a page of lines: moves in it, or leaves it.
    fn press_on_text(&mut self, key: Key, topology: &Topology) -> Option<Order> {
        let (Page::Log { from } | Page::Answer { from, .. }) = &mut self.page else { return None };
        match key {
            Key::Up | Key::Char('k') => *from = from.saturating_sub(1),
            Key::Down | Key::Char('j') => *from += 1,
            Key::PageUp => *from = from.saturating_sub(PAGE),
            Key::PageDown => *from += PAGE,
            Key::Home => *from = 0,
            Key::Char('v') => return self.verify(topology),
            Key::Char('q') if matches!(self.page, Page::Log { .. }) => return Some(Order::Quit),
            _ => self.page = Page::Map,
        }
        None
    }

    fn choose(&mut self, topology: &Topology, to: impl FnOnce(usize, usize) -> usize) {
        let Some(last) = topology.nodes.len().checked_sub(1) else { return };
        let chosen = self.chosen(topology);
        let at = topology.nodes.iter().position(|node| Some(node.id.as_str()) == chosen).unwrap_or(0);
        self.chosen = Some(topology.nodes[to(at, last).min(last)].id.clone());
    }

    fn verify(&mut self, topology: &Topology) -> Option<Order> {
        let chosen = self.chosen(topology).unwrap_or_default().to_string();
        match Action::verify(topology, &chosen) {
            _ if self.is_busy => self.message = "the last action has not ended".into(),
            Ok(action) => {
                self.is_busy = true;
                return Some(Order::Start(action));
            }
            Err(why) => self.message = why,
        }
        None
    }

    fn ask_failover(&mut self, topology: &Topology) {
        let chosen = self.chosen(topology).unwrap_or_default().to_string();
        match Action::failover(topology, &chosen) {
            _ if self.is_busy => self.message = "the last action has not ended".into(),
            Ok(action) => self.asked = Some(action),
            Err(why) => self.message = why,
        }
    }

    /// An action has ended: a line is said, more are a page.
    pub fn answer(&mut self, action: &Action, lines: Vec<String>) {
        self.is_busy = false;
        match lines.as_slice() {
            [line] => self.message = format!("{}: {line}", action.what),
            _ => self.page = Page::Answer { title: action.what.clone(), lines, from: 0 },
        }
    }
}
