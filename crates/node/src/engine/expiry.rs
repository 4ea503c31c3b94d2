//! Expiry on this node: slices between the clients' turns, as long as keys may go by themselves.

use rivulet_engine::by_itself::Step;
use rivulet_engine::expiry::{Found, Slice, databases_of_slice};
use rivulet_engine::own_expiring::OwnKey;

use crate::node::Node;

/// A slice ends after so long.
const SLICE_US: u64 = 1000;

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
        if self.engine.keys.expiry.is_due(self.clock.now_us) {
            self.expire_slice();
        }
    }

    #[cold]
    fn expire_slice(&mut self) {
        if !self.may_expire() {
            return self.engine.keys.expiry.stand_still(self.clock.now_us);
        }
        let started_us = self.clock.read_us();
        let clients_came = self.engine.keys.expiry.begin(self.ops.stats.commands);
        let found = self.expire_until(started_us + SLICE_US);
        let ended_us = self.clock.read_us();
        self.note_latency("expire-cycle", ended_us.saturating_sub(started_us) / 1000);
        let slice = Slice { started_us, ended_us, turn_us: self.clock.now_us, clients_came };
        let (effort, unix_ms) = (self.config.active_expire_effort, self.unix_ms());
        self.engine.keys.expiry.end(&slice, &found, effort, unix_ms);
    }

    /// Goes through the databases until nothing is due or time is over.
    fn expire_until(&mut self, until_us: u64) -> Found {
        let mut found = Found::default();
        let now_ms = self.unix_ms();
        for _ in 0..databases_of_slice(&self.engine.keyspace) {
            let expiring = self.engine.keys.expiry.due_db(&self.engine.keyspace, now_ms, &mut found);
            if let Some(index) = expiring
                && !(self.expire_keys_until(index, now_ms, until_us)
                    && self.expire_fields_until(index, now_ms, until_us))
            {
                found.more = true;
                return found;
            }
            self.engine.keys.expiry.next_db(&self.engine.keyspace, expiring, &mut found);
        }
        found
    }

    /// Deletes what is due in a database; answers whether that is all.
    fn expire_keys_until(&mut self, index: usize, now_ms: u64, until_us: u64) -> bool {
        loop {
            let step = self.engine.expire_keys(index, now_ms, self.moment());
            self.apply_effects();
            self.after_each_by_itself();
            if step == Step::Done {
                return true;
            }
            if self.clock.read_us() >= until_us {
                return false;
            }
        }
    }

    /// Takes out the fields that are due in a database; answers whether those are all.
    fn expire_fields_until(&mut self, index: usize, now_ms: u64, until_us: u64) -> bool {
        loop {
            match self.engine.expire_fields(index, now_ms, self.moment()) {
                Step::Done => return true,
                Step::Looked => {}
                Step::Expired => {
                    self.apply_effects();
                    self.after_each_by_itself();
                }
            }
            if self.clock.read_us() >= until_us {
                return false;
            }
        }
    }

    /// When the data want the loop's attention though no client comes, on the machine's clock.
    pub fn data_work_at_us(&self) -> Option<u64> {
        if self.engine.keys.eviction.is_running() || self.engine.tracking.has_work(self.config.tracking_table_max_keys)
        {
            return Some(0);
        }
        self.engine.keys.expiry.more_at_us()
    }

    /// Deletes keys to which this replica's own clients gave a deadline, when that has passed.
    pub fn expire_own_keys(&mut self) {
        if self.engine.keys.own_expiring.is_empty() || !self.is_replica() || self.is_paused() {
            return;
        }
        let now_ms = self.unix_ms();
        let until_us = self.clock.read_us() + SLICE_US;
        while let Some(key) = self.engine.keys.own_expiring.expire_one(&mut self.engine.keyspace, now_ms) {
            if let OwnKey::Expired(touched) = key {
                self.ops.stats.keys.expired += 1;
                if self.engine.note_touched {
                    self.keys_changed(vec![touched]);
                }
            }
            if self.clock.read_us() >= until_us {
                break;
            }
        }
    }
}
