//! A script that runs for long costs no link, and can be ended.

use std::time::Duration;

use rivulet_tests::client::Client;
use rivulet_tests::fake_master::{EMPTY_SNAPSHOT, FakeMaster};
use rivulet_tests::process::{Kind, Server};
use rivulet_tests::{Reply, wait};

const ENDLESS: &str = "while true do end";

fn is_busy(reply: Reply) -> bool {
    reply.is_error() && reply.text().starts_with("BUSY ")
}

#[test]
fn others_are_told_and_it_can_be_ended() {
    let mut server = Server::start(Kind::Rivulet, &["--busy-reply-threshold", "100"]);
    let mut runner = server.client();
    runner.add(&["EVAL", ENDLESS, "0"]);
    runner.add("PING");
    runner.flush().expect("it is there");
    wait::until("others are told", || is_busy(server.call("GET a")));
    // New ones, too, and what may run runs.
    let mut other = server.client();
    assert!(other.call("PING").text().starts_with("BUSY "));
    assert!(other.call("FUNCTION KILL").text().starts_with("BUSY "));
    assert!(other.must("FUNCTION STATS").items().len() > 2);
    other.must("SCRIPT KILL");
    assert!(runner.read().expect("its reply").text().contains("Script killed by user"));
    assert_eq!(runner.read().expect("what it had sent meanwhile").text(), "PONG");
    assert_eq!(server.must("PING").text(), "PONG");
    assert!(server.call("SCRIPT KILL").text().starts_with("NOTBUSY"));
}

#[test]
fn what_has_written_is_not_ended_but_by_a_shutdown() {
    let mut server = Server::start(Kind::Rivulet, &["--busy-reply-threshold", "100", "--appendonly", "yes"]);
    server.must("SET before 1");
    let mut runner = server.client();
    runner.add(&["EVAL", "redis.call('set','half','1') while true do end", "0"]);
    runner.flush().expect("it is there");
    wait::until("it is busy", || server.call("PING").text().starts_with("BUSY "));
    assert!(server.call("SCRIPT KILL").text().starts_with("UNKILLABLE"));
    assert!(server.call("SHUTDOWN").text().starts_with("BUSY "));
    server.shutdown("NOSAVE");
    server.launch();
    assert_eq!(server.must("EXISTS before half").int(), 1, "half of a unit is nowhere");
}

#[test]
fn links_outlive_it_in_both_directions() {
    let quick = ["--busy-reply-threshold", "100", "--repl-timeout", "2", "--repl-ping-replica-period", "1"];
    let mut master = Server::start(Kind::Rivulet, &quick);
    let mut replica = Server::start(Kind::Rivulet, &quick);
    replica.follow(&master);
    master.must("SET a 1");
    wait::until("in step", || replica.must("EXISTS a").int() == 1);
    let syncs = |master: &mut Server| (master.info("sync_full"), master.info("sync_partial_ok"));
    let before = syncs(&mut master);
    // On the replica: what the master sends is kept, and acknowledged as received.
    let mut on_replica = replica.client();
    on_replica.add(&["EVAL", ENDLESS, "0"]);
    on_replica.flush().expect("it is there");
    wait::until("it is busy", || replica.call("PING").text().starts_with("BUSY "));
    master.must("SET b 1");
    wait::pause(std::time::Duration::from_secs(4));
    assert_eq!(master.info("connected_slaves"), "1");
    replica.must("SCRIPT KILL");
    wait::until("what was kept is executed", || replica.must("EXISTS b").int() == 1);
    // On the master: its heartbeats go on.
    let mut on_master = master.client();
    on_master.add(&["EVAL", ENDLESS, "0"]);
    on_master.flush().expect("it is there");
    wait::until("it is busy", || master.call("PING").text().starts_with("BUSY "));
    wait::pause(std::time::Duration::from_secs(4));
    assert_eq!(replica.info("master_link_status"), "up");
    master.must("SCRIPT KILL");
    assert_eq!(syncs(&mut master), before, "no link was lost");
}

/// A script that waits for some seconds, and then does `last`.
fn long(first: &str, last: &str) -> String {
    format!("{first} local start = os.clock() repeat until os.clock() - start > 2 {last}")
}

/// A client runs a script, which is busy when this returns.
fn busy_with(server: &mut Server, script: &str) -> Client {
    let mut runner = server.client();
    runner.add(&["EVAL", script, "0"]);
    runner.flush().expect("it is there");
    wait::until("it is busy", || is_busy(server.call("PING")));
    runner
}

fn signal(process: &Server, name: &str) {
    let pid = process.pid().to_string();
    let status = std::process::Command::new("kill").args(["-s", name, &pid]).status();
    assert!(status.is_ok_and(|status| status.success()));
}

fn load_function(server: &mut Server, body: &str) {
    let code = format!(
        "#!lua name=lib\nredis.register_function{{function_name='f', callback=function() {body} end, flags={{'no-writes'}}}}"
    );
    server.must(&["FUNCTION", "LOAD", &code]);
}

/// What others ask for made room, and the replicas were told before they had heard of what the script had written.
#[test]
fn nothing_is_evicted_while_it_runs() {
    let mut master =
        Server::start(Kind::Rivulet, &["--busy-reply-threshold", "50", "--maxmemory-policy", "allkeys-random"]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    let used = master.count("used_memory");
    master.must(&["CONFIG", "SET", "maxmemory", &(used + (4 << 20)).to_string()]);
    let fill = "for i = 1, 60000 do redis.call('set', 'key' .. i, string.rep('x', 100)) end";
    let mut runner = busy_with(&mut master, &long(fill, "return 1"));
    for _ in 0..100 {
        assert!(is_busy(master.call("GET a")));
    }
    assert_eq!(runner.read().expect("its reply").int(), 1);
    master.must("CONFIG SET maxmemory 0");
    wait::until("the replica has all", || {
        let end = master.info("master_repl_offset");
        replica.info("slave_repl_offset") == end
    });
    assert_eq!(master.must("DBSIZE"), replica.must("DBSIZE"));
    assert_eq!(master.must("DEBUG DIGEST").text(), replica.must("DEBUG DIGEST").text());
}

#[test]
fn a_signal_waits_for_its_end() {
    let mut server = Server::start(Kind::Rivulet, &["--busy-reply-threshold", "50", "--save", "3600 1000000"]);
    load_function(&mut server, "return 1");
    let _runner = busy_with(&mut server, &long("redis.call('set', 'first', 1)", "redis.call('set', 'last', 1)"));
    signal(&server, "TERM");
    wait::until("it has ended", || server.client_if_up().is_none());
    server.kill();
    server.launch();
    assert_eq!(server.must("EXISTS first last").int(), 2, "all of a unit is saved, or nothing");
    assert_eq!(server.must("FCALL f 0").int(), 1);
}

/// Functions are with the engine, which a script has while it runs.
#[test]
fn a_shutdown_that_waits_for_replicas_waits_for_it_too() {
    let quick = ["--busy-reply-threshold", "50", "--save", "3600 1000000", "--shutdown-timeout", "60"];
    let mut master = Server::start(Kind::Rivulet, &quick);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    load_function(&mut master, &long("", "return 1"));
    signal(&replica, "STOP");
    master.must("SET a 1");
    let mut stopper = master.client();
    stopper.add("SHUTDOWN");
    stopper.flush().expect("it is there");
    wait::until("it waits", || master.info("blocked_clients") == "1");
    let mut runner = master.client();
    runner.add("FCALL f 0");
    runner.flush().expect("it is there");
    wait::until("it is busy", || is_busy(master.call("PING")));
    signal(&replica, "CONT");
    wait::until("it has ended", || master.client_if_up().is_none());
    master.kill();
    master.launch();
    assert_eq!(master.must("EXISTS a").int(), 1);
    assert_eq!(master.must("FCALL f 0").int(), 1);
}

#[test]
fn a_shutdown_without_a_save_leaves_what_was_saved() {
    let mut server = Server::start(Kind::Rivulet, &["--busy-reply-threshold", "50", "--save", "3600 1000000"]);
    server.must("SET kept 1");
    server.must("SAVE");
    let _runner = busy_with(&mut server, "redis.call('flushall') while true do end");
    server.shutdown("NOSAVE");
    server.launch();
    assert_eq!(server.must("EXISTS kept").int(), 1, "half of a unit is nowhere");
}

/// A deadline that half of a unit has set deletes nothing that others have.
#[test]
fn a_shutdown_within_it_expires_nothing() {
    let mut server = Server::start(Kind::Rivulet, &["--busy-reply-threshold", "50", "--appendonly", "yes"]);
    server.must("SET kept 1");
    let _runner = busy_with(&mut server, "redis.call('pexpire', 'kept', 1) while true do end");
    server.shutdown("NOSAVE");
    server.launch();
    assert_eq!(server.must("EXISTS kept").int(), 1);
}

/// Who ended a pause was read from while its command ran on: what it sent then was taken apart at the wrong places.
#[test]
fn who_lets_it_go_on_after_a_pause_is_understood() {
    let server = Server::start(Kind::Rivulet, &["--busy-reply-threshold", "50"]);
    let mut pauser = server.client();
    pauser.must("CLIENT PAUSE 100000 ALL");
    let mut runner = server.client();
    runner.add(&["EVAL", &long("", "return 1"), "0"]);
    runner.flush().expect("it is there");
    wait::pause(Duration::from_millis(300));
    pauser.add("CLIENT UNPAUSE");
    pauser.flush().expect("it is there");
    wait::pause(Duration::from_millis(500));
    let text = "x".repeat(100);
    for _ in 0..3 {
        pauser.add(&["ECHO", &text]);
    }
    pauser.flush().expect("it is there");
    assert_eq!(runner.read().expect("its reply").int(), 1);
    assert!(pauser.read().expect("its reply").is_ok());
    for _ in 0..3 {
        let reply = pauser.read().expect("its reply");
        assert!(reply.text() == text || is_busy(reply.clone()), "{reply:?}");
    }
}

/// Old masters send scripts as they are. What came while one ran was lost, and the position went on.
#[test]
fn what_follows_a_script_of_the_master_is_executed() {
    for in_multi in [false, true] {
        let master = FakeMaster::new();
        let mut replica = Server::start(Kind::Rivulet, &["--busy-reply-threshold", "50"]);
        replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
        let mut link = master.greet();
        link.full_sync(&"a".repeat(40), 0, EMPTY_SNAPSHOT);
        replica.wait_for_link();
        if in_multi {
            link.send_command(&["MULTI"]);
            wait::pause(Duration::from_millis(200));
        }
        link.send_command(&["EVAL", &long("", "redis.call('set', 'of the script', 1)"), "0"]);
        if in_multi {
            link.send_command(&["EXEC"]);
        }
        wait::until("it is busy", || is_busy(replica.call("PING")));
        for key in ["first", "second"] {
            link.send_command(&["SET", key, "1"]);
            wait::pause(Duration::from_millis(200));
        }
        wait::until("all is executed", || {
            let found = replica.call(&["EXISTS", "of the script", "first", "second"]);
            !found.is_error() && found.int() == 3
        });
        assert_eq!(replica.info("master_link_status"), "up");
    }
}
