//! The same calls to ours and to redis-cli: exit status and every byte must be the same.

use std::path::{Path, PathBuf};

use rivulet_tests::process::{peer, rivulet, tool};
use rivulet_tests::{Kind, Server};

use crate::{Call, Outcome};

/// redis-cli of Redis 7 and of Redis 8, as far as they are there.
fn peers() -> Vec<PathBuf> {
    let found: Vec<PathBuf> = tool("redis-cli").into_iter().chain(peer("redis8-cli")).collect();
    if found.is_empty() {
        println!("skipped: redis-cli is not installed");
    }
    found
}

const KEYS: &[&[&str]] = &[
    &["FLUSHALL"],
    &["SET", "k", "v"],
    &["SET", "bin", "a\"\n\t\u{1}\u{ff}\\"],
    &["RPUSH", "l", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"],
    &["HSET", "h", "a", "1", "b", "2"],
    &["SADD", "s", "x"],
    &["ZADD", "z", "1.5", "m"],
    &["XADD", "st", "1-1", "f", "v"],
    &["XADD", "st", "2-1", "f2", "v2"],
];

fn fill(server: &mut Server) {
    for command in KEYS {
        let words: Vec<&[u8]> = command.iter().map(|word| word.as_bytes()).collect();
        server.must(&words[..]);
    }
}

#[track_caller]
fn compare(peer: &Path, server: &mut Server, call: Call<'_>) {
    fill(server);
    let theirs = call.run(peer, server);
    fill(server);
    let ours = call.run(&rivulet("rivulet-cli"), server);
    assert_eq!(ours, theirs, "ours and {}: {call:?}", peer.display());
}

#[test]
fn replies_in_every_form() {
    const FORMS: &[&[&str]] = &[
        &[],
        &["--no-raw"],
        &["--csv"],
        &["--json"],
        &["--quoted-json"],
        &["-3"],
        &["-3", "--no-raw"],
        &["-3", "--csv"],
        &["-2", "--json"],
        &["-d", ";", "-D", "|"],
        &["-e"],
    ];
    const COMMANDS: &[&[&str]] = &[
        &["GET", "k"],
        &["GET", "bin"],
        &["GET", "none"],
        &["LRANGE", "l", "0", "-1"],
        &["LRANGE", "none", "0", "-1"],
        &["HGETALL", "h"],
        &["HGETALL", "none"],
        &["SMEMBERS", "s"],
        &["SMEMBERS", "none"],
        &["ZRANGE", "z", "0", "-1", "WITHSCORES"],
        &["ZSCORE", "z", "m"],
        &["XRANGE", "st", "-", "+"],
        &["XREAD", "STREAMS", "st", "0"],
        &["INCR", "k"],
        &["STRLEN", "k"],
        &["NOSUCH"],
        &["ECHO", ""],
        &["COMMAND", "DOCS", "GETEX"],
        &["COMMAND", "INFO", "GET"],
        &["EVAL", "return {1,{2,{3,'x'}},false,redis.status_reply('ST')}", "0"],
        &["EVAL", "return redis.error_reply('MY err')", "0"],
        &["MEMORY", "DOCTOR"],
        &["DEBUG", "PROTOCOL", "double"],
        &["DEBUG", "PROTOCOL", "map"],
        &["DEBUG", "PROTOCOL", "set"],
        &["DEBUG", "PROTOCOL", "verbatim"],
        &["DEBUG", "PROTOCOL", "true"],
    ];
    let mut server = Server::start(Kind::Rivulet, &[]);
    for peer in peers() {
        for form in FORMS {
            for command in COMMANDS {
                let args = [*form, *command].concat();
                compare(&peer, &mut server, Call { args: &args, ..Call::default() });
            }
        }
    }
}

#[test]
fn options_and_what_is_wrong_with_them() {
    const CALLS: &[&[&str]] = &[
        &["-r", "3", "PING"],
        &["-r", "3", "-i", "0.01", "ECHO", "a"],
        &["-r", "0", "PING"],
        &["-n", "3", "GET", "k"],
        &["-n", "99", "PING"],
        &["-a", "wrong", "PING"],
        &["-a", "wrong", "--no-auth-warning", "PING"],
        &["--user", "x", "--pass", "y", "PING"],
        &["--nosuch"],
        &["-p"],
        &["-x", "-X", "t", "PING"],
        &["-2", "-3", "PING"],
        &["-c", "-s", "/x", "PING"],
        &["--quoted-input", "ECHO", "\"a\\x41\""],
        &["--quoted-input", "ECHO", "\"a"],
        &["--quoted-input", "ECHO", "a b"],
        &["-u", "http://x", "PING"],
        &["-u", "redis://%zz@x", "PING"],
        &["-u", "redis://%2", "PING"],
        &["-u", "redis://localhost:1/2", "-p", "1", "PING"],
        &["-p", "1", "PING"],
        &["-s", "/nosuch", "PING"],
        &["--cluster", "help"],
        &["--cluster", "nosuch"],
        &["--cluster", "call"],
        &["--cluster", "call", "x", "PING"],
        &["--scan", "--pattern", "*"],
        &["--no-raw", "--scan"],
        &["--scan", "--quoted-pattern", "\"\\x6c\""],
        &["--scan", "--quoted-pattern", "\"x"],
        &["--hotkeys"],
        &["--eval", "/nosuch.lua"],
        &["--rdb", "a", "--functions-rdb", "b"],
        &["--json", "-3", "HGETALL", "h"],
        &["help", "nosuch"],
        &["help", "getex"],
        &["--show-pushes", "x", "PING"],
        &["-X", "tag", "SET", "q", "tag2"],
        &["-e", "NOSUCH"],
        &["-e", "GET", "none"],
    ];
    let mut server = Server::start(Kind::Rivulet, &[]);
    for peer in peers() {
        for args in CALLS {
            for has_terminal in [false, true] {
                compare(&peer, &mut server, Call { args, has_terminal, ..Call::default() });
            }
        }
    }
}

#[test]
fn lines_on_standard_input() {
    const STORY: &str = "set a b\nget a\n\n  \nget \"a\nlrange l 0 1\nincr l\n5 incr n\n0 incr n\nselect 3\nget a\nselect 99\n\
        multi\nset x 1\nselect 5\nexec\nget x\nmulti\ndiscard\n:set nohints\n:nope\n:set nope\nrestart\ninfo nosuch\nhgetall h\nreset\nclear\nping";
    let mut server = Server::start(Kind::Rivulet, &[]);
    let refused = format!("connect 127.0.0.1 1\nping\nconnect 127.0.0.1 {}\nping", server.port);
    let calls: &[(&[&str], &[u8])] = &[
        (&[], STORY.as_bytes()),
        (&["-3"], STORY.as_bytes()),
        (&["--csv"], STORY.as_bytes()),
        (&[], refused.as_bytes()),
        (&[], b"quit\nping"),
        (&[], b"EXIT\nping"),
        (&["-x", "SET", "q"], b"data\n"),
        (&["-X", "t", "SET", "t", "t"], b"tagged"),
        (&["-x", "ECHO"], b""),
        (&["--pipe"], b"*1\r\n$4\r\nPING\r\n"),
        (&["--pipe"], b"SET a b\r\nINCR l\r\nGET a\r\n"),
        (&["--pipe"], b""),
    ];
    for peer in peers() {
        for (args, input) in calls {
            for has_terminal in [false, true] {
                compare(&peer, &mut server, Call { args, input, has_terminal, ..Call::default() });
            }
        }
    }
}

#[test]
fn big_keys_and_those_with_much_memory() {
    // A later redis-cli shows keys in other quotes.
    let Some(peer) = tool("redis-cli") else { return println!("skipped: redis-cli is not installed") };
    let mut server = Server::start(Kind::Rivulet, &[]);
    for args in [&["--bigkeys"][..], &["--memkeys"], &["--memkeys-samples", "3"], &["--bigkeys", "--pattern", "l*"]] {
        for has_terminal in [false, true] {
            let call = Call { args, has_terminal, ..Call::default() };
            fill(&mut server);
            // In redis-cli the types come in the order of a hash table that grows meanwhile.
            let sorted = |mut outcome: Outcome| {
                let mut lines: Vec<&str> = outcome.out.lines().collect();
                lines.sort_unstable();
                outcome.out = lines.join("\n");
                outcome
            };
            let ours = sorted(call.run(&rivulet("rivulet-cli"), &server));
            assert_eq!(ours, sorted(call.run(&peer, &server)), "{call:?}");
        }
    }
}

#[test]
fn statistics_of_keys() {
    let Some(peer) = peer("redis8-cli") else { return println!("skipped: redis8-cli is not installed") };
    let mut server = Server::start(Kind::Rivulet, &[]);
    for n in 0..600u32 {
        let len = n as usize % 97 * 7;
        server.must(&["SET", &format!("s{n}:{}", "x".repeat(len)), &"v".repeat((n * n % 3001) as usize)]);
        server.must(&["RPUSH", &format!("list{}", n % 13), "element"]);
    }
    // KEYS are left out: the test fills no more.
    for args in [&["--keystats"][..], &["--keystats", "--top", "3"], &["--keystats-samples", "2"]] {
        let call = Call { args, ..Call::default() };
        assert_eq!(call.run(&rivulet("rivulet-cli"), &server), call.run(&peer, &server), "{args:?}");
    }
}

#[test]
fn a_script_is_debugged() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    let script = server.write_file(
        "script.lua",
        "local a = 1\nredis.call('set', 'd', ARGV[1])\nredis.debug(a)\nreturn {a, KEYS[1]}\n",
    );
    let wrong = server.write_file("wrong.lua", "return (\n");
    let (script, wrong) = (script.display().to_string(), wrong.display().to_string());
    let session: &[u8] = b"p\ns\nl\nb 4\nt\ne a b\ne KEYS[1]\nr get d\nhelp\nfoo\ns\nc\nc\nget d\nquit\n";
    for peer in peers() {
        for mode in ["--ldb", "--ldb-sync-mode"] {
            for (file, input) in [
                (&script, session),
                (&script, b"s\nrestart\nc\nrestart\na\nget d\nexit\n"),
                (&script, b"quit\n"),
                (&wrong, b"ping\n"),
            ] {
                for term in ["dumb", "xterm"] {
                    let args = &[mode, "--eval", file, "k", ",", "v"];
                    compare(&peer, &mut server, Call { args, input, env: &[("TERM", term)], ..Call::default() });
                }
            }
        }
    }
}
