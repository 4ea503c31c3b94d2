//! What is counted of errors in the replies of scripts, as Redis and Valkey count.

use rivulet_tests::process::{Kind, Server};

const SCRIPTS: &[&str] = &[
    "return {err = 'MY one'}",
    "return {1, {err = 'MY one'}, {err = 'OTHER two'}}",
    "return {{{err = 'MY one'}}, {err = 'word'}}",
    "return redis.pcall('lpush', 'text', 'x')",
    "return {redis.pcall('lpush', 'text', 'x')}",
    "return {redis.pcall('lpush', 'text', 'x'), redis.pcall('nosuch'), redis.error_reply('MY x')}",
    "return {{redis.pcall('lpush', 'text', 'x')}, redis.pcall('lpush', 'text', 'x')}",
    "return redis.error_reply('MY x')",
    "return redis.call('lpush', 'text', 'x')",
    "redis.pcall('lpush', 'text', 'x') return 1",
    "redis.setresp(3) return {map = {a = {err = 'MY m'}}}",
    "return {{err = 'MY one', ignore_error_stats_update = true}}",
    "return {ok = 'x'}",
];

/// The errors by their codes, how many there were, and the calls that failed.
fn counted(server: &mut Server, commands: &[&[&str]]) -> Vec<String> {
    server.must("CONFIG RESETSTAT");
    for command in commands {
        let words: Vec<Vec<u8>> = command.iter().map(|word| word.as_bytes().to_vec()).collect();
        server.call(&words);
    }
    let info = server.must("INFO everything").text();
    let mut lines: Vec<String> = info
        .lines()
        .filter(|line| line.starts_with("errorstat_") || line.starts_with("total_error_replies"))
        .map(str::to_string)
        .collect();
    for name in ["eval", "lpush", "exec", "fcall"] {
        let line = info.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:"))).unwrap_or_default();
        let failed = line.split("failed_calls=").nth(1).unwrap_or("-");
        lines.push(format!("{name} {failed}"));
    }
    lines.sort();
    lines
}

#[test]
fn errors_are_counted_as_elsewhere() {
    let peers: Vec<Kind> = [Kind::Redis7, Kind::Valkey9].into_iter().filter(|kind| kind.is_there()).collect();
    let start = |kind: &Kind| {
        let mut server = Server::start(*kind, &[]);
        server.must("SET text v");
        let body = "return {{err = 'MY f'}, redis.pcall('lpush', 'text', 'x')}";
        server.must(&[
            "FUNCTION",
            "LOAD",
            &format!("#!lua name=l\nredis.register_function('f', function() {body} end)"),
        ]);
        server
    };
    let mut peers: Vec<Server> = peers.iter().map(start).collect();
    let mut here = start(&Kind::Rivulet);
    let mut check = |commands: &[&[&str]]| {
        let counts = counted(&mut here, commands);
        assert!(counts.len() >= 5, "{counts:?}");
        for peer in &mut peers {
            assert_eq!(counts, counted(peer, commands), "{:?}: {commands:?}", peer.kind);
        }
    };
    for script in SCRIPTS {
        check(&[&["EVAL", script, "0"]]);
        check(&[&["MULTI"], &["EVAL", script, "0"], &["LPUSH", "text", "x"], &["EXEC"]]);
    }
    check(&[&["FCALL", "f", "0"]]);
}
