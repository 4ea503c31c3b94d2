//! Replication over TLS, with the peers on either end.

use rivulet_tests::tls::Authority;
use rivulet_tests::{Kind, Server, data, wait};

use crate::{authority, start};

/// Rivulet, and the others that are installed.
fn everyone() -> impl Iterator<Item = Kind> {
    [Kind::Rivulet, Kind::Redis7, Kind::Redis8, Kind::Valkey9].into_iter().filter(|kind| kind.is_there())
}

#[track_caller]
fn follow(replica: &mut Server, port: u16) {
    replica.must(&format!("REPLICAOF 127.0.0.1 {port}"));
    replica.wait_for_link();
}

#[track_caller]
fn assert_in_step(master: &mut Server, replica: &mut Server) {
    replica.wait_for_link();
    let offset = master.count("master_repl_offset");
    wait::until("the replica has all", || replica.count("master_repl_offset") >= offset);
    data::assert_same_data(master, replica, 16);
}

/// A full sync of some megabytes, then what is written, then a link that is cut.
fn tell_story(master_kind: Kind, replica_kind: Kind, authority: &Authority, more: &[&str]) {
    println!("{master_kind:?} → {replica_kind:?} {more:?}");
    let settings = ["--tls-replication", "yes", "--repl-timeout", "20", "--repl-backlog-size", "64mb"];
    let more: Vec<&str> = settings.iter().chain(more).copied().collect();
    let (mut master, port) = start(master_kind, authority, &more);
    data::fill(master.main(), 2000);
    let large = vec![b'x'; 3_000_000];
    master.must(&[&b"SET"[..], b"large", &large]);
    let (mut replica, replica_port) = start(replica_kind, authority, &more);
    follow(&mut replica, port);
    assert_in_step(&mut master, &mut replica);
    assert_eq!(master.count("sync_full"), 1);
    if replica_kind == Kind::Rivulet {
        assert!(master.info("slave0").contains(&format!("port={replica_port},")), "{}", master.info("slave0"));
    }
    master.must(&[&b"APPEND"[..], b"large", &large]);
    let resumed = master.count("sync_partial_ok");
    master.must("CLIENT KILL TYPE replica");
    data::fill(master.main(), 500);
    wait::until("it comes again", || master.count("sync_partial_ok") > resumed);
    assert_in_step(&mut master, &mut replica);
    assert_eq!(master.count("sync_full"), 1, "the second sync was a partial one\n{}", replica.log());
}

#[test]
fn rivulet_follows_and_is_followed_by_everyone() {
    let authority = authority();
    for kind in everyone() {
        tell_story(kind, Kind::Rivulet, &authority, &[]);
        if kind != Kind::Rivulet {
            tell_story(Kind::Rivulet, kind, &authority, &[]);
        }
    }
}

#[test]
fn a_snapshot_comes_by_a_second_connection() {
    let authority = authority();
    let valkey = ["--dual-channel-replication-enabled", "yes"];
    let redis = ["--repl-rdb-channel", "yes"];
    tell_story(Kind::Rivulet, Kind::Rivulet, &authority, &valkey);
    for (kind, words) in [(Kind::Valkey9, valkey), (Kind::Redis8, redis)] {
        if kind.is_there() {
            tell_story(kind, Kind::Rivulet, &authority, &words);
            tell_story(Kind::Rivulet, kind, &authority, &words);
        }
    }
}

#[test]
fn chains_and_other_loads_go_by_tls() {
    let authority = authority();
    let more = ["--tls-replication", "yes"];
    let (mut master, port) = start(Kind::Rivulet, &authority, &more);
    data::fill(master.main(), 2000);
    let (mut middle, middle_port) =
        start(Kind::Rivulet, &authority, &[&more[..], &["--repl-diskless-load", "swapdb"]].concat());
    follow(&mut middle, port);
    let (mut last, _) = start(Kind::Rivulet, &authority, &[&more[..], &["--repl-diskless-sync", "no"]].concat());
    follow(&mut last, middle_port);
    data::fill(master.main(), 1000);
    assert_in_step(&mut master, &mut middle);
    assert_in_step(&mut middle, &mut last);
    // A promotion in the middle: the master follows it, by TLS.
    middle.must("REPLICAOF NO ONE");
    follow(&mut master, middle_port);
    middle.must("SET by-the-middle 1");
    assert_in_step(&mut middle, &mut master);
    assert_in_step(&mut middle, &mut last);
    assert_eq!(middle.count("sync_full"), 1, "the former master resumed");
}

#[test]
fn a_link_without_trust_stays_down() {
    let (ours, theirs) = (authority(), authority());
    let (mut master, port) = start(Kind::Rivulet, &ours, &[]);
    let (mut replica, _) = start(Kind::Rivulet, &theirs, &["--tls-replication", "yes"]);
    replica.must(&format!("REPLICAOF 127.0.0.1 {port}"));
    wait::until("the replica says why", || replica.log().contains("invalid peer certificate"));
    assert_eq!(replica.info("master_link_status"), "down");
    // Nor is a link made to a port without TLS, and none without TLS to a port with it.
    replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    wait::until("it tries again", || replica.log().matches("Connecting to MASTER").count() >= 2);
    assert_eq!(replica.info("master_link_status"), "down");
    replica.must("CONFIG SET tls-replication no");
    replica.wait_for_link();
    assert_eq!(master.count("connected_slaves"), 1);
}
