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
        report += &format!("db {} key {key}\n  {:?}: {:?}\n", place.0, a.kind, left.get(place));
        report += &format!("  {:?}: {:?}\n", b.kind, right.get(place));
    }
    panic!("{} keys in {:?}, {} in {:?}\n{report}", left.len(), a.kind, right.len(), b.kind);
}
