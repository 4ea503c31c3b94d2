//! Keys whose time has come.

use rivulet_tests::{Kind, Server, wait};

use crate::{fill, fill_by};

/// So many keys need more than a slice, and at 64 a tick of 100 ms they would need five minutes.
const MANY: usize = 200_000;

#[test]
fn many_due_keys_go_at_once_on_an_idle_server_and_on_its_replica() {
    let mut master = Server::start(Kind::Rivulet, &[]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    master.must("DEBUG SET-ACTIVE-EXPIRE 0");
    let at = wait::unix_ms() + 500;
    fill(&master, "k", MANY, 10, |_| format!("PXAT {at}"));
    master.must("SET stays v EX 10000");
    wait::until("all are due", || wait::unix_ms() > at + 100);
    assert!(master.count("expired_keys") < MANY as i64 / 2, "they wait for the switch");
    let before = master.count("expire_cycle_cpu_milliseconds");
    master.must("DEBUG SET-ACTIVE-EXPIRE 1");
    // Nobody asks for anything meanwhile; the waits of this test are for the events.
    let ((), took_ms) = wait::timed(|| wait::until("they are gone", || master.must("DBSIZE").int() == 1));
    assert!(took_ms < 20_000, "{took_ms} ms");
    assert_eq!(master.count("expired_keys"), MANY as i64);
    assert!(master.count("expired_time_cap_reached_count") > 0, "it went in slices");
    assert!(master.count("expire_cycle_cpu_milliseconds") > before);
    wait::until("the replica has followed", || replica.must("DBSIZE").int() == 1);
    assert_eq!(replica.count("expired_keys"), 0, "its master told it");
}

#[test]
fn short_lived_keys_do_not_pile_up() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    let mut client = server.client();
    // Each round brings 1000 keys for a second. Without an end to them there would be 30,000.
    for round in 0..30 {
        fill_by(&mut client, &format!("r{round}"), 1000, "PX 1000");
        wait::pause(std::time::Duration::from_millis(100));
    }
    let left = server.must("DBSIZE").int();
    assert!(left < 25_000, "{left} keys");
    wait::until("all are gone", || server.must("DBSIZE").int() == 0);
}

#[test]
fn a_far_first_deadline_does_not_make_expiry_look_at_all_keys() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    server.must("SET far v EX 315360000");
    fill(&server, "k", 50_000, 10, |_| "EX 3600".into());
    // One look sets all marks right.
    wait::until("the marks are right", || {
        let before = server.count("expired_time_cap_reached_count");
        wait::pause(std::time::Duration::from_millis(200));
        server.count("expired_time_cap_reached_count") == before
    });
    let spent = server.count("expire_cycle_cpu_milliseconds");
    (0..2000).for_each(|_| drop(server.must("GET far")));
    let more = server.count("expire_cycle_cpu_milliseconds") - spent;
    assert!(more < 20, "{more} ms for nothing");
}

#[test]
fn nothing_expires_on_a_replica_or_in_a_pause() {
    let mut master = Server::start(Kind::Rivulet, &[]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    master.must("DEBUG SET-ACTIVE-EXPIRE 0");
    master.must("SET k v PX 50");
    wait::until("the replica has it", || replica.must("DBSIZE").int() == 1);
    wait::pause(std::time::Duration::from_millis(300));
    assert_eq!(replica.must("DBSIZE").int(), 1);
    master.must("CLIENT PAUSE 100000 WRITE");
    master.must("DEBUG SET-ACTIVE-EXPIRE 1");
    wait::pause(std::time::Duration::from_millis(300));
    assert_eq!(master.must("DBSIZE").int(), 1);
    master.must("CLIENT UNPAUSE");
    wait::until("it is gone", || master.must("DBSIZE").int() == 0);
    wait::until("on the replica, too", || replica.must("DBSIZE").int() == 0);
}

#[test]
fn keys_that_a_replicas_clients_wrote_go_there() {
    let master = Server::start(Kind::Rivulet, &[]);
    let mut replica = Server::start(Kind::Rivulet, &["--replica-read-only", "no"]);
    replica.follow(&master);
    fill(&replica, "own", 5000, 10, |i| format!("PX {}", 100 + i % 50));
    replica.must("SET later v EX 1000");
    wait::until("all but one are gone", || replica.must("DBSIZE").int() == 1);
    assert_eq!(replica.count("slave_expires_tracked_keys"), 1);
    replica.must("PERSIST later");
    assert_eq!(replica.count("slave_expires_tracked_keys"), 0);
}

#[test]
fn a_random_key_is_answered_where_nearly_all_have_expired() {
    let mut master = Server::start(Kind::Rivulet, &[]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    master.must("DEBUG SET-ACTIVE-EXPIRE 0");
    fill(&master, "k", 50_000, 10, |_| "PX 1".into());
    master.must("SET stays v");
    wait::until("the replica has them", || replica.must("DBSIZE").int() == 50_001);
    wait::pause(std::time::Duration::from_millis(50));
    // One of 50,001: the search ends whether or not it finds that.
    assert!(!replica.must("RANDOMKEY").bytes().is_empty());
}
