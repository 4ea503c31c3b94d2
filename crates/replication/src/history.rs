//! Which histories a node's data belongs to: its own id, and those that it shared with others up to a fork.
//!
//! This is what lets a failover cost a partial resync. It knows nothing about which bytes are still held; that is
//! [`crate::log`].

use crate::position::{Position, ReplId};

/// The ids under which this node's stream is known. Redis keeps one former id; here the last few are kept, so that a
/// replica that was away for several failovers or crashes still finds its own among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    id: ReplId,
    /// Oldest first; `asked_max` never falls.
    ancestors: Vec<Ancestor>,
}

/// A former id, which this node's stream shares with others up to a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ancestor {
    pub id: ReplId,
    /// The number of the first byte that is not shared any more, which a replica may still ask for
    /// (`second_repl_offset`).
    pub asked_max: u64,
}

/// What an id that a replica names means to this history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinship {
    /// The id is ours, or a former one and the offset lies before the fork.
    Shared,
    /// A former id, but the replica went on after the fork.
    PastFork {
        asked_max: u64,
    },
    Stranger,
}

impl History {
    /// So many former ids are kept.
    pub const ANCESTORS_MAX: usize = 16;

    /// A history of one's own, without a past.
    pub fn new(id: ReplId) -> History {
        History { id, ancestors: Vec::new() }
    }

    /// A history as it was written down. `None` if its ancestors are not in order.
    pub fn restored(id: ReplId, ancestors: Vec<Ancestor>) -> Option<History> {
        let in_order = ancestors.is_sorted_by_key(|ancestor| ancestor.asked_max);
        (in_order && ancestors.len() <= Self::ANCESTORS_MAX).then_some(History { id, ancestors })
    }

    /// A former master takes its saved history up again: as a promotion at `offset` (rules 40 and 41).
    pub fn recovered(saved: ReplId, offset: u64, new: ReplId) -> History {
        let mut history = History::new(saved);
        history.promote(new, offset);
        history
    }

    pub fn id(&self) -> ReplId {
        self.id
    }

    /// The former ids, oldest first.
    pub fn ancestors(&self) -> &[Ancestor] {
        &self.ancestors
    }

    /// The youngest former id.
    pub fn second(&self) -> Option<Ancestor> {
        self.ancestors.last().copied()
    }

    /// INFO's `master_replid2`: zeros when there is none.
    pub fn second_id(&self) -> ReplId {
        self.second().map_or(ReplId::ZERO, |second| second.id)
    }

    /// INFO's `second_repl_offset`: -1 when there is none.
    pub fn second_offset(&self) -> i64 {
        self.second().map_or(-1, |second| second.asked_max as i64)
    }

    /// The position under which most others know data that end at `offset`: as long as not a byte came since a fork, the
    /// data are those of the id before it.
    pub fn position_at(&self, offset: u64) -> Position {
        let same = self.ancestors.iter().find(|ancestor| ancestor.asked_max == offset + 1);
        Position { id: same.map_or(self.id, |ancestor| ancestor.id), offset }
    }

    /// A replica becomes a master at `offset`: what it has so far is shared with the old id, what follows is its own
    /// (rule 5). The driver also drops its replicas, so that they ask again, and forces a SELECT.
    pub fn promote(&mut self, new: ReplId, offset: u64) {
        if self.ancestors.len() == Self::ANCESTORS_MAX {
            self.ancestors.remove(0);
        }
        // A log that lost its end may begin anew before an earlier fork.
        for ancestor in &mut self.ancestors {
            ancestor.asked_max = ancestor.asked_max.min(offset + 1);
        }
        self.ancestors.push(Ancestor { id: self.id, asked_max: offset + 1 });
        self.id = new;
    }

    /// A wholly new history: a full sync brought the master's (rule 7), or the log began or ended on a master (rules
    /// 8 and 9). Nothing of the past may be continued.
    pub fn adopt(&mut self, id: ReplId) {
        *self = History::new(id);
    }

    /// `+CONTINUE <id>` came while this node stood at `offset` (rule 6). Says whether the id changed, in which case
    /// the replicas of this node must be dropped to learn it.
    ///
    /// That the old id was shared until `offset` is what this node knows by itself. Whoever went on further with it, to the fork, would be a
    /// stranger to this node, though not to its master; so a master that knows the `forks` ahead tells them.
    pub fn continue_with(&mut self, id: ReplId, offset: u64, forks: &[Ancestor]) -> bool {
        let changed = id != self.id;
        if changed {
            self.promote(id, offset);
            let ahead = |fork: &&Ancestor| fork.asked_max > offset && fork.id != id;
            for fork in forks.iter().filter(ahead) {
                self.ancestors.retain(|known| known.id != fork.id);
                self.ancestors.push(*fork);
            }
            let surplus = self.ancestors.len().saturating_sub(Self::ANCESTORS_MAX);
            self.ancestors.drain(..surplus);
        }
        changed
    }

    /// May a replica that names `id` go on with byte number `asked` of it? The fork bound is checked here only.
    pub fn kinship(&self, id: ReplId, asked: i64) -> Kinship {
        match self.ancestors.iter().rev().find(|ancestor| ancestor.id == id) {
            _ if id == self.id => Kinship::Shared,
            Some(ancestor) if asked <= ancestor.asked_max as i64 => Kinship::Shared,
            Some(ancestor) => Kinship::PastFork { asked_max: ancestor.asked_max },
            None => Kinship::Stranger,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> ReplId {
        ReplId::from_random(&[n; 20])
    }

    #[test]
    fn a_promotion_keeps_the_old_id_up_to_the_fork() {
        let mut history = History::new(id(1));
        assert_eq!((history.second_id(), history.second_offset()), (ReplId::ZERO, -1));
        history.promote(id(2), 50);
        assert_eq!((history.id(), history.second_id(), history.second_offset()), (id(2), id(1), 51));
        assert_eq!(history.kinship(id(1), 51), Kinship::Shared);
        assert_eq!(history.kinship(id(1), 52), Kinship::PastFork { asked_max: 51 });
        assert_eq!(history.kinship(id(2), 1_000), Kinship::Shared);
        assert_eq!(history.kinship(ReplId::ZERO, 1), Kinship::Stranger);
    }

    #[test]
    fn a_full_sync_forgets_the_past() {
        let mut history = History::recovered(id(1), 50, id(2));
        history.adopt(id(3));
        assert_eq!(history, History::new(id(3)));
    }

    #[test]
    fn continuing_under_a_new_id_is_told() {
        let mut history = History::new(id(1));
        assert!(!history.continue_with(id(1), 9, &[]));
        assert_eq!(history.second(), None);
        assert!(history.continue_with(id(2), 9, &[]));
        assert_eq!(history.second(), Some(Ancestor { id: id(1), asked_max: 10 }));
    }

    #[test]
    fn who_follows_a_master_after_a_fork_knows_the_fork() {
        let mut history = History::new(id(1));
        let fork = |n, asked_max| Ancestor { id: id(n), asked_max };
        assert!(history.continue_with(id(3), 9, &[fork(1, 13), fork(2, 20)]));
        assert_eq!(history.ancestors(), [fork(1, 13), fork(2, 20)]);
        assert_eq!(history.kinship(id(1), 13), Kinship::Shared, "it went on further than this node");
        assert_eq!(history.kinship(id(1), 14), Kinship::PastFork { asked_max: 13 });
        // What is behind this node, or is no fork, is not taken over.
        assert!(history.continue_with(id(4), 30, &[fork(3, 30), fork(2, 5), fork(4, 50)]));
        assert_eq!(history.ancestors(), [fork(1, 13), fork(2, 20), fork(3, 31)]);
        // A promotion before a fork ends what was shared there.
        assert!(history.continue_with(id(5), 40, &[fork(4, 60)]));
        history.promote(id(6), 50);
        assert_eq!(history.ancestors()[3..], [fork(4, 51), fork(5, 51)]);
    }

    #[test]
    fn a_fork_without_a_byte_is_none() {
        let mut history = History::new(id(1));
        history.promote(id(2), 50);
        history.promote(id(3), 50);
        assert_eq!(history.position_at(50), Position { id: id(1), offset: 50 });
        assert_eq!(history.position_at(51), Position { id: id(3), offset: 51 });
    }

    #[test]
    fn several_forks_are_remembered() {
        let mut history = History::new(id(0));
        for n in 1..=3u8 {
            history.promote(id(n), u64::from(n) * 10);
        }
        assert_eq!((history.id(), history.second_id(), history.second_offset()), (id(3), id(2), 31));
        assert_eq!(history.kinship(id(0), 11), Kinship::Shared);
        assert_eq!(history.kinship(id(0), 12), Kinship::PastFork { asked_max: 11 });
        assert_eq!(history.kinship(id(1), 21), Kinship::Shared);
        for n in 4..=20u8 {
            history.promote(id(n), u64::from(n) * 10);
        }
        assert_eq!(history.ancestors().len(), History::ANCESTORS_MAX);
        assert_eq!(history.kinship(id(3), 1), Kinship::Stranger);
        assert_eq!(history.kinship(id(4), 1), Kinship::Shared);
        assert_eq!(History::restored(history.id(), history.ancestors().to_vec()), Some(history.clone()));
        let mut cut_short = history.clone();
        cut_short.promote(id(99), 50);
        assert_eq!(cut_short.kinship(id(6), 52), Kinship::PastFork { asked_max: 51 });
        let mut shuffled = history.ancestors().to_vec();
        shuffled.reverse();
        assert_eq!(History::restored(history.id(), shuffled), None);
    }
}
