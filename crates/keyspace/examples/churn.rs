//! What a table costs whose keys come and go while their number stays: `cargo run --release -p rivulet-keyspace --example churn [keys] [turnovers]`.

use std::time::Instant;

use rivulet_keyspace::{Deadline, KeyHasher, Keyspace};

fn set(ks: &mut Keyspace, i: u64) {
    let name = format!("key:{i}").into_bytes();
    let key = ks.key(&name);
    ks.db_mut(0).set_string(key, b"value", Deadline::Keep, 0);
}

fn remove(ks: &mut Keyspace, i: u64) {
    let name = format!("key:{i}").into_bytes();
    let key = ks.key(&name);
    ks.db_mut(0).remove(key).expect("it is there");
}

/// The mean time that one of so many takes, in ns.
fn each_ns(count: u64, work: impl FnOnce()) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
    let now = Instant::now;
    let began = now();
    work();
    (now() - began).as_nanos() as u64 / count
}

fn main() {
    let number = |i: usize, default: u64| std::env::args().nth(i).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (keys, turnovers) = (number(1, 200_000), number(2, 10));
    let mut ks = Keyspace::new(1, KeyHasher::new([1, 2]));
    (0..keys).for_each(|i| set(&mut ks, i));
    let mut here: Vec<u64> = (0..keys).collect();
    let (mut next, mut random) = (keys, 88_172_645_463_325_252_u64);
    for turnover in 0..=turnovers {
        let miss_ns = each_ns(keys, || {
            assert!((0..keys).all(|i| ks.db(0).find(ks.key(format!("other:{i}").as_bytes())).is_none()));
        });
        let scan_ns = each_ns(keys, || {
            let (mut cursor, mut seen) = (0, 0);
            while seen == 0 || cursor != 0 {
                cursor = ks.db(0).scan(cursor, 1000, |_| seen += 1);
            }
            assert_eq!(seen, keys);
        });
        let change_ns = each_ns(keys, || {
            for _ in 0..keys {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let at = (random % keys) as usize;
                remove(&mut ks, std::mem::replace(&mut here[at], next));
                set(&mut ks, next);
                next += 1;
            }
        });
        println!(
            "{turnover:3} turnovers: a miss {miss_ns} ns, a key of a scan {scan_ns} ns, a new key for an old one {change_ns} ns"
        );
    }
}
