//! The checker's report against what `redis-check-rdb` 7.0 said of the same file.

use rivulet_rdb::check::check;

use super::fixture;

const NOW_MS: u64 = 1_800_000_000_000;

fn report(name: &str, file: &[u8]) -> (bool, String) {
    let mut out = Vec::new();
    let sound = check(name, file, NOW_MS, &mut out).unwrap().is_some();
    (sound, String::from_utf8(out).unwrap())
}

#[test]
fn reports_are_those_of_redis() {
    for name in ["redis-7.0", "redis-7.0-plain"] {
        let expected = String::from_utf8(fixture(&format!("{name}.check"))).unwrap();
        let file = format!("{name}.rdb");
        assert_eq!(report(&file, &fixture(&file)), (true, expected));
    }
}

#[test]
fn what_this_server_cannot_load_is_passed_over() {
    let expected = String::from_utf8(fixture("redis-7.0-unsupported.check")).unwrap();
    assert_eq!(report("redis-7.0-unsupported.rdb", &fixture("redis-7.0-unsupported.rdb")), (true, expected));
    for name in ["redis-8.0-fields.rdb", "valkey-9.1-fields.rdb"] {
        let (sound, report) = report(name, &fixture(name));
        assert!(sound && !report.contains("keys of types"), "{report}");
    }
}

#[test]
fn a_cut_file() {
    let expected = "\
--- RDB ERROR DETECTED ---
[offset 6460] Unexpected EOF reading RDB file
[additional info] While doing: read-object-value
[additional info] Reading key 'hash:512'
[additional info] Reading type 16 (hash-listpack)
[info] 28 keys read
[info] 2 expires
[info] 1 already expired
";
    let (sound, report) = report("cut.rdb", &fixture("redis-7.0.rdb")[..9000]);
    assert!(!sound);
    assert!(report.ends_with(expected), "{report}");
}

#[test]
fn other_errors() {
    let (sound, text) = report("x", b"REDIX0010");
    assert!(!sound && text.contains("[offset 9] Wrong signature trying to load DB from file"), "{text}");
    let (sound, text) = report("x", b"REDIS0099");
    assert!(!sound && text.contains("[offset 9] Can't handle RDB format version 99"), "{text}");
    let (sound, text) = report("x", b"REDIS0010\x63");
    assert!(!sound && text.contains("[offset 10] Invalid object type: 99"), "{text}");
    let (sound, text) = report("x", b"");
    assert!(!sound && text.contains("While doing: start"), "{text}");
    let mut file = fixture("redis-8.0.rdb");
    *file.last_mut().unwrap() ^= 1;
    let (sound, text) = report("x", &file);
    assert!(!sound && text.contains("] RDB CRC error"), "{text}");
    assert!(text.contains("While doing: check-sum"), "{text}");
    let (sound, text) = report("x", b"REDIS0010\xff\0\0\0\0\0\0\0\0");
    assert!(sound && text.contains("RDB file was saved with checksum disabled: no check performed."), "{text}");
}
