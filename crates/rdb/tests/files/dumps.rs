//! Payloads of DUMP.

use rivulet_keyspace::value::{Elem, Limits, ValueRef};
use rivulet_rdb::{DumpError, Version, Writer, crc64, dump, restore};

use super::model::{Plain, list, plain};

fn sealed(body: &[u8], version: u16) -> Vec<u8> {
    let mut out = [body, &version.to_le_bytes()].concat();
    out.extend_from_slice(&crc64::checksum(&out).to_le_bytes());
    out
}

#[test]
fn what_redis_dumps() {
    // `SET k aaa…` (40 times), `DUMP k` on Redis 7.0.15.
    let golden = b"\x00\xc3\x09\x28\x01aa\xe0\x1b\x00\x01aa\x0a\x00";
    let mut out = b"before".to_vec();
    let mut writer = Writer::new(Version::DEFAULT, true);
    dump(&mut writer, ValueRef::Str(Elem::Bytes(&[b'a'; 40])), &mut out);
    let payload = &out[6..];
    assert_eq!(&payload[..golden.len()], golden);
    assert_eq!(payload.len(), golden.len() + 8);
    let value = restore(payload, &Limits::default()).unwrap();
    assert_eq!(plain(&value), Plain::Str(vec![b'a'; 40]));
}

#[test]
fn the_two_errors() {
    let limits = Limits::default();
    let good = sealed(&[0, 1, b'x'], 10);
    assert_eq!(plain(&restore(&good, &limits).unwrap()), Plain::Str(b"x".to_vec()));
    for cut in 0..good.len() {
        assert_eq!(restore(&good[..cut], &limits).unwrap_err(), DumpError::VersionOrChecksum);
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        assert_eq!(restore(&bad, &limits).unwrap_err(), DumpError::VersionOrChecksum);
    }
    for (version, known) in
        [(1, true), (9, true), (11, true), (12, true), (13, false), (79, false), (80, true), (81, false)]
    {
        assert_eq!(restore(&sealed(&[0, 1, b'x'], version), &limits).is_ok(), known, "version {version}");
    }
    // An empty body, an opcode, no value, an empty list, no type, a stream that ends too early.
    for body in [&[][..], &[0xff], &[0], &[0, 5, b'x'], &[1, 0], &[8, 1], &[15, 0, 0, 0, 0]] {
        let error = restore(&sealed(body, 10), &limits).unwrap_err();
        assert!(matches!(error, DumpError::BadFormat(_)), "{body:?}");
        assert_eq!(error.to_string(), "Bad data format");
    }
}

#[test]
fn a_list_of_an_old_server() {
    let body = [&[10, 15][..], &[0x0f, 0, 0, 0, 0x0c, 0, 0, 0, 2, 0, 0, 0xf3, 2, 0xf6, 0xff]].concat();
    let value = restore(&sealed(&body, 6), &Limits::default()).unwrap();
    assert_eq!(plain(&value), list(&["2", "5"]));
}
