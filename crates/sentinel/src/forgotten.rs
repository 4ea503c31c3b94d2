//! Replicas that were forgotten, as they were gone for long. Nothing counts with them any more; but they are asked now and then who they are, so that who comes
//! back is a replica again, also when another one has become the master meanwhile: it knows only the one of before, or was that itself. (Redis's Sentinel
//! forgets nobody.)
//!
//! Another server may have the address by then. It is left alone: to make it a replica would take its data from it.

use std::collections::BTreeSet;

use crate::events::Level;
use crate::info::{Info, Role};
use crate::link::{At, Who};
use crate::master::{Instance, Master};
use crate::replica::Replica;
use crate::sentinel::Sentinel;

/// So many are remembered of a master's set.
const FORGOTTEN_MAX: usize = 100;

/// A replica of before. Its instance has its address, a link for commands alone, and its node id.
#[derive(Debug)]
pub struct Forgotten {
    pub instance: Instance,
    /// The history in which it stood.
    pub replid: Option<String>,
    /// Of two the one with the smaller number was forgotten first.
    pub order: u64,
}

impl Master {
    /// The ids of the set's nodes, by all that is known of it.
    fn known_ids(&self) -> BTreeSet<&str> {
        let instances = self.replicas.values().map(|replica| &replica.instance).chain([&self.instance]);
        let members = |instance| if self.has_list_of_set(instance) { instance.members.as_slice() } else { &[] };
        let ids = instances.flat_map(|instance| members(instance).iter().chain(&instance.node_id));
        ids.chain(&self.synchronous.node_id).map(String::as_str).collect()
    }

    /// The ids of the histories in which the set stands, or stood, and this one of it.
    pub(crate) fn known_histories<'a>(&'a self, own: Option<&'a String>) -> BTreeSet<&'a str> {
        let histories = self.history.iter().chain(&self.former_history);
        let ids = histories.flat_map(|history| [Some(&history.replid), history.former.as_ref().map(|(id, _)| id)]);
        ids.flatten().chain(own).map(String::as_str).collect()
    }

    /// A server has nodes of the set in its list, beside itself.
    pub(crate) fn knows_some_of(&self, info: &Info) -> bool {
        let ids = self.known_ids();
        info.members.iter().filter(|id| Some(*id) != info.node_id.as_ref()).any(|id| ids.contains(id.as_str()))
    }

    /// The master, or a replica, is at an address.
    fn is_address_in_set(&self, is_there: impl Fn(&Instance) -> bool) -> bool {
        self.replicas.values().map(|replica| &replica.instance).chain([&self.instance]).any(is_there)
    }
}

impl Sentinel {
    /// A replica is forgotten. It is looked for at its address from now on.
    pub(crate) fn forget_replica(&mut self, name: &str, label: &str) {
        let replica = self.masters.get(name).and_then(|master| master.replicas.get(label));
        let Some(replica) = replica else { return };
        let instance = &replica.instance;
        let (address, node_id) = (instance.address.clone(), instance.lasting_id().map(str::to_string));
        let replid = replica.history.as_ref().map(|history| history.replid.clone());
        self.remove_replica(name, label);
        self.remember(name, address, node_id, replid);
    }

    /// Somebody who was forgotten, unless somebody is known at that address.
    pub(crate) fn remember(
        &mut self,
        name: &str,
        address: crate::address::Address,
        node_id: Option<String>,
        replid: Option<String>,
    ) {
        let label = address.label(self.globals.announce_hostnames);
        let Some(master) = self.masters.get(name) else { return };
        let is_there = |known: &Instance| known.address.is_same(&address);
        if master.is_address_in_set(is_there) || master.forgotten.values().any(|known| is_there(&known.instance)) {
            return;
        }
        let (link, order) = (self.new_link(), self.next_id());
        let mut instance = Instance::new(address, link, Role::Replica, self.now_ms);
        instance.node_id = node_id;
        let Some(master) = self.masters.get_mut(name) else { return };
        master.forgotten.insert(label, Forgotten { instance, replid, order });
        self.is_dirty = true;
        self.bound_forgotten(name);
    }

    fn bound_forgotten(&mut self, name: &str) {
        let Some(master) = self.masters.get(name).filter(|master| master.forgotten.len() > FORGOTTEN_MAX) else {
            return;
        };
        let first = master.forgotten.iter().min_by_key(|(_, forgotten)| forgotten.order);
        let Some(first) = first.map(|(label, _)| label.clone()) else { return };
        self.log(
            Level::Warning,
            format!("{first} of '{name}' is looked for no longer: {FORGOTTEN_MAX} were forgotten after it"),
        );
        self.drop_forgotten(name, &first);
    }

    /// Nobody looks for it any more.
    pub(crate) fn drop_forgotten(&mut self, name: &str, label: &str) {
        let forgotten = self.masters.get_mut(name).and_then(|master| master.forgotten.remove(label));
        if let Some(forgotten) = forgotten {
            self.release_link(forgotten.instance.link);
            self.is_dirty = true;
        }
    }

    /// The same for those of a kind.
    pub(crate) fn drop_forgotten_if(&mut self, name: &str, is_meant: impl Fn(&Instance) -> bool) {
        let Some(master) = self.masters.get(name) else { return };
        let meant = master.forgotten.iter().filter(|(_, forgotten)| is_meant(&forgotten.instance));
        let meant: Vec<String> = meant.map(|(label, _)| label.clone()).collect();
        meant.iter().for_each(|label| self.drop_forgotten(name, label));
    }

    pub(crate) fn all_forgotten(&self, name: &str) -> Vec<At> {
        let labels = self.masters.get(name).into_iter().flat_map(|master| master.forgotten.keys());
        labels.map(|label| At::forgotten(name, label)).collect()
    }

    /// Looks for those who were forgotten.
    pub(crate) fn probe_forgotten(&mut self, name: &str) {
        if self.masters.get(name).is_none_or(|master| master.failover.is_some()) {
            return;
        }
        self.all_forgotten(name).iter().for_each(|at| self.probe(at));
    }

    fn probe(&mut self, at: &At) {
        let (now_ms, period_ms) = (self.now_ms, self.periods.info_ms);
        let down_after_ms = self.masters[&at.master].settings.down_after_ms;
        let (Some(instance), Some(link)) = (self.instance(at), self.link(at)) else { return };
        let id = instance.link;
        let is_mute = link.pending() > 0
            && link.commands.as_ref().is_some_and(|c| now_ms.saturating_sub(c.since_ms) > down_after_ms);
        let is_due = |since: Option<u64>| since.is_none_or(|since| now_ms.saturating_sub(since) >= period_ms);
        if link.is_disconnected && is_due(link.tried_ms) {
            self.reconnect(at);
            self.send_info(at);
        } else if is_mute {
            self.disconnect(id);
        } else if link.pending() == 0 && is_due(instance.info_ms) {
            // Its age counts from when it answers.
            self.send_info(at);
        }
    }

    /// Whoever is there says nothing of itself, as it wants a password.
    pub(crate) fn refused_by_forgotten(&mut self, at: &At) {
        let now_ms = self.now_ms;
        if let Who::Forgotten(_) = at.who
            && let Some(instance) = self.instance_mut(at)
        {
            instance.info_ms = Some(now_ms);
        }
    }

    /// Somebody answers at the address of one who was forgotten.
    pub(crate) fn learn_of_forgotten(&mut self, at: &At, text: Vec<u8>) {
        let info = Info::parse(&text);
        let (now_ms, waits) = (self.now_ms, self.tilt.is_on() || info.is_loading || info.role.is_none());
        let Who::Forgotten(label) = &at.who else { return };
        let Some(master) = self.masters.get_mut(&at.master) else { return };
        let waits = waits || master.failover.is_some();
        let Some(forgotten) = master.forgotten.get_mut(label) else { return };
        forgotten.instance.info_ms = Some(now_ms);
        if waits {
            return;
        }
        let master = &self.masters[&at.master];
        match self.is_same_server(master, &master.forgotten[label], &info) {
            true => self.welcome_back(&at.master, label, text),
            false => {
                let who = format!("The server at {label} is not the replica of '{}' that was there", at.master);
                self.log(Level::Warning, format!("{who}: it is left alone, and looked for no longer"));
                self.drop_forgotten(&at.master, label);
            }
        }
    }

    /// It has the node id of the one who was forgotten, or knows nodes of the set. Of a server without such ids: it follows one of the set, or stands in a history of
    /// that. A master may have begun with a copy of the set's data: its former history says nothing.
    fn is_same_server(&self, master: &Master, forgotten: &Forgotten, info: &Info) -> bool {
        let own = forgotten.instance.node_id.as_deref();
        if own.is_some() && own == info.node_id.as_deref() {
            return true;
        }
        let knows_set = master.knows_some_of(info);
        if own.is_some() && info.lasting_id().is_some() && !knows_set {
            return false;
        }
        let follows = self.follows_set(master, info);
        let histories = master.known_histories(forgotten.replid.as_ref());
        let is_kin = info.history.as_ref().is_some_and(|history| {
            let former = history.former.as_ref().map(|(id, _)| id.as_str()).filter(|_| info.role != Some(Role::Master));
            [Some(history.replid.as_str()), former].into_iter().flatten().any(|id| histories.contains(id))
        });
        knows_set || follows || is_kin
    }

    /// It is a replica of somebody who is known.
    pub(crate) fn follows_set(&self, master: &Master, info: &Info) -> bool {
        let whom = info.master_host.as_ref().zip(info.master_port).filter(|_| info.role == Some(Role::Replica));
        whom.is_some_and(|(host, port)| master.is_address_in_set(|known| self.is_at(&known.address, host, port)))
    }

    /// It is a replica again, as one that was never known, and is led to the master as such.
    fn welcome_back(&mut self, name: &str, label: &str, text: Vec<u8>) {
        let now_ms = self.now_ms;
        let Some(master) = self.masters.get_mut(name) else { return };
        let Some(Forgotten { instance: before, .. }) = master.forgotten.remove(label) else { return };
        let instance = Instance::new(before.address, before.link, Role::Replica, now_ms);
        master.replicas.insert(label.to_string(), Replica::new(instance, now_ms));
        if let Some(link) = self.links.get_mut(&before.link) {
            // Its messages are heard from now on.
            (link.is_disconnected, link.tried_ms) = (true, None);
            link.start_over(now_ms);
        }
        let at = At::replica(name, label);
        self.event(Level::Notice, "+slave", &at, "");
        self.is_dirty = true;
        self.wake_ms = self.wake_ms.min(now_ms);
        self.learn(&at, text);
    }

    /// A connection for commands is all that is needed.
    pub(crate) fn needs_messages(at: &At) -> bool {
        matches!(at.who, Who::Master | Who::Replica(_))
    }
}
