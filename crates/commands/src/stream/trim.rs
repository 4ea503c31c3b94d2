//! Trimming: the options of XADD and XTRIM, and what goes for them.

use rivulet_keyspace::Stream;
use rivulet_keyspace::value::stream::{Id, Name, Removed};
use rivulet_resp::OwnedArgs;

use super::ids;
use super::references::{self, References};
use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::{Fail, SYNTAX};

/// What trimming keeps.
#[derive(Clone, Copy)]
enum Keeps {
    /// So many entries.
    Newest(u64),
    /// Those from an id on.
    From(Id),
}

/// How a stream is trimmed.
#[derive(Clone, Copy)]
pub(super) struct Trim {
    keeps: Keeps,
    /// Only whole nodes go.
    approximate: bool,
    /// About so many entries go at most; 0 is no limit.
    limit: usize,
    references: References,
}

/// What was found of the options.
#[derive(Default)]
pub(super) struct Options {
    keeps: Option<Keeps>,
    approximate: bool,
    limit: Option<usize>,
    references: Option<References>,
}

impl Options {
    /// Takes the option that begins at argument `at`, if it is one of trimming; answers where the next one begins.
    pub fn take(&mut self, ctx: &Ctx<'_>, at: usize) -> Result<Option<usize>, Fail> {
        let more = ctx.args.len() - 1 - at;
        let by_len = ctx.args.is(at, "maxlen");
        if more > 0 && (by_len || ctx.args.is(at, "minid")) {
            return self.take_threshold(ctx, at, by_len).map(Some);
        }
        if more > 0 && ctx.args.is(at, "limit") {
            const NEGATIVE: Fail = Fail::new("ERR The LIMIT argument must be >= 0.");
            self.limit = Some(usize::try_from(ctx.int(at + 1)?).map_err(|_| NEGATIVE)?);
            return Ok(Some(at + 2));
        }
        let Some(references) = References::parse(ctx, at) else { return Ok(None) };
        if self.references.replace(references).is_some() {
            return Err(SYNTAX);
        }
        Ok(Some(at + 1))
    }

    fn take_threshold(&mut self, ctx: &Ctx<'_>, at: usize, by_len: bool) -> Result<usize, Fail> {
        if self.keeps.is_some() {
            return Err(Fail::new("ERR syntax error, MAXLEN and MINID options at the same time are not compatible"));
        }
        let operator = ctx.args.at(at + 1);
        let has_operator = at + 2 < ctx.args.len() && matches!(operator, b"~" | b"=");
        self.approximate = has_operator && operator == b"~";
        let threshold = at + 1 + usize::from(has_operator);
        self.keeps = Some(if by_len {
            const NEGATIVE: Fail = Fail::new("ERR The MAXLEN argument must be >= 0.");
            Keeps::Newest(u64::try_from(ctx.int(threshold)?).map_err(|_| NEGATIVE)?)
        } else {
            Keeps::From(ids::strict(ctx.args.at(threshold), 0)?)
        });
        Ok(threshold + 1)
    }

    /// How to trim, if at all.
    pub fn finish(self, ctx: &Ctx<'_>) -> Result<Option<Trim>, Fail> {
        let Some(keeps) = self.keeps else {
            let limits = self.limit.is_some_and(|limit| limit > 0);
            const ALONE: Fail =
                Fail::new("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
            return if limits { Err(ALONE) } else { Ok(None) };
        };
        let limit = match self.limit {
            // What a master sends is exact.
            _ if ctx.db.call.from_master => 0,
            Some(_) if !self.approximate => {
                return Err(Fail::new("ERR syntax error, LIMIT cannot be used without the special ~ option"));
            }
            Some(limit) => limit,
            None if self.approximate => limit_by_default(ctx.db.settings.limits.stream_node_max_entries),
            None => 0,
        };
        let references = self.references.unwrap_or_default();
        Ok(Some(Trim { keeps, approximate: self.approximate, limit, references }))
    }
}

/// Approximate trimming takes a hundred full nodes at most, so that it ends soon.
fn limit_by_default(node_entries: usize) -> usize {
    match node_entries.saturating_mul(100) {
        0 => 10_000,
        limit => limit.min(1_000_000),
    }
}

/// What trimming did.
pub(super) struct Trimmed {
    pub count: usize,
    removed: Option<Removed>,
    /// Strategy and threshold of the exact trimming that leaves the same, if there is one.
    pub exact: Option<[Vec<u8>; 2]>,
    /// What replicas are told beside that, in words that all know.
    pub commands: Vec<OwnedArgs>,
}

impl Trim {
    /// How many entries at the front are to go.
    fn count(&self, stream: &Stream) -> usize {
        let limit = if self.limit == 0 { usize::MAX } else { self.limit };
        match self.keeps {
            Keeps::Newest(len) => {
                let excess = stream.len().saturating_sub(usize::try_from(len).unwrap_or(usize::MAX));
                if self.approximate { stream.whole_nodes_by_len(excess.min(limit)) } else { excess }
            }
            Keeps::From(id) if self.approximate => match stream.whole_nodes_below(id) {
                count if count > limit => stream.whole_nodes_by_len(limit),
                count => count,
            },
            Keeps::From(id) => stream.entries().count_below(id),
        }
    }

    /// Trims a stream.
    pub fn apply(&self, stream: &mut Stream, key: &[u8]) -> Trimmed {
        let count = self.count(stream);
        if count == 0 {
            return Trimmed { count, removed: None, exact: None, commands: Vec::new() };
        }
        if self.references == References::Keep {
            let removed = Some(stream.remove_first(count));
            return Trimmed { count, removed, exact: Some(self.exact(stream)), commands: Vec::new() };
        }
        let gone: Vec<Id> = stream.entries().range(Id::MIN, Id::MAX).take(count).map(|entry| entry.id).collect();
        if self.references == References::Acknowledged {
            let gone: Vec<Id> = gone.into_iter().filter(|id| !references::is_referenced(stream, *id)).collect();
            gone.iter().for_each(|id| _ = stream.remove(*id));
            let commands = references::deletion(key, &gone).into_iter().collect();
            return Trimmed { count: gone.len(), removed: None, exact: None, commands };
        }
        let removed = Some(stream.remove_first(count));
        let acknowledged: Vec<(Name, Vec<Id>)> = references::drop_all(stream, &gone);
        let acknowledged = acknowledged.iter();
        let commands =
            acknowledged.map(|(group, ids)| references::acknowledgement(key, group.as_bytes(), ids)).collect();
        Trimmed { count, removed, exact: Some(self.exact(stream)), commands }
    }

    /// Whether replicas do the same when they get the command as it came.
    pub fn is_exact(&self) -> bool {
        !self.approximate && self.references == References::Keep
    }

    /// The trimming that leaves what is there now.
    fn exact(&self, stream: &Stream) -> [Vec<u8>; 2] {
        match self.keeps {
            Keeps::Newest(_) => [b"MAXLEN".to_vec(), stream.len().to_string().into_bytes()],
            Keeps::From(_) => [b"MINID".to_vec(), ids::text(stream.first_id().unwrap_or(Id::MAX))],
        }
    }
}

impl Trimmed {
    /// What follows: the event, and what is freed.
    pub fn settle(&mut self, ctx: &mut Ctx<'_>, key: &[u8]) {
        if self.count > 0 {
            ctx.db.notify(class::STREAM, "xtrim", key);
        }
        if let Some(removed) = self.removed.take() {
            ctx.db.effects.free_part(removed);
        }
    }
}

pub(super) fn xtrim(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (mut options, mut at) = (Options::default(), 2);
    while at < ctx.args.len() {
        at = options.take(ctx, at)?.ok_or(SYNTAX)?;
    }
    const NO_STRATEGY: Fail = Fail::new("ERR syntax error, XTRIM must be called with a trimming strategy");
    let trim = options.finish(ctx)?.ok_or(NO_STRATEGY)?;
    let key = ctx.key(1);
    let trimmed = crate::collections::write(&mut ctx.db, key, |stream: Option<&mut Stream>| {
        stream.map(|stream| trim.apply(stream, key.bytes))
    })?;
    let Some(mut trimmed) = trimmed.filter(|trimmed| trimmed.count > 0) else {
        ctx.reply.int(0);
        return Ok(());
    };
    trimmed.settle(ctx, key.bytes);
    ctx.db.touch(key.bytes);
    ctx.db.dirty(trimmed.count as u64);
    if !trim.is_exact() {
        let mut commands = std::mem::take(&mut trimmed.commands);
        if let Some([strategy, threshold]) = &trimmed.exact {
            commands.insert(0, OwnedArgs::from_slices(&[b"XTRIM", key.bytes, strategy, b"=", threshold]));
        }
        ctx.propagate_all(commands);
    }
    ctx.reply.int(trimmed.count as i64);
    Ok(())
}
