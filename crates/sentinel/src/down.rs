//! Who is down: one Sentinel's own belief (subjectively), and that of enough of them (objectively).

use crate::answer::Answer;
use crate::events::Level;
use crate::info::Role;
use crate::link::{At, Question, Who};
use crate::sentinel::Sentinel;

/// While the master is believed to be down, others are asked so often, ms, until enough agree.
const ASK_AGAIN_MS: u64 = 50;

impl Sentinel {
    /// Whether an instance is down as this Sentinel sees it; also replaces connections that seem dead.
    pub(crate) fn check_down(&mut self, at: &At) {
        self.replace_silent_connections(at);
        let now_ms = self.now_ms;
        let Some(master) = self.masters.get(&at.master) else { return };
        let down_after_ms = master.settings.down_after_ms;
        let (Some(instance), Some(link)) = (self.instance(at), self.link(at)) else { return };
        let silent_ms = link.silent_ms(now_ms);
        let mut is_down = silent_ms > down_after_ms;
        if at.who == Who::Master {
            let wrong_role_ms = now_ms.saturating_sub(instance.role_since_ms);
            let is_wrong_for_long = wrong_role_ms > down_after_ms.saturating_add(self.periods.info_ms * 2);
            let loads_ms = master.reboot_since_ms.map_or(0, |since| now_ms.saturating_sub(since));
            is_down |= instance.role == Role::Replica && is_wrong_for_long;
            is_down |= master.settings.reboot_down_after_ms != 0 && loads_ms > master.settings.reboot_down_after_ms;
            is_down |= master.reborn.is_some() || self.outlived_by(master).is_some();
        }
        let was_down = instance.down_since_ms.is_some();
        if !is_down && silent_ms > 0 {
            self.wake_ms = self.wake_ms.min(now_ms + (down_after_ms - silent_ms) + 1);
        }
        if is_down && !was_down {
            self.event(Level::Warning, "+sdown", at, "");
        } else if !is_down && was_down {
            self.event(Level::Warning, "-sdown", at, "");
        }
        let Some(instance) = self.instance_mut(at) else { return };
        if is_down {
            instance.down_since_ms.get_or_insert(now_ms);
            instance.last_down_ms = now_ms;
        } else if was_down {
            instance.down_since_ms = None;
            instance.is_script_kill_sent = false;
        }
    }

    fn replace_silent_connections(&mut self, at: &At) {
        let (now_ms, periods) = (self.now_ms, &self.periods);
        let Some(half_ms) = self.masters.get(&at.master).map(|master| master.settings.down_after_ms / 2) else {
            return;
        };
        let Some(link) = self.link(at) else { return };
        let is_old = |since: u64| now_ms.saturating_sub(since) > periods.reconnect_ms;
        let waits = link.ping_since_ms.is_some_and(|since| now_ms.saturating_sub(since) > half_ms);
        let is_mute = waits && now_ms.saturating_sub(link.last_pong_ms) > half_ms;
        let drops_commands = is_mute && link.commands.as_ref().is_some_and(|c| is_old(c.since_ms));
        let is_quiet = |active_ms: u64| now_ms.saturating_sub(active_ms) > periods.publish_ms * 3;
        let drops_messages = link.messages.as_ref().is_some_and(|c| is_old(c.since_ms) && is_quiet(c.active_ms));
        let Some(id) = self.instance(at).map(|instance| instance.link) else { return };
        if drops_commands {
            self.drop_connection(id, true);
        }
        if drops_messages {
            self.drop_connection(id, false);
        }
    }

    /// What follows for a master from what is believed: agreement, a failover, its next step.
    pub(crate) fn act(&mut self, name: &str) {
        self.check_agreement(name);
        self.begin_failover_if_due(name);
        self.advance(name);
        self.ask_others(name);
    }

    fn check_agreement(&mut self, name: &str) {
        let now_ms = self.now_ms;
        let Some(master) = self.masters.get(name) else { return };
        let believers = 1 + master.peers.values().filter(|peer| peer.says_down).count() as u32;
        let quorum = master.settings.quorum;
        let agreed = master.is_down() && believers >= quorum;
        let was_agreed = master.agreed_down_since_ms.is_some();
        if agreed && !was_agreed {
            self.event(Level::Warning, "+odown", &At::master(name), &format!(" #quorum {believers}/{quorum}"));
            let delay_ms = self.election_delay_ms(name);
            let Some(master) = self.masters.get_mut(name) else { return };
            master.agreed_down_since_ms = Some(now_ms);
            master.backoff.until_ms = master.backoff.until_ms.max(now_ms + delay_ms);
        } else if !agreed && was_agreed {
            self.event(Level::Warning, "-odown", &At::master(name), "");
            if let Some(master) = self.masters.get_mut(name) {
                master.agreed_down_since_ms = None;
                master.backoff.is_left = false;
            }
        }
    }

    /// Asks the others whether they see the master down, and for their votes if this one wants to lead.
    pub(crate) fn ask_others(&mut self, name: &str) {
        let now_ms = self.now_ms;
        let stale_ms = self.periods.ask_ms * 5;
        let Some(master) = self.masters.get_mut(name) else { return };
        for peer in master.peers.values_mut() {
            if now_ms.saturating_sub(peer.answered_ms) > stale_ms {
                peer.says_down = false;
                peer.vote.leader = None;
            }
        }
        let candidacy = master.failover.as_ref().map(|attempt| attempt.epoch);
        if !master.is_down() && !master.failover.as_ref().is_some_and(|attempt| attempt.is_electing()) {
            return;
        }
        let is_urgent = master.agreed_down_since_ms.is_none()
            || master.failover.as_ref().is_some_and(|attempt| attempt.is_electing());
        let period_ms = if is_urgent { self.periods.ask_ms.min(ASK_AGAIN_MS) } else { self.periods.ask_ms };
        let ids: Vec<String> = master
            .peers
            .iter()
            .filter(|(_, peer)| peer.asked_ms.is_none_or(|asked| now_ms.saturating_sub(asked) >= period_ms))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            self.ask_peer(name, &id, candidacy);
        }
        if is_urgent {
            self.wake_ms = self.wake_ms.min(now_ms + period_ms);
        }
    }

    fn ask_peer(&mut self, name: &str, id: &str, candidacy: Option<u64>) {
        let at = At::peer(name, id);
        if self.is_disconnected(&at) || self.link(&at).is_none_or(|link| link.has_asked(Question::IsDown, &at)) {
            return;
        }
        let Some(master) = self.masters.get(name) else { return };
        let address = &master.instance.address;
        let host = address.announced(self.globals.announce_hostnames);
        let port = address.port.to_string();
        let epoch = candidacy.unwrap_or(self.current_epoch).to_string();
        let candidate = if candidacy.is_some() { self.id.clone() } else { "*".into() };
        let proof = master
            .settings
            .secret
            .as_ref()
            .filter(|_| candidacy.is_some())
            .map(|secret| crate::hello::proof(secret, vote_text(&host, &port, &epoch, &candidate).as_bytes()));
        let mut words = vec!["SENTINEL", "is-master-down-by-addr", &host, &port, &epoch, &candidate];
        words.extend(proof.as_deref());
        let words: Vec<&[u8]> = words.into_iter().map(str::as_bytes).collect();
        if self.send(&at, Question::IsDown, &words)
            && let Some(peer) = self.masters.get_mut(name).and_then(|master| master.peers.get_mut(id))
        {
            peer.asked_ms = Some(self.now_ms);
        }
    }

    /// Another Sentinel has answered whether the master is down, and whom it votes for.
    pub(crate) fn is_down_answered(&mut self, at: &At, answer: &Answer) {
        let Answer::Array(items) = answer else { return };
        let [Answer::Int(is_down), Answer::Bulk(leader), Answer::Int(epoch)] = items.as_slice() else { return };
        let (Who::Peer(id), Ok(epoch)) = (&at.who, u64::try_from(*epoch)) else { return };
        let leader = String::from_utf8_lossy(leader).into_owned();
        let now_ms = self.now_ms;
        let Some(peer) = self.masters.get_mut(&at.master).and_then(|master| master.peers.get_mut(id)) else { return };
        peer.answered_ms = now_ms;
        peer.says_down = *is_down == 1;
        if leader != "*" {
            let is_new = peer.vote.epoch != epoch;
            peer.vote.leader = Some(leader.clone());
            peer.vote.epoch = epoch;
            if is_new {
                self.log(Level::Warning, format!("{id} voted for {leader} {epoch}"));
            }
        }
        if !self.tilt.is_on() {
            self.act(&at.master);
        }
    }
}

/// What a wish for a vote proves that it knows the secret of.
pub fn vote_text(host: &str, port: &str, epoch: &str, candidate: &str) -> String {
    format!("vote,{host},{port},{epoch},{candidate}")
}
