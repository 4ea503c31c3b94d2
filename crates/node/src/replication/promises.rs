//! What this node has promised to leaders of failovers: REPLICATION FENCE and MEMBERS, and the file in which the promises outlive a restart. The
//! decisions are in [`rivulet_replication::promises`], the rules in docs/failover.md.

mod driver;

use std::path::PathBuf;

use rivulet_rdb::crc64;
use rivulet_replication::position::ReplId;
use rivulet_replication::promises::{Ended, Promises};

/// The promises, and whether a file keeps them.
pub struct Kept {
    pub promises: Promises,
    /// They are in the file. Before that nobody need know this node again.
    pub is_durable: bool,
    /// Where that is, whatever directory the process goes to.
    file: PathBuf,
    /// When the file was refused last, if the last change could not be written; the log says so.
    refused_ms: Option<u64>,
    /// It was ended in order there, unless the file is a copy; what is loaded shows whether all of it is here.
    end: Option<(Ended, bool)>,
}

impl Kept {
    /// Nothing is promised yet; until a file is written, the node's id is that of its run.
    pub fn nothing(run_id: ReplId) -> Kept {
        Kept { promises: Promises::new(run_id), is_durable: false, file: PathBuf::new(), refused_ms: None, end: None }
    }
}

fn to_bytes(promises: &Promises) -> Vec<u8> {
    let text = promises.to_text();
    let checksum = crc64::checksum(text.as_bytes());
    format!("{text}crc {checksum:016x}\n").into_bytes()
}

fn parse(bytes: &[u8]) -> Option<Promises> {
    let text = str::from_utf8(bytes).ok()?;
    let (text, last) = text.split_at(text.rfind("crc ")?);
    let is_whole = last == format!("crc {:016x}\n", crc64::checksum(text.as_bytes()));
    Promises::parse(text).filter(|_| is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_cut_or_changed_is_none() {
        let id = |n| ReplId::from_random(&[n; 20]);
        let mut promises = Promises::new(id(1));
        promises.take_members(2, None, &[id(1), id(2)], 30).expect("it is the first list");
        promises.promise(7, id(9)).expect("it is later");
        let bytes = to_bytes(&promises);
        assert_eq!(parse(&bytes), Some(promises));
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), None, "cut at {end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(parse(&changed), None, "changed at {at}");
        }
    }
}
