//! What replication may take of memory, disk and time when the other end, or the disk, does not do its part.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rivulet_tests::fake_master::{FakeLink, FakeMaster};
use rivulet_tests::{Kind, Server, wait};

use crate::full_sync::slow_replica;
use crate::{assert_in_step, wait_in_step};

const REPLID: &str = "1234567890123456789012345678901234567890";

/// The bytes of a snapshot with the key `new`.
fn snapshot() -> Vec<u8> {
    let mut server = Server::start(Kind::Rivulet, &[]);
    server.must("SET new 1");
    server.must("SAVE");
    std::fs::read(server.dir.path().join("dump.rdb")).expect("it was saved")
}

/// The master's next full sync: a payload that is said to end with one mark, and ends with this one; then a bit of the stream.
fn sync(master: &FakeMaster, (snapshot, mark): (&[u8], &str)) -> FakeLink {
    let mut link = master.greet();
    let begin = format!("+FULLRESYNC {REPLID} 0\r\n$EOF:{MARK}\r\n");
    link.send(&[begin.as_bytes(), snapshot, mark.as_bytes()].concat());
    link.send_command(&["PING"]);
    link
}

const MARK: &str = "0123456789abcdef0123456789abcdefghijklmn";
const OTHER_MARK: &str = "0123456789abcdef0123456789abcdefghijklmo";

#[test]
fn a_snapshot_that_can_not_be_loaded_is_asked_for_less_and_less_often() {
    let good = snapshot();
    // What stands where its key's type should is that of a module.
    let mut unreadable = good.clone();
    let at = unreadable.windows(5).position(|w| w == b"\x00\x03new").expect("the key");
    unreadable[at] = 6;
    unreadable.extend_from_slice(&[0; 64]);
    for load in ["swapdb", "disabled"] {
        for bad in [(&good[..], OTHER_MARK), (&unreadable[..], MARK)] {
            let master = FakeMaster::new();
            let mut replica = Server::start(Kind::Rivulet, &["--repl-diskless-load", load]);
            replica.must("SET old 1");
            replica.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
            for count in 1..=2 {
                let _link = sync(&master, bad);
                wait::until("it has failed", || replica.info("master_sync_failures") == count.to_string());
            }
            assert_eq!(replica.must("GET old").text(), "1", "the old data are still there: {load}");
            assert_eq!(replica.info("loading"), "0");
            assert!(["1", "2"].contains(&replica.info("master_sync_retry_seconds").as_str()));
            let doctor = replica.must("REPLICATION DOCTOR").text().to_string();
            assert!(doctor.contains("could not be loaded, 2 times in a row"), "{doctor}");
            let history = format!("{:?}", replica.must("REPLICATION HISTORY 1"));
            assert!(history.contains("Failed trying to load the MASTER synchronization DB"), "{history}");
            let _link = sync(&master, (&good, MARK));
            replica.wait_for_link();
            assert_eq!((replica.must("EXISTS new").int(), replica.must("EXISTS old").int()), (1, 0));
            assert_eq!(replica.info("master_sync_failures"), "");
        }
    }
}

/// A directory on a file system of its own with so much room; nothing where none may be mounted.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<SmallDisk> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rivulet-small-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path).status();
        if !mounted.is_ok_and(|status| status.success()) {
            println!("skipped: no file system can be mounted");
            let _ = std::fs::remove_dir(&path);
            return None;
        }
        Some(SmallDisk(path))
    }

    /// Takes or frees all the room that is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filler")).expect("a file");
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("filler")).expect("it was filled");
    }

    fn dir(&self) -> &str {
        self.0.to_str().expect("a name")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A server that was killed a moment ago may still hold it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Writes so many megabytes of the stream, over a few keys.
fn write_stream(master: &mut Server, megabytes: usize) {
    let value = vec![b'x'; 1 << 20];
    for i in 0..megabytes {
        master.main().must(&[b"SET".as_slice(), format!("key:{}", i % 4).as_bytes(), &value]);
    }
}

#[test]
fn a_replica_whose_disk_is_full_leaves_the_stream_to_its_master() {
    let Some(disk) = SmallDisk::mount(128) else { return };
    let mut master = Server::start(Kind::Rivulet, &["--repl-timeout", "5", "--repl-ping-replica-period", "1"]);
    let options = ["--dir", disk.dir(), "--appendonly", "yes", "--log-queue-limit", "4mb", "--repl-timeout", "5"];
    let mut replica = Server::start(Kind::Rivulet, &options);
    replica.follow(&master);
    assert_in_step(&mut master, &mut replica);
    // Before that the stream need not be kept: it goes into the base.
    wait::until("the files have their base", || replica.log().contains("AOF rewrite finished successfully"));
    disk.fill();
    let before = replica.count("used_memory");
    write_stream(&mut master, 60);
    let waits = wait::within(wait::PATIENCE, || replica.info("master_link_waits_for_disk") == "1");
    assert!(waits && replica.log().contains("more than log-queue-limit"), "{}", replica.log());
    // For longer than the time-out: it is there, and acknowledges what it has applied.
    wait::pause(Duration::from_secs(7));
    assert_eq!((replica.info("master_link_status"), master.count("connected_slaves")), ("up".to_string(), 1));
    let grown = replica.count("used_memory") - before;
    assert!(grown < 24 << 20, "{grown} bytes for a limit of 4 MB, in the queue and in the backlog");
    assert!(replica.count("master_repl_offset") < master.count("master_repl_offset"));
    disk.make_room();
    assert_in_step(&mut master, &mut replica);
    assert_eq!(replica.info("master_link_waits_for_disk"), "0");
    assert_eq!((master.count("sync_full"), master.count("sync_partial_ok")), (1, 0));
}

#[test]
fn the_slowest_goes_when_more_is_held_for_replicas_than_may_be() {
    let bounds = ["--repl-backlog-disk-size", "4mb", "--repl-hold-limit", "40mb"];
    let mut master = Server::start(Kind::Rivulet, &[&bounds[..], &["--repl-sync-window", "8mb"]].concat());
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    assert_in_step(&mut master, &mut replica);
    let value = vec![b'x'; 1 << 20];
    for i in 0..16 {
        master.main().must(&[b"SET".as_slice(), format!("data:{i}").as_bytes(), &value]);
    }
    // Two that take nothing: one from now on, one that comes later.
    let first = slow_replica(&master);
    wait::until("its snapshot has begun", || master.count("connected_slaves") == 2);
    write_stream(&mut master, 8);
    wait_in_step(&mut master, &mut replica);
    let second = slow_replica(&master);
    wait::until("it waits too", || master.count("connected_slaves") == 3);
    write_stream(&mut master, 4);
    wait_in_step(&mut master, &mut replica);
    // Nobody is cut off for being slow.
    assert_eq!((master.count("connected_slaves"), master.count("repl_hold_disconnections")), (3, 0));
    for _ in 0..20 {
        write_stream(&mut master, 4);
        // However fast it is written, this one is not the slowest, and the disk keeps up.
        wait_in_step(&mut master, &mut replica);
    }
    wait::until("they had to go", || master.count("connected_slaves") == 1);
    assert_eq!(master.count("repl_hold_disconnections"), 2);
    assert!(master.log().contains("more than repl-hold-limit (41943040) for replicas, of which this is the slowest"));
    let history = format!("{:?}", master.must("REPLICATION HISTORY"));
    assert!(history.contains("more than repl-hold-limit"), "{history}");
    assert!(master.must("REPLICATION DOCTOR").text().contains("repl-hold-limit to 80mb"));
    wait::until("all that was held is given back", || {
        let small = master.count("repl_backlog_disk_bytes") <= 8 << 20;
        small && master.count("repl_hold_bytes") == 0 && master.count("repl_sync_spill_bytes") == 0
    });
    assert_in_step(&mut master, &mut replica);
    assert_eq!(master.count("sync_partial_ok"), 0, "who keeps up has noticed nothing");
    drop((first, second));
}

/// What is in the append-only file is there whoever needs it: a replica that was away for more than may be held was granted what it lacked and cut off
/// for it at once, again and again.
#[test]
fn what_is_there_anyway_is_not_held_for_anybody() {
    let options = ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0", "--repl-hold-limit", "1mb"];
    let mut master = Server::start(Kind::Rivulet, &[&options[..], &["--repl-backlog-size", "64kb"]].concat());
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    assert_in_step(&mut master, &mut replica);
    replica.must("REPLICAOF 127.0.0.1 1");
    write_stream(&mut master, 32);
    replica.follow(&master);
    assert_in_step(&mut master, &mut replica);
    assert_eq!((master.count("sync_full"), master.count("sync_partial_ok")), (1, 1));
    assert_eq!(master.count("repl_hold_disconnections"), 0);
}

#[test]
fn a_full_disk_costs_the_slowest_its_place_and_writes_go_on() {
    let Some(disk) = SmallDisk::mount(96) else { return };
    let options = ["--appendonly", "yes", "--repl-backlog-disk-size", "1mb", "--auto-aof-rewrite-percentage", "0"];
    let mut master = Server::start(Kind::Rivulet, &[&options[..], &["--dir", disk.dir()]].concat());
    write_stream(&mut master, 4);
    let slow = slow_replica(&master);
    wait::until("its snapshot has begun", || master.count("connected_slaves") == 1);
    let value = vec![b'y'; 1 << 20];
    let mut refused = false;
    wait::until("the slow one has to go", || {
        for i in 0..16 {
            let reply = master.call(&[b"SET".as_slice(), format!("key:{}", i % 4).as_bytes(), &value]);
            refused |= reply.is_error();
        }
        // What was data becomes something that only the slow one needs.
        master.call("BGREWRITEAOF");
        wait::until("it is rewritten, or can't be", || master.info("aof_rewrite_in_progress") == "0");
        master.count("connected_slaves") == 0
    });
    assert!(master.log().contains("the disk takes no more (No space left on device)"), "{}", master.log());
    wait::until("writes go on", || !master.call("SET after 1").is_error());
    wait::until("it is written", || master.info("aof_last_write_status") == "ok");
    assert_eq!(master.count("repl_hold_bytes"), 0);
    println!("a write was refused meanwhile: {refused}");
    drop(slow);
}
