//! What can be done from the picture: prove that replicas are equal, hand over to one. Each is a command to a master, on a thread of its own.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rivulet_client::Reply;
use rivulet_topology::{Address, Node, Role, Topology};

use super::net::Net;
use super::tree::above;
use super::words::name;

/// The server gives up a proof after so long, and we a little later.
const VERIFY_MS: &str = "60000";
const PATIENCE: Duration = Duration::from_secs(75);
/// Of a reply not more is shown.
const LINES_MAX: usize = 1000;

/// A command to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Whom it is sent to.
    pub to: Address,
    pub words: Vec<String>,
    /// What it does, for who is asked or waits.
    pub what: String,
}

/// The node at the top of the tree in which a node is; itself if there is nothing above.
fn root<'t>(topology: &'t Topology, id: &str) -> Option<&'t Node> {
    let top = above(topology, id).last().copied().unwrap_or(id).to_string();
    topology.nodes.iter().find(|node| node.id == top)
}

impl Action {
    /// Proves that all replicas below the master of a node are equal to it.
    ///
    /// # Errors
    /// There is no such master.
    pub fn verify(topology: &Topology, id: &str) -> Result<Action, String> {
        let master = root(topology, id).filter(|node| node.role == Role::Master);
        let master = master.ok_or("choose a master or a replica whose master is known")?;
        let to = master.addresses.first().cloned().ok_or("the master has no address")?;
        let words = ["REPLICATION", "VERIFY", "ALL", "TIMEOUT", VERIFY_MS].map(str::to_string).to_vec();
        Ok(Action { to, words, what: format!("verifying the replicas of {}", name(master)) })
    }

    /// Hands over to a replica that was chosen, or to the one that is ahead if a master was.
    ///
    /// # Errors
    /// The node is neither, or hangs below another replica.
    pub fn failover(topology: &Topology, id: &str) -> Result<Action, String> {
        let node = topology.nodes.iter().find(|node| node.id == id).ok_or("choose a node")?;
        let to = |node: &Node| node.addresses.first().cloned().ok_or("the node has no address");
        match node.role {
            Role::Master => Ok(Action {
                to: to(node)?,
                words: vec!["FAILOVER".into()],
                what: format!("failing over from {} to the replica that is ahead", name(node)),
            }),
            Role::Replica => {
                let master = topology.link_of(id).map(|link| link.master.as_str());
                let master = topology.nodes.iter().find(|node| Some(node.id.as_str()) == master);
                let master = master.filter(|master| master.role == Role::Master && master.silent.is_none());
                let master = master.ok_or("only a replica directly below a master that answers can take over")?;
                // The master knows its replicas by the addresses that it lists.
                let listed = master.followers.iter().find(|follower| node.addresses.contains(&follower.address));
                let target = listed.map(|follower| follower.address.clone()).ok_or("its master does not list it")?;
                let words = ["FAILOVER", "TO"].map(str::to_string).into_iter();
                Ok(Action {
                    to: to(master)?,
                    words: words.chain([target.host, target.port.to_string()]).collect(),
                    what: format!("failing over from {} to {}", name(master), name(node)),
                })
            }
            Role::Sentinel | Role::Unknown => Err("choose a master, or a replica".into()),
        }
    }
}

/// An action under way.
pub struct Running {
    pub action: Action,
    pub begun: Instant,
    answer: Receiver<Vec<String>>,
}

impl Running {
    /// Begins.
    pub fn start(action: Action, net: &Net, now: Instant) -> Running {
        let (sender, answer) = channel();
        let (net, asked) = (net.clone(), action.clone());
        let worker = std::thread::Builder::new().name("action".into());
        // Without a thread the channel has no other end, which is told as an end without an answer.
        let _ = worker.spawn(move || {
            // Who has ended the program does not wait for it.
            let _ = sender.send(carried_out(&asked, &net));
        });
        Running { action, begun: now, answer }
    }

    /// What came of it, once it has ended.
    pub fn ended(&self) -> Option<Vec<String>> {
        match self.answer.try_recv() {
            Ok(lines) => Some(lines),
            Err(std::sync::mpsc::TryRecvError::Empty) => None,
            Err(std::sync::mpsc::TryRecvError::Disconnected) => Some(vec!["it ended without an answer".into()]),
        }
    }
}

fn carried_out(action: &Action, net: &Net) -> Vec<String> {
    let reply = net.open(&action.to, PATIENCE).and_then(|mut connection| connection.ask(&action.words));
    match reply {
        Ok(reply) => lines(&reply),
        Err(error) => vec![error.to_string()],
    }
}

/// A reply in lines; a map inside another thing is one line.
pub fn lines(reply: &Reply) -> Vec<String> {
    let mut out = Vec::new();
    match named(reply) {
        Some(pairs) => {
            for (field, value) in pairs {
                match value.items().filter(|items| !items.is_empty()) {
                    Some(items) => out.extend(items.iter().map(|item| match replica(item) {
                        Some(text) => text,
                        None => format!("{}: {}", field.text(), line(item)),
                    })),
                    None => out.push(format!("{}: {}", field.text(), line(value))),
                }
            }
        }
        None => match reply.items() {
            Some(items) => out.extend(items.iter().map(line)),
            None => out.push(reply.text().into_owned()),
        },
    }
    out.truncate(LINES_MAX);
    out
}

/// What a proof found of a replica.
fn replica(reply: &Reply) -> Option<String> {
    let pairs = named(reply)?;
    let field = |name: &str| pairs.iter().find(|(field, _)| field.text() == name).map(|(_, value)| *value);
    let word = match &*field("equal")?.text() {
        "yes" => "equal".to_string(),
        "no" => "NOT EQUAL".to_string(),
        other => other.to_string(),
    };
    let mut text = format!("{} {word}: {}", field("addr")?.text(), field("reason")?.text());
    if let Some(count) = field("differing_keys").and_then(Reply::as_i64).filter(|count| *count > 0) {
        text += &format!("; {count} keys differ");
    }
    for key in field("keys").and_then(Reply::items).unwrap_or_default() {
        text += &format!("; {}", line(key));
    }
    Some(text)
}

fn line(reply: &Reply) -> String {
    if let Some(pairs) = named(reply) {
        let pairs = pairs.into_iter().map(|(field, value)| (field.text().into_owned(), line(value)));
        let told = pairs.filter(|(_, value)| !value.is_empty());
        return told.map(|(field, value)| format!("{field} {value}")).collect::<Vec<_>>().join(", ");
    }
    match reply.items() {
        Some(items) => items.iter().map(line).collect::<Vec<_>>().join(" "),
        None => reply.text().into_owned(),
    }
}

/// The pairs of what is a map, also where RESP2 has an array: its names are words.
fn named(reply: &Reply) -> Option<Vec<(&Reply, &Reply)>> {
    let is_word = |text: &[u8]| !text.is_empty() && text.iter().all(|b| b.is_ascii_lowercase() || *b == b'_');
    let pairs = reply.pairs().filter(|pairs| !pairs.is_empty())?;
    pairs.iter().all(|(name, _)| name.as_bytes().is_some_and(is_word)).then_some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(text.as_bytes().to_vec())
    }

    #[test]
    fn what_a_proof_found_is_a_line_for_each_replica() {
        let replica = |addr: &str, equal: &str, count: i64| {
            let key = Reply::Array(["db", "0", "key", "a", "difference", "changed"].map(bulk).to_vec());
            let keys = if count > 0 { vec![key] } else { vec![] };
            let fields = [
                ("addr", bulk(addr)),
                ("run_id", bulk("x")),
                ("equal", bulk(equal)),
                ("reason", bulk("why")),
                ("differing_keys", Reply::Integer(count)),
                ("keys", Reply::Array(keys)),
            ];
            Reply::Array(fields.into_iter().flat_map(|(name, value)| [bulk(name), value]).collect())
        };
        let replicas = Reply::Array(vec![replica("a:1", "yes", 0), replica("a:2", "no", 1)]);
        let reply = Reply::Array(vec![bulk("offset"), Reply::Integer(5), bulk("replicas"), replicas]);
        let expected =
            ["offset: 5", "a:1 equal: why", "a:2 NOT EQUAL: why; 1 keys differ; db 0, key a, difference changed"];
        assert_eq!(lines(&reply), expected);
        assert_eq!(lines(&Reply::Status(b"OK".to_vec())), ["OK"]);
        assert_eq!(lines(&Reply::Error(b"ERR no".to_vec())), ["ERR no"]);
    }
}
