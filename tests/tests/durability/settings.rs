//! Settings that change while something waits for the disk.

use rivulet_tests::{Kind, Server, wait};

use crate::file;

#[test]
fn replies_do_not_wait_for_another_write() {
    for (from, to) in
        [("no", "always"), ("everysec", "always"), ("always", "no"), ("no", "everysec"), ("always", "everysec")]
    {
        let mut server = Server::start(Kind::Rivulet, &["--appendonly", "yes", "--appendfsync", from]);
        let (mut writer, mut other) = (server.client(), server.client());
        for n in 0..20 {
            server.must(&["CONFIG", "SET", "appendfsync", from]);
            writer.must(&format!("SET a {n}"));
            // The writer has nothing more to do.
            wait::until("it is written", || server.info("aof_buffer_length") == "0");
            // All at once: the setting, and a read by another client.
            writer.must(&["CONFIG", "SET", "appendfsync", to]);
            other.must("GET a");
            other.must(&format!("SET b {n}"));
        }
    }
}

#[test]
fn no_reply_is_forgotten_while_append_only_and_fsync_change() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    let mut clients: Vec<_> = (0..8).map(|_| server.client()).collect();
    let steps = [
        ["appendonly", "yes"],
        ["appendfsync", "always"],
        ["appendfsync", "no"],
        ["appendonly", "no"],
        ["appendfsync", "always"],
        ["appendonly", "yes"],
        ["appendfsync", "everysec"],
        ["appendfsync", "always"],
        ["appendonly", "no"],
        ["appendfsync", "no"],
    ];
    for round in 0..3 {
        for step in steps {
            for client in &mut clients {
                (0..50).for_each(|n| client.add(&format!("SET k{n} {round}")));
                client.flush().expect("it is sent");
            }
            server.must(&[&["CONFIG", "SET"], &step[..]].concat().iter().map(|w| w.as_bytes()).collect::<Vec<_>>()[..]);
            for client in &mut clients {
                (0..50).for_each(|_| assert_eq!(client.read().expect("a reply").text(), "OK"));
            }
        }
    }
}

#[test]
fn append_only_is_refused_where_its_files_cannot_be_made() {
    for kind in [Kind::Rivulet, Kind::Redis7].into_iter().filter(|kind| kind.is_there()) {
        let mut server = Server::start(kind, &[]);
        server.must("SET a 1");
        // A directory stands where the first file would be.
        let in_the_way = file(&server, "temp-appendonly.aof.incr");
        std::fs::create_dir_all(&in_the_way).expect("a directory");
        let history = server.info("master_replid");
        let reply = server.call("CONFIG SET appendonly yes");
        assert_eq!(
            reply.text(),
            "ERR CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn on AOF. Check server logs."
        );
        let log = server.log();
        for line in [
            "Can't open the append-only file temp-appendonly.aof.incr: Is a directory",
            "Redis needs to enable the AOF but can't trigger a background AOF rewrite operation. Check the above logs for more info about the error.",
            "Failed applying new configuration. Possibly related to new appendonly setting. Restoring previous settings.",
        ] {
            assert!(log.contains(line), "{kind:?}: {line}\n{log}");
        }
        assert_eq!(server.must("CONFIG GET appendonly").items()[1].text(), "no");
        assert_eq!((server.info("aof_enabled").as_str(), server.info("aof_rewrites").as_str()), ("0", "0"));
        assert_eq!(server.info("master_replid"), history);
        server.must("SET b 1");
        std::fs::remove_dir(&in_the_way).expect("it is empty");
        server.must("CONFIG SET appendonly yes");
        wait::until("the first files are whole", || {
            file(&server, "appendonly.aof.manifest").exists() && server.info("aof_rewrite_in_progress") == "0"
        });
        server.must("SET c 1");
        server.kill();
        server.launch_with(&["--appendonly", "yes"]);
        assert_eq!(server.must("EXISTS a b c").int(), 3, "{kind:?}");
    }
}

/// The new base may be no better than the old one, and then that is all that there is.
#[test]
fn a_start_that_can_not_load_the_base_removes_no_history() {
    let mut server = Server::start(Kind::Rivulet, &["--appendonly", "yes"]);
    server.must("SET a 1");
    let old = std::fs::read(file(&server, "appendonly.aof.1.base.rdb")).expect("the first base");
    server.must("BGREWRITEAOF");
    wait::until("it is over", || !file(&server, "appendonly.aof.1.base.rdb").exists());
    server.kill();
    // As after a kill between the manifest and the end of what it calls history.
    let (history, manifest) = (file(&server, "appendonly.aof.1.base.rdb"), file(&server, "appendonly.aof.manifest"));
    std::fs::write(&history, old).expect("a file");
    let lines = std::fs::read_to_string(&manifest).expect("a manifest");
    let named = format!("{lines}file appendonly.aof.1.base.rdb seq 1 type h\n");
    std::fs::write(&manifest, &named).expect("a manifest");
    let base = file(&server, "appendonly.aof.2.base.rdb");
    let whole = std::fs::read(&base).expect("the second base");
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 0xff;
    std::fs::write(&base, &damaged).expect("a file");
    server.spawn(&[]);
    assert!(!server.wait_for_end().success());
    assert!(history.exists(), "{}", server.log());
    assert_eq!(std::fs::read_to_string(&manifest).expect("a manifest"), named);
    std::fs::write(&base, &whole).expect("a file");
    server.launch();
    assert_eq!(server.must("EXISTS a").int(), 1);
    assert!(!history.exists());
}

#[test]
fn a_rewrite_without_append_only_leaves_the_files_of_another_server() {
    let mut owner = Server::start(Kind::Rivulet, &["--appendonly", "yes"]);
    owner.must("SET a 1");
    let mut other = Server::start(Kind::Rivulet, &["--enable-protected-configs", "yes"]);
    other.must(&["CONFIG", "SET", "dir", &owner.dir.path().to_string_lossy()]);
    let manifest = || std::fs::read_to_string(file(&owner, "appendonly.aof.manifest")).expect("a manifest");
    let before = manifest();
    other.must("BGREWRITEAOF");
    wait::until("it fails", || other.info("aof_last_bgrewrite_status") == "err");
    assert!(other.log().contains("another server uses them"), "{}", other.log());
    assert_eq!(manifest(), before);
    owner.must("SET b 1");
    owner.kill();
    owner.launch();
    assert_eq!(owner.must("EXISTS a b").int(), 2);
}

/// A restart looks for the backlog where port and `dir` say.
#[test]
fn the_backlog_on_disk_goes_along_with_the_port_and_the_directory() {
    let options =
        ["--repl-backlog-size", "16kb", "--repl-backlog-disk-size", "64mb", "--enable-protected-configs", "yes"];
    let mut master = Server::start(Kind::Rivulet, &options);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    let write = |master: &mut Server| {
        let value = "v".repeat(10_000);
        (0..30).for_each(|n| _ = master.must(&["SET", &format!("k:{n}"), &value]));
        master.must("WAIT 1 5000");
    };
    write(&mut master);
    let first = master.dir.path().join(format!("replbacklog-{}", master.port));
    wait::until("there is a backlog", || first.join("backlog.identity").exists());
    let elsewhere = master.dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a directory");
    master.must(&["CONFIG", "SET", "dir", &elsewhere.to_string_lossy()]);
    let second = elsewhere.join(format!("replbacklog-{}", master.port));
    assert!(!first.exists() && second.join("backlog.identity").exists(), "{}", master.log());
    write(&mut master);
    let bytes = master.count("repl_backlog_disk_bytes");
    assert!(bytes > 300_000, "what was there before serves on: {bytes}");
    // One that is there already is not replaced as a whole.
    let port = rivulet_tests::process::free_port();
    let third = elsewhere.join(format!("replbacklog-{port}"));
    std::fs::create_dir(&third).expect("a directory");
    std::fs::write(third.join("5.backlog"), b"theirs").expect("a file");
    master.must(&format!("CONFIG SET port {port}"));
    master.port = port;
    wait::until("the old one is given up", || {
        !std::fs::read_dir(&second).expect("it stays").flatten().any(|e| e.file_name() != "lock")
    });
    assert!(master.log().contains("can't go along"), "{}", master.log());
}
