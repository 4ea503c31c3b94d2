//! One node as it describes itself.

use serde::Serialize;

use crate::address::Address;
use crate::doctor::Doctor;
use crate::info::{Info, brief, part, part_count, word};
use crate::sync::{Progress, SyncRecord};

/// More replicas of one node, or masters of a Sentinel, than these are not shown.
const REPLICAS_MAX: usize = 256;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Master,
    Replica,
    Sentinel,
    /// It has not answered yet.
    #[default]
    Unknown,
}

/// Which program it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Software {
    /// `rivulet`, `valkey` or `redis`.
    pub name: String,
    pub version: String,
}

/// A replica's link as the replica sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Upstream {
    pub address: Address,
    pub is_up: bool,
    pub down_seconds: Option<u64>,
    /// Since something came from the master.
    pub last_io_seconds: Option<u64>,
    /// A full sync that is under way.
    pub sync: Option<Progress>,
    /// Full syncs in a row that could not be loaded, and why the last could not.
    pub failures: u64,
    pub failure: String,
}

/// A replica as its master sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Follower {
    pub address: Address,
    /// The server's word: `online`, `wait_bgsave`, `send_bulk`, ….
    pub state: String,
    /// What it has acknowledged.
    pub offset: u64,
    /// Seconds since it acknowledged something.
    pub lag_seconds: Option<u64>,
}

/// The part of the stream that a node can still send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// Bytes that it may keep.
    pub size: u64,
    /// The first offset from which a replica can go on, and the end.
    pub from: u64,
    pub to: u64,
    /// Bytes of it on disk, beyond what is in memory.
    pub disk_bytes: u64,
}

/// Data that are read at the start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Loading {
    pub percent: Option<f64>,
    pub seconds_left: Option<u64>,
}

/// A node's data, memory and work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Load {
    pub keys: u64,
    pub memory_bytes: u64,
    /// 0 is no limit.
    pub memory_max_bytes: u64,
    pub clients: u64,
    pub commands_per_second: u64,
    pub uptime_seconds: u64,
    /// What is kept in memory and on disk for replicas that are slow.
    pub held_bytes: u64,
    /// What of full syncs lies on disk.
    pub spilled_bytes: u64,
}

/// What should not be so.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Trouble {
    /// Why its data are not those of its position.
    pub diverged: Option<String>,
    /// A newer master has been promised.
    pub is_stale_master: bool,
    /// `no-failover` is left out.
    pub failover: Option<String>,
    /// Clients whose replies wait for replicas.
    pub held_clients: u64,
}

/// A node, and what it last said of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Node {
    /// `node_id`, else `run_id`, else the address.
    pub id: String,
    /// Where it was asked or is known by, the first one first.
    pub addresses: Vec<Address>,
    /// It is the one that asks.
    pub is_own: bool,
    pub role: Role,
    pub software: Software,
    /// Ms since its last answer; `None` if it never gave one.
    pub age_ms: Option<u64>,
    /// Why it does not answer; `None` while it does.
    pub silent: Option<String>,
    pub loading: Option<Loading>,
    pub offset: u64,
    pub bytes_per_second: Option<u64>,
    pub replid: String,
    pub replid2: String,
    pub upstream: Option<Upstream>,
    pub followers: Vec<Follower>,
    /// Replicas, or masters of a Sentinel, that it named beyond those that are taken from one node.
    #[serde(skip)]
    pub left_out: usize,
    pub backlog: Option<Backlog>,
    pub load: Load,
    pub trouble: Trouble,
    /// Newest first.
    pub syncs: Vec<SyncRecord>,
    pub doctor: Option<Doctor>,
    /// What a Sentinel watches.
    pub watches: Vec<Address>,
    /// The names of these, in their order.
    pub watched_names: Vec<String>,
}

/// Its id as INFO tells it: the one that is kept over restarts, if there is one.
pub fn identity(info: &Info) -> Option<&str> {
    info.some_text("node_id").or_else(|| info.some_text("run_id"))
}

impl Node {
    /// What INFO says; what does not come from it is as in [`Node::default`].
    pub fn of(info: &Info) -> Node {
        let watched = watched(info);
        let of = |name| word(info.text(name).unwrap_or_default());
        Node {
            id: word(identity(info).unwrap_or_default()),
            role: role(info),
            software: software(info),
            loading: loading(info),
            offset: offset(info),
            replid: of("master_replid"),
            replid2: of("master_replid2"),
            upstream: upstream(info),
            followers: followers(info),
            left_out: left_out(info),
            backlog: backlog(info),
            load: load(info),
            trouble: trouble(info),
            watches: watched.iter().map(|(_, address)| address.clone()).collect(),
            watched_names: watched.into_iter().map(|(name, _)| name).collect(),
            ..Node::default()
        }
    }
}

fn role(info: &Info) -> Role {
    match (info.text("redis_mode"), info.text("role")) {
        (Some("sentinel"), _) => Role::Sentinel,
        (_, Some("master")) => Role::Master,
        (_, Some("slave" | "replica")) => Role::Replica,
        _ => Role::Unknown,
    }
}

fn software(info: &Info) -> Software {
    let known = [("rivulet", "rivulet_version"), ("valkey", "valkey_version"), ("redis", "redis_version")];
    let found = known.iter().find_map(|(name, field)| Some((name, info.some_text(field)?)));
    found.map_or_else(Software::default, |(name, version)| Software { name: name.to_string(), version: word(version) })
}

fn loading(info: &Info) -> Option<Loading> {
    let percent = info.float("loading_loaded_perc");
    info.is_on("loading").then(|| Loading { percent, seconds_left: info.count("loading_eta_seconds") })
}

/// What a replica has executed, or what a master has written.
fn offset(info: &Info) -> u64 {
    info.count("slave_repl_offset").or_else(|| info.count("master_repl_offset")).unwrap_or(0)
}

fn upstream(info: &Info) -> Option<Upstream> {
    let port = info.count("master_port").and_then(|port| u16::try_from(port).ok())?;
    Some(Upstream {
        address: Address::new(info.text("master_host")?, port)?,
        is_up: info.text("master_link_status") == Some("up"),
        down_seconds: info.count("master_link_down_since_seconds"),
        last_io_seconds: info.count("master_last_io_seconds_ago"),
        sync: Progress::of(info),
        failures: info.count("master_sync_failures").unwrap_or(0),
        failure: brief(info.text("master_sync_failure").unwrap_or_default()),
    })
}

fn followers(info: &Info) -> Vec<Follower> {
    replica_lines(info).take(REPLICAS_MAX).filter_map(follower).collect()
}

fn replica_lines(info: &Info) -> impl Iterator<Item = &str> {
    // The second connection of a full sync is the same replica once more.
    let lines = info.numbered("slave").into_iter().map(|(_, line)| line);
    lines.filter(|line| part(line, "type") != Some("rdb-channel"))
}

fn left_out(info: &Info) -> usize {
    let beyond = |count: usize| count.saturating_sub(REPLICAS_MAX);
    beyond(replica_lines(info).count()) + beyond(info.numbered("master").len())
}

fn follower(line: &str) -> Option<Follower> {
    let port = part_count(line, "port").and_then(|port| u16::try_from(port).ok())?;
    Some(Follower {
        address: Address::new(part(line, "ip")?, port)?,
        state: word(part(line, "state").unwrap_or_default()),
        offset: part_count(line, "offset").unwrap_or(0),
        lag_seconds: part_count(line, "lag"),
    })
}

fn backlog(info: &Info) -> Option<Backlog> {
    if !info.is_on("repl_backlog_active") {
        return None;
    }
    let first_byte = info.count("repl_backlog_first_byte_offset")?;
    let (from, len) = (first_byte.saturating_sub(1), info.count("repl_backlog_histlen")?);
    Some(Backlog {
        size: info.count("repl_backlog_size").unwrap_or(0),
        from,
        to: from.saturating_add(len),
        disk_bytes: info.count("repl_backlog_disk_bytes").unwrap_or(0),
    })
}

fn load(info: &Info) -> Load {
    let count = |name| info.count(name).unwrap_or(0);
    let keys = info.numbered("db").into_iter().map(|(_, line)| part_count(line, "keys").unwrap_or(0));
    Load {
        keys: keys.fold(0, u64::saturating_add),
        memory_bytes: count("used_memory"),
        memory_max_bytes: count("maxmemory"),
        clients: count("connected_clients"),
        commands_per_second: count("instantaneous_ops_per_sec"),
        uptime_seconds: count("uptime_in_seconds"),
        held_bytes: count("repl_hold_bytes"),
        spilled_bytes: count("repl_sync_spill_bytes"),
    }
}

fn trouble(info: &Info) -> Trouble {
    let failover = info.some_text("master_failover_state").filter(|state| *state != "no-failover");
    Trouble {
        diverged: info.is_on("diverged").then(|| brief(info.text("diverged_reason").unwrap_or_default())),
        is_stale_master: info.is_on("stale_master"),
        failover: failover.map(word),
        held_clients: info.count("synchronous_held_clients").unwrap_or(0),
    }
}

/// The masters of a Sentinel: `master0:name=mymaster,status=ok,address=127.0.0.1:6379,slaves=2,sentinels=3`. A name may be any text.
fn watched(info: &Info) -> Vec<(String, Address)> {
    let lines = info.numbered("master").into_iter().take(REPLICAS_MAX);
    let one = |line: &str| {
        let (name, rest) = line.strip_prefix("name=")?.rsplit_once(",status=")?;
        Some((word(name), Address::parse(part(rest, "address")?)?))
    };
    lines.filter_map(|(_, line)| one(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(name: &str) -> Node {
        let path = format!("{}/recorded/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        Node::of(&Info::parse(&std::fs::read_to_string(path).expect("it was recorded")))
    }

    #[test]
    fn a_rivulet_and_its_replica() {
        let master = recorded("rivulet-master");
        assert_eq!((master.role, master.software.name.as_str()), (Role::Master, "rivulet"));
        assert_eq!(master.id, "96227468531e699ee6e45e525f04ba58ea864442");
        assert_eq!(master.followers.len(), 2);
        assert_eq!(master.followers[1].address.to_string(), "127.0.0.1:46003");
        assert_eq!(master.followers[1].state, "online");
        let backlog = master.backlog.expect("it has one");
        assert_eq!((backlog.from, backlog.to, backlog.size), (0, master.offset, 1 << 20));
        let replica = recorded("rivulet-replica");
        let upstream = replica.upstream.expect("it has a master");
        assert_eq!((upstream.address.to_string().as_str(), upstream.is_up), ("127.0.0.1:46001", true));
        assert_eq!((replica.followers.len(), replica.trouble), (1, Trouble::default()));
    }

    #[test]
    fn a_redis_and_a_valkey() {
        let master = recorded("redis-master");
        assert_eq!((master.role, master.software.name.as_str(), master.followers.len()), (Role::Master, "redis", 1));
        assert_eq!(master.software.version, "7.0.15");
        let replica = recorded("redis-replica");
        assert!(replica.upstream.is_some_and(|up| up.is_up) && replica.role == Role::Replica);
        let master = recorded("valkey-master");
        assert_eq!((master.software.name.as_str(), master.followers.len()), ("valkey", 1));
        assert!(recorded("valkey-replica").upstream.is_some_and(|up| up.is_up));
    }

    #[test]
    fn a_sentinel_names_its_masters() {
        let sentinel = recorded("sentinel");
        assert_eq!(sentinel.role, Role::Sentinel);
        let watches: Vec<String> = sentinel.watches.iter().map(Address::to_string).collect();
        assert_eq!((watches, sentinel.watched_names), (vec!["127.0.0.1:46021".into()], vec!["mymaster".to_string()]));
        let odd = Node::of(&Info::parse("master0:name=a,status=b,c,status=ok,address=[::1]:7,slaves=0,sentinels=1"));
        assert_eq!(
            (odd.watched_names, odd.watches[0].to_string()),
            (vec!["a,status=b,c".to_string()], "[::1]:7".into())
        );
        assert!(sentinel.upstream.is_none() && sentinel.followers.is_empty());
    }

    #[test]
    fn what_is_missing_or_wrong_is_absent() {
        let node =
            Node::of(&Info::parse("role:slave\nmaster_host:x\nmaster_port:70000\nslave0:ip=,port=1\nslave1:port=2"));
        assert_eq!((node.role, node.upstream, node.followers.len(), node.backlog), (Role::Replica, None, 0, None));
        assert_eq!(Node::of(&Info::default()), Node::default());
        let far = Node::of(&Info::parse(
            "repl_backlog_active:1\nrepl_backlog_first_byte_offset:18446744073709551615\nrepl_backlog_histlen:18446744073709551615",
        ));
        assert_eq!(far.backlog.expect("active").to, u64::MAX);
    }
}
