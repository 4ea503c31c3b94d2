//! A full sync between every pair, in every mode, while the master is written to.

use std::io::{Read, Write};
use std::net::TcpStream;

use rivulet_tests::{Kind, Server, data, random, wait};

use crate::{Traffic, assert_in_step, everyone, peers};

const MANY: usize = 200_000;
const SOME: usize = 20_000;

/// A full sync under traffic; the data are equal after it, and it was the only one.
fn sync(master: &mut Server, replica: &mut Server, keys: usize) {
    let seed = random::seed(&format!("full sync, {:?} to {:?}", master.kind, replica.kind));
    data::fill(master.main(), keys);
    // What the replica had before is to go.
    replica.must("SET before x");
    replica.must("RPUSH list:1 y");
    let traffic = Traffic::start(master, seed);
    traffic.goes_on(500);
    replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    replica.wait_for_link();
    traffic.goes_on(1000);
    traffic.stop();
    assert_in_step(master, replica);
    assert_eq!(master.count("sync_full"), 1);
}

#[test]
fn others_sync_from_us_without_a_file() {
    for kind in peers() {
        let mut master = Server::start(Kind::Rivulet, &["--repl-diskless-sync", "yes"]);
        let mut replica = Server::start(kind, &["--repl-diskless-load", "disabled"]);
        sync(&mut master, &mut replica, MANY);
    }
}

#[test]
fn others_sync_from_us_with_a_file() {
    for kind in peers() {
        let mut master = Server::start(Kind::Rivulet, &["--repl-diskless-sync", "no"]);
        let mut replica = Server::start(kind, &[]);
        sync(&mut master, &mut replica, SOME);
    }
}

#[test]
fn others_load_what_we_send_as_it_arrives() {
    for kind in peers() {
        for mode in ["on-empty-db", "swapdb"] {
            let mut master = Server::start(Kind::Rivulet, &[]);
            let mut replica = Server::start(kind, &["--repl-diskless-load", mode]);
            sync(&mut master, &mut replica, SOME);
        }
    }
}

#[test]
fn we_sync_from_others() {
    for kind in peers() {
        let mut master = Server::start(kind, &["--repl-diskless-sync", "yes"]);
        let mut replica = Server::start(Kind::Rivulet, &["--repl-diskless-load", "disabled"]);
        sync(&mut master, &mut replica, MANY);
    }
}

#[test]
fn we_sync_from_others_with_a_file() {
    for kind in peers() {
        let mut master = Server::start(kind, &["--repl-diskless-sync", "no"]);
        let mut replica = Server::start(Kind::Rivulet, &[]);
        sync(&mut master, &mut replica, SOME);
    }
}

#[test]
fn we_load_what_others_send_as_it_arrives() {
    for kind in peers() {
        for mode in ["on-empty-db", "swapdb"] {
            for diskless in ["yes", "no"] {
                let mut master = Server::start(kind, &["--repl-diskless-sync", diskless]);
                let mut replica = Server::start(Kind::Rivulet, &["--repl-diskless-load", mode]);
                sync(&mut master, &mut replica, SOME);
            }
        }
    }
}

#[test]
fn we_sync_from_ourselves_in_every_mode() {
    for mode in ["disabled", "on-empty-db", "swapdb"] {
        for diskless in ["yes", "no"] {
            let mut master = Server::start(Kind::Rivulet, &["--repl-diskless-sync", diskless]);
            let mut replica = Server::start(Kind::Rivulet, &["--repl-diskless-load", mode]);
            sync(&mut master, &mut replica, SOME);
        }
    }
}

#[test]
fn one_snapshot_serves_several_replicas() {
    let mut master = Server::start(Kind::Rivulet, &["--repl-diskless-sync-delay", "1"]);
    data::fill(master.main(), SOME);
    let mut replicas: Vec<Server> = [Kind::Rivulet, Kind::Redis7, Kind::Rivulet]
        .into_iter()
        .filter(|k| k.is_there())
        .map(|k| Server::start(k, &[]))
        .collect();
    for replica in &mut replicas {
        replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    }
    for replica in &mut replicas {
        assert_in_step(&mut master, replica);
    }
    let lines = master.log().matches("Starting BGSAVE for SYNC").count();
    assert_eq!(lines, 1, "one snapshot was enough\n{}", master.log());
}

/// Also one that comes when the first has a part of it already.
#[test]
fn a_late_replica_joins_a_snapshot_that_is_being_sent() {
    let mut master = Server::start(Kind::Rivulet, &["--rdb-key-save-delay", "1000"]);
    data::fill(master.main(), SOME);
    // What is made for the oldest the others can read.
    let mut replicas: Vec<Server> = [Kind::Redis7, Kind::Rivulet, Kind::Rivulet]
        .into_iter()
        .filter(|k| k.is_there())
        .map(|k| Server::start(k, &[]))
        .collect();
    let traffic = Traffic::start(&master, random::seed("joining"));
    for replica in &mut replicas {
        replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
        wait::until("the snapshot is on its way", || {
            replica.info("master_sync_in_progress") == "1" && replica.count("master_sync_read_bytes") > 0
        });
    }
    traffic.goes_on(500);
    traffic.stop();
    for replica in &mut replicas {
        assert_in_step(&mut master, replica);
    }
    let log = master.log();
    assert_eq!(log.matches("Starting BGSAVE for SYNC").count(), 1, "{log}");
    assert_eq!(log.matches("Joining the BGSAVE for SYNC").count(), replicas.len() - 1, "{log}");
}

/// Until a snapshot is whole, a replica that stores it first has lost nothing: the old data is served, and stays if the master dies.
#[test]
fn a_snapshot_that_is_only_being_stored_leaves_the_old_data_alone() {
    let mut master = Server::start(Kind::Rivulet, &["--rdb-key-save-delay", "1000"]);
    let mut replica = Server::start(Kind::Rivulet, &["--repl-diskless-load", "disabled"]);
    data::fill(master.main(), SOME);
    replica.must("SET before x");
    replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    wait::until("the snapshot is on its way", || {
        replica.info("master_sync_in_progress") == "1" && replica.count("master_sync_read_bytes") > 0
    });
    assert_eq!(replica.must("GET before").bytes(), b"x");
    assert_eq!(replica.info("loading"), "0");
    master.kill();
    wait::until("the link is down", || replica.info("master_sync_in_progress") == "0");
    assert_eq!(replica.must("DBSIZE").int(), 1);
    replica.must("REPLICAOF NO ONE");
    assert_eq!(replica.must("GET before").bytes(), b"x");
}

/// A replica without data decodes what it stores. Nobody sees it before all is there, a connection that is cut leaves nothing of it, and the file
/// is whole: after a crash the replica comes back from it and resumes.
#[test]
fn a_replica_without_data_decodes_what_it_stores() {
    let mut master = Server::start(Kind::Rivulet, &["--rdb-key-save-delay", "200"]);
    data::fill(master.main(), SOME);
    let port = master.port.to_string();
    let mut replica =
        Server::start(Kind::Rivulet, &["--repl-diskless-load", "disabled", "--replicaof", "127.0.0.1", &port]);
    for syncs in [1, 2] {
        wait::until("a part of the snapshot", || {
            master.count("sync_full") == syncs && replica.count("master_sync_read_bytes") > 100_000
        });
        assert_eq!(replica.must("DBSIZE").int(), 0);
        assert_eq!((replica.count("loading"), replica.count("async_loading")), (0, 0));
        if syncs == 1 {
            master.must("CLIENT KILL TYPE replica");
        }
    }
    master.must("CONFIG SET rdb-key-save-delay 0");
    replica.wait_for_link();
    assert_in_step(&mut master, &mut replica);
    replica.kill();
    replica.launch();
    assert_in_step(&mut master, &mut replica);
    assert_eq!(master.count("sync_full"), 2, "{}", replica.log());
}

/// Slots in the table of a database.
fn slots(server: &mut Server, db: u32) -> u32 {
    let stats = server.must(&format!("DEBUG HTSTATS {db}")).text();
    let line = stats.lines().find_map(|line| line.strip_prefix(" table size: ")).expect("a size");
    line.parse().expect("a number")
}

#[test]
fn room_is_made_before_the_keys_come() {
    // So many lie in two segments, and of those that grow only one can have more than 80 buckets; room is made with 96 for each.
    const KEYS: usize = 1100;
    const ROOM: u32 = 2 * 96 * 8;
    let mut master = Server::start(Kind::Rivulet, &[]);
    for db in [0, 3] {
        master.must(&format!("SELECT {db}"));
        master.must(&format!("DEBUG POPULATE {KEYS}"));
        assert!(slots(&mut master, db) < ROOM);
    }
    let port = master.port.to_string();
    for load in ["disabled", "swapdb"] {
        let options = ["--repl-diskless-load", load, "--replicaof", "127.0.0.1", &port];
        let mut replica = Server::start(Kind::Rivulet, &options);
        replica.wait_for_link();
        assert_eq!([slots(&mut replica, 0), slots(&mut replica, 3)], [ROOM; 2], "{load}");
    }
    master.must("SAVE");
    master.kill();
    master.launch();
    assert_eq!([slots(&mut master, 0), slots(&mut master, 3)], [ROOM; 2]);
}

/// A replica that takes nothing for a while and then reads its whole snapshot; answers how many bytes that was.
fn read_payload(mut slow: TcpStream) -> usize {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = slow.read(&mut buffer).expect("the master goes on sending");
        assert!(count > 0, "the master closed the connection after {} bytes", bytes.len());
        bytes.extend_from_slice(&buffer[..count]);
        let Some(begin) = bytes.windows(5).take(4096).position(|w| w == b"$EOF:") else { continue };
        let (mark, body) = (begin + 5..begin + 45, begin + 47);
        if bytes.len() > body + 40 && bytes[bytes.len() - 40..] == bytes[mark] {
            return bytes.len() - body - 40;
        }
    }
}

/// A replica that asks for a full sync and takes nothing yet.
pub fn slow_replica(master: &Server) -> TcpStream {
    let mut slow = TcpStream::connect(("127.0.0.1", master.port)).expect("a connection");
    slow.write_all(b"REPLCONF capa eof capa psync2\r\n").expect("it is sent");
    slow.read_exact(&mut [0; 5]).expect("the answer is OK");
    slow.write_all(b"PSYNC ? -1\r\n").expect("it is sent");
    slow
}

#[test]
fn slow_replicas_share_the_window_and_one_file() {
    const VALUES: usize = 48;
    let options = ["--repl-sync-window", "24mb", "--snapshot-queue-limit", "1mb", "--repl-diskless-sync-delay", "0"];
    let mut master = Server::start(Kind::Rivulet, &options);
    for i in 0..VALUES {
        master.main().must(&[b"SET".as_slice(), format!("key:{i}").as_bytes(), &vec![i as u8; 1 << 20]]);
    }
    let mut slow = Vec::new();
    for count in 1..=3 {
        slow.push(slow_replica(&master));
        wait::until("it is counted", || master.count("connected_slaves") >= count);
        // The payload is made as far as one that takes something lets it.
        let mut quick = Server::start(Kind::Rivulet, &[]);
        quick.follow(&master);
        assert_in_step(&mut master, &mut quick);
        let (held, spilled) = (master.count("repl_sync_window_bytes"), master.count("repl_sync_spill_bytes"));
        assert!(held <= (24 + 3) << 20, "{held} bytes for {count}");
        assert!(spilled <= (VALUES as i64 + 1) << 20, "{spilled} bytes of a snapshot for {count}");
        master.must(&format!("SET later:{count} 1"));
    }
    assert!(master.count("repl_sync_spill_peak_bytes") > 16 << 20);
    for slow in slow {
        assert!(read_payload(slow) > VALUES << 20);
    }
    wait::until("the file is gone", || master.count("repl_sync_spill_bytes") == 0);
}

#[test]
fn a_slow_replica_holds_up_nobody() {
    const VALUES: usize = 48;
    for kind in everyone() {
        let options =
            ["--repl-sync-window", "8mb", "--repl-diskless-sync-delay", "60", "--repl-diskless-sync-max-replicas", "2"];
        let mut master = Server::start(Kind::Rivulet, &options);
        for i in 0..VALUES {
            master.main().must(&[b"SET".as_slice(), format!("key:{i}").as_bytes(), &vec![i as u8; 1 << 20]]);
        }
        let slow = slow_replica(&master);
        let mut replica = Server::start(kind, &[]);
        replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
        replica.wait_for_link();
        // The other one has not read a byte, and what is kept for it is mostly on disk.
        wait::until("the window is kept", || master.count("repl_sync_window_bytes") <= 9 << 20);
        assert!(master.count("repl_sync_spill_bytes") > 16 << 20, "{}", master.log());
        // Nor must one that comes now, or a snapshot on disk, wait for it.
        master.must("CONFIG SET repl-diskless-sync-delay 0");
        let mut newcomer = Server::start(kind, &[]);
        newcomer.follow(&master);
        master.must("BGSAVE");
        assert!(read_payload(slow) > VALUES << 20);
        wait::until("the file is gone", || master.count("repl_sync_spill_bytes") == 0);
        assert_in_step(&mut master, &mut replica);
        assert_in_step(&mut master, &mut newcomer);
        assert_eq!(master.count("sync_full"), 3);
    }
}
