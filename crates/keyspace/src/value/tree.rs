//! A persistent B+-tree that counts its items: what a big collection is made of.
//!
//! ```text
//! Tree   one leaf, or a node
//! Node   up to 45 children, each with its number of items and the lower bound of its keys
//! Leaf   one allocation behind a counted pointer; what is in it is the collection's business
//! ```
//!
//! A clone takes O(1) and shares everything. An edit copies only what is shared on its path, so a snapshot may keep a clone while commands go
//! on. A child is found by rank or by comparing with lower bounds; leaves say when they are too full or too empty, and the tree splits and
//! joins them. It knows nothing of items.

use smallvec::SmallVec;
use triomphe::Arc;

use super::Word;

/// Children that fit a node; it is split before it is that full. With keys of no or eight bytes a node fills a size class of the allocator.
const FAN_OUT: usize = 46;
/// A node with fewer children joins a neighbour if that has room.
const CHILDREN_MIN: usize = 8;

/// A leaf: one pointer to a shared allocation, so that its clone is O(1). An edit copies the allocation when it is shared.
pub trait Leaf: Clone {
    /// What leaves are found by: a lower bound for each.
    type Key: Clone;
    /// What [`Leaf::is_over`] depends on.
    type Limit: Copy;

    /// A key that is not above any item.
    fn key_min() -> Self::Key;
    /// Items in the leaf.
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Size of the allocations.
    fn heap_bytes(&self) -> usize;
    /// Whether it should be split.
    fn is_over(&self, limit: Self::Limit) -> bool;
    /// Whether it should join a neighbour.
    fn is_under(&self) -> bool;
    /// Gives up its upper part, and says from which key on. `None` when it can't be split.
    fn split(&mut self) -> Option<(Self::Key, Self)>;
    /// Takes all items of its right neighbour, if both together stay well below a full leaf. Answers whether it did.
    fn absorb(&mut self, right: &Self, limit: Self::Limit) -> bool;
}

/// How to choose the child on the way down.
pub trait Way<L: Leaf> {
    /// The index of the child to go to; there is at least one.
    fn child(&mut self, keys: &[L::Key], lens: &Counts) -> usize;
    /// For the leaf that was reached: where in it.
    fn offset(&self) -> usize {
        0
    }
}

/// To the item with this many before it; past the end, to the end of the last leaf.
pub struct ByRank(pub usize);

impl<L: Leaf> Way<L> for ByRank {
    #[inline]
    fn child(&mut self, _keys: &[L::Key], lens: &Counts) -> usize {
        lens.find(&mut self.0)
    }

    fn offset(&self) -> usize {
        self.0
    }
}

/// To the last leaf whose lower bound the function accepts; it accepts all keys up to some place.
pub struct ByKey<F>(pub F);

impl<L: Leaf, F: FnMut(&L::Key) -> bool> Way<L> for ByKey<F> {
    #[inline]
    fn child(&mut self, keys: &[L::Key], _lens: &Counts) -> usize {
        keys[1..].partition_point(&mut self.0)
    }
}

/// To the first leaf.
pub struct First;

impl<L: Leaf> Way<L> for First {
    fn child(&mut self, _keys: &[L::Key], _lens: &Counts) -> usize {
        0
    }
}

/// To the last leaf.
pub struct Last;

impl<L: Leaf> Way<L> for Last {
    fn child(&mut self, keys: &[L::Key], _lens: &Counts) -> usize {
        keys.len() - 1
    }
}

/// The tree.
#[derive(Clone)]
pub struct Tree<L: Leaf>(Root<L>);

#[derive(Clone)]
enum Root<L: Leaf> {
    Leaf(L),
    Node(Arc<Node<L>>),
}

struct Node<L: Leaf> {
    len: usize,
    heap_bytes: usize,
    /// The lower bound of each child; the first one is not compared.
    keys: SmallVec<[L::Key; FAN_OUT]>,
    lens: Counts,
    children: Children<L>,
}

/// The number of items of each child. Nodes above leaves are many, and a leaf has few items; the others need the room.
#[derive(Clone, PartialEq, Debug)]
pub enum Counts {
    OfLeaves(SmallVec<[u32; FAN_OUT]>),
    OfNodes(Box<SmallVec<[usize; FAN_OUT]>>),
}

#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "a leaf is one pointer too, so the variants are of one size")]
enum Children<L: Leaf> {
    Nodes(SmallVec<[Arc<Node<L>>; FAN_OUT]>),
    Leaves(SmallVec<[L; FAN_OUT]>),
}

type Split<L> = Option<(<L as Leaf>::Key, Arc<Node<L>>)>;

impl<L: Leaf> Tree<L> {
    /// A tree of one leaf.
    pub fn new(leaf: L) -> Self {
        Tree(Root::Leaf(leaf))
    }

    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Root::Leaf(leaf) => leaf.len(),
            Root::Node(node) => node.len,
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sizes of all allocations.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Root::Leaf(leaf) => leaf.heap_bytes(),
            Root::Node(node) => node.heap_bytes,
        }
    }

    /// The leaf at the end of a way.
    #[inline]
    pub fn find(&self, way: &mut impl Way<L>) -> &L {
        self.find_ranked::<false>(way).0
    }

    /// The leaf at the end of a way, and how many items are before that leaf.
    #[inline]
    pub fn find_with_rank(&self, way: &mut impl Way<L>) -> (&L, usize) {
        self.find_ranked::<true>(way)
    }

    #[inline]
    fn find_ranked<const RANK: bool>(&self, way: &mut impl Way<L>) -> (&L, usize) {
        let mut rank = 0;
        let mut node = match &self.0 {
            Root::Leaf(leaf) => return (leaf, 0),
            Root::Node(node) => node,
        };
        loop {
            let i = way.child(&node.keys, &node.lens);
            if RANK {
                rank += node.lens.before(i);
            }
            match &node.children {
                Children::Nodes(nodes) => node = &nodes[i],
                Children::Leaves(leaves) => return (&leaves[i], rank),
            }
        }
    }

    /// A cursor at the leaf at the end of a way.
    pub fn cursor(&self, way: &mut impl Way<L>) -> Cursor<'_, L> {
        let mut path = SmallVec::new();
        let mut node = match &self.0 {
            Root::Leaf(leaf) => return Cursor { path, leaf },
            Root::Node(node) => node,
        };
        loop {
            let i = way.child(&node.keys, &node.lens);
            path.push((&**node, i));
            match &node.children {
                Children::Nodes(nodes) => node = &nodes[i],
                Children::Leaves(leaves) => return Cursor { path, leaf: &leaves[i] },
            }
        }
    }

    /// All leaves in order.
    pub fn leaves(&self) -> Leaves<'_, L> {
        Leaves { cursor: self.cursor(&mut First), started: false }
    }

    /// Edits the leaf at the end of a way, then splits or joins it as it asks for. `edit` also gets the way's offset in the leaf.
    pub fn edit<R>(&mut self, mut way: impl Way<L>, limit: L::Limit, edit: impl FnOnce(&mut L, usize) -> R) -> R {
        match &mut self.0 {
            Root::Leaf(leaf) => {
                let out = edit(leaf, way.offset());
                if leaf.is_over(limit) {
                    self.grow_from_leaf(limit);
                }
                out
            }
            Root::Node(root) => {
                let (out, split) = Node::edit(root, &mut way, limit, edit);
                self.settle(split);
                out
            }
        }
    }

    /// Appends a leaf. `key` is its lower bound.
    pub fn push_back_leaf(&mut self, key: L::Key, leaf: L) {
        self.push_leaf(key, leaf, false);
    }

    /// Prepends a leaf to a tree whose leaves are only found by rank.
    pub fn push_front_leaf(&mut self, leaf: L) {
        self.push_leaf(L::key_min(), leaf, true);
    }

    fn push_leaf(&mut self, key: L::Key, leaf: L, front: bool) {
        if let Root::Leaf(only) = &self.0 {
            if only.is_empty() {
                self.0 = Root::Leaf(leaf);
                return;
            }
            self.0 = Root::Node(Arc::new(Node::of_leaf(only.clone())));
        }
        if let Root::Node(root) = &mut self.0 {
            let split = Node::push_leaf(root, key, leaf, front);
            self.settle(split);
        }
    }

    /// Takes the leaves out whose items all have less than `rank` others before them, and answers them. `rank` becomes that within the first leaf
    /// that is left: the caller takes so many items out of it. At least one item stays: for all of them, take the tree.
    pub fn take_front(&mut self, rank: &mut usize) -> Vec<Tree<L>> {
        let mut taken = Vec::new();
        if let Root::Node(root) = &mut self.0 {
            *rank = (*rank).min(root.len - 1);
            Node::take_front(root, rank, &mut taken);
            self.settle(None);
        }
        taken
    }

    fn grow_from_leaf(&mut self, limit: L::Limit) {
        let Root::Leaf(leaf) = &self.0 else { return };
        let mut node = Node::of_leaf(leaf.clone());
        // The tree's own handle goes first, so that splitting the leaf need not copy it.
        let nothing = Children::Leaves(SmallVec::new());
        let placeholder =
            Arc::new(Node { len: 0, heap_bytes: 0, keys: SmallVec::new(), lens: Counts::default(), children: nothing });
        self.0 = Root::Node(placeholder);
        node.settle_leaf(0, 0, limit);
        node.recount();
        self.0 = Root::Node(Arc::new(node));
        self.settle(None);
    }

    /// After an edit: a root that was split gets a parent, one with a single child gives way to it.
    fn settle(&mut self, split: Split<L>) {
        let Root::Node(root) = &mut self.0 else { return };
        if let Some((key, right)) = split {
            let left = root.clone();
            let mut parent = Node {
                len: 0,
                heap_bytes: 0,
                keys: smallvec::smallvec![L::key_min(), key],
                lens: Counts::default(),
                children: Children::Nodes(smallvec::smallvec![left, right]),
            };
            parent.recount();
            self.0 = Root::Node(Arc::new(parent));
            return;
        }
        while let Root::Node(root) = &self.0
            && root.children.len() == 1
        {
            let only = match &root.children {
                Children::Nodes(nodes) => Root::Node(nodes[0].clone()),
                Children::Leaves(leaves) => Root::Leaf(leaves[0].clone()),
            };
            self.0 = only;
        }
    }

    #[cfg(test)]
    pub(super) fn check(&self, mut each: impl FnMut(&L, &L::Key, Option<&L::Key>)) {
        match &self.0 {
            Root::Leaf(leaf) => each(leaf, &L::key_min(), None),
            Root::Node(root) => {
                assert!(root.children.len() > 1);
                root.check(&L::key_min(), None, &mut each);
            }
        }
    }
}

/// What an inner node's counts need beside it.
const COUNTS_BYTES: usize = size_of::<SmallVec<[usize; FAN_OUT]>>();

fn narrow(len: usize) -> u32 {
    u32::try_from(len).expect("a leaf has few items")
}

/// A count that a list of counts holds.
trait Count: Copy {
    fn wide(self) -> usize;
}

impl Count for u32 {
    fn wide(self) -> usize {
        self as usize
    }
}

impl Count for usize {
    fn wide(self) -> usize {
        self
    }
}

/// The index of the child with the item that has `rank` before it; `rank` becomes that within the child. Past the end it is the last child.
#[inline]
fn find_rank(counts: &[impl Count], rank: &mut usize) -> usize {
    let last = counts.len() - 1;
    for (i, count) in counts[..last].iter().enumerate() {
        if *rank < count.wide() {
            return i;
        }
        *rank -= count.wide();
    }
    last
}

impl Default for Counts {
    fn default() -> Self {
        Counts::OfLeaves(SmallVec::new())
    }
}

impl Counts {
    #[inline]
    fn find(&self, rank: &mut usize) -> usize {
        match self {
            Counts::OfLeaves(counts) => find_rank(counts, rank),
            Counts::OfNodes(counts) => find_rank(counts, rank),
        }
    }

    #[inline]
    fn get(&self, i: usize) -> usize {
        match self {
            Counts::OfLeaves(counts) => counts[i].wide(),
            Counts::OfNodes(counts) => counts[i],
        }
    }

    /// Items of the children before child `i`.
    fn before(&self, i: usize) -> usize {
        match self {
            Counts::OfLeaves(counts) => counts[..i].iter().map(|count| count.wide()).sum(),
            Counts::OfNodes(counts) => counts[..i].iter().sum(),
        }
    }

    #[inline]
    fn set(&mut self, i: usize, len: usize) {
        match self {
            Counts::OfLeaves(counts) => counts[i] = narrow(len),
            Counts::OfNodes(counts) => counts[i] = len,
        }
    }

    fn insert(&mut self, i: usize, len: usize) {
        match self {
            Counts::OfLeaves(counts) => counts.insert(i, narrow(len)),
            Counts::OfNodes(counts) => counts.insert(i, len),
        }
    }

    fn remove(&mut self, i: usize) -> usize {
        match self {
            Counts::OfLeaves(counts) => counts.remove(i).wide(),
            Counts::OfNodes(counts) => counts.remove(i),
        }
    }

    fn append(&mut self, other: &Self) {
        match (self, other) {
            (Counts::OfLeaves(a), Counts::OfLeaves(b)) => a.extend_from_slice(b),
            (Counts::OfNodes(a), Counts::OfNodes(b)) => a.extend_from_slice(b),
            _ => unreachable!("all leaves are at the same depth"),
        }
    }

    /// What is left goes back inline when it had spilled.
    fn truncate(&mut self, len: usize) {
        match self {
            Counts::OfLeaves(counts) => {
                counts.truncate(len);
                counts.shrink_to_fit();
            }
            Counts::OfNodes(counts) => {
                counts.truncate(len);
                counts.shrink_to_fit();
            }
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        match self {
            Counts::OfLeaves(counts) => counts.len(),
            Counts::OfNodes(counts) => counts.len(),
        }
    }
}

impl<L: Leaf> Children<L> {
    #[inline]
    fn len(&self) -> usize {
        match self {
            Children::Nodes(nodes) => nodes.len(),
            Children::Leaves(leaves) => leaves.len(),
        }
    }

    fn remove(&mut self, i: usize) {
        match self {
            Children::Nodes(nodes) => drop(nodes.remove(i)),
            Children::Leaves(leaves) => drop(leaves.remove(i)),
        }
    }

    fn split_off(&mut self, at: usize) -> Self {
        match self {
            Children::Nodes(nodes) => Children::Nodes(split_off(nodes, at)),
            Children::Leaves(leaves) => Children::Leaves(split_off(leaves, at)),
        }
    }

    fn append(&mut self, other: &Self) {
        match (self, other) {
            (Children::Nodes(a), Children::Nodes(b)) => a.extend(b.iter().cloned()),
            (Children::Leaves(a), Children::Leaves(b)) => a.extend(b.iter().cloned()),
            _ => unreachable!("all leaves are at the same depth"),
        }
    }
}

/// What is left goes back inline when it had spilled.
fn split_off<T>(items: &mut SmallVec<[T; FAN_OUT]>, at: usize) -> SmallVec<[T; FAN_OUT]> {
    let rest = items.drain(at..).collect();
    items.shrink_to_fit();
    rest
}

impl<L: Leaf> Clone for Node<L> {
    fn clone(&self) -> Self {
        Node {
            len: self.len,
            heap_bytes: self.heap_bytes,
            keys: self.keys.clone(),
            lens: self.lens.clone(),
            children: self.children.clone(),
        }
    }
}

impl<L: Leaf> Node<L> {
    const HEAP_BYTES: usize = size_of::<Self>() + size_of::<usize>();

    /// Without its children.
    fn own_bytes(&self) -> usize {
        match self.lens {
            Counts::OfLeaves(_) => Self::HEAP_BYTES,
            Counts::OfNodes(_) => Self::HEAP_BYTES + COUNTS_BYTES,
        }
    }

    fn of_leaf(leaf: L) -> Self {
        let mut node = Node {
            len: 0,
            heap_bytes: 0,
            keys: smallvec::smallvec![L::key_min()],
            lens: Counts::default(),
            children: Children::Leaves(smallvec::smallvec![leaf]),
        };
        node.recount();
        node
    }

    /// Sums everything up again, after children moved between nodes.
    fn recount(&mut self) {
        self.heap_bytes = Self::HEAP_BYTES;
        match &self.children {
            Children::Nodes(nodes) => {
                self.lens = Counts::OfNodes(Box::new(nodes.iter().map(|n| n.len).collect()));
                self.heap_bytes += COUNTS_BYTES;
                self.heap_bytes += nodes.iter().map(|n| n.heap_bytes).sum::<usize>();
            }
            Children::Leaves(leaves) => {
                self.lens = Counts::OfLeaves(leaves.iter().map(|l| narrow(l.len())).collect());
                self.heap_bytes += leaves.iter().map(|l| l.heap_bytes()).sum::<usize>();
            }
        }
        self.len = self.lens.before(self.children.len());
    }

    fn edit<R>(
        this: &mut Arc<Self>,
        way: &mut impl Way<L>,
        limit: L::Limit,
        edit: impl FnOnce(&mut L, usize) -> R,
    ) -> (R, Split<L>) {
        let node = Arc::make_mut(this);
        let i = way.child(&node.keys, &node.lens);
        let out = match &mut node.children {
            Children::Leaves(leaves) => {
                let bytes = leaves[i].heap_bytes();
                let out = edit(&mut leaves[i], way.offset());
                node.settle_leaf(i, bytes, limit);
                out
            }
            Children::Nodes(nodes) => {
                let bytes = nodes[i].heap_bytes;
                let (out, split) = Node::edit(&mut nodes[i], way, limit, edit);
                node.settle_node(i, bytes, split);
                out
            }
        };
        (out, node.split_if_over(|count| count / 2))
    }

    fn push_leaf(this: &mut Arc<Self>, key: L::Key, leaf: L, front: bool) -> Split<L> {
        let node = Arc::make_mut(this);
        let end = node.children.len();
        let i = if front { 0 } else { end - 1 };
        match &mut node.children {
            Children::Leaves(leaves) => {
                let at = if front { 0 } else { end };
                node.len += leaf.len();
                node.heap_bytes += leaf.heap_bytes();
                node.lens.insert(at, leaf.len());
                node.keys.insert(at, key);
                leaves.insert(at, leaf);
            }
            Children::Nodes(nodes) => {
                let bytes = nodes[i].heap_bytes;
                let split = Node::push_leaf(&mut nodes[i], key, leaf, front);
                node.settle_node(i, bytes, split);
            }
        }
        // Whoever pushes goes on at that end: the node behind stays full.
        node.split_if_over(|count| if front { 1 } else { count - 1 })
    }

    fn take_front(this: &mut Arc<Self>, rank: &mut usize, taken: &mut Vec<Tree<L>>) {
        let node = Arc::make_mut(this);
        let last = node.children.len() - 1;
        let whole = (0..last).take_while(|&i| {
            let goes = node.lens.get(i) <= *rank;
            *rank -= if goes { node.lens.get(i) } else { 0 };
            goes
        });
        let whole = whole.count();
        let rest = node.children.split_off(whole);
        match std::mem::replace(&mut node.children, rest) {
            Children::Nodes(nodes) => taken.extend(nodes.into_iter().map(|node| Tree(Root::Node(node)))),
            Children::Leaves(leaves) => taken.extend(leaves.into_iter().map(|leaf| Tree(Root::Leaf(leaf)))),
        }
        node.keys.drain(..whole);
        if let Children::Nodes(nodes) = &mut node.children {
            Node::take_front(&mut nodes[0], rank, taken);
        }
        node.recount();
        if matches!(&node.children, Children::Nodes(nodes) if nodes.len() > 1 && nodes[0].children.len() < CHILDREN_MIN)
        {
            node.join_node(0);
        }
    }

    /// Child `left` has the items of the one after it too, which is about to be removed with what is counted for it.
    fn join_counts(&mut self, left: usize) {
        let len = self.lens.get(left + 1);
        self.lens.set(left, self.lens.get(left) + len);
        self.len += len;
    }

    fn set_len(&mut self, i: usize, len: usize) {
        self.len = self.len - self.lens.get(i) + len;
        self.lens.set(i, len);
    }

    /// Takes a child out that has no items. Its left neighbour takes over its range of keys, or its right one if it is the first.
    fn remove(&mut self, i: usize) {
        self.children.remove(i);
        self.len -= self.lens.remove(i);
        self.keys.remove(i.max(1));
    }

    /// After an edit of leaf `i`, which had `bytes` before.
    fn settle_leaf(&mut self, i: usize, bytes: usize, limit: L::Limit) {
        let Children::Leaves(leaves) = &mut self.children else { return };
        let (len, over, under) = (leaves[i].len(), leaves[i].is_over(limit), leaves[i].is_under());
        self.heap_bytes = self.heap_bytes + leaves[i].heap_bytes() - bytes;
        self.set_len(i, len);
        if over {
            self.split_leaf(i, limit);
        } else if under && self.children.len() > 1 {
            self.join_leaf(i, limit);
        }
    }

    fn split_leaf(&mut self, i: usize, limit: L::Limit) {
        let Children::Leaves(leaves) = &mut self.children else { return };
        let (mut at, mut end) = (i, i + 1);
        while at < end {
            let bytes = leaves[at].heap_bytes();
            // One edit adds few children; what is still too full is split by the next one.
            if leaves.len() < FAN_OUT + 4
                && leaves[at].is_over(limit)
                && let Some((key, right)) = leaves[at].split()
            {
                self.heap_bytes = self.heap_bytes + leaves[at].heap_bytes() + right.heap_bytes() - bytes;
                self.lens.set(at, leaves[at].len());
                self.lens.insert(at + 1, right.len());
                self.keys.insert(at + 1, key);
                leaves.insert(at + 1, right);
                end += 1;
            } else {
                at += 1;
            }
        }
    }

    fn join_leaf(&mut self, i: usize, limit: L::Limit) {
        let Children::Leaves(leaves) = &mut self.children else { return };
        if leaves[i].is_empty() {
            self.heap_bytes -= leaves[i].heap_bytes();
            self.remove(i);
            return;
        }
        for left in [i, i.wrapping_sub(1)] {
            let Some([a, b]) = leaves.get_mut(left..).and_then(|l| l.first_chunk_mut::<2>()) else { continue };
            let before = a.heap_bytes() + b.heap_bytes();
            if a.absorb(b, limit) {
                self.heap_bytes = self.heap_bytes + a.heap_bytes() - before;
                self.join_counts(left);
                self.remove(left + 1);
                return;
            }
        }
    }

    /// After an edit of node `i`, which had `bytes` before.
    fn settle_node(&mut self, i: usize, bytes: usize, split: Split<L>) {
        let Children::Nodes(nodes) = &mut self.children else { return };
        let (len, children) = (nodes[i].len, nodes[i].children.len());
        self.heap_bytes = self.heap_bytes + nodes[i].heap_bytes - bytes;
        if let Some((key, right)) = split {
            self.heap_bytes += right.heap_bytes;
            self.len += right.len;
            self.lens.insert(i + 1, right.len);
            self.keys.insert(i + 1, key);
            nodes.insert(i + 1, right);
            self.set_len(i, len);
        } else if len == 0 && nodes.len() > 1 {
            self.heap_bytes -= nodes[i].heap_bytes;
            self.set_len(i, 0);
            self.remove(i);
        } else {
            self.set_len(i, len);
            if children < CHILDREN_MIN {
                self.join_node(i);
            }
        }
    }

    fn join_node(&mut self, i: usize) {
        let Children::Nodes(nodes) = &mut self.children else { return };
        for left in [i, i.wrapping_sub(1)] {
            let Some([a, b]) = nodes.get_mut(left..).and_then(|n| n.first_chunk_mut::<2>()) else { continue };
            if a.children.len() + b.children.len() > FAN_OUT * 3 / 4 {
                continue;
            }
            let a = Arc::make_mut(a);
            a.keys.push(self.keys[left + 1].clone());
            a.keys.extend(b.keys[1..].iter().cloned());
            a.lens.append(&b.lens);
            a.children.append(&b.children);
            a.len += b.len;
            let own = a.own_bytes();
            a.heap_bytes += b.heap_bytes - own;
            self.heap_bytes -= own;
            self.join_counts(left);
            self.remove(left + 1);
            return;
        }
    }

    /// Splits a node that is full, where `at` says for its number of children.
    fn split_if_over(&mut self, at: impl FnOnce(usize) -> usize) -> Split<L> {
        let count = self.children.len();
        if count < FAN_OUT {
            return None;
        }
        let at = at(count);
        let keys = split_off(&mut self.keys, at);
        let mut right =
            Node { len: 0, heap_bytes: 0, lens: Counts::default(), children: self.children.split_off(at), keys };
        right.recount();
        self.lens.truncate(at);
        self.len -= right.len;
        self.heap_bytes -= right.heap_bytes - right.own_bytes();
        Some((right.keys[0].clone(), Arc::new(right)))
    }

    #[cfg(test)]
    fn check(&self, low: &L::Key, high: Option<&L::Key>, each: &mut impl FnMut(&L, &L::Key, Option<&L::Key>)) {
        let count = self.children.len();
        assert!(count > 0 && count < FAN_OUT);
        assert!(self.keys.len() == count && self.lens.len() == count);
        let mut again = self.clone();
        again.recount();
        assert_eq!((again.len, again.heap_bytes, &again.lens), (self.len, self.heap_bytes, &self.lens));
        for i in 0..count {
            let low = if i == 0 { low } else { &self.keys[i] };
            let high = self.keys.get(i + 1).or(high);
            match &self.children {
                Children::Nodes(nodes) => nodes[i].check(low, high, each),
                Children::Leaves(leaves) => each(&leaves[i], low, high),
            }
        }
    }
}

impl<L: Leaf> crate::value::Sealed for Tree<L> {}

impl<L: Leaf + Word> Word for Tree<L> {
    const KINDS: u8 = 1;

    /// Both pointers are aligned to eight bytes: the lowest bit says that it is a leaf.
    fn into_word(self) -> (u8, u64) {
        let word = match self.0 {
            Root::Leaf(leaf) => leaf.into_word().1 | 1,
            Root::Node(node) => Arc::into_raw(node).expose_provenance() as u64,
        };
        (0, word)
    }

    unsafe fn from_word(_form: u8, word: u64) -> Self {
        if word & 1 == 1 {
            // SAFETY: `into_word` of a leaf gave this word, with the lowest bit clear.
            return Tree(Root::Leaf(unsafe { L::from_word(0, word & !1) }));
        }
        // SAFETY: by the caller's word this is the pointer that `into_raw` gave.
        Tree(Root::Node(unsafe { Arc::from_raw(std::ptr::with_exposed_provenance(word as usize)) }))
    }
}

/// A place among the leaves.
pub struct Cursor<'a, L: Leaf> {
    path: SmallVec<[(&'a Node<L>, usize); 6]>,
    leaf: &'a L,
}

impl<L: Leaf> Clone for Cursor<'_, L> {
    fn clone(&self) -> Self {
        Cursor { path: self.path.clone(), leaf: self.leaf }
    }
}

impl<'a, L: Leaf> Cursor<'a, L> {
    #[inline]
    pub fn leaf(&self) -> &'a L {
        self.leaf
    }

    /// The lower bound of the leaf's keys.
    pub fn key(&self) -> L::Key {
        self.path.iter().rev().find(|(_, i)| *i > 0).map_or_else(L::key_min, |(node, i)| node.keys[*i].clone())
    }

    /// Moves to the next leaf. `None` leaves the cursor at the last.
    pub fn move_next(&mut self) -> Option<&'a L> {
        let depth = self.path.iter().rposition(|(node, i)| i + 1 < node.children.len())?;
        self.path.truncate(depth + 1);
        self.path[depth].1 += 1;
        Some(self.descend(|_| 0))
    }

    /// Moves to the leaf before. `None` leaves the cursor at the first.
    pub fn move_prev(&mut self) -> Option<&'a L> {
        let depth = self.path.iter().rposition(|(_, i)| *i > 0)?;
        self.path.truncate(depth + 1);
        self.path[depth].1 -= 1;
        Some(self.descend(|node| node.children.len() - 1))
    }

    fn descend(&mut self, choose: impl Fn(&Node<L>) -> usize) -> &'a L {
        while let Some(&(node, i)) = self.path.last() {
            match &node.children {
                Children::Nodes(nodes) => self.path.push((&nodes[i], choose(&nodes[i]))),
                Children::Leaves(leaves) => {
                    self.leaf = &leaves[i];
                    break;
                }
            }
        }
        self.leaf
    }
}

/// The leaves of a tree in order.
pub struct Leaves<'a, L: Leaf> {
    cursor: Cursor<'a, L>,
    started: bool,
}

impl<'a, L: Leaf> Iterator for Leaves<'a, L> {
    type Item = &'a L;

    fn next(&mut self) -> Option<&'a L> {
        if !self.started {
            self.started = true;
            return Some(self.cursor.leaf());
        }
        self.cursor.move_next()
    }
}
