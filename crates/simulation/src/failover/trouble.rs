//! What goes wrong in a set that Sentinels watch.

use super::{NAME, PATIENCE_US, REPLY_US, Set, field, has_settled};
use crate::invariants::Broken;
use crate::network::HostId;
use crate::schedule::Loss;

impl Set {
    /// Something goes wrong, and perhaps something else before that is over.
    ///
    /// # Errors
    /// What should have come of it did not.
    pub fn trouble(&mut self) -> Result<(), Broken> {
        if self.shape.forget_after_ms > 0 && self.shape.is_quick {
            match self.rng.u8(..8) {
                0 | 1 => return self.lose_two_for_good(),
                2 | 3 => return self.forget_one(),
                _ => {}
            }
        }
        let master = self.present_master();
        match self.rng.u8(..12) {
            0..=2 => self.lose(master),
            3 => self.schedule.pause(master, true),
            4 | 5 => self.isolate(&[master]),
            6 => self.isolate_from_servers(master),
            7 => {
                let side = self.any_minority();
                self.isolate(&side);
            }
            8 => {
                let sentinel = self.rng.usize(self.sentinels());
                self.ask(sentinel, &["SENTINEL", "FAILOVER", NAME], REPLY_US);
            }
            9 => {
                let host = self.rng.usize(..self.shape.nodes);
                self.lose(host);
            }
            _ => {
                let host = self.rng.usize(..self.shape.hosts());
                self.stall(host);
            }
        }
        let for_us = self.rng.u64(0..4_000_000);
        self.pass(for_us);
        if self.rng.u8(..3) == 0 {
            self.disturb();
            let for_us = self.rng.u64(0..3_000_000);
            self.pass(for_us);
        }
        self.start_some();
        Ok(())
    }

    /// A replica is gone for so long that it is no member any more. When the master goes then, one of the others takes its place.
    fn lose_two_for_good(&mut self) -> Result<(), Broken> {
        let master = self.wait_until_whole()?;
        let gone = (master + self.rng.usize(1..self.shape.nodes)) % self.shape.nodes;
        let rest: Vec<HostId> = (0..self.shape.nodes).filter(|host| ![master, gone].contains(host)).collect();
        let loss = self.any_loss();
        if loss == Loss::Power || !self.shape.has_files {
            self.lossy.extend([master, gone]);
        }
        self.schedule.stop(gone, loss);
        self.is_short = true;
        if self.rng.bool() {
            self.leave_half_done(rest[0]);
        }
        let members = self.shape.nodes - 1;
        let mut everybody = rest.clone();
        everybody.push(master);
        self.wait_for("who is gone is still a member", |set| {
            everybody.iter().all(|host| has_settled(&set.replication_of(*host), members))
        })?;
        self.schedule.stop(master, loss);
        self.wait_for("nobody takes the place of the master", |set| {
            let replaced = set.sentinels().find_map(|sentinel| set.view(sentinel));
            replaced.is_some_and(|(_, host)| rest.contains(&host))
        })
    }

    /// A leader has fenced a replica, and is seen no more. It acknowledges nothing to its master from then on.
    fn leave_half_done(&mut self, host: HostId) {
        let epoch = field(&self.replication_of(host), "failover_epoch").and_then(|epoch| epoch.parse::<u64>().ok());
        let next = epoch.unwrap_or(0).saturating_add(1).to_string();
        self.ask(host, &["REPLICATION", "FENCE", &next, &"1".repeat(40)], REPLY_US);
    }

    /// A server is gone for so long that it is forgotten: a replica, or the master. Another one becomes the master meanwhile, so that it knows nobody of whom it
    /// could hear anything when it is there again.
    fn forget_one(&mut self) -> Result<(), Broken> {
        let master = self.wait_until_whole()?;
        let gone = if self.rng.bool() { master } else { self.rng.usize(..self.shape.nodes) };
        self.schedule.stop(gone, Loss::Process);
        self.is_short = true;
        if !self.shape.has_files {
            self.lossy.insert(gone);
        }
        let rest: Vec<HostId> = (0..self.shape.nodes).filter(|host| *host != gone).collect();
        let members = self.shape.nodes - 1;
        self.wait_for("who is gone is still a member", |set| {
            rest.iter().all(|host| has_settled(&set.replication_of(*host), members))
        })?;
        let before = self.present_master();
        for sentinel in self.sentinels() {
            self.ask(sentinel, &["SENTINEL", "FAILOVER", NAME], REPLY_US);
            let for_us = self.rng.u64(0..3_000_000);
            self.pass(for_us);
            if self.present_master() != before {
                break;
            }
        }
        self.start(gone);
        let for_us = self.rng.u64(0..3_000_000);
        self.pass(for_us);
        Ok(())
    }

    fn wait_for(&mut self, what_if_not: &str, mut is_so: impl FnMut(&mut Set) -> bool) -> Result<(), Broken> {
        let until_us = self.schedule.now_us() + PATIENCE_US + 2_000 * self.shape.failover_timeout_ms;
        while self.schedule.now_us() < until_us {
            if is_so(self) {
                return Ok(());
            }
            self.pass(200_000);
        }
        Err(format!("{what_if_not} ({:?})", self.shape))
    }

    /// Something in the middle of what others do about a trouble.
    fn disturb(&mut self) {
        match self.rng.u8(..4) {
            0 => {
                let host = self.rng.usize(self.sentinels());
                let loss = self.any_loss();
                self.schedule.stop(host, loss);
            }
            1 => {
                let host = self.rng.usize(..self.shape.hosts());
                self.stall(host);
            }
            2 => {
                let side = self.any_minority();
                self.isolate(&side);
            }
            _ => {
                let host = self.rng.usize(..self.shape.nodes);
                self.lose(host);
            }
        }
    }

    /// Whom the first Sentinel that has a word takes for the master.
    fn present_master(&mut self) -> HostId {
        self.sentinels().find_map(|sentinel| self.view(sentinel)).map_or(0, |(_, host)| host)
    }

    fn any_loss(&mut self) -> Loss {
        if self.rng.bool() { Loss::Power } else { Loss::Process }
    }

    /// A server is killed, if that is no more than the set is for: no more servers lose data, before the set is whole again, than acknowledge a write.
    fn lose(&mut self, host: HostId) {
        let loss = self.any_loss();
        let loses_data = loss == Loss::Power || !self.shape.has_files;
        if loses_data && !self.lossy.contains(&host) && self.lossy.len() >= self.shape.replicas {
            return;
        }
        if loses_data {
            self.lossy.insert(host);
        }
        self.schedule.stop(host, loss);
        // Who has lost its name with all else is a member for ever where nobody is forgotten.
        let forgets = self.shape.forget_after_ms > 0 && self.shape.is_quick;
        let is_replaced = loss == Loss::Power && forgets && !self.is_short && self.rng.bool();
        let was_master = self.present_master() == host;
        if is_replaced {
            self.replace_disk(host);
        }
        // Nobody knows of a stranger that follows nobody, once the one before at its address is forgotten.
        if is_replaced && was_master || self.rng.u8(..3) == 0 {
            let for_us = self.rng.u64(0..200_000);
            self.pass(for_us);
            self.start(host);
        }
    }

    /// A server comes back with nothing but a configuration: it knows neither its data nor its name, nor what it promised. It is told to follow the master, if that is
    /// another one.
    fn replace_disk(&mut self, host: HostId) {
        let files = self.schedule.host(host).disk.lock().list();
        for (path, _) in files {
            self.schedule.host(host).disk.remove(&path).expect("the disk is whole");
        }
        let follows = Some(self.present_master()).filter(|master| *master != host);
        let text = self.server_file(follows);
        self.write_file(host, "/data/redis.conf", &text);
    }

    /// A machine does nothing for a while.
    fn stall(&mut self, host: HostId) {
        self.schedule.pause(host, true);
        let for_us = self.rng.u64(100_000..5_000_000);
        self.pass(for_us);
        self.schedule.pause(host, false);
    }

    fn any_minority(&mut self) -> Vec<HostId> {
        let mut hosts: Vec<HostId> = (0..self.shape.hosts()).collect();
        self.rng.shuffle(&mut hosts);
        hosts.truncate(self.rng.usize(1..=self.shape.hosts() / 2));
        hosts
    }

    /// Nothing comes from some machines at the others, or nothing either way. Clients reach all of them.
    fn isolate(&mut self, side: &[HostId]) {
        let both = self.rng.u8(..3) > 0;
        let mut network = self.schedule.shared.network.borrow_mut();
        for &host in side {
            for other in (0..self.shape.hosts()).filter(|other| !side.contains(other)) {
                network.block(host, other);
                if both {
                    network.block(other, host);
                }
            }
        }
    }

    /// The master's replicas do not hear of it, and Sentinels do.
    fn isolate_from_servers(&mut self, master: HostId) {
        let mut network = self.schedule.shared.network.borrow_mut();
        for other in (0..self.shape.nodes).filter(|other| *other != master) {
            network.block(master, other);
            network.block(other, master);
        }
    }

    fn start_some(&mut self) {
        for host in 0..self.shape.hosts() {
            if !self.schedule.is_up(host) && self.rng.bool() {
                self.start(host);
            }
        }
    }

    /// Everything runs, and everybody hears everybody.
    pub fn heal(&mut self) {
        let now_us = self.schedule.now_us();
        self.schedule.shared.network.borrow_mut().unblock_all(now_us);
        for host in 0..self.shape.hosts() {
            self.schedule.pause(host, false);
            if !self.schedule.is_up(host) {
                self.start(host);
            }
        }
    }
}
