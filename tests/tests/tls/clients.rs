//! Clients that come by TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rivulet_tests::tls::{Authority, Use, client_config, session};
use rivulet_tests::{Client, Kind, wait};
use rustls::ClientConfig;
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};

use crate::{authority, start};

/// Whether the server serves whom this configuration lets in.
fn is_served(port: u16, config: &Arc<ClientConfig>) -> bool {
    Client::connect_tls(port, config)
        .and_then(|mut client| client.try_call("PING"))
        .is_ok_and(|reply| !reply.is_error())
}

#[test]
fn pipelines_of_megabytes_go_both_ways() {
    let authority = authority();
    let (_server, port) = start(Kind::Rivulet, &authority, &["--tls-auth-clients", "no"]);
    for version in [&TLS12, &TLS13] {
        let mut client = Client::connect_tls(port, &client_config(None, &[version])).expect("it is served");
        let value = |i: usize| vec![b'a' + (i % 26) as u8; 10_000 + i];
        let words = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect::<Vec<_>>();
        let key = |i: usize| format!("key:{i}").into_bytes();
        let sets: Vec<_> = (0..120).map(|i| words(&[b"SET", &key(i), &value(i)])).collect();
        assert!(client.pipeline(&sets).iter().all(|reply| reply.is_ok()));
        let gets: Vec<_> = (0..120).map(|i| words(&[b"GET", &key(i)])).collect();
        for (i, reply) in client.pipeline(&gets).iter().enumerate() {
            assert!(reply.bytes() == value(i), "key {i}");
        }
        // One that is larger than any buffer, and not a number of whole records.
        let large: Vec<u8> = (0..7_654_321u32).map(|at| ((at * 31) >> 3) as u8).collect();
        client.must(&[&b"SET"[..], b"large", &large]);
        assert!(client.must("GET large").bytes() == large);
        // Small ones, as many as there are records.
        let pings: Vec<_> = (0..20_000).map(|_| words(&[b"PING"])).collect();
        assert!(client.pipeline(&pings).iter().all(|reply| reply.bytes() == b"PONG"));
    }
}

#[test]
fn a_client_shows_what_is_asked_of_it() {
    let (authority, other) = (authority(), Authority::new("Another"));
    other.sign_for("client", Use::Client);
    authority.sign("late", Use::Client, 2001..2002);
    authority.sign_for("wrong", Use::Server);
    let (mut server, port) = start(Kind::Rivulet, &authority, &[]);
    let none = authority.client(None);
    let good = authority.client(Some("client"));
    let bad = [other.client(Some("client")), authority.client(Some("late")), authority.client(Some("wrong"))];
    assert!(!is_served(port, &none) && is_served(port, &good));
    assert!(bad.iter().all(|config| !is_served(port, config)));
    wait::until("the log says so", || server.log().matches("Error accepting a client connection: ").count() == 4);
    assert_eq!(server.count("tls_handshakes_failed"), 4);
    server.must("CONFIG SET tls-auth-clients optional");
    assert!(is_served(port, &none) && is_served(port, &good));
    assert!(bad.iter().all(|config| !is_served(port, config)), "a bad one is worse than none");
    server.must("CONFIG SET tls-auth-clients no");
    assert!(is_served(port, &none) && bad.iter().all(|config| is_served(port, config)));
    server.must("CONFIG SET tls-auth-clients yes");
    assert!(!is_served(port, &none) && is_served(port, &good), "a session without a certificate is not resumed");
    wait::until("nobody is left behind", || server.must("CLIENT LIST").text().lines().count() == 1);
}

#[test]
fn sessions_are_resumed() {
    let authority = authority();
    let (mut server, port) = start(Kind::Rivulet, &authority, &[]);
    for version in [&TLS12, &TLS13] {
        let shown = (authority.path("client", "crt"), authority.path("client", "key"));
        let config = client_config(Some((&shown.0, &shown.1)), &[version]);
        let handshake = || {
            let mut client = Client::connect_tls(port, &config).expect("it is served");
            client.must("PING");
            client.tls().handshake_kind().expect("it is done")
        };
        assert_eq!(handshake(), HandshakeKind::Full);
        assert_eq!([handshake(), handshake()], [HandshakeKind::Resumed; 2]);
        server.must(&["CONFIG", "SET", "tls-cert-file", &authority.text("server", "crt")]);
        assert_eq!([handshake(), handshake()], [HandshakeKind::Full, HandshakeKind::Resumed]);
        server.must("CONFIG SET tls-session-cache-timeout 1");
        assert_eq!(handshake(), HandshakeKind::Full);
        wait::pause(Duration::from_millis(1100));
        assert_eq!(handshake(), HandshakeKind::Full, "its time is over");
        server.must("CONFIG SET tls-session-caching no");
        assert_eq!([handshake(), handshake()], [HandshakeKind::Full; 2]);
        server.must("CONFIG SET tls-session-caching yes tls-session-cache-timeout 300");
    }
}

#[test]
fn the_first_command_may_come_with_the_end_of_the_handshake() {
    let authority = authority();
    let (_server, port) = start(Kind::Rivulet, &authority, &["--tls-auth-clients", "no"]);
    for version in [&TLS12, &TLS13] {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        socket.set_nodelay(true).expect("it can be set");
        let mut session = session(&client_config(None, &[version]));
        let mut has_asked = false;
        let mut reply = Vec::new();
        while reply != b"+PONG\r\n+PONG\r\n" {
            if !session.is_handshaking() && !has_asked {
                has_asked = true;
                session.writer().write_all(b"PING\r\nPING\r\n").expect("it is taken");
            }
            let mut records = Vec::new();
            while session.wants_write() {
                session.write_tls(&mut records).expect("it is written");
            }
            // Every byte on its own, or all at once.
            for bytes in records.chunks(if *version == TLS12 { 1 } else { usize::MAX }) {
                socket.write_all(bytes).expect("it is taken");
            }
            if !session.is_handshaking() && !has_asked {
                continue;
            }
            assert!(session.read_tls(&mut socket).expect("it answers") > 0, "it has closed");
            session.process_new_packets().expect("records");
            let _ = session.reader().read_to_end(&mut reply);
        }
    }
}

#[test]
fn who_says_that_it_is_done_is_let_go() {
    let authority = authority();
    let (mut server, port) = start(Kind::Rivulet, &authority, &["--tls-auth-clients", "no"]);
    let mut client = Client::connect_tls(port, &authority.client(None)).expect("it is served");
    client.must("SET key value");
    assert_eq!(server.must("CLIENT LIST").text().lines().count(), 2);
    // The alert comes with a command; the socket stays open.
    client.add("APPEND key more");
    client.flush().expect("it is sent");
    client.tls().send_close_notify();
    client.send_raw(b"").expect("it is sent");
    wait::until("it has gone", || server.must("CLIENT LIST").text().lines().count() == 1);
    assert_eq!(server.must("GET key").text(), "valuemore");
    assert_eq!(client.read().expect("the reply was sent before").int(), 9);
    assert!(client.read().is_err(), "the connection is closed");
    // QUIT gets its reply, and then the end.
    let mut client = Client::connect_tls(port, &authority.client(None)).expect("it is served");
    assert!(client.must("QUIT").is_ok());
    assert_eq!(client.read().expect_err("it is closed").to_string(), "the connection is closed");
}

#[test]
fn what_is_no_tls_is_refused() {
    let authority = authority();
    let (mut server, port) = start(Kind::Rivulet, &authority, &[]);
    let mut client = Client::connect(port).expect("it listens");
    assert!(client.try_call("PING").is_err());
    assert!(
        Client::connect_tls(server.port, &authority.client(Some("client"))).is_err(),
        "nor TLS where there is none"
    );
    wait::until("both are gone", || server.must("CLIENT LIST").text().lines().count() == 1);
    assert!(server.log().contains("Error accepting a client connection: "), "{}", server.log());
}

#[test]
fn a_certificate_may_say_who_a_client_is() {
    let authority = authority();
    for kind in [Kind::Rivulet, Kind::Valkey9].into_iter().filter(|kind| kind.is_there()) {
        let (mut server, port) = start(kind, &authority, &["--tls-auth-clients", "optional"]);
        let who = |shown: Option<&str>| {
            let mut client = Client::connect_tls(port, &authority.client(shown)).expect("it is served");
            client.must("ACL WHOAMI").text()
        };
        if server.call("CONFIG SET tls-auth-clients-user CN").is_error() && kind != Kind::Rivulet {
            println!("skipped: {kind:?} knows no users by certificate");
            continue;
        }
        assert_eq!(server.must("CONFIG GET tls-auth-clients-user").items()[1].text(), "CN");
        assert_eq!(who(Some("client")), "default", "there is no such user");
        server.must("ACL SETUSER client off >secret ~* &* +@all");
        assert_eq!(who(Some("client")), "default", "it can't log in");
        assert_eq!(server.count("acl_access_denied_tls_cert"), 2, "{kind:?}");
        let line = server.must("ACL LOG 1").items()[0].clone();
        let field = |name: &str| line.field(name).map(rivulet_tests::Reply::text);
        assert_eq!((field("reason"), field("username")), (Some("tls-cert".into()), Some("client".into())));
        server.must("ACL SETUSER client on");
        assert_eq!((who(Some("client")), who(None)), ("client".into(), "default".into()));
        let mut named = Client::connect_tls(port, &authority.client(Some("client"))).expect("it is served");
        named.must("PING");
        server.must("ACL SETUSER client -set");
        assert!(named.call("SET key value").text().starts_with("NOPERM"), "{kind:?}");
        server.must("ACL DELUSER client");
        assert!(named.try_call("PING").is_err(), "{kind:?}: whose user goes, goes");
        // Whom the default user's password would keep out.
        server.must("ACL SETUSER client on nopass ~* &* +@all");
        server.must("ACL SETUSER default >secret");
        server.must("AUTH secret");
        assert_eq!(who(Some("client")), "client");
        let mut nobody = Client::connect_tls(port, &authority.client(None)).expect("it is served");
        assert!(nobody.call("PING").text().starts_with("NOAUTH"));
        server.must("CONFIG SET tls-auth-clients-user off");
        let mut nobody = Client::connect_tls(port, &authority.client(Some("client"))).expect("it is served");
        assert!(nobody.call("PING").text().starts_with("NOAUTH"));
    }
}
