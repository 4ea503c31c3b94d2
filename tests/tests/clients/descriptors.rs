//! How many clients there may be: `maxclients`, and the descriptors that the system grants.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use rivulet_tests::process::tool;
use rivulet_tests::{Kind, Server, wait};

fn with_descriptors(kind: Kind, limit: u32) -> Server {
    let mut server = Server::prepare(kind, &["--maxclients", "100"]);
    server.set_shell_line(&format!("ulimit -n {limit}"));
    server.launch();
    server
}

#[test]
fn more_clients_than_descriptors_are_refused() {
    for kind in [Kind::Rivulet, Kind::Redis7] {
        if !kind.is_there() {
            continue;
        }
        let mut server = with_descriptors(kind, 208);
        let refused = server.call("CONFIG SET maxclients 10000").text();
        assert_eq!(
            refused,
            "ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating system is not able to handle the specified number of clients, try with 176",
            "{kind:?}"
        );
        assert_eq!(server.must("CONFIG GET maxclients").items()[1].text(), "100");
        server.must("CONFIG SET maxclients 176");
    }
}

#[test]
fn a_start_with_few_descriptors_lowers_the_limit() {
    for kind in [Kind::Rivulet, Kind::Redis7] {
        if !kind.is_there() {
            continue;
        }
        let mut server = with_descriptors(kind, 80);
        assert_eq!(server.must("CONFIG GET maxclients").items()[1].text(), "48", "{kind:?}");
        let log = server.log();
        assert!(log.contains("You requested maxclients of 100 requiring at least 132 max file descriptors."), "{log}");
        assert!(
            log.contains("Current maximum open files is 80. maxclients has been reduced to 48 to compensate for low ulimit. If you need higher maxclients increase 'ulimit -n'."),
            "{log}"
        );
    }
}

#[test]
fn a_server_full_of_clients_can_save() {
    let mut server = with_descriptors(Kind::Rivulet, 80);
    server.must("SET a 1");
    // It is refused.
    server.call("CONFIG SET maxclients 10000");
    let _sockets: Vec<TcpStream> =
        (0..90).map(|_| TcpStream::connect(("127.0.0.1", server.port)).expect("the system accepts")).collect();
    wait::until("it is full", || server.count("rejected_connections") > 0);
    assert!(server.must("SAVE").is_ok());
    server.must("CONFIG SET appendonly yes");
    wait::until("it is written", || server.count("aof_rewrite_in_progress") == 0);
    assert_eq!(server.info("aof_last_bgrewrite_status"), "ok");
}

/// The limit is lowered under the server's feet.
#[test]
fn without_descriptors_nobody_is_accepted_and_nothing_spins() {
    if tool("prlimit").is_none() {
        println!("skipped: prlimit is not installed");
        return;
    }
    let mut server = with_descriptors(Kind::Rivulet, 208);
    server.must("PING");
    let limit = |limit: u32| {
        let status = Command::new("prlimit")
            .args(["--pid", &server.pid().to_string(), &format!("--nofile={limit}:208")])
            .status();
        assert!(status.is_ok_and(|s| s.success()));
    };
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("the server runs").count() as u32;
    limit(open);
    let mut waiting: Vec<TcpStream> =
        (0..20).map(|_| TcpStream::connect(("127.0.0.1", server.port)).expect("the system accepts")).collect();
    wait::until("it is told", || server.log().contains("Accepting client connection: accept: Too many open files"));
    let before = server.count("eventloop_cycles");
    wait::pause(Duration::from_millis(1500));
    let turns = server.count("eventloop_cycles") - before;
    assert!(turns < 500, "{turns} turns of the loop in which nothing happened");
    assert_eq!(server.log().matches("Accepting client connection").count(), 1, "it is said once");
    // Files say what they lack.
    assert_eq!(server.call("SAVE").text(), "ERR Too many open files");
    let limit = |limit: u32| {
        let status = Command::new("prlimit")
            .args(["--pid", &server.pid().to_string(), &format!("--nofile={limit}:208")])
            .status();
        assert!(status.is_ok_and(|s| s.success()));
    };
    limit(208);
    assert!(server.must("SAVE").is_ok());
    // Those that waited get their turn.
    use std::io::{Read, Write};
    for socket in &mut waiting {
        socket.write_all(b"PING\r\n").expect("it is open");
        let mut reply = [0; 7];
        socket.read_exact(&mut reply).expect("a reply");
        assert_eq!(&reply, b"+PONG\r\n");
    }
}
