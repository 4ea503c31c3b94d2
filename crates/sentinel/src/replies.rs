//! What instances answer, and what follows from it.

use crate::address::Address;
use crate::answer::Answer;
use crate::events::Level;
use crate::failover::{Attempt, State};
use crate::info::{History, Info, Role};
use crate::link::{At, ConnId, LinkId, Question, Who};
use crate::replica::Reconfiguration;
use crate::sentinel::Sentinel;

/// Why one that was promoted is the master no more, or never was.
const STARTED_AGAIN: &str = "it was started again";

impl Sentinel {
    /// A reply on a connection for commands.
    pub(crate) fn answered(&mut self, link: LinkId, connection: ConnId, answer: Answer) {
        let commands = self.links.get_mut(&link).and_then(|link| link.commands.as_mut());
        let asked = commands.filter(|c| c.id == connection).and_then(|c| c.asked.pop_front());
        let Some(asked) = asked else { return };
        // Who was asked as the master may be a replica by now, and the reverse: what it tells is not of the one who is that now.
        let is_another = self.instance(&asked.at).is_none_or(|instance| instance.link != link);
        if is_another && asked.question != Question::Ping {
            return;
        }
        match asked.question {
            Question::Nothing | Question::Subscribe => {}
            Question::Ping => self.ping_answered(link, &asked.at, &answer),
            Question::Info => {
                match answer {
                    Answer::Bulk(text) => self.learn(&asked.at, text),
                    // It is asked again at its time.
                    _ => self.refused_by_forgotten(&asked.at),
                }
            }
            Question::Hello if answer.is_error() => {}
            Question::Hello => {
                let now_ms = self.now_ms;
                if let Some(instance) = self.instance_mut(&asked.at) {
                    instance.hello_sent_ms = now_ms;
                }
            }
            Question::IsDown => self.is_down_answered(&asked.at, &answer),
            Question::Role => self.role_answered(&asked.at, &answer),
            Question::Fence => self.fence_answered(&asked.at, &answer),
            Question::Pause => self.pause_answered(&asked.at, &answer),
            Question::Standing => {
                if let Answer::Bulk(text) = answer {
                    let offset = Info::parse(&text).history.map(|history| history.offset);
                    self.learn(&asked.at, text);
                    if let Some(offset) = offset {
                        self.standing_answered(&asked.at, offset);
                    }
                }
            }
        }
    }

    /// A message on a channel.
    pub(crate) fn told(&mut self, link: LinkId, answer: Answer) {
        let now_ms = self.now_ms;
        if let Some(connection) = self.links.get_mut(&link).and_then(|link| link.messages.as_mut()) {
            connection.active_ms = now_ms;
            if let Some(asked) = connection.asked.pop_front() {
                if asked.question == Question::Subscribe && answer.is_error() {
                    self.drop_connection(link, false);
                }
                return;
            }
        }
        if let Answer::Array(items) = answer
            && let [Answer::Bulk(kind), Answer::Bulk(_), Answer::Bulk(message)] = items.as_slice()
            && kind == b"message"
        {
            self.hear(message);
        }
    }

    fn ping_answered(&mut self, link: LinkId, at: &At, answer: &Answer) {
        let now_ms = self.now_ms;
        let line = answer.line().unwrap_or_default();
        let is_well = [b"PONG".as_slice(), b"LOADING", b"MASTERDOWN"].iter().any(|word| line.starts_with(word));
        if let Some(link) = self.links.get_mut(&link) {
            link.last_pong_ms = now_ms;
            if is_well {
                link.last_ok_ms = now_ms;
                link.ping_since_ms = None;
            }
        }
        if line.starts_with(b"PONG") && at.who == Who::Master {
            if let Some(master) = self.masters.get_mut(&at.master) {
                master.reboot_since_ms = None;
            }
        } else if line.starts_with(b"BUSY")
            && self.instance(at).is_some_and(|i| i.down_since_ms.is_some() && !i.is_script_kill_sent)
        {
            self.send(at, Question::Nothing, &[b"SCRIPT", b"KILL"]);
            if let Some(instance) = self.instance_mut(at) {
                instance.is_script_kill_sent = true;
            }
        }
    }

    /// Who has taken a role is asked at once what it is now. Who refuses it is asked at its time, and told again then: not in a circle.
    fn role_answered(&mut self, at: &At, answer: &Answer) {
        let order = match answer {
            Answer::Array(results) => results.first(),
            whole => Some(whole),
        };
        let is_undone = match answer {
            Answer::Array(_) => true,
            whole => whole.line().is_some_and(|line| line.starts_with(b"EXECABORT")),
        };
        match order {
            Some(Answer::Error(why)) => {
                let who = self.instance(at).map(|instance| instance.address.to_string()).unwrap_or_default();
                let why = String::from_utf8_lossy(why);
                self.log(Level::Warning, format!("{who} of '{}' refuses its role: {why}", at.master));
                self.reappointment_refused(&at.master, answer);
                if is_undone {
                    self.promotion_refused(at, &why);
                }
            }
            _ => self.send_info(at),
        }
    }

    /// An INFO has come.
    pub(crate) fn learn(&mut self, at: &At, text: Vec<u8>) {
        if matches!(at.who, Who::Forgotten(_)) {
            return self.learn_of_forgotten(at, text);
        }
        let info = Info::parse(&text);
        let now_ms = self.now_ms;
        if self.is_left_alone(at, &info) {
            return;
        }
        self.learn_identity(at, &info);
        let Some(instance) = self.instance_mut(at) else { return };
        instance.info = Some(text);
        instance.info_ms = Some(now_ms);
        match &at.who {
            Who::Master => self.learn_of_master(at, &info),
            Who::Replica(label) => {
                let replica = self.masters.get_mut(&at.master).and_then(|master| master.replicas.get_mut(label));
                let Some(replica) = replica else { return };
                replica.link_down_ms = info.link_down_ms;
                let was_followed = !replica.master_lacks_data;
                match info.role {
                    Some(Role::Replica) => replica.learn(&info, now_ms),
                    _ => replica.history = info.history.clone(),
                }
                if was_followed && replica.master_lacks_data {
                    let text = format!(
                        "'{}' was started again and lacks what it had acknowledged; {label} has that",
                        at.master
                    );
                    self.log(Level::Warning, text);
                    self.wake_ms = self.wake_ms.min(now_ms);
                }
            }
            Who::Peer(_) | Who::Forgotten(_) => return,
        }
        self.learn_role(at, info.role);
        if self.tilt.is_on() {
            return;
        }
        match info.role {
            Some(Role::Master) if matches!(at.who, Who::Replica(_)) => self.replica_is_master(at),
            Some(Role::Replica) if matches!(at.who, Who::Replica(_)) => self.replica_is_replica(at),
            _ => {}
        }
        if self.masters.get(&at.master).is_some_and(|master| master.failover.is_some()) {
            self.advance(&at.master);
        } else if at.who == Who::Master && info.role == Some(Role::Master) {
            self.tend_members(&at.master);
        }
    }

    fn learn_identity(&mut self, at: &At, info: &Info) {
        let was_renewed = self.masters.get(&at.master).is_some_and(|master| master.is_renewed());
        let Some(instance) = self.instance_mut(at) else { return };
        instance.node_id = info.node_id.clone().or(instance.node_id.take());
        instance.synchronous_replicas = info.synchronous_replicas;
        instance.is_stale = info.is_stale;
        (instance.is_unproven, instance.is_loading) = (info.is_unproven, info.is_loading);
        instance.failover_epoch = info.failover_epoch;
        instance.members.clone_from(&info.members);
        instance.list = info.list;
        if at.who == Who::Master && info.role == Some(Role::Master) {
            self.note_synchronous(&at.master, info);
            if !was_renewed && self.masters.get(&at.master).is_some_and(|master| master.is_renewed()) {
                let text = format!(
                    "The server that is the master of '{}' has another id than before, and no member knows it",
                    at.master
                );
                self.log(Level::Warning, text);
            }
        }
        let Some(instance) = self.instance_mut(at) else { return };
        let Some(run_id) = info.run_id.clone() else { return };
        let former = instance.run_id.replace(run_id.clone());
        if former.as_ref().is_some_and(|former| *former != run_id) {
            self.event(Level::Notice, "+reboot", at, "");
            if info.role == Some(Role::Replica) || info.is_stale {
                // Whom this leader waits for has not heard of its promotion.
                self.promotion_refused(at, STARTED_AGAIN);
            }
            let now_ms = self.now_ms;
            let master = self.masters.get_mut(&at.master).filter(|_| at.who == Who::Master);
            if let Some(master) = master.filter(|master| master.settings.reboot_down_after_ms != 0) {
                master.reboot_since_ms = Some(now_ms);
            }
        }
        if former.as_ref() != Some(&run_id) {
            self.forget_same_node(at);
        }
    }

    /// Kept in the file: after a start, too, it must be known how many replicas have to be fenced.
    fn note_synchronous(&mut self, name: &str, info: &Info) {
        let Some(master) = self.masters.get_mut(name) else { return };
        self.is_dirty |= master.learn_synchronous(info.synchronous_replicas, info.node_id.clone());
    }

    /// The same server at another address is the same server: the old entry goes.
    fn forget_same_node(&mut self, at: &At) {
        if let Some(node_id) = self.instance(at).and_then(|own| own.node_id.clone()) {
            self.drop_forgotten_if(&at.master, |forgotten| forgotten.node_id.as_ref() == Some(&node_id));
        }
        let Who::Replica(label) = &at.who else { return };
        let Some(master) = self.masters.get(&at.master) else { return };
        let Some(own) = master.replicas.get(label) else { return };
        let busy = master.failover.as_ref().and_then(|attempt| attempt.chosen());
        let gone: Vec<String> = master
            .replicas
            .iter()
            .filter(|(other, replica)| {
                *other != label && busy != Some(other.as_str()) && own.instance.is_same_server(&replica.instance)
            })
            .filter(|(_, replica)| self.links.get(&replica.instance.link).is_none_or(|link| link.is_disconnected))
            .map(|(other, _)| other.clone())
            .collect();
        for other in gone {
            self.event(Level::Notice, "-slave", &At::replica(&at.master, &other), &format!(" #it is {label} now"));
            self.remove_replica(&at.master, &other);
        }
    }

    fn learn_of_master(&mut self, at: &At, info: &Info) {
        let now_ms = self.now_ms;
        self.find_replicas(&at.master, &info.replicas);
        let Some(master) = self.masters.get_mut(&at.master) else { return };
        master.knows_failover = info.failover_state.is_some();
        if info.role != Some(Role::Master) || info.is_loading {
            return;
        }
        for (host, port) in &info.replicas {
            for replica in master.replicas.values_mut() {
                if replica.instance.address.is_named(host, *port) {
                    replica.named_ms = now_ms;
                }
            }
        }
        if let Some(history) = &info.history {
            self.learn_history(&at.master, history.clone(), info.has_keys);
        }
    }

    /// Where the master stands. If it has lost its place and its keys, somebody else has them (redis#1297): it is not waited for, and not followed.
    fn learn_history(&mut self, name: &str, history: History, has_keys: Option<bool>) {
        let Some(master) = self.masters.get_mut(name) else { return };
        let goes_on = master.history.as_ref().is_none_or(|known| history.includes(known));
        if goes_on {
            master.history = Some(history);
            master.had_keys = has_keys.unwrap_or(true);
            return;
        }
        let is_kept_elsewhere = master.history.as_ref().is_some_and(|known| {
            master.replicas.values().any(|replica| {
                replica.offset > 0 && replica.history.as_ref().is_some_and(|own| own.replid == known.replid)
            })
        });
        let is_empty = has_keys == Some(false) && master.had_keys;
        if is_empty && is_kept_elsewhere && master.settings.is_strict {
            let known = master.history.as_ref().map(|known| known.offset).unwrap_or_default();
            let text = format!("it was started again without its data; replicas have them up to offset {known}");
            if master.reborn.is_none() {
                master.reborn = Some(text.clone());
                self.log(Level::Warning, format!("Master '{name}' is not taken as the master any more: {text}"));
                self.wake_ms = self.wake_ms.min(self.now_ms);
            }
            return;
        }
        master.former_history = master.history.replace(history);
        master.had_keys = has_keys.unwrap_or(true);
        master.reborn = None;
    }

    fn find_replicas(&mut self, name: &str, told: &[(String, u16)]) {
        for (host, port) in told {
            let Some(address) = self.address(host, *port) else { continue };
            if self.waits_for_stranger(name, &address.label(self.globals.announce_hostnames)) {
                continue;
            }
            if address.ip.is_none() {
                // It is looked at again when the name is known.
                self.names.ask(host);
                continue;
            }
            if let Some(at) = self.add_replica(name, address) {
                self.event(Level::Notice, "+slave", &at, "");
                self.is_dirty = true;
                self.wake_ms = self.wake_ms.min(self.now_ms);
            }
        }
    }

    /// What the master's last INFO tells, with names that are known by now.
    pub(crate) fn find_replicas_again(&mut self, name: &str) {
        let info = self.masters.get(name).and_then(|master| master.instance.info.as_deref()).map(Info::parse);
        if let Some(info) = info {
            self.find_replicas(name, &info.replicas);
        }
    }

    fn learn_role(&mut self, at: &At, role: Option<Role>) {
        let now_ms = self.now_ms;
        let Some(role) = role else { return };
        let Some(instance) = self.instance_mut(at) else { return };
        if instance.role == role {
            return;
        }
        instance.role = role;
        instance.role_since_ms = now_ms;
        if let Who::Replica(label) = &at.who
            && role == Role::Replica
            && let Some(replica) = self.masters.get_mut(&at.master).and_then(|master| master.replicas.get_mut(label))
        {
            replica.master_since_ms = now_ms;
        }
        let is_as_configured = (at.who == Who::Master) == (role == Role::Master);
        let kind = if is_as_configured { "+role-change" } else { "-role-change" };
        self.event(Level::Verbose, kind, at, &format!(" new reported role is {}", role.word()));
    }

    /// A replica says that it is a master: it was promoted, or it is one that nobody wants.
    fn replica_is_master(&mut self, at: &At) {
        let Who::Replica(label) = &at.who else { return };
        let Some(master) = self.masters.get(&at.master) else { return };
        if let Some(attempt) = &master.failover
            && matches!(&attempt.state, State::WaitPromotion { label: chosen, .. } if chosen == label)
        {
            let (epoch, is_fenced) = (attempt.epoch, attempt.is_fenced);
            return self.chosen_is_master(at, epoch, is_fenced);
        }
        let is_chosen = master.failover.as_ref().and_then(|attempt| attempt.chosen()) == Some(label.as_str());
        // A configuration that is newer may be on its way, unless the others have just said that there is none.
        let Some(replica) = master.replicas.get(label) else { return };
        // But a former master that comes back, if it is that one, takes writes that will be lost, as long as one waits.
        let is_back = replica.was_master && master.vote.epoch <= master.config_epoch;
        let is_certain =
            master.settings.is_strict && is_back && replica.is_known_one(master) && self.is_up_to_date(&at.master);
        let wait_ms = if is_certain { 0 } else { self.periods.publish_ms * 4 };
        let role_ms = self.now_ms.saturating_sub(replica.instance.role_since_ms);
        if !is_chosen
            && self.looks_sane(&at.master)
            && !self.knows_later_term(at)
            && self.was_up_for(at, wait_ms)
            && (role_ms > wait_ms || wait_ms == 0)
            && self.send_role_of_master(at)
        {
            self.event(Level::Notice, "+convert-to-slave", at, "");
        }
    }

    /// The chosen one is a master: of the leader's term, if it was fenced, or it was one before, and has not become that of this failover.
    fn chosen_is_master(&mut self, at: &At, epoch: u64, is_fenced: bool) {
        let Some(instance) = self.instance(at) else { return };
        let is_of_term = instance.failover_epoch == epoch && !instance.is_stale;
        let (is_overtaken, is_unproven) = (instance.failover_epoch > epoch, instance.is_unproven);
        match is_fenced {
            true if is_overtaken => self.promotion_refused(at, "it knows a later failover"),
            // Nobody is led to it before it is the master, and so nobody comes to prove that it has all.
            true if is_of_term && is_unproven => self.promotion_refused(at, STARTED_AGAIN),
            true if !is_of_term => {}
            _ => self.promoted(&at.master),
        }
    }

    fn replica_is_replica(&mut self, at: &At) {
        let Who::Replica(label) = &at.who else { return };
        let Some(master) = self.masters.get(&at.master) else { return };
        let Some(replica) = master.replicas.get(label) else { return };
        let host = replica.master_host.clone().unwrap_or_default();
        let follows = |address| self.is_at(address, &host, replica.master_port);
        let wait_ms = master.settings.failover_timeout_ms;
        let since_ms = self.now_ms.saturating_sub(replica.master_since_ms);
        let follows_new = master.current_address();
        let follows_new = follows_new != &master.instance.address && follows(follows_new);
        let is_astray = !follows(&master.instance.address);
        let reconfiguration = replica.reconfiguration;
        let is_link_up = replica.is_link_up;
        if is_astray
            && since_ms > wait_ms
            && self.looks_sane(&at.master)
            && !self.knows_later_term(at)
            && self.was_up_for(at, wait_ms)
            && self.send_role_of_master(at)
        {
            self.event(Level::Notice, "+fix-slave-config", at, "");
        }
        let mut next = reconfiguration;
        if matches!(next, Reconfiguration::Sent { .. }) && follows_new {
            next = Reconfiguration::InProgress;
            self.event(Level::Notice, "+slave-reconf-inprog", at, "");
        }
        if next == Reconfiguration::InProgress && is_link_up {
            next = Reconfiguration::Done;
            self.event(Level::Notice, "+slave-reconf-done", at, "");
        }
        if let Some(replica) = self.masters.get_mut(&at.master).and_then(|master| master.replicas.get_mut(label)) {
            replica.reconfiguration = next;
            replica.was_master = false;
        }
    }

    /// The master is one by its own word, up, and was heard lately.
    fn looks_sane(&self, name: &str) -> bool {
        let Some(master) = self.masters.get(name) else { return false };
        let age_ms = master.instance.info_age_ms(self.now_ms);
        master.instance.role == Role::Master
            && !master.is_down()
            && master.agreed_down_since_ms.is_none()
            && master.failover.is_none()
            && !(master.instance.is_stale && master.synchronous() > 0)
            && age_ms.is_some_and(|age| age < self.periods.info_ms * 2)
    }

    /// With synchronous replicas: it may be the master, or have acknowledged something to the one, of a later failover than its master's.
    fn knows_later_term(&self, at: &At) -> bool {
        let Some(master) = self.masters.get(&at.master).filter(|master| master.synchronous() > 0) else { return false };
        self.instance(at).is_some_and(|instance| instance.failover_epoch > master.instance.failover_epoch)
    }

    /// The same of the failover that this leader is about to end.
    pub(crate) fn knows_later_than(&self, at: &At, attempt: &Attempt) -> bool {
        self.must_fence(&at.master) && self.instance(at).is_some_and(|instance| instance.failover_epoch > attempt.epoch)
    }

    /// A majority has said hello lately, and nobody knew of a newer term.
    fn is_up_to_date(&self, name: &str) -> bool {
        let Some(master) = self.masters.get(name) else { return false };
        let recent =
            |peer: &&crate::peer::Peer| self.now_ms.saturating_sub(peer.last_hello_ms) <= self.periods.publish_ms * 2;
        let heard =
            master.peers.values().filter(recent).filter(|peer| peer.last_hello_ms > peer.instance.role_since_ms);
        master.peers.is_empty() || heard.count() as u32 + 1 >= master.majority()
    }

    /// It was not believed to be down in the last `ms`.
    fn was_up_for(&self, at: &At, ms: u64) -> bool {
        self.instance(at).is_some_and(|instance| {
            let last = instance.last_down_ms;
            instance.down_since_ms.is_none() && (last == 0 || ms == 0 || self.now_ms.saturating_sub(last) > ms)
        })
    }

    fn send_role_of_master(&mut self, at: &At) -> bool {
        let Some(address) = self.masters.get(&at.master).map(|master| master.instance.address.clone()) else {
            return false;
        };
        self.send_master(at, &address)
    }

    /// Another address of the master itself, as its ids tell: it would be made its own replica.
    pub(crate) fn is_at_two_addresses(&self, at: &At, master: &Address) -> bool {
        let Some(set) = self.masters.get(&at.master) else { return false };
        let all = set.replicas.values().map(|replica| &replica.instance).chain([&set.instance]);
        let other = all.into_iter().find(|instance| instance.address.is_same(master));
        other.zip(self.instance(at)).is_some_and(|(other, own)| other.is_same_server(own))
    }
}
