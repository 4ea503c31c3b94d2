//! A database against a plain map, and snapshots against a copy made with the world stopped.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use fastrand::Rng;
use rivulet_keyspace::value::stream::{Group, Id, Name};
use rivulet_keyspace::value::{Elem, StrBuf, Value};
use rivulet_keyspace::{
    Deadline, EntryRef, Hash, HashKeys, KeyHasher, Keyspace, Limits, List, NewEntry, Room, Set, Sink, Stream, View,
    ZSet,
};

/// (database, key) -> (what the value holds, deadline).
type Content = BTreeMap<(usize, Vec<u8>), (String, Option<u64>)>;

fn describe(entry: EntryRef<'_>) -> String {
    match entry.value() {
        View::Str(v) => format!("{v:?}"),
        View::List(v) => format!("list {:?}", v.iter_from(0).collect::<Vec<_>>()),
        View::Set(v) => {
            let mut all: Vec<_> = v.iter().map(|e| e.to_vec()).collect();
            all.sort();
            format!("set {all:?}")
        }
        View::ZSet(v) => format!("zset {:?}", v.iter_from(0).map(|(m, s)| (m.to_vec(), s)).collect::<Vec<_>>()),
        View::Hash(v) => {
            let mut all: Vec<_> = v.iter().map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
            all.sort();
            format!("hash {all:?}")
        }
        View::Stream(v) => format!("{:?}", &*v),
    }
}

fn change_stream(rng: &mut Rng, stream: &mut Stream, text: &[u8], limits: &Limits) {
    let last = stream.last_id();
    match rng.u8(..20) {
        0..14 => {
            let fields = [(Elem::Bytes(b"name"), Elem::Bytes(text)), (Elem::Bytes(b"other"), Elem::Int(5))];
            stream.append(Id::new(last.ms + 1, 0), &fields[..], limits).expect("above the last");
        }
        14..16 => _ = stream.remove(Id::new(rng.u64(..=last.ms), 0)),
        16 => drop(stream.remove_first(rng.usize(..10))),
        17 => _ = stream.groups_mut().0.add(Group::new(Name::new(text), last, 0)),
        _ => {
            let group = stream.groups().and_then(|groups| groups.iter().next()).map(|group| group.name.clone());
            let consumer = Name::new(text);
            group.map(|name| {
                stream.change_group(&name, |group, _| {
                    group.create_consumer(&consumer, 1);
                    group.deliver_all(&consumer, &[last], rng.i64(..));
                })
            });
        }
    }
}

fn content<H: HashKeys>(keyspace: &Keyspace<H>) -> Content {
    let mut all = Content::new();
    for db in 0..keyspace.databases() {
        keyspace.db(db).for_each(|e| {
            all.insert((db, e.key().to_vec()), (describe(e), e.deadline()));
        });
    }
    all
}

#[derive(Default)]
struct Collected(Content);

impl Sink for Collected {
    fn capture(&mut self, db: usize, entry: EntryRef<'_>) {
        let twice = self.0.insert((db, entry.key().to_vec()), (describe(entry), entry.deadline()));
        assert!(twice.is_none(), "an entry was captured twice: {:?}", entry.key());
    }
}

fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("RIVULET_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        // Under Miri one small world is enough: it looks at each access to memory.
        Err(_) if cfg!(miri) => vec![1],
        Err(_) => (0..count).collect(),
    }
}

/// One random change of any kind.
fn change(ks: &mut Keyspace, rng: &mut Rng, keys: u32) {
    let limits = Limits {
        hash_max_listpack_entries: 4,
        set_max_listpack_entries: 4,
        zset_max_listpack_entries: 4,
        list_max_listpack_size: 4,
        ..Limits::default()
    };
    let db = rng.usize(..ks.databases());
    let name = format!("key:{}", rng.u32(..keys)).into_bytes();
    let key = ks.key(&name);
    let text = "x".repeat(rng.usize(..300));
    let deadline = rng.bool().then(|| rng.u64(1000..100_000));
    match rng.u32(..100) {
        0..30 => {
            let deadline = if rng.bool() { Deadline::Keep } else { Deadline::Set(deadline) };
            ks.db_mut(db).set_string(key, text.as_bytes(), deadline, 1);
        }
        30..45 => {
            ks.db_mut(db).remove(key);
        }
        45..50 => {
            ks.db_mut(db).set_deadline(key, deadline);
        }
        50..95 => {
            if ks.db(db).find(key).is_none() {
                let value = match rng.u32(..6) {
                    4 => Value::Stream(Stream::new()),
                    0 => Value::List(List::new()),
                    1 => Value::Set(Set::new()),
                    2 => Value::ZSet(ZSet::new()),
                    3 => Value::Hash(Hash::new()),
                    _ => Value::Str(StrBuf::Int(rng.i64(..))),
                };
                ks.db_mut(db).insert(key, value, deadline, 0);
            }
            for _ in 0..rng.u32(1..30) {
                let member = format!("m{}", rng.u32(..40)).into_bytes();
                let kind = ks.db(db).find(key).expect("just inserted").value_type();
                let mut entry = ks.db_mut(db).find_mut(key).expect("just inserted");
                match kind {
                    rivulet_keyspace::Type::String => {
                        entry.entry().edit_string(|s| s.extend_from_slice(&member));
                    }
                    rivulet_keyspace::Type::List => {
                        let mut list = entry.collection::<List>().expect("just inserted");
                        if rng.bool() { list.push_back(&member, &limits) } else { drop(list.pop_front()) }
                    }
                    rivulet_keyspace::Type::Set => {
                        entry.collection::<Set>().expect("just inserted").add(&member, &limits);
                    }
                    rivulet_keyspace::Type::ZSet => {
                        entry.collection::<ZSet>().expect("just inserted").insert(&member, rng.f64(), &limits);
                    }
                    rivulet_keyspace::Type::Hash => {
                        entry.collection::<Hash>().expect("just inserted").set(&member, &member, &limits);
                    }
                    rivulet_keyspace::Type::Stream => {
                        change_stream(rng, &mut entry.collection::<Stream>().expect("just inserted"), &member, &limits);
                    }
                }
            }
        }
        95..97 => {
            let other = rng.usize(..ks.databases());
            ks.swap(db, other);
        }
        97 if rng.u32(..20) == 0 => drop(ks.flush(db)),
        _ => {
            // RENAME, with COPY's clone.
            let to = format!("key:{}", rng.u32(..keys)).into_bytes();
            let to = ks.key(&to);
            if let Some(value) = ks.db(db).find(key).map(|e| e.clone_value()) {
                let other = rng.usize(..ks.databases());
                ks.db_mut(other).remove(to);
                ks.db_mut(other).insert(to, value, None, 0);
            }
        }
    }
}

#[test]
fn a_snapshot_under_writes_is_that_of_the_stopped_world() {
    for seed in seeds(50) {
        let mut rng = Rng::with_seed(seed);
        let mut ks = Keyspace::new(3, KeyHasher::new([seed, 1]));
        let keys = if cfg!(miri) { 30 } else { [50, 3000, 20_000][rng.usize(..3)] };
        for _ in 0..rng.u32(..keys * 2) {
            change(&mut ks, &mut rng, keys);
        }
        for _ in 0..2 {
            let want = content(&ks);
            let sink = Rc::new(RefCell::new(Collected::default()));
            ks.begin_snapshot(sink.clone());
            let pace = rng.usize(1..100);
            while !ks.walk_snapshot(rng.usize(1..=pace)).1 {
                for _ in 0..rng.u32(..200) {
                    change(&mut ks, &mut rng, keys);
                }
            }
            let got = std::mem::take(&mut sink.borrow_mut().0);
            assert_eq!(got.len(), want.len(), "RIVULET_SEED={seed}");
            assert!(got == want, "the snapshot differs: RIVULET_SEED={seed}");
        }
    }
}

/// A key's hash is what it says.
#[derive(Clone, Copy)]
struct SaidHasher;

impl HashKeys for SaidHasher {
    fn hash(&self, bytes: &[u8]) -> u64 {
        let digits = std::str::from_utf8(bytes).expect("digits");
        u64::from_str_radix(digits, 16).expect("a number")
    }
}

/// The walker stands in the upper one of two segments when they become one.
#[test]
fn a_segment_that_is_joined_to_one_that_was_walked_is_captured_once() {
    const KEYS: u64 = 1000;
    let name = |i: u64| format!("{:016x}", i * (u64::MAX / KEYS)).into_bytes();
    let all = [5, 20, 60, 120].into_iter().flat_map(|left| (0..12).map(move |steps| (left, steps)));
    // Under Miri the one that was found is enough.
    for (low_left, steps) in all.filter(|case| !cfg!(miri) || *case == (20, 2)) {
        let mut ks = Keyspace::new(1, SaidHasher);
        (0..KEYS).for_each(|i| {
            let name = name(i);
            let key = ks.key(&name);
            ks.db_mut(0).set_string(key, b"before", Deadline::Keep, 0);
        });
        let remove = |ks: &mut Keyspace<SaidHasher>, i: u64| {
            let name = name(i);
            let key = ks.key(&name);
            ks.db_mut(0).remove(key).expect("it is there");
        };
        (low_left..KEYS / 2).for_each(|i| remove(&mut ks, i));
        let want = content(&ks);
        let sink = Rc::new(RefCell::new(Collected::default()));
        ks.begin_snapshot(sink.clone());
        let mut done = (0..steps).any(|_| ks.walk_snapshot(1).1);
        (KEYS / 2..KEYS - 100).for_each(|i| remove(&mut ks, i));
        while !done {
            done = ks.walk_snapshot(7).1;
        }
        assert!(sink.borrow().0 == want, "{low_left} keys, {steps} steps");
    }
}

/// A hash under which a dozen keys have the same place and tag.
#[derive(Clone, Copy)]
struct WeakHasher(KeyHasher);

impl HashKeys for WeakHasher {
    fn hash(&self, bytes: &[u8]) -> u64 {
        (self.0.hash(bytes) % 2500).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

#[test]
fn a_database_is_a_map_and_scan_keeps_its_promise() {
    check_map(30, |seed| KeyHasher::new([seed, 2]));
}

#[test]
fn a_weak_hash_costs_time_and_nothing_else() {
    check_map(10, |seed| WeakHasher(KeyHasher::new([seed, 2])));
}

fn check_map<H: HashKeys>(runs: u64, hasher: impl Fn(u64) -> H) {
    for seed in seeds(runs) {
        let mut rng = Rng::with_seed(seed);
        let mut ks = Keyspace::new(1, hasher(seed));
        let mut model: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        let keys = if cfg!(miri) { 200 } else { [10, 1000, 30_000][rng.usize(..3)] };
        let mut growing = true;
        // Keys that stay all the while a scan runs must be seen by it.
        let mut cursor = 0;
        let mut must_see: Option<HashMap<Vec<u8>, bool>> = None;
        for step in 0..keys * 4 {
            if step % 5000 == 0 {
                growing = rng.bool();
            }
            let name = format!("k{}", rng.u32(..keys)).into_bytes();
            let key = ks.key(&name);
            if rng.u32(..10) < if growing { 8 } else { 1 } {
                let value = format!("value{}", rng.u32(..)).into_bytes();
                ks.db_mut(0).set_string(key, &value, Deadline::Keep, 0);
                model.insert(name.clone(), value);
            } else {
                assert_eq!(ks.db_mut(0).remove(key).is_some(), model.remove(&name).is_some(), "RIVULET_SEED={seed}");
                if let Some(seen) = &mut must_see {
                    seen.remove(&name);
                }
            }
            if rng.u32(..8) == 0 {
                let seen = must_see.get_or_insert_with(|| model.keys().map(|k| (k.clone(), false)).collect());
                cursor = ks.db(0).scan(cursor, rng.usize(1..50), |e| {
                    if let Some(seen) = seen.get_mut(e.key()) {
                        *seen = true;
                    }
                });
                if cursor == 0 {
                    let missed: Vec<_> = seen.iter().filter(|(_, seen)| !**seen).collect();
                    assert!(missed.is_empty(), "missed {missed:?}: RIVULET_SEED={seed}");
                    must_see = None;
                }
            }
        }
        assert_eq!(ks.db(0).len(), model.len());
        for (name, value) in &model {
            let entry = ks.db(0).find(ks.key(name)).expect("the model has it");
            assert!(entry.string().expect("a string").eq_bytes(value));
        }
        assert_eq!(ks.db(0).random_entry(|| rng.u64(..)).is_some(), !model.is_empty());
    }
}

#[test]
fn every_deadline_is_found_once_it_has_passed() {
    for seed in seeds(30) {
        let mut rng = Rng::with_seed(seed);
        let mut ks = Keyspace::new(1, KeyHasher::new([seed, 3]));
        let mut deadlines: HashMap<Vec<u8>, u64> = HashMap::new();
        let start = 1_795_000_000_000u64;
        for round in 0..if cfg!(miri) { 2 } else { 30u64 } {
            let now = start + round * 1000;
            for _ in 0..rng.u32(..if cfg!(miri) { 50 } else { 2000 }) {
                let name = format!("k{}", rng.u32(..5000)).into_bytes();
                let key = ks.key(&name);
                match rng.u32(..4) {
                    0 => {
                        ks.db_mut(0).remove(key);
                        deadlines.remove(&name);
                    }
                    1 => {
                        ks.db_mut(0).set_deadline(key, None);
                        deadlines.remove(&name);
                    }
                    _ => {
                        let at = now + rng.u64(..20_000);
                        ks.db_mut(0).set_string(key, b"v", Deadline::Set(Some(at)), 0);
                        deadlines.insert(name, at);
                    }
                }
            }
            assert_eq!(ks.db(0).expires_len(), deadlines.len(), "RIVULET_SEED={seed}");
            loop {
                let expired = ks.db_mut(0).expired_keys(now, 50);
                if !expired.more {
                    assert_eq!(expired.keys.len(), 0, "who finds keys says that there may be more");
                    break;
                }
                for name in expired.keys {
                    let key = ks.key(&name);
                    // The same key may be handed out twice before it is removed.
                    if ks.db_mut(0).remove(key).is_some() {
                        let at = deadlines.remove(&name).expect("it has a deadline");
                        assert!(at < now, "RIVULET_SEED={seed}");
                    }
                }
            }
            // A tick is 32 ms.
            let late = deadlines.values().filter(|&&at| at + 32 < now).count();
            assert_eq!(late, 0, "expired keys were not found: RIVULET_SEED={seed}");
        }
    }
}

/// Fields are found when they are due, whatever happens to their hashes meanwhile, and none is found early.
#[test]
fn fields_that_are_due_are_found() {
    let limits = Limits { hash_max_listpack_entries: 4, ..Limits::default() };
    let (hashes, rounds) = if cfg!(miri) { (3, 30) } else { (200, 20_000) };
    for seed in 0..3u64 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut ks = Keyspace::new(1, KeyHasher::new([seed, 5]));
        let mut model: HashMap<Vec<u8>, HashMap<u32, Option<u64>>> = HashMap::new();
        let mut now = 1_795_000_000_000u64;
        for _ in 0..rounds {
            now += rng.u64(..3);
            let name = format!("h{}", rng.u32(..hashes)).into_bytes();
            let key = ks.key(&name);
            let (field, at) = (rng.u32(..8), now + rng.u64(..200));
            let text = field.to_string().into_bytes();
            let db = ks.db_mut(0);
            if db.find(key).is_none() {
                db.insert(key, Hash::new().into(), None, 0);
                model.insert(name.clone(), HashMap::new());
            }
            match rng.u32(..10) {
                0 => {
                    // Another key gets a copy.
                    let other = format!("h{}", rng.u32(..hashes)).into_bytes();
                    let copy = db.find(key).expect("it is there").clone_value();
                    let other_key = db.key(&other);
                    db.remove(other_key);
                    db.insert(other_key, copy, None, 0);
                    if other != name {
                        let fields = model[&name].clone();
                        model.insert(other, fields);
                    }
                }
                1 => {
                    db.remove(key);
                    model.remove(&name);
                }
                2 => {
                    db.set_string(key, b"no hash", Deadline::Set(None), 0);
                    db.remove(key);
                    model.remove(&name);
                }
                action => {
                    let deadline = (action > 4).then_some(at);
                    let mut hash = db.find_mut(key).expect("it is there").collection::<Hash>().expect("a hash");
                    hash.set(&text, b"v", &limits);
                    hash.set_deadline(&text, deadline, &limits);
                    drop(hash);
                    db.fields_changed(key);
                    model.get_mut(&name).expect("it is there").insert(field, deadline);
                }
            }
            let mut steps = usize::MAX;
            while let Some(due) = db.due_fields(now, &mut steps) {
                let key = db.key(&due);
                let mut hash = db.find_mut(key).expect("it is there").collection::<Hash>().expect("a hash");
                let fields = model.get_mut(&due).expect("it is there");
                hash.take_expired(now, 3, |field| {
                    let field: u32 = String::from_utf8_lossy(field).parse().expect("a number");
                    let deadline = fields.remove(&field).expect("it is there");
                    assert!(deadline.is_some_and(|at| now > at), "RIVULET_SEED={seed}");
                });
            }
            let left = model.values().flat_map(HashMap::values).filter(|at| at.is_some_and(|at| now > at)).count();
            assert_eq!(left, 0, "RIVULET_SEED={seed}");
        }
        let next = model.values().flat_map(HashMap::values).flatten().min();
        let known = ks.db(0).next_fields_due_ms();
        assert!(next.is_none_or(|&next| known.is_some_and(|ms| ms <= next + 1)), "RIVULET_SEED={seed}");
        assert!(ks.db(0).overhead_bytes() < 1 << 20, "what is outdated leaves the heap");
    }
}

/// A database with room for `room` keys takes `keys`, made elsewhere; answers its slots before and after.
fn fill_room(room: usize, keys: usize) -> (usize, usize) {
    let mut keyspace = Keyspace::new(1, KeyHasher::new([3, 4]));
    let db = keyspace.db_mut(0);
    db.take_room(Room::for_keys(room));
    let before = db.slots();
    let text = |i: usize| format!("key:{i}").into_bytes();
    for i in 0..keys {
        let (key, deadline) = (text(i), (i % 3 == 0).then_some(i as u64));
        let hash = db.key(&key).hash;
        let new = || NewEntry::with_string(&key, b"value", deadline, i as u32);
        assert!(db.insert_new(hash, new(), deadline).is_ok());
        assert!(db.insert_new(hash, new(), deadline).is_err_and(|back| back.key() == key));
    }
    assert_eq!((db.len(), db.expires_len()), (keys, keys.div_ceil(3)));
    for i in 0..keys {
        let found = db.find(db.key(&text(i))).expect("it was put there");
        assert_eq!((found.clock(), found.deadline()), (i as u32, (i % 3 == 0).then_some(i as u64)));
    }
    let (mut seen, mut cursor) = (0, 0);
    loop {
        cursor = db.scan(cursor, 100, |_| seen += 1);
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen, keys);
    let slots = db.slots();
    (0..keys).for_each(|i| assert!(db.remove(db.key(&text(i))).is_some()));
    assert!(db.is_empty());
    (before, slots)
}

#[test]
fn room_is_made_once_and_is_no_limit() {
    for keys in if cfg!(miri) { vec![0, 7, 100] } else { vec![0, 1, 7, 56, 57, 400, 900, 20_000] } {
        let (before, after) = fill_room(keys, keys);
        assert!(after < before + before / 10 + 200, "{keys} keys found room in {before} slots and left {after}");
        assert!(before <= keys * 5 / 3 + 64, "{before} slots are too many for {keys} keys");
    }
    fill_room(10_000, 3);
    fill_room(3, if cfg!(miri) { 200 } else { 10_000 });
}

#[test]
fn room_is_for_an_empty_database() {
    let mut keyspace = Keyspace::new(1, KeyHasher::new([3, 4]));
    let db = keyspace.db_mut(0);
    db.set_string(db.key(b"here"), b"already", Deadline::Keep, 0);
    db.take_room(Room::for_keys(1000));
    assert_eq!(db.len(), 1);
}

/// One database with `others` keys that have no deadline.
fn plain(others: usize) -> Keyspace {
    let mut ks = Keyspace::new(1, KeyHasher::new([5, 6]));
    for i in 0..others {
        set(&mut ks, &format!("plain:{i}"), None);
    }
    ks
}

fn set(ks: &mut Keyspace, name: &str, deadline: Option<u64>) {
    let key = ks.key(name.as_bytes());
    ks.db_mut(0).set_string(key, b"v", Deadline::Set(deadline), 0);
}

const NOW: u64 = 1_795_000_000_000;
const DAY: u64 = 86_400_000;

/// Removes what is due; answers how many keys that were, and in how many calls.
fn expire_all(ks: &mut Keyspace, now: u64) -> (usize, usize) {
    let (mut keys, mut calls) = (0, 0);
    loop {
        calls += 1;
        let expired = ks.db_mut(0).expired_keys(now, 64);
        for name in &expired.keys {
            let key = ks.key(name);
            keys += usize::from(ks.db_mut(0).remove(key).is_some());
        }
        if !expired.more {
            return (keys, calls);
        }
    }
}

#[test]
fn a_first_deadline_in_ten_years_does_not_make_all_others_due() {
    let mut ks = plain(0);
    set(&mut ks, "far", Some(NOW + 3650 * DAY));
    let count = if cfg!(miri) { 50 } else { 20_000 };
    for i in 0..count {
        set(&mut ks, &format!("k{i}"), Some(NOW + 3_600_000 + i));
    }
    // Once all marks are set right; then a look costs one step.
    assert_eq!(expire_all(&mut ks, NOW).0, 0);
    assert_eq!(expire_all(&mut ks, NOW + 1), (0, 1));
    assert!(ks.db(0).next_due_ms().is_some_and(|ms| ms > NOW + 3_600_000));
    assert_eq!(expire_all(&mut ks, NOW + 3_600_000 + count + 64).0, count as usize);
    assert_eq!(expire_all(&mut ks, NOW + 3651 * DAY).0, 1);
}

#[test]
fn deadlines_outlive_a_clock_that_is_set_and_years_of_uptime() {
    let mut ks = plain(0);
    set(&mut ks, "soon", Some(NOW + 1000));
    set(&mut ks, "later", Some(NOW + 1500 * DAY));
    assert_eq!(expire_all(&mut ks, NOW - 800 * DAY).0, 0, "the clock went back by two years");
    set(&mut ks, "in the past", Some(NOW - 790 * DAY));
    assert_eq!(expire_all(&mut ks, NOW - 789 * DAY).0, 1);
    assert_eq!(expire_all(&mut ks, NOW + 1100).0, 1);
    assert_eq!(expire_all(&mut ks, NOW + 1499 * DAY).0, 0);
    set(&mut ks, "after four years", Some(NOW + 1499 * DAY + 5000));
    assert_eq!(expire_all(&mut ks, NOW + 1499 * DAY + 6000).0, 1);
    assert_eq!(expire_all(&mut ks, NOW + 1501 * DAY).0, 1);
    assert!(ks.db(0).is_empty());
}

#[test]
fn a_call_ends_after_its_steps_though_no_key_is_due_any_more() {
    let mut ks = plain(0);
    let count = if cfg!(miri) { 50 } else { 20_000 };
    for i in 0..count {
        set(&mut ks, &format!("k{i}"), Some(NOW + 1000));
    }
    // Sessions whose deadline is put off: each bucket's mark is too early.
    for i in 0..count {
        set(&mut ks, &format!("k{i}"), Some(NOW + DAY));
    }
    let (keys, calls) = expire_all(&mut ks, NOW + 2000);
    assert_eq!(keys, 0);
    let buckets = count / 8;
    assert!(calls as u64 >= buckets / 64 && (calls as u64) < count / 64 + 20, "{calls} calls of 64 steps");
    assert_eq!(expire_all(&mut ks, NOW + 3000), (0, 1), "the marks are right now");
}

#[test]
fn keys_with_deadlines_are_drawn_without_a_look_at_others() {
    let mut ks = plain(if cfg!(miri) { 200 } else { 100_000 });
    let volatile = 100;
    for i in 0..volatile {
        set(&mut ks, &format!("v{i}"), Some(NOW + i));
    }
    let mut rng = Rng::with_seed(7);
    let mut drawn = HashMap::<Vec<u8>, usize>::new();
    for _ in 0..200 {
        let mut words = 0;
        let (mut seen, db) = (0, ks.db_mut(0));
        let random = || {
            words += 1;
            rng.u64(..)
        };
        db.sample_volatile(random, 5, |_, entry| {
            seen += 1;
            assert!(entry.deadline().is_some());
            *drawn.entry(entry.key().to_vec()).or_default() += 1;
        });
        assert!((5..=12).contains(&seen), "{seen}");
        assert!(words <= 5 * 5, "{words} random words for {seen} keys");
    }
    assert!(drawn.len() > 95, "all have a chance: {}", drawn.len());
    // A mark without a deadline costs one look.
    for i in 0..volatile {
        let name = format!("v{i}");
        let key = ks.key(name.as_bytes());
        ks.db_mut(0).set_deadline(key, None);
    }
    for _ in 0..100 {
        ks.db_mut(0).sample_volatile(|| rng.u64(..), 5, |_, _| panic!("there are none"));
    }
    let mut words = 0;
    let random = || {
        words += 1;
        rng.u64(..)
    };
    ks.db_mut(0).sample_volatile(random, 5, |_, _| panic!("there are none"));
    assert_eq!(words, 1, "nothing is listed any more");
}

#[test]
fn a_deadline_is_found_though_its_segment_had_left_the_list_of_those_with_deadlines() {
    let mut ks = plain(0);
    set(&mut ks, "key", Some(NOW + 1000));
    let key = ks.key(b"key");
    ks.db_mut(0).set_deadline(key, None);
    // Two draws: the first finds that the mark is outdated, the second that the segment has none.
    for _ in 0..2 {
        ks.db_mut(0).sample_volatile(|| 0, 1, |_, _| panic!("there are none"));
    }
    // The clock is set, so all that waits is queued anew: the segment is not among it.
    assert_eq!(expire_all(&mut ks, NOW - 800 * DAY).0, 0);
    set(&mut ks, "key", Some(NOW - 10 * DAY));
    assert_eq!(expire_all(&mut ks, NOW - 9 * DAY).0, 1);
}

#[test]
fn a_deadline_that_comes_nearer_again_and_again_takes_no_more_memory() {
    let mut ks = plain(0);
    set(&mut ks, "key", Some(NOW + DAY));
    let before = ks.db(0).overhead_bytes();
    for i in 1..if cfg!(miri) { 3000 } else { 100_000 } {
        set(&mut ks, "key", Some(NOW + DAY - 64 * i));
    }
    let grown = ks.db(0).overhead_bytes() - before;
    assert!(grown < 64 << 10, "{grown} bytes for one key");
    assert_eq!(expire_all(&mut ks, NOW + DAY).0, 1);
}

#[test]
fn the_key_that_is_due_first_is_found() {
    let mut ks = plain(if cfg!(miri) { 100 } else { 5000 });
    let mut rng = Rng::with_seed(11);
    let mut left: Vec<u64> = (0..if cfg!(miri) { 20 } else { 2000 }).map(|_| rng.u64(..10_000_000)).collect();
    for at in &left {
        set(&mut ks, &format!("v{at}"), Some(NOW + at));
    }
    left.sort_unstable();
    left.dedup();
    for _ in 0..left.len() {
        let (deadline, hash) = ks.db_mut(0).soonest().expect("some are left");
        let name = ks.db(0).find_hash(hash).expect("it is there").key().to_vec();
        assert_eq!(ks.db(0).find(ks.key(&name)).and_then(|e| e.deadline()), Some(deadline));
        let first = NOW + left[0];
        assert!((first..first + 32).contains(&deadline), "within a tick of the first");
        left.retain(|&at| at != deadline - NOW);
        let key = ks.key(&name);
        ks.db_mut(0).remove(key);
    }
    assert_eq!(ks.db_mut(0).soonest(), None);
}

#[test]
fn samples_give_each_key_nearly_the_same_chance() {
    let count = if cfg!(miri) { 50 } else { 3000 };
    let ks = plain(count);
    let mut rng = Rng::with_seed(13);
    let mut drawn = HashMap::<u64, usize>::new();
    let mut total = 0;
    for _ in 0..count * 20 {
        ks.db(0).sample(rng.u64(..), 5, |hash, entry| {
            assert_eq!(ks.db(0).find_hash(hash).map(|e| e.key()), Some(entry.key()));
            *drawn.entry(hash).or_default() += 1;
            total += 1;
        });
    }
    assert_eq!(drawn.len(), count);
    let mean = total / count;
    assert!(drawn.values().all(|&n| n > mean / 4 && n < mean * 3), "{mean} on average");
}

#[test]
fn a_key_is_found_in_a_table_that_is_nearly_empty() {
    let mut ks = Keyspace::new(1, KeyHasher::new([3, 4]));
    ks.db_mut(0).take_room(Room::for_keys(if cfg!(miri) { 2000 } else { 300_000 }));
    set(&mut ks, "only", None);
    let mut words = 0;
    let found = ks.db(0).random_entry(|| {
        words += 1;
        0x1234_5678_9abc_def0 ^ (words << 40)
    });
    assert_eq!(found.map(|e| e.key()), Some(&b"only"[..]));
    assert!(words < 1000, "{words} random words");
    let mut seen = 0;
    ks.db(0).sample(99 << 50, 5, |_, _| seen += 1);
    assert_eq!(seen, 1);
}

#[test]
fn a_forgotten_guard_and_a_panic_leave_a_sound_key() {
    let mut ks = plain(0);
    let key = ks.key(b"list");
    let mut list = List::new();
    list.push_back(b"one", &Limits::default());
    ks.db_mut(0).insert(key, list.into(), None, 0);
    let mut guard = ks.db_mut(0).find_mut(key).and_then(|slot| slot.collection::<List>()).expect("a list");
    for i in 0..100 {
        guard.push_back(format!("{i:0100}").as_bytes(), &Limits::default());
    }
    std::mem::forget(guard);
    assert!(
        ks.db(0).find(key).is_some_and(|e| e.string().is_some_and(|s| s.eq_bytes(b"0"))),
        "the value is lost, the key is not"
    );

    let mut slot = ks.db_mut(0).find_mut(key).expect("it is there");
    // Nothing is left to do when the guard goes: it has no `Drop`.
    slot.entry().set_string(&[b'x'; 200]);
    assert!(
        ks.db(0).find(key).is_some_and(|e| e.string().is_some_and(|s| s.len() == 200)),
        "it moved, and the table knows"
    );

    for (len, left) in [(200, 200), (5000, 1)] {
        set(&mut ks, "edited", None);
        let key = ks.key(b"edited");
        ks.db_mut(0).set_string(key, &vec![b'x'; len], Deadline::Keep, 0);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut slot = ks.db_mut(0).find_mut(key).expect("it is there");
            slot.entry().edit_string(|bytes| {
                bytes.push(b'y');
                assert!(bytes.is_empty(), "as the test wants");
            });
        }));
        assert!(panicked.is_err());
        assert_eq!(ks.db(0).find(key).and_then(|e| e.string()).map(|s| s.len()), Some(left));
        let mut slot = ks.db_mut(0).find_mut(key).expect("it is there");
        slot.entry().edit_string(|bytes| bytes.extend_from_slice(b"more"));
    }
}
