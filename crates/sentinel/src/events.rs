//! Events: what happened, for the log, for who has subscribed, and for the notification script. Texts are Redis's, to the letter.

use crate::link::{At, Who};
use crate::sentinel::{Action, Sentinel};

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Verbose,
    Notice,
    Warning,
}

impl Sentinel {
    pub(crate) fn log(&mut self, level: Level, text: impl Into<String>) {
        self.actions.push(Action::Log { level, text: text.into() });
    }

    /// An event of an instance; its description comes first, then `rest` as it is.
    pub(crate) fn event(&mut self, level: Level, kind: &str, at: &At, rest: &str) {
        let text = self.describe(at) + rest;
        self.event_text(level, kind, Some(&at.master), &text);
    }

    /// An event with a text of its own; `master` is whose script is called.
    pub(crate) fn event_text(&mut self, level: Level, kind: &str, master: Option<&str>, text: &str) {
        self.log(level, format!("{kind} {text}"));
        if level != Level::Debug {
            self.actions.push(Action::Publish { channel: kind.to_string(), message: text.to_string() });
        }
        if level == Level::Warning
            && let Some(script) =
                master.and_then(|name| self.masters.get(name)).and_then(|m| m.settings.notification_script.clone())
        {
            self.schedule_script(vec![script, kind.to_string(), text.to_string()]);
        }
    }

    /// `master mymaster 127.0.0.1 6379`, or `slave 127.0.0.1:6380 127.0.0.1 6380 @ mymaster 127.0.0.1 6379`.
    pub fn describe(&self, at: &At) -> String {
        let names = self.globals.announce_hostnames;
        let Some(master) = self.masters.get(&at.master) else { return at.master.clone() };
        let address = &master.instance.address;
        let of_master = format!("{} {} {}", master.name, address.announced(names), address.port);
        let (kind, label) = match &at.who {
            Who::Master => return format!("master {of_master}"),
            Who::Replica(label) | Who::Forgotten(label) => ("slave", label),
            Who::Peer(id) => ("sentinel", id),
        };
        match self.instance(at) {
            Some(instance) => {
                let address = &instance.address;
                format!("{kind} {label} {} {} @ {of_master}", address.announced(names), address.port)
            }
            None => format!("{kind} {label} @ {of_master}"),
        }
    }
}
