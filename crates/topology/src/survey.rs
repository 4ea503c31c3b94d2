//! The survey: what all nodes last said, whom to ask next, and the picture that comes of it.
//!
//! A node may have several addresses: its master sees one, its replicas were told another. Each address is asked once; who turns out to be known already
//! is an alias from then on, and is asked again only when the one that stands for it falls silent.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::address::Address;
use crate::doctor::Doctor;
use crate::event::{Changes, Event, EventKind};
use crate::info::{Info, brief};
use crate::link::{End, Link};
use crate::node::{Node, Role};
use crate::rate::Rate;
use crate::sync::{Counters, SyncRecord};

/// Nodes that are asked at once, at most; further ones are left out, and counted. Threads alone would allow more, but each node is asked four times a second, and
/// reading a thousand times 20 KiB a second is no work for a server or a Sentinel beside its own. Other addresses of these nodes may be as many again.
pub const NODES_MAX: usize = 256;
/// Syncs that are kept of a node.
const COUNTED_MAX: usize = 20;
/// The longest timeline.
const EVENTS_MAX: usize = 80;
/// Who is silent, and whom nobody mentions, is forgotten after so long.
const FORGET_MS: u64 = 120_000;
/// Who has never answered is forgotten sooner: it may have been a slip of the pen.
const FORGET_UNKNOWN_MS: u64 = 5000;
/// Between two looks at what hangs together.
const REACH_MS: u64 = 1000;
/// Nodes that are found so soon after the first are not told of.
const SETTLE_MS: u64 = 3000;
/// An answer that is older makes its node silent though no question has failed yet.
const STALE_MS: u64 = 3000;

/// The picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Topology {
    /// Unix ms at which it was drawn.
    pub time_ms: u64,
    /// Masters before replicas, and those in the order of the tree.
    pub nodes: Vec<Node>,
    pub links: Vec<Link>,
    /// Newest first.
    pub events: Vec<Event>,
    /// Nodes that were named and are not asked, as there are too many.
    pub left_out: usize,
}

impl Topology {
    /// The node that asks.
    pub fn own(&self) -> Option<&Node> {
        self.nodes.iter().find(|node| node.is_own)
    }

    /// The link above a node.
    pub fn link_of(&self, replica: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.replica == replica)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Ms of a clock that never goes back.
    pub ms: u64,
    pub unix_ms: u64,
}

#[derive(Default)]
struct Subject {
    /// Stands for another address's node.
    alias_of: Option<Address>,
    /// Who named it first; nobody named the first of all.
    named_by: Option<Address>,
    mentioned_ms: u64,
    /// When it last hung together with the first, by what nodes name.
    reached_ms: u64,
    /// What it said, when, and which process it was.
    node: Option<Node>,
    answered_ms: u64,
    run_id: String,
    /// Why it does not answer.
    failure: Option<String>,
    /// When a question was last answered, or failed.
    tried_ms: Option<u64>,
    rate: Rate,
    counters: Option<Counters>,
    /// It answers REPLICATION HISTORY.
    remembers: bool,
}

impl Subject {
    fn is_silent(&self, now_ms: u64) -> bool {
        self.node.is_none() || self.failure.is_some() || now_ms.saturating_sub(self.answered_ms) > STALE_MS
    }
}

/// What all nodes last said.
pub struct Survey {
    /// The address that is never forgotten.
    first: Address,
    is_own: bool,
    nodes_max: usize,
    subjects: BTreeMap<Address, Subject>,
    /// When it was looked last what hangs together.
    looked_ms: Option<u64>,
    changes: Changes,
    /// When the first answer came.
    began_ms: Option<u64>,
}

impl Survey {
    /// Begins at an address; `is_own` says that it is the node which asks, so that what else is known of it need not be found out. At most `nodes_max` nodes,
    /// and never more than [`NODES_MAX`], are asked.
    pub fn new(first: Address, is_own: bool, nodes_max: usize) -> Survey {
        let subjects = BTreeMap::from([(first.clone(), Subject::default())]);
        let nodes_max = nodes_max.clamp(1, NODES_MAX);
        Survey { first, is_own, nodes_max, subjects, looked_ms: None, changes: Changes::default(), began_ms: None }
    }

    /// The addresses to ask.
    pub fn targets(&self) -> impl Iterator<Item = &Address> {
        self.subjects.iter().filter(|(_, subject)| subject.alias_of.is_none()).map(|(address, _)| address)
    }

    /// Whether each address was asked since then, with or without success.
    pub fn is_settled(&self, since_ms: u64) -> bool {
        let mut asked = self.subjects.values().filter(|subject| subject.alias_of.is_none());
        asked.all(|subject| subject.tried_ms.is_some_and(|ms| ms >= since_ms))
    }

    /// Whether an address is to be asked.
    pub fn is_target(&self, address: &Address) -> bool {
        self.subjects.get(address).is_some_and(|subject| subject.alias_of.is_none())
    }

    /// A node's INFO, as of `now`.
    pub fn answered(&mut self, address: &Address, info: &Info, now: Now) {
        if !self.subjects.contains_key(address) {
            return;
        }
        let mut node = Node::of(info);
        if node.id.is_empty() {
            node.id = address.to_string();
        }
        let run_id = info.text("run_id").unwrap_or_default().to_string();
        if self.turns_out_known(address, &run_id) {
            return;
        }
        for mentioned in mentions(&node).cloned() {
            self.mention(address, mentioned, now.ms);
        }
        self.note(address, node, run_id, Counters::of(info), now);
        self.forget(now.ms);
    }

    /// Notes that this process was reached at another address already; answers whether it was.
    fn turns_out_known(&mut self, address: &Address, run_id: &str) -> bool {
        let is_same = |(other, subject): &(&Address, &Subject)| {
            *other != address && subject.alias_of.is_none() && subject.failure.is_none() && subject.run_id == run_id
        };
        let known = self.subjects.iter().find(is_same).map(|(other, _)| other.clone());
        let Some(known) = known.filter(|_| !run_id.is_empty()) else { return false };
        // The first one stays, whoever was reached before it.
        let (main, alias) = if *address == self.first { (address.clone(), known) } else { (known, address.clone()) };
        let is_alias = alias == *address;
        if let Some(subject) = self.subjects.get_mut(&alias) {
            *subject = Subject {
                alias_of: Some(main),
                named_by: subject.named_by.take(),
                mentioned_ms: subject.mentioned_ms,
                reached_ms: subject.reached_ms,
                ..Subject::default()
            };
        }
        is_alias
    }

    fn note(&mut self, address: &Address, mut node: Node, run_id: String, counters: Counters, now: Now) {
        // Those that were there from the beginning are no news.
        let began_ms = *self.began_ms.get_or_insert(now.ms);
        let Some(subject) = self.subjects.get_mut(address) else { return };
        let is_restart = subject.node.is_some() && subject.run_id != run_id;
        let kind = match &subject.node {
            None => (now.ms.saturating_sub(began_ms) > SETTLE_MS).then_some(EventKind::Found),
            Some(_) if is_restart => Some(EventKind::Restarted),
            Some(_) => subject.failure.is_some().then_some(EventKind::Answers),
        };
        if let Some(kind) = kind {
            self.changes.add(Event::new(kind, &node.id, now.unix_ms));
        }
        subject.rate.sample(now.ms, node.offset);
        node.bytes_per_second = subject.rate.per_second();
        if let Some(before) = subject.node.take() {
            self.changes.compare(&before, &node, now.unix_ms);
            (node.syncs, node.doctor) = (before.syncs, before.doctor);
        }
        if let Some(earlier) = subject.counters.filter(|_| !subject.remembers) {
            node.syncs.splice(0..0, counters.since(earlier, now.unix_ms, COUNTED_MAX));
            node.syncs.truncate(COUNTED_MAX);
        }
        subject.counters = Some(counters);
        (subject.node, subject.run_id, subject.answered_ms) = (Some(node), run_id, now.ms);
        (subject.failure, subject.tried_ms) = (None, Some(now.ms));
        if is_restart {
            self.ask_aliases(address);
        }
    }

    /// A node's REPLICATION HISTORY, newest first.
    pub fn remembered(&mut self, address: &Address, mut syncs: Vec<SyncRecord>) {
        syncs.truncate(COUNTED_MAX);
        let Some(subject) = self.subjects.get_mut(address) else { return };
        subject.remembers = true;
        if let Some(node) = &mut subject.node {
            node.syncs = syncs;
        }
    }

    /// A node's REPLICATION DOCTOR.
    pub fn examined(&mut self, address: &Address, doctor: Doctor) {
        if let Some(node) = self.subjects.get_mut(address).and_then(|subject| subject.node.as_mut()) {
            node.doctor = Some(doctor);
        }
    }

    /// A question was not answered.
    pub fn failed(&mut self, address: &Address, why: &str, now: Now) {
        let Some(subject) = self.subjects.get_mut(address) else { return };
        let is_news = subject.failure.is_none();
        subject.tried_ms = Some(now.ms);
        subject.failure = Some(brief(why));
        if is_news && let Some(node) = &subject.node {
            self.changes.add(Event::new(EventKind::Silent, &node.id, now.unix_ms));
        }
        if is_news {
            self.ask_aliases(address);
        }
        self.forget(now.ms);
    }

    /// Whoever stood for these is silent or another process: they are asked themselves.
    fn ask_aliases(&mut self, main: &Address) {
        for subject in self.subjects.values_mut().filter(|subject| subject.alias_of.as_ref() == Some(main)) {
            subject.alias_of = None;
        }
    }

    fn mention(&mut self, by: &Address, address: Address, now_ms: u64) {
        let address = self.known_as(&address).clone();
        if !self.subjects.contains_key(&address) && !self.makes_room_for(by) {
            return;
        }
        // It hangs together with the first one no better than whoever names it.
        let of_namer = self.subjects.get(by).map_or(0, |namer| namer.reached_ms);
        let reached_ms = if *by == self.first { now_ms } else { of_namer };
        let new = || Subject { named_by: Some(by.clone()), reached_ms, ..Subject::default() };
        self.subjects.entry(address).or_insert_with(new).mentioned_ms = now_ms;
    }

    /// The own address under the name by which it is known here, and others as they are.
    fn known_as<'a>(&'a self, address: &'a Address) -> &'a Address {
        let is_own =
            self.is_own && address.port == self.first.port && address.is_loopback() && self.first.is_loopback();
        if is_own { &self.first } else { address }
    }

    /// Whether one more that this node names can be taken. Where there is no place left, one of those that the node with the most has named gives way, so that
    /// nobody crowds out the others. What the first one names never does.
    fn makes_room_for(&mut self, by: &Address) -> bool {
        let are_addresses_full = self.subjects.len() >= 2 * self.nodes_max;
        if !are_addresses_full && self.targets().count() < self.nodes_max {
            return true;
        }
        let counted = |subject: &Subject| are_addresses_full || subject.alias_of.is_none();
        let mut named: BTreeMap<&Address, usize> = BTreeMap::new();
        for namer in self.subjects.values().filter(|s| counted(s)).filter_map(|s| s.named_by.as_ref()) {
            *named.entry(namer).or_default() += 1;
        }
        let own = named.get(by).copied().unwrap_or(0);
        let most = named.into_iter().filter(|(namer, _)| **namer != self.first).max_by_key(|(_, count)| *count);
        let Some((most, _)) = most.filter(|(_, count)| *by == self.first || *count > own + 1) else {
            return false;
        };
        let theirs = self.subjects.iter().filter(|(_, s)| counted(s) && s.named_by.as_ref() == Some(most));
        let last = theirs.max_by_key(|(_, subject)| subject.node.is_none()).map(|(address, _)| address.clone());
        last.is_some_and(|address| self.subjects.remove(&address).is_some())
    }

    /// Notes what hangs together with the first one, in whichever direction nodes name each other.
    fn note_reached(&mut self, now_ms: u64) {
        if self.looked_ms.is_some_and(|ms| now_ms.saturating_sub(ms) < REACH_MS) {
            return;
        }
        self.looked_ms = Some(now_ms);
        let mut beside: BTreeMap<&Address, Vec<&Address>> = BTreeMap::new();
        for (address, subject) in &self.subjects {
            let named = subject.node.iter().flat_map(mentions).map(|named| self.known_as(named));
            for other in named.chain(&subject.alias_of) {
                beside.entry(address).or_default().push(other);
                beside.entry(other).or_default().push(address);
            }
        }
        let mut reached = BTreeSet::from([self.first.clone()]);
        let mut open = vec![&self.first];
        while let Some(address) = open.pop() {
            let new = beside.get(address).into_iter().flatten().filter(|other| reached.insert((**other).clone()));
            open.extend(new);
        }
        for (_, subject) in self.subjects.iter_mut().filter(|(address, _)| reached.contains(*address)) {
            subject.reached_ms = now_ms;
        }
    }

    /// Forgets who is silent and mentioned by nobody; from a Sentinel also what does not hang together with it any more, as a set that it was told to
    /// watch no longer.
    fn forget(&mut self, now_ms: u64) {
        self.note_reached(now_ms);
        let first = self.first.clone();
        let begins = self.subjects.get(&first).and_then(|subject| subject.node.as_ref());
        let is_sentinels = begins.is_some_and(|node| node.role == Role::Sentinel);
        self.subjects.retain(|address, subject| {
            if is_sentinels && *address != first && now_ms.saturating_sub(subject.reached_ms) > FORGET_MS {
                return false;
            }
            let is_known = subject.alias_of.is_some() || subject.node.is_some();
            let forget_ms = if is_known { FORGET_MS } else { FORGET_UNKNOWN_MS };
            let is_fresh = |ms: u64| now_ms.saturating_sub(ms) <= forget_ms;
            let answers = subject.node.is_some() && is_fresh(subject.answered_ms);
            *address == first || answers || is_fresh(subject.mentioned_ms)
        });
        let mains: BTreeSet<Address> = self.subjects.keys().cloned().collect();
        for subject in self.subjects.values_mut() {
            if subject.alias_of.as_ref().is_some_and(|main| !mains.contains(main)) {
                subject.alias_of = None;
            }
        }
    }

    /// The picture, as of `now`.
    pub fn topology(&self, now: Now) -> Topology {
        let ids = self.ids();
        let mut nodes: Vec<Node> = Vec::new();
        for (address, subject) in self.subjects.iter().filter(|(_, subject)| subject.alias_of.is_none()) {
            nodes.push(self.drawn(address, subject, &ids, now));
        }
        let links = self.links(&nodes, &ids);
        let nodes = in_order_of_tree(nodes, &links);
        let left_out = self.left_out(now.ms);
        Topology { time_ms: now.unix_ms, events: self.events(&ids), nodes, links, left_out }
    }

    /// How many are named by those who answer, and not known here.
    fn left_out(&self, now_ms: u64) -> usize {
        let heard = self.subjects.values().filter(|subject| !subject.is_silent(now_ms));
        let heard: Vec<&Node> = heard.filter_map(|subject| subject.node.as_ref()).collect();
        let named = heard.iter().flat_map(|node| mentions(node)).map(|named| self.known_as(named));
        let unknown: BTreeSet<&Address> = named.filter(|named| !self.subjects.contains_key(*named)).collect();
        unknown.len() + heard.iter().map(|node| node.left_out).sum::<usize>()
    }

    /// The id of the node at each address. Two that answer with the same id, as copies of one directory do, are told apart by their processes.
    fn ids(&self) -> BTreeMap<Address, String> {
        let mut taken = BTreeSet::new();
        let mut ids = BTreeMap::new();
        for (address, subject) in self.subjects.iter().filter(|(_, subject)| subject.alias_of.is_none()) {
            let mut id = subject.node.as_ref().map_or_else(|| address.to_string(), |node| node.id.clone());
            while !taken.insert(id.clone()) {
                id = format!("{id}@{address}");
            }
            ids.insert(address.clone(), id);
        }
        for (address, subject) in &self.subjects {
            if let Some(id) = subject.alias_of.as_ref().and_then(|main| ids.get(main)).cloned() {
                ids.insert(address.clone(), id);
            }
        }
        ids
    }

    fn drawn(&self, address: &Address, subject: &Subject, ids: &BTreeMap<Address, String>, now: Now) -> Node {
        let mut node = subject.node.clone().unwrap_or_default();
        node.id = ids.get(address).cloned().unwrap_or_default();
        let others = ids.iter().filter(|(other, id)| **id == node.id && *other != address);
        node.addresses = std::iter::once(address).chain(others.map(|(other, _)| other)).cloned().collect();
        node.is_own = self.is_own && *address == self.first;
        node.age_ms = subject.node.as_ref().map(|_| now.ms.saturating_sub(subject.answered_ms));
        let is_silent = subject.is_silent(now.ms);
        node.silent = is_silent.then(|| subject.failure.clone().unwrap_or_else(|| "no answer yet".into()));
        node
    }

    /// The address under which a node is asked that was mentioned under this one.
    fn resolve(&self, address: &Address) -> Address {
        let known = self.known_as(address);
        self.subjects.get(known).and_then(|subject| subject.alias_of.as_ref()).unwrap_or(known).clone()
    }

    fn links(&self, nodes: &[Node], ids: &BTreeMap<Address, String>) -> Vec<Link> {
        let by_id: BTreeMap<&str, &Node> = nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let at = |address: &Address| {
            let main = self.resolve(address);
            let node = *by_id.get(ids.get(&main)?.as_str())?;
            Some(End { node, at_ms: self.subjects.get(&main)?.answered_ms })
        };
        let mut links: Vec<Link> = Vec::new();
        for replica in nodes {
            let Some(up) = replica.upstream.as_ref().filter(|_| replica.silent.is_none()) else { continue };
            let (Some(master), Some(end)) = (at(&up.address), replica.addresses.first().and_then(&at)) else {
                continue;
            };
            let follower =
                master.node.followers.iter().find(|f| at(&f.address).is_some_and(|n| n.node.id == replica.id));
            links.push(match master.node.silent.is_none() {
                true => Link::between(master, end, follower),
                false => Link::to_silent_master(master.node, replica),
            });
        }
        for master in nodes.iter().filter(|node| node.silent.is_none()) {
            for follower in &master.followers {
                let Some(replica) = at(&follower.address).filter(|end| end.node.silent.is_some()) else { continue };
                links.push(Link::to_silent_replica(master, follower, &replica.node.id));
            }
        }
        links
    }

    /// Changes and syncs. A sync that both ends remember is the master's, who knows the reason.
    fn events(&self, ids: &BTreeMap<Address, String>) -> Vec<Event> {
        let mut events: Vec<Event> = self.changes.iter().cloned().collect();
        for (address, subject) in &self.subjects {
            let (Some(node), Some(id)) = (&subject.node, ids.get(address)) else { continue };
            for sync in &node.syncs {
                let peer = Address::parse(&sync.peer).map(|peer| self.resolve(&peer));
                let other = peer.as_ref().and_then(|peer| self.subjects.get(peer));
                if sync.role == "replica" && other.is_some_and(|other| other.remembers) {
                    continue;
                }
                let peer_id = peer.and_then(|peer| ids.get(&peer).cloned()).unwrap_or_else(|| sync.peer.clone());
                events.push(Event {
                    time_ms: sync.time_ms,
                    kind: EventKind::Sync,
                    node: id.clone(),
                    peer: peer_id,
                    sync: Some(sync.clone()),
                });
            }
        }
        events.sort_by_key(|event| std::cmp::Reverse(event.time_ms));
        events.truncate(EVENTS_MAX);
        events
    }
}

/// The addresses that a node names.
fn mentions(node: &Node) -> impl Iterator<Item = &Address> {
    let above = node.upstream.iter().map(|up| &up.address);
    let below = node.followers.iter().map(|follower| &follower.address);
    above.chain(below).chain(&node.watches)
}

/// Each tree from its root on, replicas below their masters, by address; then what hangs nowhere.
fn in_order_of_tree(nodes: Vec<Node>, links: &[Link]) -> Vec<Node> {
    let above: BTreeMap<&str, &str> = links.iter().map(|link| (link.replica.as_str(), link.master.as_str())).collect();
    // A ring has no root; each node is visited once whatever the links say.
    let depth = |id: &str| {
        let mut path = vec![id.to_string()];
        let mut at = id;
        while let Some(master) = above.get(at).filter(|_| path.len() <= nodes.len()) {
            path.push(master.to_string());
            at = master;
        }
        path.reverse();
        path
    };
    let place: BTreeMap<String, usize> = nodes.iter().enumerate().map(|(i, node)| (node.id.clone(), i)).collect();
    let mut keyed: Vec<_> = nodes
        .iter()
        .map(|node| {
            let path: Vec<usize> = depth(&node.id).iter().filter_map(|id| place.get(id).copied()).collect();
            (node.role == Role::Sentinel, path, node.clone())
        })
        .collect();
    keyed.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    keyed.into_iter().map(|(_, _, node)| node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).expect("an address")
    }

    fn at(ms: u64) -> Now {
        Now { ms, unix_ms: 1_000_000 + ms }
    }

    fn info(id: &str, rest: &str) -> Info {
        Info::parse(&format!("run_id:{id}\n{rest}"))
    }

    const MASTER: &str = "role:master\nmaster_replid:x\nmaster_repl_offset:100\nslave0:ip=127.0.0.1,port=2,state=online,offset=100,lag=0\nslave1:ip=127.0.0.1,port=3,state=wait_bgsave,offset=0,lag=0";
    const REPLICA: &str = "role:slave\nmaster_replid:x\nmaster_host:localhost\nmaster_port:1\nmaster_link_status:up\nslave_repl_offset:90";

    fn targets(survey: &Survey) -> Vec<String> {
        survey.targets().map(Address::to_string).collect()
    }

    #[test]
    fn the_chain_is_found_from_its_middle() {
        let mut survey = Survey::new(address("127.0.0.1:2"), true, NODES_MAX);
        survey.answered(&address("127.0.0.1:2"), &info("b", &format!("{REPLICA}\nslave0:ip=c,port=9")), at(0));
        assert_eq!(targets(&survey), ["127.0.0.1:2", "c:9", "localhost:1"]);
        survey.answered(&address("localhost:1"), &info("a", MASTER), at(1));
        // The own address is not asked again under another name of it.
        assert_eq!(targets(&survey), ["127.0.0.1:2", "127.0.0.1:3", "c:9", "localhost:1"]);
        let topology = survey.topology(at(2));
        let ids: Vec<&str> = topology.nodes.iter().map(|n| n.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c:9", "127.0.0.1:3"]);
        let links: Vec<_> = topology.links.iter().map(|l| (l.master.as_str(), l.replica.as_str(), l.state)).collect();
        use crate::link::LinkState::*;
        assert_eq!(links, [("a", "b", Online), ("b", "c:9", Syncing), ("a", "127.0.0.1:3", Waiting)]);
        assert_eq!(topology.link_of("b").and_then(|link| link.behind_bytes), Some(10));
        assert!(topology.own().is_some_and(|own| own.id == "b"));
    }

    #[test]
    fn a_node_with_two_addresses_is_one() {
        let mut survey = Survey::new(address("10.0.0.1:1"), false, NODES_MAX);
        survey.answered(&address("10.0.0.1:1"), &info("a", "role:master\nslave0:ip=10.0.0.2,port=2"), at(0));
        survey.answered(&address("10.0.0.2:2"), &info("b", "role:slave\nmaster_host:m.example\nmaster_port:1"), at(0));
        survey.answered(&address("m.example:1"), &info("a", "role:master"), at(0));
        assert_eq!(targets(&survey), ["10.0.0.1:1", "10.0.0.2:2"]);
        let topology = survey.topology(at(1));
        assert_eq!(topology.nodes.len(), 2);
        assert_eq!(topology.nodes[0].addresses, [address("10.0.0.1:1"), address("m.example:1")]);
        assert_eq!((topology.links.len(), topology.links[0].master.as_str()), (1, "a"));
        // When the address that stands for it falls silent, the other is asked.
        survey.failed(&address("10.0.0.1:1"), "refused", at(2));
        assert_eq!(targets(&survey), ["10.0.0.1:1", "10.0.0.2:2", "m.example:1"]);
        survey.answered(&address("m.example:1"), &info("a", "role:master"), at(3));
        assert!(
            survey.topology(at(3)).nodes.iter().any(|n| n.addresses[0] == address("m.example:1") && n.silent.is_none())
        );
    }

    #[test]
    fn copies_of_a_directory_are_two_nodes() {
        let mut survey = Survey::new(address("a:1"), false, NODES_MAX);
        survey.answered(&address("a:1"), &Info::parse("node_id:n\nrun_id:x\nrole:master\nslave0:ip=b,port=2"), at(0));
        survey.answered(
            &address("b:2"),
            &Info::parse("node_id:n\nrun_id:y\nrole:slave\nmaster_host:a\nmaster_port:1"),
            at(0),
        );
        let topology = survey.topology(at(0));
        let ids: Vec<&str> = topology.nodes.iter().map(|n| n.id.as_str()).collect();
        assert_eq!(ids, ["n", "n@b:2"]);
        assert_eq!(topology.links.len(), 1);
    }

    #[test]
    fn the_silent_are_shown_and_later_forgotten() {
        let mut survey = Survey::new(address("a:1"), false, NODES_MAX);
        survey.answered(&address("a:1"), &info("a", "role:master\nslave0:ip=b,port=2,state=online,offset=5"), at(0));
        survey.answered(&address("b:2"), &info("b", "role:slave\nmaster_host:a\nmaster_port:1"), at(0));
        survey.failed(&address("b:2"), "refused", at(100));
        survey.failed(&address("b:2"), "refused", at(200));
        let topology = survey.topology(at(300));
        let node = topology.nodes.iter().find(|n| n.id == "b").expect("it is shown");
        assert_eq!((node.silent.as_deref(), node.age_ms), (Some("refused"), Some(300)));
        let silences = topology.events.iter().filter(|e| e.kind == EventKind::Silent).count();
        assert_eq!(silences, 1);
        // While the master mentions it, it stays.
        survey.answered(&address("a:1"), &info("a", "role:master\nslave0:ip=b,port=2"), at(FORGET_MS * 2));
        assert_eq!(targets(&survey), ["a:1", "b:2"]);
        survey.answered(&address("a:1"), &info("a", "role:master"), at(FORGET_MS * 3 + 1));
        assert_eq!(targets(&survey), ["a:1"]);
        // The first one is never forgotten.
        survey.failed(&address("a:1"), "gone", at(FORGET_MS * 9));
        assert_eq!(targets(&survey), ["a:1"]);
    }

    #[test]
    fn who_never_answered_is_forgotten_sooner() {
        let mut survey = Survey::new(address("a:1"), false, NODES_MAX);
        survey.answered(&address("a:1"), &info("a", "role:slave\nmaster_host:nobody\nmaster_port:1"), at(0));
        assert_eq!(targets(&survey), ["a:1", "nobody:1"]);
        survey.answered(&address("a:1"), &info("a", "role:master"), at(FORGET_UNKNOWN_MS));
        assert_eq!(targets(&survey), ["a:1", "nobody:1"]);
        survey.answered(&address("a:1"), &info("a", "role:master"), at(FORGET_UNKNOWN_MS + 1));
        assert_eq!(targets(&survey), ["a:1"]);
    }

    #[test]
    fn a_hung_node_is_silent_before_its_question_fails() {
        let mut survey = Survey::new(address("a:1"), false, NODES_MAX);
        survey.answered(&address("a:1"), &info("a", "role:master"), at(0));
        assert_eq!(survey.topology(at(STALE_MS)).nodes[0].silent, None);
        assert!(survey.topology(at(STALE_MS + 1)).nodes[0].silent.is_some());
    }

    #[test]
    fn a_sync_is_told_once_and_by_the_master() {
        let mut survey = Survey::new(address("a:1"), false, NODES_MAX);
        survey.answered(&address("a:1"), &info("a", "role:master\nslave0:ip=b,port=2"), at(0));
        survey.answered(&address("b:2"), &info("b", "role:slave\nmaster_host:a\nmaster_port:1"), at(0));
        let sync = |role: &str, peer: &str| SyncRecord {
            role: role.into(),
            peer: peer.into(),
            kind: "full".into(),
            reason: if role == "master" { "behind".into() } else { "not-continued".into() },
            time_ms: 5,
            ..SyncRecord::default()
        };
        let syncs = |survey: &Survey| {
            let events = survey.topology(at(1)).events;
            events.into_iter().filter_map(|e| Some((e.node, e.peer, e.sync?.reason))).collect::<Vec<_>>()
        };
        survey.remembered(&address("b:2"), vec![sync("replica", "a:1")]);
        assert_eq!(syncs(&survey), [("b".into(), "a".into(), "not-continued".into())]);
        survey.remembered(&address("a:1"), vec![sync("master", "b:2")]);
        assert_eq!(syncs(&survey), [("a".into(), "b".into(), "behind".into())]);
    }

    #[test]
    fn a_redis_counts_its_syncs() {
        let mut survey = Survey::new(address("a:1"), false, NODES_MAX);
        survey.answered(&address("a:1"), &info("a", "role:master\nsync_full:3\nsync_partial_ok:1"), at(0));
        survey.answered(&address("a:1"), &info("a", "role:master\nsync_full:4\nsync_partial_ok:1"), at(1));
        let syncs: Vec<_> = survey.topology(at(1)).events.into_iter().filter_map(|e| e.sync).collect();
        assert_eq!((syncs.len(), syncs[0].kind.as_str()), (1, "full"));
    }

    #[test]
    fn a_ring_and_a_crowd_are_drawn() {
        let mut survey = Survey::new(address("a:1"), false, NODES_MAX);
        survey.answered(&address("a:1"), &info("a", "role:slave\nmaster_host:b\nmaster_port:1"), at(0));
        survey.answered(&address("b:1"), &info("b", "role:slave\nmaster_host:a\nmaster_port:1"), at(0));
        assert_eq!(survey.topology(at(0)).nodes.len(), 2);
        let crowd: String = (0..2000).map(|i| format!("slave{i}:ip=h{i},port=1\n")).collect();
        survey.answered(&address("a:1"), &info("a", &crowd), at(0));
        assert_eq!(survey.targets().count(), NODES_MAX);
        // What nobody was told to ask is no answer.
        survey.answered(&address("z:1"), &info("z", MASTER), at(0));
        assert!(survey.topology(at(0)).nodes.iter().all(|node| node.id != "z"));
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let mut survey = Survey::new(address("a:1"), false, 4);
        let crowd = |count: usize| (0..count).map(|i| format!("slave{i}:ip=h{i},port=1\n")).collect::<String>();
        survey.answered(&address("a:1"), &info("a", &crowd(3)), at(0));
        assert_eq!(survey.topology(at(0)).left_out, 0);
        survey.answered(&address("a:1"), &info("a", &crowd(5)), at(1));
        assert_eq!((survey.targets().count(), survey.topology(at(1)).left_out), (4, 2));
        // Two that name the same one leave out one.
        survey.answered(&address("h0:1"), &info("h", "role:slave\nslave0:ip=h4,port=1\n"), at(2));
        assert_eq!(survey.topology(at(2)).left_out, 2);
        survey.answered(&address("a:1"), &info("a", &crowd(300)), at(3));
        assert_eq!(survey.topology(at(3)).left_out, 297, "also those that one node names beyond its share");
    }

    #[test]
    fn other_addresses_of_nodes_take_no_places_of_nodes() {
        let mut survey = Survey::new(address("a:1"), false, 3);
        survey.answered(&address("a:1"), &info("a", "slave0:ip=b,port=1\nslave1:ip=c,port=1\n"), at(0));
        survey.answered(&address("b:1"), &info("a", ""), at(1));
        survey.answered(&address("a:1"), &info("a", "slave0:ip=d,port=1\n"), at(2));
        assert_eq!(
            (targets(&survey), survey.topology(at(2)).left_out),
            (vec!["a:1".into(), "c:1".into(), "d:1".into()], 0)
        );
    }

    #[test]
    fn nobody_crowds_out_the_others() {
        let mut survey = Survey::new(address("a:1"), false, 10);
        survey.answered(&address("a:1"), &info("a", "slave0:ip=b,port=1\nslave1:ip=c,port=1\n"), at(0));
        let many: String = (0..200).map(|i| format!("slave{i}:ip=x{i},port=1\n")).collect();
        survey.answered(&address("b:1"), &info("b", &many), at(1));
        assert_eq!(survey.targets().count(), 10);
        let known = |survey: &Survey, name: &str| survey.is_target(&address(name));
        survey.answered(&address("c:1"), &info("c", "slave0:ip=d,port=1\nslave1:ip=e,port=1\n"), at(2));
        assert!(known(&survey, "d:1") && known(&survey, "e:1"));
        // That one does not take them back, and the first one's own come before all.
        survey.answered(&address("b:1"), &info("b", &many), at(3));
        assert!(known(&survey, "d:1") && known(&survey, "e:1"));
        let own: String = (0..7).map(|i| format!("slave{i}:ip=o{i},port=1\n")).collect();
        survey.answered(&address("a:1"), &info("a", &own), at(4));
        assert!((0..7).all(|i| known(&survey, &format!("o{i}:1"))), "{:?}", targets(&survey));
        assert_eq!(survey.targets().count(), 10);
    }

    const WATCHES_BOTH: &str = "redis_mode:sentinel\nmaster0:name=x,status=ok,address=x:1,slaves=1,sentinels=1\nmaster1:name=y,status=ok,address=y:1,slaves=1,sentinels=1\n";
    const WATCHES_ONE: &str = "redis_mode:sentinel\nmaster0:name=x,status=ok,address=x:1,slaves=1,sentinels=1\n";

    #[test]
    fn a_set_that_a_sentinel_watches_no_longer_is_forgotten() {
        let mut survey = Survey::new(address("s:1"), true, NODES_MAX);
        // The master of the first set is down all the time: its replica still says whom it follows.
        let tell = |survey: &mut Survey, watches: &str, ms: u64| {
            survey.answered(&address("s:1"), &info("s", watches), at(ms));
            if ms == 0 {
                survey.answered(&address("x:1"), &info("x", "role:master\nslave0:ip=xr,port=1\n"), at(ms));
            } else {
                survey.failed(&address("x:1"), "refused", at(ms));
            }
            survey.answered(&address("xr:1"), &info("xr", "role:slave\nmaster_host:x\nmaster_port:1\n"), at(ms));
            // One more comes to the other set when nobody watches that any longer.
            let more = if ms > FORGET_MS * 7 / 2 { "slave1:ip=yr2,port=1\n" } else { "" };
            survey.answered(&address("y:1"), &info("y", &format!("role:master\nslave0:ip=yr,port=1\n{more}")), at(ms));
            survey.answered(&address("yr2:1"), &info("yr2", "role:slave\nmaster_host:y\nmaster_port:1\n"), at(ms));
            survey.answered(&address("yr:1"), &info("yr", "role:slave\nmaster_host:y\nmaster_port:1\n"), at(ms));
        };
        (0..=FORGET_MS * 3).step_by(1000).for_each(|ms| tell(&mut survey, WATCHES_BOTH, ms));
        assert_eq!(targets(&survey), ["s:1", "x:1", "xr:1", "y:1", "yr:1"]);
        let removed_ms = FORGET_MS * 3 + 1000;
        let looks = (removed_ms..removed_ms + FORGET_MS - 1000).step_by(1000);
        looks.for_each(|ms| tell(&mut survey, WATCHES_ONE, ms));
        assert_eq!(targets(&survey).len(), 6, "it may come back, as in a failover");
        tell(&mut survey, WATCHES_ONE, removed_ms + FORGET_MS + 2000);
        assert_eq!(targets(&survey), ["s:1", "x:1", "xr:1"]);
        assert_eq!(survey.topology(at(removed_ms + FORGET_MS + 2000)).left_out, 0);
    }
}
