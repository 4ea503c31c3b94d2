//! Scripts as a client sees them.

mod debugging;
mod differential;
mod functions;
mod peer;

use crate::testing::Server;
use crate::{Ended, LogLevel, Replication};

/// The text of an error reply without the script's place.
fn error(reply: &str) -> &str {
    reply.strip_prefix('-').and_then(|r| r.split(" script: ").next()).unwrap_or(reply)
}

#[test]
fn values_become_replies() {
    let mut server = Server::new();
    for (script, reply2, reply3) in [
        ("return 1.9", ":1\r\n", ":1\r\n"),
        ("return 'a'", "$1\r\na\r\n", "$1\r\na\r\n"),
        ("return true", ":1\r\n", ":1\r\n"),
        ("return false", "$-1\r\n", "_\r\n"),
        ("", "$-1\r\n", "_\r\n"),
        ("redis.setresp(3) return {true, false}", "*2\r\n:1\r\n:0\r\n", "*2\r\n#t\r\n#f\r\n"),
        ("return {1, 2, nil, 4}", "*2\r\n:1\r\n:2\r\n", "*2\r\n:1\r\n:2\r\n"),
        ("return {ok = 'a\\r\\nb'}", "+a  b\r\n", "+a  b\r\n"),
        ("return {err = 'X y'}", "-X y\r\n", "-X y\r\n"),
        ("return {double = 3.25}", "$4\r\n3.25\r\n", ",3.25\r\n"),
        ("return {map = {a = 1}}", "*2\r\n$1\r\na\r\n:1\r\n", "%1\r\n$1\r\na\r\n:1\r\n"),
        ("return {set = {a = true}}", "*1\r\n$1\r\na\r\n", "~1\r\n$1\r\na\r\n"),
        ("return {big_number = '12'}", "$2\r\n12\r\n", "(12\r\n"),
        ("return {verbatim_string = {string = 'hi', format = 'm'}}", "$2\r\nhi\r\n", "=6\r\nm  :hi\r\n"),
        ("return {err = 5}", "*0\r\n", "*0\r\n"),
        ("return redis", "*0\r\n", "*0\r\n"),
        ("return function() end", "$-1\r\n", "_\r\n"),
        (
            "return {{1}, {err = 'E'}, 'x'}",
            "*3\r\n*1\r\n:1\r\n-E\r\n$1\r\nx\r\n",
            "*3\r\n*1\r\n:1\r\n-E\r\n$1\r\nx\r\n",
        ),
        ("return 1e300", ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"),
    ] {
        assert_eq!(server.eval_with(script, &["0"], false), reply2, "{script}");
        assert_eq!(server.eval_with(script, &["0"], true), reply3, "{script}");
    }
}

#[test]
fn what_nests_too_deep_is_cut_off() {
    let mut server = Server::new();
    let reply = server.eval("local t = {} for _ = 1, 9000 do t = {t} end return t");
    assert!(reply.ends_with("-ERR reached lua stack limit\r\n"), "{}", reply.len());
    assert_eq!(server.eval("local t = {} t[1] = t return t").len(), reply.len());
}

#[test]
fn replies_become_values() {
    let mut server = Server::new();
    for (raw, seen) in [
        (":7\\r\\n", "7"),
        ("$2\\r\\nhi\\r\\n", "\"hi\""),
        ("$-1\\r\\n", "false"),
        ("*-1\\r\\n", "false"),
        ("+OK\\r\\n", "{\"ok\":\"OK\"}"),
        ("-ERR x y\\r\\n", "{\"ignore_error_stats_update\":true,\"err\":\"ERR x y\"}"),
        ("*2\\r\\n:1\\r\\n*1\\r\\n$0\\r\\n\\r\\n", "[1,[\"\"]]"),
        ("_\\r\\n", "null"),
        ("#t\\r\\n", "true"),
        (",1.5\\r\\n", "{\"double\":1.5}"),
        ("(123\\r\\n", "{\"big_number\":\"123\"}"),
        ("=6\\r\\ntxt:hi\\r\\n", "{\"verbatim_string\":{\"format\":\"txt\",\"string\":\"hi\"}}"),
        ("%1\\r\\n+k\\r\\n:1\\r\\n", "table"),
        ("~1\\r\\n$1\\r\\na\\r\\n", "{\"set\":{\"a\":true}}"),
        ("|1\\r\\n+a\\r\\n+b\\r\\n:5\\r\\n", "5"),
    ] {
        let script = format!(
            "redis.setresp(3) local ok, text = pcall(cjson.encode, redis.pcall('raw', '{raw}')) return ok and text or 'table'"
        );
        assert_eq!(server.eval(&script), format!("${}\r\n{seen}\r\n", seen.len()), "{raw}");
    }
    for raw in
        ["", "x", ":1", "$5\\r\\nab\\r\\n", "*2\\r\\n:1\\r\\n", "*9999999999\\r\\n", "$-2\\r\\n", ":1\\r\\n:2\\r\\n"]
    {
        let reply = server.eval(&format!("return redis.call('raw', '{raw}')"));
        assert_eq!(error(&reply), "ERR ERR a command's reply is malformed", "{raw}");
    }
}

#[test]
fn errors_have_the_script_and_its_line() {
    let mut server = Server::new();
    let sha = |text: &str| server_sha(text);
    for (script, text) in [
        ("error('x')", "ERR user_script:1: x"),
        ("error({err='MY x'})", "MY x"),
        ("error({})", "ERR unknown error"),
        ("error()", "ERR nil"),
        ("error({err=1})", "1"),
        ("error(true)", "ERR true"),
        ("error('x', 0)", "ERR x"),
        ("redis.call('nosuch')", "ERR Unknown Redis command called from script"),
        ("redis.call()", "ERR Please specify at least one argument for this redis lib call"),
        ("redis.call({})", "ERR Lua redis lib command arguments must be strings or integers"),
        ("redis.setresp(4)", "ERR RESP version must be 2 or 3."),
        ("redis.setresp()", "ERR redis.setresp() requires one argument."),
        ("redis.sha1hex()", "ERR wrong number of arguments"),
        ("redis.log(1)", "ERR redis.log() requires two arguments or more."),
        ("redis.log('a', 'b')", "ERR First argument must be a number (log level)."),
        ("redis.log(9, 'b')", "ERR Invalid log level."),
        ("redis.acl_check_cmd('nosuch')", "ERR Invalid command passed to redis.acl_check_cmd()"),
        ("return x", "ERR user_script:1: Script attempted to access nonexistent global variable 'x'"),
        ("x = 1", "ERR user_script:1: Attempt to modify a readonly table"),
        ("KEYS = 1", "ERR user_script:1: Attempt to modify a readonly table"),
        ("local f = function() redis = 1 end f()", "ERR user_script:1: Attempt to modify a readonly table"),
        (
            "local f = function() return function() redis = 1 end end f()()",
            "ERR user_script:1: Attempt to modify a readonly table",
        ),
        ("loadstring('redis = 1', '@user_script')()", "ERR user_script:1: Attempt to modify a readonly table"),
        ("return nosuch", "ERR user_script:1: Script attempted to access nonexistent global variable 'nosuch'"),
        ("return _G.nosuch", "ERR user_script:1: Script attempted to access nonexistent global variable 'nosuch'"),
        ("redis.x = 1", "ERR user_script:1: Attempt to modify a readonly table"),
        ("rawset(redis, 1, 2)", "ERR Attempt to modify a readonly table"),
        ("setmetatable(redis, {})", "ERR Attempt to modify a readonly table"),
        ("table.insert(cjson, 1)", "ERR Attempt to modify a readonly table"),
        ("getmetatable('').__index = 1", "ERR user_script:1: Attempt to modify a readonly table"),
        ("getmetatable('').__index.upper = 1", "ERR user_script:1: Attempt to modify a readonly table"),
        ("getmetatable(_G).__index = 1", "ERR user_script:1: Attempt to modify a readonly table"),
        ("return string.rep('x')", "ERR user_script:1: bad argument #2 to 'rep' (number expected, got no value)"),
        ("return ('x'):rep({})", "ERR user_script:1: bad argument #1 to 'rep' (number expected, got table)"),
        ("return math.random(0)", "ERR user_script:1: bad argument #1 to 'random' (interval is empty)"),
    ] {
        let reply = format!("-{text} script: {}, on @user_script:1.\r\n", sha(script));
        assert_eq!(server.eval(script), reply, "{script}");
    }
    let script = "\n\nlocal t\nreturn t.x";
    let reply = format!(
        "-ERR user_script:4: attempt to index local 't' (a nil value) script: {}, on @user_script:4.\r\n",
        sha(script)
    );
    assert_eq!(server.eval(script), reply);
    assert_eq!(
        server.eval("return ("),
        "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'\r\n"
    );
}

fn server_sha(text: &str) -> String {
    use sha1::{Digest, Sha1};
    String::from_utf8(crate::api::hexadecimal(&Sha1::digest(text))).expect("digits")
}

#[test]
fn whether_an_error_was_counted() {
    let mut server = Server::new();
    server.eval("redis.call('nosuch')");
    assert_eq!(server.ended, Some(Ended::Failed { is_counted: true }));
    server.eval("error('x')");
    assert_eq!(server.ended, Some(Ended::Failed { is_counted: false }));
    server.eval("return redis.pcall('nosuch')");
    assert_eq!(server.ended, Some(Ended::Failed { is_counted: true }));
    for script in ["return redis.error_reply('X y')", "return {err = 'X y', ignore_error_stats_update = 1}", "return 1"]
    {
        server.eval(script);
        assert_eq!(server.ended, Some(Ended::Returned), "{script}");
    }
}

#[test]
fn pcall_gives_the_text() {
    let mut server = Server::new();
    for (script, text) in [
        (
            "return cjson.encode({pcall(redis.call, 'get')})",
            r#"[false,"ERR Wrong number of args calling Redis command from script"]"#,
        ),
        ("return cjson.encode({pcall(error, {err = 'a'})})", r#"[false,"a"]"#),
        ("return cjson.encode({pcall(error, {x = 'a'})})", r#"[false,{"x":"a"}]"#),
        ("return cjson.encode({pcall(function(...) return ... end, 1, 2)})", "[true,1,2]"),
        (
            "return cjson.encode({xpcall(function() error({err = 'a'}) end, function(e) return e.err end)})",
            r#"[false,"a"]"#,
        ),
        ("return cjson.encode(redis.error_reply('My Err'))", r#"{"err":"My Err"}"#),
        (
            "return cjson.encode({pcall(cjson.decode, '{')})",
            r#"[false,"Expected object key string but found T_END at character 2"]"#,
        ),
    ] {
        assert_eq!(server.eval(script), format!("${}\r\n{text}\r\n", text.len()), "{script}");
    }
}

#[test]
fn keys_arguments_and_calls() {
    let mut server = Server::new();
    let script = "redis.call('set', KEYS[1], ARGV[1]) return {redis.call('get', KEYS[1]), #KEYS, #ARGV, redis.call('get', 'none')}";
    assert_eq!(server.eval_with(script, &["1", "k", "v", "w"], false), "*4\r\n$1\r\nv\r\n:1\r\n:2\r\n$-1\r\n");
    // What a script does to them is not there for the next one.
    server.eval_with("KEYS[1] = 'x' KEYS.y = 1 return 1", &["1", "k"], false);
    assert_eq!(server.eval("return {KEYS[1] or 'nil', KEYS.y or 'nil'}"), "*2\r\n$3\r\nnil\r\n$3\r\nnil\r\n");
}

#[test]
fn what_goes_to_the_host() {
    let mut server = Server::new();
    server.eval("redis.log(redis.LOG_WARNING, 'x', true, nil, 5) redis.set_repl(redis.REPL_AOF)");
    assert_eq!(server.host.logged, [(LogLevel::Warning, b"x 5".to_vec())]);
    assert_eq!(server.host.replication, [Replication { to_aof: true, to_replicas: false }]);
    assert_eq!(
        server.eval("return {redis.acl_check_cmd('get', 'x'), redis.acl_check_cmd('set', 'x')}"),
        "*2\r\n:1\r\n$-1\r\n"
    );
    assert_eq!(server.eval("return tostring(os.clock())"), "$3\r\n0.5\r\n");
    assert_eq!(server.eval("return redis.breakpoint()"), "$-1\r\n");
    assert_eq!(server.eval("return redis.replicate_commands()"), ":1\r\n");
    assert_eq!(
        server.eval("return {redis.REDIS_VERSION, server.REDIS_VERSION_NUM}"),
        "*2\r\n$6\r\n7.0.15\r\n:458767\r\n"
    );
}

#[test]
fn a_killed_script_ends_whatever_it_does() {
    for script in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "local f = coroutine.wrap(function() while true do pcall(function() while true do end end) end end) while true do pcall(f) end",
        "while true do load(function() while true do end end) end",
        "setmetatable({}, {__index = function() while true do end end}).x = nil while true do end",
        "table.sort({1, 2, 3}, function() while true do end end)",
        "cjson.encode_sparse_array(true, 0, 0) cjson.encode({[2147483647] = 1})",
        "string.gsub('x', 'x', function() while true do end end)",
        "string.find(string.rep('a', 300), string.rep('.-', 30) .. 'b')",
        "string.gsub(string.rep('a', 300), string.rep('a*', 30) .. 'b', '')",
        "for _ in string.gmatch(string.rep('a', 300), string.rep('(a?)', 30) .. string.rep('.-', 30) .. 'b') do end",
    ] {
        let mut server = Server::new();
        server.host.ends_after = Some(3);
        let reply = server.eval(script);
        assert!(reply.starts_with("-ERR Script killed by user with SCRIPT KILL... script: "), "{script}: {reply}");
        assert_eq!(server.ended, Some(Ended::Killed), "{script}");
        assert_eq!(server.host.interrupts, 3, "{script}");
        server.host.ends_after = None;
        assert_eq!(server.eval("return 'still here'"), "$10\r\nstill here\r\n");
    }
}

#[test]
fn memory_is_bounded() {
    for script in [
        "local s = 'x' while true do s = s .. s end",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "return string.rep('x', 2^30)",
        "local t = {} for i = 1, 100 do t[i] = string.rep(tostring(i), 1e6) end return table.concat(t)",
        "local s = string.rep('x', 1e7) return cjson.encode({s, s, s, s, s, s, s, s, s})",
        "local s = string.rep('[1,', 1e6) local t = {} while true do t[#t + 1] = cmsgpack.pack(s, #t) end",
        "return cmsgpack.unpack(string.rep('\\145', 100))",
        "local t = {} while true do t[#t + 1] = cjson.new() end",
        "local f = 'return {' .. string.rep('1,', 1e7) .. '}' local ok, e = loadstring(f) error(e)",
        "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
        "cjson.encode_sparse_array(true, 0, 0) local r = cjson.encode({[2147483647] = 1})",
    ] {
        let mut server = Server::new();
        let reply = server.eval(script);
        let expected = if script.starts_with("return cmsgpack") { "Missing bytes" } else { "not enough memory" };
        assert!(reply.contains(expected), "{script}: {reply}");
        assert!(server.engine.cached().vm_bytes() < 1 << 20, "{script}: {}", server.engine.cached().vm_bytes());
        assert_eq!(server.eval("return redis.call('echo', 'ok')"), "$2\r\nok\r\n", "{script}");
    }
}

#[test]
#[should_panic(expected = "a host that fails")]
fn a_panic_of_the_host_goes_on() {
    Server::new().eval("pcall(redis.call, 'panic')");
}

#[test]
fn nothing_leads_out_of_the_sandbox() {
    let mut server = Server::new();
    for name in
        ["dofile", "loadfile", "print", "newproxy", "getfenv", "setfenv", "require", "module", "io", "debug", "package"]
    {
        let reply = server.eval(&format!("return {name}"));
        assert!(reply.contains(&format!("nonexistent global variable '{name}'")), "{reply}");
    }
    assert_eq!(server.eval("local r = {} for k in pairs(os) do r[#r + 1] = k end return r"), "*1\r\n$5\r\nclock\r\n");
    let nothing = "-ERR user_script:1: Attempt to modify a readonly table";
    for script in [
        "for k, v in pairs(_G) do if type(v) == 'table' and k ~= 'KEYS' and k ~= 'ARGV' then v.x = 1 end end",
        "local n, t = next(_G) local f, t = pairs(redis) t.x = 1",
        "rawget(_G, 'string').upper = nil",
        "_G._G.redis = nil",
    ] {
        assert!(server.eval(script).starts_with(nothing), "{script}");
    }
    for (script, reply) in [
        ("return {loadstring(string.dump(function() end))}", "*0\r\n"),
        (
            "local text = '\\27Lua' local f = load(function() local t = text text = nil return t end) return tostring(f)",
            "$3\r\nnil\r\n",
        ),
        ("return rawget(_G, 'nosuch')", "$-1\r\n"),
        ("return type(rawget(redis, 'call'))", "$8\r\nfunction\r\n"),
        ("local n = 0 for _ in pairs(bit) do n = n + 1 end return n", ":12\r\n"),
        ("local n = 0 table.foreach(bit, function() n = n + 1 end) return n", ":12\r\n"),
        ("return {next({}) == nil, next({5})}", "*3\r\n:1\r\n:1\r\n:5\r\n"),
        ("return ('x'):upper()", "$1\r\nX\r\n"),
        ("return getmetatable(redis)", "$-1\r\n"),
    ] {
        assert_eq!(server.eval(script), reply, "{script}");
    }
}

/// Each is a published fault of Redis's Lua.
#[test]
fn published_faults() {
    let mut server = Server::new();
    // CVE-2025-49844: the collector freed the name of the chunk that was being parsed.
    let script = "collectgarbage('setpause', 1) collectgarbage('setstepmul', 1000) for i = 1, 300 do \
        loadstring('return {' .. string.rep('\"' .. i .. 'x\", ', 200) .. '}', '=' .. string.rep(tostring(i), 50)) \
        load(function() collectgarbage() return nil end, '=' .. string.rep('y', i)) end return 'ok'";
    assert_eq!(server.eval(script), "$2\r\nok\r\n");
    // The name that `load` gives by itself is held by nothing else.
    let script = "local functions = {} for i = 1, 20 do \
        functions[i] = load(function() collectgarbage() return nil end) collectgarbage() end return #functions";
    assert_eq!(server.eval(script), ":20\r\n");
    // CVE-2025-46817: the count of unpack overflowed.
    for range in ["0, 2147483647", "-2147483648, 2147483647", "-2147483647, 1", "1, 1e15", "1, 9000"] {
        let reply = server.eval(&format!("return {{unpack({{1, 2, 3}}, {range})}}"));
        assert!(
            error(&reply) == "ERR user_script:1: too many results to unpack" || reply.starts_with('*'),
            "{range}: {reply}"
        );
    }
    assert_eq!(server.eval("return {unpack({1, 2, 3}, 2)}"), "*2\r\n:2\r\n:3\r\n");
    // CVE-2025-46818: metatables of basic types could be changed.
    for value in ["''", "1", "nil", "true", "function() end", "coroutine.create(function() end)"] {
        let reply = server.eval(&format!("local m = getmetatable({value}) if m then m.__index = nil end return 1"));
        assert!(reply == ":1\r\n" || reply.contains("Attempt to modify a readonly table"), "{value}: {reply}");
    }
    // CVE-2025-46819: long brackets were counted wrong.
    for text in ["return [=[", "return [==[ ]=] ]==", "--[====", "return [=x", "[[", "return [[\\n"] {
        let reply = server.eval(&format!("return loadstring('{text}') == nil"));
        assert!(reply == ":1\r\n" || reply == "$-1\r\n", "{text}: {reply}");
    }
    let reply = server
        .eval("return (loadstring('return [' .. string.rep('=', 1e6) .. '[x]' .. string.rep('=', 1e6) .. ']')())");
    assert_eq!(reply, "$1\r\nx\r\n");
    // CVE-2024-31449: bit.tohex of the least number of digits.
    assert_eq!(server.eval("return bit.tohex(65535, -2147483648)"), "$8\r\n0000FFFF\r\n");
    // CVE-2024-46981: the collector at the end of a state.
    server.eval("collectgarbage('stop') local t = {} for i = 1, 1000 do t[i] = setmetatable({}, {__gc = function() error('x') end}) end");
    drop(server.engine.scripts().flush());
    assert_eq!(server.eval("return 1"), ":1\r\n");
    // CVE-2018-11218, CVE-2018-11219: stacks of cmsgpack, sizes of struct. CVE-2020-14147: the same again.
    let nested = server.eval("return cmsgpack.unpack(string.rep('\\145', 100000))");
    assert!(nested.contains("stack overflow"), "{nested}");
    let many = server.eval("return cmsgpack.unpack(string.rep('\\1', 100000))");
    assert!(many.contains("stack overflow"), "{many}");
    for format in ["I2147483647", "i33", "I99999999999", "!3", "c4294967296", "i2147483648"] {
        let reply = server.eval(&format!("return struct.unpack('{format}', 'abcd')"));
        assert!(reply.starts_with("-ERR"), "{format}: {reply}");
    }
    assert!(server.eval("return struct.unpack('b', 'abcd', 0)").contains("offset must be 1 or greater"));
    assert!(server.eval("return struct.unpack('>I2', 'abcd', 10)").contains("data string too short"));
    // CVE-2022-24834: lengths of cjson. CVE-2014-5461: functions with many parameters.
    assert!(
        server
            .eval("local t = {} for i = 1, 1001 do t = {t} end return cjson.encode(t)")
            .contains("excessive nesting (1001)")
    );
    assert!(
        server.eval("return cjson.decode(string.rep('[', 1001))").contains("too many nested data structures (1001)")
    );
    server.eval("cjson.encode_max_depth(2147483647) cjson.decode_max_depth(2147483647)");
    assert!(
        server
            .eval("local t = {} for i = 1, 1e5 do t = {t} end return cjson.encode(t)")
            .contains("excessive nesting (4001)")
    );
    assert!(
        server
            .eval("local t = {} for i = 1, 1e5 do t = {x = t} end return cjson.encode(t)")
            .contains("excessive nesting")
    );
    assert!(server.eval("return cjson.decode(string.rep('{\"a\":', 1e5))").contains("nested data structures"));
    let parameters: Vec<String> = (0..190).map(|i| format!("p{i}")).collect();
    let script = format!(
        "local function f({}, ...) return select('#', ...) end local r for i = 1, 100 do r = f() end return r",
        parameters.join(",")
    );
    assert_eq!(server.eval(&script), ":0\r\n");
    // Not numbered: a pattern with many quantifiers ended Redis 8.0 by a stack overflow.
    let reply = server.eval("return string.find(string.rep('a', 400000), string.rep('a?', 400000))");
    assert_eq!(error(&reply), "ERR user_script:1: pattern too complex");
    assert_eq!(
        server.eval("return (string.find('x' .. string.rep('a?', 4000), string.rep('a?', 4000), 1, true))"),
        ":2\r\n"
    );
    // Not numbered: two billion rounds for nothing.
    assert_eq!(server.eval("return string.rep('', 2147483647)"), "$0\r\n\r\n");
}

#[test]
fn many_arguments_and_results() {
    let mut server = Server::new();
    let many = "local t = {} for i = 1, 8200 do t[i] = 'x' end ";
    let more: String = (0..200).map(|i| format!("{i}, ")).collect();
    for count in (7780..=7810).chain(7980..=8000) {
        for function in [
            "redis.call",
            "redis.pcall",
            "redis.sha1hex",
            "cjson.encode",
            "cmsgpack.pack",
            "bit.bor",
            "math.random",
            "pcall",
            "select",
            "string.char",
            "error",
        ] {
            let reply = server.eval(&format!("{many} return #{{pcall({function}, {more} unpack(t, 1, {count}))}}"));
            assert!(reply.starts_with(':') || reply.starts_with("-ERR"), "{function} {count}: {reply}");
        }
    }
    assert_eq!(server.eval(&format!("{many} return #{{unpack(t, 1, 7990)}}")), ":7990\r\n");
    assert_eq!(server.eval(&format!("{many} return #redis.pcall('raw', unpack(t, 1, 7990)).err")), ":44\r\n");
    let reply = server.eval("return #{struct.unpack(string.rep('b', 9000), string.rep('x', 9000))}");
    assert_eq!(error(&reply), "ERR user_script:1: stack overflow (too many results)");
    let reply = server.eval("return #{string.byte(string.rep('x', 9000), 1, 9000)}");
    assert!(error(&reply).contains("string slice too long"), "{reply}");
    assert_eq!(server.eval("return 1"), ":1\r\n");
}

#[test]
fn an_engine_may_move_to_another_thread() {
    fn movable<T: Send>(_: &T) {}
    let mut engine = crate::testing::engine();
    movable(&engine);
    movable(&engine.scripts().flush());
}

#[test]
fn deep_recursion_is_an_error() {
    let mut server = Server::new();
    for script in [
        "local function f() return 1 + f() end return f()",
        "local function f() return pcall(f) end f() return 1",
        "local function f(n) return cjson.encode(setmetatable({}, {})) .. f(n + 1) end return f(1)",
        "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k + 1] end return t[1]",
        "local function f() return coroutine.wrap(f)() end return f()",
        "return loadstring('return ' .. string.rep('(', 1e5))()",
        "return loadstring(string.rep('do ', 1e5))",
        "local s = string.rep('a', 1e5) return (s:gsub('a', function() return s:gsub('a', s) end))",
    ] {
        let reply = server.eval(script);
        assert!(!reply.is_empty(), "{script}");
        assert_eq!(server.eval("return 1"), ":1\r\n", "{script}");
    }
}
