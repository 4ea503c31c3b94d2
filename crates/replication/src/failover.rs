//! FAILOVER: a master hands its role over to a replica that has everything (rule 38).
//!
//! Writes are paused while it waits; the hand-over itself is this node turning into a replica whose first PSYNC says
//! FAILOVER. Pausing, turning and turning back are the driver's.

use crate::Millis;
use crate::master::Master;
use crate::messages::{NOT_AN_INTEGER, SYNTAX_ERROR, parse_integer};
use crate::report::Report;
use crate::session::Session;

/// ```text
/// Idle ─→ WaitingForSync ─→ InProgress ─→ Idle
///   ▲           └──── abort ──────┘
/// ```
#[derive(Debug, Default)]
pub enum Failover {
    #[default]
    Idle,
    WaitingForSync {
        target: Option<Address>,
        deadline: Option<Millis>,
        force: bool,
    },
    InProgress {
        target: Address,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

/// What the command asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    Abort,
    Start { target: Option<Address>, timeout: Option<Millis>, force: bool },
}

impl Request {
    /// The arguments after the word FAILOVER. The error is the text to reply.
    pub fn parse(args: &[&[u8]]) -> Result<Request, &'static str> {
        let is = |arg: &[u8], word: &str| arg.eq_ignore_ascii_case(word.as_bytes());
        if let [word] = args
            && is(word, "abort")
        {
            return Ok(Request::Abort);
        }
        let (mut target, mut timeout, mut force) = (None, None, false);
        let mut rest = args;
        loop {
            rest = match rest {
                [] => break,
                [word, ms, rest @ ..] if is(word, "timeout") && timeout.is_none() => {
                    timeout = match parse_integer(ms).ok_or(NOT_AN_INTEGER)? {
                        ms @ 1.. => Some(ms as Millis),
                        _ => return Err("ERR FAILOVER timeout must be greater than 0"),
                    };
                    rest
                }
                [word, host, port, rest @ ..] if is(word, "to") && target.is_none() => {
                    let port = parse_integer(port).and_then(|port| u16::try_from(port).ok()).ok_or(NOT_AN_INTEGER)?;
                    target = Some(Address { host: String::from_utf8_lossy(host).into_owned(), port });
                    rest
                }
                [word, rest @ ..] if is(word, "force") && !force => {
                    force = true;
                    rest
                }
                _ => return Err(SYNTAX_ERROR),
            }
        }
        Ok(Request::Start { target, timeout, force })
    }
}

/// What the driver has to do.
#[derive(Debug, PartialEq, Eq)]
pub enum FailoverAction {
    /// Become a replica of this node, with `ReplicaLink::request_failover`.
    HandOver(Address, Report),
    /// Pause no more; become a master again if `was_handing_over`.
    Abort { was_handing_over: bool, report: Report },
}

impl Failover {
    /// Begins, or says why not. The driver pauses writes, and calls `tick` from then on.
    pub fn start(
        &mut self,
        request: Request,
        is_replica: bool,
        master: &Master,
        now: Millis,
    ) -> Result<Report, String> {
        let Request::Start { target, timeout, force } = request else {
            return Err("ERR No failover in progress.".to_string());
        };
        let refused = if !matches!(self, Failover::Idle) {
            "ERR FAILOVER already in progress."
        } else if is_replica {
            "ERR FAILOVER is not valid when server is a replica."
        } else if master.is_empty() {
            "ERR FAILOVER requires connected replicas."
        } else if force && (timeout.is_none() || target.is_none()) {
            "ERR FAILOVER with force option requires both a timeout and target HOST and IP."
        } else {
            match target.as_ref().map(|target| find(master, target)) {
                Some(None) => "ERR FAILOVER target HOST and PORT is not a replica.",
                Some(Some(session)) if !session.is_online() => "ERR FAILOVER target replica is not online.",
                _ => {
                    let report = match &target {
                        Some(Address { host, port }) => format!("FAILOVER requested to {host}:{port}."),
                        None => "FAILOVER requested to any replica.".to_string(),
                    };
                    *self = Failover::WaitingForSync { target, deadline: timeout.map(|ms| now + ms), force };
                    return Ok(Report::notice(report));
                }
            }
        };
        Err(refused.to_string())
    }

    /// To be called in each loop while it waits; `end` is this node's offset.
    pub fn tick(&mut self, now: Millis, master: &Master, end: u64) -> Option<FailoverAction> {
        let Failover::WaitingForSync { target, deadline, force } = self else { return None };
        if deadline.is_some_and(|deadline| now >= deadline) {
            let Some(target) = target.clone().filter(|_| *force) else {
                return self.abort("Replica never caught up before timeout");
            };
            let Address { host, port } = &target;
            let report = Report::notice(format!("FAILOVER to {host}:{port} time out exceeded, failing over."));
            return Some(self.hand_over(target, report));
        }
        let caught_up = |session: &&Session| session.is_online() && session.ack_offset() == end;
        let session = match target {
            Some(target) => find(master, target).filter(caught_up),
            None => master.sessions().map(|(_, session)| session).find(caught_up),
        }?;
        let target = Address { host: session.ip().to_string(), port: session.announced().port };
        let Address { host, port } = &target;
        let report = Report::notice(format!("Failover target {host}:{port} is synced, failing over."));
        Some(self.hand_over(target, report))
    }

    fn hand_over(&mut self, target: Address, report: Report) -> FailoverAction {
        *self = Failover::InProgress { target: target.clone() };
        FailoverAction::HandOver(target, report)
    }

    /// The target answered (`Action::FailoverAnswered`). When it accepted, the driver ends the pause.
    pub fn answered(&mut self, accepted: bool) -> Option<FailoverAction> {
        match self {
            Failover::InProgress { .. } if accepted => {
                *self = Failover::Idle;
                None
            }
            Failover::InProgress { .. } => self.abort("Failover target rejected psync request"),
            _ => None,
        }
    }

    /// Gives up; nothing to do when there is nothing to give up.
    pub fn abort(&mut self, why: &str) -> Option<FailoverAction> {
        let (target, was_handing_over) = match std::mem::take(self) {
            Failover::Idle => return None,
            Failover::WaitingForSync { target, .. } => (target, false),
            Failover::InProgress { target } => (Some(target), true),
        };
        let report = Report::notice(match target {
            Some(Address { host, port }) => format!("FAILOVER to {host}:{port} aborted: {why}"),
            None => format!("FAILOVER to any replica aborted: {why}"),
        });
        Some(FailoverAction::Abort { was_handing_over, report })
    }

    /// `master_failover_state`.
    pub fn state_name(&self) -> &'static str {
        match self {
            Failover::Idle => "no-failover",
            Failover::WaitingForSync { .. } => "waiting-for-sync",
            Failover::InProgress { .. } => "failover-in-progress",
        }
    }

    pub fn is_idle(&self) -> bool {
        matches!(self, Failover::Idle)
    }
}

fn find<'a>(master: &'a Master, target: &Address) -> Option<&'a Session> {
    let mut sessions = master.sessions().map(|(_, session)| session);
    sessions.find(|session| session.ip().eq_ignore_ascii_case(&target.host) && session.announced().port == target.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::History;
    use crate::log::ReplLog;
    use crate::master::{Applicant, MasterConfig};
    use crate::messages::{AskedId, PsyncRequest};
    use crate::position::ReplId;
    use crate::psync::NodeFacts;
    use crate::session::Announced;

    fn parse(line: &str) -> Result<Request, &'static str> {
        Request::parse(&line.split_whitespace().map(str::as_bytes).collect::<Vec<_>>())
    }

    /// A master at offset 10 with one replica that stands there too and has not said so yet.
    fn master() -> Master {
        let config = MasterConfig {
            timeout: 60_000,
            ping_period: 10_000,
            backlog_ttl: 0,
            diskless: true,
            diskless_delay: 0,
            diskless_replicas_max: 0,
            dual_channel: false,
            rdb_channel: false,
            good_replicas_min: 0,
            good_lag_seconds_max: 0,
        };
        let mut log = ReplLog::new(0);
        log.reset_to(10);
        let request = PsyncRequest { id: AskedId::Id(ReplId::ZERO), asked: 11, failover: false };
        let announced = Announced { port: 7000, ..Announced::default() };
        let mut master = Master::new(config, 0);
        let history = History::new(ReplId::ZERO);
        let applicant = Applicant { key: 1, announced, peer_ip: "h".to_string(), request: Some(&request) };
        master.answer(applicant, &history, &log, &NodeFacts::default(), 0);
        master
    }

    #[test]
    fn the_command_is_read_as_in_redis() {
        let target = Some(Address { host: "h".to_string(), port: 7000 });
        assert_eq!(parse("abort"), Ok(Request::Abort));
        assert_eq!(parse("TO h 7000 TIMEOUT 5 FORCE"), Ok(Request::Start { target, timeout: Some(5), force: true }));
        assert_eq!(parse("timeout 0"), Err("ERR FAILOVER timeout must be greater than 0"));
        assert_eq!(parse("timeout x"), Err(NOT_AN_INTEGER));
        for bad in ["to h", "abort force", "force force", "nonsense"] {
            assert_eq!(parse(bad), Err(SYNTAX_ERROR), "{bad}");
        }
    }

    #[test]
    fn a_caught_up_replica_takes_over() {
        let mut master = master();
        let mut failover = Failover::default();
        failover.start(parse("").unwrap(), false, &master, 0).unwrap();
        assert_eq!(failover.tick(1, &master, 10), None);
        master.get_mut(1).unwrap().acked(10, None, 1);
        let Some(FailoverAction::HandOver(address, _)) = failover.tick(2, &master, 10) else { panic!() };
        assert_eq!((address.port, failover.state_name()), (7000, "failover-in-progress"));
        assert_eq!(failover.answered(true), None);
        assert!(failover.is_idle());
    }

    #[test]
    fn time_outs_abort_or_force() {
        let master = master();
        let mut failover = Failover::default();
        failover.start(parse("timeout 5").unwrap(), false, &master, 0).unwrap();
        assert_eq!(failover.tick(4, &master, 10), None);
        assert!(matches!(failover.tick(5, &master, 10), Some(FailoverAction::Abort { was_handing_over: false, .. })));
        failover.start(parse("to h 7000 timeout 5 force").unwrap(), false, &master, 0).unwrap();
        assert!(matches!(failover.tick(5, &master, 10), Some(FailoverAction::HandOver(..))));
        assert!(matches!(failover.answered(false), Some(FailoverAction::Abort { was_handing_over: true, .. })));
        assert_eq!(failover.abort("again"), None);
    }

    #[test]
    fn refusals() {
        let master = master();
        let mut failover = Failover::default();
        let mut start = |line: &str, is_replica| failover.start(parse(line).unwrap(), is_replica, &master, 0);
        assert!(start("", true).unwrap_err().contains("is a replica"));
        assert!(start("to h 7001", false).unwrap_err().contains("not a replica"));
        assert!(start("force", false).unwrap_err().contains("requires both"));
        start("", false).unwrap();
        assert_eq!(start("", false).unwrap_err(), "ERR FAILOVER already in progress.");
    }
}
