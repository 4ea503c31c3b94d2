//! A stream out of a file: nothing is reserved on the word of a count, and what contradicts itself is refused.

use std::io::Read;

use rivulet_keyspace::value::stream::{Group, Id, Name, READ_UNKNOWN, Stream};
use rivulet_keyspace::value::{ListPack, Value};

use super::node;
use crate::error::Problem;
use crate::format::types;
use crate::input::Input;

/// Reads a stream of one of the three types.
///
/// # Errors
/// The source ends or fails, or what it holds is no stream.
pub fn load<R: Read>(value_type: u8, input: &mut Input<R>, scratch: &mut Vec<u8>) -> Result<Value, Problem> {
    let mut stream = Stream::new();
    for _ in 0..input.len()? {
        let first_id = node_id(input, scratch)?;
        input.string(scratch)?;
        let pack =
            ListPack::from_bytes(&*scratch).map_err(|_| Problem::Corrupt("Stream listpack integrity check failed."))?;
        if pack.is_empty() {
            return Err(Problem::Corrupt("Empty listpack inside stream"));
        }
        node::append_all(&mut stream, first_id, &pack)?;
    }
    metadata(value_type, input, &mut stream)?;
    for _ in 0..input.len()? {
        group(value_type, input, scratch, &mut stream)?;
    }
    Ok(Value::Stream(stream))
}

fn node_id<R: Read>(input: &mut Input<R>, scratch: &mut Vec<u8>) -> Result<Id, Problem> {
    input.string(scratch)?;
    let bytes = scratch.as_slice().try_into();
    bytes.map(Id::from_bytes).map_err(|_| Problem::Corrupt("Stream node key entry is not the size of a stream ID"))
}

fn id<R: Read>(input: &mut Input<R>) -> Result<Id, Problem> {
    Ok(Id::new(input.len()?, input.len()?))
}

/// What a stream knows beside its entries.
fn metadata<R: Read>(value_type: u8, input: &mut Input<R>, stream: &mut Stream) -> Result<(), Problem> {
    if input.len()? != stream.len() as u64 {
        return Err(Problem::Corrupt("Stream length inconsistent with rax entries"));
    }
    let last_id = id(input)?;
    if last_id < stream.last_id() {
        return Err(Problem::Corrupt("Stream last ID is below that of an entry"));
    }
    stream.set_last_id(last_id);
    if value_type != types::STREAM_LISTPACKS {
        // The first id is told by the entries.
        id(input)?;
        stream.set_max_deleted_id(id(input)?);
        stream.set_entries_added(input.len()?);
    }
    Ok(())
}

fn group<R: Read>(
    value_type: u8,
    input: &mut Input<R>,
    scratch: &mut Vec<u8>,
    stream: &mut Stream,
) -> Result<(), Problem> {
    input.string(scratch)?;
    let name = Name::new(scratch);
    let last_id = id(input)?;
    let entries_read = match value_type {
        types::STREAM_LISTPACKS => stream.progress().added_up_to(last_id).map_or(READ_UNKNOWN, |read| read as i64),
        _ => input.len()? as i64,
    };
    let mut group = Group::new(name, last_id, entries_read);
    let mut pending = Vec::new();
    for _ in 0..input.len()? {
        let id = Id::from_bytes(input.array()?);
        pending.push((id, i64::from_le_bytes(input.array()?), input.len()?));
    }
    let mut consumers = Vec::new();
    for _ in 0..input.len()? {
        consumers.push(consumer(value_type, input, scratch, &mut group)?);
    }
    group
        .restore_pending(&consumers, pending)
        .map_err(|_| Problem::Corrupt("What is pending in a group is not what its consumers have"))?;
    if !stream.groups_mut().0.add(group) {
        return Err(Problem::Corrupt("Duplicated consumer group name in a stream"));
    }
    Ok(())
}

/// Adds a consumer to the group; answers its name and what is pending with it.
fn consumer<R: Read>(
    value_type: u8,
    input: &mut Input<R>,
    scratch: &mut Vec<u8>,
    group: &mut Group,
) -> Result<(Name, Vec<Id>), Problem> {
    input.string(scratch)?;
    let name = Name::new(scratch);
    let seen_ms = i64::from_le_bytes(input.array()?);
    // Before it was told, it was taken to be the same.
    let active_ms = if value_type == types::STREAM_LISTPACKS_3 { i64::from_le_bytes(input.array()?) } else { seen_ms };
    if !group.add_consumer(name.clone(), seen_ms, active_ms) {
        return Err(Problem::Corrupt("Duplicate stream consumer detected"));
    }
    let mut ids = Vec::new();
    for _ in 0..input.len()? {
        ids.push(Id::from_bytes(input.array()?));
    }
    Ok((name, ids))
}
