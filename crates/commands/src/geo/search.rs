//! GEOSEARCH, GEOSEARCHSTORE and their elders GEORADIUS and GEORADIUSBYMEMBER.

use std::cmp::Ordering;

use rivulet_keyspace::Elem;
use rivulet_keyspace::value::ZSet;
use rivulet_resp::{Args, Reply};

use super::area::{Area, Shape, Within};
use super::cell::{Cell, Point};
use super::partial_sort::sort_first;
use super::{distance, reply_point};
use crate::collections;
use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::{Fail, SYNTAX};
use crate::parse;
use crate::places::{KeyRange, Keys};
use crate::spec::key;

/// How a command says what is searched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `key longitude latitude radius unit`
    Radius,
    /// `key member radius unit`
    RadiusByMember,
    /// `key`, and all else in options.
    Search,
    /// `destination key`, and all else in options.
    SearchStore,
}

/// The keys of GEORADIUS: what is stored goes where the last such option says.
pub(super) fn georadius_keys(args: Args<'_>) -> Keys {
    keys_of(args, Form::Radius)
}

/// The keys of GEORADIUSBYMEMBER, likewise.
pub(super) fn georadiusbymember_keys(args: Args<'_>) -> Keys {
    keys_of(args, Form::RadiusByMember)
}

/// The options are gone through as the command does, with which no key may be another one here than there.
fn keys_of(args: Args<'_>, form: Form) -> Keys {
    let (mut to, mut i) = (None, form.options_at());
    while i + 1 < args.len() {
        let stores = args.is(i, "store") || args.is(i, "storedist");
        to = if stores { Some(i + 1) } else { to };
        i += if stores || args.is(i, "count") { 2 } else { 1 };
    }
    let keys = Keys::of(KeyRange::one(1, key::RO | key::ACCESS));
    to.map_or(keys, |to| keys.and(KeyRange::one(to, key::OW | key::UPDATE)))
}

impl Form {
    /// The argument from which on there are options.
    fn options_at(self) -> usize {
        match self {
            Form::Radius => 6,
            Form::RadiusByMember => 5,
            Form::Search => 2,
            Form::SearchStore => 3,
        }
    }

    fn is_search(self) -> bool {
        matches!(self, Form::Search | Form::SearchStore)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
}

/// What is asked for.
struct Query {
    /// Nothing when the key is not there, so that there is no member to search around.
    center: Option<Point>,
    shape: Option<Shape>,
    /// Meters of the unit in which distances are given.
    unit: f64,
    order: Option<Order>,
    /// How many are answered at most; 0 is no limit.
    count: usize,
    /// The first that are found will do.
    any: bool,
    with_distance: bool,
    with_hash: bool,
    with_point: bool,
    /// The argument that names the key where the result is stored.
    store_at: Option<usize>,
    /// What is stored as scores are the distances.
    store_distances: bool,
}

/// A member that was found.
struct Found<'a> {
    /// Meters.
    distance: f64,
    score: f64,
    member: Elem<'a>,
}

pub(super) fn georadius(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    search(ctx, Form::Radius, true)
}

pub(super) fn georadius_ro(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    search(ctx, Form::Radius, false)
}

pub(super) fn georadiusbymember(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    search(ctx, Form::RadiusByMember, true)
}

pub(super) fn georadiusbymember_ro(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    search(ctx, Form::RadiusByMember, false)
}

pub(super) fn geosearch(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    search(ctx, Form::Search, false)
}

pub(super) fn geosearchstore(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    search(ctx, Form::SearchStore, true)
}

/// Searches, and answers or stores what was found; `may_store` says whether STORE is an option.
fn search(ctx: &mut Ctx<'_>, form: Form, may_store: bool) -> Result<(), Fail> {
    let args = ctx.args;
    let key = ctx.key(if form == Form::SearchStore { 2 } else { 1 });
    let limits = &ctx.db.settings.limits;
    let reply = &mut ctx.reply;
    let to_store = collections::read(&mut ctx.db, key, |zset: Option<&ZSet>| {
        let query = Query::parse(args, form, may_store, zset)?;
        let found = zset.map_or_else(Vec::new, |zset| query.find(zset));
        let Some(at) = query.store_at else {
            query.reply(reply, &found);
            return Ok(None);
        };
        let mut result = if found.len() > limits.zset_max_listpack_entries { ZSet::new_large() } else { ZSet::new() };
        for found in &found {
            let score = if query.store_distances { found.distance / query.unit } else { found.score };
            found.member.with(|member| result.insert(member, score, limits));
        }
        Ok(Some((at, result)))
    })??;
    if let Some((at, result)) = to_store {
        let event = if form.is_search() { "geosearchstore" } else { "georadiusstore" };
        let len = result.len();
        collections::store(ctx, ctx.key(at), result.into(), len, class::ZSET, event);
        ctx.db.dirty(len.saturating_sub(1) as u64);
    }
    Ok(())
}

/// The place of a member.
fn place_of(zset: &ZSet, member: &[u8]) -> Result<Point, Fail> {
    let score = zset.score(member).ok_or(Fail::new("ERR could not decode requested zset member"))?;
    Ok(Cell::of_score(score).center())
}

/// A number; `what` is the refusal of what is none.
fn length(args: Args<'_>, i: usize, what: &'static str) -> Result<f64, Fail> {
    parse::float(args.at(i)).map_err(|_| Fail::new(what))
}

impl Query {
    fn parse(args: Args<'_>, form: Form, may_store: bool, zset: Option<&ZSet>) -> Result<Query, Fail> {
        let mut query = Query {
            center: None,
            shape: None,
            unit: 1.0,
            order: None,
            count: 0,
            any: false,
            with_distance: false,
            with_hash: false,
            with_point: false,
            store_at: (form == Form::SearchStore).then_some(1),
            store_distances: false,
        };
        match (form, zset) {
            (Form::Radius, _) => {
                query.center = Some(super::point(args, 2)?);
                query.parse_circle(args, 4)?;
            }
            (Form::RadiusByMember, Some(zset)) => {
                query.center = Some(place_of(zset, args.at(2))?);
                query.parse_circle(args, 3)?;
            }
            // Without a key nothing is found, so that only the options matter: they say where nothing is stored.
            (Form::RadiusByMember, None) | (Form::Search | Form::SearchStore, _) => {}
        }
        query.parse_options(args, form, may_store, zset)?;
        Ok(query)
    }

    fn parse_circle(&mut self, args: Args<'_>, i: usize) -> Result<(), Fail> {
        let radius = length(args, i, "ERR need numeric radius")?;
        if radius < 0.0 {
            return Err(Fail::new("ERR radius cannot be negative"));
        }
        self.unit = distance::unit(args, i + 1)?;
        self.shape = Some(Shape::Circle { radius: radius * self.unit });
        Ok(())
    }

    fn parse_box(&mut self, args: Args<'_>, i: usize) -> Result<(), Fail> {
        let width = length(args, i, "ERR need numeric width")?;
        let height = length(args, i + 1, "ERR need numeric height")?;
        if width < 0.0 || height < 0.0 {
            return Err(Fail::new("ERR height or width cannot be negative"));
        }
        self.unit = distance::unit(args, i + 2)?;
        self.shape = Some(Shape::Box { width: width * self.unit, height: height * self.unit });
        Ok(())
    }

    fn parse_options(&mut self, args: Args<'_>, form: Form, may_store: bool, zset: Option<&ZSet>) -> Result<(), Fail> {
        let mut around = Around::default();
        let mut i = form.options_at();
        while i < args.len() {
            i += match self.parse_option(args, i, may_store && !form.is_search())? {
                0 if form.is_search() => self.parse_search_option(args, i, form, zset, &mut around)?,
                0 => return Err(SYNTAX),
                used => used,
            };
        }
        self.check(args, form, &around)
    }

    /// Parses an option that all forms have; answers how many arguments it has, or 0 if it is none.
    fn parse_option(&mut self, args: Args<'_>, i: usize, may_store: bool) -> Result<usize, Fail> {
        let more = args.len() - i - 1;
        if args.is(i, "withdist") {
            self.with_distance = true;
        } else if args.is(i, "withhash") {
            self.with_hash = true;
        } else if args.is(i, "withcoord") {
            self.with_point = true;
        } else if args.is(i, "any") {
            self.any = true;
        } else if args.is(i, "asc") {
            self.order = Some(Order::Ascending);
        } else if args.is(i, "desc") {
            self.order = Some(Order::Descending);
        } else if args.is(i, "count") && more >= 1 {
            let count = parse::int(args.at(i + 1))?;
            if count <= 0 {
                return Err(Fail::new("ERR COUNT must be > 0"));
            }
            self.count = count as usize;
            return Ok(2);
        } else if may_store && more >= 1 && (args.is(i, "store") || args.is(i, "storedist")) {
            self.store_at = Some(i + 1);
            self.store_distances = args.is(i, "storedist");
            return Ok(2);
        } else {
            return Ok(0);
        }
        Ok(1)
    }

    /// Parses an option of GEOSEARCH and GEOSEARCHSTORE; answers how many arguments it has.
    fn parse_search_option(
        &mut self,
        args: Args<'_>,
        i: usize,
        form: Form,
        zset: Option<&ZSet>,
        around: &mut Around,
    ) -> Result<usize, Fail> {
        let more = args.len() - i - 1;
        if args.is(i, "frommember") && more >= 1 && !around.point {
            around.member = true;
            if let Some(zset) = zset {
                self.center = Some(place_of(zset, args.at(i + 1))?);
            }
            Ok(2)
        } else if args.is(i, "fromlonlat") && more >= 2 && !around.member {
            around.point = true;
            self.center = Some(super::point(args, i + 1)?);
            Ok(3)
        } else if args.is(i, "byradius") && more >= 2 && !matches!(self.shape, Some(Shape::Box { .. })) {
            self.parse_circle(args, i + 1)?;
            Ok(3)
        } else if args.is(i, "bybox") && more >= 3 && !matches!(self.shape, Some(Shape::Circle { .. })) {
            self.parse_box(args, i + 1)?;
            Ok(4)
        } else if args.is(i, "storedist") && form == Form::SearchStore {
            self.store_distances = true;
            Ok(1)
        } else {
            Err(SYNTAX)
        }
    }

    /// Refuses what does not go together.
    fn check(&self, args: Args<'_>, form: Form, around: &Around) -> Result<(), Fail> {
        let named = |text: &str| Fail::bytes([text.as_bytes(), args.at(0)].concat());
        if self.store_at.is_some() && (self.with_distance || self.with_hash || self.with_point) {
            let what = if form == Form::SearchStore { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            return Err(Fail::text(format!(
                "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        if form.is_search() && !around.member && !around.point {
            return Err(named("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for "));
        }
        if form.is_search() && self.shape.is_none() {
            return Err(named("ERR exactly one of BYRADIUS and BYBOX can be specified for "));
        }
        if self.any && self.count == 0 {
            return Err(Fail::new("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// The members that are asked for, in order.
    fn find<'a>(&self, zset: &'a ZSet) -> Vec<Found<'a>> {
        let (Some(center), Some(shape)) = (self.center, self.shape) else { return Vec::new() };
        let area = Area { center, shape };
        let within = Within::new(area);
        let limit = if self.any { self.count } else { usize::MAX };
        let mut found = Vec::new();
        for cell in area.cells() {
            if found.len() >= limit {
                break;
            }
            let (low, high) = cell.scores();
            let (start, end) = (zset.lower_bound(low as f64, false), zset.lower_bound(high as f64, false));
            for (member, score) in zset.iter_from(start).take(end.saturating_sub(start)) {
                if let Some(distance) = within.distance(Cell::of_score(score).center()) {
                    found.push(Found { distance, score, member });
                    if found.len() >= limit {
                        break;
                    }
                }
            }
        }
        self.sort(&mut found);
        found
    }

    /// Puts what was found in order, as far as it is asked for. Without a wish a count means the nearest.
    fn sort(&self, found: &mut Vec<Found<'_>>) {
        let nearest = (self.count > 0 && !self.any).then_some(Order::Ascending);
        let Some(order) = self.order.or(nearest) else { return };
        let compare = |a: &Found<'_>, b: &Found<'_>| {
            let (a, b) = if order == Order::Ascending { (a, b) } else { (b, a) };
            a.distance.partial_cmp(&b.distance).unwrap_or(Ordering::Equal)
        };
        if self.count > 0 && self.count < found.len() {
            sort_first(found, self.count, &compare);
            found.truncate(self.count);
        } else {
            found.sort_by(compare);
        }
    }

    fn reply(&self, reply: &mut Reply<'_>, found: &[Found<'_>]) {
        let options = [self.with_distance, self.with_hash, self.with_point].into_iter().filter(|&with| with).count();
        reply.array(found.len());
        for found in found {
            if options > 0 {
                reply.array(1 + options);
            }
            found.member.with(|member| reply.bulk(member));
            if self.with_distance {
                distance::reply(reply, found.distance / self.unit);
            }
            if self.with_hash {
                reply.int(found.score as i64);
            }
            if self.with_point {
                reply_point(reply, Cell::of_score(found.score).center());
            }
        }
    }
}

/// Which of the two ways to name the center was used.
#[derive(Default)]
struct Around {
    member: bool,
    point: bool,
}
