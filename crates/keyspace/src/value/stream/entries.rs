//! The entries of a stream, lent for reading: in ranges, from both ends.

use smallvec::SmallVec;

use super::chunk::{Chunk, Entry, Walk};
use super::{Id, Meta, way};
use crate::value::tree::{ByKey, ByRank, Cursor, Last, Tree};

/// The entries of a stream.
#[derive(Clone, Copy)]
pub struct Entries<'a>(Form<'a>);

#[derive(Clone, Copy)]
enum Form<'a> {
    Chunk(&'a Chunk<Meta>),
    Tree(&'a Tree<Chunk>),
}

impl<'a> Entries<'a> {
    pub(super) fn of_chunk(chunk: &'a Chunk<Meta>) -> Self {
        Entries(Form::Chunk(chunk))
    }

    pub(super) fn of_tree(tree: &'a Tree<Chunk>) -> Self {
        Entries(Form::Tree(tree))
    }

    #[inline]
    pub fn len(&self) -> usize {
        match self.0 {
            Form::Chunk(chunk) => chunk.live(),
            Form::Tree(tree) => tree.len(),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry with this id.
    pub fn get(&self, id: Id) -> Option<Entry<'a>> {
        self.range(id, id).next()
    }

    pub fn contains(&self, id: Id) -> bool {
        self.get(id).is_some()
    }

    /// The lowest id.
    pub fn first_id(&self) -> Option<Id> {
        self.range(Id::MIN, Id::MAX).next().map(|entry| entry.id)
    }

    /// Whether there is an entry with a higher id.
    #[inline]
    pub fn has_behind(&self, id: Id) -> bool {
        let last = match self.0 {
            Form::Chunk(chunk) => chunk.last(),
            Form::Tree(tree) => tree.find(&mut Last).last(),
        };
        match last {
            Some(last) if last.id <= id => false,
            Some(last) if !last.is_dead() => true,
            _ => self.last().is_some_and(|last| last.id > id),
        }
    }

    /// How many entries have a lower id.
    pub fn count_below(&self, id: Id) -> usize {
        match self.0 {
            Form::Chunk(chunk) => chunk.count_below(id),
            Form::Tree(tree) => {
                let (chunk, before) = tree.find_with_rank(&mut way(&id));
                before + chunk.count_below(id)
            }
        }
    }

    /// How many chunks the entries lie in.
    pub fn chunks_len(&self) -> usize {
        match self.0 {
            Form::Chunk(_) => 1,
            Form::Tree(tree) => tree.leaves().count(),
        }
    }

    /// The last entry.
    pub fn last(&self) -> Option<Entry<'a>> {
        self.rev_range(Id::MIN, Id::MAX).next()
    }

    /// The greatest id that is still told of, if only as a deleted one.
    pub(super) fn last_id_kept(&self) -> Option<Id> {
        match self.0 {
            Form::Chunk(chunk) => chunk.last().map(|entry| entry.id),
            Form::Tree(tree) => tree.find(&mut Last).last().map(|entry| entry.id),
        }
    }

    /// The entries from one id to another, both included.
    #[inline]
    pub fn range(&self, start: Id, end: Id) -> Range<'a> {
        let (cursor, mut walk) = match self.0 {
            Form::Chunk(chunk) => (None, chunk.walk()),
            Form::Tree(tree) => {
                let cursor = tree.cursor(&mut way(&start));
                let walk = cursor.leaf().walk();
                (Some(cursor), walk)
            }
        };
        walk.seek(start);
        Range { cursor, walk, end, with_dead: false }
    }

    /// All entries and what is left of deleted ones: the ends of nodes are told.
    pub fn all(&self) -> Range<'a> {
        Range { with_dead: true, ..self.range(Id::MIN, Id::MAX) }
    }

    /// The entries from one id back to another, both included: the highest first.
    pub fn rev_range(&self, start: Id, end: Id) -> RevRange<'a> {
        match self.0 {
            Form::Chunk(chunk) => RevRange::new(None, chunk.walk(), start, end),
            Form::Tree(tree) => {
                let cursor = tree.cursor(&mut way(&end));
                let walk = cursor.leaf().walk();
                RevRange::new(Some(cursor), walk, start, end)
            }
        }
    }

    /// How many entries are in nodes that end with at most `most` of them before, which is less than there are.
    pub(super) fn node_end_by_rank(&self, most: usize) -> usize {
        match self.0 {
            Form::Chunk(chunk) => chunk.node_end_by_rank(most).unwrap_or(0),
            Form::Tree(tree) => {
                let mut way = ByRank(most);
                let cursor = tree.cursor(&mut way);
                let within = way.0;
                back_to_node_end(cursor, most - within, |chunk, is_first| {
                    chunk.node_end_by_rank(if is_first { within } else { chunk.live() })
                })
            }
        }
    }

    /// How many entries are in nodes that end before this id.
    pub(super) fn node_end_by_id(&self, id: Id) -> usize {
        match self.0 {
            Form::Chunk(chunk) => chunk.node_end_by_id(id).unwrap_or(0),
            Form::Tree(tree) => {
                let mut to = way(&id);
                let (_, before) = tree.find_with_rank(&mut to);
                let cursor = tree.cursor(&mut ByKey(|low: &Id| *low <= id));
                back_to_node_end(cursor, before, |chunk, _| chunk.node_end_by_id(id))
            }
        }
    }
}

/// Goes back from a chunk to one in which a node ends. `before` is how many entries are before the first chunk that is looked at.
fn back_to_node_end(
    mut cursor: Cursor<'_, Chunk>,
    mut before: usize,
    end_in: impl Fn(&Chunk, bool) -> Option<usize>,
) -> usize {
    let mut is_first = true;
    loop {
        if let Some(count) = end_in(cursor.leaf(), is_first) {
            return before + count;
        }
        is_first = false;
        match cursor.move_prev() {
            Some(chunk) => before -= chunk.live(),
            None => return 0,
        }
    }
}

/// Entries in the order of their ids.
#[derive(Clone)]
pub struct Range<'a> {
    cursor: Option<Cursor<'a, Chunk>>,
    walk: Walk<'a>,
    end: Id,
    with_dead: bool,
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            match self.walk.next() {
                Some(entry) if entry.id > self.end => {
                    (self.cursor, self.walk) = (None, Walk::empty());
                    return None;
                }
                Some(entry) if entry.is_dead() && !self.with_dead => {}
                Some(entry) => return Some(entry),
                None => self.walk = self.cursor.as_mut()?.move_next()?.walk(),
            }
        }
    }
}

/// Entries against the order of their ids.
pub struct RevRange<'a> {
    cursor: Option<Cursor<'a, Chunk>>,
    /// Those of a chunk that are left.
    entries: SmallVec<[Entry<'a>; 8]>,
    start: Id,
    end: Id,
}

impl<'a> RevRange<'a> {
    fn new(cursor: Option<Cursor<'a, Chunk>>, walk: Walk<'a>, start: Id, end: Id) -> Self {
        let mut range = RevRange { cursor, entries: SmallVec::new(), start, end };
        range.hold(walk);
        range
    }

    fn hold(&mut self, mut walk: Walk<'a>) {
        walk.seek(self.start);
        let end = self.end;
        self.entries.extend(walk.take_while(|entry| entry.id <= end).filter(|entry| !entry.is_dead()));
    }
}

impl<'a> Iterator for RevRange<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some(entry) = self.entries.pop() {
                return Some(entry);
            }
            let cursor = self.cursor.as_mut()?;
            // A chunk has nothing for us when the one behind it begins below the range.
            if cursor.key() <= self.start {
                return None;
            }
            let walk = cursor.move_prev()?.walk();
            self.hold(walk);
        }
    }
}
