//! Answers that are asked for once for all who want one at about the same time.
//!
//! However many ask, and however often, the server is asked four times a second at most.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Mutex;

/// An answer is good for so long.
const FRESH_MS: u64 = 250;

/// The last answer, and when it came.
pub struct Shared<T>(Arc<Mutex<Option<(u64, T)>>>);

impl<T> Default for Shared<T> {
    fn default() -> Shared<T> {
        Shared(Arc::new(Mutex::new(None)))
    }
}

impl<T: Clone + Send + 'static> Shared<T> {
    /// The last answer, or a new one if that is old. Who comes meanwhile waits for it, too. A question that was begun goes on though nobody waits for it any
    /// more: what it waits for would go on in any case, and those who come then would ask beside it.
    ///
    /// # Panics
    /// Asking does.
    pub async fn get<F>(&self, now_ms: fn() -> u64, ask: impl FnOnce() -> F) -> T
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut last = self.0.clone().lock_owned().await;
        if let Some((ms, answer)) = &*last
            && now_ms().saturating_sub(*ms) < FRESH_MS
        {
            return answer.clone();
        }
        let asking = ask();
        let asked = tokio::spawn(async move {
            let answer = asking.await;
            *last = Some((now_ms(), answer.clone()));
            answer
        });
        match asked.await {
            Ok(answer) => answer,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
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
        let (shared, asked) = (Shared::default(), Arc::new(AtomicU64::new(0)));
        let ask = || {
            let asked = asked.clone();
            async move { asked.fetch_add(1, Ordering::Relaxed) }
        };
        let get = || runtime.block_on(shared.get(now_ms, ask));
        assert_eq!((get(), get()), (0, 0));
        MS.fetch_add(FRESH_MS - 1, Ordering::Relaxed);
        assert_eq!(get(), 0);
        MS.fetch_add(1, Ordering::Relaxed);
        assert_eq!((get(), get()), (1, 1));
    }

    #[test]
    fn who_hangs_up_has_nobody_asked_twice() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (shared, asked) = (Arc::new(Shared::default()), Arc::new(AtomicU64::new(0)));
        let answers = Arc::new(tokio::sync::Notify::new());
        let get = || {
            let (shared, asked, answers) = (shared.clone(), asked.clone(), answers.clone());
            tokio::spawn(async move {
                let ask = || async move {
                    let number = asked.fetch_add(1, Ordering::Relaxed);
                    answers.notified().await;
                    number
                };
                shared.get(|| 0, ask).await
            })
        };
        runtime.block_on(async {
            for _ in 0..100 {
                let client = get();
                tokio::task::yield_now().await;
                client.abort();
                let _ = client.await;
            }
            answers.notify_one();
            assert_eq!(get().await.expect("an answer"), 0, "it is the answer to the first question");
        });
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}
