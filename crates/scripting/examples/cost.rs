//! What scripts cost, without a server around them: `cargo run --release -p rivulet-scripting --example cost`.

use std::time::Instant;

use rivulet_resp::{Args, OwnedArgs, Reply};
use rivulet_scripting::{Engine, Host, Identity, Input, Interrupt, LogLevel, Replication};

/// A host whose GET always finds the same.
struct Fixed;

impl Host for Fixed {
    fn call(&mut self, command: Args<'_>, resp3: bool, reply: &mut Vec<u8>) {
        let mut reply = Reply::new(reply, resp3);
        match command.len() {
            2 => reply.bulk(b"value"),
            _ => reply.int(1),
        }
    }

    fn may_run(&mut self, _: Args<'_>) -> Option<bool> {
        Some(true)
    }

    fn log(&mut self, _: LogLevel, _: &[u8]) {}

    fn set_replication(&mut self, _: Replication) {}

    fn interrupt(&mut self) -> Interrupt {
        Interrupt::Continue
    }

    fn cpu_seconds(&mut self) -> f64 {
        0.0
    }
}

fn main() {
    let hset = "for i = 1, 10 do redis.call('hset', KEYS[1], ARGV[i], i) end return 1";
    let only = std::env::args().nth(1);
    for (name, script, rounds) in [
        ("return 1", "return 1", 2_000_000),
        ("EVALSHA of GET", "return redis.call('get', KEYS[1])", 2_000_000),
        ("EVALSHA of ten HSET", hset, 300_000),
        ("list of ten", "return {1, 2, 3, 4, 5, 'a', 'b', 'c', 'd', 'e'}", 1_000_000),
        ("cjson both ways", "return cjson.encode(cjson.decode(ARGV[11]))", 200_000),
        ("5,000,000 empty rounds", "for i = 1, 5000000 do end return 1", 5),
        ("5,000,000 rounds of while", "local i = 0 while i < 5000000 do i = i + 1 end return 1", 5),
        ("100,000 string.find", "for i = 1, 100000 do string.find('hello world', 'o (w)') end return 1", 100),
        ("100,000 of gsub", "for i = 1, 100000 do string.gsub('hello world', 'o', '0') end return 1", 20),
        (
            "100,000 of gsub with a function",
            "local f = function(c) return c end for i = 1, 100000 do string.gsub('hello world', 'o', f) end return 1",
            10,
        ),
        (
            "100,000 pairs of five",
            "local t = {a = 1, b = 2, 3, 4, 5} for i = 1, 100000 do for k, v in pairs(t) do end end return 1",
            20,
        ),
        ("100,000 tonumber, tostring", "for i = 1, 100000 do tonumber(tostring(i)) end return 1", 20),
        ("100,000 redis.call", "for i = 1, 100000 do redis.call('get', KEYS[1]) end return 1", 20),
        ("100,000 pcall", "for i = 1, 100000 do pcall(tonumber, 1) end return 1", 20),
        ("100,000 bit.band", "for i = 1, 100000 do bit.band(i, 255) end return 1", 20),
        ("100,000 struct.pack", "for i = 1, 100000 do struct.pack('>I2', i) end return 1", 20),
    ] {
        if only.as_deref().is_none_or(|o| name.contains(o)) {
            measure(name, script, rounds);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it is what this program is for")]
fn measure(name: &str, script: &str, rounds: u32) {
    let mut engine = Engine::new(Identity { redis_version: "7.0.15" }, 256 << 20);
    let sha = engine.scripts().load(script.as_bytes()).unwrap_or_else(|f| panic!("{f:?}"));
    let mut words: Vec<&[u8]> = vec![b"EVALSHA", &sha, b"1", b"key:000000000001"];
    words.extend([b"f0".as_slice(), b"f1", b"f2", b"f3", b"f4", b"f5", b"f6", b"f7", b"f8", b"f9"]);
    words.push(br#"{"name":"x","list":[1,2,3,4.5],"nested":{"a":true,"b":null}}"#);
    if name == "EVALSHA of GET" {
        words.truncate(4);
    }
    let args = OwnedArgs::from_slices(&words);
    let mut out = Vec::new();
    let begin = Instant::now();
    for _ in 0..rounds {
        out.clear();
        let args = args.as_args();
        let id = engine.scripts().by_sha(args.at(1)).expect("it was loaded");
        let input = Input::of_script(args).expect("it is right");
        engine.eval(id, &input, &mut Fixed, &mut Reply::new(&mut out, false));
    }
    let each = begin.elapsed().as_nanos() / u128::from(rounds);
    println!("{name:28} {each:>12} ns  {}", String::from_utf8_lossy(&out[..out.len().min(40)]).escape_debug());
}
