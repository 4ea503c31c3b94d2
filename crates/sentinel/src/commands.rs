//! The SENTINEL command. Arities, replies and errors are Redis's; `primary` stands for `master` as in Valkey.

mod config;
mod set;
mod show;

use rivulet_resp::{Args, Reply};

use crate::doctor;
use crate::events::Level;
use crate::failover::Request;
use crate::fencing::ATTEMPT_MAX_MS;
use crate::hello;
use crate::link::At;
use crate::master::{Backoff, Master};
use crate::sentinel::Sentinel;

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The reply may leave.
    Replied,
    /// It may leave when what is to be saved was saved; otherwise [`NOT_SAVED`] takes its place.
    Promised,
    /// Nothing was done: the command is to be called again when this name was looked up.
    Waits(String),
}

/// What a client is told when the configuration could not be written.
pub const NOT_SAVED: &str = "ERR Failed to save config file. Check server logs.";

/// What a command has come to; the error's text has its code.
pub type Outcome = Result<Done, String>;

type Handler = fn(&mut Sentinel, Call<'_, '_, '_>) -> Outcome;

/// A command that is executed.
pub(crate) struct Call<'a, 'r, 'o> {
    pub args: Args<'a>,
    pub reply: &'r mut Reply<'o>,
    /// The name that it waited for was looked up.
    pub is_again: bool,
}

impl Call<'_, '_, '_> {
    fn text(&self, i: usize) -> String {
        String::from_utf8_lossy(self.args.at(i)).into_owned()
    }
}

/// Name, arity with `sentinel` counted (negative: at least), handler.
pub(crate) const SUBCOMMANDS: &[(&str, i32, Handler)] = &[
    ("ckquorum", 3, check_quorum),
    ("config", -3, config::config),
    ("debug", -2, config::debug),
    ("doctor", -2, doctor::doctor),
    ("failover", -3, failover),
    ("flushconfig", 2, flush),
    ("get-master-addr-by-name", 3, get_master_address),
    ("get-primary-addr-by-name", 3, get_master_address),
    ("help", 2, help),
    ("info-cache", -3, show::info_cache),
    ("is-master-down-by-addr", -6, is_down),
    ("is-primary-down-by-addr", -6, is_down),
    ("master", 3, show::master),
    ("masters", 2, show::masters),
    ("monitor", 6, monitor),
    ("myid", 2, my_id),
    ("pending-scripts", 2, show::pending_scripts),
    ("primaries", 2, show::masters),
    ("primary", 3, show::master),
    ("remove", 3, remove),
    ("replicas", 3, show::replicas),
    ("reset", 3, reset),
    ("sentinels", 3, show::sentinels),
    ("set", -5, set::set),
    ("simulate-failure", -3, simulate_failure),
    ("slaves", 3, show::replicas),
];

/// Names and arities of the subcommands; `primary` stands for `master` in others, which are not named here.
pub fn subcommands() -> impl Iterator<Item = (&'static str, i32)> {
    let is_alias = |name: &str| name.contains("primar");
    SUBCOMMANDS.iter().filter(move |(name, ..)| !is_alias(name)).map(|(name, arity, _)| (*name, *arity))
}

impl Sentinel {
    /// Executes SENTINEL. `is_again`: it has waited for a name, and is called again.
    ///
    /// # Errors
    /// The text of the error reply.
    pub fn command(&mut self, args: Args<'_>, reply: &mut Reply<'_>, is_again: bool) -> Outcome {
        let Some(name) = args.get(1) else {
            return Err("ERR wrong number of arguments for 'sentinel' command".into());
        };
        let found = SUBCOMMANDS.iter().find(|(known, ..)| name.eq_ignore_ascii_case(known.as_bytes()));
        let Some((known, arity, handler)) = found else {
            let name: String = String::from_utf8_lossy(name).chars().take(128).collect();
            return Err(format!("ERR unknown subcommand '{name}'. Try SENTINEL HELP."));
        };
        let count = args.len() as i32;
        if (*arity > 0 && count != *arity) || count < -*arity {
            return Err(format!("ERR wrong number of arguments for 'sentinel|{known}' command"));
        }
        handler(self, Call { args, reply, is_again })
    }

    pub(crate) fn named(&self, name: &str) -> Result<&Master, String> {
        self.masters.get(name).ok_or_else(|| "ERR No such master with that name".to_string())
    }

    /// Votes for who wants to lead in a term, if there is a vote left; answers whom the last vote was for, and its term.
    fn vote_for(&mut self, name: &str, epoch: u64, candidate: &str) -> (Option<String>, u64) {
        if epoch > self.current_epoch {
            self.raise_epoch(name, epoch);
        }
        let pause_ms = self.random() % 1000;
        let now_ms = self.now_ms;
        let is_me = candidate == self.id;
        let attempt_max_ms = if self.must_fence(name) { ATTEMPT_MAX_MS } else { u64::MAX };
        let Some(master) = self.masters.get_mut(name) else { return (None, 0) };
        if master.vote.give(candidate, epoch) {
            self.is_dirty = true;
            let is_behind = master.failover.as_ref().is_some_and(|own| own.is_electing() && own.epoch < epoch);
            if !is_me {
                let until_ms = now_ms + (master.settings.failover_timeout_ms * 2).min(attempt_max_ms) + pause_ms;
                let splits = master.backoff.splits;
                master.backoff =
                    Backoff { until_ms, leader: Some(candidate.to_string()), splits, logged_ms: 0, is_left: false };
            }
            self.event_text(Level::Warning, "+vote-for-leader", Some(name), &format!("{candidate} {epoch}"));
            if is_behind && !is_me {
                self.event(Level::Warning, "-failover-abort-not-elected", &At::master(name), "");
                if let Some(master) = self.masters.get_mut(name) {
                    master.failover = None;
                }
            }
        }
        self.masters.get(name).map_or((None, 0), |master| (master.vote.leader.clone(), master.vote.epoch))
    }

    /// Whether this one may be voted for: not a stranger, where the rules are strict or there is a secret.
    fn may_lead(&self, master: &Master, call: &Call<'_, '_, '_>, candidate: &str) -> bool {
        if let Some(secret) = &master.settings.secret {
            let [host, port, epoch] = [2, 3, 4].map(|i| call.text(i));
            let text = crate::down::vote_text(&host, &port, &epoch, candidate);
            return call
                .args
                .get(6)
                .is_some_and(|given| hello::is_proof(secret, text.as_bytes(), &String::from_utf8_lossy(given)));
        }
        !master.settings.is_strict || candidate == self.id || master.peers.contains_key(candidate)
    }

    /// Sentinels that can be reached, and what that is not enough for: the quorum, the majority.
    pub fn reachable(&self, master: &Master) -> (u32, bool, bool) {
        let up = master.peers.values().filter(|peer| peer.instance.down_since_ms.is_none()).count() as u32 + 1;
        (up, up < master.settings.quorum, up < master.majority())
    }
}

/// The longest time that a user may set, ms: 35,000 years, so that sums of a few stay numbers.
pub(crate) const MS_MAX: u64 = 1 << 50;

/// A number of Redis's strict kind.
pub(crate) fn integer(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_plain = text == "0" || text.trim_start_matches('-').starts_with(|c: char| ('1'..='9').contains(&c));
    text.parse().ok().filter(|_| is_plain && !text.starts_with('+'))
}

const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";

fn my_id(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    call.reply.bulk(sentinel.id.as_bytes());
    Ok(Done::Replied)
}

fn check_quorum(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    let name = call.text(2);
    let (up, no_quorum, no_majority) = sentinel.reachable(sentinel.named(&name)?);
    if !no_quorum && !no_majority {
        call.reply.simple(&format!("OK {up} usable Sentinels. Quorum and failover authorization can be reached"));
        return Ok(Done::Replied);
    }
    let quorum = no_quorum.then_some("Not enough available Sentinels to reach the specified quorum for this master");
    let majority =
        no_majority.then_some("Not enough available Sentinels to reach the majority and authorize a failover");
    let reasons: Vec<&str> = quorum.into_iter().chain(majority).collect();
    Err(format!("NOQUORUM {up} usable Sentinels. {}", reasons.join(". ")))
}

fn flush(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    sentinel.is_dirty = true;
    call.reply.ok();
    Ok(Done::Promised)
}

fn get_master_address(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    match sentinel.masters.get(&call.text(2)) {
        None => call.reply.null_array(),
        Some(master) => {
            let address = master.current_address();
            call.reply.array(2);
            call.reply.bulk(address.announced(sentinel.globals.announce_hostnames).as_bytes());
            call.reply.bulk(address.port.to_string().as_bytes());
        }
    }
    Ok(Done::Replied)
}

fn failover(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    let request = match call.args.len() {
        3 => Request::User,
        4 if call.args.is(3, "coordinated") => Request::Coordinated,
        4 => return Err("ERR Unknown failover option specified".into()),
        _ => return Err("ERR wrong number of arguments for 'sentinel|failover' command".into()),
    };
    let name = call.text(2);
    let master = sentinel.named(&name)?;
    if master.failover.is_some() {
        return Err("INPROG Failover already in progress".into());
    }
    if request == Request::Coordinated && (!master.knows_failover || master.is_down()) {
        return Err("NOGOODPRIMARY Primary does not support FAILOVER command, or is down".into());
    }
    if sentinel.choice_for(master).winner.is_none() {
        return Err("NOGOODSLAVE No suitable replica to promote".into());
    }
    // Those who can be fenced would be, and acknowledge nothing from then on, for a failover that comes to nothing.
    if !sentinel.can_fence(master) {
        return Err("NOGOODSLAVE Too few members answer to be fenced".into());
    }
    let kind = if request == Request::Coordinated { " coordinated" } else { "" };
    sentinel.log(Level::Warning, format!("Executing user requested{kind} FAILOVER of '{name}'"));
    sentinel.begin_failover(&name, request);
    sentinel.advance(&name);
    call.reply.ok();
    Ok(Done::Promised)
}

fn monitor(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    let quorum = integer(call.args.at(5)).ok_or("ERR Invalid quorum")?;
    let port = integer(call.args.at(4)).ok_or("ERR Invalid port")?;
    let quorum = u32::try_from(quorum).ok().filter(|quorum| *quorum > 0).ok_or("ERR Quorum must be 1 or greater.")?;
    let host = call.text(3);
    if sentinel.globals.resolve_hostnames && !call.is_again && !crate::configuration::is_number(&host) {
        sentinel.names.ask(&host);
        return Ok(Done::Waits(host));
    }
    let address = u16::try_from(port).map_err(|_| "ERR Invalid port number.")?;
    let address = sentinel.address(&host, address).filter(|address| address.ip.is_some());
    let address = address.ok_or("ERR Invalid IP address or hostname specified")?;
    let at = sentinel.monitor(&call.text(2), address, quorum).map_err(|reason| format!("ERR {reason}"))?;
    if let Some(master) = sentinel.masters.get_mut(&at.master) {
        // It may have been watched before, and a vote have been given in any term until now: as after a restart.
        master.vote.epoch = sentinel.current_epoch;
    }
    sentinel.event(Level::Warning, "+monitor", &at, &format!(" quorum {quorum}"));
    sentinel.wake_ms = sentinel.now_ms;
    call.reply.ok();
    Ok(Done::Promised)
}

fn remove(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    let name = call.text(2);
    sentinel.named(&name)?;
    sentinel.event(Level::Warning, "-monitor", &At::master(&name), "");
    sentinel.release_writers(&name);
    sentinel.drop_set(&name, true);
    if let Some(master) = sentinel.masters.remove(&name) {
        sentinel.release_link(master.instance.link);
    }
    sentinel.is_dirty = true;
    call.reply.ok();
    Ok(Done::Promised)
}

fn reset(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    let names = sentinel.masters_like(call.args.at(2));
    for name in &names {
        sentinel.reset(name);
    }
    call.reply.int(names.len() as i64);
    Ok(Done::Replied)
}

impl Sentinel {
    fn drop_set(&mut self, name: &str, with_peers: bool) {
        let Some(master) = self.masters.get(name) else { return };
        let replicas: Vec<String> = master.replicas.keys().cloned().collect();
        let peers: Vec<String> = master.peers.keys().filter(|_| with_peers).cloned().collect();
        replicas.iter().for_each(|label| self.remove_replica(name, label));
        self.drop_forgotten_if(name, |_| true);
        if let Some(master) = self.masters.get_mut(name) {
            master.strangers.clear();
        }
        for id in peers {
            self.remove_peer(name, &id);
        }
    }

    /// SENTINEL RESET: the master is looked at as if it had just been named.
    fn reset(&mut self, name: &str) {
        self.release_writers(name);
        // The term of who is promoted is told and saved: nobody else is the master of it.
        self.end_if_promoted(name);
        self.drop_set(name, true);
        let now_ms = self.now_ms;
        let Some(master) = self.masters.get_mut(name) else { return };
        master.reset_state();
        master.vote.leader = None;
        let instance = &mut master.instance;
        let link = instance.link;
        (instance.run_id, instance.role, instance.role_since_ms) = (None, crate::info::Role::Master, now_ms);
        // Whoever is there is the master, under the id that it tells.
        (instance.node_id, master.synchronous.node_id) = (None, None);
        self.disconnect(link);
        if let Some(link) = self.links.get_mut(&link) {
            link.start_over(now_ms);
        }
        self.event(Level::Warning, "+reset-master", &At::master(name), "");
    }
}

fn is_down(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    if call.args.len() > 7 {
        return Err("ERR wrong number of arguments for 'sentinel|is-master-down-by-addr' command".into());
    }
    let port = integer(call.args.at(3)).ok_or(NOT_AN_INTEGER)?;
    let epoch = u64::try_from(integer(call.args.at(4)).ok_or(NOT_AN_INTEGER)?).unwrap_or(0);
    let epoch = if epoch > crate::votes::EPOCH_MAX { 0 } else { epoch };
    let (host, candidate) = (call.text(2), call.text(5));
    let port = u16::try_from(port).unwrap_or(0);
    let master = sentinel.masters.values().find(|master| sentinel.is_at(&master.instance.address, &host, port));
    let is_down = !sentinel.tilt.is_on() && master.is_some_and(Master::is_down);
    let wants = master.filter(|master| candidate != "*" && sentinel.may_lead(master, &call, &candidate));
    let (leader, epoch) = match wants.map(|master| master.name.clone()) {
        Some(name) => sentinel.vote_for(&name, epoch, &candidate),
        None => (None, 0),
    };
    call.reply.array(3);
    call.reply.int(i64::from(is_down));
    call.reply.bulk(leader.as_deref().unwrap_or("*").as_bytes());
    call.reply.int(epoch as i64);
    Ok(Done::Promised)
}

fn simulate_failure(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    sentinel.failures = crate::sentinel::Failures::default();
    for i in 2..call.args.len() {
        if call.args.is(i, "crash-after-election") {
            sentinel.failures.after_election = true;
            sentinel.log(
                Level::Warning,
                "Failure simulation: this Sentinel will crash after being successfully elected as failover leader",
            );
        } else if call.args.is(i, "crash-after-promotion") {
            sentinel.failures.after_promotion = true;
            sentinel.log(
                Level::Warning,
                "Failure simulation: this Sentinel will crash after promoting the selected replica to master",
            );
        } else if call.args.is(i, "help") {
            call.reply.array(2);
            call.reply.bulk(b"crash-after-election");
            call.reply.bulk(b"crash-after-promotion");
            return Ok(Done::Replied);
        } else {
            return Err("ERR Unknown failure simulation specified".into());
        }
    }
    call.reply.ok();
    Ok(Done::Replied)
}

const HELP: &[(&str, &str)] = &[
    ("CKQUORUM <master-name>", "Whether enough Sentinels are up to agree that a master is down and to elect a leader."),
    ("CONFIG SET <param> <value> [<param> <value> ...]", "Set what holds for all masters."),
    ("CONFIG GET <param> [<param> ...]", "Show what holds for all masters."),
    ("DEBUG [<param> <value> ...]", "Show the intervals by which this Sentinel works (ms), or set them."),
    ("DOCTOR [<master-name>]", "What is wrong with a master's set, and why each replica would be chosen or not."),
    ("GET-MASTER-ADDR-BY-NAME <master-name>", "The address of the master of that name."),
    ("FAILOVER <master-name> [COORDINATED]", "Replace a master, without asking others for agreement."),
    ("FLUSHCONFIG", "Write the configuration, with the state, to the disk."),
    ("INFO-CACHE <master-name> [<master-name> ...]", "The last INFO of a master and its replicas."),
    (
        "IS-MASTER-DOWN-BY-ADDR <ip> <port> <current-epoch> <runid>",
        "What this Sentinel believes of a master, and its vote.",
    ),
    ("MASTER <master-name>", "The state of a master."),
    ("MASTERS", "The state of all masters."),
    ("MONITOR <name> <ip> <port> <quorum>", "Watch a master under that name."),
    ("MYID", "The id of this Sentinel."),
    ("PENDING-SCRIPTS", "Scripts that run, or wait for it."),
    ("REMOVE <master-name>", "Watch a master no longer."),
    ("REPLICAS <master-name>", "The state of a master's replicas."),
    ("RESET <pattern>", "Forget what is known of the masters whose name matches."),
    ("SENTINELS <master-name>", "The other Sentinels that watch a master."),
    ("SET <master-name> <option> <value> [<option> <value> ...]", "Set what holds for one master."),
    ("SIMULATE-FAILURE [CRASH-AFTER-ELECTION] [CRASH-AFTER-PROMOTION] [HELP]", "Let this Sentinel end at that moment."),
    ("HELP", "Print this help."),
];

fn help(_: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    call.reply.array(1 + HELP.len() * 2);
    call.reply.simple("SENTINEL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for (usage, text) in HELP {
        call.reply.simple(usage);
        call.reply.simple(&format!("    {text}"));
    }
    Ok(Done::Replied)
}
