//! Replies that wait for a slow reader: what has been sent is freed while more comes.

use rivulet_tests::{Client, Kind, Server, wait};

const VALUE_BYTES: usize = 100_000;
/// So many replies the reader stays behind: more than the system's own buffers hold.
const BEHIND: usize = 240;
const ROUNDS: usize = 150;

/// Bytes that the server has in use.
fn used(server: &mut Server) -> i64 {
    server.count("used_memory")
}

/// One message or reply of that size is asked for, and the reader reads one, so that it never has all.
fn stay_behind(server: &mut Server, reader: &mut Client, mut ask: impl FnMut(&mut Server, &mut Client)) {
    (0..BEHIND).for_each(|_| ask(server, reader));
    wait::until("some waits", || omem(server) > 4 << 20);
    let before = used(server);
    for _ in 0..ROUNDS * 10 {
        ask(server, reader);
        reader.read().expect("it comes");
    }
    let (after, waits) = (used(server), omem(server));
    assert!(waits > 4 << 20, "it never drained: {waits}");
    let grown = after - before;
    assert!(grown < 30 << 20, "{grown} bytes more after {} MB went through", ROUNDS * 10 * VALUE_BYTES / 1_000_000);
}

/// What is counted for the slow reader.
fn omem(server: &mut Server) -> i64 {
    let list = server.must("CLIENT LIST").text();
    let numbers =
        list.lines().filter_map(|line| line.split(' ').find_map(|word| word.strip_prefix("omem="))?.parse().ok());
    numbers.max().unwrap_or(0)
}

fn server() -> Server {
    let options = ["--client-output-buffer-limit", "pubsub", "0", "0", "0"];
    let mut server = Server::start(Kind::Rivulet, &options);
    server.must(&["SET", "value", &"v".repeat(VALUE_BYTES)]);
    server
}

#[test]
fn a_pipeline_that_never_drains_costs_what_waits() {
    let mut server = server();
    let mut reader = server.client();
    stay_behind(&mut server, &mut reader, |_, reader| {
        reader.add("GET value");
        reader.flush().expect("the server reads");
    });
}

#[test]
fn a_subscriber_that_never_drains_costs_what_waits() {
    let mut server = server();
    let mut reader = server.client();
    reader.must("SUBSCRIBE channel");
    let message = "m".repeat(VALUE_BYTES);
    stay_behind(&mut server, &mut reader, |server, _| {
        assert_eq!(server.must(&["PUBLISH", "channel", &message]).int(), 1);
    });
}

#[test]
fn a_monitor_that_never_drains_costs_what_waits() {
    let mut server = server();
    let mut reader = server.client();
    reader.must("MONITOR");
    let value = "m".repeat(VALUE_BYTES);
    stay_behind(&mut server, &mut reader, |server, _| {
        server.must(&["ECHO", &value]);
    });
}

/// A client that asks for more than its limit in one piece is stopped on the way.
#[test]
fn a_pipeline_is_stopped_when_it_passes_the_limit() {
    let options = ["--client-output-buffer-limit", "normal", "10mb", "0", "0"];
    let mut server = Server::start(Kind::Rivulet, &options);
    server.must(&["SET", "value", &"v".repeat(1_000_000)]);
    server.must("CONFIG RESETSTAT");
    let mut reader = server.client();
    (0..2000).for_each(|_| reader.add("GET value"));
    reader.flush().expect("the server reads");
    wait::until("it is closed", || server.count("client_output_buffer_limit_disconnections") == 1);
    let peak = server.count("used_memory_peak");
    assert!(peak < 100 << 20, "{peak}");
}

const MEGABYTE: usize = 1_000_000;

/// With those limits, 10 MB for each class.
fn limited(options: &[&str]) -> Server {
    let limits = "normal 10mb 0 0 pubsub 10mb 0 0";
    let mut server = Server::start(Kind::Rivulet, &[&["--client-output-buffer-limit", limits], options].concat());
    server.must(&["SET", "value", &"v".repeat(MEGABYTE)]);
    server.must("CONFIG RESETSTAT");
    server
}

/// One client was closed, before it had much more than it may.
fn assert_closed_early(server: &mut Server) {
    wait::until("it is closed", || server.count("client_output_buffer_limit_disconnections") == 1);
    let peak = server.count("used_memory_peak");
    assert!(peak < 60 << 20, "{peak}");
}

fn queue(client: &mut Client, command: &[&str; 3], times: usize) {
    client.must("MULTI");
    (0..times).for_each(|_| client.add(command));
    client.flush().expect("the server reads");
    (0..times).for_each(|_| assert_eq!(client.read().expect("a reply").text(), "QUEUED"));
}

/// A script may say any number of things to who does not read.
#[test]
fn a_script_is_not_kept_for_who_listens_or_monitors() {
    for listens in ["SUBSCRIBE channel", "MONITOR"] {
        let mut server = limited(&[]);
        let mut reader = server.client();
        reader.must(listens);
        let script = "for i = 1, 300 do redis.call('publish', 'channel', redis.call('get', 'value')) end return 'end'";
        assert_eq!(server.must(&["EVAL", script, "0"]).text(), "end");
        assert_closed_early(&mut server);
    }
}

/// So may a transaction, where each command is short.
#[test]
fn a_transaction_is_not_kept_for_who_listens() {
    for own in [false, true] {
        let mut server = limited(&[]);
        let mut reader = server.client();
        reader.must("HELLO 3");
        reader.must("SUBSCRIBE channel");
        let mut other = server.client();
        let speaker = if own { &mut reader } else { &mut other };
        let say = "for i = 1, 10 do redis.call('publish', 'channel', redis.call('get', 'value')) end";
        queue(speaker, &["EVAL", say, "0"], 30);
        speaker.add("EXEC");
        speaker.flush().expect("the server reads");
        assert_closed_early(&mut server);
    }
}

/// The replies of a transaction, too, have their limit. It is executed to its end all the same.
#[test]
fn a_transaction_whose_replies_pass_the_limit_is_whole() {
    let mut server = limited(&[]);
    let mut reader = server.client();
    reader.must("MULTI");
    (0..300).for_each(|_| reader.add("GET value"));
    reader.add("SET last 1");
    reader.add("EXEC");
    reader.flush().expect("the server reads");
    assert_closed_early(&mut server);
    assert_eq!(server.must("GET last").text(), "1");
    // Who wants no replies has none waiting.
    let mut quiet = server.client();
    ["CLIENT REPLY OFF", "MULTI"].iter().for_each(|line| quiet.add(*line));
    (0..300).for_each(|_| quiet.add("GET value"));
    ["EXEC", "CLIENT REPLY ON"].iter().for_each(|line| quiet.add(*line));
    quiet.flush().expect("the server reads");
    assert!(quiet.read().expect("a reply").is_ok());
    assert_closed_early(&mut server);
}

/// Replies that waited for replicas are thrown away with the rest, also when it is time to make errors of them.
#[test]
fn who_waits_for_replicas_may_pass_the_limit() {
    let mut server = limited(&["--enable-debug-command", "yes"]);
    server.must("CONFIG SET synchronous-timeout 500 synchronous-replicas 1");
    let mut reader = server.client();
    reader.must("HELLO 3");
    reader.must("SUBSCRIBE channel");
    reader.add("SET key 1");
    reader.flush().expect("the server reads");
    wait::until("it is executed", || server.must("EXISTS key").int() == 1);
    let mut speaker = server.client();
    let say = "for i = 1, 30 do redis.call('publish', 'channel', redis.call('get', 'value')) end";
    ["MULTI", "DEBUG SLEEP 0.6"].iter().for_each(|line| speaker.add(*line));
    speaker.add(&["EVAL", say, "0"]);
    speaker.add("EXEC");
    speaker.flush().expect("the server reads");
    assert_closed_early(&mut server);
    assert_eq!(server.must("PING").text(), "PONG");
}

/// What a large command has left is given back, though its connection stays and is used.
#[test]
fn what_a_large_command_needed_is_given_back() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    let mut client = server.client();
    client.must("PING");
    let before = used(&mut server);
    let mut words = vec![b"DEL".to_vec()];
    words.extend((0..1_000_000).map(|i: u32| i.to_string().into_bytes()));
    client.add_words(&words);
    client.flush().expect("the server reads");
    assert_eq!(client.read().expect("a reply").int(), 0);
    wait::until("it is given back", || {
        client.must("PING");
        used(&mut server) < before + (1 << 20)
    });
}
