//! A failover, from the election of its leader to the switch.
//!
//! ```text
//! WaitStart ──elected──► Choosing ──chosen──► Promoting ──told──► WaitPromotion ──it is a master──► Reconfiguring ──all follow──► (switch)
//!     │                     │                 │   │                    ▲  │                               │
//!     └── not elected       └── nobody is fit │   └── out of reach     │  └── no master by now            └── time is up: the switch anyway
//!                                             └──► HandingOver ──it has all──┘   (the master is up: its writers wait)
//! ```
//!
//! With synchronous replicas a step stands before WaitPromotion: Fencing, in which the most advanced is chosen again, of those who acknowledge nothing to
//! the old master any more (`fencing.rs`).
//!
//! A planned switch loses nothing (redis#6062): the master's writers are paused, the chosen one gets all that was written, and is promoted; then they
//! are cut, so that they look where the master is. FAILOVER does the same, but asks the replica once a second how far it is.
//!
//! A failover that was given up half done, and leaves too few who can be fenced, is ended by Fencing, with the old master as one of them, and Reappointing
//! (`reappointment.rs`).
//!
//! Before the chosen one is a master all may be given up; from then on its term counts, and everybody is told of it.

use std::collections::BTreeMap;

use crate::address::Address;
use crate::answer::Answer;
use crate::choice::{self, Facts, Terms};
use crate::election::{self, Tally};
use crate::events::Level;
use crate::fencing::{RETRY_MS, Standing};
use crate::info::Role;
use crate::link::{At, Question};
use crate::master::{Backoff, Master};
use crate::reappointment::OldMaster;
use crate::replica::Reconfiguration;
use crate::sentinel::{Action, Sentinel};

/// A failover under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The term for which votes are asked, and that the new master gets.
    pub epoch: u64,
    pub request: Request,
    /// A majority has given it this term, which no other leader has then. The user's own goes on without.
    pub is_voted: bool,
    /// Whom it promotes is fenced, and becomes the master of this term.
    pub is_fenced: bool,
    pub began_ms: u64,
    pub state: State,
    pub since_ms: u64,
}

/// Who wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The master is down.
    Nobody,
    /// SENTINEL FAILOVER: the master may be up, and then it hands over if it can.
    User,
    /// SENTINEL FAILOVER … COORDINATED: the master hands over, or nothing is done.
    Coordinated,
    /// One was left half done, and the master is there: it is appointed again, if nobody has more.
    Again,
}

impl Request {
    /// It goes on without votes. What fences the master itself may not.
    pub(crate) fn is_users(self) -> bool {
        matches!(self, Request::User | Request::Coordinated)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    WaitStart,
    /// Fresh INFOs are awaited. `offsets` are those of the round before.
    Choosing {
        round: u32,
        asked_ms: u64,
        offsets: BTreeMap<String, u64>,
    },
    Promoting {
        label: String,
    },
    /// The master's writers are paused; `offset` is where it then stood, once it has said so.
    HandingOver {
        label: String,
        offset: Option<u64>,
    },
    /// Replicas promise to acknowledge nothing to the old master any more: those who have, and where they stand. `label` was chosen before, if somebody was;
    /// `paused_ms` as below.
    Fencing {
        label: Option<String>,
        paused_ms: Option<u64>,
        fenced: BTreeMap<String, Standing>,
        old: OldMaster,
    },
    /// The old master was told to be that of the new term.
    Reappointing,
    /// `paused_ms`: when the master's writers were last told to wait, if they were.
    WaitPromotion {
        label: String,
        paused_ms: Option<u64>,
    },
    /// `demote_ms`: when the master that handed over is made a replica, and its writers are cut.
    Reconfiguring {
        label: String,
        demote_ms: Option<u64>,
    },
}

/// A choice waits for late answers, and for a stream that still arrives, at most so long, ms.
const ANSWERS_MS: u64 = 250;
const STREAM_MS: u64 = 1000;
/// Between two looks at offsets, or at the role of who is promoted, ms.
const LOOK_MS: u64 = 15;
/// The user's own failover goes on without votes after so long, ms.
const VOTES_MS: u64 = 200;
/// The master's writers are paused for so long, ms, in case that nobody ends it, and told again so often while it lasts.
const PAUSE_MS: u64 = 10_000;
const PAUSE_AGAIN_MS: u64 = 1000;
/// The replica must have all by then, or there is no switch.
const HAND_OVER_MS: u64 = 5000;
/// Between two looks whether it has, ms.
const OFFSET_LOOK_MS: u64 = 4;
/// The other Sentinels hear of the new master before the old one's writers are cut, ms.
const DEMOTE_MS: u64 = 20;

impl Attempt {
    /// The replica that is to be the master, once chosen.
    pub fn chosen(&self) -> Option<&str> {
        match &self.state {
            State::WaitStart | State::Choosing { .. } | State::Reappointing => None,
            State::Fencing { label, .. } => label.as_deref(),
            State::Promoting { label }
            | State::HandingOver { label, .. }
            | State::WaitPromotion { label, .. }
            | State::Reconfiguring { label, .. } => Some(label),
        }
    }

    /// The replica that is the master already.
    pub fn promoted(&self) -> Option<&str> {
        match &self.state {
            State::Reconfiguring { label, .. } => Some(label),
            _ => None,
        }
    }

    /// The master's writers wait for its end.
    pub fn pauses_master(&self) -> bool {
        matches!(
            self.state,
            State::HandingOver { .. }
                | State::Fencing { paused_ms: Some(_), .. }
                | State::WaitPromotion { paused_ms: Some(_), .. }
                | State::Reconfiguring { demote_ms: Some(_), .. }
        )
    }

    /// Votes are asked for.
    pub fn is_electing(&self) -> bool {
        self.state == State::WaitStart
    }

    /// As SENTINEL MASTER shows it.
    pub fn word(&self) -> &'static str {
        match self.state {
            State::WaitStart => "wait_start",
            State::Choosing { .. } => "select_slave",
            State::Promoting { .. } | State::HandingOver { .. } | State::Fencing { .. } => "send_slaveof_noone",
            State::WaitPromotion { .. } | State::Reappointing => "wait_promotion",
            State::Reconfiguring { .. } => "reconf_slaves",
        }
    }
}

impl Sentinel {
    /// How long this one waits before it comes forward.
    pub(crate) fn election_delay_ms(&mut self, name: &str) -> u64 {
        let random = self.random();
        let Some(master) = self.masters.get(name) else { return 0 };
        let live = master.peers.iter().filter(|(_, peer)| peer.instance.down_since_ms.is_none());
        let live: Vec<&str> = live.map(|(id, _)| id.as_str()).collect();
        election::delay_ms(name, &self.id, &live, master.backoff.splits, random)
    }

    pub(crate) fn begin_failover_if_due(&mut self, name: &str) {
        let now_ms = self.now_ms;
        let Some(master) = self.masters.get_mut(name) else { return };
        if master.agreed_down_since_ms.is_none() || master.failover.is_some() {
            return;
        }
        let leader_is_gone =
            master.backoff.leader.as_ref().is_some_and(|leader| {
                master.peers.get(leader).is_none_or(|peer| peer.instance.down_since_ms.is_some())
            });
        if leader_is_gone {
            master.backoff = Backoff { splits: master.backoff.splits, ..Backoff::default() };
        }
        let until_ms = master.backoff.until_ms;
        if now_ms >= until_ms {
            let can_fence = self.masters.get(name).is_some_and(|master| self.can_fence(master));
            return if can_fence { self.begin_failover(name, Request::Nobody) } else { self.leave_to_others(name) };
        }
        self.wake_ms = self.wake_ms.min(until_ms);
        if until_ms - now_ms > 1000 && master.backoff.logged_ms != until_ms {
            master.backoff.logged_ms = until_ms;
            let when = crate::info_reply::ctime((self.unix_ms + (until_ms - now_ms)) / 1000);
            self.log(Level::Warning, format!("Next failover delay: I will not start a failover before {when}"));
        }
    }

    /// This Sentinel does not reach, or know, as many members as must be fenced. As a leader it would fail, and keep those from it who reach more.
    fn leave_to_others(&mut self, name: &str) {
        let Some(master) = self.masters.get(name) else { return };
        let (there, needed) = (self.members_that_answer(master), master.fences_needed());
        let until_ms = self.now_ms + RETRY_MS;
        self.wake_ms = self.wake_ms.min(until_ms);
        let Some(master) = self.masters.get_mut(name) else { return };
        master.backoff.until_ms = until_ms;
        if !std::mem::replace(&mut master.backoff.is_left, true) {
            let reached = format!("{there} members answer here, {needed} must be fenced");
            self.log(Level::Warning, format!("'{name}' is left to others to replace: {reached}"));
        }
    }

    pub(crate) fn begin_failover(&mut self, name: &str, request: Request) {
        let now_ms = self.now_ms;
        let epoch = self.current_epoch.saturating_add(1);
        self.raise_epoch(name, epoch);
        self.event(Level::Warning, "+try-failover", &At::master(name), "");
        let me = self.id.clone();
        let Some(master) = self.masters.get_mut(name) else { return };
        let (is_voted, is_fenced, state) = (false, false, State::WaitStart);
        let attempt = Attempt { epoch, request, is_voted, is_fenced, began_ms: now_ms, state, since_ms: now_ms };
        master.failover = Some(attempt);
        master.backoff = Backoff { splits: master.backoff.splits, ..Backoff::default() };
        if master.vote.give(&me, epoch) {
            self.event_text(Level::Warning, "+vote-for-leader", Some(name), &format!("{me} {epoch}"));
        }
        if let Some(master) = self.masters.get_mut(name) {
            master.peers.values_mut().for_each(|peer| peer.asked_ms = None);
        }
        self.ask_others(name);
    }

    /// Takes each step that can be taken now.
    pub(crate) fn advance(&mut self, name: &str) {
        if self.tilt.is_on() {
            return;
        }
        // No state comes twice in a row of steps.
        for _ in 0..8 {
            let Some(before) = self.masters.get(name).and_then(|master| master.failover.clone()) else { return };
            match &before.state {
                State::WaitStart => self.wait_for_votes(name, &before),
                State::Choosing { round, asked_ms, offsets } => self.choose(name, &before, *round, *asked_ms, offsets),
                State::Promoting { label } => self.promote(name, &before, label),
                State::HandingOver { label, offset } => self.hand_over(name, &before, label, *offset),
                State::Fencing { .. } => self.fence(name, &before),
                State::Reappointing => self.reappoint(name, &before),
                State::WaitPromotion { label, paused_ms } => self.wait_for_promotion(name, &before, label, *paused_ms),
                State::Reconfiguring { label, demote_ms } => self.reconfigure(name, &before, label, *demote_ms),
            }
            if self.masters.get(name).and_then(|master| master.failover.as_ref()) == Some(&before) {
                return;
            }
        }
    }

    pub(crate) fn enter(&mut self, name: &str, state: State) {
        let now_ms = self.now_ms;
        if let Some(attempt) = self.masters.get_mut(name).and_then(|master| master.failover.as_mut()) {
            attempt.state = state;
            attempt.since_ms = now_ms;
        }
    }

    fn wait_for_votes(&mut self, name: &str, attempt: &Attempt) {
        let Some(master) = self.masters.get(name) else { return };
        let others: Vec<Option<&str>> = master.peers.values().map(|peer| peer.vote.of(attempt.epoch)).collect();
        let needed = master.majority().max(master.settings.quorum);
        let tally = election::tally(&self.id, master.vote.of(attempt.epoch), &others, needed);
        let waited_ms = self.now_ms.saturating_sub(attempt.began_ms);
        let is_forced = attempt.request.is_users() && waited_ms >= VOTES_MS && self.can_go_without_votes(master);
        if tally == Tally::Won || (is_forced && tally != Tally::Lost) {
            return self.elected(name, attempt.request, tally == Tally::Won);
        }
        let timeout_ms = master.settings.failover_timeout_ms;
        let is_over = match tally {
            Tally::Lost => true,
            // The user's may yet go on without votes, if enough can be fenced for that.
            Tally::Split => !attempt.request.is_users() || waited_ms >= VOTES_MS,
            Tally::Open | Tally::Won => waited_ms > self.periods.election_timeout_ms.min(timeout_ms),
        };
        if !is_over {
            return;
        }
        let splits = master.backoff.splits;
        let winner =
            others.iter().flatten().max_by_key(|leader| others.iter().filter(|v| *v == &Some(**leader)).count());
        let winner = winner.filter(|_| tally == Tally::Lost).map(|leader| leader.to_string());
        self.event(Level::Warning, "-failover-abort-not-elected", &At::master(name), "");
        let pause_ms = match tally {
            Tally::Lost => timeout_ms.saturating_mul(2),
            Tally::Split => self.election_delay_after_split_ms(name),
            Tally::Open | Tally::Won => election::retry_ms(splits, timeout_ms),
        };
        self.abort(name, pause_ms, winner);
    }

    fn election_delay_after_split_ms(&mut self, name: &str) -> u64 {
        if let Some(master) = self.masters.get_mut(name) {
            master.backoff.splits += 1;
        }
        let delay_ms = self.election_delay_ms(name);
        if let Some(master) = self.masters.get_mut(name) {
            // `abort` counts it.
            master.backoff.splits -= 1;
        }
        delay_ms
    }

    fn elected(&mut self, name: &str, request: Request, is_voted: bool) {
        if let Some(attempt) = self.masters.get_mut(name).and_then(|master| master.failover.as_mut()) {
            attempt.is_voted = is_voted;
        }
        self.event(Level::Warning, "+elected-leader", &At::master(name), "");
        if self.failures.after_election {
            return self.simulate_crash();
        }
        if request == Request::Again {
            return self.begin_fencing(name, None, None);
        }
        self.event(Level::Warning, "+failover-state-select-slave", &At::master(name), "");
        self.ask_offsets(name);
        let asked_ms = self.now_ms;
        self.enter(name, State::Choosing { round: 0, asked_ms, offsets: BTreeMap::new() });
    }

    fn ask_offsets(&mut self, name: &str) {
        for at in self.everybody(name) {
            if matches!(at.who, crate::link::Who::Replica(_)) && !self.is_disconnected(&at) {
                self.send_info(&at);
            }
        }
    }

    /// Chooses once everybody has told where it stands, and no stream arrives any more.
    fn choose(&mut self, name: &str, attempt: &Attempt, round: u32, asked_ms: u64, before: &BTreeMap<String, u64>) {
        let now_ms = self.now_ms;
        let Some(master) = self.masters.get(name) else { return };
        if master.settings.is_strict {
            let reachable = || {
                master.replicas.iter().filter(|(label, replica)| {
                    replica.instance.down_since_ms.is_none() && !self.is_disconnected(&At::replica(name, label))
                })
            };
            let is_late = now_ms.saturating_sub(asked_ms) >= ANSWERS_MS;
            let all_told = reachable().all(|(_, replica)| replica.instance.info_ms.is_some_and(|at| at >= asked_ms));
            if !all_told && !is_late {
                self.wake_ms = self.wake_ms.min(asked_ms + ANSWERS_MS);
                return;
            }
            let offsets: BTreeMap<String, u64> = reachable().map(|(label, r)| (label.clone(), r.offset)).collect();
            let arrives = reachable()
                .any(|(label, r)| r.read_offset > r.offset || (r.is_link_up && before.get(label) != Some(&r.offset)));
            // A master that is up goes on sending: it is to hand over, and nothing is waited for here.
            let waits = arrives && attempt.request == Request::Nobody;
            if waits && now_ms.saturating_sub(attempt.since_ms) < STREAM_MS + ANSWERS_MS {
                if now_ms < asked_ms + LOOK_MS {
                    self.wake_ms = self.wake_ms.min(asked_ms + LOOK_MS);
                    return;
                }
                self.ask_offsets(name);
                let state = State::Choosing { round: round + 1, asked_ms: now_ms, offsets };
                if let Some(attempt) = self.masters.get_mut(name).and_then(|master| master.failover.as_mut()) {
                    attempt.state = state;
                }
                return;
            }
        }
        self.chosen(name);
    }

    fn chosen(&mut self, name: &str) {
        let Some(choice) = self.masters.get(name).map(|master| self.choice_for(master)) else { return };
        for (label, remark) in &choice.remarks {
            self.log(Level::Notice, format!("Replica {label} of '{name}' is {remark}"));
        }
        if let (Some(winner), Some(lacks)) = (&choice.winner, choice.lacks_bytes) {
            self.log(Level::Notice, format!("{winner} lacks {lacks} bytes of the last known offset of '{name}'"));
        }
        let winner = choice.winner.clone();
        if let Some(master) = self.masters.get_mut(name) {
            master.last_choice = Some(choice);
        }
        let Some(label) = winner else {
            self.event(Level::Warning, "-failover-abort-no-good-slave", &At::master(name), "");
            let pause_ms = self.pause_after_failure_ms(name);
            return self.abort(name, pause_ms, None);
        };
        let at = At::replica(name, &label);
        self.event(Level::Warning, "+selected-slave", &at, "");
        self.event(Level::Notice, "+failover-state-send-slaveof-noone", &at, "");
        self.enter(name, State::Promoting { label });
    }

    /// Whom the rules would promote now.
    pub fn choice_for(&self, master: &Master) -> choice::Choice {
        self.choice_among(master, None)
    }

    /// The same where only those may win who are fenced, and offsets are those that they told then.
    pub(crate) fn choice_among(&self, master: &Master, fenced: Option<&BTreeMap<String, Standing>>) -> choice::Choice {
        let (now_ms, settings, periods) = (self.now_ms, &master.settings, &self.periods);
        let down_ms = master.instance.down_since_ms.map(|since| now_ms.saturating_sub(since));
        let facts = |(label, replica): (&String, &crate::replica::Replica)| {
            let link = self.links.get(&replica.instance.link);
            Facts {
                label: label.clone(),
                is_down: replica.instance.down_since_ms.is_some(),
                is_disconnected: link.is_none_or(|link| link.is_disconnected),
                silent_ms: link.map_or(u64::MAX, |link| now_ms.saturating_sub(link.last_ok_ms)),
                info_age_ms: replica.instance.info_age_ms(now_ms),
                link_down_ms: replica.link_down_ms,
                priority: replica.priority,
                offset: fenced.and_then(|fenced| fenced.get(label)).map_or(replica.offset, |told| told.offset),
                data_term: fenced.and_then(|fenced| fenced.get(label)?.data_term),
                is_fenced: fenced.map(|fenced| fenced.contains_key(label)),
                history: replica.history.clone(),
                master_lacks_data: replica.master_lacks_data,
                run_id: replica.instance.run_id.clone(),
            }
        };
        let terms = Terms {
            silent_max_ms: periods.ping_ms * 5,
            info_age_max_ms: if down_ms.is_some() { periods.ping_ms * 5 } else { periods.info_ms * 3 },
            link_down_max_ms: down_ms.unwrap_or(0).saturating_add(settings.down_after_ms.saturating_mul(10)),
            is_strict: settings.is_strict,
            asks_for_terms: master.synchronous() > 0 && master.is_down() && fenced.is_none(),
            history: master.history.clone(),
            former: master.former_history.clone(),
        };
        choice::choose(&master.replicas.iter().map(facts).collect::<Vec<_>>(), &terms)
    }

    fn pause_after_failure_ms(&self, name: &str) -> u64 {
        let Some(master) = self.masters.get(name) else { return 0 };
        let timeout_ms = master.settings.failover_timeout_ms;
        if master.settings.is_strict {
            election::retry_ms(master.backoff.splits, timeout_ms)
        } else {
            timeout_ms.saturating_mul(2)
        }
    }

    fn promote(&mut self, name: &str, attempt: &Attempt, label: &str) {
        let at = At::replica(name, label);
        let Some(master) = self.masters.get(name) else { return };
        if self.is_disconnected(&at) {
            return self.give_up_if_late(name, attempt, false);
        }
        let can_hand_over = !master.is_down() && master.knows_failover && !self.is_disconnected(&At::master(name));
        let hands_over = match attempt.request {
            Request::Nobody | Request::Again => false,
            Request::Coordinated => true,
            Request::User => master.settings.is_strict && can_hand_over,
        };
        if !hands_over {
            return self.promote_now(name, label, None);
        }
        let master = At::master(name);
        if self.send_pause(name, Question::Pause) && self.send(&master, Question::Standing, &[b"INFO"]) {
            self.enter(name, State::HandingOver { label: label.to_string(), offset: None });
        } else {
            self.give_up_if_late(name, attempt, false);
        }
    }

    fn promote_now(&mut self, name: &str, label: &str, paused_ms: Option<u64>) {
        match self.must_fence(name) {
            true => self.begin_fencing(name, Some(label), paused_ms),
            false => self.make_master_now(name, label, paused_ms, None),
        }
    }

    /// `epoch`: the one that was promised to this leader, if one had to be.
    pub(crate) fn make_master_now(&mut self, name: &str, label: &str, paused_ms: Option<u64>, epoch: Option<u64>) {
        let at = At::replica(name, label);
        let (me, epoch) = (self.id.clone(), epoch.map(|epoch| epoch.to_string()));
        let is_sent = match &epoch {
            // Should another leader have fenced it since, it makes no second master.
            Some(epoch) => self.send_role(&at, &[b"REPLICATION", b"PROMOTE", epoch.as_bytes(), me.as_bytes()]),
            None => self.send_role(&at, &[b"SLAVEOF", b"NO", b"ONE"]),
        };
        if is_sent {
            self.event(Level::Notice, "+failover-state-wait-promotion", &at, "");
            if let Some(attempt) = self.masters.get_mut(name).and_then(|master| master.failover.as_mut()) {
                attempt.is_fenced = epoch.is_some();
            }
            self.enter(name, State::WaitPromotion { label: label.to_string(), paused_ms });
        }
    }

    fn send_pause(&mut self, name: &str, question: Question) -> bool {
        let ms = PAUSE_MS.to_string();
        self.send(&At::master(name), question, &[b"CLIENT", b"PAUSE", ms.as_bytes(), b"WRITE"])
    }

    /// Waits until the replica has all that the paused master has.
    fn hand_over(&mut self, name: &str, attempt: &Attempt, label: &str, offset: Option<u64>) {
        let at = At::replica(name, label);
        let waited_ms = self.now_ms.saturating_sub(attempt.since_ms);
        let replica = self.masters.get(name).and_then(|master| master.replicas.get(label));
        let told_ms = replica.and_then(|replica| replica.instance.info_ms).unwrap_or(0);
        let has_all = replica.zip(offset).is_some_and(|(replica, offset)| {
            // What it told before its master stood still does not count.
            told_ms >= attempt.since_ms && replica.offset >= offset
        });
        // The master's writers wait no longer than that: it may have more by now than it told.
        let is_late = waited_ms > HAND_OVER_MS;
        if has_all && !is_late {
            return self.promote_now(name, label, Some(attempt.since_ms));
        }
        if is_late || self.is_disconnected(&at) || self.is_disconnected(&At::master(name)) {
            return self.no_hand_over(name, attempt, label, "the replica did not get all in time");
        }
        if self.now_ms >= told_ms + OFFSET_LOOK_MS {
            self.send_info(&at);
        }
        self.wake_ms = self.wake_ms.min(self.now_ms + OFFSET_LOOK_MS);
    }

    /// The paused master has told where it stands, or that it does not pause.
    pub(crate) fn pause_answered(&mut self, at: &At, answer: &Answer) {
        let Some(attempt) = self.masters.get(&at.master).and_then(|master| master.failover.clone()) else { return };
        let State::HandingOver { label, .. } = &attempt.state else { return };
        if let Answer::Error(error) = answer {
            let error = String::from_utf8_lossy(error).into_owned();
            self.no_hand_over(&at.master, &attempt, label, &error);
        }
    }

    pub(crate) fn standing_answered(&mut self, at: &At, told: u64) {
        let attempt = self.masters.get_mut(&at.master).and_then(|master| master.failover.as_mut());
        if let Some(State::HandingOver { offset, .. }) = attempt.map(|attempt| &mut attempt.state) {
            *offset = Some(told);
            self.advance(&at.master);
        }
    }

    /// The user's plain failover goes on without the master; a coordinated one does not.
    fn no_hand_over(&mut self, name: &str, attempt: &Attempt, label: &str, reason: &str) {
        self.log(Level::Warning, format!("Master '{name}' does not hand over to {label}: {reason}"));
        self.send(&At::master(name), Question::Nothing, &[b"CLIENT", b"UNPAUSE"]);
        if attempt.request == Request::User {
            return self.promote_now(name, label, None);
        }
        self.event(Level::Warning, "-failover-abort-hand-over", &At::master(name), &format!(" #{reason}"));
        self.abort(name, 0, None);
    }

    fn wait_for_promotion(&mut self, name: &str, attempt: &Attempt, label: &str, paused_ms: Option<u64>) {
        let at = At::replica(name, label);
        let waited_ms = self.now_ms.saturating_sub(attempt.since_ms);
        let look_ms = if waited_ms < 2000 { LOOK_MS } else { LOOK_MS * 10 };
        let age_ms = self.instance(&at).and_then(|instance| instance.info_age_ms(self.now_ms));
        if age_ms.is_none_or(|age| age >= look_ms) {
            self.send_info(&at);
        }
        // As long as it is not certain who the master is, nobody writes.
        if paused_ms.is_some_and(|at| self.now_ms >= at + PAUSE_AGAIN_MS) && self.send_pause(name, Question::Nothing) {
            let paused_ms = Some(self.now_ms);
            if let Some(attempt) = self.masters.get_mut(name).and_then(|master| master.failover.as_mut()) {
                attempt.state = State::WaitPromotion { label: label.to_string(), paused_ms };
            }
        }
        self.wake_ms = self.wake_ms.min(self.now_ms + look_ms);
        self.give_up_if_late(name, attempt, paused_ms.is_some());
    }

    /// Nobody goes on with what is under way: the master's writers wait no longer, unless another one is the master already.
    pub(crate) fn release_writers(&mut self, name: &str) {
        let state = self.masters.get(name).and_then(|master| master.failover.as_ref()).map(|attempt| &attempt.state);
        if let Some(
            State::HandingOver { .. }
            | State::Fencing { paused_ms: Some(_), .. }
            | State::WaitPromotion { paused_ms: Some(_), .. },
        ) = state
        {
            self.send(&At::master(name), Question::Nothing, &[b"CLIENT", b"UNPAUSE"]);
        }
    }

    fn give_up_if_late(&mut self, name: &str, attempt: &Attempt, is_paused: bool) {
        let Some(timeout_ms) = self.masters.get(name).map(|master| master.settings.failover_timeout_ms) else { return };
        if self.now_ms.saturating_sub(attempt.since_ms) <= timeout_ms {
            return;
        }
        if is_paused {
            self.send(&At::master(name), Question::Nothing, &[b"CLIENT", b"UNPAUSE"]);
        }
        self.event(Level::Warning, "-failover-abort-slave-timeout", &At::master(name), "");
        let pause_ms = self.pause_after_failure_ms(name);
        self.abort(name, pause_ms, None);
    }

    /// The chosen one says that it is a master: from now on it is the one.
    pub(crate) fn promoted(&mut self, name: &str) {
        let Some(master) = self.masters.get_mut(name) else { return };
        let Some(attempt) = &master.failover else { return };
        let State::WaitPromotion { label, paused_ms } = attempt.state.clone() else { return };
        master.config_epoch = attempt.epoch;
        let from = master.instance.address.clone();
        let Some(to) = master.replicas.get(&label).map(|replica| replica.instance.address.clone()) else { return };
        self.is_dirty = true;
        let demote_ms = paused_ms.map(|_| self.now_ms + DEMOTE_MS);
        self.enter(name, State::Reconfiguring { label: label.clone(), demote_ms });
        let at = At::replica(name, &label);
        self.event(Level::Warning, "+promoted-slave", &at, "");
        if self.failures.after_promotion {
            return self.simulate_crash();
        }
        self.event(Level::Warning, "+failover-state-reconf-slaves", &At::master(name), "");
        let names = self.globals.announce_hostnames;
        let (from, to) = ((from.announced(names), from.port), (to.announced(names), to.port));
        self.call_reconfig_script(name, "leader", from, to);
        self.hurry_hello(name);
    }

    /// Makes the old master a replica. Its writers, who have waited, are cut, so that they look where the new one is.
    fn demote(&mut self, name: &str, promoted: &str, to: &Address) {
        let old = At::master(name);
        self.send_master(&old, to);
        self.send(&old, Question::Nothing, &[b"CLIENT", b"UNPAUSE"]);
        self.set_demoted(name, promoted);
    }

    fn set_demoted(&mut self, name: &str, promoted: &str) {
        if let Some(attempt) = self.masters.get_mut(name).and_then(|master| master.failover.as_mut()) {
            attempt.state = State::Reconfiguring { label: promoted.to_string(), demote_ms: None };
        }
    }

    fn simulate_crash(&mut self) {
        self.log(Level::Warning, "Sentinel CRASH because of SENTINEL simulate-failure");
        self.actions.push(Action::Exit { status: 99 });
    }

    /// Sends the other replicas to the new master, a few at a time.
    fn reconfigure(&mut self, name: &str, attempt: &Attempt, promoted: &str, demote_ms: Option<u64>) {
        let now_ms = self.now_ms;
        let reconf_timeout_ms = self.periods.reconf_timeout_ms;
        let Some(master) = self.masters.get(name) else { return };
        let Some(address) = master.replicas.get(promoted).map(|r| r.instance.address.clone()) else {
            return self.abort(name, 0, None);
        };
        if let Some(at_ms) = demote_ms {
            self.wake_ms = self.wake_ms.min(at_ms);
            return if now_ms >= at_ms {
                self.demote(name, promoted, &address)
            };
        }
        let Some(master) = self.masters.get_mut(name) else { return };
        let parallel = master.settings.parallel_syncs as usize;
        let is_busy = |r: &Reconfiguration| matches!(r, Reconfiguration::Sent { .. } | Reconfiguration::InProgress);
        let mut busy = master.replicas.values().filter(|r| is_busy(&r.reconfiguration)).count();
        let mut late = Vec::new();
        for (label, replica) in &mut master.replicas {
            if let Reconfiguration::Sent { at_ms } = replica.reconfiguration
                && now_ms.saturating_sub(at_ms) > reconf_timeout_ms
            {
                replica.reconfiguration = Reconfiguration::Done;
                late.push(At::replica(name, label));
            }
        }
        let waiting: Vec<At> = master
            .replicas
            .iter()
            .filter(|(label, r)| *label != promoted && r.reconfiguration == Reconfiguration::None)
            .map(|(label, _)| At::replica(name, label))
            .collect();
        for at in late {
            self.event(Level::Notice, "-slave-reconf-sent-timeout", &at, "");
        }
        for at in waiting {
            if busy < parallel
                && !self.is_disconnected(&at)
                && !self.knows_later_than(&at, attempt)
                && self.send_master(&at, &address)
            {
                busy += 1;
                self.mark_sent(&at);
                self.event(Level::Notice, "+slave-reconf-sent", &at, "");
            }
        }
        self.end_if_all_follow(name, attempt, promoted, &address);
    }

    fn mark_sent(&mut self, at: &At) {
        let now_ms = self.now_ms;
        let crate::link::Who::Replica(label) = &at.who else { return };
        if let Some(replica) = self.masters.get_mut(&at.master).and_then(|master| master.replicas.get_mut(label)) {
            replica.reconfiguration = Reconfiguration::Sent { at_ms: now_ms };
        }
    }

    fn end_if_all_follow(&mut self, name: &str, attempt: &Attempt, promoted: &str, address: &Address) {
        let Some(master) = self.masters.get(name) else { return };
        if master.replicas.get(promoted).is_none_or(|replica| replica.instance.down_since_ms.is_some()) {
            // All have been told its term. It is the master, and is replaced as any other that is down.
            self.event(Level::Warning, "+failover-end", &At::master(name), " #the promoted one is down");
            return self.switch(name, address.clone());
        }
        let open = self.open_replicas(master, attempt, promoted);
        let is_late = self.now_ms.saturating_sub(attempt.since_ms) > master.settings.failover_timeout_ms;
        if !open.is_empty() && !is_late {
            return;
        }
        if is_late {
            self.event(Level::Warning, "+failover-end-for-timeout", &At::master(name), "");
        }
        self.event(Level::Warning, "+failover-end", &At::master(name), "");
        // Another leader is elected since: what it promotes is led nowhere by one that is late.
        let is_overtaken = is_late && self.current_epoch > attempt.epoch;
        self.lead_rest_and_switch(name, if is_overtaken { Vec::new() } else { open }, address);
    }

    /// Who has not been told whom to follow is told so now, whatever becomes of it.
    fn lead_rest_and_switch(&mut self, name: &str, open: Vec<(At, Reconfiguration)>, to: &Address) {
        for (at, reconfiguration) in open {
            let is_told = matches!(reconfiguration, Reconfiguration::Sent { .. });
            if !is_told && !self.is_disconnected(&at) && self.send_master(&at, to) {
                self.event(Level::Notice, "+slave-reconf-sent-be", &at, "");
            }
        }
        self.switch(name, to.clone());
    }

    /// Nobody waits until all follow: whoever is promoted is the master, as all have been told.
    pub(crate) fn end_if_promoted(&mut self, name: &str) {
        let Some(master) = self.masters.get(name) else { return };
        let Some(attempt) = master.failover.clone() else { return };
        let State::Reconfiguring { label, demote_ms } = &attempt.state else { return };
        let Some(to) = master.replicas.get(label).map(|replica| replica.instance.address.clone()) else { return };
        let open = self.open_replicas(master, &attempt, label);
        if demote_ms.is_some() {
            self.demote(name, label, &to);
        }
        self.lead_rest_and_switch(name, open, &to);
    }

    /// Replicas that are up, and do not follow the promoted one yet as far as they have said.
    fn open_replicas(&self, master: &Master, attempt: &Attempt, promoted: &str) -> Vec<(At, Reconfiguration)> {
        let at = |label: &str| At::replica(&master.name, label);
        let open = master.replicas.iter().filter(|(label, replica)| {
            *label != promoted
                && replica.reconfiguration != Reconfiguration::Done
                && replica.instance.down_since_ms.is_none()
                && !self.knows_later_than(&at(label), attempt)
        });
        open.map(|(label, replica)| (at(label), replica.reconfiguration)).collect()
    }

    fn switch(&mut self, name: &str, to: Address) {
        let names = self.globals.announce_hostnames;
        let Some(from) = self.masters.get(name).map(|master| master.instance.address.clone()) else { return };
        let text = format!("{name} {} {} {} {}", from.announced(names), from.port, to.announced(names), to.port);
        self.event_text(Level::Warning, "+switch-master", Some(name), &text);
        self.switch_address(name, to);
    }

    /// The master is at another address from now on; who was there is a replica.
    pub(crate) fn switch_address(&mut self, name: &str, to: Address) {
        self.drop_forgotten_if(name, |forgotten| forgotten.address.is_same(&to));
        let Some(master) = self.masters.get_mut(name) else { return };
        let label =
            master.replicas.iter().find(|(_, r)| r.instance.address.is_same(&to)).map(|(label, _)| label.clone());
        let known = master.known_master();
        let promoted = label.and_then(|label| master.replicas.remove(&label));
        let is_elsewhere = !master.instance.address.is_same(&to);
        master.reset_state();
        master.history = promoted.as_ref().and_then(|replica| replica.history.clone());
        let now_ms = self.now_ms;
        let instance = match promoted {
            Some(replica) => Some(replica.instance),
            None if is_elsewhere => {
                let link = self.new_link();
                Some(crate::master::Instance::new(to, link, Role::Master, now_ms))
            }
            None => None,
        };
        self.is_dirty = true;
        let Some(mut instance) = instance else { return };
        instance.down_since_ms = None;
        instance.role_since_ms = now_ms;
        instance.role = Role::Master;
        let Some(master) = self.masters.get_mut(name) else { return };
        master.synchronous.node_id.clone_from(&instance.node_id);
        let old = std::mem::replace(&mut master.instance, instance);
        let label = old.address.label(self.globals.announce_hostnames);
        let mut replica = crate::replica::Replica::new(old, now_ms);
        replica.instance.down_since_ms = None;
        replica.instance.role_since_ms = now_ms;
        (replica.was_master, replica.known) = (true, known);
        let link = replica.instance.link;
        master.replicas.insert(label, replica);
        let labels: Vec<String> = master.replicas.keys().cloned().collect();
        if let Some(link) = self.links.get_mut(&link) {
            link.start_over(now_ms);
        }
        for label in labels {
            self.event(Level::Notice, "+slave", &At::replica(name, &label), "");
        }
        self.hurry_hello(name);
    }

    /// Gives a failover up; none is begun before the pause is over, unless the other leader goes down.
    pub(crate) fn abort(&mut self, name: &str, pause_ms: u64, leader: Option<String>) {
        let now_ms = self.now_ms;
        let Some(master) = self.masters.get_mut(name) else { return };
        master.failover = None;
        let splits = master.backoff.splits.saturating_add(1);
        master.backoff = Backoff { until_ms: now_ms + pause_ms, leader, splits, logged_ms: 0, is_left: false };
    }

    /// Tells an instance whom to follow, or to be a master; it writes that down, and its clients are cut so that they look again.
    pub(crate) fn send_master(&mut self, at: &At, master: &Address) -> bool {
        if self.is_at_two_addresses(at, master) {
            return false;
        }
        let (host, port) = (master.announced(self.globals.announce_hostnames), master.port.to_string());
        self.send_role(at, &[b"SLAVEOF", host.as_bytes(), port.as_bytes()])
    }

    fn send_role(&mut self, at: &At, order: &[&[u8]]) -> bool {
        self.send(at, Question::Nothing, &[b"MULTI"])
            && self.send(at, Question::Nothing, order)
            && self.send(at, Question::Nothing, &[b"CONFIG", b"REWRITE"])
            && self.send(at, Question::Nothing, &[b"CLIENT", b"KILL", b"TYPE", b"normal"])
            && self.send(at, Question::Nothing, &[b"CLIENT", b"KILL", b"TYPE", b"pubsub"])
            && self.send(at, Question::Role, &[b"EXEC"])
    }

    /// Who has been down for long, and whom nobody names, is forgotten, so that no RESET is ever needed (redis#4123, #6194). Of the Sentinels one
    /// goes at a time, and only while a majority of all is up: so those who are cut off never make a majority of themselves.
    pub(crate) fn forget_the_dead(&mut self, name: &str) {
        let now_ms = self.now_ms;
        let Some(master) = self.masters.get(name) else { return };
        let after_ms = master.settings.forget_after_ms;
        if after_ms == 0 || master.failover.is_some() || master.is_down() {
            return;
        }
        let is_gone = |instance: &crate::master::Instance| {
            instance.down_since_ms.is_some_and(|since| now_ms.saturating_sub(since) > after_ms)
        };
        let replicas = master
            .replicas
            .iter()
            .filter(|(_, replica)| is_gone(&replica.instance) && now_ms.saturating_sub(replica.named_ms) > after_ms);
        let replicas: Vec<String> = replicas.map(|(label, _)| label.clone()).collect();
        let up = 1 + master.peers.values().filter(|peer| peer.instance.down_since_ms.is_none()).count() as u32;
        let peer = master.peers.iter().find(|(_, peer)| is_gone(&peer.instance)).map(|(id, _)| id.clone());
        let peer = peer.filter(|_| up >= master.majority());
        for label in replicas {
            self.event(Level::Notice, "-slave", &At::replica(name, &label), " #gone for long");
            self.forget_replica(name, &label);
        }
        if let Some(id) = peer {
            self.event(Level::Notice, "-sentinel", &At::peer(name, &id), " #gone for long");
            self.remove_peer(name, &id);
        }
    }
}

impl Master {
    /// Forgets what was believed and what was under way, not who is there.
    pub(crate) fn reset_state(&mut self) {
        self.failover = None;
        self.backoff = Backoff::default();
        self.agreed_down_since_ms = None;
        self.reboot_since_ms = None;
        self.reborn = None;
        self.history = None;
        self.absent.clear();
        self.former_history = None;
        self.instance.down_since_ms = None;
        for replica in self.replicas.values_mut() {
            replica.reconfiguration = Reconfiguration::None;
            replica.master_lacks_data = false;
        }
        for peer in self.peers.values_mut() {
            peer.says_down = false;
        }
    }
}
