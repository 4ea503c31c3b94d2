//! A stream as the commands that make it: its entries, what it knows of those that went, and its groups with what is pending.

use rivulet_keyspace::value::ValueRef;
use rivulet_keyspace::value::stream::{Entry, Group, Id, Pending, Stream};
use rivulet_rdb::write::{Version, Writer, in_pieces};
use rivulet_resp::Reply;

use super::{append_elem, head};

/// Appends a stream's commands; `room` is called after each of them and within large ones.
pub fn append<E>(
    out: &mut Vec<u8>,
    key: &[u8],
    stream: &Stream,
    room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    if has_pending_without_entry(stream) {
        return append_restored(out, key, stream, room);
    }
    for entry in stream.entries().range(Id::MIN, Id::MAX) {
        append_entry(out, key, &entry, room)?;
    }
    if stream.is_empty() {
        append_empty(out, key, stream.last_id());
    }
    head(out, 7, "XSETID", key);
    append_id(out, stream.last_id());
    let mut command = Reply::new(out, false);
    command.bulk(b"ENTRIESADDED");
    command.bulk_int(stream.entries_added() as i64);
    command.bulk(b"MAXDELETEDID");
    append_id(out, stream.max_deleted_id());
    room(out)?;
    for group in stream.groups().into_iter().flat_map(|groups| groups.iter()) {
        append_group(out, key, group, room)?;
    }
    Ok(())
}

/// Whether something is pending whose entry was deleted: no command makes that.
fn has_pending_without_entry(stream: &Stream) -> bool {
    let entries = stream.entries();
    let mut groups = stream.groups().into_iter().flat_map(|groups| groups.iter());
    groups.any(|group| group.pending().iter().any(|pending| !entries.contains(pending.id)))
}

/// The stream as it is, in the words of DUMP.
fn append_restored<E>(
    out: &mut Vec<u8>,
    key: &[u8],
    stream: &Stream,
    room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let mut payload = Vec::new();
    rivulet_rdb::dump(&mut Writer::new(Version::DEFAULT, false), ValueRef::Stream(stream), &mut payload);
    head(out, 4, "RESTORE", key);
    let mut command = Reply::new(out, false);
    command.bulk(b"0");
    command.bulk_len(payload.len());
    in_pieces(out, &payload, room)?;
    out.extend_from_slice(b"\r\n");
    room(out)
}

fn append_id(out: &mut Vec<u8>, id: Id) {
    id.with_text(|text| Reply::new(out, false).bulk(text));
}

fn append_entry<E>(
    out: &mut Vec<u8>,
    key: &[u8],
    entry: &Entry<'_>,
    room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let fields = entry.fields();
    head(out, 3 + 2 * fields.len(), "XADD", key);
    append_id(out, entry.id);
    for (name, value) in fields {
        append_elem(out, name, room)?;
        append_elem(out, value, room)?;
    }
    Ok(())
}

/// A stream without entries: one is added and trimmed at once.
fn append_empty(out: &mut Vec<u8>, key: &[u8], last_id: Id) {
    head(out, 7, "XADD", key);
    let mut command = Reply::new(out, false);
    command.bulk(b"MAXLEN");
    command.bulk(b"0");
    // No entry has the lowest id.
    append_id(out, last_id.max(Id::new(0, 1)));
    let mut command = Reply::new(out, false);
    command.bulk(b"x");
    command.bulk(b"y");
}

fn append_group<E>(
    out: &mut Vec<u8>,
    key: &[u8],
    group: &Group,
    room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let name = group.name.as_bytes();
    subcommand(out, 7, "CREATE", key, name);
    append_id(out, group.last_id);
    let mut command = Reply::new(out, false);
    command.bulk(b"ENTRIESREAD");
    command.bulk_int(group.entries_read);
    for consumer in group.consumers() {
        if consumer.pending().is_empty() {
            subcommand(out, 5, "CREATECONSUMER", key, name);
            Reply::new(out, false).bulk(consumer.name.as_bytes());
            room(out)?;
        }
        for pending in consumer.pending().iter().filter_map(|id| group.pending().get(id)) {
            append_pending(out, key, name, pending);
            room(out)?;
        }
    }
    room(out)
}

fn subcommand(out: &mut Vec<u8>, args: usize, name: &str, key: &[u8], group: &[u8]) {
    let mut command = Reply::new(out, false);
    command.array(args);
    command.bulk(b"XGROUP");
    command.bulk(name.as_bytes());
    command.bulk(key);
    command.bulk(group);
}

fn append_pending(out: &mut Vec<u8>, key: &[u8], group: &[u8], pending: &Pending) {
    head(out, 12, "XCLAIM", key);
    let mut command = Reply::new(out, false);
    command.bulk(group);
    command.bulk(pending.consumer.as_bytes());
    command.bulk(b"0");
    append_id(out, pending.id);
    let mut command = Reply::new(out, false);
    command.bulk(b"TIME");
    command.bulk_int(pending.delivered_ms);
    command.bulk(b"RETRYCOUNT");
    command.bulk_int(pending.deliveries as i64);
    command.bulk(b"JUSTID");
    command.bulk(b"FORCE");
}
