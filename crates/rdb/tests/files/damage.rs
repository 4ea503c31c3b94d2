//! Files that are cut at each byte or have one byte changed.

use rivulet_rdb::{Event, Options, Problem, Reader, Unsupported, Version, Writer};

use super::{events, fixture};

fn samples() -> [Vec<u8>; 4] {
    ["redis-8.0.rdb", "valkey-9.1.rdb", "redis-8.0-fields.rdb", "redis-7.0-unsupported.rdb"].map(fixture)
}

fn lenient() -> Options {
    Options { verify_checksum: false, unsupported: Unsupported::Skip, ..Options::default() }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    for file in samples() {
        for cut in 0..file.len() {
            let options = Options { unsupported: Unsupported::Skip, ..Options::default() };
            let error = events(&file[..cut], options).expect_err("a cut file was taken for whole");
            assert_eq!(error.problem, Problem::Eof, "cut at {cut}: {error}");
            assert!(error.offset <= cut as u64);
        }
    }
}

#[test]
fn a_changed_byte_is_an_error() {
    for file in samples() {
        for at in 0..file.len() {
            for mask in [0x01, 0x80, 0xff, 0x40, 0x04] {
                let mut bad = file.clone();
                bad[at] ^= mask;
                if bad.starts_with(b"REDIS000") {
                    continue; // versions before 5 have no checksum
                }
                let options = Options { unsupported: Unsupported::Skip, ..Options::default() };
                assert!(events(&bad, options).is_err(), "byte {at} changed by {mask:x} went unseen");
            }
        }
    }
}

#[test]
fn a_changed_byte_without_checksum_is_no_catastrophe() {
    // Some of these load: what matters is that each ends, in bounded memory.
    for file in samples() {
        for at in 9..file.len() {
            for mask in [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff, 0x7f, 0xc0, 0x3f] {
                let mut bad = file.clone();
                bad[at] ^= mask;
                let _ = events(&bad, lenient());
            }
        }
    }
    for (name, step) in [("redis-7.0.rdb", 11), ("redis-7.0-streams.rdb", 17), ("valkey-9.1-streams.rdb", 31)] {
        let file = fixture(name);
        for at in (9..file.len()).step_by(step) {
            for mask in [0x01, 0xff, 0x80] {
                let mut bad = file.clone();
                bad[at] ^= mask;
                // What is taken can be written.
                for event in events(&bad, lenient()).into_iter().flatten() {
                    if let Event::Entry(entry) = event {
                        rivulet_rdb::dump(
                            &mut Writer::new(Version::DEFAULT, false),
                            entry.value.as_ref(),
                            &mut Vec::new(),
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn an_error_is_final() {
    let file = fixture("redis-8.0.rdb");
    let mut reader = Reader::new(&file[..100], Options::default());
    let error = loop {
        if let Err(error) = reader.next() {
            break error;
        }
    };
    assert_eq!(reader.next().unwrap_err(), error);
}

#[test]
fn lengths_are_not_believed() {
    let huge = [0x81u8, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    for value_type in [0u8, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21] {
        let file = [b"REDIS0010".as_slice(), &[value_type, 1, b'k'], &huge, b"xyz"].concat();
        let error = events(&file, Options::default()).unwrap_err();
        assert_eq!(error.key.as_deref(), Some(&b"k"[..]), "type {value_type}");
        assert_eq!(error.value_type, Some(value_type));
    }
    // Compressed strings whose lengths are absurd.
    for lengths in [[&huge[..], &[9]].concat(), [&[3][..], &huge].concat()] {
        let file = [b"REDIS0010".as_slice(), &[0, 1, b'k', 0xc3], &lengths, b"xyz"].concat();
        assert!(events(&file, Options::default()).is_err());
    }
}
