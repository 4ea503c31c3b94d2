//! The log on disk: what survives a crash, a restart and a long cut, and what others make of its files.

use std::time::Duration;

use rivulet_tests::client::Client;
use rivulet_tests::{Kind, Server, data, random, wait};

use crate::{Traffic, assert_equal, assert_in_step, everyone, wait_in_step};

const AOF: &[&str] = &["--appendonly", "yes"];

fn append_only(kind: Kind) -> Server {
    Server::start(kind, AOF)
}

/// Full and partial syncs that a server has granted since its start.
fn syncs(server: &mut Server) -> (i64, i64) {
    (server.count("sync_full"), server.count("sync_partial_ok"))
}

/// Waits until a rewrite has made files that hold the data of a full sync.
fn first_files(server: &mut Server) {
    // In this order: a rewrite that has begun may be over, but one that is not going on may not have begun.
    wait::until("the first files are whole", || {
        server.info("aof_rewrites") != "0" && server.info("aof_rewrite_in_progress") == "0"
    });
}

/// What was applied is in the file.
fn in_the_file(server: &mut Server) {
    wait::until("the log is written", || server.info("aof_buffer_length") == "0");
}

/// Processes stop and go on by signals.
fn signal(server: &Server, name: &str) {
    let (text, ok) = rivulet_tests::process::run("kill", &[&format!("-{name}"), &server.pid().to_string()]);
    assert!(ok, "{text}");
}

#[test]
fn after_a_crash_every_replica_resumes() {
    for kind in everyone() {
        let mut master = append_only(Kind::Rivulet);
        data::fill(master.main(), 3000);
        let mut replica = Server::start(kind, &[]);
        replica.follow(&master);
        let traffic = Traffic::start(&master, random::seed("a crash"));
        traffic.goes_on(500);
        traffic.stop();
        master.must("SELECT 5");
        master.must("SET selected 5");
        let history = master.info("master_replid");
        master.kill();
        master.launch();
        assert_eq!(master.info("master_replid2"), history);
        assert_ne!(master.info("master_replid"), history, "an unclean end takes a new id");
        master.must("SET after 1");
        assert_in_step(&mut master, &mut replica);
        assert_eq!(syncs(&mut master), (0, 1), "{kind:?}\n{}", master.log());
    }
}

/// One replica has more of the history that ended than another, which its master told how far that history goes. So whoever has more resumes below it.
#[test]
fn who_was_further_before_a_crash_resumes_below_who_was_not() {
    let mut master = append_only(Kind::Rivulet);
    let [mut behind, mut ahead] = [Server::start(Kind::Rivulet, &[]), Server::start(Kind::Rivulet, &[])];
    for replica in [&mut behind, &mut ahead] {
        replica.follow(&master);
    }
    assert_in_step(&mut master, &mut behind);
    behind.must("REPLICAOF 127.0.0.1 1");
    master.must("SET more 1");
    assert_in_step(&mut master, &mut ahead);
    ahead.must("REPLICAOF 127.0.0.1 1");
    master.kill();
    master.launch();
    behind.follow(&master);
    assert_in_step(&mut master, &mut behind);
    ahead.follow(&behind);
    master.must("SET after 1");
    assert_in_step(&mut master, &mut ahead);
    assert_eq!(syncs(&mut behind), (0, 1), "{}", behind.log());
}

#[test]
fn a_clean_end_keeps_the_id() {
    for words in ["", "NOSAVE"] {
        let mut master = append_only(Kind::Rivulet);
        let mut replica = Server::start(Kind::Rivulet, &[]);
        replica.follow(&master);
        master.must("SELECT 3");
        master.must("SET a 1");
        wait_in_step(&mut master, &mut replica);
        let (history, offset) = (master.info("master_replid"), master.count("master_repl_offset"));
        master.shutdown(words);
        master.launch();
        assert_eq!(master.info("master_replid"), history);
        assert!(master.count("master_repl_offset") >= offset);
        master.must("SET b 2");
        assert_in_step(&mut master, &mut replica);
        assert_eq!(syncs(&mut master), (0, 1));
    }
}

#[test]
fn a_crashed_replica_resumes_by_itself_and_so_do_those_below() {
    let mut master = append_only(Kind::Rivulet);
    data::fill(master.main(), 3000);
    let port = master.port.to_string();
    let mut middle = Server::start(Kind::Rivulet, &["--appendonly", "yes", "--replicaof", "127.0.0.1", &port]);
    wait_in_step(&mut master, &mut middle);
    first_files(&mut middle);
    let mut last = Server::start(Kind::Rivulet, &[]);
    last.follow(&middle);
    master.must("SELECT 2");
    master.must("SET before 1");
    wait_in_step(&mut master, &mut last);
    middle.kill();
    for i in 0..200 {
        master.must(&format!("RPUSH list {i}"));
    }
    middle.launch();
    assert_in_step(&mut master, &mut middle);
    assert_in_step(&mut master, &mut last);
    assert_eq!(syncs(&mut master), (1, 1), "{}", middle.log());
    assert_eq!(syncs(&mut middle), (0, 1));
}

#[test]
fn a_new_id_is_told_when_it_is_on_disk() {
    let mut old = append_only(Kind::Rivulet);
    let mut new = append_only(Kind::Rivulet);
    let mut last = Server::start(Kind::Rivulet, &[]);
    new.follow(&old);
    last.follow(&old);
    wait_in_step(&mut old, &mut last);
    first_files(&mut new);
    // Nobody is there: it misses something.
    last.must("REPLICAOF 127.0.0.1 1");
    for i in 0..100 {
        old.must(&format!("SET missed:{i} 1"));
    }
    wait_in_step(&mut old, &mut new);
    in_the_file(&mut new);
    // The writer is still busy with a write when the id changes.
    new.must("DEBUG aof-flush-sleep 60000000");
    old.must("SET on-its-way 1");
    wait_in_step(&mut old, &mut new);
    let history = new.info("master_replid");
    new.must("REPLICAOF NO ONE");
    last.must(&format!("REPLICAOF 127.0.0.1 {}", new.port));
    wait::until("the replica asks", || syncs(&mut new) == (0, 1));
    wait::pause(Duration::from_millis(300));
    assert_eq!(last.info("master_replid"), history);
    new.kill();
    new.launch();
    assert_in_step(&mut new, &mut last);
    assert_eq!(syncs(&mut new), (0, 1), "{}", new.log());
}

#[test]
fn two_crashes_while_a_replica_is_away() {
    let mut master = append_only(Kind::Rivulet);
    data::fill(master.main(), 1000);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    wait_in_step(&mut master, &mut replica);
    signal(&replica, "STOP");
    for _ in 0..2 {
        master.kill();
        master.launch();
        master.must("INCR crashes");
    }
    signal(&replica, "CONT");
    assert_in_step(&mut master, &mut replica);
    assert_eq!(syncs(&mut master), (0, 1), "{}", master.log());
}

#[test]
fn what_was_acknowledged_survives_a_crash() {
    for fsync in ["everysec", "always"] {
        let mut master = Server::start(Kind::Rivulet, &["--appendonly", "yes", "--appendfsync", fsync]);
        let port = master.port;
        // Each writer counts what it was told.
        let writers: Vec<_> = (0..4)
            .map(|n| {
                std::thread::spawn(move || {
                    let mut client = Client::connect(port).expect("a connection");
                    let mut acknowledged = 0;
                    while let Ok(reply) = client.try_call(&format!("INCR counter{n}")) {
                        acknowledged = reply.int();
                    }
                    acknowledged
                })
            })
            .collect();
        wait::pause(Duration::from_millis(300));
        master.kill();
        let acknowledged: Vec<i64> = writers.into_iter().map(|w| w.join().expect("it counts")).collect();
        master.launch();
        for (n, count) in acknowledged.into_iter().enumerate() {
            let found = master.must(&format!("GET counter{n}")).text().parse::<i64>().expect("a number");
            assert!(count > 0 && found >= count, "{fsync}: {found} came back, {count} was acknowledged");
        }
    }
}

#[test]
fn what_waits_for_a_slow_disk_survives_a_kill() {
    let mut master = append_only(Kind::Rivulet);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    wait_in_step(&mut master, &mut replica);
    in_the_file(&mut master);
    // No write comes to its end before the kill.
    master.must("DEBUG aof-flush-sleep 60000000");
    for i in 0..100 {
        master.must("INCR counter");
        master.must(&format!("SET key:{i} {}", "x".repeat(5000)));
    }
    wait_in_step(&mut master, &mut replica);
    master.kill();
    master.launch();
    assert!(master.log().contains("which were not written before the server was killed"), "{}", master.log());
    assert_eq!(master.must("GET counter").text(), "100");
    assert_in_step(&mut master, &mut replica);
    assert_eq!(syncs(&mut master), (0, 1), "{}", master.log());
}

#[test]
fn a_slow_replica_is_served_from_disk_whatever_the_limits() {
    for appendonly in ["no", "yes"] {
        let args = ["--appendonly", appendonly, "--repl-backlog-size", "64kb"];
        let limit = ["--client-output-buffer-limit", "replica 1mb 1mb 1"];
        let mut master = Server::start(Kind::Rivulet, &[&args[..], &limit[..]].concat());
        let mut replica = Server::start(Kind::Rivulet, &[]);
        replica.follow(&master);
        let before = master.count("used_memory");
        signal(&replica, "STOP");
        let value = "x".repeat(10_000);
        for i in 0..3000 {
            master.must(&format!("SET key{} {value}", i % 100));
        }
        wait::pause(Duration::from_millis(2500));
        assert!(master.count("used_memory") - before < 12 << 20, "a slow replica costs no memory");
        assert_eq!(master.count("connected_slaves"), 1, "and is not cut off\n{}", master.log());
        signal(&replica, "CONT");
        assert_in_step(&mut master, &mut replica);
        assert_eq!(syncs(&mut master), (1, 0), "appendonly {appendonly}");
    }
}

/// What a master is told while a replica stands in its files, none of which may take them away.
struct Housekeeping {
    appendonly: &'static str,
    disk_size: &'static str,
    steps: &'static [&'static str],
}

const SLOWLY: &str = "CONFIG SET rdb-key-save-delay 200000";
const AT_ONCE: &str = "CONFIG SET rdb-key-save-delay 0";

const HOUSEKEEPING: [Housekeeping; 9] = [
    Housekeeping { appendonly: "yes", disk_size: "0", steps: &["BGREWRITEAOF"] },
    Housekeeping { appendonly: "yes", disk_size: "0", steps: &["CONFIG SET appendonly no"] },
    Housekeeping {
        appendonly: "yes",
        disk_size: "0",
        steps: &["CONFIG SET appendonly no repl-backlog-disk-size 64mb", "CONFIG SET repl-backlog-disk-size 0"],
    },
    Housekeeping { appendonly: "yes", disk_size: "0", steps: &["CONFIG SET appendonly no", "BGREWRITEAOF"] },
    Housekeeping {
        appendonly: "yes",
        disk_size: "0",
        steps: &["CONFIG SET appendonly no", "CONFIG SET appendonly yes"],
    },
    Housekeeping { appendonly: "no", disk_size: "64mb", steps: &["CONFIG SET repl-backlog-disk-size 0"] },
    Housekeeping {
        appendonly: "no",
        disk_size: "64mb",
        steps: &[SLOWLY, "BGSAVE", "CONFIG SET appendonly yes", AT_ONCE],
    },
    // A first rewrite that is given up.
    Housekeeping {
        appendonly: "no",
        disk_size: "64mb",
        steps: &[SLOWLY, "CONFIG SET appendonly yes", "CONFIG SET appendonly no", AT_ONCE],
    },
    Housekeeping {
        appendonly: "no",
        disk_size: "0",
        steps: &[SLOWLY, "CONFIG SET appendonly yes", "CONFIG SET appendonly no", "CONFIG SET appendonly yes", AT_ONCE],
    },
];

fn write_megabytes(master: &mut Server, megabytes: u32) {
    let value = vec![b'x'; 1 << 20];
    for i in 0..megabytes {
        master.main().must(&[b"SET".as_slice(), format!("key:{}", i % 4).as_bytes(), &value]);
    }
}

/// Nothing is being written in the background, or is to be.
fn wait_for_background(master: &mut Server) {
    wait::until("nothing goes on in the background", || {
        let names = ["aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress"];
        names.iter().all(|name| master.info(name) == "0")
    });
}

#[test]
fn files_stay_while_an_attached_replica_stands_in_them() {
    for Housekeeping { appendonly, disk_size, steps } in HOUSEKEEPING {
        let bounds = ["--repl-backlog-disk-size", disk_size, "--repl-backlog-size", "16kb"];
        let others = ["--auto-aof-rewrite-percentage", "0", "--client-output-buffer-limit", "replica 0 0 0"];
        let mut master = Server::start(Kind::Rivulet, &[&["--appendonly", appendonly], &bounds[..], &others].concat());
        let mut replica = Server::start(Kind::Rivulet, &[]);
        replica.follow(&master);
        assert_in_step(&mut master, &mut replica);
        signal(&replica, "STOP");
        // More than the sockets between them hold.
        write_megabytes(&mut master, 32);
        for step in steps {
            master.must(*step);
            write_megabytes(&mut master, 2);
        }
        wait_for_background(&mut master);
        write_megabytes(&mut master, 2);
        signal(&replica, "CONT");
        assert_in_step(&mut master, &mut replica);
        let what = format!("{appendonly}, {disk_size}, {steps:?}");
        assert_eq!(syncs(&mut master), (1, 0), "{what}: {}", master.log());
        master.must("CONFIG SET repl-backlog-disk-size 1mb");
        wait::until(&format!("what nobody needs goes: {what}"), || {
            master.main().must("SET one more");
            master.count("repl_backlog_disk_bytes") <= 8 << 20 || master.info("aof_enabled") == "1"
        });
        if appendonly == "yes" && master.info("aof_enabled") == "1" {
            // What is there is what a restart begins with.
            let before = master.must("DEBUG DIGEST");
            master.kill();
            master.launch();
            assert_eq!(master.must("DEBUG DIGEST"), before, "{what}");
            wait::until("the replica is back", || master.count("connected_slaves") == 1);
            assert_in_step(&mut master, &mut replica);
            assert_eq!(syncs(&mut master), (0, 1), "{what}");
        }
    }
}

/// After append-only was switched off, its files stood before the backlog's own, which were never removed.
#[test]
fn the_backlog_on_disk_keeps_its_size_after_append_only() {
    let options = ["--repl-backlog-disk-size", "4mb", "--repl-backlog-size", "64kb"];
    let mut master = Server::start(Kind::Rivulet, &[AOF, &options].concat());
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    write_megabytes(&mut master, 4);
    master.must("CONFIG SET appendonly no");
    for _ in 0..8 {
        write_megabytes(&mut master, 4);
        wait_in_step(&mut master, &mut replica);
    }
    wait::until("old segments go", || master.count("repl_backlog_disk_bytes") <= 8 << 20);
    assert_in_step(&mut master, &mut replica);
}

#[test]
fn a_replica_that_is_far_behind_a_restarted_master_resumes() {
    // With snapshots only the rest of the backlog is kept by a clean end, too.
    let mut master = Server::start(Kind::Rivulet, &["--repl-backlog-size", "64kb"]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    wait_in_step(&mut master, &mut replica);
    signal(&replica, "STOP");
    // More than the sockets between them hold.
    for i in 0..2000 {
        master.must(&format!("SET key{i} {}", "x".repeat(10_000)));
    }
    master.shutdown("SAVE NOW");
    master.launch();
    signal(&replica, "CONT");
    wait::until("the replica is back", || master.count("connected_slaves") == 1);
    assert_in_step(&mut master, &mut replica);
    assert_eq!(syncs(&mut master), (0, 1), "{}", master.log());
}

#[test]
fn files_are_exchanged_with_redis() {
    for (writer, reader) in
        [(Kind::Rivulet, Kind::Redis7), (Kind::Redis7, Kind::Rivulet), (Kind::Rivulet, Kind::Rivulet)]
            .into_iter()
            .filter(|(a, b)| a.is_there() && b.is_there())
    {
        for preamble in ["yes", "no"] {
            let args = ["--appendonly", "yes", "--aof-use-rdb-preamble", preamble];
            let mut from = Server::start(writer, &args);
            data::fill(from.main(), 2000);
            from.must("BGREWRITEAOF");
            wait::until("the rewrite is done", || from.info("aof_rewrite_in_progress") == "0");
            let traffic = Traffic::start(&from, random::seed("files of both"));
            traffic.goes_on(2000);
            traffic.stop();
            from.must("MULTI");
            from.must("SET in-a-transaction 1");
            from.must("INCR in-a-transaction");
            from.must("EXEC");
            // Redis may put off its writes while the disk is busy.
            in_the_file(&mut from);
            let mut to = Server::prepare(reader, &args);
            let (source, target) = (from.dir.path().join("appendonlydir"), to.dir.path().join("appendonlydir"));
            std::fs::create_dir(&target).expect("a directory");
            for file in std::fs::read_dir(source).expect("it is there").flatten() {
                std::fs::copy(file.path(), target.join(file.file_name())).expect("a copy");
            }
            to.launch();
            // Not by digest: one may still hold what has expired.
            data::assert_same_data(&mut from, &mut to, 16);
            if reader == Kind::Rivulet && writer == Kind::Rivulet {
                assert_ne!(from.info("master_replid"), to.info("master_replid"), "a copy is another server");
            }
            // What the reader adds is read by itself again.
            to.must("SET added 1");
            to.kill();
            to.launch();
            assert_eq!(to.must("GET added").text(), "1");
        }
    }
}

#[test]
fn a_full_sync_makes_new_files() {
    let mut master = append_only(Kind::Rivulet);
    data::fill(master.main(), 3000);
    let mut replica = append_only(Kind::Rivulet);
    replica.must("SET of-its-own 1");
    replica.follow(&master);
    let traffic = Traffic::start(&master, random::seed("new files"));
    traffic.goes_on(300);
    first_files(&mut replica);
    traffic.goes_on(300);
    traffic.stop();
    wait_in_step(&mut master, &mut replica);
    in_the_file(&mut replica);
    replica.kill();
    replica.launch();
    // It is a master now, with what it had.
    assert_equal(&mut master, &mut replica);
    assert_eq!(replica.info("role"), "master");
    replica.follow(&master);
    assert_in_step(&mut master, &mut replica);
    assert_eq!(master.count("sync_full"), 1, "{}", master.log());
}

#[test]
fn rewrites_under_traffic_lose_nothing() {
    let mut master = append_only(Kind::Rivulet);
    let mut replica = append_only(Kind::Rivulet);
    replica.follow(&master);
    let traffic = Traffic::start(&master, random::seed("rewrites"));
    for _ in 0..4 {
        traffic.goes_on(1000);
        for server in [&mut master, &mut replica] {
            server.call("BGREWRITEAOF");
            wait::until("the rewrite is done", || {
                server.info("aof_rewrite_in_progress") == "0" && server.info("aof_rewrite_scheduled") == "0"
            });
        }
    }
    traffic.goes_on(300);
    traffic.stop();
    assert_in_step(&mut master, &mut replica);
    let digest = master.must("DEBUG DIGEST");
    for server in [&mut master, &mut replica] {
        in_the_file(server);
        server.must("DEBUG LOADAOF");
        assert_eq!(server.must("DEBUG DIGEST"), digest);
        server.kill();
        server.launch();
        assert_eq!(server.must("DEBUG DIGEST"), digest);
    }
}

#[test]
fn append_only_is_switched_while_it_runs() {
    let mut master = Server::start(Kind::Rivulet, &[]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    let traffic = Traffic::start(&master, random::seed("switched"));
    for setting in ["yes", "no", "yes"] {
        traffic.goes_on(500);
        master.must(&format!("CONFIG SET appendonly {setting}"));
    }
    wait::until("the first files are whole", || {
        master.info("aof_rewrite_in_progress") == "0" && master.info("aof_rewrite_scheduled") == "0"
    });
    traffic.goes_on(500);
    traffic.stop();
    assert_in_step(&mut master, &mut replica);
    let digest = master.must("DEBUG DIGEST");
    master.kill();
    master.launch_with(AOF);
    assert_eq!(master.must("DEBUG DIGEST"), digest);
    assert_in_step(&mut master, &mut replica);
    assert_eq!(syncs(&mut master), (0, 1), "{}", master.log());
}

#[test]
fn what_is_no_identity_costs_a_full_sync_and_no_data() {
    let mut master = append_only(Kind::Rivulet);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    master.must("SET a 1");
    wait_in_step(&mut master, &mut replica);
    master.kill();
    let path = master.dir.path().join("appendonlydir/appendonly.aof.identity");
    let mut bytes = std::fs::read(&path).expect("an identity");
    bytes[60] ^= 1;
    std::fs::write(&path, bytes).expect("it can be written");
    master.launch();
    assert_eq!(master.must("GET a").text(), "1");
    assert_in_step(&mut master, &mut replica);
    assert_eq!(syncs(&mut master), (1, 0));
}

#[test]
fn a_writable_replica_keeps_its_own_writes() {
    let mut master = Server::start(Kind::Rivulet, &[]);
    let port = master.port.to_string();
    let args = ["--appendonly", "yes", "--replica-read-only", "no", "--replicaof", "127.0.0.1", &port];
    let mut replica = Server::start(Kind::Rivulet, &args);
    wait_in_step(&mut master, &mut replica);
    first_files(&mut replica);
    master.must("SELECT 4");
    for i in 0..10 {
        master.must(&format!("SET theirs{i} 1"));
        replica.must(&format!("SET own{i} 1"));
    }
    wait_in_step(&mut master, &mut replica);
    in_the_file(&mut replica);
    replica.kill();
    master.must("SET theirs10 1");
    replica.launch();
    wait_in_step(&mut master, &mut replica);
    assert_eq!(syncs(&mut master), (1, 1), "{}", replica.log());
    assert_eq!(replica.must("DBSIZE").int(), 10, "its own in database 0");
    replica.must("SELECT 4");
    assert_eq!(replica.must("DBSIZE").int(), 11);
}

#[test]
fn waitaof_counts_what_is_durable() {
    let mut master = append_only(Kind::Rivulet);
    let mut durable = append_only(Kind::Rivulet);
    let mut other = Server::start(Kind::Rivulet, &[]);
    durable.follow(&master);
    other.follow(&master);
    first_files(&mut durable);
    master.must("SET a 1");
    let counts = |reply: rivulet_tests::client::Reply| -> Vec<i64> { reply.items().iter().map(|r| r.int()).collect() };
    assert_eq!(counts(master.must("WAITAOF 1 1 5000")), [1, 1]);
    assert_eq!(counts(master.must("WAITAOF 0 2 100")), [1, 1], "one of them keeps no file");
    let mut plain = Server::start(Kind::Rivulet, &[]);
    let error = plain.call("WAITAOF 1 0 0");
    assert_eq!(error.text(), "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
}

#[test]
fn an_empty_master_does_not_wipe_its_replicas() {
    for load in ["disabled", "swapdb"] {
        let mut master = Server::start(Kind::Rivulet, &[]);
        data::fill(master.main(), 500);
        let mut replica = Server::start(Kind::Rivulet, &["--repl-diskless-load", load]);
        replica.follow(&master);
        wait_in_step(&mut master, &mut replica);
        let keys = replica.must("DBSIZE").int();
        master.kill();
        master.launch();
        wait::until("the replica says why", || replica.log().contains("the master has lost its data"));
        assert_eq!(replica.must("DBSIZE").int(), keys);
        replica.must("CONFIG SET repl-require-data no");
        assert_in_step(&mut master, &mut replica);
        assert_eq!(replica.must("DBSIZE").int(), 0);
    }
}

/// Its append-only directory, or a file in it.
fn inside(server: &Server, name: &str) -> std::path::PathBuf {
    server.dir.path().join("appendonlydir").join(name)
}

fn names(directory: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A master without append-only files, or with them, and a replica that stands far behind the memory until it is told to go on.
fn with_one_far_behind(appendonly: &str) -> (Server, Server) {
    let bounds = ["--repl-backlog-disk-size", "64mb", "--repl-backlog-size", "16kb"];
    let others = ["--auto-aof-rewrite-percentage", "0", "--client-output-buffer-limit", "replica 0 0 0"];
    let mut master = Server::start(Kind::Rivulet, &[&["--appendonly", appendonly], &bounds[..], &others].concat());
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    assert_in_step(&mut master, &mut replica);
    signal(&replica, "STOP");
    write_megabytes(&mut master, 32);
    (master, replica)
}

#[test]
fn a_first_file_that_can_not_be_made_costs_no_replica_a_full_sync() {
    let (mut master, mut replica) = with_one_far_behind("no");
    // A snapshot takes a second.
    master.must(SLOWLY);
    master.must("BGSAVE");
    master.must("CONFIG SET appendonly yes");
    let (there, away) = (inside(&master, ""), master.dir.path().join("away"));
    std::fs::rename(&there, &away).expect("it can be moved");
    // The stream goes on before the writer comes to the file.
    master.must("DEBUG AOF-FLUSH-SLEEP 100000");
    write_megabytes(&mut master, 2);
    wait::until("a rewrite begins", || master.log().contains("Background append only file rewriting started"));
    write_megabytes(&mut master, 2);
    master.must("DEBUG AOF-FLUSH-SLEEP 0");
    wait::until("the rewrite fails", || {
        master.main().must("PING");
        master.log().contains("Can't open the append-only file temp-appendonly.aof.incr: No such file or directory")
    });
    std::fs::rename(&away, &there).expect("it can be moved back");
    write_megabytes(&mut master, 2);
    // Those that begin by themselves may be put off by now.
    wait::until("the files are whole", || {
        master.call("BGREWRITEAOF");
        inside(&master, "appendonly.aof.manifest").exists()
    });
    master.must(AT_ONCE);
    wait_for_background(&mut master);
    write_megabytes(&mut master, 2);
    signal(&replica, "CONT");
    assert_in_step(&mut master, &mut replica);
    assert_eq!(syncs(&mut master), (1, 0), "{}", master.log());
}

#[test]
fn a_rewrite_without_append_only_that_fails_costs_no_replica_a_full_sync() {
    let (mut master, mut replica) = with_one_far_behind("yes");
    master.must("CONFIG SET appendonly no");
    let in_the_way = inside(&master, "appendonly.aof.2.base.rdb");
    std::fs::create_dir(&in_the_way).expect("a directory");
    master.must("BGREWRITEAOF");
    wait_for_background(&mut master);
    assert_eq!(master.info("aof_last_bgrewrite_status"), "err", "{}", master.log());
    std::fs::remove_dir(&in_the_way).expect("it is empty");
    write_megabytes(&mut master, 2);
    // This one succeeds, and finds under their names the files that the replica stands in.
    master.must("BGREWRITEAOF");
    wait_for_background(&mut master);
    assert_eq!(master.info("aof_last_bgrewrite_status"), "ok", "{}", master.log());
    signal(&replica, "CONT");
    assert_in_step(&mut master, &mut replica);
    assert_eq!(syncs(&mut master), (1, 0), "{}", master.log());
}

/// The disk gives the files their names seconds after it was decided that they should have them.
#[test]
fn a_file_that_waits_for_its_name_is_found() {
    let (mut master, mut replica) = with_one_far_behind("yes");
    in_the_file(&mut master);
    master.must("DEBUG AOF-FLUSH-SLEEP 4000000");
    // Its reply waits for the disk.
    let mut writer = Client::connect(master.port).expect("it listens");
    writer.add("SET slowly 1");
    writer.flush().expect("it is sent");
    wait::until("it is executed", || master.must("EXISTS slowly").int() == 1);
    master.must("BGREWRITEAOF");
    wait::until("the base is written", || master.log().contains("Background AOF rewrite terminated with success"));
    signal(&replica, "CONT");
    // In the order in which it is told: what it sleeps for now goes on.
    wait::pause(Duration::from_millis(3000));
    assert_eq!(master.info("aof_rewrite_in_progress"), "1", "the names are still on their way");
    master.must("DEBUG AOF-FLUSH-SLEEP 0");
    wait_for_background(&mut master);
    assert_in_step(&mut master, &mut replica);
    assert_eq!(syncs(&mut master), (1, 0), "{}", master.log());
}

#[test]
fn files_that_nobody_needs_go() {
    // What a first rewrite had begun, when append-only is switched off.
    let mut server = Server::start(Kind::Rivulet, &[]);
    server.must("SET a 1");
    server.must(SLOWLY);
    server.must("CONFIG SET appendonly yes");
    server.must("SET b 1");
    server.must("CONFIG SET appendonly no");
    let are_few = ["appendonly.aof.lock", "appendonly.aof.tail"];
    wait::until("nothing is left", || names(&inside(&server, "")).iter().all(|name| are_few.contains(&name.as_str())));
    // What a killed server left for one without append-only files, and for one with them.
    let backlog = server.dir.path().join(format!("replbacklog-{}", server.port));
    std::fs::create_dir_all(&backlog).expect("a directory");
    for (options, left) in [
        (
            &["--appendonly", "no"],
            [inside(&server, "appendonly.aof.5.backlog"), inside(&server, "temp-appendonly.aof.incr.7")],
        ),
        (&["--appendonly", "yes"], [backlog.join("5.backlog"), inside(&server, "temp-appendonly.aof.incr")]),
        // That one was killed, and leaves a tail.
        (
            &["--appendonly", "no"],
            [inside(&server, "appendonly.aof.1.incr.aof.backlog"), inside(&server, "temp-appendonly.aof.incr.7")],
        ),
    ] {
        server.kill();
        left.iter().for_each(|path| std::fs::write(path, b"PING\r\n").expect("a file"));
        server.launch_with(options);
        assert!(left.iter().all(|path| !path.exists()), "{options:?}: {left:?}");
    }
}

#[test]
fn another_size_of_the_backlog_on_disk_is_another_size_of_its_segments() {
    let options = ["--repl-backlog-disk-size", "1gb", "--repl-backlog-size", "16kb"];
    let mut master = Server::start(Kind::Rivulet, &options);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    assert_in_step(&mut master, &mut replica);
    let directory = master.dir.path().join(format!("replbacklog-{}", master.port));
    let segments = || names(&directory).iter().filter(|name| name.ends_with(".backlog")).count();
    write_megabytes(&mut master, 3);
    wait::until("it is written", || master.count("repl_backlog_disk_bytes") >= 2 << 20);
    assert_eq!(segments(), 1);
    master.must("CONFIG SET repl-backlog-disk-size 4mb");
    for _ in 0..3 {
        write_megabytes(&mut master, 1);
        wait_in_step(&mut master, &mut replica);
    }
    wait::until("there are more of them", || segments() > 2);
}

#[test]
fn history_serves_replicas_after_a_restart_whether_it_is_kept_or_not() {
    for kept in ["yes", "no"] {
        let (mut master, mut replica) = with_one_far_behind("yes");
        master.must("CONFIG SET aof-disable-auto-gc yes");
        master.must("BGREWRITEAOF");
        wait_for_background(&mut master);
        master.must("SET after 1");
        in_the_file(&mut master);
        master.kill();
        master.launch_with(&["--aof-disable-auto-gc", kept]);
        let manifest = std::fs::read_to_string(inside(&master, "appendonly.aof.manifest")).expect("a manifest");
        assert_eq!(manifest.contains("type h"), kept == "yes", "{manifest}");
        assert_eq!(inside(&master, "appendonly.aof.1.incr.aof").exists(), kept == "yes");
        signal(&replica, "CONT");
        wait::until("the replica is back", || master.count("connected_slaves") == 1);
        assert_in_step(&mut master, &mut replica);
        assert_eq!(syncs(&mut master), (0, 1), "{kept}: {}", master.log());
        replica.must("REPLICAOF NO ONE");
        master.must("CONFIG SET repl-backlog-disk-size 0");
        wait::until("what nobody needs goes", || names(&inside(&master, "")).iter().all(|n| !n.contains(".backlog")));
        // Longer than the periodic tasks take to come to it.
        wait::pause(Duration::from_millis(500));
        assert_eq!(inside(&master, "appendonly.aof.1.incr.aof").exists(), kept == "yes", "what is named stays");
    }
}

#[test]
fn history_is_kept_until_somebody_says_otherwise() {
    let mut found = Vec::new();
    for kind in [Kind::Rivulet, Kind::Redis7].into_iter().filter(|kind| kind.is_there()) {
        let mut server = Server::start(kind, &[AOF, &["--aof-disable-auto-gc", "yes"]].concat());
        let mut seen = Vec::new();
        let files = |server: &Server| {
            let is_data = |name: &String| name.ends_with(".aof") || name.ends_with(".rdb");
            names(&inside(server, "")).into_iter().filter(is_data).collect::<Vec<_>>()
        };
        for appendonly in ["yes", "no"] {
            server.must("SET a 1");
            server.must("BGREWRITEAOF");
            wait_for_background(&mut server);
            if appendonly == "yes" {
                server.restart();
            }
            wait::pause(Duration::from_millis(300));
            server.must(&format!("CONFIG SET appendonly {appendonly}"));
            seen.push(files(&server));
            server.must("CONFIG SET aof-disable-auto-gc no");
            wait::until("what was kept is gone", || files(&server).len() == 2);
            seen.push(files(&server));
            server.must("CONFIG SET aof-disable-auto-gc yes");
        }
        found.push(seen);
    }
    assert!(found.iter().all(|seen| *seen == found[0]), "{found:?}");
    assert_eq!(found[0][0].len(), 4, "{found:?}");
}

/// Files of one directory, by `appendfilename`; also those of a server that has switched append-only off go on serving its replicas.
#[test]
fn a_server_leaves_the_files_of_another_in_its_directory() {
    let (mut master, mut replica) = with_one_far_behind("yes");
    master.must("BGREWRITEAOF");
    wait_for_background(&mut master);
    master.must("CONFIG SET appendonly no");
    let backlog = || {
        let is_backlog = |name: &String| name.ends_with(".backlog") || name.ends_with(".backlog.sums");
        names(&inside(&master, "")).into_iter().filter(is_backlog).collect::<Vec<_>>()
    };
    wait::until("its files have their names", || {
        let manifest = std::fs::read_to_string(inside(&master, "appendonly.aof.manifest")).expect("a manifest");
        backlog().len() >= 2 && !manifest.contains("type h")
    });
    std::fs::write(inside(&master, "mine.backlog"), b"a file of somebody").expect("a file");
    let there = backlog();
    let dir = master.dir.path().to_string_lossy().into_owned();
    for (appendonly, filename) in [("no", "appendonly.aof"), ("no", "b.aof"), ("yes", "b.aof")] {
        let mut other =
            Server::start(Kind::Rivulet, &["--dir", &dir, "--appendonly", appendonly, "--appendfilename", filename]);
        if filename == "b.aof" {
            other.must("CONFIG SET appendonly no");
            other.must("CONFIG SET appendonly yes");
            first_files(&mut other);
        }
        other.kill();
        let (mut left, is_its_own) = (backlog(), |name: &String| name.starts_with("b.aof."));
        left.retain(|name| !is_its_own(name));
        assert_eq!(left, there, "{appendonly} {filename}");
    }
    signal(&replica, "CONT");
    assert_in_step(&mut master, &mut replica);
    assert_eq!(syncs(&mut master), (1, 0), "{}", master.log());
}

/// As with Redis, a file that can't be removed does not make a rewrite fail. It goes later.
#[test]
fn an_old_file_that_can_not_be_removed_is_in_nobodys_way() {
    for appendonly in ["yes", "no"] {
        let mut server = append_only(Kind::Rivulet);
        server.must("SET a 1");
        server.must("BGREWRITEAOF");
        wait_for_background(&mut server);
        server.must(&format!("CONFIG SET appendonly {appendonly}"));
        // What has its name now can't be removed as a file.
        let old = inside(&server, "appendonly.aof.2.base.rdb");
        std::fs::rename(&old, server.dir.path().join("away"))
            .and_then(|()| std::fs::create_dir(&old))
            .expect("a directory");
        server.must("BGREWRITEAOF");
        wait_for_background(&mut server);
        assert_eq!(server.info("aof_last_bgrewrite_status"), "ok", "{}", server.log());
        server.must("SET b 1");
        wait::until("it is told", || server.log().contains("Can't remove the history files"));
        let manifest = || std::fs::read_to_string(inside(&server, "appendonly.aof.manifest")).expect("a manifest");
        assert!(manifest().contains("file appendonly.aof.2.base.rdb seq 2 type h"), "{}", manifest());
        std::fs::remove_dir(&old).and_then(|()| std::fs::write(&old, b"")).expect("a file");
        server.must("BGREWRITEAOF");
        wait_for_background(&mut server);
        let manifest = || std::fs::read_to_string(inside(&server, "appendonly.aof.manifest")).expect("a manifest");
        wait::until("it is gone", || !old.exists() && !manifest().contains("type h"));
        if appendonly == "yes" {
            in_the_file(&mut server);
            server.kill();
            server.launch();
            assert_eq!(server.must("EXISTS a b").int(), 2, "{}", server.log());
        }
    }
}

/// What a killed server had not written yet belongs to files that a rewrite without append-only has replaced.
#[test]
fn a_rewrite_without_append_only_leaves_no_tail() {
    let mut server = append_only(Kind::Rivulet);
    server.must("SET a 1");
    let tail = inside(&server, "appendonly.aof.tail");
    wait::until("there is a tail", || tail.exists());
    in_the_file(&mut server);
    // What comes before it is there goes to the file.
    wait::pause(Duration::from_millis(300));
    server.must("DEBUG AOF-FLUSH-SLEEP 60000000");
    (0..10).for_each(|i| _ = server.must(&format!("SET key:{i} 1")));
    server.kill();
    assert!(tail.exists());
    server.launch_with(&["--appendonly", "no"]);
    server.must("BGREWRITEAOF");
    wait_for_background(&mut server);
    assert!(!tail.exists());
    server.kill();
    server.launch_with(&["--appendonly", "yes"]);
    assert_eq!(server.must("DBSIZE").int(), 0, "{}", server.log());
}

/// Whoever says it while a rewrite without append-only waits for the disk.
#[test]
fn history_that_is_not_kept_any_more_goes_when_a_rewrite_has_ended() {
    let mut server = Server::start(Kind::Rivulet, &[AOF, &["--aof-disable-auto-gc", "yes"]].concat());
    server.must("SET a 1");
    in_the_file(&mut server);
    server.must("DEBUG AOF-FLUSH-SLEEP 3000000");
    let mut writer = Client::connect(server.port).expect("it listens");
    writer.add("SET slowly 1");
    writer.flush().expect("it is sent");
    wait::until("it is executed", || server.must("EXISTS slowly").int() == 1);
    server.must("CONFIG SET appendonly no");
    server.must("BGREWRITEAOF");
    wait::until("the base is written", || server.log().contains("Background AOF rewrite terminated with success"));
    server.must("CONFIG SET aof-disable-auto-gc no");
    assert_eq!(server.info("aof_rewrite_in_progress"), "1", "it waits for the disk");
    server.must("DEBUG AOF-FLUSH-SLEEP 0");
    wait_for_background(&mut server);
    let is_data = |name: &String| name.ends_with(".aof") || name.ends_with(".rdb");
    wait::until("what it has replaced is gone", || {
        names(&inside(&server, "")).into_iter().filter(is_data).collect::<Vec<_>>() == ["appendonly.aof.2.base.rdb"]
    });
}
