//! All databases of a server, and the snapshot that may run over them.

use std::cell::RefCell;
use std::rc::Rc;

use crate::db::{Db, Sink, Trash};
use crate::hash::{HashKeys, Key, KeyHasher};

/// The databases of a server.
pub struct Keyspace<H = KeyHasher> {
    dbs: Vec<Db<H>>,
    hasher: H,
    /// The number of the last snapshot.
    epoch: u32,
    walking: bool,
    /// Databases that were emptied while a snapshot still needed them.
    frozen: Vec<Db<H>>,
}

impl<H: HashKeys> Keyspace<H> {
    pub fn new(databases: usize, hasher: H) -> Self {
        let dbs = (0..databases).map(|_| Db::new(hasher)).collect();
        Keyspace { dbs, hasher, epoch: 0, walking: false, frozen: Vec::new() }
    }

    pub fn databases(&self) -> usize {
        self.dbs.len()
    }

    pub fn hasher(&self) -> H {
        self.hasher
    }

    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        Key { bytes, hash: self.hasher.hash(bytes) }
    }

    #[inline]
    pub fn db(&self, index: usize) -> &Db<H> {
        &self.dbs[index]
    }

    #[inline]
    pub fn db_mut(&mut self, index: usize) -> &mut Db<H> {
        &mut self.dbs[index]
    }

    pub fn iter(&self) -> impl Iterator<Item = &Db<H>> {
        self.dbs.iter()
    }

    /// Keys in all databases.
    pub fn len(&self) -> usize {
        self.dbs.iter().map(Db::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Exchanges two databases.
    pub fn swap(&mut self, a: usize, b: usize) {
        self.dbs.swap(a, b);
    }

    /// Empties a database and gives up what it held, unless a snapshot still reads that.
    pub fn flush(&mut self, index: usize) -> Option<Trash> {
        let old = self.dbs[index].take_all();
        if old.is_capturing() {
            self.frozen.push(old);
            return None;
        }
        Some(old.into_trash())
    }

    /// Puts `other`'s databases in place of the present ones, which are given up.
    pub fn replace(&mut self, other: Self) -> Vec<Trash> {
        assert_eq!(self.dbs.len(), other.dbs.len());
        let trash = (0..self.dbs.len()).filter_map(|i| self.flush(i)).collect();
        self.dbs = other.dbs;
        self.hasher = other.hasher;
        trash
    }

    /// What it holds, to be dropped elsewhere.
    pub fn into_trash(mut self) -> Vec<Trash> {
        (0..self.dbs.len()).filter_map(|i| self.flush(i)).collect()
    }

    /// Begins a snapshot of the present state. Only one runs at a time.
    pub fn begin_snapshot(&mut self, sink: Rc<RefCell<dyn Sink>>) {
        assert!(!self.walking, "one snapshot at a time");
        self.walking = true;
        self.epoch = self.epoch.wrapping_add(1).max(1);
        for (i, db) in self.dbs.iter_mut().enumerate() {
            db.begin_capture(sink.clone(), i, self.epoch);
        }
    }

    /// Hands about `budget` entries to the snapshot's sink. Answers what of the databases emptied meanwhile can be freed, and whether all is handed over.
    pub fn walk_snapshot(&mut self, budget: usize) -> (Vec<Trash>, bool) {
        let mut left = budget;
        let mut trash = Vec::new();
        while let Some(db) = self.frozen.last_mut() {
            left = left.saturating_sub(db.walk(left));
            if db.is_capturing() {
                return (trash, false);
            }
            trash.extend(self.frozen.pop().map(Db::into_trash));
        }
        for db in &mut self.dbs {
            if db.is_capturing() {
                left = left.saturating_sub(db.walk(left.max(1)));
                if db.is_capturing() || left == 0 {
                    break;
                }
            }
        }
        let done = self.dbs.iter().all(|db| !db.is_capturing());
        self.walking = !done;
        (trash, done)
    }

    /// Ends a snapshot that nobody wants any more.
    pub fn abort_snapshot(&mut self) -> Vec<Trash> {
        self.walking = false;
        self.dbs.iter_mut().for_each(Db::end_capture);
        self.frozen.drain(..).map(Db::into_trash).collect()
    }
}
