//! What a snapshot holds, added up key by key. It takes as much memory for a large file as for a small one: prefixes are counted up to a number,
//! and of the rest only the sum; of the biggest keys as many are kept as will be shown.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use rivulet_rdb::MeasuredEntry;
use serde::Serialize;

use super::kind::Kind;
use super::memory::estimate;

/// Prefixes that are told apart. A file has its keys in the order of a hash, so a prefix of many keys is among the first.
const PREFIXES_MAX: usize = 50_000;
/// More of a prefix, of a key and of a header's value is not kept.
const TEXT_BYTES_MAX: usize = 512;
/// Databases and headers that are told apart.
const NAMED_MAX: usize = 1000;

/// What keys come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    pub keys: u64,
    pub elements: u64,
    pub file_bytes: u64,
    pub memory_bytes: u64,
    /// Keys that have a deadline.
    pub expiring: u64,
}

impl Sum {
    fn add(&mut self, one: &Sum) {
        self.keys += one.keys;
        self.elements = self.elements.saturating_add(one.elements);
        self.file_bytes = self.file_bytes.saturating_add(one.file_bytes);
        self.memory_bytes = self.memory_bytes.saturating_add(one.memory_bytes);
        self.expiring += one.expiring;
    }
}

/// A key among the biggest. They are ordered by memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BigKey {
    pub memory_bytes: u64,
    pub file_bytes: u64,
    pub elements: u64,
    pub kind: Kind,
    pub database: u64,
    /// Its first bytes.
    pub key: Vec<u8>,
}

/// A range of sizes or of times: up to so much, what it is called.
pub type Range = (u64, &'static str);

/// Memory of one key, in bytes.
pub const SIZES: [Range; 7] = [
    (128, "up to 128 B"),
    (1 << 10, "up to 1 KiB"),
    (10 << 10, "up to 10 KiB"),
    (100 << 10, "up to 100 KiB"),
    (1 << 20, "up to 1 MiB"),
    (10 << 20, "up to 10 MiB"),
    (u64::MAX, "above"),
];

/// Until a key expires, in ms.
pub const TIMES: [Range; 6] = [
    (0, "already expired"),
    (3_600_000, "within an hour"),
    (86_400_000, "within a day"),
    (7 * 86_400_000, "within a week"),
    (30 * 86_400_000, "within 30 days"),
    (u64::MAX, "later"),
];

/// How keys are grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// Between the parts of a key; not empty.
    pub separator: Vec<u8>,
    /// Parts of a key that make its prefix, at most.
    pub depth: usize,
    /// How many of the biggest keys are kept.
    pub biggest: usize,
}

impl Grouping {
    /// The parts that the key begins with, with their separators; the last part of a key is its own and belongs to no prefix.
    pub fn prefix<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        let mut end = 0;
        for _ in 0..self.depth {
            let rest = &key[end..];
            let Some(at) = find(rest, &self.separator) else { break };
            end += at + self.separator.len();
        }
        &key[..end]
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    match part {
        [one] => text.iter().position(|byte| byte == one),
        _ => text.windows(part.len()).position(|window| window == part),
    }
}

/// What was found so far.
pub struct Contents {
    pub grouping: Grouping,
    /// Unix ms: what is before has expired.
    pub now_ms: u64,
    pub version: u32,
    /// Of the whole file, up to its end mark.
    pub file_bytes: u64,
    /// What the file says of itself.
    pub headers: Vec<(String, String)>,
    pub all: Sum,
    pub kinds: BTreeMap<Kind, Sum>,
    pub databases: BTreeMap<u64, Sum>,
    pub prefixes: HashMap<Vec<u8>, Sum>,
    /// Keys of further prefixes.
    pub others: Sum,
    pub sizes: [Sum; SIZES.len()],
    pub times: [u64; TIMES.len()],
    pub functions: u64,
    pub empty_keys: u64,
    database: u64,
    biggest: BinaryHeap<Reverse<BigKey>>,
}

impl Contents {
    pub fn new(grouping: Grouping, now_ms: u64) -> Contents {
        Contents {
            grouping,
            now_ms,
            version: 0,
            file_bytes: 0,
            headers: Vec::new(),
            all: Sum::default(),
            kinds: BTreeMap::new(),
            databases: BTreeMap::new(),
            prefixes: HashMap::new(),
            others: Sum::default(),
            sizes: Default::default(),
            times: [0; TIMES.len()],
            functions: 0,
            empty_keys: 0,
            database: 0,
            biggest: BinaryHeap::new(),
        }
    }

    pub fn select(&mut self, database: u64) {
        self.database = database;
    }

    pub fn add_header(&mut self, name: &[u8], value: &[u8]) {
        if self.headers.len() < NAMED_MAX {
            self.headers.push((shown(cut(name)), shown(cut(value))));
        }
    }

    pub fn add(&mut self, entry: &MeasuredEntry) {
        let kind = Kind::of(entry.value_type);
        let sum = Sum {
            keys: 1,
            elements: entry.measure.elements,
            file_bytes: entry.file_bytes,
            memory_bytes: estimate(entry),
            expiring: u64::from(entry.deadline_ms.is_some()),
        };
        self.all.add(&sum);
        self.kinds.entry(kind).or_default().add(&sum);
        if self.databases.len() < NAMED_MAX || self.databases.contains_key(&self.database) {
            self.databases.entry(self.database).or_default().add(&sum);
        }
        self.sizes[range_of(&SIZES, sum.memory_bytes)].add(&sum);
        if let Some(deadline_ms) = entry.deadline_ms {
            self.times[range_of(&TIMES, deadline_ms.saturating_sub(self.now_ms))] += 1;
        }
        self.add_to_prefix(&entry.key, &sum);
        self.add_if_big(entry, kind, &sum);
    }

    fn add_to_prefix(&mut self, key: &[u8], sum: &Sum) {
        let prefix = cut(self.grouping.prefix(key));
        if let Some(known) = self.prefixes.get_mut(prefix) {
            known.add(sum);
        } else if self.prefixes.len() < PREFIXES_MAX {
            self.prefixes.insert(prefix.to_vec(), *sum);
        } else {
            self.others.add(sum);
        }
    }

    fn add_if_big(&mut self, entry: &MeasuredEntry, kind: Kind, sum: &Sum) {
        let is_full = self.biggest.len() >= self.grouping.biggest;
        let is_small = self.biggest.peek().is_none_or(|Reverse(least)| least.memory_bytes >= sum.memory_bytes);
        if is_full && is_small {
            return;
        }
        if is_full {
            self.biggest.pop();
        }
        self.biggest.push(Reverse(BigKey {
            memory_bytes: sum.memory_bytes,
            file_bytes: sum.file_bytes,
            elements: sum.elements,
            kind,
            database: self.database,
            key: cut(&entry.key).to_vec(),
        }));
    }

    /// The biggest keys, the biggest first.
    pub fn biggest(&self) -> Vec<&BigKey> {
        let mut keys: Vec<&BigKey> = self.biggest.iter().map(|Reverse(key)| key).collect();
        keys.sort_by(|a, b| b.cmp(a));
        keys
    }

    /// Prefixes by memory, at most `max` of them, and what the others come to, with how many of them are known by name.
    pub fn by_prefix(&self, max: usize) -> (Vec<(&[u8], &Sum)>, Sum, usize) {
        let mut rows: Vec<(&[u8], &Sum)> = self.prefixes.iter().map(|(prefix, sum)| (prefix.as_slice(), sum)).collect();
        rows.sort_by(|a, b| (b.1.memory_bytes, a.0).cmp(&(a.1.memory_bytes, b.0)));
        let mut others = self.others;
        let left_out = rows.split_off(max.min(rows.len()));
        for (_, sum) in &left_out {
            others.add(sum);
        }
        (rows, others, left_out.len())
    }
}

fn range_of(ranges: &[Range], value: u64) -> usize {
    ranges.iter().position(|(most, _)| value <= *most).unwrap_or(ranges.len() - 1)
}

fn cut(text: &[u8]) -> &[u8] {
    &text[..text.len().min(TEXT_BYTES_MAX)]
}

/// Bytes for readers: what is no text of one line is escaped.
pub fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_string(),
        _ => bytes.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rivulet_rdb::Measure;
    use rivulet_rdb::format::types;

    use super::*;

    fn grouping(separator: &str, depth: usize) -> Grouping {
        Grouping { separator: separator.into(), depth, biggest: 2 }
    }

    fn entry(key: &str, bytes: u64) -> MeasuredEntry {
        let measure = Measure { elements: 1, content_bytes: bytes, is_packed: false };
        let value_type = types::STRING;
        MeasuredEntry { key: key.into(), value_type, deadline_ms: None, file_bytes: bytes.saturating_add(9), measure }
    }

    #[test]
    fn a_prefix_is_all_parts_but_the_last_up_to_the_depth() {
        for (key, separator, depth, prefix) in [
            ("user:1:name", ":", 1, "user:"),
            ("user:1:name", ":", 2, "user:1:"),
            ("user:1:name", ":", 9, "user:1:"),
            ("user:1:name", ":", 0, ""),
            ("user", ":", 1, ""),
            (":", ":", 1, ":"),
            ("a::b::c", "::", 1, "a::"),
            ("a:b", "::", 1, ""),
            ("", ":", 1, ""),
        ] {
            assert_eq!(
                grouping(separator, depth).prefix(key.as_bytes()),
                prefix.as_bytes(),
                "{key} {separator} {depth}"
            );
        }
    }

    #[test]
    fn every_key_is_in_one_row_of_each_kind() {
        let mut contents = Contents::new(grouping(":", 1), 1000);
        for i in 0..10u64 {
            contents.add(&entry(&format!("p{}:{i}", i % 3), i * 100));
        }
        contents.add(&MeasuredEntry { deadline_ms: Some(999), ..entry("x", 1) });
        contents.add(&MeasuredEntry { deadline_ms: Some(1000 + 3_600_001), ..entry("y", 1) });
        let keys = |sums: &mut dyn Iterator<Item = &Sum>| sums.map(|sum| sum.keys).sum::<u64>();
        assert_eq!(keys(&mut contents.prefixes.values()), 12);
        assert_eq!(keys(&mut contents.sizes.iter()), 12);
        assert_eq!(keys(&mut contents.kinds.values()), 12);
        assert_eq!(contents.times, [1, 0, 1, 0, 0, 0]);
        let biggest: Vec<_> = contents.biggest().iter().map(|key| shown(&key.key)).collect();
        assert_eq!(biggest, ["p0:9", "p2:8"]);
        let (rows, others, left_out) = contents.by_prefix(1);
        assert_eq!((rows.len(), shown(rows[0].0).as_str(), left_out), (1, "p0:", 3));
        assert_eq!(rows[0].1.keys + others.keys, 12);
    }

    #[test]
    fn prefixes_are_bounded_and_nothing_is_lost() {
        let mut contents = Contents::new(grouping(":", 1), 0);
        for i in 0..PREFIXES_MAX + 5 {
            contents.add(&entry(&format!("{i}:x"), 1));
        }
        contents.add(&entry("0:y", 1));
        assert_eq!((contents.prefixes.len(), contents.others.keys), (PREFIXES_MAX, 5));
        assert_eq!(contents.prefixes[b"0:".as_slice()].keys, 2);
        assert_eq!(contents.biggest().len(), 2);
    }

    #[test]
    fn no_key_is_kept_where_none_is_to_be_shown() {
        let mut contents = Contents::new(Grouping { biggest: 0, ..grouping(":", 1) }, 0);
        contents.add(&entry("a", u64::MAX));
        contents.add(&entry("b", u64::MAX));
        assert!(contents.biggest().is_empty());
        assert_eq!(contents.all.memory_bytes, u64::MAX);
    }

    #[test]
    fn what_is_no_text_is_escaped() {
        assert_eq!(shown("größe".as_bytes()), "größe");
        assert_eq!(shown(b"a\nb"), "a\\nb");
        assert_eq!(shown(b"\xff\x1b["), "\\xff\\x1b[");
    }
}
