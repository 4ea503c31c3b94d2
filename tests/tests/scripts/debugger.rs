//! SCRIPT DEBUG: sessions as with Redis, which cost others nothing that they can't get back.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rivulet_tests::client::Client;
use rivulet_tests::process::{Kind, Server, TempDir, free_port};
use rivulet_tests::tls::{Authority, Use};
use rivulet_tests::{Reply, wait};

/// A script that writes at its first two lines.
const SCRIPT: &str = "redis.call('set', 'a', '1')\nredis.call('set', 'b', '2')\nreturn redis.call('get', 'a')";

/// The lines of what a session's client is sent.
fn lines(reply: &Reply) -> Vec<String> {
    reply.items().iter().map(Reply::text).collect()
}

/// A session that stands at its first line.
fn begin(mut client: Client, mode: &str, script: &str) -> Client {
    client.must(&["SCRIPT", "DEBUG", mode]);
    let at = lines(&client.call(&["EVAL", script, "0"]));
    assert!(at[0].starts_with("* Stopped at 1,"), "{at:?}");
    client
}

/// All that comes until the connection ends.
fn rest(client: &mut Client) -> Vec<Reply> {
    std::iter::from_fn(|| client.read().ok()).collect()
}

/// A session from its beginning to its end, as it is told; where objects lie is not.
fn told(server: &mut Server, mode: &str, script: &str, commands: &[&str]) -> Vec<String> {
    server.must("FLUSHALL");
    let mut client = server.client();
    client.must(&["SCRIPT", "DEBUG", mode]);
    client.add(&["EVAL", script, "1", "key", "argument"]);
    client.flush().expect("it is there");
    let mut all = Vec::new();
    for command in commands {
        let reply = client.read().expect("what it says");
        let has_ended = lines(&reply).iter().any(|line| line == "<endsession>");
        all.push(reply);
        if has_ended {
            break;
        }
        client.add(*command);
        client.flush().expect("it is there");
    }
    all.extend(rest(&mut client));
    all.iter().map(|reply| without_addresses(&format!("{reply:?}"))).collect()
}

fn without_addresses(text: &str) -> String {
    let mut parts = text.split("@0x");
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |all, part| all + "@" + part.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
}

const LONG: &str = "local a = 1\nlocal t = {1, 2, 'x\\ny', {a = 1, ['b c'] = {1}}, nil, true}\n\
local f = function(x) local y = x * 2\n  return y end\nlocal z = f(21)\nredis.call('set', 'k', 'v')\n\
local g = redis.call('get', 'k')\nlocal e = redis.pcall('lpush', 'k', 'x')\nredis.debug('hello', 1.5, {1, 2}, nil, true)\n\
redis.breakpoint()\nlocal h = 0.1 + 0.2\nredis.setresp(3)\nredis.call('hset', 'h', 'f', 'v')\nlocal m = redis.call('hgetall', 'h')\n\
local r = redis.error_reply('MY err')\nreturn {g, z, e}\n\n";

const SESSIONS: &[(&str, &[&str])] = &[
    (LONG, &["s"; 30]),
    (
        LONG,
        &[
            "p", "n", "p", "s", "p t", "p nope", "s", "s", "s", "t", "p x", "p a", "s", "s", "s", "s", "p", "c", "p",
            "c",
        ],
    ),
    (LONG, &["l", "l 6", "l 6 1", "list 0 2", "w", "whole x", "l -3", "l abc", "l 100", "l 2 -1", "l 6 0", "c", "c"]),
    (LONG, &["b", "b 6", "b 6", "b x", "b 100", "b -6", "b -6", "b 7 8 0", "b 12 11", "b", "l", "c", "c", "c", "c"]),
    (
        LONG,
        &[
            "e 1+1",
            "e a = 5",
            "e x x",
            "e error('boom')",
            "e redis.call('set','q','1')",
            "e {1,2,{3}}",
            "e KEYS[1]",
            "e",
            "e 1e100",
            "a",
        ],
    ),
    (
        LONG,
        &[
            "r set x y",
            "r get x",
            "r get no",
            "r nosuch",
            "r lpush x y",
            "r mset a 1 b 2 c 3 d 4 e 5 f 6",
            "r mget a no",
            "r",
            "m",
            "m 10",
            "m 0",
            "m x",
            "c",
            "a",
        ],
    ),
    (LONG, &["h", "help x", "foo", "restart", "STEP", "p KEYS", "print ARGV", "trace", "Abort"]),
    ("return 1", &["s"]),
    ("", &["w", "s"]),
    ("return (", &[]),
    ("#!lua flags=no-writes\nlocal a = 1\nreturn a.b.c", &["w", "s", "s", "s"]),
    ("redis.call('nosuch')", &["s"]),
    (
        "local co = coroutine.create(function(a)\n coroutine.yield(a)\n return 3\nend)\nlocal _, v = coroutine.resume(co, 1)\nreturn v",
        &["s"; 12],
    ),
];

#[test]
fn sessions_are_those_of_redis() {
    if !Kind::Redis7.is_there() {
        return;
    }
    let mut peer = Server::start(Kind::Redis7, &[]);
    let mut server = Server::start(Kind::Rivulet, &[]);
    for mode in ["YES", "SYNC"] {
        for (script, commands) in SESSIONS {
            let expected = told(&mut peer, mode, script, commands);
            assert!(expected.len() >= 2, "{script}: a session and a reply");
            let here = told(&mut server, mode, script, commands);
            for (at, (here, expected)) in here.iter().zip(&expected).enumerate() {
                assert_eq!(here, expected, "{mode}, {script:?}, reply {at} of {commands:?}");
            }
            assert_eq!(here.len(), expected.len(), "{mode}, {script:?}");
        }
    }
}

#[test]
fn what_is_refused() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    let sha = server.must(&["SCRIPT", "LOAD", "return 1"]).text();
    server.must(&["FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() return 5 end)"]);
    let mut client = server.client();
    assert_eq!(client.call("SCRIPT DEBUG maybe").text(), "ERR Use SCRIPT DEBUG YES/SYNC/NO");
    let within = client.call(&["EVAL", "return redis.call('script', 'debug', 'yes')", "0"]).text();
    assert!(within.starts_with("ERR This Redis command is not allowed from script"), "{within}");
    client.must("SCRIPT DEBUG YES");
    let no_digits = "ERR Please use EVAL instead of EVALSHA for debugging";
    assert_eq!(client.call(&["EVALSHA", &sha, "0"]).text(), no_digits);
    assert_eq!(client.call("FCALL f 0").int(), 5);
    client.must("MULTI");
    client.must("EVAL 1 0");
    client.must("SCRIPT DEBUG NO");
    let replies = client.must("EXEC");
    assert!(replies.items()[0].text().contains("within a pipeline"), "{replies:?}");
    assert_eq!(replies.items()[1].text(), "ERR SCRIPT DEBUG must be called outside a pipeline");
    client.must("SCRIPT DEBUG NO");
    assert_eq!(client.call(&["EVALSHA", &sha, "0"]).int(), 1);
}

#[test]
fn a_session_here_costs_no_link_and_keeps_what_it_wrote() {
    let quick = ["--repl-timeout", "2", "--repl-ping-replica-period", "1"];
    let mut master = Server::start(Kind::Rivulet, &quick);
    let mut replica = Server::start(Kind::Rivulet, &quick);
    replica.follow(&master);
    let syncs = |master: &mut Server| (master.info("sync_full"), master.info("sync_partial_ok"));
    let before = syncs(&mut master);
    let mut session = begin(master.client(), "SYNC", SCRIPT);
    session.call("s");
    wait::pause(Duration::from_secs(4));
    assert!(master.call("GET a").text().starts_with("BUSY "));
    assert_eq!(replica.info("master_link_status"), "up");
    assert_eq!(replica.must("EXISTS a b").int(), 0, "half of a unit is nowhere");
    assert_eq!(lines(&session.call("c")), ["<endsession>"]);
    assert_eq!(rest(&mut session).len(), 1, "the script's reply, and the end");
    wait::until("the replica has it", || replica.must("EXISTS a b").int() == 2);
    assert_eq!(syncs(&mut master), before, "no link was lost");
    // On a replica the master's stream waits.
    let mut session = begin(replica.client(), "SYNC", "local a = 1\nreturn 1");
    master.must("SET c 1");
    wait::pause(Duration::from_secs(4));
    assert_eq!(master.info("connected_slaves"), "1");
    session.call("c");
    wait::until("what was kept is executed", || replica.must("EXISTS c").int() == 1);
    assert_eq!(syncs(&mut master), before, "no link was lost");
}

#[test]
fn a_session_that_waits_can_be_ended_by_others() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    let mut session = begin(server.client(), "SYNC", SCRIPT);
    server.must("SCRIPT KILL");
    assert_eq!(lines(&session.read().expect("the end")), ["<endsession>"]);
    assert!(session.read().expect("the reply").text().contains("Script killed by user"));
    assert_eq!(server.must("EXISTS a").int(), 0);
    // What has written runs to its end without its client.
    let mut session = begin(server.client(), "SYNC", SCRIPT);
    session.call("s");
    server.must("SCRIPT KILL");
    assert_eq!(lines(&session.read().expect("the end")), ["<endsession>"]);
    assert_eq!(session.read().expect("the reply").text(), "1");
    assert_eq!(server.must("EXISTS a b").int(), 2);
    // And so does what a client leaves alone.
    server.must("FLUSHALL");
    drop(begin(server.client(), "SYNC", SCRIPT));
    wait::until("it has run", || server.call("EXISTS a b") == Reply::Int(2));
    let session = begin(server.client(), "SYNC", SCRIPT);
    server.shutdown("NOSAVE");
    drop(session);
}

fn children(server: &Server) -> usize {
    let pid = server.pid();
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("it runs");
    list.split_whitespace().count()
}

#[test]
fn a_session_apart_leaves_nothing() {
    let mut server = Server::start(Kind::Rivulet, &["--appendonly", "yes", "--repl-timeout", "2"]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    server.must("SET a before");
    let mut session = begin(
        server.client(),
        "YES",
        "redis.call('set', 'a', 'x')\nredis.call('flushall')\nreturn redis.call('dbsize')",
    );
    assert_eq!(children(&server), 1);
    session.call("s");
    session.call("s");
    // Others are served, also while a full sync, a rewrite and a snapshot are made.
    replica.follow(&server);
    server.must("SET b meanwhile");
    server.must("BGREWRITEAOF");
    wait::until("it is rewritten", || server.info("aof_rewrite_in_progress") == "0");
    server.must("BGSAVE");
    wait::until("it is saved", || server.info("rdb_bgsave_in_progress") == "0");
    assert_eq!(lines(&session.call("c")), ["<endsession>"]);
    assert_eq!(session.read().expect("the reply").int(), 0);
    assert!(session.read().is_err(), "the connection has ended");
    wait::until("the process is gone", || children(&server) == 0);
    assert_eq!(server.must("MGET a b"), replica.must("MGET a b"));
    // Who goes away ends it, and so does the server's end.
    server.must("CONFIG SET busy-reply-threshold 100");
    let mut stays = begin(server.client(), "YES", SCRIPT);
    drop(begin(server.client(), "YES", SCRIPT));
    drop(begin(server.client(), "YES", "while true do end"));
    wait::until("one is left", || children(&server) == 1);
    server.shutdown("NOSAVE");
    assert!(stays.read().is_err());
    server.launch();
    assert_eq!(server.must("MGET a b").items()[0].text(), "before");
}

/// Sessions begin while snapshots are walked and helpers free: what these share with the child must not hold it up.
#[test]
fn sessions_begin_whatever_else_goes_on() {
    let mut server = Server::start(Kind::Rivulet, &["--appendonly", "yes", "--save", "3600 1000000"]);
    server.must("DEBUG POPULATE 300000 key 100");
    let script = "redis.call('set', 'key:1', 'x')\nredis.call('del', 'big')\nredis.call('set', 'key:2', 'y')\nlocal size = redis.call('dbsize')\nredis.call('flushall')\nreturn size";
    for round in 0..30 {
        server.must(&["EVAL", "for i = 1, 20000 do redis.call('rpush', 'big', i) end", "0"]);
        if server.info("rdb_bgsave_in_progress") == "0" {
            server.must("BGSAVE");
        }
        server.must("UNLINK big");
        server.must("RPUSH big 1 2 3");
        let mut session = begin(server.client(), "YES", script);
        assert_eq!(lines(&session.call("c")), ["<endsession>"], "round {round}");
        assert_eq!(session.read().expect("the reply").int(), 300_000, "round {round}");
    }
    wait::until("all are gone", || children(&server) == 0);
    wait::until("it is saved", || server.info("rdb_bgsave_in_progress") == "0");
    assert_eq!(server.info("rdb_last_bgsave_status"), "ok");
}

#[test]
fn sessions_over_tls() {
    let authority = Authority::new("An authority");
    authority.sign_for("server", Use::Any);
    authority.sign_for("client", Use::Client);
    let port = free_port();
    let args = authority.server_args("server", port);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut server = Server::start(Kind::Rivulet, &args);
    for mode in ["YES", "SYNC"] {
        server.must("FLUSHALL");
        let client = Client::connect_tls(port, &authority.client(Some("client"))).expect("it is let in");
        let mut session = begin(client, mode, SCRIPT);
        assert_eq!(lines(&session.call("s"))[..2], ["<redis> set a 1", "<reply> \"+OK\""]);
        session.call("m 0");
        let long = "x".repeat(900);
        for _ in 0..100 {
            assert_eq!(lines(&session.call(&["r", "echo", &long]))[1].len(), 910);
        }
        assert_eq!(lines(&session.call("c")), ["<endsession>"]);
        assert_eq!(session.read().expect("the reply").text(), "1");
        assert!(session.read().is_err());
        assert_eq!(server.must("EXISTS a b").int(), if mode == "SYNC" { 2 } else { 0 });
    }
}

/// A client that does not read for a while is sent all of it.
#[test]
fn a_slow_client_over_a_socket_of_the_machine() {
    const LEN: usize = 5 << 20;
    let dir = TempDir::new();
    let socket = dir.path().join("socket");
    let mut server = Server::start(Kind::Rivulet, &["--unixsocket", &socket.display().to_string()]);
    for mode in ["YES", "SYNC"] {
        let mut stream = UnixStream::connect(&socket).expect("it listens");
        stream.set_read_timeout(Some(wait::PATIENCE)).expect("it is set");
        let mut send = |words: &[&str], answer: &str| {
            let mut bytes = format!("*{}\r\n", words.len());
            words.iter().for_each(|word| bytes += &format!("${}\r\n{word}\r\n", word.len()));
            std::io::Write::write_all(&mut stream, bytes.as_bytes()).expect("it reads");
            wait::pause(Duration::from_millis(100));
            let mut read = vec![0; answer.len()];
            stream.read_exact(&mut read).expect("all of it comes");
            assert_eq!(String::from_utf8_lossy(&read[..answer.len().min(100)]), answer[..answer.len().min(100)]);
        };
        send(&["SCRIPT", "DEBUG", mode], "+OK\r\n");
        let script = format!("local s = string.rep('x', {LEN})\nreturn s");
        let first = script.lines().next().expect("a line");
        let at = |line, text| format!("*2\r\n+* Stopped at {line}, stop reason = step over\r\n+-> {line}   {text}\r\n");
        send(&["EVAL", &script, "0"], &at(1, first));
        send(&["m", "0"], "*1\r\n+<value> replies are unlimited.\r\n");
        send(&["s"], &at(2, "return s"));
        let long = "x".repeat(LEN);
        send(&["p", "s"], &format!("*1\r\n+<value> \"{long}\"\r\n"));
        send(&["c"], &format!("*1\r\n+<endsession>\r\n${LEN}\r\n{long}\r\n"));
    }
    assert_eq!(server.must("PING").text(), "PONG");
}
