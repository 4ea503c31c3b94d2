//! Append-only files that are begun anew, on a disk that refuses that for a while: nothing is lost meanwhile, and soon afterwards writes are taken.

use std::path::PathBuf;
use std::time::Duration;

use rivulet_tests::{Kind, Server, wait};

use crate::fsync::Faults;
use crate::{file, wait_refused, wait_taken};

/// So many rewrites fail: with the last of them the pauses of automatic ones begin.
const FAILURES: usize = 3;
/// Which is far less than a pause of those.
const SOON: Duration = Duration::from_secs(20);

/// Directories that have the names of the next bases.
fn in_the_way(server: &Server) -> Vec<PathBuf> {
    let paths: Vec<_> = (2..100).map(|n| file(server, &format!("appendonly.aof.{n}.base.rdb"))).collect();
    paths.iter().for_each(|path| std::fs::create_dir(path).expect("a directory"));
    paths
}

fn out_of_the_way(paths: &[PathBuf]) {
    paths.iter().for_each(|path| std::fs::remove_dir(path).expect("it is empty"));
}

fn wait_for_failures(server: &Server) {
    wait::until("rewrites fail", || {
        server.log().matches("Error trying to rename the temporary AOF base file").count() >= FAILURES
    });
}

#[test]
fn writes_are_taken_soon_however_often_rewrites_have_failed() {
    let mut server = Server::start(Kind::Rivulet, &["--appendonly", "yes"]);
    server.must("SET before 1");
    let paths = in_the_way(&server);
    server.must("BGREWRITEAOF");
    wait_for_failures(&server);
    assert!(server.call("SET refused 1").is_error());
    out_of_the_way(&paths);
    assert!(wait::within(SOON, || !server.call("SET taken 1").is_error()), "{}", server.log());
    server.kill();
    server.launch();
    assert_eq!(server.must("EXISTS before taken").int(), 2, "{}", server.log());
}

#[test]
fn what_only_memory_has_is_not_given_up_by_a_shutdown() {
    let Some(faults) = Faults::new() else { return };
    let mut server = faults.server(Kind::Rivulet, &[]);
    server.must("SET before 1");
    assert_eq!(server.must("WAITAOF 1 0 0").items()[0].int(), 1);
    let paths = in_the_way(&server);
    faults.begin("drops");
    server.must("SET during 1");
    wait_refused(&mut server, "Input/output error");
    faults.end();
    wait_for_failures(&server);
    for how in ["SHUTDOWN", "SHUTDOWN NOSAVE", "SHUTDOWN SAVE NOW"] {
        let reply = server.call(how);
        assert!(reply.is_error() && reply.text().contains("Errors trying to SHUTDOWN"), "{how}: {reply:?}");
    }
    out_of_the_way(&paths);
    wait_taken(&mut server);
    server.shutdown("");
    server.launch();
    assert_eq!(server.must("EXISTS before during taken").int(), 3, "{}", server.log());
}

/// What it finds is of files that are no more.
#[test]
fn a_late_failure_of_a_rewrite_does_not_refuse_writes() {
    let mut server = Server::start(Kind::Rivulet, &["--appendonly", "yes"]);
    let keys = 20;
    (0..keys).for_each(|n| _ = server.must(&format!("SET k:{n} 1")));
    let paths = in_the_way(&server);
    // Before the base gets its name a write takes its time.
    server.must("DEBUG AOF-FLUSH-SLEEP 1000000");
    server.must("SET slow 1");
    server.must("BGREWRITEAOF");
    wait::until("the base is written", || server.log().contains("Background AOF rewrite terminated with success"));
    // The next one takes two seconds.
    server.must("CONFIG SET rdb-key-save-delay 100000");
    server.must("CONFIG SET appendonly no");
    server.must("CONFIG SET appendonly yes");
    out_of_the_way(&paths);
    server.must("DEBUG AOF-FLUSH-SLEEP 0");
    wait::pause(Duration::from_millis(300));
    server.must("SET after 1");
    wait::until("the files are made", || server.info("aof_rewrite_in_progress") == "0");
    assert!(!server.log().contains("Error trying to rename"), "{}", server.log());
    assert_eq!(server.info("aof_last_bgrewrite_status"), "ok", "{}", server.log());
    server.kill();
    server.launch();
    assert_eq!(server.must("DBSIZE").int(), keys + 2, "{}", server.log());
}
