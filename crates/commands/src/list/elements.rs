//! Elements by index and by value.

use rivulet_keyspace::List;
use rivulet_keyspace::value::Elem;
use rivulet_keyspace::value::elem::parse_int;
use rivulet_resp::Reply;

use crate::collections;
use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::{Fail, NO_SUCH_KEY, OUT_OF_RANGE, SYNTAX};

/// The place that an index means, which counts from the end when it is negative.
fn place(index: i64, len: usize) -> Option<usize> {
    let place = if index < 0 { index.checked_add(len as i64)? } else { index };
    usize::try_from(place).ok().filter(|&place| place < len)
}

/// First place and count of the elements that `start` and `stop` mean.
fn range(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let len = len as i64;
    let from_end = |index: i64| if index < 0 { index + len } else { index };
    let (start, stop) = (from_end(start).max(0), from_end(stop).min(len - 1));
    if start > stop { (0, 0) } else { (start as usize, (stop - start) as usize + 1) }
}

/// A value to compare elements with: lists hold as an integer what looks like one.
fn needle(value: &[u8]) -> Elem<'_> {
    parse_int(value).map_or(Elem::Bytes(value), Elem::Int)
}

#[inline]
fn is_same(elem: Elem<'_>, needle: Elem<'_>) -> bool {
    match (elem, needle) {
        (Elem::Int(a), Elem::Int(b)) => a == b,
        (Elem::Bytes(a), Elem::Bytes(b)) => a == b,
        _ => false,
    }
}

fn reply_elem(reply: &mut Reply<'_>, elem: Elem<'_>) {
    elem.with(|text| reply.bulk(text));
}

pub(super) fn llen(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(1);
    let len = collections::read(&mut ctx.db, key, |list: Option<&List>| list.map_or(0, List::len))?;
    ctx.reply.int(len as i64);
    Ok(())
}

pub(super) fn lindex(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, index) = (ctx.key(1), ctx.int(2));
    let reply = &mut ctx.reply;
    collections::read(&mut ctx.db, key, |list: Option<&List>| {
        // The index is looked at only when there is a list.
        let Some(list) = list else {
            reply.null();
            return Ok(());
        };
        match place(index?, list.len()).and_then(|place| list.get(place)) {
            Some(elem) => reply_elem(reply, elem),
            None => reply.null(),
        }
        Ok(())
    })?
}

pub(super) fn lrange(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (start, stop) = (ctx.int(2)?, ctx.int(3)?);
    let key = ctx.key(1);
    let reply = &mut ctx.reply;
    collections::read(&mut ctx.db, key, |list: Option<&List>| {
        let (start, count) = range(start, stop, list.map_or(0, List::len));
        reply.array(count);
        if let Some(list) = list
            && count > 0
        {
            list.iter_from(start).take(count).for_each(|elem| reply_elem(reply, elem));
        }
    })
}

/// What LPOS asks for besides the value.
struct Search {
    /// Matches to pass over.
    skip: u64,
    backwards: bool,
    /// Matches to answer, as an array; without it one is answered.
    count: Option<usize>,
    /// Elements to look at.
    most: usize,
}

impl Search {
    fn parse(ctx: &Ctx<'_>) -> Result<Search, Fail> {
        let args = ctx.args;
        let mut search = Search { skip: 0, backwards: false, count: None, most: usize::MAX };
        let natural = |i: usize| ctx.int(i).ok().and_then(|n| usize::try_from(n).ok());
        let or_all = |n: usize| if n == 0 { usize::MAX } else { n };
        let mut i = 3;
        while i < args.len() {
            if i + 1 == args.len() {
                return Err(SYNTAX);
            }
            if args.is(i, "rank") {
                let rank = ctx.int(i + 1)?;
                if rank == 0 {
                    return Err(Fail::new(
                        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
                         or use negative to start from the end of the list",
                    ));
                }
                search.skip = rank.unsigned_abs() - 1;
                search.backwards = rank < 0;
            } else if args.is(i, "count") {
                let count = natural(i + 1).ok_or(Fail::new("ERR COUNT can't be negative"))?;
                search.count = Some(or_all(count));
            } else if args.is(i, "maxlen") {
                let most = natural(i + 1).ok_or(Fail::new("ERR MAXLEN can't be negative"))?;
                search.most = or_all(most);
            } else {
                return Err(SYNTAX);
            }
            i += 2;
        }
        Ok(search)
    }

    /// Gives the places of matches, in the order of the search.
    fn run(&self, list: &List, value: &[u8], each: impl FnMut(usize)) {
        let needle = needle(value);
        let skip = usize::try_from(self.skip).unwrap_or(usize::MAX);
        let count = self.count.unwrap_or(1);
        let matches = |&(_, elem): &(usize, Elem<'_>)| is_same(elem, needle);
        let len = list.len();
        if self.backwards {
            let all = list.iter_rev_from(len - 1).enumerate().take(self.most);
            all.filter(matches).skip(skip).take(count).map(|(i, _)| len - 1 - i).for_each(each);
        } else {
            let all = list.iter().enumerate().take(self.most);
            all.filter(matches).skip(skip).take(count).map(|(i, _)| i).for_each(each);
        }
    }
}

pub(super) fn lpos(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let search = Search::parse(ctx)?;
    let (key, value) = (ctx.key(1), ctx.args.at(2));
    let places = collections::read(&mut ctx.db, key, |list: Option<&List>| {
        let mut places = Vec::new();
        if let Some(list) = list {
            search.run(list, value, |place| places.push(place));
        }
        places
    })?;
    match (search.count, places.first()) {
        (Some(_), _) => {
            ctx.reply.array(places.len());
            places.iter().for_each(|&place| ctx.reply.int(place as i64));
        }
        (None, Some(&place)) => ctx.reply.int(place as i64),
        (None, None) => ctx.reply.null(),
    }
    Ok(())
}

pub(super) fn lset(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, index, value) = (ctx.key(1), ctx.int(2), ctx.args.at(3));
    let limits = &ctx.db.settings.limits;
    collections::write(&mut ctx.db, key, |list: Option<&mut List>| {
        let list = list.ok_or(NO_SUCH_KEY)?;
        let place = place(index?, list.len()).ok_or(OUT_OF_RANGE)?;
        list.set(place, value, limits);
        Ok(())
    })??;
    ctx.db.changed(key.bytes, class::LIST, "lset");
    ctx.db.dirty(1);
    ctx.reply.ok();
    Ok(())
}

pub(super) fn linsert(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, pivot, value) = (ctx.key(1), needle(ctx.args.at(3)), ctx.args.at(4));
    let behind = match () {
        () if ctx.args.is(2, "after") => 1,
        () if ctx.args.is(2, "before") => 0,
        () => return Err(SYNTAX),
    };
    let limits = &ctx.db.settings.limits;
    let found = collections::write(&mut ctx.db, key, |list: Option<&mut List>| {
        let list = list?;
        let place = list.iter().position(|elem| is_same(elem, pivot));
        if let Some(place) = place {
            list.insert(place + behind, value, limits);
        }
        Some(place.map(|_| list.len()))
    })?;
    match found {
        None => ctx.reply.int(0),
        Some(None) => ctx.reply.int(-1),
        Some(Some(len)) => {
            ctx.db.changed(key.bytes, class::LIST, "linsert");
            ctx.db.dirty(1);
            ctx.reply.int(len as i64);
        }
    }
    Ok(())
}

pub(super) fn lrem(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let count = ctx.int(2)?;
    let (key, value) = (ctx.key(1), ctx.args.at(3));
    let (removed, emptied) = collections::write(&mut ctx.db, key, |list: Option<&mut List>| match list {
        Some(list) => (list.retain_remove(value, count), list.is_empty()),
        None => (0, false),
    })?;
    collections::removed(ctx, key, removed, emptied, class::LIST, "lrem");
    ctx.reply.int(removed as i64);
    Ok(())
}

pub(super) fn ltrim(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (start, stop) = (ctx.int(2)?, ctx.int(3)?);
    let key = ctx.key(1);
    let trimmed = collections::write(&mut ctx.db, key, |list: Option<&mut List>| {
        let list = list?;
        let len = list.len();
        let (start, count) = range(start, stop, len);
        list.remove_range(start + count, len);
        list.remove_range(0, start);
        Some((len - count, count == 0))
    })?;
    if let Some((removed, emptied)) = trimmed {
        // The event comes even when nothing was cut off.
        ctx.db.dirty(removed as u64);
        ctx.db.changed(key.bytes, class::LIST, "ltrim");
        if emptied {
            ctx.db.delete(key, false);
            ctx.db.notify(class::GENERIC, "del", key.bytes);
        }
    }
    ctx.reply.ok();
    Ok(())
}
