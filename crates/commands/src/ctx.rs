//! What a command on data is given: its arguments, the reply, and the database through [`Data`], which keeps the rules of expiry and notes effects.

use rivulet_keyspace::{Collection, CollectionMut, Db, Deadline, EntryRef, Key, Keyspace, Ref, SlotMut, Trash, Value};
use rivulet_resp::{Args, OwnedArgs, Reply};

use crate::effects::{Effects, Event, Propagation, Touched, class};
use crate::fail::{Fail, WRONG_TYPE};
use crate::settings::{ClockUse, Settings};

/// Facts about this execution.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Unix ms, the same for a whole transaction.
    pub now_ms: u64,
    /// The command comes from this server's master: expiry is the master's affair and nothing is refused.
    pub from_master: bool,
    /// This server is a replica.
    pub is_replica: bool,
    /// Expired keys are hidden, not deleted: on a replica, and from who reads in a pause.
    pub keeps_expired: bool,
    /// The client can't wait: it is in a transaction, or it is the master.
    pub deny_blocking: bool,
    /// A script calls it.
    pub in_script: bool,
    /// The user may read all keys, so also those that SORT finds by patterns.
    pub reads_any_key: bool,
    /// Somebody watches or tracks keys.
    pub note_touched: bool,
    /// Somebody waits for keys.
    pub note_ready: bool,
    /// Somebody gets the stream: what stands in place of a command is made only then.
    pub propagates: bool,
}

/// What a command is given.
pub struct Ctx<'a> {
    pub args: Args<'a>,
    pub reply: Reply<'a>,
    pub db: Data<'a>,
    /// The hash of the first key, when it has been computed ahead: (argument index, hash).
    pub first_key: Option<(usize, u64)>,
}

impl<'a> Ctx<'a> {
    /// Argument `i` as a key of the selected database.
    #[inline]
    pub fn key(&self, i: usize) -> Key<'a> {
        let bytes = self.args.at(i);
        match self.first_key {
            Some((at, hash)) if at == i => Key { bytes, hash },
            _ => self.db.keyspace.key(bytes),
        }
    }

    /// Argument `i` as an integer.
    pub fn int(&self, i: usize) -> Result<i64, Fail> {
        crate::parse::int(self.args.at(i))
    }

    /// Argument `i` as a double; NaN is refused.
    pub fn float(&self, i: usize) -> Result<f64, Fail> {
        crate::parse::float(self.args.at(i))
    }

    /// Propagates this command instead of the one that came.
    pub fn propagate(&mut self, args: &[&[u8]]) {
        self.db.effects.propagation = Propagation::Instead(vec![OwnedArgs::from_slices(args)]);
    }

    /// Propagates these commands instead of the one that came.
    pub fn propagate_all(&mut self, commands: Vec<OwnedArgs>) {
        self.db.effects.propagation = Propagation::Instead(commands);
    }
}

/// The data as a command sees it.
pub struct Data<'a> {
    pub keyspace: &'a mut Keyspace,
    /// The selected database.
    pub index: usize,
    pub effects: &'a mut Effects,
    pub call: Call,
    pub settings: &'a Settings,
    pub rng: &'a mut fastrand::Rng,
}

impl<'a> Data<'a> {
    pub fn now_ms(&self) -> u64 {
        self.call.now_ms
    }

    #[inline]
    pub fn db(&self) -> &Db {
        self.keyspace.db(self.index)
    }

    #[inline]
    pub fn db_mut(&mut self) -> &mut Db {
        self.keyspace.db_mut(self.index)
    }

    #[inline]
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        self.keyspace.key(bytes)
    }

    /// The same data with another database selected.
    pub fn in_db<R>(&mut self, index: usize, f: impl FnOnce(&mut Self) -> R) -> R {
        let here = std::mem::replace(&mut self.index, index);
        let result = f(self);
        self.index = here;
        result
    }

    // ---- lookup ----

    /// Whether the entry counts as gone. The master decides about keys that it sent.
    fn is_expired(&self, entry: EntryRef<'_>) -> bool {
        !self.call.from_master && entry.deadline().is_some_and(|ms| self.call.now_ms > ms)
    }

    /// Deletes the key if its deadline has passed and this server decides that.
    #[inline]
    pub fn expire_if_due(&mut self, key: Key<'_>) {
        if self.db().expires_len() > 0
            && !self.call.keeps_expired
            && self.db().find(key).is_some_and(|e| self.is_expired(e))
        {
            self.delete_expired(key);
        }
    }

    /// Deletes an expired key, and tells the replicas.
    #[cold]
    pub fn delete_expired(&mut self, key: Key<'_>) {
        let lazy = self.settings.lazyfree_lazy_expire;
        let Some(removed) = self.db_mut().remove(key) else { return };
        self.note_loss(&removed.value, key.bytes);
        self.effects.free(removed.value, lazy);
        self.effects.expired += 1;
        let word: &[u8] = if lazy { b"UNLINK" } else { b"DEL" };
        self.effects.before.push((self.index, OwnedArgs::from_slices(&[word, key.bytes])));
        self.touch_by_itself(key.bytes);
        self.notify(class::EXPIRED, "expired", key.bytes);
    }

    /// The entry, if it is there and has not expired. Call [`Data::expire_if_due`] before where the key must really go.
    #[inline]
    pub fn get(&self, key: Key<'_>) -> Option<EntryRef<'_>> {
        self.db().find(key).filter(|e| !self.is_expired(*e))
    }

    /// A lookup by a command that reads: expires, counts a hit or miss, marks the access.
    #[inline]
    pub fn read(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        self.expire_if_due(key);
        if self.get(key).is_none() {
            self.effects.misses += 1;
            self.notify(class::KEY_MISS, "keymiss", key.bytes);
            return None;
        }
        self.effects.hits += 1;
        let clock_use = self.settings.clock;
        let now_ms = self.call.now_ms;
        let entry = self.keyspace.db(self.index).find(key)?;
        mark_access(entry, clock_use, now_ms, self.rng);
        Some(entry)
    }

    /// [`Data::read`] for a collection of type `T`.
    pub fn read_as<T: Collection>(&mut self, key: Key<'_>) -> Result<Option<Ref<'_, T>>, Fail> {
        match self.read(key) {
            None => Ok(None),
            Some(entry) => entry.collection().map(Some).ok_or(WRONG_TYPE),
        }
    }

    /// The collection of type `T` without expiry, marks and counts, for commands that look at several keys.
    pub fn get_as<T: Collection>(&self, key: Key<'_>) -> Result<Option<Ref<'_, T>>, Fail> {
        match self.get(key) {
            None => Ok(None),
            Some(entry) => entry.collection().map(Some).ok_or(WRONG_TYPE),
        }
    }

    /// A lookup by a command that writes: the entry for change.
    pub fn write(&mut self, key: Key<'_>) -> Option<SlotMut<'_>> {
        self.expire_if_due(key);
        self.get(key)?;
        let clock_use = self.settings.clock;
        let now_ms = self.call.now_ms;
        let slot = self.keyspace.db_mut(self.index).find_mut(key)?;
        mark_access(slot.as_ref(), clock_use, now_ms, self.rng);
        Some(slot)
    }

    /// [`Data::write`] for a collection of type `T`.
    pub fn write_as<T: Collection>(&mut self, key: Key<'_>) -> Result<Option<CollectionMut<'_, T>>, Fail> {
        match self.write(key) {
            None => Ok(None),
            Some(slot) => slot.collection().map(Some).ok_or(WRONG_TYPE),
        }
    }

    /// The collection of type `T` for change, made empty when the key is not there. The caller puts something into it.
    pub fn write_or_create<T: Collection + Default + Into<Value>>(
        &mut self,
        key: Key<'_>,
    ) -> Result<CollectionMut<'_, T>, Fail> {
        self.expire_if_due(key);
        if self.get(key).is_none() {
            self.add(key, T::default().into(), None);
        }
        self.write_as(key)?.ok_or(WRONG_TYPE)
    }

    // ---- change ----

    /// The clock bits of a fresh entry.
    pub fn fresh_clock(&self) -> u32 {
        fresh_clock(self.settings.clock, self.call.now_ms)
    }

    /// Adds a key that is not there (an expired one that a replica still holds is replaced).
    pub fn add(&mut self, key: Key<'_>, value: Value, deadline: Option<u64>) {
        if self.db().find(key).is_some() {
            let old = self.db_mut().remove(key).map(|r| r.value);
            let lazy = self.settings.lazyfree_lazy_server_del;
            if let Some(old) = old {
                self.note_loss(&old, key.bytes);
                self.effects.free(old, lazy);
            }
        }
        let clock = self.fresh_clock();
        let waited_for = !matches!(value, Value::Str(_));
        self.db_mut().insert(key, value, deadline, clock);
        if waited_for {
            self.make_ready(key.bytes);
        }
        self.notify(class::NEW, "new", key.bytes);
    }

    /// Puts the value at the key, whatever was there. Answers whether something was.
    pub fn put(&mut self, key: Key<'_>, value: Value, deadline: Option<u64>) -> bool {
        self.expire_if_due(key);
        let existed = self.get(key).is_some();
        self.add(key, value, deadline);
        existed
    }

    /// SET: a string at the key, whatever was there. Answers whether something was.
    #[inline]
    pub fn put_string(&mut self, key: Key<'_>, bytes: &[u8], deadline: Deadline) -> bool {
        let clock = self.fresh_clock();
        let set = self.db_mut().set_string(key, bytes, deadline, clock);
        if let Some(old) = set.old {
            let lazy = self.settings.lazyfree_lazy_server_del;
            self.note_loss(&old, key.bytes);
            self.effects.free(old, lazy);
        }
        if !set.existed {
            self.notify(class::NEW, "new", key.bytes);
        }
        set.existed
    }

    /// Removes the key; answers whether it was there. The value is freed elsewhere when `lazy`.
    pub fn delete(&mut self, key: Key<'_>, lazy: bool) -> bool {
        self.expire_if_due(key);
        if self.get(key).is_none() {
            return false;
        }
        if let Some(removed) = self.db_mut().remove(key) {
            self.note_loss(&removed.value, key.bytes);
            self.effects.free(removed.value, lazy);
        }
        true
    }

    /// Takes the value out of the database.
    pub fn take(&mut self, key: Key<'_>) -> Option<(Value, Option<u64>)> {
        self.expire_if_due(key);
        self.get(key)?;
        let removed = self.db_mut().remove(key)?;
        self.note_loss(&removed.value, key.bytes);
        Some((removed.value, removed.deadline))
    }

    /// A key loses its value: whoever waits for a stream's group has to know.
    pub fn note_loss(&mut self, value: &Value, key: &[u8]) {
        if matches!(value, Value::Stream(_)) {
            self.make_ready(key);
        }
    }

    /// Empties database `index`; the old content is freed on another thread when `lazy`.
    pub fn flush(&mut self, index: usize, lazy: bool) {
        let trash: Option<Trash> = self.keyspace.flush(index);
        if lazy {
            self.effects.trash.extend(trash);
        }
    }

    // ---- effects ----

    /// The key changed: tells watchers, and publishes the event.
    #[inline]
    pub fn changed(&mut self, key: &[u8], class: u32, event: &'static str) {
        self.touch(key);
        self.notify(class, event, key);
    }

    /// The key changed, without an event.
    #[inline]
    pub fn touch(&mut self, key: &[u8]) {
        if self.call.note_touched {
            self.effects.touched.push(Touched { db: self.index, key: key.into(), by_itself: false });
        }
    }

    /// The key has gone though no command asked for that.
    pub fn touch_by_itself(&mut self, key: &[u8]) {
        if self.call.note_touched {
            self.effects.touched.push(Touched { db: self.index, key: key.into(), by_itself: true });
        }
    }

    /// Publishes a keyspace event if that class is asked for.
    #[inline]
    pub fn notify(&mut self, class: u32, event: &'static str, key: &[u8]) {
        if self.settings.notify & class != 0 {
            self.effects.events.push(Event { db: self.index, class, name: event, key: key.into() });
        }
    }

    /// The key holds something that clients may wait for.
    pub fn make_ready(&mut self, key: &[u8]) {
        if self.call.note_ready {
            self.effects.ready.push((self.index, key.into()));
        }
    }

    /// Counts changes.
    #[inline]
    pub fn dirty(&mut self, changes: u64) {
        self.effects.dirty += changes;
    }
}

/// Seconds of the LRU clock.
pub fn lru_clock(now_ms: u64) -> u32 {
    ((now_ms / 1000) & 0xff_ffff) as u32
}

/// A new key has been accessed this often, so that it is not evicted at once.
const LFU_INITIAL: u32 = 5;

fn fresh_clock(clock: ClockUse, now_ms: u64) -> u32 {
    match clock {
        ClockUse::Lru | ClockUse::LruUntouched => lru_clock(now_ms),
        ClockUse::Lfu { .. } | ClockUse::LfuUntouched { .. } => (lfu_minutes(now_ms) << 8) | LFU_INITIAL,
    }
}

fn lfu_minutes(now_ms: u64) -> u32 {
    ((now_ms / 60_000) & 0xffff) as u32
}

/// The LFU counter after its decay up to now.
pub fn lfu_decayed(bits: u32, now_ms: u64, decay_minutes: u32) -> u32 {
    let idle = lfu_minutes(now_ms).wrapping_sub(bits >> 8) & 0xffff;
    let periods = idle.checked_div(decay_minutes).unwrap_or(0);
    (bits & 0xff).saturating_sub(periods)
}

fn mark_access(entry: EntryRef<'_>, clock: ClockUse, now_ms: u64, rng: &mut fastrand::Rng) {
    match clock {
        ClockUse::LruUntouched | ClockUse::LfuUntouched { .. } => {}
        ClockUse::Lru => entry.set_clock(lru_clock(now_ms)),
        ClockUse::Lfu { log_factor, decay_minutes } => {
            let mut counter = lfu_decayed(entry.clock(), now_ms, decay_minutes);
            let base = counter.saturating_sub(LFU_INITIAL);
            if counter < 255 && rng.f64() < 1.0 / (f64::from(base) * f64::from(log_factor) + 1.0) {
                counter += 1;
            }
            entry.set_clock((lfu_minutes(now_ms) << 8) | counter);
        }
    }
}
