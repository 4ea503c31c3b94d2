//! Files that one writes and another reads, and restarts that cost no full sync.

use rivulet_tests::{Kind, Server, data};

use crate::{assert_equal, assert_in_step, everyone, peers, wait_in_step};

#[test]
fn files_are_exchanged_with_everyone() {
    for (writer, reader) in peers().flat_map(|k| [(Kind::Rivulet, k), (k, Kind::Rivulet)]) {
        // Redis 7.0 can't read what is newer; so nobody asks it to.
        let mut from = Server::start(writer, &[]);
        data::fill(from.main(), 3000);
        from.must("SAVE");
        let mut to = Server::prepare(reader, &[]);
        std::fs::copy(from.dir.path().join("dump.rdb"), to.dir.path().join("dump.rdb")).expect("the file is there");
        to.launch();
        assert_equal(&mut from, &mut to);
    }
}

#[test]
fn a_background_save_is_exact_under_traffic() {
    let mut server = Server::start(Kind::Rivulet, &["--rdb-key-save-delay", "10"]);
    data::fill(server.main(), 20_000);
    // The snapshot holds what was there at its start, whatever comes after.
    server.must("MULTI");
    server.must("DEBUG DIGEST");
    server.must("BGSAVE");
    let replies = server.must("EXEC");
    let digest = replies.items()[0].text();
    let traffic = crate::Traffic::start(&server, rivulet_tests::random::seed("a background save"));
    rivulet_tests::wait::until("the save is done", || server.info("rdb_bgsave_in_progress") == "0");
    traffic.stop();
    assert_eq!(server.info("rdb_last_bgsave_status"), "ok");
    for kind in [Kind::Rivulet, Kind::Redis7].into_iter().filter(|k| k.is_there()) {
        let mut copy = Server::prepare(kind, &[]);
        std::fs::copy(server.dir.path().join("dump.rdb"), copy.dir.path().join("dump.rdb")).expect("the file is there");
        copy.launch();
        assert_eq!(copy.must("DEBUG DIGEST").text(), digest, "{kind:?}");
    }
}

#[test]
fn a_restarted_replica_resumes() {
    for (above, below) in everyone().flat_map(|k| [(Kind::Rivulet, k), (k, Kind::Rivulet)]) {
        let mut master = Server::start(above, &[]);
        data::fill(master.main(), 3000);
        let port = master.port.to_string();
        let mut replica = Server::start(below, &["--replicaof", "127.0.0.1", &port]);
        wait_in_step(&mut master, &mut replica);
        // A stream that has selected a database and goes on without saying so again.
        master.must("SELECT 3");
        master.must("SET before-the-restart 1");
        wait_in_step(&mut master, &mut replica);
        replica.shutdown("SAVE");
        for i in 0..100 {
            master.must(&format!("RPUSH while-it-was-away {i}"));
        }
        replica.launch();
        assert_in_step(&mut master, &mut replica);
        assert_eq!((master.count("sync_full"), master.count("sync_partial_ok")), (1, 1), "{above:?} to {below:?}");
    }
}

#[test]
fn a_restarted_master_is_resumed_from() {
    for (above, below) in everyone().flat_map(|k| [(Kind::Rivulet, k), (k, Kind::Rivulet)]) {
        let mut master = Server::start(above, &[]);
        data::fill(master.main(), 3000);
        let mut replica = Server::start(below, &[]);
        replica.follow(&master);
        master.must("SELECT 3");
        master.must("SET before-the-restart 1");
        wait_in_step(&mut master, &mut replica);
        let history = master.info("master_replid");
        master.restart();
        assert_eq!(master.info("master_replid2"), history, "{above:?}");
        master.must("SET after-the-restart 1");
        assert_in_step(&mut master, &mut replica);
        assert_eq!(
            (master.count("sync_full"), master.count("sync_partial_ok")),
            (0, 1),
            "{above:?} to {below:?}\n{}",
            master.log()
        );
    }
}

#[test]
fn shutdown_waits_for_the_replicas() {
    let mut master = Server::start(Kind::Rivulet, &[]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    let mut sleeper = replica.client();
    sleeper.add("DEBUG SLEEP 1");
    sleeper.flush().expect("sent");
    rivulet_tests::wait::pause(std::time::Duration::from_millis(100));
    for i in 0..1000 {
        master.must(&format!("SET key{i} {i}"));
    }
    master.shutdown("SAVE");
    rivulet_tests::wait::until("the replica has all", || replica.must("DBSIZE").int() == 1000);
    assert_eq!(replica.info("master_link_status"), "down");
}

#[test]
fn debug_reload_reads_the_file_anew() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    data::fill(server.main(), 20_000);
    let digest = server.must("DEBUG DIGEST").text();
    server.must("DEBUG RELOAD");
    assert_eq!(server.must("DEBUG DIGEST").text(), digest);
    server.must("SET a-key-of-its-own 1");
    let keys = server.must("DBSIZE").int();
    let refused = server.call("DEBUG RELOAD NOSAVE NOFLUSH").text();
    assert!(refused.starts_with("ERR Error trying to load the RDB dump"), "{refused}");
    assert!(server.log().contains("is there twice"));
    // The file's values replace those that are here; what it does not have stays.
    server.must("SET another 1");
    server.must("SAVE");
    server.must("SET another 2");
    server.must("SET one-more 1");
    server.must("DEBUG RELOAD NOSAVE MERGE");
    assert_eq!(server.must("GET another").text(), "1");
    assert_eq!(server.must("DBSIZE").int(), keys + 2);
}
