//! What clients are promised: good replicas, stale data, reads and writes on replicas, expiry, WAIT.

use std::time::Duration;

use rivulet_tests::process::free_port;
use rivulet_tests::{Client, Kind, Server, wait};

use crate::{assert_in_step, peers, wait_in_step};

/// Makes a server do nothing for a while; answers the connection that waits for it.
fn sleep(server: &Server, seconds: f64) -> Client {
    let mut client = server.client();
    client.add(&format!("DEBUG SLEEP {seconds}"));
    client.flush().expect("sent");
    wait::pause(Duration::from_millis(100));
    client
}

#[test]
fn a_master_refuses_writes_when_too_few_replicas_are_good() {
    let mut master = Server::start(Kind::Rivulet, &["--min-slaves-to-write", "1", "--min-slaves-max-lag", "2"]);
    let refused =
        |master: &mut Server| master.call("SET a 1").text() == "NOREPLICAS Not enough good replicas to write.";
    assert!(refused(&mut master));
    assert!(!master.call("GET a").is_error());
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    wait::until("writes are allowed", || master.call("SET a 1").is_ok());
    assert_eq!(master.info("min_slaves_good_slaves"), "1");
    let _sleeper = sleep(&replica, 6.0);
    wait::until("the replica's lag is too great", || refused(&mut master));
    wait::until("the replica is good again", || master.call("SET a 2").is_ok());
    master.must("CONFIG SET min-replicas-to-write 2");
    assert!(refused(&mut master));
    master.must("CONFIG SET min-replicas-to-write 0");
    master.must("SET a 3");
    assert_in_step(&mut master, &mut replica);
}

#[test]
fn a_replica_without_its_master_may_refuse_to_serve() {
    let nobody = free_port();
    let mut replica = Server::start(Kind::Rivulet, &["--slave-serve-stale-data", "no"]);
    replica.must("SET a 1");
    replica.must(&format!("SLAVEOF 127.0.0.1 {nobody}"));
    let text = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    for command in ["GET a", "KEYS *", "TTL a"] {
        assert_eq!(replica.call(command).text(), text, "{command}");
    }
    for command in ["INFO", "CONFIG GET port", "REPLICAOF NO ONE", "GET a"] {
        replica.must(command);
    }
    replica.must(&format!("SLAVEOF 127.0.0.1 {nobody}"));
    replica.must("CONFIG SET slave-serve-stale-data yes");
    assert_eq!(replica.must("GET a").text(), "1");
    assert!(replica.call("SET a 2").text().starts_with("READONLY You can't write against a read only replica"));
}

#[test]
fn a_replica_may_be_written_to() {
    let mut master = Server::start(Kind::Rivulet, &[]);
    let mut replica = Server::start(Kind::Rivulet, &["--slave-read-only", "no"]);
    let mut below = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    below.follow(&replica);
    master.must("SET shared 1");
    wait_in_step(&mut master, &mut replica);
    replica.must("SET own 1");
    replica.must("SET short 1 PX 100");
    wait::until("its own deadlines are kept", || replica.must("DBSIZE").int() == 2);
    master.must("SET shared 2");
    wait_in_step(&mut master, &mut below);
    assert_eq!(below.must("EXISTS own").int(), 0, "what is written on a replica stays there");
    assert_eq!(below.must("GET shared").text(), "2");
    assert_eq!(master.must("EXISTS own").int(), 0);
}

#[test]
fn replicas_hide_what_has_expired_and_wait_for_the_deletion() {
    for (above, below) in peers().flat_map(|k| [(Kind::Rivulet, k), (k, Kind::Rivulet)]) {
        let mut master = Server::start(above, &[]);
        let mut replica = Server::start(below, &[]);
        replica.follow(&master);
        master.must("DEBUG SET-ACTIVE-EXPIRE 0");
        master.must("SET gone x PX 200");
        master.must("RPUSH gone-too x");
        master.must("PEXPIRE gone-too 200");
        master.must("SET stays x PX 1000000");
        wait_in_step(&mut master, &mut replica);
        wait::pause(Duration::from_millis(400));
        for command in ["EXISTS gone gone-too", "LLEN gone-too"] {
            assert_eq!(replica.must(command).int(), 0, "{below:?}: {command}");
        }
        assert_eq!(replica.must("TTL gone").int(), -2);
        assert_eq!(replica.must("DBSIZE").int(), 3, "they are still there");
        assert_eq!(master.must("EXISTS gone gone-too").int(), 0);
        wait_in_step(&mut master, &mut replica);
        assert_eq!(replica.must("DBSIZE").int(), 1, "the deletion has come");
        master.must("DEBUG SET-ACTIVE-EXPIRE 1");
        for i in 0..200 {
            master.must(&format!("SET short{i} x PX {}", 1 + i));
        }
        wait::until("all have expired", || master.must("DBSIZE").int() == 1);
        assert_in_step(&mut master, &mut replica);
    }
}

#[test]
fn wait_counts_the_replicas_that_have_it() {
    for kind in peers() {
        let mut master = Server::start(Kind::Rivulet, &[]);
        let (mut ours, mut theirs) = (Server::start(Kind::Rivulet, &[]), Server::start(kind, &[]));
        ours.follow(&master);
        theirs.follow(&master);
        wait::until("both are online", || {
            master.count("connected_slaves") == 2 && master.info("slave1").contains("online")
        });
        master.must("SET a 1");
        assert_eq!(master.must("WAIT 2 5000").int(), 2);
        let _sleeper = sleep(&theirs, 1.5);
        master.must("SET a 2");
        let (count, ms) = wait::timed(|| master.must("WAIT 2 300").int());
        assert_eq!(count, 1);
        assert!((299..1200).contains(&ms), "{ms} ms");
        assert_eq!(master.must("WAIT 2 10000").int(), 2, "it waits no longer than needed");
        assert!(ours.call("WAIT 1 10").text().starts_with("ERR WAIT cannot be used with replica instances"));
    }
}

#[test]
fn we_acknowledge_to_others() {
    for kind in peers() {
        let mut master = Server::start(kind, &[]);
        let mut replica = Server::start(Kind::Rivulet, &[]);
        replica.follow(&master);
        wait::until("we are online", || master.info("slave0").contains("state=online"));
        for i in 0..20 {
            master.must(&format!("SET a {i}"));
            assert_eq!(master.must("WAIT 1 5000").int(), 1);
        }
        let line = master.info("slave0");
        // A peer's two clocks may be a second apart: Redis 8 then says -1.
        assert!(line.split(',').any(|field| ["lag=-1", "lag=0", "lag=1"].contains(&field)), "{line}");
        assert!(line.contains(&format!("port={}", replica.port)), "{line}");
    }
}
