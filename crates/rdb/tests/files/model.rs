//! Values without their encodings, to compare them.

use std::collections::{BTreeMap, BTreeSet};

use rivulet_keyspace::value::{Value, ValueRef};
use rivulet_rdb::Event;

pub type Bytes = Vec<u8>;

/// What a value means.
#[derive(Debug, Clone, PartialEq)]
pub enum Plain {
    Str(Bytes),
    List(Vec<Bytes>),
    Set(BTreeSet<Bytes>),
    ZSet(Vec<(Bytes, f64)>),
    /// Values and deadlines.
    Hash(BTreeMap<Bytes, (Bytes, Option<u64>)>),
    /// All that is told of it, as text.
    Stream(String),
}

pub fn plain(value: &Value) -> Plain {
    match value.as_ref() {
        ValueRef::Str(elem) => Plain::Str(elem.to_vec()),
        ValueRef::List(list) => Plain::List(list.iter().map(|elem| elem.to_vec()).collect()),
        ValueRef::Set(set) => {
            let members: BTreeSet<Bytes> = set.iter().map(|elem| elem.to_vec()).collect();
            assert_eq!(members.len(), set.len());
            Plain::Set(members)
        }
        ValueRef::ZSet(zset) => {
            let members: Vec<_> = zset.iter_from(0).map(|(elem, score)| (elem.to_vec(), score)).collect();
            assert_eq!(members.len(), zset.len());
            Plain::ZSet(members)
        }
        ValueRef::Hash(hash) => {
            let fields: BTreeMap<_, _> =
                hash.rows().map(|(f, v, deadline)| (f.to_vec(), (v.to_vec(), deadline))).collect();
            assert_eq!(fields.len(), hash.len());
            Plain::Hash(fields)
        }
        ValueRef::Stream(stream) => Plain::Stream(format!("{stream:?}")),
    }
}

/// Database and key, to value and deadline.
pub type Contents = BTreeMap<(u64, Bytes), (Plain, Option<u64>)>;

pub fn contents(events: &[Event]) -> Contents {
    let mut db = 0;
    let mut out = Contents::new();
    for event in events {
        match event {
            Event::SelectDb(n) => db = *n,
            Event::Entry(entry) => {
                let old = out.insert((db, entry.key.clone()), (plain(&entry.value), entry.deadline_ms));
                assert!(old.is_none(), "a key is there twice");
            }
            _ => {}
        }
    }
    out
}

pub fn list(items: &[&str]) -> Plain {
    Plain::List(items.iter().map(|s| s.as_bytes().to_vec()).collect())
}

pub fn set(items: &[&str]) -> Plain {
    Plain::Set(items.iter().map(|s| s.as_bytes().to_vec()).collect())
}

pub fn zset(items: &[(&str, f64)]) -> Plain {
    Plain::ZSet(items.iter().map(|(s, score)| (s.as_bytes().to_vec(), *score)).collect())
}

pub fn hash(items: &[(&str, &str)]) -> Plain {
    Plain::Hash(items.iter().map(|(f, v)| (f.as_bytes().to_vec(), (v.as_bytes().to_vec(), None))).collect())
}
