//! Helper threads. A thread of its own starts them, so that the executor never does.
//!
//! For a new thread the system maps a stack, and a process's mappings stand still while somebody looks at them: to read `smaps` of a server with 2 GB
//! takes 35 ms, for which its clients would wait.

use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use rivulet_host::sync::{self, Receiver, Sender, TryRecvError};
use rivulet_host::{thread, world};
use rivulet_memory::Counted;
use rivulet_net::Waker;

use crate::process::alternate_stack::AlternateStack;
use crate::system::os_error;
use crate::{clock, log};

/// A system that has no thread to give is asked again after so long.
const RETRY: Duration = Duration::from_secs(1);

struct Asked {
    name: &'static str,
    work: thread::Work,
}

static STARTER: LazyLock<Sender<Asked>> = LazyLock::new(|| {
    let (to, asked) = sync::channel();
    let starter = std::thread::Builder::new().name("starter".into());
    starter.spawn(move || start_all(asked)).expect("a thread can be started at start-up");
    to
});

/// For start-up: from now on a helper costs its asker nothing.
pub fn begin() {
    LazyLock::force(&STARTER);
}

/// A thread that will answer.
pub struct Helper<T> {
    answer: Receiver<T>,
}

/// Asks for a thread that does this. It begins a moment later, and its memory is counted.
pub fn start(name: &'static str, work: impl FnOnce() + Send + 'static) {
    let work = Box::new(move || {
        let _counted = Counted::register();
        let _stack = AlternateStack::for_helper();
        work();
    });
    if world::is_simulated() {
        // A step is started by nobody.
        return thread::spawn(name, work).unwrap_or(());
    }
    STARTER.send(Asked { name, work }).expect("the starter ends with the process");
}

/// The same, with an answer, for which it wakes the executor.
pub fn ask<T: Send + 'static>(
    name: &'static str,
    waker: Waker,
    work: impl FnOnce() -> T + Send + 'static,
) -> Helper<T> {
    let (to, answer) = sync::channel();
    start(name, move || {
        // Whoever asked may not want to know any more.
        let _ = to.send(work());
        waker.wake();
    });
    Helper { answer }
}

impl<T> Helper<T> {
    /// Its answer, once it is there.
    ///
    /// # Errors
    /// It panicked.
    pub fn poll(&self) -> Option<io::Result<T>> {
        match self.answer.try_recv() {
            Ok(answer) => Some(Ok(answer)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(io::Error::other("the thread panicked"))),
        }
    }
}

fn start_all(asked: Receiver<Asked>) {
    for Asked { name, work } in asked {
        loop {
            let (to, from) = sync::channel::<thread::Work>();
            let run = move || {
                if let Ok(work) = from.recv() {
                    work();
                }
            };
            match thread::spawn(name, Box::new(run)) {
                Ok(()) => {
                    // It waits for this.
                    let _ = to.send(work);
                    break;
                }
                Err(e) => {
                    log::warning!("Can't start the thread '{name}', trying again: {}", os_error(&e));
                    clock::sleep(RETRY);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait<T>(helper: &Helper<T>) -> io::Result<T> {
        loop {
            if let Some(answer) = helper.poll() {
                return answer;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_helper_has_its_name_and_answers() {
        let waker = Waker::new().expect("an eventfd");
        let helper = ask("some-helper", waker, || std::thread::current().name().map(String::from));
        assert_eq!(wait(&helper).expect("it answers").as_deref(), Some("some-helper"));
    }

    #[test]
    fn a_panic_is_told() {
        let waker = Waker::new().expect("an eventfd");
        let helper = ask("some-helper", waker, || -> u8 { panic!("as the test wants") });
        assert_eq!(wait(&helper).expect_err("it panicked").to_string(), "the thread panicked");
    }
}
