//! Chains, and links that are cut.

use std::time::Duration;

use rivulet_tests::{Kind, Server, data, random, wait};

use crate::{Traffic, assert_equal, assert_in_step, everyone, wait_in_step};

/// A replica of `master`, in step with it.
fn replica_of(master: &mut Server, kind: Kind) -> Server {
    let mut replica = Server::start(kind, &[]);
    replica.follow(master);
    wait_in_step(master, &mut replica);
    replica
}

fn chain(kinds: [Kind; 3]) {
    if !kinds.iter().all(|k| k.is_there()) {
        return;
    }
    let seed = random::seed(&format!("a chain of {kinds:?}"));
    let mut top = Server::start(kinds[0], &["--repl-backlog-size", "100mb"]);
    data::fill(top.main(), 5000);
    let mut middle = replica_of(&mut top, kinds[1]);
    let mut bottom = replica_of(&mut middle, kinds[2]);
    let traffic = Traffic::start(&top, seed);
    traffic.goes_on(2000);
    // The cut of each link costs nobody a full sync.
    top.must("CLIENT KILL TYPE replica");
    traffic.goes_on(1000);
    middle.must("CLIENT KILL TYPE replica");
    traffic.goes_on(2000);
    traffic.stop();
    wait_in_step(&mut top, &mut middle);
    wait_in_step(&mut top, &mut bottom);
    assert_equal(&mut top, &mut middle);
    assert_equal(&mut top, &mut bottom);
    assert_eq!((top.count("sync_full"), middle.count("sync_full")), (1, 1));
    assert_eq!(top.info("master_replid"), bottom.info("master_replid"));
    assert_eq!(middle.count("master_repl_offset"), bottom.count("master_repl_offset"));
}

#[test]
fn a_chain_through_redis() {
    chain([Kind::Rivulet, Kind::Redis7, Kind::Rivulet]);
}

#[test]
fn a_chain_through_us() {
    chain([Kind::Redis7, Kind::Rivulet, Kind::Redis7]);
}

#[test]
fn a_chain_of_ours() {
    chain([Kind::Rivulet, Kind::Rivulet, Kind::Rivulet]);
}

#[test]
fn a_chain_from_valkey_to_redis_8() {
    chain([Kind::Valkey9, Kind::Rivulet, Kind::Redis8]);
}

/// Cuts the link at one end; it costs one partial resync.
fn cut(master: &mut Server, replica: &mut Server, at_master: bool) {
    let (full, partial) = (master.count("sync_full"), master.count("sync_partial_ok"));
    if at_master {
        assert_eq!(master.must("CLIENT KILL TYPE replica").int(), 1);
    } else {
        assert_eq!(replica.must("CLIENT KILL TYPE master").int(), 1);
    }
    for i in 0..100 {
        master.must(&format!("RPUSH after-the-cut {i}"));
    }
    wait::until("the replica comes back", || master.count("sync_partial_ok") == partial + 1);
    assert_in_step(master, replica);
    assert_eq!((master.count("sync_full"), master.count("sync_partial_ok")), (full, partial + 1));
}

#[test]
fn a_cut_link_costs_one_partial_resync() {
    for kind in everyone() {
        for (above, below) in [(Kind::Rivulet, kind), (kind, Kind::Rivulet)] {
            let mut master = Server::start(above, &[]);
            let mut replica = replica_of(&mut master, below);
            cut(&mut master, &mut replica, true);
            cut(&mut master, &mut replica, false);
            cut(&mut master, &mut replica, true);
        }
    }
}

#[test]
fn a_replica_that_was_away_for_long_resumes_from_the_disk() {
    for (kind, disk) in everyone().flat_map(|kind| [(kind, "1gb"), (kind, "0")]) {
        let args = ["--repl-backlog-size", "16kb", "--repl-backlog-disk-size", disk];
        let mut master = Server::start(Kind::Rivulet, &args);
        let mut replica = replica_of(&mut master, kind);
        replica.must("REPLICAOF NO ONE");
        wait::until("the master has noticed", || master.count("connected_slaves") == 0);
        for i in 0..400 {
            master.must(&format!("SET key{i} {}", "x".repeat(500)));
        }
        replica.follow(&master);
        assert_in_step(&mut master, &mut replica);
        // A peer that was a master meanwhile asks under the id that it had as such, though nothing was written there.
        // Its first request named such an id, too.
        let expected = match (kind, disk) {
            (Kind::Rivulet, "0") => (2, 1),
            (Kind::Rivulet, _) => (1, 0),
            _ => (2, 2),
        };
        assert_eq!((master.count("sync_full"), master.count("sync_partial_err")), expected, "{kind:?}, {disk}");
    }
}

#[test]
fn a_silent_master_is_left_and_a_silent_replica_is_dropped() {
    let args = ["--repl-timeout", "2", "--repl-ping-replica-period", "1"];
    let mut master = Server::start(Kind::Rivulet, &args);
    let mut replica = Server::start(Kind::Rivulet, &args);
    replica.follow(&master);
    // Nothing is written, yet the link lives for longer than the time-out.
    wait::pause(Duration::from_secs(4));
    assert_eq!((master.count("sync_full"), master.count("connected_slaves")), (1, 1));
    assert_eq!(replica.info("master_link_status"), "up");
    let mut sleeper = master.client();
    sleeper.add("DEBUG SLEEP 5");
    sleeper.flush().expect("sent");
    wait::until("the replica gives up", || replica.info("master_link_status") == "down");
    replica.wait_for_link();
    let mut sleeper = replica.client();
    sleeper.add("DEBUG SLEEP 5");
    sleeper.flush().expect("sent");
    wait::until("the master gives up", || master.count("connected_slaves") == 0);
    assert_in_step(&mut master, &mut replica);
    assert_eq!((master.count("sync_full"), master.count("sync_partial_ok")), (1, 2));
}

#[test]
fn a_master_may_have_a_name() {
    let mut master = Server::start(Kind::Rivulet, &["--bind", "127.0.0.1", "-::1"]);
    let mut replica = Server::start(Kind::Rivulet, &["--dual-channel-replication-enabled", "yes"]);
    master.must("CONFIG SET dual-channel-replication-enabled yes");
    data::fill(master.main(), 100);
    // Names that end so have no address (RFC 6761).
    replica.must(&format!("REPLICAOF master.invalid {}", master.port));
    wait::until("it is said", || replica.log().contains("Unable to connect to MASTER: Name or service not known"));
    assert_eq!(replica.info("master_link_status"), "down");
    replica.must(&format!("REPLICAOF localhost {}", master.port));
    replica.wait_for_link();
    assert_in_step(&mut master, &mut replica);
    assert_eq!(replica.info("master_host"), "localhost");
}
