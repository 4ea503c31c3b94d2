//! Ranges by rank, score and member: ZRANGE and its older forms, ZRANGESTORE, ZCOUNT, ZLEXCOUNT and ZREMRANGEBY*.

use rivulet_keyspace::value::ZSet;

use super::bounds::{LexRange, Ranks, ScoreRange};
use super::lookup::MemberReply;
use crate::collections;
use crate::ctx::Ctx;
use crate::fail::{Fail, SYNTAX};

/// What a range goes by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// A range whose bounds are valid.
enum Bounds<'a> {
    Rank(i64, i64),
    Score(ScoreRange),
    Lex(LexRange<'a>),
}

impl<'a> Bounds<'a> {
    fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Bounds<'a>, Fail> {
        Ok(match by {
            By::Rank => Bounds::Rank(crate::parse::int(min)?, crate::parse::int(max)?),
            By::Score => Bounds::Score(ScoreRange::parse(min, max)?),
            By::Lex => Bounds::Lex(LexRange::parse(min, max)?),
        })
    }

    fn ranks(&self, zset: &ZSet) -> Ranks {
        match self {
            Bounds::Rank(start, stop) => Ranks::from_indexes(*start, *stop, zset.len()),
            Bounds::Score(range) => range.ranks(zset),
            Bounds::Lex(range) => range.ranks(zset),
        }
    }
}

/// What ZRANGE and its relatives ask for.
struct Query<'a> {
    bounds: Bounds<'a>,
    reverse: bool,
    offset: i64,
    /// Negative: no limit.
    limit: i64,
    with_scores: bool,
}

/// What a command's name says already; ZRANGE says nothing.
#[derive(Clone, Copy)]
struct Form {
    by: Option<By>,
    reverse: Option<bool>,
    stores: bool,
}

impl<'a> Query<'a> {
    /// Parses the arguments from the range's first bound on.
    fn parse(ctx: &Ctx<'a>, first: usize, form: Form) -> Result<Query<'a>, Fail> {
        let args = ctx.args;
        let Form { mut by, mut reverse, stores } = form;
        let (mut offset, mut limit, mut with_scores) = (0, -1, false);
        let mut i = first + 2;
        while i < args.len() {
            if !stores && args.is(i, "withscores") {
                with_scores = true;
            } else if args.is(i, "limit") && i + 2 < args.len() {
                offset = ctx.int(i + 1)?;
                limit = ctx.int(i + 2)?;
                i += 2;
            } else if reverse.is_none() && args.is(i, "rev") {
                reverse = Some(true);
            } else if by.is_none() && args.is(i, "bylex") {
                by = Some(By::Lex);
            } else if by.is_none() && args.is(i, "byscore") {
                by = Some(By::Score);
            } else {
                return Err(SYNTAX);
            }
            i += 1;
        }
        let by = by.unwrap_or(By::Rank);
        let reverse = reverse.unwrap_or(false);
        if limit != -1 && by == By::Rank {
            return Err(Fail::new(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && by == By::Lex {
            return Err(Fail::new("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        let (min, max) = if reverse && by != By::Rank {
            (args.at(first + 1), args.at(first))
        } else {
            (args.at(first), args.at(first + 1))
        };
        Ok(Query { bounds: Bounds::parse(by, min, max)?, reverse, offset, limit, with_scores })
    }

    /// From which rank how many members are meant, upwards or downwards.
    fn select(&self, zset: &ZSet) -> (usize, usize) {
        let mut ranks = self.bounds.ranks(zset);
        let mut offset = self.offset;
        if let Bounds::Rank(..) = self.bounds {
            // An offset without a limit is taken, but means nothing.
            offset = 0;
            if self.reverse {
                // Ranks were counted from the other end.
                ranks = Ranks { start: zset.len() - ranks.end, end: zset.len() - ranks.start };
            }
        }
        let found = ranks.count();
        // A negative offset passes over everything.
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = found.saturating_sub(offset);
        let count = usize::try_from(self.limit).map_or(rest, |limit| limit.min(rest));
        match (count, self.reverse) {
            (0, _) => (0, 0),
            (_, false) => (ranks.start + offset, count),
            (_, true) => (ranks.end - 1 - offset, count),
        }
    }

    fn reply(&self, ctx_reply: &mut rivulet_resp::Reply<'_>, zset: &ZSet) {
        let (start, count) = self.select(zset);
        let mut reply = MemberReply::begin(ctx_reply, count, self.with_scores);
        if self.reverse {
            zset.iter_rev_from(start).take(count).for_each(|item| reply.push(item));
        } else {
            zset.iter_from(start).take(count).for_each(|item| reply.push(item));
        }
    }
}

fn range(ctx: &mut Ctx<'_>, by: Option<By>, reverse: Option<bool>) -> Result<(), Fail> {
    let query = Query::parse(ctx, 2, Form { by, reverse, stores: false })?;
    let key = ctx.key(1);
    collections::read(&mut ctx.db, key, |zset: Option<&ZSet>| match zset {
        Some(zset) => query.reply(&mut ctx.reply, zset),
        None => ctx.reply.array(0),
    })
}

pub(super) fn zrange(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    range(ctx, None, None)
}

pub(super) fn zrevrange(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    range(ctx, Some(By::Rank), Some(true))
}

pub(super) fn zrangebyscore(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    range(ctx, Some(By::Score), Some(false))
}

pub(super) fn zrevrangebyscore(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    range(ctx, Some(By::Score), Some(true))
}

pub(super) fn zrangebylex(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    range(ctx, Some(By::Lex), Some(false))
}

pub(super) fn zrevrangebylex(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    range(ctx, Some(By::Lex), Some(true))
}

pub(super) fn zrangestore(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let query = Query::parse(ctx, 3, Form { by: None, reverse: None, stores: true })?;
    let limits = &ctx.db.settings.limits;
    let mut result = ZSet::new();
    if let Some(zset) = ctx.db.read_as::<ZSet>(ctx.key(2))? {
        let (start, count) = query.select(&zset);
        // The members are stored in their own order; downwards, `start` is the last of them.
        let lowest = if query.reverse { (start + 1).saturating_sub(count) } else { start };
        if count > limits.zset_max_listpack_entries {
            result = ZSet::new_large();
        }
        for (member, score) in zset.iter_from(lowest).take(count) {
            member.with(|member| result.insert(member, score, limits));
        }
    }
    super::store(ctx, ctx.key(1), result, "zrangestore");
    Ok(())
}

fn count(ctx: &mut Ctx<'_>, by: By) -> Result<(), Fail> {
    let bounds = Bounds::parse(by, ctx.args.at(2), ctx.args.at(3))?;
    let key = ctx.key(1);
    let count =
        collections::read(&mut ctx.db, key, |zset: Option<&ZSet>| zset.map_or(0, |zset| bounds.ranks(zset).count()))?;
    ctx.reply.int(count as i64);
    Ok(())
}

pub(super) fn zcount(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    count(ctx, By::Score)
}

pub(super) fn zlexcount(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    count(ctx, By::Lex)
}

fn remove(ctx: &mut Ctx<'_>, by: By, event: &'static str) -> Result<(), Fail> {
    let bounds = Bounds::parse(by, ctx.args.at(2), ctx.args.at(3))?;
    let key = ctx.key(1);
    let (mut removed, mut emptied) = (0, false);
    if let Some(mut zset) = ctx.db.write_as::<ZSet>(key)? {
        let ranks = bounds.ranks(&zset);
        removed = ranks.count();
        zset.remove_range(ranks.start, removed);
        emptied = zset.is_empty();
    }
    super::removed(ctx, key, removed, emptied, event);
    ctx.reply.int(removed as i64);
    Ok(())
}

pub(super) fn zremrangebyrank(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    remove(ctx, By::Rank, "zremrangebyrank")
}

pub(super) fn zremrangebyscore(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    remove(ctx, By::Score, "zremrangebyscore")
}

pub(super) fn zremrangebylex(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    remove(ctx, By::Lex, "zremrangebylex")
}
