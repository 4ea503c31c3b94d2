//! SORT and SORT_RO: the elements of a list, set or sorted set in an order, perhaps by values of other keys.
//!
//! Texts are compared byte by byte, as Redis does in the C locale. Where other keys were looked up, what is stored is told as it is: elements that they put
//! on a level stay in the order of their set, which is another one on each server, and a field that has expired may still be there on a replica.

use std::cmp::Ordering;
use std::ops::Range;

use rivulet_keyspace::{Elem, Hash, List, View};
use rivulet_resp::{Args, OwnedArgs};

use crate::ctx::{Ctx, Data};
use crate::effects::class;
use crate::fail::{Fail, SYNTAX, WRONG_TYPE};
use crate::keys::with_read;
use crate::parse;
use crate::places::{KeyRange, Keys};
use crate::spec::key;

const BY_DENIED: Fail = Fail::new("ERR BY option of SORT denied due to insufficient ACL permissions.");
const GET_DENIED: Fail = Fail::new("ERR GET option of SORT denied due to insufficient ACL permissions.");

/// What is asked for.
struct Order<'a> {
    descending: bool,
    alpha: bool,
    by: Option<&'a [u8]>,
    /// BY a pattern without `*`: the elements stay as they are.
    natural: bool,
    limit: (i64, i64),
    gets: Vec<&'a [u8]>,
    store: Option<&'a [u8]>,
}

impl<'a> Order<'a> {
    fn parse(args: Args<'a>, may_store: bool, reads_any_key: bool) -> Result<Order<'a>, Fail> {
        let mut order = Order {
            descending: false,
            alpha: false,
            by: None,
            natural: false,
            limit: (0, -1),
            gets: Vec::new(),
            store: None,
        };
        let mut i = 2;
        while i < args.len() {
            let left = args.len() - i - 1;
            if args.is(i, "asc") {
                order.descending = false;
            } else if args.is(i, "desc") {
                order.descending = true;
            } else if args.is(i, "alpha") {
                order.alpha = true;
            } else if args.is(i, "limit") && left >= 2 {
                order.limit = (parse::int(args.at(i + 1))?, parse::int(args.at(i + 2))?);
                i += 2;
            } else if left >= 1 && may_store && args.is(i, "store") {
                order.store = Some(args.at(i + 1));
                i += 1;
            } else if left >= 1 && args.is(i, "by") {
                order.by = Some(args.at(i + 1));
                let names_keys = args.at(i + 1).contains(&b'*');
                order.natural |= !names_keys;
                if names_keys && !reads_any_key {
                    return Err(BY_DENIED);
                }
                i += 1;
            } else if left >= 1 && args.is(i, "get") {
                if !reads_any_key {
                    return Err(GET_DENIED);
                }
                order.gets.push(args.at(i + 1));
                i += 1;
            } else {
                return Err(SYNTAX);
            }
            i += 1;
        }
        Ok(order)
    }

    /// Whether the result depends on other keys.
    fn looks_up(&self) -> bool {
        let names_keys = |pattern: &&[u8]| *pattern != b"#" && pattern.contains(&b'*');
        (!self.natural && self.by.as_ref().is_some_and(names_keys)) || self.gets.iter().any(names_keys)
    }

    /// Which of `len` elements are answered.
    fn range(&self, len: usize) -> Range<usize> {
        let clamp = |n: i64| usize::try_from(n).unwrap_or(0).min(len);
        let start = clamp(self.limit.0);
        let end = if self.limit.1 < 0 { len } else { start.saturating_add(clamp(self.limit.1)).min(len) };
        start..end
    }
}

/// The elements with what they are compared by, all texts in one buffer.
#[derive(Default)]
struct Elements {
    texts: Vec<u8>,
    items: Vec<Item>,
}

struct Item {
    text: Range<usize>,
    score: f64,
    /// What ALPHA with BY compares.
    weight: Option<Range<usize>>,
}

impl Elements {
    fn load(data: &mut Data<'_>, key: rivulet_keyspace::Key<'_>) -> Result<(Elements, bool), Fail> {
        let mut elements = Elements::default();
        let is_set = with_read(data, key, |entry| {
            match entry.map(|e| e.value()) {
                None => {}
                Some(View::List(list)) => list.iter().for_each(|e| elements.push(e)),
                Some(View::ZSet(zset)) => zset.iter().for_each(|(e, _)| elements.push(e)),
                Some(View::Set(set)) => {
                    set.iter().for_each(|e| elements.push(e));
                    return Ok(true);
                }
                Some(View::Str(_) | View::Hash(_) | View::Stream(_)) => return Err(WRONG_TYPE),
            }
            Ok(false)
        })?;
        Ok((elements, is_set))
    }

    fn push(&mut self, element: Elem<'_>) {
        let text = self.append(element);
        self.items.push(Item { text, score: 0.0, weight: None });
    }

    fn append(&mut self, element: Elem<'_>) -> Range<usize> {
        let start = self.texts.len();
        element.append_to(&mut self.texts);
        start..self.texts.len()
    }

    fn text(&self, i: usize) -> &[u8] {
        &self.texts[self.items[i].text.clone()]
    }

    /// Finds what each element is compared by.
    fn weigh(&mut self, data: &mut Data<'_>, by: Option<&[u8]>, alpha: bool) -> Result<(), Fail> {
        const NO_DOUBLE: Fail = Fail::new("ERR One or more scores can't be converted into double");
        let mut key = Vec::new();
        let mut all_numbers = true;
        for i in 0..self.items.len() {
            let Some(pattern) = by else {
                if !alpha {
                    let score = score(self.text(i));
                    all_numbers &= score.is_some();
                    self.items[i].score = score.unwrap_or(0.0);
                }
                continue;
            };
            let element = self.items[i].text.clone();
            let texts = &mut self.texts;
            let found = with_pattern(data, pattern, element, texts, &mut key, |value, texts| {
                let value = value?;
                if alpha {
                    let start = texts.len();
                    value.append_to(texts);
                    return Some((Some(0.0), Some(start..texts.len())));
                }
                Some((value.with(score), None))
            });
            if let Some((score, weight)) = found {
                all_numbers &= score.is_some();
                self.items[i].score = score.unwrap_or(0.0);
                self.items[i].weight = weight;
            }
        }
        if all_numbers { Ok(()) } else { Err(NO_DOUBLE) }
    }

    fn sort(&mut self, by: bool, alpha: bool, descending: bool) {
        let texts = &self.texts;
        let text = |item: &Item| &texts[item.text.clone()];
        let weight = |item: &Item| item.weight.clone().map(|w| &texts[w]);
        let compare = |a: &Item, b: &Item| match (alpha, by) {
            (false, _) => a.score.partial_cmp(&b.score).unwrap_or(Ordering::Equal).then_with(|| text(a).cmp(text(b))),
            (true, true) => weight(a).cmp(&weight(b)),
            (true, false) => text(a).cmp(text(b)),
        };
        self.items.sort_by(|a, b| if descending { compare(b, a) } else { compare(a, b) });
    }
}

/// A score as `strtod` reads it, all of the text up to a byte 0.
fn score(text: &[u8]) -> Option<f64> {
    if let Ok(n) = parse::int(text) {
        return Some(n as f64);
    }
    let text = text.split(|&c| c == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let text = &text[text.iter().take_while(|c| c.is_ascii_whitespace() || **c == 0x0b).count()..];
    let value = rivulet_resp::double::parse(text).filter(|v| !v.is_nan())?;
    // An infinity that is not spelt out is an overflow.
    let overflowed = value.is_infinite() && text.iter().any(u8::is_ascii_digit);
    (!overflowed).then_some(value)
}

/// Calls `f` with the value that a BY or GET pattern names for an element, and with the buffer of texts, in which the element is. `#` is the
/// element; otherwise `*` stands for it in a key's name, and `->` comes before the field of a hash.
fn with_pattern<R>(
    data: &mut Data<'_>,
    pattern: &[u8],
    element: Range<usize>,
    texts: &mut Vec<u8>,
    key: &mut Vec<u8>,
    f: impl FnOnce(Option<Elem<'_>>, &mut Vec<u8>) -> R,
) -> R {
    if pattern == b"#" {
        let element = texts[element].to_vec();
        return f(Some(Elem::Bytes(&element)), texts);
    }
    let Some(star) = pattern.iter().position(|&c| c == b'*') else { return f(None, texts) };
    let rest = &pattern[star + 1..];
    let arrow = rest.windows(2).position(|w| w == b"->").filter(|at| at + 2 < rest.len());
    let (rest, field) = match arrow {
        Some(at) => (&rest[..at], Some(&rest[at + 2..])),
        None => (rest, None),
    };
    key.clear();
    key.extend_from_slice(&pattern[..star]);
    key.extend_from_slice(&texts[element]);
    key.extend_from_slice(rest);
    let key = data.key(key);
    let now_ms = crate::hash::moment(&data.call);
    with_read(data, key, |entry| match (entry, field) {
        (None, _) => f(None, texts),
        (Some(entry), None) => f(entry.string(), texts),
        (Some(entry), Some(field)) => match entry.collection::<Hash>() {
            Some(hash) => f(hash.live(now_ms).get(field), texts),
            None => f(None, texts),
        },
    })
}

pub(super) fn sort(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    run(ctx, true)
}

pub(super) fn sort_ro(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    run(ctx, false)
}

fn run(ctx: &mut Ctx<'_>, may_store: bool) -> Result<(), Fail> {
    let mut order = Order::parse(ctx.args, may_store, ctx.db.call.reads_any_key)?;
    let key = ctx.key(1);
    let (mut elements, is_set) = Elements::load(&mut ctx.db, key)?;
    if order.natural && is_set && (order.store.is_some() || ctx.db.call.in_script) {
        // A set has no order of its own; what is stored, or what a script does with it, must not depend on one.
        (order.natural, order.alpha, order.by) = (false, true, None);
    }
    if !order.natural {
        elements.weigh(&mut ctx.db, order.by, order.alpha)?;
        elements.sort(order.by.is_some(), order.alpha, order.descending);
    } else if order.descending && !is_set {
        elements.items.reverse();
    }
    let range = order.range(elements.items.len());
    match order.store {
        None => reply(ctx, &order, elements, range),
        Some(to) => store(ctx, &order, elements, range, to),
    }
    Ok(())
}

/// Calls `f` with each value of the result: the elements, or what GET names for them.
fn for_each_result<'a>(
    ctx: &mut Ctx<'a>,
    gets: &[&[u8]],
    mut elements: Elements,
    range: Range<usize>,
    mut f: impl FnMut(&mut rivulet_resp::Reply<'a>, Option<Elem<'_>>),
) {
    let mut key = Vec::new();
    for i in range {
        if gets.is_empty() {
            f(&mut ctx.reply, Some(Elem::Bytes(elements.text(i))));
        }
        for pattern in gets {
            let element = elements.items[i].text.clone();
            let reply = &mut ctx.reply;
            with_pattern(&mut ctx.db, pattern, element, &mut elements.texts, &mut key, |value, _| f(reply, value));
        }
    }
}

fn reply(ctx: &mut Ctx<'_>, order: &Order<'_>, elements: Elements, range: Range<usize>) {
    ctx.reply.array(range.len() * order.gets.len().max(1));
    for_each_result(ctx, &order.gets, elements, range, |reply, value| match value {
        None => reply.null(),
        Some(Elem::Int(n)) => reply.bulk_int(n),
        Some(Elem::Bytes(text)) => reply.bulk(text),
    });
}

fn store(ctx: &mut Ctx<'_>, order: &Order<'_>, elements: Elements, range: Range<usize>, to: &[u8]) {
    let count = range.len() * order.gets.len().max(1);
    let limits = &ctx.db.settings.limits;
    let mut list = List::new();
    for_each_result(ctx, &order.gets, elements, range, |_, value| {
        value.unwrap_or(Elem::Bytes(b"")).with(|text| list.push_back(text, limits));
    });
    let key = ctx.db.key(to);
    if count > 0 {
        if order.looks_up() && ctx.db.call.propagates {
            ctx.propagate_all(making(to, &list));
        }
        ctx.db.put(key, list.into(), None);
        ctx.db.changed(to, class::LIST, "sortstore");
        ctx.db.dirty(count as u64);
    } else if ctx.db.delete(key, ctx.db.settings.lazyfree_lazy_server_del) {
        if order.looks_up() {
            ctx.propagate(&[b"DEL", to]);
        }
        ctx.db.changed(to, class::GENERIC, "del");
        ctx.db.dirty(1);
    }
    ctx.reply.int(count as i64);
}

/// The commands that put this list at a key, whatever is there.
fn making(key: &[u8], list: &List) -> Vec<OwnedArgs> {
    /// No command has more elements, and none is much longer than this.
    const ELEMENTS_MAX: usize = 64;
    const BYTES_MAX: usize = 64 * 1024;
    let mut commands = vec![OwnedArgs::from_slices(&[b"DEL", key])];
    let (mut texts, mut ends) = (Vec::new(), Vec::new());
    let mut left = list.len();
    for element in list.iter() {
        element.append_to(&mut texts);
        ends.push(texts.len());
        left -= 1;
        if left == 0 || ends.len() == ELEMENTS_MAX || texts.len() >= BYTES_MAX {
            commands.push(push(key, &texts, &ends));
            texts.clear();
            ends.clear();
        }
    }
    commands
}

/// RPUSH of texts that stand one after the other, and end there.
fn push(key: &[u8], texts: &[u8], ends: &[usize]) -> OwnedArgs {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let elements = starts.zip(ends).map(|(start, &end)| &texts[start..end]);
    OwnedArgs::from_slices(&[b"RPUSH".as_slice(), key].into_iter().chain(elements).collect::<Vec<_>>())
}

const SORTED: KeyRange = KeyRange::one(1, key::RO | key::ACCESS);

/// The key, and the last key that STORE names.
pub(super) fn keys(args: Args<'_>) -> Keys {
    let mut store = None;
    let mut i = 2;
    while i < args.len() {
        if args.is(i, "limit") {
            i += 2;
        } else if args.is(i, "get") || args.is(i, "by") {
            i += 1;
        } else if args.is(i, "store") && i + 1 < args.len() {
            store = Some(i + 1);
        }
        i += 1;
    }
    let sorted = Keys::of(SORTED);
    store.map_or(sorted, |at| sorted.and(KeyRange::one(at, key::OW | key::UPDATE)))
}

/// The key that SORT_RO sorts.
pub(super) fn keys_ro(_: Args<'_>) -> Keys {
    Keys::of(SORTED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generic;
    use crate::list;
    use crate::string;
    use crate::testing::Bench;
    use rivulet_keyspace::{Set, Value};

    fn bench() -> Bench {
        let mut b = Bench::new(&[generic::COMMANDS, list::COMMANDS, string::COMMANDS]);
        let mut list = List::new();
        for text in ["3", "1", "2", "10"] {
            list.push_back(text.as_bytes(), &b.settings.limits);
        }
        add(&mut b, "l", list.into());
        let mut set = Set::new();
        ["b", "a", "c"].iter().for_each(|m| _ = set.add(m.as_bytes(), &b.settings.limits));
        add(&mut b, "s", set.into());
        let mut hash = Hash::new();
        hash.set(b"f", b"in a hash", &b.settings.limits);
        add(&mut b, "h2", hash.into());
        b.run("MSET w1 9 w2 8 w3 7 w10 6 v1 one v2 two");
        b
    }

    fn add(b: &mut Bench, key: &str, value: Value) {
        let key = b.keyspace.key(key.as_bytes());
        b.keyspace.db_mut(0).insert(key, value, None, 0);
    }

    fn words(reply: &str) -> String {
        reply.split("\r\n").skip(1).filter(|w| !w.starts_with('$') || *w == "$-1").collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn orders() {
        let mut b = bench();
        for (line, want) in [
            ("SORT l", "1 2 3 10 "),
            ("SORT l DESC", "10 3 2 1 "),
            ("SORT l ALPHA", "1 10 2 3 "),
            ("SORT l LIMIT 1 2", "2 3 "),
            ("SORT l LIMIT -5 2", "1 2 "),
            ("SORT l LIMIT 9 2", ""),
            ("SORT l LIMIT 1 -1", "2 3 10 "),
            ("SORT l BY w*", "10 3 2 1 "),
            ("SORT l BY nosort", "3 1 2 10 "),
            ("SORT l BY nosort DESC LIMIT 1 2", "2 1 "),
            ("SORT l BY v* ALPHA DESC", "2 1 3 10 "),
            ("SORT l GET # GET v*", "1 one 2 two 3 $-1 10 $-1 "),
            ("SORT l GET h*->f LIMIT 1 1", "in a hash "),
            ("SORT l GET fixed LIMIT 0 1", "$-1 "),
            ("SORT s ALPHA", "a b c "),
            ("SORT_RO l DESC LIMIT 0 1", "10 "),
            ("SORT none", ""),
        ] {
            assert_eq!(words(&b.run(line)), want, "{line}");
        }
        assert_eq!(b.run("SORT s"), "-ERR One or more scores can't be converted into double\r\n");
        assert_eq!(b.run("SORT w1"), format!("-{}\r\n", String::from_utf8_lossy(&WRONG_TYPE.0)));
        assert_eq!(b.run("SORT_RO l STORE x"), "-ERR syntax error\r\n");
        assert_eq!(b.run("SORT l LIMIT 1"), "-ERR syntax error\r\n");
    }

    #[test]
    fn a_result_can_be_stored() {
        let mut b = bench();
        assert_eq!(b.run("SORT l GET v* STORE to"), ":4\r\n");
        assert_eq!(b.effects().propagated, ["DEL to", "RPUSH to one two  "]);
        assert_eq!(b.effects().events, ["sortstore to"]);
        assert_eq!((b.effects().dirty, b.effects().ready), (4, vec!["to".to_string()]));
        assert_eq!(words(&b.run("SORT to BY nosort")), "one two   ");
        assert_eq!(b.run("SORT s BY nosort STORE to"), ":3\r\n");
        assert_eq!(words(&b.run("SORT to BY nosort")), "a b c ");
        assert_eq!(b.run("SORT none STORE to"), ":0\r\n");
        assert_eq!(b.effects().events, ["del to"]);
        assert_eq!(b.run("EXISTS to"), ":0\r\n");
    }

    #[test]
    fn what_was_looked_up_is_told_as_it_is() {
        let mut b = bench();
        for (line, want) in [
            ("SORT l BY w* STORE to", vec!["DEL to", "RPUSH to 10 3 2 1"]),
            ("SORT s BY none* ALPHA GET # STORE to", vec!["DEL to", "RPUSH to "]),
            ("SORT l GET h*->f LIMIT 1 1 STORE to", vec!["DEL to", "RPUSH to in a hash"]),
            ("SORT l GET v* LIMIT 9 9 STORE to", vec!["DEL to"]),
            ("SORT l GET v* LIMIT 9 9 STORE to", vec![]),
            ("SORT l GET # STORE to", vec!["SORT l GET # STORE to"]),
            ("SORT l GET fixed STORE to", vec!["SORT l GET fixed STORE to"]),
            ("SORT s BY nosort STORE to", vec!["SORT s BY nosort STORE to"]),
            ("SORT l DESC STORE to", vec!["SORT l DESC STORE to"]),
        ] {
            b.run(line);
            let told = b.effects().propagated;
            match line.contains("none*") {
                // In the order of the set, whichever that is.
                true => assert_eq!(told[1], format!("RPUSH to {}", words(&b.run("LRANGE to 0 -1")).trim_end())),
                false => assert_eq!(told, want, "{line}"),
            }
        }
    }

    #[test]
    fn a_long_result_is_told_in_short_commands() {
        let mut b = bench();
        let mut list = List::new();
        (0..200).for_each(|i| list.push_back(format!("{i:03}").as_bytes(), &b.settings.limits));
        list.push_back(&[b'x'; 70_000], &b.settings.limits);
        list.push_back(b"y", &b.settings.limits);
        add(&mut b, "long", list.into());
        assert_eq!(b.run("SORT long BY none* ALPHA GET # STORE to"), ":202\r\n");
        let told = b.effects().propagated;
        let elements: Vec<usize> = told.iter().map(|line| line.split(' ').count() - 2).collect();
        assert_eq!(elements, [0, 64, 64, 64, 9, 1]);
        assert!(told[3].starts_with("RPUSH to 128 129 ") && told[5] == "RPUSH to y", "{:?}", &told[3]);
    }
}
