//! Another server at the address of a replica, or of the master of before. To make it a replica would take its data from it.
//!
//! Who is there is known by an id that outlives restarts, by its list of members, by whom it follows, and by its history. Only where all of these say that it
//! is not of the set, and it has keys, is it left alone; a server of the set that has lost its directory comes back empty, and is led to the master.

use crate::events::Level;
use crate::info::{Info, Role};
use crate::link::{At, Who};
use crate::master::Master;
use crate::replica::Replica;
use crate::sentinel::Sentinel;

/// Whom the set knows at a replica's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Its lasting id, if it has told one.
    pub node_id: Option<String>,
    /// The history in which it stood when it was last known to be of the set.
    pub replid: Option<String>,
    /// The id of another one that came empty, and is to be a replica, too.
    pub empty_id: Option<String>,
}

/// A server that was left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// Who was there before.
    pub known: Known,
    pub node_id: Option<String>,
    pub since_ms: u64,
}

/// The master may name who was there for so long, until the link to it is over, ms.
const NAMED_MS: u64 = 60_000;
/// So many are remembered of a master's set.
const STRANGERS_MAX: usize = 100;

impl Master {
    /// Who is expected at the master's address when another one has taken its place.
    pub(crate) fn known_master(&self) -> Known {
        let told = self.instance.lasting_id().map(str::to_string);
        let former = self.synchronous.node_id.clone().filter(|_| self.synchronous.replicas > 0);
        let node_id = match self.reborn.is_some() {
            // It came back empty, and has the id that it has now.
            true => told,
            false if self.is_renewed() => former,
            false => told.or(former),
        };
        Known { node_id, empty_id: None, replid: self.history.as_ref().map(|history| history.replid.clone()) }
    }

    /// A history of the set, or one that goes on from one.
    fn is_of_set(&self, known: &Known, info: &Info) -> bool {
        let histories = self.known_histories(known.replid.as_ref());
        info.history.as_ref().is_some_and(|history| {
            let former = history.former.as_ref().map(|(id, _)| id);
            [Some(&history.replid), former].into_iter().flatten().any(|id| histories.contains(id.as_str()))
        })
    }
}

impl Replica {
    /// It is the one that is known at its address, by the id that it has told last, or by its history as `master` knows it.
    pub(crate) fn is_known_one(&self, master: &Master) -> bool {
        let info = Info::parse(self.instance.info.as_deref().unwrap_or_default());
        let is_id = self.known.node_id.as_deref().is_some_and(|known| info.lasting_id() == Some(known));
        is_id || master.is_of_set(&self.known, &info)
    }
}

impl Sentinel {
    /// Whoever tells this at a replica's address is judged; answers whether it is left alone.
    pub(crate) fn is_left_alone(&mut self, at: &At, info: &Info) -> bool {
        let Who::Replica(label) = &at.who else { return false };
        let Some(master) = self.masters.get(&at.master) else { return false };
        let Some(replica) = master.replicas.get(label) else { return false };
        let waits = self.tilt.is_on() || info.is_loading || info.role.is_none() || master.failover.is_some();
        let (known, told) = (&replica.known, info.lasting_id().map(str::to_string));
        let is_another = told.is_some() && known.node_id.is_some() && told != known.node_id && told != known.empty_id;
        if waits && (is_another || info.is_loading) {
            // It is judged later.
            return false;
        }
        let is_kin = self.is_kin(master, known, info);
        if is_another && !is_kin && info.has_keys != Some(false) && master.settings.is_strict {
            self.leave_alone(at, label, told);
            return true;
        }
        let is_first = known.node_id.is_none() && !replica.was_master;
        let is_of_set = is_kin || is_first || told == known.node_id;
        let replid = info.history.as_ref().map(|history| history.replid.clone());
        let replid = replid.filter(|_| info.role == Some(Role::Replica) && self.follows_set(master, info));
        if let Some(replica) = self.masters.get_mut(&at.master).and_then(|master| master.replicas.get_mut(label)) {
            let known = &mut replica.known;
            let kept = if is_of_set { &mut known.node_id } else { &mut known.empty_id };
            *kept = told.or(kept.take());
            known.replid = replid.or(known.replid.take());
        }
        false
    }

    /// Something tells that it is of the set.
    fn is_kin(&self, master: &Master, known: &Known, info: &Info) -> bool {
        master.knows_some_of(info) || self.follows_set(master, info) || master.is_of_set(known, info)
    }

    fn leave_alone(&mut self, at: &At, label: &str, node_id: Option<String>) {
        let Some(master) = self.masters.get_mut(&at.master) else { return };
        let Some(known) = master.replicas.get(label).map(|replica| replica.known.clone()) else { return };
        let stranger = Stranger { known, node_id, since_ms: self.now_ms };
        let before = master.strangers.insert(label.to_string(), stranger.clone());
        while master.strangers.len() > STRANGERS_MAX {
            master.strangers.pop_first();
        }
        if before.is_none_or(|before| before.node_id != stranger.node_id) {
            let who = format!("The server at {label} is not the replica of '{}' that was there", at.master);
            self.log(Level::Warning, format!("{who}: it is left alone"));
        }
        self.event(Level::Notice, "-slave", at, " #another server is there");
        self.remove_replica(&at.master, label);
    }

    /// The master names a replica where a stranger was: it may be who was there before that, whose link is not over yet. Answers whether that is to be waited
    /// for.
    pub(crate) fn waits_for_stranger(&self, name: &str, label: &str) -> bool {
        let stranger = self.masters.get(name).and_then(|master| master.strangers.get(label));
        stranger.is_some_and(|stranger| self.now_ms.saturating_sub(stranger.since_ms) < NAMED_MS)
    }
}
