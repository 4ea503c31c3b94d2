//! A hash some of whose fields have deadlines.
//!
//! Small, it is a listpack of field, value and deadline; large, the table that every large hash is, and beside it a sorted set of the fields that
//! have a deadline, by their deadlines. It becomes so with the first deadline and stays so, as in Redis.

use super::super::elem::parse_int;
use super::super::listpack::{self, Pos};
use super::super::table;
use super::super::{Elem, Limits, ListPack, ZSet};
use super::{HashTree, pair};

/// No deadline, as a time that never comes.
pub const NEVER: u64 = u64::MAX;
/// The latest deadline of a field in Unix ms: the scores of the sorted set are exact up to here. Commands allow less (2^46).
pub const FIELD_DEADLINE_MAX: u64 = (1 << 53) - 1;
/// What an entry of a small hash may take beside its field and value.
const ROW_ROOM: usize = 48;

/// Fields, values and deadlines. What it says of a moment is in Unix ms; a field has expired once that is past its deadline.
#[derive(Clone)]
pub struct TimedHash {
    form: Form,
    /// Not after the earliest deadline.
    soonest: u64,
    /// When the database looks at this hash next, [`NEVER`] if it is not queued there.
    pub(crate) queued: u64,
}

#[derive(Clone)]
enum Form {
    /// Deadlines count from the base; see [`write_deadline`].
    Packed { base: u64, rows: ListPack },
    /// The fields in `due` are in `pairs`.
    Table { pairs: HashTree, due: ZSet },
}

/// A field's place in a listpack of rows.
struct Row {
    field: Pos,
    value: Pos,
    deadline: Pos,
}

/// A deadline as an integer: 0 is none, the base is 1, and what is before the base is negative.
fn write_deadline(base: u64, deadline: Option<u64>) -> i64 {
    let Some(ms) = deadline else { return 0 };
    let from_base = ms as i64 - base as i64;
    if from_base < 0 { from_base } else { from_base + 1 }
}

fn read_deadline(base: u64, written: Elem<'_>) -> Option<u64> {
    let n = match written {
        Elem::Int(n) => n,
        Elem::Bytes(text) => parse_int(text).unwrap_or(0),
    };
    match n {
        0 => None,
        n if n < 0 => Some((base as i64 + n) as u64),
        n => Some((base as i64 + (n - 1)) as u64),
    }
}

impl TimedHash {
    /// One with these pairs in its small form, none of which has a deadline yet. Deadlines are expected around `base`.
    pub(super) fn packed(pack: &ListPack, base: u64) -> Self {
        let mut rows = ListPack::new();
        let mut elems = pack.iter();
        while let (Some(field), Some(value)) = (elems.next(), elems.next()) {
            field.with(|text| rows.push_back(text));
            value.with(|text| rows.push_back(text));
            rows.push_back(b"0");
        }
        Self::of(Form::Packed { base, rows })
    }

    /// One with these pairs in its large form.
    pub(super) fn table(pairs: HashTree) -> Self {
        Self::of(Form::Table { pairs, due: ZSet::new() })
    }

    fn of(form: Form) -> Self {
        TimedHash { form, soonest: NEVER, queued: NEVER }
    }

    pub(super) fn is_packed(&self) -> bool {
        matches!(self.form, Form::Packed { .. })
    }

    /// Not after the earliest deadline, which may have gone since; [`NEVER`] if no field had one.
    pub fn soonest(&self) -> u64 {
        self.soonest
    }

    pub(super) fn has_deadlines(&self) -> bool {
        match &self.form {
            Form::Packed { .. } => self.rows().any(|(_, _, deadline)| deadline.is_some()),
            Form::Table { due, .. } => !due.is_empty(),
        }
    }

    pub(super) fn len(&self) -> usize {
        match &self.form {
            Form::Packed { rows, .. } => rows.len() / 3,
            Form::Table { pairs, .. } => pairs.len(),
        }
    }

    fn row(rows: &ListPack, field: &[u8]) -> Option<Row> {
        let field = rows.find(field, 2)?;
        let value = rows.next(field)?;
        Some(Row { field, value, deadline: rows.next(value)? })
    }

    /// A field's value and deadline.
    pub(super) fn get(&self, field: &[u8]) -> Option<(Elem<'_>, Option<u64>)> {
        match &self.form {
            Form::Packed { base, rows } => {
                let row = Self::row(rows, field)?;
                Some((rows.at(row.value), read_deadline(*base, rows.at(row.deadline))))
            }
            Form::Table { pairs, due } => {
                let [_, value] = pairs.get(field)?;
                Some((Elem::Bytes(value), due.score(field).map(|ms| ms as u64)))
            }
        }
    }

    /// Sets a field, which loses its deadline unless that is to be kept; answers whether it is new.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8], keeps: bool, limits: &Limits) -> bool {
        if let Form::Packed { rows, .. } = &self.form
            && (field.len().max(value.len()) > limits.hash_max_listpack_value
                || !rows.has_room(field.len() + value.len() + ROW_ROOM))
        {
            self.make_table(limits);
        }
        match &mut self.form {
            Form::Packed { rows, .. } => {
                if let Some(row) = Self::row(rows, field) {
                    if !keeps {
                        rows.replace(row.deadline, b"0");
                    }
                    rows.replace(row.value, value);
                    return false;
                }
                [field, value, b"0"].iter().for_each(|text| rows.push_back(text));
                if rows.len() / 3 > limits.hash_max_listpack_entries {
                    self.make_table(limits);
                }
                true
            }
            Form::Table { pairs, due } => {
                if !keeps {
                    due.remove(field);
                }
                pairs.set([field, value])
            }
        }
    }

    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.form {
            Form::Packed { rows, .. } => {
                let found = Self::row(rows, field);
                if let Some(row) = &found {
                    rows.remove_at(row.field, 3);
                }
                found.is_some()
            }
            Form::Table { pairs, due } => {
                due.remove(field);
                pairs.remove(field)
            }
        }
    }

    /// Sets a field's deadline, or takes it away; answers whether the field is there. Later deadlines than [`FIELD_DEADLINE_MAX`] become that.
    pub(super) fn set_deadline(&mut self, field: &[u8], deadline: Option<u64>, limits: &Limits) -> bool {
        let deadline = deadline.map(|ms| ms.min(FIELD_DEADLINE_MAX));
        if let Form::Packed { rows, .. } = &self.form
            && !rows.has_room(ROW_ROOM)
        {
            self.make_table(limits);
        }
        match &mut self.form {
            Form::Packed { base, rows } => {
                let Some(row) = Self::row(rows, field) else { return false };
                rows.replace(row.deadline, itoa::Buffer::new().format(write_deadline(*base, deadline)).as_bytes());
            }
            Form::Table { pairs, due } => {
                if !pairs.contains(field) {
                    return false;
                }
                match deadline {
                    Some(ms) => due.insert(field, ms as f64, limits),
                    None => due.remove(field),
                };
            }
        }
        self.soonest = self.soonest.min(deadline.unwrap_or(NEVER));
        true
    }

    /// Takes up to `limit` fields out that have expired, the earliest first where there are many; `each` is told.
    pub(super) fn take_expired(&mut self, now_ms: u64, limit: usize, mut each: impl FnMut(&[u8])) {
        if now_ms <= self.soonest {
            return;
        }
        let mut taken = 0;
        match &mut self.form {
            Form::Packed { base, rows } => {
                let mut soonest = NEVER;
                let mut at = rows.first();
                while let Some(field) = at {
                    let Some(deadline) = rows.next(field).and_then(|value| rows.next(value)) else { break };
                    let ms = read_deadline(*base, rows.at(deadline)).unwrap_or(NEVER);
                    if now_ms > ms && taken < limit {
                        rows.at(field).with(&mut each);
                        at = rows.remove_at(field, 3);
                        taken += 1;
                    } else {
                        soonest = soonest.min(ms);
                        at = rows.next(deadline);
                    }
                }
                self.soonest = soonest;
            }
            Form::Table { pairs, due } => {
                while taken < limit
                    && let Some((field, ms)) = due.nth(0)
                    && now_ms as f64 > ms
                {
                    let field = field.to_vec();
                    due.remove(&field);
                    pairs.remove(&field);
                    each(&field);
                    taken += 1;
                }
                self.soonest = due.nth(0).map_or(NEVER, |(_, ms)| ms as u64);
            }
        }
    }

    fn make_table(&mut self, limits: &Limits) {
        let Form::Packed { .. } = &self.form else { return };
        let (mut pairs, mut due) = (HashTree::new(), ZSet::new());
        for (field, value, deadline) in self.rows() {
            field.with(|field| {
                value.with(|value| pairs.set([field, value]));
                if let Some(ms) = deadline {
                    due.insert(field, ms as f64, limits);
                }
            });
        }
        self.form = Form::Table { pairs, due };
    }

    /// Fields that have expired and are still there.
    pub(super) fn expired_len(&self, now_ms: u64) -> usize {
        if now_ms <= self.soonest {
            return 0;
        }
        match &self.form {
            Form::Packed { .. } => {
                self.rows().filter(|&(_, _, deadline)| deadline.is_some_and(|ms| now_ms > ms)).count()
            }
            Form::Table { due, .. } => due.lower_bound(now_ms as f64, false),
        }
    }

    /// All fields with values and deadlines.
    pub(super) fn rows(&self) -> Rows<'_> {
        match &self.form {
            Form::Packed { base, rows } => Rows::Packed { base: *base, rows: rows.iter() },
            Form::Table { pairs, due } => Rows::Table { pairs: pairs.iter(), due },
        }
    }

    pub(super) fn nth(&self, rank: usize) -> Option<(Elem<'_>, Elem<'_>, Option<u64>)> {
        match &self.form {
            Form::Packed { base, rows } => {
                let field = rows.seek(rank.checked_mul(3)?)?;
                let value = rows.next(field)?;
                Some((rows.at(field), rows.at(value), read_deadline(*base, rows.at(rows.next(value)?))))
            }
            Form::Table { pairs, due } => {
                let (field, value) = pairs.nth(rank).map(pair)?;
                Some((field, value, field.with(|field| due.score(field)).map(|ms| ms as u64)))
            }
        }
    }

    /// As [`Hash::scan`](super::Hash::scan), with deadlines.
    pub(super) fn scan(&self, cursor: u64, count: usize, mut each: impl FnMut(Elem<'_>, Elem<'_>, Option<u64>)) -> u64 {
        match &self.form {
            Form::Packed { .. } => {
                self.rows().for_each(|(field, value, deadline)| each(field, value, deadline));
                0
            }
            Form::Table { pairs, due } => pairs.scan(cursor, count, |[field, value]| {
                each(Elem::Bytes(field), Elem::Bytes(value), due.score(field).map(|ms| ms as u64));
            }),
        }
    }

    pub(super) fn free_effort(&self) -> usize {
        match &self.form {
            Form::Packed { .. } => 2,
            Form::Table { pairs, due } => pairs.free_effort() + due.free_effort() + 1,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let parts = match &self.form {
            Form::Packed { rows, .. } => rows.heap_bytes(),
            Form::Table { pairs, due } => pairs.heap_bytes() + due.heap_bytes(),
        };
        size_of::<Self>() + parts
    }
}

/// Fields, values and deadlines of a hash.
pub enum Rows<'a> {
    /// Of one without deadlines, in either form.
    Packed2(listpack::Iter<'a>),
    Table2(table::Iter<'a, 2>),
    Packed {
        base: u64,
        rows: listpack::Iter<'a>,
    },
    Table {
        pairs: table::Iter<'a, 2>,
        due: &'a ZSet,
    },
}

impl<'a> Iterator for Rows<'a> {
    type Item = (Elem<'a>, Elem<'a>, Option<u64>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Rows::Packed2(pairs) => Some((pairs.next()?, pairs.next()?, None)),
            Rows::Table2(pairs) => pairs.next().map(pair).map(|(field, value)| (field, value, None)),
            Rows::Packed { base, rows } => {
                Some((rows.next()?, rows.next()?, rows.next().and_then(|written| read_deadline(*base, written))))
            }
            Rows::Table { pairs, due } => {
                let [field, value] = pairs.next()?;
                Some((Elem::Bytes(field), Elem::Bytes(value), due.score(field).map(|ms| ms as u64)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::Hash;
    use super::*;

    type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

    fn rows(hash: &Hash) -> Model {
        hash.rows().map(|(field, value, deadline)| (field.to_vec(), (value.to_vec(), deadline))).collect()
    }

    fn limits(entries: usize) -> Limits {
        Limits { hash_max_listpack_entries: entries, ..Limits::default() }
    }

    #[test]
    fn deadlines_are_exact_before_and_after_the_base() {
        for base in [0, 1, 1_700_000_000_000, FIELD_DEADLINE_MAX] {
            for ms in [0, 1, base, base.saturating_sub(1), base + 1, 1_800_000_000_000, FIELD_DEADLINE_MAX] {
                assert_eq!(read_deadline(base, Elem::Int(write_deadline(base, Some(ms)))), Some(ms), "{base} {ms}");
            }
            assert_eq!(read_deadline(base, Elem::Int(write_deadline(base, None))), None);
        }
    }

    #[test]
    fn it_is_named_as_in_redis_and_stays_what_it_became() {
        let limits = limits(2);
        let mut hash = Hash::new();
        hash.set(b"a", b"1", &limits);
        assert!(!hash.set_deadline(b"none", Some(5), &limits));
        assert!(hash.set_deadline(b"a", None, &limits));
        assert_eq!(hash.encoding(), "listpack", "nothing has a deadline");
        assert!(hash.set_deadline(b"a", Some(u64::MAX), &limits));
        assert_eq!((hash.encoding(), hash.deadline(b"a")), ("listpackex", Some(Some(FIELD_DEADLINE_MAX))));
        assert!(hash.set_deadline(b"a", None, &limits));
        assert_eq!((hash.encoding(), hash.has_deadlines()), ("listpackex", false));
        (0..3u8).for_each(|i| assert!(hash.set(&[i], b"x", &limits)));
        assert_eq!((hash.encoding(), hash.len()), ("hashtable", 4));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn edits_equal_a_map_s(
            ops in prop::collection::vec((0u8..8, 0u16..30, 0u64..40, "[a-z0-9]{0,8}"), 1..200), entries in 1usize..40
        ) {
            let limits = limits(entries);
            let (mut hash, mut model) = (Hash::new(), Model::new());
            let mut kept = Vec::new();
            for (i, (op, field, ms, value)) in ops.into_iter().enumerate() {
                let field = field.to_string().into_bytes();
                match op {
                    0 => assert_eq!(hash.remove(&field), model.remove(&field).is_some()),
                    1 | 2 => {
                        assert_eq!(hash.set_deadline(&field, Some(ms), &limits), model.contains_key(&field));
                        model.entry(field.clone()).and_modify(|row| row.1 = Some(ms));
                    }
                    3 => {
                        assert_eq!(hash.set_deadline(&field, None, &limits), model.contains_key(&field));
                        model.entry(field.clone()).and_modify(|row| row.1 = None);
                    }
                    4 => {
                        let kept = model.get(&field).and_then(|row| row.1);
                        let is_new = model.insert(field.clone(), (value.clone().into(), kept)).is_none();
                        assert_eq!(hash.set_keeping_deadline(&field, value.as_bytes(), &limits), is_new);
                    }
                    5 => {
                        let limit = usize::from(ms as u8 % 5);
                        let mut taken = Vec::new();
                        hash.take_expired(ms, limit, |field| taken.push(field.to_vec()));
                        let due = model.values().filter(|row| row.1.is_some_and(|at| ms > at)).count();
                        assert_eq!(taken.len(), due.min(limit));
                        for field in taken {
                            assert!(model.remove(&field).is_some_and(|row| row.1.is_some_and(|at| ms > at)));
                        }
                    }
                    _ => {
                        let is_new = model.insert(field.clone(), (value.clone().into(), None)).is_none();
                        assert_eq!(hash.set(&field, value.as_bytes(), &limits), is_new);
                    }
                }
                let row = model.get(&field);
                assert_eq!(hash.deadline(&field), row.map(|row| row.1));
                assert_eq!(hash.get(&field).map(|v| v.to_vec()), row.map(|row| row.0.clone()));
                let earliest = model.values().filter_map(|row| row.1).min().unwrap_or(NEVER);
                assert!(hash.soonest() <= earliest, "nothing is found too late");
                let live = hash.live(ms);
                let there: Vec<_> = model.iter().filter(|(_, row)| row.1.is_none_or(|at| ms <= at)).collect();
                assert_eq!((live.len(), live.contains(&field)), (there.len(), there.iter().any(|(f, _)| **f == field)));
                let mut seen: Vec<_> = live.iter().map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
                seen.sort();
                assert!(seen.iter().map(|(f, v)| (f, v)).eq(there.iter().map(|(f, row)| (*f, &row.0))));
                assert_eq!(live.choose(|n| i % n).is_some(), !there.is_empty());
                if i % 16 == 0 {
                    kept.push((hash.clone(), model.clone()));
                }
            }
            kept.push((hash, model));
            for (hash, model) in kept {
                assert_eq!((hash.len(), rows(&hash)), (model.len(), model));
            }
        }
    }
}
