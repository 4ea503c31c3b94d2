//! ZCARD, ZSCORE, ZMSCORE, ZRANK, ZREVRANK, ZRANDMEMBER and ZSCAN.

use rivulet_keyspace::value::{Elem, ZSet};
use rivulet_resp::{Reply, double};

use crate::collections;
use crate::ctx::Ctx;
use crate::fail::{Fail, SYNTAX};
use crate::generic::scan::parse_cursor;
use crate::sample::{self, RandomCount};
use crate::scan_page::ScanPage;

pub(super) fn zcard(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(1);
    let len = collections::read(&mut ctx.db, key, |zset: Option<&ZSet>| zset.map_or(0, ZSet::len))?;
    ctx.reply.int(len as i64);
    Ok(())
}

pub(super) fn zscore(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, member) = (ctx.key(1), ctx.args.at(2));
    let score = collections::read(&mut ctx.db, key, |zset: Option<&ZSet>| zset?.score(member))?;
    reply_score(&mut ctx.reply, score);
    Ok(())
}

pub(super) fn zmscore(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let zset = ctx.db.read_as::<ZSet>(ctx.key(1))?;
    ctx.reply.array(ctx.args.len() - 2);
    for member in ctx.args.iter().skip(2) {
        reply_score(&mut ctx.reply, zset.as_ref().and_then(|zset| zset.score(member)));
    }
    Ok(())
}

fn reply_score(reply: &mut Reply<'_>, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

pub(super) fn zrank(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    rank(ctx, |rank, _| rank)
}

pub(super) fn zrevrank(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    rank(ctx, |rank, len| len - 1 - rank)
}

fn rank(ctx: &mut Ctx<'_>, counted: fn(usize, usize) -> usize) -> Result<(), Fail> {
    let with_score = match ctx.args.len() {
        3 => false,
        4 if ctx.args.is(3, "withscore") => true,
        4 => return Err(SYNTAX),
        _ => return Err(Fail::arity(if ctx.args.is(0, "zrank") { "zrank" } else { "zrevrank" })),
    };
    let (key, member) = (ctx.key(1), ctx.args.at(2));
    let found = collections::read(&mut ctx.db, key, |zset: Option<&ZSet>| {
        let zset = zset?;
        let rank = counted(zset.rank(member)?, zset.len());
        Some((rank, if with_score { zset.score(member)? } else { 0.0 }))
    })?;
    match found {
        Some((rank, score)) => {
            if with_score {
                ctx.reply.array(2);
            }
            ctx.reply.int(rank as i64);
            if with_score {
                ctx.reply.double(score);
            }
        }
        None if with_score => ctx.reply.null_array(),
        None => ctx.reply.null(),
    }
    Ok(())
}

pub(super) fn zrandmember(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let mut rng = ctx.db.rng.fork();
    let key = ctx.key(1);
    if ctx.args.len() == 2 {
        return match ctx.db.read_as::<ZSet>(key)? {
            Some(zset) => {
                let chosen = zset.nth(rng.usize(..zset.len()));
                chosen.into_iter().for_each(|(member, _)| member.with(|member| ctx.reply.bulk(member)));
                Ok(())
            }
            None => {
                ctx.reply.null();
                Ok(())
            }
        };
    }
    let (count, with_scores) = RandomCount::parse(ctx, "withscores")?;
    let Some(zset) = ctx.db.read_as::<ZSet>(key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let mut reply = MemberReply::begin(&mut ctx.reply, count.answered(zset.len()), with_scores);
    match count {
        RandomCount::Distinct(count) if count >= zset.len() => zset.iter().for_each(|item| reply.push(item)),
        RandomCount::Distinct(count) => {
            let ranks = sample::distinct_ranks(&mut rng, zset.len(), count);
            if zset.packed().is_some() || sample::is_dense(zset.len(), count) {
                sample::at_ranks(zset.iter(), &ranks).for_each(|item| reply.push(item));
            } else {
                ranks.iter().filter_map(|&rank| zset.nth(rank)).for_each(|item| reply.push(item));
            }
        }
        RandomCount::Repeating(count) if zset.packed().is_some() => {
            // A listpack is gone through once, not once for each.
            let items: Vec<(Elem<'_>, f64)> = zset.iter().collect();
            (0..count).for_each(|_| reply.push(items[rng.usize(..items.len())]));
        }
        RandomCount::Repeating(count) => {
            (0..count).filter_map(|_| zset.nth(rng.usize(..zset.len()))).for_each(|item| reply.push(item));
        }
    }
    Ok(())
}

/// An array of members, with scores on demand: flat in RESP2, pairs in RESP3.
pub(super) struct MemberReply<'r, 'a> {
    reply: &'r mut Reply<'a>,
    with_scores: bool,
}

impl<'r, 'a> MemberReply<'r, 'a> {
    pub fn begin(reply: &'r mut Reply<'a>, len: usize, with_scores: bool) -> Self {
        reply.array(if with_scores && !reply.is_resp3() { len * 2 } else { len });
        MemberReply { reply, with_scores }
    }

    #[inline]
    pub fn push(&mut self, (member, score): (Elem<'_>, f64)) {
        if self.with_scores && self.reply.is_resp3() {
            self.reply.array(2);
        }
        member.with(|member| self.reply.bulk(member));
        if self.with_scores {
            self.reply.double(score);
        }
    }
}

pub(super) fn zscan(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let cursor = parse_cursor(ctx.args.at(2))?;
    let Some(zset) = ctx.db.read_as::<ZSet>(ctx.key(1))? else {
        ScanPage::reply_missing(&mut ctx.reply);
        return Ok(());
    };
    let mut page = ScanPage::new(ctx.args)?;
    let next = match zset.packed() {
        Some(pack) => {
            // Integers as they are stored: large ones have all their digits here.
            let mut elems = pack.iter();
            while let (Some(member), Some(score)) = (elems.next(), elems.next()) {
                page.push_pair(member, |page| match score {
                    Elem::Int(_) => score.with(|score| page.push(score)),
                    Elem::Bytes(text) => match double::parse(text) {
                        Some(score) => page.push(double::format(score).as_bytes()),
                        None => page.push(text),
                    },
                });
            }
            0
        }
        None => zset.scan(cursor, page.options.count, |member, score| {
            page.push_pair(member, |page| page.push(double::format(score).as_bytes()));
        }),
    };
    page.reply(&mut ctx.reply, next);
    Ok(())
}
