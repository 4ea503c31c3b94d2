//! A failover that was given up half done, and a member that is gone for good: those who were fenced acknowledge nothing to the master any more, and are too few
//! to be sure that nobody has more than they. But the old master is there. It has all that it released, and counts as one of those who tell what they have; if it
//! has most, it is appointed again, in a term of its own.
//!
//! Of M members and the master, each acknowledged write is on N + 1 nodes, whoever of them was the master then. Who fences M − N members and the master has asked
//! one of these. A master of another failover, of which this Sentinel has not heard, shows itself so by the later term of its data.
//!
//! The same is asked where members may have lost what they had, by a restart or other data: then all of them and the master must tell, and the one that has most
//! is the master. While the master does not answer, it may be the only one that kept something, and nobody is promoted.

use std::collections::BTreeMap;

use crate::answer::Answer;
use crate::events::Level;
use crate::failover::{Attempt, Request, State};
use crate::fencing::{ENOUGH_MS, OTHERS_MS, RETRY_MS, Standing, Told};
use crate::info::Role;
use crate::link::{At, Question};
use crate::master::{Backoff, Master};
use crate::sentinel::Sentinel;

/// What is known of the old master, where it may be one of those who are fenced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OldMaster {
    /// The others come first.
    #[default]
    NotAsked,
    Asked,
    Fenced(Standing),
}

/// Between two looks whether the master has its new term, ms; it must have it by then.
const LOOK_MS: u64 = 15;
const APPOINT_MS: u64 = 3000;

impl Master {
    /// What the old master has told counts: it has lost nothing, and its data are of a term.
    fn counts(told: &Standing) -> bool {
        told.is_certain && told.data_term.is_some()
    }
}

impl Sentinel {
    /// Whether the master answers: one that is called down for what it lacks does so all the same.
    fn master_answers(&self, master: &Master) -> bool {
        self.link(&At::master(&master.name))
            .is_some_and(|link| link.commands.is_some() && link.silent_ms(self.now_ms) <= master.settings.down_after_ms)
    }

    /// Enough members answer to be fenced if the old master is one more: it answers, and is a node that is known.
    pub(crate) fn can_fence_with_master(&self, master: &Master) -> bool {
        // One that was started again may have lost something, or all, and counts only beside all others.
        let enough = match master.instance.is_unproven || master.is_renewed() {
            true => master.count_members(),
            false => master.fences_needed().saturating_sub(1),
        };
        master.synchronous() > 0
            && master.instance.node_id.is_some()
            && self.master_answers(master)
            && self.members_that_answer(master) >= enough
    }

    /// The old master is asked, too, what it has: it is there, and nobody has asked it to hand over.
    pub(crate) fn asks_master(&self, name: &str, attempt: &Attempt) -> bool {
        let Some(master) = self.masters.get(name) else { return false };
        match attempt.request {
            Request::Again => true,
            // Only where the others are not enough.
            Request::Nobody => {
                let State::Fencing { fenced, old, .. } = &attempt.state else { return false };
                let is_asked = *old != OldMaster::NotAsked || self.can_fence_with_master(master);
                is_asked && master.count_fenced(fenced).1 < master.fences_needed()
            }
            Request::User | Request::Coordinated => false,
        }
    }

    /// Waits for the others; then fences the old master, and goes by what all have. Answers whether the others alone are to be looked at.
    ///
    /// Enough is known when so many have lost nothing as must be fenced, the old master with them; or when all members and the master have told what they
    /// have, whatever they may have lost: nobody else is left who could have more.
    pub(crate) fn fence_with_master(&mut self, name: &str, attempt: &Attempt) -> bool {
        let State::Fencing { fenced, old, .. } = &attempt.state else { return true };
        let Some(master) = self.masters.get(name) else { return true };
        let (needed, (all, certain)) = (master.fences_needed(), master.count_fenced(fenced));
        // A set of nobody else has shown nothing.
        let are_all = all > 0 && all == master.count_members();
        let waited_ms = self.now_ms.saturating_sub(attempt.since_ms);
        match old {
            OldMaster::NotAsked if (certain + 1 >= needed || are_all) && waited_ms >= OTHERS_MS => {
                self.fence_master(name, attempt.epoch)
            }
            OldMaster::NotAsked if waited_ms < OTHERS_MS => {
                self.wake_ms = self.wake_ms.min(attempt.since_ms + OTHERS_MS)
            }
            OldMaster::Fenced(told) if certain + usize::from(Master::counts(told)) >= needed => {
                self.decide_with_master(name, fenced, *told);
                return false;
            }
            OldMaster::Fenced(told) if are_all => {
                // Who is no member was left behind long ago.
                let members = master.fenced_of_set(fenced);
                self.decide_with_master(name, &members, *told);
                return false;
            }
            _ => {}
        }
        if waited_ms < ENOUGH_MS {
            self.wake_ms = self.wake_ms.min(attempt.since_ms + ENOUGH_MS);
            return false;
        }
        true
    }

    fn fence_master(&mut self, name: &str, epoch: u64) {
        if self.send_fence(&At::master(name), epoch) {
            self.set_old(name, OldMaster::Asked);
        }
    }

    fn set_old(&mut self, name: &str, to: OldMaster) {
        let attempt = self.masters.get_mut(name).and_then(|master| master.failover.as_mut());
        if let Some(State::Fencing { old, .. }) = attempt.map(|attempt| &mut attempt.state) {
            *old = to;
        }
    }

    /// The old master has promised this leader's term. Its list counts from now on, and what it would wait for.
    pub(crate) fn master_fenced(&mut self, name: &str, told: Told) {
        let Some(master) = self.masters.get_mut(name) else { return };
        let state = master.failover.as_ref().map(|attempt| &attempt.state);
        if !matches!(state, Some(State::Fencing { old: OldMaster::Asked, .. })) {
            return;
        }
        if master.instance.node_id.as_ref() != Some(&told.node_id) {
            return self
                .log(Level::Warning, format!("Another server is where the master of '{name}' was: it does not count"));
        }
        (master.instance.members, master.instance.list) = (told.members, told.list);
        self.is_dirty |= master.synchronous.replicas != told.synchronous_replicas;
        master.synchronous.replicas = told.synchronous_replicas;
        // Nobody has acknowledged anything to it under the id of before: it is not one of those of whom all but N must tell.
        let is_certain = told.standing.is_certain && !master.is_renewed();
        self.set_old(name, OldMaster::Fenced(Standing { is_certain, ..told.standing }));
        self.advance(name);
    }

    /// Whoever has most is the master: the old one, if nobody has more.
    fn decide_with_master(&mut self, name: &str, fenced: &BTreeMap<String, Standing>, old: Standing) {
        let Some(master) = self.masters.get(name) else { return };
        if fenced.values().all(|told| told.rank() <= old.rank()) {
            return self.appoint_again(name, fenced);
        }
        let choice = self.choice_among(master, Some(fenced));
        self.promote_chosen(name, choice, fenced, None);
    }

    /// The old master is told to be that of this term, and those who were fenced with whom it counts.
    fn appoint_again(&mut self, name: &str, fenced: &BTreeMap<String, Standing>) {
        let Some(master) = self.masters.get(name) else { return };
        let Some(epoch) = master.failover.as_ref().map(|attempt| attempt.epoch) else { return };
        let own = master.instance.node_id.clone();
        self.tell_members_of_leader(name, epoch, own, fenced);
        let (at, epoch, me) = (At::master(name), epoch.to_string(), self.id.clone());
        if self.send(&at, Question::Role, &[b"REPLICATION", b"PROMOTE", epoch.as_bytes(), me.as_bytes()]) {
            self.event(Level::Notice, "+failover-state-reappoint", &at, "");
            self.enter(name, State::Reappointing);
        }
    }

    /// Waits until the master says that it is one of this term.
    pub(crate) fn reappoint(&mut self, name: &str, attempt: &Attempt) {
        let now_ms = self.now_ms;
        let Some(master) = self.masters.get(name) else { return };
        let own = &master.instance;
        let is_fresh = own.info_ms.is_some_and(|told| told > attempt.since_ms);
        let is_master = own.role == Role::Master && !own.is_stale && !own.is_unproven;
        if is_fresh && is_master && own.failover_epoch == attempt.epoch {
            return self.reappointed(name, attempt.epoch);
        }
        let is_overtaken = is_fresh && own.failover_epoch > attempt.epoch;
        if is_overtaken || now_ms.saturating_sub(attempt.since_ms) >= APPOINT_MS {
            self.event(Level::Warning, "-failover-abort-not-reappointed", &At::master(name), "");
            return self.abort(name, RETRY_MS, None);
        }
        if own.info_age_ms(now_ms).is_none_or(|age| age >= LOOK_MS) {
            self.send_info(&At::master(name));
        }
        self.wake_ms = self.wake_ms.min(now_ms + LOOK_MS);
    }

    /// From now on its term counts, and all are told of it when that is saved.
    fn reappointed(&mut self, name: &str, epoch: u64) {
        let Some(master) = self.masters.get_mut(name) else { return };
        master.config_epoch = epoch;
        (master.failover, master.backoff, master.half_done_since_ms) = (None, Backoff::default(), None);
        self.is_dirty = true;
        self.event(Level::Warning, "+master-reappointed", &At::master(name), "");
        self.hurry_hello(name);
    }

    /// The old master refuses its term: another leader has fenced it since, or it was started again.
    pub(crate) fn reappointment_refused(&mut self, name: &str, answer: &Answer) {
        let state = self.masters.get(name).and_then(|master| master.failover.as_ref()).map(|attempt| &attempt.state);
        if state == Some(&State::Reappointing) && answer.is_error() {
            self.event(Level::Warning, "-failover-abort-not-reappointed", &At::master(name), "");
            self.abort(name, RETRY_MS, None);
        }
    }
}
