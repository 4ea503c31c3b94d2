//! Fences, and members: how a leader makes sure that whom it promotes has all that was acknowledged (docs/failover.md). Where the nodes have no
//! synchronous replicas, or are not Rivulet's, none of it is done.
//!
//! Of M members beside the master, N acknowledge each write; so M − N + 1 that have promised to acknowledge no older master any more tell where
//! the most advanced stands. Members are told by whatever Sentinel sees that one is missing: who comes is told to the replicas first, who goes to the
//! master first, so that no leader counts with fewer than the master did.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

use rivulet_replication::promises::ListId;

use crate::answer::Answer;
use crate::choice::Choice;
use crate::events::Level;
use crate::failover::{Attempt, Request, State};
use crate::info::Role;
use crate::link::{At, Question, Who};
use crate::master::{Instance, Master, Synchronous};
use crate::reappointment::OldMaster;
use crate::replica::Replica;
use crate::sentinel::Sentinel;

/// Fences that are enough wait so long for those of the others, ms; and that are not, so long before the failover is given up.
pub(crate) const OTHERS_MS: u64 = 50;
pub(crate) const ENOUGH_MS: u64 = 3000;
/// Between a failover that was given up for that and the next, ms.
pub(crate) const RETRY_MS: u64 = 1000;
/// By then a leader has promoted a fenced replica, or will not: so long those who voted for it leave the field to it at most, ms. Fences and epochs make it
/// safe should another one come forward meanwhile.
pub(crate) const ATTEMPT_MAX_MS: u64 = 10_000;
/// What looks half done for so long is, ms: it may only be that INFOs were not of one time.
const HEAL_MS: u64 = 5000;

/// A term of data, the later one being the greater: that of a failover, and how often its master was started again in it and proved to lack nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataTerm {
    pub epoch: u64,
    pub start: u64,
}

impl DataTerm {
    /// As a node that is fenced says it: a negative epoch is none.
    fn told(epoch: i64, start: i64) -> Option<DataTerm> {
        Some(DataTerm { epoch: u64::try_from(epoch).ok()?, start: u64::try_from(start).ok()? })
    }
}

impl Display for DataTerm {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}", self.epoch)?;
        if self.start > 0 { write!(f, " (restart {})", self.start) } else { Ok(()) }
    }
}

/// Where a node stands that is fenced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub offset: u64,
    /// The latest term of whose master it has acknowledged data.
    pub data_term: Option<DataTerm>,
    /// It has lost nothing of that in a restart.
    pub is_certain: bool,
}

impl Standing {
    /// Who has the greater one has all that was acknowledged to the other one.
    pub(crate) fn rank(&self) -> (Option<DataTerm>, u64) {
        (self.data_term, self.offset)
    }
}

impl Master {
    /// How many replicas must have acknowledged a write, as far as this Sentinel shall see to it: the smallest number that any node has said, as more are
    /// fenced then. 0 counts as nothing said, so that who turns it on, or off, on one node after the other is on the safe side meanwhile.
    pub(crate) fn synchronous(&self) -> u32 {
        let least = self.said_synchronous().min();
        if self.settings.is_strict { least.unwrap_or(0) } else { 0 }
    }

    fn said_synchronous(&self) -> impl Iterator<Item = u32> {
        let said = self.replicas.values().map(|replica| replica.instance.synchronous_replicas);
        said.chain([self.synchronous.replicas]).filter(|replicas| *replicas > 0)
    }

    /// The id under which the lists name the master, which it may have told to this Sentinel before its start.
    fn own_id(&self) -> Option<&str> {
        let former = self.synchronous.node_id.as_deref();
        if self.is_renewed() { former } else { self.instance.node_id.as_deref().or(former) }
    }

    /// The server at the master's address tells an id that no list of the set has, while the master's former one is in one: it was started without its
    /// directory, or is another server. It is not whom the members have acknowledged anything to.
    pub(crate) fn is_renewed(&self) -> bool {
        let Some((former, told)) = self.synchronous.node_id.as_ref().zip(self.instance.node_id.as_ref()) else {
            return false;
        };
        former != told && self.is_listed(former) && !self.is_listed(told)
    }

    fn is_listed(&self, id: &String) -> bool {
        let instances = self.replicas.values().map(|replica| &replica.instance).chain([&self.instance]);
        instances.filter(|instance| self.has_list_of_set(instance)).any(|instance| instance.members.contains(id))
    }

    /// The master has told of itself. With synchronous replicas its former id is kept until a list has the one that it tells now: which lists there are may be
    /// heard later than that.
    pub(crate) fn learn_synchronous(&mut self, replicas: u32, node_id: Option<String>) -> bool {
        let matters = replicas > 0 || self.synchronous.replicas > 0;
        let keeps = matters && self.synchronous.node_id.is_some() || self.is_renewed();
        let node_id = match node_id {
            Some(told) if !keeps || self.is_listed(&told) => Some(told),
            Some(_) | None if keeps => self.synchronous.node_id.clone(),
            told => told,
        };
        let told = Synchronous { replicas, node_id };
        let is_new = self.synchronous != told;
        self.synchronous = told;
        is_new && matters
    }

    /// Those who may have acknowledged something to the master, by all lists that were heard: those of the latest one that is settled, which is in the place of
    /// all before it, and of those after it, each of which may be the master's by now. Without numbers it is the longest; without lists all that are known.
    pub(crate) fn members(&self) -> BTreeSet<&str> {
        let instances = || self.replicas.values().map(|replica| &replica.instance);
        let lists = || instances().chain([&self.instance]).filter(|instance| self.has_list_of_set(instance));
        let settled = lists().map(|instance| instance.list).filter(|list| list.is_settled).max();
        let longest = lists().map(|instance| instance.members.len()).max();
        let counts = |instance: &&Instance| match settled {
            Some(settled) => instance.list >= settled,
            None => Some(instance.members.len()) == longest || instance.list > ListId::default(),
        };
        let mut ids: BTreeSet<&str> =
            lists().filter(counts).flat_map(|instance| &instance.members).map(String::as_str).collect();
        if longest.is_none() {
            ids.extend(instances().filter_map(|instance| instance.node_id.as_deref()));
        }
        ids.into_iter().filter(|id| Some(*id) != self.own_id()).collect()
    }

    /// Whether an instance has a list, and not one of another set in which it was before: such a one has nobody but itself in common with those of others, or with
    /// the master's where that is known.
    pub(crate) fn has_list_of_set(&self, instance: &Instance) -> bool {
        if instance.members.is_empty() || std::ptr::eq(instance, &self.instance) {
            return !instance.members.is_empty();
        }
        let others = self.replicas.values().map(|replica| &replica.instance);
        let others = others.filter(|other| !std::ptr::eq(*other, instance) && self.instance.members.is_empty());
        let mut others = others.chain([&self.instance]).filter(|other| !other.members.is_empty()).peekable();
        let is_shared = |id: &&String| Some(id.as_str()) != instance.node_id.as_deref();
        others.peek().is_none()
            || others.any(|other| instance.members.iter().filter(is_shared).any(|id| other.members.contains(id)))
    }

    /// So many must be fenced by a leader without votes. It may not be the only one of its term: it must have asked somebody of those whom any other one has
    /// asked, and who acknowledge to nobody else then.
    fn fences_needed_without_votes(&self) -> usize {
        self.fences_needed().max(self.synchronous() as usize + 1)
    }

    /// So many of them must be fenced.
    pub(crate) fn fences_needed(&self) -> usize {
        (self.members().len() + 1).saturating_sub(self.synchronous() as usize).max(1)
    }

    /// How many members are fenced, and how many of them have lost nothing. A node counts once, under whatever addresses it is known.
    pub(crate) fn count_fenced(&self, fenced: &BTreeMap<String, Standing>) -> (usize, usize) {
        let members = self.members();
        let count = |certain_only: bool| {
            let counts = |(_, told): &(&String, &Standing)| told.is_certain || !certain_only;
            let ids = fenced.iter().filter(counts).filter_map(|(label, _)| self.id_of(label));
            ids.filter(|id| members.contains(id)).collect::<BTreeSet<_>>().len()
        };
        (count(false), count(true))
    }

    /// How many members there are beside the master.
    pub(crate) fn count_members(&self) -> usize {
        self.members().len()
    }

    fn id_of(&self, label: &str) -> Option<&str> {
        self.replicas.get(label)?.instance.node_id.as_deref()
    }

    /// Those of the fenced who are members.
    pub(crate) fn fenced_of_set(&self, fenced: &BTreeMap<String, Standing>) -> BTreeMap<String, Standing> {
        let members = self.members();
        let is_member = |label: &String| self.id_of(label).is_some_and(|id| members.contains(id));
        fenced.iter().filter(|(label, _)| is_member(label)).map(|(label, told)| (label.clone(), *told)).collect()
    }

    /// Whether a longer list may be told to the master: whichever members a leader fences, one of them knows of it. Of a list of M a leader that knows no
    /// longer one fences M − N + 1, so those who have not heard must be fewer, with the largest N that was said. M is the length of the shortest list that it
    /// may count by: the master's, or an older one that somebody who has not heard may have.
    fn enough_know(&self, wanted: &[String], list: ListId, own: &str, now_ms: u64) -> bool {
        let n = self.said_synchronous().max().unwrap_or(0) as usize;
        let with_id = |id: &str| {
            self.replicas.values().map(|r| &r.instance).find(|instance| instance.node_id.as_deref() == Some(id))
        };
        // Those who were gone for so long that they were forgotten will fence nobody.
        let stays = |id: &&String| *id != own && !self.is_gone(id, now_ms);
        let late = wanted.iter().filter(stays).map(|id| with_id(id));
        let others = |members: &[String]| members.iter().filter(|id| *id != own).count();
        let present = others(&self.instance.members);
        // Of a member that this Sentinel has not found, the list is some list of this set.
        let late: Vec<usize> = late
            .filter(|instance| instance.is_none_or(|instance| !knows(instance, wanted, list)))
            .map(|instance| instance.map_or(present, |instance| others(&instance.members)))
            .collect();
        if self.instance.members.is_empty() {
            // Nobody has a list: who is fenced counts with all that are known, and these are in the first one.
            return late.len() < n;
        }
        late.iter().min().is_none_or(|shortest| late.len() + n <= (*shortest).min(present))
    }

    /// A member that nobody has had for so long that whoever had it is forgotten.
    fn is_gone(&self, id: &str, now_ms: u64) -> bool {
        // Who has not been heard yet may be anybody.
        let is_of_id = |instance: &Instance| match instance.node_id.as_deref() {
            Some(known) => known == id,
            None => instance.info_ms.is_none(),
        };
        let is_known = || self.replicas.values().any(|replica| is_of_id(&replica.instance));
        let after_ms = self.settings.forget_after_ms;
        let for_long = self.absent.get(id).is_some_and(|since| now_ms.saturating_sub(*since) >= after_ms);
        after_ms > 0 && for_long && !is_known()
    }

    /// The members that the master should have, at most one other than now.
    fn wanted_members(&self, own: &String, now_ms: u64, follows: impl Fn(&Replica) -> bool) -> Vec<String> {
        let present = &self.instance.members;
        // Who comes has come: it follows this master.
        let has_come = |replica: &&Replica| {
            let instance = &replica.instance;
            let is_up = instance.down_since_ms.is_none() && instance.role == Role::Replica && replica.is_link_up;
            present.is_empty() || is_up && follows(replica)
        };
        let known = || self.replicas.values().filter(has_come);
        let known = known().filter_map(|replica| replica.instance.node_id.as_ref());
        if present.is_empty() {
            return known.chain([own]).cloned().collect();
        }
        let mut wanted = present.clone();
        // It may have been promoted before it was a member.
        let comes = std::iter::once(own).chain(known).find(|id| !present.contains(id));
        let goes = wanted.iter().position(|id| self.is_gone(id, now_ms));
        let up = |ids: &[String]| ids.iter().filter(|id| *id != own && !self.absent.contains_key(*id)).count();
        // Who is gone has not heard of who comes. The master takes a shorter list only if those who are left have all.
        match (goes, comes) {
            (Some(at), _) if up(&wanted) >= self.said_synchronous().max().unwrap_or(0) as usize => {
                _ = wanted.remove(at)
            }
            (_, Some(comes)) => wanted.push(comes.clone()),
            _ => {}
        }
        wanted
    }

    /// Who of its members is up, and who is not, and since when.
    fn note_absent(&mut self, now_ms: u64) {
        let is_there = |id: &String| {
            let of_id = |replica: &&Replica| replica.instance.node_id.as_ref() == Some(id);
            self.own_id() == Some(id)
                || self.replicas.values().filter(of_id).any(|r| r.instance.down_since_ms.is_none())
        };
        let absent: Vec<String> = self.instance.members.iter().filter(|id| !is_there(id)).cloned().collect();
        self.absent.retain(|id, _| absent.contains(id));
        absent.into_iter().for_each(|id| _ = self.absent.entry(id).or_insert(now_ms));
    }

    /// Another one that is fenced has data of a later term than the chosen one, or more of the same.
    fn more_advanced<'a>(&self, fenced: &'a BTreeMap<String, Standing>, chosen: &str) -> Option<&'a str> {
        let own = fenced.get(chosen).map(Standing::rank);
        fenced.iter().find(|(_, told)| Some(told.rank()) > own).map(|(label, _)| label.as_str())
    }
}

impl Sentinel {
    /// Whether replicas must be fenced before one of them is promoted.
    pub(crate) fn must_fence(&self, name: &str) -> bool {
        self.masters.get(name).is_some_and(|master| master.synchronous() > 0)
    }

    /// As many members answer as must be fenced, or none need be.
    pub(crate) fn can_fence(&self, master: &Master) -> bool {
        master.synchronous() == 0 || self.members_that_answer(master) >= master.fences_needed()
    }

    /// A user's failover may do without votes: none need be fenced, or as many answer as such a one must fence.
    pub(crate) fn can_go_without_votes(&self, master: &Master) -> bool {
        master.synchronous() == 0 || self.members_that_answer(master) >= master.fences_needed_without_votes()
    }

    /// Members that are connected, and have answered pings of late. Who loads refuses to be fenced.
    pub(crate) fn members_that_answer(&self, master: &Master) -> usize {
        let answers = |replica: &&Replica| {
            let link = self.links.get(&replica.instance.link).filter(|link| !link.is_disconnected);
            replica.instance.down_since_ms.is_none()
                && !replica.instance.is_loading
                && link.is_some_and(|link| self.now_ms.saturating_sub(link.last_ok_ms) <= self.periods.ping_ms * 5)
        };
        let ids = master.replicas.values().filter(answers).filter_map(|replica| replica.instance.node_id.as_deref());
        ids.collect::<BTreeSet<_>>().intersection(&master.members()).count()
    }

    /// Asks all replicas to promise this leader's term. `label` and `paused_ms` as in [`State::Fencing`].
    pub(crate) fn begin_fencing(&mut self, name: &str, label: Option<&str>, paused_ms: Option<u64>) {
        let Some(epoch) = self.masters.get(name).and_then(|master| Some(master.failover.as_ref()?.epoch)) else {
            return;
        };
        self.event(Level::Notice, "+failover-state-fence", &At::master(name), "");
        for at in self.everybody(name) {
            if matches!(at.who, Who::Replica(_)) {
                _ = self.send_fence(&at, epoch);
            }
        }
        let (label, old) = (label.map(str::to_string), OldMaster::NotAsked);
        self.enter(name, State::Fencing { label, paused_ms, fenced: BTreeMap::new(), old });
    }

    pub(crate) fn send_fence(&mut self, at: &At, epoch: u64) -> bool {
        let (epoch, me) = (epoch.to_string(), self.id.clone());
        self.send(at, Question::Fence, &[b"REPLICATION", b"FENCE", epoch.as_bytes(), me.as_bytes()])
    }

    /// A node has promised, or known better.
    pub(crate) fn fence_answered(&mut self, at: &At, answer: &Answer) {
        if let Answer::Error(error) = answer {
            let text = String::from_utf8_lossy(error).into_owned();
            let known = text.strip_prefix("STALEEPOCH ").and_then(|rest| rest.split(' ').next()?.parse().ok());
            self.log(Level::Warning, format!("A node of '{}' is not fenced: {text}", at.master));
            if let Some(known) = known.filter(|known| *known > self.current_epoch && *known < u64::MAX / 2) {
                self.raise_epoch(&at.master, known);
            }
            return;
        }
        let Some(told) = Told::parse(answer) else { return };
        let attempt = self.masters.get(&at.master).and_then(|master| master.failover.as_ref());
        if attempt.is_none_or(|attempt| attempt.epoch != told.epoch) {
            // It answers a fence of before: where it stood then says nothing of now, and another leader may have fenced it since.
            return;
        }
        let now_ms = self.now_ms;
        let label = match &at.who {
            Who::Replica(label) => label,
            Who::Master => return self.master_fenced(&at.master, told),
            Who::Peer(_) | Who::Forgotten(_) => return,
        };
        let Some(master) = self.masters.get_mut(&at.master) else { return };
        let Some(replica) = master.replicas.get_mut(label) else { return };
        replica.offset = told.standing.offset;
        replica.instance.node_id = Some(told.node_id);
        (replica.instance.members, replica.instance.list) = (told.members, told.list);
        replica.instance.synchronous_replicas = told.synchronous_replicas;
        replica.instance.info_ms = Some(now_ms);
        if let Some(Attempt { state: State::Fencing { fenced, .. }, .. }) = &mut master.failover {
            fenced.insert(label.clone(), told.standing);
            self.advance(&at.master);
        }
    }

    /// Promotes the most advanced of those who are fenced, once they are enough.
    pub(crate) fn fence(&mut self, name: &str, attempt: &Attempt) {
        if self.asks_master(name, attempt) && !self.fence_with_master(name, attempt) {
            return;
        }
        let State::Fencing { label, paused_ms, fenced, .. } = &attempt.state else { return };
        let Some(master) = self.masters.get(name) else { return };
        let waited_ms = self.now_ms.saturating_sub(attempt.since_ms);
        let needed = if attempt.is_voted { master.fences_needed() } else { master.fences_needed_without_votes() };
        let (_, count) = master.count_fenced(fenced);
        let all = master.replicas.len() == fenced.len();
        if count < needed || (!all && waited_ms < OTHERS_MS) {
            if waited_ms >= ENOUGH_MS {
                let reason = format!("{count} replicas are fenced, {needed} must be");
                return self.give_up_unfenced(name, paused_ms.is_some(), &reason);
            }
            self.wake_ms = self.wake_ms.min(attempt.since_ms + if count < needed { ENOUGH_MS } else { OTHERS_MS });
            return;
        }
        let mut choice = self.choice_among(master, Some(fenced));
        // Who was chosen before has at least as much, or has come as far as the paused master.
        let is_as_far = |label: &String| choice.winner.as_ref().is_some_and(|w| fenced.get(w) == fenced.get(label));
        if let Some(label) = label.as_ref().filter(|label| fenced.contains_key(*label) && is_as_far(label)) {
            choice.winner = Some(label.clone());
        }
        self.promote_chosen(name, choice, fenced, *paused_ms);
    }

    /// Promotes the winner, if nobody who is fenced has more.
    pub(crate) fn promote_chosen(
        &mut self,
        name: &str,
        choice: Choice,
        fenced: &BTreeMap<String, Standing>,
        paused_ms: Option<u64>,
    ) {
        let Some(master) = self.masters.get(name) else { return };
        let lacks = choice.winner.as_ref().and_then(|winner| master.more_advanced(fenced, winner)).map(str::to_string);
        self.tell_choice(name, &choice);
        match (choice.winner, lacks) {
            (Some(winner), None) => self.make_master(name, &winner, fenced, paused_ms),
            (Some(winner), Some(other)) => {
                let is_never = self.masters.get(name).and_then(|master| master.replicas.get(&other));
                if is_never.is_some_and(|other| other.priority == 0) {
                    // It can't hand over what it has, as nobody gets data from a replica whose own link is down.
                    let text = format!(
                        "'{name}' stays without a master: {other} is to be promoted if its replica-priority is above 0 (CONFIG SET there), as nobody else has all"
                    );
                    self.log(Level::Warning, text);
                }
                let reason = format!("{other} has more than {winner} and may not be promoted");
                self.give_up_unfenced(name, paused_ms.is_some(), &reason);
            }
            (None, _) => self.give_up_unfenced(name, paused_ms.is_some(), "none of the fenced replicas is fit"),
        }
    }

    fn tell_choice(&mut self, name: &str, choice: &Choice) {
        for (label, remark) in &choice.remarks {
            self.log(Level::Notice, format!("Replica {label} of '{name}' is {remark}"));
        }
        if let Some(master) = self.masters.get_mut(name) {
            master.last_choice = Some(choice.clone());
        }
    }

    fn give_up_unfenced(&mut self, name: &str, is_paused: bool, reason: &str) {
        if is_paused {
            self.send(&At::master(name), Question::Nothing, &[b"CLIENT", b"UNPAUSE"]);
        }
        self.event(Level::Warning, "-failover-abort-not-fenced", &At::master(name), &format!(" #{reason}"));
        // Whoever tries next needs a later term, and the nodes to be there: not much time.
        self.abort(name, RETRY_MS, None);
    }

    /// The chosen one does not take its role: what it told when it was fenced may be true no more. All are fenced anew.
    pub(crate) fn promotion_refused(&mut self, at: &At, why: &str) {
        let Some(attempt) = self.masters.get(&at.master).and_then(|master| master.failover.as_ref()) else { return };
        let State::WaitPromotion { label, paused_ms } = &attempt.state else { return };
        if at.who != Who::Replica(label.clone()) || !attempt.is_fenced {
            return;
        }
        let (is_paused, reason) = (paused_ms.is_some(), format!("{label} refuses its role: {why}"));
        self.give_up_unfenced(&at.master, is_paused, &reason);
    }

    /// The chosen one is told to be the master, with whom it has to count. An old master that can hear it learns that it is stale; one that has handed
    /// over is paused, and is made a replica soon.
    fn make_master(&mut self, name: &str, label: &str, fenced: &BTreeMap<String, Standing>, paused_ms: Option<u64>) {
        let Some(master) = self.masters.get(name) else { return };
        let Some(epoch) = master.failover.as_ref().map(|attempt| attempt.epoch) else { return };
        // A former id is gone with what it had. Who has it no more is added as anybody who comes.
        let own = master.own_id().filter(|_| !master.is_renewed()).map(str::to_string);
        if paused_ms.is_none() {
            _ = self.send_fence(&At::master(name), epoch);
        }
        self.tell_members_of_leader(name, epoch, own, fenced);
        self.make_master_now(name, label, paused_ms, Some(epoch));
    }

    /// The new master is to count as this leader does, and so are those who replace it before it can tell them: so all who are fenced hear of the list before
    /// there is one.
    pub(crate) fn tell_members_of_leader(
        &mut self,
        name: &str,
        epoch: u64,
        own: Option<String>,
        fenced: &BTreeMap<String, Standing>,
    ) {
        let Some(master) = self.masters.get(name) else { return };
        let mut members: Vec<String> = master.members().into_iter().map(str::to_string).collect();
        members.extend(own);
        let list = ListId { epoch, number: 0, is_settled: false };
        fenced.keys().for_each(|label| self.send_members(&At::replica(name, label), epoch, list, &members));
    }

    fn send_members(&mut self, at: &At, epoch: u64, list: ListId, members: &[String]) {
        let (epoch, list) = (epoch.to_string(), list.to_string());
        let mut words: Vec<&[u8]> = vec![b"REPLICATION", b"MEMBERS", epoch.as_bytes(), b"LIST", list.as_bytes()];
        words.extend(members.iter().map(|id| id.as_bytes()));
        if !members.is_empty() {
            self.send(at, Question::Nothing, &words);
        }
    }

    /// A failover was given up after replicas had been fenced, and the master is there: they acknowledge nothing to it, and it can't be of their term. It is
    /// appointed again in a later one, if it has most. One that was started again is asked so only where all members answer; where enough do, a planned switch
    /// replaces it. Answers whether that is so.
    fn heal_half_done(&mut self, name: &str) -> bool {
        let Some(master) = self.masters.get(name) else { return false };
        let is_later = |replica: &Replica| {
            replica.instance.down_since_ms.is_none() && replica.instance.failover_epoch > master.instance.failover_epoch
        };
        let is_half_done = master.instance.is_stale || master.replicas.values().any(is_later);
        let is_half_done = is_half_done || master.instance.is_unproven && !master.instance.is_loading;
        if is_half_done && self.now_ms >= master.backoff.until_ms {
            let is_due = master.half_done_since_ms.is_some_and(|at| self.now_ms >= at + HEAL_MS);
            let request = match (self.can_fence_with_master(master), self.can_fence(master)) {
                (true, _) => Some((Request::Again, "it is fenced with the others, and goes on if it has most")),
                (_, true) => Some((Request::User, "a planned switch ends it")),
                _ => None,
            };
            if let Some((request, end)) = request.filter(|_| is_due) {
                let why = match master.instance.is_unproven {
                    true => "was started again and can't tell whether it has all",
                    false => "was left half done by a failover",
                };
                self.log(Level::Warning, format!("'{name}' {why}: {end}"));
                self.begin_failover(name, request);
            }
        }
        let now_ms = self.now_ms;
        if let Some(master) = self.masters.get_mut(name) {
            master.half_done_since_ms = is_half_done.then(|| master.half_done_since_ms.unwrap_or(now_ms));
        }
        is_half_done
    }

    /// The master has told its members: who is missing is added, and who was forgotten goes, one at a time. Who comes is told to the replicas first, under the
    /// number of the list that is to be; who goes to the master first. What the master has, and is settled, all replicas are told.
    pub(crate) fn tend_members(&mut self, name: &str) {
        let now_ms = self.now_ms;
        let Some(master) = self.masters.get_mut(name) else { return };
        master.note_absent(now_ms);
        if master.synchronous() == 0 || master.failover.is_some() || master.is_down() || self.tilt.is_on() {
            return;
        }
        let is_half_done = self.heal_half_done(name);
        let Some(master) = self.masters.get(name) else { return };
        let Some(own) = master.instance.node_id.clone() else { return };
        // The nodes may know an older term than this Sentinel: that of the last failover before replies waited.
        let epoch = master.instance.failover_epoch;
        let (present, wanted) = (
            master.instance.members.clone(),
            master.wanted_members(&own, now_ms, |replica| self.follows(replica, master)),
        );
        if present.is_empty() && wanted.len() <= master.said_synchronous().max().unwrap_or(0) as usize {
            // With these alone no write would ever be acknowledged.
            return;
        }
        let (list, next) = (master.instance.list, master.instance.list.next(epoch));
        let (comes, goes) = (wanted.len() > present.len(), wanted.len() < present.len());
        // The switch that ends it may lack those who are gone for good. A stale master must not be appointed again.
        if is_half_done && (!goes || master.instance.is_stale) {
            return;
        }
        // What is open and was taken tells nobody who need not be counted.
        let (told, told_list) = if comes { (&wanted, next) } else { (&present, list) };
        let late = |replica: &Replica| replica.instance.node_id.is_some() && !knows(&replica.instance, told, told_list);
        let late = master.replicas.iter().filter(|(_, replica)| (comes || list.is_settled) && late(replica));
        let late: Vec<At> = late.map(|(label, _)| At::replica(name, label)).collect();
        // One that is open is said again: it may be settled by now.
        let to_master = if comes { master.enough_know(&wanted, next, &own, now_ms) } else { goes || !list.is_settled };
        late.iter().for_each(|at| self.send_members(at, epoch, told_list, told));
        if to_master {
            self.send_members(&At::master(name), epoch, if comes || goes { next } else { list }, &wanted);
        }
    }
}

/// Whether an instance has told that it knows this list, or a later one that holds it.
fn knows(instance: &Instance, members: &[String], list: ListId) -> bool {
    match instance.list == list {
        true => has_all(&instance.members, members),
        false => instance.list > list && list.is_settled,
    }
}

fn has_all(list: &[String], wanted: &[String]) -> bool {
    wanted.iter().all(|id| list.contains(id))
}

/// The answer of a node that was fenced.
pub(crate) struct Told {
    pub node_id: String,
    /// What it has promised.
    pub epoch: u64,
    pub standing: Standing,
    pub synchronous_replicas: u32,
    pub members: Vec<String>,
    pub list: ListId,
}

impl Told {
    /// A map, as an array of names and values.
    fn parse(answer: &Answer) -> Option<Told> {
        let Answer::Array(items) = answer else { return None };
        let text = |answer: &Answer| match answer {
            Answer::Bulk(bytes) => String::from_utf8(bytes.clone()).ok(),
            _ => None,
        };
        let field = |name: &str| {
            items.chunks_exact(2).find(|pair| text(&pair[0]).as_deref() == Some(name)).map(|pair| &pair[1])
        };
        let Answer::Int(epoch) = field("epoch")? else { return None };
        let Answer::Int(offset) = field("offset")? else { return None };
        let Answer::Int(replicas) = field("synchronous_replicas")? else { return None };
        let Answer::Int(data_epoch) = field("data_epoch")? else { return None };
        let data_start = match field("data_start") {
            Some(Answer::Int(start)) => *start,
            _ => 0,
        };
        let Answer::Int(certain) = field("certain")? else { return None };
        let Answer::Array(members) = field("members")? else { return None };
        Some(Told {
            node_id: text(field("node_id")?)?,
            epoch: u64::try_from(*epoch).ok()?,
            standing: Standing {
                offset: u64::try_from(*offset).ok()?,
                data_term: DataTerm::told(*data_epoch, data_start),
                is_certain: *certain == 1,
            },
            synchronous_replicas: u32::try_from(*replicas).ok()?,
            members: members.iter().map(text).collect::<Option<_>>()?,
            list: field("members_list").and_then(text).and_then(|text| text.parse().ok()).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_fenced_node_tells() {
        let bulk = |text: &str| Answer::Bulk(text.as_bytes().to_vec());
        let map = |offset| {
            Answer::Array(vec![
                bulk("node_id"),
                bulk("n"),
                bulk("role"),
                bulk("replica"),
                bulk("epoch"),
                Answer::Int(6),
                bulk("offset"),
                offset,
                bulk("synchronous_replicas"),
                Answer::Int(2),
                bulk("data_epoch"),
                Answer::Int(-1),
                bulk("data_start"),
                Answer::Int(0),
                bulk("certain"),
                Answer::Int(1),
                bulk("members"),
                Answer::Array(vec![bulk("n"), bulk("m")]),
                bulk("members_list"),
                bulk("5.2"),
            ])
        };
        let told = Told::parse(&map(Answer::Int(7))).expect("it is whole");
        assert_eq!((told.node_id.as_str(), told.epoch, told.standing.offset, told.members.len()), ("n", 6, 7, 2));
        assert_eq!(told.list.to_string(), "5.2");
        for wrong in [map(Answer::Int(-1)), map(bulk("7")), Answer::Null, Answer::Array(vec![bulk("offset")])] {
            assert!(Told::parse(&wrong).is_none(), "{wrong:?}");
        }
    }
}
