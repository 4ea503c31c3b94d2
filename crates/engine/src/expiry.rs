//! Expiry: how much of what is due is deleted, and when the next slice begins. Slices are cut by the node, which has a clock.
//!
//! How much is done follows from how much is due. Without clients a slice follows the last as soon as the sockets were looked at. Beside clients it rests
//! in between, so that it takes the share of a core that `active-expire-effort` says, and twice that once keys are a second late. A master decides that a
//! key goes; a replica waits to be told, and expires only what its own clients wrote ([`own_expiring`](crate::own_expiring)).

use rivulet_keyspace::Keyspace;

/// Databases that one slice looks into.
const DATABASES_MAX: usize = 256;
/// The share of a core for expiry beside clients, in percent, and what each further effort adds.
const SHARE_PERCENT: u64 = 25;
const SHARE_PER_EFFORT: u64 = 2;
/// Keys that are so late double it.
const LATE_MS: u64 = 1000;
/// With nothing due a look is taken this often, as clients may have brought deadlines.
const LOOK_US: u64 = 30_000;

/// Where expiry stands.
#[derive(Default)]
pub struct Expiry {
    /// The next slice begins no sooner, on the machine's clock.
    next_us: u64,
    /// Whether something was due when the last one ended.
    more: bool,
    /// The database that it begins with.
    db: usize,
    /// Commands executed before the last slice.
    commands: u64,
    /// Slices that ended though more was due.
    pub time_cap_reached: u64,
    /// Time spent.
    pub spent_us: u64,
}

/// What a slice found.
#[derive(Default)]
pub struct Found {
    /// Time was over before all that was due had gone.
    pub more: bool,
    /// When the next key is due, on the wall clock.
    next_ms: Option<u64>,
    /// How late the first key was.
    late_ms: u64,
}

/// A slice that has ended, on the machine's clock.
pub struct Slice {
    pub started_us: u64,
    pub ended_us: u64,
    /// When the turn began.
    pub turn_us: u64,
    /// Clients sent commands since the last one.
    pub clients_came: bool,
}

impl Expiry {
    /// The database whose turn it is, if something is due in it, and since when; `now_ms` is Unix ms.
    pub fn due_db(&self, keyspace: &Keyspace, now_ms: u64, found: &mut Found) -> Option<usize> {
        let index = self.db % keyspace.databases();
        let first = next_due_ms(keyspace, index)?;
        found.late_ms = found.late_ms.max(now_ms.saturating_sub(first));
        Some(index)
    }

    /// It is the next database's turn; what is due next in the one that was looked into is noted.
    pub fn next_db(&mut self, keyspace: &Keyspace, looked_into: Option<usize>, found: &mut Found) {
        if let Some(index) = looked_into {
            found.next_ms = found.next_ms.into_iter().chain(next_due_ms(keyspace, index)).min();
        }
        self.db = (self.db + 1) % keyspace.databases();
    }

    /// Whether it is time for a slice, on the machine's clock.
    #[inline]
    pub fn is_due(&self, now_us: u64) -> bool {
        now_us >= self.next_us
    }

    /// When the next slice is due, if something is.
    pub fn more_at_us(&self) -> Option<u64> {
        // What is due later has its turn with the periodic tasks.
        self.more.then_some(self.next_us)
    }

    /// Nothing may expire now: whether something may is asked again soon.
    pub fn stand_still(&mut self, now_us: u64) {
        self.more = false;
        self.next_us = now_us + LOOK_US / 3;
    }

    /// A slice begins after so many commands; answers whether there were some since the last one.
    pub fn begin(&mut self, commands: u64) -> bool {
        std::mem::replace(&mut self.commands, commands) != commands
    }

    /// A slice has ended: when the next one begins. `unix_ms` is the wall clock's time.
    pub fn end(&mut self, slice: &Slice, found: &Found, effort: u64, unix_ms: u64) {
        let took_us = slice.ended_us.saturating_sub(slice.started_us);
        self.spent_us += took_us;
        self.more = found.more;
        self.next_us = if found.more {
            self.time_cap_reached += 1;
            let rest = rest_us(took_us, effort, found.late_ms);
            // At once is when the loop has looked at the sockets.
            if slice.clients_came { slice.ended_us + rest } else { slice.turn_us }
        } else {
            let wait_ms = found.next_ms.map_or(u64::MAX, |ms| ms.saturating_sub(unix_ms));
            slice.ended_us + wait_ms.saturating_mul(1000).clamp(1000, LOOK_US)
        };
    }
}

/// How many databases a slice looks into, at most.
pub fn databases_of_slice(keyspace: &Keyspace) -> usize {
    keyspace.databases().min(DATABASES_MAX)
}

/// When a key or a field of a database is due next, as far as that is known.
fn next_due_ms(keyspace: &Keyspace, index: usize) -> Option<u64> {
    let db = keyspace.db(index);
    let keys = if db.expires_len() > 0 { db.next_due_ms() } else { None };
    keys.into_iter().chain(db.next_fields_due_ms()).min()
}

/// How long expiry rests after a slice that took so long.
fn rest_us(took_us: u64, effort: u64, late_ms: u64) -> u64 {
    let share = SHARE_PERCENT + SHARE_PER_EFFORT * effort.saturating_sub(1);
    let share = if late_ms > LATE_MS { share * 2 } else { share }.min(90);
    took_us * (100 - share) / share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_follows_the_effort_and_what_is_late() {
        assert_eq!(rest_us(1000, 1, 0), 3000, "a quarter");
        assert_eq!(rest_us(1000, 1, LATE_MS + 1), 1000, "a half");
        assert_eq!(rest_us(1000, 10, 0), 1325, "43 percent");
        assert!(rest_us(1000, 10, LATE_MS + 1) < 200);
    }
}
