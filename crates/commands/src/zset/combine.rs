//! Unions, intersections and differences of sorted sets and sets.
//!
//! The members of the result are borrowed from the inputs until they are answered or stored.

use std::cmp::Ordering;

use rivulet_keyspace::value::{Elem, Set, ZSet};
use rivulet_keyspace::{Key, Ref, Type};

use super::lookup::MemberReply;
use crate::ctx::{Ctx, Data};
use crate::fail::{Fail, SYNTAX, WRONG_TYPE};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Reply,
    Store,
    /// Only how many there are.
    Card,
}

#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    #[inline]
    fn apply(self, into: &mut f64, score: f64) {
        match self {
            // Infinities of both signs make 0.
            Aggregate::Sum => *into = number(*into + score),
            Aggregate::Min if score < *into => *into = score,
            Aggregate::Max if score > *into => *into = score,
            Aggregate::Min | Aggregate::Max => {}
        }
    }
}

/// 0 where it is not a number.
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What the arguments ask for.
struct Query<'a> {
    keys: Vec<Key<'a>>,
    /// One for each key, or none at all when all are 1.
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    limit: usize,
}

impl<'a> Query<'a> {
    /// Parses from the number of keys on. The keys' types are checked before the options.
    fn parse(
        ctx: &mut Ctx<'a>,
        at: usize,
        name: &str,
        operation: Operation,
        output: Output,
    ) -> Result<Query<'a>, Fail> {
        let key_count = ctx.int(at)?;
        if key_count < 1 {
            return Err(Fail::text(format!("ERR at least 1 input key is needed for '{name}' command")));
        }
        let args = ctx.args;
        let key_count = usize::try_from(key_count).ok().filter(|&n| n < args.len() - at).ok_or(SYNTAX)?;
        let first_option = at + 1 + key_count;
        let keys: Vec<Key<'a>> = (at + 1..first_option).map(|i| ctx.key(i)).collect();
        for &key in &keys {
            if ctx.db.read(key).is_some_and(|entry| !matches!(entry.value_type(), Type::ZSet | Type::Set)) {
                return Err(WRONG_TYPE);
            }
        }
        let mut query =
            Query { keys, weights: Vec::new(), aggregate: Aggregate::Sum, with_scores: false, limit: usize::MAX };
        let scores = operation != Operation::Diff && output != Output::Card;
        let mut i = first_option;
        while i < args.len() {
            let left = args.len() - i;
            if scores && left > key_count && args.is(i, "weights") {
                const NOT_FLOAT: Fail = Fail::new("ERR weight value is not a float");
                query.weights =
                    (i + 1..=i + key_count).map(|i| ctx.float(i).map_err(|_| NOT_FLOAT)).collect::<Result<_, _>>()?;
                i += 1 + key_count;
            } else if scores && left >= 2 && args.is(i, "aggregate") {
                query.aggregate = match () {
                    () if args.is(i + 1, "sum") => Aggregate::Sum,
                    () if args.is(i + 1, "min") => Aggregate::Min,
                    () if args.is(i + 1, "max") => Aggregate::Max,
                    () => return Err(SYNTAX),
                };
                i += 2;
            } else if output == Output::Reply && args.is(i, "withscores") {
                query.with_scores = true;
                i += 1;
            } else if output == Output::Card && left >= 2 && args.is(i, "limit") {
                query.limit = crate::parse::limit(args.at(i + 1))?;
                i += 2;
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(query)
    }

    fn sources<'d>(&self, data: &'d Data<'_>) -> Vec<Source<'d>> {
        let weights = self.weights.iter().copied().chain(std::iter::repeat(1.0));
        self.keys.iter().zip(weights).map(|(&key, weight)| Source { input: Input::of(data, key), weight }).collect()
    }
}

/// An input.
enum Input<'d> {
    Missing,
    ZSet(Ref<'d, ZSet>),
    Set(Ref<'d, Set>),
}

impl<'d> Input<'d> {
    /// The types have been checked.
    fn of(data: &'d Data<'_>, key: Key<'_>) -> Input<'d> {
        match data.get_as::<ZSet>(key) {
            Ok(Some(zset)) => Input::ZSet(zset),
            Ok(None) => Input::Missing,
            Err(_) => data.get_as::<Set>(key).ok().flatten().map_or(Input::Missing, Input::Set),
        }
    }

    fn len(&self) -> usize {
        match self {
            Input::Missing => 0,
            Input::ZSet(zset) => zset.len(),
            Input::Set(set) => set.len(),
        }
    }

    /// The members of sets all have the score 1.
    fn score(&self, member: Elem<'_>) -> Option<f64> {
        match self {
            Input::Missing => None,
            Input::ZSet(zset) => member.with(|member| zset.score(member)),
            Input::Set(set) => member.with(|member| set.contains(member)).then_some(1.0),
        }
    }

    fn for_each<'s>(&'s self, mut each: impl FnMut(Elem<'s>, f64)) {
        self.try_for_each(|member, score| {
            each(member, score);
            true
        });
    }

    /// Until `each` answers that it has enough.
    fn try_for_each<'s>(&'s self, mut each: impl FnMut(Elem<'s>, f64) -> bool) {
        match self {
            Input::Missing => {}
            Input::ZSet(zset) => {
                zset.iter().all(|(member, score)| each(member, score));
            }
            Input::Set(set) => {
                set.iter().all(|member| each(member, 1.0));
            }
        }
    }
}

/// An input and the factor of its scores.
struct Source<'d> {
    input: Input<'d>,
    weight: f64,
}

type Item<'s> = (Elem<'s>, f64);

fn order_members(a: Elem<'_>, b: Elem<'_>) -> Ordering {
    a.with(|a| b.with(|b| a.cmp(b)))
}

/// Members in no particular order.
fn combine<'s>(sources: &'s mut [Source<'_>], operation: Operation, aggregate: Aggregate) -> Vec<Item<'s>> {
    match operation {
        Operation::Union => {
            sources.sort_by_key(|source| source.input.len());
            union(sources, aggregate)
        }
        Operation::Inter => {
            sources.sort_by_key(|source| source.input.len());
            let mut items = Vec::new();
            intersect(sources, aggregate, |member, score| {
                items.push((member, score));
                true
            });
            items
        }
        Operation::Diff => {
            if let [_, others @ ..] = sources {
                // What takes most away is asked first.
                others.sort_by_key(|source| std::cmp::Reverse(source.input.len()));
            }
            diff(sources)
        }
    }
}

fn union<'s>(sources: &'s [Source<'_>], aggregate: Aggregate) -> Vec<Item<'s>> {
    let mut items = Vec::with_capacity(sources.iter().map(|source| source.input.len()).sum());
    for source in sources {
        source.input.for_each(|member, score| items.push((member, number(source.weight * score))));
    }
    // The same members come to lie side by side, in the order of their sources.
    items.sort_by(|a, b| order_members(a.0, b.0));
    items.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            aggregate.apply(&mut kept.1, next.1);
        }
        same
    });
    items
}

/// Gives the members that are in all sources, until `each` answers that it has enough.
fn intersect<'s>(sources: &'s [Source<'_>], aggregate: Aggregate, mut each: impl FnMut(Elem<'s>, f64) -> bool) {
    let [smallest, others @ ..] = sources else { return };
    smallest.input.try_for_each(|member, score| {
        let mut total = number(smallest.weight * score);
        for other in others {
            let Some(score) = other.input.score(member) else { return true };
            aggregate.apply(&mut total, score * other.weight);
        }
        each(member, total)
    });
}

fn diff<'s>(sources: &'s [Source<'_>]) -> Vec<Item<'s>> {
    let [first, others @ ..] = sources else { return Vec::new() };
    let mut items = Vec::new();
    first.input.for_each(|member, score| {
        if others.iter().all(|other| other.input.score(member).is_none()) {
            items.push((member, score));
        }
    });
    items
}

/// Puts members in the order of a sorted set.
fn sort(items: &mut [Item<'_>]) {
    items.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal).then_with(|| order_members(a.0, b.0)));
}

fn reply(ctx: &mut Ctx<'_>, name: &str, operation: Operation) -> Result<(), Fail> {
    let query = Query::parse(ctx, 1, name, operation, Output::Reply)?;
    let mut sources = query.sources(&ctx.db);
    let mut items = combine(&mut sources, operation, query.aggregate);
    sort(&mut items);
    let mut reply = MemberReply::begin(&mut ctx.reply, items.len(), query.with_scores);
    items.into_iter().for_each(|item| reply.push(item));
    Ok(())
}

fn store(ctx: &mut Ctx<'_>, name: &'static str, operation: Operation) -> Result<(), Fail> {
    let query = Query::parse(ctx, 2, name, operation, Output::Store)?;
    let limits = &ctx.db.settings.limits;
    let mut sources = query.sources(&ctx.db);
    let mut items = combine(&mut sources, operation, query.aggregate);
    sort(&mut items);
    let longest = items.iter().map(|item| item.0.len()).max().unwrap_or(0);
    let is_large = items.len() > limits.zset_max_listpack_entries || longest > limits.zset_max_listpack_value;
    let mut result = if is_large { ZSet::new_large() } else { ZSet::new() };
    for (member, score) in items {
        member.with(|member| result.insert(member, score, limits));
    }
    drop(sources);
    super::store(ctx, ctx.key(1), result, name);
    Ok(())
}

pub(super) fn zunion(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    reply(ctx, "zunion", Operation::Union)
}

pub(super) fn zinter(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    reply(ctx, "zinter", Operation::Inter)
}

pub(super) fn zdiff(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    reply(ctx, "zdiff", Operation::Diff)
}

pub(super) fn zunionstore(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    store(ctx, "zunionstore", Operation::Union)
}

pub(super) fn zinterstore(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    store(ctx, "zinterstore", Operation::Inter)
}

pub(super) fn zdiffstore(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    store(ctx, "zdiffstore", Operation::Diff)
}

pub(super) fn zintercard(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let query = Query::parse(ctx, 1, "zintercard", Operation::Inter, Output::Card)?;
    let mut sources = query.sources(&ctx.db);
    sources.sort_by_key(|source| source.input.len());
    let mut found = 0;
    intersect(&sources, query.aggregate, |_, _| {
        found += 1;
        found < query.limit
    });
    ctx.reply.int(found as i64);
    Ok(())
}
