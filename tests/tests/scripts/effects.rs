//! What a script does to the data, and what of it goes to replicas and files.

use rivulet_tests::process::{Kind, Server};
use rivulet_tests::{Reply, wait};

/// Commands whose effect depends on chance or time, on several databases, with errors in between.
const SCRIPT: &str = "
    redis.call('set', KEYS[1], ARGV[1])
    redis.call('incrbyfloat', 'float', '1.5')
    redis.call('sadd', 'set', 1, 2, 3, 4, 5, 6, 7, 8)
    redis.call('spop', 'set', 3)
    redis.call('set', 'short', 'x', 'px', 100000)
    redis.pcall('lpush', KEYS[1], 'wrong')
    redis.call('select', 3)
    redis.call('lpush', 'list', 'a', 'b')
    redis.call('select', 0)
    return redis.call('hset', 'hash', 'field', redis.call('time')[1])
";

fn digest(server: &mut Server) -> String {
    server.must("DEBUG DIGEST").text()
}

fn in_step(master: &mut Server, replica: &mut Server) {
    wait::until("the replica has all", || {
        let end = master.info("master_repl_offset");
        replica.info("slave_repl_offset") == end && replica.info("master_link_status") == "up"
    });
}

#[test]
fn only_effects_go_to_replicas_of_any_make() {
    let debug = ["--enable-debug-command", "yes"];
    for kind in [Kind::Rivulet, Kind::Redis7] {
        let mut master = Server::start(Kind::Rivulet, &debug);
        let mut replica = Server::start(kind, &debug);
        replica.follow(&master);
        for i in 0..50 {
            master.must(&["EVAL", SCRIPT, "1", "key", &i.to_string()]);
        }
        in_step(&mut master, &mut replica);
        assert_eq!(digest(&mut master), digest(&mut replica), "{kind:?}");
        assert_eq!(replica.must("GET key").text(), "49");
        let mut client = replica.client();
        client.must("SELECT 3");
        assert_eq!(client.must("LLEN list").int(), 100);
    }
}

#[test]
fn a_script_is_one_unit_of_the_stream_and_of_the_files() {
    let mut server = Server::start(Kind::Rivulet, &["--appendonly", "yes", "--appendfsync", "always"]);
    server.must(&["EVAL", "redis.call('incr','a') redis.call('incr','b') return redis.call('incr','c')", "0"]);
    let text = std::fs::read(server.dir.path().join("appendonlydir/appendonly.aof.1.incr.aof")).expect("it is there");
    let text = String::from_utf8_lossy(&text).replace("\r\n", " ");
    let (begin, end) = (text.find("MULTI"), text.find("EXEC"));
    assert!(begin.is_some() && begin < text.find("incr") && text.rfind("incr") < end, "{text}");
    assert!(!text.contains("EVAL"), "{text}");
    server.kill();
    server.launch();
    assert_eq!(server.must("MGET a b c").items(), vec![Reply::Bulk(b'$', b"1".to_vec()); 3]);
}

#[test]
fn a_script_sees_one_time() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    let script = "
        redis.call('set', 'key', 'x', 'px', 30)
        local start, first = os.clock(), redis.call('time')
        repeat until os.clock() - start > 0.06
        if redis.call('time')[2] ~= first[2] then return 'time went on' end
        return {redis.call('exists', 'key'), redis.call('pttl', 'key')}
    ";
    let reply = server.must(&["EVAL", script, "0"]);
    assert_eq!(reply.items().iter().map(Reply::int).collect::<Vec<_>>(), [1, 30]);
    wait::until("it has expired", || server.must("EXISTS key").int() == 0);
}

#[test]
fn what_a_replica_and_a_pause_refuse() {
    let master = Server::start(Kind::Rivulet, &[]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    for (script, error) in [
        ("return redis.call('set','a',1)", "READONLY You can't write against a read only replica."),
        ("#!lua\nreturn 1", "READONLY You can't write against a read only replica."),
        (
            "#!lua flags=no-writes\nreturn redis.call('set','a',1)",
            "ERR Write commands are not allowed from read-only scripts.",
        ),
        ("return redis.call('subscribe','a')", "ERR This Redis command is not allowed from script"),
        ("return redis.call('nonsense')", "ERR Unknown Redis command called from script"),
        ("return redis.call('get')", "ERR Wrong number of args calling Redis command from script"),
    ] {
        let reply = replica.call(&["EVAL", script, "0"]);
        assert!(reply.is_error() && reply.text().starts_with(error), "{script}: {reply:?}");
    }
    assert_eq!(replica.must(&["EVAL", "#!lua flags=no-writes\nreturn redis.call('get','a')", "0"]), Reply::Nil(b'$'));
    let mut master = master;
    master.must("CLIENT PAUSE 60000 WRITE");
    let mut client = master.client();
    client.add(&["EVAL", "return 1", "0"]);
    client.flush().expect("it is there");
    wait::until("a script that may write waits", || master.info("blocked_clients") == "1");
    assert_eq!(master.must(&["EVAL_RO", "return 2", "0"]).int(), 2);
    assert_eq!(master.must(&["EVAL", "#!lua flags=no-writes\nreturn 3", "0"]).int(), 3);
    master.must("CLIENT UNPAUSE");
    assert_eq!(client.read().expect("its reply").int(), 1);
}

/// Half of what a script writes would be neither before nor after it.
#[test]
fn a_script_that_has_written_goes_on_with_too_few_replicas() {
    let mut master = Server::start(Kind::Rivulet, &["--busy-reply-threshold", "10"]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    replica.wait_for_link();
    wait::until("a good replica", || master.info("min_slaves_good_slaves") != "0");
    master.must("CONFIG SET min-replicas-to-write 1");
    wait::until("it counts", || master.call("SET other 1").is_ok());
    let script = "
        redis.call('set', 'key', 'before')
        repeat until redis.call('info', 'replication'):find('connected_slaves:0')
        redis.call('set', 'key', 'after')
        return 1
    ";
    let mut client = master.client();
    client.add(&["EVAL", script, "0"]);
    client.flush().expect("the server reads");
    wait::until("it is busy", || master.call("PING").text().starts_with("BUSY"));
    replica.kill();
    assert_eq!(client.read().expect("its reply").int(), 1);
    assert_eq!(master.must("GET key").text(), "after");
    assert!(master.call("SET key x").text().starts_with("NOREPLICAS"));
}

#[test]
fn an_error_that_a_script_passes_on_is_counted_once() {
    let kinds = [Kind::Rivulet, Kind::Redis7].into_iter().filter(|kind| kind.is_there());
    for mut server in kinds.map(|kind| Server::start(kind, &["--maxmemory", "1"])) {
        for script in ["return redis.call('set', 'x', 'y')", "return redis.pcall('set', 'x', 'y')"] {
            server.must("CONFIG RESETSTAT");
            assert!(server.call(&["EVAL", script, "0"]).text().starts_with("OOM"));
            assert_eq!(server.info("errorstat_OOM"), "count=1", "{script}");
            assert_eq!(server.info("total_error_replies"), "1", "{script}");
            assert!(server.info("cmdstat_eval").ends_with("failed_calls=1"), "{script}");
        }
    }
}

/// What a server with append-only files has written to them, as one line.
fn written(server: &Server) -> String {
    let text = std::fs::read(server.dir.path().join("appendonlydir/appendonly.aof.1.incr.aof")).expect("it is there");
    String::from_utf8_lossy(&text).replace("\r\n", " ")
}

/// Where keys have deadlines, the look at those took the MULTI off the transaction that followed.
#[test]
fn a_unit_stays_one_beside_keys_that_expire() {
    let mut server = Server::start(Kind::Rivulet, &["--appendonly", "yes", "--appendfsync", "always"]);
    server.must("SET deadline 1 EX 1000");
    wait::pause(std::time::Duration::from_millis(300));
    for command in ["MULTI", "SET a 1", "SET b 1", "EXEC"] {
        server.must(command);
    }
    wait::pause(std::time::Duration::from_millis(300));
    server.must(&["EVAL", "redis.call('set', 'c', 1) redis.call('set', 'd', 1)", "0"]);
    let text = written(&server);
    assert_eq!((text.matches("MULTI").count(), text.matches("EXEC").count()), (2, 2), "{text}");
}

/// SCAN deletes what it finds expired, each by itself; not where it is part of something.
#[test]
fn a_unit_stays_one_though_it_scans() {
    let options = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut server = Server::start(Kind::Rivulet, &options);
    server.must("DEBUG SET-ACTIVE-EXPIRE 0");
    server.must("SET old 1 PX 1");
    wait::pause(std::time::Duration::from_millis(20));
    server.must(&["EVAL", "redis.call('set', 'a', 1) redis.call('scan', 0) redis.call('set', 'b', 1)", "0"]);
    let text = written(&server);
    assert!(text.contains("MULTI") && text.contains("EXEC") && text.contains("old"), "{text}");
}

/// The file of a FLUSHALL in a transaction had the data of its middle, under the position of its begin: a replica from there went on without a sync.
#[test]
fn what_a_flush_within_a_unit_saves_is_at_its_position() {
    let options = ["--save", "3600 1000000", "--repl-ping-replica-period", "3600"];
    let mut master = Server::start(Kind::Rivulet, &options);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    master.must("SET a 1");
    wait::until("the replica has it", || replica.must("EXISTS a").int() == 1);
    replica.must("REPLICAOF 127.0.0.1 1");
    wait::until("it is gone", || master.info("connected_slaves") == "0");
    for command in ["MULTI", "FLUSHALL", "SET b 1", "EXEC"] {
        master.must(command);
    }
    master.kill();
    master.launch();
    replica.follow(&master);
    assert_eq!(master.must("KEYS *"), replica.must("KEYS *"));
}

/// A script can keep its own writes to itself, but not that it found something expired.
#[test]
fn what_a_silent_script_finds_expired_goes_on_replicas_too() {
    for silence in ["REPL_NONE", "REPL_SLAVE"] {
        let mut master = Server::start(Kind::Rivulet, &["--appendonly", "yes"]);
        let mut replica = Server::start(Kind::Rivulet, &[]);
        master.must("DEBUG SET-ACTIVE-EXPIRE 0");
        replica.follow(&master);
        replica.wait_for_link();
        master.must("MSET kept 1 deleted 1");
        master.must("SET read 1 PX 1");
        master.must("SET written 1 PX 1");
        master.must("HSET hash f 1 g 2");
        master.must("HPEXPIRE hash 1 FIELDS 1 f");
        // All are due then.
        wait::pause(std::time::Duration::from_millis(20));
        let script = format!(
            "redis.set_repl(redis.{silence})
            redis.call('get', 'read') redis.call('append', 'written', 'x') redis.call('hset', 'hash', 'f', 3)
            redis.call('del', 'deleted') redis.call('del', 'written')
            redis.set_repl(redis.REPL_ALL)"
        );
        master.must(&["EVAL", &script, "0"]);
        in_step(&mut master, &mut replica);
        let deleted = i64::from(silence == "REPL_NONE");
        assert_eq!(master.must("DBSIZE").int(), 2);
        assert_eq!(replica.must("DBSIZE").int(), 2 + deleted, "{silence}");
        assert_eq!((master.must("HLEN hash").int(), replica.must("HLEN hash").int()), (2, 2 - deleted), "{silence}");
        assert_eq!(replica.must("EXISTS deleted").int(), deleted, "{silence}");
    }
}
