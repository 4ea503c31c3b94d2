//! Acknowledgements: when a replica sends them, and when it must not.
//!
//! It sends one a second, one for each `GETACK`, and after a `GETACK ALWAYS` one whenever the driver says that a turn has ended. A replica that is
//! fenced sends none, until it follows a master whose term is not older than the fence: newlines say that it is there.

use super::{ACK_PERIOD, Action, Actions, MasterName, ReplicaLink, State};
use crate::Millis;
use crate::messages::ack_command;
use crate::position::Position;
use crate::promises::{Term, TermId, term_at};

/// What was acknowledged, and what may be.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// The master wants them without asking, until the stream ends.
    by_itself: bool,
    /// What the last one said.
    sent: Option<(u64, Option<u64>)>,
    /// The term of the leader that wants none for masters of older ones.
    fence: Option<u64>,
}

impl Acks {
    pub(super) fn stream_began(&mut self) {
        (self.by_itself, self.sent) = (false, None);
    }
}

impl ReplicaLink {
    /// `REPLCONF GETACK` stood in the stream. To be called before its own bytes are counted as applied (rule 32). `always`: from now on
    /// [`ReplicaLink::turn_ended`] acknowledges, too.
    pub fn getack(&mut self, now: Millis, always: bool, out: Actions<'_, '_>) {
        self.acks.by_itself = always;
        self.send_ack(now, out);
    }

    /// Whether [`ReplicaLink::turn_ended`] may have something to say.
    pub fn acks_by_itself(&self) -> bool {
        self.acks.by_itself
    }

    /// What came was applied: it is acknowledged, if the master wants that without asking.
    pub fn turn_ended(&mut self, now: Millis, out: Actions<'_, '_>) {
        if let State::Streaming { position: Some(position), .. } = &self.state
            && self.acks.by_itself
            && self.acks.sent != Some((position.offset, self.fsynced))
            && self.may_acknowledge()
        {
            self.send_ack(now, out);
        }
    }

    /// No master of an older term than this is acknowledged anything any more; `None` lifts that.
    pub fn set_fence(&mut self, epoch: Option<u64>) {
        self.acks.fence = epoch;
        self.acks.sent = None;
    }

    /// The term of the master that the stream comes from; 0 if no leader made it one. `None` while none comes.
    pub fn master_epoch(&self) -> Option<u64> {
        self.is_up().then_some(self.master_name.epoch())
    }

    /// The term that this node's data go on into; `None` while it acknowledges nothing, or if its master tells no term or can't tell yet whether it has all.
    pub fn follows_in(&self) -> Option<Term> {
        let MasterName { node, term, began, is_unproven, .. } = self.master_name;
        let counts = self.is_up() && !is_unproven && self.may_acknowledge();
        let id = term.filter(|_| counts && node.is_some())?;
        Some(Term { id, from: began })
    }

    /// The term of the master that the stream comes from, whether it counts yet or not; `None` if it tells none.
    pub fn master_term(&self) -> Option<TermId> {
        self.master_name.term.filter(|_| self.master_name.node.is_some())
    }

    /// The stream comes from a master that tells no node id, and so counts no members.
    pub fn is_masters_kind_foreign(&self) -> bool {
        self.is_up() && self.master_name.is_foreign
    }

    /// Where the stream of that master ended when this node came: who has come so far has all that it had.
    pub fn master_end(&self) -> Option<u64> {
        self.master_name.end
    }

    /// The master was started again, and can't tell yet whether it has all.
    pub fn follows_unproven(&self) -> bool {
        self.master_name.is_unproven
    }

    /// Whether the master was started again and has less than this node has acknowledged to it, in the one term: it has lost the rest, and must not take it
    /// from this node, too. Somebody else must become the master.
    pub fn master_lacks_data(&self) -> bool {
        self.lacks_data
    }

    /// The data stay as they are, and the master is asked again: it may be another one then.
    pub(super) fn refuse_to_lose(&mut self, now: Millis, out: Actions<'_, '_>) {
        self.lacks_data = true;
        let text = "The master was started again, or another node is in its place, and it lacks what this replica has acknowledged to it: a full sync would lose that here, too. Another node must become the master. (REPLICAOF NO ONE, and then REPLICAOF again, gives the data up.)";
        self.refuse(now, text.to_string(), out);
    }

    /// Whether a full sync would take from this node what it has acknowledged in the term of this master, or in a later one. Of a master that was started
    /// again without its directory nothing tells that it was one: but another node than before is the master here only by a failover, in a later term, or
    /// because a user says so.
    pub(super) fn would_lose(&self, target: Option<Position>) -> bool {
        let MasterName { node, term, is_unproven, began, end, .. } = self.master_name;
        let is_another = self.followed.is_some_and(|followed| node.is_some_and(|node| node != followed));
        // It does not even have the beginning of its own term, and so not what the terms before ended with. Who has given up what he had has none.
        let lacks_term = end.is_some_and(|end| end < began) && !self.config.terms.is_empty();
        let has_all = |own: Position| target.is_some_and(|t| t.id == own.id && t.offset >= own.offset);
        let counts =
            |own: Position| term_at(&self.config.terms, own.offset).is_some_and(|own| own >= term.unwrap_or_default());
        (is_unproven || is_another) && self.cached.is_some_and(|own| (counts(own) || lacks_term) && !has_all(own))
    }

    /// Who knows no terms, such as a Redis server, promises its clients nothing that a fence would break.
    fn may_acknowledge(&self) -> bool {
        self.master_name.is_foreign || self.acks.fence.is_none_or(|fence| self.master_name.epoch() >= fence)
    }

    /// What makes the stream begin after a full sync. It must be an acknowledgement, so one that may not be given is one of nothing.
    pub(super) fn first_ack(&self, offset: u64) -> Vec<u8> {
        ack_command(if self.may_acknowledge() { offset } else { 0 }, self.fsynced)
    }

    /// Acknowledges what is applied, or says no more than that this replica is there.
    pub(super) fn send_ack(&mut self, now: Millis, out: Actions<'_, '_>) {
        let may = self.may_acknowledge();
        if let State::Streaming { position: Some(position), ack_at, .. } = &mut self.state {
            *ack_at = now + ACK_PERIOD;
            self.acks.sent = Some((position.offset, self.fsynced));
            out.push(Action::Send(if may { ack_command(position.offset, self.fsynced) } else { b"\n".to_vec() }));
        }
    }
}
