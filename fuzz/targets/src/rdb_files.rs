//! RDB files: a damaged one ends with an error, and every entry that is read can be written and read again.

use rivulet_rdb::write::{Aux, Meta};
use rivulet_rdb::{Event, Measured, Options, Reader, Unsupported, Version, Writer};

use crate::dump_payloads;

pub fn run(bytes: &[u8]) {
    for unsupported in [Unsupported::Skip, Unsupported::Fail] {
        let options = Options { verify_checksum: false, unsupported, ..Options::default() };
        let mut reader = Reader::new(bytes, options);
        loop {
            match reader.next() {
                Ok(Event::Entry(entry)) => dump_payloads::check_round_trip(&entry.value),
                Ok(Event::Eof(_)) | Err(_) => break,
                Ok(_) => {}
            }
            assert!(reader.offset() <= bytes.len() as u64, "more was taken than there is");
        }
    }
    let mut reader = Reader::new(bytes, Options { verify_checksum: false, ..Options::default() });
    while let Ok(measured) = reader.next_measured() {
        match measured {
            Measured::Entry(entry) => assert!(entry.file_bytes <= bytes.len() as u64, "more than there is"),
            Measured::Other(Event::Eof(_)) => break,
            Measured::Other(_) => {}
        }
    }
}

/// The files of the reader's own tests, and a small one of our own writing.
pub fn seeds() -> Vec<Vec<u8>> {
    const FIXTURES: [&[u8]; 7] = [
        include_bytes!("../../../crates/rdb/tests/fixtures/redis-7.0.rdb"),
        include_bytes!("../../../crates/rdb/tests/fixtures/redis-7.0-unsupported.rdb"),
        include_bytes!("../../../crates/rdb/tests/fixtures/redis-8.0.rdb"),
        include_bytes!("../../../crates/rdb/tests/fixtures/redis-8.0-fields.rdb"),
        include_bytes!("../../../crates/rdb/tests/fixtures/valkey-9.1.rdb"),
        include_bytes!("../../../crates/rdb/tests/fixtures/redis-7.0-streams.rdb"),
        include_bytes!("../../../crates/rdb/tests/fixtures/valkey-9.1-streams.rdb"),
    ];
    let mut seeds = FIXTURES.map(<[u8]>::to_vec).to_vec();
    let mut writer = Writer::new(Version::DEFAULT, true);
    let mut own = Vec::new();
    let aux = Aux {
        redis_version: "7.0.15",
        ctime_s: 0,
        used_memory: 0,
        replication: None,
        aof_base: false,
        diverged: false,
    };
    writer.header(&mut own, &aux);
    writer.select_db(&mut own, 0);
    for (i, value) in dump_payloads::values().iter().enumerate() {
        let meta = Meta { deadline_ms: (i % 2 == 0).then_some(1 << 40), idle_s: None, freq: None };
        writer.entry(&mut own, format!("key:{i}").as_bytes(), &value.as_ref(), &meta);
    }
    writer.eof(&mut own);
    own.extend_from_slice(&rivulet_rdb::crc64::checksum(&own).to_le_bytes());
    seeds.push(own);
    seeds
}
