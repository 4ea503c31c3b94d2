//! Everything that is no command.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use rivulet_tests::process::{rivulet, run};
use rivulet_tests::{Kind, Server, data, wait};

use crate::{Call, said};

/// Ours, while it runs; killed at the end.
struct Running(Child);

impl Running {
    fn start(server: &Server, args: &[&str]) -> Running {
        let mut command = Command::new(rivulet("rivulet-cli"));
        command.args(["-p", &server.port.to_string()]).args(args).env("HOME", "/nonexistent");
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Running(spawned.expect("the program starts"))
    }

    /// Lines of standard output up to one with this text in it.
    #[track_caller]
    fn lines_up_to(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for line in BufReader::new(self.0.stdout.take().expect("a pipe")).lines() {
            lines.push(line.expect("a line"));
            if lines.last().is_some_and(|line| line.contains(text)) {
                return lines;
            }
        }
        panic!("it ended before {text:?}: {lines:?}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_snapshot_is_fetched_into_a_file_and_to_standard_output() {
    for diskless in ["yes", "no"] {
        let mut server = Server::start(Kind::Rivulet, &["--repl-diskless-sync", diskless]);
        data::fill(server.main(), 3000);
        let library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)";
        server.must(&["FUNCTION", "LOAD", library]);
        let path = server.dir.path().join("fetched.rdb");
        // A longer file that was there leaves nothing.
        std::fs::write(&path, vec![b'x'; 5 << 20]).expect("a file");
        let path = path.display().to_string();
        let outcome = Call { args: &["--rdb", &path], ..Call::default() }.run(&rivulet("rivulet-cli"), &server);
        assert_eq!(outcome.status, Some(0), "{}", outcome.err);
        assert!(outcome.err.contains("Transfer finished with success"), "{}", outcome.err);
        assert!(!outcome.err.contains('\r'), "a bar where there is no terminal: {:?}", outcome.err);
        let (text, ok) = run(rivulet("rivulet-check-rdb"), &[&path]);
        assert!(ok && text.contains("RDB looks OK"), "{text}");

        let outcome = Call { args: &["--rdb", "-"], ..Call::default() }.run(&rivulet("rivulet-cli"), &server);
        assert!(outcome.status == Some(0) && outcome.out.starts_with("REDIS"), "{}", outcome.err);

        let outcome =
            Call { args: &["--functions-rdb", &path], ..Call::default() }.run(&rivulet("rivulet-cli"), &server);
        assert_eq!(outcome.status, Some(0), "{}", outcome.err);
        let (text, ok) = run(rivulet("rivulet-check-rdb"), &[&path]);
        assert!(ok && text.contains("[info] 0 keys read"), "{text}");
    }
}

#[test]
fn a_snapshot_that_can_not_be_had_or_written() {
    let server = Server::start(Kind::Rivulet, &[]);
    let call = |args: &[&str]| Call { args, ..Call::default() }.run(&rivulet("rivulet-cli"), &server);
    let outcome = call(&["--rdb", "/nonexistent/file"]);
    assert_eq!(outcome.status, Some(1));
    assert!(outcome.err.ends_with("Error opening '/nonexistent/file': No such file or directory\n"), "{}", outcome.err);
    let mut server = Server::start(Kind::Rivulet, &[]);
    server.must("REPLICAOF 127.0.0.1 1");
    let outcome = Call { args: &["--rdb", "-"], ..Call::default() }.run(&rivulet("rivulet-cli"), &server);
    assert_eq!(outcome.status, Some(1));
    assert!(outcome.err.contains("SYNC with master failed: -"), "{}", outcome.err);
}

#[test]
fn a_replica_shows_the_stream() {
    for (diskless, asked) in [("yes", "--replica"), ("no", "--replica"), ("yes", "sync"), ("no", "psync")] {
        let mut server = Server::start(Kind::Rivulet, &["--repl-diskless-sync", diskless]);
        let mut replica = Running::start(&server, &[asked]);
        wait::until("the replica is online", || server.info("slave0").contains("state=online"));
        for n in 0..20 {
            server.must(&["SET", "key", &format!("value-{n}")]);
        }
        let lines = replica.lines_up_to("value-19");
        assert!(lines.contains(&"\"SET\",\"key\",\"value-0\"".to_string()), "{asked}: {lines:?}");
        server.must("CLIENT KILL TYPE replica");
        let mut said = String::new();
        replica.0.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
        assert!(said.ends_with("Error: Server closed the connection\n"), "{said}");
        assert_eq!(replica.0.wait().expect("it ends").code(), Some(1));
    }
}

#[test]
fn pipes_of_a_million_bytes_and_with_errors() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    let mut input = Vec::new();
    for n in 0..2000 {
        input.extend(format!("*3\r\n$3\r\nSET\r\n$8\r\nkey:{n:04}\r\n$1000\r\n{}\r\n", "x".repeat(1000)).bytes());
    }
    let call = Call { args: &["--pipe"], input: &input, ..Call::default() };
    let outcome = call.run(&rivulet("rivulet-cli"), &server);
    assert_eq!(outcome.status, Some(0), "{}", outcome.err);
    assert!(outcome.out.ends_with("Last reply received from server.\nerrors: 0, replies: 2000\n"), "{}", outcome.out);
    assert_eq!(server.call("DBSIZE").int(), 2000);

    let call = Call { args: &["--pipe"], input: b"INCR key:0001\r\nPING\r\n", ..Call::default() };
    let outcome = call.run(&rivulet("rivulet-cli"), &server);
    assert_eq!((outcome.status, outcome.err.as_str()), (Some(1), "ERR value is not an integer or out of range\n"));
    assert!(outcome.out.ends_with("errors: 1, replies: 2\n"), "{}", outcome.out);

    // Half a command swallows the ECHO: nothing comes back.
    let input = b"*2\r\n$4\r\nECHO\r\n$500\r\nabc";
    let call = Call { args: &["--pipe", "--pipe-timeout", "1"], input, ..Call::default() };
    let outcome = call.run(&rivulet("rivulet-cli"), &server);
    assert_eq!((outcome.status, outcome.err.as_str()), (Some(1), "No replies for 1 seconds: exiting.\n"));
}

#[test]
fn scripts_of_a_file() {
    let server = Server::start(Kind::Rivulet, &[]);
    let path = server.dir.path().join("script.lua");
    std::fs::write(&path, "return {KEYS[1], KEYS[2], ARGV[1], #KEYS, #ARGV}").expect("a file");
    let path = path.display().to_string();
    assert_eq!(said(&server, &["--eval", &path, "a", "b", ",", "c"]), "a\nb\nc\n2\n1\n");
    assert_eq!(said(&server, &["--eval", &path, ",", "c"]), "\n", "a nil ends the list");
    server.client().must("ACL SETUSER other on >word ~* +@all -script|debug");
    let call = Call { args: &["--user", "other", "--pass", "word", "--ldb", "--eval", &path], ..Call::default() };
    let outcome = call.run(&rivulet("rivulet-cli"), &server);
    assert_eq!(outcome.status, Some(1));
    let told = outcome.err.lines().last().unwrap_or_default();
    assert!(told.starts_with("The server does not debug scripts: NOPERM"), "{}", outcome.err);
}

#[test]
fn lines_of_figures() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    server.must("SET a b");
    let mut stat = Running::start(&server, &["--stat", "-i", "0.05"]);
    let lines = stat.lines_up_to("(+1)");
    assert_eq!(lines[0], "------- data ------ --------------------- load -------------------- - child -");
    assert!(lines.last().is_some_and(|line| line.starts_with("1          ")), "{lines:?}");

    let text = said(&server, &["--latency", "-i", "0.1"]);
    let figures: Vec<f64> = text.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    assert!(figures.len() == 4 && figures[0] <= figures[2] && figures[2] <= figures[1], "{text}");
    let text = said(&server, &["--latency", "-i", "0.1", "--json"]);
    assert!(text.starts_with("{\"min\": ") && text.ends_with("}\n"), "{text}");
    let mut history = Running::start(&server, &["--latency-history", "-i", "0.05", "--csv"]);
    assert!(history.lines_up_to("seconds range").last().is_some_and(|line| line.starts_with(" -- 0.")));
    let mut spectrum = Running::start(&server, &["--latency-dist", "-i", "0.05"]);
    assert!(spectrum.lines_up_to("?").iter().any(|line| line.contains("From 0 to 100%") || line.contains("1,2,4")));
    let text = said(&server, &["--intrinsic-latency", "1"]);
    assert!(text.contains("total runs (avg latency: ") && text.contains("Worst run took"), "{text}");
    let mut load = Running::start(&server, &["--lru-test", "1000"]);
    assert!(load.lines_up_to("Misses").last().is_some_and(|line| line.contains("Gets/sec | Hits: ")));
}

#[test]
fn hot_keys() {
    let mut server = Server::start(Kind::Rivulet, &["--maxmemory-policy", "allkeys-lfu"]);
    for n in 0..50 {
        server.must(&["SET", &format!("key:{n}"), "x"]);
    }
    for _ in 0..2000 {
        server.must("GET key:7");
    }
    let text = said(&server, &["--hotkeys"]);
    let first = text.lines().find(|line| line.starts_with("hot key found with counter: ")).expect("a hot key");
    assert!(first.ends_with("\tkeyname: \"key:7\""), "{text}");
    assert!(text.contains("Sampled 50 keys in the keyspace!"), "{text}");
}

#[test]
fn a_scan_with_count_and_cursor() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    data::fill(server.main(), 500);
    let size = server.call("DBSIZE").int();
    let mut keys: Vec<String> =
        said(&server, &["--no-raw", "--scan", "--count", "100"]).lines().map(str::to_string).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len() as i64, size);
}

#[test]
fn who_shuts_the_server_down_succeeds() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    assert_eq!(said(&server, &["SHUTDOWN", "NOSAVE"]), "");
    server.wait_for_end();
}
