//! A link between a master and a replica, made from what both ends say.

use serde::Serialize;

use crate::node::{Follower, Node};
use crate::sync::Progress;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    Online,
    /// A full sync goes on.
    Syncing,
    /// The replica waits for a snapshot to begin.
    Waiting,
    Down,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Link {
    /// Ids of the nodes.
    pub master: String,
    pub replica: String,
    pub state: LinkState,
    /// Bytes of the stream that the replica has not executed.
    pub behind_bytes: Option<u64>,
    /// How long ago the replica stood where the master stands: from the bytes and the master's rate, or how long it has been silent or cut off.
    pub behind_seconds: Option<f64>,
    /// Of the stream, or of a full sync while that goes on.
    pub bytes_per_second: Option<u64>,
    pub sync: Option<Progress>,
    /// How many bytes more the replica may fall behind and still go on where it was; 0 if it can't even now. `None` if that is not known.
    pub slack_bytes: Option<u64>,
}

/// One end of a link: a node, and when it said what it says, in ms of the clock of who asked.
#[derive(Clone, Copy)]
pub struct End<'a> {
    pub node: &'a Node,
    pub at_ms: u64,
}

impl Link {
    /// From both ends' answers.
    pub fn between(master: End<'_>, replica: End<'_>, follower: Option<&Follower>) -> Link {
        let upstream = replica.node.upstream.as_ref();
        let state = match upstream {
            Some(up) if up.is_up => LinkState::Online,
            // A master says that a replica waits for a snapshot also while it sends one that it is making.
            Some(up) if up.sync.as_ref().is_some_and(|sync| sync.bytes > 0) => LinkState::Syncing,
            Some(up) if up.sync.is_some() => follower.map_or(LinkState::Syncing, seen_state),
            _ => LinkState::Down,
        };
        let sync = upstream.and_then(|up| up.sync.clone());
        let behind = carried_offset(master, replica.at_ms).saturating_sub(replica.node.offset);
        // With data of another history the difference says nothing.
        let is_comparable = replica.node.replid == master.node.replid && sync.is_none();
        let behind_bytes = is_comparable.then_some(behind);
        let rate = sync.as_ref().map_or(replica.node.bytes_per_second, |sync| sync.bytes_per_second);
        let silent_seconds = match state {
            LinkState::Online => follower.and_then(|f| f.lag_seconds),
            _ => upstream.and_then(|up| up.down_seconds),
        };
        Link {
            master: master.node.id.clone(),
            replica: replica.node.id.clone(),
            state,
            behind_bytes,
            behind_seconds: behind_seconds(state, behind_bytes, master.node.bytes_per_second, silent_seconds),
            bytes_per_second: rate,
            sync,
            slack_bytes: behind_bytes.and_then(|behind| slack(master.node, behind)),
        }
    }

    /// To a master that does not answer, as the replica tells.
    pub fn to_silent_master(master: &Node, replica: &Node) -> Link {
        let upstream = replica.upstream.as_ref();
        let is_syncing = upstream.is_some_and(|up| up.sync.is_some());
        let state = match upstream.is_some_and(|up| up.is_up) {
            true => LinkState::Online,
            false if is_syncing => LinkState::Syncing,
            false => LinkState::Down,
        };
        Link {
            master: master.id.clone(),
            replica: replica.id.clone(),
            state,
            behind_bytes: None,
            behind_seconds: upstream.and_then(|up| up.down_seconds).map(|s| s as f64),
            bytes_per_second: replica.bytes_per_second,
            sync: upstream.and_then(|up| up.sync.clone()),
            slack_bytes: None,
        }
    }

    /// To a replica that does not answer, as its master tells.
    pub fn to_silent_replica(master: &Node, follower: &Follower, replica: &str) -> Link {
        let state = seen_state(follower);
        let behind_bytes = (state == LinkState::Online).then(|| master.offset.saturating_sub(follower.offset));
        Link {
            master: master.id.clone(),
            replica: replica.to_string(),
            state,
            behind_bytes,
            behind_seconds: behind_seconds(state, behind_bytes, master.bytes_per_second, follower.lag_seconds),
            bytes_per_second: None,
            sync: None,
            slack_bytes: behind_bytes.and_then(|behind| slack(master, behind)),
        }
    }
}

/// Where the master stood, or will stand, at another time than that of its answer. The two never answer at the same moment, and what is written in
/// between is not lag.
fn carried_offset(master: End<'_>, at_ms: u64) -> u64 {
    let rate = u128::from(master.node.bytes_per_second.unwrap_or(0));
    let written = |ms: u64| u64::try_from(rate * u128::from(ms) / 1000).unwrap_or(u64::MAX);
    match at_ms.checked_sub(master.at_ms) {
        // Ahead it is a guess, of use over the time between two questions only.
        Some(ms) => master.node.offset.saturating_add(written(ms.min(250))),
        None => master.node.offset.saturating_sub(written(master.at_ms - at_ms)),
    }
}

fn behind_seconds(state: LinkState, bytes: Option<u64>, rate: Option<u64>, silent_seconds: Option<u64>) -> Option<f64> {
    let silent = silent_seconds.map(|s| s as f64);
    match (state, bytes, rate) {
        (LinkState::Online, Some(0), _) => Some(0.0),
        (LinkState::Online, Some(bytes), Some(rate)) if rate > 0 => Some(bytes as f64 / rate as f64),
        _ => silent,
    }
}

/// What the master still keeps beyond what this replica lacks.
fn slack(master: &Node, behind: u64) -> Option<u64> {
    let backlog = master.backlog?;
    let kept = backlog.size.max(backlog.to - backlog.from).saturating_add(backlog.disk_bytes);
    Some(kept.saturating_sub(behind))
}

fn seen_state(follower: &Follower) -> LinkState {
    match follower.state.as_str() {
        "online" => LinkState::Online,
        "wait_bgsave" => LinkState::Waiting,
        _ => LinkState::Syncing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::Info;

    fn master(offset: u64, rate: u64) -> Node {
        let text = format!(
            "role:master\nmaster_replid:x\nmaster_repl_offset:{offset}\nrepl_backlog_active:1\nrepl_backlog_size:1000\nrepl_backlog_first_byte_offset:1\nrepl_backlog_histlen:1000\nslave0:ip=a,port=1,state=online,offset=1000,lag=3"
        );
        Node { bytes_per_second: Some(rate), ..Node::of(&Info::parse(&text)) }
    }

    fn replica(offset: u64, rest: &str) -> Node {
        let text =
            format!("role:slave\nmaster_replid:x\nmaster_host:m\nmaster_port:1\nslave_repl_offset:{offset}\n{rest}");
        Node::of(&Info::parse(&text))
    }

    fn link(master: &Node, master_ms: u64, replica: &Node, replica_ms: u64) -> Link {
        let follower = master.followers.first();
        Link::between(End { node: master, at_ms: master_ms }, End { node: replica, at_ms: replica_ms }, follower)
    }

    #[test]
    fn what_is_written_between_two_answers_is_no_lag() {
        let (m, up) = (master(10_000, 1000), "master_link_status:up");
        // The replica was asked 200 ms later, and has executed what was written meanwhile.
        assert_eq!(link(&m, 1000, &replica(10_200, up), 1200).behind_bytes, Some(0));
        // It was asked 500 ms before.
        assert_eq!(link(&m, 1500, &replica(9500, up), 1000).behind_bytes, Some(0));
        // It lags by a second.
        let late = link(&m, 1000, &replica(9000, up), 1000);
        assert_eq!((late.behind_bytes, late.behind_seconds, late.slack_bytes), (Some(1000), Some(1.0), Some(0)));
        // A master that was asked long ago is not thought ahead for ever.
        assert_eq!(link(&m, 1000, &replica(10_000, up), 100_000).behind_bytes, Some(250));
    }

    #[test]
    fn seconds_without_a_rate_are_those_of_silence() {
        let m = master(10_000, 0);
        assert_eq!(link(&m, 0, &replica(9_000, "master_link_status:up"), 0).behind_seconds, Some(3.0));
        assert_eq!(link(&m, 0, &replica(10_000, "master_link_status:up"), 0).behind_seconds, Some(0.0));
        let cut = link(&m, 0, &replica(9_900, "master_link_status:down\nmaster_link_down_since_seconds:7"), 0);
        assert_eq!((cut.state, cut.behind_bytes, cut.behind_seconds), (LinkState::Down, Some(100), Some(7.0)));
        assert_eq!(cut.slack_bytes, Some(900));
    }

    #[test]
    fn a_full_sync_hides_the_offset() {
        let text = "master_link_status:down\nmaster_sync_in_progress:1\nmaster_sync_total_bytes:10\nmaster_sync_read_bytes:5\nmaster_sync_bytes_per_second:77";
        let syncing = link(&master(10_000, 5), 0, &replica(0, text), 0);
        assert_eq!(
            (syncing.state, syncing.behind_bytes, syncing.bytes_per_second),
            (LinkState::Syncing, None, Some(77))
        );
        assert_eq!(syncing.sync.and_then(|sync| sync.percent), Some(50.0));
    }

    #[test]
    fn a_replica_waits_until_bytes_come() {
        let mut m = master(10_000, 5);
        m.followers[0].state = "wait_bgsave".into();
        let state = |bytes: u64| {
            let text = format!("master_link_status:down\nmaster_sync_in_progress:1\nmaster_sync_read_bytes:{bytes}");
            link(&m, 0, &replica(0, &text), 0).state
        };
        assert_eq!((state(0), state(1)), (LinkState::Waiting, LinkState::Syncing));
    }

    #[test]
    fn one_end_is_enough() {
        let m = master(1300, 100);
        let seen = Link::to_silent_replica(&m, &m.followers[0], "r");
        assert_eq!((seen.state, seen.behind_bytes, seen.behind_seconds), (LinkState::Online, Some(300), Some(3.0)));
        let r = replica(5, "master_link_status:down\nmaster_link_down_since_seconds:2");
        let alone = Link::to_silent_master(&m, &r);
        assert_eq!((alone.state, alone.behind_bytes, alone.behind_seconds), (LinkState::Down, None, Some(2.0)));
    }
}
