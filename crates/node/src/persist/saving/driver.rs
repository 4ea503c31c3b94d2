//! Snapshots begin, get their turns, and end.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rivulet_commands::fail::Fail;
use rivulet_commands::settings::ClockUse;
use rivulet_host::fs::{self, File};
use rivulet_rdb::save::Saver;
use rivulet_rdb::write::{Aux, Meta, Replication as AuxReplication, Version, Writer};
use rivulet_replication::session::Filter;

use super::{Purpose, Running};
use crate::node::Node;
use crate::persist::snapshot::{AccessInfo, Destination, Encoder, Form, Head, Snapshot, sync_directory};
use crate::system::{from_here, os_error};
use crate::{clock, log};

/// The walker works so long between two looks at the sockets: while clients send commands, and when nobody has for a moment.
const WALK_SLICE_US: u64 = 50;

const WALK_SLICE_ALONE_US: u64 = 1000;

const MOMENT_US: u64 = 100_000;

/// After a failed save, the next one by save points waits so long.
const RETRY_SECONDS: u64 = 5;

impl Node {
    pub fn rdb_path(&self) -> PathBuf {
        PathBuf::from(&self.config.dbfilename)
    }

    /// The same for who writes it in the background: `dir` may be another one when that ends.
    pub fn rdb_path_for_long(&self) -> PathBuf {
        from_here(self.rdb_path())
    }

    fn access_info(&self) -> AccessInfo {
        if !self.engine.settings.policy_uses_clock {
            return AccessInfo::None;
        }
        match self.engine.settings.clock {
            ClockUse::Lru | ClockUse::LruUntouched => {
                AccessInfo::Idle { clock_s: rivulet_commands::ctx::lru_clock(self.unix_ms()) }
            }
            ClockUse::Lfu { .. } | ClockUse::LfuUntouched { .. } => AccessInfo::Freq,
        }
    }

    /// Header and aux fields of a snapshot of the present state.
    pub fn snapshot_head(&self, form: Form, filter: Filter) -> Head {
        let (mut writer, aof_base) = match form {
            Form::Rdb { version, compress, aof_base } => {
                (Encoder::Rdb(Writer::new(self.rdb_version(version), compress)), aof_base)
            }
            Form::Commands { .. } => (Encoder::Commands, true),
            Form::Flat => (Encoder::Flat, false),
        };
        let mut bytes = Vec::new();
        if let Form::Commands { timestamp_s: Some(seconds) } = form {
            rivulet_aof::annotation::Annotation::Timestamp(seconds).append_to(&mut bytes);
        }
        if matches!(form, Form::Commands { .. }) && self.replication.truth.diverged.is_some() {
            // Nothing is passed over here, but something was before.
            rivulet_aof::annotation::Annotation::Passed(0).append_to(&mut bytes);
        }
        let id = self.replication.history.id().to_string();
        let aux = Aux { aof_base, ..self.aux(&id) };
        writer.header(&mut bytes, &aux);
        if !filter.exclude_functions {
            self.scripts.codes().iter().for_each(|code| writer.function(&mut bytes, code));
        }
        Head {
            writer,
            bytes,
            access: self.access_info(),
            exclude_data: filter.exclude_data,
            checksum: self.config.rdbchecksum,
            key_delay: self.persist.saving.delay.clone(),
            queue_limit: self.config.snapshot_queue_limit,
        }
    }

    fn aux<'a>(&self, id: &'a str) -> Aux<'a> {
        // In the middle of a unit the data are those of no position.
        let position = self.replication.saved_position().filter(|_| !self.is_within_unit());
        let replication = position.map(|(offset, db)| AuxReplication { stream_db: db, id, offset });
        Aux {
            redis_version: crate::REDIS_VERSION,
            ctime_s: self.unix_ms() / 1000,
            used_memory: rivulet_memory::used() as u64,
            replication,
            aof_base: false,
            diverged: self.replication.truth.diverged.is_some(),
        }
    }

    // ---- saving ----

    /// Saves with everything else standing still.
    pub fn save_now(&mut self) -> Result<(), String> {
        let path = self.rdb_path();
        // A second SIGINT removes it by this name, which no snapshot in the background has.
        let temporary = path.with_file_name(format!("temp-{}.rdb", std::process::id()));
        let saved = self.write_file(&temporary).and_then(|()| {
            fs::rename(&temporary, &path)?;
            sync_directory(&path)
        });
        match saved {
            Ok(()) => {
                log::notice!("DB saved on disk");
                self.persist.saving.dirty = 0;
                self.persist.saving.last.at_ms = self.now_ms();
                self.persist.saving.last.ok = true;
                self.persist.saving.saves += 1;
                Ok(())
            }
            Err(e) => {
                log::warning!(
                    "Error moving temp DB file {} on the final destination {}: {}",
                    temporary.display(),
                    path.display(),
                    os_error(&e)
                );
                // The error is told; a temporary file that stays is overwritten by the next.
                let _ = fs::remove_file(&temporary);
                Err(os_error(&e))
            }
        }
    }

    /// FLUSHALL was done, with save points: the file says so before anybody is told. Or a transaction has asked for BGSAVE, which begins now. Only here all
    /// of its unit is in the stream, so that what is saved is what the position says.
    #[inline]
    pub fn save_if_emptied(&mut self) {
        if self.persist.saving.saves_emptied && !self.is_within_unit() {
            self.persist.saving.saves_emptied = false;
            // The failure is logged, and the save points try again.
            let _ = self.save_now();
        }
        if self.persist.saving.begins_after_unit && !self.is_within_unit() {
            self.persist.saving.begins_after_unit = false;
            self.persist.saving.scheduled = true;
            self.save_if_due();
        }
    }

    /// The version of RDB for the present data: the one that is asked for, unless fields of hashes have deadlines. Valkey 9 knows those in its own
    /// version only, which is written for nothing else.
    fn rdb_version(&self, asked: u32) -> Version {
        let asked = Version::new(asked).unwrap_or(Version::DEFAULT);
        let timed = self.engine.keyspace.iter().any(|db| db.may_have_field_deadlines());
        match (timed, asked == Version::VALKEY) {
            (true, true) => Version::VALKEY,
            (true, false) => asked.max(Version::FIELD_DEADLINES),
            (false, true) => Version::SET_LISTPACKS,
            (false, false) => asked,
        }
    }

    fn write_file(&self, path: &std::path::Path) -> std::io::Result<()> {
        let id = self.replication.history.id().to_string();
        let writer = Writer::new(self.rdb_version(Version::DEFAULT.number()), self.config.rdbcompression);
        let file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        let mut saver = Saver::new(file, writer, self.config.rdbchecksum, &self.aux(&id));
        for code in self.scripts.codes() {
            saver.function(&code)?;
        }
        let access = self.access_info();
        for (i, db) in self.engine.keyspace.iter().enumerate().filter(|(_, db)| !db.is_empty()) {
            saver.database(i as u64, db.len() as u64, db.expires_len() as u64)?;
            let mut result = Ok(());
            db.for_each(|entry| {
                if result.is_ok() {
                    let meta = match access {
                        AccessInfo::None => Meta { deadline_ms: entry.deadline(), ..Meta::default() },
                        AccessInfo::Idle { clock_s } => Meta {
                            deadline_ms: entry.deadline(),
                            idle_s: Some(u64::from(clock_s.wrapping_sub(entry.clock()) & 0xff_ffff)),
                            freq: None,
                        },
                        AccessInfo::Freq => Meta {
                            deadline_ms: entry.deadline(),
                            idle_s: None,
                            freq: Some((entry.clock() & 0xff) as u8),
                        },
                    };
                    result = saver.entry(entry.key(), &entry.value().as_ref(), &meta);
                    if self.config.rdb_key_save_delay > 0 {
                        clock::sleep(std::time::Duration::from_micros(self.config.rdb_key_save_delay as u64));
                    }
                }
            });
            result?;
        }
        let mut file = saver.finish()?;
        file.flush()?;
        file.get_ref().sync_all()
    }

    /// Begins a save in the background.
    pub fn begin_save(&mut self, purpose: Purpose) -> Result<(), Fail> {
        self.begin_file_snapshot(purpose, 10)
    }

    pub fn begin_file_snapshot(&mut self, purpose: Purpose, rdb_version: u32) -> Result<(), Fail> {
        self.persist.saving.last.tried_ms = self.now_ms();
        let form = Form::Rdb { version: rdb_version, compress: self.config.rdbcompression, aof_base: false };
        let head = self.snapshot_head(form, Filter::default());
        let path = self.rdb_path_for_long();
        self.persist.saving.files_begun += 1;
        let name = format!("temp-{}.{}.rdb", std::process::id(), self.persist.saving.files_begun);
        let destination = Destination::File { temporary: path.with_file_name(name), path };
        let now_ms = self.now_ms();
        let begun = Snapshot::begin(&mut self.engine.keyspace, head, destination, self.front.waker.clone(), now_ms);
        match begun {
            Ok(snapshot) => {
                log::notice!("Background saving started by pid {}", std::process::id());
                self.persist.saving.dirty_at_start = self.persist.saving.dirty;
                self.persist.saving.running = Some(Running { snapshot, purpose });
                self.ops.stats.snapshots += 1;
                Ok(())
            }
            Err(e) => {
                log::warning!("Can't save in background: {}", os_error(&e));
                self.persist.saving.last.ok = false;
                Err(Fail::text(format!("ERR Can't save in background: {}", os_error(&e))))
            }
        }
    }

    /// Whether something is to be done without waiting for a socket.
    pub fn has_background_work(&self) -> bool {
        self.persist.saving.running.as_ref().is_some_and(|r| r.snapshot.can_walk())
    }

    /// Whether a helper may have something for the executor.
    pub fn has_helpers(&self) -> bool {
        let p = &self.persist.saving;
        let resolves = || self.replication.link.as_ref().is_some_and(|link| link.socket.resolving.is_some());
        p.running.is_some() || !p.sending.is_empty() || self.persist.loading.load.is_some() || resolves()
    }

    /// Gives the helpers' work its turn: the walker, the blocks of a payload, the loader's batches, the master's address.
    pub fn run_helpers(&mut self) {
        let slice_us = self.walk_slice_us();
        if let Some(running) = &mut self.persist.saving.running {
            let trash = running.snapshot.walk(&mut self.engine.keyspace, slice_us);
            if running.snapshot.give_up_beyond(self.config.snapshot_limbo_limit) {
                log::warning!(
                    "Writes overtake the snapshot: {} bytes beyond snapshot-queue-limit wait to be written, as many as snapshot-limbo-limit allows. It is given up.",
                    self.config.snapshot_limbo_limit
                );
            }
            self.ops.stats.peaks.snapshot = self.ops.stats.peaks.snapshot.max(running.snapshot.peak as u64);
            if running.snapshot.payload.as_mut().is_some_and(|p| p.take_blocks()) {
                self.send_payload();
            }
            self.free_later(trash);
            self.check_snapshot_end();
        }
        self.take_spilled();
        if self.persist.loading.load.is_some() {
            self.insert_loaded();
        }
        self.connect_when_resolved();
    }

    /// How long the walker may work now.
    fn walk_slice_us(&mut self) -> u64 {
        let p = &mut self.persist.saving;
        if p.commands_seen != self.ops.stats.commands {
            (p.commands_seen, p.command_at_us) = (self.ops.stats.commands, self.clock.now_us);
        }
        if self.clock.now_us.saturating_sub(p.command_at_us) < MOMENT_US { WALK_SLICE_US } else { WALK_SLICE_ALONE_US }
    }

    fn check_snapshot_end(&mut self) {
        let Some(running) = &mut self.persist.saving.running else { return };
        let Some(result) = running.snapshot.poll_end() else { return };
        if matches!(running.purpose, Purpose::ReplicasSockets) {
            // The payload is complete; the snapshot ends when it is sent.
            self.socket_snapshot_made(result);
            return;
        }
        let Some(running) = self.persist.saving.running.take() else { return };
        if matches!(running.purpose, Purpose::AofRewrite) {
            let started_ms = running.snapshot.started_ms;
            let trash = running.snapshot.cancel(&mut self.engine.keyspace);
            self.free_later(trash);
            self.rewrite_snapshot_ended(started_ms, result);
            return;
        }
        if matches!(running.purpose, Purpose::Verify) {
            let trash = running.snapshot.cancel(&mut self.engine.keyspace);
            self.free_later(trash);
            self.digest_ended();
            return;
        }
        let seconds = (self.now_ms().saturating_sub(running.snapshot.started_ms) / 1000) as i64;
        self.persist.saving.last.seconds = seconds;
        let ok = result.is_ok();
        match result {
            Ok(_) => {
                log::notice!("Background saving terminated with success");
                self.persist.saving.dirty -= self.persist.saving.dirty_at_start.min(self.persist.saving.dirty);
                self.persist.saving.last.at_ms = self.now_ms();
                self.persist.saving.last.ok = true;
                self.persist.saving.saves += 1;
            }
            Err(e) => {
                log::warning!("Background saving error: {}", os_error(&e));
                self.persist.saving.last.ok = false;
            }
        }
        let path = running.snapshot.path().filter(|_| ok).map(Path::to_path_buf);
        // A snapshot whose serializer failed may not have been walked to its end.
        let trash = running.snapshot.cancel(&mut self.engine.keyspace);
        self.free_later(trash);
        self.stored_snapshot_ended(path.as_deref());
        if self.persist.saving.scheduled {
            self.save_if_due();
        }
    }

    /// Ends the running snapshot without a result. Replicas that it is for are disconnected, and ask again.
    pub fn cancel_snapshot(&mut self) {
        self.drop_receivers();
        let Some(running) = self.persist.saving.running.take() else { return };
        let trash = running.snapshot.cancel(&mut self.engine.keyspace);
        self.free_later(trash);
        match running.purpose {
            Purpose::Save | Purpose::ReplicasStored | Purpose::ReplicasSockets => {
                self.snapshot_for_replicas_cancelled()
            }
            Purpose::Verify => self.digest_ended(),
            Purpose::AofRewrite => {}
        }
    }

    /// Save points, and a save that was scheduled.
    pub fn save_if_due(&mut self) {
        if self.persist.saving.running.is_some() || self.is_loading() {
            return;
        }
        if std::mem::take(&mut self.persist.saving.scheduled) {
            // The failure is logged, and the save points try again.
            let _ = self.begin_save(Purpose::Save);
            return;
        }
        let now_ms = self.now_ms();
        let p = &self.persist.saving;
        let rested = p.last.ok || now_ms.saturating_sub(p.last.tried_ms) / 1000 > RETRY_SECONDS;
        let due =
            self.config.save.iter().find(|(seconds, changes)| {
                p.dirty >= *changes && now_ms.saturating_sub(p.last.at_ms) / 1000 > *seconds
            });
        if let Some((seconds, changes)) = due
            && rested
        {
            log::notice!("{changes} changes in {seconds} seconds. Saving...");
            // As above.
            let _ = self.begin_save(Purpose::Save);
        }
    }

    /// Refuses writes while saves fail (`stop-writes-on-bgsave-error`).
    pub fn check_disk(&self) -> Result<(), Fail> {
        let p = &self.persist.saving;
        if p.last.ok && self.persist.log.writer.is_none() {
            return Ok(());
        }
        if self.is_replica() && self.config.replica_ignore_disk_write_errors {
            return Ok(());
        }
        if p.last.ok || self.config.save.is_empty() || !self.config.stop_writes_on_bgsave_error {
            return self.check_aof();
        }
        Err(Fail::new(
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.",
        ))
    }

    /// Takes over `rdb-key-save-delay` and `key-load-delay`.
    pub fn apply_delays(&self) {
        self.persist.saving.delay.store(self.config.rdb_key_save_delay, Ordering::Relaxed);
        self.persist.loading.delay.store(self.config.key_load_delay, Ordering::Relaxed);
    }
}
