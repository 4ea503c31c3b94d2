//! Work grows with what is asked for, not with its square: the processor time at N and at 8 N is compared, not seconds.

use rivulet_tests::client::Words;
use rivulet_tests::{Client, Kind, Server};

/// How often the work is done: what else the server does in between must not count.
const ROUNDS: usize = 3;

/// Nanoseconds of the server for commands of N words, least of some rounds.
fn cost(n: usize, round: &dyn Fn(&mut Server, usize) -> u64) -> u64 {
    let mut server = Server::start(Kind::Rivulet, &[]);
    (0..ROUNDS).map(|_| round(&mut server, n)).min().expect("there are rounds")
}

/// How many times the work is that is compared with the least.
const TIMES: usize = 8;

/// Eight times as much takes eight times as long, or up to three times that where the smaller one found more of its
/// work in one turn; the square would be 64 times.
#[track_caller]
fn grows_evenly(what: &str, n: usize, round: impl Fn(&mut Server, usize) -> u64) {
    let (small, large) = (cost(n, &round), cost(TIMES * n, &round));
    let times = large as f64 / small as f64;
    assert!(times < 3.0 * TIMES as f64, "{what}: {times} times as much for {TIMES} times as many");
}

fn busy<T>(server: &Server, f: impl FnOnce() -> T) -> u64 {
    let before = server.busy_ns();
    f();
    server.busy_ns() - before
}

fn words(name: &str, n: usize, prefix: &str) -> Vec<Vec<u8>> {
    let mut words = name.words();
    words.extend((0..n).map(|i| format!("{prefix}:{i}").into_bytes()));
    words
}

/// Sends a command and reads so many replies.
fn call(client: &mut Client, words: &[Vec<u8>], replies: usize) {
    client.add_words(words);
    client.flush().expect("the server reads");
    (0..replies).for_each(|_| assert!(!client.read().expect("a reply").is_error()));
}

#[test]
fn subscriptions() {
    for (on, off) in [("SUBSCRIBE", "UNSUBSCRIBE"), ("PSUBSCRIBE", "PUNSUBSCRIBE"), ("SSUBSCRIBE", "SUNSUBSCRIBE")] {
        grows_evenly(on, 5_000, |server, n| {
            let mut client = server.client();
            busy(server, || {
                call(&mut client, &words(on, n, "channel"), n);
                // In the same order: the first is found first, in a list.
                call(&mut client, &words(off, n / 2, "channel"), n / 2);
                call(&mut client, &off.words(), n - n / 2);
            })
        });
    }
}

#[test]
fn subscribers_that_go() {
    grows_evenly("a client with many channels", 5_000, |server, n| {
        let mut client = server.client();
        call(&mut client, &words("SUBSCRIBE", n, "channel"), n);
        let id = server.must("CLIENT LIST TYPE pubsub").text();
        let id = id.split(' ').next().and_then(|word| word.strip_prefix("id=")).expect("it is there").to_string();
        let time = busy(server, || assert_eq!(server_kill(server, &id), 1));
        assert_eq!(server.must("PUBSUB NUMSUB channel:0").items()[1].int(), 0);
        time
    });
}

fn server_kill(server: &Server, id: &str) -> i64 {
    server.client().must(&["CLIENT", "KILL", "ID", id]).int()
}

#[test]
fn watched_keys() {
    grows_evenly("WATCH", 5_000, |server, n| {
        let mut client = server.client();
        busy(server, || {
            call(&mut client, &words("WATCH", n, "key"), 1);
            // Each is touched, which looks for it among those that its client watches.
            let mut pairs = "MSET".words();
            (0..n).for_each(|i| pairs.extend([format!("key:{i}").into_bytes(), b"x".to_vec()]));
            call(&mut client, &pairs, 1);
            call(&mut client, &"UNWATCH".words(), 1);
        })
    });
}

#[test]
fn keys_that_a_client_waits_for() {
    grows_evenly("BLPOP", 5_000, |server, n| {
        let mut blocked = server.client();
        let mut wait = words("BLPOP", n, "list");
        wait.push(b"0".to_vec());
        let mut other = server.client();
        busy(server, || {
            blocked.add_words(&wait);
            blocked.flush().expect("the server reads");
            let last = format!("list:{}", n - 1);
            rivulet_tests::wait::until("it waits", || other.must("INFO clients").text().contains("blocked_clients:1"));
            other.must(&["RPUSH", &last, "x"]);
            assert_eq!(blocked.read().expect("a reply").items()[0].text(), last);
        })
    });
}

/// So many connections.
fn crowd(server: &Server, n: usize) -> Vec<Client> {
    (0..n).map(|_| server.client()).collect()
}

fn all_send(clients: &mut [Client], command: &str) {
    for client in clients {
        client.add(command);
        client.flush().expect("the server reads");
    }
}

#[test]
fn clients_that_wait_for_the_same() {
    grows_evenly("waiting clients", 500, |server, n| {
        let mut clients = crowd(server, n);
        let mut other = server.client();
        busy(server, || {
            all_send(&mut clients, "BLPOP one 0");
            rivulet_tests::wait::until("they wait", || {
                other.must("INFO clients").text().contains(&format!("blocked_clients:{n}"))
            });
            for i in 0..n / 2 {
                other.must(&["RPUSH", "one", &i.to_string()]);
            }
            assert!(other.must("CLIENT KILL TYPE normal").int() >= n as i64);
        })
    });
}
