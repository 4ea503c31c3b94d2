//! A value as the commands that make it: what a rewrite writes when the base is no RDB file (`aof-use-rdb-preamble no`).
//!
//! For the same data these are the bytes of Redis 7.0, wherever an order is defined. A value is handed over in pieces, so that a big one is never in
//! one buffer. Which entries there are, and when they are written, is the caller's business.

mod stream;

use std::convert::Infallible;

use rivulet_keyspace::value::{Elem, Hash, ValueRef};
use rivulet_rdb::write::{PIECE, in_pieces};
use rivulet_resp::Reply;
use rivulet_resp::double::format_g17;

/// No command has more elements (AOF_REWRITE_ITEMS_PER_CMD).
const ITEMS_PER_COMMAND: usize = 64;

/// The entries that follow belong to this database.
pub fn select_db(out: &mut Vec<u8>, db: u64) {
    out.extend_from_slice(b"*2\r\n$6\r\nSELECT\r\n");
    Reply::new(out, false).bulk_int(db as i64);
}

/// A whole entry.
pub fn entry(out: &mut Vec<u8>, key: &[u8], value: &ValueRef<'_>, deadline_ms: Option<u64>) {
    match append(out, key, value, deadline_ms, &mut |_| Ok::<(), Infallible>(())) {
        Ok(()) => {}
    }
}

/// A whole entry, in pieces: each time that `out` has [`PIECE`] bytes or little more, `full` gets it and has to leave room in it. What is in
/// `out` at the end remains there. Ends at the first error of `full`.
pub fn entry_in_pieces<E>(
    out: &mut Vec<u8>,
    key: &[u8],
    value: &ValueRef<'_>,
    deadline_ms: Option<u64>,
    full: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    append(out, key, value, deadline_ms, &mut |out| if out.len() < PIECE { Ok(()) } else { full(out) })
}

fn append<E>(
    out: &mut Vec<u8>,
    key: &[u8],
    value: &ValueRef<'_>,
    deadline_ms: Option<u64>,
    room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    match value {
        ValueRef::Str(elem) => {
            head(out, 3, "SET", key);
            append_elem(out, *elem, room)?;
        }
        ValueRef::List(list) => {
            let items = list.iter();
            commands(out, "RPUSH", key, 1, list.len(), items, room, |out, item, room| append_elem(out, item, room))?;
        }
        ValueRef::Set(set) => {
            let items = set.iter();
            commands(out, "SADD", key, 1, set.len(), items, room, |out, item, room| append_elem(out, item, room))?;
        }
        ValueRef::ZSet(zset) => {
            let items = zset.iter();
            commands(out, "ZADD", key, 2, zset.len(), items, room, |out, (member, score), room| {
                Reply::new(out, false).bulk(format_g17(score).as_bytes());
                append_elem(out, member, room)
            })?;
        }
        ValueRef::Hash(hash) => {
            let items = hash.iter();
            commands(out, "HMSET", key, 2, hash.len(), items, room, |out, (field, value), room| {
                append_elem(out, field, room)?;
                append_elem(out, value, room)
            })?;
            field_deadlines(out, key, hash, room)?;
        }
        ValueRef::Stream(value) => stream::append(out, key, value, room)?,
    }
    if let Some(deadline) = deadline_ms {
        head(out, 3, "PEXPIREAT", key);
        Reply::new(out, false).bulk_int(deadline as i64);
        room(out)?;
    }
    Ok(())
}

fn field_deadlines<E>(
    out: &mut Vec<u8>,
    key: &[u8],
    hash: &Hash,
    room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    if !hash.has_deadlines() {
        return Ok(());
    }
    for (field, deadline) in hash.rows().filter_map(|(field, _, deadline)| Some((field, deadline?))) {
        head(out, 6, "HPEXPIREAT", key);
        let mut command = Reply::new(out, false);
        command.bulk_int(deadline as i64);
        command.bulk(b"FIELDS");
        command.bulk(b"1");
        append_elem(out, field, room)?;
    }
    Ok(())
}

/// Writes the `len` items, each of `width` arguments, in as many commands as it takes.
#[expect(clippy::too_many_arguments, reason = "what they are is told by their types")]
fn commands<T, E, R: FnMut(&mut Vec<u8>) -> Result<(), E>>(
    out: &mut Vec<u8>,
    name: &str,
    key: &[u8],
    width: usize,
    len: usize,
    items: impl Iterator<Item = T>,
    room: &mut R,
    mut append_item: impl FnMut(&mut Vec<u8>, T, &mut R) -> Result<(), E>,
) -> Result<(), E> {
    for (i, item) in items.enumerate() {
        if i % ITEMS_PER_COMMAND == 0 {
            head(out, 2 + width * (len - i).min(ITEMS_PER_COMMAND), name, key);
        }
        append_item(out, item, room)?;
    }
    Ok(())
}

fn head(out: &mut Vec<u8>, args: usize, name: &str, key: &[u8]) {
    let mut command = Reply::new(out, false);
    command.array(args);
    command.bulk(name.as_bytes());
    command.bulk(key);
}

fn append_elem<E>(
    out: &mut Vec<u8>,
    elem: Elem<'_>,
    room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    match elem {
        Elem::Int(n) => Reply::new(out, false).bulk_int(n),
        Elem::Bytes(bytes) if bytes.len() <= PIECE => Reply::new(out, false).bulk(bytes),
        Elem::Bytes(bytes) => {
            Reply::new(out, false).bulk_len(bytes.len());
            in_pieces(out, bytes, room)?;
            out.extend_from_slice(b"\r\n");
        }
    }
    room(out)
}

#[cfg(test)]
mod tests {
    use rivulet_keyspace::value::{Hash, Limits, List, Set, StrBuf, Value, ZSet};

    use super::*;
    use crate::scan::{ItemKind, Items, Place};

    fn text(value: &Value, deadline_ms: Option<u64>) -> String {
        let mut out = Vec::new();
        entry(&mut out, b"k", &value.as_ref(), deadline_ms);
        let mut items = Items::new(out.as_slice(), Place::default());
        let mut lines = Vec::new();
        while let Some(item) = items.next().expect("sound") {
            let ItemKind::Command { args, .. } = item.kind else { panic!("only commands are written") };
            assert!(args.wire().is_some());
            lines.push(args.iter().map(|arg| arg.escape_ascii().to_string()).collect::<Vec<_>>().join(" "));
        }
        lines.join("; ")
    }

    #[test]
    fn one_command_for_a_small_value() {
        let limits = Limits::default();
        assert_eq!(text(&Value::Str(StrBuf::Int(-7)), Some(99)), "SET k -7; PEXPIREAT k 99");
        let mut list = List::new();
        list.push_back(b"a", &limits);
        list.push_back(b"12", &limits);
        assert_eq!(text(&Value::List(list), None), "RPUSH k a 12");
        let mut set = Set::new();
        set.add(b"2", &limits);
        set.add(b"-1", &limits);
        assert_eq!(text(&Value::Set(set), None), "SADD k -1 2");
        let mut zset = ZSet::new();
        zset.insert(b"b", 0.1, &limits);
        zset.insert(b"a", f64::NEG_INFINITY, &limits);
        assert_eq!(text(&Value::ZSet(zset), None), "ZADD k -inf a 0.10000000000000001 b");
        let mut hash = Hash::new();
        hash.set(b"f", b"1", &limits);
        hash.set(b"g", b"", &limits);
        assert_eq!(text(&Value::Hash(hash.clone()), None), "HMSET k f 1 g ");
        hash.set_deadline(b"g", Some(1_900_000_000_000), &Limits::default());
        assert_eq!(
            text(&Value::Hash(hash), Some(5)),
            "HMSET k f 1 g ; HPEXPIREAT k 1900000000000 FIELDS 1 g; PEXPIREAT k 5"
        );
        let mut out = Vec::new();
        select_db(&mut out, 12);
        assert_eq!(out, b"*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\n");
    }

    #[test]
    fn a_stream_that_no_command_makes_is_restored() {
        use rivulet_keyspace::value::stream::{Group, Id, Name, Stream};
        let limits = Limits::default();
        let mut stream = Stream::new();
        for id in 1..=3 {
            stream
                .append(Id::new(id, 0), [(Elem::Bytes(b"f"), Elem::Bytes(b"v"))].as_slice(), &limits)
                .expect("it is later");
        }
        let mut group = Group::new(Name::new(b"g"), Id::new(3, 0), 3);
        group.create_consumer(&Name::new(b"c"), 1);
        group.deliver_all(&Name::new(b"c"), &[Id::new(1, 0), Id::new(2, 0)], 7);
        assert!(stream.groups_mut().0.add(group));
        let text_of = |stream: &Stream| text(&Value::Stream(stream.clone()), Some(5));
        assert!(text_of(&stream).contains("XCLAIM k g c 0 2-0 TIME 7 RETRYCOUNT 1 JUSTID FORCE"));
        stream.remove(Id::new(2, 0));
        let text = text_of(&stream);
        assert!(text.starts_with("RESTORE k 0 ") && text.ends_with("; PEXPIREAT k 5"), "{text}");
        assert_eq!(text.matches("; ").count(), 1, "{text}");
    }

    #[test]
    fn at_most_64_elements_a_command() {
        for (len, commands) in [(64, vec![64]), (65, vec![64, 1]), (200, vec![64, 64, 64, 8])] {
            let limits = Limits::default();
            let (mut list, mut hash) = (List::new(), Hash::new());
            for i in 0..len {
                list.push_back(format!("{i}").as_bytes(), &limits);
                hash.set(format!("{i}").as_bytes(), b"v", &limits);
            }
            for (value, width) in [(Value::List(list), 1), (Value::Hash(hash), 2)] {
                let text = text(&value, None);
                let counts: Vec<_> = text.split("; ").map(|line| (line.split(' ').count() - 2) / width).collect();
                assert_eq!(counts, commands);
            }
        }
    }

    #[test]
    fn a_big_value_comes_in_pieces() {
        let mut list = List::new();
        let limits = Limits::default();
        for i in 0..1000 {
            list.push_back(format!("element {i}").as_bytes(), &limits);
        }
        list.push_back(&vec![b'x'; 5 * PIECE + 3], &limits);
        let value = Value::List(list);
        let mut whole = Vec::new();
        entry(&mut whole, b"key", &value.as_ref(), Some(5));
        let (mut out, mut pieces) = (Vec::new(), Vec::new());
        let full = &mut |out: &mut Vec<u8>| {
            assert!(out.len() < 2 * PIECE + 100);
            pieces.append(out);
            Ok::<(), ()>(())
        };
        entry_in_pieces(&mut out, b"key", &value.as_ref(), Some(5), full).expect("nothing fails");
        assert!(out.len() < PIECE && pieces.len() > 4 * PIECE);
        pieces.append(&mut out);
        assert_eq!(pieces, whole);
        assert_eq!(entry_in_pieces(&mut out, b"key", &value.as_ref(), None, &mut |_| Err("full")), Err("full"));
    }
}
