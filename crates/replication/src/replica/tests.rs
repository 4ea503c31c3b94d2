//! The link's transcript with masters of all kinds.

mod two_channels;

use super::*;
use crate::promises::{Term, TermId};
use crate::report::Level;

fn id(n: u8) -> ReplId {
    ReplId::from_random(&[n; 20])
}

fn config() -> LinkConfig {
    LinkConfig {
        node_id: None,
        terms: Vec::new(),
        acks_by_itself: true,
        is_uncertain: false,
        host: "h".to_string(),
        port: 6379,
        timeout: 60_000,
        login: Login::default(),
        shown: Shown { port: 7000, ..Shown::default() },
        run_id: id(0xf),
        probe: id(0xe),
        load: LoadMode::AfterTransfer,
        dual_channel: false,
        rdb_channel: false,
        early_bytes_max: 10,
    }
}

fn login(user: Option<&str>, password: &str) -> Login {
    Login { user: user.map(|user| user.as_bytes().to_vec()), password: Some(password.as_bytes().to_vec()) }
}

/// A link and everything that it said.
struct Story {
    link: ReplicaLink,
    now: Millis,
    said: Vec<String>,
}

impl Story {
    fn new(config: LinkConfig, cached: Option<Position>) -> Story {
        Story { link: ReplicaLink::new(config, cached, cached.is_some(), 0), now: 0, said: Vec::new() }
    }

    fn tell<'b>(&mut self, tell: impl FnOnce(&mut ReplicaLink, Millis, Actions<'_, 'b>)) -> &mut Story {
        let mut out = Vec::new();
        tell(&mut self.link, self.now, &mut out);
        self.said.extend(out.into_iter().map(|action| match action {
            Action::Log(report) => format!("{} {}", if report.level == Level::Notice { '*' } else { '#' }, report.text),
            Action::Send(bytes) => format!("send {}", words(&bytes)),
            Action::SendChannel(bytes) => format!("send on the channel {}", words(&bytes)),
            Action::Store(bytes) => format!("store {}", words(&bytes)),
            Action::Apply(bytes) => format!("apply {}", words(&bytes)),
            other => format!("{other:?}"),
        }));
        self
    }

    fn pass(&mut self, time: Millis) -> &mut Story {
        self.now += time;
        self.tell(|link, now, out| link.tick(now, out))
    }

    fn hear(&mut self, text: &str) -> &mut Story {
        self.tell(|link, now, out| link.received(now, text.as_bytes(), out))
    }

    fn connect(&mut self) -> &mut Story {
        self.pass(0).tell(|link, now, out| link.connected(now, out))
    }

    /// Up to the PSYNC.
    fn greet(&mut self) -> &mut Story {
        self.connect().hear("+PONG\r\n").hear("+OK\r\n+OK\r\n").hear("-ERR Unrecognized REPLCONF option\r\n")
    }

    /// What was said since the last time.
    fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    fn assert_said(&mut self, text: &str) {
        let said = self.said();
        assert!(said.iter().any(|line| line.contains(text)), "{text:?} is not in {said:#?}");
    }
}

/// Bytes with the framing of arrays left out.
fn words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let words = text.split("\r\n").filter(|word| !word.starts_with(['*', '$']));
    words.collect::<Vec<_>>().join(" ").trim_end_matches(' ').to_string()
}

fn full_resync() -> String {
    format!("+FULLRESYNC {} 100\r\n", id(1))
}

#[test]
fn a_first_sync_as_redis_logs_it() {
    let mut story =
        Story::new(LinkConfig { shown: Shown { ip: Some("1.2.3.4".to_string()), ..config().shown }, ..config() }, None);
    story.connect();
    assert_eq!(
        story.said(),
        [
            "* Connecting to MASTER h:6379",
            "Connect",
            "* MASTER <-> REPLICA sync started",
            "* Non blocking connect for SYNC fired the event.",
            "send PING",
        ]
    );
    assert_eq!(story.link.role_state(), "handshake");
    story.hear("+PONG\r\n");
    let introduction = format!(
        "send REPLCONF listening-port 7000 REPLCONF ip-address 1.2.3.4 REPLCONF capa eof capa psync2 capa rivulet-acks \
         REPLCONF rivulet-runid {}",
        id(0xf)
    );
    assert_eq!(story.said(), ["* Master replied to PING, replication can continue...", introduction.as_str()]);
    story.hear("+OK\r\n-ERR no addresses\r\n+OK\r\n-ERR Unrecognized REPLCONF option: rivulet-runid\r\n");
    assert_eq!(
        story.said(),
        [
            "* (Non critical) Master does not understand REPLCONF ip-address: -ERR no addresses",
            "* Partial resynchronization not possible (no cached master)",
            "send PSYNC ? -1",
        ]
    );
    story.hear("\n\n").hear(&full_resync()).hear("\n$5\r\nab").hear("cdeXY");
    let target = Position { id: id(1), offset: 100 };
    assert_eq!(
        story.said(),
        [
            format!("* Full resync from master: {target}"),
            "* MASTER <-> REPLICA sync: receiving 5 bytes from master to disk".to_string(),
            format!("{:?}", Action::PayloadBegin { len: Some(5), target: Some(target), load: LoadMode::AfterTransfer }),
            "store ab".to_string(),
            "store cde".to_string(),
            "PayloadEnd".to_string(),
            "* MASTER <-> REPLICA sync: Flushing old data".to_string(),
            "ReplaceData".to_string(),
            "* MASTER <-> REPLICA sync: Loading DB in memory".to_string(),
            "Load".to_string(),
        ]
    );
    assert!(!story.link.has_whole_data() && matches!(story.link.state, State::Loading { .. }));
    story.pass(0).pass(999).pass(1);
    assert_eq!(story.said(), ["send \n", "send \n"]);
    assert!(story.link.wants_read());
    story.hear("12345678");
    assert!(!story.link.wants_read());
    story.assert_said("Replication buffer limit has been reached (10 bytes)");
    story.tell(|link, now, out| link.loaded(now, Ok(()), out));
    assert_eq!(
        story.said(),
        [
            format!("{:?}", Action::Adopt(Some(target))),
            "* MASTER <-> REPLICA sync: Finished with success".to_string(),
            "send REPLCONF ACK 100".to_string(),
            "apply XY12345678".to_string(),
        ]
    );
    assert!(story.link.is_up() && story.link.has_whole_data());
}

#[test]
fn progress_can_be_seen() {
    let mut story = Story::new(config(), None);
    story.greet().hear(&full_resync());
    assert_eq!((story.link.role_state(), story.link.is_syncing()), ("sync", true));
    story.hear("$10\r\nabc");
    story.now += 2_500;
    let progress = story.link.sync_progress(story.now).unwrap();
    assert_eq!(progress, SyncProgress { total_bytes: Some(10), read_bytes: 3, last_io_seconds: 2 });
    assert_eq!(story.link.last_io_seconds(story.now), None);
}

#[test]
fn a_lost_stream_goes_on_where_it_was() {
    let mut story = Story::new(config(), Some(Position { id: id(1), offset: 9 }));
    story.greet();
    story.assert_said(&format!("send PSYNC {} 10", id(1)));
    story.hear(&format!("+CONTINUE {}\r\nab", id(2)));
    let said = story.said();
    assert_eq!(
        said,
        [
            "* Successful partial resynchronization with master.".to_string(),
            format!("# Master replication ID changed to {}", id(2)),
            format!("{:?}", Action::Continue(Position { id: id(2), offset: 9 }, vec![])),
            "* MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.".to_string(),
            "apply ab".to_string(),
        ]
    );
    story.link.applied(11);
    story.pass(0).pass(1_000);
    assert_eq!(story.said(), ["send REPLCONF ACK 11", "send REPLCONF ACK 11"]);
    story.tell(|link, now, out| link.getack(now, false, out));
    assert_eq!(story.said(), ["send REPLCONF ACK 11"]);
    story.tell(|link, now, out| link.disconnected(now, "reset", out));
    assert_eq!(
        story.said(),
        [
            "Disconnect",
            "# Connection with master lost.",
            "* Caching the disconnected master state.",
            "* Reconnecting to MASTER h:6379",
            "Connect",
            "* MASTER <-> REPLICA sync started",
        ]
    );
    story.now += 3_000;
    assert_eq!(story.link.down_since_seconds(story.now), Some(3));
    story.greet();
    story.assert_said(&format!("send PSYNC {} 12", id(2)));
}

#[test]
fn a_replica_acknowledges_each_turn_once_it_was_told_to() {
    let mut story = Story::new(config(), Some(Position { id: id(1), offset: 9 }));
    story.greet().hear("+CONTINUE\r\n").pass(0);
    story.said();
    let turn = |story: &mut Story, applied| {
        story.link.applied(applied);
        story.tell(|link, now, out| link.turn_ended(now, out));
        story.said()
    };
    assert_eq!(turn(&mut story, 20), [""; 0]);
    story.tell(|link, now, out| link.getack(now, true, out));
    assert_eq!(story.said(), ["send REPLCONF ACK 20"]);
    assert_eq!(turn(&mut story, 30), ["send REPLCONF ACK 30"]);
    assert_eq!(turn(&mut story, 30), [""; 0], "nothing is said twice");
    story.link.set_fsynced(Some(25));
    assert_eq!(turn(&mut story, 30), ["send REPLCONF ACK 30 FACK 25"]);
    story.tell(|link, now, out| link.getack(now, false, out));
    story.said();
    assert_eq!(turn(&mut story, 40), [""; 0], "the master asks itself again");
    story.tell(|link, now, out| link.getack(now, true, out));
    story.tell(|link, now, out| link.disconnected(now, "reset", out)).greet().hear("+CONTINUE\r\n").pass(0);
    story.said();
    assert_eq!(turn(&mut story, 50), [""; 0], "another stream, another wish");
}

#[test]
fn a_fenced_replica_only_says_that_it_is_there() {
    let mut story =
        Story::new(LinkConfig { node_id: Some(id(7)), ..config() }, Some(Position { id: id(1), offset: 9 }));
    let meet = |story: &mut Story, reply: &str| {
        story.greet().assert_said(&format!("REPLCONF node-id {}", id(7)));
        story.hear(reply).hear("+CONTINUE\r\nab");
        story.link.applied(11);
        story.tell(|link, now, out| link.getack(now, true, out)).pass(0).pass(1_000);
        story.tell(|link, now, out| link.turn_ended(now, out));
        let said = story.said();
        let acks = said.iter().filter(|line| line.starts_with("send REPLCONF ACK")).count();
        let newlines = said.iter().filter(|line| line.trim_end() == "send").count();
        story.tell(|link, now, out| link.disconnected(now, "reset", out));
        story.said();
        story.pass(1_000);
        (acks, newlines)
    };
    story.link.set_fence(Some(5));
    let other = id(3);
    for (reply, lifted) in [
        // A server of another kind promises its clients nothing.
        ("-ERR Unrecognized REPLCONF option: node-id\r\n".to_string(), true),
        (format!("+OK {other} 4 0\r\n"), false),
        (format!("+OK {other} 5 0\r\n"), true),
        (format!("+OK {other} -5 0\r\n"), false),
        ("+OK\r\n".to_string(), false),
        (format!("+OK {other} 6 0\r\n"), true),
    ] {
        let (acks, newlines) = meet(&mut story, &reply);
        assert_eq!((acks > 0, newlines > 0), (lifted, !lifted), "{reply:?}");
    }
    story.link.set_fence(None);
    assert!(meet(&mut story, "+OK\r\n").0 > 0);
}

/// A master that has lost what it had acknowledged must not take it from those who have it (docs/failover.md, "Rejoining").
#[test]
fn a_master_that_lost_data_in_its_term_does_not_take_them_from_its_replica() {
    let (own, master) = (Position { id: id(1), offset: 100 }, id(3));
    let config = || LinkConfig {
        node_id: Some(id(7)),
        terms: vec![Term { id: TermId { epoch: 4, start: 1 }, from: 90 }],
        ..config()
    };
    let full = |id: ReplId, offset| format!("+FULLRESYNC {id} {offset}\r\n");
    for (name, reply, refused) in [
        (format!("+OK {master} 4 0 unproven"), full(id(2), 0), true),
        (format!("+OK {master} 4 0 unproven"), full(id(2), 500), true),
        (format!("+OK {master} 4 0 unproven"), full(id(1), 99), true),
        (format!("+OK {master} 4 0 unproven"), full(id(1), 100), false),
        (format!("+OK {master} 4 0 unproven"), "-ERR unknown command 'PSYNC'\r\n".to_string(), true),
        (format!("+OK {master} 4 0 unproven"), "+CONTINUE\r\n".to_string(), false),
        (format!("+OK {master} 4.1 95 unproven"), full(id(2), 0), true),
        // It has proven once that it lacked nothing, when this node was not there.
        (format!("+OK {master} 4.2 95 unproven"), full(id(2), 0), false),
        (format!("+OK {master} 4 0"), full(id(2), 0), false),
        (format!("+OK {master} 5 0 unproven"), full(id(2), 0), false),
        (format!("+OK {} 3 0 unproven", id(5)), full(id(2), 0), true),
        ("-ERR Unrecognized REPLCONF option: node-id".to_string(), full(id(2), 0), false),
    ] {
        let mut story = Story::new(config(), Some(own));
        story.greet().hear(&format!("{name}\r\n")).hear(&reply);
        let said = story.said();
        assert_eq!(story.link.master_lacks_data(), refused, "{name} {reply}");
        assert_eq!(said.iter().any(|line| line.contains("Another node must become the master")), refused, "{said:?}");
        if refused {
            assert_eq!(story.link.position(), Some(own), "it keeps what it has");
        }
    }
    let mut story = Story::new(config(), None);
    story.greet().hear(&format!("+OK {master} 4 0 unproven\r\n")).hear(&full(id(2), 0));
    assert!(!story.link.master_lacks_data(), "who has nothing loses nothing");
}

/// Whoever is at the master's address without a failover, and has a name of its own, is another node: the master's directory may be gone, with all that told
/// of its term.
#[test]
fn another_node_in_the_masters_place_takes_nothing_from_its_replica() {
    let (own, master) = (Position { id: id(1), offset: 100 }, id(3));
    let terms = |epoch| vec![Term { id: TermId::of_epoch(epoch), from: 90 }];
    let config = |epoch| LinkConfig { node_id: Some(id(7)), terms: terms(epoch), ..config() };
    for (epoch, name, is_told, refused) in [
        (0, format!("+OK {} 0 0", id(5)), false, true),
        (4, format!("+OK {} 0 0", id(5)), false, true),
        (4, format!("+OK {} 4 0", id(5)), false, true),
        // It was made the master by a failover, or a user has said so.
        (4, format!("+OK {} 5 0", id(5)), false, false),
        (4, format!("+OK {} 4.1 0", id(5)), false, false),
        (4, format!("+OK {} 0 0", id(5)), true, false),
        // It is the same node, or no node that knows of such things.
        (4, format!("+OK {master} 4 0"), false, false),
        (4, "-ERR Unrecognized REPLCONF option: node-id".to_string(), false, false),
    ] {
        let mut story = Story::new(config(epoch), Some(own));
        story.greet().hear(&format!("+OK {master} {epoch} 0\r\n")).hear("+CONTINUE\r\n").pass(0);
        story.tell(|link, now, out| link.disconnected(now, "reset", out)).pass(1_000);
        if is_told {
            story.tell(|link, now, out| link.retarget(now, "10.0.0.9", 6379, out));
        }
        story.greet().hear(&format!("{name}\r\n")).hear(&format!("+FULLRESYNC {} 500\r\n", id(2)));
        assert_eq!(story.link.master_lacks_data(), refused, "{name} after {epoch}");
        assert!(!refused || story.link.position() == Some(own), "it keeps what it has");
        if refused {
            // Also when it asks once more.
            story.pass(10_000).greet().hear(&format!("{name}\r\n")).hear(&format!("+FULLRESYNC {} 500\r\n", id(2)));
            assert!(story.link.master_lacks_data());
        }
    }
}

/// A master that is killed may not remember an id that it took just before; what was sent under that id it does.
#[test]
fn until_a_byte_comes_the_old_id_is_asked_for() {
    for (applied, asked) in [(100, id(1)), (101, id(2))] {
        let mut story = Story::new(config(), Some(Position { id: id(1), offset: 100 }));
        story.greet().hear(&format!("+CONTINUE {}\r\n", id(2)));
        story.tell(|link, now, out| {
            link.applied(applied);
            link.disconnected(now, "reset", out);
        });
        assert_eq!(story.link.position(), Some(Position { id: asked, offset: applied }));
    }
}

#[test]
fn a_stream_that_makes_no_sense_is_not_resumed() {
    let mut story = Story::new(config(), Some(Position { id: id(1), offset: 9 }));
    story.greet().hear("+CONTINUE\r\n");
    story.now += 1_000;
    story.tell(|link, now, out| link.protocol_error(now, "no command", out)).said();
    story.greet();
    story.assert_said("send PSYNC ? -1");
}

#[test]
fn a_silent_master_times_out_in_every_state() {
    type Step = fn(&mut Story);
    let steps: [(Step, &str); 4] = [
        (|_| {}, "# Timeout connecting to the MASTER..."),
        (|story| _ = story.greet(), "# Timeout connecting to the MASTER..."),
        (
            |story| _ = story.greet().hear(&full_resync()),
            "# Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' \
             parameter in redis.conf to a larger value.",
        ),
        (
            |story| _ = story.greet().hear(&format!("+CONTINUE {}\r\n", id(1))),
            "# MASTER timeout: no data nor PING received...",
        ),
    ];
    for (step, line) in steps {
        let mut story = Story::new(config(), Some(Position { id: id(1), offset: 9 }));
        story.pass(0);
        step(&mut story);
        story.pass(60_000).said();
        story.pass(1);
        let said = story.said();
        assert_eq!(said[0], line);
        assert_eq!(said[1], "Disconnect");
        assert_eq!(story.link.role_state(), "connecting", "it tries again at once");
    }
}

#[test]
fn a_master_that_can_not_save_is_followed() {
    let mut story = Story::new(config(), None);
    story.connect().hear("-MISCONF Redis is configured to save RDB snapshots\r\n");
    story.assert_said("Master replied to PING, replication can continue");
}

#[test]
fn a_master_that_says_no() {
    let refusals = [
        (0, "-ERR what?\r\n", "# Error reply to PING from master: '-ERR what?'"),
        (1, "-WRONGPASS no\r\n", "# Unable to AUTH to MASTER: -WRONGPASS no"),
        (
            2,
            "-NOMASTERLINK no\r\n",
            "* Master is currently unable to PSYNC but should be in the future: -NOMASTERLINK no",
        ),
        (2, "-LOADING no\r\n", "* Master is currently unable to PSYNC but should be in the future: -LOADING no"),
        (2, "+FULLRESYNC x\r\n", "# Master replied with wrong PSYNC syntax: '+FULLRESYNC x'"),
        (2, "+CONTINUE\r\n", "# The master goes on where nothing was: '+CONTINUE'"),
        (
            2,
            "-LOOP no\r\n",
            "# The master h:6379 replicates from this node, directly or through others: a loop is refused",
        ),
    ];
    for (step, reply, line) in refusals {
        let mut story = Story::new(LinkConfig { login: login(None, "pw"), ..config() }, None);
        story.connect();
        if step > 0 {
            story.hear("-NOAUTH Authentication required.\r\n").assert_said("send AUTH pw REPLCONF");
        }
        if step > 1 {
            story.hear("+OK\r\n+OK\r\n+OK\r\n+OK\r\n").said();
        }
        story.said();
        story.hear(reply);
        assert_eq!(story.said(), [line, "Disconnect"], "{reply:?}");
        story.pass(999);
        assert_eq!((story.said().len(), story.link.role_state()), (0, "connect"));
        story.pass(1).assert_said("Connect");
    }
}

#[test]
fn a_user_is_named() {
    let config = LinkConfig { login: login(Some("u"), "p\n"), ..config() };
    Story::new(config, None).connect().hear("+PONG\r\n").assert_said("send AUTH u p\n REPLCONF");
}

#[test]
fn a_master_without_psync_gets_sync() {
    let mut story = Story::new(config(), Some(Position { id: id(1), offset: 9 }));
    story.greet().said();
    story.hear("-ERR unknown command 'PSYNC'\r\n");
    assert_eq!(
        story.said(),
        [
            "* Master does not support PSYNC or is in error state (reply: -ERR unknown command 'PSYNC')",
            "* Retrying with SYNC...",
            "send SYNC",
        ]
    );
    story.hear("$1\r\nx").tell(|link, now, out| link.loaded(now, Ok(()), out));
    story.assert_said("Adopt(None)");
    story.pass(5_000);
    assert_eq!(story.said(), [""; 0], "it knows no ACK");
    story.tell(|link, now, out| link.disconnected(now, "gone", out));
    assert_eq!(story.link.position(), None);
}

#[test]
fn a_failed_load_keeps_the_old_data_only_beside() {
    let cached = Some(Position { id: id(1), offset: 9 });
    for (load, kept) in [(LoadMode::AfterTransfer, None), (LoadMode::InPlace, None), (LoadMode::Beside, cached)] {
        let mut story = Story::new(LinkConfig { load, ..config() }, cached);
        story.greet().hear(&full_resync()).hear("$3\r\nabc").said();
        story.now += 1_000;
        story.tell(|link, now, out| link.loaded(now, Err("bad"), out));
        let from = if load == LoadMode::AfterTransfer { "disk" } else { "socket" };
        story.assert_said(&format!("# Failed trying to load the MASTER synchronization DB from {from}: bad"));
        assert_eq!((story.link.position(), story.link.has_whole_data()), (kept, kept.is_some()), "{load:?}");
        assert_eq!(story.link.role_state(), "connect");
    }
}

#[test]
fn who_sends_what_is_no_command_again_and_again_is_asked_less_often() {
    let mut story = Story::new(LinkConfig { load: LoadMode::Beside, ..config() }, None);
    let sync = |story: &mut Story| {
        story.greet().hear(&full_resync()).hear("$3\r\nabc");
        story.tell(|link, now, out| link.loaded(now, Ok(()), out)).said();
        story.now += 10;
        story.tell(|link, now, out| link.protocol_error(now, "no command", out));
    };
    sync(&mut story);
    assert!(story.link.retry_in(story.now) <= ATTEMPT_SPACING, "once may be chance");
    story.pass(ATTEMPT_SPACING).said();
    for wait in [1_000, 2_000, 4_000] {
        sync(&mut story);
        story.assert_said(&format!("the next attempt is in {} s", wait / 1000));
        assert_eq!((story.link.retry_in(story.now), story.link.position()), (wait, None));
        story.pass(wait);
    }
}

#[test]
fn what_can_not_be_loaded_is_asked_for_less_and_less_often() {
    let mut story = Story::new(LinkConfig { load: LoadMode::Beside, ..config() }, None);
    for (count, wait) in [(1, 1_000), (2, 2_000), (3, 4_000)] {
        story.greet().hear(&full_resync()).hear("$3\r\nabc").said();
        story.tell(|link, now, out| link.loaded(now, Err("bad"), out));
        story.assert_said(&format!("the next attempt is in {} s", wait / 1000));
        assert_eq!((story.link.unloadable().failures(), story.link.retry_in(story.now)), (count, wait));
        story.pass(wait - 1);
        assert_eq!(story.said(), [""; 0], "it is too soon");
        story.pass(1).assert_said("Connect");
        story.tell(|link, now, out| link.disconnected(now, "refused", out));
        // Another failure does not shorten what follows.
        story.pass(RETRY_PERIOD).said();
    }
    assert_eq!(story.link.unloadable().why(), "bad");
    story.tell(|link, now, out| link.retarget(now, "other", 1, out));
    story.assert_said("Connecting to MASTER other:1");
    assert_eq!(story.link.unloadable().failures(), 0, "that master's may be another");
    story.greet().hear(&full_resync()).hear("$3\r\nabc");
    story.tell(|link, now, out| link.loaded(now, Err("bad"), out));
    story.pass(1_000).greet().hear(&full_resync()).hear("$3\r\nabc");
    story.tell(|link, now, out| link.loaded(now, Ok(()), out));
    assert_eq!(story.link.unloadable().failures(), 0, "it was loaded");
}

#[test]
fn data_is_replaced_when_the_mode_says_so() {
    let order = |load| {
        let mut story = Story::new(LinkConfig { load, ..config() }, None);
        story.greet().hear(&full_resync()).hear("$3\r\nabc");
        story.tell(|link, now, out| link.loaded(now, Ok(()), out));
        let wanted = ["ReplaceData", "store", "PayloadEnd", "Adopt", "Load"];
        let said = story.said();
        let found = said.iter().filter_map(|line| wanted.iter().find(|word| line.starts_with(**word)));
        found.copied().collect::<Vec<_>>()
    };
    assert_eq!(order(LoadMode::AfterTransfer), ["store", "PayloadEnd", "ReplaceData", "Load", "Adopt"]);
    assert_eq!(order(LoadMode::InPlace), ["ReplaceData", "store", "PayloadEnd", "Adopt"]);
    assert_eq!(order(LoadMode::Beside), ["store", "PayloadEnd", "ReplaceData", "Adopt"]);
}

#[test]
fn a_connection_that_ends_while_loading_costs_a_partial_resync() {
    let mut story = Story::new(config(), None);
    story.greet().hear(&full_resync()).hear("$3\r\nabcmore").said();
    story.now += 1_000;
    story.tell(|link, now, out| link.disconnected(now, "gone", out));
    assert_eq!(story.said(), [""; 0]);
    story.pass(1_000);
    assert_eq!(story.said(), [""; 0], "nobody is there to hear a newline");
    story.tell(|link, now, out| link.loaded(now, Ok(()), out));
    let said = story.said();
    assert!(said.iter().all(|line| !line.starts_with("apply") && !line.starts_with("send")), "{said:#?}");
    assert_eq!(story.link.position(), Some(Position { id: id(1), offset: 100 }));
    story.greet().assert_said(&format!("send PSYNC {} 101", id(1)));
}

#[test]
fn another_master_and_none() {
    let mut story = Story::new(config(), Some(Position { id: id(1), offset: 9 }));
    story.greet().hear("+CONTINUE\r\n").said();
    story.tell(|link, now, out| link.retarget(now, "other", 1, out));
    story.assert_said("* Connecting to MASTER other:1");
    story.greet().assert_said(&format!("send PSYNC {} 10", id(1)));
    let (link, mut out) = (story.link, Vec::new());
    link.stop(story.now, &mut out);
    assert_eq!(out[0], Action::Disconnect);
    assert_eq!(out[1], Action::Log(Report::notice("Discarding previously cached master state.")));
}

#[test]
fn a_failover_is_asked_for_once() {
    for (reply, accepted) in [("+CONTINUE\r\n", true), ("-ERR no\r\n", false), ("-NOMASTERLINK no\r\n", false)] {
        let mut story = Story::new(config(), Some(Position { id: id(1), offset: 9 }));
        story.link.request_failover();
        story.greet().assert_said(&format!("send PSYNC {} 10 FAILOVER", id(1)));
        story.hear(reply).assert_said(&format!("FailoverAnswered({accepted})"));
        assert_eq!(story.link.is_up(), accepted);
    }
}

/// Anybody can say that the master is below this node. The probe proves it, which only those above have heard.
#[test]
fn a_loop_is_believed_when_the_probe_comes_back() {
    let probe = format!("send REPLCONF rivulet-probe {}", id(0xe));
    let mut story = Story::new(config(), None);
    story.connect().hear("+PONG\r\n").said();
    story.tell(|link, now, out| link.set_below(now, vec![id(2)], out));
    story.hear(&format!("+OK\r\n+OK\r\n+OK {}\r\n", id(2)));
    assert_eq!(story.said(), [format!("send REPLCONF rivulet-below {}", id(2)), probe.clone()], "it waits");
    story.pass(PROBE_PERIOD - 1);
    assert_eq!(story.said(), [""; 0]);
    story.pass(1).assert_said("send PSYNC");

    // While the stream flows a claim leads to another probe, and to nothing else.
    story.hear(&full_resync()).hear("$1\r\na").tell(|link, now, out| link.loaded(now, Ok(()), out)).said();
    story.tell(|link, now, out| link.set_below(now, vec![id(2), id(3)], out));
    assert_eq!(story.said(), [format!("send REPLCONF rivulet-below {},{}", id(2), id(3)), probe.clone()]);
    story.pass(5_000).said();
    assert!(story.link.is_up());
    story.tell(|link, now, out| link.probe_came(now, id(0xd), out));
    assert_eq!(story.said(), [format!("send REPLCONF rivulet-probe {}", id(0xd))], "others' go on upwards");
    story.tell(|link, now, out| link.probe_came(now, id(0xe), out));
    story.assert_said("a loop is refused");
    assert!(!story.link.is_up());

    // It is over when the probe is not seen any more.
    story.tell(|link, now, out| link.set_below(now, vec![], out)).pass(PROBE_VALID);
    story.tell(|link, now, out| link.connected(now, out)).hear("+PONG\r\n");
    story.hear(&format!("+OK\r\n+OK\r\n+OK {}\r\n", id(2))).assert_said("send PSYNC");
}

#[test]
fn a_probe_waits_for_the_link_that_takes_it_up() {
    let mut story = Story::new(config(), None);
    story.tell(|link, now, out| link.probe_came(now, id(0xd), out));
    story.connect().hear("+PONG\r\n").hear(&format!("+OK\r\n+OK\r\n+OK {}\r\n", id(2)));
    story.assert_said(&format!("send REPLCONF rivulet-probe {}", id(0xd)));
    for n in 0..=PROBES_MAX as u8 {
        story.tell(|link, now, out| link.probe_came(now, id(n + 0x20), out));
    }
    assert_eq!(story.link.probes.len(), PROBES_MAX);
}
