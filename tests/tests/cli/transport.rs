//! How the server is reached: sockets, TLS, URIs, passwords; and redirections of a cluster.

use std::io::{Read, Write};
use std::net::TcpListener;

use rivulet_tests::process::rivulet;
use rivulet_tests::tls::{Authority, Use};
use rivulet_tests::{Kind, Server};

use crate::Call;

fn ping(args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let outcome = Call { args, env, ..Call::default() }.run_at(&rivulet("rivulet-cli"), &[]);
    (outcome.status, outcome.out, outcome.err)
}

fn pong() -> (Option<i32>, String, String) {
    (Some(0), "PONG\n".into(), String::new())
}

#[test]
fn a_socket_of_the_machine() {
    let server = Server::prepare(Kind::Rivulet, &[]);
    let path = server.dir.path().join("socket").display().to_string();
    let server = Server::start(Kind::Rivulet, &["--unixsocket", &path, "--requirepass", "pw"]);
    assert_eq!(ping(&["-s", &path, "--no-auth-warning", "-a", "pw", "PING"], &[]), pong());
    let uri = format!("unix://pw@{path}?db=3");
    assert_eq!(ping(&["--no-auth-warning", "-u", &uri, "PING"], &[]), pong());
    drop(server);
}

#[test]
fn passwords_and_uris() {
    let mut server = Server::start(Kind::Rivulet, &["--requirepass", "secret"]);
    let port = server.port.to_string();
    server.must("ACL SETUSER joe on >p@ss ~* +@all");
    let uri = format!("redis://joe:p%40ss@127.0.0.1:{port}/2");
    assert_eq!(ping(&["--no-auth-warning", "-u", &uri, "PING"], &[]), pong());
    assert_eq!(ping(&["--no-auth-warning", "-u", &uri, "SET", "k", "v"], &[]).1, "OK\n");
    server.must("SELECT 2");
    assert_eq!(server.call("GET k").text(), "v", "the URI's database");
    assert_eq!(ping(&["-p", &port, "PING"], &[("REDISCLI_AUTH", "secret")]), pong());
    assert_eq!(ping(&["-p", &port, "--user", "joe", "PING"], &[("REDISCLI_AUTH", "p@ss")]), pong());
    let call = Call { args: &["--askpass", "PING"], input: b"secret\n", ..Call::default() };
    assert_eq!(call.run(&rivulet("rivulet-cli"), &server).out, "PONG\n");
    let (status, out, err) = ping(&["-p", &port, "PING"], &[]);
    assert_eq!((status, out.as_str(), err.as_str()), (Some(0), "NOAUTH Authentication required.\n\n", ""));
}

#[test]
fn tls_with_authorities_and_certificates() {
    let authority = Authority::new("An authority");
    authority.sign_for("server", Use::Any);
    authority.sign_for("client", Use::Client);
    let port = rivulet_tests::process::free_port();
    let args = authority.server_args("server", port);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let _server = Server::start(Kind::Rivulet, &[&args[..], &["--tls-auth-clients", "yes"]].concat());
    let file = |name: &str| authority.dir.path().join(name).display().to_string();
    let (ca, certificate, key) = (file("ca.crt"), file("client.crt"), file("client.key"));
    let dir = authority.dir.path().display().to_string();
    let port = port.to_string();
    let own = ["--cert", &certificate, "--key", &key, "PING"];
    let tls = |more: &[&str]| ping(&[&["-p", &port, "--tls"], more, &own].concat(), &[]);
    assert_eq!(tls(&["--cacert", &ca]), pong());
    assert_eq!(tls(&["--cacert", &ca, "--sni", "localhost"]), pong());
    assert_eq!(tls(&["--cacertdir", &dir]), pong());
    assert_eq!(tls(&["--insecure"]), pong());
    assert_eq!(tls(&["--cacert", &ca, "--tls-ciphersuites", "TLS_AES_256_GCM_SHA384"]), pong());
    let uri = format!("rediss://127.0.0.1:{port}");
    assert_eq!(ping(&[&["-u", &uri, "--cacert", &ca][..], &own].concat(), &[]), pong());

    let other = Authority::new("Another one");
    let stranger = other.dir.path().join("ca.crt").display().to_string();
    for (wrong, message) in [
        (vec!["--cacert", stranger.as_str()], "Could not negotiate a TLS connection: "),
        (vec!["--cacert", "/nonexistent"], "Could not negotiate a TLS connection: /nonexistent: No such file"),
        (vec!["--cacert", &key], "Could not negotiate a TLS connection: Invalid CA Certificate File/Directory: "),
    ] {
        let (status, _, err) = tls(&wrong);
        assert!(status == Some(1) && err.starts_with(message), "{wrong:?}: {status:?} {err}");
    }
    let without = ping(&["-p", &port, "--tls", "--cacert", &ca, "PING"], &[]);
    assert_eq!(without.0, Some(1), "the server wants a certificate: {}", without.2);
}

/// Answers one connection after the other with what is said in turn; gives back what it was sent.
fn node(replies: Vec<&'static str>) -> (u16, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        let mut got = String::new();
        for reply in replies {
            let mut buffer = [0; 1024];
            let n = socket.read(&mut buffer).expect("a command");
            got += &String::from_utf8_lossy(&buffer[..n]);
            socket.write_all(reply.as_bytes()).expect("sent");
        }
        got
    });
    (port, thread)
}

#[test]
fn a_clusters_redirections_are_followed() {
    let (second, answered) = node(vec!["+OK\r\n", "+OK\r\n"]);
    let ask: &'static str = format!("-ASK 12182 127.0.0.1:{second}\r\n").leak();
    let (first, asked) = node(vec![ask]);
    let port = first.to_string();
    assert_eq!(ping(&["-c", "-p", &port, "SET", "foo", "bar"], &[]).1, "OK\n");
    asked.join().expect("no panic");
    let got = answered.join().expect("no panic");
    assert!(got.starts_with("*1\r\n$6\r\nASKING\r\n*3\r\n"), "{got}");

    let (second, answered) = node(vec!["+OK\r\n"]);
    let moved: &'static str = format!("-MOVED 12182 :{second}\r\n").leak();
    let (first, _asked) = node(vec![moved]);
    assert_eq!(ping(&["-c", "-p", &first.to_string(), "SET", "foo", "bar"], &[]).1, "OK\n");
    assert!(answered.join().expect("no panic").starts_with("*3\r\n"), "MOVED needs no ASKING");
}

#[test]
fn strange_servers_are_named_as_such() {
    for (reply, message) in [
        ("HTTP/1.1 400 Bad Request\r\n", "Error: Protocol error, a reply begins with 'H'\n"),
        ("$-7\r\n", "Error: Protocol error, a length is out of range\n"),
        ("$5\r\nab", "Error: Server closed the connection\n"),
    ] {
        let (port, thread) = node(vec![reply]);
        let (status, out, err) = ping(&["-p", &port.to_string(), "PING"], &[]);
        assert_eq!((status, out.as_str(), err.as_str()), (Some(1), "", message));
        thread.join().expect("no panic");
    }
}
