//! What a key takes in the memory of a server, about: the sizes of Rivulet's structures, which were compared with MEMORY USAGE.

use rivulet_keyspace::entry::EMBEDDED_LEN_MAX;
use rivulet_rdb::MeasuredEntry;

use super::kind::Kind;

/// An entry without its key and value: its header and its place in the table.
const ENTRY_BYTES: u64 = 20;
/// A value that is no string, or a long one, is an allocation of its own.
const VALUE_BYTES: u64 = 16;
/// A string as long lies in its key's entry.
const EMBEDDED_BYTES_MAX: u64 = EMBEDDED_LEN_MAX as u64;
/// A collection that is no larger is packed by the server, however it lies in the file.
const PACKED_ELEMENTS_MAX: u64 = 128;
const PACKED_ELEMENT_BYTES: u64 = 2;

/// Bytes, as an estimate. What a damaged file claims saturates.
pub fn estimate(entry: &MeasuredEntry) -> u64 {
    let key = ENTRY_BYTES + entry.key.len() as u64;
    let measure = &entry.measure;
    let kind = Kind::of(entry.value_type);
    let is_embedded = kind == Kind::String && measure.content_bytes <= EMBEDDED_BYTES_MAX;
    let around = if is_embedded { 0 } else { VALUE_BYTES };
    let is_packed = measure.is_packed || measure.elements <= PACKED_ELEMENTS_MAX;
    let per_element = match kind {
        Kind::String | Kind::Stream | Kind::Other => 0,
        _ if measure.is_packed => 0,
        Kind::List => PACKED_ELEMENT_BYTES,
        _ if is_packed => PACKED_ELEMENT_BYTES,
        Kind::Set => 8,
        Kind::Hash => 10,
        Kind::ZSet => 22,
    };
    // An allocation is larger than what is in it, on average by a sixteenth.
    let content = measure.content_bytes.saturating_add(if is_embedded { 0 } else { measure.content_bytes / 16 });
    let elements = measure.elements.saturating_mul(per_element);
    key.saturating_add(around).saturating_add(content).saturating_add(elements)
}
