//! Prefixes of clients in broadcasting mode, and the keys under them that have changed in this turn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rivulet_resp::Reply;

use crate::client_id::ClientId;

/// Keys that have changed, each with who did it last; 0 for nobody.
type Changed = BTreeMap<Box<[u8]>, ClientId>;

#[derive(Default)]
struct Prefix {
    clients: BTreeSet<ClientId>,
    changed: Changed,
}

/// What of a prefix is to be told to whom.
pub struct Changes {
    pub clients: Vec<ClientId>,
    keys: Changed,
}

impl Changes {
    /// The keys as an array of the protocol, without those that `own` has changed; `None` when none is left.
    pub fn message(&self, own: Option<ClientId>) -> Option<Vec<u8>> {
        let is_told = |by: &ClientId| Some(*by) != own;
        let count = self.keys.values().filter(|by| is_told(by)).count();
        let mut bytes = Vec::new();
        let mut reply = Reply::new(&mut bytes, false);
        reply.array(count);
        self.keys.iter().filter(|(_, by)| is_told(by)).for_each(|(key, _)| reply.bulk(key));
        (count > 0).then_some(bytes)
    }
}

/// All prefixes. However many there are, a key is only looked for under as many as there are lengths of them.
#[derive(Default)]
pub struct Prefixes {
    by_text: BTreeMap<Arc<[u8]>, Prefix>,
    /// How many prefixes have a length.
    lengths: BTreeMap<usize, usize>,
    has_changes: bool,
}

impl Prefixes {
    pub fn len(&self) -> usize {
        self.by_text.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_text.is_empty()
    }

    /// A client is to be told of keys that begin with this.
    pub fn add(&mut self, text: Arc<[u8]>, id: ClientId) {
        let len = text.len();
        let prefix = self.by_text.entry(text).or_insert_with(|| {
            *self.lengths.entry(len).or_default() += 1;
            Prefix::default()
        });
        prefix.clients.insert(id);
    }

    /// A client is not to be told any more; of a prefix that nobody has nothing is kept.
    pub fn remove(&mut self, text: &[u8], id: ClientId) {
        let Some(prefix) = self.by_text.get_mut(text) else { return };
        prefix.clients.remove(&id);
        if !prefix.clients.is_empty() {
            return;
        }
        self.by_text.remove(text);
        if let Some(count) = self.lengths.get_mut(&text.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&text.len());
            }
        }
    }

    /// A key has changed; `by` did it, 0 for nobody.
    pub fn note(&mut self, key: &[u8], by: ClientId) {
        for (&len, _) in self.lengths.range(..=key.len()) {
            if let Some(prefix) = self.by_text.get_mut(&key[..len]) {
                prefix.changed.insert(key.into(), by);
                self.has_changes = true;
            }
        }
    }

    /// What is to be told now, in the order of the prefixes.
    pub fn take_changes(&mut self) -> Vec<Changes> {
        if !std::mem::take(&mut self.has_changes) {
            return Vec::new();
        }
        let changed = self.by_text.values_mut().filter(|prefix| !prefix.changed.is_empty());
        changed
            .map(|prefix| Changes {
                clients: prefix.clients.iter().copied().collect(),
                keys: std::mem::take(&mut prefix.changed),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(prefixes: &mut Prefixes, own: Option<ClientId>) -> Vec<(Vec<ClientId>, String)> {
        let text = |changes: &Changes| {
            let bytes = changes.message(own).unwrap_or_default();
            String::from_utf8(bytes).expect("they were texts").replace("\r\n", " ")
        };
        prefixes.take_changes().iter().map(|changes| (changes.clients.clone(), text(changes))).collect()
    }

    #[test]
    fn a_key_is_told_under_each_prefix_that_it_has() {
        let mut prefixes = Prefixes::default();
        for (text, id) in [("", 1), ("a", 2), ("a", 3), ("ab", 2), ("b", 4), ("longer", 5)] {
            prefixes.add(text.as_bytes().into(), id);
        }
        assert_eq!(prefixes.len(), 5);
        ["abc", "a", "abc", "c"].iter().for_each(|key| prefixes.note(key.as_bytes(), 2));
        let told = [
            (vec![1], "*3 $1 a $3 abc $1 c ".to_string()),
            (vec![2, 3], "*2 $1 a $3 abc ".into()),
            (vec![2], "*1 $3 abc ".into()),
        ];
        assert_eq!(shown(&mut prefixes, None), told);
        assert_eq!(shown(&mut prefixes, None), [], "once");
    }

    #[test]
    fn who_changed_a_key_last_is_not_told_if_it_does_not_want_to_be() {
        let mut prefixes = Prefixes::default();
        prefixes.add(b"".as_slice().into(), 1);
        prefixes.note(b"k", 1);
        prefixes.note(b"j", 0);
        assert_eq!(shown(&mut prefixes, Some(1)), [(vec![1], "*1 $1 j ".to_string())]);
        prefixes.note(b"k", 1);
        assert_eq!(prefixes.take_changes()[0].message(Some(1)), None);
        prefixes.note(b"k", 1);
        prefixes.note(b"k", 2);
        assert_eq!(shown(&mut prefixes, Some(1)), [(vec![1], "*1 $1 k ".to_string())]);
    }

    #[test]
    fn nothing_stays_of_a_prefix_that_nobody_has() {
        let mut prefixes = Prefixes::default();
        for id in [1, 2] {
            prefixes.add(b"ab".as_slice().into(), id);
            prefixes.add(b"cd".as_slice().into(), id);
        }
        prefixes.note(b"abc", 0);
        for text in [b"ab", b"cd"] {
            prefixes.remove(text, 1);
            prefixes.remove(text, 1);
            prefixes.remove(b"nothing", 1);
            prefixes.remove(text, 2);
        }
        assert!(prefixes.is_empty() && prefixes.lengths.is_empty());
        assert!(prefixes.take_changes().is_empty());
    }
}
