//! How a load ends; and full syncs that could not be loaded, one after the other: what that was for, and how long the next one waits.
//!
//! A snapshot that this node can't read is the same the next time, and each costs the master a snapshot and both ends the transfer.

use super::{Action, Actions, LoadMode, ReplicaLink, State, log};
use crate::Millis;
use crate::position::Position;
use crate::report::Report;

/// The failures since the last full sync that was loaded.
#[derive(Debug, Default)]
pub struct Unloadable {
    failures: u32,
    why: String,
    /// Where the old data stand, if that is known, while it is not sure that others take their place.
    old_position: Option<Position>,
}

/// The wait after the first failure; it doubles with each further one.
const WAIT_MIN: Millis = 1000;
const WAIT_MAX: Millis = 60_000;

impl Unloadable {
    /// Another one failed, for this reason; says how long to wait.
    pub(super) fn failed(&mut self, why: &str) -> Millis {
        self.failures = self.failures.saturating_add(1);
        self.why = why.to_string();
        let doublings = (self.failures - 1).min(WAIT_MAX.ilog2());
        (WAIT_MIN << doublings).min(WAIT_MAX)
    }

    /// How many have failed in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Why the last one failed.
    pub fn why(&self) -> &str {
        &self.why
    }
}

/// Streams that held something that is no command, one after the other: each costs a full sync.
#[derive(Debug, Clone, Copy)]
pub(super) struct Broken {
    at: Millis,
    times: u32,
}

/// A stream that went well for so long is not in a row with the one before.
const GOOD: Millis = 120_000;

impl ReplicaLink {
    /// What came in the stream is no command: where we are can't be trusted any more, so it is not cached (rule 12). If that was so a while ago, too, the
    /// full sync that is to come waits.
    pub fn protocol_error(&mut self, now: Millis, text: &str, out: Actions<'_, '_>) {
        if !matches!(self.state, State::Streaming { .. }) {
            return;
        }
        log(out, Report::warning(format!("Protocol error from MASTER: {text}")));
        let before = self.broken.filter(|broken| now < broken.at + GOOD).map_or(0, |broken| broken.times);
        self.broken = Some(Broken { at: now, times: before + 1 });
        if before == 0 {
            return self.lose_stream(now, false, out);
        }
        self.end_stream(now, false, out);
        let wait = (WAIT_MIN << (before - 1).min(WAIT_MAX.ilog2())).min(WAIT_MAX);
        let (times, seconds) = (before + 1, wait / 1000);
        log(
            out,
            Report::notice(format!("The stream was broken {times} times in a row: the next attempt is in {seconds} s")),
        );
        self.state = State::Waiting { retry_at: now + wait };
    }

    /// The snapshot is loaded, after `PayloadEnd`; or it can't be, at any time after `PayloadBegin`. After a failure the
    /// driver empties what is half loaded.
    pub fn loaded(&mut self, now: Millis, result: Result<(), &str>, out: Actions<'_, '_>) {
        let failure = match (&self.state, result) {
            (State::Loading { .. }, Ok(())) => return self.start_stream(now, out),
            (
                State::Loading { load, .. } | State::Receiving { load, .. } | State::Parallel { load, .. },
                Err(error),
            ) => (*load, error),
            (State::Receiving { load, .. } | State::Parallel { load, .. }, Ok(())) => {
                (*load, "it ended before its end was received")
            }
            _ => return,
        };
        let (from, error) = match failure {
            (LoadMode::AfterTransfer, error) => ("disk", error),
            (_, error) => ("socket", error),
        };
        let text = format!("Failed trying to load the MASTER synchronization DB from {from}: {error}");
        log(out, Report::warning(text));
        if failure.0 == LoadMode::Beside {
            log(out, Report::notice("MASTER <-> REPLICA sync: Discarding temporary DB in background"));
        }
        self.wait_after_failed_load(now, error, out);
    }

    /// The next attempt would most likely fail as this one did: it waits for longer and longer.
    fn wait_after_failed_load(&mut self, now: Millis, why: &str, out: Actions<'_, '_>) {
        let wait = self.unloadable.failed(why);
        let (count, seconds) = (self.unloadable.failures(), wait / 1000);
        let times = if count == 1 { "once".to_string() } else { format!("{count} times in a row") };
        let text = format!("The full sync could not be loaded {times}: the next attempt is in {seconds} s");
        log(out, Report::notice(text));
        out.push(Action::Disconnect);
        self.state = State::Waiting { retry_at: now + wait };
    }

    /// The data are there, whole, and stand here: the next request names that position.
    pub fn kept(&mut self, position: Position) {
        self.cached = Some(position);
        self.has_whole_data = true;
    }

    /// The old data are about to go.
    pub(super) fn set_cached_aside(&mut self, out: Actions<'_, '_>) {
        self.unloadable.old_position = self.cached;
        self.discard_cached(out);
    }

    /// A snapshot was not taken over after all and the old data are still there, whole: the next request names their position, unless that had
    /// been given up before.
    pub fn kept_old_data(&mut self) {
        self.cached = self.unloadable.old_position.take();
        self.has_whole_data = true;
    }

    /// The data are not what the position says: the next request names none.
    pub fn forget_position(&mut self) {
        self.cached = None;
    }

    /// Full syncs that could not be loaded since the last that was, or since REPLICAOF.
    pub fn unloadable(&self) -> &Unloadable {
        &self.unloadable
    }

    /// How long the next attempt waits; 0 while one is made or the link is up.
    pub fn retry_in(&self, now: Millis) -> Millis {
        match self.state {
            State::Waiting { retry_at } => retry_at.saturating_sub(now),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_minute() {
        let mut unloadable = Unloadable::default();
        let waits: Vec<Millis> = (0..8).map(|_| unloadable.failed("bad")).collect();
        assert_eq!(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!((unloadable.failures(), unloadable.why()), (8, "bad"));
        unloadable.failures = u32::MAX;
        assert_eq!(unloadable.failed("bad"), 60_000);
    }
}
