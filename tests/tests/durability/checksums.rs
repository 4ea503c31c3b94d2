//! A byte that changes on the disk.

use std::path::Path;

use rivulet_tests::{Kind, Server, data, wait};

use crate::{file, fill, last_incr};

/// Changes a byte of a value whose text is this, in the middle of it.
fn change(path: &Path, text: &str) {
    let mut bytes = std::fs::read(path).expect("the file");
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).expect("the value is there");
    bytes[at + text.len() / 2] ^= 1;
    std::fs::write(path, bytes).expect("it is written");
}

fn equal(a: &mut Server, b: &mut Server) {
    wait::until("both are at the same offset", || a.info("master_repl_offset") == b.info("master_repl_offset"));
    data::assert_same_data(a, b, 16);
}

/// A master whose file has a value, and replicas before and behind it.
struct Bench {
    master: Server,
    before: Server,
    behind: Server,
}

impl Bench {
    fn new() -> Bench {
        let mut master = Server::start(Kind::Rivulet, &["--appendonly", "yes"]);
        let (mut before, mut behind) = (Server::start(Kind::Rivulet, &[]), Server::start(Kind::Rivulet, &[]));
        fill(&mut master, "k", 1000, 600);
        before.follow(&master);
        behind.follow(&master);
        equal(&mut master, &mut before);
        // It keeps its position.
        before.must("CONFIG SET repl-timeout 3600");
        master.must("CONFIG SET repl-timeout 3600");
        crate::last_incr(&master);
        let (text, ok) = rivulet_tests::process::run("kill", &["-STOP", &before.pid().to_string()]);
        assert!(ok, "{text}");
        // What is in its socket's buffers it would still get.
        master.must("CLIENT KILL TYPE replica");
        wait::until("the other one is back", || master.info("connected_slaves") == "1");
        fill(&mut master, "l", 1000, 600);
        master.must("SET changed abcdefghijklmnopqrstuvwxyz");
        fill(&mut master, "m", 1000, 600);
        equal(&mut master, &mut behind);
        Bench { master, before, behind }
    }

    fn check(mut self) {
        let offset = self.master.count("master_repl_offset");
        let log = self.master.log();
        assert!(log.contains("is not as it was written: bytes ") && log.contains(".incr.aof"), "{log}");
        assert_eq!(self.master.must("GET changed").text(), "abcdefghijklmoopqrstuvwxyz", "it is loaded as it is");
        let (text, ok) = rivulet_tests::process::run("kill", &["-CONT", &self.before.pid().to_string()]);
        assert!(ok, "{text}");
        for replica in [&mut self.before, &mut self.behind] {
            replica.wait_for_link();
            equal(&mut self.master, replica);
        }
        assert!(self.master.count("master_repl_offset") >= offset);
        let syncs = (self.master.count("sync_full"), self.master.count("sync_partial_ok"));
        assert_eq!(syncs, (1, 1), "who is before the byte goes on, who is behind it can't\n{}", self.master.log());
        // What was loaded is what the data are: the next start finds nothing.
        let history = self.master.info("master_replid");
        self.master.restart();
        assert_eq!(self.master.info("master_replid"), history);
    }
}

#[test]
fn after_a_clean_end_nothing_is_claimed_behind_it() {
    let mut bench = Bench::new();
    let history = bench.master.info("master_replid");
    bench.master.shutdown("NOSAVE");
    change(&last_incr(&bench.master), "abcdefghijklmnopqrstuvwxyz");
    bench.master.launch();
    assert_ne!(bench.master.info("master_replid"), history);
    bench.check();
}

#[test]
fn after_a_crash_nothing_is_claimed_behind_what_was_noted() {
    let mut bench = Bench::new();
    bench.master.must("SET last 1");
    assert_eq!(bench.master.must("WAITAOF 1 0 0").items()[0].int(), 1);
    let sums = last_incr(&bench.master).with_extension("aof.sums");
    wait::until("it is noted", || std::fs::metadata(&sums).is_ok_and(|file| file.len() > 8 + 24));
    bench.master.kill();
    change(&last_incr(&bench.master), "abcdefghijklmnopqrstuvwxyz");
    bench.master.launch();
    bench.check();
}

#[test]
fn a_replica_does_not_go_on_from_changed_data() {
    let mut master = Server::start(Kind::Rivulet, &[]);
    let mut replica =
        Server::start(Kind::Rivulet, &["--appendonly", "yes", "--replicaof", &format!("127.0.0.1 {}", master.port)]);
    replica.wait_for_link();
    wait::until("the first files are whole", || {
        replica.info("aof_rewrites") != "0" && replica.info("aof_rewrite_in_progress") == "0"
    });
    fill(&mut master, "k", 1000, 100);
    master.must("SET changed abcdefghijklmnopqrstuvwxyz");
    equal(&mut master, &mut replica);
    replica.shutdown("NOSAVE");
    change(&last_incr(&replica), "abcdefghijklmnopqrstuvwxyz");
    let before = master.count("sync_full");
    replica.launch();
    replica.wait_for_link();
    equal(&mut master, &mut replica);
    assert_eq!(master.count("sync_full"), before + 1, "{}", replica.log());
}

#[test]
fn a_changed_base_of_commands_is_nobodys() {
    let mut master = Server::start(Kind::Rivulet, &["--appendonly", "yes", "--aof-use-rdb-preamble", "no"]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    fill(&mut master, "k", 1000, 600);
    master.must("SET changed abcdefghijklmnopqrstuvwxyz");
    master.must("BGREWRITEAOF");
    wait::until("the rewrite is over", || master.info("aof_rewrite_in_progress") == "0");
    replica.follow(&master);
    equal(&mut master, &mut replica);
    master.restart();
    replica.wait_for_link();
    assert_eq!(master.count("sync_full"), 0, "{}", master.log());
    master.shutdown("NOSAVE");
    change(&file(&master, "appendonly.aof.2.base.aof"), "abcdefghijklmnopqrstuvwxyz");
    master.launch();
    replica.wait_for_link();
    equal(&mut master, &mut replica);
    assert_eq!(replica.must("GET changed").text(), "abcdefghijklmoopqrstuvwxyz");
    assert_eq!(master.count("sync_full"), 1, "{}", master.log());
    assert!(master.log().contains("appendonly.aof.2.base.aof is not as it was written"), "{}", master.log());
    let history = master.info("master_replid");
    master.restart();
    assert_eq!(master.info("master_replid"), history, "{}", master.log());
}

#[test]
fn a_changed_backlog_is_not_sent() {
    let args = ["--appendonly", "yes", "--repl-backlog-size", "16kb", "--repl-backlog-disk-size", "64mb"];
    let mut master = Server::start(Kind::Rivulet, &args);
    let mut replica = Server::start(Kind::Rivulet, &["--save", ""]);
    replica.follow(&master);
    fill(&mut master, "k", 1000, 100);
    equal(&mut master, &mut replica);
    replica.must("REPLICAOF NO ONE");
    replica.must("REPLICAOF 127.0.0.1 1");
    master.must("SET changed abcdefghijklmnopqrstuvwxyz");
    fill(&mut master, "l", 1000, 600);
    // What is in the file is backlog after a rewrite.
    let old = last_incr(&master);
    master.must("BGREWRITEAOF");
    wait::until("the rewrite is over", || master.info("aof_rewrite_in_progress") == "0");
    let old = old.with_extension("aof.backlog");
    wait::until("the old file is backlog", || old.exists());
    change(&old, "abcdefghijklmnopqrstuvwxyz");
    replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    replica.wait_for_link();
    equal(&mut master, &mut replica);
    assert_eq!(replica.must("GET changed").text(), "abcdefghijklmnopqrstuvwxyz");
    assert!(master.log().contains("are not what was written"), "{}", master.log());
}

#[test]
fn redis_loads_the_files_and_their_checksums_are_in_nobodys_way() {
    if !Kind::Redis7.is_there() {
        return;
    }
    let mut server = Server::start(Kind::Rivulet, &["--appendonly", "yes"]);
    fill(&mut server, "k", 1000, 1000);
    server.must("BGREWRITEAOF");
    wait::until("the rewrite is over", || server.info("aof_rewrite_in_progress") == "0");
    fill(&mut server, "l", 1000, 1000);
    server.shutdown("NOSAVE");
    assert!(last_incr(&server).with_extension("aof.sums").exists());
    let mut redis = Server::prepare(Kind::Redis7, &["--appendonly", "yes"]);
    let (text, ok) = rivulet_tests::process::run(
        "cp",
        &["-r", &file(&server, "").to_string_lossy(), &redis.dir.path().to_string_lossy()],
    );
    assert!(ok, "{text}");
    redis.launch();
    server.launch();
    data::assert_same_data(&mut redis, &mut server, 16);
    // Redis goes on with the files, and so do we with what it has made of them.
    redis.must("SET by redis");
    redis.must("BGREWRITEAOF");
    wait::until("the rewrite is over", || redis.info("aof_rewrite_in_progress") == "0");
    redis.must("SET by redis");
    redis.shutdown("NOSAVE");
    let mut again = Server::prepare(Kind::Rivulet, &["--appendonly", "yes"]);
    let (text, ok) = rivulet_tests::process::run(
        "cp",
        &["-r", &file(&redis, "").to_string_lossy(), &again.dir.path().to_string_lossy()],
    );
    assert!(ok, "{text}");
    again.launch();
    assert_eq!(again.must("GET by").text(), "redis");
}

/// What a loss of power leaves behind what was synced may be anything.
#[test]
fn what_was_never_synced_does_not_stop_a_start() {
    let mut server = Server::start(Kind::Rivulet, &["--appendonly", "yes"]);
    fill(&mut server, "k", 1000, 600);
    let incr = last_incr(&server);
    let sums = std::path::PathBuf::from(format!("{}.sums", incr.display()));
    // What it begins with is shorter than two records.
    wait::until("blocks are noted", || std::fs::metadata(&sums).is_ok_and(|found| found.len() > 48));
    server.must("SET last here");
    server.kill();
    let whole = std::fs::read(&incr).expect("the file");
    let mut torn = whole.clone();
    torn.extend_from_slice(&[0; 500]);
    std::fs::write(&incr, &torn).expect("it is written");
    server.launch();
    assert!(server.log().contains(&format!("Truncating the AOF {}", incr.file_name().unwrap().to_string_lossy())));
    assert_eq!(server.must("GET last").text(), "here");
    server.kill();
    // What was synced is another matter.
    let mut damaged = std::fs::read(&incr).expect("the file");
    let at = damaged.windows(8).position(|w| w == b"*3\r\n$3\r\n").expect("a command");
    damaged[at] = b'?';
    std::fs::write(&incr, &damaged).expect("it is written");
    server.spawn(&[]);
    wait::until("it refuses", || server.log().contains("Bad file format reading the append only file"));
}

/// Nothing of a file was ever synced: what a loss of power left of it need not be readable.
#[test]
fn a_file_of_which_nothing_was_synced_does_not_stop_a_start() {
    let mut server = Server::start(Kind::Rivulet, &["--appendonly", "yes", "--appendfsync", "no"]);
    server.must("SET first 1");
    server.must("SET second 2");
    let incr = last_incr(&server);
    let holds = |bytes: Vec<u8>| bytes.windows(6).any(|w| w == b"second");
    wait::until("it is written", || std::fs::read(&incr).is_ok_and(holds));
    server.kill();
    let mut torn = std::fs::read(&incr).expect("the file");
    let at = torn.windows(6).position(|w| w == b"second").expect("a key");
    torn[at - 17..at].fill(0);
    std::fs::write(&incr, &torn).expect("it is written");
    server.launch();
    assert_eq!(server.must("EXISTS first second").int(), 1);
    // Where nobody keeps checksums nothing is known, as with a file of Redis.
    server.kill();
    std::fs::write(&incr, &torn).expect("it is written");
    std::fs::remove_file(format!("{}.sums", incr.display())).expect("it is there");
    server.spawn(&[]);
    wait::until("it refuses", || server.log().contains("Bad file format reading the append only file"));
}
