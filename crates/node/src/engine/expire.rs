//! Expiry: keys and fields of hashes whose time has come are deleted in slices between the clients' turns.
//!
//! How much is done follows from how much is due. Without clients a slice follows the last as soon as the sockets were looked at. Beside clients it rests
//! in between, so that it takes the share of a core that `active-expire-effort` says, and twice that once keys are a second late. A master decides that a
//! key goes; a replica waits to be told, and expires only what its own clients wrote (rule 36).

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use rivulet_commands::Command;
use rivulet_commands::effects::Touched;
use rivulet_commands::hash::expire_fields;
use rivulet_commands::places::keys_of;
use rivulet_resp::Args;

use crate::node::Node;

/// A slice ends after so long.
const SLICE_US: u64 = 1000;
/// Steps (keys and buckets) between two looks at the clock.
const STEPS: usize = 64;
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
struct Found {
    more: bool,
    /// When the next key is due, on the wall clock.
    next_ms: Option<u64>,
    /// How late the first key was.
    late_ms: u64,
}

/// How long expiry rests after a slice that took so long.
fn rest_us(took_us: u64, effort: u64, late_ms: u64) -> u64 {
    let share = SHARE_PERCENT + SHARE_PER_EFFORT * effort.saturating_sub(1);
    let share = if late_ms > LATE_MS { share * 2 } else { share }.min(90);
    took_us * (100 - share) / share
}

impl Node {
    /// Whether this server may delete keys because their time is over: not a replica, whose master decides; not while data load or must stand still.
    pub fn may_expire(&self) -> bool {
        !self.is_replica()
            && self.ops.debug.active_expire
            && !self.is_loading()
            && !self.is_paused()
            && self.replication.failover.is_idle()
    }

    /// Deletes keys whose time has come, if it is time for a slice.
    #[inline]
    pub fn expire_due_keys(&mut self) {
        if self.clock.now_us >= self.engine.keys.expiry.next_us {
            self.expire_slice();
        }
    }

    #[cold]
    fn expire_slice(&mut self) {
        if !self.may_expire() {
            self.engine.keys.expiry.more = false;
            self.engine.keys.expiry.next_us = self.clock.now_us + LOOK_US / 3;
            return;
        }
        let started_us = self.clock.read_us();
        let clients_came = std::mem::replace(&mut self.engine.keys.expiry.commands, self.ops.stats.commands)
            != self.ops.stats.commands;
        let found = self.expire_until(started_us + SLICE_US);
        let ended_us = self.clock.read_us();
        let took_us = ended_us.saturating_sub(started_us);
        self.engine.keys.expiry.spent_us += took_us;
        self.note_latency("expire-cycle", took_us / 1000);
        self.engine.keys.expiry.more = found.more;
        self.engine.keys.expiry.next_us = if found.more {
            self.engine.keys.expiry.time_cap_reached += 1;
            let rest = rest_us(took_us, self.config.active_expire_effort, found.late_ms);
            // At once is when the loop has looked at the sockets.
            if clients_came { ended_us + rest } else { self.clock.now_us }
        } else {
            let wait_ms = found.next_ms.map_or(u64::MAX, |ms| ms.saturating_sub(self.unix_ms()));
            ended_us + wait_ms.saturating_mul(1000).clamp(1000, LOOK_US)
        };
    }

    /// Goes through the databases until nothing is due or time is over.
    fn expire_until(&mut self, until_us: u64) -> Found {
        let mut found = Found { more: false, next_ms: None, late_ms: 0 };
        let now_ms = self.unix_ms();
        let count = self.engine.keyspace.databases();
        for _ in 0..count.min(DATABASES_MAX) {
            let index = self.engine.keys.expiry.db % count;
            if let Some(first) = self.next_due_ms(index) {
                found.late_ms = found.late_ms.max(now_ms.saturating_sub(first));
                if !self.expire_db_until(index, now_ms, until_us) || !self.expire_fields_until(index, now_ms, until_us)
                {
                    found.more = true;
                    return found;
                }
                found.next_ms = found.next_ms.into_iter().chain(self.next_due_ms(index)).min();
            }
            self.engine.keys.expiry.db = (index + 1) % count;
        }
        found
    }

    /// When a key or a field of a database is due next, as far as that is known.
    fn next_due_ms(&self, index: usize) -> Option<u64> {
        let db = self.engine.keyspace.db(index);
        let keys = if db.expires_len() > 0 { db.next_due_ms() } else { None };
        keys.into_iter().chain(db.next_fields_due_ms()).min()
    }

    /// Takes out the fields that are due in a database; answers whether those are all.
    fn expire_fields_until(&mut self, index: usize, now_ms: u64, until_us: u64) -> bool {
        loop {
            let mut steps = STEPS;
            let Some(key) = self.engine.keyspace.db_mut(index).due_fields(now_ms, &mut steps) else {
                if steps > 0 {
                    return true;
                }
                if self.clock.read_us() >= until_us {
                    return false;
                }
                continue;
            };
            self.with_data(index, |data| {
                let key = data.key(&key);
                expire_fields(data, key, STEPS);
            });
            self.after_each_by_itself();
            if self.clock.read_us() >= until_us {
                return false;
            }
        }
    }

    /// Deletes what is due in a database; answers whether that is all.
    fn expire_db_until(&mut self, index: usize, now_ms: u64, until_us: u64) -> bool {
        loop {
            let expired = self.engine.keyspace.db_mut(index).expired_keys(now_ms, STEPS);
            self.with_data(index, |data| {
                for key in &expired.keys {
                    data.expire_if_due(data.key(key));
                }
            });
            self.after_each_by_itself();
            if !expired.more {
                return true;
            }
            if self.clock.read_us() >= until_us {
                return false;
            }
        }
    }

    /// When the data want the loop's attention though no client comes, on the machine's clock.
    pub fn data_work_at_us(&self) -> Option<u64> {
        if self.engine.keys.eviction.is_running() || self.tracking.has_work(self.config.tracking_table_max_keys) {
            return Some(0);
        }
        // What is due later has its turn with the periodic tasks.
        self.engine.keys.expiry.more.then_some(self.engine.keys.expiry.next_us)
    }

    // ---- a replica's own keys ----

    /// A client of this writable replica gave keys a deadline: this server must expire them itself (rule 36).
    pub fn note_own_expiring(&mut self, db: usize, command: &'static Command, args: Args<'_>) {
        for (at, _) in keys_of(command, args).iter() {
            let key = args.at(at);
            let db_ref = self.engine.keyspace.db(db);
            let deadline = db_ref.find(db_ref.key(key)).and_then(|e| e.deadline());
            self.engine.keys.own_expiring.note(db, key, deadline);
        }
    }

    /// Deletes such keys when their time has come.
    pub fn expire_own_keys(&mut self) {
        if self.engine.keys.own_expiring.is_empty() || !self.is_replica() || self.is_paused() {
            return;
        }
        let now_ms = self.unix_ms();
        let until_us = self.clock.read_us() + SLICE_US;
        while let Some((index, name)) = self.engine.keys.own_expiring.take_due(now_ms) {
            let db = self.engine.keyspace.db(index);
            match db.find(db.key(&name)).and_then(|e| e.deadline()) {
                Some(ms) if now_ms > ms => {
                    let db = self.engine.keyspace.db_mut(index);
                    let key = db.key(&name);
                    drop(db.remove(key));
                    self.ops.stats.keys.expired += 1;
                    if self.engine.note_touched {
                        self.keys_changed(vec![Touched { db: index, key: (*name).into(), by_itself: true }]);
                    }
                }
                // The master has given it another one.
                later => self.engine.keys.own_expiring.note(index, &name, later),
            }
            if self.clock.read_us() >= until_us {
                break;
            }
        }
    }
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
    fn the_share_follows_the_effort_and_what_is_late() {
        assert_eq!(rest_us(1000, 1, 0), 3000, "a quarter");
        assert_eq!(rest_us(1000, 1, LATE_MS + 1), 1000, "a half");
        assert_eq!(rest_us(1000, 10, 0), 1325, "43 percent");
        assert!(rest_us(1000, 10, LATE_MS + 1) < 200);
    }

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
