//! Libraries and functions as a client sees them, and beside redis-server 7.0.

use rivulet_rdb::{Version, Writer};
use rivulet_resp::{OwnedArgs, Reply};

use super::peer::Peer;
use crate::function_command::{self, Answer, Running};
use crate::testing::Server;
use crate::{Ended, Flag, Policy, script_command};

fn writer() -> Writer {
    Writer::new(Version::DEFAULT, true)
}

/// The reply of FUNCTION with these words.
fn function(server: &mut Server, words: &[&[u8]]) -> Vec<u8> {
    let words: Vec<&[u8]> = [b"FUNCTION".as_slice()].into_iter().chain(words.iter().copied()).collect();
    let args = OwnedArgs::from_slices(&words);
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, false);
    let Server { engine, host, .. } = server;
    let libraries = engine.libraries();
    function_command::run(libraries, args.as_args(), None, &mut writer(), host, &mut reply);
    out
}

fn function_text(server: &mut Server, words: &[&str]) -> String {
    let words: Vec<&[u8]> = words.iter().map(|w| w.as_bytes()).collect();
    String::from_utf8_lossy(&function(server, &words)).into_owned()
}

/// Texts of libraries, of which each is tried while `there` has a function `taken`.
const LIBRARIES: &[&str] = &[
    "return 1",
    "#!lua",
    "#!lua\n",
    "#!lua name=\n",
    "#!lua name=x y=z\n",
    "#!lua name=x name=y\n",
    "#!lua name=a-b\n",
    "#!js name=x\n",
    "#!lua name=\"x\n",
    "#!lua name=there\nredis.register_function('a', function() end)",
    "#!lua name=x\nredis.register_function('a'",
    "#!lua name=x\nreturn 1",
    "#!lua name=x\nx = 1",
    "#!lua name=x\nfunction f() end",
    "#!lua name=x\nreturn x",
    "#!lua name=x\nreturn redis.call('get', 'x')",
    "#!lua name=x\nreturn string.rep",
    "#!lua name=x\nreturn ('x').nosuch()",
    "#!lua name=x\nredis.x = 1",
    "#!lua name=x\nredis.log(1)",
    "#!lua name=x\nredis.register_function()",
    "#!lua name=x\nredis.register_function(1)",
    "#!lua name=x\nredis.register_function(1, 2)",
    "#!lua name=x\nredis.register_function({}, 2)",
    "#!lua name=x\nredis.register_function('a', 2)",
    "#!lua name=x\nredis.register_function('a', function() end, 3)",
    "#!lua name=x\nredis.register_function('a b', function() end)",
    "#!lua name=x\nredis.register_function('', function() end)",
    "#!lua name=x\nredis.register_function{}",
    "#!lua name=x\nredis.register_function{function_name='a'}",
    "#!lua name=x\nredis.register_function{function_name='a', callback=1}",
    "#!lua name=x\nredis.register_function{function_name={}, callback=function() end}",
    "#!lua name=x\nredis.register_function{callback=function() end}",
    "#!lua name=x\nredis.register_function{function_name='a', callback=function() end, foo=1}",
    "#!lua name=x\nredis.register_function{function_name='a', callback=function() end, flags=1}",
    "#!lua name=x\nredis.register_function{function_name='a', callback=function() end, flags={'a'}}",
    "#!lua name=x\nredis.register_function{function_name='a', callback=function() end, flags={1}}",
    "#!lua name=x\nredis.register_function('a', function() end) redis.register_function('a', function() end)",
    "#!lua name=x\nredis.register_function('a', function() end) redis.register_function('A', function() end)",
    "#!lua name=x\nredis.register_function('taken', function() end)",
    "#!lua name=x\nredis.register_function('TAKEN', function() end)",
    "#!lua name=x\nredis.register_function('ok', function() end) error('x')",
    "#!LUA name=good1\nredis.register_function('f1', function(keys, args) return {keys, args, 'hi'} end)",
    "#!lua name=good2\nlocal r = redis redis.register_function('f2', function() return r.call end)",
    "#!lua name=good3\nlocal r = redis redis.register_function('f3', function() r.register_function('y', function() end) end)",
    "#!lua name=good4\nredis.register_function('f4', function() return KEYS end)",
    "#!lua name=good5\nredis.register_function('f5', function() return redis.register_function end)",
    "#!lua name=good6\nredis.register_function{function_name=6, callback=function() return cjson.encode({1}) end, description='d', flags={'no-writes'}}",
    "#!lua name=good7\nredis.register_function('f7', function() error('bad') end)",
    "#!lua name=good8\nlocal n = 0 redis.register_function('f8', function() n = n + 1 return n end)",
    "#!lua name=good9\nredis.register_function('f9', function() return redis.call('nosuch') end)",
    "#!lua name=good10\nredis.register_function('f10', function() x = 1 end)",
];

const CALLS: &[&str] =
    &["f1", "f2", "f3", "f4", "f5", "6", "f7", "f8", "F8", "f9", "f10", "nosuch", "a", "ok", "taken"];

#[test]
fn libraries_beside_redis() {
    let Some(mut peer) = Peer::start("functions") else {
        return eprintln!("skipped: there is no redis-server 7.0");
    };
    let mut server = Server::new();
    let there: &[&str] = &["#!lua name=there\nredis.register_function('taken', function() return 'there' end)"];
    for code in there.iter().chain(LIBRARIES) {
        let ours = function(&mut server, &[b"LOAD", code.as_bytes()]);
        let theirs = peer.command(&[b"FUNCTION", b"LOAD", code.as_bytes()]);
        assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(&theirs), "{code}");
    }
    for name in CALLS {
        let ours = server.fcall(name);
        let theirs = peer.command(&[b"FCALL", name.as_bytes(), b"0"]);
        assert_eq!(ours, String::from_utf8_lossy(&theirs), "{name}");
    }
    for words in [
        &["DELETE", "nosuch"][..],
        &["DELETE", "THERE"],
        &["FLUSH", "foo"],
        &["FLUSH", "sync", "async"],
        &["RESTORE", "abc"],
        &["RESTORE", "abc", "foo"],
        &["RESTORE", "abc", "foo", "bar"],
        &["LIST", "foo"],
        &["LIST", "LIBRARYNAME"],
        &["LIST", "WITHCODE", "WITHCODE"],
        &["LIST", "LIBRARYNAME", "good6", "WITHCODE"],
        &["LIST", "libraryname", "GOOD[1]"],
        &["LIST", "libraryname", "none*"],
        &["LOAD", "foo", "#!lua name=q"],
        &["LOAD", "REPLACE"],
        &["STATS"],
        &["nosuch"],
        &["DELETE", "good8"],
        &["STATS"],
        &["FLUSH", "async"],
        &["LIST"],
    ] {
        let bytes: Vec<&[u8]> =
            [b"FUNCTION".as_slice()].into_iter().chain(words.iter().map(|w| w.as_bytes())).collect();
        let theirs = peer.command(&bytes);
        assert_eq!(function_text(&mut server, words), String::from_utf8_lossy(&theirs), "{words:?}");
    }
}

#[test]
fn dumps_are_those_of_redis() {
    let Some(mut peer) = Peer::start("dumps") else {
        return eprintln!("skipped: there is no redis-server 7.0");
    };
    let mut server = Server::new();
    let long =
        format!("#!lua name=long\n-- {}\nredis.register_function('l', function() return 'l' end)", "x".repeat(500));
    for code in ["#!lua name=short\nredis.register_function('s', function() return 's' end)", &long] {
        let command = [b"LOAD".as_slice(), code.as_bytes()];
        function(&mut server, &command);
        peer.command(&[b"FUNCTION", b"LOAD", code.as_bytes()]);
        let ours = function(&mut server, &[b"DUMP"]);
        assert_eq!(ours, peer.command(&[b"FUNCTION", b"DUMP"]));
        function(&mut server, &[b"FLUSH"]);
        let payload = payload(&ours);
        assert_eq!(function(&mut server, &[b"RESTORE", payload]), b"+OK\r\n");
        assert_eq!(peer.command(&[b"FUNCTION", b"RESTORE", payload, b"FLUSH"]), b"+OK\r\n");
        let name = &code[code.find('(').expect("a call") + 2..][..1];
        assert_eq!(server.fcall(name), format!("$1\r\n{name}\r\n"));
        function(&mut server, &[b"FLUSH"]);
        peer.command(&[b"FUNCTION", b"FLUSH"]);
    }
}

/// What a bulk string holds.
fn payload(reply: &[u8]) -> &[u8] {
    let start = reply.iter().position(|&c| c == b'\n').expect("a line") + 1;
    &reply[start..reply.len() - 2]
}

#[test]
fn a_dump_is_restored_whole_or_not_at_all() {
    let code = |name: &str, function: &str| {
        format!("#!lua name={name}\nredis.register_function('{function}', function() return '{name}' end)")
    };
    let mut server = Server::new();
    assert_eq!(server.load(&code("a", "fa")), "a");
    assert_eq!(server.load(&code("b", "fb")), "b");
    let dump = payload(&function(&mut server, &[b"DUMP"])).to_vec();
    assert_eq!(function_text(&mut server, &["FLUSH"]), "+OK\r\n");
    // A library of the same name, and another one with a function of the same name.
    server.load(&code("a", "other"));
    server.load(&code("c", "fb"));
    for (policy, reply) in [
        (b"APPEND".as_slice(), "-ERR Library a already exists\r\n"),
        (b"REPLACE", "-ERR Function fb already exists\r\n"),
    ] {
        let given = function(&mut server, &[b"RESTORE", &dump, policy]);
        assert_eq!(String::from_utf8_lossy(&given), reply);
        assert_eq!((server.fcall("other"), server.fcall("fb")), ("$1\r\na\r\n".into(), "$1\r\nc\r\n".into()));
        assert_eq!(server.fcall("fa"), "-ERR Function not found\r\n");
    }
    assert!(server.engine.libraries().delete(b"c"));
    assert_eq!(function(&mut server, &[b"RESTORE", &dump, b"REPLACE"]), b"+OK\r\n");
    assert_eq!((server.fcall("fa"), server.fcall("fb")), ("$1\r\na\r\n".into(), "$1\r\nb\r\n".into()));
    assert_eq!(server.fcall("other"), "-ERR Function not found\r\n");
    server.load(&code("d", "fd"));
    assert_eq!(function(&mut server, &[b"RESTORE", &dump, b"FLUSH"]), b"+OK\r\n");
    assert_eq!(server.engine.loaded().codes().count(), 2);
    // One library that is wrong spoils all.
    let broken = [code("x", "fx"), "#!lua name=y\nx = 1".into()];
    let result = server.engine.libraries().load_all(broken, Policy::Flush, &mut server.host);
    assert!(result.is_err());
    assert_eq!(server.fcall("fa"), "$1\r\na\r\n");
}

#[test]
fn payloads_that_are_none() {
    let mut server = Server::new();
    server.load("#!lua name=a\nredis.register_function('fa', function() end)");
    let dump = payload(&function(&mut server, &[b"DUMP"])).to_vec();
    let sealed = |body: &[u8]| {
        let mut payload = [body, &10u16.to_le_bytes()].concat();
        payload.extend_from_slice(&rivulet_rdb::crc64::checksum(&payload).to_le_bytes());
        payload
    };
    for len in 0..dump.len() {
        assert!(crate::dump::read(&dump[..len]).is_err(), "{len}");
    }
    let body = &dump[..dump.len() - 10];
    for (body, error) in [
        (&[body, &[0]].concat()[..], "ERR given type is not a function"),
        (&[246], "ERR Pre-GA function format not supported"),
        (&[245], "ERR failed loading functions payload"),
        (&[245, 5, b'a'], "ERR failed loading functions payload"),
        (&[245, 0x80, 0xff, 0xff, 0xff, 0xff], "ERR failed loading functions payload"),
    ] {
        let read = crate::dump::read(&sealed(body));
        assert_eq!(read.err().map(|f| String::from_utf8_lossy(&f.0).into_owned()).as_deref(), Some(error));
    }
    assert_eq!(crate::dump::read(&sealed(&[body, body].concat())).map(|c| c.len()).ok(), Some(2));
    assert_eq!(crate::dump::read(&sealed(b"")).map(|c| c.len()).ok(), Some(0));
}

#[test]
fn a_load_ends_when_the_host_says_so() {
    let mut server = Server::new();
    server.host.ends_after = Some(2);
    let error = server.load("#!lua name=a\nredis.register_function('fa', function() end) while true do end");
    assert_eq!(error, "ERR Error registering functions: ERR Script killed by user with SCRIPT KILL...");
    server.host.ends_after = None;
    assert_eq!(server.fcall("fa"), "-ERR Function not found\r\n");
    assert_eq!(server.load("#!lua name=a\nredis.register_function('fa', function() return 1 end)"), "a");
    assert_eq!(server.fcall("fa"), ":1\r\n");
    // A text that would fill the memory changes nothing either.
    let error = server.load("#!lua name=b\nlocal s = 'x' while true do s = s .. s end");
    assert_eq!(error, "ERR Error registering functions: ERR not enough memory");
    assert_eq!(server.fcall("fa"), ":1\r\n");
}

#[test]
fn a_function_is_killed_like_a_script() {
    let mut server = Server::new();
    server.load("#!lua name=a\nredis.register_function('fa', function() while true do end end)");
    server.host.ends_after = Some(1);
    assert_eq!(
        server.fcall("fa"),
        "-ERR Script killed by user with SCRIPT KILL... script: fa, on @user_function:2.\r\n"
    );
    assert_eq!(server.ended, Some(Ended::Killed));
}

#[test]
fn replacing_a_library_frees_the_old_one() {
    let mut server = Server::new();
    let code = "#!lua name=a\nlocal big = ('x'):rep(100000) redis.register_function('fa', function() return #big end)";
    for _ in 0..1000 {
        assert_eq!(server.load(code), "a");
        assert_eq!(server.fcall("fa"), ":100000\r\n");
    }
    assert!(server.engine.loaded().vm_bytes() < 2 << 20, "{}", server.engine.loaded().vm_bytes());
    assert_eq!((server.engine.loaded().len(), server.engine.loaded().functions_len()), (1, 1));
}

#[test]
fn flags_are_known_before_the_run() {
    let mut server = Server::new();
    server.load("#!lua name=a\nredis.register_function{function_name='fa', callback=function() end, flags={'no-writes', 'allow-stale'}}");
    let id = server.engine.libraries().find(b"FA").expect("it is there");
    let function = server.engine.loaded().function(id).expect("it is there");
    assert_eq!(function.flags().iter().collect::<Vec<_>>(), [Flag::NoWrites, Flag::AllowStale]);
    assert!(crate::Engine::check_read_only(function.flags()).is_ok());
    let id = server.engine.scripts().evaluated(b"#!lua flags=allow-oom\nreturn 1").expect("it is right");
    let flags = server.engine.cached().flags(id).expect("it has some");
    assert!(flags.has(Flag::AllowOom) && !flags.has(Flag::NoWrites));
    assert!(crate::Engine::check_read_only(flags).is_err());
}

#[test]
fn what_runs_is_shown() {
    let mut server = Server::new();
    let running =
        Running { name: b"fa".to_vec(), command: OwnedArgs::from_slices(&["FCALL", "fa", "0"]), duration_ms: 7 };
    let args = OwnedArgs::from_slices(&["FUNCTION", "STATS"]);
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, true);
    let libraries = server.engine.libraries();
    let answer =
        function_command::run(libraries, args.as_args(), Some(&running), &mut writer(), &mut server.host, &mut reply);
    assert!(matches!(answer, Answer::Replied));
    assert!(out.starts_with(b"%2\r\n$14\r\nrunning_script\r\n%3\r\n$4\r\nname\r\n$2\r\nfa\r\n$7\r\ncommand\r\n*3\r\n"));
}

/// The reply of SCRIPT with these words.
fn script(server: &mut Server, words: &[&str]) -> String {
    let words: Vec<&str> = ["SCRIPT"].into_iter().chain(words.iter().copied()).collect();
    let args = OwnedArgs::from_slices(&words);
    let mut out = Vec::new();
    script_command::run(server.engine.scripts(), args.as_args(), &mut Reply::new(&mut out, false));
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn the_cache_of_scripts() {
    let mut server = Server::new();
    let sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
    assert_eq!(script(&mut server, &["EXISTS", sha, "x"]), "*2\r\n:0\r\n:0\r\n");
    assert_eq!(script(&mut server, &["LOAD", "return 1"]), format!("$40\r\n{sha}\r\n"));
    assert_eq!(script(&mut server, &["EXISTS", &sha.to_uppercase()]), "*1\r\n:1\r\n");
    assert_eq!(script(&mut server, &["SHOW", sha]), "$8\r\nreturn 1\r\n");
    assert!(script(&mut server, &["LOAD", "return ("]).starts_with("-ERR Error compiling script"));
    assert_eq!(script(&mut server, &["FLUSH", "x"]), "-ERR SCRIPT FLUSH only support SYNC|ASYNC option\r\n");
    assert_eq!(script(&mut server, &["FLUSH"]), "+OK\r\n");
    assert_eq!(script(&mut server, &["EXISTS", sha]), "*1\r\n:0\r\n");
    assert!(server.engine.scripts().by_sha(sha.as_bytes()).is_err());
}

#[test]
fn scripts_of_eval_are_bounded_and_loaded_ones_stay() {
    let mut server = Server::new();
    let kept = "return 'kept'";
    server.eval(kept);
    script(&mut server, &["LOAD", kept]);
    for i in 0..crate::scripts::EVALUATED_MAX {
        server.eval(&format!("return {i}"));
    }
    // The first one is used again, so that the second one goes.
    server.eval("return 0");
    server.eval("return 'more'");
    let mut is_there = |text: &str| {
        let sha = super::server_sha(text);
        server.engine.cached().exists(sha.as_bytes())
    };
    assert_eq!(
        [kept, "return 0", "return 1", "return 2", "return 'more'"].map(&mut is_there),
        [true, true, false, true, true]
    );
    let scripts = server.engine.cached();
    assert_eq!((scripts.len(), scripts.evicted()), (crate::scripts::EVALUATED_MAX + 1, 1));
    assert!(scripts.cache_bytes() > 501 * 8);
    for i in 0..5000 {
        server.eval(&format!("return {i} + 0"));
    }
    let scripts = server.engine.cached();
    assert_eq!((scripts.len(), scripts.evicted()), (crate::scripts::EVALUATED_MAX + 1, 5001));
    assert!(scripts.vm_bytes() < 2 << 20, "{}", scripts.vm_bytes());
}
