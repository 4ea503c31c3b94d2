//! A stream: entries in the order of their ids, and the groups that read them.
//!
//! A small stream without groups is one allocation. Others are a tree of chunks and sorted maps of what groups have, all shared with clones
//! until they are edited. Where Redis would begin another listpack is kept (a *node*, see `chunk.rs`), so that approximate trimming leaves the
//! same entries as in Redis. It knows no clock and makes no ids.

mod chunk;
mod entries;
mod group;
mod id;
mod progress;
mod sorted;

use std::fmt;

use triomphe::Arc;

use self::chunk::{Body, Chunk, Fit};
use super::listpack;
use super::tree::{ByKey, First, Last, Tree};
use super::{Limits, Word};

pub use self::chunk::{Entry, FieldIter, Fields};
pub use self::entries::{Entries, Range, RevRange};
pub use self::group::{BadPending, Consumer, Group, GroupIter, Groups, Name, Pending, READ_UNKNOWN};
pub use self::id::{Id, TEXT_LEN_MAX};
pub use self::progress::Progress;
pub use self::sorted::{Iter as SortedIter, Sorted};

/// No entry has names and values of more bytes in all.
pub const ENTRY_BYTES_MAX: usize = 1 << 30;

/// What a stream knows beside its entries and groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Meta {
    last_id: Id,
    max_deleted_id: Id,
    entries_added: u64,
    node: Node,
}

/// What Redis's last listpack would be; nothing when all of it was deleted. (Redis then goes on with the one before, if that has room; here it has none.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Node {
    /// The id that the others' are told from.
    first_id: Id,
    /// Its bytes, without the two counts in front.
    bytes: u32,
    live: u32,
    deleted: u32,
}

/// Header and end of a listpack.
const LISTPACK_BYTES: usize = 7;

impl Node {
    fn new(first_id: Id, names_bytes: usize) -> Node {
        // The names are followed by a zero.
        let bytes = LISTPACK_BYTES + names_bytes + listpack::int_bytes(0);
        Node { first_id, bytes: bytes as u32, live: 0, deleted: 0 }
    }

    fn listpack_bytes(&self) -> usize {
        self.bytes as usize + listpack::int_bytes(self.live.into()) + listpack::int_bytes(self.deleted.into())
    }

    /// Whether an entry with so many bytes of names and values comes into another node.
    fn is_full(&self, entry_bytes: usize, limits: &Limits) -> bool {
        let bytes_max = match limits.stream_node_max_bytes {
            0 => ENTRY_BYTES_MAX,
            max => max.min(ENTRY_BYTES_MAX),
        };
        let entries = self.live as usize + self.deleted as usize;
        self.live == 0
            || self.listpack_bytes() + entry_bytes >= bytes_max
            || (limits.stream_node_max_entries > 0 && entries >= limits.stream_node_max_entries)
    }

    fn append(&mut self, id: Id, body: &Body) {
        let ms = id.ms.wrapping_sub(self.first_id.ms) as i64;
        let seq = id.seq.wrapping_sub(self.first_id.seq) as i64;
        self.bytes += (body.listpack_bytes + listpack::int_bytes(ms) + listpack::int_bytes(seq)) as u32;
        self.live += 1;
    }

    fn remove(&mut self, count: u32) {
        self.live -= count;
        self.deleted += count;
        if self.live == 0 {
            *self = Node::default();
        }
    }
}

/// A stream in one of its two forms.
#[derive(Clone)]
pub struct Stream(Form);

#[derive(Clone)]
enum Form {
    Small(Chunk<Meta>),
    Large(Arc<Large>),
}

#[derive(Clone)]
struct Large {
    meta: Meta,
    entries: Tree<Chunk>,
    groups: Groups,
}

/// An entry whose id is not above all others, or that is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadEntry {
    IdTooSmall,
    TooLarge,
}

/// Entries or a group that were taken out, to be dropped wherever that is cheap.
#[derive(Default)]
pub struct Removed {
    entries: Vec<Tree<Chunk>>,
    group: Option<Arc<Group>>,
}

impl Removed {
    fn group(group: Arc<Group>) -> Self {
        Removed { entries: Vec::new(), group: Some(group) }
    }

    /// About how many allocations dropping them gives back.
    pub fn free_effort(&self) -> usize {
        let entries = self.entries.iter().map(|tree| 1 + tree.heap_bytes() / chunk::ALLOCATION_BYTES_MAX);
        entries.sum::<usize>() + self.group.as_ref().map_or(0, |group| group.free_effort())
    }
}

impl Stream {
    pub fn new() -> Self {
        Stream(Form::Small(Chunk::empty(Meta::default())))
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        "stream"
    }

    #[inline]
    pub fn entries(&self) -> Entries<'_> {
        match &self.0 {
            Form::Small(chunk) => Entries::of_chunk(chunk),
            Form::Large(large) => Entries::of_tree(&large.entries),
        }
    }

    #[inline]
    fn meta(&self) -> &Meta {
        match &self.0 {
            Form::Small(chunk) => chunk.meta(),
            Form::Large(large) => &large.meta,
        }
    }

    fn set_meta(&mut self, meta: Meta) {
        match &mut self.0 {
            Form::Small(chunk) => chunk.set_meta(meta),
            Form::Large(large) => Arc::make_mut(large).meta = meta,
        }
    }

    /// The greatest id that an entry ever had, or that was set.
    #[inline]
    pub fn last_id(&self) -> Id {
        self.meta().last_id
    }

    pub fn set_last_id(&mut self, last_id: Id) {
        self.set_meta(Meta { last_id, ..*self.meta() });
    }

    /// The greatest id that was deleted one by one.
    pub fn max_deleted_id(&self) -> Id {
        self.meta().max_deleted_id
    }

    pub fn set_max_deleted_id(&mut self, max_deleted_id: Id) {
        self.set_meta(Meta { max_deleted_id, ..*self.meta() });
    }

    /// How many entries were ever added.
    pub fn entries_added(&self) -> u64 {
        self.meta().entries_added
    }

    pub fn set_entries_added(&mut self, entries_added: u64) {
        self.set_meta(Meta { entries_added, ..*self.meta() });
    }

    /// The lowest id that is there.
    pub fn first_id(&self) -> Option<Id> {
        self.entries().first_id()
    }

    // ---- change ----

    /// Adds an entry. Its id must be above [`last_id`](Stream::last_id).
    ///
    /// # Errors
    /// When it is not, or the entry is above [`ENTRY_BYTES_MAX`].
    pub fn append(&mut self, id: Id, fields: &(impl Fields + ?Sized), limits: &Limits) -> Result<(), BadEntry> {
        let entry_bytes: usize =
            (0..fields.count()).map(|i| fields.pair(i)).map(|(name, value)| name.len() + value.len()).sum();
        if entry_bytes > ENTRY_BYTES_MAX {
            return Err(BadEntry::TooLarge);
        }
        if id <= self.last_id() {
            return Err(BadEntry::IdTooSmall);
        }
        let begins_node = self.meta().node.is_full(entry_bytes, limits);
        self.append_to_node(id, fields, begins_node);
        Ok(())
    }

    /// Adds an entry as the first of a node or as another one of the last node, as a file tells of it. The same rules hold for the id.
    ///
    /// # Errors
    /// As for [`append`](Stream::append).
    pub fn append_from_file(
        &mut self,
        id: Id,
        fields: &(impl Fields + ?Sized),
        begins_node: bool,
    ) -> Result<(), BadEntry> {
        if id <= self.last_id() {
            return Err(BadEntry::IdTooSmall);
        }
        let begins_node = begins_node || self.meta().node.live == 0;
        self.append_to_node(id, fields, begins_node);
        Ok(())
    }

    fn append_to_node(&mut self, id: Id, fields: &(impl Fields + ?Sized), begins_node: bool) {
        let mut meta = *self.meta();
        let ends_node = begins_node && meta.node.live > 0;
        meta.last_id = id;
        meta.entries_added += 1;
        match &mut self.0 {
            Form::Small(chunk) => {
                if chunk.live() == 0 {
                    *chunk = Chunk::new(id, fields, meta);
                }
                let body = chunk.body(fields);
                if chunk.has_room(&body) && (!begins_node || chunk.has_names(fields)) {
                    meta.node = node_of(meta.node, begins_node, id, chunk);
                    meta.node.append(id, &body);
                    chunk.prepare_append(ends_node);
                    chunk.append(id, &body, Fit::Loose, meta);
                    return;
                }
            }
            Form::Large(_) => {}
        }
        self.large().append(id, fields, begins_node, meta);
    }

    /// The large form, made of the small one if need be.
    fn large(&mut self) -> &mut Large {
        if let Form::Small(chunk) = &self.0 {
            let (meta, entries) = (*chunk.meta(), Tree::new(chunk.with_meta(())));
            self.0 = Form::Large(Arc::new(Large { meta, entries, groups: Groups::default() }));
        }
        match &mut self.0 {
            Form::Large(large) => Arc::make_mut(large),
            Form::Small(_) => unreachable!("it was just made large"),
        }
    }

    /// Deletes an entry; answers whether it was there.
    pub fn remove(&mut self, id: Id) -> bool {
        let mut meta = *self.meta();
        let removed = match &mut self.0 {
            Form::Small(chunk) => chunk.remove(id, true),
            Form::Large(large) => {
                let found = large.entries.find(&mut way(&id)).contains(id);
                found && Arc::make_mut(large).remove(id)
            }
        };
        if removed {
            if meta.node.live > 0 && id >= meta.node.first_id {
                meta.node.remove(1);
            }
            meta.max_deleted_id = meta.max_deleted_id.max(id);
            self.set_meta(meta);
        }
        removed
    }

    /// Takes the first `count` entries out, or all if there are not so many.
    pub fn remove_first(&mut self, count: usize) -> Removed {
        let count = count.min(self.len());
        let mut removed = Removed::default();
        if count == 0 {
            return removed;
        }
        match &mut self.0 {
            Form::Small(chunk) => chunk.cut_front(count),
            Form::Large(large) => removed.entries = Arc::make_mut(large).remove_first(count),
        }
        let mut meta = *self.meta();
        match self.first_id() {
            None => meta.node = Node::default(),
            Some(first) if meta.node.live > 0 && first >= meta.node.first_id => {
                let left = self.len() as u32;
                meta.node.remove(meta.node.live - left);
            }
            Some(_) => {}
        }
        self.set_meta(meta);
        removed
    }

    /// How many entries are in the nodes at the front that have at most `most` entries together: what may go when nodes go whole.
    pub fn whole_nodes_by_len(&self, most: usize) -> usize {
        if most >= self.len() { self.len() } else { self.entries().node_end_by_rank(most) }
    }

    /// How many entries are in the nodes at the front whose ids are all below `id`.
    pub fn whole_nodes_below(&self, id: Id) -> usize {
        let entries = self.entries();
        if entries.last_id_kept().is_none_or(|last| last < id) { self.len() } else { entries.node_end_by_id(id) }
    }

    /// The counters that tell how far groups have read.
    pub fn progress(&self) -> Progress<'_> {
        Progress::new(*self.meta(), self.entries())
    }

    // ---- groups ----

    /// The groups, if there ever were any.
    pub fn groups(&self) -> Option<&Groups> {
        match &self.0 {
            Form::Small(_) => None,
            Form::Large(large) => Some(&large.groups),
        }
    }

    pub fn group(&self, name: &Name) -> Option<&Group> {
        self.groups()?.get(name)
    }

    /// The groups to change, beside the entries.
    pub fn groups_mut(&mut self) -> (&mut Groups, Entries<'_>) {
        let large = self.large();
        (&mut large.groups, Entries::of_tree(&large.entries))
    }

    /// Changes a group beside the entries, if it is there.
    pub fn change_group<R>(&mut self, name: &Name, change: impl FnOnce(&mut Group, Progress<'_>) -> R) -> Option<R> {
        self.group(name)?;
        let meta = *self.meta();
        let (groups, entries) = self.groups_mut();
        groups.change(name, |group| change(group, Progress::new(meta, entries)))
    }

    // ---- sizes ----

    /// About how many allocations freeing the stream gives back; 1 for a small one.
    pub fn free_effort(&self) -> usize {
        match &self.0 {
            Form::Small(_) => 1,
            Form::Large(large) => {
                let groups: usize = large.groups.iter().map(Group::free_effort).sum();
                2 + large.entries.heap_bytes() / chunk::ALLOCATION_BYTES_MAX + groups
            }
        }
    }

    /// Sizes of all allocations.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Small(chunk) => chunk.heap_bytes(),
            Form::Large(large) => {
                let groups: usize = large.groups.iter().map(Group::heap_bytes).sum();
                size_of::<Large>() + size_of::<usize>() + large.entries.heap_bytes() + large.groups.own_bytes() + groups
            }
        }
    }
}

/// The node that an entry comes into, which has the chunk's names.
fn node_of<M: Copy>(last: Node, begins_node: bool, id: Id, chunk: &Chunk<M>) -> Node {
    if begins_node { Node::new(id, chunk.names_listpack_bytes()) } else { last }
}

/// To the chunk that has an id.
fn way(id: &Id) -> ByKey<impl FnMut(&Id) -> bool> {
    ByKey(move |low: &Id| low <= id)
}

impl Large {
    fn append(&mut self, id: Id, fields: &(impl Fields + ?Sized), begins_node: bool, mut meta: Meta) {
        let ends_node = begins_node && meta.node.live > 0;
        let last = self.entries.find(&mut Last);
        let body = last.body(fields);
        let stays = last.live() > 0 && last.has_room(&body) && (!begins_node || last.has_names(fields));
        if stays {
            meta.node = node_of(meta.node, begins_node, id, last);
            meta.node.append(id, &body);
            self.meta = meta;
            return self.entries.edit(Last, (), |chunk, _| {
                chunk.prepare_append(ends_node);
                chunk.append(id, &body, Fit::Whole, ());
            });
        }
        let mut next = if begins_node { Chunk::new(id, fields, ()) } else { last.followed_from(id) };
        let is_empty = last.live() == 0;
        let body = next.body(fields);
        meta.node = node_of(meta.node, begins_node, id, &next);
        meta.node.append(id, &body);
        self.meta = meta;
        next.append(id, &body, Fit::Whole, ());
        if !is_empty {
            self.entries.edit(Last, (), |chunk, _| {
                chunk.prepare_append(ends_node);
                chunk.close();
            });
        }
        self.entries.push_back_leaf(id, next);
    }

    fn remove(&mut self, id: Id) -> bool {
        let is_last = self.entries.find(&mut Last).last().is_some_and(|last| last.id == id);
        self.entries.edit(way(&id), (), |chunk, _| chunk.remove(id, is_last))
    }

    /// Takes the first `count` entries out, which is not above the length.
    fn remove_first(&mut self, count: usize) -> Vec<Tree<Chunk>> {
        if count == self.entries.len() {
            return vec![std::mem::replace(&mut self.entries, Tree::new(Chunk::empty(())))];
        }
        let mut left = count;
        let removed = self.entries.take_front(&mut left);
        if left > 0 {
            self.entries.edit(First, (), |chunk, _| chunk.cut_front(left));
        }
        removed
    }
}

impl Default for Stream {
    fn default() -> Self {
        Self::new()
    }
}

/// All that is in it, but not how it is kept.
impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.entries().range(Id::MIN, Id::MAX);
        let entries: Vec<_> = entries.map(|entry| (entry.id.to_string(), entry.fields().collect::<Vec<_>>())).collect();
        f.debug_struct("Stream")
            .field("entries", &entries)
            .field("last_id", &self.last_id())
            .field("max_deleted_id", &self.max_deleted_id())
            .field("entries_added", &self.entries_added())
            .field("groups", &self.groups().into_iter().flat_map(|groups| groups.iter()).collect::<Vec<_>>())
            .finish()
    }
}

impl crate::value::Sealed for Stream {}

impl Word for Stream {
    const KINDS: u8 = 2;

    fn into_word(self) -> (u8, u64) {
        match self.0 {
            Form::Small(chunk) => (0, chunk.into_word().1),
            Form::Large(large) => (1, Arc::into_raw(large).expose_provenance() as u64),
        }
    }

    unsafe fn from_word(form: u8, word: u64) -> Self {
        // SAFETY: the form says which of the two gave the word.
        unsafe {
            Stream(match form {
                0 => Form::Small(Chunk::from_word(0, word)),
                _ => Form::Large(Arc::from_raw(std::ptr::with_exposed_provenance(word as usize))),
            })
        }
    }
}

#[cfg(test)]
mod tests;
