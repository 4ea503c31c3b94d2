//! Full syncs over two channels: what is said on either, in either way.

use super::*;

impl Story {
    fn hear_on_channel(&mut self, text: &str) -> &mut Story {
        self.tell(|link, now, out| link.channel_received(now, text.as_bytes(), out))
    }

    fn connect_channel(&mut self) -> &mut Story {
        self.tell(|link, now, out| link.channel_connected(now, out))
    }

    /// Up to a second connection that is open, and what is said on it.
    fn greet_both(config: LinkConfig, reply: &str) -> Story {
        let mut story = Story::new(config, None);
        story.greet().hear(reply).said();
        story.connect_channel();
        story
    }
}

fn valkey() -> LinkConfig {
    LinkConfig { dual_channel: true, ..config() }
}

fn redis() -> LinkConfig {
    LinkConfig { rdb_channel: true, ..config() }
}

const DUAL: &str = "+DUALCHANNELSYNC\r\n";
const RDB: &str = "+RDBCHANNELSYNC 5\r\n";
const MARK: &str = "0123456789012345678901234567890123456789";

fn target() -> Position {
    Position { id: id(1), offset: 100 }
}

fn end_offset() -> String {
    format!("$ENDOFF:100 {} -1 6\r\n", id(1))
}

/// A snapshot in its frame.
fn payload(data: &str) -> String {
    format!("$EOF:{MARK}\r\n{data}{MARK}")
}

#[test]
fn valkey_s_way() {
    let mut story = Story::new(
        LinkConfig { shown: Shown { version: Some("7.0.15".to_string()), ..config().shown }, ..valkey() },
        None,
    );
    story.connect().hear("+PONG\r\n");
    story.assert_said("capa eof capa psync2 capa rivulet-acks capa dual-channel REPLCONF version");
    story.hear("+OK\r\n+OK\r\n+OK\r\n+OK\r\n").said();
    story.hear(DUAL);
    assert_eq!(story.said(), ["* PSYNC is not possible, initialize RDB channel.", "OpenChannel"]);
    assert_eq!((story.link.role_state(), story.link.is_syncing(), story.link.is_up()), ("sync", true, false));
    assert!(story.link.is_channel_connecting());
    story.connect_channel();
    let hello = "REPLCONF capa eof rdb-only 1 rdb-channel 1 listening-port 7000 version 7.0.15";
    assert_eq!(story.said(), [format!("send on the channel {hello}")]);
    story.hear_on_channel("+OK\r\n");
    // SYNC is refused as long as the reply before it is not sent.
    assert_eq!(story.said(), ["send on the channel SYNC"]);
    story.hear_on_channel("\n\n").hear_on_channel(&end_offset());
    story.assert_said("send REPLCONF set-rdb-client-id 6");
    story.hear("+OK\r\n");
    assert_eq!(story.said(), [format!("send PSYNC {} 101", id(1))]);
    story.hear(&format!("+CONTINUE {}\r\nearly", id(1))).hear_on_channel(&payload("abc"));
    assert_eq!(story.link.kept_bytes(), 5);
    story.assert_said("CloseChannel");
    story.hear(" bird").tell(|link, now, out| link.loaded(now, Ok(()), out));
    story.said.retain(|line| !line.starts_with('*'));
    let adopt = format!("{:?}", Action::Adopt(Some(target())));
    assert_eq!(story.said(), [adopt.as_str(), "send REPLCONF ACK 100", "apply early bird"]);
    assert!(story.link.is_up());
}

#[test]
fn redis_8_s_way() {
    let mut story = Story::new(LinkConfig { login: login(None, "secret"), ..redis() }, None);
    story.connect().hear("+PONG\r\n");
    story.assert_said("capa eof capa psync2 capa rivulet-acks capa rdb-channel-repl");
    story.hear("+OK\r\n+OK\r\n+OK\r\n-ERR\r\n").hear(RDB).said();
    story.connect_channel();
    let hello = "AUTH secret REPLCONF capa eof rdb-only 1 rdb-channel 1 main-ch-client-id 5 listening-port 7000";
    assert_eq!(story.said(), [format!("send on the channel {hello}")]);
    // The stream may be there before it is known what it follows.
    story.hear_on_channel("+OK\r\n+OK\r\n").hear("ear");
    assert_eq!(story.said(), ["send on the channel PSYNC ? -1"]);
    story.hear_on_channel(&full_resync()).hear("ly").hear_on_channel(&payload("abc"));
    story.tell(|link, now, out| link.loaded(now, Ok(()), out));
    story.assert_said("apply early");
    assert!(story.link.is_up());
    assert_eq!((story.link.kept_bytes(), story.link.kept_bytes_peak()), (0, 5));
}

#[test]
fn any_order_of_the_two_and_any_cut_of_the_bytes() {
    let main = format!("+OK\r\n+CONTINUE {}\r\nearly", id(1));
    let channel = format!("+OK\r\n{}{}", end_offset(), payload("abc"));
    for load in [LoadMode::AfterTransfer, LoadMode::InPlace, LoadMode::Beside] {
        for size in [1, 3, 50, 1000] {
            for main_first in [true, false] {
                let mut story = Story::greet_both(LinkConfig { load, ..valkey() }, DUAL);
                // What the main connection says is an answer, and comes after where the snapshot stands.
                let (head, tail) = channel.split_at(5 + end_offset().len());
                let pieces = |text: &str| -> Vec<String> {
                    text.as_bytes().chunks(size).map(|piece| String::from_utf8(piece.to_vec()).unwrap()).collect()
                };
                pieces(head).iter().for_each(|piece| _ = story.hear_on_channel(piece));
                if main_first {
                    pieces(&main).iter().for_each(|piece| _ = story.hear(piece));
                }
                pieces(tail).iter().for_each(|piece| _ = story.hear_on_channel(piece));
                assert!(matches!(story.link.state, State::Loading { .. }) && !story.link.has_whole_data());
                story.tell(|link, now, out| link.loaded(now, Ok(()), out));
                assert_eq!(story.link.is_up(), main_first);
                assert!(story.link.has_whole_data());
                if !main_first {
                    pieces(&main).iter().for_each(|piece| _ = story.hear(piece));
                }
                assert!(story.link.is_up(), "{load:?} {size}");
                let stored: String = story.said.iter().filter_map(|line| line.strip_prefix("store ")).collect();
                let applied: String = story.said.iter().filter_map(|line| line.strip_prefix("apply ")).collect();
                assert_eq!((stored.as_str(), applied.as_str()), ("abc", "early"));
                assert_eq!(story.said.iter().filter(|line| line.starts_with("send PSYNC")).count(), 1);
            }
        }
    }
}

#[test]
fn the_loss_of_either_ends_both() {
    let transfers = |story: &mut Story| {
        story.hear_on_channel(&format!("+OK\r\n{}$EOF:{MARK}\r\nab", full_resync()));
        story.now += 1_000;
        story.said();
    };
    for load in [LoadMode::AfterTransfer, LoadMode::InPlace] {
        for main in [true, false] {
            let mut story = Story::greet_both(LinkConfig { load, ..redis() }, RDB);
            transfers(&mut story);
            story.tell(|link, now, out| match main {
                true => link.disconnected(now, "reset", out),
                false => link.channel_disconnected(now, "reset", out),
            });
            let said = story.said();
            assert!(said.contains(&"Disconnect".to_string()) && said.contains(&"Connect".to_string()), "{said:#?}");
            assert!(!story.link.has_whole_data(), "there was nothing before");
            assert_eq!((story.link.role_state(), story.link.kept_bytes()), ("connecting", 0));
            // What was on its way comes too late.
            story.hear_on_channel("cd").hear("x");
            assert_eq!(story.said(), [""; 0]);
        }
    }
    let mut story = Story::greet_both(redis(), RDB);
    transfers(&mut story);
    story.hear_on_channel(MARK).said();
    story.tell(|link, now, out| link.channel_disconnected(now, "closed", out));
    assert_eq!(story.said(), [""; 0], "the snapshot is whole: its connection may end");
    story.tell(|link, now, out| link.disconnected(now, "reset", out));
    story.tell(|link, now, out| link.loaded(now, Ok(()), out));
    story.assert_said("Reconnecting to MASTER");
    assert_eq!(story.link.position(), Some(target()), "a partial resync brings the rest");
}

#[test]
fn a_second_connection_that_fails_leads_to_one_channel() {
    let failures: [fn(&mut Story); 4] = [
        |story| _ = story.tell(|link, now, out| link.channel_disconnected(now, "refused", out)),
        |story| _ = story.hear_on_channel("-NOPERM no\r\n"),
        |story| _ = story.hear_on_channel("+OK\r\n-ERR no RDB channel\r\n"),
        |story| _ = story.hear_on_channel(&"x".repeat(5_000)),
    ];
    for fail in failures {
        let mut story = Story::greet_both(redis(), RDB);
        fail(&mut story);
        story.assert_said("The next attempt goes over one channel.");
        assert_eq!(story.link.role_state(), "connect");
        story.pass(1_000).tell(|link, now, out| link.connected(now, out)).hear("+PONG\r\n");
        assert!(!story.said().iter().any(|line| line.contains("rdb-channel-repl")));
    }
}

#[test]
fn a_stream_that_is_not_granted() {
    for reply in ["-ERR unknown client\r\n", "+OK\r\n-NOMASTERLINK\r\n", "+OK\r\n+FULLRESYNC x 1\r\n"] {
        let mut story = Story::greet_both(valkey(), DUAL);
        story.hear_on_channel(&format!("+OK\r\n{}", end_offset())).hear(reply);
        story.assert_said("The master does not send what follows its snapshot");
        assert_eq!(story.link.role_state(), "connect", "{reply}");
    }
    // After the load, an answer is as good as any other to a PSYNC.
    let mut story = Story::greet_both(valkey(), DUAL);
    story.hear_on_channel(&format!("+OK\r\n{}{}", end_offset(), payload("abc")));
    story.tell(|link, now, out| link.loaded(now, Ok(()), out)).hear("+OK\r\n").hear("-LOADING later\r\n");
    story.assert_said("unable to PSYNC but should be in the future");
    assert_eq!(story.link.position(), Some(target()));
}

#[test]
fn heartbeats_and_time_outs_of_two_channels() {
    let mut story = Story::greet_both(redis(), RDB);
    story.said();
    story.pass(1_000).pass(500).pass(500);
    assert_eq!(story.said(), ["send \n", "send \n"]);
    story.pass(58_000).hear_on_channel("\n").pass(60_000);
    assert_eq!(story.link.role_state(), "sync", "either connection keeps it going");
    story.hear("x").pass(60_000).said();
    story.pass(1);
    story.assert_said("Timeout receiving bulk data from MASTER");
}

#[test]
fn the_stream_is_read_until_enough_is_kept() {
    let mut story = Story::greet_both(redis(), RDB);
    assert!(story.link.wants_read());
    story.hear("123456789");
    assert!(story.link.wants_read());
    story.hear("0");
    assert!(!story.link.wants_read());
    story.hear_on_channel(&format!("+OK\r\n{}{}", full_resync(), payload("")));
    assert!(!story.link.wants_read(), "nor while it loads");
    story.tell(|link, now, out| link.loaded(now, Ok(()), out));
    assert!(story.link.wants_read());
}
