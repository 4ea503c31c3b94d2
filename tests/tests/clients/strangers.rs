//! Clients that have not authenticated, or have sent half a command: what they can make the server keep.

use std::io::{Read, Write};
use std::net::TcpStream;

use rivulet_tests::{Kind, Server, wait};

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(("127.0.0.1", server.port)).expect("the server accepts")
}

/// Whether the server has closed the connection; what came before is thrown away.
fn is_closed(socket: &mut TcpStream) -> bool {
    socket.set_nonblocking(true).expect("it can be set");
    let mut buffer = [0; 65536];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(e) => return e.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

/// Half a command on so many connections drives no key out.
#[test]
fn half_a_command_costs_what_was_sent() {
    for options in [&["--maxclients", "2000"][..], &["--maxclients", "2000", "--requirepass", "secret"]] {
        let options = [options, &["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]].concat();
        let mut server = Server::start(Kind::Rivulet, &options);
        server.must("DEBUG POPULATE 80 key 1000000");
        let before = server.count("used_memory");
        assert!(before > 75 << 20, "{before}");
        let sockets: Vec<TcpStream> = (0..1500)
            .map(|_| {
                let mut socket = connect(&server);
                socket.write_all(b"*2\r\n$3\r\nGET\r").expect("the server reads");
                socket
            })
            .collect();
        let text = |server: &mut Server| server.must("CLIENT LIST").text();
        wait::until("all have sent", || text(&mut server).matches(" qbuf=4 ").count() == 1500);
        assert_eq!(server.count("evicted_keys"), 0);
        let grown = server.count("used_memory") - before;
        assert!(grown < 8 << 20, "{grown} bytes for {} connections", sockets.len());
    }
}

/// Errors are not kept for whoever does not read them.
#[test]
fn who_has_not_authenticated_is_not_kept_waiting_output() {
    let mut server = Server::start(Kind::Rivulet, &["--requirepass", "secret"]);
    let mut stranger = connect(&server);
    let errors = b"x\r\n".repeat(20_000);
    // The writes fail when it is closed.
    wait::until("it is closed", || stranger.write_all(&errors).is_err());
    assert_eq!(server.count("client_output_buffer_limit_disconnections"), 1);
    let peak = server.count("used_memory_peak");
    assert!(peak < 20 << 20, "{peak}");
    // Who is known may have more waiting.
    let mut friend = server.client();
    (0..20_000).for_each(|_| friend.add("x"));
    friend.flush().expect("the server reads");
    (0..20_000).for_each(|_| assert!(friend.read().expect("a reply").is_error()));
}

/// Many together may not have much more than one.
#[test]
fn all_who_have_not_authenticated_are_bounded_together() {
    let mut server = Server::start(Kind::Rivulet, &["--requirepass", "secret"]);
    server.must("PING");
    let before = server.count("used_memory");
    let mut command = b"*10\r\n".to_vec();
    for _ in 0..9 {
        command.extend(b"$16000\r\n");
        command.extend([b'a'; 16000]);
        command.extend(b"\r\n");
    }
    let mut strangers: Vec<TcpStream> = (0..300).map(|_| connect(&server)).collect();
    for stranger in &mut strangers {
        // Some are closed meanwhile.
        let _ = stranger.write_all(&command);
    }
    wait::until("most are closed", || strangers.iter_mut().filter_map(|s| is_closed(s).then_some(())).count() > 200);
    let grown = server.count("used_memory") - before;
    assert!(grown < 10 << 20, "{grown}");
    assert!(server.log().contains("Clients that have not authenticated hold more than 4194304 bytes"));
    // There is room for who authenticates, and for what it sends.
    let mut friend = server.client();
    friend.must(&["SET", "big", &"v".repeat(8 << 20)]);
    assert!(friend.must("PING").text() == "PONG");
}

/// Whose AUTH waits for the end of a pause can't fill the memory meanwhile.
#[test]
fn who_waits_to_authenticate_may_not_send_for_ever() {
    let mut server = Server::start(Kind::Rivulet, &["--requirepass", "secret"]);
    server.must("CLIENT PAUSE 100000 ALL");
    let mut stranger = connect(&server);
    stranger.write_all(b"AUTH secret\r\n").expect("the server reads");
    let more = b"PING\r\n".repeat(10_000);
    wait::until("it is closed", || stranger.write_all(&more).is_err());
    server.must("CLIENT UNPAUSE");
    assert_eq!(server.count("client_query_buffer_limit_disconnections"), 1);
}
