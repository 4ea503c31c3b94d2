//! `ulimit -f`: files may not grow beyond it. The system would end the process with SIGXFSZ; it shall be an error of the write.

use rivulet_tests::process::{run, tool};
use rivulet_tests::{Kind, Server, wait};

use crate::{assert_filled, fill, wait_refused, wait_taken};

const TOO_LARGE: &str = "File too large";

/// Limits the files of a server that runs; `false` where that can't be done.
fn limit(server: &Server, bytes: &str) -> bool {
    if tool("prlimit").is_none() {
        println!("skipped: there is no prlimit");
        return false;
    }
    // What it has may be raised again.
    let (text, ok) = run("prlimit", &["--pid", &server.pid().to_string(), &format!("--fsize={bytes}:")]);
    assert!(ok, "{text}");
    true
}

#[test]
fn a_snapshot_fails_and_the_server_serves_on() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    if !limit(&server, "200000") {
        return;
    }
    assert_eq!(fill(&mut server, "k", 1000, 400), 400);
    server.must("CONFIG SET rdbcompression no");
    server.must("BGSAVE");
    wait::until("it has failed", || server.info("rdb_last_bgsave_status") == "err");
    assert!(server.log().contains(&format!("Background saving error: {TOO_LARGE}")), "{}", server.log());
    let reply = server.call("SAVE");
    assert!(reply.is_error(), "{reply:?}");
    let left: Vec<_> =
        std::fs::read_dir(server.dir.path()).expect("a directory").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["log"], "no part of a file stays");
    limit(&server, "unlimited");
    server.must("SAVE");
    assert_filled(&mut server, "k", 1000, 400);
}

#[test]
fn a_full_sync_that_can_not_be_stored_is_an_error_of_the_sync() {
    let mut master = Server::start(Kind::Rivulet, &["--rdbcompression", "no"]);
    assert_eq!(fill(&mut master, "k", 1000, 3000), 3000);
    let mut replica = Server::start(Kind::Rivulet, &["--repl-diskless-load", "disabled"]);
    if !limit(&replica, "1000000") {
        return;
    }
    replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    wait::until("the error is told", || replica.log().contains(TOO_LARGE));
    replica.must("PING");
    limit(&replica, "unlimited");
    replica.wait_for_link();
    assert_filled(&mut replica, "k", 1000, 3000);
}

#[test]
fn a_log_that_may_not_grow_refuses_writes() {
    let mut server = Server::start(Kind::Rivulet, &["--appendonly", "yes"]);
    if !limit(&server, "300000") {
        return;
    }
    let count = fill(&mut server, "k", 1000, 5000);
    wait_refused(&mut server, TOO_LARGE);
    limit(&server, "unlimited");
    wait_taken(&mut server);
    server.kill();
    server.launch();
    assert_filled(&mut server, "k", 1000, count);
}

#[test]
fn a_terminal_that_goes_does_not_end_the_server() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    for signal in ["-HUP", "-XFSZ", "-PIPE"] {
        let (text, ok) = run("kill", &[signal, &server.pid().to_string()]);
        assert!(ok, "{text}");
    }
    wait::pause(std::time::Duration::from_millis(50));
    server.main().must("PING");
}
