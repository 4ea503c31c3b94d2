//! Equal positions prove equal data, whatever happened before.

use std::time::Duration;

use rivulet_tests::fake_master::{EMPTY_SNAPSHOT, FakeMaster};
use rivulet_tests::{Kind, Reply, Server, wait};

use crate::{assert_equal, assert_in_step, wait_in_step};

const ID: &str = "0123456789abcdef0123456789abcdef01234567";
const QUIET: &[&str] = &["--repl-ping-replica-period", "3600"];

/// A replica of a master that says what the test wants.
fn replica_of_fake(args: &[&str]) -> (FakeMaster, Server) {
    let master = FakeMaster::new();
    let mut replica = Server::start(Kind::Rivulet, args);
    replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    (master, replica)
}

/// With append-only on, a replica's files begin anew after a full sync.
fn wait_for_files(replica: &mut Server) {
    wait::until("its files are whole", || {
        replica.info("aof_enabled") == "0"
            || replica.info("aof_rewrites") != "0" && replica.info("aof_rewrite_in_progress") == "0"
    });
}

/// Waits until the replica's append-only files hold these bytes.
fn wait_for_bytes(replica: &Server, bytes: &[u8]) {
    let holds =
        |path: std::path::PathBuf| std::fs::read(path).is_ok_and(|file| file.windows(bytes.len()).any(|w| w == bytes));
    wait::until("the files hold it", || {
        let files = std::fs::read_dir(replica.dir.path().join("appendonlydir")).into_iter().flatten().flatten();
        files.into_iter().any(|file| holds(file.path()))
    });
}

/// The replica dropped what had expired meanwhile as if it were a master, and asked from an offset that it had not received.
#[test]
fn keys_that_expire_while_a_replica_is_away() {
    for aof in ["no", "yes"] {
        let mut master = Server::start(Kind::Rivulet, &["--repl-backlog-size", "10mb"]);
        let mut replica = Server::start(Kind::Rivulet, &["--appendonly", aof]);
        replica.follow(&master);
        for key in 0..200 {
            master.must(&format!("SET short:{key} value PX 1200"));
            master.must(&format!("SET long:{key} value"));
        }
        assert_in_step(&mut master, &mut replica);
        wait_for_files(&mut replica);
        replica.shutdown("SAVE");
        master.must(&["SET", "inline", &"\r\nSET stray 1\r\n".repeat(1000)]);
        wait::until("the keys have expired", || master.must("DBSIZE").int() == 201);
        let port = master.port.to_string();
        replica.launch_with(&["--replicaof", "127.0.0.1", &port]);
        assert_in_step(&mut master, &mut replica);
        assert_eq!(replica.must("EXISTS stray").int(), 0);
        assert_eq!((master.count("sync_full"), master.count("sync_partial_ok")), (1, 1), "{}", replica.log());
    }
}

/// While its data load, a server that is configured as a replica is one.
#[test]
fn a_replica_is_one_before_its_data_are_there() {
    let master = FakeMaster::new();
    let mut server = Server::start(Kind::Rivulet, &[]);
    server.must("DEBUG POPULATE 20000");
    server.shutdown("SAVE");
    let port = master.port.to_string();
    server.spawn(&["--replicaof", "127.0.0.1", &port, "--key-load-delay", "50"]);
    wait::until("it loads", || server.client_if_up().is_some() && server.info("loading") == "1");
    assert_eq!(server.info("role"), "slave");
    assert_eq!(server.info("master_port"), port);
    assert_eq!(server.info("master_link_status"), "down");
    assert_eq!(server.must("ROLE").items()[0].text(), "slave");
}

#[test]
fn what_is_no_array_ends_the_link_and_the_position() {
    for stray in ["SET stray 1\r\n", "\r\n", "\n", "x", "*0\r\n", "*1\r\n$04\r\nPING\r\n", "*2\r\n+GET\r\n"] {
        let (master, mut replica) = replica_of_fake(&[]);
        let mut link = master.greet();
        assert_eq!(link.asked.0, "?");
        link.full_sync(ID, 100, EMPTY_SNAPSHOT);
        link.send_command(&["SELECT", "0"]);
        link.send_command(&["SET", "before", "1"]);
        link.send(stray.as_bytes());
        link.send_command(&["SET", "after", "1"]);
        link.acknowledged_to_the_end();
        let link = master.greet();
        assert_eq!(link.asked, ("?".to_string(), -1), "after {stray:?}\n{}", replica.log());
        assert_eq!(replica.must("EXISTS before").int(), 1);
        assert_eq!((replica.must("EXISTS stray").int(), replica.must("EXISTS after").int()), (0, 0), "{stray:?}");
        assert!(replica.log().contains("Protocol error from MASTER"), "{}", replica.log());
    }
}

/// A write between two changes of role belongs to no stream, so the position before it can't be gone on from.
#[test]
fn roles_that_change_within_a_transaction() {
    let elsewhere = FakeMaster::new();
    let away = format!("REPLICAOF 127.0.0.1 {}", elsewhere.port);
    let variants: [&[&str]; 4] = [
        &[&away, "SET a 1", "REPLICAOF NO ONE"],
        &["SET a 1", &away, "REPLICAOF NO ONE"],
        &["SET a 1", &away, "SET a 2", "REPLICAOF NO ONE", "SET a 3"],
        &["INCR a", "SELECT 3", "INCR a", &away, "INCR a", "REPLICAOF NO ONE", "SELECT 4", "INCR a"],
    ];
    for variant in variants {
        for read_only in ["yes", "no"] {
            let mut master = Server::start(Kind::Rivulet, &["--replica-read-only", read_only]);
            let mut replica = Server::start(Kind::Rivulet, &[]);
            replica.follow(&master);
            master.must("SET before 1");
            wait_in_step(&mut master, &mut replica);
            master.must("MULTI");
            variant.iter().for_each(|command| _ = master.must(*command));
            let replies = master.must("EXEC");
            assert_eq!(replies.items().len(), variant.len());
            // Until it sees that its link is cut it is in step with what was before.
            wait::until("it has heard of it", || replica.info("master_replid") == master.info("master_replid"));
            assert_in_step(&mut master, &mut replica);
        }
    }
}

/// What a transaction wrote before it made a replica of its master is in its data, and in what others are sent of them: a restart must not lack it,
/// as it stands at the same position.
#[test]
fn what_such_a_transaction_wrote_is_there_after_a_restart() {
    let elsewhere = FakeMaster::new();
    let mut master = Server::start(Kind::Rivulet, &["--appendonly", "yes"]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    master.must("SET before 1");
    wait_in_step(&mut master, &mut replica);
    let away = format!("REPLICAOF 127.0.0.1 {}", elsewhere.port);
    for command in ["MULTI", "SET a 1", "SELECT 3", "SET b 2", &away, "REPLICAOF NO ONE", "EXEC"] {
        master.must(command);
    }
    wait::until("it has heard of it", || replica.info("master_replid") == master.info("master_replid"));
    wait_in_step(&mut master, &mut replica);
    for kill in [true, false] {
        match kill {
            true => master.kill(),
            false => master.shutdown("NOSAVE"),
        }
        master.launch_with(&[]);
        assert_eq!(master.must("GET a"), Reply::Bulk(b'$', b"1".to_vec()));
        wait::until("it has come back", || replica.info("master_link_status") == "up");
        wait_in_step(&mut master, &mut replica);
    }
}

/// A replica that clients have written to has other data than others at its position: nobody goes on from there.
#[test]
fn own_writes_of_a_replica_end_the_common_history() {
    for restart in [None, Some("no"), Some("yes")] {
        let mut master = Server::start(Kind::Rivulet, QUIET);
        let aof = restart.unwrap_or("no");
        let mut writable = Server::start(Kind::Rivulet, &["--replica-read-only", "no", "--appendonly", aof]);
        let mut other = Server::start(Kind::Rivulet, QUIET);
        writable.follow(&master);
        other.follow(&master);
        master.must("SET a 1");
        wait_in_step(&mut master, &mut writable);
        wait_in_step(&mut master, &mut other);
        assert_eq!(writable.info("diverged"), "0");
        writable.must("SET own 1");
        assert_eq!(writable.info("diverged"), "1");
        assert!(writable.must("REPLICATION DOCTOR").text().contains("clients write to this replica"));
        match restart {
            None => _ = writable.must("REPLICAOF NO ONE"),
            Some(_) => {
                wait_for_files(&mut writable);
                writable.shutdown("SAVE");
                writable.launch();
            }
        }
        assert_eq!(writable.info("role"), "master");
        other.must(&format!("REPLICAOF 127.0.0.1 {}", writable.port));
        assert_in_step(&mut writable, &mut other);
        assert_eq!(writable.count("sync_full"), 1, "{restart:?}\n{}", writable.log());
        assert_eq!(other.info("diverged"), "0");
    }
}

/// A command that the master could execute and the replica could not.
#[test]
fn a_command_that_fails_here_is_healed_by_a_full_sync() {
    // The snapshots are empty.
    let (master, mut replica) = replica_of_fake(&["--repl-require-data", "no"]);
    let mut link = master.greet();
    link.full_sync(ID, 100, EMPTY_SNAPSHOT);
    link.send_command(&["SET", "text", "x"]);
    link.send_command(&["LPUSH", "text", "y"]);
    link.acknowledged_to_the_end();
    assert!(replica.log().contains("after processing the command 'lpush'"), "{}", replica.log());
    assert_eq!(replica.info("diverged"), "1");
    assert!(replica.must("REPLICATION DOCTOR").text().contains("'lpush' failed here"));
    let mut link = master.greet();
    assert_eq!(link.asked.0, "?", "the data are fetched again");
    link.full_sync(ID, 200, EMPTY_SNAPSHOT);
    wait::until("the data are new", || replica.info("diverged") == "0" && replica.info("master_link_status") == "up");
    // It did not help: another full sync would not.
    link.send_command(&["SET", "text", "x"]);
    link.send_command(&["LPUSH", "text", "y"]);
    link.send_command(&["SET", "after", "1"]);
    wait::until("the stream goes on", || replica.must("EXISTS after").int() == 1);
    assert_eq!((replica.info("diverged"), replica.info("master_link_status")), ("1".into(), "up".into()));
}

#[test]
fn what_nobody_here_knows_is_told_and_never_stops_a_start() {
    let (master, mut replica) = replica_of_fake(&["--appendonly", "yes"]);
    let mut link = master.greet();
    link.full_sync(ID, 100, EMPTY_SNAPSHOT);
    wait_for_files(&mut replica);
    link.send_command(&["SELECT", "0"]);
    link.send_command(&["SET", "before", "1"]);
    link.send_command(&["FROMTHEFUTURE", "k", "v"]);
    link.send_command(&["HSETEX", "hash", "KEEPTTL", "FIELDS", "1", "field", "1.5"]);
    link.send_command(&["MULTI"]);
    link.send_command(&["SET", "dropped", "1"]);
    link.send_command(&["FROMTHEFUTURE", "k", "v"]);
    link.send_command(&["EXEC"]);
    link.send_command(&["SET", "after", "1"]);
    wait::until("all is applied", || replica.must("EXISTS after").int() == 1);
    assert_eq!(replica.info("diverged"), "1");
    assert_eq!(replica.info("diverged_times"), "2");
    assert_eq!(replica.info("master_link_status"), "up", "a full sync would not help");
    let offset = replica.count("master_repl_offset");
    for kill in [true, false] {
        if kill {
            // What its files hold is what it may begin with.
            wait_for_bytes(&replica, b"after");
            replica.kill()
        } else {
            replica.shutdown("NOSAVE")
        };
        let port = master.port.to_string();
        replica.launch_with(&["--replicaof", "127.0.0.1", &port]);
        assert_eq!(replica.must("MGET before after dropped").items()[2], rivulet_tests::Reply::Nil(b'$'));
        assert_eq!(replica.must("HGET hash field").text(), "1.5");
        assert_eq!(replica.must("EXISTS before after").int(), 2);
        assert_eq!(replica.count("master_repl_offset"), offset);
        assert_eq!(replica.info("diverged"), "1");
        let link = master.greet();
        assert_eq!(link.asked, (ID.to_string(), offset + 1));
    }
}

/// What the file says of the time stands before or behind what is passed over, never within.
#[test]
fn what_is_passed_over_stands_together_in_a_file_with_times() {
    let (master, mut replica) = replica_of_fake(&["--appendonly", "yes", "--aof-timestamp-enabled", "yes"]);
    let mut link = master.greet();
    link.full_sync(ID, 100, EMPTY_SNAPSHOT);
    wait_for_files(&mut replica);
    for name in ["one", "two"] {
        // The file is told of each second in which something is written.
        wait::pause(std::time::Duration::from_millis(1100));
        link.send_command(&["FROMTHEFUTURE", "k", "v"]);
        link.send_command(&["SET", name, "1"]);
        wait::until("it is applied", || replica.must(&format!("EXISTS {name}")).int() == 1);
    }
    let offset = replica.count("master_repl_offset");
    replica.kill();
    let port = master.port.to_string();
    replica.launch_with(&["--replicaof", "127.0.0.1", &port]);
    assert_eq!(replica.must("EXISTS one two").int(), 2);
    assert_eq!((replica.count("master_repl_offset"), replica.info("diverged_times")), (offset, "1".into()));
}

/// HINCRBYFLOAT of Redis 8 arrives as HSETEX.
#[test]
fn files_of_a_replica_of_redis_8() {
    if !Kind::Redis8.is_there() {
        return;
    }
    let mut master = Server::start(Kind::Redis8, &[]);
    let mut replica = Server::start(Kind::Rivulet, &["--appendonly", "yes"]);
    replica.follow(&master);
    wait_for_files(&mut replica);
    master.must("HINCRBYFLOAT hash field 1.5");
    wait_in_step(&mut master, &mut replica);
    replica.kill();
    replica.launch();
    assert_eq!(replica.must("HGET hash field").text(), "1.5");
}

#[test]
fn a_panic_is_one_where_it_is_asked_for() {
    let (master, replica) = replica_of_fake(&["--propagation-error-behavior", "panic-on-replicas"]);
    let mut link = master.greet();
    link.full_sync(ID, 100, EMPTY_SNAPSHOT);
    link.send_command(&["FROMTHEFUTURE"]);
    wait::until("it ends", || replica.client_if_up().is_none());
    assert!(replica.log().contains("panicked sending an error to its master"));
}

/// One that takes writes may have caused the failure itself.
#[test]
fn a_writable_replica_does_not_panic() {
    let (master, mut replica) =
        replica_of_fake(&["--propagation-error-behavior", "panic", "--replica-read-only", "no"]);
    let mut link = master.greet();
    link.full_sync(ID, 100, EMPTY_SNAPSHOT);
    link.send_command(&["FROMTHEFUTURE"]);
    link.send_command(&["SET", "after", "1"]);
    wait::until("it goes on", || matches!(replica.call("EXISTS after"), Reply::Int(1)));
    assert!(replica.log().contains("is sending an error to its master"));
}

/// A node that was turned away is not below for ever, and nobody becomes it by saying so.
#[test]
fn a_loop_that_is_gone_is_forgotten() {
    let nowhere = rivulet_tests::process::free_port();
    let mut a = Server::start(Kind::Rivulet, &[]);
    let mut b = Server::start(Kind::Rivulet, &[]);
    b.must(&format!("REPLICAOF 127.0.0.1 {nowhere}"));
    a.must(&format!("REPLICAOF 127.0.0.1 {}", b.port));
    wait::pause(Duration::from_millis(1500));
    a.must("REPLICAOF NO ONE");
    b.must(&format!("REPLICAOF 127.0.0.1 {}", a.port));
    b.wait_for_link();
    a.must("SET x 1");
    assert_in_step(&mut a, &mut b);
}

#[test]
fn a_stranger_that_claims_to_be_below_cuts_no_link() {
    let mut master = Server::start(Kind::Rivulet, &[]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    let mut stranger = replica.client();
    stranger.must(&format!("REPLCONF rivulet-runid {}", master.info("run_id")));
    stranger.add("PSYNC ? -1");
    stranger.flush().expect("it is sent");
    let mut other = replica.client();
    other.must(&format!("REPLCONF rivulet-runid {}", "f".repeat(40)));
    other.add(&format!("REPLCONF rivulet-below {}", master.info("run_id")));
    other.add("PSYNC ? -1");
    other.flush().expect("it is sent");
    wait::until("it is taken for a replica", || replica.count("connected_slaves") >= 1);
    wait::pause(Duration::from_millis(2500));
    assert_eq!(replica.info("master_link_status"), "up");
    assert!(!replica.log().contains("Connection with master lost"), "{}", replica.log());
    // Nor is it kept from coming back.
    replica.must("CLIENT KILL TYPE master");
    replica.wait_for_link();
    assert_in_step(&mut master, &mut replica);
}

#[test]
fn a_real_loop_is_refused_whoever_closes_it() {
    let mut servers: Vec<Server> = (0..3).map(|_| Server::start(Kind::Rivulet, &[])).collect();
    let ports: Vec<u16> = servers.iter().map(|server| server.port).collect();
    for (server, master) in [(1, 0), (2, 1)] {
        servers[server].must(&format!("REPLICAOF 127.0.0.1 {}", ports[master]));
        servers[server].wait_for_link();
    }
    servers[0].must("SET x 1");
    servers[0].must(&format!("REPLICAOF 127.0.0.1 {}", ports[2]));
    wait::until("it is refused", || servers[0].log().contains("a loop is refused"));
    assert_eq!(servers[2].must("GET x").text(), "1");
    servers[0].must("REPLICAOF NO ONE");
    servers[0].must("SET x 2");
    wait::until("the chain works", || servers[2].must("GET x").text() == "2");
    let (mut first, mut last) = (servers.remove(0), servers.remove(1));
    assert_equal(&mut first, &mut last);
}

/// Where a position was given up, a full sync that fails does not bring it back.
#[test]
fn a_position_that_was_given_up_stays_so() {
    let (master, mut replica) = replica_of_fake(&[]);
    let mut link = master.greet();
    link.full_sync(ID, 100, EMPTY_SNAPSHOT);
    link.send_command(&["SELECT", "0"]);
    link.send_command(&["SET", "before", "1"]);
    link.send(b"stray\r\n");
    link.acknowledged_to_the_end();
    let mut link = master.greet();
    assert_eq!(link.asked.0, "?");
    link.full_sync(ID, 200, b"REDIS0010 this is no snapshot");
    let link = master.greet();
    assert_eq!(link.asked.0, "?", "{}", replica.log());
    assert_eq!(replica.must("EXISTS before").int(), 1);
}

/// A master that sends what no master does harms its replica no more than that.
#[test]
fn what_a_master_does_not_send_ends_no_replica() {
    for words in [&["POST", "/"][..], &["host:", "x"], &["SYNC"], &["PSYNC", "?", "-1"], &["MONITOR"], &["QUIT"]] {
        let (master, mut replica) = replica_of_fake(&[]);
        let mut link = master.greet();
        link.full_sync(ID, 100, EMPTY_SNAPSHOT);
        link.send_command(words);
        wait::pause(Duration::from_millis(300));
        link.send_command(&["SET", "after", "1"]);
        wait::until("the stream goes on", || replica.must("EXISTS after").int() == 1);
        assert_eq!(replica.info("master_link_status"), "up", "{words:?}\n{}", replica.log());
        assert_eq!(replica.info("connected_slaves"), "0", "{words:?}");
    }
}

/// A transaction that failed here and never came to its end has nothing to do with what follows it.
#[test]
fn a_failure_within_a_transaction_that_was_cut_is_not_of_the_next_command() {
    let (master, mut replica) = replica_of_fake(&["--appendonly", "yes"]);
    let mut link = master.greet();
    link.full_sync(ID, 100, EMPTY_SNAPSHOT);
    wait_for_files(&mut replica);
    link.send_command(&["SELECT", "0"]);
    link.send_command(&["SET", "before", "1"]);
    link.send_command(&["MULTI"]);
    link.send_command(&["FROMTHEFUTURE", "k", "v"]);
    wait::until("it has failed", || replica.log().contains("FROMTHEFUTURE"));
    drop(link);
    let mut link = master.greet();
    assert_eq!(link.asked.0, ID);
    link.send(b"+CONTINUE\r\n");
    link.send_command(&["SET", "after", "1"]);
    wait::until("the stream goes on", || replica.must("EXISTS after").int() == 1);
    assert_eq!(replica.info("diverged"), "0", "{}", replica.log());
    replica.kill();
    replica.launch_with(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    assert_eq!(replica.must("EXISTS before after").int(), 2, "what was applied is replayed");
}

/// What is executed after the link is cut is not in the position that the next request names.
#[test]
fn nothing_is_applied_after_the_link_is_cut() {
    let (master, mut replica) = replica_of_fake(&[]);
    let mut link = master.greet();
    link.full_sync(ID, 100, EMPTY_SNAPSHOT);
    let incr = "*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n";
    link.send(
        format!(
            "{incr}*6\r\n$6\r\nCLIENT\r\n$4\r\nKILL\r\n$4\r\nTYPE\r\n$6\r\nmaster\r\n$6\r\nSKIPME\r\n$2\r\nno\r\n{incr}"
        )
        .as_bytes(),
    );
    let link = master.greet();
    assert_eq!(link.asked, (ID.to_string(), 101 + incr.len() as i64));
    assert_eq!(
        (replica.must("GET n").text(), replica.count("master_repl_offset")),
        ("1".into(), 100 + incr.len() as i64)
    );
}

/// A command of the master that failed fails again when the files are replayed, and the data still differ.
#[test]
fn a_restart_knows_that_a_command_has_failed() {
    let (master, mut replica) = replica_of_fake(&["--appendonly", "yes", "--propagation-error-behavior", "ignore"]);
    let mut link = master.greet();
    link.full_sync(ID, 100, EMPTY_SNAPSHOT);
    wait_for_files(&mut replica);
    link.send_command(&["SELECT", "0"]);
    link.send_command(&["SET", "text", "x"]);
    link.send_command(&["LPUSH", "text", "y"]);
    link.send_command(&["SET", "after", "1"]);
    wait::until("all is applied", || replica.must("EXISTS after").int() == 1);
    assert_eq!(replica.info("diverged"), "1");
    for kill in [true, false] {
        if kill {
            replica.kill()
        } else {
            replica.shutdown("NOSAVE")
        };
        replica.launch_with(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
        assert_eq!(replica.info("diverged"), "1", "{}", replica.log());
    }
}
