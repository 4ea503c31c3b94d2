//! REPLICATION VERIFY: equal under load, differences by name, chains, others left alone.

use rivulet_tests::client::Reply;
use rivulet_tests::{Kind, Server, data, random, wait};

use crate::{Traffic, peers, wait_in_step};

/// A map of the reply's, by name.
#[track_caller]
fn field<'a>(map: &'a Reply, name: &str) -> &'a Reply {
    map.field(name).unwrap_or_else(|| panic!("no {name} in {map:?}"))
}

/// What VERIFY says of a replica.
#[derive(Debug, PartialEq)]
struct Said {
    address: String,
    equal: String,
    /// Database, key, how.
    keys: Vec<(i64, String, String)>,
}

/// What VERIFY says of each replica.
#[track_caller]
fn verify(master: &mut Server, words: &str) -> Vec<Said> {
    let reply = master.must(&format!("REPLICATION VERIFY {words}"));
    let offset = field(&reply, "offset").int();
    let of = |node: &Reply| {
        let equal = field(node, "equal").text();
        assert!(equal != "yes" || field(node, "offset").int() >= offset, "{reply:?}");
        let keys = field(node, "keys").items().iter();
        let keys = keys.map(|key| (key.items()[0].int(), key.items()[1].text(), key.items()[2].text()));
        Said { address: field(node, "addr").text(), equal, keys: keys.collect() }
    };
    field(&reply, "replicas").items().iter().map(of).collect()
}

fn address(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port)
}

/// What is said of this one.
#[track_caller]
fn verdict(said: &[Said], of: &Server) -> String {
    let address = address(of);
    let node = said.iter().find(|node| node.address == address);
    node.unwrap_or_else(|| panic!("nothing of {address} in {said:?}")).equal.clone()
}

fn quick(kind: Kind, more: &[&str]) -> Server {
    Server::start(kind, &[&["--repl-diskless-sync-delay", "0"], more].concat())
}

#[test]
fn equal_while_writes_go_on_and_named_when_not() {
    let seed = random::seed("verification under load");
    let mut master = quick(Kind::Rivulet, &["--appendonly", "yes"]);
    data::fill(master.main(), 20_000);
    let mut replica = quick(Kind::Rivulet, &["--replica-read-only", "no"]);
    replica.follow(&master);
    wait_in_step(&mut master, &mut replica);
    let traffic = Traffic::start(&master, seed);
    for _ in 0..5 {
        traffic.goes_on(500);
        let equal = Said { address: address(&replica), equal: "yes".to_string(), keys: Vec::new() };
        assert_eq!(verify(&mut master, "ALL"), [equal]);
    }
    // Where nobody else writes.
    master.must("SET stays 1");
    master.must("HSET hash f 1 g 2");
    wait_in_step(&mut master, &mut replica);
    replica.must("SET plain:11 other");
    replica.must("SET verify:more 1");
    replica.must("DEL stays");
    replica.must("HSET hash g 3");
    traffic.goes_on(500);
    let mut expected = [
        (0, "hash".to_string(), "changed".to_string()),
        (0, "plain:11".to_string(), "changed".to_string()),
        (0, "stays".to_string(), "missing".to_string()),
        (0, "verify:more".to_string(), "extra".to_string()),
    ]
    .to_vec();
    // Traffic may write a key of one of these names; only those that stay are named for certain.
    let said = verify(&mut master, &format!("{} TIMEOUT 20000", address(&replica)));
    assert_eq!((said.len(), said[0].equal.as_str()), (1, "no"));
    for key in expected.iter().filter(|(_, key, _)| key.contains(':')) {
        assert!(said[0].keys.contains(key), "{key:?} in {said:?}");
    }
    traffic.stop();
    wait_in_step(&mut master, &mut replica);
    let named = verify(&mut master, "").remove(0).keys;
    expected.retain(|(_, key, _)| named.iter().any(|(_, other, _)| other == key) || key.contains(':'));
    assert_eq!(named, expected);
    replica.must("SET verify:more 1 PX 100000");
    replica.must("DEL verify:more");
    // The deadline alone is a difference, too.
    for key in ["hash", "plain:11", "stays", "verify:more"] {
        master.must(&format!("DEL {key}"));
    }
    assert_eq!(verify(&mut master, "")[0].equal, "yes");
    master.must("SET verify:deadline 1");
    wait_in_step(&mut master, &mut replica);
    replica.must("PEXPIREAT verify:deadline 99999999999999");
    let said = verify(&mut master, "");
    assert_eq!(said[0].keys, [(0, "verify:deadline".to_string(), "changed".to_string())]);
    // The markers are in the append-only file, and do no harm there.
    let before = master.must("DEBUG DIGEST");
    master.must("SAVE");
    master.kill();
    master.launch();
    assert_eq!(master.must("DEBUG DIGEST"), before);
}

#[test]
fn a_chain_with_others_beside_it() {
    let mut top = quick(Kind::Rivulet, &[]);
    data::fill(top.main(), 3000);
    let mut middle = quick(Kind::Rivulet, &[]);
    middle.follow(&top);
    wait_in_step(&mut top, &mut middle);
    let mut bottom = quick(Kind::Rivulet, &["--replica-read-only", "no"]);
    bottom.follow(&middle);
    wait_in_step(&mut top, &mut bottom);
    let mut others: Vec<Server> = peers().map(|kind| quick(kind, &[])).collect();
    for (i, other) in others.iter_mut().enumerate() {
        // One of them behind the replica.
        let master = if i == 0 { &mut middle } else { &mut top };
        other.follow(master);
        wait_in_step(master, other);
    }
    let traffic = Traffic::start(&top, random::seed("verification of a chain"));
    traffic.goes_on(500);
    let said = verify(&mut top, "");
    assert_eq!((verdict(&said, &middle), verdict(&said, &bottom)), ("yes".to_string(), "yes".to_string()), "{said:?}");
    traffic.stop();
    for other in &mut others {
        assert_eq!(verdict(&said, other), "unverifiable", "{said:?}");
        wait_in_step(&mut top, other);
        let log = other.log();
        assert!(!log.contains("CRITICAL") && other.info("master_link_status") == "up", "{log}");
    }
    wait_in_step(&mut top, &mut bottom);
    bottom.must("SADD odd member");
    let said = verify(&mut top, "");
    assert_eq!((verdict(&said, &middle), verdict(&said, &bottom)), ("yes".to_string(), "no".to_string()));
    let lowest = said.iter().find(|node| node.address == address(&bottom)).expect("it is there");
    assert_eq!(lowest.keys, [(0, "odd".to_string(), "extra".to_string())]);
    let log = top.log() + &middle.log() + &bottom.log();
    assert!(!log.contains("CRITICAL"), "{log}");
    // Nobody had to synchronize again, and no answer to a marker has confused a link.
    assert_eq!((middle.count("unexpected_error_replies"), bottom.count("unexpected_error_replies")), (0, 0));
    assert_eq!(top.count("sync_full") as usize, others.len().max(1));
}

#[test]
fn markers_go_through_others_unharmed() {
    for kind in peers() {
        let mut top = quick(Kind::Rivulet, &[]);
        let mut middle = quick(kind, &[]);
        middle.follow(&top);
        wait_in_step(&mut top, &mut middle);
        let mut bottom = quick(Kind::Rivulet, &[]);
        bottom.follow(&middle);
        wait_in_step(&mut top, &mut bottom);
        top.must("SET a 1");
        let said = verify(&mut top, "");
        assert_eq!((said.len(), verdict(&said, &middle)), (1, "unverifiable".to_string()), "{kind:?}: {said:?}");
        top.must("SET b 1");
        wait_in_step(&mut top, &mut bottom);
        assert_eq!(bottom.must("GET b").text(), "1");
        let log = middle.log() + &bottom.log();
        assert!(!log.contains("CRITICAL"), "{kind:?}: {log}");
        assert_eq!((top.count("sync_full"), middle.count("sync_full")), (1, 1), "{kind:?}");
    }
}

#[test]
fn what_has_expired_does_not_count_and_a_busy_replica_is_asked_again() {
    let mut master = quick(Kind::Rivulet, &["--enable-debug-command", "yes"]);
    let mut replica = quick(Kind::Rivulet, &["--replica-read-only", "no"]);
    replica.follow(&master);
    wait_in_step(&mut master, &mut replica);
    master.must("DEBUG SET-ACTIVE-EXPIRE 0");
    master.must("SET short 1 PX 100");
    master.must("SET long 1 PX 1000000");
    wait_in_step(&mut master, &mut replica);
    replica.must("DEL short");
    assert_eq!(verify(&mut master, "")[0].keys, [(0, "short".to_string(), "missing".to_string())]);
    wait::pause(std::time::Duration::from_millis(150));
    assert_eq!(verify(&mut master, "")[0].equal, "yes");
    assert_eq!(master.must("DBSIZE").int(), 2);
    replica.must("CONFIG SET rdb-key-save-delay 600000");
    replica.must("BGSAVE");
    assert_eq!(verify(&mut master, "ALL TIMEOUT 300")[0].equal, "timeout");
    // The save takes a second or so.
    assert_eq!(verify(&mut master, "")[0].equal, "yes");
}

#[test]
fn who_can_not_answer_is_said_so() {
    let mut master = quick(Kind::Rivulet, &[]);
    assert_eq!(verify(&mut master, ""), []);
    assert!(master.call("REPLICATION VERIFY 127.0.0.1:1").text().starts_with("ERR No such replica"));
    assert!(master.call("REPLICATION VERIFY ALL TIMEOUT 0").is_error());
    assert!(master.call("REPLICATION VERIFY ALL NONSENSE").is_error());
    let mut replica = quick(Kind::Rivulet, &[]);
    replica.follow(&master);
    wait_in_step(&mut master, &mut replica);
    assert!(replica.call("REPLICATION VERIFY").is_error());
    let mut sleeper = replica.client();
    sleeper.add("DEBUG SLEEP 2");
    sleeper.flush().expect("sent");
    let mut other = master.client();
    other.add("REPLICATION VERIFY ALL TIMEOUT 500");
    other.flush().expect("sent");
    // Others are served meanwhile.
    assert!(master.must("SET a 1").is_ok());
    wait::until("the client waits", || master.count("blocked_clients") == 1);
    assert!(master.call("REPLICATION VERIFY").is_error(), "one at a time");
    let reply = other.read().expect("an answer");
    assert_eq!(field(&field(&reply, "replicas").items()[0], "equal").text(), "timeout");
    wait_in_step(&mut master, &mut replica);
    assert_eq!(verify(&mut master, "")[0].equal, "yes");
}
