//! XDEL, XDELEX and XACKDEL.

use rivulet_keyspace::value::stream::{Id, Name};
use rivulet_keyspace::{Key, Stream};
use rivulet_resp::OwnedArgs;

use super::ids;
use super::references::{self, References};
use crate::collections;
use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::{Fail, SYNTAX};

pub(super) fn xdel(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, args) = (ctx.key(1), ctx.args);
    let deleted = collections::write(&mut ctx.db, key, |stream: Option<&mut Stream>| {
        let Some(stream) = stream else { return Ok(0) };
        // All of them are read before anything is deleted.
        let ids = ids::all(args, 2)?;
        Ok::<_, Fail>(ids.into_iter().filter(|id| stream.remove(*id)).count())
    })??;
    noted(ctx, key, deleted);
    ctx.reply.int(deleted as i64);
    Ok(())
}

fn noted(ctx: &mut Ctx<'_>, key: Key<'_>, deleted: usize) {
    if deleted > 0 {
        ctx.db.changed(key.bytes, class::STREAM, "xdel");
        ctx.db.dirty(deleted as u64);
    }
}

/// `[KEEPREF | DELREF | ACKED] IDS numids id …` in either order, from argument `at` on.
fn parse(ctx: &Ctx<'_>, mut at: usize) -> Result<(References, Vec<Id>), Fail> {
    let (mut policy, mut ids) = (None, None);
    while at < ctx.args.len() {
        if let Some(found) = References::parse(ctx, at) {
            if policy.replace(found).is_some() {
                return Err(SYNTAX);
            }
            at += 1;
        } else if ctx.args.is(at, "ids") && at + 1 < ctx.args.len() && ids.is_none() {
            const NOT_POSITIVE: Fail = Fail::new("ERR Number of IDs must be a positive integer");
            const OTHER_COUNT: Fail = Fail::new("ERR The `numids` parameter must match the number of arguments");
            let count = ctx.int(at + 1).ok().and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
            let count = count.ok_or(NOT_POSITIVE)?;
            let end = (at + 2).checked_add(count).filter(|&end| end <= ctx.args.len()).ok_or(OTHER_COUNT)?;
            ids = Some((at + 2..end).map(|i| ids::strict(ctx.args.at(i), 0)).collect::<Result<Vec<_>, _>>()?);
            at = end;
        } else {
            return Err(SYNTAX);
        }
    }
    Ok((policy.unwrap_or_default(), ids.ok_or(SYNTAX)?))
}

/// What became of an entry, as the reply tells it.
const NOT_FOUND: i64 = -1;
const DELETED: i64 = 1;
const STILL_REFERENCED: i64 = 2;

/// What a deletion did.
#[derive(Default)]
struct Outcome {
    results: Vec<i64>,
    deleted: Vec<Id>,
    /// What went from the groups' pending entries.
    acknowledged: Vec<(Name, Vec<Id>)>,
}

impl Outcome {
    /// Deletes one entry as the policy says.
    fn delete(&mut self, stream: &mut Stream, id: Id, policy: References) -> i64 {
        if policy == References::Delete {
            for (name, ids) in references::drop_all(stream, &[id]) {
                match self.acknowledged.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => known.extend(ids),
                    None => self.acknowledged.push((name, ids)),
                }
            }
        }
        if policy == References::Acknowledged && stream.entries().contains(id) && references::is_referenced(stream, id)
        {
            return STILL_REFERENCED;
        }
        if !stream.remove(id) {
            return NOT_FOUND;
        }
        self.deleted.push(id);
        DELETED
    }

    /// Replies, and tells the replicas in words that all of them know.
    fn finish(self, ctx: &mut Ctx<'_>, key: Key<'_>) {
        ctx.reply.array(self.results.len());
        self.results.iter().for_each(|result| ctx.reply.int(*result));
        let acknowledged = self.acknowledged.iter();
        let mut commands: Vec<OwnedArgs> =
            acknowledged.map(|(group, ids)| references::acknowledgement(key.bytes, group.as_bytes(), ids)).collect();
        commands.extend(references::deletion(key.bytes, &self.deleted));
        let acknowledged: usize = self.acknowledged.iter().map(|(_, ids)| ids.len()).sum();
        noted(ctx, key, self.deleted.len());
        ctx.db.dirty(acknowledged as u64);
        ctx.propagate_all(commands);
    }
}

pub(super) fn xdelex(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (policy, ids) = parse(ctx, 2)?;
    let key = ctx.key(1);
    let outcome = collections::write(&mut ctx.db, key, |stream: Option<&mut Stream>| {
        let mut outcome = Outcome::default();
        let Some(stream) = stream else {
            outcome.results = vec![NOT_FOUND; ids.len()];
            return outcome;
        };
        for id in ids {
            let result = outcome.delete(stream, id, policy);
            outcome.results.push(result);
        }
        outcome
    })?;
    outcome.finish(ctx, key);
    Ok(())
}

pub(super) fn xackdel(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (policy, ids) = parse(ctx, 3)?;
    let (key, group) = (ctx.key(1), Name::new(ctx.args.at(2)));
    let outcome = collections::write(&mut ctx.db, key, |stream: Option<&mut Stream>| {
        let mut outcome = Outcome { results: vec![NOT_FOUND; ids.len()], ..Outcome::default() };
        let Some(stream) = stream.filter(|stream| stream.group(&group).is_some()) else { return outcome };
        let mut acknowledged = Vec::new();
        for (i, &id) in ids.iter().enumerate() {
            if stream.change_group(&group, |group, _| group.acknowledge(id)) == Some(true) {
                acknowledged.push(id);
                // What was acknowledged counts as deleted when there was nothing left to delete.
                let result = outcome.delete(stream, id, policy);
                outcome.results[i] = if result == STILL_REFERENCED { result } else { DELETED };
            }
        }
        if !acknowledged.is_empty() {
            outcome.acknowledged.insert(0, (group, acknowledged));
        }
        outcome
    })?;
    outcome.finish(ctx, key);
    Ok(())
}
