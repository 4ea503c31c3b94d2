//! Housekeeping: whatever a server is told, in whatever order, an attached replica finds what it needs in the memory or in files, no file is left that nobody
//! knows of, and none is gone that somebody names. The driver's part is played as `docs/log.md` has it ("Backlog on disk").

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fastrand::Rng;

use rivulet_aof::files::{Directory, Kind, LogFiles, Old};
use rivulet_aof::identity::{Place, Role};
use rivulet_aof::manifest::{self, BaseFormat, Manifest};
use rivulet_aof::op::{Change, FileOp};
use rivulet_replication::history::History;
use rivulet_replication::position::ReplId;

const NAME: &str = "a.aof";
const SEGMENT_BYTES: u64 = 400;
const WINDOW: u64 = 100;

fn directory(name: &str) -> Directory {
    Directory { path: name.into(), place: Place { device: 1, inode: 1 } }
}

/// A server, as far as its log is concerned.
struct Server {
    files: LogFiles,
    /// The names that there are on its disk, and what the manifest there says.
    names: BTreeSet<PathBuf>,
    manifest: Manifest,
    end: u64,
    handed: u64,
    first_in_memory: u64,
    /// Where an attached replica stands.
    needed: Option<u64>,
    /// `repl-backlog-disk-size`.
    limit: u64,
    /// The base that a rewrite makes, and whether append-only is off.
    rewriting: Option<(PathBuf, bool)>,
    bases: u64,
}

impl Server {
    fn new() -> Server {
        let history = History::new(ReplId::parse(&[b'1'; 40]).expect("an id"));
        Server {
            files: LogFiles::new(history, Role::Master, SEGMENT_BYTES),
            names: BTreeSet::new(),
            manifest: Manifest::default(),
            end: 0,
            handed: 0,
            first_in_memory: 0,
            needed: None,
            limit: 0,
            rewriting: None,
            bases: 0,
        }
    }

    fn carry_out(&mut self, change: Change) {
        for op in change.ops {
            match op {
                FileOp::Replace { path, bytes } => {
                    if path == Path::new("aof").join(manifest::file_name(NAME)) {
                        self.manifest = Manifest::parse(&bytes).expect("what was written");
                    }
                    self.names.insert(path);
                }
                FileOp::Begin { path } => _ = self.names.insert(path),
                FileOp::Resume { path, .. } => assert!(self.names.contains(&path), "{path:?}"),
                FileOp::Rename { from, to } => {
                    assert!(self.names.remove(&from), "{from:?} is to become {to:?}");
                    self.names.insert(to);
                }
                FileOp::Remove { path } => _ = self.names.remove(&path),
                FileOp::Sync | FileOp::Sum { .. } | FileOp::Close => {}
            }
        }
    }

    fn stands_in_files(&self) -> bool {
        self.needed.is_some_and(|needed| needed < self.first_in_memory)
    }

    fn begin_backlog_if_wanted(&mut self) {
        if self.files.is_open() || self.limit == 0 && !self.stands_in_files() {
            return;
        }
        let first = self.first_in_memory;
        let from = self.files.end_offset().filter(|end| *end >= first).unwrap_or(first);
        self.handed = from;
        let change = self.files.begin_backlog(directory("backlog"), from);
        self.carry_out(change);
    }

    fn hand_over(&mut self) {
        if self.files.is_open() {
            self.files.appended(self.end - self.handed);
            self.handed = self.end;
        }
    }

    /// Before the loop sleeps.
    fn rest(&mut self) {
        if self.files.is_backlog() {
            self.begin_backlog_if_wanted();
            if self.files.is_open() && self.limit == 0 && !self.stands_in_files() {
                let change = self.files.drop_backlog();
                self.carry_out(change);
            }
        }
        self.hand_over();
        if self.files.is_full() {
            let change = self.files.rotate(self.handed);
            self.carry_out(change);
        }
        let change = self.files.trim(self.limit, self.needed);
        self.carry_out(change);
        let written = self.files.end_offset().filter(|end| *end >= self.first_in_memory);
        let on_disk = written.filter(|_| self.files.is_open() || self.stands_in_files());
        let first_on_disk = self.files.first_offset().unwrap_or(u64::MAX);
        let held = self.needed.filter(|needed| on_disk.is_none() || *needed < first_on_disk);
        let needed = on_disk.unwrap_or(u64::MAX).min(held.unwrap_or(u64::MAX));
        self.first_in_memory = self.first_in_memory.max(self.end.saturating_sub(WINDOW).min(needed));
    }

    fn switch(&mut self, rng: &mut Rng) {
        let change = if self.files.is_aof() {
            self.fail_rewrite();
            self.hand_over();
            self.files.disable()
        } else if self.rewriting.is_some() {
            return;
        } else {
            self.files.enable_aof(directory("aof"), NAME, self.manifest.clone());
            self.begin_backlog_if_wanted();
            Change::default()
        };
        self.carry_out(change);
        if rng.bool() {
            self.begin_rewrite();
        }
    }

    fn begin_rewrite(&mut self) {
        if self.rewriting.is_some() {
            return;
        }
        let base = PathBuf::from(format!("temp-base-{}", self.bases));
        self.bases += 1;
        self.names.insert(base.clone());
        self.rewriting = Some((base, !self.files.is_aof()));
        if self.files.is_aof() {
            self.begin_backlog_if_wanted();
            self.hand_over();
            self.handed = self.end;
            let change = self.files.begin_rewrite(self.end);
            self.carry_out(change);
        }
    }

    fn end_rewrite(&mut self, rng: &mut Rng) {
        let Some((base, alone)) = self.rewriting.take() else { return };
        let serves = self.limit > 0 || self.needed.is_some();
        let old = match rng.u8(..5) {
            0 => Old::Stay,
            _ if serves => Old::Serve,
            _ => Old::Go,
        };
        self.hand_over();
        let (change, _) = match alone {
            true => {
                self.files.rewrite_alone(Path::new("aof"), NAME, self.manifest.clone(), (&base, BaseFormat::Rdb), old)
            }
            false => self.files.end_rewrite(&base, BaseFormat::Rdb, old),
        };
        self.carry_out(change);
    }

    fn fail_rewrite(&mut self) {
        let Some((base, alone)) = self.rewriting.take() else { return };
        self.names.remove(&base);
        if !alone {
            let change = self.files.fail_rewrite();
            self.carry_out(change);
        }
    }

    fn disk_is_slow(&mut self) {
        if self.files.is_backlog() && self.files.is_open() {
            let change = if self.stands_in_files() { self.files.close_backlog() } else { self.files.drop_backlog() };
            self.carry_out(change);
        }
    }

    fn attach_or_leave(&mut self, rng: &mut Rng) {
        self.needed = match self.needed {
            // As far back as is offered.
            None => {
                let on_disk =
                    self.files.end_offset().is_some_and(|end| self.files.is_open() && end >= self.first_in_memory);
                let first = self.files.first_offset().filter(|_| on_disk).unwrap_or(self.first_in_memory);
                Some(rng.u64(first.min(self.first_in_memory)..=self.end))
            }
            Some(_) => None,
        };
    }

    fn step(&mut self, rng: &mut Rng) -> String {
        let what = rng.u8(..20);
        match what {
            0..=6 => self.end += rng.u64(1..300),
            7 | 8 => self.needed = self.needed.map(|needed| rng.u64(needed..=self.end)),
            9 => self.attach_or_leave(rng),
            10 | 11 => self.switch(rng),
            12 | 13 => self.begin_rewrite(),
            14 | 15 => self.end_rewrite(rng),
            16 => self.fail_rewrite(),
            17 => self.disk_is_slow(),
            _ => self.limit = rng.choice([0, 0, 500, 2_000]).unwrap_or(0),
        }
        if rng.u8(..4) > 0 {
            self.rest();
        }
        format!("{what}, to {}, {:?} in {:?}", self.end, self.needed, self.files)
    }

    fn check(&self) {
        let segments: Vec<_> = self.files.segments().collect();
        for pair in segments.windows(2) {
            assert_eq!(pair[0].end, pair[1].start, "a gap");
        }
        let paths: BTreeSet<_> = segments.iter().map(|segment| &segment.path).collect();
        assert_eq!(paths.len(), segments.len(), "two have one name");
        for segment in &segments {
            assert!(self.names.contains(&segment.path), "{:?} is not there", segment.path);
        }
        let named = |name: &Path| {
            let all = self.manifest.incr.iter().chain(&self.manifest.history).chain(&self.manifest.base);
            all.into_iter().any(|file| Path::new("aof").join(&file.name) == name)
        };
        for name in &self.names {
            let is_temporary =
                name.starts_with("temp") || self.rewriting.as_ref().is_some_and(|(base, _)| base == name);
            let is_list = *name == Path::new("aof").join(manifest::file_name(NAME))
                || name.extension().is_some_and(|extension| extension == "identity");
            assert!(is_temporary || is_list || paths.contains(name) || named(name), "nobody knows of {name:?}");
        }
        for file in self.manifest.incr.iter().chain(&self.manifest.base) {
            assert!(self.names.contains(&Path::new("aof").join(&file.name)), "{} is named and gone", file.name);
        }
        let mut at = self.needed.unwrap_or(u64::MAX);
        while at < self.first_in_memory {
            let location = self.files.locate(at).unwrap_or_else(|| panic!("{at} is nowhere"));
            at = location.end;
        }
        assert!(!self.files.is_open() || self.files.segments().last().is_some_and(|last| last.end == self.handed));
    }
}

#[test]
fn who_is_attached_finds_what_it_needs() {
    for seed in 0..5_000 {
        let (mut rng, mut server, mut steps) = (Rng::with_seed(seed), Server::new(), Vec::new());
        for _ in 0..60 {
            steps.push(server.step(&mut rng));
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.check())).is_err() {
                panic!("seed {seed}:\n{}", steps.join("\n"));
            }
        }
        assert!(server.files.segments().all(|segment| segment.kind != Kind::Pending || server.files.is_open()));
    }
}
