//! A wall clock that a test can set, for one server: a small library that stands between the program and the system's clock.
//!
//! The system's own clock stays as it is. A C compiler is needed, as for building the server.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Server, TempDir};

const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static const volatile long *ahead_s;
static int (*system_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    int fd = open(getenv("CLOCK_AHEAD_FILE"), O_RDONLY);
    void *at = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, fd, 0);
    system_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    if (fd >= 0 && at != MAP_FAILED) ahead_s = at;
}

int clock_gettime(clockid_t which, struct timespec *now) {
    if (!system_gettime) begin();
    int status = system_gettime(which, now);
    if (status == 0 && which == CLOCK_REALTIME && ahead_s) now->tv_sec += *ahead_s;
    return status;
}
"#;

/// How far a server's wall clock is ahead of the system's. To be made before the server starts.
pub struct ClockStep {
    dir: TempDir,
}

impl ClockStep {
    /// Gives a server that does not run yet a wall clock of its own, which goes right for now.
    pub fn of(server: &mut Server) -> Self {
        let step = Self { dir: TempDir::new() };
        step.set(0);
        let library = build(step.dir.path());
        server.set_env("LD_PRELOAD", &library.display().to_string());
        server.set_env("CLOCK_AHEAD_FILE", &step.file().display().to_string());
        step
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("ahead")
    }

    /// The clock leaps, so that it is ahead by so many seconds now; behind if that is negative.
    pub fn set(&self, ahead_s: i64) {
        use std::os::unix::fs::FileExt;
        let file = std::fs::OpenOptions::new().create(true).write(true).truncate(false).open(self.file());
        file.and_then(|file| file.write_all_at(&ahead_s.to_ne_bytes(), 0)).expect("the clock can be set");
    }
}

fn build(dir: &Path) -> PathBuf {
    let (source, library) = (dir.join("clock.c"), dir.join("clock.so"));
    std::fs::write(&source, SOURCE).expect("a source file");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl").status();
    assert!(built.is_ok_and(|status| status.success()), "the C compiler makes no library");
    library
}
