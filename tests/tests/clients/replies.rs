//! CLIENT REPLY: which replies are sent, whenever they come.

use std::io::{Read, Write};
use std::net::TcpStream;

use rivulet_tests::{Client, Kind, Server, wait};

/// Sends all lines, of which only the last is answered.
fn last_of(client: &mut Client, lines: &[&str]) -> String {
    send(client, lines);
    client.read().expect("a reply").text()
}

fn send(client: &mut Client, lines: &[&str]) {
    lines.iter().for_each(|line| client.add(*line));
    client.flush().expect("the server reads");
}

#[test]
fn who_wants_no_reply_gets_none_when_a_wait_ends() {
    for kind in [Kind::Rivulet, Kind::Redis7, Kind::Redis8] {
        if !kind.is_there() {
            continue;
        }
        let mut server = Server::start(kind, &[]);
        let mut client = server.client();
        for waits in ["WAIT 1 50", "BLPOP none 0.05", "BLMOVE none other LEFT LEFT 0.05", "WAITAOF 0 1 50"] {
            assert_eq!(last_of(&mut client, &["CLIENT REPLY SKIP", waits, "ECHO next"]), "next", "{kind:?} {waits}");
            let lines = ["CLIENT REPLY OFF", waits, waits, "CLIENT REPLY ON"];
            assert_eq!(last_of(&mut client, &lines), "OK", "{kind:?} {waits}");
        }
        let id = client.must("CLIENT ID").int().to_string();
        for how in ["TIMEOUT", "ERROR"] {
            send(&mut client, &["CLIENT REPLY SKIP", "BLPOP none 0", "ECHO next"]);
            wait::until("it waits", || server.count("blocked_clients") == 1);
            assert_eq!(server.must(&["CLIENT", "UNBLOCK", &id, how]).int(), 1);
            assert_eq!(client.read().expect("a reply").text(), "next", "{kind:?} {how}");
        }
        // Who is served, or wants a reply, is as before.
        send(&mut client, &["CLIENT REPLY SKIP", "BLPOP list 0", "ECHO next"]);
        wait::until("it waits", || server.count("blocked_clients") == 1);
        server.must("RPUSH list a");
        assert_eq!(client.read().expect("a reply").text(), "next", "{kind:?}");
        assert_eq!(client.must("WAIT 1 10").int(), 0);
    }
}

#[test]
fn a_command_that_waits_for_a_pause_is_still_the_one_to_be_skipped() {
    for kind in [Kind::Rivulet, Kind::Redis7, Kind::Redis8] {
        if !kind.is_there() {
            continue;
        }
        let mut server = Server::start(kind, &[]);
        let mut client = server.client();
        server.must("CLIENT PAUSE 100 WRITE");
        assert_eq!(last_of(&mut client, &["CLIENT REPLY SKIP", "INCR k", "ECHO next"]), "next", "{kind:?}");
        assert_eq!(client.must("INCR k").int(), 2, "{kind:?}");
    }
}

#[test]
fn who_wants_no_reply_gets_none_to_a_verification() {
    let server = Server::start(Kind::Rivulet, &[]);
    let mut client = server.client();
    assert_eq!(last_of(&mut client, &["CLIENT REPLY SKIP", "REPLICATION VERIFY", "ECHO next"]), "next");
}

#[test]
fn what_is_no_request_is_told_to_who_wants_replies() {
    for kind in [Kind::Rivulet, Kind::Redis7, Kind::Redis8] {
        if !kind.is_there() {
            continue;
        }
        let server = Server::start(kind, &[]);
        let error = "-ERR Protocol error: invalid multibulk length\r\n";
        for (lines, told) in [("", error), ("OFF", ""), ("SKIP", ""), ("SKIP\r\nPING", error)] {
            // With nothing to send Redis forgets to close.
            if told.is_empty() && kind != Kind::Rivulet {
                continue;
            }
            let mut socket = TcpStream::connect(("127.0.0.1", server.port)).expect("the server accepts");
            let first = if lines.is_empty() { String::new() } else { format!("CLIENT REPLY {lines}\r\n") };
            socket.write_all(format!("{first}*x\r\n").as_bytes()).expect("the server reads");
            let mut text = String::new();
            socket.read_to_string(&mut text).expect("it closes");
            assert_eq!(text, told, "{kind:?} {lines}");
        }
    }
}
