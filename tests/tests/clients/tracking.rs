//! Client-side caching: who is told of which key and when, beside Redis; and a client with a cache, which must never keep what is no longer true.

mod cache;
mod stories;

use rivulet_tests::{Client, Kind, Reply, Server};

#[test]
fn what_is_told_is_what_redis_tells() {
    for story in stories::ALL {
        let ours = stories::play(Kind::Rivulet, story);
        for &peer in story.beside.iter().filter(|peer| peer.is_there()) {
            let theirs = stories::play(peer, story);
            let same = theirs.iter().zip(&ours).take_while(|(theirs, ours)| theirs == ours).count();
            let from = theirs[..same].iter().rposition(|line| line.starts_with("==")).unwrap_or(0);
            let shown = |lines: &[String]| lines[from..lines.len().min(same + 4)].join("\n");
            let (name, differ) = (story.name, theirs != ours);
            assert!(!differ, "{name}\n{peer:?}:\n{}\nRivulet:\n{}", shown(&theirs), shown(&ours));
        }
    }
}

/// A client that caches; what it was told is left in the connection.
fn tracker(server: &Server, options: &str) -> Client {
    let mut client = server.client();
    client.must("HELLO 3");
    client.must(&format!("CLIENT TRACKING ON {options}"));
    client
}

fn invalidate(keys: &[&str]) -> Reply {
    let bulk = |text: &str| Reply::Bulk(b'$', text.as_bytes().to_vec());
    let keys = keys.iter().map(|key| bulk(key)).collect();
    Reply::Many(b'>', vec![bulk("invalidate"), Reply::Many(b'*', keys)])
}

fn invalidate_all() -> Reply {
    Reply::Many(b'>', vec![Reply::Bulk(b'$', b"invalidate".to_vec()), Reply::Nil(b'_')])
}

/// Keys that go by themselves are told to those as well who do not want to hear of their own changes (Redis does so in broadcasting mode alone).
#[test]
fn nobody_keeps_a_key_that_went_by_itself() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    let mut client = tracker(&server, "NOLOOP");
    server.must("DEBUG SET-ACTIVE-EXPIRE 0");
    server.must("SET k 1 PX 100");
    client.must("GET k");
    rivulet_tests::wait::pause(std::time::Duration::from_millis(120));
    assert_eq!(client.must("EXISTS k").int(), 0);
    assert_eq!(client.read().expect("a push"), invalidate(&["k"]));
    server.must("CONFIG SET tracking-table-max-keys 1");
    client.must("MGET a b");
    let told = client.read().expect("a push");
    assert!(["k", "a", "b"].iter().any(|key| told == invalidate(&[key])), "one of three is kept: {told:?}");
}

#[test]
fn databases_that_are_exchanged_are_other_data() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    let mut client = tracker(&server, "");
    client.must("GET k");
    server.must("SWAPDB 1 1");
    assert_eq!(client.must("PING").text(), "PONG");
    server.must("SWAPDB 0 1");
    assert_eq!(client.read().expect("a push"), invalidate_all());
}

#[test]
fn the_table_is_kept_within_its_limit_and_forgotten_with_the_last_who_tracks() {
    let mut server = Server::start(Kind::Rivulet, &["--tracking-table-max-keys", "1000"]);
    let mut reader = tracker(&server, "");
    let mut other = tracker(&server, "");
    let mut told = 0;
    for i in 0..50 {
        let keys: Vec<String> = (0..200).map(|n| format!("key{}", i * 200 + n)).collect();
        reader.add(&format!("MGET {}", keys.join(" ")));
        reader.flush().expect("the server reads");
        // Whatever was told comes before or behind the reply.
        while let Reply::Many(b'>', _) = reader.read().expect("a reply") {
            told += 1;
        }
        assert!(server.count("tracking_total_keys") <= 1000);
    }
    reader.add("PING");
    reader.flush().expect("the server reads");
    while let Reply::Many(b'>', _) = reader.read().expect("a reply") {
        told += 1;
    }
    assert_eq!((told, server.count("tracking_total_keys")), (9000, 1000));
    other.must("GET key9999");
    drop(reader);
    rivulet_tests::wait::until("the reader has gone", || server.count("tracking_clients") == 1);
    assert!(server.count("tracking_total_keys") >= 1000, "the other may have read any of them");
    server.must("CONFIG SET tracking-table-max-keys 10");
    rivulet_tests::wait::until("the rest is forgotten", || server.count("tracking_total_keys") == 10);
    drop(other);
    rivulet_tests::wait::until("nobody tracks", || server.count("tracking_clients") == 0);
    assert_eq!((server.count("tracking_total_keys"), server.count("tracking_total_items")), (0, 0));
}

/// Connections that come, read one key that never changes, and go.
#[test]
fn a_key_that_never_changes_does_not_remember_all_who_ever_read_it() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    let _stays = tracker(&server, "");
    for _ in 0..300 {
        tracker(&server, "").must("GET hot");
    }
    assert!(server.count("tracking_total_items") < 50, "{}", server.count("tracking_total_items"));
}

/// Messages that a client does not read count as its output.
#[test]
fn who_does_not_read_its_messages_is_cut_off() {
    let mut server = Server::start(Kind::Rivulet, &["--client-output-buffer-limit", "normal 1mb 0 0"]);
    let mut client = tracker(&server, "BCAST");
    let key = "k".repeat(100_000);
    rivulet_tests::wait::until("it is over the limit", || {
        server.must(&["SET", &key, "1"]);
        server.count("client_output_buffer_limit_disconnections") == 1
    });
    assert_eq!(server.count("tracking_clients"), 0);
    assert_eq!(server.count("tracking_total_prefixes"), 0);
    rivulet_tests::wait::until("the connection ends", || client.read().is_err());
}

/// A replica's clients are told of what the master's stream changes, and of a full sync.
#[test]
fn clients_of_a_replica_are_told() {
    let mut master = Server::start(Kind::Rivulet, &[]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    let mut client = tracker(&replica, "");
    let mut listener = tracker(&replica, "BCAST PREFIX b");
    client.must("GET k");
    replica.follow(&master);
    for told in [&mut client, &mut listener] {
        assert_eq!(told.read().expect("a push"), invalidate_all());
    }
    client.must("MGET k expiring");
    master.must("MSET k 1 b1 1 b2 2 other 1");
    master.must("SET expiring 1 PX 50");
    for key in ["k", "expiring"] {
        assert_eq!(client.read().expect("a push"), invalidate(&[key]));
    }
    assert_eq!(listener.read().expect("a push"), invalidate(&["b1", "b2"]));
    assert_eq!(client.must("GET k").text(), "1");
    master.must("FLUSHDB");
    assert_eq!(client.read().expect("a push"), invalidate_all());
    // Its own keys, which it expires itself.
    replica.must("CONFIG SET replica-read-only no");
    replica.must("SET own 1 PX 100");
    client.must("EXISTS own");
    assert_eq!(client.read().expect("a push"), invalidate(&["own"]));
}
