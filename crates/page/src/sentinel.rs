//! What a Sentinel tells of its masters beyond what Redis's does: the section `Failover` of its INFO.

use rivulet_topology::Info;
use rivulet_topology::info::{part, part_count};

/// The word for a master that is not being replaced.
const NO_FAILOVER: &str = "none";

/// How it stands with the replacement of one master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    pub name: String,
    pub is_failing_over: bool,
    /// Sentinels that are up, with the one that says so.
    pub sentinels_up: u64,
    /// As many must agree that the master is down, and as many must elect who acts.
    pub quorum: u64,
    pub majority: u64,
    /// Members of a synchronous set: all, those that answer, and those that must be fenced before another is promoted. 0 where nothing is synchronous.
    pub members: u64,
    pub members_answering: u64,
    pub members_to_fence: u64,
    pub forgotten_replicas: u64,
}

impl Watched {
    pub fn has_quorum(&self) -> bool {
        self.sentinels_up >= self.quorum
    }

    pub fn has_majority(&self) -> bool {
        self.sentinels_up >= self.majority
    }
}

/// All of its masters, as INFO has them: `failover0:epoch=1,state=none,sentinels_up=3,…,name=mymaster`. The name may be any text, so it is the last.
pub fn watched(info: &Info) -> Vec<Watched> {
    info.numbered("failover").into_iter().filter_map(|(_, line)| one(line)).collect()
}

fn one(line: &str) -> Option<Watched> {
    let (figures, name) = line.split_once(",name=")?;
    let count = |field| part_count(figures, field).unwrap_or(0);
    Some(Watched {
        name: name.to_string(),
        is_failing_over: part(figures, "state").is_some_and(|state| state != NO_FAILOVER),
        sentinels_up: count("sentinels_up"),
        quorum: count("quorum"),
        majority: count("majority"),
        members: count("members"),
        members_answering: count("members_answering"),
        members_to_fence: count("members_to_fence"),
        forgotten_replicas: count("forgotten_replicas"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_master() {
        let text = "sentinel_current_epoch:4\nfailover0:epoch=4,state=wait_start,sentinels_up=2,quorum=2,majority=3,members=3,members_answering=2,members_to_fence=1,forgotten_replicas=5,name=a,quorum=9\nfailover1:epoch=0,state=none,sentinels_up=1,quorum=1,majority=1,name=b\nfailover2:no line";
        let all = watched(&Info::parse(text));
        let first = Watched {
            name: "a,quorum=9".into(),
            is_failing_over: true,
            sentinels_up: 2,
            quorum: 2,
            majority: 3,
            members: 3,
            members_answering: 2,
            members_to_fence: 1,
            forgotten_replicas: 5,
        };
        assert!(first.has_quorum() && !first.has_majority());
        let second = Watched { name: "b".into(), sentinels_up: 1, quorum: 1, majority: 1, ..Watched::default() };
        assert_eq!(all, [first, second]);
    }
}
