//! The Sentinel itself: its state, what it is told, and what it wants done.
//!
//! It is told the time, bytes of connections, commands of clients; it hands out [`Action`]s. Nothing of a turn may be done before
//! [`Sentinel::is_unsaved`] was looked at and the configuration is on the disk: so a vote is durable before it is answered, and a term before it is
//! announced.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::address::Address;
use crate::events::Level;
use crate::info::Role;
use crate::link::{At, ConnId, Connection, Link, LinkId, Question, Who};
use crate::master::{Instance, Master};
use crate::names::Names;
use crate::peer::Peer;
use crate::periods::Periods;
use crate::replica::Replica;
use crate::scripts::Scripts;
use crate::tilt::{Tilt, TiltChange};

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin to connect; what is sent meanwhile waits. Failure is told by [`Sentinel::closed`].
    Connect {
        connection: ConnId,
        ip: IpAddr,
        port: u16,
    },
    /// `is_promise`: it must not leave unless what is to be saved was.
    Send {
        connection: ConnId,
        bytes: Vec<u8>,
        is_promise: bool,
    },
    Close {
        connection: ConnId,
    },
    /// Look a name up, and tell [`Sentinel::resolved`].
    Resolve {
        host: String,
    },
    /// For the clients that have subscribed.
    Publish {
        channel: String,
        message: String,
    },
    Log {
        level: Level,
        text: String,
    },
    RunScript {
        job: u64,
        words: Vec<String>,
    },
    KillScript {
        job: u64,
    },
    /// The process ends: SENTINEL SIMULATE-FAILURE.
    Exit {
        status: i32,
    },
}

/// What holds for all masters.
#[derive(Clone, Debug)]
pub struct Globals {
    /// The port on which this Sentinel listens.
    pub port: u16,
    pub announce_ip: Option<String>,
    /// 0: that on which it listens.
    pub announce_port: u16,
    pub denies_script_changes: bool,
    pub resolve_hostnames: bool,
    pub announce_hostnames: bool,
    /// With what this one shows itself to other Sentinels.
    pub sentinel_user: Option<Vec<u8>>,
    pub sentinel_pass: Option<Vec<u8>>,
    /// `requirepass`, which serves for that when `sentinel_pass` is not set.
    pub own_password: Option<Vec<u8>>,
    /// What is logged; the driver goes by it.
    pub log_level: String,
}

impl Default for Globals {
    fn default() -> Globals {
        Globals {
            port: 26379,
            announce_ip: None,
            announce_port: 0,
            denies_script_changes: true,
            resolve_hostnames: false,
            announce_hostnames: false,
            sentinel_user: None,
            sentinel_pass: None,
            own_password: None,
            log_level: "notice".into(),
        }
    }
}

/// Where SENTINEL SIMULATE-FAILURE lets this one end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    pub after_election: bool,
    pub after_promotion: bool,
}

/// A Sentinel.
pub struct Sentinel {
    /// 40 hexadecimal digits, that outlive a restart; empty until one was given.
    pub id: String,
    pub current_epoch: u64,
    /// The term that is on the disk.
    pub saved_epoch: u64,
    pub masters: BTreeMap<String, Master>,
    pub globals: Globals,
    pub periods: Periods,
    pub tilt: Tilt,
    pub scripts: Scripts,
    pub failures: Failures,
    pub names: Names,
    /// Whether a path is a file that can be run as a script.
    pub can_run: fn(&str) -> bool,
    pub(crate) links: BTreeMap<LinkId, Link>,
    connections: BTreeMap<ConnId, LinkId>,
    pub(crate) actions: Vec<Action>,
    /// What is on the disk is not what is in memory.
    pub(crate) is_dirty: bool,
    /// Ms on the machine's clock, as of this turn.
    pub(crate) now_ms: u64,
    /// Unix time, ms: for what people read.
    pub(crate) unix_ms: u64,
    pub(crate) wake_ms: u64,
    last_id: u64,
    random: u64,
}

/// Unanswered questions of one instance; above that, none that can wait are asked.
const PENDING_MAX: usize = 100;
/// Somebody who can't be reached is tried again after so long, ms.
const RETRY_MS: u64 = 250;

impl Sentinel {
    /// A Sentinel that watches nobody yet. `seed` decides what is left to chance.
    pub fn new(now_ms: u64, unix_ms: u64, seed: u64) -> Sentinel {
        Sentinel {
            id: String::new(),
            current_epoch: 0,
            saved_epoch: 0,
            masters: BTreeMap::new(),
            globals: Globals::default(),
            periods: Periods::default(),
            tilt: Tilt::default(),
            scripts: Scripts::default(),
            failures: Failures::default(),
            names: Names::default(),
            can_run: |_| false,
            links: BTreeMap::new(),
            connections: BTreeMap::new(),
            actions: Vec::new(),
            is_dirty: false,
            now_ms,
            unix_ms,
            wake_ms: now_ms,
            last_id: 0,
            random: seed | 1,
        }
    }

    /// Begins to work: an id is taken if the configuration has none (`id` are 40 hexadecimal digits), and all is written down.
    pub fn begin(&mut self, id: &str) {
        if self.id.is_empty() {
            self.id = id.to_string();
        }
        self.is_dirty = true;
        self.log(Level::Warning, format!("Sentinel ID is {}", self.id));
        for name in self.names_of_masters() {
            let quorum = format!(" quorum {}", self.masters[&name].settings.quorum);
            self.event(Level::Warning, "+monitor", &At::master(&name), &quorum);
        }
    }

    /// The time of what is told next, on the machine's clock and on the wall's.
    pub fn set_time(&mut self, now_ms: u64, unix_ms: u64) {
        self.now_ms = now_ms.max(self.now_ms);
        self.unix_ms = unix_ms;
        self.look_at_tilt();
    }

    /// Before anything is taken: what has come while this one was not run tells of then.
    fn look_at_tilt(&mut self) {
        match self.tilt.look(self.now_ms, &self.periods) {
            Some(TiltChange::Entered) => self.event_text(Level::Warning, "+tilt", None, "#tilt mode entered"),
            Some(TiltChange::Left) => self.event_text(Level::Warning, "-tilt", None, "#tilt mode exited"),
            None => {}
        }
    }

    /// When [`Sentinel::tick`] wants to be called again.
    pub fn wake_ms(&self) -> u64 {
        self.wake_ms
    }

    /// What is to be done now.
    pub fn take_actions(&mut self) -> Vec<Action> {
        let names = self.names.take_wanted();
        self.actions.extend(names.into_iter().map(|host| Action::Resolve { host }));
        std::mem::take(&mut self.actions)
    }

    /// Whether the configuration is to be written before anything is done.
    pub fn is_unsaved(&self) -> bool {
        self.is_dirty
    }

    /// Something else that stands in the configuration has changed.
    pub fn mark_unsaved(&mut self) {
        self.is_dirty = true;
    }

    /// The configuration was written and is on the disk, or was not.
    pub fn saved(&mut self, result: Result<(), String>) {
        match result {
            Ok(()) => {
                self.is_dirty = false;
                self.saved_epoch = self.current_epoch;
                for master in self.masters.values_mut() {
                    master.announced = Some((master.current_address().clone(), master.config_epoch));
                }
                self.log(Level::Notice, "Sentinel new configuration saved on disk");
            }
            Err(reason) => self.log(
                Level::Warning,
                format!("WARNING: Sentinel was not able to save the new configuration on disk!!!: {reason}"),
            ),
        }
    }

    /// A random word.
    pub(crate) fn random(&mut self) -> u64 {
        // xorshift64*: only chance is asked of it, no secret.
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Does what is due. To be called when [`Sentinel::wake_ms`] has come; more often does no harm.
    pub fn tick(&mut self) {
        // Not all at the same moments: who wakes together asks for votes together.
        self.wake_ms = self.now_ms + 50 + self.random() % 50;
        self.look_at_tilt();
        for name in self.names_of_masters() {
            for at in self.everybody(&name) {
                self.attend(&at);
            }
            if !self.tilt.is_on() {
                self.act(&name);
                self.forget_the_dead(&name);
                self.probe_forgotten(&name);
            }
        }
        self.run_scripts();
    }

    /// What is due for one instance: its connections, its questions, whether it is down.
    fn attend(&mut self, at: &At) {
        self.reconnect(at);
        self.ask_periodically(at);
        if !self.tilt.is_on() {
            self.check_down(at);
        }
    }

    pub(crate) fn names_of_masters(&self) -> Vec<String> {
        self.masters.keys().cloned().collect()
    }

    /// The master, its replicas, and the other Sentinels.
    pub(crate) fn everybody(&self, name: &str) -> Vec<At> {
        let Some(master) = self.masters.get(name) else { return Vec::new() };
        let replicas = master.replicas.keys().map(|label| At::replica(name, label));
        let peers = master.peers.keys().map(|id| At::peer(name, id));
        std::iter::once(At::master(name)).chain(replicas).chain(peers).collect()
    }

    /// The instance that is meant, if it is still there.
    pub fn instance(&self, at: &At) -> Option<&Instance> {
        let master = self.masters.get(&at.master)?;
        match &at.who {
            Who::Master => Some(&master.instance),
            Who::Replica(label) => master.replicas.get(label).map(|replica| &replica.instance),
            Who::Peer(id) => master.peers.get(id).map(|peer| &peer.instance),
            Who::Forgotten(label) => master.forgotten.get(label).map(|forgotten| &forgotten.instance),
        }
    }

    pub(crate) fn instance_mut(&mut self, at: &At) -> Option<&mut Instance> {
        let master = self.masters.get_mut(&at.master)?;
        match &at.who {
            Who::Master => Some(&mut master.instance),
            Who::Replica(label) => master.replicas.get_mut(label).map(|replica| &mut replica.instance),
            Who::Peer(id) => master.peers.get_mut(id).map(|peer| &mut peer.instance),
            Who::Forgotten(label) => master.forgotten.get_mut(label).map(|forgotten| &mut forgotten.instance),
        }
    }

    /// The link of an instance.
    pub fn link(&self, at: &At) -> Option<&Link> {
        self.links.get(&self.instance(at)?.link)
    }

    /// How many links there are; each has at most two connections.
    pub fn links(&self) -> usize {
        self.links.len()
    }

    pub(crate) fn is_disconnected(&self, at: &At) -> bool {
        self.link(at).is_none_or(|link| link.is_disconnected)
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(crate) fn new_link(&mut self) -> LinkId {
        let id = LinkId(self.next_id());
        self.links.insert(id, Link::new(self.now_ms));
        id
    }

    /// One instance less uses a link; the last one closes it.
    pub(crate) fn release_link(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.users -= 1;
        if link.users == 0 {
            self.disconnect(id);
            self.links.remove(&id);
        }
    }

    /// Closes both connections; they are made again.
    pub(crate) fn disconnect(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let connections = [link.commands.take(), link.messages.take()];
        link.is_disconnected = true;
        for connection in connections.into_iter().flatten() {
            self.connections.remove(&connection.id);
            self.actions.push(Action::Close { connection: connection.id });
        }
    }

    /// Closes one connection of a link.
    pub(crate) fn drop_connection(&mut self, id: LinkId, is_for_commands: bool) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let side = if is_for_commands { &mut link.commands } else { &mut link.messages };
        if let Some(connection) = side.take() {
            link.is_disconnected = true;
            self.connections.remove(&connection.id);
            self.actions.push(Action::Close { connection: connection.id });
        }
    }

    /// Connects what is not connected.
    pub(crate) fn reconnect(&mut self, at: &At) {
        let (now_ms, resolves) = (self.now_ms, self.globals.resolve_hostnames);
        let retry_ms = self.periods.ping_ms.min(RETRY_MS);
        let Some(instance) = self.instance(at) else { return };
        let (id, address) = (instance.link, instance.address.clone());
        let Some(link) = self.links.get_mut(&id) else { return };
        let is_early = link.tried_ms.is_some_and(|tried| now_ms.saturating_sub(tried) < retry_ms);
        if !link.is_disconnected || address.port == 0 || is_early {
            return;
        }
        link.tried_ms = Some(now_ms);
        let (lacks_commands, lacks_messages) = (link.commands.is_none(), link.messages.is_none());
        if lacks_commands && resolves && address.is_name() {
            // It may have another number by now. The next try will have it.
            self.names.ask(&address.host);
        }
        let Some(ip) = address.ip else { return };
        let needs_messages = Sentinel::needs_messages(at);
        if lacks_commands {
            self.connect(at, id, ip, address.port, true);
            self.send_ping(at);
        }
        if needs_messages && lacks_messages {
            self.connect(at, id, ip, address.port, false);
            self.send_on_messages(at, Question::Subscribe, &[b"SUBSCRIBE", crate::hello::CHANNEL.as_bytes()]);
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.is_disconnected = link.commands.is_none() || (needs_messages && link.messages.is_none());
        }
    }

    fn connect(&mut self, at: &At, id: LinkId, ip: IpAddr, port: u16, is_for_commands: bool) {
        let connection = ConnId(self.next_id());
        self.connections.insert(connection, id);
        self.actions.push(Action::Connect { connection, ip, port });
        let now_ms = self.now_ms;
        let Some(link) = self.links.get_mut(&id) else { return };
        let side = if is_for_commands { &mut link.commands } else { &mut link.messages };
        *side = Some(Connection::new(connection, now_ms));
        let auth = self.auth_words(at);
        let name = format!(
            "sentinel-{}-{}",
            self.id.get(..8).unwrap_or(&self.id),
            ["pubsub", "cmd"][usize::from(is_for_commands)]
        );
        let words = [b"CLIENT".as_slice(), b"SETNAME", name.as_bytes()];
        let auth: Vec<&[u8]> = auth.iter().map(Vec::as_slice).collect();
        if is_for_commands {
            if !auth.is_empty() {
                self.send(at, Question::Nothing, &auth);
            }
            self.send(at, Question::Nothing, &words);
        } else {
            if !auth.is_empty() {
                self.send_on_messages(at, Question::Nothing, &auth);
            }
            self.send_on_messages(at, Question::Nothing, &words);
        }
    }

    /// AUTH, with what it takes there; nothing if nothing is known.
    fn auth_words(&self, at: &At) -> Vec<Vec<u8>> {
        let settings = self.masters.get(&at.master).map(|master| &master.settings);
        let globals = &self.globals;
        let (user, pass) = match at.who {
            Who::Peer(_) if globals.sentinel_pass.is_some() => (&globals.sentinel_user, &globals.sentinel_pass),
            Who::Peer(_) => (&None, &globals.own_password),
            _ => match settings {
                Some(settings) => (&settings.auth_user, &settings.auth_pass),
                None => (&None, &None),
            },
        };
        match pass {
            Some(pass) => {
                std::iter::once(b"AUTH".to_vec()).chain(user.clone()).chain(std::iter::once(pass.clone())).collect()
            }
            None => Vec::new(),
        }
    }

    /// The command's own name there, if the user has renamed it.
    fn encode(&self, at: &At, words: &[&[u8]]) -> Vec<u8> {
        let name = std::str::from_utf8(words[0]).unwrap_or_default();
        let name = self.masters.get(&at.master).map_or(name, |master| master.settings.command(name)).to_string();
        let words = std::iter::once(name.as_bytes()).chain(words[1..].iter().copied()).collect::<Vec<_>>();
        let mut bytes = Vec::new();
        rivulet_resp::append_command(&mut bytes, words.iter().copied());
        bytes
    }

    /// Sends a command; false if there is no connection.
    pub(crate) fn send(&mut self, at: &At, question: Question, words: &[&[u8]]) -> bool {
        let bytes = self.encode(at, words);
        let Some(id) = self.instance(at).map(|instance| instance.link) else { return false };
        let Some(connection) = self.links.get_mut(&id).and_then(|link| link.commands.as_mut()) else { return false };
        connection.asked.push_back(crate::link::Asked { question, at: at.clone() });
        // A wish for a vote tells that this one has voted for itself.
        let is_promise = matches!(question, Question::IsDown | Question::Fence);
        self.actions.push(Action::Send { connection: connection.id, bytes, is_promise });
        true
    }

    fn send_on_messages(&mut self, at: &At, question: Question, words: &[&[u8]]) {
        let bytes = self.encode(at, words);
        let Some(id) = self.instance(at).map(|instance| instance.link) else { return };
        if let Some(connection) = self.links.get_mut(&id).and_then(|link| link.messages.as_mut()) {
            connection.asked.push_back(crate::link::Asked { question, at: at.clone() });
            let connection = connection.id;
            self.actions.push(Action::Send { connection, bytes, is_promise: false });
        }
    }

    pub(crate) fn send_ping(&mut self, at: &At) {
        if !self.send(at, Question::Ping, &[b"PING"]) {
            return;
        }
        let now_ms = self.now_ms;
        let Some(id) = self.instance(at).map(|instance| instance.link) else { return };
        if let Some(link) = self.links.get_mut(&id) {
            link.last_ping_ms = Some(now_ms);
            link.ping_since_ms.get_or_insert(now_ms);
        }
    }

    /// INFO, unless one is under way.
    pub(crate) fn send_info(&mut self, at: &At) {
        if self.link(at).is_some_and(|link| !link.has_asked(Question::Info, at)) {
            self.send(at, Question::Info, &[b"INFO"]);
        }
    }

    fn ask_periodically(&mut self, at: &At) {
        let now_ms = self.now_ms;
        let Some(link) = self.link(at) else { return };
        if link.is_disconnected || link.pending() >= PENDING_MAX * link.users as usize {
            return;
        }
        let Some(instance) = self.instance(at) else { return };
        let down_after_ms = self.masters[&at.master].settings.down_after_ms;
        let ping_ms = down_after_ms.min(self.periods.ping_ms);
        let since_ping = link.last_ping_ms.map_or(u64::MAX, |at| now_ms.saturating_sub(at));
        let pings = now_ms.saturating_sub(link.last_pong_ms) > ping_ms && since_ping > ping_ms / 2;
        let is_new =
            link.commands.as_ref().is_some_and(|c| instance.info_ms.is_none_or(|info_ms| info_ms < c.since_ms));
        let is_old = instance.info_age_ms(now_ms).is_none_or(|age| age > self.info_period_ms(at));
        let tells = now_ms.saturating_sub(instance.hello_sent_ms) > self.periods.publish_ms;
        if (is_new || is_old) && !matches!(at.who, Who::Peer(_)) {
            self.send_info(at);
        }
        if pings {
            self.send_ping(at);
        }
        // While the term waits to be saved it is not announced: at the next tick, then.
        if tells && !self.is_dirty {
            self.send_hello(at);
        }
    }

    fn info_period_ms(&self, at: &At) -> u64 {
        let periods = &self.periods;
        let Some(master) = self.masters.get(&at.master) else { return periods.info_ms };
        let Who::Replica(label) = &at.who else { return periods.info_ms };
        let Some(replica) = master.replicas.get(label) else { return periods.info_ms };
        use crate::replica::Reconfiguration::{InProgress, Sent};
        match replica.reconfiguration {
            Sent { .. } | InProgress => periods.info_ms.min(100),
            _ if master.failover.is_some() || master.agreed_down_since_ms.is_some() => periods.info_ms.min(1000),
            _ if replica.was_master && replica.instance.role == Role::Master => periods.info_ms.min(200),
            _ if replica.link_down_ms != 0 || replica.instance.role == Role::Master => periods.info_ms.min(1000),
            _ => periods.info_ms,
        }
    }

    /// A connection has an end of its own: its address is where others reach us.
    pub fn opened(&mut self, connection: ConnId, local_ip: Option<IpAddr>) {
        if let Some(connection) = self.connection_mut(connection) {
            connection.local_ip = local_ip.map(|ip| ip.to_string());
        }
    }

    fn connection_mut(&mut self, connection: ConnId) -> Option<&mut Connection> {
        let link = self.links.get_mut(self.connections.get(&connection)?)?;
        [&mut link.commands, &mut link.messages].into_iter().flatten().find(|c| c.id == connection)
    }

    /// A connection was lost, or could not be made.
    pub fn closed(&mut self, connection: ConnId) {
        let Some(id) = self.connections.remove(&connection) else { return };
        let Some(link) = self.links.get_mut(&id) else { return };
        for side in [&mut link.commands, &mut link.messages] {
            if side.as_ref().is_some_and(|c| c.id == connection) {
                *side = None;
                link.is_disconnected = true;
            }
        }
        // It is looked at soon, so that the time of its silence begins when it began.
        self.wake_ms = self.wake_ms.min(self.now_ms + 1);
    }

    /// Bytes have arrived.
    pub fn received(&mut self, connection: ConnId, bytes: &[u8]) {
        let Some(state) = self.connection_mut(connection) else { return };
        state.reader.push(bytes);
        loop {
            let Some(&link) = self.connections.get(&connection) else { return };
            let Some(state) = self.connection_mut(connection) else { return };
            match state.reader.take() {
                Ok(Some(answer)) => {
                    let is_for_commands =
                        self.links.get(&link).is_some_and(|l| l.commands.as_ref().is_some_and(|c| c.id == connection));
                    if is_for_commands { self.answered(link, connection, answer) } else { self.told(link, answer) }
                }
                Ok(None) => return,
                Err(_) => {
                    self.actions.push(Action::Close { connection });
                    return self.closed(connection);
                }
            }
        }
    }

    /// A name was looked up: `None` if it stands for nothing.
    pub fn resolved(&mut self, host: &str, ip: Option<IpAddr>) {
        self.names.resolved(host, ip);
        let known = self.names.find(host).flatten();
        for name in self.names_of_masters() {
            for at in self.everybody(&name).into_iter().chain(self.all_forgotten(&name)) {
                if let Some(instance) = self.instance_mut(&at)
                    && instance.address.host.eq_ignore_ascii_case(host)
                {
                    instance.address.ip = known.or(instance.address.ip);
                }
            }
            self.find_replicas_again(&name);
        }
    }

    /// The address of a host: a name only if names are allowed, and then perhaps without its number.
    pub(crate) fn address(&self, host: &str, port: u16) -> Option<Address> {
        let mut address = Address::new(host, port);
        if address.ip.is_none() {
            if !self.globals.resolve_hostnames {
                return None;
            }
            address.ip = self.names.find(host).flatten();
        }
        Some(address)
    }

    /// Whether a host and port that somebody has told are this address.
    pub(crate) fn is_at(&self, address: &Address, host: &str, port: u16) -> bool {
        address.is_same(&self.address(host, port).unwrap_or_else(|| Address::new(host, port)))
    }

    /// Whether a replica follows the address at which a master is.
    pub(crate) fn follows(&self, replica: &Replica, master: &Master) -> bool {
        let host = replica.master_host.as_ref();
        host.is_some_and(|host| self.is_at(&master.instance.address, host, replica.master_port))
    }

    /// The replica that has what a master, which was started again, has acknowledged and lost.
    pub(crate) fn outlived_by<'a>(&self, master: &'a Master) -> Option<&'a str> {
        let is_so = |replica: &Replica| {
            replica.master_lacks_data && replica.instance.down_since_ms.is_none() && self.follows(replica, master)
        };
        let found = master.replicas.iter().find(|(_, replica)| is_so(replica)).map(|(label, _)| label.as_str());
        found.filter(|_| master.settings.is_strict)
    }

    pub(crate) fn raise_epoch(&mut self, name: &str, epoch: u64) {
        self.current_epoch = epoch;
        self.is_dirty = true;
        self.event_text(Level::Warning, "+new-epoch", Some(name), &epoch.to_string());
    }

    /// A replica that was not known. Nothing if there is one at that address.
    pub(crate) fn add_replica(&mut self, name: &str, address: Address) -> Option<At> {
        let label = address.label(self.globals.announce_hostnames);
        let master = self.masters.get(name)?;
        let is_known = master.replicas.contains_key(&label)
            || master.replicas.values().any(|replica| replica.instance.address.is_same(&address));
        if is_known {
            return None;
        }
        self.drop_forgotten_if(name, |forgotten| forgotten.address.is_same(&address));
        let (link, now_ms) = (self.new_link(), self.now_ms);
        let instance = Instance::new(address, link, Role::Replica, now_ms);
        let master = self.masters.get_mut(name)?;
        let mut replica = Replica::new(instance, now_ms);
        // Where another one was for a while, the one of before is expected.
        replica.known = master.strangers.get(&label).map(|stranger| stranger.known.clone()).unwrap_or_default();
        master.replicas.insert(label.clone(), replica);
        Some(At::replica(name, &label))
    }

    pub(crate) fn remove_replica(&mut self, name: &str, label: &str) {
        if let Some(replica) = self.masters.get_mut(name).and_then(|master| master.replicas.remove(label)) {
            self.release_link(replica.instance.link);
            self.is_dirty = true;
        }
    }

    /// Another Sentinel; it shares the link that other masters have to it.
    pub(crate) fn add_peer(&mut self, name: &str, id: &str, address: Address) {
        let shared = self.masters.values().find_map(|master| master.peers.get(id)).map(|peer| peer.instance.link);
        let link = match shared {
            Some(link) => {
                if let Some(shared) = self.links.get_mut(&link) {
                    shared.users += 1;
                }
                link
            }
            None => self.new_link(),
        };
        let mut instance = Instance::new(address, link, Role::Master, self.now_ms);
        instance.run_id = Some(id.to_string());
        let now_ms = self.now_ms;
        match self.masters.get_mut(name) {
            Some(master) => _ = master.peers.insert(id.to_string(), Peer::new(instance, now_ms)),
            None => self.release_link(link),
        }
    }

    pub(crate) fn remove_peer(&mut self, name: &str, id: &str) -> bool {
        let peer = self.masters.get_mut(name).and_then(|master| master.peers.remove(id));
        if let Some(peer) = &peer {
            self.release_link(peer.instance.link);
            self.is_dirty = true;
        }
        peer.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_another_sentinel_is_shared() {
        let mut sentinel = Sentinel::new(0, 0, 1);
        for (name, port) in [("a", 1), ("b", 2)] {
            sentinel.monitor(name, Address::new("10.0.0.1", port), 2).expect("a new name");
            sentinel.add_peer(name, "other", Address::new("10.0.0.9", 9));
        }
        sentinel.tick();
        let to_peer = |action: &Action| matches!(action, Action::Connect { port: 9, .. });
        let actions = sentinel.take_actions();
        assert_eq!(actions.iter().filter(|action| to_peer(action)).count(), 1);
        assert_eq!(actions.iter().filter(|a| matches!(a, Action::Connect { .. })).count(), 5);
        assert!(sentinel.remove_peer("a", "other"));
        assert!(!sentinel.take_actions().iter().any(|a| matches!(a, Action::Close { .. })), "b still needs it");
        assert!(sentinel.remove_peer("b", "other"));
        assert!(sentinel.take_actions().iter().any(|a| matches!(a, Action::Close { .. })));
    }
}
