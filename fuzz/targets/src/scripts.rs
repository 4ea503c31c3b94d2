//! Texts of scripts and of libraries: whatever they do, they end, and the next one finds everything as it was.

use rivulet_resp::{Args, OwnedArgs, Reply};
use rivulet_scripting::{Engine, Host, Identity, Input, Interrupt, KILLED, LogLevel, Replication};

const LIMIT_BYTES: usize = 8 << 20;

/// A host that answers with the command's last argument, whatever that is, and soon ends what runs.
#[derive(Default)]
pub(crate) struct Echo {
    interrupts: u32,
}

impl Host for Echo {
    fn call(&mut self, command: Args<'_>, resp3: bool, reply: &mut Vec<u8>) {
        let last = command.at(command.len() - 1);
        match command.at(0) {
            b"raw" => reply.extend_from_slice(last),
            _ => Reply::new(reply, resp3).bulk(last),
        }
    }

    fn may_run(&mut self, command: Args<'_>) -> Option<bool> {
        (command.len() > 1).then_some(true)
    }

    fn log(&mut self, _: LogLevel, _: &[u8]) {}

    fn set_replication(&mut self, _: Replication) {}

    fn interrupt(&mut self) -> Interrupt {
        self.interrupts += 1;
        if self.interrupts > 5 { Interrupt::End(KILLED) } else { Interrupt::Continue }
    }

    fn cpu_seconds(&mut self) -> f64 {
        1.0
    }
}

pub(crate) fn engine() -> Engine {
    Engine::new(Identity { redis_version: "7.2.4" }, LIMIT_BYTES)
}

/// The reply of EVAL with these arguments, if the text is a script.
pub(crate) fn eval(engine: &mut Engine, script: &[u8], arguments: &[&[u8]]) -> Option<Vec<u8>> {
    let words: Vec<&[u8]> = [b"EVAL".as_slice(), script, b"0"].into_iter().chain(arguments.iter().copied()).collect();
    let args = OwnedArgs::from_slices(&words);
    let input = Input::of_script(args.as_args()).expect("the number of keys is right");
    let id = engine.scripts().evaluated(script).ok()?;
    let mut out = Vec::new();
    engine.eval(id, &input, &mut Echo::default(), &mut Reply::new(&mut out, false));
    Some(out)
}

/// What a script sees of its surroundings.
const SURROUNDINGS: &[u8] = b"local names = {} for name, value in pairs(_G) do \
    names[#names + 1] = name if type(value) == 'table' and value ~= _G then \
    for inner, v in pairs(value) do names[#names + 1] = name .. '.' .. inner .. ':' .. type(v) end end end \
    table.sort(names) return names";

pub fn run(bytes: &[u8]) {
    let mut engine = engine();
    let before = eval(&mut engine, SURROUNDINGS, &[]);
    if let Some(reply) = eval(&mut engine, bytes, &[b"one", b"two"]) {
        assert!(reply.ends_with(b"\r\n"), "a script has a reply");
    }
    let _ = engine.libraries().load(bytes, true, &mut Echo::default());
    assert_eq!(eval(&mut engine, SURROUNDINGS, &[]), before, "a script has changed what others see");
    assert!(engine.cached().vm_bytes() <= LIMIT_BYTES + (1 << 20), "memory is bounded");
}

pub fn seeds() -> Vec<Vec<u8>> {
    [
        "return {KEYS, ARGV[1], 1.5, true, {ok = 'x'}, {err = 'y'}, {map = {a = 1}}}",
        "#!lua flags=no-writes,allow-stale\nlocal a = redis.call('get', ARGV[1]) return #a .. a",
        "#!lua name=lib\nredis.register_function{function_name = 'f', callback = function(k, a) return a end, flags = {'no-writes'}}",
        "local t = setmetatable({}, {__index = function(t, k) return k end}) return t.x .. t[1]",
        "local ok, e = pcall(error, {err = 'x'}) while not ok do ok = pcall(redis.call) or #e < 5 e = e .. e end return e",
        "return loadstring('return ' .. string.rep('x', 5) .. ' or 1')()",
        "local co = coroutine.wrap(function(a) while true do a = coroutine.yield(a .. '!') end end) return co('a') .. co('b')",
        "redis.setresp(3) return redis.pcall('raw', '%1\\r\\n+a\\r\\n#t\\r\\n')",
        "for k, v in pairs(string) do if type(v) == 'function' then pcall(v, 'a', 'b', 1) end end return 1",
        "return cjson.encode({cmsgpack.unpack(cmsgpack.pack({1, {a = 2}}, nil, 'x')), struct.pack('>I2', 7), bit.tohex(9)})",
        "for i = 1, 1e9 do local s = {i, tostring(i), [i] = function() return i end} end",
        "local s = 'x' repeat s = s .. s until #s > 1e9 return s",
        "return table.concat({unpack({1, 2, 3}, 1, 3)}, [=[ , ]=]), select('#', ...), math.random(5), os.clock()",
        "local r = {} for k, v in ('a=1, [b]=%2'):gmatch('(%w+)%]?=(%f[%w%%].-)%f[,%z]') do r[#r + 1] = k .. v end return r",
        "return {('x.y(z)'):find('()%b()%s*$'), ('aXbX'):gsub('(%l)X', '%1%0'), ('ab'):gsub('.', {a = 1}), ('ab'):match('^(a)%1?(.-)$')}",
        "getmetatable('').__index.rep = nil _G.x = 1 rawset(_G, 'y', 2) redis = {}",
    ]
    .iter()
    .map(|s| s.as_bytes().to_vec())
    .collect()
}
