//! Handshakes of TLS: those of clients, who may take their time about it, and what is told of those that fail, on both sides.
//!
//! A handshake costs as much as hundreds of commands, so one turn works at them for a bounded time; those that are left are told of again by the
//! poll. So many of clients may be under way, and each for so long: when there are more, the one that has taken longest makes room, not who comes.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;

use rivulet_config::Level;
use rivulet_host::time;
use rivulet_node::{log, system::os_error};

use crate::clients::PROTECTED;
use crate::program::Program;

/// Handshakes of clients under way, if that is not more than half of all clients.
const UNDER_WAY_MAX: usize = 1000;
/// How long one may take, on either side.
pub const TIME_MS_MAX: u64 = 10_000;
/// How long one turn works at those of clients, and at those of the links to instances.
const TURN_US_MAX: u64 = 5_000;
/// Failures of clients that the log is told of within a second.
const TOLD_MAX: u32 = 10;
/// A link that fails for the same reason is told of again after so long.
const TOLD_AGAIN_MS: u64 = 60_000;
/// Links of which is known what was told.
const TOLD_LINKS_MAX: usize = 10_000;

/// What this turn has spent on handshakes of one side.
#[derive(Default)]
pub struct Budget {
    spent_us: u64,
}

impl Budget {
    /// A turn begins.
    pub fn renew(&mut self) {
        self.spent_us = 0;
    }

    /// Whether there is time for another in this turn.
    pub fn has_time(&self) -> bool {
        self.spent_us < TURN_US_MAX
    }

    /// Does a part of a handshake, which counts.
    pub fn spend<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let began_us = time::monotonic_us();
        let done = work();
        self.spent_us += time::monotonic_us().saturating_sub(began_us);
        done
    }
}

/// Handshakes of clients, and what was told.
#[derive(Default)]
pub struct Handshakes {
    pub budget: Budget,
    /// When each is given up, and whose it is; those that are done or gone are passed over.
    begun: VecDeque<(u64, u64)>,
    pub under_way: usize,
    pub failed: u64,
    pub given_up: u64,
    told: u32,
    told_since_ms: u64,
    /// Why a link to an instance failed last, and when that was told.
    links: BTreeMap<SocketAddr, (String, u64)>,
}

impl Handshakes {
    /// Whether the log is to be told of a client's failure.
    fn tells(&mut self, now_ms: u64) -> bool {
        if now_ms >= self.told_since_ms + 1000 {
            (self.told_since_ms, self.told) = (now_ms, 0);
        }
        self.told += 1;
        self.told <= TOLD_MAX
    }

    /// A link to an instance has ended: if TLS is the reason, the log is told, but not at each try.
    pub fn link_failed(&mut self, address: SocketAddr, error: &io::Error, now_ms: u64) {
        // What the socket says has a number, and an end that was orderly a kind of its own.
        if error.kind() != io::ErrorKind::Other || error.raw_os_error().is_some() {
            return;
        }
        let reason = error.to_string();
        let is_told = |(known, at_ms): &(String, u64)| *known == reason && now_ms < at_ms + TOLD_AGAIN_MS;
        if self.links.get(&address).is_some_and(is_told) {
            return;
        }
        log::write(Level::Warning, format_args!("TLS to {address} failed: {reason}"));
        if self.links.len() >= TOLD_LINKS_MAX {
            self.links.clear();
        }
        self.links.insert(address, (reason, now_ms));
    }
}

impl Program {
    /// A client's handshake begins.
    pub fn begin_handshake(&mut self, id: u64) {
        self.handshakes.begun.push_back((self.now_ms + TIME_MS_MAX, id));
        self.handshakes.under_way += 1;
        if self.handshakes.under_way > UNDER_WAY_MAX.min(self.config.maxclients as usize / 2) {
            while let Some((_, id)) = self.handshakes.begun.pop_front() {
                if self.give_up_handshake(id) {
                    break;
                }
            }
        }
    }

    /// Gives up those that have taken too long: of clients, and of links.
    pub fn end_late_handshakes(&mut self) {
        while let Some(&(until_ms, id)) = self.handshakes.begun.front()
            && until_ms <= self.now_ms
        {
            self.handshakes.begun.pop_front();
            self.give_up_handshake(id);
        }
        let is_late = |since_ms: u64| self.now_ms >= since_ms + TIME_MS_MAX;
        let late = self.outgoing.iter().filter(|(_, own)| own.handshakes_since_ms().is_some_and(is_late));
        let late: Vec<_> = late.map(|(id, own)| (*id, own.address)).collect();
        for (id, address) in late {
            let error = io::Error::other(format!("no handshake within {} s", TIME_MS_MAX / 1000));
            self.handshakes.link_failed(address, &error, self.now_ms);
            self.lose(id);
        }
    }

    /// Closes a client whose handshake is not done; answers whether it had to.
    fn give_up_handshake(&mut self, id: u64) -> bool {
        let Some(client) = self.clients.get_mut(&id).filter(|client| client.stream.is_handshaking()) else {
            return false;
        };
        if client.is_closing {
            return false;
        }
        client.is_closing = true;
        self.handshakes.given_up += 1;
        true
    }

    /// The socket of a client whose handshake is under way is ready.
    pub fn go_on_with_handshake(&mut self, id: u64) {
        if !self.handshakes.budget.has_time() {
            return;
        }
        let Some(client) = self.clients.get_mut(&id).filter(|client| !client.is_closing) else { return };
        let result = self.handshakes.budget.spend(|| client.stream.handshake());
        if !client.stream.is_handshaking() {
            self.handshakes.under_way -= 1;
        }
        match result {
            Ok(true) => self.handshake_done(id),
            Ok(false) => {}
            Err(error) => {
                client.is_closing = true;
                self.handshakes.failed += 1;
                self.tell_of_failed_handshake(id, &error);
            }
        }
    }

    fn handshake_done(&mut self, id: u64) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let peer = client.stream.peer_address();
        if self.config.protected_mode
            && self.users.default_user().is_open()
            && peer.is_some_and(|address| !address.ip().to_canonical().is_loopback())
        {
            // The connection is closed whether or not the error arrives.
            let _ = client.stream.write(PROTECTED);
            client.is_closing = true;
            self.stats.rejected += 1;
            return;
        }
        self.log_in_by_certificate(id);
        if self.clients.get(&id).is_some_and(|client| client.stream.has_more()) {
            self.read_client(id);
        }
    }

    fn tell_of_failed_handshake(&mut self, id: u64, error: &io::Error) {
        let Some(client) = self.clients.get(&id) else { return };
        let (address, local) = (&client.address, &client.local_address);
        if error.kind() == io::ErrorKind::UnexpectedEof {
            let text = "Client closed connection during the TLS handshake";
            log::write(Level::Verbose, format_args!("{text} (addr={address} laddr={local})"));
        } else if self.handshakes.tells(self.now_ms) {
            let reason = os_error(error);
            let text = format_args!("Error accepting a client connection: {reason} (addr={address} laddr={local})");
            log::write(Level::Warning, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_told_of_once_for_each_reason() {
        let mut handshakes = Handshakes::default();
        let address = SocketAddr::from(([10, 0, 0, 1], 6379));
        let told_at = |handshakes: &Handshakes| handshakes.links.get(&address).map(|(_, at_ms)| *at_ms);
        handshakes.link_failed(address, &io::ErrorKind::UnexpectedEof.into(), 1);
        handshakes.link_failed(address, &io::Error::from_raw_os_error(111), 1);
        assert_eq!(told_at(&handshakes), None, "these are not TLS's");
        for (reason, now_ms, want_ms) in [("a", 2, 2), ("a", 60_001, 2), ("b", 60_001, 60_001), ("b", 120_001, 120_001)]
        {
            handshakes.link_failed(address, &io::Error::other(reason), now_ms);
            assert_eq!(told_at(&handshakes), Some(want_ms), "{reason} at {now_ms}");
        }
    }

    #[test]
    fn a_turn_works_at_them_for_a_while() {
        let mut budget = Budget::default();
        assert!(budget.has_time());
        while budget.has_time() {
            budget.spend(|| (0..1000).map(std::hint::black_box).sum::<u64>());
        }
        assert!(!budget.has_time());
        budget.renew();
        assert!(budget.has_time());
    }
}
