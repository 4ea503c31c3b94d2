//! Fields that expire: in full syncs and streams of and to Redis 8 and Valkey 9, over restarts, and in chains.

use std::time::Duration;

use rivulet_tests::{Kind, Server, wait};

use crate::{assert_in_step, wait_in_step};

/// Far enough away for every test.
const FAR_MS: u64 = 4_000_000_000_000;

/// Small and large hashes, some of whose fields have deadlines.
fn fill(server: &mut Server) {
    server.must("HSET plain a 1 b 2");
    server.must("HSET small a 1 b 2 c 3");
    server.must(&format!("HPEXPIREAT small {FAR_MS} FIELDS 1 a"));
    server.must(&format!("HPEXPIREAT small {} FIELDS 1 b", FAR_MS - 77));
    server.must("EXPIRE small 100000");
    for from in (0..2000).step_by(100) {
        let pairs: Vec<String> = (from..from + 100).map(|i| format!("f{i} v{i}")).collect();
        server.must(&format!("HSET large {}", pairs.join(" ")));
        server.must(&format!("HPEXPIREAT large {} FIELDS 2 f{from} f{}", FAR_MS + from, from + 7));
    }
}

/// What the hashes of [`fill`] hold, with deadlines.
fn picture(server: &mut Server) -> Vec<String> {
    let fields: Vec<String> = (0..2000).map(|i| format!("f{i}")).collect();
    let mut all = vec![server.must("HPEXPIRETIME small FIELDS 4 a b c none").items().iter().map(|i| i.int()).collect()];
    let large = server.must(&format!("HPEXPIRETIME large FIELDS 2000 {}", fields.join(" ")));
    all.push(large.items().iter().map(|i| i.int()).collect::<Vec<_>>());
    let mut shown: Vec<String> = all.iter().map(|times| format!("{times:?}")).collect();
    for key in ["plain", "small", "large"] {
        let mut texts: Vec<String> = server.must(&format!("HGETALL {key}")).items().iter().map(|i| i.text()).collect();
        texts.sort();
        shown.push(texts.join(" "));
    }
    shown
}

fn those_with_fields() -> impl Iterator<Item = Kind> {
    [Kind::Rivulet, Kind::Redis8, Kind::Valkey9].into_iter().filter(|kind| kind.is_there())
}

#[test]
fn a_full_sync_has_the_deadlines() {
    for kind in those_with_fields() {
        for (above, below) in [(kind, Kind::Rivulet), (Kind::Rivulet, kind)] {
            let (mut master, mut replica) = (Server::start(above, &[]), Server::start(below, &[]));
            fill(&mut master);
            replica.follow(&master);
            wait_in_step(&mut master, &mut replica);
            assert_eq!(picture(&mut master), picture(&mut replica), "{above:?} to {below:?}");
            // And what the stream brings afterwards.
            master.must(&format!("HSETEX small PXAT {} FIELDS 2 c 4 d 5", FAR_MS + 1));
            master.must("HPERSIST small FIELDS 1 a");
            master.must("HINCRBYFLOAT small b 0.5");
            master.must("HGETDEL large FIELDS 2 f0 f1");
            wait_in_step(&mut master, &mut replica);
            assert_eq!(picture(&mut master), picture(&mut replica), "{above:?} to {below:?}, the stream");
        }
    }
}

#[test]
fn fields_that_expire_leave_all_of_a_chain() {
    let mut servers: Vec<Server> =
        (0..3).map(|_| Server::start(Kind::Rivulet, &["--enable-debug-command", "yes"])).collect();
    for i in 1..3 {
        let (above, below) = servers.split_at_mut(i);
        below[0].follow(&above[i - 1]);
        below[0].wait_for_link();
    }
    fill(&mut servers[0]);
    servers[0].must("HSET all a 1 b 2");
    servers[0].must("HPEXPIRE all 60 FIELDS 2 a b");
    servers[0].must("HPEXPIRE small 60 FIELDS 2 a c");
    let some: Vec<String> = (0..500).map(|i| format!("f{i}")).collect();
    servers[0].must(&format!("HPEXPIRE large 60 FIELDS 500 {}", some.join(" ")));
    wait::until("they expire", || servers[0].must("EXISTS all").int() == 0);
    wait::until("they expire", || servers[0].must("HLEN large").int() == 1500);
    wait::until("they expire", || servers[0].must("HLEN small").int() == 1);
    assert_eq!(servers[0].count("expired_subkeys"), 504);
    let [master, middle, last] = &mut servers[..] else { panic!("there are three") };
    assert_in_step(master, middle);
    assert_in_step(middle, last);
    assert_eq!(last.must("HLEN large").int(), 1500);
    assert_eq!(last.must("EXISTS all").int(), 0);
}

/// A replica hides what is over and leaves the rest to its master.
#[test]
fn a_replica_hides_what_has_expired() {
    let mut master = Server::start(Kind::Rivulet, &["--enable-debug-command", "yes"]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    master.must("DEBUG SET-ACTIVE-EXPIRE 0");
    master.must("HSET h a 1 b 2");
    master.must("HPEXPIRE h 50 FIELDS 1 a");
    replica.follow(&master);
    wait_in_step(&mut master, &mut replica);
    wait::pause(Duration::from_millis(80));
    for server in [&mut master, &mut replica] {
        assert_eq!(server.must("HGETALL h").items().len(), 2);
        assert_eq!(server.must("HMGET h a b").items()[1].text(), "2");
        assert_eq!(server.must("HTTL h FIELDS 1 a").items()[0].int(), -2);
        assert_eq!(server.must("HLEN h").int(), 2, "as in Redis: it is still kept");
    }
    // What the master does with it is told as it is.
    assert_eq!(master.must("HINCRBY h a 5").int(), 5);
    wait_in_step(&mut master, &mut replica);
    assert_eq!(replica.must("HGET h a").text(), "5");
    assert_eq!(replica.must("HTTL h FIELDS 1 a").items()[0].int(), -1);
}

#[test]
fn deadlines_survive_restarts() {
    for (settings, kills) in [
        (&["--appendonly", "yes", "--appendfsync", "always"][..], true),
        (&["--appendonly", "yes", "--aof-use-rdb-preamble", "no"], false),
        (&["--save", "3600 1"], false),
    ] {
        let mut server = Server::start(Kind::Rivulet, settings);
        fill(&mut server);
        if settings.contains(&"no") {
            server.must("BGREWRITEAOF");
            wait::until("it is rewritten", || server.count("aof_rewrite_in_progress") == 0);
        }
        server.must("HSET soon a 1 b 2");
        server.must("HPEXPIRE soon 30 FIELDS 1 a");
        let before = picture(&mut server);
        if kills {
            server.kill()
        } else {
            server.shutdown(if settings[0] == "--save" { "SAVE" } else { "NOSAVE" })
        }
        wait::pause(Duration::from_millis(50));
        server.launch();
        assert_eq!(picture(&mut server), before, "{settings:?}");
        wait::until("what is over goes", || server.must("HLEN soon").int() == 1);
    }
}

#[test]
fn what_expired_while_the_master_was_down_leaves_its_replicas() {
    let mut master = Server::start(
        Kind::Rivulet,
        &["--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes"],
    );
    let mut replica = Server::start(Kind::Rivulet, &["--enable-debug-command", "yes"]);
    replica.follow(&master);
    master.must("HSET h a 1 b 2 c 3");
    master.must("HPEXPIRE h 300 FIELDS 2 a b");
    master.must("HSET gone a 1");
    master.must("HPEXPIRE gone 300 FIELDS 1 a");
    wait_in_step(&mut master, &mut replica);
    master.kill();
    wait::pause(Duration::from_millis(400));
    assert_eq!(replica.must("HLEN h").int(), 3);
    master.launch();
    assert_in_step(&mut master, &mut replica);
    wait::until("they leave the replica", || {
        replica.must("HLEN h").int() == 1 && replica.must("EXISTS gone").int() == 0
    });
    assert_in_step(&mut master, &mut replica);
    assert_eq!(master.must("HGETALL h").items().len(), 2);
    assert_eq!(master.count("sync_full"), 0);
}

/// A replica that becomes a master takes out what it was told of.
#[test]
fn a_replica_that_is_promoted_lets_fields_expire() {
    let mut master = Server::start(Kind::Rivulet, &[]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    master.must("HSET before a 1 b 2");
    master.must("HPEXPIRE before 300 FIELDS 1 a");
    replica.follow(&master);
    wait_in_step(&mut master, &mut replica);
    master.must("HSETEX after PX 300 FIELDS 1 a 1");
    wait_in_step(&mut master, &mut replica);
    master.kill();
    replica.must("REPLICAOF NO ONE");
    wait::until("they expire", || replica.must("HLEN before").int() == 1 && replica.must("EXISTS after").int() == 0);
    assert_eq!(replica.count("expired_subkeys"), 2);
}
