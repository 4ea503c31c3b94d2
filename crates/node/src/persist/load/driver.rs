//! Loads begin and end, and what the loader has decoded is put into the databases.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rivulet_commands::fail::Fail;
use rivulet_host::fs;
use rivulet_keyspace::Keyspace;
use rivulet_rdb::read::{Options, Unsupported};
use rivulet_resp::OwnedArgs;

use super::{Identity, Load, LoadWhy, Place};
use crate::log;
use crate::node::Node;
use crate::persist::loading::{Beginning, Decoded, FileEnd, Loaded, Loader, Source};
use crate::system::os_error;

/// So many keys without elements are told one by one.
const EMPTY_KEYS_TOLD: u64 = 10;

/// Batches inserted between two looks at the sockets.
const LOAD_BATCHES: usize = 4;

impl Node {
    pub fn is_loading(&self) -> bool {
        self.persist.loading.load.as_ref().is_some_and(|l| l.replaces || l.place == Place::HidingOld)
    }

    /// Loading beside data that is still served.
    pub fn is_async_loading(&self) -> bool {
        self.persist.loading.load.as_ref().is_some_and(|l| l.place == Place::ServingOld)
    }

    pub fn load_options(&self) -> Options {
        Options {
            limits: self.engine.settings.limits.clone(),
            verify_checksum: self.config.rdbchecksum && !self.ops.debug.skip_checksum,
            unsupported: Unsupported::Fail,
        }
    }

    /// Begins to load the file at start-up, if there is one.
    pub fn load_at_startup(&mut self) -> Result<(), String> {
        if self.config.appendonly {
            return self.load_append_only();
        }
        self.clean_append_only_directory();
        let path = self.rdb_path();
        if fs::metadata(&path).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
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
        self.persist.loading.loads_begun += 1;
        let begins = Beginning { now_ms: self.now_ms(), number: self.persist.loading.loads_begun };
        let loader = Loader::start(
            source,
            self.load_options(),
            self.engine.keyspace.hasher(),
            self.engine.settings.clock,
            self.persist.loading.delay.clone(),
            self.front.waker.clone(),
            begins,
        )
        .map_err(|e| os_error(&e))?;
        self.persist.loading.load = Some(Load {
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
    pub fn insert_loaded(&mut self) {
        for _ in 0..LOAD_BATCHES {
            let Some(load) = &mut self.persist.loading.load else { return };
            let Some(loaded) = load.loader.poll() else { break };
            if let Some(result) = self.take_loaded(loaded) {
                self.load_ended(result);
                return;
            }
        }
        // The queue is bounded: whatever is left is taken in the next turn, without waiting for a socket.
        if self.persist.loading.load.as_mut().is_some_and(|l| l.loader.has_ready()) {
            self.front.waker.wake();
        }
        self.read_master_again();
    }

    /// Does what the loader says; answers the end of the load, if this is it.
    fn take_loaded(&mut self, loaded: Loaded) -> Option<Result<(), String>> {
        let load = self.persist.loading.load.as_mut()?;
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
            Loaded::FileEnd(file) => self.file_ended(file),
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
                    tell_loaded(&load.loader);
                }
                return Some(result);
            }
        }
        None
    }

    /// One of the append-only files is through.
    fn file_ended(&mut self, file: FileEnd) {
        let now_ms = self.now_ms();
        let Some(load) = &mut self.persist.loading.load else { return };
        let took_ms = now_ms.saturating_sub(std::mem::replace(&mut load.file_started_ms, now_ms));
        load.files_ended += 1;
        let kind = if file.is_base { "base" } else { "incr" };
        log::notice!("DB loaded from {kind} file {}: {:.3} seconds", file.name, took_ms as f64 / 1000.0);
        self.persist.aof.file_loaded(file.replayed, file.base_damaged);
    }

    fn replay_failed(&self, text: &str) -> String {
        let files = self.persist.loading.load.as_ref().map_or(0, |load| load.files_ended);
        format!("{text} reading the append only file {}", self.append_only_name(files))
    }

    /// DEBUG can't begin a load while one goes on.
    pub fn refuse_second_load(&self) -> Result<(), Fail> {
        match self.persist.loading.load {
            Some(_) => Err(Fail::new("LOADING Redis is loading the dataset in memory")),
            None => Ok(()),
        }
    }

    /// Loads to the end, with everything else standing still.
    pub fn finish_load_now(&mut self) -> Result<(), String> {
        loop {
            let Some(load) = &mut self.persist.loading.load else { return Ok(()) };
            let loaded = load.loader.wait();
            if let Some(result) = self.take_loaded(loaded) {
                self.persist.loading.load = None;
                self.replay_ends();
                self.persist.aof.replayed.clear();
                return result;
            }
        }
    }

    fn insert_entries(&mut self, entries: Vec<Decoded>) -> Result<(), String> {
        let now_ms = self.unix_ms();
        let is_replica = self.is_replica();
        let Some(load) = &mut self.persist.loading.load else { return Ok(()) };
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
        let (why, index) = (load.why, load.db);
        if why != LoadWhy::FullSync && self.wants_stream() {
            self.tell_left_out(why, index, &expired);
        }
        Ok(())
    }

    /// Replicas that resume from the position of the file, or that are here while it is loaded, still have what had expired.
    fn tell_left_out(&mut self, why: LoadWhy, index: usize, expired: &[Vec<u8>]) {
        let db = self.engine.keyspace.db(index);
        // A file that is merged into what is there may have an older value.
        let gone = expired.iter().filter(|name| db.find(db.key(name)).is_none());
        let deletions = gone.map(|name| (index, OwnedArgs::from_slices(&[b"DEL".as_slice(), name])));
        self.engine.unit.commands.extend(deletions);
        if why == LoadWhy::Startup || !self.is_within_unit() {
            self.engine.unit.no_multi = true;
            self.propagate_unit();
        }
    }

    /// The file says where in which history it stands: what follows belongs to that.
    fn adopt_identity_once(&mut self) {
        let Some(load) = &mut self.persist.loading.load else { return };
        if load.why == LoadWhy::Startup && !load.from_aof && !std::mem::replace(&mut load.identity_adopted, true) {
            let identity = load.identity.clone();
            self.restore_identity(&identity);
        }
    }

    fn note_aux(&mut self, name: &[u8], value: &[u8]) {
        let Some(load) = &mut self.persist.loading.load else { return };
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
        let Some(load) = self.persist.loading.load.take() else { return };
        self.persist.loading.last.loaded = load.loader.keys_loaded;
        self.persist.loading.last.expired = load.loader.keys_expired;
        match load.why {
            LoadWhy::FullSync => self.full_sync_loaded(load, result),
            LoadWhy::Debug => {}
            LoadWhy::Startup if load.from_aof => self.append_only_ended(&load, result),
            LoadWhy::Startup => self.file_of_start_ended(&load, result),
        }
    }

    fn append_only_ended(&mut self, load: &Load, result: Result<(), String>) {
        let db = self.replay_ends();
        let seconds = (self.now_ms().saturating_sub(load.loader.started_ms)) as f64 / 1000.0;
        let loaded = result.and_then(|()| {
            log::notice!("DB loaded from append only file: {seconds:.3} seconds");
            self.persist.saving.dirty = 0;
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

    fn file_of_start_ended(&mut self, load: &Load, result: Result<(), String>) {
        if let Err(text) = result {
            log::warning!("{text}");
            log::warning!("Terminating server after rdb file reading failure.");
            log::warning!("Fatal error loading the DB, check server logs. Exiting.");
            self.life.exit = Some(1);
            return;
        }
        let seconds = (self.now_ms().saturating_sub(load.loader.started_ms)) as f64 / 1000.0;
        log::notice!("DB loaded from disk: {seconds:.3} seconds");
        self.persist.saving.dirty = 0;
        if !load.identity_adopted {
            self.restore_identity(&load.identity);
        }
        self.ready();
    }

    /// Loads a file with everything else standing still (DEBUG RELOAD). With `merges` it replaces keys that are there.
    pub fn load_now(&mut self, path: PathBuf, merges: bool) -> Result<(), String> {
        self.begin_load(Source::File(path), LoadWhy::Debug, Place::Databases)?;
        if let Some(load) = &mut self.persist.loading.load {
            load.merges = merges;
        }
        self.finish_load_now()
    }
}

fn tell_loaded(loader: &Loader) {
    let (expired, empty) = (loader.keys_expired, loader.empty_keys);
    let skipped = if empty > 0 {
        format!(", keys expired: {expired}, empty keys skipped: {empty}")
    } else {
        format!(", keys expired: {expired}")
    };
    log::notice!("Done loading RDB, keys loaded: {}{skipped}.", loader.keys_loaded);
}
