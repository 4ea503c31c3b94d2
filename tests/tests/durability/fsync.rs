//! A disk whose fsync fails, or takes its time. A library that is loaded before the C library stands for it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rivulet_tests::process::{TempDir, tool};
use rivulet_tests::{Kind, Server, wait};

use crate::{file, last_incr, wait_refused, wait_taken};

/// While the file FAULT is there, fsync of a file with a part of the stream fails. If it says so, the system also loses what was not synced: what is read then is
/// what an older block held. Or it succeeds, but only after [`SLOW`]. The file SYNCED has the name and the length of each that was synced well.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static off_t synced;

static int fails(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < 0) return 0;
    path[len] = 0;
    if (!strstr(path, ".incr.aof") && !strstr(path, ".backlog")) return 0;
    struct stat now;
    if (fstat(fd, &now)) return 0;
    int fault = open(getenv("FAULT"), O_RDONLY);
    if (fault < 0) {
        synced = now.st_size;
        FILE *told = fopen(getenv("SYNCED"), "a");
        fprintf(told, "%s %ld\n", strrchr(path, '/') + 1, (long)synced);
        fclose(told);
        return 0;
    }
    char drops = 0;
    ssize_t got = read(fault, &drops, 1);
    close(fault);
    if (got == 1 && drops == 's') { usleep(400000); return 0; }
    if (got == 1 && drops == 'd') {
        int again = open(path, O_WRONLY);
        for (off_t at = synced; at < now.st_size; at++) pwrite(again, "", 1, at);
        close(again);
    }
    errno = EIO;
    return 1;
}

int fdatasync(int fd) {
    if (fails(fd)) return -1;
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}

int fsync(int fd) {
    if (fails(fd)) return -1;
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
"#;

/// How long an fsync takes that is slow.
const SLOW: Duration = Duration::from_millis(400);

pub struct Faults {
    directory: TempDir,
}

impl Faults {
    pub fn new() -> Option<Faults> {
        let Some(compiler) = tool("cc") else {
            println!("skipped: there is no C compiler");
            return None;
        };
        let directory = TempDir::new();
        let source = directory.path().join("faults.c");
        std::fs::write(&source, LIBRARY).expect("a source file");
        let faults = Faults { directory };
        let status = Command::new(compiler)
            .args(["-shared", "-fPIC", "-w", "-o"])
            .arg(faults.library())
            .arg(source)
            .arg("-ldl")
            .status();
        assert!(status.is_ok_and(|status| status.success()), "the library can't be built");
        Some(faults)
    }

    fn library(&self) -> PathBuf {
        self.directory.path().join("faults.so")
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("fault")
    }

    pub fn server(&self, kind: Kind, args: &[&str]) -> Server {
        let mut server = Server::prepare(kind, &[&["--appendonly", "yes"], args].concat());
        server.set_env("LD_PRELOAD", &self.library().to_string_lossy());
        server.set_env("FAULT", &self.file().to_string_lossy());
        server.set_env("SYNCED", &self.directory.path().join("synced").to_string_lossy());
        server.launch();
        server
    }

    /// Whether all that is in an incremental file was synced.
    fn covered(&self, path: &Path) -> bool {
        let told = std::fs::read_to_string(self.directory.path().join("synced")).unwrap_or_default();
        let len = std::fs::metadata(path).expect("it is there").len();
        let name = path.file_name().expect("a name").to_string_lossy();
        told.lines().any(|line| line == format!("{name} {len}"))
    }

    pub fn begin(&self, how: &str) {
        std::fs::write(self.file(), how).expect("a file");
    }

    pub fn end(&self) {
        std::fs::remove_file(self.file()).expect("it goes");
    }
}

fn durable(server: &mut Server, wait_ms: u64) -> i64 {
    server.must(&format!("WAITAOF 1 0 {wait_ms}")).items()[0].int()
}

#[test]
fn writes_are_refused_until_it_was_written_again() {
    let Some(faults) = Faults::new() else { return };
    for kind in [Kind::Rivulet, Kind::Redis7].into_iter().filter(|kind| kind.is_there()) {
        let mut server = faults.server(kind, &[]);
        server.must("SET before 1");
        if kind == Kind::Rivulet {
            assert_eq!(durable(&mut server, 0), 1);
        }
        faults.begin("fails");
        // With Redis the sync of `before` may have failed already.
        assert!(!server.call("SET during 1").is_error() || kind == Kind::Redis7);
        wait_refused(&mut server, "Input/output error");
        assert!(server.log().contains("Fail to fsync the AOF file: Input/output error"), "{}", server.log());
        if kind == Kind::Redis7 {
            // It syncs again only when something was written, which it refuses.
            continue;
        }
        // This connection wrote `during`.
        assert_eq!(durable(&mut server, 1500), 0, "what a failed fsync covered is not durable");
        faults.end();
        wait_taken(&mut server);
        assert_eq!(durable(&mut server, 0), 1);
        server.kill();
        server.launch();
        assert_eq!(server.must("EXISTS before during taken").int(), 3);
    }
}

#[test]
fn what_the_system_dropped_is_written_from_memory() {
    let Some(faults) = Faults::new() else { return };
    let mut server = faults.server(Kind::Rivulet, &[]);
    server.must("SET before 1");
    assert_eq!(durable(&mut server, 0), 1);
    let first = last_incr(&server);
    faults.begin("drops");
    server.must("SET during 1");
    wait_refused(&mut server, "Input/output error");
    faults.end();
    wait_taken(&mut server);
    assert_eq!(durable(&mut server, 0), 1);
    assert_ne!(last_incr(&server), first, "the file with the hole is used no more\n{}", server.log());
    assert_eq!(server.log().matches("The AOF files are begun anew").count(), 1, "{}", server.log());
    server.kill();
    server.launch();
    assert_eq!(server.must("EXISTS before during taken").int(), 3, "{}", server.log());
}

/// What replicas would be sent from there is not what was written.
#[test]
fn a_backlog_that_can_not_be_read_back_is_given_up() {
    let Some(faults) = Faults::new() else { return };
    let options = ["--appendonly", "no", "--repl-backlog-size", "16kb", "--repl-backlog-disk-size", "64mb"];
    let mut master = faults.server(Kind::Rivulet, &options);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    faults.begin("drops");
    let value = "v".repeat(10_000);
    (0..50).for_each(|n| _ = master.must(&["SET", &format!("k:{n}"), &value]));
    wait::until("the sync fails", || master.log().contains("Fail to fsync"));
    faults.end();
    wait::until("it is told", || master.log().contains("The replication backlog on disk is begun anew"));
    let directory = master.dir.path().join(format!("replbacklog-{}", master.port));
    let segments = || std::fs::read_dir(&directory).expect("a directory").flatten().map(|entry| entry.file_name());
    wait::until("the files go", || !segments().any(|name| name.to_string_lossy().ends_with(".backlog")));
    assert!(!master.call("SET after 1").is_error());
    // Nothing of that is left for the files of another time.
    master.must("CONFIG SET appendonly yes");
    wait::until("the first files are whole", || {
        file(&master, "appendonly.aof.manifest").exists() && master.info("aof_rewrite_in_progress") == "0"
    });
    assert_eq!(durable(&mut master, 0), 1);
    assert!(!master.log().contains("The AOF files are begun anew"), "{}", master.log());
}

#[test]
fn a_save_makes_way_for_files_that_are_begun_anew() {
    let Some(faults) = Faults::new() else { return };
    let mut server = faults.server(Kind::Rivulet, &[]);
    (0..100).for_each(|n| _ = server.must(&format!("SET k:{n} 1")));
    assert_eq!(durable(&mut server, 0), 1);
    // A snapshot takes five seconds.
    server.must("CONFIG SET rdb-key-save-delay 50000");
    faults.begin("drops");
    server.must("SET during 1");
    wait_refused(&mut server, "Input/output error");
    server.must("BGSAVE");
    faults.end();
    wait::until("the save makes way", || server.log().contains("The background save makes way"));
    server.must("CONFIG SET rdb-key-save-delay 0");
    wait_taken(&mut server);
    wait::until("it is made afterwards", || server.dir.path().join("dump.rdb").exists());
    server.kill();
    server.launch();
    assert_eq!(server.must("EXISTS k:99 during taken").int(), 3, "{}", server.log());
}

#[test]
fn a_rewrite_does_not_make_it_look_durable() {
    let Some(faults) = Faults::new() else { return };
    let mut server = faults.server(Kind::Rivulet, &[]);
    server.must("SET before 1");
    assert_eq!(durable(&mut server, 0), 1);
    faults.begin("fails");
    server.must("SET during 1");
    wait_refused(&mut server, "Input/output error");
    // It begins a new file; before that everything in the old one must be durable.
    server.must("BGREWRITEAOF");
    assert_eq!(durable(&mut server, 1500), 0);
    faults.end();
    wait_taken(&mut server);
    assert_eq!(durable(&mut server, 0), 1);
    wait::until("the rewrite is over", || server.info("aof_rewrite_in_progress") == "0");
    server.kill();
    server.launch();
    assert_eq!(server.must("EXISTS before during taken").int(), 3, "{}", server.log());
}

#[test]
fn with_always_nothing_is_acknowledged_and_the_server_ends() {
    let Some(faults) = Faults::new() else { return };
    let mut server = faults.server(Kind::Rivulet, &["--appendfsync", "always"]);
    server.must("SET before 1");
    faults.begin("fails");
    let reply = server.main().try_call("SET during 1");
    assert!(reply.is_err(), "{reply:?}");
    assert!(server.log().contains("Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting"));
    faults.end();
    server.kill();
    server.launch();
    assert_eq!(server.must("EXISTS before").int(), 1);
}

/// The manifest that is there names the file that the rewrite has begun: until another rewrite has ended nothing else has what is in it.
#[test]
fn a_rewrite_that_fails_at_its_end_leaves_a_file_that_is_synced() {
    let Some(faults) = Faults::new() else { return };
    for fsync in ["everysec", "always"] {
        let mut server = faults.server(Kind::Rivulet, &["--appendfsync", fsync]);
        server.must("SET before 1");
        let in_the_way = file(&server, "appendonly.aof.2.base.rdb");
        std::fs::create_dir(&in_the_way).expect("a directory");
        let mut writer = server.client();
        writer.add("BGREWRITEAOF");
        writer.add("SET during 1");
        writer.flush().expect("it is sent");
        (0..2).for_each(|_| assert!(!writer.read().expect("a reply").is_error()));
        wait::until("the rewrite fails", || {
            server.log().contains("Error trying to rename the temporary AOF base file")
        });
        let last = last_incr(&server);
        assert!(last.ends_with("appendonly.aof.2.incr.aof"), "{last:?}");
        wait::until("it is synced", || faults.covered(&last));
        assert!(server.call("SET refused 1").is_error());
        server.kill();
        std::fs::remove_dir(&in_the_way).expect("it is empty");
        server.launch();
        assert_eq!(server.must("EXISTS before during").int(), 2, "{}", server.log());
    }
}

#[test]
fn a_reply_does_not_leave_with_an_earlier_one_whose_wait_is_over() {
    let Some(faults) = Faults::new() else { return };
    let mut server = faults.server(Kind::Rivulet, &["--appendfsync", "always"]);
    server.must("SET before 1");
    faults.begin("s");
    let mut writer = server.client();
    writer.add("SET first 1");
    writer.flush().expect("it is sent");
    wait::pause(Duration::from_millis(100));
    // The first one becomes safe in the turn in which the second is executed.
    writer.add("DEBUG SLEEP 1");
    writer.add("SET second 1");
    writer.flush().expect("it is sent");
    assert!(writer.read().expect("a reply").is_ok());
    let (_, waited_ms) = wait::timed(|| (0..2).for_each(|_| assert!(writer.read().expect("a reply").is_ok())));
    assert!(
        waited_ms >= SLOW.as_millis() / 2,
        "the second came {waited_ms} ms after the first, and its fsync takes {SLOW:?}"
    );
}
