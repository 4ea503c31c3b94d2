//! How requests are answered, and what is due for replicas.

use super::*;
use crate::messages::AskedId;

fn id(n: u8) -> ReplId {
    ReplId::from_random(&[n; 20])
}

fn config() -> MasterConfig {
    MasterConfig {
        timeout: 60_000,
        ping_period: 10_000,
        backlog_ttl: 3_600_000,
        diskless: true,
        diskless_delay: 5_000,
        diskless_replicas_max: 0,
        dual_channel: false,
        rdb_channel: false,
        good_replicas_min: 0,
        good_lag_seconds_max: 10,
    }
}

fn capable() -> Announced {
    Announced { capa: Capa { eof: true, psync2: true, ..Capa::default() }, ..Announced::default() }
}

struct Node {
    master: Master,
    history: History,
    log: ReplLog,
    keys: u64,
}

impl Node {
    fn new(config: MasterConfig) -> Node {
        let mut log = ReplLog::new(1 << 20);
        log.create();
        Node { master: Master::new(config, 0), history: History::new(id(1)), log, keys: 0 }
    }

    fn sync(&mut self, announced: Announced, request: Option<&PsyncRequest>, now: Millis) -> (u64, Answer) {
        self.keys += 1;
        let (history, log) = (&self.history, &self.log);
        let applicant = Applicant { key: self.keys, announced, peer_ip: "h".to_string(), request };
        let (answer, _) = self.master.answer(applicant, history, log, &NodeFacts::default(), now);
        (self.keys, answer)
    }

    fn tick(&mut self, now: Millis) -> Vec<MasterAction> {
        let mut out = Vec::new();
        self.master.tick(now, TickFacts { log_active: self.log.is_active(), ..TickFacts::default() }, &mut out);
        out
    }
}

fn any() -> PsyncRequest {
    PsyncRequest { id: AskedId::Any, asked: -1, failover: false }
}

#[test]
fn requests_are_counted() {
    let mut node = Node::new(config());
    node.log.append(b"0123456789");
    let at = |asked| PsyncRequest { id: AskedId::Id(id(1)), asked, failover: false };
    assert_eq!(node.sync(capable(), Some(&any()), 0).1, Answer::Full { log: LogNeed::Nothing });
    let (key, answer) = node.sync(capable(), Some(&at(11)), 0);
    assert_eq!(answer, Answer::Continue { reply: format!("+CONTINUE {}\r\n", id(1)).into_bytes() });
    assert_eq!(node.master.get(key).unwrap().cursor(), 10);
    assert_eq!(node.sync(capable(), Some(&at(12)), 0).1, Answer::Full { log: LogNeed::Nothing });
    node.sync(capable(), None, 0);
    assert_eq!(node.master.counters(), SyncCounters { full: 3, partial_ok: 1, partial_err: 1 });
    node.log.free();
    assert_eq!(node.sync(capable(), Some(&any()), 0).1, Answer::Full { log: LogNeed::CreateWithNewId });
}

#[test]
fn a_replica_whose_link_is_down_continues_others_and_copies_none() {
    let mut node = Node::new(config());
    node.log.append(b"0123456789");
    let down = NodeFacts { is_replica: true, has_whole_data: true, ..NodeFacts::default() };
    let mut ask = |asked, node_facts: &NodeFacts| {
        let request = PsyncRequest { id: AskedId::Id(id(1)), asked, failover: false };
        let applicant =
            Applicant { key: asked as u64, announced: capable(), peer_ip: "h".to_string(), request: Some(&request) };
        node.master.answer(applicant, &node.history, &node.log, node_facts, 0).0
    };
    assert!(matches!(ask(11, &down), Answer::Continue { .. }));
    assert!(matches!(ask(12, &down), Answer::TryLater { error } if error.starts_with("NOMASTERLINK")));
    assert!(matches!(ask(12, &NodeFacts { link_up: true, ..down }), Answer::Full { .. }));
    assert_eq!(node.master.counters(), SyncCounters { full: 1, partial_ok: 1, partial_err: 1 });
}

#[test]
fn a_diskless_snapshot_waits_for_more_replicas() {
    let mut node = Node::new(MasterConfig { diskless_replicas_max: 3, ..config() });
    let (first, _) = node.sync(capable(), Some(&any()), 1_000);
    let (second, _) = node.sync(capable(), Some(&any()), 4_000);
    assert_eq!(node.master.due_group(5_999), None);
    let group = node.master.due_group(6_000).unwrap();
    assert_eq!((group.replicas, group.target), (vec![first, second], Target::Sockets));
    node.sync(capable(), Some(&any()), 4_500);
    assert_eq!(node.master.due_group(4_500).unwrap().replicas.len(), 3);
}

#[test]
fn a_replica_without_the_mark_gets_a_length() {
    let mut node = Node::new(config());
    let (old, _) = node.sync(Announced::default(), None, 0);
    let group = node.master.due_group(0).unwrap();
    assert_eq!((group.replicas, group.target, group.rdb_version), (vec![old], Target::Stored, 10));
}

#[test]
fn replicas_with_other_wishes_get_another_snapshot() {
    let mut node = Node::new(MasterConfig { diskless: false, ..config() });
    let filter = Filter { exclude_data: true, exclude_functions: false };
    let (first, _) = node.sync(Announced { filter, ..capable() }, Some(&any()), 0);
    node.sync(capable(), Some(&any()), 0);
    let group = node.master.due_group(0).unwrap();
    assert_eq!((group.replicas, group.target, group.filter), (vec![first], Target::Sockets, filter));
}

#[test]
fn a_late_replica_joins_a_snapshot_that_is_there_from_its_start() {
    let mut node = Node::new(MasterConfig { diskless: false, ..config() });
    let position = Position { id: id(1), offset: 0 };
    let running = RunningSnapshot {
        position,
        target: Target::Stored,
        from_start: true,
        capa: Capa { eof: true, psync2: true, ..Capa::default() },
        filter: Filter::default(),
        rdb_version: 10,
    };
    let place = |node: &mut Node, announced: Announced, running: RunningSnapshot| {
        let (key, _) = node.sync(announced, Some(&any()), 0);
        node.master.place(key, Some(&running), &node.history, &node.log, 0).0.is_some()
    };
    assert!(place(&mut node, capable(), running));
    assert!(!place(&mut node, Announced::default(), running), "it has not the needed capabilities");
    let sent = RunningSnapshot { target: Target::Sockets, ..running };
    assert!(place(&mut node, capable(), sent));
    assert!(!place(&mut node, capable(), RunningSnapshot { from_start: false, ..sent }), "its head is gone");
    assert!(!place(&mut node, capable(), RunningSnapshot { rdb_version: 11, ..running }));
    let other_past = Position { id: id(2), offset: 0 };
    assert!(!place(&mut node, capable(), RunningSnapshot { position: other_past, ..running }));
    assert_eq!(node.master.log_hold(), Some(0));
    node.log.append(&vec![b'x'; 2 << 20]);
    assert!(!place(&mut node, capable(), running), "the log since its start is gone");
}

#[test]
fn heartbeats_and_time_outs() {
    let mut node = Node::new(config());
    assert!(node.tick(0).is_empty(), "no PING without replicas");
    let (key, _) = node.sync(capable(), Some(&any()), 1_000);
    assert_eq!(node.tick(1_000), [MasterAction::SendNewline(key)], "the period counts from the start");
    assert!(node.tick(1_500).is_empty());
    let session = node.master.get_mut(key).unwrap();
    session.snapshot_started(Position { id: id(1), offset: 0 }, Target::Sockets, 1_500);
    session.payload_sent(2_000);
    assert_eq!(node.tick(11_000), [MasterAction::AppendPing]);
    let disconnects =
        |actions: Vec<MasterAction>| actions.iter().any(|action| matches!(action, MasterAction::Disconnect(..)));
    assert!(!disconnects(node.tick(62_000)));
    assert!(disconnects(node.tick(62_001)));
    node.master.detach(key, 70_000);
    assert!(node.tick(70_000 + 3_600_000).is_empty());
    assert!(matches!(node.tick(70_001 + 3_600_000)[..], [MasterAction::FreeLog(_)]));
    let mut out = Vec::new();
    node.master.tick(9_999_999_999, TickFacts { log_active: true, is_replica: true, ..TickFacts::default() }, &mut out);
    assert!(out.is_empty(), "a replica keeps its log");
}

#[test]
fn good_replicas_and_acknowledgements() {
    let mut node = Node::new(MasterConfig { good_replicas_min: 2, good_lag_seconds_max: 8, ..config() });
    node.log.append(b"0123456789");
    let request = PsyncRequest { id: AskedId::Id(id(1)), asked: 11, failover: false };
    let keys = [0, 0].map(|now| node.sync(capable(), Some(&request), now).0);
    assert!(node.master.may_write(8_999) && !node.master.may_write(9_000));
    node.master.get_mut(keys[0]).unwrap().acked(10, None, 9_000);
    assert_eq!(node.master.good_replicas(9_000), Some(1));
    node.master.get_mut(keys[1]).unwrap().acked(7, Some(3), 9_000);
    assert_eq!(node.master.acked_offsets(), (vec![10, 7], vec![3]));
    assert!(!node.master.take_getack());
    node.master.want_acks();
    node.master.want_acks();
    assert!(node.master.take_getack() && !node.master.take_getack());
}

fn two(dual_channel: bool, rdb_channel: bool) -> Node {
    Node::new(MasterConfig { dual_channel, rdb_channel, diskless_delay: 0, ..config() })
}

fn with(capa: Capa) -> Announced {
    Announced { capa: Capa { eof: true, psync2: true, ..capa }, ..Announced::default() }
}

#[test]
fn the_quorum_is_what_so_many_of_those_that_count_have() {
    let mut master = Master::new(config(), 0);
    let mut replica = |key, ack, fsynced, node| {
        let announced = Announced { node_id: Some(id(node)), ..Announced::default() };
        let mut session = Session::continuing(announced, "h".to_string(), 100, 0);
        session.acked(ack, fsynced, 0);
        master.sessions.push(key, session);
    };
    replica(1, 90, Some(50), 1);
    replica(2, 80, None, 2);
    replica(3, 99, Some(99), 9);
    replica(4, 70, Some(60), 4);
    // It has come again, and its old connection is not yet known to be gone.
    replica(6, 85, Some(40), 1);
    master.sessions.push(5, Session::waiting(Announced::default(), "h".to_string(), false, 0));
    let member = |session: &Session| session.announced().node_id.is_some_and(|node| node != id(9));
    let quorum = |replicas, fsynced| master.quorum(replicas, fsynced, member);
    assert_eq!([0, 1, 2, 3, 4].map(|n| quorum(n, false)), [None, Some(90), Some(80), Some(70), None]);
    assert_eq!([1, 2, 3].map(|n| quorum(n, true)), [Some(60), Some(50), None]);
    assert_eq!(master.quorum(1, false, |_| true), Some(99));
    assert_eq!(master.quorum(5, false, |_| true), None, "one that waits for a snapshot has nothing");
}

const VALKEY: Capa =
    Capa { eof: true, psync2: true, dual_channel: true, rdb_channel: false, acks: false, uncertain: false };
const REDIS: Capa =
    Capa { eof: true, psync2: true, dual_channel: false, rdb_channel: true, acks: false, uncertain: false };

fn of_channel(main_client: Option<u64>) -> Announced {
    Announced { rdb_only: true, rdb_channel: true, main_client, ..capable() }
}

#[test]
fn who_is_served_over_two_channels() {
    let both = Capa { dual_channel: true, ..REDIS };
    let (dual, rdb) = (TwoChannels::DualChannel, TwoChannels::RdbChannel { main_client: 1 });
    let table = [
        (true, true, both, Some(rdb)),
        (true, false, both, Some(dual)),
        (false, true, VALKEY, None),
        (true, false, VALKEY, Some(dual)),
        (true, false, REDIS, None),
        (false, true, REDIS, Some(rdb)),
        (false, false, both, None),
        (true, true, Capa::default(), None),
    ];
    for (dual_channel, rdb_channel, capa, expected) in table {
        let answer = two(dual_channel, rdb_channel).sync(with(capa), Some(&any()), 0).1;
        let reply = expected.map(|how| Answer::TwoChannels { reply: two_channels_reply(how) });
        assert_eq!(answer, reply.unwrap_or(Answer::Full { log: LogNeed::Nothing }), "{capa:?}");
    }
    let mut stored = two(true, true);
    stored.master.config.diskless = false;
    assert_eq!(stored.sync(with(both), Some(&any()), 0).1, Answer::Full { log: LogNeed::Nothing });
    assert_eq!(two(true, true).sync(with(both), None, 0).1, Answer::Full { log: LogNeed::Nothing });
}

/// Up to a snapshot that has begun at offset 4 and more of the stream: the node, the main connection and the other.
fn begun(valkey: bool) -> (Node, u64, u64) {
    let mut node = two(valkey, !valkey);
    let (main, _) = node.sync(with(if valkey { VALKEY } else { REDIS }), Some(&any()), 0);
    let request = any();
    let (rdb, answer) = node.sync(of_channel((!valkey).then_some(main)), (!valkey).then_some(&request), 0);
    assert_eq!(answer, Answer::Full { log: LogNeed::Nothing });
    assert_eq!(node.master.due_group(0).unwrap().replicas, [rdb]);
    node.log.append(b"past");
    let position = Position { id: id(1), offset: 4 };
    let reply = node.master.snapshot_started(rdb, position, Some(3), Target::Sockets, 0);
    let line = format!("$ENDOFF:4 {} 3 {rdb}\r\n", id(1)).into_bytes();
    assert_eq!(reply, if valkey { line } else { crate::messages::full_resync_reply(position, None) });
    node.log.append(b"stream");
    (node, main, rdb)
}

/// Valkey's replica asks for what follows its snapshot.
fn ask(node: &mut Node, main: u64, rdb: u64) -> Answer {
    let request = PsyncRequest { id: AskedId::Id(id(1)), asked: 5, failover: false };
    let announced = Announced { rdb_client: Some(rdb), ..with(VALKEY) };
    let applicant = Applicant { key: main, announced, peer_ip: "h".to_string(), request: Some(&request) };
    node.master.answer(applicant, &node.history, &node.log, &NodeFacts::default(), 0).0
}

#[test]
fn the_stream_goes_beside_the_snapshot() {
    let (mut node, main, rdb) = begun(false);
    assert_eq!((node.master.len(), node.master.log_hold()), (1, Some(4)));
    assert_eq!(node.master.get(main).unwrap().state(), State::Beside { from: 4, snapshot: Some(rdb) });
    assert!(!node.master.payload_sent(rdb, 7).unwrap().0);
    assert_eq!(node.master.detach(rdb, 7).unwrap().partner, None);
    assert!(node.master.get_mut(main).unwrap().acked(4, None, 8));
    assert_eq!(node.master.counters(), SyncCounters { full: 1, partial_ok: 0, partial_err: 0 });
}

#[test]
fn the_stream_is_kept_until_a_valkey_asks_for_it() {
    let (mut node, main, rdb) = begun(true);
    assert_eq!((node.master.log_hold(), node.master.waiting_psync()), (Some(4), 1));
    assert!(matches!(ask(&mut node, main, rdb), Answer::Continue { .. }));
    assert_eq!(node.master.get(main).unwrap().state(), State::Beside { from: 4, snapshot: Some(rdb) });
    node.master.get_mut(main).unwrap().sent(6);
    assert_eq!((node.master.log_hold(), node.master.waiting_psync()), (Some(10), 0), "the stream is sent");
    let shown: Vec<_> = node.master.sessions().map(|(_, s)| (s.state_name(), s.channel_name())).collect();
    assert_eq!(shown, [("wait_bgsave", Some("rdb-channel")), ("bg_transfer", Some("main-channel"))]);
    // A snapshot that is sent before the replica asks: the connection is gone, the stream is not.
    let (mut node, main, rdb) = begun(true);
    node.master.payload_sent(rdb, 0);
    node.master.detach(rdb, 0);
    assert_eq!((node.master.log_hold(), node.master.waiting_psync()), (Some(4), 1));
    node.tick(59_999);
    assert!(matches!(ask(&mut node, main, rdb), Answer::Continue { .. }));
    assert_eq!(node.master.get(main).unwrap().state(), State::Beside { from: 4, snapshot: None });
    assert_eq!(node.master.waiting_psync(), 0);
    // It never asks.
    let (mut node, _, rdb) = begun(true);
    node.master.payload_sent(rdb, 0);
    node.master.detach(rdb, 0);
    node.tick(60_000);
    assert_eq!(node.master.log_hold(), None);
}

#[test]
fn either_connection_takes_the_other_along() {
    for valkey in [true, false] {
        for main_ends in [true, false] {
            let (mut node, main, rdb) = begun(valkey);
            if valkey {
                ask(&mut node, main, rdb);
            }
            let (ends, other) = if main_ends { (main, rdb) } else { (rdb, main) };
            assert_eq!(node.master.detach(ends, 0).unwrap().partner, Some(other));
            assert_eq!(node.master.detach(other, 0).unwrap().partner, None);
            assert_eq!(node.master.log_hold(), None);
        }
    }
    let mut node = two(false, true);
    let (main, _) = node.sync(with(REDIS), Some(&any()), 0);
    assert_eq!(node.master.detach(main, 0).unwrap().partner, None);
    let answer = node.sync(of_channel(Some(main)), Some(&any()), 0).1;
    assert!(matches!(answer, Answer::NoMain { error } if error.contains("under the id 1")));
}

#[test]
fn a_second_connection_must_come_in_time() {
    let mut node = two(false, true);
    let (main, _) = node.sync(with(REDIS), Some(&any()), 0);
    let given_up = |actions: &[MasterAction]| {
        actions.iter().any(|action| matches!(action, MasterAction::Disconnect(key, _) if *key == main))
    };
    assert!(!given_up(&node.tick(60_000)));
    assert!(given_up(&node.tick(60_001)));
    node.sync(of_channel(Some(main)), Some(&any()), 60_001);
    assert!(!given_up(&node.tick(60_001)), "it waits for its snapshot");
}

#[test]
fn a_snapshot_on_its_own_connection_is_never_a_stored_one() {
    let mut node = two(true, true);
    let (old, _) = node.sync(Announced::default(), None, 0);
    let (rdb, _) = node.sync(of_channel(None), None, 0);
    let (plain, _) = node.sync(capable(), Some(&any()), 0);
    let group = node.master.due_group(0).unwrap();
    assert_eq!((group.replicas, group.target), (vec![rdb, plain], Target::Sockets));
    node.master.detach(rdb, 0);
    assert_eq!(node.master.due_group(0).unwrap().replicas, [old, plain]);
    let running = RunningSnapshot {
        position: Position { id: id(1), offset: 0 },
        target: Target::Stored,
        from_start: true,
        capa: Capa::default(),
        filter: Filter::default(),
        rdb_version: 10,
    };
    let (late, _) = node.sync(of_channel(None), None, 0);
    assert!(node.master.place(late, Some(&running), &node.history, &node.log, 0).0.is_none());
}

/// A node with so many replicas that have all of the stream.
fn with_replicas(count: u64) -> Node {
    let mut node = Node::new(MasterConfig { good_replicas_min: 3, good_lag_seconds_max: 10, ..config() });
    node.log.append(b"0123456789");
    let request = PsyncRequest { id: AskedId::Id(id(1)), asked: 11, failover: false };
    (0..count).for_each(|_| drop(node.sync(capable(), Some(&request), 0)));
    node
}

#[test]
fn replicas_cost_a_turn_without_writes_nothing() {
    const REPLICAS: u64 = 2000;
    let mut node = with_replicas(REPLICAS);
    let visits = |node: &Node| node.master.sessions.visits.take();
    assert_eq!(node.master.offer(10).count(), 0, "they have all");
    assert_eq!(visits(&node), REPLICAS as usize);
    for _ in 0..1000 {
        assert_eq!(node.master.offer(10).count(), 0);
        assert!(node.master.get_mut(REPLICAS).is_some());
    }
    assert_eq!(visits(&node), 0, "nothing was written");
    assert!(node.master.may_write(1_000));
    assert_eq!(visits(&node), 3, "three that are good are enough");
    node.log.append(b"more");
    assert_eq!(node.master.offer(14).count(), REPLICAS as usize);
    assert_eq!(visits(&node), REPLICAS as usize, "each is to be sent what was written, once");
    for key in 1..=REPLICAS / 2 {
        node.master.get_mut(key).expect("it is there").sent(4);
    }
    node.master.offer_again();
    assert_eq!(node.master.offer(14).count(), REPLICAS as usize / 2, "some have it all");
    assert_eq!(node.master.offer(15).collect::<Vec<_>>().len(), REPLICAS as usize);
    visits(&node);
    for key in 1..=REPLICAS {
        node.master.detach(key, 1_000);
    }
    assert_eq!(visits(&node), 0, "nor does one that goes look at the others");
}

#[test]
fn the_slowest_holds_the_log() {
    let mut node = with_replicas(4);
    node.log.append(b"more");
    for (key, acked) in [(1, 14), (2, 12), (3, 12)] {
        let session = node.master.get_mut(key).expect("it is there");
        session.sent(4);
        session.acked(acked, (key == 1).then_some(11), 0);
    }
    assert_eq!(node.master.slowest(), Some(Slowest { from: 10, replica: Some(4) }));
}
