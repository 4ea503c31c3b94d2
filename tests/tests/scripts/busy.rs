//! A script that runs for long costs no link, and can be ended.

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
