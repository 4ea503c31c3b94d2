//! Clients and tools that people use: redis-cli in its modes, redis-benchmark, the RDB checkers.

use std::io::Write;
use std::process::{Command, Stdio};

use rivulet_tests::process::{rivulet, run, tool};
use rivulet_tests::{Kind, Server, data, wait};

/// redis-cli on the server, if it is installed; its output.
fn cli(server: &Server, args: &[&str]) -> Option<String> {
    let Some(program) = tool("redis-cli") else {
        println!("skipped: redis-cli is not installed");
        return None;
    };
    let port = server.port.to_string();
    let (text, ok) = run(program, &[&["-p", &port], args].concat());
    assert!(ok, "redis-cli {args:?}: {text}");
    Some(text)
}

#[test]
fn redis_cli_shows_replies_of_both_protocols() {
    let server = Server::start(Kind::Rivulet, &[]);
    for (args, wanted) in [
        (&["SET", "a", "1"][..], "OK\n"),
        (&["--no-raw", "INCR", "a"], "(integer) 2\n"),
        (&["--no-raw", "GET", "none"], "(nil)\n"),
        (&["--no-raw", "RPUSH", "list", "x", "y"], "(integer) 2\n"),
        (&["--no-raw", "LRANGE", "list", "0", "-1"], "1) \"x\"\n2) \"y\"\n"),
        (&["HSET", "hash", "f", "v"], "1\n"),
        (&["-3", "--no-raw", "HGETALL", "hash"], "1# \"f\" => \"v\"\n"),
        (&["-3", "--no-raw", "ZADD", "zset", "1.5", "m"], "(integer) 1\n"),
        (&["-3", "--no-raw", "ZSCORE", "zset", "m"], "(double) 1.5\n"),
        (&["-3", "--no-raw", "SMEMBERS", "none"], "(empty set)\n"),
        (
            &["--no-raw", "LPUSH", "a", "x"],
            "(error) WRONGTYPE Operation against a key holding the wrong kind of value\n",
        ),
        (&["--json", "HGETALL", "hash"], "{\"f\":\"v\"}\n"),
        (&["-n", "3", "DBSIZE"], "0\n"),
    ] {
        let Some(text) = cli(&server, args) else { return };
        assert_eq!(text.trim_end(), wanted.trim_end(), "{args:?}");
    }
}

#[test]
fn redis_cli_fetches_a_snapshot_that_both_checkers_accept() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    data::fill(server.main(), 5000);
    let path = server.dir.path().join("fetched.rdb");
    let path = path.display().to_string();
    if cli(&server, &["--rdb", &path]).is_none() {
        return;
    }
    let (text, ok) = run(rivulet("rivulet-check-rdb"), &[&path]);
    assert!(ok, "{text}");
    if let Some(checker) = tool("redis-check-rdb") {
        let (text, ok) = run(checker, &[&path]);
        assert!(ok && text.contains("RDB looks OK"), "{text}");
        let keys = server.must("INFO keyspace").text();
        let count = |line: &str| line.split("keys=").nth(1)?.split(',').next()?.parse::<u64>().ok();
        let total: u64 = keys.lines().filter_map(count).sum();
        assert!(text.contains(&format!("{total} keys read")), "{total}: {text}");
    }
    let mut copy = Server::prepare(Kind::Rivulet, &[]);
    std::fs::copy(&path, copy.dir.path().join("dump.rdb")).expect("it was fetched");
    copy.launch();
    assert_eq!(copy.must("DEBUG DIGEST"), server.must("DEBUG DIGEST"));
}

#[test]
fn redis_cli_looks_for_big_keys() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    data::fill(server.main(), 1000);
    let Some(text) = cli(&server, &["--bigkeys"]) else { return };
    assert!(text.contains("Biggest string found"), "{text}");
    assert!(text.contains("Biggest   list found"), "{text}");
    let Some(text) = cli(&server, &["--memkeys"]) else { return };
    assert!(text.contains("Biggest string found"), "{text}");
    let Some(text) = cli(&server, &["--scan", "--pattern", "list:*"]) else { return };
    assert_eq!(text.lines().count(), 7, "{text}");
}

#[test]
fn redis_cli_pipes_a_mass_of_commands() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    let Some(program) = tool("redis-cli") else { return };
    let mut child = Command::new(program)
        .args(["-p", &server.port.to_string(), "--pipe"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-cli starts");
    let mut input = child.stdin.take().expect("it is piped");
    for i in 0..50_000 {
        let (key, value) = (format!("key:{i}"), i.to_string());
        let command = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n", key.len(), value.len());
        input.write_all(command.as_bytes()).expect("redis-cli reads");
    }
    drop(input);
    let output = child.wait_with_output().expect("redis-cli ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("errors: 0, replies: 50000"), "{text}");
    assert_eq!(server.must("DBSIZE").int(), 50_000);
}

#[test]
fn redis_cli_follows_as_a_replica_does() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    let Some(program) = tool("redis-cli") else { return };
    let log = server.dir.path().join("replica-mode");
    let file = std::fs::File::create(&log).expect("a file");
    let mut child = Command::new(program)
        .args(["-p", &server.port.to_string(), "--replica"])
        .stdin(Stdio::null())
        .stdout(file)
        .spawn()
        .expect("redis-cli starts");
    let mut i = 0;
    let seen = wait::within(wait::PATIENCE, || {
        i += 1;
        server.must(&format!("SET followed {i}"));
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("followed"))
    });
    let _ = child.kill();
    let _ = child.wait();
    assert!(seen, "{}", std::fs::read_to_string(&log).unwrap_or_default());
}

#[test]
fn redis_benchmark_runs() {
    let server = Server::start(Kind::Rivulet, &[]);
    let Some(program) = tool("redis-benchmark") else { return };
    let port = server.port.to_string();
    let tests = "ping,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange,mset";
    let args = ["-p", &port, "-n", "5000", "-c", "20", "-P", "8", "-r", "1000", "-q", "-t", tests];
    let (text, ok) = run(program, &args);
    assert!(ok && !text.contains("rror") && text.contains("MSET"), "{text}");
}
