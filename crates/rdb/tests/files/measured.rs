//! Sizes instead of values: the same entries as with values, and the same elements in each.

use rivulet_keyspace::value::Value;
use rivulet_rdb::{Event, Measured, MeasuredEntry, Options, Reader, Unsupported};

use super::{events, fixture};

const FIXTURES: [&str; 10] = [
    "redis-7.0-plain.rdb",
    "redis-7.0-streams.rdb",
    "redis-7.0-unsupported.rdb",
    "redis-7.0.rdb",
    "redis-8.0-fields.rdb",
    "redis-8.0-streams.rdb",
    "redis-8.0.rdb",
    "valkey-9.1-fields.rdb",
    "valkey-9.1-streams.rdb",
    "valkey-9.1.rdb",
];

fn options() -> Options {
    Options { unsupported: Unsupported::Skip, ..Options::default() }
}

/// All entries; their number is bounded by the file's bytes.
fn measured(file: &[u8]) -> Result<(Vec<MeasuredEntry>, u64), rivulet_rdb::Error> {
    let mut reader = Reader::new(file, options());
    let mut entries = Vec::new();
    loop {
        match reader.next_measured()? {
            Measured::Entry(entry) => entries.push(entry),
            Measured::Other(Event::Eof(_)) => return Ok((entries, reader.offset())),
            Measured::Other(_) => {}
        }
    }
}

fn elements(value: &Value) -> u64 {
    match value {
        Value::Str(_) => 1,
        Value::List(list) => list.len() as u64,
        Value::Set(set) => set.len() as u64,
        Value::Hash(hash) => hash.len() as u64,
        Value::ZSet(zset) => zset.len() as u64,
        Value::Stream(stream) => stream.len() as u64,
    }
}

#[test]
fn the_same_entries_as_with_their_values() {
    for name in FIXTURES {
        let file = fixture(name);
        let (found, end) = measured(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(end, file.len() as u64, "{name}");
        let mut found = found.into_iter();
        let mut bytes = 0;
        for event in events(&file, options()).expect("it is sound") {
            match event {
                Event::Entry(entry) => {
                    let size = found.next().unwrap_or_else(|| panic!("{name} has more entries"));
                    assert_eq!(
                        (&size.key, size.value_type, size.deadline_ms, size.measure.elements),
                        (&entry.key, entry.value_type, entry.deadline_ms, elements(&entry.value)),
                        "{name}: {}",
                        entry.key.escape_ascii()
                    );
                    assert!(size.file_bytes > entry.key.len().min(2) as u64, "{name}");
                    bytes += size.file_bytes;
                }
                Event::Skipped { key, .. } => {
                    let size = found.next().unwrap_or_else(|| panic!("{name} has more entries"));
                    assert_eq!(size.key, key, "{name}");
                    bytes += size.file_bytes;
                }
                _ => {}
            }
        }
        assert_eq!(found.next(), None, "{name}");
        assert!(bytes < end && bytes > end / 2, "{name}: {bytes} of {end} bytes are entries");
    }
}

#[test]
fn a_cut_file_is_an_error_at_any_place() {
    for name in ["redis-7.0.rdb", "redis-8.0-fields.rdb", "valkey-9.1-streams.rdb"] {
        let file = fixture(name);
        for len in (0..file.len()).step_by(1 + file.len() / 2000) {
            let error = measured(&file[..len]).expect_err("it is cut");
            assert!(error.offset <= len as u64, "{name} at {len}: {error}");
        }
    }
}

#[test]
fn a_changed_byte_is_an_error_and_nothing_worse() {
    for name in ["redis-7.0.rdb", "redis-7.0-plain.rdb", "redis-8.0-fields.rdb", "valkey-9.1-streams.rdb"] {
        let file = fixture(name);
        for at in (9..file.len()).step_by(1 + file.len() / 2000) {
            let mut changed = file.clone();
            changed[at] ^= 0xff;
            assert!(measured(&changed).is_err(), "{name}: the byte at {at} is not missed");
        }
    }
}
