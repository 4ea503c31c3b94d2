//! `rdb FILE` on the files of each server that is installed.

use std::path::Path;

use rivulet_tests::process::{TempDir, rivulet, run};
use rivulet_tests::{Kind, Server, data};
use serde_json::Value;

/// Ours, without a server: what it says, and whether it succeeded.
fn rdb(file: &Path, args: &[&str]) -> (String, bool) {
    let file = file.display().to_string();
    run(rivulet("rivulet-cli"), &[&["rdb", &file], args].concat())
}

fn json(file: &Path, args: &[&str]) -> Value {
    let (text, is_success) = rdb(file, &[&["--json"], args].concat());
    assert!(is_success, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

fn filled(kind: Kind) -> Server {
    let mut server = Server::start(kind, &[]);
    data::fill(server.main(), 2000);
    for i in 0..300 {
        server.must(&["SET", &format!("user:{i}:name"), "somebody"]);
        server.must(&["SET", &format!("page:{i}"), "x", "EX", "100000"]);
    }
    let members: Vec<String> = (0..3000).map(|i| format!("member-{i}")).collect();
    let words: Vec<&[u8]> =
        [b"SADD".as_slice(), b"big:set"].into_iter().chain(members.iter().map(String::as_bytes)).collect();
    server.must(words.as_slice());
    server.must("XADD stream:1 1-1 field value");
    server.must("SAVE");
    server
}

#[test]
fn the_sums_are_those_of_the_server() {
    for kind in [Kind::Rivulet, Kind::Redis7, Kind::Redis8, Kind::Valkey9] {
        if !kind.is_there() {
            println!("skipped: {kind:?} is not installed");
            continue;
        }
        let mut server = filled(kind);
        let file = server.dir.path().join("dump.rdb");
        let found = json(&file, &["--top", "10000"]);
        let of = |list: &str, field: &str, name: &str| {
            let rows = found[list].as_array().expect("a list");
            rows.iter()
                .find(|row| row[field] == name)
                .unwrap_or_else(|| panic!("{kind:?}: no {name} in {found}"))
                .clone()
        };
        let keys: i64 = (0..16)
            .map(|db| {
                server.must(&["SELECT", &db.to_string()]);
                server.must("DBSIZE").int()
            })
            .sum();
        assert_eq!(found["all"]["keys"], keys, "{kind:?}");
        server.must("SELECT 0");
        let set = found["biggest"].as_array().expect("a list").iter().find(|row| row["key"] == "big:set").cloned();
        let set = set.unwrap_or_else(|| panic!("{kind:?}: {found}"));
        assert_eq!((&set["elements"], &set["type"]), (&3000.into(), &"set".into()), "{kind:?}");
        let deep = json(&file, &["--depth", "2", "--top", "10000"]);
        let users = deep["prefixes"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|row| row["prefix"].as_str().is_some_and(|prefix| prefix.starts_with("user:")));
        assert_eq!(users.map(|row| row["keys"].as_u64().unwrap_or(0)).sum::<u64>(), 300, "{kind:?}");
        let (text, is_success) = rdb(&file, &["--top", "10000"]);
        assert!(is_success && text.contains("\nuser: ") && text.contains("\nBiggest keys"), "{text}");
        assert!(of("types", "type", "stream")["elements"].as_u64().is_some_and(|n| n > 0), "{kind:?}");
        if kind == Kind::Rivulet {
            let used = found["headers"]["used-mem"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0.0);
            let estimate = found["all"]["memory_bytes"].as_f64().expect("a number");
            assert!(estimate > used * 0.6 && estimate < used * 1.4, "{estimate} of {used}");
        }
    }
}

#[test]
fn a_damaged_file_is_told_as_the_checker_tells_it() {
    let server = filled(Kind::Rivulet);
    let whole = std::fs::read(server.dir.path().join("dump.rdb")).expect("a file");
    let dir = TempDir::new();
    let file = dir.path().join("damaged.rdb");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x10;
    for bytes in [&whole[..whole.len() / 3], &flipped, b"", b"REDIS9999", b"no such thing", &whole[..whole.len() - 3]] {
        std::fs::write(&file, bytes).expect("written");
        let (checked, is_sound) = run(rivulet("rivulet-check-rdb"), &[&file.display().to_string()]);
        let (said, is_success) = rdb(&file, &[]);
        assert!(!is_sound && !is_success, "{said}");
        let error = checked.find("--- RDB ERROR DETECTED ---").map(|at| checked[at..].trim_end());
        assert_eq!(Some(said.trim_end()), error, "of {} bytes", bytes.len());
    }
    let (said, is_success) = rdb(Path::new("/nonexistent/dump.rdb"), &[]);
    assert!(!is_success && said.contains("No such file or directory"), "{said}");
}
