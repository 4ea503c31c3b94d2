//! Snapshots that are written while another one is, or is given up: each has a file of its own.

use rivulet_tests::{Kind, Server, wait};

/// Enough of them, at a millisecond each, to do something else meanwhile.
const KEYS: usize = 1_000;

/// A server with keys of which each takes a snapshot a millisecond.
fn slow_to_save(args: &[&str]) -> Server {
    let mut server = Server::start(Kind::Rivulet, args);
    server.must(&format!("DEBUG POPULATE {KEYS}"));
    server.must("CONFIG SET rdb-key-save-delay 1000");
    server
}

/// Names of what is not whole in the server's directory.
fn unfinished(server: &Server) -> Vec<String> {
    let entries = std::fs::read_dir(server.dir.path()).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("temp-")).collect()
}

#[test]
fn a_save_during_a_rewrite_leaves_both_whole() {
    for preamble in ["yes", "no"] {
        let mut server = slow_to_save(&["--appendonly", "yes", "--aof-use-rdb-preamble", preamble]);
        let rewrites = server.count("aof_rewrites");
        server.must("BGREWRITEAOF");
        server.must("SAVE");
        wait::until("the rewrite has ended", || server.info("aof_rewrite_in_progress") == "0");
        assert_eq!(server.info("aof_last_bgrewrite_status"), "ok", "{}", server.log());
        assert_eq!(server.count("aof_rewrites"), rewrites + 1);
        server.kill();
        // First what SAVE has written, then what the rewrite has.
        for appendonly in ["no", "yes"] {
            server.launch_with(&["--appendonly", appendonly]);
            assert_eq!(server.must("DBSIZE").int(), KEYS as i64, "{}", server.log());
            server.kill();
        }
        assert!(unfinished(&server).is_empty(), "{:?}", unfinished(&server));
    }
}

#[test]
fn a_shutdown_during_a_save_saves() {
    let mut server = slow_to_save(&["--save", "3600 1"]);
    server.must("BGSAVE");
    // This is in no snapshot that runs.
    server.must("SET later 1");
    wait::until("it is under way", || !unfinished(&server).is_empty());
    server.shutdown("");
    server.launch();
    assert_eq!(server.must("DBSIZE").int(), KEYS as i64 + 1, "{}", server.log());
    assert!(unfinished(&server).is_empty(), "{:?}", unfinished(&server));
}

#[test]
fn a_rewrite_that_is_given_up_does_no_harm_to_the_next() {
    let mut server = slow_to_save(&["--appendonly", "yes"]);
    for _ in 0..3 {
        server.must("BGREWRITEAOF");
        wait::until("it is under way", || server.info("aof_rewrite_in_progress") == "1");
        server.must("CONFIG SET appendonly no");
        server.must("CONFIG SET appendonly yes");
        wait::until("the files are made", || server.info("aof_rewrite_in_progress") == "0");
        assert_eq!(server.info("aof_last_bgrewrite_status"), "ok", "{}", server.log());
    }
    server.kill();
    server.launch();
    assert_eq!(server.must("DBSIZE").int(), KEYS as i64, "{}", server.log());
    wait::until("nothing is left", || unfinished(&server).is_empty());
}

#[test]
fn flushall_ends_a_file_for_replicas_with_what_it_removes() {
    let mut master = slow_to_save(&["--repl-diskless-sync", "no", "--save", "3600 1"]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    wait::until("its file is under way", || master.info("rdb_bgsave_in_progress") == "1");
    master.must("FLUSHALL");
    // With save points the file says so before anybody is told.
    let saved = std::fs::read(master.dir.path().join("dump.rdb")).expect("a file");
    wait::pause(std::time::Duration::from_millis(100));
    master.must("SET after 1");
    replica.wait_for_link();
    wait::until("it has all", || replica.must("DBSIZE").int() == 1);
    assert!(saved.len() < 1_000, "{} bytes", saved.len());
    master.kill();
    master.launch();
    assert!(master.must("DBSIZE").int() <= 1, "{}", master.log());
}

#[test]
fn a_snapshot_whose_last_replica_is_freed_ends() {
    let mut master = Server::start(Kind::Rivulet, &["--repl-diskless-sync", "yes", "--rdbcompression", "no"]);
    // More than waits for a replica that takes nothing.
    master.must("DEBUG POPULATE 4000 key 16384");
    let mut replica = master.client();
    replica.call("REPLCONF capa eof");
    replica.add("PSYNC ? -1");
    replica.flush().expect("it is sent");
    wait::until("it is sent a snapshot", || master.log().contains("Background RDB transfer started"));
    wait::pause(std::time::Duration::from_millis(300));
    assert_eq!(master.must("CLIENT KILL TYPE replica").int(), 1);
    wait::until("others can be made", || !master.call("BGSAVE").is_error());
    let mut other = Server::start(Kind::Rivulet, &[]);
    other.follow(&master);
    assert_eq!(other.must("DBSIZE").int(), 4000);
}

#[test]
fn what_is_half_loaded_is_not_saved_by_a_signal() {
    let mut master = Server::start(Kind::Rivulet, &["--repl-diskless-sync", "no"]);
    master.must(&format!("DEBUG POPULATE {KEYS}"));
    let mut replica = Server::start(Kind::Rivulet, &["--save", "3600 1", "--repl-diskless-load", "disabled"]);
    replica.must("SET own 1");
    replica.must("CONFIG SET key-load-delay 2000");
    replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    wait::until("it loads", || replica.info("loading") == "1");
    wait::pause(std::time::Duration::from_millis(200));
    let (text, ok) = rivulet_tests::process::run("kill", &["-TERM", &replica.pid().to_string()]);
    assert!(ok, "{text}");
    replica.wait_for_end();
    replica.launch();
    assert_eq!(replica.must("DBSIZE").int(), KEYS as i64, "{}", replica.log());
}

#[test]
fn a_save_does_not_outlive_the_data_that_it_is_of() {
    let mut replica = slow_to_save(&["--repl-diskless-load", "disabled"]);
    let mut master = Server::start(Kind::Rivulet, &["--repl-diskless-sync", "no"]);
    master.must("SET a 1");
    replica.must("BGSAVE");
    replica.follow(&master);
    wait::until("nothing is saved", || replica.info("rdb_bgsave_in_progress") == "0");
    replica.kill();
    replica.launch();
    assert_eq!(replica.must("DBSIZE").int(), 1, "{}", replica.log());
}

/// As in Redis, whose child is where it was: what is written goes to the directory in which it was begun.
#[test]
fn what_is_written_is_not_lost_when_the_directory_is_another() {
    let args = ["--appendonly", "yes", "--enable-protected-configs", "yes", "--save", "3600 1"];
    let mut server = slow_to_save(&args);
    let elsewhere = server.dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a directory");
    let (here, elsewhere) =
        (server.dir.path().to_string_lossy().into_owned(), elsewhere.to_string_lossy().into_owned());
    let rewrites = server.count("aof_rewrites");
    server.must("BGREWRITEAOF");
    server.must(&["CONFIG", "SET", "dir", &elsewhere]);
    wait::until("the rewrite has ended", || server.info("aof_rewrite_in_progress") == "0");
    assert_eq!(server.info("aof_last_bgrewrite_status"), "ok", "{}", server.log());
    assert_eq!(server.count("aof_rewrites"), rewrites + 1, "{}", server.log());
    server.must(&["CONFIG", "SET", "dir", &here]);
    server.must("BGSAVE");
    server.must(&["CONFIG", "SET", "dir", &elsewhere]);
    wait::until("the save has ended", || server.info("rdb_bgsave_in_progress") == "0");
    assert_eq!(server.info("rdb_last_bgsave_status"), "ok", "{}", server.log());
    assert!(server.dir.path().join("dump.rdb").exists(), "{}", server.log());
    assert!(unfinished(&server).is_empty(), "{:?}", unfinished(&server));
}

#[test]
fn a_full_sync_is_stored_when_the_directory_is_another() {
    let mut master = slow_to_save(&["--repl-diskless-sync", "no"]);
    let mut replica = Server::start(Kind::Rivulet, &["--enable-protected-configs", "yes"]);
    let elsewhere = replica.dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a directory");
    // It comes as slowly as it is made.
    master.must("CONFIG SET repl-diskless-sync yes");
    replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    wait::until("it comes", || replica.info("master_sync_in_progress") == "1" && !unfinished(&replica).is_empty());
    replica.must(&["CONFIG", "SET", "dir", &elsewhere.to_string_lossy()]);
    replica.wait_for_link();
    assert_eq!(replica.must("DBSIZE").int(), KEYS as i64);
    assert_eq!(master.info("sync_full"), "1", "{}", master.log());
    assert!(unfinished(&replica).is_empty(), "{:?}", unfinished(&replica));
}
