//! Disks that are full, and a tail that is taken away.

use std::fs::OpenOptions;

use rivulet_tests::{Kind, Server, wait};

use crate::{DIRECTORY, Mount, assert_filled, file, fill, wait_refused, wait_taken};

const NO_SPACE: &str = "No space left on device";

#[test]
fn a_tail_that_is_cut_short_costs_nothing() {
    for fsync in ["everysec", "no"] {
        let mut server = Server::start(Kind::Rivulet, &["--appendonly", "yes", "--appendfsync", fsync]);
        server.must("SET before 1");
        let tail = file(&server, "appendonly.aof.tail");
        wait::until("there is a tail", || tail.exists());
        OpenOptions::new().write(true).open(&tail).and_then(|file| file.set_len(0)).expect("it can be cut");
        // Replies wait for the file from now on.
        assert_eq!(fill(&mut server, "k", 100, 2000), 2000);
        wait::until("it is told", || server.log().contains("replies wait for the AOF file"));
        server.kill();
        server.launch();
        assert_filled(&mut server, "k", 100, 2000);
        assert_eq!(server.must("EXISTS before").int(), 1);
    }
}

/// Fills the disk, frees some of it, and looks whether all that was acknowledged is there after a crash.
fn fill_the_disk(server: &mut Server, spare: &std::path::Path) {
    let count = fill(server, "k", 100_000, 10_000);
    assert!(count < 10_000, "the disk is never full");
    wait_refused(server, NO_SPACE);
    // Those who come later are refused, too, and reads are not.
    server.must("GET k:0");
    assert_eq!(server.must("WAITAOF 0 0 1").items().len(), 2);
    std::fs::remove_file(spare).expect("the spare file goes");
    wait_taken(server);
    let more = fill(server, "more", 100, 1000);
    server.kill();
    server.launch();
    assert_filled(server, "k", 100_000, count);
    assert_filled(server, "more", 100, more);
}

#[test]
fn a_small_file_system_that_is_full() {
    let mut server = Server::prepare(Kind::Rivulet, &["--appendonly", "yes"]);
    let point = server.dir.path().join(DIRECTORY);
    let Some(_mount) = Mount::in_memory(&point, 32 << 20) else { return };
    let spare = point.join("spare");
    // More than waits for a writer that is late: all of a tail.
    std::fs::write(&spare, vec![1; 12 << 20]).expect("there is room");
    server.launch();
    fill_the_disk(&mut server, &spare);
    server.kill();
}

#[test]
fn no_room_for_a_tail() {
    let mut server = Server::prepare(Kind::Rivulet, &["--appendonly", "yes"]);
    let point = server.dir.path().join(DIRECTORY);
    let Some(_mount) = Mount::in_memory(&point, 4 << 20) else { return };
    let spare = point.join("spare");
    std::fs::write(&spare, vec![1; 1 << 20]).expect("there is room");
    server.launch();
    let told = || server.log().contains("Can't make") && server.log().contains(NO_SPACE);
    wait::until("it is told that there is no tail", told);
    fill_the_disk(&mut server, &spare);
    server.kill();
}

/// On such a file system each page that is stored to anew needs room of its own.
#[test]
fn a_copy_on_write_file_system_that_is_full() {
    for (kind, bytes) in [("btrfs", 128 << 20), ("xfs", 300 << 20)] {
        let mut server = Server::prepare(Kind::Rivulet, &["--appendonly", "yes"]);
        let point = server.dir.path().join(DIRECTORY);
        let Some(_mount) = Mount::in_a_file(&point, kind, bytes) else { continue };
        server.launch();
        server.must("SET before 1");
        share(&point);
        // Little is left, so that the log and the pages of the tail take it away from each other.
        let spare = point.join("spare");
        fill_up(&spare, 3 << 20);
        fill_the_disk(&mut server, &spare);
        server.kill();
    }
}

/// Makes a copy of the tail that shares its blocks, if the file system can.
fn share(point: &std::path::Path) {
    let path = |name: &str| point.join(name).to_string_lossy().into_owned();
    let (text, ok) =
        rivulet_tests::process::run("cp", &["--reflink=always", &path("appendonly.aof.tail"), &path("copy")]);
    println!("the blocks of the tail are shared: {ok} {text}");
    rivulet_tests::process::run("sync", &[]);
}

/// A file that takes all but so many bytes.
fn fill_up(path: &std::path::Path, left: usize) {
    let mut file = std::fs::File::create(path).expect("a file");
    let piece = vec![1; 1 << 20];
    let mut written = 0u64;
    while std::io::Write::write_all(&mut file, &piece).and_then(|()| file.sync_data()).is_ok() {
        written += piece.len() as u64;
    }
    // What could not be synced may be there in part.
    file.set_len(written.saturating_sub(left as u64)).and_then(|()| file.sync_all()).expect("it is cut");
}

#[test]
fn files_that_a_full_disk_refuses_can_be_given_up() {
    let mut server = Server::prepare(Kind::Rivulet, &["--appendonly", "yes", "--enable-protected-configs", "yes"]);
    let point = server.dir.path().join(DIRECTORY);
    let Some(_mount) = Mount::in_memory(&point, 32 << 20) else { return };
    let spare = point.join("spare");
    // More than waits for a writer that is late: all of a tail.
    std::fs::write(&spare, vec![1; 12 << 20]).expect("there is room");
    server.launch();
    let count = fill(&mut server, "k", 100_000, 10_000);
    wait_refused(&mut server, NO_SPACE);
    server.must("CONFIG SET appendonly no");
    // Writes go on, and nothing waits for that disk any more.
    server.must("SET without 1");
    let elsewhere = begin_elsewhere(&mut server);
    assert_eq!(server.must("WAITAOF 1 0 5000").items()[0].int(), 1);
    server.kill();
    server.launch_with(&["--dir", &elsewhere.to_string_lossy()]);
    assert_filled(&mut server, "k", 100_000, count);
    assert_eq!(server.must("EXISTS without taken").int(), 2);
    server.kill();
    // What was acknowledged before is in the old files, too: what they lack is in the tail.
    std::fs::remove_file(&spare).expect("the spare file goes");
    server.launch();
    assert_filled(&mut server, "k", 100_000, count);
    assert_eq!(server.must("EXISTS without").int(), 0);
    server.kill();
}

/// Append-only begins in another directory, and is whole there.
fn begin_elsewhere(server: &mut Server) -> std::path::PathBuf {
    let elsewhere = server.dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a directory");
    server.must(&["CONFIG", "SET", "dir", &elsewhere.to_string_lossy()]);
    server.must("CONFIG SET appendonly yes");
    wait::until("the first files are whole", || {
        elsewhere.join(DIRECTORY).join("appendonly.aof.manifest").exists()
            && server.info("aof_rewrite_in_progress") == "0"
    });
    wait_taken(server);
    elsewhere
}

/// It refuses after they were switched off; what is to be written before others are begun is of no use to them.
#[test]
fn files_that_are_closed_keep_no_others_waiting() {
    let mut server = Server::prepare(Kind::Rivulet, &["--appendonly", "yes", "--enable-protected-configs", "yes"]);
    let point = server.dir.path().join(DIRECTORY);
    let Some(_mount) = Mount::in_memory(&point, 16 << 20) else { return };
    server.launch();
    server.must("SET before 1");
    fill_up(&point.join("spare"), 0);
    fill_to_the_last_page(&point.join("rest"));
    // It is not known yet that there is no room for this.
    server.must("DEBUG AOF-FLUSH-SLEEP 300000");
    server.must(&["SET", "large", &"v".repeat(100_000)]);
    server.must("CONFIG SET appendonly no");
    server.must("DEBUG AOF-FLUSH-SLEEP 0");
    wait::until("the disk refuses it", || server.log().contains("Error writing to the AOF file"));
    begin_elsewhere(&mut server);
    server.kill();
}

/// What waits for the disk when a rewrite fails at its end is in no file that a restart begins with.
#[test]
fn what_waits_for_a_full_disk_is_not_acknowledged_when_a_rewrite_fails() {
    ["everysec", "always"].into_iter().for_each(fail_a_rewrite_on_a_full_disk);
}

fn fail_a_rewrite_on_a_full_disk(fsync: &str) {
    let args = ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0", "--appendfsync", fsync];
    let mut server = Server::prepare(Kind::Rivulet, &args);
    let point = server.dir.path().join(DIRECTORY);
    // The base is made on another file system, and can't take its name on this one.
    let Some(_mount) = Mount::in_memory(&point, 16 << 20) else { return };
    server.launch();
    fill(&mut server, "k", 10, 20);
    // A snapshot takes two seconds.
    server.must("CONFIG SET rdb-key-save-delay 100000");
    server.must("BGREWRITEAOF");
    server.must("SET begun 1");
    let last = point.join("appendonly.aof.2.incr.aof");
    wait::until("the file of the rewrite has something", || last.metadata().is_ok_and(|file| file.len() > 0));
    let spare = point.join("spare");
    fill_up(&spare, 0);
    fill_to_the_last_page(&point.join("rest"));
    // There is room for this one in the page of the one before. While it waits to be written, the rewrite ends, and another write comes.
    server.must("DEBUG AOF-FLUSH-SLEEP 6000000");
    let mut before = server.client();
    before.add("SET small 1");
    before.flush().expect("it is sent");
    wait::until("the base is written", || server.log().contains("Background AOF rewrite terminated with success"));
    let mut writer = server.client();
    writer.add(&["SET", "large", &"v".repeat(100_000)]);
    writer.flush().expect("it is sent");
    server.must("DEBUG AOF-FLUSH-SLEEP 0");
    let reply = writer.read();
    assert!(server.log().contains("Error trying to rename the temporary AOF base file"), "{}", server.log());
    // Who asks for nothing that waits is answered, and who writes is told why not.
    wait_refused(&mut server, "Invalid cross-device link");
    assert_eq!(server.client().must("GET begun").text(), "1", "{fsync}");
    server.kill();
    std::fs::remove_file(&spare).expect("the spare file goes");
    server.launch();
    let there = server.must("EXISTS large").int();
    assert!(reply.is_err() || there == 1, "{reply:?}, and it is lost");
    assert_eq!(server.must("EXISTS begun small").int(), 2, "{}", server.log());
}

fn fill_to_the_last_page(path: &std::path::Path) {
    let mut file = std::fs::File::create(path).expect("a file");
    while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
}
