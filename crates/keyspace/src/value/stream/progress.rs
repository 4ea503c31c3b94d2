//! How far a group has read: what can be told from a stream's counters, and what can't since entries were deleted.

use super::entries::Entries;
use super::{Group, Id, Meta, READ_UNKNOWN};

/// A stream's counters beside its entries.
#[derive(Clone, Copy)]
pub struct Progress<'a> {
    meta: Meta,
    entries: Entries<'a>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(meta: Meta, entries: Entries<'a>) -> Self {
        Progress { meta, entries }
    }

    pub fn entries(&self) -> Entries<'a> {
        self.entries
    }

    /// Whether an entry may have been deleted one by one from this id on.
    pub fn has_deleted_from(&self, id: Id) -> bool {
        let deleted = self.meta.max_deleted_id;
        // What was deleted before the first entry is missed by nobody.
        deleted != Id::MIN && id <= deleted && self.entries.first_id().is_some_and(|first| first <= deleted)
    }

    /// How many of the entries ever added have ids up to this one, where that can be told: at the ends of the stream, and nowhere behind which
    /// entries were deleted.
    pub fn added_up_to(&self, id: Id) -> Option<u64> {
        let Meta { last_id, max_deleted_id, entries_added: added, .. } = self.meta;
        let len = self.entries.len() as u64;
        if added == 0 {
            return Some(0);
        }
        if len == 0 && id <= last_id {
            return Some(added);
        }
        if id > last_id {
            return None;
        }
        if id == last_id {
            return Some(added);
        }
        let first_id = self.entries.first_id().unwrap_or_default();
        if max_deleted_id != Id::MIN && max_deleted_id >= first_id {
            return None;
        }
        // Trimmed ones are counted, and nothing else is missing.
        match added.checked_sub(len) {
            Some(trimmed) if id < first_id => Some(trimmed),
            Some(trimmed) if id == first_id => Some(trimmed + 1),
            _ => None,
        }
    }

    /// How many entries a group has still to read, where that can be told.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let added = self.meta.entries_added as i64;
        if added == 0 {
            return Some(0);
        }
        if group.entries_read != READ_UNKNOWN && !self.has_deleted_from(group.last_id) {
            return Some(added.wrapping_sub(group.entries_read));
        }
        self.added_up_to(group.last_id).map(|read| added.wrapping_sub(read as i64))
    }

    /// Moves a group on to an entry that it is given, if it is ahead.
    #[inline]
    pub fn advance(&self, group: &mut Group, id: Id) -> bool {
        if id <= group.last_id {
            return false;
        }
        if group.entries_read != READ_UNKNOWN && !self.has_deleted_from(id) {
            group.entries_read = group.entries_read.wrapping_add(1);
        } else if self.meta.entries_added > 0 {
            group.entries_read = self.added_up_to(id).map_or(READ_UNKNOWN, |read| read as i64);
        }
        group.last_id = id;
        true
    }
}
