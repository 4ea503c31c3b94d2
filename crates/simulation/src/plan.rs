//! What a run is: how many nodes, how they are set up, what happens to them.

use fastrand::Rng;

use crate::network::HostId;

/// Settings of the nodes, and the chances of what happens.
#[derive(Clone, Debug)]
pub struct Plan {
    pub nodes: usize,
    pub writers: usize,
    /// Whom each follows at the beginning; node 0 is the master.
    pub following: Vec<Option<HostId>>,
    pub args: Vec<Vec<String>>,
    /// Per node: append-only files, and with which policy.
    pub appendfsync: Vec<Option<&'static str>>,
    /// Per node: the log goes back as far as a run does.
    pub keeps_log: Vec<bool>,
    /// Some keys must go: acknowledged writes may, too.
    pub evicts: bool,
    /// The master stays the master, syncs each write, and nothing happens that may lose one: whatever it has acknowledged is there at the end.
    pub is_steady: bool,
    /// A replica that does not know a command that its master has, as if it were of another version.
    pub lacks: Option<HostId>,
    pub trouble_us: u64,
}

/// How many nodes a fleet has: large ones take longer, and are run less often.
const NODES: [usize; 8] = [3, 3, 4, 4, 5, 5, 6, 7];
/// What a replica may keep of its master's stream while it can't execute it.
const KEPT_LIMIT: u64 = 1 << 20;
/// What may wait for the disk, and what may be held for slow replicas.
pub const QUEUE_LIMIT: u64 = 1 << 20;
pub const HOLD_LIMIT: u64 = 512 << 10;
/// The command that is not known.
const LACKING: &str = "APPEND";
/// A log on disk that goes back as far as a run does.
pub const LONG: &str = "1gb";

impl Plan {
    pub fn new(rng: &mut Rng) -> Plan {
        let nodes = *rng.choice(&NODES).unwrap_or(&3);
        let following = (0..nodes).map(|i| (i > 0).then(|| if rng.bool() { 0 } else { rng.usize(..i) })).collect();
        let mut appendfsync: Vec<_> = (0..nodes)
            .map(|i| match rng.u8(..6) {
                0 | 1 if i > 0 => None,
                0..=2 => Some("everysec"),
                3 | 4 => Some("always"),
                _ => Some("no"),
            })
            .collect();
        let evicts = rng.u8(..4) == 0;
        let mut args: Vec<_> = appendfsync.iter().map(|policy| Plan::settings(*policy, rng)).collect();
        let keeps_log =
            args.iter().zip(&appendfsync).map(|(args, policy)| args.iter().any(|arg| arg == LONG) && policy.is_some());
        let mut keeps_log: Vec<_> = keeps_log.collect();
        if evicts {
            let bytes = rng.u32(500_000..900_000).to_string();
            let limit = ["--maxmemory", &bytes, "--maxmemory-policy", "allkeys-random"].map(String::from);
            args.iter_mut().for_each(|args| args.extend(limit.clone()));
        }
        let lacks = (rng.u8(..5) == 0).then(|| rng.usize(1..nodes));
        if let Some(host) = lacks {
            args[host].extend(["--rename-command", LACKING, ""].map(String::from));
        }
        let (writers, trouble_us) = (rng.usize(1..=2), rng.u64(4_000..15_000) * 1000);
        let is_steady = !evicts && rng.u8(..4) == 0;
        if is_steady {
            appendfsync[0] = Some("always");
            args[0] = Plan::settings(appendfsync[0], rng);
            keeps_log[0] = args[0].iter().any(|arg| arg == LONG);
        }
        Plan { is_steady, lacks, keeps_log, evicts, nodes, writers, following, args, appendfsync, trouble_us }
    }

    fn settings(policy: Option<&'static str>, rng: &mut Rng) -> Vec<String> {
        let mut args: Vec<(&str, String)> = vec![
            ("dir", "/data".into()),
            ("bind", "0.0.0.0".into()),
            ("protected-mode", "no".into()),
            ("enable-debug-command", "yes".into()),
            ("repl-diskless-sync-delay", "0".into()),
            ("repl-ping-replica-period", "1".into()),
            ("repl-timeout", "6".into()),
            ("shutdown-timeout", "3".into()),
            ("repl-require-data", "no".into()),
            ("log-queue-limit", QUEUE_LIMIT.to_string()),
            ("repl-hold-limit", HOLD_LIMIT.to_string()),
            ("replica-full-sync-buffer-limit", KEPT_LIMIT.to_string()),
            (
                "repl-diskless-load",
                (*rng.choice(["disabled", "on-empty-db", "swapdb"].iter()).unwrap_or(&"disabled")).into(),
            ),
            ("repl-diskless-sync", if rng.bool() { "yes" } else { "no" }.into()),
            ("dual-channel-replication-enabled", if rng.u8(..3) == 0 { "yes" } else { "no" }.into()),
            ("repl-backlog-size", rng.choice(["16kb", "64kb", "1mb", "auto"]).unwrap_or("1mb").into()),
            ("repl-backlog-disk-size", rng.choice(["0", LONG]).unwrap_or("0").into()),
        ];
        match policy {
            None => args
                .extend([("appendonly", "no".to_string()), ("save", if rng.u8(..4) > 0 { "1 1" } else { "" }.into())]),
            Some(policy) => args.extend([
                ("appendonly", "yes".to_string()),
                ("appendfsync", policy.to_string()),
                ("save", String::new()),
            ]),
        }
        args.into_iter().flat_map(|(name, value)| [format!("--{name}"), value]).collect()
    }
}

/// Something that happens to a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Kill,
    PowerLoss,
    CleanEnd,
    Cut,
    Block,
    Stop,
    Promote,
    /// A replica is cut off from its master and becomes one itself, while both are written to.
    Split,
    /// A replica follows another one that has less than it.
    Rehang,
    ClientPause,
    Failover,
    Garbage,
    OddTransaction,
    Maxmemory,
    Policy,
    Bgsave,
    Rewrite,
    DiskFull,
    SyncFails,
    DiskSlow,
    ClockStep,
    Quiet,
    Burst,
    /// A master follows one of its own replicas for a while.
    Loop,
    /// A full sync ends with a wrong mark.
    WrongMark,
    /// A replica is sent what it needs as slowly as can be, while a lot is written.
    Trickle,
    /// A replica's disk is full while a lot is written.
    Flood,
    SlowReader,
    /// A server ends while its disk is behind.
    EndBehind,
    /// A replica is behind its master, whose files begin anew meanwhile, by less than may be held for it.
    HeldBehind,
}

impl Trouble {
    /// Whether a master that stays the master, and syncs each write, may lose one by it.
    pub fn may_lose_writes(self) -> bool {
        use Trouble::*;
        !matches!(
            self,
            Kill | PowerLoss
                | CleanEnd
                | Cut
                | Block
                | Stop
                | ClientPause
                | Bgsave
                | Rewrite
                | DiskFull
                | SyncFails
                | DiskSlow
                | ClockStep
                | Quiet
                | Burst
                | EndBehind
        )
    }

    pub fn any(rng: &mut Rng) -> Trouble {
        use Trouble::*;
        // How often each comes, beside the others.
        let weights = [
            (Kill, 4),
            (PowerLoss, 2),
            (CleanEnd, 2),
            (Cut, 3),
            (Block, 2),
            (Stop, 1),
            (Promote, 1),
            (Split, 2),
            (Rehang, 2),
            (Failover, 1),
            (ClientPause, 3),
            (Garbage, 4),
            (OddTransaction, 2),
            (Maxmemory, 1),
            (Policy, 1),
            (Bgsave, 1),
            (Rewrite, 1),
            (DiskFull, 1),
            (SyncFails, 1),
            (DiskSlow, 1),
            (ClockStep, 2),
            (Quiet, 4),
            (Burst, 2),
            (Loop, 1),
            (WrongMark, 2),
            (Trickle, 1),
            (Flood, 1),
            (SlowReader, 1),
            (EndBehind, 3),
            (HeldBehind, 2),
        ];
        let all: Vec<Trouble> =
            weights.into_iter().flat_map(|(trouble, times)| std::iter::repeat_n(trouble, times)).collect();
        all[rng.usize(..all.len())]
    }
}
