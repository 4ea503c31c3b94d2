//! What a master does to its data is what its replicas do, where the command as it came would not say it.

use std::time::Duration;

use rivulet_tests::{Kind, Server, wait};

use crate::{assert_in_step, wait_in_step};

/// A master that lets nothing expire by itself, and its replica.
fn pair() -> (Server, Server) {
    let (mut master, mut replica) = (Server::start(Kind::Rivulet, &[]), Server::start(Kind::Rivulet, &[]));
    master.must("DEBUG SET-ACTIVE-EXPIRE 0");
    replica.follow(&master);
    replica.wait_for_link();
    (master, replica)
}

fn members(server: &mut Server) {
    let members: Vec<String> = (0..300).map(|i| format!("member{i}")).collect();
    server.must(&format!("SADD set {}", members.join(" ")));
}

#[test]
fn what_sort_stores_is_the_same_though_it_looked_up_other_keys() {
    let (mut master, mut replica) = pair();
    members(&mut master);
    for i in 0..300 {
        master.must(&format!("MSET weight:member{i} {} name:member{i} n{i}", i % 3));
    }
    // All of these are on a level, and some of those.
    master.must("SORT set BY none:* ALPHA STORE level");
    master.must("SORT set BY weight:* ALPHA GET # GET name:* STORE weighed");
    master.must("MULTI");
    master.must("SORT set BY none:* ALPHA DESC LIMIT 10 20 STORE some");
    master.must("RPUSH some last");
    master.must("EXEC");
    assert_in_step(&mut master, &mut replica);
    assert_eq!(replica.must("LLEN weighed").int(), 600);
    assert_eq!(replica.must("LLEN some").int(), 21);
}

#[test]
fn what_sort_stores_has_no_field_that_has_expired() {
    let (mut master, mut replica) = pair();
    master.must("RPUSH list 1 2");
    master.must("HSET h1 f 9 g kept");
    master.must("HSET h2 f 5");
    wait_in_step(&mut master, &mut replica);
    master.must("HPEXPIRE h1 1 FIELDS 1 f");
    wait::pause(Duration::from_millis(20));
    master.must("SORT list GET h*->f STORE got");
    master.must("SORT list BY h*->f STORE sorted");
    wait_in_step(&mut master, &mut replica);
    for (key, want) in [("got", ["", "5"]), ("sorted", ["1", "2"])] {
        for server in [&mut master, &mut replica] {
            let stored: Vec<String> =
                server.must(&format!("LRANGE {key} 0 -1")).items().iter().map(|item| item.text()).collect();
            assert_eq!(stored, want, "{key} of {}", server.port);
        }
    }
}

#[test]
fn what_writes_in_a_pause_that_began_within_finds_nothing_expired() {
    let (mut master, mut replica) = pair();
    for key in ["n", "text", "read"] {
        master.must(&format!("SET {key} 5 PX 1"));
    }
    master.must("HSET hash f 5 kept 1");
    master.must("HPEXPIRE hash 1 FIELDS 1 f");
    wait::pause(Duration::from_millis(20));
    master.must("MULTI");
    for line in ["CLIENT PAUSE 60000 WRITE", "INCR n", "APPEND text x", "HINCRBY hash f 1", "GET read"] {
        master.must(line);
    }
    let replies = master.must("EXEC");
    assert_eq!([1, 2, 3].map(|i| replies.items()[i].int()), [1, 1, 1]);
    assert_eq!(master.must("DBSIZE").int(), 4, "what is only read stays until the pause is over");
    master.must("CLIENT UNPAUSE");
    wait_in_step(&mut master, &mut replica);
    for (line, want) in [("GET n", "1"), ("GET text", "x"), ("HGET hash f", "1")] {
        assert_eq!([master.must(line).text(), replica.must(line).text()], [want, want], "{line}");
    }
    master.call("GET read");
    assert_in_step(&mut master, &mut replica);
}

#[test]
fn what_debug_reload_leaves_out_goes_on_replicas_too() {
    let (mut master, mut replica) = pair();
    master.must("MSET stays 1 other 2");
    master.must("SELECT 3");
    master.must("SET gone 1 PX 1");
    master.must("SELECT 0");
    master.must("SET gone 1 PX 1");
    wait::pause(Duration::from_millis(20));
    master.must("DEBUG RELOAD");
    assert_eq!(master.must("DBSIZE").int(), 2);
    assert_in_step(&mut master, &mut replica);
    assert_eq!(replica.must("DBSIZE").int(), 2);
    assert_eq!(master.count("sync_full"), 1, "nobody was disconnected");
    // What is merged into the data is older than they are.
    master.must("SET back 1 PX 1");
    wait::pause(Duration::from_millis(20));
    master.must("SAVE");
    master.must("SET back 2");
    master.must("DEBUG RELOAD NOSAVE MERGE");
    assert_in_step(&mut master, &mut replica);
    assert_eq!(replica.must("GET back").text(), "2");
}
