//! Keys that were given a deadline on a replica by its own clients: that replica must expire them itself (rule 36).

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use rivulet_commands::Command;
use rivulet_commands::effects::Touched;
use rivulet_commands::places::keys_of;
use rivulet_keyspace::Keyspace;
use rivulet_resp::Args;

/// What became of a key whose time should be over.
pub enum OwnKey {
    Expired(Touched),
    /// The master has taken it away, or has given it another deadline.
    Spared,
}

/// Keys that were given a deadline on this replica by its own clients, in the order in which they are due.
#[derive(Default)]
pub struct OwnExpiring {
    deadlines: HashMap<(usize, Rc<[u8]>), u64>,
    order: BTreeSet<(u64, usize, Rc<[u8]>)>,
}

impl OwnExpiring {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub fn clear(&mut self) {
        *self = OwnExpiring::default();
    }

    /// A client of this writable replica gave keys a deadline.
    pub fn note_call(&mut self, keyspace: &Keyspace, db: usize, command: &'static Command, args: Args<'_>) {
        for (at, _) in keys_of(command, args).iter() {
            let key = args.at(at);
            let db_ref = keyspace.db(db);
            let deadline = db_ref.find(db_ref.key(key)).and_then(|entry| entry.deadline());
            self.note(db, key, deadline);
        }
    }

    /// A key has gone by a client's order.
    pub fn note_gone(&mut self, db: usize, key: &[u8]) {
        self.note(db, key, None);
    }

    /// Deletes the next of these keys if its time has come; `now_ms` is Unix ms.
    pub fn expire_one(&mut self, keyspace: &mut Keyspace, now_ms: u64) -> Option<OwnKey> {
        let (index, name) = self.take_due(now_ms)?;
        let db = keyspace.db_mut(index);
        let key = db.key(&name);
        match db.find(key).and_then(|entry| entry.deadline()) {
            Some(ms) if now_ms > ms => {
                drop(db.remove(key));
                Some(OwnKey::Expired(Touched { db: index, key: (*name).into(), by_itself: true }))
            }
            later => {
                self.note(index, &name, later);
                Some(OwnKey::Spared)
            }
        }
    }

    /// The key has this deadline now, or none.
    fn note(&mut self, db: usize, key: &[u8], deadline: Option<u64>) {
        let key: Rc<[u8]> = key.into();
        let old = match deadline {
            Some(ms) => self.deadlines.insert((db, key.clone()), ms),
            None => self.deadlines.remove(&(db, key.clone())),
        };
        if let Some(old) = old {
            self.order.remove(&(old, db, key.clone()));
        }
        if let Some(ms) = deadline {
            self.order.insert((ms, db, key));
        }
    }

    /// Takes out one whose deadline has passed.
    fn take_due(&mut self, now_ms: u64) -> Option<(usize, Rc<[u8]>)> {
        let &(ms, ..) = self.order.first()?;
        if now_ms <= ms {
            return None;
        }
        let (_, db, key) = self.order.pop_first()?;
        self.deadlines.remove(&(db, key.clone()));
        Some((db, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_keys_come_in_the_order_of_their_deadlines() {
        let mut own = OwnExpiring::default();
        for (key, ms) in [("c", 30), ("a", 10), ("b", 20), ("gone", 5)] {
            own.note(0, key.as_bytes(), Some(ms));
        }
        own.note(0, b"gone", None);
        own.note(0, b"a", Some(25));
        own.note(1, b"a", Some(1));
        assert_eq!(own.len(), 4);
        let mut order = Vec::new();
        while let Some((db, key)) = own.take_due(30) {
            order.push((db, String::from_utf8_lossy(&key).into_owned()));
        }
        assert_eq!(order, [(1, "a".to_string()), (0, "b".into()), (0, "a".into())]);
        assert_eq!(own.take_due(30), None, "30 is not before 30");
        assert_eq!(own.len(), 1);
        own.clear();
        assert!(own.is_empty());
    }
}
