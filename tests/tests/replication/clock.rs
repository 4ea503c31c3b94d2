//! A wall clock that leaps: the server's own affairs go on, and only keys notice.

use std::time::Duration;

use rivulet_tests::clock_step::ClockStep;
use rivulet_tests::{Kind, Server, wait};

const HOUR: i64 = 3600;

fn with_clock(args: &[&str]) -> (Server, ClockStep) {
    let mut server = Server::prepare(Kind::Rivulet, args);
    let clock = ClockStep::of(&mut server);
    server.launch();
    (server, clock)
}

fn terminate(server: &Server) {
    let pid = server.pid().to_string();
    assert!(std::process::Command::new("kill").arg(&pid).status().is_ok_and(|s| s.success()));
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let ping = ["--repl-ping-replica-period", "1", "--repl-timeout", "5"];
    let (mut master, clock) = with_clock(&ping);
    let (mut replica, replicas_clock) = with_clock(&ping);
    replica.follow(&master);
    let mut paused = master.client();
    let mut popping = master.client();
    paused.must("SELECT 1");
    popping.must("SELECT 1");
    master.must("CLIENT PAUSE 700 WRITE");
    paused.add("SET written 1");
    paused.flush().expect("it is sent");
    popping.add("BLPOP nothing 1");
    popping.flush().expect("it is sent");
    let time_before = master.must("TIME").items()[0].text().parse::<i64>().expect("seconds");
    clock.set(-HOUR);
    replicas_clock.set(-HOUR);
    wait::until("the clock is seen to be set back", || {
        master.must("TIME").items()[0].text().parse::<i64>().is_ok_and(|s| s < time_before - HOUR / 2)
    });
    assert!(paused.read().expect("the pause ends").is_ok());
    assert!(matches!(popping.read().expect("the wait ends"), rivulet_tests::Reply::Nil(_)));
    assert!(master.count("uptime_in_seconds") < 600, "{}", master.info("uptime_in_seconds"));
    // Longer than repl-timeout: both ends live by PING and ACK.
    let syncs = master.count("sync_full") + master.count("sync_partial_ok");
    let pinged = master.count("master_repl_offset");
    wait::pause(Duration::from_secs(7));
    assert!(master.count("master_repl_offset") >= pinged + 5 * 14, "no PING was sent");
    assert_eq!(replica.info("master_link_status"), "up");
    assert_eq!(master.count("sync_full") + master.count("sync_partial_ok"), syncs);
    assert!(replica.count("master_last_io_seconds_ago") <= 3);
    assert!(master.info("slave0").contains("lag=0") || master.info("slave0").contains("lag=1"));
    terminate(&master);
    let gone = wait::within(Duration::from_secs(15), || master.client_if_up().is_none());
    assert!(gone, "SIGTERM does not end it\n{}", master.log());
}

#[test]
fn a_clock_that_is_set_forward_ends_no_link_and_expires_keys() {
    let (mut master, clock) = with_clock(&["--timeout", "900"]);
    let (mut replica, replicas_clock) = with_clock(&[]);
    replica.follow(&master);
    master.must("SET short 1 EX 1800");
    master.must("SET long 1 EX 9000");
    let mut idle = master.client();
    idle.must("PING");
    replicas_clock.set(HOUR);
    clock.set(HOUR);
    wait::until("the key is gone", || master.must("EXISTS short").int() == 0);
    wait::until("the replica was told", || replica.must("DBSIZE").int() == 1);
    assert_eq!(master.must("EXISTS long").int(), 1);
    idle.must("PING");
    assert_eq!(master.count("sync_full"), 1);
    assert_eq!(replica.info("master_link_status"), "up");
}
