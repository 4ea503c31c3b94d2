//! `--cluster`: `help`, and `call`, which asks all nodes of a cluster the same. What changes a cluster is not here.

use rivulet_client::{Address, Reply};

use crate::format::{Delimiters, render_verbatim};
use crate::options::ClusterOnly;
use crate::out::{self, Fatal, say};
use crate::session::Session;
use crate::take_stdin;

/// A subcommand: its name, its arguments and its options.
struct Subcommand {
    name: &'static str,
    /// Arguments; at least so many if negative.
    arity: i64,
    arguments: &'static str,
    options: &'static [&'static str],
}

const NODE: &str = "<host:port> or <host> <port> - separated by either colon or space";

#[rustfmt::skip]
const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand { name: "create", arity: -2, arguments: "host1:port1 ... hostN:portN", options: &["replicas <arg>"] },
    Subcommand { name: "check", arity: -1, arguments: NODE, options: &["search-multiple-owners"] },
    Subcommand { name: "info", arity: -1, arguments: NODE, options: &[] },
    Subcommand { name: "fix", arity: -1, arguments: NODE, options: &["search-multiple-owners", "fix-with-unreachable-masters"] },
    Subcommand { name: "reshard", arity: -1, arguments: NODE, options: &["from <arg>", "to <arg>", "slots <arg>", "yes", "timeout <arg>", "pipeline <arg>", "replace"] },
    Subcommand { name: "rebalance", arity: -1, arguments: NODE, options: &["weight <node1=w1...nodeN=wN>", "use-empty-masters", "timeout <arg>", "simulate", "pipeline <arg>", "threshold <arg>", "replace"] },
    Subcommand { name: "add-node", arity: 2, arguments: "new_host:new_port existing_host:existing_port", options: &["slave", "master-id <arg>"] },
    Subcommand { name: "del-node", arity: 2, arguments: "host:port node_id", options: &[] },
    Subcommand { name: "call", arity: -2, arguments: "host:port command arg arg .. arg", options: &["only-masters", "only-replicas"] },
    Subcommand { name: "set-timeout", arity: 2, arguments: "host:port milliseconds", options: &[] },
    Subcommand { name: "import", arity: 1, arguments: "host:port", options: &["from <arg>", "from-user <arg>", "from-pass <arg>", "from-askpass", "copy", "replace"] },
    Subcommand { name: "backup", arity: 2, arguments: "host:port backup_directory", options: &[] },
    Subcommand { name: "help", arity: 0, arguments: "", options: &[] },
];

/// A node as another one knows it.
#[derive(Debug, PartialEq, Eq)]
struct Node {
    host: String,
    port: u16,
    is_replica: bool,
    is_myself: bool,
}

/// Does what the words behind `--cluster` say.
///
/// # Errors
/// They say nothing that there is, or the nodes can't be asked.
pub fn run(session: &mut Session) -> Result<(), Fatal> {
    let mut words = session.options.cluster_words.clone();
    let mut arguments = words.split_off(1);
    take_stdin(&session.options, &mut arguments)?;
    words.append(&mut arguments);
    let name = String::from_utf8_lossy(&words[0]).into_owned();
    let Some(subcommand) = SUBCOMMANDS.iter().find(|subcommand| subcommand.name == name) else {
        return Err("Unknown --cluster subcommand".into());
    };
    let count = words.len() as i64 - 1;
    let fits = if subcommand.arity < 0 { count >= -subcommand.arity } else { count == subcommand.arity };
    if !fits {
        return Err("[ERR] Wrong number of arguments for specified --cluster sub command".into());
    }
    match name.as_str() {
        "help" => {
            out::write(help().as_bytes());
            // As in redis-cli: a script that wanted something else notices.
            Err(Fatal::said())
        }
        "call" => call(session, &words[1], &words[2..]),
        _ => Err(Fatal(format!("[ERR] '{name}' changes or inspects a cluster, which rivulet-cli does not do"))),
    }
}

/// Asks all nodes that the first one knows.
fn call(session: &mut Session, first: &[u8], command: &[Vec<u8>]) -> Result<(), Fatal> {
    let text = String::from_utf8_lossy(first);
    let place = text.split('@').next().and_then(|text| text.rsplit_once(':'));
    let port = place.and_then(|(_, port)| port.parse().ok()).filter(|port: &u16| *port > 0);
    let (Some((host, _)), Some(port)) = (place, port) else {
        return Err("[ERR] Invalid arguments: you need to pass either a valid address (ie. 120.0.0.1:7000) or space separated IP and port (ie. 120.0.0.1 7000)".into());
    };
    session.address = Address::tcp(host, port);
    session.reconnect(false)?;
    let info = session.ask(&["INFO", "cluster"])?;
    if info.is_error() || !info.text().contains("cluster_enabled:1") {
        let why =
            if info.is_error() { info.text().into_owned() } else { "is not configured as a cluster node.".into() };
        return Err(error(&format!("[ERR] Node {host}:{port} {why}\n")));
    }
    let nodes = session.ask(&["CLUSTER", "NODES"])?;
    if nodes.is_error() {
        return Err(error(&format!("Node {host}:{port} replied with error:\n{}\n", nodes.text())));
    }
    let mut nodes = nodes_of(&nodes.text());
    // The one that was asked comes first, under the name by which it was asked.
    nodes.sort_by_key(|node| !node.is_myself);
    if let Some(own) = nodes.first_mut().filter(|node| node.is_myself) {
        (own.host, own.port) = (host.to_string(), port);
    }
    let words: Vec<String> = command.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    coloured("29;1m", ">>> Calling");
    say!(" {}\n", words.join(" "));
    let only = session.options.cluster_only;
    for node in nodes.iter().filter(|node| is_asked(node, only)) {
        session.address = Address::tcp(&node.host, node.port);
        if session.reconnect(false).is_err() && session.connection.is_none() {
            continue;
        }
        let shown = session.ask(command).map_or_else(|_| b"Failed!".to_vec(), |reply| raw(&reply));
        say!("{}:{}: ", node.host, node.port);
        out::write(&[&shown, b"\n".as_slice()].concat());
    }
    Ok(())
}

fn is_asked(node: &Node, only: Option<ClusterOnly>) -> bool {
    match only {
        None => true,
        Some(ClusterOnly::Masters) => !node.is_replica,
        Some(ClusterOnly::Replicas) => node.is_replica,
    }
}

fn raw(reply: &Reply) -> Vec<u8> {
    render_verbatim(reply, &Delimiters { element: b"\n".to_vec(), reply: Vec::new() })
}

fn error(text: &str) -> Fatal {
    coloured("31;1m", text);
    Fatal::said()
}

fn coloured(colour: &str, text: &str) {
    match std::env::var("TERM").is_ok_and(|terminal| terminal.contains("xterm")) {
        true => say!("\x1b[{colour}{text}\x1b[0m"),
        false => say!("{text}"),
    }
}

/// The nodes that can be reached, out of the reply to CLUSTER NODES.
fn nodes_of(text: &str) -> Vec<Node> {
    text.lines().filter_map(node_of).collect()
}

fn node_of(line: &str) -> Option<Node> {
    let words: Vec<&str> = line.split(' ').collect();
    let [_, address, flags, ..] = words[..] else { return None };
    let flags: Vec<&str> = flags.split(',').collect();
    let has = |flag: &str| flags.contains(&flag);
    let is_myself = has("myself");
    if has("noaddr") || has("fail") || (words.get(7) == Some(&"disconnected") && !is_myself) {
        return None;
    }
    let (host, port) = address.split('@').next()?.rsplit_once(':')?;
    let is_replica = has("slave") || has("replica");
    Some(Node { host: host.to_string(), port: port.parse().ok()?, is_replica, is_myself })
}

fn help() -> String {
    let mut out = String::from("Cluster Manager Commands:\n");
    for subcommand in SUBCOMMANDS {
        out += &format!("  {:<15}{}\n", subcommand.name, subcommand.arguments);
        for option in subcommand.options {
            out += &format!("{:17}--cluster-{option}\n", "");
        }
    }
    out += "\nFor check, fix, reshard, del-node, set-timeout, info, rebalance, call, import, backup you can specify the host and port of any working node in the cluster.\n";
    out + "\nCluster Manager Options:\n  --cluster-yes  Automatic yes to cluster commands prompts\n\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_can_be_reached() {
        let text = "a 127.0.0.1:7000@17000,host myself,master - 0 1 1 connected 0-5460\n\
                    b 127.0.0.1:7001@17001 slave a 0 1 1 connected\n\
                    c 127.0.0.1:7002@17002 master,fail - 0 1 1 disconnected\n\
                    d :0@0 master,noaddr - 0 1 1 disconnected\n\
                    e x:y@z master - 0 1 1 connected\nnonsense\n";
        let node = |port, is_replica, is_myself| Node { host: "127.0.0.1".into(), port, is_replica, is_myself };
        assert_eq!(nodes_of(text), [node(7000, false, true), node(7001, true, false)]);
    }

    #[test]
    fn help_has_all_options() {
        assert!(
            help().contains(
                "  call           host:port command arg arg .. arg\n                 --cluster-only-masters\n"
            )
        );
    }
}
