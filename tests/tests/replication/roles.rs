//! Promotion, demotion, FAILOVER, and the three ways to become a replica.

use rivulet_tests::{Kind, Server, data, wait};

use crate::{assert_in_step, everyone, peers, wait_in_step};

/// No pings: offsets stand still while roles change.
const QUIET: &[&str] = &["--repl-ping-replica-period", "3600"];

#[test]
fn after_a_promotion_nobody_needs_a_full_sync() {
    for third in everyone() {
        let mut old = Server::start(Kind::Rivulet, QUIET);
        data::fill(old.main(), 2000);
        let mut new = Server::start(Kind::Rivulet, QUIET);
        let mut other = Server::start(third, QUIET);
        new.follow(&old);
        other.follow(&old);
        old.must("SET last-of-the-old 1");
        wait_in_step(&mut old, &mut new);
        wait_in_step(&mut old, &mut other);
        let history = old.info("master_replid");
        new.must("REPLICAOF NO ONE");
        assert_eq!(new.info("role"), "master");
        assert_eq!(new.info("master_replid2"), history);
        new.must("SET first-of-the-new 1");
        other.must(&format!("REPLICAOF 127.0.0.1 {}", new.port));
        old.must(&format!("REPLICAOF 127.0.0.1 {}", new.port));
        assert_in_step(&mut new, &mut other);
        assert_in_step(&mut new, &mut old);
        assert_eq!((new.count("sync_full"), new.count("sync_partial_ok")), (0, 2), "{third:?}\n{}", new.log());
    }
}

/// The stream of the old master goes on without another SELECT.
#[test]
fn a_master_for_a_moment_is_in_the_same_database_after_it() {
    for restart in [false, true] {
        let mut master = Server::start(Kind::Rivulet, &["--appendonly", "yes"]);
        let mut replica = Server::start(Kind::Rivulet, &["--appendonly", "yes"]);
        replica.follow(&master);
        master.must("SELECT 5");
        master.must("SET a 1");
        wait::until("the replica's files hold the data", || {
            replica.info("aof_rewrites") != "0" && replica.info("aof_rewrite_in_progress") == "0"
        });
        assert_in_step(&mut master, &mut replica);
        if restart {
            replica.restart();
        } else {
            replica.must("REPLICAOF NO ONE");
        }
        replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
        master.must("SET b 2");
        master.must("DEL a");
        assert_in_step(&mut master, &mut replica);
        assert_eq!(master.count("sync_full"), 1, "{}", replica.log());
    }
}

#[test]
fn a_promoted_peer_takes_us_partially() {
    for kind in peers() {
        let mut old = Server::start(Kind::Rivulet, QUIET);
        data::fill(old.main(), 2000);
        let mut new = Server::start(kind, QUIET);
        new.follow(&old);
        old.must("SET last-of-the-old 1");
        wait_in_step(&mut old, &mut new);
        new.must("REPLICAOF NO ONE");
        new.must("SET first-of-the-new 1");
        old.follow(&new);
        assert_in_step(&mut new, &mut old);
        assert_eq!((new.count("sync_full"), new.count("sync_partial_ok")), (0, 1), "{kind:?}");
    }
}

#[test]
fn writes_that_the_new_master_never_saw_are_undone() {
    let mut old = Server::start(Kind::Rivulet, QUIET);
    let mut new = Server::start(Kind::Rivulet, QUIET);
    new.follow(&old);
    wait_in_step(&mut old, &mut new);
    new.must("REPLICAOF NO ONE");
    wait::until("the old master has noticed", || old.count("connected_slaves") == 0);
    old.must("SET lost 1");
    old.follow(&new);
    assert_in_step(&mut new, &mut old);
    assert_eq!(old.must("EXISTS lost").int(), 0);
    assert_eq!(new.count("sync_full"), 1);
}

#[test]
fn failover_hands_the_role_over() {
    for kind in everyone() {
        for (above, below) in [(Kind::Rivulet, kind), (kind, Kind::Rivulet)] {
            let mut old = Server::start(above, &[]);
            let mut new = Server::start(below, &[]);
            data::fill(old.main(), 2000);
            new.follow(&old);
            let mut fields: Vec<String> = Vec::new();
            wait::until("the replica is known", || {
                fields = old.info("slave0").split(',').map(str::to_string).collect();
                fields.iter().any(|f| f == "state=online")
            });
            old.must("FAILOVER TIMEOUT 20000");
            wait::until("the roles are changed", || new.info("role") == "master" && old.info("role") == "slave");
            old.wait_for_link();
            new.must("SET written-on-the-new 1");
            assert_in_step(&mut new, &mut old);
            assert_eq!(new.count("sync_full"), 0, "{above:?} to {below:?}");
            assert_eq!(old.info("master_failover_state"), "no-failover");
            // The pause of writes ended with the failover.
            old.must("REPLICAOF NO ONE");
            old.must("SET written-again 1");
        }
    }
}

#[test]
fn there_are_three_ways_to_become_a_replica() {
    let mut master = Server::start(Kind::Rivulet, &[]);
    master.must("SET a 1");
    let port = master.port.to_string();

    let mut by_command = Server::start(Kind::Rivulet, &[]);
    by_command.must(&format!("SLAVEOF 127.0.0.1 {port}"));

    let mut by_argument = Server::start(Kind::Rivulet, &["--slaveof", "127.0.0.1", &port]);

    let mut by_file = Server::prepare(Kind::Rivulet, &[]);
    let path = by_file.write_file("replica.conf", format!("# a replica\nslaveof 127.0.0.1 {port}\n"));
    by_file.set_config_file(&path);
    by_file.launch();

    for replica in [&mut by_command, &mut by_argument, &mut by_file] {
        assert_in_step(&mut master, replica);
        assert_eq!(replica.info("role"), "slave");
        assert_eq!(replica.info("master_port"), port);
        assert!(replica.call("SET b 2").text().starts_with("READONLY"));
        replica.must("SLAVEOF NO ONE");
        assert_eq!(replica.info("role"), "master");
        replica.must("SET b 2");
        assert_eq!(replica.must("GET a").text(), "1", "its data stay");
    }
}

#[test]
fn passwords_open_the_link() {
    for (above, below) in peers().flat_map(|k| [(Kind::Rivulet, k), (k, Kind::Rivulet)]) {
        let mut master = Server::start(above, &["--requirepass", "a secret"]);
        let mut replica = Server::start(below, &["--masterauth", "wrong"]);
        master.must("SET a 1");
        replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
        wait::pause(std::time::Duration::from_millis(2500));
        assert_eq!(replica.info("master_link_status"), "down");
        replica.must(&["CONFIG", "SET", "masterauth", "a secret"]);
        assert_in_step(&mut master, &mut replica);
        master.must("CLIENT KILL TYPE replica");
        master.must("SET b 1");
        assert_in_step(&mut master, &mut replica);
    }
}

#[test]
fn a_master_with_a_password_for_a_named_user() {
    if !Kind::Redis7.is_there() {
        return;
    }
    let mut master = Server::start(Kind::Redis7, &[]);
    master.must("ACL SETUSER follower on >pw +psync +replconf +ping");
    master.must(&["CONFIG", "SET", "requirepass", "other"]);
    let mut replica = Server::start(Kind::Rivulet, &["--masteruser", "follower", "--masterauth", "pw"]);
    replica.follow(&master);
}
