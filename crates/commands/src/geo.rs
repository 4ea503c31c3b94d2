//! Commands on places: sorted sets whose scores are cells of the map.
//!
//! The rows and the commands on single members are here. Under `geo/`: `cell` (a place as a score and back), `distance`, `area` (which cells a
//! search covers), `partial_sort` and `search`.

mod area;
mod cell;
mod distance;
mod partial_sort;
mod search;

use rivulet_keyspace::value::ZSet;
use rivulet_resp::{Args, Reply};

use crate::collections;
use crate::ctx::Ctx;
use crate::fail::{Fail, SYNTAX};
use crate::parse;
use crate::spec::{Begin, Command, Find, Group, Handler, KeySpec, acl, flag::*, key};
use crate::zset;

use cell::{Cell, LATITUDE_MAX, LONGITUDE_MAX, Point, STEP_MAX};

const fn row(name: &'static str, arity: i32, flags: u32, run: fn(&mut Ctx<'_>) -> Result<(), Fail>) -> Command {
    Command::new(name, arity, flags, Group::Geo, Handler::Data(run)).acl(acl::GEO)
}

const fn at(index: i32, flags: u32) -> KeySpec {
    KeySpec::new(flags, Begin::Index(index), ONE)
}

const fn after(word: &'static str, from: i32) -> KeySpec {
    KeySpec::new(key::OW | key::UPDATE, Begin::Keyword(word, from), ONE)
}

const ONE: Find = Find::Range { last: 0, step: 1, limit: 0 };
const KEY_READ: &[KeySpec] = &[at(1, key::RO | key::ACCESS)];
const SEARCH: &str = "O(N+log(M)) for N members in the cells that the area touches, M in the sorted set";

pub const COMMANDS: &[Command] = &[
    row("geoadd", -5, WRITE | DENYOOM, geoadd)
        .since("3.2.0")
        .complexity("O(log(N)) a member")
        .summary("Adds members at places, or moves those that are there")
        .keys(&[at(1, key::RW | key::UPDATE)]),
    row("geodist", -4, READONLY, geodist)
        .since("3.2.0")
        .complexity("O(1)")
        .summary("Answers the distance between two members")
        .keys(KEY_READ),
    row("geohash", -2, READONLY, geohash)
        .since("3.2.0")
        .complexity("O(1) a member")
        .summary("Answers the places of members as geohashes")
        .keys(KEY_READ),
    row("geopos", -2, READONLY, geopos)
        .since("3.2.0")
        .complexity("O(1) a member")
        .summary("Answers longitudes and latitudes of members")
        .keys(KEY_READ),
    row("georadius", -6, WRITE | DENYOOM, search::georadius)
        .since("3.2.0")
        .complexity(SEARCH)
        .summary("Answers or stores the members around a place")
        .keys(&[at(1, key::RO | key::ACCESS), after("STORE", 6), after("STOREDIST", 6)])
        .get_keys(search::georadius_keys),
    row("georadius_ro", -6, READONLY, search::georadius_ro)
        .since("3.2.10")
        .complexity(SEARCH)
        .summary("Answers the members around a place")
        .keys(KEY_READ),
    row("georadiusbymember", -5, WRITE | DENYOOM, search::georadiusbymember)
        .since("3.2.0")
        .complexity(SEARCH)
        .summary("Answers or stores the members around one of them")
        .keys(&[at(1, key::RO | key::ACCESS), after("STORE", 5), after("STOREDIST", 5)])
        .get_keys(search::georadiusbymember_keys),
    row("georadiusbymember_ro", -5, READONLY, search::georadiusbymember_ro)
        .since("3.2.10")
        .complexity(SEARCH)
        .summary("Answers the members around one of them")
        .keys(KEY_READ),
    row("geosearch", -7, READONLY, search::geosearch)
        .since("6.2.0")
        .complexity(SEARCH)
        .summary("Answers the members within a circle or a box")
        .keys(KEY_READ),
    row("geosearchstore", -8, WRITE | DENYOOM, search::geosearchstore)
        .since("6.2.0")
        .complexity(SEARCH)
        .summary("Stores the members within a circle or a box in a key")
        .keys(&[at(1, key::OW | key::UPDATE), at(2, key::RO | key::ACCESS)]),
];

/// A place on the map from two arguments, longitude first.
fn point(args: Args<'_>, i: usize) -> Result<Point, Fail> {
    let (longitude, latitude) = (parse::float(args.at(i))?, parse::float(args.at(i + 1))?);
    if longitude.abs() > LONGITUDE_MAX || latitude.abs() > LATITUDE_MAX {
        return Err(Fail::text(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}")));
    }
    Ok(Point { longitude, latitude })
}

/// Longitude and latitude with all their digits, at most 17 behind the point.
fn reply_point(reply: &mut Reply<'_>, point: Point) {
    reply.array(2);
    for degrees in [point.longitude, point.latitude] {
        let text = format!("{degrees:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        let text = if text == "-0" { "0" } else { text };
        if reply.is_resp3() {
            reply.raw(format!(",{text}\r\n").as_bytes());
        } else {
            reply.bulk(text.as_bytes());
        }
    }
}

/// A place is stored as the score of a sorted set's member, so that this is ZADD with other words, also for the replicas.
fn geoadd(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let args = ctx.args;
    let is_option = |i: &usize| ["nx", "xx", "ch"].iter().any(|word| args.is(*i, word));
    let first = (2..args.len()).find(|i| !is_option(i)).unwrap_or(args.len());
    let has = |word: &str| (2..first).any(|i| args.is(i, word));
    let (if_absent, if_present) = (has("nx"), has("xx"));
    let words = args.len() - first;
    if words == 0 || !words.is_multiple_of(3) || (if_absent && if_present) {
        return Err(SYNTAX);
    }
    let places = (first..args.len()).step_by(3);
    let scores: Vec<u64> =
        places.map(|i| Ok(Cell::of(point(args, i)?, STEP_MAX).scores().0)).collect::<Result<_, Fail>>()?;
    let options = zset::AddOptions { if_absent, if_present, count_changed: has("ch"), ..Default::default() };
    let member = |i: usize| args.at(first + 3 * i + 2);
    let numbers: Vec<f64> = scores.iter().map(|&score| score as f64).collect();
    zset::add_scores(ctx, options, &numbers, member)?;
    if ctx.db.effects.dirty > 0 && ctx.db.call.propagates {
        let scores: Vec<String> = scores.iter().map(u64::to_string).collect();
        let pairs = scores.iter().enumerate().flat_map(|(i, score)| [score.as_bytes(), member(i)]);
        let words: Vec<&[u8]> =
            std::iter::once(&b"zadd"[..]).chain((1..first).map(|i| args.at(i))).chain(pairs).collect();
        ctx.propagate(&words);
    }
    Ok(())
}

fn geodist(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let args = ctx.args;
    let unit = match args.len() {
        4 => 1.0,
        5 => distance::unit(args, 4)?,
        _ => return Err(SYNTAX),
    };
    let key = ctx.key(1);
    let reply = &mut ctx.reply;
    collections::read(&mut ctx.db, key, |zset: Option<&ZSet>| {
        let place = |i: usize| Some(Cell::of_score(zset?.score(args.at(i))?).center());
        match (place(2), place(3)) {
            (Some(a), Some(b)) => distance::reply(reply, distance::between(a, b) / unit),
            _ => reply.null(),
        }
    })
}

fn geohash(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    for_each_place(ctx, |reply, place| match place {
        Some(place) => reply.bulk(&cell::text(place)),
        None => reply.null(),
    })
}

fn geopos(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    for_each_place(ctx, |reply, place| match place {
        Some(place) => reply_point(reply, place),
        None => reply.null_array(),
    })
}

/// An array with what `f` says of the place of each member that is asked for.
fn for_each_place(ctx: &mut Ctx<'_>, mut f: impl FnMut(&mut Reply<'_>, Option<Point>)) -> Result<(), Fail> {
    let (args, key, reply) = (ctx.args, ctx.key(1), &mut ctx.reply);
    collections::read(&mut ctx.db, key, |zset: Option<&ZSet>| {
        reply.array(args.len() - 2);
        for member in args.iter().skip(2) {
            let score = zset.and_then(|zset| zset.score(member));
            f(reply, score.map(|score| Cell::of_score(score).center()));
        }
    })
}

#[cfg(test)]
mod tests;
