//! COMMAND DOCS and COMMAND INFO: clients make their help and their routing from these, so they must say what Redis says.
//!
//! Summaries and complexities are written in this project's own words; that they are there is compared, not what they say.

use std::collections::BTreeMap;

use rivulet_tests::{Client, Kind, Reply, Server};

/// The pairs of a map, in the order in which they came.
fn pairs(map: &Reply) -> Vec<(String, &Reply)> {
    let Reply::Many(b'%', items) = map else { panic!("not a map: {map:?}") };
    items.chunks_exact(2).map(|pair| (text(&pair[0]), &pair[1])).collect()
}

fn items(list: &Reply) -> &[Reply] {
    let Reply::Many(b'*' | b'~', items) = list else { panic!("not a list: {list:?}") };
    items
}

fn text(reply: &Reply) -> String {
    match reply {
        Reply::Bulk(_, bytes) | Reply::Line(_, bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("not a text: {other:?}"),
    }
}

/// Commands of later versions of Redis, and our own.
const NEWER: &[&str] = &[
    "blmovem",
    "client|capa",
    "client|no-touch",
    "client|setinfo",
    "cluster|myshardid",
    "commandlog",
    "delex",
    "delifeq",
    "digest",
    "hexpire",
    "hexpireat",
    "hexpiretime",
    "hgetdel",
    "hgetex",
    "hpersist",
    "hpexpire",
    "hpexpireat",
    "hpexpiretime",
    "hpttl",
    "hsetex",
    "httl",
    "increx",
    "lmovem",
    "msetex",
    "replication",
    "script|show",
    "sdiffcard",
    "sunioncard",
    "waitaof",
    "xackdel",
    "xdelex",
];

/// What later versions say otherwise than Redis 7.0: nearly all since 7.2, as Redis 8 and Valkey do, and SET since 8.4.
const SINCE: &[&str] = &[
    "blmove: part 2",
    "blpop: part 2",
    "brpop: part 2",
    "brpoplpush: part 2",
    "bzpopmax: part 2",
    "bzpopmin: part 2",
    "client|setname: part 7",
    "command|getkeys: part 1",
    "command|getkeysandflags: part 1",
    "config|resetstat: part 7",
    "config|rewrite: part 7",
    "latency|reset: part 7",
    "msetnx: part 7",
    "randomkey: part 7",
    "scan: part 7",
    "set: arguments",
    "set: history",
    "sinterstore: part 8",
    "wait: part 2",
    "wait: part 6",
    "zrank: part 1",
    "zrevrank: part 1",
];

/// What two servers say of the same commands.
struct Compared {
    different: Vec<String>,
    count: usize,
}

impl Compared {
    fn check(&mut self, what: &str, ours: &Reply, theirs: &Reply) {
        if ours != theirs && !SINCE.contains(&what) {
            self.different.push(format!("{what}\n  Redis:   {theirs:?}\n  Rivulet: {ours:?}"));
        }
    }

    fn unknown(&mut self, name: &str) {
        if !NEWER.contains(&name) {
            self.different.push(format!("{name}: Redis has none"));
        }
    }

    fn docs(&mut self, ours: &Reply, theirs: &Reply) {
        let known: BTreeMap<String, &Reply> = pairs(theirs).into_iter().collect();
        for (name, ours) in pairs(ours) {
            let Some(theirs) = known.get(&name) else {
                self.unknown(&name);
                continue;
            };
            self.count += 1;
            let (ours, theirs) = (pairs(ours), pairs(theirs));
            let names = |pairs: &[(String, &Reply)]| pairs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
            if names(&ours) != names(&theirs) {
                self.different.push(format!("{name}: {:?}, not {:?}", names(&ours), names(&theirs)));
                continue;
            }
            for ((what, ours), (_, theirs)) in ours.into_iter().zip(theirs) {
                match what.as_str() {
                    "summary" | "complexity" => {}
                    // Redis keeps them in no order.
                    "subcommands" => self.docs(ours, theirs),
                    _ => self.check(&format!("{name}: {what}"), ours, theirs),
                }
            }
        }
    }

    fn infos(&mut self, ours: &Reply, theirs: &Reply) {
        const SUBCOMMANDS: usize = 9;
        let known: BTreeMap<String, &[Reply]> =
            items(theirs).iter().map(|info| (text(&items(info)[0]), items(info))).collect();
        for ours in items(ours).iter().map(items) {
            let name = text(&ours[0]);
            let Some(theirs) = known.get(&name) else {
                self.unknown(&name);
                continue;
            };
            self.count += 1;
            for (at, (ours, theirs)) in ours.iter().zip(*theirs).enumerate() {
                match at {
                    SUBCOMMANDS => self.infos(ours, theirs),
                    _ => self.check(&format!("{name}: part {at}"), ours, theirs),
                }
            }
        }
    }
}

fn compare(command: &str, compare: impl FnOnce(&mut Compared, &Reply, &Reply)) {
    if !Kind::Redis7.is_there() {
        return;
    }
    let (theirs, ours) = (Server::start(Kind::Redis7, &[]), Server::start(Kind::Rivulet, &[]));
    let ask = |server: &Server| {
        let mut client: Client = server.client();
        client.must("HELLO 3");
        client.must(command)
    };
    let mut compared = Compared { different: Vec::new(), count: 0 };
    compare(&mut compared, &ask(&ours), &ask(&theirs));
    assert!(compared.different.is_empty(), "{}", compared.different.join("\n"));
    assert!(compared.count > 200, "only {} commands", compared.count);
}

#[test]
fn command_docs_says_what_redis_says() {
    compare("COMMAND DOCS", Compared::docs);
}

#[test]
fn command_info_says_what_redis_says() {
    compare("COMMAND", Compared::infos);
}
