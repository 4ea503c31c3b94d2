//! WATCH: whose transactions fail because a key has changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use rivulet_commands::effects::Touched;
use rivulet_keyspace::Keyspace;

use crate::client_id::ClientId;
use crate::client_set::ClientSet;
use crate::session::{Session, Watched, WatchedKey};
use crate::sessions::Sessions;

/// Who watches a key.
#[derive(Default)]
pub struct WatchedKeys(BTreeMap<WatchedKey, ClientSet>);

impl WatchedKeys {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys that somebody watches.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// A client watches nothing any more; answers whether it did.
    pub fn unwatch_all(&mut self, id: ClientId, session: &mut Session) -> bool {
        session.watches.broken = false;
        let keys = std::mem::take(&mut session.watches.keys);
        let has_watched = !keys.is_empty();
        for key in keys.into_keys() {
            if self.0.get_mut(&key).is_some_and(|watchers| watchers.remove(id)) {
                self.0.remove(&key);
            }
        }
        has_watched
    }

    /// The keys of a database that are watched, and by whom.
    fn of_db(&self, db: usize) -> Vec<(Arc<[u8]>, Vec<ClientId>)> {
        let from_here = (db, Arc::from(&b""[..]))..(db + 1, Arc::from(&b""[..]));
        self.0.range(from_here).map(|((_, key), ids)| (key.clone(), ids.iter().collect())).collect()
    }

    /// A client watches keys of its database; `now_ms` is Unix ms.
    pub fn watch<'a>(
        &mut self,
        keyspace: &Keyspace,
        (id, session): (ClientId, &mut Session),
        keys: impl Iterator<Item = &'a [u8]>,
        now_ms: u64,
    ) {
        for key in keys {
            let watched: WatchedKey = (session.db, key.into());
            if !session.watches.keys.contains_key(&watched) {
                let expired = is_expired(keyspace, session.db, key, now_ms);
                session.watches.keys.insert(watched.clone(), Watched { expired });
                self.0.entry(watched).or_insert(ClientSet::One(id)).insert(id);
            }
        }
    }

    /// Whether a watched key's deadline has passed since: that counts as a change.
    pub fn has_expired(keyspace: &Keyspace, session: &Session, now_ms: u64) -> bool {
        let mut keys = session.watches.keys.iter();
        keys.any(|((db, key), watched)| !watched.expired && is_expired(keyspace, *db, key, now_ms))
    }

    /// Keys changed: the transactions that watch them fail.
    pub fn fail(&self, keyspace: &Keyspace, touched: Vec<Touched>, sessions: &mut impl Sessions) {
        if self.is_empty() {
            return;
        }
        for Touched { db, key, .. } in touched {
            let watched: WatchedKey = (db, key.into());
            let Some(watchers) = self.0.get(&watched) else { continue };
            let gone = !is_there(keyspace, db, &watched.1);
            for id in watchers.iter() {
                let Some(session) = sessions.session_mut(id) else { continue };
                match session.watches.keys.get_mut(&watched) {
                    // It was expired already, and now it is deleted: nothing has changed.
                    Some(watched) if watched.expired && gone => watched.expired = false,
                    _ => session.watches.broken = true,
                }
            }
        }
    }

    /// Database `db` is emptied, or exchanged for `other`: watchers of keys fail if those are there, or come to be there, unless what was
    /// expired stays so.
    pub fn fail_of_db(
        &self,
        keyspace: &Keyspace,
        (db, other): (usize, Option<usize>),
        now_ms: u64,
        sessions: &mut impl Sessions,
    ) {
        for (key, ids) in self.of_db(db) {
            let is_here = is_there(keyspace, db, &key);
            let comes = other.is_some_and(|other| is_there(keyspace, other, &key));
            if !is_here && !comes {
                continue;
            }
            let comes_expired = other.is_some_and(|other| is_expired(keyspace, other, &key, now_ms));
            for id in ids {
                let Some(session) = sessions.session_mut(id) else { continue };
                let Some(watched) = session.watches.keys.get_mut(&(db, key.clone())) else { continue };
                if watched.expired {
                    if !comes {
                        watched.expired = false;
                        continue;
                    }
                    if comes_expired {
                        continue;
                    }
                } else if !is_here && comes_expired {
                    watched.expired = true;
                    continue;
                }
                session.watches.broken = true;
            }
        }
    }
}

fn is_there(keyspace: &Keyspace, db: usize, key: &[u8]) -> bool {
    let db = keyspace.db(db);
    db.find(db.key(key)).is_some()
}

/// Whether a key is there whose time is over.
fn is_expired(keyspace: &Keyspace, db: usize, key: &[u8], now_ms: u64) -> bool {
    let db = keyspace.db(db);
    db.find(db.key(key)).and_then(|entry| entry.deadline()).is_some_and(|ms| now_ms > ms)
}
