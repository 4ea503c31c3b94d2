//! ZADD, ZINCRBY and ZREM.

use rivulet_keyspace::value::{Limits, ZSet};

use crate::collections;
use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::{Fail, SYNTAX};

/// Which members ZADD changes, and what it answers.
#[derive(Clone, Copy, Default)]
pub(crate) struct Options {
    pub if_absent: bool,
    pub if_present: bool,
    pub if_greater: bool,
    pub if_less: bool,
    /// The score is added to the present one, and the new one is answered.
    pub increment: bool,
    /// Changed members count in the answer, not only new ones.
    pub count_changed: bool,
}

impl Options {
    /// Parses the options from argument 2 on; answers where the pairs begin.
    fn parse(&mut self, ctx: &Ctx<'_>) -> usize {
        let mut i = 2;
        while let Some(word) = ctx.args.get(i) {
            // Nearly always the first score stands here.
            let option = match word.len() {
                2 if word.eq_ignore_ascii_case(b"nx") => &mut self.if_absent,
                2 if word.eq_ignore_ascii_case(b"xx") => &mut self.if_present,
                2 if word.eq_ignore_ascii_case(b"gt") => &mut self.if_greater,
                2 if word.eq_ignore_ascii_case(b"lt") => &mut self.if_less,
                2 if word.eq_ignore_ascii_case(b"ch") => &mut self.count_changed,
                4 if word.eq_ignore_ascii_case(b"incr") => &mut self.increment,
                _ => break,
            };
            *option = true;
            i += 1;
        }
        i
    }

    fn check(&self, pairs: usize) -> Result<(), Fail> {
        if self.if_absent && self.if_present {
            return Err(Fail::new("ERR XX and NX options at the same time are not compatible"));
        }
        if [self.if_greater, self.if_less, self.if_absent].into_iter().filter(|&option| option).count() > 1 {
            return Err(Fail::new("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if self.increment && pairs > 1 {
            return Err(Fail::new("ERR INCR option supports a single increment-element pair"));
        }
        Ok(())
    }

    /// Whether every member simply gets its score.
    fn is_plain(&self) -> bool {
        !(self.if_absent || self.if_present || self.if_greater || self.if_less || self.increment)
    }
}

/// What became of one member.
enum Outcome {
    Added(f64),
    Updated(f64),
    /// It had this score already.
    Same(f64),
    /// An option forbade it.
    Skipped,
}

pub(super) fn zadd(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    add(ctx, Options::default())
}

pub(super) fn zincrby(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    add(ctx, Options { increment: true, ..Options::default() })
}

fn add(ctx: &mut Ctx<'_>, mut options: Options) -> Result<(), Fail> {
    let first = options.parse(ctx);
    let args = ctx.args;
    let words = args.len() - first;
    if words == 0 || !words.is_multiple_of(2) {
        return Err(SYNTAX);
    }
    let pairs = words / 2;
    options.check(pairs)?;
    // All scores are valid, or nothing is done.
    let (one, many);
    let scores: &[f64] = if pairs == 1 {
        one = [ctx.float(first)?];
        &one
    } else {
        many = (0..pairs).map(|i| ctx.float(first + 2 * i)).collect::<Result<Vec<_>, _>>()?;
        &many
    };

    add_scores(ctx, options, scores, |i| args.at(first + 2 * i + 1))
}

/// Gives the `i`th score to what `member` says is the `i`th member, in the sorted set at argument 1, and answers.
#[inline]
pub(crate) fn add_scores<'a>(
    ctx: &mut Ctx<'_>,
    options: Options,
    scores: &[f64],
    member: impl Fn(usize) -> &'a [u8],
) -> Result<(), Fail> {
    let key = ctx.key(1);
    let limits = &ctx.db.settings.limits;
    let (mut added, mut updated) = (0, 0);
    let mut result = None;
    let mut set_all = |zset: &mut ZSet| {
        for (i, &score) in scores.iter().enumerate() {
            let outcome = set_score(zset, member(i), score, options, limits)?;
            added += u64::from(matches!(outcome, Outcome::Added(_)));
            updated += u64::from(matches!(outcome, Outcome::Updated(_)));
            result = match outcome {
                Outcome::Added(score) | Outcome::Updated(score) | Outcome::Same(score) => Some(score),
                Outcome::Skipped => None,
            };
        }
        Ok(())
    };
    if options.if_present {
        collections::write(&mut ctx.db, key, |zset| zset.map_or(Ok(()), set_all))??;
    } else {
        collections::write_or_create(&mut ctx.db, key, &mut set_all)?;
    }
    if added + updated > 0 {
        ctx.db.dirty(added + updated);
        ctx.db.changed(key.bytes, class::ZSET, if options.increment { "zincr" } else { "zadd" });
    }
    match result {
        Some(score) if options.increment => ctx.reply.double(score),
        None if options.increment => ctx.reply.null(),
        _ => ctx.reply.int(if options.count_changed { added + updated } else { added } as i64),
    }
    Ok(())
}

fn set_score(zset: &mut ZSet, member: &[u8], score: f64, options: Options, limits: &Limits) -> Result<Outcome, Fail> {
    if options.is_plain() {
        return Ok(match zset.insert(member, score, limits) {
            None => Outcome::Added(score),
            Some(old) if old == score => Outcome::Same(score),
            Some(_) => Outcome::Updated(score),
        });
    }
    let Some(old) = zset.score(member) else {
        if options.if_present {
            return Ok(Outcome::Skipped);
        }
        zset.insert(member, score, limits);
        return Ok(Outcome::Added(score));
    };
    if options.if_absent {
        return Ok(Outcome::Skipped);
    }
    let score = if options.increment { old + score } else { score };
    if score.is_nan() {
        return Err(Fail::new("ERR resulting score is not a number (NaN)"));
    }
    if (options.if_less && score >= old) || (options.if_greater && score <= old) {
        return Ok(Outcome::Skipped);
    }
    if score == old {
        return Ok(Outcome::Same(score));
    }
    zset.insert(member, score, limits);
    Ok(Outcome::Updated(score))
}

pub(super) fn zrem(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(1);
    let (removed, emptied) = collections::write(&mut ctx.db, key, |zset: Option<&mut ZSet>| {
        let Some(zset) = zset else { return (0, false) };
        let mut removed = 0;
        for member in ctx.args.iter().skip(2) {
            removed += usize::from(zset.remove(member).is_some());
            if zset.is_empty() {
                break;
            }
        }
        (removed, zset.is_empty())
    })?;
    super::removed(ctx, key, removed, emptied, "zrem");
    ctx.reply.int(removed as i64);
    Ok(())
}
