//! What an instance's INFO tells a Sentinel. Any bytes are taken; what is not understood is passed over.

use rivulet_replication::promises::ListId;

/// A role, as an instance says that it has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Master,
    Replica,
}

impl Role {
    pub fn word(self) -> &'static str {
        match self {
            Role::Master => "master",
            Role::Replica => "slave",
        }
    }
}

/// A position in a history: the replication id, the offset, and where an older id ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    pub replid: String,
    pub offset: u64,
    /// The id before, which is shared up to `shared_to` (the first offset that is not shared), if there was one.
    pub former: Option<(String, u64)>,
}

impl History {
    /// Whether a node that stands in `other` has nothing that is not part of this history.
    pub fn includes(&self, other: &History) -> bool {
        if self.replid == other.replid {
            return true;
        }
        matches!(&self.former, Some((id, shared_to)) if *id == other.replid && other.offset < *shared_to)
    }
}

/// The fields that matter; nothing where INFO has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    pub run_id: Option<String>,
    /// An id that outlives a restart.
    pub node_id: Option<String>,
    pub role: Option<Role>,
    /// Hosts and ports of those who replicate from here.
    pub replicas: Vec<(String, u16)>,
    pub master_host: Option<String>,
    pub master_port: Option<u16>,
    pub is_link_up: Option<bool>,
    /// Ms; 0 when the link is up.
    pub link_down_ms: u64,
    pub priority: Option<u32>,
    /// What a replica has executed.
    pub offset: Option<u64>,
    /// What it has received.
    pub read_offset: Option<u64>,
    pub is_announced: Option<bool>,
    pub history: Option<History>,
    pub is_loading: bool,
    /// So many replicas must have acknowledged a write.
    pub synchronous_replicas: u32,
    /// The highest term of a failover that it knows.
    pub failover_epoch: u64,
    pub is_stale: bool,
    /// As a master it was started again, and does not know whether it lacks something.
    pub is_unproven: bool,
    /// As a replica it does not follow its master, which was started again and lacks what was acknowledged to it.
    pub master_lacks_data: bool,
    /// The ids of those whose acknowledgements count, and of the master; none if all count.
    pub members: Vec<String>,
    /// Which list that is.
    pub list: ListId,
    /// Whether any database has keys; nothing if INFO does not say.
    pub has_keys: Option<bool>,
    /// The server knows FAILOVER, and this is where it stands.
    pub failover_state: Option<String>,
}

/// As many replicas of one master are taken.
const REPLICAS_MAX: usize = 10_000;

impl Info {
    /// Its node id, if that outlives a restart. Until a node has anything to keep it tells its run id.
    pub(crate) fn lasting_id(&self) -> Option<&str> {
        let lasts = self.node_id != self.run_id || !self.members.is_empty();
        self.node_id.as_deref().filter(|_| lasts)
    }

    pub fn parse(text: &[u8]) -> Info {
        let mut info = Info::default();
        let mut history = History::default();
        let mut former = (String::new(), -1i64);
        for line in text.split(|c| *c == b'\n') {
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
            if line == "# Keyspace" {
                info.has_keys = Some(false);
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            match name {
                "master_replid" => history.replid = value.to_string(),
                "master_replid2" => former.0 = value.to_string(),
                "second_repl_offset" => former.1 = value.parse().unwrap_or(-1),
                "master_repl_offset" => history.offset = value.parse().unwrap_or(0),
                _ => info.field(name, value),
            }
        }
        if !history.replid.is_empty() {
            if info.role == Some(Role::Replica) {
                history.offset = info.offset.unwrap_or(history.offset);
            }
            history.former = u64::try_from(former.1).ok().map(|shared_to| (former.0, shared_to));
            info.history = Some(history);
        }
        info
    }

    fn field(&mut self, name: &str, value: &str) {
        match name {
            // Exactly 40 characters count, as in Redis.
            "run_id" if value.len() >= 40 => self.run_id = value.get(..40).map(str::to_string),
            "node_id" if !value.is_empty() => self.node_id = Some(value.to_string()),
            "synchronous_replicas" => self.synchronous_replicas = value.parse().unwrap_or(0),
            "synchronous_unproven" => self.is_unproven = value == "1",
            "master_lacks_data" => self.master_lacks_data = value == "1",
            "stale_master" => self.is_stale = value == "1",
            "failover_epoch" => self.failover_epoch = value.parse().unwrap_or(0),
            "members" if !value.is_empty() => {
                self.members = value.split(',').take(REPLICAS_MAX).map(str::to_string).collect();
            }
            "members_list" => self.list = value.parse().unwrap_or_default(),
            "role" if value.starts_with("master") => self.role = Some(Role::Master),
            "role" if value.starts_with("slave") => self.role = Some(Role::Replica),
            "master_host" => self.master_host = Some(value.to_string()),
            "master_port" => self.master_port = value.parse().ok(),
            "master_link_status" => self.is_link_up = Some(value.eq_ignore_ascii_case("up")),
            "master_link_down_since_seconds" => {
                // -1 stands for "never up".
                let seconds: i64 = value.parse().unwrap_or(0);
                self.link_down_ms = u64::try_from(seconds).map_or(u64::MAX / 2, |s| s.saturating_mul(1000));
            }
            "slave_priority" => self.priority = value.parse().ok(),
            "slave_repl_offset" => self.offset = value.parse().ok(),
            "slave_read_repl_offset" => self.read_offset = value.parse().ok(),
            "replica_announced" => self.is_announced = Some(value != "0"),
            "loading" => self.is_loading = value == "1",
            "master_failover_state" => self.failover_state = Some(value.to_string()),
            _ if name.starts_with("db") && value.starts_with("keys=") => self.has_keys = Some(true),
            _ if is_replica_field(name) && self.replicas.len() < REPLICAS_MAX => self.replicas.extend(replica(value)),
            _ => {}
        }
    }
}

fn is_replica_field(name: &str) -> bool {
    name.strip_prefix("slave").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// `ip=127.0.0.1,port=9999,…`, or `127.0.0.1,9999,online` of old servers.
fn replica(value: &str) -> Option<(String, u16)> {
    let named = |key: &str| value.split(',').find_map(|part| part.strip_prefix(key));
    let (host, port) = match (named("ip="), named("port=")) {
        (Some(host), Some(port)) => (host, port),
        (None, None) => {
            let mut parts = value.split(',');
            let found = (parts.next()?, parts.next()?);
            parts.next()?;
            found
        }
        _ => return None,
    };
    Some((host.to_string(), port.parse().ok().filter(|port| *port != 0)?)).filter(|(host, _)| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masters_info() {
        let text = format!(
            "# Server\r\nrun_id:{}\r\n# Replication\r\nrole:master\r\nslave0:ip=10.0.0.1,port=7,state=online\r\nslave1:10.0.0.2,8,online\r\n\
             slave2:ip=,port=1\r\nslave3:nonsense\r\nslave_priority:100\r\nmaster_replid:aa\r\nmaster_replid2:bb\r\nmaster_repl_offset:55\r\nsecond_repl_offset:40\r\n# Keyspace\r\ndb0:keys=1,expires=0\r\n",
            "x".repeat(40)
        );
        let info = Info::parse(text.as_bytes());
        assert_eq!(info.role, Some(Role::Master));
        assert_eq!(info.run_id, Some("x".repeat(40)));
        assert_eq!(info.replicas, [("10.0.0.1".to_string(), 7), ("10.0.0.2".to_string(), 8)]);
        assert_eq!(info.has_keys, Some(true));
        let history = info.history.expect("one");
        assert_eq!((history.replid.as_str(), history.offset), ("aa", 55));
        assert_eq!(history.former, Some(("bb".into(), 40)));
    }

    #[test]
    fn a_replicas_info() {
        let text = b"role:slave\r\nmaster_host:h\r\nmaster_port:6\r\nmaster_link_status:down\r\nmaster_link_down_since_seconds:3\r\nslave_read_repl_offset:12\r\n\
            slave_repl_offset:10\r\nslave_priority:0\r\nreplica_announced:0\r\nmaster_replid:aa\r\nmaster_repl_offset:9\r\nsecond_repl_offset:-1\r\n";
        let info = Info::parse(text);
        assert_eq!((info.role, info.link_down_ms, info.is_link_up), (Some(Role::Replica), 3000, Some(false)));
        assert_eq!(
            (info.offset, info.read_offset, info.priority, info.is_announced),
            (Some(10), Some(12), Some(0), Some(false))
        );
        assert_eq!(info.history, Some(History { replid: "aa".into(), offset: 10, former: None }));
        assert_eq!(Info::parse(b"master_link_down_since_seconds:-1\n").link_down_ms, u64::MAX / 2);
        assert_eq!(Info::parse(b"\xff\xfe:\r\n\r\nslave"), Info::default());
    }

    #[test]
    fn an_ancestor_counts_up_to_the_fork() {
        let history = History { replid: "new".into(), offset: 100, former: Some(("old".into(), 50)) };
        let at = |replid: &str, offset| History { replid: replid.into(), offset, former: None };
        assert!(history.includes(&at("new", 100)) && history.includes(&at("new", 200)));
        assert!(history.includes(&at("old", 49)));
        assert!(!history.includes(&at("old", 50)), "what it has last is not ours");
        assert!(!history.includes(&at("other", 1)));
    }
}
