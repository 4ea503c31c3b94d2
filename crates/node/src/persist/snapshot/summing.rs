//! A snapshot as digests, for the proof that replicas are equal: see `rivulet_replication::verify`.
//!
//! The executor writes captured entries down flat ([`append_entry`]), which costs a copy; [`Summing`] digests them on the
//! serializer's thread. An entry's digest depends on database, key, type, value and deadline, and on nothing else: not on
//! an encoding, not on the order in which a set, hash or sorted set is kept, not on when the entry was used.

use rivulet_keyspace::value::ValueRef;
use rivulet_keyspace::value::stream::{Id, Stream};
use rivulet_replication::verify::{Findings, KeyDigest, Marker, bucket_of};
use sha1::{Digest as _, Sha1};

/// A record: its length without these four bytes, a tag, then as the tag says.
const LEN_BYTES: usize = 4;
/// A database number follows; entries of this database follow.
const TAG_DB: u8 = 0;
const TAG_STRING: u8 = 1;
const TAG_LIST: u8 = 2;
const TAG_SET: u8 = 3;
const TAG_ZSET: u8 = 4;
const TAG_HASH: u8 = 5;
const TAG_STREAM: u8 = 6;
/// Stands for no deadline.
const NO_DEADLINE: u64 = u64::MAX;

/// Says that entries of this database follow.
pub fn append_db(out: &mut Vec<u8>, db: u64) {
    record(out, |out| {
        out.push(TAG_DB);
        out.extend_from_slice(&(db as u32).to_le_bytes());
    });
}

/// An entry: tag, deadline, key, then the parts of its items, each with its length.
pub fn append_entry(out: &mut Vec<u8>, key: &[u8], value: &ValueRef<'_>, deadline_ms: Option<u64>) {
    record(out, |out| {
        out.push(tag(value));
        out.extend_from_slice(&deadline_ms.unwrap_or(NO_DEADLINE).to_le_bytes());
        append_part(out, key);
        for_each_item(value, &mut |parts| parts.iter().for_each(|part| append_part(out, part)));
    });
}

/// A library of functions: as a string in a database that there is not, under its first line.
pub fn append_function(out: &mut Vec<u8>, code: &[u8]) {
    append_db(out, u64::from(u32::MAX));
    record(out, |out| {
        out.push(TAG_STRING);
        out.extend_from_slice(&NO_DEADLINE.to_le_bytes());
        append_part(out, code.split(|&c| c == b'\n').next().unwrap_or(code));
        append_part(out, code);
    });
}

fn record(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; LEN_BYTES]);
    write(out);
    let len = (out.len() - start - LEN_BYTES) as u32;
    out[start..start + LEN_BYTES].copy_from_slice(&len.to_le_bytes());
}

fn append_part(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u32).to_le_bytes());
    out.extend_from_slice(part);
}

fn tag(value: &ValueRef<'_>) -> u8 {
    match value {
        ValueRef::Str(_) => TAG_STRING,
        ValueRef::List(_) => TAG_LIST,
        ValueRef::Set(_) => TAG_SET,
        ValueRef::ZSet(_) => TAG_ZSET,
        ValueRef::Hash(_) => TAG_HASH,
        ValueRef::Stream(_) => TAG_STREAM,
    }
}

/// An item of a value in parts: an element, a field with its value, a member with its score.
fn for_each_item(value: &ValueRef<'_>, item: &mut dyn FnMut(&[&[u8]])) {
    match value {
        ValueRef::Str(v) => v.with(|b| item(&[b])),
        ValueRef::List(v) => v.iter().for_each(|e| e.with(|b| item(&[b]))),
        ValueRef::Set(v) => v.iter().for_each(|e| e.with(|b| item(&[b]))),
        ValueRef::ZSet(v) => {
            for (member, score) in v.iter() {
                // An integer in a listpack has no sign of zero.
                member.with(|b| item(&[b, &(score + 0.0).to_bits().to_le_bytes()]));
            }
        }
        ValueRef::Hash(v) => {
            for (field, value, deadline) in v.rows() {
                field.with(|f| value.with(|v| item_of_hash(f, v, deadline, item)));
            }
        }
        ValueRef::Stream(v) => for_each_part_of_stream(v, item),
    }
}

/// A field that has a deadline differs from the same without one: its value is followed by the deadline, in a part that no value has.
fn item_of_hash(field: &[u8], value: &[u8], deadline: Option<u64>, item: &mut dyn FnMut(&[&[u8]])) {
    match deadline {
        None => item(&[field, value]),
        Some(ms) => {
            let mut parts = Vec::with_capacity(value.len() + 16);
            append_part(&mut parts, b"deadline");
            append_part(&mut parts, value);
            parts.extend_from_slice(&ms.to_le_bytes());
            item(&[field, &parts]);
        }
    }
}

/// Entries, and what the stream and its groups know: each part names what it is of. When consumers were seen is not told to replicas.
fn for_each_part_of_stream(stream: &Stream, item: &mut dyn FnMut(&[&[u8]])) {
    let known = [stream.last_id().to_bytes(), stream.max_deleted_id().to_bytes()].concat();
    item(&[b"stream", &[&known[..], &stream.entries_added().to_le_bytes()].concat()]);
    let mut fields = Vec::new();
    for entry in stream.entries().range(Id::MIN, Id::MAX) {
        fields.clear();
        for (name, value) in entry.fields() {
            name.with(|name| append_part(&mut fields, name));
            value.with(|value| append_part(&mut fields, value));
        }
        item(&[&[&b"entry"[..], &entry.id.to_bytes()].concat(), &fields]);
    }
    for group in stream.groups().into_iter().flat_map(|groups| groups.iter()) {
        let mut name = Vec::new();
        append_part(&mut name, group.name.as_bytes());
        let read = [&group.last_id.to_bytes()[..], &group.entries_read.to_le_bytes()].concat();
        item(&[&[b"group", &name[..]].concat(), &read]);
        for pending in group.pending().iter() {
            let times = [pending.delivered_ms.to_le_bytes(), pending.deliveries.to_le_bytes()].concat();
            let delivered = [&times[..], pending.consumer.as_bytes()].concat();
            item(&[&[b"pending", &name[..], &pending.id.to_bytes()].concat(), &delivered]);
        }
        for consumer in group.consumers() {
            item(&[&[b"consumer", &name[..]].concat(), consumer.name.as_bytes()]);
        }
    }
}

/// How many parts an item has, and whether the order of the items counts.
fn shape(tag: u8) -> Option<(usize, bool)> {
    match tag {
        TAG_STRING => Some((1, false)),
        TAG_LIST => Some((1, true)),
        TAG_SET => Some((1, false)),
        TAG_ZSET | TAG_HASH | TAG_STREAM => Some((2, false)),
        _ => None,
    }
}

/// Digests entries as a marker asks for them.
pub struct Summing {
    /// What has expired by then does not count.
    unix_ms: u64,
    wanted: Option<Box<[bool]>>,
    db: u32,
    findings: Findings,
}

impl Summing {
    pub fn new(marker: &Marker) -> Summing {
        let wanted = marker.keys_of.as_ref().map(|ranges| {
            let mut wanted = vec![false; rivulet_replication::verify::BUCKETS];
            ranges.iter().flat_map(|range| range.clone()).for_each(|bucket| wanted[usize::from(bucket)] = true);
            wanted.into()
        });
        Summing { unix_ms: marker.token.unix_ms, wanted, db: 0, findings: Findings::of(marker) }
    }

    /// Records as they were appended, whole ones.
    pub fn records(&mut self, mut bytes: &[u8]) {
        while let Some((record, rest)) = split_part(bytes) {
            bytes = rest;
            match record.split_first() {
                Some((&TAG_DB, db)) => {
                    self.db = db.first_chunk().map_or(0, |db| u32::from_le_bytes(*db));
                }
                Some((&tag, entry)) => self.record(tag, entry),
                None => {}
            }
        }
    }

    fn record(&mut self, tag: u8, entry: &[u8]) {
        let Some((deadline, entry)) = entry.split_first_chunk() else { return };
        let deadline = u64::from_le_bytes(*deadline);
        let (Some((key, mut items)), Some((parts, ordered))) = (split_part(entry), shape(tag)) else { return };
        let Some(bucket) = self.bucket(key, deadline) else { return };
        let mut value = ValueDigest { ordered, sum: 0 };
        while let Some((first, rest)) = split_part(items) {
            match (parts, split_part(rest)) {
                (2, Some((second, rest))) => {
                    value.item(&[first, second]);
                    items = rest;
                }
                _ => {
                    value.item(&[first]);
                    items = rest;
                }
            }
        }
        self.add(bucket, tag, key, deadline, value.sum);
    }

    /// An entry with a big value, which was not written down.
    pub fn entry(&mut self, key: &[u8], value: &ValueRef<'_>, deadline_ms: Option<u64>) {
        let deadline = deadline_ms.unwrap_or(NO_DEADLINE);
        let tag = tag(value);
        let (Some(bucket), Some((_, ordered))) = (self.bucket(key, deadline), shape(tag)) else { return };
        let mut digest = ValueDigest { ordered, sum: 0 };
        for_each_item(value, &mut |parts| digest.item(parts));
        self.add(bucket, tag, key, deadline, digest.sum);
    }

    /// The bucket of a key, if it counts.
    fn bucket(&self, key: &[u8], deadline: u64) -> Option<usize> {
        let bucket = bucket_of(self.db, key);
        let wanted = self.wanted.as_ref().is_none_or(|wanted| wanted[bucket]);
        (wanted && deadline >= self.unix_ms).then_some(bucket)
    }

    fn add(&mut self, bucket: usize, tag: u8, key: &[u8], deadline: u64, value: u128) {
        let (db, deadline, value) = (self.db.to_le_bytes(), deadline.to_le_bytes(), value.to_le_bytes());
        let digest = hash(&[&[tag], &db, &deadline, &value, key]);
        match &mut self.findings {
            Findings::Sums(sums) => {
                let sum = &mut sums[bucket];
                sum.digest = sum.digest.wrapping_add(digest);
                sum.entries += 1;
            }
            Findings::Keys(keys) => keys.push(KeyDigest { db: self.db, key: key.into(), digest }),
        }
    }

    pub fn findings(self) -> Findings {
        self.findings
    }
}

/// Bytes with their length before them, and what follows.
fn split_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*len) as usize)
}

struct ValueDigest {
    ordered: bool,
    sum: u128,
}

impl ValueDigest {
    fn item(&mut self, parts: &[&[u8]]) {
        let item = match parts {
            [one] => hash(&[one]),
            [one, two] => hash(&[&(one.len() as u64).to_le_bytes(), one, two]),
            more => more.iter().fold(0, |sum, part| sum ^ hash(&[part])),
        };
        self.sum = match self.ordered {
            true => hash(&[&self.sum.to_le_bytes(), &item.to_le_bytes()]),
            false => self.sum.wrapping_add(item),
        };
    }
}

/// The first 128 bits of the SHA-1 of these bytes one after the other.
fn hash(parts: &[&[u8]]) -> u128 {
    let mut sha = Sha1::new();
    parts.iter().for_each(|part| sha.update(part));
    let digest: [u8; 20] = sha.finalize().into();
    digest.first_chunk().map_or(0, |first| u128::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rivulet_keyspace::{Hash, Limits, List, Set, Value, ZSet};
    use rivulet_replication::verify::Token;

    const NOW: u64 = 1_000_000;

    fn marker() -> Marker {
        Marker { token: Token { id: 1, unix_ms: NOW }, keys_of: None }
    }

    /// The sum of all buckets, over entries written down and over entries given as they are.
    fn sum(entries: &[(&str, &Value, Option<u64>)]) -> u128 {
        let total = |summing: Summing| match summing.findings() {
            Findings::Sums(sums) => sums.iter().fold(0u128, |all, sum| all.wrapping_add(sum.digest)),
            Findings::Keys(_) => panic!("sums were asked for"),
        };
        let (mut flat, mut direct) = (Summing::new(&marker()), Summing::new(&marker()));
        let mut bytes = Vec::new();
        append_db(&mut bytes, 3);
        direct.db = 3;
        for (key, value, deadline) in entries {
            append_entry(&mut bytes, key.as_bytes(), &value.as_ref(), *deadline);
            direct.entry(key.as_bytes(), &value.as_ref(), *deadline);
        }
        flat.records(&bytes);
        let (flat, direct) = (total(flat), total(direct));
        assert_eq!(flat, direct);
        flat
    }

    fn list(items: &[&str]) -> Value {
        let mut list = List::new();
        items.iter().for_each(|item| list.push_back(item.as_bytes(), &Limits::default()));
        Value::List(list)
    }

    fn set(items: &[&str], limits: &Limits) -> Value {
        let mut set = Set::new();
        items.iter().for_each(|item| assert!(set.add(item.as_bytes(), limits)));
        Value::Set(set)
    }

    #[test]
    fn neither_order_nor_encoding_counts_but_in_lists_order_does() {
        let small = Limits { set_max_intset_entries: 1, ..Limits::default() };
        let (a, b) = (set(&["1", "2", "3"], &Limits::default()), set(&["3", "2", "1"], &small));
        let encoding = |value: &Value| match value {
            Value::Set(set) => set.encoding(),
            _ => panic!("a set"),
        };
        assert_ne!(encoding(&a), encoding(&b));
        assert_eq!(sum(&[("k", &a, None)]), sum(&[("k", &b, None)]));
        assert_ne!(sum(&[("k", &list(&["1", "2"]), None)]), sum(&[("k", &list(&["2", "1"]), None)]));
        assert_ne!(sum(&[("k", &list(&["1"]), None)]), sum(&[("k", &set(&["1"], &small), None)]));
        assert_eq!(
            sum(&[("k", &a, None), ("l", &list(&["x"]), None)]),
            sum(&[("l", &list(&["x"]), None), ("k", &a, None)])
        );
    }

    #[test]
    fn key_deadline_and_parts_count() {
        let value = list(&["x"]);
        let all = [
            sum(&[("k", &value, None)]),
            sum(&[("l", &value, None)]),
            sum(&[("k", &value, Some(NOW))]),
            sum(&[("k", &value, Some(NOW + 1))]),
        ];
        assert!((1..all.len()).all(|i| !all[..i].contains(&all[i])), "{all:?}");
        let hash = |pairs: &[(&str, &str)]| {
            let mut hash = Hash::new();
            for (field, value) in pairs {
                hash.set(field.as_bytes(), value.as_bytes(), &Limits::default());
            }
            Value::Hash(hash)
        };
        assert_ne!(sum(&[("k", &hash(&[("ab", "c")]), None)]), sum(&[("k", &hash(&[("a", "bc")]), None)]));
        assert_ne!(
            sum(&[("k", &hash(&[("a", "1"), ("b", "2")]), None)]),
            sum(&[("k", &hash(&[("a", "2"), ("b", "1")]), None)])
        );
    }

    #[test]
    fn all_that_replicas_are_told_of_a_stream_counts() {
        use rivulet_keyspace::Elem;
        use rivulet_keyspace::value::stream::{Group, Name};
        let (name, consumer) = (Name::new(b"g"), Name::new(b"c"));
        let mut stream = Stream::new();
        let mut sums = vec![sum(&[("k", &Value::Stream(stream.clone()), None)])];
        let mut look = |stream: &Stream| sums.push(sum(&[("k", &Value::Stream(stream.clone()), None)]));
        let fields = [(Elem::Bytes(b"f"), Elem::Bytes(b"v"))];
        stream.append(Id::new(1, 1), &fields[..], &Limits::default()).expect("the first");
        look(&stream);
        stream.set_last_id(Id::new(2, 2));
        look(&stream);
        stream.groups_mut().0.add(Group::new(name.clone(), Id::new(1, 0), 0));
        look(&stream);
        stream.change_group(&name, |group, _| group.create_consumer(&consumer, 5));
        look(&stream);
        stream.change_group(&name, |group, _| group.deliver_all(&consumer, &[Id::new(1, 1)], 5));
        look(&stream);
        stream.change_group(&name, |group, _| group.redeliver(Id::new(1, 1), 6, 1));
        look(&stream);
        stream.remove(Id::new(1, 1));
        look(&stream);
        assert!((1..sums.len()).all(|i| !sums[..i].contains(&sums[i])), "{sums:?}");
        let before = stream.clone();
        stream.change_group(&name, |group, _| group.mark_seen(&consumer, 99, true));
        assert_eq!(sum(&[("k", &Value::Stream(stream), None)]), sum(&[("k", &Value::Stream(before), None)]));
    }

    #[test]
    fn what_has_expired_does_not_count() {
        let value = list(&["x"]);
        assert_eq!(sum(&[("k", &value, Some(NOW - 1))]), 0);
        assert_ne!(sum(&[("k", &value, Some(NOW))]), 0);
    }

    #[test]
    fn a_zero_has_no_sign() {
        let zset = |score: f64| {
            let mut zset = ZSet::new_large();
            zset.insert(b"m", score, &Limits::default());
            Value::ZSet(zset)
        };
        assert_eq!(sum(&[("k", &zset(0.0), None)]), sum(&[("k", &zset(-0.0), None)]));
        assert_ne!(sum(&[("k", &zset(0.0), None)]), sum(&[("k", &zset(1.0), None)]));
    }

    #[test]
    fn keys_of_some_buckets() {
        let bucket = bucket_of(3, b"wanted") as u16;
        let mut summing = Summing::new(&Marker { keys_of: Some(vec![bucket..=bucket]), ..marker() });
        let mut bytes = Vec::new();
        append_db(&mut bytes, 3);
        for key in ["wanted", "other"] {
            append_entry(&mut bytes, key.as_bytes(), &list(&["x"]).as_ref(), None);
        }
        summing.records(&bytes);
        let Findings::Keys(keys) = summing.findings() else { panic!("keys were asked for") };
        assert_eq!(keys.iter().map(|k| (k.db, &k.key[..])).collect::<Vec<_>>(), [(3, &b"wanted"[..])]);
    }
}
