//! Encodings that only old servers wrote, crafted from the description of the format.

use rivulet_keyspace::value::Limits;
use rivulet_rdb::format::push_len;
use rivulet_rdb::{Event, Options, Problem, crc64};

use super::model::{Plain, contents, hash, list, set, zset};
use super::{events, model};

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push_len(&mut out, bytes.len() as u64);
    out.extend_from_slice(bytes);
    out
}

/// A file of one entry, with a checksum where the version has one.
fn file(version: u32, value_type: u8, value: &[u8]) -> Vec<u8> {
    let mut out = format!("REDIS{version:04}").into_bytes();
    out.extend_from_slice(&[0xfe, 0, value_type]);
    out.extend(string(b"key"));
    out.extend_from_slice(value);
    out.push(0xff);
    if version >= 5 {
        out.extend_from_slice(&crc64::checksum(&out).to_le_bytes());
    }
    out
}

fn load(version: u32, value_type: u8, value: &[u8]) -> Result<Plain, Problem> {
    let events = events(&file(version, value_type, value), Options::default()).map_err(|error| error.problem)?;
    Ok(contents(&events).remove(&(0, b"key".to_vec())).expect("the key is there").0)
}

fn corrupt(version: u32, value_type: u8, value: &[u8]) {
    let problem = load(version, value_type, value).unwrap_err();
    assert!(matches!(problem, Problem::Corrupt(_)), "{problem}");
}

/// A ziplist of short strings.
fn ziplist(items: &[&str]) -> Vec<u8> {
    let mut body = Vec::new();
    let (mut previous, mut tail) = (0, 10);
    for item in items {
        tail = 10 + body.len();
        body.extend_from_slice(&[previous, item.len() as u8]);
        body.extend_from_slice(item.as_bytes());
        previous = item.len() as u8 + 2;
    }
    let mut out = (body.len() as u32 + 11).to_le_bytes().to_vec();
    out.extend_from_slice(&(tail as u32).to_le_bytes());
    out.extend_from_slice(&(items.len() as u16).to_le_bytes());
    out.extend_from_slice(&body);
    out.push(0xff);
    out
}

fn intset(width: u32, items: &[i64]) -> Vec<u8> {
    let mut out = width.to_le_bytes().to_vec();
    out.extend_from_slice(&(items.len() as u32).to_le_bytes());
    for item in items {
        out.extend_from_slice(&item.to_le_bytes()[..width as usize]);
    }
    out
}

#[test]
fn plain_collections_of_every_version() {
    for version in 1..=12 {
        let elements = [&[2][..], &string(b"a"), &[0xc0, 7]].concat();
        assert_eq!(load(version, 1, &elements), Ok(list(&["a", "7"])));
        assert_eq!(load(version, 2, &elements), Ok(set(&["a", "7"])));
        assert_eq!(load(version, 4, &[&[1][..], &string(b"a"), &[0xc0, 7]].concat()), Ok(hash(&[("a", "7")])));
    }
}

#[test]
fn scores_as_text() {
    let member = |name: &[u8], score: &[u8]| [&string(name), score].concat();
    let value = [
        &[5][..],
        &member(b"a", b"\x031.5"),
        &member(b"b", &[254]),
        &member(b"c", &[255]),
        &member(b"d", b"\x18-1.7976931348623157e+308"),
        &member(b"e", b"\x0210"),
    ]
    .concat();
    assert_eq!(
        load(7, 3, &value),
        Ok(zset(&[
            ("c", f64::NEG_INFINITY),
            ("d", -1.7976931348623157e308),
            ("a", 1.5),
            ("e", 10.0),
            ("b", f64::INFINITY)
        ]))
    );
    corrupt(7, 3, &[&[1][..], &member(b"a", &[253])].concat());
    corrupt(7, 3, &[&[1][..], &member(b"a", b"\x01x")].concat());
    corrupt(7, 3, &[&[2][..], &member(b"a", b"\x011"), &member(b"a", b"\x012")].concat());
    corrupt(8, 5, &[&[1][..], &string(b"a"), &f64::NAN.to_le_bytes()].concat());
}

#[test]
fn zipmaps() {
    assert_eq!(
        load(2, 9, &string(b"\x02\x03foo\x03\x00bar\x05hello\x05\x00world\xff")),
        Ok(hash(&[("foo", "bar"), ("hello", "world")]))
    );
    corrupt(2, 9, &string(b"\x02\x01a\x01\x001\x01a\x01\x002\xff"));
    corrupt(2, 9, &string(b"\x00\xff"));
    corrupt(2, 9, &string(b""));
}

#[test]
fn ziplists() {
    let items = ziplist(&["a", "b", "c", "d"]);
    assert_eq!(load(6, 10, &string(&items)), Ok(list(&["a", "b", "c", "d"])));
    assert_eq!(load(6, 13, &string(&items)), Ok(hash(&[("a", "b"), ("c", "d")])));
    assert_eq!(load(6, 12, &string(&ziplist(&["x", "1.5", "y", "2"]))), Ok(zset(&[("x", 1.5), ("y", 2.0)])));
    corrupt(6, 13, &string(&ziplist(&["a", "b", "a", "d"])));
    corrupt(6, 12, &string(&ziplist(&["a", "1", "a", "2"])));
    corrupt(6, 13, &string(&ziplist(&["a", "b", "c"])));
    corrupt(6, 12, &string(&ziplist(&["a", "b"])));
    for value_type in [10, 12, 13] {
        corrupt(6, value_type, &string(&items[..items.len() - 1]));
    }
}

#[test]
fn quicklists_of_ziplists() {
    let value = [&[3][..], &string(&ziplist(&["a", "b"])), &string(&ziplist(&[])), &string(&ziplist(&["c"]))].concat();
    assert_eq!(load(7, 14, &value), Ok(list(&["a", "b", "c"])));
    corrupt(7, 14, &[&[1][..], &string(b"")].concat());
    corrupt(10, 18, &[&[1, 3][..], &string(b"x")].concat());
    assert_eq!(load(10, 18, &[&[1, 1][..], &string(b"plain")].concat()), Ok(list(&["plain"])));
}

#[test]
fn intsets() {
    assert_eq!(load(4, 11, &string(&intset(2, &[-3, 1, 300]))), Ok(set(&["-3", "1", "300"])));
    assert_eq!(load(4, 11, &string(&intset(4, &[-3, 70000]))), Ok(set(&["-3", "70000"])));
    assert_eq!(load(4, 11, &string(&intset(8, &[1, 1 << 40]))), Ok(set(&["1", "1099511627776"])));
    for bad in
        [intset(2, &[]), intset(2, &[2, 1]), intset(2, &[1, 1]), intset(3, &[1]), intset(2, &[1, 2])[..11].to_vec()]
    {
        corrupt(4, 11, &string(&bad));
    }
    let limits = Limits { set_max_intset_entries: 2, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let events = events(&file(4, 11, &string(&intset(2, &[1, 2, 3]))), options).unwrap();
    assert_eq!(contents(&events)[&(0, b"key".to_vec())].0, set(&["1", "2", "3"]));
}

#[test]
fn duplicates_are_corruption() {
    let twice = [&[2][..], &string(b"a"), &string(b"a")].concat();
    corrupt(9, 2, &twice);
    let pairs = [&[2][..], &string(b"a"), &string(b"1"), &string(b"a"), &string(b"2")].concat();
    corrupt(9, 4, &pairs);
    let scored = [&[2][..], &string(b"a"), &1f64.to_le_bytes(), &string(b"a"), &2f64.to_le_bytes()].concat();
    corrupt(9, 5, &scored);
    let pack = |items: &[&str]| {
        let pack: rivulet_keyspace::value::ListPack = items.iter().collect();
        string(pack.as_bytes())
    };
    corrupt(10, 16, &pack(&["a", "1", "a", "2"]));
    corrupt(10, 17, &pack(&["a", "1", "a", "2"]));
    corrupt(11, 20, &pack(&["a", "a"]));
    corrupt(10, 16, &pack(&["a", "1", "b"]));
    corrupt(10, 17, &pack(&["a", "1", "b"]));
    corrupt(10, 17, &pack(&["a", "x"]));
    assert_eq!(load(11, 20, &pack(&["a", "10"])), Ok(set(&["a", "10"])));
}

#[test]
fn empty_values_are_passed_over() {
    let empty_pack = string(rivulet_keyspace::value::ListPack::new().as_bytes());
    for (value_type, value) in [
        (1, vec![0]),
        (2, vec![0]),
        (3, vec![0]),
        (4, vec![0]),
        (5, vec![0]),
        (14, vec![0]),
        (18, vec![0]),
        (10, string(&ziplist(&[]))),
        (12, string(&ziplist(&[]))),
        (13, string(&ziplist(&[]))),
        (14, [&[1][..], &string(&ziplist(&[]))].concat()),
        (16, empty_pack.clone()),
        (17, empty_pack.clone()),
        (18, [&[1, 2][..], &empty_pack].concat()),
        (20, empty_pack.clone()),
    ] {
        let bytes = file(12, value_type, &value);
        let events = events(&bytes, Options::default()).unwrap();
        assert!(matches!(&events[1], Event::EmptyKey(key) if key == b"key"), "type {value_type}: {events:?}");
        assert_eq!(contents(&events), model::Contents::new());
    }
}

#[test]
fn what_precedes_an_entry() {
    let mut bytes = b"REDIS0009".to_vec();
    bytes.extend_from_slice(b"\xfe\x02\xfb\x02\x01");
    bytes.extend_from_slice(&[0xfd, 100, 0, 0, 0, 0xf8, 0x41, 0x00, 0, 1, b'a', 0xc0, 1]);
    bytes.extend_from_slice(&[0xf9, 77, 0, 1, b'b', 0xc0, 2]);
    bytes.extend_from_slice(&[0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 1, b'c', 0xc0, 3]);
    // A function of a release candidate, a slot's sizes, and a module's data.
    bytes.extend_from_slice(b"\xf6\x03lib\x03lua\x01\x04desc\x04code");
    bytes.extend_from_slice(b"\xf4\x05\x06\x07");
    bytes.extend_from_slice(b"\xf7\x81\0\0\0\0\0\0\0\0\x02\x01\x02\x07\x05\x03abc\x04\0\0\0\0\0\0\0\0\x00");
    bytes.push(0xff);
    bytes.extend_from_slice(&[0; 8]);
    let events = events(&bytes, Options::default()).unwrap();
    assert!(matches!(events[0], Event::SelectDb(2)));
    assert!(matches!(events[1], Event::ResizeDb { keys: 2, expires: 1 }));
    let entries: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Entry(entry) => Some((&entry.key[..], entry.deadline_ms, entry.idle_s, entry.freq)),
            _ => None,
        })
        .collect();
    assert_eq!(
        entries,
        [(&b"a"[..], Some(100_000), Some(256), None), (b"b", None, None, Some(77)), (b"c", None, None, None)]
    );
    assert!(matches!(&events[5], Event::Function(code) if code == b"#!lua name=lib\ncode"));
    assert!(matches!(events[6], Event::SlotInfo { slot: 5, keys: 6, expires: 7 }));
    assert!(matches!(&events[7], Event::ModuleAux { module, when: 1 } if module == "AAAAAAAAA"));
}

#[test]
fn magics_and_versions() {
    let end = [&[0xff][..], &[0; 8]].concat();
    for (magic, good) in [
        (&b"REDIS0001"[..], true),
        (b"REDIS0012", true),
        (b"REDIS0013", false),
        (b"REDIS0080", false),
        (b"REDIS0000", false),
        (b"REDIS00xx", false),
        (b"VALKEY080", true),
        (b"VALKEY011", false),
        (b"VALKEY081", false),
        (b"redis0010", false),
    ] {
        let result = events(&[magic, &end].concat(), Options::default());
        assert_eq!(result.is_ok(), good, "{}", magic.escape_ascii());
    }
}
