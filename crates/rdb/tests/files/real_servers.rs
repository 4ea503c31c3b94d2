//! Files of real servers: read, and written again to the same bytes.

use rivulet_keyspace::value::stream::{Id, Name};
use rivulet_keyspace::value::{Set, Value, ValueRef};
use rivulet_rdb::{Event, Meta, Options, Problem, Reader, Version, Writer};

use super::model::{Plain, contents, hash, list, set, zset};
use super::{events, fixture};

/// When a field expires in the files of either.
const REDIS_MS: u64 = 1_895_358_189_556;
const VALKEY_MS: u64 = 1_895_358_189_569;

const FUTURE_MS: u64 = 4_102_444_800_000;

fn string(text: &str) -> Plain {
    Plain::Str(text.as_bytes().to_vec())
}

#[test]
fn redis_7_0() {
    for name in ["redis-7.0.rdb", "redis-7.0-plain.rdb"] {
        let events = events(&fixture(name), Options::default()).unwrap();
        let contents = contents(&events);
        let get = |key: &str| contents[&(0, key.as_bytes().to_vec())].0.clone();
        assert_eq!(get("str:plain"), string("hello"));
        assert_eq!(get("str:empty"), string(""));
        assert_eq!(get("str:007"), string("007"));
        assert_eq!(get("str:binary"), Plain::Str(b"\x00\x01\xff\r\n".to_vec()));
        assert_eq!(get("str:lzf"), string(&"abcabcabd".repeat(40)));
        for n in ["0", "-1", "127", "-129", "32768", "-2147483649", "9223372036854775807", "-9223372036854775808"] {
            assert_eq!(get(&format!("int:{n}")), string(n));
        }
        assert_eq!(get("list:one"), list(&["x"]));
        let Plain::List(items) = get("list:many") else { panic!() };
        assert_eq!(items.len(), 400);
        assert_eq!((&items[0][..], &items[399][..]), (&b"item-1"[..], &b"200"[..]));
        assert_eq!(get("list:big"), list(&["1", "2", "3"].map(|s| s.repeat(6000)).each_ref().map(|s| s.as_str())));
        assert_eq!(get("set:ints"), set(&["-5", "1", "2", "3"]));
        assert_eq!(get("set:ints64"), set(&["10000000000", "2"]));
        assert_eq!(get("set:one"), set(&["member"]));
        assert_eq!(get("hash:small"), hash(&[("f1", "v1"), ("f2", "2"), ("f3", "")]));
        assert_eq!(
            get("zset:small"),
            zset(&[("c", f64::NEG_INFINITY), ("a", 1.0), ("b", 2.5), ("e", 1e100), ("d", f64::INFINITY)])
        );
        for n in [128, 129] {
            let Plain::ZSet(members) = get(&format!("zset:{n}")) else { panic!() };
            assert_eq!(members.len(), n);
            assert_eq!(members[n - 1], (format!("m{n}").into_bytes(), n as f64 + 0.5));
        }
        for n in [512, 513] {
            let Plain::Hash(fields) = get(&format!("hash:{n}")) else { panic!() };
            assert_eq!(fields.len(), n);
            assert_eq!(fields[format!("f{n}").as_bytes()], (format!("v{n}").into_bytes(), None));
            let Plain::Set(members) = get(&format!("set:{n}")) else { panic!() };
            assert_eq!(members.len(), n);
        }
        assert_eq!(contents[&(0, b"exp:future".to_vec())], (string("y"), Some(FUTURE_MS)));
        assert_eq!(contents[&(3, b"db3".to_vec())], (string("yes"), None));
        assert!(
            events.iter().any(|event| matches!(event, Event::Function(code) if code.starts_with(b"#!lua name=lib")))
        );
    }
}

#[test]
fn redis_8_and_valkey_9() {
    for name in ["redis-8.0.rdb", "valkey-9.1.rdb"] {
        let contents = contents(&events(&fixture(name), Options::default()).unwrap());
        let get = |key: &str| contents[&(0, key.as_bytes().to_vec())].0.clone();
        assert_eq!(get("str"), string("hello"));
        assert_eq!(get("int"), string("-129"));
        assert_eq!(get("list"), list(&["a", "b", "3"]));
        assert_eq!(get("list:plain"), list(&[&"p".repeat(20000), "tail"]));
        assert_eq!(get("set:packed"), set(&["10", "a", "b"]));
        assert_eq!(get("set:ints"), set(&["1", "2"]));
        assert_eq!(get("hash"), hash(&[("f", "v")]));
        assert_eq!(get("zset"), zset(&[("a", 1.5)]));
        assert_eq!(contents[&(0, b"exp".to_vec())].1, Some(FUTURE_MS));
        assert_eq!(contents[&(3, b"db3".to_vec())].0, string("yes"));
    }
}

/// Fields with deadlines, in the forms of both.
#[test]
fn fields_that_expire() {
    for (name, types) in [("redis-8.0-fields.rdb", &[24, 25][..]), ("valkey-9.1-fields.rdb", &[22])] {
        let events = events(&fixture(name), Options::default()).unwrap();
        let mut found = Vec::new();
        for event in &events {
            let Event::Entry(entry) = event else { continue };
            let Value::Hash(hash) = &entry.value else { continue };
            if !hash.has_deadlines() {
                continue;
            }
            assert!(types.contains(&entry.value_type));
            let rows: Vec<String> =
                hash.rows().map(|(field, value, deadline)| format!("{field:?} {} {deadline:?}", value.len())).collect();
            found.push(format!("{} {rows:?}", String::from_utf8_lossy(&entry.key)));
        }
        found.sort();
        let deadline = if types[0] == 22 { VALKEY_MS } else { REDIS_MS };
        let small = format!("hash:ttl {:?}", [format!("\"a\" 1 Some({deadline})"), "\"b\" 1 None".to_string()]);
        assert_eq!(found[0], small, "{name}");
        assert!(
            found[1].contains(&format!("a\\\" 1 Some({deadline})")) && found[1].contains("b\\\" 87 None"),
            "{}",
            found[1]
        );
    }
}

#[test]
fn what_cannot_be_loaded_is_named() {
    // A type of a release candidate, which is another in Valkey 9.
    let mut file = fixture("valkey-9.1-fields.rdb");
    file[..9].copy_from_slice(b"REDIS0011");
    let error = events(&file, Options::default()).unwrap_err();
    assert!(matches!(error.problem, Problem::Unsupported(22)), "{error}");
    let key = String::from_utf8(error.key.clone().unwrap()).unwrap();
    let expected = format!(
        "key '{key}' holds a hash whose fields expire, of a release candidate (type 22), which this server can't load"
    );
    assert!(error.to_string().starts_with(&expected), "{error}");
}

/// Streams with groups: those of all three are the same, but for when their consumers were seen.
#[test]
fn streams() {
    let keys = ["s:big", "s:clean", "s:empty", "s:many", "s:mixed", "s:new", "s:one"];
    let all = [("redis-7.0", 19), ("redis-8.0", 21), ("valkey-9.1", 21)].map(|(name, value_type)| {
        let events = events(&fixture(&format!("{name}-streams.rdb")), Options::default()).unwrap();
        let streams: Vec<_> = events
            .into_iter()
            .filter_map(|event| match event {
                Event::Entry(entry) => Some((entry.value_type, String::from_utf8(entry.key).unwrap(), entry.value)),
                _ => None,
            })
            .collect();
        assert!(streams.iter().all(|(found, ..)| *found == value_type));
        let mut streams: Vec<_> = streams.into_iter().map(|(_, key, value)| (key, value)).collect();
        streams.sort_by(|a, b| a.0.cmp(&b.0));
        assert!(streams.iter().map(|(key, _)| key.as_str()).eq(keys));
        streams
    });
    let untimed = |value: &Value| {
        let text = format!("{value:?}");
        let timed = ["seen_ms: ", "active_ms: ", "delivered_ms: "];
        timed.iter().fold(text, |text, name| {
            let parts = text.split(name).map(|part| part.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit()));
            parts.collect::<Vec<_>>().concat()
        })
    };
    for (i, (key, value)) in all[0].iter().enumerate() {
        assert!(all.iter().all(|streams| untimed(&streams[i].1) == untimed(value)), "{key}");
    }
    let Value::Stream(many) = &all[0][3].1 else { panic!("a stream") };
    let group = many.group(&Name::new(b"workers")).expect("it is there");
    assert_eq!((many.len(), many.entries_added(), many.groups().map_or(0, |groups| groups.len())), (249, 250, 2));
    assert_eq!((group.pending().len(), group.consumers_len(), group.entries_read), (137, 3, 140));
    assert_eq!(group.pending().nth(30).map(|p| (p.id.to_string(), p.deliveries)), Some(("1034-6".to_string(), 2)));
    let values: Vec<Vec<u8>> =
        many.entries().get(Id::new(1010, 3)).expect("it is there").fields().map(|f| f.1.to_vec()).collect();
    assert_eq!(values, [&b"30"[..], b"1.0", b"xxxxxxxxxx"]);
}

/// Each entry of a file of Redis 7.0, written again, gives the same bytes, but for the order of hash tables.
#[test]
fn written_again_to_the_same_bytes() {
    for (name, compress, entries) in
        [("redis-7.0-plain.rdb", false, 31), ("redis-7.0.rdb", true, 31), ("redis-7.0-streams.rdb", false, 4)]
    {
        let file = fixture(name);
        let mut reader = Reader::new(&file[..], Options::default());
        let mut writer = Writer::new(Version::DEFAULT, compress);
        let mut compared = 0;
        loop {
            let from = reader.offset() as usize;
            let event = reader.next().unwrap();
            let original = &file[from..reader.offset() as usize];
            let mut ours = Vec::new();
            match event {
                Event::Entry(entry) => {
                    let value = entry.value.as_ref();
                    let meta = Meta { deadline_ms: entry.deadline_ms, idle_s: entry.idle_s, freq: entry.freq };
                    writer.entry(&mut ours, &entry.key, &value, &meta);
                    let ordered = match value {
                        ValueRef::Str(_) | ValueRef::List(_) | ValueRef::ZSet(_) => true,
                        ValueRef::Set(set) => matches!(set, Set::Ints(_)),
                        ValueRef::Hash(hash) => hash.packed().is_some(),
                        // Of deleted entries nothing is kept.
                        ValueRef::Stream(stream) => stream.entries_added() == stream.len() as u64,
                    };
                    assert_eq!(writer.value_type(&value), entry.value_type, "{}", entry.key.escape_ascii());
                    if !ordered && matches!(value, ValueRef::Stream(_)) {
                        continue;
                    }
                    if !ordered {
                        assert_eq!(ours.len(), original.len(), "{}", entry.key.escape_ascii());
                        continue;
                    }
                    compared += 1;
                }
                Event::SelectDb(db) => writer.select_db(&mut ours, db),
                Event::ResizeDb { keys, expires } => writer.resize_db(&mut ours, keys, expires),
                Event::Function(code) => writer.function(&mut ours, &code),
                Event::Eof(_) => break,
                _ => continue,
            }
            assert!(ours == original, "at {from}: {} is not {}", ours.escape_ascii(), original.escape_ascii());
        }
        assert!(compared >= entries);
    }
}
