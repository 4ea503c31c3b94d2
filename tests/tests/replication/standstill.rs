//! What is paused stands still, and room is made only between units of execution.

use std::collections::BTreeSet;
use std::time::Duration;

use rivulet_tests::{Client, Kind, Reply, Server, wait};

use crate::{assert_in_step, wait_in_step};

const QUIET: &[&str] = &["--repl-ping-replica-period", "3600"];

/// A master with 20 MB in 2,000 keys and a replica in step with it.
fn filled() -> (Server, Server) {
    let mut master = Server::start(Kind::Rivulet, &[QUIET, &["--maxmemory-policy", "allkeys-lru"]].concat());
    let mut replica = Server::start(Kind::Rivulet, QUIET);
    replica.follow(&master);
    let value = "v".repeat(10_000);
    let commands: Vec<_> =
        (0..2000).map(|i| ["SET".to_string(), format!("key:{i}"), value.clone()].map(Vec::from).to_vec()).collect();
    master.main().pipeline(&commands);
    wait_in_step(&mut master, &mut replica);
    (master, replica)
}

/// The offset and the number of keys, after reads and some runs of the periodic tasks.
fn state(master: &mut Server) -> (i64, i64) {
    for i in 0..50 {
        master.must(&format!("GET key:{i}"));
        wait::pause(Duration::from_millis(10));
    }
    (master.count("master_repl_offset"), master.must("DBSIZE").int())
}

#[test]
fn nothing_is_evicted_and_nothing_expires_in_a_pause() {
    let (mut master, mut replica) = filled();
    master.must("SET short 1 PX 1000");
    wait_in_step(&mut master, &mut replica);
    master.must("CLIENT PAUSE 60000 WRITE");
    let before = (master.count("master_repl_offset"), master.must("DBSIZE").int());
    master.must("CONFIG SET maxmemory 10mb");
    wait::until("the key's time is over", || master.must("GET short") == Reply::Nil(b'$'));
    assert_eq!(state(&mut master), before);
    assert_eq!(master.count("expired_keys") + master.count("evicted_keys"), 0);
    master.must("CLIENT UNPAUSE");
    wait::until("room is made", || master.count("evicted_keys") > 0 && master.count("expired_keys") == 1);
    // What is compared is not to go meanwhile.
    master.must("CONFIG SET maxmemory 0");
    assert_in_step(&mut master, &mut replica);
}

#[test]
fn nothing_moves_while_a_failover_waits() {
    let (mut master, replica) = filled();
    let pid = replica.pid().to_string();
    let signal = |name: &str| assert!(std::process::Command::new("kill").args([name, &pid]).status().is_ok());
    signal("-STOP");
    master.must("SET lag 1");
    master.must("CLIENT PAUSE 60000 WRITE");
    master.must(&format!("FAILOVER TO 127.0.0.1 {} TIMEOUT 60000", replica.port));
    let before = (master.count("master_repl_offset"), master.must("DBSIZE").int());
    master.must("CONFIG SET maxmemory 10mb");
    assert_eq!(state(&mut master), before);
    master.must("FAILOVER ABORT");
    // The end of one pause is not the end of the other.
    assert_eq!(state(&mut master), before);
    signal("-CONT");
    master.must("CLIENT UNPAUSE");
    wait::until("room is made", || master.count("evicted_keys") > 0);
}

#[test]
fn a_paused_replica_keeps_the_stream() {
    for mode in ["WRITE", "ALL"] {
        let mut master = Server::start(Kind::Rivulet, QUIET);
        let mut replica = Server::start(Kind::Rivulet, QUIET);
        replica.follow(&master);
        master.must("SET a 1");
        wait_in_step(&mut master, &mut replica);
        let offset = replica.count("master_repl_offset");
        let mut steering = replica.client();
        steering.must(&format!("CLIENT PAUSE {} {mode}", if mode == "ALL" { 1500 } else { 60_000 }));
        master.must("MULTI");
        master.must("SET a 2");
        master.must("INCR b");
        master.must("EXEC");
        master.must("SET c 1");
        if mode == "WRITE" {
            wait::pause(Duration::from_millis(500));
            assert_eq!(replica.count("master_repl_offset"), offset);
            assert_eq!(replica.must("MGET a b").items()[0].text(), "1");
            assert_eq!(replica.info("master_link_status"), "up");
            let acknowledged = format!("offset={offset},");
            assert!(master.info("slave0").contains(&acknowledged), "{}", master.info("slave0"));
            steering.must("CLIENT UNPAUSE");
        }
        assert_in_step(&mut master, &mut replica);
        assert_eq!((master.count("sync_full"), master.count("sync_partial_ok")), (1, 0));
    }
}

#[test]
fn no_room_is_made_within_a_transaction() {
    let mut server = Server::start(Kind::Rivulet, &["--maxmemory-policy", "allkeys-random"]);
    for command in ["MULTI", "INCR x", "CONFIG SET maxmemory 1", "INCR x"] {
        server.must(command);
    }
    let replies = server.must("EXEC");
    assert_eq!(replies.items(), [Reply::Int(1), Reply::Line(b'+', b"OK".to_vec()), Reply::Int(2)]);
    wait::until("room is made after it", || server.must("DBSIZE").int() == 0);
}

/// A counter that is evicted in the middle of its history starts again at 0.
#[test]
fn nothing_is_evicted_while_files_are_loaded() {
    let mut server = Server::start(Kind::Rivulet, &["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"]);
    let count = |server: &mut Server| {
        let commands = vec![vec![b"INCR".to_vec(), b"counter".to_vec()]; 5000];
        server.main().pipeline(&commands);
    };
    count(&mut server);
    server.must(&["SET", "large", &"x".repeat(40 << 20)]);
    count(&mut server);
    server.must("DEL large");
    server.shutdown("NOSAVE");
    server.spawn(&["--maxmemory", "30mb", "--maxmemory-policy", "allkeys-lru", "--key-load-delay", "100"]);
    let mut while_loading = 0;
    wait::until("the files are loaded", || {
        let Some(mut client) = server.client_if_up() else { return false };
        for _ in 0..100 {
            // Each command is a chance to evict.
            client.call("GET counter");
        }
        let loading = server.info("loading") == "1";
        while_loading += u32::from(loading);
        !loading
    });
    assert!(while_loading > 0, "it has loaded too fast to see anything");
    assert_eq!(server.must("GET counter").text(), "10000");
}

/// A transaction may end a pause. What had waited is executed after it, not within.
#[test]
fn a_pause_that_ends_within_a_transaction() {
    let mut server = Server::start(Kind::Rivulet, QUIET);
    let mut steering = server.client();
    steering.must("CLIENT PAUSE 60000 WRITE");
    let mut waiting = server.client();
    waiting.add("BLPOP list 0");
    waiting.flush().expect("it is sent");
    wait::until("it is paused", || server.must("CLIENT LIST").text().contains("flags=b"));
    for command in ["MULTI", "CLIENT UNPAUSE", "EXEC"] {
        steering.must(command);
    }
    wait::until("it waits for the list", || server.info("blocked_clients") == "1");
    steering.must("RPUSH list x");
    assert_eq!(waiting.read().expect("a reply").items()[1].text(), "x");
}

const COMMANDS: usize = 8_000;

/// A client that has sent so many commands in a pause.
fn with_much_sent(server: &Server, other: &mut Client) -> Client {
    let mut paused = server.client();
    other.must("CLIENT PAUSE 100000 WRITE");
    let value = "x".repeat(1_000);
    for i in 0..COMMANDS {
        paused.add(&["SET", &format!("key:{i}"), &value]);
    }
    paused.flush().expect("the server reads");
    let mut input = || {
        let list = other.must("CLIENT LIST TYPE normal").text();
        list.lines().filter_map(|line| line.split(" qbuf=").nth(1)?.split(' ').next()?.parse::<usize>().ok()).max()
    };
    wait::until("all has arrived", || input() > Some(COMMANDS * value.len()));
    paused
}

/// What a client has sent in a pause may be a lot. It is executed in slices, and others have their turn in between.
#[test]
fn what_waited_in_a_pause_is_executed_in_slices() {
    let server = Server::start(Kind::Rivulet, &[]);
    let mut other = server.client();
    let mut paused = with_much_sent(&server, &mut other);
    // So many in a row are read for longer than one turn.
    other.add("CLIENT UNPAUSE");
    (0..20_000).for_each(|_| other.add("DBSIZE"));
    other.flush().expect("the server reads");
    assert!(other.read().expect("a reply").is_ok());
    let seen: BTreeSet<i64> = (0..20_000).map(|_| other.read().expect("a reply").int()).collect();
    assert!(seen.iter().filter(|keys| (1..COMMANDS as i64).contains(keys)).count() > 3, "{seen:?}");
    (0..COMMANDS).for_each(|_| assert!(paused.read().expect("a reply").is_ok()));
    assert_eq!(other.must("DBSIZE").int(), COMMANDS as i64);
}

/// The end of a stream comes after all that was sent before it.
#[test]
fn what_waited_is_executed_though_its_client_sends_no_more() {
    let server = Server::start(Kind::Rivulet, &[]);
    let mut other = server.client();
    let mut paused = with_much_sent(&server, &mut other);
    other.must("CLIENT UNPAUSE");
    paused.socket().shutdown(std::net::Shutdown::Write).expect("it is open");
    wait::until("all is executed", || other.must("DBSIZE").int() == COMMANDS as i64);
}

/// What is answered is in the file that SHUTDOWN writes.
#[test]
fn nothing_is_executed_behind_a_shutdown() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    let (mut ending, mut writing) = (server.client(), server.client());
    for (i, (client, command)) in [(&mut ending, "SHUTDOWN SAVE"), (&mut writing, "SET key 1")].into_iter().enumerate()
    {
        client.add("BLPOP list 0");
        client.add(command);
        client.flush().expect("the server reads");
        wait::until("it waits", || server.info("blocked_clients") == (i + 1).to_string());
    }
    // Both go on in one turn.
    server.must("RPUSH list a b");
    assert_eq!(writing.read().expect("an element").items()[1].text(), "b");
    let is_told = writing.read().is_ok();
    server.wait_for_end();
    server.launch();
    assert_eq!(server.must("EXISTS key").int() == 1, is_told, "acknowledged: {is_told}");
}
