//! Publish and subscribe within transactions, and what a client is told of its own doings.

use rivulet_tests::{Client, Kind, Reply, Server};

fn push(words: &[&str]) -> Reply {
    let kind = b'>';
    Reply::Many(
        kind,
        words.iter().map(|w| w.parse().map_or_else(|_| Reply::Bulk(b'$', w.as_bytes().to_vec()), Reply::Int)).collect(),
    )
}

fn queue(client: &mut Client, commands: &[&str]) {
    client.must("MULTI");
    commands.iter().for_each(|command| assert_eq!(client.must(*command).text(), "QUEUED"));
}

/// Sends a command and answers the next bytes, as many as are wanted: in RESP2 nothing tells a message from a reply.
fn raw(client: &mut Client, command: &str, wanted: &str) {
    client.add(command);
    client.flush().expect("the server reads");
    let mut got = Vec::new();
    while got.len() < wanted.len() {
        got.extend(client.line().expect("a line"));
        got.push(b' ');
    }
    assert_eq!(String::from_utf8_lossy(&got).trim(), wanted.trim());
}

/// The rule of Redis since 7.2: what a client has caused itself to be told follows the reply of its command or transaction.
#[test]
fn messages_of_ones_own_follow_the_reply() {
    for kind in [Kind::Rivulet, Kind::Redis8] {
        if !kind.is_there() {
            continue;
        }
        let server = Server::start(kind, &[]);
        let mut client = server.client();
        client.must("HELLO 3");
        client.must("SUBSCRIBE a");
        assert_eq!(client.must("PUBLISH a 1").int(), 1);
        assert_eq!(client.read().expect("a push"), push_text(&["message", "a", "1"]));
        queue(&mut client, &["PUBLISH a x", "SUBSCRIBE b", "PUBLISH b y", "PING"]);
        raw(
            &mut client,
            "EXEC",
            "*4 :1 >3 $9 subscribe $1 b :2 :1 +PONG >3 $7 message $1 a $1 x >3 $7 message $1 b $1 y",
        );
        client.must("CONFIG SET notify-keyspace-events KEA");
        client.must("PSUBSCRIBE __keyevent*");
        assert!(client.must("SET k 1").is_ok());
        assert_eq!(client.read().expect("a push"), push_text(&["pmessage", "__keyevent*", "__keyevent@0__:set", "k"]));
        queue(&mut client, &["SET k 2", "DEL k"]);
        assert_eq!(client.call("EXEC").items(), [Reply::Line(b'+', b"OK".to_vec()), Reply::Int(1)]);
        for event in ["set", "del"] {
            let channel = format!("__keyevent@0__:{event}");
            assert_eq!(client.read().expect("a push"), push_text(&["pmessage", "__keyevent*", &channel, "k"]));
        }
        client.add("CLIENT REPLY OFF");
        client.add("SET k 3");
        client.add("PUBLISH a z");
        client.add("CLIENT REPLY ON");
        client.flush().expect("the server reads");
        assert_eq!(client.read().expect("a push"), push_text(&["pmessage", "__keyevent*", "__keyevent@0__:set", "k"]));
        assert_eq!(client.read().expect("a push"), push_text(&["message", "a", "z"]));
        assert!(client.read().expect("a reply").is_ok());
    }
}

/// A push whose last word is a text, also where it looks like a number.
fn push_text(words: &[&str]) -> Reply {
    Reply::Many(b'>', words.iter().map(|w| Reply::Bulk(b'$', w.as_bytes().to_vec())).collect())
}

#[test]
fn subscriptions_in_a_transaction() {
    for kind in [Kind::Rivulet, Kind::Redis7, Kind::Redis8] {
        if !kind.is_there() {
            continue;
        }
        let server = Server::start(kind, &[]);
        let mut client = server.client();
        queue(&mut client, &["SUBSCRIBE a b", "PSUBSCRIBE p*", "PUNSUBSCRIBE p*", "UNSUBSCRIBE b", "UNSUBSCRIBE"]);
        raw(
            &mut client,
            "EXEC",
            "*5 *3 $9 subscribe $1 a :1 *3 $9 subscribe $1 b :2 *3 $10 psubscribe $2 p* :3 *3 $12 punsubscribe $2 p* :2 *3 $11 unsubscribe $1 b :1 *3 $11 unsubscribe $1 a :0",
        );
        client.must("PING");
        // What is told of subscriptions comes though replies are off.
        client.add("CLIENT REPLY OFF");
        raw(&mut client, "SUBSCRIBE a", "*3 $9 subscribe $1 a :1");
        raw(&mut client, "UNSUBSCRIBE a", "*3 $11 unsubscribe $1 a :0");
        client.must("CLIENT REPLY ON");
        for protocol in ["HELLO 2", "HELLO 3"] {
            client.must(protocol);
            queue(&mut client, &["SSUBSCRIBE a", "PING"]);
            let replies = client.call("EXEC");
            assert_eq!(
                replies.items()[0].text(),
                "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client",
                "{kind:?}"
            );
            assert_eq!(replies.items()[1].text(), "PONG");
        }
        assert_eq!(push(&["subscribe", "a", "1"]), client.call("SUBSCRIBE a"));
    }
}

#[test]
fn who_goes_is_forgotten_and_the_others_stay() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    let mut clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
    for client in &mut clients {
        client.must("SUBSCRIBE all");
        client.add("PSUBSCRIBE a*");
        client.flush().expect("the server reads");
        client.read().expect("a reply");
    }
    assert_eq!(server.must("PUBLISH all 1").int(), 40);
    clients.drain(5..15);
    rivulet_tests::wait::until("half are gone", || server.must("PUBSUB NUMSUB all").items()[1].int() == 10);
    assert_eq!(server.must("PUBLISH all 2").int(), 20);
    for client in &mut clients {
        let texts: Vec<String> =
            (0..4).map(|_| client.read().expect("a message").items().last().expect("the text").text()).collect();
        assert_eq!(texts, ["1", "1", "2", "2"]);
    }
    drop(clients);
    rivulet_tests::wait::until("all are gone", || server.must("PUBSUB NUMSUB all").items()[1].int() == 0);
    assert_eq!(server.must("PUBSUB NUMPAT").int(), 0);
    assert!(server.must("PUBSUB CHANNELS").items().is_empty());
}
