//! MONITOR and SLOWLOG: what they show of each command, in which order, and what they hide.

use rivulet_tests::{Kind, Server};

const COMMANDS: &[&str] = &[
    "SET a 1",
    "MULTI",
    "SET a 2",
    "GET a",
    "EXEC",
    "MULTI",
    "SET x",
    "EXEC",
    "WATCH a",
    "SET a 5",
    "MULTI",
    "GET a",
    "EXEC",
    "MULTI",
    "DISCARD",
    "AUTH foo",
    "AUTH a b",
    "HELLO 3 AUTH a b",
    "HELLO 2 SETNAME c AUTH a b",
    "CONFIG SET masterauth secret",
    "CONFIG SET maxmemory-samples 5 masteruser name",
    "CONFIG GET save",
    "MIGRATE 127.0.0.1 1 a 0 100 AUTH pw",
    "MIGRATE 127.0.0.1 1 \"\" 0 100 COPY AUTH2 user pw KEYS a b",
    "SELECT 3",
    "NOSUCH a",
    "GET",
    "LPUSH l a",
    "BLPOP l 0",
    "LPUSH l b",
    "SORT l STORE k",
    "RESET",
    "CLIENT SETNAME x",
    "OBJECT ENCODING a",
    "PING",
];

/// What a server shows of the commands: the monitor's lines without time and address, and the slow log's arguments.
fn shown(kind: Kind) -> (Vec<String>, Vec<String>) {
    let mut server = Server::start(kind, &["--slowlog-log-slower-than", "0", "--slowlog-max-len", "1000"]);
    let mut monitor = server.client();
    assert!(monitor.must("MONITOR").is_ok());
    let mut client = server.client();
    server.main().must("SLOWLOG RESET");
    for line in COMMANDS {
        // Many are refused.
        client.call(*line);
    }
    client.must("ECHO the-end");
    let slow = server.must("SLOWLOG GET -1");
    let slow = slow.items().iter().rev().map(|entry| format!("{:?}", entry.items()[3]));
    let mut lines = Vec::new();
    loop {
        let line = String::from_utf8_lossy(&monitor.line().expect("the server is there")).into_owned();
        let (_, rest) = line.split_once(" [").expect("a time, then database and address");
        let (db, rest) = rest.split_once(' ').expect("an address");
        let (_, words) = rest.split_once("] ").expect("words");
        if words.contains("the-end") {
            return (lines, slow.collect());
        }
        lines.push(format!("[{db}] {words}"));
    }
}

#[test]
fn monitor_and_slowlog_show_what_redis_shows() {
    if !Kind::Redis7.is_there() {
        return;
    }
    let (theirs, ours) = (shown(Kind::Redis7), shown(Kind::Rivulet));
    assert_eq!(ours.0, theirs.0, "MONITOR");
    assert_eq!(ours.1, theirs.1, "SLOWLOG");
}
