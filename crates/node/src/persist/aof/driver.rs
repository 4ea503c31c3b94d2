//! Append-only files begin, end and are loaded. Their rewrites are in [`rewrites`].

mod rewrites;

use std::path::{Path, PathBuf};

use rivulet_aof::files::Segment;
use rivulet_aof::identity::Role;
use rivulet_aof::manifest::{self, BaseFormat};
use rivulet_aof::op::{Change, FileOp};
use rivulet_aof::recover::{self, FindError, Found};
use rivulet_commands::fail::Fail;
use rivulet_config::AppendFsync;
use rivulet_engine::asker::{Asker, Origin};
use rivulet_engine::blocked::{BlockedOn, Wish};
use rivulet_host::fs;
use rivulet_memory as memory;
use rivulet_replication::position::Position;
use rivulet_replication::session::Filter;
use rivulet_resp::{Args, OwnedArgs};

use super::found;
use crate::log;
use crate::node::Node;
use crate::persist::load::{LoadWhy, Place};
use crate::persist::loading::{AppendOnlyFile, AppendOnlyFiles, Source};
use crate::persist::log_on_disk::{LogWriter, Token};
use crate::persist::saving::{Purpose, Running};
use crate::persist::snapshot::Form;
use crate::replication::random_id;
use crate::system::os_error;

impl Node {
    // ---- the start ----

    /// Begins to load the append-only files; without any, begins them.
    pub fn load_append_only(&mut self) -> Result<(), String> {
        let (name, filename) = (self.config.appenddirname.clone(), self.config.appendfilename.clone());
        let mut found = match recover::find(name.as_ref(), &filename) {
            Ok(found) => found,
            Err(FindError::Io(path, e)) => {
                return Err(format!("Can't open or create append-only dir {}: {}", path.display(), os_error(&e)));
            }
            Err(FindError::Manifest(error)) => {
                let mut lines = error.log_lines();
                let last = lines.pop().unwrap_or_default();
                lines.iter().for_each(|line| log::warning!("{line}"));
                return Err(last);
            }
        };
        found::take_over_old_file(&mut found, &filename, &name)?;
        found::add_tail(&found, &filename)?;
        let (files, total) = self.files_to_load(&found)?;
        self.persist.aof.base_bytes = files.first().filter(|file| file.is_base).map_or(0, |file| file.len);
        self.persist.aof.rewritten_bytes = self.persist.aof.base_bytes;
        let nothing = files.is_empty();
        let may_have_holes = found.may_lack_what_was_not_synced();
        self.persist.aof.found = Some(found);
        if nothing {
            return self.append_only_loaded(None, false);
        }
        let (cut_allowed, renames) = (self.config.aof_load_truncated, self.engine.renames.clone());
        let notes_unsynced = self.config.appendfsync == AppendFsync::No;
        let load = AppendOnlyFiles { files, cut_allowed, may_have_holes, notes_unsynced, renames, total };
        self.begin_load(Source::AppendOnly(load), LoadWhy::Startup, Place::Databases)
    }

    /// A start without append-only files has no use for the backlog that an earlier one with them has left.
    pub fn clean_append_only_directory(&mut self) {
        let directory = Path::new(&self.config.appenddirname).to_path_buf();
        if !recover::leftovers(&directory, &self.config.appendfilename, &[]).is_empty() {
            self.take_append_only_directory(&directory, &[]);
            self.persist.log.append_only_locks.clear();
        }
    }

    /// The directory's files with this server's name are its own, and those that it does not know of go. If another server is at work there with
    /// the same name, they stay.
    fn take_append_only_directory(&mut self, directory: &Path, segments: &[Segment]) {
        let filename = &self.config.appendfilename;
        if let Err(why) = self.persist.log.lock_append_only(directory, filename) {
            let files = directory.join(filename);
            log::warning!("What earlier servers have left of {}.* stays: {why}", files.display());
            return;
        }
        let kept = segments.iter().chain(self.persist.log.files.segments());
        for path in recover::leftovers(directory, filename, kept) {
            // One that can't be removed is overwritten when its name comes up again, or goes with the next start.
            let _ = fs::remove_file(path);
        }
    }

    /// What the manifest names, and the bytes of all.
    fn files_to_load(&self, found: &Found) -> Result<(Vec<AppendOnlyFile>, u64), String> {
        let mut files = Vec::new();
        let mut total = 0;
        for file in found.manifest.data() {
            let path = found.directory.path.join(&file.name);
            let len = fs::metadata(&path)
                .map_err(|e| format!("Unable to obtain the AOF file {} length. stat: {}", file.name, os_error(&e)))?
                .len;
            total += len;
            let is_base = file.kind == manifest::Kind::Base;
            let old_style = file.name == self.config.appendfilename;
            files.push(AppendOnlyFile { path, name: file.name.clone(), is_base, old_style, len });
        }
        Ok((files, total))
    }

    /// The files are loaded: the node stands where they end. `db` is the database that the stream was in.
    /// `diverged` is what the base says.
    pub fn append_only_loaded(&mut self, db: Option<usize>, diverged: bool) -> Result<(), String> {
        let Some(mut found) = self.persist.aof.found.take() else { return Ok(()) };
        // Before the new base was loaded the old files may have been all that there was of the data.
        let filename = self.config.appendfilename.clone();
        if !self.config.aof_disable_auto_gc
            && self.persist.log.lock_append_only(&found.directory.path, &filename).is_ok()
        {
            found::remove_history(&mut found, &filename);
        }
        let replayed = std::mem::take(&mut self.persist.aof.replayed);
        let as_replica = self.config.replicaof.is_some();
        let resumed = recover::resume(&found, &replayed, as_replica, random_id(&mut self.engine.rng));
        let now = self.now_ms();
        let r = &mut self.replication;
        let known = resumed.history.is_some();
        if let Some(history) = resumed.history {
            r.history = history;
            r.master.replicas_may_come(now);
            let position = Position { id: r.history.id(), offset: resumed.offset };
            log::notice!("The append-only log ends at {position}.");
        }
        r.log.reset_to(resumed.offset);
        r.truth.is_stranger = !known && as_replica;
        // As a master it had begun a history of its own, to which all that it did belongs.
        let was_replica = found.identity.as_ref().is_some_and(|identity| identity.role == Role::Replica);
        let failed = std::mem::take(&mut self.persist.aof.replay_failed);
        if was_replica && (diverged || failed || replayed.iter().any(|file| file.diverged)) {
            self.restored_diverged();
        }
        let r = &mut self.replication;
        if let Some(db) = db {
            r.encoder.resume_in(db as u32);
        }
        if !as_replica {
            r.encoder.force_select();
        }
        self.start_log_writer(resumed.offset);
        self.resume_files(found, resumed.segments, resumed.offset)?;
        self.open_tail();
        if self.persist.aof.base_bytes == 0 {
            self.persist.aof.base_bytes = self.base_len();
            self.persist.aof.rewritten_bytes = self.persist.aof.base_bytes;
        }
        Ok(())
    }

    /// The files that were loaded are gone on with; where there are none, the first ones are made. Nothing may be served before that is on disk:
    /// the error of a disk that refuses it ends the start.
    fn resume_files(&mut self, found: Found, segments: Vec<Segment>, offset: u64) -> Result<(), String> {
        let (role, history) = (self.log_role(), self.replication.history.clone());
        let filename = self.config.appendfilename.clone();
        self.persist.log.files.set_history(&history, role);
        let Found { directory, manifest, base_damaged, .. } = found;
        let damaged_base = manifest.base.as_ref().filter(|_| base_damaged).map(|base| directory.path.join(&base.name));
        let dir = directory.path.clone();
        let had = manifest.incr.last().map(|file| file.name.clone());
        // Others were of a process that was killed, or that was told to do without these files.
        self.take_append_only_directory(&directory.path, &segments);
        self.clean_backlog_directory();
        let mut change = if manifest.base.is_none() && manifest.incr.is_empty() {
            let (base, format) = self.empty_base();
            let change = self.persist.log.files.create_aof(directory, &filename, base, format, offset);
            let base = self.persist.log.files.manifest().and_then(|m| m.base.as_ref()).map(|base| base.name.clone());
            let base = base.unwrap_or_default();
            log::notice!("Creating AOF base file {base} on server start");
            change
        } else {
            let files = &mut self.persist.log.files;
            files.resume_aof(directory, &filename, manifest, segments, offset)
        };
        // What was loaded is what the data are made of.
        change.ops.extend(damaged_base.map(|path| FileOp::Sum { path }));
        let last = self.persist.log.files.manifest().and_then(|m| m.incr.last()).map(|file| file.name.clone());
        let last = last.unwrap_or_default();
        match had {
            Some(name) if name == last => log::notice!("Opening AOF incr file {last} on server start"),
            _ => log::notice!("Creating AOF incr file {last} on server start"),
        }
        if let Some(writer) = &self.persist.log.writer {
            writer.change(change, None);
            writer.wait_until_idle();
            if let Some(text) = writer.failure() {
                return Err(format!("Can't open the append-only file {}: {text}", dir.join(last).display()));
            }
        }
        Ok(())
    }

    /// What a base without data holds.
    fn empty_base(&self) -> (Vec<u8>, BaseFormat) {
        if !self.config.aof_use_rdb_preamble {
            return (Vec::new(), BaseFormat::Aof);
        }
        let mut head =
            self.snapshot_head(Form::Rdb { version: 10, compress: false, aof_base: true }, Filter::default());
        let mut bytes = std::mem::take(&mut head.bytes);
        head.end(&mut bytes);
        (bytes, BaseFormat::Rdb)
    }

    fn base_len(&self) -> u64 {
        let files = &self.persist.log.files;
        let base = files.manifest().and_then(|manifest| manifest.base.as_ref());
        let path = base.map(|base| PathBuf::from(&self.config.appenddirname).join(&base.name));
        path.and_then(|path| Some(rivulet_host::fs::metadata(path).ok()?.len)).unwrap_or(0)
    }

    // ---- on and off ----

    /// `appendonly` was set.
    pub fn apply_appendonly(&mut self) -> Result<(), String> {
        let is_on = self.persist.log.files.is_aof() || self.persist.aof.begin_again;
        match (self.config.appendonly, is_on) {
            (true, false) => return self.turn_on_append_only(),
            (false, true) => self.end_append_only(),
            _ => {}
        }
        Ok(())
    }

    /// `appendonly yes` at run time. What can't begin is refused, and nothing has changed then.
    fn turn_on_append_only(&mut self) -> Result<(), String> {
        if self.persist.log.writer.as_ref().is_some_and(|writer| !writer.wait_until_idle()) {
            // It is of files that were closed, or that only serve replicas.
            self.give_up_files();
        }
        let begun = self.begin_append_only().and_then(|()| self.schedule_first_rewrite());
        begun.map_err(|text| {
            log::warning!("{text}");
            log::warning!(
                "Redis needs to enable the AOF but can't trigger a background AOF rewrite operation. Check the above logs for more info about the error."
            );
            if self.persist.log.files.is_aof() {
                self.end_append_only();
            }
            "Unable to turn on AOF. Check server logs.".to_string()
        })
    }

    fn begin_append_only(&mut self) -> Result<(), String> {
        let (dir, filename) = (self.config.appenddirname.clone(), self.config.appendfilename.clone());
        // Changes of earlier files may still be queued: what is there now is not what will be.
        if let Some(writer) = self.persist.log.writer.as_ref()
            && !writer.wait_until_idle()
        {
            let why = writer.failure().unwrap_or_default();
            return Err(format!(
                "The AOF files can't be begun while what was to be written before waits for the disk: {why}"
            ));
        }
        // The files of before have all that they will ever have.
        self.look_how_safe_the_log_is();
        let found = recover::find(dir.as_ref(), &filename).map_err(|error| match error {
            FindError::Io(path, e) => {
                format!("Can't open or create append-only dir {}: {}", path.display(), os_error(&e))
            }
            FindError::Manifest(error) => error.log_lines().join(" "),
        })?;
        let incr = manifest::temp_incr_name(&filename);
        probe(&found.directory.path.join(&incr))
            .map_err(|e| format!("Can't open the append-only file {incr}: {}", os_error(&e)))?;
        let base = self.temporary_base_name();
        probe(&base).map_err(|e| format!("Can't open the AOF base file {}: {}", base.display(), os_error(&e)))?;
        if !self.replication.log.is_active() && !self.is_replica() {
            // What came before is in no log: a new history begins (rule 8).
            let id = random_id(&mut self.engine.rng);
            self.replication.history.adopt(id);
            self.replication.log.create();
        }
        self.take_append_only_directory(&found.directory.path, &[]);
        self.persist.log.files.enable_aof(found.directory, &filename, found.manifest);
        self.begin_backlog_if_wanted();
        self.persist.aof.rewrite_scheduled = true;
        Ok(())
    }

    /// Append-only is on, and no file holds the data yet: a rewrite makes the first.
    fn schedule_first_rewrite(&mut self) -> Result<(), String> {
        match &self.persist.saving.running {
            Some(Running { purpose: Purpose::AofRewrite, .. }) => {
                log::warning!(
                    "AOF was enabled but there is already an AOF rewriting in background. Stopping background AOF and starting a rewrite now."
                );
                self.cancel_rewrite();
            }
            Some(_) => {
                log::warning!(
                    "AOF was enabled but there is already another background operation. An AOF background was scheduled to start when possible."
                );
                return Ok(());
            }
            None => {}
        }
        if self.engine.unit.is_open {
            log::warning!(
                "AOF was enabled during a transaction. An AOF background was scheduled to start when possible."
            );
            return Ok(());
        }
        if self.is_loading() || self.persist.aof.renaming.is_some() { Ok(()) } else { self.start_rewrite() }
    }

    fn end_append_only(&mut self) {
        self.stop_rewrites();
        if let Some(why) = self.persist.log.failure() {
            log::warning!("The AOF files are closed without what the disk refuses: {why}");
            return self.give_up_files();
        }
        let change = self.persist.log.files.disable();
        self.close_append_only(change);
    }

    fn stop_rewrites(&mut self) {
        self.cancel_rewrite();
        (self.persist.aof.rewrite_scheduled, self.persist.aof.begin_again) = (false, false);
        // What it finds is of files that are no more.
        self.persist.aof.renaming = None;
        self.set_whole();
        self.hand_over(self.replication.offset());
    }

    /// The disk refuses what is to be written, and a restart need not have it: it keeps nothing else waiting. Nobody is served from files that lack it.
    fn give_up_files(&mut self) {
        let mut change = self.persist.log.files.abandon();
        // Also one that is to be closed already.
        change.ops.insert(0, FileOp::Close);
        if let Some(writer) = &self.persist.log.writer {
            writer.give_up(change);
            writer.close_tail();
        }
    }

    fn close_append_only(&mut self, change: Change) {
        if let Some(writer) = &self.persist.log.writer {
            writer.change(change, None);
            writer.close_tail();
        }
    }

    /// `aof-disable-auto-gc` was set: as in Redis, what was kept as history goes once nothing says that it should stay.
    pub fn apply_auto_gc(&mut self) {
        if self.config.aof_disable_auto_gc || self.persist.aof.renaming.is_some() {
            return;
        }
        // With append-only off the manifest on disk is what counts, and changes of it may still be queued.
        let is_on = self.persist.log.files.is_aof();
        if is_on || self.persist.log.writer.as_ref().is_none_or(LogWriter::wait_until_idle) {
            self.collect_history(None);
        }
    }

    /// What rewrites have made history goes, unless it is to stay: with append-only off what the manifest in `directory` names, which is
    /// `appenddirname` otherwise.
    fn collect_history(&mut self, directory: Option<&Path>) {
        if self.config.aof_disable_auto_gc || self.persist.aof.renaming.is_some() {
            return;
        }
        let serves = self.serves_replicas_from_files();
        let change = match self.persist.log.files.is_aof() {
            true => self.persist.log.files.remove_history(serves),
            false => {
                let directory = directory.map_or_else(|| self.config.appenddirname.clone().into(), Path::to_path_buf);
                self.remove_history_alone(&directory, serves)
            }
        };
        if change.ops.is_empty() {
            return;
        }
        for op in &change.ops {
            if let FileOp::Remove { path } = op {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                log::notice!("Removing the history file {name} in the background");
            }
        }
        if self.persist.log.writer.is_none() {
            self.start_log_writer(self.replication.offset());
        }
        self.persist.log.change(change, Some(Token::History));
    }

    /// With append-only off: what the manifest on disk names.
    fn remove_history_alone(&mut self, directory: &Path, serves: bool) -> Change {
        if !fs::is_directory(directory) {
            return Change::default();
        }
        // Files that can't be looked at stay.
        let filename = self.config.appendfilename.clone();
        let Ok(found) = recover::find(directory, &filename) else { return Change::default() };
        if found.manifest.history.is_empty()
            || self.persist.log.lock_append_only(&found.directory.path, &filename).is_err()
        {
            return Change::default();
        }
        self.persist.log.files.remove_history_alone(&found.directory.path, &filename, found.manifest, serves)
    }

    /// The history has gone, or not all of it: then it is tried again after the next rewrite, and by a start.
    pub fn history_changed(&mut self, result: Result<(), String>) {
        match result {
            Ok(()) => {
                let directory = self.persist.log.files.history_removed();
                // Another rewrite may have ended there meanwhile.
                self.collect_history(directory.as_deref());
            }
            Err(text) => {
                log::warning!("Can't remove the history files of the AOF: {text}");
                self.persist.log.files.history_stays(|path| fs::metadata(path).is_ok());
            }
        }
    }

    /// INFO's `aof_current_size`.
    pub fn aof_size(&self) -> u64 {
        self.persist.aof.base_bytes + self.persist.log.files.data_bytes()
    }

    /// The file is told the time before bytes of another second follow (`aof-timestamp-enabled`).
    pub fn annotate_time(&mut self) {
        let now_s = self.unix_us() / 1_000_000;
        if self.config.aof_timestamp_enabled && self.persist.aof.annotated_s != now_s && self.has_unwritten() {
            self.persist.aof.annotated_s = now_s;
            let mut line = Vec::new();
            rivulet_aof::annotation::Annotation::Timestamp(now_s as i64).append_to(&mut line);
            self.append_own(&line);
        }
    }

    /// The name of the n-th file that is loaded.
    pub fn append_only_name(&self, n: usize) -> String {
        let manifest =
            self.persist.aof.found.as_ref().map(|found| &found.manifest).or(self.persist.log.files.manifest());
        manifest.and_then(|manifest| manifest.data().nth(n)).map_or_else(String::new, |file| file.name.clone())
    }

    // ---- commands ----

    /// WAITAOF, as in Redis 7.2: until the client's last write is durable here and on so many replicas.
    pub fn waitaof(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let id = by.id;
        let number = |at: usize| rivulet_commands::parse::int(args.at(at));
        let (local, replicas) = (number(1)?, number(2)?);
        if !(0..=1).contains(&local) {
            return Err(Fail::new("ERR value is out of range, value must between 0 and 1"));
        }
        if replicas < 0 {
            return Err(Fail::new("ERR value is out of range, must be positive"));
        }
        let deadline = self.deadline_of(args.at(3))?;
        if self.is_replica() {
            return Err(Fail::new(
                "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated.",
            ));
        }
        if local == 1 && !self.persist.log.files.is_aof() {
            return Err(Fail::new("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."));
        }
        let offset = self.clients.at(id).session.written_offset;
        let wish = Wish::Durable { local: local == 1, replicas: replicas as usize };
        if by.origin != Origin::Client || self.is_where_wished(wish, offset) {
            self.tell_acks(by, wish, offset);
            return Ok(());
        }
        self.block(id, BlockedOn::Acks { wish, offset }, deadline);
        self.replication.master.want_acks();
        if let Some(writer) = &self.persist.log.writer {
            writer.watch();
        }
        Ok(())
    }

    /// A client's write on a writable replica: it is not the stream's, but a restart should have it.
    pub fn note_own_write(&mut self, db: usize, args: &[OwnedArgs]) {
        if self.persist.log.files.is_backlog() {
            return;
        }
        let mut commands = Vec::new();
        let select = |db: usize, out: &mut Vec<u8>| {
            rivulet_replication::stream::encode_command(&["SELECT", &db.to_string()], out);
        };
        select(db, &mut commands);
        args.iter().for_each(|args| args.as_args().append_to(&mut commands));
        if let Some(db) = self.replication.encoder.db() {
            select(db as usize, &mut commands);
        }
        self.write_own(&commands);
    }

    /// Why writes are refused for the sake of the append-only file, if they are.
    pub fn check_aof(&self) -> Result<(), Fail> {
        let Some(text) = self.persist.log.failure() else { return Ok(()) };
        let files = &self.persist.log.files;
        if self.persist.aof.not_whole.is_some() || !files.is_backlog() {
            return Err(Fail::text(format!("MISCONF Errors writing to the AOF file: {text}")));
        }
        Ok(())
    }

    /// DEBUG LOADAOF: the data are read anew from the files.
    pub fn load_aof_now(&mut self) -> Result<(), Fail> {
        let failed = |text: String| {
            log::warning!("{text}");
            Fail::new("ERR Error trying to load the AOF files, check server logs.")
        };
        self.refuse_second_load()?;
        self.hand_over(self.replication.offset());
        if let Some(writer) = &self.persist.log.writer {
            writer.wait_until_idle();
        }
        let found = recover::find(self.config.appenddirname.as_ref(), &self.config.appendfilename)
            .map_err(|_| failed("Can't read the AOF manifest".into()))?;
        let (files, total) = self.files_to_load(&found).map_err(failed)?;
        self.empty_all(false);
        self.scripts.forget_libraries();
        let (cut_allowed, renames) = (self.config.aof_load_truncated, self.engine.renames.clone());
        let (may_have_holes, notes_unsynced) = (false, false);
        let load = AppendOnlyFiles { files, cut_allowed, may_have_holes, notes_unsynced, renames, total };
        self.begin_load(Source::AppendOnly(load), LoadWhy::Debug, Place::Databases).map_err(failed)?;
        let result = self.finish_load_now();
        self.persist.saving.dirty = 0;
        memory::used();
        result.map_err(failed)
    }
}

/// Whether a file can be made at this path.
fn probe(path: &Path) -> std::io::Result<()> {
    rivulet_host::fs::File::create(path)?;
    rivulet_host::fs::remove_file(path)
}
