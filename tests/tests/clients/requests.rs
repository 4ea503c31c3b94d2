//! What is answered to requests that are wrong, byte for byte as Redis does.

use std::io::{Read, Write};
use std::net::TcpStream;

use rivulet_tests::process::free_port;
use rivulet_tests::{Kind, Server, wait};

/// Sends bytes, and answers all that comes until the server closes the connection.
fn until_closed(server: &Server, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", server.port)).expect("the server accepts");
    socket.write_all(bytes).expect("the server reads");
    socket.set_read_timeout(Some(rivulet_tests::wait::PATIENCE)).expect("it can be set");
    let mut reply = Vec::new();
    // It may be closed with bytes that were not read.
    let _ = socket.read_to_end(&mut reply);
    String::from_utf8_lossy(&reply).into_owned()
}

fn peers() -> Vec<Kind> {
    [Kind::Rivulet, Kind::Redis7].into_iter().filter(|kind| kind.is_there()).collect()
}

#[test]
fn counts_have_one_form() {
    for kind in peers() {
        let server = Server::start(kind, &[]);
        for (bytes, what) in [
            (&b"*01\r\n$4\r\nPING\r\n"[..], "multibulk"),
            (b"*-0\r\n", "multibulk"),
            (b"*\r\n", "multibulk"),
            (b"*+1\r\n$4\r\nPING\r\n", "multibulk"),
            (b"*1\r\n$04\r\nPING\r\n", "bulk"),
            (b"*1\r\n$-0\r\n\r\n", "bulk"),
            (b"*1\r\n$+4\r\nPING\r\n", "bulk"),
        ] {
            let wanted = format!("-ERR Protocol error: invalid {what} length\r\n");
            assert_eq!(until_closed(&server, bytes), wanted, "{kind:?} {}", bytes.escape_ascii());
        }
    }
}

/// A page in a browser can make it send such requests to this machine.
#[test]
fn http_is_not_spoken() {
    for kind in peers() {
        let mut server = Server::start(kind, &[]);
        for request in
            ["POST / HTTP/1.1\r\nSET a 1\r\n", "GET / HTTP/1.1\r\nHost: here\r\nSET a 1\r\n", "host: x\r\nSET a 1\r\n"]
        {
            assert!(!until_closed(&server, request.as_bytes()).contains("OK"), "{kind:?} {request}");
            assert_eq!(server.must("EXISTS a").int(), 0, "{kind:?} {request}");
        }
        let told = server.log().matches("Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis instance. Connection aborted.").count();
        assert_eq!(told, 1, "{kind:?}");
    }
}

#[test]
fn errors_are_those_of_redis() {
    let port = free_port();
    let migrate = |rest: &str| format!("MIGRATE 127.0.0.1 {rest}");
    for kind in peers() {
        let mut server = Server::start(kind, &[]);
        server.must("SET key value");
        for (command, wanted) in [
            ("WAIT -1 0".to_string(), ":0"),
            ("WAIT x 0".to_string(), "-ERR value is not an integer or out of range"),
            ("WAIT 1 x".to_string(), "-ERR timeout is not an integer or out of range"),
            ("WAIT 1 -1".to_string(), "-ERR timeout is negative"),
            ("REPLICAOF 127.0.0.1 x".to_string(), "-ERR Invalid master port"),
            ("REPLICAOF 127.0.0.1 -1".to_string(), "-ERR Invalid master port"),
            ("REPLICAOF 127.0.0.1 65536".to_string(), "-ERR Invalid master port"),
            ("SLOWLOG GET x".to_string(), "-ERR count should be greater than or equal to -1"),
            ("SLOWLOG GET -2".to_string(), "-ERR count should be greater than or equal to -1"),
            (
                "SLOWLOG GET 1 1".to_string(),
                "-ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.",
            ),
            (
                "PUBSUB CHANNELS a b".to_string(),
                "-ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.",
            ),
            (migrate(&format!("{port} key 0 1000")), "-IOERR error or timeout writing to target instance"),
            (migrate("x key 0 1000"), "-IOERR error or timeout writing to target instance"),
            (migrate("99999 key 0 1000"), "-IOERR error or timeout writing to target instance"),
            (migrate("1 none 0 1000"), "NOKEY"),
            ("CLIENT PAUSE x".to_string(), "-ERR timeout is not an integer or out of range"),
            ("CLIENT PAUSE -1".to_string(), "-ERR timeout is negative"),
        ] {
            let got = format!("{:?}", server.call(&command));
            assert_eq!(got.trim_start_matches('+'), wanted, "{kind:?} {command}");
        }
    }
}

/// As since Redis 7.2: a wait that would end after the end of time is an error, not one without an end.
#[test]
fn a_wait_must_end_some_time() {
    for kind in [Kind::Rivulet, Kind::Redis8].into_iter().filter(|kind| kind.is_there()) {
        let mut server = Server::start(kind, &[]);
        let max = i64::MAX;
        for command in [
            format!("WAIT 1 {max}"),
            format!("WAITAOF 0 1 {max}"),
            format!("CLIENT PAUSE {max}"),
            format!("BLPOP none {max}"),
            "BLPOP none 9223372036854774".to_string(),
            "BRPOPLPUSH none other 9223372036854774".to_string(),
            "BZPOPMIN none 1e300".to_string(),
            "BLMPOP inf 1 none LEFT".to_string(),
        ] {
            assert_eq!(server.call(&command).text(), "ERR timeout is out of range", "{kind:?} {command}");
        }
    }
}

/// A file that was begun in the middle of a transaction held half of it, under a position that had none.
#[test]
fn a_save_in_a_transaction_waits_for_its_end() {
    let mut server = Server::start(Kind::Rivulet, &["--save", ""]);
    for command in ["MULTI", "SET a 1", "BGSAVE", "SET b 1"] {
        server.must(command);
    }
    assert_eq!(server.must("EXEC").items()[1].text(), "Background saving scheduled");
    wait::until("it is saved", || server.count("rdb_saves") > 0);
    server.kill();
    server.launch();
    assert_eq!(server.must("EXISTS a b").int(), 2);
}
