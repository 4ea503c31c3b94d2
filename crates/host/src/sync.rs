//! Queues between threads, and a condition to wait for. They are the system's; only who waits, waits as its machine wants.

use std::sync::mpsc;
use std::sync::{LockResult, MutexGuard};
use std::time::Duration;

pub use std::sync::mpsc::{RecvError, SendError, TryRecvError, TrySendError};

use crate::world::{self, Awaits};

/// The end of a queue that takes.
#[derive(Debug)]
pub struct Receiver<T>(mpsc::Receiver<T>);

/// The end of a queue without a bound that gives.
#[derive(Debug)]
pub struct Sender<T>(mpsc::Sender<T>);

// Not derived: items need not be clonable.
impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender(self.0.clone())
    }
}

/// The end of a bounded queue that gives.
#[derive(Debug, Clone)]
pub struct SyncSender<T>(mpsc::SyncSender<T>);

/// A queue without a bound.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (to, from) = mpsc::channel();
    (Sender(to), Receiver(from))
}

/// A queue for at most `bound` items, at least one.
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let (to, from) = mpsc::sync_channel(bound.max(1));
    (SyncSender(to), Receiver(from))
}

impl<T> Receiver<T> {
    /// Waits for the next item.
    ///
    /// # Errors
    /// There is none, and nobody is left who could give one.
    pub fn recv(&self) -> Result<T, RecvError> {
        if !world::is_simulated() {
            return self.0.recv();
        }
        loop {
            match self.try_recv() {
                Ok(item) => return Ok(item),
                Err(TryRecvError::Disconnected) => return Err(RecvError),
                Err(TryRecvError::Empty) => world::park(Awaits::Threads, None),
            }
        }
    }

    /// The next item, if one is there.
    ///
    /// # Errors
    /// None is there, or nobody is left who could give one.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let received = self.0.try_recv();
        if received.is_ok() {
            world::note_progress();
        }
        received
    }
}

impl<T> Receiver<T> {
    /// The items that are there.
    pub fn try_iter(&self) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| self.try_recv().ok())
    }
}

/// Items as they come, until nobody is left who could give one.
#[derive(Debug)]
pub struct IntoIter<T>(Receiver<T>);

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}

/// Who waits for room in the queue waits for nothing now.
impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        world::note_progress();
    }
}

impl<T> Sender<T> {
    /// Gives the item.
    ///
    /// # Errors
    /// Nobody is left who takes: it comes back.
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        self.0.send(item)?;
        world::note_progress();
        Ok(())
    }
}

/// Who waits for an item may be told that there will be none.
impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        world::note_progress();
    }
}

/// See [`Sender`].
impl<T> Drop for SyncSender<T> {
    fn drop(&mut self) {
        world::note_progress();
    }
}

impl<T> SyncSender<T> {
    /// Waits until there is room, and gives the item.
    ///
    /// # Errors
    /// Nobody is left who takes: it comes back.
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        if !world::is_simulated() {
            return self.0.send(item);
        }
        let mut item = item;
        loop {
            match self.0.try_send(item) {
                Ok(()) => {
                    world::note_progress();
                    return Ok(());
                }
                Err(TrySendError::Disconnected(back)) => return Err(SendError(back)),
                Err(TrySendError::Full(back)) => {
                    item = back;
                    world::park(Awaits::Threads, None);
                }
            }
        }
    }
}

/// What a thread waits for beside a mutex.
#[derive(Debug, Default)]
pub struct Condvar(std::sync::Condvar);

impl Condvar {
    pub fn new() -> Condvar {
        Condvar::default()
    }

    pub fn notify_one(&self) {
        self.0.notify_one();
        world::note_progress();
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
        world::note_progress();
    }

    /// Waits, with the mutex free, until somebody notifies, or for no reason: the caller looks whether what it waits for is there.
    pub fn wait<'a, T>(
        &self,
        mutex: &'a std::sync::Mutex<T>,
        guard: MutexGuard<'a, T>,
    ) -> LockResult<MutexGuard<'a, T>> {
        if !world::is_simulated() {
            return self.0.wait(guard);
        }
        drop(guard);
        world::park(Awaits::Threads, None);
        mutex.lock()
    }

    /// The same, no longer than `time`.
    pub fn wait_timeout<'a, T>(
        &self,
        mutex: &'a std::sync::Mutex<T>,
        guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> LockResult<MutexGuard<'a, T>> {
        let Some(now_us) = world::with(|world| world.machine_us()) else {
            return match self.0.wait_timeout(guard, time) {
                Ok((guard, _)) => Ok(guard),
                Err(poisoned) => Err(std::sync::PoisonError::new(poisoned.into_inner().0)),
            };
        };
        drop(guard);
        world::park(Awaits::Threads, Some(now_us + time.as_micros() as u64));
        mutex.lock()
    }
}
