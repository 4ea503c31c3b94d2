//! What host names stand for. Nobody waits for a name server: who needs a name asks, and goes on when it is known.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What is known of names.
#[derive(Debug, Default)]
pub struct Names {
    known: BTreeMap<String, Option<IpAddr>>,
    /// Asked, and not answered yet.
    asked: BTreeSet<String>,
    /// To be asked by the driver.
    wanted: Vec<String>,
}

/// As many names are remembered; strangers could send more.
const NAMES_MAX: usize = 10_000;

impl Names {
    /// What a host stands for: its number, `Some(None)` if it stands for nothing, `None` if that is not known yet.
    pub fn find(&self, host: &str) -> Option<Option<IpAddr>> {
        match host.parse() {
            Ok(ip) => Some(Some(ip)),
            Err(_) => self.known.get(&host.to_ascii_lowercase()).copied(),
        }
    }

    /// Asks for a name, unless that is under way.
    pub fn ask(&mut self, host: &str) {
        let host = host.to_ascii_lowercase();
        let is_room = self.asked.len() < NAMES_MAX;
        if is_room && host.parse::<IpAddr>().is_err() && self.asked.insert(host.clone()) {
            self.wanted.push(host);
        }
    }

    /// Asks for a name of which nothing is known.
    pub fn ask_if_new(&mut self, host: &str) {
        if self.find(host).is_none() {
            self.ask(host);
        }
    }

    /// The names to be looked up now.
    pub fn take_wanted(&mut self) -> Vec<String> {
        std::mem::take(&mut self.wanted)
    }

    /// A name was looked up. A failure does not undo what was known before: the name server may be down.
    pub fn resolved(&mut self, host: &str, ip: Option<IpAddr>) {
        let host = host.to_ascii_lowercase();
        self.asked.remove(&host);
        if self.known.len() >= NAMES_MAX {
            self.known.clear();
        }
        let known = self.known.entry(host).or_insert(None);
        *known = ip.or(*known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_asked_for_once_and_survives_a_failure() {
        let mut names = Names::default();
        names.ask("Here");
        names.ask("here");
        names.ask("10.0.0.1");
        assert_eq!(names.take_wanted(), ["here"]);
        assert_eq!(names.find("HERE"), None);
        let ip = "10.0.0.2".parse().ok();
        names.resolved("here", ip);
        assert_eq!(names.find("HERE"), Some(ip));
        names.ask("here");
        assert_eq!(names.take_wanted(), ["here"], "it may have changed");
        names.resolved("here", None);
        assert_eq!(names.find("here"), Some(ip));
        names.resolved("nowhere", None);
        assert_eq!(names.find("nowhere"), Some(None));
    }
}
