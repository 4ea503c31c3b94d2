//! MIGRATE: its client waits for the other server, nobody else does, and nothing that is written meanwhile is lost.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use rivulet_tests::client::Words;
use rivulet_tests::{Client, Kind, Reply, Server, wait};

/// Longer than any test waits.
const LONG_MS: u64 = 60_000;

/// Another server, played by the test: it takes connections, and says what it is told to.
struct Target {
    listener: TcpListener,
}

impl Target {
    fn new() -> Target {
        Target { listener: TcpListener::bind("127.0.0.1:0").expect("a port is free") }
    }

    /// MIGRATE of these keys to it.
    fn migrate(&self, keys: &[&str], timeout_ms: u64) -> Vec<Vec<u8>> {
        let port = self.listener.local_addr().expect("it has an address").port().to_string();
        let timeout_ms = timeout_ms.to_string();
        let words = ["MIGRATE", "127.0.0.1", &port, "", "0", &timeout_ms, "KEYS"];
        words.iter().chain(keys).map(|word| word.as_bytes().to_vec()).collect()
    }

    /// The next connection, once all of a request has come: what it asks ends with this word.
    fn asked(&self, last: &str) -> TcpStream {
        let (mut socket, _) = self.listener.accept().expect("the server comes");
        read_until(&mut socket, last);
        socket
    }
}

fn read_until(socket: &mut TcpStream, last: &str) {
    let (mut seen, mut buffer) = (Vec::new(), [0u8; 4096]);
    while !seen.windows(last.len()).any(|window| window == last.as_bytes()) {
        let n = socket.read(&mut buffer).expect("the server writes");
        assert!(n > 0, "the server went before it said {last}");
        seen.extend_from_slice(&buffer[..n]);
    }
}

fn say(socket: &mut TcpStream, text: &str) {
    socket.write_all(text.as_bytes()).expect("the server reads");
}

fn send(client: &mut Client, command: &(impl Words + ?Sized)) {
    client.add(command);
    client.flush().expect("the server reads");
}

fn reply(client: &mut Client) -> String {
    format!("{:?}", client.read().expect("an answer"))
}

fn is_nil(reply: &Reply) -> bool {
    matches!(reply, Reply::Nil(_))
}

/// Waits until so many clients are blocked.
fn blocked(server: &mut Server, count: i64) {
    wait::until("clients wait", || server.count("blocked_clients") == count);
}

#[test]
fn nobody_else_waits_for_a_server_that_is_silent() {
    let target = Target::new();
    let mut server = Server::start(Kind::Rivulet, &[]);
    server.must("MSET a 1 b 2 c 3");
    let mut waiting = server.client();
    let ((), took_ms) = wait::timed(|| {
        send(&mut waiting, &target.migrate(&["a"], 1500));
        let _silent = target.asked("RESTORE");
        let (mut calls, mut longest_ms) = (0, 0);
        while calls < 200 {
            let (value, ms) = wait::timed(|| server.must("INCR b").int());
            calls += 1;
            longest_ms = longest_ms.max(ms);
            assert_eq!(value, 2 + calls);
        }
        assert!(longest_ms < 1000, "a client that wants nothing of that server waited for {longest_ms} ms");
        assert_eq!(server.must("GET a").text(), "1", "who reads the key is served as well");
        assert_eq!(reply(&mut waiting), "-IOERR error or timeout reading to target instance");
    });
    assert!((1500..30_000).contains(&took_ms), "the time-out was 1500 ms, it took {took_ms}");
    assert_eq!(server.must("MGET a c").items().len(), 2);
    assert_eq!((server.must("EXISTS a").int(), server.count("blocked_clients")), (1, 0));
    assert!(server.must("SET a 2").is_ok());
}

#[test]
fn who_would_write_to_a_key_on_its_way_waits() {
    let target = Target::new();
    let mut server = Server::start(Kind::Rivulet, &[]);
    server.must("MSET a 1 b 2");
    let mut moving = server.client();
    send(&mut moving, &target.migrate(&["a"], LONG_MS));
    let mut socket = target.asked("RESTORE");
    let mut writers: Vec<Client> = (0..4).map(|_| server.client()).collect();
    send(&mut writers[0], "APPEND a x");
    for command in ["MULTI", "INCR b", "INCR a"] {
        writers[1].must(command);
    }
    send(&mut writers[1], "EXEC");
    send(&mut writers[2], "EVAL redis.call('append',KEYS[1],'y') 1 a");
    send(&mut writers[3], &target.migrate(&["a"], LONG_MS));
    blocked(&mut server, 5);
    assert_eq!(server.must("GET b").text(), "2");
    // A script that does not need to wait does not, nor does who reads, in a transaction or out of it.
    assert!(is_nil(&server.must("EVAL redis.call('get',KEYS[1]) 1 b")));
    assert_eq!(server.must("STRLEN a").int(), 1);
    for command in ["MULTI", "GET a", "INCR b"] {
        server.must(command);
    }
    assert_eq!(server.must("EXEC").items().len(), 2);
    say(&mut socket, "+OK\r\n+OK\r\n");
    assert_eq!(reply(&mut moving), "+OK");
    // The key has gone before they wrote.
    assert_eq!(reply(&mut writers[0]), ":1");
    assert!(writers[1].read().expect("an answer").items()[1].is_error(), "x is no number");
    assert!(!writers[2].read().expect("an answer").is_error());
    // The last who waited has found a key again, and sends it over the same connection.
    read_until(&mut socket, "RESTORE");
    say(&mut socket, "+OK\r\n-BUSYKEY there\r\n");
    assert_eq!(reply(&mut writers[3]), "-ERR Target instance replied with error: BUSYKEY there");
    assert_eq!(server.must("GET a").text(), "xy");
    assert_eq!(server.count("migrate_cached_sockets"), 1);
}

#[test]
fn what_changes_on_its_way_by_other_means_is_kept() {
    for (change, value, told) in [
        ("EVAL redis.call('set','a','new') 0", "new", "-ERR 1 of the keys changed"),
        ("EVAL redis.call('del','a') 0", "nil", "+OK"),
        ("FLUSHALL", "nil", "+OK"),
        ("SWAPDB 0 1", "other", "-ERR 1 of the keys changed"),
        ("EVAL redis.call('set','b','new') 0", "nil", "+OK"),
    ] {
        let target = Target::new();
        let mut server = Server::start(Kind::Rivulet, &["--appendonly", "yes"]);
        server.must("MSET a 1 b 2");
        server.must("SELECT 1");
        server.must("SET a other");
        server.must("SELECT 0");
        let mut moving = server.client();
        send(&mut moving, &target.migrate(&["a"], LONG_MS));
        let mut socket = target.asked("RESTORE");
        assert!(!server.call(change).is_error(), "{change}");
        say(&mut socket, "+OK\r\n+OK\r\n");
        let reply = reply(&mut moving);
        assert!(reply.starts_with(told), "{change}: {reply}");
        for restarted in [false, true] {
            let there = server.must("GET a");
            let there = if is_nil(&there) { "nil".to_string() } else { there.text() };
            assert_eq!(there, value, "{change}, restarted: {restarted}");
            if !restarted {
                server.restart();
            }
        }
    }
}

#[test]
fn keys_that_were_taken_are_deleted_though_the_rest_fails() {
    let target = Target::new();
    let mut server = Server::start(Kind::Rivulet, &[]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&server);
    replica.wait_for_link();
    server.must("MSET a 1 b 2 c 3 d 4");
    let mut moving = server.client();
    send(&mut moving, &target.migrate(&["a", "a", "b", "none", "c"], LONG_MS));
    let mut socket = target.asked("$1\r\nc");
    say(&mut socket, "+OK\r\n+OK\r\n-BUSYKEY a\r\n-BUSYKEY b\r");
    say(&mut socket, "\n");
    drop(socket);
    assert_eq!(reply(&mut moving), "-ERR Target instance replied with error: BUSYKEY a");
    let left = |server: &mut Server| server.must("MGET a b c d").items().iter().map(|v| !is_nil(v)).collect::<Vec<_>>();
    assert_eq!(left(&mut server), [false, true, true, true]);
    wait::until("the replica follows", || left(&mut replica) == [false, true, true, true]);
    assert_eq!(server.must("WAIT 1 5000").int(), 1);
}

#[test]
fn who_waits_for_another_server_may_go() {
    let target = Target::new();
    let mut server = Server::start(Kind::Rivulet, &[]);
    server.must("MSET a 1 b 2 c 3");
    let mut moving = server.client();
    let id = moving.must("CLIENT ID").int();
    send(&mut moving, &target.migrate(&["a"], LONG_MS));
    let mut socket = target.asked("RESTORE");
    assert_eq!(server.must(&format!("CLIENT UNBLOCK {id}")).int(), 0, "the other server may have the key by now");
    assert_eq!(server.must(&format!("CLIENT KILL ID {id}")).int(), 1);
    let mut writer = server.client();
    send(&mut writer, "SET a new");
    blocked(&mut server, 1);
    say(&mut socket, "+OK\r\n+OK\r\n");
    assert_eq!(reply(&mut writer), "+OK");
    assert_eq!(server.must("GET a").text(), "new");
    drop(socket);

    // A pause changes nothing: the key goes after it.
    let mut moving = server.client();
    send(&mut moving, &target.migrate(&["b"], LONG_MS));
    let mut socket = target.asked("RESTORE");
    server.must("CLIENT PAUSE 100000 WRITE");
    say(&mut socket, "+OK\r\n+OK\r\n");
    wait::pause(std::time::Duration::from_millis(300));
    assert_eq!((server.must("EXISTS b").int(), server.count("blocked_clients")), (1, 1));
    server.must("CLIENT UNPAUSE");
    assert_eq!(reply(&mut moving), "+OK");
    assert_eq!(server.must("EXISTS b").int(), 0);

    // A replica's keys are its master's.
    let mut moving = server.client();
    send(&mut moving, &target.migrate(&["c"], LONG_MS));
    read_until(&mut socket, "RESTORE");
    server.must("REPLICAOF 127.0.0.1 1");
    assert!(reply(&mut moving).starts_with("-UNBLOCKED"));
    server.must("REPLICAOF NO ONE");
    assert!(server.must("SET b 1").is_ok());
    say(&mut socket, "+OK\r\n+OK\r\n");
    wait::until("the connection is back", || server.count("migrate_cached_sockets") == 1);
    assert_eq!(server.must("EXISTS c").int(), 1);
    server.shutdown("NOSAVE");
}

#[test]
fn many_requests_share_few_threads() {
    let targets: Vec<Target> = (0..20).map(|_| Target::new()).collect();
    let mut server = Server::start(Kind::Rivulet, &[]);
    let mut clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
    for (i, (target, client)) in targets.iter().zip(&mut clients).enumerate() {
        server.must(&format!("SET key{i} {i}"));
        send(client, &target.migrate(&[&format!("key{i}")], LONG_MS));
    }
    blocked(&mut server, 20);
    let mut writer = server.client();
    send(&mut writer, "SET key19 new");
    blocked(&mut server, 21);
    // Who goes before a thread has come to it takes its request along.
    clients.pop();
    blocked(&mut server, 19);
    assert_eq!(reply(&mut writer), "+OK");
    for (i, (target, client)) in targets.iter().zip(&mut clients).enumerate().take(19) {
        let mut socket = target.asked("RESTORE");
        assert!(server.must("PING").text() == "PONG");
        say(&mut socket, "+OK\r\n+OK\r\n");
        assert_eq!(reply(client), "+OK", "{i}");
    }
    assert_eq!(server.must("DBSIZE").int(), 1);
}

#[test]
fn a_transaction_and_a_script_wait_for_the_other_server() {
    for kind in [Kind::Rivulet, Kind::Redis7] {
        if !kind.is_there() {
            continue;
        }
        let mut target = Server::start(Kind::Rivulet, &[]);
        let mut server = Server::start(kind, &[]);
        server.must("MSET a 1 b 2");
        let port = target.port;
        server.must("MULTI");
        server.must(&format!("MIGRATE 127.0.0.1 {port} a 0 5000"));
        server.must("EXISTS a");
        assert_eq!(format!("{:?}", server.must("EXEC")), "*[+OK, :0]", "{kind:?}");
        let script =
            format!("return {{redis.call('migrate','127.0.0.1','{port}','b','0','5000'),redis.call('exists','b')}}");
        let mut words: Vec<Vec<u8>> = vec![b"EVAL".to_vec(), script.into_bytes()];
        words.extend([b"1".to_vec(), b"b".to_vec()]);
        let replies = server.client().pipeline(&[words]);
        assert_eq!(format!("{replies:?}"), "[*[+OK, :0]]", "{kind:?}");
        assert_eq!(server.count("migrate_cached_sockets"), 1, "{kind:?}");
        assert_eq!(target.must("DBSIZE").int(), 2, "{kind:?}");
    }
}

/// What clients move away from a writable replica is no longer what its master has, as with any write there.
#[test]
fn a_writable_replica_knows_that_it_gave_keys_away() {
    let target = Target::new();
    let mut master = Server::start(Kind::Rivulet, &[]);
    let mut replica = Server::start(Kind::Rivulet, &["--replica-read-only", "no", "--appendonly", "yes"]);
    replica.follow(&master);
    master.must("MSET a 1 b 2");
    wait::until("the replica has all", || replica.must("DBSIZE").int() == 2);
    wait::until("its files have all", || {
        replica.info("aof_rewrites") != "0" && replica.info("aof_rewrite_in_progress") == "0"
    });
    assert_eq!(replica.info("diverged"), "0");
    let mut moving = replica.client();
    send(&mut moving, &target.migrate(&["a"], LONG_MS));
    let mut socket = target.asked("$1\r\na");
    say(&mut socket, "+OK\r\n+OK\r\n");
    assert!(reply(&mut moving).contains("OK"));
    assert_eq!(replica.info("diverged"), "1");
    // Its own files say so, too: the key does not come back with them.
    replica.shutdown("NOSAVE");
    master.kill();
    replica.launch_with(&["--replicaof", "127.0.0.1 1"]);
    assert_eq!(replica.must("KEYS *").items().iter().map(|key| key.text()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(replica.info("diverged"), "1");
}
