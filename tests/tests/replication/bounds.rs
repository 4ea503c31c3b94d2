//! What replication may take of memory, disk and time when the other end, or the disk, does not do its part.

use rivulet_tests::fake_master::{FakeLink, FakeMaster};
use rivulet_tests::{Kind, Server, wait};

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
