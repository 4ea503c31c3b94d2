//! Housekeeping: whatever a server is told, in whatever order, an attached replica finds what it needs in the memory or in files, no file is left that nobody
//! knows of, and none is gone that somebody names. The driver's part is played as `docs/log.md` has it ("Backlog on disk").

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fastrand::Rng;

use rivulet_aof::disk::SystemDisk;
use rivulet_aof::files::{Directory, Kind, LogFiles};
use rivulet_aof::identity::{Place, Role};
use rivulet_aof::manifest::{self, BaseFormat, Manifest};
use rivulet_aof::op::{Change, Disk, FileOp};
use rivulet_aof::recover::{self, Replayed};
use rivulet_replication::history::History;
use rivulet_replication::position::ReplId;

const NAME: &str = "a.aof";
const SEGMENT_BYTES: u64 = 400;
const WINDOW: u64 = 100;

fn directory(name: &str) -> Directory {
    Directory { path: name.into(), place: Place { device: 1, inode: 1 }, boot: Some(1) }
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
    /// What could not be removed goes with the next start.
    for_a_start: BTreeSet<PathBuf>,
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
            for_a_start: BTreeSet::new(),
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
            if self.files.has_backlog() && self.limit == 0 && !self.stands_in_files() {
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
        self.hand_over();
        let (change, _) = match alone {
            true => LogFiles::rewrite_alone(Path::new("aof"), NAME, self.manifest.clone(), (&base, BaseFormat::Rdb)),
            false => self.files.end_rewrite(&base, BaseFormat::Rdb),
        };
        self.carry_out(change);
        self.files.rewrite_ended();
        if rng.u8(..5) > 0 {
            self.collect_history(rng);
        }
    }

    /// What was history goes, if no step fails.
    fn collect_history(&mut self, rng: &mut Rng) {
        let serves = self.limit > 0 || self.needed.is_some();
        let mut change = match self.files.is_aof() {
            true => self.files.remove_history(serves),
            false => self.files.remove_history_alone(Path::new("aof"), NAME, self.manifest.clone(), serves),
        };
        let fails = rng.bool().then(|| rng.usize(..=change.ops.len())).filter(|done| *done < change.ops.len());
        let Some(done) = fails else {
            self.carry_out(change);
            self.files.history_removed();
            return;
        };
        let left = change.ops.split_off(done);
        self.for_a_start.extend(removed(&Change { ops: left, must: false }).into_iter().map(Path::to_path_buf));
        self.carry_out(change);
        let names = self.names.clone();
        self.files.history_stays(|path| names.contains(path));
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
            let is_known = paths.contains(name) || named(name) || self.for_a_start.contains(name);
            assert!(is_temporary || is_list || is_known, "nobody knows of {name:?}");
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

// ---- one rule each ----

/// Append-only files in `aof`, with bytes from 0 to 300.
fn append_only() -> Server {
    let mut server = Server::new();
    let change = server.files.create_aof(directory("aof"), NAME, Vec::new(), BaseFormat::Rdb, 0);
    server.carry_out(change);
    server.files.appended(300);
    server
}

/// Append-only was switched on, and a first rewrite began at `start` with `bytes` behind it.
fn first_rewrite(start: u64, bytes: u64) -> Server {
    let mut server = Server::new();
    server.files.enable_aof(directory("aof"), NAME, Manifest::default());
    let change = server.files.begin_rewrite(start);
    server.carry_out(change);
    server.files.appended(bytes);
    server
}

fn removed(change: &Change) -> Vec<&Path> {
    change.ops.iter().filter_map(|op| if let FileOp::Remove { path } = op { Some(&**path) } else { None }).collect()
}

#[test]
fn the_first_file_of_a_rewrite_has_a_name_that_no_earlier_one_had() {
    let mut server = first_rewrite(200, 50);
    let before = server.files.locate(200).expect("it is open").path;
    let change = server.files.fail_rewrite();
    server.carry_out(change);
    server.files.appended(750);
    let change = server.files.begin_rewrite(1000);
    server.carry_out(change);
    server.files.appended(10);
    assert_ne!(server.files.locate(1000).expect("it is open").path, before);
    assert_ne!(server.files.locate(200).expect("it serves on").path, before);
}

#[test]
fn no_segment_begins_while_the_names_of_a_rewrite_may_not_be_there() {
    let mut server = append_only();
    let change = server.files.begin_rewrite(300);
    server.carry_out(change);
    let (change, _) = server.files.end_rewrite(Path::new("base"), BaseFormat::Rdb);
    server.files.appended(SEGMENT_BYTES);
    assert!(!server.files.is_full(), "its manifest would name a base that may never be there");
    server.names.insert("base".into());
    server.carry_out(change);
    server.files.rewrite_ended();
    assert!(server.files.is_full());
}

#[test]
fn a_first_file_that_could_not_be_made_holds_nothing() {
    // Nothing has happened since: the stream may be gone on with from where it ends.
    let mut server = Server::new();
    let change = server.files.begin_backlog(directory("backlog"), 100);
    server.carry_out(change);
    server.files.appended(100);
    server.files.enable_aof(directory("aof"), NAME, Manifest::default());
    let _ = server.files.begin_rewrite(200);
    server.files.appended(50);
    let path = server.files.locate(200).expect("it is open").path;
    let number = server.files.first_file();
    let change = server.files.first_file_failed(number);
    assert_eq!(change.ops, [FileOp::Close, FileOp::Remove { path }], "what was made of it goes");
    assert!(!server.files.is_open() && !server.files.has_pending());
    assert_eq!((server.files.first_offset(), server.files.end_offset()), (Some(100), Some(200)));
    assert_eq!(server.files.fail_rewrite(), Change::default(), "what is not there gets no name");
    // The rewrite was given up, and something else goes on where its file would end: what comes before leads nowhere.
    let _ = server.files.begin_rewrite(200);
    server.files.appended(50);
    let number = server.files.first_file();
    let begun = server.files.locate(200).expect("it is open").path;
    let _ = server.files.fail_rewrite();
    let given_up = server.files.locate(200).expect("it serves on").path;
    let _ = server.files.begin_backlog(directory("backlog"), 250);
    server.files.appended(10);
    let change = server.files.first_file_failed(number);
    // It has the one name or the other.
    assert_eq!(removed(&change), [Path::new("backlog/100.backlog"), &given_up, &begun]);
    assert!(server.files.is_open());
    assert_eq!(server.files.first_offset(), Some(250));
    assert_eq!(server.files.first_file_failed(number), Change::default());
}

#[test]
fn a_first_file_that_could_not_be_made_is_not_taken_for_the_next_at_the_same_place() {
    let mut server = first_rewrite(200, 0);
    let number = server.files.first_file();
    let change = server.files.disable();
    server.carry_out(change);
    server.files.enable_aof(directory("aof"), NAME, Manifest::default());
    let change = server.files.begin_rewrite(200);
    server.carry_out(change);
    assert_eq!(server.files.first_file_failed(number), Change::default());
    assert!(server.files.is_open() && server.files.has_pending());
}

#[test]
fn what_was_given_up_is_found_under_either_name() {
    for has_name in [true, false] {
        let mut server = first_rewrite(200, 50);
        let mut change = server.files.fail_rewrite();
        change.ops.truncate(usize::from(has_name));
        server.carry_out(change);
        let change = server.files.reset(&History::new(ReplId::ZERO), Role::Master);
        server.carry_out(change);
        assert_eq!(server.names, BTreeSet::new());
    }
}

#[test]
fn what_another_directory_names_stays() {
    for serves in [true, false] {
        let mut server = append_only();
        let change = server.files.disable();
        server.carry_out(change);
        server.files.enable_aof(directory("elsewhere"), NAME, Manifest::default());
        let _ = server.files.begin_rewrite(300);
        server.files.appended(50);
        let (ended, _) = server.files.end_rewrite(Path::new("base"), BaseFormat::Rdb);
        server.files.rewrite_ended();
        let collected = server.files.remove_history(serves);
        let trimmed = server.files.trim(0, None);
        assert_eq!([removed(&ended), removed(&collected), removed(&trimmed)].concat(), Vec::<&Path>::new(), "{serves}");
        assert_eq!(server.files.first_offset(), Some(300));
    }
}

/// After each step a crash may come: what is there must be named, so that a start can remove what serves nobody.
#[test]
fn a_rewrite_that_a_crash_cuts_leaves_no_file_that_nobody_names() {
    let played = |server: &mut Server, change: Change| {
        for op in change.ops {
            let is_manifest = matches!(&op, FileOp::Replace { path, .. } if path.ends_with("a.aof.manifest"));
            server.carry_out(Change { ops: vec![op], must: false });
            let manifest = &server.manifest;
            let files: Vec<_> = manifest.data().chain(&manifest.history).map(|file| file.name.clone()).collect();
            let is_begun = manifest.base.as_ref().is_some_and(|base| base.seq == 2);
            assert!(!is_manifest || is_begun);
            for name in server.names.iter().filter(|_| is_begun) {
                let name = name.file_name().expect("a file").to_string_lossy().into_owned();
                let is_list = name.ends_with(".manifest") || name.ends_with(".identity");
                assert!(is_list || name.ends_with(".backlog") || files.contains(&name), "{name}: {manifest:?}");
            }
        }
    };
    for serves in [true, false] {
        let mut server = append_only();
        let change = server.files.begin_rewrite(300);
        server.carry_out(change);
        server.names.insert("base".into());
        let (change, _) = server.files.end_rewrite(Path::new("base"), BaseFormat::Rdb);
        played(&mut server, change);
        server.files.rewrite_ended();
        let change = server.files.remove_history(serves);
        played(&mut server, change);
        assert!(server.manifest.history.is_empty());
        let mut server = append_only();
        let change = server.files.disable();
        server.carry_out(change);
        server.names.insert("base".into());
        played_alone(&mut server, serves, played);
        assert!(server.manifest.history.is_empty());
    }
}

/// A rewrite without append-only, and the removal of what it replaces.
fn played_alone(server: &mut Server, serves: bool, play: impl Fn(&mut Server, Change)) {
    let base = (Path::new("base"), BaseFormat::Rdb);
    let (change, _) = LogFiles::rewrite_alone(Path::new("aof"), NAME, server.manifest.clone(), base);
    play(server, change);
    let change = server.files.remove_history_alone(Path::new("aof"), NAME, server.manifest.clone(), serves);
    play(server, change);
}

#[test]
fn a_rewrite_without_append_only_leaves_nothing_that_tells_of_what_it_replaces() {
    let server = append_only();
    let base = (Path::new("base"), BaseFormat::Rdb);
    let (change, _) = LogFiles::rewrite_alone(Path::new("aof"), NAME, server.manifest, base);
    let of_manifest = |op: &FileOp| matches!(op, FileOp::Replace { path, .. } if path.ends_with("a.aof.manifest"));
    let manifest = change.ops.iter().position(of_manifest);
    for name in ["aof/a.aof.identity", "aof/a.aof.tail"] {
        let goes = change.ops.iter().position(|op| *op == FileOp::Remove { path: name.into() });
        assert!(goes.is_some() && goes < manifest, "{name}: {change:?}");
    }
}

/// Whichever step fails, who stands in the files finds them, what a restart begins with is there, and what should have gone goes the next time.
#[test]
fn history_that_can_not_be_removed_costs_nobody_a_file() {
    for alone in [true, false] {
        for done in 0.. {
            let mut server = append_only();
            let change = server.files.begin_rewrite(300);
            server.carry_out(change);
            server.files.appended(100);
            if alone {
                let change = server.files.disable();
                server.carry_out(change);
            }
            server.names.insert("base".into());
            let base = (Path::new("base"), BaseFormat::Rdb);
            let change = match alone {
                true => LogFiles::rewrite_alone(Path::new("aof"), NAME, server.manifest.clone(), base).0,
                false => server.files.end_rewrite(base.0, base.1).0,
            };
            server.carry_out(change);
            server.files.rewrite_ended();
            let collect = |server: &mut Server| match alone {
                true => server.files.remove_history_alone(Path::new("aof"), NAME, server.manifest.clone(), true),
                false => server.files.remove_history(true),
            };
            let mut change = collect(&mut server);
            if done == change.ops.len() {
                break;
            }
            assert_eq!(collect(&mut server), Change::default(), "it is on its way");
            change.ops.truncate(done);
            server.carry_out(change);
            let names = server.names.clone();
            server.files.history_stays(|path| names.contains(path));
            for at in [0, 300 - u64::from(!alone)] {
                let path = server.files.locate(at).expect("it is served").path;
                assert!(server.names.contains(&path), "after {done} steps {path:?} is not there");
            }
            for file in server.manifest.data() {
                assert!(server.names.contains(&Path::new("aof").join(&file.name)), "after {done} steps: {file:?}");
            }
            let change = collect(&mut server);
            server.carry_out(change);
            server.files.history_removed();
            // Until it is written again it may name what is gone.
            let is_there = |name: &String| server.names.contains(&Path::new("aof").join(name));
            assert!(!server.manifest.history.iter().any(|file| is_there(&file.name)), "after {done} steps");
            server.handed = 400;
            server.check();
        }
    }
}

#[test]
fn history_that_was_kept_goes_when_it_may() {
    for serves in [true, false] {
        let mut server = append_only();
        let change = server.files.begin_rewrite(300);
        server.carry_out(change);
        server.names.insert("base".into());
        let (change, _) = server.files.end_rewrite(Path::new("base"), BaseFormat::Rdb);
        server.carry_out(change);
        assert_eq!(server.files.remove_history(serves), Change::default(), "its names may not be there yet");
        server.files.rewrite_ended();
        let (before, kept) = (server.names.clone(), server.files.trim(0, Some(0)));
        server.carry_out(kept);
        assert_eq!(server.names, before);
        let change = server.files.remove_history(serves);
        server.carry_out(change);
        assert!(server.manifest.history.is_empty());
        server.files.history_removed();
        assert!(server.files.manifest().is_some_and(|manifest| manifest.history.is_empty()));
        assert_eq!(server.names.contains(Path::new("aof/a.aof.1.incr.aof.backlog")), serves);
        assert_eq!(server.files.first_offset(), Some(if serves { 0 } else { 300 }));
        for gone in ["aof/a.aof.1.incr.aof", "aof/a.aof.1.base.rdb"] {
            assert!(!server.names.contains(Path::new(gone)), "{gone}");
        }
        assert_eq!(server.files.remove_history(serves), Change::default());
    }
}

#[test]
fn files_that_can_not_be_synced_are_closed_without() {
    let mut server = append_only();
    assert_eq!(server.files.sync_last().ops, [FileOp::Sync], "where they can, it comes first");
    let change = server.files.abandon();
    assert_eq!(change.ops, [FileOp::Close], "and what a restart begins with stays");
    assert!(!server.files.is_aof() && server.files.first_offset().is_none());
    assert_eq!(server.files.sync_last(), Change::default());
    let mut server = first_rewrite(200, 50);
    let path = server.files.locate(200).expect("it is open").path;
    assert_eq!(server.files.abandon().ops, [FileOp::Close, FileOp::Remove { path }]);
}

#[test]
fn a_start_removes_what_earlier_servers_of_this_name_left_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let gone = [
        "temp-a.aof.incr",
        "temp-a.aof.incr.sums",
        "temp-a.aof.incr.200",
        "temp-a.aof.incr.200.sums",
        "a.aof.200.backlog",
        "a.aof.200.backlog.sums",
        "a.aof.1.incr.aof.backlog",
        "a.aof.1.incr.aof.backlog.sums",
    ];
    let stays = [
        "a.aof.manifest",
        "a.aof.2.incr.aof",
        "temp-a.aof.incr.mine",
        "temp-b.aof.incr",
        "note.sums",
        // Another server's in the same directory, and somebody's own.
        "b.aof.200.backlog",
        "b.aof.1.incr.aof.backlog",
        "b.aof.1.incr.aof.backlog.sums",
        "a.aof.mine.backlog",
        "200.backlog",
    ];
    for name in gone.iter().chain(&stays) {
        std::fs::write(directory.path().join(name), b"").expect("a file");
    }
    for path in recover::leftovers(directory.path(), NAME, &[]) {
        std::fs::remove_file(path).expect("it is there");
    }
    let left: BTreeSet<_> = std::fs::read_dir(directory.path())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    assert_eq!(left, stays.iter().map(|name| name.to_string()).collect());
}

#[test]
fn what_the_manifest_names_as_history_stays_after_a_restart() {
    let temporary = tempfile::tempdir().expect("a directory");
    let base = temporary.path().join("base");
    std::fs::write(&base, b"").expect("a base");
    let directory = recover::open_directory(&temporary.path().join("aof")).expect("a directory");
    let mut disk = SystemDisk::default();
    let mut files = Server::new().files;
    let mut play = |change: Change, bytes: &[u8]| {
        change.carry_out(&mut disk).expect("the disk takes all");
        disk.append(bytes).expect("the disk takes all");
    };
    play(files.create_aof(directory.clone(), NAME, Vec::new(), BaseFormat::Rdb, 0), b"PING\r\n");
    files.appended(6);
    play(files.begin_rewrite(6), b"PING\r\n");
    files.appended(6);
    play(files.end_rewrite(&base, BaseFormat::Rdb).0, b"");
    let found = recover::find(&directory.path, NAME).expect("what was written");
    let (stream_bytes, file_bytes, marked) = (6, 6, false);
    let name = found.manifest.incr[0].name.clone();
    let replayed = [Replayed { name, stream_bytes, file_bytes, marked, diverged: false, proven_bytes: None }];
    let resumed = recover::resume(&found, &replayed, false, ReplId::ZERO);
    let stays: Vec<_> = resumed.segments.iter().map(|segment| (segment.start, segment.kind, segment.stays)).collect();
    assert_eq!(stays, [(0, Kind::Backlog, true), (6, Kind::Data, false)]);
    files.resume_aof(directory, NAME, found.manifest, resumed.segments, 12);
    assert_eq!(files.trim(0, None), Change::default());
}
