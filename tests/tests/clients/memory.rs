//! `maxmemory-clients` and `client-output-buffer-limit`: whose connection is closed when clients use too much memory, and whose is not.

use rivulet_tests::{Client, Kind, Server, wait};

/// A client of that name with an argument of so many bytes under way.
fn with_input(server: &Server, name: &str, bytes: usize) -> Client {
    let mut client = server.client();
    client.must(&["CLIENT", "SETNAME", name]);
    client.send_raw(format!("*2\r\n${bytes}\r\n{}", "v".repeat(bytes)).as_bytes()).expect("the server reads");
    client
}

/// A field of a named client's line in CLIENT LIST.
fn field(server: &mut Server, name: &str, field: &str) -> Option<u64> {
    let list = server.must("CLIENT LIST").text();
    let line = list.lines().find(|line| line.contains(&format!(" name={name} ")))?;
    line.split(' ').find_map(|word| word.strip_prefix(field)?.strip_prefix('=')?.parse().ok())
}

fn is_there(server: &mut Server, name: &str) -> bool {
    field(server, name, "id").is_some()
}

#[test]
fn the_largest_go_first_until_the_rest_fits() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    server.must("CLIENT NO-EVICT ON");
    let sizes = [("small", 200_000), ("large", 2_000_000), ("middle", 800_000)];
    let _clients = sizes.map(|(name, bytes)| with_input(&server, name, bytes));
    for (name, bytes) in sizes {
        wait::until("the input is there", || field(&mut server, name, "qbuf") == Some(bytes as u64));
        let total = field(&mut server, name, "tot-mem").expect("it is connected");
        assert!((bytes as u64..bytes as u64 + 100_000).contains(&total), "{name}: {total}");
    }
    server.must("CONFIG SET maxmemory-clients 2mb");
    assert_eq!(sizes.map(|(name, _)| is_there(&mut server, name)), [true, false, true]);
    server.must("CONFIG SET maxmemory 8mb");
    server.must("CONFIG SET maxmemory-clients 7%");
    assert_eq!(sizes.map(|(name, _)| is_there(&mut server, name)), [true, false, false]);
    assert_eq!(server.count("evicted_clients"), 2);
}

#[test]
fn a_client_that_may_stay_stays_however_much_it_uses() {
    let mut server = Server::start(Kind::Rivulet, &["--maxmemory-clients", "1mb"]);
    server.must("CLIENT NO-EVICT ON");
    let mut kept = server.client();
    kept.must("CLIENT NO-EVICT ON");
    kept.must("CLIENT SETNAME kept");
    kept.send_raw(format!("*1\r\n$3000000\r\n{}", "v".repeat(3_000_000)).as_bytes()).expect("the server reads");
    wait::until("the input is there", || field(&mut server, "kept", "qbuf") == Some(3_000_000));
    // Others have no room beside it.
    let mut other = Client::connect(server.port).expect("the server accepts");
    assert!(other.try_call("PING").is_err());
    assert!(is_there(&mut server, "kept"));
}

/// A subscriber that reads nothing is shown with what waits for it, and is closed when its time is up, though nobody writes to it any more.
#[test]
fn what_waits_too_long_closes_a_client_that_nobody_writes_to() {
    let options = ["--client-output-buffer-limit", "pubsub", "0", "100000", "1"];
    let mut server = Server::start(Kind::Rivulet, &options);
    let mut subscriber = server.client();
    subscriber.must("SUBSCRIBE channel");
    let message = "x".repeat(1000);
    wait::until("more waits than may", || {
        let publish = vec![vec![b"PUBLISH".to_vec(), b"channel".to_vec(), message.clone().into_bytes()]; 20];
        server.main().pipeline(&publish);
        let line = server.must("CLIENT LIST TYPE pubsub").text();
        let omem = line.split(' ').find_map(|field| field.strip_prefix("omem=")).expect("it is still there");
        omem.parse::<u64>().expect("a number") > 100_000
    });
    wait::until("it is closed", || server.must("CLIENT LIST TYPE pubsub").text().is_empty());
    assert!(server.log().contains("scheduled to be closed ASAP for overcoming of output buffer limits"));
    assert_eq!(server.count("client_output_buffer_limit_disconnections"), 1);
}

/// A client over its hard limit is closed and gets nothing of the reply, also while a snapshot runs, when replies go out at another point of a turn.
#[test]
fn who_is_over_the_hard_limit_gets_no_reply() {
    let options = ["--client-output-buffer-limit", "normal", "100000", "0", "0"];
    let mut server = Server::start(Kind::Rivulet, &options);
    server.must("SET big x");
    server.must("SETRANGE big 2000000 x");
    let refused = |server: &Server| {
        let mut client = server.client();
        client.add("GET big");
        client.flush().expect("the server reads");
        let read = client.line();
        assert!(read.is_err(), "a part of the reply came: {read:?}");
    };
    refused(&server);
    server.must("CONFIG SET rdb-key-save-delay 10000000");
    server.must("BGSAVE");
    refused(&server);
    assert_eq!(server.count("rdb_bgsave_in_progress"), 1);
    assert_eq!(server.count("client_output_buffer_limit_disconnections"), 2);
}
