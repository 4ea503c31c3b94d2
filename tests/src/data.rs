//! Pictures of data: what a server holds, in a form that can be compared across all peers.

use std::collections::BTreeMap;

use crate::client::{Client, Reply};
use crate::process::Server;

/// Database and key.
pub type Place = (usize, Vec<u8>);

/// Every key with its type, whether it has a deadline, and its value in one order.
pub fn picture(server: &mut Server, databases: usize) -> BTreeMap<Place, Vec<Reply>> {
    let mut all = BTreeMap::new();
    let client = server.main();
    for db in 0..databases {
        client.must(&format!("SELECT {db}"));
        let keys = keys(client);
        for chunk in keys.chunks(1000) {
            let types = client.pipeline(&chunk.iter().map(|k| vec![b"TYPE".to_vec(), k.clone()]).collect::<Vec<_>>());
            let deadlines =
                client.pipeline(&chunk.iter().map(|k| vec![b"PEXPIRETIME".to_vec(), k.clone()]).collect::<Vec<_>>());
            let values: Vec<_> = chunk.iter().zip(&types).map(|(k, t)| read_all(k, t.bytes())).collect();
            let values = client.pipeline(&values);
            for (((key, kind), deadline), value) in chunk.iter().zip(types).zip(deadlines).zip(values) {
                let value = in_one_order(kind.bytes(), value);
                all.insert((db, key.clone()), vec![kind, deadline, value]);
            }
        }
    }
    client.must("SELECT 0");
    all
}

fn keys(client: &mut Client) -> Vec<Vec<u8>> {
    let (mut keys, mut cursor) = (Vec::new(), "0".to_string());
    loop {
        let page = client.must(&["SCAN", &cursor, "COUNT", "1000"]);
        keys.extend(page.items()[1].items().iter().map(|k| k.bytes().to_vec()));
        cursor = page.items()[0].text();
        if cursor == "0" {
            return keys;
        }
    }
}

/// The command that reads a whole value.
pub fn read_all(key: &[u8], kind: &[u8]) -> Vec<Vec<u8>> {
    let words: &[&[u8]] = match kind {
        b"string" => &[b"GET", key],
        b"list" => &[b"LRANGE", key, b"0", b"-1"],
        b"hash" => &[b"HGETALL", key],
        b"set" => &[b"SMEMBERS", key],
        b"zset" => &[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"],
        _ => &[b"TYPE", key],
    };
    words.iter().map(|w| w.to_vec()).collect()
}

fn in_one_order(kind: &[u8], value: Reply) -> Reply {
    match (kind, value) {
        (b"set", Reply::Many(mark, mut items)) => {
            items.sort();
            Reply::Many(mark, items)
        }
        (b"hash", Reply::Many(mark, items)) => {
            let mut pairs: Vec<_> = items.chunks(2).map(<[Reply]>::to_vec).collect();
            pairs.sort();
            Reply::Many(mark, pairs.concat())
        }
        // Each peer has its own way to write a number.
        (b"zset", Reply::Many(mark, items)) => {
            let plain = |(i, item): (usize, Reply)| match item.bytes() {
                score if i % 2 == 1 => {
                    let score: f64 = std::str::from_utf8(score).ok().and_then(|s| s.parse().ok()).expect("a score");
                    Reply::Line(b',', format!("{:?}", score + 0.0).into_bytes())
                }
                _ => item,
            };
            Reply::Many(mark, items.into_iter().enumerate().map(plain).collect())
        }
        (_, value) => value,
    }
}

/// Panics with the first few differences, if there are any.
#[track_caller]
pub fn assert_same_data(a: &mut Server, b: &mut Server, databases: usize) {
    let (left, right) = (picture(a, databases), picture(b, databases));
    if left == right {
        return;
    }
    let mut report = String::new();
    let places: std::collections::BTreeSet<&Place> = left.keys().chain(right.keys()).collect();
    for place in places.into_iter().filter(|p| left.get(*p) != right.get(*p)).take(5) {
        let key = crate::client::shown(&place.1);
        let value =
            |side: &BTreeMap<Place, Vec<Reply>>| format!("{:?}", side.get(place)).chars().take(500).collect::<String>();
        report += &format!("db {} key {key}\n  {:?}: {}\n", place.0, a.kind, value(&left));
        report += &format!("  {:?}: {}\n", b.kind, value(&right));
    }
    panic!("{} keys in {:?}, {} in {:?}\n{report}", left.len(), a.kind, right.len(), b.kind);
}

/// Fills databases 0, 3 and 15: every type at both sides of each size at which its form changes, keys and values of any bytes,
/// deadlines, and `plain` small strings.
pub fn fill(client: &mut Client, plain: usize) {
    let mut batch = Batch { client, commands: Vec::new() };
    for (db, part) in [(0, plain - plain / 10), (3, plain / 10), (15, 0)] {
        batch.add(&[b"SELECT", db.to_string().as_bytes()]);
        strings(&mut batch);
        lists(&mut batch);
        sets(&mut batch);
        hashes(&mut batch);
        sorted_sets(&mut batch);
        for i in 0..part {
            let (key, value) = (format!("plain:{i}"), format!("value {}", i.wrapping_mul(2_654_435_761) % 1_000_003));
            match i % 10 {
                0 => {
                    batch.add(&[b"SET", key.as_bytes(), value.as_bytes(), b"EX", (100_000 + i).to_string().as_bytes()])
                }
                1 => batch.add(&[b"SET", key.as_bytes(), i.to_string().as_bytes()]),
                2 if i % 100 == 2 => batch.add(&[b"RPUSH", key.as_bytes(), value.as_bytes(), b"1", b"two"]),
                3 if i % 100 == 3 => batch.add(&[b"HSET", key.as_bytes(), b"field", value.as_bytes(), b"n", b"7"]),
                4 if i % 100 == 4 => batch.add(&[b"ZADD", key.as_bytes(), b"1.5", value.as_bytes(), b"-inf", b"low"]),
                5 if i % 100 == 5 => batch.add(&[b"SADD", key.as_bytes(), value.as_bytes(), b"1", b"2"]),
                _ => batch.add(&[b"SET", key.as_bytes(), value.as_bytes()]),
            }
        }
    }
    batch.add(&[b"SELECT", b"0"]);
    batch.send();
}

struct Batch<'a> {
    client: &'a mut Client,
    commands: Vec<Vec<Vec<u8>>>,
}

impl Batch<'_> {
    fn add(&mut self, words: &[&[u8]]) {
        self.commands.push(words.iter().map(|w| w.to_vec()).collect());
        if self.commands.len() >= 1000 {
            self.send();
        }
    }

    fn send(&mut self) {
        let replies = self.client.pipeline(&self.commands);
        for (command, reply) in self.commands.iter().zip(replies) {
            assert!(!reply.is_error(), "{}: {reply:?}", crate::client::shown_command(command));
        }
        self.commands.clear();
    }

    /// One command for a whole collection, with a deadline for every other one.
    fn collection(&mut self, command: &str, key: &str, items: &[Vec<u8>]) {
        let mut words: Vec<&[u8]> = vec![command.as_bytes(), key.as_bytes()];
        words.extend(items.iter().map(Vec::as_slice));
        self.add(&words);
        if items.len() % 2 == 1 {
            self.add(&[b"PEXPIREAT", key.as_bytes(), b"4000000000123"]);
        }
    }
}

/// Bytes without a pattern that a compressor would find, the same in every run.
fn noise(len: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(len as u64);
    (0..len).map(|_| rng.u8(..)).collect()
}

fn strings(batch: &mut Batch<'_>) {
    let numbers =
        [0, -1, 12, 13, 127, 128, -128, -129, 9999, 10000, 32767, 32768, 1 << 31, -(1 << 31) - 1, i64::MAX, i64::MIN];
    for n in numbers {
        batch.add(&[b"SET", format!("number:{n}").as_bytes(), n.to_string().as_bytes()]);
    }
    for len in [
        0,
        1,
        3,
        11,
        19,
        20,
        21,
        43,
        44,
        45,
        63,
        64,
        191,
        192,
        193,
        247,
        248,
        249,
        255,
        256,
        16383,
        16384,
        16385,
        70_000,
        1 << 20,
    ] {
        let key = format!("text:{len}");
        batch.add(&[b"SET", key.as_bytes(), &b"compress me, ".repeat(len / 13 + 1)[..len]]);
        batch.add(&[b"SET", format!("noise:{len}").as_bytes(), &noise(len)]);
        batch.add(&[b"SET", &noise(len.min(2000)), b"a key of any bytes", b"PX", b"400000000"]);
    }
    let every: Vec<u8> = (0..=255).collect();
    batch.add(&[b"SET", &every, &every]);
    for text in ["00", "-0", "+1", " 1", "1.0", "1e3", "9223372036854775808", "inf"] {
        batch.add(&[b"SET", format!("not a number:{text}").as_bytes(), text.as_bytes()]);
    }
    batch.add(&[b"APPEND", b"edited", b"short"]);
    batch.add(&[b"SETBIT", b"bits", b"100000", b"1"]);
}

fn lists(batch: &mut Batch<'_>) {
    for len in [1, 2, 127, 128, 129, 512, 3000] {
        let items: Vec<_> = (0..len)
            .map(|i: usize| if i.is_multiple_of(3) { i.to_string().into_bytes() } else { noise(i % 90) })
            .collect();
        batch.collection("RPUSH", &format!("list:{len}"), &items);
    }
    // Around the size of a chunk, and elements that have one of their own.
    for len in [62, 63, 64, 4090, 8180, 8191, 8192, 8193, 16_400, 100_000] {
        batch.collection("RPUSH", &format!("list of long:{len}"), &[noise(len), b"x".repeat(len), b"small".to_vec()]);
    }
}

fn sets(batch: &mut Batch<'_>) {
    for len in [1, 2, 511, 512, 513, 2000] {
        for (name, step) in [("16", 1_i64), ("32", 1 << 17), ("64", 1 << 40)] {
            let items: Vec<_> = (0..len).map(|i| ((i - len / 2) * step).to_string().into_bytes()).collect();
            batch.collection("SADD", &format!("integers of {name}:{len}"), &items);
        }
    }
    for len in [1_usize, 127, 128, 129, 512, 3000] {
        let items: Vec<_> = (0..len).map(|i| format!("member {i}").into_bytes()).collect();
        batch.collection("SADD", &format!("set:{len}"), &items);
    }
    for len in [63, 64, 65, 20_000] {
        batch.collection("SADD", &format!("set of long:{len}"), &[noise(len), b"1".to_vec()]);
    }
}

fn hashes(batch: &mut Batch<'_>) {
    for len in [1_usize, 2, 127, 128, 129, 511, 512, 513, 3000] {
        let field = |i: usize| {
            [
                format!("field {i}").into_bytes(),
                if i.is_multiple_of(2) { i.to_string().into_bytes() } else { noise(i % 60) },
            ]
        };
        let items: Vec<_> = (0..len).flat_map(field).collect();
        batch.collection("HSET", &format!("hash:{len}"), &items);
    }
    for len in [63, 64, 65, 20_000] {
        batch.collection("HSET", &format!("hash of long:{len}"), &[b"f".to_vec(), noise(len), noise(len), Vec::new()]);
    }
}

fn sorted_sets(batch: &mut Batch<'_>) {
    for len in [1_usize, 2, 127, 128, 129, 3000] {
        let item = |i: usize| [format!("{}", (i as f64 - 50.0) * 0.1).into_bytes(), format!("member {i}").into_bytes()];
        let items: Vec<_> = (0..len).flat_map(item).collect();
        batch.collection("ZADD", &format!("sorted:{len}"), &items);
    }
    for len in [63, 64, 65, 20_000] {
        batch.collection(
            "ZADD",
            &format!("sorted, long:{len}"),
            &[b"1".to_vec(), noise(len), b"1".to_vec(), b"2".to_vec()],
        );
    }
    let scores =
        ["-inf", "inf", "0", "-0", "1e300", "-1e-300", "3.0000000000000004", "9007199254740993", "17", "4.9e-324"];
    let items: Vec<_> = scores.iter().flat_map(|s| [s.as_bytes().to_vec(), format!("at {s}").into_bytes()]).collect();
    batch.collection("ZADD", "scores", &items);
    let many: Vec<_> =
        (0..200).flat_map(|i| [scores[i % 10].as_bytes().to_vec(), format!("{i}").into_bytes()]).collect();
    batch.collection("ZADD", "many scores", &many);
}
