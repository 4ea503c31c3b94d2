//! Snapshots on disk: SAVE, BGSAVE, save points, and the load at start-up.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rivulet_commands::fail::Fail;
use rivulet_commands::settings::ClockUse;
use rivulet_host::fs::{self, File};
use rivulet_keyspace::{Keyspace, Room};
use rivulet_rdb::read::{Options, Unsupported};
use rivulet_rdb::save::Saver;
use rivulet_rdb::write::{Aux, Meta, Replication as AuxReplication, Version, Writer};
use rivulet_replication::master::RunningSnapshot;
use rivulet_replication::session::Filter;
use rivulet_resp::OwnedArgs;

use crate::front::clients::ClientId;
use crate::node::{Node, os_error};
use crate::persist::loading::{Decoded, Loaded, Loader, Source};
use crate::persist::payload::Payload;
use crate::persist::snapshot::{
    AccessInfo, Destination, Encoder, Form, Head, Snapshot, sync_directory, temporary_path,
};
use crate::{clock, log};

/// The state of persistence.
pub struct Persistence {
    /// Changes since the last successful save.
    pub dirty: u64,
    dirty_at_start: u64,
    pub last_save_ms: u64,
    pub last_try_ms: u64,
    pub last_status_ok: bool,
    pub last_seconds: i64,
    pub saves: u64,
    pub running: Option<Running>,
    /// Payloads that are made, and that not all of their replicas have been sent. They keep nobody from making another snapshot.
    pub sending: Vec<Sending>,
    /// Commands that had been executed when the walker last had its turn, and when there was one more.
    commands_seen: u64,
    command_at_us: u64,
    /// FLUSHALL, with save points: once it is counted, the file is made to say that nothing is there.
    pub saves_emptied: bool,
    /// BGSAVE SCHEDULE: as soon as no other snapshot runs.
    pub scheduled: bool,
    pub load: Option<Load>,
    /// The pseudo client that replays an append-only file: nothing that it does goes to the stream.
    pub replayer: Option<crate::front::clients::ClientId>,
    /// Loaded beside the data and whole: it takes its place with the link's next action.
    pub loaded_beside: Option<Keyspace>,
    pub last_load_expired: u64,
    pub last_load_keys: u64,
    /// us per key, shared with the helper threads.
    pub save_delay: Arc<AtomicI64>,
    pub load_delay: Arc<AtomicI64>,
}

/// A snapshot for replicas that is made and being sent.
pub struct Sending {
    pub payload: Payload,
    pub receivers: Vec<ClientId>,
    /// Where it stands, and who could be sent it.
    pub snapshot: Option<RunningSnapshot>,
}

/// A snapshot that runs, and why.
pub struct Running {
    pub snapshot: Snapshot,
    pub purpose: Purpose,
}

/// What a snapshot is for.
pub enum Purpose {
    /// A file that the user wants (BGSAVE, save points), and with it the replicas that were told to wait for it.
    Save,
    /// A file for replicas.
    ReplicasStored,
    /// Straight to the sockets of replicas.
    ReplicasSockets,
    /// The base of append-only files.
    AofRewrite,
    /// A digest, to prove that replicas are equal.
    Verify,
}

/// A load that goes on.
pub struct Load {
    pub loader: Loader,
    pub why: LoadWhy,
    /// Loaded beside the data, which it replaces later.
    pub beside: Option<Keyspace>,
    place: Place,
    /// The databases were emptied for it: until then what comes is only stored, and the old data is served.
    pub replaces: bool,
    /// They will be when the first entry comes.
    pub replaces_with_first: bool,
    /// It is stored first, and not all of it has been gone through.
    pub is_unchecked: bool,
    /// The databases will be emptied when it has been.
    pub replaces_when_checked: bool,
    /// Entries replace those of the same key.
    pub merges: bool,
    db: usize,
    /// Room for the keys of databases, taken when the first of them comes.
    rooms: BTreeMap<usize, Room>,
    /// Keys of all databases that were told of so far.
    pub keys_promised: u64,
    /// Position in the file's aux fields: (repl-id, repl-offset, repl-stream-db).
    pub identity: Identity,
    identity_adopted: bool,
    /// From append-only files, where keys do not expire by themselves and the position is known from elsewhere.
    from_aof: bool,
    file_started_ms: u64,
    files_ended: usize,
}

#[derive(Default, Clone)]
pub struct Identity {
    pub id: Option<String>,
    pub offset: Option<u64>,
    pub stream_db: Option<u32>,
    /// The data are not what the stream says.
    pub diverged: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadWhy {
    Startup,
    FullSync,
    /// DEBUG LOADAOF and DEBUG RELOAD.
    Debug,
}

/// Where loaded data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Into the databases, which are empty.
    Databases,
    /// Beside the old data, which is refused meanwhile and comes back if the load fails.
    HidingOld,
    /// Beside the old data, which is served meanwhile: it is of the same history.
    ServingOld,
    /// Beside the databases, which are empty, until all has been received. As for clients the load begins only then.
    Early,
}

/// The walker works so long between two looks at the sockets: while clients send commands, and when nobody has for a moment.
const WALK_SLICE_US: u64 = 50;
const WALK_SLICE_ALONE_US: u64 = 1000;
const MOMENT_US: u64 = 100_000;
/// So many keys without elements are told one by one.
const EMPTY_KEYS_TOLD: u64 = 10;
/// Batches inserted between two looks at the sockets.
const LOAD_BATCHES: usize = 4;
/// After a failed save, the next one by save points waits so long.
const RETRY_SECONDS: u64 = 5;

impl Persistence {
    pub fn new(now_ms: u64) -> Persistence {
        Persistence {
            dirty: 0,
            dirty_at_start: 0,
            last_save_ms: now_ms,
            last_try_ms: 0,
            last_status_ok: true,
            last_seconds: -1,
            saves: 0,
            running: None,
            sending: Vec::new(),
            commands_seen: 0,
            command_at_us: 0,
            saves_emptied: false,
            scheduled: false,
            load: None,
            replayer: None,
            loaded_beside: None,
            last_load_expired: 0,
            last_load_keys: 0,
            save_delay: Arc::new(AtomicI64::new(0)),
            load_delay: Arc::new(AtomicI64::new(0)),
        }
    }

    /// What is on its way to replicas' sockets.
    pub fn payloads(&self) -> impl Iterator<Item = &Payload> {
        self.running
            .iter()
            .filter_map(|running| running.snapshot.payload.as_ref())
            .chain(self.sending.iter().map(|sending| &sending.payload))
    }

    pub fn payloads_mut(&mut self) -> impl Iterator<Item = &mut Payload> {
        self.running
            .iter_mut()
            .filter_map(|running| running.snapshot.payload.as_mut())
            .chain(self.sending.iter_mut().map(|sending| &mut sending.payload))
    }

    /// The same, each with the replicas that it is for.
    pub fn transfers(&self) -> impl Iterator<Item = (&Payload, &[ClientId])> {
        let running = self.running.iter().map(|running| &running.snapshot);
        running
            .filter_map(|snapshot| Some((snapshot.payload.as_ref()?, &snapshot.receivers[..])))
            .chain(self.sending.iter().map(|sending| (&sending.payload, &sending.receivers[..])))
    }

    pub fn transfers_mut(&mut self) -> impl Iterator<Item = (&mut Payload, &[ClientId])> {
        let running = self.running.iter_mut().map(|running| &mut running.snapshot);
        running
            .filter_map(|snapshot| Some((snapshot.payload.as_mut()?, &snapshot.receivers[..])))
            .chain(self.sending.iter_mut().map(|sending| (&mut sending.payload, &sending.receivers[..])))
    }

    /// Whether a save for the user runs.
    pub fn is_saving(&self) -> bool {
        matches!(self.running, Some(Running { purpose: Purpose::Save | Purpose::ReplicasStored, .. }))
    }
}

impl Node {
    pub fn is_loading(&self) -> bool {
        self.persist.data.load.as_ref().is_some_and(|l| l.replaces || l.place == Place::HidingOld)
    }

    /// Loading beside data that is still served.
    pub fn is_async_loading(&self) -> bool {
        self.persist.data.load.as_ref().is_some_and(|l| l.place == Place::ServingOld)
    }

    pub fn rdb_path(&self) -> PathBuf {
        PathBuf::from(&self.config.dbfilename)
    }

    pub fn load_options(&self) -> Options {
        Options {
            limits: self.engine.settings.limits.clone(),
            verify_checksum: self.config.rdbchecksum && !self.ops.debug.skip_checksum,
            unsupported: Unsupported::Fail,
        }
    }

    fn access_info(&self) -> AccessInfo {
        if !self.engine.settings.policy_uses_clock {
            return AccessInfo::None;
        }
        match self.engine.settings.clock {
            ClockUse::Lru => AccessInfo::Idle { clock_s: rivulet_commands::ctx::lru_clock(self.unix_ms()) },
            ClockUse::Lfu { .. } => AccessInfo::Freq,
        }
    }

    /// Header and aux fields of a snapshot of the present state.
    pub fn snapshot_head(&self, form: Form, filter: Filter) -> Head {
        let (mut writer, aof_base) = match form {
            Form::Rdb { version, compress, aof_base } => {
                let version = Version::new(version).unwrap_or(Version::DEFAULT);
                (Encoder::Rdb(Writer::new(version, compress)), aof_base)
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
            key_delay: self.persist.data.save_delay.clone(),
            queue_limit: self.config.snapshot_queue_limit,
        }
    }

    fn aux<'a>(&self, id: &'a str) -> Aux<'a> {
        let replication =
            self.replication.saved_position().map(|(offset, db)| AuxReplication { stream_db: db, id, offset });
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
        let temporary = temporary_path(&path);
        let saved = self.write_file(&temporary).and_then(|()| {
            fs::rename(&temporary, &path)?;
            sync_directory(&path)
        });
        match saved {
            Ok(()) => {
                log::notice!("DB saved on disk");
                self.persist.data.dirty = 0;
                self.persist.data.last_save_ms = self.now_ms();
                self.persist.data.last_status_ok = true;
                self.persist.data.saves += 1;
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

    fn write_file(&self, path: &std::path::Path) -> std::io::Result<()> {
        let id = self.replication.history.id().to_string();
        let writer = Writer::new(Version::DEFAULT, self.config.rdbcompression);
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
        self.persist.data.last_try_ms = self.now_ms();
        let form = Form::Rdb { version: rdb_version, compress: self.config.rdbcompression, aof_base: false };
        let head = self.snapshot_head(form, Filter::default());
        let path = self.rdb_path();
        let now_ms = self.now_ms();
        let begun =
            Snapshot::begin(&mut self.engine.keyspace, head, Destination::File(path), self.front.waker.clone(), now_ms);
        match begun {
            Ok(snapshot) => {
                log::notice!("Background saving started by pid {}", std::process::id());
                self.persist.data.dirty_at_start = self.persist.data.dirty;
                self.persist.data.running = Some(Running { snapshot, purpose });
                self.ops.stats.snapshots += 1;
                Ok(())
            }
            Err(e) => {
                log::warning!("Can't save in background: {}", os_error(&e));
                self.persist.data.last_status_ok = false;
                Err(Fail::text(format!("ERR Can't save in background: {}", os_error(&e))))
            }
        }
    }

    /// Whether something is to be done without waiting for a socket.
    pub fn has_background_work(&self) -> bool {
        self.persist.data.running.as_ref().is_some_and(|r| r.snapshot.can_walk())
    }

    /// Whether a helper may have something for the executor.
    pub fn has_helpers(&self) -> bool {
        let p = &self.persist.data;
        let resolves = || self.replication.link.as_ref().is_some_and(|link| link.socket.resolving.is_some());
        p.running.is_some() || !p.sending.is_empty() || p.load.is_some() || resolves()
    }

    /// Gives the helpers' work its turn: the walker, the blocks of a payload, the loader's batches, the master's address.
    pub fn run_helpers(&mut self) {
        let slice_us = self.walk_slice_us();
        if let Some(running) = &mut self.persist.data.running {
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
        if self.persist.data.load.is_some() {
            self.insert_loaded();
        }
        self.connect_when_resolved();
    }

    /// How long the walker may work now.
    fn walk_slice_us(&mut self) -> u64 {
        let p = &mut self.persist.data;
        if p.commands_seen != self.ops.stats.commands {
            (p.commands_seen, p.command_at_us) = (self.ops.stats.commands, self.clock.now_us);
        }
        if self.clock.now_us.saturating_sub(p.command_at_us) < MOMENT_US { WALK_SLICE_US } else { WALK_SLICE_ALONE_US }
    }

    fn check_snapshot_end(&mut self) {
        let Some(running) = &mut self.persist.data.running else { return };
        let Some(result) = running.snapshot.poll_end() else { return };
        if matches!(running.purpose, Purpose::ReplicasSockets) {
            // The payload is complete; the snapshot ends when it is sent.
            self.socket_snapshot_made(result);
            return;
        }
        let Some(running) = self.persist.data.running.take() else { return };
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
        self.persist.data.last_seconds = seconds;
        let ok = result.is_ok();
        match result {
            Ok(_) => {
                log::notice!("Background saving terminated with success");
                self.persist.data.dirty -= self.persist.data.dirty_at_start.min(self.persist.data.dirty);
                self.persist.data.last_save_ms = self.now_ms();
                self.persist.data.last_status_ok = true;
                self.persist.data.saves += 1;
            }
            Err(e) => {
                log::warning!("Background saving error: {}", os_error(&e));
                self.persist.data.last_status_ok = false;
            }
        }
        // A snapshot whose serializer failed may not have been walked to its end.
        let trash = running.snapshot.cancel(&mut self.engine.keyspace);
        self.free_later(trash);
        self.stored_snapshot_ended(ok);
        if std::mem::take(&mut self.persist.data.scheduled) {
            // The failure is logged, and the save points try again.
            let _ = self.begin_save(Purpose::Save);
        }
    }

    /// Ends the running snapshot without a result.
    pub fn cancel_snapshot(&mut self) {
        if let Some(running) = self.persist.data.running.take() {
            let trash = running.snapshot.cancel(&mut self.engine.keyspace);
            self.free_later(trash);
            if matches!(running.purpose, Purpose::Verify) {
                self.digest_ended();
            }
        }
    }

    /// Save points, and a save that was scheduled.
    pub fn save_if_due(&mut self) {
        if self.persist.data.running.is_some() || self.is_loading() {
            return;
        }
        if std::mem::take(&mut self.persist.data.scheduled) {
            // As above.
            let _ = self.begin_save(Purpose::Save);
            return;
        }
        let now_ms = self.now_ms();
        let p = &self.persist.data;
        let rested = p.last_status_ok || now_ms.saturating_sub(p.last_try_ms) / 1000 > RETRY_SECONDS;
        let due =
            self.config.save.iter().find(|(seconds, changes)| {
                p.dirty >= *changes && now_ms.saturating_sub(p.last_save_ms) / 1000 > *seconds
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
        let p = &self.persist.data;
        if p.last_status_ok && self.persist.log.writer.is_none() {
            return Ok(());
        }
        if self.is_replica() && self.config.replica_ignore_disk_write_errors {
            return Ok(());
        }
        if p.last_status_ok || self.config.save.is_empty() || !self.config.stop_writes_on_bgsave_error {
            return self.check_aof();
        }
        Err(Fail::new(
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.",
        ))
    }

    // ---- loading ----

    /// Begins to load the file at start-up, if there is one.
    pub fn load_at_startup(&mut self) -> Result<(), String> {
        if self.config.appendonly {
            return self.load_append_only();
        }
        let path = self.rdb_path();
        if !path.exists() {
            return Ok(());
        }
        self.begin_load(Source::File(path), LoadWhy::Startup, Place::Databases)
    }

    pub fn begin_load(&mut self, source: Source, why: LoadWhy, place: Place) -> Result<(), String> {
        let from_aof = matches!(source, Source::AppendOnly(_));
        self.scripts.load_begins();
        let is_unchecked = matches!(source, Source::Stored { .. });
        let beside = (place != Place::Databases)
            .then(|| Keyspace::new(self.engine.keyspace.databases(), self.engine.keyspace.hasher()));
        let loader = Loader::start(
            source,
            self.load_options(),
            self.engine.keyspace.hasher(),
            self.engine.settings.clock,
            self.persist.data.load_delay.clone(),
            self.front.waker.clone(),
            self.now_ms(),
        )
        .map_err(|e| os_error(&e))?;
        self.persist.data.load = Some(Load {
            loader,
            why,
            beside,
            place,
            replaces: why != LoadWhy::FullSync,
            replaces_with_first: false,
            is_unchecked,
            replaces_when_checked: false,
            merges: false,
            db: 0,
            rooms: BTreeMap::new(),
            keys_promised: 0,
            identity: Identity::default(),
            identity_adopted: false,
            from_aof,
            file_started_ms: self.now_ms(),
            files_ended: 0,
        });
        Ok(())
    }

    /// Inserts what the loader has decoded.
    fn insert_loaded(&mut self) {
        for _ in 0..LOAD_BATCHES {
            let Some(load) = &mut self.persist.data.load else { return };
            let Some(loaded) = load.loader.poll() else { break };
            if let Some(result) = self.take_loaded(loaded) {
                self.load_ended(result);
                return;
            }
        }
        // The queue is bounded: whatever is left is taken in the next turn, without waiting for a socket.
        if self.persist.data.load.as_mut().is_some_and(|l| l.loader.has_ready()) {
            self.front.waker.wake();
        }
        self.read_master_again();
    }

    /// Does what the loader says; answers the end of the load, if this is it.
    fn take_loaded(&mut self, loaded: Loaded) -> Option<Result<(), String>> {
        let now_ms = self.now_ms();
        let load = self.persist.data.load.as_mut()?;
        match loaded {
            Loaded::Database { db } => {
                load.db = db as usize;
                self.adopt_identity_once();
            }
            Loaded::Room { keys, room } => {
                load.keys_promised += keys;
                load.rooms.insert(load.db, room);
            }
            Loaded::Entries(entries) => {
                if std::mem::take(&mut load.replaces_with_first) {
                    self.replace_data();
                }
                return self.insert_entries(entries).err().map(Err);
            }
            Loaded::Function(code) => return self.function_loaded(&code).err().map(Err),
            Loaded::Checked => {
                load.is_unchecked = false;
                if std::mem::take(&mut load.replaces_when_checked) {
                    self.replace_data_when_there_is_some();
                }
            }
            Loaded::Commands(bytes) => return self.replay(&bytes).err().map(|text| Err(self.replay_failed(&text))),
            Loaded::FileEnd(file) => {
                let seconds =
                    now_ms.saturating_sub(std::mem::replace(&mut load.file_started_ms, now_ms)) as f64 / 1000.0;
                let kind = if file.is_base { "base" } else { "incr" };
                log::notice!("DB loaded from {kind} file {}: {seconds:.3} seconds", file.name);
                self.persist.aof.file_loaded(file.replayed, file.base_damaged);
                load.files_ended += 1;
            }
            Loaded::FileBegins => self.replay_file_begins(),
            Loaded::Aux(name, value) => self.note_aux(&name, &value),
            Loaded::EmptyKey(key) => {
                load.loader.empty_keys += 1;
                if load.loader.empty_keys <= EMPTY_KEYS_TOLD {
                    log::notice!("rdbLoadObject skipping empty key: {}", String::from_utf8_lossy(&key));
                }
            }
            Loaded::Note(text) => log::notice!("{text}"),
            Loaded::Warning(text) => log::warning!("{text}"),
            Loaded::End(result) => {
                if result.is_ok() && !load.from_aof {
                    let (expired, empty) = (load.loader.keys_expired, load.loader.empty_keys);
                    let skipped = if empty > 0 {
                        format!(", keys expired: {expired}, empty keys skipped: {empty}")
                    } else {
                        format!(", keys expired: {expired}")
                    };
                    log::notice!("Done loading RDB, keys loaded: {}{skipped}.", load.loader.keys_loaded);
                }
                return Some(result);
            }
        }
        None
    }

    fn replay_failed(&self, text: &str) -> String {
        let files = self.persist.data.load.as_ref().map_or(0, |load| load.files_ended);
        format!("{text} reading the append only file {}", self.append_only_name(files))
    }

    /// DEBUG can't begin a load while one goes on.
    pub fn refuse_second_load(&self) -> Result<(), Fail> {
        match self.persist.data.load {
            Some(_) => Err(Fail::new("LOADING Redis is loading the dataset in memory")),
            None => Ok(()),
        }
    }

    /// Loads to the end, with everything else standing still.
    pub fn finish_load_now(&mut self) -> Result<(), String> {
        loop {
            let Some(load) = &mut self.persist.data.load else { return Ok(()) };
            let loaded = load.loader.wait();
            if let Some(result) = self.take_loaded(loaded) {
                self.persist.data.load = None;
                self.replay_ends();
                self.persist.aof.replayed.clear();
                return result;
            }
        }
    }

    fn insert_entries(&mut self, entries: Vec<Decoded>) -> Result<(), String> {
        let now_ms = self.unix_ms();
        let is_replica = self.is_replica();
        let Some(load) = &mut self.persist.data.load else { return Ok(()) };
        let drop_expired = !is_replica && !load.from_aof;
        let keyspace = load.beside.as_mut().unwrap_or(&mut self.engine.keyspace);
        if load.db >= keyspace.databases() {
            return Err(format!("the file has a database {}, and this server only {}", load.db, keyspace.databases()));
        }
        let db = keyspace.db_mut(load.db);
        if let Some(room) = load.rooms.remove(&load.db) {
            db.take_room(room);
        }
        for decoded in &entries {
            db.prefetch_insertion(decoded.hash);
        }
        let mut expired = Vec::new();
        let count = entries.len();
        for Decoded { hash, deadline_ms, entry } in entries {
            if drop_expired && deadline_ms.is_some_and(|at| at < now_ms) {
                load.loader.keys_expired += 1;
                expired.push(entry.key().to_vec());
                continue;
            }
            let mut inserted = db.insert_new(hash, entry, deadline_ms);
            if load.merges
                && let Err(entry) = inserted
            {
                let key = db.key(entry.key());
                db.remove(key);
                inserted = db.insert_new(hash, entry, deadline_ms);
            }
            if let Err(entry) = inserted {
                return Err(format!("the key '{}' is there twice", String::from_utf8_lossy(entry.key())));
            }
        }
        load.loader.keys_loaded += (count - expired.len()) as u64;
        // Replicas that resume from the position of the file still have these.
        let (why, index) = (load.why, load.db);
        if why == LoadWhy::Startup && self.wants_stream() {
            self.engine
                .unit
                .commands
                .extend(expired.iter().map(|key| (index, OwnedArgs::from_slices(&[b"DEL".as_slice(), key]))));
            self.engine.unit.no_multi = true;
            self.propagate_unit();
        }
        Ok(())
    }

    /// The file says where in which history it stands: what follows belongs to that.
    fn adopt_identity_once(&mut self) {
        let Some(load) = &mut self.persist.data.load else { return };
        if load.why == LoadWhy::Startup && !load.from_aof && !std::mem::replace(&mut load.identity_adopted, true) {
            let identity = load.identity.clone();
            self.restore_identity(&identity);
        }
    }

    fn note_aux(&mut self, name: &[u8], value: &[u8]) {
        let Some(load) = &mut self.persist.data.load else { return };
        let text = String::from_utf8_lossy(value).into_owned();
        match name {
            b"repl-id" => load.identity.id = Some(text),
            b"repl-offset" => load.identity.offset = text.parse().ok(),
            b"repl-stream-db" => load.identity.stream_db = text.parse().ok(),
            b"rivulet-diverged" => load.identity.diverged = true,
            _ if load.from_aof => {}
            b"redis-ver" => log::notice!("Loading RDB produced by version {text}"),
            b"ctime" => {
                let age = self.unix_us() / 1_000_000;
                log::notice!("RDB age {} seconds", age.saturating_sub(text.parse().unwrap_or(age)));
            }
            b"used-mem" => {
                log::notice!(
                    "RDB memory usage when created {:.2} Mb",
                    text.parse::<f64>().unwrap_or(0.0) / 1024.0 / 1024.0
                );
            }
            _ => {}
        }
    }

    /// A load has ended, well or not.
    fn load_ended(&mut self, result: Result<(), String>) {
        let Some(load) = self.persist.data.load.take() else { return };
        self.persist.data.last_load_keys = load.loader.keys_loaded;
        self.persist.data.last_load_expired = load.loader.keys_expired;
        match load.why {
            LoadWhy::FullSync => self.full_sync_loaded(load, result),
            LoadWhy::Debug => {}
            LoadWhy::Startup if load.from_aof => {
                let db = self.replay_ends();
                let seconds = (self.now_ms().saturating_sub(load.loader.started_ms)) as f64 / 1000.0;
                let loaded = result.and_then(|()| {
                    log::notice!("DB loaded from append only file: {seconds:.3} seconds");
                    self.persist.data.dirty = 0;
                    self.append_only_loaded(db, load.identity.diverged)
                });
                match loaded {
                    Ok(()) => self.ready(),
                    Err(text) => {
                        log::warning!("{text}");
                        self.life.exit = Some(1);
                    }
                }
            }
            LoadWhy::Startup => match result {
                Ok(()) => {
                    let seconds = (self.now_ms().saturating_sub(load.loader.started_ms)) as f64 / 1000.0;
                    log::notice!("DB loaded from disk: {seconds:.3} seconds");
                    self.persist.data.dirty = 0;
                    if !load.identity_adopted {
                        self.restore_identity(&load.identity);
                    }
                    self.ready();
                }
                Err(text) => {
                    log::warning!("{text}");
                    log::warning!("Terminating server after rdb file reading failure.");
                    log::warning!("Fatal error loading the DB, check server logs. Exiting.");
                    self.life.exit = Some(1);
                }
            },
        }
    }

    /// Loads a file with everything else standing still (DEBUG RELOAD). With `merges` it replaces keys that are there.
    pub fn load_now(&mut self, path: PathBuf, merges: bool) -> Result<(), String> {
        self.begin_load(Source::File(path), LoadWhy::Debug, Place::Databases)?;
        if let Some(load) = &mut self.persist.data.load {
            load.merges = merges;
        }
        self.finish_load_now()
    }

    /// Takes over `rdb-key-save-delay` and `key-load-delay`.
    pub fn apply_delays(&self) {
        self.persist.data.save_delay.store(self.config.rdb_key_save_delay, Ordering::Relaxed);
        self.persist.data.load_delay.store(self.config.key_load_delay, Ordering::Relaxed);
    }
}
