use fastrand::Rng;

use super::*;
use crate::hash::KeyHasher;
use crate::value::{StrBuf, Value};

const KEYS: u64 = if cfg!(miri) { 300 } else { 20_000 };

fn add(table: &mut Table, hasher: &KeyHasher, i: u64) {
    let name = format!("key:{i}").into_bytes();
    let entry = Entry::new(&name, Value::Str(StrBuf::Int(i as i64)), None, 0);
    table.insert(hasher.hash(&name), entry, hasher);
}

/// Buckets that a search for a key that is not there goes through.
fn buckets_of_a_miss(table: &Table, rng: &mut Rng) -> usize {
    let d = table.directory_entry(rng.u64(..));
    let home = rng.usize(..d.buckets.count as usize);
    let chain = (0..d.buckets.count as usize).map(|i| (home + i) % d.buckets.count as usize);
    1 + chain.take_while(|bucket| d.buckets.bucket(*bucket)[0] & SPILLED != 0).count()
}

/// Keys go and others come, and their number stays.
#[test]
fn a_miss_costs_as_much_after_many_keys_have_come_and_gone() {
    let mut rng = Rng::with_seed(7);
    let hasher = KeyHasher::new([1, 2]);
    let mut table = Table::new();
    (0..KEYS).for_each(|i| add(&mut table, &hasher, i));
    let mut here: Vec<u64> = (0..KEYS).collect();
    let mean = |table: &Table, rng: &mut Rng| {
        (0..10_000).map(|_| buckets_of_a_miss(table, rng)).sum::<usize>() as f64 / 10_000.0
    };
    let before = mean(&table, &mut rng);
    for next in KEYS..10 * KEYS {
        let at = rng.usize(..here.len());
        let name = format!("key:{}", std::mem::replace(&mut here[at], next)).into_bytes();
        let found = table.find(Key { bytes: &name, hash: hasher.hash(&name) }).expect("it is there");
        table.remove(found).free();
        add(&mut table, &hasher, next);
    }
    let after = mean(&table, &mut rng);
    assert!(after < before + 2.0, "{before} buckets, and {after} later");
    for i in here {
        let name = format!("key:{i}").into_bytes();
        assert!(table.find(Key { bytes: &name, hash: hasher.hash(&name) }).is_some(), "{i}");
    }
}
