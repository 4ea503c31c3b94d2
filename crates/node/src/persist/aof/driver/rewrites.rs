//! Rewrites of append-only files: they begin, give their files their names, fail, and are tried again; and files that are begun anew.

use std::path::{Path, PathBuf};

use rivulet_aof::files::LogFiles;
use rivulet_aof::manifest::{self, BaseFormat};
use rivulet_aof::op::Change;
use rivulet_aof::recover;
use rivulet_aof::sums;
use rivulet_commands::fail::Fail;
use rivulet_config::AppendFsync;
use rivulet_engine::asker::{Asker, Origin};
use rivulet_host::fs;
use rivulet_replication::session::Filter;

use crate::log;
use crate::node::Node;
use crate::persist::aof::{NotWhole, Renaming};
use crate::persist::log_on_disk::{LogWriter, Token};
use crate::persist::saving::{Purpose, Running};
use crate::persist::snapshot::{Destination, Form, Snapshot};
use crate::system::{from_here, os_error};

/// After so many failed rewrites in a row the automatic ones are made rarer.
const FAILURES_MAX: u64 = 3;

const LIMIT_MINUTES_MAX: u64 = 60;

/// A rewrite that writes wait for is tried again so soon, however often it has failed: the disk may be well again.
const URGENT_RETRY_MS: u64 = 5_000;

/// Files that could not be begun are tried again so soon.
const BEGIN_RETRY_MS: u64 = 1_000;

impl Node {
    /// BGREWRITEAOF.
    pub fn bgrewriteaof(&mut self, by: &mut Asker<'_>) -> Result<(), Fail> {
        match &self.persist.saving.running {
            _ if self.is_rewriting() => {
                return Err(Fail::new("ERR Background append only file rewriting already in progress"));
            }
            Some(_) => {
                self.persist.aof.rewrite_scheduled = true;
                self.persist.aof.consecutive_failures = 0;
                by.reply.simple("Background append only file rewriting scheduled");
            }
            None if by.origin == Origin::Exec => {
                self.persist.aof.rewrite_scheduled = true;
                self.persist.aof.consecutive_failures = 0;
                by.reply.simple("Background append only file rewriting scheduled");
            }
            None => {
                self.start_rewrite().map_err(|_| {
                    Fail::new(
                        "ERR Can't execute an AOF background rewriting. Please check the server logs for more information.",
                    )
                })?;
                by.reply.simple("Background append only file rewriting started");
            }
        }
        Ok(())
    }

    /// A snapshot of the present data begins to be written, and what follows goes to a new file.
    pub(super) fn start_rewrite(&mut self) -> Result<(), String> {
        self.persist.aof.rewrite_scheduled = false;
        self.persist.aof.rewrites_begun += 1;
        // As in Redis, the files may be rewritten though append-only is off.
        if self.persist.log.files.is_aof() {
            self.begin_rewritten_segment();
        }
        let rdb = self.config.aof_use_rdb_preamble;
        let now_ms = self.now_ms();
        let form = match rdb {
            true => Form::Rdb { version: 10, compress: self.config.rdbcompression, aof_base: true },
            false => {
                Form::Commands { timestamp_s: self.config.aof_timestamp_enabled.then_some((now_ms / 1000) as i64) }
            }
        };
        let head = self.snapshot_head(form, Filter::default());
        let path = from_here(self.temporary_base_name());
        self.persist.aof.temporary_base.clone_from(&path);
        match Snapshot::begin(
            &mut self.engine.keyspace,
            head,
            Destination::File { temporary: path.clone(), path },
            self.front.waker.clone(),
            now_ms,
        ) {
            Ok(snapshot) => {
                log::notice!("Background append only file rewriting started by pid {}", std::process::id());
                self.persist.saving.running = Some(Running { snapshot, purpose: Purpose::AofRewrite });
                self.ops.stats.snapshots += 1;
                self.persist.aof.rewrites += 1;
                Ok(())
            }
            Err(e) => {
                let text = os_error(&e);
                log::warning!("Can't rewrite append only file in background: {text}");
                self.rewrite_failed();
                Err(text)
            }
        }
    }

    /// What follows the snapshot that is about to begin goes to a file of its own.
    fn begin_rewritten_segment(&mut self) {
        let end = self.replication.offset();
        // What was closed, as the disk was too slow, must reach to the first file for those who stand in it.
        self.begin_backlog_if_wanted();
        self.hand_over(end);
        if self.persist.log.files.is_waiting_for_base() {
            self.go_on_with_log_writer(end);
            self.open_tail();
        }
        let change = self.persist.log.files.begin_rewrite(end);
        if let Some(writer) = &self.persist.log.writer {
            let number = self.persist.log.files.first_file();
            let token = (!change.must).then_some(Token::FirstFile { number });
            writer.change(change, token);
            writer.hold_sync(self.config.no_appendfsync_on_rewrite);
        }
        self.segment_began();
    }

    /// The files of a rewrite that nothing goes on from.
    fn rewrite_alone(&mut self, temporary: &Path, format: BaseFormat) -> Result<Named, String> {
        let filename = self.config.appendfilename.clone();
        let found = recover::find(self.config.appenddirname.as_ref(), &filename)
            .map_err(|_| format!("can't use the files in {}", self.config.appenddirname))?;
        let directory = found.directory.path;
        self.persist
            .log
            .lock_append_only(&directory, &filename)
            .map_err(|why| format!("the files {} can't be replaced: {why}", directory.join(&filename).display()))?;
        if self.persist.log.writer.is_none() {
            self.start_log_writer(self.replication.offset());
        }
        let (change, base) = LogFiles::rewrite_alone(&directory, &filename, found.manifest, (temporary, format));
        Ok(Named { change, base, alone_in: Some(directory) })
    }

    pub(super) fn temporary_base_name(&self) -> PathBuf {
        manifest::temp_base_name(std::process::id(), self.persist.aof.rewrites_begun).into()
    }

    /// The first base is written, but the files that a restart begins with do not have it yet.
    pub fn is_naming_first_base(&self) -> bool {
        self.persist.aof.renaming.as_ref().is_some_and(|renaming| renaming.first)
    }

    pub fn is_rewriting(&self) -> bool {
        matches!(self.persist.saving.running, Some(Running { purpose: Purpose::AofRewrite, .. }))
            || self.persist.aof.renaming.is_some()
    }

    /// The first incremental file was made, or could not be: then nothing could go on from the base.
    pub fn first_file_begun(&mut self, number: u64, result: Result<(), String>) {
        let Err(text) = result else { return };
        self.persist.log.first_file_failed(number);
        let incr = manifest::temp_incr_name(&self.config.appendfilename);
        log::warning!("Can't open the append-only file {incr}: {text}");
        // Another rewrite may have begun since, with a file of its own.
        if self.persist.log.files.is_aof()
            && !self.persist.log.files.has_pending()
            && matches!(self.persist.saving.running, Some(Running { purpose: Purpose::AofRewrite, .. }))
        {
            self.cancel_snapshot();
            self.rewrite_failed();
        }
    }

    /// The rewrite is given up.
    pub fn cancel_rewrite(&mut self) {
        if matches!(self.persist.saving.running, Some(Running { purpose: Purpose::AofRewrite, .. })) {
            log::notice!("Killing running AOF rewrite child: {}", std::process::id());
            self.cancel_snapshot();
            self.after_rewrite();
            self.drop_pending_file();
        }
    }

    /// The snapshot for a rewrite has ended: its file becomes the base.
    pub fn rewrite_snapshot_ended(&mut self, started_ms: u64, result: std::io::Result<u64>) {
        let base_bytes = match result {
            Ok(bytes) => bytes,
            Err(e) => {
                log::warning!("Error writing append only file on disk: {}", os_error(&e));
                log::warning!("Background AOF rewrite terminated with error");
                self.persist.aof.last_rewrite_seconds = Some(self.now_ms().saturating_sub(started_ms) / 1000);
                self.rewrite_failed();
                return;
            }
        };
        log::notice!("Background AOF rewrite terminated with success");
        self.hand_over(self.replication.offset());
        let format = if self.config.aof_use_rdb_preamble { BaseFormat::Rdb } else { BaseFormat::Aof };
        let first = self.persist.log.files.is_waiting_for_base();
        let temporary = self.persist.aof.temporary_base.clone();
        let named = if self.persist.log.files.is_aof() {
            let (change, base) = self.persist.log.files.end_rewrite(&temporary, format);
            Ok(Named { change, base, alone_in: None })
        } else {
            self.rewrite_alone(&temporary, format)
        };
        let Named { change, base, alone_in } = match named {
            Ok(named) => named,
            Err(text) => {
                log::warning!("Background AOF rewrite terminated with error: {text}");
                self.rewrite_failed();
                return;
            }
        };
        let number = self.persist.aof.rewrites_begun;
        self.persist.aof.renaming = Some(Renaming { number, started_ms, temporary, base, base_bytes, first, alone_in });
        match &self.persist.log.writer {
            Some(writer) => writer.change(change, Some(Token::Rewrite { number })),
            None => self.rewrite_files_changed(number, Err("the log writer has not been started".into())),
        }
    }

    /// An attached replica may stand in old files, whatever the backlog's size: they go when it needs them no more.
    pub(super) fn serves_replicas_from_files(&self) -> bool {
        match self.config.repl_backlog_disk_size {
            0 => self.replication.master.log_hold().is_some(),
            _ => self.replication.master.expects_replicas(self.now_ms()),
        }
    }

    /// The writer has given the files of a rewrite their names, or could not.
    pub fn rewrite_files_changed(&mut self, number: u64, result: Result<(), String>) {
        let Some(renaming) = self.persist.aof.renaming.take_if(|renaming| renaming.number == number) else {
            if result.is_err() {
                // One that has got its name is found by that.
                let _ = fs::remove_file(manifest::temp_base_name(std::process::id(), number));
            }
            return;
        };
        let Renaming { started_ms, temporary, base, base_bytes, first, alone_in, .. } = renaming;
        let temporary_name = temporary.file_name().unwrap_or_default().display();
        self.persist.aof.last_rewrite_seconds = Some(self.now_ms().saturating_sub(started_ms) / 1000);
        if let Err(text) = result {
            log::warning!("Error trying to rename the temporary AOF base file {temporary_name} into {base}: {text}");
            self.rewrite_failed();
            if alone_in.is_some() {
                return self.collect_history(alone_in.as_deref());
            }
            // The manifest that is there may name the file that is written.
            self.hand_over(self.replication.offset());
            self.persist.log.change(self.persist.log.files.sync_last(), None);
            return self.begin_files_anew(false, &text);
        }
        log::notice!("Successfully renamed the temporary AOF base file {temporary_name} into {base}");
        if first {
            let incr = self.persist.log.files.manifest().and_then(|m| m.incr.last()).map(|file| file.name.clone());
            log::notice!(
                "Successfully renamed the temporary AOF incr file {} into {}",
                manifest::temp_incr_name(&self.config.appendfilename),
                incr.unwrap_or_default()
            );
        }
        self.persist.aof.base_bytes = base_bytes;
        self.persist.aof.rewritten_bytes = base_bytes + self.persist.log.files.data_bytes();
        self.persist.aof.last_rewrite_failed = false;
        self.persist.aof.consecutive_failures = 0;
        self.after_rewrite();
        if alone_in.is_none() {
            self.persist.log.files.rewrite_ended();
            self.set_whole();
        }
        self.collect_history(alone_in.as_deref());
        log::notice!("Background AOF rewrite finished successfully");
    }

    /// It is not known which files the disk has, or what is in them: they are read again, and a rewrite makes them whole. That is tried by the
    /// periodic tasks until it succeeds; until then nothing is written that they would lack.
    fn begin_files_anew(&mut self, lacks_data: bool, why: &str) {
        let before = self.persist.aof.not_whole;
        self.stop_rewrites();
        let change = self.persist.log.files.abandon();
        self.close_append_only(change);
        if self.config.appendonly {
            self.set_not_whole(before, lacks_data, why);
        }
        if self.config.appendonly {
            self.begin_append_only_again();
        }
    }

    /// What was begun meanwhile for replicas goes on.
    fn begin_append_only_again(&mut self) {
        let begun = self.begin_append_only();
        let is_told = std::mem::replace(&mut self.persist.aof.begin_again, begun.is_err());
        if let Err(text) = begun {
            self.persist.aof.urgent_from_ms = self.now_ms() + BEGIN_RETRY_MS;
            match is_told {
                true => log::verbose!("{text}"),
                false => log::warning!("{text}"),
            }
        }
    }

    /// Writes are refused until the files are whole: a save for the user is made after the rewrite. One that replicas wait for goes on, as do snapshots
    /// that are for nobody else: with their end the rewrite begins.
    fn make_way_for_rewrite(&mut self) {
        let is_in_the_way = matches!(self.persist.saving.running, Some(Running { purpose: Purpose::Save, .. }))
            && self.replication.running.is_none();
        let aof = &self.persist.aof;
        if is_in_the_way && aof.not_whole.is_some() && aof.rewrite_scheduled && !self.must_wait() {
            log::notice!("The background save makes way for the rewrite of the AOF files, and is made after it.");
            self.cancel_snapshot();
            self.persist.saving.scheduled = true;
        }
    }

    /// Writes are refused for this reason. `before`: what is known of the files that a restart begins with, if others were begun anew already.
    fn set_not_whole(&mut self, before: Option<NotWhole>, lacks_data: bool, why: &str) {
        let Some(writer) = &self.persist.log.writer else { return };
        writer.set_files_failing(Some(why));
        let (generation, end) = (writer.generation(), self.replication.offset());
        let mut not_whole = before.unwrap_or(NotWhole { generation, end, lacks_data });
        not_whole.lacks_data |= lacks_data;
        self.persist.aof.not_whole = Some(not_whole);
    }

    pub(super) fn set_whole(&mut self) {
        self.persist.aof.not_whole = None;
        if let Some(writer) = &self.persist.log.writer {
            writer.set_files_failing(None);
        }
    }

    /// What a failed fsync covered is on no disk: only the data in memory can bring it there.
    pub fn begin_files_anew_if_lost(&mut self) {
        if !self.persist.log.writer.as_ref().is_some_and(LogWriter::take_lost) {
            return;
        }
        if self.persist.log.files.is_backlog() {
            return self.give_up_lost_backlog();
        }
        let why = self.persist.log.failure().unwrap_or_default();
        log::warning!(
            "What the failed fsync covered can't be read back. The AOF files are begun anew from the data in memory."
        );
        self.begin_files_anew(true, &why);
    }

    fn rewrite_failed(&mut self) {
        self.persist.aof.last_rewrite_failed = true;
        self.persist.aof.consecutive_failures += 1;
        if self.persist.aof.consecutive_failures >= FAILURES_MAX {
            self.persist.aof.urgent_from_ms = self.now_ms() + URGENT_RETRY_MS;
        }
        self.after_rewrite();
        // The snapshot's own thread has removed its file, if it could.
        let base = std::mem::take(&mut self.persist.aof.temporary_base);
        let _ = rivulet_host::fs::remove_file(sums::path_of(&base));
        let _ = rivulet_host::fs::remove_file(base);
        self.drop_pending_file();
    }

    fn drop_pending_file(&mut self) {
        let waiting = self.persist.log.files.is_waiting_for_base();
        let change: Change = self.persist.log.files.fail_rewrite();
        if waiting && !change.ops.is_empty() {
            let name = manifest::temp_incr_name(&self.config.appendfilename);
            log::notice!("Removing the temp incr aof file {name} in the background");
        }
        if let Some(writer) = &self.persist.log.writer {
            writer.change(change, None);
        }
        if waiting && self.config.appendonly {
            self.persist.aof.rewrite_scheduled = true;
        }
    }

    fn after_rewrite(&mut self) {
        if let Some(writer) = &self.persist.log.writer {
            writer.hold_sync(false);
        }
    }

    // ---- time ----

    /// A scheduled rewrite, and one that the growth of the files asks for.
    pub fn aof_cron(&mut self) {
        self.trim_backlog();
        self.end_held_if_disk_refuses();
        if let Some(text) = self.persist.log.failure()
            && self.config.appendfsync == AppendFsync::Always
            && self.persist.log.files.is_aof()
            && !self.persist.log.files.is_waiting_for_base()
            && self.persist.aof.not_whole.is_none()
        {
            log::warning!("{text}");
            log::warning!("Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting...");
            self.life.exit = Some(1);
            return;
        }
        self.begin_files_anew_if_lost();
        if self.is_loading() || self.is_rewriting() {
            return;
        }
        if self.persist.aof.begin_again {
            if !self.must_wait() {
                self.begin_append_only_again();
            }
            return;
        }
        self.make_way_for_rewrite();
        if self.persist.saving.running.is_some() {
            return;
        }
        if self.persist.aof.rewrite_scheduled {
            if !self.must_wait() {
                self.start_rewrite_if_scheduled();
            }
            return;
        }
        let percentage = self.config.auto_aof_rewrite_percentage;
        let size = self.aof_size();
        if percentage == 0 || !self.persist.log.files.is_aof() || size <= self.config.auto_aof_rewrite_min_size {
            return;
        }
        let growth = (size * 100 / self.persist.aof.rewritten_bytes.max(1)).saturating_sub(100);
        if growth >= percentage && !self.must_wait() {
            log::notice!("Starting automatic rewriting of AOF on {growth}% growth");
            // A failure is logged and counted.
            let _ = self.start_rewrite();
        }
    }

    fn start_rewrite_if_scheduled(&mut self) {
        if self.persist.aof.rewrite_scheduled
            && self.persist.saving.running.is_none()
            && self.persist.aof.renaming.is_none()
        {
            // As above.
            let _ = self.start_rewrite();
        }
    }

    /// After several failures the next attempt waits, and is told so: to be asked right before it only.
    fn must_wait(&mut self) -> bool {
        let now = self.now_ms();
        let aof = &mut self.persist.aof;
        if aof.is_urgent() {
            return now < aof.urgent_from_ms;
        }
        if aof.consecutive_failures < FAILURES_MAX {
            (aof.limit_minutes, aof.limited_until_ms) = (0, 0);
            return false;
        }
        if aof.limited_until_ms != 0 {
            let over = now >= aof.limited_until_ms;
            if over {
                aof.limited_until_ms = 0;
            }
            return !over;
        }
        aof.limit_minutes = (aof.limit_minutes * 2).clamp(1, LIMIT_MINUTES_MAX);
        aof.limited_until_ms = now + aof.limit_minutes * 60_000;
        log::warning!(
            "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in {} minutes",
            aof.limit_minutes
        );
        true
    }
}

/// What gives the files of a rewrite their names.
struct Named {
    change: Change,
    base: String,
    /// As in [`Renaming`].
    alone_in: Option<PathBuf>,
}
