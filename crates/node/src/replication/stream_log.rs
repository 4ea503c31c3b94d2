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
    control: Control,
}

/// Commands at the end of the stream that change nothing: they begin and end here.
#[derive(Clone, Copy, Debug, Default)]
struct Control {
    start: u64,
    end: u64,
}

/// The entrance of a master.
pub struct OwnStream<'a>(&'a mut StreamLog);

/// The entrance of a replica.
pub struct MastersStream<'a>(&'a mut ReplLog);

impl StreamLog {
    /// A log that keeps so many bytes in memory, once it is created.
    pub fn new(size: u64, role: Role) -> StreamLog {
        StreamLog { log: ReplLog::new(size), role, control: Control::default() }
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
        (self.role == Role::Master).then_some(OwnStream(self))
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
        self.control = Control::default();
    }

    pub fn reset_to(&mut self, offset: u64) {
        self.log.reset_to(offset);
        self.control = Control::default();
    }

    /// The offset of the last command that changed something, or of one that can't be told from such.
    pub fn content_end(&self) -> u64 {
        if self.log.end_offset() == self.control.end { self.control.start } else { self.log.end_offset() }
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
        self.0.log.append(bytes);
    }

    /// Appends a command that changes nothing and tells nothing: nobody waits for its end.
    pub fn append_control(&mut self, bytes: &[u8]) {
        let start = self.0.content_end();
        self.0.log.append(bytes);
        self.0.control = Control { start, end: self.0.log.end_offset() };
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

    #[test]
    fn heartbeats_at_the_end_are_no_content() {
        let mut log = StreamLog::new(1 << 20, Role::Master);
        log.create();
        assert_eq!(log.content_end(), 0);
        for (bytes, is_control, content) in
            [("1234", false, 4), ("ping", true, 4), ("ping", true, 4), ("5", false, 13), ("ping", true, 13)]
        {
            let mut own = log.own().expect("a master's");
            match is_control {
                true => own.append_control(bytes.as_bytes()),
                false => own.append(bytes.as_bytes()),
            }
            assert_eq!(log.content_end(), content, "{bytes} at {}", log.end_offset());
        }
        log.reset_to(17);
        assert_eq!(log.content_end(), 17);
    }
}
