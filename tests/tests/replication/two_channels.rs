//! Full syncs over two connections, as Valkey and as Redis 8 do them, under traffic, and with either connection cut.

use rivulet_tests::{Kind, Server, data, random, wait};

use crate::{Traffic, assert_in_step};

const SOME: usize = 8_000;

/// Whose way, and its directive.
#[derive(Debug, Clone, Copy)]
enum Way {
    Valkey,
    Redis,
}

const WAYS: [Way; 2] = [Way::Valkey, Way::Redis];

impl Way {
    fn peer(self) -> Kind {
        match self {
            Way::Valkey => Kind::Valkey9,
            Way::Redis => Kind::Redis8,
        }
    }

    fn directive(self) -> &'static str {
        match self {
            Way::Valkey => "dual-channel-replication-enabled",
            Way::Redis => "repl-rdb-channel",
        }
    }

    /// A server with it on.
    fn start(self, kind: Kind, args: &[&str]) -> Server {
        let directive = format!("--{}", self.directive());
        Server::start(kind, &[&[directive.as_str(), "yes"], args].concat())
    }

    /// INFO's word for a replica whose stream flows beside its snapshot.
    fn state(self) -> &'static str {
        match self {
            Way::Valkey => "bg_transfer",
            Way::Redis => "send_bulk_and_stream",
        }
    }
}

/// The ways whose server is installed.
fn ways() -> impl Iterator<Item = Way> {
    WAYS.into_iter().filter(|way| {
        let there = way.peer().is_there();
        if !there {
            println!("{:?} is not installed: skipped", way.peer());
        }
        there
    })
}

fn log(server: &Server) -> String {
    std::fs::read_to_string(server.dir.path().join("log")).expect("it has a log")
}

/// How often a full sync over two channels began, by the master's log.
fn begun(master: &Server) -> usize {
    log(master).to_lowercase().matches("continue with dedicated rdb channel").count()
}

fn assert_no_alarm(server: &Server) {
    let text = log(server);
    let alarms: Vec<&str> =
        text.lines().filter(|line| line.contains("CRITICAL") || line.contains("panicked")).collect();
    assert!(alarms.is_empty(), "{alarms:#?}\n{text}");
}

/// A full sync under traffic over two channels: nothing is lost, and it was the only one.
fn sync(master: &mut Server, replica: &mut Server) {
    let seed = random::seed(&format!("two channels, {:?} to {:?}", master.kind, replica.kind));
    data::fill(master.main(), SOME);
    // So that it takes a while.
    master.must("CONFIG SET rdb-key-save-delay 60");
    replica.must("SET before x");
    let traffic = Traffic::start(master, seed);
    traffic.goes_on(200);
    replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    replica.wait_for_link();
    traffic.goes_on(500);
    traffic.stop();
    assert_in_step(master, replica);
    assert_eq!((master.count("sync_full"), begun(master)), (1, 1), "{}\n{}", log(master), log(replica));
    assert!(master.info("slave0").contains("state=online"), "{}", master.info("slave0"));
    assert_eq!(master.count("connected_slaves"), 1);
    assert_no_alarm(master);
    assert_no_alarm(replica);
}

#[test]
fn we_sync_from_others() {
    for way in ways() {
        for load in ["disabled", "on-empty-db", "swapdb"] {
            let mut master = way.start(way.peer(), &[]);
            let mut replica = way.start(Kind::Rivulet, &["--repl-diskless-load", load]);
            sync(&mut master, &mut replica);
        }
    }
}

#[test]
fn others_sync_from_us() {
    for way in ways() {
        for load in ["disabled", "swapdb"] {
            let mut master = way.start(Kind::Rivulet, &[]);
            let mut replica = way.start(way.peer(), &["--repl-diskless-load", load]);
            sync(&mut master, &mut replica);
        }
    }
}

#[test]
fn we_sync_from_ourselves() {
    for way in WAYS {
        for load in ["disabled", "on-empty-db", "swapdb"] {
            let mut master = way.start(Kind::Rivulet, &[]);
            let mut replica = way.start(Kind::Rivulet, &["--repl-diskless-load", load]);
            sync(&mut master, &mut replica);
        }
    }
}

/// With next to no data everything arrives at once, on both connections and in any order.
#[test]
fn an_empty_master() {
    for way in WAYS {
        for kind in [Kind::Rivulet, way.peer()].into_iter().filter(|kind| kind.is_there()) {
            for load in ["disabled", "swapdb"] {
                let mut master = way.start(kind, &[]);
                let mut replica = way.start(Kind::Rivulet, &["--repl-diskless-load", load]);
                replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
                master.must("SET a 1");
                assert_in_step(&mut master, &mut replica);
                assert_eq!((master.count("sync_full"), begun(&master)), (1, 1));
            }
        }
    }
}

/// A password guards the second connection too.
#[test]
fn behind_a_password() {
    for way in WAYS {
        let mut master = way.start(Kind::Rivulet, &["--requirepass", "secret"]);
        let mut replica = way.start(Kind::Rivulet, &["--masterauth", "secret"]);
        master.must("SET a 1");
        replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
        assert_in_step(&mut master, &mut replica);
        assert_eq!((master.count("sync_full"), begun(&master)), (1, 1));
    }
}

/// One end that does not do it, or a master that stores its snapshots, and all is as ever.
#[test]
fn one_channel_where_one_end_wants_no_more() {
    for way in WAYS {
        for (ours, theirs, diskless) in [("yes", "no", "yes"), ("no", "yes", "yes"), ("yes", "yes", "no")] {
            let mut master = Server::start(Kind::Rivulet, &["--repl-diskless-sync", diskless]);
            let mut replica = Server::start(Kind::Rivulet, &[]);
            master.must(&format!("CONFIG SET {} {ours}", way.directive()));
            replica.must(&format!("CONFIG SET {} {theirs}", way.directive()));
            data::fill(master.main(), 100);
            replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
            assert_in_step(&mut master, &mut replica);
            assert_eq!((master.count("sync_full"), begun(&master)), (1, 0));
        }
    }
}

/// Replicas of all kinds, with and without a second connection, are served by one snapshot.
#[test]
fn one_snapshot_serves_all_ways_at_once() {
    let mut master = Server::start(
        Kind::Rivulet,
        &["--repl-rdb-channel", "yes", "--dual-channel-replication-enabled", "yes", "--repl-diskless-sync-delay", "2"],
    );
    data::fill(master.main(), SOME);
    master.must("CONFIG SET rdb-key-save-delay 60");
    let mut replicas: Vec<Server> = ways().map(|way| way.start(way.peer(), &[])).collect();
    replicas.extend(WAYS.map(|way| way.start(Kind::Rivulet, &[])));
    let with_two = replicas.len();
    replicas.extend([Kind::Rivulet, Kind::Redis7].into_iter().filter(|k| k.is_there()).map(|k| Server::start(k, &[])));
    let traffic = Traffic::start(&master, random::seed("two channels, all ways"));
    for replica in &mut replicas {
        replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    }
    replicas.iter_mut().for_each(Server::wait_for_link);
    traffic.goes_on(500);
    traffic.stop();
    for replica in &mut replicas {
        assert_in_step(&mut master, replica);
        assert_no_alarm(replica);
    }
    assert_eq!(log(&master).matches("Starting BGSAVE for SYNC").count(), 1, "{}", log(&master));
    assert_eq!((begun(&master), master.count("sync_full")), (with_two, replicas.len() as i64));
    assert_eq!(master.count("connected_slaves"), replicas.len() as i64);
    assert_no_alarm(&master);
}

/// A replica in the middle of a full sync over two channels from a slow master.
fn halfway(way: Way, master_kind: Kind, replica_kind: Kind, load: &str) -> (Server, Server) {
    let mut master = way.start(master_kind, &["--rdb-key-save-delay", "1000"]);
    let mut replica = way.start(replica_kind, &["--repl-diskless-load", load]);
    data::fill(master.main(), SOME);
    replica.must("SET before x");
    replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    wait::until("the snapshot is on its way", || {
        let slaves: String = master.must("INFO replication").text();
        slaves.contains(way.state()) && (replica.kind != Kind::Rivulet || has_read(&mut replica))
    });
    (master, replica)
}

fn has_read(replica: &mut Server) -> bool {
    replica.info("master_sync_in_progress") == "1" && replica.count("master_sync_read_bytes") > 0
}

/// What clients the master serves as replicas, by their ids, oldest first: the stream's connection, then the snapshot's.
fn connections(master: &mut Server) -> Vec<String> {
    let list = master.must("CLIENT LIST TYPE replica").text();
    let mut ids: Vec<u64> =
        list.split_whitespace().filter_map(|word| word.strip_prefix("id=").and_then(|id| id.parse().ok())).collect();
    ids.sort_unstable();
    ids.into_iter().map(|id| id.to_string()).collect()
}

/// The loss of either connection takes the other along; nothing of the half-loaded data is served, and the next attempt succeeds.
#[test]
fn either_connection_is_cut() {
    for way in WAYS {
        for (at, load) in [(0, "disabled"), (1, "disabled"), (1, "on-empty-db"), (0, "swapdb")] {
            let (mut master, mut replica) = halfway(way, Kind::Rivulet, Kind::Rivulet, load);
            let ids = connections(&mut master);
            assert_eq!(ids.len(), 2);
            // The next attempt shall be delayed, so that the state between can be seen.
            master.must("CONFIG SET repl-diskless-sync-delay 1");
            master.must("CONFIG SET rdb-key-save-delay 0");
            master.must(&format!("CLIENT KILL ID {}", ids[at]));
            wait::until("both connections are gone", || {
                let now = connections(&mut master);
                ids.iter().all(|id| !now.contains(id))
            });
            // It may not have seen that yet.
            wait::until("the replica serves", || !replica.call("DBSIZE").is_error());
            let left = replica.must("DBSIZE").int();
            assert!(left <= 1, "{left} keys of half a snapshot are served");
            assert_in_step(&mut master, &mut replica);
            assert_eq!((master.count("sync_full"), begun(&master)), (2, 2), "{}", log(&master));
            assert_no_alarm(&master);
            assert_no_alarm(&replica);
        }
    }
}

#[test]
fn others_get_over_a_cut() {
    for way in ways() {
        for at in [0, 1] {
            let (mut master, mut replica) = halfway(way, Kind::Rivulet, way.peer(), "disabled");
            let ids = connections(&mut master);
            master.must("CONFIG SET rdb-key-save-delay 0");
            master.must(&format!("CLIENT KILL ID {}", ids[at]));
            assert_in_step(&mut master, &mut replica);
            assert_no_alarm(&master);
            let (mut master, mut replica) = halfway(way, way.peer(), Kind::Rivulet, "disabled");
            let ids = connections(&mut master);
            master.must("CONFIG SET rdb-key-save-delay 0");
            master.must(&format!("CLIENT KILL ID {}", ids[at.min(ids.len() - 1)]));
            assert_in_step(&mut master, &mut replica);
            assert_no_alarm(&replica);
        }
    }
}

/// The replica keeps no more of the stream than it may; the master keeps the rest.
#[test]
fn what_a_replica_keeps_is_bounded() {
    for way in WAYS {
        let mut master = way.start(Kind::Rivulet, &["--rdb-key-save-delay", "2000"]);
        let mut replica = way.start(Kind::Rivulet, &["--replica-full-sync-buffer-limit", "100kb"]);
        data::fill(master.main(), SOME);
        replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
        wait::until("the snapshot is on its way", || has_read(&mut replica));
        let mut client = master.client();
        let value = "v".repeat(10_000);
        for _ in 0..2_000 {
            client.must(&format!("SET big {value}"));
        }
        let peak = replica.count("replica_full_sync_buffer_peak");
        assert!((100 << 10..500 << 10).contains(&peak), "{peak} bytes were kept");
        assert_eq!(replica.info("master_link_status"), "down");
        master.must("CONFIG SET rdb-key-save-delay 0");
        assert_in_step(&mut master, &mut replica);
        assert_eq!((master.count("sync_full"), begun(&master)), (1, 1));
    }
}

/// A replica of a replica has a second connection too; and what is below goes on when what is above changes.
#[test]
fn a_chain() {
    for way in WAYS {
        let mut top = way.start(Kind::Rivulet, &[]);
        data::fill(top.main(), 500);
        let mut middle = way.start(Kind::Rivulet, &[]);
        let bottom_kind = if way.peer().is_there() { way.peer() } else { Kind::Rivulet };
        let mut bottom = way.start(bottom_kind, &[]);
        let traffic = Traffic::start(&top, random::seed("two channels in a chain"));
        middle.follow(&top);
        bottom.follow(&middle);
        traffic.goes_on(500);
        top.must("CLIENT KILL TYPE replica");
        middle.must("CLIENT KILL TYPE replica");
        traffic.goes_on(500);
        traffic.stop();
        assert_in_step(&mut top, &mut middle);
        assert_in_step(&mut top, &mut bottom);
        assert_eq!((begun(&top), begun(&middle)), (1, 1));
        assert_eq!((top.count("sync_full"), middle.count("sync_full")), (1, 1));
        bottom.must("REPLICAOF NO ONE");
        middle.must(&format!("REPLICAOF 127.0.0.1 {}", bottom.port));
        assert_in_step(&mut bottom, &mut middle);
        assert_eq!(bottom.count("sync_full"), 0, "{}", log(&middle));
    }
}

/// DEBUG REPL-PAUSE stops the process at a step, which a signal continues.
#[test]
fn stops_at_a_step() {
    let mut master = Way::Redis.start(Kind::Rivulet, &[]);
    let mut replica = Way::Redis.start(Kind::Rivulet, &[]);
    replica.must("DEBUG REPL-PAUSE before-rdb-channel");
    assert!(replica.call("DEBUG REPL-PAUSE there").is_error());
    // The process stops before it answers, or after.
    let mut client = replica.client();
    client.add(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    client.flush().expect("it takes the command");
    wait::until("it has stopped", || log(&replica).contains("Process is about to stop."));
    let slave = master.info("slave0");
    assert!(slave.contains("state=wait_bgsave"), "{slave}");
    let (text, ok) = rivulet_tests::process::run("kill", &["-CONT", &replica.pid().to_string()]);
    assert!(ok, "{text}");
    replica.must("DEBUG REPL-PAUSE clear");
    assert_in_step(&mut master, &mut replica);
    assert_eq!(begun(&master), 1);
}

/// A load that takes longer than the time-out is no reason for the master to give up: ours gives signs of life, a Valkey need not.
#[test]
fn a_load_longer_than_the_time_out() {
    let of_ours = WAYS.map(|way| (way, Kind::Rivulet));
    let of_valkey = Kind::Valkey9.is_there().then_some((Way::Valkey, Kind::Valkey9));
    for (way, kind) in of_ours.into_iter().chain(of_valkey) {
        let mut master = way.start(Kind::Rivulet, &["--repl-timeout", "2", "--repl-ping-replica-period", "1"]);
        data::fill(master.main(), SOME);
        let mut replica = way.start(kind, &["--repl-diskless-load", "disabled", "--key-load-delay", "400"]);
        replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
        assert_in_step(&mut master, &mut replica);
        assert_eq!((master.count("sync_full"), begun(&master)), (1, 1), "{}", log(&master));
    }
}
