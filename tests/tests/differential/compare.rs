//! When two replies to one command are the same: to the byte, but for what Redis leaves open.

use rivulet_tests::Reply;

/// Compares the replies of a connection, in order. It knows what stands in a transaction.
#[derive(Default)]
pub struct Comparer {
    queued: Vec<Vec<Vec<u8>>>,
}

impl Comparer {
    pub fn same(&mut self, command: &[Vec<u8>], theirs: &Reply, ours: &Reply) -> bool {
        if matches!(theirs, Reply::Line(b'+', text) if text == b"QUEUED") {
            self.queued.push(command.to_vec());
            return theirs == ours;
        }
        if command[0].eq_ignore_ascii_case(b"MULTI") && !theirs.is_error() {
            self.queued.clear();
        }
        if command[0].eq_ignore_ascii_case(b"EXEC")
            && let (Reply::Many(_, theirs), Reply::Many(_, ours)) = (theirs, ours)
        {
            let queued = std::mem::take(&mut self.queued);
            return theirs.len() == ours.len()
                && queued.iter().zip(theirs.iter().zip(ours)).all(|(c, (theirs, ours))| same(c, theirs, ours));
        }
        same(command, theirs, ours)
    }
}

/// What of a reply is promised.
enum Promise {
    Exact,
    AnyOrder,
    /// Pairs in any order, flat in RESP2.
    PairsInAnyOrder,
    /// A cursor and elements.
    Scan {
        pairs: bool,
    },
    /// A time: about the same.
    Near,
    /// Times of fields: about the same each, or the same -1 or -2.
    EachNear,
    /// The kind and the size.
    Size,
    /// A form; an integer that INCRBYFLOAT made is a string in Redis until it is written to a file or sent to a replica, and small sets are
    /// packed since Redis 7.2.
    Encoding,
    /// A payload of the same type and size; only the type for lists, whose chunks may be cut elsewhere, and for streams, of whose deleted entries
    /// nothing is kept.
    Dump,
    /// Entries that are pending: their idle times aside.
    Pending,
    /// Groups: how many consumers they have aside. Since Redis 7.2 one that reads is made also if there is nothing for it.
    Groups,
    /// Whether there was such a consumer, which since Redis 7.2 may be so earlier.
    Created,
    /// What since Redis 7.2 has another text, or comes before another error.
    Fails,
    /// There is one, or there is none.
    Kind,
}

fn same(command: &[Vec<u8>], theirs: &Reply, ours: &Reply) -> bool {
    if theirs == ours {
        return true;
    }
    let name = command[0].to_ascii_uppercase();
    if name.starts_with(b"Z") || name.starts_with(b"BZ") || name.starts_with(b"EVAL") || name.starts_with(b"FCALL") {
        return same_as_promised(command, &as_numbers(theirs), &as_numbers(ours));
    }
    same_as_promised(command, theirs, ours)
}

fn same_as_promised(command: &[Vec<u8>], theirs: &Reply, ours: &Reply) -> bool {
    if theirs == ours {
        return true;
    }
    match promise(command) {
        Promise::Exact => false,
        Promise::AnyOrder => sorted(theirs, 1) == sorted(ours, 1),
        Promise::PairsInAnyOrder => sorted(theirs, 2) == sorted(ours, 2),
        Promise::Scan { pairs } => match (theirs, ours) {
            (Reply::Many(_, theirs), Reply::Many(_, ours)) if theirs.len() == 2 && ours.len() == 2 => {
                let width = if pairs { 2 } else { 1 };
                theirs[0] == ours[0] && sorted(&theirs[1], width) == sorted(&ours[1], width)
            }
            _ => false,
        },
        Promise::Near => match (theirs, ours) {
            (Reply::Int(theirs), Reply::Int(ours)) => *theirs >= 0 && *ours >= 0 && theirs.abs_diff(*ours) < 10_000,
            _ => false,
        },
        Promise::EachNear => {
            let (Reply::Many(_, theirs), Reply::Many(_, ours)) = (theirs, ours) else { return false };
            theirs.len() == ours.len()
                && theirs.iter().zip(ours).all(|pair| match pair {
                    (Reply::Int(theirs), Reply::Int(ours)) if *theirs > 0 => theirs.abs_diff(*ours) < 10_000,
                    (theirs, ours) => theirs == ours,
                })
        }
        Promise::Encoding => {
            let (Reply::Bulk(_, theirs), Reply::Bulk(_, ours)) = (theirs, ours) else { return false };
            let since_7_2 = theirs == b"hashtable" && ours == b"listpack";
            // Redis makes room for deadlines before it looks for the field.
            let no_deadline = theirs == b"listpackex" && ours == b"listpack";
            since_7_2 || no_deadline || (theirs == b"embstr" && ours == b"int")
        }
        Promise::Dump => match (theirs, ours) {
            (Reply::Bulk(_, theirs), Reply::Bulk(_, ours)) => {
                theirs.first() == ours.first()
                    && (theirs.len() == ours.len() || matches!(theirs.first(), Some(&(LIST | STREAM))))
            }
            _ => false,
        },
        Promise::Pending => without(theirs, |_, at| at == 2) == without(ours, |_, at| at == 2),
        Promise::Groups => {
            let is_count = |items: &[Reply], at: usize| {
                at > 0 && matches!(&items[at - 1], Reply::Bulk(_, name) if name == b"consumers")
            };
            without(theirs, is_count) == without(ours, is_count)
        }
        Promise::Created => matches!((theirs, ours), (Reply::Int(_), Reply::Int(_))),
        Promise::Fails => theirs.is_error() && ours.is_error(),
        Promise::Kind => matches!((theirs, ours), (Reply::Bulk(..), Reply::Bulk(..))),
        Promise::Size => match (theirs, ours) {
            (Reply::Bulk(_, theirs), Reply::Bulk(_, ours)) => theirs.len() == ours.len(),
            (Reply::Many(a, theirs), Reply::Many(b, ours)) => a == b && theirs.len() == ours.len(),
            _ => false,
        },
    }
}

/// Whether the reply to a command is the same to the byte wherever it is executed.
pub fn is_exact(command: &[Vec<u8>]) -> bool {
    matches!(promise(command), Promise::Exact)
}

/// A reply whose doubles are written in one way: since Redis 7.2 they have no more digits than are needed.
fn as_numbers(reply: &Reply) -> Reply {
    let number = |text: &[u8]| {
        // Whole numbers that are not very large have always been written alike.
        let is_plain = text.len() <= 15 && !text.contains(&b'.') && !text.contains(&b'e');
        let value = std::str::from_utf8(text).ok().filter(|_| !is_plain)?.parse::<f64>().ok()?;
        Some(format!("{value:e}").into_bytes())
    };
    match reply {
        Reply::Bulk(kind, text) => Reply::Bulk(*kind, number(text).unwrap_or_else(|| text.clone())),
        Reply::Line(b',', text) => Reply::Line(b',', number(text).unwrap_or_else(|| text.clone())),
        Reply::Many(kind, items) => Reply::Many(*kind, items.iter().map(as_numbers).collect()),
        other => other.clone(),
    }
}

/// The type of a list in a payload of DUMP.
const LIST: u8 = 18;
const STREAM: u8 = 19;

fn promise(command: &[Vec<u8>]) -> Promise {
    let name = command[0].to_ascii_uppercase();
    let has = |word: &str| command.iter().any(|w| w.eq_ignore_ascii_case(word.as_bytes()));
    let negative = command.get(2).is_some_and(|w| w.starts_with(b"-"));
    match name.as_slice() {
        b"SMEMBERS" | b"SINTER" | b"SUNION" | b"SDIFF" | b"HKEYS" | b"HVALS" | b"KEYS" | b"SPOP" => Promise::AnyOrder,
        b"HGETALL" => Promise::PairsInAnyOrder,
        b"HRANDFIELD" | b"ZRANDMEMBER" | b"SRANDMEMBER" if command.len() == 2 => Promise::Kind,
        b"RANDOMKEY" => Promise::Kind,
        b"HRANDFIELD" | b"ZRANDMEMBER" | b"SRANDMEMBER" if negative => Promise::Size,
        b"HRANDFIELD" | b"ZRANDMEMBER" if command.len() > 3 => Promise::PairsInAnyOrder,
        b"HRANDFIELD" | b"ZRANDMEMBER" | b"SRANDMEMBER" => Promise::AnyOrder,
        b"SCAN" | b"SSCAN" => Promise::Scan { pairs: false },
        b"HSCAN" | b"ZSCAN" => Promise::Scan { pairs: true },
        b"TTL" | b"PTTL" | b"EXPIRETIME" | b"PEXPIRETIME" => Promise::Near,
        b"HTTL" | b"HPTTL" | b"HEXPIRETIME" | b"HPEXPIRETIME" => Promise::EachNear,
        b"OBJECT" if has("IDLETIME") => Promise::Near,
        // The order of equal elements is left open, and that of a set which is not sorted.
        b"SORT" | b"SORT_RO" if has("BY") => Promise::AnyOrder,
        b"OBJECT" if has("ENCODING") => Promise::Encoding,
        b"DUMP" => Promise::Dump,
        b"XPENDING" if command.len() > 3 => Promise::Pending,
        b"XINFO" => Promise::Groups,
        b"XGROUP" if has("CREATECONSUMER") => Promise::Created,
        b"XREAD" | b"XREADGROUP" | b"XSETID" => Promise::Fails,
        _ => Promise::Exact,
    }
}

/// A list of lists without some of their elements.
fn without(reply: &Reply, leaves_out: impl Fn(&[Reply], usize) -> bool) -> Reply {
    let Reply::Many(kind, rows) = reply else { return reply.clone() };
    let row = |row: &Reply| match row {
        Reply::Many(kind, items) if !items.is_empty() => {
            let kept = (0..items.len()).filter(|&at| !leaves_out(items, at)).map(|at| items[at].clone());
            Reply::Many(*kind, kept.collect())
        }
        other => other.clone(),
    };
    Reply::Many(*kind, rows.iter().map(row).collect())
}

/// The elements in one order, taken `width` at a time where they are flat.
fn sorted(reply: &Reply, width: usize) -> Reply {
    match reply {
        Reply::Many(kind, items) => {
            let flat = *kind == b'%' || items.iter().all(|i| !matches!(i, Reply::Many(..)));
            let width = if flat { width } else { 1 };
            let mut groups: Vec<_> = items.chunks(width).map(<[Reply]>::to_vec).collect();
            groups.sort();
            Reply::Many(*kind, groups.concat())
        }
        other => other.clone(),
    }
}
