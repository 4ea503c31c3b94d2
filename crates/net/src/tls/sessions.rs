//! Sessions that clients come back to: so many, for so long.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::PoisonError;

use rivulet_host::time;
use rustls::server::StoresServerSessions;

/// The sessions of one configuration: those that began under another can't be resumed.
pub struct Sessions {
    count_max: usize,
    keep_ms: u64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// A session, and until when it is kept.
    by_key: HashMap<Vec<u8>, (Vec<u8>, u64)>,
    /// In the order in which they came; some may be gone.
    order: VecDeque<(Vec<u8>, u64)>,
}

impl Sessions {
    /// `count_max` of 0 is no bound, as in OpenSSL.
    pub fn new(count_max: usize, keep_s: u64) -> Sessions {
        let count_max = if count_max == 0 { usize::MAX } else { count_max };
        Sessions { count_max, keep_ms: keep_s.saturating_mul(1000), kept: Mutex::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        // Whoever panicked left no half of a session: the two collections may differ, which they may at any time.
        work(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put_at(&self, key: Vec<u8>, mut value: Vec<u8>, now_ms: u64) {
        // It was written piece by piece, with a client's certificates within it, and stays for minutes.
        value.shrink_to_fit();
        self.with(|kept| {
            while kept.order.front().is_some_and(|(_, until)| *until <= now_ms) || kept.order.len() >= self.count_max {
                kept.drop_oldest();
            }
            let until = now_ms.saturating_add(self.keep_ms);
            kept.order.push_back((key.clone(), until));
            kept.by_key.insert(key, (value, until));
        });
    }

    fn get_at(&self, key: &[u8], now_ms: u64) -> Option<Vec<u8>> {
        self.with(|kept| kept.by_key.get(key).filter(|(_, until)| *until > now_ms).map(|(value, _)| value.clone()))
    }

    fn take_at(&self, key: &[u8], now_ms: u64) -> Option<Vec<u8>> {
        self.with(|kept| kept.by_key.remove(key)).filter(|(_, until)| *until > now_ms).map(|(value, _)| value)
    }
}

impl Kept {
    fn drop_oldest(&mut self) {
        let Some((key, until)) = self.order.pop_front() else { return };
        // A key that came again is younger.
        if self.by_key.get(&key).is_some_and(|(_, of)| *of == until) {
            self.by_key.remove(&key);
        }
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Their secrets are nobody's to read.
        f.debug_struct("Sessions").field("count_max", &self.count_max).finish_non_exhaustive()
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.put_at(key, value, time::monotonic_ms());
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.get_at(key, time::monotonic_ms())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.take_at(key, time::monotonic_ms())
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_kept_for_so_long() {
        let sessions = Sessions::new(2, 10);
        for (key, now) in [(b"a", 0), (b"b", 1000), (b"c", 2000)] {
            sessions.put_at(key.to_vec(), vec![1], now);
        }
        assert_eq!(sessions.get_at(b"a", 2000), None, "the oldest made room");
        assert_eq!(sessions.get_at(b"b", 10_999), Some(vec![1]));
        assert_eq!(sessions.get_at(b"b", 11_000), None, "its time is over");
        assert_eq!(sessions.take_at(b"c", 3000), Some(vec![1]));
        assert_eq!(sessions.take_at(b"c", 3000), None, "it was taken");
        sessions.put_at(b"d".to_vec(), vec![1], 20_000);
        assert_eq!(sessions.with(|kept| (kept.by_key.len(), kept.order.len())), (1, 1), "what is over is dropped");
    }
}
