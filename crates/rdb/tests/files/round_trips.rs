//! What we write, read back: every type on both sides of each threshold, in every version, whole and in pieces.

use std::io::Read;

use proptest::prelude::*;
use rivulet_keyspace::value::hash::FIELD_DEADLINE_MAX;
use rivulet_keyspace::value::stream::{Group, Id, Name, Pending, Stream};
use rivulet_keyspace::value::{Elem, Hash, Limits, List, Set, StrBuf, Value, ZSet};
use rivulet_rdb::{Aux, Event, Meta, Options, Reader, Replication, Saver, Version, Writer, dump, restore};

use super::events;
use super::model::{Plain, contents, plain};

const ID: &str = "0123456789abcdef0123456789abcdef01234567";

fn aux() -> Aux<'static> {
    Aux {
        redis_version: "7.0.15",
        ctime_s: 1_700_000_000,
        used_memory: 5_000_000_000,
        replication: Some(Replication { stream_db: 3, id: ID, offset: 123_456_789_012 }),
        aof_base: false,
        diverged: false,
    }
}

/// Small limits, so that small cases lie on both sides.
fn limits() -> Limits {
    Limits {
        list_max_listpack_size: 4,
        hash_max_listpack_entries: 4,
        hash_max_listpack_value: 8,
        set_max_intset_entries: 4,
        set_max_listpack_entries: 4,
        set_max_listpack_value: 8,
        zset_max_listpack_entries: 4,
        zset_max_listpack_value: 8,
        stream_node_max_bytes: 200,
        stream_node_max_entries: 4,
    }
}

fn item() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..12),
        2 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        2 => (-200i64..200).prop_map(|n| n.to_string().into_bytes()),
        1 => (b'a'..=b'c', 15usize..60).prop_map(|(b, n)| vec![b; n]),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let items = || prop::collection::vec(item(), 1..12);
    prop_oneof![
        any::<i64>().prop_map(|n| Value::Str(StrBuf::Int(n))),
        item().prop_map(|bytes| Value::Str(StrBuf::Bytes(bytes))),
        items().prop_map(|items| {
            let mut list = List::new();
            items.iter().for_each(|item| list.push_back(item, &limits()));
            Value::List(list)
        }),
        items().prop_map(|items| {
            let mut set = Set::new();
            for item in &items {
                set.add(item, &limits());
            }
            Value::Set(set)
        }),
        prop::collection::vec(-70000i64..70000, 1..8).prop_map(|items| {
            let mut set = Set::new();
            for item in &items {
                set.add(item.to_string().as_bytes(), &limits());
            }
            Value::Set(set)
        }),
        prop::collection::vec((item(), prop_oneof![(-5i32..5).prop_map(f64::from), any::<f64>()]), 1..12).prop_map(
            |items| {
                let mut zset = ZSet::new();
                for (member, score) in items.iter().filter(|(_, score)| !score.is_nan()) {
                    zset.insert(member, *score, &limits());
                }
                zset.insert(b"one", f64::NEG_INFINITY, &limits());
                Value::ZSet(zset)
            }
        ),
        prop::collection::vec((item(), item()), 1..12).prop_map(|items| {
            let mut hash = Hash::new();
            for (field, value) in &items {
                hash.set(field, value, &limits());
            }
            Value::Hash(hash)
        }),
        prop::collection::vec((item(), item(), prop::option::of(0..FIELD_DEADLINE_MAX)), 1..12).prop_map(|items| {
            let mut hash = Hash::new();
            for (field, value, deadline) in &items {
                hash.set(field, value, &limits());
                hash.set_deadline(field, *deadline, &limits());
            }
            Value::Hash(hash)
        }),
        (prop::collection::vec((any::<u8>(), item(), item()), 0..30), any::<u64>())
            .prop_map(|(steps, seed)| { Value::Stream(stream(&steps, seed)) }),
    ]
}

/// A stream with a group that had a part of it, from which some entries went.
fn stream(steps: &[(u8, Vec<u8>, Vec<u8>)], first_ms: u64) -> Stream {
    let (mut stream, group, consumers) = (Stream::new(), Name::new(b"group"), [Name::new(b"a"), Name::new(b"7")]);
    let mut id = Id::new(first_ms / 2, 3);
    stream.set_last_id(id);
    for (step, name, value) in steps {
        let other = (Elem::Bytes(b"other"), Elem::Int(5));
        let fields = [(Elem::Bytes(name), Elem::Bytes(value)), other];
        let common = [(Elem::Bytes(b"name"), Elem::Bytes(value)), other];
        let next = if step % 2 == 0 { Id::new(id.ms + u64::from(*step), 0) } else { Id::new(id.ms, id.seq + 1) };
        match step % 16 {
            0 => _ = stream.remove(id),
            1 => drop(stream.remove_first(2)),
            2 => _ = stream.groups_mut().0.add(Group::new(group.clone(), id, -1)),
            3 => _ = stream.groups_mut().0.add(Group::new(Name::new(name), Id::MAX, i64::MAX)),
            4..8 => {
                let consumer = &consumers[usize::from(step % 2)];
                stream.change_group(&group, |group, _| {
                    group.create_consumer(consumer, i64::from(*step));
                    let pending =
                        Pending { id, delivered_ms: id.ms as i64, deliveries: id.seq, consumer: consumer.clone() };
                    group.deliver(pending);
                    // In old versions it is told of no other time.
                    group.mark_seen(consumer, 9, true);
                });
            }
            _ => {
                id = next.max(id.next().expect("far below the end"));
                let fields = if step % 16 < 14 { &common[..] } else { &fields[..] };
                stream.append(id, fields, &limits()).expect("above the last");
            }
        }
    }
    stream
}

/// What of a value a file of this version tells.
fn told(value: &Value, version: u32) -> Plain {
    let Value::Stream(stream) = value else { return plain(value) };
    let mut stream = stream.clone();
    if version == 9 {
        // Counts are made up from what is there.
        stream.set_max_deleted_id(Id::MIN);
        stream.set_entries_added(stream.len() as u64);
        let names: Vec<Name> =
            stream.groups().into_iter().flat_map(|groups| groups.iter()).map(|group| group.name.clone()).collect();
        for name in names {
            let last_id = stream.group(&name).expect("it was listed").last_id;
            let read = stream.progress().added_up_to(last_id).map_or(-1, |read| read as i64);
            stream.change_group(&name, |group, _| group.entries_read = read);
        }
    }
    plain(&Value::Stream(stream))
}

type Case = Vec<(Value, Option<u64>, Option<u64>, Option<u8>)>;

fn save(values: &Case, version: Version, compress: bool) -> Vec<u8> {
    let mut saver = Saver::new(Vec::new(), Writer::new(version, compress), true, &aux());
    saver.function(b"#!lua name=x\n").unwrap();
    saver.database(7, values.len() as u64, 0).unwrap();
    for (i, (value, deadline_ms, idle_s, freq)) in values.iter().enumerate() {
        let meta = Meta { deadline_ms: *deadline_ms, idle_s: *idle_s, freq: *freq };
        saver.entry(format!("key:{i}").as_bytes(), &value.as_ref(), &meta).unwrap();
    }
    saver.finish().unwrap()
}

/// Gives bytes in small, uneven pieces.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1 = self.1 % 13 + 1;
        let n = self.1.min(buffer.len()).min(self.0.len());
        buffer[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn files(
        values in prop::collection::vec(
            (value(), prop::option::of(0u64..1 << 50), prop::option::of(0u64..1 << 40), prop::option::of(any::<u8>())), 1..8),
        version in prop_oneof![9u32..=12, Just(80)],
        compress in any::<bool>(),
    ) {
        let file = save(&values, Version::new(version).unwrap(), compress);
        let options = Options { limits: limits(), ..Options::default() };
        let mut reader = Reader::new(Trickle(&file, 0), options);
        let mut entries = Vec::new();
        loop {
            match reader.next().unwrap() {
                Event::Entry(entry) => {
                    // Fields with deadlines have no older form.
                    let value_type = if entry.value_type == 24 { 0 } else { entry.value_type };
                    prop_assert!(version > 9 || value_type <= 15);
                    prop_assert!(version > 10 || value_type <= 19);
                    prop_assert!(version > 11 || value_type <= 21);
                    entries.push(entry);
                }
                Event::SelectDb(db) => prop_assert_eq!(db, 7),
                Event::Eof(_) => break,
                _ => {}
            }
        }
        prop_assert_eq!(entries.len(), values.len());
        for (i, (entry, (value, deadline_ms, idle_s, freq))) in entries.iter().zip(&values).enumerate() {
            prop_assert_eq!(&entry.key, &format!("key:{i}").into_bytes());
            prop_assert_eq!((entry.deadline_ms, entry.idle_s, entry.freq), (*deadline_ms, *idle_s, *freq));
            prop_assert_eq!(plain(&entry.value), told(value, version));
        }
    }

    #[test]
    fn payloads(value in value(), version in prop_oneof![9u32..=12, Just(80)], compress in any::<bool>()) {
        let mut payload = Vec::new();
        dump(&mut Writer::new(Version::new(version).unwrap(), compress), value.as_ref(), &mut payload);
        let restored = restore(&payload, &limits()).unwrap();
        prop_assert_eq!(plain(&restored), told(&value, version));
    }

    #[test]
    fn random_payloads_never_panic(value_type in 0u8..26, body in prop::collection::vec(any::<u8>(), 0..100)) {
        for magic in [b"REDIS0012", b"VALKEY080"] {
            let mut file = magic.to_vec();
            file.extend_from_slice(&[value_type, 1, b'k']);
            file.extend_from_slice(&body);
            let _ = events(&file, Options::default());
        }
    }
}

#[test]
fn what_follows_a_file_is_given_back() {
    let value = Value::Str(StrBuf::Int(5));
    let mut file = save(&vec![(value, None, None, None)], Version::DEFAULT, true);
    let len = file.len() as u64;
    file.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    let mut reader = Reader::new(&file[..], Options::default());
    while !matches!(reader.next().unwrap(), Event::Eof(_)) {}
    assert_eq!(reader.offset(), len);
    let (source, ahead) = reader.into_rest();
    assert_eq!([&ahead, source].concat(), b"*1\r\n$4\r\nPING\r\n");
}

#[test]
fn the_start_of_a_file() {
    let events = events(&save(&Vec::new(), Version::DEFAULT, true), Options::default()).unwrap();
    let aux: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Aux(name, value) => Some((std::str::from_utf8(name).unwrap(), std::str::from_utf8(value).unwrap())),
            _ => None,
        })
        .collect();
    let expected = [
        ("redis-ver", "7.0.15"),
        ("redis-bits", "64"),
        ("ctime", "1700000000"),
        ("used-mem", "5000000000"),
        ("repl-stream-db", "3"),
        ("repl-id", ID),
        ("repl-offset", "123456789012"),
        ("aof-base", "0"),
    ];
    assert_eq!(aux, expected);
}

/// Big values come in pieces of bounded size, which together are the whole.
#[test]
fn big_values_in_pieces() {
    let limits = Limits::default();
    let mut hash = Hash::new();
    let mut set = Set::new();
    let mut zset = ZSet::new();
    let (mut list, mut stream) = (List::new(), Stream::new());
    for i in 0..20_000 {
        let text = format!("element number {i}");
        hash.set(text.as_bytes(), b"some value", &limits);
        set.add(text.as_bytes(), &limits);
        zset.insert(text.as_bytes(), f64::from(i % 100), &limits);
        list.push_back(text.as_bytes(), &limits);
        let fields = [(Elem::Bytes(b"text"), Elem::Bytes(text.as_bytes()))];
        stream.append(Id::new(5, 1 + i as u64), &fields[..], &limits).expect("above the last");
    }
    let consumer = Name::new(b"consumer");
    stream.groups_mut().0.add(Group::new(consumer.clone(), Id::MIN, 0));
    stream.change_group(&consumer, |group, _| {
        group.create_consumer(&consumer, 1);
        group.deliver_all(&consumer, &(1..20_000).map(|i| Id::new(5, i)).collect::<Vec<_>>(), 1);
        group.mark_seen(&consumer, 1, true);
    });
    let noise: Vec<u8> = (0..1_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let values = [
        Value::Hash(hash),
        Value::Set(set),
        Value::ZSet(zset),
        Value::List(list),
        Value::Stream(stream),
        Value::Str(StrBuf::Bytes(noise)),
        Value::Str(StrBuf::Bytes(vec![b'a'; 3_000_000])),
    ];
    for compress in [false, true] {
        let mut writer = Writer::new(Version::DEFAULT, compress);
        for value in &values {
            let mut whole = Vec::new();
            writer.entry(&mut whole, b"key", &value.as_ref(), &Meta::default());
            let (mut joined, mut out) = (Vec::new(), Vec::new());
            writer
                .entry_in_pieces(&mut out, b"key", &value.as_ref(), &Meta::default(), &mut |piece| {
                    assert!(piece.len() < 200_000);
                    joined.append(piece);
                    Ok::<(), ()>(())
                })
                .unwrap();
            joined.append(&mut out);
            assert!(joined == whole);
            let stopped =
                writer.entry_in_pieces(&mut out, b"key", &value.as_ref(), &Meta::default(), &mut |_| Err("full"));
            assert_eq!(stopped.is_err(), whole.len() > 70_000);
        }
        let case: Case = values.iter().map(|value| (value.clone(), None, None, None)).collect();
        let contents = contents(&events(&save(&case, Version::DEFAULT, compress), Options::default()).unwrap());
        for (i, value) in values.iter().enumerate() {
            let (read, _) = &contents[&(7, format!("key:{i}").into_bytes())];
            let same: bool = *read == plain(value);
            assert!(same, "value {i}");
            assert!(!matches!(read, Plain::Str(bytes) if bytes.is_empty()));
        }
    }
}
