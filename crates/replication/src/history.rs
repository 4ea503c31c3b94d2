//! Which histories a node's data belongs to: its own id, and the one that it shared with others up to a fork.
//!
//! This is what lets a failover cost a partial resync. It knows nothing about which bytes are still held; that is
//! [`crate::log`].

use crate::position::ReplId;

/// The ids under which this node's stream is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    id: ReplId,
    second: Option<SecondId>,
}

/// A former id, which this node's stream shares with others up to a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecondId {
    pub id: ReplId,
    /// The number of the first byte that is not shared any more, which a replica may still ask for
    /// (`second_repl_offset`).
    pub asked_max: u64,
}

/// What an id that a replica names means to this history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinship {
    /// The id is ours, or the second one and the offset lies before the fork.
    Shared,
    /// The second id, but the replica went on after the fork.
    PastFork {
        asked_max: u64,
    },
    Stranger,
}

impl History {
    /// A history of one's own, without a past.
    pub fn new(id: ReplId) -> History {
        History { id, second: None }
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

    pub fn second(&self) -> Option<SecondId> {
        self.second
    }

    /// INFO's `master_replid2`: zeros when there is none.
    pub fn second_id(&self) -> ReplId {
        self.second.map_or(ReplId::ZERO, |second| second.id)
    }

    /// INFO's `second_repl_offset`: -1 when there is none.
    pub fn second_offset(&self) -> i64 {
        self.second.map_or(-1, |second| second.asked_max as i64)
    }

    /// A replica becomes a master at `offset`: what it has so far is shared with the old id, what follows is its own
    /// (rule 5). The driver also drops its replicas, so that they ask again, and forces a SELECT.
    pub fn promote(&mut self, new: ReplId, offset: u64) {
        self.second = Some(SecondId { id: self.id, asked_max: offset + 1 });
        self.id = new;
    }

    /// A wholly new history: a full sync brought the master's (rule 7), or the log began or ended on a master (rules
    /// 8 and 9). Nothing of the past may be continued.
    pub fn adopt(&mut self, id: ReplId) {
        *self = History::new(id);
    }

    /// `+CONTINUE <id>` came while this node stood at `offset` (rule 6). Says whether the id changed, in which case
    /// the replicas of this node must be dropped to learn it.
    pub fn continue_with(&mut self, id: ReplId, offset: u64) -> bool {
        let changed = id != self.id;
        if changed {
            self.promote(id, offset);
        }
        changed
    }

    /// May a replica that names `id` go on with byte number `asked` of it? The fork bound is checked here only.
    pub fn kinship(&self, id: ReplId, asked: i64) -> Kinship {
        match self.second {
            _ if id == self.id => Kinship::Shared,
            Some(second) if id == second.id && asked <= second.asked_max as i64 => Kinship::Shared,
            Some(second) if id == second.id => Kinship::PastFork { asked_max: second.asked_max },
            _ => Kinship::Stranger,
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
        assert!(!history.continue_with(id(1), 9));
        assert_eq!(history.second(), None);
        assert!(history.continue_with(id(2), 9));
        assert_eq!(history.second(), Some(SecondId { id: id(1), asked_max: 10 }));
    }
}
