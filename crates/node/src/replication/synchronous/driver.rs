//! Replicas are asked for acknowledgements, and what these prove is counted.

use rivulet_config::SynchronousCommit;
use rivulet_engine::client_id::ClientId;
use rivulet_replication::history::Kinship;
use rivulet_replication::master::LogNeed;
use rivulet_replication::messages::{AskedId, PsyncRequest};
use rivulet_replication::promises::Promises;
use rivulet_replication::session::Session;
use rivulet_replication::stream::{GETACK, GETACK_ALWAYS, PING};

use crate::log;
use crate::node::Node;

const RETRY_MS: u64 = 1000;

impl Node {
    /// The configuration or the role has changed, and with them perhaps whether replies wait for replicas.
    pub fn look_at_synchronous(&mut self) {
        // What is loaded is looked at when it is there.
        let is_on = self.config.synchronous_replicas > 0 && !self.is_replica() && !self.is_loading();
        let wanted = self.config.synchronous_replicas;
        if wanted == 0 && !self.is_loading() && !self.is_replica() && self.replication.synchronous.came.is_some() {
            // What it tells waits for nobody, so there is nothing to prove; but who counts one day counts in a new term.
            self.is_proven("synchronous-replicas is 0: what this master has is not to be proven");
        } else if wanted > 0 {
            let least = &mut self.replication.synchronous.least;
            *least = (*least).min(wanted);
        }
        let was_on = std::mem::replace(&mut self.front.held.marks, is_on);
        self.look_at_held_again();
        self.keep_node_id();
        match (was_on, is_on) {
            (false, true) => {
                // Of what is there it is not known who else has it.
                self.replication.synchronous.forget_acks(true);
                self.front.held.lets_all = false;
                if !self.replication.log.is_active() {
                    // Without a stream there would be nothing to acknowledge.
                    self.make_log(LogNeed::CreateWithNewId);
                }
                self.replication.synchronous.began = self.replication.log.content_end();
                self.look_at_quorum();
            }
            (true, false) => {
                self.replication.synchronous.forget_acks(false);
                self.wait_for_the_disk_only();
                self.ask_no_more();
            }
            _ => {}
        }
    }

    /// A later master has been, or is being, made.
    pub fn is_stale_master(&self) -> bool {
        !self.is_replica() && self.replication.kept.promises.is_stale_master()
    }

    /// Whether the acknowledgements of a replica count.
    fn counts(&self, session: &Session) -> bool {
        self.replication.kept.promises.counts(session.announced().node_id)
    }

    /// Takes in what replicas have acknowledged. What was on enough of them once stays released.
    pub fn look_at_quorum(&mut self) {
        if self.is_stale_master() || self.is_unproven() {
            return;
        }
        let quorum = self.quorum_of_present(&self.replication.kept.promises);
        let is_waited_for = self.replication.synchronous.confirm_to > self.replication.synchronous.confirmed;
        let confirmed = if is_waited_for { self.acknowledged(&self.replication.kept.promises, false) } else { 0 };
        // Who has not come to where this master's term began ranks, when another one is chosen, with those of the term before, of whom some may have more that
        // nobody acknowledged.
        let quorum = if quorum >= self.replication.kept.promises.began() { quorum } else { 0 };
        let synchronous = &mut self.replication.synchronous;
        synchronous.quorum = synchronous.quorum.max(quorum);
        synchronous.confirmed = synchronous.confirmed.max(confirmed);
    }

    /// Whether this master was started again, and may have less than it acknowledged: then who was sent more takes no full sync from it, and nothing is
    /// acknowledged until it is known.
    pub fn is_unproven(&self) -> bool {
        let is_master = !self.is_replica() && self.config.synchronous_replicas > 0;
        is_master && self.replication.synchronous.came.is_some()
    }

    /// A replica asks for what follows its position. If this master has all that it has, nothing that it acknowledged is missing here. What was acknowledged
    /// was on N members: once all but N - 1 have come so, nothing is missing at all.
    pub fn replica_came(&mut self, id: ClientId, request: &PsyncRequest) {
        if !self.is_unproven() {
            return;
        }
        let r = &mut self.replication;
        let Some(came) = &mut r.synchronous.came else { return };
        let has_all = |kin: Kinship| matches!(kin, Kinship::Shared) && request.asked <= r.log.end_offset() as i64 + 1;
        let is_included = match request.id {
            AskedId::Id(id) => has_all(r.history.kinship(id, request.asked)),
            _ => false,
        };
        if !is_included {
            return;
        }
        let promises = &r.kept.promises;
        let of_session = r.master.get(id).map(Session::announced);
        let Some(said) = of_session.or_else(|| self.clients.get(id).map(|client| &client.feed.announced)) else {
            return;
        };
        let (node, is_certain) = (said.node_id.filter(|node| promises.members().contains(node)), !said.capa.uncertain);
        if let Some(node) = node {
            *came.entry(node).or_default() |= is_certain;
        }
        self.look_at_proof();
    }

    /// What could not be written down is tried again each second.
    pub fn look_at_proof_again(&mut self) {
        let now = self.now_ms();
        if now >= self.replication.synchronous.looked_ms.saturating_add(RETRY_MS) {
            self.look_at_proof();
        }
    }

    /// Enough of the members may have come.
    fn look_at_proof(&mut self) {
        self.replication.synchronous.looked_ms = self.now_ms();
        if !self.is_unproven() {
            return;
        }
        let Some(came) = &self.replication.synchronous.came else { return };
        let wanted = self.config.synchronous_replicas.min(self.replication.synchronous.least);
        let promises = &self.replication.kept.promises;
        let others = promises.members().iter().filter(|id| **id != promises.node_id).count() as u64;
        // Who may have lost something himself shows nothing, unless nobody is missing.
        let certain = came.values().filter(|is_certain| **is_certain).count() as u64;
        if certain > 0 && certain > others.saturating_sub(wanted) || others > 0 && came.len() as u64 == others {
            self.is_proven("Since its start this master has heard from enough members that it lacks nothing");
        }
    }

    /// What this master has is all that was acknowledged. Its replicas hear that when they come again.
    pub fn is_proven(&mut self, why: &str) {
        if let Err(text) = self.begin_term_of_start() {
            return log::warning!("This master acknowledges nothing, as its new term is not kept: {text}");
        }
        log::notice!("{why}: it acknowledges writes again.");
        self.replication.synchronous.started(false);
        self.replication.synchronous.is_certain = true;
        self.drop_replicas();
    }

    /// The offset that enough of the replicas have which are there and count by these promises.
    pub fn quorum_of_present(&self, promises: &Promises) -> u64 {
        self.acknowledged(promises, self.config.synchronous_commit == SynchronousCommit::Fsynced)
    }

    /// The same, applied there or (`fsynced`) durable.
    fn acknowledged(&self, promises: &Promises, fsynced: bool) -> u64 {
        let replicas = usize::try_from(self.config.synchronous_replicas).unwrap_or(usize::MAX);
        self.replication
            .master
            .quorum(replicas, fsynced, |session| promises.counts(session.announced().node_id))
            .unwrap_or(0)
    }

    /// How many replicas count that are there.
    pub fn synchronous_replicas_there(&self) -> usize {
        self.replication.master.sessions().filter(|(_, session)| session.is_online() && self.counts(session)).count()
    }

    /// Once a turn: who acknowledges by itself is told to when it comes, and while one does not, the stream asks.
    pub fn ask_for_synchronous_acks(&mut self) {
        // What has come in this turn counts: a read that waits behind the last heartbeat needs the next one now.
        self.look_at_quorum();
        self.ask_who_still_follows();
        let r = &mut self.replication;
        let content = r.log.content_end();
        let waits = r.synchronous.confirm_to > r.synchronous.confirmed.max(r.synchronous.asked_to);
        let has_grown = waits || content > r.synchronous.asked_to;
        let is_due = |session: &Session| {
            session.is_online() && !session.acks_by_itself() && (has_grown || session.announced().capa.acks)
        };
        if !r.master.sessions().any(|(_, session)| is_due(session)) {
            return;
        }
        r.master.sessions_mut().for_each(|(_, session)| session.told_to_ack(true));
        if let Some(mut own) = r.log.own() {
            own.append_control(GETACK_ALWAYS);
        }
        r.synchronous.asked_to = r.log.end_offset();
    }

    /// A master that was replaced without hearing of it has old data, and no replica that acknowledges what it adds to its stream. So reads wait for that,
    /// and where nothing else is added a heartbeat is: one at a time, however many reads there are. But none while writes are paused: who hands over so
    /// would have more than its successor then.
    fn ask_who_still_follows(&mut self) {
        let is_paused = self.life.pauses.stops(true);
        let r = &mut self.replication;
        let synchronous = &mut r.synchronous;
        let waits_already = synchronous.heartbeat_to > synchronous.confirmed;
        if synchronous.confirm_to <= r.log.end_offset() || waits_already || is_paused {
            return;
        }
        let Some(mut own) = r.log.own() else { return };
        own.append_control(PING);
        synchronous.heartbeat_to = r.log.end_offset();
    }

    fn ask_no_more(&mut self) {
        let r = &mut self.replication;
        let mut was_told = false;
        for (_, session) in r.master.sessions_mut() {
            was_told |= session.acks_by_itself();
            session.told_to_ack(false);
        }
        if let Some(mut own) = r.log.own().filter(|_| was_told) {
            own.append_control(GETACK);
        }
    }

    /// The replica's end: what this turn has applied is acknowledged, if the master wants that without asking.
    pub fn acknowledge_turn(&mut self) {
        let now = self.now_ms();
        if self.replication.link.as_ref().is_none_or(|link| !link.state.acks_by_itself()) {
            return;
        }
        self.learn_of_master();
        let fsynced = self.fsynced_offset();
        let mut actions = Vec::new();
        if let Some(link) = &mut self.replication.link {
            link.state.set_fsynced(fsynced);
            link.state.turn_ended(now, &mut actions);
        }
        self.follow_actions(actions);
    }
}
