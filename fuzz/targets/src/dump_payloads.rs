//! Payloads of RESTORE: whatever is behind a footer that is right.

use rivulet_keyspace::value::{Limits, StrBuf, Stream, Value};
use rivulet_rdb::{Version, Writer, crc64, dump, restore};

/// The versions that a footer may name, by the first byte of the input.
const VERSIONS: [u16; 6] = [6, 9, 10, 11, 12, 80];

pub fn run(bytes: &[u8]) {
    // As it comes: nearly always refused.
    let _ = restore(bytes, &Limits::default());
    let Some((&choice, body)) = bytes.split_first() else { return };
    let version = VERSIONS[usize::from(choice) % VERSIONS.len()];
    if let Ok(value) = restore(&sealed(body, version), &Limits::default()) {
        check_round_trip(&value);
    }
}

/// A value that was read can be written, and what is read then is the same. Its form may be another: a packed set that holds only numbers comes
/// back as an intset.
pub fn check_round_trip(value: &Value) {
    let mut payload = Vec::new();
    dump(&mut Writer::new(Version::DEFAULT, false), value.as_ref(), &mut payload);
    let again = restore(&payload, &Limits::default()).expect("what was written is readable");
    assert_eq!(contents(&again), contents(value), "a value has changed on its way");
}

/// Elements with what belongs to them, in an order that does not depend on the value's form.
fn contents(value: &Value) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all: Vec<(Vec<u8>, Vec<u8>)> = match value {
        Value::Str(v) => vec![(v.as_elem().to_vec(), Vec::new())],
        Value::List(v) => return v.iter().map(|item| (item.to_vec(), Vec::new())).collect(),
        Value::Set(v) => v.iter().map(|member| (member.to_vec(), Vec::new())).collect(),
        Value::Hash(v) => v.iter().map(|(field, value)| (field.to_vec(), value.to_vec())).collect(),
        Value::ZSet(v) => v.iter().map(|(member, score)| (member.to_vec(), score.to_be_bytes().to_vec())).collect(),
        // When a consumer was active is not told in the version that is written.
        Value::Stream(v) => return vec![(without_active_times(v), Vec::new())],
    };
    all.sort_unstable();
    all
}

fn without_active_times(stream: &Stream) -> Vec<u8> {
    let text = format!("{stream:?}");
    let mut parts = text.split("active_ms: ");
    let first = parts.next().map(str::to_string);
    let rest = parts.map(|part| part.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit()));
    first.into_iter().chain(rest.map(str::to_string)).collect::<String>().into_bytes()
}

fn sealed(body: &[u8], version: u16) -> Vec<u8> {
    let mut payload = [body, &version.to_le_bytes()].concat();
    payload.extend_from_slice(&crc64::checksum(&payload).to_le_bytes());
    payload
}

/// Bodies of all types, as Redis writes and wrote them.
const BODIES: [&[u8]; 18] = [
    b"\x00\x05hello",
    b"\x00\xc1\x39\x30",
    b"\x00\xc3\x09\x28\x01aa\xe0\x1b\x00\x01aa",
    b"\x01\x02\x01a\x01b",
    b"\x02\x02\x01a\x01b",
    b"\x03\x01\x01a\x011",
    b"\x05\x01\x01a\x00\x00\x00\x00\x00\x00\xf0\x3f",
    b"\x04\x01\x01f\x01v",
    b"\x09\x07\x01\x01f\x01\x00v\xff",
    b"\x0a\x0f\x0f\x00\x00\x00\x0c\x00\x00\x00\x02\x00\x00\xf3\x02\xf6\xff",
    b"\x0b\x0c\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x02\x00",
    b"\x10\x0d\x0d\x00\x00\x00\x02\x00\x81f\x02\x81v\x02\xff",
    b"\x11\x0c\x0c\x00\x00\x00\x02\x00\x81a\x02\x01\x01\xff",
    b"\x04\x03\x01b\xc0\x02\x01a\xc0\x01\x01c\xc0\x03",
    b"\x12\x01\x02\x0d\x0d\x00\x00\x00\x02\x00\x81a\x02\x81b\x02\xff",
    // A stream of one entry that a consumer has, without and with when that was active.
    b"\x13\x01\x10\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\x1d\x1d\0\0\0\x0a\0\x01\x01\0\x01\x01\x01\x81f\x02\0\x01\x02\x01\0\x01\0\x01\x81v\x02\x04\x01\xff\x01\x01\0\x01\0\0\0\x01\x01\x01g\x01\0\x01\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x01\x01\x01c\x05\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0",
    b"\x15\x00\0\x05\x05\0\0\x05\x05\x01\x01\x01g\x05\x05\x01\0\x01\x01c\x05\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\0",
    b"\x14\x0d\x0d\x00\x00\x00\x02\x00\xd4\x66\x02\x816\x02\xff",
];

pub fn seeds() -> Vec<Vec<u8>> {
    BODIES.iter().map(|body| [&[2], *body].concat()).collect()
}

/// The values of the bodies, and a long string.
pub fn values() -> Vec<Value> {
    let limits = Limits::default();
    let valid = |body: &&[u8]| restore(&sealed(body, 10), &limits).expect("the bodies are valid");
    let mut values: Vec<Value> = BODIES.iter().map(valid).collect();
    values.push(Value::Str(StrBuf::Bytes(b"abc".repeat(200))));
    values
}
