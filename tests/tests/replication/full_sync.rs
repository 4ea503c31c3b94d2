//! A full sync between every pair, in every mode, while the master is written to.

use rivulet_tests::{Kind, Server, data, random, wait};

use crate::{Traffic, assert_in_step, peers};

const MANY: usize = 200_000;
const SOME: usize = 20_000;

/// A full sync under traffic; the data are equal after it, and it was the only one.
fn sync(master: &mut Server, replica: &mut Server, keys: usize) {
    let seed = random::seed(&format!("full sync, {:?} to {:?}", master.kind, replica.kind));
    data::fill(master.main(), keys);
    // What the replica had before is to go.
    replica.must("SET before x");
    replica.must("RPUSH list:1 y");
    let traffic = Traffic::start(master, seed);
    traffic.goes_on(500);
    replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    replica.wait_for_link();
    traffic.goes_on(1000);
    traffic.stop();
    assert_in_step(master, replica);
    assert_eq!(master.count("sync_full"), 1);
}

#[test]
fn others_sync_from_us_without_a_file() {
    for kind in peers() {
        let mut master = Server::start(Kind::Rivulet, &["--repl-diskless-sync", "yes"]);
        let mut replica = Server::start(kind, &["--repl-diskless-load", "disabled"]);
        sync(&mut master, &mut replica, MANY);
    }
}

#[test]
fn others_sync_from_us_with_a_file() {
    for kind in peers() {
        let mut master = Server::start(Kind::Rivulet, &["--repl-diskless-sync", "no"]);
        let mut replica = Server::start(kind, &[]);
        sync(&mut master, &mut replica, SOME);
    }
}

#[test]
fn others_load_what_we_send_as_it_arrives() {
    for kind in peers() {
        for mode in ["on-empty-db", "swapdb"] {
            let mut master = Server::start(Kind::Rivulet, &[]);
            let mut replica = Server::start(kind, &["--repl-diskless-load", mode]);
            sync(&mut master, &mut replica, SOME);
        }
    }
}

#[test]
fn we_sync_from_others() {
    for kind in peers() {
        let mut master = Server::start(kind, &["--repl-diskless-sync", "yes"]);
        let mut replica = Server::start(Kind::Rivulet, &["--repl-diskless-load", "disabled"]);
        sync(&mut master, &mut replica, MANY);
    }
}

#[test]
fn we_sync_from_others_with_a_file() {
    for kind in peers() {
        let mut master = Server::start(kind, &["--repl-diskless-sync", "no"]);
        let mut replica = Server::start(Kind::Rivulet, &[]);
        sync(&mut master, &mut replica, SOME);
    }
}

#[test]
fn we_load_what_others_send_as_it_arrives() {
    for kind in peers() {
        for mode in ["on-empty-db", "swapdb"] {
            for diskless in ["yes", "no"] {
                let mut master = Server::start(kind, &["--repl-diskless-sync", diskless]);
                let mut replica = Server::start(Kind::Rivulet, &["--repl-diskless-load", mode]);
                sync(&mut master, &mut replica, SOME);
            }
        }
    }
}

#[test]
fn we_sync_from_ourselves_in_every_mode() {
    for mode in ["disabled", "on-empty-db", "swapdb"] {
        for diskless in ["yes", "no"] {
            let mut master = Server::start(Kind::Rivulet, &["--repl-diskless-sync", diskless]);
            let mut replica = Server::start(Kind::Rivulet, &["--repl-diskless-load", mode]);
            sync(&mut master, &mut replica, SOME);
        }
    }
}

#[test]
fn one_snapshot_serves_several_replicas() {
    let mut master = Server::start(Kind::Rivulet, &["--repl-diskless-sync-delay", "1"]);
    data::fill(master.main(), SOME);
    let mut replicas: Vec<Server> = [Kind::Rivulet, Kind::Redis7, Kind::Rivulet]
        .into_iter()
        .filter(|k| k.is_there())
        .map(|k| Server::start(k, &[]))
        .collect();
    for replica in &mut replicas {
        replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    }
    for replica in &mut replicas {
        assert_in_step(&mut master, replica);
    }
    let lines = master.log().matches("Starting BGSAVE for SYNC").count();
    assert_eq!(lines, 1, "one snapshot was enough\n{}", master.log());
}

/// Until a snapshot is whole, a replica that stores it first has lost nothing: the old data is served, and stays if the master dies.
#[test]
fn a_snapshot_that_is_only_being_stored_leaves_the_old_data_alone() {
    let mut master = Server::start(Kind::Rivulet, &["--rdb-key-save-delay", "1000"]);
    let mut replica = Server::start(Kind::Rivulet, &["--repl-diskless-load", "disabled"]);
    data::fill(master.main(), SOME);
    replica.must("SET before x");
    replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    wait::until("the snapshot is on its way", || {
        replica.info("master_sync_in_progress") == "1" && replica.count("master_sync_read_bytes") > 0
    });
    assert_eq!(replica.must("GET before").bytes(), b"x");
    assert_eq!(replica.info("loading"), "0");
    master.kill();
    wait::until("the link is down", || replica.info("master_sync_in_progress") == "0");
    assert_eq!(replica.must("DBSIZE").int(), 1);
    replica.must("REPLICAOF NO ONE");
    assert_eq!(replica.must("GET before").bytes(), b"x");
}
