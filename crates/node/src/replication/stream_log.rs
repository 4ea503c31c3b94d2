//! The stream as the node holds it. Everyone reads it; what is appended comes through one of two entrances, and the role says which is open.
//!
//! A master appends what it has done itself, and its heartbeats ([`StreamLog::own`]). A replica appends the bytes of its master and nothing else
//! ([`StreamLog::masters`]). So an offset stands for the same bytes on every node of a history.

use std::ops::Deref;

use rivulet_replication::log::{OnDisk, ReplLog};

/// Whose bytes the stream takes. It is what the configuration says (`replicaof`), whether or not there is a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Master,
    Replica,
}

#[derive(Debug)]
pub struct StreamLog {
    log: ReplLog,
    role: Role,
}

/// The entrance of a master.
pub struct OwnStream<'a>(&'a mut ReplLog);

/// The entrance of a replica.
pub struct MastersStream<'a>(&'a mut ReplLog);

impl StreamLog {
    /// A log that keeps so many bytes in memory, once it is created.
    pub fn new(size: u64, role: Role) -> StreamLog {
        StreamLog { log: ReplLog::new(size), role }
    }

    #[inline]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The node becomes a master, or a replica. What it has done itself must be in the stream before that.
    pub fn set_role(&mut self, role: Role) {
        self.role = role;
    }

    /// Where a master's own units of execution go, its heartbeats and markers; nothing on a replica.
    #[inline]
    pub fn own(&mut self) -> Option<OwnStream<'_>> {
        (self.role == Role::Master).then_some(OwnStream(&mut self.log))
    }

    /// Where a replica's applied bytes go, exactly as they came; nothing on a master.
    #[inline]
    pub fn masters(&mut self) -> Option<MastersStream<'_>> {
        (self.role == Role::Replica).then_some(MastersStream(&mut self.log))
    }

    pub fn create(&mut self) {
        self.log.create();
    }

    pub fn free(&mut self) {
        self.log.free();
    }

    pub fn reset_to(&mut self, offset: u64) {
        self.log.reset_to(offset);
    }

    pub fn set_on_disk(&mut self, disk: Option<OnDisk>) {
        self.log.set_on_disk(disk);
    }

    pub fn hold(&mut self, lowest: Option<u64>) {
        self.log.hold(lowest);
    }

    pub fn hold_from(&mut self, offset: u64) {
        self.log.hold_from(offset);
    }

    pub fn resize(&mut self, size: u64) {
        self.log.resize(size);
    }
}

impl Deref for StreamLog {
    type Target = ReplLog;

    fn deref(&self) -> &ReplLog {
        &self.log
    }
}

impl OwnStream<'_> {
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) {
        self.0.append(bytes);
    }
}

impl MastersStream<'_> {
    pub fn append(&mut self, bytes: &[u8]) {
        self.0.append(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_says_which_entrance_is_open() {
        let mut log = StreamLog::new(1 << 20, Role::Master);
        log.create();
        log.own().expect("a master's").append(b"1234");
        assert!(log.masters().is_none());
        log.set_role(Role::Replica);
        assert!(log.own().is_none());
        log.masters().expect("a replica's").append(b"56");
        assert_eq!(log.end_offset(), 6);
    }
}
