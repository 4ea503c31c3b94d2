//! Keys that were sent to another server, which has not said yet that it has them.

use std::collections::BTreeMap;

/// Keys on their way, by database, and whether they have changed since they were sent.
#[derive(Default)]
pub struct Leaving(BTreeMap<usize, BTreeMap<Box<[u8]>, bool>>);

impl Leaving {
    /// Whether no key is on its way.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, db: usize, key: &[u8]) -> bool {
        self.0.get(&db).is_some_and(|keys| keys.contains_key(key))
    }

    /// A key is sent as it is now.
    pub fn begin(&mut self, db: usize, key: &[u8]) {
        self.0.entry(db).or_default().insert(key.into(), false);
    }

    /// A key is on its way no longer; answers whether it has changed meanwhile, if it still was.
    pub fn end(&mut self, db: usize, key: &[u8]) -> Option<bool> {
        let keys = self.0.get_mut(&db)?;
        let changed = keys.remove(key);
        if keys.is_empty() {
            self.0.remove(&db);
        }
        changed
    }

    /// A key has changed.
    pub fn note_changed(&mut self, db: usize, key: &[u8]) {
        if let Some(changed) = self.0.get_mut(&db).and_then(|keys| keys.get_mut(key)) {
            *changed = true;
        }
    }

    /// A database was emptied or exchanged for another.
    pub fn note_all_changed(&mut self, db: usize) {
        if let Some(keys) = self.0.get_mut(&db) {
            keys.values_mut().for_each(|changed| *changed = true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_on_its_way_is_known_at_the_end() {
        let mut leaving = Leaving::default();
        for (db, key) in [(0, b"a".as_slice()), (0, b"b"), (1, b"a"), (2, b"a"), (2, b"b")] {
            leaving.begin(db, key);
        }
        leaving.note_changed(0, b"a");
        leaving.note_changed(0, b"c");
        leaving.note_changed(3, b"a");
        leaving.note_all_changed(2);
        assert!(leaving.contains(1, b"a") && !leaving.contains(1, b"b") && !leaving.contains(3, b"a"));
        let mut end = |db, key: &[u8]| leaving.end(db, key);
        assert_eq!([end(0, b"a"), end(0, b"b"), end(0, b"c")], [Some(true), Some(false), None]);
        assert_eq!([end(1, b"a"), end(2, b"a"), end(2, b"b")], [Some(false), Some(true), Some(true)]);
        assert_eq!(end(2, b"a"), None, "it has ended");
        assert!(leaving.is_empty());
    }
}
