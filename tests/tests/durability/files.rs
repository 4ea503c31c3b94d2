//! Append-only files that somebody has changed, or that another server has written.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use rivulet_tests::{Kind, Server, wait};

use crate::{DIRECTORY, file, last_incr};

/// A server that has not been started, with these append-only files and a manifest that names them: the first one as the base, if it is no INCR file.
fn with_files(files: &[(&str, &[u8])]) -> Server {
    let server = Server::prepare(Kind::Rivulet, &["--appendonly", "yes"]);
    std::fs::create_dir(server.dir.path().join(DIRECTORY)).expect("a directory");
    let mut manifest = String::new();
    for (i, (name, bytes)) in files.iter().enumerate() {
        std::fs::write(file(&server, name), bytes).expect("a file");
        let kind = if name.contains(".incr.") { "i" } else { "b" };
        manifest += &format!("file {name} seq {} type {kind}\n", i + 1);
    }
    std::fs::write(file(&server, "appendonly.aof.manifest"), manifest).expect("a manifest");
    server
}

#[test]
fn a_truncated_file_that_others_follow_is_refused_each_time_and_left_alone() {
    let cut = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n*3\r\n$3\r\nSET\r\n$1\r\nb";
    let next = b"*3\r\n$3\r\nSET\r\n$1\r\nc\r\n$1\r\n3\r\n";
    let mut server = with_files(&[("appendonly.aof.1.incr.aof", cut), ("appendonly.aof.2.incr.aof", next)]);
    for _ in 0..2 {
        server.spawn(&[]);
        assert!(!server.wait_for_end().success(), "{}", server.log());
        assert!(server.log().contains("Fatal error: the truncated file is not the last file"), "{}", server.log());
        assert_eq!(std::fs::read(file(&server, "appendonly.aof.1.incr.aof")).expect("the file"), cut);
    }
}

#[test]
fn files_of_valkey_are_loaded() {
    let base = include_bytes!("../../../crates/rdb/tests/fixtures/valkey-9.1.rdb");
    let next = b"*3\r\n$3\r\nSET\r\n$4\r\nmore\r\n$3\r\nyes\r\n";
    let mut server = with_files(&[("appendonly.aof.1.base.rdb", base), ("appendonly.aof.2.incr.aof", next)]);
    server.launch();
    assert_eq!(server.must("GET more").text(), "yes");
    assert!(server.must("DBSIZE").int() > 1, "{}", server.log());
}

/// Cuts off the last command, which sets this key.
fn cut_before(path: &Path, key: &str) {
    let bytes = std::fs::read(path).expect("the file");
    let command = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n", key.len());
    let at = bytes.windows(command.len()).position(|window| window == command.as_bytes()).expect("it is there");
    OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(at as u64)).expect("it is cut");
}

#[test]
fn what_was_cut_off_after_a_kill_stays_so() {
    let mut server = Server::start(Kind::Rivulet, &["--appendonly", "yes"]);
    server.must("SET kept 1");
    server.must("SET mistake 1");
    let path = last_incr(&server);
    let is_there = || std::fs::read(&path).is_ok_and(|bytes| bytes.windows(7).any(|window| window == b"mistake"));
    wait::until("it is in the file", is_there);
    // And the server knows that it is.
    wait::pause(Duration::from_millis(300));
    server.must("PING");
    server.kill();
    cut_before(&path, "mistake");
    server.launch();
    assert_eq!(server.must("EXISTS kept mistake").int(), 1, "{}", server.log());
}
