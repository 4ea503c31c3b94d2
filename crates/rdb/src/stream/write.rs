//! A stream to the end of a buffer.

use rivulet_keyspace::value::listpack::Builder;
use rivulet_keyspace::value::stream::{Consumer, Entry, Group, Id, Range, Stream};

use super::node;
use crate::format::push_len;
use crate::write::{Version, Writer};

/// The nodes of a stream that have entries.
struct Nodes<'a> {
    entries: Range<'a>,
    node: Vec<Entry<'a>>,
}

impl<'a> Nodes<'a> {
    fn of(stream: &'a Stream) -> Self {
        Nodes { entries: stream.entries().all(), node: Vec::new() }
    }

    /// The entries of the next node, also the deleted ones that are told of.
    fn next(&mut self) -> Option<&[Entry<'a>]> {
        loop {
            self.node.clear();
            for entry in self.entries.by_ref() {
                self.node.push(entry);
                if entry.ends_node() {
                    break;
                }
            }
            if self.node.is_empty() {
                return None;
            }
            if self.node.iter().any(|entry| !entry.is_dead()) {
                return Some(&self.node);
            }
        }
    }
}

fn push_id(out: &mut Vec<u8>, id: Id) {
    push_len(out, id.ms);
    push_len(out, id.seq);
}

/// A stream without its type and key; `room` is called after each listpack, and after each pending entry.
pub fn stream<E>(
    writer: &mut Writer,
    out: &mut Vec<u8>,
    stream: &Stream,
    room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let mut nodes = Nodes::of(stream);
    let mut count = 0;
    while nodes.next().is_some() {
        count += 1;
    }
    push_len(out, count);
    let (mut nodes, mut builder) = (Nodes::of(stream), Builder::default());
    while let Some(entries) = nodes.next() {
        let (first_id, pack) = node::pack(entries, &mut builder);
        writer.bytes(out, &first_id.to_bytes(), &mut |_| Ok(()))?;
        writer.bytes(out, pack.as_bytes(), room)?;
    }
    push_len(out, stream.len() as u64);
    push_id(out, stream.last_id());
    if writer.version().has_listpacks() {
        push_id(out, stream.first_id().unwrap_or_default());
        push_id(out, stream.max_deleted_id());
        push_len(out, stream.entries_added());
    }
    push_len(out, stream.groups().map_or(0, |groups| groups.len() as u64));
    for group in stream.groups().into_iter().flat_map(|groups| groups.iter()) {
        self::group(writer, out, group, room)?;
    }
    Ok(())
}

fn group<E>(
    writer: &mut Writer,
    out: &mut Vec<u8>,
    group: &Group,
    room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    writer.bytes(out, group.name.as_bytes(), room)?;
    push_id(out, group.last_id);
    if writer.version().has_listpacks() {
        push_len(out, group.entries_read as u64);
    }
    push_len(out, group.pending().len() as u64);
    for pending in group.pending().iter() {
        out.extend_from_slice(&pending.id.to_bytes());
        out.extend_from_slice(&pending.delivered_ms.to_le_bytes());
        push_len(out, pending.deliveries);
        room(out)?;
    }
    push_len(out, group.consumers_len() as u64);
    for consumer in group.consumers() {
        self::consumer(writer, out, consumer, room)?;
    }
    Ok(())
}

fn consumer<E>(
    writer: &mut Writer,
    out: &mut Vec<u8>,
    consumer: &Consumer,
    room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    writer.bytes(out, consumer.name.as_bytes(), room)?;
    out.extend_from_slice(&consumer.seen_ms.to_le_bytes());
    if writer.version().has_set_listpacks() {
        out.extend_from_slice(&consumer.active_ms.to_le_bytes());
    }
    push_len(out, consumer.pending().len() as u64);
    for id in consumer.pending().iter() {
        out.extend_from_slice(&id.to_bytes());
        room(out)?;
    }
    Ok(())
}

/// The type under which a stream is written.
pub fn value_type(version: Version) -> u8 {
    use crate::format::types;
    match version {
        version if version.has_set_listpacks() => types::STREAM_LISTPACKS_3,
        version if version.has_listpacks() => types::STREAM_LISTPACKS_2,
        _ => types::STREAM_LISTPACKS,
    }
}
