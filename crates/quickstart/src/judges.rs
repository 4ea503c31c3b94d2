//! From the lines of a Sentinel's log to plain words. Its events stand there as they are published, and between them what it says of the replicas
//! that it chooses among.

use super::story::Line;

/// What is told when a failover has come to its end.
pub const DONE: &str = "the failover is done";

/// Names for what the Sentinels call by address or by id.
#[derive(Default)]
pub struct Names {
    /// Port and name of each server.
    pub servers: Vec<(u16, String)>,
    /// Id and name of each Sentinel.
    pub sentinels: Vec<(String, String)>,
}

impl Names {
    /// The server of `127.0.0.1:6380`, or of a port.
    fn server(&self, label: &str) -> String {
        let port = label.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
        let found = self.servers.iter().find(|(known, _)| Some(*known) == port);
        found.map_or_else(|| label.to_string(), |(_, name)| name.clone())
    }

    fn sentinel(&self, id: &str) -> String {
        let found = self.sentinels.iter().find(|(known, _)| known == id);
        found.map_or_else(|| id.to_string(), |(_, name)| name.clone())
    }

    /// A sentence with the servers' names in place of their addresses.
    fn named(&self, text: &str) -> String {
        let mut text = text.to_string();
        for (port, name) in &self.servers {
            text = text.replace(&format!("127.0.0.1:{port}"), name);
        }
        text
    }
}

/// What a line of the log tells, and when, in milliseconds of the day.
pub fn event(line: &str, names: &Names) -> Option<(u64, String)> {
    let line = Line::parse(line)?;
    let (kind, rest) = line.text.split_once(' ')?;
    let words: Vec<&str> = rest.split(' ').collect();
    let is_master = words.first() == Some(&"master");
    let second = words.get(1).copied().unwrap_or_default();
    let told = match kind {
        "+sdown" if is_master => "suspicion: the master does not answer".into(),
        "-sdown" if !is_master => format!("{} answers again", names.server(second)),
        "+odown" => format!("agreement: the master is down ({})", rest.split_once('#')?.1),
        "+new-epoch" => format!("epoch {rest} begins"),
        "+try-failover" => "wants to lead the failover".into(),
        "+vote-for-leader" => format!("vote: {} shall lead epoch {second}", names.sentinel(words[0])),
        "+elected-leader" => "is elected".into(),
        "+failover-state-fence" => {
            "fence: the replicas shall promise to acknowledge nothing to the old master any more".into()
        }
        "Replica" => format!("choice: {} is {}", names.server(words[0]), names.named(rest.split_once(" is ")?.1)),
        "+failover-state-wait-promotion" => format!("promotion: tells {} to be the master", names.server(second)),
        "+promoted-slave" => format!("{} is the master, in its own words", names.server(second)),
        "+slave-reconf-sent" => format!("tells {} to follow it", names.server(second)),
        "+slave-reconf-done" => format!("{} follows it", names.server(second)),
        "+failover-end" => DONE.into(),
        "+switch-master" => format!("clients that ask are sent to {}", names.server(words.get(4)?)),
        "+convert-to-slave" => format!("tells {} to be a replica", names.server(second)),
        "-failover-abort-not-elected" => "gives up, as it was not elected".into(),
        _ if kind.starts_with("-failover-abort") || kind == "+failover-end-for-timeout" => {
            format!("{} {}", &kind[1..], names.named(rest))
        }
        _ => return None,
    };
    Some((line.ms, told))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_in_plain_words() {
        let names = Names {
            servers: vec![(6379, "server-1".into()), (6380, "server-2".into()), (6381, "server-3".into())],
            sentinels: vec![("ab".into(), "sentinel-2".into())],
        };
        let told = |text: &str| event(&format!("77:X 22 Nov 2026 00:00:01.002 # {text}"), &names);
        for (text, want) in [
            ("+sdown master show 127.0.0.1 6379", "suspicion: the master does not answer"),
            ("+odown master show 127.0.0.1 6379 #quorum 2/2", "agreement: the master is down (quorum 2/2)"),
            ("+vote-for-leader ab 7", "vote: sentinel-2 shall lead epoch 7"),
            (
                "Replica 127.0.0.1:6381 of 'show' is not chosen: offset 5, 127.0.0.1:6380 has 9",
                "choice: server-3 is not chosen: offset 5, server-2 has 9",
            ),
            ("+switch-master show 127.0.0.1 6379 127.0.0.1 6380", "clients that ask are sent to server-2"),
            (
                "-failover-abort-not-fenced master show 127.0.0.1 6379 #1 replicas are fenced, 2 must be",
                "failover-abort-not-fenced master show 127.0.0.1 6379 #1 replicas are fenced, 2 must be",
            ),
        ] {
            assert_eq!(told(text), Some((1002, want.to_string())), "{text}");
        }
        for text in
            ["+sdown slave 127.0.0.1:6380 127.0.0.1 6380 @ show 127.0.0.1 6379", "+odown", "+switch-master x", ""]
        {
            assert_eq!(told(text), None, "{text}");
        }
    }
}
