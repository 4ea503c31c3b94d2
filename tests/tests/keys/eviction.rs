//! Keeping within `maxmemory`.

use std::sync::atomic::{AtomicBool, Ordering};

use rivulet_tests::{Client, Kind, Server, wait};

use crate::fill;

const MANY: usize = 200_000;

/// Whether memory is within the limit, but for what INFO itself takes.
fn is_within(server: &mut Server, limit: i64) -> bool {
    server.count("used_memory") - server.count("mem_not_counted_for_evict") <= limit + 200_000
}

/// The longest that a call took in ms, while `work` is done.
fn longest_wait_ms(mut client: Client, work: impl FnOnce()) -> u128 {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let probe = scope.spawn(|| {
            let mut longest = 0;
            while !done.load(Ordering::Relaxed) {
                let (_, took) = wait::timed(|| client.call("PING"));
                longest = longest.max(took);
            }
            longest
        });
        work();
        done.store(true, Ordering::Relaxed);
        probe.join().expect("the probe ends well")
    })
}

#[test]
fn a_lower_limit_is_reached_in_slices() {
    let mut server = Server::start(Kind::Rivulet, &["--maxmemory-policy", "allkeys-lru"]);
    fill(&server, "k", MANY, 100, |_| String::new());
    let limit = server.count("used_memory") / 3;
    // The command returns after its slice; the rest goes on though no client comes.
    server.must(&format!("CONFIG SET maxmemory {limit}"));
    let after = server.count("evicted_keys");
    assert!(after < MANY as i64 / 3, "{after} evicted before the reply");
    assert!(server.must("SET one more").is_ok(), "eviction is at work: nothing is refused");
    let longest = longest_wait_ms(server.client(), || {
        wait::until("memory is within the limit", || is_within(&mut server, limit));
    });
    println!("the longest wait was {longest} ms");
    assert!(server.count("total_eviction_exceeded_time") > 0);
    wait::until("it is over", || server.count("current_eviction_exceeded_time") == 0);
    let left = server.must("DBSIZE").int();
    assert!(left > MANY as i64 / 5, "{left}: no more than needed");
}

#[test]
fn the_highest_tenacity_knows_no_end() {
    let mut server = Server::start(Kind::Rivulet, &["--maxmemory-policy", "allkeys-random"]);
    fill(&server, "k", 50_000, 100, |_| String::new());
    server.must("CONFIG SET maxmemory-eviction-tenacity 100");
    let limit = server.count("used_memory") / 2;
    server.must(&format!("CONFIG SET maxmemory {limit}"));
    assert!(is_within(&mut server, limit), "at once");
}

#[test]
fn few_volatile_keys_among_many_are_found() {
    for policy in ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"] {
        let mut server = Server::start(Kind::Rivulet, &["--maxmemory-policy", policy]);
        fill(&server, "plain", MANY, 10, |_| String::new());
        fill(&server, "volatile", 100, 20_000, |i| format!("EX {}", 1000 + 10 * i));
        let limit = server.count("used_memory") - 1_000_000;
        server.must(&format!("CONFIG SET maxmemory {limit}"));
        wait::until("about half of the volatile keys went", || is_within(&mut server, limit));
        let evicted = server.count("evicted_keys");
        assert!((30..80).contains(&evicted), "{policy}: {evicted}");
        assert_eq!(server.must("DBSIZE").int(), MANY as i64 + 100 - evicted, "{policy}");
        if policy == "volatile-ttl" {
            let there = |server: &mut Server, i: i64| server.must(&format!("EXISTS volatile:{i}")).int() == 1;
            assert!((0..evicted - 4).all(|i| !there(&mut server, i)), "the soonest went");
            assert!((evicted + 4..100).all(|i| there(&mut server, i)), "the others stay");
        }
        // When none is left, commands that need memory are refused.
        server.must("CONFIG SET maxmemory 100000");
        wait::until("none is left", || server.count("evicted_keys") == 100);
        assert_eq!(server.call("SET a b").text(), "OOM command not allowed when used memory > 'maxmemory'.");
        assert_eq!(server.must("GET none"), server.must("GET nothing"), "reads are served");
    }
}

#[test]
fn databases_give_as_they_have() {
    let mut server = Server::start(Kind::Rivulet, &["--maxmemory-policy", "allkeys-random"]);
    fill(&server, "k", 90_000, 100, |_| String::new());
    server.must("SWAPDB 0 9");
    fill(&server, "k", 10_000, 100, |_| String::new());
    let limit = server.count("used_memory") * 2 / 3;
    server.must(&format!("CONFIG SET maxmemory {limit}"));
    wait::until("memory is within the limit", || is_within(&mut server, limit));
    server.must("CONFIG SET maxmemory 0");
    let small = server.must("DBSIZE").int();
    assert!((4000..9500).contains(&small), "a part of the small one as of the large one: {small} are left of 10,000");
}

#[test]
fn what_is_used_often_or_was_used_last_stays() {
    for policy in ["allkeys-lru", "allkeys-lfu"] {
        let mut server = Server::start(Kind::Rivulet, &["--maxmemory-policy", policy]);
        fill(&server, "k", 20_000, 100, |_| String::new());
        let limit = server.count("used_memory") * 9 / 10;
        server.must(&format!("CONFIG SET maxmemory {}", limit * 2));
        // The clock of LRU has seconds.
        wait::pause(std::time::Duration::from_millis(1100));
        let mut client = server.client();
        for _ in 0..3 {
            (0..2000).for_each(|i| drop(client.call(&format!("GET k:{}", i * 10))));
        }
        server.must(&format!("CONFIG SET maxmemory {limit}"));
        wait::until("memory is within the limit", || is_within(&mut server, limit));
        server.must("CONFIG SET maxmemory 0");
        let gone = (0..2000).filter(|i| client.call(&format!("EXISTS k:{}", i * 10)).int() == 0).count();
        assert!(gone < 20, "{policy}: {gone} of 2000 that were used went, though 18,000 others were not");
    }
}

/// Each evicted key is told to those who keep it, which takes memory: that evicts no further ones.
#[test]
fn what_clients_that_track_are_told_evicts_nothing() {
    let mut server =
        Server::start(Kind::Rivulet, &["--maxmemory-policy", "allkeys-lru", "--maxmemory-eviction-tenacity", "100"]);
    let mut clients: Vec<_> = (0..10).map(|_| server.client()).collect();
    for client in &mut clients {
        client.must("HELLO 3");
        client.must("CLIENT TRACKING ON");
    }
    let key = |i: u32| format!("{i}{}", "x".repeat(1000));
    for i in 0..300 {
        server.must(&format!("SET {} x", key(i)));
        clients.iter_mut().for_each(|client| _ = client.must(&format!("GET {}", key(i))));
    }
    let used = server.count("used_memory");
    server.must(&format!("CONFIG SET maxmemory {}", used - 40_000));
    let (left, evicted) = (server.must("DBSIZE").int(), server.count("evicted_keys"));
    assert!(left >= 200 && evicted > 0, "{left} keys are left, {evicted} were evicted");
}

/// As when it is deleted otherwise: who waits for entries of its group is told that the group is gone.
#[test]
fn a_stream_that_is_evicted_ends_the_waits_for_its_groups() {
    let mut server = Server::start(Kind::Rivulet, &["--maxmemory-policy", "allkeys-random"]);
    server.must("XGROUP CREATE s g $ MKSTREAM");
    let mut reader = server.client();
    reader.send_raw(b"XREADGROUP GROUP g c BLOCK 0 STREAMS s >\r\n").expect("the server reads");
    wait::until("it waits", || server.count("blocked_clients") == 1);
    server.must("CONFIG SET maxmemory 1");
    let reply = reader.read().expect("it is told");
    assert!(reply.text().starts_with("NOGROUP"), "{reply:?}");
    assert_eq!(server.count("evicted_keys"), 1);
}
