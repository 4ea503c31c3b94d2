//! A master that is watched, its replicas, and the other Sentinels that watch it.

use std::collections::BTreeMap;

use rivulet_replication::promises::ListId;

use crate::address::Address;
use crate::choice::Choice;
use crate::failover::Attempt;
use crate::forgotten::Forgotten;
use crate::info::{History, Role};
use crate::link::LinkId;
use crate::peer::Peer;
use crate::periods::Periods;
use crate::replica::Replica;
use crate::strangers::Stranger;
use crate::votes::Vote;

/// What is known of any instance.
#[derive(Debug)]
pub struct Instance {
    pub address: Address,
    pub link: LinkId,
    pub run_id: Option<String>,
    /// An id that outlives restarts, if the server tells one.
    pub node_id: Option<String>,
    /// What it says of synchronous replicas: how many a reply waits for, and whose acknowledgements count.
    pub synchronous_replicas: u32,
    /// The highest term that it knows: with a higher one than its master's a replica acknowledges nothing.
    pub failover_epoch: u64,
    /// As a master it was replaced, and says so.
    pub is_stale: bool,
    /// As a master it was started again, and acknowledges nothing until members have come.
    pub is_unproven: bool,
    /// Its data are being loaded: whether it lacks something is known when they are here.
    pub is_loading: bool,
    pub members: Vec<String>,
    pub list: ListId,
    /// When a hello was last taken by it.
    pub hello_sent_ms: u64,
    /// This Sentinel believes that it is down, since when.
    pub down_since_ms: Option<u64>,
    /// When it was last believed to be down, though it may be up now; 0 for never.
    pub last_down_ms: u64,
    /// Its last INFO, and when that came.
    pub info: Option<Vec<u8>>,
    pub info_ms: Option<u64>,
    pub role: Role,
    pub role_since_ms: u64,
    pub is_script_kill_sent: bool,
}

impl Instance {
    pub fn new(address: Address, link: LinkId, role: Role, now_ms: u64) -> Instance {
        Instance {
            address,
            link,
            run_id: None,
            node_id: None,
            synchronous_replicas: 0,
            failover_epoch: 0,
            is_stale: false,
            is_unproven: false,
            is_loading: false,
            members: Vec::new(),
            list: ListId::default(),
            hello_sent_ms: now_ms,
            down_since_ms: None,
            last_down_ms: 0,
            info: None,
            info_ms: None,
            role,
            role_since_ms: now_ms,
            is_script_kill_sent: false,
        }
    }

    /// Its node id, if that outlives a restart. Until a node has anything to keep it tells its run id.
    pub(crate) fn lasting_id(&self) -> Option<&str> {
        let lasts = self.node_id != self.run_id || !self.members.is_empty();
        self.node_id.as_deref().filter(|_| lasts)
    }

    /// Whether another one is the same server, by what both have told: their node ids, or else their run ids.
    pub(crate) fn is_same_server(&self, other: &Instance) -> bool {
        match (&self.node_id, &other.node_id) {
            (Some(own), Some(other)) => own == other,
            _ => self.run_id.is_some() && self.run_id == other.run_id,
        }
    }

    /// Ms since the last INFO; nothing if there was none.
    pub fn info_age_ms(&self, now_ms: u64) -> Option<u64> {
        self.info_ms.map(|at| now_ms.saturating_sub(at))
    }
}

/// What the user says about a master.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Sentinels, this one included, that must believe that the master is down.
    pub quorum: u32,
    pub down_after_ms: u64,
    pub failover_timeout_ms: u64,
    /// Replicas that are sent to a new master at the same time.
    pub parallel_syncs: u32,
    /// How long a master that was started again may load before it counts as down; 0 for ever.
    pub reboot_down_after_ms: u64,
    pub auth_user: Option<Vec<u8>>,
    pub auth_pass: Option<Vec<u8>>,
    pub notification_script: Option<String>,
    pub reconfig_script: Option<String>,
    /// Commands that have other names there, by their own in small letters.
    pub renamed: BTreeMap<String, String>,
    /// Keep the rules that lose nothing, where Redis would go on.
    pub is_strict: bool,
    /// What makes a hello, or the wish for a vote, one of ours.
    pub secret: Option<Vec<u8>>,
    /// Who has been gone for so long is forgotten; 0 for never.
    pub forget_after_ms: u64,
}

/// A day.
pub const FORGET_AFTER_MS: u64 = 86_400_000;

impl Settings {
    pub fn new(quorum: u32, periods: &Periods) -> Settings {
        Settings {
            quorum,
            down_after_ms: periods.default_down_after_ms,
            failover_timeout_ms: periods.default_failover_timeout_ms,
            parallel_syncs: 1,
            reboot_down_after_ms: 0,
            auth_user: None,
            auth_pass: None,
            notification_script: None,
            reconfig_script: None,
            renamed: BTreeMap::new(),
            is_strict: true,
            secret: None,
            forget_after_ms: FORGET_AFTER_MS,
        }
    }

    /// The name by which a command goes there.
    pub fn command<'a>(&'a self, name: &'a str) -> &'a str {
        self.renamed.get(&name.to_ascii_lowercase()).map_or(name, String::as_str)
    }
}

/// A master, under the name that its users know.
#[derive(Debug)]
pub struct Master {
    pub name: String,
    pub instance: Instance,
    pub settings: Settings,
    /// By label.
    pub replicas: BTreeMap<String, Replica>,
    /// Servers at addresses of replicas that are left alone, by label.
    pub strangers: BTreeMap<String, Stranger>,
    /// Replicas that were forgotten, by label: nothing counts with them.
    pub forgotten: BTreeMap<String, Forgotten>,
    /// By id.
    pub peers: BTreeMap<String, Peer>,
    /// The term of the failover that made this the master.
    pub config_epoch: u64,
    /// The master's address and its term as they are on the disk: what others may be told.
    pub announced: Option<(Address, u64)>,
    pub vote: Vote,
    /// Enough Sentinels believe that it is down, since when.
    pub agreed_down_since_ms: Option<u64>,
    /// It was started again and loads, since when.
    pub reboot_since_ms: Option<u64>,
    /// It came back without what it had: why it is not taken as the master any more.
    pub reborn: Option<String>,
    pub failover: Option<Attempt>,
    pub backoff: Backoff,
    /// Where the master stood when it was last heard, and where the one before its last restart stood.
    pub history: Option<History>,
    pub former_history: Option<History>,
    /// Whether it had keys when it was last heard.
    pub had_keys: bool,
    /// The server knows FAILOVER.
    pub knows_failover: bool,
    pub last_choice: Option<Choice>,
    /// What it said of itself when it was last heard, also before this Sentinel was started: how many replicas a reply waits for, and its node id.
    pub synchronous: Synchronous,
    /// Since when replicas know a later term than their master.
    pub half_done_since_ms: Option<u64>,
    /// Members that nobody has who is up, since when: who is gone for long is a member no longer.
    pub absent: BTreeMap<String, u64>,
}

/// What a leader must know to fence, though the master tells nothing any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synchronous {
    /// `synchronous-replicas`; 0 where nothing waits.
    pub replicas: u32,
    pub node_id: Option<String>,
}

/// Why no failover is begun yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    /// Not before.
    pub until_ms: u64,
    /// The Sentinel that was voted for: should it go down, nobody waits for it.
    pub leader: Option<String>,
    /// Elections in a row that nobody won.
    pub splits: u32,
    /// The delay that was logged.
    pub logged_ms: u64,
    /// It was logged that others must do it.
    pub is_left: bool,
}

impl Master {
    pub fn new(name: &str, instance: Instance, settings: Settings) -> Master {
        Master {
            name: name.to_string(),
            instance,
            settings,
            replicas: BTreeMap::new(),
            strangers: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            peers: BTreeMap::new(),
            config_epoch: 0,
            announced: None,
            vote: Vote::default(),
            agreed_down_since_ms: None,
            reboot_since_ms: None,
            reborn: None,
            failover: None,
            backoff: Backoff::default(),
            history: None,
            former_history: None,
            had_keys: false,
            knows_failover: false,
            last_choice: None,
            synchronous: Synchronous::default(),
            half_done_since_ms: None,
            absent: BTreeMap::new(),
        }
    }

    /// The address that clients are told: that of the promoted replica as soon as it is a master.
    pub fn current_address(&self) -> &Address {
        let promoted = self.failover.as_ref().and_then(Attempt::promoted).and_then(|label| self.replicas.get(label));
        promoted.map_or(&self.instance.address, |replica| &replica.instance.address)
    }

    /// The node id of the master at [`Master::current_address`], as the lists name it.
    pub fn current_node_id(&self) -> Option<&str> {
        let promoted = self.failover.as_ref().and_then(Attempt::promoted).and_then(|label| self.replicas.get(label));
        match promoted {
            Some(replica) => replica.instance.node_id.as_deref(),
            None => self.synchronous.node_id.as_deref().or(self.instance.node_id.as_deref()),
        }
    }

    pub fn is_down(&self) -> bool {
        self.instance.down_since_ms.is_some()
    }

    /// Everybody who has a vote: the others, and this one.
    pub fn voters(&self) -> u32 {
        u32::try_from(self.peers.len() + 1).unwrap_or(u32::MAX)
    }

    /// Votes that make a leader.
    pub fn majority(&self) -> u32 {
        self.voters() / 2 + 1
    }
}
