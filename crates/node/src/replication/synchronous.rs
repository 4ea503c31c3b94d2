//! Synchronous replicas, at the master's end: up to where enough of them have the stream, and how they are asked for it. Which reply waits for what is
//! with those who send replies ([`crate::front::held`]).

mod driver;

use std::collections::BTreeMap;

use rivulet_replication::position::ReplId;
use rivulet_replication::promises::TermId;

/// What a master knows of its synchronous replicas.
pub struct Synchronous {
    /// So much of the stream is on as many replicas as must have it; all of it where none must.
    quorum: u64,
    /// Here it began to be counted: of what there was before it is not known on which replicas it is.
    began: u64,
    /// Acknowledgements of the stream up to here were asked for.
    asked_to: u64,
    /// So much of the stream as many replicas have heard, durable or not; all of it where none must.
    confirmed: u64,
    /// Reads wait until it is confirmed up to here.
    confirm_to: u64,
    /// The end of the last heartbeat that was added for them.
    heartbeat_to: u64,
    /// Replies that were replaced by errors, as the time was over.
    pub timeouts: u64,
    /// Since the start of this master: which members have gone on from where they were, which only who has nothing more can. `None` if nothing has to be
    /// proven, or no more.
    /// Of each, whether it has lost nothing itself in a restart.
    came: Option<BTreeMap<ReplId, bool>>,
    /// So many acknowledged each write, at least, as far as this start knows.
    least: u64,
    /// When the proof was looked at last.
    looked_ms: u64,
    /// Since its start somebody has shown that nothing is missing here that it had acknowledged: a master that it follows, a leader, or nothing was bound.
    pub is_certain: bool,
    /// The latest term in which it may have acknowledged something that is gone: by its start, or as other data came.
    pub acknowledged_in: Option<TermId>,
    /// The epoch in which it was fenced last, since its start, with the data that it has: what it told then is here.
    pub fenced_in: Option<u64>,
}

impl Default for Synchronous {
    fn default() -> Synchronous {
        Synchronous {
            quorum: u64::MAX,
            began: 0,
            asked_to: 0,
            confirmed: u64::MAX,
            confirm_to: 0,
            heartbeat_to: 0,
            timeouts: 0,
            came: None,
            least: u64::MAX,
            looked_ms: 0,
            is_certain: true,
            acknowledged_in: None,
            fenced_in: None,
        }
    }
}

impl Synchronous {
    /// The offset up to which replies may tell of writes; no limit where no replica is asked.
    pub fn quorum(&self) -> u64 {
        self.quorum
    }

    /// The offset that replicas have heard of this master, whatever is durable; no limit where no replica is asked.
    pub fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// A read has seen what the log has up to `end`. Answers what must be confirmed before it is told: more than that.
    pub fn confirm_beyond(&mut self, end: u64) -> u64 {
        self.confirm_to = end + 1;
        self.confirm_to
    }

    /// Replies begin to wait for replicas, which have acknowledged nothing yet, or they don't any more.
    fn forget_acks(&mut self, is_on: bool) {
        let all = if is_on { 0 } else { u64::MAX };
        (self.quorum, self.confirmed) = (all, all);
        (self.asked_to, self.confirm_to, self.heartbeat_to) = (0, 0, 0);
    }

    /// The node was started, or became a master of another term. `is_unproven`: it may have lost what was acknowledged in the present one.
    pub fn started(&mut self, is_unproven: bool) {
        self.came = is_unproven.then(BTreeMap::new);
        self.least = u64::MAX;
    }

    /// As a master it may lack something, and may have written since.
    pub fn has_been_unproven(&self) -> bool {
        self.came.is_some()
    }

    /// All up to here was told to somebody, by this master or by one before it.
    pub fn released_so_far(&self) -> u64 {
        self.quorum.max(self.began)
    }
}
