//! A file that is taken apart into blocks says what it says when it is read as a whole, and ends with the same error.

use rivulet_keyspace::Value;
use rivulet_keyspace::value::StrBuf;
use rivulet_rdb::format::types;
use rivulet_rdb::read::Entry;
use rivulet_rdb::{Error, Event, Options, Reader, ShortString, Unsupported};

use super::{events, fixture};

/// All events of a file, of which other readers decode the blocks. Sizes are small, so that blocks end everywhere.
fn events_by_blocks(file: &[u8], options: Options, entries_max: usize, bytes_max: usize) -> Result<Vec<Event>, Error> {
    let mut reader = Reader::new(file, options.clone());
    let mut decoder = Reader::of_blocks(options);
    let mut events = Vec::new();
    loop {
        if let Some(block) = reader.block(entries_max, bytes_max) {
            let entries = block.entries;
            assert!((1..=entries_max).contains(&entries));
            decoder.begin_block(block);
            let before = events.len();
            while !decoder.block_ended() {
                if let Some(ShortString { key, value, deadline_ms, .. }) = decoder.short_string() {
                    let (key, value) = (key.to_vec(), Value::Str(StrBuf::Bytes(value.to_vec())));
                    let value_type = types::STRING;
                    events.push(Event::Entry(Entry { key, value, deadline_ms, idle_s: None, freq: None, value_type }));
                    continue;
                }
                events.push(decoder.next()?);
            }
            assert_eq!(events.len() - before, entries);
            continue;
        }
        let event = reader.next()?;
        let end = matches!(event, Event::Eof(_));
        events.push(event);
        if end {
            return Ok(events);
        }
    }
}

fn check(file: &[u8], options: &Options, what: &str) {
    let whole = format!("{:?}", events(file, options.clone()));
    for (entries_max, bytes_max) in [(1, 1), (3, 100), (512, 1 << 16)] {
        let found = format!("{:?}", events_by_blocks(file, options.clone(), entries_max, bytes_max));
        assert!(found == whole, "{what}, blocks of {entries_max} entries and {bytes_max} bytes: {found}\nnot {whole}");
    }
}

#[test]
fn blocks_say_what_the_file_says() {
    let names = ["redis-7.0.rdb", "redis-8.0.rdb", "valkey-9.1.rdb", "redis-8.0-fields.rdb", "redis-7.0-streams.rdb"];
    for name in names {
        let file = fixture(name);
        check(&file, &Options::default(), name);
        check(&file, &Options { unsupported: Unsupported::Skip, ..Options::default() }, name);
    }
}

#[test]
fn damage_is_found_as_in_the_whole_file() {
    let lenient = Options { verify_checksum: false, unsupported: Unsupported::Skip, ..Options::default() };
    for name in ["redis-8.0.rdb", "redis-7.0-unsupported.rdb"] {
        let file = fixture(name);
        for at in (9..file.len()).step_by(file.len() / 500 + 1) {
            check(&file[..at], &lenient, &format!("{name} cut at {at}"));
            for mask in [0x01, 0x04, 0x40, 0x80, 0xff] {
                let mut bad = file.clone();
                bad[at] ^= mask;
                check(&bad, &lenient, &format!("{name} with byte {at} changed by {mask:#x}"));
            }
        }
    }
}
