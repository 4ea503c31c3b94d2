//! Hello: by a message on a channel of each instance the Sentinels find each other, and agree on who the master is and since which term.
//!
//! `ip,port,id,term,master's name,its ip,its port,its term`. Where the user has set a secret, a ninth field proves that the sender knows it, and what
//! comes without it changes nothing (redis#14970).

use rivulet_commands::glob;
use sha2::{Digest, Sha256};

use crate::address::Address;
use crate::events::Level;
use crate::failover::Attempt;
use crate::info::Role;
use crate::link::{At, Question, Who};
use crate::sentinel::Sentinel;
use crate::votes::EPOCH_MAX;

/// The channel.
pub const CHANNEL: &str = "__sentinel__:hello";

/// Longer ones are not looked at.
const HELLO_LEN_MAX: usize = 4096;

/// A message, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub host: String,
    pub port: u16,
    pub id: String,
    pub epoch: u64,
    pub master: String,
    pub master_host: String,
    pub master_port: u16,
    pub config_epoch: u64,
}

impl Hello {
    fn text(&self) -> String {
        format!(
            "{},{},{},{},{},{},{},{}",
            self.host,
            self.port,
            self.id,
            self.epoch,
            self.master,
            self.master_host,
            self.master_port,
            self.config_epoch
        )
    }

    /// The message as it is sent.
    pub fn encode(&self, secret: Option<&[u8]>) -> String {
        let text = self.text();
        match secret {
            Some(secret) => format!("{text},{}", proof(secret, text.as_bytes())),
            None => text,
        }
    }

    /// Takes a message apart; `proof` is its ninth field.
    pub fn decode(message: &[u8]) -> Option<(Hello, Option<String>)> {
        let text = std::str::from_utf8(message).ok().filter(|text| text.len() <= HELLO_LEN_MAX)?;
        // It is shown in the log, and told to scripts.
        if text.contains(char::is_control) {
            return None;
        }
        let fields: Vec<&str> = text.split(',').collect();
        let ([host, port, id, epoch, master, master_host, master_port, config_epoch], rest) =
            fields.split_first_chunk()?;
        let hello = Hello {
            host: host.to_string(),
            port: port.parse().ok()?,
            id: id.to_string(),
            epoch: epoch.parse().ok()?,
            master: master.to_string(),
            master_host: master_host.to_string(),
            master_port: master_port.parse().ok()?,
            config_epoch: config_epoch.parse().ok()?,
        };
        let is_in_range = hello.epoch <= EPOCH_MAX && hello.config_epoch <= EPOCH_MAX;
        let is_whole = is_in_range && !hello.id.is_empty() && !hello.host.is_empty() && !hello.master_host.is_empty();
        match rest {
            [] if is_whole => Some((hello, None)),
            [proof] if is_whole => Some((hello, Some(proof.to_string()))),
            _ => None,
        }
    }
}

/// HMAC-SHA-256 in hexadecimal digits.
pub fn proof(secret: &[u8], text: &[u8]) -> String {
    const BLOCK: usize = 64;
    let mut key = [0u8; BLOCK];
    if secret.len() > BLOCK {
        key[..32].copy_from_slice(&Sha256::digest(secret));
    } else {
        key[..secret.len()].copy_from_slice(secret);
    }
    let inner = Sha256::new().chain_update(key.map(|byte| byte ^ 0x36)).chain_update(text).finalize();
    let outer = Sha256::new().chain_update(key.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a proof is the right one; takes as long for any that is as long.
pub fn is_proof(secret: &[u8], text: &[u8], given: &str) -> bool {
    let right = proof(secret, text);
    right.len() == given.len() && right.bytes().zip(given.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

impl Sentinel {
    /// Tells one instance who the master is. What is told is on the disk.
    pub(crate) fn send_hello(&mut self, at: &At) {
        let Some((link, address)) = self.hello_address(at) else { return };
        let Some(master) = self.masters.get(&at.master) else { return };
        let Some((master_address, config_epoch)) = &master.announced else { return };
        // A PUBLISH waits for the end of the pause, and with it what is to end that.
        if at.who == Who::Master && master.failover.as_ref().is_some_and(Attempt::pauses_master) {
            return;
        }
        let hello = Hello {
            host: address.0,
            port: address.1,
            id: self.id.clone(),
            epoch: self.saved_epoch,
            master: master.name.clone(),
            master_host: master_address.announced(self.globals.announce_hostnames),
            master_port: master_address.port,
            config_epoch: *config_epoch,
        };
        let message = hello.encode(master.settings.secret.as_deref());
        if !self.links.get(&link).is_none_or(|link| link.has_asked(Question::Hello, at)) {
            self.send(at, Question::Hello, &[b"PUBLISH", CHANNEL.as_bytes(), message.as_bytes()]);
        }
    }

    fn hello_address(&self, at: &At) -> Option<(crate::link::LinkId, (String, u16))> {
        let id = self.instance(at)?.link;
        let link = self.links.get(&id).filter(|link| !link.is_disconnected)?;
        let local_ip = link.commands.as_ref().and_then(|connection| connection.local_ip.clone());
        let host = self.globals.announce_ip.clone().or(local_ip)?;
        let port = if self.globals.announce_port != 0 { self.globals.announce_port } else { self.globals.port };
        Some((id, (host, port)))
    }

    /// Everybody of the set is told at the next tick.
    pub(crate) fn hurry_hello(&mut self, name: &str) {
        let Some(master) = self.masters.get_mut(name) else { return };
        master.instance.hello_sent_ms = 0;
        master.replicas.values_mut().for_each(|replica| replica.instance.hello_sent_ms = 0);
        master.peers.values_mut().for_each(|peer| peer.instance.hello_sent_ms = 0);
        self.wake_ms = self.wake_ms.min(self.now_ms);
    }

    /// A message of another Sentinel, by a channel or by its PUBLISH.
    pub fn hear(&mut self, message: &[u8]) {
        let Some((hello, given)) = Hello::decode(message) else { return };
        let Some(master) = self.masters.get(&hello.master) else { return };
        if hello.id == self.id {
            return;
        }
        match (&master.settings.secret, given) {
            (None, None) => {}
            (Some(secret), Some(given)) if is_proof(secret, hello.text().as_bytes(), &given) => {}
            _ => return,
        }
        if self.globals.resolve_hostnames {
            self.names.ask_if_new(&hello.host);
            self.names.ask_if_new(&hello.master_host);
        }
        if !self.meet(&hello) {
            return;
        }
        if hello.epoch > self.current_epoch {
            self.raise_epoch(&hello.master, hello.epoch);
        }
        self.adopt(&hello);
        let now_ms = self.now_ms;
        let Some(master) = self.masters.get_mut(&hello.master) else { return };
        let is_behind = hello.config_epoch < master.config_epoch;
        if let Some(peer) = master.peers.get_mut(&hello.id) {
            peer.last_hello_ms = now_ms;
            // Who knows less is told at once, not at the next hello.
            if is_behind && now_ms.saturating_sub(peer.instance.hello_sent_ms) > self.periods.publish_ms / 4 {
                peer.instance.hello_sent_ms = 0;
            }
        }
    }

    /// Makes sure that the sender is known under its address; false if it can't be.
    fn meet(&mut self, hello: &Hello) -> bool {
        let address = self.address(&hello.host, hello.port);
        let Some(address) = address else { return false };
        let Some(master) = self.masters.get(&hello.master) else { return false };
        if master.peers.get(&hello.id).is_some_and(|peer| peer.instance.address.is_same(&address)) {
            return true;
        }
        let at = At::peer(&hello.master, &hello.id);
        let has_moved = self.remove_peer(&hello.master, &hello.id);
        if has_moved {
            let rest = format!(" ip {} port {} for {}", hello.host, hello.port, hello.id);
            self.event(Level::Notice, "+sentinel-address-switch", &At::master(&hello.master), &rest);
        } else {
            self.replace_at_same_address(&hello.master, &address);
        }
        self.add_peer(&hello.master, &hello.id, address.clone());
        if has_moved {
            self.move_in_other_masters(&at, &address);
        } else {
            self.event(Level::Notice, "+sentinel", &at, "");
        }
        self.is_dirty = true;
        true
    }

    /// Another id at the same address: who was there before is gone, for all masters.
    fn replace_at_same_address(&mut self, name: &str, address: &Address) {
        let Some(master) = self.masters.get(name) else { return };
        let other = master.peers.iter().find(|(_, peer)| peer.instance.address.is_same(address));
        let Some(other) = other.map(|(id, _)| id.clone()) else { return };
        self.event(Level::Notice, "+sentinel-invalid-addr", &At::peer(name, &other), "");
        for name in self.names_of_masters() {
            self.remove_peer(&name, &other);
        }
    }

    fn move_in_other_masters(&mut self, at: &At, address: &Address) {
        let crate::link::Who::Peer(id) = &at.who else { return };
        let mut moved = 0;
        let mut links = Vec::new();
        for (name, master) in &mut self.masters {
            if let Some(peer) = master.peers.get_mut(id) {
                links.push(peer.instance.link);
                if *name != at.master {
                    peer.instance.address = address.clone();
                    moved += 1;
                }
            }
        }
        links.dedup();
        links.into_iter().for_each(|link| self.disconnect(link));
        if moved > 0 {
            self.event(
                Level::Notice,
                "+sentinel-address-update",
                at,
                &format!(" {moved} additional matching instances"),
            );
        }
    }

    /// Takes over the sender's view of the master if it is newer. Two views of one term are settled by what the instances say themselves: so all
    /// observers end with the same one (redis#14422).
    fn adopt(&mut self, hello: &Hello) {
        let Some(address) = self.address(&hello.master_host, hello.master_port) else { return };
        let Some(master) = self.masters.get(&hello.master) else { return };
        let is_newer = hello.config_epoch > master.config_epoch;
        let is_elsewhere = !self.is_at(&master.instance.address, &hello.master_host, hello.master_port);
        if is_elsewhere && address.ip.is_none() {
            // It may be the same server by another name. The next message comes when that is known.
            return;
        }
        let is_other_view = hello.config_epoch == master.config_epoch
            && is_elsewhere
            && master.settings.is_strict
            && master.failover.is_none()
            && self.is_the_true_master(master, &address);
        if !is_newer && !is_other_view {
            return;
        }
        let from = (master.instance.address.announced(self.globals.announce_hostnames), master.instance.address.port);
        if let Some(master) = self.masters.get_mut(&hello.master) {
            master.config_epoch = hello.config_epoch;
        }
        self.is_dirty = true;
        if !is_elsewhere {
            return self.give_up_older_attempt(hello);
        }
        let to = (hello.master_host.clone(), hello.master_port);
        self.event(Level::Warning, "+config-update-from", &At::peer(&hello.master, &hello.id), "");
        let text = format!("{} {} {} {} {}", hello.master, from.0, from.1, to.0, to.1);
        self.event_text(Level::Warning, "+switch-master", Some(&hello.master), &text);
        self.switch_address(&hello.master, address);
        self.call_reconfig_script(&hello.master, "observer", from, to);
        self.hurry_hello(&hello.master);
    }

    /// A later leader has made the old master of this Sentinel's own failover the master again: to end that now would give one term two masters.
    fn give_up_older_attempt(&mut self, hello: &Hello) {
        let Some(master) = self.masters.get_mut(&hello.master) else { return };
        let Some(own) = master.failover.take_if(|own| own.epoch < hello.config_epoch) else { return };
        if own.pauses_master() {
            self.send(&At::master(&hello.master), Question::Nothing, &[b"CLIENT", b"UNPAUSE"]);
        }
        let text = format!(
            "The failover of '{}' in epoch {} is given up: in epoch {} another Sentinel has made the same server the master again",
            hello.master, own.epoch, hello.config_epoch
        );
        self.log(Level::Warning, text);
    }

    /// Ours says that it is a replica or does not answer, and the other one, which we know, says that it is a master.
    fn is_the_true_master(&self, master: &crate::master::Master, address: &Address) -> bool {
        let ours_is = master.instance.role == Role::Master && !master.is_down();
        let theirs = master.replicas.values().find(|replica| replica.instance.address.is_same(address));
        let theirs_is = theirs
            .is_some_and(|replica| replica.instance.role == Role::Master && replica.instance.down_since_ms.is_none());
        !ours_is && theirs_is
    }

    /// The masters whose name matches a pattern.
    pub(crate) fn masters_like(&self, pattern: &[u8]) -> Vec<String> {
        self.masters.keys().filter(|name| glob::matches(pattern, name.as_bytes())).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let text = "10.0.0.1,26379,abc,7,mymaster,10.0.0.2,6379,3";
        let (hello, proof) = Hello::decode(text.as_bytes()).expect("a hello");
        assert_eq!((hello.encode(None).as_str(), proof), (text, None));
        let signed = hello.encode(Some(b"secret"));
        let (again, given) = Hello::decode(signed.as_bytes()).expect("a hello");
        assert_eq!(again, hello);
        let given = given.expect("a proof");
        assert!(is_proof(b"secret", text.as_bytes(), &given));
        assert!(!is_proof(b"Secret", text.as_bytes(), &given) && !is_proof(b"secret", b"else", &given));
    }

    #[test]
    fn what_is_no_hello_is_passed_over() {
        for text in [
            "",
            "a,b",
            "h,1,i,1,m,h,1",
            "h,1,i,1,m,h,1,1,p,q",
            "h,70000,i,1,m,h,1,1",
            "h,1,,1,m,h,1,1",
            "h,1,i,18446744073709551615,m,h,1,1",
            "h,1,i,-1,m,h,1,1",
            "h,1,i\n# +switch-master m,1,m,h,1,1",
            "h,1,i,1,m,h\0,1,1",
        ] {
            assert_eq!(Hello::decode(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Hello::decode(&[b'x'; 5000]), None);
    }

    /// The test vectors 1 and 3 of RFC 4231, and one with a long key (6).
    #[test]
    fn the_proof_is_hmac() {
        assert_eq!(proof(&[0x0b; 20], b"Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        assert_eq!(proof(&[0xaa; 20], &[0xdd; 50]), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
        let long = proof(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(long, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }
}
