//! The identity file: whose stream the log is, and at which offset each segment begins (docs/log.md).
//!
//! It is what makes a restart cost a partial resync: the bytes alone do not say where in which history they stand. The file is replaced as a
//! whole and closed by a checksum; a file that is not exactly right is no identity.

use std::fmt::Write;

use rivulet_rdb::crc64;
use rivulet_replication::history::{Ancestor, History};
use rivulet_replication::position::ReplId;

/// What the identity file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub history: History,
    pub role: Role,
    pub state: State,
    /// The directory in which it was written (device and inode): a copy elsewhere does not go on under the same id.
    pub place: Place,
    /// The run of the system in which it was written, where that is known: in a later one what was not synced may not be what was written.
    pub boot: Option<u128>,
    /// In the order of their offsets.
    pub segments: Vec<SegmentLine>,
}

/// What the node was when this was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Master,
    Replica,
}

/// Whether the log ended as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A server writes it, or ended without a word.
    Open,
    /// All is written and synced up to this offset, and no replica has seen more.
    Clean { offset: u64 },
}

/// Device and inode of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub device: u64,
    pub inode: u64,
}

/// A segment file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentLine {
    pub name: String,
    /// So many bytes of the stream came before.
    pub start: u64,
    /// There are lines in it that are not the stream's.
    pub marked: bool,
}

const FIRST_LINE: &str = "rivulet-log 1";

impl Identity {
    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{FIRST_LINE}\nid {}\n", self.history.id());
        let mut line = |args: std::fmt::Arguments<'_>| {
            text.write_fmt(args).expect("a String takes all");
            text.push('\n');
        };
        for ancestor in self.history.ancestors() {
            line(format_args!("ancestor {} {}", ancestor.id, ancestor.asked_max));
        }
        line(format_args!("role {}", if self.role == Role::Master { "master" } else { "replica" }));
        match self.state {
            State::Open => line(format_args!("state open")),
            State::Clean { offset } => line(format_args!("state clean {offset}")),
        }
        line(format_args!("place {} {}", self.place.device, self.place.inode));
        if let Some(boot) = self.boot {
            line(format_args!("boot {boot:032x}"));
        }
        for segment in &self.segments {
            let marks = if segment.marked { "marked" } else { "plain" };
            line(format_args!("segment {} {marks} {}", segment.start, escape(&segment.name)));
        }
        let checksum = crc64::checksum(text.as_bytes());
        writeln!(text, "crc {checksum:016x}").expect("a String takes all");
        text.into_bytes()
    }

    /// `None` for anything that [`Identity::to_bytes`] does not write.
    pub fn parse(bytes: &[u8]) -> Option<Identity> {
        let text = str::from_utf8(bytes).ok()?;
        let at = text.rfind("crc ")?;
        let (body, last) = text.split_at(at);
        if last != format!("crc {:016x}\n", crc64::checksum(body.as_bytes())) {
            return None;
        }
        let mut lines = body.lines().peekable();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let id = replid(lines.next()?.strip_prefix("id ")?)?;
        let mut ancestors = Vec::new();
        while let Some(rest) = lines.peek().and_then(|line| line.strip_prefix("ancestor ")) {
            let (id, asked_max) = rest.split_once(' ')?;
            ancestors.push(Ancestor { id: replid(id)?, asked_max: asked_max.parse().ok()? });
            lines.next();
        }
        let role = match lines.next()? {
            "role master" => Role::Master,
            "role replica" => Role::Replica,
            _ => return None,
        };
        let state = match lines.next()?.strip_prefix("state ")? {
            "open" => State::Open,
            clean => State::Clean { offset: clean.strip_prefix("clean ")?.parse().ok()? },
        };
        let (device, inode) = lines.next()?.strip_prefix("place ")?.split_once(' ')?;
        let place = Place { device: device.parse().ok()?, inode: inode.parse().ok()? };
        let boot = match lines.next_if(|line| line.starts_with("boot ")) {
            Some(line) => Some(u128::from_str_radix(&line["boot ".len()..], 16).ok()?),
            None => None,
        };
        let segments = lines.map(segment_line).collect::<Option<Vec<_>>>()?;
        let in_order = segments.is_sorted_by_key(|segment| segment.start);
        let history = History::restored(id, ancestors)?;
        in_order.then_some(Identity { history, role, state, place, boot, segments })
    }

    /// The offset at which a file begins.
    pub fn segment(&self, name: &str) -> Option<&SegmentLine> {
        self.segments.iter().find(|segment| segment.name == name)
    }

    /// Whether the system may have lost power, or ended in another way that takes what was not synced, since a log was written that has no end.
    pub fn may_lack_what_was_not_synced(&self, boot: Option<u128>) -> bool {
        self.state == State::Open && (boot.is_none() || boot != self.boot)
    }

    /// The history of data that were loaded up to `end`, for a node that starts (rule 41; the table in docs/log.md). Up to `proven` they are what
    /// was written, for all that is known; behind that they are not. `None`: whose data these are is not known, or a replica can't go on from them.
    pub fn resume(&self, end: u64, proven: u64, as_replica: bool, place: Place, new: ReplId) -> Option<History> {
        let mut history = self.history.clone();
        match self.state {
            State::Clean { offset } if end > offset => return None,
            _ if as_replica && proven < end => return None,
            _ if as_replica => {}
            State::Clean { offset }
                if end == offset && proven == end && self.role == Role::Master && place == self.place => {}
            _ => history.promote(new, proven.min(end)),
        }
        Some(history)
    }
}

fn segment_line(line: &str) -> Option<SegmentLine> {
    let mut words = line.strip_prefix("segment ")?.splitn(3, ' ');
    let start = words.next()?.parse().ok()?;
    let marked = match words.next()? {
        "marked" => true,
        "plain" => false,
        _ => return None,
    };
    Some(SegmentLine { name: unescape(words.next()?)?, start, marked })
}

fn replid(text: &str) -> Option<ReplId> {
    ReplId::parse(text.as_bytes())
}

/// A file's name on one line.
fn escape(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        match byte {
            b'!'..=b'$' | b'&'..=b'~' => out.push(char::from(byte)),
            _ => write!(out, "%{byte:02x}").expect("a String takes all"),
        }
    }
    out
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn id(n: u8) -> ReplId {
        ReplId::from_random(&[n; 20])
    }

    const HERE: Place = Place { device: 1, inode: 2 };

    fn sample() -> Identity {
        let mut history = History::new(id(1));
        history.promote(id(2), 100);
        history.promote(id(3), 250);
        let line = |name: &str, start, marked| SegmentLine { name: name.to_string(), start, marked };
        Identity {
            history,
            role: Role::Master,
            state: State::Clean { offset: 900 },
            place: HERE,
            boot: Some(7),
            segments: vec![line("a.1.incr.aof", 0, false), line(" file seq \n\n%.aof .2.incr.aof", 512, true)],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let identity = sample();
        assert_eq!(Identity::parse(&identity.to_bytes()), Some(identity.clone()));
        let open = Identity { state: State::Open, role: Role::Replica, segments: Vec::new(), ..identity };
        assert_eq!(Identity::parse(&open.to_bytes()), Some(open.clone()));
        // Earlier versions have not written it.
        let of_before = Identity { boot: None, ..open.clone() };
        assert_eq!(Identity::parse(&of_before.to_bytes()), Some(of_before.clone()));
        let lacks = |identity: &Identity, boot| identity.may_lack_what_was_not_synced(boot);
        assert_eq!([lacks(&open, Some(7)), lacks(&open, Some(8)), lacks(&open, None)], [false, true, true]);
        assert_eq!(
            [lacks(&of_before, Some(7)), lacks(&of_before, None), lacks(&sample(), Some(8))],
            [true, true, false]
        );
    }

    #[test]
    fn a_file_that_is_cut_or_changed_is_no_identity() {
        let bytes = sample().to_bytes();
        for end in 0..bytes.len() {
            assert_eq!(Identity::parse(&bytes[..end]), None, "cut at {end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(Identity::parse(&changed), None, "changed at {at}");
        }
    }

    #[test]
    fn the_table_of_restarts() {
        let clean = sample();
        let open = Identity { state: State::Open, ..clean.clone() };
        let replica = Identity { role: Role::Replica, ..clean.clone() };
        let elsewhere = Place { device: 1, inode: 3 };
        let same = |identity: &Identity, end, as_replica, place| {
            identity.resume(end, end, as_replica, place, id(9)).map(|history| (history.id(), history.second_offset()))
        };
        let forked_at = |end: i64| Some((id(9), end + 1));
        assert_eq!(same(&clean, 900, false, HERE), Some((id(3), 251)));
        assert_eq!(same(&clean, 900, false, elsewhere), forked_at(900));
        assert_eq!(same(&clean, 899, false, HERE), forked_at(899));
        assert_eq!(same(&clean, 901, false, HERE), None);
        assert_eq!(same(&clean, 901, true, HERE), None);
        assert_eq!(same(&replica, 900, false, HERE), forked_at(900));
        assert_eq!(same(&open, 900, false, HERE), forked_at(900));
        // What is behind a changed byte belongs to nobody else.
        let damaged = |as_replica| {
            let resumed = clean.resume(900, 880, as_replica, HERE, id(9));
            resumed.map(|history| (history.id(), history.second_offset()))
        };
        assert_eq!((damaged(false), damaged(true)), (forked_at(880), None));
        for (identity, end) in [(&clean, 900), (&clean, 899), (&replica, 900), (&open, 5)] {
            assert_eq!(same(identity, end, true, HERE), Some((id(3), 251)));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_harm(bytes: Vec<u8>) {
            prop_assert_eq!(Identity::parse(&bytes), None);
        }

        #[test]
        fn any_name_fits_on_a_line(name: String) {
            let escaped = escape(&name);
            prop_assert!(!escaped.contains(char::is_whitespace));
            prop_assert_eq!(unescape(&escaped), Some(name));
        }
    }
}
