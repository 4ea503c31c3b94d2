//! Random scripts: commands of all types in them, their replies through the libraries, and values of all kinds as what they return.

use crate::random::Rng;
use crate::words::Words;

/// What a command line must be to stand in a script.
pub type Fits = fn(&[Vec<u8>]) -> bool;

/// Makes scripts.
pub struct Scripts {
    words: Words,
    /// Commands whose replies are the same to the byte wherever they are executed.
    fits: Fits,
}

/// What every script can use: a value as text, whatever it is.
const PRELUDE: &str = "local function show(v)
 if type(v) ~= 'table' then return type(v) .. ':' .. tostring(v) end
 if v.err then return 'err:' .. v.err end
 if v.ok then return 'ok:' .. v.ok end
 if v.double then return 'double:' .. v.double end
 local all = {}
 for i, item in ipairs(v) do all[i] = show(item) end
 return '[' .. table.concat(all, ',') .. ']'
end
";

/// Ways through the libraries and back, for whatever value.
const WAYS: &[&str] = &[
    "show({v})",
    "cjson.encode({v})",
    "cjson.decode(cjson.encode({{v}, 'x', 1.5}))",
    "cmsgpack.unpack(cmsgpack.pack({v}))",
    "cmsgpack.pack({v})",
    "redis.sha1hex(show({v}))",
    "#show({v})",
    "tonumber({v})",
    "(tonumber(show({v}):match('-?%d+')) or 3) * 1.5 % 7",
    "bit.band(tonumber(show({v}):match('%d+')) or 3, 255)",
    "bit.tohex(tonumber(show({v}):match('%d+')) or 3, {small})",
    "bit.bxor(bit.lshift(5, {small}), bit.bswap({int}))",
    "struct.pack('>I4', tonumber(show({v}):match('%d+')) or 3)",
    "{struct.unpack('<i2', struct.pack('<i2', {int} % 1000))}",
    "struct.unpack('>bhHdfs', {text})",
    "struct.pack('{format}', {int}, {float}, {text})",
    "struct.size('{format}')",
    "string.format('%5.{small}f|%d|%q|%s', {float}, {int}, {text}, show({v}))",
    "string.rep({text}, {small})",
    "string.gsub(show({v}), '%w', {text})",
    "table.concat({show({v}), {text}, {int}}, '-')",
    "{unpack({1, {v}, 3}, 1, {small})}",
    "select('#', show({v}), {v})",
    "cjson.decode({json})",
    "cjson.encode({double = {float}})",
    "cjson.encode({[{small}] = {text}})",
    "cmsgpack.unpack({text})",
    "{cmsgpack.unpack_limit(cmsgpack.pack(1, {text}, {float}), {small} % 3 + 1)}",
    "math.floor({float})",
    "tostring({float})",
    "redis.status_reply({text})",
    "redis.error_reply({text})",
    "pcall(redis.call, {text})",
    "redis.pcall('GET')",
    "{double = {float}}",
    "{map = {a = {v}}}",
    "{set = {x = true}}",
    "{big_number = '123456789012345678901234567890'}",
    "{verbatim_string = {string = {text}, format = 'txt'}}",
    "{true, false, 1, -3.99, {text}}",
    "{1, nil, 3}",
    "nil",
    "error({text})",
    "error({err = 'MINE ' .. {text}})",
    "{v} .. {text}",
    "{v} + 1",
    "{v}.field",
    "{v}[1]",
    "type({v})",
    "KEYS[1]",
    "#ARGV",
    "{KEYS[2], ARGV[1]}",
    "nobody",
];

impl Scripts {
    pub fn new(words: Words, fits: Fits) -> Self {
        Self { words, fits }
    }

    /// The next EVAL.
    pub fn command(&mut self, rng: &mut Rng) -> Vec<Vec<u8>> {
        let mut text = PRELUDE.to_string();
        let mut given: Vec<Vec<u8>> = Vec::new();
        if rng.u8(..6) == 0 {
            text += "redis.setresp(3)\n";
        }
        let count = rng.usize(1..5);
        for i in 0..count {
            let way = WAYS[rng.usize(..WAYS.len())];
            let call = if rng.u8(..4) == 0 { "call" } else { "pcall" };
            text += &format!("local r{i} = redis.{call}({})\n", self.arguments(rng, &mut given));
            if rng.bool() {
                text += &format!("r{i} = {}\n", filled(way, &format!("r{i}"), rng));
            }
        }
        let all: Vec<String> = (0..count).map(|i| format!("r{i}")).collect();
        text += &match rng.u8(..4) {
            0 => format!("return {}", all[0]),
            1 => format!("return show({{{}}})", all.join(", ")),
            _ => format!("return {{{}}}", all.join(", ")),
        };
        let keys = rng.usize(..=given.len().min(3));
        let eval: &[u8] = if rng.u8(..12) == 0 { b"EVAL_RO" } else { b"EVAL" };
        let mut command = vec![eval.to_vec(), text.into_bytes(), keys.to_string().into_bytes()];
        command.append(&mut given);
        command
    }

    /// A command as arguments of a call; some words of it are arguments of the script.
    fn arguments(&mut self, rng: &mut Rng, given: &mut Vec<Vec<u8>>) -> String {
        let command = loop {
            let command = self.words.command(rng);
            if (self.fits)(&command) {
                break command;
            }
        };
        let word = |word: &Vec<u8>| {
            if given.len() < 6 && rng.u8(..6) == 0 {
                given.push(word.clone());
            }
            literal(word)
        };
        command.iter().map(word).collect::<Vec<_>>().join(", ")
    }
}

/// A string of Lua.
fn literal(bytes: &[u8]) -> String {
    let mut text = String::from("'");
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b' ' | b':' | b'.' | b'-' => text.push(*byte as char),
            other => text += &format!("\\{other:03}"),
        }
    }
    text + "'"
}

fn filled(way: &str, value: &str, rng: &mut Rng) -> String {
    let mut text = way.replace("{v}", value);
    for name in ["{small}", "{int}", "{float}", "{text}", "{json}", "{format}"] {
        while text.contains(name) {
            let word = match name {
                "{small}" => rng.usize(..12).to_string(),
                "{int}" => rng.i64(-70_000..70_000).to_string(),
                "{float}" => float(rng),
                "{json}" => literal(json(rng, 0).as_bytes()),
                "{format}" => format(rng),
                _ => literal(&some_bytes(rng)),
            };
            text = text.replacen(name, &word, 1);
        }
    }
    text
}

fn float(rng: &mut Rng) -> String {
    match rng.u8(..8) {
        0 => "(0/0)".into(),
        1 => "(1/0)".into(),
        2 => "(-1/0)".into(),
        3 => "1e300".into(),
        4 => "-0.0".into(),
        5 => "0.1".into(),
        _ => format!("{}", rng.i32(..) as f64 / 1000.0),
    }
}

fn some_bytes(rng: &mut Rng) -> Vec<u8> {
    match rng.u8(..3) {
        0 => (0..rng.usize(..12)).map(|_| rng.u8(..)).collect(),
        1 => rng.i32(..).to_string().into_bytes(),
        _ => (0..rng.usize(..8)).map(|_| rng.alphanumeric() as u8).collect(),
    }
}

fn format(rng: &mut Rng) -> String {
    let parts = [
        "<", ">", "=", "!4", "b", "B", "h", "H", "i", "I2", "l", "L", "T", "f", "d", "s", "x", "c3", "c0", "I9", "!3",
        "q",
    ];
    (0..rng.usize(1..5)).map(|_| parts[rng.usize(..parts.len())]).collect()
}

/// JSON, well formed most of the time. An object has one name: the order of several is open.
fn json(rng: &mut Rng, depth: usize) -> String {
    let kinds = if depth > 3 { 6 } else { 8 };
    let mut text = match rng.u8(..kinds) {
        0 => "null".into(),
        1 => "true".into(),
        2 => rng.i64(-100_000..100_000).to_string(),
        3 => format!("{}e{}", rng.i16(..) as f64 / 8.0, rng.i8(..20)),
        4 => format!("\"{}\"", String::from_utf8_lossy(&some_bytes(rng)).replace(['"', '\\'], "/")),
        5 => "\"\\u00e9\\ud83d\\ude00\\n\\/\"".into(),
        6 => {
            let items: Vec<String> = (0..rng.usize(..4)).map(|_| json(rng, depth + 1)).collect();
            format!("[{}]", items.join(","))
        }
        _ => format!("{{\"{}\":{}}}", rng.alphanumeric(), json(rng, depth + 1)),
    };
    if rng.u8(..24) == 0 {
        let cut = rng.usize(..=text.len());
        if text.is_char_boundary(cut) {
            text.truncate(cut);
        }
    }
    text
}
