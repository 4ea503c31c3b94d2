//! The same expressions here and in redis-server 7.0: the replies are equal to the byte.

use fastrand::Rng;

use super::peer::Peer;
use crate::testing::Server;

/// What differs in a script's replies; `seed` says how to make it again.
fn difference(peer: &mut Peer, server: &mut Server, script: &str, seed: &str, resp3: bool) -> Option<String> {
    // Where later versions of Redis say something else, that is what we say.
    let mut theirs = peer.eval(script);
    for (text, later) in [
        ("Invalid debug level.", "Invalid log level."),
        ("redis.set_repl() requires two arguments.", "redis.set_repl() requires one argument."),
    ] {
        theirs = theirs.replace(text, later);
    }
    let ours = server.eval_with(script, &["0"], resp3);
    // A table that is a key has its place by its address, so that a packed map may come in another order.
    let sorted = |reply: &str| {
        let mut bytes = reply.as_bytes().to_vec();
        bytes.sort_unstable();
        bytes
    };
    let is_equal = ours == theirs || script.contains("cmsgpack.unpack") && sorted(&ours) == sorted(&theirs);
    (!is_equal).then(|| format!("{script}{seed}\n  ours   {ours:?}\n  theirs {theirs:?}\n"))
}

/// Expressions whose results, or errors, must be those of Redis.
fn fixed() -> Vec<String> {
    include_str!("expressions.txt")
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with("# "))
        .map(|l| if l.contains("return ") { l.to_string() } else { format!("return {l}") })
        .collect()
}

#[test]
fn fixed_expressions() {
    let expressions = fixed();
    assert!(expressions.len() > 300, "{}", expressions.len());
    for resp3 in [false, true] {
        let Some(mut peer) = Peer::start(if resp3 { "fixed3" } else { "fixed2" }) else {
            return eprintln!("skipped: there is no redis-server 7.0");
        };
        let mut server = Server::new();
        if resp3 {
            peer.command(&[b"HELLO", b"3"]);
        }
        let mut differences = Vec::new();
        for script in &expressions {
            differences.extend(difference(&mut peer, &mut server, script, "", resp3));
            // What scripts set stays; the next expression shall not depend on it.
            let reset = "cjson.encode_sparse_array(false, 2, 10) cjson.encode_max_depth(1000) \
                cjson.decode_max_depth(1000) cjson.encode_number_precision(14) cjson.encode_invalid_numbers(false) \
                cjson.decode_invalid_numbers(true) cjson.encode_keep_buffer(true) math.randomseed(0) return 1";
            differences.extend(difference(&mut peer, &mut server, reset, "", resp3));
        }
        assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
    }
}

#[test]
fn generated_expressions() {
    let Some(mut peer) = Peer::start("generated") else {
        return eprintln!("skipped: there is no redis-server 7.0");
    };
    let base = match std::env::var("RIVULET_SEED") {
        Ok(seed) if seed == "new" => fastrand::u64(..),
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => 14,
    };
    let mut differences = Vec::new();
    for (i, generate) in (0..).zip(GENERATORS) {
        let mut server = Server::new();
        for round in 0..1500 {
            let mut rng = Rng::with_seed(base.wrapping_mul(1_000_003).wrapping_add(i * 100_000 + round));
            let body = generate(&mut rng);
            let script = format!("return {{pcall(function() {body} end)}}");
            let seed = format!("\nRIVULET_SEED={base}, generator {i}, round {round}");
            differences.extend(difference(&mut peer, &mut server, &script, &seed, false));
        }
    }
    assert!(
        differences.is_empty(),
        "{} differences\n{}",
        differences.len(),
        differences[..differences.len().min(10)].join("\n")
    );
}

const GENERATORS: [fn(&mut Rng) -> String; 9] =
    [json_out, json_in, pack_out, pack_in, struct_out, struct_in, bits, values, patterns];

fn number(rng: &mut Rng) -> String {
    match rng.u8(..10) {
        0 => "0/0".into(),
        1 => "1/0".into(),
        2 => format!("{}", rng.i64(..)),
        3 => format!("{:e}", f64::from_bits(rng.u64(..)).clamp(-1e300, 1e300)).replace("NaN", "0"),
        4 => format!("2^{}", rng.u8(..70)),
        5 => format!("-2^{}", rng.u8(..70)),
        6 => format!("{}.5", rng.i32(-1000..1000)),
        7 => format!("{}", rng.f64()),
        _ => format!("{}", rng.i32(-300..300)),
    }
}

fn string(rng: &mut Rng) -> String {
    let mut text = String::from("'");
    let len_max = if rng.u8(..20) == 0 { 300 } else { 8 };
    for _ in 0..rng.usize(..len_max) {
        match rng.u8(..4) {
            0 => text.push_str(&format!("\\{:03}", rng.u8(..))),
            1 => text.push(*rng.choice(b"/\"{}[],:0.").expect("it is not empty") as char),
            _ => text.push(rng.alphanumeric()),
        }
    }
    text + "'"
}

fn literal(rng: &mut Rng, depth: u8) -> String {
    match rng.u8(..if depth == 0 { 6 } else { 10 }) {
        0 => "nil".into(),
        1 => rng.bool().to_string(),
        2 => "cjson.null".into(),
        3 => string(rng),
        4 | 5 => number(rng),
        6 if rng.u8(..5) == 0 => format!("{{[{}]={}}}", rng.i32(1..30), literal(rng, depth - 1)),
        // One key alone: the order of several is decided by how the table was made.
        6 => format!("{{[{}]={}}}", string(rng), literal(rng, depth - 1)),
        _ => {
            let items: Vec<_> = (0..rng.u8(..5)).map(|_| literal(rng, depth - 1)).collect();
            format!("{{{}}}", items.join(","))
        }
    }
}

fn json_out(rng: &mut Rng) -> String {
    let setting = match rng.u8(..12) {
        0 => format!(
            "cjson.encode_invalid_numbers({}) ",
            rng.choice(["'null'", "true", "false", "'on'", "'x'"]).expect("one")
        ),
        1 => format!("cjson.encode_number_precision({}) ", rng.u8(..17)),
        2 => format!("cjson.encode_sparse_array({}, {}, {}) ", rng.bool(), rng.u8(..4), rng.u8(..12)),
        3 => format!("cjson.encode_max_depth({}) ", rng.u8(..5)),
        _ => String::new(),
    };
    format!("local j = cjson.new() {} return j.encode({})", setting.replace("cjson.", "j."), literal(rng, 4))
}

fn json_text(rng: &mut Rng, depth: u8) -> String {
    match rng.u8(..if depth == 0 { 5 } else { 8 }) {
        0 => [
            "true", "false", "null", "nul", "NaN", "-inf", "Infinity", "0x1p4", "01", "1e", "-", "+1", "1.5e3",
            "nan(x)",
        ][rng.usize(..14)]
        .to_string(),
        1 | 2 => format!("{}", rng.i32(-1000..1000)),
        3 => format!("{:e}", rng.f64() * 1e10),
        4 => {
            let inner =
                ["a", "\\n", "\\u00e9", "\\ud83d\\ude00", "\\ud83d", "\\x", "\\u12g4", "/", "\\/", "é", "\\u0000"];
            let text: String = (0..rng.u8(..4)).map(|_| inner[rng.usize(..inner.len())]).collect();
            format!("\"{text}\"")
        }
        5 => format!("{{\"k\" : {}}}", json_text(rng, depth - 1)),
        _ => {
            let items: Vec<_> = (0..rng.u8(..4)).map(|_| json_text(rng, depth - 1)).collect();
            format!("[{}]", items.join(" ,"))
        }
    }
}

fn json_in(rng: &mut Rng) -> String {
    let mut text: Vec<char> = json_text(rng, 3).chars().collect();
    if rng.u8(..3) == 0 && !text.is_empty() {
        let at = rng.usize(..text.len());
        match rng.u8(..3) {
            0 => drop(text.remove(at)),
            1 => text.insert(at, *rng.choice(&['{', '}', '[', ']', ',', ':', '"', ' ', '0', 'n']).expect("one")),
            _ => text.truncate(at),
        }
    }
    let text: String = text.into_iter().collect();
    format!("cjson.encode_invalid_numbers(true) return cjson.encode({{cjson.decode([==[{text}]==])}})")
}

fn pack_out(rng: &mut Rng) -> String {
    let values: Vec<_> = (0..rng.u8(..4)).map(|_| literal(rng, 4)).collect();
    format!("return cmsgpack.pack({})", values.join(","))
}

fn pack_in(rng: &mut Rng) -> String {
    let codes =
        [0xc0, 0xc2, 0xc4, 0xc5, 0xc6, 0xca, 0xcb, 0xcc, 0xcf, 0xd0, 0xd1, 0xd3, 0xd9, 0xda, 0xdc, 0xde, 0x92, 0x81];
    let bytes: String = (0..rng.u8(..24))
        .map(|_| match rng.u8(..3) {
            0 => codes[rng.usize(..codes.len())],
            1 => rng.u8(..6),
            _ => rng.u8(..),
        })
        .map(|b| format!("\\{b:03}"))
        .collect();
    let function = match rng.u8(..3) {
        0 => format!("unpack('{bytes}')"),
        1 => format!("unpack_one('{bytes}', {})", rng.i8(-1..26)),
        _ => format!("unpack_limit('{bytes}', {}, {})", rng.i8(-1..4), rng.i8(-1..26)),
    };
    format!("local r = {{cmsgpack.{function}}} return cmsgpack.pack(unpack(r, 1, 20))")
}

fn format(rng: &mut Rng) -> String {
    (0..rng.u8(1..7))
        .map(|_| match rng.u8(..16) {
            0 => "!".into(),
            1 => format!("!{}", 1 << rng.u8(..5)),
            2 => format!("i{}", rng.u8(..36)),
            3 => format!("I{}", rng.u8(..10)),
            4 => format!("c{}", rng.u8(..6)),
            5 => "!3".into(),
            _ => char::from(*rng.choice(b"<>bBhHlLTfdsx iIcqz").expect("one")).to_string(),
        })
        .collect()
}

fn struct_out(rng: &mut Rng) -> String {
    let arguments: Vec<_> = (0..7).map(|_| if rng.u8(..4) == 0 { string(rng) } else { number(rng) }).collect();
    // What C makes of infinities and of what is too large for an integer is not defined.
    let arguments = arguments.join(",").replace("0/0", "7").replace("1/0", "8");
    let format = format(rng);
    format!("return struct.pack('{format}', {arguments}), pcall(struct.size, '{format}')")
}

fn struct_in(rng: &mut Rng) -> String {
    let bytes: String =
        (0..rng.u8(..40)).map(|_| format!("\\{:03}", if rng.bool() { rng.u8(..4) } else { rng.u8(..) })).collect();
    let position = rng.i8(-1..8);
    format!(
        "local r = {{struct.unpack('{}', '{bytes}', {position})}} for i = 1, #r do if type(r[i]) == 'number' then r[i] = string.format('%.17g', r[i]) end end return unpack(r)",
        format(rng)
    )
}

fn bits(rng: &mut Rng) -> String {
    let names = ["tobit", "bnot", "bswap", "band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror", "tohex"];
    let name = names[rng.usize(..names.len())];
    let mut argument = || match rng.u8(..12) {
        0 => string(rng),
        1 => "{}".into(),
        2 => format!("'{}'", rng.i8(..)),
        _ => number(rng),
    };
    let arguments = [argument(), argument(), argument()];
    let count = rng.usize(..4);
    format!("return bit.{name}({})", arguments[..count].join(","))
}

fn values(rng: &mut Rng) -> String {
    let value = literal(rng, 3).replace("nil", "false").replace("0/0", "0").replace("1/0", "1");
    let wrapped = match rng.u8(..6) {
        0 => format!("{{err={}}}", string(rng)),
        1 => format!("{{ok={}}}", string(rng)),
        2 => format!("{{set={{[{}]=true}}}}", string(rng)),
        3 => format!("{{map={{[{}]={value}}}}}", string(rng)),
        4 => format!("{{big_number={}}}", string(rng)),
        _ => value,
    };
    format!("return {wrapped}")
}

fn pattern(rng: &mut Rng) -> String {
    let pieces = [
        "a", "b", ".", "%a", "%d", "%s", "%w", "%W", "%p", "%u", "%x", "%z", "%%", "%.", "[ab]", "[^a]", "[a-c1-3]",
        "[%a_]", "[]]", "[^%s]", "(", ")", "()", "%1", "%2", "%b()", "%bab", "%f[%w]", "%f[^a]", "*", "+", "-", "?",
        "^", "$", "[", "]", "%", "%f", "%b", "1", " ", "x\\0y", "%0",
    ];
    (0..rng.u8(..8)).map(|_| pieces[rng.usize(..pieces.len())]).collect()
}

fn patterns(rng: &mut Rng) -> String {
    let text: String = (0..rng.u8(..20)).map(|_| *rng.choice(b"aaabbc123 ()_.%AB").expect("one") as char).collect();
    let pattern = pattern(rng);
    let place = rng.i8(-6..10);
    match rng.u8(..9) {
        0 | 1 => format!("return string.find('{text}', '{pattern}')"),
        2 => format!("return string.find('{text}', '{pattern}', {place}, {})", rng.bool()),
        3 => format!("return string.match('{text}', '{pattern}', {place})"),
        4 => format!(
            "local r = {{}} for a, b in ('{text}'):gmatch('{pattern}') do r[#r + 1] = a r[#r + 1] = b end return r"
        ),
        5 => {
            let template: String =
                (0..rng.u8(..5)).map(|_| ["x", "%0", "%1", "%2", "%%", "%", "%9"][rng.usize(..7)]).collect();
            format!("return string.gsub('{text}', '{pattern}', '{template}')")
        }
        6 => format!(
            "return string.gsub('{text}', '{pattern}', function(a, b) return ({{a, b, false, 7, {{}}}})[{}] end)",
            rng.u8(1..6)
        ),
        7 => format!(
            "return ('{text}'):gsub('{pattern}', setmetatable({{a = 'q', ab = 5, b = false}}, {{__index = function(t, k) return #tostring(k) end}}))"
        ),
        _ => format!("return string.gsub('{text}', '{pattern}', '<%0>', {place})"),
    }
}
