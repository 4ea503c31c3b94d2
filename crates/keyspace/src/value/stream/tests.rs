use std::collections::BTreeMap;

use fastrand::Rng;

use super::*;
use crate::value::{Elem, ListPack};

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// What Redis would keep: nodes that are listpacks, with deleted entries in them.
#[derive(Clone, Default)]
struct Model {
    nodes: Vec<ModelNode>,
    last_id: Id,
    max_deleted_id: Id,
    entries_added: u64,
}

#[derive(Clone)]
struct ModelNode {
    entries: BTreeMap<Id, (Pairs, bool)>,
    /// Another one came behind it.
    closed: bool,
}

impl ModelNode {
    fn live(&self) -> usize {
        self.entries.values().filter(|(_, live)| *live).count()
    }

    /// The bytes of the listpack, made the plain way.
    fn listpack_bytes(&self) -> usize {
        let mut pack = ListPack::new();
        let int = |pack: &mut ListPack, n: i64| pack.push_back(n.to_string().as_bytes());
        let (first_id, (names, _)) = self.entries.iter().next().expect("a node has entries");
        int(&mut pack, self.live() as i64);
        int(&mut pack, (self.entries.len() - self.live()) as i64);
        int(&mut pack, names.len() as i64);
        names.iter().for_each(|(name, _)| pack.push_back(name));
        int(&mut pack, 0);
        for (id, (pairs, _)) in &self.entries {
            let same = pairs.iter().map(|p| &p.0).eq(names.iter().map(|p| &p.0));
            int(&mut pack, 2);
            int(&mut pack, (id.ms - first_id.ms) as i64);
            int(&mut pack, id.seq.wrapping_sub(first_id.seq) as i64);
            if !same {
                int(&mut pack, pairs.len() as i64);
            }
            for (name, value) in pairs {
                if !same {
                    pack.push_back(name);
                }
                pack.push_back(value);
            }
            int(&mut pack, (if same { pairs.len() + 3 } else { 2 * pairs.len() + 4 }) as i64);
        }
        pack.bytes_len()
    }
}

impl Model {
    fn live(&self) -> impl DoubleEndedIterator<Item = (Id, &Pairs)> {
        let entries = self.nodes.iter().flat_map(|node| &node.entries);
        entries.filter(|(_, (_, live))| *live).map(|(id, (pairs, _))| (*id, pairs))
    }

    fn append(&mut self, id: Id, pairs: Pairs, limits: &Limits) {
        let size: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
        let full = self.nodes.last().is_none_or(|node| {
            node.closed
                || node.listpack_bytes() + size >= limits.stream_node_max_bytes
                || (limits.stream_node_max_entries > 0 && node.entries.len() >= limits.stream_node_max_entries)
        });
        if full {
            self.nodes.iter_mut().for_each(|node| node.closed = true);
            self.nodes.push(ModelNode { entries: BTreeMap::new(), closed: false });
        }
        self.nodes.last_mut().expect("one was pushed").entries.insert(id, (pairs, true));
        self.last_id = id;
        self.entries_added += 1;
    }

    fn remove(&mut self, id: Id) -> bool {
        let found = self.nodes.iter_mut().find_map(|node| node.entries.get_mut(&id)).filter(|entry| entry.1);
        let was_there = found.map(|entry| entry.1 = false).is_some();
        self.nodes.retain(|node| node.live() > 0);
        if was_there {
            self.max_deleted_id = self.max_deleted_id.max(id);
        }
        was_there
    }

    fn remove_first(&mut self, count: usize) {
        let ids: Vec<Id> = self.live().map(|(id, _)| id).take(count).collect();
        let kept = self.max_deleted_id;
        ids.into_iter().for_each(|id| _ = self.remove(id));
        self.max_deleted_id = kept;
    }

    fn whole_nodes(&self, goes: impl Fn(usize, &ModelNode) -> bool) -> usize {
        let mut count = 0;
        for node in &self.nodes {
            if !goes(count, node) {
                break;
            }
            count += node.live();
        }
        count
    }
}

fn owned(entry: Entry<'_>) -> (Id, Pairs) {
    (entry.id, entry.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
}

fn check(stream: &Stream, model: &Model) {
    let want: Vec<(Id, Pairs)> = model.live().map(|(id, pairs)| (id, pairs.clone())).collect();
    assert_eq!((stream.len(), stream.is_empty()), (want.len(), want.is_empty()));
    let entries = stream.entries();
    assert_eq!(entries.range(Id::MIN, Id::MAX).map(owned).collect::<Vec<_>>(), want);
    let mut back: Vec<_> = entries.rev_range(Id::MIN, Id::MAX).map(owned).collect();
    back.reverse();
    assert_eq!(back, want);
    assert_eq!(stream.first_id(), want.first().map(|(id, _)| *id));
    assert_eq!(entries.last().map(|entry| entry.id), want.last().map(|(id, _)| *id));
    assert_eq!(
        (stream.last_id(), stream.max_deleted_id(), stream.entries_added()),
        (model.last_id, model.max_deleted_id, model.entries_added)
    );
    let node = stream.meta().node;
    if let Some(last) = model.nodes.last().filter(|node| !node.closed) {
        assert_eq!((node.live as usize, node.deleted as usize), (last.live(), last.entries.len() - last.live()));
        assert_eq!(node.listpack_bytes(), last.listpack_bytes());
    } else {
        assert_eq!(node, Node::default());
    }
    if let Form::Large(large) = &stream.0 {
        large.entries.check(|chunk, low, high| {
            assert!(chunk.walk().all(|entry| entry.id >= *low && high.is_none_or(|high| entry.id < *high)));
            assert_eq!(chunk.walk().filter(|entry| !entry.is_dead()).count(), chunk.live());
            assert_eq!(chunk.last().map(|e| e.id), chunk.walk().last().map(|e| e.id));
        });
    }
}

fn random_id(rng: &mut Rng, model: &Model) -> Id {
    let count = model.live().count();
    if count > 0 && rng.u8(..4) > 0 {
        return model.live().nth(rng.usize(..count)).expect("in range").0;
    }
    Id::new(rng.u64(..=model.last_id.ms + 2), rng.u64(..3))
}

fn pairs(rng: &mut Rng, few_names: bool) -> Pairs {
    let value = |rng: &mut Rng| match rng.u8(..20) {
        0 => vec![b'x'; rng.usize(100..1500)],
        1..8 => rng.i64(-5000..5000).to_string().into_bytes(),
        8 => rng.i64(..).to_string().into_bytes(),
        _ => vec![b'v'; rng.usize(..20)],
    };
    if few_names || rng.u8(..3) > 0 {
        return ["temperature", "humidity", "7"].iter().map(|name| (name.as_bytes().to_vec(), value(rng))).collect();
    }
    (0..rng.usize(1..5)).map(|i| (format!("name{}", i + rng.usize(..2)).into_bytes(), value(rng))).collect()
}

fn append(stream: &mut Stream, id: Id, pairs: &Pairs, limits: &Limits) -> Result<(), BadEntry> {
    let fields: Vec<_> = pairs.iter().map(|(name, value)| (Elem::Bytes(name), Elem::Bytes(value))).collect();
    stream.append(id, fields.as_slice(), limits)
}

fn next_id(rng: &mut Rng, last: Id) -> Id {
    match rng.u8(..10) {
        0..5 => Id::new(last.ms, last.seq + 1),
        5..9 => Id::new(last.ms + rng.u64(1..300), rng.u64(..2)),
        _ => Id::new(last.ms + (1 << rng.u32(..40)), rng.u64(..) >> rng.u32(1..64)),
    }
}

fn step(rng: &mut Rng, stream: &mut Stream, model: &mut Model, limits: &Limits, growing: bool, few_names: bool) {
    match rng.u8(..if growing { 12 } else { 30 }) {
        0..10 => {
            let (id, pairs) = (next_id(rng, model.last_id), pairs(rng, few_names));
            assert_eq!(append(stream, id, &pairs, limits), Ok(()));
            assert_eq!(append(stream, id, &pairs, limits), Err(BadEntry::IdTooSmall));
            model.append(id, pairs, limits);
        }
        10..22 => {
            let id = random_id(rng, model);
            assert_eq!(stream.entries().get(id).is_some(), stream.entries().contains(id));
            assert_eq!(stream.remove(id), model.remove(id));
        }
        22..26 => {
            let count = rng.usize(..8);
            drop(stream.remove_first(count));
            model.remove_first(count);
        }
        26 => {
            let most = rng.usize(..=model.live().count() + 1);
            let want = model.whole_nodes(|before, node| before + node.live() <= most);
            assert_eq!(stream.whole_nodes_by_len(most), want);
            drop(stream.remove_first(want));
            model.remove_first(want);
        }
        _ => {
            let (a, b) = (random_id(rng, model), random_id(rng, model));
            let want: Vec<Id> = model.live().map(|(id, _)| id).filter(|id| *id >= a && *id <= b).collect();
            assert!(stream.entries().range(a, b).map(|entry| entry.id).eq(want.iter().copied()));
            assert_eq!(stream.entries().has_behind(a), model.live().any(|(id, _)| id > a));
            assert_eq!(stream.entries().count_below(a), model.live().filter(|(id, _)| *id < a).count());
            assert!(stream.entries().rev_range(a, b).map(|entry| entry.id).eq(want.iter().rev().copied()));
        }
    }
}

fn run(seed: u64, limits: &Limits, steps: usize) {
    let mut rng = Rng::with_seed(seed);
    let few_names = seed.is_multiple_of(2);
    let (mut stream, mut model) = (Stream::new(), Model::default());
    let mut kept = (stream.clone(), model.clone());
    for i in 0..steps {
        step(&mut rng, &mut stream, &mut model, limits, i < steps * 2 / 3, few_names);
        if i % 50 == 0 {
            check(&stream, &model);
            check(&kept.0, &kept.1);
            kept = (stream.clone(), model.clone());
            let most = rng.usize(..=model.live().count() + 1);
            let want = model.whole_nodes(|before, node| before + node.live() <= most);
            assert_eq!(stream.whole_nodes_by_len(most), want);
        }
    }
    check(&stream, &model);
    let half = stream.len() / 2;
    drop(stream.remove_first(half));
    model.remove_first(half);
    check(&stream, &model);
    drop(stream.remove_first(usize::MAX));
    model.remove_first(usize::MAX);
    check(&stream, &model);
}

#[test]
fn edits_equal_a_model_s() {
    for seed in 0..30 {
        let (bytes, entries) = [(4096, 100), (300, 0), (4096, 5), (20_000, 0)][seed as usize % 4];
        let limits = Limits { stream_node_max_bytes: bytes, stream_node_max_entries: entries, ..Limits::default() };
        run(seed, &limits, if cfg!(miri) { 100 } else { 900 });
    }
}

/// Nodes that go by the ids: here the id of a deleted entry counts, too.
#[test]
fn whole_nodes_below_an_id_equal_a_model_s() {
    for seed in 0..40 {
        let mut rng = Rng::with_seed(seed);
        let limits = Limits { stream_node_max_entries: 7, ..Limits::default() };
        let (mut stream, mut model) = (Stream::new(), Model::default());
        for i in 0..300 {
            step(&mut rng, &mut stream, &mut model, &limits, i < 100, true);
            let below = random_id(&mut rng, &model);
            let want = model.whole_nodes(|_, node| node.entries.keys().next_back().is_some_and(|last| *last < below));
            assert_eq!(stream.whole_nodes_below(below), want, "seed {seed} step {i}");
        }
    }
}

#[test]
fn a_million_entries_stay_in_full_chunks() {
    let (mut stream, limits) = (Stream::new(), Limits::default());
    for i in 0..100_000u64 {
        let value = format!("{i:010}x");
        let fields = [(Elem::Bytes(b"name"), Elem::Bytes(value.as_bytes())), (Elem::Bytes(b"other"), Elem::Int(12345))];
        stream.append(Id::new(1_700_000_000_000 + i / 3, i % 3), &fields[..], &limits).expect("above");
    }
    // Size, head, two bytes of ms, seq, and the values.
    let per_entry = 1 + 1 + 2 + 1 + 12 + 3;
    let most = 100_000 * per_entry * 105 / 100;
    assert!(stream.heap_bytes() < most, "{} of {most}", stream.heap_bytes());
    let clone = stream.clone();
    let removed = stream.remove_first(99_990);
    assert_eq!((stream.len(), clone.len()), (10, 100_000));
    assert!(removed.free_effort() > 300);
    assert_eq!(clone.entries().range(Id::MIN, Id::MAX).count(), 100_000);
    assert!(
        stream.entries().range(Id::MIN, Id::MAX).map(|e| e.id).eq(clone
            .entries()
            .range(Id::MIN, Id::MAX)
            .skip(99_990)
            .map(|e| e.id))
    );
}

#[test]
fn a_small_stream_is_one_allocation() {
    let (mut stream, limits) = (Stream::new(), Limits::default());
    for i in 1..=10u64 {
        let fields = [(Elem::Bytes(b"field"), Elem::Bytes(b"value")), (Elem::Bytes(b"n"), Elem::Bytes(b"123456"))];
        stream.append(Id::new(1_700_000_000_000 + i, 0), &fields[..], &limits).expect("above");
    }
    assert!(matches!(stream.0, Form::Small(_)));
    assert!(stream.heap_bytes() <= 320, "{}", stream.heap_bytes());
    assert_eq!(stream.free_effort(), 1);
}

#[test]
fn clones_keep_their_groups() {
    let mut stream = Stream::new();
    let name = Name::new(b"g");
    assert!(stream.groups_mut().0.add(Group::new(name.clone(), Id::MIN, 0)));
    assert!(!stream.groups_mut().0.add(Group::new(name.clone(), Id::MAX, 0)));
    let clone = stream.clone();
    stream.change_group(&name, |group, _| group.last_id = Id::new(5, 5));
    assert_eq!(stream.group(&name).map(|g| g.last_id), Some(Id::new(5, 5)));
    assert_eq!(clone.group(&name).map(|g| g.last_id), Some(Id::MIN));
    assert!(stream.groups_mut().0.remove(&name).is_some());
    assert!(stream.group(&name).is_none() && clone.group(&name).is_some());
    assert_eq!(stream.change_group(&name, |_, _| ()), None);
}

#[test]
fn an_entry_that_is_too_large_is_refused() {
    let mut stream = Stream::new();
    // Not touched unless it is taken.
    let big = vec![0u8; ENTRY_BYTES_MAX];
    let fields = [(Elem::Bytes(b"f"), Elem::Bytes(&big))];
    assert_eq!(stream.append(Id::new(1, 1), &fields[..], &Limits::default()), Err(BadEntry::TooLarge));
    assert_eq!((stream.len(), stream.last_id()), (0, Id::MIN));
}

#[test]
fn words_give_the_stream_back() {
    for len in [0u64, 1, 1000] {
        let mut stream = Stream::new();
        for i in 1..=len {
            let fields = [(Elem::Bytes(b"f"), Elem::Bytes(b"0123456789"))];
            stream.append(Id::new(i, i), &fields[..], &Limits::default()).expect("above");
        }
        let clone = stream.clone();
        let (form, word) = stream.into_word();
        // SAFETY: the word was just given, and is taken back once.
        let back = unsafe { Stream::from_word(form, word) };
        assert!(
            back.entries().range(Id::MIN, Id::MAX).map(owned).eq(clone.entries().range(Id::MIN, Id::MAX).map(owned))
        );
    }
}
