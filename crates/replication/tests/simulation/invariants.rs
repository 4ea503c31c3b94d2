//! What must hold in every run. Data is represented by a digest of all writes in their order, so that two nodes have
//! equal digests only if they executed the same writes in the same order.

use rivulet_replication::history::Kinship;
use rivulet_replication::position::{Position, ReplId};
use std::collections::HashMap;

use crate::data::Data;
use crate::node::Node;

/// The data at each position that any node has ever been at.
#[derive(Debug, Default)]
pub struct Truth {
    at: HashMap<Position, Data>,
}

impl Truth {
    /// Applied is a prefix: whoever stands at a position of a history has the same data.
    pub fn applied_is_a_prefix(&mut self, node: usize, position: Position, data: Data) {
        let known = *self.at.entry(position).or_insert(data);
        assert_eq!(known, data, "node {node} at {position} has other data than the first that was there");
    }
}

/// Continue leaves no gap, and keeps to the fork's bound: the replica goes on exactly where it is, and has exactly the
/// data that its master had at that offset. Both is known apart: what the replica goes on from, what the master granted.
pub fn continue_leaves_no_gap(replica: usize, goes_on: (u64, Position, Data), granted: (u64, Option<Data>)) {
    let (from, at, data) = goes_on;
    assert_eq!(at.offset, from, "node {replica} goes on where it is not");
    assert_eq!(granted, (from, Some(data)), "node {replica} goes on from other data than its master's");
}

/// The same bytes at the same offsets, as far as both logs reach.
pub fn logs_agree(a: &Node, b: &Node) {
    let (Some(x), Some(y)) = (a.log.window(), b.log.window()) else { return };
    let first = x.first.max(y.first);
    let len = x.end.min(y.end).saturating_sub(first) as usize;
    if len > 0 {
        let same = a.stream(first, len) == b.stream(first, len);
        assert!(same, "the logs of {} and {} differ after {first}", a.index, b.index);
    }
}

/// An ack is never ahead: not of the master's stream, and not of what the replica has applied.
pub fn ack_is_never_ahead(acked: u64, replica: &Node, master: &Node) {
    assert!(acked <= master.log.end_offset(), "node {} acknowledges bytes that do not exist", replica.index);
    let applied = replica.applied.applied();
    assert!(acked <= applied, "node {} acknowledges {acked} and has applied {applied}", replica.index);
}

/// What a replica says is durable is: a loss of power would not take it.
pub fn fsynced_is_never_ahead(fsynced: u64, replica: &Node) {
    let durable = replica.disk.as_ref().and_then(|disk| disk.synced());
    assert!(Some(fsynced) <= durable, "node {} says that {fsynced} is durable, and {durable:?} is", replica.index);
}

/// A full sync has a reason: the replica has no position, or other data than the master at that offset, or the master
/// lacks what follows, or it can't know that the data is the same.
pub fn full_sync_has_a_reason(asked: Option<(ReplId, i64)>, replica: &Node, master: &Node) {
    let Some((id, byte)) = asked else {
        let position = replica.link.as_ref().and_then(|link| link.position());
        return assert_eq!(position, None, "node {} does not ask for what it misses", replica.index);
    };
    let from = byte as u64 - 1;
    let held = master.log.window().is_some_and(|window| (window.first..=window.end).contains(&from));
    let same = master.trail.get(&from) == Some(&replica.data) && replica.log.end_offset() == from;
    let mut ids = master.history.ancestors().iter().map(|old| (old.id, old.asked_max as i64));
    let known = id == master.history.id() || ids.any(|(old, asked_max)| old == id && byte <= asked_max);
    assert!(!(held && same && known), "node {} could go on from {}, at {byte} of {id}", replica.index, master.index);
}

/// Rule 41: where all keep append-only files and nobody loses power, a node that belongs to a history never needs a
/// full sync again. But for one that misses what its master, new itself, has in no file: files begin with the first
/// rewrite after a full sync, and nothing is removed from them here.
pub fn no_full_sync_after_a_kill(asked: Option<(ReplId, i64)>, replica: &Node, master: &Node) {
    let first = master.log.window().map_or(0, |window| window.first);
    let shares = |id, byte| master.history.kinship(id, byte) == Kinship::Shared;
    let before_all = asked.is_some_and(|(id, byte)| shares(id, byte) && byte <= first as i64);
    let text = "belongs to the history and needs a full sync from";
    assert!(!replica.belongs || before_all, "node {} {text} {}", replica.index, master.index);
}

/// Everything converges: all nodes have one history, one offset, one state.
pub fn everything_is_equal(nodes: &[Node]) -> Result<(), String> {
    let root = nodes.iter().find(|node| node.link.is_none()).expect("one node is the master");
    for node in nodes {
        let state = |node: &Node| (node.history.id(), node.log.end_offset(), node.data);
        if state(node) != state(root) || node.link.as_ref().is_some_and(|link| !link.is_up()) {
            let link = node.link.as_ref().map_or("master", |link| link.role_state());
            return Err(format!(
                "node {} ({link}) is at {:?}, the master at {:?}",
                node.index,
                state(node),
                state(root)
            ));
        }
    }
    Ok(())
}
