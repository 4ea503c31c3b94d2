//! Answers that are asked for once for all who want one at about the same time.
//!
//! However many ask, and however often, the server is asked four times a second at most.

use std::future::Future;

use tokio::sync::Mutex;

/// An answer is good for so long.
const FRESH_MS: u64 = 250;

/// The last answer, and when it came.
pub struct Shared<T>(Mutex<Option<(u64, T)>>);

impl<T> Default for Shared<T> {
    fn default() -> Shared<T> {
        Shared(Mutex::new(None))
    }
}

impl<T: Clone> Shared<T> {
    /// The last answer, or a new one if that is old. Who comes meanwhile waits for it, too.
    pub async fn get<F: Future<Output = T>>(&self, now_ms: fn() -> u64, ask: impl FnOnce() -> F) -> T {
        let mut last = self.0.lock().await;
        if let Some((ms, answer)) = &*last
            && now_ms().saturating_sub(*ms) < FRESH_MS
        {
            return answer.clone();
        }
        let answer = ask().await;
        *last = Some((now_ms(), answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    static MS: AtomicU64 = AtomicU64::new(1000);

    fn now_ms() -> u64 {
        MS.load(Ordering::Relaxed)
    }

    #[test]
    fn an_answer_is_asked_for_once_a_while() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (shared, asked) = (Shared::default(), AtomicU64::new(0));
        let ask = || async { asked.fetch_add(1, Ordering::Relaxed) };
        let get = || runtime.block_on(shared.get(now_ms, ask));
        assert_eq!((get(), get()), (0, 0));
        MS.fetch_add(FRESH_MS - 1, Ordering::Relaxed);
        assert_eq!(get(), 0);
        MS.fetch_add(1, Ordering::Relaxed);
        assert_eq!((get(), get()), (1, 1));
    }
}
