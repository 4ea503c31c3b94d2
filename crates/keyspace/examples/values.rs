//! Measures what big collections cost: bytes an item by a counting allocator, and nanoseconds an operation.
//!
//! `cargo run --release -p rivulet-keyspace --example values [items]`

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rivulet_keyspace::value::{Hash, Limits, List, Set, ZSet};

struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

/// What the allocator really takes: jemalloc's classes are sixteen apart up to 128, then four a doubling.
fn class(bytes: usize) -> usize {
    match bytes {
        0..=8 => 8,
        9..=128 => bytes.next_multiple_of(16),
        _ => bytes.next_multiple_of(1 << ((bytes - 1).ilog2() - 2)),
    }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(class(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(class(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `operation` for each number below `count` in a scattered order, and prints its mean time.
fn time(name: &str, count: usize, mut operation: impl FnMut(usize)) {
    #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
    let start = Instant::now();
    for i in 0..count {
        operation(i * 7_368_787 % count);
    }
    println!("  {name:<22} {:>7.1} ns", start.elapsed().as_secs_f64() * 1e9 / count as f64);
}

fn measure<T>(name: &str, count: usize, heap_bytes: impl Fn(&T) -> usize, fill: impl FnOnce() -> T) -> T {
    let before = BYTES.load(Ordering::Relaxed);
    println!("{name}");
    let value = fill();
    let bytes = BYTES.load(Ordering::Relaxed) - before;
    println!(
        "  {:.1} bytes an item, {:.1} by its own count",
        bytes as f64 / count as f64,
        heap_bytes(&value) as f64 / count as f64
    );
    value
}

fn main() {
    let count = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let limits = Limits::default();
    let field = |i: usize| format!("field:{i:09}");
    let member = |i: usize| format!("member:{i:09}");
    time("(making a key)", count, |i| drop(black_box(field(i))));

    let mut hash = measure("hash, 15 + 16 bytes", count, Hash::heap_bytes, || {
        let mut hash = Hash::new();
        time("insert", count, |i| assert!(hash.set(field(i).as_bytes(), b"value-of-16-byte", &limits)));
        hash
    });
    time("get", count, |i| assert!(hash.get(field(i).as_bytes()).is_some()));
    time("update, same size", count, |i| assert!(!hash.set(field(i).as_bytes(), b"other-of-16-byte", &limits)));
    time("update, other size", count, |i| assert!(!hash.set(field(i).as_bytes(), b"other-of-17-bytes", &limits)));
    let clone = hash.clone();
    time("update while shared", count, |i| assert!(!hash.set(field(i).as_bytes(), b"third-of-17-bytes", &limits)));
    drop(clone);
    time("nth", count, |i| assert!(hash.nth(i).is_some()));
    time("remove", count, |i| assert!(hash.remove(field(i).as_bytes())));
    drop(hash);

    let set = measure("set, 15 bytes", count, Set::heap_bytes, || {
        let mut set = Set::new();
        time("insert", count, |i| assert!(set.add(field(i).as_bytes(), &limits)));
        set
    });
    time("contains", count, |i| assert!(set.contains(field(i).as_bytes())));
    drop(set);

    let mut zset = measure("sorted set, 16 bytes", count, ZSet::heap_bytes, || {
        let mut zset = ZSet::new();
        time("insert", count, |i| {
            assert!(zset.insert(member(i).as_bytes(), (i * 31 % count) as f64, &limits).is_none())
        });
        zset
    });
    time("score", count, |i| assert!(zset.score(member(i).as_bytes()).is_some()));
    time("rank", count, |i| assert!(zset.rank(member(i).as_bytes()).is_some()));
    time("nth", count, |i| assert!(zset.nth(i).is_some()));
    time("lower_bound", count, |i| assert!(zset.lower_bound(i as f64, false) <= count));
    time("update, little", count, |i| {
        assert!(zset.insert(member(i).as_bytes(), (i * 31 % count) as f64 + 0.5, &limits).is_some());
    });
    time("update, far", count, |i| {
        assert!(zset.insert(member(i).as_bytes(), (i * 57 % count) as f64, &limits).is_some())
    });
    time("remove", count, |i| assert!(zset.remove(member(i).as_bytes()).is_some()));
    drop(zset);

    let mut list = measure("list, 15 bytes", count, List::heap_bytes, || {
        let mut list = List::new();
        time("push_back", count, |i| list.push_back(field(i).as_bytes(), &limits));
        list
    });
    time("get", count, |i| assert!(list.get(i).is_some()));
    time("set", count, |i| assert!(list.set(i, b"other-of-16-byte", &limits)));
    time("iterate", 1, |_| assert_eq!(list.iter().count(), count));
    time("push_front", count, |i| list.push_front(field(i).as_bytes(), &limits));
    time("insert in the middle", count, |i| list.insert(count / 2 + i, b"middle", &limits));
    time("pop_front", count, |_| assert!(list.pop_front().is_some()));
    time("pop_back", count, |_| assert!(list.pop_back().is_some()));
}
