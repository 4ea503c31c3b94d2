//! Why replicas synchronize: REPLICATION HISTORY, REPLICATION DOCTOR, the backlog that sizes itself.

use std::time::Duration;

use rivulet_tests::client::Reply;
use rivulet_tests::{Kind, Server, data, wait};

use crate::{peers, wait_in_step};

const QUICK: [&str; 2] = ["--repl-diskless-sync-delay", "0"];

#[track_caller]
fn field<'a>(map: &'a Reply, name: &str) -> &'a Reply {
    let found = map.items().chunks(2).find(|pair| pair[0].text() == name);
    &found.unwrap_or_else(|| panic!("no {name} in {map:?}"))[1]
}

fn word(reply: &Reply) -> String {
    match reply {
        Reply::Int(n) => n.to_string(),
        other => other.text(),
    }
}

/// The words of these fields of the latest syncs, newest first.
#[track_caller]
fn history(server: &mut Server, names: &[&str]) -> Vec<String> {
    let reply = server.must("REPLICATION HISTORY -1");
    let of = |sync: &Reply| names.iter().map(|name| word(field(sync, name))).collect::<Vec<_>>().join(" ");
    reply.items().iter().map(of).collect()
}

#[test]
fn each_sync_has_its_reason_at_both_ends() {
    let args = [&QUICK[..], &["--repl-backlog-size", "16kb", "--repl-backlog-disk-size", "0"]].concat();
    let mut master = Server::start(Kind::Rivulet, &args);
    master.must("CONFIG SET latency-monitor-threshold 1");
    data::fill(master.main(), 20_000);
    let mut replica = Server::start(Kind::Rivulet, &QUICK);
    replica.must("CONFIG SET latency-monitor-threshold 1");
    replica.follow(&master);
    wait_in_step(&mut master, &mut replica);
    let names = ["role", "kind", "reason", "outcome"];
    wait::until("it is done", || history(&mut master, &names) == ["master full requested done"]);
    wait::until("it is done", || history(&mut replica, &names) == ["replica full requested done"]);
    master.must("CLIENT KILL TYPE replica");
    master.must("SET a 1");
    wait::until("it is back", || master.count("sync_partial_ok") == 1);
    wait_in_step(&mut master, &mut replica);
    wait::until("it is done", || history(&mut master, &names)[0] == "master partial continued done");
    wait::until("it is done", || history(&mut replica, &names)[0] == "replica partial continued done");
    // Away for longer than the backlog reaches.
    replica.must("REPLICAOF NO ONE");
    wait::until("the master has noticed", || master.count("connected_slaves") == 0);
    for i in 0..400 {
        master.must(&format!("SET key{i} {}", "x".repeat(500)));
    }
    replica.follow(&master);
    wait_in_step(&mut master, &mut replica);
    wait::until("it is done", || history(&mut master, &names).len() == 3 && master.info("last_sync").contains("done"));
    let newest = &master.must("REPLICATION HISTORY 1").items()[0].clone();
    assert_eq!(field(newest, "peer").text(), format!("127.0.0.1:{}", replica.port));
    assert_eq!((field(newest, "number").int(), field(newest, "reason").text().as_str()), (3, "behind"));
    let missing = field(newest, "bytes_missing").int();
    assert!((400 * 500..400 * 600).contains(&missing), "{newest:?}");
    assert!(field(newest, "bytes").int() > 400 * 500, "{newest:?}");
    assert!(field(newest, "sentence").text().contains("for lack of backlog"), "{newest:?}");
    let asked = field(newest, "asked_offset").int();
    assert!(asked < field(newest, "backlog_first_byte").int() && asked > 1, "{newest:?}");
    wait::until("it is done", || history(&mut replica, &names)[0] == "replica full not-continued done");
    assert_eq!((master.count("sync_full_reason_behind"), master.count("sync_full_reason_requested")), (1, 1));
    let doctor = master.must("REPLICATION DOCTOR").text();
    assert!(
        doctor.contains("1 full sync was made only because") && doctor.contains("repl-backlog-size to 1mb"),
        "{doctor}"
    );
    assert!(doctor.contains("repl-backlog-disk-size to 1gb"), "{doctor}");
    master.must("CONFIG RESETSTAT");
    assert_eq!(master.count("sync_full_reason_behind"), 0);
    assert_eq!(history(&mut master, &["number"]), ["3", "2", "1"]);
    replica.must("REPLICAOF 127.0.0.1 1");
    wait::pause(Duration::from_millis(100));
    replica.follow(&master);
    wait_in_step(&mut master, &mut replica);
    assert_eq!(history(&mut master, &["reason"])[0], "continued");
    let at_master = format!("{:?}", master.must("LATENCY LATEST"));
    assert!(at_master.contains("repl-full-sync"), "{at_master}");
    let at_replica = format!("{:?}", replica.must("LATENCY LATEST"));
    assert!(at_replica.contains("repl-full-sync") && at_replica.contains("repl-link-down"), "{at_replica}");
}

#[test]
fn other_replicas_are_in_the_history_and_so_are_failures() {
    let mut master = Server::start(Kind::Rivulet, &QUICK);
    data::fill(master.main(), 2000);
    for kind in peers() {
        let mut replica = Server::start(kind, &[]);
        replica.follow(&master);
        wait_in_step(&mut master, &mut replica);
        // It was a master before, and asks for its own history.
        let address = format!("127.0.0.1:{} full stranger done", replica.port);
        let names = ["peer", "kind", "reason", "outcome"];
        wait::until("it is done", || history(&mut master, &names)[0] == address);
    }
    // One that goes while its snapshot is being made.
    master.must("CONFIG SET rdb-key-save-delay 1000");
    let mut replica = Server::start(Kind::Rivulet, &QUICK);
    replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    wait::until("it begins", || history(&mut master, &["outcome"])[0] == "running");
    wait::until("it receives", || replica.count("master_sync_in_progress") == 1);
    replica.kill();
    wait::until("it has failed", || history(&mut master, &["outcome"])[0] == "failed");
    assert!(history(&mut master, &["failure"])[0].contains("lost"));
}

#[test]
fn a_backlog_that_sizes_itself() {
    let args = [&QUICK[..], &["--repl-backlog-size", "auto", "--repl-timeout", "4", "--repl-ping-replica-period", "1"]]
        .concat();
    let mut master = Server::start(Kind::Rivulet, &args);
    assert_eq!((master.count("repl_backlog_auto"), master.count("repl_backlog_size")), (1, 1 << 20));
    assert_eq!(master.must("CONFIG GET repl-backlog-size").items()[1].text(), "auto");
    let mut replica = Server::start(Kind::Rivulet, &QUICK);
    replica.follow(&master);
    wait_in_step(&mut master, &mut replica);
    // Some MiB a second, while the replica is away for a moment.
    let value = "x".repeat(1 << 20);
    for i in 0..30 {
        if i == 10 {
            replica.must("REPLICAOF NO ONE");
        }
        if i == 25 {
            replica.follow(&master);
        }
        master.must(&format!("SET big {value}"));
        wait::pause(Duration::from_millis(100));
    }
    wait_in_step(&mut master, &mut replica);
    let (away, rate) = (master.count("repl_backlog_mean_reconnect_ms"), master.count("repl_backlog_bytes_per_second"));
    assert!((1000..20_000).contains(&away) && rate > 1 << 20, "{away} ms, {rate} bytes per second");
    wait::until("it has grown", || master.count("repl_backlog_size") > 3 << 20);
    let doctor = master.must("REPLICATION DOCTOR").text();
    assert!(doctor.contains("(auto)") && doctor.contains("repl-timeout to 5"), "{doctor}");
    master.must("CONFIG SET repl-backlog-size 2mb");
    assert_eq!((master.count("repl_backlog_auto"), master.count("repl_backlog_size")), (0, 2 << 20));
    assert!(master.call("CONFIG SET repl-backlog-size 0").is_error());
    master.must("CONFIG SET repl-backlog-size AUTO");
    assert_eq!(master.must("CONFIG GET repl-backlog-size").items()[1].text(), "auto");
}
